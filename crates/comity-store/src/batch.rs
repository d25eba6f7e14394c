//! What a commit does: assertions and changes, as plain data.
//!
//! What it is: a builder that any engine's evaluator reads. What it is not: their meaning, which
//! is in `evaluate.rs`, or Comity's own records, which build batches with this.
//!
//! Stamps follow FoundationDB's versionstamped operations
//! (<https://apple.github.io/foundationdb/api-general.html>, "Versionstamps"): a key or value is
//! completed at commit with the number that the commit got, so rows come to lie in commit order
//! without reading a counter first.

use std::fmt;

use comity_core::log::Stated;
use thiserror::Error;

use crate::chain::ChainKey;
use crate::{evaluate, limits};

/// The four sets of ordered keys that a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Big values in the order of their arrival.
    Body,
    /// Small rows that find, order and de-duplicate.
    Index,
    /// The log's entries under their indexes, and what else belongs to the log.
    Log,
    /// Counters and small records that seldom change.
    Meta,
}

impl Keyspace {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Body, Self::Index, Self::Log, Self::Meta];
}

/// The dense number of a committed batch; the first is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Splits a key that was stamped into its prefix and the number.
    pub fn split_key(key: &[u8]) -> Option<(&[u8], Self)> {
        let (prefix, seq) = key.split_last_chunk::<8>()?;
        Some((prefix, Self(u64::from_be_bytes(*seq))))
    }

    /// Gives the bytes that a stamped key ends with.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// What a committed batch is told, and what it can have written into its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number of the batch.
    pub seq: Seq,
    /// The index of the first leaf that the batch appended; the size of the log if it appended none.
    pub log: u64,
}

impl Stamp {
    /// Reads the sixteen bytes of a stamp.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let joined = u128::from_be_bytes(bytes);
        // The halves of a 128-bit number: the shift and the cast are the split.
        Self { seq: Seq((joined >> 64) as u64), log: joined as u64 }
    }

    /// Splits a value that was stamped into what was put and the stamp.
    pub fn split_value(value: &[u8]) -> Option<(&[u8], Self)> {
        let (put, stamp) = value.split_last_chunk::<16>()?;
        Some((put, Self::from_bytes(*stamp)))
    }

    /// Gives the bytes that a stamped value ends with: both numbers, big endian.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.seq.0) << 64 | u128::from(self.log)).to_be_bytes()
    }
}

/// Tells why a batch can never be committed, whatever the store holds: a fault of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A key or prefix is longer than the limit.
    #[error("a key of the batch is too long")]
    KeyTooLong,
    /// A key is shorter than the limit.
    #[error("a key of the batch is too short")]
    KeyTooShort,
    /// Two stamped keys of one keyspace have the same prefix and would be one key.
    #[error("two stamped keys of the batch have the same prefix")]
    RepeatedPrefix,
    /// A key belongs to the store: a reserved one, or an entry's place in the log.
    #[error("a key of the batch is reserved")]
    ReservedKey,
    /// The batch holds more bytes than the limit.
    #[error("the batch is too large")]
    TooLarge,
    /// The batch has more operations than the limit.
    #[error("the batch has too many operations")]
    TooManyOperations,
    /// A value is longer than the limit.
    #[error("a value of the batch is too long")]
    ValueTooLong,
}

/// Assertions and changes that happen together or not at all.
///
/// Assertions see the store as the batches committed before left it, also those of the same
/// group, and never the batch's own changes. Changes apply in their order. The operations that can
/// conflict return their position, by which [`Conflict`](crate::Conflict) names the one that did.
///
/// ```
/// use comity_store::{Batch, Keyspace};
///
/// let mut batch = Batch::new();
/// let fresh = batch.assert_absent(Keyspace::Index, b"seen/id");
/// batch.put(Keyspace::Index, b"seen/id", b"");
/// let quota = batch.add_bounded(b"held/alice", 1, 100);
/// assert_eq!((fresh, quota), (0, 2));
/// ```
#[derive(Clone, Default)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
}

/// One step of a batch.
#[derive(Clone)]
pub(crate) enum Operation {
    Add { key: Vec<u8>, delta: i64, max: Option<i64> },
    AppendStatement { chain: ChainKey, stated: Box<Stated>, kept: Option<Vec<u8>> },
    AssertAbsent { keyspace: Keyspace, key: Vec<u8> },
    AssertValue { keyspace: Keyspace, key: Vec<u8>, value: Vec<u8> },
    Delete { keyspace: Keyspace, key: Vec<u8> },
    Put { keyspace: Keyspace, key: Vec<u8>, value: Vec<u8> },
    PutStamped { keyspace: Keyspace, prefix: Vec<u8>, value: Vec<u8> },
    PutStampedKey { keyspace: Keyspace, prefix: Vec<u8>, value: Vec<u8> },
    PutStampedValue { keyspace: Keyspace, key: Vec<u8>, value: Vec<u8> },
}

impl Batch {
    /// Creates an empty batch, which commits as a number without a change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to a counter in [`Keyspace::Meta`]; a result below zero conflicts.
    ///
    /// A counter is an `i64`, eight bytes big endian. A missing one counts as zero, and one that
    /// comes to zero is deleted.
    pub fn add(&mut self, key: &[u8], delta: i64) -> usize {
        self.push(key.len(), Operation::Add { key: key.to_vec(), delta, max: None })
    }

    /// Adds to a counter as [`Self::add`] does; an increase beyond `max` conflicts.
    ///
    /// A decrease never conflicts with `max`, so a counter can come down to a bound that was
    /// lowered.
    pub fn add_bounded(&mut self, key: &[u8], delta: i64, max: i64) -> usize {
        self.push(key.len(), Operation::Add { key: key.to_vec(), delta, max: Some(max) })
    }

    /// Appends a statement to the chain of its agent and the chain's entry to the log, and keeps
    /// `kept`, which is what the statement is about, sealed. The statement's number and the entry
    /// before it are those at the commit.
    pub fn append_statement(&mut self, stated: Stated, kept: Option<Vec<u8>>) {
        let chain = ChainKey::of(stated.agent());
        let bytes = STATEMENT_ROWS_BYTES + stated.text().len() + kept.as_ref().map_or(0, Vec::len);
        self.push(bytes, Operation::AppendStatement { chain, stated: Box::new(stated), kept });
    }

    /// Demands that a key is absent.
    pub fn assert_absent(&mut self, keyspace: Keyspace, key: &[u8]) -> usize {
        self.push(key.len(), Operation::AssertAbsent { keyspace, key: key.to_vec() })
    }

    /// Demands that a key has exactly this value.
    pub fn assert_value(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) -> usize {
        let (key, value) = (key.to_vec(), value.to_vec());
        self.push(key.len() + value.len(), Operation::AssertValue { keyspace, key, value })
    }

    /// Deletes a key; deleting an absent one is harmless.
    pub fn delete(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.push(key.len(), Operation::Delete { keyspace, key: key.to_vec() });
    }

    /// Puts a value under a key, over any value it had.
    pub fn put(&mut self, keyspace: Keyspace, key: &[u8], value: impl Into<Vec<u8>>) {
        let (key, value) = (key.to_vec(), value.into());
        self.push(key.len() + value.len(), Operation::Put { keyspace, key, value });
    }

    /// Puts a row with both stamps: the batch's number ends the key and the stamp ends the value.
    ///
    /// Stamped keys of one batch need distinct prefixes in each keyspace, because they all end
    /// with the same number.
    pub fn put_stamped(&mut self, keyspace: Keyspace, prefix: &[u8], value: impl Into<Vec<u8>>) {
        let (prefix, value) = (prefix.to_vec(), value.into());
        let bytes = prefix.len() + 8 + value.len() + 16;
        self.push(bytes, Operation::PutStamped { keyspace, prefix, value });
    }

    /// Puts a value under `prefix` followed by the batch's number, eight bytes big endian.
    ///
    /// Stamped keys of one batch need distinct prefixes in each keyspace, because they all end
    /// with the same number.
    pub fn put_stamped_key(
        &mut self,
        keyspace: Keyspace,
        prefix: &[u8],
        value: impl Into<Vec<u8>>,
    ) {
        let (prefix, value) = (prefix.to_vec(), value.into());
        let bytes = prefix.len() + 8 + value.len();
        self.push(bytes, Operation::PutStampedKey { keyspace, prefix, value });
    }

    /// Puts `value` followed by the batch's stamp, sixteen bytes, under a key.
    pub fn put_stamped_value(&mut self, keyspace: Keyspace, key: &[u8], value: impl Into<Vec<u8>>) {
        let (key, value) = (key.to_vec(), value.into());
        let bytes = key.len() + value.len() + 16;
        self.push(bytes, Operation::PutStampedValue { keyspace, key, value });
    }

    /// Gives the bytes of the batch's keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether the batch has no operation.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Gives the number of operations, which is the position of the next one.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Checks what does not depend on the store.
    pub(crate) fn check(&self) -> Result<(), BatchError> {
        if limits::BATCH_OPERATIONS_MAX < self.operations.len() {
            return Err(BatchError::TooManyOperations);
        }
        if limits::BATCH_BYTES_MAX < self.bytes {
            return Err(BatchError::TooLarge);
        }
        let mut prefixes = Vec::new();
        for operation in &self.operations {
            operation.check()?;
            if let Some(prefix) = operation.stamped_prefix() {
                prefixes.push(prefix);
            }
        }
        prefixes.sort_unstable();
        let stamped = prefixes.len();
        prefixes.dedup();
        if prefixes.len() < stamped {
            return Err(BatchError::RepeatedPrefix);
        }
        Ok(())
    }

    /// Gives the operations in their order.
    pub(crate) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    fn push(&mut self, bytes: usize, operation: Operation) -> usize {
        let position = self.operations.len();
        self.operations.push(operation);
        self.bytes = self.bytes.saturating_add(bytes);
        position
    }
}

impl fmt::Debug for Batch {
    /// Shows sizes only: keys and values may be anybody's bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("operations", &self.operations.len())
            .field("bytes", &self.bytes)
            .finish()
    }
}

impl Operation {
    fn check(&self) -> Result<(), BatchError> {
        match self {
            Self::Add { key, .. } => check_change(Keyspace::Meta, key, 0),
            Self::AppendStatement { stated, kept, .. } => {
                check_value(stated.text().as_bytes())?;
                kept.as_deref().map_or(Ok(()), check_value)
            }
            Self::AssertAbsent { key, .. } | Self::AssertValue { key, .. } => check_key(key, 0),
            Self::Delete { keyspace, key } => check_change(*keyspace, key, 0),
            Self::Put { keyspace, key, value } | Self::PutStampedValue { keyspace, key, value } => {
                check_change(*keyspace, key, 0)?;
                check_value(value)
            }
            Self::PutStamped { keyspace, prefix, value }
            | Self::PutStampedKey { keyspace, prefix, value } => {
                check_change(*keyspace, prefix, 8)?;
                check_value(value)
            }
        }
    }

    fn stamped_prefix(&self) -> Option<(Keyspace, &[u8])> {
        match self {
            Self::PutStamped { keyspace, prefix, .. }
            | Self::PutStampedKey { keyspace, prefix, .. } => Some((*keyspace, prefix)),
            _ => None,
        }
    }
}

/// Checks a key that is written, to which the stamp will add `stamp_bytes`.
fn check_change(keyspace: Keyspace, key: &[u8], stamp_bytes: usize) -> Result<(), BatchError> {
    check_key(key, stamp_bytes)?;
    // Rows whose key has the length of an index are the entries' own: only appending makes them.
    if keyspace == Keyspace::Log && key.len() + stamp_bytes == 8 {
        return Err(BatchError::ReservedKey);
    }
    check_reserved(keyspace, key)
}

fn check_reserved(keyspace: Keyspace, key: &[u8]) -> Result<(), BatchError> {
    if keyspace == Keyspace::Meta && key.starts_with(evaluate::RESERVED_META_PREFIX) {
        return Err(BatchError::ReservedKey);
    }
    Ok(())
}

fn check_key(key: &[u8], stamp_bytes: usize) -> Result<(), BatchError> {
    let bytes = key.len() + stamp_bytes;
    if bytes < limits::KEY_BYTES_MIN {
        return Err(BatchError::KeyTooShort);
    }
    if limits::KEY_BYTES_MAX < bytes {
        return Err(BatchError::KeyTooLong);
    }
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), BatchError> {
    if limits::VALUE_BYTES_MAX < value.len() {
        return Err(BatchError::ValueTooLong);
    }
    Ok(())
}

/// What the rows of a statement take beside its text: keys, entry, chain.
const STATEMENT_ROWS_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_back_from_keys_and_values() {
        let stamp = Stamp { seq: Seq(0x0102_0304_0506_0708), log: u64::MAX };
        let key = [b"prefix".as_slice(), &stamp.seq.to_bytes()].concat();
        assert_eq!(Seq::split_key(&key), Some((b"prefix".as_slice(), stamp.seq)));
        let value = [b"value".as_slice(), &stamp.to_bytes()].concat();
        assert_eq!(Stamp::split_value(&value), Some((b"value".as_slice(), stamp)));
        assert_eq!(Seq::split_key(b"short"), None);
        assert_eq!(Stamp::split_value(b"short"), None);
    }

    #[test]
    fn impossible_batches_are_named() {
        let check = |build: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::new();
            build(&mut batch);
            batch.check()
        };
        assert_eq!(check(&|_| ()), Ok(()));
        assert_eq!(
            check(&|batch| batch.put(Keyspace::Body, b"k", b"")),
            Err(BatchError::KeyTooShort)
        );
        assert_eq!(
            check(&|batch| batch.put(Keyspace::Body, &[7; limits::KEY_BYTES_MAX + 1], b"")),
            Err(BatchError::KeyTooLong)
        );
        assert_eq!(
            check(&|batch| batch.put_stamped_key(
                Keyspace::Body,
                &[7; limits::KEY_BYTES_MAX - 7],
                b""
            )),
            Err(BatchError::KeyTooLong)
        );
        assert_eq!(
            check(&|batch| batch.put(Keyspace::Body, b"key", vec![0; limits::VALUE_BYTES_MAX + 1])),
            Err(BatchError::ValueTooLong)
        );
        assert_eq!(
            check(&|batch| {
                for _ in 0..3 {
                    batch.put(Keyspace::Body, b"key", vec![0; limits::BATCH_BYTES_MAX / 3]);
                }
            }),
            Err(BatchError::TooLarge)
        );
        assert_eq!(
            check(&|batch| {
                for _ in 0..=limits::BATCH_OPERATIONS_MAX {
                    batch.delete(Keyspace::Body, b"key");
                }
            }),
            Err(BatchError::TooManyOperations)
        );
    }

    #[test]
    fn the_stores_own_keys_are_out_of_reach() {
        let reserved: [&dyn Fn(&mut Batch); 6] = [
            &|batch| batch.put(Keyspace::Meta, evaluate::HEAD_KEY, b""),
            &|batch| batch.delete(Keyspace::Meta, evaluate::HEAD_KEY),
            &|batch| {
                batch.add(evaluate::HEAD_KEY, 1);
            },
            &|batch| batch.put_stamped(Keyspace::Meta, evaluate::HEAD_KEY, b""),
            &|batch| batch.put(Keyspace::Log, &[0; 8], b""),
            &|batch| batch.put_stamped_key(Keyspace::Log, b"", b""),
        ];
        for (case, build) in reserved.iter().enumerate() {
            let mut batch = Batch::new();
            build(&mut batch);
            assert_eq!(batch.check(), Err(BatchError::ReservedKey), "case {case}");
        }
    }

    #[test]
    fn equal_prefixes_of_stamped_keys_are_refused() {
        let mut batch = Batch::new();
        batch.put_stamped_key(Keyspace::Index, b"a/", b"");
        batch.put_stamped_key(Keyspace::Body, b"a/", b"");
        batch.put_stamped(Keyspace::Index, b"b/", b"");
        assert_eq!(batch.check(), Ok(()));
        batch.put_stamped(Keyspace::Index, b"a/", b"");
        assert_eq!(batch.check(), Err(BatchError::RepeatedPrefix));
    }

    #[test]
    fn debug_shows_no_bytes() {
        let mut batch = Batch::new();
        batch.put(Keyspace::Body, b"key", b"secret");
        assert_eq!(format!("{batch:?}"), "Batch { operations: 1, bytes: 9 }");
    }
}
