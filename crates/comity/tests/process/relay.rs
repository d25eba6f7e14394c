//! A relay's 202 is a promise too: what was taken for somebody is there after SIGKILL, once, until it is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidUrl, Message, MessageId, OpenPolicy, Protection,
    PublicKey, ReturnRoute, SigningKey, did, open, resolve_self_contained, seal,
};
use serde_json::{Value, json};

use super::support::{Answer, Recipient, TestNode, now};

const KILLS: usize = 12;
/// Forwards between two kills.
const FORWARDS: usize = 9;

/// Somebody without an endpoint, who knows the protocols and nothing of ours.
struct Client {
    did: Did,
    kid: DidUrl,
    key: AgreementKey,
}

impl Client {
    fn new() -> Self {
        let signing = SigningKey::generate(&mut rand::rng());
        let key = AgreementKey::generate(&mut rand::rng());
        let did = did::peer::create_4(&[signing.public(), key.public()], &[]).unwrap().long;
        Self { kid: did.url("key-2"), did, key }
    }

    fn keys(&self) -> Vec<(DidUrl, PublicKey)> {
        vec![(self.kid.clone(), self.key.public())]
    }

    /// Asks the relay, and returns body and attachments of the answer.
    fn ask(&self, node: &TestNode, type_: &str, body: Value) -> Message {
        let relay = relay(node);
        let Value::Object(body) = body else { panic!("a body is an object") };
        let type_ = format!("https://didcomm.org/{type_}").parse().unwrap();
        let mut message = Message::new(id(), type_)
            .with_from(self.did.clone())
            .with_to([relay.did.clone()])
            .with_body(body);
        message.return_route = Some(ReturnRoute::All);
        let protection = Protection::Deniable { kid: &self.kid, key: &self.key };
        let sealed = seal(&message, protection, &relay.keys, &mut rand::rng()).unwrap();
        let answer = node.post(sealed.envelope.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        let resolved = node.run(&["did", "resolve", relay.did.as_str()]).ok();
        let document = resolved["document"].to_string();
        let document = comity_didcomm::DidDocument::parse(document.as_bytes(), &relay.did).unwrap();
        let document = Arc::new(document);
        let keys = |kid: &DidUrl| (*kid == self.kid).then(|| self.key.clone());
        let documents = |did: &Did| (*did == relay.did).then(|| Arc::clone(&document));
        let opened = open(&answer.body, &OpenPolicy::default(), now(), &keys, &documents).unwrap();
        opened.message
    }

    fn waiting(&self, node: &TestNode) -> u64 {
        let status = self.ask(node, "message-pickup/4.0/status-request", json!({}));
        status.body["message_count"].as_u64().unwrap()
    }

    /// A letter to this client, with a number in it.
    fn letter(&self, number: usize) -> Vec<u8> {
        let type_ = "https://didcomm.org/basicmessage/2.0/message".parse().unwrap();
        let message = Message::new(id(), type_).with_body_member("number", number);
        let protection = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
        let sealed = seal(&message, protection, &self.keys(), &mut rand::rng()).unwrap();
        sealed.envelope.into_bytes()
    }

    fn read(&self, envelope: &[u8]) -> u64 {
        let keys = |kid: &DidUrl| (*kid == self.kid).then(|| self.key.clone());
        let opened = open(envelope, &OpenPolicy::default(), now(), &keys, &|_| None).unwrap();
        opened.message.body["number"].as_u64().unwrap()
    }
}

fn id() -> MessageId {
    uuid::Uuid::now_v7().to_string().parse().unwrap()
}

fn relay(node: &TestNode) -> Recipient {
    Recipient::of(node, &json!({ "did": node.ready["did"] }))
}

fn post(node: &TestNode, relay: &Recipient, to: &Client, number: usize) -> Answer {
    let forward = Forward::new(Next::Did(to.did.clone()), to.letter(number));
    let message = forward.into_message(id()).unwrap().with_to([relay.did.clone()]);
    let protection = Protection::Anonymous { enc: ContentEncryption::A256CbcHs512 };
    let sealed = seal(&message, protection, &relay.keys, &mut rand::rng()).unwrap();
    node.post(sealed.envelope.as_bytes())
}

#[test]
fn what_a_relay_has_taken_survives_being_killed_and_is_there_once() {
    let mut node = TestNode::start_with(&["--dev", "--relay"]);
    let bruno = Client::new();
    assert!(resolve_self_contained(&bruno.did).unwrap().is_some());
    let grant = bruno.ask(&node, "coordinate-mediation/3.0/mediate-request", json!({}));
    assert_eq!(grant.body["routing_did"], json!([node.ready["did"]]));
    let update = json!({ "updates": [{ "recipient_did": bruno.did, "action": "add" }] });
    let updated = bruno.ask(&node, "coordinate-mediation/3.0/recipient-update", update);
    assert_eq!(updated.body["updated"][0]["result"], "success");

    let relay = relay(&node);
    let mut number = 0;
    for kill in 0..KILLS {
        for _forward in 0..FORWARDS {
            assert_eq!(post(&node, &relay, &bruno, number).status, 202);
            number += 1;
        }
        // Acknowledged before the kill: gone after it.
        if kill % 3 == 2 {
            let request = json!({ "message_count_limit": 1 });
            let delivery = bruno.ask(&node, "message-pickup/4.0/delivery-request", request);
            let ids = json!({ "message_id_list": [delivery.attachments[0].id] });
            bruno.ask(&node, "message-pickup/4.0/messages-received", ids);
        }
        node = node.restart();
    }
    let acknowledged = (KILLS / 3) as u64;
    assert_eq!(bruno.waiting(&node), number as u64 - acknowledged);

    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    while 0 < bruno.waiting(&node) {
        let request = json!({ "message_count_limit": 50 });
        let delivery = bruno.ask(&node, "message-pickup/4.0/delivery-request", request);
        let mut ids = Vec::new();
        for attachment in delivery.attachments {
            *seen.entry(bruno.read(&attachment.data.bytes().unwrap())).or_default() += 1;
            ids.push(attachment.id);
        }
        let received = json!({ "message_id_list": ids });
        bruno.ask(&node, "message-pickup/4.0/messages-received", received);
    }
    // The oldest were acknowledged on the way; all others came, each once.
    let expected: BTreeMap<u64, u32> = (acknowledged..number as u64).map(|n| (n, 1)).collect();
    assert_eq!(seen, expected);
    let relay = node.run(&["status"]).ok()["relay"].clone();
    assert_eq!((&relay["messages"], &relay["bytes"]), (&json!(0), &json!(0)));
}
