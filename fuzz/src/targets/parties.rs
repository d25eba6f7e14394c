//! Three parties with fixed keys, and what Aria has ever said: the only text that may be opened as hers.

use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, Choice, Did, DidDocument, DidUrl, Message, OpenError, OpenPolicy, Opened,
    PublicKey, SigningKey, UnixTime, VerificationMethod, open,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// The moment at which everything happens.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// One party.
pub struct Party {
    pub did: Did,
    pub sign_kid: DidUrl,
    pub signing: SigningKey,
    pub seal_kid: DidUrl,
    pub agreement: AgreementKey,
    pub document: Arc<DidDocument>,
}

impl Party {
    fn new(name: &str, seed: u8) -> Self {
        let did = Did::parse(&format!("did:web:{name}.example")).expect("a DID");
        let signing = SigningKey::from_seed([seed; 32].into());
        let agreement = AgreementKey::from_bytes([seed ^ 0x55; 32].into());
        let (sign_kid, seal_kid) = (did.url("sign"), did.url("seal"));
        let mut document = DidDocument::new(did.clone());
        let id = document.add_key(VerificationMethod::new(sign_kid.clone(), signing.public()));
        document.authentication.push(id);
        let id = document.add_key(VerificationMethod::new(seal_kid.clone(), agreement.public()));
        document.key_agreement.push(id);
        Self { did, sign_kid, signing, seal_kid, agreement, document: Arc::new(document) }
    }

    /// The party as a recipient.
    #[must_use]
    pub fn recipient(&self) -> (DidUrl, PublicKey) {
        (self.seal_kid.clone(), self.agreement.public())
    }
}

/// Aria, who writes; Bruno, who opens; Mallory, who has keys like anybody.
pub struct World {
    pub aria: Party,
    pub bruno: Party,
    pub mallory: Party,
}

impl World {
    #[must_use]
    pub fn new() -> Self {
        Self {
            aria: Party::new("aria", 1),
            bruno: Party::new("bruno", 2),
            mallory: Party::new("mallory", 3),
        }
    }

    /// A generator that starts anew for each input.
    #[must_use]
    pub fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    /// The one message that Aria ever sent to Bruno.
    #[must_use]
    pub fn letter(&self) -> Message {
        Message::new(
            "m-1".parse().expect("an id"),
            "https://didcomm.org/basicmessage/2.0/message".parse().expect("a type"),
        )
        .with_from(self.aria.did.clone())
        .with_to([self.bruno.did.clone()])
        .with_times(Some(NOW), None)
        .with_body_member("content", "hello")
    }

    /// Opens as Bruno, who takes bare messages as well.
    ///
    /// # Errors
    /// When the envelope is refused.
    pub fn open(&self, envelope: &[u8]) -> Result<Opened, OpenError> {
        let mut policy = OpenPolicy::default();
        policy.unprotected = Choice::Accept;
        let documents = [&self.aria, &self.bruno, &self.mallory];
        open(
            envelope,
            &policy,
            NOW,
            &|kid| (*kid == self.bruno.seal_kid).then(|| self.bruno.agreement.clone()),
            &|did| {
                let found = documents.iter().find(|party| party.did == *did);
                found.map(|party| Arc::clone(&party.document))
            },
        )
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
