//! What only the embedded engine has: files that are opened again, a queue, and journals.

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

use comity_store::records::log;
use comity_store::{Batch, Entry, FjallStore, KeyRange, Keyspace, Seq, Store, limits};

use statements::{agent, stated};

#[tokio::test]
async fn opening_again_finds_everything() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    let mut seq = 0;
    for round in 0..3_u8 {
        let store = FjallStore::open(directory.path()).unwrap();
        assert!(round == 0 || everything(&store).await == rows);
        let checked = log::check::check(&store).await.unwrap();
        assert_eq!(checked.entries, u64::from(round) * 50);
        for n in 0..50_u8 {
            let mut batch = Batch::new();
            batch.put_stamped(Keyspace::Body, b"body/", vec![n; 100_000]);
            batch.append_statement(stated(&agent(0), n.into()), None);
            batch.add(b"count", 1);
            seq += 1;
            let stamp = store.commit(batch).await.unwrap();
            assert_eq!(stamp.seq, Seq(seq), "numbers go on where they were");
        }
        assert_eq!(store.counter(b"count").await.unwrap(), i64::from(round + 1) * 50);
        rows = everything(&store).await;
    }
}

/// Every row of every keyspace.
async fn everything(store: &FjallStore) -> Vec<Vec<Entry>> {
    let mut rows = Vec::new();
    for keyspace in Keyspace::ALL {
        rows.push(store.read(keyspace, KeyRange::all(), usize::MAX).await.unwrap());
    }
    rows
}

/// A whole node is dropped with commits under way: those that were queued are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_closing_is_there_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(FjallStore::open(directory.path()).unwrap());
    let tasks: Vec<_> = (0..200_u8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.put(Keyspace::Body, &[b'k', n], [n]);
                store.commit(batch).await
            })
        })
        .collect();
    drop(store);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = FjallStore::open(directory.path()).unwrap();
    let rows = store.read(Keyspace::Body, KeyRange::all(), usize::MAX).await.unwrap();
    assert_eq!(rows.len(), 200);
}

/// More batches, and more bytes, than may wait for the committer: the rest waits its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_delays_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(FjallStore::open(directory.path()).unwrap());
    let small = 2 * limits::QUEUE_BATCHES_MAX;
    let large = (2 * limits::QUEUE_BYTES_MAX) >> 20;
    let tasks: Vec<_> = (0..small + large)
        .map(|n| {
            let store = Arc::clone(&store);
            let bytes = if n < small { 1 } else { 1 << 20 };
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.put_stamped_key(Keyspace::Body, b"body/", vec![7; bytes]);
                batch.add(b"count", 1);
                store.commit(batch).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.counter(b"count").await.unwrap(), (small + large) as i64);
}

/// fjall removes a journal only when each keyspace has written its part of it to tables, so
/// keyspaces without traffic of their own must not keep every journal (its issues 261 and 288).
#[tokio::test]
async fn idle_keyspaces_do_not_make_journals_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = FjallStore::open(directory.path()).unwrap();
    let written = 8 * limits::FJALL_JOURNAL_BYTES;
    let mut batch = Batch::new();
    batch.put_stamped_value(Keyspace::Body, b"once", b"then idle");
    batch.append_statement(stated(&agent(0), 0), None);
    store.commit(batch).await.unwrap();
    for _ in 0..written / (4 << 20) {
        let mut batch = Batch::new();
        for key in 0..4_u8 {
            batch.put(Keyspace::Index, &[b'k', key], vec![key; 1 << 20]);
        }
        store.commit(batch).await.unwrap();
    }
    assert!(store.size_bytes() < written / 2, "{} bytes", store.size_bytes());
}
