//! The embedded engine: fjall, a log-structured merge tree in pure Rust.
//!
//! What it is: four keyspaces in one directory, written by one committer thread that carries many
//! batches with one disk sync. What it is not: shared; one process opens it at a time. The rules
//! that it follows, each from a measurement, are in ADR 0006.

mod committer;
mod rows;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::committer::{Committer, Request};
use self::rows::Rows;
use crate::batch::{Batch, Keyspace, Stamp};
use crate::evaluate::{HEAD_KEY, Head, View as _};
use crate::limits;
use crate::store::{BoxFuture, CommitError, Entry, KeyRange, Store, StoreFault};

/// Tells why a store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The files cannot be read or written, or are damaged.
    #[error(transparent)]
    Fault(#[from] StoreFault),
    /// Another process has the store open, or this one has it open already.
    #[error("the store is already open, probably in another process")]
    Locked,
    /// A version of Comity from before the first release wrote the store, in a form that is not read any more.
    #[error(
        "the store has format {found}, of before the first release, which is not read any more"
    )]
    Older {
        /// The format that the store says it has.
        found: u32,
    },
    /// A newer version of Comity wrote the store.
    #[error("the store has format {found}, and this version knows formats up to {known}")]
    Newer {
        /// The format that the store says it has.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
    },
}

/// A store in a directory of its own.
///
/// Dropping it commits what is queued, ends the committer thread and waits for it.
pub struct FjallStore {
    rows: Rows,
    queue: Option<mpsc::Sender<Request>>,
    queue_bytes: Arc<Semaphore>,
    committer: Option<JoinHandle<()>>,
    database: PathBuf,
    // The last field, so that the files are closed when the next opener gets the lock.
    _lock: File,
}

impl FjallStore {
    /// Opens the store in a directory, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the store is open elsewhere, older or newer than this version reads, or cannot be read.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_reserving(directory, limits::DISK_RESERVE_BYTES)
    }

    /// Opens the store as [`Self::open`] does, and commits only while the disk has at least so
    /// many bytes free.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::open`] does.
    pub fn open_reserving(directory: &Path, reserve_bytes: u64) -> Result<Self, OpenError> {
        fs::create_dir_all(directory).map_err(StoreFault::from)?;
        let lock = lock(directory)?;
        let database = directory.join(DATABASE);
        if !database.try_exists().map_err(StoreFault::from)? {
            create(directory, &database)?;
        }
        let rows = Rows::open(&database)?;
        check_format(&rows)?;
        let head = Head::decode(rows.value(Keyspace::Meta, HEAD_KEY)?.as_deref())?;

        let (queue, requests) = mpsc::channel(limits::QUEUE_BATCHES_MAX);
        let committer = Committer::new(rows.clone(), head, reserve_bytes);
        let committer = thread::Builder::new()
            .name(String::from("comity-commit"))
            .spawn(move || committer.run(requests))
            .map_err(StoreFault::from)?;
        Ok(Self {
            rows,
            queue: Some(queue),
            queue_bytes: Arc::new(Semaphore::new(limits::QUEUE_BYTES_MAX)),
            committer: Some(committer),
            database,
            _lock: lock,
        })
    }
}

impl Store for FjallStore {
    fn name(&self) -> &'static str {
        "fjall"
    }

    /// Reads on the caller's thread: almost every read is of rows that are still in memory, and
    /// handing it to another thread would cost more than the rare block from disk.
    fn read(
        &self,
        keyspace: Keyspace,
        range: KeyRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreFault>> {
        Box::pin(async move { self.rows.range(keyspace, &range, limit) })
    }

    fn get(
        &self,
        keyspace: Keyspace,
        key: &[u8],
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreFault>> {
        // Read at once rather than when polled, which spares a copy of the key.
        let value = self.rows.value_in_snapshot(keyspace, key);
        Box::pin(async move { value })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Stamp, CommitError>> {
        Box::pin(async move {
            let queue = self.queue.as_ref().ok_or(StoreFault::Closed)?;
            let bytes = batch.bytes().clamp(1, limits::QUEUE_BYTES_MAX);
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let room = Arc::clone(&self.queue_bytes)
                .acquire_many_owned(bytes)
                .await
                .map_err(|_| StoreFault::Closed)?;
            let (answer, answered) = oneshot::channel();
            let request = Request { batch, answer, _room: room };
            queue.send(request).await.map_err(|_| StoreFault::Closed)?;
            // The committer drops a request unanswered only when it ends.
            answered.await.map_err(|_| StoreFault::Closed)?
        })
    }

    /// Adds up the blocks of the store's files, of which there are a few dozen.
    fn size_bytes(&self) -> u64 {
        occupied_bytes(&self.database, 0)
    }
}

impl Drop for FjallStore {
    fn drop(&mut self) {
        // Closing the queue ends the committer, after it emptied it.
        self.queue = None;
        if let Some(committer) = self.committer.take() {
            // If it panicked, its requests were told by their closed answers.
            let _ended = committer.join();
        }
    }
}

/// Takes the lock that keeps other processes out; it ends with the file, or with the process.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(StoreFault::from)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(error)) => Err(StoreFault::from(error).into()),
    }
}

/// Creates the database beside its place and moves it there, because the engine cannot open what
/// a crash left half created.
fn create(directory: &Path, database: &Path) -> Result<(), StoreFault> {
    let unfinished = directory.join(DATABASE_UNFINISHED);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let rows = Rows::open(&unfinished)?;
    rows.put_meta(FORMAT_KEY, &FORMAT.to_be_bytes())?;
    drop(rows);
    fs::rename(&unfinished, database)?;
    // Windows cannot sync a directory, and does not need it for a rename.
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn check_format(rows: &Rows) -> Result<(), OpenError> {
    let row = rows.value(Keyspace::Meta, FORMAT_KEY)?;
    let format = row.and_then(|row| row.try_into().ok()).map(u32::from_be_bytes);
    match format {
        None => Err(StoreFault::Corrupt(String::from("the format row")).into()),
        Some(found) if FORMAT < found => Err(OpenError::Newer { found, known: FORMAT }),
        Some(FORMAT) => Ok(()),
        Some(found) => Err(OpenError::Older { found }),
    }
}

/// Counts what files occupy, not how long they are: journals are created long and empty.
fn occupied_bytes(directory: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth < DIRECTORY_DEPTH_MAX => {
                occupied_bytes(&entry.path(), depth + 1)
            }
            Ok(metadata) if metadata.is_file() => file_bytes(&metadata),
            // A table that was merged away in this moment.
            _ => 0,
        })
        .sum()
}

#[cfg(unix)]
fn file_bytes(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn file_bytes(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

/// The format of the rows that the store itself keeps; a change that older versions cannot read
/// raises it. Before the first release it was 1 and 2, which no version reads any more.
const FORMAT: u32 = 3;
const FORMAT_KEY: &[u8] = b"store/format";
const LOCK: &str = "lock";
const DATABASE: &str = "fjall";
const DATABASE_UNFINISHED: &str = "fjall.unfinished";
const DIRECTORY_DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_that_it_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let first = FjallStore::open(directory.path()).unwrap();
        assert!(matches!(FjallStore::open(directory.path()), Err(OpenError::Locked)));
        drop(first);
        FjallStore::open(directory.path()).unwrap();
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        drop(FjallStore::open(directory.path()).unwrap());
        let rows = Rows::open(&directory.path().join(DATABASE)).unwrap();
        rows.put_meta(FORMAT_KEY, &(FORMAT + 1).to_be_bytes()).unwrap();
        drop(rows);
        for _ in 0..2 {
            let error = FjallStore::open(directory.path()).err().unwrap();
            assert!(matches!(error, OpenError::Newer { found: 4, known: FORMAT }), "{error}");
        }
    }

    #[test]
    fn an_older_store_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        drop(FjallStore::open(directory.path()).unwrap());
        let rows = Rows::open(&directory.path().join(DATABASE)).unwrap();
        for older in 1..FORMAT {
            rows.put_meta(FORMAT_KEY, &older.to_be_bytes()).unwrap();
        }
        drop(rows);
        for _ in 0..2 {
            let error = FjallStore::open(directory.path()).err().unwrap();
            assert!(matches!(error, OpenError::Older { found: 2 }), "{error}");
        }
    }

    #[test]
    fn a_crash_while_creating_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let unfinished = directory.path().join(DATABASE_UNFINISHED);
        fs::create_dir(&unfinished).unwrap();
        // What the engine's own creation would stumble over.
        fs::write(unfinished.join("0.jnl"), b"").unwrap();
        FjallStore::open(directory.path()).unwrap();
        assert!(!unfinished.exists());
    }

    #[test]
    fn an_empty_store_occupies_little() {
        let directory = tempfile::tempdir().unwrap();
        let store = FjallStore::open(directory.path()).unwrap();
        let bytes = store.size_bytes();
        assert!(0 < bytes && bytes < 1 << 20, "{bytes}");
    }

    #[tokio::test]
    async fn a_disk_without_its_reserve_is_full_and_recovers() {
        let directory = tempfile::tempdir().unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::Body, b"key", b"value");
        let store = FjallStore::open_reserving(directory.path(), u64::MAX).unwrap();
        for _ in 0..2 {
            let error = store.commit(batch.clone()).await.unwrap_err();
            assert!(matches!(error, CommitError::Fault(StoreFault::Full)), "{error}");
        }
        assert_eq!(store.get(Keyspace::Body, b"key").await.unwrap(), None);
        drop(store);
        let store = FjallStore::open(directory.path()).unwrap();
        assert_eq!(store.commit(batch).await.unwrap().seq.0, 1);
    }
}
