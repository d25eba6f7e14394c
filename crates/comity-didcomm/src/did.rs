//! [`Did`] and [`DidUrl`] (W3C DID Core 1.0, section 3), and the DID methods of which this crate knows the rules.
//!
//! Nothing here fetches: [`resolve_self_contained`] answers for DIDs that carry their own document, and
//! [`web::document_url`] and [`webvh::log_url`] say where the document of the others would be.

mod url;

pub mod jwk;
pub mod key;
pub mod peer;
pub mod web;
pub mod webvh;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

pub use self::url::DidUrl;
use crate::document::DidDocument;
use crate::limits::DID_BYTES_MAX;

/// Says why a text is not a usable DID or DID URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DidError {
    /// It carries a document that is longer than one may be when its ids are written out, since the
    /// DID stands in each of them.
    #[error("the document that the DID carries is too long")]
    DocumentTooLong,
    /// The part after the method does not follow the rules of the method.
    #[error("the DID does not follow the rules of its method")]
    Method,
    /// Not of the form that DID Core prescribes.
    #[error("the text is not a DID")]
    Syntax,
    /// Longer than this crate takes.
    #[error("the DID is too long")]
    TooLong,
}

/// Identifies a party: `did:` method `:` identifier. Cheap to clone.
///
/// Comparison is that of the text, as DID Core says; [`Did::same_subject`] also knows the two forms of a did:peer:4.
///
/// ```
/// # use comity_didcomm::Did;
/// let did = Did::parse("did:web:org-b.example:agents:bruno")?;
/// assert_eq!(did.method(), "web");
/// assert!(Did::parse("did:web:org-b.example#key-1").is_err(), "that is a DID URL");
/// # Ok::<(), comity_didcomm::DidError>(())
/// ```
#[derive(Clone)]
pub struct Did {
    /// The DID, and behind it the rest of the DID URL that it was read with, which shares the text.
    text: Arc<str>,
    length: usize,
}

impl Did {
    /// Reads a DID.
    ///
    /// # Errors
    /// When the text is not one, or is too long.
    pub fn parse(text: &str) -> Result<Self, DidError> {
        Self::check(text)?;
        Ok(Self { text: text.into(), length: text.len() })
    }

    fn check(text: &str) -> Result<(), DidError> {
        if DID_BYTES_MAX < text.len() {
            return Err(DidError::TooLong);
        }
        let rest = text.strip_prefix("did:").ok_or(DidError::Syntax)?;
        let (method, id) = rest.split_once(':').ok_or(DidError::Syntax)?;
        let method_ok = !method.is_empty()
            && method.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let id_ok = !id.is_empty()
            && !id.ends_with(':')
            && is_spelled(id, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')
            });
        if method_ok && id_ok { Ok(()) } else { Err(DidError::Syntax) }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).unwrap_or_default()
    }

    /// Returns the name of the method, such as `web`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.as_str().split(':').nth(1).unwrap_or_default()
    }

    /// Returns the part after the method.
    #[must_use]
    pub fn method_specific_id(&self) -> &str {
        self.as_str().splitn(3, ':').nth(2).unwrap_or_default()
    }

    /// Returns the DID URL with this fragment. Characters that a fragment cannot have are percent-encoded.
    #[must_use]
    pub fn url(&self, fragment: &str) -> DidUrl {
        let mut text = String::with_capacity(self.length + 1 + fragment.len());
        text.push_str(self.as_str());
        text.push('#');
        for byte in fragment.bytes() {
            if is_suffix_byte(byte) || byte == b'%' {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        DidUrl::with_fragment(self.clone(), &text)
    }

    /// Whether both name the same subject: equal, or the long and the short form of one did:peer:4, whose
    /// hash is checked.
    #[must_use]
    pub fn same_subject(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        // The cheap look first: the hash is computed only for texts that could match.
        let (long, short) = if other.length < self.length { (self, other) } else { (other, self) };
        long.as_str().starts_with(short.as_str())
            && peer::long_to_short(long).is_some_and(|known| known == *short)
    }
}

impl PartialEq for Did {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Did {}

impl PartialOrd for Did {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Did {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Did {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Did {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

serde_as_string!(Did);

serde_as_string!(DidUrl);

/// Resolves a DID that carries its own document: did:key, did:jwk, did:peer:2 and the long form of did:peer:4.
///
/// Answers `None` for every other: did:web, the short form of did:peer:4 (which one must have seen the long form of),
/// and methods unknown here.
///
/// # Errors
/// When the DID belongs to one of those methods and breaks its rules.
pub fn resolve_self_contained(did: &Did) -> Result<Option<DidDocument>, DidError> {
    match did.method() {
        "jwk" => jwk::resolve(did).map(Some),
        "key" => key::resolve(did).map(Some),
        "peer" => peer::resolve(did),
        _ => Ok(None),
    }
}

/// Whether the text has only the bytes that the rule allows, and correct percent-encodings.
fn is_spelled(text: &str, allowed: fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let ok = if byte == b'%' {
            let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
            is_hex(bytes.next()) && is_hex(bytes.next())
        } else {
            allowed(byte)
        };
        if !ok {
            return false;
        }
    }
    true
}

/// What a path, query or fragment may hold (RFC 3986): nothing that JSON would have to escape.
const fn is_suffix_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
                | b'?'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dids_are_read_as_did_core_says() {
        for good in
            ["did:web:a.example", "did:a1:x", "did:web:a%3A80:b", "did:x::a", "did:key:zA_-."]
        {
            assert_eq!(Did::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "did",
            "did:",
            "did:web",
            "did:web:",
            "did::a",
            "did:Web:a",
            "DID:web:a",
            "did:web:a:",
            "did:web:a b",
            "did:web:a%3",
            "did:web:a%zz",
            "did:web:a/b",
            "did:web:a?b",
            "did:web:a#b",
            "did:web:\u{e4}",
            "did:web:a\0",
            " did:web:a",
            "did:web:a\n",
        ] {
            assert_eq!(Did::parse(bad), Err(DidError::Syntax), "{bad:?}");
        }
        let long = format!("did:x:{}", "a".repeat(DID_BYTES_MAX));
        assert_eq!(Did::parse(&long), Err(DidError::TooLong));
    }

    #[test]
    fn did_urls_keep_their_parts() {
        let url = DidUrl::parse("did:web:a.example/path?q=1#key-1").unwrap();
        assert_eq!((url.did().as_str(), url.fragment()), ("did:web:a.example", Some("key-1")));
        assert!(!url.is_key_id());
        let bare = DidUrl::parse("did:web:a.example").unwrap();
        assert_eq!((bare.fragment(), bare.as_str()), (None, "did:web:a.example"));
        let key = DidUrl::parse("did:web:a.example#key-1").unwrap();
        assert!(key.is_key_id());
        assert_eq!(key, key.did().url("key-1"));
        // The DID of a DID URL shares its text, and is equal to one that was read alone.
        let alone = Did::parse("did:web:a.example").unwrap();
        assert_eq!(key.did(), &alone);
        assert_eq!(DidUrl::from(key.did().clone()), bare);
        let both: std::collections::HashSet<Did> = [alone, key.did().clone()].into();
        assert_eq!(both.len(), 1);
        for bad in
            ["#a", "did:web:a#", "did:web:a#b#c", "did:web:a#\"", "did:web:a# ", "did:web:a?\\"]
        {
            assert!(DidUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_made_fragment_is_always_readable() {
        let url = Did::parse("did:web:a.example").unwrap().url("a b\"#\u{e9}");
        assert_eq!(url.as_str(), "did:web:a.example#a%20b%22%23%C3%A9");
        assert_eq!(DidUrl::parse(url.as_str()).unwrap(), url);
    }
}
