//! Asks a log itself whether a checkpoint that it signed continues what was cosigned of it, by the tiles that
//! it serves. Only then is it said that it does not: what others send proves nothing against it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

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
use crate::limits::{AUDIT_EVERY, LOGS_KNOWN_MAX, READER_TOKEN_S_MAX};

/// Begins an audit, unless there was one of this log just now.
pub(super) fn begin(home: &Arc<Home>, key: &VerifierKey, note: String) {
    {
        let mut audited = home.ledger.audited.lock().unwrap_or_else(PoisonError::into_inner);
        let now = tokio::time::Instant::now();
        audited.retain(|_, at| now < *at + AUDIT_EVERY);
        if audited.contains_key(key) || LOGS_KNOWN_MAX <= audited.len() {
            return;
        }
        audited.insert(key.clone(), now);
    }
    let (home, key) = (Arc::clone(home), key.clone());
    tokio::spawn(async move {
        if let Err(fault) = audit(&home, &key, &note).await {
            tracing::error!(%fault, "a log could not be audited");
        }
    });
}

async fn audit(home: &Arc<Home>, key: &VerifierKey, note: &str) -> Result<(), StoreFault> {
    let Some(found) = peers::by_key(home.store.as_ref(), key).await? else { return Ok(()) };
    let Ok(checkpoint) = Checkpoint::parse(note) else { return Ok(()) };
    let Ok(head) = checkpoint.verify(key) else { return Ok(()) };
    let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
    let (Some(last), Some(first), Some(url)) = (last, found.log.checkpoint, found.log.url) else {
        return Ok(());
    };
    // Of two sizes the smaller has to be in the larger.
    let (old, new) = if head.size < last.size { (head, last) } else { (last, head) };
    let Some(proof) = fetched(home, key, &url, (old, new)).await else {
        tracing::debug!(origin = key.name(), "a log does not show its tiles");
        return Ok(());
    };
    if verify_consistency(old, new, &proof).is_err() {
        contradict(home, key, Finding::NotContinued, &first, note).await?;
    }
    Ok(())
}

/// Makes a consistency proof of the tiles that a log serves; nothing if it does not serve them.
async fn fetched(
    home: &Arc<Home>,
    key: &VerifierKey,
    url: &str,
    (old, new): (TreeHead, TreeHead),
) -> Option<Vec<[u8; 32]>> {
    let plan = Plan::consistency(old.size, new.size)?;
    let id = key.name().rsplit('/').next()?;
    let token = token(home, key)?;
    let mut tiles: HashMap<Tile, Vec<[u8; 32]>> = HashMap::new();
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
