//! What a batch means: the one place that decides and computes it, for every engine.
//!
//! What it is: assertions, counters, stamps and the log, evaluated for a group of batches against
//! a view of the committed rows. What it is not: durable; an engine writes the rows that come out
//! in one atomic write, and answers only when they are on disk. ADR 0005 and 0006.

use std::collections::BTreeMap;

use comity_core::log::Frontier;

use crate::batch::{Batch, Keyspace, Operation, Seq, Stamp};
use crate::chain::{self, Appended, ChainEnd};
use crate::store::{CommitError, Conflict, StoreFault};

/// What keys of [`Keyspace::Meta`] begin with that belong to the store itself.
pub(crate) const RESERVED_META_PREFIX: &[u8] = b"store/";

/// Where the [`Head`] is kept in [`Keyspace::Meta`].
pub(crate) const HEAD_KEY: &[u8] = b"store/head";

/// The committed rows, as an engine shows them to its own committer.
pub(crate) trait View {
    /// Reads the committed value of a key.
    fn value(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault>;
}

/// What every commit continues: the number of the last batch, and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the last committed batch.
    pub(crate) seq: Seq,
    /// The state of the log.
    pub(crate) frontier: Frontier,
}

impl Head {
    /// Reads what [`Self::encode`] wrote; a store without it is empty.
    pub(crate) fn decode(row: Option<&[u8]>) -> Result<Self, StoreFault> {
        let Some(row) = row else { return Ok(Self::default()) };
        let damaged = || StoreFault::Corrupt(String::from("the head row"));
        let (seq, frontier) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
        let frontier = Frontier::decode(frontier).map_err(|_| damaged())?;
        Ok(Self { seq: Seq(u64::from_be_bytes(*seq)), frontier })
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = self.seq.to_bytes().to_vec();
        row.extend_from_slice(&self.frontier.encode());
        row
    }
}

/// A value for each keyspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerKeyspace<T> {
    pub(crate) body: T,
    pub(crate) index: T,
    pub(crate) log: T,
    pub(crate) meta: T,
}

impl<T> PerKeyspace<T> {
    pub(crate) fn of_mut(&mut self, keyspace: Keyspace) -> &mut T {
        match keyspace {
            Keyspace::Body => &mut self.body,
            Keyspace::Index => &mut self.index,
            Keyspace::Log => &mut self.log,
            Keyspace::Meta => &mut self.meta,
        }
    }

    pub(crate) fn of(&self, keyspace: Keyspace) -> &T {
        match keyspace {
            Keyspace::Body => &self.body,
            Keyspace::Index => &self.index,
            Keyspace::Log => &self.log,
            Keyspace::Meta => &self.meta,
        }
    }
}

/// New values of keys, `None` where the key is deleted; in order, in which trees take them fastest.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Batches that will be written together.
///
/// Each batch sees the changes of those before it. An engine calls [`Self::evaluate`] for each,
/// then [`Self::finish`], writes the changes atomically and durably, and answers. If that write
/// fails, no answer that `evaluate` gave is true, not even a conflict: it may have been with a
/// batch that was never written.
pub(crate) struct Group<'v, V> {
    view: &'v V,
    head: Head,
    committed: u64,
    changes: PerKeyspace<Changes>,
    /// What the group appends to the log, and the index of the first.
    entries: Vec<[u8; 32]>,
    first: u64,
}

impl<'v, V: View> Group<'v, V> {
    /// Begins a group that continues from a head.
    pub(crate) fn new(view: &'v V, head: Head) -> Self {
        let (entries, first) = (Vec::new(), head.frontier.size());
        Self { view, head, committed: 0, changes: PerKeyspace::default(), entries, first }
    }

    /// Evaluates one batch, and keeps its changes unless it fails.
    pub(crate) fn evaluate(&mut self, batch: Batch) -> Result<Stamp, CommitError> {
        batch.check().map_err(StoreFault::Batch)?;
        let stamp = Stamp { seq: Seq(self.head.seq.0 + 1), log: self.head.frontier.size() };
        let mut frontier = self.head.frontier.clone();
        let (mut staged, mut entries) = (Staged::default(), Vec::new());
        for (index, operation) in batch.into_operations().into_iter().enumerate() {
            match operation {
                Operation::Add { key, delta, max } => {
                    let value = match staged.value(Keyspace::Meta, &key) {
                        Some(value) => decode_counter(value)?,
                        None => self.with_value(Keyspace::Meta, &key, decode_counter)??,
                    };
                    let sum = add(value, delta, max).ok_or(Conflict::Bound { index })?;
                    let row = (sum != 0).then(|| sum.to_be_bytes().to_vec());
                    staged.set(Keyspace::Meta, key, row);
                }
                Operation::AppendStatement { chain, stated, kept } => {
                    let key = chain::end_key(chain);
                    let before = match staged.value(Keyspace::Log, &key) {
                        Some(row) => decode_chain_end(row)?,
                        None => self.with_value(Keyspace::Log, &key, decode_chain_end)??,
                    };
                    let index = frontier.size();
                    let Appended { leaf, entry, statement, end } =
                        Appended::new(chain, *stated, &before, index);
                    frontier.append(leaf);
                    entries.push(entry);
                    staged.set(Keyspace::Log, statement.0, Some(statement.1));
                    staged.set(Keyspace::Log, key, Some(end));
                    if let Some(kept) = kept {
                        staged.set(Keyspace::Body, chain::kept_key(index), Some(kept));
                    }
                }
                Operation::AssertAbsent { keyspace, key } => {
                    if !self.with_value(keyspace, &key, |value| value.is_none())? {
                        return Err(Conflict::Assertion { index }.into());
                    }
                }
                Operation::AssertValue { keyspace, key, value } => {
                    if !self.with_value(keyspace, &key, |found| found == Some(value.as_slice()))? {
                        return Err(Conflict::Assertion { index }.into());
                    }
                }
                Operation::Delete { keyspace, key } => staged.set(keyspace, key, None),
                Operation::Put { keyspace, key, value } => staged.set(keyspace, key, Some(value)),
                Operation::PutStamped { keyspace, prefix, value } => {
                    staged.set(
                        keyspace,
                        joined(prefix, &stamp.seq.to_bytes()),
                        Some(joined(value, &stamp.to_bytes())),
                    );
                }
                Operation::PutStampedKey { keyspace, prefix, value } => {
                    staged.set(keyspace, joined(prefix, &stamp.seq.to_bytes()), Some(value));
                }
                Operation::PutStampedValue { keyspace, key, value } => {
                    staged.set(keyspace, key, Some(joined(value, &stamp.to_bytes())));
                }
            }
        }
        for (keyspace, key, value) in staged.0 {
            self.changes.of_mut(keyspace).insert(key, value);
        }
        self.entries.extend(entries);
        self.head = Head { seq: stamp.seq, frontier };
        self.committed += 1;
        Ok(stamp)
    }

    /// Ends the group: gives the head that follows and the rows to write, or nothing if no batch
    /// of the group succeeded.
    pub(crate) fn finish(mut self) -> Option<(Head, PerKeyspace<Changes>)> {
        if self.committed == 0 {
            return None;
        }
        let rows = chain::entry_rows(self.first, &self.entries);
        self.changes.log.extend(rows.map(|(key, entries)| (key, Some(entries))));
        self.changes.meta.insert(HEAD_KEY.to_vec(), Some(self.head.encode()));
        Some((self.head, self.changes))
    }

    /// Looks at a value as the batches before this one left it.
    fn with_value<T>(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        look: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T, StoreFault> {
        match self.changes.of(keyspace).get(key) {
            Some(changed) => Ok(look(changed.as_deref())),
            None => Ok(look(self.view.value(keyspace, key)?.as_deref())),
        }
    }
}

/// The changes of one batch, which take effect only if all of it succeeds.
#[derive(Default)]
struct Staged(Vec<(Keyspace, Vec<u8>, Option<Vec<u8>>)>);

impl Staged {
    fn set(&mut self, keyspace: Keyspace, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.0.push((keyspace, key, value));
    }

    /// Gives the latest change of a key, if the batch changed it.
    ///
    /// A search is cheaper than an index here: batches are short, and only counters and chains ask.
    fn value(&self, keyspace: Keyspace, key: &[u8]) -> Option<Option<&[u8]>> {
        let change = self.0.iter().rev().find(|(ks, k, _)| *ks == keyspace && k == key);
        change.map(|(_, _, value)| value.as_deref())
    }
}

/// Reads a counter's row.
pub(crate) fn decode_counter(row: Option<&[u8]>) -> Result<i64, StoreFault> {
    let Some(row) = row else { return Ok(0) };
    let bytes = row.try_into().map_err(|_| StoreFault::Corrupt(String::from("a counter")))?;
    Ok(i64::from_be_bytes(bytes))
}

fn decode_chain_end(row: Option<&[u8]>) -> Result<ChainEnd, StoreFault> {
    let Some(row) = row else { return Ok(ChainEnd::EMPTY) };
    ChainEnd::decode(row).ok_or_else(|| StoreFault::Corrupt(String::from("the end of a chain")))
}

fn add(value: i64, delta: i64, max: Option<i64>) -> Option<i64> {
    let sum = value.checked_add(delta)?;
    let beyond = 0 < delta && max.is_some_and(|max| max < sum);
    (0 <= sum && !beyond).then_some(sum)
}

fn joined(mut bytes: Vec<u8>, suffix: &[u8]) -> Vec<u8> {
    bytes.extend_from_slice(suffix);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::log::{Act, Statement, TagSecret, leaf_hash};
    use comity_didcomm::UnixTime;

    struct Empty;

    impl View for Empty {
        fn value(&self, _: Keyspace, _: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
            Ok(None)
        }
    }

    #[test]
    fn a_failed_batch_takes_no_number_and_leaves_no_change() {
        let mut group = Group::new(&Empty, Head::default());
        let mut batch = Batch::new();
        batch.put(Keyspace::Body, b"key", b"value");
        let agent = "did:web:a.example".parse().unwrap();
        let parties = (&agent, &agent);
        let statement = Statement::new(Act::Sent, parties, "m-1", b"", &[7; 16], UnixTime(1));
        batch.append_statement(statement.stated(&TagSecret::new(&[1; 32])), None);
        batch.add(b"counter", -1);
        let error = group.evaluate(batch).unwrap_err();
        assert!(matches!(error, CommitError::Conflict(Conflict::Bound { index: 2 })));
        assert!(group.finish().is_none());
    }

    #[test]
    fn a_batch_sees_those_before_it_but_not_itself() {
        let mut batch = Batch::new();
        batch.put(Keyspace::Index, b"key", b"value");
        batch.assert_absent(Keyspace::Index, b"key");
        let mut group = Group::new(&Empty, Head::default());
        assert_eq!(group.evaluate(batch.clone()).unwrap().seq, Seq(1));
        let error = group.evaluate(batch).unwrap_err();
        assert!(matches!(error, CommitError::Conflict(Conflict::Assertion { index: 1 })));
    }

    #[test]
    fn additions_of_one_batch_add_up() {
        let mut batch = Batch::new();
        batch.add(b"counter", 2);
        batch.add(b"counter", 3);
        batch.add_bounded(b"counter", 1, 6);
        let mut group = Group::new(&Empty, Head::default());
        group.evaluate(batch).unwrap();
        let (_, changes) = group.finish().unwrap();
        assert_eq!(changes.meta[b"counter".as_slice()], Some(6_i64.to_be_bytes().to_vec()));
    }

    #[test]
    fn counters_stay_within_zero_and_their_bound() {
        assert_eq!(add(1, -1, None), Some(0));
        assert_eq!(add(0, -1, None), None);
        assert_eq!(add(i64::MAX, 1, None), None);
        assert_eq!(add(9, 1, Some(10)), Some(10));
        assert_eq!(add(10, 1, Some(10)), None);
        // A bound that was lowered does not keep a counter from coming down.
        assert_eq!(add(10, -1, Some(5)), Some(9));
    }

    #[test]
    fn rows_that_no_batch_wrote_are_corrupt() {
        assert!(matches!(Head::decode(Some(b"short")), Err(StoreFault::Corrupt(_))));
        assert!(matches!(Head::decode(Some(&[1; 17])), Err(StoreFault::Corrupt(_))));
        assert!(matches!(decode_counter(Some(b"seven..")), Err(StoreFault::Corrupt(_))));
    }

    #[test]
    fn the_head_is_read_back_as_written() {
        let mut head = Head::default();
        assert_eq!(Head::decode(None).unwrap(), head);
        for n in 0..9 {
            assert_eq!(Head::decode(Some(&head.encode())).unwrap(), head);
            head.seq = Seq(n);
            head.frontier.append(leaf_hash(&[7]));
        }
    }
}
