//! Outcomes between nodes: both sides sign, and nothing else counts.

use std::time::{SystemTime, UNIX_EPOCH};

use comity_core::api::{AgentInfo, ImportedOutcomes, OutcomeFile, OutcomeInfo, OutcomeRecord};
use comity_core::protocol::attached_tokens::TokenKind;
use comity_core::protocol::outcome::OutcomeMessage;
use comity_core::trust::{Ending, SignedOutcome, Work, subject};
use comity_didcomm::{Did, DidDocument, MessageId, UnixTime};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand};

const TASK: &str = "https://example.org/task/1.0/request";

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn did(agent: &AgentInfo) -> Did {
    agent.did.parse().unwrap()
}

async fn list(stand: &Stand, agent: &AgentInfo, state: &str) -> Vec<OutcomeInfo> {
    let path = format!("/admin/agents/{}/outcomes", agent.name);
    let mut listed: Vec<OutcomeInfo> = stand.admin(Method::GET, &path, Value::Null).await;
    listed.retain(|one| one.state == state);
    listed
}

async fn record(stand: &Stand, agent: &AgentInfo, who: &str) -> OutcomeRecord {
    let who = who.replace('%', "%25");
    let path = format!("/admin/agents/{}/outcomes/record?who={who}", agent.name);
    stand.admin(Method::GET, &path, Value::Null).await
}

async fn propose(stand: &Stand, agent: &AgentInfo, about: &str, ended: &str) -> OutcomeInfo {
    let path = format!("/admin/agents/{}/outcomes", agent.name);
    stand.admin(Method::POST, &path, json!({ "about": about, "ended": ended })).await
}

async fn agree(stand: &Stand, agent: &AgentInfo, id: &str) -> OutcomeInfo {
    let path = format!("/admin/agents/{}/outcomes/agree", agent.name);
    stand.admin(Method::POST, &path, json!({ "id": id })).await
}

async fn comes(stand: &Stand, agent: &AgentInfo, state: &str) -> OutcomeInfo {
    let what = format!("{} has one that is {state}", agent.name);
    stand.until(&what, async || list(stand, agent, state).await.len() == 1).await;
    list(stand, agent, state).await.remove(0)
}

async fn anchor(stand: &Stand, agent: &AgentInfo, who: &str) {
    let path = format!("/admin/agents/{}/allow", agent.name);
    let _relation: Value =
        stand.admin(Method::POST, &path, json!({ "who": who, "anchor": true })).await;
}

/// Two nodes; aria of the one had bruno of the other do something.
struct Scene {
    a: Stand,
    b: Stand,
    aria: AgentInfo,
    bruno: AgentInfo,
}

impl Scene {
    async fn new() -> Self {
        let (a, b) = (Stand::new().await, Stand::new().await);
        let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
        b.allow(&bruno, &aria.did).await;
        a.send(&aria, json!({ "to": bruno.did, "type": TASK, "body": {}, "id": "m-1" })).await;
        assert_eq!(b.receive(&bruno, 1).await[0].id, "m-1");
        Self { a, b, aria, bruno }
    }

    /// Has bruno propose, and aria agree.
    async fn settle(&self, ended: &str) -> OutcomeInfo {
        let proposed = propose(&self.b, &self.bruno, "m-1", ended).await;
        let theirs = comes(&self.a, &self.aria, "theirs").await;
        assert_eq!((&theirs.id, theirs.outcome.as_str()), (&proposed.id, ended));
        agree(&self.a, &self.aria, &theirs.id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_side_proposes_counts_when_the_other_has_signed_it_and_survives_a_restart() {
    let scene = Scene::new().await;
    let proposed = propose(&scene.b, &scene.bruno, "m-1", "accepted").await;
    let theirs = comes(&scene.a, &scene.aria, "theirs").await;
    let worker = subject(&did(&scene.bruno)).to_string();
    assert_eq!((theirs.worker, theirs.thid.as_str()), (worker, "m-1"));
    assert_eq!(theirs.protocol, "https://example.org/task/1.0");
    let before = record(&scene.a, &scene.aria, &scene.bruno.did).await;
    assert!(before.evidence.is_empty(), "what one side says counts nothing");
    assert_eq!(before.accepted, 0.0);

    agree(&scene.a, &scene.aria, &proposed.id).await;
    let agreed = comes(&scene.b, &scene.bruno, "agreed").await;
    assert_eq!(agreed.id, proposed.id);
    assert!(list(&scene.b, &scene.bruno, "ours").await.is_empty());
    assert!(list(&scene.a, &scene.aria, "theirs").await.is_empty());
    let again = agree(&scene.a, &scene.aria, &proposed.id).await;
    assert_eq!(again.id, proposed.id, "it is sent again, and nothing else happens");
    let a = scene.a.restart().await;
    let after = record(&a, &scene.aria, &scene.bruno.did).await;
    assert_eq!((after.accepted, after.standing), (1.0, 1.0));
    assert_eq!(after.evidence[0].outcome.id, proposed.id);
    assert_eq!(after.evidence[0].weight, 1.0, "aria believes herself");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_proposes_about_a_thread_that_never_was() {
    let b = Stand::new().await;
    let bruno = b.add_agent("bruno").await;
    let peer = Foreigner::new().await;
    let propose = async |id: &str, thid: &str| {
        let (kid, key) = peer.signing();
        let work = Work {
            worker: subject(&did(&bruno)),
            client: subject(&peer.did),
            thid: thid.to_owned(),
            protocol: "https://example.org/task/1.0".parse().unwrap(),
            outcome: Ending::Disputed,
            at: now(),
        };
        let token = work.sign((kid, key)).unwrap();
        let mut message = OutcomeMessage::Propose { token, comment: None }
            .into_message(MessageId::parse(id).unwrap());
        (message.from, message.to) = (Some(peer.did.clone()), vec![did(&bruno)]);
        assert_eq!(b.post(&peer.seal(&b, &message).await).await.0, 202);
    };
    propose("o-1", "t-9").await;
    // A message that waits as a request is none that the agent had to do with.
    let request = peer.seal(&b, &peer.message("m-1", TASK, &bruno)).await;
    assert_eq!(b.post(&request).await.0, 202);
    propose("o-2", "m-1").await;
    assert!(list(&b, &bruno, "theirs").await.is_empty());
    b.allow(&bruno, peer.did.as_str()).await;
    b.receive(&bruno, 1).await;
    propose("o-3", "m-1").await;
    assert_eq!(list(&b, &bruno, "theirs").await.len(), 1);
    propose("o-4", "t-9").await;
    assert_eq!(list(&b, &bruno, "theirs").await.len(), 1);

    let wish = json!({ "about": "t-9", "who": peer.did, "ended": "done", "worker": "us" });
    let (status, answer) = b.call_admin("/admin/agents/bruno/outcomes", &wish).await;
    assert_eq!((status, answer["code"].as_str()), (404, Some("node.no-such-thread")));
    let wish = json!({ "about": "m-1", "ended": "great" });
    assert_eq!(b.call_admin("/admin/agents/bruno/outcomes", &wish).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signature_that_is_forged_makes_no_outcome() {
    let b = Stand::new().await;
    let bruno = b.add_agent("bruno").await;
    let peer = Foreigner::new().await;
    b.allow(&bruno, peer.did.as_str()).await;
    let task = peer.seal(&b, &peer.message("m-1", TASK, &bruno)).await;
    assert_eq!(b.post(&task).await.0, 202);
    b.receive(&bruno, 1).await;
    let (kid, key) = peer.signing();
    let work = Work {
        worker: subject(&did(&bruno)),
        client: subject(&peer.did),
        thid: "m-1".to_owned(),
        protocol: "https://example.org/task/1.0".parse().unwrap(),
        outcome: Ending::Disputed,
        at: now(),
    };
    let token = work.sign((kid, key)).unwrap();
    let document: DidDocument = b.document(&did(&bruno)).await;
    let their_kid = document.signing_keys().next().unwrap().0.clone();
    let forged = work.sign((&their_kid, key)).unwrap();
    let send = async |message: OutcomeMessage, id: &str| {
        let mut message = message.into_message(MessageId::parse(id).unwrap());
        (message.from, message.to) = (Some(peer.did.clone()), vec![did(&bruno)]);
        assert_eq!(b.post(&peer.seal(&b, &message).await).await.0, 202);
    };
    for (id, pair) in
        [("o-1", [token.clone(), forged.clone()]), ("o-2", [token.clone(), token.clone()])]
    {
        send(OutcomeMessage::Agreed { outcomes: vec![pair] }, id).await;
        assert!(list(&b, &bruno, "agreed").await.is_empty(), "{id}");
    }
    let path = "/admin/agents/bruno/outcomes/import";
    let file = OutcomeFile { outcomes: vec![[token.clone(), forged]], left_out: 0 };
    let imported: ImportedOutcomes = b.admin(Method::POST, path, json!(file)).await;
    assert_eq!((imported.kept, imported.refused), (0, 1));

    send(OutcomeMessage::Propose { token: token.clone(), comment: None }, "o-3").await;
    let id = list(&b, &bruno, "theirs").await.remove(0).id;
    agree(&b, &bruno, &id).await;
    assert_eq!(list(&b, &bruno, "agreed").await[0].id, id);
    send(OutcomeMessage::Propose { token, comment: None }, "o-4").await;
    assert!(list(&b, &bruno, "theirs").await.is_empty(), "it is agreed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_carried_to_a_new_node_which_counts_what_it_believes() {
    let scene = Scene::new().await;
    let agreed = scene.settle("disputed").await;
    comes(&scene.b, &scene.bruno, "agreed").await;
    let path = "/admin/agents/bruno/outcomes/export";
    let file: OutcomeFile = scene.b.admin(Method::GET, path, Value::Null).await;
    assert_eq!(file.outcomes.len(), 1);

    let c = Stand::new().await;
    let carla = c.add_agent("carla").await;
    let path = "/admin/agents/carla/outcomes/import";
    let imported: ImportedOutcomes = c.admin(Method::POST, path, json!(file)).await;
    assert_eq!((imported.kept, imported.refused), (1, 0), "{imported:?}");
    let again: ImportedOutcomes = c.admin(Method::POST, path, json!(file)).await;
    assert_eq!((again.kept, again.known), (0, 1));
    let unbelieved = record(&c, &carla, &scene.bruno.did).await;
    assert_eq!((unbelieved.disputed, unbelieved.standing), (0.0, 1.0));
    assert_eq!(unbelieved.evidence[0].outcome.id, agreed.id);
    assert_eq!(unbelieved.evidence[0].weight, 0.0, "nothing is known of aria");

    anchor(&c, &carla, &scene.aria.did).await;
    let c = c.restart().await;
    let believed = record(&c, &carla, &scene.bruno.did).await;
    assert_eq!((believed.disputed, believed.evidence[0].weight), (1.0, 1.0));
    assert_eq!(believed.standing, 4.0 / 7.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_show_only_what_somebody_signed_whom_the_operator_believes() {
    let b = Stand::new().await;
    let bruno = b.add_agent("bruno").await;
    let (worker, client) = (Foreigner::new().await, Foreigner::new().await);
    let work = Work {
        worker: subject(&worker.did),
        client: subject(&client.did),
        thid: "t-1".to_owned(),
        protocol: "https://example.org/task/1.0".parse().unwrap(),
        outcome: Ending::Done,
        at: now(),
    };
    let sign = |party: &Foreigner| {
        let (kid, key) = party.signing();
        work.sign((kid, key)).unwrap()
    };
    let pair = [sign(&client), sign(&worker)];
    assert!(pair.iter().all(|token| SignedOutcome::parse(token).is_ok()));
    let show = async |id: &str| {
        let agreed = OutcomeMessage::Agreed { outcomes: vec![pair.clone()] };
        let mut message = agreed.into_message(MessageId::parse(id).unwrap());
        (message.from, message.to) = (Some(worker.did.clone()), vec![did(&bruno)]);
        assert_eq!(b.post(&worker.seal(&b, &message).await).await.0, 202);
    };
    show("o-1").await;
    assert!(list(&b, &bruno, "shown").await.is_empty(), "strangers fill nothing");
    b.allow(&bruno, client.did.as_str()).await;
    show("o-2").await;
    assert_eq!(list(&b, &bruno, "shown").await.len(), 1);
    let record = record(&b, &bruno, worker.did.as_str()).await;
    assert_eq!(record.done, 0.5, "as far as messages are allowed");

    // Another one is shown besides a message, of which the agent sees nothing.
    let again = Work { thid: "t-2".to_owned(), ..work.clone() };
    let pair = [&client, &worker].map(|party| again.sign(party.signing()).unwrap());
    let mut message = worker.message("m-1", "https://example.org/question/1.0/ask", &bruno);
    message.attachments = pair.iter().map(|token| TokenKind::Outcome.attach(token)).collect();
    assert_eq!(b.post(&worker.seal(&b, &message).await).await.0, 202);
    assert_eq!(list(&b, &bruno, "shown").await.len(), 1, "a request shows nothing yet");
    b.allow(&bruno, worker.did.as_str()).await;
    assert_eq!(b.receive(&bruno, 1).await[0].id, "m-1");
    message.id = MessageId::parse("m-2").unwrap();
    assert_eq!(b.post(&worker.seal(&b, &message).await).await.0, 202);
    assert_eq!(list(&b, &bruno, "shown").await.len(), 2);
}
