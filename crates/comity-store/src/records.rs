//! Comity's own records over ordered keys: what lies where, written once for every engine.
//!
//! Each file is one noun: it builds the operations of a batch from records of `comity-core`, and
//! reads them back. The keys are in `keys.rs`. Nothing here decides anything; what may be stored
//! arrives as evidence that only the steps of the protocol can build.

pub mod admission;
pub mod agents;
pub mod contacts;
pub mod documents;
pub mod due;
pub mod events;
pub mod grants;
mod keys;
pub mod ladder;
pub mod log;
pub mod mailbox;
pub mod meters;
pub mod notices;
pub mod outbox;
pub mod outcomes;
pub mod relations;
pub mod relay;
pub mod revocations;
pub mod spent;
pub mod via;
pub mod vouches;

pub use keys::{MessageKey, PeerKey, mailbox_key, message_key};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::Stamp;
use crate::store::StoreFault;

/// Writes a record as the JSON of its row.
fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "records are strings, numbers and lists of these")]
    serde_json::to_vec(record).expect("a record serialises")
}

/// Reads the JSON of a row.
fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, StoreFault> {
    serde_json::from_slice(row).map_err(|error| {
        // Category and place only: the row may hold anybody's words.
        StoreFault::Corrupt(format!("a record is unreadable at column {}", error.column()))
    })
}

/// Reads a row whose value was stamped.
fn decode_stamped<T: DeserializeOwned>(row: &[u8]) -> Result<(T, Stamp), StoreFault> {
    let (record, stamp) = Stamp::split_value(row)
        .ok_or_else(|| StoreFault::Corrupt("a stamped record is too short".to_owned()))?;
    Ok((decode(record)?, stamp))
}
