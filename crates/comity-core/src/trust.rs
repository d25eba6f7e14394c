//! Who may reach whom, how far, and why. The recipient decides, locally, and every decision says why.
//!
//! [`decide`] is the one policy function. It has one caller, `inbound::authorize`, so no way in
//! goes around it; [`Fence`] is its counterpart on the way out. What they need to know comes in
//! as [`Facts`]; the shell reads them and holds no opinion of them.

mod allowance;
mod approve;
mod contact;
mod decide;
mod entry;
mod explain;
mod fence;
mod level;
mod policy;
mod successor;

pub use allowance::{Limits, Meter, MeterId, Used};
pub use approve::Approval;
pub use contact::{Changed, Contact, Prior, pinned_keys};
pub use decide::decide;
pub use entry::{Direction, Entry, EntryKind, Request, RequestState, Whom, WhomError, subject};
pub use explain::{Explanation, explain};
pub(crate) use fence::may_write;
pub use fence::{Fence, Passage, may_look_up};
pub use level::{Level, LevelError};
pub use policy::{OutboundRule, Policy, PolicySettings, Template, TemplateError};

use std::sync::Arc;

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
    /// The sender's keys, as [`Contact::keys`].
    pub keys: Vec<String>,
    /// Who the sender was before, as the holder of that DID has signed (`from_prior`).
    pub prior: Option<Prior>,
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

impl WayIn {
    /// Every way in.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Relay, Self::SameHome];
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
    /// The recipient's rules.
    pub policy: Arc<Policy>,
    /// The recipient's entries on the way in that may be about the sender.
    pub entries: Vec<Entry>,
    /// The credentials that the sender has shown, as an [`Entry`] names them.
    pub credentials: Vec<Whom>,
    /// What of the limits of those entries is used.
    pub used: Vec<(MeterId, Used)>,
    /// What is remembered of the sender.
    pub contact: Option<Contact>,
    /// What is remembered of whom it was before.
    pub prior_contact: Option<Contact>,
    /// How many of the sender's messages the agent has processed; counted for the policies that go
    /// by it.
    pub processed: u64,
    /// How many parties vouch for the sender whom the operator has entered as anchors.
    pub vouchers: u32,
    /// The state of the sender's request, if one was made.
    pub request: Option<RequestState>,
    /// How far the recipient went in the question's threads: the level of what it wrote there.
    pub wrote_in_thread: Option<Level>,
    /// Whether the sender is this very home, reporting to its own agent.
    pub sender_is_home: bool,
    /// How many requests wait for the recipient's operator.
    pub requests_pending: i64,
}

impl Facts {
    /// Returns the facts about somebody who was never heard of.
    #[must_use]
    pub fn nothing_known(recipient: Recipient) -> Self {
        Self {
            recipient,
            policy: Arc::new(Policy::default()),
            entries: Vec::new(),
            credentials: Vec::new(),
            used: Vec::new(),
            contact: None,
            prior_contact: None,
            processed: 0,
            vouchers: 0,
            request: None,
            wrote_in_thread: None,
            sender_is_home: false,
            requests_pending: 0,
        }
    }

    /// Returns what is used of what counts together.
    pub(crate) fn used_of(&self, meter: MeterId) -> Used {
        let found = self.used.iter().find(|(id, _)| *id == meter);
        found.map(|(_, used)| *used).unwrap_or_default()
    }
}

/// The answer of [`decide`], with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is to be done.
    pub decision: Decision,
    /// How far the sender may go for this protocol.
    pub level: Level,
    /// How far it would have to be allowed to go.
    pub needed: Level,
    /// Why, as a sentence for the recipient's operator.
    pub why: String,
    /// What would change it, in sentences for the recipient's operator.
    pub changes: Vec<String>,
    /// What a message that is let in counts against.
    pub meters: Vec<Meter>,
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
    /// The recipient has known the sender for long, and its policy goes by that.
    KnownForLong,
    /// The recipient's policy lets everybody send messages.
    OpenPolicy,
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
            Self::KnownForLong => "known-for-long",
            Self::OpenPolicy => "open-policy",
            Self::OwnHome => "own-home",
            Self::Thread => "thread",
        }
    }
}
