//! Grants that agents gave or handed on, and those that they hold. Both are forgotten when they have
//! run out.

use comity_core::limits::PEER_REVOCATIONS_MAX;
use comity_core::trust::{GrantTerms, Granted, TokenId};
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::{decode, encode, keys, revocations};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// A grant that an agent gave or handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its last token, which the agent signed.
    pub id: TokenId,
    /// The tokens, the first one first.
    pub chain: Vec<String>,
    /// The agent that it gives access to.
    pub audience: Did,
    /// What the last token says.
    pub terms: GrantTerms,
    /// When it was given.
    pub given_at: UnixTime,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<UnixTime>,
}

/// How a grant came to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// From a stranger.
    Unasked,
    /// From somebody whom the agent knows.
    Known,
    /// The operator added it.
    Added,
}

/// A grant that an agent holds. It was verified when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its last token.
    pub id: TokenId,
    /// The tokens, the first one first.
    pub chain: Vec<String>,
    /// Each token with who signed it.
    pub links: Vec<(TokenId, Did)>,
    /// The agent that it gives access to.
    pub audience: Did,
    /// What the last token says.
    pub terms: GrantTerms,
    /// How it came.
    pub standing: Standing,
    /// When it came.
    pub held_since: UnixTime,
}

impl Given {
    /// Makes the row of a verified grant; nothing is left to say of one without a token.
    #[must_use]
    pub fn new(chain: Vec<String>, granted: &Granted, given_at: UnixTime) -> Option<Self> {
        let last = granted.links().last()?;
        let (id, terms) = (last.id(), last.terms().clone());
        Some(Self { id, chain, audience: granted.audience(), terms, given_at, revoked_at: None })
    }
}

impl Held {
    /// Makes the row of a verified grant.
    #[must_use]
    pub fn new(
        chain: Vec<String>,
        granted: &Granted,
        standing: Standing,
        held_since: UnixTime,
    ) -> Option<Self> {
        let last = granted.links().last()?;
        let (id, terms) = (last.id(), last.terms().clone());
        let links = granted.links().map(|link| (link.id(), link.grantor().clone())).collect();
        let audience = granted.audience();
        Some(Self { id, chain, links, audience, terms, standing, held_since })
    }

    /// Returns who signed the last token.
    #[must_use]
    pub fn grantor(&self) -> &Did {
        self.links.last().map_or(&self.audience, |(_, grantor)| grantor)
    }

    /// Whether somebody may say of a token that it does not count any more, and it is one of these:
    /// who signed it may, and who is given access to.
    #[must_use]
    pub fn is_ended_by(&self, said_by: &Did, ids: &[TokenId]) -> bool {
        let is_audience = self.audience.same_subject(said_by);
        self.links
            .iter()
            .any(|(id, grantor)| ids.contains(id) && (is_audience || grantor.same_subject(said_by)))
    }
}

/// Keeps a grant that an agent gave, for as long as it holds.
pub fn put_given(batch: &mut Batch, agent: &Did, given: &Given) {
    let mut key = keys::given(agent, &given.terms.grantee);
    key.extend_from_slice(given.id.as_bytes());
    batch.put(Keyspace::Meta, &key, encode(given));
    Due::ForgetMeta(key).put(batch, given.terms.until);
}

/// Reads the grants that an agent gave, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn given(store: &dyn Store, agent: &Did, limit: usize) -> Result<Vec<Given>, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'G', &[&keys::did_hash(agent)]));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Reads the grants that an agent gave to somebody, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn given_to(
    store: &dyn Store,
    agent: &Did,
    grantee: &Did,
    limit: usize,
) -> Result<Vec<Given>, StoreFault> {
    let range = KeyRange::prefix(&keys::given(agent, grantee));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

fn held_key(agent: &Did, held: &Held) -> Vec<u8> {
    let mut key = keys::held(agent, &held.audience);
    key.extend_from_slice(held.id.as_bytes());
    key
}

/// Keeps a grant that an agent holds, for as long as it holds.
pub fn put_held(batch: &mut Batch, agent: &Did, held: &Held) {
    let key = held_key(agent, held);
    batch.put(Keyspace::Meta, &key, encode(held));
    Due::ForgetMeta(key).put(batch, held.terms.until);
}

/// Drops a grant that an agent held.
pub fn remove_held(batch: &mut Batch, agent: &Did, held: &Held) {
    let key = held_key(agent, held);
    batch.delete(Keyspace::Meta, &key);
    Due::ForgetMeta(key).cancel(batch, held.terms.until);
}

/// Reads the grants that an agent holds, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn held(store: &dyn Store, agent: &Did, limit: usize) -> Result<Vec<Held>, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'H', &[&keys::did_hash(agent)]));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Reads the grants that an agent holds for access to somebody, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn held_for(
    store: &dyn Store,
    agent: &Did,
    audience: &Did,
    limit: usize,
) -> Result<Vec<Held>, StoreFault> {
    let range = KeyRange::prefix(&keys::held(agent, audience));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// What became of a revocation by somebody to whom an agent gave the right to hand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TakenBack {
    /// There are as many of its revocations as are remembered.
    Full,
    /// It was known.
    Known,
    /// It is remembered from now on.
    New,
}

/// Remembers that a peer took back what it had handed on of an agent's grants.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn take_back(
    store: &dyn Store,
    batch: &mut Batch,
    (agent, grantor): (&Did, &Did),
    (token, until): (TokenId, UnixTime),
) -> Result<TakenBack, StoreFault> {
    let prefix = keys::taken_back(agent, grantor);
    let mut key = prefix.clone();
    key.extend_from_slice(token.as_bytes());
    let known = store.read(Keyspace::Meta, KeyRange::prefix(&prefix), PEER_REVOCATIONS_MAX).await?;
    if known.iter().any(|row| row.key == key) {
        return Ok(TakenBack::Known);
    }
    if PEER_REVOCATIONS_MAX <= known.len() {
        return Ok(TakenBack::Full);
    }
    revocations::put(batch, grantor, token, until);
    batch.put(Keyspace::Meta, &key, Vec::new());
    Due::ForgetMeta(key).put(batch, until);
    Ok(TakenBack::New)
}
