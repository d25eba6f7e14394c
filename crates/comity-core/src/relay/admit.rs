//! The door: what becomes of a forward. Decided before anything is stored.

use comity_didcomm::routing::{Forward, ForwardError, Next};
use comity_didcomm::{Did, Layer, OpenPolicy, Opening, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Pool, Quotas, RecipientRow};
use crate::Context;
use crate::admission::{self, Class, Rule};
use crate::inbound::Spent;
use crate::limits::{DELAY_MS_MAX, HELD_BYTES_MAX};
use crate::protocol::admission::ADMISSION_SHOWN;
use crate::protocol::pickup::is_deliverable;
use crate::record::digest_text;
use crate::refusal::Refusal;
use crate::trust::{Challenge, ChallengeId, WorkShown, subject};

/// A forward that was read, and asks whether somebody takes its payload.
#[derive(Clone, Debug)]
pub struct Route {
    next: Next,
    payload: Vec<u8>,
    expires: Option<UnixTime>,
    delay_ms: i64,
    /// What its sender shows to be told from strangers.
    shown: Option<Value>,
    /// Work that was shown with it.
    work: Option<String>,
}

/// What the shell found about a [`Route`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// The bounds, if this node plays the role of a relay.
    pub relay: Option<Quotas>,
    /// The recipient that `next` names, by its DID or by one of its keys.
    pub recipient: Option<RecipientRow>,
}

/// What is known of a message that a relay holds: its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRow {
    /// Whom it is for.
    pub recipient: Did,
    /// Against whose quota it counts: who had the recipient registered when it came.
    pub registrant: Did,
    /// When it came.
    pub received_at: UnixTime,
    /// When it is given up.
    pub expires: UnixTime,
    /// Before when it is not to be delivered, as its sender asked.
    pub not_before: UnixTime,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What it is to its recipient; nothing is known for one that has no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// A message that a relay takes; made only by [`admit`].
#[derive(Debug)]
pub struct Held {
    row: HeldRow,
    envelope: Vec<u8>,
    digest: String,
    quotas: Quotas,
    pool: Option<Pool>,
    spent: Option<Spent>,
}

impl Route {
    /// Reads a forward.
    ///
    /// # Errors
    /// When it is not one that a relay of this kind serves.
    pub fn new(forward: Forward) -> Result<Self, Refusal> {
        let mut payloads = forward.payloads.into_iter();
        let (Some(payload), None) = (payloads.next(), payloads.next()) else {
            // One message in, one out: a forward does not multiply (threat T10).
            return Err(Refusal::TooManyPayloads);
        };
        let mut extra = forward.extra;
        Ok(Self {
            next: forward.next,
            payload,
            expires: forward.expires_time,
            delay_ms: forward.delay_milli.unwrap_or(0),
            shown: extra.remove(ADMISSION_SHOWN),
            work: None,
        })
    }

    /// Adds the work that was shown with the forward (HTTP header `Comity-Work`).
    pub(crate) fn with_work(self, work: Option<String>) -> Self {
        Self { work, ..self }
    }

    /// Returns to whom the payload goes.
    #[must_use]
    pub const fn next(&self) -> &Next {
        &self.next
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl Held {
    /// Returns its row.
    #[must_use]
    pub const fn row(&self) -> &HeldRow {
        &self.row
    }

    /// Returns the message, encrypted for its recipient.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Returns SHA-256 of the message, base64url: by it, a repeat is known.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the bounds it was admitted under.
    #[must_use]
    pub const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns the work that it was paid with, if it was.
    #[must_use]
    pub const fn spent(&self) -> Option<&Spent> {
        self.spent.as_ref()
    }

    /// Says what it costs after all, where it finds no room as it is, or what it was paid with had
    /// been spent; `None`: work buys it nothing.
    pub(crate) fn price(&self, context: &Context) -> Option<Challenge> {
        let bits = self.quotas.work_bits;
        let may_pay = matches!(self.row.class, Some(Class::Paid | Class::Stranger)) && 0 < bits;
        let forward = (self.digest.as_str(), &self.row.recipient);
        let id = ChallengeId(context.salt);
        may_pay.then(|| context.secret.issue_for_forward(id, bits, forward, context.now))
    }

    /// Returns the bounds of the pool that it waits in, if it is not a friend's.
    #[must_use]
    pub const fn pool(&self) -> Option<Pool> {
        self.pool
    }
}

/// Decides whether a payload is held, and for whom.
///
/// # Errors
/// A refusal of the transport plane: a forward proves no sender.
pub fn admit(route: &Route, facts: &RouteFacts, context: &Context) -> Result<Held, Refusal> {
    let Some(quotas) = facts.relay else { return Err(Refusal::NotRelay) };
    if route.next.did().same_subject(&context.home) {
        return Err(Refusal::ForwardLoop);
    }
    let Some(recipient) = &facts.recipient else { return Err(Refusal::NotRegistered) };
    if HELD_BYTES_MAX < route.payload.len() {
        return Err(Refusal::TooLarge);
    }
    // What the recipient could not open is not worth its quota; what anybody could read is not for
    // a relay to carry.
    let opening = Opening::new(&route.payload, &OpenPolicy::default(), context.now)
        .map_err(|error| Refusal::from_code(error.code()).unwrap_or(Refusal::Malformed))?;
    if !matches!(opening.outline().layer, Some(Layer::Anoncrypt | Layer::Authcrypt)) {
        return Err(Refusal::Unencrypted);
    }
    // Nor is what would spoil the delivery that it is in, and so keep back all that comes after it.
    if !is_deliverable(&route.payload) {
        return Err(Refusal::Malformed);
    }
    let latest = context.now.saturating_add(quotas.age_s_max);
    let expires = route.expires.map_or(latest, |expires| expires.min(latest));
    if expires <= context.now {
        return Err(Refusal::Expired);
    }
    let digest = digest_text(&route.payload);
    let mut class =
        recipient.rule.as_ref().map(|rule| classify(route, rule, recipient, context.now));
    let mut spent = None;
    if class == Some(Class::Stranger) {
        let forward = (digest.as_str(), &recipient.did);
        let work = context.secret.check_for_forward(route.work.as_deref(), forward, context.now);
        if let WorkShown::Paid { id, expires } = work {
            class = Some(Class::Paid);
            spent = Some(Spent { id, expires, price_bits: quotas.work_bits });
        }
    }
    let row = HeldRow {
        recipient: subject(&recipient.did),
        registrant: subject(&recipient.registrant),
        received_at: context.now,
        expires,
        not_before: context.now.saturating_add(delay_s(route.delay_ms, context.salt)),
        size_bytes: route.payload.len() as u64,
        class,
    };
    let pool = class.and_then(|class| quotas.pool(class, recipient.rule.as_ref()));
    Ok(Held { row, envelope: route.payload.clone(), digest, quotas, pool, spent })
}

/// Says what a message is to a recipient that has a rule. Nobody is refused for what it shows, so
/// that nobody is lost while a rule changes.
fn classify(route: &Route, rule: &Rule, recipient: &RecipientRow, now: UnixTime) -> Class {
    match admission::check(route.shown.as_ref(), rule, &recipient.did, &route.payload, now) {
        Ok(()) => Class::Friend,
        Err(_) => Class::Stranger,
    }
}

/// Says what is answered to a message whose pool is full.
#[must_use]
pub const fn pool_full(class: Option<Class>) -> Refusal {
    match class {
        Some(Class::Paid | Class::Stranger) => Refusal::StrangersFull,
        Some(Class::Friend) | None => Refusal::QueueFull,
    }
}

/// How long the sender asks to wait, in whole seconds: at most a minute, since it is our memory
/// that waits; a negative number asks for a random time up to that long.
fn delay_s(delay_ms: i64, salt: [u8; 16]) -> u64 {
    let longest = delay_ms.unsigned_abs().min(DELAY_MS_MAX);
    let ms = match delay_ms < 0 {
        true => u64::from_be_bytes(salt.first_chunk().copied().unwrap_or_default()) % (longest + 1),
        false => longest,
    };
    ms.div_ceil(1000)
}

/// Maps why a forward is not one to what its sender is told.
pub(crate) fn refusal_of(error: ForwardError) -> Refusal {
    match error {
        ForwardError::TooLarge => Refusal::TooLarge,
        ForwardError::TooMany => Refusal::TooManyPayloads,
        _ => Refusal::Malformed,
    }
}
