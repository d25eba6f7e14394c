//! Parties with real keys, and a home that is nothing but a store: what the machines of
//! `comity-core` let in or send is written as a node writes it.

use std::sync::Arc;

use comity_core::Context;
use comity_core::inbound::{Arrival, Commit, Inbound, Input, Output, Written};
use comity_core::log::TagSecret;
use comity_core::outbound::{
    self, Accountability, Outbound, Queued, Residence, SenderKeys, Stored, Submission, Unsendable,
};
use comity_core::receipt::{Rung, State};
use comity_core::record::{OutgoingKind, Received};
use comity_core::trust::{
    Direction, Entry, Facts, Fence, Meter, MeterId, Recipient, Used, WorkSecret, subject,
};
use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidDocument, Endpoint, Message, MessageId, Protection,
    Service, SigningKey, UnixTime, VerificationMethod, seal,
};
use comity_store::records::log::Ledger;
use comity_store::records::mailbox::{Capacity, Snapshot};
use comity_store::records::notices::Debts;
use comity_store::records::{mailbox, mailbox_key, meters, outbox, relations};
use comity_store::{Batch, CommitError, KeyRange, Keyspace, Seq, Stamp, Store};
use rand::rng;

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const ASK: &str = "https://example.org/question/1.0/ask";
pub(crate) const TASK: &str = "https://comity.dev/protocols/task/1.0/request";

/// One round of a case: a store that earlier rounds have used, and two parties that are new.
pub(crate) struct Round {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) aria: Party,
    pub(crate) bruno: Party,
}

/// Somebody with a did:web, keys and a document.
pub(crate) struct Party {
    pub(crate) did: Did,
    document: Arc<DidDocument>,
    signing: SigningKey,
    agreement: AgreementKey,
}

impl Party {
    fn new(did: &str) -> Self {
        let did: Did = did.parse().unwrap();
        let signing = SigningKey::generate(&mut rng());
        let agreement = AgreementKey::generate(&mut rng());
        let mut document = DidDocument::new(did.clone());
        let sign = VerificationMethod::new(did.url("key-1"), signing.public());
        let agree = VerificationMethod::new(did.url("key-2"), agreement.public());
        let (sign, agree) = (document.add_key(sign), document.add_key(agree));
        document.authentication.push(sign);
        document.key_agreement.push(agree);
        let endpoint = Endpoint::new("https://home.example/didcomm");
        document.service.push(Service::didcomm(&did.url("didcomm"), &endpoint));
        Self { did, document: Arc::new(document), signing, agreement }
    }

    fn seal(&self, message: &Message, to: &Self) -> Vec<u8> {
        let kid = self.did.url("key-1");
        let enc = ContentEncryption::A256Gcm;
        let protection = Protection::Accountable { kid: &kid, key: &self.signing, enc };
        let recipients = [(to.did.url("key-2"), to.agreement.public())];
        seal(message, protection, &recipients, &mut rng()).unwrap().envelope.into_bytes()
    }
}

impl Round {
    pub(crate) fn new(store: Arc<dyn Store>, case: &str, number: u8) -> Self {
        let party = |name| {
            let case = case.replace('_', "-");
            Party::new(&format!("did:web:home.example:{case}:{number}:{name}"))
        };
        Self { store, aria: party("aria"), bruno: party("bruno") }
    }

    pub(crate) async fn commit(
        &self,
        build: impl FnOnce(&mut Batch),
    ) -> Result<Stamp, CommitError> {
        let mut batch = Batch::new();
        build(&mut batch);
        self.store.commit(batch).await
    }

    /// Judges a message of Aria's to Bruno by what the store holds of entries, and by `used`.
    pub(crate) async fn judge(&self, id: &str, type_: &str, used: Looked) -> Arc<Commit> {
        let mut facts = Facts::nothing_known(Recipient::Agent);
        let (aria, bruno) = (&self.aria.did, &self.bruno.did);
        let entries = relations::about(self.store.as_ref(), bruno, Direction::In, aria).await;
        facts.entries = entries.unwrap();
        if used == Looked::Well {
            for entry in &facts.entries {
                let meter = Meter { id: entry.meter(bruno), limits: entry.limits };
                facts.used.push((meter.id, self.used(&meter, NOW).await));
            }
        }
        let mut message = Message::new(MessageId::parse(id).unwrap(), type_.parse().unwrap());
        message.from = Some(aria.clone());
        message.to = vec![bruno.clone()];
        let arrival = Arrival::same_home(self.aria.seal(&message, &self.bruno));
        let mut inbound = Inbound::new(arrival, context()).unwrap();
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(kids) => {
                    let keys = kids.into_iter().map(|kid| (kid, self.bruno.agreement.clone()));
                    Input::Keys(keys.collect())
                }
                Output::Resolve(_) => Input::Document(Arc::clone(&self.aria.document)),
                Output::Judge(_) => Input::Facts(facts.clone()),
                Output::Commit(commit) => return commit,
                other => panic!("not asked for by a message to an agent: {other:?}"),
            };
            inbound.handle_input(input);
        }
    }

    /// Writes what was judged, as a node does.
    pub(crate) async fn keep(&self, commit: &Commit) -> Written {
        let (mut batch, mut debts) = (Batch::new(), Debts::new());
        let capacity = Capacity { messages_max: 1_000 };
        let kept = mailbox::keep(
            &mut batch,
            &mut debts,
            commit,
            Snapshot::New,
            capacity,
            Ledger::new(&TagSecret::new(&[0; 32])),
        );
        debts.put(&mut batch);
        let result = self.store.commit(batch).await;
        mailbox::written(self.store.as_ref(), kept, result).await.unwrap()
    }

    /// Judges a message and writes it.
    pub(crate) async fn receive(&self, id: &str, type_: &str) -> Arc<Commit> {
        let commit = self.judge(id, type_, Looked::Well).await;
        assert!(matches!(self.keep(&commit).await, Written::New { .. }), "{id} is written");
        commit
    }

    pub(crate) async fn mailbox(&self) -> Vec<(Seq, Received)> {
        let mailbox = mailbox_key(&self.bruno.did);
        mailbox::rows(self.store.as_ref(), mailbox, Seq(0), 100).await.unwrap()
    }

    /// Takes a message out of Bruno's mailbox; says whether it was there.
    pub(crate) async fn settle(&self, seq: Seq, received: &Received, state: State) -> bool {
        let rung = Rung::new(state, NOW, self.bruno.did.clone());
        let settling = |batch: &mut Batch| {
            mailbox::settle(batch, &mut Debts::new(), seq, received, &rung);
        };
        self.commit(settling).await.is_ok()
    }

    /// Enters what Bruno's operator says of Aria.
    pub(crate) async fn enter(&self, entry: &Entry) {
        self.commit(|batch| relations::put(batch, &self.bruno.did, entry)).await.unwrap();
    }

    pub(crate) async fn used(&self, meter: &Meter, now: UnixTime) -> Used {
        meters::used(self.store.as_ref(), meter, now).await.unwrap()
    }

    /// Sends a message of Aria's to Bruno, and says what became of it.
    pub(crate) async fn send(
        &self,
        id: &str,
        change: impl FnOnce(&mut Submission),
        fence: Fence,
    ) -> Result<Arc<Queued>, Unsendable> {
        let mut submission = Submission {
            id: MessageId::parse(id).unwrap(),
            from: self.aria.did.clone(),
            to: self.bruno.did.clone(),
            type_: ASK.parse().unwrap(),
            body: serde_json::Map::new(),
            attachments: Vec::new(),
            thid: None,
            pthid: None,
            ack: Vec::new(),
            expires_in_s: None,
            work_bits_max: None,
            accountability: Accountability::Accountable,
            kind: OutgoingKind::Message,
        };
        change(&mut submission);
        let mut machine = Outbound::new(submission, context());
        loop {
            let input = match machine.poll_output() {
                outbound::Output::Resolve(_) => {
                    let document = Arc::clone(&self.bruno.document);
                    outbound::Input::Document(document, Residence::Elsewhere)
                }
                outbound::Output::Judge(_) => outbound::Input::Fence(fence.clone()),
                outbound::Output::Keys(_) => outbound::Input::Keys(SenderKeys {
                    signing: (self.aria.did.url("key-1"), self.aria.signing.clone()),
                    agreement: (self.aria.did.url("key-2"), self.aria.agreement.clone()),
                }),
                outbound::Output::Commit(queued) => {
                    outbound::Input::Stored(self.queue(&queued).await)
                }
                outbound::Output::Done(result) => return result,
                other => panic!("not asked for: {other:?}"),
            };
            machine.handle_input(input, &mut rng());
        }
    }

    async fn queue(&self, queued: &Queued) -> Stored {
        let mut batch = Batch::new();
        let enqueued = outbox::enqueue(&mut batch, queued, Ledger::new(&TagSecret::new(&[0; 32])));
        let result = self.store.commit(batch).await;
        outbox::stored(self.store.as_ref(), enqueued, result).await.unwrap()
    }

    /// Reads all rows of a keyspace under a letter.
    pub(crate) async fn rows(&self, keyspace: Keyspace, letter: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.store.read(keyspace, KeyRange::prefix(letter), usize::MAX).await.unwrap();
        rows.into_iter().map(|row| (row.key, row.value)).collect()
    }
}

/// Whether a message was judged by what was used when it came, or by what nobody had used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    TooEarly,
    Well,
}

/// A meter of its own for each round.
pub(crate) fn meter_id(did: &Did) -> MeterId {
    let mut id = [0; 16];
    let text = subject(did).as_str().to_owned();
    text.bytes().enumerate().for_each(|(at, byte)| id[at % 16] ^= byte.rotate_left(at as u32 / 16));
    MeterId(id)
}

fn context() -> Context {
    let home = "did:web:home.example".parse().unwrap();
    Context { home, now: NOW, salt: [7; 16], secret: WorkSecret::new(&[0; 32]) }
}
