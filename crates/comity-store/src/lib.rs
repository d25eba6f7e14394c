//! The one storage trait of Comity, and its engines.
//!
//! Everything that a node promises rests here: an acknowledgement leaves only after
//! [`Store::commit`] answered, and that answers only after the data is durable. A store is four
//! keyspaces of ordered keys. It is changed by a [`Batch`]: assertions, puts, deletes, counters
//! and statements for the log, all or nothing. It is read by key ranges. What a batch means is written once,
//! in `evaluate.rs`, and every engine uses that; an engine only keeps rows.
//!
//! # Goals
//!
//! - Durable before answered, with group commit making that cheap.
//! - De-duplication, mailbox row, log leaf and quota counter in one atomic batch.
//! - An engine is one file, and one conformance suite judges them all, under faults too.
//!
//! # Non-goals
//!
//! - Transactions with reads in the middle; assertions on what was read before replace them.
//! - Delivery, leases or expiry: those are rules over keys, and live above.
//!
//! # The minimum program
//!
//! ```
//! use std::sync::Arc;
//! use comity_store::{Batch, CommitError, Conflict, KeyRange, Keyspace, MemoryStore, Store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
//!
//! let mut batch = Batch::new();
//! batch.assert_absent(Keyspace::Index, b"seen/42");
//! batch.put(Keyspace::Index, b"seen/42", b"");
//! batch.put_stamped_key(Keyspace::Body, b"body/", b"sealed envelope");
//! store.commit(batch.clone()).await?;
//!
//! let again = store.commit(batch).await;
//! assert!(matches!(again, Err(CommitError::Conflict(Conflict::Assertion { index: 0 }))));
//! let bodies = store.read(Keyspace::Body, KeyRange::prefix(b"body/"), 10).await?;
//! assert_eq!(bodies.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! There are no features.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod batch;
mod chain;
mod engine;
mod evaluate;
pub mod limits;
pub mod records;
mod store;
mod wake;

pub use batch::{Batch, BatchError, Keyspace, Seq, Stamp};
pub use chain::{ChainEnd, ChainKey};
pub use engine::faulty::{FaultyStore, Moment};
pub use engine::fjall::{FjallStore, OpenError};
pub use engine::memory::MemoryStore;
pub use store::{BoxFuture, CommitError, Conflict, Entry, KeyRange, Store, StoreFault};
pub use wake::{ListenError, Listener, LocalWake, MailboxKey, Wake};
