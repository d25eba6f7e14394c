//! The log over HTTP (C2SP tlog-tiles): read only, hashes only, and for whom the operator lets.

use comity_core::log::{Checkpoint, Resource, Tile, entry_bundle};
use comity_core::trust::subject;
use comity_didcomm::{Did, Jwt, Relationship};
use comity_store::StoreFault;
use comity_store::records::log::{peers, tiles};
use serde_json::Value;

use crate::config::Readers;
use crate::home::Home;
use crate::limits::READER_TOKEN_S_MAX;

/// The `typ` of a token by which a node reads a log.
pub(crate) const READER_TYPE: &str = "comity-log-reader+jwt";

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Nobody that was named.
    Anybody,
    /// A node, by a token that it signed for this log.
    Node(Did),
}

impl Reader {
    /// Reads who asks from the header `Authorization`; nothing if there is a token that is not good.
    pub(crate) async fn by_token(home: &Home, token: Option<&str>) -> Option<Self> {
        let Some(token) = token else { return Some(Self::Anybody) };
        let token = Jwt::parse(token.strip_prefix("Bearer ")?, READER_TYPE).ok()?;
        // Documents are fetched of those only who may read anyway.
        let node = subject(token.issuer());
        peers::of_node(home.store.as_ref(), &node).await.ok()??;
        let document = home.resolve(token.issuer()).await.ok()?;
        let verified = token.verify(&document.document, Relationship::Authentication).ok()?;
        let origin = home.ledger.log_key()?.public().name();
        let expires = verified.claims.get("exp").and_then(Value::as_u64)?;
        let now = home.now().0;
        let is_now = now < expires && expires <= now.saturating_add(READER_TOKEN_S_MAX);
        let is_for_us = verified.claims.get("aud").and_then(Value::as_str) == Some(origin);
        (is_now && is_for_us).then_some(Self::Node(node))
    }

    /// Whether this node's log is for this reader.
    pub(crate) fn may_read(&self, readers: Readers) -> bool {
        match (readers, self) {
            (Readers::Everyone, _) => true,
            // Tokens are taken of counterparties only.
            (Readers::Counterparties, Self::Node(_)) => true,
            (Readers::Counterparties, Self::Anybody) | (Readers::Nobody, _) => false,
        }
    }
}

/// Reads a resource of this node's log; nothing if it is not there.
pub(crate) async fn resource(
    home: &Home,
    resource: Resource,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let Some(latest) = home.ledger.latest() else { return Ok(None) };
    // What is beyond the latest checkpoint is not published yet.
    let size = Checkpoint::parse(&latest).map_or(0, |latest| latest.claimed().size);
    let store = home.store.as_ref();
    let has = |level, index, width| {
        Tile::of_log(level, index, size).filter(|tile| width <= tile.width).is_some()
    };
    match resource {
        Resource::Checkpoint => Ok(Some(latest.as_bytes().to_vec())),
        Resource::Entries { index, width } if has(0, index, width) => {
            let entries = tiles::entries(store, index * 256, u64::from(width)).await?;
            Ok(Some(entry_bundle(entries.iter().map(<[u8; 32]>::as_slice))))
        }
        Resource::Tile(tile) if has(tile.level, tile.index, tile.width) => {
            Ok(Some(tiles::hashes(store, tile).await?.concat()))
        }
        Resource::Entries { .. } | Resource::Tile(_) => Ok(None),
    }
}
