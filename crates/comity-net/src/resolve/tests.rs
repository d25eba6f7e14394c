//! The resolver with hosts that are wrong, slow or away, under paused time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use comity_didcomm::{Endpoint, PublicKey, SigningKey};
use http::Response;
use serde_json::json;
use tokio::{task::JoinSet, time::advance};

use super::*;
use crate::testing::{Body, FakeNet, answer, status};

const DID: &str = "did:web:localhost%3A7700:agents:bruno";

/// A did:web host that counts, and whose answer can be changed.
struct Host {
    net: Arc<FakeNet>,
    fetches: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Host {
    fn new() -> Self {
        let fetches = Arc::new(AtomicUsize::new(0));
        let paths = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new((200, document(DID))));
        let shared = (Arc::clone(&fetches), Arc::clone(&paths), Arc::clone(&answer));
        let net = FakeNet::new(move |request| {
            shared.0.fetch_add(1, SeqCst);
            shared.1.lock().unwrap().push(request.uri().to_string());
            let answer = shared.2.lock().unwrap().clone();
            async move { respond(answer) }
        });
        Self { net, fetches, paths, answer }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(Arc::new(self.net.fetcher()), Arc::new(NoLocalDocuments))
    }

    fn fetches(&self) -> usize {
        self.fetches.load(SeqCst)
    }

    fn answers(&self, status: u16, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }
}

fn respond((code, body): (u16, String)) -> Response<Body> {
    if code == 200 { answer(200, "application/did+json", body) } else { status(code) }
}

fn document(id: &str) -> String {
    json!({ "@context": ["https://www.w3.org/ns/did/v1"], "id": id }).to_string()
}

fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

fn peer_4() -> did::peer::PeerDid {
    let keys: [PublicKey; 1] = [SigningKey::from_seed([7; 32].into()).public()];
    did::peer::create_4(&keys, &[Endpoint::new("https://org-b.example/didcomm")]).unwrap()
}

#[tokio::test]
async fn a_did_web_is_fetched_from_where_the_method_says() {
    let host = Host::new();
    let resolver = host.resolver();
    for (text, path) in
        [(DID, "/agents/bruno/did.json"), ("did:web:localhost%3A7700", "/.well-known/did.json")]
    {
        host.answers(200, document(text));
        let resolved = resolver.resolve(&did(text)).await.unwrap();
        assert_eq!(resolved.document.id, did(text));
        assert_eq!(resolved.source, Source::Fetched);
        assert_eq!(host.paths.lock().unwrap().pop().unwrap(), path);
    }
}

#[tokio::test]
async fn a_document_of_another_did_is_refused() {
    let host = Host::new();
    for body in [
        document("did:web:localhost%3A7700:agents:eve"),
        document("did:web:localhost%3A7700:agents:Bruno"),
        document("did:web:localhost%3a7700:agents:bruno"),
        document(&format!("{DID}#key-1")),
        document(""),
        "{}".to_owned(),
        "[]".to_owned(),
        "not json".to_owned(),
        String::new(),
    ] {
        host.answers(200, body.clone());
        let outcome = host.resolver().resolve(&did(DID)).await;
        assert_eq!(outcome.unwrap_err(), ResolveError::InvalidDocument, "{body}");
    }
}

#[tokio::test]
async fn a_missing_document_is_an_error_that_says_nothing_to_peers() {
    let host = Host::new();
    host.answers(404, String::new());
    let error = host.resolver().resolve(&did(DID)).await.unwrap_err();
    assert_eq!(error, ResolveError::Fetch(FetchError::NotFound));
    assert!(!error.is_transient());
    assert_eq!(error.code(), "e.p.did.unresolvable");
}

#[tokio::test]
async fn a_did_web_at_a_private_address_opens_no_socket() {
    let host = Host::new();
    for address in ["10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "0.0.0.0"] {
        let outcome = host.resolver().resolve(&did(&format!("did:web:{address}"))).await;
        assert!(matches!(outcome, Err(ResolveError::Fetch(FetchError::Connect(_)))), "{address}");
    }
    assert_eq!(host.net.dials(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_askers_cause_one_fetch() {
    for (code, is_ok) in [(200, true), (404, false)] {
        let host = Host::new();
        host.answers(code, document(DID));
        let resolver = Arc::new(host.resolver());
        let mut askers = JoinSet::new();
        for number in 0..1_000 {
            let resolver = Arc::clone(&resolver);
            askers.spawn(async move {
                if number % 2 == 0 {
                    resolver.resolve(&did(DID)).await.is_ok()
                } else {
                    resolver.resolve_fresh(&did(DID)).await.is_ok()
                }
            });
        }
        assert!(askers.join_all().await.into_iter().all(|outcome| outcome == is_ok));
        assert_eq!(host.fetches(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_asker_leaves_the_fetch_to_the_next() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let net = FakeNet::new(move |_request| {
        let call = counted.fetch_add(1, SeqCst);
        async move {
            if call == 0 {
                std::future::pending::<()>().await;
            }
            respond((200, document(DID)))
        }
    });
    let resolver = Arc::new(Resolver::new(Arc::new(net.fetcher()), Arc::new(NoLocalDocuments)));
    let first = {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&did(DID)).await })
    };
    let second = {
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move { resolver.resolve(&did(DID)).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.abort();
    assert!(second.await.unwrap().is_ok());
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_document_is_used_for_five_minutes() {
    let host = Host::new();
    let resolver = host.resolver();
    let first = resolver.resolve(&did(DID)).await.unwrap();
    advance(Duration::from_secs(299)).await;
    assert!(Arc::ptr_eq(&first, &resolver.resolve(&did(DID)).await.unwrap()));
    assert_eq!(host.fetches(), 1);
    advance(Duration::from_secs(1)).await;
    assert!(first.fetched_at < resolver.resolve(&did(DID)).await.unwrap().fetched_at);
    assert_eq!(host.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_half_a_minute() {
    let host = Host::new();
    host.answers(404, String::new());
    let resolver = host.resolver();
    assert!(resolver.resolve(&did(DID)).await.is_err());
    host.answers(200, document(DID));
    advance(Duration::from_secs(29)).await;
    assert!(resolver.resolve(&did(DID)).await.is_err());
    assert!(resolver.resolve_fresh(&did(DID)).await.is_err());
    assert_eq!(host.fetches(), 1);
    advance(Duration::from_secs(1)).await;
    // A refresh need not wait for its minute when the failure is over before.
    assert!(resolver.resolve_fresh(&did(DID)).await.is_ok());
    assert!(resolver.resolve(&did(DID)).await.is_ok());
    assert_eq!(host.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_made_once_a_minute_at_most() {
    let host = Host::new();
    let resolver = host.resolver();
    resolver.resolve(&did(DID)).await.unwrap();
    let mut fetches = Vec::new();
    for second in 0..130 {
        let before = host.fetches();
        resolver.resolve_fresh(&did(DID)).await.unwrap();
        if host.fetches() != before {
            fetches.push(second);
        }
        advance(Duration::from_secs(1)).await;
    }
    // Not while the document is as fresh as any; then once, and again after a minute.
    assert_eq!(fetches, [1, 61, 121]);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_was_fetched_when_its_time_was_over_can_be_refreshed_soon() {
    let host = Host::new();
    let resolver = host.resolver();
    resolver.resolve(&did(DID)).await.unwrap();
    advance(Duration::from_secs(301)).await;
    resolver.resolve(&did(DID)).await.unwrap();
    advance(Duration::from_secs(5)).await;
    resolver.resolve_fresh(&did(DID)).await.unwrap();
    assert_eq!(host.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_keeps_the_document_until_its_time() {
    let host = Host::new();
    let resolver = host.resolver();
    let first = resolver.resolve(&did(DID)).await.unwrap();
    host.answers(503, String::new());
    advance(Duration::from_secs(61)).await;
    assert!(Arc::ptr_eq(&first, &resolver.resolve_fresh(&did(DID)).await.unwrap()));
    assert!(Arc::ptr_eq(&first, &resolver.resolve_fresh(&did(DID)).await.unwrap()));
    assert_eq!(host.fetches(), 2);
    advance(Duration::from_secs(240)).await;
    assert!(resolver.resolve(&did(DID)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_finds_the_document_gone_forgets_it() {
    let host = Host::new();
    let resolver = host.resolver();
    resolver.resolve(&did(DID)).await.unwrap();
    host.answers(404, String::new());
    advance(Duration::from_secs(61)).await;
    assert!(resolver.resolve_fresh(&did(DID)).await.is_err());
    assert!(resolver.resolve(&did(DID)).await.is_err());
}

#[tokio::test]
async fn the_nodes_own_documents_go_first() {
    struct Own;

    impl LocalDocuments for Own {
        fn document(&self, did: &Did) -> Option<Arc<DidDocument>> {
            (did.as_str() == DID).then(|| Arc::new(DidDocument::new(did.clone())))
        }
    }

    let host = Host::new();
    let resolver = Resolver::new(Arc::new(host.net.fetcher()), Arc::new(Own));
    assert_eq!(resolver.resolve(&did(DID)).await.unwrap().source, Source::Local);
    assert_eq!(resolver.resolve_fresh(&did(DID)).await.unwrap().source, Source::Local);
    assert_eq!(host.fetches(), 0);
}

#[tokio::test]
async fn self_contained_dids_need_no_network() {
    let host = Host::new();
    let resolver = host.resolver();
    let key = did::key::create(&SigningKey::from_seed([9; 32].into()).public());
    for self_contained in [key, peer_4().long] {
        let resolved = resolver.resolve(&self_contained).await.unwrap();
        assert_eq!(resolved.document.id, self_contained);
        assert_eq!(resolved.source, Source::SelfContained);
        let again = resolver.resolve_fresh(&self_contained).await.unwrap();
        assert!(Arc::ptr_eq(&resolved, &again));
    }
    assert_eq!(host.net.dials(), 0);
}

#[tokio::test]
async fn a_short_form_resolves_once_its_long_form_is_known() {
    let host = Host::new();
    let peer = peer_4();
    let resolver = host.resolver();
    let unknown = resolver.resolve(&peer.short).await.unwrap_err();
    assert_eq!(unknown, ResolveError::UnknownShortForm);
    assert_eq!(resolver.remember(&peer.long), Ok(peer.short.clone()));
    let resolved = resolver.resolve(&peer.short).await.unwrap();
    assert_eq!(resolved.document.id, peer.short);
    assert_eq!(resolved.document.also_known_as, [peer.long.as_str()]);

    let other = host.resolver();
    other.resolve(&peer.long).await.unwrap();
    assert!(other.resolve(&peer.short).await.is_ok());
}

#[tokio::test]
async fn what_is_no_long_form_is_not_remembered() {
    let resolver = Host::new().resolver();
    let peer = peer_4();
    let forged = format!("{}x", peer.long);
    for text in [forged.as_str(), peer.short.as_str(), DID, "did:peer:4zabc:zdef"] {
        assert_eq!(resolver.remember(&did(text)), Err(ResolveError::Malformed), "{text}");
    }
    assert!(resolver.resolve(&peer.short).await.is_err());
}

#[tokio::test]
async fn other_methods_and_malformed_dids_are_refused() {
    let resolver = Host::new().resolver();
    for (text, expected) in [
        ("did:plc:abc", ResolveError::UnsupportedMethod),
        ("did:example:abc", ResolveError::UnsupportedMethod),
        ("did:key:zabc", ResolveError::Malformed),
        ("did:peer:9abc", ResolveError::Malformed),
        ("did:web:a.example:..:b", ResolveError::Malformed),
        ("did:web:a.example%2Fb", ResolveError::Malformed),
    ] {
        assert_eq!(resolver.resolve(&did(text)).await.unwrap_err(), expected, "{text}");
    }
}
