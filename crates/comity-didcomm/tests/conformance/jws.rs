//! A writer of signed envelopes and tokens that checks nothing: any headers, any key, a correct signature.

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};

use super::curve::Key;
use super::text::b64;

/// How a signature is made.
#[derive(Clone, Copy)]
pub(crate) enum Signer<'a> {
    /// With the algorithm of the key's curve.
    Key(&'a Key),
    /// HMAC-SHA-256 with public bytes as its secret: the oldest confusion of algorithms.
    Hmac(&'a [u8]),
    /// Not at all.
    Nothing,
}

impl Signer<'_> {
    pub(crate) fn sign(self, text: &str) -> Vec<u8> {
        match self {
            Self::Key(key) => key.sign(text.as_bytes()),
            Self::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            Self::Nothing => Vec::new(),
        }
    }
}

/// Writes a signed envelope in the general form.
pub(crate) fn general(
    payload: &[u8],
    protected: &Map<String, Value>,
    unprotected: Option<&Map<String, Value>>,
    signer: Signer<'_>,
) -> Map<String, Value> {
    let protected = b64(super::jwe::twice(protected));
    let payload = b64(payload);
    let signature = b64(signer.sign(&format!("{protected}.{payload}")));
    let mut one = json!({ "protected": protected, "signature": signature });
    if let Some(header) = unprotected {
        one["header"] = Value::Object(header.clone());
    }
    super::jwe::object(json!({ "payload": payload, "signatures": [one] }))
}

/// Turns the general form with one signature into the flattened one.
pub(crate) fn flattened(mut general: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(mut signatures)) = general.remove("signatures") else { panic!() };
    general.extend(super::jwe::object(signatures.remove(0)));
    general
}

/// Writes a compact token, as `from_prior` is one.
pub(crate) fn compact(header: &Value, claims: &Value, signer: Signer<'_>) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    format!("{input}.{}", b64(signer.sign(&input)))
}
