//! Requests that changed something, with their answers: a repeat changes nothing and gets the first
//! answer again.

use comity_core::limits::{EXPIRES_S_MAX, HISTORY_S, SERVED_REMEMBERED_MAX};
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
    let forget = forget_at(served.expires(), now);
    Due::ForgetRelayed(Relayed::Answered(registrant, message)).put(batch, forget);
    first
}

/// Until when a request is remembered: a repeat of one that has expired is refused for that. A day
/// more, for clocks.
fn forget_at(expires: Option<UnixTime>, now: UnixTime) -> UnixTime {
    let longest = now.saturating_add(HISTORY_S);
    let expires = expires.map(|expires| expires.saturating_add(HISTORY_S - EXPIRES_S_MAX));
    expires.map_or(longest, |expires| expires.min(longest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_remembered_for_as_long_as_it_can_be_repeated() {
        const NOW: UnixTime = UnixTime(1_800_000_000);
        let after = |secs: u64| NOW.saturating_add(secs);
        assert_eq!(forget_at(None, NOW), after(HISTORY_S));
        assert!(after(60) < forget_at(Some(after(60)), NOW), "also by a clock that is late");
        assert!(forget_at(Some(after(60)), NOW) < after(2 * 24 * 3600));
        let for_ever = forget_at(Some(UnixTime(u64::MAX)), NOW);
        assert_eq!(for_ever, after(HISTORY_S), "who asks does not say for how long");
    }
}
