//! `comity trust explain` says what becomes of a message, because it asks what decides about messages.

use comity_core::api::Explained;

use super::*;

impl Door {
    async fn explain(&self, peer: &Foreigner, protocol: &str) -> Explained {
        let who = peer.did.as_str().replace('%', "%25");
        let path = format!("/admin/agents/bruno/explain?who={who}&protocol={protocol}");
        self.stand.admin(Method::GET, &path, Value::Null).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_explained_is_what_happens() {
    let host = |verb: &'static str, more: Value| (verb, "host", more);
    let peer = |verb: &'static str, more: Value| (verb, "peer", more);
    let relations = [
        ("stranger", vec![]),
        ("allowed", vec![peer("allow", json!({}))]),
        ("allowed tasks", vec![peer("allow", json!({ "level": "task" }))]),
        ("introduced", vec![peer("allow", json!({ "level": "introduced" }))]),
        (
            "allowed to propose",
            vec![peer("allow", json!({ "protocols": ["https://example.org/proposal/1.0"] }))],
        ),
        ("planned", vec![peer("allow", json!({ "from": "2099-01-01" }))]),
        ("run out", vec![peer("allow", json!({ "until": "2001-01-01" }))]),
        ("used up", vec![peer("allow", json!({ "messages_per_day": 0 }))]),
        ("no task", vec![peer("allow", json!({ "level": "task", "tasks_open": 0 }))]),
        ("denied", vec![peer("deny", json!({}))]),
        ("revoked", vec![peer("revoke", json!({}))]),
        ("its host allowed", vec![host("allow", json!({ "level": "task" }))]),
        ("its host denied", vec![peer("allow", json!({})), host("deny", json!({}))]),
        ("allowed on the way out", vec![peer("allow", json!({ "outbound": true }))]),
    ];
    for template in [Template::Open, Template::Guarded, Template::Closed] {
        let door = Door::with(|config| config.policy.template = Some(template)).await;
        for (name, decisions) in &relations {
            for (protocol, type_) in [
                ("https://didcomm.org/trust-ping/2.0", PING),
                ("https://example.org/question/1.0", ASK),
                ("https://example.org/proposal/1.0", OFFER),
                ("https://example.org/deploy/1.0", DEPLOY),
            ] {
                let sender = Foreigner::web().await;
                for (verb, whom, more) in decisions {
                    let whom = match *whom {
                        "host" => format!("*@{}", sender.authority()),
                        _ => sender.did.to_string(),
                    };
                    let mut decision = json!({ "who": whom });
                    decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                    door.enter(verb, decision).await;
                }
                let explained = door.explain(&sender, protocol).await;
                let id = format!("m-{}", sender.authority().replace(':', "-"));
                let fate = door.fate(&sender, &id, type_).await;
                let cell = format!("{template:?}, {name}, {protocol}: {explained:?}");
                assert!(!explained.why.is_empty(), "{cell}");
                match explained.decision.as_str() {
                    "allow" => {
                        assert_eq!(fate, "accepted", "{cell}");
                        let taken = door.take(1).await;
                        assert_eq!(Some(&taken[0].admitted), explained.ground.as_ref(), "{cell}");
                        assert_eq!(taken[0].level, explained.level, "{cell}");
                    }
                    "hold" => assert_eq!(fate, "pending", "{cell}"),
                    "refuse" => {
                        assert_eq!(Some(fate), explained.ground, "{cell}");
                        assert!(!explained.changes.is_empty(), "{cell}");
                    }
                    other => panic!("{other}, {cell}"),
                }
                // A request does not stand in the way of the next stranger's.
                if explained.decision == "hold" {
                    door.enter("deny", json!({ "who": sender.did })).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_and_a_request_that_waits_are_explained() {
    let (mut door, mut peer) = (Door::new().await, Foreigner::web().await);
    let protocol = "https://example.org/deploy/1.0";
    assert_eq!(door.fate(&peer, "m-1", DEPLOY).await, "pending");
    let waiting = door.explain(&peer, protocol).await;
    assert_eq!(waiting.ground.as_deref(), Some("e.m.trust.pending"));
    assert!(waiting.known.iter().any(|line| line.starts_with("request:")), "{waiting:?}");
    door.allow(&peer, json!({ "level": "task" })).await;
    let allowed = door.explain(&peer, protocol).await;
    assert_eq!((allowed.decision.as_str(), allowed.level.as_str()), ("allow", "task"));
    let knows = |what: &str| allowed.known.iter().any(|line| line.starts_with(what));
    assert!(knows("entry:") && knows("contact:"), "{allowed:?}");
    peer.change_keys(2);
    door = door.restarted().await;
    let fate = door.fate(&peer, "m-2", DEPLOY).await;
    let changed = door.explain(&peer, protocol).await;
    assert_eq!(changed.ground, Some(fate));
    assert_eq!(changed.ground.as_deref(), Some("e.p.trust.key-changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_explained_is_said_with_a_hint() {
    let door = Door::new().await;
    for (query, status) in [
        ("who=did:web", 400),
        ("who=*@a.example", 400),
        ("who=did:web:a.example&protocol=deploy", 400),
        ("who=did:web:a.example&port=1", 400),
        ("", 400),
    ] {
        let path = format!("/admin/agents/bruno/explain?{query}");
        let token = door.stand.admin_token();
        let (got, problem) = door.stand.call(Method::GET, &path, token, &Value::Null).await;
        assert_eq!(got.as_u16(), status, "{query} {problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
    }
}
