//! Sessions with peers of every temper, over a network in memory.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{accept_async, tungstenite::protocol::frame::coding::CloseCode};

use super::*;
use crate::{
    AddressPolicy, BoxFuture, Dial, Duplex, SafeConnector, SystemLookup, Trust,
    testing::{FakeNet, status},
};

const URI: &str = "ws://127.0.0.1:7700/didcomm";
const ENVELOPE: &str = r#"{"protected":"e30"}"#;

type Server = WebSocketStream<DuplexStream>;

/// A network in which every address answers with one peer.
struct OnePeer<F> {
    dials: AtomicUsize,
    peer: F,
}

impl<F, R> Dial for OnePeer<F>
where
    F: Fn(DuplexStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn dial(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        self.dials.fetch_add(1, SeqCst);
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn((self.peer)(theirs));
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Duplex>) })
    }
}

fn dialer<F, R>(policy: AddressPolicy, peer: F) -> SocketDialer
where
    F: Fn(DuplexStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let dial = Arc::new(OnePeer { dials: AtomicUsize::new(0), peer });
    let safe = SafeConnector::with_network(policy, Arc::new(SystemLookup), dial);
    SocketDialer::new(PeerConnector::new(safe, Trust::Native))
}

/// Opens a session with a peer that does this.
async fn session<F, R>(serve: F) -> PeerSocket
where
    F: Fn(Server) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let dialer = dialer(AddressPolicy::Development, move |stream| {
        let serve = serve.clone();
        async move { serve(accept_async(stream).await.unwrap()).await }
    });
    dialer.open(URI).await.unwrap()
}

async fn is_over<T>(_keep: T) {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn envelopes_go_both_ways_one_a_message() {
    let mut socket = session(|mut server: Server| async move {
        while let Some(Ok(message)) = server.next().await {
            // Text or binary: an envelope is taken from both.
            let back = Message::binary(message.into_data());
            server.send(back).await.unwrap();
        }
    })
    .await;
    for number in 0..3 {
        let envelope = format!("{ENVELOPE} {number}");
        socket.send(&envelope).await.unwrap();
        assert_eq!(socket.next().await.unwrap(), envelope.as_bytes());
    }
    socket.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_admitted_is_never_connected_to() {
    let dial = Arc::new(OnePeer { dials: AtomicUsize::new(0), peer: is_over::<DuplexStream> });
    let network: Arc<dyn Dial> = Arc::<OnePeer<_>>::clone(&dial);
    let safe = SafeConnector::with_network(AddressPolicy::Public, Arc::new(SystemLookup), network);
    let dialer = SocketDialer::new(PeerConnector::new(safe, Trust::Native));
    for (uri, why) in [
        ("wss://127.0.0.1/", SocketError::Connect(ConnectError::AddressDenied)),
        ("wss://10.0.0.1/", SocketError::Connect(ConnectError::AddressDenied)),
        ("ws://8.8.8.8/", SocketError::Scheme),
        ("https://8.8.8.8/", SocketError::Scheme),
        ("wss://user@8.8.8.8/", SocketError::Url),
    ] {
        // Whether certificates are installed is not what is tested.
        let found = dialer.open(uri).await.unwrap_err();
        let no_roots = SocketError::Connect(ConnectError::NoTrustRoots);
        assert!(found == why || found == no_roots, "{uri}: {found:?}");
    }
    assert_eq!(dial.dials.load(SeqCst), 0);
}

#[tokio::test]
async fn a_peer_that_opens_no_session_says_so_by_its_status() {
    let net = FakeNet::new(|_request| async { status(429) });
    let dialer = SocketDialer::new(net.connector(AddressPolicy::Development));
    let refused = dialer.open("ws://localhost:7700/").await.unwrap_err();
    assert_eq!(refused, SocketError::Refused { status: 429 });
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_shake_hands_is_left() {
    let dialer = dialer(AddressPolicy::Development, is_over);
    assert_eq!(dialer.open(URI).await.unwrap_err(), SocketError::TimedOut);
}

#[tokio::test]
async fn a_close_tells_the_problem_code_and_no_other_words() {
    for (reason, problem) in
        [("e.m.trust.crypto", Some("e.m.trust.crypto")), ("\u{1b}[31m you lose", None), ("", None)]
    {
        let mut socket = session(move |mut server: Server| async move {
            let frame = CloseFrame { code: CloseCode::Policy, reason: reason.into() };
            server.close(Some(frame)).await.unwrap();
        })
        .await;
        let closed = SocketError::Closed { code: Some(1008), problem: problem.map(str::to_owned) };
        assert_eq!(socket.next().await.unwrap_err(), closed);
    }
}

#[tokio::test]
async fn what_is_too_large_is_neither_sent_nor_taken() {
    let large = "x".repeat(SOCKET_MESSAGE_BYTES_MAX + 1);
    let mut socket = session({
        let large = large.clone();
        move |mut server: Server| {
            let large = large.clone();
            async move {
                drop(server.send(Message::text(large)).await);
                is_over(server).await;
            }
        }
    })
    .await;
    assert_eq!(socket.send(&large).await, Err(SocketError::TooLarge));
    assert_eq!(socket.next().await.unwrap_err(), SocketError::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_session_lives_while_the_peer_answers_pings() {
    let mut socket = session(|mut server: Server| async move {
        // Reading answers pings. After three of them it has something to say.
        let mut pings = 0;
        while pings < 3 {
            if matches!(server.next().await, Some(Ok(Message::Ping(_)))) {
                pings += 1;
            }
        }
        server.send(Message::text(ENVELOPE)).await.unwrap();
        is_over(server).await;
    })
    .await;
    let opened = Instant::now();
    assert_eq!(socket.next().await.unwrap(), ENVELOPE);
    assert!(SOCKET_SILENCE_MAX < opened.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_gone() {
    let mut socket = session(is_over).await;
    let opened = Instant::now();
    assert_eq!(socket.next().await.unwrap_err(), SocketError::Silent);
    assert_eq!(opened.elapsed(), SOCKET_SILENCE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_is_left() {
    let mut socket = session(is_over).await;
    let envelope = "x".repeat(SOCKET_MESSAGE_BYTES_MAX);
    assert_eq!(socket.send(&envelope).await, Err(SocketError::TimedOut));
}
