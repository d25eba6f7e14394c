//! Admission at relays (`docs/protocols/admission.md`): how a relay tells the friends of a recipient
//! from strangers without learning who either is.
//!
//! A recipient behind a relay gives it a *rule*: the key that verifies the recipient's *tokens*. A
//! token says that the holder of a pairwise key is let in as a friend, and nothing else; whoever
//! shows it proves the possession of that key anew for each message ([`Pass`]). What comes with both
//! has the recipient's full quota, and the rest waits in a small pool of its own ([`Class`]).
//!
//! Pure: keys are derived from a home's one [`Secret`], times are arguments.

mod compact;
mod issue;
mod pass;
mod proof;
mod secret;
mod token;

pub use issue::{Earned, Issued, issue};
pub use pass::{HeldToken, Pass, offered_key};
pub use secret::Secret;
pub use token::{Token, make_token, read_token};

use comity_didcomm::{Did, PublicKey, UnixTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

/// What a message is to its recipient, as its relay sees it at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It came with a token of the recipient's.
    Friend,
    /// Its sender paid the stranger's price.
    Paid,
    /// Nobody knows.
    Stranger,
}

impl Class {
    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Friend => "friend",
            Self::Paid => "paid",
            Self::Stranger => "stranger",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Friend, Self::Paid, Self::Stranger].into_iter().find(|class| class.as_str() == word)
    }
}

/// What a recipient has told its relay about who is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Verifies its tokens.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub key: PublicKey,
    /// The part of its quota that strangers may fill, in percent; none: as the relay has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_percent: Option<u8>,
}

/// Why a message is not a friend's. No peer is told: it is a stranger's then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It shows nothing.
    #[error("there is no token")]
    Absent,
    /// What it shows has not the form that the protocol prescribes.
    #[error("the token or its proof is malformed")]
    Malformed,
    /// The token or the proof is about another recipient, or the proof about another message.
    #[error("the token or its proof is about something else")]
    Other,
    /// The signature of the token is not the recipient's, or that of the proof not the holder's.
    #[error("a signature does not verify")]
    Signature,
    /// The token has run out, or is for longer than tokens may be.
    #[error("the token is not valid at this time")]
    Time,
}

/// Checks what a forward shows: a token of this recipient under its rule, and a proof that whoever
/// sends this payload holds the token's key.
///
/// # Errors
/// When it is not a friend's.
pub fn check(
    shown: Option<&Value>,
    rule: &Rule,
    recipient: &Did,
    payload: &[u8],
    now: UnixTime,
) -> Result<(), NotAdmitted> {
    let shown = shown.ok_or(NotAdmitted::Absent)?.as_object().ok_or(NotAdmitted::Malformed)?;
    let member = |name: &str| shown.get(name).and_then(Value::as_str).ok_or(NotAdmitted::Malformed);
    let (token, proof) = (member("token")?, member("proof")?);
    let holder = token::verify(token, &rule.key, recipient, now)?;
    proof::verify(proof, &holder, recipient, payload)
}

fn write_key<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.to_multibase())
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    PublicKey::from_multibase(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
