//! What nodes tell each other of their logs with receipts, and whether it fits to what was told before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use comity_core::event::Event;
use comity_core::limits::CLOCK_SKEW_S_MAX;
use comity_core::log::{Checkpoint, Finding, LogQuote, Plan, TreeHead, Witnessed};
use comity_core::receipt::{Receipt, State, compose_receipts};
use comity_core::record::digest_text;
use comity_core::trust::subject;
use comity_didcomm::{Did, MessageId};
use comity_store::records::events;
use comity_store::records::log::peers::{self, Found, PeerLog};
use comity_store::records::log::tiles::Prover;
use comity_store::records::notices::Debts;
use comity_store::{Batch, CommitError, StoreFault};
use serde_json::Value;

use super::witness::{add_contradiction, contradict};
use super::{audit, checkpoint_now, roll_back};
use crate::home::Home;
use crate::limits::{INTRODUCED_AGAIN_S, LOGS_KNOWN_MAX};
use crate::outbound;

/// Returns what a counterparty is told with its receipts.
pub(crate) async fn quote(home: &Arc<Home>, to: &Did) -> Option<LogQuote> {
    let key = home.ledger.log_key()?.public().clone();
    let checkpoint = match home.ledger.latest() {
        Some(latest) => latest.to_string(),
        None => checkpoint_now(home).await.ok()??.note,
    };
    let known = peers::of_node(home.store.as_ref(), to).await.ok().flatten();
    let is_reachable = !home.public_url.is_empty() && home.via.is_none();
    Some(LogQuote {
        checkpoint,
        key,
        seen: known.and_then(|known| known.log.checkpoint),
        url: is_reachable.then(|| home.public_url.clone()),
        witness: home.ledger.witness_key().map(|key| key.public().clone()),
    })
}

/// Remembers that somebody is told of this node's log who may tell of his.
pub(crate) fn show(home: &Home, to: &Did) {
    home.ledger.shown.insert(subject(to), ());
}

/// Takes what a counterparty tells of its log and of this node's.
pub(crate) async fn learn(home: &Arc<Home>, from: &Did, told: &Value) -> Result<(), StoreFault> {
    if home.ledger.log_key().is_none() {
        return Ok(());
    }
    if told.get("seen").is_none_or(Value::is_null) {
        introduce(home, from).await?;
    }
    // A busy peer tells the same many times a second.
    let (node, digest) = (subject(from), digest_text(told.to_string().as_bytes()));
    if home.ledger.heard.get(&node).as_ref() == Some(&digest) {
        return Ok(());
    }
    let Some(quote) = LogQuote::read(told) else { return Ok(()) };
    let Ok(checkpoint) = Checkpoint::parse(&quote.checkpoint) else { return Ok(()) };
    let Ok(head) = checkpoint.verify(&quote.key) else {
        tracing::warn!(%node, "a checkpoint is not signed by the key that it comes with");
        return Ok(());
    };
    if let Some(seen) = &quote.seen {
        check_ours(home, seen).await?;
    }
    if take(home, &node, &quote, head).await? == Taken::Durable {
        home.ledger.heard.insert(node, digest);
    }
    Ok(())
}

/// Tells somebody of this node's log who does not know it, since he has no receipts of it: a receipt
/// message about nothing.
async fn introduce(home: &Arc<Home>, to: &Did) -> Result<(), StoreFault> {
    let node = subject(to);
    let last = home.ledger.introduced.get(&node);
    let is_time = last.is_none_or(|last| last.saturating_add(INTRODUCED_AGAIN_S) <= home.now());
    let Some(quote) = quote(home, to).await.filter(|_| is_time) else { return Ok(()) };
    home.ledger.introduced.insert(node, home.now());
    let Ok(id) = MessageId::parse(&uuid::Uuid::now_v7().to_string()) else { return Ok(()) };
    let message = compose_receipts(id, &home.did, to, &[], Some(&quote), home.now());
    // Whoever cannot be written to now tells of his log again.
    if let Ok(queued) = outbound::prepare_to_peer(home, message).await {
        let _full_or_durable = home.commit(Batch::new(), Debts::new(), Some(queued)).await?;
    }
    Ok(())
}

/// What became of what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Durable,
    /// Something else changed meanwhile: it is taken with the next receipt.
    Later,
}

async fn take(
    home: &Arc<Home>,
    node: &Did,
    quote: &LogQuote,
    head: TreeHead,
) -> Result<Taken, StoreFault> {
    let store = home.store.as_ref();
    let found = match peers::of_node(store, node).await? {
        Some(known) if known.log.key == quote.key => known,
        other => return add(home, node, quote, other).await,
    };
    let mut log = found.log.clone();
    (log.url, log.witness) = (quote.url.clone(), quote.witness.clone());
    let witnessed = log.witnessed.as_ref().and_then(Witnessed::head);
    let told = log.checkpoint.as_deref().and_then(|note| Checkpoint::parse(note).ok());
    let told = told.map(|told| told.claimed());
    for before in witnessed.into_iter().chain(told) {
        if before.size == head.size && before.root != head.root {
            let first = log.checkpoint.clone().unwrap_or_default();
            contradict(home, &log.key, Finding::Fork, &first, &quote.checkpoint).await?;
            return Ok(Taken::Durable);
        }
    }
    match witnessed {
        // What is cosigned continues; of what is only told the log itself is asked.
        Some(last) if last.size != head.size => {
            audit::begin(home, &log.key, quote.checkpoint.clone());
        }
        Some(_) => {}
        None if told.is_none_or(|told| told.size < head.size) => {
            log.checkpoint = Some(quote.checkpoint.clone());
        }
        None => {}
    }
    if log == found.log {
        return Ok(Taken::Durable);
    }
    let mut batch = Batch::new();
    peers::put(&mut batch, &log, Some(&found));
    write(home, batch).await
}

/// Takes a log that this node has not heard of, in the place of the one that its keeper signed before.
async fn add(
    home: &Home,
    node: &Did,
    quote: &LogQuote,
    before: Option<Found>,
) -> Result<Taken, StoreFault> {
    let store = home.store.as_ref();
    let mut batch = Batch::new();
    // One that others name as well: whose it is, is theirs to say; what is cosigned of it is one.
    let namesake = peers::by_key(store, &quote.key).await?;
    let mut log = namesake.as_ref().map_or_else(
        || PeerLog {
            node: node.clone(),
            key: quote.key.clone(),
            witness: quote.witness.clone(),
            url: quote.url.clone(),
            since: home.now(),
            witnessed: None,
            witnessed_at: None,
            checkpoint: Some(quote.checkpoint.clone()),
            contradictions: Vec::new(),
        },
        |found| found.log.clone(),
    );
    if let Some(before) = &before {
        // The DID signs another log than it did: what was promised by the other is not in it.
        log.contradictions.clone_from(&before.log.contradictions);
        let first = before.log.checkpoint.clone().unwrap_or_default();
        let finding = Finding::AnotherLog;
        if add_contradiction(&mut log, home, finding, &first, &quote.checkpoint) {
            let event = Event::log_contradicted(node, before.log.key.name(), finding);
            events::put(&mut batch, home.now(), vec![event]);
            tracing::warn!(%node, origin = before.log.key.name(), "a node signs another log now");
        }
        peers::remove(&mut batch, before);
    } else if LOGS_KNOWN_MAX <= peers::all(store, LOGS_KNOWN_MAX).await?.len() {
        tracing::warn!(%node, "so many logs are known that another is not");
        return Ok(Taken::Durable);
    }
    peers::put(&mut batch, &log, namesake.as_ref());
    peers::put_node(&mut batch, node, &quote.key);
    let taken = write(home, batch).await?;
    home.news.wake();
    Ok(taken)
}

async fn write(home: &Home, batch: Batch) -> Result<Taken, StoreFault> {
    match home.store.commit(batch).await {
        Ok(_) => {
            home.ledger.is_another_known.store(true, Ordering::Relaxed);
            Ok(Taken::Durable)
        }
        Err(CommitError::Conflict(_)) => Ok(Taken::Later),
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}

/// Checks that this node's log continues what a counterparty has seen of it.
async fn check_ours(home: &Arc<Home>, seen: &str) -> Result<(), StoreFault> {
    let Some(key) = home.ledger.log_key() else { return Ok(()) };
    let Ok(seen) = Checkpoint::parse(seen) else { return Ok(()) };
    // Of an earlier log of this node, or nobody's.
    let Ok(head) = seen.verify(key.public()) else { return Ok(()) };
    let store = home.store.as_ref();
    if store.frontier().await?.size() < head.size {
        return roll_back::found(home, head.size).await;
    }
    if head.size == 0 {
        return Ok(());
    }
    match Prover::new(store, head.size).prove(&Plan::root(head.size)).await {
        Ok(root) if root != [head.root] => roll_back::found(home, head.size).await,
        // Without the tiles nothing can be said yet.
        _ => Ok(()),
    }
}

/// Checks the times of receipts against what was seen of their log: an entry that was not in it at a
/// time is not from before.
pub(crate) async fn check_times(
    home: &Home,
    signer: &Did,
    receipts: &[Receipt],
    jws: &str,
) -> Result<(), StoreFault> {
    let Some(found) = peers::of_node(home.store.as_ref(), signer).await? else { return Ok(()) };
    let Some((seen, at)) = found.log.witnessed.as_ref().zip(found.log.witnessed_at) else {
        return Ok(());
    };
    let is_back_dated = |receipt: &Receipt| {
        let is_later = receipt.log_index.is_some_and(|index| seen.size <= index);
        let said = receipt.at.saturating_add(CLOCK_SKEW_S_MAX);
        receipt.state == State::Accepted && is_later && said < at
    };
    if receipts.iter().any(is_back_dated) {
        let first = found.log.checkpoint.clone().unwrap_or_default();
        contradict(home, &found.log.key, Finding::BackDated, &first, jws).await?;
    }
    Ok(())
}
