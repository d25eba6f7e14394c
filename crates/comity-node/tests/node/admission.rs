//! Admission at relays, over loopback: friends have a recipient's whole queue, strangers a pool of
//! it, and the relay learns neither who is who nor who writes.

use std::sync::Arc;

use comity_core::admission::{Class, HeldToken, Pass, Rule, Secret, make_token};
use comity_core::api::{AgentInfo, CheckResult};
use comity_core::protocol::admission::{ADMISSION, AdmissionMessage};
use comity_core::protocol::coordinate_mediation::{Mediation, UpdateResult};
use comity_core::protocol::pickup::{self, Pickup};
use comity_core::relay::{HeldRow, Register, RelayPolicy};
use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{Did, Endpoint, Message, SigningKey};
use comity_store::records::{admission, relay};
use comity_store::{KeyRange, Keyspace, MemoryStore, Seq, Store};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::mediator::Mediator;
use crate::relay_client::{Client, V3, id, now, open_relay, relay_did, relay_with, sealed};
use crate::support::{Foreigner, Stand, token};
use crate::work::solve;

const ASK: &str = "https://example.org/question/1.0/ask";

/// Starts a home behind a relay of ours.
async fn home_behind(relay: &Stand) -> Stand {
    let via = relay_did(relay).to_string();
    Stand::with(Arc::new(MemoryStore::new()), |config| config.via = Some(via)).await
}

fn did(agent: &AgentInfo) -> Did {
    agent.did.parse().unwrap()
}

/// Waits until the relay knows the friends of an agent by some key; returns the rule.
async fn rule_of(relay: &Stand, agent: &Did) -> Rule {
    let store = relay.store();
    let rule = async || relay::recipient(store.as_ref(), agent).await.unwrap()?.rule;
    relay.until("the relay has a rule", async || rule().await.is_some()).await;
    rule().await.unwrap()
}

/// Waits until an agent has a token of somebody.
async fn token_of(home: &Stand, holder: &Did, recipient: &Did) -> HeldToken {
    let store = home.store();
    let held = async || admission::held(store.as_ref(), holder, recipient).await.unwrap();
    home.until("there is a token", async || held().await.is_some()).await;
    held().await.unwrap()
}

/// What waits for somebody at a relay.
async fn rows(relay: &Stand, recipient: &Did) -> Vec<HeldRow> {
    let (store, queue) = (relay.store(), relay::queue_key(recipient));
    let rows = relay::oldest_first(store.as_ref(), queue, Seq(0), 9_999).await.unwrap();
    rows.into_iter().map(|(_, row)| row).collect()
}

async fn classes(relay: &Stand, recipient: &Did) -> Vec<Option<Class>> {
    rows(relay, recipient).await.into_iter().map(|row| row.class).collect()
}

async fn ask(stand: &Stand, from: &AgentInfo, to: &AgentInfo, id: &str) {
    stand.send(from, json!({ "to": to.did, "type": ASK, "id": id, "body": {} })).await;
}

async fn outbox_empties(stand: &Stand) {
    stand.until("the outbox is empty", async || stand.status().await.outbox_messages == 0).await;
}

async fn acknowledge_all(stand: &Stand, agent: &AgentInfo, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        for message in stand.receive(agent, 1).await {
            let disposition = json!({ "do": "ack", "deliveries": [message.delivery] });
            stand.settle(agent, disposition).await;
            ids.push(message.id);
        }
    }
    ids
}

/// Whether anything in a store has these bytes in it.
async fn store_has(stand: &Stand, text: &str) -> bool {
    let store = stand.store();
    for keyspace in [Keyspace::Body, Keyspace::Index, Keyspace::Log, Keyspace::Meta] {
        for row in store.read(keyspace, KeyRange::all(), usize::MAX).await.unwrap() {
            let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            if has(&row.key) || has(&row.value) {
                return true;
            }
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_friend_gets_a_token_and_uses_it_and_the_relay_never_learns_who_it_is() {
    let relay = open_relay().await;
    let (a, b) = (Stand::new().await, home_behind(&relay).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    rule_of(&relay, &did(&bruno)).await;
    b.allow(&bruno, &aria.did).await;
    ask(&a, &aria, &bruno, "m-1").await;
    acknowledge_all(&b, &bruno, 1).await;
    let held = token_of(&a, &did(&aria), &did(&bruno)).await;
    assert!(a.receive_none(&aria).await, "the token is not shown to the agent");

    let away = b.stop().await;
    ask(&a, &aria, &bruno, "m-2").await;
    outbox_empties(&a).await;
    assert_eq!(classes(&relay, &did(&bruno)).await, [Some(Class::Friend)]);
    // Neither who writes nor what it showed is kept; whom it is for is.
    assert!(store_has(&relay, rows(&relay, &did(&bruno)).await[0].recipient.as_str()).await);
    for text in [&aria.did, &held.token, &a.node.ready().did] {
        assert!(!store_has(&relay, text).await, "{text}");
    }
    let b = away.start().await;
    assert_eq!(acknowledge_all(&b, &bruno, 1).await, ["m-2"]);
    assert_eq!(a.states(&aria, "m-2", "processed").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_approved_gets_a_token_without_writing_again_and_who_is_not_gets_none() {
    let relay = open_relay().await;
    let (a, b) = (Stand::new().await, home_behind(&relay).await);
    let (aria, carla) = (a.add_agent("aria").await, a.add_agent("carla").await);
    let bruno = b.add_agent("bruno").await;
    rule_of(&relay, &did(&bruno)).await;
    for sender in [&carla, &aria] {
        ask(&a, sender, &bruno, "m-1").await;
        assert_eq!(a.states(sender, "m-1", "accepted").await, ["queued", "accepted"]);
    }
    b.allow(&bruno, &aria.did).await;
    token_of(&a, &did(&aria), &did(&bruno)).await;
    let store = b.store();
    let given = admission::given(store.as_ref(), &did(&bruno), &did(&carla)).await.unwrap();
    assert_eq!(given, None, "a request is no friend's");
}

#[tokio::test(flavor = "multi_thread")]
async fn homes_that_correspond_are_friends_at_each_others_relays_too() {
    let relay = open_relay().await;
    let (a, b) = (home_behind(&relay).await, home_behind(&relay).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    let homes = [&a, &b].map(|stand| stand.node.ready().did.parse::<Did>().unwrap());
    for agent in [&did(&aria), &did(&bruno), &homes[0], &homes[1]] {
        rule_of(&relay, agent).await;
    }
    b.allow(&bruno, &aria.did).await;
    ask(&a, &aria, &bruno, "m-1").await;
    acknowledge_all(&b, &bruno, 1).await;
    assert_eq!(a.states(&aria, "m-1", "processed").await.len(), 4);
    // The receipts asked, and were about a message of this home's.
    token_of(&b, &homes[1], &homes[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_turned_away_loses_its_token_and_the_others_are_given_new_ones_unasked() {
    let relay = open_relay().await;
    let (a, b) = (Stand::new().await, home_behind(&relay).await);
    let (aria, carla) = (a.add_agent("aria").await, a.add_agent("carla").await);
    let bruno = b.add_agent("bruno").await;
    let first = rule_of(&relay, &did(&bruno)).await;
    let mut former = Vec::new();
    for sender in [&aria, &carla] {
        b.allow(&bruno, &sender.did).await;
        ask(&a, sender, &bruno, "m-1").await;
        former.push(token_of(&a, &did(sender), &did(&bruno)).await);
    }
    acknowledge_all(&b, &bruno, 2).await;
    let path = "/admin/agents/bruno/revoke";
    let _relation: Value = b.admin(Method::POST, path, json!({ "who": aria.did })).await;
    let has_changed = async || rule_of(&relay, &did(&bruno)).await != first;
    relay.until("the relay has another rule", has_changed).await;

    // The home is away, so that what comes stays at the relay to be looked at.
    let away = b.stop().await;
    ask(&a, &aria, &bruno, "m-2").await;
    ask(&a, &carla, &bruno, "m-2").await;
    outbox_empties(&a).await;
    let stranger = Some(Class::Stranger);
    assert_eq!(classes(&relay, &did(&bruno)).await, [stranger, stranger], "and nobody is lost");
    let b = away.start().await;
    assert_eq!(acknowledge_all(&b, &bruno, 1).await, ["m-2"]);
    let has_other =
        async || token_of(&a, &did(&carla), &did(&bruno)).await.token != former[1].token;
    a.until("the friend has another token", has_other).await;
    assert_eq!(token_of(&a, &did(&aria), &did(&bruno)).await, former[0]);
    let away = b.stop().await;
    ask(&a, &carla, &bruno, "m-3").await;
    outbox_empties(&a).await;
    assert_eq!(classes(&relay, &did(&bruno)).await, [Some(Class::Friend)]);
    drop(away);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_fills_their_pool_and_delays_no_friend_for_longer() {
    let relay = relay_with(|policy| policy.quotas.messages_max = 200).await;
    let (a, b) = (Stand::new().await, home_behind(&relay).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    rule_of(&relay, &did(&bruno)).await;
    b.allow(&bruno, &aria.did).await;
    ask(&a, &aria, &bruno, "m-0").await;
    acknowledge_all(&b, &bruno, 1).await;
    token_of(&a, &did(&aria), &did(&bruno)).await;
    let away = b.stop().await;

    let document = relay.document(&did(&bruno)).await;
    let flood = async |count: usize| {
        let mut taken = 0;
        for number in 0..count {
            // Each is somebody else, and proves it.
            let stranger = Client::new();
            let letter = stranger.signed_letter(&document, ASK, &format!("s-{number}"));
            let forward = Forward::new(Next::Did(document.id.clone()), letter);
            match relay.post(&sealed(&relay, forward).await).await {
                (status, None) if status == 202 => taken += 1,
                (status, code) => {
                    assert_eq!(status, 429);
                    assert_eq!(code.as_deref(), Some("e.m.me.res.storage.strangers"));
                }
            }
        }
        taken
    };
    assert_eq!(flood(60).await, 10, "5 % of 200");
    let friends: Vec<_> = (1..=150).map(|number| format!("m-{number}")).collect();
    for id in &friends {
        ask(&a, &aria, &bruno, id).await;
    }
    outbox_empties(&a).await;
    assert_eq!(flood(20).await, 0, "friends make no room for them");
    let waiting = classes(&relay, &did(&bruno)).await;
    let ahead = waiting.iter().take_while(|class| **class == Some(Class::Stranger)).count();
    assert_eq!((ahead, waiting.len()), (10, 160), "so many are ahead of the first friend");

    let b = away.start().await;
    assert_eq!(acknowledge_all(&b, &bruno, friends.len()).await, friends);
    assert_eq!(b.status().await.requests_pending, 10, "the strangers are heard too");
    let is_empty = async || rows(&relay, &did(&bruno)).await.is_empty();
    relay.until("the queue is empty", is_empty).await;
    assert_eq!(flood(1).await, 1, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_didcomm_peer_still_reaches_an_agent_through_the_pool() {
    let relay = open_relay().await;
    let b = home_behind(&relay).await;
    let bruno = b.add_agent("bruno").await;
    rule_of(&relay, &did(&bruno)).await;
    let stranger = Foreigner::new().await;
    b.allow(&bruno, stranger.did.as_str()).await;
    let message = stranger.message("m-1", ASK, &bruno);
    let letter = stranger.seal(&b, &message).await;
    let forward = Forward::new(Next::Did(did(&bruno)), letter);
    assert_eq!(relay.post(&sealed(&relay, forward).await).await.0, 202);
    assert_eq!(acknowledge_all(&b, &bruno, 1).await, ["m-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_itself_asks_for_a_token_needs_nothing_of_comity() {
    let relay = open_relay().await;
    let b = home_behind(&relay).await;
    let bruno = b.add_agent("bruno").await;
    rule_of(&relay, &did(&bruno)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/in", listener.local_addr().unwrap());
    let mut peer = Foreigner::on(listener, &[Endpoint::new(uri)]);
    b.allow(&bruno, peer.did.as_str()).await;
    let key = SigningKey::generate(&mut rand::rng());
    let mut message = peer.message("m-1", ASK, &bruno);
    message.extra.insert("admission_key".to_owned(), json!(key.public().to_jwk()));
    let letter = peer.seal(&b, &message).await;
    let forward = Forward::new(Next::Did(did(&bruno)), letter);
    assert_eq!(relay.post(&sealed(&relay, forward).await).await.0, 202);
    let given = peer.receive(&b).await;
    assert_eq!(given.thid.as_deref(), Some("m-1"), "in the thread that asked");
    let Ok(AdmissionMessage::Token { token }) = AdmissionMessage::parse(&given) else { panic!() };

    acknowledge_all(&b, &bruno, 1).await;
    let away = b.stop().await;
    let document = relay.document(&did(&bruno)).await;
    let letter = Client::new().signed_letter(&document, ASK, "m-2");
    let held = HeldToken { token, expires: now().saturating_add(60) };
    let mut forward = Forward::new(Next::Did(did(&bruno)), letter.clone());
    let shown = Pass::new(key, Some(held)).show(&did(&bruno), &letter, now()).unwrap();
    forward.extra.insert("admission".to_owned(), shown);
    assert_eq!(relay.post(&sealed(&relay, forward).await).await.0, 202);
    assert_eq!(classes(&relay, &did(&bruno)).await, [Some(Class::Friend)]);
    drop(away);
}

/// A recipient that speaks the protocol itself, with no home of ours.
struct Ruler {
    client: Client,
    secret: Secret,
}

impl Ruler {
    async fn new(relay: &Stand) -> Self {
        let client = Client::new();
        client.register(relay).await;
        Self { client, secret: Secret::new(&[1; 32]) }
    }

    fn rule(&self, generation: u32) -> Message {
        let key = self.secret.rule_key(&self.client.did, generation).public();
        self.rule_message(Some(Rule { key, pool_percent: None }))
    }

    fn rule_message(&self, rule: Option<Rule>) -> Message {
        let recipient_did = self.client.did.clone();
        AdmissionMessage::Rule { recipient_did, rule }.into_message(id())
    }

    async fn set(&self, relay: &Stand, message: Message) {
        let answer = self.client.ask(relay, message).await.unwrap();
        let recipient_did = self.client.did.clone();
        let expected = AdmissionMessage::RuleSet { recipient_did };
        assert_eq!(AdmissionMessage::parse(&answer), Ok(expected));
    }

    fn token(&self, holder: &SigningKey) -> HeldToken {
        let key = self.secret.rule_key(&self.client.did, 0);
        let token = make_token(&key, &self.client.did, &holder.public(), &id(), now());
        HeldToken { token: token.text, expires: token.expires }
    }

    /// Posts a letter with what a key and a token show; returns the status.
    async fn post(&self, relay: &Stand, letter: &[u8], shown: Option<Value>) -> u16 {
        let mut forward = Forward::new(Next::Did(self.client.did.clone()), letter.to_vec());
        forward.extra.extend(shown.map(|shown| ("admission".to_owned(), shown)));
        relay.post(&sealed(relay, forward).await).await.0.as_u16()
    }

    fn show(&self, key: &SigningKey, token: &HeldToken, letter: &[u8]) -> Option<Value> {
        Pass::new(key.clone(), Some(token.clone())).show(&self.client.did, letter, now())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_is_worth_nothing_without_its_key_nor_a_proof_for_another_letter() {
    let relay = open_relay().await;
    let bruno = Ruler::new(&relay).await;
    bruno.set(&relay, bruno.rule(0)).await;
    let (friend, thief) =
        (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let token = bruno.token(&friend);
    let letters: Vec<_> =
        (0..4).map(|number| bruno.client.letter(&format!("letter {number}"))).collect();
    let shown = bruno.show(&friend, &token, &letters[0]);
    for (letter, shown) in [
        (&letters[0], shown.clone()),
        (&letters[1], bruno.show(&thief, &token, &letters[1])),
        (&letters[2], shown.clone()),
        (&letters[3], Some(json!({ "token": token.token, "proof": token.token }))),
    ] {
        assert_eq!(bruno.post(&relay, letter, shown).await, 202, "nobody is refused for it");
    }
    let stranger = Some(Class::Stranger);
    let expected = [Some(Class::Friend), stranger, stranger, stranger];
    assert_eq!(classes(&relay, &bruno.client.did).await, expected);
    // The same letter again is the same letter, whatever it comes with.
    assert_eq!(bruno.post(&relay, &letters[0], shown).await, 202);
    assert_eq!(bruno.post(&relay, &letters[0], None).await, 202);
    assert_eq!(rows(&relay, &bruno.client.did).await.len(), 4);
    // What the relay makes of each is said beside the delivery, in both versions of it.
    for version in [pickup::Version::V3, pickup::Version::V4] {
        let question = Pickup::DeliveryRequest { recipient_did: None, limit: 9 };
        let answer = bruno.client.pickup(&relay, version, question).await;
        let Pickup::Delivery { messages, .. } = answer else { panic!("{answer:?}") };
        let said: Vec<_> = messages.iter().map(|message| message.class).collect();
        assert_eq!(said, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_everybody_has_the_whole_queue_and_so_again_when_it_is_removed() {
    let relay = relay_with(|policy| policy.quotas.messages_max = 20).await;
    let bruno = Ruler::new(&relay).await;
    let mut number = 0;
    let mut post = async || {
        number += 1;
        bruno.post(&relay, &bruno.client.letter(&number.to_string()), None).await
    };
    for _ in 0..5 {
        assert_eq!(post().await, 202);
    }
    bruno.set(&relay, bruno.rule(0)).await;
    assert_eq!((post().await, post().await), (202, 429));
    let removal = bruno.rule_message(None);
    bruno.set(&relay, removal).await;
    for _ in 0..14 {
        assert_eq!(post().await, 202);
    }
    assert_eq!(post().await, 429, "it is full");
    let mut expected = vec![None; 20];
    expected[5] = Some(Class::Stranger);
    assert_eq!(classes(&relay, &bruno.client.did).await, expected);
    // A recipient may want more strangers than its relay would have, or none.
    let key = bruno.secret.rule_key(&bruno.client.did, 0).public();
    let mine = bruno.client.fetch(&relay).await.into_iter().map(|message| message.id).collect();
    bruno.client.received(&relay, mine).await;
    for (percent, status) in [(0, 429), (100, 202)] {
        let rule = Rule { key, pool_percent: Some(percent) };
        bruno.set(&relay, bruno.rule_message(Some(rule))).await;
        assert_eq!(bruno.post(&relay, &bruno.client.letter("x"), None).await, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_whom_the_pool_is_full_a_place_can_be_had_for_work() {
    let set = |policy: &mut RelayPolicy| {
        policy.quotas.messages_max = 20;
        policy.quotas.work_bits = 8;
    };
    let relay = relay_with(set).await;
    let bruno = Ruler::new(&relay).await;
    bruno.set(&relay, bruno.rule(0)).await;
    assert_eq!(bruno.post(&relay, &bruno.client.letter("first"), None).await, 202);
    // A fifth of the queue is for those who pay, and no more.
    for number in 0..5 {
        let letter = bruno.client.letter(&number.to_string());
        let forward = Forward::new(Next::Did(bruno.client.did.clone()), letter);
        let forward = sealed(&relay, forward).await;
        let (status, body) = relay.exchange_for(&forward, None).await;
        assert_eq!(status, 402);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "e.p.req.work");
        let work = solve(&serde_json::from_value(body["work"].clone()).unwrap());
        let paid = relay.exchange_for(&forward, Some(&work)).await.0;
        assert_eq!(paid, if number < 4 { 202 } else { 429 }, "{number}");
    }
    let paid = classes(&relay, &bruno.client.did).await;
    let expected = [&[Some(Class::Stranger)][..], &[Some(Class::Paid); 4]].concat();
    assert_eq!(paid, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_set_by_the_registrant_alone_and_a_recorded_one_does_not_come_back() {
    let relay = open_relay().await;
    let (bruno, mallory) = (Ruler::new(&relay).await, Client::new());
    let not_granted = mallory.problem(&relay, bruno.rule(0)).await;
    assert_eq!(not_granted, "e.m.trust.not-granted");
    mallory.mediation(&relay, V3, Mediation::Request).await;
    assert_eq!(mallory.problem(&relay, bruno.rule(0)).await, "e.m.trust.not-your-queue");
    let own = AdmissionMessage::Rule { recipient_did: mallory.did.clone(), rule: None };
    let own = own.into_message(id());
    assert_eq!(mallory.problem(&relay, own).await, "e.m.trust.not-your-queue", "not registered");

    let recorded = bruno.client.seal(&relay, bruno.rule(0)).await;
    bruno.client.post(&relay, &recorded).await.unwrap();
    let first = rule_of(&relay, &bruno.client.did).await;
    bruno.set(&relay, bruno.rule(1)).await;
    let second = rule_of(&relay, &bruno.client.did).await;
    assert_ne!(first, second);
    let again = bruno.client.post(&relay, &recorded).await.unwrap();
    assert_eq!(again.type_.name(), "rule-set", "the first answer, and nothing else");
    assert_eq!(rule_of(&relay, &bruno.client.did).await, second);
    // The registration goes, and the rule with it.
    let update = bruno.client.add(&bruno.client.did, None);
    let remove = comity_core::protocol::coordinate_mediation::Update {
        action: comity_core::protocol::coordinate_mediation::Action::Remove,
        ..update.clone()
    };
    assert_eq!(bruno.client.update(&relay, remove).await, UpdateResult::Success);
    assert_eq!(bruno.client.update(&relay, update).await, UpdateResult::Success);
    let row = relay::recipient(relay.store().as_ref(), &bruno.client.did).await.unwrap();
    assert_eq!(row.unwrap().rule, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mediator_that_does_not_know_the_protocol_serves_as_before() {
    let mediator = Mediator::new().await;
    let via = mediator.did.to_string();
    let b = Stand::with(Arc::new(MemoryStore::new()), |config| config.via = Some(via)).await;
    let a = Stand::new().await;
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    for id in ["m-1", "m-2"] {
        ask(&a, &aria, &bruno, id).await;
        assert_eq!(acknowledge_all(&b, &bruno, 1).await, [id]);
        assert_eq!(a.states(&aria, id, "processed").await.len(), 4);
    }
    assert_eq!(mediator.not_understood(), 1, "it was asked once what it knows");
    let checks: Vec<CheckResult> = b.admin(Method::GET, "/admin/checks", Value::Null).await;
    let relay = checks.iter().find(|check| check.name == "relay").unwrap();
    assert!(relay.ok, "{relay:?}");
    let store = b.store();
    let given = admission::given(store.as_ref(), &did(&bruno), &did(&aria)).await.unwrap();
    assert_eq!(given, None, "a token would be worth nothing there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gives_no_tokens_itself() {
    let stand = Stand::new().await;
    let (aria, bruno) = (stand.add_agent("aria").await, stand.add_agent("bruno").await);
    let message = json!({ "to": bruno.did, "type": format!("{ADMISSION}/token"), "body": {} });
    let (status, problem) = stand.call(Method::POST, "/v1/messages", token(&aria), &message).await;
    assert_eq!((status.as_u16(), &problem["code"]), (400, &json!("send.reserved-type")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_rules_outlast_restarts() {
    let policy = RelayPolicy { register: Register::Open, ..RelayPolicy::default() };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let relay = Stand::with(store, |config| config.relay = Some(policy)).await;
    let (a, b) = (Stand::new().await, home_behind(&relay).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    let rule = rule_of(&relay, &did(&bruno)).await;
    b.allow(&bruno, &aria.did).await;
    ask(&a, &aria, &bruno, "m-1").await;
    acknowledge_all(&b, &bruno, 1).await;
    let held = token_of(&a, &did(&aria), &did(&bruno)).await;
    let (a, b) = (a.restart().await, b.restart().await);
    let is_live = async || relay.status().await.relay.unwrap().live == 1;
    relay.until("the home is connected", is_live).await;
    assert_eq!(rule_of(&relay, &did(&bruno)).await, rule, "the same key");
    let away = b.stop().await;
    ask(&a, &aria, &bruno, "m-2").await;
    outbox_empties(&a).await;
    assert_eq!(token_of(&a, &did(&aria), &did(&bruno)).await, held);
    assert_eq!(classes(&relay, &did(&bruno)).await, [Some(Class::Friend)]);
    drop(away);
}
