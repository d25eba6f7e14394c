//! The accept loop against peers that are slow, silent, many or malformed. Connections are pipes
//! in memory and time is paused, so the deadlines are exact and cost nothing.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::upgrade;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::testing::{Body as Answer, Router, answer, status};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: node\r\n\r\n";
const POST_TWO: &[u8] = b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 2\r\n\r\n";

type Connection = io::Result<(DuplexStream, SocketAddr)>;

/// What listens in these tests: a channel of pipes.
struct Pipes(mpsc::UnboundedReceiver<Connection>);

impl Accept for Pipes {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> Connection {
        match self.0.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }
}

struct Server {
    connections: mpsc::UnboundedSender<Connection>,
    counters: Arc<ListenCounters>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Server {
    fn start(limits: ListenLimits, router: Router) -> Self {
        let (connections, pipes) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let counters = Arc::new(ListenCounters::default());
        let shutdown = async { drop(stopped.await) };
        let serving = serve(Pipes(pipes), router, limits, Arc::clone(&counters), shutdown);
        Self { connections, counters, stop, task: tokio::spawn(serving) }
    }

    fn connect_from(&self, address: &str) -> DuplexStream {
        let (ours, theirs) = duplex(4_096);
        let peer = SocketAddr::new(address.parse().unwrap(), 50_000);
        self.connections.send(Ok((theirs, peer))).unwrap();
        ours
    }

    fn connect(&self) -> DuplexStream {
        self.connect_from("192.0.2.1")
    }
}

fn hello() -> Router {
    Router::new(|_request| async { answer(200, "text/plain", "hello") })
}

/// Reads to the end of the connection and tells how long that took.
async fn rest(stream: &mut DuplexStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    (String::from_utf8(bytes).unwrap(), begun.elapsed())
}

/// Reads an answer that ends in `hello`.
async fn read_hello(stream: &mut DuplexStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        seen.push(stream.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
    String::from_utf8(seen).unwrap()
}

fn about(elapsed: Duration, seconds: u64) -> bool {
    let expected = Duration::from_secs(seconds);
    (expected..expected + Duration::from_millis(50)).contains(&elapsed)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_speaks_is_closed_at_the_header_deadline() {
    let server = Server::start(ListenLimits::default(), hello());
    let (bytes, elapsed) = rest(&mut server.connect()).await;
    assert_eq!(bytes, "");
    assert!(about(elapsed, 10), "{elapsed:?}");
    assert_eq!(server.counters.figures().header_timeouts, 1);
    assert_eq!(server.counters.figures().open, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_brought_is_known_at_its_next_request_and_at_no_other_connection() {
    let router = Router::new(|request| async move {
        let welcome = request.extensions().get::<Welcome>().unwrap();
        let was = welcome.was();
        welcome.set(!was);
        answer(200, "text/plain", if was { "welcome hello" } else { "hello" })
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut streams = [server.connect(), server.connect()];
    let mut seen = Vec::new();
    for number in [0, 0, 1, 0] {
        let stream = &mut streams[number];
        stream.write_all(GET).await.unwrap();
        seen.push(read_hello(stream).await.contains("welcome"));
    }
    assert_eq!(seen, [false, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_trickling_head_is_closed_at_the_header_deadline() {
    let server = Server::start(ListenLimits::default(), hello());
    let (mut reader, mut writer) = tokio::io::split(server.connect());
    let trickle = tokio::spawn(async move {
        for byte in GET.iter().cycle().take(29) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    let begun = Instant::now();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.is_empty());
    assert!(about(begun.elapsed(), 10));
    assert_eq!(server.counters.figures().header_timeouts, 1);
    trickle.abort();
}

#[tokio::test(start_paused = true)]
async fn silence_between_requests_has_the_idle_deadline() {
    let server = Server::start(ListenLimits::default(), hello());
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(GET).await.unwrap();
        read_hello(&mut stream).await;
        sleep(Duration::from_secs(59)).await;
    }
    stream.write_all(GET).await.unwrap();
    read_hello(&mut stream).await;
    let (bytes, elapsed) = rest(&mut stream).await;
    assert_eq!(bytes, "");
    assert!(about(elapsed, 60), "{elapsed:?}");
    assert_eq!(server.counters.figures().idle_closes, 1);
    assert_eq!(server.counters.figures().header_timeouts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_later_head_must_be_whole_within_the_header_deadline() {
    let server = Server::start(ListenLimits::default(), hello());
    let mut stream = server.connect();
    stream.write_all(GET).await.unwrap();
    read_hello(&mut stream).await;
    sleep(Duration::from_secs(30)).await;
    stream.write_all(b"GET / HT").await.unwrap();
    let (_, elapsed) = rest(&mut stream).await;
    assert!(about(elapsed, 10), "{elapsed:?}");
    assert_eq!(server.counters.figures().header_timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_a_slow_head() {
    let router = Router::new(|_request| async {
        sleep(Duration::from_secs(300)).await;
        answer(200, "text/plain", "hello")
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut stream = server.connect();
    stream.write_all(GET).await.unwrap();
    read_hello(&mut stream).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_has_the_deadline_of_its_reader() {
    let router = Router::new(|request: Request<Incoming>| async {
        let body = crate::read_body(request.into_body(), 16, Duration::from_secs(20)).await;
        status(if body == Err(crate::BodyError::TimedOut) { 408 } else { 200 })
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut stream = server.connect();
    stream.write_all(POST_TWO).await.unwrap();
    stream.write_all(b"a").await.unwrap();
    let (bytes, elapsed) = rest(&mut stream).await;
    assert!(bytes.starts_with("HTTP/1.1 408 "), "{bytes}");
    assert!(about(elapsed, 20), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let router = Router::new(|_request| async { answer(200, "text/plain", vec![b'a'; 1 << 20]) });
    let server = Server::start(ListenLimits::default(), router);
    let mut stream = server.connect();
    stream.write_all(GET).await.unwrap();
    sleep(Duration::from_secs(29)).await;
    assert_eq!(server.counters.figures().open, 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.counters.figures().open, 0);
    assert_eq!(server.counters.figures().write_stalls, 1);
}

#[tokio::test(start_paused = true)]
async fn one_address_over_its_cap_is_closed_at_once() {
    let limits = ListenLimits { connections_per_address_max: 2, ..Default::default() };
    let server = Server::start(limits, hello());
    let _held = [server.connect(), server.connect()];
    let (bytes, elapsed) = rest(&mut server.connect()).await;
    assert_eq!((bytes.as_str(), elapsed), ("", Duration::ZERO));

    let mut other = server.connect_from("192.0.2.2");
    other.write_all(GET).await.unwrap();
    read_hello(&mut other).await;
    assert_eq!(server.counters.figures().refused_address, 1);
    assert_eq!(server.counters.figures().open, 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_listener_closes_at_once_and_recovers() {
    let limits = ListenLimits { connections_max: 1, ..Default::default() };
    let server = Server::start(limits, hello());
    let held = server.connect();
    let (_, elapsed) = rest(&mut server.connect_from("192.0.2.2")).await;
    assert_eq!(elapsed, Duration::ZERO);
    assert_eq!(server.counters.figures().refused_full, 1);

    drop(held);
    sleep(Duration::from_millis(1)).await;
    let mut next = server.connect_from("192.0.2.3");
    next.write_all(GET).await.unwrap();
    read_hello(&mut next).await;
}

#[tokio::test(start_paused = true)]
async fn the_handler_knows_the_peers_address() {
    let router = Router::new(|request: Request<Incoming>| async move {
        let PeerAddr(peer) = request.extensions().get().copied().unwrap();
        assert_eq!(peer.to_string(), "192.0.2.1:50000");
        answer(200, "text/plain", "hello")
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut stream = server.connect();
    stream.write_all(GET).await.unwrap();
    read_hello(&mut stream).await;
}

#[tokio::test(start_paused = true)]
async fn malformed_and_oversized_heads_are_answered_and_closed() {
    let server = Server::start(ListenLimits::default(), hello());
    let large = format!("GET / HTTP/1.1\r\nHost: node\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    for (head, expected) in [
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\nHost: node\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\nHost : node\r\n\r\n", "HTTP/1.1 400 "),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 "),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "HTTP/1.1 400 "),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400 "),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 "),
        (&large, "HTTP/1.1 431 "),
        (&many, "HTTP/1.1 431 "),
    ] {
        let (mut reader, mut writer) = tokio::io::split(server.connect());
        let head = head.to_owned();
        let write = tokio::spawn(async move { drop(writer.write_all(head.as_bytes()).await) });
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        let answered = String::from_utf8(bytes).unwrap();
        assert!(answered.starts_with(expected), "{answered}");
        write.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_second_request_is_taken_after_a_chunked_one() {
    let router = Router::new(|request: Request<Incoming>| async {
        drop(request.into_body().collect().await);
        answer(200, "text/plain", "hello")
    });
    let server = Server::start(ListenLimits::default(), router);
    for lengths in ["Content-Length: 5\r\n", ""] {
        let mut stream = server.connect();
        let smuggled = format!(
            "POST / HTTP/1.1\r\nHost: node\r\n{lengths}Transfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\nGET /admin HTTP/1.1\r\nHost: node\r\n\r\n"
        );
        stream.write_all(smuggled.as_bytes()).await.unwrap();
        let (bytes, _) = rest(&mut stream).await;
        assert_eq!(bytes.matches("HTTP/1.1").count(), 1, "{bytes}");
        assert!(bytes.contains("connection: close"), "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let router = Router::new(move |_request| {
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.acquire().await.unwrap().forget();
            answer(200, "text/plain", "hello")
        }
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut busy = server.connect();
    busy.write_all(GET).await.unwrap();
    let mut idle = server.connect_from("192.0.2.2");
    idle.write_all(GET).await.unwrap();
    gate.add_permits(1);
    sleep(Duration::from_millis(1)).await;
    server.stop.send(()).unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(server.connections.send(Ok((duplex(1).0, "192.0.2.3:1".parse().unwrap()))).is_err());
    gate.add_permits(1);
    let answers = [rest(&mut busy).await.0, rest(&mut idle).await.0];
    assert!(answers.iter().all(|bytes| bytes.ends_with("hello")), "{answers:?}");
    assert_eq!(server.task.await.unwrap(), Drained { cut_off: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline() {
    let router = Router::new(|_request| std::future::pending());
    let server = Server::start(ListenLimits::default(), router);
    let mut streams = [server.connect(), server.connect()];
    for stream in &mut streams {
        stream.write_all(GET).await.unwrap();
    }
    sleep(Duration::from_millis(1)).await;
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(server.task.await.unwrap(), Drained { cut_off: 2 });
    assert!(about(begun.elapsed(), 10));
    assert_eq!(server.counters.figures().open, 0);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_keeps_its_seat_until_it_is_closed() {
    let router = Router::new(|mut request: Request<Incoming>| async move {
        let upgraded = upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut socket = TokioIo::new(upgraded.await.unwrap());
            let mut ping = [0; 4];
            socket.read_exact(&mut ping).await.unwrap();
            socket.write_all(&ping).await.unwrap();
            // Open, and silent for much longer than any deadline of a request.
            drop(socket.read_u8().await);
        });
        let mut response: Response<Answer> = status(101);
        let headers = response.headers_mut();
        headers.insert("connection", HeaderValue::from_static("upgrade"));
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        response
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut stream = server.connect();
    let head = b"GET / HTTP/1.1\r\nHost: node\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"ping").await.unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"ping");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(server.counters.figures().open, 1);
    drop(stream);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(server.counters.figures().open, 0);
}

#[tokio::test(start_paused = true)]
async fn failures_of_accepting_are_met_with_pauses() {
    let server = Server::start(ListenLimits::default(), hello());
    let begun = Instant::now();
    for _ in 0..10 {
        server.connections.send(Err(io::Error::other("no file descriptor left"))).unwrap();
    }
    server.connections.send(Err(io::ErrorKind::ConnectionAborted.into())).unwrap();
    let mut stream = server.connect();
    stream.write_all(GET).await.unwrap();
    read_hello(&mut stream).await;
    // 10 + 20 + ... + 640 ms, then a second each; the aborted connection costs nothing.
    let expected = Duration::from_millis(1_270 + 3 * 1_000);
    let elapsed = begun.elapsed();
    assert!((expected..expected + Duration::from_millis(50)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(server.counters.figures().accept_errors, 10);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handler_takes_only_its_connection_with_it() {
    let router = Router::new(|request: Request<Incoming>| async move {
        assert_ne!(request.uri(), "/panic", "as the test wants it");
        answer(200, "text/plain", "hello")
    });
    let server = Server::start(ListenLimits::default(), router);
    let mut bad = server.connect();
    bad.write_all(b"GET /panic HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
    assert_eq!(rest(&mut bad).await.0, "");
    let mut good = server.connect();
    good.write_all(GET).await.unwrap();
    read_hello(&mut good).await;
    assert_eq!(server.counters.figures().open, 1);
}
