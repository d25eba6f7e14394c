//! An agent's keys change, and nothing that is under way is lost: neither what was sealed to the
//! former keys, nor what was signed with them, nor across a restart.

use std::sync::Arc;

use comity_core::api::AgentInfo;
use comity_didcomm::did::webvh::{History, Select};
use comity_didcomm::{
    ContentEncryption, Did, DidDocument, Message, MessageId, Protection, SigningKey, UnixTime, did,
    from_prior, seal,
};
use comity_store::{MemoryStore, Store};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand, token};

const ASK: &str = "https://example.org/question/1.0/ask";
const METHODS: [&str; 2] = ["web", "webvh"];

async fn add(stand: &Stand, name: &str, method: &str) -> AgentInfo {
    stand.admin(Method::POST, "/admin/agents", json!({ "name": name, "did": method })).await
}

async fn rotate(stand: &Stand, name: &str, reason: Value) -> AgentInfo {
    stand.admin(Method::POST, &format!("/admin/agents/{name}/rotate"), reason).await
}

async fn document(stand: &Stand, did: &str) -> DidDocument {
    let resolved: Value = stand
        .admin(Method::GET, &format!("/admin/resolve?who={}", did.replace('%', "%25")), Value::Null)
        .await;
    let text = resolved["document"].to_string();
    DidDocument::parse(text.as_bytes(), &did.parse().unwrap()).unwrap()
}

fn kids(document: &DidDocument) -> Vec<&str> {
    document.signing_keys().map(|(kid, _)| kid.fragment().unwrap()).collect()
}

async fn public(stand: &Stand, path: &str) -> (u16, String, String) {
    let (status, media_type, body) = stand.get_public(path).await;
    (status, media_type, String::from_utf8(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sealed_to_former_keys_arrive_before_and_after_a_restart() {
    for method in METHODS {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut stand = Stand::on(Arc::clone(&store)).await;
        let bruno = add(&stand, "bruno", method).await;
        let peer = Foreigner::new().await;
        stand.allow(&bruno, peer.did.as_str()).await;
        let mut sealed = Vec::new();
        for number in 0..4 {
            let message = peer.message(&format!("m-{number}"), ASK, &bruno);
            sealed.push(peer.seal(&stand, &message).await);
        }
        // One rests in the mailbox; the others are on their way, from a peer that remembers the
        // document of before.
        assert_eq!(stand.post(&sealed[0]).await.0, 202);
        let rotated = rotate(&stand, "bruno", json!({})).await;
        assert_ne!(rotated.signing_key, bruno.signing_key);
        assert_eq!(stand.post(&sealed[1]).await.0, 202);
        stand = stand.restart().await;
        assert_eq!(stand.post(&sealed[2]).await.0, 202);
        rotate(&stand, "bruno", json!({ "compromised": true })).await;
        assert_eq!(stand.post(&sealed[3]).await.0, 202);
        let message = peer.message("m-4", ASK, &bruno);
        assert_eq!(stand.post(&peer.seal(&stand, &message).await).await.0, 202);
        let mut ids: Vec<_> =
            stand.receive(&bruno, 5).await.into_iter().map(|message| message.id).collect();
        ids.sort();
        assert_eq!(ids, ["m-0", "m-1", "m-2", "m-3", "m-4"], "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_announces_a_peers_rotation_is_handed_over_after_a_restart() {
    // It was accepted and opened only for as long as it was remembered: the document of the prior
    // DID is not kept beside it, and it was asked for in vain.
    let stand = Stand::new().await;
    let bruno = add(&stand, "bruno", "web").await;
    let peer = Foreigner::new().await;
    stand.allow(&bruno, peer.did.as_str()).await;
    let key = SigningKey::generate(&mut rand::rng());
    let prior = did::key::resolve(&did::key::create(&key.public())).unwrap();
    let kid = prior.signing_keys().next().unwrap().0;
    let mut message = peer.message("m-1", ASK, &bruno);
    message.from_prior = Some(from_prior(kid, &key, Some(&peer.did), UnixTime(1_800_000_000)));
    assert_eq!(stand.post(&peer.seal(&stand, &message).await).await.0, 202);
    let stand = stand.restart().await;
    assert_eq!(stand.receive(&bruno, 1).await[0].id, "m-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_before_verifies_with_the_document_of_after() {
    for method in METHODS {
        let stand = Stand::new().await;
        let bruno = add(&stand, "bruno", method).await;
        let mut peer = Foreigner::new().await;
        for (id, deniable) in [("m-1", false), ("m-2", true)] {
            let message = json!({ "id": id, "to": peer.did, "type": ASK, "deniable": deniable });
            stand.send(&bruno, message).await;
        }
        // They wait unopened at the peer, who looks the document up only now.
        rotate(&stand, "bruno", json!({})).await;
        let ids = [peer.receive(&stand).await.id, peer.receive(&stand).await.id];
        let mut ids = ids.map(|id| id.to_string());
        ids.sort();
        assert_eq!(ids, ["m-1", "m-2"]);
        stand.send(&bruno, json!({ "id": "m-3", "to": peer.did, "type": ASK })).await;
        assert_eq!(peer.receive(&stand).await.id.as_str(), "m-3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_homes_go_on_talking_when_one_of_them_rotates() {
    let (a, b) = (Stand::new().await, Stand::new().await);
    let aria = add(&a, "aria", "web").await;
    let bruno = add(&b, "bruno", "webvh").await;
    a.allow(&aria, &bruno.did).await;
    b.allow(&bruno, &aria.did).await;
    a.send(&aria, json!({ "id": "a-1", "to": bruno.did, "type": ASK })).await;
    assert_eq!(b.receive(&bruno, 1).await[0].from, aria.did);
    rotate(&b, "bruno", json!({})).await;
    // A's home still has the document of before, and seals to the former key.
    a.send(&aria, json!({ "id": "a-2", "to": bruno.did, "type": ASK })).await;
    assert_eq!(b.receive(&bruno, 1).await[0].id, "a-2");
    // Neither is what is signed with the new key lost on a home that has the document of before.
    b.send(&bruno, json!({ "id": "b-0", "to": aria.did, "type": ASK })).await;
    assert_eq!(a.receive(&aria, 1).await[0].id, "b-0");
    // A home that never saw the former document takes the new signature.
    let c = Stand::new().await;
    let carla = add(&c, "carla", "webvh").await;
    c.allow(&carla, &bruno.did).await;
    b.send(&bruno, json!({ "id": "b-1", "to": carla.did, "type": ASK })).await;
    assert_eq!(c.receive(&carla, 1).await[0].from, bruno.did);
}

/// Seals a message of `from` for `to`, signed with a key that no document has.
async fn signed_with_an_unknown_key(stand: &Stand, from: &str, to: &AgentInfo) -> Vec<u8> {
    let mut message = Message::new(MessageId::parse("x-1").unwrap(), ASK.parse().unwrap());
    message.from = Some(from.parse().unwrap());
    message.to = vec![to.did.parse().unwrap()];
    let document = document(stand, &to.did).await;
    let recipients: Vec<_> =
        document.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
    let kid = from.parse::<Did>().unwrap().url("key-99");
    let key = SigningKey::generate(&mut rand::rng());
    let protection =
        Protection::Accountable { kid: &kid, key: &key, enc: ContentEncryption::default() };
    seal(&message, protection, &recipients, &mut rand::rng()).unwrap().envelope.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_for_good_only_by_a_document_that_is_fresh() {
    let (a, b) = (Stand::new().await, Stand::new().await);
    let aria = add(&a, "aria", "web").await;
    for method in METHODS {
        let bruno = add(&b, method, method).await;
        let envelope = signed_with_an_unknown_key(&a, &bruno.did, &aria).await;
        let first = a.post(&envelope).await;
        assert_eq!(first.0, 400, "{method}: the document was just fetched");
        let (status, code) = a.post(&envelope).await;
        // The document may be fetched again only in a second: until then it is not the last
        // word.
        assert_eq!((status.as_u16(), code.as_deref()), (503, Some("e.p.did.unavailable")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_log_tells_which_key_was_whose_when() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stand = Stand::on(Arc::clone(&store)).await;
    let bruno = add(&stand, "bruno", "webvh").await;
    assert!(bruno.version_id.as_deref().is_some_and(|id| id.starts_with("1-")));
    let rotated = rotate(&stand, "bruno", json!({})).await;
    assert!(rotated.version_id.as_deref().is_some_and(|id| id.starts_with("2-")));
    let stand = stand.restart().await;
    let (status, media_type, log) = public(&stand, "/agents/bruno/did.jsonl").await;
    assert_eq!((status, media_type.as_str()), (200, "text/jsonl"));
    let did: Did = bruno.did.parse().unwrap();
    let history = History::verify(&did, log.as_bytes(), None, UnixTime(u64::MAX)).unwrap();
    let version = |number: u32| history.at(&Select::Number(number)).unwrap().document;
    assert_eq!((kids(&version(1)), kids(&version(2))), (vec!["key-1"], vec!["key-3", "key-1"]));
    assert!(!history.parameters().next_key_hashes.is_empty(), "the next key is committed to");

    // The admin API answers for any version, and says which it is.
    let who = format!("{}?versionNumber=1", bruno.did).replace('%', "%25").replace('?', "%3F");
    let path = format!("/admin/resolve?who={who}");
    let resolved: Value = stand.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(resolved["metadata"]["versionId"], bruno.version_id.unwrap());
    assert_eq!(kids(&document(&stand, &bruno.did).await), ["key-3", "key-1"]);
    rotate(&stand, "bruno", json!({ "compromised": true })).await;
    assert_eq!(kids(&document(&stand, &bruno.did).await), ["key-5"]);
    // Only those have a log that keep one.
    add(&stand, "web", "web").await;
    assert_eq!(public(&stand, "/agents/web/did.jsonl").await.0, 404);
    assert_eq!(public(&stand, "/agents/bruno/did.json").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_a_hint() {
    let stand = Stand::with(Arc::new(MemoryStore::new()), |config| {
        config.public_url = Some("http://127.0.0.1:7700".to_owned());
    })
    .await;
    let peer = add(&stand, "peer", "peer").await;
    let (status, problem) = stand.call_admin("/admin/agents/peer/rotate", &json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("node.cannot-rotate")));
    let (status, problem) = stand.call_admin("/admin/agents/none/rotate", &json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("node.no-such-agent")));
    // An address has no owner that a certificate names.
    let wish = json!({ "name": "bruno", "did": "webvh" });
    let (status, problem) = stand.call_admin("/admin/agents", &wish).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("node.no-public-url")));
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("host name")));
    assert!(!token(&peer).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_at_once_go_one_after_the_other() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stand = Stand::on(Arc::clone(&store)).await;
    let bruno = add(&stand, "bruno", "webvh").await;
    let rotations = (0..4).map(|_| rotate(&stand, "bruno", json!({})));
    let mut keys: Vec<_> = futures_util::future::join_all(rotations)
        .await
        .into_iter()
        .map(|agent| agent.signing_key.rsplit('#').next().unwrap_or_default().to_owned())
        .collect();
    keys.sort();
    assert_eq!(keys, ["key-3", "key-5", "key-7", "key-9"]);
    let stand = stand.restart().await;
    assert_eq!(kids(&document(&stand, &bruno.did).await)[0], "key-9");
}
