//! A home behind a relay: one WebSocket session after the other, for as long as the node runs
//! (ADR 0026). What is said on it is `comity_core::via`; here are the connection, the keys, and the
//! envelopes' way in.

mod enrol;
mod session;
mod takes;

pub use enrol::ViaError;
pub(crate) use enrol::{enrol, is_wanted};

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::admission::Rule;
use comity_core::trust::subject;
use comity_core::via::Parties;
use comity_didcomm::{Did, DidDocument};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::home::Home;
use crate::identities::Identity;
use crate::limits::{RECONNECT_FIRST, RECONNECT_MAX, REGISTER_WAIT};

/// The relay of this home, and how things stand with it.
pub(crate) struct Via {
    pub(crate) parties: Parties,
    registrant: Identity,
    /// The relay's document, kept so that a relay that comes back is found at once.
    relay: Mutex<Option<Arc<DidDocument>>>,
    /// Somebody was added, or has another rule.
    added: Notify,
    state: watch::Sender<State>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) link: Link,
    /// Identities for which the relay takes messages, as subjects.
    registered: HashSet<Did>,
    /// What the relay knows of their friends, by subject.
    rules: HashMap<Did, Rule>,
    /// Whether the relay has taken a rule, now or before the last start.
    has_rules: bool,
    /// The last thing that was wrong since the last session began.
    pub(crate) trouble: Option<String>,
}

/// Whether there is a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is none; one is being opened, or waited for.
    #[default]
    Down,
    /// What waited was fetched, and what comes is delivered.
    Live,
    /// It is open, and what waits is being fetched.
    Open,
}

impl State {
    fn is_registered(&self, did: &Did) -> bool {
        self.registered.contains(&subject(did))
    }

    /// Whether the relay has this rule of an identity.
    fn has_rule(&self, did: &Did, rule: &Rule) -> bool {
        self.rules.get(&subject(did)).is_some_and(|known| known == rule)
    }
}

impl Via {
    fn new(parties: Parties, registrant: Identity) -> Self {
        Self {
            parties,
            registrant,
            relay: Mutex::default(),
            added: Notify::new(),
            state: watch::Sender::default(),
        }
    }

    /// Has an identity that was added registered, and waits until it is: from then on it can be
    /// written to. When the relay is away this is given up after a moment, and done later.
    pub(crate) async fn register(&self, did: &Did) {
        self.added.notify_one();
        let mut state = self.state.subscribe();
        let registered = state.wait_for(|state| state.is_registered(did));
        if timeout(REGISTER_WAIT, registered).await.is_err() {
            tracing::warn!(%did, "the relay has not confirmed this identity yet");
        }
    }

    /// Whether the relay tells friends from strangers. That a rule is on its way to it is no reason to
    /// wait: what it does not know yet makes nobody worse off.
    pub(crate) fn has_rules(&self) -> bool {
        self.state.borrow().has_rules
    }

    /// Has the session look at who lives here, and at their rules.
    pub(crate) fn look(&self) {
        self.added.notify_one();
    }

    /// Returns how things stand.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Returns the address of the relay for people, as far as it is known: where it is posted to,
    /// without the path.
    pub(crate) fn relay_url(&self) -> Option<String> {
        let endpoints = self.remembered()?.didcomm_endpoints();
        endpoints.into_iter().find_map(|endpoint| {
            let (scheme, rest) = endpoint.uri.split_once("://")?;
            let authority = rest.split('/').next()?;
            matches!(scheme, "https" | "http").then(|| format!("{scheme}://{authority}"))
        })
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    fn remember(&self, relay: Option<Arc<DidDocument>>) {
        *self.relay.lock().unwrap_or_else(PoisonError::into_inner) = relay;
    }

    fn remembered(&self) -> Option<Arc<DidDocument>> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps a session with the relay for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>, via: Arc<Via>) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let end = session::run(&home, &via).await;
        // One that ended soon is no reason for the next to come sooner.
        if RECONNECT_MAX < began.elapsed() {
            backoff = Backoff::default();
        }
        let pause = backoff.next_pause(rand::random());
        tracing::info!(relay = %via.parties.relay, reason = %end, ?pause, "no session with the relay");
        via.set(|state| {
            state.link = Link::Down;
            state.trouble = Some(end.to_string());
        });
        tokio::time::sleep_until(Instant::now() + pause).await;
    }
}

/// Growing pauses between sessions.
#[derive(Debug, Default)]
struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Returns the next pause: doubled each time up to a bound, and shortened by up to a half by
    /// `jitter` in 0..1, so that the homes of a relay that restarts do not come back at once.
    fn next_pause(&mut self, jitter: f64) -> Duration {
        let doubled = RECONNECT_FIRST.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        let full = doubled.min(RECONNECT_MAX);
        full / 2 + (full / 2).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_spread() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next_pause(1.0)).collect();
        assert_eq!(pauses[0], RECONNECT_FIRST);
        assert_eq!(pauses[1], RECONNECT_FIRST * 2);
        assert_eq!(pauses[39], RECONNECT_MAX);
        assert_eq!(backoff.next_pause(0.0), RECONNECT_MAX / 2);
    }
}
