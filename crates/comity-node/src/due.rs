//! Does what is due: messages and requests expire, sent messages are looked at again, old ones are
//! forgotten.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use comity_core::limits::HISTORY_S;
use comity_core::outbound::{Check, Whereabouts, next_check};
use comity_core::receipt::{QueryItem, Rung, State, compose_query};
use comity_core::record::Sent;
use comity_didcomm::{Did, MessageId, UnixTime};
use comity_store::records::due::{self, Due, DueRow};
use comity_store::records::notices::Debts;
use comity_store::records::relay::Relayed;
use comity_store::records::{MessageKey, ladder, mailbox, outbox, relay, spent};
use comity_store::{Batch, MailboxKey, Seq, StoreFault};

use crate::home::{Committed, Home};
use crate::limits::{DUE_ROWS_MAX, DUE_TICK, QUERY_IDS_ASKED};
use crate::transmit::Failure;
use crate::{deliver, outbound, transmit};

/// Looks at what is due, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    loop {
        if let Err(fault) = sweep(&home).await {
            tracing::error!(%fault, "what is due cannot be read");
        }
        tokio::time::sleep(DUE_TICK).await;
    }
}

/// Goes once through everything that is due. What cannot be done now stays due, and keeps nothing
/// else from being done.
async fn sweep(home: &Arc<Home>) -> Result<(), StoreFault> {
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
            if let Err(fault) = handle(home, batch, row, now, &mut queries).await {
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
    let mut debts = Debts::new();
    match &row.due {
        Due::ExpireMessage { mailbox, seq, message } => {
            Due::ForgetReceived(*message).put(&mut batch, now.saturating_add(HISTORY_S));
            return expire_message(home, batch, *mailbox, *seq).await;
        }
        Due::ExpireRequest { recipient, sender } => {
            if let Some(waiting) = mailbox::request(store, recipient, sender).await?
                && waiting.held.request.until <= now
            {
                mailbox::drop_request(&mut batch, &mut debts, &waiting, &expired(home));
            }
        }
        Due::CheckSent(message) => return check_sent(home, batch, *message, now, queries).await,
        Due::ReportExpired(message) => {
            if let Some(sent) = outbox::sent(store, *message).await? {
                let report = transmit::report(home, &sent, Failure::EXPIRED);
                return settled(home.commit_and_report(batch, debts, report.await).await);
            }
        }
        Due::ExpireHeld(id) => batch = crate::relay::expire(home, batch, *id).await?,
        Due::ForgetRelayed(row) => relay::forget(store, &mut batch, *row, now).await?,
        Due::ForgetKnock(knock) => spent::forget_knock(&mut batch, *knock),
        Due::ForgetSpent(challenge) => spent::forget(&mut batch, *challenge),
        Due::ForgetReceived(message) => mailbox::forget(store, &mut batch, *message).await?,
        Due::ForgetSent(message) => outbox::forget(store, &mut batch, *message).await?,
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
    let Ok(queued) = outbound::prepare_notice(home, message).await else { return };
    // Whatever comes of it: it is asked again at the next check.
    let asked = home.commit(Batch::new(), Debts::new(), Some(queued)).await;
    tracing::debug!(?asked, "a peer was asked for receipts");
}

fn expired(home: &Home) -> Rung {
    Rung::new(State::Expired, home.now(), home.did.clone())
}
