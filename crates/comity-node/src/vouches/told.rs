//! What messages of vouch/1.0 tell an agent's home, and what it answers.

use std::sync::Arc;

use comity_core::inbound::{Commit, Placement};
use comity_core::limits::{VOUCH_ASKERS_MAX, VOUCH_STATUS_S_MAX};
use comity_core::protocol::is_for_home;
use comity_core::protocol::vouch::{VouchMessage, VouchState, VouchStatus};
use comity_core::trust::TokenId;
use comity_didcomm::{Did, Message};
use comity_store::records::{revocations, vouches};
use comity_store::{Batch, StoreFault};

use super::{address, wallet};
use crate::home::Home;

/// Adds to a message's own batch what it tells about vouches; returns the answers. What is no message
/// of the protocol, or malformed, tells nothing.
pub(crate) async fn from_message(
    home: &Arc<Home>,
    batch: &mut Batch,
    commit: &Commit,
) -> Result<Option<Message>, StoreFault> {
    let (message, received) = (commit.message(), commit.received());
    if !matches!(commit.placement(), Placement::Home) || !is_for_home(&message.type_) {
        return Ok(None);
    }
    let Ok(told) = VouchMessage::parse(message) else { return Ok(None) };
    let (agent, peer) = (&received.recipient, &received.sender);
    match told {
        VouchMessage::Decline { .. } => tracing::info!(%agent, %peer, "a vouch was declined"),
        VouchMessage::Query { ids } => {
            let status = answer(home, batch, (agent, peer), ids).await?;
            let status = VouchMessage::Status(status);
            return Ok(address(status, agent, peer, Some(message.thread_id())));
        }
        VouchMessage::Revoke { ids } => {
            for id in ids {
                if home.vouches.change(|book| book.say(peer, id, VouchState::Revoked, home.now())) {
                    remember_revoked(home, batch, peer, id);
                }
                wallet::lose(home, batch, agent, (peer, id)).await?;
            }
        }
        VouchMessage::Status(status) => {
            let until = status.holds_until(home.now());
            for (id, state) in &status.vouches {
                let is_news = home.vouches.change(|book| book.answer(peer, *id, *state, until));
                if is_news && *state == VouchState::Revoked {
                    remember_revoked(home, batch, peer, *id);
                }
            }
        }
        VouchMessage::Vouch { path, .. } => wallet::keep(home, batch, commit, path).await?,
        VouchMessage::Request { .. } => {}
    }
    Ok(None)
}

fn remember_revoked(home: &Home, batch: &mut Batch, issuer: &Did, id: TokenId) {
    tracing::info!(%issuer, %id, "a vouch was revoked");
    if let Some(until) = home.vouches.book().until(id, issuer) {
        revocations::put(batch, issuer, id, until);
    }
}

/// Says which vouches of an agent hold, and remembers who asked, to tell it when that changes.
async fn answer(
    home: &Home,
    batch: &mut Batch,
    (agent, asker): (&Did, &Did),
    ids: Vec<TokenId>,
) -> Result<VouchStatus, StoreFault> {
    let store = home.store.as_ref();
    let mut states = Vec::with_capacity(ids.len());
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
    Ok(VouchStatus { vouches: states, at: home.now(), valid_for_s: VOUCH_STATUS_S_MAX })
}
