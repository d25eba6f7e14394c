//! DID rotation (DIDComm v2.1, section "DID Rotation"): the `from_prior` token, by which a party's
//! prior DID says which DID succeeds it, or that it ends the relation.

use crate::did::{Did, DidUrl};
use crate::document::{DidDocument, Relationship};
use crate::envelope::compact::{CompactJws, Typ};
use crate::json::{Json, Tree};
use crate::key::{PublicKey, SigningKey};
use crate::limits::FROM_PRIOR_CHARS_MAX;
use crate::time::UnixTime;

use super::OpenError;

/// Proves that a DID is succeeded by another, or ends a relation. Made only by a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    prior: Did,
    successor: Option<Did>,
    at: UnixTime,
    kid: DidUrl,
    key: PublicKey,
}

impl Rotation {
    /// Returns the DID that is not used any more.
    #[must_use]
    pub const fn prior(&self) -> &Did {
        &self.prior
    }

    /// Returns the DID that is used instead; `None` when the relation ends.
    #[must_use]
    pub const fn successor(&self) -> Option<&Did> {
        self.successor.as_ref()
    }

    /// Returns when it happened, as the prior DID says.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }

    /// Returns the key of the prior DID that signed.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        &self.kid
    }

    /// Returns that key itself, as the prior DID's document has it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Creates a `from_prior` token; `kid` and `key` are the prior DID's.
#[must_use]
pub fn from_prior(kid: &DidUrl, key: &SigningKey, successor: Option<&Did>, at: UnixTime) -> String {
    let sub = successor.map_or_else(String::new, |did| format!(",\"sub\":\"{did}\""));
    let claims = format!("{{\"iss\":\"{}\"{sub},\"iat\":{at}}}", kid.did());
    CompactJws::write("JWT", kid, key, claims.as_bytes())
}

/// Verifies a token offline, with nothing but the prior DID's document: what somebody does who is
/// shown one as evidence, or has kept it. Says nothing about who brought it;
/// [`open`](crate::open()) also checks that.
///
/// # Errors
/// When the token is malformed, or not signed by a key that the document lists for authentication.
pub fn verify_from_prior(token: &str, document: &DidDocument) -> Result<Rotation, OpenError> {
    FromPrior::read(token)
        .filter(|token| token.prior().same_subject(&document.id))
        .ok_or(OpenError::FromPrior)?
        .verify(document)
}

/// A token that is read but not verified.
pub(super) struct FromPrior {
    prior: Did,
    successor: Option<Did>,
    at: UnixTime,
    kid: DidUrl,
    token: CompactJws,
}

impl FromPrior {
    /// Reads a token. Check 13, first half: `sub` is the message's `from`, the key is one of `iss`.
    pub(super) fn parse(token: &str, from: Option<&Did>) -> Result<Self, OpenError> {
        // The two forms of one did:peer:4 are one DID: the token is made before the peer knows the
        // long one.
        let is_from = |token: &Self| match (&token.successor, from) {
            (Some(successor), Some(from)) => successor.same_subject(from),
            (None, None) => true,
            _ => false,
        };
        Self::read(token).filter(is_from).ok_or(OpenError::FromPrior)
    }

    fn read(token: &str) -> Option<Self> {
        let typ = Typ::IfAny("application/JWT");
        let token = CompactJws::read(token, FROM_PRIOR_CHARS_MAX, typ).ok()?;
        let claims = Tree::read_object(token.payload(), FROM_PRIOR_CHARS_MAX).ok()?;
        let claims = claims.object();
        let prior = Did::parse(claims.get_str("iss")?).ok()?;
        let successor = match claims.get("sub") {
            None => None,
            Some(sub) => Some(Did::parse(sub.as_str()?).ok()?),
        };
        let at = claims.get("iat").and_then(Json::as_u64).map(UnixTime)?;
        let kid = token.kid().clone();
        if !kid.did().same_subject(&prior) || successor.as_ref() == Some(&prior) {
            return None;
        }
        Some(Self { prior, successor, at, kid, token })
    }

    pub(super) const fn prior(&self) -> &Did {
        &self.prior
    }

    /// Verifies. Check 13, second half: the key is in `authentication` of `iss`.
    pub(super) fn verify(self, document: &DidDocument) -> Result<Rotation, OpenError> {
        let Self { prior, successor, at, kid, token } = self;
        token.verify(document, Relationship::Authentication).map_err(|_| OpenError::FromPrior)?;
        let key = *document.authentication_key(&kid).ok_or(OpenError::FromPrior)?;
        Ok(Rotation { prior, successor, at, kid, key })
    }
}
