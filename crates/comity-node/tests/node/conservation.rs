//! Counters equal rows, and every end of a message frees its place (invariants I2, I3, I7).

use http::Method;
use serde_json::{Value, json};

use crate::support::{Stand, token};

const ASK: &str = "https://example.org/question/1.0/ask";

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_refused_and_expired_messages_each_free_their_place_once() {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let bruno = stand.add_agent("bruno").await;
    stand.allow(&bruno, &aria.did).await;
    // Three times over the same state (I6).
    for round in 0..3 {
        let message = |name: &str| json!({ "to": bruno.did, "type": ASK, "id": format!("{name}-{round}"), "body": {} });
        let acknowledged = stand.send(&aria, message("ack")).await.id;
        let refused = stand.send(&aria, message("refuse")).await.id;
        let mut short = message("expire");
        short["expires_in_s"] = json!(2);
        let expired = stand.send(&aria, short).await.id;
        let handed = stand.receive(&bruno, 3).await;
        assert_eq!(stand.status().await.mailbox_messages, 3);

        let delivery = |id: &str| handed.iter().find(|one| one.id == id).unwrap().delivery;
        let ack = json!({ "do": "ack", "deliveries": [delivery(&acknowledged)] });
        let refuse = json!({ "do": "refuse", "delivery": delivery(&refused), "reason": "no time" });
        for _twice in 0..2 {
            assert_eq!(stand.settle(&bruno, ack.clone()).await, 1);
            assert_eq!(stand.settle(&bruno, refuse.clone()).await, 1);
        }
        for (id, end) in
            [(&acknowledged, "processed"), (&refused, "refused"), (&expired, "expired")]
        {
            let states = stand.states(&aria, id, "processed").await;
            assert_eq!(states.last().map(String::as_str), Some(end), "{states:?}");
        }
        // The refusal and the expiry are reported to Aria; the acknowledgement is not.
        let reports = stand.receive(&aria, 2).await;
        let codes: Vec<_> = reports.iter().map(|report| report.body["code"].clone()).collect();
        assert!(codes.contains(&json!("e.m.refused")), "{codes:?}");
        assert!(codes.contains(&json!("e.m.req.time.expired")), "{codes:?}");
        let deliveries: Vec<u64> = reports.iter().map(|report| report.delivery).collect();
        stand.settle(&aria, json!({ "do": "ack", "deliveries": deliveries })).await;
        assert_eq!(stand.status().await.mailbox_messages, 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_stays_and_what_is_peeked_is_not_handed_over() {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let bruno = stand.add_agent("bruno").await;
    stand.allow(&bruno, &aria.did).await;
    let id = stand.send(&aria, json!({ "to": bruno.did, "type": ASK, "body": {} })).await.id;
    for _look in 0..2 {
        let path = "/v1/messages?peek=true&wait_s=20";
        let (_, answer) = stand.call(Method::GET, path, token(&bruno), &Value::Null).await;
        assert_eq!(answer["messages"][0]["id"], json!(id));
    }
    assert_eq!(stand.receive(&bruno, 1).await[0].redelivered, 0);
    // It is in somebody's hands now, and nobody else gets it before the lease runs out.
    let path = "/v1/messages";
    let (_, answer) = stand.call(Method::GET, path, token(&bruno), &Value::Null).await;
    assert_eq!(answer["messages"], json!([]));
    assert_eq!(stand.status().await.mailbox_messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_is_handed_over_and_a_denied_one_refused() {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let carol = stand.add_agent("carol").await;
    let bruno = stand.add_agent("bruno").await;
    let from_aria = stand.send(&aria, json!({ "to": bruno.did, "type": ASK, "body": {} })).await.id;
    let from_carol =
        stand.send(&carol, json!({ "to": bruno.did, "type": ASK, "body": {} })).await.id;
    stand.states(&aria, &from_aria, "accepted").await;
    stand.states(&carol, &from_carol, "accepted").await;
    let waiting: Vec<Value> =
        stand.admin(Method::GET, "/admin/agents/bruno/requests", Value::Null).await;
    assert_eq!(waiting.len(), 2);

    stand.allow(&bruno, &aria.did).await;
    let deny = json!({ "who": carol.did });
    let _relation: Value = stand.admin(Method::POST, "/admin/agents/bruno/deny", deny).await;
    let handed = stand.receive(&bruno, 1).await;
    assert_eq!((handed.len(), handed[0].admitted.as_str()), (1, "approved"));
    let states = stand.states(&carol, &from_carol, "processed").await;
    assert_eq!(states, ["queued", "accepted", "refused"]);
    let waiting: Vec<Value> =
        stand.admin(Method::GET, "/admin/agents/bruno/requests", Value::Null).await;
    assert!(waiting.is_empty());
    assert_eq!(stand.status().await.requests_pending, 0);
}
