//! [`Parameters`] (did:webvh 1.0, section "did:webvh DID Method Parameters"): what governs the
//! reading and writing of a log, as set by one entry over those before it.
//!
//! Strict: a name that the specification does not have, or a value of another type, refuses the
//! entry. The one leniency is its own: an early `null` stands for the default.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::WebvhError;
use super::canonical::hash;
use crate::did::{Did, key};
use crate::key::{Curve, PublicKey, SigningKey};
use crate::limits::{WEBVH_LIST_MAX, WEBVH_TEXT_CHARS_MAX};

/// The version of the specification that this crate implements, as logs name it.
pub(super) const METHOD: &str = "did:webvh:1.0";
const TTL_DEFAULT_SECS: u32 = 3600;
const TTL_SECS_MAX: u64 = 1 << 31;

/// Holds the parameters that are active after an entry.
///
/// Entries that leave a list as it is share it: each of a thousand versions has its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// Keys, in Multikey form, that may sign the next entry unless there are `next_key_hashes`.
    pub update_keys: Arc<[String]>,
    /// Hashes of the keys that may sign the next entry (pre-rotation); empty: no commitment.
    pub next_key_hashes: Arc<[String]>,
    /// Who has to approve the next entry.
    pub witness: Option<Witnesses>,
    /// Services that keep copies.
    pub watchers: Arc<[String]>,
    /// Whether the DID may move to another place.
    pub portable: bool,
    /// Whether the DID has ended.
    pub deactivated: bool,
    /// How long a resolver may keep what it read, in seconds.
    pub ttl_secs: u32,
}

/// Names the witnesses of a log, and how many of them have to approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    threshold: usize,
    /// Keys in Multikey form, each once.
    keys: Arc<[String]>,
}

impl Witnesses {
    /// Names witnesses by their keys.
    ///
    /// # Errors
    /// When the threshold is not in 1 to the number of keys, or a key is named twice or cannot
    /// sign.
    pub fn new(threshold: usize, keys: &[PublicKey]) -> Result<Self, WebvhError> {
        let signing = keys.iter().all(|key| key.curve() == Curve::Ed25519);
        let keys = keys.iter().map(PublicKey::to_multibase).collect();
        let witnesses = Self { threshold, keys };
        if signing { witnesses.checked() } else { Err(WebvhError::Parameter("witness")) }
    }

    /// Returns how many have to approve.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// Returns their keys in Multikey form.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    fn read(object: &Map<String, Value>) -> Option<Self> {
        let threshold = usize::try_from(object.get("threshold")?.as_u64()?).ok()?;
        let listed = object.get("witnesses")?.as_array()?;
        if WEBVH_LIST_MAX < listed.len() {
            return None;
        }
        let mut keys = Vec::with_capacity(listed.len());
        for witness in listed {
            let did = Did::parse(witness.get("id")?.as_str()?).ok()?;
            // A witness that cannot sign would leave a threshold that cannot be reached.
            let document = key::resolve(&did).ok()?;
            document.signing_keys().find(|(_, key)| key.curve() == Curve::Ed25519)?;
            keys.push(did.method_specific_id().to_owned());
        }
        Self { threshold, keys: keys.into() }.checked().ok()
    }

    fn checked(self) -> Result<Self, WebvhError> {
        let mut sorted: Vec<_> = self.keys.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let is_sound = sorted.len() == self.keys.len()
            && self.keys.len() <= WEBVH_LIST_MAX
            && (1..=self.keys.len()).contains(&self.threshold);
        if is_sound { Ok(self) } else { Err(WebvhError::Parameter("witness")) }
    }

    pub(super) fn to_json(&self) -> Value {
        let ids: Vec<_> =
            self.keys.iter().map(|key| json!({ "id": format!("did:key:{key}") })).collect();
        json!({ "threshold": self.threshold, "witnesses": ids })
    }
}

impl Parameters {
    /// Reads the parameters of the first entry. Returns them with the SCID that they claim.
    pub(super) fn first(given: &Map<String, Value>) -> Result<(Self, &str), WebvhError> {
        let defaults = Self {
            update_keys: Arc::default(),
            next_key_hashes: Arc::default(),
            witness: None,
            watchers: Arc::default(),
            portable: false,
            deactivated: false,
            ttl_secs: TTL_DEFAULT_SECS,
        };
        if !given.contains_key("method") {
            return Err(WebvhError::Method);
        }
        if !given.contains_key("updateKeys") {
            return Err(WebvhError::Parameter("updateKeys"));
        }
        let scid = given.get("scid").and_then(Value::as_str);
        Ok((defaults.with(given)?, scid.ok_or(WebvhError::Parameter("scid"))?))
    }

    /// Reads the parameters of a later entry.
    pub(super) fn next(&self, given: &Map<String, Value>) -> Result<Self, WebvhError> {
        if given.contains_key("scid") {
            return Err(WebvhError::Parameter("scid"));
        }
        if given.get("portable") == Some(&Value::Bool(true)) && !self.portable {
            return Err(WebvhError::Parameter("portable"));
        }
        let next = self.clone().with(given)?;
        if !self.next_key_hashes.is_empty() {
            let both = given.contains_key("nextKeyHashes") && given.contains_key("updateKeys");
            let committed =
                next.update_keys.iter().all(|key| self.next_key_hashes.contains(&hash(key)));
            if !both || !committed {
                return Err(WebvhError::PreRotation);
            }
        }
        Ok(next)
    }

    fn with(mut self, given: &Map<String, Value>) -> Result<Self, WebvhError> {
        for (name, value) in given {
            match name.as_str() {
                "method" if value == METHOD => {}
                "method" => return Err(WebvhError::Method),
                "scid" if value.is_string() => {}
                "updateKeys" => self.update_keys = texts("updateKeys", value)?,
                "nextKeyHashes" => self.next_key_hashes = texts("nextKeyHashes", value)?,
                "watchers" => self.watchers = texts("watchers", value)?,
                "witness" => self.witness = witness(value)?,
                "portable" => self.portable = flag("portable", value)?,
                "deactivated" => self.deactivated = flag("deactivated", value)?,
                "ttl" => self.ttl_secs = ttl(value)?,
                _ => return Err(WebvhError::Parameter("a name that version 1.0 does not have")),
            }
        }
        Ok(self)
    }

    /// The keys that may sign the entry that follows `self` and sets `next`.
    pub(super) fn signers<'a>(&'a self, next: &'a Self) -> &'a [String] {
        if self.next_key_hashes.is_empty() { &self.update_keys } else { &next.update_keys }
    }

    /// The witnesses of the entry that follows `self` and sets `next`: the first ones approve their
    /// own appointment, later ones begin with the entry after it.
    pub(super) fn approvers<'a>(&'a self, next: &'a Self) -> Option<&'a Witnesses> {
        self.witness.as_ref().or(next.witness.as_ref())
    }

    /// Whether a key may sign the next entry.
    pub(super) fn admits(&self, key: &SigningKey) -> bool {
        let name = key.public().to_multibase();
        if self.next_key_hashes.is_empty() {
            return self.update_keys.contains(&name);
        }
        self.next_key_hashes.contains(&hash(&name))
    }
}

fn witness(value: &Value) -> Result<Option<Witnesses>, WebvhError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(object) if object.is_empty() => Ok(None),
        Value::Object(object) => {
            Witnesses::read(object).map(Some).ok_or(WebvhError::Parameter("witness"))
        }
        _ => Err(WebvhError::Parameter("witness")),
    }
}

fn texts(name: &'static str, value: &Value) -> Result<Arc<[String]>, WebvhError> {
    let items = match value {
        Value::Null => return Ok(Arc::default()),
        Value::Array(items) if items.len() <= WEBVH_LIST_MAX => items,
        _ => return Err(WebvhError::Parameter(name)),
    };
    let text = |item: &Value| match item {
        Value::String(text) if text.len() <= WEBVH_TEXT_CHARS_MAX => Some(text.clone()),
        _ => None,
    };
    items.iter().map(text).collect::<Option<_>>().ok_or(WebvhError::Parameter(name))
}

fn flag(name: &'static str, value: &Value) -> Result<bool, WebvhError> {
    value.as_bool().ok_or(WebvhError::Parameter(name))
}

fn ttl(value: &Value) -> Result<u32, WebvhError> {
    if value.is_null() {
        return Ok(TTL_DEFAULT_SECS);
    }
    let secs = value.as_u64().filter(|secs| *secs <= TTL_SECS_MAX);
    secs.and_then(|secs| u32::try_from(secs).ok()).ok_or(WebvhError::Parameter("ttl"))
}
