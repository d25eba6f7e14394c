//! Messages that the relay holds, a queue for each recipient.
//!
//! [`hold`] is the only way in, and takes a [`Held`], which only the relay's door makes. The ways
//! out are [`take_out`] by the recipient's word or by expiry; each frees the quota once.
//!
//! Messages that are not friends' are counted in pools besides, in the same batch.

use std::fmt;
use std::str::FromStr;

use comity_core::admission::Class;
use comity_core::inbound::Written;
use comity_core::limits::{FORWARD_HISTORY_S, FORWARDS_REMEMBERED_MAX, REGISTRANT_SHARE};
use comity_core::record::key_hash;
use comity_core::refusal::Refusal;
use comity_core::relay::{Figures, Held, HeldRow, Pool, pool_full};
use comity_didcomm::{Did, UnixTime};
use thiserror::Error;

use super::super::keys::{body, did_hash, join};
use super::super::{decode, encode, spent};
use super::Relayed;
use crate::batch::{Batch, Keyspace, Seq, Stamp};
use crate::limits::FIGURES_ROWS_MAX;
use crate::records::due::Due;
use crate::store::{CommitError, Conflict, KeyRange, Store, StoreFault};
use crate::wake::MailboxKey;

/// Names a held message: its queue and its place there. As text it is the id of the attachment that
/// delivers it, opaque to the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldId {
    /// The queue.
    pub queue: MailboxKey,
    /// Its place.
    pub seq: Seq,
}

/// Says that a text names no held message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the text is not the id of a held message")]
pub struct HeldIdError;

impl fmt::Display for HeldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}{:016x}", u128::from_be_bytes(self.queue.0), self.seq.0)
    }
}

impl FromStr for HeldId {
    type Err = HeldIdError;

    fn from_str(text: &str) -> Result<Self, HeldIdError> {
        if text.len() != 48 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(HeldIdError);
        }
        let (queue, seq) = text.split_at(32);
        let queue = u128::from_str_radix(queue, 16).map_err(|_| HeldIdError)?;
        let seq = u64::from_str_radix(seq, 16).map_err(|_| HeldIdError)?;
        Ok(Self { queue: MailboxKey(queue.to_be_bytes()), seq: Seq(seq) })
    }
}

/// Where in its batch the operations of [`hold`] can conflict.
#[derive(Clone, Copy, Debug)]
pub struct Holding {
    first: usize,
    /// That the work which it was paid with was not spent before.
    spent: Option<usize>,
    remembered: Option<usize>,
    /// The bounds of the pools.
    pools: Option<(usize, usize)>,
}

/// Whether a forward is remembered, so that a repeat of it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It is not: as many are remembered as may be. A repeat is held twice, which its recipient
    /// notices, and nobody is turned away for what others sent.
    Full,
    /// It is.
    Kept,
}

impl Holding {
    /// Whether a batch conflicted for want of memory of forwards alone.
    #[must_use]
    pub fn wants_memory(self, result: &Result<Stamp, CommitError>) -> bool {
        let Err(CommitError::Conflict(Conflict::Bound { index })) = result else { return false };
        self.remembered == Some(*index)
    }

    /// Whether it is a pool that has no room.
    fn is_pool(self, index: usize) -> bool {
        self.pools.is_some_and(|(first, end)| (first..end).contains(&index))
    }
}

/// Returns the key of a recipient's queue.
#[must_use]
pub fn queue_key(recipient: &Did) -> MailboxKey {
    MailboxKey(did_hash(recipient))
}

/// Adds everything about one held message to a batch.
pub fn hold(batch: &mut Batch, held: &Held, memory: Memory) -> Holding {
    let (row, quotas) = (held.row(), held.quotas());
    let queue = queue_key(&row.recipient);
    let forward = key_hash(&[&queue.0, held.digest().as_bytes()]);
    let first = batch.assert_absent(Keyspace::Index, &seen_key(&forward));
    let spent = held.spent().map(|spent| spent::spend(batch, spent));
    let remembered = (memory == Memory::Kept).then(|| {
        batch.put(Keyspace::Index, &seen_key(&forward), held.digest());
        let forget = row.received_at.saturating_add(FORWARD_HISTORY_S).min(row.expires);
        Due::ForgetRelayed(Relayed::Forward(forward)).put(batch, forget);
        batch.add_bounded(&seen_counter(), 1, FORWARDS_REMEMBERED_MAX)
    });

    batch.put_stamped_key(Keyspace::Body, b"R", held.envelope());
    batch.put_stamped_key(Keyspace::Index, &queue_prefix(queue), encode(row));
    batch.put(Keyspace::Meta, &newest_key(queue), row.received_at.0.to_be_bytes());
    Due::put_held_expiry(batch, row.expires, queue);

    let pools = held.pool().map(|pool| count_in_pools(batch, row, pool));
    let (messages, bytes) = (i64::from(quotas.messages_max), signed(quotas.bytes_max));
    let share = i64::from(REGISTRANT_SHARE);
    let [one, all, total] = counters(row);
    batch.add_bounded(&one.messages, 1, messages);
    batch.add_bounded(&one.bytes, signed(row.size_bytes), bytes);
    batch.add_bounded(&all.messages, 1, messages.saturating_mul(share));
    batch.add_bounded(&all.bytes, signed(row.size_bytes), bytes.saturating_mul(share));
    batch.add(&total.messages, 1);
    batch.add_bounded(&total.bytes, signed(row.size_bytes), signed(quotas.total_bytes_max));
    Holding { first, spent, remembered, pools }
}

/// Counts a message that is not a friend's in its pools; returns where in the batch they stand.
fn count_in_pools(batch: &mut Batch, row: &HeldRow, pool: Pool) -> (usize, usize) {
    let bytes = signed(row.size_bytes);
    let [one, all, total] = pools(row);
    let first = batch.add_bounded(&one.messages, 1, signed(pool.messages_max));
    batch.add_bounded(&one.bytes, bytes, signed(pool.bytes_max));
    batch.add_bounded(&all.messages, 1, signed(pool.registrant_messages_max));
    batch.add_bounded(&all.bytes, bytes, signed(pool.registrant_bytes_max));
    batch.add(&total.messages, 1);
    let last = batch.add_bounded(&total.bytes, bytes, signed(pool.total_bytes_max));
    (first, last + 1)
}

/// Tells what became of a batch that [`hold`] was part of.
///
/// # Errors
///
/// Fails if the store failed.
pub fn holding(
    held: &Held,
    holding: Holding,
    result: Result<Stamp, CommitError>,
) -> Result<Written, StoreFault> {
    match result {
        Ok(stamp) => Ok(Written::New { seq: stamp.seq.0 }),
        Err(CommitError::Conflict(Conflict::Assertion { index })) if index == holding.first => {
            // The digest is part of the key: the same row means the same bytes.
            Ok(Written::Repeat { digest: held.digest().to_owned() })
        }
        Err(CommitError::Conflict(Conflict::Assertion { index }))
            if Some(index) == holding.spent =>
        {
            Ok(Written::Spent)
        }
        Err(CommitError::Conflict(Conflict::Assertion { .. })) => {
            Ok(Written::Temporary(Refusal::Busy))
        }
        Err(CommitError::Conflict(Conflict::Bound { index })) if holding.is_pool(index) => {
            Ok(Written::Temporary(pool_full(held.row().class)))
        }
        Err(CommitError::Conflict(Conflict::Bound { .. })) => {
            Ok(Written::Temporary(Refusal::QueueFull))
        }
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}

/// Reads the rows of a queue after a place, oldest first.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn oldest_first(
    store: &dyn Store,
    queue: MailboxKey,
    after: Seq,
    limit: usize,
) -> Result<Vec<(HeldId, HeldRow)>, StoreFault> {
    let range =
        KeyRange::prefix_after(&queue_prefix(queue), &row_key(HeldId { queue, seq: after }));
    let entries = store.read(Keyspace::Index, range, limit).await?;
    entries
        .iter()
        .map(|entry| {
            let (_, seq) = Seq::split_key(&entry.key)
                .ok_or_else(|| StoreFault::Corrupt("a queue key is too short".to_owned()))?;
            Ok((HeldId { queue, seq }, decode(&entry.value)?))
        })
        .collect()
}

/// Reads the row of a held message; nothing if it has left the queue.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn row(store: &dyn Store, id: HeldId) -> Result<Option<HeldRow>, StoreFault> {
    let row = store.get(Keyspace::Index, &row_key(id)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads a held message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn envelope(store: &dyn Store, id: HeldId) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Body, &body(b'R', id.seq)).await
}

/// Takes a message out of its queue. The batch conflicts if it is not there any more.
pub fn take_out(batch: &mut Batch, id: HeldId, row: &HeldRow) {
    batch.assert_value(Keyspace::Index, &row_key(id), &encode(row));
    batch.delete(Keyspace::Index, &row_key(id));
    batch.delete(Keyspace::Body, &body(b'R', id.seq));
    Due::ExpireHeld(id).cancel(batch, row.expires);
    let pools = is_pooled(row).then(|| pools(row)).into_iter().flatten();
    for counter in counters(row).into_iter().chain(pools) {
        batch.add(&counter.messages, -1);
        batch.add(&counter.bytes, -signed(row.size_bytes));
    }
}

/// Counts what waits for a recipient.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn figures(store: &dyn Store, recipient: &Did) -> Result<Figures, StoreFault> {
    let queue = queue_key(recipient);
    let counter = queue_counter(queue);
    let messages = count(store.counter(&counter.messages).await?);
    if messages == 0 {
        return Ok(Figures::default());
    }
    let rows = oldest_first(store, queue, Seq(0), FIGURES_ROWS_MAX).await?;
    // In a longer queue, the newest may have left it since; the time that is told is then later
    // than the truth.
    let newest = match rows.len() < FIGURES_ROWS_MAX {
        true => rows.last().map(|(_, row)| row.received_at),
        false => {
            let newest = store.get(Keyspace::Meta, &newest_key(queue)).await?;
            let newest = newest.and_then(|newest| newest.try_into().ok());
            newest.map(|bytes| UnixTime(u64::from_be_bytes(bytes)))
        }
    };
    let oldest = rows.first().map(|(_, row)| row.received_at);
    let bytes = count(store.counter(&counter.bytes).await?);
    Ok(Figures { messages, bytes, oldest, newest })
}

/// Counts all that the relay holds.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn totals(store: &dyn Store) -> Result<Figures, StoreFault> {
    counted(store, &total_counter()).await
}

/// Counts what waits under a registrant.
pub(super) async fn waiting_under(
    store: &dyn Store,
    registrant: &[u8; 16],
) -> Result<Figures, StoreFault> {
    counted(store, &counter(b'o', registrant)).await
}

pub(super) async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    forward: [u8; 16],
) -> Result<(), StoreFault> {
    if let Some(row) = store.get(Keyspace::Index, &seen_key(&forward)).await? {
        batch.assert_value(Keyspace::Index, &seen_key(&forward), &row);
        batch.delete(Keyspace::Index, &seen_key(&forward));
        batch.add(&seen_counter(), -1);
    }
    Ok(())
}

async fn counted(store: &dyn Store, counter: &Counter) -> Result<Figures, StoreFault> {
    let messages = count(store.counter(&counter.messages).await?);
    let bytes = count(store.counter(&counter.bytes).await?);
    Ok(Figures { messages, bytes, oldest: None, newest: None })
}

/// A pair of counters.
struct Counter {
    messages: Vec<u8>,
    bytes: Vec<u8>,
}

/// The counters that a message is in: of its queue, of its registrant, of the relay.
fn counters(row: &HeldRow) -> [Counter; 3] {
    let registrant = did_hash(&row.registrant);
    [queue_counter(queue_key(&row.recipient)), counter(b'o', &registrant), total_counter()]
}

/// Whether a message is counted in pools.
const fn is_pooled(row: &HeldRow) -> bool {
    matches!(row.class, Some(Class::Paid | Class::Stranger))
}

/// The pools that a message is in: of its class and queue, and of both classes together of its
/// registrant and of the relay.
fn pools(row: &HeldRow) -> [Counter; 3] {
    let whose = if row.class == Some(Class::Paid) { b'P' } else { b'Q' };
    let queue = queue_key(&row.recipient);
    [counter(whose, &queue.0), counter(b'O', &did_hash(&row.registrant)), counter(b'T', &[])]
}

fn queue_counter(queue: MailboxKey) -> Counter {
    counter(b'q', &queue.0)
}

fn total_counter() -> Counter {
    counter(b't', &[])
}

fn counter(whose: u8, hash: &[u8]) -> Counter {
    let key = |what: &[u8]| join(b'c', &[b"R", &[whose], what, hash]);
    Counter { messages: key(b"m"), bytes: key(b"b") }
}

fn seen_counter() -> Vec<u8> {
    join(b'c', &[b"Rs"])
}

fn seen_key(forward: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"s", forward])
}

fn queue_prefix(queue: MailboxKey) -> Vec<u8> {
    join(b'R', &[b"h", &queue.0])
}

fn row_key(id: HeldId) -> Vec<u8> {
    join(b'R', &[b"h", &id.queue.0, &id.seq.to_bytes()])
}

fn newest_key(queue: MailboxKey) -> Vec<u8> {
    join(b'R', &[b"n", &queue.0])
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
