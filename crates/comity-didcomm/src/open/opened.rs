//! What opening an envelope proves: [`Opened`], and in it a [`Sender`] that only a verified key can
//! make.

use std::sync::Arc;

use super::rotation::Rotation;
use crate::did::{Did, DidUrl};
use crate::document::DidDocument;
use crate::envelope::{Layer, Layers};
use crate::key::PublicKey;
use crate::message::Message;

/// Holds a message whose envelope passed every check, with what the envelope proved.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The message. Its `from` equals the sender's DID if there is a [`sender`](Self::sender), and
    /// is a mere claim if not.
    pub message: Message,
    pub(super) sender: Option<Sender>,
    pub(super) sender_document: Option<Arc<DidDocument>>,
    pub(super) layers: Layers,
    pub(super) recipient_kid: Option<DidUrl>,
    pub(super) sealer_kid: Option<DidUrl>,
    pub(super) signed: Option<String>,
    pub(super) plaintext: Vec<u8>,
    pub(super) rotation: Option<Rotation>,
}

impl Opened {
    /// Returns who provably sent the message; `None` when nothing proves it.
    #[must_use]
    pub const fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// Returns the document by which the sender was verified, as it was at that moment.
    #[must_use]
    pub const fn sender_document(&self) -> Option<&Arc<DidDocument>> {
        self.sender_document.as_ref()
    }

    /// Returns the layers, outermost first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        self.layers.as_slice()
    }

    /// Returns our key that opened the innermost encrypted layer.
    #[must_use]
    pub const fn recipient_kid(&self) -> Option<&DidUrl> {
        self.recipient_kid.as_ref()
    }

    /// Returns the key that sealed an authcrypt layer; it belongs to the sender. Under
    /// authcrypt(sign) the [`sender`](Self::sender) names the key that signed.
    #[must_use]
    pub const fn sealer_kid(&self) -> Option<&DidUrl> {
        self.sealer_kid.as_ref()
    }

    /// Returns the signed envelope exactly as it came: evidence that third parties can verify with
    /// [`verify_jws`](crate::verify_jws).
    #[must_use]
    pub fn signed(&self) -> Option<&str> {
        self.signed.as_deref()
    }

    /// Returns the exact bytes of the plaintext message.
    #[must_use]
    pub fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// Returns the verified rotation that the message announces.
    #[must_use]
    pub const fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }
}

/// Proves who sent a message. Nothing outside this crate can make one:
///
/// ```compile_fail
/// # use comity_didcomm::{Did, Sender, SenderProof};
/// fn pretend(did: Did) -> Sender {
///     Sender { did, proof: SenderProof::Signature }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    did: Did,
    kid: DidUrl,
    key: PublicKey,
    proof: SenderProof,
}

/// Says what kind of proof there is for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SenderProof {
    /// Authenticated encryption: convinces the recipient, and nobody else.
    Authcrypt,
    /// A signature: convinces everybody.
    Signature,
}

impl Sender {
    /// Only the machine calls this, with a key that has just verified or decrypted.
    pub(super) const fn new(did: Did, kid: DidUrl, key: PublicKey, proof: SenderProof) -> Self {
        Self { did, kid, key, proof }
    }

    /// Returns the sender's DID, as the message names it.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// Returns the id of the key that proves it.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        &self.kid
    }

    /// Returns the key that proves it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the kind of proof.
    #[must_use]
    pub const fn proof(&self) -> SenderProof {
        self.proof
    }
}
