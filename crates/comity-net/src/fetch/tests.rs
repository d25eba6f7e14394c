//! The fetcher against hosts that do what they should not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Response, header::LOCATION};
use http_body_util::{BodyExt, Channel};
use tokio::{task::JoinSet, time::Instant};

use super::*;
use crate::testing::{Body, FakeNet, answer, status};

const URL: &str = "http://localhost:8080/did.json";
const JSON: &str = "application/json";

fn trickle(every: Duration, piece: &'static str) -> Response<Body> {
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    tokio::spawn(async move {
        while sender.send_data(Bytes::from(piece)).await.is_ok() {
            tokio::time::sleep(every).await;
        }
    });
    Response::builder().header("content-type", JSON).body(body.boxed_unsync()).unwrap()
}

async fn outcome(
    handler: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> Result<Bytes, FetchError> {
    let net = FakeNet::new(move |_request| std::future::ready(handler()));
    net.fetcher().get(URL, JSON).await
}

#[tokio::test]
async fn a_document_is_fetched_by_one_plain_get() {
    let seen = Arc::new(Mutex::new(None));
    let seen_by_host = Arc::clone(&seen);
    let net = FakeNet::new(move |request| {
        let (parts, _) = request.into_parts();
        *seen_by_host.lock().unwrap() = Some(parts);
        async { answer(200, "application/did+json; charset=utf-8", "{}") }
    });
    let body = net.fetcher().get(URL, "application/did+json").await.unwrap();
    assert_eq!(body, "{}");

    let seen = seen.lock().unwrap().take().unwrap();
    assert_eq!(seen.method, Method::GET);
    assert_eq!(seen.uri, "/did.json");
    assert_eq!(seen.headers["accept"], "application/did+json");
    assert_eq!(seen.headers["host"], "localhost:8080");
    assert!(!seen.headers.contains_key("authorization"));
    assert!(!seen.headers.contains_key("cookie"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let net = FakeNet::new(move |_request| async move {
            let mut response = status(code);
            let to = HeaderValue::from_static("http://localhost:9090/elsewhere.json");
            response.headers_mut().insert(LOCATION, to);
            response
        });
        assert_eq!(net.fetcher().get(URL, JSON).await, Err(FetchError::Redirected));
        assert_eq!(net.dials(), 1);
    }
}

#[tokio::test]
async fn statuses_other_than_200_are_errors() {
    for (code, expected) in [
        (404, FetchError::NotFound),
        (410, FetchError::NotFound),
        (204, FetchError::Status(204)),
        (403, FetchError::Status(403)),
        (500, FetchError::Status(500)),
    ] {
        assert_eq!(outcome(move || answer(code, JSON, "{}")).await, Err(expected));
    }
}

#[tokio::test]
async fn the_body_is_capped() {
    let fits = vec![b' '; FETCH_BODY_BYTES_MAX];
    assert_eq!(outcome(move || answer(200, JSON, fits.clone())).await.unwrap().len(), 65_536);
    let declared = vec![b' '; FETCH_BODY_BYTES_MAX + 1];
    let refused = outcome(move || answer(200, JSON, declared.clone())).await;
    assert_eq!(refused, Err(FetchError::TooLarge));
    // In pieces so large that the cap is met long before the deadline, on any machine.
    let piece: &'static str = "a".repeat(FETCH_BODY_BYTES_MAX / 4).leak();
    let endless = outcome(move || trickle(Duration::ZERO, piece)).await;
    assert_eq!(endless, Err(FetchError::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_meets_the_deadline() {
    let begun = Instant::now();
    let slow = outcome(|| trickle(Duration::from_secs(1), " ")).await;
    assert_eq!(slow, Err(FetchError::TimedOut));
    assert!(begun.elapsed() < FETCH_DEADLINE + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_meets_the_deadline() {
    let net = FakeNet::new(|_request| std::future::pending());
    assert_eq!(net.fetcher().get(URL, JSON).await, Err(FetchError::TimedOut));
}

#[tokio::test]
async fn only_json_is_taken() {
    for content_type in
        [JSON, "Application/JSON", "application/jrd+json", "application/did+ld+json;q=1"]
    {
        assert!(outcome(move || answer(200, content_type, "{}")).await.is_ok(), "{content_type}");
    }
    for content_type in
        ["", "text/html", "text/plain", "text/json", "application/jsonp", "json", "+json"]
    {
        let refused = outcome(move || answer(200, content_type, "{}")).await;
        assert_eq!(refused, Err(FetchError::ContentType), "{content_type}");
    }
    let compressed = outcome(|| {
        let mut response = answer(200, JSON, "{}");
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
        response
    });
    assert_eq!(compressed.await, Err(FetchError::ContentType));
}

#[tokio::test]
async fn urls_that_are_refused_open_no_socket() {
    let net = FakeNet::new(|_request| async { status(200) });
    let fetcher = Fetcher::new(net.connector(AddressPolicy::Public));
    for (url, expected) in [
        ("http://8.8.8.8/did.json", FetchError::Scheme),
        ("https://user@8.8.8.8/did.json", FetchError::Url),
        ("https://127.0.0.1/did.json", FetchError::Connect(ConnectError::AddressDenied)),
        ("https://localhost/did.json", FetchError::Connect(ConnectError::AddressDenied)),
        ("https://[::ffff:10.0.0.1]/", FetchError::Connect(ConnectError::AddressDenied)),
    ] {
        assert_eq!(fetcher.get(url, JSON).await, Err(expected), "{url}");
    }
    assert_eq!(net.dials(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_host_is_asked_four_times_at_once() {
    let under_way = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = Arc::clone(&under_way);
    let net = FakeNet::new(move |_request| {
        let counted = Arc::clone(&counted);
        async move {
            let now = counted.0.fetch_add(1, SeqCst) + 1;
            counted.1.fetch_max(now, SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            counted.0.fetch_sub(1, SeqCst);
            answer(200, JSON, "{}")
        }
    });
    let fetcher = Arc::new(net.fetcher());
    let mut fetches = JoinSet::new();
    for _ in 0..20 {
        let fetcher = Arc::clone(&fetcher);
        fetches.spawn(async move { fetcher.get(URL, JSON).await });
    }
    assert!(fetches.join_all().await.iter().all(Result::is_ok));
    assert_eq!(under_way.1.load(SeqCst), FETCHES_PER_HOST_MAX);
}

#[tokio::test]
async fn an_error_carries_nothing_that_the_host_sent() {
    let canary = "canary-7f3a";
    for content_type in [canary, JSON] {
        let refused = outcome(move || {
            let mut response = answer(500, content_type, canary);
            response.headers_mut().insert("x-canary", HeaderValue::from_static("canary-7f3a"));
            response
        });
        let error = refused.await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(canary));
    }
}
