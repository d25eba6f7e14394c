//! Messages that wait for an agent, and a stranger's request that waits for the operator.
//!
//! [`keep`] is the only way in, and takes a [`Commit`]: nothing reaches a mailbox around the
//! policy.

use comity_core::inbound::{Commit, Placement, Written};
use comity_core::limits::{
    HISTORY_S, REFUSED_HISTORY_S, REFUSED_MAX, REQUESTS_BYTES_MAX, REQUESTS_OF_NODE_MAX,
    REQUESTS_PENDING_MAX,
};
use comity_core::receipt::{Rung, State};
use comity_core::record::Received;
use comity_core::refusal::Refusal;
use comity_core::trust::{
    Admission, Approval, Direction, Pool, Request, RequestState, Used, Whom, requests_max,
};
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::keys::{self, MessageKey};
use super::log::Ledger;
use super::notices::Debts;
use super::{
    contacts, decode, decode_stamped, documents, encode, ladder, meters, relations, spent,
};
use crate::batch::{Batch, Keyspace, Seq, Stamp};
use crate::store::{CommitError, Conflict, KeyRange, Store, StoreFault};
use crate::wake::MailboxKey;

/// What is known of a received message for as long as repeats of it may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The message.
    pub received: Received,
    /// The first answer about it.
    pub rung: Rung,
    /// Whether the log says anything of it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub is_in_log: bool,
}

const fn yes() -> bool {
    true
}

fn is_yes(is_in_log: &bool) -> bool {
    *is_in_log
}

/// Where in its batch the operations of [`keep`] can conflict.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    first: Option<usize>,
    spent: Option<usize>,
    message: MessageKey,
    full: Refusal,
}

/// Whether the sender's document has to be stored with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// It is in the store.
    Kept,
    /// It may not be.
    New,
}

/// How many messages a mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// In all; of one sender half as many, and at least one.
    pub messages_max: u32,
}

/// Adds everything about one inbound message to a batch.
pub fn keep(
    batch: &mut Batch,
    debts: &mut Debts,
    commit: &Commit,
    snapshot: Snapshot,
    capacity: Capacity,
    ledger: Ledger<'_>,
) -> Kept {
    let received = commit.received();
    let message = keys::message_key(received);
    if matches!(commit.placement(), Placement::Home) {
        // What homes tell each other changes nothing when it is told twice, so nothing is kept by
        // which a repeat is known.
        return Kept { first: None, spent: None, message, full: Refusal::Busy };
    }
    let is_in_log = ledger.is_kept();
    let known = Known { received: received.clone(), rung: commit.rung().clone(), is_in_log };
    let first = batch.assert_absent(Keyspace::Index, &keys::known(message));
    // After the first: a repeat of a message that was paid for is a repeat.
    let spent = commit.spent().map(|spent| spent::spend(batch, spent));
    batch.put_stamped_value(Keyspace::Index, &keys::known(message), encode(&known));
    batch.put(Keyspace::Index, &by_id_row(received, message), Vec::new());
    if let Some(statement) = commit.statement() {
        ledger.append(batch, statement);
    }
    debts.owe(received, commit.rung());
    match commit.placement() {
        Placement::Mailbox => {
            put_body(batch, commit, snapshot);
            put_row(batch, received, message, capacity);
            meters::count(batch, commit.meters(), used(received), received.received_at);
        }
        Placement::Request => {
            put_body(batch, commit, snapshot);
            put_request(batch, commit, capacity);
        }
        Placement::Home | Placement::Refused(..) => {
            batch.add_bounded(&keys::count_refused(&received.recipient), 1, REFUSED_MAX);
            let forget = received.received_at.saturating_add(REFUSED_HISTORY_S);
            Due::ForgetReceived(message).put(batch, forget);
        }
    }
    let full = match commit.placement() {
        // The policy looked whether there is room for a request; somebody else's came in between.
        Placement::Refused(..) | Placement::Request => Refusal::Busy,
        _ => Refusal::MailboxFull,
    };
    Kept { first: Some(first), spent, message, full }
}

/// Tells what became of a batch that [`keep`] was part of.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn written(
    store: &dyn Store,
    kept: Kept,
    result: Result<Stamp, CommitError>,
) -> Result<Written, StoreFault> {
    match result {
        Ok(stamp) => Ok(Written::New { seq: stamp.seq.0 }),
        Err(CommitError::Conflict(Conflict::Assertion { index })) if Some(index) == kept.first => {
            let known = known(store, kept.message).await?;
            let gone = || StoreFault::Corrupt("a message that was there is not".to_owned());
            Ok(Written::Repeat { digest: known.ok_or_else(gone)?.0.received.digest })
        }
        Err(CommitError::Conflict(Conflict::Assertion { index })) if Some(index) == kept.spent => {
            Ok(Written::Spent)
        }
        // Somebody else's message came in between, for instance the same stranger's other one.
        Err(CommitError::Conflict(Conflict::Assertion { .. })) => {
            Ok(Written::Temporary(Refusal::Busy))
        }
        Err(CommitError::Conflict(Conflict::Bound { .. })) => Ok(Written::Temporary(kept.full)),
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}

/// Reads what is known of a received message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn known(
    store: &dyn Store,
    message: MessageKey,
) -> Result<Option<(Known, Stamp)>, StoreFault> {
    let row = store.get(Keyspace::Index, &keys::known(message)).await?;
    let Some(row) = row else { return Ok(None) };
    let (mut known, stamp): (Known, Stamp) = decode_stamped(&row)?;
    if known.rung.state == State::Accepted && known.is_in_log {
        known.rung.log_index = Some(stamp.log);
    }
    Ok(Some((known, stamp)))
}

/// Finds the messages that an agent received under an id, from whomever; at most eight.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn find_by_id(
    store: &dyn Store,
    agent: &Did,
    id: &str,
) -> Result<Vec<MessageKey>, StoreFault> {
    let range = KeyRange::prefix(&keys::by_id(agent, id));
    let rows = store.read(Keyspace::Index, range, 8).await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.key.last_chunk::<16>())
        .map(|key| MessageKey(*key))
        .collect())
}

/// Reads the rows of a mailbox after a position, oldest first.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn rows(
    store: &dyn Store,
    mailbox: MailboxKey,
    after: Seq,
    limit: usize,
) -> Result<Vec<(Seq, Received)>, StoreFault> {
    let range = KeyRange::prefix_after(&keys::mailbox(mailbox), &keys::mailbox_row(mailbox, after));
    let entries = store.read(Keyspace::Index, range, limit).await?;
    entries.iter().map(|entry| Ok((row_seq(&entry.key)?, decode(&entry.value)?))).collect()
}

/// Reads one row of a mailbox; nothing if it has been settled.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn row(
    store: &dyn Store,
    mailbox: MailboxKey,
    seq: Seq,
) -> Result<Option<Received>, StoreFault> {
    let row = store.get(Keyspace::Index, &keys::mailbox_row(mailbox, seq)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads the envelope of a message in a mailbox or of a request.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn envelope(store: &dyn Store, seq: Seq) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Body, &keys::body(b'm', seq)).await
}

/// Takes a message out of its mailbox with the rung that it reached thereby. The batch conflicts if
/// it is not there any more.
pub fn settle(batch: &mut Batch, debts: &mut Debts, seq: Seq, received: &Received, rung: &Rung) {
    let mailbox = keys::mailbox_key(&received.recipient);
    let key = keys::mailbox_row(mailbox, seq);
    batch.assert_value(Keyspace::Index, &key, &encode(received));
    batch.delete(Keyspace::Index, &key);
    batch.delete(Keyspace::Body, &keys::body(b'm', seq));
    batch.add(&keys::count_mailbox(&received.recipient), -1);
    batch.add(&keys::count_sender(&received.recipient, &received.sender), -1);
    received.open_in.iter().for_each(|meter| meters::close_task(batch, *meter));
    // Nothing is remembered of those whom nobody had to let in.
    let is_known = received.admitted.is_some_and(|ground| ground != Admission::OpenPolicy);
    if rung.state == State::Processed && is_known {
        contacts::count_processed(batch, &received.recipient, &received.sender);
    }
    climb(batch, debts, received, rung);
}

/// Remembers a rung that a received message reached, and owes its sender the receipt.
pub fn climb(batch: &mut Batch, debts: &mut Debts, received: &Received, rung: &Rung) {
    let message = keys::message_key(received);
    ladder::put_received(batch, message, rung);
    debts.owe(received, rung);
}

/// A request as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRequest {
    /// What the operator sees.
    pub request: Request,
    /// The message.
    pub received: Received,
    /// Whether its bytes and its place at the node are counted; those of before were not.
    #[serde(default)]
    pub pooled: bool,
}

/// A request as it was read: what it is, and the evidence by which it is taken exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The request.
    pub held: HeldRequest,
    /// The position of its message.
    pub seq: Seq,
    row: Vec<u8>,
}

impl Waiting {
    fn read(row: Vec<u8>) -> Result<Self, StoreFault> {
        let (held, stamp) = decode_stamped(&row)?;
        Ok(Self { held, seq: stamp.seq, row })
    }
}

/// Reads the request of one sender to one agent.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn request(
    store: &dyn Store,
    recipient: &Did,
    sender: &Did,
) -> Result<Option<Waiting>, StoreFault> {
    let row = store.get(Keyspace::Index, &keys::request(recipient, sender)).await?;
    row.map(Waiting::read).transpose()
}

/// Reads the requests that wait for an agent's operator.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn requests(store: &dyn Store, recipient: &Did) -> Result<Vec<Waiting>, StoreFault> {
    let prefix = keys::join(b'q', &[&keys::did_hash(recipient)]);
    let limit = usize::try_from(REQUESTS_PENDING_MAX).unwrap_or(usize::MAX);
    let rows = store.read(Keyspace::Index, KeyRange::prefix(&prefix), limit).await?;
    rows.into_iter().map(|row| Waiting::read(row.value)).collect()
}

/// Reads how many requests wait for an agent's operator.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn requests_pending(store: &dyn Store, recipient: &Did) -> Result<i64, StoreFault> {
    store.counter(&keys::count_requests(recipient)).await
}

/// Reads what requests take up, as an agent with a mailbox of that size sees it.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn pool(
    store: &dyn Store,
    recipient: &Did,
    capacity: Capacity,
) -> Result<Pool, StoreFault> {
    Ok(Pool {
        pending: requests_pending(store, recipient).await?,
        pending_max: requests_max(capacity.messages_max),
        bytes: store.counter(&keys::count_request_bytes(recipient)).await?,
        of_node: store.counter(&keys::count_requests_of_node()).await?,
    })
}

/// Reads how many messages an agent's mailbox holds.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn messages(store: &dyn Store, recipient: &Did) -> Result<i64, StoreFault> {
    store.counter(&keys::count_mailbox(recipient)).await
}

/// Moves an approved request into the mailbox. Its place there is where it would have been.
pub fn hand_over(
    batch: &mut Batch,
    waiting: &Waiting,
    approval: &Approval,
    capacity: Capacity,
    now: UnixTime,
) {
    take(batch, waiting);
    let mut received = waiting.held.received.clone();
    (received.admitted, received.level) = (Some(Admission::Approved), approval.level());
    received.open_in = approval.open_in();
    let mailbox = keys::mailbox_key(&received.recipient);
    batch.put(Keyspace::Index, &keys::mailbox_row(mailbox, waiting.seq), encode(&received));
    count(batch, &received, capacity);
    let message = keys::message_key(&received);
    let due = Due::ExpireMessage { mailbox, seq: waiting.seq, message };
    due.put(batch, received.expires);
    meters::count(batch, approval.meters(), approval.counts_as(), now);
}

/// Drops a request that was denied or ran out, with the rung that says so.
pub fn drop_request(batch: &mut Batch, debts: &mut Debts, waiting: &Waiting, rung: &Rung) {
    take(batch, waiting);
    batch.delete(Keyspace::Body, &keys::body(b'm', waiting.seq));
    climb(batch, debts, &waiting.held.received, rung);
}

/// Tells whether somebody began a thread with an agent: by a message that was let in, and whose id
/// names the thread.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn began_thread(
    store: &dyn Store,
    agent: &Did,
    peer: &Did,
    thread: &str,
) -> Result<bool, StoreFault> {
    let message = MessageKey::received(agent, peer, thread);
    let Some((known, _)) = known(store, message).await? else { return Ok(false) };
    if known.rung.state != State::Accepted || !known.rung.pending {
        return Ok(known.rung.state == State::Accepted);
    }
    // What it was answered first stays so when the operator approves it; the agent has had it since.
    let received = keys::rung_in(message, State::Received);
    Ok(store.get(Keyspace::Index, &received).await?.is_some())
}

/// Forgets a received message: repeats of it are not known any more.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    message: MessageKey,
) -> Result<(), StoreFault> {
    let Some((known, _)) = known(store, message).await? else { return Ok(()) };
    batch.delete(Keyspace::Index, &by_id_row(&known.received, message));
    batch.delete(Keyspace::Index, &keys::known(message));
    for state in State::ALL {
        batch.delete(Keyspace::Index, &keys::rung_in(message, state));
    }
    if known.rung.state == State::Refused {
        batch.add(&keys::count_refused(&known.received.recipient), -1);
    }
    Ok(())
}

fn put_body(batch: &mut Batch, commit: &Commit, snapshot: Snapshot) {
    batch.put_stamped_key(Keyspace::Body, b"m", commit.envelope());
    if snapshot == Snapshot::New {
        documents::put(batch, &commit.received().document, commit.document());
    }
}

fn used(received: &Received) -> Used {
    let tasks = u64::from(!received.open_in.is_empty());
    Used { messages: 1, bytes: received.size_bytes as u64, tasks }
}

/// Plans to forget a message for which nothing else is planned.
fn forget_later(batch: &mut Batch, received: &Received, message: MessageKey) {
    let forget = received.received_at.saturating_add(HISTORY_S).max(received.expires);
    Due::ForgetReceived(message).put(batch, forget);
}

fn put_row(batch: &mut Batch, received: &Received, message: MessageKey, capacity: Capacity) {
    let mailbox = keys::mailbox_key(&received.recipient);
    batch.put_stamped_key(Keyspace::Index, &keys::mailbox(mailbox), encode(received));
    count(batch, received, capacity);
    Due::put_expiry(batch, received.expires, mailbox, message);
}

fn count(batch: &mut Batch, received: &Received, capacity: Capacity) {
    let max = i64::from(capacity.messages_max);
    batch.add_bounded(&keys::count_mailbox(&received.recipient), 1, max);
    let sender = keys::count_sender(&received.recipient, &received.sender);
    batch.add_bounded(&sender, 1, (max / 2).max(1));
}

/// Demands that nothing of somebody waits for the operator.
pub fn assert_no_request(batch: &mut Batch, recipient: &Did, sender: &Did) -> usize {
    batch.assert_absent(Keyspace::Index, &keys::request(recipient, sender))
}

fn put_request(batch: &mut Batch, commit: &Commit, capacity: Capacity) {
    let received = commit.received();
    let request = Request {
        did: received.sender.clone(),
        protocol: commit.message().type_.protocol().clone(),
        state: RequestState::Pending,
        received_at: received.received_at,
        until: received.expires,
    };
    let key = keys::request(&received.recipient, &received.sender);
    let held = HeldRequest { request, received: received.clone(), pooled: true };
    assert_no_request(batch, &received.recipient, &received.sender);
    // The operator may decide about the sender in this moment, and would find nothing that waits.
    let whom = Whom::Did(received.sender.clone());
    relations::assert_unchanged(batch, &received.recipient, Direction::In, &whom, None);
    batch.put_stamped_value(Keyspace::Index, &key, encode(&held));
    let max = requests_max(capacity.messages_max);
    batch.add_bounded(&keys::count_requests(&received.recipient), 1, max);
    let bytes = keys::count_request_bytes(&received.recipient);
    batch.add_bounded(&bytes, size(received), REQUESTS_BYTES_MAX);
    batch.add_bounded(&keys::count_requests_of_node(), 1, REQUESTS_OF_NODE_MAX);
    let (recipient, sender) = (received.recipient.clone(), received.sender.clone());
    Due::ExpireRequest { recipient, sender }.put(batch, received.expires);
    spent::count_knock(batch, received);
    let message = keys::message_key(received);
    forget_later(batch, received, message);
}

/// Takes a request away; the batch conflicts if somebody else did.
fn take(batch: &mut Batch, waiting: &Waiting) {
    let received = &waiting.held.received;
    let key = keys::request(&received.recipient, &received.sender);
    batch.assert_value(Keyspace::Index, &key, &waiting.row);
    batch.delete(Keyspace::Index, &key);
    batch.add(&keys::count_requests(&received.recipient), -1);
    if waiting.held.pooled {
        batch.add(&keys::count_request_bytes(&received.recipient), -size(received));
        batch.add(&keys::count_requests_of_node(), -1);
    }
}

fn size(received: &Received) -> i64 {
    i64::try_from(received.size_bytes).unwrap_or(i64::MAX)
}

fn by_id_row(received: &Received, message: MessageKey) -> Vec<u8> {
    let mut key = keys::by_id(&received.recipient, &received.id);
    key.extend_from_slice(&message.0);
    key
}

fn row_seq(key: &[u8]) -> Result<Seq, StoreFault> {
    let (_, seq) = Seq::split_key(key)
        .ok_or_else(|| StoreFault::Corrupt("a mailbox key is too short".to_owned()))?;
    Ok(seq)
}

#[cfg(test)]
mod tests;
