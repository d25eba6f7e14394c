//! Signed tokens in the compact serialisation (RFC 7515, section 7.1), as far as admission needs
//! them: Ed25519 alone, a header of `typ` and `alg` and nothing else, keys that the reader knows
//! from elsewhere. Not for messages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Curve, PublicKey, SigningKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::NotAdmitted;
use crate::limits::ADMISSION_CHARS_MAX;

/// The header, whole: what it does not have can mislead nobody (`jwk`, `crit`, `kid`).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
}

const ALG: &str = "EdDSA";

/// A token that is read but not verified.
pub(super) struct Compact<'a> {
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// Signs claims. The type keeps the token from being taken for one of another kind (RFC 8725,
/// section 3.11).
pub(super) fn sign<T: Serialize>(typ: &str, claims: &T, key: &SigningKey) -> String {
    let header = Header { typ: typ.to_owned(), alg: ALG.to_owned() };
    let mut text = URL_SAFE_NO_PAD.encode(json(&header));
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(json(claims), &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

impl<'a> Compact<'a> {
    /// Reads a token of this type.
    pub(super) fn read(text: &'a str, typ: &str) -> Result<Self, NotAdmitted> {
        let malformed = NotAdmitted::Malformed;
        if ADMISSION_CHARS_MAX < text.len() {
            return Err(malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        let decode = |text| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed)?;
        if header.typ != typ || header.alg != ALG {
            return Err(malformed);
        }
        Ok(Self { signed, claims: decode(claims)?, signature: decode(signature)? })
    }

    /// Reads what it says. A member that stands there twice is malformed; unknown ones are passed
    /// over.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Result<T, NotAdmitted> {
        serde_json::from_slice(&self.claims).map_err(|_| NotAdmitted::Malformed)
    }

    /// Verifies it.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), NotAdmitted> {
        if key.curve() != Curve::Ed25519 {
            return Err(NotAdmitted::Signature);
        }
        let verified = key.verify(self.signed.as_bytes(), &self.signature);
        verified.map_err(|_| NotAdmitted::Signature)
    }
}

#[expect(clippy::expect_used, reason = "headers and claims are objects of texts and numbers")]
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers serialise")
}
