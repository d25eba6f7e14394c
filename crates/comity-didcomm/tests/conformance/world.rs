//! The parties of the corpus: their keys, documents and secrets, all made from labels. Not random, so not for anything
//! but tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::curve::{AGREEMENT, Curve, Key, SIGNING};

/// The honest sender.
pub(crate) const ALICE: &str = "did:example:alice";
/// Her DID before she rotated.
pub(crate) const PRIOR: &str = "did:example:prior";
/// The honest recipient.
pub(crate) const BOB: &str = "did:example:bob";
/// Another recipient.
pub(crate) const CAROL: &str = "did:example:carol";
/// A party like any other, who cheats.
pub(crate) const MALLORY: &str = "did:example:mallory";

/// The uses that a key may have in a document, and the fault that each name stands for. The first is the right one.
const USES: [&str; 5] = ["", "-other", "-assert", "-none", "-lent"];

/// All parties.
pub(crate) struct World {
    keys: BTreeMap<String, Key>,
    documents: Vec<Value>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self { keys: BTreeMap::new(), documents: Vec::new() };
        for did in [ALICE, PRIOR, BOB, CAROL, MALLORY] {
            let document = world.party(did);
            world.documents.push(document);
        }
        world
    }

    pub(crate) fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// The private keys, as JWKs.
    pub(crate) fn secrets(&self) -> Vec<Value> {
        self.keys.iter().map(|(kid, key)| Value::Object(key.private_jwk(kid))).collect()
    }

    pub(crate) fn key(&self, kid: &str) -> &Key {
        self.keys.get(kid).unwrap_or_else(|| panic!("nobody has the key {kid}"))
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }

    pub(crate) fn keys_of(&self, did: &str) -> impl Iterator<Item = (&str, &Key)> {
        let prefix = format!("{did}#");
        let of = move |kid: &str| kid.starts_with(&prefix);
        self.keys.iter().map(|(kid, key)| (kid.as_str(), key)).filter(move |(kid, _)| of(kid))
    }

    fn party(&mut self, did: &str) -> Value {
        let mut methods = Vec::new();
        let mut uses: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let agreement = AGREEMENT.map(|curve| (curve, agreement_name(curve)));
        let signing = SIGNING.map(|curve| (curve, signing_name(curve)));
        for (at, (curve, name)) in agreement.into_iter().chain(signing).enumerate() {
            let (right, other) = if at < AGREEMENT.len() {
                ("keyAgreement", "authentication")
            } else {
                ("authentication", "keyAgreement")
            };
            for suffix in USES {
                // Only who is attacked needs keys in the wrong places.
                let plain = suffix.is_empty();
                if !plain && ![ALICE, PRIOR, BOB].contains(&did) {
                    continue;
                }
                let kid = format!("{did}#{name}{suffix}");
                let key = Key::new(curve, &kid);
                let controller = if suffix == "-lent" { MALLORY } else { did };
                methods.push(json!({
                    "id": kid,
                    "type": "JsonWebKey2020",
                    "controller": controller,
                    "publicKeyJwk": key.jwk(),
                }));
                let used = match suffix {
                    "-other" => Some(other),
                    "-assert" => Some("assertionMethod"),
                    "-none" => None,
                    _ => Some(right),
                };
                if let Some(used) = used {
                    uses.entry(used).or_default().push(json!(kid));
                }
                self.keys.insert(kid, key);
            }
        }
        let mut document = json!({
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
            "id": did,
            "verificationMethod": methods,
        });
        for (name, kids) in uses {
            document[name] = Value::Array(kids);
        }
        document
    }
}

/// The fragment of a party's key for agreement on this curve.
pub(crate) const fn agreement_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "p256",
        Curve::P384 => "p384",
        Curve::P521 => "p521",
        _ => "x25519",
    }
}

/// The fragment of a party's key for signing on this curve.
pub(crate) const fn signing_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "es256",
        Curve::Secp256k1 => "es256k",
        _ => "ed25519",
    }
}
