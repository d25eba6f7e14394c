//! The node as a standard mediator, over HTTP, for peers that know nothing of Comity: request to
//! grant, recipients, forwards of third parties, status, delivery, received; and what is refused.

use std::sync::Arc;

use comity_core::api::Registration;
use comity_core::protocol::coordinate_mediation::{
    self, Action, Mediation, Paginate, Update, UpdateResult,
};
use comity_core::protocol::mediation_proof;
use comity_core::protocol::pickup::{self, Pickup};
use comity_core::relay::{Invitation, Register, RelayPolicy};
use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{Did, Message, ReturnRoute, did};
use comity_store::records::{due, relay};
use comity_store::{
    Batch, FaultyStore, FjallStore, MemoryStore, Moment, OpenError, Store, StoreFault,
};
use http::Method;
use serde_json::json;

use crate::relay_client::{
    Client, V3, forward, id, keys, now, open_relay, post, relay_did, relay_with, sealed,
};
use crate::support::{Foreigner, Stand};

const V2: coordinate_mediation::Version = coordinate_mediation::Version::V2;
const BOTH: [pickup::Version; 2] = [pickup::Version::V3, pickup::Version::V4];

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_at_the_relay_until_its_recipient_says_that_it_has_it() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    // Three times over the same state (I6).
    for round in 0..3 {
        let text = format!("hello {round}");
        assert_eq!(post(&stand, &bruno, &text).await, (202, None));
        let status = bruno.status(&stand).await;
        assert_eq!((status.message_count, status.live_delivery), (1, false));
        assert!(status.oldest_received.is_some() && status.newest_received.is_some());
        // Delivering takes nothing out, and the ids stay what they are (I7, I8).
        let first = bruno.fetch(&stand).await;
        assert_eq!(first.iter().map(|one| bruno.read(one)).collect::<Vec<_>>(), [text]);
        assert_eq!(bruno.fetch(&stand).await, first);
        for _twice in 0..2 {
            bruno.received(&stand, vec![first[0].id.clone()]).await;
            let status = bruno.status(&stand).await;
            assert_eq!((status.message_count, status.total_bytes), (0, Some(0)));
        }
    }
    let relay = stand.status().await.relay.unwrap();
    assert_eq!((relay.registrants, relay.messages, relay.bytes), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_both_protocols_are_spoken() {
    let stand = open_relay().await;
    let bruno = Client::new();
    let grant = Mediation::Grant { routing_did: vec![relay_did(&stand)] };
    for version in [V2, V3] {
        assert_eq!(bruno.mediation(&stand, version, Mediation::Request).await, grant);
        let update = Mediation::Update(vec![bruno.add(&bruno.did, None)]);
        let Mediation::Updated(updated) = bruno.mediation(&stand, version, update).await else {
            panic!("an update is answered by its results")
        };
        let expected = if version == V2 { UpdateResult::Success } else { UpdateResult::NoChange };
        assert_eq!(updated[0].result, expected);
        let query = Mediation::Query { paginate: Some(Paginate { limit: 5, offset: 0 }) };
        let Mediation::List { dids, pagination } = bruno.mediation(&stand, version, query).await
        else {
            panic!("a query is answered by a list")
        };
        assert!(dids[0].same_subject(&bruno.did));
        assert_eq!(pagination.map(|page| (page.count, page.remaining)), Some((1, 0)));
    }
    for version in BOTH {
        let request = || Pickup::DeliveryRequest { recipient_did: None, limit: 1 };
        match (version, bruno.pickup(&stand, version, request()).await) {
            (pickup::Version::V3, Pickup::Status(status)) => assert_eq!(status.message_count, 0),
            (pickup::Version::V4, Pickup::Delivery { messages, .. }) => {
                assert!(messages.is_empty())
            }
            (_, other) => panic!("an empty queue is not told by {other:?}"),
        }
        for text in ["one", "two"] {
            assert_eq!(post(&stand, &bruno, text).await.0, 202);
        }
        let Pickup::Delivery { messages, .. } = bruno.pickup(&stand, version, request()).await
        else {
            panic!("what waits is delivered")
        };
        assert_eq!(messages.len(), 1, "the limit is kept");
        let all = bruno.fetch(&stand).await.into_iter().map(|one| one.id).collect();
        bruno.received(&stand, all).await;
    }
    for version in BOTH {
        let received = Pickup::MessagesReceived { ids: Vec::new() };
        let answer = bruno.pickup(&stand, version, received).await;
        assert!(matches!(answer, Pickup::Status(_)), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_names_its_recipient_by_did_or_by_key() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    let (kid, key) = keys(&bruno.document).remove(0);
    let short = did::peer::long_to_short(&bruno.did).unwrap();
    let names = [
        bruno.did.to_string(),
        short.to_string(),
        kid.to_string(),
        did::key::create(&key).to_string(),
    ];
    for (count, next) in names.iter().enumerate() {
        let envelope = forward(&stand, next, bruno.letter("hello")).await;
        assert_eq!(stand.post(&envelope).await.0, 202, "{next}");
        assert_eq!(bruno.status(&stand).await.message_count, count as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_for_somebody_who_is_not_registered() {
    let stand = open_relay().await;
    let (bruno, carol) = (Client::new(), Client::new());
    let refused = |code: &str| (404, Some(code.to_owned()));
    assert_eq!(post(&stand, &bruno, "hello").await, refused("e.m.req.not-registered"));
    // A grant alone registers nobody.
    bruno.mediation(&stand, V3, Mediation::Request).await;
    assert_eq!(post(&stand, &bruno, "hello").await, refused("e.m.req.not-registered"));
    bruno.register(&stand).await;
    assert_eq!(post(&stand, &bruno, "hello").await.0, 202);
    assert_eq!(post(&stand, &carol, "hello").await, refused("e.m.req.not-registered"));
    let relay = relay_did(&stand);
    let to_itself = forward(&stand, relay.as_str(), bruno.letter("hello")).await;
    assert_eq!(stand.post(&to_itself).await.1.as_deref(), Some("e.m.xfer.loop"));
    let update = Update { action: Action::Remove, ..bruno.add(&bruno.did, None) };
    assert_eq!(bruno.update(&stand, update).await, UpdateResult::Success);
    assert_eq!(post(&stand, &bruno, "hello").await, refused("e.m.req.not-registered"));
    // What was taken before stays for whoever the DID belongs to.
    assert_eq!(bruno.status(&stand).await.message_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_document_is_fetched_for_a_recipient_that_is_refused_anyway() {
    let stand = open_relay().await;
    let mallory = Client::new();
    mallory.mediation(&stand, V3, Mediation::Request).await;
    let third_party = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    third_party.set_nonblocking(true).unwrap();
    let port = third_party.local_addr().unwrap().port();
    let did = format!("did:web:127.0.0.1%3A{port}").parse().unwrap();
    let result = mallory.update(&stand, mallory.add(&did, None)).await;
    assert_eq!(result, UpdateResult::ClientError);
    let asked = third_party.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_registers_its_agents_with_their_proof_and_nobody_elses() {
    let stand = open_relay().await;
    let (home, agent, mallory) = (Client::new(), Client::new(), Client::new());
    for registrant in [&home, &mallory] {
        registrant.mediation(&stand, V3, Mediation::Request).await;
    }
    let kid = agent.document.signing_keys().next().unwrap().0.clone();
    let proof_for = |registrant: &Client| {
        let relay = relay_did(&stand);
        let by = (&kid, &agent.signing);
        mediation_proof::make(id(), by, &agent.did, &registrant.did, &relay, now())
    };
    let refused = UpdateResult::ClientError;
    assert_eq!(mallory.update(&stand, mallory.add(&agent.did, None)).await, refused);
    let stolen = Some(proof_for(&home));
    assert_eq!(mallory.update(&stand, mallory.add(&agent.did, stolen)).await, refused);
    let proof = Some(proof_for(&home));
    assert_eq!(home.update(&stand, home.add(&agent.did, proof)).await, UpdateResult::Success);
    assert_eq!(post(&stand, &agent, "hello").await.0, 202);
    // The home sees it, the agent itself does, and nobody else.
    assert_eq!(home.status(&stand).await.message_count, 1);
    assert_eq!(agent.status(&stand).await.message_count, 1);
    let named = Pickup::StatusRequest { recipient_did: Some(agent.did.clone()) };
    let ask = named.into_message(pickup::Version::V3, id());
    assert_eq!(mallory.problem(&stand, ask).await, "e.m.trust.not-your-queue");
    let ids = home.fetch(&stand).await.into_iter().map(|one| one.id).collect::<Vec<_>>();
    mallory.received(&stand, ids.clone()).await;
    assert_eq!(home.status(&stand).await.message_count, 1, "it is not Mallory's to forget");
    home.received(&stand, ids).await;
    assert_eq!(home.status(&stand).await.message_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_turns_forwards_away_until_there_is_room() {
    let stand = relay_with(|policy| policy.quotas.messages_max = 2).await;
    let (bruno, carol) = (Client::new(), Client::new());
    bruno.register(&stand).await;
    carol.register(&stand).await;
    for text in ["one", "two"] {
        assert_eq!(post(&stand, &bruno, text).await.0, 202);
    }
    let full = (429, Some("e.m.me.res.storage.queue".to_owned()));
    assert_eq!(post(&stand, &bruno, "three").await, full);
    assert_eq!(post(&stand, &carol, "one").await.0, 202, "one queue's load is not another's");
    let first = bruno.fetch(&stand).await.remove(0);
    bruno.received(&stand, vec![first.id]).await;
    assert_eq!(post(&stand, &bruno, "three").await.0, 202);
    assert_eq!(stand.status().await.relay.unwrap().messages, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_held_once_and_a_replay_changes_nothing() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.mediation(&stand, V3, Mediation::Request).await;
    let add = Mediation::Update(vec![bruno.add(&bruno.did, None)]).into_message(V3, id());
    let add = bruno.seal(&stand, add).await;
    let first = bruno.post(&stand, &add).await.unwrap();
    let letter = bruno.letter("hello");
    let envelope = forward(&stand, bruno.did.as_str(), letter.clone()).await;
    for _again in 0..3 {
        assert_eq!(stand.post(&envelope).await.0, 202);
    }
    // Another wrapping of the same letter is the same letter.
    let rewrapped = forward(&stand, bruno.did.as_str(), letter).await;
    assert_eq!(stand.post(&rewrapped).await.0, 202);
    assert_eq!(bruno.status(&stand).await.message_count, 1);

    let remove = Update { action: Action::Remove, ..bruno.add(&bruno.did, None) };
    assert_eq!(bruno.update(&stand, remove).await, UpdateResult::Success);
    let again = bruno.post(&stand, &add).await.unwrap();
    assert_eq!(again.body, first.body, "the first answer");
    assert_eq!(post(&stand, &bruno, "more").await.0, 404, "and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_register_is_the_operators_choice() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let listed = Client::new();
    let policy = RelayPolicy { allow: vec![listed.did.clone()], ..RelayPolicy::default() };
    let set = |config: &mut comity_node::Config| config.relay = Some(policy);
    let stand = Stand::with(Arc::clone(&store), set).await;
    let grant = Mediation::Grant { routing_did: vec![relay_did(&stand)] };
    assert_eq!(listed.mediation(&stand, V3, Mediation::Request).await, grant);
    let (bruno, carol) = (Client::new(), Client::new());
    assert_eq!(bruno.mediation(&stand, V3, Mediation::Request).await, Mediation::Deny);
    let update = Mediation::Update(vec![bruno.add(&bruno.did, None)]).into_message(V3, id());
    assert_eq!(bruno.problem(&stand, update).await, "e.m.trust.not-granted");

    let mut batch = Batch::new();
    let expires = now().saturating_add(60);
    relay::invite(&mut batch, &Invitation { id: "i-1".to_owned(), expires, uses_left: 1 });
    store.commit(batch).await.unwrap();
    for (client, expected) in [(&bruno, &grant), (&bruno, &grant), (&carol, &Mediation::Deny)] {
        let request = Mediation::Request.into_message(V3, id()).with_pthid("i-1");
        let answer = client.ask(&stand, request).await.unwrap();
        assert_eq!(&Mediation::parse(&answer).unwrap().1, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_is_denied_is_not_written_to() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let set = |config: &mut comity_node::Config| config.relay = Some(RelayPolicy::default());
    let stand = Stand::with(Arc::clone(&store), set).await;
    let mut batch = Batch::new();
    let expires = now().saturating_add(60);
    relay::invite(&mut batch, &Invitation { id: "i-1".to_owned(), expires, uses_left: 1 });
    store.commit(batch).await.unwrap();
    let mut stranger = Foreigner::new().await;
    // That the grant comes first, and alone, shows that nobody was told of the denial.
    for invitation in ["none", "i-1"] {
        let request = Mediation::Request.into_message(V3, id()).with_pthid(invitation);
        let mut request = request.with_to([relay_did(&stand)]);
        request.from = Some(stranger.did.clone());
        assert_eq!(stand.post(&stranger.seal(&stand, &request).await).await.0, 202);
    }
    let grant = stranger.receive(&stand).await;
    assert!(matches!(Mediation::parse(&grant), Ok((V3, Mediation::Grant { .. }))), "{grant:?}");
    assert!(stranger.has_nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_relay_denies_and_holds_nothing() {
    let stand = Stand::new().await;
    let bruno = Client::new();
    assert_eq!(bruno.mediation(&stand, V3, Mediation::Request).await, Mediation::Deny);
    assert_eq!(post(&stand, &bruno, "hello").await, (404, Some("e.p.req.not-relay".to_owned())));
    let status = Pickup::StatusRequest { recipient_did: None };
    let status = status.into_message(pickup::Version::V3, id());
    assert_eq!(bruno.problem(&stand, status).await, "e.p.req.not-relay");
    assert!(stand.status().await.relay.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_queries_are_answered_where_they_were_asked_and_nowhere_else() {
    let stand = open_relay().await;
    let ping = || Message::new(id(), "https://didcomm.org/trust-ping/2.0/ping".parse().unwrap());
    let client = Client::new();
    let answer = client.ask(&stand, ping()).await.unwrap();
    assert_eq!(answer.type_.to_string(), "https://didcomm.org/trust-ping/2.0/ping-response");
    let quiet = ping().with_body_member("response_requested", false);
    assert_eq!(client.ask(&stand, quiet).await, None);

    let queries = json!([{ "feature-type": "protocol", "match": "https://didcomm.org/*pickup/*" },
        { "feature-type": "constraint", "match": "*" }]);
    let type_ = "https://didcomm.org/discover-features/2.0/queries".parse().unwrap();
    let query = Message::new(id(), type_).with_body_member("queries", queries);
    let disclosed = client.ask(&stand, query).await.unwrap();
    let features = disclosed.body["disclosures"].as_array().unwrap();
    assert_eq!(features.len(), 3, "{features:?}");
    assert!(features.iter().any(|feature| feature["max_receive_bytes"] == json!("1048576")));

    // A stranger's ping without a way back is not answered at the endpoint it names: we would be
    // writing to whomever it likes.
    let mut stranger = Foreigner::new().await;
    let mut message = ping().with_to([relay_did(&stand)]);
    message.from = Some(stranger.did.clone());
    let envelope = stranger.seal(&stand, &message).await;
    assert_eq!(stand.post(&envelope).await.0, 202);
    // Once known, it is written to there; that this comes first shows that no pong came.
    let mut request = Mediation::Request.into_message(V3, id()).with_to([relay_did(&stand)]);
    request.from = Some(stranger.did.clone());
    request.return_route = Some(ReturnRoute::All);
    assert_eq!(stand.post(&stranger.seal(&stand, &request).await).await.0, 200);
    let query = Mediation::Query { paginate: None }.into_message(V3, id());
    let mut query = query.with_to([relay_did(&stand)]);
    query.from = Some(stranger.did.clone());
    assert_eq!(stand.post(&stranger.seal(&stand, &query).await).await.0, 202);
    let list = stranger.receive(&stand).await;
    assert!(matches!(Mediation::parse(&list), Ok((V3, Mediation::List { .. }))), "{list:?}");
    assert!(stranger.has_nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bruno = Client::new();
    let policy = RelayPolicy { register: Register::Open, ..RelayPolicy::default() };
    let mut listen = None;
    // The node's identity is sealed with a key that is the operator's.
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "A".repeat(43)).unwrap();
    std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for round in 0..3 {
        let store: Arc<dyn Store> = Arc::new(reopened(&folder.path().join("store")).await);
        let stand = Stand::with(store, |config| {
            config.relay = Some(policy.clone());
            // The node is its address.
            config.listen = listen.unwrap_or(config.listen);
            config.key_file = Some(key_file.clone());
        });
        let stand = stand.await;
        let port = stand.node.ready().url.rsplit_once(':').unwrap().1.parse().unwrap();
        listen = Some(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        bruno.register_or_known(&stand).await;
        assert_eq!(bruno.status(&stand).await.message_count, round);
        assert_eq!(post(&stand, &bruno, &format!("hello {round}")).await.0, 202);
        stand.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_message_leaves_its_queue_and_frees_the_quota() {
    let stand = relay_with(|policy| policy.quotas.messages_max = 1).await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    let mut short = Forward::new(Next::Did(bruno.did.clone()), bruno.letter("short"));
    short.expires_time = Some(now().saturating_add(1));
    let envelope = sealed(&stand, short).await;
    // It is taken, or has expired on the way.
    assert!([202, 400].contains(&stand.post(&envelope).await.0.as_u16()));
    let gone = async { while 0 < bruno.status(&stand).await.message_count {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.unwrap();
    assert_eq!(post(&stand, &bruno, "next").await.0, 202);
    let relay = stand.status().await.relay.unwrap();
    assert_eq!(relay.messages, 1);
    assert_eq!(bruno.read(&bruno.fetch(&stand).await[0]), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_waits_and_a_large_one_is_delivered_whole() {
    let stand = open_relay().await;
    let (bruno, carol) = (Client::new(), Client::new());
    bruno.register(&stand).await;
    carol.register(&stand).await;
    let mut late = Forward::new(Next::Did(bruno.did.clone()), bruno.letter("late"));
    late.delay_milli = Some(60_000);
    assert_eq!(stand.post(&sealed(&stand, late).await).await.0, 202);
    assert_eq!(bruno.status(&stand).await.message_count, 1);
    assert!(bruno.fetch(&stand).await.is_empty());

    // As large as an agent may write, signed and sealed; then small ones behind it.
    let large = "x".repeat(500 * 1024);
    assert_eq!(post(&stand, &carol, &large).await, (202, None));
    assert_eq!(post(&stand, &carol, "small").await, (202, None));
    let first = carol.fetch(&stand).await;
    assert_eq!(first.len(), 1, "it fills a delivery by itself");
    assert_eq!(carol.read(&first[0]).len(), large.len());
    carol.received(&stand, vec![first[0].id.clone()]).await;
    assert_eq!(carol.read(&carol.fetch(&stand).await[0]), "small");
    let too_large = "x".repeat(560 * 1024);
    let (status, code) = post(&stand, &carol, &too_large).await;
    let code = code.unwrap();
    assert_eq!((status, code.as_str()), (413, "e.m.me.res.storage.message_too_big"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_takes_nothing_and_the_repeat_is_held_once() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let policy = RelayPolicy { register: Register::Open, ..RelayPolicy::default() };
    let store: Arc<dyn Store> = Arc::clone(&faulty) as Arc<dyn Store>;
    let stand = Stand::with(store, |config| config.relay = Some(policy)).await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    for moment in [Moment::BeforeCommit, Moment::AfterCommit] {
        let envelope = forward(&stand, bruno.did.as_str(), bruno.letter("hello")).await;
        faulty.fail_next(StoreFault::Full, moment);
        assert_eq!(stand.post(&envelope).await.0, 503);
        assert_eq!(stand.post(&envelope).await.0, 202, "it is safe to try again");
        let waiting = bruno.fetch(&stand).await;
        assert_eq!(waiting.len(), 1, "whether or not the first try was written");
        bruno.received(&stand, vec![waiting[0].id.clone()]).await;
    }
}

/// Opens a store as soon as its former node has let go of it.
async fn reopened(path: &std::path::Path) -> FjallStore {
    loop {
        match FjallStore::open(path) {
            Ok(store) => return store,
            Err(OpenError::Locked) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Client {
    async fn register_or_known(&self, stand: &Stand) {
        self.mediation(stand, V3, Mediation::Request).await;
        let result = self.update(stand, self.add(&self.did, None)).await;
        assert!(matches!(result, UpdateResult::Success | UpdateResult::NoChange));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_who_is_registered_and_ends_it() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    assert_eq!(post(&stand, &bruno, "hello").await.0, 202);
    let path = "/admin/relay/registrations";
    let list = async || stand.admin::<Vec<Registration>>(Method::GET, path, json!({})).await;
    let listed = list().await;
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(one.did.parse::<Did>().unwrap().same_subject(&bruno.did));
    assert_eq!((one.recipients, one.messages), (1, 1));
    let end = json!({ "did": one.did });
    let (status, ended) = stand.call_admin("/admin/relay/remove", &end).await;
    assert_eq!((status, ended), (200, serde_json::to_value(one).unwrap()));
    assert!(list().await.is_empty());
    assert_eq!(stand.call_admin("/admin/relay/remove", &end).await.0, 404);
    let refused = Some("e.m.req.not-registered".to_owned());
    assert_eq!(post(&stand, &bruno, "again").await, (404, refused));
    // The policy is open, so it may come back; what waited is there still.
    bruno.register(&stand).await;
    assert_eq!(bruno.fetch(&stand).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_forgets_takes_few_commits() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut batch = Batch::new();
    let rows = 1_000_u128;
    for number in 0..rows {
        let forward = relay::Relayed::Forward(number.to_be_bytes());
        due::Due::ForgetRelayed(forward).put(&mut batch, now());
    }
    let before = store.commit(batch).await.unwrap().seq.0;
    let set = |config: &mut comity_node::Config| config.relay = Some(RelayPolicy::default());
    let stand = Stand::with(Arc::clone(&store), set).await;
    stand
        .until("all is forgotten", async || {
            due::until(store.as_ref(), now(), None, 1).await.unwrap().is_empty()
        })
        .await;
    let after = store.commit(Batch::new()).await.unwrap().seq.0;
    assert!(after - before < 100, "{} commits", after - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_relay_writes_to_no_endpoint_of_a_did_that_it_does_not_know() {
    let stand = open_relay().await;
    let mut stranger = Foreigner::new().await;
    for return_route in [None, Some(ReturnRoute::All)] {
        let request = Mediation::Request.into_message(V3, id()).with_to([relay_did(&stand)]);
        let mut request = Message { return_route, ..request };
        request.from = Some(stranger.did.clone());
        let sealed = stranger.seal(&stand, &request).await;
        let expected = if request.return_route.is_some() { 200 } else { 202 };
        assert_eq!(stand.post(&sealed).await.0, expected);
        let granted = stand.status().await.relay.unwrap().registrants;
        assert_eq!(granted, u64::from(request.return_route.is_some()));
    }
    // Known, it is written to; that this comes first shows that nothing was sent before.
    let query = Mediation::Query { paginate: None }.into_message(V3, id());
    let mut query = query.with_to([relay_did(&stand)]);
    query.from = Some(stranger.did.clone());
    assert_eq!(stand.post(&stranger.seal(&stand, &query).await).await.0, 202);
    let list = stranger.receive(&stand).await;
    assert!(matches!(Mediation::parse(&list), Ok((V3, Mediation::List { .. }))), "{list:?}");
    assert!(stranger.has_nothing());
}
