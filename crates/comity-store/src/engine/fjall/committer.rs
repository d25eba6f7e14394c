//! The thread that commits.
//!
//! What it is: it takes the batches that wait, evaluates them as one group, writes them with one
//! sync, and only then answers each. While the disk syncs, the next group gathers. A batch that comes
//! right after a commit waits a moment for others, because a fast disk would otherwise sync each alone;
//! one that comes to a quiet store is committed at once. What it is not: something that goes on after a failed write: what
//! the disk then holds is unknown, so it answers nothing but faults until the store is opened
//! again (<https://www.usenix.org/system/files/atc20-rebello.pdf>).

use std::thread;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::batch::{Batch, Stamp};
use crate::evaluate::{Changes, Group, Head, PerKeyspace, View};
use crate::limits;
use crate::store::{CommitError, StoreFault};

/// A batch that waits to be committed.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Stamp, CommitError>>,
    /// The batch's share of the queue's bytes, given back with the answer.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Where groups are written.
pub(super) trait Disk: View {
    /// Writes a group's changes atomically, and returns when they are durable.
    ///
    /// After an error it is unknown whether they are.
    fn write(&self, changes: PerKeyspace<Changes>) -> Result<(), StoreFault>;

    /// Gives the room that is left, if that can be known.
    fn free_bytes(&self) -> Option<u64>;
}

/// The only writer of a database.
pub(super) struct Committer<D> {
    disk: D,
    head: Head,
    reserve_bytes: u64,
    halted: bool,
}

impl<D: Disk> Committer<D> {
    /// Creates the committer that continues from a head.
    pub(super) fn new(disk: D, head: Head, reserve_bytes: u64) -> Self {
        Self { disk, head, reserve_bytes, halted: false }
    }

    /// Commits until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut ended: Option<Instant> = None;
        while let Some(first) = queue.blocking_recv() {
            let since = ended.map(|ended| ended.elapsed());
            if let Some(rest) = since.and_then(|since| limits::GROUP_GATHER.checked_sub(since)) {
                thread::sleep(rest);
            }
            let mut bytes = first.batch.bytes();
            let mut group = vec![first];
            while group.len() < limits::GROUP_BATCHES_MAX && bytes < limits::GROUP_BYTES_MAX {
                let Ok(next) = queue.try_recv() else { break };
                bytes += next.batch.bytes();
                group.push(next);
            }
            self.commit(group);
            ended = Some(Instant::now());
        }
    }

    fn commit(&mut self, requests: Vec<Request>) {
        if let Err(fault) = self.check_writable() {
            for request in requests {
                let _unwanted = request.answer.send(Err(CommitError::Fault(fault.clone())));
            }
            return;
        }
        let mut group = Group::new(&self.disk, self.head.clone());
        let mut waiting = Vec::with_capacity(requests.len());
        for Request { batch, answer, _room: room } in requests {
            waiting.push((answer, room, group.evaluate(batch)));
        }
        // Conflicts wait for the sync too: they may be with a batch of this very group.
        let written = match group.finish() {
            None => Ok(()),
            Some((head, changes)) => self.disk.write(changes).map(|()| self.head = head),
        };
        self.halted = written.is_err();
        for (answer, _room, result) in waiting {
            let result = match &written {
                Ok(()) => result,
                Err(fault) => Err(CommitError::Fault(fault.clone())),
            };
            // Nobody waits for it if the caller dropped its future.
            let _unwanted = answer.send(result);
        }
    }

    fn check_writable(&self) -> Result<(), StoreFault> {
        if self.halted {
            return Err(StoreFault::Halted);
        }
        if self.disk.free_bytes().is_some_and(|free| free < self.reserve_bytes) {
            return Err(StoreFault::Full);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::batch::Keyspace;
    use crate::store::Conflict;

    /// Writes nothing; one write fails, as a sync does.
    struct FailingDisk {
        writes: Arc<AtomicUsize>,
        failing: usize,
    }

    impl View for FailingDisk {
        fn value(&self, _: Keyspace, _: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
            Ok(None)
        }
    }

    impl Disk for FailingDisk {
        fn write(&self, _: PerKeyspace<Changes>) -> Result<(), StoreFault> {
            if self.writes.fetch_add(1, Ordering::SeqCst) == self.failing {
                return Err(std::io::Error::other("sync failed").into());
            }
            Ok(())
        }

        fn free_bytes(&self) -> Option<u64> {
            None
        }
    }

    type Answer = oneshot::Receiver<Result<Stamp, CommitError>>;

    fn request(batch: Batch) -> (Request, Answer) {
        let (answer, answered) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (Request { batch, answer, _room: room }, answered)
    }

    fn unique() -> Batch {
        let mut batch = Batch::new();
        batch.assert_absent(Keyspace::Index, b"key");
        batch.put(Keyspace::Index, b"key", b"");
        batch
    }

    fn committer(failing: usize) -> (Committer<FailingDisk>, Arc<AtomicUsize>) {
        let writes = Arc::new(AtomicUsize::new(0));
        let disk = FailingDisk { writes: Arc::clone(&writes), failing };
        (Committer::new(disk, Head::default(), 0), writes)
    }

    #[test]
    fn what_waits_is_written_at_once() {
        let (committer, writes) = committer(usize::MAX);
        let (queue, requests) = mpsc::channel(limits::GROUP_BATCHES_MAX + 1);
        let answers: Vec<Answer> = (0..=limits::GROUP_BATCHES_MAX)
            .map(|_| {
                let (request, answer) = request(Batch::new());
                queue.try_send(request).ok().unwrap();
                answer
            })
            .collect();
        drop(queue);
        committer.run(requests);
        assert_eq!(writes.load(Ordering::SeqCst), 2, "a full group, and the one more");
        for (n, mut answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.try_recv().unwrap().unwrap().seq.0, n as u64 + 1);
        }
    }

    #[test]
    fn a_group_that_conflicts_writes_nothing() {
        let (mut committer, writes) = committer(usize::MAX);
        let mut batch = Batch::new();
        batch.add(b"counter", -1);
        let (request, mut answer) = request(batch);
        committer.commit(vec![request]);
        let result = answer.try_recv().unwrap();
        assert!(matches!(result, Err(CommitError::Conflict(Conflict::Bound { index: 0 }))));
        assert_eq!(writes.load(Ordering::SeqCst), 0);
    }

    /// The conflict is with a batch of the same group, which never reached the disk: telling the
    /// peer "you sent that already" would acknowledge a message that is lost.
    #[test]
    fn a_failed_write_is_told_to_all_of_its_group_and_those_after() {
        let (mut committer, writes) = committer(0);
        let (first, mut first_answer) = request(unique());
        let (second, mut second_answer) = request(unique());
        committer.commit(vec![first, second]);
        for answer in [&mut first_answer, &mut second_answer] {
            let result = answer.try_recv().unwrap();
            assert!(matches!(result, Err(CommitError::Fault(StoreFault::Io(_)))), "{result:?}");
        }
        for _ in 0..3 {
            let (later, mut later_answer) = request(unique());
            committer.commit(vec![later]);
            let result = later_answer.try_recv().unwrap();
            assert!(matches!(result, Err(CommitError::Fault(StoreFault::Halted))), "{result:?}");
        }
        assert_eq!(writes.load(Ordering::SeqCst), 1, "nothing is written after a failed write");
    }
}
