//! Data integrity proofs of the one suite that did:webvh 1.0 has: `eddsa-jcs-2022` (W3C Data
//! Integrity EdDSA Cryptosuites 1.0, section 3.3) with keys named as `did:key:K#K`. Not a general
//! reader of proofs: what would need a context, another suite or another purpose is refused.

use serde_json::{Map, Value, json};

use super::WebvhError;
use super::canonical::{canonical, sha256};
use super::timestamp::Timestamp;
use crate::encoding;
use crate::key::{Curve, PublicKey, SigningKey};
use crate::limits::KEY_CHARS_MAX;
use crate::time::UnixTime;

/// Characters of 64 bytes in base58btc, with the multibase prefix, at the most.
const SIGNATURE_CHARS_MAX: usize = 90;

/// What a proof is over: the hash of a document that has no proof in it. It is taken once, however
/// many proofs there are.
pub(super) struct Proven([u8; 32]);

impl Proven {
    pub(super) fn of(document: &Map<String, Value>) -> Self {
        Self(sha256(&canonical(document)))
    }
}

/// Verifies a proof; returns the key that made it, in Multikey form.
pub(super) fn verify(
    proven: &Proven,
    proof: &Map<String, Value>,
    now: UnixTime,
) -> Result<String, WebvhError> {
    let member = |name: &str| proof.get(name).and_then(Value::as_str).ok_or(WebvhError::Proof);
    let is_ours = member("type")? == "DataIntegrityProof"
        && member("cryptosuite")? == "eddsa-jcs-2022"
        && member("proofPurpose")? == "assertionMethod"
        // Neither a log entry nor a version id has a context, so a proof that says one is for
        // something else.
        && !proof.contains_key("@context");
    if !is_ours {
        return Err(WebvhError::Proof);
    }
    if let Some(expires) = proof.get("expires") {
        let expires = expires.as_str().and_then(Timestamp::parse).ok_or(WebvhError::Proof)?;
        if expires <= now.into() {
            return Err(WebvhError::Proof);
        }
    }
    // The two halves must be one key, or a list could be asked for one and the signature for the
    // other.
    let method = member("verificationMethod")?.strip_prefix("did:key:");
    let (key, fragment) = method.and_then(|it| it.split_once('#')).ok_or(WebvhError::Proof)?;
    if key != fragment || KEY_CHARS_MAX < key.len() {
        return Err(WebvhError::Proof);
    }
    // The suite has one curve; keys of others would verify, by another algorithm.
    let public = PublicKey::from_multibase(key).map_err(|_| WebvhError::Proof)?;
    if public.curve() != Curve::Ed25519 {
        return Err(WebvhError::Proof);
    }
    let signature = member("proofValue")?;
    if SIGNATURE_CHARS_MAX < signature.len() {
        return Err(WebvhError::Proof);
    }
    let signature = encoding::from_multibase(signature).ok_or(WebvhError::Proof)?;
    let mut options = proof.clone();
    options.remove("proofValue");
    public.verify(&hash_data(&options, proven), &signature).map_err(|_| WebvhError::Proof)?;
    Ok(key.to_owned())
}

/// Makes a proof over a document.
pub(super) fn sign(document: &Map<String, Value>, key: &SigningKey, now: UnixTime) -> Value {
    let name = key.public().to_multibase();
    let mut proof = Map::new();
    proof.insert("type".to_owned(), json!("DataIntegrityProof"));
    proof.insert("cryptosuite".to_owned(), json!("eddsa-jcs-2022"));
    proof.insert("verificationMethod".to_owned(), json!(format!("did:key:{name}#{name}")));
    proof.insert("created".to_owned(), json!(Timestamp::from(now).to_string()));
    proof.insert("proofPurpose".to_owned(), json!("assertionMethod"));
    let signature = key.sign(&hash_data(&proof, &Proven::of(document)));
    proof.insert("proofValue".to_owned(), json!(encoding::multibase(&signature)));
    Value::Object(proof)
}

/// The options first, then the document.
fn hash_data(options: &Map<String, Value>, proven: &Proven) -> Vec<u8> {
    let mut data = sha256(&canonical(options)).to_vec();
    data.extend_from_slice(&proven.0);
    data
}
