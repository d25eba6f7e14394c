//! Two or three parties with keys and documents, for the tests of envelopes. Not a test itself.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, ContentEncryption, Curve, Did, DidDocument, DidUrl, Message, MessageId,
    MessageType, OpenError, OpenPolicy, Opened, Protection, PublicKey, SigningKey, UnixTime,
    VerificationMethod, open,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The moment at which every test message is opened.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

pub(crate) struct Party {
    pub(crate) did: Did,
    pub(crate) sign_kid: DidUrl,
    pub(crate) signing: SigningKey,
    pub(crate) seal_kid: DidUrl,
    pub(crate) agreement: AgreementKey,
    pub(crate) document: DidDocument,
}

impl Party {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        let signing = SigningKey::from_seed([seed; 32].into());
        let agreement = AgreementKey::from_bytes([seed ^ 0x55; 32].into());
        Self::with(name, signing, agreement)
    }

    pub(crate) fn with(name: &str, signing: SigningKey, agreement: AgreementKey) -> Self {
        let did = Did::parse(&format!("did:web:{name}.example")).unwrap();
        let (sign_kid, seal_kid) = (did.url("sign"), did.url("seal"));
        let mut document = DidDocument::new(did.clone());
        let id = document.add_key(VerificationMethod::new(sign_kid.clone(), signing.public()));
        document.authentication.push(id);
        let id = document.add_key(VerificationMethod::new(seal_kid.clone(), agreement.public()));
        document.key_agreement.push(id);
        Self { did, sign_kid, signing, seal_kid, agreement, document }
    }

    pub(crate) fn recipient(&self) -> (DidUrl, PublicKey) {
        (self.seal_kid.clone(), self.agreement.public())
    }

    pub(crate) fn accountable(&self) -> Protection<'_> {
        let enc = ContentEncryption::A256CbcHs512;
        Protection::Accountable { kid: &self.sign_kid, key: &self.signing, enc }
    }

    pub(crate) fn deniable(&self) -> Protection<'_> {
        Protection::Deniable { kid: &self.seal_kid, key: &self.agreement }
    }
}

/// Aria, Bruno, and Mallory, who is a party like any other.
pub(crate) struct World {
    pub(crate) aria: Party,
    pub(crate) bruno: Party,
    pub(crate) mallory: Party,
    pub(crate) rng: StdRng,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            aria: Party::new("aria", 1),
            bruno: Party::new("bruno", 2),
            mallory: Party::new("mallory", 3),
            rng: StdRng::seed_from_u64(7),
        }
    }

    /// The same three, with keys on these curves.
    pub(crate) fn on(sign: Curve, agree: Curve) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let mut party = |name: &str| {
            let signing = SigningKey::generate_on(sign, &mut rng).unwrap();
            Party::with(name, signing, AgreementKey::generate_on(agree, &mut rng).unwrap())
        };
        let (aria, bruno, mallory) = (party("aria"), party("bruno"), party("mallory"));
        Self { aria, bruno, mallory, rng }
    }

    /// A message from Aria to Bruno.
    pub(crate) fn message(&self) -> Message {
        Message::new(
            MessageId::parse("m-1").unwrap(),
            MessageType::parse("https://didcomm.org/basicmessage/2.0/message").unwrap(),
        )
        .with_from(self.aria.did.clone())
        .with_to([self.bruno.did.clone()])
        .with_times(Some(NOW), Some(NOW.saturating_add(60)))
        .with_body_member("content", "hello")
    }

    pub(crate) fn documents(&self) -> HashMap<Did, Arc<DidDocument>> {
        [&self.aria, &self.bruno, &self.mallory]
            .map(|party| (party.did.clone(), Arc::new(party.document.clone())))
            .into()
    }

    /// Opens as Bruno.
    pub(crate) fn open(&self, envelope: &str) -> Result<Opened, OpenError> {
        self.open_as(&self.bruno, envelope, &OpenPolicy::default())
    }

    pub(crate) fn open_as(
        &self,
        party: &Party,
        envelope: &str,
        policy: &OpenPolicy,
    ) -> Result<Opened, OpenError> {
        let documents = self.documents();
        open(
            envelope.as_bytes(),
            policy,
            NOW,
            &|kid| (*kid == party.seal_kid).then(|| party.agreement.clone()),
            &|did| documents.get(did).cloned(),
        )
    }
}
