//! The log and what belongs to it: the statements of each identity, what they are about, the heads
//! that identities signed, and, in files of their own, tiles, checkpoints and the logs of others.
//!
//! Statements are written by [`Batch::append_statement`], with what they record.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | body | `x` time random | what statements of several chains are about, sealed |
//! | log | `h` chain number | head of a chain that its agent signed |
//! | log | `k` size | checkpoint, a signed note |
//! | log | `latest` | size of the latest checkpoint |
//! | log | `n` node | key of the log that another node signed last |
//! | log | `o` key | what is known of another log: its keys, what was cosigned, see `peers.rs` |
//! | log | `O` origin key | the key, to find the logs of a name |
//! | log | `r` level index | root of a full tile, see `tiles.rs` |
//! | log | `w` witness | size up to which it cosigned our log |
//! | meta | `log` | the log's own keys, sealed |
//! | meta | `p` identity | the rules of an identity that the log said last |

pub mod check;
pub mod checkpoints;
pub mod peers;
pub mod tiles;

use comity_core::log::{Statement, TagSecret};
use comity_didcomm::Did;

use super::keys;
use crate::batch::{Batch, Keyspace};
use crate::chain::{self, ChainEnd, ChainKey};
use crate::store::{Entry, KeyRange, Store, StoreFault};

/// How a statement is recorded.
#[derive(Debug)]
pub struct Ledger<'s> {
    tags: Option<&'s TagSecret>,
    kept: Option<Vec<u8>>,
}

impl<'s> Ledger<'s> {
    /// Records nothing: for a node without a log.
    pub const NONE: Self = Self { tags: None, kept: None };

    /// Records in chains whose tags come from this secret.
    #[must_use]
    pub const fn new(tags: &'s TagSecret) -> Self {
        Self { tags: Some(tags), kept: None }
    }

    /// Keeps what the statement is about, sealed.
    #[must_use]
    pub fn keeping(self, kept: Option<Vec<u8>>) -> Self {
        Self { kept, ..self }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.tags.is_some()
    }

    /// Adds a statement to a batch.
    pub fn append(self, batch: &mut Batch, statement: &Statement) {
        if let Some(tags) = self.tags {
            batch.append_statement(statement.stated(tags), self.kept);
        }
    }
}

/// A statement as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number in its chain.
    pub seq: u64,
    /// Its index in the log.
    pub index: u64,
    /// Tag of its peer.
    pub peer: String,
    /// Tag of its thread.
    pub thread: String,
    /// Its text.
    pub text: String,
}

/// Reads the end of an identity's chain.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn end(store: &dyn Store, agent: &Did) -> Result<ChainEnd, StoreFault> {
    let row = store.get(Keyspace::Log, &chain::end_key(ChainKey::of(agent))).await?;
    let Some(row) = row else { return Ok(ChainEnd::EMPTY) };
    ChainEnd::decode(&row).ok_or_else(|| damaged("the end of a chain"))
}

/// Reads the statements of an identity from a number on.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn statements(
    store: &dyn Store,
    agent: &Did,
    from: u64,
    limit: usize,
) -> Result<Vec<Recorded>, StoreFault> {
    let chain = ChainKey::of(agent);
    let prefix = chain::statements_prefix(chain);
    let range =
        KeyRange::prefix_after(&prefix, &chain::statement_key(chain, from.saturating_sub(1)));
    let rows = store.read(Keyspace::Log, range, limit).await?;
    rows.iter().map(recorded).collect()
}

fn recorded(row: &Entry) -> Result<Recorded, StoreFault> {
    let seq = row.key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq));
    let (seq, (index, [peer, thread], text)) =
        seq.zip(chain::read_statement_row(&row.value)).ok_or_else(|| damaged("a statement"))?;
    let (peer, thread, text) = (peer.to_owned(), thread.to_owned(), text.to_owned());
    Ok(Recorded { seq, index, peer, thread, text })
}

/// Reads the entry of the log with an index.
///
/// # Errors
///
/// Fails if the store cannot be read, or the log is shorter.
pub async fn entry(store: &dyn Store, index: u64) -> Result<[u8; 32], StoreFault> {
    let entries = tiles::entries(store, index, 1).await?;
    entries.first().copied().ok_or_else(|| damaged("an entry of the log is missing"))
}

/// Reads what a statement is about, sealed; nothing if it is not kept, or not any more.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn kept(store: &dyn Store, index: u64) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Body, &chain::kept_key(index)).await
}

/// Erases what a statement is about, and with it the salt of its digest.
pub fn forget_kept(batch: &mut Batch, index: u64) {
    batch.delete(Keyspace::Body, &chain::kept_key(index));
}

/// Keeps, sealed, what statements of several chains are about. The name begins with the time, 8 bytes.
pub fn keep_shared(batch: &mut Batch, name: &[u8], sealed: Vec<u8>) {
    batch.put(Keyspace::Body, &shared_key(name), sealed);
}

/// Reads what is kept under a name.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn shared(store: &dyn Store, name: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Body, &shared_key(name)).await
}

/// Forgets some of what was kept under names that come before one; says whether there was any.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget_shared_before(
    store: &dyn Store,
    batch: &mut Batch,
    (end, limit): (&[u8], usize),
) -> Result<bool, StoreFault> {
    let range = KeyRange::between(&shared_key(b""), &shared_key(end));
    let rows = store.read(Keyspace::Body, range, limit).await?;
    rows.iter().for_each(|row| batch.delete(Keyspace::Body, &row.key));
    Ok(!rows.is_empty())
}

pub(super) fn shared_key(name: &[u8]) -> Vec<u8> {
    [SHARED, name].concat()
}

pub(super) fn is_shared_key(key: &[u8]) -> bool {
    key.starts_with(SHARED)
}

const SHARED: &[u8] = b"x";

/// Reads the indexes from one on whose object is kept, oldest first.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn kept_from(
    store: &dyn Store,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreFault> {
    let range = KeyRange::between(&chain::kept_key(from), b"f");
    let rows = store.read(Keyspace::Body, range, limit).await?;
    let index = |row: Entry| {
        let index = row.key.last_chunk::<8>().map(|index| u64::from_be_bytes(*index));
        index.map(|index| (index, row.value))
    };
    Ok(rows.into_iter().filter_map(index).collect())
}

/// Keeps a head of a chain that its agent signed.
pub fn put_head(batch: &mut Batch, agent: &Did, seq: u64, jws: &str) {
    batch.put(Keyspace::Log, &head_key(agent, seq), jws.as_bytes());
}

/// Forgets a head that a later one says as well.
pub fn forget_head(batch: &mut Batch, agent: &Did, seq: u64) {
    batch.delete(Keyspace::Log, &head_key(agent, seq));
}

/// Reads the first signed head of a chain that covers a statement; nothing if there is none yet.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn head_from(
    store: &dyn Store,
    agent: &Did,
    seq: u64,
) -> Result<Option<(u64, String)>, StoreFault> {
    let prefix = [&b"h"[..], &ChainKey::of(agent).0].concat();
    let range = KeyRange::prefix_after(&prefix, &head_key(agent, seq.saturating_sub(1)));
    let rows = store.read(Keyspace::Log, range, 1).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let seq = row.key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq));
    seq.zip(String::from_utf8(row.value).ok()).map(Some).ok_or_else(|| damaged("a signed head"))
}

/// Keeps the rules of an identity that the log says in the same batch.
pub fn put_policy(batch: &mut Batch, agent: &Did, text: &str) {
    batch.put(Keyspace::Meta, &keys::join(b'p', &[&keys::did_hash(agent)]), text.as_bytes());
}

/// Reads the rules of an identity that the log said last.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn policy(store: &dyn Store, agent: &Did) -> Result<Option<String>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'p', &[&keys::did_hash(agent)])).await?;
    Ok(row.and_then(|row| String::from_utf8(row).ok()))
}

/// Reads the log's own keys, sealed.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn keys(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Meta, b"log").await
}

/// Keeps the log's own keys, sealed.
pub fn put_keys(batch: &mut Batch, sealed: Vec<u8>) {
    batch.put(Keyspace::Meta, b"log", sealed);
}

fn head_key(agent: &Did, seq: u64) -> Vec<u8> {
    [&b"h"[..], &ChainKey::of(agent).0, &seq.to_be_bytes()].concat()
}

pub(super) fn damaged(what: &str) -> StoreFault {
    StoreFault::Corrupt(what.to_owned())
}
