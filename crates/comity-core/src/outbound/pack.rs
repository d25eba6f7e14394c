//! Step 3: the letter is written, signed and sealed, and once and for all wrapped for the mediators
//! on its way: what is tried again later are the same bytes.

use comity_didcomm::routing::{Route, wrap_with};
use comity_didcomm::{
    AgreementKey, ContentEncryption, DidUrl, Message, Protection, PublicKey, SealError, SigningKey,
    UnixTime, anoncrypt, seal,
};
use rand_core::CryptoRng;
use serde_json::{Map, Value};

use super::address::Way;
use super::authorize::Passing;
use super::{Accountability, Addressed, Authorized, Unsendable};
use crate::Context;
use crate::limits::RELAYED_ENVELOPE_BYTES_MAX;
use crate::protocol::{ADMISSION_KEY, ADMISSION_SHOWN, RECEIPT_TO};
use crate::record::{OutgoingKind, digest_text};

/// The keys with which a sender of this home speaks.
pub struct SenderKeys {
    /// For signatures, with its key id.
    pub signing: (DidUrl, SigningKey),
    /// For authenticated encryption, with its key id.
    pub agreement: (DidUrl, AgreementKey),
}

/// A sealed message.
#[derive(Debug)]
pub struct Packed {
    pub(super) authorized: Authorized,
    pub(super) thid: String,
    pub(super) envelope: Vec<u8>,
    pub(super) plaintext: Vec<u8>,
    pub(super) signed: Option<String>,
    pub(super) request_digest: String,
}

pub(super) fn pack(
    authorized: Authorized,
    keys: &SenderKeys,
    context: &Context,
    rng: &mut dyn CryptoRng,
) -> Result<Packed, Unsendable> {
    let Addressed { submission, keys: recipients, .. } = &authorized.addressed;
    let mut message = Message::new(submission.id.clone(), submission.type_.clone());
    message.from = Some(submission.from.clone());
    message.to = vec![submission.to.clone()];
    message.thid.clone_from(&submission.thid);
    message.pthid.clone_from(&submission.pthid);
    message.ack.clone_from(&submission.ack);
    message.body = submission.body.clone();
    message.attachments.clone_from(&submission.attachments);
    // What the agent asked for, without what the home adds: the same wish twice is one message.
    let wish = (submission.expires_in_s, submission.accountability == Accountability::Deniable);
    let request_digest =
        digest_text(&[message.to_json(), format!("{wish:?}").into_bytes()].concat());
    message.attachments.extend(authorized.permit.carries.attachments());
    message.created_time = Some(context.now);
    message.expires_time = Some(authorized.permit.expires);
    if submission.kind == OutgoingKind::Message {
        // A home of ours answers with receipts; any other DIDComm peer may honour the standard
        // header.
        message.extra.insert(RECEIPT_TO.to_owned(), Value::from(context.home.as_str()));
        message.please_ack = vec![String::new()];
    }
    let pass = match &authorized.pass {
        Passing::Shows(pass) => Some(pass),
        Passing::Nothing | Passing::Unknown => None,
    };
    if let Some(key) = pass.and_then(|pass| pass.asks(context.now)) {
        message.extra.insert(ADMISSION_KEY.to_owned(), key);
    }
    let protection = match submission.accountability {
        Accountability::Accountable => Protection::Accountable {
            kid: &keys.signing.0,
            key: &keys.signing.1,
            enc: ContentEncryption::A256CbcHs512,
        },
        Accountability::Deniable => {
            Protection::Deniable { kid: &keys.agreement.0, key: &keys.agreement.1 }
        }
    };
    let sealed =
        seal(&message, protection, recipients, rng).map_err(|_| Unsendable::NoSenderKey)?;
    let envelope = match &authorized.addressed.way {
        Way::Out { route, .. } if !route.hops.is_empty() => {
            let letter = match submission.accountability {
                Accountability::Accountable => sealed.envelope,
                Accountability::Deniable => hide_sender(&sealed.envelope, recipients, rng)?,
            };
            let shown =
                pass.and_then(|pass| pass.show(&submission.to, letter.as_bytes(), context.now));
            wrap_for(route, letter, authorized.permit.expires, shown, rng)?
        }
        _ => sealed.envelope,
    };
    Ok(Packed {
        thid: message.thread_id().to_owned(),
        envelope: envelope.into_bytes(),
        plaintext: sealed.plaintext,
        signed: sealed.signed,
        request_digest,
        authorized,
    })
}

/// Closes an envelope that names its sender in its header: the mediators are not told who writes
/// (DIDComm v2.1, "Protecting the Sender Identity").
fn hide_sender(
    envelope: &str,
    recipients: &[(DidUrl, PublicKey)],
    rng: &mut dyn CryptoRng,
) -> Result<String, Unsendable> {
    anoncrypt(envelope.as_bytes(), recipients, ContentEncryption::A256CbcHs512, rng).map_err(
        |error| match error {
            SealError::TooLarge => Unsendable::TooLargeForMediator,
            _ => Unsendable::NoRecipientKey,
        },
    )
}

fn wrap_for(
    route: &Route,
    envelope: String,
    expires: UnixTime,
    shown: Option<Value>,
    rng: &mut dyn CryptoRng,
) -> Result<String, Unsendable> {
    if RELAYED_ENVELOPE_BYTES_MAX < envelope.len() {
        return Err(Unsendable::TooLargeForMediator);
    }
    let shown = shown.map(|shown| (ADMISSION_SHOWN.to_owned(), shown));
    let extra = Map::from_iter(shown);
    // Its mediators may forget it when it has expired.
    match wrap_with(envelope, route, Some(expires), extra, rng) {
        Ok(wrapped) => Ok(wrapped.envelope),
        Err(SealError::TooLarge) => Err(Unsendable::TooLargeForMediator),
        Err(_) => Err(Unsendable::NoEndpoint),
    }
}
