//! The proof of possession: whoever sends this very payload holds the key that a token names.
//!
//! It is bound to the payload, and by the token to a time, but not to the minute: an envelope may
//! wait in its sender's outbox for days, and every attempt carries the same bytes. A payload that
//! comes twice is held once, so there is nothing to gain by showing a proof again.

use std::borrow::Cow;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, PublicKey, SigningKey};
use serde::{Deserialize, Serialize};

use super::NotAdmitted;
use super::compact::{self, Compact};
use crate::trust::subject;

/// Type of a proof.
const TYP: &str = "comity-admission-proof+jwt";

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The recipient.
    aud: Did,
    /// What is sent, see [`payload_digest`].
    payload: String,
}

/// The members of an encrypted envelope that say what it is, whoever has written it anew as JSON.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    protected: Cow<'a, str>,
    #[serde(borrow)]
    recipients: Vec<Recipient<'a>>,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Recipient<'a> {
    #[serde(borrow)]
    encrypted_key: Cow<'a, str>,
}

/// Makes the proof for one payload; nothing if it is no encrypted envelope.
pub(super) fn make(key: &SigningKey, recipient: &Did, payload: &[u8]) -> Option<String> {
    let claims = Claims { aud: subject(recipient), payload: payload_digest(payload)? };
    Some(compact::sign(TYP, &claims, key))
}

/// Verifies a proof.
pub(super) fn verify(
    text: &str,
    holder: &PublicKey,
    recipient: &Did,
    payload: &[u8],
) -> Result<(), NotAdmitted> {
    let compact = Compact::read(text, TYP)?;
    let claims: Claims = compact.claims()?;
    let digest = payload_digest(payload).ok_or(NotAdmitted::Malformed)?;
    if !claims.aud.same_subject(recipient) || claims.payload != digest {
        return Err(NotAdmitted::Other);
    }
    compact.verify(holder)
}

/// SHA-256 of the encoded members `protected`, `iv`, `ciphertext`, `tag` and the `encrypted_key` of
/// each recipient, in this order and joined by dots, in base64url. The text of the envelope does not
/// serve: each mediator writes the JSON of a payload anew, in its own order.
pub(super) fn payload_digest(payload: &[u8]) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_slice(payload).ok()?;
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(envelope.protected.as_bytes());
    let keys = envelope.recipients.iter().map(|recipient| &recipient.encrypted_key);
    for part in [&envelope.iv, &envelope.ciphertext, &envelope.tag].into_iter().chain(keys) {
        hash.update(b".");
        hash.update(part.as_bytes());
    }
    Some(URL_SAFE_NO_PAD.encode(hash.finish()))
}
