//! [`DidUrl`] (W3C DID Core 1.0, section 3.2). Resolving is somebody else's; this reads and
//! compares.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::{Did, DidError, is_spelled, is_suffix_byte};
use crate::limits::DID_URL_SUFFIX_BYTES_MAX;

/// Names something in a DID's document, mostly a key: a [`Did`] with an optional path, query and
/// fragment. Cheap to clone.
#[derive(Clone)]
pub struct DidUrl {
    text: Arc<str>,
    did: Did,
}

impl DidUrl {
    /// Takes a text that begins with the DID and goes on with a correct fragment.
    pub(super) fn with_fragment(did: Did, text: &str) -> Self {
        Self { text: text.into(), did }
    }

    /// Reads an absolute DID URL.
    ///
    /// # Errors
    /// When the text is not one, or is too long.
    pub fn parse(text: &str) -> Result<Self, DidError> {
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let (did, suffix) = text.split_at(end);
        Did::check(did)?;
        if DID_URL_SUFFIX_BYTES_MAX < suffix.len() {
            return Err(DidError::TooLong);
        }
        let new = || {
            let text: Arc<str> = text.into();
            Self { did: Did { text: Arc::clone(&text), length: end }, text }
        };
        if suffix.is_empty() {
            return Ok(new());
        }
        let (before, fragment) = suffix.split_once('#').unwrap_or((suffix, "-"));
        let before_ok = is_spelled(before, is_suffix_byte);
        let fragment_ok = !fragment.is_empty() && is_spelled(fragment, is_suffix_byte);
        if before_ok && fragment_ok { Ok(new()) } else { Err(DidError::Syntax) }
    }

    /// Returns the DID it begins with.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// Returns the part after `#`.
    #[must_use]
    pub fn fragment(&self) -> Option<&str> {
        self.text.split_once('#').map(|(_, fragment)| fragment)
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is nothing but a DID and a fragment, as a key id is.
    pub(crate) fn is_key_id(&self) -> bool {
        self.text.as_bytes().get(self.did.length) == Some(&b'#')
    }

    /// Whether both name the same thing: equal, or equal but for the two forms of one did:peer:4.
    pub(crate) fn same_resource(&self, other: &Self) -> bool {
        self == other
            || (self.text.get(self.did.length..) == other.text.get(other.did.length..)
                && self.did.same_subject(&other.did))
    }
}

impl PartialEq for DidUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DidUrl {}

impl PartialOrd for DidUrl {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DidUrl {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for DidUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl From<Did> for DidUrl {
    fn from(did: Did) -> Self {
        let is_whole = did.length == did.text.len();
        Self { text: if is_whole { Arc::clone(&did.text) } else { did.as_str().into() }, did }
    }
}

impl fmt::Display for DidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DidUrl {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::parse(text)
    }
}
