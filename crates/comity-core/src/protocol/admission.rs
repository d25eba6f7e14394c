//! Admission 1.0 (`docs/protocols/admission.md`): a recipient tells its relay by which key it knows
//! its friends, and gives these their tokens.

use comity_didcomm::{Curve, Did, Message, MessageId, PublicKey};
use serde_json::{Value, json};

use super::{ProtocolError, name_in, object, text};
use crate::admission::Rule;
use crate::limits::ADMISSION_CHARS_MAX;
use crate::record::message_type;

/// The protocol.
pub const ADMISSION: &str = "https://comity.dev/protocols/admission/1.0";
/// Sets or removes the rule of a registered DID.
pub const ADMISSION_RULE: &str = "https://comity.dev/protocols/admission/1.0/rule";
/// Says that it is set.
pub const ADMISSION_RULE_SET: &str = "https://comity.dev/protocols/admission/1.0/rule-set";
/// Gives a sender its token.
pub const ADMISSION_TOKEN: &str = "https://comity.dev/protocols/admission/1.0/token";

/// Header of a message that asks for a token: the public key that the token is to be bound to.
pub const ADMISSION_KEY: &str = "admission_key";
/// Header of a forward: the token and the proof.
pub const ADMISSION_SHOWN: &str = "admission";
/// Header of a delivery: what each message was to the relay, by the ids of the attachments.
pub const ADMISSION_CLASSES: &str = "comity_admission";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmissionMessage {
    /// From now on, by this rule, or by none.
    Rule {
        /// Whose rule it is.
        recipient_did: Did,
        /// The rule.
        rule: Option<Rule>,
    },
    /// It is set.
    RuleSet {
        /// Whose rule it is.
        recipient_did: Did,
    },
    /// This is to be shown with each forward to the sender of this message.
    Token {
        /// The token.
        token: String,
    },
}

impl AdmissionMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of the protocol, or malformed.
    pub fn parse(message: &Message) -> Result<Self, ProtocolError> {
        let body = &message.body;
        let recipient = || {
            let did = text(body, "recipient_did")?.ok_or(ProtocolError::Malformed)?;
            did.parse().map_err(|_| ProtocolError::Malformed)
        };
        match name_in(message, &[(ADMISSION, ())]) {
            Some(((), "rule")) => {
                let pool_percent = match body.get("pool_percent") {
                    None | Some(Value::Null) => None,
                    Some(percent) => Some(percent_of(percent).ok_or(ProtocolError::Malformed)?),
                };
                let rule = match body.get("key") {
                    Some(Value::Null) => None,
                    key => {
                        let key = key.and_then(key_of).ok_or(ProtocolError::Malformed)?;
                        Some(Rule { key, pool_percent })
                    }
                };
                Ok(Self::Rule { recipient_did: recipient()?, rule })
            }
            Some(((), "rule-set")) => Ok(Self::RuleSet { recipient_did: recipient()? }),
            Some(((), "token")) => {
                let token = text(body, "token")?.ok_or(ProtocolError::Malformed)?;
                if ADMISSION_CHARS_MAX < token.len() {
                    return Err(ProtocolError::Malformed);
                }
                Ok(Self::Token { token: token.to_owned() })
            }
            _ => Err(ProtocolError::Unknown),
        }
    }

    /// Makes the message.
    #[must_use]
    pub fn into_message(self, id: MessageId) -> Message {
        let (type_, body) = match self {
            Self::Rule { recipient_did, rule } => {
                let percent = rule.as_ref().and_then(|rule| rule.pool_percent);
                let members = [
                    ("recipient_did", Some(json!(recipient_did))),
                    ("key", Some(rule.map_or(Value::Null, |rule| json!(rule.key.to_jwk())))),
                    ("pool_percent", percent.map(|percent| json!(percent))),
                ];
                (ADMISSION_RULE, object(members))
            }
            Self::RuleSet { recipient_did } => {
                (ADMISSION_RULE_SET, object([("recipient_did", Some(json!(recipient_did)))]))
            }
            Self::Token { token } => (ADMISSION_TOKEN, object([("token", Some(json!(token)))])),
        };
        Message::new(id, message_type(type_)).with_body(body)
    }
}

fn percent_of(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|percent| u8::try_from(percent).ok()).filter(|percent| *percent <= 100)
}

fn key_of(value: &Value) -> Option<PublicKey> {
    let key = PublicKey::from_jwk(value.as_object()?).ok()?;
    (key.curve() == Curve::Ed25519).then_some(key)
}

#[cfg(test)]
mod tests {
    use comity_didcomm::SigningKey;

    use super::*;

    fn id() -> MessageId {
        MessageId::parse("a-1").unwrap()
    }

    #[test]
    fn every_message_survives_both_ways() {
        let recipient_did: Did = "did:web:b.example:agents:bruno".parse().unwrap();
        let key = SigningKey::generate(&mut rand::rng()).public();
        for rule in [
            None,
            Some(Rule { key, pool_percent: None }),
            Some(Rule { key, pool_percent: Some(0) }),
            Some(Rule { key, pool_percent: Some(100) }),
        ] {
            let message = AdmissionMessage::Rule { recipient_did: recipient_did.clone(), rule };
            assert_eq!(AdmissionMessage::parse(&message.clone().into_message(id())), Ok(message));
        }
        for message in [
            AdmissionMessage::RuleSet { recipient_did },
            AdmissionMessage::Token { token: "a.b.c".to_owned() },
        ] {
            assert_eq!(AdmissionMessage::parse(&message.clone().into_message(id())), Ok(message));
        }
    }

    #[test]
    fn a_rule_without_a_key_of_the_kind_is_malformed_and_not_a_removal() {
        let rule = |body: Value| {
            let Value::Object(body) = body else { panic!() };
            let message = Message::new(id(), message_type(ADMISSION_RULE)).with_body(body);
            AdmissionMessage::parse(&message)
        };
        let did = "did:web:b.example";
        let other = SigningKey::generate_on(Curve::P256, &mut rand::rng()).unwrap().public();
        let good = SigningKey::generate(&mut rand::rng()).public().to_jwk();
        assert!(rule(json!({ "recipient_did": did, "key": null })).is_ok());
        for bad in [
            json!({ "recipient_did": did }),
            json!({ "recipient_did": did, "key": "x" }),
            json!({ "recipient_did": did, "key": other.to_jwk() }),
            json!({ "recipient_did": did, "key": good, "pool_percent": 101 }),
            json!({ "recipient_did": did, "key": good, "pool_percent": -1 }),
            json!({ "recipient_did": did, "key": good, "pool_percent": "5" }),
            json!({ "recipient_did": "bruno", "key": good }),
            json!({ "key": good }),
        ] {
            assert_eq!(rule(bad.clone()), Err(ProtocolError::Malformed), "{bad}");
        }
    }
}
