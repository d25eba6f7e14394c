//! The one way to fetch something that a peer names (ADR 0012, threat T22).
//!
//! A GET by https, to a checked address, without redirects, cookies, proxies or compression, at
//! most 64 KiB of JSON in 5 seconds (a did:webvh log: 1 MiB), four at a time per host. No error carries anything that the
//! host sent. It caches nothing; `resolve.rs` does.

use bytes::Bytes;
use comity_didcomm::limits::WEBVH_LOG_BYTES_MAX;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    address::AddressPolicy,
    body::{self, BodyError},
    client::{self, Client, Idle, PeerUrl, UrlError},
    connect::ConnectError,
    gate::HostGate,
    limits::{
        DELIVER_IDLE, FETCH_BODY_BYTES_MAX, FETCH_DEADLINE, FETCHES_MAX, FETCHES_PER_HOST_MAX,
    },
    tls::PeerConnector,
};

/// Why nothing was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The body broke off.
    #[error("the answer broke off")]
    Broken,
    /// Too many fetches are under way.
    #[error("too many fetches are under way")]
    Busy,
    /// No connection was made.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The answer is not JSON, or is compressed.
    #[error("the answer is not plain JSON")]
    ContentType,
    /// The host does not have it.
    #[error("the host does not have the document")]
    NotFound,
    /// The host answered with a redirect, which is not followed.
    #[error("the host redirects, which is not followed")]
    Redirected,
    /// The URL's scheme is not admitted.
    #[error("the URL's scheme is not admitted")]
    Scheme,
    /// The host answered with another status than 200.
    #[error("the host answered with status {0}")]
    Status(u16),
    /// It took longer than the deadline.
    #[error("the answer did not arrive in time")]
    TimedOut,
    /// The answer is larger than the cap.
    #[error("the answer is too large")]
    TooLarge,
    /// The URL is malformed, too long, or carries user information.
    #[error("the URL is not one that can be fetched")]
    Url,
}

impl FetchError {
    /// Tells whether the same fetch may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken | Self::Busy | Self::TimedOut => true,
            Self::Connect(error) => !matches!(
                error,
                ConnectError::AddressDenied | ConnectError::Scheme | ConnectError::Url
            ),
            Self::Status(status) => *status == 408 || *status == 429 || 500 <= *status,
            Self::ContentType
            | Self::NotFound
            | Self::Redirected
            | Self::Scheme
            | Self::TooLarge
            | Self::Url => false,
        }
    }
}

/// Fetches small JSON documents safely.
///
/// ```no_run
/// # async fn example() -> Result<(), comity_net::FetchError> {
/// use comity_net::{AddressPolicy, Fetcher, PeerConnector, SafeConnector, Trust};
///
/// let safe = SafeConnector::new(AddressPolicy::Public);
/// let fetcher = Fetcher::new(PeerConnector::new(safe, Trust::Native));
/// let document = fetcher.get("https://org-b.example/.well-known/did.json", "application/did+json").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    gate: HostGate,
    policy: AddressPolicy,
}

impl Fetcher {
    /// Makes a fetcher over a connector.
    pub fn new(connector: PeerConnector) -> Self {
        let policy = connector.policy();
        // Hosts are asked every few minutes at most: keeping connections to them has no use.
        let idle = Idle { per_host_max: 0, kept: DELIVER_IDLE };
        Self {
            client: client::build(connector, &idle),
            gate: HostGate::new(FETCHES_PER_HOST_MAX, FETCHES_MAX),
            policy,
        }
    }

    /// Returns the policy that URLs and addresses are checked by.
    pub fn policy(&self) -> AddressPolicy {
        self.policy
    }

    /// Fetches the JSON document at the URL, asking for the media type `accept`.
    ///
    /// # Errors
    /// [`FetchError`] says why there is none; it holds nothing that the host sent.
    pub async fn get(&self, url: &str, accept: &'static str) -> Result<Bytes, FetchError> {
        self.get_up_to(url, accept, FETCH_BODY_BYTES_MAX).await
    }

    /// Fetches the JSON document at the URL, if it has no more bytes than that.
    pub(crate) async fn get_up_to(
        &self,
        url: &str,
        accept: &'static str,
        bytes_max: usize,
    ) -> Result<Bytes, FetchError> {
        self.get_wanted(url, Want { accept, bytes_max, is_fit: is_json, token: None }).await
    }

    /// Fetches the log of a did:webvh at the URL; it is not verified.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_log(&self, url: &str) -> Result<Bytes, FetchError> {
        let accept = "text/jsonl, application/jsonl;q=0.9";
        let want = Want { accept, bytes_max: WEBVH_LOG_BYTES_MAX, is_fit: is_log, token: None };
        self.get_wanted(url, want).await
    }

    /// Posts text to the URL, as to a witness of a log, and returns the status and the body of the
    /// answer, whatever they are.
    ///
    /// # Errors
    /// [`FetchError`] says why there is no answer.
    pub async fn post_text(&self, url: &str, text: String) -> Result<(u16, Bytes), FetchError> {
        let url = self.check(url)?;
        let asked = timeout(FETCH_DEADLINE, async {
            let _pass = self.gate.enter(url.authority()).await.ok_or(FetchError::Busy)?;
            let mut request = Request::new(Full::new(Bytes::from(text)));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = url.clone().into_uri();
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            let response = self.client.request(request).await.map_err(no_answer)?;
            let status = response.status().as_u16();
            let body = body::collect(response.into_body(), FETCH_BODY_BYTES_MAX).await;
            Ok((status, body.map_err(no_body)?))
        });
        asked.await.unwrap_or(Err(FetchError::TimedOut))
    }

    /// Fetches a resource of a log at the URL, showing a token if the log is not for everybody.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_resource(&self, url: &str, token: Option<&str>) -> Result<Bytes, FetchError> {
        let accept = "application/octet-stream, text/plain;q=0.9";
        let want = Want { accept, bytes_max: FETCH_BODY_BYTES_MAX, is_fit: is_resource, token };
        self.get_wanted(url, want).await
    }

    fn check(&self, url: &str) -> Result<PeerUrl, FetchError> {
        PeerUrl::parse(url, self.policy).map_err(|error| match error {
            UrlError::Malformed => FetchError::Url,
            UrlError::Scheme => FetchError::Scheme,
        })
    }

    async fn get_wanted(&self, url: &str, want: Want<'_>) -> Result<Bytes, FetchError> {
        let url = self.check(url)?;
        timeout(FETCH_DEADLINE, self.get_checked(url, want))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn get_checked(&self, url: PeerUrl, want: Want<'_>) -> Result<Bytes, FetchError> {
        let _pass = self.gate.enter(url.authority()).await.ok_or(FetchError::Busy)?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.into_uri();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(want.accept));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let token = want.token.and_then(|token| HeaderValue::from_str(token).ok());
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token);
        }

        let response = self.client.request(request).await.map_err(no_answer)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FetchError::NotFound),
            status if status.is_redirection() => return Err(FetchError::Redirected),
            status => return Err(FetchError::Status(status.as_u16())),
        }
        if !is_plain(response.headers(), want.is_fit) {
            return Err(FetchError::ContentType);
        }
        body::collect(response.into_body(), want.bytes_max).await.map_err(no_body)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors, which are given away")]
fn no_answer(error: hyper_util::client::legacy::Error) -> FetchError {
    client::connect_error(&error).map_or(FetchError::Broken, FetchError::Connect)
}

const fn no_body(error: BodyError) -> FetchError {
    match error {
        BodyError::Broken => FetchError::Broken,
        BodyError::TimedOut => FetchError::TimedOut,
        BodyError::TooLarge => FetchError::TooLarge,
    }
}

/// What a fetch may bring.
#[derive(Clone, Copy)]
struct Want<'t> {
    accept: &'static str,
    bytes_max: usize,
    /// Whether a media type is one of those.
    is_fit: fn(&str) -> bool,
    /// What is shown for it in the header `Authorization`.
    token: Option<&'t str>,
}

fn is_resource(essence: &str) -> bool {
    ["application/octet-stream", "text/plain"].contains(&essence)
}

fn is_plain(headers: &HeaderMap, is_fit: fn(&str) -> bool) -> bool {
    client::media_type(headers).is_some_and(|essence| is_fit(&essence))
        && client::is_unencoded(headers)
}

/// Tells whether the answer claims to be JSON, under whichever of its media types (`+json`, RFC
/// 6839), so that a page or a text that happens to parse is not taken for a document.
fn is_json(essence: &str) -> bool {
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Hosts of files do not know `.jsonl`; that a log is one, its hashes say.
fn is_log(essence: &str) -> bool {
    let known = ["text/jsonl", "application/jsonl", "text/plain", "application/octet-stream"];
    known.contains(&essence) || is_json(essence)
}

#[cfg(test)]
mod tests;
