//! What operators decided about others, on the way in and on the way out.

use std::collections::BTreeSet;

use comity_core::limits::{ANCHORS_MAX, WIDE_ENTRIES_MAX};
use comity_core::trust::{Direction, Entry, EntryKind, Whom, subject};
use comity_didcomm::{Did, UnixTime};

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
    put_anchor(batch, agent, entry);
}

/// Keeps the list of anchors as the entries say.
fn put_anchor(batch: &mut Batch, agent: &Did, entry: &Entry) {
    let (Direction::In, Some(did)) = (entry.direction, entry.whom.did()) else { return };
    let key = keys::anchor(agent, did);
    match entry.anchor && entry.kind == EntryKind::Allow {
        true => batch.put(Keyspace::Meta, &key, encode(&(subject(did), entry.until))),
        false => batch.delete(Keyspace::Meta, &key),
    }
}

/// Reads whose vouches an agent's operator believes at this moment.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn anchors(
    store: &dyn Store,
    agent: &Did,
    now: UnixTime,
) -> Result<BTreeSet<Did>, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'g', &[&keys::did_hash(agent)]));
    let mut anchors = BTreeSet::new();
    for row in store.read(Keyspace::Meta, range, ANCHORS_MAX).await? {
        let (did, until): (Did, Option<UnixTime>) = decode(&row.value)?;
        if until.is_none_or(|until| now < until) {
            anchors.insert(did);
        }
    }
    Ok(anchors)
}

/// Forgets an agent's entry about somebody.
pub fn remove(batch: &mut Batch, agent: &Did, direction: Direction, whom: &Whom) {
    batch.delete(Keyspace::Meta, &keys::entry(agent, direction, whom));
    if let (Direction::In, Some(did)) = (direction, whom.did()) {
        batch.delete(Keyspace::Meta, &keys::anchor(agent, did));
    }
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

/// Tells whether an agent has no room for this entry: one more about many would not be looked at.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn is_full(store: &dyn Store, agent: &Did, entry: &Entry) -> Result<bool, StoreFault> {
    if entry.whom.did().is_some()
        || find(store, agent, entry.direction, &entry.whom).await?.is_some()
    {
        return Ok(false);
    }
    let many = list(store, agent, (entry.direction, false), WIDE_ENTRIES_MAX).await?;
    Ok(WIDE_ENTRIES_MAX <= many.len())
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
