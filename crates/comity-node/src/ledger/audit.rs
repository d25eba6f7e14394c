//! Asks a log itself whether a checkpoint that it signed continues what was cosigned of it, by the tiles that
//! it serves. Only then is it said that it does not: what others send proves nothing against it.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use comity_core::log::{
    Checkpoint, Finding, Node, Plan, Resource, Tile, TreeHead, VerifierKey, Witnessed,
    verify_consistency,
};
use comity_didcomm::Jwt;
use comity_store::StoreFault;
use comity_store::records::log::peers;
use serde_json::json;

use super::publish::READER_TYPE;
use super::witness::contradict;
use crate::home::Home;
use crate::limits::{
    AUDIT_EVERY, AUDIT_TRIES, AUDITED_AT_ONCE, LOGS_KNOWN_MAX, READER_TOKEN_S_MAX,
};

/// Begins an audit. While one of this log goes on, or was just made, the checkpoint waits for the next.
pub(super) fn begin(home: &Arc<Home>, key: &VerifierKey, note: String) {
    {
        let mut waiting = waiting(home);
        if let Some(notes) = waiting.get_mut(key) {
            if notes.len() < AUDITED_AT_ONCE && !notes.contains(&note) {
                notes.push(note);
            }
            return;
        }
        if LOGS_KNOWN_MAX <= waiting.len() {
            return;
        }
        waiting.insert(key.clone(), vec![note]);
    }
    tokio::spawn(run(Arc::downgrade(home), key.clone()));
}

fn waiting(home: &Home) -> MutexGuard<'_, HashMap<VerifierKey, Vec<String>>> {
    home.ledger.audited.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Audits a log for as long as checkpoints of it wait.
async fn run(home: Weak<Home>, key: VerifierKey) {
    while let Some(home) = home.upgrade() {
        let notes = {
            let mut waiting = waiting(&home);
            let notes = waiting.get_mut(&key).map(std::mem::take).unwrap_or_default();
            if notes.is_empty() {
                waiting.remove(&key);
                return;
            }
            notes
        };
        if let Err(fault) = audit(&home, &key, &notes).await {
            tracing::error!(%fault, "a log could not be audited");
        }
        drop(home);
        tokio::time::sleep(AUDIT_EVERY).await;
    }
}

/// Holds checkpoints of a log, and the one that was cosigned last, against the largest of them.
async fn audit(home: &Arc<Home>, key: &VerifierKey, notes: &[String]) -> Result<(), StoreFault> {
    let Some(found) = peers::by_key(home.store.as_ref(), key).await? else { return Ok(()) };
    let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
    let (Some(last), Some(first), Some(url)) = (last, found.log.checkpoint, found.log.url) else {
        return Ok(());
    };
    let read = |note| {
        let head = Checkpoint::parse(note).ok()?.verify(key).ok()?;
        Some((head, note))
    };
    let told = notes.iter().filter_map(|note| read(note.as_str()));
    let mut heads: Vec<_> = told.chain([(last, first.as_str())]).collect();
    heads.sort_by_key(|(head, _)| head.size);
    for _ in 0..AUDIT_TRIES {
        let Some((new, newest)) = heads.pop() else { return Ok(()) };
        match unfit(home, (key, &url), &heads, new).await {
            Some(None) => return Ok(()),
            Some(Some((old, note))) => {
                let is_fork = old.size == new.size;
                let finding = if is_fork { Finding::Fork } else { Finding::NotContinued };
                return contradict(home, key, finding, note, newest).await;
            }
            // Whoever signs a size that is beyond its log does not hide the others behind it.
            None => tracing::debug!(origin = key.name(), new.size, "a log does not show its tiles"),
        }
    }
    Ok(())
}

type Told<'n> = (TreeHead, &'n str);

/// Finds a state of a log that another does not continue, by the tiles of that one; nothing if the log
/// does not serve them.
async fn unfit<'n>(
    home: &Arc<Home>,
    log: (&VerifierKey, &str),
    told: &[Told<'n>],
    new: TreeHead,
) -> Option<Option<Told<'n>>> {
    let mut tiles = Tiles::new();
    for (old, note) in told {
        let proof = fetched(home, log, (*old, new), &mut tiles).await?;
        if verify_consistency(*old, new, &proof).is_err() {
            return Some(Some((*old, note)));
        }
    }
    Some(None)
}

/// Tiles of one state of a log.
type Tiles = HashMap<Tile, Vec<[u8; 32]>>;

/// Makes a consistency proof of the tiles that a log serves; nothing if it does not serve them.
async fn fetched(
    home: &Arc<Home>,
    (key, url): (&VerifierKey, &str),
    (old, new): (TreeHead, TreeHead),
    tiles: &mut Tiles,
) -> Option<Vec<[u8; 32]>> {
    let plan = Plan::consistency(old.size, new.size)?;
    let id = key.name().rsplit('/').next()?;
    let token = token(home, key)?;
    for node in plan.nodes() {
        let tile = Tile::of_node(node, new.size)?;
        if tiles.contains_key(&tile) {
            continue;
        }
        let url = format!("{url}/log/{id}/{}", Resource::Tile(tile));
        let bytes = home.fetcher.get_resource(&url, Some(&token)).await.ok()?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        let is_whole = rest.is_empty() && hashes.len() == usize::from(tile.width);
        tiles.insert(tile, is_whole.then(|| hashes.to_vec())?);
    }
    let hash = |node: Node| {
        let tile = Tile::of_node(node, new.size).ok_or(())?;
        Tile::node(node, tiles.get(&tile).ok_or(())?).ok_or(())
    };
    plan.hashes(hash).ok()
}

/// Signs that this node reads a log.
fn token(home: &Home, key: &VerifierKey) -> Option<String> {
    let node = home.identities.by_did(&home.did)?;
    let (kid, signing) = node.sender_keys().signing;
    let exp = home.now().0.saturating_add(READER_TOKEN_S_MAX / 2);
    let claims = json!({ "aud": key.name(), "exp": exp, "iss": home.did });
    let token = Jwt::sign(READER_TYPE, &kid, &signing, claims.as_object()?).ok()?;
    Some(format!("Bearer {token}"))
}
