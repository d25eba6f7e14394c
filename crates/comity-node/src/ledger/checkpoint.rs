//! Makes checkpoints: one a second, or for every thousand entries, as long as the log grows. With each
//! the agents whose chains grew sign the ends of these.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use comity_core::log::{Checkpoint, NoteKey, sign_head};
use comity_core::trust::subject;
use comity_didcomm::Did;
use comity_store::records::log::checkpoints::{self, Kept};
use comity_store::records::log::{self, tiles};
use comity_store::{Batch, ChainEnd, StoreFault};
use tokio::time::Instant;

use super::{commit, witness};
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::{
    CHECKPOINT_ENTRIES, CHECKPOINT_EVERY, CHECKPOINT_LOOK, FORGET_EVERY, HEAD_KEPT_S,
    HEADS_AT_ONCE, WITNESS_PAUSE_MAX,
};

/// What was made so far.
pub(crate) struct Made {
    /// Size of the latest checkpoint.
    size: u64,
    at: Instant,
    /// Up to where the tiles of the log are complete, as far as is known.
    tiles: u64,
    /// When the witnesses that have not cosigned the latest checkpoint are asked again, and the pause
    /// after that.
    again: (Instant, Duration),
    /// The heads that agents signed: number, minute, key.
    heads: HashMap<Did, (u64, u64, String)>,
}

impl Made {
    pub(super) fn new(latest: Option<&Kept>) -> Self {
        let size = latest.map_or(0, |latest| latest.size);
        // Tiles are written before the checkpoint that needs them.
        let again = (Instant::now(), CHECKPOINT_EVERY);
        Self { size, at: Instant::now(), tiles: size, again, heads: HashMap::new() }
    }
}

/// Makes checkpoints for as long as the node runs, and forgets what is old, also what a node has kept
/// that has no log any more.
pub(crate) async fn run(home: Arc<Home>) {
    let mut forget = Instant::now();
    loop {
        if forget <= Instant::now() {
            forget += FORGET_EVERY;
            if let Err(fault) = home.forget_old().await {
                tracing::error!(%fault, "what was kept long enough could not be forgotten");
            }
        }
        if home.ledger.log_key().is_none() {
            tokio::time::sleep_until(forget).await;
            continue;
        }
        tokio::time::sleep(CHECKPOINT_LOOK).await;
        if let Err(fault) = make_if_due(&home).await {
            tracing::error!(%fault, "a checkpoint could not be made");
            tokio::time::sleep(CHECKPOINT_EVERY).await;
        }
    }
}

async fn make_if_due(home: &Arc<Home>) -> Result<(), StoreFault> {
    let size = home.store.frontier().await?.size();
    let mut made = home.ledger.making.lock().await;
    let grown = size.saturating_sub(made.size);
    let is_due = CHECKPOINT_EVERY <= made.at.elapsed() || CHECKPOINT_ENTRIES <= grown;
    if 0 < grown && is_due {
        return make(home, &mut made).await;
    }
    if home.ledger.is_another_known() {
        made.again = (Instant::now(), CHECKPOINT_EVERY);
    }
    if made.again.0 <= Instant::now()
        && let Some(latest) = home.ledger.latest()
    {
        let pause = made.again.1;
        made.again = (Instant::now() + pause, (pause * 2).min(WITNESS_PAUSE_MAX));
        witness::ask_all(home, made.size, latest.to_string());
    }
    Ok(())
}

/// Makes a checkpoint of the log as it is, unless there is one, and returns the latest.
pub(crate) async fn checkpoint_now(home: &Arc<Home>) -> Result<Option<Kept>, StoreFault> {
    let mut made = home.ledger.making.lock().await;
    bring_up(home, &mut made).await
}

async fn bring_up(home: &Arc<Home>, made: &mut Made) -> Result<Option<Kept>, StoreFault> {
    if home.ledger.log_key().is_some() && made.size < home.store.frontier().await?.size() {
        make(home, made).await?;
    }
    // One of an earlier log of this node says nothing of this one.
    let latest = checkpoints::latest(home.store.as_ref()).await?;
    Ok(latest.filter(|latest| home.ledger.is_ours(&latest.note)))
}

/// Returns the end of an agent's chain as the agent has signed it, and a checkpoint that it is in.
pub(crate) async fn head_now(
    home: &Arc<Home>,
    identity: &Identity,
) -> Result<Option<(u64, String, Kept)>, StoreFault> {
    let mut made = home.ledger.making.lock().await;
    let Some(log) = home.ledger.log_key() else { return Ok(None) };
    let end = log::end(home.store.as_ref(), &identity.did).await?;
    if end.seq == 0 {
        return Ok(None);
    }
    let head = sign(home, identity, &end, log);
    let latest = bring_up(home, &mut made).await?;
    Ok(latest.filter(|latest| end.index < latest.size).map(|latest| (end.seq, head, latest)))
}

fn sign(home: &Home, identity: &Identity, end: &ChainEnd, log: &NoteKey) -> String {
    let (kid, key) = identity.sender_keys().signing;
    let did = subject(&identity.did);
    sign_head((&kid, &key), &did, (end.seq, &end.entry), log.public(), home.now())
}

async fn make(home: &Arc<Home>, made: &mut Made) -> Result<(), StoreFault> {
    let Some(key) = home.ledger.log_key() else { return Ok(()) };
    let store = home.store.as_ref();
    // Heads first: what they cover is in the log that the checkpoint is of.
    let heads = sign_heads(home, &made.heads).await?;
    let head = store.tree_head().await?;
    tiles::complete(store, made.tiles, head.size).await?;
    made.tiles = head.size;
    let note = Checkpoint::sign(key, head);
    let mut batch = Batch::new();
    // A cosignature may come for the one before.
    let _one_at_a_time = home.ledger.keeping.lock().await;
    let before = checkpoints::latest(store).await?;
    // One that nobody cosigned says nothing that the next does not.
    if let Some(before) = before.filter(|before| is_alone(&before.note)) {
        checkpoints::forget(&mut batch, before.size);
    }
    checkpoints::put(&mut batch, head.size, &note);
    checkpoints::put_latest(&mut batch, head.size);
    commit(store, batch).await?;
    home.ledger.set_latest(&note);
    made.heads.extend(heads);
    (made.size, made.at) = (head.size, Instant::now());
    made.again = (made.at + CHECKPOINT_EVERY, CHECKPOINT_EVERY);
    witness::ask_all(home, head.size, note);
    Ok(())
}

/// Whether nobody but the log has signed a checkpoint.
fn is_alone(note: &str) -> bool {
    Checkpoint::parse(note).is_ok_and(|checkpoint| checkpoint.note().signers().count() == 1)
}

type Heads = Vec<(Did, (u64, u64, String))>;

/// Has each identity sign the end of its chain, if the chain grew, and keeps that.
async fn sign_heads(
    home: &Home,
    signed: &HashMap<Did, (u64, u64, String)>,
) -> Result<Heads, StoreFault> {
    let Some(log) = home.ledger.log_key() else { return Ok(Vec::new()) };
    let store = home.store.as_ref();
    let minute = home.now().0 / HEAD_KEPT_S;
    let (mut heads, mut batch) = (Vec::new(), Batch::new());
    let node = home.identities.by_did(&home.did);
    for identity in node.into_iter().chain(home.identities.agents()) {
        let did = subject(&identity.did);
        let end = log::end(store, &did).await?;
        let before = signed.get(&did);
        if end.seq == 0 || before.is_some_and(|(seq, ..)| *seq == end.seq) {
            continue;
        }
        log::put_head(&mut batch, &did, end.seq, &sign(home, &identity, &end, log));
        let kid = identity.signing_kid().to_string();
        if let Some((seq, then, with)) = before {
            // The last of each minute stays, and the last that each key signed.
            if *then == minute && *with == kid {
                log::forget_head(&mut batch, &did, *seq);
            }
        }
        heads.push((did, (end.seq, minute, kid)));
        if HEADS_AT_ONCE <= batch.len() {
            commit(store, std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        commit(store, batch).await?;
    }
    Ok(heads)
}
