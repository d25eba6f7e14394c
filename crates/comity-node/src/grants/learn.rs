//! What others say about grants: that they give one, and that they take one back. It is a claim of
//! its sender's, and counts as far as that one may say so.

use std::sync::Arc;

use comity_core::event::Event;
use comity_core::inbound::Commit;
use comity_core::limits::GRANTS_GIVEN_MAX;
use comity_core::log::Act;
use comity_core::protocol::grant::GrantMessage;
use comity_core::refusal::Refusal;
use comity_core::trust::{Direction, EntryKind, GRANT_TYPE, GrantChain, Recipient, TokenId};
use comity_didcomm::{Did, Jwt, UnixTime};
use comity_store::records::grants::{Given, Held, Standing, TakenBack};
use comity_store::records::{contacts, documents, grants, relations};
use comity_store::{Batch, StoreFault};

use super::give::write;
use super::wallet::{Room, WALLET_MAX, drop_ended, room_for};
use super::{Failure, record, verify};
use crate::home::Home;

/// What came of a message about grants.
#[derive(Default)]
pub(crate) struct Heard {
    /// Why it cannot be taken now, and its sender has to try again.
    pub(crate) put_off: Option<Refusal>,
    /// What the agent had handed on and has ended.
    ended: Vec<Given>,
    /// What the operator should know.
    pub(crate) happened: Vec<Event>,
}

impl Heard {
    /// Tells those to whom the agent had handed on what has ended. It is a courtesy, and not waited
    /// for.
    pub(crate) fn tell(self, home: &Arc<Home>, commit: &Commit) {
        let Some(agent) = home.identities.by_did(&commit.received().recipient) else { return };
        if self.ended.is_empty() {
            return;
        }
        let home = Arc::clone(home);
        tokio::spawn(async move {
            for given in self.ended {
                let message = GrantMessage::Revoked { ids: vec![given.id], comment: None };
                let to = &given.terms.grantee;
                if let Err(error) = write(&home, &agent, to, message, Batch::new()).await {
                    tracing::debug!(%to, code = error.0.code, "the end of a grant is not told");
                }
            }
        });
    }
}

/// Adds to a message's own batch what follows from it.
pub(crate) async fn from_message(
    home: &Arc<Home>,
    batch: &mut Batch,
    commit: &Commit,
) -> Result<Heard, StoreFault> {
    let (agent, sender) = (&commit.received().recipient, &commit.received().sender);
    let mut heard = Heard::default();
    if home.identities.role(agent) != Some(Recipient::Agent) {
        return Ok(heard);
    }
    let between = (agent, sender);
    let done = match GrantMessage::parse(commit.message()) {
        Ok(GrantMessage::Grant { chain, .. }) => keep(home, batch, between, chain).await,
        Ok(GrantMessage::Revoke { id, until, chain, .. }) => {
            heard.ended = drop_ended(home, batch, between, &[id]).await?;
            let taken = take_back(home, batch, between, (id, until), &chain).await;
            taken.map(|event| heard.happened.extend(event))
        }
        Ok(GrantMessage::Revoked { ids, .. }) => {
            heard.ended = drop_ended(home, batch, between, &ids).await?;
            Ok(())
        }
        Err(_malformed) => Ok(()),
    };
    match done {
        Ok(()) => {}
        Err(Failure::Chain(error)) => {
            tracing::info!(%agent, %sender, code = error.code(), "a grant was not verified");
        }
        Err(Failure::Later) => heard.put_off = Some(Refusal::DidUnavailable),
        Err(Failure::Store(fault)) => return Err(fault),
    }
    Ok(heard)
}

/// Keeps a grant for an agent, if it is the agent's and from the sender.
async fn keep(
    home: &Home,
    batch: &mut Batch,
    (agent, sender): (&Did, &Did),
    chain: Vec<String>,
) -> Result<(), Failure> {
    // Before anything is fetched for it: that of somebody else is none of the sender's business.
    let last = chain.last().and_then(|token| Jwt::parse(token, GRANT_TYPE).ok());
    if !last.is_some_and(|last| last.issuer().same_subject(sender)) {
        return Ok(());
    }
    let now = home.now();
    let granted = verify(home, GrantChain::received(&chain, agent, now)).await?;
    if granted.audience().same_subject(agent) {
        return Ok(());
    }
    let is_known = knows(home, agent, sender).await?;
    let standing = if is_known { Standing::Known } else { Standing::Unasked };
    let Some(held) = Held::new(chain, &granted, standing, now) else { return Ok(()) };
    let wallet = grants::held(home.store.as_ref(), agent, WALLET_MAX).await?;
    if let Room::Free(gone) = room_for(&wallet, &held) {
        gone.into_iter().for_each(|gone| grants::remove_held(batch, agent, gone));
        grants::put_held(batch, agent, &held);
        tracing::info!(%agent, %sender, grant = %held.id, "a grant was given");
    }
    Ok(())
}

/// Whether somebody is no stranger to an agent: it was let in or allowed, or written to from here.
async fn knows(home: &Home, agent: &Did, sender: &Did) -> Result<bool, StoreFault> {
    let store = home.store.as_ref();
    if contacts::contact(store, agent, sender).await?.is_some() {
        return Ok(true);
    }
    for direction in [Direction::In, Direction::Out] {
        let entries = relations::about(store, agent, direction, sender).await?;
        let is_about = |kind: EntryKind, is_named: bool| kind == EntryKind::Allow && is_named;
        if entries.iter().any(|entry| is_about(entry.kind, entry.whom.is(sender))) {
            return Ok(true);
        }
    }
    Ok(documents::last(store, sender).await?.is_some())
}

/// Remembers a revocation by somebody to whom the agent gave the right to hand on. One by somebody
/// else is about nothing that could be shown to the agent.
async fn take_back(
    home: &Home,
    batch: &mut Batch,
    (agent, sender): (&Did, &Did),
    (id, until): (TokenId, UnixTime),
    chain: &[String],
) -> Result<Option<Event>, Failure> {
    let Some(latest) = may_hand_on_until(home, (agent, sender), chain).await? else {
        return Ok(None);
    };
    if until.min(latest) <= home.now() {
        return Ok(None);
    }
    let store = home.store.as_ref();
    // Nobody has seen the token. Were it forgotten as soon as its grantor says, there would be room
    // for another at once, and for what the log and the operator are told of each.
    match grants::take_back(store, batch, (agent, sender), (id, latest)).await? {
        TakenBack::Full => {
            tracing::warn!(%agent, %sender, "too many revocations: one is not remembered");
            Ok(None)
        }
        TakenBack::Known => Ok(None),
        TakenBack::New => {
            record(home, batch, Act::Revoked, (agent, sender), id);
            tracing::info!(%agent, %sender, grant = %id, "a grant that was handed on was revoked");
            Ok(Some(Event::grant_revoked(agent, &id.to_string())))
        }
    }
}

/// Finds out until when what somebody hands on of the right to reach an agent can last: by what the
/// agent gave it, or by the chain that it shows.
async fn may_hand_on_until(
    home: &Home,
    (agent, sender): (&Did, &Did),
    chain: &[String],
) -> Result<Option<UnixTime>, Failure> {
    let given = grants::given_to(home.store.as_ref(), agent, sender, GRANTS_GIVEN_MAX).await?;
    let own = given.iter().filter(|given| {
        given.audience.same_subject(agent) && 0 < given.terms.depth && given.revoked_at.is_none()
    });
    let latest = own.map(|given| given.terms.until).max();
    if latest.is_some() || chain.is_empty() {
        return Ok(latest);
    }
    let granted = verify(home, GrantChain::new(chain, agent, sender, home.now())).await?;
    let may_hand_on = granted.links().last().is_some_and(|last| 0 < last.terms().depth);
    // Who handed it on may do so again, for as long as the agent itself has allowed.
    Ok(granted.links().next().filter(|_| may_hand_on).map(|root| root.terms().until))
}
