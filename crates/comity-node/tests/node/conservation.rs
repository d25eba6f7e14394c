//! Counters equal rows, and every end of a message frees its place (invariants I2, I3, I7).

use std::sync::Arc;

use comity_store::MemoryStore;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand, token};

const ASK: &str = "https://example.org/question/1.0/ask";

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_refused_and_expired_messages_each_free_their_place_once() {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let bruno = stand.add_agent("bruno").await;
    stand.allow(&bruno, &aria.did).await;
    // Three times over the same state (I6).
    for round in 0..3 {
        let message = |name: &str| {
            let id = format!("{name}-{round}");
            json!({ "to": bruno.did, "type": ASK, "id": id, "body": {} })
        };
        let acknowledged = stand.send(&aria, message("ack")).await.id;
        let refused = stand.send(&aria, message("refuse")).await.id;
        let handed = stand.receive(&bruno, 2).await;
        assert_eq!(stand.status().await.mailbox_messages, 2);

        let delivery = |id: &str| handed.iter().find(|one| one.id == id).unwrap().delivery;
        let ack = json!({ "do": "ack", "deliveries": [delivery(&acknowledged)] });
        let refuse = json!({ "do": "refuse", "delivery": delivery(&refused), "reason": "no time" });
        for _twice in 0..2 {
            assert_eq!(stand.settle(&bruno, ack.clone()).await, 1);
            assert_eq!(stand.settle(&bruno, refuse.clone()).await, 1);
        }
        // Nobody takes this one; whether it expires before or after it reached the mailbox is the same.
        let mut short = message("expire");
        short["expires_in_s"] = json!(1);
        let expired = stand.send(&aria, short).await.id;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_turns_messages_away_until_there_is_room() {
    let stand =
        Stand::with(Arc::new(MemoryStore::new()), |config| config.mailbox_messages_max = 4).await;
    let bruno = stand.add_agent("bruno").await;
    let (loud, quiet) = (Foreigner::new().await, Foreigner::new().await);
    for peer in [&loud, &quiet] {
        stand.allow(&bruno, peer.did.as_str()).await;
    }
    let mut envelopes = Vec::new();
    for number in 0..3 {
        envelopes.push(loud.seal(&stand, &loud.message(&format!("m-{number}"), ASK, &bruno)).await);
    }
    // One sender gets half of the mailbox; the rest is left to others.
    assert_eq!(stand.post(&envelopes[0]).await.0, 202);
    assert_eq!(stand.post(&envelopes[1]).await.0, 202);
    for _again in 0..2 {
        let (status, code) = stand.post(&envelopes[2]).await;
        let full = (429, Some("e.m.me.res.storage.quota"));
        assert_eq!((status.as_u16(), code.as_deref()), full);
    }
    let other = quiet.seal(&stand, &quiet.message("m-1", ASK, &bruno)).await;
    assert_eq!(stand.post(&other).await.0, 202);
    let handed = stand.receive(&bruno, 3).await;
    let first = handed.iter().find(|one| one.id == "m-0").unwrap().delivery;
    stand.settle(&bruno, json!({ "do": "ack", "deliveries": [first] })).await;
    assert_eq!(stand.post(&envelopes[2]).await.0, 202, "there is room again");
    assert_eq!(stand.status().await.mailbox_messages, 3);
}
