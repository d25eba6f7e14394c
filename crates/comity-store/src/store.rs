//! The storage trait: what an engine offers, and what its callers may rely on.
//!
//! What it is: [`Store`], ranges, and the errors. What it is not: an engine (those are in
//! `engine/`), or waking readers (that is `wake.rs`; no message depends on it).

use std::future::Future;
use std::io;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;

use comity_core::log::{Frontier, TreeHead};
use thiserror::Error;

use crate::batch::{Batch, BatchError, Keyspace, Stamp};
use crate::evaluate::{self, Head};

/// A boxed future, so that engines can be used as `Arc<dyn Store>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Four keyspaces of ordered keys, changed atomically and durably.
pub trait Store: Send + Sync + 'static {
    /// Gives the name of the engine.
    fn name(&self) -> &'static str;

    /// Reads at most `limit` rows of a range in ascending order of their keys.
    ///
    /// Fewer rows than `limit` mean that the range has no more. One call sees each commit whole
    /// or not at all, and sees every commit that was answered before the call.
    fn read(
        &self,
        keyspace: Keyspace,
        range: KeyRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreFault>>;

    /// Commits a batch, and resolves only after it is durable.
    ///
    /// A future that is dropped before it resolved may or may not have committed, and so may a
    /// commit that ended in a fault; read, or commit a batch whose assertions tell. Once a write
    /// failed, an engine may answer [`StoreFault::Halted`] to every commit until it is opened
    /// again, because what reached the disk is then unknown.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Stamp, CommitError>>;

    /// Gives the bytes that the store occupies on disk; zero for one in memory.
    fn size_bytes(&self) -> u64;

    /// Reads the value of one key.
    fn get(
        &self,
        keyspace: Keyspace,
        key: &[u8],
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreFault>> {
        let rows = self.read(keyspace, KeyRange::one(key), 1);
        Box::pin(async move { Ok(rows.await?.pop().map(|entry| entry.value)) })
    }

    /// Reads a counter; a missing one is zero.
    fn counter(&self, key: &[u8]) -> BoxFuture<'_, Result<i64, StoreFault>> {
        let value = self.get(Keyspace::Meta, key);
        Box::pin(async move { evaluate::decode_counter(value.await?.as_deref()) })
    }

    /// Reads the state of the log from which the next leaf's index and the head follow.
    fn frontier(&self) -> BoxFuture<'_, Result<Frontier, StoreFault>> {
        let head = self.get(Keyspace::Meta, evaluate::HEAD_KEY);
        Box::pin(async move { Ok(Head::decode(head.await?.as_deref())?.frontier) })
    }

    /// Computes the size and root hash of the log.
    fn tree_head(&self) -> BoxFuture<'_, Result<TreeHead, StoreFault>> {
        let frontier = self.frontier();
        Box::pin(async move { Ok(frontier.await?.root()) })
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Keys between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Covers every key.
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// Covers the keys from one on, and before another.
    pub fn between(from: &[u8], to: &[u8]) -> Self {
        Self { start: Bound::Included(from.to_vec()), end: Bound::Excluded(to.to_vec()) }
    }

    /// Covers one key.
    pub fn one(key: &[u8]) -> Self {
        Self { start: Bound::Included(key.to_vec()), end: Bound::Included(key.to_vec()) }
    }

    /// Covers the keys that begin with a prefix.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Bound::Included(prefix.to_vec()), end: after_prefix(prefix) }
    }

    /// Covers the keys that begin with a prefix and come after a key: the way to go on from a
    /// cursor without walking over what was deleted before it.
    pub fn prefix_after(prefix: &[u8], key: &[u8]) -> Self {
        if key < prefix {
            return Self::prefix(prefix);
        }
        Self { start: Bound::Excluded(key.to_vec()), end: after_prefix(prefix) }
    }

    /// Gives the bounds, or nothing if no key lies between them.
    ///
    /// Engines iterate over these only: ordered maps panic on bounds in the wrong order.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let start = self.start.as_ref().map(Vec::as_slice);
        let end = self.end.as_ref().map(Vec::as_slice);
        let possible = match (start, end) {
            (Bound::Included(start), Bound::Included(end)) => start <= end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
            | (Bound::Excluded(start), Bound::Included(end)) => start < end,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        };
        possible.then_some((start, end))
    }
}

/// A start and an end, in order, of the kind that ordered maps take.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The first key after all that begin with the prefix.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

/// Names the operation of a batch that the store's state does not allow.
///
/// Nothing of the batch happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Conflict {
    /// An asserted key was present, absent, or had another value.
    #[error("assertion {index} of the batch does not hold")]
    Assertion {
        /// The position of the assertion in the batch.
        index: usize,
    },
    /// A counter would have come below zero or beyond its bound.
    #[error("counter {index} of the batch would leave its bounds")]
    Bound {
        /// The position of the addition in the batch.
        index: usize,
    },
}

/// Tells why a batch was not committed.
#[derive(Clone, Debug, Error)]
pub enum CommitError {
    /// The store is in another state than the batch demands.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

/// Tells what is wrong with the store; never a peer's doing.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// The batch breaks a rule of the store.
    #[error("the batch cannot be stored: {0}")]
    Batch(#[from] BatchError),
    /// The store was closed, or its committer ended.
    #[error("the store is closed")]
    Closed,
    /// A row or file is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The disk has no room for the batch; the same commit may succeed when there is room.
    #[error("the disk is full")]
    Full,
    /// An earlier write failed, so that the store has to be opened again.
    #[error("an earlier write failed, and the store must be opened again")]
    Halted,
    /// The operating system failed to read or write.
    #[error("the store cannot be read or written: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for StoreFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::QuotaExceeded | io::ErrorKind::StorageFull => Self::Full,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &KeyRange, key: &[u8]) -> bool {
        use std::ops::RangeBounds;
        range.bounds().is_some_and(|bounds| RangeBounds::<[u8]>::contains(&bounds, key))
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        let range = KeyRange::prefix(b"ab");
        assert!(holds(&range, b"ab"));
        assert!(holds(&range, b"ab\xff\xff"));
        assert!(!holds(&range, b"aa\xff"));
        assert!(!holds(&range, b"ac"));
    }

    #[test]
    fn a_prefix_of_highest_bytes_has_the_right_end() {
        let range = KeyRange::prefix(b"a\xff\xff");
        assert!(holds(&range, b"a\xff\xff\xff"));
        assert!(!holds(&range, b"b"));
        assert!(holds(&KeyRange::prefix(b"\xff\xff"), b"\xff\xff\xff"));
        assert!(holds(&KeyRange::prefix(b""), b"\xff"));
    }

    #[test]
    fn a_cursor_starts_after_its_key() {
        let range = KeyRange::prefix_after(b"ab", b"ab3");
        assert!(!holds(&range, b"ab3"));
        assert!(holds(&range, b"ab3\x00"));
        assert!(holds(&range, b"ab4"));
        assert!(!holds(&range, b"ac"));
    }

    #[test]
    fn a_cursor_outside_its_prefix_reads_all_or_nothing() {
        assert_eq!(KeyRange::prefix_after(b"ab", b"aa"), KeyRange::prefix(b"ab"));
        assert!(KeyRange::prefix_after(b"ab", b"ac").bounds().is_none());
    }

    #[test]
    fn bounds_in_the_wrong_order_cover_nothing() {
        assert!(KeyRange::between(b"b", b"a").bounds().is_none());
        assert!(KeyRange::between(b"a", b"a").bounds().is_none());
        assert!(holds(&KeyRange::between(b"a", b"b"), b"a"));
        assert!(!holds(&KeyRange::between(b"a", b"b"), b"b"));
        assert!(holds(&KeyRange::one(b"a"), b"a"));
        assert!(holds(&KeyRange::all(), b"a"));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(StoreFault::from(full), StoreFault::Full));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(StoreFault::from(other), StoreFault::Io(_)));
    }
}
