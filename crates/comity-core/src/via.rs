//! The client half of mediation: what a home that peers cannot reach says to the relay that keeps
//! its messages, and what it makes of the answers (Coordinate Mediation 3.0, Message Pickup 3.0).
//!
//! The home speaks to its relay as its *registrant*, an identity of its own that nobody else
//! writes to. [`request`] and [`granted`] are the enrolment, before the home has a DID;
//! [`Session`] is everything on one connection afterwards. The contract is that of
//! [`Inbound`](crate::inbound::Inbound), without questions that block: give it what happens, then
//! do what [`Session::poll_output`] says until it says nothing more.
//!
//! Nothing is acknowledged to the relay before its outcome is durable here, so a break of the
//! connection, of the relay or of the home costs a repeat and no message.

mod hands;
mod rules;
mod session;

pub use hands::Fate;
pub use session::Session;

use comity_didcomm::problem::ProblemReport;
use comity_didcomm::{Did, Message, MessageId, Opened, ReturnRoute, UnixTime};
use serde_json::Value;
use thiserror::Error;

use crate::admission::Rule;
use crate::limits::VIA_EXPIRES_S;
use crate::protocol::coordinate_mediation::{Mediation, Version};
use crate::protocol::is_report;
use crate::protocol::pickup::Waiting;
use crate::refusal::Refusal;

/// Who speaks with whom, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The relay.
    pub relay: Did,
    /// The home's identity towards it.
    pub registrant: Did,
    /// What the relay granted: the DID that stands as the endpoint in the home's documents.
    pub routing: Did,
}

/// What happens to a [`Session`].
#[non_exhaustive]
pub enum Input {
    /// An identity came to live in this home.
    Added(Did),
    /// A message came on the connection and was opened.
    Heard(Box<Opened>),
    /// Proofs for the identities of [`Output::Prove`], in any order; one is missing if it lives
    /// here no more.
    Proofs(Vec<(Did, Value)>),
    /// By this rule the relay is to tell friends of an identity from strangers.
    Rule {
        /// The identity.
        did: Did,
        /// The rule.
        rule: Rule,
        /// Whether the relay has it already.
        standing: RuleStanding,
    },
    /// What became of an envelope of [`Output::Take`].
    Taken {
        /// Its name.
        id: String,
        /// What became of it.
        fate: Fate,
    },
    /// A moment has passed: [`TICK_S`](crate::limits::VIA_TICK_S) seconds.
    Tick,
}

/// Whether a relay has a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleStanding {
    /// It is to be told.
    Missing,
    /// It said so, on this connection or an earlier one.
    Set,
}

/// What a [`Session`] wants done.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// What waited was fetched, and what comes is delivered at once.
    Live,
    /// Make proofs that the registrant may register these identities. Answer with
    /// [`Input::Proofs`].
    Prove(Vec<Did>),
    /// The relay takes messages for this identity.
    Registered(Did),
    /// The relay has this rule for this identity.
    Ruled(Did, Rule),
    /// Seal this and send it to the relay.
    Say(Box<Message>),
    /// Take this envelope in, in the order of asking. Answer with [`Input::Taken`] when its outcome
    /// is durable.
    Take(Waiting),
    /// Something the operator should know of.
    Trouble(Trouble),
}

/// What is not as it should be between a home and its relay.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The relay does not keep messages for this home any more.
    #[error("the relay does not serve this home any more")]
    Denied,
    /// Too many messages could not be taken in for too long; this one was given up.
    #[error("a message that could not be taken in was given up: {0}")]
    GivenUp(Refusal),
    /// The relay grants another routing DID than the one in the home's documents.
    #[error("the relay now wants to be named as {0}, which is not what this home's identities say")]
    Moved(Did),
    /// The relay does not take messages for an identity.
    #[error("the relay does not take messages for {did} ({})", code.as_deref().unwrap_or("without a code"))]
    Rejected {
        /// The identity.
        did: Did,
        /// The relay's reason, if it gave one.
        code: Option<String>,
    },
    /// The relay reported a problem.
    #[error("the relay reports a problem: {0}")]
    Reported(String),
    /// The relay does not take the rule of an identity.
    #[error("the relay does not take the rule of {did} ({code})")]
    RuleRefused {
        /// The identity.
        did: Did,
        /// The relay's reason.
        code: String,
    },
}

/// Why a relay cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotGranted {
    /// It does not want to.
    #[error("the relay does not serve this home")]
    Denied,
    /// It answered something else, or somebody else did.
    #[error("the answer is not one that a relay gives")]
    Unexpected,
    /// It reported a problem.
    #[error("the relay refused with {0}")]
    Reported(String),
}

/// Asks a relay for its service. `pthid` is the id of the invitation that led to it.
#[must_use]
pub fn request(
    id: MessageId,
    relay: &Did,
    registrant: &Did,
    pthid: Option<&str>,
    now: UnixTime,
) -> Message {
    let mut message = Mediation::Request.into_message(Version::V3, id);
    message.pthid = pthid.map(str::to_owned);
    addressed(message, relay, registrant, now)
}

/// Reads the answer to [`request`]: the DIDs under which the relay may be named, at least one.
///
/// # Errors
/// When it is no grant of this relay.
pub fn granted(answer: &Opened, relay: &Did) -> Result<Vec<Did>, NotGranted> {
    if !is_from(answer, relay) {
        return Err(NotGranted::Unexpected);
    }
    if let Some(code) = reported(&answer.message) {
        return Err(NotGranted::Reported(code));
    }
    match Mediation::parse(&answer.message) {
        Ok((_, Mediation::Grant { routing_did })) if !routing_did.is_empty() => Ok(routing_did),
        Ok((_, Mediation::Deny)) => Err(NotGranted::Denied),
        _ => Err(NotGranted::Unexpected),
    }
}

/// Whether the relay said it, going by the key that proves it.
fn is_from(opened: &Opened, relay: &Did) -> bool {
    opened.sender().is_some_and(|sender| sender.did().same_subject(relay))
}

/// Addresses a message to the relay; its answer travels back on the same connection.
fn addressed(message: Message, relay: &Did, registrant: &Did, now: UnixTime) -> Message {
    // A relay remembers requests for as long as somebody could repeat them.
    let expires = now.saturating_add(VIA_EXPIRES_S);
    let mut message = message
        .with_from(registrant.clone())
        .with_to([relay.clone()])
        .with_times(Some(now), Some(expires));
    message.return_route = Some(ReturnRoute::All);
    message
}

/// Returns the code of a problem report.
fn reported(message: &Message) -> Option<String> {
    if !is_report(&message.type_.to_string()) {
        return None;
    }
    let report = ProblemReport::from_message(message).ok()?;
    Some(report.code.as_str().to_owned())
}

#[cfg(test)]
mod tests;
