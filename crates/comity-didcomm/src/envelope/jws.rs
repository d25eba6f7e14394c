//! Signed envelopes: JWS in the JSON serialisations, general and flattened (RFC 7515, section 7.2), with one signature.
//!
//! Writes the general form with `kid` in both headers, because some peers look only into the unprotected one. Not
//! for compact tokens, detached content or unencoded payloads.

use serde_json::{Map, Value};

use super::covered::Covered;
use super::{SIGNED_TYPE, SignatureAlgorithm, header};
use crate::did::{Did, DidUrl};
use crate::document::DidDocument;
use crate::encoding;
use crate::json::{Json, JsonError, Object, Tree};
use crate::key::{PublicKey, SigningKey};
use crate::limits::{ENVELOPE_BYTES_MAX, PROTECTED_CHARS_MAX};
use crate::open::OpenError;

/// One signed envelope, decoded; the signature is not verified yet.
pub(crate) struct Jws {
    /// Who claims to have signed. Not to be resolved before it is bound to the payload's `from`.
    pub(crate) kid: DidUrl,
    alg: SignatureAlgorithm,
    /// `protected` `.` `payload`, as they were sent, and the decoded payload.
    signed: Covered,
    signature: [u8; 64],
}

impl Jws {
    /// Reads an envelope.
    pub(crate) fn from_object(envelope: Object<'_>) -> Result<Self, OpenError> {
        if envelope.contains("ciphertext") || envelope.contains("recipients") {
            return Err(OpenError::Malformed);
        }
        // A message has one sender, so an envelope has one signature.
        let flattened = envelope.contains("signature");
        let signature = match envelope.get("signatures") {
            Some(_) if flattened => return Err(OpenError::Malformed),
            Some(Json::Array(signatures)) if signatures.len() == 1 => {
                let one = signatures.items().next().and_then(Json::as_object);
                one.ok_or(OpenError::Malformed)?
            }
            Some(_) => return Err(OpenError::Malformed),
            None => envelope,
        };
        let member = |name: &str| signature.get_str(name).ok_or(OpenError::Malformed);
        let protected = member("protected")?;
        if PROTECTED_CHARS_MAX < protected.len() {
            return Err(OpenError::Malformed);
        }
        let payload = envelope.get_str("payload").filter(|text| !text.is_empty());
        let payload = payload.ok_or(OpenError::Malformed)?;
        let mut signed = Covered::new([protected, ".", payload], [protected, payload]);
        let header = signed.decode(protected).ok_or(OpenError::Malformed)?;
        let header = header::read(header, SIGNED_TYPE)?;
        // Check 12, first half: an algorithm of the table, named where it is signed.
        let alg = header.text("alg")?.ok_or(OpenError::Malformed)?;
        let alg = SignatureAlgorithm::from_name(alg).ok_or(OpenError::Algorithm)?;
        let kid = signer(header.text("kid")?, signature.get("header"))?;
        signed.decode(payload).ok_or(OpenError::Malformed)?;
        let signature = encoding::from_base64url_array(member("signature")?);
        let signature = signature.ok_or(OpenError::Crypto)?;
        Ok(Self { kid, alg, signed, signature })
    }

    /// What is signed. Not to be acted upon before [`Jws::verify`].
    pub(crate) fn payload(&self) -> &[u8] {
        self.signed.content()
    }

    /// Returns the key id and the payload.
    pub(crate) fn into_parts(self) -> (DidUrl, Vec<u8>) {
        let length = self.payload().len();
        let mut payload = self.signed.into_content(length);
        // What is signed was longer: nobody is to keep its place for as long as the payload.
        payload.shrink_to_fit();
        (self.kid, payload)
    }

    /// Verifies with the key that the document of the signer lists for authentication under this id.
    pub(crate) fn verify(&self, document: &DidDocument) -> Result<PublicKey, OpenError> {
        // Check 4, second half: the key is in `authentication`.
        let key = document.authentication_key(&self.kid).ok_or(OpenError::SenderMismatch)?;
        // Check 12, second half: the algorithm is that of the key.
        if !self.alg.fits(key) {
            return Err(OpenError::Algorithm);
        }
        key.verify(self.signed.text(), &self.signature).map_err(|_| OpenError::Crypto)?;
        Ok(*key)
    }
}

/// Takes the key id from either header. Where both have it, they must agree: otherwise two readers would see
/// two signers.
fn signer(protected: Option<&str>, unprotected: Option<Json<'_>>) -> Result<DidUrl, OpenError> {
    let unprotected = match unprotected {
        None => None,
        Some(json) => {
            let header = json.as_object().ok_or(OpenError::Malformed)?;
            header::refuse_parameters(header)?;
            if header.contains("alg") || header.contains("typ") {
                return Err(OpenError::Malformed);
            }
            match header.get("kid") {
                None => None,
                Some(kid) => Some(kid.as_str().ok_or(OpenError::Malformed)?),
            }
        }
    };
    match (protected, unprotected) {
        (Some(one), Some(other)) if one != other => Err(OpenError::SenderMismatch),
        (Some(kid), _) | (None, Some(kid)) => header::key_id(kid),
        (None, None) => Err(OpenError::Malformed),
    }
}

/// Signs bytes. The result is a DIDComm signed message if the bytes are a plaintext message; [`seal`](crate::seal)
/// also checks that a receiver would take it.
#[must_use]
pub fn sign(payload: &[u8], kid: &DidUrl, key: &SigningKey) -> String {
    let protected = format!(
        "{{\"typ\":\"{SIGNED_TYPE}\",\"alg\":\"{}\",\"kid\":\"{kid}\"}}",
        key.algorithm().name(),
    );
    let mut input = String::with_capacity((protected.len() + payload.len()) * 4 / 3 + 8);
    encoding::push_base64url(protected, &mut input);
    let dot = input.len();
    input.push('.');
    encoding::push_base64url(payload, &mut input);
    let signature = key.sign(input.as_bytes());
    let (protected, payload) = input.split_at(dot);
    let mut out = String::with_capacity(input.len() + kid.as_str().len() + 192);
    out.push_str("{\"payload\":\"");
    out.push_str(payload.get(1..).unwrap_or_default());
    out.push_str("\",\"signatures\":[{\"protected\":\"");
    out.push_str(protected);
    out.push_str("\",\"signature\":\"");
    encoding::push_base64url(signature, &mut out);
    // A key id has no character that JSON would escape.
    out.push_str("\",\"header\":{\"kid\":\"");
    out.push_str(kid.as_str());
    out.push_str("\"}}]}");
    out
}

/// Holds what a signed envelope says, its signature verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedJws {
    /// The key that signed; its DID is the one of the document.
    pub kid: DidUrl,
    /// What was signed.
    pub payload: Vec<u8>,
}

impl VerifiedJws {
    /// Reads what was signed as one JSON object, strictly: no name twice, of bounded depth.
    ///
    /// # Errors
    /// When it is not one.
    pub fn to_object(&self) -> Result<Map<String, Value>, JsonError> {
        let tree = Tree::read_object(&self.payload, ENVELOPE_BYTES_MAX)?;
        tree.check_weight()?;
        Ok(tree.object().to_map())
    }
}

/// Verifies a signed envelope offline, with nothing but the signer's document: what somebody does who is shown
/// [`Opened::signed`](crate::Opened::signed) as evidence. Says nothing about addressee or time.
///
/// # Errors
/// When the envelope is malformed, or not signed by a key that the document lists for authentication.
pub fn verify_jws(envelope: &[u8], document: &DidDocument) -> Result<VerifiedJws, OpenError> {
    let tree = Tree::read_object(envelope, ENVELOPE_BYTES_MAX)?;
    let jws = Jws::from_object(tree.object())?;
    if !belongs(&jws.kid, &document.id) {
        return Err(OpenError::SenderMismatch);
    }
    jws.verify(document)?;
    let (kid, payload) = jws.into_parts();
    Ok(VerifiedJws { kid, payload })
}

fn belongs(kid: &DidUrl, did: &Did) -> bool {
    kid.did().same_subject(did)
}
