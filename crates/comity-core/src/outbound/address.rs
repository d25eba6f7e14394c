//! Step 1: where it goes and to which keys, from the recipient's document and, when the way leads
//! through mediators, from theirs (DIDComm v2.1, "Service Endpoint" and Routing 2.0).
//!
//! The order of endpoints is the recipient's preference and is kept: the first that can be used is
//! taken, direct or not. Endpoints further down that lead the same way are tried when that one does
//! not answer; one that leads another way would need another envelope, and is not.

use std::sync::Arc;

use comity_didcomm::routing::{Route, RouteError};
use comity_didcomm::{Curve, Did, DidDocument, DidUrl, PublicKey};

use super::{Accountability, Residence, Submission, Unsendable};
use crate::limits::{ENDPOINTS_TRIED_MAX, MEDIATORS_ASKED_MAX};

/// A submission whose recipient has keys and an address.
#[derive(Debug)]
pub struct Addressed {
    pub(super) submission: Submission,
    pub(super) keys: Vec<(DidUrl, PublicKey)>,
    pub(super) way: Way,
    pub(super) homes: Vec<Did>,
}

/// How an envelope gets to its recipient.
#[derive(Debug)]
pub(super) enum Way {
    /// The recipient lives in this home.
    Here,
    /// To an address, wrapped for the mediators in between, if there are any.
    Out {
        route: Box<Route>,
        /// Further addresses of the same way.
        also: Vec<String>,
    },
}

/// A submission for which documents are being gathered.
pub(super) struct Addressing {
    submission: Submission,
    recipient: Option<(Arc<DidDocument>, Residence)>,
    /// Mediators that were asked for; those that cannot be had stay unknown.
    mediators: Vec<(Did, Option<Arc<DidDocument>>)>,
    /// Whose document is needed next.
    pub(super) asks: Did,
}

/// How far addressing has come.
pub(super) enum Progress {
    Addressed(Addressed),
    Asks(Addressing),
}

enum Obstacle {
    Needs(Did),
    Final(Unsendable),
}

impl Addressing {
    pub(super) fn new(submission: Submission) -> Self {
        let asks = submission.to.clone();
        Self { submission, recipient: None, mediators: Vec::new(), asks }
    }

    /// Takes the document that was asked for, or that it cannot be had.
    pub(super) fn answer(
        mut self,
        document: Option<(Arc<DidDocument>, Residence)>,
    ) -> Result<Progress, Unsendable> {
        if self.recipient.is_some() {
            let document = document.map(|(document, _)| document);
            self.mediators.push((self.asks.clone(), document));
        } else {
            self.recipient = Some(document.ok_or(Unsendable::Unresolvable)?);
        }
        let Some((document, residence)) = &self.recipient else {
            return Err(Unsendable::Unresolvable);
        };
        let keys = match self.submission.accountability {
            Accountability::Accountable => document.choose_recipients(&Curve::AGREEMENT),
            // Sealed with the agent's own agreement key too, which is X25519.
            Accountability::Deniable => document.choose_recipients(&[Curve::X25519]),
        };
        if keys.is_empty() {
            return Err(Unsendable::NoRecipientKey);
        }
        let way = match residence {
            Residence::Here => Ok(Way::Here),
            Residence::Elsewhere => self.find_way(document),
        };
        match way {
            Ok(way) => {
                let homes = document.controller.clone();
                let submission = self.submission;
                Ok(Progress::Addressed(Addressed { submission, keys, way, homes }))
            }
            Err(Obstacle::Needs(mediator)) => {
                self.asks = mediator;
                Ok(Progress::Asks(self))
            }
            Err(Obstacle::Final(reason)) => Err(reason),
        }
    }

    /// Lays out the way by the first endpoint that can be used.
    fn find_way(&self, document: &DidDocument) -> Result<Way, Obstacle> {
        let endpoints = document.didcomm_endpoints();
        let mut routes = endpoints.iter().map(|endpoint| {
            Route::new(&self.submission.to, endpoint, &is_posted_to, &|did| self.mediator(did))
        });
        let mut unresolved = false;
        let first = loop {
            match routes.next() {
                Some(Ok(route)) => break route,
                Some(Err(RouteError::Unresolved(did))) if self.may_ask(&did) => {
                    return Err(Obstacle::Needs(did));
                }
                Some(Err(reason)) => unresolved |= matches!(reason, RouteError::Unresolved(_)),
                None if unresolved => return Err(Obstacle::Final(Unsendable::Unresolvable)),
                None => return Err(Obstacle::Final(Unsendable::NoEndpoint)),
            }
        };
        let also = routes
            .flatten()
            .filter(|route| route.hops == first.hops && route.uri != first.uri)
            .map(|route| route.uri)
            .take(ENDPOINTS_TRIED_MAX - 1)
            .collect();
        Ok(Way::Out { route: Box::new(first), also })
    }

    fn mediator(&self, did: &Did) -> Option<Arc<DidDocument>> {
        self.mediators.iter().find(|(known, _)| known == did)?.1.clone()
    }

    fn may_ask(&self, did: &Did) -> bool {
        let is_known = self.mediators.iter().any(|(known, _)| known == did);
        !is_known && self.mediators.len() < MEDIATORS_ASKED_MAX
    }
}

fn is_posted_to(uri: &str) -> bool {
    uri.starts_with("https://") || uri.starts_with("http://")
}

#[cfg(test)]
mod tests;
