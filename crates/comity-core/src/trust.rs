//! Who may reach whom. The recipient decides, locally, and every decision says why.
//!
//! [`decide`] is the one policy function. It has one caller, `inbound::authorize`, so no way in
//! goes around it. What it needs to know comes in as [`Facts`]; the shell reads them and holds no
//! opinion of them.

mod decide;
mod entry;
mod level;
pub mod reputation;
pub mod score;

pub use decide::decide;
pub use entry::{Entry, EntryKind, Request, RequestState, subject};
pub use level::{Level, UnknownLevel};

use comity_didcomm::{Did, ProtocolId};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// What is being asked: may this sender reach this recipient with this protocol?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose policy it is.
    pub recipient: Did,
    /// Who sends, proven by a key.
    pub sender: Did,
    /// The protocol of the message.
    pub protocol: ProtocolId,
    /// The threads the message belongs to: its own, and its parent if it names one.
    pub threads: Vec<String>,
    /// How it came.
    pub way_in: WayIn,
    /// Size of the envelope in bytes.
    pub size_bytes: usize,
}

/// How a message came to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// Posted to the public listener.
    Direct,
    /// Kept by the relay that this home is behind, and fetched from there.
    Relay,
    /// Sent by an agent of the same home.
    SameHome,
}

/// Who the recipient is to this home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An agent that lives here.
    Agent,
    /// The home itself.
    Home,
}

/// What the shell found in its store about a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who the recipient is.
    pub recipient: Recipient,
    /// The recipient's entry about the sender.
    pub entry: Option<Entry>,
    /// The state of the sender's request, if one was made.
    pub request: Option<RequestState>,
    /// Whether the recipient has written to the sender in one of the question's threads.
    pub wrote_in_thread: bool,
    /// Whether the sender is this very home, reporting to its own agent.
    pub sender_is_home: bool,
    /// How many requests wait for the recipient's operator.
    pub requests_pending: i64,
}

impl Facts {
    /// Returns the facts about somebody who was never heard of.
    #[must_use]
    pub const fn nothing_known(recipient: Recipient) -> Self {
        Self {
            recipient,
            entry: None,
            request: None,
            wrote_in_thread: false,
            sender_is_home: false,
            requests_pending: 0,
        }
    }
}

/// The answer of [`decide`], with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is to be done.
    pub decision: Decision,
    /// Why, as a sentence for the recipient's operator.
    pub why: String,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it through.
    Allow(Admission),
    /// Keep it as a stranger's one request until the operator decides.
    Hold,
    /// Do not take it.
    Refuse(Refusal),
}

/// On what ground a message was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Admission {
    /// The operator has an entry for the sender.
    AllowList,
    /// It was a request, and the operator approved it.
    Approved,
    /// It is spoken between homes, about messages that are known to both.
    HomeProtocol,
    /// The agent's own home says it.
    OwnHome,
    /// The recipient wrote to the sender in this thread.
    Thread,
}

impl Admission {
    /// Returns the word that agents and operators see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowList => "allow-list",
            Self::Approved => "approved",
            Self::HomeProtocol => "home-protocol",
            Self::OwnHome => "own-home",
            Self::Thread => "thread",
        }
    }
}
