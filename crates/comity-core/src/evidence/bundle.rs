//! The file: exports, each signed by the agent whose it is.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, DidUrl, Jwt, SigningKey, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_PARTS_MAX};
use crate::log::VerifierKey;

/// The format of a bundle.
pub const BUNDLE_FORMAT: &str = "comity-evidence/1";

/// The `typ` of an export's signature.
pub const EXPORT_TYPE: &str = "comity-evidence+jwt";

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// The exports.
    pub parts: Vec<Part>,
}

/// An export with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What is shown.
    pub export: Export,
    /// The agent's signature over the hash of `export`.
    pub signature: String,
}

/// What an agent shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Whose it is.
    pub agent: Did,
    /// When it was made.
    pub at: UnixTime,
    /// Checkpoints of the log, by rising size.
    pub checkpoints: Vec<Mark>,
    /// The end of the chain as the agent signed it.
    pub head: String,
    /// What the chain consists of from `since` on, to its head.
    pub links: Vec<Rest>,
    /// The key of the log.
    pub log: VerifierKey,
    /// The node that keeps the log.
    pub node: Did,
    /// The entry before the first link, base64url.
    pub prev: String,
    /// What was to be exported.
    pub selection: Selection,
    /// The number of the first link.
    pub since: u64,
    /// The statements that are shown, by rising number.
    pub statements: Vec<Shown>,
    /// The key with which the node cosigns others' checkpoints.
    pub witness: VerifierKey,
    /// Checkpoints of others that the node has cosigned.
    pub witnessed: Vec<String>,
    /// The keys of the witnesses that cosigned.
    pub witnesses: Vec<VerifierKey>,
}

/// A checkpoint, and that it continues the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The consistency proof, base64url; empty for the first.
    pub consistency: Vec<String>,
    /// The signed note.
    pub note: String,
}

/// A link of the chain without what follows from its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Tag of the peer.
    pub peer: String,
    /// Hash of the statement.
    pub statement: String,
    /// Tag of the thread.
    pub thread: String,
}

/// What was to be exported: every statement that it covers is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Selection {
    /// What the agent had to do with somebody.
    With(Did),
    /// A thread.
    Thread(String),
    /// Everything from one number of the chain to another.
    Numbers {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// A statement that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Which of the checkpoints its entry is proven in, from 0.
    pub checkpoint: u64,
    /// The index of its entry in the log.
    pub index: u64,
    /// What opens its digest; absent if it is not shown, or was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// The inclusion proof, base64url.
    pub proof: Vec<String>,
    /// Its number in the chain.
    pub seq: u64,
    /// Its text.
    pub text: String,
}

/// What a statement is about, with the salt of its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The salt, base64url.
    pub salt: String,
    /// The object: a signed message, a document, a decision, the name of a token.
    pub text: String,
}

/// Says why bytes are no bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The format is another.
    #[error("the file has the format {0:?}, and this verifier knows {BUNDLE_FORMAT}")]
    Format(String),
    /// It is JSON, but not in its only form: members sorted, no white space (RFC 8785).
    #[error("the file is not in the form of RFC 8785: it was written by something else, or edited")]
    NotCanonical,
    /// It is not JSON.
    #[error("the file is not JSON: {0}")]
    NotJson(String),
    /// A member is missing, unknown, or of the wrong kind.
    #[error("the file is no bundle: {0}")]
    Shape(String),
    /// It is larger, or has more exports, than is read.
    #[error("the file is larger than is read")]
    TooLarge,
}

impl Bundle {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no bundle; says why.
    pub fn parse(text: &[u8]) -> Result<Self, BundleError> {
        if BUNDLE_BYTES_MAX < text.len() {
            return Err(BundleError::TooLarge);
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let bundle: Self = serde_json::from_slice(text).map_err(|error| no_bundle(text, &error))?;
        if bundle.format != BUNDLE_FORMAT {
            return Err(BundleError::Format(bundle.format));
        }
        if BUNDLE_PARTS_MAX < bundle.parts.len() {
            return Err(BundleError::TooLarge);
        }
        // What a type reads in two ways would be written in another way than it was signed.
        if bundle.to_text().as_bytes() != text {
            return Err(BundleError::NotCanonical);
        }
        Ok(bundle)
    }

    /// Writes the file, without a final newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        json!(self).to_string()
    }
}

/// Says why a text is no bundle: JSON of another format is told apart from other JSON, and from none.
fn no_bundle(text: &[u8], error: &serde_json::Error) -> BundleError {
    #[derive(Deserialize)]
    struct Probe {
        format: String,
    }
    match serde_json::from_slice::<Probe>(text) {
        Ok(probe) if probe.format != BUNDLE_FORMAT => BundleError::Format(probe.format),
        Ok(_) => BundleError::Shape(error.to_string()),
        Err(_) if error.is_data() => BundleError::Shape(error.to_string()),
        Err(_) => BundleError::NotJson(error.to_string()),
    }
}

impl Export {
    /// Hashes the export: SHA-256 of its text, base64url.
    #[must_use]
    pub fn hash(&self) -> String {
        let text = json!(self).to_string();
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }
}

/// Signs an export.
#[must_use]
pub fn sign_export(export: Export, (kid, key): (&DidUrl, &SigningKey)) -> Part {
    let claims = json!({ "iat": export.at, "iss": export.agent, "sha256": export.hash() });
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    // It is small, and issued by the DID of its key.
    let signature = Jwt::sign(EXPORT_TYPE, kid, key, &claims).unwrap_or_default();
    Part { export, signature }
}
