//! What a home remembers: the rows that `comity-store` keeps, as plain data.
//!
//! Rows are JSON objects. A member may be added with a default; none changes its meaning. Bodies
//! are not here: they rest sealed as they came.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, MessageType, UnixTime};
use serde::{Deserialize, Serialize};

use crate::trust::{Admission, Level, MeterId};

/// A message that a home accepted, in a mailbox or as a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its id, as the sender wrote it.
    pub id: String,
    /// Who sent it, proven.
    pub sender: Did,
    /// Whom it is for.
    pub recipient: Did,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its thread.
    pub thid: String,
    /// When it came.
    pub received_at: UnixTime,
    /// When it expires.
    pub expires: UnixTime,
    /// SHA-256 of the plaintext, base64url.
    pub digest: String,
    /// SHA-256 of the sender's document as it was used, base64url; the store keeps the document.
    pub document: String,
    /// On what ground it was let in; `None` while it is a request.
    pub admitted: Option<Admission>,
    /// How far its sender may go, when it was let in; for messages, if the row is from before there
    /// were levels. Such a row is written again as it was: it is compared with what is stored.
    #[serde(default = "message_level", skip_serializing_if = "is_message_level")]
    pub level: Level,
    /// Among whose open tasks it counts until it is settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_in: Vec<MeterId>,
    /// Who wants to know how far it gets.
    pub notice: Notice,
    /// Size of the envelope in bytes.
    pub size_bytes: usize,
}

const fn message_level() -> Level {
    Level::Message
}

fn is_message_level(level: &Level) -> bool {
    *level == message_level()
}

/// How a sender wants to learn how far its message got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notice {
    /// By the `ack` header (DIDComm v2.1, `please_ack`).
    Ack,
    /// Not at all.
    None,
    /// By receipts to this DID.
    Receipts(Did),
}

/// A message that an agent of this home sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Its thread.
    pub thid: String,
    /// The agent.
    pub sender: Did,
    /// Whom it is for.
    pub recipient: Did,
    /// Who else may sign receipts for the recipient: the controllers of its document when the
    /// message was packed.
    #[serde(default)]
    pub recipient_homes: Vec<Did>,
    /// The mediator that keeps it for the recipient, if it goes through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Did>,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// SHA-256 of the plaintext, base64url: what receipts quote.
    pub digest: String,
    /// SHA-256 of what the agent asked for, base64url: tells a repeat from a reused id.
    pub request_digest: String,
    /// The level that its protocol needs: how far its sender goes in the thread.
    #[serde(default)]
    pub level: Level,
    /// When the home took it from the agent.
    pub queued_at: UnixTime,
    /// When it expires.
    pub expires: UnixTime,
}

/// An envelope on its way to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Id of the message inside.
    pub id: String,
    /// Who sends it.
    pub sender: Did,
    /// Whom it is for.
    pub recipient: Did,
    /// Where to post it; `None`: the recipient lives in this home.
    pub uri: Option<String>,
    /// Further addresses that lead the same way, for when nobody answers there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whether a mediator takes it, and not its recipient's home.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
    /// When it expires.
    pub expires: UnixTime,
    /// What it is to this home.
    pub kind: OutgoingKind,
    /// The dearest puzzle that is solved for it, in bits; `None`: as dear as the home solves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_bits_max: Option<u8>,
}

/// What an [`Outgoing`] envelope is to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutgoingKind {
    /// An agent's message: it has a ladder, and its sender is told how it ends.
    Message,
    /// The home's own: receipts, acknowledgements, problem reports. Nobody waits for it.
    Notice,
}

/// Returns the 16 bytes that stand for an identity or a message in a key: a truncated SHA-256 over
/// length-prefixed parts, so that no two lists of parts collide by concatenation.
#[must_use]
pub fn key_hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    short
}

/// Returns SHA-256 in base64url, the form in which rows and receipts quote digests.
#[must_use]
pub fn digest_text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// Parses one of this crate's own type constants.
#[expect(clippy::expect_used, reason = "only called with constants that a test parses")]
pub(crate) fn message_type(constant: &str) -> MessageType {
    constant.parse().expect("a constant message type URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        assert_ne!(key_hash(&[b"ab", b"c"]), key_hash(&[b"a", b"bc"]));
        assert_ne!(key_hash(&[b"abc"]), key_hash(&[b"abc", b""]));
    }

    #[test]
    fn a_row_of_before_there_were_levels_is_written_as_it_was() {
        // A message is taken out of its mailbox by its row, byte for byte: one that was there before
        // could be neither settled nor expire.
        let row = concat!(
            r#"{"id":"m-1","sender":"did:web:a.example","recipient":"did:web:b.example","#,
            r#""type":"https://example.org/offer/1.0/make","thid":"m-1","received_at":5,"#,
            r#""expires":9,"digest":"d","document":"d","admitted":"allow-list","notice":"none","#,
            r#""size_bytes":900}"#,
        );
        let received: Received = serde_json::from_str(row).unwrap();
        assert_eq!(received.level, Level::Message);
        assert_eq!(serde_json::to_string(&received).unwrap(), row);
        for level in Level::ALL {
            let received = Received { level, ..received.clone() };
            let row = serde_json::to_vec(&received).unwrap();
            assert_eq!(serde_json::from_slice::<Received>(&row).unwrap(), received);
        }
    }

    #[test]
    fn our_own_type_constants_parse() {
        use crate::protocol::{BASIC_MESSAGE, EMPTY_EMPTY, RECEIPT_QUERY, RECEIPT_RECEIPT};
        for constant in [BASIC_MESSAGE, EMPTY_EMPTY, RECEIPT_QUERY, RECEIPT_RECEIPT] {
            assert_eq!(message_type(constant).to_string(), constant);
        }
    }
}
