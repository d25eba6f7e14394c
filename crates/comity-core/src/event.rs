//! What an operator should know: events, as they are kept, shown, posted and told.
//!
//! An event has a bounded size, and nothing in it is a peer's text: DIDs, protocol identifiers,
//! ids, codes and times only. Refusals are no events, since strangers provoke them at will; the log
//! has them.

use comity_didcomm::{Did, ProtocolId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::limits::{EVENT_ID_CHARS_MAX, EVENT_KEYS_MAX, REQUEST_EVENTS_MAX};
use crate::log::Finding;
use crate::record::{Received, key_hash};
use crate::trust::{Contact, Entry, EntryKind, subject};

/// Something that an operator should know. A did:peer:4 is named by its short form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A decision about somebody was made or changed.
    EntryChanged {
        /// The agent whose decision it is.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Whom it is about.
        whom: ShownId,
        /// `allow`, `deny` or `revoke`.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        decision: EntryKind,
        /// Until when it holds; absent: until changed.
        #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        until: Option<UnixTime>,
    },
    /// A grant was given.
    GrantIssued {
        /// The agent that gave it.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Id of the grant.
        grant: ShownId,
        /// To whom.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        to: Did,
        /// Until when it holds.
        #[serde(with = "time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        until: UnixTime,
    },
    /// A grant was taken back.
    GrantRevoked {
        /// The agent that it gave access to.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Id of the grant.
        grant: ShownId,
    },
    /// A contact has other keys than it had.
    KeyChanged {
        /// The agent whose contact it is.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// The contact.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        contact: Did,
        /// SHA-256 of the keys that it had, base64url.
        before: Vec<ShownId>,
        /// SHA-256 of the keys that it has.
        after: Vec<ShownId>,
        /// What follows from it.
        ruling: KeyRuling,
    },
    /// A log says two things that cannot both be true, or stopped to continue what it said.
    LogContradicted {
        /// The node whose log it is: this one, or a counterparty.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        node: Did,
        /// The name of the log.
        log: ShownId,
        /// What was found.
        finding: Finding,
    },
    /// A stranger's first message waits for a decision.
    RequestArrived {
        /// For whom it is.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Who asks.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        peer: Did,
        /// The protocol of the message.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        protocol: ProtocolId,
        /// Id of the message.
        message: ShownId,
        /// Until when it waits.
        #[serde(with = "time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        until: UnixTime,
        /// Size of the envelope in bytes.
        size_bytes: usize,
    },
    /// A request was decided.
    RequestDecided {
        /// For whom it was.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Who asked.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        peer: Did,
        /// Id of the message.
        message: ShownId,
        /// `allow`, `deny` or `revoke`.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        decision: EntryKind,
        /// Where it was decided.
        by: Decider,
    },
    /// Nobody decided a request in time.
    RequestExpired {
        /// For whom it was.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Who asked.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        peer: Did,
        /// Id of the message.
        message: ShownId,
    },
    /// So many requests came or expired within one hour that only the first had events of their own.
    RequestsUntold {
        /// For whom they were.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        agent: Did,
        /// Requests that arrived without an event.
        arrived: u64,
        /// Requests that expired without an event.
        expired: u64,
        /// When the hour began.
        #[serde(with = "time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        since: UnixTime,
    },
    /// A vouch was taken back.
    VouchRevoked {
        /// Who had vouched.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        voucher: Did,
        /// For whom.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        vouched: Did,
        /// Id of the vouch.
        vouch: ShownId,
    },
    /// Nothing more is posted to the webhook until the node starts again.
    WebhookDisabled {
        /// Why.
        reason: WebhookEnd,
    },
}

/// Where a request was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// At the node itself: by the admin API.
    Admin,
    /// By a message of the operator's own agent.
    OperatorAgent,
}

/// What follows from a contact's new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KeyRuling {
    /// The contact is held up until the operator approves.
    NeedsApproval,
    /// Too little depends on it: its messages are let in as before.
    Passed,
}

/// Why nothing more is posted to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WebhookEnd {
    /// Its host has an address that this node connects to for nobody.
    AddressDenied,
    /// It answered 410: it wants no more.
    Gone,
    /// Its URL cannot be posted to.
    UnusableUrl,
}

impl WebhookEnd {
    /// Says it in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressDenied => "its host has an address that this node does not connect to",
            Self::Gone => "it answered 410: it wants no more",
            Self::UnusableUrl => "its URL cannot be posted to",
        }
    }
}

/// An id that others may have chosen, cut to what is kept, and without anything but printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String))]
#[serde(transparent)]
pub struct ShownId(String);

impl ShownId {
    /// Takes of an id what may be shown.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let shown = |c: char| if c.is_ascii_graphic() { c } else { '?' };
        Self(id.chars().take(EVENT_ID_CHARS_MAX).map(shown).collect())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Event {
    /// Tells of an entry.
    #[must_use]
    pub fn entry_changed(agent: &Did, entry: &Entry) -> Self {
        Self::EntryChanged {
            agent: subject(agent),
            // A DID is bounded and printable of itself, and is of no use when it is cut; so are the ways
            // to name many.
            whom: ShownId(match entry.whom.did() {
                Some(did) => subject(did).to_string(),
                None => entry.whom.to_string(),
            }),
            decision: entry.kind,
            until: entry.until,
        }
    }

    /// Tells of a grant that was given.
    #[must_use]
    pub fn grant_issued(agent: &Did, grant: &str, to: &Did, until: UnixTime) -> Self {
        let (agent, to) = (subject(agent), subject(to));
        Self::GrantIssued { agent, grant: ShownId::new(grant), to, until }
    }

    /// Tells of a grant that was taken back.
    #[must_use]
    pub fn grant_revoked(agent: &Did, grant: &str) -> Self {
        Self::GrantRevoked { agent: subject(agent), grant: ShownId::new(grant) }
    }

    /// Tells of a contact's new keys; of very many the first.
    #[must_use]
    pub fn key_changed(agent: &Did, contact: &Contact, ruling: KeyRuling) -> Option<Self> {
        let changed = contact.changed.as_ref()?;
        let shown = |keys: &[String]| {
            keys.iter().take(EVENT_KEYS_MAX).map(|key| ShownId::new(key)).collect()
        };
        Some(Self::KeyChanged {
            agent: subject(agent),
            contact: subject(&contact.did),
            before: shown(&contact.keys),
            after: shown(&changed.keys),
            ruling,
        })
    }

    /// Tells of a message that is held as a request.
    #[must_use]
    pub fn request_arrived(received: &Received, protocol: &ProtocolId) -> Self {
        Self::RequestArrived {
            agent: subject(&received.recipient),
            peer: subject(&received.sender),
            protocol: protocol.clone(),
            message: ShownId::new(&received.id),
            until: received.expires,
            size_bytes: received.size_bytes,
        }
    }

    /// Tells what was decided about a request.
    #[must_use]
    pub fn request_decided(received: &Received, decision: EntryKind, by: Decider) -> Self {
        Self::RequestDecided {
            agent: subject(&received.recipient),
            peer: subject(&received.sender),
            message: ShownId::new(&received.id),
            decision,
            by,
        }
    }

    /// Tells that nobody decided a request.
    #[must_use]
    pub fn request_expired(received: &Received) -> Self {
        Self::RequestExpired {
            agent: subject(&received.recipient),
            peer: subject(&received.sender),
            message: ShownId::new(&received.id),
        }
    }

    /// Tells of a vouch that was taken back.
    #[must_use]
    pub fn vouch_revoked(voucher: &Did, vouched: &Did, vouch: &str) -> Self {
        let (voucher, vouched) = (subject(voucher), subject(vouched));
        Self::VouchRevoked { voucher, vouched, vouch: ShownId::new(vouch) }
    }

    /// A log does not hold together.
    #[must_use]
    pub fn log_contradicted(node: &Did, origin: &str, finding: Finding) -> Self {
        Self::LogContradicted { node: subject(node), log: ShownId::new(origin), finding }
    }
}

/// Returns the id by which an event is known outside, wherever it is read: `number` counts those that
/// became durable together under `seq`.
#[must_use]
pub fn id(home: &Did, seq: u64, number: usize, at: UnixTime) -> String {
    let place = [seq, number as u64, at.0].map(u64::to_be_bytes).concat();
    let hash = key_hash(&[b"event", home.as_str().as_bytes(), &place]);
    format!("evt_{:032x}", u128::from_be_bytes(hash))
}

/// Whether one more arrival or expiry of an agent's requests has an event of its own; `so_far` counts
/// those of the hour. Beyond, strangers would push out of memory what matters more.
#[must_use]
pub const fn is_told(so_far: i64) -> bool {
    so_far < REQUEST_EVENTS_MAX
}

/// Returns how many of an hour's arrivals or expiries had no event of their own.
#[must_use]
pub fn untold(count: i64) -> u64 {
    u64::try_from(count.saturating_sub(REQUEST_EVENTS_MAX)).unwrap_or(0)
}

/// Times as they are everywhere in the APIs: RFC 3339.
mod time {
    use comity_didcomm::UnixTime;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::api::{parse_rfc3339, rfc3339};

    pub(super) fn serialize<S: Serializer>(
        time: &UnixTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<UnixTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_rfc3339(&text).ok_or_else(|| de::Error::custom("not a time as in RFC 3339"))
    }
}

/// The same, where there may be none.
mod optional_time {
    use comity_didcomm::UnixTime;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<UnixTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::time::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UnixTime>, D::Error> {
        super::time::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Notice;
    use crate::trust::Changed;

    fn received() -> Received {
        Received {
            id: "m-1".to_owned(),
            sender: "did:web:a.example:agents:aria".parse().unwrap(),
            recipient: "did:web:b.example:agents:bruno".parse().unwrap(),
            type_: "https://example.org/proposal/1.0/offer".to_owned(),
            thid: "m-1".to_owned(),
            received_at: UnixTime(1_790_000_000),
            expires: UnixTime(1_790_000_060),
            digest: String::new(),
            document: String::new(),
            admitted: None,
            level: crate::trust::Level::Blocked,
            open_in: Vec::new(),
            notice: Notice::None,
            size_bytes: 900,
        }
    }

    #[test]
    fn an_event_is_an_object_with_its_type_and_times_that_people_read() {
        let protocol = "https://example.org/proposal/1.0".parse().unwrap();
        let event = Event::request_arrived(&received(), &protocol);
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(
            written,
            json!({
                "type": "request-arrived",
                "agent": "did:web:b.example:agents:bruno",
                "peer": "did:web:a.example:agents:aria",
                "protocol": "https://example.org/proposal/1.0",
                "message": "m-1",
                "until": "2026-09-21T14:14:20Z",
                "size_bytes": 900,
            })
        );
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
        let decided = Event::request_decided(&received(), EntryKind::Deny, Decider::OperatorAgent);
        let written = serde_json::to_value(&decided).unwrap();
        assert_eq!(written["decision"], "deny");
        assert_eq!(written["by"], "operator-agent");
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), decided);
    }

    #[test]
    fn a_time_that_is_not_there_is_left_out() {
        for until in [None, Some(UnixTime(1_790_000_000))] {
            let did = received().sender;
            let entry = Entry::new(did.into(), EntryKind::Allow, UnixTime(1));
            let entry = Entry { until, ..entry };
            let event = Event::entry_changed(&received().recipient, &entry);
            let written = serde_json::to_value(&event).unwrap();
            assert_eq!(written.get("until").is_some(), until.is_some());
            assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
        }
    }

    #[test]
    fn what_others_chose_is_short_and_printable() {
        let id = ShownId::new(&format!("a\u{1b}[2J\u{202e}é {}", "x".repeat(1_000)));
        assert!(id.as_str().starts_with("a?[2J???x"), "{id:?}");
        assert_eq!(id.as_str().len(), EVENT_ID_CHARS_MAX);
        let did: Did = "did:web:a.example".parse().unwrap();
        let keys: Vec<_> = (0..100).map(|n| format!("key-{n}")).collect();
        let changed = Some(Changed { keys: keys[..1].to_vec(), at: UnixTime(2) });
        let contact =
            Contact { did: did.clone(), since: UnixTime(1), keys, changed, moved_to: None };
        let event = Event::key_changed(&did, &contact, KeyRuling::NeedsApproval).unwrap();
        let Event::KeyChanged { before, after, .. } = event else { panic!("{event:?}") };
        assert_eq!((before.len(), after.len()), (EVENT_KEYS_MAX, 1));
        assert_eq!(after[0].as_str(), "key-0");
        let same = Contact { changed: None, ..contact };
        assert_eq!(Event::key_changed(&did, &same, KeyRuling::Passed), None);
    }

    #[test]
    fn each_event_of_a_node_has_an_id_of_its_own() {
        let home: Did = "did:web:b.example".parse().unwrap();
        let other: Did = "did:web:c.example".parse().unwrap();
        let id = |home: &Did, seq, number, at| id(home, seq, number, UnixTime(at));
        let first = id(&home, 7, 0, 5);
        assert_eq!(first, id(&home, 7, 0, 5));
        assert!(!first.contains('.'), "a full stop would run into what is signed with it");
        let others = [id(&home, 8, 0, 5), id(&home, 7, 1, 5), id(&home, 7, 0, 6)];
        assert!(!others.contains(&first) && id(&other, 7, 0, 5) != first);
    }

    #[test]
    fn a_flood_of_one_hour_is_counted_instead_of_told() {
        assert!(is_told(0) && is_told(REQUEST_EVENTS_MAX - 1) && !is_told(REQUEST_EVENTS_MAX));
        assert_eq!([-1, 0, REQUEST_EVENTS_MAX].map(untold), [0, 0, 0]);
        assert_eq!(untold(REQUEST_EVENTS_MAX + 3), 3);
    }
}
