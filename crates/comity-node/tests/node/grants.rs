//! Grants between homes, over real sockets: given, shown, handed on, and taken back.

use comity_core::api::{AgentInfo, Explained, GrantInfo, Relation};
use comity_core::limits::{GRANTS_OF_ONE_MAX, GRANTS_UNASKED_MAX};
use comity_core::protocol::attached_tokens::TokenKind;
use comity_core::trust::{GRANT_TYPE, Grant, GrantTerms, Level, Limits, TokenId};
use comity_didcomm::{Did, Jwt, Message, UnixTime};
use comity_store::records::due::{self, Due};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Foreigner, Stand};

const ASK: &str = "https://example.org/question/1.0/ask";
const QUESTION: &str = "https://example.org/question/1.0";
const TASK: &str = "https://comity.dev/protocols/task/1.0/offer";
const OFFER: &str = "https://example.org/offer/1.0/make";
const GIVE: &str = "https://comity.dev/protocols/grant/1.0/grant";

fn path(agent: &AgentInfo, rest: &str) -> String {
    format!("/admin/agents/{}/grants{rest}", agent.name)
}

async fn grants(stand: &Stand, agent: &AgentInfo, kind: &str) -> Vec<GrantInfo> {
    let all: Vec<GrantInfo> = stand.admin(Method::GET, &path(agent, ""), Value::Null).await;
    all.into_iter().filter(|grant| grant.kind == kind).collect()
}

async fn give(stand: &Stand, agent: &AgentInfo, wish: Value) -> GrantInfo {
    stand.admin(Method::POST, &path(agent, ""), wish).await
}

async fn hand_on(stand: &Stand, agent: &AgentInfo, id: &str, give: Value) -> GrantInfo {
    stand.admin(Method::POST, &path(agent, "/hand-on"), json!({ "id": id, "give": give })).await
}

async fn revoke(stand: &Stand, agent: &AgentInfo, id: &str) -> GrantInfo {
    stand.admin(Method::POST, &path(agent, "/revoke"), json!({ "id": id })).await
}

async fn until_held(stand: &Stand, agent: &AgentInfo, id: &str) {
    let is_held = async || grants(stand, agent, "held").await.iter().any(|held| held.id == id);
    stand.until("the grant is held", is_held).await;
}

/// Sends a message and says how it ended: `accepted`, or the code of its refusal.
async fn fate(stand: &Stand, from: &AgentInfo, to: &AgentInfo, type_: &str) -> String {
    let id = stand.send(from, json!({ "to": to.did, "type": type_, "body": {} })).await.id;
    let path = format!("/v1/messages/{id}/trace?wait=accepted&timeout_s=20");
    let token = crate::support::token(from);
    let (_, trace) = stand.call(Method::GET, &path, token, &Value::Null).await;
    let last = trace["states"].as_array().and_then(|states| states.last()).unwrap();
    if last["state"] == "accepted" && last["pending"] == json!(true) {
        return "pending".to_owned();
    }
    last["code"].as_str().or(last["state"].as_str()).unwrap().to_owned()
}

/// Two homes, and an agent of each.
async fn two() -> ((Stand, AgentInfo), (Stand, AgentInfo)) {
    let (aria_home, bruno_home) = (Stand::new().await, Stand::new().await);
    let aria = aria_home.add_agent("aria").await;
    let bruno = bruno_home.add_agent("bruno").await;
    ((aria_home, aria), (bruno_home, bruno))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_carried_by_itself_and_admits_across_restarts() {
    let ((aria_home, aria), (bruno_home, bruno)) = two().await;
    let wish = json!({ "who": aria.did, "protocols": [QUESTION], "level": "task" });
    let given = give(&bruno_home, &bruno, wish).await;
    assert_eq!((given.state.as_str(), given.level.as_str()), ("valid", "task"));
    assert_eq!(given.told, std::slice::from_ref(&aria.did));
    until_held(&aria_home, &aria, &given.id).await;

    assert_eq!(fate(&aria_home, &aria, &bruno, ASK).await, "accepted");
    let delivery = bruno_home.receive(&bruno, 1).await.remove(0);
    assert_eq!((delivery.admitted.as_str(), delivery.level.as_str()), ("grant", "task"));
    assert!(delivery.attachments.is_empty(), "tokens are for the home");
    let explain = format!(
        "/admin/agents/bruno/explain?who={}&protocol={QUESTION}",
        aria.did.replace('%', "%25")
    );
    let explained: Explained = bruno_home.admin(Method::GET, &explain, Value::Null).await;
    assert_eq!(explained.ground.as_deref(), Some("grant"), "{explained:?}");
    let listed = |kind: &'static str| format!("/admin/agents/bruno/{kind}");
    for kind in ["allowed", "requests"] {
        let listed: Vec<Relation> = bruno_home.admin(Method::GET, &listed(kind), Value::Null).await;
        assert!(listed.is_empty(), "{kind}: {listed:?}");
    }
    // Where it gives no right, its holder is a stranger as before.
    assert_eq!(fate(&aria_home, &aria, &bruno, OFFER).await, "pending");

    let (aria_home, bruno_home) = (aria_home.restart().await, bruno_home.restart().await);
    assert_eq!(fate(&aria_home, &aria, &bruno, ASK).await, "accepted");
    revoke(&bruno_home, &bruno, &given.id).await;
    let bruno_home = bruno_home.restart().await;
    assert_eq!(grants(&bruno_home, &bruno, "given").await[0].state, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_handed_on_in_part_and_counts_for_the_whole_subtree() {
    let ((aria_home, aria), (bruno_home, bruno)) = two().await;
    let carol_home = Stand::new().await;
    let carol = carol_home.add_agent("carol").await;
    let wish = json!({ "who": aria.did, "level": "task", "depth": 1, "messages_per_day": 3 });
    let given = give(&bruno_home, &bruno, wish).await;
    until_held(&aria_home, &aria, &given.id).await;

    for (more, why) in [
        (json!({ "level": "execute" }), "level"),
        (json!({ "messages_per_day": 4 }), "limits"),
        (json!({ "depth": 1 }), "handed on"),
    ] {
        let mut wish = json!({ "who": carol.did });
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let wish = json!({ "id": given.id, "give": wish });
        let (status, problem) = aria_home.call_admin(&path(&aria, "/hand-on"), &wish).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("node.bad-grant")), "{why}");
        assert!(problem["title"].as_str().unwrap().contains(why), "{problem}");
    }
    let task = TASK.rsplit_once('/').unwrap().0;
    let part = json!({ "who": carol.did, "protocols": [QUESTION, task], "level": "message" });
    let part = hand_on(&aria_home, &aria, &given.id, part).await;
    assert_eq!((part.kind.as_str(), part.chain.len()), ("handed-on", 2));
    assert_eq!(part.messages_per_day, Some(3), "its limits are kept");
    until_held(&carol_home, &carol, &part.id).await;

    assert_eq!(fate(&carol_home, &carol, &bruno, ASK).await, "accepted");
    assert_eq!(fate(&carol_home, &carol, &bruno, OFFER).await, "pending");
    assert_eq!(fate(&carol_home, &carol, &bruno, TASK).await, "e.m.trust.level");
    assert_eq!(fate(&aria_home, &aria, &bruno, TASK).await, "accepted");
    assert_eq!(fate(&aria_home, &aria, &bruno, OFFER).await, "accepted");
    // Three messages of the two of them together.
    assert_eq!(fate(&carol_home, &carol, &bruno, ASK).await, "e.m.trust.limit");

    let levels: Vec<_> =
        bruno_home.receive(&bruno, 3).await.into_iter().map(|one| one.level).collect();
    assert_eq!(levels, ["message", "task", "task"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_with_the_next_message_also_by_who_handed_it_on() {
    let ((aria_home, aria), (bruno_home, bruno)) = two().await;
    let carol_home = Stand::new().await;
    let (carol, dave) = (carol_home.add_agent("carol").await, aria_home.add_agent("dave").await);
    let given = give(&bruno_home, &bruno, json!({ "who": aria.did, "depth": 2 })).await;
    until_held(&aria_home, &aria, &given.id).await;
    let part = hand_on(&aria_home, &aria, &given.id, json!({ "who": carol.did, "depth": 1 })).await;
    until_held(&carol_home, &carol, &part.id).await;
    let rest = hand_on(&carol_home, &carol, &part.id, json!({ "who": dave.did })).await;
    until_held(&aria_home, &dave, &rest.id).await;
    assert_eq!(fate(&aria_home, &dave, &bruno, ASK).await, "accepted");

    // By Carol, of whom Bruno's home knows nothing but the chain that she shows.
    let revoked = revoke(&carol_home, &carol, &rest.id).await;
    assert_eq!(revoked.told, [bruno.did.clone(), dave.did.clone()]);
    let is_gone = async || grants(&aria_home, &dave, "held").await.is_empty();
    aria_home.until("who is told drops it", is_gone).await;
    until_refused((&aria_home, &dave), &bruno, &rest).await;
    assert_eq!(fate(&carol_home, &carol, &bruno, ASK).await, "accepted", "hers is another");

    // By Aria, to whom Bruno gave it. Whom Carol gave a part of it is told by Carol's home.
    let other = hand_on(&carol_home, &carol, &part.id, json!({ "who": dave.did })).await;
    until_held(&aria_home, &dave, &other.id).await;
    let revoked = revoke(&aria_home, &aria, &part.id).await;
    assert_eq!(revoked.told, [bruno.did.clone(), carol.did.clone()]);
    let is_gone =
        async || grants(&aria_home, &dave, "held").await.iter().all(|one| one.id == rest.id);
    aria_home.until("the end of it is passed on", is_gone).await;
    until_refused((&carol_home, &carol), &bruno, &part).await;

    // And by Bruno, where it holds at once, and after a restart.
    assert_eq!(fate(&aria_home, &aria, &bruno, ASK).await, "accepted");
    revoke(&bruno_home, &bruno, &given.id).await;
    let bruno_home = bruno_home.restart().await;
    until_refused((&aria_home, &aria), &bruno, &given).await;
    // She may have asked already, if she heard of the end between adding the grant again and writing.
    let asked = fate(&aria_home, &aria, &bruno, ASK).await;
    assert!(["pending", "e.m.trust.pending"].contains(&asked.as_str()), "she may ask: {asked}");
    let events = bruno_home.first_events(5).await;
    let told = events.iter().map(|event| serde_json::to_value(event).unwrap());
    let told: Vec<_> = told.map(|event| (event["type"].clone(), event["grant"].clone())).collect();
    let expected = [
        ("grant-issued", &given.id),
        ("grant-revoked", &rest.id),
        ("grant-revoked", &part.id),
        ("grant-revoked", &given.id),
    ];
    assert_eq!(told[..4], expected.map(|(type_, id)| (json!(type_), json!(id))));
    assert_eq!(told[4].0, "request-arrived");
}

/// Adds a grant by hand, whatever its holder was told, until it is refused.
async fn until_refused((stand, holder): (&Stand, &AgentInfo), to: &AgentInfo, grant: &GrantInfo) {
    let is_refused = async || {
        let chain = json!({ "chain": grant.chain.join("\n") });
        let (status, held) = stand.call_admin(&path(holder, "/add"), &chain).await;
        assert_eq!(status, 200, "{held}");
        fate(stand, holder, to, ASK).await == "e.m.trust.grant.revoked"
    };
    stand.until("the revocation is applied", is_refused).await;
    let is_gone = async || grants(stand, holder, "held").await.iter().all(|one| one.id != grant.id);
    stand.until("what is refused is not shown again", is_gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_back_what_somebody_else_gave() {
    let ((aria_home, aria), (bruno_home, bruno)) = two().await;
    let mallory = Foreigner::new().await;
    let given = give(&bruno_home, &bruno, json!({ "who": aria.did })).await;
    until_held(&aria_home, &aria, &given.id).await;
    let ends = [
        ("revoke", json!({ "id": given.id, "exp": now().0 + 3600 })),
        ("revoked", json!({ "ids": [given.id] })),
    ];
    for (place, (stand, agent)) in [(&aria_home, &aria), (&bruno_home, &bruno)].iter().enumerate() {
        for (name, body) in &ends {
            let type_ = format!("https://comity.dev/protocols/grant/1.0/{name}");
            let mut message = mallory.message(&format!("{name}-{place}"), &type_, agent);
            message.body = body.as_object().unwrap().clone();
            assert_eq!(stand.post(&mallory.seal(stand, &message).await).await.0, 202);
        }
    }
    assert_eq!(fate(&aria_home, &aria, &bruno, ASK).await, "accepted");
    assert_eq!(bruno_home.receive(&bruno, 1).await[0].admitted, "grant");
}

/// A grantee who may hand on makes up names, each of which it takes back for a moment only: as soon
/// as they were forgotten there was room for more, and each has its place in the log for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_takes_its_room_for_as_long_as_the_right_to_hand_on_holds() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let peer = Foreigner::new().await;
    give(&stand, &bruno, json!({ "who": peer.did, "depth": 1, "unsent": true })).await;
    let forgotten_soon = async || {
        let soon = now().saturating_add(7200);
        let rows = due::until(stand.store().as_ref(), soon, None, 1_000).await.unwrap();
        rows.iter().filter(|row| matches!(row.due, Due::ForgetMeta(_))).count()
    };
    let before = forgotten_soon().await;
    let type_ = "https://comity.dev/protocols/grant/1.0/revoke";
    let mut message = peer.message("m-1", type_, &bruno);
    let body = json!({ "id": TokenId::of(b"made up"), "exp": now().0 + 3600 });
    message.body = body.as_object().unwrap().clone();
    assert_eq!(stand.post(&peer.seal(&stand, &message).await).await.0, 202);
    let events = stand.first_events(2).await;
    assert_eq!(serde_json::to_value(&events[1]).unwrap()["type"], "grant-revoked");
    assert_eq!(forgotten_soon().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_denies_is_denied_with_a_grant_too() {
    let ((aria_home, aria), (bruno_home, bruno)) = two().await;
    let given = give(&bruno_home, &bruno, json!({ "who": aria.did })).await;
    until_held(&aria_home, &aria, &given.id).await;
    let _relation: Relation = bruno_home
        .admin(Method::POST, "/admin/agents/bruno/deny", json!({ "who": aria.did }))
        .await;
    assert_eq!(fate(&aria_home, &aria, &bruno, ASK).await, "e.m.trust.denied");
}

fn now() -> UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime(now.as_secs())
}

fn terms(grantee: &Did) -> GrantTerms {
    GrantTerms {
        grantee: grantee.clone(),
        scope: Vec::new(),
        level: Level::Message,
        limits: Limits::UNLIMITED,
        from: UnixTime(now().0 - 100),
        until: now().saturating_add(3600),
        depth: 0,
        name: uuid::Uuid::now_v7().to_string(),
    }
}

/// Posts a message that shows a chain, and returns the code that its sender is told; nothing if it
/// was let in.
async fn show(
    stand: &Stand,
    peer: &mut Foreigner,
    id: &str,
    to: &AgentInfo,
    chain: &[String],
) -> Option<String> {
    let mut message = peer.message(id, ASK, to);
    message.attachments = chain.iter().map(|token| TokenKind::Grant.attach(token)).collect();
    let before = stand.status().await.mailbox_messages;
    let (status, code) = stand.post(&peer.seal(stand, &message).await).await;
    if status != 202 {
        return code;
    }
    if before < stand.status().await.mailbox_messages {
        return None;
    }
    let report: Message = peer.receive(stand).await;
    Some(report.body["code"].as_str().unwrap().to_owned())
}

/// Signs by hand the token that follows a first one, with these claims.
fn sign_on(
    by: &Foreigner,
    to: &Foreigner,
    audience: &AgentInfo,
    first: &str,
    claims: &Value,
) -> String {
    let mut all = json!({
        "iss": by.did, "sub": to.did, "aud": audience.did, "jti": "w", "nbf": now().0,
        "exp": now().0 + 3600, "depth": 0, "parent": TokenId::of(first.as_bytes()),
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let (kid, key) = by.signing();
    Jwt::sign(GRANT_TYPE, kid, key, all.as_object().unwrap()).unwrap()
}

/// Who is denied would come again under another name, to which she handed on what she had.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_shut_out_lets_nobody_in_by_what_it_handed_on() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let (mallory, mut other) = (Foreigner::new().await, Foreigner::new().await);
    let wish = json!({ "who": mallory.did, "protocols": [QUESTION], "depth": 1, "unsent": true });
    let first = give(&stand, &bruno, wish).await.chain.remove(0);
    let handed = json!({ "scope": [QUESTION], "level": 2 });
    let chain = [first.clone(), sign_on(&mallory, &other, &bruno, &first, &handed)];
    assert_eq!(show(&stand, &mut other, "m-1", &bruno, &chain).await, None);
    for (step, (path, code)) in
        [("deny", Some("e.m.trust.grant.revoked")), ("allow", None)].into_iter().enumerate()
    {
        let path = format!("/admin/agents/bruno/{path}");
        let _relation: Relation =
            stand.admin(Method::POST, &path, json!({ "who": mallory.did })).await;
        let told = show(&stand, &mut other, &format!("m-{}", step + 2), &bruno, &chain).await;
        assert_eq!(told.as_deref(), code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn widened_and_stolen_chains_give_nothing() {
    // Whoever shows a grant pays no price for being heard.
    let store = std::sync::Arc::new(comity_store::MemoryStore::new());
    let stand = Stand::with(store, |config| config.policy.work_bits = Some(8)).await;
    let bruno = stand.add_agent("bruno").await;
    let (mut mallory, mut thief) = (Foreigner::new().await, Foreigner::new().await);
    let wish = json!({ "who": mallory.did, "protocols": [QUESTION], "depth": 1, "unsent": true });
    let given = give(&stand, &bruno, wish).await;
    assert_eq!(given.not_told.len(), 1);
    let first = given.chain[0].clone();

    // To an identity of her own, by hand, with more than she has.
    let widened = sign_on(&mallory, &thief, &bruno, &first, &json!({ "scope": [], "level": 4 }));
    let chain = [first.clone(), widened];
    let code = show(&stand, &mut thief, "m-1", &bruno, &chain).await;
    assert_eq!(code.as_deref(), Some("e.p.req.work"), "a stranger with nothing to show");
    let code = show(&stand, &mut thief, "m-2", &bruno, std::slice::from_ref(&first)).await;
    assert_eq!(code.as_deref(), Some("e.p.req.work"), "stolen");
    let made_up = ["x".to_owned()];
    let code = show(&stand, &mut thief, "m-3", &bruno, &made_up).await;
    assert_eq!(code.as_deref(), Some("e.p.req.work"), "what anybody can make up saves no work");

    assert_eq!(show(&stand, &mut mallory, "m-4", &bruno, &[first]).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_gives_nothing_after_its_end() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let mut peer = Foreigner::new().await;
    let until = comity_core::api::rfc3339(now().saturating_add(2));
    let wish = json!({ "who": peer.did, "until": until, "unsent": true });
    let chain = give(&stand, &bruno, wish).await.chain;
    let mut code = None;
    for attempt in 0..1_000 {
        code = show(&stand, &mut peer, &format!("m-{attempt}"), &bruno, &chain).await;
        if code.is_some() {
            break;
        }
    }
    assert_eq!(code.as_deref(), Some("e.m.trust.grant.expired"));
    let is_forgotten = async || grants(&stand, &bruno, "given").await.is_empty();
    stand.until("it is forgotten", is_forgotten).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_grants_fills_a_bounded_place_of_its_own() {
    let stand = Stand::new().await;
    let bruno = stand.add_agent("bruno").await;
    let friend = Foreigner::new().await;
    let token = Grant::issue(&terms(&bruno.did.parse().unwrap()), friend.signing()).unwrap();
    let held: GrantInfo =
        stand.admin(Method::POST, &path(&bruno, "/add"), json!({ "chain": token })).await;
    assert_eq!(held.state, "valid");

    for stranger in 0..GRANTS_UNASKED_MAX / GRANTS_OF_ONE_MAX + 2 {
        let stranger_ = Foreigner::new().await;
        for number in 0..GRANTS_OF_ONE_MAX + 2 {
            let token = Grant::issue(&terms(&bruno.did.parse().unwrap()), stranger_.signing());
            let mut message = stranger_.message(&format!("g-{stranger}-{number}"), GIVE, &bruno);
            message.attachments = vec![TokenKind::Grant.attach(&token.unwrap())];
            let (status, _) = stand.post(&stranger_.seal(&stand, &message).await).await;
            assert_eq!(status, 202);
        }
    }
    let wallet = grants(&stand, &bruno, "held").await;
    assert_eq!(wallet.len(), GRANTS_UNASKED_MAX + 1);
    assert!(wallet.iter().any(|one| one.id == held.id));
    // Nor is one kept that a third party passes along.
    let other = Foreigner::new().await;
    let token = Grant::issue(&terms(&bruno.did.parse().unwrap()), friend.signing()).unwrap();
    let mut message = other.message("g-other", GIVE, &bruno);
    message.attachments = vec![TokenKind::Grant.attach(&token)];
    assert_eq!(stand.post(&other.seal(&stand, &message).await).await.0, 202);
    let of_friend =
        |one: &&GrantInfo| one.audience.starts_with("did:peer") && one.grantor == held.grantor;
    let wallet = grants(&stand, &bruno, "held").await;
    assert_eq!(wallet.iter().filter(of_friend).count(), 1);
}
