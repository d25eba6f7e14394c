//! The checkpoints of this node's own log.

use crate::batch::{Batch, Keyspace};
use crate::store::{Entry, KeyRange, Store, StoreFault};

use super::damaged;

/// A checkpoint as it is stored: a signed note with the cosignatures that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The size of the log that it is of.
    pub size: u64,
    /// The note.
    pub note: String,
}

/// Keeps a checkpoint, over what was kept of the same size.
pub fn put(batch: &mut Batch, size: u64, note: &str) {
    batch.put(Keyspace::Log, &key(size), note.as_bytes());
}

/// Forgets a checkpoint.
pub fn forget(batch: &mut Batch, size: u64) {
    batch.delete(Keyspace::Log, &key(size));
}

/// Reads the latest checkpoint.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn latest(store: &dyn Store) -> Result<Option<Kept>, StoreFault> {
    let row = store.get(Keyspace::Log, LATEST).await?;
    let Some(row) = row else { return Ok(None) };
    let size =
        row.try_into().map(u64::from_be_bytes).map_err(|_| damaged("the last checkpoint"))?;
    of_size(store, size).await
}

/// Names the latest checkpoint.
pub fn put_latest(batch: &mut Batch, size: u64) {
    batch.put(Keyspace::Log, LATEST, size.to_be_bytes());
}

/// Reads the checkpoint of a size.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn of_size(store: &dyn Store, size: u64) -> Result<Option<Kept>, StoreFault> {
    let row = store.get(Keyspace::Log, &key(size)).await?;
    row.map(|row| kept(size, row)).transpose()
}

/// Reads the checkpoints from a size on, smallest first.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn from_size(
    store: &dyn Store,
    size: u64,
    limit: usize,
) -> Result<Vec<Kept>, StoreFault> {
    let range = KeyRange::between(&key(size), &[&b"k"[..], &[0xff; 9]].concat());
    let rows = store.read(Keyspace::Log, range, limit).await?;
    rows.into_iter().map(read).collect()
}

fn read(row: Entry) -> Result<Kept, StoreFault> {
    let size = row.key.last_chunk::<8>().ok_or_else(|| damaged("a checkpoint"))?;
    kept(u64::from_be_bytes(*size), row.value)
}

fn kept(size: u64, row: Vec<u8>) -> Result<Kept, StoreFault> {
    let note = String::from_utf8(row).map_err(|_| damaged("a checkpoint"))?;
    Ok(Kept { size, note })
}

fn key(size: u64) -> Vec<u8> {
    [&b"k"[..], &size.to_be_bytes()].concat()
}

const LATEST: &[u8] = b"latest";
