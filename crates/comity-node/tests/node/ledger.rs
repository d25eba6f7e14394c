//! The log: what counterparties tell of theirs, what is cosigned and what is found out, who may read it, and
//! evidence between real nodes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Path;

use comity_core::api::{AgentInfo, Forgotten, LogStatus, StatementInfo};
use comity_core::evidence::{Bundle, KeyState, Outcome, Trusted, Verdict, verify};
use comity_core::log::{
    AddCheckpoint, Checkpoint, Frontier, KeyKind, LogQuote, Node, NoteKey, Plan, TreeHead,
    leaf_hash, node_hash, parse_entry_bundle,
};
use comity_core::receipt::{Receipt, State, compose_receipts};
use comity_core::record::digest_text;
use comity_didcomm::{Did, Jwt, MessageId, SigningKey, UnixTime};
use http::{Method, header};
use rand::rng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Foreigner, Stand};

const ASK: &str = "https://example.org/question/1.0/ask";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Another organisation with a log of its own, which its keeper writes as he likes.
struct Keeper {
    peer: Foreigner,
    log: NoteKey,
    witness: NoteKey,
    /// A history and another, which differ from the fourth entry on.
    leaves: [Vec<[u8; 32]>; 2],
}

impl Keeper {
    async fn new() -> Self {
        let peer = Foreigner::new().await;
        let key = |kind| {
            NoteKey::new("keeper.example/log/1", kind, SigningKey::generate(&mut rng())).unwrap()
        };
        let leaf = |n: u64, history: u8| {
            leaf_hash(&[&n.to_be_bytes()[..], &[if n < 3 { 0 } else { history }]].concat()).0
        };
        let leaves = [0, 1].map(|history| (0..100).map(|n| leaf(n, history)).collect());
        let (log, witness) = (key(KeyKind::Log), key(KeyKind::Witness));
        Self { peer, log, witness, leaves }
    }

    fn head(&self, size: u64, history: usize) -> TreeHead {
        let mut frontier = Frontier::default();
        let leaves = self.leaves[history].iter().take(size as usize);
        leaves.for_each(|leaf| frontier.append(comity_core::log::LeafHash(*leaf)));
        frontier.root()
    }

    fn subtree(&self, node: Node, history: usize) -> Result<[u8; 32], ()> {
        let Some(level) = node.level.checked_sub(1) else {
            return Ok(self.leaves[history][node.index as usize]);
        };
        let left = self.subtree(Node { level, index: 2 * node.index }, history)?;
        let right = self.subtree(Node { level, index: 2 * node.index + 1 }, history)?;
        Ok(node_hash(&left, &right))
    }

    fn checkpoint(&self, size: u64, history: usize) -> String {
        Checkpoint::sign(&self.log, self.head(size, history))
    }

    /// Asks for a cosignature of one history, with the proof that belongs to it.
    async fn add(
        &self,
        stand: &Stand,
        old: u64,
        new: u64,
        history: usize,
    ) -> (u16, String, String) {
        let proof = Plan::consistency(old, new)
            .map(|plan| plan.hashes(|node| self.subtree(node, history)).unwrap())
            .unwrap_or_default();
        let body = AddCheckpoint::write(old, &proof, &self.checkpoint(new, history));
        stand.post_public("/witness/add-checkpoint", body).await
    }

    /// Serves a history for each width of a tile; says where, and how often it was asked.
    async fn serve(&self, history: fn(usize) -> usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (leaves, counted) = (self.leaves.clone(), Arc::clone(&asked));
        let app = axum::Router::new().route(
            "/log/1/tile/0/{tile}/{width}",
            axum::routing::get(move |Path((_, width)): Path<(String, usize)>| async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let tile = leaves[history(width)][..width].concat();
                ([(header::CONTENT_TYPE, "application/octet-stream")], tile)
            }),
        );
        let limits = comity_net::ListenLimits::default();
        let forever = std::future::pending();
        tokio::spawn(comity_net::serve(listener, app, limits, Arc::default(), forever));
        (url, asked)
    }

    fn quote(&self, size: u64, history: usize) -> LogQuote {
        LogQuote {
            checkpoint: self.checkpoint(size, history),
            key: self.log.public().clone(),
            seen: None,
            url: None,
            witness: Some(self.witness.public().clone()),
        }
    }

    /// Has an agent write to it, and says that it has the message, at that time and place.
    async fn accept(
        &mut self,
        stand: &Stand,
        agent: &AgentInfo,
        id: &str,
        (at, index): (u64, u64),
        quote: LogQuote,
    ) {
        let ask = json!({ "id": id, "to": self.peer.did, "type": ASK, "body": {} });
        stand.send(agent, ask).await;
        let asked = loop {
            let message = self.peer.receive(stand).await;
            // Its home is told of the node's log, too.
            if message.id.as_str() == id {
                break message;
            }
        };
        let receipt = Receipt {
            id: id.to_owned(),
            from: agent.did.parse().unwrap(),
            to: self.peer.did.clone(),
            state: State::Accepted,
            at: UnixTime(at),
            digest: digest_text(&asked.to_json()),
            log_index: Some(index),
            pending: false,
            code: None,
            reason: None,
        };
        let home: Did = stand.node.ready().did.parse().unwrap();
        let name = MessageId::parse(&format!("r-{id}")).unwrap();
        let (from, now) = (self.peer.did.clone(), UnixTime(now()));
        let message = compose_receipts(name, &from, &home, &[receipt], Some(&quote), now);
        let envelope = self.peer.seal(stand, &message).await;
        assert_eq!(stand.post(&envelope).await.0, 202);
        assert_eq!(stand.states(agent, id, "accepted").await.last().unwrap(), "accepted");
    }

    /// What the node has found of it.
    async fn findings(&self, stand: &Stand) -> Vec<String> {
        let status: LogStatus = stand.admin(Method::GET, "/admin/log", Value::Null).await;
        let ours = status.others.iter().filter(|other| other.key == self.log.public().to_string());
        ours.flat_map(|other| other.contradictions.iter().map(|one| one.finding.clone())).collect()
    }

    async fn is_known(&self, stand: &Stand) {
        stand
            .until("the log is known", async || {
                let status: LogStatus = stand.admin(Method::GET, "/admin/log", Value::Null).await;
                status.others.iter().any(|other| other.key == self.log.public().to_string())
            })
            .await;
    }
}

/// A node that has heard of a keeper's log.
async fn known() -> (Stand, AgentInfo, Keeper) {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let mut keeper = Keeper::new().await;
    let quote = keeper.quote(1, 0);
    keeper.accept(&stand, &aria, "m-1", (now(), 0), quote).await;
    keeper.is_known(&stand).await;
    (stand, aria, keeper)
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_counterparties_are_cosigned_as_the_specification_says() {
    let (mut stand, _aria, keeper) = known().await;
    let status: LogStatus = stand.admin(Method::GET, "/admin/log", Value::Null).await;
    let witness = status.witness_key.parse().unwrap();
    for (old, new) in [(0, 3), (3, 3), (3, 20)] {
        let (code, _, lines) = keeper.add(&stand, old, new, 0).await;
        assert_eq!(code, 200, "{lines}");
        let note = format!("{}{lines}", keeper.checkpoint(new, 0));
        let cosigned = Checkpoint::parse(&note).unwrap().cosignatures([&witness]).unwrap();
        assert!(cosigned[0].at.0.abs_diff(now()) < 60);
    }
    for _ in 0..2 {
        let (code, media_type, body) = keeper.add(&stand, 3, 30, 0).await;
        assert_eq!((code, media_type.as_str(), body.as_str()), (409, "text/x.tlog.size", "20\n"));
        assert_eq!(keeper.add(&stand, 30, 20, 0).await.0, 400);
        // What it remembers it remembers over a restart.
        stand = stand.restart().await;
    }
    assert_eq!(stand.post_public("/witness/add-checkpoint", "old 1\n".to_owned()).await.0, 400);
    let stranger = Keeper::new().await;
    let body = AddCheckpoint::write(20, &[], &stranger.checkpoint(20, 0));
    let (code, ..) = stand.post_public("/witness/add-checkpoint", body).await;
    assert_eq!(code, 403, "another key for an origin that is known");
    let key = SigningKey::generate(&mut rng());
    let other = NoteKey::new("unknown.example/log/1", KeyKind::Log, key).unwrap();
    let body = AddCheckpoint::write(0, &[], &Checkpoint::sign(&other, keeper.head(3, 0)));
    assert_eq!(stand.post_public("/witness/add-checkpoint", body).await.0, 404);
    assert!(keeper.findings(&stand).await.is_empty(), "none of that is misbehaviour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_who_shows_another_history_is_found_out() {
    let (stand, aria, mut keeper) = known().await;
    assert_eq!(keeper.add(&stand, 0, 20, 0).await.0, 200);
    assert_eq!(keeper.add(&stand, 20, 20, 1).await.0, 422, "rewritten as it was");
    assert_eq!(keeper.findings(&stand).await, ["fork"]);
    // Whatever is said now is said to a witness that remembers.
    assert_eq!(keeper.add(&stand, 20, 40, 0).await.0, 200);

    let quote = keeper.quote(41, 0);
    keeper.accept(&stand, &aria, "m-2", (now(), 40), quote).await;
    // Of a log that begins anew, and of a time at which it was seen without the entry.
    let mut anew = Keeper::new().await;
    std::mem::swap(&mut anew.peer, &mut keeper.peer);
    anew.log = NoteKey::new("keeper.example/log/2", KeyKind::Log, SigningKey::generate(&mut rng()))
        .unwrap();
    let quote = anew.quote(1, 0);
    anew.accept(&stand, &aria, "m-3", (now(), 0), quote).await;
    anew.is_known(&stand).await;
    assert_eq!(anew.findings(&stand).await, ["fork", "another-log"]);
    assert_eq!(anew.add(&stand, 0, 3, 0).await.0, 200);
    let quote = anew.quote(3, 0);
    anew.accept(&stand, &aria, "m-4", (now() - 1_000, 7), quote).await;
    let found = ["fork", "another-log", "back-dated"];
    stand.until("the date is found", async || anew.findings(&stand).await == found).await;
    let events = stand.events(0).await.events;
    let told = events.iter().filter(|one| json!(one)["type"] == "log-contradicted").count();
    assert_eq!(told, 3, "the operator is told of each once");
}

/// A proof is signed by nobody: whoever spoils one says nothing about the log. The log itself is asked.
#[tokio::test(flavor = "multi_thread")]
async fn whether_a_log_continues_is_asked_of_the_log() {
    for (history, findings) in [(0, &[][..]), (1, &["not-continued"][..])] {
        let stand = Stand::new().await;
        let aria = stand.add_agent("aria").await;
        let mut keeper = Keeper::new().await;
        let (url, asked) = keeper.serve(if history == 0 { |_| 0 } else { |_| 1 }).await;
        let mut quote = keeper.quote(1, 0);
        quote.url = Some(url);
        keeper.accept(&stand, &aria, "m-1", (now(), 0), quote).await;
        keeper.is_known(&stand).await;
        assert_eq!(keeper.add(&stand, 0, 20, 0).await.0, 200);
        let body = AddCheckpoint::write(20, &[[7; 32]], &keeper.checkpoint(40, history));
        assert_eq!(stand.post_public("/witness/add-checkpoint", body).await.0, 422);
        stand.until("its tiles are read", async || 0 < asked.load(Ordering::SeqCst)).await;
        stand.until("that is judged", async || keeper.findings(&stand).await == findings).await;
    }
}

/// Whoever shows a true state first and another while that is being asked about gains nothing by it.
#[tokio::test(flavor = "multi_thread")]
async fn every_state_that_a_log_tells_is_held_against_it() {
    let stand = Stand::new().await;
    let aria = stand.add_agent("aria").await;
    let mut keeper = Keeper::new().await;
    // The tiles of each size are those that its checkpoint was signed for.
    let (url, asked) = keeper.serve(|width| usize::from(width == 40)).await;
    let mut quote = keeper.quote(1, 0);
    quote.url = Some(url);
    keeper.accept(&stand, &aria, "m-1", (now(), 0), quote).await;
    keeper.is_known(&stand).await;
    assert_eq!(keeper.add(&stand, 0, 20, 0).await.0, 200);
    for (size, history) in [(30, 0), (40, 1)] {
        let spoilt = AddCheckpoint::write(20, &[[7; 32]], &keeper.checkpoint(size, history));
        assert_eq!(stand.post_public("/witness/add-checkpoint", spoilt).await.0, 422);
        stand.until("its tiles are read", async || 0 < asked.load(Ordering::SeqCst)).await;
    }
    let found = ["not-continued"];
    stand.until("that is judged", async || keeper.findings(&stand).await == found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_served_to_those_whom_the_operator_lets_read_it() {
    let (stand, _aria, keeper) = known().await;
    let status: LogStatus = stand.admin(Method::GET, "/admin/log", Value::Null).await;
    let checkpoint = Checkpoint::parse(&status.checkpoint).unwrap();
    let origin = checkpoint.origin().to_owned();
    let prefix = format!("/log/{}", origin.rsplit('/').next().unwrap());
    assert_eq!(stand.get_public(&format!("{prefix}/checkpoint")).await.0, 401);
    assert_eq!(stand.get_public("/log/00000000/checkpoint").await.0, 404);

    let token = |aud: &str, exp: u64| {
        let (kid, key) = keeper.peer.signing();
        let claims = json!({ "aud": aud, "exp": exp, "iss": keeper.peer.did });
        let claims = claims.as_object().unwrap().clone();
        format!("Bearer {}", Jwt::sign("comity-log-reader+jwt", kid, key, &claims).unwrap())
    };
    let good = token(&origin, now() + 60);
    let read = async |path: &str, token: &str| {
        stand.get_public_with(&format!("{prefix}/{path}"), token).await
    };
    for bad in [
        token("other.example/log/1", now() + 60),
        token(&origin, now() - 60),
        token(&origin, now() + 1_000),
        "Bearer x".to_owned(),
    ] {
        assert_eq!(read("checkpoint", &bad).await.0, 401);
    }
    let (code, bytes) = read("checkpoint", &good).await;
    assert_eq!(code, 200);
    let note = String::from_utf8(bytes).unwrap();
    let size = Checkpoint::parse(&note).unwrap().claimed().size;
    let (code, bundle) = read(&format!("tile/entries/000.p/{size}"), &good).await;
    assert_eq!(code, 200);
    let (code, tile) = read(&format!("tile/0/000.p/{size}"), &good).await;
    assert_eq!(code, 200);
    let mut frontier = Frontier::default();
    for (entry, hash) in parse_entry_bundle(&bundle).unwrap().iter().zip(tile.as_chunks::<32>().0) {
        assert_eq!(entry.len(), 32, "hashes only");
        assert_eq!(leaf_hash(entry).0, *hash);
        frontier.append(leaf_hash(entry));
    }
    assert_eq!(frontier.root(), Checkpoint::parse(&note).unwrap().claimed());
    for absent in
        ["tile/0/001", &format!("tile/0/000.p/{}", size + 1), "tile/1/000.p/1", "tile/0/0"]
    {
        assert_eq!(read(absent, &good).await.0, 404, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_everyone_needs_no_token() {
    use comity_node::config::Readers;
    for (readers, code) in [(Readers::Everyone, 200), (Readers::Nobody, 401)] {
        let store = Arc::new(comity_store::MemoryStore::new());
        let stand = Stand::with(store, |config| config.ledger.readers = readers).await;
        let status: LogStatus = stand.admin(Method::GET, "/admin/log", Value::Null).await;
        let checkpoint = Checkpoint::parse(&status.checkpoint).unwrap();
        let id = checkpoint.origin().rsplit('/').next().unwrap();
        assert_eq!(stand.get_public(&format!("/log/{id}/checkpoint")).await.0, code);
    }
}

/// Two nodes whose agents may write to each other.
struct Two {
    a: Stand,
    b: Stand,
    aria: AgentInfo,
    bruno: AgentInfo,
}

impl Two {
    async fn new() -> Self {
        let (a, b) = (Stand::new().await, Stand::new().await);
        let (aria, bruno) = (a.add_agent("aria").await, b.add_agent("bruno").await);
        a.allow(&aria, &bruno.did).await;
        b.allow(&bruno, &aria.did).await;
        Self { a, b, aria, bruno }
    }

    async fn say(&self, id: &str) {
        let ask = json!({ "id": id, "to": self.bruno.did, "type": ASK, "thid": "t-1", "body": {} });
        self.a.send(&self.aria, ask).await;
        let delivery = self.b.receive(&self.bruno, 1).await[0].delivery;
        self.b.settle(&self.bruno, json!({ "do": "ack", "deliveries": [delivery] })).await;
        self.a.states(&self.aria, id, "processed").await;
    }

    async fn export(&self, query: &str) -> Bundle {
        let path = |name: &str| format!("/admin/agents/{name}/evidence?{query}");
        let mut bundle: Bundle = self.a.admin(Method::GET, &path("aria"), Value::Null).await;
        let other: Bundle = self.b.admin(Method::GET, &path("bruno"), Value::Null).await;
        bundle.parts.extend(other.parts);
        bundle
    }

    /// Exports until what was said last is witnessed.
    async fn verdict(&self, query: &str, is_wanted: impl Fn(&Verdict) -> bool) -> Verdict {
        let found = Mutex::new(None);
        let looking = async || {
            let text = self.export(query).await.to_text();
            let verdict = verify(text.as_bytes(), &Trusted::default());
            assert!(verdict.contradictions.is_empty(), "{:#?}", verdict.contradictions);
            let is_wanted = is_wanted(&verdict);
            *found.lock().unwrap() = Some(verdict);
            is_wanted
        };
        self.a.until("the evidence shows it", looking).await;
        found.into_inner().unwrap().unwrap()
    }
}

fn is_proven(verdict: &Verdict) -> bool {
    verdict.outcome == Outcome::Proven
}

/// One side only ever writes, the other only reads: its node has no receipts to send, and is told of the log
/// all the same.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_witness_each_other_though_only_one_side_writes() {
    let two = Two::new().await;
    two.say("m-1").await;
    let verdict = two.verdict("thread=t-1", is_proven).await;
    let message = &verdict.messages[0];
    assert_eq!((message.id.as_str(), message.key), ("m-1", Some(KeyState::Good)));
    let reached: Vec<&str> = message.reached.iter().map(|one| one.state.as_str()).collect();
    assert!(reached.contains(&"accepted") && reached.contains(&"processed"), "{reached:?}");
    assert_eq!(message.allowed.as_ref().unwrap().ground, "allow-list");
    assert!(message.allowed.as_ref().unwrap().by.is_some(), "the decision is shown");
    for times in [&message.sent, &message.received] {
        assert!(times.as_ref().unwrap().before.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_survives_new_keys_and_tells_former_ones_apart() {
    let two = Two::new().await;
    two.say("m-1").await;
    two.verdict("thread=t-1", is_proven).await;
    let rotate = json!({ "compromised": true });
    for path in ["/admin/agents/aria/rotate", "/admin/rotate"] {
        assert_eq!(two.a.call_admin(path, &rotate).await.0, 200);
    }
    two.say("m-2").await;
    let verdict = two.verdict("thread=t-1", is_proven).await;
    let keys: Vec<_> = verdict.messages.iter().map(|one| (one.id.as_str(), one.key)).collect();
    assert_eq!(keys, [("m-1", Some(KeyState::ReplacedLater)), ("m-2", Some(KeyState::Good))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_cannot_be_shown_and_the_log_still_verifies() {
    let two = Two::new().await;
    two.say("m-1").await;
    two.say("m-2").await;
    two.verdict("thread=t-1", is_proven).await;
    for (wish, erased) in [(json!({ "id": "M-1" }), 1), (json!({ "id": "m-1" }), 0)] {
        let path = "/admin/agents/bruno/forget";
        let forgotten: Forgotten = two.b.admin(Method::POST, path, wish).await;
        assert_eq!(forgotten.erased, erased);
    }
    let verdict = two.verdict("thread=t-1", |_| true).await;
    assert_eq!(verdict.outcome, Outcome::Insufficient);
    assert!(verdict.missing.iter().all(|what| what.contains("signed text of m-1")), "{verdict:?}");
    let statements: Vec<StatementInfo> =
        two.b.admin(Method::GET, "/admin/agents/bruno/statements", Value::Null).await;
    let kept = statements.iter().filter(|one| one.statement["act"] == "received");
    assert_eq!(kept.map(|one| one.kept).collect::<Vec<_>>(), [false, true]);
    let (code, problem) = two.b.call_admin("/admin/agents/bruno/forget", &json!({})).await;
    assert_eq!((code, problem["code"].as_str()), (400, Some("http.bad-request")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_log_sends_and_receives_and_can_show_nothing() {
    let store = Arc::new(comity_store::MemoryStore::new());
    let a = Stand::with(store, |config| config.ledger.kept = false).await;
    let aria = a.add_agent("aria").await;
    let b = Stand::new().await;
    let two = Two { bruno: b.add_agent("bruno").await, a, b, aria };
    two.b.allow(&two.bruno, &two.aria.did).await;
    two.say("m-1").await;
    assert_eq!(two.a.status().await.log_size, 0);
    // What the other side signed is shown all the same.
    let reached = two.a.receipts(&two.aria, "m-1").await;
    assert!(reached.iter().any(|one| one.state == "processed"), "{reached:?}");
    let (code, problem) = two.a.get_admin("/admin/agents/aria/evidence?thread=t-1").await;
    assert_eq!((code, problem["code"].as_str()), (409, Some("node.no-log")));
    let (code, problem) = two.b.get_admin("/admin/agents/bruno/evidence?thread=none").await;
    assert_eq!((code, problem["code"].as_str()), (404, Some("node.no-evidence")));
}
