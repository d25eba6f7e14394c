//! The rows of a fjall database.
//!
//! What it is: opening the four keyspaces, reading them, writing a group's changes with one sync,
//! and the translation of fjall's errors. What it is not: the decision what to write or whether
//! to go on after an error; that is the committer's.

use std::path::Path;
use std::sync::Arc;

use ::fjall::config::CompressionPolicy;
use ::fjall::{
    CompressionType, Database, Error, KeyspaceCreateOptions, KvSeparationOptions, LsmError,
    OwnedWriteBatch, PersistMode, Readable as _,
};

use super::committer::Disk;
use crate::batch::Keyspace;
use crate::evaluate::{Changes, PerKeyspace, View};
use crate::limits;
use crate::store::{Entry, KeyRange, StoreFault};

/// A database and its keyspaces; clones share them.
#[derive(Clone)]
pub(super) struct Rows {
    directory: Arc<Path>,
    database: Database,
    keyspaces: PerKeyspace<::fjall::Keyspace>,
}

impl Rows {
    /// Opens or creates the database in a directory.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreFault> {
        let database = Database::builder(directory)
            .cache_size(limits::FJALL_CACHE_BYTES)
            // Bodies are sealed and compress badly; the rest is too small for it to pay.
            .journal_compression(CompressionType::None)
            .max_cached_files(Some(limits::FJALL_OPEN_FILES_MAX))
            .max_journaling_size(limits::FJALL_JOURNAL_BYTES)
            .worker_threads(limits::FJALL_WORKERS)
            .open()
            .map_err(fault)?;
        let small =
            || KeyspaceCreateOptions::default().max_memtable_size(limits::FJALL_MEMTABLE_BYTES);
        let body = || {
            // What stays for long lies in files of its own, so merging moves no bodies.
            let apart = KvSeparationOptions::default().compression(CompressionType::None);
            KeyspaceCreateOptions::default()
                .max_memtable_size(limits::FJALL_BODY_MEMTABLE_BYTES)
                .data_block_compression_policy(CompressionPolicy::disabled())
                .with_kv_separation(Some(apart))
        };
        let keyspaces = PerKeyspace {
            body: database.keyspace("body", body).map_err(fault)?,
            index: database.keyspace("index", small).map_err(fault)?,
            log: database.keyspace("log", small).map_err(fault)?,
            meta: database.keyspace("meta", small).map_err(fault)?,
        };
        Ok(Self { directory: Arc::from(directory), database, keyspaces })
    }

    /// Reads a range as of the last commit that is durable and whole.
    pub(super) fn range(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreFault> {
        let Some(bounds) = range.bounds() else { return Ok(Vec::new()) };
        let snapshot = self.database.snapshot();
        let mut rows = snapshot.range::<&[u8], _>(self.keyspaces.of(keyspace), bounds);
        let mut entries = Vec::new();
        while entries.len() < limit {
            let Some(row) = rows.next() else { break };
            let (key, value) = row.into_inner().map_err(fault)?;
            if limits::KEY_BYTES_MIN <= key.len() {
                entries.push(Entry { key: key.to_vec(), value: value.to_vec() });
            }
        }
        Ok(entries)
    }

    /// Reads a value as of the last commit that is durable and whole.
    pub(super) fn value_in_snapshot(
        &self,
        keyspace: Keyspace,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreFault> {
        let snapshot = self.database.snapshot();
        let value = snapshot.get(self.keyspaces.of(keyspace), key).map_err(fault)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Puts one row of the store itself, durably.
    pub(super) fn put_meta(&self, key: &[u8], value: &[u8]) -> Result<(), StoreFault> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.keyspaces.meta, key, value);
        batch.commit().map_err(fault)
    }
}

impl View for Rows {
    /// Reads the newest value, which is the committed one for the only thread that writes.
    fn value(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        let value = self.keyspaces.of(keyspace).get(key).map_err(fault)?;
        Ok(value.map(|value| value.to_vec()))
    }
}

impl Disk for Rows {
    /// Writes a group, as one fjall batch with one sync; after an error fjall writes nothing more.
    fn write(&self, changes: PerKeyspace<Changes>) -> Result<(), StoreFault> {
        let mut changes = changes;
        let rows: usize = Keyspace::ALL.map(|keyspace| changes.of(keyspace).len()).iter().sum();
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), rows + TICKS_MAX);
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for keyspace in Keyspace::ALL {
            let changes = changes.of_mut(keyspace);
            let target = self.keyspaces.of(keyspace);
            if changes.is_empty() {
                // A journal is removed when every keyspace has written its part of it to tables,
                // so one that stays idle would keep them all (fjall issues 261 and 288).
                batch.insert(target, TICK_KEY, []);
            }
            for (key, value) in std::mem::take(changes) {
                match value {
                    Some(value) => batch.insert(target, key, value),
                    None => batch.remove(target, key),
                }
            }
        }
        batch.commit().map_err(fault)
    }

    #[cfg(unix)]
    fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&*self.directory).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    #[cfg(not(unix))]
    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

/// Translates fjall's errors; their text describes files, never rows.
fn fault(error: Error) -> StoreFault {
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => error.into(),
        Error::Poisoned => StoreFault::Halted,
        damage => StoreFault::Corrupt(damage.to_string()),
    }
}

/// The row that keeps a keyspace from being idle. Batches cannot have keys that short, and ranges
/// skip it.
const TICK_KEY: [u8; 1] = [0];
/// Meta is never without a change.
const TICKS_MAX: usize = 3;
