//! The webhook: how an event is written and signed for it, and what follows from its answer. Posting
//! is the shell's.
//!
//! Implements Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>), the
//! symmetric scheme `v1`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_didcomm::UnixTime;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::api::EventInfo;
use crate::event::WebhookEnd;
use crate::limits::{
    WEBHOOK_GIVE_UP_S, WEBHOOK_RETRY_MS_FIRST, WEBHOOK_RETRY_MS_MAX, WEBHOOK_SECRET_BYTES,
    WEBHOOK_SECRETS_MAX,
};

/// Header with the id of the event: the same however often it is posted.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the time of the attempt, in seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures, spaces between them.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What a secret begins with, so that one sees what it is.
const PREFIX: &str = "whsec_";

/// One or more secrets that node and receiver share: with several, each event has a signature by each.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

/// A text that is no list of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "give whsec_ and 24 to 64 bytes in base64; of several, at most four, with spaces between them"
)]
pub struct SecretError;

impl Secrets {
    /// Writes a secret as it is handed to the receiver. The bytes are random.
    #[must_use]
    pub fn compose(bytes: &[u8; 32]) -> String {
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }

    /// Signs an event (section "Signature scheme"): `{id}.{timestamp}.{payload}`, whose first two
    /// parts hold no full stop.
    #[must_use]
    pub fn sign(&self, id: &str, at: UnixTime, payload: &[u8]) -> String {
        let content = content(id, at, payload);
        let signatures = self.0.iter().map(|key| hmac::sign(key, &content));
        let signatures = signatures.map(|signature| format!("v1,{}", STANDARD.encode(signature)));
        signatures.collect::<Vec<_>>().join(" ")
    }

    /// Whether one of the signatures is by one of these secrets, as a receiver checks it. That the time
    /// is near the present is left to the receiver.
    #[must_use]
    pub fn verify(&self, id: &str, at: UnixTime, payload: &[u8], signatures: &str) -> bool {
        let content = content(id, at, payload);
        let signatures = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
        signatures.filter_map(|one| STANDARD.decode(one).ok()).any(|signature| {
            self.0.iter().any(|key| hmac::verify(key, &content, &signature).is_ok())
        })
    }
}

impl FromStr for Secrets {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let keys: Vec<_> = text.split_whitespace().map(key).collect::<Result<_, _>>()?;
        match keys.len() {
            1..=WEBHOOK_SECRETS_MAX => Ok(Self(keys)),
            _ => Err(SecretError),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn key(text: &str) -> Result<hmac::Key, SecretError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| SecretError)?;
    let (min, max) = WEBHOOK_SECRET_BYTES;
    match (min..=max).contains(&bytes.len()) {
        true => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
        false => Err(SecretError),
    }
}

fn content(id: &str, at: UnixTime, payload: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", at.to_string().as_bytes(), b".", payload].concat()
}

/// Writes what is posted (section "Payload structure"): `type`, `timestamp` and `data`. The type has a
/// full stop where the APIs have a hyphen.
#[must_use]
pub fn payload(info: &EventInfo) -> Vec<u8> {
    let mut data = match serde_json::to_value(&info.event) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let type_ = data.remove("type").and_then(|type_| type_.as_str().map(|it| it.replace('-', ".")));
    data.insert("seq".to_owned(), Value::from(info.seq));
    let members = [
        ("type", Value::from(type_.unwrap_or_default())),
        ("timestamp", Value::from(info.at.as_str())),
        ("data", Value::Object(data)),
    ];
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect()).to_string().into_bytes()
}

/// How one attempt to post an event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// There was an answer.
    Answered {
        /// Its status.
        status: u16,
        /// For how many seconds it asks to wait.
        after_s: Option<u64>,
    },
    /// There was none.
    Unreachable,
    /// It cannot be posted to.
    Unusable(WebhookEnd),
}

/// What to do after an [`Attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Post nothing more.
    Disable(WebhookEnd),
    /// It was tried for long enough: leave the event out.
    GiveUp,
    /// The receiver has it: go on with the next.
    Next,
    /// Try again after this pause.
    Retry {
        /// The pause.
        pause_ms: u64,
    },
}

/// Decides what follows from an attempt (section "Delivery success and failure"). `attempts` counts
/// those made for this event, this one included, and `tried_s` the seconds since the first; `jitter` is
/// random in 0..1.
#[must_use]
pub fn after_attempt(attempt: Attempt, attempts: u32, tried_s: u64, jitter: f64) -> Step {
    let after_s = match attempt {
        Attempt::Answered { status: 200..=299, .. } => return Step::Next,
        Attempt::Answered { status: 410, .. } => return Step::Disable(WebhookEnd::Gone),
        Attempt::Answered { after_s, .. } => after_s.unwrap_or(0),
        Attempt::Unreachable => 0,
        Attempt::Unusable(end) => return Step::Disable(end),
    };
    if WEBHOOK_GIVE_UP_S <= tried_s {
        return Step::GiveUp;
    }
    let doubled = WEBHOOK_RETRY_MS_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let backoff = doubled.min(WEBHOOK_RETRY_MS_MAX);
    // Between half and all of it.
    let spread = backoff / 2 + scale(backoff / 2, jitter);
    let wished = after_s.saturating_mul(1000).min(WEBHOOK_RETRY_MS_MAX);
    Step::Retry { pause_ms: spread.max(wished) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds below 2^32, and a factor in 0..1"
)]
fn scale(millis: u64, factor: f64) -> u64 {
    (millis as f64 * factor.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Event;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The vector of the specification's own libraries (`libraries/go/webhook_symmetric_test.go`).
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secrets: Secrets = SECRET.parse().unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", UnixTime(1_614_265_330));
        let payload = br#"{"test": 2432232314}"#;
        let signature = secrets.sign(id, at, payload);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(secrets.verify(id, at, payload, &signature));
        assert!(secrets.verify(id, at, payload, &format!("v1a,AAAA v1,AAAA {signature}")));
        assert!(!secrets.verify(id, UnixTime(1_614_265_331), payload, &signature));
        assert!(!secrets.verify("msg_other", at, payload, &signature));
        assert!(!secrets.verify(id, at, b"{}", &signature));
        assert!(!secrets.verify(id, at, payload, "v1,"));
    }

    #[test]
    fn a_new_secret_and_the_former_one_both_sign() {
        let new = Secrets::compose(&[7; 32]);
        let [old, new]: [Secrets; 2] = [SECRET, &new].map(|secret| secret.parse().unwrap());
        let both: Secrets = format!("{} {SECRET}", Secrets::compose(&[7; 32])).parse().unwrap();
        let signatures = both.sign("evt_1", UnixTime(5), b"{}");
        assert_eq!(signatures.split(' ').count(), 2);
        for secrets in [&old, &new] {
            assert!(secrets.verify("evt_1", UnixTime(5), b"{}", &signatures));
            assert_eq!(format!("{secrets:?}"), "Secrets(1)");
        }
    }

    #[test]
    fn short_long_many_and_nameless_secrets_are_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for good in [of(24), of(64), [SECRET; 4].join("\n")] {
            assert!(good.parse::<Secrets>().is_ok(), "{good}");
        }
        let nameless = SECRET.trim_start_matches("whsec_").to_owned();
        for bad in
            [of(23), of(65), nameless, String::new(), "whsec_?".to_owned(), [SECRET; 5].join(" ")]
        {
            assert_eq!(bad.parse::<Secrets>().err(), Some(SecretError), "{bad}");
        }
    }

    #[test]
    fn what_is_posted_has_a_type_a_time_and_data() {
        let event = Event::WebhookDisabled { reason: WebhookEnd::Gone };
        let at = "2026-09-21T14:13:20Z".to_owned();
        let info = EventInfo { seq: 7, id: "evt_1".to_owned(), at, event };
        let posted: Value = serde_json::from_slice(&payload(&info)).unwrap();
        let expected = json!({
            "type": "webhook.disabled",
            "timestamp": "2026-09-21T14:13:20Z",
            "data": { "reason": "gone", "seq": 7 },
        });
        assert_eq!(posted, expected);
    }

    #[test]
    fn only_a_2xx_is_success_and_a_410_the_end() {
        let step = |status| {
            let attempt = Attempt::Answered { status, after_s: None };
            after_attempt(attempt, 1, 0, 1.0)
        };
        let retry = Step::Retry { pause_ms: WEBHOOK_RETRY_MS_FIRST };
        assert_eq!([200, 204, 299].map(step), [Step::Next; 3]);
        assert_eq!(step(410), Step::Disable(WebhookEnd::Gone));
        assert_eq!([100, 301, 307, 400, 404, 429, 500, 502, 504].map(step), [retry; 9]);
        let denied = Attempt::Unusable(WebhookEnd::AddressDenied);
        assert_eq!(after_attempt(denied, 1, 0, 1.0), Step::Disable(WebhookEnd::AddressDenied));
    }

    #[test]
    fn pauses_double_up_to_the_bound_and_an_event_is_given_up_after_days() {
        let pause = |attempts, after_s, jitter| {
            let attempt = Attempt::Answered { status: 503, after_s };
            match after_attempt(attempt, attempts, 0, jitter) {
                Step::Retry { pause_ms } => pause_ms,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pause(1, None, 0.0), WEBHOOK_RETRY_MS_FIRST / 2);
        assert_eq!(pause(3, None, 1.0), 4 * WEBHOOK_RETRY_MS_FIRST);
        assert_eq!(pause(u32::MAX, None, 1.0), WEBHOOK_RETRY_MS_MAX);
        assert_eq!(pause(1, Some(60), 0.0), 60_000);
        assert_eq!(pause(1, Some(u64::MAX), 0.0), WEBHOOK_RETRY_MS_MAX);
        let late = after_attempt(Attempt::Unreachable, 9, WEBHOOK_GIVE_UP_S, 0.5);
        assert_eq!(late, Step::GiveUp);
    }
}
