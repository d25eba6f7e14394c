//! The relay that a home is behind: one row, and the sealed keys of the registrant.

use comity_didcomm::Did;
use serde::{Deserialize, Serialize};

use super::{agents, decode, encode};
use crate::batch::{Batch, Keyspace};
use crate::store::{Store, StoreFault};

/// A home's relation to its relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViaRecord {
    /// The relay.
    pub relay: Did,
    /// The home's identity towards it. Made before the relay is first asked, so that it is asked
    /// by the same one however often that fails.
    pub registrant: Did,
    /// What the relay granted; nothing until it did.
    pub routing: Option<Did>,
    /// Whether the relay has taken a rule of admission, so that tokens are worth something there.
    #[serde(default)]
    pub has_rules: bool,
}

/// Sets the relation. It replaces the former one.
pub fn put(batch: &mut Batch, via: &ViaRecord) {
    batch.put(Keyspace::Meta, b"via", encode(via));
}

/// Sets the relation and the sealed keys of its registrant.
pub fn put_with_keys(batch: &mut Batch, via: &ViaRecord, sealed_keys: &[u8]) {
    put(batch, via);
    agents::put_keys(batch, &via.registrant, sealed_keys);
}

/// Reads the relation; nothing if the home is behind no relay.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn get(store: &dyn Store) -> Result<Option<ViaRecord>, StoreFault> {
    let row = store.get(Keyspace::Meta, b"via").await?;
    row.map(|row| decode(&row)).transpose()
}
