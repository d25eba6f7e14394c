//! What an operator has decided about somebody, and what somebody has asked for.

use comity_didcomm::{Did, ProtocolId, UnixTime, did};
use serde::{Deserialize, Serialize};

/// An operator's decision about one sender, for one of the operator's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whom it is about.
    pub did: Did,
    /// What was decided.
    pub kind: EntryKind,
    /// The protocols it covers; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<ProtocolId>,
    /// Until when it holds; `None`: until changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixTime>,
    /// When it was made.
    pub decided_at: UnixTime,
}

/// What an [`Entry`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// May send.
    Allow,
    /// Must not send.
    Deny,
    /// Was allowed once and is not any more.
    Revoke,
}

impl Entry {
    /// Whether the entry has run out.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the entry covers a protocol: by name and major version, as DIDComm compares protocol
    /// identifiers.
    #[must_use]
    pub fn covers(&self, protocol: &ProtocolId) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|known| known.matches(protocol))
    }

    /// Returns the word that operators see in `comity allowed`.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> &'static str {
        match self.kind {
            EntryKind::Allow if self.is_over(now) => "expired",
            EntryKind::Allow => "allowed",
            EntryKind::Deny => "denied",
            EntryKind::Revoke => "revoked",
        }
    }
}

/// A stranger's first message, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub did: Did,
    /// The protocol of the message.
    pub protocol: ProtocolId,
    /// Where the request stands.
    pub state: RequestState,
    /// When it came.
    pub received_at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
}

/// Where a [`Request`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// The operator has not decided.
    Pending,
}

/// Returns the DID under which decisions about somebody are kept: a did:peer:4 is one subject under
/// its long and its short form.
#[must_use]
pub fn subject(did: &Did) -> Did {
    did::peer::long_to_short(did).unwrap_or_else(|| did.clone())
}
