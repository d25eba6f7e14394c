//! [`CompactJws`]: signed tokens in the compact serialisation (RFC 7515, section 7.1), with one
//! signature by a key of a DID.
//!
//! Knows nothing of claims and time: [`Jwt`](crate::Jwt) is that. Not for detached or unencoded
//! payloads, nor for the JSON serialisations.

use std::fmt;

use aws_lc_rs::digest;
use serde_json::Value;
use thiserror::Error;

use super::jws::VerifiedJws;
use super::{SignatureAlgorithm, header};
use crate::did::DidUrl;
use crate::document::{DidDocument, Relationship};
use crate::encoding;
use crate::json::Tree;
use crate::key::{SigningKey, make_low};
use crate::limits::{PROTECTED_CHARS_MAX, TOKEN_CHARS_MAX};
use crate::message::is_media_type;
use crate::open::OpenError;

/// Says why a token is not taken. Carries nothing that was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The algorithm is not in the table, or not that of the key.
    #[error("the algorithm of the token is unknown or not that of its key")]
    Algorithm,
    /// It is issued in the name of another DID than that of its key, or of none.
    #[error("the token is not issued by the DID of its key")]
    Issuer,
    /// It does not have the form of a token.
    #[error("the token is malformed")]
    Malformed,
    /// No key that the document lists for this use has signed it.
    #[error("the token's signature does not verify with the signer's document")]
    Signature,
    /// It has too many characters.
    #[error("the token is too large")]
    TooLarge,
    /// It was made for another purpose.
    #[error("the token is of another type")]
    Type,
    /// Its header demands what is never done here: fetching or trusting keys, extensions.
    #[error("a header of the token is not supported")]
    UnsupportedHeader,
}

/// Represents a signed token that was read and is *not verified*: it shows whose key claims to have
/// signed it, and what it says only to [`verify`](Self::verify).
///
/// ```
/// # use comity_didcomm::{CompactJws, Relationship, SigningKey, did};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut rng: rand::rngs::StdRng = rand::make_rng();
/// let key = SigningKey::generate(&mut rng);
/// let did = did::key::create(&key.public());
/// let document = did::key::resolve(&did)?;
/// let kid = document.authentication[0].clone();
///
/// let text = CompactJws::sign("example+jws", &kid, &key, b"hello")?;
/// let token = CompactJws::parse(&text, "example+jws")?;
/// assert_eq!(token.kid(), &kid, "nothing else is known yet");
/// let verified = token.verify(&document, Relationship::Authentication)?;
/// assert_eq!(verified.payload, b"hello");
///
/// assert!(CompactJws::parse(&text, "other+jws").is_err(), "it was made for another purpose");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CompactJws {
    kid: DidUrl,
    alg: SignatureAlgorithm,
    /// Header `.` payload, as they were sent.
    signing_input: String,
    payload: Vec<u8>,
    signature: [u8; 64],
}

/// Which `typ` a header has to have (RFC 8725, section 3.11).
#[derive(Clone, Copy)]
pub(crate) enum Typ<'a> {
    /// This one, letter by letter.
    Exactly(&'a str),
    /// This media type, with or without `application/`, or none.
    IfAny(&'a str),
}

impl CompactJws {
    /// Signs bytes for one purpose, which `typ` names.
    ///
    /// # Errors
    /// When the token would be larger than one that is read.
    pub fn sign(
        typ: &str,
        kid: &DidUrl,
        key: &SigningKey,
        payload: &[u8],
    ) -> Result<String, TokenError> {
        let text = Self::write(typ, kid, key, payload);
        if text.len() <= TOKEN_CHARS_MAX { Ok(text) } else { Err(TokenError::TooLarge) }
    }

    /// Reads a token of at most [`TOKEN_CHARS_MAX`] characters, whose `typ` is exactly this.
    ///
    /// # Errors
    /// When it is malformed, of another type, or not signed as this crate signs.
    pub fn parse(text: &str, typ: &str) -> Result<Self, TokenError> {
        Self::read(text, TOKEN_CHARS_MAX, Typ::Exactly(typ))
    }

    /// Returns whose key claims to have signed: what to resolve, before the token is verified.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        &self.kid
    }

    /// Returns the SHA-256 of the token's text, by which it can be named.
    ///
    /// An ECDSA signature has two values of S that verify; the text is taken with the lower one, as
    /// [`sign`](Self::sign) writes it. So nobody but the signer can give a token another name.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut signature = self.signature;
        if let Some(curve) = self.alg.ecdsa_curve() {
            make_low(curve, &mut signature);
        }
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.signing_input.as_bytes());
        context.update(b".");
        context.update(encoding::base64url(signature).as_bytes());
        let mut name = [0; 32];
        name.copy_from_slice(context.finish().as_ref());
        name
    }

    /// Verifies with the key that the signer's document lists under this id for this use.
    ///
    /// # Errors
    /// When the document is another's, does not list the key, or the signature is not the key's.
    pub fn verify(
        &self,
        document: &DidDocument,
        relationship: Relationship,
    ) -> Result<VerifiedJws, TokenError> {
        // A document may give a key of its own an id that names somebody else.
        if !self.kid.did().same_subject(&document.id) {
            return Err(TokenError::Signature);
        }
        let key = document.verification_key(relationship, &self.kid);
        let key = key.ok_or(TokenError::Signature)?;
        // The key decides the algorithm, never the header alone (RFC 8725, section 3.1).
        if !self.alg.fits(key) {
            return Err(TokenError::Algorithm);
        }
        key.verify(self.signing_input.as_bytes(), &self.signature)
            .map_err(|_| TokenError::Signature)?;
        Ok(VerifiedJws { kid: self.kid.clone(), payload: self.payload.clone() })
    }

    /// What is signed. Not to be acted upon before [`verify`](Self::verify).
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn read(text: &str, chars_max: usize, typ: Typ<'_>) -> Result<Self, TokenError> {
        if chars_max < text.len() {
            return Err(TokenError::TooLarge);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        // A third dot stands in one of the two, where it is no base64url.
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Malformed)?;
        let header = encoding::from_base64url(header).ok_or(TokenError::Malformed)?;
        let header = Tree::read_object(&header, PROTECTED_CHARS_MAX);
        let header = header.map_err(|_| TokenError::Malformed)?;
        let header = header.object();
        header::refuse_parameters(header).map_err(|_| TokenError::UnsupportedHeader)?;
        let found =
            header.get("typ").map(|typ| typ.as_str().ok_or(TokenError::Type)).transpose()?;
        let is_wanted = match typ {
            Typ::Exactly(wanted) => found == Some(wanted),
            Typ::IfAny(wanted) => found.is_none_or(|found| is_media_type(found, wanted)),
        };
        if !is_wanted {
            return Err(TokenError::Type);
        }
        let alg = header.get_str("alg").ok_or(TokenError::Malformed)?;
        let alg = SignatureAlgorithm::from_name(alg).ok_or(TokenError::Algorithm)?;
        let kid = header.get_str("kid").ok_or(TokenError::Malformed)?;
        let kid = header::key_id(kid).map_err(|_: OpenError| TokenError::Malformed)?;
        let payload = encoding::from_base64url(payload).ok_or(TokenError::Malformed)?;
        let signature = encoding::from_base64url_array(signature).ok_or(TokenError::Malformed)?;
        Ok(Self { kid, alg, signing_input: signing_input.to_owned(), payload, signature })
    }

    /// Signs bytes, however many.
    pub(crate) fn write(typ: &str, kid: &DidUrl, key: &SigningKey, payload: &[u8]) -> String {
        // A key id has no character that JSON would escape.
        let (typ, alg) = (Value::from(typ), key.algorithm().name());
        let header = format!("{{\"typ\":{typ},\"alg\":\"{alg}\",\"kid\":\"{kid}\"}}");
        let mut text = encoding::base64url(header);
        text.push('.');
        encoding::push_base64url(payload, &mut text);
        let signature = key.sign(text.as_bytes());
        text.push('.');
        encoding::push_base64url(signature, &mut text);
        text
    }
}

/// Shows whose it is, and nothing of what it says: it may be worth something to whoever has it.
impl fmt::Debug for CompactJws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactJws").field("kid", &self.kid).finish_non_exhaustive()
    }
}
