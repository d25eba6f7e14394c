//! The layers of the one official vector whose combination is forbidden, opened one by one: each is
//! sound in itself.
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "reads the official vectors")]

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::did::Did;
use crate::document::DidDocument;
use crate::envelope::Layer;
use crate::json::Tree;
use crate::verify_jws;

struct Vectors(PathBuf);

impl Vectors {
    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join("didcomm").join(file)).unwrap()
    }

    fn document(&self, name: &str) -> DidDocument {
        let did = Did::parse(&format!("did:example:{name}")).unwrap();
        DidDocument::parse(&self.read(&format!("did-{name}.json")), &did).unwrap()
    }

    /// Opens one layer with whichever of Bob's keys fits.
    fn decrypt(&self, text: &[u8], sender: &DidDocument) -> (Layer, Vec<u8>) {
        let jwe = Jwe::from_object(Tree::read_object(text, 1 << 20).unwrap().object(), 8).unwrap();
        let secrets: Value = serde_json::from_slice(&self.read("secrets-bob.json")).unwrap();
        let secret = |kid: &DidUrl| {
            let jwk = secrets.as_array()?.iter().find(|jwk| jwk["kid"] == kid.as_str())?;
            AgreementKey::from_jwk(jwk.as_object()?).ok()
        };
        let own: Vec<_> = jwe
            .recipients
            .iter()
            .filter_map(|recipient| Some((recipient.kid.clone(), secret(&recipient.kid)?)))
            .collect();
        let layer = jwe.alg.layer();
        let key = jwe.skid.as_ref().map(|skid| *sender.agreement_key(skid).unwrap());
        (layer, jwe.decrypt(&own, key.as_ref()).unwrap().1)
    }
}

#[test]
fn the_layers_of_the_forbidden_vector_open_one_by_one() {
    let folder = std::env::var_os("COMITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!("SKIPPED: no official vectors found; set COMITY_VECTORS to their folder");
        return;
    }
    let vectors = Vectors(folder);
    let alice = vectors.document("alice");
    let outer = vectors.read("anoncrypt-authcrypt-sign-p521-xc20p.json");
    let (layer, inner) = vectors.decrypt(&outer, &alice);
    assert_eq!(layer, Layer::Anoncrypt);
    let (layer, signed) = vectors.decrypt(&inner, &alice);
    assert_eq!(layer, Layer::Authcrypt);
    let verified = verify_jws(&signed, &alice).unwrap();
    let plaintext: Value = serde_json::from_slice(&verified.payload).unwrap();
    let expected: Value =
        serde_json::from_slice(&vectors.read("plaintext-as-packed.json")).unwrap();
    assert_eq!(plaintext, expected);
}
