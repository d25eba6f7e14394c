//! Somebody outside who packs envelopes with keys of its own, well or badly.

use comity_didcomm::{
    ContentEncryption, Did, DidDocument, DidUrl, Message, Protection, PublicKey, SigningKey,
    UnixTime, did, seal,
};
use serde_json::Value;

use super::{Answer, TestNode, request};

/// A did:key with its key, known to nobody.
pub(crate) struct Stranger {
    pub(crate) did: Did,
    pub(crate) kid: DidUrl,
    pub(crate) key: SigningKey,
}

/// An agent of a node as others see it: a DID and the keys to encrypt to.
pub(crate) struct Recipient {
    pub(crate) did: Did,
    pub(crate) keys: Vec<(DidUrl, PublicKey)>,
}

impl Stranger {
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(&mut rand::rng());
        let did = did::key::create(&key.public());
        let document = did::key::resolve(&did).unwrap();
        let kid = document.signing_keys().next().unwrap().0.clone();
        Self { did, kid, key }
    }

    /// Writes a message from this stranger.
    pub(crate) fn message(&self, to: &Recipient, text: &str) -> Message {
        let id = uuid::Uuid::now_v7().to_string().parse().unwrap();
        let type_ = "https://didcomm.org/basicmessage/2.0/message".parse().unwrap();
        let mut message = Message::new(id, type_)
            .with_from(self.did.clone())
            .with_to([to.did.clone()])
            .with_body_member("content", text);
        message.created_time = Some(now());
        message.expires_time = Some(now().saturating_add(3600));
        message
    }

    /// Signs and encrypts it as it should be.
    pub(crate) fn seal(&self, message: &Message, to: &Recipient) -> String {
        let enc = ContentEncryption::A256CbcHs512;
        let protection = Protection::Accountable { kid: &self.kid, key: &self.key, enc };
        seal(message, protection, &to.keys, &mut rand::rng()).unwrap().envelope
    }
}

impl Recipient {
    /// Looks an agent up.
    pub(crate) fn of(node: &TestNode, agent: &Value) -> Self {
        let did: Did = agent["did"].as_str().unwrap().parse().unwrap();
        let resolved = node.run(&["did", "resolve", did.as_str()]).ok();
        let document =
            DidDocument::parse(resolved["document"].to_string().as_bytes(), &did).unwrap();
        let keys = document.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
        Self { did, keys }
    }

    /// Makes up somebody who lives nowhere.
    pub(crate) fn nobody() -> Self {
        let nobody = Stranger::new();
        let document = did::key::resolve(&nobody.did).unwrap();
        let keys = document.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
        Self { did: nobody.did, keys }
    }
}

impl TestNode {
    /// Posts an envelope to the public listener, with the right media type.
    pub(crate) fn post(&self, envelope: &[u8]) -> Answer {
        self.post_as("application/didcomm-encrypted+json", envelope)
    }

    /// Posts bytes under a media type.
    pub(crate) fn post_as(&self, media_type: &str, bytes: &[u8]) -> Answer {
        request(&self.url(), "POST", "/didcomm", &[("content-type", media_type)], bytes)
    }
}

pub(crate) fn now() -> UnixTime {
    let now = std::time::SystemTime::now();
    UnixTime(now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs())
}
