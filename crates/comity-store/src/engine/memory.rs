//! The engine that keeps its rows in memory and loses them with the process.
//!
//! What it is: for tests, simulation and trying things out. What it is not: durable; its answers
//! keep every promise of the trait but that one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::batch::{Batch, Keyspace, Stamp};
use crate::evaluate::{Group, Head, PerKeyspace, View};
use crate::store::{BoxFuture, CommitError, Entry, KeyRange, Store, StoreFault};

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A batch is evaluated before the first row changes, so a panic there left no half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn read(
        &self,
        keyspace: Keyspace,
        range: KeyRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreFault>> {
        Box::pin(async move {
            let Some(bounds) = range.bounds() else { return Ok(Vec::new()) };
            let state = self.state();
            let rows = state.rows.of(keyspace).range::<[u8], _>(bounds).take(limit);
            let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| Entry {
                key: key.clone(),
                value: value.clone(),
            };
            Ok(rows.map(entry).collect())
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Stamp, CommitError>> {
        Box::pin(async move { self.state().commit(batch) })
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}

#[derive(Default)]
struct State {
    rows: PerKeyspace<BTreeMap<Vec<u8>, Vec<u8>>>,
    head: Head,
}

impl State {
    fn commit(&mut self, batch: Batch) -> Result<Stamp, CommitError> {
        let mut group = Group::new(&self.rows, self.head.clone());
        let stamp = group.evaluate(batch)?;
        if let Some((head, mut changes)) = group.finish() {
            self.head = head;
            for keyspace in Keyspace::ALL {
                let rows = self.rows.of_mut(keyspace);
                for (key, value) in std::mem::take(changes.of_mut(keyspace)) {
                    match value {
                        Some(value) => rows.insert(key, value),
                        None => rows.remove(&key),
                    };
                }
            }
        }
        Ok(stamp)
    }
}

impl View for PerKeyspace<BTreeMap<Vec<u8>, Vec<u8>>> {
    fn value(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.of(keyspace).get(key).cloned())
    }
}
