//! The one suite that judges every engine, each test three times over the same state.
//!
//! A case gets the state that earlier rounds of it left, and must hold all the same
//! (ARCHITECTURE.md, I6), so it works under a name of its own and counts from where the store is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "statements/statements.rs"]
mod statements;

use std::sync::Arc;

use comity_core::log::{Frontier, Statement, TILE_WIDTH, leaf_hash, statement_hash};
use comity_store::records::log;
use comity_store::{
    Batch, CommitError, Conflict, FaultyStore, FjallStore, KeyRange, Keyspace, MemoryStore, Seq,
    Stamp, Store, StoreFault,
};

use statements::{agent, stated};

const ROUNDS: u8 = 3;

/// One round of a case: a store, and a name that no other round has.
struct Round {
    store: Arc<dyn Store>,
    number: u8,
}

impl Round {
    fn key(&self, name: &str) -> Vec<u8> {
        format!("{}/{name}", self.number).into_bytes()
    }

    async fn commit(&self, build: impl FnOnce(&mut Batch)) -> Result<Stamp, CommitError> {
        let mut batch = Batch::new();
        build(&mut batch);
        self.store.commit(batch).await
    }

    async fn get(&self, keyspace: Keyspace, name: &str) -> Option<Vec<u8>> {
        self.store.get(keyspace, &self.key(name)).await.unwrap()
    }

    async fn all(&self, keyspace: Keyspace, range: KeyRange) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.store.read(keyspace, range, usize::MAX).await.unwrap();
        rows.into_iter().map(|row| (row.key, row.value)).collect()
    }

    /// Every row of every keyspace.
    async fn everything(&self) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        for keyspace in Keyspace::ALL {
            rows.push(self.all(keyspace, KeyRange::all()).await);
        }
        rows
    }
}

fn conflict(result: Result<Stamp, CommitError>) -> Conflict {
    match result {
        Err(CommitError::Conflict(conflict)) => conflict,
        other => panic!("no conflict but {other:?}"),
    }
}

/// The head that the log's rows give when computed again.
async fn recomputed(store: &dyn Store) -> Frontier {
    let mut rows = store.read(Keyspace::Log, KeyRange::all(), usize::MAX).await.unwrap();
    // What else belongs to the log has longer keys.
    rows.retain(|row| row.key.len() == 8);
    let mut frontier = Frontier::default();
    for row in rows {
        assert_eq!(row.key, frontier.size().to_be_bytes(), "the entries' indices are dense");
        let (entries, rest) = row.value.as_chunks::<32>();
        assert!(rest.is_empty() && !entries.is_empty());
        let tile = frontier.size() / TILE_WIDTH;
        entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
        assert_eq!((frontier.size() - 1) / TILE_WIDTH, tile, "no row is of two tiles");
    }
    frontier
}

async fn assertions_decide(round: Round) {
    let key = round.key("key");
    let put = |value: &'static [u8]| {
        let key = key.clone();
        move |batch: &mut Batch| {
            batch.assert_absent(Keyspace::Index, &key);
            batch.put(Keyspace::Index, &key, value);
        }
    };
    round.commit(put(b"first")).await.unwrap();
    assert_eq!(conflict(round.commit(put(b"second")).await), Conflict::Assertion { index: 0 });
    assert_eq!(round.get(Keyspace::Index, "key").await.unwrap(), b"first");

    let replace = |expected: &'static [u8], value: &'static [u8]| {
        let key = key.clone();
        move |batch: &mut Batch| {
            batch.put(Keyspace::Index, &key, value);
            let position = batch.assert_value(Keyspace::Index, &key, expected);
            assert_eq!(position, 1);
        }
    };
    let stale = round.commit(replace(b"other", b"second")).await;
    assert_eq!(conflict(stale), Conflict::Assertion { index: 1 });
    round.commit(replace(b"first", b"second")).await.unwrap();
    assert_eq!(round.get(Keyspace::Index, "key").await.unwrap(), b"second");

    round.commit(|batch| batch.delete(Keyspace::Index, &key)).await.unwrap();
    assert_eq!(round.get(Keyspace::Index, "key").await, None);
    let gone = round.commit(replace(b"second", b"third")).await;
    assert_eq!(conflict(gone), Conflict::Assertion { index: 1 });
    round.commit(put(b"again")).await.unwrap();
}

async fn a_conflict_leaves_nothing(round: Round) {
    let head = round.store.tree_head().await.unwrap();
    let (taken, counter) = (round.key("taken"), round.key("counter"));
    let before = round
        .commit(|batch| {
            batch.put(Keyspace::Index, &taken, b"");
            batch.add(&counter, 1);
        })
        .await
        .unwrap();
    let rows = round.everything().await;
    for _ in 0..2 {
        let result = round
            .commit(|batch| {
                for keyspace in Keyspace::ALL {
                    batch.put(keyspace, &round.key("row"), b"value");
                    batch.delete(keyspace, &taken);
                }
                batch.put_stamped(Keyspace::Body, &round.key("stamped/"), b"");
                batch.append_statement(stated(&agent(0), 0), None);
                batch.add(&counter, 1);
                batch.assert_absent(Keyspace::Index, &taken);
            })
            .await;
        assert_eq!(conflict(result), Conflict::Assertion { index: 11 });
        assert_eq!(round.everything().await, rows);
        assert_eq!(round.store.tree_head().await.unwrap(), head);
    }
    let after = round.commit(|_| ()).await.unwrap();
    assert_eq!(after.seq.0, before.seq.0 + 1, "a conflict takes no number");
}

async fn stamps_are_dense_and_ordered(round: Round) {
    let prefix = round.key("stamped/");
    let mut stamps = Vec::new();
    for n in 0..20_u8 {
        let stamp = round
            .commit(|batch| {
                batch.put_stamped(Keyspace::Index, &prefix, [n]);
                batch.put_stamped_key(Keyspace::Body, &prefix, [n]);
                batch.put_stamped_value(Keyspace::Meta, &round.key("last"), [n]);
                for _ in 0..n % 3 {
                    batch.append_statement(stated(&agent(n), 0), None);
                }
            })
            .await
            .unwrap();
        stamps.push(stamp);
    }
    for (n, pair) in stamps.windows(2).enumerate() {
        assert_eq!(pair[1].seq.0, pair[0].seq.0 + 1);
        assert_eq!(pair[1].log, pair[0].log + n as u64 % 3, "where this batch's entries begin");
    }
    let index = round.all(Keyspace::Index, KeyRange::prefix(&prefix)).await;
    let body = round.all(Keyspace::Body, KeyRange::prefix(&prefix)).await;
    assert_eq!((index.len(), body.len()), (20, 20));
    for (n, stamp) in stamps.iter().enumerate() {
        let value = [n as u8];
        assert_eq!(Seq::split_key(&index[n].0), Some((prefix.as_slice(), stamp.seq)));
        assert_eq!(Stamp::split_value(&index[n].1), Some((value.as_slice(), *stamp)));
        assert_eq!(Seq::split_key(&body[n].0), Some((prefix.as_slice(), stamp.seq)));
        assert_eq!(body[n].1, value);
    }
    let last = round.get(Keyspace::Meta, "last").await.unwrap();
    assert_eq!(Stamp::split_value(&last), Some(([19].as_slice(), stamps[19])));
}

async fn counters_keep_their_bounds(round: Round) {
    let key = round.key("counter");
    let bounded = |delta| {
        let key = key.clone();
        move |b: &mut Batch| {
            b.add_bounded(&key, delta, 3);
        }
    };
    let value = || round.store.counter(&key);

    assert_eq!(value().await.unwrap(), 0);
    for n in 1..=3 {
        round.commit(bounded(1)).await.unwrap();
        assert_eq!(value().await.unwrap(), n);
    }
    assert_eq!(conflict(round.commit(bounded(1)).await), Conflict::Bound { index: 0 });
    assert_eq!(conflict(round.commit(bounded(-4)).await), Conflict::Bound { index: 0 });
    assert_eq!(value().await.unwrap(), 3);
    round.commit(bounded(-3)).await.unwrap();
    assert_eq!(value().await.unwrap(), 0);
    assert_eq!(round.get(Keyspace::Meta, "counter").await, None, "zero keeps no row");
    let below = round
        .commit(|batch| {
            batch.put(Keyspace::Body, &round.key("body"), b"");
            batch.add(&key, -1);
        })
        .await;
    assert_eq!(conflict(below), Conflict::Bound { index: 1 });
    assert_eq!(round.get(Keyspace::Body, "body").await, None);
}

async fn the_log_is_dense_and_its_head_true(round: Round) {
    let before = round.store.frontier().await.unwrap();
    assert_eq!(before, recomputed(&*round.store).await);
    for n in 0..33_u8 {
        round
            .commit(|batch| {
                for entry in 0..n % 4 {
                    batch.append_statement(stated(&agent(round.number), entry.into()), None);
                }
            })
            .await
            .unwrap();
    }
    let after = round.store.frontier().await.unwrap();
    assert_eq!(after.size(), before.size() + 48);
    assert_eq!(after, recomputed(&*round.store).await);
    assert_eq!(round.store.tree_head().await.unwrap(), after.root());
}

/// Each agent's statements form a chain of their own, in the order of the commits, whoever commits.
async fn statements_are_chained_as_they_are_committed(round: Round) {
    const TASKS: u64 = 8;
    const COMMITS: u64 = 20;
    let before = [log::end(&*round.store, &agent(0)).await.unwrap(), {
        log::end(&*round.store, &agent(1)).await.unwrap()
    }];
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&round.store);
            tokio::spawn(async move {
                for n in 0..COMMITS {
                    let mut batch = Batch::new();
                    // Two of one chain in one batch, and one of another.
                    batch.append_statement(stated(&agent(0), n), Some(vec![task as u8]));
                    batch.append_statement(stated(&agent(1), n), None);
                    batch.append_statement(stated(&agent(0), n), None);
                    store.commit(batch).await.unwrap();
                    let mut refused = Batch::new();
                    refused.append_statement(stated(&agent(0), n), Some(vec![9]));
                    refused.add(b"never below zero", -1);
                    store.commit(refused).await.unwrap_err();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (number, each) in [(0, 2), (1, 1)] {
        let (agent, mut end) = (agent(number), before[number as usize]);
        let found = log::statements(&*round.store, &agent, end.seq + 1, usize::MAX).await.unwrap();
        assert_eq!(found.len() as u64, TASKS * COMMITS * each, "what was refused is nowhere");
        for recorded in &found {
            let id = Statement::parse(&recorded.text).unwrap().id;
            let (link, _) = stated(&agent, id[2..].parse().unwrap()).link(end.seq + 1, &end.entry);
            let hash = statement_hash(&recorded.text);
            assert_eq!((recorded.seq, &hash), (link.seq, &link.statement));
            let entry = log::entry(&*round.store, recorded.index).await.unwrap();
            assert_eq!(entry, link.entry(), "the log has the link");
            end = comity_store::ChainEnd {
                index: recorded.index,
                seq: recorded.seq,
                entry: link.entry(),
            };
        }
        assert_eq!(log::end(&*round.store, &agent).await.unwrap(), end);
    }
    let first = log::statements(&*round.store, &agent(0), before[0].seq + 1, 1).await.unwrap();
    assert!(log::kept(&*round.store, first[0].index).await.unwrap().is_some());
    let mut batch = Batch::new();
    log::forget_kept(&mut batch, first[0].index);
    round.store.commit(batch).await.unwrap();
    let after = log::statements(&*round.store, &agent(0), first[0].seq, 1).await.unwrap();
    assert_eq!(after, first, "the chain still verifies");
    assert_eq!(log::kept(&*round.store, first[0].index).await.unwrap(), None);
    assert_eq!(round.store.frontier().await.unwrap(), recomputed(&*round.store).await);
}

async fn ranges_are_read_in_pages(round: Round) {
    let prefix = round.key("page/");
    let key = |n: u8| [prefix.as_slice(), &[n]].concat();
    round
        .commit(|batch| {
            for n in (0..50).rev() {
                batch.put(Keyspace::Index, &key(n), [n]);
            }
            batch.put(Keyspace::Index, &round.key("page."), b"before");
            batch.put(Keyspace::Index, &round.key("page0"), b"after");
        })
        .await
        .unwrap();
    round
        .commit(|batch| (10..20).for_each(|n| batch.delete(Keyspace::Index, &key(n))))
        .await
        .unwrap();

    let expected: Vec<u8> = (0..10).chain(20..50).collect();
    let mut found = Vec::new();
    let mut range = KeyRange::prefix(&prefix);
    loop {
        let page = round.store.read(Keyspace::Index, range, 7).await.unwrap();
        found.extend(page.iter().map(|row| row.value[0]));
        if page.len() < 7 {
            break;
        }
        range = KeyRange::prefix_after(&prefix, &page[6].key);
    }
    assert_eq!(found, expected);

    let values = |range| async {
        round
            .all(Keyspace::Index, range)
            .await
            .into_iter()
            .map(|(_, value)| value[0])
            .collect::<Vec<_>>()
    };
    assert_eq!(values(KeyRange::between(&key(8), &key(22))).await, [8, 9, 20, 21]);
    assert_eq!(values(KeyRange::one(&key(21))).await, [21]);
    assert!(values(KeyRange::one(&key(15))).await.is_empty());
    assert!(values(KeyRange::between(&key(22), &key(8))).await.is_empty());
    assert!(values(KeyRange::prefix_after(&prefix, &key(49))).await.is_empty());
    assert!(round.store.read(Keyspace::Index, KeyRange::all(), 0).await.unwrap().is_empty());
    // The same keys of another keyspace are other keys.
    assert!(round.all(Keyspace::Body, KeyRange::prefix(&prefix)).await.is_empty());
}

async fn concurrent_commits_count_exactly(round: Round) {
    const TASKS: usize = 16;
    const COMMITS: usize = 25;
    let (key, prefix) = (round.key("count"), round.key("rows/"));
    let unique = round.key("winner");
    let before = round.store.frontier().await.unwrap().size();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&round.store);
            let (key, prefix, unique) = (key.clone(), prefix.clone(), unique.clone());
            tokio::spawn(async move {
                let mut won = 0;
                for n in 0..COMMITS {
                    let mut batch = Batch::new();
                    batch.put_stamped(Keyspace::Index, &prefix, [task as u8, n as u8]);
                    batch.append_statement(stated(&agent(0), n as u64), None);
                    batch.add(&key, 1);
                    store.commit(batch).await.unwrap();
                    let mut contended = Batch::new();
                    let name = [unique.as_slice(), &[n as u8]].concat();
                    contended.assert_absent(Keyspace::Index, &name);
                    contended.put(Keyspace::Index, &name, [task as u8]);
                    won += usize::from(store.commit(contended).await.is_ok());
                }
                won
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    assert_eq!(won, COMMITS, "each contended key has one winner");
    let rows = round.all(Keyspace::Index, KeyRange::prefix(&prefix)).await;
    assert_eq!(rows.len(), TASKS * COMMITS);
    assert_eq!(round.store.counter(&key).await.unwrap(), (TASKS * COMMITS) as i64);
    // One entry a batch: the stamps number them without a gap, in the order of the keys.
    let entries = rows.iter().map(|(_, value)| Stamp::split_value(value).unwrap().1.log);
    assert!(entries.eq(before..before + (TASKS * COMMITS) as u64));
    assert_eq!(round.store.frontier().await.unwrap(), recomputed(&*round.store).await);
}

async fn impossible_batches_are_faults_and_harm_nothing(round: Round) {
    let key = round.key("key");
    let error = round.commit(|batch| batch.put(Keyspace::Log, &[0; 8], b"forged")).await;
    assert!(matches!(error, Err(CommitError::Fault(StoreFault::Batch(_)))));
    round.commit(|batch| batch.put(Keyspace::Meta, &key, b"no number")).await.unwrap();
    let error = round
        .commit(|batch| {
            batch.add(&key, 1);
        })
        .await;
    assert!(matches!(error, Err(CommitError::Fault(StoreFault::Corrupt(_)))));
    round.commit(|batch| batch.delete(Keyspace::Meta, &key)).await.unwrap();
}

async fn repeating_a_deletion_is_harmless(round: Round) {
    let key = round.key("key");
    round.commit(|batch| batch.put(Keyspace::Body, &key, b"")).await.unwrap();
    for _ in 0..3 {
        round.commit(|batch| batch.delete(Keyspace::Body, &key)).await.unwrap();
        assert_eq!(round.get(Keyspace::Body, "key").await, None);
    }
}

/// Opens an engine; the guard keeps its directory.
trait Engine {
    type Guard;
    fn open() -> (Self::Guard, Arc<dyn Store>);
}

struct Memory;
impl Engine for Memory {
    type Guard = ();
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        ((), Arc::new(MemoryStore::new()))
    }
}

struct Fjall;
impl Engine for Fjall {
    type Guard = tempfile::TempDir;
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = FjallStore::open(directory.path()).unwrap();
        (directory, Arc::new(store))
    }
}

struct FaultyMemory;
impl Engine for FaultyMemory {
    type Guard = ();
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        ((), Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()))))
    }
}

macro_rules! conformance {
    ($($module:ident: $engine:ty => $cases:tt)*) => {
        $(mod $module { use super::*; conformance!(@cases $engine, $cases); })*
    };
    (@cases $engine:ty, { $($case:ident)* }) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_guard, store) = <$engine>::open();
                for number in 0..ROUNDS {
                    super::$case(Round { store: Arc::clone(&store), number }).await;
                }
            }
        )*
    };
}

macro_rules! every_engine {
    ($($case:ident)*) => {
        conformance! {
            fjall: Fjall => { $($case)* }
            memory: Memory => { $($case)* }
            without_faults: FaultyMemory => { $($case)* }
        }
    };
}

every_engine! {
    a_conflict_leaves_nothing
    assertions_decide
    concurrent_commits_count_exactly
    counters_keep_their_bounds
    impossible_batches_are_faults_and_harm_nothing
    ranges_are_read_in_pages
    repeating_a_deletion_is_harmless
    stamps_are_dense_and_ordered
    statements_are_chained_as_they_are_committed
    the_log_is_dense_and_its_head_true
}
