//! How much memory a document takes, roughly: the cache is bounded by it, since a host that we do
//! not know chooses what is in its document.

use comity_didcomm::DidDocument;
use quick_cache::Weighter;
use serde_json::{Map, Value};

use super::{Did, Known};

/// Weighs entries by the memory they use.
#[derive(Clone)]
pub(super) struct ByBytes;

const ENTRY_BYTES: usize = 512;
/// An id or other text with what holds it.
const TEXT_BYTES: usize = 64;
const METHOD_BYTES: usize = 384;
const VALUE_BYTES: usize = 32;
/// A node of a map, which is at least half full, and how many members that is.
const MAP_NODE_BYTES: usize = 640;
const MAP_NODE_MEMBERS: usize = 5;

impl Weighter<Did, Known> for ByBytes {
    fn weight(&self, did: &Did, known: &Known) -> u64 {
        (ENTRY_BYTES + did.as_str().len() + known.bytes) as u64
    }
}

impl Weighter<Did, Did> for ByBytes {
    fn weight(&self, short: &Did, long: &Did) -> u64 {
        (ENTRY_BYTES + short.as_str().len() + long.as_str().len()) as u64
    }
}

/// Estimates what a document takes. Its text says little of it: an object of one short member is a
/// few bytes long and takes hundreds.
pub(super) fn of(document: &DidDocument) -> usize {
    let text = |text: &str| TEXT_BYTES + text.len();
    let methods = document.verification_method.iter().map(|method| {
        METHOD_BYTES
            + method.id.as_str().len()
            + method.controller.as_str().len()
            + members(&method.other)
    });
    let services = document.service.iter().map(|service| {
        text(&service.id)
            + service.types.iter().map(|one| text(one)).sum::<usize>()
            + value(&service.service_endpoint)
            + members(&service.other)
    });
    let uses = [&document.authentication, &document.assertion_method, &document.key_agreement];
    let uses = uses.into_iter().flatten().map(|kid| text(kid.as_str()));
    let names = document.also_known_as.iter().map(|name| text(name));
    let controllers = document.controller.iter().map(|did| text(did.as_str()));
    methods.sum::<usize>()
        + services.sum::<usize>()
        + uses.chain(names).chain(controllers).sum::<usize>()
}

/// The depth is bounded by the reader of documents.
fn value(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(self::value).sum(),
        Value::Object(object) => members(object),
    };
    VALUE_BYTES + inside
}

fn members(object: &Map<String, Value>) -> usize {
    let nodes = object.len().div_ceil(MAP_NODE_MEMBERS) * MAP_NODE_BYTES;
    nodes + object.iter().map(|(name, inside)| name.len() + value(inside)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use comity_didcomm::limits::WEBVH_LOG_BYTES_MAX;

    use super::*;
    use crate::limits::{DOCUMENT_CACHE_BYTES_MAX, DOCUMENT_CACHE_PARTS};

    fn document(endpoint: &str) -> (usize, usize) {
        let did: Did = "did:web:a.example".parse().unwrap();
        let text = format!(
            r##"{{"id":"{did}","service":[{{"id":"#a","type":"X","serviceEndpoint":{endpoint}}}]}}"##
        );
        let document = DidDocument::parse(text.as_bytes(), &did).unwrap();
        (text.len(), of(&document))
    }

    #[test]
    fn a_document_weighs_what_it_takes() {
        // Counted as twice its text, 250 such documents of 60 KiB filled a gigabyte.
        let small = vec![r#"{"a":0}"#; 7000].join(",");
        let (length, weight) = document(&format!("[{small}]"));
        assert!(length < 60_000 && 60 * length < weight, "{length} bytes weigh {weight}");
        let part = DOCUMENT_CACHE_BYTES_MAX / DOCUMENT_CACHE_PARTS as u64;
        let heaviest = weight.max(2 * WEBVH_LOG_BYTES_MAX) as u64;
        assert!(heaviest * 5 / 4 < part, "it has to fit into a part of the cache");
        let (length, weight) = document(&format!(r#""{}""#, "x".repeat(50_000)));
        assert!(length <= weight && weight < 2 * length, "{length} bytes weigh {weight}");
    }
}
