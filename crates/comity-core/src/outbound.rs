//! The way out: address, authorize, pack, queue, transmit, wait.
//!
//! The first four steps happen at once and are one machine, [`Outbound`], with the contract of
//! [`Inbound`](crate::inbound::Inbound). It ends when the message is durable. The last two may take
//! days and survive restarts, so they are functions over what is stored: [`after_attempt`] and
//! [`next_check`].

mod address;
mod authorize;
mod pack;
mod queue;
mod transmit;
mod wait;

pub use address::Addressed;
pub use authorize::Authorized;
pub use pack::{Packed, SenderKeys};
pub use queue::{Queued, Stored};
pub use transmit::{
    Attempt, Charge, REFUSED_WITHOUT_CODE, Step, WORK_TOO_DEAR, after_attempt, ends_ladder,
};
pub use wait::{Check, Whereabouts, next_check};

use std::sync::Arc;

use comity_didcomm::{Attachment, Did, DidDocument, MessageId, MessageType};
use rand_core::CryptoRng;
use serde_json::{Map, Value};
use thiserror::Error;

use self::address::{Addressing, Progress};
use self::authorize::{Passing, Permit};
use crate::Context;
use crate::admission::Pass;
use crate::record::OutgoingKind;
use crate::trust::{Fence, Passage};

/// What somebody of this home wants to say.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Id of the message: the sender's choice, so that saying it twice sends it once.
    pub id: MessageId,
    /// Who says it.
    pub from: Did,
    /// To whom.
    pub to: Did,
    /// Its type.
    pub type_: MessageType,
    /// Its content.
    pub body: Map<String, Value>,
    /// Its attachments.
    pub attachments: Vec<Attachment>,
    /// Its thread, if it continues one.
    pub thid: Option<String>,
    /// The thread its thread belongs to.
    pub pthid: Option<String>,
    /// Ids it acknowledges (`ack` header).
    pub ack: Vec<String>,
    /// Seconds until its deadline; relative, so that a wish repeated later is the same wish.
    pub expires_in_s: Option<u64>,
    /// The dearest puzzle that is solved for it, in bits; `None`: as dear as the home solves.
    pub work_bits_max: Option<u8>,
    /// Whether it can be proved to others.
    pub accountability: Accountability,
    /// What it is to the home.
    pub kind: OutgoingKind,
}

/// Whether a recipient can prove to others what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accountability {
    /// Signed, then encrypted: it can.
    Accountable,
    /// Authenticated encryption: only the recipient knows.
    Deniable,
}

/// What the machine asks for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Write this, all or nothing, durably. Answer with [`Input::Stored`].
    Commit(Arc<Queued>),
    /// The end.
    Done(Result<Arc<Queued>, Unsendable>),
    /// Look up how far the sender is fenced in. Answer with [`Input::Fence`].
    Judge(Passage),
    /// Give the sender's keys and whether the recipient lives here. Answer with [`Input::Keys`].
    Keys(Did),
    /// Give what the sender shows at the mediator of the recipient. Answer with [`Input::Pass`].
    Pass {
        /// The sender.
        from: Did,
        /// The recipient.
        to: Did,
    },
    /// Get this DID's document: the recipient's, then those of the mediators on the way. Answer
    /// with [`Input::Document`] or [`Input::Unresolvable`].
    Resolve(Did),
}

/// An answer to an [`Output`].
#[non_exhaustive]
pub enum Input {
    /// The document that was asked for, and where its subject lives.
    Document(Arc<DidDocument>, Residence),
    /// How far the sender is fenced in.
    Fence(Fence),
    /// The sender's keys.
    Keys(SenderKeys),
    /// What the sender shows; nothing if it has no keys for that.
    Pass(Option<Pass>),
    /// What became of the commit.
    Stored(Stored),
    /// There is no such document to be had.
    Unresolvable,
}

/// Where somebody lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// With a peer.
    Elsewhere,
    /// In this home.
    Here,
}

/// Why a message cannot be sent. The agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// The body and attachments exceed [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX).
    #[error("the body is larger than 384 KiB")]
    BodyTooLarge,
    /// The deadline has passed or is more than 30 days away.
    #[error("the deadline has passed, or lies more than 30 days ahead")]
    Deadline,
    /// The agent's operator keeps it from writing this to that recipient.
    #[error("the agent's operator does not let it write to this recipient, or not so")]
    FencedIn,
    /// The id names another message of this agent.
    #[error("another message of this agent has this id")]
    IdReuse,
    /// The agent has used up what its operator lets it send.
    #[error("the agent has used up the messages or bytes that its operator allows it")]
    LimitReached,
    /// The sender has no key of the needed kind.
    #[error("the sender has no key for this kind of message")]
    NoSenderKey,
    /// The recipient's document has no endpoint that this home can post to, directly or through
    /// mediators.
    #[error("the recipient's DID document names no DIDComm endpoint that can be used")]
    NoEndpoint,
    /// The recipient's document has no key of a supported kind.
    #[error("the recipient's DID document has no key that this message can be encrypted to")]
    NoRecipientKey,
    /// The outbox of the agent is full.
    #[error("too many messages of this agent wait to be sent")]
    OutboxFull,
    /// The type belongs to the home.
    #[error("messages of this protocol are sent by the home, not by agents")]
    ReservedType,
    /// The sealed message exceeds
    /// [`RELAYED_ENVELOPE_BYTES_MAX`](crate::limits::RELAYED_ENVELOPE_BYTES_MAX), or its wrapping
    /// what a mediator takes.
    #[error("the message is too large to go through the recipient's mediators")]
    TooLargeForMediator,
    /// The home cannot store at this moment.
    #[error("the home cannot store the message at this moment")]
    Unavailable,
    /// The document of the recipient, or of a mediator on the way, cannot be had.
    #[error("the DID document of the recipient, or of its mediator, cannot be resolved")]
    Unresolvable,
}

impl Unsendable {
    /// Every reason, in the order of `docs/errors.md`.
    pub const ALL: &'static [Self] = &[
        Self::BodyTooLarge,
        Self::Deadline,
        Self::FencedIn,
        Self::IdReuse,
        Self::LimitReached,
        Self::NoEndpoint,
        Self::NoRecipientKey,
        Self::NoSenderKey,
        Self::OutboxFull,
        Self::ReservedType,
        Self::TooLargeForMediator,
        Self::Unavailable,
        Self::Unresolvable,
    ];

    /// Returns the code that the agents' API gives.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "send.body-too-large",
            Self::Deadline => "send.deadline",
            Self::FencedIn => "send.fenced-in",
            Self::LimitReached => "send.limit",
            Self::IdReuse => "send.id-reuse",
            Self::NoEndpoint => "send.no-endpoint",
            Self::NoRecipientKey => "send.no-recipient-key",
            Self::NoSenderKey => "send.no-sender-key",
            Self::OutboxFull => "send.outbox-full",
            Self::ReservedType => "send.reserved-type",
            Self::TooLargeForMediator => "send.too-large-for-mediator",
            Self::Unavailable => "send.unavailable",
            Self::Unresolvable => "send.unresolvable",
        }
    }

    /// Returns the HTTP status that the agents' API gives.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge | Self::TooLargeForMediator => 413,
            Self::Deadline | Self::ReservedType => 400,
            Self::FencedIn => 403,
            Self::IdReuse => 409,
            Self::NoEndpoint | Self::NoRecipientKey | Self::NoSenderKey | Self::Unresolvable => 422,
            Self::LimitReached | Self::OutboxFull => 429,
            Self::Unavailable => 503,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "Send a link to large content instead",
            Self::Deadline => "Name a deadline between now and 30 days ahead; check the clock",
            Self::FencedIn => {
                "Ask the agent's operator: comity allow WHO --out, or policy.outbound = \"open\""
            }
            Self::LimitReached => {
                "Send on the next day of UTC, or ask the agent's operator: comity allow WHO --out"
            }
            Self::IdReuse => {
                "Use a new id for each message, the same id only to repeat the same message"
            }
            Self::NoEndpoint => {
                "Ask the recipient's operator for a document with a DIDCommMessaging endpoint: an http(s) URL, or the DID of a mediator that has one"
            }
            Self::NoRecipientKey => "Ask the recipient's operator for an X25519 keyAgreement key",
            Self::NoSenderKey => "Send it the accountable way, or add the agent anew",
            Self::OutboxFull => "Wait until the peers have taken what is queued: comity status",
            Self::ReservedType => "Use a type of your own protocol",
            Self::TooLargeForMediator => {
                "Send a link to large content instead: each further mediator takes a quarter of the room"
            }
            Self::Unavailable => "Try again; see comity doctor: the disk may be full",
            Self::Unresolvable => {
                "Check the DID or handle with comity did resolve; http and loopback addresses need --dev"
            }
        }
    }
}

/// The machine of the first four steps.
pub struct Outbound {
    context: Context,
    stage: Stage,
}

enum Stage {
    Address(Box<Addressing>, Permit),
    Judge(Box<Submission>),
    Pack(Box<Authorized>),
    Queue(Arc<Queued>),
    Done(Result<Arc<Queued>, Unsendable>),
}

impl Outbound {
    /// Starts with what is to be said.
    #[must_use]
    pub fn new(submission: Submission, context: Context) -> Self {
        // Nobody is fenced in by what the home itself has to say.
        let stage = match submission.kind {
            OutgoingKind::Message => Stage::Judge(Box::new(submission)),
            OutgoingKind::Notice => judged(submission, &Fence::none(), &context),
        };
        Self { context, stage }
    }

    /// Says what is needed next.
    pub fn poll_output(&mut self) -> Output {
        match &self.stage {
            Stage::Address(addressing, _) => Output::Resolve(addressing.asks.clone()),
            Stage::Judge(submission) => Output::Judge(authorize::passage(submission)),
            Stage::Pack(authorized) if authorized.needs_pass() => {
                let Submission { from, to, .. } = authorized.submission();
                Output::Pass { from: from.clone(), to: to.clone() }
            }
            Stage::Pack(authorized) => Output::Keys(authorized.submission().from.clone()),
            Stage::Queue(queued) => Output::Commit(Arc::clone(queued)),
            Stage::Done(result) => Output::Done(result.clone()),
        }
    }

    /// Takes the answer to the last output. An answer to a question that was not asked changes
    /// nothing.
    pub fn handle_input(&mut self, input: Input, rng: &mut dyn CryptoRng) {
        let stage = std::mem::replace(&mut self.stage, Stage::Done(Err(Unsendable::Unavailable)));
        self.stage = match (stage, input) {
            (Stage::Address(addressing, permit), Input::Document(document, residence)) => {
                addressed(addressing.answer(Some((document, residence))), permit)
            }
            (Stage::Address(addressing, permit), Input::Unresolvable) => {
                addressed(addressing.answer(None), permit)
            }
            (Stage::Judge(submission), Input::Fence(fence)) => {
                judged(*submission, &fence, &self.context)
            }
            (Stage::Pack(mut authorized), Input::Pass(pass)) if authorized.needs_pass() => {
                let shows = |pass| Passing::Shows(Box::new(pass));
                authorized.pass = pass.map_or(Passing::Nothing, shows);
                Stage::Pack(authorized)
            }
            (Stage::Pack(authorized), Input::Keys(keys)) if !authorized.needs_pass() => {
                match pack::pack(*authorized, &keys, &self.context, rng) {
                    Ok(packed) => Stage::Queue(Arc::new(queue::queue(packed, &self.context))),
                    Err(reason) => Stage::Done(Err(reason)),
                }
            }
            (Stage::Queue(queued), Input::Stored(stored)) => {
                Stage::Done(queue::conclude(queued, &stored))
            }
            (stage, _) => stage,
        };
    }
}

fn judged(submission: Submission, fence: &Fence, context: &Context) -> Stage {
    match authorize::permit(&submission, fence, context) {
        Ok(permit) => Stage::Address(Box::new(Addressing::new(submission)), permit),
        Err(reason) => Stage::Done(Err(reason)),
    }
}

fn addressed(progress: Result<Progress, Unsendable>, permit: Permit) -> Stage {
    match progress {
        Ok(Progress::Asks(addressing)) => Stage::Address(Box::new(addressing), permit),
        Ok(Progress::Addressed(addressed)) => {
            Stage::Pack(Box::new(authorize::authorize(addressed, permit)))
        }
        Err(reason) => Stage::Done(Err(reason)),
    }
}

#[cfg(test)]
mod tests;
