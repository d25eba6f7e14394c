//! Sends what is owed to senders: receipts gathered per peer and tick, and bare acknowledgements for peers that know only those.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::limits::{EXPIRES_S_DEFAULT, RECEIPTS_PER_MESSAGE_MAX, RETRY_MS_MAX};
use comity_core::receipt::{self, Receipt, State};
use comity_core::record::Notice;
use comity_didcomm::{Message, MessageId};
use comity_store::records::notices::{self, Bundle};
use comity_store::records::{PeerKey, outbox};
use comity_store::{Batch, StoreFault};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::home::Home;
use crate::learn::{self, Learned};
use crate::limits::{NOTICE_TICK, SLOW_POLL};
use crate::outbound;

/// Says when something is owed.
#[derive(Default)]
pub(crate) struct Notices {
    more: Notify,
    /// Peers whose document could not be had, and when to try again.
    paused: Mutex<HashMap<PeerKey, (Instant, Duration)>>,
}

/// Peers that are paused at most; beyond, all are tried each tick.
const PAUSED_MAX: usize = 10_000;

impl Notices {
    /// Says that something may be owed.
    pub(crate) fn wake(&self) {
        self.more.notify_one();
    }

    fn is_paused(&self, peer: PeerKey) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.get(&peer).is_some_and(|(until, _)| Instant::now() < *until)
    }

    fn pause(&self, peer: PeerKey) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if PAUSED_MAX <= paused.len() {
            paused.clear();
        }
        let pause = paused.get(&peer).map_or(Duration::from_secs(1), |(_, pause)| *pause * 2);
        let pause = pause.min(Duration::from_millis(RETRY_MS_MAX));
        paused.insert(peer, (Instant::now() + pause, pause));
    }

    fn resume(&self, peer: PeerKey) {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }
}

/// Pays what is owed, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    loop {
        // What a lost hint would leave behind is found by the slow poll.
        let _woken = tokio::time::timeout(SLOW_POLL, home.notices.more.notified()).await;
        tokio::time::sleep(NOTICE_TICK).await;
        if let Err(fault) = pay_all(&home).await {
            tracing::error!(%fault, "receipts cannot be sent");
        }
    }
}

async fn pay_all(home: &Arc<Home>) -> Result<(), StoreFault> {
    let mut after = None;
    loop {
        let next =
            notices::next_bundle(home.store.as_ref(), after, RECEIPTS_PER_MESSAGE_MAX).await?;
        let Some((peer, bundle)) = next else { return Ok(()) };
        let is_full = bundle.owed.len() == RECEIPTS_PER_MESSAGE_MAX;
        let paid = !home.notices.is_paused(peer) && pay(home, peer, &bundle).await?;
        // A peer that was paid in full may be owed more already, or there may be more of it than one message carries.
        after = if paid && is_full { after } else { Some(peer) };
    }
}

/// Pays one bundle; says whether it is off the books.
async fn pay(home: &Arc<Home>, peer: PeerKey, bundle: &Bundle) -> Result<bool, StoreFault> {
    let Some(first) = bundle.owed.first() else { return Ok(true) };
    let mut batch = Batch::new();
    notices::paid(&mut batch, bundle);
    if first.notice == Notice::Receipts(home.did.clone()) {
        return pay_ourselves(home, batch, bundle).await;
    }
    let Some(message) = compose(home, bundle) else {
        return commit(home, batch).await;
    };
    match outbound::prepare_notice(home, message).await {
        Ok(queued) => {
            home.notices.resume(peer);
            outbox::enqueue(&mut batch, &queued);
            let is_paid = commit(home, batch).await?;
            if is_paid {
                home.transmitter.wake(home, queued.outgoing());
            }
            Ok(is_paid)
        }
        Err(reason) => {
            tracing::debug!(%reason, "receipts cannot be addressed");
            home.notices.pause(peer);
            let since = home.now().0.saturating_sub(first.rung.at.0);
            // A sender that cannot be found for as long as its messages live is not waiting any more.
            if EXPIRES_S_DEFAULT < since { commit(home, batch).await } else { Ok(false) }
        }
    }
}

/// Sender and recipient live here: what is owed is known to this home already, and only has to be written on the other side.
async fn pay_ourselves(
    home: &Arc<Home>,
    mut batch: Batch,
    bundle: &Bundle,
) -> Result<bool, StoreFault> {
    let mut learned = Learned::default();
    learn::from_receipts(home, &mut batch, &mut learned, &home.did, &receipts(bundle)).await?;
    let is_paid = commit(home, batch).await?;
    if is_paid {
        learned.tell(home);
    }
    Ok(is_paid)
}

fn compose(home: &Home, bundle: &Bundle) -> Option<Message> {
    let first = bundle.owed.first()?;
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    match &first.notice {
        Notice::None => None,
        Notice::Receipts(to) => {
            let receipts = receipts(bundle);
            Some(receipt::compose_receipts(id, &home.did, to, &receipts, None, home.now()))
        }
        Notice::Ack => {
            // An acknowledgement says that the agent has it, nothing else; the rest of the ladder has no word in standard DIDComm.
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
    let line = |owed: &notices::Owed| {
        owed.rung.to_receipt(&owed.id, &owed.sender, &owed.recipient, &owed.digest)
    };
    bundle.owed.iter().map(line).collect()
}

async fn commit(home: &Home, batch: Batch) -> Result<bool, StoreFault> {
    match home.store.commit(batch).await {
        Ok(_) => Ok(true),
        // The outbox is full; they stay owed.
        Err(comity_store::CommitError::Conflict(_)) => Ok(false),
        Err(comity_store::CommitError::Fault(fault)) => Err(fault),
    }
}
