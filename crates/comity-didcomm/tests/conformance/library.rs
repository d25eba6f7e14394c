//! The library under test, as one of the receivers of the corpus: it has their documents and keys, and opens.

use std::collections::HashMap;
use std::sync::Arc;

use comity_didcomm::{
    AgreementCache, AgreementKey, Did, DidDocument, DidUrl, Layer, OpenError, OpenPolicy, Opened,
    SenderProof, UnixTime, open,
};
use serde_json::Value;

use super::letter::NOW;

/// What the parties publish and hold, read once.
pub(crate) struct Library {
    documents: HashMap<Did, Arc<DidDocument>>,
    keys: HashMap<DidUrl, AgreementKey>,
}

/// What an envelope means to its reader; two envelopes with equal ones say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) layers: Vec<&'static str>,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) sender: Option<(String, String, SenderProof)>,
    pub(crate) opened_by: Option<String>,
    pub(crate) rotation: Option<(String, Option<String>, String, u64)>,
}

impl Library {
    /// Reads the documents and the secrets as they are published.
    pub(crate) fn new(dids: &Value, secrets: &Value) -> Self {
        let mut library = Self { documents: HashMap::new(), keys: HashMap::new() };
        for document in dids.as_array().unwrap() {
            let did = Did::parse(document["id"].as_str().unwrap()).unwrap();
            let read = DidDocument::parse(document.to_string().as_bytes(), &did).unwrap();
            library.documents.insert(did, Arc::new(read));
        }
        for jwk in secrets.as_array().unwrap() {
            let kid = DidUrl::parse(jwk["kid"].as_str().unwrap()).unwrap();
            // A reader uses only those of its keys that its own document has for key agreement.
            if library.documents[kid.did()].agreement_key(&kid).is_some() {
                let key = AgreementKey::from_jwk(jwk.as_object().unwrap()).unwrap();
                library.keys.insert(kid, key);
            }
        }
        library
    }

    /// The same library with one cache of agreements for all its keys.
    pub(crate) fn with_cache(mut self) -> Self {
        let cache = Arc::new(AgreementCache::new(1024));
        let cached = |(kid, key): (DidUrl, AgreementKey)| (kid, key.with_cache(Arc::clone(&cache)));
        self.keys = self.keys.into_iter().map(cached).collect();
        self
    }

    /// Opens with the keys of these parties.
    pub(crate) fn open(&self, receivers: &[&str], packed: &[u8]) -> Result<Opened, OpenError> {
        let keys = |kid: &DidUrl| {
            self.keys.get(kid).filter(|_| receivers.contains(&kid.did().as_str())).cloned()
        };
        let documents = |did: &Did| self.documents.get(did).cloned();
        open(packed, &OpenPolicy::default(), UnixTime(NOW), &keys, &documents)
    }
}

impl Meaning {
    pub(crate) fn of(opened: &Opened) -> Self {
        let name = |layer: &Layer| match layer {
            Layer::Anoncrypt => "anoncrypt",
            Layer::Authcrypt => "authcrypt",
            Layer::Signed => "sign",
            _ => "unknown",
        };
        Self {
            layers: opened.layers().iter().map(name).collect(),
            plaintext: opened.plaintext().to_vec(),
            sender: opened
                .sender()
                .map(|sender| (sender.did().to_string(), sender.kid().to_string(), sender.proof())),
            opened_by: opened.recipient_kid().map(DidUrl::to_string),
            rotation: opened.rotation().map(|rotation| {
                let successor = rotation.successor().map(Did::to_string);
                (
                    rotation.prior().to_string(),
                    successor,
                    rotation.kid().to_string(),
                    rotation.at().0,
                )
            }),
        }
    }
}
