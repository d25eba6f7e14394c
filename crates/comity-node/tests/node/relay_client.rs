//! A peer that keeps its mailbox with a relay: it knows the standard protocols, has no endpoint, and checks everything
//! that comes back.

use std::sync::Arc;

use comity_core::protocol::coordinate_mediation::{self, Action, Mediation, Update, UpdateResult};
use comity_core::protocol::pickup::{self, Pickup, Status, Waiting};
use comity_core::relay::{Register, RelayPolicy};
use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidDocument, DidUrl, Message, MessageId, OpenPolicy,
    Protection, PublicKey, ReturnRoute, SigningKey, UnixTime, did, open, resolve_self_contained,
    seal,
};
use comity_store::MemoryStore;
use rand::rng;

use crate::support::Stand;

pub(crate) const V3: coordinate_mediation::Version = coordinate_mediation::Version::V3;

/// A peer without an endpoint: it can only ask.
pub(crate) struct Client {
    pub(crate) did: Did,
    pub(crate) document: DidDocument,
    pub(crate) signing: SigningKey,
    agreement: AgreementKey,
}

pub(crate) fn now() -> UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime(now.as_secs())
}

pub(crate) fn id() -> MessageId {
    MessageId::parse(&uuid::Uuid::now_v7().to_string()).unwrap()
}

pub(crate) fn relay_did(stand: &Stand) -> Did {
    stand.node.ready().did.parse().unwrap()
}

pub(crate) fn keys(document: &DidDocument) -> Vec<(DidUrl, PublicKey)> {
    document.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect()
}

impl Client {
    pub(crate) fn new() -> Self {
        let (signing, agreement) =
            (SigningKey::generate(&mut rng()), AgreementKey::generate(&mut rng()));
        let did = did::peer::create_4(&[signing.public(), agreement.public()], &[]).unwrap().long;
        let document = resolve_self_contained(&did).unwrap().unwrap();
        Self { did, document, signing, agreement }
    }

    /// Seals a message to the relay, authenticated, with a way back.
    pub(crate) async fn seal(&self, stand: &Stand, message: Message) -> Vec<u8> {
        let mut message = message.with_from(self.did.clone()).with_to([relay_did(stand)]);
        if message.return_route.is_none() {
            message.return_route = Some(ReturnRoute::All);
        }
        message.created_time = Some(now());
        let document = stand.document(&relay_did(stand)).await;
        let kid = self.document.agreement_keys().next().unwrap().0;
        let protection = Protection::Deniable { kid, key: &self.agreement };
        seal(&message, protection, &keys(&document), &mut rng()).unwrap().envelope.into_bytes()
    }

    /// Opens what the relay answered, with every check.
    pub(crate) async fn open(&self, stand: &Stand, envelope: &[u8]) -> Message {
        let kid = self.document.agreement_keys().next().unwrap().0.clone();
        let document = Arc::new(stand.document(&relay_did(stand)).await);
        let keys = |asked: &DidUrl| (*asked == kid).then(|| self.agreement.clone());
        let known = |did: &Did| (*did == document.id).then(|| Arc::clone(&document));
        let opened = open(envelope, &OpenPolicy::default(), now(), &keys, &known).unwrap();
        assert_eq!(opened.sender().unwrap().did(), &relay_did(stand));
        opened.message
    }

    /// Asks the relay, and returns what came back in the response.
    pub(crate) async fn ask(&self, stand: &Stand, message: Message) -> Option<Message> {
        let id = message.id.as_str().to_owned();
        let envelope = self.seal(stand, message).await;
        let answer = self.post(stand, &envelope).await?;
        let thread = answer.pthid.as_deref().unwrap_or_else(|| answer.thread_id());
        assert_eq!(thread, id, "an answer is in its question's thread");
        Some(answer)
    }

    pub(crate) async fn post(&self, stand: &Stand, envelope: &[u8]) -> Option<Message> {
        let (status, body) = stand.exchange(envelope).await;
        match status.as_u16() {
            200 => Some(self.open(stand, &body).await),
            202 => None,
            other => panic!("{other}: {body:?}"),
        }
    }

    pub(crate) async fn mediation(
        &self,
        stand: &Stand,
        version: coordinate_mediation::Version,
        question: Mediation,
    ) -> Mediation {
        let answer = self.ask(stand, question.into_message(version, id())).await.unwrap();
        let (answered, mediation) = Mediation::parse(&answer).unwrap();
        assert_eq!(answered, version);
        mediation
    }

    pub(crate) async fn pickup(
        &self,
        stand: &Stand,
        version: pickup::Version,
        question: Pickup,
    ) -> Pickup {
        let answer = self.ask(stand, question.into_message(version, id())).await.unwrap();
        let (answered, pickup) = Pickup::parse(&answer).unwrap();
        assert_eq!(answered, version);
        pickup
    }

    /// Registers itself.
    pub(crate) async fn register(&self, stand: &Stand) {
        let grant = self.mediation(stand, V3, Mediation::Request).await;
        assert_eq!(grant, Mediation::Grant { routing_did: vec![relay_did(stand)] });
        assert_eq!(self.update(stand, self.add(&self.did, None)).await, UpdateResult::Success);
    }

    pub(crate) fn add(&self, did: &Did, proof: Option<serde_json::Value>) -> Update {
        Update { recipient_did: did.clone(), action: Action::Add, proof }
    }

    pub(crate) async fn update(&self, stand: &Stand, update: Update) -> UpdateResult {
        let answer = self.mediation(stand, V3, Mediation::Update(vec![update])).await;
        let Mediation::Updated(updated) = answer else { panic!("{answer:?}") };
        updated[0].result
    }

    pub(crate) async fn status(&self, stand: &Stand) -> Status {
        let question = Pickup::StatusRequest { recipient_did: None };
        match self.pickup(stand, pickup::Version::V4, question).await {
            Pickup::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// What waits for it, at most ten.
    pub(crate) async fn fetch(&self, stand: &Stand) -> Vec<Waiting> {
        let question = Pickup::DeliveryRequest { recipient_did: None, limit: 10 };
        match self.pickup(stand, pickup::Version::V4, question).await {
            Pickup::Delivery { messages, .. } => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Says that messages have arrived; the answer is what is left.
    pub(crate) async fn received(&self, stand: &Stand, ids: Vec<String>) {
        let question = Pickup::MessagesReceived { ids };
        let answer = self.pickup(stand, pickup::Version::V4, question).await;
        assert!(matches!(answer, Pickup::Status(_)), "{answer:?}");
    }

    /// The code of the report that comes back instead of an answer.
    pub(crate) async fn problem(&self, stand: &Stand, message: Message) -> String {
        let report = self.ask(stand, message).await.unwrap();
        assert_eq!(report.type_.name(), "problem-report");
        report.body["code"].as_str().unwrap().to_owned()
    }

    /// A letter of anybody's to this peer.
    pub(crate) fn letter(&self, text: &str) -> Vec<u8> {
        let type_ = "https://didcomm.org/basicmessage/2.0/message".parse().unwrap();
        let message = Message::new(id(), type_).with_body_member("content", text);
        let protection = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
        let sealed = seal(&message, protection, &keys(&self.document), &mut rng()).unwrap();
        sealed.envelope.into_bytes()
    }

    /// A letter of this peer's to somebody, signed.
    pub(crate) fn signed_letter(&self, to: &DidDocument, type_: &str, id: &str) -> Vec<u8> {
        let message = Message::new(MessageId::parse(id).unwrap(), type_.parse().unwrap())
            .with_from(self.did.clone())
            .with_to([to.id.clone()]);
        let kid = self.document.signing_keys().next().unwrap().0;
        let enc = ContentEncryption::A256CbcHs512;
        let protection = Protection::Accountable { kid, key: &self.signing, enc };
        seal(&message, protection, &keys(to), &mut rng()).unwrap().envelope.into_bytes()
    }

    /// Reads a letter that the relay delivered.
    pub(crate) fn read(&self, letter: &Waiting) -> String {
        let keys = |_: &DidUrl| Some(self.agreement.clone());
        let opened = open(&letter.envelope, &OpenPolicy::default(), now(), &keys, &|_| None);
        opened.unwrap().message.body["content"].as_str().unwrap().to_owned()
    }
}

/// A forward as any sender makes it.
pub(crate) async fn forward(stand: &Stand, next: &str, letter: Vec<u8>) -> Vec<u8> {
    sealed(stand, Forward::new(Next::parse(next).unwrap(), letter)).await
}

pub(crate) async fn sealed(stand: &Stand, forward: Forward) -> Vec<u8> {
    let message = forward.into_message(id()).unwrap().with_to([relay_did(stand)]);
    let document = stand.document(&relay_did(stand)).await;
    let protection = Protection::Anonymous { enc: ContentEncryption::A256CbcHs512 };
    seal(&message, protection, &keys(&document), &mut rng()).unwrap().envelope.into_bytes()
}

/// Posts a forward to a peer; returns status and code.
pub(crate) async fn post(stand: &Stand, to: &Client, text: &str) -> (u16, Option<String>) {
    let envelope = forward(stand, to.did.as_str(), to.letter(text)).await;
    let (status, code) = stand.post(&envelope).await;
    (status.as_u16(), code)
}

pub(crate) async fn relay_with(set: impl FnOnce(&mut RelayPolicy)) -> Stand {
    let mut policy = RelayPolicy { register: Register::Open, ..RelayPolicy::default() };
    // A full pool is a full pool, where a test does not say otherwise.
    policy.quotas.work_bits = 0;
    set(&mut policy);
    Stand::with(Arc::new(MemoryStore::new()), |config| config.relay = Some(policy)).await
}

pub(crate) async fn open_relay() -> Stand {
    relay_with(|_| {}).await
}
