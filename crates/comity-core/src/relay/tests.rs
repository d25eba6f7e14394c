//! The relay's decisions as tables, and its part of the way in with real keys.

use std::sync::Arc;

use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{Did, Message, MessageId, UnixTime};
use serde_json::json;

use super::*;
use crate::Context;
use crate::inbound::{Arrival, Inbound, Input, Outcome, Output, Written};
use crate::limits::{DELIVERY_BYTES_MAX, HELD_BYTES_MAX, RELAY_AGE_S_MAX};
use crate::protocol::ADMISSION;
use crate::protocol::coordinate_mediation::{Action, Update, UpdateResult};
use crate::protocol::mediation_proof;
use crate::refusal::Refusal;
use crate::testing::{How, NOW, Party, secret};

mod admission;

const PING: &str = "https://didcomm.org/trust-ping/2.0/ping";
const OFFER: &str = "https://example.org/proposal/1.0/offer";

struct Net {
    relay: Party,
    aria: Party,
    bruno: Party,
}

fn net() -> Net {
    Net {
        relay: Party::new("did:web:relay.example", None),
        aria: Party::new("did:web:a.example", None),
        bruno: Party::new("did:web:b.example", None),
    }
}

fn row(recipient: &Did, registrant: &Did, proven_at: Option<UnixTime>) -> RecipientRow {
    let (did, registrant) = (recipient.clone(), registrant.clone());
    RecipientRow { did, registrant, proven_at, added_at: NOW, keys: Vec::new(), rule: None }
}

impl Net {
    /// A letter of Aria's to Bruno, and the forward around it.
    fn letter(&self) -> Vec<u8> {
        self.aria.seal(&self.aria.message("m-1", OFFER, &self.bruno), &self.bruno, How::Signed)
    }

    fn forward(&self, next: &str, payload: Vec<u8>, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let forward = Forward::new(Next::parse(next).unwrap(), payload);
        let mut message = forward.into_message(MessageId::parse("f-1").unwrap()).unwrap();
        message.to = vec![self.relay.did.clone()];
        change(&mut message);
        self.aria.seal(&message, &self.relay, How::Anonymous)
    }

    fn facts(&self) -> RouteFacts {
        let recipient = Some(row(&self.bruno.did, &self.bruno.did, Some(NOW)));
        RouteFacts { relay: Some(Quotas::default()), recipient }
    }

    /// Drives an envelope into the node of `home`.
    fn drive(&self, envelope: Vec<u8>, home: &Party, facts: &RouteFacts) -> Arrived {
        let context = Context { home: home.did.clone(), now: NOW, salt: [7; 16], secret: secret() };
        let mut arrived = Arrived { outcome: Outcome::Noted, held: None, served: None };
        let mut inbound = match Inbound::new(Arrival::same_home(envelope), context) {
            Ok(inbound) => inbound,
            Err(refusal) => {
                arrived.outcome = Outcome::TurnedAway(refusal);
                return arrived;
            }
        };
        let parties = [&self.relay, &self.aria, &self.bruno];
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(kids) => {
                    let ours = kids.into_iter().filter(|kid| *kid == home.did.url("key-2"));
                    Input::Keys(ours.map(|kid| (kid, home.keys().agreement.1)).collect())
                }
                Output::Resolve(did) => match parties.iter().find(|party| party.did == did) {
                    Some(party) => Input::Document(Arc::clone(&party.document)),
                    None => Input::Unresolvable(did),
                },
                Output::Route(_) => Input::Routed(facts.clone()),
                Output::Hold(held) => {
                    arrived.held = Some(held);
                    Input::Written(Written::New { seq: 1 })
                }
                Output::Serve(served) => {
                    arrived.served = Some(served);
                    Input::Answered(Ok(()))
                }
                Output::Judge(_) => {
                    arrived.outcome = Outcome::Accepted;
                    return arrived;
                }
                Output::Done(outcome) => {
                    arrived.outcome = outcome;
                    return arrived;
                }
                other => panic!("{other:?}"),
            };
            inbound.handle_input(input);
        }
    }
}

struct Arrived {
    outcome: Outcome,
    held: Option<Arc<Held>>,
    served: Option<Arc<Served>>,
}

#[test]
fn a_forward_to_somebody_registered_is_held_as_it_came() {
    let net = net();
    let letter = net.letter();
    let forward = net.forward(net.bruno.did.as_str(), letter.clone(), |_| {});
    let arrived = net.drive(forward, &net.relay, &net.facts());
    assert_eq!(arrived.outcome, Outcome::Queued(None));
    let held = arrived.held.unwrap();
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(held.envelope()), json(&letter));
    assert_eq!(held.row().recipient, net.bruno.did);
    assert_eq!(held.row().expires, NOW.saturating_add(RELAY_AGE_S_MAX));
}

#[test]
fn a_forward_that_is_not_for_us_to_hold_gets_its_code() {
    let net = net();
    let refused = |next: &str, payload: Vec<u8>, facts: &RouteFacts| {
        let forward = net.forward(next, payload, |_| {});
        let arrived = net.drive(forward, &net.relay, facts);
        assert!(arrived.held.is_none());
        arrived.outcome
    };
    let bruno = net.bruno.did.as_str();
    let unknown = RouteFacts { recipient: None, ..net.facts() };
    let home = RouteFacts { relay: None, ..net.facts() };
    let turned_away = Outcome::TurnedAway;
    assert_eq!(refused(bruno, net.letter(), &unknown), turned_away(Refusal::NotRegistered));
    assert_eq!(refused(bruno, net.letter(), &home), turned_away(Refusal::NotRelay));
    for ours in [net.relay.did.to_string(), net.relay.did.url("key-2").to_string()] {
        let outcome = refused(&ours, net.letter(), &net.facts());
        assert_eq!(outcome, turned_away(Refusal::ForwardLoop));
    }
    let plain = br#"{"id":"1","type":"https://example.org/a/1.0/b","body":{}}"#.to_vec();
    assert_eq!(refused(bruno, plain, &net.facts()), turned_away(Refusal::Unencrypted));
    assert_eq!(refused(bruno, b"{}".to_vec(), &net.facts()), turned_away(Refusal::Malformed));
}

#[test]
fn a_forward_with_two_payloads_or_an_expired_one_is_turned_away() {
    let net = net();
    let drive = |change: &dyn Fn(&mut Message)| {
        let forward = net.forward(net.bruno.did.as_str(), net.letter(), |message| change(message));
        net.drive(forward, &net.relay, &net.facts()).outcome
    };
    let twice = drive(&|message| message.attachments.push(message.attachments[0].clone()));
    assert_eq!(twice, Outcome::TurnedAway(Refusal::TooManyPayloads));
    let late = drive(&|message| message.expires_time = Some(NOW));
    assert_eq!(late, Outcome::TurnedAway(Refusal::Expired));
    let nowhere = drive(&|message| drop(message.body.remove("next")));
    assert_eq!(nowhere, Outcome::TurnedAway(Refusal::Malformed));
}

#[test]
fn deadline_and_delay_of_a_forward_are_kept_within_our_bounds() {
    let net = net();
    let held = |change: &dyn Fn(&mut Message)| {
        let forward = net.forward(net.bruno.did.as_str(), net.letter(), |message| change(message));
        net.drive(forward, &net.relay, &net.facts()).held.unwrap().row().clone()
    };
    let soon = NOW.saturating_add(60);
    assert_eq!(held(&|message| message.expires_time = Some(soon)).expires, soon);
    let far = NOW.saturating_add(RELAY_AGE_S_MAX * 9);
    let row = held(&|message| message.expires_time = Some(far));
    assert_eq!(row.expires, NOW.saturating_add(RELAY_AGE_S_MAX));
    let delay = |ms: i64| {
        let row = held(&|message| drop(message.extra.insert("delay_milli".to_owned(), json!(ms))));
        row.not_before.0 - NOW.0
    };
    assert_eq!((delay(0), delay(1_500), delay(i64::MAX)), (0, 2, 60));
    assert!(delay(i64::MIN) <= 60);
}

#[test]
fn what_would_not_fit_into_a_delivery_is_not_held() {
    let net = net();
    let payload = json!({ "ciphertext": "x".repeat(HELD_BYTES_MAX) }).to_string().into_bytes();
    let route = Route::new(Forward::new(Next::Did(net.bruno.did.clone()), payload)).unwrap();
    let context =
        Context { home: net.relay.did.clone(), now: NOW, salt: [0; 16], secret: secret() };
    let refusal = admit(&route, &net.facts(), &context).unwrap_err();
    assert_eq!(refusal, Refusal::TooLarge);
}

/// What would not come out of the queue as it went in would keep back all behind it: numbers that
/// become longer, and nesting that is too deep inside a delivery.
#[test]
fn a_payload_that_spoils_its_delivery_is_not_held() {
    let net = net();
    let letter = String::from_utf8(net.letter()).unwrap();
    let held = |extra: &str| {
        let payload = format!("{},\"extra\":{extra}}}", letter.strip_suffix('}').unwrap());
        let forward = Forward::new(Next::Did(net.bruno.did.clone()), payload.into_bytes());
        let context =
            Context { home: net.relay.did.clone(), now: NOW, salt: [0; 16], secret: secret() };
        admit(&Route::new(forward).unwrap(), &net.facts(), &context).map(drop)
    };
    let text = format!("\"{}\"", "x".repeat(450 * 1024));
    assert_eq!(held(&text), Ok(()));
    let numbers = format!("[{}1]", "1e15,".repeat(100_000));
    assert_eq!(held(&numbers), Err(Refusal::Malformed), "four times as long when written anew");
    let deep = format!("[{text},{}{}]", "[".repeat(29), "]".repeat(29));
    assert_eq!(held(&deep), Err(Refusal::Malformed), "too deep inside a delivery");
}

#[test]
fn a_recipient_takes_off_what_its_mediator_put_around() {
    let net = net();
    let rewrap = |payload: Vec<u8>, next: &Did| {
        let forward = Forward::new(Next::Did(next.clone()), payload);
        let message = forward.into_message(MessageId::parse("f-1").unwrap()).unwrap();
        net.relay.seal(&message.with_to([net.bruno.did.clone()]), &net.bruno, How::Anonymous)
    };
    let home = Party::new("did:web:home.example", None);
    let drive = |envelope| {
        // The agent's key is asked for in the name of a home that is somebody else.
        let context = Context { home: home.did.clone(), now: NOW, salt: [0; 16], secret: secret() };
        let mut inbound = Inbound::new(Arrival::same_home(envelope), context).unwrap();
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(kids) => {
                    let key = net.bruno.keys().agreement.1;
                    Input::Keys(kids.into_iter().map(|kid| (kid, key.clone())).collect())
                }
                Output::Resolve(_) => Input::Document(Arc::clone(&net.aria.document)),
                Output::Judge(question) => return Ok(question.sender),
                Output::Done(outcome) => return Err(outcome),
                other => panic!("{other:?}"),
            };
            inbound.handle_input(input);
        }
    };
    let once = rewrap(net.letter(), &net.bruno.did);
    assert_eq!(drive(once.clone()), Ok(net.aria.did.clone()));
    let twice = rewrap(once, &net.bruno.did);
    assert_eq!(drive(twice.clone()), Ok(net.aria.did.clone()));
    let thrice = rewrap(twice, &net.bruno.did);
    assert_eq!(drive(thrice), Err(Outcome::TurnedAway(Refusal::ForwardLoop)));
    let for_other = rewrap(net.letter(), &net.aria.did);
    assert_eq!(drive(for_other), Err(Outcome::TurnedAway(Refusal::NotRegistered)));
}

#[test]
fn what_is_asked_of_the_node_needs_a_proven_sender() {
    let net = net();
    let ping = net.aria.message("p-1", PING, &net.relay);
    for (how, served) in [(How::Signed, true), (How::Authcrypt, true), (How::Anonymous, false)] {
        let envelope = net.aria.seal(&ping, &net.relay, how);
        let arrived = net.drive(envelope, &net.relay, &net.facts());
        assert_eq!(arrived.served.is_some(), served);
        if let Some(served) = arrived.served {
            assert_eq!(served.sender(), &net.aria.did);
            assert_eq!(served.request(), &Ok(Request::Ping));
        } else {
            assert_eq!(arrived.outcome, Outcome::TurnedAway(Refusal::Unauthenticated));
        }
    }
    // To an agent, a ping is a message like any other.
    let to_bruno = net.aria.message("p-1", PING, &net.bruno);
    let envelope = net.aria.seal(&to_bruno, &net.bruno, How::Signed);
    let mut home = Party::new("did:web:b.example", None);
    home.did = net.bruno.did.clone();
    let context =
        Context { home: net.relay.did.clone(), now: NOW, salt: [0; 16], secret: secret() };
    let mut inbound = Inbound::new(Arrival::same_home(envelope), context).unwrap();
    let Output::Keys(kids) = inbound.poll_output() else { panic!("keys come first") };
    let key = net.bruno.keys().agreement.1;
    inbound.handle_input(Input::Keys(kids.into_iter().map(|kid| (kid, key.clone())).collect()));
    let Output::Resolve(_) = inbound.poll_output() else { panic!("then the sender") };
    inbound.handle_input(Input::Document(Arc::clone(&net.aria.document)));
    assert!(matches!(inbound.poll_output(), Output::Judge(_)));
}

#[test]
fn who_may_register_is_the_operators_choice() {
    let aria: Did = "did:web:a.example".parse().unwrap();
    let invitation = |seconds: i64, uses_left| Invitation {
        id: "i-1".to_owned(),
        expires: UnixTime(NOW.0.saturating_add_signed(seconds)),
        uses_left,
    };
    let known = |invitation: Option<&str>| Registrant {
        did: aria.clone(),
        granted_at: NOW,
        invitation: invitation.map(str::to_owned),
    };
    let facts = |registrant, invitation| {
        let answer = AnswerGoes::Back;
        RegisterFacts { registrant, invitation, answer }
    };
    let decide = |policy: Register, allow: &[&Did], registrant, invitation| {
        let allow = allow.iter().map(|did| (*did).clone()).collect();
        let policy = RelayPolicy { register: policy, allow, ..RelayPolicy::default() };
        match register(&aria, Some(&policy), &facts(registrant, invitation), NOW) {
            Decision::Deny => "deny",
            Decision::Known => "known",
            Decision::Grant { invitation: None, .. } => "grant",
            Decision::Grant { invitation: Some(_), .. } => "grant by invitation",
        }
    };
    let good = Some(invitation(60, 1));
    let table = [
        (Register::Open, None, None, "grant"),
        (Register::Open, Some(known(None)), None, "known"),
        (Register::Invitation, None, None, "deny"),
        (Register::Invitation, None, good.clone(), "grant by invitation"),
        (Register::Invitation, None, Some(invitation(0, 1)), "deny"),
        (Register::Invitation, None, Some(invitation(60, 0)), "deny"),
        (Register::Invitation, Some(known(Some("i-1"))), None, "known"),
        (Register::Invitation, Some(known(None)), None, "deny"),
        (Register::Invitation, Some(known(None)), good.clone(), "grant by invitation"),
        (Register::Invitation, Some(known(Some("i-1"))), good.clone(), "known"),
        (Register::AllowList, None, good, "deny"),
        (Register::AllowList, Some(known(Some("i-1"))), None, "deny"),
    ];
    for (policy, registrant, invitation, expected) in table {
        let case = format!("{policy:?} {registrant:?} {invitation:?}");
        assert_eq!(decide(policy, &[], registrant, invitation), expected, "{case}");
    }
    for policy in [Register::AllowList, Register::Invitation, Register::Open] {
        assert_eq!(decide(policy, &[&aria], None, None), "grant", "{policy:?}, listed");
    }
    let known = facts(Some(known(None)), None);
    assert_eq!(register(&aria, None, &known, NOW), Decision::Deny, "not a relay");
    // To be written to at its endpoint, somebody has to be more than a DID that anybody made.
    let out = RegisterFacts { answer: AnswerGoes::Out, ..facts(None, None) };
    let mut policy = RelayPolicy { register: Register::Open, ..RelayPolicy::default() };
    assert_eq!(register(&aria, Some(&policy), &out, NOW), Decision::Deny);
    policy.allow.push(aria.clone());
    assert!(matches!(register(&aria, Some(&policy), &out, NOW), Decision::Grant { .. }));
}

/// Decides about an update by a home that is not the recipient.
fn update(proof: bool, policy: Recipients, known: Option<&RecipientRow>) -> Verdict {
    let net = net();
    let home: Did = "did:web:home.example".parse().unwrap();
    let (kid, key) = net.bruno.keys().signing;
    let id = MessageId::parse("proof-1").unwrap();
    let proof = proof.then(|| {
        mediation_proof::make(id, (&kid, &key), &net.bruno.did, &home, &net.relay.did, NOW)
    });
    let update = Update { recipient_did: net.bruno.did.clone(), action: Action::Add, proof };
    let policy = RelayPolicy { recipients: policy, ..RelayPolicy::default() };
    let document = Some(&*net.bruno.document);
    let facts = RecipientFacts { row: known, document, registered: 0 };
    change(&home, &update, &policy, &facts, &net.relay.did, NOW)
}

#[test]
fn a_recipient_is_registered_by_itself_or_with_its_proof() {
    let unproven = Verdict::Leave(UpdateResult::ClientError, Some(Refusal::RecipientUnproven));
    assert_eq!(update(false, Recipients::Proven, None), unproven);
    let Verdict::Change(change) = update(true, Recipients::Proven, None) else { panic!() };
    let row = change.after.unwrap();
    assert_eq!((row.proven_at, row.registrant.as_str()), (Some(NOW), "did:web:home.example"));
    assert_eq!(row.keys.len(), 1);
    let Verdict::Change(change) = update(false, Recipients::Any, None) else { panic!() };
    assert_eq!(change.after.unwrap().proven_at, None);
}

#[test]
fn a_later_proof_overrules_and_an_earlier_one_does_not() {
    let net = net();
    let other: Did = "did:web:other.example".parse().unwrap();
    let known = |proven_at| Some(row(&net.bruno.did, &other, proven_at));
    let taken = Verdict::Leave(UpdateResult::ClientError, Some(Refusal::RecipientTaken));
    assert!(matches!(update(true, Recipients::Any, known(None).as_ref()), Verdict::Change(_)));
    assert_eq!(update(false, Recipients::Any, known(None).as_ref()), taken);
    let earlier = Some(UnixTime(NOW.0 - 1));
    assert!(matches!(
        update(true, Recipients::Proven, known(earlier).as_ref()),
        Verdict::Change(_)
    ));
    assert_eq!(update(true, Recipients::Proven, known(Some(NOW)).as_ref()), taken);
}

#[test]
fn only_the_registrant_or_the_did_itself_removes_and_picks_up() {
    let net = net();
    let (bruno, home) = (net.bruno.did.clone(), "did:web:home.example".parse::<Did>().unwrap());
    let known = row(&bruno, &home, Some(NOW));
    let update = Update { recipient_did: bruno.clone(), action: Action::Remove, proof: None };
    let remove = |sender: &Did, row: Option<&RecipientRow>| {
        let facts = RecipientFacts { row, document: None, registered: 0 };
        change(sender, &update, &RelayPolicy::default(), &facts, &net.relay.did, NOW)
    };
    for allowed in [&bruno, &home] {
        assert!(matches!(remove(allowed, Some(&known)), Verdict::Change(_)));
        assert_eq!(may_pick_up(allowed, &bruno, Some(&known)), Ok(()));
    }
    let taken = Verdict::Leave(UpdateResult::ClientError, Some(Refusal::RecipientTaken));
    assert_eq!(remove(&net.aria.did, Some(&known)), taken);
    let no_change = Verdict::Leave(UpdateResult::NoChange, None);
    assert_eq!(remove(&home, None), no_change);
    let refused = Err(Refusal::NotYourQueue);
    assert_eq!(may_pick_up(&net.aria.did, &bruno, Some(&known)), refused);
    assert_eq!(may_pick_up(&home, &bruno, None), refused);
    assert_eq!(may_pick_up(&bruno, &bruno, None), Ok(()));
}

#[test]
fn a_delivery_keeps_to_its_limits_and_is_never_empty_for_one_large_message() {
    let take = |limit: u64, sizes: &[u64]| {
        let mut plan = plan_delivery(limit);
        sizes.iter().take_while(|size| plan.take(**size)).count()
    };
    assert_eq!(take(2, &[1, 1, 1]), 2);
    assert_eq!(take(0, &[1]), 0);
    assert_eq!(take(u64::MAX, &vec![1; 500]), crate::limits::DELIVERY_MESSAGES_MAX);
    let large = DELIVERY_BYTES_MAX + 1;
    assert_eq!(take(10, &[large, 1]), 1);
    assert_eq!(take(10, &[1, large, 1]), 1);
}

#[test]
fn a_node_says_what_its_roles_understand() {
    let query = |pattern: &str| crate::protocol::discover_features::FeatureQuery {
        feature_type: "protocol".to_owned(),
        pattern: pattern.to_owned(),
    };
    let ids = |features: Features, pattern: &str| {
        let all = features.disclose(&[query(pattern)]);
        all.into_iter().map(|feature| feature.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Features::Relay, "*routing*"), ["https://didcomm.org/routing/2.0"]);
    assert!(ids(Features::Home, "*routing*").is_empty());
    assert_eq!(ids(Features::Relay, "*/admission/*"), [ADMISSION]);
    assert!(ids(Features::Home, "*/admission/*").is_empty());
    assert_eq!(ids(Features::Home, "https://didcomm.org/trust-ping/2.*").len(), 1);
}
