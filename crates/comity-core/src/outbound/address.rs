//! Step 1: where it goes and to which keys, from the recipient's document.

use comity_didcomm::{Curve, Did, DidDocument, DidUrl, PublicKey};

use super::{Accountability, Residence, Submission, Unsendable};

/// A submission whose recipient has keys and an address.
#[derive(Debug)]
pub struct Addressed {
    pub(super) submission: Submission,
    pub(super) keys: Vec<(DidUrl, PublicKey)>,
    pub(super) uri: Option<String>,
    pub(super) homes: Vec<Did>,
}

pub(super) fn address(
    submission: Submission,
    document: &DidDocument,
    residence: Residence,
) -> Result<Addressed, Unsendable> {
    let keys = match submission.accountability {
        Accountability::Accountable => document.choose_recipients(&Curve::AGREEMENT),
        // Sealed with the agent's own agreement key too, which is X25519.
        Accountability::Deniable => document.choose_recipients(&[Curve::X25519]),
    };
    if keys.is_empty() {
        return Err(Unsendable::NoRecipientKey);
    }
    let uri = match residence {
        Residence::Here => None,
        Residence::Elsewhere => Some(direct_endpoint(document).ok_or(Unsendable::NoEndpoint)?),
    };
    Ok(Addressed { submission, keys, uri, homes: document.controller.clone() })
}

/// Picks the first endpoint that can be posted to without a mediator in between (DIDComm v2.1,
/// "Service Endpoint": order is preference).
fn direct_endpoint(document: &DidDocument) -> Option<String> {
    document
        .didcomm_endpoints()
        .into_iter()
        .filter(|endpoint| endpoint.routing_keys.is_empty())
        .find(|endpoint| {
            endpoint.uri.starts_with("https://") || endpoint.uri.starts_with("http://")
        })
        .map(|endpoint| endpoint.uri)
}
