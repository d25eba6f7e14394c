//! The tiles of the log: what is stored of them, and what follows from it.
//!
//! Level zero follows from the entries. Of each full tile the root is kept, and the hashes of the level
//! above are these. A root is written after the entries under it, by whoever makes checkpoints: what is
//! not written yet can be computed.

use std::collections::HashMap;

use comity_core::log::{Node, Plan, TILE_WIDTH, Tile, leaf_hash};

use super::damaged;
use crate::batch::{Batch, Keyspace};
use crate::chain::entries_key;
use crate::limits::TILES_PER_BATCH;
use crate::store::{KeyRange, Store, StoreFault};

/// Reads entries of the log.
///
/// # Errors
///
/// Fails if the store cannot be read, or the log is shorter.
pub async fn entries(
    store: &dyn Store,
    from: u64,
    count: u64,
) -> Result<Vec<[u8; 32]>, StoreFault> {
    let missing = || damaged("an entry of the log is missing");
    let to = from.saturating_add(count);
    let (mut entries, mut index) = (Vec::new(), from - from % TILE_WIDTH);
    while index < to {
        let range = KeyRange::between(&entries_key(index), &entries_key(to));
        let rows = store.read(Keyspace::Log, range, ROWS).await?;
        if rows.is_empty() {
            return Err(missing());
        }
        for row in rows {
            let (of_row, rest) = row.value.as_chunks::<32>();
            if row.key != entries_key(index) || of_row.is_empty() || !rest.is_empty() {
                return Err(missing());
            }
            let wanted = |(index, _): &(u64, &[u8; 32])| (from..to).contains(index);
            entries.extend((index..).zip(of_row).filter(wanted).map(|(_, entry)| entry));
            index += of_row.len() as u64;
        }
    }
    Ok(entries)
}

/// Rows that are read at a time: of a busy node each holds some entries.
const ROWS: usize = 64;

/// Reads or computes the hashes of a tile.
///
/// # Errors
///
/// Fails if the store cannot be read, or the log is shorter.
pub async fn hashes(store: &dyn Store, tile: Tile) -> Result<Vec<[u8; 32]>, StoreFault> {
    let (first, count) = (tile.index.saturating_mul(TILE_WIDTH), u64::from(tile.width));
    let Some(below) = tile.level.checked_sub(1) else {
        let entries = entries(store, first, count).await?;
        return Ok(entries.iter().map(|entry| leaf_hash(entry).0).collect());
    };
    let range = KeyRange::between(&root_key(below, first), &root_key(below, first + count));
    let rows = store.read(Keyspace::Log, range, usize::from(tile.width)).await?;
    let hashes: Option<Vec<_>> =
        rows.into_iter().map(|row| <[u8; 32]>::try_from(row.value).ok()).collect();
    let hashes = hashes.filter(|hashes| hashes.len() == usize::from(tile.width));
    hashes.ok_or_else(|| damaged("a root of the log is missing"))
}

/// Writes the roots of the tiles that are full in a log of a size and were not in one of another.
///
/// # Errors
///
/// Fails if the store cannot be read or written.
pub async fn complete(store: &dyn Store, from: u64, size: u64) -> Result<(), StoreFault> {
    let mut level: u8 = 0;
    let (mut before, mut after) = (from / TILE_WIDTH, size / TILE_WIDTH);
    while 0 < after {
        let mut index = before;
        while index < after {
            let mut batch = Batch::new();
            let end = after.min(index.saturating_add(TILES_PER_BATCH));
            while index < end {
                let tile = Tile { level, index, width: 256 };
                let hashes = hashes(store, tile).await?;
                let root = root(&hashes).ok_or_else(|| damaged("a tile of the log"))?;
                batch.put(Keyspace::Log, &root_key(level, index), root);
                index += 1;
            }
            store.commit(batch).await.map_err(fault)?;
        }
        level += 1;
        (before, after) = (before / TILE_WIDTH, after / TILE_WIDTH);
    }
    Ok(())
}

/// Makes proofs in a log of one size, and remembers the tiles that it read.
pub struct Prover<'s> {
    store: &'s dyn Store,
    size: u64,
    tiles: HashMap<Tile, Vec<[u8; 32]>>,
}

impl<'s> Prover<'s> {
    /// Proves in a log of this size, whose tiles are [`complete`].
    #[must_use]
    pub fn new(store: &'s dyn Store, size: u64) -> Self {
        Self { store, size, tiles: HashMap::new() }
    }

    /// Makes the hashes of a proof.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be read, or the log is shorter than the plan is for.
    pub async fn prove(&mut self, plan: &Plan) -> Result<Vec<[u8; 32]>, StoreFault> {
        for node in plan.nodes() {
            let tile = self.tile(node)?;
            if !self.tiles.contains_key(&tile) {
                let hashes = hashes(self.store, tile).await?;
                self.tiles.insert(tile, hashes);
            }
        }
        plan.hashes(|node| {
            let hashes = self.tiles.get(&self.tile(node)?);
            let hash = hashes.and_then(|hashes| Tile::node(node, hashes));
            hash.ok_or_else(|| damaged("a tile of the log is short"))
        })
    }

    fn tile(&self, node: Node) -> Result<Tile, StoreFault> {
        Tile::of_node(node, self.size).ok_or_else(|| damaged("the log is shorter than its proof"))
    }
}

/// The root of a full tile.
fn root(hashes: &[[u8; 32]]) -> Option<[u8; 32]> {
    let (left, right) = hashes.split_at_checked(hashes.len() / 2)?;
    let half = Node { level: 7, index: 0 };
    let (left, right) = (Tile::node(half, left)?, Tile::node(half, right)?);
    Some(comity_core::log::node_hash(&left, &right))
}

fn root_key(level: u8, index: u64) -> Vec<u8> {
    [&b"r"[..], &[level], &index.to_be_bytes()].concat()
}

fn fault(error: crate::store::CommitError) -> StoreFault {
    match error {
        crate::store::CommitError::Fault(fault) => fault,
        // The batch asserts nothing.
        crate::store::CommitError::Conflict(_) => damaged("the roots of the log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memory::MemoryStore;
    use comity_core::log::{Act, Statement, TagSecret, verify_consistency, verify_inclusion};
    use comity_didcomm::UnixTime;

    async fn grow(store: &dyn Store, to: u64) {
        let from = store.frontier().await.unwrap().size();
        let (agent, secret) = ("did:web:a.example".parse().unwrap(), TagSecret::new(&[1; 32]));
        let mut batch = Batch::new();
        for n in from..to {
            let (id, salt) = (n.to_string(), [7; 16]);
            let statement =
                Statement::new(Act::Sent, (&agent, &agent), &id, b"", &salt, UnixTime(n));
            batch.append_statement(statement.stated(&secret), None);
            if batch.len() == 1_000 {
                store.commit(std::mem::take(&mut batch)).await.unwrap();
            }
        }
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn proofs_verify_whenever_tiles_are_completed() {
        let store = MemoryStore::new();
        let mut before = store.tree_head().await.unwrap();
        for size in [1, 2, 255, 256, 257, 1_000, 65_535, 65_536, 66_000] {
            grow(&store, size).await;
            complete(&store, before.size, size).await.unwrap();
            let head = store.tree_head().await.unwrap();
            let mut prover = Prover::new(&store, size);
            let root = prover.prove(&Plan::root(size)).await.unwrap();
            assert_eq!(root, [head.root]);
            for index in [0, size / 3, size / 2, size - 1] {
                let plan = Plan::inclusion(index, size).unwrap();
                let proof = prover.prove(&plan).await.unwrap();
                let leaf = leaf_hash(&entries(&store, index, 1).await.unwrap()[0]);
                assert_eq!(verify_inclusion(index, leaf, &proof, head), Ok(()), "{index} {size}");
            }
            let plan = Plan::consistency(before.size, size).unwrap();
            let proof = prover.prove(&plan).await.unwrap();
            assert_eq!(verify_consistency(before, head, &proof), Ok(()));
            before = head;
        }
    }

    #[tokio::test]
    async fn completing_again_changes_nothing() {
        let store = MemoryStore::new();
        grow(&store, 600).await;
        for from in [0, 300, 0] {
            complete(&store, from, 600).await.unwrap();
            let tile = Tile::of_log(1, 0, 600).unwrap();
            assert_eq!(hashes(&store, tile).await.unwrap().len(), 2);
        }
        let too_long = Tile { level: 0, index: 2, width: 89 };
        assert!(hashes(&store, too_long).await.is_err());
    }
}
