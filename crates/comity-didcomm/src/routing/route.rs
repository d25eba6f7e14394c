//! [`Route`]: the way from a sender to a recipient that one service endpoint describes (DIDComm
//! v2.1, sections "Service Endpoint" and "Sender Process to Enable Forwarding").
//!
//! Documents are asked for, not fetched, and only those that the endpoint names: a mediator whose
//! own endpoint is again a DID is refused, so no chain of documents can be laid out for us.

use std::sync::Arc;

use thiserror::Error;

use super::Next;
use crate::did::{Did, DidUrl, resolve_self_contained};
use crate::document::{DidDocument, Endpoint};
use crate::envelope::ENCRYPTED_TYPE;
use crate::key::{Curve, PublicKey};
use crate::limits::ROUTE_HOPS_MAX;

/// Says why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A mediator's own endpoint is a DID again.
    #[error("the mediator's endpoint is again a DID")]
    Indirection,
    /// A mediator's document has no endpoint that fits.
    #[error("the mediator has no endpoint that can be used")]
    NoEndpoint,
    /// The endpoint takes other versions of DIDComm only.
    #[error("the endpoint does not accept DIDComm v2")]
    Profile,
    /// A routing key is not in its document, or none of its keys can be encrypted to.
    #[error("a routing key cannot be encrypted to")]
    RoutingKey,
    /// The route has more mediators than are taken.
    #[error("the endpoint has too many routing keys")]
    TooLong,
    /// The document of this DID is needed. Get it and ask again.
    #[error("the document of a mediator is needed")]
    Unresolved(Did),
    /// The endpoint is not a URI of a kind that the caller takes.
    #[error("the kind of endpoint is not supported")]
    Uri,
}

/// Holds one mediator of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// What the mediator before it is told as `next`.
    pub name: Next,
    /// The keys to encrypt to; all are the mediator's, and of one curve.
    pub keys: Vec<(DidUrl, PublicKey)>,
}

/// Holds the way to a recipient: where to post, and the mediators in the order from sender to
/// recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Whom the innermost forward names.
    pub recipient: Did,
    /// Where the outermost envelope goes.
    pub uri: String,
    /// The mediators.
    pub hops: Vec<Hop>,
}

impl Route {
    /// Lays out the way that an endpoint describes, taking URIs that `takes` says can be posted to.
    ///
    /// Routing keys may be ids of keys or DIDs. If the endpoint's `uri` is a DID, that mediator's
    /// `keyAgreement` keys come first and the first of its own endpoints that can be used is the
    /// address. Documents of self-contained DIDs are read off; for others `documents` is asked, and
    /// [`RouteError::Unresolved`] names one that is missing.
    ///
    /// # Errors
    /// When the endpoint cannot be used, or a document is missing.
    pub fn new(
        recipient: &Did,
        endpoint: &Endpoint,
        takes: &dyn Fn(&str) -> bool,
        documents: &dyn Fn(&Did) -> Option<Arc<DidDocument>>,
    ) -> Result<Self, RouteError> {
        if !accepts_v2(endpoint) {
            return Err(RouteError::Profile);
        }
        let mut names: Vec<Next> = Vec::new();
        let uri = if endpoint.uri.starts_with("did:") {
            let mediator = Did::parse(&endpoint.uri).map_err(|_| RouteError::Uri)?;
            let own = mediator_endpoint(&*document(&mediator, documents)?, takes)?;
            append(&mut names, &own.routing_keys)?;
            names.push(Next::Did(mediator));
            own.uri
        } else if takes(&endpoint.uri) {
            endpoint.uri.clone()
        } else {
            return Err(RouteError::Uri);
        };
        append(&mut names, &endpoint.routing_keys)?;
        if ROUTE_HOPS_MAX < names.len() {
            return Err(RouteError::TooLong);
        }
        let hops = names
            .into_iter()
            .map(|name| {
                let keys = keys(&name, &*document(name.did(), documents)?)?;
                Ok(Hop { name, keys })
            })
            .collect::<Result<_, RouteError>>()?;
        Ok(Self { recipient: recipient.clone(), uri, hops })
    }
}

fn append(names: &mut Vec<Next>, routing_keys: &[String]) -> Result<(), RouteError> {
    // Before any text is read, so that a long list costs nothing.
    if ROUTE_HOPS_MAX < routing_keys.len() {
        return Err(RouteError::TooLong);
    }
    for text in routing_keys {
        names.push(Next::parse(text).map_err(|_| RouteError::RoutingKey)?);
    }
    Ok(())
}

/// Picks the mediator's first endpoint that can be posted to. One indirection is allowed, and it is
/// used up.
fn mediator_endpoint(
    document: &DidDocument,
    takes: &dyn Fn(&str) -> bool,
) -> Result<Endpoint, RouteError> {
    let endpoints = document.didcomm_endpoints();
    let is_did = |endpoint: &Endpoint| endpoint.uri.starts_with("did:");
    if !endpoints.is_empty() && endpoints.iter().all(is_did) {
        return Err(RouteError::Indirection);
    }
    endpoints
        .into_iter()
        .find(|endpoint| !is_did(endpoint) && accepts_v2(endpoint) && takes(&endpoint.uri))
        .ok_or(RouteError::NoEndpoint)
}

/// Whether an endpoint takes what this crate makes; it need not say so (section "Negotiating
/// Compatibility"). Some list media types where profiles belong.
fn accepts_v2(endpoint: &Endpoint) -> bool {
    let takes = |profile: &String| profile == PROFILE || profile == ENCRYPTED_TYPE;
    endpoint.accept.is_empty() || endpoint.accept.iter().any(takes)
}

fn document(
    did: &Did,
    documents: &dyn Fn(&Did) -> Option<Arc<DidDocument>>,
) -> Result<Arc<DidDocument>, RouteError> {
    if let Some(known) = documents(did).filter(|known| known.id.same_subject(did)) {
        return Ok(known);
    }
    match resolve_self_contained(did) {
        Ok(Some(document)) => Ok(Arc::new(document)),
        Ok(None) => Err(RouteError::Unresolved(did.clone())),
        Err(_) => Err(RouteError::RoutingKey),
    }
}

/// The key that is named, or all keys of one curve of a party that is named.
fn keys(name: &Next, document: &DidDocument) -> Result<Vec<(DidUrl, PublicKey)>, RouteError> {
    let keys = match name {
        Next::Key(kid) => {
            document.agreement_key(kid).map(|key| (kid.clone(), *key)).into_iter().collect()
        }
        Next::Did(_) => document.choose_recipients(&Curve::AGREEMENT),
    };
    if keys.is_empty() { Err(RouteError::RoutingKey) } else { Ok(keys) }
}

/// The profile of DIDComm v2, as `accept` has it.
const PROFILE: &str = "didcomm/v2";
