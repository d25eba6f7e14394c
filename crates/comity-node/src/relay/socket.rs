//! The public WebSocket (DIDComm v2.1, "WebSockets"): one envelope a message, in either direction.
//! Trust comes from each envelope, never from the socket.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use comity_core::inbound::{Arrival, Outcome};
use comity_core::refusal::Refusal;
use comity_core::trust::WayIn;
use comity_didcomm::ENCRYPTED_TYPE;
use futures_util::stream::SplitStream;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::Back;
use super::live::Session;
use crate::home::Home;
use crate::inbound::receive_on;
use crate::limits::{PING_EVERY, SOCKET_ANSWERS_MAX, SOCKET_WRITE_DEADLINE};
use crate::public::places;

/// Close codes of RFC 6455: a message that violates the peer's policy, an orderly stop, overload.
const POLICY_VIOLATION: u16 = 1008;
const RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

/// Serves a socket until either side ends it.
pub(crate) async fn socket(
    home: Arc<Home>,
    socket: WebSocket,
    under_way: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    let (sink, stream) = socket.split();
    let (frames, outgoing) = mpsc::channel(SOCKET_ANSWERS_MAX);
    let session = home.relay.session(frames.clone());
    let (close, closing) = mpsc::channel(1);
    // Whichever ends first ends the socket; the writer goes last, to say why.
    let stopped = async {
        let _the_node_is_gone = stopping.wait_for(|stopping| *stopping).await.is_err();
        CloseFrame { code: RESTART, reason: "restart".into() }
    };
    let reading = async {
        let ended = tokio::select! {
            frame = read(&home, &session, stream, &frames, &under_way) => frame,
            frame = stopped => Some(frame),
        };
        if let Some(frame) = ended {
            let _the_writer_is_gone = close.send(frame).await;
        } else {
            drop(close);
            std::future::pending::<()>().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = write(sink, outgoing, closing) => {}
    }
    session.end(&home);
}

/// Reads envelopes one after the other; returns how to close, if there is a reason to give.
async fn read(
    home: &Arc<Home>,
    session: &Arc<Session>,
    mut stream: SplitStream<WebSocket>,
    frames: &mpsc::Sender<Vec<u8>>,
    under_way: &Arc<Semaphore>,
) -> Option<CloseFrame> {
    // A peer that answers no ping for two periods is gone.
    while let Ok(Some(Ok(frame))) = timeout(2 * PING_EVERY, stream.next()).await {
        let envelope = match frame {
            Frame::Text(text) => text.as_bytes().to_vec(),
            Frame::Binary(bytes) => bytes.to_vec(),
            Frame::Ping(_) | Frame::Pong(_) => continue,
            Frame::Close(_) => return None,
        };
        // A place among all that is worked on: one socket waits its turn, and is not read meanwhile.
        let places = places(envelope.len());
        let place = Arc::clone(under_way).acquire_many_owned(places).await;
        let Ok(place) = place else { return None };
        let media_type = ENCRYPTED_TYPE.to_owned();
        let arrival = Arrival { envelope, media_type, way_in: WayIn::Direct };
        let (home, back) = (Arc::clone(home), Back::Socket(Arc::clone(session)));
        // A task of its own, so that a peer that hangs up does not stop what was begun.
        let received = tokio::spawn(async move {
            let received = receive_on(&home, arrival, &back).await;
            drop(place);
            received
        });
        let (outcome, answer) =
            received.await.unwrap_or((Outcome::TurnedAway(Refusal::Busy), None));
        if let Some(answer) = answer {
            frames.send(answer).await.ok()?;
        }
        if let Outcome::TurnedAway(refusal) = outcome {
            tracing::debug!(code = refusal.code(), "an envelope was turned away on a socket");
            let code = if refusal.is_temporary() { TRY_AGAIN_LATER } else { POLICY_VIOLATION };
            return Some(CloseFrame { code, reason: refusal.code().into() });
        }
    }
    None
}

/// Writes envelopes, many to a flush when many wait, and pings in between. A peer that does not
/// read is left.
async fn write(
    mut sink: impl Sink<Frame> + Unpin,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    mut closing: mpsc::Receiver<CloseFrame>,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let envelope = tokio::select! {
            biased;
            // First, or a peer for whom much waits would be asked for no sign of life.
            _ = ping.tick() => {
                let ping = sink.send(Frame::Ping(Vec::new().into()));
                match timeout(SOCKET_WRITE_DEADLINE, ping).await {
                    Ok(Ok(())) => continue,
                    _ => return,
                }
            }
            Some(envelope) = outgoing.recv() => envelope,
            close = closing.recv() => {
                if let Some(close) = close {
                    let close = sink.send(Frame::Close(Some(close)));
                    let _the_peer_may_be_gone = timeout(SOCKET_WRITE_DEADLINE, close).await;
                }
                return;
            }
        };
        // The deadline is for each envelope: one that reads as fast as its line allows is not left,
        // however much waits.
        let more = std::iter::from_fn(|| outgoing.try_recv().ok());
        for envelope in std::iter::once(envelope).chain(more).take(SOCKET_ANSWERS_MAX) {
            let fed = sink.feed(Frame::Text(text(envelope).into()));
            if !matches!(timeout(SOCKET_WRITE_DEADLINE, fed).await, Ok(Ok(()))) {
                return;
            }
        }
        if !matches!(timeout(SOCKET_WRITE_DEADLINE, sink.flush()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// An envelope is JSON, so it is text; peers expect it as such.
fn text(envelope: Vec<u8>) -> String {
    String::from_utf8(envelope).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::sink::unfold;
    use tokio::time::sleep;

    use super::*;

    /// Writes to a peer that takes so long for each frame; returns how many it got.
    async fn written(envelopes: usize, pause: Duration) -> usize {
        let (frames, outgoing) = mpsc::channel(envelopes);
        for _ in 0..envelopes {
            frames.send(b"{}".to_vec()).await.unwrap();
        }
        let (close, closing) = mpsc::channel(1);
        drop(close);
        let (got, mut taken) = mpsc::unbounded_channel();
        let sink = unfold(got, |got, frame| async move {
            sleep(pause).await;
            got.send(frame).map(|()| got).map_err(|_| ())
        });
        write(Box::pin(sink), outgoing, closing).await;
        let mut count = 0;
        while let Ok(frame) = taken.try_recv() {
            count += usize::from(matches!(frame, Frame::Text(_)));
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_gets_everything_and_one_that_does_not_is_left() {
        let many = 3 * SOCKET_ANSWERS_MAX;
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE / 2).await, many);
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE * 2).await, 0);
    }
}
