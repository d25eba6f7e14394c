//! Client of a node's local listener over HTTP/1.1: the few calls beside the socket, and the admin API for whoever
//! holds its token. Plain http only: the listener is on the loopback interface.

use std::time::Duration;

use bytes::Bytes;
use comity_core::api::Problem;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits;

/// Why a call of the local listener failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection ended before the answer did.
    #[error("the connection to the node broke off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The node answered with a problem.
    #[error("the node refused the call ({})", .0.code)]
    Refused(Problem),
    /// The node did not answer in time.
    #[error("the node did not answer in time")]
    Timeout,
    /// No node answers at the address.
    #[error("no node can be reached at this address")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is not what the interface promises.
    #[error("the node's answer cannot be read")]
    Unreadable,
}

/// Why an address or a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The name cannot be that of an agent.
    #[error("not the name of an agent")]
    Name,
    /// The token holds characters that no token has.
    #[error("the token holds characters that no token has")]
    Token,
    /// The address is not `http://HOST:PORT`.
    #[error("the address of a node's local listener looks like http://127.0.0.1:7701")]
    Url,
}

/// A client of one node's local listener.
#[derive(Clone, Debug)]
pub struct LocalClient {
    authority: String,
    client: Client<HttpConnector, Full<Bytes>>,
    headers: HeaderMap,
}

impl LocalClient {
    /// Creates a client for `url`, such as `http://127.0.0.1:7701`, that shows this bearer token.
    ///
    /// # Errors
    /// If the address or the token cannot be one.
    pub fn new(url: &str, token: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::Url)?;
        let authority = uri.authority().ok_or(AddressError::Url)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme_str() != Some("http") || !bare || authority.as_str().contains('@') {
            return Err(AddressError::Url);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| AddressError::Token)?;
        bearer.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits::CONNECT_MAX));
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            client: Client::builder(TokioExecutor::new()).build(connector),
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
        })
    }

    /// Speaks for the agent of this name; the token is then the admin token.
    ///
    /// # Errors
    /// If no agent can have the name.
    pub fn as_agent(mut self, name: &str) -> Result<Self, AddressError> {
        let name = HeaderValue::from_str(name).map_err(|_| AddressError::Name)?;
        self.headers.insert("comity-agent", name);
        Ok(self)
    }

    /// Gets what is at `path` (which begins with a slash and may have a query).
    ///
    /// # Errors
    /// If the node cannot be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.get_within(path, limits::CALL_MAX).await
    }

    /// Gets what is at `path`, for calls that wait at the node.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<T, CallError> {
        self.call(Method::GET, path, Bytes::new(), within).await
    }

    /// Posts `content` to `path`.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        content: &B,
    ) -> Result<T, CallError> {
        self.post_within(path, content, limits::CALL_MAX).await
    }

    /// Posts `content` to `path`, for calls that take the node longer, such as a look-up of somebody far away.
    ///
    /// # Errors
    /// Like [`get`](Self::get).
    pub async fn post_within<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        content: &B,
        within: Duration,
    ) -> Result<T, CallError> {
        let content = serde_json::to_vec(content).map_err(|_| CallError::Unreadable)?;
        self.call(Method::POST, path, content.into(), within).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: Bytes,
        within: Duration,
    ) -> Result<T, CallError> {
        let uri = format!("http://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
            if !content.is_empty() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
        let request = request.body(Full::new(content)).map_err(|_| CallError::Unreadable)?;
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| {
                let is_absent = error.is_connect();
                let error = Box::new(error);
                if is_absent { CallError::Unreachable(error) } else { CallError::BrokenOff(error) }
            })?;
            let status = answer.status();
            let content = Limited::new(answer.into_body(), limits::ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| {
                    let is_too_long = error.is::<LengthLimitError>();
                    if is_too_long { CallError::Unreadable } else { CallError::BrokenOff(error) }
                })?;
            Ok((status, content.to_bytes()))
        };
        let (status, content) =
            tokio::time::timeout(within, exchange).await.map_err(|_| CallError::Timeout)??;
        if !status.is_success() {
            return Err(CallError::Refused(problem(status, &content)));
        }
        serde_json::from_slice(&content).map_err(|_| CallError::Unreadable)
    }

    /// Returns `host:port`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the headers that every call carries.
    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Reads a problem, or makes one of the status alone.
pub(crate) fn problem(status: StatusCode, content: &[u8]) -> Problem {
    serde_json::from_slice(content).unwrap_or_else(|_| Problem {
        status: status.as_u16(),
        code: format!("http.{}", status.as_u16()),
        title: status.canonical_reason().unwrap_or("HTTP error").to_owned(),
        hint: "Check that the address is that of the node's local listener".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_http_address_is_one() {
        assert!(LocalClient::new("http://127.0.0.1:7701", "t").is_ok());
        assert!(LocalClient::new("http://localhost:7701/", "t").is_ok());
        for url in [
            "https://127.0.0.1:7701",
            "127.0.0.1:7701",
            "http://h/v1",
            "http://u@h:1",
            "",
            "http://",
        ] {
            assert_eq!(LocalClient::new(url, "t").unwrap_err(), AddressError::Url, "{url}");
        }
    }

    #[test]
    fn no_token_shows_in_debug_output() {
        let client = LocalClient::new("http://127.0.0.1:7701", "s3cret").unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
        let split = LocalClient::new("http://127.0.0.1:7701", "a\r\nb");
        assert_eq!(split.unwrap_err(), AddressError::Token);
    }
}
