//! How work ended: what one side proposes, and what both sides signed, of an agent's own dealings and
//! of others'. Of the same work the latest counts. All of it is forgotten a year after the work ended.
//!
//! What is listed is small; the signed texts lie apart, for who wants to see them.

use comity_core::limits::{
    OUTCOME_KEPT_S, OUTCOME_PROPOSALS_MAX, OUTCOME_PROPOSALS_PER_PEER_MAX, OUTCOMES_OWN_MAX,
    OUTCOMES_SHOWN_MAX, OUTCOMES_SHOWN_PER_WORKER_MAX,
};
use comity_core::trust::{TokenId, Work};
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::{decode, encode, keys};
use crate::batch::{Batch, Keyspace};
use crate::store::{KeyRange, Store, StoreFault};

/// What one side says, for the other to agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// Its name.
    pub id: TokenId,
    /// Who says it.
    pub side: Side,
    /// What.
    pub work: Work,
    /// The signed text.
    pub token: String,
    /// The message that brought it, whose thread the answer continues.
    pub message: String,
    /// What the side adds for people, untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Which side proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The agent.
    Ours,
    /// The other one.
    Theirs,
}

/// What both sides signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Its name.
    pub id: TokenId,
    /// How which work ended.
    pub work: Work,
}

/// What becomes of something that is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// There is no room for it.
    Full,
    /// As late or later a word about the same work is there, or it is too old.
    Known,
    /// It is in the batch.
    New,
}

impl Side {
    const fn byte(self) -> u8 {
        match self {
            Self::Ours => b'o',
            Self::Theirs => b't',
        }
    }
}

const OWN: &[u8; 2] = b"OA";
const PROPOSED: &[u8; 2] = b"OP";
const SHOWN: &[u8; 2] = b"OS";
const TOKENS: &[u8; 2] = b"OT";

fn until(work: &Work) -> UnixTime {
    work.at.saturating_add(OUTCOME_KEPT_S)
}

/// Adds to a batch what one side says to an agent, or the agent to it, in the place of what that side
/// said before about the same thread.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn propose(
    store: &dyn Store,
    batch: &mut Batch,
    agent: &Did,
    proposed: &Proposed,
    now: UnixTime,
) -> Result<Kept, StoreFault> {
    let (work, peer) = (&proposed.work, proposed.work.other_than(agent));
    let agreed = store.get(Keyspace::Meta, &keys::work(OWN, agent, work)).await?;
    let agreed: Option<Agreed> = agreed.map(|row| decode(&row)).transpose()?;
    if agreed.is_some_and(|agreed| work.at <= agreed.work.at) || until(work) <= now {
        return Ok(Kept::Known);
    }
    let key = keys::proposal(agent, peer, &work.thid, proposed.side.byte());
    match store.get(Keyspace::Meta, &key).await? {
        Some(row) => {
            let before: Proposed = decode(&row)?;
            if work.at < before.work.at {
                return Ok(Kept::Known);
            }
            Due::ForgetMeta(key.clone()).cancel(batch, until(&before.work));
        }
        None => {
            let all = keys::outcomes(PROPOSED, agent);
            let is_full =
                OUTCOME_PROPOSALS_MAX <= count(store, &all, OUTCOME_PROPOSALS_MAX).await?;
            let (of_peer, max) =
                (keys::proposals_with(agent, peer), OUTCOME_PROPOSALS_PER_PEER_MAX);
            if is_full || max <= count(store, &of_peer, max).await? {
                return Ok(Kept::Full);
            }
        }
    }
    batch.put(Keyspace::Meta, &key, encode(proposed));
    Due::ForgetMeta(key).put(batch, until(work));
    Ok(Kept::New)
}

async fn count(store: &dyn Store, prefix: &[u8], limit: usize) -> Result<usize, StoreFault> {
    Ok(store.read(Keyspace::Meta, KeyRange::prefix(prefix), limit).await?.len())
}

/// Drops what one side said about a piece of work.
pub fn drop_proposal(batch: &mut Batch, agent: &Did, proposed: &Proposed) {
    let work = &proposed.work;
    let key = keys::proposal(agent, work.other_than(agent), &work.thid, proposed.side.byte());
    batch.delete(Keyspace::Meta, &key);
    Due::ForgetMeta(key).cancel(batch, until(work));
}

/// Reads what waits for an agent or for its peers.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn proposals(store: &dyn Store, agent: &Did) -> Result<Vec<Proposed>, StoreFault> {
    list(store, PROPOSED, agent, OUTCOME_PROPOSALS_MAX).await
}

/// Adds to a batch what both sides signed, for an agent: its own, or what it is shown of others. The
/// proposals about the same work are dropped.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn agree(
    store: &dyn Store,
    batch: &mut Batch,
    agent: &Did,
    agreed: &Agreed,
    tokens: &[String; 2],
    now: UnixTime,
) -> Result<Kept, StoreFault> {
    let work = &agreed.work;
    let is_own = work.is_party(agent);
    let kind = if is_own { OWN } else { SHOWN };
    let before = store.get(Keyspace::Meta, &keys::work(kind, agent, work)).await?;
    let before: Option<Agreed> = before.map(|row| decode(&row)).transpose()?;
    if before.as_ref().is_some_and(|before| work.at <= before.work.at) || until(work) <= now {
        return Ok(Kept::Known);
    }
    if is_own {
        for side in [Side::Ours, Side::Theirs] {
            let key = keys::proposal(agent, work.other_than(agent), &work.thid, side.byte());
            if let Some(row) = store.get(Keyspace::Meta, &key).await? {
                let proposed: Proposed = decode(&row)?;
                drop_proposal(batch, agent, &proposed);
            }
        }
    }
    match before {
        Some(before) => remove(batch, kind, agent, &before.work),
        None if !make_room(store, batch, agent, work).await? => return Ok(Kept::Full),
        None => {}
    }
    let (row, text) = (keys::work(kind, agent, work), keys::work(TOKENS, agent, work));
    batch.put(Keyspace::Meta, &row, encode(agreed));
    batch.put(Keyspace::Meta, &text, encode(tokens));
    Due::ForgetMeta(row).put(batch, until(work));
    Due::ForgetMeta(text).put(batch, until(work));
    Ok(Kept::New)
}

/// Makes room for one more, if there may be: the oldest of the agent's own goes, and of others the oldest
/// good word for a bad one, of the same worker if there are as many of that one as may be. Nobody shows what is good so often that what is bad finds no place.
async fn make_room(
    store: &dyn Store,
    batch: &mut Batch,
    agent: &Did,
    work: &Work,
) -> Result<bool, StoreFault> {
    if work.is_party(agent) {
        let own = own(store, agent).await?;
        if OUTCOMES_OWN_MAX <= own.len()
            && let Some(oldest) = own.iter().min_by_key(|one| one.work.at)
        {
            remove(batch, OWN, agent, &oldest.work);
        }
        return Ok(true);
    }
    let shown = shown(store, agent).await?;
    let is_of_worker = |one: &&Agreed| one.work.worker.same_subject(&work.worker);
    let is_crowded = OUTCOMES_SHOWN_PER_WORKER_MAX <= shown.iter().filter(is_of_worker).count();
    if shown.len() < OUTCOMES_SHOWN_MAX && !is_crowded {
        return Ok(true);
    }
    let mut good: Vec<&Agreed> = shown.iter().filter(|one| one.work.outcome.is_good()).collect();
    good.retain(|one| !is_crowded || is_of_worker(one));
    let good = good.into_iter().min_by_key(|one| one.work.at);
    match good.filter(|_| !work.outcome.is_good()) {
        Some(good) => {
            remove(batch, SHOWN, agent, &good.work);
            Ok(true)
        }
        None => Ok(false),
    }
}

fn remove(batch: &mut Batch, kind: &[u8; 2], agent: &Did, work: &Work) {
    for key in [keys::work(kind, agent, work), keys::work(TOKENS, agent, work)] {
        batch.delete(Keyspace::Meta, &key);
        Due::ForgetMeta(key).cancel(batch, until(work));
    }
}

/// Reads how an agent's own dealings ended, with whom it worked and who worked for it.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn own(store: &dyn Store, agent: &Did) -> Result<Vec<Agreed>, StoreFault> {
    list(store, OWN, agent, OUTCOMES_OWN_MAX).await
}

/// Reads what an agent was shown of others.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn shown(store: &dyn Store, agent: &Did) -> Result<Vec<Agreed>, StoreFault> {
    list(store, SHOWN, agent, OUTCOMES_SHOWN_MAX).await
}

/// Reads the two signed texts about a piece of work.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn tokens(
    store: &dyn Store,
    agent: &Did,
    work: &Work,
) -> Result<Option<[String; 2]>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::work(TOKENS, agent, work)).await?;
    row.map(|row| decode(&row)).transpose()
}

async fn list<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    kind: &[u8; 2],
    agent: &Did,
    limit: usize,
) -> Result<Vec<T>, StoreFault> {
    let range = KeyRange::prefix(&keys::outcomes(kind, agent));
    let rows = store.read(Keyspace::Meta, range, limit).await?;
    rows.iter().map(|row| decode(&row.value)).collect()
}
