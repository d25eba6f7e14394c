//! Delivers envelopes to other nodes over HTTP (DIDComm v2.1, Transports, HTTPS).
//!
//! One POST an envelope, over connections that are kept, to checked addresses only. The outcome
//! says who has to act: nobody, the sender, time, or the operator; deciding when to try again is
//! the outbox's job. Redirects are not followed: the specification allows 307 alone, and a peer
//! that moved should publish its new endpoint in its DID document.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    address::AddressPolicy,
    body::read_body,
    client::{self, Client, Idle, PeerUrl, UrlError},
    connect::ConnectError,
    gate::{HostGate, Pass},
    limits::{
        CHALLENGE_BYTES_MAX, DELIVER_ANSWER_BYTES_MAX, DELIVER_ANSWER_DEADLINE, DELIVER_DEADLINE,
        DELIVER_IDLE, DELIVERIES_MAX, DELIVERIES_PER_HOST_MAX, PROBLEM_CODE_BYTES_MAX,
        RETRY_AFTER_MAX,
    },
    tls::PeerConnector,
    transport::MediaType,
};

/// The peer took the envelope: its answer was a 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The status it answered with.
    pub status: u16,
    /// The message it sent back in the same breath, if any (`return_route`).
    pub answer: Option<Answer>,
}

/// An envelope in the answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What kind of envelope it claims to be.
    pub media_type: MediaType,
    /// The envelope, as it came.
    pub envelope: Bytes,
}

/// The work that a peer demands before it takes an envelope
/// (`docs/protocols/introduction.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The text whose puzzle is to be solved: unreserved URI characters, a few hundred at most.
    pub challenge: String,
    /// The price of the puzzle.
    pub bits: u8,
}

/// Header by which work is shown.
const WORK: HeaderName = HeaderName::from_static("comity-work");

/// Why an envelope was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The peer takes it when work is shown.
    #[error("the peer demands work of {} bits", .0.bits)]
    Charged(Demand),
    /// The peer does not want it; the same envelope will be refused again.
    #[error("the peer refused the envelope with status {status}")]
    Refused {
        /// The status it answered with.
        status: u16,
        /// The problem code it gave, if it gave one that is well formed.
        code: Option<String>,
    },
    /// The peer cannot take it now.
    #[error("the peer asks to try again later, with status {status}")]
    RetryLater {
        /// The status it answered with.
        status: u16,
        /// How long it asks to wait, if it said so in seconds.
        after: Option<Duration>,
    },
    /// No answer was had from a peer at this URL.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(#[from] Unreachable),
}

/// Why a peer gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The connection broke before the answer was complete; the envelope may have been taken.
    #[error("the connection broke")]
    Broken,
    /// Too many deliveries are under way here.
    #[error("too many deliveries are under way")]
    Busy,
    /// No connection was made.
    #[error("{0}")]
    Connect(ConnectError),
    /// It answered with a redirect, which is not followed.
    #[error("the peer redirects, which is not followed")]
    Redirected,
    /// The URL's scheme is not admitted.
    #[error("the URL's scheme is not admitted")]
    Scheme,
    /// It did not answer in time; the envelope may have been taken.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// It answered with a status that is no answer to a POST.
    #[error("the peer answered with the unexpected status {0}")]
    Unexpected(u16),
    /// The URL is malformed, too long, or carries user information.
    #[error("the URL is not one that can be delivered to")]
    Url,
}

impl Unreachable {
    /// Tells whether trying again at this URL is pointless until the peer or the operator changes
    /// something.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Connect(error) => {
                matches!(
                    error,
                    ConnectError::AddressDenied | ConnectError::Scheme | ConnectError::Url
                )
            }
            Self::Redirected | Self::Scheme | Self::Unexpected(_) | Self::Url => true,
            Self::Broken | Self::Busy | Self::TimedOut => false,
        }
    }
}

/// Delivers envelopes to peers' HTTP endpoints.
#[derive(Debug)]
pub struct Deliverer {
    client: Client,
    gate: HostGate,
    policy: AddressPolicy,
}

impl Deliverer {
    /// Makes a deliverer over a connector.
    pub fn new(connector: PeerConnector) -> Self {
        let policy = connector.policy();
        let idle = Idle { per_host_max: DELIVERIES_PER_HOST_MAX, kept: DELIVER_IDLE };
        Self {
            client: client::build(connector, &idle),
            gate: HostGate::new(DELIVERIES_PER_HOST_MAX, DELIVERIES_MAX),
            policy,
        }
    }

    /// Posts an envelope to the endpoint, with the work that was done for it if the peer demanded
    /// any, and reports what became of it.
    ///
    /// # Errors
    /// [`DeliverError`] says who has to act next.
    pub async fn post(
        &self,
        uri: &str,
        envelope: Bytes,
        media_type: MediaType,
        work: Option<&str>,
    ) -> Result<Delivered, DeliverError> {
        let url = PeerUrl::parse(uri, self.policy).map_err(|error| match error {
            UrlError::Malformed => Unreachable::Url,
            UrlError::Scheme => Unreachable::Scheme,
        })?;
        let sent = timeout(DELIVER_DEADLINE, self.send(url, envelope, media_type, work));
        let (_pass, response) = sent.await.unwrap_or(Err(Unreachable::TimedOut))?;
        judge(response).await
    }

    async fn send(
        &self,
        url: PeerUrl,
        envelope: Bytes,
        media_type: MediaType,
        work: Option<&str>,
    ) -> Result<(Pass<'_>, Response<Incoming>), Unreachable> {
        let pass = self.gate.enter(url.authority()).await.ok_or(Unreachable::Busy)?;
        let mut request = Request::new(Full::new(envelope));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.into_uri();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.as_str()));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(work) = work.and_then(|work| HeaderValue::from_str(work).ok()) {
            headers.insert(WORK, work);
        }

        let response = self.client.request(request).await.map_err(|error| {
            client::connect_error(&error).map_or(Unreachable::Broken, Unreachable::Connect)
        })?;
        Ok((pass, response))
    }
}

/// Turns a response into what it means for the envelope. The status decides, and it is here: a
/// body that never ends can take away the code or the answer, but not the decision.
async fn judge(response: Response<Incoming>) -> Result<Delivered, DeliverError> {
    let status = response.status();
    match status {
        _ if status.is_success() => {
            Ok(Delivered { status: status.as_u16(), answer: answer(response).await })
        }
        _ if may_pass(status) => {
            let after = retry_after(response.headers());
            // Reading the answer to its end lets the connection be used again.
            drop(read(response).await);
            Err(DeliverError::RetryLater { status: status.as_u16(), after })
        }
        _ if status.is_client_error() || status.is_server_error() => {
            let problem = problem(response).await;
            match problem.work.and_then(Demand::read) {
                Some(demand) if status == StatusCode::PAYMENT_REQUIRED => {
                    Err(DeliverError::Charged(demand))
                }
                _ => Err(DeliverError::Refused { status: status.as_u16(), code: problem.code }),
            }
        }
        _ if status.is_redirection() => Err(Unreachable::Redirected.into()),
        _ => Err(Unreachable::Unexpected(status.as_u16()).into()),
    }
}

async fn read(response: Response<Incoming>) -> Option<Bytes> {
    let body = response.into_body();
    read_body(body, DELIVER_ANSWER_BYTES_MAX, DELIVER_ANSWER_DEADLINE).await.ok()
}

/// Tells whether a status speaks of the moment and not of the envelope.
fn may_pass(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        _ => status.is_server_error(),
    }
}

/// Reads `Retry-After` in its form of seconds; the form of a date would need the peer's clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let all_digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits {
        return None;
    }
    // What does not fit an integer is longer than the longest wait anyway.
    Some(seconds.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs).min(RETRY_AFTER_MAX))
}

/// Takes the envelope out of a 2xx. An answer that is none, or is broken, changes nothing: the
/// envelope was accepted, and a reply that matters will be sent as a message of its own.
async fn answer(response: Response<Incoming>) -> Option<Answer> {
    let media_type = MediaType::of(response.headers());
    let unencoded = client::is_unencoded(response.headers());
    let envelope = read(response).await?;
    let media_type = media_type.filter(|_| unencoded)?;
    Some(Answer { media_type, envelope })
}

/// What is read of a refusal's body.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    work: Option<serde_json::Value>,
}

/// The member of a problem that says what work is demanded.
#[derive(Deserialize)]
struct Work {
    challenge: String,
    bits: u8,
}

impl Demand {
    fn read(work: serde_json::Value) -> Option<Self> {
        let Work { challenge, bits } = serde_json::from_value(work).ok()?;
        let is_unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let is_sound = (1..=CHALLENGE_BYTES_MAX).contains(&challenge.len())
            && challenge.bytes().all(is_unreserved);
        is_sound.then_some(Self { challenge, bits })
    }
}

/// Takes out of a refusal what can be used: a problem code, if it is a short word of the code
/// alphabet, so that it can be logged and shown; and the work that is demanded.
async fn problem(response: Response<Incoming>) -> Problem {
    let is_json = client::media_type(response.headers())
        .is_some_and(|essence| essence == "application/json" || essence.ends_with("+json"));
    let body = read(response).await.filter(|_| is_json).unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    Problem { code: problem.code.filter(|code| is_problem_code(code)), ..problem }
}

/// Tells whether a peer's words have the form of a problem code, so that they can be logged.
pub(super) fn is_problem_code(code: &str) -> bool {
    let in_alphabet = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    !code.is_empty() && code.len() <= PROBLEM_CODE_BYTES_MAX && code.bytes().all(in_alphabet)
}

#[cfg(test)]
mod tests;
