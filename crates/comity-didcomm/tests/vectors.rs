//! Opens the official vectors of the DIDComm v2.1 specification: every envelope that is legal;
//! the one that is not is refused.
//!
//! They are not part of the repository: `COMITY_VECTORS` names their folder. Without them the tests
//! say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::path::PathBuf;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, Curve, Did, DidDocument, DidUrl, Layer, OpenError, OpenPolicy, Opened,
    SenderProof, SigningKey, UnixTime, open, sign, verify_jws,
};
use serde_json::Value;

/// The messages of the vectors were made then and have long expired.
const NOW: UnixTime = UnixTime(1_516_269_022);

struct Vectors(PathBuf);

impl Vectors {
    fn find() -> Option<Self> {
        let folder = std::env::var_os("COMITY_VECTORS").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
            PathBuf::from,
        );
        let folder = folder.join("didcomm");
        if folder.is_dir() {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: no official vectors found; set COMITY_VECTORS to their folder");
        None
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join(file)).unwrap()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&self.read(file)).unwrap()
    }

    fn secret(&self, kid: &str) -> Option<serde_json::Map<String, Value>> {
        let file = if kid.starts_with("did:example:bob") { "bob" } else { "alice" };
        let secrets = self.json(&format!("secrets-{file}.json"));
        secrets.as_array()?.iter().find(|jwk| jwk["kid"] == kid)?.as_object().cloned()
    }

    fn document(&self, did: &Did) -> Option<Arc<DidDocument>> {
        let file = format!("did-{}.json", did.method_specific_id());
        DidDocument::parse(&self.read(&file), did).ok().map(Arc::new)
    }

    fn open(&self, file: &str) -> Result<Opened, OpenError> {
        let keys = |kid: &DidUrl| AgreementKey::from_jwk(&self.secret(kid.as_str())?).ok();
        let document = |did: &Did| self.document(did);
        open(&self.read(file), &OpenPolicy::default(), NOW, &keys, &document)
    }
}

#[test]
fn every_legal_envelope_of_the_specification_opens() {
    let Some(vectors) = Vectors::find() else { return };
    let expected = vectors.json("plaintext-as-packed.json");
    let mut opened = 0;
    for entry in vectors.json("manifest.json").as_array().unwrap() {
        if entry["spec_status"].as_str().unwrap().starts_with("MUST NOT") {
            continue;
        }
        let file = entry["file"].as_str().unwrap();
        let found = vectors.open(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let plaintext: Value = serde_json::from_slice(found.plaintext()).unwrap();
        assert_eq!(plaintext, expected, "{file}");
        let layers: Vec<Layer> = entry["layers_outermost_first"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| match layer.as_str().unwrap() {
                "sign" => Layer::Signed,
                "anoncrypt" => Layer::Anoncrypt,
                "authcrypt" => Layer::Authcrypt,
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(found.layers(), layers, "{file}");
        let proof = if layers.contains(&Layer::Signed) {
            Some(SenderProof::Signature)
        } else {
            layers.contains(&Layer::Authcrypt).then_some(SenderProof::Authcrypt)
        };
        assert_eq!(found.sender().map(comity_didcomm::Sender::proof), proof, "{file}");
        opened += 1;
    }
    assert_eq!(opened, 8);
}

/// That its layers open one by one, a test inside the crate shows.
#[test]
fn the_forbidden_combination_is_refused() {
    let Some(vectors) = Vectors::find() else { return };
    let file = "anoncrypt-authcrypt-sign-p521-xc20p.json";
    assert_eq!(vectors.open(file).unwrap_err(), OpenError::Envelope);
}

#[test]
fn the_signed_vectors_verify_offline() {
    let Some(vectors) = Vectors::find() else { return };
    let alice = Did::parse("did:example:alice").unwrap();
    let bob = vectors.document(&Did::parse("did:example:bob").unwrap()).unwrap();
    let document = vectors.document(&alice).unwrap();
    for (file, key) in [
        ("signed-eddsa.json", "key-1"),
        ("signed-es256.json", "key-2"),
        ("signed-es256k.json", "key-3"),
    ] {
        let text = vectors.read(file);
        assert_eq!(verify_jws(&text, &document).unwrap().kid, alice.url(key), "{file}");
        assert_eq!(verify_jws(&text, &bob), Err(OpenError::SenderMismatch), "{file}");
    }
}

#[test]
fn the_private_keys_of_the_vectors_are_read_and_sign_what_verifies() {
    let Some(vectors) = Vectors::find() else { return };
    let mut read = 0;
    for file in ["secrets-alice.json", "secrets-bob.json"] {
        for jwk in vectors.json(file).as_array().unwrap() {
            let (jwk, kid) = (jwk.as_object().unwrap(), jwk["kid"].as_str().unwrap());
            let kid = DidUrl::parse(kid).unwrap();
            let document = vectors.document(kid.did()).unwrap();
            if let Some(key) = document.authentication_key(&kid) {
                let own = SigningKey::from_jwk(jwk).unwrap();
                assert_eq!(own.public(), *key);
                let text = sign(b"{}", &kid, &own);
                assert_eq!(verify_jws(text.as_bytes(), &document).unwrap().payload, b"{}");
            } else {
                let key = document.agreement_key(&kid).unwrap();
                assert_eq!(AgreementKey::from_jwk(jwk).unwrap().public(), *key);
            }
            read += 1;
        }
    }
    assert_eq!(read, 15);
    let bob = vectors.document(&Did::parse("did:example:bob").unwrap()).unwrap();
    let counts = Curve::AGREEMENT.map(|curve| bob.recipients_on(curve).len());
    assert_eq!(counts, [3, 2, 2, 2], "on each curve");
}
