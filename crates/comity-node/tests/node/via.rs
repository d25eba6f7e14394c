//! Homes behind mediators: nobody connects to them, and every message arrives once all the same.

use std::sync::Arc;

use comity_core::api::{AgentInfo, CheckResult, Invited, Trace};
use comity_core::relay::{Register, RelayPolicy};
use comity_node::{Config, Node, StartError, ViaError};
use comity_store::{MemoryStore, Store};
use http::Method;
use serde_json::{Value, json};

use crate::mediator::Mediator;
use crate::support::{Stand, token};

const ASK: &str = "https://example.org/question/1.0/ask";

/// Starts a relay of ours, which takes on whoever it has invited.
async fn relay() -> Stand {
    Stand::with(Arc::new(MemoryStore::new()), |config| {
        config.relay =
            Some(RelayPolicy { register: Register::Invitation, ..RelayPolicy::default() });
    })
    .await
}

/// Has a relay make an invitation that serves so many.
async fn invite(relay: &Stand, uses: u32) -> String {
    let invite = json!({ "uses": uses });
    let invited: Invited = relay.admin(Method::POST, "/admin/invitations", invite).await;
    invited.url
}

/// Starts a home behind whatever the text names.
async fn home_via(via: String) -> Stand {
    Stand::with(Arc::new(MemoryStore::new()), |config| config.via = Some(via)).await
}

async fn held_by(relay: &Stand) -> u64 {
    relay.status().await.relay.unwrap().messages
}

/// Starts a home behind a mediator.
async fn home(mediator: &Mediator) -> Stand {
    home_via(mediator.did.to_string()).await
}

fn ask(to: &str, id: &str) -> Value {
    json!({ "to": to, "type": ASK, "id": id, "body": {} })
}

async fn acknowledge(stand: &Stand, agent: &AgentInfo, delivery: u64) {
    stand.settle(agent, json!({ "do": "ack", "deliveries": [delivery] })).await;
}

async fn trace(stand: &Stand, agent: &AgentInfo, id: &str) -> Trace {
    let path = format!("/v1/messages/{id}/trace");
    let (_, answer) = stand.call(Method::GET, &path, token(agent), &Value::Null).await;
    serde_json::from_value(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_homes_that_nobody_can_reach_deal_with_each_other_through_their_mediators() {
    let (here, there) = (Mediator::new().await, Mediator::new().await);
    let (a, b) = (home(&here).await, home(&there).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    assert!(aria.did.starts_with("did:peer:4"), "{}", aria.did);

    // A stranger's first message, by an invitation: it waits for the operator like any other.
    let invite = json!({ "agent": "bruno", "goal": "Work together" });
    let invited: Invited = b.admin(Method::POST, "/admin/invitations", invite).await;
    let sent = a.send(&aria, ask(&invited.url, "m-1")).await;
    assert_eq!(a.states(&aria, &sent.id, "accepted").await, ["queued", "accepted"]);
    let known = trace(&a, &aria, &sent.id).await;
    assert_eq!(known.via, Some(there.did.to_string()), "who keeps it is told");
    b.allow(&bruno, &aria.did).await;
    let held = b.receive(&bruno, 1).await.remove(0);
    assert_eq!(held.pthid, Some(invited.id), "it answers the invitation");
    acknowledge(&b, &bruno, held.delivery).await;
    let ladder = ["queued", "accepted", "received", "processed"];
    assert_eq!(a.states(&aria, &sent.id, "processed").await, ladder);

    // The other way, in its thread.
    let mut reply = ask(&aria.did, "m-2");
    reply["thid"] = json!(sent.thid);
    b.send(&bruno, reply).await;
    let received = a.receive(&aria, 1).await.remove(0);
    assert_eq!(received.admitted, "thread");
    acknowledge(&a, &aria, received.delivery).await;
    assert_eq!(b.states(&bruno, "m-2", "processed").await, ladder);
    assert_eq!((a.status().await.outbox_messages, b.status().await.outbox_messages), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_can_be_reached_and_one_that_cannot_understand_each_other() {
    let mediator = Mediator::new().await;
    let (a, b) = (Stand::new().await, home(&mediator).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    a.allow(&aria, &bruno.did).await;
    a.send(&aria, ask(&bruno.did, "m-1")).await;
    acknowledge(&b, &bruno, b.receive(&bruno, 1).await[0].delivery).await;
    assert_eq!(a.states(&aria, "m-1", "processed").await.len(), 4);
    b.send(&bruno, ask(&aria.did, "m-2")).await;
    acknowledge(&a, &aria, a.receive(&aria, 1).await[0].delivery).await;
    assert_eq!(b.states(&bruno, "m-2", "processed").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_at_the_mediator_in_order_and_leave_it_when_they_are_durable_here() {
    let mediator = Mediator::new().await;
    let (a, b) = (Stand::new().await, home(&mediator).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    let b = b.stop().await;
    let ids: Vec<_> = (1..=40).map(|number| format!("m-{number}")).collect();
    for id in &ids {
        a.send(&aria, ask(&bruno.did, id)).await;
    }
    a.until("the outbox is empty", async || a.status().await.outbox_messages == 0).await;
    assert_eq!(mediator.waiting(), 40);
    assert_eq!(trace(&a, &aria, "m-1").await.states.len(), 1, "a mediator's word is no rung");

    let b = b.start().await;
    let received = b.receive(&bruno, 40).await;
    let order: Vec<_> = received.iter().map(|message| message.id.clone()).collect();
    assert_eq!(order, ids);
    for message in received {
        acknowledge(&b, &bruno, message.delivery).await;
    }
    for id in &ids {
        assert_eq!(a.states(&aria, id, "processed").await.len(), 4, "{id}");
    }
    b.until("the mediator holds nothing", async || mediator.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_session_is_opened_again_and_nothing_comes_twice() {
    let mediator = Mediator::new().await;
    let (a, b) = (Stand::new().await, home(&mediator).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    for round in 1..=3 {
        let sessions = mediator.sessions();
        for number in 1..=5 {
            a.send(&aria, ask(&bruno.did, &format!("m-{round}-{number}"))).await;
            if number == 3 {
                mediator.cut_off();
            }
        }
        let received = b.receive(&bruno, 5).await;
        for message in &received {
            acknowledge(&b, &bruno, message.delivery).await;
        }
        b.until("there is a new session", async || sessions < mediator.sessions()).await;
        b.until("the mediator holds nothing", async || mediator.waiting() == 0).await;
        assert_eq!(b.status().await.mailbox_messages, 0, "nothing came twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_has_moved_is_found_by_its_document() {
    // The document that the home had first was kept for as long as it ran, and with it an address
    // where nobody answers.
    let mediator = Mediator::moved().await;
    let home = home(&mediator).await;
    home.until("there is a session", async || 0 < mediator.sessions()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_in_now_stays_at_the_mediator() {
    let mediator = Mediator::new().await;
    let via = mediator.did.to_string();
    let b = Stand::with(Arc::new(MemoryStore::new()), |config| {
        config.via = Some(via);
        config.mailbox_messages_max = 4;
    });
    let (a, b) = (Stand::new().await, b.await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    for number in 1..=4 {
        a.send(&aria, ask(&bruno.did, &format!("m-{number}"))).await;
    }
    // One sender may fill half of the mailbox.
    let mut received = Vec::new();
    while received.len() < 4 {
        for message in b.receive(&bruno, 1).await {
            acknowledge(&b, &bruno, message.delivery).await;
            received.push(message.id);
        }
    }
    received.sort();
    assert_eq!(received, ["m-1", "m-2", "m-3", "m-4"]);
    // And what the homes tell each other of their logs.
    assert!(4 <= mediator.held());
    b.until("the mediator holds nothing", async || mediator.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_behind_a_mediator_stays_there_and_starts_without_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mediator = Mediator::new().await;
    let via = mediator.did.to_string();
    let home = Stand::with(Arc::clone(&store), |config| config.via = Some(via)).await;
    let did = home.node.ready().did.clone();
    let bruno = home.add_agent("bruno").await;
    let mut home = home.stop().await;

    // The setting may be left out from now on.
    home.config.via = None;
    let running = home.start().await;
    assert_eq!(running.node.ready().did, did);
    assert_eq!(running.node.ready().url, mediator.did.to_string(), "there is no listener");
    let checks: Vec<CheckResult> = running.admin(Method::GET, "/admin/checks", Value::Null).await;
    assert!(checks.iter().any(|check| check.name == "relay"), "{checks:?}");
    let late = running.add_agent("late").await;
    running.allow(&late, &bruno.did).await;
    let mut home = running.stop().await;

    home.config.relay = Some(RelayPolicy::default());
    let error = Node::start_on(home.config.clone(), Arc::clone(&store)).await.err().unwrap();
    assert!(matches!(error, StartError::Via(ViaError::IsRelay)), "{error}");
    home.config.relay = None;

    let other = Mediator::new().await;
    home.config.via = Some(other.did.to_string());
    let error = Node::start_on(home.config.clone(), Arc::clone(&store)).await.err().unwrap();
    assert!(matches!(error, StartError::Via(ViaError::OtherRelay { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_with_an_identity_does_not_move_behind_a_relay() {
    let mut home = Stand::new().await.stop().await;
    let mediator = Mediator::new().await;
    home.config.via = Some(mediator.did.to_string());
    let error = Node::start_on(home.config.clone(), home.store()).await.err().unwrap();
    assert!(matches!(error, StartError::Via(ViaError::HasIdentity)), "{error}");
    assert!(error.hint().contains("new directory"), "{}", error.hint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_or_none_is_said_at_the_first_start() {
    let data = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    for via in [
        "did:web:localhost%3A1",
        "nonsense",
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    ] {
        let config = Config {
            listen: any,
            local: any,
            dev: true,
            via: Some(via.to_owned()),
            ..Config::in_directory(data.path())
        };
        let error = Node::start_on(config, Arc::new(MemoryStore::new())).await.err().unwrap();
        assert!(matches!(error, StartError::Via(_)), "{via}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_relay_takes_on_those_whom_it_has_invited_and_no_others() {
    let relay = relay().await;
    let invitation = invite(&relay, 1).await;
    let home = home_via(invitation.clone()).await;
    let did = relay.node.ready().did.clone();
    assert_eq!(home.node.ready().url, did);
    assert_eq!(relay.status().await.relay.unwrap().registrants, 1);

    for via in [invitation, did, relay.node.ready().url.clone()] {
        let mut other = Stand::new().await.stop().await;
        other.config.via = Some(via);
        let fresh: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let error = Node::start_on(other.config.clone(), fresh).await.err().unwrap();
        let StartError::Via(error) = error else { panic!("{error}") };
        assert!(matches!(error, ViaError::NotGranted { .. }), "{error}");
    }
    // Started again, it is known, although the invitation is used up.
    let home = home.stop().await.start().await;
    home.add_agent("bruno").await;
    let is_live = async || relay.status().await.relay.unwrap().live == 1;
    relay.until("the home is connected", is_live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_relay_invites_to_be_used_as_one() {
    let stand = Stand::new().await;
    let admin = stand.admin_token().to_owned();
    let path = "/admin/invitations";
    let (status, problem) = stand.call(Method::POST, path, &admin, &json!({})).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("node.no-relay")));
    let (status, _) = stand.call(Method::POST, path, &admin, &json!({ "agent": "nobody" })).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_can_be_written_to_from_the_moment_it_is_added() {
    let relay = relay().await;
    let invitation = invite(&relay, 2).await;
    let (a, b) = (home_via(invitation.clone()).await, home_via(invitation).await);
    let aria = a.add_agent("aria").await;
    for number in 1..=5 {
        let agent = b.add_agent(&format!("agent-{number}")).await;
        let id = format!("m-{number}");
        a.send(&aria, ask(&agent.did, &id)).await;
        assert_eq!(a.states(&aria, &id, "accepted").await, ["queued", "accepted"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_homes_and_relay_stop_and_start() {
    let relay = relay().await;
    let invitation = invite(&relay, 2).await;
    let (mut a, b) = (home_via(invitation.clone()).await, home_via(invitation).await);
    let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
    b.allow(&bruno, &aria.did).await;
    let mut relay = Some(relay);
    let mut b = Some(b);
    for round in 1..=3 {
        let away = b.take().unwrap().stop().await;
        let ids: Vec<_> = (1..=10).map(|number| format!("m-{round}-{number}")).collect();
        let (early, late) = ids.split_at(5);
        for id in early {
            a.send(&aria, ask(&bruno.did, id)).await;
        }
        a.until("the outbox is empty", async || a.status().await.outbox_messages == 0).await;
        assert_eq!(held_by(relay.as_ref().unwrap()).await, 5);
        let stopped = relay.take().unwrap().stop().await;
        // The relay is away: these wait in the outbox, also when the home is started again.
        for id in late {
            a.send(&aria, ask(&bruno.did, id)).await;
        }
        a = a.stop().await.start().await;
        relay = Some(stopped.start().await);
        let back = away.start().await;
        let mut received = Vec::new();
        while received.len() < ids.len() {
            for message in back.receive(&bruno, 1).await {
                acknowledge(&back, &bruno, message.delivery).await;
                received.push(message.id);
            }
        }
        received.sort();
        let mut expected = ids.clone();
        expected.sort();
        assert_eq!(received, expected);
        for id in &ids {
            assert_eq!(a.states(&aria, id, "processed").await.len(), 4, "{id}");
        }
        let relay = relay.as_ref().unwrap();
        relay.until("the relay holds nothing", async || held_by(relay).await == 0).await;
        assert_eq!(back.status().await.mailbox_messages, 0, "nothing came twice");
        b = Some(back);
    }
}
