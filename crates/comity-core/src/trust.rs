//! Who may reach whom, how far, and why. The recipient decides, locally, and every decision says why.
//!
//! `decide` is the one policy function, which nobody outside this crate can call. It has one caller, `inbound::authorize`, so no way in
//! goes around it; [`Fence`] is its counterpart on the way out. What they need to know comes in
//! as [`Facts`]; the shell reads them and holds no opinion of them.

mod allowance;
mod approve;
mod book;
mod contact;
mod credential;
mod decide;
mod entry;
mod explain;
mod fence;
mod grant;
mod level;
mod outcome;
mod policy;
mod pool;
mod proof_of_work;
pub mod reputation;
pub mod score;
mod showing;
mod successor;
mod token_id;
mod vouch;

pub use allowance::{Limits, Meter, MeterId, Used};
pub use approve::Approval;
pub use book::{BookWeb, VouchBook};
pub use contact::{Changed, Contact, Prior, pinned_keys};
pub use credential::{
    CREDENTIAL_CONTEXT, CREDENTIAL_TYPE, Credential, CredentialError, CredentialStatus,
    SignedCredential,
};
pub(crate) use decide::decide;
pub use entry::{Direction, Entry, EntryKind, Request, RequestState, Whom, WhomError, subject};
pub use explain::{Explanation, explain};
pub(crate) use fence::may_write;
pub use fence::{Fence, Passage, may_look_up};
pub use grant::{
    GRANT_TYPE, Grant, GrantChain, GrantError, GrantInput, GrantOutput, GrantTerms, Granted,
    NarrowError, TermsError,
};
pub use level::{Level, UnknownLevel};
pub use outcome::{
    Ending, OUTCOME_TYPE, Outcome, OutcomeError, Proposal, SignedOutcome, UnknownEnding, Work,
};
pub use policy::{
    OutboundRule, Policy, PolicySettings, Template, TemplateError, Threshold, ThresholdSettings,
    Thresholds,
};
pub use pool::{Pool, requests_max};
pub use proof_of_work::{Challenge, ChallengeId, Load, Solving, WorkSecret, WorkShown, price};
pub use showing::Shown;
pub(crate) use showing::{Showing, ShowingOutput};
pub use token_id::{TokenId, TokenIdError};
pub use vouch::{VOUCH_TYPE, Vouch, VouchError, VouchTerms};

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_didcomm::{Did, ProtocolId};
use serde::{Deserialize, Serialize};

use self::reputation::Standings;
use crate::admission::Class;
use crate::refusal::Refusal;

/// What is being asked: may this sender reach this recipient with this protocol?
#[derive(Clone, Debug, PartialEq)]
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
    /// Whether it is for the recipient's home, which answers for its agent.
    pub is_for_home: bool,
    /// What the sender has shown besides; nothing before it is looked at.
    pub shown: Shown,
    /// How closely the sender is looked at.
    pub scrutiny: Scrutiny,
    /// Who the sender was before, as the holder of that DID has signed (`from_prior`).
    pub prior: Option<Prior>,
}

/// How closely a sender is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrutiny {
    /// What was decided about it: enough for most messages.
    Quick,
    /// Also what it shows, and what others say of it.
    Thorough,
}

/// How a message came to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// Posted to the public listener.
    Direct,
    /// Kept by the relay that this home is behind, and fetched from there; with what it was to the
    /// relay, if that says so. It is the relay's word.
    Relay(Option<Class>),
    /// Sent by an agent of the same home.
    SameHome,
}

impl WayIn {
    /// Every way in.
    pub const ALL: [Self; 6] = [
        Self::Direct,
        Self::Relay(None),
        Self::Relay(Some(Class::Friend)),
        Self::Relay(Some(Class::Paid)),
        Self::Relay(Some(Class::Stranger)),
        Self::SameHome,
    ];
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
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Who the recipient is.
    pub recipient: Recipient,
    /// The recipient's rules.
    pub policy: Arc<Policy>,
    /// The recipient's entries on the way in that may be about the sender.
    pub entries: Vec<Entry>,
    /// Those whose vouches the operator believes.
    pub anchors: BTreeSet<Did>,
    /// The vouches that are known; only when the sender is looked at closely.
    pub book: Arc<VouchBook>,
    /// What the outcomes that the operator believes leave of these vouches; likewise.
    pub standings: Standings,
    /// What of the limits of those entries, and of what was shown, is used.
    pub used: Vec<(MeterId, Used)>,
    /// What is remembered of the sender.
    pub contact: Option<Contact>,
    /// What is remembered of whom it was before.
    pub prior_contact: Option<Contact>,
    /// What is remembered of those who handed on the grant that was shown.
    pub grantors: Vec<Contact>,
    /// The recipient's entries about them, and about those whose vouches lead to the sender; those about
    /// many stand in [`entries`](Self::entries).
    pub go_betweens: Vec<Entry>,
    /// How many of the sender's messages the agent has processed; counted for the policies that go
    /// by it.
    pub processed: u64,
    /// The state of the sender's request, if one was made.
    pub request: Option<RequestState>,
    /// How far the recipient went in the question's threads: the level of what it wrote there.
    pub wrote_in_thread: Option<Level>,
    /// Whether the sender is this very home, reporting to its own agent.
    pub sender_is_home: bool,
    /// Whether the sender is the agent by which the home's operator decides.
    pub sender_is_operator: bool,
    /// What requests take up.
    pub pool: Pool,
    /// What a stranger's message costs, in bits; 0: nothing.
    pub price_bits: u8,
    /// What the sender showed of its work. Not the shell's to say: it is judged with the message.
    pub work: WorkShown,
}

impl Facts {
    /// Returns the facts about somebody who was never heard of.
    #[must_use]
    pub fn nothing_known(recipient: Recipient) -> Self {
        Self {
            recipient,
            policy: Arc::new(Policy::default()),
            entries: Vec::new(),
            anchors: BTreeSet::new(),
            book: Arc::default(),
            standings: Standings::default(),
            used: Vec::new(),
            contact: None,
            prior_contact: None,
            grantors: Vec::new(),
            go_betweens: Vec::new(),
            processed: 0,
            request: None,
            wrote_in_thread: None,
            sender_is_home: false,
            sender_is_operator: false,
            pool: Pool::EMPTY,
            price_bits: 0,
            work: WorkShown::None,
        }
    }

    /// Returns what is remembered of one of the parties.
    pub(crate) fn contact_of(&self, did: &Did) -> Option<&Contact> {
        let mut known = self.contact.iter().chain(&self.prior_contact).chain(&self.grantors);
        known.find(|contact| contact.did == *did)
    }

    /// Returns what is used of what counts together.
    pub(crate) fn used_of(&self, meter: MeterId) -> Used {
        let found = self.used.iter().find(|(id, _)| *id == meter);
        found.map(|(_, used)| *used).unwrap_or_default()
    }
}

/// The answer of the policy function, with its reason.
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
    /// What it rests on, or does not suffice, in lines: paths of vouches and their weights.
    pub grounds: Vec<String>,
    /// What a message that is let in counts against.
    pub meters: Vec<Meter>,
}

impl Ruling {
    /// Whether what the sender shows, or what others say of it, could change the ruling.
    pub(crate) const fn may_change(&self) -> bool {
        !matches!(
            self.decision,
            Decision::Allow(_)
                | Decision::Refuse(Refusal::Denied | Refusal::HomeProtocol | Refusal::KeyChanged)
        )
    }
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it through.
    Allow(Admission),
    /// Take it when its sender has shown work of so many bits, and not before.
    Charge(u8),
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
    /// The agent, or somebody to whom it gave the right to, has granted it.
    Grant,
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
    /// Others vouch for the sender, as far as the operator believes them.
    Vouches,
}

impl Admission {
    /// Returns the word that agents and operators see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowList => "allow-list",
            Self::Approved => "approved",
            Self::Grant => "grant",
            Self::HomeProtocol => "home-protocol",
            Self::KnownForLong => "known-for-long",
            Self::OpenPolicy => "open-policy",
            Self::OwnHome => "own-home",
            Self::Thread => "thread",
            Self::Vouches => "vouches",
        }
    }
}
