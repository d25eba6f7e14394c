//! Hands messages to agents: which are in whose hands, and what becomes of them.
//!
//! Leases live in memory only: after a restart everything unacknowledged is handed over again, and
//! the agent's side drops what it has handled. So handing over writes nothing that must be read
//! back.

mod hand_over;
mod settle;

pub(crate) use hand_over::{Handed, delivery, hand_over, peek, record_received, reopen};
pub(crate) use settle::{left, settle};

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use comity_core::api::Working;
use comity_core::receipt::{Rung, State};
use comity_core::record::Sent;
use comity_didcomm::Did;
use comity_store::records::mailbox_key;
use comity_store::{MailboxKey, Seq};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::limits::{EVENTS_MAX, UNACKNOWLEDGED_MAX};

/// A message of an agent got further.
#[derive(Clone, Debug)]
pub(crate) struct StateEvent {
    pub(crate) agent: Did,
    pub(crate) id: String,
    pub(crate) rung: Rung,
}

/// What an agent that listens is told about one of its own messages.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It got further.
    State(StateEvent),
    /// A puzzle is being solved for it.
    Working { id: String, working: Working },
}

impl StateEvent {
    pub(crate) fn is(&self, sent: &Sent, state: State) -> bool {
        self.agent == sent.sender && self.id == sent.id && self.rung.state == state
    }
}

/// Whoever fetches messages: a WebSocket, or one HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder(u64);

/// The mailboxes that somebody has looked into since the node started.
#[derive(Default)]
pub(crate) struct Mailboxes {
    boxes: Mutex<HashMap<MailboxKey, Arc<Mutex<Hands>>>>,
    holders: AtomicU64,
    sockets: Mutex<HashMap<MailboxKey, watch::Sender<u64>>>,
    events: Mutex<HashMap<MailboxKey, broadcast::Sender<Event>>>,
}

/// What is in an agent's hands.
#[derive(Default)]
pub(crate) struct Hands {
    /// Everything up to here has been handed over at least once.
    cursor: Seq,
    out: BTreeMap<Seq, Lease>,
}

struct Lease {
    holder: Option<Holder>,
    until: Option<Instant>,
    times: u32,
}

impl Mailboxes {
    /// Names a new holder.
    pub(crate) fn holder(&self) -> Holder {
        Holder(self.holders.fetch_add(1, Ordering::Relaxed))
    }

    fn hands(&self, mailbox: MailboxKey) -> Arc<Mutex<Hands>> {
        let mut boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(boxes.entry(mailbox).or_default())
    }

    fn with<T>(&self, mailbox: MailboxKey, act: impl FnOnce(&mut Hands) -> T) -> T {
        let hands = self.hands(mailbox);
        let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut hands)
    }

    /// Gives back what a holder has not acknowledged.
    pub(crate) fn release(&self, mailbox: MailboxKey, holder: Holder) {
        self.with(mailbox, |hands| {
            for lease in hands.out.values_mut().filter(|lease| lease.holder == Some(holder)) {
                lease.holder = None;
                lease.until = None;
            }
        });
    }

    /// Forgets messages that left their mailbox; says whether the agent's hands had been full.
    pub(crate) fn forget(&self, mailbox: MailboxKey, seqs: &[Seq]) -> bool {
        self.with(mailbox, |hands| {
            let was_full = hands.room(Instant::now()) == 0;
            for seq in seqs {
                hands.out.remove(seq);
            }
            was_full
        })
    }

    /// Puts a message before the agent whose place in the mailbox may have been passed already: an
    /// approved request.
    pub(crate) fn offer(&self, mailbox: MailboxKey, seq: Seq) {
        self.with(mailbox, |hands| {
            hands.out.entry(seq).or_insert(Lease { holder: None, until: None, times: 0 });
        });
    }

    /// Announces an agent's new socket, which the older ones see as a number that is not theirs.
    pub(crate) fn new_socket(&self, did: &Did, holder: Holder) -> watch::Receiver<u64> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = sockets.entry(mailbox_key(did)).or_insert_with(|| watch::Sender::new(0));
        newest.send_replace(holder.0);
        newest.subscribe()
    }

    /// Takes a closed socket off the list.
    pub(crate) fn socket_closed(&self, did: &Did) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = mailbox_key(did);
        if sockets.get(&key).is_some_and(|newest| newest.receiver_count() == 0) {
            sockets.remove(&key);
        }
    }

    /// Counts the agents that are connected.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Listens to how far an agent's own messages get.
    pub(crate) fn events(&self, did: &Did) -> broadcast::Receiver<Event> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever left is noticed when somebody comes.
        events.retain(|_, listeners| 0 < listeners.receiver_count());
        let listeners = events.entry(mailbox_key(did));
        listeners.or_insert_with(|| broadcast::Sender::new(EVENTS_MAX)).subscribe()
    }

    /// Tells those who listen. Nobody depends on it: `trace` reads the store.
    pub(crate) fn tell(&self, event: &StateEvent) {
        self.tell_agent(&event.agent, || Event::State(event.clone()));
    }

    /// Tells an agent, if it listens.
    pub(crate) fn tell_agent(&self, agent: &Did, event: impl FnOnce() -> Event) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = events.get(&mailbox_key(agent)) {
            let _nobody_listens = listeners.send(event());
        }
    }
}

impl Holder {
    /// Whether this holder is the newest.
    pub(crate) const fn is(self, newest: u64) -> bool {
        self.0 == newest
    }
}

impl Hands {
    /// How many more messages the agent may hold.
    fn room(&self, now: Instant) -> usize {
        let held = self.out.values().filter(|lease| !lease.is_over(now)).count();
        UNACKNOWLEDGED_MAX.saturating_sub(held)
    }

    /// Messages that were handed over before and came back, or whose lease ran out.
    fn returned(&self, now: Instant, limit: usize) -> Vec<Seq> {
        let over = self.out.iter().filter(|(_, lease)| lease.is_over(now));
        over.map(|(seq, _)| *seq).take(limit).collect()
    }
}

impl Lease {
    /// Whether the message may be handed to somebody else: given back, or held for too long.
    fn is_over(&self, now: Instant) -> bool {
        self.holder.is_none() || self.until.is_some_and(|until| until <= now)
    }
}
