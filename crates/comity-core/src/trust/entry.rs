//! What an operator has decided about somebody, and what somebody has asked for.

use std::fmt;
use std::str::FromStr;

use comity_didcomm::{Did, ProtocolId, UnixTime, did};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Level, Limits, MeterId};
use crate::log::{Act, Statement};
use crate::record::key_hash;
use crate::refusal::Refusal;

/// An operator's decision about somebody, for one of the operator's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whom it is about.
    #[serde(alias = "did")]
    pub whom: Whom,
    /// Whether it is about what they send, or about what is sent to them.
    #[serde(default)]
    pub direction: Direction,
    /// What was decided.
    pub kind: EntryKind,
    /// The protocols it covers; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<ProtocolId>,
    /// How far it lets them go.
    #[serde(default = "message_level")]
    pub level: Level,
    /// Whether their vouches count: those of others are weighed by the paths that begin here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anchor: bool,
    /// From when it holds; `None`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixTime>,
    /// Until when it holds; `None`: until changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixTime>,
    /// How much they may send; all that it is about count together.
    #[serde(default, skip_serializing_if = "Limits::is_unlimited")]
    pub limits: Limits,
    /// With what it counts together, if not with what is about the same; see
    /// [`succeeded`](Self::succeeded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_as: Option<MeterId>,
    /// What the operator wants to remember about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When it was made.
    pub decided_at: UnixTime,
    /// Randomness, so that nobody guesses the entry from its digest in the log.
    #[serde(default)]
    pub salt: [u8; 16],
}

/// What entries were before they had a level: for messages.
const fn message_level() -> Level {
    Level::Message
}

/// Whom an [`Entry`] is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// Holders of a credential: `credential:TYPE@ISSUER`.
    Credential {
        /// Who has signed it.
        issuer: Did,
        /// What kind it is.
        type_: String,
    },
    /// One party.
    Did(Did),
    /// All agents of a host and of those below it: `*@*.HOST`.
    Domain(String),
    /// All agents of one node, named by the host, with its port, of their did:web or did:webvh:
    /// `*@HOST`.
    Host(String),
}

/// A text that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("give a DID, *@host for all agents of a node, *@*.domain, or credential:TYPE@ISSUER")]
pub struct WhomError;

/// Which way messages go that an [`Entry`] is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From them to the agent.
    #[default]
    In,
    /// From the agent to them.
    Out,
}

/// What an [`Entry`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// May send.
    Allow,
    /// Must not send.
    Deny,
    /// Was allowed once and is not any more.
    Revoke,
}

impl Entry {
    /// Creates an entry without bounds, at the level of messages.
    #[must_use]
    pub const fn new(whom: Whom, kind: EntryKind, decided_at: UnixTime) -> Self {
        Self {
            whom,
            direction: Direction::In,
            kind,
            protocols: Vec::new(),
            level: Level::Message,
            anchor: false,
            from: None,
            until: None,
            limits: Limits::UNLIMITED,
            counts_as: None,
            note: String::new(),
            decided_at,
            salt: [0; 16],
        }
    }

    /// Whether the entry has run out.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the entry does not hold yet.
    #[must_use]
    pub fn is_early(&self, now: UnixTime) -> bool {
        self.from.is_some_and(|from| now < from)
    }

    /// Whether somebody may send, or be sent, something by this entry at this moment.
    #[must_use]
    pub fn allows(&self, now: UnixTime) -> bool {
        self.kind == EntryKind::Allow && !self.is_over(now) && !self.is_early(now)
    }

    /// Whether it keeps somebody out. What was allowed to many is taken back by forgetting it, and bars
    /// nobody.
    #[must_use]
    pub fn shuts_out(&self, did: &Did) -> bool {
        let bars = match self.kind {
            EntryKind::Allow => false,
            EntryKind::Deny => true,
            EntryKind::Revoke => self.whom.did().is_some(),
        };
        bars && self.direction == Direction::In && self.whom.is(did)
    }

    /// Whether the entry covers a protocol: by name and major version, as DIDComm compares protocol
    /// identifiers.
    #[must_use]
    pub fn covers(&self, protocol: &ProtocolId) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|known| known.matches(protocol))
    }

    /// Whether the entry lets in what needs this level of a protocol, whatever its limits.
    ///
    /// # Errors
    /// With what the sender is told.
    pub(super) fn admits(
        &self,
        protocol: &ProtocolId,
        needed: Level,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if self.is_over(now) {
            return Err(Refusal::Revoked);
        }
        if self.is_early(now) {
            return Err(Refusal::NotYetAllowed);
        }
        if !self.covers(protocol) {
            return Err(Refusal::ProtocolNotAllowed);
        }
        if self.level < needed {
            return Err(Refusal::LevelTooLow);
        }
        Ok(())
    }

    /// Returns with what it counts together, for an agent's entry.
    #[must_use]
    pub fn meter(&self, agent: &Did) -> MeterId {
        if let Some(meter) = self.counts_as {
            return meter;
        }
        let direction: &[u8] = match self.direction {
            Direction::In => b"entry in",
            Direction::Out => b"entry out",
        };
        let (agent, whom) = (subject(agent), self.whom.to_string());
        MeterId(key_hash(&[direction, agent.as_str().as_bytes(), whom.as_bytes()]))
    }

    /// Returns what the log will say of it. The peer of a decision about many is the agent itself.
    #[must_use]
    pub fn statement(&self, agent: &Did, salt: &[u8; 16]) -> Statement {
        let parties = (agent, self.whom.did().unwrap_or(agent));
        let object = self.to_object();
        Statement::new(Act::Decided, parties, "", object.as_bytes(), salt, self.decided_at)
    }

    /// Returns the text that stands for the decision in the log and in evidence.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
    pub fn to_object(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers serialise")
    }

    /// Returns the word that operators see in `comity allowed`.
    #[must_use]
    pub fn state(&self, now: UnixTime) -> &'static str {
        match self.kind {
            EntryKind::Allow if self.is_over(now) => "expired",
            EntryKind::Allow if self.is_early(now) => "planned",
            EntryKind::Allow => "allowed",
            EntryKind::Deny => "denied",
            EntryKind::Revoke => "revoked",
        }
    }
}

impl Whom {
    /// Whether it is about somebody, as far as the DID tells. Only did:web and did:webvh prove a host: the
    /// document is fetched from there.
    #[must_use]
    pub fn is(&self, did: &Did) -> bool {
        match self {
            Self::Credential { .. } => false,
            Self::Did(one) => subject(one) == subject(did),
            Self::Domain(_) | Self::Host(_) => host_of(did).is_some_and(|host| self.is_at(&host)),
        }
    }

    /// Whether it is about somebody at a host, which has its port if that is not the one of https.
    pub(super) fn is_at(&self, host: &str) -> bool {
        match self {
            Self::Credential { .. } => false,
            Self::Did(one) => host_of(one).is_some_and(|of| of == host),
            Self::Domain(domain) => {
                let host = host.split(':').next().unwrap_or_default();
                let below = host.strip_suffix(domain.as_str());
                below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            Self::Host(one) => one == host,
        }
    }

    /// Returns the DID, if it is about one party.
    #[must_use]
    pub const fn did(&self) -> Option<&Did> {
        match self {
            Self::Did(did) => Some(did),
            _ => None,
        }
    }

    /// Ranks the kinds: what is said about one party counts before what is said about many.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Did(_) => 0,
            Self::Credential { .. } => 1,
            Self::Host(_) => 2,
            Self::Domain(_) => 3,
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential { issuer, type_ } => write!(f, "credential:{type_}@{issuer}"),
            Self::Did(did) => did.fmt(f),
            Self::Domain(domain) => write!(f, "*@*.{domain}"),
            Self::Host(host) => write!(f, "*@{host}"),
        }
    }
}

impl FromStr for Whom {
    type Err = WhomError;

    fn from_str(text: &str) -> Result<Self, WhomError> {
        if text.starts_with("did:") {
            return text.parse().map(Self::Did).map_err(|_| WhomError);
        }
        if let Some(credential) = text.strip_prefix("credential:") {
            let (type_, issuer) = credential.split_once('@').ok_or(WhomError)?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if type_.is_empty()
                || CREDENTIAL_TYPE_BYTES_MAX < type_.len()
                || !type_.bytes().all(is_name)
            {
                return Err(WhomError);
            }
            let issuer = issuer.parse().map_err(|_| WhomError)?;
            return Ok(Self::Credential { issuer, type_: type_.to_owned() });
        }
        let host = text.strip_prefix("*@").ok_or(WhomError)?;
        match host.strip_prefix("*.") {
            Some(domain) if is_host(domain) => Ok(Self::Domain(domain.to_owned())),
            Some(_) => Err(WhomError),
            None => parse_authority(host).map(Self::Host).ok_or(WhomError),
        }
    }
}

impl Serialize for Whom {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Did> for Whom {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

/// Longest name of a credential's type, in bytes.
const CREDENTIAL_TYPE_BYTES_MAX: usize = 128;

/// Returns host and port of a DID whose document is fetched from there.
fn host_of(did: &Did) -> Option<String> {
    let location = match did.method() {
        "web" => did::web::document_url(did),
        "webvh" => did::webvh::log_url(did),
        _ => return None,
    };
    let location = location.ok()?;
    Some(authority(location.host, location.port))
}

/// Spells host and port in one way: a DID may name the port that its host has anyway.
pub(super) fn authority(host: String, port: Option<u16>) -> String {
    match port {
        Some(HTTPS_PORT) | None => host,
        Some(port) => format!("{host}:{port}"),
    }
}

const HTTPS_PORT: u16 = 443;

fn parse_authority(text: &str) -> Option<String> {
    let (host, port) = match text.split_once(':') {
        Some((host, digits)) => {
            let port: u16 = digits.parse().ok()?;
            // As strict as a DID: what is spelled otherwise would be about nobody.
            let is_canonical = 0 < port && port.to_string() == digits;
            (host, Some(port).filter(|_| is_canonical)?)
        }
        None => (text, HTTPS_PORT),
    };
    is_host(host).then(|| authority(host.to_owned(), Some(port)))
}

fn is_host(text: &str) -> bool {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lower && !text.contains([':', '%']) && did::web::did_for(text, None, &[]).is_ok()
}

/// A stranger's first message, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub did: Did,
    /// The protocol of the message.
    pub protocol: ProtocolId,
    /// Where the request stands.
    pub state: RequestState,
    /// When it came.
    pub received_at: UnixTime,
    /// Until when it waits.
    pub until: UnixTime,
}

/// Where a [`Request`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// The operator has not decided.
    Pending,
}

/// Returns the DID under which decisions about somebody are kept: a did:peer:4 is one subject under
/// its long and its short form.
#[must_use]
pub fn subject(did: &Did) -> Did {
    did::peer::long_to_short(did).unwrap_or_else(|| did.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(text: &str) -> Whom {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_is_read_as_it_is_written() {
        let texts = [
            "did:web:a.example:agents:aria",
            "*@a.example",
            "*@localhost:7700",
            "*@*.a.example",
            "credential:Employee@did:web:a.example",
        ];
        for text in texts {
            assert_eq!(whom(text).to_string(), text);
        }
        for text in [
            "",
            "aria",
            "*",
            "*@",
            "*@*.",
            "*@a:b",
            "*@*.a.example:1",
            "credential:@did:web:a",
            "*@A.example",
            "*@a.example:0",
            "*@a.example:+443",
            "*@a.example:0443",
            "*@a.example:65536",
            "*@a.example.",
            "*@a.example%3A443",
            "*@a.example@b.example",
            "did:web",
        ] {
            assert_eq!(text.parse::<Whom>(), Err(WhomError), "{text}");
        }
    }

    #[test]
    fn all_agents_of_a_node_are_those_whose_documents_it_serves() {
        let did = |text: &str| text.parse::<Did>().unwrap();
        let node = whom("*@a.example");
        assert!(
            node.is(&did("did:web:a.example:agents:aria")) && node.is(&did("did:web:a.example"))
        );
        assert!(
            !node.is(&did("did:web:a.example%3A8443:agents:aria")),
            "another port, another node"
        );
        assert!(!node.is(&did("did:web:b.a.example:agents:aria")));
        assert!(!node.is(&did("did:web:xa.example")));
        let domain = whom("*@*.a.example");
        assert!(
            domain.is(&did("did:web:a.example")) && domain.is(&did("did:web:b.a.example%3A1:x"))
        );
        assert!(
            !domain.is(&did("did:web:xa.example")) && !domain.is(&did("did:web:a.example.org"))
        );
        assert!(!domain.is(&did("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp")));
    }

    #[test]
    fn no_spelling_of_a_did_gets_around_what_is_said_about_its_host() {
        let did = |text: &str| text.parse::<Did>().unwrap();
        let scid = "QmNVbgSK8hAeDJ5ZyGsn8S3CPSbn4pLmhvFKSgQkhzMPqq";
        for node in ["*@a.example", "*@a.example:443"] {
            let node = whom(node);
            assert_eq!(node.to_string(), "*@a.example", "the port of https is not spelled");
            assert!(node.is(&did("did:web:a.example%3A443:x")));
            assert!(node.is(&did("did:web:a.example%3a443")));
            assert!(node.is(&did(&format!("did:webvh:{scid}:a.example:x"))));
            assert!(node.is(&did(&format!("did:webvh:{scid}:a.example%3A443:x"))));
        }
        // Their documents come from elsewhere, or cannot be had at all.
        for elsewhere in [
            format!("did:webvh:{scid}:b.example:a.example"),
            "did:webvh:a.example:b.example".to_owned(),
            "did:webvh:a.example".to_owned(),
            "did:web:b.example:a.example".to_owned(),
            "did:web:b.example%3A1:a.example".to_owned(),
            "did:web:A.example".to_owned(),
            "did:web:a.example.:x".to_owned(),
            "did:web:a.example%2Fb.example".to_owned(),
            "did:web:a.example%40b.example".to_owned(),
            "did:web:a.example%3A443%3A443".to_owned(),
            "did:key:a.example".to_owned(),
        ] {
            assert!(!whom("*@a.example").is(&did(&elsewhere)), "{elsewhere}");
            assert!(!whom("*@*.a.example").is(&did(&elsewhere)), "{elsewhere}");
        }
    }

    #[test]
    fn an_entry_of_before_there_were_levels_is_for_messages() {
        let row = r#"{"did":"did:web:a.example","kind":"allow","decided_at":5}"#;
        let entry: Entry = serde_json::from_str(row).unwrap();
        let expected = Entry::new(whom("did:web:a.example"), EntryKind::Allow, UnixTime(5));
        assert_eq!(entry, expected);
    }

    #[test]
    fn an_entry_holds_between_its_two_times() {
        let mut entry = Entry::new(whom("did:web:a.example"), EntryKind::Allow, UnixTime(5));
        (entry.from, entry.until) = (Some(UnixTime(10)), Some(UnixTime(20)));
        let states =
            [9, 10, 19, 20].map(|now| (entry.allows(UnixTime(now)), entry.state(UnixTime(now))));
        assert_eq!(
            states,
            [(false, "planned"), (true, "allowed"), (true, "allowed"), (false, "expired")]
        );
    }
}
