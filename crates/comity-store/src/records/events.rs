//! What an operator should know, in the order in which it became durable; and up to where those have
//! come who tell it on.
//!
//! The events of one batch are one row. So many rows are kept, and the oldest are forgotten: whoever
//! reads on from a place is told when that happened to rows behind it.

use std::fmt;

use comity_core::event::{self, Event};
use comity_core::limits::{EVENTS_KEPT_MAX, REQUEST_EVENTS_S};
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace, Seq};
use crate::limits::EVENTS_FORGOTTEN_AT_ONCE;
use crate::store::{CommitError, KeyRange, Store, StoreFault};

#[derive(Serialize, Deserialize)]
struct Row {
    at: UnixTime,
    events: Vec<Event>,
}

/// Where an event stands in the order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// The number of the batch that it became durable with.
    pub seq: u64,
    /// Its own among the events of that batch, from zero.
    pub number: usize,
}

impl Place {
    /// The place after all events of a batch and of those before it.
    #[must_use]
    pub const fn end_of(seq: Seq) -> Self {
        Self { seq: seq.0, number: usize::MAX }
    }
}

/// One event, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Where it stands.
    pub place: Place,
    /// When it happened.
    pub at: UnixTime,
    /// What.
    pub event: Event,
}

/// Adds events to a batch, which has no others.
pub fn put(batch: &mut Batch, at: UnixTime, events: Vec<Event>) {
    if !events.is_empty() {
        batch.put_stamped_key(Keyspace::Index, ROWS, encode(&Row { at, events }));
        batch.add(&count(), 1);
    }
}

/// Reads the events after a place, in order, of at most so many batches.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn after(
    store: &dyn Store,
    place: Place,
    batches_max: usize,
) -> Result<Vec<Happened>, StoreFault> {
    // The row of the place itself may hold more.
    let before = row_key(Seq(place.seq.saturating_sub(1)));
    let mut happened = Vec::new();
    for row in
        store.read(Keyspace::Index, KeyRange::prefix_after(ROWS, &before), batches_max).await?
    {
        let short = || StoreFault::Corrupt("the key of an event is too short".to_owned());
        let (_, seq) = Seq::split_key(&row.key).ok_or_else(short)?;
        let Row { at, events } = decode(&row.value)?;
        happened.extend(events.into_iter().enumerate().filter_map(|(number, event)| {
            let own = Place { seq: seq.0, number };
            // The first batch has the number one, so the default place is before everything.
            (place < own).then_some(Happened { place: own, at, event })
        }));
    }
    Ok(happened)
}

/// Reads the number of the last batch whose events were forgotten; zero when none were.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forgotten(store: &dyn Store) -> Result<Seq, StoreFault> {
    let row = store.get(Keyspace::Meta, FORGOTTEN).await?;
    let Some(row) = row else { return Ok(Seq(0)) };
    let bytes =
        row.try_into().map_err(|_| StoreFault::Corrupt("a number is too short".to_owned()))?;
    Ok(Seq(u64::from_be_bytes(bytes)))
}

/// Forgets the oldest rows beyond [`EVENTS_KEPT_MAX`], some at a time; says whether there were any.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget_oldest(store: &dyn Store, batch: &mut Batch) -> Result<bool, StoreFault> {
    let beyond = store.counter(&count()).await?.saturating_sub(EVENTS_KEPT_MAX);
    let some = usize::try_from(beyond).unwrap_or(0).min(EVENTS_FORGOTTEN_AT_ONCE);
    if some == 0 {
        return Ok(false);
    }
    let last = row_key(forgotten(store).await?);
    let rows = store.read(Keyspace::Index, KeyRange::prefix_after(ROWS, &last), some).await?;
    let Some((_, seq)) = rows.last().and_then(|row| Seq::split_key(&row.key)) else {
        return Ok(false);
    };
    rows.iter().for_each(|row| batch.delete(Keyspace::Index, &row.key));
    batch.add(&count(), -i64::try_from(rows.len()).unwrap_or(0));
    batch.put(Keyspace::Meta, FORGOTTEN, seq.to_bytes());
    Ok(true)
}

/// Somebody who is told every event, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The operator's own agent.
    Operator,
    /// The webhook.
    Webhook,
}

/// Up to where a reader has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Who the reader is, where that can change: somebody else begins anew.
    pub who: String,
    /// After which batch it became one.
    pub since: u64,
    /// The last event that it was told.
    pub place: Place,
}

/// Reads up to where a reader has come; nothing if there was none before.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn progress(store: &dyn Store, reader: Reader) -> Result<Option<Progress>, StoreFault> {
    let row = store.get(Keyspace::Meta, reader.key()).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Begins or goes on to read. The webhook begins with what happens from then on; the operator's agent is
/// also told of requests from before, if they still wait.
///
/// # Errors
///
/// Fails if the store cannot be read or written.
pub async fn begin(store: &dyn Store, reader: Reader, who: &str) -> Result<Progress, StoreFault> {
    if let Some(progress) = progress(store, reader).await?
        && progress.who == who
    {
        return Ok(progress);
    }
    // An empty batch says how far the others have come.
    let since = commit(store, Batch::new()).await?;
    let place = match reader {
        Reader::Operator => Place::default(),
        Reader::Webhook => Place::end_of(since),
    };
    let progress = Progress { who: who.to_owned(), since: since.0, place };
    let mut batch = Batch::new();
    put_progress(&mut batch, reader, &progress);
    commit(store, batch).await?;
    Ok(progress)
}

/// Commits a batch that demands nothing.
async fn commit(store: &dyn Store, batch: Batch) -> Result<Seq, StoreFault> {
    match store.commit(batch).await {
        Ok(stamp) => Ok(stamp.seq),
        Err(CommitError::Fault(fault)) => Err(fault),
        Err(CommitError::Conflict(conflict)) => Err(StoreFault::Corrupt(conflict.to_string())),
    }
}

/// Sets up to where a reader has come.
pub fn put_progress(batch: &mut Batch, reader: Reader, progress: &Progress) {
    batch.put(Keyspace::Meta, reader.key(), encode(progress));
}

impl Reader {
    const fn key(self) -> &'static [u8] {
        match self {
            Self::Operator => b"Eoperator",
            Self::Webhook => b"Ewebhook",
        }
    }
}

/// What strangers bring about, and is counted by the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A request arrived.
    Arrived,
    /// A request expired.
    Expired,
}

/// Counts one occasion of an agent, and says whether it is to have an event of its own. What was counted
/// is told at the end of the hour.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn count_occasion(
    store: &dyn Store,
    batch: &mut Batch,
    agent: &Did,
    occasion: Occasion,
    now: UnixTime,
) -> Result<bool, StoreFault> {
    let hour = UnixTime(now.0 - now.0 % REQUEST_EVENTS_S);
    let counter = occasion_count(agent, occasion, hour);
    let so_far = store.counter(&counter).await?;
    batch.add(&counter, 1);
    let due = Due::TellUntold { agent: agent.clone(), hour };
    due.put(batch, hour.saturating_add(REQUEST_EVENTS_S));
    Ok(event::is_told(so_far))
}

/// Closes an hour that is over, and gives the event about those that had none.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn close_hour(
    store: &dyn Store,
    batch: &mut Batch,
    agent: &Did,
    hour: UnixTime,
) -> Result<Option<Event>, StoreFault> {
    let mut untold = [0; 2];
    for (untold, occasion) in untold.iter_mut().zip([Occasion::Arrived, Occasion::Expired]) {
        let counter = occasion_count(agent, occasion, hour);
        let count = store.counter(&counter).await?;
        if count != 0 {
            batch.add(&counter, -count);
        }
        *untold = event::untold(count);
    }
    let [arrived, expired] = untold;
    let agent = comity_core::trust::subject(agent);
    let event = Event::RequestsUntold { agent, arrived, expired, since: hour };
    Ok((0 < arrived + expired).then_some(event))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.number)
    }
}

const ROWS: &[u8] = b"E";
const FORGOTTEN: &[u8] = b"Eforgotten";

fn row_key(seq: Seq) -> Vec<u8> {
    keys::join(b'E', &[&seq.to_bytes()])
}

/// Counter of the rows.
fn count() -> Vec<u8> {
    keys::join(b'c', &[b"E"])
}

/// Counter of one agent's occasions in one hour.
fn occasion_count(agent: &Did, occasion: Occasion, hour: UnixTime) -> Vec<u8> {
    let kind: &[u8] = match occasion {
        Occasion::Arrived => b"a",
        Occasion::Expired => b"e",
    };
    keys::join(b'c', &[b"h", kind, &keys::did_hash(agent), &hour.0.to_be_bytes()])
}

#[cfg(test)]
mod tests;
