//! The vouches that the agents of this home give and hold.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use comity_core::api::{SendAnswer, SendRequest};
use comity_core::inbound::Commit;
use comity_core::limits::{
    SHOWN_CHARS_MAX, TOKENS_PER_MESSAGE_MAX, VOUCHES_GIVEN_MAX, VOUCHES_HELD_MAX,
    VOUCHES_HELD_PER_VOUCHER_MAX, VOUCHES_UNASKED_MAX,
};
use comity_core::protocol::vouch::{VOUCH, VouchMessage, VouchState};
use comity_core::trust::{
    Direction, SignedCredential, TokenId, Vouch, VouchError, VouchTerms, subject,
};
use comity_didcomm::{Did, MessageId};
use comity_store::records::notices::Debts;
use comity_store::records::vouches::{Given, Held, Wish};
use comity_store::records::{outbox, relations, vouches};
use comity_store::{Batch, StoreFault};
use thiserror::Error;

use super::{address, post};
use crate::home::Home;
use crate::identities::Identity;
use crate::outbound::{self, SendError};

/// A vouch that an operator wants given.
pub(crate) struct Wanted {
    pub(crate) terms: VouchTerms,
    /// The thread of the request that it answers.
    pub(crate) thid: Option<String>,
    pub(crate) comment: Option<String>,
}

/// Why a vouch was not given.
#[derive(Debug, Error)]
pub(crate) enum GiveError {
    /// The agent gives as many as it can.
    #[error("the agent gives as many vouches as it can")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// It would be none.
    #[error(transparent)]
    Terms(#[from] VouchError),
}

/// Gives a vouch: it is durable when this returns, and on its way to whom it is about.
pub(crate) async fn give(
    home: &Arc<Home>,
    agent: &Identity,
    wanted: Wanted,
) -> Result<Given, GiveError> {
    let Wanted { terms, thid, comment } = wanted;
    let (kid, key) = agent.sender_keys().signing;
    let token = terms.sign((&kid, &key))?;
    let id = SignedCredential::parse(&token).map_err(|_| VouchError::Malformed)?.id();
    let store = home.store.as_ref();
    if VOUCHES_GIVEN_MAX <= vouches::all_given(store, &agent.did).await?.len() {
        return Err(GiveError::Full);
    }
    let given = Given { id, token: token.clone(), terms, revoked_at: None };
    let mut batch = Batch::new();
    vouches::put_given(&mut batch, &agent.did, &given);
    home.commit(batch, Debts::new(), None).await.map(drop)?;
    tracing::info!(agent = %agent.did, vouched = %given.terms.subject, %id, "a vouch was given");
    let mut path = to_lead(home, &agent.did).await?;
    path.push(token);
    let message = VouchMessage::Vouch { path, comment };
    if let Some(message) = address(message, &agent.did, &given.terms.subject, thid.as_deref()) {
        post(home, message);
    }
    Ok(given)
}

/// Asks somebody to vouch for an agent; it is an ordinary message, and its recipient's to answer.
pub(crate) async fn ask_for(
    home: &Arc<Home>,
    agent: &Identity,
    who: String,
    wish: VouchMessage,
) -> Result<SendAnswer, SendError> {
    let invalid = SendError::Invalid { member: "who", reason: "the message cannot be named" };
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).map_err(|_| invalid)?;
    let message = wish.into_message(id);
    let request = SendRequest {
        to: who,
        type_: Some(format!("{VOUCH}/{}", message.type_.name())),
        body: message.body,
        ..SendRequest::default()
    };
    outbound::send(home, &agent.did, request).await
}

/// Takes a vouch back, and tells those who asked about it and whom it is about. Says nothing of a
/// vouch that the agent does not give.
pub(crate) async fn revoke(
    home: &Arc<Home>,
    agent: &Did,
    id: TokenId,
) -> Result<Option<Given>, StoreFault> {
    let store = home.store.as_ref();
    let Some(mut given) = vouches::given(store, agent, id).await? else { return Ok(None) };
    let mut told = vouches::askers(store, agent, id).await?;
    if !told.iter().any(|asker| asker.same_subject(&given.terms.subject)) {
        told.push(given.terms.subject.clone());
    }
    let now = home.now();
    given.revoked_at = given.revoked_at.or(Some(now));
    let mut batch = Batch::new();
    vouches::put_given(&mut batch, agent, &given);
    home.commit(batch, Debts::new(), None).await.map(drop)?;
    home.vouches.change(|book| book.say(agent, id, VouchState::Revoked, now));
    tracing::info!(%agent, %id, told = told.len(), "a vouch was taken back");
    for peer in told {
        let revoke = VouchMessage::Revoke { ids: vec![id] };
        if let Some(message) = address(revoke, agent, &peer, None) {
            post(home, message);
        }
    }
    Ok(Some(given))
}

/// Says whether a vouch by an agent of this home holds.
pub(super) async fn state(home: &Home, agent: &Did, id: TokenId) -> Result<VouchState, StoreFault> {
    Ok(state_of(vouches::given(home.store.as_ref(), agent, id).await?.as_ref()))
}

pub(super) fn state_of(given: Option<&Given>) -> VouchState {
    match given.map(|given| given.revoked_at) {
        Some(None) => VouchState::Good,
        Some(Some(_)) => VouchState::Revoked,
        None => VouchState::Unknown,
    }
}

/// Puts a vouch that came into the wallet of whom it is about, if its sender signed it. The vouches
/// before it are verified by those who are shown them.
pub(super) async fn keep(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
    mut path: Vec<String>,
) -> Result<(), StoreFault> {
    let received = commit.received();
    let (agent, peer) = (&received.recipient, &received.sender);
    let Some(token) = path.pop() else { return Ok(()) };
    let credential = SignedCredential::parse(&token)
        .ok()
        .and_then(|token| token.verify(commit.document(), home.now()).ok());
    let vouch = credential.and_then(|credential| Vouch::from_credential(&credential).ok());
    let is_for_us = |vouch: &Vouch| {
        vouch.issuer().same_subject(peer) && vouch.terms().subject.same_subject(agent)
    };
    let Some(vouch) = vouch.filter(is_for_us) else {
        tracing::warn!(%agent, %peer, "a vouch that is none was sent");
        return Ok(());
    };
    path.retain(|text| SignedCredential::parse(text).is_ok());
    let wallet = vouches::held(home.store.as_ref(), agent).await?;
    let before = wallet.iter().find(|held| held.id == vouch.id());
    for text in before.iter().flat_map(|held| &held.path) {
        if !path.contains(text) && path.len() + 1 < TOKENS_PER_MESSAGE_MAX {
            path.push(text.clone());
        }
    }
    let wish = match is_wanted(home, commit).await? {
        true => Wish::Asked,
        false => before.map_or(Wish::Unasked, |held| held.wish),
    };
    let unasked = wallet.iter().filter(|held| held.wish == Wish::Unasked).count();
    let own: Vec<_> = wallet.iter().filter(|held| held.voucher.same_subject(peer)).collect();
    // The oldest of its own, and what came by itself before what was asked for.
    let oldest = own.iter().max_by_key(|held| (held.wish, Reverse(held.terms.from)));
    let is_crowded = VOUCHES_HELD_PER_VOUCHER_MAX <= own.len();
    let displaced = oldest.filter(|held| is_crowded && held.wish >= wish);
    let is_full = is_crowded
        || VOUCHES_HELD_MAX <= wallet.len()
        || (wish == Wish::Unasked && VOUCHES_UNASKED_MAX <= unasked);
    if before.is_none()
        && let Some(displaced) = displaced
    {
        vouches::remove_held(batch, agent, displaced.id);
    } else if before.is_none() && is_full {
        tracing::warn!(%agent, %peer, "there is no room for another vouch");
        return Ok(());
    }
    let (id, voucher, terms) = (vouch.id(), vouch.issuer().clone(), vouch.terms().clone());
    vouches::put_held(batch, agent, &Held { id, token, voucher, terms, path, wish });
    tracing::info!(%agent, %peer, %id, "a vouch came");
    Ok(())
}

/// Whether the agent wrote to the voucher in this thread, or its operator allowed it.
async fn is_wanted(home: &Home, commit: &Commit) -> Result<bool, StoreFault> {
    let (store, received) = (home.store.as_ref(), commit.received());
    let (agent, peer) = (&received.recipient, &received.sender);
    if outbox::wrote_in_thread(store, agent, peer, &received.thid).await?.is_some() {
        return Ok(true);
    }
    let entries = relations::about(store, agent, Direction::In, peer).await?;
    Ok(entries.iter().any(|entry| entry.allows(home.now()) && entry.whom.is(peer)))
}

/// Shows vouches no more that their voucher took back.
pub(super) async fn lose(
    home: &Home,
    batch: &mut Batch,
    agent: &Did,
    (voucher, ids): (&Did, &[TokenId]),
) -> Result<(), StoreFault> {
    let wallet = vouches::held(home.store.as_ref(), agent).await?;
    let is_lost = |held: &&Held| ids.contains(&held.id) && held.voucher.same_subject(voucher);
    for held in wallet.iter().filter(is_lost) {
        vouches::remove_held(batch, agent, held.id);
    }
    Ok(())
}

/// Returns what an agent shows with a message, in at most so many tokens: what was asked for before
/// what came by itself, short ways before long ones.
pub(crate) async fn to_show(
    home: &Home,
    agent: &Did,
    room: usize,
) -> Result<Vec<String>, StoreFault> {
    let now = home.now();
    let mut wallet = vouches::held(home.store.as_ref(), agent).await?;
    wallet.retain(|held| now < held.terms.until);
    wallet.sort_by_key(|held| (held.wish, held.path.len(), Reverse(held.terms.until)));
    Ok(pick(wallet.iter(), room))
}

/// Returns the ways by which others may come to believe an agent's own vouches.
async fn to_lead(home: &Home, agent: &Did) -> Result<Vec<String>, StoreFault> {
    let now = home.now();
    let mut wallet = vouches::held(home.store.as_ref(), agent).await?;
    wallet.retain(|held| now < held.terms.until && 0 < held.terms.depth);
    wallet.sort_by_key(|held| (held.wish, held.path.len(), Reverse(held.terms.until)));
    Ok(pick(wallet.iter(), TOKENS_PER_MESSAGE_MAX - 1))
}

/// Picks vouches with the whole way to each, as long as there is room: one of each voucher before a
/// second of any.
fn pick<'a>(wallet: impl Iterator<Item = &'a Held>, room: usize) -> Vec<String> {
    let mut picked: Vec<String> = Vec::new();
    let mut vouchers = BTreeSet::new();
    let (first, more): (Vec<_>, Vec<_>) =
        wallet.partition(|held| vouchers.insert(subject(&held.voucher)));
    for held in first.into_iter().chain(more) {
        let way = held.path.iter().chain([&held.token]);
        let new: Vec<_> = way.filter(|text| !picked.contains(text)).cloned().collect();
        let chars: usize = picked.iter().chain(&new).map(String::len).sum();
        if picked.len() + new.len() <= room && chars <= SHOWN_CHARS_MAX {
            picked.extend(new);
        }
    }
    picked
}
