//! What an export says of messages: each that was sent or received, and the receipts about those.

use comity_didcomm::{Did, Message, verify_jws};

use super::part::{Findings, Role, Seen, says};
use crate::log::{Act, LogQuote};
use crate::receipt::{self, Receipt};
use crate::record::digest_text;
use crate::trust::{Admission, subject};

/// What names a message: who sent it to whom, and its id. Ids compare without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) from: Did,
    pub(super) to: Did,
    pub(super) id: String,
}

/// A message, as one side has it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) name: Name,
    /// The id as it is written.
    pub(super) id: String,
    pub(super) thid: String,
    pub(super) type_: String,
    pub(super) act: Act,
    pub(super) seq: u64,
    pub(super) index: u64,
    pub(super) at: comity_didcomm::UnixTime,
    pub(super) place: String,
    pub(super) ground: Option<Admission>,
    /// The signed text, verified; nothing if it is not shown, or nobody knows its key.
    pub(super) signed: Option<Signed>,
}

/// A text whose signature verified.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) kid: comity_didcomm::DidUrl,
    pub(super) key: comity_didcomm::PublicKey,
    /// SHA-256 of the plaintext, base64url, as receipts quote it.
    pub(super) digest: String,
    pub(super) body: String,
}

/// A receipt message that verified.
#[derive(Debug)]
pub(super) struct ReceiptMessage {
    pub(super) signer: Did,
    pub(super) place: String,
    pub(super) receipts: Vec<Receipt>,
    pub(super) quote: Option<LogQuote>,
}

/// Reads the messages of an export.
pub(super) fn messages(seen: &mut Seen<'_>, findings: &mut Findings) -> Vec<Said> {
    let mut said = Vec::new();
    let mut used = Vec::new();
    for one in &seen.told {
        let statement = &one.statement;
        let (from, to) = match statement.act {
            Act::Sent => (&statement.agent, &statement.peer),
            Act::Received | Act::Refused => (&statement.peer, &statement.agent),
            _ => continue,
        };
        let name =
            Name { from: from.clone(), to: to.clone(), id: statement.id.to_ascii_lowercase() };
        let document = match (&statement.document, statement.act) {
            (Some(digest), _) => seen.documents.with_digest(from, digest),
            (None, _) => seen.documents.in_force(from, one.seq),
        };
        let mut signed = None;
        if let Some(text) = one.object {
            match document {
                None => findings.miss(format!(
                    "the document of {from} is not shown, by which {} was signed",
                    statement.id
                )),
                Some(document) => match verify_jws(text.as_bytes(), &document.document) {
                    Err(_) => findings.contradict(
                        "a message is not signed by the sender that the statement names",
                        says(&format!("{}.object", one.place), text),
                        says(&one.place, from.as_str()),
                    ),
                    Ok(verified) => {
                        let message = Message::parse(&verified.payload).ok();
                        let is_same = message.as_ref().is_some_and(|message| {
                            let is_from = message.from.as_ref().map(subject).as_ref() == Some(from);
                            let is_to = message.to.iter().any(|one| one.same_subject(to));
                            is_from
                                && is_to
                                && message.id.as_str().eq_ignore_ascii_case(&statement.id)
                                && message.thread_id() == statement.thid
                                && message.pthid == statement.pthid
                                && message.type_.to_string() == statement.type_
                        });
                        if is_same {
                            let key = document.document.authentication_key(&verified.kid).copied();
                            let body = message
                                .map(|message| serde_json::Value::Object(message.body).to_string());
                            if let Some(key) = key {
                                let digest = document.digest.clone();
                                used.push((from.clone(), verified.kid.clone(), key, digest));
                                signed = Some(Signed {
                                    digest: digest_text(&verified.payload),
                                    kid: verified.kid,
                                    key,
                                    body: body.unwrap_or_default(),
                                });
                            }
                        } else {
                            findings.contradict(
                                "a message is another than its statement says",
                                says(&format!("{}.object", one.place), text),
                                says(&one.place, &statement.to_text()),
                            );
                        }
                    }
                },
            }
        } else if statement.act != Act::Refused {
            findings.miss(format!(
                "the signed text of {} from {from} to {to} is not shown",
                statement.id
            ));
        }
        said.push(Said {
            name,
            id: statement.id.clone(),
            thid: statement.thid.clone(),
            type_: statement.type_.clone(),
            act: statement.act,
            seq: one.seq,
            index: one.index,
            at: statement.at,
            place: one.place.clone(),
            ground: statement.ground,
            signed,
        });
    }
    for (did, kid, key, digest) in used {
        seen.uses(&did, &kid, key, &digest, Role::Agent);
    }
    said
}

/// Reads the receipts of an export.
pub(super) fn receipt_messages(
    seen: &mut Seen<'_>,
    findings: &mut Findings,
) -> Vec<ReceiptMessage> {
    let mut receipt_messages = Vec::new();
    let mut used = Vec::new();
    for one in seen.told.iter().filter(|one| one.statement.act == Act::Receipt) {
        let signer = &one.statement.peer;
        let digest = one.statement.document.as_deref().unwrap_or_default();
        let Some(text) = one.object else {
            findings.miss(format!("the signed text of a receipt of {signer} is not shown"));
            continue;
        };
        let Some(document) = seen.documents.with_digest(signer, digest) else {
            findings.miss(format!(
                "the document of {signer} is not shown, by which a receipt was signed"
            ));
            continue;
        };
        let verified = verify_jws(text.as_bytes(), &document.document).ok();
        let message = verified.as_ref().and_then(|verified| Message::parse(&verified.payload).ok());
        match (receipt::verify(text, &document.document), verified, message) {
            (Ok(receipts), Some(verified), Some(message)) => {
                if let Some(key) = document.document.authentication_key(&verified.kid) {
                    used.push((signer.clone(), verified.kid, *key, document.digest.clone()));
                }
                receipt_messages.push(ReceiptMessage {
                    signer: signer.clone(),
                    place: one.place.clone(),
                    receipts: receipts.receipts().to_vec(),
                    quote: LogQuote::of(&message),
                });
            }
            _ => findings.contradict(
                "a receipt is not signed by the node that the statement names",
                says(&format!("{}.object", one.place), text),
                says(&one.place, signer.as_str()),
            ),
        }
    }
    for (did, kid, key, digest) in used {
        seen.uses(&did, &kid, key, &digest, Role::Node);
    }
    receipt_messages
}
