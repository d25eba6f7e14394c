//! Reads the body of a request or response with a cap and a deadline (threats T12 and T33). It
//! looks into nothing, and decompresses nothing (threat T13).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use thiserror::Error;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The peer broke off, or its framing was wrong.
    #[error("the body broke off")]
    Broken,
    /// The last byte did not come in time.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// It is larger than what is accepted.
    #[error("the body is too large")]
    TooLarge,
}

/// Reads a whole body of at most `bytes_max` bytes, which must be complete before the deadline.
///
/// A body that declares a larger size is refused before anything of it is read.
///
/// # Errors
/// [`BodyError`] says what was wrong; nothing of the body is kept then.
pub async fn read_body<B>(body: B, bytes_max: usize, deadline: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    tokio::time::timeout(deadline, collect(body, bytes_max))
        .await
        .unwrap_or(Err(BodyError::TimedOut))
}

pub(crate) async fn collect<B>(body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let declared = body.size_hint().lower();
    if u64::try_from(bytes_max).is_ok_and(|max| max < declared) {
        return Err(BodyError::TooLarge);
    }
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers mean nothing here.
        let Ok(data) = frame.map_err(|_error| BodyError::Broken)?.into_data() else { continue };
        if bytes_max < first.len() + rest.len() + data.len() {
            return Err(BodyError::TooLarge);
        }
        // Most bodies come in one piece, which then needs no copy.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use http_body_util::{Channel, Full};
    use hyper::body::{Frame, SizeHint};

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_body_of_exactly_the_cap_is_read() {
        let body = Full::new(Bytes::from(vec![7; 1_000]));
        assert_eq!(read_body(body, 1_000, LONG).await.unwrap().len(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_declared_size_over_the_cap_is_refused_before_anything_comes() {
        struct Declared;

        impl Body for Declared {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                Poll::Pending
            }

            fn size_hint(&self) -> SizeHint {
                SizeHint::with_exact(1_001)
            }
        }

        assert_eq!(read_body(Declared, 1_000, LONG).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order_and_capped_together() {
        for (bytes_max, expected) in [(6, Ok(Bytes::from("abcdef"))), (5, Err(BodyError::TooLarge))]
        {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
            for piece in ["ab", "cd", "ef"] {
                sender.send_data(Bytes::from(piece)).await.unwrap();
            }
            drop(sender);
            assert_eq!(read_body(body, bytes_max, LONG).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickling_body_meets_the_deadline() {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        sender.send_data(Bytes::from("a")).await.unwrap();
        let outcome = read_body(body, 10, Duration::from_secs(10)).await;
        assert_eq!(outcome, Err(BodyError::TimedOut));
        drop(sender);
    }

    #[tokio::test]
    async fn a_broken_body_is_said_to_be_broken() {
        let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
        sender.abort(std::io::Error::other("gone"));
        assert_eq!(read_body(body, 10, LONG).await, Err(BodyError::Broken));
    }
}
