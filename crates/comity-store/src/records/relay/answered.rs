//! Requests that changed something, with their answers: a repeat changes nothing and gets the first
//! answer again.

use comity_core::limits::{HISTORY_S, SERVED_REMEMBERED_MAX};
use comity_core::relay::Served;
use comity_didcomm::UnixTime;
use serde::{Deserialize, Serialize};

use super::super::keys::{did_hash, join};
use super::super::{decode, encode};
use super::{Relayed, request_hash};
use crate::batch::{Batch, Keyspace};
use crate::records::due::Due;
use crate::store::{Store, StoreFault};

/// What was answered to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// SHA-256 of the request's plaintext, base64url: tells a repeat from a reused id.
    pub digest: String,
    /// With an update: result and code of each item, in the request's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<(String, Option<String>)>,
}

/// Reads what was answered to a request, if it came before.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn answered(store: &dyn Store, served: &Served) -> Result<Option<Answered>, StoreFault> {
    let message = request_hash(served.sender(), served.id());
    let row = store.get(Keyspace::Index, &key(&message)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Remembers the answer to a request. The batch conflicts at the returned position if the request
/// came before.
pub fn remember(
    batch: &mut Batch,
    served: &Served,
    results: Vec<(String, Option<String>)>,
    now: UnixTime,
) -> usize {
    let message = request_hash(served.sender(), served.id());
    let registrant = did_hash(served.sender());
    let first = batch.assert_absent(Keyspace::Index, &key(&message));
    let answered = Answered { digest: served.digest().to_owned(), results };
    batch.put(Keyspace::Index, &key(&message), encode(&answered));
    batch.add_bounded(&counter(&registrant), 1, SERVED_REMEMBERED_MAX);
    let forget = now.saturating_add(HISTORY_S);
    Due::ForgetRelayed(Relayed::Answered(registrant, message)).put(batch, forget);
    first
}

pub(super) async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    registrant: [u8; 16],
    message: [u8; 16],
) -> Result<(), StoreFault> {
    if let Some(row) = store.get(Keyspace::Index, &key(&message)).await? {
        batch.assert_value(Keyspace::Index, &key(&message), &row);
        batch.delete(Keyspace::Index, &key(&message));
        batch.add(&counter(&registrant), -1);
    }
    Ok(())
}

fn key(message: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"a", message])
}

fn counter(registrant: &[u8; 16]) -> Vec<u8> {
    join(b'c', &[b"Ra", registrant])
}
