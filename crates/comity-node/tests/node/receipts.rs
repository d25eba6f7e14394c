//! Receipts between two homes, and for a home that is not ours: signed, repeated on request, and
//! verified with nothing but a document.

use comity_core::receipt::{self, ReceiptError, State};
use comity_didcomm::DidDocument;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand};

const ASK: &str = "https://example.org/question/1.0/ask";

#[tokio::test(flavor = "multi_thread")]
async fn the_rungs_of_a_ladder_are_signed_and_verify_offline() {
    let (stand_a, stand_b) = (Stand::new().await, Stand::new().await);
    let aria = stand_a.add_agent("aria").await;
    let bruno = stand_b.add_agent("bruno").await;
    stand_b.allow(&bruno, &aria.did).await;
    let id = stand_a.send(&aria, json!({ "to": bruno.did, "type": ASK, "body": {} })).await.id;
    let delivery = stand_b.receive(&bruno, 1).await[0].delivery;
    stand_b.settle(&bruno, json!({ "do": "ack", "deliveries": [delivery] })).await;
    let states = stand_a.states(&aria, &id, "processed").await;
    assert_eq!(states, ["queued", "accepted", "received", "processed"]);

    let signed = stand_a.receipts(&aria, &id).await;
    let document = document(&stand_a, &stand_b.node.ready().did).await;
    let stranger = self::document(&stand_a, &stand_a.node.ready().did).await;
    for (one, state) in signed.iter().zip([State::Accepted, State::Received, State::Processed]) {
        let verified = receipt::verify(&one.jws, &document).unwrap();
        assert_eq!(verified.signer(), &document.id);
        let line = verified.receipts().iter().find(|line| line.state == state && line.id == id);
        let line = line.expect("the line about this message");
        assert_eq!((line.from.as_str(), line.to.as_str()), (aria.did.as_str(), bruno.did.as_str()));
        assert_eq!(line.log_index.is_some(), state == State::Accepted);
        assert_eq!(receipt::verify(&one.jws, &stranger), Err(ReceiptError::Signature));
        let forged = one.jws.replacen("\"payload\":\"e", "\"payload\":\"f", 1);
        assert_ne!(forged, one.jws);
        assert_eq!(receipt::verify(&forged, &document), Err(ReceiptError::Signature));
    }
    assert_eq!(signed.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_repeated_to_whoever_they_were_for_and_to_nobody_else() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let (mut peer, mut other) = (Foreigner::new().await, Foreigner::new().await);
    stand.allow(&bruno, peer.did.as_str()).await;
    let mut message = peer.message("m-1", ASK, &bruno);
    message.extra.insert("receipt_to".to_owned(), json!(peer.did));
    assert_eq!(stand.post(&peer.seal(&stand, &message).await).await.0, 202);
    let first = peer.receive(&stand).await;
    assert_eq!(first.body["receipts"][0]["state"], "accepted");

    let home = stand.node.ready().did.clone();
    let question = json!([{ "id": "m-1", "from": peer.did, "to": bruno.did }]);
    for asker in [&other, &peer] {
        let node = comity_core::api::AgentInfo { did: home.clone(), ..bruno.clone() };
        let mut query =
            asker.message("q-1", "https://comity.dev/protocols/receipt/1.0/query", &node);
        query.body.insert("messages".to_owned(), question.clone());
        assert_eq!(stand.post(&asker.seal(&stand, &query).await).await.0, 202);
    }
    let again = peer.receive(&stand).await;
    assert_eq!(again.body["receipts"][0], first.body["receipts"][0]);
    // What is owed to one peer goes out in order: an answer to the stranger's question would come
    // with or before the receipt about the stranger's own message.
    let mut own = other.message("m-2", ASK, &bruno);
    own.extra.insert("receipt_to".to_owned(), json!(other.did));
    assert_eq!(stand.post(&other.seal(&stand, &own).await).await.0, 202);
    let told = other.receive(&stand).await;
    let lines = told.body["receipts"].as_array().unwrap();
    let ids: Vec<_> = lines.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, ["m-2"], "a stranger learns nothing about others' messages");
}

async fn document(stand: &Stand, did: &str) -> DidDocument {
    let path = format!("/admin/resolve?who={}", did.replace('%', "%25"));
    let resolved: Value = stand.admin(Method::GET, &path, Value::Null).await;
    DidDocument::parse(resolved["document"].to_string().as_bytes(), &did.parse().unwrap()).unwrap()
}
