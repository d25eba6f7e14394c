//! did:web (W3C CCG did:web): which https URL holds the document of a DID, and the other way round.
//!
//! Does not fetch, and does not judge whether a host may be contacted. It is stricter than the method where the
//! method leaves room for two names of one thing or for tricks: the host is lower case, and percent-encoding is taken
//! only as the `%3A` before a port.

use crate::did::{Did, DidError};

/// Says where a did:web document is: `https://` host [`:` port] path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WebLocation {
    /// DNS name in lower case, or an IPv4 address (which only development setups use).
    pub host: String,
    /// Port, when it is not the default.
    pub port: Option<u16>,
    /// Absolute path, such as `/.well-known/did.json`.
    pub path: String,
}

impl WebLocation {
    /// Returns the https URL.
    #[must_use]
    pub fn https_url(&self) -> String {
        self.url("https")
    }

    /// Returns the URL under a scheme of the caller's choosing (development setups use plain http).
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        self.port.map_or_else(
            || format!("{scheme}://{}{}", self.host, self.path),
            |port| format!("{scheme}://{}:{port}{}", self.host, self.path),
        )
    }
}

/// Returns where the document of a did:web is.
///
/// # Errors
/// When the DID is not a did:web, or uses a spelling that is refused here.
pub fn document_url(did: &Did) -> Result<WebLocation, DidError> {
    if did.method() != "web" {
        return Err(DidError::Method);
    }
    locate(did.method_specific_id(), "did.json")
}

/// Reads host, port and path from the colon-separated form that did:web and did:webvh share.
pub(super) fn locate(spelled: &str, file: &str) -> Result<WebLocation, DidError> {
    let mut segments = spelled.split(':');
    let authority = segments.next().unwrap_or_default();
    let (host, port) = match authority.split_once("%3A").or_else(|| authority.split_once("%3a")) {
        Some((host, port)) => (host, Some(parse_port(port).ok_or(DidError::Method)?)),
        None => (authority, None),
    };
    if !is_host(host) {
        return Err(DidError::Method);
    }
    let mut path = String::new();
    for segment in segments {
        if !is_segment(segment) {
            return Err(DidError::Method);
        }
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push_str("/.well-known");
    }
    path.push('/');
    path.push_str(file);
    Ok(WebLocation { host: host.to_owned(), port, path })
}

/// Creates the did:web for a host, port and path.
///
/// # Errors
/// When a part could not be read back by [`document_url`].
pub fn did_for(host: &str, port: Option<u16>, segments: &[&str]) -> Result<Did, DidError> {
    let did = place_did("did:web:", host, port, segments)?;
    document_url(&did)?;
    Ok(did)
}

/// Spells a DID whose identifier ends in a place on the web, as did:web and did:webvh have it.
pub(super) fn place_did(
    prefix: &str,
    host: &str,
    port: Option<u16>,
    segments: &[&str],
) -> Result<Did, DidError> {
    let mut text = format!("{prefix}{}", host.to_ascii_lowercase());
    if let Some(port) = port {
        text.push_str(&format!("%3A{port}"));
    }
    for segment in segments {
        text.push(':');
        text.push_str(segment);
    }
    Did::parse(&text)
}

fn parse_port(text: &str) -> Option<u16> {
    // Only the canonical spelling, so that one port has one DID.
    let port: u16 = text.parse().ok()?;
    (0 < port && port.to_string() == text).then_some(port)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(did: &str) -> Result<String, DidError> {
        document_url(&Did::parse(did).unwrap()).map(|location| location.https_url())
    }

    #[test]
    fn the_examples_of_the_specification_map() {
        for (did, expected) in [
            ("did:web:w3c-ccg.github.io", "https://w3c-ccg.github.io/.well-known/did.json"),
            (
                "did:web:w3c-ccg.github.io:user:alice",
                "https://w3c-ccg.github.io/user/alice/did.json",
            ),
            (
                "did:web:example.com%3A3000:user:alice",
                "https://example.com:3000/user/alice/did.json",
            ),
        ] {
            assert_eq!(url(did).unwrap(), expected);
        }
    }

    #[test]
    fn tricks_are_refused() {
        for did in [
            "did:web:a.example%2Fpath",
            "did:web:a.example%40b.example",
            "did:web:user%3Apass%40b.example",
            "did:web:a.example%3A",
            "did:web:a.example%3A0",
            "did:web:a.example%3A080",
            "did:web:a.example%3A70000",
            "did:web:a.example%3A80%3A80",
            "did:web:A.example",
            "did:web:a..example",
            "did:web:a.example.",
            "did:web:-a.example",
            "did:web:a_b.example",
            "did:web:%61.example",
            "did:web:a.example:..:admin",
            "did:web:a.example:.:x",
            "did:web:a.example:%2e%2e:x",
            "did:web:a.example:x%2Fy",
            "did:web:a.example::x",
            "did:web:%5B::1%5D",
            "did:key:a.example",
        ] {
            assert_eq!(url(did), Err(DidError::Method), "{did}");
        }
    }

    #[test]
    fn made_ones_map_back() {
        let did = did_for("Org-B.example", Some(7700), &["agents", "bruno"]).unwrap();
        assert_eq!(did.as_str(), "did:web:org-b.example%3A7700:agents:bruno");
        let location = document_url(&did).unwrap();
        assert_eq!((location.host.as_str(), location.port), ("org-b.example", Some(7700)));
        assert_eq!(location.path, "/agents/bruno/did.json");
        assert!(did_for("a.example", None, &[".."]).is_err());
        assert!(did_for("a.example", None, &["a/b"]).is_err());
        assert!(did_for("", None, &[]).is_err());
    }
}
