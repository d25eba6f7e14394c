//! The delivery ladder: how far a message got, as statements that verify offline.
//!
//! Implements Receipt 1.0, `docs/protocols/receipt.md`. A receipt is one line about one message;
//! many travel in one signed message of type `receipt`. Receipts are never answered by receipts.

mod apply;
mod compose;
mod verify;

pub use apply::{Rung, apply, apply_ack};
pub use compose::{compose_ack, compose_query, compose_receipts};
pub use verify::{
    QueryItem, ReceiptError, VerifiedReceipts, bounded, parse_query, parse_receipts, verify,
};

use std::fmt;
use std::str::FromStr;

use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// The sender's home has it, durably. Never sent in a receipt: it is the sender's own
    /// knowledge.
    Queued,
    /// The recipient's home has it, durably.
    Accepted,
    /// The recipient agent was handed it.
    Received,
    /// The recipient agent acknowledged it.
    Processed,
    /// The recipient, or its agent, did not want it.
    Refused,
    /// Its deadline passed before it was processed.
    Expired,
}

impl State {
    /// Every state, in the order of the ladder.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Accepted,
        Self::Received,
        Self::Processed,
        Self::Refused,
        Self::Expired,
    ];

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Processed | Self::Refused | Self::Expired)
    }

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepted => "accepted",
            Self::Received => "received",
            Self::Processed => "processed",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }

    /// Returns the byte that orders the states in a key.
    #[must_use]
    pub const fn rank(self) -> u8 {
        self as u8
    }
}

/// A word that is no [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such state")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(UnknownState)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a receipt message: this message, of this sender, to this recipient, got this far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Id of the message.
    pub id: String,
    /// Its sender.
    pub from: Did,
    /// Its recipient.
    pub to: Did,
    /// How far it got.
    pub state: State,
    /// When, in UTC seconds by the signer's clock.
    pub at: UnixTime,
    /// SHA-256 of the message's plaintext as received, base64url.
    pub digest: String,
    /// With `accepted`: index of the message's leaf in the log of the recipient's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// With `accepted`: true while the message waits for the operator as a stranger's request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// With `refused`: the problem-report code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `refused`: the reason in words, untrusted text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
