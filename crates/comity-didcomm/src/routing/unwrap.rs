//! [`open_forwarded`]: opens an envelope and, when a mediator has wrapped it again for us, what is
//! inside (DIDComm v2.1, section "Rewrapping").
//!
//! For recipients. A mediator opens the forward alone and sends the payload on.

use std::sync::Arc;

use super::Forward;
use crate::did::{Did, DidUrl};
use crate::document::DidDocument;
use crate::envelope::Layer;
use crate::key::AgreementKey;
use crate::limits::REWRAPPINGS_MAX;
use crate::open::{OpenError, OpenPolicy, Opened, Opening, open};
use crate::time::UnixTime;

/// Holds a message, and how it came.
#[derive(Debug)]
#[non_exhaustive]
pub struct Forwarded {
    /// The innermost message that is ours. It may itself be a forward, to somebody else.
    pub opened: Opened,
    /// How many forwards to ourselves were taken off.
    pub rewrappings: usize,
}

impl Forward {
    /// Returns the one payload if it is an envelope for a key of ours and `next` says so too: the
    /// forward was made by a mediator that wrapped our message again. `None`: the forward asks us
    /// to be a mediator.
    #[must_use]
    pub fn rewrapped(&self, is_ours: &dyn Fn(&DidUrl) -> bool) -> Option<&[u8]> {
        let [payload] = self.payloads.as_slice() else { return None };
        // No clock is read before a plaintext is.
        let outline =
            Opening::new(payload, &OpenPolicy::default(), UnixTime::default()).ok()?.outline();
        let encrypted = matches!(outline.layer, Some(Layer::Anoncrypt | Layer::Authcrypt));
        let ours = |kid: &DidUrl| self.next.names(kid) && is_ours(kid);
        (encrypted && outline.recipients.iter().any(ours)).then_some(payload)
    }
}

/// Opens an envelope, and on through forwards to ourselves.
///
/// A forward to anybody else is returned as the message that it is, and so is one that breaks the
/// rules of forwards: [`Forward::from_message`] says how.
///
/// # Errors
/// When the envelope, or one inside a forward to us, is refused; with [`OpenError::Envelope`] when
/// forwards to us are nested deeper than [`REWRAPPINGS_MAX`].
pub fn open_forwarded(
    envelope: &[u8],
    policy: &OpenPolicy,
    now: UnixTime,
    keys: &dyn Fn(&DidUrl) -> Option<AgreementKey>,
    documents: &dyn Fn(&Did) -> Option<Arc<DidDocument>>,
) -> Result<Forwarded, OpenError> {
    let mut opened = open(envelope, policy, now, keys, documents)?;
    for rewrappings in 0..=REWRAPPINGS_MAX {
        let forward = Forward::from_message(&opened.message).ok();
        let payload = forward
            .and_then(|forward| forward.rewrapped(&|kid| keys(kid).is_some()).map(<[u8]>::to_vec));
        let Some(payload) = payload else { return Ok(Forwarded { opened, rewrappings }) };
        if rewrappings < REWRAPPINGS_MAX {
            opened = open(&payload, policy, now, keys, documents)?;
        }
    }
    Err(OpenError::Envelope)
}
