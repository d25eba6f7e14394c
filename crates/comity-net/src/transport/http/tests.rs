//! Deliveries to peers of every temper, and over real sockets to our own listener.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Channel};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

use super::*;
use crate::{
    ListenCounters, ListenLimits, SafeConnector, Trust, serve,
    testing::{Body, FakeNet, Router, answer, status},
};

const URI: &str = "http://localhost:7700/didcomm";
const ENVELOPE: &str = r#"{"protected":"e30"}"#;

async fn deliver(
    handler: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> Result<Delivered, DeliverError> {
    let net = FakeNet::new(move |_request| std::future::ready(handler()));
    post(&Deliverer::new(net.connector(AddressPolicy::Development)), URI).await
}

async fn post(deliverer: &Deliverer, uri: &str) -> Result<Delivered, DeliverError> {
    deliverer.post(uri, Bytes::from_static(ENVELOPE.as_bytes()), MediaType::Encrypted, None).await
}

fn with_retry_after(code: u16, value: &'static str) -> Response<Body> {
    let mut response = status(code);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(value));
    response
}

fn code_of(outcome: Result<Delivered, DeliverError>) -> Option<String> {
    match outcome {
        Err(DeliverError::Refused { code, .. }) => code,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn an_envelope_is_posted_as_it_is_with_its_media_type() {
    let net = FakeNet::new(|request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let right = parts.method == Method::POST
            && parts.uri == "/didcomm"
            && MediaType::of(&parts.headers) == Some(MediaType::Encrypted)
            && parts.headers["content-length"] == ENVELOPE.len().to_string().as_str()
            && body == ENVELOPE;
        status(if right { 202 } else { 400 })
    });
    let deliverer = Deliverer::new(net.connector(AddressPolicy::Development));
    assert_eq!(post(&deliverer, URI).await, Ok(Delivered { status: 202, answer: None }));
}

#[tokio::test]
async fn each_status_says_who_has_to_act() {
    for code in [200, 201, 202, 204] {
        assert_eq!(deliver(move || status(code)).await.unwrap().status, code);
    }
    for code in [408, 425, 429, 500, 502, 503, 504, 507] {
        let expected = DeliverError::RetryLater { status: code, after: None };
        assert_eq!(deliver(move || status(code)).await, Err(expected));
    }
    for code in [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 501, 505] {
        let expected = DeliverError::Refused { status: code, code: None };
        assert_eq!(deliver(move || status(code)).await, Err(expected));
    }
    for code in [301, 302, 303, 307, 308] {
        assert_eq!(deliver(move || status(code)).await, Err(Unreachable::Redirected.into()));
    }
}

#[tokio::test]
async fn the_wait_a_peer_asks_for_is_taken_in_seconds_and_cut() {
    for (value, expected) in [
        ("0", Some(0)),
        ("120", Some(120)),
        ("999999", Some(3_600)),
        ("99999999999999999999999999", Some(3_600)),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("", None),
        ("Sun, 22 Nov 2026 07:00:00 GMT", None),
    ] {
        let after = expected.map(Duration::from_secs);
        let outcome = deliver(move || with_retry_after(429, value)).await;
        assert_eq!(outcome, Err(DeliverError::RetryLater { status: 429, after }), "{value}");
    }
}

#[tokio::test]
async fn a_problem_code_is_taken_only_if_it_is_one() {
    let taken = || answer(403, "application/json", r#"{"code":"e.m.trust.not-allowed","x":1}"#);
    assert_eq!(code_of(deliver(taken).await).as_deref(), Some("e.m.trust.not-allowed"));
    let problem = || answer(400, "application/problem+json", r#"{"code":"e.m.msg"}"#);
    assert_eq!(code_of(deliver(problem).await).as_deref(), Some("e.m.msg"));

    let long = format!(r#"{{"code":"{}"}}"#, "a".repeat(PROBLEM_CODE_BYTES_MAX + 1));
    let huge = format!(r#"{{"code":"e.m","pad":"{}"}}"#, "a".repeat(DELIVER_ANSWER_BYTES_MAX));
    for body in [
        "",
        "{}",
        "[]",
        "e.m.msg",
        r#"{"code":""}"#,
        r#"{"code":7}"#,
        r#"{"code":"E.M"}"#,
        r#"{"code":"e.m\u001b[31m"}"#,
        r#"{"code":"e.m trust"}"#,
        r#"{"code":"e.m.\n"}"#,
        r#"{"code":"<script>"}"#,
        &long,
        &huge,
    ] {
        let body = body.to_owned();
        let refused = deliver(move || answer(403, "application/json", body.clone())).await;
        assert_eq!(code_of(refused), None);
    }
    let page = || answer(403, "text/html", r#"{"code":"e.m.msg"}"#);
    assert_eq!(code_of(deliver(page).await), None);
}

#[tokio::test]
async fn a_demand_for_work_is_taken_only_if_it_is_one() {
    let of = |status, body: String| async move {
        deliver(move || answer(status, "application/problem+json", body.clone())).await
    };
    let demand = r#"{"code":"e.p.req.work","work":{"challenge":"aZ0-._~","bits":20,"expires":9}}"#;
    let challenge = "aZ0-._~".to_owned();
    let expected = Err(DeliverError::Charged(Demand { challenge, bits: 20 }));
    assert_eq!(of(402, demand.to_owned()).await, expected);
    assert_eq!(code_of(of(403, demand.to_owned()).await).as_deref(), Some("e.p.req.work"));

    let long = "a".repeat(CHALLENGE_BYTES_MAX + 1);
    for work in [
        r#"{"challenge":"","bits":20}"#,
        r#"{"challenge":"a b","bits":20}"#,
        r#"{"challenge":"a\r\nx: y","bits":20}"#,
        r#"{"challenge":"a"}"#,
        r#"{"challenge":"a","bits":256}"#,
        r#"{"challenge":"a","bits":-1}"#,
        r#"["a"]"#,
        "7",
        &format!(r#"{{"challenge":"{long}","bits":1}}"#),
    ] {
        let body = format!(r#"{{"code":"e.p.req.work","work":{work}}}"#);
        let code = code_of(of(402, body).await);
        assert_eq!(code.as_deref(), Some("e.p.req.work"), "{work}");
    }
}

#[tokio::test]
async fn work_is_shown_in_its_header() {
    let net = FakeNet::new(|request: Request<Incoming>| {
        let shown = request.headers().get("comity-work").cloned();
        let right = shown.is_some_and(|shown| shown == "challenge.solution");
        std::future::ready(status(if right { 202 } else { 400 }))
    });
    let deliverer = Deliverer::new(net.connector(AddressPolicy::Development));
    let envelope = Bytes::from_static(ENVELOPE.as_bytes());
    let work = Some("challenge.solution");
    let delivered = deliverer.post(URI, envelope, MediaType::Encrypted, work).await;
    assert_eq!(delivered, Ok(Delivered { status: 202, answer: None }));
}

#[tokio::test]
async fn an_envelope_in_the_answer_is_handed_on_and_nothing_else_is() {
    let envelope = || answer(200, "application/didcomm-encrypted+json", "{}");
    let expected = Answer { media_type: MediaType::Encrypted, envelope: Bytes::from("{}") };
    assert_eq!(deliver(envelope).await.unwrap().answer, Some(expected));

    let page = || answer(200, "text/html", "<html>");
    assert_eq!(deliver(page).await.unwrap().answer, None);
    let huge = Bytes::from(vec![b' '; DELIVER_ANSWER_BYTES_MAX + 1]);
    let huge = move || answer(202, "application/didcomm-encrypted+json", huge.clone());
    assert_eq!(deliver(huge).await, Ok(Delivered { status: 202, answer: None }));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_does_not_undo_the_status() {
    for (code, expected) in [
        (202, Ok(Delivered { status: 202, answer: None })),
        (403, Err(DeliverError::Refused { status: 403, code: None })),
        (503, Err(DeliverError::RetryLater { status: 503, after: None })),
    ] {
        let outcome = deliver(move || {
            let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(sender);
            });
            let mut response = answer(code, MediaType::Encrypted.as_str(), "");
            *response.body_mut() = body.boxed_unsync();
            response
        });
        assert_eq!(outcome.await, expected);
    }
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let net = FakeNet::new(|request: Request<Incoming>| async move {
        drop(request.into_body().collect().await);
        answer(202, "application/json", "{}")
    });
    let deliverer = Deliverer::new(net.connector(AddressPolicy::Development));
    for _ in 0..10 {
        post(&deliverer, URI).await.unwrap();
        // The connection goes back to the pool in a task of its own.
        tokio::task::yield_now().await;
    }
    assert!(net.dials() <= 2, "{} connections", net.dials());
}

#[tokio::test(start_paused = true)]
async fn one_host_has_a_bounded_number_of_connections() {
    let net = FakeNet::new(|_request| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        status(202)
    });
    let deliverer = Arc::new(Deliverer::new(net.connector(AddressPolicy::Development)));
    let mut posts = JoinSet::new();
    for _ in 0..4 * DELIVERIES_PER_HOST_MAX {
        let deliverer = Arc::clone(&deliverer);
        posts.spawn(async move { post(&deliverer, URI).await });
    }
    assert!(posts.join_all().await.iter().all(Result::is_ok));
    assert!(net.dials() <= 2 * DELIVERIES_PER_HOST_MAX, "{} connections", net.dials());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_reached_is_told_apart() {
    let net = FakeNet::new(|_request| std::future::pending());
    let deliverer = Deliverer::new(net.connector(AddressPolicy::Development));
    let begun = tokio::time::Instant::now();
    assert_eq!(post(&deliverer, URI).await, Err(Unreachable::TimedOut.into()));
    assert!(begun.elapsed() < DELIVER_DEADLINE + Duration::from_millis(10));

    net.refuse("127.0.0.1");
    let other = "http://localhost:7701/didcomm";
    let refused = Unreachable::Connect(ConnectError::Refused);
    assert_eq!(post(&deliverer, other).await, Err(refused.into()));
    let unknown = Unreachable::Connect(ConnectError::Lookup);
    assert_eq!(post(&deliverer, "http://nowhere.example/").await, Err(unknown.into()));
    assert!(!refused.is_lasting() && !unknown.is_lasting());
}

#[tokio::test]
async fn private_addresses_and_plain_http_are_refused_in_public() {
    let net = FakeNet::new(|_request| async { status(202) });
    let deliverer = Deliverer::new(net.connector(AddressPolicy::Public));
    for (uri, expected) in [
        (URI, Unreachable::Scheme),
        ("https://localhost/didcomm", Unreachable::Connect(ConnectError::AddressDenied)),
        ("https://10.0.0.1/didcomm", Unreachable::Connect(ConnectError::AddressDenied)),
        ("https://a@8.8.8.8/didcomm", Unreachable::Url),
        ("didcomm:transport/queue", Unreachable::Url),
        ("did:web:org-b.example", Unreachable::Url),
    ] {
        assert_eq!(post(&deliverer, uri).await, Err(expected.into()), "{uri}");
        assert!(expected.is_lasting());
    }
    assert_eq!(net.dials(), 0);
}

#[tokio::test]
async fn two_nodes_speak_over_real_sockets() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let router = Router::new(move |request: Request<Incoming>| {
        let counted = Arc::clone(&counted);
        async move {
            let body = request.into_body();
            let body = read_body(body, 1_024, Duration::from_secs(10)).await.unwrap();
            assert_eq!(body, ENVELOPE);
            counted.fetch_add(1, SeqCst);
            status(202)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://127.0.0.1:{}/didcomm", listener.local_addr().unwrap().port());
    let counters = Arc::new(ListenCounters::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let limits = ListenLimits::default();
    let server = tokio::spawn(serve(listener, router, limits, Arc::clone(&counters), shutdown));

    let safe = SafeConnector::new(AddressPolicy::Development);
    let deliverer = Deliverer::new(PeerConnector::new(safe, Trust::Native));
    for _ in 0..20 {
        assert_eq!(post(&deliverer, &uri).await.unwrap().status, 202);
    }
    drop(stop);
    // An idle connection of the pool does not hold the drain up.
    assert_eq!(server.await.unwrap().cut_off, 0);
    assert_eq!(taken.load(SeqCst), 20);
    assert_eq!(counters.figures().open, 0);
}
