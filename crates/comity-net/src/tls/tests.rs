//! Real handshakes with a server on a loopback port, whose certificate is a fixture.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{io::duplex, time::Instant};

use super::*;
use crate::{
    FetchError, Fetcher,
    connect::{Dial, Duplex, Lookup, SystemDial},
    testing::{FakeNet, answer},
};

const CA: &[u8] = include_bytes!("fixtures/ca.der");
const CERTIFICATE: &[u8] = include_bytes!("fixtures/localhost.der");
const KEY: &[u8] = include_bytes!("fixtures/localhost.key.der");

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                        Content-Length: 2\r\nConnection: close\r\n\r\n{}";

/// Answers one connection.
fn serve_once() -> (u16, JoinHandle<io::Result<()>>) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let mut seen = Vec::new();
        let mut byte = [0; 1];
        while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
            seen.extend(byte);
        }
        stream.write_all(ANSWER)?;
        stream.flush()
    });
    (port, server)
}

fn authority(der: &'static [u8]) -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der)).unwrap();
    Trust::Only(Arc::new(roots))
}

/// Finds every name on this machine.
struct Here;

impl Lookup for Here {
    fn lookup<'a>(
        &'a self,
        _host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    }
}

async fn fetch(host: &str, port: u16, trust: Trust) -> Result<bytes::Bytes, FetchError> {
    let policy = AddressPolicy::Development;
    let safe = SafeConnector::with_network(policy, Arc::new(Here), Arc::new(SystemDial));
    let fetcher = Fetcher::new(PeerConnector::new(safe, trust));
    fetcher.get(&format!("https://{host}:{port}/did.json"), "application/json").await
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    for host in ["localhost", "127.0.0.1"] {
        let (port, server) = serve_once();
        assert_eq!(fetch(host, port, authority(CA)).await.unwrap(), "{}");
        server.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let refused = Err(FetchError::Connect(ConnectError::Tls));
    for (host, trust) in [
        // For another name; from an authority that is not trusted.
        ("org-b.example", authority(CA)),
        ("sub.localhost", authority(CA)),
        ("localhost", authority(CERTIFICATE)),
    ] {
        let (port, server) = serve_once();
        assert_eq!(fetch(host, port, trust).await, refused, "{host}");
        assert!(server.join().unwrap().is_err());
    }
}

#[tokio::test]
async fn missing_roots_matter_to_https_only() {
    let net = FakeNet::new(|_request| async { answer(200, "application/json", "{}") });
    let none = Trust::Only(Arc::new(RootCertStore::empty()));
    let connector = PeerConnector::new(net.safe(AddressPolicy::Development), none);
    let fetcher = Fetcher::new(connector);
    let https = fetcher.get("https://localhost:8443/did.json", "application/json").await;
    assert_eq!(https, Err(FetchError::Connect(ConnectError::NoTrustRoots)));
    assert_eq!(net.dials(), 0);
    assert!(fetcher.get("http://localhost:8080/did.json", "application/json").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_meets_the_deadline() {
    struct Silent;

    impl Dial for Silent {
        fn dial(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
            let (ours, theirs) = duplex(64 * 1024);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                drop(theirs);
            });
            Box::pin(async move { Ok(Box::new(ours) as Box<dyn Duplex>) })
        }
    }

    let policy = AddressPolicy::Development;
    let safe = SafeConnector::with_network(policy, Arc::new(Here), Arc::new(Silent));
    let mut connector = PeerConnector::new(safe, authority(CA));
    let begun = Instant::now();
    let outcome = connector.call(Uri::from_static("https://localhost/")).await;
    assert_eq!(outcome.err(), Some(ConnectError::TimedOut));
    assert!(begun.elapsed() <= CONNECT_DEADLINE + Duration::from_millis(10));
}
