//! The HTTP client that fetching and delivering share: which URLs it takes, how it is built, and
//! what went wrong below HTTP. The deadlines and the meaning of statuses are its users'.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Uri, header};
use http_body_util::Full;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    address::AddressPolicy,
    connect::ConnectError,
    limits::{CLIENT_BUFFER_BYTES_MAX, CLIENT_HEADERS_MAX, URL_BYTES_MAX},
    tls::PeerConnector,
};

pub(crate) type Client = legacy::Client<PeerConnector, Full<Bytes>>;

/// How many unused connections are kept for later, and how long.
pub(crate) struct Idle {
    pub(crate) per_host_max: usize,
    pub(crate) kept: Duration,
}

pub(crate) fn build(connector: PeerConnector, idle: &Idle) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle.per_host_max)
        .pool_idle_timeout(idle.kept)
        .http1_max_buf_size(CLIENT_BUFFER_BYTES_MAX)
        .http1_max_headers(CLIENT_HEADERS_MAX)
        .build(connector)
}

/// Why a URL is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    Malformed,
    Scheme,
}

/// A URL that may be asked: absolute, of an admitted scheme, without user information.
#[derive(Clone, Debug)]
pub(crate) struct PeerUrl {
    uri: Uri,
}

impl PeerUrl {
    pub(crate) fn parse(url: &str, policy: AddressPolicy) -> Result<Self, UrlError> {
        if URL_BYTES_MAX < url.len() || url.contains(['#', '\\']) {
            return Err(UrlError::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_error| UrlError::Malformed)?;
        let scheme = uri.scheme_str().ok_or(UrlError::Malformed)?;
        if !policy.admits_scheme(scheme) {
            return Err(UrlError::Scheme);
        }
        let authority = uri.authority().ok_or(UrlError::Malformed)?;
        // `https://good.example@evil.example/` looks like the one and asks the other.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(UrlError::Malformed);
        }
        // `https://a.example:/` and `:99999` have a port that is not one.
        if authority.as_str().len() != authority.host().len() && authority.port_u16().is_none() {
            return Err(UrlError::Malformed);
        }
        Ok(Self { uri })
    }

    pub(crate) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }

    pub(crate) fn into_uri(self) -> Uri {
        self.uri
    }
}

/// Finds the connector's error in the client's.
pub(crate) fn connect_error(error: &legacy::Error) -> Option<ConnectError> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<ConnectError>() {
            return Some(*error);
        }
        source = cause.source();
    }
    None
}

/// Returns the media type of a message, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
}

/// Tells whether the body is sent as it is, neither compressed nor otherwise encoded.
pub(crate) fn is_unencoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_urls_are_taken() {
        for url in [
            "https://org-b.example",
            "https://org-b.example/.well-known/did.json",
            "https://org-b.example:8443/a/b?c=d",
            "https://[2606:4700::1111]:8443/",
            "https://8.8.8.8/",
        ] {
            assert!(PeerUrl::parse(url, AddressPolicy::Public).is_ok(), "{url}");
        }
        for url in [
            "",
            "/relative",
            "org-b.example",
            "//org-b.example/",
            "https://",
            "https:///path",
            "https://user@org-b.example/",
            "https://user@org-b.example:443/",
            "https://user:secret@org-b.example/",
            "https://org-b.example@evil.example/",
            "https://org-b.example:/",
            "https://org-b.example:99999/",
            "https://org-b.example:-1/",
            "https://org-b.example\\@evil.example/",
            "https://org-b.example/#fragment",
            "https://org-b.example/a b",
            "https://org-b.example/\r\nX: y",
            "https://[::1/",
        ] {
            let outcome = PeerUrl::parse(url, AddressPolicy::Development);
            assert_eq!(outcome.err(), Some(UrlError::Malformed), "{url}");
        }
        let long = format!("https://org-b.example/{}", "a".repeat(URL_BYTES_MAX));
        assert!(PeerUrl::parse(&long, AddressPolicy::Public).is_err());
    }

    #[test]
    fn other_schemes_are_refused() {
        for url in ["http://a.example/", "ftp://a.example/", "ws://a.example/", "file://a/b"] {
            let outcome = PeerUrl::parse(url, AddressPolicy::Public);
            assert_eq!(outcome.err(), Some(UrlError::Scheme), "{url}");
        }
        assert!(PeerUrl::parse("http://a.example/", AddressPolicy::Development).is_ok());
    }
}
