//! What is known of the logs of others: whose they are, what was cosigned of them, and what does not
//! fit together.

use comity_core::log::{Finding, VerifierKey, Witnessed};
use comity_core::record::key_hash;
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::damaged;
use crate::batch::{Batch, Keyspace};
use crate::chain::ChainKey;
use crate::records::{decode, encode};
use crate::store::{KeyRange, Store, StoreFault};

/// Another node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLog {
    /// The node.
    pub node: Did,
    /// The log's key; its name is the log's origin.
    pub key: VerifierKey,
    /// The key with which the node cosigns the checkpoints of others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<VerifierKey>,
    /// Where it takes their checkpoints: the prefix of `add-checkpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When its keys were learned.
    pub since: UnixTime,
    /// What this node has cosigned of the log, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<Witnessed>,
    /// The checkpoint with the largest size that is known of the log: the one that was cosigned, or
    /// one that the node told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed_at: Option<UnixTime>,
    /// What it did wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
}

/// Two pieces that cannot both be true of an honest log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// What is wrong.
    pub finding: Finding,
    /// When it was found.
    pub at: UnixTime,
    /// One piece, as it was signed.
    pub first: String,
    /// The other.
    pub second: String,
}

/// Logs of one name that are looked at.
const NAMESAKES_MAX: usize = 8;

/// A log as it was read, with the evidence by which it is changed only as it was read.
#[derive(Clone, Debug)]
pub struct Found {
    /// The log.
    pub log: PeerLog,
    row: Vec<u8>,
}

/// Finds a log by its key.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn by_key(store: &dyn Store, log: &VerifierKey) -> Result<Option<Found>, StoreFault> {
    let row = store.get(Keyspace::Log, &key(log)).await?;
    row.map(|row| Ok(Found { log: decode(&row)?, row })).transpose()
}

/// Finds the logs of a name: anybody can give his key any name, so there may be several.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn by_origin(store: &dyn Store, origin: &str) -> Result<Vec<Found>, StoreFault> {
    let range = KeyRange::prefix(&named(origin));
    let mut found = Vec::new();
    for row in store.read(Keyspace::Log, range, NAMESAKES_MAX).await? {
        found.extend(by_key(store, &read_key(&row.value)?).await?);
    }
    Ok(found)
}

/// Lists the logs that are known, at most so many.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn all(store: &dyn Store, limit: usize) -> Result<Vec<PeerLog>, StoreFault> {
    let range = KeyRange::between(&[b'o', 0], b"p");
    let rows = store.read(Keyspace::Log, range, limit).await?;
    rows.iter().filter(|row| row.key.len() == 17).map(|row| decode(&row.value)).collect()
}

/// Finds the log that a node signed last.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn of_node(store: &dyn Store, node: &Did) -> Result<Option<Found>, StoreFault> {
    match store.get(Keyspace::Log, &node_key(node)).await? {
        Some(key) => by_key(store, &read_key(&key)?).await,
        None => Ok(None),
    }
}

/// Reads up to which size a witness has cosigned a log of ours.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn cosigned(
    store: &dyn Store,
    witness: &VerifierKey,
    log: &VerifierKey,
) -> Result<u64, StoreFault> {
    let row = store.get(Keyspace::Log, &cosigned_key(witness, log)).await?;
    let size = row.map(|row| <[u8; 8]>::try_from(row).map(u64::from_be_bytes));
    size.unwrap_or(Ok(0)).map_err(|_| damaged("what a witness cosigned"))
}

/// Remembers up to which size a witness has cosigned a log of ours.
pub fn put_cosigned(batch: &mut Batch, witness: &VerifierKey, log: &VerifierKey, size: u64) {
    batch.put(Keyspace::Log, &cosigned_key(witness, log), size.to_be_bytes());
}

/// Adds a log, or changes what is known of it. The batch conflicts if that is not as it was found.
pub fn put(batch: &mut Batch, log: &PeerLog, before: Option<&Found>) {
    let row = key(&log.key);
    match before {
        Some(found) => batch.assert_value(Keyspace::Log, &row, &found.row),
        None => batch.assert_absent(Keyspace::Log, &row),
    };
    batch.put(Keyspace::Log, &row, encode(log));
    if before.is_none() {
        batch.put(Keyspace::Log, &namesake(&log.key), log.key.to_string());
    }
}

/// Says which log a node signs now.
pub fn put_node(batch: &mut Batch, node: &Did, log: &VerifierKey) {
    batch.put(Keyspace::Log, &node_key(node), log.to_string());
}

/// Forgets a log that its node has left. The batch conflicts if it is not as it was found.
pub fn remove(batch: &mut Batch, found: &Found) {
    let row = key(&found.log.key);
    batch.assert_value(Keyspace::Log, &row, &found.row);
    batch.delete(Keyspace::Log, &row);
    batch.delete(Keyspace::Log, &namesake(&found.log.key));
}

fn read_key(row: &[u8]) -> Result<VerifierKey, StoreFault> {
    let key = std::str::from_utf8(row).ok().and_then(|key| key.parse().ok());
    key.ok_or_else(|| damaged("the key of a log"))
}

fn key(log: &VerifierKey) -> Vec<u8> {
    [&b"o"[..], &key_hash(&[log.to_string().as_bytes()])].concat()
}

/// Begins the keys of the logs of a name.
fn named(origin: &str) -> Vec<u8> {
    [&b"O"[..], &key_hash(&[origin.as_bytes()])].concat()
}

fn namesake(log: &VerifierKey) -> Vec<u8> {
    [named(log.name()), key_hash(&[log.to_string().as_bytes()]).to_vec()].concat()
}

fn node_key(node: &Did) -> Vec<u8> {
    [&b"n"[..], &ChainKey::of(node).0].concat()
}

fn cosigned_key(witness: &VerifierKey, log: &VerifierKey) -> Vec<u8> {
    let (witness, log) = (witness.to_string(), log.to_string());
    [&b"w"[..], &key_hash(&[witness.as_bytes(), log.as_bytes()])].concat()
}
