//! Discover Features 2.0: what does the other side understand? With the feature type `constraint`
//! of DIDComm v2.1, by which a receiver says how much it takes (`max_receive_bytes`).

use comity_didcomm::{Message, MessageId};
use serde_json::{Map, Value, json};

use super::{ProtocolError, list, name_in, object, text};
use crate::limits::{DISCLOSURES_MAX, FEATURE_QUERIES_MAX};
use crate::record::message_type;

/// The protocol.
pub const DISCOVER_FEATURES: &str = "https://didcomm.org/discover-features/2.0";
/// The question.
pub const QUERIES: &str = "https://didcomm.org/discover-features/2.0/queries";
/// The answer.
pub const DISCLOSE: &str = "https://didcomm.org/discover-features/2.0/disclose";

/// The constraint that says how large an envelope may be.
pub const MAX_RECEIVE_BYTES: &str = "max_receive_bytes";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverFeatures {
    /// The answer: what is disclosed; nothing is a legal answer too.
    Disclose(Vec<Feature>),
    /// The question.
    Queries(Vec<FeatureQuery>),
}

/// One question: features of a type whose id matches a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureQuery {
    /// Such as `protocol`; unknown types match nothing.
    pub feature_type: String,
    /// An id in which `*` stands for any text.
    pub pattern: String,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Such as `protocol`.
    pub feature_type: String,
    /// Which one.
    pub id: String,
    /// With a protocol: the roles that are played.
    pub roles: Vec<String>,
    /// With a constraint: its value, under the constraint's own name.
    pub value: Option<u64>,
}

impl Feature {
    /// Names a protocol and the roles that are played in it.
    #[must_use]
    pub fn protocol(id: &str, roles: &[&str]) -> Self {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Self { feature_type: "protocol".to_owned(), id: id.to_owned(), roles, value: None }
    }

    /// States a constraint.
    #[must_use]
    pub fn constraint(id: &str, value: u64) -> Self {
        let (feature_type, id) = ("constraint".to_owned(), id.to_owned());
        Self { feature_type, id, roles: Vec::new(), value: Some(value) }
    }

    fn parse(value: &Value) -> Result<Self, ProtocolError> {
        let object = value.as_object().ok_or(ProtocolError::Malformed)?;
        let id = text(object, "id")?.ok_or(ProtocolError::Malformed)?;
        let roles = match object.contains_key("roles") {
            true => list(object, "roles", DISCLOSURES_MAX)?,
            false => &[],
        };
        // Examples have the value as text; a number says the same.
        let value = object.get(id).and_then(|value| match value {
            Value::String(digits) => digits.parse().ok(),
            other => other.as_u64(),
        });
        Ok(Self {
            feature_type: text(object, "feature-type")?.ok_or(ProtocolError::Malformed)?.to_owned(),
            id: id.to_owned(),
            roles: roles.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            value,
        })
    }

    fn to_json(&self) -> Value {
        let mut object = object([
            ("feature-type", Some(json!(self.feature_type))),
            ("id", Some(json!(self.id))),
            ("roles", (!self.roles.is_empty()).then(|| json!(self.roles))),
        ]);
        if let Some(value) = self.value {
            object.insert(self.id.clone(), json!(value.to_string()));
        }
        Value::Object(object)
    }
}

impl FeatureQuery {
    /// Whether a feature is asked for: same type, and an id that the pattern matches.
    #[must_use]
    pub fn matches(&self, feature: &Feature) -> bool {
        self.feature_type == feature.feature_type && wildcard(&self.pattern, &feature.id)
    }
}

impl DiscoverFeatures {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, malformed, or asks for too much.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let body = &message.body;
        match name_in(message, &[(DISCOVER_FEATURES, ())]) {
            Some(((), "queries")) => {
                let queries = list(body, "queries", FEATURE_QUERIES_MAX)?;
                queries.iter().map(query).collect::<Result<_, _>>().map(Self::Queries)
            }
            Some(((), "disclose")) => {
                let features = list(body, "disclosures", DISCLOSURES_MAX)?;
                features.iter().map(Feature::parse).collect::<Result<_, _>>().map(Self::Disclose)
            }
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        match self {
            Self::Queries(queries) => {
                let queries: Vec<Value> = queries
                    .into_iter()
                    .map(|one| json!({ "feature-type": one.feature_type, "match": one.pattern }))
                    .collect();
                Message::new(id, message_type(QUERIES)).with_body_member("queries", queries)
            }
            Self::Disclose(features) => {
                let features: Vec<Value> = features.iter().map(Feature::to_json).collect();
                Message::new(id, message_type(DISCLOSE)).with_body_member("disclosures", features)
            }
        }
    }
}

fn query(value: &Value) -> Result<FeatureQuery, ProtocolError> {
    let object: &Map<String, Value> = value.as_object().ok_or(ProtocolError::Malformed)?;
    let member = |name| text(object, name)?.ok_or(ProtocolError::Malformed);
    Ok(FeatureQuery {
        feature_type: member("feature-type")?.to_owned(),
        pattern: member("match")?.to_owned(),
    })
}

/// Matches a text with a pattern in which `*` stands for any text: each part as early as it comes,
/// so the work is bounded by the product of the two lengths.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_survive_both_ways() {
        let id = || MessageId::parse("q-1").unwrap();
        let query =
            FeatureQuery { feature_type: "protocol".to_owned(), pattern: "https://*".to_owned() };
        let features = vec![
            Feature::protocol("https://didcomm.org/routing/2.0", &["mediator"]),
            Feature::constraint(MAX_RECEIVE_BYTES, 1_048_576),
        ];
        for message in
            [DiscoverFeatures::Queries(vec![query]), DiscoverFeatures::Disclose(features)]
        {
            let read = DiscoverFeatures::parse(&message.clone().into_message(id()));
            assert_eq!(read, Ok(message));
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let uri = "https://didcomm.org/routing/2.0";
        for pattern in ["*", uri, "https://didcomm.org/*", "*2.0", "*routing*", "h*r*0", "**"] {
            assert!(wildcard(pattern, uri), "{pattern}");
        }
        for pattern in ["", "https://didcomm.org/routing", "*1.0", "*x*", "r*", "h*0*0*0*0"] {
            assert!(!wildcard(pattern, uri), "{pattern}");
        }
    }

    #[test]
    fn too_many_questions_are_refused() {
        let one = json!({ "feature-type": "protocol", "match": "*" });
        let many = vec![one; FEATURE_QUERIES_MAX + 1];
        let message = Message::new("q-1".parse().unwrap(), message_type(QUERIES))
            .with_body_member("queries", many);
        assert_eq!(DiscoverFeatures::parse(&message), Err(ProtocolError::TooMany));
    }
}
