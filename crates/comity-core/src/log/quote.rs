//! What a node tells its counterparties of its log, and of theirs as it knows it: the member `log` of
//! a receipt message (`docs/protocols/receipt.md`, section 3).

use comity_didcomm::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::note::VerifierKey;
use crate::limits::NOTE_BYTES_MAX;

/// The state of a log, and what its keeper knows of the reader's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuote {
    /// The latest checkpoint, a signed note.
    pub checkpoint: String,
    /// The key that signed it; its name is the log's origin.
    pub key: VerifierKey,
    /// The latest checkpoint of the reader's log that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// URL under which the log is served, as `/log/`, and checkpoints are taken, as `/witness/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The key with which the node cosigns others' checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<VerifierKey>,
}

impl LogQuote {
    /// Reads the quote of a receipt message; nothing if there is none, or it is no quote.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        Self::read(message.body.get("log")?)
    }

    /// Reads a quote; nothing if it is none.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let quote = Self::deserialize(value).ok()?;
        let notes = [Some(&quote.checkpoint), quote.seen.as_ref()];
        let is_bounded = notes.into_iter().flatten().all(|note| note.len() <= NOTE_BYTES_MAX);
        is_bounded.then_some(quote)
    }
}
