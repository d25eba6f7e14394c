//! The DID documents and private keys that a request brings along. Nothing is resolved over a
//! network and no key of a home is read: the workbench knows what it is told, and DIDs that carry
//! their own document.

use std::{collections::HashMap, sync::Arc};

use comity_didcomm::{
    AgreementKey, Curve, Did, DidDocument, DidUrl, KeyError, PublicKey, SigningKey,
    resolve_self_contained, routing::Next,
};
use serde_json::{Map, Value};

use super::refused::{KEY, MALFORMED, Refused, TOO_LARGE, UNRESOLVABLE};
use crate::limits::{WORKBENCH_DIDS_MAX, WORKBENCH_SECRETS_MAX};

/// What one request knows.
#[derive(Default)]
pub(super) struct Keyring {
    documents: Vec<Arc<DidDocument>>,
    signing: HashMap<DidUrl, SigningKey>,
    agreement: HashMap<DidUrl, AgreementKey>,
}

impl Keyring {
    /// Reads DID documents and private JWKs. A key of a kind that is unknown here is passed over,
    /// because key files are shared with programs that know more.
    pub(super) fn read(dids: &[Value], secrets: &[Value]) -> Result<Self, Refused> {
        if WORKBENCH_DIDS_MAX < dids.len() || WORKBENCH_SECRETS_MAX < secrets.len() {
            return Err(Refused::new(TOO_LARGE, "there are too many dids or secrets"));
        }
        let mut ring = Self::default();
        for document in dids {
            ring.documents.push(Arc::new(read_document(document)?));
        }
        for secret in secrets {
            ring.add_secret(secret)?;
        }
        Ok(ring)
    }

    /// Finds a document: one that was given, or one that the DID itself carries.
    pub(super) fn document(&self, did: &Did) -> Option<Arc<DidDocument>> {
        let given = self.documents.iter().find(|document| document.id.same_subject(did));
        given.cloned().or_else(|| resolve_self_contained(did).ok().flatten().map(Arc::new))
    }

    /// Finds a document that there is no going on without.
    pub(super) fn need_document(&self, did: &Did) -> Result<Arc<DidDocument>, Refused> {
        self.document(did).ok_or_else(|| {
            let text =
                format!("the document of {did} is not in dids, and the DID does not carry it");
            Refused::new(UNRESOLVABLE, text)
        })
    }

    /// Finds the private key of a recipient. It counts only if our own document lists its public
    /// part for `keyAgreement`: a key that is there for something else does not read messages.
    pub(super) fn recipient_key(&self, kid: &DidUrl) -> Option<AgreementKey> {
        let key = secret(&self.agreement, kid)?;
        let document = self.document(kid.did())?;
        let listed = document.agreement_key(kid)?;
        (*listed == key.public()).then(|| key.clone())
    }

    /// Finds the key that signs for a DID, or the one with this id: the first in `authentication`
    /// whose private part is known.
    pub(super) fn signer(&self, name: &Next) -> Result<(DidUrl, SigningKey), Refused> {
        let document = self.need_document(name.did())?;
        let known = |kid: &DidUrl, key: &PublicKey| {
            let signing = secret(&self.signing, kid).filter(|signing| signing.public() == *key)?;
            name.names(kid).then(|| (named(name, kid), signing.clone()))
        };
        document.signing_keys().find_map(|(kid, key)| known(kid, key)).ok_or_else(|| {
            let text = format!("no private key for authentication of {name} is in secrets");
            Refused::new(KEY, text)
        })
    }

    /// Finds the keys with which a DID, or the holder of the key with this id, may seal: those in
    /// `keyAgreement` whose private part is known.
    pub(super) fn sealers(&self, name: &Next) -> Result<Vec<(DidUrl, AgreementKey)>, Refused> {
        let document = self.need_document(name.did())?;
        let sealers: Vec<_> = document
            .agreement_keys()
            .filter(|(kid, _)| name.names(kid))
            .filter_map(|(kid, key)| {
                let own = secret(&self.agreement, kid).filter(|own| own.public() == *key)?;
                Some((named(name, kid), own.clone()))
            })
            .collect();
        if sealers.is_empty() {
            let text = format!("no private key for keyAgreement of {name} is in secrets");
            return Err(Refused::new(KEY, text));
        }
        Ok(sealers)
    }

    /// Finds the keys to encrypt to: all of a DID that are on the curve, or the one with this id if
    /// it is.
    pub(super) fn recipients(
        &self,
        name: &Next,
        curve: Curve,
    ) -> Result<Vec<(DidUrl, PublicKey)>, Refused> {
        let document = self.need_document(name.did())?;
        let all = document.recipients_on(curve).into_iter();
        Ok(all
            .filter(|(kid, _)| name.names(kid))
            .map(|(kid, key)| (named(name, &kid), key))
            .collect())
    }

    fn add_secret(&mut self, secret: &Value) -> Result<(), Refused> {
        let wrong = |text: &str| Refused::new(MALFORMED, text);
        let jwk = secret.as_object().ok_or_else(|| wrong("a secret is not an object"))?;
        let kid =
            jwk.get("kid").and_then(Value::as_str).ok_or_else(|| wrong("a secret has no kid"))?;
        let kid = DidUrl::parse(kid).ok().filter(|kid| kid.fragment().is_some());
        let kid = kid.ok_or_else(|| wrong("the kid of a secret is not a DID and a fragment"))?;
        let refuse = |error: KeyError| Refused::new(KEY, format!("the secret {kid}: {error}"));
        let mut public = jwk.clone();
        public.remove("d");
        let curve = match PublicKey::from_jwk(&public) {
            Ok(key) => key.curve(),
            Err(KeyError::Unsupported) => return Ok(()),
            Err(error) => return Err(refuse(error)),
        };
        // A key on P-256 can be both.
        if curve.is_signing() {
            self.signing.insert(kid.clone(), SigningKey::from_jwk(jwk).map_err(refuse)?);
        }
        if curve.is_agreement() {
            let key = AgreementKey::from_jwk(jwk).map_err(refuse)?;
            self.agreement.insert(kid, key);
        }
        Ok(())
    }
}

/// Reads what people keep in a file: an array, a JWK set, or one key or document.
pub(super) fn list_of(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove("keys") {
            Some(Value::Array(items)) => items,
            _ => vec![Value::Object(object)],
        },
        other => vec![other],
    }
}

fn read_document(value: &Value) -> Result<DidDocument, Refused> {
    let refuse = |why: &str| Refused::new(MALFORMED, format!("a document in dids: {why}"));
    let id = value.get("id").and_then(Value::as_str).ok_or_else(|| refuse("it has no id"))?;
    let did = Did::parse(id).map_err(|error| refuse(&error.to_string()))?;
    DidDocument::parse(value.to_string().as_bytes(), &did)
        .map_err(|error| refuse(&error.to_string()))
}

/// Finds a secret by its id; the two forms of one did:peer:4 are one DID.
fn secret<'a, T>(secrets: &'a HashMap<DidUrl, T>, kid: &DidUrl) -> Option<&'a T> {
    secrets.get(kid).or_else(|| {
        let same = |known: &DidUrl| {
            known.fragment() == kid.fragment() && known.did().same_subject(kid.did())
        };
        secrets.iter().find(|(known, _)| same(known)).map(|(_, key)| key)
    })
}

/// Spells the id of a key as the request spells the DID.
fn named(name: &Next, kid: &DidUrl) -> DidUrl {
    match name {
        Next::Key(asked) => asked.clone(),
        Next::Did(did) => kid.fragment().map_or_else(|| kid.clone(), |fragment| did.url(fragment)),
    }
}

/// Reads an object out of a file or request.
pub(super) fn object(value: &Value, what: &str) -> Result<Map<String, Value>, Refused> {
    value
        .as_object()
        .cloned()
        .ok_or_else(|| Refused::new(MALFORMED, format!("{what} is not an object")))
}
