//! [`Vouch`]: a voucher's statement that somebody can be trusted so far (`docs/protocols/vouch.md`),
//! a [`Credential`] of a type of our own.
//!
//! What vouches are worth, and whose count, is not here.

use comity_didcomm::{Did, DidUrl, Jwt, ProtocolId, SigningKey, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::credential::{CREDENTIAL_CONTEXT, CREDENTIAL_TYPE, STATUS_TYPE};
use super::{Credential, CredentialStatus, Level, TokenId};
use crate::api::rfc3339;
use crate::limits::{
    SCOPE_MAX, TOKEN_CHARS_MAX, TOKEN_NAME_CHARS_MAX, VOUCH_DEPTH_MAX, VOUCH_LIFE_S_MAX,
};

/// The type of a credential that is a vouch.
pub const VOUCH_TYPE: &str = "ComityVouch";

/// The last context of a credential with terms that no context defines (VC Data Model 2.0, section
/// 5.2).
const UNDEFINED_TERMS: &str = "https://www.w3.org/ns/credentials/undefined-terms/v2";

/// What a voucher says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VouchTerms {
    /// About whom.
    pub subject: Did,
    /// The protocols that it is for; empty: all.
    pub scope: Vec<ProtocolId>,
    /// How far the subject can be trusted; not [`Level::Blocked`].
    pub level: Level,
    /// How far the subject's own vouches count on the strength of this one, in steps.
    pub depth: u8,
    /// From when.
    pub from: UnixTime,
    /// Until when, exclusively.
    pub until: UnixTime,
    /// The voucher's own name for it, which makes it another than one of the same content: a URN,
    /// such as `urn:uuid:` and a UUID.
    pub urn: String,
}

/// A vouch that was verified. Made of a verified [`Credential`] only, or remembered as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouch {
    id: TokenId,
    issuer: Did,
    terms: VouchTerms,
}

/// Why a credential is not a vouch, or terms are not those of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum VouchError {
    /// It holds for more than 90 days, or ends before it begins.
    #[error("a vouch ends after it begins, and within 90 days")]
    Life,
    /// It is not a vouch, or says more than one.
    #[error("the vouch is malformed")]
    Malformed,
    /// Its voucher vouches for itself.
    #[error("a vouch for oneself says nothing")]
    Own,
    /// It has too many characters when it is signed.
    #[error("the vouch is too large")]
    TooLarge,
}

impl VouchError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 4] = [Self::Life, Self::Malformed, Self::Own, Self::TooLarge];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Life => "e.m.trust.vouch.life",
            Self::Malformed => "e.m.trust.vouch.malformed",
            Self::Own => "e.m.trust.vouch.own",
            Self::TooLarge => "e.m.trust.vouch.too-large",
        }
    }
}

impl VouchTerms {
    /// Signs the vouch. The key is one that the voucher's document lists for statements
    /// (`assertionMethod`) or, if it lists none there, for `authentication`.
    ///
    /// # Errors
    /// When it could not be read as a vouch.
    pub fn sign(&self, (kid, key): (&DidUrl, &SigningKey)) -> Result<String, VouchError> {
        self.check(kid.did())?;
        let credential = json!({
            "@context": [CREDENTIAL_CONTEXT, UNDEFINED_TERMS],
            "type": ["VerifiableCredential", VOUCH_TYPE],
            "issuer": kid.did(),
            "validFrom": rfc3339(self.from),
            "validUntil": rfc3339(self.until),
            "credentialSubject": {
                "id": self.subject,
                "scope": self.scope,
                "level": self.level.as_number(),
                "depth": self.depth,
            },
            "credentialStatus": { "id": self.urn, "type": STATUS_TYPE },
        });
        let claims = credential.as_object().cloned().unwrap_or_default();
        let token = Jwt::sign(CREDENTIAL_TYPE, kid, key, &claims).ok();
        token.filter(|token| token.len() <= TOKEN_CHARS_MAX).ok_or(VouchError::TooLarge)
    }

    fn check(&self, issuer: &Did) -> Result<(), VouchError> {
        let ends =
            self.from < self.until && self.until <= self.from.saturating_add(VOUCH_LIFE_S_MAX);
        let is_formed = self.level != Level::Blocked
            && self.scope.len() <= SCOPE_MAX
            && self.depth <= VOUCH_DEPTH_MAX
            && self.urn.starts_with("urn:")
            && self.urn.len() <= TOKEN_NAME_CHARS_MAX
            && self.urn.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_formed {
            return Err(VouchError::Malformed);
        }
        if !ends {
            return Err(VouchError::Life);
        }
        if self.subject.same_subject(issuer) { Err(VouchError::Own) } else { Ok(()) }
    }

    fn read(credential: &Credential) -> Option<Self> {
        let CredentialStatus::Vouch { urn } = credential.status() else { return None };
        let said = credential.said();
        // What is not known here could be a condition.
        if said.keys().any(|name| !["scope", "level", "depth"].contains(&name.as_str())) {
            return None;
        }
        Some(Self {
            subject: credential.subject().clone(),
            scope: protocols(said)?,
            level: Level::from_number(small(said, "level")?)?,
            depth: small(said, "depth")?,
            from: credential.from()?,
            until: credential.until()?,
            urn: urn.clone(),
        })
    }
}

impl Vouch {
    /// Takes a verified credential, if it is a vouch.
    ///
    /// # Errors
    /// When it is another kind of credential, or breaks the bounds of a vouch.
    pub fn from_credential(credential: &Credential) -> Result<Self, VouchError> {
        let terms = credential.is_a(VOUCH_TYPE).then(|| VouchTerms::read(credential)).flatten();
        let terms = terms.ok_or(VouchError::Malformed)?;
        terms.check(credential.issuer())?;
        Ok(Self { id: credential.id(), issuer: credential.issuer().clone(), terms })
    }

    /// Takes back what a home wrote into its own store about a vouch that it had verified. Nothing
    /// is verified here, so what comes from anywhere else has no business here.
    #[must_use]
    pub const fn remembered(id: TokenId, issuer: Did, terms: VouchTerms) -> Self {
        Self { id, issuer, terms }
    }

    /// Returns its name, by which it is asked after and revoked.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Returns who vouches.
    #[must_use]
    pub const fn issuer(&self) -> &Did {
        &self.issuer
    }

    /// Returns what the voucher says.
    #[must_use]
    pub const fn terms(&self) -> &VouchTerms {
        &self.terms
    }

    /// Whether it is for this protocol, by name and major version.
    #[must_use]
    pub fn covers(&self, protocol: &ProtocolId) -> bool {
        let scope = &self.terms.scope;
        scope.is_empty() || scope.iter().any(|known| known.matches(protocol))
    }

    /// Whether it has run out.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.terms.until <= now
    }
}

fn protocols(said: &Map<String, Value>) -> Option<Vec<ProtocolId>> {
    let scope = said.get("scope")?.as_array().filter(|scope| scope.len() <= SCOPE_MAX)?;
    scope.iter().map(|protocol| protocol.as_str()?.parse().ok()).collect()
}

fn small(said: &Map<String, Value>, name: &str) -> Option<u8> {
    said.get(name)?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests;
