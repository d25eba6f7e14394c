//! What operators decided about others.

use comity_core::trust::Entry;
use comity_didcomm::Did;

use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// Sets an agent's entry about somebody.
pub fn put(batch: &mut Batch, agent: &Did, entry: &Entry) {
    batch.put(Keyspace::Meta, &keys::entry(agent, &entry.did), encode(entry));
}

/// Reads an agent's entry about somebody.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn entry(
    store: &dyn Store,
    agent: &Did,
    peer: &Did,
) -> Result<Option<Entry>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::entry(agent, peer)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads an agent's entries, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn entries(
    store: &dyn Store,
    agent: &Did,
    limit: usize,
) -> Result<Vec<Entry>, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'e', &[&keys::did_hash(agent)]));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}
