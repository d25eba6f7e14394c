//! Random batches against a model that is too simple to be wrong, with the store opened again in
//! between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "statements/statements.rs"]
mod statements;

use std::collections::BTreeMap;
use std::path::Path;

use comity_core::log::{Frontier, leaf_hash};
use comity_store::records::log;
use comity_store::{
    Batch, CommitError, Conflict, FjallStore, KeyRange, Keyspace, MemoryStore, Seq, Stamp, Store,
};
use proptest::prelude::*;

use statements::{agent, stated};

/// One operation of a batch, on few keys so that batches meet.
#[derive(Clone, Debug)]
enum Step {
    Add { key: u8, delta: i64, max: Option<i64> },
    AppendStatement { agent: u8 },
    AssertAbsent { keyspace: Keyspace, key: u8 },
    AssertCurrent { keyspace: Keyspace, key: u8 },
    AssertValue { keyspace: Keyspace, key: u8, value: u8 },
    Delete { keyspace: Keyspace, key: u8 },
    Put { keyspace: Keyspace, key: u8, value: u8 },
    PutStamped { keyspace: Keyspace, value: u8 },
    PutStampedValue { keyspace: Keyspace, key: u8, value: u8 },
}

#[derive(Clone, Debug)]
enum Event {
    Commit(Vec<Step>),
    OpenAgain,
    Read { keyspace: Keyspace, from: u8, to: u8, limit: usize },
}

type Rows = BTreeMap<(Keyspace, Vec<u8>), Vec<u8>>;

#[derive(Clone, Default)]
struct Model {
    rows: Rows,
    seq: u64,
    frontier: Frontier,
    entries: Vec<[u8; 32]>,
    /// Number and entry of each agent's last statement.
    ends: [(u64, [u8; 32]); 2],
}

impl Model {
    fn row(&self, keyspace: Keyspace, key: u8) -> Option<&Vec<u8>> {
        self.rows.get(&(keyspace, row_key(key)))
    }

    /// Applies a batch to a copy, step by step, and keeps the copy if all went well.
    fn commit(&mut self, steps: &[Step]) -> Result<Stamp, Conflict> {
        let mut next = self.clone();
        next.seq += 1;
        let stamp = Stamp { seq: Seq(next.seq), log: self.frontier.size() };
        for (index, step) in steps.iter().enumerate() {
            match *step {
                Step::Add { key, delta, max } => {
                    let key = (Keyspace::Meta, counter_key(key));
                    let old = next
                        .rows
                        .get(&key)
                        .map_or(0, |row| i64::from_be_bytes(row.as_slice().try_into().unwrap()));
                    let sum = old + delta;
                    if sum < 0 || (0 < delta && max.is_some_and(|max| max < sum)) {
                        return Err(Conflict::Bound { index });
                    }
                    next.rows.remove(&key);
                    if sum != 0 {
                        next.rows.insert(key, sum.to_be_bytes().to_vec());
                    }
                }
                Step::AppendStatement { agent: number } => {
                    let (seq, entry) = &mut next.ends[usize::from(number)];
                    let stated = stated(&agent(number), u64::from(number));
                    (*seq, *entry) = (*seq + 1, stated.link(*seq + 1, entry).0.entry());
                    next.frontier.append(leaf_hash(&*entry));
                    next.entries.push(*entry);
                }
                Step::AssertAbsent { keyspace, key } => {
                    if self.row(keyspace, key).is_some() {
                        return Err(Conflict::Assertion { index });
                    }
                }
                Step::AssertCurrent { .. } => {}
                Step::AssertValue { keyspace, key, value } => {
                    if self.row(keyspace, key) != Some(&vec![value]) {
                        return Err(Conflict::Assertion { index });
                    }
                }
                Step::Delete { keyspace, key } => {
                    next.rows.remove(&(keyspace, row_key(key)));
                }
                Step::Put { keyspace, key, value } => {
                    next.rows.insert((keyspace, row_key(key)), vec![value]);
                }
                Step::PutStamped { keyspace, value } => {
                    let key = [STAMPED, &next.seq.to_be_bytes()].concat();
                    next.rows.insert((keyspace, key), stamped(value, next.seq, stamp.log));
                }
                Step::PutStampedValue { keyspace, key, value } => {
                    let value = stamped(value, next.seq, stamp.log);
                    next.rows.insert((keyspace, row_key(key)), value);
                }
            }
        }
        *self = next;
        Ok(stamp)
    }

    fn batch(&self, steps: &[Step]) -> Batch {
        let mut batch = Batch::new();
        for step in steps {
            match *step {
                Step::Add { key, delta, max: None } => {
                    batch.add(&counter_key(key), delta);
                }
                Step::Add { key, delta, max: Some(max) } => {
                    batch.add_bounded(&counter_key(key), delta, max);
                }
                Step::AppendStatement { agent: number } => {
                    batch.append_statement(stated(&agent(number), u64::from(number)), None);
                }
                Step::AssertAbsent { keyspace, key } => {
                    batch.assert_absent(keyspace, &row_key(key));
                }
                Step::AssertCurrent { keyspace, key } => {
                    match self.row(keyspace, key) {
                        Some(value) => batch.assert_value(keyspace, &row_key(key), value),
                        None => batch.assert_absent(keyspace, &row_key(key)),
                    };
                }
                Step::AssertValue { keyspace, key, value } => {
                    batch.assert_value(keyspace, &row_key(key), &[value]);
                }
                Step::Delete { keyspace, key } => batch.delete(keyspace, &row_key(key)),
                Step::Put { keyspace, key, value } => batch.put(keyspace, &row_key(key), [value]),
                Step::PutStamped { keyspace, value } => {
                    batch.put_stamped(keyspace, STAMPED, [value]);
                }
                Step::PutStampedValue { keyspace, key, value } => {
                    batch.put_stamped_value(keyspace, &row_key(key), [value]);
                }
            }
        }
        batch
    }

    fn range(&self, keyspace: Keyspace, from: u8, to: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (from, to) = (row_key(from), row_key(to));
        let rows =
            self.rows.iter().filter(|((ks, key), _)| *ks == keyspace && from <= *key && *key < to);
        rows.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }
}

async fn play(events: &[Event], open: impl Fn() -> Box<dyn Store>, opens_again: bool) {
    let mut model = Model::default();
    let mut store = open();
    for event in events {
        match event {
            Event::Commit(steps) => {
                let batch = model.batch(steps);
                let found = match store.commit(batch).await {
                    Ok(stamp) => Ok(stamp),
                    Err(CommitError::Conflict(conflict)) => Err(conflict),
                    Err(CommitError::Fault(fault)) => panic!("{fault}"),
                };
                assert_eq!(found, model.commit(steps));
            }
            Event::OpenAgain if opens_again => {
                drop(store);
                store = open();
            }
            Event::OpenAgain => {}
            Event::Read { keyspace, from, to, limit } => {
                let range = KeyRange::between(&row_key(*from), &row_key(*to));
                let found = store.read(*keyspace, range, *limit).await.unwrap();
                let mut expected = model.range(*keyspace, *from, *to);
                expected.truncate(*limit);
                let found: Vec<_> = found.into_iter().map(|row| (row.key, row.value)).collect();
                assert_eq!(found, expected);
            }
        }
    }
    assert_eq!(store.frontier().await.unwrap(), model.frontier);
    for (number, (seq, _)) in (0..).zip(model.ends) {
        let found = log::statements(&*store, &agent(number), 1, usize::MAX).await.unwrap();
        assert_eq!(found.len() as u64, seq);
    }
    let (mut rows, mut entries) = (Rows::new(), Vec::new());
    for keyspace in Keyspace::ALL {
        for row in store.read(keyspace, KeyRange::all(), usize::MAX).await.unwrap() {
            match (keyspace, row.key.len()) {
                (Keyspace::Meta, _) if row.key.starts_with(b"store/") => {}
                (Keyspace::Log, 8) => entries.extend_from_slice(&row.value),
                // The end of a chain, and its statements.
                (Keyspace::Log, 17 | 25) => {}
                _ => drop(rows.insert((keyspace, row.key), row.value)),
            }
        }
    }
    assert_eq!((rows, entries.as_slice()), (model.rows, model.entries.as_flattened()));
}

fn open(directory: &Path) -> Box<dyn Store> {
    Box::new(FjallStore::open(directory).unwrap())
}

fn row_key(key: u8) -> Vec<u8> {
    vec![b'r', key]
}

fn counter_key(key: u8) -> Vec<u8> {
    vec![b'c', key]
}

fn stamped(value: u8, seq: u64, log: u64) -> Vec<u8> {
    [[value].as_slice(), &seq.to_be_bytes(), &log.to_be_bytes()].concat()
}

fn step() -> impl Strategy<Value = Step> {
    let keyspace = || prop::sample::select(Keyspace::ALL.as_slice());
    let (key, value) = (|| 0..6_u8, || 0..3_u8);
    prop_oneof![
        3 => (key(), -3..5_i64, prop::option::of(0..8_i64))
            .prop_map(|(key, delta, max)| Step::Add { key, delta, max }),
        3 => (0..2_u8).prop_map(|agent| Step::AppendStatement { agent }),
        1 => (keyspace(), key()).prop_map(|(keyspace, key)| Step::AssertAbsent { keyspace, key }),
        2 => (keyspace(), key()).prop_map(|(keyspace, key)| Step::AssertCurrent { keyspace, key }),
        1 => (keyspace(), key(), value())
            .prop_map(|(keyspace, key, value)| Step::AssertValue { keyspace, key, value }),
        2 => (keyspace(), key()).prop_map(|(keyspace, key)| Step::Delete { keyspace, key }),
        5 => (keyspace(), key(), value())
            .prop_map(|(keyspace, key, value)| Step::Put { keyspace, key, value }),
        2 => (keyspace(), key(), value())
            .prop_map(|(keyspace, key, value)| Step::PutStampedValue { keyspace, key, value }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let keyspace = || prop::sample::select(Keyspace::ALL.as_slice());
    // At most one stamped key a batch, because they share their prefix.
    let stamped = prop::option::of((keyspace(), 0..3_u8));
    let steps = (prop::collection::vec(step(), 0..6), stamped).prop_map(|(mut steps, stamped)| {
        steps.extend(stamped.map(|(keyspace, value)| Step::PutStamped { keyspace, value }));
        steps
    });
    prop_oneof![
        20 => steps.prop_map(Event::Commit),
        1 => Just(Event::OpenAgain),
        4 => (keyspace(), 0..7_u8, 0..7_u8, 0..5_usize)
            .prop_map(|(keyspace, from, to, limit)| Event::Read { keyspace, from, to, limit }),
    ]
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn fjall_does_what_the_model_does(events in prop::collection::vec(event(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        block_on(play(&events, || open(directory.path()), true));
    }

    #[test]
    fn memory_does_what_the_model_does(events in prop::collection::vec(event(), 1..60)) {
        block_on(play(&events, || Box::new(MemoryStore::new()), false));
    }
}

const STAMPED: &[u8] = b"s/";
