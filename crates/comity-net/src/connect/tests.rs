//! The connector under a resolver that answers what an attacker would, with a spy on its sockets.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::{
    address::tests::{LOOPBACK, SPECIAL},
    limits::LOOKUP_ADDRESSES_MAX,
    testing::{FakeNet, status},
};

fn net() -> Arc<FakeNet> {
    FakeNet::new(|_request| async { status(200) })
}

fn url_host(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

async fn connect(connector: &SafeConnector, url: &str) -> Result<PeerStream, ConnectError> {
    connector.clone().call(url.parse().unwrap()).await
}

#[tokio::test]
async fn no_socket_is_opened_to_a_denied_address_given_as_a_literal() {
    let net = net();
    let connector = net.safe(AddressPolicy::Public);
    for address in SPECIAL.iter().chain(LOOPBACK) {
        let outcome = connect(&connector, &format!("https://{}:8443/", url_host(address))).await;
        assert_eq!(outcome.err(), Some(ConnectError::AddressDenied), "{address}");
    }
    assert_eq!(net.dials(), 0);
    assert!(net.lookups.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_socket_is_opened_to_a_denied_address_behind_a_name() {
    let net = net();
    let connector = net.safe(AddressPolicy::Public);
    for (number, address) in SPECIAL.iter().chain(LOOPBACK).enumerate() {
        let host = format!("n{number}.example");
        net.name(&host, &[address]);
        let outcome = connect(&connector, &format!("https://{host}/")).await;
        assert_eq!(outcome.err(), Some(ConnectError::AddressDenied), "{address}");
    }
    assert_eq!(net.dials(), 0);
}

#[tokio::test]
async fn one_denied_address_denies_the_host() {
    let net = net();
    net.name("mixed.example", &["8.8.8.8", "2606:4700::1", "169.254.169.254", "1.1.1.1"]);
    let outcome = connect(&net.safe(AddressPolicy::Public), "https://mixed.example/").await;
    assert_eq!(outcome.err(), Some(ConnectError::AddressDenied));
    assert_eq!(net.dials(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_checked_address_is_dialed() {
    // DNS rebinding: the second answer would be the cloud's metadata service.
    let net = net();
    net.name("rebind.example", &["8.8.8.8"]);
    net.name("rebind.example", &["169.254.169.254"]);
    let connector = net.safe(AddressPolicy::Public);
    assert!(connect(&connector, "https://rebind.example/").await.is_ok());
    assert_eq!(net.lookups.lock().unwrap().len(), 1);

    let again = connect(&connector, "https://rebind.example/").await;
    assert_eq!(again.err(), Some(ConnectError::AddressDenied));
    assert_eq!(*net.dialed.lock().unwrap(), ["8.8.8.8:443".parse().unwrap()]);
}

#[tokio::test]
async fn answers_that_flip_never_reach_a_denied_address() {
    let net = net();
    for round in 0..100 {
        net.name("flip.example", &[if round % 3 == 0 { "1.1.1.1" } else { "10.0.0.1" }]);
    }
    let connector = net.safe(AddressPolicy::Public);
    let mut connected = 0;
    for _ in 0..100 {
        connected += usize::from(connect(&connector, "https://flip.example/").await.is_ok());
    }
    assert_eq!(connected, 34);
    let allowed: SocketAddr = "1.1.1.1:443".parse().unwrap();
    assert!(net.dialed.lock().unwrap().iter().all(|dialed| *dialed == allowed));
}

#[tokio::test]
async fn odd_spellings_of_loopback_are_denied_as_the_system_reads_them() {
    struct Spy(AtomicUsize);

    impl Dial for Spy {
        fn dial(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
            self.0.fetch_add(1, SeqCst);
            Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
        }
    }

    let spy = Arc::new(Spy(AtomicUsize::new(0)));
    let dial = Arc::<Spy>::clone(&spy);
    let connector =
        SafeConnector::with_network(AddressPolicy::Public, Arc::new(SystemLookup), dial);
    for host in ["127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "localhost"] {
        let outcome = connect(&connector, &format!("https://{host}/")).await;
        let refused = matches!(outcome, Err(ConnectError::AddressDenied | ConnectError::Lookup));
        assert!(refused, "{host}");
    }
    assert_eq!(spy.0.load(SeqCst), 0);
}

#[tokio::test]
async fn ports_below_1024_are_closed_but_for_the_web() {
    let net = net();
    net.name("org-b.example", &["8.8.8.8"]);
    let connector = net.safe(AddressPolicy::Public);
    for port in [22, 25, 53, 1023] {
        let outcome = connect(&connector, &format!("https://org-b.example:{port}/")).await;
        assert_eq!(outcome.err(), Some(ConnectError::AddressDenied));
    }
    assert_eq!(net.dials(), 0);
    assert!(connect(&connector, "https://org-b.example:8443/").await.is_ok());
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let net = net();
    net.name("org-b.example", &["2606:4700::1", "8.8.8.8"]);
    net.refuse("2606:4700::1");
    let connector = net.safe(AddressPolicy::Public);
    assert!(connect(&connector, "https://org-b.example/").await.is_ok());
    assert_eq!(net.dials(), 2);

    net.refuse("8.8.8.8");
    let outcome = connect(&connector, "https://org-b.example/").await;
    assert_eq!(outcome.err(), Some(ConnectError::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_costs_no_more_than_the_deadline() {
    let net = net();
    net.name("one.example", &["8.8.8.8"]);
    net.name("many.example", &["8.8.8.8"; 16]);
    net.hang("8.8.8.8");
    let connector = net.safe(AddressPolicy::Public);
    for (host, expected) in
        [("one.example", ConnectError::Refused), ("many.example", ConnectError::TimedOut)]
    {
        let begun = tokio::time::Instant::now();
        let outcome = connect(&connector, &format!("https://{host}/")).await;
        assert_eq!(outcome.err(), Some(expected));
        assert!(begun.elapsed() <= CONNECT_DEADLINE);
    }
}

#[tokio::test]
async fn a_lookup_without_or_with_too_many_addresses_is_refused() {
    let net = net();
    net.name("none.example", &[]);
    net.name("many.example", &["8.8.8.8"; LOOKUP_ADDRESSES_MAX + 1]);
    let connector = net.safe(AddressPolicy::Public);
    for host in ["none.example", "many.example", "unknown.example"] {
        let outcome = connect(&connector, &format!("https://{host}/")).await;
        assert_eq!(outcome.err(), Some(ConnectError::Lookup), "{host}");
    }
    assert_eq!(net.dials(), 0);
}
