//! Work is worth one message, and an earlier knock is remembered for so long and no longer.

use std::sync::Arc;

use comity_core::Context;
use comity_core::inbound::{Arrival, Commit, Inbound, Input, Outcome, Output, Written};
use comity_core::limits::WORK_CHALLENGE_AGE_S;
use comity_core::log::TagSecret;
use comity_core::receipt::{Rung, State};
use comity_core::trust::{Facts, Recipient, Solving, WayIn, WorkSecret};
use comity_didcomm::{
    AgreementKey, ContentEncryption, Message, MessageId, Protection, SigningKey, UnixTime, did,
    resolve_self_contained, seal,
};

use super::*;
use crate::records::due::{self, DueRow};
use crate::records::log::Ledger;
use crate::records::mailbox::{self, Capacity, Snapshot};
use crate::records::notices::Debts;
use crate::{CommitError, MemoryStore, Stamp};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A stranger, and an agent's home with a store.
struct Stand {
    store: Arc<dyn Store>,
    stranger: (Did, SigningKey),
    agent: (Did, AgreementKey),
}

/// What the machine makes of a post.
enum Posted {
    Charged(String),
    Committed(Arc<Commit>),
}

impl Stand {
    fn new() -> Self {
        let signing = SigningKey::generate(&mut rand::rng());
        let agreement = AgreementKey::generate(&mut rand::rng());
        Self {
            store: Arc::new(MemoryStore::new()),
            stranger: (did::key::create(&signing.public()), signing),
            agent: (did::key::create(&agreement.public()), agreement),
        }
    }

    fn envelope(&self, id: &str) -> Vec<u8> {
        let type_ = "https://example.org/offer/1.0/make".parse().unwrap();
        let message = Message::new(MessageId::parse(id).unwrap(), type_)
            .with_from(self.stranger.0.clone())
            .with_to([self.agent.0.clone()]);
        let document = resolve_self_contained(&self.stranger.0).unwrap().unwrap();
        let kid = document.signing_keys().next().unwrap().0;
        let enc = ContentEncryption::A256Gcm;
        let protection = Protection::Accountable { kid, key: &self.stranger.1, enc };
        let recipients = [(self.kid(), self.agent.1.public())];
        let sealed = seal(&message, protection, &recipients, &mut rand::rng()).unwrap();
        sealed.envelope.into_bytes()
    }

    fn kid(&self) -> comity_didcomm::DidUrl {
        let document = resolve_self_contained(&self.agent.0).unwrap().unwrap();
        document.agreement_keys().next().unwrap().0.clone()
    }

    /// Posts an envelope, and goes as far as to what would be written.
    fn post(&self, envelope: &[u8], work: Option<&str>) -> Posted {
        let home = "did:web:home.example".parse().unwrap();
        let secret = WorkSecret::new(&[3; 32]);
        let context = Context { home, now: NOW, salt: rand::random(), secret };
        let arrival = Arrival::encrypted(envelope.to_vec(), WayIn::Direct);
        let arrival = Arrival { work: work.map(str::to_owned), ..arrival };
        let mut inbound = Inbound::new(arrival, context).unwrap();
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(_) => Input::Keys(vec![(self.kid(), self.agent.1.clone())]),
                Output::Resolve(did) => {
                    Input::Document(Arc::new(resolve_self_contained(&did).unwrap().unwrap()))
                }
                Output::Judge(_) => {
                    let stranger = Facts::nothing_known(Recipient::Agent);
                    Input::Facts(Facts { price_bits: 5, ..stranger })
                }
                Output::Recall(_) => Input::Recalled(None),
                Output::Commit(commit) => return Posted::Committed(commit),
                Output::Done(Outcome::Charged(challenge)) => {
                    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
                    let solved = std::iter::repeat_with(|| solving.step(100)).flatten().next();
                    return Posted::Charged(solved.unwrap());
                }
                other => panic!("{other:?}"),
            };
            inbound.handle_input(input);
        }
    }

    /// Solves what a message costs.
    fn work(&self) -> String {
        match self.post(&self.envelope("m-0"), None) {
            Posted::Charged(shown) => shown,
            Posted::Committed(_) => panic!("it should have cost something"),
        }
    }

    /// Writes a paid message.
    async fn keep(&self, envelope: &[u8], work: &str) -> Written {
        let Posted::Committed(commit) = self.post(envelope, Some(work)) else {
            panic!("it was paid for")
        };
        let (mut batch, mut debts) = (Batch::new(), Debts::new());
        let capacity = Capacity { messages_max: 10 };
        let kept = mailbox::keep(
            &mut batch,
            &mut debts,
            &commit,
            Snapshot::New,
            capacity,
            Ledger::new(&TagSecret::new(&[0; 32])),
        );
        let result = self.store.commit(batch).await;
        mailbox::written(self.store.as_ref(), kept, result).await.unwrap()
    }

    async fn deny(&self) {
        let waiting = mailbox::request(self.store.as_ref(), &self.agent.0, &self.stranger.0);
        let waiting = waiting.await.unwrap().unwrap();
        let by = "did:web:home.example".parse().unwrap();
        let rung = Rung::new(State::Refused, NOW, by);
        let (mut batch, mut debts) = (Batch::new(), Debts::new());
        mailbox::drop_request(&mut batch, &mut debts, &waiting, &rung);
        self.store.commit(batch).await.unwrap();
    }

    async fn knocks(&self) -> i64 {
        knocks(self.store.as_ref(), &self.agent.0, &self.stranger.0).await.unwrap()
    }

    async fn spent(&self) -> usize {
        let rows = self.store.read(Keyspace::Index, crate::KeyRange::prefix(b"S"), 10);
        rows.await.unwrap().len()
    }

    async fn due(&self, at: UnixTime) -> Vec<DueRow> {
        due::until(self.store.as_ref(), at, None, 100).await.unwrap()
    }

    async fn forget(&self, row: &DueRow) -> Result<Stamp, CommitError> {
        let mut batch = Batch::new();
        due::done(&mut batch, row);
        match row.due {
            Due::ForgetKnock(knock) => forget_knock(&mut batch, knock),
            Due::ForgetSpent(challenge) => forget(&mut batch, challenge),
            _ => {}
        }
        self.store.commit(batch).await
    }
}

#[tokio::test]
async fn work_is_worth_one_message() {
    let stand = Stand::new();
    let work = stand.work();
    let first = stand.envelope("m-1");
    assert!(matches!(stand.keep(&first, &work).await, Written::New { .. }));
    assert!(matches!(stand.keep(&first, &work).await, Written::Repeat { .. }), "not a second one");
    assert_eq!(stand.keep(&stand.envelope("m-2"), &work).await, Written::Spent);
    stand.deny().await;
    assert_eq!(stand.keep(&stand.envelope("m-3"), &work).await, Written::Spent);
    assert_eq!(stand.spent().await, 1);
    let other = stand.work();
    assert!(matches!(stand.keep(&stand.envelope("m-3"), &other).await, Written::New { .. }));
    assert_eq!((stand.spent().await, stand.knocks().await), (2, 2));
}

#[tokio::test]
async fn work_of_two_messages_at_once_is_worth_one_of_them() {
    let stand = Stand::new();
    let work = stand.work();
    let (one, other) = (stand.envelope("m-1"), stand.envelope("m-2"));
    let (one, other) = tokio::join!(stand.keep(&one, &work), stand.keep(&other, &work));
    let new = [&one, &other].into_iter().filter(|kept| matches!(kept, Written::New { .. }));
    assert_eq!(new.count(), 1);
    assert!(one == Written::Spent || other == Written::Spent);
}

#[tokio::test]
async fn what_is_spent_is_forgotten_when_it_expires_and_a_knock_after_a_month() {
    let stand = Stand::new();
    stand.keep(&stand.envelope("m-1"), &stand.work()).await;
    let lapsed = NOW.saturating_add(WORK_CHALLENGE_AGE_S);
    assert_eq!(stand.due(lapsed.saturating_sub(1)).await, [], "while it could be shown again");
    let rows = stand.due(lapsed).await;
    assert!(matches!(rows[..], [DueRow { due: Due::ForgetSpent(_), .. }]));
    stand.forget(&rows[0]).await.unwrap();
    assert_eq!((stand.spent().await, stand.knocks().await), (0, 1));

    let later = stand.due(NOW.saturating_add(KNOCKS_REMEMBERED_S)).await;
    let knock = later.iter().find(|row| matches!(row.due, Due::ForgetKnock(_))).unwrap();
    stand.forget(knock).await.unwrap();
    assert_eq!(stand.knocks().await, 0);
}
