//! Who has messages taken by this relay, and for whom. The messages are in `queue.rs`.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | meta | `Rg` registrant | a grant |
//! | meta | `Ri` id | an invitation to register |
//! | meta | `Rr` recipient | a recipient |
//! | meta | `Ro` registrant recipient | that the one has registered the other: its DID |
//! | meta | `Rk` key | the recipient that a forward may name by this key |
//! | meta | `Ru` registrant | when its grant was last used, to the day |
//! | meta | `Rn` recipient | when the newest message of its queue came |
//! | index | `Ra` message | the answer to a request that changed something |
//! | index | `Rh` recipient seq | row of a queue |
//! | index | `Rs` forward | that a forward came |
//! | body | `R` seq | the message |
//!
//! Counters: grants, recipients of a registrant, requests of one that are remembered, messages and
//! bytes of a queue, of a registrant and in all, and of the pools in these, forwards that are
//! remembered.

mod answered;
mod grants;
mod queue;

pub use answered::{Answered, answered, remember};
pub use grants::{
    GrantInfo, assert_granted, end_grant, grant, grant_info, grants, list_grants, registrant, used,
};
pub use queue::{
    HeldId, HeldIdError, Holding, Memory, envelope, figures, hold, holding, oldest_first,
    queue_key, row, take_out, totals,
};

use comity_core::record::key_hash;
use comity_core::relay::{Change, Invitation, Quotas, RecipientRow};
use comity_core::trust::subject;
use comity_didcomm::routing::Next;
use comity_didcomm::{Did, UnixTime, resolve_self_contained};

use super::due::Due;
use super::keys::{did_hash, join};
use super::{decode, encode};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// A row of the relay that is kept for a time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relayed {
    /// The answer to a request, of the registrant whose hash comes first.
    Answered([u8; 16], [u8; 16]),
    /// That a forward came.
    Forward([u8; 16]),
    /// A grant, if it is not used any more.
    Grant([u8; 16]),
    /// An invitation.
    Invitation([u8; 16]),
}

impl Relayed {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Answered(registrant, message) => join(b'a', &[&registrant, &message]),
            Self::Forward(hash) => join(b'f', &[&hash]),
            Self::Grant(hash) => join(b'g', &[&hash]),
            Self::Invitation(hash) => join(b'i', &[&hash]),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (first, rest) = rest.split_first_chunk::<16>()?;
        match (kind, rest) {
            (b'a', message) => Some(Self::Answered(*first, message.try_into().ok()?)),
            (b'f', []) => Some(Self::Forward(*first)),
            (b'g', []) => Some(Self::Grant(*first)),
            (b'i', []) => Some(Self::Invitation(*first)),
            _ => None,
        }
    }
}

/// Reads the invitation with an id.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn invitation(store: &dyn Store, id: &str) -> Result<Option<Invitation>, StoreFault> {
    let row = store.get(Keyspace::Meta, &invitation_key(&invitation_hash(id))).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Adds an invitation to register, which is forgotten when it has expired.
pub fn invite(batch: &mut Batch, invitation: &Invitation) {
    let hash = invitation_hash(&invitation.id);
    batch.put(Keyspace::Meta, &invitation_key(&hash), encode(invitation));
    Due::ForgetRelayed(Relayed::Invitation(hash)).put(batch, invitation.expires);
}

/// Reads the row of a recipient.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn recipient(store: &dyn Store, did: &Did) -> Result<Option<RecipientRow>, StoreFault> {
    by_hash(store, &did_hash(did)).await
}

/// Finds the recipient that a forward names: by its DID, by a key of it, or by a did:key that is
/// one of its keys.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn find(store: &dyn Store, next: &Next) -> Result<Option<RecipientRow>, StoreFault> {
    let did = next.did();
    if let Some(row) = recipient(store, did).await? {
        return Ok(Some(row));
    }
    let Ok(Some(document)) = resolve_self_contained(did) else { return Ok(None) };
    for (_, key) in document.agreement_keys().take(2) {
        let hash = store.get(Keyspace::Meta, &key_key(&key.to_multibase())).await?;
        if let Some(hash) = hash.and_then(|hash| <[u8; 16]>::try_from(hash).ok()) {
            return by_hash(store, &hash).await;
        }
    }
    Ok(None)
}

/// Changes the registration of a recipient. The batch conflicts if it has changed since it was
/// read, or if the registrant has as many as it may.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn apply(
    store: &dyn Store,
    batch: &mut Batch,
    change: &Change,
    quotas: &Quotas,
) -> Result<(), StoreFault> {
    let Some(did) = change.before.as_ref().or(change.after.as_ref()).map(|row| &row.did) else {
        return Ok(());
    };
    let hash = did_hash(did);
    let key = recipient_key(&hash);
    match &change.before {
        None => {
            batch.assert_absent(Keyspace::Meta, &key);
        }
        Some(before) => withdraw(store, batch, before).await?,
    }
    if let Some(after) = &change.after {
        batch.put(Keyspace::Meta, &key, encode(after));
        let owner = did_hash(&after.registrant);
        batch.put(Keyspace::Meta, &owned_key(&owner, &hash), after.did.as_str());
        batch.add_bounded(&recipients_counter(&owner), 1, i64::from(quotas.recipients_max));
        for name in &after.keys {
            // Whoever came first keeps a key that two documents list.
            if is_key_of(store, name, &hash).await? != Some(false) {
                batch.put(Keyspace::Meta, &key_key(name), hash);
            }
        }
    }
    Ok(())
}

/// Reads the DIDs that somebody has registered, in a fixed order, and how many there are.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn recipients_of(
    store: &dyn Store,
    registrant: &Did,
    limit: usize,
) -> Result<(Vec<Did>, i64), StoreFault> {
    let hash = did_hash(registrant);
    let range = KeyRange::prefix(&owned_prefix(&hash));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    let dids = rows.iter().map(|row| {
        let unreadable = || StoreFault::Corrupt("a registered DID is unreadable".to_owned());
        std::str::from_utf8(&row.value).ok().and_then(|did| did.parse().ok()).ok_or_else(unreadable)
    });
    Ok((dids.collect::<Result<_, _>>()?, store.counter(&recipients_counter(&hash)).await?))
}

/// Takes a row away whose time is over; a grant only if it has not been used of late.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    row: Relayed,
    now: UnixTime,
) -> Result<(), StoreFault> {
    match row {
        Relayed::Answered(registrant, message) => {
            answered::forget(store, batch, registrant, message).await
        }
        Relayed::Forward(hash) => queue::forget(store, batch, hash).await,
        Relayed::Invitation(hash) => {
            batch.delete(Keyspace::Meta, &invitation_key(&hash));
            Ok(())
        }
        Relayed::Grant(hash) => grants::review(store, batch, hash, now).await,
    }
}

/// Takes a recipient away. The batch conflicts if it has changed since it was read.
async fn withdraw(
    store: &dyn Store,
    batch: &mut Batch,
    before: &RecipientRow,
) -> Result<(), StoreFault> {
    let (hash, owner) = (did_hash(&before.did), did_hash(&before.registrant));
    let key = recipient_key(&hash);
    batch.assert_value(Keyspace::Meta, &key, &encode(before));
    batch.delete(Keyspace::Meta, &key);
    batch.delete(Keyspace::Meta, &owned_key(&owner, &hash));
    batch.add(&recipients_counter(&owner), -1);
    for name in &before.keys {
        if is_key_of(store, name, &hash).await? == Some(true) {
            batch.delete(Keyspace::Meta, &key_key(name));
        }
    }
    Ok(())
}

async fn by_hash(store: &dyn Store, hash: &[u8; 16]) -> Result<Option<RecipientRow>, StoreFault> {
    let row = store.get(Keyspace::Meta, &recipient_key(hash)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Whether a key names this recipient, or another; nothing if it names none.
async fn is_key_of(
    store: &dyn Store,
    name: &str,
    recipient: &[u8; 16],
) -> Result<Option<bool>, StoreFault> {
    let row = store.get(Keyspace::Meta, &key_key(name)).await?;
    Ok(row.map(|row| row == recipient))
}

fn invitation_hash(id: &str) -> [u8; 16] {
    key_hash(&[id.to_ascii_lowercase().as_bytes()])
}

fn invitation_key(hash: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"i", hash])
}

fn recipient_key(hash: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"r", hash])
}

fn owned_prefix(registrant: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"o", registrant])
}

fn owned_key(registrant: &[u8; 16], recipient: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"o", registrant, recipient])
}

fn key_key(multibase: &str) -> Vec<u8> {
    join(b'R', &[b"k", &key_hash(&[multibase.as_bytes()])])
}

fn recipients_counter(registrant: &[u8; 16]) -> Vec<u8> {
    join(b'c', &[b"Rr", registrant])
}

/// Stands for a request of a sender in a key.
fn request_hash(sender: &Did, id: &str) -> [u8; 16] {
    let id = id.to_ascii_lowercase();
    key_hash(&[b"ask", subject(sender).as_str().as_bytes(), id.as_bytes()])
}

#[cfg(test)]
mod tests;
