//! A webhook over a real socket: signed as the standard says, in order, at least once, and no trouble to
//! anybody else.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use comity_core::webhook::Secrets;
use comity_didcomm::UnixTime;
use comity_node::config::WebhookUrl;
use comity_store::MemoryStore;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::relay_client::now;
use crate::support::{Foreigner, Stand};

const ASK: &str = "https://example.org/question/1.0/ask";

/// One attempt, as it came.
struct Posted {
    headers: HeaderMap,
    body: Bytes,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver on the loopback interface, which answers what it is told to, and then 204.
struct Receiver {
    url: WebhookUrl,
    posts: mpsc::Receiver<Posted>,
    answers: mpsc::UnboundedSender<u16>,
}

#[derive(Clone)]
struct Sink {
    posts: mpsc::Sender<Posted>,
    answers: Arc<Mutex<mpsc::UnboundedReceiver<u16>>>,
}

impl Receiver {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=s3cret", listener.local_addr().unwrap());
        let (sink, posts) = mpsc::channel(64);
        let (answers, script) = mpsc::unbounded_channel();
        let state = Sink { posts: sink, answers: Arc::new(Mutex::new(script)) };
        let app = axum::Router::new().fallback(take).with_state(state);
        let limits = comity_net::ListenLimits::default();
        let serve =
            comity_net::serve(listener, app, limits, Arc::default(), std::future::pending());
        tokio::spawn(serve);
        Self { url: WebhookUrl::parse(&url, true).unwrap(), posts, answers }
    }

    async fn stand(&self) -> Stand {
        let url = self.url.clone();
        Stand::with(Arc::new(MemoryStore::new()), |config| config.webhook_url = Some(url)).await
    }

    async fn next(&mut self) -> Posted {
        let soon = std::time::Duration::from_secs(30);
        tokio::time::timeout(soon, self.posts.recv()).await.expect("it is posted").unwrap()
    }
}

async fn take(State(sink): State<Sink>, headers: HeaderMap, body: Bytes) -> StatusCode {
    sink.posts.send(Posted { headers, body }).await.unwrap();
    let status = sink.answers.lock().await.try_recv().unwrap_or(204);
    StatusCode::from_u16(status).unwrap()
}

fn secrets(stand: &Stand) -> Secrets {
    let file = stand.data().join("webhook.secret");
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Sends a stranger's request; it becomes one event.
async fn ask(stand: &Stand, agent: &comity_core::api::AgentInfo, id: &str) {
    let peer = Foreigner::new().await;
    let envelope = peer.seal(stand, &peer.message(id, ASK, agent)).await;
    assert_eq!(stand.post(&envelope).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_in_order_signed_and_again_until_they_are_taken() {
    let mut receiver = Receiver::new().await;
    let stand = receiver.stand().await;
    let bruno = stand.add_agent("bruno").await;
    let secrets = secrets(&stand);
    // The second event is taken at the third attempt only; the third one waits for it.
    for answer in [204, 500, 429] {
        receiver.answers.send(answer).unwrap();
    }
    for id in ["m-1", "m-2", "m-3"] {
        ask(&stand, &bruno, id).await;
    }
    let mut posted = Vec::new();
    for _ in 0..5 {
        posted.push(receiver.next().await);
    }
    let ids: Vec<_> = posted.iter().map(|one| one.json()["data"]["message"].clone()).collect();
    assert_eq!(ids, ["m-1", "m-2", "m-2", "m-2", "m-3"]);
    for one in &posted {
        let (id, at) = (one.header("webhook-id"), one.header("webhook-timestamp"));
        let at = UnixTime(at.parse().unwrap());
        assert!(secrets.verify(id, at, &one.body, one.header("webhook-signature")));
        assert!(at <= now() && now().0 - at.0 < 60, "the time of the attempt");
        assert_eq!(one.header("content-type"), "application/json");
        let body = one.json();
        assert_eq!(body["type"], "request.arrived");
        assert_eq!(body["data"]["agent"], json!(bruno.did));
    }
    let webhook_ids: Vec<_> = posted.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!((webhook_ids[1], webhook_ids[1]), (webhook_ids[2], webhook_ids[3]));
    // The same ids, and times of what happened, as in the admin API.
    let events = stand.first_events(3).await;
    for (event, one) in events.iter().zip([&posted[0], &posted[3], &posted[4]]) {
        assert_eq!(one.header("webhook-id"), event.id);
        assert_eq!(one.json()["timestamp"], json!(event.at));
        assert_eq!(one.json()["data"]["seq"], json!(event.seq));
    }
    stand.until("it is well again", async || stand.check("webhook").await.ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_after_the_last_event_that_was_taken() {
    let mut receiver = Receiver::new().await;
    let stand = receiver.stand().await;
    let bruno = stand.add_agent("bruno").await;
    ask(&stand, &bruno, "m-1").await;
    assert_eq!(receiver.next().await.json()["data"]["message"], "m-1");
    let caught_up = async |stand: &Stand| {
        let is_so = async || stand.status().await.webhook.unwrap().waiting == 0;
        stand.until("nothing waits", is_so).await;
    };
    caught_up(&stand).await;
    // It happens while nobody listens to it, and the node stops before it could tell.
    receiver.answers.send(503).unwrap();
    ask(&stand, &bruno, "m-2").await;
    let failed = receiver.next().await;
    let stand = stand.restart().await;
    let again = receiver.next().await;
    assert_eq!(again.header("webhook-id"), failed.header("webhook-id"));
    assert_eq!(again.json()["data"]["message"], "m-2");
    ask(&stand, &bruno, "m-3").await;
    assert_eq!(receiver.next().await.json()["data"]["message"], "m-3", "and nothing twice");
    caught_up(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_is_shown_and_holds_up_nothing_else() {
    let mut receiver = Receiver::new().await;
    let stand = receiver.stand().await;
    let bruno = stand.add_agent("bruno").await;
    for _ in 0..100 {
        receiver.answers.send(500).unwrap();
    }
    ask(&stand, &bruno, "m-1").await;
    receiver.next().await;
    let is_failing = async || stand.status().await.webhook.unwrap().state == "failing";
    stand.until("it is seen to fail", is_failing).await;
    ask(&stand, &bruno, "m-2").await;
    let status = stand.status().await;
    assert_eq!((status.requests_pending, stand.first_events(2).await.len()), (2, 2));
    let webhook = status.webhook.unwrap();
    assert_eq!((webhook.waiting, webhook.given_up), (2, 0));
    assert_eq!(webhook.trouble, "it answered with status 500");
    let check = stand.check("webhook").await;
    assert!(!check.ok && check.detail.contains("status 500"), "{}", check.detail);
    let shown = format!("{webhook:?} {check:?}");
    assert!(!shown.contains("s3cret"), "the rest of the URL may be a secret: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_gone_is_left_alone_until_the_node_starts_again() {
    let mut receiver = Receiver::new().await;
    let stand = receiver.stand().await;
    let bruno = stand.add_agent("bruno").await;
    receiver.answers.send(410).unwrap();
    ask(&stand, &bruno, "m-1").await;
    let gone = receiver.next().await;
    let events = stand.first_events(2).await;
    let ended = serde_json::to_value(&events[1]).unwrap();
    assert_eq!((&ended["type"], &ended["reason"]), (&json!("webhook-disabled"), &json!("gone")));
    assert_eq!(stand.status().await.webhook.unwrap().state, "disabled");
    assert!(!stand.check("webhook").await.ok);
    ask(&stand, &bruno, "m-2").await;
    let stand = stand.restart().await;
    // What it did not take comes again, and then what happened meanwhile.
    let mut types = Vec::new();
    for number in 0..3 {
        let one = receiver.next().await;
        assert_eq!(one.header("webhook-id") == gone.header("webhook-id"), number == 0);
        types.push(one.json()["type"].clone());
    }
    assert_eq!(types, ["request.arrived", "webhook.disabled", "request.arrived"]);
    assert!(stand.check("webhook").await.ok);
}
