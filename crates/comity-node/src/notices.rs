//! Sends what is owed to senders: receipts gathered per peer and tick, and bare acknowledgements
//! for peers that know only those.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::limits::{EXPIRES_S_DEFAULT, RECEIPTS_PER_MESSAGE_MAX, RETRY_MS_MAX};
use comity_core::log::LogQuote;
use comity_core::outbound::Unsendable;
use comity_core::receipt::{self, Receipt, State};
use comity_core::record::Notice;
use comity_didcomm::{Message, MessageId};
use comity_store::records::PeerKey;
use comity_store::records::notices::{self, Bundle, Debts, Owed};
use comity_store::{Batch, Seq, StoreFault};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::home::{Committed, Home};
use crate::learn::{self, Learned};
use crate::ledger;
use crate::limits::{NOTICE_TICK, PAUSED_MAX, PAYING_MAX, SLOW_POLL};
use crate::outbound;

/// To whom something is owed, and who is being paid.
#[derive(Default)]
pub(crate) struct Notices {
    more: Notify,
    payees: Mutex<Payees>,
}

#[derive(Default)]
struct Payees {
    /// Peers to which something is owed, as far as is known here.
    owed: BTreeSet<PeerKey>,
    /// Peers that are being paid.
    paying: BTreeSet<PeerKey>,
    /// Up to where each peer was paid: what lies before are only deleted rows.
    paid: HashMap<PeerKey, Seq>,
    /// Peers that could not be paid, when to try again, and how long the pause was.
    paused: HashMap<PeerKey, (Instant, Duration)>,
}

impl Notices {
    /// Says to whom something is owed.
    pub(crate) fn wake(&self, peers: &[PeerKey]) {
        if !peers.is_empty() {
            self.with(|payees| payees.owed.extend(peers));
            self.more.notify_one();
        }
    }

    /// Picks the peers that can be paid now, and up to where they were paid.
    fn begin(&self) -> Vec<(PeerKey, Seq)> {
        self.with(|payees| {
            let now = Instant::now();
            let is_free = |peer: &PeerKey| {
                let paused = payees.paused.get(peer);
                !payees.paying.contains(peer) && paused.is_none_or(|(until, _)| *until <= now)
            };
            let room = PAYING_MAX.saturating_sub(payees.paying.len());
            let free: Vec<_> = payees.owed.iter().copied().filter(is_free).take(room).collect();
            for peer in &free {
                payees.owed.remove(peer);
                payees.paying.insert(*peer);
            }
            let paid = |peer| payees.paid.get(&peer).copied().unwrap_or_default();
            free.into_iter().map(|peer| (peer, paid(peer))).collect()
        })
    }

    fn end(&self, peer: PeerKey, paid: Seq, end: &End) {
        let is_more = self.with(|payees| {
            payees.paying.remove(&peer);
            // What is forgotten costs a look at deleted rows, once.
            if PAUSED_MAX <= payees.paid.len() {
                payees.paid.clear();
            }
            payees.paid.insert(peer, paid);
            let last = payees.paused.remove(&peer);
            if matches!(end, End::Later) && payees.paused.len() < PAUSED_MAX {
                let pause = last.map_or(Duration::from_secs(1), |(_, pause)| pause * 2);
                let pause = pause.min(Duration::from_millis(RETRY_MS_MAX));
                payees.paused.insert(peer, (Instant::now() + pause, pause));
            }
            !payees.owed.is_empty()
        });
        if is_more {
            self.more.notify_one();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Payees) -> T) -> T {
        act(&mut self.payees.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a payment ended.
enum End {
    /// It could not be made now.
    Later,
    /// It was made.
    Paid,
}

/// Pays what is owed, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    // What an earlier run of the node left is found by reading; so is what was put off.
    let mut look = Instant::now();
    loop {
        if look <= Instant::now() {
            if let Err(fault) = find(&home).await {
                tracing::error!(%fault, "what is owed cannot be read");
            }
            look = Instant::now() + SLOW_POLL;
        }
        for (peer, paid) in home.notices.begin() {
            tokio::spawn(pay_peer(Arc::clone(&home), peer, paid));
        }
        let woken = tokio::time::timeout_at(look, home.notices.more.notified()).await;
        if woken.is_ok() {
            // A moment for more to gather.
            tokio::time::sleep(NOTICE_TICK).await;
        }
    }
}

/// Reads to whom something is owed.
async fn find(home: &Home) -> Result<(), StoreFault> {
    let mut after = None;
    while let Some(peer) = notices::next_peer(home.store.as_ref(), after).await? {
        home.notices.with(|payees| payees.owed.insert(peer));
        after = Some(peer);
    }
    Ok(())
}

/// Pays one peer; one that does not answer holds up no other.
async fn pay_peer(home: Arc<Home>, peer: PeerKey, mut paid: Seq) {
    let end = pay_all(&home, peer, &mut paid).await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "receipts cannot be sent");
        End::Later
    });
    home.notices.end(peer, paid, &end);
}

async fn pay_all(home: &Arc<Home>, peer: PeerKey, paid: &mut Seq) -> Result<End, StoreFault> {
    loop {
        let count_max = RECEIPTS_PER_MESSAGE_MAX;
        let bundle = notices::bundle(home.store.as_ref(), peer, *paid, count_max).await?;
        let Some(first) = bundle.owed.first() else { return Ok(End::Paid) };
        if !pay(home, &bundle, first).await? {
            return Ok(End::Later);
        }
        *paid = bundle.end;
        // What came since gathers until the next tick.
        if !bundle.is_part {
            return Ok(End::Paid);
        }
    }
}

/// Pays one bundle; says whether it is off the books.
async fn pay(home: &Arc<Home>, bundle: &Bundle, first: &Owed) -> Result<bool, StoreFault> {
    let mut batch = Batch::new();
    notices::paid(&mut batch, bundle);
    if first.notice == Notice::Receipts(home.did.clone()) {
        return pay_ourselves(home, batch, bundle).await;
    }
    // Those whose messages only wait for an operator may be anybody.
    let is_peer = bundle.owed.iter().any(|owed| match owed.rung.state {
        State::Received | State::Processed => true,
        State::Accepted => !owed.rung.pending,
        _ => false,
    });
    let quote = match &first.notice {
        Notice::Receipts(to) => {
            if is_peer {
                ledger::show(home, to);
            }
            ledger::quote(home, to).await
        }
        _ => None,
    };
    let Some(message) = compose(home, bundle, first, quote.as_ref()) else {
        return Ok(home.commit(batch, Debts::new(), None).await? == Committed::Durable);
    };
    let prepared = match is_peer {
        true => outbound::prepare_to_peer(home, message).await,
        false => outbound::prepare_notice(home, message).await,
    };
    let reason = match prepared {
        // When the outbox is full they stay owed.
        Ok(queued) => {
            return Ok(home.commit(batch, Debts::new(), Some(queued)).await? == Committed::Durable);
        }
        Err(reason) => reason,
    };
    let since = home.now().0.saturating_sub(first.rung.at.0);
    let is_waiting = matches!(reason, Unsendable::Unresolvable | Unsendable::Unavailable);
    if is_waiting && since <= EXPIRES_S_DEFAULT {
        return Ok(false);
    }
    // Whoever names no way to be told, or cannot be found for as long as messages live, is not
    // told.
    tracing::debug!(%reason, "receipts are dropped");
    Ok(home.commit(batch, Debts::new(), None).await? == Committed::Durable)
}

/// Sender and recipient live here: what is owed is known to this home already, and only has to be
/// written on the other side.
async fn pay_ourselves(
    home: &Arc<Home>,
    mut batch: Batch,
    bundle: &Bundle,
) -> Result<bool, StoreFault> {
    let mut learned = Learned::default();
    learn::from_receipts(home, &mut batch, &mut learned, &home.did, &receipts(bundle)).await?;
    let committed = home.commit(batch, Debts::new(), None).await?;
    if committed == Committed::Durable {
        learned.tell(home);
    }
    Ok(committed == Committed::Durable)
}

fn compose(
    home: &Home,
    bundle: &Bundle,
    first: &Owed,
    quote: Option<&LogQuote>,
) -> Option<Message> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    match &first.notice {
        Notice::None => None,
        Notice::Receipts(to) => {
            let receipts = receipts(bundle);
            Some(receipt::compose_receipts(id, &home.did, to, &receipts, quote, home.now()))
        }
        Notice::Ack => {
            // An acknowledgement says that the agent has it, nothing else; the rest of the ladder
            // has no word in standard DIDComm.
            let received = |state| matches!(state, State::Received | State::Processed);
            let mut ids: Vec<String> = Vec::new();
            for owed in bundle.owed.iter().filter(|owed| received(owed.rung.state)) {
                if !ids.contains(&owed.id) {
                    ids.push(owed.id.clone());
                }
            }
            let (from, to) = (&first.recipient, &first.sender);
            let ack = || receipt::compose_ack(id, from, to, &first.thid, ids.clone(), home.now());
            (!ids.is_empty()).then(ack)
        }
    }
}

fn receipts(bundle: &Bundle) -> Vec<Receipt> {
    let line =
        |owed: &Owed| owed.rung.to_receipt(&owed.id, &owed.sender, &owed.recipient, &owed.digest);
    bundle.owed.iter().map(line).collect()
}
