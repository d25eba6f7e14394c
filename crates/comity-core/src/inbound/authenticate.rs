//! Step 2: who is it, really. Decrypts, verifies and makes every receiver check of DIDComm v2.1 by
//! one `Opening` of `comity-didcomm`.

use std::sync::Arc;

use comity_didcomm::routing::Forward;
use comity_didcomm::{
    AgreementKey, Did, DidDocument, DidUrl, Input as OpenInput, OpenError, Opened,
    Output as OpenOutput, ReturnRoute, Sender,
};

use super::{Accepted, Output};
use crate::limits::EXPIRES_S_MAX;
use crate::protocol::is_for_home;
use crate::record::digest_text;
use crate::refusal::Refusal;
use crate::relay::{self, Route, Served};
use crate::trust::{Prior, Question, Scrutiny, Shown, WayIn, pinned_keys, subject};

/// A message whose sender is proven and which is addressed to an identity of this home.
#[derive(Debug)]
pub struct Authenticated {
    pub(super) opened: Opened,
    pub(super) sender: Sender,
    pub(super) document: Arc<DidDocument>,
    pub(super) recipient: Did,
    pub(super) envelope: Vec<u8>,
    pub(super) way_in: WayIn,
    /// What the sender has shown, once it was looked at.
    pub(super) shown: Option<Shown>,
    pub(super) work: Option<String>,
}

impl Authenticated {
    /// Returns the question that the recipient's policy has to answer.
    #[must_use]
    pub fn question(&self) -> Question {
        let message = &self.opened.message;
        let mut threads = vec![message.thread_id().to_owned()];
        threads.extend(message.pthid.clone());
        Question {
            recipient: self.recipient.clone(),
            sender: subject(self.sender.did()),
            protocol: message.type_.protocol().clone(),
            threads,
            way_in: self.way_in,
            size_bytes: self.envelope.len(),
            keys: pinned_keys(&self.document),
            is_for_home: is_for_home(&message.type_),
            shown: self.shown.clone().unwrap_or_default(),
            scrutiny: match self.shown {
                Some(_) => Scrutiny::Thorough,
                None => Scrutiny::Quick,
            },
            prior: self.prior(),
        }
    }

    /// Returns who the sender was before.
    pub(super) fn prior(&self) -> Option<Prior> {
        Prior::of(self.opened.rotation()?, self.sender.did())
    }
}

pub(super) enum Poll {
    /// A forward to the home: whether its payload is held is decided at the relay's door.
    Forward(Box<Route>),
    Needs(Output),
    Ready(Box<Authenticated>),
    /// A forward to the very recipient of its payload, which a mediator put around it.
    Rewrapped(Vec<u8>),
    /// A request to the home itself.
    Request(Box<Served>),
}

pub(super) fn poll(accepted: &mut Accepted, home: &Did) -> Result<Poll, Refusal> {
    let opened = match accepted.opening.poll_output().map_err(|error| refusal_of(&error))? {
        OpenOutput::Keys(kids) => return Ok(Poll::Needs(Output::Keys(kids))),
        OpenOutput::Resolve(did) => return Ok(Poll::Needs(Output::Resolve(did))),
        OpenOutput::Done(opened) => *opened,
        // A question of a newer version of the library, which nothing here could answer.
        _ => return Err(Refusal::Malformed),
    };
    // Older than the memory of repeats: it may be a repeat of what was forgotten.
    let created = opened.message.created_time;
    if created.is_some_and(|created| created.saturating_add(EXPIRES_S_MAX) < accepted.now) {
        return Err(Refusal::Expired);
    }
    let recipient = opened.recipient_kid().ok_or(Refusal::Unencrypted)?.did().clone();
    let is_home = recipient.same_subject(home);
    if Forward::is_forward(&opened.message) {
        // It has no sender, and needs none: what it asks for is decided by whom it is for.
        let forward = Forward::from_message(&opened.message).map_err(relay::refusal_of)?;
        let route = Route::new(forward)?;
        return match route.next().did().same_subject(&recipient) {
            true if !is_home => Ok(Poll::Rewrapped(route.into_payload())),
            _ if is_home => Ok(Poll::Forward(Box::new(route))),
            _ => Err(Refusal::NotRegistered),
        };
    }
    let sender = opened.sender().cloned().ok_or(Refusal::Unauthenticated)?;
    let document = opened.sender_document().cloned().ok_or(Refusal::Unauthenticated)?;
    if is_home && relay::is_served(&opened.message.type_) {
        return Ok(Poll::Request(Box::new(request(&opened, &sender, document))));
    }
    Ok(Poll::Ready(Box::new(Authenticated {
        recipient: subject(&recipient),
        envelope: std::mem::take(&mut accepted.envelope),
        way_in: accepted.way_in,
        shown: None,
        work: accepted.work.take(),
        opened,
        sender,
        document,
    })))
}

fn request(opened: &Opened, sender: &Sender, document: Arc<DidDocument>) -> Served {
    let message = &opened.message;
    Served {
        request: relay::parse(message),
        sender: sender.did().clone(),
        document,
        id: message.id.as_str().to_owned(),
        thid: message.thread_id().to_owned(),
        pthid: message.pthid.clone(),
        return_route: message.return_route.unwrap_or(ReturnRoute::None),
        digest: digest_text(opened.plaintext()),
        expires: message.expires_time,
    }
}

pub(super) fn keys(accepted: &mut Accepted, keys: Vec<(DidUrl, AgreementKey)>) {
    accepted.opening.handle_input(OpenInput::Keys(keys));
}

pub(super) fn document(accepted: &mut Accepted, document: Arc<DidDocument>) {
    accepted.opening.handle_input(OpenInput::Document(document));
}

pub(super) fn unresolvable(accepted: &mut Accepted, did: Did) {
    accepted.opening.handle_input(OpenInput::Unresolvable(did));
}

/// Maps what an envelope is refused for to what the peer is told.
pub(super) fn refusal_of(error: &OpenError) -> Refusal {
    Refusal::from_code(error.code()).unwrap_or(Refusal::Malformed)
}
