//! [`Jwt`]: claims that a DID signed (RFC 7519, RFC 8725), read strictly.
//!
//! Says who issued a token and what is in it. What the claims mean, and whether they hold at this
//! time, is the caller's business; so are lists of recipients, since each kind of token has its own.

use serde_json::{Map, Value};

use crate::did::{Did, DidUrl};
use crate::document::{DidDocument, Relationship};
use crate::envelope::compact::{CompactJws, TokenError};
use crate::json::{Json, Object, Tree};
use crate::key::SigningKey;
use crate::limits::TOKEN_CHARS_MAX;

/// Represents a token that was read and is *not verified*. It shows who claims to have issued it,
/// which is what one has to know to [`verify`](Self::verify) it, and nothing else.
///
/// ```
/// # use comity_didcomm::{Jwt, Relationship, SigningKey, did};
/// # use serde_json::{Map, json};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut rng: rand::rngs::StdRng = rand::make_rng();
/// let key = SigningKey::generate(&mut rng);
/// let aria = did::key::create(&key.public());
/// let document = did::key::resolve(&aria)?;
/// let kid = document.authentication[0].clone();
///
/// let mut claims = Map::new();
/// claims.insert("iss".to_owned(), json!(aria));
/// claims.insert("n".to_owned(), json!(7));
/// let text = Jwt::sign("example+jwt", &kid, &key, &claims)?;
///
/// let token = Jwt::parse(&text, "example+jwt")?;
/// assert_eq!(token.issuer(), &aria);
/// let verified = token.verify(&document, Relationship::Authentication)?;
/// assert_eq!(verified.claims, claims);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt(CompactJws);

/// Holds what a token says, its signature verified.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerifiedJwt {
    /// The key that signed; its DID is that of the document and of the claim `iss` or `issuer`.
    pub kid: DidUrl,
    /// What was signed.
    pub claims: Map<String, Value>,
    /// SHA-256 of the token, by which it can be named: see [`CompactJws::digest`].
    pub digest: [u8; 32],
}

impl Jwt {
    /// Signs claims for one purpose, which `typ` names. They have `iss` or `issuer`, which is the
    /// DID of the key id.
    ///
    /// # Errors
    /// When [`parse`](Self::parse) would not take the token.
    pub fn sign(
        typ: &str,
        kid: &DidUrl,
        key: &SigningKey,
        claims: &Map<String, Value>,
    ) -> Result<String, TokenError> {
        let payload = serde_json::to_vec(claims).map_err(|_| TokenError::Malformed)?;
        let text = CompactJws::sign(typ, kid, key, &payload)?;
        Self::parse(&text, typ).map(|_| text)
    }

    /// Reads a token of at most [`TOKEN_CHARS_MAX`] characters, whose `typ` is exactly this and whose
    /// issuer is the DID of its key.
    ///
    /// # Errors
    /// When it is malformed, of another type, or issued in another's name.
    pub fn parse(text: &str, typ: &str) -> Result<Self, TokenError> {
        let token = CompactJws::parse(text, typ)?;
        let claims = Tree::read_object(token.payload(), TOKEN_CHARS_MAX);
        let claims = claims.map_err(|_| TokenError::Malformed)?;
        if is_issued_by(claims.object(), token.kid().did()) {
            Ok(Self(token))
        } else {
            Err(TokenError::Issuer)
        }
    }

    /// Returns whose key claims to have signed.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        self.0.kid()
    }

    /// Returns who claims to have issued it: whose document [`verify`](Self::verify) needs.
    #[must_use]
    pub const fn issuer(&self) -> &Did {
        self.0.kid().did()
    }

    /// Returns the SHA-256 of the token: see [`CompactJws::digest`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    /// Verifies with the key that the issuer's document lists under this id for this use.
    ///
    /// # Errors
    /// When the document is another's, does not list the key, or the signature is not the key's.
    pub fn verify(
        &self,
        document: &DidDocument,
        relationship: Relationship,
    ) -> Result<VerifiedJwt, TokenError> {
        let verified = self.0.verify(document, relationship)?;
        let claims = verified.to_object().map_err(|_| TokenError::Malformed)?;
        Ok(VerifiedJwt { kid: verified.kid, claims, digest: self.0.digest() })
    }
}

/// Whether the claims name this DID as their issuer: in `iss`, as tokens do, or in `issuer`, as
/// credentials do, alone or as the `id` of a description. Where both stand, both do.
fn is_issued_by(claims: Object<'_>, did: &Did) -> bool {
    let names = |json: Json<'_>| {
        let text = match json {
            Json::Object(description) => description.get_str("id"),
            other => other.as_str(),
        };
        text.and_then(|text| Did::parse(text).ok()).is_some_and(|named| named.same_subject(did))
    };
    match (claims.get("iss"), claims.get("issuer")) {
        (None, None) => false,
        (iss, issuer) => {
            iss.is_none_or(|iss| iss.as_str().is_some() && names(iss)) && issuer.is_none_or(names)
        }
    }
}

#[cfg(test)]
mod tests;
