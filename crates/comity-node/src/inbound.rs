//! Drives a message on its way in: does what the machine of `comity-core` asks for, and answers.

use std::sync::Arc;

use comity_core::inbound::{
    Arrival, Charged, Commit, Inbound, Input, Outcome, Output, Placement, Written,
};
use comity_core::refusal::Refusal;
use comity_core::trust::{Contact, Direction, Whom, subject};
use comity_didcomm::Did;
use comity_net::Source;
use comity_store::records::mailbox::Snapshot;
use comity_store::records::notices::Debts;
use comity_store::records::{
    MessageKey, contacts, events, mailbox, mailbox_key, message_key, outbox, relations, revocations,
};
use comity_store::{Batch, StoreFault, Wake as _};

use crate::admission;
use crate::events::{of_arrival, of_keys};
use crate::facts;
use crate::home::Home;
use crate::identities::Age;
use crate::learn;
use crate::ledger;
use crate::operator;
use crate::outbound;
use crate::outcomes;
use crate::public::Place;
use crate::relay::{self, Back, Done};

/// Takes an envelope that nothing can be answered to directly, and says how it ended. Nothing is
/// answered before it is durable.
pub(crate) async fn receive(home: &Arc<Home>, arrival: Arrival) -> Outcome {
    receive_on(home, arrival, &Back::Nowhere, &Place::INSIDE).await.0
}

/// Takes an envelope and says how it ended, with the envelope that goes back the way it came.
pub(crate) async fn receive_on(
    home: &Arc<Home>,
    arrival: Arrival,
    back: &Back,
    place: &Place,
) -> (Outcome, Option<Vec<u8>>) {
    let began = tokio::time::Instant::now();
    let (outcome, answer, fetched) = attempt(home, arrival.clone(), back, place).await;
    // The sender may have changed its keys since its document was fetched: look once more.
    let doubtful = [Refusal::Crypto, Refusal::SenderMismatch];
    if let (Outcome::TurnedAway(refusal), Some(fetched)) = (&outcome, fetched)
        && doubtful.contains(refusal)
        && fetched.at < began
    {
        let fresh = home.resolver.resolve_fresh(&fetched.did).await;
        if fresh.is_ok_and(|fresh| fetched.at < fresh.fetched_at) {
            let (outcome, answer, _) = attempt(home, arrival, back, place).await;
            return (outcome, answer);
        }
        // It may be signed with a key that is newer than the document, which may be fetched again
        // only in a while. A refusal would be the last word on an honest message.
        return (Outcome::TurnedAway(Refusal::DidUnavailable), None);
    }
    (outcome, answer)
}

/// Whose document was fetched for a message, and when.
struct Fetched {
    did: Did,
    at: tokio::time::Instant,
}

async fn attempt(
    home: &Arc<Home>,
    arrival: Arrival,
    back: &Back,
    place: &Place,
) -> (Outcome, Option<Vec<u8>>, Option<Fetched>) {
    let (mut fetched, mut answer) = (None, None);
    let mut inbound = match Inbound::new(arrival, home.context()) {
        Ok(inbound) => inbound,
        Err(refusal) => return (Outcome::TurnedAway(refusal), None, None),
    };
    loop {
        // Here the envelope is opened and verified: that takes most of the time.
        let input = match place.in_turn(|| inbound.poll_output()).await {
            Output::Keys(kids) => Input::Keys(home.identities.agreement_keys(&kids, Age::Arriving)),
            Output::Resolve(did) => match home.resolve(&did).await {
                Ok(resolved) => {
                    if resolved.source == Source::Fetched {
                        fetched = Some(Fetched { did, at: resolved.fetched_at });
                    }
                    Input::Document(Arc::clone(&resolved.document))
                }
                Err(error) => {
                    tracing::debug!(%did, %error, "a sender's document was not had");
                    let is_needed = !inbound.can_do_without()
                        || home.vouches.is_worth_waiting_for(&did, home.now());
                    if error.is_transient() && is_needed {
                        return (Outcome::TurnedAway(Refusal::DidUnavailable), None, fetched);
                    }
                    Input::Unresolvable(did)
                }
            },
            Output::Judge(question) => match facts::of_arrival(home, &question).await {
                Ok(facts) => Input::Facts(facts),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Recall(charged) => match recall(home, &charged).await {
                Ok(known) => Input::Recalled(known),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Commit(commit) => match write(home, &commit).await {
                Ok(written) => Input::Written(written),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Deliver(delivered) => {
                home.wake.wake(&mailbox_key(delivered.recipient()));
                continue;
            }
            Output::Revocations(tokens) => {
                match revocations::among(home.store.as_ref(), &tokens).await {
                    Ok(revoked) => Input::Revoked(revoked),
                    Err(fault) => return (unavailable(&fault), None, fetched),
                }
            }
            Output::Route(route) => match relay::facts(home, &route).await {
                Ok(facts) => Input::Routed(facts),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Hold(held) => match relay::hold(home, &held).await {
                Ok(written) => Input::Written(written),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Serve(served) => match relay::serve(home, &served, back).await {
                Ok(Done::Answered(envelope)) => {
                    answer = envelope;
                    Input::Answered(Ok(()))
                }
                Ok(Done::Refused(refusal)) => Input::Answered(Err(refusal)),
                Err(fault) => return (unavailable(&fault), None, fetched),
            },
            Output::Done(outcome) => return (outcome, answer, fetched),
            // The machine asks for nothing else; a new question would have to be answered here.
            _ => return (Outcome::TurnedAway(Refusal::Busy), None, fetched),
        };
        inbound.handle_input(input);
    }
}

/// Looks up a message that is not paid for: it may be a repeat of one that was taken.
async fn recall(home: &Home, charged: &Charged) -> Result<Option<String>, StoreFault> {
    let message = MessageKey::received(charged.recipient(), charged.sender(), charged.id());
    let known = mailbox::known(home.store.as_ref(), message).await?;
    Ok(known.map(|(known, _)| known.received.digest))
}

/// Writes everything about a message in one batch, with the report to a refused sender and what the
/// message told about our own.
async fn write(home: &Arc<Home>, commit: &Arc<Commit>) -> Result<Written, StoreFault> {
    if operator::is_for_us(commit) {
        return operator::hear(home, commit).await;
    }
    let (mut batch, mut debts) = (Batch::new(), Debts::new());
    let document = &commit.received().document;
    let snapshot = match home.documents.get(document) {
        Some(()) => Snapshot::Kept,
        None => Snapshot::New,
    };
    let recording = home.recording(commit.opening());
    let kept = mailbox::keep(&mut batch, &mut debts, commit, snapshot, home.capacity(), recording);
    let is_document_new = home.record_used(&mut batch, commit).await?;
    put_contact(&mut batch, commit);
    if let Some(prior) = commit.prior() {
        succeed(home, &mut batch, commit, prior).await?;
    }
    let mut learned = learn::from_message(home, &mut batch, &mut debts, commit).await?;
    if let Some(refusal) = learned.grants.put_off {
        return Ok(Written::Temporary(refusal));
    }
    let mut report = None;
    if let Placement::Refused(refusal, Some(message)) = commit.placement() {
        tracing::info!(
            recipient = %commit.received().recipient, sender = %commit.received().sender,
            code = refusal.code(), why = commit.why(), "a message was refused"
        );
        // A sender that cannot be written to gets its refusal no other way.
        if outbox::has_room_for_report(home.store.as_ref(), &commit.received().recipient).await? {
            report = outbound::prepare_notice(home, (**message).clone()).await.ok();
        }
        if let Some(report) = &report {
            outbox::enqueue(&mut batch, report, home.recording_of(report));
        }
    }
    if matches!(commit.placement(), Placement::Mailbox) {
        // Before the commit: the agent may be handed the message the moment it is durable.
        home.opened.insert(message_key(commit.received()), Arc::clone(commit));
    }
    let mut happened = Vec::new();
    if matches!(commit.placement(), Placement::Request) {
        happened.extend(of_arrival(home, &mut batch, commit).await?);
    }
    happened.extend(of_keys(commit));
    happened.append(&mut learned.grants.happened);
    happened.append(&mut learned.happened);
    let is_news = !happened.is_empty();
    events::put(&mut batch, home.now(), happened);
    let peers = debts.put(&mut batch);
    let result = home.store.commit(batch).await;
    let is_written = result.is_ok();
    let written = mailbox::written(home.store.as_ref(), kept, result).await?;
    if is_written {
        if matches!(commit.placement(), Placement::Mailbox | Placement::Request) {
            home.documents.insert(document.clone(), ());
        }
        if is_document_new {
            home.document_recorded(&commit.received().recipient, commit.document());
        }
        home.notices.wake(&peers);
        if is_news {
            home.news.wake();
        }
        admission::heard(home, commit, &learned).await;
        if let Err(fault) = outcomes::take_besides(home, commit).await {
            tracing::warn!(%fault, "outcomes were not kept");
        }
        if let Some(quote) = learned.quote.take()
            && let Err(fault) = ledger::learn(home, &commit.received().sender, &quote).await
        {
            tracing::warn!(%fault, "what was told of a log was not kept");
        }
        std::mem::take(&mut learned.grants).tell(home, commit);
        learned.tell(home);
        if let Some(report) = report {
            home.transmitter.wake(home, report.outgoing());
        }
    }
    Ok(written)
}

/// Remembers what the message tells of its sender. The batch conflicts if something else has become of
/// a contact since it was decided upon; two first messages may come at once.
pub(crate) fn put_contact(batch: &mut Batch, commit: &Commit) {
    let Some(contact) = commit.contact() else { return };
    let agent = &commit.received().recipient;
    if let Some(before) = commit.contact_before() {
        contacts::assert_unchanged(batch, agent, &before.did, Some(before));
    }
    contacts::put(batch, agent, contact);
}

/// What was decided about somebody's prior DID is about its new one from now on. The batch conflicts
/// if the operator decides about either in this moment.
async fn succeed(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
    prior: &Did,
) -> Result<(), StoreFault> {
    let (store, received) = (home.store.as_ref(), commit.received());
    let (agent, successor) = (&received.recipient, subject(&received.sender));
    let known = contacts::contact(store, agent, prior).await?;
    contacts::assert_unchanged(batch, agent, prior, known.as_ref());
    let known = known.unwrap_or_else(|| Contact::new(prior, None, home.now()));
    if !known.may_be_succeeded_by(&successor) {
        return Ok(());
    }
    let (before, after) = (Whom::Did(prior.clone()), Whom::Did(successor.clone()));
    for direction in [Direction::In, Direction::Out] {
        let Some(found) = relations::find(store, agent, direction, &before).await? else {
            continue;
        };
        let own = relations::find(store, agent, direction, &after).await?;
        relations::assert_unchanged(batch, agent, direction, &before, Some(&found));
        relations::assert_unchanged(batch, agent, direction, &after, own.as_ref());
        relations::remove(batch, agent, direction, &before);
        let entry = found.entry.succeeded(agent, &successor, own.map(|own| own.entry));
        relations::put(batch, agent, &entry);
        home.ledger.record(batch, &entry.statement(agent, &rand::random()));
    }
    // It stays known, so that nothing more comes of what was written to it.
    let moved = Contact { moved_to: Some(successor.clone()), ..known };
    contacts::put(batch, agent, &moved);
    tracing::info!(%agent, %prior, %successor, "a contact has another DID now");
    Ok(())
}

fn unavailable(fault: &StoreFault) -> Outcome {
    tracing::error!(%fault, "a message could not be stored");
    Outcome::TurnedAway(Refusal::Busy)
}
