//! What operators decided about others, on the way in and on the way out.

use comity_core::limits::WIDE_ENTRIES_MAX;
use comity_core::trust::{Direction, Entry, Whom, subject};
use comity_didcomm::Did;

use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// An entry as it was read: what it says, and the evidence that it still says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    row: Vec<u8>,
}

/// Sets an agent's entry about somebody.
pub fn put(batch: &mut Batch, agent: &Did, entry: &Entry) {
    let key = keys::entry(agent, entry.direction, &entry.whom);
    batch.put(Keyspace::Meta, &key, encode(entry));
}

/// Forgets an agent's entry about somebody.
pub fn remove(batch: &mut Batch, agent: &Did, direction: Direction, whom: &Whom) {
    batch.delete(Keyspace::Meta, &keys::entry(agent, direction, whom));
}

/// Demands that an agent's entry about somebody is as it was found, or still absent.
pub fn assert_unchanged(
    batch: &mut Batch,
    agent: &Did,
    direction: Direction,
    whom: &Whom,
    found: Option<&Found>,
) -> usize {
    let key = keys::entry(agent, direction, whom);
    match found {
        Some(found) => batch.assert_value(Keyspace::Meta, &key, &found.row),
        None => batch.assert_absent(Keyspace::Meta, &key),
    }
}

/// Reads an agent's entry about somebody, as it is named there.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn find(
    store: &dyn Store,
    agent: &Did,
    direction: Direction,
    whom: &Whom,
) -> Result<Option<Found>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::entry(agent, direction, whom)).await?;
    row.map(|row| Ok(Found { entry: decode(&row)?, row })).transpose()
}

/// Reads an agent's entries that may be about somebody: the one about it alone, and all about many.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn about(
    store: &dyn Store,
    agent: &Did,
    direction: Direction,
    peer: &Did,
) -> Result<Vec<Entry>, StoreFault> {
    let whom = Whom::Did(subject(peer));
    let mut entries = list(store, agent, (direction, false), WIDE_ENTRIES_MAX).await?;
    entries.extend(find(store, agent, direction, &whom).await?.map(|found| found.entry));
    Ok(entries)
}

/// Reads an agent's entries, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn entries(
    store: &dyn Store,
    agent: &Did,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Entry>, StoreFault> {
    let mut entries = list(store, agent, (direction, false), limit).await?;
    let room = limit.saturating_sub(entries.len());
    entries.extend(list(store, agent, (direction, true), room).await?);
    Ok(entries)
}

async fn list(
    store: &dyn Store,
    agent: &Did,
    (direction, is_about_one): (Direction, bool),
    limit: usize,
) -> Result<Vec<Entry>, StoreFault> {
    let tag = keys::entries_tag(direction, is_about_one);
    let range = KeyRange::prefix(&keys::join(tag, &[&keys::did_hash(agent)]));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}
