//! Does what is due: messages and requests expire, sent messages are looked at again, old ones are forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_core::limits::{HISTORY_S, QUERY_IDS_MAX};
use comity_core::outbound::{Check, next_check};
use comity_core::receipt::{QueryItem, Rung, State, compose_query};
use comity_core::record::Sent;
use comity_core::refusal::Refusal;
use comity_didcomm::{Did, MessageId, UnixTime};
use comity_store::records::due::{self, Due, DueRow};
use comity_store::records::{MessageKey, ladder, mailbox, outbox};
use comity_store::{Batch, CommitError, MailboxKey, Seq, StoreFault, Wake as _};

use crate::home::Home;
use crate::limits::{DUE_ROWS_MAX, DUE_TICK};
use crate::{outbound, transmit};

/// Looks at what is due, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>) {
    loop {
        match sweep(&home).await {
            // There may be more of it.
            Ok(DUE_ROWS_MAX) => continue,
            Ok(_) => {}
            Err(fault) => tracing::error!(%fault, "what is due cannot be done"),
        }
        tokio::time::sleep(DUE_TICK).await;
    }
}

async fn sweep(home: &Arc<Home>) -> Result<usize, StoreFault> {
    let now = home.now();
    let rows = due::until(home.store.as_ref(), now, DUE_ROWS_MAX).await?;
    let mut queries: BTreeMap<(Did, Did), Vec<QueryItem>> = BTreeMap::new();
    for row in &rows {
        let mut batch = Batch::new();
        due::done(&mut batch, row);
        handle(home, batch, row, now, &mut queries).await?;
    }
    for ((from, to), items) in queries {
        for items in items.chunks(QUERY_IDS_MAX) {
            ask(home, &from, &to, items).await;
        }
    }
    Ok(rows.len())
}

async fn handle(
    home: &Arc<Home>,
    mut batch: Batch,
    row: &DueRow,
    now: UnixTime,
    queries: &mut BTreeMap<(Did, Did), Vec<QueryItem>>,
) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    match &row.due {
        Due::ExpireMessage { mailbox, seq, message } => {
            Due::ForgetReceived(*message).put(&mut batch, now.saturating_add(HISTORY_S));
            return expire_message(home, batch, *mailbox, *seq).await;
        }
        Due::ExpireRequest { recipient, sender } => {
            if let Some(waiting) = mailbox::request(store, recipient, sender).await? {
                if waiting.held.request.until <= now {
                    mailbox::drop_request(&mut batch, &waiting, &expired(home));
                    home.notices.wake();
                }
            }
        }
        Due::CheckSent(message) => return check_sent(home, batch, *message, now, queries).await,
        Due::ReportExpired(message) => {
            if let Some(sent) = outbox::sent(store, *message).await? {
                let report = transmit::report(home, &sent, Refusal::Expired.code(), State::Expired);
                return transmit::commit_with(home, batch, report.await).await;
            }
        }
        Due::ForgetReceived(message) => mailbox::forget(store, &mut batch, *message).await?,
        Due::ForgetSent(message) => outbox::forget(store, &mut batch, *message).await?,
    }
    commit(home, batch).await
}

async fn expire_message(
    home: &Arc<Home>,
    mut batch: Batch,
    mailbox: MailboxKey,
    seq: Seq,
) -> Result<(), StoreFault> {
    if let Some(received) = mailbox::row(home.store.as_ref(), mailbox, seq).await? {
        mailbox::settle(&mut batch, seq, &received, &expired(home));
    }
    commit(home, batch).await?;
    if home.mailboxes.forget(mailbox, &[seq]) {
        home.wake.wake(&mailbox);
    }
    home.notices.wake();
    Ok(())
}

async fn check_sent(
    home: &Arc<Home>,
    mut batch: Batch,
    message: MessageKey,
    now: UnixTime,
    queries: &mut BTreeMap<(Did, Did), Vec<QueryItem>>,
) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    let Some(sent) = outbox::sent(store, message).await? else { return commit(home, batch).await };
    let rungs = ladder::sent_rungs(store, message).await?;
    let position = outbox::position(store, message).await?;
    match next_check(&sent, &rungs, position.is_some(), now) {
        Check::Settled => {
            forget_later(&mut batch, &sent, message, now);
            commit(home, batch).await
        }
        Check::Wait { next } => {
            Due::CheckSent(message).put(&mut batch, next);
            commit(home, batch).await
        }
        Check::Query { next } => {
            Due::CheckSent(message).put(&mut batch, next);
            // Only a home of ours answers queries; others had their say in the ack header, or not at all.
            if let Some(peer) = sent.recipient_homes.first() {
                let item = QueryItem {
                    id: sent.id.clone(),
                    from: sent.sender.clone(),
                    to: sent.recipient.clone(),
                };
                queries.entry((home.did.clone(), peer.clone())).or_default().push(item);
            }
            commit(home, batch).await
        }
        Check::Expire => {
            forget_later(&mut batch, &sent, message, now);
            if let Some((destination, seq)) = position {
                take_out(home, &mut batch, &sent, destination, seq).await?;
            }
            let code = Refusal::Expired.code();
            transmit::fail(home, batch, &sent.sender, &sent.id, State::Expired, code).await
        }
    }
}

/// Plans to forget a sent message whose ladder has ended, when no repeat or question about it can come any more.
fn forget_later(batch: &mut Batch, sent: &Sent, message: MessageKey, now: UnixTime) {
    Due::ForgetSent(message).put(batch, now.max(sent.expires).saturating_add(HISTORY_S));
}

async fn take_out(
    home: &Home,
    batch: &mut Batch,
    sent: &Sent,
    destination: outbox::Destination,
    seq: Seq,
) -> Result<(), StoreFault> {
    let after = Seq(seq.0.saturating_sub(1));
    let rows = outbox::rows(home.store.as_ref(), destination, after, 1).await?;
    for (found, outgoing) in rows {
        if found == seq && outgoing.id == sent.id {
            outbox::remove(batch, seq, &outgoing);
        }
    }
    Ok(())
}

/// Asks a peer's home for receipts that have not come.
async fn ask(home: &Arc<Home>, from: &Did, to: &Did, items: &[QueryItem]) {
    let Ok(id) = MessageId::parse(&uuid::Uuid::now_v7().to_string()) else { return };
    let message = compose_query(id, from, to, items, home.now());
    let Ok(queued) = outbound::prepare_notice(home, message).await else { return };
    let mut batch = Batch::new();
    outbox::enqueue(&mut batch, &queued);
    match home.store.commit(batch).await {
        Ok(_) => home.transmitter.wake(home, queued.outgoing()),
        // It is asked again at the next check.
        Err(error) => tracing::debug!(%error, "a receipt query was not queued"),
    }
}

fn expired(home: &Home) -> Rung {
    Rung::new(State::Expired, home.now(), home.did.clone())
}

/// Commits; a conflict means that somebody settled it in this moment, and the due row comes up again.
async fn commit(home: &Home, batch: Batch) -> Result<(), StoreFault> {
    match home.store.commit(batch).await {
        Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}
