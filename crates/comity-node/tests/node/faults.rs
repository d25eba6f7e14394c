//! A store that fails: nobody is told that something was kept that was not, and nothing else is
//! lost.

use std::sync::Arc;

use comity_store::{FaultyStore, MemoryStore, Moment, StoreFault};
use http::Method;
use serde_json::json;

use crate::support::{Foreigner, Stand, token};

const ASK: &str = "https://example.org/question/1.0/ask";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_turns_messages_away_for_the_moment_and_loses_nothing() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let stand = Stand::on(Arc::clone(&store) as _).await;
    let bruno = stand.add_agent("bruno").await;
    let peer = Foreigner::new().await;
    stand.allow(&bruno, peer.did.as_str()).await;
    for (round, moment) in
        [Moment::BeforeCommit, Moment::AfterCommit, Moment::BeforeCommit].into_iter().enumerate()
    {
        let message = peer.message(&format!("m-{round}"), ASK, &bruno);
        let envelope = peer.seal(&stand, &message).await;
        store.fail_next(StoreFault::Full, moment);
        let (status, code) = stand.post(&envelope).await;
        assert_eq!((status.as_u16(), code.as_deref()), (503, Some("e.p.me.res")));
        // The peer tries again; whether or not the first attempt was kept after all, the agent has
        // it once.
        assert_eq!(stand.post(&envelope).await.0, 202);
    }
    let mut handed = stand.receive(&bruno, 3).await;
    handed.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<_> = handed.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["m-0", "m-1", "m-2"]);
    assert_eq!(stand.status().await.mailbox_messages, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_not_told_that_a_message_is_queued_that_is_not() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let stand = Stand::on(Arc::clone(&store) as _).await;
    let aria = stand.add_agent("aria").await;
    let message = json!({ "to": aria.did, "type": ASK, "id": "m-1", "body": {} });
    store.fail_next(StoreFault::Full, Moment::BeforeCommit);
    let (status, answer) = stand.call(Method::POST, "/v1/messages", token(&aria), &message).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (503, Some("send.unavailable")));
    assert_eq!(stand.send(&aria, message.clone()).await.id, "m-1");
    // The same wish again is the same message; another one under its id is refused.
    assert_eq!(stand.send(&aria, message.clone()).await.id, "m-1");
    let other = json!({ "to": aria.did, "type": ASK, "id": "m-1", "body": { "n": 2 } });
    let (status, answer) = stand.call(Method::POST, "/v1/messages", token(&aria), &other).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (409, Some("send.id-reuse")));
}
