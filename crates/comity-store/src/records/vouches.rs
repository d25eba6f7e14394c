//! Vouches: those that agents give and hold, those that a home was shown, and who asked whether they
//! hold. All rows are forgotten when the vouch ends.

use comity_core::limits::{
    VOUCH_ASKERS_MAX, VOUCHES_GIVEN_MAX, VOUCHES_HELD_MAX, VOUCHES_KEPT_MAX,
};
use comity_core::trust::{TokenId, Vouch, VouchTerms};
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// A vouch by an agent of this home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Its name.
    pub id: TokenId,
    /// Its text.
    pub token: String,
    /// What it says.
    pub terms: VouchTerms,
    /// When the agent took it back.
    pub revoked_at: Option<UnixTime>,
}

/// A vouch for an agent of this home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub id: TokenId,
    /// Its text.
    pub token: String,
    /// Who vouches.
    pub voucher: Did,
    /// What it says.
    pub terms: VouchTerms,
    /// The texts of the vouches by which others may come to believe the voucher.
    pub path: Vec<String>,
    /// Whether the agent or its operator wanted it.
    pub wish: Wish,
}

/// Whether a vouch was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// It was asked for, or is by somebody whom the operator allowed.
    Asked,
    /// It came by itself.
    Unasked,
}

/// A vouch that was shown to this home, as it was verified.
#[derive(Serialize, Deserialize)]
struct Known {
    id: TokenId,
    issuer: Did,
    terms: VouchTerms,
}

/// Sets a vouch by an agent.
pub fn put_given(batch: &mut Batch, agent: &Did, given: &Given) {
    let key = [&keys::vouches_given(agent)[..], given.id.as_bytes()].concat();
    put(batch, key, encode(given), given.terms.until);
}

/// Reads a vouch by an agent.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn given(
    store: &dyn Store,
    agent: &Did,
    id: TokenId,
) -> Result<Option<Given>, StoreFault> {
    let key = [&keys::vouches_given(agent)[..], id.as_bytes()].concat();
    let row = store.get(Keyspace::Meta, &key).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads the vouches by an agent.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn all_given(store: &dyn Store, agent: &Did) -> Result<Vec<Given>, StoreFault> {
    let range = KeyRange::prefix(&keys::vouches_given(agent));
    let rows = store.read(Keyspace::Meta, range, VOUCHES_GIVEN_MAX).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Sets a vouch for an agent.
pub fn put_held(batch: &mut Batch, agent: &Did, held: &Held) {
    let key = [&keys::vouches_held(agent)[..], held.id.as_bytes()].concat();
    put(batch, key, encode(held), held.terms.until);
}

/// Forgets a vouch for an agent.
pub fn remove_held(batch: &mut Batch, agent: &Did, id: TokenId) {
    let key = [&keys::vouches_held(agent)[..], id.as_bytes()].concat();
    batch.delete(Keyspace::Meta, &key);
}

/// Reads the vouches for an agent.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn held(store: &dyn Store, agent: &Did) -> Result<Vec<Held>, StoreFault> {
    let range = KeyRange::prefix(&keys::vouches_held(agent));
    let rows = store.read(Keyspace::Meta, range, VOUCHES_HELD_MAX).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Remembers a vouch that was shown.
pub fn put_known(batch: &mut Batch, vouch: &Vouch) {
    let (id, issuer, terms) = (vouch.id(), vouch.issuer().clone(), vouch.terms().clone());
    let until = terms.until;
    put(batch, keys::vouch_shown(id), encode(&Known { id, issuer, terms }), until);
}

/// Forgets a vouch that was shown.
pub fn remove_known(batch: &mut Batch, id: TokenId) {
    batch.delete(Keyspace::Meta, &keys::vouch_shown(id));
}

/// Reads the vouches that were shown.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn known(store: &dyn Store) -> Result<Vec<Vouch>, StoreFault> {
    let range = KeyRange::prefix(b"B");
    let rows = store.read(Keyspace::Meta, range, VOUCHES_KEPT_MAX).await?;
    let vouch = |Known { id, issuer, terms }| Vouch::remembered(id, issuer, terms);
    rows.iter().map(|row| decode(&row.value).map(vouch)).collect()
}

/// Remembers that somebody asked whether a vouch by an agent holds.
pub fn put_asker(batch: &mut Batch, agent: &Did, given: &Given, asker: &Did) {
    let key = keys::asker(agent, given.id, asker);
    put(batch, key, encode(asker), given.terms.until);
}

/// Reads who asked whether a vouch by an agent holds.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn askers(store: &dyn Store, agent: &Did, id: TokenId) -> Result<Vec<Did>, StoreFault> {
    let range = KeyRange::prefix(&keys::askers(agent, id));
    let rows = store.read(Keyspace::Meta, range, VOUCH_ASKERS_MAX).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

fn put(batch: &mut Batch, key: Vec<u8>, value: Vec<u8>, until: UnixTime) {
    batch.put(Keyspace::Meta, &key, value);
    Due::ForgetMeta(key).put(batch, until);
}
