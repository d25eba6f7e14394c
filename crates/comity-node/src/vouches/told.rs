//! What messages of vouch/1.0 tell an agent's home, and what it answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_core::event::Event;
use comity_core::inbound::{Commit, Placement};
use comity_core::limits::{VOUCH_ASKERS_MAX, VOUCH_STATUS_S_MAX};
use comity_core::protocol::is_for_home;
use comity_core::protocol::vouch::{VouchMessage, VouchState, VouchStatus};
use comity_core::trust::{TokenId, VouchBook};
use comity_didcomm::{Did, Message};
use comity_store::records::{revocations, vouches};
use comity_store::{Batch, StoreFault};

use super::{address, wallet};
use crate::home::Home;

/// Adds to a message's own batch what it tells about vouches; returns the answer, and what operators
/// should know. What is no message of the protocol, or malformed, tells nothing.
pub(crate) async fn from_message(
    home: &Arc<Home>,
    batch: &mut Batch,
    commit: &Commit,
) -> Result<(Option<Message>, Vec<Event>), StoreFault> {
    let (message, received) = (commit.message(), commit.received());
    if !matches!(commit.placement(), Placement::Home) || !is_for_home(&message.type_) {
        return Ok((None, Vec::new()));
    }
    let Ok(told) = VouchMessage::parse(message) else { return Ok((None, Vec::new())) };
    let mut happened = Vec::new();
    let (agent, peer) = (&received.recipient, &received.sender);
    match told {
        VouchMessage::Decline { .. } => tracing::info!(%agent, %peer, "a vouch was declined"),
        VouchMessage::Query { ids } => {
            let status = answer(home, batch, (agent, peer), ids).await?.map(VouchMessage::Status);
            let thid = Some(message.thread_id());
            return Ok((status.and_then(|status| address(status, agent, peer, thid)), happened));
        }
        VouchMessage::Revoke { ids } => {
            let told: Vec<_> = ids.iter().map(|id| (*id, VouchState::Revoked)).collect();
            happened = hear(home, batch, peer, &told, |book, id, state| {
                book.say(peer, id, state, home.now())
            });
            wallet::lose(home, batch, agent, (peer, &ids)).await?;
        }
        VouchMessage::Status(status) => {
            let until = status.holds_until(home.now());
            happened = hear(home, batch, peer, &status.vouches, |book, id, state| {
                book.answer(peer, id, state, until)
            });
        }
        VouchMessage::Vouch { path, .. } => wallet::keep(home, batch, commit, path).await?,
        VouchMessage::Request { .. } => {}
    }
    Ok((None, happened))
}

/// Takes what an issuer says of its own into the book, all at once: each change copies the book, so
/// what is about nothing in it is no change.
fn hear(
    home: &Home,
    batch: &mut Batch,
    issuer: &Did,
    told: &[(TokenId, VouchState)],
    take: impl Fn(&mut VouchBook, TokenId, VouchState) -> bool,
) -> Vec<Event> {
    let book = home.vouches.book();
    let mut known: Vec<_> = told.iter().filter(|(id, _)| book.knows(*id, issuer)).collect();
    // Else the change would have to copy it.
    drop(book);
    if known.is_empty() {
        return Vec::new();
    }
    home.vouches.change(|book| known.retain(|(id, state)| take(book, *id, *state)));
    let revoked = known.into_iter().filter(|(_, state)| *state == VouchState::Revoked);
    revoked.filter_map(|(id, _)| remember_revoked(home, batch, issuer, *id)).collect()
}

fn remember_revoked(home: &Home, batch: &mut Batch, issuer: &Did, id: TokenId) -> Option<Event> {
    tracing::info!(%issuer, %id, "a vouch was revoked");
    let book = home.vouches.book();
    if let Some(until) = book.until(id, issuer) {
        revocations::put(batch, issuer, id, until);
    }
    // A credential of another kind is no vouch.
    let vouch = book.given_by(issuer).find(|vouch| vouch.id() == id)?;
    Some(Event::vouch_revoked(issuer, &vouch.terms().subject, &id.to_string()))
}

/// Says which vouches of an agent hold, and remembers who asked, to tell it when that changes. Says
/// nothing when none of them is the agent's: an answer to whoever makes up names and cannot be
/// reached would wait in the outbox for nothing.
async fn answer(
    home: &Home,
    batch: &mut Batch,
    (agent, asker): (&Did, &Did),
    mut ids: Vec<TokenId>,
) -> Result<Option<VouchStatus>, StoreFault> {
    let store = home.store.as_ref();
    let mut states = Vec::with_capacity(ids.len());
    // Each is looked up once, however often it was named.
    let mut named = BTreeSet::new();
    ids.retain(|id| named.insert(*id));
    for id in ids {
        let given = vouches::given(store, agent, id).await?;
        if let Some(given) = &given
            && given.revoked_at.is_none()
            && vouches::askers(store, agent, id).await?.len() < VOUCH_ASKERS_MAX
        {
            vouches::put_asker(batch, agent, given, asker);
        }
        states.push((id, wallet::state_of(given.as_ref())));
    }
    let is_any_ours = states.iter().any(|(_, state)| *state != VouchState::Unknown);
    let (at, valid_for_s) = (home.now(), VOUCH_STATUS_S_MAX);
    Ok(is_any_ours.then_some(VouchStatus { vouches: states, at, valid_for_s }))
}
