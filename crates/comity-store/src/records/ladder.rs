//! How far messages got: the rungs of received and of sent messages.

use comity_core::receipt::{Rung, State};
use comity_didcomm::Did;

use super::keys::{self, MessageKey};
use super::{decode_stamped, encode, log, mailbox, outbox};
use crate::batch::{Batch, Keyspace, Stamp};
use crate::store::{Entry, KeyRange, Store, StoreFault};

/// A message and its rungs in the order of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Id of the message.
    pub id: String,
    /// Its thread.
    pub thid: String,
    /// Its sender.
    pub sender: Did,
    /// Its recipient.
    pub recipient: Did,
    /// SHA-256 of its plaintext, base64url.
    pub digest: String,
    /// The mediator that keeps it for the recipient, if one does.
    pub via: Option<Did>,
    /// The rungs.
    pub rungs: Vec<Rung>,
}

/// Adds a rung of a received message, beyond its first, which `mailbox::keep` stores.
pub(super) fn put_received(batch: &mut Batch, message: MessageKey, rung: &Rung) {
    batch.put_stamped_value(Keyspace::Index, &keys::rung_in(message, rung.state), encode(rung));
}

/// Adds a rung of a sent message, and, if a peer signed it, the signed text as evidence.
pub fn put_sent(batch: &mut Batch, message: MessageKey, rung: &Rung) {
    batch.put_stamped_value(Keyspace::Index, &keys::rung_out(message, rung.state), encode(rung));
}

/// Keeps the signed text that the rungs of this batch come from. The rungs' stamps name it.
pub fn put_evidence(batch: &mut Batch, jws: &str) {
    batch.put_stamped_key(Keyspace::Body, b"v", jws.as_bytes());
}

/// Says under which name the log keeps the signed text that the rungs of this batch come from.
pub fn put_evidence_shared(batch: &mut Batch, name: &[u8]) {
    batch.put_stamped_key(Keyspace::Body, b"v", log::shared_key(name));
}

/// A signed receipt message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its text.
    Text(String),
    /// As the log keeps it: sealed.
    Sealed(Vec<u8>),
}

/// Reads the signed receipt message that a sent message's rung came from.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn evidence(
    store: &dyn Store,
    message: MessageKey,
    state: State,
) -> Result<Option<Evidence>, StoreFault> {
    let row = store.get(Keyspace::Index, &keys::rung_out(message, state)).await?;
    let Some(row) = row else { return Ok(None) };
    let (_, stamp): (Rung, Stamp) = decode_stamped(&row)?;
    let row = store.get(Keyspace::Body, &keys::body(b'v', stamp.seq)).await?;
    match row {
        // No JSON begins like the key of what the log keeps.
        Some(key) if log::is_shared_key(&key) => {
            Ok(store.get(Keyspace::Body, &key).await?.map(Evidence::Sealed))
        }
        text => Ok(text.and_then(|text| String::from_utf8(text).ok()).map(Evidence::Text)),
    }
}

/// Reads the ladder of a received message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn received(
    store: &dyn Store,
    message: MessageKey,
) -> Result<Option<Ladder>, StoreFault> {
    let Some((known, _)) = mailbox::known(store, message).await? else { return Ok(None) };
    let mut rungs = vec![known.rung];
    rungs.extend(rungs_at(store, &keys::join(b'h', &[&message.0])).await?);
    let received = known.received;
    Ok(Some(Ladder {
        id: received.id,
        thid: received.thid,
        sender: received.sender,
        recipient: received.recipient,
        digest: received.digest,
        via: None,
        rungs,
    }))
}

/// Reads the ladder of a sent message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn sent(store: &dyn Store, message: MessageKey) -> Result<Option<Ladder>, StoreFault> {
    let Some(sent) = outbox::sent(store, message).await? else { return Ok(None) };
    let rungs = sent_rungs(store, message).await?;
    Ok(Some(Ladder {
        id: sent.id,
        thid: sent.thid,
        sender: sent.sender,
        recipient: sent.recipient,
        digest: sent.digest,
        via: sent.via,
        rungs,
    }))
}

/// Reads the rungs of a sent message in the order of the ladder.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn sent_rungs(store: &dyn Store, message: MessageKey) -> Result<Vec<Rung>, StoreFault> {
    rungs_at(store, &keys::join(b't', &[&message.0])).await
}

/// Tells whether a sent message has reached a state.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn has_reached(
    store: &dyn Store,
    message: MessageKey,
    state: State,
) -> Result<bool, StoreFault> {
    Ok(store.get(Keyspace::Index, &keys::rung_out(message, state)).await?.is_some())
}

async fn rungs_at(store: &dyn Store, prefix: &[u8]) -> Result<Vec<Rung>, StoreFault> {
    let rows = store.read(Keyspace::Index, KeyRange::prefix(prefix), State::ALL.len()).await?;
    rows.iter().map(|row: &Entry| Ok(decode_stamped(&row.value)?.0)).collect()
}

/// Forgets the rungs of a sent message, and the evidence that only they name. A receipt message
/// speaks of many messages; its text, or where the log keeps it, goes with the first of them that is
/// forgotten, which is at least as old as the promise to keep it.
pub(super) async fn forget_sent(
    store: &dyn Store,
    batch: &mut Batch,
    message: MessageKey,
) -> Result<(), StoreFault> {
    for state in State::ALL {
        let key = keys::rung_out(message, state);
        let Some(row) = store.get(Keyspace::Index, &key).await? else { continue };
        let (rung, stamp): (Rung, Stamp) = decode_stamped(&row)?;
        batch.delete(Keyspace::Index, &key);
        if rung.state != State::Queued {
            batch.delete(Keyspace::Body, &keys::body(b'v', stamp.seq));
        }
    }
    Ok(())
}
