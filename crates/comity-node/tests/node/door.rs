//! Who may reach an agent, how far and how much, over real sockets: what the operator enters, and what
//! becomes of a message then. The tables of the policy itself are in `comity-core`.

mod explain;
mod fence;
mod keys;
mod successor;

use std::sync::Arc;

use comity_core::api::{AgentInfo, Delivery, Relation, Trace};
use comity_core::limits::WIDE_ENTRIES_MAX;
use comity_core::trust::{Entry, EntryKind, Level, PolicySettings, Template};
use comity_didcomm::{Message, UnixTime};
use comity_node::Config;
use comity_node::config::AgentSettings;
use comity_store::records::relations;
use comity_store::{Batch, MemoryStore};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand};

const PING: &str = "https://didcomm.org/trust-ping/2.0/ping";
const ASK: &str = "https://example.org/question/1.0/ask";
const OFFER: &str = "https://example.org/proposal/1.0/offer";
const DEPLOY: &str = "https://example.org/deploy/1.0/run";

/// A home with an agent, Bruno, whose protocol `deploy` needs the level of tasks.
struct Door {
    stand: Stand,
    bruno: AgentInfo,
}

impl Door {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let stand = Stand::with(Arc::new(MemoryStore::new()), |config| {
            let deploy = "https://example.org/deploy/1.0".parse().unwrap();
            config.policy.levels.insert(deploy, Level::Task);
            set(config);
        })
        .await;
        let bruno = stand.add_agent("bruno").await;
        Self { stand, bruno }
    }

    /// Enters a decision, or takes one back.
    async fn enter(&self, verb: &str, decision: Value) -> Relation {
        self.stand.admin(Method::POST, &format!("/admin/agents/bruno/{verb}"), decision).await
    }

    async fn allow(&self, peer: &Foreigner, more: Value) -> Relation {
        let mut decision = json!({ "who": peer.did });
        decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.enter("allow", decision).await
    }

    /// Says what becomes of a peer's message: `accepted`, `pending`, or the code of a refusal.
    async fn fate(&self, peer: &Foreigner, id: &str, type_: &str) -> String {
        self.fate_of(peer, &peer.message(id, type_, &self.bruno)).await
    }

    async fn fate_of(&self, peer: &Foreigner, message: &Message) -> String {
        let envelope = peer.seal(&self.stand, message).await;
        assert_eq!(self.stand.post(&envelope).await.0, 202, "it is taken, or refused on record");
        let path = format!("/admin/trace/{}", message.id);
        let traces: Vec<Trace> = self.stand.admin(Method::GET, &path, Value::Null).await;
        let trace = traces.iter().find(|trace| trace.from == peer.did.as_str()).unwrap();
        let rung = &trace.states[0];
        match &rung.code {
            Some(code) => code.clone(),
            None if rung.pending => "pending".to_owned(),
            None => rung.state.clone(),
        }
    }

    /// Takes what lies in Bruno's mailbox, and settles it.
    async fn take(&self, count: usize) -> Vec<Delivery> {
        let taken = self.stand.receive(&self.bruno, count).await;
        let deliveries: Vec<_> = taken.iter().map(|message| message.delivery).collect();
        let ack = json!({ "do": "ack", "deliveries": deliveries });
        assert_eq!(self.stand.settle(&self.bruno, ack).await, count as u64);
        taken
    }

    async fn log_size(&self) -> u64 {
        self.stand.status().await.log_size
    }
}

/// Host and port of a node, as the did:web of its agents have it.
fn authority(agent: &AgentInfo) -> String {
    agent.did.split(':').nth(2).unwrap().replace("%3A", ":")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_agents_of_a_node_are_let_in_by_one_entry_and_nobody_else_is() {
    let (door, other) = (Door::new().await, Stand::new().await);
    let (aria, carla) = (other.add_agent("aria").await, other.add_agent("carla").await);
    let peer = Foreigner::new().await;
    let whom = format!("*@{}", authority(&aria));
    let entered = door.enter("allow", json!({ "who": whom })).await;
    assert_eq!((entered.did, entered.state.as_str()), (whom.clone(), "allowed"));
    for (agent, id) in [(&aria, "a-1"), (&carla, "c-1")] {
        let message = json!({ "id": id, "to": door.bruno.did, "type": ASK });
        other.send(agent, message).await;
    }
    let mut taken = door.take(2).await;
    taken.sort_by(|one, other| one.id.cmp(&other.id));
    for (message, agent) in taken.iter().zip([&aria, &carla]) {
        assert_eq!(message.from, agent.did);
        assert_eq!((message.admitted.as_str(), message.level.as_str()), ("allow-list", "message"));
    }
    assert_eq!(door.fate(&peer, "p-1", ASK).await, "pending");
    // Another port is another node.
    let web = Foreigner::web().await;
    assert_eq!(door.fate(&web, "w-1", ASK).await, "pending");
    // It is taken back by forgetting it, which denies nobody.
    door.enter("revoke", json!({ "who": whom })).await;
    let message = json!({ "id": "a-2", "to": door.bruno.did, "type": ASK });
    other.send(&aria, message).await;
    let rungs = other.states(&aria, "a-2", "accepted").await;
    assert_eq!(rungs, ["queued", "accepted"]);
    assert_eq!(door.stand.status().await.requests_pending, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_too_low_is_told_and_raised_for_the_next_message() {
    let (door, mut peer) = (Door::new().await, Foreigner::new().await);
    let allowed = door.allow(&peer, json!({})).await;
    assert_eq!(allowed.level.as_deref(), Some("message"));
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, "e.m.trust.level");
    let report = peer.receive(&door.stand).await;
    assert_eq!((&report.body["code"], &report.ack[0]), (&json!("e.m.trust.level"), &"m-2".into()));
    let allowed = door.allow(&peer, json!({ "level": "task" })).await;
    assert_eq!(allowed.level.as_deref(), Some("task"));
    assert_eq!(door.fate(&peer, "m-3", DEPLOY).await, "accepted");
    assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, "e.m.trust.level", "the first answer again");
    let taken = door.take(2).await;
    let levels: Vec<_> =
        taken.iter().map(|message| (message.id.as_str(), message.level.as_str())).collect();
    assert_eq!(levels, [("m-1", "message"), ("m-3", "task")]);
    // As far as the named protocols need, if nothing else is said.
    let protocol = "https://example.org/deploy/1.0";
    let allowed = door.allow(&peer, json!({ "protocols": [protocol] })).await;
    assert_eq!(allowed.level.as_deref(), Some("task"));
    assert_eq!(door.fate(&peer, "m-4", ASK).await, "e.m.trust.not-permitted");
    // A name is the same however it is spelled.
    let spelled = "https://example.org/Deploy/1.3/run";
    assert_eq!(door.fate(&peer, "m-5", spelled).await, "accepted");
    door.allow(&peer, json!({ "level": "message" })).await;
    assert_eq!(door.fate(&peer, "m-6", spelled).await, "e.m.trust.level");
    door.allow(&peer, json!({ "level": "introduced" })).await;
    assert_eq!(door.fate(&peer, "m-7", PING).await, "accepted");
    assert_eq!(door.fate(&peer, "m-8", ASK).await, "e.m.trust.level");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_message_of_a_day_is_refused_where_two_are_allowed() {
    let (door, mut peer) = (Door::new().await, Foreigner::new().await);
    door.allow(&peer, json!({ "messages_per_day": 2 })).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted", "a repeat is the same message");
    assert_eq!(door.fate(&peer, "m-2", ASK).await, "accepted");
    assert_eq!(door.fate(&peer, "m-3", ASK).await, "e.m.trust.limit");
    assert_eq!(peer.receive(&door.stand).await.body["code"], "e.m.trust.limit");
    // It is not got around by what its host is allowed, nor by settling what came.
    door.take(2).await;
    assert_eq!(door.fate(&peer, "m-4", ASK).await, "e.m.trust.limit");
    door.allow(&peer, json!({ "messages_per_day": 3 })).await;
    assert_eq!(door.fate(&peer, "m-5", ASK).await, "accepted");
    assert_eq!(door.fate(&peer, "m-6", ASK).await, "e.m.trust.limit");

    let peer = Foreigner::new().await;
    let envelope = peer.seal(&door.stand, &peer.message("b-1", ASK, &door.bruno)).await;
    door.allow(&peer, json!({ "bytes_per_day": 2 * envelope.len() })).await;
    for (id, fate) in [("b-1", "accepted"), ("b-2", "accepted"), ("b-3", "e.m.trust.limit")] {
        assert_eq!(door.fate(&peer, id, ASK).await, fate, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_an_entry_is_about_count_together() {
    let door = Door::with(|config| config.policy.template = Some(Template::Open)).await;
    let (peer, stranger) = (Foreigner::web().await, Foreigner::new().await);
    let whom = format!("*@{}", peer.authority());
    door.enter("allow", json!({ "who": whom, "messages_per_day": 1 })).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    // The policy lets anybody in, but this host no more than this.
    assert_eq!(door.fate(&peer, "m-2", ASK).await, "e.m.trust.limit");
    assert_eq!(door.fate(&stranger, "s-1", ASK).await, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_task_is_refused_until_the_first_is_settled() {
    let (door, peer) = (Door::new().await, Foreigner::new().await);
    door.allow(&peer, json!({ "level": "task", "tasks_open": 1 })).await;
    for (round, how) in ["ack", "refuse"].into_iter().enumerate() {
        let id = |name| format!("{name}-{round}");
        assert_eq!(door.fate(&peer, &id("t"), DEPLOY).await, "accepted");
        assert_eq!(door.fate(&peer, &id("u"), DEPLOY).await, "e.m.trust.limit");
        assert_eq!(door.fate(&peer, &id("m"), ASK).await, "accepted", "what is no task is none");
        let taken = door.stand.receive(&door.bruno, 2).await;
        assert_eq!(
            door.fate(&peer, &id("v"), DEPLOY).await,
            "e.m.trust.limit",
            "being handed over"
        );
        for message in taken {
            let disposition = match how {
                "ack" => json!({ "do": "ack", "deliveries": [message.delivery] }),
                _ => json!({ "do": "refuse", "delivery": message.delivery }),
            };
            assert_eq!(door.stand.settle(&door.bruno, disposition).await, 1);
        }
    }
    assert_eq!(door.fate(&peer, "t-9", DEPLOY).await, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_holds_between_its_times() {
    let (door, peer) = (Door::new().await, Foreigner::new().await);
    for (number, (times, state, fate)) in [
        (json!({ "from": "2099-01-01" }), "planned", "e.m.trust.not-yet"),
        (json!({ "from": "2001-01-01", "until": "2099-01-01" }), "allowed", "accepted"),
        (json!({ "until": "2001-01-01" }), "expired", "e.m.trust.revoked"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(door.allow(&peer, times).await.state, state);
        assert_eq!(door.fate(&peer, &format!("m-{number}"), ASK).await, fate);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_to_a_host_is_denied_whatever_one_of_its_agents_is_allowed() {
    let (door, peer) = (Door::new().await, Foreigner::web().await);
    door.allow(&peer, json!({ "level": "execute" })).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "accepted");
    let whom = format!("*@{}", peer.authority());
    door.enter("deny", json!({ "who": whom })).await;
    assert_eq!(door.fate(&peer, "m-2", ASK).await, "e.m.trust.denied");
    door.allow(&peer, json!({ "level": "execute" })).await;
    assert_eq!(door.fate(&peer, "m-3", ASK).await, "e.m.trust.denied", "the last word or not");
    // An answer is none, either.
    let sent = json!({ "id": "q-1", "to": peer.did, "type": ASK });
    door.stand.send(&door.bruno, sent).await;
    let mut answer = peer.message("m-4", ASK, &door.bruno);
    answer.thid = Some("q-1".to_owned());
    assert_eq!(door.fate_of(&peer, &answer).await, "e.m.trust.denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_obeys_what_has_been_denied_to_many_since_the_request_came() {
    let (door, peer) = (Door::new().await, Foreigner::web().await);
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "pending");
    let whom = format!("*@{}", peer.authority());
    door.enter("deny", json!({ "who": whom })).await;
    let allowed = door.allow(&peer, json!({})).await;
    assert_eq!(allowed.request.as_deref(), Some("e.m.trust.denied"));
    let status = door.stand.status().await;
    assert_eq!((status.requests_pending, status.mailbox_messages), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_says_what_becomes_of_strangers() {
    for (template, message, task) in [
        (Template::Open, "accepted", "pending"),
        (Template::Guarded, "pending", "e.m.trust.pending"),
        (Template::Ants, "pending", "e.m.trust.pending"),
        (Template::Closed, "e.m.trust.closed", "e.m.trust.closed"),
    ] {
        let door = Door::with(|config| config.policy.template = Some(template)).await;
        let peer = Foreigner::new().await;
        assert_eq!(door.fate(&peer, "m-1", ASK).await, message, "{template:?}");
        assert_eq!(door.fate(&peer, "m-2", DEPLOY).await, task, "{template:?}");
        if template == Template::Open {
            let taken = door.take(1).await;
            let facts = (taken[0].admitted.as_str(), taken[0].level.as_str());
            assert_eq!(facts, ("open-policy", "message"));
        }
        door.allow(&peer, json!({ "level": "task" })).await;
        assert_eq!(door.fate(&peer, "m-3", DEPLOY).await, "accepted", "{template:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_have_rules_of_its_own() {
    let door = Door::with(|config| {
        let template = Some(Template::Closed);
        let policy = PolicySettings { template, ..PolicySettings::default() };
        config.agents.insert("carla".to_owned(), AgentSettings { policy });
    })
    .await;
    let carla = door.stand.add_agent("carla").await;
    let peer = Foreigner::new().await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "pending");
    assert_eq!(door.fate_of(&peer, &peer.message("m-2", ASK, &carla)).await, "e.m.trust.closed");
    // What all agents have in common still holds.
    let path = "/admin/agents/carla/allow";
    let _relation: Value = door.stand.admin(Method::POST, path, json!({ "who": peer.did })).await;
    let deploy = peer.message("m-3", DEPLOY, &carla);
    assert_eq!(door.fate_of(&peer, &deploy).await, "e.m.trust.level");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_in_by_an_entry_that_lets_it_in() {
    // Whatever the operator allowed, it was handed over: tasks to whom messages were allowed.
    for (entry, fate) in [
        (json!({ "level": "task" }), "handed-over"),
        (json!({ "protocols": ["https://example.org/deploy/1.0"] }), "handed-over"),
        (json!({}), "e.m.trust.level"),
        (json!({ "protocols": ["https://example.org/proposal/1.0"] }), "e.m.trust.not-permitted"),
        (json!({ "level": "task", "from": "2099-01-01" }), "e.m.trust.not-yet"),
        (json!({ "level": "task", "until": "2001-01-01" }), "e.m.trust.revoked"),
        (json!({ "level": "task", "messages_per_day": 0 }), "e.m.trust.limit"),
    ] {
        let (door, mut peer) = (Door::new().await, Foreigner::new().await);
        assert_eq!(door.fate(&peer, "m-1", DEPLOY).await, "pending");
        let allowed = door.allow(&peer, entry.clone()).await;
        assert_eq!(allowed.request.as_deref(), Some(fate), "{entry}");
        let status = door.stand.status().await;
        assert_eq!(status.requests_pending, 0);
        if fate == "handed-over" {
            let taken = door.take(1).await;
            let facts = (taken[0].admitted.as_str(), taken[0].level.as_str());
            assert_eq!(facts, ("approved", "task"));
        } else {
            assert_eq!(status.mailbox_messages, 0, "{entry}");
            let report = peer.receive(&door.stand).await;
            assert_eq!((&report.body["code"], &report.ack[0]), (&json!(fate), &"m-1".into()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_in_the_log_and_in_force_for_the_next_message() {
    let (door, peer) = (Door::new().await, Foreigner::web().await);
    let host = format!("*@{}", peer.authority());
    let decisions = [
        ("allow", json!({ "who": peer.did }), "accepted"),
        ("revoke", json!({ "who": peer.did }), "e.m.trust.revoked"),
        ("deny", json!({ "who": peer.did }), "e.m.trust.denied"),
        ("allow", json!({ "who": peer.did, "level": "introduced" }), "e.m.trust.level"),
        ("allow", json!({ "who": host, "level": "task" }), "accepted"),
        ("deny", json!({ "who": host }), "e.m.trust.denied"),
        ("revoke", json!({ "who": host }), "e.m.trust.level"),
        ("allow", json!({ "who": peer.did, "outbound": true }), "e.m.trust.level"),
    ];
    for (number, (verb, decision, fate)) in decisions.into_iter().enumerate() {
        let before = door.log_size().await;
        door.enter(verb, decision.clone()).await;
        assert_eq!(door.log_size().await, before + 1, "{verb} {decision}");
        assert_eq!(door.fate(&peer, &format!("m-{number}"), ASK).await, fate, "{verb} {decision}");
        // And so is what came of it: the message, or that it was refused and reported; with the first
        // message, that the peer's document was used.
        let (document, report) = (u64::from(number == 0), u64::from(fate != "accepted"));
        assert_eq!(door.log_size().await, before + 2 + document + report, "{verb} {decision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_says_nothing_is_refused_with_a_hint() {
    let (door, peer) = (Door::new().await, Foreigner::new().await);
    for (wrong, hint) in [
        (json!({ "level": "all" }), "introduced, message, task or execute"),
        (json!({ "level": "blocked" }), "comity deny"),
        (json!({ "from": "tomorrow" }), "YYYY-MM-DD"),
        (json!({ "protocols": ["deploy"] }), "https://example.org"),
        (json!({ "note": "x".repeat(201) }), "200"),
        (json!({ "outbound": true, "tasks_open": 1 }), "--out"),
        (json!({ "outbound": true, "anchor": true }), "--out"),
        (json!({ "who": "*@home.example", "anchor": true }), "DID"),
        (json!({ "anchor": true, "from": "2099-01-01" }), "--from"),
        (json!({ "who": "*@Home.example" }), "*@"),
        (json!({ "who": "*@home.example:0443" }), "*@"),
        (json!({ "who": "*" }), "*@"),
        (json!({ "who": "credential:Employee" }), "credential:TYPE@ISSUER"),
        (json!({ "who": "did:web" }), "DID"),
        (json!({ "messages_per_day": -1 }), ""),
    ] {
        let mut decision = json!({ "who": peer.did });
        decision.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let (status, problem) = door.stand.call_admin("/admin/agents/bruno/allow", &decision).await;
        assert_eq!(status, 400, "{wrong} {problem}");
        let said = format!("{} {}", problem["title"], problem["hint"]);
        assert!(said.contains(hint), "{wrong}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_entries_about_many_than_are_looked_at() {
    // Of more, some were not looked at: denials as well.
    let (door, peer) = (Door::new().await, Foreigner::web().await);
    let agent = door.bruno.did.parse().unwrap();
    let mut batch = Batch::new();
    for number in 0..WIDE_ENTRIES_MAX - 1 {
        let whom = format!("*@host{number}.example").parse().unwrap();
        relations::put(&mut batch, &agent, &Entry::new(whom, EntryKind::Allow, UnixTime(5)));
    }
    door.stand.store().commit(batch).await.unwrap();
    let host = format!("*@{}", peer.authority());
    door.enter("deny", json!({ "who": host })).await;
    assert_eq!(door.fate(&peer, "m-1", ASK).await, "e.m.trust.denied");
    let deny = "/admin/agents/bruno/deny";
    let another = json!({ "who": "*@*.evil.example" });
    let (status, problem) = door.stand.call_admin(deny, &another).await;
    assert_eq!((status, &problem["code"]), (409, &json!("node.entries-full")));
    // One that is there can be changed, and one about one party can be made.
    door.enter("allow", json!({ "who": host })).await;
    door.allow(&peer, json!({})).await;
    door.enter("deny", json!({ "who": "*@*.evil.example", "outbound": true })).await;
    door.enter("revoke", json!({ "who": host })).await;
    assert_eq!(door.stand.call_admin(deny, &another).await.0, 200);
}
