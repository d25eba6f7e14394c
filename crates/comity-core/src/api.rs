//! The agents' API and the admin API as types: one definition for the node that serves them and the
//! clients that call them (ADR 0017).
//!
//! Times are RFC 3339 in UTC with seconds. Unknown members are ignored by clients, refused by the
//! node.

mod ledger;
mod outcomes;
mod vouches;

pub use ledger::{
    Forget, Forgotten, LogContradiction, LogResource, LogStatus, LogWitness, OtherLog,
    StatementInfo,
};
pub use outcomes::{
    AgreeOutcome, Evidence, ImportedOutcomes, OutcomeFile, OutcomeInfo, OutcomeRecord,
    ProposeOutcome, ShowOutcomes, ShownOutcomes,
};
pub use vouches::{AskVouch, GiveVouch, GraphEdge, GraphNode, RevokeVouch, VouchGraph, VouchInfo};

use comity_didcomm::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Event;

/// A message that an agent wants sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// Recipient: a DID, a handle `name@host`, or the link of an invitation.
    pub to: String,
    /// Message type URI; a basic message when absent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Content, a JSON object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub body: Map<String, Value>,
    /// Attachments as in DIDComm v2.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub attachments: Vec<Value>,
    /// Message id, 1 to 64 unreserved URI characters; made by the node when absent. The same id
    /// with the same content is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Thread that the message continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thid: Option<String>,
    /// Parent of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pthid: Option<String>,
    /// Seconds until the message expires, at most 2,592,000 (30 days); 604,800 (7 days) when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Authenticate without a signature that could be shown to others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deniable: bool,
    /// The dearest puzzle that the home solves to have it taken as a stranger's message, in bits, 0
    /// to 32; what the home's operator has set (24 unless set) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_bits_max: Option<u8>,
}

/// The answer to a [`SendRequest`]: the message is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendAnswer {
    /// Message id.
    pub id: String,
    /// Thread of the message.
    pub thid: String,
    /// How far it is: `queued`, or further when the id was sent before.
    pub state: String,
}

/// A message handed to an agent: what is verified, apart from what the sender claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Names this message in acknowledgements; unique in the mailbox.
    pub delivery: u64,
    /// Message id, chosen by the sender.
    pub id: String,
    /// DID of the sender, proven by a key.
    pub from: String,
    /// DID of the recipient.
    pub to: String,
    /// Message type URI.
    #[serde(rename = "type")]
    pub type_: String,
    /// Thread.
    pub thid: String,
    /// Parent of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pthid: Option<String>,
    /// How the sender is proven: `signature` (can be shown to others) or `authcrypt` (cannot).
    pub verified: String,
    /// Why it was let in: `allow-list`, `approved`, `thread`, `own-home` and others.
    pub admitted: String,
    /// How far its sender may go: `introduced`, `message`, `task` or `execute`.
    #[serde(default)]
    pub level: String,
    /// When the home accepted it.
    pub received_at: String,
    /// When it expires.
    pub expires_at: String,
    /// How often it was handed over before without an acknowledgement.
    #[serde(default)]
    pub redelivered: u32,
    /// Content. Untrusted: the sender's words.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub body: Map<String, Value>,
    /// Attachments. Untrusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub attachments: Vec<Value>,
}

/// What an agent does with messages it was handed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Disposition {
    /// Done with: leaves the mailbox, the sender learns `processed`.
    Ack {
        /// The deliveries.
        deliveries: Vec<u64>,
    },
    /// Not wanted: leaves the mailbox, the sender learns `refused` and gets a problem report.
    Refuse {
        /// The delivery.
        delivery: u64,
        /// Problem-report code; `e.m.refused` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Reason for the sender, at most 500 characters.
        #[serde(default)]
        reason: String,
    },
}

/// The answer to a [`Disposition`]. Doing it twice is harmless: what was settled before counts as
/// `settled` too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DispositionAnswer {
    /// How many of the named deliveries are out of the mailbox.
    pub settled: usize,
}

/// The ladder of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trace {
    /// Message id.
    pub id: String,
    /// DID of the sender.
    pub from: String,
    /// DID of the recipient.
    pub to: String,
    /// Thread.
    pub thid: String,
    /// DID of the mediator that keeps it until the recipient's home fetches it. `queued` says
    /// nothing on whether it is there yet; `accepted` comes from the recipient's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// What is known, in the order of the ladder.
    pub states: Vec<TraceState>,
    /// The puzzle that the sender's home is solving to have it taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working: Option<Working>,
}

/// A puzzle that a home is solving for one of its agents' messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Working {
    /// Its price: on average two to this power of hashes.
    pub bits: u8,
    /// How much is done, 0 to 100, as far as can be said.
    pub percent: u8,
}

/// One rung of a [`Trace`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TraceState {
    /// `queued`, `accepted`, `received`, `processed`, `refused` or `expired`.
    pub state: String,
    /// When, by the clock of `by`.
    pub at: String,
    /// DID of whoever says so.
    pub by: String,
    /// Index in the log of the recipient's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// With `accepted`: waits for the recipient's operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// With `refused`: the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `refused`: the reason, the peer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a peer signed about a message that the agent sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedReceipt {
    /// The state that was learned from it.
    pub state: String,
    /// The signed receipt message, a JWS; verifies with the signer's DID document alone
    /// (`docs/protocols/receipt.md`, section 5).
    pub jws: String,
}

/// The signed receipts of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedReceipts {
    /// In the order of the ladder.
    pub receipts: Vec<SignedReceipt>,
}

/// A frame that an agent sends on its WebSocket. `ref` comes back in the [`ServerFrame`] that
/// answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ClientFrame {
    /// Send a message.
    Send {
        /// Echoed in the answer.
        r#ref: u64,
        /// The message.
        message: SendRequest,
    },
    /// Settle messages that were handed over.
    Settle {
        /// Echoed in the answer.
        r#ref: u64,
        /// What to do with them.
        disposition: Disposition,
    },
}

/// A frame that the node sends on an agent's WebSocket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ServerFrame {
    /// A message for the agent.
    Message(Box<Delivery>),
    /// One of the agent's own messages got further.
    State {
        /// Message id.
        id: String,
        /// The rung.
        state: TraceState,
    },
    /// The home is solving a puzzle for one of the agent's own messages. Told now and then.
    Working {
        /// Message id.
        id: String,
        /// The puzzle.
        working: Working,
    },
    /// Answer to [`ClientFrame::Send`].
    Sent {
        /// Of the frame that is answered.
        r#ref: u64,
        /// The answer.
        answer: SendAnswer,
    },
    /// Answer to [`ClientFrame::Settle`].
    Settled {
        /// Of the frame that is answered.
        r#ref: u64,
        /// The answer.
        answer: DispositionAnswer,
    },
    /// The frame could not be served.
    Error {
        /// Of the frame that is answered; `null` if it could not be read.
        r#ref: Option<u64>,
        /// What was wrong.
        problem: Problem,
    },
}

/// What every error of the node's HTTP interfaces looks like (RFC 9457 members, with the stable
/// `code`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code, see `docs/errors.md`.
    pub code: String,
    /// What happened.
    pub title: String,
    /// What to do next.
    pub hint: String,
}

/// An agent of the home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentInfo {
    /// Its name in this home.
    pub name: String,
    /// Its DID.
    pub did: String,
    /// `name@host`, by which others can look it up; empty when they cannot.
    pub handle: String,
    /// Id of the key with which it signs.
    #[serde(default)]
    pub signing_key: String,
    /// `versionId` of its document; only did:webvh has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Bearer token of the agents' API; shown once, when the agent is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// An agent to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddAgent {
    /// Name: 1 to 64 characters of a-z, 0-9, `-`, `_`, `.`.
    pub name: String,
    /// DID method; absent: that of the node's own DID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<DidMethod>,
}

/// DID methods that an agent can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DidMethod {
    /// did:peer:4: needs no domain; the DID carries its document.
    Peer,
    /// did:web under the node's public URL.
    Web,
    /// did:webvh under the node's public URL: as did:web, with a signed history.
    Webvh,
}

/// The node, as far as its keys go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeInfo {
    /// Its DID.
    pub did: String,
    /// Id of the key with which it signs.
    pub signing_key: String,
    /// `versionId` of its document; only did:webvh has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Keys to be replaced by new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Whether others may have the former keys: the document then drops them at once, at the price
    /// of messages that are under way with their signature.
    #[serde(default)]
    pub compromised: bool,
}

/// An operator's decision about somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// DID, handle or invitation; or many: `*@host` for all agents of a node, `*@*.domain`,
    /// `credential:TYPE@ISSUER`.
    pub who: String,
    /// Protocol identifiers that are allowed; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// How far they may go: `introduced`, `message`, `task` or `execute`; absent: as far as the
    /// named protocols need, and `message` at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whether it is about what the agent sends to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outbound: bool,
    /// Whether their vouches for others count; for 90 days, unless `until` is earlier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchor: bool,
    /// From when, RFC 3339; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Messages that they may send in one day of UTC, all that it is about together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Bytes that they may send in one day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Tasks of theirs that may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_open: Option<u64>,
    /// What is to be remembered about it, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Until when, RFC 3339; absent: until changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An invitation that is wanted: a link by which somebody who knows no DID of this node can write
/// first (Out-of-Band 2.0).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// Agent that invites; absent: the node itself, to be used as a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it is for, for people, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// What it is for, for programs, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_code: Option<String>,
    /// Seconds until it expires, at most 31,536,000 (a year); an agent's never does when absent,
    /// one to a relay after 604,800 (7 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// To a relay: how many may use it; one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// An invitation that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invited {
    /// Its id: the parent thread of the answer.
    pub id: String,
    /// DID that invites.
    pub from: String,
    /// The link.
    pub url: String,
    /// Until when it holds; absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Somebody who has messages kept at this node, a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registration {
    /// Who.
    pub did: String,
    /// Since when.
    pub granted_at: String,
    /// When it was last used, to the day. Unused, it ends after 30 days; without a DID, after one.
    pub used_at: String,
    /// Id of the invitation by which it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
    /// DIDs for which messages are taken.
    pub recipients: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Asks to end a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EndRegistration {
    /// Whose.
    pub did: String,
}

/// One line of an agent's requests or allow-list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Relation {
    /// DID of the other party, or whom else it is about.
    pub did: String,
    /// Protocols it is about; empty: all.
    pub protocols: Vec<String>,
    /// Until when it holds.
    pub until: Option<String>,
    /// `pending`, `allowed`, `planned`, `denied`, `revoked` or `expired`.
    pub state: String,
    /// How far it lets them go; absent for a request and for what allows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whether it is about what the agent sends to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outbound: bool,
    /// Whether their vouches for others count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchor: bool,
    /// From when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Messages a day that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Bytes a day that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Open tasks that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_open: Option<u64>,
    /// What the operator wanted to remember.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// In the answer to a decision: what became of the message that waited, [`HANDED_OVER`] or the
    /// code with which it was refused; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// A grant that is to be given, or handed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GiveGrant {
    /// To whom: DID, handle or invitation.
    pub who: String,
    /// Protocol identifiers that it is for; empty: all, or all of the one that is handed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// How far they may go: `introduced`, `message`, `task` or `execute`; absent: as far as the
    /// named protocols need, and `message` at least; or as far as the one that is handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Until when, RFC 3339; absent: 30 days, or until the one that is handed on ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Messages in one day of UTC, of all to whom it is handed on together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Bytes in one day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Tasks that may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_open: Option<u64>,
    /// How often it may be handed on, 0 to 3.
    #[serde(default)]
    pub depth: u8,
    /// What the grantee is told besides, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it is only made: the tokens in the answer have to get to the grantee by other means.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsent: bool,
}

/// A grant that is held and is to be handed on in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HandOnGrant {
    /// The grant that is held: its id, or how that begins.
    pub id: String,
    /// What of it is handed on, and to whom.
    pub give: GiveGrant,
}

/// A grant that is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeGrant {
    /// The grant that was given or handed on: its id, or how that begins.
    pub id: String,
}

/// A grant that came by other means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddGrant {
    /// Its tokens, the first one first, with white space between them.
    pub chain: String,
}

/// A grant that an agent has given, or holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrantInfo {
    /// Name of its last token.
    pub id: String,
    /// `given`, `handed-on` or `held`.
    pub kind: String,
    /// `valid`, `planned`, `expired` or `revoked`.
    pub state: String,
    /// DID of the agent that it gives access to.
    pub audience: String,
    /// DID of whom it is from.
    pub grantor: String,
    /// DID of whom it is given to.
    pub grantee: String,
    /// Protocols that it is for; empty: all.
    pub protocols: Vec<String>,
    /// How far it goes.
    pub level: String,
    /// From when it holds.
    pub from: String,
    /// Until when it holds.
    pub until: String,
    /// How often it may be handed on.
    pub depth: u8,
    /// Messages a day that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Bytes a day that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Open tasks that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_open: Option<u64>,
    /// Its tokens, the first one first, when it was just given or handed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// DIDs of those to whom the news are on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// DIDs of those who could not be written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_told: Vec<String>,
}

/// What became of a request that a decision let in.
pub const HANDED_OVER: &str = "handed-over";

/// Somebody whose messages an agent lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContactInfo {
    /// Who.
    pub did: String,
    /// Since when.
    pub since: String,
    /// Messages of it that the agent has processed.
    pub processed: u64,
    /// SHA-256 of its keys, base64url; empty where the DID itself tells them.
    pub keys: Vec<String>,
    /// Since when it comes with other keys, which wait for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// These keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_keys: Vec<String>,
}

/// What an agent's policy says about somebody, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explained {
    /// About whom.
    pub did: String,
    /// For which protocol.
    pub protocol: String,
    /// `allow`, `charge` (work is demanded, and then it is held), `hold` or `refuse`.
    pub decision: String,
    /// The ground of an admission, or the code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<String>,
    /// How far the sender may go for this protocol.
    pub level: String,
    /// How far the protocol needs it to.
    pub needed: String,
    /// Why.
    pub why: String,
    /// What is known of the sender.
    pub known: Vec<String>,
    /// What would change it.
    pub changes: Vec<String>,
}

/// Takes the keys with which a contact came as its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproveKeys {
    /// Whose: a DID or a handle.
    pub who: String,
    /// The keys that are meant, as [`ContactInfo::changed_keys`]; empty: those with which it came
    /// last, whichever they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// What happened at a node, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Events {
    /// The events.
    pub events: Vec<EventInfo>,
    /// Whether events that came after the asked-for place have been forgotten, and are missing here.
    pub missed: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventInfo {
    /// Its place in the order. Events that came about together share it, and are never parted.
    pub seq: u64,
    /// Its id, the same wherever it is read; also the `webhook-id`.
    pub id: String,
    /// When it happened.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// A resolved identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resolved {
    /// The DID.
    pub did: String,
    /// Its document.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub document: Value,
    /// What the method knows about this version of it, as in DID Resolution; only did:webvh does.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Counts of a running node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// The node's DID.
    pub did: String,
    /// Public URL under which peers reach it.
    pub url: String,
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Agents that live here.
    pub agents: usize,
    /// Messages in all mailboxes.
    pub mailbox_messages: u64,
    /// Requests that wait for the operator.
    pub requests_pending: u64,
    /// Messages that wait to be sent.
    pub outbox_messages: u64,
    /// Peers that could not be reached at the last attempt.
    pub peers_unreachable: usize,
    /// Leaves in the log.
    pub log_size: u64,
    /// Root of the log, base64url.
    pub log_root: String,
    /// Bytes the store occupies.
    pub store_bytes: u64,
    /// Connected agent sockets.
    pub sockets: usize,
    /// What the relay does, if the node is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayStatus>,
    /// How the webhook does, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookStatus>,
    /// Resident memory of the process in bytes; 0 where it cannot be read.
    pub rss_bytes: u64,
    /// CPU time of the process in microseconds; 0 where it cannot be read.
    pub cpu_us: u64,
}

/// Counts of a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RelayStatus {
    /// Who may register: `open`, `invitation` or `allow-list`.
    pub register: String,
    /// Homes and agents that it has granted mediation.
    pub registrants: u64,
    /// Messages that wait to be picked up.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Registrants that are connected and get messages as they come.
    pub live: usize,
}

/// How a webhook does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookStatus {
    /// Scheme, host and port; the rest of a webhook's URL may be a secret.
    pub origin: String,
    /// `ok`, `failing` or `disabled`.
    pub state: String,
    /// What is wrong with it; empty when nothing is.
    pub trouble: String,
    /// Since when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Acts whose events wait to be posted, at most 1000.
    pub waiting: usize,
    /// Events that were left out since the node started, after they had been tried for three days.
    pub given_up: u64,
}

/// One check of `comity doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckResult {
    /// What was checked.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do, when it is not.
    pub hint: String,
}

/// Writes a time as RFC 3339 in UTC, with seconds.
#[must_use]
pub fn rfc3339(time: UnixTime) -> String {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Reads an RFC 3339 time, or a bare date, which means its first second in UTC.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<UnixTime> {
    let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(timestamp.as_second()).ok().map(UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_the_same_way() {
        let time = UnixTime(1_790_000_000);
        assert_eq!(rfc3339(time), "2026-09-21T14:13:20Z");
        assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time));
        assert_eq!(parse_rfc3339("2026-09-21"), Some(UnixTime(1_789_948_800)));
        assert_eq!(parse_rfc3339("soon"), None);
    }

    #[test]
    fn an_unknown_member_of_a_request_is_refused() {
        let typo = r#"{"to":"did:key:z","expire_in_s":5}"#;
        assert!(serde_json::from_str::<SendRequest>(typo).is_err());
    }
}
