//! What an operator does about outcomes: propose, agree, carry in, show.

use std::sync::Arc;

use comity_core::api::{ImportedOutcomes, ProposeOutcome, ShownOutcomes};
use comity_core::limits::{OUTCOMES_PER_MESSAGE_MAX, REASON_CHARS_MAX};
use comity_core::outbound::Unsendable;
use comity_core::protocol::outcome::OutcomeMessage;
use comity_core::trust::{Ending, SignedOutcome, TokenId, Work, subject};
use comity_didcomm::{Did, Message, MessageId, MessageType, ProtocolId};
use comity_store::records::notices::Debts;
use comity_store::records::outcomes::{self, Agreed, Kept, Proposed, Side};
use comity_store::records::{MessageKey, mailbox, outbox};
use comity_store::{Batch, Conflict, StoreFault};

use super::{Unproven, had_thread, keep, verify, verify_side};
use crate::home::{Committed, Home};
use crate::identities::Identity;
use crate::outbound::{self, SendError};
use crate::problem::{ApiCode, ApiError};

/// What is known of a piece of work from the messages about it.
struct About {
    peer: Did,
    thid: String,
    protocol: Option<ProtocolId>,
    /// Whether the agent began the thread, if that is known.
    is_ours: Option<bool>,
}

/// Signs how a piece of work ended, and proposes it to the other side.
pub(crate) async fn propose(
    home: &Arc<Home>,
    agent: &Identity,
    wish: &ProposeOutcome,
) -> Result<Proposed, ApiError> {
    if wish.comment.as_ref().is_some_and(|text| REASON_CHARS_MAX < text.chars().count()) {
        return Err(bad("The comment is too long", "Use at most 500 characters"));
    }
    let outcome: Ending = wish.ended.parse().map_err(|_| {
        bad("That is no outcome", "Give accepted, done, refused, disputed or expired")
    })?;
    let about = about(home, agent, wish).await?;
    let protocol = match (&wish.protocol, about.protocol) {
        (Some(text), _) => text.parse().map_err(|_| {
            let hint = "Give a URI such as https://example.org/offer/1.0";
            bad("That is not a protocol identifier", hint)
        })?,
        (None, Some(protocol)) => protocol,
        (None, None) => {
            let hint = "Say by which it was asked for: --protocol PIURI";
            return Err(bad("The message does not tell the protocol", hint));
        }
    };
    let is_worker = match (wish.worker.as_deref(), about.is_ours) {
        (Some("us"), _) => true,
        (Some("them"), _) => false,
        (Some(_), _) => return Err(bad("That is neither side", "Give us or them")),
        (None, Some(is_ours)) => !is_ours,
        (None, None) => {
            let hint = "Say who: --worker us or --worker them";
            return Err(bad("The thread does not tell who worked for whom", hint));
        }
    };
    let (us, them) = (subject(&agent.did), subject(&about.peer));
    let (worker, client) = if is_worker { (us, them) } else { (them, us) };
    let work = Work { worker, client, thid: about.thid, protocol, outcome, at: home.now() };
    let keys = agent.sender_keys();
    let unsigned = |error| bad(&format!("It cannot be signed: {error}"), "Name another thread");
    let token = work.sign((&keys.signing.0, &keys.signing.1)).map_err(unsigned)?;
    let proposal = SignedOutcome::parse(&token)
        .and_then(|signed| signed.verify(&agent.document, home.now()))
        .map_err(unsigned)?;
    let id = proposal.id();
    let message = OutcomeMessage::Propose { token: token.clone(), comment: wish.comment.clone() };
    let message = address(message, agent, &about.peer, None)?;
    let side = Side::Ours;
    let message_id = message.id.as_str().to_owned();
    let proposed =
        Proposed { id, side, work, token, message: message_id, comment: wish.comment.clone() };
    let (mut batch, store) = (Batch::new(), home.store.as_ref());
    match outcomes::propose(store, &mut batch, &agent.did, &proposed, home.now()).await? {
        Kept::New => {}
        Kept::Known => {
            let hint = "See comity outcome list";
            return Err(bad("How this work ended is agreed already, a moment ago", hint));
        }
        Kept::Full => return Err(ApiError::of(ApiCode::TooManyOutcomes, "Agree to some first")),
    }
    send(home, batch, message).await?;
    tracing::info!(agent = %agent.did, peer = %about.peer, %outcome, "an outcome is proposed");
    Ok(proposed)
}

/// Finds the work that a message or a thread is about.
async fn about(home: &Home, agent: &Identity, wish: &ProposeOutcome) -> Result<About, ApiError> {
    let who = match &wish.who {
        Some(who) => Some(subject(&outbound::resolve_who(home, who).await?)),
        None => None,
    };
    let is_with = |peer: &Did| who.as_ref().is_none_or(|who| who.same_subject(peer));
    let store = home.store.as_ref();
    let mut found = Vec::new();
    if let Some(sent) = outbox::sent(store, MessageKey::sent(&agent.did, &wish.about)).await? {
        found.push((sent.recipient, sent.thid, sent.type_));
    }
    for key in mailbox::find_by_id(store, &agent.did, &wish.about).await? {
        if let Some((known, _)) = mailbox::known(store, key).await? {
            let received = known.received;
            found.push((received.sender, received.thid, received.type_));
        }
    }
    found.retain(|(peer, ..)| is_with(peer));
    let several = found
        .iter()
        .any(|(peer, ..)| found.first().is_some_and(|(first, ..)| !first.same_subject(peer)));
    if several {
        return Err(bad("Several peers used this message id", "Say with whom: --with WHO"));
    }
    let (peer, thid, type_) = match (found.into_iter().next(), who) {
        (Some((peer, thid, type_)), _) => (peer, thid, Some(type_)),
        (None, Some(who)) => (who, wish.about.clone(), None),
        (None, None) => {
            let hint = "Give the id of a message, or a thread and --with WHO";
            return Err(ApiError::of(ApiCode::NoSuchMessage, hint));
        }
    };
    if !had_thread(home, &agent.did, &peer, &thid).await? {
        return Err(ApiError::of(
            ApiCode::NoSuchThread,
            "Work is what two wrote to each other about",
        ));
    }
    let (began, is_ours) = beginning(home, &agent.did, &peer, &thid).await?;
    let protocol = began.or(type_).and_then(|type_| type_.parse::<MessageType>().ok());
    let protocol = protocol.map(|type_| type_.protocol().clone());
    Ok(About { peer, thid, protocol, is_ours })
}

/// Finds the type of the message that began a thread, and whether it was the agent's.
async fn beginning(
    home: &Home,
    agent: &Did,
    peer: &Did,
    thid: &str,
) -> Result<(Option<String>, Option<bool>), StoreFault> {
    let store = home.store.as_ref();
    let sent = outbox::sent(store, MessageKey::sent(agent, thid)).await?;
    if let Some(sent) = sent.filter(|sent| sent.recipient.same_subject(peer)) {
        return Ok((Some(sent.type_), Some(true)));
    }
    let received = mailbox::known(store, MessageKey::received(agent, peer, thid)).await?;
    Ok(match received {
        Some((known, _)) => (Some(known.received.type_), Some(false)),
        None => (None, None),
    })
}

/// Signs what the other side proposes, keeps it, and sends it back. What is agreed already is only sent
/// again, should it have been lost.
pub(crate) async fn agree(
    home: &Arc<Home>,
    agent: &Identity,
    id: &str,
) -> Result<Agreed, ApiError> {
    let none = || ApiError::of(ApiCode::NoSuchProposal, "See comity outcome list");
    let id: TokenId = id.parse().map_err(|_| none())?;
    let store = home.store.as_ref();
    let own = outcomes::own(store, &agent.did).await?;
    if let Some(agreed) = own.into_iter().find(|one| one.id == id)
        && let Some(tokens) = outcomes::tokens(store, &agent.did, &agreed.work).await?
    {
        hand_back(home, agent, (&agreed, tokens), None, Batch::new()).await?;
        return Ok(agreed);
    }
    let mut waiting = outcomes::proposals(store, &agent.did).await?.into_iter();
    let theirs = waiting.find(|one| one.side == Side::Theirs && one.id == id).ok_or_else(none)?;
    let proposal = verify_side(home, &theirs.token).await.map_err(|error| unproven(&error))?;
    let keys = agent.sender_keys();
    let ours = proposal.agree((&keys.signing.0, &keys.signing.1));
    let ours = ours.map_err(|error| unproven(&error.into()))?;
    let outcome = SignedOutcome::parse(&ours)
        .and_then(|signed| signed.verify(&agent.document, home.now()))
        .and_then(|ours| proposal.with(&ours))
        .map_err(|error| unproven(&error.into()))?;
    let tokens = [theirs.token, ours];
    let mut batch = Batch::new();
    if keep(home, &mut batch, &agent.did, &outcome, &tokens).await? == Kept::Known {
        let hint = "See comity outcome list; the other side may propose it anew";
        return Err(bad("Something later is agreed about this work, or it is a year old", hint));
    }
    let agreed = Agreed { id, work: outcome.work().clone() };
    hand_back(home, agent, (&agreed, tokens), Some(theirs.message), batch).await?;
    tracing::info!(agent = %agent.did, outcome = %agreed.work.outcome, "an outcome is agreed");
    Ok(agreed)
}

/// Sends the other side what both signed.
async fn hand_back(
    home: &Arc<Home>,
    agent: &Identity,
    (agreed, tokens): (&Agreed, [String; 2]),
    thid: Option<String>,
    batch: Batch,
) -> Result<(), ApiError> {
    let peer = agreed.work.other_than(&agent.did);
    let message = OutcomeMessage::Agreed { outcomes: vec![tokens] };
    send(home, batch, address(message, agent, peer, thid)?).await
}

/// Takes outcomes that were carried here, each verified.
pub(crate) async fn import(
    home: &Arc<Home>,
    agent: &Identity,
    carried: &[[String; 2]],
) -> Result<ImportedOutcomes, ApiError> {
    let mut imported = ImportedOutcomes::default();
    for tokens in carried {
        let outcome = match verify(home, tokens).await {
            Ok(outcome) => outcome,
            Err(error) => {
                imported.refused += 1;
                imported.why.get_or_insert_with(|| error.to_string());
                continue;
            }
        };
        let mut batch = Batch::new();
        // One by one: what is counted for the next has to be there.
        let kept = keep(home, &mut batch, &agent.did, &outcome, tokens).await?;
        let _committed: Committed = home.commit(batch, Debts::new(), None).await?;
        *match kept {
            Kept::New => &mut imported.kept,
            Kept::Known => &mut imported.known,
            Kept::Full => &mut imported.full,
        } += 1;
    }
    Ok(imported)
}

/// Shows somebody the newest outcomes of an agent's own work.
pub(crate) async fn show(
    home: &Arc<Home>,
    agent: &Identity,
    who: &str,
) -> Result<ShownOutcomes, ApiError> {
    let to = outbound::resolve_who(home, who).await?;
    let store = home.store.as_ref();
    let mut own = outcomes::own(store, &agent.did).await?;
    own.retain(|one| one.work.worker.same_subject(&agent.did));
    own.sort_by_key(|one| std::cmp::Reverse(one.work.at));
    let mut tokens = Vec::new();
    for agreed in own.iter().take(OUTCOMES_PER_MESSAGE_MAX) {
        tokens.extend(outcomes::tokens(store, &agent.did, &agreed.work).await?);
    }
    if tokens.is_empty() {
        let hint = "See comity outcome list; both sides have to sign";
        return Err(ApiError::new(ApiCode::BadRequest, "There is nothing to show yet", hint));
    }
    let outcomes = tokens.len();
    let message = address(OutcomeMessage::Agreed { outcomes: tokens }, agent, &to, None)?;
    send(home, Batch::new(), message).await?;
    Ok(ShownOutcomes { to: to.to_string(), outcomes })
}

fn address(
    message: OutcomeMessage,
    agent: &Identity,
    to: &Did,
    thid: Option<String>,
) -> Result<Message, ApiError> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string());
    let id = id.map_err(|_| ApiError::of(ApiCode::Fault, "Try again"))?;
    let mut message = message.into_message(id);
    message.from = Some(agent.did.clone());
    message.to = vec![to.clone()];
    message.thid = thid;
    Ok(message)
}

/// Puts a message into the outbox, with what it is about.
async fn send(home: &Arc<Home>, batch: Batch, message: Message) -> Result<(), ApiError> {
    let queued = outbound::prepare_notice(home, message).await.map_err(SendError::from)?;
    match home.commit(batch, Debts::new(), Some(queued)).await? {
        Committed::Durable => Ok(()),
        Committed::Conflict(Conflict::Bound { .. }) => {
            Err(SendError::from(Unsendable::OutboxFull).into())
        }
        Committed::Conflict(_) => Err(ApiError::of(ApiCode::Fault, "Try again")),
    }
}

fn unproven(error: &Unproven) -> ApiError {
    let hint = "The other side may propose it anew, with its present keys";
    ApiError::new(ApiCode::BadOutcome, &format!("It is no evidence: {error}"), hint)
}

fn bad(title: &str, hint: &str) -> ApiError {
    ApiError::new(ApiCode::BadRequest, title, hint)
}
