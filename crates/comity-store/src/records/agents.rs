//! The identities that live in a home, and their sealed keys.

use comity_didcomm::{Did, DidUrl, UnixTime};
use serde::{Deserialize, Serialize};

use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// An agent of the home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its name, unique in the home.
    pub name: String,
    /// Its DID.
    pub did: Did,
    /// Its DID document as JSON: what the home serves or, for did:peer, what the DID says.
    pub document: serde_json::Value,
    /// SHA-256 of its bearer token, base64url.
    pub token_digest: String,
    /// When it was added.
    pub added_at: UnixTime,
    /// Number of the next key's id; none is used twice, or an old signature would be checked with a
    /// new key.
    #[serde(default = "first_free_key")]
    pub next_key: u32,
    /// Former keys that the document still lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<LeavingKey>,
}

/// A former key that the document lists for what was signed with it and is still under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingKey {
    /// Its id.
    pub kid: DidUrl,
    /// Until when.
    pub until: UnixTime,
}

/// An identity begins with `key-1` and `key-2`.
const fn first_free_key() -> u32 {
    3
}

/// The home's own identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its DID.
    pub did: Did,
    /// Its DID document as JSON.
    pub document: serde_json::Value,
}

/// Adds an agent with its sealed keys. The batch conflicts if the name is taken.
pub fn add(batch: &mut Batch, agent: &AgentRecord, sealed_keys: &[u8]) {
    let name = keys::join(b'a', &[agent.name.as_bytes()]);
    batch.assert_absent(Keyspace::Meta, &name);
    batch.put(Keyspace::Meta, &name, encode(agent));
    put_keys(batch, &agent.did, sealed_keys);
}

/// Replaces an agent and its sealed keys.
pub fn replace(batch: &mut Batch, agent: &AgentRecord, sealed_keys: &[u8]) {
    batch.put(Keyspace::Meta, &keys::join(b'a', &[agent.name.as_bytes()]), encode(agent));
    put_keys(batch, &agent.did, sealed_keys);
}

/// Sets the log of an agent's did:webvh.
pub fn put_log(batch: &mut Batch, did: &Did, log: &str) {
    batch.put(Keyspace::Meta, &log_key(did), log.as_bytes());
}

/// Sets the home's own identity with its sealed keys.
pub fn put_node(batch: &mut Batch, node: &NodeRecord, sealed_keys: &[u8]) {
    batch.put(Keyspace::Meta, b"node", encode(node));
    put_keys(batch, &node.did, sealed_keys);
}

/// Reads the home's own identity.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn node(store: &dyn Store) -> Result<Option<NodeRecord>, StoreFault> {
    let row = store.get(Keyspace::Meta, b"node").await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads all agents, by name.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn all(store: &dyn Store, limit: usize) -> Result<Vec<AgentRecord>, StoreFault> {
    let rows = store.read(Keyspace::Meta, KeyRange::prefix(b"a"), limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Reads an agent.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn agent(store: &dyn Store, name: &str) -> Result<Option<AgentRecord>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'a', &[name.as_bytes()])).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads the log of an agent's did:webvh.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn log(store: &dyn Store, did: &Did) -> Result<Option<String>, StoreFault> {
    let row = store.get(Keyspace::Meta, &log_key(did)).await?;
    let text = row.map(String::from_utf8).transpose();
    text.map_err(|_| StoreFault::Corrupt("a stored DID log is not text".to_owned()))
}

/// Reads the sealed keys of an identity.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn sealed_keys(store: &dyn Store, did: &Did) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Meta, &keys::join(b'k', &[&keys::did_hash(did)])).await
}

fn log_key(did: &Did) -> Vec<u8> {
    keys::join(b'j', &[&keys::did_hash(did)])
}

pub(super) fn put_keys(batch: &mut Batch, did: &Did, sealed_keys: &[u8]) {
    batch.put(Keyspace::Meta, &keys::join(b'k', &[&keys::did_hash(did)]), sealed_keys);
}
