//! Message Pickup 3.0 and 4.0: a recipient asks its mediator what waits, has it delivered, and says
//! what it has got. The versions differ in spelling and in units; here they are one type that
//! remembers which it came in.
//!
//! In both, what is delivered leaves the queue only by `messages-received`; for 3.0, which leaves
//! it open under live delivery, the rule of 4.0 is taken.

use comity_didcomm::{Attachment, Did, ENCRYPTED_TYPE, Message, MessageId, UnixTime};
use serde_json::{Map, Value, json};

use super::admission::ADMISSION_CLASSES;
use super::{ProtocolError, list, name_in, number, object, text};
use crate::admission::Class;
use crate::limits::{DELIVERY_BASE64_BYTES_MAX, HELD_BYTES_MAX, RECEIVED_IDS_MAX};
use crate::record::message_type;

/// Version 3.0 of the protocol.
pub const PICKUP_3: &str = "https://didcomm.org/messagepickup/3.0";
/// Version 4.0 of the protocol.
pub const PICKUP_4: &str = "https://didcomm.org/message-pickup/4.0";

/// Code for live delivery on a connection that cannot have it.
pub const LIVE_MODE_NOT_SUPPORTED: &str = "e.m.live-mode-not-supported";

/// Which version of the protocol a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.0: `limit`, times in seconds, an empty queue is told by `status`.
    V3,
    /// 4.0: `message_count_limit`, times in milliseconds, an empty queue is told by an empty
    /// `delivery`.
    V4,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pickup {
    /// Messages out of the queue.
    Delivery {
        /// Whose, if the request named one.
        recipient_did: Option<Did>,
        /// The messages; in 4.0 possibly none.
        messages: Vec<Waiting>,
    },
    /// Deliver what waits.
    DeliveryRequest {
        /// Only what is for this DID.
        recipient_did: Option<Did>,
        /// How many messages at most.
        limit: u64,
    },
    /// From now on deliver what comes, or do not any more.
    LiveDeliveryChange {
        /// Whether to.
        live_delivery: bool,
    },
    /// These have arrived and need not be held any more.
    MessagesReceived {
        /// The ids of their attachments.
        ids: Vec<String>,
    },
    /// What waits.
    Status(Status),
    /// What waits?
    StatusRequest {
        /// Only what is for this DID.
        recipient_did: Option<Did>,
    },
}

/// One message in a [`Pickup::Delivery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The mediator's name for it, opaque to the recipient.
    pub id: String,
    /// The message, still encrypted.
    pub envelope: Vec<u8>,
    /// What it was to a mediator that tells friends from strangers. It stands in a header of the
    /// delivery, which others ignore: the form of attachments is fixed.
    pub class: Option<Class>,
}

/// What waits in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whose queue, if the request named one.
    pub recipient_did: Option<Did>,
    /// How many messages.
    pub message_count: u64,
    /// How many bytes in all.
    pub total_bytes: Option<u64>,
    /// When the oldest came.
    pub oldest_received: Option<UnixTime>,
    /// When the newest came.
    pub newest_received: Option<UnixTime>,
    /// How long the oldest has waited, in seconds; 3.0 alone says it.
    pub longest_waited_s: Option<u64>,
    /// Whether what comes is delivered at once, on this connection.
    pub live_delivery: bool,
}

impl Version {
    /// Returns the protocol's identifier.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V3 => PICKUP_3,
            Self::V4 => PICKUP_4,
        }
    }

    const fn limit_member(self) -> &'static str {
        match self {
            Self::V3 => "limit",
            Self::V4 => "message_count_limit",
        }
    }

    fn time(self, at: UnixTime) -> Value {
        match self {
            Self::V3 => json!(at.0),
            Self::V4 => json!(at.0.saturating_mul(1000)),
        }
    }

    fn parse_time(self, body: &Map<String, Value>, name: &str) -> Option<UnixTime> {
        let number = body.get(name).and_then(Value::as_u64)?;
        Some(UnixTime(match self {
            Self::V3 => number,
            Self::V4 => number / 1000,
        }))
    }
}

impl Pickup {
    /// Reads a message, and says in which version it is.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or has too many entries.
    pub fn parse(message: &Message) -> Result<(Version, Self), ProtocolError> {
        let known = [(PICKUP_3, Version::V3), (PICKUP_4, Version::V4)];
        let (version, name) = name_in(message, &known).ok_or(ProtocolError::Unknown)?;
        let body = &message.body;
        let pickup = match name {
            "status-request" => Self::StatusRequest { recipient_did: recipient(body)? },
            "status" => Self::Status(Status::parse(version, body)?),
            "delivery-request" => Self::DeliveryRequest {
                recipient_did: recipient(body)?,
                limit: number(body, version.limit_member())?,
            },
            "delivery" => Self::Delivery {
                recipient_did: recipient(body)?,
                messages: {
                    let classes = message.extra.get(ADMISSION_CLASSES);
                    message.attachments.iter().filter_map(|one| waiting(one, classes)).collect()
                },
            },
            "messages-received" => {
                let ids = list(body, "message_id_list", RECEIVED_IDS_MAX)?;
                let ids = ids.iter().map(|id| id.as_str().map(str::to_owned));
                let ids = ids.collect::<Option<_>>().ok_or(ProtocolError::Malformed)?;
                Self::MessagesReceived { ids }
            }
            "live-delivery-change" => match body.get("live_delivery") {
                Some(Value::Bool(live)) => Self::LiveDeliveryChange { live_delivery: *live },
                _ => return Err(ProtocolError::Malformed),
            },
            _ => return Err(ProtocolError::Unknown),
        };
        Ok((version, pickup))
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, version: Version, id: MessageId) -> Message {
        let (mut attachments, mut classes) = (Vec::new(), Map::new());
        let to_json = |did: Option<Did>| did.map(|did| json!(did));
        let (name, body) = match self {
            Self::StatusRequest { recipient_did } => {
                ("status-request", object([("recipient_did", to_json(recipient_did))]))
            }
            Self::Status(status) => ("status", status.into_body(version)),
            Self::DeliveryRequest { recipient_did, limit } => {
                let limit = (version.limit_member(), Some(json!(limit)));
                ("delivery-request", object([("recipient_did", to_json(recipient_did)), limit]))
            }
            Self::Delivery { recipient_did, messages } => {
                let said = messages.iter().filter_map(|one| Some((one.id.clone(), one.class?)));
                classes.extend(said.map(|(id, class)| (id, json!(class))));
                attachments.extend(messages.into_iter().map(attach));
                ("delivery", object([("recipient_did", to_json(recipient_did))]))
            }
            Self::MessagesReceived { ids } => {
                ("messages-received", object([("message_id_list", Some(json!(ids)))]))
            }
            Self::LiveDeliveryChange { live_delivery } => {
                ("live-delivery-change", object([("live_delivery", Some(json!(live_delivery)))]))
            }
        };
        let type_ = message_type(&format!("{}/{name}", version.as_str()));
        let mut message = Message::new(id, type_).with_body(body);
        message.attachments = attachments;
        if !classes.is_empty() {
            message.extra.insert(ADMISSION_CLASSES.to_owned(), Value::Object(classes));
        }
        message
    }
}

impl Status {
    fn parse(version: Version, body: &Map<String, Value>) -> Result<Self, ProtocolError> {
        Ok(Self {
            recipient_did: recipient(body)?,
            message_count: number(body, "message_count")?,
            total_bytes: body.get("total_bytes").and_then(Value::as_u64),
            oldest_received: version.parse_time(body, "oldest_received_time"),
            newest_received: version.parse_time(body, "newest_received_time"),
            longest_waited_s: body.get("longest_waited_seconds").and_then(Value::as_u64),
            live_delivery: body.get("live_delivery").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    fn into_body(self, version: Version) -> Map<String, Value> {
        let waited = self.longest_waited_s.filter(|_| version == Version::V3);
        object([
            ("recipient_did", self.recipient_did.map(|did| json!(did))),
            ("message_count", Some(json!(self.message_count))),
            ("longest_waited_seconds", waited.map(|seconds| json!(seconds))),
            ("newest_received_time", self.newest_received.map(|at| version.time(at))),
            ("oldest_received_time", self.oldest_received.map(|at| version.time(at))),
            ("total_bytes", self.total_bytes.map(|bytes| json!(bytes))),
            ("live_delivery", Some(json!(self.live_delivery))),
        ])
    }
}

fn recipient(body: &Map<String, Value>) -> Result<Option<Did>, ProtocolError> {
    let did = text(body, "recipient_did")?;
    did.map(|did| did.parse().map_err(|_| ProtocolError::Malformed)).transpose()
}

/// A message that would not fit into an envelope as base64 is attached as the JSON that it is.
fn attach(waiting: Waiting) -> Attachment {
    let media_type = Some(ENCRYPTED_TYPE.to_owned());
    if DELIVERY_BASE64_BYTES_MAX < waiting.envelope.len()
        && let Ok(json) = serde_json::from_slice(&waiting.envelope)
    {
        return Attachment::from_json(Some(waiting.id), media_type, json);
    }
    Attachment::from_bytes(Some(waiting.id), media_type, &waiting.envelope)
}

/// Whether a delivery of this envelope alone fits into an envelope and can be read again. What is
/// attached as JSON is written anew, and stands deeper there than by itself: numbers may become
/// longer, and nesting that was legal may be no more.
pub(crate) fn is_deliverable(envelope: &[u8]) -> bool {
    if envelope.len() <= DELIVERY_BASE64_BYTES_MAX {
        return true;
    }
    let Ok(id) = MessageId::parse("delivery") else { return false };
    let (id_there, class) = ("1".to_owned(), Some(Class::Stranger));
    let messages = vec![Waiting { id: id_there, envelope: envelope.to_vec(), class }];
    let delivery = Pickup::Delivery { recipient_did: None, messages };
    let plaintext = delivery.into_message(Version::V4, id).to_json();
    plaintext.len() <= HELD_BYTES_MAX + DELIVERY_FRAME_BYTES && Message::parse(&plaintext).is_ok()
}

/// What stands around one envelope in a delivery, in bytes, roughly.
const DELIVERY_FRAME_BYTES: usize = 1024;

/// Mediators attach the envelope as base64url, or as the JSON that it is; some attach whatever a
/// stranger gave them. What holds no envelope is an empty one: nobody can open it, so it is
/// acknowledged and holds up nothing. What has no name cannot be.
fn waiting(attachment: &Attachment, classes: Option<&Value>) -> Option<Waiting> {
    let id = attachment.id.clone()?;
    let class = classes.and_then(|classes| classes.get(&id)?.as_str()).and_then(Class::parse);
    let envelope = match (&attachment.data.base64, &attachment.data.json) {
        (Some(_), _) => attachment.data.bytes().unwrap_or_default(),
        (None, Some(json)) => json.to_string().into_bytes(),
        (None, None) => Vec::new(),
    };
    Some(Waiting { id, envelope, class })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MessageId {
        MessageId::parse("p-1").unwrap()
    }

    fn every() -> Vec<Pickup> {
        let recipient_did: Option<Did> = Some("did:web:bob.example".parse().unwrap());
        let status = Status {
            recipient_did: recipient_did.clone(),
            message_count: 2,
            total_bytes: Some(10),
            oldest_received: Some(UnixTime(1_658_084_293)),
            newest_received: Some(UnixTime(1_658_085_169)),
            longest_waited_s: None,
            live_delivery: true,
        };
        let waiting = |id: &str, class| {
            let envelope = b"{}".to_vec();
            Waiting { id: id.to_owned(), envelope, class }
        };
        let messages = vec![
            waiting("a", None),
            waiting("b", Some(Class::Friend)),
            waiting("c", Some(Class::Paid)),
            waiting("d", Some(Class::Stranger)),
        ];
        vec![
            Pickup::StatusRequest { recipient_did: None },
            Pickup::Status(status),
            Pickup::DeliveryRequest { recipient_did: recipient_did.clone(), limit: 10 },
            Pickup::Delivery { recipient_did, messages },
            Pickup::MessagesReceived { ids: vec!["a".to_owned()] },
            Pickup::LiveDeliveryChange { live_delivery: false },
        ]
    }

    #[test]
    fn every_message_survives_both_ways_in_both_versions() {
        for version in [Version::V3, Version::V4] {
            for pickup in every() {
                let message = pickup.clone().into_message(version, id());
                assert_eq!(Pickup::parse(&message), Ok((version, pickup)));
            }
        }
    }

    #[test]
    fn times_are_seconds_in_one_version_and_milliseconds_in_the_other() {
        let body = |version| {
            let status = Status {
                oldest_received: Some(UnixTime(7)),
                longest_waited_s: Some(3),
                ..Status::default()
            };
            Pickup::Status(status).into_message(version, id()).body
        };
        assert_eq!(body(Version::V3)["oldest_received_time"], json!(7));
        assert_eq!(body(Version::V3)["longest_waited_seconds"], json!(3));
        assert_eq!(body(Version::V4)["oldest_received_time"], json!(7000));
        assert_eq!(body(Version::V4).get("longest_waited_seconds"), None);
    }

    #[test]
    fn the_limit_has_the_name_of_its_version() {
        let type_ =
            |version: Version| message_type(&format!("{}/delivery-request", version.as_str()));
        for (version, member, other) in [
            (Version::V3, "limit", "message_count_limit"),
            (Version::V4, "message_count_limit", "limit"),
        ] {
            let good = Message::new(id(), type_(version)).with_body_member(member, 5);
            assert!(Pickup::parse(&good).is_ok());
            let bad = Message::new(id(), type_(version)).with_body_member(other, 5);
            assert_eq!(Pickup::parse(&bad), Err(ProtocolError::Malformed));
            let negative = Message::new(id(), type_(version)).with_body_member(member, -1);
            assert_eq!(Pickup::parse(&negative), Err(ProtocolError::Malformed));
        }
    }

    #[test]
    fn what_is_attached_as_json_is_the_envelope_too() {
        let mut message = Pickup::Delivery { recipient_did: None, messages: Vec::new() }
            .into_message(Version::V4, id());
        let envelope = json!({ "ciphertext": "x" });
        message.attachments.push(Attachment::from_json(Some("a".to_owned()), None, envelope));
        let Ok((_, Pickup::Delivery { messages, .. })) = Pickup::parse(&message) else { panic!() };
        assert_eq!(messages[0].envelope, br#"{"ciphertext":"x"}"#);
    }

    #[test]
    fn one_attachment_that_is_no_envelope_does_not_spoil_a_delivery() {
        // A stranger's forward with a link in it, passed on as it was, made every page that held it
        // unreadable, for good.
        let mut message = Pickup::Delivery { recipient_did: None, messages: Vec::new() }
            .into_message(Version::V3, id());
        for (id, data) in [
            (Some("link"), json!({ "links": ["https://a.example"], "hash": "x" })),
            (Some("broken"), json!({ "base64": "*" })),
            (None, json!({ "json": {} })),
            (Some("good"), json!({ "json": { "ciphertext": "x" } })),
        ] {
            let attachment = json!({ "id": id, "data": data });
            message.attachments.push(serde_json::from_value(attachment).unwrap());
        }
        let Ok((_, Pickup::Delivery { messages, .. })) = Pickup::parse(&message) else { panic!() };
        let read: Vec<_> = messages.iter().map(|one| (&*one.id, one.envelope.len())).collect();
        assert_eq!(read, [("link", 0), ("broken", 0), ("good", 18)]);
    }

    #[test]
    fn too_many_ids_are_refused() {
        let ids = vec!["a".to_owned(); RECEIVED_IDS_MAX + 1];
        let message = Pickup::MessagesReceived { ids }.into_message(Version::V3, id());
        assert_eq!(Pickup::parse(&message), Err(ProtocolError::TooMany));
    }
}
