//! Reads DID documents as they are found, with every id made absolute. Unknown members are passed over; a member that
//! is known but misshapen refuses the document, because guessing about keys is worse than not having them.

use serde_json::{Map, Value};

use super::{DidDocument, DocumentError, Service, VerificationMethod};
use crate::did::{Did, DidUrl};
use crate::json::{Array, Json, Object, Tree};
use crate::key::{Curve, PublicKey};
use crate::limits::{DOCUMENT_BYTES_MAX, SERVICES_MAX, VERIFICATION_METHODS_MAX};

impl DidDocument {
    /// Reads the document of `expected_id`.
    ///
    /// # Errors
    /// When the text is not a DID document, is too large, or is about another DID.
    pub fn parse(text: &[u8], expected_id: &Did) -> Result<Self, DocumentError> {
        let tree = Tree::read_object(text, DOCUMENT_BYTES_MAX)?;
        let object = tree.object();
        // A document is believed about the DID that was asked for, and about nothing else.
        if object.get_str("id") != Some(expected_id.as_str()) {
            return Err(DocumentError::Id);
        }
        Self::from_object(object, expected_id)?.bounded()
    }

    /// Reads a document whose `id` is known from elsewhere.
    pub(crate) fn from_object(object: Object<'_>, id: &Did) -> Result<Self, DocumentError> {
        let mut document = Self::new(id.clone());
        if let Some(names) = array(object, "alsoKnownAs")? {
            bounded(names.len(), SERVICES_MAX)?;
            // Names that are no text tell nothing; the rest of the document is still good.
            let texts = names.items().filter_map(Json::as_str);
            document.also_known_as = texts.map(str::to_owned).collect();
        }
        document.controller = match object.get("controller") {
            None => Vec::new(),
            Some(Json::Array(items)) => {
                bounded(items.len(), VERIFICATION_METHODS_MAX)?;
                items.items().map(did).collect::<Result<_, _>>()?
            }
            Some(one) => vec![did(one)?],
        };
        for method in array(object, "verificationMethod")?.into_iter().flat_map(Array::items) {
            let method = read_method(method.as_object().ok_or(DocumentError::Shape)?, id)?;
            add(&mut document, method)?;
        }
        document.authentication = relationship(&mut document, object, "authentication")?;
        document.assertion_method = relationship(&mut document, object, "assertionMethod")?;
        document.key_agreement = relationship(&mut document, object, "keyAgreement")?;
        let services = array(object, "service")?;
        bounded(services.map_or(0, Array::len), SERVICES_MAX)?;
        for service in services.into_iter().flat_map(Array::items) {
            let map = service.as_object().ok_or(DocumentError::Shape)?.to_map();
            document.service.push(Service::from_map(map, id).ok_or(DocumentError::Shape)?);
        }
        Ok(document)
    }
}

/// Reads references and embedded methods; the latter move to `verification_method`.
fn relationship(
    document: &mut DidDocument,
    object: Object<'_>,
    name: &str,
) -> Result<Vec<DidUrl>, DocumentError> {
    let Some(items) = array(object, name)? else { return Ok(Vec::new()) };
    bounded(items.len(), VERIFICATION_METHODS_MAX)?;
    let mut ids = Vec::with_capacity(items.len());
    for item in items.items() {
        let id = match item {
            Json::String(text) => absolute(text, &document.id)?,
            Json::Object(embedded) => {
                let method = read_method(embedded, &document.id)?;
                add(document, method)?
            }
            _ => return Err(DocumentError::Shape),
        };
        ids.push(id);
    }
    Ok(ids)
}

/// Adds a method. One that is embedded in several relationships may stand there again, but not differ.
fn add(document: &mut DidDocument, method: VerificationMethod) -> Result<DidUrl, DocumentError> {
    if let Some(known) = document.verification_method.iter().find(|known| known.id == method.id) {
        return if *known == method { Ok(method.id) } else { Err(DocumentError::Shape) };
    }
    bounded(document.verification_method.len() + 1, VERIFICATION_METHODS_MAX)?;
    Ok(document.add_key(method))
}

fn read_method(object: Object<'_>, did_: &Did) -> Result<VerificationMethod, DocumentError> {
    let id = absolute(object.get_str("id").ok_or(DocumentError::Shape)?, did_)?;
    let type_ = object.get_str("type").ok_or(DocumentError::Shape)?;
    let controller = match object.get("controller") {
        None => did_.clone(),
        Some(one) => did(one)?,
    };
    let public_key = read_key(type_, object);
    let other = if public_key.is_some() { Map::new() } else { material(object) };
    Ok(VerificationMethod { id, type_: type_.to_owned(), controller, public_key, other })
}

/// Reads the key in the one form that its type prescribes. A key that is unknown, malformed or unsafe is not usable;
/// the document stays readable.
fn read_key(type_: &str, object: Object<'_>) -> Option<PublicKey> {
    let multibase = || PublicKey::from_multibase(object.get_str("publicKeyMultibase")?).ok();
    let jwk = || PublicKey::from_jwk_object(object.get("publicKeyJwk")?.as_object()?).ok();
    let base58 =
        |curve: Curve| PublicKey::from_base58(object.get_str("publicKeyBase58")?, curve).ok();
    // A suite for one curve, in whichever form the time of its writing preferred.
    let suite = |curve: Curve| {
        let key = multibase().or_else(jwk).or_else(|| base58(curve));
        key.filter(|key| key.curve() == curve)
    };
    let forms = ["publicKeyMultibase", "publicKeyJwk", "publicKeyBase58"];
    // Two forms could say two things.
    if forms.iter().filter(|form| object.contains(form)).count() != 1 {
        return None;
    }
    match type_ {
        "Multikey" => multibase(),
        "JsonWebKey2020" | "JsonWebKey" => jwk(),
        "Ed25519VerificationKey2018" | "Ed25519VerificationKey2020" => suite(Curve::Ed25519),
        "X25519KeyAgreementKey2019" | "X25519KeyAgreementKey2020" => suite(Curve::X25519),
        "EcdsaSecp256k1VerificationKey2019" => suite(Curve::Secp256k1),
        "EcdsaSecp256r1VerificationKey2019" => suite(Curve::P256),
        _ => None,
    }
}

/// Keeps the material of an unusable key. A key whose private part is there is dropped whole: without that part
/// the next reader would take it for a good one.
fn material(object: Object<'_>) -> Map<String, Value> {
    let mut map = object.to_map();
    for name in ["id", "type", "controller"] {
        map.remove(name);
    }
    map.retain(|name, _| !name.starts_with("privateKey") && !name.starts_with("secretKey"));
    let is_private = |name: &String| PRIVATE_MEMBERS.contains(&name.as_str());
    if map
        .get("publicKeyJwk")
        .and_then(Value::as_object)
        .is_some_and(|jwk| jwk.keys().any(is_private))
    {
        map.remove("publicKeyJwk");
    }
    map
}

/// The members of a JWK that only its holder knows.
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

fn absolute(text: &str, did: &Did) -> Result<DidUrl, DocumentError> {
    let url = if text.starts_with('#') { format!("{did}{text}") } else { text.to_owned() };
    DidUrl::parse(&url).map_err(|_| DocumentError::Shape)
}

fn did(json: Json<'_>) -> Result<Did, DocumentError> {
    json.as_str().and_then(|text| Did::parse(text).ok()).ok_or(DocumentError::Shape)
}

/// Returns a member that must be an array if it is there.
fn array<'t>(object: Object<'t>, name: &str) -> Result<Option<Array<'t>>, DocumentError> {
    object.get(name).map(|json| json.as_array().ok_or(DocumentError::Shape)).transpose()
}

const fn bounded(count: usize, max: usize) -> Result<(), DocumentError> {
    if max < count { Err(DocumentError::TooMany) } else { Ok(()) }
}
