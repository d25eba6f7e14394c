//! Messages on their way out, and what is remembered of them.

use std::ops::Range;

use comity_core::limits::{NOTICES_MAX, OUTBOX_MESSAGES_MAX, QUERY_S_FIRST, REPORTED_NOTICES_MAX};
use comity_core::outbound::{Queued, Stored};
use comity_core::record::{Outgoing, OutgoingKind, Sent, key_hash};
use comity_core::trust::{Level, Used};
use comity_didcomm::Did;

use super::due::Due;
use super::keys::{self, MessageKey};
use super::log::Ledger;
use super::{decode, decode_stamped, encode, ladder, meters};
use crate::batch::{Batch, Keyspace, Seq, Stamp};
use crate::store::{CommitError, Conflict, KeyRange, Store, StoreFault};

/// Where messages go: all that are posted to one URI share its back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub [u8; 16]);

impl Destination {
    /// Returns the destination of an outgoing message.
    #[must_use]
    pub fn of(outgoing: &Outgoing) -> Self {
        Self(key_hash(&[outgoing.uri.as_deref().unwrap_or_default().as_bytes()]))
    }
}

/// Where in its batch the operations of [`enqueue`] can conflict.
#[derive(Clone, Debug)]
pub struct Enqueued {
    first: Option<usize>,
    message: MessageKey,
    limits: Range<usize>,
}

/// Adds everything about one outgoing message to a batch. A batch takes one.
pub fn enqueue(batch: &mut Batch, queued: &Queued, ledger: Ledger<'_>) -> Enqueued {
    let (sent, outgoing) = (queued.sent(), queued.outgoing());
    let message = MessageKey::sent(&sent.sender, &sent.id);
    let (mut first, mut limits) = (None, 0..0);
    if outgoing.kind == OutgoingKind::Message {
        first = Some(batch.assert_absent(Keyspace::Index, &keys::sent(message)));
        batch.put_stamped_value(Keyspace::Index, &keys::sent(message), encode(sent));
        ladder::put_sent(batch, message, queued.rung());
        let wrote = keys::wrote_at(&sent.sender, &sent.recipient, &sent.thid, sent.level);
        batch.put(Keyspace::Index, &wrote, sent.queued_at.0.to_be_bytes());
        let check = sent.queued_at.saturating_add(QUERY_S_FIRST).min(sent.expires);
        Due::CheckSent(message).put(batch, check);
        let tasks = u64::from(Level::Task <= sent.level);
        let more = Used { messages: 1, bytes: queued.size_bytes(), tasks };
        let counted_from = batch.len();
        meters::count(batch, queued.meters(), more, sent.queued_at);
        limits = counted_from..batch.len();
    }
    if let Some(statement) = queued.statement() {
        ledger.append(batch, statement);
    }
    let destination = Destination::of(outgoing);
    batch.put_stamped_key(Keyspace::Body, b"o", queued.envelope());
    let prefix = keys::join(b'o', &[&destination.0]);
    batch.put_stamped_key(Keyspace::Index, &prefix, encode(outgoing));
    batch.put_stamped_value(Keyspace::Index, &keys::pointer(message), destination.0);
    let (counter, max) = counter(outgoing);
    batch.add_bounded(&counter, 1, max);
    Enqueued { first, message, limits }
}

/// Tells what became of a batch that [`enqueue`] was part of.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn stored(
    store: &dyn Store,
    enqueued: Enqueued,
    result: Result<Stamp, CommitError>,
) -> Result<Stored, StoreFault> {
    match result {
        Ok(_) => Ok(Stored::New),
        Err(CommitError::Conflict(Conflict::Assertion { index }))
            if Some(index) == enqueued.first =>
        {
            let gone = || StoreFault::Corrupt("a message that was sent is not known".to_owned());
            let sent = sent(store, enqueued.message).await?.ok_or_else(gone)?;
            Ok(Stored::Repeat { request_digest: sent.request_digest })
        }
        Err(CommitError::Conflict(Conflict::Bound { index })) => {
            let is_limit = enqueued.limits.contains(&index);
            Ok(if is_limit { Stored::LimitReached } else { Stored::Full })
        }
        Err(CommitError::Conflict(Conflict::Assertion { .. })) => Ok(Stored::Unavailable),
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}

/// Reads what is known of a sent message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn sent(store: &dyn Store, message: MessageKey) -> Result<Option<Sent>, StoreFault> {
    let row = store.get(Keyspace::Index, &keys::sent(message)).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(decode_stamped(&row)?.0))
}

/// Tells whether an agent wrote to somebody in a thread, and the level of what it wrote.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn wrote_in_thread(
    store: &dyn Store,
    agent: &Did,
    peer: &Did,
    thread: &str,
) -> Result<Option<Level>, StoreFault> {
    let range = KeyRange::prefix(&keys::wrote(agent, peer, thread));
    let rows = store.read(Keyspace::Index, range, Level::ALL.len() + 1).await?;
    let level = |key: &[u8]| match key.get(33) {
        Some(number) => Level::from_number(*number),
        // From before there were levels.
        None => Some(Level::Message),
    };
    Ok(rows.iter().filter_map(|row| level(&row.key)).max())
}

/// Reads the destinations that have rows; at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn destinations(store: &dyn Store, limit: usize) -> Result<Vec<Destination>, StoreFault> {
    let mut found = Vec::new();
    let mut range = KeyRange::prefix(b"o");
    while found.len() < limit {
        let rows = store.read(Keyspace::Index, range, 1).await?;
        let Some(row) = rows.first() else { break };
        let outgoing: Outgoing = decode(&row.value)?;
        let destination = Destination::of(&outgoing);
        range = KeyRange::prefix_after(b"o", &keys::join(b'o', &[&destination.0, &[0xff; 8]]));
        found.push(destination);
    }
    Ok(found)
}

/// Reads the outbox rows of one destination after a position, oldest first.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn rows(
    store: &dyn Store,
    destination: Destination,
    after: Seq,
    limit: usize,
) -> Result<Vec<(Seq, Outgoing)>, StoreFault> {
    let prefix = keys::join(b'o', &[&destination.0]);
    let cursor = keys::join(b'o', &[&destination.0, &after.to_bytes()]);
    let range = KeyRange::prefix_after(&prefix, &cursor);
    let entries = store.read(Keyspace::Index, range, limit).await?;
    entries
        .iter()
        .map(|entry| {
            let (_, seq) = Seq::split_key(&entry.key)
                .ok_or_else(|| StoreFault::Corrupt("an outbox key is too short".to_owned()))?;
            Ok((seq, decode(&entry.value)?))
        })
        .collect()
}

/// Reads one outbox row; nothing when the message has left the outbox.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn row(
    store: &dyn Store,
    destination: Destination,
    seq: Seq,
) -> Result<Option<Outgoing>, StoreFault> {
    let key = keys::join(b'o', &[&destination.0, &seq.to_bytes()]);
    let row = store.get(Keyspace::Index, &key).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads the sealed envelope of an outgoing message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn envelope(store: &dyn Store, seq: Seq) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Body, &keys::body(b'o', seq)).await
}

/// Reads where a sent message lies in the outbox; nothing when it has left it.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn position(
    store: &dyn Store,
    message: MessageKey,
) -> Result<Option<(Destination, Seq)>, StoreFault> {
    let Some(row) = store.get(Keyspace::Index, &keys::pointer(message)).await? else {
        return Ok(None);
    };
    let short = || StoreFault::Corrupt("an outbox pointer is too short".to_owned());
    let (destination, stamp) = Stamp::split_value(&row).ok_or_else(short)?;
    let destination = destination.try_into().map_err(|_| short())?;
    Ok(Some((Destination(destination), stamp.seq)))
}

/// Takes a message out of the outbox. The batch conflicts if it is not there any more.
pub fn remove(batch: &mut Batch, seq: Seq, outgoing: &Outgoing) {
    let destination = Destination::of(outgoing);
    let key = keys::join(b'o', &[&destination.0, &seq.to_bytes()]);
    batch.assert_value(Keyspace::Index, &key, &encode(outgoing));
    batch.delete(Keyspace::Index, &key);
    batch.delete(Keyspace::Body, &keys::body(b'o', seq));
    let message = MessageKey::sent(&outgoing.sender, &outgoing.id);
    batch.delete(Keyspace::Index, &keys::pointer(message));
    batch.add(&counter(outgoing).0, -1);
}

/// Messages and what the home itself says are counted apart.
fn counter(outgoing: &Outgoing) -> (Vec<u8>, i64) {
    match outgoing.kind {
        OutgoingKind::Message => (keys::count_outbox(&outgoing.sender), OUTBOX_MESSAGES_MAX),
        OutgoingKind::Notice => (keys::count_notices(&outgoing.sender), NOTICES_MAX),
    }
}

/// Whether there is room for one more report of a refusal among what the home says in an identity's name.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn has_room_for_report(store: &dyn Store, sender: &Did) -> Result<bool, StoreFault> {
    Ok(store.counter(&keys::count_notices(sender)).await? < REPORTED_NOTICES_MAX)
}

/// Reads how many messages of an identity are in the outbox, those of the home in its name
/// included.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn messages(store: &dyn Store, sender: &Did) -> Result<i64, StoreFault> {
    let messages = store.counter(&keys::count_outbox(sender)).await?;
    Ok(messages + store.counter(&keys::count_notices(sender)).await?)
}

/// Forgets a sent message, and that its sender wrote in the thread, unless it wrote there again
/// later.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    message: MessageKey,
) -> Result<(), StoreFault> {
    let Some(sent) = sent(store, message).await? else { return Ok(()) };
    let there = (&sent.sender, &sent.recipient, &sent.thid);
    // Before there were levels the key ended with the thread.
    let wrote = keys::wrote_at(there.0, there.1, there.2, sent.level);
    for wrote in [wrote, keys::wrote(there.0, there.1, there.2)] {
        let last = store.get(Keyspace::Index, &wrote).await?;
        if last.is_some_and(|last| *last <= sent.queued_at.0.to_be_bytes()[..]) {
            batch.delete(Keyspace::Index, &wrote);
        }
    }
    ladder::forget_sent(store, batch, message).await?;
    batch.delete(Keyspace::Index, &keys::sent(message));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn reports_leave_room_for_what_takes_rights_back() {
        let (store, bruno) = (MemoryStore::new(), "did:web:bruno.example".parse().unwrap());
        let add = async |count| {
            let mut batch = Batch::new();
            batch.add_bounded(&keys::count_notices(&bruno), count, NOTICES_MAX);
            store.commit(batch).await.unwrap();
            has_room_for_report(&store, &bruno).await.unwrap()
        };
        assert!(add(REPORTED_NOTICES_MAX - 1).await);
        assert!(!add(1).await);
        assert!(!add(NOTICES_MAX - REPORTED_NOTICES_MAX).await, "and there is");
    }
}
