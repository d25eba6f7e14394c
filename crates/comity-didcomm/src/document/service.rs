//! Services of a document, and the DIDComm endpoints among them (DIDComm v2.1, section "Service Endpoint").

use serde_json::{Map, Value, json};

use crate::did::{Did, DidUrl};
use crate::limits::ENDPOINTS_MAX;

/// Represents one service of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Id, absolute when it is a DID URL.
    pub id: String,
    /// Types; DIDComm uses [`Service::DIDCOMM`].
    pub types: Vec<String>,
    /// The endpoint in whatever form it came: text, object, or array of these.
    pub service_endpoint: Value,
    /// Other members, kept as they came.
    pub other: Map<String, Value>,
}

/// Says where and how DIDComm messages for a subject can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// URI to send to, or a DID whose endpoint is used instead.
    pub uri: String,
    /// Profiles that are accepted, such as `didcomm/v2`; empty: not said.
    pub accept: Vec<String>,
    /// Keys of the mediators in the order from sender to recipient.
    pub routing_keys: Vec<String>,
}

impl Service {
    /// The type of a DIDComm v2 service.
    pub const DIDCOMM: &'static str = "DIDCommMessaging";

    /// Creates a DIDComm service with one endpoint.
    #[must_use]
    pub fn didcomm(id: &DidUrl, endpoint: &Endpoint) -> Self {
        Self {
            id: id.as_str().to_owned(),
            types: vec![Self::DIDCOMM.to_owned()],
            service_endpoint: endpoint.to_json(),
            other: Map::new(),
        }
    }

    /// Reads a service; `None` when it lacks what every service has.
    pub(crate) fn from_map(mut map: Map<String, Value>, did: &Did) -> Option<Self> {
        let Some(Value::String(id)) = map.remove("id") else { return None };
        let id = id.strip_prefix('#').map(|fragment| did.url(fragment).to_string()).unwrap_or(id);
        let types = texts(&map.remove("type")?)?;
        let service_endpoint = map.remove("serviceEndpoint")?;
        Some(Self { id, types, service_endpoint, other: map })
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = self.other.clone();
        object.insert("id".to_owned(), json!(self.id));
        let types = match self.types.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        object.insert("type".to_owned(), types);
        object.insert("serviceEndpoint".to_owned(), self.service_endpoint.clone());
        Value::Object(object)
    }
}

impl Endpoint {
    /// Creates an endpoint that takes DIDComm v2 messages without mediators.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), accept: vec!["didcomm/v2".to_owned()], routing_keys: Vec::new() }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("uri".to_owned(), json!(self.uri));
        object.insert("accept".to_owned(), json!(self.accept));
        if !self.routing_keys.is_empty() {
            object.insert("routingKeys".to_owned(), json!(self.routing_keys));
        }
        Value::Object(object)
    }
}

pub(super) fn endpoints(services: &[Service]) -> Vec<Endpoint> {
    services
        .iter()
        .filter(|service| service.types.iter().any(|type_| type_ == Service::DIDCOMM))
        .flat_map(|service| match &service.service_endpoint {
            Value::Array(items) => {
                items.iter().filter_map(|item| endpoint(item, service)).collect()
            }
            one => endpoint(one, service).into_iter().collect::<Vec<_>>(),
        })
        .take(ENDPOINTS_MAX)
        .collect()
}

/// Older documents have a bare URI, with `accept` and `routingKeys` beside it.
fn endpoint(value: &Value, service: &Service) -> Option<Endpoint> {
    let (uri, members) = match value {
        Value::String(uri) => (uri, &service.other),
        Value::Object(members) => (text(members.get("uri")?)?, members),
        _ => return None,
    };
    let list = |name: &str| members.get(name).and_then(texts).unwrap_or_default();
    Some(Endpoint { uri: uri.clone(), accept: list("accept"), routing_keys: list("routingKeys") })
}

const fn text(value: &Value) -> Option<&String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(items) => items.iter().map(|item| text(item).cloned()).collect(),
        _ => None,
    }
}
