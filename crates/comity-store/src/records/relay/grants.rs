//! Who has been granted mediation, since when, and until when.
//!
//! A grant ends when nobody has used it for a while, or by the operator's word. Its recipients go
//! with it, a batch at a time; what their queues hold stays for the DIDs themselves until it
//! expires, as when a recipient is removed.

use comity_core::limits::{GRANT_USE_TOLD_S, IDLE_GRANT_S, REGISTRANTS_MAX, UNUSED_GRANT_S};
use comity_core::relay::{Figures, Invitation, Registrant};
use comity_didcomm::{Did, UnixTime};

use super::super::keys::{did_hash, join};
use super::super::{decode, encode};
use super::{
    Relayed, by_hash, invitation_hash, invitation_key, queue, recipients_counter, withdraw,
};
use crate::batch::{Batch, Keyspace};
use crate::limits::GRANT_RECIPIENTS_ENDED;
use crate::records::due::Due;
use crate::store::{KeyRange, Store, StoreFault};

/// What an operator sees of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantInfo {
    /// The grant.
    pub registrant: Registrant,
    /// When it was last used, to the day.
    pub used_at: UnixTime,
    /// How many DIDs are registered under it.
    pub recipients: u64,
    /// What waits under it.
    pub waiting: Figures,
}

/// Reads somebody's grant.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn registrant(store: &dyn Store, did: &Did) -> Result<Option<Registrant>, StoreFault> {
    let row = store.get(Keyspace::Meta, &grant_key(&did_hash(did))).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Adds a grant, and uses up the invitation it came by. The batch conflicts if there is a grant
/// already that is not the one in whose place it comes, if the invitation has changed, or if there
/// are as many grants as may be.
pub fn grant(
    batch: &mut Batch,
    registrant: &Registrant,
    before: Option<&Registrant>,
    invitation: Option<&Invitation>,
) {
    let hash = did_hash(&registrant.did);
    if let Some(before) = before {
        batch.assert_value(Keyspace::Meta, &grant_key(&hash), &encode(before));
    } else {
        batch.assert_absent(Keyspace::Meta, &grant_key(&hash));
        batch.add_bounded(&grants_counter(), 1, REGISTRANTS_MAX);
    }
    batch.put(Keyspace::Meta, &grant_key(&hash), encode(registrant));
    let unused = registrant.granted_at.saturating_add(UNUSED_GRANT_S);
    Due::ForgetRelayed(Relayed::Grant(hash)).put(batch, unused);
    if let Some(invitation) = invitation {
        let key = invitation_key(&invitation_hash(&invitation.id));
        batch.assert_value(Keyspace::Meta, &key, &encode(invitation));
        let uses_left = invitation.uses_left.saturating_sub(1);
        batch.put(Keyspace::Meta, &key, encode(&Invitation { uses_left, ..invitation.clone() }));
    }
}

/// Demands that a grant still stands as it was read.
pub fn assert_granted(batch: &mut Batch, registrant: &Registrant) {
    let key = grant_key(&did_hash(&registrant.did));
    batch.assert_value(Keyspace::Meta, &key, &encode(registrant));
}

/// Notes that a grant is used, once a day; nothing to commit otherwise. The batch conflicts if the
/// grant has changed or gone.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn used(
    store: &dyn Store,
    registrant: &Registrant,
    now: UnixTime,
) -> Result<Option<Batch>, StoreFault> {
    let hash = did_hash(&registrant.did);
    if now < used_at(store, &hash, registrant).await?.saturating_add(GRANT_USE_TOLD_S) {
        return Ok(None);
    }
    let mut batch = Batch::new();
    assert_granted(&mut batch, registrant);
    batch.put(Keyspace::Meta, &used_key(&hash), now.0.to_be_bytes());
    Ok(Some(batch))
}

/// Reads how many grants there are.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn grants(store: &dyn Store) -> Result<i64, StoreFault> {
    store.counter(&grants_counter()).await
}

/// Reads grants in a fixed order, from after somebody's on.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn list_grants(
    store: &dyn Store,
    after: Option<&Did>,
    limit: usize,
) -> Result<Vec<GrantInfo>, StoreFault> {
    let prefix = join(b'R', &[b"g"]);
    let range = match after {
        Some(did) => KeyRange::prefix_after(&prefix, &grant_key(&did_hash(did))),
        None => KeyRange::prefix(&prefix),
    };
    let mut grants = Vec::new();
    for row in store.read(Keyspace::Meta, range, limit).await? {
        grants.push(grant_info(store, decode(&row.value)?).await?);
    }
    Ok(grants)
}

/// Reads what hangs on a grant.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn grant_info(
    store: &dyn Store,
    registrant: Registrant,
) -> Result<GrantInfo, StoreFault> {
    let hash = did_hash(&registrant.did);
    let used_at = used_at(store, &hash, &registrant).await?;
    let recipients = store.counter(&recipients_counter(&hash)).await?;
    let recipients = u64::try_from(recipients).unwrap_or(0);
    let waiting = queue::waiting_under(store, &hash).await?;
    Ok(GrantInfo { registrant, used_at, recipients, waiting })
}

/// Ends a grant, and begins to take its recipients away; the rest of them is due at once. The batch
/// conflicts if something of it has changed since.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn end_grant(
    store: &dyn Store,
    batch: &mut Batch,
    registrant: &Registrant,
    now: UnixTime,
) -> Result<(), StoreFault> {
    let hash = did_hash(&registrant.did);
    assert_granted(batch, registrant);
    batch.delete(Keyspace::Meta, &grant_key(&hash));
    batch.delete(Keyspace::Meta, &used_key(&hash));
    batch.add(&grants_counter(), -1);
    withdraw_all(store, batch, &hash, now).await
}

/// Looks at a grant when it may be over.
pub(super) async fn review(
    store: &dyn Store,
    batch: &mut Batch,
    hash: [u8; 16],
    now: UnixTime,
) -> Result<(), StoreFault> {
    let counter = recipients_counter(&hash);
    let recipients = store.counter(&counter).await?;
    let Some(row) = store.get(Keyspace::Meta, &grant_key(&hash)).await? else {
        return withdraw_all(store, batch, &hash, now).await;
    };
    let registrant: Registrant = decode(&row)?;
    let patience = if recipients == 0 { UNUSED_GRANT_S } else { IDLE_GRANT_S };
    let over = used_at(store, &hash, &registrant).await?.saturating_add(patience);
    if now < over {
        Due::ForgetRelayed(Relayed::Grant(hash)).put(batch, over);
        return Ok(());
    }
    if recipients == 0 {
        // A counter that comes to zero is no row: the grant is used in this moment if not.
        batch.assert_absent(Keyspace::Meta, &counter);
    }
    // Nor is it over if it is used in this moment.
    match store.get(Keyspace::Meta, &used_key(&hash)).await? {
        Some(used) => batch.assert_value(Keyspace::Meta, &used_key(&hash), &used),
        None => batch.assert_absent(Keyspace::Meta, &used_key(&hash)),
    };
    end_grant(store, batch, &registrant, now).await
}

/// Takes away what is registered under a grant that has ended, as much as one batch may, and plans
/// the rest.
async fn withdraw_all(
    store: &dyn Store,
    batch: &mut Batch,
    hash: &[u8; 16],
    now: UnixTime,
) -> Result<(), StoreFault> {
    let prefix = super::owned_prefix(hash);
    let rows =
        store.read(Keyspace::Meta, KeyRange::prefix(&prefix), GRANT_RECIPIENTS_ENDED + 1).await?;
    for row in rows.iter().take(GRANT_RECIPIENTS_ENDED) {
        let recipient = row.key.strip_prefix(&*prefix).and_then(|hash| hash.try_into().ok());
        if let Some(recipient) = recipient
            && let Some(before) = by_hash(store, recipient).await?
        {
            withdraw(store, batch, &before).await?;
        }
    }
    if GRANT_RECIPIENTS_ENDED < rows.len() {
        Due::ForgetRelayed(Relayed::Grant(*hash)).put(batch, now.saturating_add(1));
    }
    Ok(())
}

/// When a grant was last used, to the day; when it was granted, if never.
async fn used_at(
    store: &dyn Store,
    hash: &[u8; 16],
    registrant: &Registrant,
) -> Result<UnixTime, StoreFault> {
    let used = store.get(Keyspace::Meta, &used_key(hash)).await?;
    let used = used.and_then(|used| used.try_into().ok()).map(u64::from_be_bytes).map(UnixTime);
    Ok(used.unwrap_or(registrant.granted_at).max(registrant.granted_at))
}

fn grant_key(hash: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"g", hash])
}

fn used_key(hash: &[u8; 16]) -> Vec<u8> {
    join(b'R', &[b"u", hash])
}

fn grants_counter() -> Vec<u8> {
    join(b'c', &[b"Rg"])
}
