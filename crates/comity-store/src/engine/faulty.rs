//! A store that fails on purpose.
//!
//! What it is: test equipment. It wraps another store and makes chosen commits fail, before or
//! after the inner store did them, or keeps commits waiting; so callers are tested against lost
//! data, lost answers and slow disks. What it is not: for production, though nothing in it is
//! unsafe to link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::batch::{Batch, Keyspace, Stamp};
use crate::store::{BoxFuture, CommitError, Entry, KeyRange, Store, StoreFault};

/// When a planned fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The inner store did commit, but the answer is lost.
    AfterCommit,
    /// The inner store never sees the batch.
    BeforeCommit,
}

/// A store around another that fails as planned.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
    paused: watch::Sender<bool>,
}

impl FaultyStore {
    /// Wraps a store; nothing fails until it is planned.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default(), paused: watch::Sender::new(false) }
    }

    /// Plans that the commit with this number fails; the first commit after wrapping is one.
    pub fn fail(&self, commit: u64, fault: StoreFault, moment: Moment) {
        self.plan().faults.insert(commit, (fault, moment));
    }

    /// Plans that the next commit fails.
    pub fn fail_next(&self, fault: StoreFault, moment: Moment) {
        let mut plan = self.plan();
        let next = plan.commits + 1;
        plan.faults.insert(next, (fault, moment));
    }

    /// Makes further commits wait, before the inner store sees them, until [`Self::resume`].
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Lets the waiting commits go on.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Gives the number of commits that were begun.
    pub fn commits(&self) -> u64 {
        self.plan().commits
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for FaultyStore {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn read(
        &self,
        keyspace: Keyspace,
        range: KeyRange,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreFault>> {
        self.inner.read(keyspace, range, limit)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Stamp, CommitError>> {
        Box::pin(async move {
            let planned = self.plan().begin();
            // The sender lives in `self`, so the wait ends only with a resume.
            if self.paused.subscribe().wait_for(|paused| !paused).await.is_err() {
                return Err(StoreFault::Closed.into());
            }
            match planned {
                None => self.inner.commit(batch).await,
                Some((fault, Moment::BeforeCommit)) => Err(fault.into()),
                Some((fault, Moment::AfterCommit)) => {
                    self.inner.commit(batch).await?;
                    Err(fault.into())
                }
            }
        })
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }
}

#[derive(Default)]
struct Plan {
    commits: u64,
    faults: BTreeMap<u64, (StoreFault, Moment)>,
}

impl Plan {
    fn begin(&mut self) -> Option<(StoreFault, Moment)> {
        self.commits += 1;
        self.faults.remove(&self.commits)
    }
}
