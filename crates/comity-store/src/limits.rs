//! Every bound of the store, with its reason.
//!
//! What it is: constants. What it is not: configuration; a bound that an operator should choose
//! is an argument of what it bounds.

use std::time::Duration;

/// Shortest key in bytes; one-byte keys are the engines' own.
pub const KEY_BYTES_MIN: usize = 2;

/// Longest key in bytes. Far above any key of ours, and within what every engine can hold.
pub const KEY_BYTES_MAX: usize = 1024;

/// Longest value in bytes, several times the largest envelope that a node accepts.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Most operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 4096;

/// Most bytes of keys and values in one batch.
pub const BATCH_BYTES_MAX: usize = 32 << 20;

/// Most batches that one write, and one disk sync, of an engine carries.
pub const GROUP_BATCHES_MAX: usize = 1024;

/// Bytes of keys and values after which a group takes no further batch.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// Most batches that wait for the committer; further commits wait to be queued.
pub const QUEUE_BATCHES_MAX: usize = 1024;

/// Most bytes of keys and values that wait for the committer; further commits wait to be queued.
pub const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Most mailboxes listened to at once in one process.
pub const LISTENED_MAILBOXES_MAX: usize = 1 << 17;

/// Bytes of journal that fjall keeps, the least that it allows: opening replays the journal, and
/// this much is replayed in a quarter of a second.
pub const FJALL_JOURNAL_BYTES: u64 = 64 << 20;

/// Bytes of blocks that fjall caches. Fresh messages are in the memtables, so the cache serves
/// index rows and late readers only; a node at rest should stay under 50 MB.
pub const FJALL_CACHE_BYTES: u64 = 8 << 20;

/// Bytes of bodies that fjall gathers in memory before it writes a table. A few such memtables
/// can wait to be written, so four times as much raises the speed little and the memory much.
pub const FJALL_BODY_MEMTABLE_BYTES: u64 = 8 << 20;

/// Bytes of index, log or meta rows that fjall gathers in memory before it writes a table.
pub const FJALL_MEMTABLE_BYTES: u64 = 2 << 20;

/// Threads that write and merge fjall's tables. With more, one of them spins for as long as another merges (fjall 3.1.13, a `Compact`
/// message goes round until it finds a taker): 6 % of the CPU under load, measured.
pub const FJALL_WORKERS: usize = 1;

/// Table files that fjall keeps open.
pub const FJALL_OPEN_FILES_MAX: usize = 128;

/// Free bytes that a disk keeps: a store refuses to commit below this. Running into a really full
/// disk would stop the engine until it is opened again, and this leaves room for a journal and
/// the tables being written.
pub const DISK_RESERVE_BYTES: u64 = 128 << 20;

/// How long after a commit the next one gathers batches. Without it, a disk that syncs in 0.2 ms commits a busy node's batches nearly
/// one by one, each with a sync of several blocks.
pub const GROUP_GATHER: Duration = Duration::from_millis(2);

/// Recipients of a grant that one batch takes away.
pub const GRANT_RECIPIENTS_ENDED: usize = 64;

/// Rows of events that one batch forgets.
pub const EVENTS_FORGOTTEN_AT_ONCE: usize = 256;

/// Rows of a relay's queue that are read to count it.
pub const FIGURES_ROWS_MAX: usize = 128;

/// Roots of tiles of the log that are written at once.
pub const TILES_PER_BATCH: u64 = 64;
