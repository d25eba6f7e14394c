//! Affinidi's `affinidi-messaging-didcomm`, with the same message as ours and keys of its own.

use affinidi_crypto::jose::key_agreement::{Curve, PrivateKeyAgreement};
use affinidi_messaging_didcomm::message::pack::pack_encrypted_authcrypt;
use affinidi_messaging_didcomm::message::unpack::unpack_bound;
use affinidi_messaging_didcomm::{Message, SenderKey, UnpackResult};
use comity_didcomm::Message as Ours;

const SENDER: &str = "did:web:org-a.example:agents:aria#key-2";
const RECIPIENT: &str = "did:web:org-b.example:agents:bruno#key-2";

pub(crate) struct Peer {
    message: Message,
    sender: PrivateKeyAgreement,
    recipient: PrivateKeyAgreement,
}

impl Peer {
    pub(crate) fn new(message: &Ours) -> Self {
        Self {
            message: Message::from_json(&message.to_json()).unwrap(),
            sender: PrivateKeyAgreement::generate(Curve::X25519),
            recipient: PrivateKeyAgreement::generate(Curve::X25519),
        }
    }

    pub(crate) fn authcrypt(&self) -> String {
        let recipients = [(RECIPIENT, &self.recipient.public_key())];
        pack_encrypted_authcrypt(&self.message, SENDER, &self.sender, &recipients).unwrap()
    }

    pub(crate) fn open(&self, envelope: &str) {
        let public = self.sender.public_key();
        let sender = SenderKey::new(SENDER, &public);
        let opened =
            unpack_bound(envelope, Some(RECIPIENT), Some(&self.recipient), Some(sender), None);
        let opened = std::hint::black_box(opened.unwrap());
        assert!(matches!(opened, UnpackResult::Encrypted { authenticated: true, .. }));
    }
}
