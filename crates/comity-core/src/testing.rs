//! Test equipment: identities with real keys, and shells that answer the machines from memory.

use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, Did, DidDocument, DidUrl, Endpoint, Message, MessageId, OpenError, OpenPolicy,
    Opened, Protection, Service, SigningKey, UnixTime, VerificationMethod, open, seal,
};

use crate::Context;
use crate::inbound::{Arrival, Commit, Inbound, Input, Outcome, Output, Written};
use crate::outbound::SenderKeys;
use crate::refusal::Refusal;
use crate::trust::{Challenge, Facts, Solving, WorkSecret};

pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

/// By which the home of these tests knows its own challenges.
pub(crate) fn secret() -> WorkSecret {
    WorkSecret::new(&[9; 32])
}

/// Somebody with a did:web, keys and a document.
pub(crate) struct Party {
    pub(crate) did: Did,
    pub(crate) document: Arc<DidDocument>,
    signing: SigningKey,
    agreement: AgreementKey,
}

impl Party {
    pub(crate) fn new(did: &str, controller: Option<&str>) -> Self {
        let did: Did = did.parse().unwrap();
        let signing = SigningKey::generate(&mut rand::rng());
        let agreement = AgreementKey::generate(&mut rand::rng());
        let mut document = DidDocument::new(did.clone());
        let sign = VerificationMethod::new(did.url("key-1"), signing.public());
        let agree = VerificationMethod::new(did.url("key-2"), agreement.public());
        let (sign, agree) = (document.add_key(sign), document.add_key(agree));
        document.authentication.push(sign);
        document.key_agreement.push(agree);
        document.controller.extend(controller.map(|home| home.parse().unwrap()));
        let endpoint = Endpoint::new("https://home.example/didcomm");
        document.service.push(Service::didcomm(&did.url("didcomm"), &endpoint));
        Self { did, document: Arc::new(document), signing, agreement }
    }

    /// Returns the same party at other endpoints.
    pub(crate) fn at(&self, endpoints: &[Endpoint]) -> Self {
        self.changed(&|document| {
            let service = |(number, endpoint)| {
                Service::didcomm(&document.id.url(&format!("didcomm-{number}")), endpoint)
            };
            document.service = endpoints.iter().enumerate().map(service).collect();
        })
    }

    /// Opens an envelope that is for this party, and perhaps from that one.
    pub(crate) fn open(&self, envelope: &[u8], from: &Self) -> Result<Opened, OpenError> {
        let kid = self.did.url("key-2");
        let ours = |asked: &DidUrl| (*asked == kid).then(|| self.agreement.clone());
        let document = |did: &Did| (*did == from.did).then(|| Arc::clone(&from.document));
        open(envelope, &OpenPolicy::default(), NOW, &ours, &document)
    }

    /// Returns the same party with a changed document.
    pub(crate) fn changed(&self, change: &dyn Fn(&mut DidDocument)) -> Self {
        let mut document = (*self.document).clone();
        change(&mut document);
        Self {
            did: self.did.clone(),
            document: Arc::new(document),
            signing: self.signing.clone(),
            agreement: self.agreement.clone(),
        }
    }

    pub(crate) fn keys(&self) -> SenderKeys {
        SenderKeys {
            signing: (self.did.url("key-1"), self.signing.clone()),
            agreement: (self.did.url("key-2"), self.agreement.clone()),
        }
    }

    /// Seals a message to somebody, signed unless told otherwise.
    pub(crate) fn seal(&self, message: &Message, to: &Self, how: How) -> Vec<u8> {
        let (sign_kid, agree_kid) = (self.did.url("key-1"), self.did.url("key-2"));
        let enc = comity_didcomm::ContentEncryption::A256CbcHs512;
        let protection = match how {
            How::Signed => Protection::Accountable { kid: &sign_kid, key: &self.signing, enc },
            How::Authcrypt => Protection::Deniable { kid: &agree_kid, key: &self.agreement },
            How::Anonymous => Protection::Anonymous { enc },
        };
        let recipients = [(to.did.url("key-2"), to.agreement.public())];
        seal(message, protection, &recipients, &mut rand::rng()).unwrap().envelope.into_bytes()
    }

    pub(crate) fn message(&self, id: &str, type_: &str, to: &Self) -> Message {
        let mut message = Message::new(MessageId::parse(id).unwrap(), type_.parse().unwrap());
        message.from = Some(self.did.clone());
        message.to = vec![to.did.clone()];
        message
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Anonymous,
    Authcrypt,
    Signed,
}

/// What came of driving an envelope in.
pub(crate) struct Driven {
    pub(crate) outcome: Outcome,
    pub(crate) commit: Option<Arc<Commit>>,
    pub(crate) delivered: bool,
}

/// Drives an envelope through the inbound machine.
pub(crate) fn drive_in(
    envelope: Vec<u8>,
    sender: &Party,
    recipient: &Party,
    facts: &Facts,
    written: &Written,
) -> Driven {
    drive_arrival(Arrival::same_home(envelope), (sender, recipient), facts, written, None)
}

/// Drives what was posted through the inbound machine; `known` is the digest under which the store
/// has the message.
pub(crate) fn drive_arrival(
    arrival: Arrival,
    (sender, recipient): (&Party, &Party),
    facts: &Facts,
    written: &Written,
    known: Option<&str>,
) -> Driven {
    let home = "did:web:home.example".parse().unwrap();
    let context = Context { home, now: NOW, salt: [7; 16], secret: secret() };
    let (mut commit, mut delivered) = (None, false);
    let mut inbound = match Inbound::new(arrival, context) {
        Ok(inbound) => inbound,
        Err(refusal) => {
            return Driven { outcome: Outcome::TurnedAway(refusal), commit, delivered };
        }
    };
    loop {
        let input = match inbound.poll_output() {
            Output::Keys(kids) => {
                let ours = kids.into_iter().filter(|kid| *kid == recipient.did.url("key-2"));
                Input::Keys(ours.map(|kid| (kid, recipient.agreement.clone())).collect())
            }
            Output::Resolve(did) if did == sender.did => {
                Input::Document(Arc::clone(&sender.document))
            }
            Output::Resolve(did) => Input::Unresolvable(did),
            Output::Judge(_) => Input::Facts(facts.clone()),
            Output::Revocations(_) => Input::Revoked(Vec::new()),
            Output::Recall(_) => Input::Recalled(known.map(str::to_owned)),
            Output::Commit(asked) => {
                commit = Some(asked);
                Input::Written(written.clone())
            }
            Output::Deliver(_) => {
                delivered = true;
                continue;
            }
            Output::Done(outcome) => return Driven { outcome, commit, delivered },
            Output::Hold(_) | Output::Route(_) | Output::Serve(_) => panic!("a relay's business"),
        };
        inbound.handle_input(input);
    }
}

pub(crate) const fn turned_away(refusal: Refusal) -> Outcome {
    Outcome::TurnedAway(refusal)
}

/// Solves a puzzle, and writes what is shown for it.
pub(crate) fn solve(challenge: &Challenge) -> String {
    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
    std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap()
}
