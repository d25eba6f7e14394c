//! The way to recipients behind mediators: which documents are asked for, what is wrapped for whom,
//! and which endpoints are of no use.

use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{Endpoint, Layer, MessageId, OpenPolicy, Opening};
use rand::rng;
use serde_json::{Map, json};

use super::*;
use crate::Context;
use crate::outbound::{Accountability, Input, Outbound, Output, Queued, Stored};
use crate::record::OutgoingKind;
use crate::testing::{NOW, Party, secret};

const RELAY: &str = "did:web:relay.example";

/// What came of a submission: the result, and whose documents were asked for.
struct Driven {
    aria: Party,
    result: Result<Arc<Queued>, Unsendable>,
    asked: Vec<String>,
}

impl Driven {
    fn queued(&self) -> &Queued {
        self.result.as_ref().unwrap()
    }
}

fn aria() -> Party {
    Party::new("did:web:a.example:agents:aria", None)
}

fn bruno(endpoints: &[Endpoint]) -> Party {
    Party::new("did:web:b.example:agents:bruno", None).at(endpoints)
}

fn relay() -> Party {
    Party::new(RELAY, None).at(&[
        Endpoint::new("wss://relay.example/didcomm"),
        Endpoint::new("https://relay.example/didcomm"),
    ])
}

fn through(uri: &str, routing_keys: &[&str]) -> Endpoint {
    let mut endpoint = Endpoint::new(uri);
    endpoint.routing_keys = routing_keys.iter().map(|&key| key.to_owned()).collect();
    endpoint
}

fn send(to: &Party, known: &[&Party]) -> Driven {
    send_body(to, known, Map::new())
}

fn send_body(to: &Party, known: &[&Party], body: Map<String, serde_json::Value>) -> Driven {
    submit(to, known, body, Accountability::Accountable)
}

fn submit(
    to: &Party,
    known: &[&Party],
    body: Map<String, serde_json::Value>,
    accountability: Accountability,
) -> Driven {
    let aria = aria();
    let submission = Submission {
        id: MessageId::parse("m-1").unwrap(),
        from: aria.did.clone(),
        to: to.did.clone(),
        type_: "https://example.org/proposal/1.0/offer".parse().unwrap(),
        body,
        attachments: Vec::new(),
        thid: None,
        pthid: None,
        ack: Vec::new(),
        expires_in_s: Some(600),
        work_bits_max: None,
        accountability,
        kind: OutgoingKind::Message,
    };
    let home = "did:web:home.example".parse().unwrap();
    let mut outbound =
        Outbound::new(submission, Context { home, now: NOW, salt: [3; 16], secret: secret() });
    let mut asked = Vec::new();
    loop {
        let input = match outbound.poll_output() {
            Output::Resolve(did) => {
                asked.push(did.to_string());
                let found = known.iter().chain([&to]).find(|party| party.did == did);
                found.map_or(Input::Unresolvable, |party| {
                    Input::Document(Arc::clone(&party.document), Residence::Elsewhere)
                })
            }
            Output::Judge(_) => Input::Fence(crate::trust::Fence::none()),
            Output::Pass { .. } => Input::Pass(None),
            Output::Keys(_) => Input::Keys(aria.keys()),
            Output::Commit(_) => Input::Stored(Stored::New),
            Output::Done(result) => return Driven { aria, result, asked },
        };
        outbound.handle_input(input, &mut rng());
    }
}

/// Takes one wrapping off, as a mediator does.
fn unwrap(envelope: &[u8], mediator: &Party) -> Forward {
    let opened = mediator.open(envelope, mediator).unwrap();
    assert!(opened.sender().is_none(), "a forward shows no sender");
    Forward::from_message(&opened.message).unwrap()
}

#[test]
fn a_recipient_behind_a_mediator_is_reached_through_it() {
    let (bruno, relay) = (bruno(&[Endpoint::new(RELAY)]), relay());
    let driven = send(&bruno, &[&relay]);
    assert_eq!(driven.asked, [bruno.did.as_str(), RELAY]);
    let queued = driven.queued();
    // The first of the mediator's endpoints is no address to post to.
    assert_eq!(queued.outgoing().uri.as_deref(), Some("https://relay.example/didcomm"));
    assert_eq!(queued.sent().via.as_ref(), Some(&relay.did), "it is known who keeps it");

    let opened = bruno.open(queued.envelope(), &driven.aria);
    assert!(opened.is_err(), "the letter does not travel bare");
    let forward = unwrap(queued.envelope(), &relay);
    assert_eq!(forward.next, Next::Did(bruno.did.clone()));
    assert_eq!(forward.expires_time, Some(queued.sent().expires), "it may be forgotten then");
    let letter = bruno.open(&forward.payloads[0], &driven.aria).unwrap();
    assert_eq!(letter.sender().unwrap().did(), &driven.aria.did);
}

#[test]
fn no_mediator_learns_who_sends_whichever_way_it_is_sealed() {
    // A deniable envelope went into the forward as it was, with `skid` and `apu` in its header.
    let (bruno, relay) = (bruno(&[Endpoint::new(RELAY)]), relay());
    for accountability in [Accountability::Accountable, Accountability::Deniable] {
        let driven = submit(&bruno, &[&relay], Map::new(), accountability);
        let forward = unwrap(driven.queued().envelope(), &relay);
        let opening = Opening::new(&forward.payloads[0], &OpenPolicy::default(), NOW).unwrap();
        assert_eq!(opening.outline().layer, Some(Layer::Anoncrypt), "{accountability:?}");
        let letter = bruno.open(&forward.payloads[0], &driven.aria).unwrap();
        assert_eq!(letter.sender().unwrap().did(), &driven.aria.did);
    }
}

#[test]
fn routing_keys_are_wrapped_for_from_the_last_to_the_first() {
    let (relay, inner) = (relay(), Party::new("did:web:inner.example", None));
    let bruno = bruno(&[through(RELAY, &["did:web:inner.example#key-2"])]);
    let driven = send(&bruno, &[&relay, &inner]);
    assert_eq!(driven.asked, [bruno.did.as_str(), RELAY, "did:web:inner.example"]);
    let queued = driven.queued();
    assert_eq!(queued.sent().via.as_ref(), Some(&inner.did), "the last one keeps it");
    let outer = unwrap(queued.envelope(), &relay);
    assert_eq!(outer.next, Next::Key(inner.did.url("key-2")));
    assert_eq!(unwrap(&outer.payloads[0], &inner).next, Next::Did(bruno.did));
}

#[test]
fn the_recipients_order_decides_between_direct_and_relayed() {
    let (direct, relayed) = (Endpoint::new("https://b.example/didcomm"), Endpoint::new(RELAY));
    let relay = relay();
    let first = send(&bruno(&[direct.clone(), relayed.clone()]), &[&relay]);
    assert_eq!(first.queued().outgoing().uri.as_deref(), Some("https://b.example/didcomm"));
    assert_eq!(first.queued().sent().via, None);
    assert_eq!(first.asked.len(), 1, "nobody else's document is needed");
    let second = send(&bruno(&[relayed, direct]), &[&relay]);
    assert_eq!(second.queued().sent().via.as_ref(), Some(&relay.did));
    assert!(second.queued().outgoing().also.is_empty(), "the other one leads another way");
}

#[test]
fn further_addresses_of_the_same_way_are_kept_up_to_a_bound() {
    let endpoint = |number| Endpoint::new(format!("https://b{number}.example/didcomm"));
    let endpoints: Vec<_> = (1..=9).map(endpoint).collect();
    let driven = send(&bruno(&endpoints), &[]);
    let outgoing = driven.queued().outgoing();
    assert_eq!(outgoing.uri.as_deref(), Some("https://b1.example/didcomm"));
    assert_eq!(outgoing.also, ["https://b2.example/didcomm", "https://b3.example/didcomm"]);
}

#[test]
fn a_mediator_that_is_itself_behind_one_is_of_no_use() {
    let relay = Party::new(RELAY, None).at(&[Endpoint::new("did:web:other.example")]);
    let other = Party::new("did:web:other.example", None);
    let driven = send(&bruno(&[Endpoint::new(RELAY)]), &[&relay, &other]);
    assert_eq!(driven.result.as_ref().unwrap_err(), &Unsendable::NoEndpoint);
    assert!(!driven.asked.contains(&"did:web:other.example".to_owned()), "one indirection only");
}

#[test]
fn a_mediator_that_cannot_be_had_gives_way_to_the_next_endpoint() {
    let relayed = Endpoint::new(RELAY);
    let driven = send(&bruno(std::slice::from_ref(&relayed)), &[]);
    assert_eq!(driven.result.as_ref().unwrap_err(), &Unsendable::Unresolvable);
    let direct = Endpoint::new("https://b.example/didcomm");
    let driven = send(&bruno(&[relayed, direct]), &[]);
    assert_eq!(driven.queued().outgoing().uri.as_deref(), Some("https://b.example/didcomm"));
}

#[test]
fn a_document_makes_us_ask_for_a_bounded_number_of_others() {
    let endpoints: Vec<_> =
        (0..20).map(|number| Endpoint::new(format!("did:web:m{number}.example"))).collect();
    let driven = send(&bruno(&endpoints), &[]);
    assert!(driven.result.is_err());
    assert_eq!(driven.asked.len(), 1 + MEDIATORS_ASKED_MAX);
    let keys: Vec<_> = (0..20).map(|number| format!("did:web:m{number}.example#key-2")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let driven = send(&bruno(&[through("https://relay.example", &keys)]), &[]);
    assert!(driven.result.is_err());
    assert!(driven.asked.len() <= 1 + MEDIATORS_ASKED_MAX);
}

#[test]
fn the_largest_body_goes_through_one_mediator_and_not_through_many() {
    let large = || {
        let mut body = Map::new();
        body.insert("x".to_owned(), json!("x".repeat(380 * 1024)));
        body
    };
    let (relay, inner) = (relay(), Party::new("did:web:inner.example", None));
    let one = send_body(&bruno(&[Endpoint::new(RELAY)]), &[&relay], large());
    assert!(one.result.is_ok());
    let two = bruno(&[through(RELAY, &["did:web:inner.example#key-2"])]);
    let two = send_body(&two, &[&relay, &inner], large());
    assert_eq!(two.result.err(), Some(Unsendable::TooLargeForMediator));
}
