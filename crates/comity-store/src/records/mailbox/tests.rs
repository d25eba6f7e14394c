//! Requests, driven by the way in itself, over an engine in memory: counters equal rows whatever comes,
//! each bound turns one away, and every end of a request frees its place (I2, I3).

use std::sync::Arc;

use comity_core::Context;
use comity_core::inbound::{Arrival, Inbound, Input, Output};
use comity_core::log::TagSecret;
use comity_core::trust::{Entry, EntryKind, Facts, Policy, Recipient, WorkSecret};
use comity_didcomm::{
    AgreementKey, ContentEncryption, DidDocument, DidUrl, Message, MessageId, Protection,
    SigningKey, UnixTime, did, resolve_self_contained, seal,
};
use proptest::prelude::prop;
use proptest::strategy::Strategy as _;
use proptest::test_runner::TestRunner;
use rand::rng;

use super::*;
use crate::engine::memory::MemoryStore;

const NOW: UnixTime = UnixTime(1_800_000_000);

struct Party {
    did: Did,
    document: DidDocument,
    signing: SigningKey,
    agreement: AgreementKey,
}

impl Party {
    fn new() -> Self {
        let signing = SigningKey::generate(&mut rng());
        let agreement = AgreementKey::generate(&mut rng());
        let keys = [signing.public(), agreement.public()];
        let did = did::peer::create_4(&keys, &[]).unwrap().long;
        let document = resolve_self_contained(&did).unwrap().unwrap();
        Self { did, document, signing, agreement }
    }

    fn agreement_kid(&self) -> DidUrl {
        self.document.agreement_keys().next().unwrap().0.clone()
    }
}

struct Stand {
    store: Arc<dyn Store>,
    agents: [Party; 2],
    strangers: Vec<Party>,
    capacity: Capacity,
}

impl Stand {
    fn new(messages_max: u32) -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            agents: [Party::new(), Party::new()],
            strangers: (0..4).map(|_| Party::new()).collect(),
            capacity: Capacity { messages_max },
        }
    }

    /// A stranger's message to an agent, up to where it is to be written.
    fn commit(&self, stranger: usize, agent: usize, id: &str, bytes: usize) -> Arc<Commit> {
        let (from, to) = (&self.strangers[stranger], &self.agents[agent]);
        let type_ = "https://example.org/proposal/1.0/offer".parse().unwrap();
        let message = Message::new(MessageId::parse(id).unwrap(), type_)
            .with_from(from.did.clone())
            .with_to([to.did.clone()])
            .with_body_member("text", "x".repeat(bytes));
        let (kid, enc) =
            (from.document.signing_keys().next().unwrap().0, ContentEncryption::A256Gcm);
        let protection = Protection::Accountable { kid, key: &from.signing, enc };
        let recipients = [(to.agreement_kid(), to.agreement.public())];
        let sealed = seal(&message, protection, &recipients, &mut rng()).unwrap();
        let home = "did:web:home.example".parse().unwrap();
        let context = Context { home, now: NOW, salt: [7; 16], secret: WorkSecret::new(&[0; 32]) };
        let arrival = Arrival::same_home(sealed.envelope.into_bytes());
        let mut inbound = Inbound::new(arrival, context).unwrap();
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(_) => Input::Keys(vec![(to.agreement_kid(), to.agreement.clone())]),
                Output::Resolve(_) => Input::Document(Arc::new(from.document.clone())),
                Output::Judge(_) => Input::Facts(Facts::nothing_known(Recipient::Agent)),
                Output::Commit(commit) => return commit,
                other => panic!("{other:?}"),
            };
            inbound.handle_input(input);
        }
    }

    async fn keep(&self, commit: &Commit) -> Written {
        let (mut batch, mut debts) = (Batch::new(), Debts::new());
        let kept = keep(
            &mut batch,
            &mut debts,
            commit,
            Snapshot::New,
            self.capacity,
            Ledger::new(&TagSecret::new(&[0; 32])),
        );
        debts.put(&mut batch);
        let result = self.store.commit(batch).await;
        written(self.store.as_ref(), kept, result).await.unwrap()
    }

    async fn waiting(&self) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for agent in &self.agents {
            waiting.extend(requests(self.store.as_ref(), &agent.did).await.unwrap());
        }
        waiting
    }

    async fn end(&self, waiting: &Waiting, state: State) -> bool {
        let (mut batch, mut debts) = (Batch::new(), Debts::new());
        match state {
            State::Accepted => {
                let received = &waiting.held.received;
                let whom = Whom::Did(received.sender.clone());
                let entry = Entry::new(whom, EntryKind::Allow, NOW);
                let request = (&waiting.held.request, received.size_bytes);
                let (agent, policy, used) =
                    (&received.recipient, Policy::default(), Used::default());
                let approval = Approval::new(&entry, agent, request, &policy, used, NOW).unwrap();
                hand_over(&mut batch, waiting, &approval, self.capacity, NOW);
            }
            _ => {
                let rung = Rung::new(state, NOW, "did:web:home.example".parse().unwrap());
                drop_request(&mut batch, &mut debts, waiting, &rung);
            }
        }
        self.store.commit(batch).await.is_ok()
    }

    /// I2: every counter equals what the rows say.
    async fn check(&self) {
        let store = self.store.as_ref();
        let (mut of_node, mut bodies) = (0, 0);
        for agent in &self.agents {
            let waiting = requests(store, &agent.did).await.unwrap();
            let bytes: usize = waiting.iter().map(|one| one.held.received.size_bytes).sum();
            let pool = pool(store, &agent.did, self.capacity).await.unwrap();
            let expected = (waiting.len() as i64, i64::try_from(bytes).unwrap());
            assert_eq!((pool.pending, pool.bytes), expected);
            of_node += pool.pending;
            let held = rows(store, keys::mailbox_key(&agent.did), Seq(0), 999).await.unwrap().len();
            assert_eq!(messages(store, &agent.did).await.unwrap(), held as i64);
            bodies += waiting.len() + held;
        }
        let pool = pool(store, &self.agents[0].did, self.capacity).await.unwrap();
        assert_eq!(pool.of_node, of_node);
        let kept = store.read(Keyspace::Body, KeyRange::prefix(b"m"), usize::MAX).await.unwrap();
        assert_eq!(kept.len(), bodies);
    }
}

fn is_new(written: &Written) -> bool {
    matches!(written, Written::New { .. })
}

#[test]
fn counters_equal_rows_after_any_interleaving() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let step = (0_u8..6, 0_usize..4, 0_usize..2);
    let steps = prop::collection::vec(step, 1..30);
    let config = proptest::test_runner::Config {
        cases: 16,
        failure_persistence: None,
        ..Default::default()
    };
    TestRunner::new(config)
        .run(&steps.no_shrink(), |steps| {
            runtime.block_on(async {
                // Three requests for one agent, and as many messages.
                let stand = Stand::new(60);
                let mut sent: Vec<Arc<Commit>> = Vec::new();
                for (number, (step, stranger, agent)) in steps.into_iter().enumerate() {
                    let waiting = stand.waiting().await;
                    let one = waiting.get(number % waiting.len().max(1));
                    match (step, one) {
                        (0..=2, _) => {
                            let id = format!("m-{number}");
                            let commit = stand.commit(stranger, agent, &id, 10 * number);
                            drop(stand.keep(&commit).await);
                            sent.push(commit);
                        }
                        (3, _) => {
                            if let Some(commit) = sent.get(stranger) {
                                drop(stand.keep(commit).await);
                            }
                        }
                        (_, None) => {}
                        (4, Some(one)) => {
                            stand.end(one, State::Accepted).await;
                            assert!(!stand.end(one, State::Expired).await, "it is not there twice");
                        }
                        (_, Some(one)) => {
                            assert!(stand.end(one, State::Expired).await);
                            assert!(!stand.end(one, State::Expired).await, "it is not there twice");
                        }
                    }
                    stand.check().await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_stranger_has_one_request_and_all_of_them_a_small_share_of_the_mailbox() {
    // A mailbox of forty has room for two requests.
    let stand = Stand::new(40);
    let busy = Written::Temporary(Refusal::Busy);
    assert!(is_new(&stand.keep(&stand.commit(0, 0, "m-1", 10)).await));
    assert_eq!(stand.keep(&stand.commit(0, 0, "m-2", 10)).await, busy, "one a stranger");
    assert!(is_new(&stand.keep(&stand.commit(1, 0, "m-1", 10)).await));
    let third = stand.commit(2, 0, "m-1", 10);
    // Three times over the same state (I6).
    for end in [State::Expired, State::Refused, State::Accepted] {
        assert_eq!(stand.keep(&third).await, busy);
        let pool = pool(stand.store.as_ref(), &stand.agents[0].did, stand.capacity).await.unwrap();
        assert!(pool.is_full(10), "what the store refuses, the policy sees beforehand");
        assert!(
            is_new(&stand.keep(&stand.commit(2, 1, &format!("m-{end}"), 10)).await),
            "another agent"
        );
        for one in stand.waiting().await.iter().filter(|one| {
            let received = &one.held.received;
            keys::mailbox_key(&received.recipient) == keys::mailbox_key(&stand.agents[1].did)
                || received.sender == stand.strangers[1].did
        }) {
            assert!(stand.end(one, end).await);
        }
        stand.check().await;
        let again = stand.commit(1, 0, &format!("m-{end}"), 10);
        assert!(is_new(&stand.keep(&again).await), "{end} frees the place");
        stand.check().await;
    }
}

/// A pool with room for one small request is full for another one, until the first has ended.
async fn fills_up(stand: &Stand, counter: &[u8], taken: impl Fn(i64) -> i64) {
    let first = stand.commit(0, 0, "m-1", 10);
    let mut batch = Batch::new();
    batch.add(counter, taken(size(first.received())));
    stand.store.commit(batch).await.unwrap();
    assert!(is_new(&stand.keep(&first).await));
    let second = stand.commit(1, 0, "m-1", 1_000);
    let pool = pool(stand.store.as_ref(), &stand.agents[0].did, stand.capacity).await.unwrap();
    assert!(pool.is_full(second.received().size_bytes), "{pool:?}");
    assert_eq!(stand.keep(&second).await, Written::Temporary(Refusal::Busy));
    let one = stand.waiting().await.remove(0);
    assert!(stand.end(&one, State::Refused).await);
    let small = stand.commit(2, 0, "m-1", 10);
    assert!(is_new(&stand.keep(&small).await), "there is room again");
}

#[tokio::test]
async fn the_bytes_of_requests_are_bounded() {
    let stand = Stand::new(100_000);
    let bytes = keys::count_request_bytes(&stand.agents[0].did);
    fills_up(&stand, &bytes, |first| REQUESTS_BYTES_MAX - first - 500).await;
}

#[tokio::test]
async fn the_requests_of_all_agents_together_are_bounded() {
    let stand = Stand::new(100_000);
    fills_up(&stand, &keys::count_requests_of_node(), |_| REQUESTS_OF_NODE_MAX - 1).await;
}

#[tokio::test]
async fn a_request_of_before_its_bytes_were_counted_is_taken_all_the_same() {
    let stand = Stand::new(100);
    let commit = stand.commit(0, 0, "m-1", 10);
    assert!(is_new(&stand.keep(&commit).await));
    // As such a row was written: without the member, and with one counter.
    let mut one = stand.waiting().await.remove(0);
    let received = &one.held.received;
    let mut batch = Batch::new();
    batch.add(&keys::count_requests_of_node(), -1);
    batch.add(&keys::count_request_bytes(&received.recipient), -size(received));
    let mut row: serde_json::Value = serde_json::to_value(&one.held).unwrap();
    row.as_object_mut().unwrap().remove("pooled");
    let key = keys::request(&received.recipient, &received.sender);
    batch.put_stamped_value(Keyspace::Index, &key, row.to_string().into_bytes());
    stand.store.commit(batch).await.unwrap();
    one = stand.waiting().await.remove(0);
    assert!(!one.held.pooled);
    assert!(stand.end(&one, State::Refused).await);
    let pool = pool(stand.store.as_ref(), &stand.agents[0].did, stand.capacity).await.unwrap();
    assert_eq!((pool.pending, pool.bytes, pool.of_node), (0, 0, 0));
}
