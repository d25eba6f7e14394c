//! Does what is asked of the node itself, and finds the way for the answer.

use std::sync::Arc;

use comity_core::limits::NOTICE_EXPIRES_S;
use comity_core::protocol::pickup::Pickup;
use comity_core::refusal::Refusal;
use comity_core::relay::{Answer, AnswerGoes, Features, Request, Served, compose, pack};
use comity_didcomm::{Message, MessageId};
use comity_store::records::notices::Debts;
use comity_store::records::relay;
use comity_store::{Batch, StoreFault};

use super::live::Wish;
use super::{Back, pick_up, register};
use crate::home::Home;
use crate::outbound;

/// What came of a request.
pub(crate) enum Done {
    /// It is done; this envelope goes back the way the request came.
    Answered(Option<Vec<u8>>),
    /// It is not, and the asker is told on the spot.
    Refused(Refusal),
}

/// Serves a request. What it changes is durable when this returns.
pub(crate) async fn serve(
    home: &Arc<Home>,
    served: &Served,
    back: &Back,
) -> Result<Done, StoreFault> {
    let wish = if served.wants_return() { Wish::Here } else { Wish::Unsaid };
    let returns = match back {
        Back::Nowhere => false,
        Back::Response => served.wants_return(),
        Back::Socket(session) => session.route(served.sender(), wish),
    };
    if let Back::Socket(session) = back
        && returns
        && !session.make_room(home).await
    {
        return Ok(Done::Refused(Refusal::Busy));
    }
    let answer = match served.request() {
        Ok(request) => answer(home, served, request, back, returns).await?,
        Err(refusal) if returns => Some(Answer::Problem(*refusal)),
        Err(refusal) => return Ok(Done::Refused(*refusal)),
    };
    let Some(answer) = answer else { return Ok(Done::Answered(None)) };
    if matches!(answer, Answer::Mediation(..) | Answer::Pickup(..) | Answer::RuleSet(_)) {
        register::note_use(home, served.sender()).await?;
    }
    if let Answer::Problem(refusal) = &answer {
        tracing::info!(sender = %served.sender(), code = refusal.code(), "a request was refused");
    }
    let may_be_queued = match &answer {
        // A status is true only at the moment, and a delivery is for those who are there.
        Answer::Pickup(_, Pickup::Status(_) | Pickup::Delivery { .. }) => false,
        // Nobody has a third party written to by asking us in the name of a DID that it made up.
        _ => register::granted(home, served.sender()).await?.is_some(),
    };
    let Ok(id) = MessageId::parse(&uuid::Uuid::now_v7().to_string()) else {
        return Ok(Done::Answered(None));
    };
    let message = compose(answer, served, id, &home.did, home.now());
    if returns {
        return Ok(sealed(home, served, &message));
    }
    if may_be_queued {
        queue(home, message).await;
    }
    Ok(Done::Answered(None))
}

async fn answer(
    home: &Arc<Home>,
    served: &Served,
    request: &Request,
    back: &Back,
    returns: bool,
) -> Result<Option<Answer>, StoreFault> {
    let is_relay = home.config.relay.is_some();
    let answer = match request {
        Request::Nothing => return Ok(None),
        Request::Ping => Answer::PingResponse,
        Request::Disclose(queries) => {
            let features = if is_relay { Features::Relay } else { Features::Home };
            Answer::Disclose(features.disclose(queries))
        }
        Request::Register(version) => {
            let goes = if returns { AnswerGoes::Back } else { AnswerGoes::Out };
            register::mediate(home, served, *version, goes).await?
        }
        _ if !is_relay => Answer::Problem(Refusal::NotRelay),
        Request::ChangeRecipients(version, updates) => {
            register::update(home, served, *version, updates).await?
        }
        Request::Rule(did, rule) => register::rule(home, served, did, rule.as_ref()).await?,
        Request::ListRecipients(version, page) => {
            register::list(home, served, *version, *page).await?
        }
        Request::Status(version, recipient) => {
            pick_up::status(home, served, *version, recipient.as_ref(), back).await?
        }
        Request::Deliver(version, recipient, limit) => {
            pick_up::deliver(home, served, *version, recipient.as_ref(), *limit, back).await?
        }
        Request::Received(version, ids) => {
            pick_up::received(home, served, *version, ids, back).await?
        }
        Request::Live(version, live) => match back {
            Back::Socket(session) if returns => {
                pick_up::live(home, served, *version, *live, session).await?
            }
            _ => Answer::Problem(Refusal::LiveNotSupported),
        },
        _ => Answer::Problem(Refusal::HomeProtocol),
    };
    Ok(Some(answer))
}

fn sealed(home: &Home, served: &Served, message: &Message) -> Done {
    let Some(node) = home.identities.by_did(&home.did) else { return Done::Answered(None) };
    match pack(message, served.document(), &node.sender_keys(), &mut rand::rng()) {
        Ok(envelope) => Done::Answered(Some(envelope)),
        Err(error) => {
            // The asker has no key that could be encrypted to, so it cannot be told otherwise.
            tracing::debug!(%error, "an answer cannot be sealed");
            Done::Refused(Refusal::Key)
        }
    }
}

/// Sends an answer to the asker's own endpoint. One that has none gets no answer: it can ask again,
/// and name a way back.
async fn queue(home: &Arc<Home>, message: Message) {
    let mut message = message;
    message.expires_time = Some(home.now().saturating_add(NOTICE_EXPIRES_S));
    match outbound::prepare_notice(home, message).await {
        Ok(queued) => {
            let sent = home.commit(Batch::new(), Debts::new(), Some(queued)).await;
            tracing::debug!(?sent, "an answer was queued");
        }
        Err(error) => tracing::debug!(%error, "an answer has no way to its asker"),
    }
}

/// Whether a request that changes something came before; its answer, if it was the same request.
pub(super) async fn repeated(
    home: &Home,
    served: &Served,
) -> Result<Option<Result<relay::Answered, Refusal>>, StoreFault> {
    let known = relay::answered(home.store.as_ref(), served).await?;
    Ok(known.map(|known| match known.digest == served.digest() {
        true => Ok(known),
        false => Err(Refusal::IdReuse),
    }))
}
