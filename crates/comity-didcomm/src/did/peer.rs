//! did:peer (DIF peer DID method specification), methods 2 and 4: the DID carries its document.
//!
//! Method 4 has a long form, which carries the document, and a short form, which is the hash of it: a peer that has
//! seen the long form once can be addressed by the short one. Methods 0, 1 and 3 are not supported.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use serde_json::{Map, Value, json};

use crate::did::{Did, DidError};
use crate::document::{DidDocument, DocumentError, Endpoint, Service, VerificationMethod};
use crate::encoding;
use crate::json::{Json, Object, Tree};
use crate::key::PublicKey;
use crate::limits::{DID_BYTES_MAX, SERVICES_MAX, VERIFICATION_METHODS_MAX};

/// Multicodec `json` (0x0200) as a varint.
const JSON_CODEC: [u8; 2] = [0x80, 0x04];
/// Multihash prefix of SHA2-256: its code and its length.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// Represents the two forms of one did:peer:4.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerDid {
    /// Carries the document; sent in the first message.
    pub long: Did,
    /// The hash of the long form; used once the peer has seen that.
    pub short: Did,
}

/// Creates a did:peer:4 with these keys (`#key-1`, `#key-2`, ... in this order; each with the uses of its kind) and
/// these endpoints (`#service`, `#service-1`, ...).
///
/// # Errors
/// When the long form would be longer than this crate takes.
pub fn create_4(keys: &[PublicKey], endpoints: &[Endpoint]) -> Result<PeerDid, DidError> {
    create_4_from(&input_document(keys, endpoints))
}

/// Creates a did:peer:4 from an input document: one without `id`, whose own ids and references are relative.
///
/// # Errors
/// When the document is not such, or too long.
pub fn create_4_from(input: &Map<String, Value>) -> Result<PeerDid, DidError> {
    let text = serde_json::to_vec(input).map_err(|_| DidError::Method)?;
    let mut bytes = JSON_CODEC.to_vec();
    bytes.extend_from_slice(&text);
    // Base58 takes quadratic time, so the length is looked at before.
    if DID_BYTES_MAX < bytes.len() {
        return Err(DidError::TooLong);
    }
    let encoded = encoding::multibase(&bytes);
    let short = format!("did:peer:4{}", hash(&encoded));
    let long = Did::parse(&format!("{short}:{encoded}"))?;
    // What was made must be readable, otherwise nobody could answer.
    resolve_4(&long)?;
    Ok(PeerDid { short: Did::parse(&short)?, long })
}

/// Returns the short form of a long did:peer:4. `None` for any other DID, and when the hash does not belong
/// to the document.
#[must_use]
pub fn long_to_short(did: &Did) -> Option<Did> {
    let (hash_text, encoded) = long_parts(did)?;
    verify_slices_are_equal(hash(encoded).as_bytes(), hash_text.as_bytes()).ok()?;
    Did::parse(did.as_str().get(..did.as_str().len() - encoded.len() - 1)?).ok()
}

/// Resolves the short form of a did:peer:4 whose long form is known.
///
/// # Errors
/// When the argument is not a valid long form.
pub fn resolve_short(long: &Did) -> Result<DidDocument, DidError> {
    let short = long_to_short(long).ok_or(DidError::Method)?;
    let document = decode_4(long)?;
    contextualise(&document, &short, long)
}

/// Creates a did:peer:2: signing keys first, then agreement keys, then one service for each endpoint.
///
/// # Errors
/// When the DID would be longer than this crate takes, or a key is in the wrong list.
pub fn create_2(
    signing: &[PublicKey],
    agreement: &[PublicKey],
    endpoints: &[Endpoint],
) -> Result<Did, DidError> {
    if !signing.iter().all(PublicKey::is_signing) || !agreement.iter().all(PublicKey::is_agreement)
    {
        return Err(DidError::Method);
    }
    let mut text = "did:peer:2".to_owned();
    for (purpose, keys) in [(".V", signing), (".E", agreement)] {
        for key in keys {
            text.push_str(purpose);
            text.push_str(&key.to_multibase());
        }
    }
    for endpoint in endpoints {
        let service = json!({
            "t": "dm",
            "s": { "uri": endpoint.uri, "a": endpoint.accept, "r": endpoint.routing_keys },
        });
        text.push_str(".S");
        encoding::push_base64url(service.to_string(), &mut text);
    }
    let did = Did::parse(&text)?;
    resolve_2(&did)?;
    Ok(did)
}

/// Resolves a did:peer:2 or the long form of a did:peer:4; `None` for the short form.
///
/// # Errors
/// When the DID is another kind of did:peer, or breaks the rules of its method.
pub fn resolve(did: &Did) -> Result<Option<DidDocument>, DidError> {
    if did.method() != "peer" {
        return Err(DidError::Method);
    }
    match did.method_specific_id().as_bytes().first() {
        Some(b'2') => resolve_2(did).map(Some),
        Some(b'4') if did.method_specific_id().contains(':') => resolve_4(did).map(Some),
        Some(b'4') if is_hash(did.method_specific_id().get(1..).unwrap_or_default()) => Ok(None),
        _ => Err(DidError::Method),
    }
}

fn resolve_4(did: &Did) -> Result<DidDocument, DidError> {
    let short = long_to_short(did).ok_or(DidError::Method)?;
    let document = decode_4(did)?;
    contextualise(&document, did, &short)
}

fn decode_4(did: &Did) -> Result<Vec<u8>, DidError> {
    let (_, encoded) = long_parts(did).ok_or(DidError::Method)?;
    let bytes = encoding::from_multibase(encoded).ok_or(DidError::Method)?;
    bytes.strip_prefix(&JSON_CODEC).map(<[u8]>::to_vec).ok_or(DidError::Method)
}

/// Turns an input document into the document of one form of the DID, which also lists the other form.
fn contextualise(input: &[u8], id: &Did, other: &Did) -> Result<DidDocument, DidError> {
    let tree = Tree::read_object(input, DID_BYTES_MAX).map_err(|_| DidError::Method)?;
    let input = tree.object();
    if input.contains("id") {
        return Err(DidError::Method);
    }
    let mut document = DidDocument::from_object(input, id).map_err(|_| DidError::Method)?;
    document.also_known_as.push(other.as_str().to_owned());
    document.bounded().map_err(unreadable)
}

fn resolve_2(did: &Did) -> Result<DidDocument, DidError> {
    let elements = did.method_specific_id().strip_prefix("2.").ok_or(DidError::Method)?;
    let mut document = DidDocument::new(did.clone());
    let mut unnamed_services = 0;
    for element in elements.split('.') {
        let (purpose, value) = element.split_at_checked(1).ok_or(DidError::Method)?;
        if purpose == "S" {
            if SERVICES_MAX <= document.service.len() {
                return Err(DidError::Method);
            }
            document.service.push(service_2(did, value, &mut unnamed_services)?);
            continue;
        }
        if VERIFICATION_METHODS_MAX <= document.verification_method.len() {
            return Err(DidError::Method);
        }
        let key = match PublicKey::from_multibase(value) {
            Ok(key) => Some(key),
            // A key of another kind is no reason not to talk by means of the others.
            Err(crate::key::KeyError::Unsupported) => None,
            Err(_) => return Err(DidError::Method),
        };
        let id = did.url(&format!("key-{}", document.verification_method.len() + 1));
        let method = key.map_or_else(
            || VerificationMethod::unusable(id.clone(), value),
            |key| VerificationMethod::new(id.clone(), key),
        );
        let id = document.add_key(method);
        match purpose {
            "A" => document.assertion_method.push(id),
            "E" => document.key_agreement.push(id),
            "V" => document.authentication.push(id),
            "D" | "I" => {}
            _ => return Err(DidError::Method),
        }
    }
    document.bounded().map_err(unreadable)
}

/// The DID stands in each id of its document, so a long one can have a document that nobody reads.
const fn unreadable(error: DocumentError) -> DidError {
    match error {
        DocumentError::TooLong => DidError::DocumentTooLong,
        _ => DidError::Method,
    }
}

fn service_2(did: &Did, encoded: &str, unnamed: &mut usize) -> Result<Service, DidError> {
    let text = encoding::from_base64url(encoded).ok_or(DidError::Method)?;
    let short = Tree::read_object(&text, DID_BYTES_MAX).map_err(|_| DidError::Method)?;
    let mut long = expand(short.object());
    if let Some(type_ @ Value::String(_)) = long.get_mut("type")
        && type_ == "dm"
    {
        *type_ = json!(Service::DIDCOMM);
    }
    if !long.contains_key("id") {
        let id = if *unnamed == 0 { "#service".to_owned() } else { format!("#service-{unnamed}") };
        *unnamed += 1;
        long.insert("id".to_owned(), json!(id));
    }
    Service::from_map(long, did).ok_or(DidError::Method)
}

/// Replaces the abbreviated names of a did:peer:2 service, at every depth.
fn expand(object: Object<'_>) -> Map<String, Value> {
    fn value(json: Json<'_>) -> Value {
        match json {
            Json::Object(object) => Value::Object(expand(object)),
            Json::Array(items) => Value::Array(items.items().map(value).collect()),
            other => other.to_value(),
        }
    }
    let name = |short: &str| {
        match short {
            "a" => "accept",
            "r" => "routingKeys",
            "s" => "serviceEndpoint",
            "t" => "type",
            other => other,
        }
        .to_owned()
    };
    object.members().map(|(short, json)| (name(short), value(json))).collect()
}

fn input_document(keys: &[PublicKey], endpoints: &[Endpoint]) -> Map<String, Value> {
    let id = |at: usize| format!("#key-{}", at + 1);
    let methods: Vec<Value> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| {
            json!({ "id": id(at), "type": "Multikey", "publicKeyMultibase": key.to_multibase() })
        })
        .collect();
    let ids = |fits: fn(&PublicKey) -> bool| -> Vec<String> {
        keys.iter().enumerate().filter(|(_, key)| fits(key)).map(|(at, _)| id(at)).collect()
    };
    let services: Vec<Value> = endpoints
        .iter()
        .enumerate()
        .map(|(at, endpoint)| {
            let id = if at == 0 { "#service".to_owned() } else { format!("#service-{at}") };
            json!({ "id": id, "type": Service::DIDCOMM, "serviceEndpoint": endpoint.to_json() })
        })
        .collect();
    let mut input = Map::new();
    input.insert("@context".to_owned(), json!(DidDocument::CONTEXT));
    input.insert("verificationMethod".to_owned(), Value::Array(methods));
    input.insert("authentication".to_owned(), json!(ids(PublicKey::is_signing)));
    input.insert("assertionMethod".to_owned(), json!(ids(PublicKey::is_signing)));
    input.insert("keyAgreement".to_owned(), json!(ids(PublicKey::is_agreement)));
    if !services.is_empty() {
        input.insert("service".to_owned(), Value::Array(services));
    }
    input
}

/// Splits a long form into its hash and its encoded document.
fn long_parts(did: &Did) -> Option<(&str, &str)> {
    let (hash, encoded) = did.as_str().strip_prefix("did:peer:4")?.split_once(':')?;
    (is_hash(hash) && encoded.starts_with('z') && !encoded.contains(':')).then_some((hash, encoded))
}

/// Whether the text looks like the multibase multihash of SHA2-256.
fn is_hash(text: &str) -> bool {
    text.len() == 47 && text.starts_with("zQm")
}

fn hash(encoded: &str) -> String {
    let mut bytes = SHA2_256.to_vec();
    bytes.extend_from_slice(digest::digest(&digest::SHA256, encoded.as_bytes()).as_ref());
    encoding::multibase(&bytes)
}

#[cfg(test)]
mod tests;
