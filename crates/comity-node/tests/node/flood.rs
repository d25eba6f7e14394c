//! A crowd of strangers at an agent that has friends: nobody's message is taken before it is paid for,
//! what is paid for has a bounded place, and the friends notice nothing. How long anything takes is for
//! `comity bench --flood`.

use std::sync::Arc;

use comity_core::api::{AgentInfo, Problem};
use comity_core::trust::{Challenge, Solving};
use comity_store::{KeyRange, Keyspace, MemoryStore};
use http::Method;
use serde_json::{Value, json};

use crate::relay_client::Client;
use crate::support::Stand;

const OFFER: &str = "https://example.org/proposal/1.0/offer";
/// Strangers that come, each under a name of its own.
const STRANGERS: usize = 300;
/// As many messages as the mailbox takes; requests have a twentieth of it.
const MAILBOX: u32 = 400;
const POOL: usize = 20;
const FRIENDS: usize = 3;
const BITS: u8 = 2;

/// A home whose agent demands work of strangers.
async fn flooded() -> (Stand, AgentInfo) {
    let store = Arc::new(MemoryStore::new());
    let stand = Stand::with(store, |config| {
        config.policy.work_bits = Some(BITS);
        config.mailbox_messages_max = MAILBOX;
    })
    .await;
    let bruno = stand.add_agent("bruno").await;
    (stand, bruno)
}

async fn rows(stand: &Stand) -> usize {
    let mut count = 0;
    for keyspace in [Keyspace::Body, Keyspace::Index, Keyspace::Log, Keyspace::Meta] {
        let mut rows = stand.store().read(keyspace, KeyRange::all(), usize::MAX).await.unwrap();
        // Checkpoints, and the heads that are signed with them, come with the clock.
        rows.retain(|row| keyspace != Keyspace::Log || row.key.len() == 8 || row.key[0] == b's');
        count += rows.len();
    }
    count
}

async fn requests(stand: &Stand) -> usize {
    let path = "/admin/agents/bruno/requests";
    stand.admin::<Vec<Value>>(Method::GET, path, Value::Null).await.len()
}

fn solve(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap();
    let challenge: Challenge = serde_json::from_value(answer["work"].clone()).unwrap();
    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
    std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_strangers_keeps_no_friend_away_and_fills_no_more_than_its_pool() {
    let (stand, bruno) = flooded().await;
    let document = stand.document(&bruno.did.parse().unwrap()).await;
    let friends: Vec<_> = (0..FRIENDS).map(|_| Client::new()).collect();
    for friend in &friends {
        stand.allow(&bruno, friend.did.as_str()).await;
    }
    let before = rows(&stand).await;
    let mut sent = Vec::new();

    // First they come with empty hands.
    let strangers: Vec<_> = (0..STRANGERS).map(|_| Client::new()).collect();
    let mut held = 0;
    for (number, stranger) in strangers.iter().enumerate() {
        let letter = stranger.signed_letter(&document, OFFER, &format!("s-{number}"));
        let (status, _) = stand.exchange(&letter).await;
        assert_eq!(status, 402, "nothing is taken unpaid");
        if number % 10 == 0 {
            assert_eq!(rows(&stand).await, before + held, "nothing is kept unpaid");
            let friend = &friends[number / 10 % FRIENDS];
            let id = format!("f-{number}");
            let letter = friend.signed_letter(&document, OFFER, &id);
            assert_eq!(stand.post(&letter).await.0, 202);
            sent.push(id);
            held = rows(&stand).await - before;
        }
    }
    assert_eq!(requests(&stand).await, 0);

    // Then every one of them pays, as far as there is room.
    let mut taken = 0;
    for (number, stranger) in strangers.iter().enumerate() {
        let letter = stranger.signed_letter(&document, OFFER, &format!("p-{number}"));
        let (status, body) = stand.exchange(&letter).await;
        assert!(!status.is_success(), "nothing is taken unpaid, nor when the pool is full");
        if status == 402 {
            let (status, _) = stand.exchange_for(&letter, Some(&solve(&body))).await;
            assert_eq!(status, 202);
            taken += 1;
        } else {
            let problem: Problem = serde_json::from_slice(&body).unwrap();
            assert_eq!((problem.status, problem.code.as_str()), (429, FULL));
        }
        if number % 10 == 0 {
            let id = format!("g-{number}");
            let letter = friends[number / 10 % FRIENDS].signed_letter(&document, OFFER, &id);
            assert_eq!(stand.post(&letter).await.0, 202);
            sent.push(id);
        }
    }
    assert_eq!((taken, requests(&stand).await), (POOL, POOL));
    let full = rows(&stand).await;
    for (number, stranger) in strangers.iter().enumerate().skip(POOL) {
        let letter = stranger.signed_letter(&document, OFFER, &format!("q-{number}"));
        assert_eq!(stand.post(&letter).await.1.as_deref(), Some(FULL));
    }
    assert_eq!(rows(&stand).await, full, "who comes when it is full leaves nothing behind");

    let mut ids = Vec::new();
    while ids.len() < sent.len() {
        for message in stand.receive(&bruno, 1).await {
            stand.settle(&bruno, json!({ "do": "ack", "deliveries": [message.delivery] })).await;
            ids.push(message.id);
        }
    }
    assert_eq!(ids, sent, "every friend's message came, in order, and nobody else's");
    assert!(stand.receive_none(&bruno).await);
}

const FULL: &str = "e.m.me.res.storage.quota";
