//! Logs from hosts that are honest, late, or rewrite the past, under paused time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use comity_didcomm::{SigningKey, VerificationMethod, did::webvh::Settings};
use http::Response;
use tokio::time::advance;

use super::*;
use crate::{
    limits::{FAILURE_TTL, REFRESH_AGE_MIN},
    resolve::NoLocalDocuments,
    testing::{Body, FakeNet, answer, status},
};

const START: UnixTime = UnixTime(1_800_000_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32].into())
}

fn document(did: &Did, seed: u8) -> DidDocument {
    let mut document = DidDocument::new(did.clone());
    let id = document.add_key(VerificationMethod::new(did.url("key"), key(seed).public()));
    document.authentication.push(id);
    document
}

/// The log of one DID as its controller writes it.
struct Controller {
    did: Did,
    lines: Vec<String>,
}

impl Controller {
    fn new(settings: &Settings<'_>) -> Self {
        let draft = webvh::draft_did("localhost", Some(7700), &["agents", "bruno"]).unwrap();
        let (line, history) =
            webvh::create(&document(&draft, 1), &key(1), settings, START).unwrap();
        Self { did: history.did().clone(), lines: vec![line] }
    }

    fn history(&self) -> History {
        let log = self.lines.concat();
        History::verify(&self.did, log.as_bytes(), None, START.saturating_add(1_000)).unwrap()
    }

    fn line(&self, seed: u8) -> String {
        let history = self.history();
        let number = self.lines.len() as u64;
        let document = document(&self.did, seed);
        let now = START.saturating_add(number);
        webvh::update(&history, &document, &key(1), &Settings::default(), now).unwrap()
    }

    fn update(&mut self, seed: u8) {
        self.lines.push(self.line(seed));
    }
}

struct Host {
    net: Arc<FakeNet>,
    fetches: Arc<AtomicUsize>,
    log: Arc<Mutex<Option<String>>>,
    witness: Arc<Mutex<Option<String>>>,
}

impl Host {
    fn new(controller: &Controller) -> Self {
        let fetches = Arc::new(AtomicUsize::new(0));
        let log = Arc::new(Mutex::new(Some(controller.lines.concat())));
        let witness = Arc::new(Mutex::new(None));
        let shared = (Arc::clone(&fetches), Arc::clone(&log), Arc::clone(&witness));
        let net = FakeNet::new(move |request| {
            shared.0.fetch_add(1, SeqCst);
            let found = match request.uri().path() {
                "/agents/bruno/did.jsonl" => {
                    shared.1.lock().unwrap().clone().map(|log| answer(200, "text/jsonl", log))
                }
                "/agents/bruno/did-witness.json" => {
                    let file = shared.2.lock().unwrap().clone();
                    file.map(|file| answer(200, "application/json", file))
                }
                _ => None,
            };
            async move { found.unwrap_or_else(|| -> Response<Body> { status(404) }) }
        });
        Self { net, fetches, log, witness }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(Arc::new(self.net.fetcher()), Arc::new(NoLocalDocuments))
            .with_clock(|| START.saturating_add(1_000))
    }

    fn shows(&self, log: String) {
        *self.log.lock().unwrap() = Some(log);
    }

    fn fetches(&self) -> usize {
        self.fetches.load(SeqCst)
    }
}

fn signer(document: &DidDocument) -> Option<comity_didcomm::PublicKey> {
    document.signing_keys().next().map(|(_, key)| *key)
}

#[tokio::test(start_paused = true)]
async fn a_log_is_fetched_verified_and_kept_for_as_long_as_it_says() {
    for (ttl_secs, kept) in
        [(None, DOCUMENT_TTL), (Some(0), LOG_TTL_MIN), (Some(60), Duration::from_secs(60))]
    {
        let controller = Controller::new(&Settings { ttl_secs, ..Settings::default() });
        let host = Host::new(&controller);
        let resolver = host.resolver();
        let resolved = resolver.resolve(&controller.did).await.unwrap();
        assert_eq!(resolved.source, super::super::Source::Fetched);
        assert_eq!(signer(&resolved.document), Some(key(1).public()));
        advance(kept - Duration::from_secs(1)).await;
        assert!(resolver.resolve(&controller.did).await.is_ok());
        assert_eq!(host.fetches(), 1);
        advance(Duration::from_secs(2)).await;
        assert!(resolver.resolve(&controller.did).await.is_ok());
        assert_eq!(host.fetches(), 2);
    }
}

#[tokio::test]
async fn versions_are_resolved_by_id_time_and_number() {
    let mut controller = Controller::new(&Settings::default());
    controller.update(2);
    let host = Host::new(&controller);
    let resolver = host.resolver();
    let first = controller.history().version_ids().next().unwrap().to_owned();
    let at = async |query: &str| {
        let url = DidUrl::parse(&format!("{}{query}", controller.did)).unwrap();
        resolver.resolve_at(&url).await
    };
    for query in [
        format!("?versionId={first}"),
        "?versionNumber=1".into(),
        "?versionTime=2027-01-15T08:00:00Z".into(),
    ] {
        let version = at(&query).await.unwrap();
        assert_eq!(signer(&version.document), Some(key(1).public()), "{query}");
        assert_eq!(version.metadata.unwrap().version_id, first);
    }
    assert_eq!(signer(&at("").await.unwrap().document), Some(key(2).public()));
    for query in [
        "?versionNumber=3",
        "?versionId=1-Qm",
        "?versionTime=1999-01-01T00:00:00Z",
        "?versionTime=now",
    ] {
        assert_eq!(at(query).await.unwrap_err(), ResolveError::NoSuchVersion, "{query}");
    }
    assert_eq!(host.fetches(), 1);
    let web = DidUrl::parse("did:web:localhost%3A7700?versionNumber=1").unwrap();
    assert_eq!(resolver.resolve_at(&web).await.unwrap_err(), ResolveError::NoSuchVersion);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen_when_a_signature_does_not_fit() {
    let mut controller = Controller::new(&Settings::default());
    let host = Host::new(&controller);
    let resolver = host.resolver();
    assert!(resolver.resolve(&controller.did).await.is_ok());
    controller.update(2);
    host.shows(controller.lines.concat());
    advance(REFRESH_AGE_MIN).await;
    let fresh = resolver.resolve_fresh(&controller.did).await.unwrap();
    assert_eq!(signer(&fresh.document), Some(key(2).public()));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_shrank_or_forked_is_refused() {
    let mut controller = Controller::new(&Settings::default());
    controller.update(2);
    let honest = controller.lines.concat();
    let seen = controller.history().latest_version_id().to_owned();
    let host = Host::new(&controller);
    let resolver = host.resolver();
    assert!(!resolver.is_held(&controller.did));
    assert!(resolver.resolve(&controller.did).await.is_ok());
    assert!(resolver.is_held(&controller.did));
    // What a thief of the host and of the old update key can make: both are good logs by themselves.
    let shrunk = controller.lines[0].clone();
    let forked = {
        controller.lines.truncate(1);
        controller.update(66);
        controller.update(67);
        controller.lines.concat()
    };
    for rewritten in [shrunk, forked] {
        host.shows(rewritten.clone());
        advance(DOCUMENT_TTL + Duration::from_secs(1)).await;
        let outcome = resolver.resolve(&controller.did).await;
        assert_eq!(outcome.unwrap_err(), ResolveError::Rewritten);
        assert!(host.resolver().resolve(&controller.did).await.is_ok(), "unknown to a newcomer");
        let restarted = host.resolver();
        restarted.hold_to(&controller.did, &seen);
        let outcome = restarted.resolve(&controller.did).await;
        assert_eq!(outcome.unwrap_err(), ResolveError::Rewritten, "though it began anew");
    }
    host.shows(honest);
    advance(FAILURE_TTL + Duration::from_secs(1)).await;
    assert!(resolver.resolve(&controller.did).await.is_ok());
}

#[tokio::test]
async fn an_ended_did_is_not_used_but_its_past_can_be_looked_up() {
    let mut controller = Controller::new(&Settings::default());
    let end = webvh::deactivate(&controller.history(), &key(1), START.saturating_add(9)).unwrap();
    controller.lines.push(end);
    let resolver = Host::new(&controller).resolver();
    let outcome = resolver.resolve(&controller.did).await;
    assert_eq!(outcome.unwrap_err(), ResolveError::Deactivated);
    let url = |query: &str| DidUrl::parse(&format!("{}{query}", controller.did)).unwrap();
    let outcome = resolver.resolve_at(&url("")).await;
    assert_eq!(outcome.unwrap_err(), ResolveError::Deactivated);
    let then = resolver.resolve_at(&url("?versionNumber=1")).await.unwrap();
    assert_eq!(signer(&then.document), Some(key(1).public()));
}

#[tokio::test]
async fn a_moved_did_does_not_answer_under_its_former_name() {
    let mut controller = Controller::new(&Settings { portable: true, ..Settings::default() });
    let to = Did::parse(&controller.did.as_str().replace("bruno", "other")).unwrap();
    let mut moved = document(&to, 2);
    moved.also_known_as.push(controller.did.to_string());
    let now = START.saturating_add(1);
    let line = webvh::update(&controller.history(), &moved, &key(1), &Settings::default(), now);
    controller.lines.push(line.unwrap());
    let outcome = Host::new(&controller).resolver().resolve(&controller.did).await;
    assert_eq!(outcome.unwrap_err(), ResolveError::Moved);
}

#[tokio::test(start_paused = true)]
async fn witnesses_are_asked_for_when_the_log_has_them() {
    let witnesses = webvh::Witnesses::new(1, &[key(7).public()]).unwrap();
    let controller =
        Controller::new(&Settings { witnesses: Some(witnesses), ..Settings::default() });
    let host = Host::new(&controller);
    let outcome = host.resolver().resolve(&controller.did).await;
    assert_eq!(outcome.unwrap_err(), ResolveError::Fetch(FetchError::NotFound));
    let log = controller.lines.concat();
    let log = Log::verify(&controller.did, log.as_bytes(), START).unwrap();
    assert!(log.is_witnessed());
    let entry: serde_json::Value = serde_json::from_str(&controller.lines[0]).unwrap();
    let id = entry["versionId"].as_str().unwrap();
    for (seed, is_ok) in [(8, false), (7, true)] {
        let file = serde_json::json!([webvh::witness(id, &[key(seed)], START)]).to_string();
        *host.witness.lock().unwrap() = Some(file);
        assert_eq!(host.resolver().resolve(&controller.did).await.is_ok(), is_ok);
    }
}

#[tokio::test]
async fn what_is_no_log_of_the_did_is_refused() {
    let controller = Controller::new(&Settings::default());
    let host = Host::new(&controller);
    for body in ["", "{}", "<html>"] {
        host.shows(body.to_owned());
        let outcome = host.resolver().resolve(&controller.did).await;
        assert!(matches!(outcome, Err(ResolveError::InvalidLog(_))), "{body}");
    }
    let address = controller.did.as_str().replace("localhost%3A7700", "127.0.0.1");
    let outcome = host.resolver().resolve(&Did::parse(&address).unwrap()).await;
    assert_eq!(outcome.unwrap_err(), ResolveError::Malformed);
}

#[tokio::test]
async fn few_logs_are_verified_at_once_and_few_wait() {
    // Each was given a thread of its own at once: hundreds for some seconds, for one message each.
    let verifiers = Arc::new(Verifiers::default());
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..LOGS_ADMITTED_MAX {
        let (verifiers, begun, wait) = (Arc::clone(&verifiers), begun.clone(), Arc::clone(&wait));
        tasks.spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                let _ended = wait.lock().unwrap().recv();
                Ok(())
            };
            verifiers.run(work).await
        });
    }
    for _ in 0..LOGS_VERIFIED_AT_ONCE {
        begins.recv().await.unwrap();
    }
    while verifiers.admitted.available_permits() != 0 {
        tokio::task::yield_now().await;
    }
    assert!(begins.try_recv().is_err());
    let busy = Err(ResolveError::Fetch(FetchError::Busy));
    assert_eq!(verifiers.run(|| Ok(())).await, busy);
    // The others get their turn when one ends.
    drop(end);
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap(), Ok(()));
    }
    assert_eq!(verifiers.run(|| Ok(())).await, Ok(()));
}
