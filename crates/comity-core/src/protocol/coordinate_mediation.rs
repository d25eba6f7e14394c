//! Coordinate Mediation 3.0 and 2.0: somebody asks a mediator to take messages for it, and says for
//! which DIDs. The versions say the same in other words; here they are one type that remembers
//! which it came in.
//!
//! The members `proof` and `code` of an update are ours (`docs/protocols/mediation-proof.md`);
//! others ignore them.

use comity_didcomm::{Did, Message, MessageId};
use serde_json::{Map, Value, json};

use super::{ProtocolError, list, name_in, number, object, text};
use crate::limits::{RECIPIENT_UPDATES_MAX, RECIPIENTS_LISTED_MAX, ROUTING_DIDS_MAX};
use crate::record::message_type;

/// Version 3.0 of the protocol.
pub const COORDINATE_MEDIATION_3: &str = "https://didcomm.org/coordinate-mediation/3.0";
/// Version 2.0 of the protocol.
pub const COORDINATE_MEDIATION_2: &str = "https://didcomm.org/coordinate-mediation/2.0";

/// Which version of the protocol a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.0: `keylist-update` and `keylist`, and one routing DID as text.
    V2,
    /// 3.0: `recipient-update` and `recipient`, and a list of routing DIDs.
    V3,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mediation {
    /// The mediator will not.
    Deny,
    /// The mediator will: messages may be sent to it, under these DIDs.
    Grant {
        /// Used by recipients as the `uri` of their service endpoint.
        routing_did: Vec<Did>,
    },
    /// The DIDs that are registered.
    List {
        /// One page of them.
        dids: Vec<Did>,
        /// Which page.
        pagination: Option<Pagination>,
    },
    /// Which DIDs are registered?
    Query {
        /// Which page of them.
        paginate: Option<Paginate>,
    },
    /// Will the mediator take messages for the sender?
    Request,
    /// For these DIDs, from now on or not any more.
    Update(Vec<Update>),
    /// What became of each update.
    Updated(Vec<Updated>),
}

/// One change of the registered DIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Whom it is about.
    pub recipient_did: Did,
    /// What changes.
    pub action: Action,
    /// That the sender speaks for that DID (`docs/protocols/mediation-proof.md`).
    pub proof: Option<Value>,
}

/// What an [`Update`] changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take messages for the DID.
    Add,
    /// Take none any more.
    Remove,
}

/// What became of one [`Update`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// Whom it is about.
    pub recipient_did: Did,
    /// What was to change.
    pub action: Action,
    /// Whether it did.
    pub result: UpdateResult,
    /// Why not, as a problem code.
    pub code: Option<String>,
}

/// Whether an [`Update`] took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateResult {
    /// The one who asked is the reason that it did not.
    ClientError,
    /// It was so already.
    NoChange,
    /// The mediator is the reason that it did not.
    ServerError,
    /// It did.
    Success,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paginate {
    /// How many entries at most.
    pub limit: u64,
    /// How many are skipped.
    pub offset: u64,
}

/// Which part of a list this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pagination {
    /// How many entries it has.
    pub count: u64,
    /// How many were skipped.
    pub offset: u64,
    /// How many come after it.
    pub remaining: u64,
}

impl Version {
    /// Returns the protocol's identifier.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2 => COORDINATE_MEDIATION_2,
            Self::V3 => COORDINATE_MEDIATION_3,
        }
    }
}

impl Mediation {
    /// Reads a message, and says in which version it is.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or has too many entries.
    pub fn parse(message: &Message) -> Result<(Version, Self), ProtocolError> {
        let known = [(COORDINATE_MEDIATION_3, Version::V3), (COORDINATE_MEDIATION_2, Version::V2)];
        let (version, name) = name_in(message, &known).ok_or(ProtocolError::Unknown)?;
        let body = &message.body;
        let mediation = match (version, name) {
            (_, "mediate-request") => Self::Request,
            (_, "mediate-deny") => Self::Deny,
            (_, "mediate-grant") => Self::Grant { routing_did: routing_did(body)? },
            (Version::V3, "recipient-update") | (Version::V2, "keylist-update") => {
                let updates = list(body, "updates", RECIPIENT_UPDATES_MAX)?;
                Self::Update(updates.iter().map(Update::parse).collect::<Result<_, _>>()?)
            }
            (Version::V3, "recipient-update-response")
            | (Version::V2, "keylist-update-response") => {
                let updated = list(body, "updated", RECIPIENT_UPDATES_MAX)?;
                Self::Updated(updated.iter().map(Updated::parse).collect::<Result<_, _>>()?)
            }
            (Version::V3, "recipient-query") | (Version::V2, "keylist-query") => {
                Self::Query { paginate: paginate(body)? }
            }
            (Version::V3, "recipient") => Self::parse_list(body, "dids")?,
            (Version::V2, "keylist") => Self::parse_list(body, "keys")?,
            _ => return Err(ProtocolError::Unknown),
        };
        Ok((version, mediation))
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, version: Version, id: MessageId) -> Message {
        let (name, body) = match self {
            Self::Request => ("mediate-request", Map::new()),
            Self::Deny => ("mediate-deny", Map::new()),
            Self::Grant { routing_did } => {
                let dids = match version {
                    Version::V2 => json!(routing_did.first()),
                    Version::V3 => json!(routing_did),
                };
                ("mediate-grant", object([("routing_did", Some(dids))]))
            }
            Self::Update(updates) => {
                let updates = updates.iter().map(Update::to_json).collect();
                let name = version.pick("keylist-update", "recipient-update");
                (name, object([("updates", Some(updates))]))
            }
            Self::Updated(updated) => {
                let updated = updated.iter().map(Updated::to_json).collect();
                let name = version.pick("keylist-update-response", "recipient-update-response");
                (name, object([("updated", Some(updated))]))
            }
            Self::Query { paginate } => {
                let page = paginate.map(|page| json!({"limit": page.limit, "offset": page.offset}));
                let name = version.pick("keylist-query", "recipient-query");
                (name, object([("paginate", page)]))
            }
            Self::List { dids, pagination } => {
                let dids = dids.iter().map(|did| json!({ "recipient_did": did })).collect();
                let page = pagination.map(|page| {
                    json!({"count": page.count, "offset": page.offset, "remaining": page.remaining})
                });
                let member = version.pick("keys", "dids");
                let name = version.pick("keylist", "recipient");
                (name, object([(member, Some(dids)), ("pagination", page)]))
            }
        };
        let type_ = message_type(&format!("{}/{name}", version.as_str()));
        Message::new(id, type_).with_body(body)
    }

    fn parse_list(body: &Map<String, Value>, member: &str) -> Result<Self, ProtocolError> {
        let dids = list(body, member, RECIPIENTS_LISTED_MAX)?;
        let dids = dids.iter().map(|entry| {
            let entry = entry.as_object().ok_or(ProtocolError::Malformed)?;
            did(entry, "recipient_did")
        });
        let pagination = match body.get("pagination") {
            None | Some(Value::Null) => None,
            Some(Value::Object(page)) => Some(Pagination {
                count: number(page, "count")?,
                offset: number(page, "offset")?,
                remaining: number(page, "remaining")?,
            }),
            Some(_) => return Err(ProtocolError::Malformed),
        };
        Ok(Self::List { dids: dids.collect::<Result<_, _>>()?, pagination })
    }
}

impl Version {
    const fn pick(self, v2: &'static str, v3: &'static str) -> &'static str {
        match self {
            Self::V2 => v2,
            Self::V3 => v3,
        }
    }
}

impl Update {
    fn parse(value: &Value) -> Result<Self, ProtocolError> {
        let object = value.as_object().ok_or(ProtocolError::Malformed)?;
        Ok(Self {
            recipient_did: did(object, "recipient_did")?,
            action: Action::parse(object)?,
            proof: object.get("proof").filter(|proof| !proof.is_null()).cloned(),
        })
    }

    fn to_json(&self) -> Value {
        Value::Object(object([
            ("recipient_did", Some(json!(self.recipient_did))),
            ("action", Some(json!(self.action.as_str()))),
            ("proof", self.proof.clone()),
        ]))
    }
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }

    fn parse(object: &Map<String, Value>) -> Result<Self, ProtocolError> {
        match text(object, "action")? {
            Some("add") => Ok(Self::Add),
            Some("remove") => Ok(Self::Remove),
            _ => Err(ProtocolError::Malformed),
        }
    }
}

impl UpdateResult {
    const ALL: [Self; 4] = [Self::ClientError, Self::NoChange, Self::ServerError, Self::Success];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientError => "client_error",
            Self::NoChange => "no_change",
            Self::ServerError => "server_error",
            Self::Success => "success",
        }
    }
}

impl Updated {
    fn parse(value: &Value) -> Result<Self, ProtocolError> {
        let object = value.as_object().ok_or(ProtocolError::Malformed)?;
        let word = text(object, "result")?.ok_or(ProtocolError::Malformed)?;
        let result = UpdateResult::ALL.into_iter().find(|result| result.as_str() == word);
        Ok(Self {
            recipient_did: did(object, "recipient_did")?,
            action: Action::parse(object)?,
            result: result.ok_or(ProtocolError::Malformed)?,
            code: text(object, "code")?.map(str::to_owned),
        })
    }

    fn to_json(&self) -> Value {
        Value::Object(object([
            ("recipient_did", Some(json!(self.recipient_did))),
            ("action", Some(json!(self.action.as_str()))),
            ("result", Some(json!(self.result.as_str()))),
            ("code", self.code.as_ref().map(|code| json!(code))),
        ]))
    }
}

fn did(object: &Map<String, Value>, name: &str) -> Result<Did, ProtocolError> {
    let did = text(object, name)?.ok_or(ProtocolError::Malformed)?;
    did.parse().map_err(|_| ProtocolError::Malformed)
}

/// Peers mix the forms of the two versions up; both are read in both.
fn routing_did(body: &Map<String, Value>) -> Result<Vec<Did>, ProtocolError> {
    if let Some(Value::String(_)) = body.get("routing_did") {
        return Ok(vec![did(body, "routing_did")?]);
    }
    let dids = list(body, "routing_did", ROUTING_DIDS_MAX)?;
    let dids = dids.iter().map(|did| did.as_str().and_then(|did| did.parse().ok()));
    let dids: Vec<Did> = dids.collect::<Option<_>>().ok_or(ProtocolError::Malformed)?;
    if dids.is_empty() { Err(ProtocolError::Malformed) } else { Ok(dids) }
}

fn paginate(body: &Map<String, Value>) -> Result<Option<Paginate>, ProtocolError> {
    match body.get("paginate") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(page)) => {
            Ok(Some(Paginate { limit: number(page, "limit")?, offset: number(page, "offset")? }))
        }
        Some(_) => Err(ProtocolError::Malformed),
    }
}

#[cfg(test)]
mod tests;
