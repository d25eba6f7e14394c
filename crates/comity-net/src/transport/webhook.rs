//! Posts to a webhook: one URL that the operator chose, under the same rules as anything that a peer
//! names (threat T32). The address is checked when it is connected to, and no redirect is followed.
//! What is posted, how it is signed and when it is tried again is the caller's.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;
use tokio::time::timeout;

use super::http::{Unreachable, retry_after};
use crate::{
    address::AddressPolicy,
    body::read_body,
    client::{self, Client, Idle, PeerUrl, UrlError},
    limits::{DELIVER_ANSWER_DEADLINE, DELIVER_DEADLINE, DELIVER_IDLE, WEBHOOK_ANSWER_BYTES_MAX},
    tls::PeerConnector,
};

/// What a webhook answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status, whatever it is.
    pub status: u16,
    /// How long it asks to wait, if it said so in seconds.
    pub after: Option<Duration>,
}

/// Posts JSON to a webhook.
///
/// ```no_run
/// # async fn example() -> Result<(), comity_net::Unreachable> {
/// use comity_net::{AddressPolicy, PeerConnector, SafeConnector, Trust, WebhookPoster};
///
/// let safe = SafeConnector::new(AddressPolicy::Public);
/// let poster = WebhookPoster::new(PeerConnector::new(safe, Trust::Native));
/// let answer = poster.post("https://org-b.example/hook", http::HeaderMap::new(), "{}".into()).await?;
/// assert_eq!(answer.status, 204);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebhookPoster {
    client: Client,
    policy: AddressPolicy,
}

impl WebhookPoster {
    /// Makes a poster over a connector.
    pub fn new(connector: PeerConnector) -> Self {
        let policy = connector.policy();
        let idle = Idle { per_host_max: 1, kept: DELIVER_IDLE };
        Self { client: client::build(connector, &idle), policy }
    }

    /// Posts a JSON body with these headers, and reports the answer.
    ///
    /// # Errors
    /// When there was none, [`Unreachable`] says why.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<WebhookAnswer, Unreachable> {
        let url = PeerUrl::parse(url, self.policy).map_err(|error| match error {
            UrlError::Malformed => Unreachable::Url,
            UrlError::Scheme => Unreachable::Scheme,
        })?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.into_uri();
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answered = timeout(DELIVER_DEADLINE, self.client.request(request)).await;
        let answer = answered.map_err(|_elapsed| Unreachable::TimedOut)?.map_err(|error| {
            client::connect_error(&error).map_or(Unreachable::Broken, Unreachable::Connect)
        })?;
        let (status, after) = (answer.status().as_u16(), retry_after(answer.headers()));
        // Reading a short answer to its end lets the connection be used again; a long one ends it.
        let rest = read_body(answer.into_body(), WEBHOOK_ANSWER_BYTES_MAX, DELIVER_ANSWER_DEADLINE);
        drop(rest.await);
        Ok(WebhookAnswer { status, after })
    }
}

#[cfg(test)]
mod tests;
