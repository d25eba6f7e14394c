//! The way out, and that whatever a home emits is taken by a home (invariant I4).

use comity_didcomm::{Message, MessageId};
use rand::rng;
use serde_json::json;

use super::*;
use crate::inbound::{Outcome, Written, problem_report};
use crate::limits::{BODY_BYTES_MAX, EXPIRES_S_MAX};
use crate::protocol::RECEIPT_RECEIPT;
use crate::receipt::{QueryItem, Rung, State, compose_ack, compose_query, compose_receipts};
use crate::refusal::Refusal;
use crate::testing::{NOW, Party, drive_in, secret};
use crate::trust::{Facts, OutboundRule, Policy, Recipient};

fn aria() -> Party {
    Party::new("did:web:a.example:agents:aria", Some("did:web:home.example"))
}

fn bruno() -> Party {
    Party::new("did:web:b.example:agents:bruno", Some("did:web:b.example"))
}

fn submission(from: &Party, to: &Party) -> Submission {
    Submission {
        id: MessageId::parse("m-1").unwrap(),
        from: from.did.clone(),
        to: to.did.clone(),
        type_: "https://example.org/proposal/1.0/offer".parse().unwrap(),
        body: Map::new(),
        attachments: Vec::new(),
        thid: None,
        pthid: None,
        ack: Vec::new(),
        expires_in_s: None,
        work_bits_max: None,
        accountability: Accountability::Accountable,
        kind: OutgoingKind::Message,
    }
}

fn drive(
    submission: Submission,
    from: &Party,
    to: &Party,
    stored: &Stored,
) -> Result<Arc<Queued>, Unsendable> {
    let home = "did:web:home.example".parse().unwrap();
    let mut outbound =
        Outbound::new(submission, Context { home, now: NOW, salt: [3; 16], secret: secret() });
    loop {
        let input = match outbound.poll_output() {
            Output::Resolve(did) => {
                assert_eq!(did, to.did);
                Input::Document(Arc::clone(&to.document), Residence::Elsewhere)
            }
            Output::Judge(_) => Input::Fence(Fence::none()),
            Output::Pass { .. } => Input::Pass(None),
            Output::Keys(_) => Input::Keys(from.keys()),
            Output::Commit(_) => Input::Stored(stored.clone()),
            Output::Done(result) => return result,
        };
        outbound.handle_input(input, &mut rng());
    }
}

/// Sends a message of the home's own and drives it in at the other side.
fn round_trip(message: Message, from: &Party, to: &Party, facts: &Facts) -> Outcome {
    let notice = Submission {
        id: message.id,
        type_: message.type_,
        body: message.body,
        thid: message.thid,
        pthid: message.pthid,
        ack: message.ack,
        kind: OutgoingKind::Notice,
        ..submission(from, to)
    };
    let queued = drive(notice, from, to, &Stored::New).unwrap();
    let written = Written::New { seq: 1 };
    drive_in(queued.envelope().to_vec(), from, to, facts, &written).outcome
}

#[test]
fn a_queued_message_is_sealed_addressed_and_remembered() {
    let (aria, bruno) = (aria(), bruno());
    let queued = drive(submission(&aria, &bruno), &aria, &bruno, &Stored::New).unwrap();
    assert_eq!(queued.outgoing().uri.as_deref(), Some("https://home.example/didcomm"));
    assert_eq!(queued.sent().recipient_homes, ["did:web:b.example".parse().unwrap()]);
    assert_eq!(queued.rung().state, State::Queued);
    assert_eq!(queued.statement().map(|sent| sent.act), Some(crate::log::Act::Sent));
    assert!(queued.opening().is_some());
    let facts = Facts::nothing_known(Recipient::Agent);
    let envelope = queued.envelope().to_vec();
    let driven = drive_in(envelope, &aria, &bruno, &facts, &Written::New { seq: 1 });
    let received = driven.commit.unwrap().received().clone();
    assert_eq!(received.digest, queued.sent().digest, "both sides name the same content");
    assert_eq!(received.expires, queued.sent().expires, "the deadline travels");
}

#[test]
fn everything_a_home_emits_is_taken_by_a_home() {
    let (aria, bruno) = (aria(), bruno());
    let home_a = Party::new("did:web:a.example", None);
    let home_b = Party::new("did:web:b.example", None);
    let to_home = Facts::nothing_known(Recipient::Home);
    let in_thread = Facts {
        wrote_in_thread: Some(crate::trust::Level::Message),
        ..Facts::nothing_known(Recipient::Agent)
    };
    let id = |text: &str| MessageId::parse(text).unwrap();

    let rung = Rung::new(State::Processed, NOW, home_b.did.clone());
    let line = rung.to_receipt("m-1", &aria.did, &bruno.did, "digest");
    let receipts = compose_receipts(id("r-1"), &home_b.did, &home_a.did, &[line], None, NOW);
    assert_eq!(round_trip(receipts, &home_b, &home_a, &to_home), Outcome::Noted);

    let item = QueryItem { id: "m-1".to_owned(), from: aria.did.clone(), to: bruno.did.clone() };
    let query = compose_query(id("q-1"), &home_a.did, &home_b.did, &[item], NOW);
    assert_eq!(round_trip(query, &home_a, &home_b, &to_home), Outcome::Noted);

    let ack = compose_ack(id("a-1"), &bruno.did, &aria.did, "m-1", vec!["m-1".to_owned()], NOW);
    assert_eq!(round_trip(ack, &bruno, &aria, &in_thread), Outcome::Noted);

    for refusal in Refusal::ALL {
        let report = refusal.to_report();
        let report = problem_report(&bruno.did, &aria.did, "m-1", "m-1", report, NOW);
        assert_eq!(round_trip(report, &bruno, &aria, &in_thread), Outcome::Accepted, "{refusal:?}");
    }
}

#[test]
fn saying_the_same_twice_sends_it_once_and_another_thing_under_the_id_is_refused() {
    let (aria, bruno) = (aria(), bruno());
    let first = drive(submission(&aria, &bruno), &aria, &bruno, &Stored::New).unwrap();
    let request_digest = first.sent().request_digest.clone();
    let again = Stored::Repeat { request_digest };
    assert!(drive(submission(&aria, &bruno), &aria, &bruno, &again).is_ok());
    let mut other = submission(&aria, &bruno);
    other.body.insert("price".to_owned(), json!(2));
    assert_eq!(drive(other, &aria, &bruno, &again).unwrap_err(), Unsendable::IdReuse);
    let mut later = submission(&aria, &bruno);
    later.expires_in_s = Some(60);
    assert_eq!(drive(later, &aria, &bruno, &again).unwrap_err(), Unsendable::IdReuse);
}

#[test]
fn what_an_agent_may_not_say_is_refused() {
    let (aria, bruno) = (aria(), bruno());
    let refused = |change: &dyn Fn(&mut Submission)| {
        let mut submission = submission(&aria, &bruno);
        change(&mut submission);
        drive(submission, &aria, &bruno, &Stored::New).unwrap_err()
    };
    let huge = "x".repeat(BODY_BYTES_MAX);
    assert_eq!(
        refused(&|submission| drop(submission.body.insert("x".to_owned(), json!(huge)))),
        Unsendable::BodyTooLarge
    );
    assert_eq!(refused(&|submission| submission.expires_in_s = Some(0)), Unsendable::Deadline);
    assert_eq!(
        refused(&|submission| submission.expires_in_s = Some(EXPIRES_S_MAX + 1)),
        Unsendable::Deadline
    );
    for type_ in [RECEIPT_RECEIPT, "https://comity.dev/protocols/grant/1.3/revoke"] {
        assert_eq!(
            refused(&|submission| submission.type_ = type_.parse().unwrap()),
            Unsendable::ReservedType
        );
    }
}

#[test]
fn nobody_is_looked_up_for_a_message_that_may_not_go() {
    // A DID is looked up where it says: an agent that may write to nobody could say there, word by
    // word, what it knew.
    let (aria, bruno) = (aria(), bruno());
    let home: Did = "did:web:home.example".parse().unwrap();
    let context = || Context { home: home.clone(), now: NOW, salt: [3; 16], secret: secret() };
    let policy = Policy { outbound: OutboundRule::Listed, ..Policy::default() };
    let mut outbound = Outbound::new(submission(&aria, &bruno), context());
    let Output::Judge(passage) = outbound.poll_output() else { panic!("first of all") };
    assert_eq!((passage.from, passage.to), (aria.did.clone(), bruno.did.clone()));
    let fence = Fence { policy: Arc::new(policy), ..Fence::none() };
    outbound.handle_input(Input::Fence(fence), &mut rng());
    let Output::Done(Err(reason)) = outbound.poll_output() else { panic!("and last") };
    assert_eq!(reason, Unsendable::FencedIn);
    let notice = Submission { kind: OutgoingKind::Notice, ..submission(&aria, &bruno) };
    let mut outbound = Outbound::new(notice, context());
    assert!(matches!(outbound.poll_output(), Output::Resolve(did) if did == bruno.did));
}

#[test]
fn a_limit_that_another_message_reached_in_this_moment_is_told() {
    let (aria, bruno) = (aria(), bruno());
    let of = |stored| drive(submission(&aria, &bruno), &aria, &bruno, &stored).unwrap_err();
    assert_eq!(of(Stored::LimitReached), Unsendable::LimitReached);
    assert_eq!(of(Stored::Full), Unsendable::OutboxFull);
}

#[test]
fn a_recipient_without_keys_or_address_is_refused() {
    let (aria, bruno) = (aria(), bruno());
    let without = |change: &dyn Fn(&mut DidDocument)| {
        let bruno = bruno.changed(change);
        let submission = submission(&aria, &bruno);
        drive(submission, &aria, &bruno, &Stored::New).unwrap_err()
    };
    assert_eq!(without(&|document| document.key_agreement.clear()), Unsendable::NoRecipientKey);
    assert_eq!(without(&|document| document.service.clear()), Unsendable::NoEndpoint);
}
