//! Why the workbench did not do what it was asked, as its answers say it: a text for people, and the problem-report
//! code (Report Problem 2.0) for programs.

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
    pub(super) fn told(self, what: &str, hint: &str) -> CliError {
        CliError::new(Kind::Refused, self.code, what).why(self.text).hint(hint)
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
