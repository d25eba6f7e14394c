//! The faulty store does to its callers what it is told to.
//!
//! These tests also show how a caller gets by: a commit that failed never half happened, and one
//! whose answer was lost is found by trying again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::Arc;

use comity_store::{
    Batch, CommitError, Conflict, FaultyStore, Keyspace, MemoryStore, Moment, Seq, Stamp, Store,
    StoreFault,
};

const ROUNDS: u8 = 3;

#[tokio::test]
async fn a_commit_that_fails_before_is_never_visible() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    let mut batch = Batch::new();
    batch.assert_absent(Keyspace::Index, b"key");
    batch.put(Keyspace::Index, b"key", b"value");
    for _ in 0..ROUNDS {
        store.fail_next(StoreFault::Full, Moment::BeforeCommit);
        let error = store.commit(batch.clone()).await.unwrap_err();
        assert!(matches!(error, CommitError::Fault(StoreFault::Full)));
        assert_eq!(store.get(Keyspace::Index, b"key").await.unwrap(), None);
    }
    assert_eq!(store.commit(batch).await.unwrap().seq, Seq(1));
}

#[tokio::test]
async fn a_lost_answer_is_found_by_trying_again_or_reading() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    for n in 0..ROUNDS {
        let key = [b'k', n];
        let mut batch = Batch::new();
        batch.assert_absent(Keyspace::Index, &key);
        batch.put_stamped_value(Keyspace::Index, &key, b"first answer");
        let io = std::io::Error::from(std::io::ErrorKind::Interrupted);
        store.fail_next(io.into(), Moment::AfterCommit);
        let error = store.commit(batch.clone()).await.unwrap_err();
        assert!(matches!(error, CommitError::Fault(StoreFault::Io(_))));
        let again = store.commit(batch).await.unwrap_err();
        assert!(matches!(again, CommitError::Conflict(Conflict::Assertion { index: 0 })));
        let row = store.get(Keyspace::Index, &key).await.unwrap().unwrap();
        let (value, stamp) = Stamp::split_value(&row).unwrap();
        assert_eq!((value, stamp.seq), (b"first answer".as_slice(), Seq(u64::from(n) + 1)));
    }
}

#[tokio::test]
async fn the_planned_commit_fails_and_no_other() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.fail(3, StoreFault::Full, Moment::BeforeCommit);
    let mut failed = Vec::new();
    for n in 1..=5_u64 {
        if store.commit(Batch::new()).await.is_err() {
            failed.push(n);
        }
    }
    assert_eq!((failed, store.commits()), (vec![3], 5));
}

#[tokio::test]
async fn a_paused_store_answers_after_it_is_resumed() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    store.pause();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut batch = Batch::new();
            batch.put(Keyspace::Body, b"key", b"");
            store.commit(batch).await
        }
    });
    while store.commits() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.get(Keyspace::Body, b"key").await.unwrap(), None);
    assert!(!waiting.is_finished());
    store.resume();
    assert_eq!(waiting.await.unwrap().unwrap().seq, Seq(1));
}
