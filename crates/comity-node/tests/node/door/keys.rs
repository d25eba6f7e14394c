//! Keys of did:web contacts, which are pinned: whoever takes a domain over has other keys, and is
//! another (threat T23).

use comity_core::api::ContactInfo;
use comity_core::trust::Contact;
use comity_store::records::contacts;

use super::*;

pub(super) const CHANGED: &str = "e.p.trust.key-changed";

impl Door {
    async fn contacts(&self) -> Vec<ContactInfo> {
        self.stand.admin(Method::GET, "/admin/agents/bruno/contacts", Value::Null).await
    }

    async fn contact(&self, did: &str) -> ContactInfo {
        self.contacts().await.into_iter().find(|contact| contact.did == did).unwrap()
    }

    /// Forgets documents that were fetched, so that they are fetched again.
    pub(super) async fn restarted(self) -> Self {
        Self { stand: self.stand.restart().await, bruno: self.bruno }
    }

    async fn approve(&self, approve: Value) -> (u16, Value) {
        self.stand.call_admin("/admin/agents/bruno/contacts/approve", &approve).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_of_a_contact_that_may_hand_over_tasks_wait_for_the_operator() {
    let (mut door, mut peer) = (Door::new().await, Foreigner::web().await);
    let did = peer.did.to_string();
    door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(door.fate(&peer, "m-1", DEPLOY).await, "accepted");
    let pinned = door.contact(&did).await;
    assert_eq!((pinned.keys.len(), pinned.changed_at), (2, None));
    let (status, problem) = door.approve(json!({ "who": did })).await;
    assert_eq!(status, 404, "nothing waits: {problem}");

    peer.change_keys(2);
    door = door.restarted().await;
    // At no level, and in no thread.
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, CHANGED);
    assert_eq!(door.fate(&peer, "m-3", PING).await, CHANGED);
    let sent = json!({ "id": "q-1", "to": did, "type": ASK });
    door.stand.send(&door.bruno, sent).await;
    let mut answer = peer.message("m-4", ASK, &door.bruno);
    answer.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&peer, &answer).await, CHANGED);
    let changed = door.contact(&did).await;
    assert_eq!(changed.keys, pinned.keys);
    assert_eq!(changed.changed_keys.len(), 2);
    assert!(changed.changed_at.is_some());

    // Those who have the keys that the operator did not ask about are not let in by his approval.
    peer.change_keys(3);
    door = door.restarted().await;
    assert_eq!(door.fate(&peer, "m-5", DEPLOY).await, CHANGED);
    let asked_about = json!({ "who": did, "keys": changed.changed_keys });
    let (status, problem) = door.approve(asked_about).await;
    assert_eq!((status, &problem["code"]), (409, &json!("node.other-keys")));
    let latest = door.contact(&did).await.changed_keys;
    let before = door.log_size().await;
    let (status, approved) = door.approve(json!({ "who": did, "keys": latest })).await;
    assert_eq!((status, &approved["keys"]), (200, &json!(latest)));
    assert_eq!(door.log_size().await, before + 1, "a decision is logged");
    assert_eq!(door.fate(&peer, "m-6", DEPLOY).await, "accepted");
    assert_eq!(door.contact(&did).await.changed_at, None);
    door.take(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_that_pass_at_a_low_level_wait_when_more_is_allowed() {
    let (mut door, mut peer) = (Door::new().await, Foreigner::web().await);
    door.allow(&peer, json!({})).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    peer.change_keys(2);
    door = door.restarted().await;
    assert_eq!(door.fate(&peer, "m-2", ASK).await, "accepted");
    assert!(door.contact(peer.did.as_str()).await.changed_at.is_some(), "it is told all the same");
    door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(door.fate(&peer, "m-3", ASK).await, CHANGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_to_be_others_also_while_the_document_of_before_is_remembered() {
    let (door, mut peer) = (Door::new().await, Foreigner::web().await);
    door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(door.fate(&peer, "m-1", DEPLOY).await, "accepted");
    peer.change_keys(2);
    let envelope = peer.seal(&door.stand, &peer.message("m-2", DEPLOY, &door.bruno)).await;
    // A document may be fetched again a second after it was fetched.
    door.stand
        .until("the document is looked up again", async || {
            door.stand.post(&envelope).await.0 == 202
        })
        .await;
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, CHANGED, "the first answer");
    assert_eq!(door.stand.status().await.mailbox_messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_approved_request_are_pinned() {
    let (mut door, mut peer) = (Door::new().await, Foreigner::web().await);
    assert_eq!(door.fate(&peer, "m-1", DEPLOY).await, "pending");
    assert!(door.contacts().await.is_empty());
    door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(door.contact(peer.did.as_str()).await.keys.len(), 2);
    // Whoever takes the domain between the approval and the next message was let in.
    peer.change_keys(2);
    door = door.restarted().await;
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, CHANGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_known_since_its_first_message() {
    // One whose keys are not pinned was made anew with every message.
    let (door, peer) = (Door::new().await, Foreigner::new().await);
    door.allow(&peer, json!({})).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    let (store, agent) = (door.stand.store(), door.bruno.did.parse().unwrap());
    let known = contacts::contact(store.as_ref(), &agent, &peer.did).await.unwrap().unwrap();
    assert!(known.keys.is_empty(), "its DID tells them");
    let long_ago = Contact { since: UnixTime(1_000_000_000), ..known };
    let mut batch = Batch::new();
    contacts::put(&mut batch, &agent, &long_ago);
    store.commit(batch).await.unwrap();
    assert_eq!(door.fate(&peer, "m-2", ASK).await, "accepted");
    let since = door.contacts().await[0].since.clone();
    assert_eq!(since, "2001-09-09T01:46:40Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_other_keys_of_a_contact_is_not_handed_over_by_allowing_its_did() {
    // A contact of a thread has no entry. Whoever took its domain knocked as a stranger, and the
    // operator, who knew the DID, let it have tasks.
    let (mut door, mut peer) = (Door::new().await, Foreigner::web().await);
    let sent = json!({ "id": "q-1", "to": peer.did, "type": ASK });
    door.stand.send(&door.bruno, sent).await;
    let mut answer = peer.message("m-1", ASK, &door.bruno);
    answer.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&peer, &answer).await, "accepted");
    door.take(1).await;
    peer.change_keys(2);
    door = door.restarted().await;
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, "pending");
    let events = serde_json::to_value(door.stand.first_events(2).await).unwrap();
    let alarms = |event: &&Value| event["type"] == "key-changed";
    let alarm = events.as_array().unwrap().iter().find(alarms).unwrap();
    assert_eq!(alarm["ruling"], "needs-approval");

    let allow = json!({ "who": peer.did, "level": "task" });
    let (status, problem) = door.stand.call_admin("/admin/agents/bruno/allow", &allow).await;
    assert_eq!((status, &problem["code"]), (409, &json!("node.other-keys")));
    assert!(problem["hint"].as_str().unwrap().contains("comity contacts approve WHO"));
    let status = door.stand.status().await;
    assert_eq!((status.requests_pending, status.mailbox_messages), (1, 0));

    assert_eq!(door.approve(json!({ "who": peer.did })).await.0, 200);
    door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(door.take(1).await[0].id, "m-2");
}
