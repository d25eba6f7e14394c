//! Why the workbench did not do what it was asked, as its answers say it: a text for people, and
//! the problem-report code (Report Problem 2.0) for programs.

use std::fmt;

use comity_didcomm::{
    OpenError, SealError,
    routing::{ForwardError, RouteError},
};

use crate::error::{CliError, Kind};

/// A request that is not well formed.
pub(super) const MALFORMED: &str = "e.m.msg.malformed";
/// A DID whose document is not at hand.
pub(super) const UNRESOLVABLE: &str = "e.p.did.unresolvable";
/// A request for something that the workbench does not do.
pub(super) const UNSUPPORTED: &str = "e.m.msg.unsupported";
/// Something that is larger than the bounds allow.
pub(super) const TOO_LARGE: &str = "e.m.me.res.storage.message_too_big";
/// A key that is missing or unusable.
pub(super) const KEY: &str = "e.m.trust.crypto.key";

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Tells a person at a terminal.
    pub(super) fn told(self, what: &str) -> CliError {
        let hint = self.advice();
        CliError::new(Kind::Refused, self.code, what).why(self.text).hint(hint)
    }

    /// Says what a person may do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self.code {
            "e.m.xfer.unknown-recipient" => {
                "To look inside, give a recipient's private key with --keys, and its document with --dids"
            }
            "e.p.did.unresolvable" => "Give the document with --dids",
            "e.m.trust.crypto.sender-mismatch" => {
                "Whoever seals or signs must be `from`, with a key that the document of `from` lists for it"
            }
            "e.m.trust.crypto" => {
                "It was changed on the way, or made with other keys than those in --keys and --dids"
            }
            "e.m.trust.crypto.key" => {
                "Give the private key with --keys; the document must list its public part: keyAgreement to \
                 seal and open, authentication to sign"
            }
            "e.m.trust.crypto.alg" => "See comity didcomm pack --help for what goes together",
            "e.m.trust.not-addressed" => "The recipients must be in the message's `to`",
            "e.m.msg.envelope" => {
                "One hop is signed, anoncrypt, authcrypt, or one of anoncrypt or authcrypt around signed, or \
                 anoncrypt around authcrypt"
            }
            "e.m.msg.malformed" => "See what is wrong with an envelope: comity didcomm inspect",
            "e.p.xfer.cant-use-endpoint" => {
                "The recipient's document needs a DIDCommMessaging service with a usable address"
            }
            _ => "docs/errors.md says what the code means and who has to change something",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<SealError> for Refused {
    fn from(error: SealError) -> Self {
        let code = match error {
            SealError::Addressee | SealError::To => "e.m.trust.not-addressed",
            SealError::ContentEncryption | SealError::Curve => "e.m.trust.crypto.alg",
            SealError::From => "e.m.trust.crypto.sender-mismatch",
            SealError::KeyId | SealError::RecipientKey => KEY,
            SealError::Message(_) | SealError::Payload => MALFORMED,
            SealError::Recipients => "e.m.msg.too-many-recipients",
            SealError::TooLarge => TOO_LARGE,
            _ => "e.p.me",
        };
        Self::new(code, error.to_string())
    }
}

impl From<ForwardError> for Refused {
    fn from(error: ForwardError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<RouteError> for Refused {
    fn from(error: RouteError) -> Self {
        match &error {
            RouteError::Unresolved(did) => Self::new(
                UNRESOLVABLE,
                format!("the document of the mediator {did} is not in dids"),
            ),
            RouteError::RoutingKey => Self::new(KEY, error.to_string()),
            _ => Self::new("e.p.xfer.cant-use-endpoint", error.to_string()),
        }
    }
}
