//! [`DidDocument`] (W3C DID Core 1.0, section 5): a party's keys and services, as far as DIDComm
//! uses them.
//!
//! Reads the forms of key in use (Multikey, JsonWebKey2020, the suites of Ed25519, X25519, P-256
//! and secp256k1), writes Multikey. Not a JSON-LD processor: contexts are neither fetched nor
//! interpreted.

mod parse;
mod service;

use serde_json::{Map, Value, json};
use thiserror::Error;

pub use self::service::{Endpoint, Service};
use crate::did::{Did, DidUrl};
use crate::json::JsonError;
use crate::key::{Curve, PublicKey};
use crate::limits::{DOCUMENT_BYTES_MAX, RECIPIENTS_MAX, SERVICES_MAX};

/// Says why a text is not the DID document that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Its `id` is another DID: taking it would let one party answer for another.
    #[error("the document is about another DID")]
    Id,
    /// Not JSON that this crate reads.
    #[error("the document cannot be read: {0}")]
    Json(#[from] JsonError),
    /// JSON, but not the shape of a DID document.
    #[error("the document does not have the shape of a DID document")]
    Shape,
    /// Written out with absolute ids, in each of which the DID stands, it is longer than a document
    /// that is read: it could be used, but not kept.
    #[error("the document is too long when its ids are written out")]
    TooLong,
    /// More keys or services than this crate takes.
    #[error("the document has too many entries")]
    TooMany,
}

/// Describes a DID's keys and services.
///
/// All ids are absolute, whatever the text had; methods that were embedded in a relationship stand
/// in `verification_method`, and the relationship refers to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidDocument {
    /// The DID that the document is about.
    pub id: Did,
    /// Other names of the same subject, as the subject claims them.
    pub also_known_as: Vec<String>,
    /// Who may change the document, when not the subject alone.
    pub controller: Vec<Did>,
    /// The keys.
    pub verification_method: Vec<VerificationMethod>,
    /// Keys that sign messages of the subject.
    pub authentication: Vec<DidUrl>,
    /// Keys that sign statements of the subject.
    pub assertion_method: Vec<DidUrl>,
    /// Keys to encrypt to, and that authcrypt proves.
    pub key_agreement: Vec<DidUrl>,
    /// Where the subject can be reached.
    pub service: Vec<Service>,
}

/// Names what a key of a document is for (W3C DID Core 1.0, section 5.3), as far as signatures go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relationship {
    /// `assertionMethod`: signs statements, such as credentials.
    AssertionMethod,
    /// `authentication`: signs what its subject says and does.
    Authentication,
}

/// Represents one key of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerificationMethod {
    /// The id by which messages name it (`kid`).
    pub id: DidUrl,
    /// The type as the document has it, such as `Multikey`.
    pub type_: String,
    /// Who holds the private key.
    pub controller: Did,
    /// The key, when it is of a kind that this crate can use.
    pub public_key: Option<PublicKey>,
    /// Key material of other kinds, kept as it came.
    pub other: Map<String, Value>,
}

impl VerificationMethod {
    /// Creates a method in Multikey form, controlled by the DID of its id.
    #[must_use]
    pub fn new(id: DidUrl, key: PublicKey) -> Self {
        let controller = id.did().clone();
        Self {
            id,
            type_: "Multikey".to_owned(),
            controller,
            public_key: Some(key),
            other: Map::new(),
        }
    }

    /// Creates a method that holds a key of a kind unknown here.
    pub(crate) fn unusable(id: DidUrl, multibase: &str) -> Self {
        let controller = id.did().clone();
        let mut other = Map::new();
        other.insert("publicKeyMultibase".to_owned(), json!(multibase));
        Self { id, type_: "Multikey".to_owned(), controller, public_key: None, other }
    }

    fn to_json(&self) -> Value {
        let mut object = self.other.clone();
        object.insert("id".to_owned(), json!(self.id));
        object.insert("controller".to_owned(), json!(self.controller));
        if let Some(key) = &self.public_key {
            object.insert("type".to_owned(), json!("Multikey"));
            object.insert("publicKeyMultibase".to_owned(), json!(key.to_multibase()));
        } else {
            object.insert("type".to_owned(), json!(self.type_));
        }
        Value::Object(object)
    }
}

impl DidDocument {
    /// The contexts that [`DidDocument::to_json`] writes.
    pub const CONTEXT: [&'static str; 2] =
        ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];

    /// Creates a document without keys and services.
    #[must_use]
    pub const fn new(id: Did) -> Self {
        Self {
            id,
            also_known_as: Vec::new(),
            controller: Vec::new(),
            verification_method: Vec::new(),
            authentication: Vec::new(),
            assertion_method: Vec::new(),
            key_agreement: Vec::new(),
            service: Vec::new(),
        }
    }

    /// Adds a key without giving it a use, and returns its id for the relationships.
    pub fn add_key(&mut self, method: VerificationMethod) -> DidUrl {
        let id = method.id.clone();
        self.verification_method.push(method);
        id
    }

    /// Returns the keys that may sign for the subject, with their ids, in the document's order.
    pub fn signing_keys(&self) -> impl Iterator<Item = (&DidUrl, &PublicKey)> {
        self.usable(&self.authentication, PublicKey::is_signing)
    }

    /// Returns the keys to encrypt to, with their ids, in the document's order.
    pub fn agreement_keys(&self) -> impl Iterator<Item = (&DidUrl, &PublicKey)> {
        self.usable(&self.key_agreement, PublicKey::is_agreement)
    }

    /// Returns the keys on one curve to encrypt to, in the document's order: the recipients of one
    /// envelope, which must share the curve of its ephemeral key (DIDComm v2.1, "Encryption": as
    /// many of a recipient's keys as practical).
    #[must_use]
    pub fn recipients_on(&self, curve: Curve) -> Vec<(DidUrl, PublicKey)> {
        self.agreement_keys()
            .filter(|(_, key)| key.curve() == curve)
            .take(RECIPIENTS_MAX)
            .map(|(kid, key)| (kid.clone(), *key))
            .collect()
    }

    /// Chooses the recipients of one envelope: the keys on the cheapest curve that the subject
    /// offers and `usable` lists. For anoncrypt every curve is usable ([`Curve::AGREEMENT`]), for
    /// authcrypt those on which the sender has a key of its own document. Empty when there is none
    /// in common.
    ///
    /// ```
    /// # use comity_didcomm::{Curve, Did, did};
    /// let did = Did::parse("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")?;
    /// let document = did::key::resolve(&did)?;
    /// assert_eq!(document.choose_recipients(&Curve::AGREEMENT).len(), 1);
    /// assert!(document.choose_recipients(&[Curve::P384]).is_empty());
    /// # Ok::<(), comity_didcomm::DidError>(())
    /// ```
    #[must_use]
    pub fn choose_recipients(&self, usable: &[Curve]) -> Vec<(DidUrl, PublicKey)> {
        Curve::AGREEMENT
            .into_iter()
            .filter(|curve| usable.contains(curve))
            .map(|curve| self.recipients_on(curve))
            .find(|recipients| !recipients.is_empty())
            .unwrap_or_default()
    }

    /// Returns the key with this id, if it may sign for the subject.
    #[must_use]
    pub fn authentication_key(&self, kid: &DidUrl) -> Option<&PublicKey> {
        self.verification_key(Relationship::Authentication, kid)
    }

    /// Returns the key with this id, if it may sign for the subject and is listed for this use.
    #[must_use]
    pub fn verification_key(&self, relationship: Relationship, kid: &DidUrl) -> Option<&PublicKey> {
        let listed = match relationship {
            Relationship::AssertionMethod => &self.assertion_method,
            Relationship::Authentication => &self.authentication,
        };
        let mut keys = self.usable(listed, PublicKey::is_signing);
        keys.find(|(id, _)| id.same_resource(kid)).map(|(_, key)| key)
    }

    /// Returns the key with this id, if messages of the subject may be sealed with it.
    #[must_use]
    pub fn agreement_key(&self, kid: &DidUrl) -> Option<&PublicKey> {
        self.agreement_keys().find(|(id, _)| id.same_resource(kid)).map(|(_, key)| key)
    }

    /// Returns the endpoints of all `DIDCommMessaging` services, in the document's order, which is
    /// that of preference.
    #[must_use]
    pub fn didcomm_endpoints(&self) -> Vec<Endpoint> {
        service::endpoints(&self.service)
    }

    /// Writes the document, its keys in Multikey form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            if !matches!(&value, Value::Array(items) if items.is_empty()) {
                object.insert(name.to_owned(), value);
            }
        };
        put("@context", json!(Self::CONTEXT));
        put("id", json!(self.id));
        put("alsoKnownAs", json!(self.also_known_as));
        put("controller", json!(self.controller));
        put(
            "verificationMethod",
            self.verification_method.iter().map(VerificationMethod::to_json).collect(),
        );
        put("authentication", json!(self.authentication));
        put("assertionMethod", json!(self.assertion_method));
        put("keyAgreement", json!(self.key_agreement));
        put("service", self.service.iter().map(Service::to_json).collect());
        Value::Object(object)
    }

    /// Checks that what [`to_json`](Self::to_json) writes is read again: documents are kept as text.
    pub(crate) fn bounded(self) -> Result<Self, DocumentError> {
        if SERVICES_MAX < self.also_known_as.len() {
            return Err(DocumentError::TooMany);
        }
        let length = self.to_json().to_string().len();
        if length <= DOCUMENT_BYTES_MAX { Ok(self) } else { Err(DocumentError::TooLong) }
    }

    /// A key counts only if the subject, or a controller that the document names, holds it: a
    /// document cannot lend somebody else's key.
    fn usable<'a>(
        &'a self,
        relationship: &'a [DidUrl],
        fits: fn(&PublicKey) -> bool,
    ) -> impl Iterator<Item = (&'a DidUrl, &'a PublicKey)> {
        relationship.iter().filter_map(move |id| {
            let method = self.verification_method.iter().find(|method| method.id == *id)?;
            let held = method.controller == self.id || self.controller.contains(&method.controller);
            let key = method.public_key.as_ref().filter(|key| held && fits(key))?;
            Some((&method.id, key))
        })
    }
}

#[cfg(test)]
mod tests;
