//! Whom an agent may write to, and how much: what its operator enters with `--out`, and the rule that
//! only those may be written to who are listed.

use comity_core::trust::OutboundRule;
use comity_didcomm::Endpoint;
use tokio::net::TcpListener;

use super::*;
use crate::support::token;

/// Sends a message of Bruno's: the state, or status and code of why not.
async fn send(door: &Door, message: Value) -> String {
    let (status, answer) =
        door.stand.call(Method::POST, "/v1/messages", token(&door.bruno), &message).await;
    match answer["code"].as_str() {
        Some(code) => format!("{} {code}", status.as_u16()),
        None => answer["state"].as_str().unwrap().to_owned(),
    }
}

async fn listed() -> Door {
    Door::with(|config| config.policy.outbound = Some(OutboundRule::Listed)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_written_to_who_is_denied() {
    let (door, mut peer) = (Door::new().await, Foreigner::web().await);
    assert_eq!(send(&door, json!({ "id": "m-1", "to": peer.did })).await, "queued");
    assert_eq!(peer.receive(&door.stand).await.id.as_str(), "m-1");
    for whom in [peer.did.to_string(), format!("*@{}", peer.authority())] {
        let denied = door.enter("deny", json!({ "who": whom, "outbound": true })).await;
        assert!(denied.outbound && denied.state == "denied");
        let refused = send(&door, json!({ "to": peer.did })).await;
        assert_eq!(refused, "403 send.fenced-in", "{whom}");
        let fate = door.fate(&peer, &format!("p-{}", whom.len()), ASK).await;
        assert_ne!(fate, "e.m.trust.denied", "it is about one way");
        let again = send(&door, json!({ "id": "m-1", "to": peer.did })).await;
        assert!(!again.contains("403"), "what was sent gets its first answer: {again}");
        door.enter("revoke", json!({ "who": whom, "outbound": true })).await;
    }
    assert_eq!(send(&door, json!({ "id": "m-2", "to": peer.did })).await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_are_listed_are_written_to_and_those_who_wrote_first() {
    let (door, mut peer) = (listed().await, Foreigner::new().await);
    let first = json!({ "id": "m-1", "to": peer.did });
    assert_eq!(send(&door, first.clone()).await, "403 send.fenced-in");
    // What is allowed on the way in is not allowed on the way out.
    door.allow(&peer, json!({})).await;
    assert_eq!(send(&door, first.clone()).await, "403 send.fenced-in");
    assert_eq!(door.fate(&peer, "p-1", ASK).await, "accepted");
    door.take(1).await;
    for (message, expected) in [
        (json!({ "id": "a-1", "to": peer.did, "thid": "p-1" }), "queued"),
        (json!({ "id": "a-2", "to": peer.did, "pthid": "p-1" }), "queued"),
        (json!({ "id": "a-3", "to": peer.did, "thid": "p-2" }), "403 send.fenced-in"),
        (json!({ "id": "a-4", "to": peer.did, "thid": "a-1" }), "403 send.fenced-in"),
    ] {
        assert_eq!(send(&door, message.clone()).await, expected, "{message}");
    }
    let other = Foreigner::new().await;
    let aside = json!({ "id": "a-5", "to": other.did, "thid": "p-1" });
    assert_eq!(send(&door, aside).await, "403 send.fenced-in", "a thread with somebody else");
    assert_eq!(peer.receive(&door.stand).await.thid.as_deref(), Some("p-1"));
    door.allow(&peer, json!({ "outbound": true })).await;
    assert_eq!(send(&door, first).await, "queued");
    let task = json!({ "id": "m-2", "to": peer.did, "type": DEPLOY });
    assert_eq!(send(&door, task.clone()).await, "403 send.fenced-in", "not for tasks");
    door.allow(&peer, json!({ "outbound": true, "level": "task" })).await;
    assert_eq!(send(&door, task).await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_approved_is_answered_also_by_who_is_fenced_in() {
    let (door, peer) = (listed().await, Foreigner::new().await);
    assert_eq!(door.fate(&peer, "p-1", ASK).await, "pending");
    let answer = json!({ "id": "a-1", "to": peer.did, "thid": "p-1" });
    assert_eq!(send(&door, answer.clone()).await, "403 send.fenced-in", "it has not had it");
    door.allow(&peer, json!({})).await;
    door.take(1).await;
    assert_eq!(send(&door, answer).await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_the_way_out_are_told_and_counted_once_a_message() {
    let (door, mut peer) = (listed().await, Foreigner::new().await);
    door.allow(&peer, json!({ "outbound": true, "messages_per_day": 2 })).await;
    for (id, expected) in
        [("m-1", "queued"), ("m-2", "queued"), ("m-3", "429 send.limit"), ("m-4", "429 send.limit")]
    {
        assert_eq!(send(&door, json!({ "id": id, "to": peer.did })).await, expected, "{id}");
    }
    // The last one may have been lost on the way back to the agent, who says it again.
    let again = send(&door, json!({ "id": "m-2", "to": peer.did })).await;
    assert!(!again.contains("429"), "{again}");
    let other = json!({ "id": "m-2", "to": peer.did, "body": { "content": "another" } });
    assert_eq!(send(&door, other).await, "409 send.id-reuse");
    let got = [peer.receive(&door.stand).await.id, peer.receive(&door.stand).await.id];
    let mut got = got.map(|id| id.to_string());
    got.sort();
    assert_eq!(got, ["m-1", "m-2"]);

    let peer = Foreigner::new().await;
    door.allow(&peer, json!({ "outbound": true, "bytes_per_day": 1_000 })).await;
    let of = |id: &str, bytes| json!({ "id": id, "to": peer.did, "body": { "content": "x".repeat(bytes) } });
    assert_eq!(send(&door, of("b-1", 900)).await, "queued");
    assert_eq!(send(&door, of("b-2", 900)).await, "429 send.limit");
    assert_eq!(send(&door, of("b-3", 60)).await, "queued");
    // Many at once do not get around it, and are told the same.
    let peer = Foreigner::new().await;
    door.allow(&peer, json!({ "outbound": true, "messages_per_day": 3 })).await;
    let sends = (0..12).map(|number| {
        let message = json!({ "id": format!("c-{number}"), "to": peer.did });
        let door = &door;
        async move { send(door, message).await }
    });
    let mut answers = futures_util::future::join_all(sends).await;
    answers.sort();
    assert_eq!(answers[..9], ["429 send.limit"; 9]);
    assert_eq!(answers[9..], ["queued"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_from_an_agent_that_is_fenced_in_by_a_look_up() {
    // What an agent may not write it could put into a DID or a handle, which the home then asked
    // for at the host that it names.
    let door = listed().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap();
    let mut spy = Foreigner::on(listener, &[Endpoint::new("http://localhost/in")]);
    let did = format!("did:web:127.0.0.1%3A{}:the-secret", authority.port());
    let handle = format!("the-secret@{authority}");
    for to in [&did, &handle] {
        for more in [json!({}), json!({ "thid": "m-1" }), json!({ "id": "m-1" })] {
            let mut message = json!({ "to": to });
            message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(send(&door, message).await, "403 send.fenced-in");
        }
    }
    assert!(spy.has_nothing());
    // Where its operator lets it write, it may ask.
    let whom = format!("*@{authority}");
    door.enter("allow", json!({ "who": whom, "outbound": true })).await;
    for to in [&did, &handle] {
        assert_eq!(send(&door, json!({ "to": to })).await, "422 send.unresolvable");
    }
    assert!(0 < spy.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_home_says_itself_is_not_fenced_in() {
    let (door, mut peer) = (listed().await, Foreigner::new().await);
    door.enter("deny", json!({ "who": peer.did, "outbound": true })).await;
    door.allow(&peer, json!({})).await;
    let mut message = peer.message("m-1", ASK, &door.bruno);
    message.please_ack = vec![String::new()];
    assert_eq!(door.fate_of(&peer, &message).await, "accepted");
    // It is handed over, and not settled: that may be acknowledged once more.
    door.stand.receive(&door.bruno, 1).await;
    assert_eq!(peer.receive(&door.stand).await.ack, ["m-1"]);
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, "e.m.trust.level");
    assert_eq!(peer.receive(&door.stand).await.body["code"], "e.m.trust.level");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_nothing_of_the_agents_to_whom_it_may_say_nothing() {
    // The reason for a refusal is the agent's own words, and the home's report carried them out.
    let (door, mut peer) = (Door::new().await, Foreigner::new().await);
    door.allow(&peer, json!({})).await;
    for (id, denied, code, comment) in
        [("m-1", false, "e.m.the-secret", "the secret"), ("m-2", true, "e.m.refused", "")]
    {
        if denied {
            door.enter("deny", json!({ "who": peer.did, "outbound": true })).await;
        }
        assert_eq!(door.fate(&peer, id, ASK).await, "accepted");
        let delivery = door.stand.receive(&door.bruno, 1).await[0].delivery;
        let refuse = json!({
            "do": "refuse", "delivery": delivery, "code": "e.m.the-secret", "reason": "the secret"
        });
        assert_eq!(door.stand.settle(&door.bruno, refuse).await, 1);
        let report = peer.receive(&door.stand).await;
        assert_eq!(report.ack, [id], "it is told that it was refused");
        assert_eq!(report.body["code"], code);
        assert_eq!(report.body["comment"].as_str().unwrap_or_default(), comment);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_way_out_is_not_got_around_by_another_protocol() {
    let (door, peer) = (Door::new().await, Foreigner::web().await);
    for whom in [peer.did.to_string(), format!("*@{}", peer.authority())] {
        let allow = json!({ "who": whom, "outbound": true, "messages_per_day": 1 });
        door.enter("allow", allow).await;
        let message = |name: &str, type_: &str| json!({ "id": format!("{name}-{}", whom.len()), "to": peer.did, "type": type_ });
        assert_eq!(send(&door, message("m", ASK)).await, "queued");
        assert_eq!(send(&door, message("n", ASK)).await, "429 send.limit");
        assert_eq!(send(&door, message("t", DEPLOY)).await, "403 send.fenced-in");
        door.enter("revoke", json!({ "who": whom, "outbound": true })).await;
    }
}
