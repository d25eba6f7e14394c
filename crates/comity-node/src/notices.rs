//! Sends what is owed to senders: receipts gathered per peer and tick, and bare acknowledgements
//! for peers that know only those.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::limits::{
    EXPIRES_S_DEFAULT, RECEIPT_BYTES_MAX, RECEIPTS_PER_MESSAGE_MAX, RETRY_MS_MAX,
};
use comity_core::outbound::Unsendable;
use comity_core::receipt::{self, Receipt, State};
use comity_core::record::Notice;
use comity_didcomm::{Message, MessageId};
use comity_store::records::PeerKey;
use comity_store::records::notices::{self, Bundle, Owed};
use comity_store::{Batch, StoreFault};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::home::{Committed, Home};
use crate::learn::{self, Learned};
use crate::limits::{NOTICE_TICK, PAUSED_MAX, PAYING_MAX, SLOW_POLL};
use crate::outbound;

/// Says when something is owed, and who is being paid.
#[derive(Default)]
pub(crate) struct Notices {
    more: Notify,
    payees: Mutex<Payees>,
}

#[derive(Default)]
struct Payees {
    /// Peers that are being paid.
    paying: HashSet<PeerKey>,
    /// Peers that could not be paid, when to try again, and how long the pause was.
    paused: HashMap<PeerKey, (Instant, Duration)>,
    /// Whether a payment could not begin because another was under way.
    missed: bool,
}

impl Notices {
    /// Says that something may be owed.
    pub(crate) fn wake(&self) {
        self.more.notify_one();
    }

    /// Reserves a peer for a payment, unless it is being paid or paused, or too many are.
    fn begin(&self, peer: PeerKey) -> bool {
        self.with(|payees| {
            let paused = payees.paused.get(&peer);
            if paused.is_some_and(|(until, _)| Instant::now() < *until) {
                return false;
            }
            let is_begun = payees.paying.len() < PAYING_MAX && payees.paying.insert(peer);
            payees.missed |= !is_begun;
            is_begun
        })
    }

    /// Gives a peer free, and looks again if somebody was turned away meanwhile.
    fn end(&self, peer: PeerKey, end: &End) {
        let missed = self.with(|payees| {
            payees.paying.remove(&peer);
            let last = payees.paused.remove(&peer);
            if matches!(end, End::Later) && payees.paused.len() < PAUSED_MAX {
                let pause = last.map_or(Duration::from_secs(1), |(_, pause)| pause * 2);
                let pause = pause.min(Duration::from_millis(RETRY_MS_MAX));
                payees.paused.insert(peer, (Instant::now() + pause, pause));
            }
            std::mem::take(&mut payees.missed)
        });
        if missed {
            self.wake();
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
    /// Nothing is owed any more.
    Paid,
}

/// Pays what is owed, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    loop {
        // What a lost hint would leave behind is found by the slow poll.
        let _woken = tokio::time::timeout(SLOW_POLL, home.notices.more.notified()).await;
        tokio::time::sleep(NOTICE_TICK).await;
        if let Err(fault) = begin_all(&home).await {
            tracing::error!(%fault, "what is owed cannot be read");
        }
    }
}

/// Begins a payment to each peer to which something is owed; one that does not answer holds up no
/// other.
async fn begin_all(home: &Arc<Home>) -> Result<(), StoreFault> {
    let mut after = None;
    while let Some(peer) = notices::next_peer(home.store.as_ref(), after).await? {
        if home.notices.begin(peer) {
            tokio::spawn(pay_peer(Arc::clone(home), peer));
        }
        after = Some(peer);
    }
    Ok(())
}

async fn pay_peer(home: Arc<Home>, peer: PeerKey) {
    let end = pay_all(&home, peer).await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "receipts cannot be sent");
        End::Later
    });
    home.notices.end(peer, &end);
}

async fn pay_all(home: &Arc<Home>, peer: PeerKey) -> Result<End, StoreFault> {
    let (count_max, bytes_max) = (RECEIPTS_PER_MESSAGE_MAX, RECEIPT_BYTES_MAX);
    loop {
        let bundle = notices::bundle(home.store.as_ref(), peer, count_max, bytes_max).await?;
        let Some(first) = bundle.owed.first() else { return Ok(End::Paid) };
        if !pay(home, &bundle, first).await? {
            return Ok(End::Later);
        }
        // A part of a bundle is all there was a moment ago; what came since waits for the next
        // tick.
        if bundle.owed.len() < count_max {
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
    let Some(message) = compose(home, bundle, first) else {
        return Ok(home.commit(batch, None).await? == Committed::Durable);
    };
    let reason = match outbound::prepare_notice(home, message).await {
        // When the outbox is full they stay owed.
        Ok(queued) => return Ok(home.commit(batch, Some(queued)).await? == Committed::Durable),
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
    Ok(home.commit(batch, None).await? == Committed::Durable)
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
    let committed = home.commit(batch, None).await?;
    if committed == Committed::Durable {
        learned.tell(home);
    }
    Ok(committed == Committed::Durable)
}

fn compose(home: &Home, bundle: &Bundle, first: &Owed) -> Option<Message> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    match &first.notice {
        Notice::None => None,
        Notice::Receipts(to) => {
            let receipts = receipts(bundle);
            Some(receipt::compose_receipts(id, &home.did, to, &receipts, home.now()))
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
