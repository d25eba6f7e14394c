//! A stranger's price: who has to pay it, what is taken as payment, and that a home pays by itself.

use std::time::Duration;

use comity_core::api::{AgentInfo, Problem, ServerFrame, Trace};
use comity_core::trust::{Challenge, ChallengeId, Solving, Template, TokenId, WorkSecret, subject};
use comity_didcomm::UnixTime;
use comity_store::MemoryStore;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{Foreigner, Stand, token};

const OFFER: &str = "https://example.org/proposal/1.0/offer";
const BITS: u8 = 8;

/// A node where a knock costs this many bits, with an agent.
async fn priced(bits: u8) -> (Stand, AgentInfo) {
    let store = std::sync::Arc::new(MemoryStore::new());
    let stand = Stand::with(store, |config| config.policy.work_bits = Some(bits)).await;
    let bruno = stand.add_agent("bruno").await;
    (stand, bruno)
}

async fn requests(stand: &Stand) -> usize {
    let path = "/admin/agents/bruno/requests";
    stand.admin::<Vec<Value>>(Method::GET, path, Value::Null).await.len()
}

/// Posts what costs something, and returns the challenge. Nothing is kept of it.
async fn challenge(stand: &Stand, envelope: &[u8], work: Option<&str>) -> Challenge {
    let before = requests(stand).await;
    let (status, body) = stand.exchange_for(envelope, work).await;
    assert_eq!(status, 402);
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (402, "e.p.req.work"));
    assert_eq!(requests(stand).await, before);
    let body: Value = serde_json::from_slice(&body).unwrap();
    serde_json::from_value(body["work"].clone()).unwrap()
}

pub(crate) fn solve(challenge: &Challenge) -> String {
    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
    std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap()
}

async fn pay(stand: &Stand, envelope: &[u8], work: &str) -> StatusCode {
    stand.exchange_for(envelope, Some(work)).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_pays_is_held_and_is_approved_like_any_other() {
    let (stand, bruno) = priced(BITS).await;
    let peer = Foreigner::new().await;
    let envelope = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    let challenge = challenge(&stand, &envelope, None).await;
    assert_eq!(challenge.bits, BITS);
    let work = solve(&challenge);
    assert_eq!(pay(&stand, &envelope, &work).await, 202);
    assert_eq!(requests(&stand).await, 1, "it waits for the operator");
    assert_eq!(pay(&stand, &envelope, &work).await, 202, "a repeat gets the first answer");
    assert_eq!(stand.post(&envelope).await.0, 202, "also without the work");
    assert_eq!(requests(&stand).await, 1);
    stand.allow(&bruno, peer.did.as_str()).await;
    assert_eq!(stand.receive(&bruno, 1).await[0].id, "m-1");
    let next = peer.seal(&stand, &peer.message("m-2", OFFER, &bruno)).await;
    assert_eq!(stand.post(&next).await.0, 202, "who is allowed pays nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_ants_pays_for_one_knock_where_the_policy_is_ants() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let stand = Stand::with(store, |config| {
        config.policy.work_bits = Some(BITS);
        config.policy.template = Some(Template::Ants);
    })
    .await;
    let (bruno, carol) = (stand.add_agent("bruno").await, stand.add_agent("carol").await);
    let peer = Foreigner::new().await;
    // Twenty zero bits are three and a third digits of base64.
    let is_good = |token: &String| {
        let hash = TokenId::of(token.as_bytes()).to_string();
        hash.starts_with("AAA")
            && hash.as_bytes()[3] <= b'P'
            && hash.as_bytes()[3].is_ascii_uppercase()
    };
    let name = subject(&peer.did);
    let token = (0_u64..).map(|nonce| format!("{name}:{nonce}")).find(is_good).unwrap();
    let envelope = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    assert_eq!(pay(&stand, &envelope, &token).await, 202);
    assert_eq!(requests(&stand).await, 1);
    let to_carol = peer.seal(&stand, &peer.message("m-2", OFFER, &carol)).await;
    let fresh = challenge(&stand, &to_carol, Some(&token)).await;
    assert_eq!(pay(&stand, &to_carol, &solve(&fresh)).await, 202, "the token was spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_worth_nothing_twice_in_other_hands_or_when_it_is_forged() {
    let (stand, bruno) = priced(BITS).await;
    let carol = stand.add_agent("carol").await;
    let (peer, other) = (Foreigner::new().await, Foreigner::new().await);
    let envelope = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    let work = solve(&challenge(&stand, &envelope, None).await);

    let of_other = other.seal(&stand, &other.message("m-1", OFFER, &bruno)).await;
    let to_carol = peer.seal(&stand, &peer.message("m-1", OFFER, &carol)).await;
    let forged = {
        let parties = (&peer.did, &bruno.did.parse().unwrap());
        let id = ChallengeId([1; 16]);
        solve(&WorkSecret::new(&[1; 32]).issue(id, BITS, parties, UnixTime(u64::MAX / 2)))
    };
    for (envelope, work) in
        [(&of_other, work.as_str()), (&to_carol, &work), (&envelope, &forged), (&envelope, "none")]
    {
        let fresh = challenge(&stand, envelope, Some(work)).await;
        assert_ne!(work.rsplit_once('.').map(|(text, _)| text), Some(fresh.challenge.as_str()));
    }

    assert_eq!(pay(&stand, &envelope, &work).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_spent_by_the_message_that_it_paid_for_and_the_next_knock_is_dearer() {
    let (stand, bruno) = priced(BITS).await;
    let peer = Foreigner::new().await;
    let mut first = peer.message("m-1", OFFER, &bruno);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    first.expires_time = Some(UnixTime(now.as_secs() + 4));
    let envelope = peer.seal(&stand, &first).await;
    let work = solve(&challenge(&stand, &envelope, None).await);
    assert_eq!(pay(&stand, &envelope, &work).await, 202);
    stand.until("the request expires", async || requests(&stand).await == 0).await;
    let second = peer.seal(&stand, &peer.message("m-2", OFFER, &bruno)).await;
    let dearer = challenge(&stand, &second, Some(&work)).await;
    assert_eq!(dearer.bits, BITS + 2);
    assert_eq!(pay(&stand, &second, &solve(&dearer)).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_the_work_of_before_void_and_loses_nothing() {
    let (stand, bruno) = priced(BITS).await;
    let peer = Foreigner::new().await;
    let envelope = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    let work = solve(&challenge(&stand, &envelope, None).await);
    let stand = stand.restart().await;
    let work = solve(&challenge(&stand, &envelope, Some(&work)).await);
    assert_eq!(pay(&stand, &envelope, &work).await, 202);
    assert_eq!(requests(&stand).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_friend_an_answer_and_a_neighbour_pay_nothing() {
    let (stand, bruno) = priced(BITS).await;
    let dora = stand.add_agent("dora").await;
    let (friend, mut asked) = (Foreigner::new().await, Foreigner::new().await);
    stand.allow(&bruno, friend.did.as_str()).await;
    let envelope = friend.seal(&stand, &friend.message("m-1", OFFER, &bruno)).await;
    assert_eq!(stand.post(&envelope).await.0, 202);

    let question = json!({ "to": asked.did, "type": OFFER, "body": {} });
    let sent = stand.send(&bruno, question).await;
    asked.receive(&stand).await;
    let mut answer = asked.message("a-1", OFFER, &bruno);
    answer.thid = Some(sent.thid);
    assert_eq!(stand.post(&asked.seal(&stand, &answer).await).await.0, 202);
    assert_eq!(stand.receive(&bruno, 2).await.len(), 2);

    let knock = json!({ "to": bruno.did, "type": OFFER, "body": {} });
    let sent = stand.send(&dora, knock).await;
    assert_eq!(stand.states(&dora, &sent.id, "accepted").await, ["queued", "accepted"]);
    assert_eq!(requests(&stand).await, 1, "held like a stranger, but not charged");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_socket_a_stranger_is_told_the_code_and_where_to_pay() {
    let (stand, bruno) = priced(BITS).await;
    let peer = Foreigner::new().await;
    let envelope = peer.seal(&stand, &peer.message("m-1", OFFER, &bruno)).await;
    let url = format!("{}/didcomm", stand.node.ready().url).replacen("http", "ws", 1);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let text = String::from_utf8(envelope).unwrap();
    futures_util::SinkExt::send(&mut socket, text.into()).await.unwrap();
    let closed = socket.next().await.unwrap().unwrap();
    let tokio_tungstenite::tungstenite::Message::Close(Some(frame)) = closed else {
        panic!("{closed:?}")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "e.p.req.work"));
    assert_eq!(requests(&stand).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_pays_for_its_agents_and_the_message_is_held() {
    let (there, bruno) = priced(12).await;
    let here = Stand::new().await;
    let aria = here.add_agent("aria").await;
    let offer = json!({ "to": bruno.did, "type": OFFER, "body": {} });
    let sent = here.send(&aria, offer).await;
    assert_eq!(here.states(&aria, &sent.id, "accepted").await, ["queued", "accepted"]);
    assert_eq!(requests(&there).await, 1);
    assert_eq!(trace(&here, &aria, &sent.id).await.working, None, "the work is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_dear_is_refused_to_the_agent_with_the_price() {
    let (_there, bruno) = priced(12).await;
    let here = Stand::new().await;
    let aria = here.add_agent("aria").await;
    let offer = json!({ "to": bruno.did, "type": OFFER, "body": {}, "work_bits_max": 11 });
    let sent = here.send(&aria, offer.clone()).await;
    let trace = ended(&here, &aria, &sent.id).await;
    let rung = trace.states.last().unwrap();
    assert_eq!((rung.state.as_str(), rung.code.as_deref()), ("refused", Some(TOO_DEAR)));
    let reason = rung.reason.as_deref().unwrap();
    assert!(reason.contains("work of 12 bits") && reason.contains("may cost 11"), "{reason}");
    let report = &here.receive(&aria, 1).await[0];
    assert_eq!((&report.body["code"], &report.body["comment"]), (&json!(TOO_DEAR), &json!(reason)));

    let dearer = json!({ "to": bruno.did, "type": OFFER, "body": {}, "work_bits_max": 33 });
    let (status, answer) = here.call(Method::POST, "/v1/messages", token(&aria), &dearer).await;
    assert_eq!((status.as_u16(), &answer["code"]), (400, &json!("http.bad-request")));
}

const TOO_DEAR: &str = "e.p.req.work-too-dear";

#[tokio::test(flavor = "multi_thread")]
async fn work_is_shown_while_it_is_done_and_given_up_when_the_message_expires() {
    // A puzzle that takes minutes, for a message that is of use for three seconds.
    let (_there, bruno) = priced(32).await;
    let here = Stand::new().await;
    let aria = here.add_agent("aria").await;
    let mut socket = {
        let url = format!("{}/v1/socket", here.node.ready().local).replacen("http", "ws", 1);
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", token(&aria)).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        tokio_tungstenite::connect_async(request).await.unwrap().0
    };
    let offer = json!({
        "to": bruno.did, "type": OFFER, "body": {}, "work_bits_max": 32, "expires_in_s": 3
    });
    let sent = here.send(&aria, offer).await;
    let told = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let frame = socket.next().await.unwrap().unwrap().into_text().unwrap();
            if let Ok(ServerFrame::Working { id, working }) = serde_json::from_str(&frame) {
                return (id, working);
            }
        }
    });
    let (id, working) = told.await.unwrap();
    assert_eq!((id.as_str(), working.bits), (sent.id.as_str(), 32));
    assert_eq!(trace(&here, &aria, &sent.id).await.working.map(|working| working.bits), Some(32));
    let trace = ended(&here, &aria, &sent.id).await;
    assert_eq!(trace.states.last().unwrap().state, "expired");
    here.until("nothing is worked on", async || {
        self::trace(&here, &aria, &sent.id).await.working.is_none()
    })
    .await;
}

async fn trace(stand: &Stand, agent: &AgentInfo, id: &str) -> Trace {
    let path = format!("/v1/messages/{id}/trace");
    let (status, answer) = stand.call(Method::GET, &path, token(agent), &Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_value(answer).unwrap()
}

/// Waits for the end of a ladder.
async fn ended(stand: &Stand, agent: &AgentInfo, id: &str) -> Trace {
    stand.states(agent, id, "processed").await;
    trace(stand, agent, id).await
}
