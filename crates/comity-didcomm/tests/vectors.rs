//! Opens the official vectors of the DIDComm v2.1 specification, as far as they use algorithms that this crate has.
//!
//! They are not part of the repository: `COMITY_VECTORS` names their folder. Without them the test says so and passes.
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
    AgreementKey, Did, DidDocument, DidUrl, Layer, OpenError, OpenPolicy, Opened, SenderProof,
    UnixTime, open, verify_jws,
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

    fn open(&self, file: &str) -> Result<Opened, OpenError> {
        let secrets: Value = serde_json::from_slice(&self.read("secrets-bob.json")).unwrap();
        let keys = |kid: &DidUrl| {
            let jwk = secrets.as_array()?.iter().find(|jwk| jwk["kid"] == kid.as_str())?;
            let raw = serde_json::json!({ "data": { "base64": jwk["d"] } });
            let raw: comity_didcomm::Attachment = serde_json::from_value(raw).ok()?;
            let raw: [u8; 32] = raw.data.bytes()?.try_into().ok()?;
            Some(AgreementKey::from_bytes(raw.into()))
        };
        let document = |did: &Did| {
            let file = format!("did-{}.json", did.method_specific_id());
            DidDocument::parse(&self.read(&file), did).ok().map(Arc::new)
        };
        open(&self.read(file), &OpenPolicy::default(), NOW, &keys, &document)
    }

    fn expect(&self, file: &str, layers: &[Layer], proof: Option<SenderProof>) {
        let opened = self.open(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let plaintext: Value = serde_json::from_slice(opened.plaintext()).unwrap();
        let expected: Value =
            serde_json::from_slice(&self.read("plaintext-as-packed.json")).unwrap();
        assert_eq!(plaintext, expected, "{file}");
        assert_eq!(opened.layers(), layers, "{file}");
        assert_eq!(opened.sender().map(comity_didcomm::Sender::proof), proof, "{file}");
    }
}

#[test]
fn the_vectors_open() {
    let Some(vectors) = Vectors::find() else { return };
    vectors.expect("signed-eddsa.json", &[Layer::Signed], Some(SenderProof::Signature));
    vectors.expect("anoncrypt-x25519-xc20p.json", &[Layer::Anoncrypt], None);
    vectors.expect(
        "authcrypt-x25519-a256cbc-hs512.json",
        &[Layer::Authcrypt],
        Some(SenderProof::Authcrypt),
    );
}

#[test]
fn the_signed_vector_verifies_offline() {
    let Some(vectors) = Vectors::find() else { return };
    let alice = Did::parse("did:example:alice").unwrap();
    let document = DidDocument::parse(&vectors.read("did-alice.json"), &alice).unwrap();
    let verified = verify_jws(&vectors.read("signed-eddsa.json"), &document).unwrap();
    assert_eq!(verified.kid, alice.url("key-1"));
    let bob = Did::parse("did:example:bob").unwrap();
    let document = DidDocument::parse(&vectors.read("did-bob.json"), &bob).unwrap();
    assert_eq!(
        verify_jws(&vectors.read("signed-eddsa.json"), &document),
        Err(OpenError::SenderMismatch)
    );
}

#[test]
fn vectors_with_algorithms_that_are_not_here_are_refused_plainly() {
    let Some(vectors) = Vectors::find() else { return };
    for file in ["signed-es256.json", "signed-es256k.json"] {
        assert_eq!(vectors.open(file).unwrap_err(), OpenError::Algorithm, "{file}");
    }
    for file in ["anoncrypt-p384-a256cbc-hs512.json", "authcrypt-sign-p256-a256cbc-hs512.json"] {
        assert_eq!(vectors.open(file).unwrap_err(), OpenError::Key, "{file}");
    }
}
