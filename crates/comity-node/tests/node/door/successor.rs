//! A contact that changes its DID and proves it (DIDComm v2.1, "DID Rotation").

use super::keys::CHANGED;
use super::*;

/// A message of a successor's, which shows what its prior DID signed.
fn announced(door: &Door, prior: &Foreigner, now: &Foreigner, id: &str, type_: &str) -> Message {
    let mut message = now.message(id, type_, &door.bruno);
    message.from_prior = Some(prior.succeeded_by(&now.did));
    message
}

impl Door {
    async fn allowed(&self) -> Vec<Relation> {
        self.stand.admin(Method::GET, "/admin/agents/bruno/allowed", Value::Null).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_keeps_what_was_decided_and_the_prior_did_is_a_stranger() {
    let door = Door::new().await;
    let (prior, now, thief) =
        (Foreigner::new().await, Foreigner::new().await, Foreigner::new().await);
    door.allow(&prior, json!({ "level": "task", "note": "Aria" })).await;
    assert_eq!(door.fate(&prior, "m-1", DEPLOY).await, "accepted");
    let before = door.log_size().await;
    let message = announced(&door, &prior, &now, "m-2", DEPLOY);
    assert_eq!(door.fate_of(&now, &message).await, "accepted");
    assert_eq!(door.log_size().await, before + 3, "the message, whose document, the entry");
    let [entry] = &door.allowed().await[..] else { panic!("one entry") };
    assert!(now.did.as_str().starts_with(&entry.did), "by the DID's short form");
    assert_eq!((entry.level.as_deref(), entry.note.as_str()), (Some("task"), "Aria"));
    assert_eq!(door.fate(&now, "m-3", DEPLOY).await, "accepted", "without showing it again");
    assert_eq!(door.fate(&prior, "m-4", ASK).await, "pending");
    // Nobody else can show what was signed for it.
    let mut replayed = thief.message("m-5", ASK, &door.bruno);
    replayed.from_prior.clone_from(&message.from_prior);
    let envelope = thief.seal(&door.stand, &replayed).await;
    assert_eq!(door.stand.post(&envelope).await.0, 400);
    // And whoever shows it twice has no more by it.
    assert_eq!(door.fate_of(&now, &announced(&door, &prior, &now, "m-6", ASK)).await, "accepted");
    assert_eq!(door.allowed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_not_got_around_by_moving_on() {
    let door = Door::new().await;
    let mut peer = Foreigner::new().await;
    door.allow(&peer, json!({ "messages_per_day": 2 })).await;
    assert_eq!(door.fate(&peer, "m-0", ASK).await, "accepted");
    for (number, fate) in ["accepted", "e.m.trust.limit", "e.m.trust.limit"].iter().enumerate() {
        let next = Foreigner::new().await;
        let message = announced(&door, &peer, &next, &format!("n-{number}"), ASK);
        assert_eq!(door.fate_of(&next, &message).await, *fate, "{number}");
        if *fate == "accepted" {
            peer = next;
        }
    }
    assert_eq!(door.fate(&peer, "m-9", ASK).await, "e.m.trust.limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_to_either_did_stays_denied() {
    let door = Door::new().await;
    let (prior, now) = (Foreigner::new().await, Foreigner::new().await);
    door.allow(&prior, json!({ "level": "execute" })).await;
    door.enter("deny", json!({ "who": now.did })).await;
    let message = announced(&door, &prior, &now, "m-1", ASK);
    assert_eq!(door.fate_of(&now, &message).await, "e.m.trust.denied");
    assert_eq!(door.fate(&prior, "m-2", ASK).await, "accepted", "nothing has moved");
    let fresh = Foreigner::new().await;
    door.enter("deny", json!({ "who": prior.did })).await;
    let message = announced(&door, &prior, &fresh, "m-3", ASK);
    assert_eq!(door.fate_of(&fresh, &message).await, "e.m.trust.denied");
    // On the way out, the successor's own denial is not put aside by what the prior DID was allowed.
    let (prior, now) = (Foreigner::new().await, Foreigner::new().await);
    door.allow(&prior, json!({})).await;
    door.allow(&prior, json!({ "outbound": true })).await;
    door.enter("deny", json!({ "who": now.did, "outbound": true })).await;
    let message = announced(&door, &prior, &now, "m-4", ASK);
    assert_eq!(door.fate_of(&now, &message).await, "accepted");
    let send = json!({ "to": now.did });
    let token = crate::support::token(&door.bruno);
    let (status, problem) = door.stand.call(Method::POST, "/v1/messages", token, &send).await;
    assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("send.fenced-in")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_domain_over_hands_on_nothing() {
    for level in ["message", "task"] {
        let (mut door, mut prior) = (Door::new().await, Foreigner::web().await);
        door.allow(&prior, json!({ "level": level })).await;
        assert_eq!(door.fate(&prior, "m-1", ASK).await, "accepted");
        prior.change_keys(2);
        door = door.restarted().await;
        // With the new keys of the domain, to a DID of its own.
        let own = Foreigner::new().await;
        let message = announced(&door, &prior, &own, "m-2", ASK);
        assert_eq!(door.fate_of(&own, &message).await, CHANGED, "{level}");
        let whom = prior.did.to_string();
        assert_eq!(door.allowed().await[0].did, whom, "the entry stays where it was");
        // A DID that nobody knows proves the new keys of the domain no better.
        let mut message = prior.message("m-3", DEPLOY, &door.bruno);
        message.from_prior = Some(Foreigner::new().await.succeeded_by(&prior.did));
        let fate = if level == "task" { CHANGED } else { "e.m.trust.level" };
        assert_eq!(door.fate_of(&prior, &message).await, fate);
        assert_eq!(door.fate(&own, "m-4", ASK).await, "pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_whose_keys_have_changed_may_move_on_when_the_operator_has_asked_it() {
    let (mut door, mut prior) = (Door::new().await, Foreigner::web().await);
    door.allow(&prior, json!({ "level": "task" })).await;
    assert_eq!(door.fate(&prior, "m-1", ASK).await, "accepted");
    prior.change_keys(2);
    door = door.restarted().await;
    let now = Foreigner::new().await;
    let message = announced(&door, &prior, &now, "m-2", DEPLOY);
    assert_eq!(door.fate_of(&now, &message).await, CHANGED);
    let approve = json!({ "who": prior.did });
    let path = "/admin/agents/bruno/contacts/approve";
    assert_eq!(door.stand.call_admin(path, &approve).await.0, 200);
    let message = announced(&door, &prior, &now, "m-3", DEPLOY);
    assert_eq!(door.fate_of(&now, &message).await, "accepted");
    assert_eq!(door.fate(&now, "m-4", DEPLOY).await, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_is_allowed_is_not_handed_on_to_elsewhere() {
    let (door, agent) = (Door::new().await, Foreigner::web().await);
    let whom = format!("*@{}", agent.authority());
    door.enter("allow", json!({ "who": whom, "level": "execute" })).await;
    assert_eq!(door.fate(&agent, "m-1", ASK).await, "accepted");
    let elsewhere = Foreigner::new().await;
    let message = announced(&door, &agent, &elsewhere, "m-2", ASK);
    assert_eq!(door.fate_of(&elsewhere, &message).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_to_a_prior_did_lets_in_neither_it_nor_a_second_successor() {
    // The operator denied the successor, and the same party went on as the prior DID in its old
    // threads, or had ever new DIDs succeed that.
    let door = Door::new().await;
    let (prior, now, second) =
        (Foreigner::new().await, Foreigner::new().await, Foreigner::new().await);
    door.allow(&prior, json!({ "level": "task" })).await;
    let task = json!({ "id": "q-1", "to": prior.did, "type": DEPLOY });
    door.stand.send(&door.bruno, task).await;
    let message = announced(&door, &prior, &now, "m-1", DEPLOY);
    assert_eq!(door.fate_of(&now, &message).await, "accepted");
    door.enter("deny", json!({ "who": now.did })).await;
    let mut message = prior.message("m-2", DEPLOY, &door.bruno);
    message.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&prior, &message).await, "pending");
    let mut message = announced(&door, &prior, &second, "m-3", DEPLOY);
    message.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&second, &message).await, "pending");
    let mut message = announced(&door, &prior, &now, "m-4", DEPLOY);
    message.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&now, &message).await, "e.m.trust.denied");
}
