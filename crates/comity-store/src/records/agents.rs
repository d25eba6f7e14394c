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
    /// What it publishes.
    #[serde(flatten)]
    pub published: Published,
    /// SHA-256 of its bearer token, base64url.
    pub token_digest: String,
    /// When it was added.
    pub added_at: UnixTime,
}

/// What an identity publishes, and what is to be known to change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its DID.
    pub did: Did,
    /// Its DID document as JSON: what the home serves or, for did:peer, what the DID says.
    pub document: serde_json::Value,
    /// Number of the next key's id; none is used twice, or an old signature would be checked with a
    /// new key.
    #[serde(default = "first_free_key")]
    pub next_key: u32,
    /// Former keys that the document still lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<LeavingKey>,
}

impl Published {
    /// Joins an identity's DID and its first document.
    #[must_use]
    pub const fn new(did: Did, document: serde_json::Value) -> Self {
        Self { did, document, next_key: first_free_key(), leaving: Vec::new() }
    }
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

/// Adds an agent with its sealed keys. The batch conflicts if the name is taken.
pub fn add(batch: &mut Batch, agent: &AgentRecord, sealed_keys: &[u8]) {
    let name = keys::join(b'a', &[agent.name.as_bytes()]);
    batch.assert_absent(Keyspace::Meta, &name);
    batch.put(Keyspace::Meta, &name, encode(agent));
    put_keys(batch, &agent.published.did, sealed_keys);
}

/// Replaces an agent and its sealed keys.
pub fn replace(batch: &mut Batch, agent: &AgentRecord, sealed_keys: &[u8]) {
    batch.put(Keyspace::Meta, &keys::join(b'a', &[agent.name.as_bytes()]), encode(agent));
    put_keys(batch, &agent.published.did, sealed_keys);
}

/// Sets the log of a did:webvh.
pub fn put_log(batch: &mut Batch, did: &Did, log: &str) {
    batch.put(Keyspace::Meta, &log_key(did), log.as_bytes());
}

/// Sets the home's own identity with its sealed keys.
pub fn put_node(batch: &mut Batch, node: &Published, sealed_keys: &[u8]) {
    batch.put(Keyspace::Meta, b"node", encode(node));
    put_keys(batch, &node.did, sealed_keys);
}

/// Reads the home's own identity.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn node(store: &dyn Store) -> Result<Option<Published>, StoreFault> {
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

/// Reads the log of a did:webvh.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_from_before_keys_changed_are_read() {
        let did = "did:web:a.example";
        let node = json!({ "did": did, "document": { "id": did } });
        let node: Published = decode(node.to_string().as_bytes()).unwrap();
        assert_eq!(node, Published::new(did.parse().unwrap(), json!({ "id": did })));
        let agent = json!({
            "name": "aria", "did": did, "document": {}, "token_digest": "d", "added_at": 5,
            "next_key": 7, "leaving": [{ "kid": "did:web:a.example#key-1", "until": 9 }],
        });
        let read: AgentRecord = decode(agent.to_string().as_bytes()).unwrap();
        assert_eq!((read.published.next_key, read.published.leaving[0].until), (7, UnixTime(9)));
        let written: serde_json::Value = serde_json::from_slice(&encode(&read)).unwrap();
        assert_eq!(written, agent);
    }
}
