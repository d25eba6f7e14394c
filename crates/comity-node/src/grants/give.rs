//! What an operator does with the grants of an agent: give, hand on, take back, add.

use std::sync::Arc;

use comity_core::api::{GiveGrant, parse_rfc3339};
use comity_core::event::Event;
use comity_core::limits::{GRANT_S_DEFAULT, GRANTS_GIVEN_MAX, REASON_CHARS_MAX};
use comity_core::log::Act;
use comity_core::outbound::Unsendable;
use comity_core::protocol::grant::GrantMessage;
use comity_core::trust::{
    Grant, GrantChain, GrantError, GrantTerms, Level, Limits, NarrowError, TokenId, subject,
};
use comity_didcomm::{Did, MessageId, ProtocolId, UnixTime};
use comity_store::Batch;
use comity_store::records::grants::{Given, Held, Standing};
use comity_store::records::notices::Debts;
use comity_store::records::{events, grants, revocations};

use super::wallet::{Room, WALLET_MAX, room_for};
use super::{Failure, record, verify};
use crate::home::{Committed, Home};
use crate::identities::Identity;
use crate::outbound::{self, SendError};
use crate::problem::{ApiCode, ApiError};

/// What was done with a grant, and who hears of it.
pub(crate) struct Outcome {
    pub(crate) given: Given,
    pub(crate) told: Vec<Did>,
    pub(crate) not_told: Vec<Did>,
}

/// What is asked for, read; what is absent is for the case to choose.
struct Asked {
    grantee: Did,
    scope: Vec<ProtocolId>,
    level: Option<Level>,
    until: Option<UnixTime>,
    limits: Limits,
}

/// Gives somebody access to an agent.
pub(crate) async fn give(
    home: &Arc<Home>,
    agent: &Identity,
    wish: &GiveGrant,
) -> Result<Outcome, ApiError> {
    let asked = read(home, agent, wish).await?;
    let (policy, now) = (home.policies.of(&agent.name), home.now());
    let terms = GrantTerms {
        grantee: asked.grantee,
        level: asked.level.unwrap_or_else(|| policy.level_for(&asked.scope)),
        scope: asked.scope,
        limits: asked.limits,
        from: now,
        until: asked.until.unwrap_or(now.saturating_add(GRANT_S_DEFAULT)),
        depth: wish.depth,
        name: uuid::Uuid::now_v7().to_string(),
    };
    let keys = agent.sender_keys();
    let token = Grant::issue(&terms, (&keys.signing.0, &keys.signing.1));
    let token = token.map_err(|error| not_so(&NarrowError::Terms(error)))?;
    hand_out(home, agent, vec![token], &terms.grantee, wish).await
}

/// Hands on a part of what an agent holds.
pub(crate) async fn hand_on(
    home: &Arc<Home>,
    agent: &Identity,
    id: &str,
    wish: &GiveGrant,
) -> Result<Outcome, ApiError> {
    let held = grants::held(home.store.as_ref(), &agent.did, WALLET_MAX).await?;
    let held = pick(held, id, |held| held.id)?;
    let asked = read(home, agent, wish).await?;
    let now = home.now();
    let granted = verify(home, GrantChain::received(&held.chain, &agent.did, now)).await?;
    let have = held.terms;
    let terms = GrantTerms {
        grantee: asked.grantee,
        scope: if asked.scope.is_empty() { have.scope } else { asked.scope },
        level: asked.level.unwrap_or(have.level),
        limits: Limits {
            messages_per_day: asked.limits.messages_per_day.or(have.limits.messages_per_day),
            bytes_per_day: asked.limits.bytes_per_day.or(have.limits.bytes_per_day),
            tasks_open: asked.limits.tasks_open.or(have.limits.tasks_open),
        },
        from: now.max(have.from),
        until: asked.until.unwrap_or(now.saturating_add(GRANT_S_DEFAULT).min(have.until)),
        depth: wish.depth,
        name: uuid::Uuid::now_v7().to_string(),
    };
    let keys = agent.sender_keys();
    let token = granted.narrow(&terms, (&keys.signing.0, &keys.signing.1));
    let mut chain = held.chain;
    chain.push(token.map_err(|error| not_so(&error))?);
    hand_out(home, agent, chain, &terms.grantee, wish).await
}

/// Takes back a grant that an agent gave or handed on. It holds from the next message on where the
/// agent it gives access to lives here; elsewhere from when its home is told.
pub(crate) async fn revoke(
    home: &Arc<Home>,
    agent: &Identity,
    id: &str,
) -> Result<Outcome, ApiError> {
    let given = grants::given(home.store.as_ref(), &agent.did, GRANTS_GIVEN_MAX).await?;
    let mut given = pick(given, id, |given| given.id)?;
    let (id, until) = (given.id, given.terms.until);
    let mut batch = Batch::new();
    revocations::put(&mut batch, &agent.did, id, until);
    if given.revoked_at.is_none() {
        given.revoked_at = Some(home.now());
        grants::put_given(&mut batch, &agent.did, &given);
        record(home, &mut batch, Act::Revoked, (&agent.did, &given.terms.grantee), id);
        let event = Event::grant_revoked(&given.audience, &id.to_string());
        events::put(&mut batch, home.now(), vec![event]);
    }
    // First of all, and whoever can be told.
    let _committed: Committed = home.commit(batch, Debts::new(), None).await?;
    home.news.wake();
    tracing::info!(agent = %agent.did, grant = %id, "the operator took a grant back");
    let mut outcome = Outcome { given, told: Vec::new(), not_told: Vec::new() };
    let Given { chain, audience, terms, .. } = &outcome.given;
    let mut letters = Vec::new();
    // A home knows what its own agents took back.
    if home.identities.by_did(audience).is_none() {
        let before = chain.split_last().map_or(Vec::new(), |(_, before)| before.to_vec());
        letters.push((audience.clone(), before));
    }
    letters.push((terms.grantee.clone(), Vec::new()));
    for (to, chain) in letters {
        let revoke = GrantMessage::Revoke { id, until, chain, comment: None };
        match write(home, agent, &to, revoke, Batch::new()).await {
            Ok(()) => outcome.told.push(to),
            Err(error) => {
                tracing::warn!(%to, code = error.0.code, "a revocation is not on its way");
                outcome.not_told.push(to);
            }
        }
    }
    Ok(outcome)
}

/// Keeps a grant that came by other means.
pub(crate) async fn add(home: &Arc<Home>, agent: &Identity, chain: &str) -> Result<Held, ApiError> {
    let chain: Vec<String> = chain.split_whitespace().map(ToOwned::to_owned).collect();
    let now = home.now();
    let granted = verify(home, GrantChain::received(&chain, &agent.did, now)).await?;
    let held = Held::new(chain, &granted, Standing::Added, now);
    let held = held.ok_or_else(|| ApiError::of(ApiCode::BadGrant, "Ask its grantor"))?;
    let wallet = grants::held(home.store.as_ref(), &agent.did, WALLET_MAX).await?;
    let mut batch = Batch::new();
    match room_for(&wallet, &held) {
        Room::Free(gone) => {
            gone.into_iter().for_each(|gone| grants::remove_held(&mut batch, &agent.did, gone));
        }
        Room::Full => return Err(too_many()),
        Room::Held => return Ok(held),
    }
    grants::put_held(&mut batch, &agent.did, &held);
    let _committed: Committed = home.commit(batch, Debts::new(), None).await?;
    Ok(held)
}

async fn read(home: &Home, agent: &Identity, wish: &GiveGrant) -> Result<Asked, ApiError> {
    let bad = |title: &str, hint: &str| ApiError::new(ApiCode::BadRequest, title, hint);
    let grantee = subject(&outbound::resolve_who(home, &wish.who).await?);
    if grantee.same_subject(&agent.did) {
        return Err(bad("An agent needs no grant from itself", "Name somebody else"));
    }
    let scope = wish.protocols.iter().map(|piuri| piuri.parse()).collect::<Result<_, _>>();
    let scope = scope.map_err(|_| {
        bad("That is not a protocol identifier", "Give a URI such as https://example.org/offer/1.0")
    })?;
    let level = wish
        .level
        .as_ref()
        .map(|word| word.parse())
        .transpose()
        .map_err(|_| bad("That is not a level", "Give introduced, message, task or execute"))?;
    let until = match &wish.until {
        None => None,
        Some(text) => Some(parse_rfc3339(text).ok_or_else(|| {
            bad("That is not a date", "Give YYYY-MM-DD or a time as in RFC 3339")
        })?),
    };
    if until.is_some_and(|until| until <= home.now()) {
        return Err(bad("That date has passed", "Give a later one; absent, it is 30 days"));
    }
    if wish.comment.as_ref().is_some_and(|text| REASON_CHARS_MAX < text.chars().count()) {
        return Err(bad("The comment is too long", "Use at most 500 characters"));
    }
    let limits = Limits {
        messages_per_day: wish.messages_per_day,
        bytes_per_day: wish.bytes_per_day,
        tasks_open: wish.tasks_open,
    };
    Ok(Asked { grantee, scope, level, until, limits })
}

/// Records a grant that was just signed, and sends it to its grantee.
async fn hand_out(
    home: &Arc<Home>,
    agent: &Identity,
    chain: Vec<String>,
    grantee: &Did,
    wish: &GiveGrant,
) -> Result<Outcome, ApiError> {
    // Nothing goes out that its grantee would not take.
    let granted = verify(home, GrantChain::received(&chain, grantee, home.now())).await?;
    let given = Given::new(chain, &granted, home.now());
    let given = given.ok_or_else(|| ApiError::of(ApiCode::BadGrant, "Ask for less"))?;
    let before = grants::given(home.store.as_ref(), &agent.did, GRANTS_GIVEN_MAX).await?;
    if GRANTS_GIVEN_MAX <= before.len() {
        return Err(too_many());
    }
    let mut batch = Batch::new();
    grants::put_given(&mut batch, &agent.did, &given);
    record(home, &mut batch, Act::Granted, (&agent.did, grantee), given.id);
    let (id, until) = (given.id.to_string(), given.terms.until);
    let event = Event::grant_issued(&agent.did, &id, grantee, until);
    events::put(&mut batch, home.now(), vec![event]);
    let mut outcome = Outcome { given, told: Vec::new(), not_told: Vec::new() };
    if wish.unsent {
        let _committed: Committed = home.commit(batch, Debts::new(), None).await?;
        outcome.not_told.push(grantee.clone());
    } else {
        let chain = outcome.given.chain.clone();
        let message = GrantMessage::Grant { chain, comment: wish.comment.clone() };
        write(home, agent, grantee, message, batch).await?;
        outcome.told.push(grantee.clone());
    }
    home.news.wake();
    tracing::info!(agent = %agent.did, %grantee, grant = %outcome.given.id, "the operator gave a grant");
    Ok(outcome)
}

/// Queues a message of an agent's home, in the batch of what it says.
pub(super) async fn write(
    home: &Arc<Home>,
    agent: &Identity,
    to: &Did,
    message: GrantMessage,
    batch: Batch,
) -> Result<(), ApiError> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string())
        .map_err(|_| ApiError::of(ApiCode::Fault, "See the node's log"))?;
    let message = message.into_message(id).with_from(agent.did.clone()).with_to([to.clone()]);
    let notice = outbound::prepare_to_peer(home, message).await.map_err(SendError::Unsendable)?;
    match home.commit(batch, Debts::new(), Some(notice)).await? {
        Committed::Durable => Ok(()),
        Committed::Conflict(_) => Err(SendError::Unsendable(Unsendable::OutboxFull).into()),
    }
}

/// Finds a grant by its id, or by how that begins.
fn pick<T>(grants: Vec<T>, id: &str, id_of: fn(&T) -> TokenId) -> Result<T, ApiError> {
    let mut found = grants.into_iter().filter(|grant| id_of(grant).to_string().starts_with(id));
    let hint = "See comity grant list for its id";
    let first = found.next().filter(|_| !id.is_empty());
    let first = first.ok_or_else(|| ApiError::of(ApiCode::NoSuchGrant, hint))?;
    if found.next().is_some() {
        let title = "The ids of several grants begin with this";
        return Err(ApiError::new(ApiCode::NoSuchGrant, title, "Give more of the id"));
    }
    Ok(first)
}

fn not_so(error: &NarrowError) -> ApiError {
    let title = format!("That cannot be granted: {error}");
    ApiError::new(ApiCode::BadGrant, &title, "Ask for less; comity grant list shows what is held")
}

fn too_many() -> ApiError {
    ApiError::of(ApiCode::TooManyGrants, "Wait until some have run out: comity grant list")
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Chain(GrantError::Malformed) => {
                let hint = "Give its tokens, the first one first, as comity grant give --print writes them";
                Self::new(ApiCode::BadGrant, "That is no grant", hint)
            }
            Failure::Chain(GrantError::Holder) => {
                let hint = "Add it to the agent that it was given to";
                Self::new(ApiCode::BadGrant, "The grant was given to somebody else", hint)
            }
            Failure::Chain(error) => {
                let title = format!("The grant does not hold: {error}");
                Self::new(ApiCode::BadGrant, &title, "Ask its grantor for a new one")
            }
            Failure::Later => {
                let hint = "Try again: the home of a grantor does not answer at this moment";
                Self::of(ApiCode::Unresolvable, hint)
            }
            Failure::Store(fault) => fault.into(),
        }
    }
}
