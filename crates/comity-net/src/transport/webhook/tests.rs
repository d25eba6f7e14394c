//! Posting to a webhook over a network in memory: what is sent, what is not connected to, and what
//! each answer is.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::*;
use crate::{
    ConnectError,
    address::tests::SPECIAL,
    testing::{Body, FakeNet, answer, status},
};

const HOOK: &str = "https://hook.example/in?token=t";
const LOCAL: &str = "http://localhost:8080/in";

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
    headers
}

async fn post(
    net: &Arc<FakeNet>,
    policy: AddressPolicy,
    url: &str,
) -> Result<WebhookAnswer, Unreachable> {
    let poster = WebhookPoster::new(net.connector(policy));
    poster.post(url, headers(), Bytes::from_static(b"{}")).await
}

#[tokio::test]
async fn the_body_goes_out_as_json_with_the_callers_headers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let net = FakeNet::new(move |request| {
        let sink = Arc::clone(&sink);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
            let line = format!("{} {} {}", parts.method, parts.uri, header("host"));
            sink.lock().unwrap().push((line, header("content-type"), header("webhook-id"), body));
            status(204)
        }
    });
    let answered = post(&net, AddressPolicy::Development, "http://localhost:8080/in?token=t").await;
    assert_eq!(answered, Ok(WebhookAnswer { status: 204, after: None }));
    let seen = seen.lock().unwrap();
    let (line, type_, id, body) = &seen[0];
    assert_eq!(line, "POST /in?token=t localhost:8080");
    assert_eq!((type_.as_str(), id.as_str(), &body[..]), ("application/json", "evt_1", &b"{}"[..]));
}

#[tokio::test]
async fn no_address_that_the_policy_denies_is_connected_to() {
    for address in SPECIAL.iter().chain(&["127.0.0.1", "::1"]) {
        let net = FakeNet::new(|_request| async { status(204) });
        net.name("hook.example", &[address]);
        let refused = Err(Unreachable::Connect(ConnectError::AddressDenied));
        assert_eq!(post(&net, AddressPolicy::Public, HOOK).await, refused, "{address}");
        assert_eq!(net.dials(), 0, "{address}");
    }
    let net = FakeNet::new(|_request| async { status(204) });
    for (url, why) in [(LOCAL, Unreachable::Scheme), ("https://u@hook.example/", Unreachable::Url)]
    {
        assert_eq!(post(&net, AddressPolicy::Public, url).await, Err(why), "{url}");
    }
    assert_eq!(net.dials(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_at_each_dispatch() {
    let net = FakeNet::new(|_request| async {
        let mut last = status(204);
        last.headers_mut().insert("connection", HeaderValue::from_static("close"));
        last
    });
    net.name("hook.example", &["127.0.0.1"]);
    net.name("hook.example", &["10.0.0.1"]);
    let poster = WebhookPoster::new(net.connector(AddressPolicy::Development));
    let url = "http://hook.example:8080/";
    let first = poster.post(url, headers(), Bytes::new()).await;
    assert_eq!(first.map(|answer| answer.status), Ok(204));
    let denied = Err(Unreachable::Connect(ConnectError::AddressDenied));
    assert_eq!(poster.post(url, headers(), Bytes::new()).await, denied);
}

#[tokio::test]
async fn redirects_are_answers_and_nothing_more() {
    let net = FakeNet::new(|_request| async {
        let mut redirect: http::Response<Body> = status(307);
        let elsewhere = HeaderValue::from_static("http://localhost:9/elsewhere");
        redirect.headers_mut().insert("location", elsewhere);
        redirect
    });
    let answered = post(&net, AddressPolicy::Development, LOCAL).await;
    assert_eq!(answered, Ok(WebhookAnswer { status: 307, after: None }));
    assert_eq!(net.dials(), 1);
}

#[tokio::test]
async fn the_wish_to_wait_is_told_and_a_long_answer_is_not_read() {
    let net = FakeNet::new(|_request| async {
        let long = vec![b'x'; 2 * WEBHOOK_ANSWER_BYTES_MAX];
        let mut busy = answer(503, "text/plain", long);
        busy.headers_mut().insert("retry-after", HeaderValue::from_static("7"));
        busy
    });
    let answered = post(&net, AddressPolicy::Development, LOCAL).await;
    assert_eq!(answered, Ok(WebhookAnswer { status: 503, after: Some(Duration::from_secs(7)) }));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_never_answers_meets_the_deadline() {
    let net = FakeNet::new(|_request| std::future::pending());
    let answered = post(&net, AddressPolicy::Development, LOCAL).await;
    assert_eq!(answered, Err(Unreachable::TimedOut));
}
