//! [`seal`]: packs a message so that the default policy of [`open`](crate::open) takes it, and refuses what
//! it would not take. Also the two bare operations [`anoncrypt`] and [`authcrypt`], for what is not a message
//! of ours (forwards).

use rand_core::CryptoRng;
use thiserror::Error;

use crate::did::{Did, DidUrl};
use crate::envelope::ContentEncryption;
use crate::envelope::jwe::{self, Sealer};
use crate::envelope::jws::sign;
use crate::key::{AgreementKey, PublicKey, SigningKey};
use crate::limits::RECIPIENTS_MAX;
use crate::message::{Message, MessageError};

/// Says why a message was not packed. Always a mistake on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// A recipient's key belongs to a DID that `to` does not list.
    #[error("a recipient key belongs to nobody in the to header")]
    Addressee,
    /// The content encryption is not allowed for this protection.
    #[error("the content encryption is not allowed here")]
    ContentEncryption,
    /// The keys are not all on one curve, as the keys of one envelope must be: see
    /// [`DidDocument::choose_recipients`](crate::DidDocument::choose_recipients).
    #[error("the keys of the sender and the recipients are not all on one curve")]
    Curve,
    /// A primitive failed, which no input explains.
    #[error("encryption failed")]
    Crypto,
    /// The key that signs or seals is not one of `from`.
    #[error("the sender key is not one of the from header")]
    From,
    /// A key id is not a DID URL with a fragment.
    #[error("a key id has no fragment")]
    KeyId,
    /// The message could not be read by its receiver.
    #[error("the message is not valid: {0}")]
    Message(#[from] MessageError),
    /// What is to be forwarded is not an envelope.
    #[error("what is to be forwarded is not an envelope")]
    Payload,
    /// A recipient's key cannot be encrypted to.
    #[error("a recipient key cannot be encrypted to")]
    RecipientKey,
    /// There are no recipients, too many, or one of them twice.
    #[error("the recipients are none, too many or not distinct")]
    Recipients,
    /// `to` is missing where it is required.
    #[error("a signed message needs a to header")]
    To,
    /// The envelope would be larger than receivers take.
    #[error("the envelope would be too large")]
    TooLarge,
}

/// Says how a message is protected.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Protection<'a> {
    /// anoncrypt(sign(plaintext)): the recipient can prove to others who sent it.
    Accountable {
        /// Id of the signing key, in `authentication` of `from`.
        kid: &'a DidUrl,
        /// The signing key.
        key: &'a SigningKey,
        /// How the content is encrypted.
        enc: ContentEncryption,
    },
    /// anoncrypt(plaintext): proves no sender.
    Anonymous {
        /// How the content is encrypted.
        enc: ContentEncryption,
    },
    /// authcrypt(plaintext): the recipient knows who sent it and can prove it to nobody.
    Deniable {
        /// Id of the agreement key, in `keyAgreement` of `from`.
        kid: &'a DidUrl,
        /// The agreement key.
        key: &'a AgreementKey,
    },
}

/// Holds a packed message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// What is sent, with the media type `application/didcomm-encrypted+json`.
    pub envelope: String,
    /// The signed message inside it, to be kept as evidence.
    pub signed: Option<String>,
    /// The exact plaintext, over which receipts quote a digest.
    pub plaintext: Vec<u8>,
}

/// Packs a message for the keys of its recipients, which are all the `keyAgreement` keys of one kind of a DID.
///
/// # Errors
/// When a receiver with the default policy would refuse the result.
pub fn seal(
    message: &Message,
    protection: Protection<'_>,
    recipients: &[(DidUrl, PublicKey)],
    rng: &mut dyn CryptoRng,
) -> Result<Sealed, SealError> {
    check_sender(message, &protection)?;
    if !message.to.is_empty() {
        let listed = |kid: &DidUrl| message.to.iter().any(|to| to.same_subject(kid.did()));
        if !recipients.iter().all(|(kid, _)| listed(kid)) {
            return Err(SealError::Addressee);
        }
    }
    let plaintext = message.to_json();
    // The fields of a message are open to any value; the reader is the one judge of what is valid.
    Message::parse(&plaintext)?;
    let (envelope, signed) = match protection {
        Protection::Accountable { kid, key, enc } => {
            let signed = sign(&plaintext, kid, key);
            (anoncrypt(signed.as_bytes(), recipients, enc, rng)?, Some(signed))
        }
        Protection::Anonymous { enc } => (anoncrypt(&plaintext, recipients, enc, rng)?, None),
        Protection::Deniable { kid, key } => {
            (authcrypt(&plaintext, kid, key, recipients, rng)?, None)
        }
    };
    Ok(Sealed { envelope, signed, plaintext })
}

/// Encrypts bytes to keys, saying nothing about the sender.
///
/// # Errors
/// When the recipients or their keys are not usable, or the result would be too large.
pub fn anoncrypt(
    plaintext: &[u8],
    recipients: &[(DidUrl, PublicKey)],
    enc: ContentEncryption,
    rng: &mut dyn CryptoRng,
) -> Result<String, SealError> {
    check_recipients(recipients)?;
    jwe::seal(plaintext, &Sealer::Anonymous, recipients, enc, rng)
}

/// Encrypts bytes to keys, authenticated by the sender's key.
///
/// # Errors
/// When the recipients or their keys are not usable, or the result would be too large.
pub fn authcrypt(
    plaintext: &[u8],
    sender_kid: &DidUrl,
    sender_key: &AgreementKey,
    recipients: &[(DidUrl, PublicKey)],
    rng: &mut dyn CryptoRng,
) -> Result<String, SealError> {
    check_recipients(recipients)?;
    if !sender_kid.is_key_id() {
        return Err(SealError::KeyId);
    }
    let sealer = Sealer::Key { skid: sender_kid, key: sender_key };
    jwe::seal(plaintext, &sealer, recipients, ContentEncryption::A256CbcHs512, rng)
}

fn check_sender(message: &Message, protection: &Protection<'_>) -> Result<(), SealError> {
    let kid = match protection {
        Protection::Accountable { kid, .. } => {
            if message.to.is_empty() {
                return Err(SealError::To);
            }
            kid
        }
        Protection::Deniable { kid, .. } => kid,
        // A rotation that nobody provably announces would be refused.
        Protection::Anonymous { .. } if message.from_prior.is_some() && message.from.is_some() => {
            return Err(SealError::From);
        }
        Protection::Anonymous { .. } => return Ok(()),
    };
    let is_from = |from: &Did| from.same_subject(kid.did());
    if !kid.is_key_id() {
        return Err(SealError::KeyId);
    }
    if message.from.as_ref().is_some_and(is_from) { Ok(()) } else { Err(SealError::From) }
}

fn check_recipients(recipients: &[(DidUrl, PublicKey)]) -> Result<(), SealError> {
    if recipients.is_empty() || RECIPIENTS_MAX < recipients.len() {
        return Err(SealError::Recipients);
    }
    for (kid, key) in recipients {
        if !kid.is_key_id() {
            return Err(SealError::KeyId);
        }
        if !key.is_agreement() {
            return Err(SealError::RecipientKey);
        }
    }
    Ok(())
}
