//! Does what is due: messages and requests expire, sent messages are looked at again, old ones are
//! forgotten.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use comity_core::limits::HISTORY_S;
use comity_core::outbound::{Check, Whereabouts, next_check};
use comity_core::receipt::{QueryItem, Rung, State, compose_query};
use comity_core::record::{Notice, Sent};
use comity_core::refusal::Refusal;
use comity_didcomm::{Did, MessageId, UnixTime};
use comity_store::records::due::{self, Due, DueRow};
use comity_store::records::mailbox::Waiting;
use comity_store::records::notices::Debts;
use comity_store::records::relay::Relayed;
use comity_store::records::{MessageKey, admission, events, ladder, mailbox, outbox, relay, spent};
use comity_store::{Batch, MailboxKey, Seq, StoreFault};
use tokio::sync::Semaphore;

use crate::events::{forget, of_expiry};
use crate::home::{Committed, Home};
use crate::limits::{DUE_ROWS_MAX, DUE_TICK, EXPIRE_AGAIN_S, EXPIRING_MAX, QUERY_IDS_ASKED};
use crate::transmit::Failure;
use crate::{decide, deliver, outbound, transmit};

/// Looks at what is due, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    let expiring = Arc::new(Semaphore::new(EXPIRING_MAX));
    loop {
        if let Err(fault) = sweep(&home, &expiring).await {
            tracing::error!(%fault, "what is due cannot be read");
        }
        if let Err(fault) = forget(&home).await {
            tracing::error!(%fault, "old events cannot be read");
        }
        tokio::time::sleep(DUE_TICK).await;
    }
}

/// Goes once through everything that is due. What cannot be done now stays due, and keeps nothing
/// else from being done.
async fn sweep(home: &Arc<Home>, expiring: &Arc<Semaphore>) -> Result<(), StoreFault> {
    let now = home.now();
    let mut after = None;
    loop {
        let rows = due::until(home.store.as_ref(), now, after.as_ref(), DUE_ROWS_MAX).await?;
        let mut queries: BTreeMap<Did, Vec<QueryItem>> = BTreeMap::new();
        // A busy relay has many of these, and a commit for each would take the time of the others.
        let forgotten = forget_together(home, &rows, now).await.unwrap_or_else(|fault| {
            tracing::error!(%fault, "what is due cannot be forgotten together");
            HashSet::new()
        });
        for (place, row) in rows.iter().enumerate() {
            if forgotten.contains(&place) {
                continue;
            }
            let mut batch = Batch::new();
            due::done(&mut batch, row);
            let done = match &row.due {
                Due::ExpireRequest { recipient, sender } => {
                    expire_request(home, batch, (recipient, sender), expiring).await
                }
                _ => handle(home, batch, row, now, &mut queries).await,
            };
            if let Err(fault) = done {
                tracing::error!(%fault, "what is due cannot be done");
            }
        }
        tokio::spawn(ask_all(Arc::clone(home), queries));
        match rows.into_iter().last() {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Forgets rows of the relay in one batch, bounded by [`DUE_ROWS_MAX`]; returns the places of those
/// that are done. After a conflict, that is none.
async fn forget_together(
    home: &Arc<Home>,
    rows: &[DueRow],
    now: UnixTime,
) -> Result<HashSet<usize>, StoreFault> {
    let mut batch = Batch::new();
    // What stands in it twice would be counted twice.
    let (mut places, mut seen) = (HashSet::new(), HashSet::new());
    for (place, row) in rows.iter().enumerate() {
        // The end of a grant is many changes, and a batch of its own.
        if let Due::ForgetRelayed(relayed) = row.due
            && !matches!(relayed, Relayed::Grant(_))
            && seen.insert(relayed)
        {
            due::done(&mut batch, row);
            relay::forget(home.store.as_ref(), &mut batch, relayed, now).await?;
            places.insert(place);
        }
    }
    if places.is_empty() {
        return Ok(places);
    }
    match home.commit(batch, Debts::new(), None).await? {
        Committed::Durable => Ok(places),
        Committed::Conflict(_) => Ok(HashSet::new()),
    }
}

/// Asks peers for receipts, apart from the sweep: one whose document does not come must not hold up
/// what is due.
async fn ask_all(home: Arc<Home>, queries: BTreeMap<Did, Vec<QueryItem>>) {
    for (peer, items) in queries {
        for items in items.chunks(QUERY_IDS_ASKED) {
            ask(&home, &peer, items).await;
        }
    }
}

async fn handle(
    home: &Arc<Home>,
    mut batch: Batch,
    row: &DueRow,
    now: UnixTime,
    queries: &mut BTreeMap<Did, Vec<QueryItem>>,
) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    let debts = Debts::new();
    match &row.due {
        Due::ExpireMessage { mailbox, seq, message } => {
            Due::ForgetReceived(*message).put(&mut batch, now.saturating_add(HISTORY_S));
            return expire_message(home, batch, *mailbox, *seq).await;
        }
        // `sweep` has it done apart.
        Due::ExpireRequest { .. } => return Ok(()),
        Due::CheckSent(message) => return check_sent(home, batch, *message, now, queries).await,
        Due::ReportExpired(message) => {
            if let Some(sent) = outbox::sent(store, *message).await? {
                let report = transmit::report(home, &sent, Failure::EXPIRED);
                return settled(home.commit_and_report(batch, debts, report.await).await);
            }
        }
        Due::TellUntold { agent, hour } => {
            let event = events::close_hour(store, &mut batch, agent, *hour).await?;
            events::put(&mut batch, now, event.into_iter().collect());
            settled(home.commit(batch, debts, None).await)?;
            home.news.wake();
            return Ok(());
        }
        Due::ExpireHeld(id) => batch = crate::relay::expire(home, batch, *id).await?,
        Due::ForgetMeta(key) => due::forget_meta(&mut batch, key),
        Due::ForgetRelayed(row) => relay::forget(store, &mut batch, *row, now).await?,
        Due::ForgetKnock(knock) => spent::forget_knock(&mut batch, *knock),
        Due::ForgetSpent(challenge) => spent::forget(&mut batch, *challenge),
        Due::ForgetReceived(message) => mailbox::forget(store, &mut batch, *message).await?,
        Due::ForgetSent(message) => outbox::forget(store, &mut batch, *message).await?,
        Due::ForgetToken(row) => admission::forget(store, &mut batch, *row, now).await?,
    }
    settled(home.commit(batch, debts, None).await)
}

/// A conflict means that somebody settled it in this moment; its due row comes up again.
fn settled(committed: Result<Committed, StoreFault>) -> Result<(), StoreFault> {
    committed.map(drop)
}

async fn expire_message(
    home: &Arc<Home>,
    mut batch: Batch,
    mailbox: MailboxKey,
    seq: Seq,
) -> Result<(), StoreFault> {
    let mut debts = Debts::new();
    if let Some(received) = mailbox::row(home.store.as_ref(), mailbox, seq).await? {
        mailbox::settle(&mut batch, &mut debts, seq, &received, &expired(home));
    }
    settled(home.commit(batch, debts, None).await)?;
    deliver::left(home, mailbox, &[seq]);
    Ok(())
}

/// Ends a request that nobody has decided. Its sender may have to be looked up first, and chooses how
/// long that takes: so that it holds up nothing else, this is done apart, for some at a time.
async fn expire_request(
    home: &Arc<Home>,
    mut batch: Batch,
    (recipient, sender): (&Did, &Did),
    expiring: &Arc<Semaphore>,
) -> Result<(), StoreFault> {
    let waiting = mailbox::request(home.store.as_ref(), recipient, sender).await?;
    let Some(waiting) = waiting.filter(|one| one.held.request.until <= home.now()) else {
        return settled(home.commit(batch, Debts::new(), None).await);
    };
    let Ok(place) = Arc::clone(expiring).try_acquire_owned() else { return Ok(()) };
    // Not looked at again while it is under way; again, should the node not live to end it.
    let again = Due::ExpireRequest { recipient: recipient.clone(), sender: sender.clone() };
    again.put(&mut batch, home.now().saturating_add(EXPIRE_AGAIN_S));
    settled(home.commit(batch, Debts::new(), None).await)?;
    let home = Arc::clone(home);
    tokio::spawn(async move {
        if let Err(fault) = drop_request(&home, &waiting).await {
            tracing::error!(%fault, "a request cannot expire");
        }
        drop(place);
    });
    Ok(())
}

/// Drops a request that has expired, and tells its sender in the same batch: by the receipts that it asked
/// for, or else by the recipient's own report.
async fn drop_request(home: &Arc<Home>, waiting: &Waiting) -> Result<(), StoreFault> {
    let (mut batch, mut debts) = (Batch::new(), Debts::new());
    let received = &waiting.held.received;
    let report = match received.notice {
        Notice::Receipts(_) => None,
        // An acknowledgement has no word for it.
        Notice::Ack | Notice::None => decide::report(home, received, Refusal::RequestExpired).await,
    };
    mailbox::drop_request(&mut batch, &mut debts, waiting, &expired(home));
    let event = of_expiry(home, &mut batch, received).await?;
    events::put(&mut batch, home.now(), event.into_iter().collect());
    settled(home.commit_and_report(batch, debts, report).await)?;
    home.news.wake();
    Ok(())
}

async fn check_sent(
    home: &Arc<Home>,
    mut batch: Batch,
    message: MessageKey,
    now: UnixTime,
    queries: &mut BTreeMap<Did, Vec<QueryItem>>,
) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    let Some(sent) = outbox::sent(store, message).await? else {
        return settled(home.commit(batch, Debts::new(), None).await);
    };
    let rungs = ladder::sent_rungs(store, message).await?;
    let position = outbox::position(store, message).await?;
    let whereabouts = position.map_or(Whereabouts::Peer, |_| Whereabouts::Outbox);
    match next_check(&sent, &rungs, whereabouts, now) {
        Check::Settled => {
            forget_later(&mut batch, &sent, message, now);
            settled(home.commit(batch, Debts::new(), None).await)
        }
        Check::Wait { next } => {
            Due::CheckSent(message).put(&mut batch, next);
            settled(home.commit(batch, Debts::new(), None).await)
        }
        Check::Query { next } => {
            Due::CheckSent(message).put(&mut batch, next);
            // Only a home of ours answers queries; others had their say in the ack header, or not
            // at all.
            if let Some(peer) = sent.recipient_homes.first() {
                let item = QueryItem {
                    id: sent.id.clone(),
                    from: sent.sender.clone(),
                    to: sent.recipient.clone(),
                };
                queries.entry(peer.clone()).or_default().push(item);
            }
            settled(home.commit(batch, Debts::new(), None).await)
        }
        Check::Expire => {
            forget_later(&mut batch, &sent, message, now);
            if let Some((destination, seq)) = position
                && let Some(outgoing) = outbox::row(store, destination, seq).await?
            {
                outbox::remove(&mut batch, seq, &outgoing);
            }
            transmit::fail(home, batch, &sent.sender, &sent.id, Failure::EXPIRED).await
        }
    }
}

/// Plans to forget a sent message whose ladder has ended, when no repeat or question about it can
/// come any more.
fn forget_later(batch: &mut Batch, sent: &Sent, message: MessageKey, now: UnixTime) {
    Due::ForgetSent(message).put(batch, now.max(sent.expires).saturating_add(HISTORY_S));
}

/// Asks a peer's home for receipts that have not come.
async fn ask(home: &Arc<Home>, to: &Did, items: &[QueryItem]) {
    let Ok(id) = MessageId::parse(&uuid::Uuid::now_v7().to_string()) else { return };
    let message = compose_query(id, &home.did, to, items, home.now());
    let Ok(queued) = outbound::prepare_to_peer(home, message).await else { return };
    // Whatever comes of it: it is asked again at the next check.
    let asked = home.commit(Batch::new(), Debts::new(), Some(queued)).await;
    tracing::debug!(?asked, "a peer was asked for receipts");
}

fn expired(home: &Home) -> Rung {
    Rung::new(State::Expired, home.now(), home.did.clone())
}
