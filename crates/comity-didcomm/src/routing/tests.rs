//! Forwards, routes and wrappings, against DIDComm v2.1, section "Routing Protocol".

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::document::{DidDocument, Endpoint, Service, VerificationMethod};
use crate::key::AgreementKey;
use crate::limits::{REWRAPPINGS_MAX, ROUTE_HOPS_MAX};
use crate::open::{OpenError, OpenPolicy, open};
use std::sync::Arc;

const NOW: UnixTime = UnixTime(1_800_000_000);

struct Party {
    did: Did,
    kid: DidUrl,
    key: AgreementKey,
    document: Arc<DidDocument>,
}

impl Party {
    fn new(name: &str, seed: u8, endpoints: &[Endpoint]) -> Self {
        let did = Did::parse(&format!("did:web:{name}.example")).unwrap();
        let kid = did.url("seal");
        let key = AgreementKey::from_bytes([seed; 32].into());
        let mut document = DidDocument::new(did.clone());
        let id = document.add_key(VerificationMethod::new(kid.clone(), key.public()));
        document.key_agreement.push(id);
        for (at, endpoint) in endpoints.iter().enumerate() {
            document.service.push(Service::didcomm(&did.url(&format!("s{at}")), endpoint));
        }
        Self { did, kid, key, document: Arc::new(document) }
    }

    fn open(&self, envelope: &[u8]) -> Message {
        let keys = |kid: &DidUrl| (*kid == self.kid).then(|| self.key.clone());
        open(envelope, &OpenPolicy::default(), NOW, &keys, &|_| None).unwrap().message
    }

    fn envelope(&self, rng: &mut StdRng) -> String {
        let type_ = MessageType::parse("https://didcomm.org/empty/1.0/empty").unwrap();
        let message = Message::new(MessageId::parse("m-1").unwrap(), type_)
            .with_to([self.did.clone()])
            .with_body_member("for", self.did.as_str());
        let keys = [(self.kid.clone(), self.key.public())];
        anoncrypt(&message.to_json(), &keys, ContentEncryption::A256Gcm, rng).unwrap()
    }
}

fn endpoint(uri: &str, routing_keys: &[&str]) -> Endpoint {
    let routing_keys = routing_keys.iter().map(|&key| key.to_owned()).collect();
    Endpoint { routing_keys, ..Endpoint::new(uri) }
}

fn route(recipient: &Party, endpoint: &Endpoint, others: &[&Party]) -> Result<Route, RouteError> {
    let documents: HashMap<_, _> =
        others.iter().map(|party| (party.did.clone(), Arc::clone(&party.document))).collect();
    let takes = |uri: &str| uri.starts_with("https://");
    Route::new(&recipient.did, endpoint, &takes, &|did| documents.get(did).cloned())
}

fn forward_message(body: &Value, attachments: &Value) -> Message {
    let text = json!({ "id": "f-1", "type": FORWARD, "body": body, "attachments": attachments });
    Message::parse(text.to_string().as_bytes()).unwrap()
}

#[test]
fn a_forward_is_read_from_json_and_from_base64() {
    let body = json!({ "next": "did:web:bruno.example#key-1" });
    let attachments = json!([
        { "data": { "json": { "ciphertext": "x" } } },
        { "data": { "base64": "eyJjaXBoZXJ0ZXh0IjoieSJ9" } },
    ]);
    let mut message = forward_message(&body, &attachments);
    message.expires_time = Some(NOW);
    message.extra.insert("delay_milli".to_owned(), json!(-1500));
    message.please_ack = vec![String::new()];
    let forward = Forward::from_message(&message).unwrap();
    assert_eq!(forward.next, "did:web:bruno.example#key-1".parse().unwrap());
    let expected = [&br#"{"ciphertext":"x"}"#[..], br#"{"ciphertext":"y"}"#];
    assert_eq!(forward.payloads, expected);
    assert_eq!((forward.expires_time, forward.delay_milli), (Some(NOW), Some(-1500)));
    let again = forward.clone().into_message(message.id).unwrap();
    assert_eq!(Forward::from_message(&Message::parse(&again.to_json()).unwrap()).unwrap(), forward);
}

#[test]
fn a_delay_in_the_body_is_taken_too() {
    let body = json!({ "next": "did:web:b.example", "delay_milli": 7 });
    let message = forward_message(&body, &json!([{ "data": { "json": {} } }]));
    assert_eq!(Forward::from_message(&message).unwrap().delay_milli, Some(7));
}

#[test]
fn what_is_no_forward_is_refused() {
    let next = json!({ "next": "did:web:b.example" });
    let payload = json!([{ "data": { "json": {} } }]);
    let many: Value = (0..17).map(|_| payload[0].clone()).collect();
    for (body, attachments, error) in [
        (json!({}), &payload, ForwardError::Next),
        (json!({ "next": 1 }), &payload, ForwardError::Next),
        (json!({ "next": "bruno" }), &payload, ForwardError::Next),
        (json!({ "next": "did:web:b.example/path#key" }), &payload, ForwardError::Next),
        (json!({ "next": "did:web:b.example?a=b" }), &payload, ForwardError::Next),
        (json!({ "next": "did:web:b.example", "delay_milli": "1" }), &payload, ForwardError::Delay),
        (json!({ "next": "did:web:b.example", "delay_milli": 0.5 }), &payload, ForwardError::Delay),
        (next.clone(), &json!([]), ForwardError::Payload),
        (next.clone(), &json!([{ "data": { "json": [] } }]), ForwardError::Payload),
        (next.clone(), &json!([{ "data": { "json": "{}" } }]), ForwardError::Payload),
        (
            next.clone(),
            &json!([{ "data": { "base64": "e30", "json": {} } }]),
            ForwardError::Payload,
        ),
        (next.clone(), &json!([{ "data": { "base64": "e" } }]), ForwardError::Payload),
        (next.clone(), &json!([{ "data": { "hash": "zQ" } }]), ForwardError::Payload),
        (
            next.clone(),
            &json!([{ "data": { "hash": "zQ", "links": ["https://a.example"] } }]),
            ForwardError::Link,
        ),
        (next, &many, ForwardError::TooMany),
    ] {
        let message = forward_message(&body, attachments);
        assert_eq!(Forward::from_message(&message), Err(error), "{body} {attachments}");
    }
    let mut message = forward_message(&json!({ "next": "did:web:b.example" }), &payload);
    message.type_ = "https://didcomm.org/routing/3.0/forward".parse().unwrap();
    assert_eq!(Forward::from_message(&message), Err(ForwardError::Type));
    message.type_ = "https://didcomm.org/Routing/2.1/Forward".parse().unwrap();
    assert!(Forward::from_message(&message).is_ok(), "types match by meaning");
}

#[test]
fn a_direct_endpoint_leaves_the_envelope_as_it_is() {
    let bruno = Party::new("bruno", 1, &[]);
    let mut rng = StdRng::seed_from_u64(1);
    let envelope = bruno.envelope(&mut rng);
    let route = route(&bruno, &endpoint("https://b.example", &[]), &[]).unwrap();
    let wrapped = wrap(envelope.clone(), &route, None, &mut rng).unwrap();
    assert_eq!((wrapped.envelope, wrapped.uri.as_str()), (envelope, "https://b.example"));
}

#[test]
fn routing_keys_are_wrapped_from_the_end_to_the_start() {
    let mut rng = StdRng::seed_from_u64(1);
    let bruno = Party::new("bruno", 1, &[]);
    let [first, second] = [2, 3].map(|seed| Party::new(&format!("m{seed}"), seed, &[]));
    let endpoint = endpoint("https://m2.example", &[first.kid.as_str(), second.did.as_str()]);
    let route = route(&bruno, &endpoint, &[&first, &second]).unwrap();
    let envelope = bruno.envelope(&mut rng);
    let expires = Some(NOW.saturating_add(60));
    let wrapped = wrap(envelope, &route, expires, &mut rng).unwrap();
    assert_eq!((wrapped.uri.as_str(), wrapped.hops), ("https://m2.example", 2));

    let outer = first.open(wrapped.envelope.as_bytes());
    assert_eq!((outer.to.as_slice(), outer.expires_time), (&[first.did][..], expires));
    let outer = Forward::from_message(&outer).unwrap();
    assert_eq!(outer.next, Next::Did(second.did.clone()));
    let inner = Forward::from_message(&second.open(&outer.payloads[0])).unwrap();
    assert_eq!(inner.next, Next::Did(bruno.did.clone()));
    assert_eq!(bruno.open(&inner.payloads[0]).body["for"], bruno.did.as_str());
}

#[test]
fn headers_for_the_recipients_own_mediator_are_seen_by_it_alone() {
    let mut rng = StdRng::seed_from_u64(1);
    let bruno = Party::new("bruno", 1, &[]);
    let [first, second] = [2, 3].map(|seed| Party::new(&format!("m{seed}"), seed, &[]));
    let endpoint = endpoint("https://m2.example", &[first.kid.as_str(), second.did.as_str()]);
    let route = route(&bruno, &endpoint, &[&first, &second]).unwrap();
    let envelope = bruno.envelope(&mut rng);
    let Value::Object(extra) = json!({ "ticket": { "number": 7 } }) else { panic!() };
    let wrapped = wrap_with(envelope, &route, None, extra.clone(), &mut rng).unwrap();
    let outer = Forward::from_message(&first.open(wrapped.envelope.as_bytes())).unwrap();
    assert!(outer.extra.is_empty());
    let inner = Forward::from_message(&second.open(&outer.payloads[0])).unwrap();
    assert_eq!(inner.extra, extra);
}

#[test]
fn a_mediator_as_the_uri_comes_before_the_routing_keys() {
    let bruno = Party::new("bruno", 1, &[]);
    let outer = Party::new("outer", 5, &[]);
    let own =
        [endpoint("wss://m.example", &[]), endpoint("https://m.example", &[outer.kid.as_str()])];
    let mediator = Party::new("m", 2, &own);
    let inner = Party::new("inner", 3, &[]);
    let endpoint = endpoint(mediator.did.as_str(), &[inner.kid.as_str()]);
    let route = route(&bruno, &endpoint, &[&outer, &mediator, &inner]).unwrap();
    assert_eq!(route.uri, "https://m.example");
    let names: Vec<_> = route.hops.iter().map(|hop| hop.name.to_string()).collect();
    assert_eq!(names, [outer.kid.as_str(), mediator.did.as_str(), inner.kid.as_str()]);
    assert_eq!(route.hops[1].keys, [(mediator.kid.clone(), mediator.key.public())]);
}

#[test]
fn routes_that_cannot_be_used_say_why() {
    let bruno = Party::new("bruno", 1, &[]);
    let again = Party::new("again", 2, &[endpoint("did:web:other.example", &[])]);
    let socket = Party::new("socket", 3, &[endpoint("wss://m.example", &[])]);
    let did = |text: &str| Did::parse(text).unwrap();
    let long = vec!["did:web:m.example#k"; ROUTE_HOPS_MAX + 1];
    for (uri, routing_keys, error) in [
        ("did:web:again.example", vec![], RouteError::Indirection),
        ("did:web:socket.example", vec![], RouteError::NoEndpoint),
        ("did:web:far.example", vec![], RouteError::Unresolved(did("did:web:far.example"))),
        ("didcomm:transport/queue", vec![], RouteError::Uri),
        ("did:web:a.example/path", vec![], RouteError::Uri),
        ("https://m.example", vec!["did:web:again.example#other"], RouteError::RoutingKey),
        ("https://m.example", vec!["did:key:zNonsense"], RouteError::RoutingKey),
        ("https://m.example", vec!["not a key"], RouteError::RoutingKey),
        (
            "https://m.example",
            vec!["did:web:far.example#k"],
            RouteError::Unresolved(did("did:web:far.example")),
        ),
        ("https://m.example", long, RouteError::TooLong),
    ] {
        let endpoint = endpoint(uri, &routing_keys);
        assert_eq!(route(&bruno, &endpoint, &[&again, &socket]), Err(error), "{uri}");
    }
}

#[test]
fn an_endpoint_for_other_versions_only_is_not_used() {
    let bruno = Party::new("bruno", 1, &[]);
    let with = |accept: &[&str]| {
        let accept = accept.iter().map(|&profile| profile.to_owned()).collect();
        Endpoint { accept, ..endpoint("https://b.example", &[]) }
    };
    for good in [&[][..], &["didcomm/aip1", "didcomm/v2"], &["application/didcomm-encrypted+json"]]
    {
        assert!(route(&bruno, &with(good), &[]).is_ok(), "{good:?}");
    }
    let old = with(&["didcomm/aip1", "didcomm/aip2;env=rfc19"]);
    assert_eq!(route(&bruno, &old, &[]), Err(RouteError::Profile));
    // A mediator's endpoint is passed over for one that will do.
    let mediator = Party::new("m", 2, &[old, endpoint("https://m.example", &[])]);
    let through = endpoint(mediator.did.as_str(), &[]);
    assert_eq!(route(&bruno, &through, &[&mediator]).unwrap().uri, "https://m.example");
}

#[test]
fn routing_keys_that_carry_their_document_need_none() {
    let bruno = Party::new("bruno", 1, &[]);
    let key = crate::key::SigningKey::from_seed([9; 32].into());
    let did = format!("did:key:{}", key.public().to_multibase());
    let route = route(&bruno, &endpoint("https://m.example", &[&did]), &[]).unwrap();
    assert_eq!(route.hops[0].keys[0].1, key.to_agreement().unwrap().public());
}

fn rewrap(bruno: &Party, next: &Next, envelope: &str, rng: &mut StdRng) -> String {
    let forward = Forward::new(next.clone(), envelope.as_bytes().to_vec());
    let message = forward.into_message(MessageId::random(rng)).unwrap();
    let message = message.with_to([bruno.did.clone()]);
    let keys = [(bruno.kid.clone(), bruno.key.public())];
    anoncrypt(&message.to_json(), &keys, ContentEncryption::A256Gcm, rng).unwrap()
}

fn unwrap(bruno: &Party, envelope: &str) -> Result<Forwarded, OpenError> {
    let keys = |kid: &DidUrl| (*kid == bruno.kid).then(|| bruno.key.clone());
    open_forwarded(envelope.as_bytes(), &OpenPolicy::default(), NOW, &keys, &|_| None)
}

#[test]
fn a_forward_to_ourselves_is_unwrapped_to_a_depth() {
    let mut rng = StdRng::seed_from_u64(1);
    let bruno = Party::new("bruno", 1, &[]);
    let mut envelope = bruno.envelope(&mut rng);
    for depth in 0..=REWRAPPINGS_MAX {
        let forwarded = unwrap(&bruno, &envelope).unwrap();
        assert_eq!(forwarded.rewrappings, depth);
        assert_eq!(forwarded.opened.message.body["for"], bruno.did.as_str());
        let next = if depth % 2 == 0 {
            Next::Did(bruno.did.clone())
        } else {
            Next::Key(bruno.kid.clone())
        };
        envelope = rewrap(&bruno, &next, &envelope, &mut rng);
    }
    assert_eq!(unwrap(&bruno, &envelope).unwrap_err(), OpenError::Envelope);
}

#[test]
fn a_forward_to_somebody_else_is_left_closed() {
    let mut rng = StdRng::seed_from_u64(1);
    let bruno = Party::new("bruno", 1, &[]);
    let other = Party::new("other", 2, &[]);
    let (ours, theirs) = (bruno.envelope(&mut rng), other.envelope(&mut rng));
    let (to_us, to_them) = (Next::Did(bruno.did.clone()), Next::Did(other.did.clone()));
    // To them; to us but for their key; for our key but to them; to us but readable by everybody.
    for (next, payload) in [
        (&to_them, theirs.as_str()),
        (&to_us, &theirs),
        (&to_them, &ours),
        (&to_us, r#"{"id":"m-1","type":"https://didcomm.org/empty/1.0/empty"}"#),
    ] {
        let envelope = rewrap(&bruno, next, payload, &mut rng);
        let forwarded = unwrap(&bruno, &envelope).unwrap();
        assert_eq!(forwarded.rewrappings, 0);
        assert!(Forward::is_forward(&forwarded.opened.message));
    }
}

#[test]
fn random_ids_are_ids() {
    let mut rng = StdRng::seed_from_u64(1);
    let [one, other] = [MessageId::random(&mut rng), MessageId::random(&mut rng)];
    assert_ne!(one, other);
    assert_eq!(MessageId::parse(one.as_str()), Ok(one.clone()));
    assert_eq!(one.as_str().len(), 32);
}
