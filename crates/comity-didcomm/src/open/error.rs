//! [`OpenError`]: every way in which an envelope is refused, and the code that the peer is told.

use thiserror::Error;

use crate::json::JsonError;
use crate::message::MessageError;

/// Says why an envelope was not opened. Carries nothing that the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The algorithm is not in the table, not for this layer, or not for this key.
    #[error("the algorithm is unknown or not allowed here")]
    Algorithm,
    /// The machine was asked again after it had handed over its result. A fault of the caller.
    #[error("the envelope has been opened already")]
    AlreadyOpened,
    /// It does not decrypt or verify. Deliberately one answer for every cause.
    #[error("the envelope does not decrypt or verify")]
    Crypto,
    /// A document that is needed cannot be had.
    #[error("the DID of the sender does not resolve")]
    DidUnresolvable,
    /// The layers are not among those that the specification allows.
    #[error("the layers of the envelope are not a legal combination")]
    Envelope,
    /// Its `expires_time` has passed.
    #[error("the message has expired")]
    Expired,
    /// Its `from_prior` does not prove a rotation to the sender.
    #[error("the from_prior header does not prove a rotation")]
    FromPrior,
    /// A key in it is no safe point of its curve, or not of the curve that the others have.
    #[error("a key in the envelope is not valid")]
    Key,
    /// It is not a DIDComm v2 envelope, or not a DIDComm v2 message inside.
    #[error("the envelope is malformed")]
    Malformed,
    /// It is signed for, or names in `to`, somebody else only.
    #[error("the message is not addressed to the recipient")]
    NotAddressed,
    /// Its `created_time` lies in the future by more than clocks differ.
    #[error("the message was made in the future")]
    NotYet,
    /// The key that sealed or signed is not one of the `from`.
    #[error("the key that sealed or signed is not one of the sender")]
    SenderMismatch,
    /// It has too many bytes.
    #[error("the envelope is too large")]
    TooLarge,
    /// It names too many recipients.
    #[error("the envelope has too many recipients")]
    TooManyRecipients,
    /// It is neither signed nor encrypted.
    #[error("the message is not protected")]
    Unprotected,
    /// None of its recipients' keys is ours.
    #[error("none of the recipients is known")]
    UnknownRecipient,
    /// A header demands what is never done here: decompressing, fetching or trusting keys, extensions.
    #[error("a header of the envelope is not supported")]
    UnsupportedHeader,
}

impl OpenError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 17] = [
        Self::Algorithm,
        Self::AlreadyOpened,
        Self::Crypto,
        Self::DidUnresolvable,
        Self::Envelope,
        Self::Expired,
        Self::FromPrior,
        Self::Key,
        Self::Malformed,
        Self::NotAddressed,
        Self::NotYet,
        Self::SenderMismatch,
        Self::TooLarge,
        Self::TooManyRecipients,
        Self::Unprotected,
        Self::UnknownRecipient,
        Self::UnsupportedHeader,
    ];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Algorithm => "e.m.trust.crypto.alg",
            Self::AlreadyOpened => "e.p.me",
            Self::Crypto => "e.m.trust.crypto",
            Self::DidUnresolvable => "e.p.did.unresolvable",
            Self::Envelope => "e.m.msg.envelope",
            Self::Expired => "e.m.req.time.expired",
            Self::FromPrior => "e.m.did.from-prior",
            Self::Key => "e.m.trust.crypto.key",
            Self::Malformed => "e.m.msg.malformed",
            Self::NotAddressed => "e.m.trust.not-addressed",
            Self::NotYet => "e.m.req.time",
            Self::SenderMismatch => "e.m.trust.crypto.sender-mismatch",
            Self::TooLarge => "e.m.me.res.storage.message_too_big",
            Self::TooManyRecipients => "e.m.msg.too-many-recipients",
            Self::Unprotected => "e.m.msg.unencrypted",
            Self::UnknownRecipient => "e.m.xfer.unknown-recipient",
            Self::UnsupportedHeader => "e.m.msg.unsupported-header",
        }
    }
}

impl From<JsonError> for OpenError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooLarge => Self::TooLarge,
            _ => Self::Malformed,
        }
    }
}

impl From<MessageError> for OpenError {
    fn from(_: MessageError) -> Self {
        Self::Malformed
    }
}
