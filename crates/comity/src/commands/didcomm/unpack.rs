//! Opens an envelope and says what it proves.
//!
//! The checks are those of [`Opening`], all of them but two: a message that is not protected is
//! taken, because the answer says so, and times are judged only if the request says what time it
//! is, because vectors are old.

use std::sync::Arc;

use comity_didcomm::{
    Choice, DidUrl, Input, Layer, OpenError, OpenPolicy, Opened, Opening, Output, SenderProof,
    UnixTime, limits::ROUTE_HOPS_MAX, routing::Forward,
};
use serde::{Deserialize, Serialize};

use super::{keyring::Keyring, refused::Refused};

/// What is to be opened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Unpack {
    pub(super) packed: String,
    pub(super) unwrap_forward: Option<bool>,
    /// The time to judge times by; absent: they are not judged.
    pub(super) now: Option<UnixTime>,
}

/// A message, and how it was protected.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) opened: Opened,
    pub(super) meta: Meta,
}

/// How a message was protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Meta {
    pub(super) encrypted: bool,
    pub(super) authenticated: bool,
    pub(super) non_repudiation: bool,
    pub(super) anonymous_sender: bool,
    pub(super) from_kid: Option<DidUrl>,
    pub(super) to_kids: Vec<DidUrl>,
    pub(super) sign_kid: Option<DidUrl>,
    pub(super) from_prior_kid: Option<DidUrl>,
    pub(super) re_wrapped: bool,
}

/// Opens.
pub(super) fn unpack(request: &Unpack, ring: &Keyring) -> Result<Unpacked, Refused> {
    let (mut opened, mut to_kids) = open(request.packed.as_bytes(), request.now, ring)?;
    let mut re_wrapped = false;
    if request.unwrap_forward == Some(true) {
        let mut left = ROUTE_HOPS_MAX;
        while let Some(payload) = payload_for_us(&opened, ring) {
            left = left.checked_sub(1).ok_or(OpenError::Envelope)?;
            (opened, to_kids) = open(&payload, request.now, ring)?;
            re_wrapped = true;
        }
    }
    let meta = meta(&opened, to_kids, re_wrapped);
    Ok(Unpacked { opened, meta })
}

fn payload_for_us(opened: &Opened, ring: &Keyring) -> Option<Vec<u8>> {
    let forward = Forward::from_message(&opened.message).ok()?;
    forward.rewrapped(&|kid| ring.recipient_key(kid).is_some()).map(<[u8]>::to_vec)
}

/// Opens one envelope; returns also the recipients of its innermost encryption.
fn open(
    envelope: &[u8],
    now: Option<UnixTime>,
    ring: &Keyring,
) -> Result<(Opened, Vec<DidUrl>), OpenError> {
    let mut policy = OpenPolicy::default();
    policy.unprotected = Choice::Accept;
    if now.is_none() {
        policy.clock_skew_secs_max = u64::MAX;
    }
    // At the beginning of time nothing has expired.
    let mut opening = Opening::new(envelope, &policy, now.unwrap_or(UnixTime(0)))?;
    let mut recipients = Vec::new();
    loop {
        let input = match opening.poll_output()? {
            Output::Done(opened) => return Ok((*opened, recipients)),
            Output::Keys(kids) => {
                let own = |kid: &DidUrl| Some((kid.clone(), ring.recipient_key(kid)?));
                let keys = kids.iter().filter_map(own).collect();
                recipients = kids;
                Input::Keys(keys)
            }
            Output::Resolve(did) => match ring.document(&did) {
                Some(document) => Input::Document(Arc::clone(&document)),
                None => Input::Unresolvable(did),
            },
            // Nothing else is asked today; an unanswered question would be asked for ever.
            _ => return Err(OpenError::DidUnresolvable),
        };
        opening.handle_input(input);
    }
}

fn meta(opened: &Opened, to_kids: Vec<DidUrl>, re_wrapped: bool) -> Meta {
    let layers = opened.layers();
    let signer = opened.sender().filter(|sender| sender.proof() == SenderProof::Signature);
    Meta {
        encrypted: layers.iter().any(|layer| matches!(layer, Layer::Anoncrypt | Layer::Authcrypt)),
        authenticated: opened.sender().is_some(),
        non_repudiation: signer.is_some(),
        anonymous_sender: layers.contains(&Layer::Anoncrypt),
        from_kid: opened.sealer_kid().cloned(),
        to_kids,
        sign_kid: signer.map(|sender| sender.kid().clone()),
        from_prior_kid: opened.rotation().map(|rotation| rotation.kid().clone()),
        re_wrapped,
    }
}
