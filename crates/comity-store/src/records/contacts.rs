//! Those whose messages an agent lets in: since when, with which keys, and how many it has processed.

use comity_core::trust::Contact;
use comity_didcomm::Did;

use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// Sets what is remembered of a contact.
pub fn put(batch: &mut Batch, agent: &Did, contact: &Contact) {
    batch.put(Keyspace::Meta, &keys::contact(agent, &contact.did), encode(contact));
}

/// Demands that what is remembered of a contact is still this.
pub fn assert_unchanged(
    batch: &mut Batch,
    agent: &Did,
    did: &Did,
    known: Option<&Contact>,
) -> usize {
    let key = keys::contact(agent, did);
    match known {
        Some(known) => batch.assert_value(Keyspace::Meta, &key, &encode(known)),
        None => batch.assert_absent(Keyspace::Meta, &key),
    }
}

/// Reads what is remembered of somebody.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn contact(
    store: &dyn Store,
    agent: &Did,
    did: &Did,
) -> Result<Option<Contact>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::contact(agent, did)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Reads an agent's contacts, at most `limit`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn contacts(
    store: &dyn Store,
    agent: &Did,
    limit: usize,
) -> Result<Vec<Contact>, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'C', &[&keys::did_hash(agent)]));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}

/// Counts a message that the agent has processed.
pub(super) fn count_processed(batch: &mut Batch, agent: &Did, sender: &Did) {
    batch.add(&keys::count_processed(agent, sender), 1);
}

/// Reads how many messages of somebody an agent has processed.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn processed(store: &dyn Store, agent: &Did, sender: &Did) -> Result<u64, StoreFault> {
    let count = store.counter(&keys::count_processed(agent, sender)).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
