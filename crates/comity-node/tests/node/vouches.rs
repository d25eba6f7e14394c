//! Vouches between nodes: who is let in because others vouch for it, and what ends that.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use comity_core::api::{AgentInfo, Explained, VouchGraph, VouchInfo};
use comity_core::protocol::attached_tokens::TokenKind;
use comity_core::protocol::vouch::{VOUCH, VouchMessage, VouchState, VouchStatus};
use comity_core::trust::{Level, SignedCredential, TokenId, VouchTerms};
use comity_didcomm::{Did, DidUrl, Endpoint, Message, MessageId, SigningKey, UnixTime};
use comity_store::MemoryStore;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Foreigner, Stand};

const OFFER: &str = "https://example.org/proposal/1.0/offer";
const TASK: &str = "https://comity.dev/protocols/task/1.0/request";

/// One node with an agent that has anchors, and another one with the anchors and a stranger.
struct Scene {
    ours: Stand,
    theirs: Stand,
    bruno: AgentInfo,
    aria: AgentInfo,
    vouchers: Vec<AgentInfo>,
}

impl Scene {
    async fn new(anchors: usize) -> Self {
        let (ours, theirs) = (stand().await, stand().await);
        let (bruno, aria) = (ours.add_agent("bruno").await, theirs.add_agent("aria").await);
        let mut vouchers = Vec::new();
        for number in 0..anchors {
            let voucher = theirs.add_agent(&format!("vera{number}")).await;
            anchor(&ours, &bruno, &voucher.did).await;
            vouchers.push(voucher);
        }
        Self { ours, theirs, bruno, aria, vouchers }
    }

    /// Has every anchor vouch for somebody, who holds the vouches when this returns.
    async fn vouch(&self, vouched: &AgentInfo, level: &str, depth: u8) -> Vec<VouchInfo> {
        let mut given = Vec::new();
        for voucher in &self.vouchers {
            given.push(give(&self.theirs, voucher, &vouched.did, level, depth).await);
        }
        held(&self.theirs, vouched, given.len()).await;
        given
    }

    async fn requests(&self) -> usize {
        let path = format!("/admin/agents/{}/requests", self.bruno.name);
        self.ours.admin::<Vec<Value>>(Method::GET, &path, Value::Null).await.len()
    }

    async fn is_held(&self) {
        let what = "a request waits";
        self.ours.until(what, async || self.requests().await == 1).await;
    }

    async fn graph(&self) -> VouchGraph {
        graph(&self.ours, &self.bruno).await
    }

    async fn send(&self, type_: &str) -> String {
        let message = json!({ "to": self.bruno.did, "type": type_, "body": { "n": 1 } });
        self.theirs.send(&self.aria, message).await.id
    }
}

async fn stand() -> Stand {
    // What a request costs is not the matter here.
    Stand::with(Arc::new(MemoryStore::new()), |config| config.policy.work_bits = Some(0)).await
}

async fn anchor(stand: &Stand, agent: &AgentInfo, who: &str) {
    let path = format!("/admin/agents/{}/allow", agent.name);
    let allow = json!({ "who": who, "anchor": true });
    let _relation: Value = stand.admin(Method::POST, &path, allow).await;
}

async fn give(stand: &Stand, by: &AgentInfo, to: &str, level: &str, depth: u8) -> VouchInfo {
    let path = format!("/admin/agents/{}/vouches", by.name);
    let give = json!({ "who": to, "level": level, "depth": depth });
    stand.admin(Method::POST, &path, give).await
}

async fn take_back(stand: &Stand, by: &AgentInfo, vouch: &VouchInfo) {
    let path = format!("/admin/agents/{}/vouches/revoke", by.name);
    let info: VouchInfo = stand.admin(Method::POST, &path, json!({ "id": vouch.id })).await;
    assert_eq!(info.state, "revoked");
}

async fn wallet(stand: &Stand, agent: &AgentInfo) -> Vec<VouchInfo> {
    let path = format!("/admin/agents/{}/vouches", agent.name);
    let mut vouches: Vec<VouchInfo> = stand.admin(Method::GET, &path, Value::Null).await;
    vouches.retain(|vouch| vouch.kind == "held");
    vouches
}

async fn held(stand: &Stand, agent: &AgentInfo, count: usize) {
    let what = format!("{count} vouches are held");
    stand.until(&what, async || wallet(stand, agent).await.len() == count).await;
}

async fn graph(stand: &Stand, agent: &AgentInfo) -> VouchGraph {
    let path = format!("/admin/agents/{}/graph", agent.name);
    stand.admin(Method::GET, &path, Value::Null).await
}

/// Asks what bruno's policy says about somebody.
async fn explain(stand: &Stand, who: &AgentInfo) -> Explained {
    let path = format!("/admin/agents/bruno/explain?who={}", who.did.replace('%', "%25"));
    stand.admin(Method::GET, &path, Value::Null).await
}

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// Signs a vouch outside of any node.
fn sign((kid, key): (&DidUrl, &SigningKey), subject: &Did, from: UnixTime) -> String {
    let terms = VouchTerms {
        subject: subject.clone(),
        scope: Vec::new(),
        level: Level::Message,
        depth: 0,
        from,
        until: UnixTime(from.0 + 3600),
        urn: format!("urn:uuid:{}", MessageId::parse("v-1").unwrap().as_str()),
    };
    terms.sign((kid, key)).unwrap()
}

fn name_of(token: &str) -> TokenId {
    SignedCredential::parse(token).unwrap().id()
}

fn show(message: &mut Message, tokens: &[String]) {
    message.attachments.extend(tokens.iter().map(|token| TokenKind::Credential.attach(token)));
}

fn told(message: VouchMessage, id: &str, from: &Did, to: &Did) -> Message {
    let mut message = message.into_message(MessageId::parse(id).unwrap());
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_three_anchors_vouch_for_gets_in_up_to_messages_and_no_further() {
    let scene = Scene::new(3).await;
    scene.vouch(&scene.aria, "message", 0).await;
    scene.send(OFFER).await;
    let handed = scene.ours.receive(&scene.bruno, 1).await;
    assert_eq!((handed[0].admitted.as_str(), handed[0].level.as_str()), ("vouches", "message"));
    assert!(handed[0].attachments.is_empty(), "the agent does not see what was shown");
    assert_eq!(scene.requests().await, 0);

    let graph = scene.graph().await;
    assert_eq!((graph.nodes.len(), graph.edges.len()), (4, 3));
    let aria = graph.nodes.iter().find(|node| node.did == scene.aria.did).unwrap();
    assert_eq!((aria.distance, aria.level.as_str()), (1, "message"));
    let good = |edge: &&comity_core::api::GraphEdge| edge.state == "good" && edge.weight.is_some();
    assert_eq!(graph.edges.iter().filter(good).count(), 3);
    let explained = explain(&scene.ours, &scene.aria).await;
    assert_eq!((&*explained.decision, explained.ground.as_deref()), ("allow", Some("vouches")));
    for voucher in &scene.vouchers {
        let way = format!("{} > {}: ", voucher.did, scene.aria.did);
        let line = explained.known.iter().find(|line| line.contains(&way)).unwrap();
        assert!(line.contains(" points, level message, until "), "{line}");
    }

    scene.send(TASK).await;
    scene.is_held().await;
    assert_eq!(scene.ours.status().await.mailbox_messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vouches_of_two_anchors_let_nobody_in() {
    let scene = Scene::new(2).await;
    scene.vouch(&scene.aria, "message", 0).await;
    scene.send(OFFER).await;
    scene.is_held().await;
    assert_eq!(scene.ours.status().await.mailbox_messages, 0);
    assert_eq!(scene.graph().await.edges.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_paths_that_share_nobody_let_a_task_in_if_every_vouch_says_so() {
    let scene = Scene::new(2).await;
    scene.vouch(&scene.aria, "task", 0).await;
    scene.send(TASK).await;
    let handed = scene.ours.receive(&scene.bruno, 1).await;
    assert_eq!((handed[0].admitted.as_str(), handed[0].level.as_str()), ("vouches", "task"));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_between_passes_the_trust_of_the_anchors_on() {
    let scene = Scene::new(3).await;
    let between = scene.theirs.add_agent("between").await;
    scene.vouch(&between, "message", 1).await;
    give(&scene.theirs, &between, &scene.aria.did, "message", 0).await;
    held(&scene.theirs, &scene.aria, 1).await;
    scene.send(OFFER).await;
    let handed = scene.ours.receive(&scene.bruno, 1).await;
    assert_eq!(handed[0].admitted, "vouches");
    let graph = scene.graph().await;
    assert_eq!(graph.edges.len(), 4);
    let aria = graph.nodes.iter().find(|node| node.did == scene.aria.did).unwrap();
    assert_eq!(aria.distance, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vouch_without_depth_is_not_passed_on() {
    let scene = Scene::new(3).await;
    let between = scene.theirs.add_agent("between").await;
    scene.vouch(&between, "message", 0).await;
    give(&scene.theirs, &between, &scene.aria.did, "message", 0).await;
    held(&scene.theirs, &scene.aria, 1).await;
    scene.send(OFFER).await;
    scene.is_held().await;
    assert_eq!(scene.ours.status().await.mailbox_messages, 0);
    assert!(scene.graph().await.edges.is_empty(), "no way leads there, so none was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vouch_that_is_taken_back_lets_nobody_in_as_soon_as_that_is_known() {
    let scene = Scene::new(3).await;
    let given = scene.vouch(&scene.aria, "message", 0).await;
    scene.send(OFFER).await;
    scene.ours.receive(&scene.bruno, 1).await;

    take_back(&scene.theirs, &scene.vouchers[1], &given[1]).await;
    let is_known = async || {
        let graph = scene.graph().await;
        graph.edges.iter().any(|edge| edge.id == given[1].id && edge.state == "revoked")
    };
    scene.ours.until("the revocation is known", is_known).await;
    held(&scene.theirs, &scene.aria, 2).await;
    scene.send(OFFER).await;
    let what = "the next message waits";
    scene.ours.until(what, async || scene.requests().await == 1).await;

    let ours = scene.ours.restart().await;
    let graph = graph(&ours, &scene.bruno).await;
    let revoked = graph.edges.iter().find(|edge| edge.id == given[1].id).unwrap();
    assert_eq!(revoked.state, "revoked", "it stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn vouches_are_remembered_over_a_restart_and_asked_after_anew() {
    let mut scene = Scene::new(3).await;
    scene.vouch(&scene.aria, "message", 0).await;
    scene.send(OFFER).await;
    scene.ours.receive(&scene.bruno, 1).await;
    scene.ours = scene.ours.restart().await;
    scene.theirs = scene.theirs.restart().await;
    let graph = scene.graph().await;
    assert_eq!(graph.edges.len(), 3);
    assert!(graph.edges.iter().all(|edge| edge.state == "unknown"));
    assert_eq!(wallet(&scene.theirs, &scene.aria).await.len(), 3);
    let explained = explain(&scene.ours, &scene.aria).await;
    assert_eq!(explained.ground.as_deref(), Some("vouches"), "explaining asks too, and waits");
    scene.send(OFFER).await;
    let what = "the second message is there";
    let is_there = async || scene.ours.status().await.mailbox_messages == 2;
    scene.ours.until(what, is_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_the_vouchers_answer_and_no_longer_than_it_can_come() {
    let ours = stand().await;
    let bruno = ours.add_agent("bruno").await;
    let mut vouchers = Vec::new();
    for _ in 0..3 {
        let voucher = Foreigner::new().await;
        anchor(&ours, &bruno, voucher.did.as_str()).await;
        vouchers.push(voucher);
    }
    let stranger = Foreigner::new().await;
    let tokens: Vec<_> =
        vouchers.iter().map(|voucher| sign(voucher.signing(), &stranger.did, now())).collect();
    let mut message = stranger.message("m-1", OFFER, &bruno);
    show(&mut message, &tokens);
    let envelope = stranger.seal(&ours, &message).await;
    let checking = (http::StatusCode::SERVICE_UNAVAILABLE, Some("e.p.trust.checking".to_owned()));
    assert_eq!(ours.post(&envelope).await, checking);
    assert_eq!(ours.post(&envelope).await, checking, "nobody has answered");

    let bruno_did: Did = bruno.did.parse().unwrap();
    for (voucher, token) in vouchers.iter_mut().zip(&tokens) {
        let query = voucher.receive(&ours).await;
        let asked = VouchMessage::parse(&query).unwrap();
        assert_eq!(asked, VouchMessage::Query { ids: vec![name_of(token)] });
        let vouches = vec![(name_of(token), VouchState::Good)];
        let status = VouchStatus { vouches, at: now(), valid_for_s: 300 };
        let status = VouchMessage::Status(status);
        let mut answer = told(status, "s-1", &voucher.did, &bruno_did);
        answer.thid = Some(query.thread_id().to_owned());
        // What the stranger says about it counts nothing.
        let mut lie = answer.clone();
        lie.from = Some(stranger.did.clone());
        assert_eq!(ours.post(&stranger.seal(&ours, &lie).await).await.0, 202);
        assert_eq!(ours.post(&envelope).await, checking);
        assert_eq!(ours.post(&voucher.seal(&ours, &answer).await).await.0, 202);
        assert!(voucher.has_nothing(), "it was asked once");
    }
    assert_eq!(ours.post(&envelope).await.0, 202);
    let handed = ours.receive(&bruno, 1).await;
    assert_eq!((handed[0].id.as_str(), handed[0].admitted.as_str()), ("m-1", "vouches"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_vouched_for_by_somebody_who_cannot_be_asked_is_a_stranger() {
    let ours = stand().await;
    let bruno = ours.add_agent("bruno").await;
    let listener = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tokens = Vec::new();
    let stranger = Foreigner::new().await;
    for _ in 0..3 {
        let voucher = Foreigner::on(listener().await, &[]);
        anchor(&ours, &bruno, voucher.did.as_str()).await;
        tokens.push(sign(voucher.signing(), &stranger.did, now()));
    }
    let mut message = stranger.message("m-1", OFFER, &bruno);
    show(&mut message, &tokens);
    let envelope = stranger.seal(&ours, &message).await;
    let is_kept = async || ours.post(&envelope).await.0 == 202;
    ours.until("the message is kept as a request", is_kept).await;
    let requests: Vec<Value> =
        ours.admin(Method::GET, "/admin/agents/bruno/requests", Value::Null).await;
    assert_eq!(requests.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn vouches_by_nobody_known_forged_or_over_have_nothing_fetched_and_count_nothing() {
    let ours = stand().await;
    let bruno = ours.add_agent("bruno").await;
    let stranger = Foreigner::new().await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("did:web:127.0.0.1%3A{}", port.local_addr().unwrap().port());
    let mut counter = Foreigner::on(port, &[Endpoint::new("http://127.0.0.1:1".to_owned())]);
    let mut tokens = Vec::new();
    for number in 0..4 {
        let kid = DidUrl::parse(&format!("{host}:v{number}#key-1")).unwrap();
        tokens.push(sign((&kid, counter.signing().1), &stranger.did, now()));
    }
    for is_old in [true, false] {
        let anchored = Foreigner::new().await;
        anchor(&ours, &bruno, anchored.did.as_str()).await;
        let (kid, own) = anchored.signing();
        let (key, from) = match is_old {
            true => (own, UnixTime(now().0 - 7200)),
            false => (counter.signing().1, now()),
        };
        tokens.push(sign((kid, key), &stranger.did, from));
    }
    let mut message = stranger.message("m-1", OFFER, &bruno);
    show(&mut message, &tokens);
    assert_eq!(ours.post(&stranger.seal(&ours, &message).await).await.0, 202);
    assert_eq!(counter.count(), 0);
    assert!(graph(&ours, &bruno).await.edges.is_empty());
    assert_eq!(ours.status().await.mailbox_messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_after_a_vouch_and_is_told_when_it_is_taken_back() {
    let theirs = stand().await;
    let (vera, other) = (theirs.add_agent("vera").await, theirs.add_agent("other").await);
    let mut reader = Foreigner::new().await;
    let given = give(&theirs, &vera, &other.did, "message", 0).await;
    let id: TokenId = given.id.parse().unwrap();
    let unknown = TokenId::of(b"another");
    let states = [(id, VouchState::Good), (unknown, VouchState::Unknown)];
    let query = VouchMessage::Query { ids: vec![id, unknown] };
    let query = told(query, "q-1", &reader.did, &vera.did.parse().unwrap());
    assert_eq!(theirs.post(&reader.seal(&theirs, &query).await).await.0, 202);
    let answer = reader.receive(&theirs).await;
    assert_eq!(answer.thid.as_deref(), Some("q-1"));
    let VouchMessage::Status(status) = VouchMessage::parse(&answer).unwrap() else {
        panic!("not a status")
    };
    assert_eq!((status.vouches, status.valid_for_s), (states.to_vec(), 300));
    // Too many at once are not answered; what does come next shows it.
    let vera_did: Did = vera.did.parse().unwrap();
    let type_ = format!("{VOUCH}/query");
    let mut many = reader.message("q-2", &type_, &vera);
    many.body = json!({ "ids": vec![id; 257] }).as_object().cloned().unwrap();
    assert_eq!(theirs.post(&reader.seal(&theirs, &many).await).await.0, 202);
    let again = told(VouchMessage::Query { ids: vec![id] }, "q-3", &reader.did, &vera_did);
    assert_eq!(theirs.post(&reader.seal(&theirs, &again).await).await.0, 202);
    assert_eq!(reader.receive(&theirs).await.thid.as_deref(), Some("q-3"));
    let path = format!("/admin/agents/vera/vouches/{id}");
    let shown: VouchInfo = theirs.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(shown.askers, Some(1), "who asks twice is one");

    take_back(&theirs, &vera, &given).await;
    let revoke = reader.receive(&theirs).await;
    assert_eq!(VouchMessage::parse(&revoke), Ok(VouchMessage::Revoke { ids: vec![id] }));
}

/// A stranger asked about names that it had made up, and each answer waited a day for its dead
/// endpoint, until there was no room for those to others.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_who_asks_only_about_what_the_agent_never_gave() {
    let theirs = stand().await;
    let (vera, other) = (theirs.add_agent("vera").await, theirs.add_agent("other").await);
    let given = give(&theirs, &vera, &other.did, "message", 0).await;
    let mut reader = Foreigner::new().await;
    let made_up = TokenId::of(b"made up");
    for (id, asked, to) in [
        ("q-1", made_up, &vera),
        ("q-2", given.id.parse().unwrap(), &other),
        ("q-3", given.id.parse().unwrap(), &vera),
    ] {
        let query = VouchMessage::Query { ids: vec![asked] };
        let query = told(query, id, &reader.did, &to.did.parse().unwrap());
        assert_eq!(theirs.post(&reader.seal(&theirs, &query).await).await.0, 202);
    }
    assert_eq!(reader.receive(&theirs).await.thid.as_deref(), Some("q-3"), "the others wait not");
}

/// A contact sent vouches until there was no room for those of others.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_fills_the_wallet_alone() {
    let ours = stand().await;
    let bruno = ours.add_agent("bruno").await;
    let contact = Foreigner::new().await;
    anchor(&ours, &bruno, contact.did.as_str()).await;
    let to: Did = bruno.did.parse().unwrap();
    let mut newest = String::new();
    for n in 0..6 {
        newest = sign(contact.signing(), &to, UnixTime(now().0 - 100 + n));
        let message = VouchMessage::Vouch { path: vec![newest.clone()], comment: None };
        let message = told(message, &format!("v-{n}"), &contact.did, &to);
        assert_eq!(ours.post(&contact.seal(&ours, &message).await).await.0, 202);
    }
    held(&ours, &bruno, 4).await;
    let newest = name_of(&newest).to_string();
    assert!(wallet(&ours, &bruno).await.iter().any(|vouch| vouch.id == newest));
}
