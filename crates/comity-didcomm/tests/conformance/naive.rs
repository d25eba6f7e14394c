//! The reader that believes everything: it decrypts and verifies with whatever key an envelope names, and compares no
//! two names. It shows that an envelope of the corpus is cryptographically sound, so that only the checks of a careful
//! reader stand between it and the application.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::cipher::{self, Derivation};
use super::curve::{Curve, Key};
use super::text::unb64;
use super::world::World;

/// Opens an envelope with all keys of these receivers; returns the innermost text.
pub(crate) fn open(world: &World, receivers: &[&str], packed: &str) -> Option<Vec<u8>> {
    let mut text = packed.as_bytes().to_vec();
    for _ in 0..8 {
        let Ok(Value::Object(object)) = serde_json::from_slice(&text) else { return None };
        if object.contains_key("ciphertext") {
            text = layer(world, receivers, &object)?;
        } else if object.contains_key("payload") {
            text = verified(world, &object)?;
        } else {
            return Some(text);
        }
    }
    None
}

/// Opens one encrypted layer.
pub(crate) fn layer(
    world: &World,
    receivers: &[&str],
    jwe: &Map<String, Value>,
) -> Option<Vec<u8>> {
    let aad = jwe.get("protected")?.as_str()?;
    let protected: Map<String, Value> = serde_json::from_slice(&unb64(aad)?).ok()?;
    let recipients = match jwe.get("recipients") {
        Some(Value::Array(recipients)) => recipients.clone(),
        _ => vec![Value::Object(jwe.clone())],
    };
    let aad = match jwe.get("aad").and_then(Value::as_str) {
        Some(more) => format!("{aad}.{more}"),
        None => aad.to_owned(),
    };
    for recipient in &recipients {
        let mut header = protected.clone();
        for more in [jwe.get("unprotected"), recipient.get("header")].into_iter().flatten() {
            header.extend(more.as_object()?.clone());
        }
        let part = |name: &str| jwe.get(name).and_then(Value::as_str).and_then(unb64);
        let content =
            Content { aad: &aad, iv: part("iv")?, text: part("ciphertext")?, tag: part("tag")? };
        let wrapped = recipient.get("encrypted_key").and_then(Value::as_str).and_then(unb64);
        for own in receivers.iter().flat_map(|did| world.keys_of(did)).map(|(_, key)| key) {
            for sender in senders(world, &header) {
                let found = content.open(&header, own, sender, wrapped.as_deref()?);
                if let Some(text) = found {
                    let zipped = header.contains_key("zip");
                    return if zipped { inflated(&text) } else { Some(text) };
                }
            }
        }
    }
    None
}

/// The keys that the header may mean by the sender's; one that is none for anoncrypt.
fn senders<'w>(world: &'w World, header: &Map<String, Value>) -> Vec<Option<&'w Key>> {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let apu = text("apu").and_then(unb64).and_then(|apu| String::from_utf8(apu).ok());
    let kids = [text("skid").map(str::to_owned), apu];
    let keys = kids.iter().flatten().filter_map(|kid| world.find(kid)).map(Some);
    keys.chain([None]).collect()
}

struct Content<'a> {
    aad: &'a str,
    iv: Vec<u8>,
    text: Vec<u8>,
    tag: Vec<u8>,
}

impl Content<'_> {
    fn open(
        &self,
        header: &Map<String, Value>,
        own: &Key,
        sender: Option<&Key>,
        wrapped: &[u8],
    ) -> Option<Vec<u8>> {
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let (alg, enc) = (text("alg")?, text("enc")?);
        cipher::sizes(enc)?;
        let epk = header.get("epk").filter(|epk| epk["crv"] == own.curve.crv())?;
        let mut secret = match own.agree(&Key::from_jwk(epk)) {
            Some(secret) => secret,
            // What a reader computes that does not look for the secret that everybody knows.
            None if own.curve == Curve::X25519 => vec![0; 32],
            None => return None,
        };
        if let Some(sender) = sender {
            secret.extend(own.agree(sender)?);
        }
        let bytes = |name: &str| text(name).and_then(unb64).unwrap_or_default();
        let (apu, apv) = (bytes("apu"), bytes("apv"));
        let tag = (sender.is_some() && alg.contains('+')).then_some(self.tag.as_slice());
        let from = Derivation { alg, enc, apu: &apu, apv: &apv, tag };
        let derived = cipher::derive(&secret, &from);
        let key = if alg.contains('+') { cipher::unwrap(&derived, wrapped)? } else { derived };
        let sealed = (self.text.as_slice(), self.tag.as_slice());
        cipher::decrypt(enc, &key, &self.iv, self.aad.as_bytes(), sealed)
    }
}

fn verified(world: &World, jws: &Map<String, Value>) -> Option<Vec<u8>> {
    let one = match jws.get("signatures") {
        Some(Value::Array(signatures)) => signatures.first()?.as_object()?.clone(),
        _ => jws.clone(),
    };
    let head = one.get("protected").and_then(Value::as_str).unwrap_or_default();
    let mut header: Map<String, Value> = serde_json::from_slice(&unb64(head)?).unwrap_or_default();
    let mut kids = vec![header.get("kid").cloned()];
    if let Some(Value::Object(more)) = one.get("header") {
        kids.push(more.get("kid").cloned());
        header.extend(more.clone());
    }
    let payload = jws.get("payload")?.as_str()?;
    let input = format!("{head}.{payload}");
    let signature = unb64(one.get("signature")?.as_str()?)?;
    let named = kids.iter().flatten().filter_map(Value::as_str).filter_map(|kid| world.find(kid));
    let given = header.get("jwk").map(Key::from_jwk);
    let alg = header.get("alg")?.as_str()?;
    let fits = |key: &Key| verify(alg, key, input.as_bytes(), &signature);
    let holds = alg == "none" || named.into_iter().any(fits) || given.as_ref().is_some_and(fits);
    if !holds {
        return None;
    }
    if header.get("b64") == Some(&Value::Bool(false)) {
        return Some(payload.as_bytes().to_vec());
    }
    unb64(payload)
}

/// Verifies with the algorithm that the header names, or that the key needs.
pub(crate) fn verify(alg: &str, key: &Key, text: &[u8], signature: &[u8]) -> bool {
    if alg == "HS256" {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.public);
        return hmac::verify(&key, text, signature).is_ok();
    }
    let algorithm: &dyn VerificationAlgorithm = match key.curve {
        Curve::Ed25519 => &ED25519,
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::Secp256k1 => &ECDSA_P256K1_SHA256_FIXED,
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, &key.public).verify(text, signature).is_ok()
}

/// Undoes the one kind of block that the forger writes (RFC 1951, section 3.2.4).
fn inflated(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(&[1])?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    rest.get(2..2 + usize::from(u16::from_le_bytes(*length))).map(<[u8]>::to_vec)
}

/// Writes a text as one uncompressed block.
pub(crate) fn deflated(text: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut out = vec![1];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend(text);
    out
}
