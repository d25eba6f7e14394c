//! The node's own DID: which one it has, and that its keys change without losing what is under way:
//! receipts, forwards to it as a relay, and the homes behind it.

use std::sync::Arc;

use comity_core::api::NodeInfo;
use comity_core::receipt;
use comity_core::relay::{Register, RelayPolicy};
use comity_didcomm::did::webvh::{History, Select};
use comity_didcomm::{Did, DidDocument, UnixTime};
use comity_node::config::NodeDid;
use comity_node::{Config, Node, StartError};
use comity_store::{MemoryStore, Store};
use http::Method;
use serde_json::{Value, json};

use crate::relay_client::{Client, forward, post, relay_did};
use crate::support::{Foreigner, Stand};

const ASK: &str = "https://example.org/question/1.0/ask";
const METHODS: [NodeDid; 2] = [NodeDid::Web, NodeDid::Webvh];

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

async fn node_with(did: NodeDid) -> Stand {
    Stand::with(store(), |config| config.node_did = Some(did)).await
}

async fn relay_with(did: NodeDid) -> Stand {
    Stand::with(store(), |config| {
        config.node_did = Some(did);
        config.relay = Some(RelayPolicy { register: Register::Open, ..RelayPolicy::default() });
    })
    .await
}

async fn rotate(stand: &Stand, reason: Value) -> NodeInfo {
    stand.admin(Method::POST, "/admin/rotate", reason).await
}

fn fragments(document: &DidDocument) -> Vec<&str> {
    document.signing_keys().map(|(kid, _)| kid.fragment().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_go_on_when_the_node_rotates_and_those_under_way_verify() {
    for method in METHODS {
        let stand = node_with(method).await;
        let did = stand.node.ready().did.clone();
        assert!(did.starts_with(&format!("did:{method}:")), "{did}");
        let bruno = stand.add_agent("bruno").await;
        assert!(bruno.did.starts_with(&format!("did:{method}:")), "as the node: {}", bruno.did);
        let mut peer = Foreigner::new().await;
        stand.allow(&bruno, peer.did.as_str()).await;
        let mut sealed = Vec::new();
        for number in 1..=3 {
            let mut message = peer.message(&format!("m-{number}"), ASK, &bruno);
            message.extra.insert("receipt_to".to_owned(), json!(peer.did));
            sealed.push(peer.seal(&stand, &message).await);
        }
        // The receipt of the first waits unopened at the peer, who looks the document up only
        // after the rotation.
        assert_eq!(stand.post(&sealed[0]).await.0, 202);
        stand.until("the receipt is out", async || stand.status().await.outbox_messages == 0).await;
        let rotated = rotate(&stand, json!({})).await;
        assert_eq!((rotated.did, rotated.signing_key), (did.clone(), format!("{did}#key-3")));
        assert_eq!(peer.receive(&stand).await.body["receipts"][0]["id"], "m-1");
        assert_eq!(stand.post(&sealed[1]).await.0, 202);
        assert_eq!(peer.receive(&stand).await.body["receipts"][0]["id"], "m-2");
        let stand = stand.restart().await;
        assert_eq!(stand.node.ready().did, did);
        assert_eq!(stand.post(&sealed[2]).await.0, 202);
        assert_eq!(peer.receive(&stand).await.body["receipts"][0]["id"], "m-3");
        let document = stand.document(&did.parse().unwrap()).await;
        assert_eq!(fragments(&document), ["key-3", "key-1"]);
        assert_eq!(document.didcomm_endpoints().len(), 2, "HTTP and WebSocket");
        assert_eq!(stand.document(&bruno.did.parse().unwrap()).await.controller[0].as_str(), did);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_home_takes_receipts_of_before_and_after_and_keeps_them_as_evidence() {
    for method in METHODS {
        let (a, b) = (Stand::new().await, node_with(method).await);
        let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
        b.allow(&bruno, &aria.did).await;
        let did: Did = b.node.ready().did.parse().unwrap();
        let send = async |id: &str| {
            a.send(&aria, json!({ "id": id, "to": bruno.did, "type": ASK, "body": {} })).await;
            a.states(&aria, id, "accepted").await;
        };
        // The other home has the document of before, and some receipts of before the rotation.
        send("m-1").await;
        rotate(&b, json!({})).await;
        for id in ["m-1", "m-2"] {
            if id != "m-1" {
                send(id).await;
            }
            let delivery = b.receive(&bruno, 1).await[0].delivery;
            b.settle(&bruno, json!({ "do": "ack", "deliveries": [delivery] })).await;
            let states = a.states(&aria, id, "processed").await;
            assert_eq!(states, ["queued", "accepted", "received", "processed"], "{method}");
        }
        let document = b.document(&did).await;
        assert_eq!(fragments(&document), ["key-3", "key-1"]);
        let signed = a.receipts(&aria, "m-1").await;
        assert_eq!(signed.len(), 3);
        for one in &signed {
            assert_eq!(receipt::verify(&one.jws, &document).unwrap().signer(), &did);
        }
        // Keys that others have say nothing about today. What they signed is checked, where the
        // method keeps a history, with the version of the time.
        rotate(&b, json!({ "compromised": true })).await;
        let document = b.document(&did).await;
        assert_eq!(fragments(&document), ["key-5"]);
        assert!(receipt::verify(&signed[0].jws, &document).is_err());
        if method == NodeDid::Webvh {
            let (_, _, log) = b.get_public("/.well-known/did.jsonl").await;
            let history = History::verify(&did, &log, None, UnixTime(u64::MAX)).unwrap();
            let then = history.at(&Select::Number(1)).unwrap().document;
            assert!(receipt::verify(&signed[0].jws, &then).is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_takes_what_was_sealed_to_its_former_key() {
    for method in METHODS {
        let stand = relay_with(method).await;
        let (bruno, carol) = (Client::new(), Client::new());
        bruno.register(&stand).await;
        let mut sealed = Vec::new();
        for text in ["one", "two", "three"] {
            sealed.push(forward(&stand, bruno.did.as_str(), bruno.letter(text)).await);
        }
        rotate(&stand, json!({})).await;
        assert_eq!(stand.post(&sealed[0]).await, (http::StatusCode::ACCEPTED, None));
        // What it answers is signed with the new keys, to those who knew it and to others.
        assert_eq!(bruno.status(&stand).await.message_count, 1);
        carol.register(&stand).await;
        let stand = stand.restart().await;
        assert_eq!(stand.post(&sealed[1]).await.0, 202);
        rotate(&stand, json!({ "compromised": true })).await;
        assert_eq!(stand.post(&sealed[2]).await.0, 202, "it still opens");
        assert_eq!(post(&stand, &bruno, "four").await, (202, None));
        let waiting = bruno.fetch(&stand).await;
        let texts: Vec<_> = waiting.iter().map(|one| bruno.read(one)).collect();
        assert_eq!(texts, ["one", "two", "three", "four"], "{method}");
        assert_eq!(fragments(&stand.document(&relay_did(&stand)).await), ["key-5"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_stays_behind_a_relay_that_rotates_and_names_it_by_its_address() {
    for (method, reason) in
        [(NodeDid::Web, json!({})), (NodeDid::Webvh, json!({ "compromised": true }))]
    {
        let (a, relay) = (Stand::new().await, relay_with(method).await);
        let via = relay.node.ready().url.clone();
        let home = Stand::with(store(), |config| config.via = Some(via)).await;
        assert_eq!(home.node.ready().url, relay.node.ready().did);
        let (aria, bruno) = (a.add_agent("aria").await, home.add_agent("bruno").await);
        home.allow(&bruno, &aria.did).await;
        let send = async |stand: &Stand, id: &str| {
            a.send(&aria, json!({ "id": id, "to": bruno.did, "type": ASK })).await;
            let delivery = stand.receive(&bruno, 1).await.remove(0);
            assert_eq!(delivery.id, id, "{method}");
            stand.settle(&bruno, json!({ "do": "ack", "deliveries": [delivery.delivery] })).await;
            a.states(&aria, id, "processed").await
        };
        send(&home, "m-1").await;
        // Sender and home have the relay's document of before.
        rotate(&relay, reason).await;
        assert_eq!(send(&home, "m-2").await.len(), 4);
        // The address still means the same relay.
        let home = home.restart().await;
        assert_eq!(send(&home, "m-3").await.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_document_or_log_is_where_its_method_looks_for_it() {
    for (method, here, nowhere) in [
        (NodeDid::Web, "/.well-known/did.json", "/.well-known/did.jsonl"),
        (NodeDid::Webvh, "/.well-known/did.jsonl", "/.well-known/did.json"),
    ] {
        let stand = node_with(method).await;
        assert_eq!(stand.get_public(here).await.0, 200, "{method}");
        assert_eq!(stand.get_public(nowhere).await.0, 404, "{method}");
        let other = Stand::new().await;
        let document = other.document(&stand.node.ready().did.parse().unwrap()).await;
        assert_eq!(fragments(&document), ["key-1"], "others find it");
        let checks: Vec<Value> = stand.admin(Method::GET, "/admin/checks", Value::Null).await;
        let reachable = checks.iter().find(|check| check["name"] == "public url").unwrap();
        assert_eq!(reachable["ok"], true, "{reachable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_keeps_its_did_and_another_setting_is_an_error() {
    for (has, wants) in [(NodeDid::Web, NodeDid::Webvh), (NodeDid::Webvh, NodeDid::Web)] {
        let stand = node_with(has).await;
        let did = stand.node.ready().did.clone();
        let mut stopped = stand.stop().await;
        stopped.config.node_did = None;
        let stand = stopped.start().await;
        assert_eq!(stand.node.ready().did, did, "nothing said is nothing changed");
        let mut stopped = stand.stop().await;
        stopped.config.node_did = Some(wants);
        let error = start(&stopped.config, stopped.store()).await;
        let StartError::Identity { stored, given } = &error else { panic!("{error}") };
        assert_eq!((stored.as_str(), given.method()), (did.as_str(), wants.to_string().as_str()));
        assert!(error.hint().contains("--node-did"), "{}", error.hint());
        stopped.config.node_did = Some(has);
        stopped.config.public_url = Some("http://elsewhere.localhost:7700".to_owned());
        let error = start(&stopped.config, stopped.store()).await;
        assert!(matches!(error, StartError::Identity { .. }), "{error}");
    }
}

async fn start(config: &Config, store: Arc<dyn Store>) -> StartError {
    Node::start_on(config.clone(), store).await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_name_has_no_history_and_one_that_is_its_keys_does_not_rotate() {
    let mut stopped = Stand::with(store(), |config| config.dev = false).await.stop().await;
    stopped.config.node_did = Some(NodeDid::Webvh);
    for public_url in [None, Some("https://127.0.0.1:7700".to_owned())] {
        stopped.config.public_url = public_url;
        let error = start(&stopped.config, store()).await;
        assert!(matches!(error, StartError::NodeDid(NodeDid::Webvh)), "{error}");
        assert!(error.hint().contains("--public-url"), "{}", error.hint());
    }
    (stopped.config.public_url, stopped.config.node_did) = (None, None);
    let stand = stopped.start().await;
    assert!(stand.node.ready().did.starts_with("did:peer:4"));
    let (status, problem) = stand.call_admin("/admin/rotate", &json!({})).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("node.cannot-rotate")));
    // Nobody would find it.
    let (status, problem) = stand.call_admin("/admin/agents", &json!({ "name": "aria" })).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("node.no-public-url")));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_relay_agents_are_did_peer_and_a_wish_for_another_did_is_refused() {
    let relay = relay_with(NodeDid::Web).await;
    let via = relay.node.ready().did.clone();
    let home = Stand::with(store(), |config| config.via = Some(via)).await;
    for did in ["web", "webvh"] {
        let wish = json!({ "name": "aria", "did": did });
        let (status, problem) = home.call_admin("/admin/agents", &wish).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("node.no-public-url")));
        assert!(problem["hint"].as_str().unwrap().contains("behind a relay"), "{problem}");
    }
    assert!(home.add_agent("aria").await.did.starts_with("did:peer:4"));
}
