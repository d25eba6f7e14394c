//! [`MessageId`] (DIDComm v2.1, section "Message Headers"): short, of URI characters, compared
//! without regard to case.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use rand_core::CryptoRng;
use thiserror::Error;

use crate::limits::MESSAGE_ID_CHARS_MAX;

/// Says that a text cannot be the id of a message or of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an id has 1 to 64 characters out of A-Z a-z 0-9 - . _ ~")]
pub struct IdError;

/// Identifies a message among those of its sender.
///
/// Takes 1 to 64 unreserved URI characters: the specification advises 32 at most, but a UUID in
/// text has 36. Keeps the spelling it came in; equality and hash ignore case, as the specification
/// demands.
///
/// ```
/// # use comity_didcomm::MessageId;
/// let id = MessageId::parse("4F3C-a1")?;
/// assert_eq!(id, MessageId::parse("4f3c-A1")?);
/// assert_eq!((id.as_str(), id.canonical()), ("4F3C-a1", "4f3c-a1".to_owned()));
/// # Ok::<(), comity_didcomm::IdError>(())
/// ```
#[derive(Clone)]
pub struct MessageId(Box<str>);

impl MessageId {
    /// Reads an id.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_id(text) { Ok(Self(text.into())) } else { Err(IdError) }
    }

    /// Creates an id of 128 random bits, which nobody guesses or repeats.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        // Not base64url: ids that differ only in case are equal.
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }

    /// Returns the id as it was spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the spelling under which equal ids are equal texts.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// Whether the text may be an id; thread ids follow the same rule, being ids of first messages.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MESSAGE_ID_CHARS_MAX).contains(&text.len()) && is_unreserved(text)
}

pub(crate) fn is_unreserved(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

impl PartialEq for MessageId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for MessageId {}

impl Hash for MessageId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

serde_as_string!(MessageId);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn case_does_not_make_another_id() {
        let ids: HashSet<MessageId> =
            ["Ab", "aB", "ab", "ba"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(ids.len(), 2);
        let keys: HashSet<String> = ids.iter().map(MessageId::canonical).collect();
        assert_eq!(keys, ["ab", "ba"].map(str::to_owned).into());
    }

    #[test]
    fn length_and_characters_are_checked() {
        assert!(MessageId::parse(&"a".repeat(64)).is_ok());
        assert!(MessageId::parse("0191d3b0-8a7c-7c1e-b2d5-9d4a6a0f1c2e").is_ok());
        for bad in ["", &"a".repeat(65), "a b", "a/b", "a%20", "\u{e9}", "a\0", "urn:uuid:1"] {
            assert_eq!(MessageId::parse(bad), Err(IdError), "{bad:?}");
        }
    }
}
