//! [`Credential`]: what somebody states about somebody, as a W3C Verifiable Credential (VC Data
//! Model 2.0) in the form of a signed token (Securing Verifiable Credentials using JOSE and COSE).
//!
//! Reads what a policy can use: who says it, about whom, of which types, and for how long. Not for
//! version 1.1, presentations, other ways of securing, or JSON-LD: contexts are compared and not
//! interpreted, and nothing is fetched.

use comity_didcomm::{Did, DidDocument, Jwt, Relationship, UnixTime};
use serde_json::{Map, Value};
use thiserror::Error;

use super::TokenId;
use crate::limits::{CLOCK_SKEW_S_MAX, CREDENTIAL_TYPES_MAX, TOKEN_CHARS_MAX};

/// The `typ` of a credential.
pub const CREDENTIAL_TYPE: &str = "vc+jwt";

/// The context that every credential begins with.
pub const CREDENTIAL_CONTEXT: &str = "https://www.w3.org/ns/credentials/v2";

/// Why a credential proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// It has run out.
    #[error("the credential has run out")]
    Expired,
    /// It is not a credential of version 2.0 about one subject that is a DID, as a signed token.
    #[error("the credential is malformed")]
    Malformed,
    /// It does not hold yet.
    #[error("the credential does not hold yet")]
    NotYet,
    /// It is not signed by a key that its issuer lists for statements.
    #[error("the credential is not signed by its issuer")]
    Signature,
}

impl CredentialError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 4] = [Self::Expired, Self::Malformed, Self::NotYet, Self::Signature];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "e.m.trust.credential.expired",
            Self::Malformed => "e.m.trust.credential.malformed",
            Self::NotYet => "e.m.trust.credential.not-yet",
            Self::Signature => "e.m.trust.credential.signature",
        }
    }
}

/// A credential that was read and is *not verified*: it shows only who claims to have issued it.
///
/// Whose document is worth fetching is the caller's to say: anybody can name any issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCredential(Jwt);

/// A credential whose signature and window were verified. Made by [`SignedCredential::verify`] only.
///
/// Whether it was revoked since is another question: see [`status`](Self::status).
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    id: TokenId,
    issuer: Did,
    types: Vec<String>,
    subject: Did,
    from: Option<UnixTime>,
    until: Option<UnixTime>,
    status: CredentialStatus,
    /// What is said about the subject, its `id` excluded.
    said: Map<String, Value>,
}

/// How a credential's issuer would tell that it is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialStatus {
    /// In a way that is not known here, such as a status list: it may be revoked.
    Foreign,
    /// Not at all: it holds until it runs out.
    None,
    /// It answers by the protocol vouch/1.0 (`docs/protocols/vouch.md`).
    Vouch {
        /// The issuer's own name for the credential, a URN.
        urn: String,
    },
}

/// The type of a status that is asked after by vouch/1.0.
pub(super) const STATUS_TYPE: &str = "ComityVouchStatus";

impl SignedCredential {
    /// Reads a token.
    ///
    /// # Errors
    /// When it is not a token of a credential, or too long.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let text = Some(text).filter(|text| text.len() <= TOKEN_CHARS_MAX);
        let token = text.and_then(|text| Jwt::parse(text, CREDENTIAL_TYPE).ok());
        token.map(Self).ok_or(CredentialError::Malformed)
    }

    /// Returns who claims to have issued it: whose document [`verify`](Self::verify) needs.
    #[must_use]
    pub const fn issuer(&self) -> &Did {
        self.0.issuer()
    }

    /// Returns its name.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId::from_digest(self.0.digest())
    }

    /// Verifies it with the issuer's document.
    ///
    /// # Errors
    /// When it is not the issuer's, no credential, or does not hold now.
    pub fn verify(
        &self,
        document: &DidDocument,
        now: UnixTime,
    ) -> Result<Credential, CredentialError> {
        let verified = self.0.verify(document, statement_keys(document));
        let verified = verified.map_err(|_| CredentialError::Signature)?;
        let issuer = self.issuer().clone();
        let id = TokenId::from_digest(verified.digest);
        let credential = Credential::read(id, issuer, &verified.claims);
        let credential = credential.ok_or(CredentialError::Malformed)?;
        if credential.from.is_some_and(|from| now.saturating_add(CLOCK_SKEW_S_MAX) < from) {
            return Err(CredentialError::NotYet);
        }
        if credential.is_over(now) { Err(CredentialError::Expired) } else { Ok(credential) }
    }
}

impl Credential {
    /// Returns its name, the hash of its token.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Returns who states it.
    #[must_use]
    pub const fn issuer(&self) -> &Did {
        &self.issuer
    }

    /// Returns about whom.
    #[must_use]
    pub const fn subject(&self) -> &Did {
        &self.subject
    }

    /// Returns its types, `VerifiableCredential` among them.
    #[must_use]
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether it is of this type.
    #[must_use]
    pub fn is_a(&self, type_: &str) -> bool {
        self.types.iter().any(|known| known == type_)
    }

    /// Whether it is about this party, whose key is proven elsewhere: a credential that somebody
    /// else shows says nothing about him.
    #[must_use]
    pub fn is_about(&self, party: &Did) -> bool {
        self.subject.same_subject(party)
    }

    /// Returns from when it holds.
    #[must_use]
    pub const fn from(&self) -> Option<UnixTime> {
        self.from
    }

    /// Returns when it runs out.
    #[must_use]
    pub const fn until(&self) -> Option<UnixTime> {
        self.until
    }

    /// Whether it has run out.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Returns how one would learn that it was revoked.
    #[must_use]
    pub const fn status(&self) -> &CredentialStatus {
        &self.status
    }

    /// Returns what it says about its subject, beside who that is.
    pub(super) const fn said(&self) -> &Map<String, Value> {
        &self.said
    }

    fn read(id: TokenId, issuer: Did, claims: &Map<String, Value>) -> Option<Self> {
        let contexts = claims.get("@context")?.as_array()?;
        if contexts.first()?.as_str()? != CREDENTIAL_CONTEXT {
            return None;
        }
        let types = match claims.get("type")? {
            Value::String(one) => vec![one.clone()],
            Value::Array(types) if types.len() <= CREDENTIAL_TYPES_MAX => types
                .iter()
                .map(|type_| type_.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            _ => return None,
        };
        if !types.iter().any(|type_| type_ == "VerifiableCredential") {
            return None;
        }
        // One about several says about each only what stands beside the id, and about none who is
        // meant by the rest; it would have to be taken apart by whoever knows the type.
        let mut said = match claims.get("credentialSubject")? {
            Value::Object(subject) => subject.clone(),
            Value::Array(subjects) => match subjects.as_slice() {
                [Value::Object(subject)] => subject.clone(),
                _ => return None,
            },
            _ => return None,
        };
        let subject = said.remove("id")?.as_str()?.parse().ok()?;
        let (from, until) = (time(claims, "validFrom")?, time(claims, "validUntil")?);
        let status = CredentialStatus::read(claims.get("credentialStatus"));
        Some(Self { id, issuer, types, subject, from, until, status, said })
    }
}

impl CredentialStatus {
    fn read(status: Option<&Value>) -> Self {
        let Some(status) = status else { return Self::None };
        let text = |name: &str| status.get(name).and_then(Value::as_str);
        match (text("type"), text("id")) {
            (Some(STATUS_TYPE), Some(urn)) => Self::Vouch { urn: urn.to_owned() },
            _ => Self::Foreign,
        }
    }
}

/// The keys with which a party signs statements: those that its document lists for them or, if it
/// lists none, as those of many agents (our own among them), the ones with which it signs messages.
pub(super) const fn statement_keys(document: &DidDocument) -> Relationship {
    if document.assertion_method.is_empty() {
        Relationship::Authentication
    } else {
        Relationship::AssertionMethod
    }
}

/// Reads a time that may be absent: `None` when it is there and no time (VC Data Model 2.0, section
/// 4.9).
#[expect(clippy::option_option, reason = "absent and malformed are different things")]
fn time(claims: &Map<String, Value>, name: &str) -> Option<Option<UnixTime>> {
    let Some(value) = claims.get(name) else { return Some(None) };
    let text = value.as_str().filter(|text| text.len() <= TIME_CHARS_MAX)?;
    let second = text.parse::<jiff::Timestamp>().ok()?.as_second();
    Some(Some(UnixTime(u64::try_from(second).ok()?)))
}

/// More than any time has characters.
const TIME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests;
