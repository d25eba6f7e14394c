//! Two parties with keys and documents that are at hand, as in a node's cache.

use std::sync::Arc;

use comity_didcomm::{
    AgreementCache, AgreementKey, Curve, Did, DidDocument, DidUrl, Message, OpenPolicy, PublicKey,
    SigningKey, UnixTime, VerificationMethod, open,
};

const NOW: UnixTime = UnixTime(1_800_000_000);

#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) aria_sign_kid: DidUrl,
    pub(crate) aria_sign: SigningKey,
    pub(crate) aria_agree_kid: DidUrl,
    pub(crate) aria_agree: AgreementKey,
    pub(crate) recipients: [(DidUrl, PublicKey); 1],
    aria: Arc<DidDocument>,
    pub(crate) bruno: AgreementKey,
}

impl Pair {
    pub(crate) fn on(sign: Curve, agree: Curve) -> Self {
        let mut rng = rand::rng();
        let aria = Did::parse("did:web:org-a.example:agents:aria").unwrap();
        let bruno = Did::parse("did:web:org-b.example:agents:bruno").unwrap();
        let aria_sign = SigningKey::generate_on(sign, &mut rng).unwrap();
        let aria_agree = AgreementKey::generate_on(agree, &mut rng).unwrap();
        let bruno_agree = AgreementKey::generate_on(agree, &mut rng).unwrap();
        let (aria_sign_kid, aria_agree_kid) = (aria.url("key-1"), aria.url("key-2"));
        let mut document = DidDocument::new(aria);
        let method = VerificationMethod::new(aria_sign_kid.clone(), aria_sign.public());
        let id = document.add_key(method);
        document.authentication.push(id);
        let method = VerificationMethod::new(aria_agree_kid.clone(), aria_agree.public());
        let id = document.add_key(method);
        document.key_agreement.push(id);
        Self {
            aria_sign_kid,
            aria_sign,
            aria_agree_kid,
            aria_agree,
            recipients: [(bruno.url("key-2"), bruno_agree.public())],
            aria: Arc::new(document),
            bruno: bruno_agree,
        }
    }

    #[expect(clippy::unused_self, reason = "reads as the pair's own")]
    pub(crate) fn rng(&self) -> rand::rngs::ThreadRng {
        rand::rng()
    }

    /// The same two, who remember what they agree on.
    pub(crate) fn with_cache(&self) -> Self {
        let remembers =
            |key: &AgreementKey| key.clone().with_cache(Arc::new(AgreementCache::new(1024)));
        Self {
            aria_agree: remembers(&self.aria_agree),
            bruno: remembers(&self.bruno),
            ..self.clone()
        }
    }

    pub(crate) fn open(&self, envelope: &str) {
        let opened = open(
            envelope.as_bytes(),
            &OpenPolicy::default(),
            NOW,
            &|_| Some(self.bruno.clone()),
            &|_| Some(Arc::clone(&self.aria)),
        );
        assert!(std::hint::black_box(opened.unwrap()).sender().is_some());
    }
}

/// A message with so many bytes of body.
pub(crate) fn plaintext_message(pair: &Pair, bytes: usize) -> Message {
    Message::new(
        "018f5a70-0000-7000-8000-000000000001".parse().unwrap(),
        "https://didcomm.org/basicmessage/2.0/message".parse().unwrap(),
    )
    .with_from(pair.aria_sign_kid.did().clone())
    .with_to([pair.recipients[0].0.did().clone()])
    .with_times(Some(NOW), Some(NOW.saturating_add(3600)))
    .with_body_member("content", "x".repeat(bytes))
}
