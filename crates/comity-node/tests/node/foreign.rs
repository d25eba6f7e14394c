//! A peer that knows only standard DIDComm: it is served by `ack` and by problem reports.

use comity_didcomm::Endpoint;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Foreigner, Stand};

const OFFER: &str = "https://example.org/proposal/1.0/offer";

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_knows_only_please_ack_gets_one_ack_when_the_agent_has_the_message() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let mut peer = Foreigner::new().await;
    stand.allow(&bruno, peer.did.as_str()).await;
    let mut message = peer.message("m-1", OFFER, &bruno);
    message.please_ack = vec![String::new()];
    let envelope = peer.seal(&stand, &message).await;
    assert_eq!(stand.post(&envelope).await.0, 202);

    let handed = stand.receive(&bruno, 1).await;
    assert_eq!((handed[0].id.as_str(), handed[0].verified.as_str()), ("m-1", "signature"));
    let ack = peer.receive(&stand).await;
    assert_eq!(ack.type_.to_string(), "https://didcomm.org/empty/1.0/empty");
    assert_eq!((ack.ack, ack.thid.as_deref()), (vec!["m-1".to_owned()], Some("m-1")));
    assert!(ack.please_ack.is_empty(), "an acknowledgement asks for none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_gets_one_report_and_a_repeat_none() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let mut peer = Foreigner::new().await;
    let first = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    assert_eq!(stand.post(&first).await.0, 202, "the first is held");
    let second = peer.seal(&stand, &peer.message("m-2", OFFER, &bruno)).await;
    for _repeat in 0..3 {
        assert_eq!(stand.post(&second).await.0, 202, "the second is refused, on record");
    }
    let report = peer.receive(&stand).await;
    assert_eq!(report.type_.to_string(), "https://didcomm.org/report-problem/2.0/problem-report");
    assert_eq!(report.body["code"], "e.m.trust.pending");
    assert_eq!((report.ack, report.pthid.as_deref()), (vec!["m-2".to_owned()], Some("m-2")));

    // Something that does come afterwards shows that nothing else had come before it.
    let path = "/admin/agents/bruno/deny";
    let decide = json!({ "who": peer.did });
    let _relation: serde_json::Value = stand.admin(http::Method::POST, path, decide).await;
    let report = peer.receive(&stand).await;
    assert_eq!(
        (report.body["code"].as_str(), report.ack),
        (Some("e.m.trust.denied"), vec!["m-1".to_owned()])
    );
    assert!(peer.has_nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn few_documents_are_fetched_to_tell_a_stranger_that_it_is_refused() {
    // A DID that named eight mediators had the node fetch eight documents, one after the other,
    // before the message was written and answered.
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mediator = |number| Endpoint::new(format!("did:web:127.0.0.1%3A{port}:m{number}"));
    let mut peer = Foreigner::on(listener, &(1..=8).map(mediator).collect::<Vec<_>>());
    for id in ["m-1", "m-2"] {
        let envelope = peer.seal(&stand, &peer.message(id, OFFER, &bruno)).await;
        assert_eq!(stand.post(&envelope).await.0, 202);
    }
    assert_eq!(peer.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_by_the_recipient_is_a_rung_of_the_ladder_and_bothers_nobody() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let mut peer = Foreigner::new().await;
    let request = json!({ "to": peer.did, "type": OFFER, "body": { "n": 1 } });
    let sent = stand.send(&bruno, request).await;
    let message = peer.receive(&stand).await;
    assert_eq!(message.please_ack, [""]);
    let mut ack = peer.message("a-1", "https://didcomm.org/empty/1.0/empty", &bruno);
    ack.thid = Some(sent.thid.clone());
    ack.ack = vec![sent.id.clone()];
    assert_eq!(stand.post(&peer.seal(&stand, &ack).await).await.0, 202);
    assert_eq!(stand.states(&bruno, &sent.id, "received").await, ["queued", "received"]);
    assert_eq!(stand.status().await.mailbox_messages, 0);
}
