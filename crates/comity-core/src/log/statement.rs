//! Statements: what an agent's home records of it, and the chain that they form.
//!
//! Implements sections 1 and 2 of `docs/protocols/log.md`. A statement's text never enters the log: a
//! log entry is the hash of a *link*, which holds the hash of the statement and that of the entry
//! before it. So the log tells nothing, and a statement can be erased without breaking anything.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::salted_digest;
use crate::trust::{Admission, subject};

/// One statement. Its text is this as JSON, members in alphabetical order and without white space: the
/// form that RFC 8785 gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What happened.
    pub act: Act,
    /// The identity of this home that it happened to.
    pub agent: Did,
    /// When, by this home's clock.
    pub at: UnixTime,
    /// With `refused`: the problem-report code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// SHA-256 of the salt and the object, base64url. For messages the object is the signed message
    /// (the plaintext if it is not signed), and the salt is kept apart, so that it can be erased.
    pub digest: String,
    /// SHA-256 of a DID document, base64url: with `received`, `refused` and `receipt` that by which the
    /// peer was known, with `document` and `key-changed` the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// With `received`: on what ground the message was let in; none while it waits as a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Admission>,
    /// Id of the message, or of what else it is about.
    pub id: String,
    /// The other party.
    pub peer: Did,
    /// Thread that the message's thread belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pthid: Option<String>,
    /// The salt, base64url, where it is not kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Thread of the message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thid: String,
    /// Type of the message.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub type_: String,
    /// Version of this form.
    pub v: u8,
}

/// What a [`Statement`] records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The operator decided about the peer; the object is the decision.
    Decided,
    /// The peer's DID document was used; the object is its text.
    Document,
    /// The agent gave a grant to the peer, or handed one on; the object is the token's name.
    Granted,
    /// The agent changed its keys; the object is its new document.
    KeyChanged,
    /// The rules of the agent changed; the object is their text.
    Policy,
    /// The peer said how far messages got; the object is its signed message.
    Receipt,
    /// A message was accepted from the peer.
    Received,
    /// A message of the peer was refused.
    Refused,
    /// The agent took a grant back from the peer, or the peer took back what it had handed on; the
    /// object is the token's name.
    Revoked,
    /// A message was queued for the peer.
    Sent,
}

/// A statement that is ready to be appended: its text, and its link but for its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    link: Link,
    text: String,
}

/// What chains an agent's statements together, and stands for one where its text is not shown.
///
/// Its text is this as JSON, in the form of RFC 8785. The entry in the log is the SHA-256 of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Whose chain it is.
    pub agent: Did,
    /// Tag of the other party: the same for all statements of the chain about the same party.
    pub peer: String,
    /// The entry before it in the chain, base64url; zeros for the first.
    pub prev: String,
    /// Its number in the chain, from 1.
    pub seq: u64,
    /// SHA-256 of the statement's text, base64url.
    pub statement: String,
    /// Tag of the thread.
    pub thread: String,
    /// Version of this form.
    pub v: u8,
}

/// From what a home derives the tags of links: who does not know it cannot tell what a tag stands for.
#[derive(Clone)]
pub struct TagSecret(hmac::Key);

impl Statement {
    /// Begins a statement about an object, with the salt in it. The rest is filled in by the caller.
    #[must_use]
    pub fn new(
        act: Act,
        (agent, peer): (&Did, &Did),
        id: &str,
        object: &[u8],
        salt: &[u8; 16],
        at: UnixTime,
    ) -> Self {
        Self {
            salt: Some(URL_SAFE_NO_PAD.encode(salt)),
            ..Self::about_message(act, (agent, peer), id, object, salt, at)
        }
    }

    /// Begins a statement about a message, whose salt is kept with it.
    #[must_use]
    pub fn about_message(
        act: Act,
        (agent, peer): (&Did, &Did),
        id: &str,
        message: &[u8],
        salt: &[u8; 16],
        at: UnixTime,
    ) -> Self {
        Self {
            act,
            agent: subject(agent),
            at,
            code: None,
            digest: URL_SAFE_NO_PAD.encode(salted_digest(salt, message)),
            document: None,
            ground: None,
            id: id.to_owned(),
            peer: subject(peer),
            pthid: None,
            salt: None,
            thid: String::new(),
            type_: String::new(),
            v: 1,
        }
    }

    /// Returns the text.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers serialise")
    }

    /// Reads a text that is exactly as [`Self::to_text`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let statement: Self = serde_json::from_str(text).ok()?;
        (statement.v == 1 && statement.to_text() == text).then_some(statement)
    }

    /// Makes it ready to be appended.
    #[must_use]
    pub fn stated(&self, secret: &TagSecret) -> Stated {
        let text = self.to_text();
        let link = Link {
            agent: self.agent.clone(),
            peer: secret.tag("peer", &self.agent, self.peer.as_str()),
            prev: String::new(),
            seq: 0,
            statement: statement_hash(&text),
            thread: secret.tag("thread", &self.agent, &self.thid),
            v: 1,
        };
        Stated { link, text }
    }
}

impl Act {
    /// Returns the word in statements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Document => "document",
            Self::Granted => "granted",
            Self::KeyChanged => "key-changed",
            Self::Policy => "policy",
            Self::Receipt => "receipt",
            Self::Received => "received",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Sent => "sent",
        }
    }
}

impl Stated {
    /// Returns whose chain it belongs to.
    #[must_use]
    pub const fn agent(&self) -> &Did {
        &self.link.agent
    }

    /// Returns the text of the statement.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Links it to the entry before it, and returns its text with the link.
    #[must_use]
    pub fn link(self, seq: u64, prev: &[u8; 32]) -> (Link, String) {
        (Link { prev: URL_SAFE_NO_PAD.encode(prev), seq, ..self.link }, self.text)
    }
}

/// Writes an entry or a hash as links and evidence quote it: base64url.
#[must_use]
pub fn encode_hash(hash: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// Hashes a statement's text as links quote it.
#[must_use]
pub fn statement_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

impl Link {
    /// Computes the entry of the log.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
    pub fn entry(&self) -> [u8; 32] {
        let text = serde_json::to_vec(self).expect("strings and numbers serialise");
        let mut entry = [0; 32];
        entry.copy_from_slice(digest::digest(&digest::SHA256, &text).as_ref());
        entry
    }
}

impl TagSecret {
    /// Takes 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Computes a tag: twelve bytes of HMAC-SHA256, base64url.
    fn tag(&self, what: &str, agent: &Did, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [what, agent.as_str(), value] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..12).unwrap_or_default())
    }
}

impl fmt::Debug for TagSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(name: &str) -> Did {
        format!("did:web:{name}").parse().unwrap()
    }

    fn statement() -> Statement {
        let (aria, bruno) = (did("a.example:agents:aria"), did("b.example:agents:bruno"));
        let about = (&aria, &bruno);
        let mut statement =
            Statement::about_message(Act::Sent, about, "m-1", b"text", &[7; 16], UnixTime(9));
        statement.thid = "t-1".to_owned();
        statement.type_ = "https://example.org/offer/1.0/make".to_owned();
        statement
    }

    #[test]
    fn a_statement_has_one_text() {
        let text = statement().to_text();
        assert_eq!(
            text,
            concat!(
                r#"{"act":"sent","agent":"did:web:a.example:agents:aria","at":9,"#,
                r#""digest":"H9noeBv0Thw2STE_GtN2-dhuKJL53CMUs5KZP6dSgwM","id":"m-1","#,
                r#""peer":"did:web:b.example:agents:bruno","thid":"t-1","#,
                r#""type":"https://example.org/offer/1.0/make","v":1}"#,
            )
        );
        assert_eq!(Statement::parse(&text), Some(statement()));
        for other in [
            text.replace(":9,", ": 9,"),
            text.replace(r#""v":1"#, r#""v":2"#),
            text.replace(r#""v":1"#, r#""w":1"#),
            text.replace(r#""thid":"t-1","#, r#""thid":"","#),
        ] {
            assert_eq!(Statement::parse(&other), None, "{other}");
        }
    }

    /// The members of statements and links are what RFC 8785 sorts them to be.
    #[test]
    fn members_are_in_order() {
        let mut full = statement();
        full.code = Some("c".to_owned());
        full.document = Some("d".to_owned());
        full.ground = Some(Admission::AllowList);
        full.pthid = Some("p".to_owned());
        full.salt = Some("s".to_owned());
        let (link, _) = statement().stated(&TagSecret::new(&[1; 32])).link(1, &[0; 32]);
        for text in [full.to_text(), serde_json::to_string(&link).unwrap()] {
            let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(sorted.to_string(), text);
        }
    }

    #[test]
    fn each_link_names_the_entry_before_it() {
        let stated = statement().stated(&TagSecret::new(&[1; 32]));
        let (first, _) = stated.clone().link(1, &[0; 32]);
        let (second, text) = stated.clone().link(2, &first.entry());
        assert_eq!(second.prev, URL_SAFE_NO_PAD.encode(first.entry()));
        assert_eq!(
            (second.statement.as_str(), text.as_str()),
            (statement_hash(&text).as_str(), stated.text())
        );
        assert_ne!(first.entry(), second.entry());
        assert_ne!(second.entry(), stated.link(3, &first.entry()).0.entry());
    }

    #[test]
    fn tags_are_the_same_for_the_same_and_tell_nothing() {
        let secret = TagSecret::new(&[1; 32]);
        let (one, again) = (statement().stated(&secret), statement().stated(&secret));
        assert_eq!(one, again);
        let one = one.link;
        let mut other = statement();
        other.thid = "t-2".to_owned();
        let other = other.stated(&secret).link;
        assert_eq!(one.peer, other.peer);
        assert_ne!(one.thread, other.thread);
        assert_ne!(one.peer, statement().stated(&TagSecret::new(&[2; 32])).link.peer);
        assert_eq!(one.peer.len(), 16);
    }

    #[test]
    fn every_act_has_the_word_that_is_written() {
        use Act::*;
        for act in [
            Decided, Document, Granted, KeyChanged, Policy, Receipt, Received, Refused, Revoked,
            Sent,
        ] {
            assert_eq!(serde_json::to_value(act).unwrap(), act.as_str());
        }
    }
}
