//! did:webvh 1.0 (Decentralized Identity Foundation): a did:web with a signed, hash-chained
//! history, so that it can be said years later which key spoke for a DID at a given time. Reads and
//! verifies whole logs, answers for any version, and writes logs.
//!
//! Fetches nothing: [`log_url`] and [`witness_url`] say where the two files are, and
//! [`Log::verify`] takes their text. As strict as [`super::web`] about hosts and paths, and
//! stricter than the specification where it leaves a choice: one bad entry spoils the whole log,
//! every proof of an entry has to be good, and JSON may not say a name twice.
//!
//! ```
//! # use comity_didcomm::{AgreementKey, DidDocument, SigningKey, UnixTime, VerificationMethod};
//! # use comity_didcomm::did::webvh::{self, History, Select, Settings};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng: rand::rngs::StdRng = rand::make_rng();
//! # let now = UnixTime(1_800_000_000);
//! let (update_key, next_key) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
//! let document_with = |did: &comity_didcomm::Did, key: &SigningKey, name: &str| {
//!     let mut document = DidDocument::new(did.clone());
//!     let id = document.add_key(VerificationMethod::new(did.url(name), key.public()));
//!     document.authentication.push(id);
//!     document
//! };
//! // The first version, which commits to the key that may sign the second one.
//! let draft = webvh::draft_did("org-b.example", None, &["agents", "bruno"])?;
//! let old = SigningKey::generate(&mut rng);
//! let settings = Settings { next_keys: &[next_key.public()], ..Settings::default() };
//! let (mut log, history) =
//!     webvh::create(&document_with(&draft, &old, "key-1"), &update_key, &settings, now)?;
//! let did = history.did().clone();
//! assert_eq!(webvh::log_url(&did)?.https_url(), "https://org-b.example/agents/bruno/did.jsonl");
//!
//! // The second version, with another signing key.
//! let new = SigningKey::generate(&mut rng);
//! let later = now.saturating_add(60);
//! let document = document_with(&did, &new, "key-2");
//! log += &webvh::update(&history, &document, &next_key, &Settings::default(), later)?;
//!
//! // Anybody can tell which key was whose when.
//! let history = History::verify(&did, log.as_bytes(), None, later)?;
//! let then = history.at(&Select::Time(now))?;
//! assert_eq!(then.document.authentication_key(&did.url("key-1")), Some(&old.public()));
//! assert_eq!(history.at(&Select::Latest)?.metadata.version_number, 2);
//! # Ok(()) }
//! ```

mod canonical;
mod entry;
mod history;
mod parameters;
mod proof;
mod timestamp;
mod witness;
mod write;

use thiserror::Error;

pub use self::history::{History, Log, Metadata, Resolution, Select};
pub use self::parameters::{Parameters, Witnesses};
pub use self::witness::witness;
pub use self::write::{Settings, create, deactivate, draft_did, update};
use super::web::{self, WebLocation};
use crate::did::{Did, DidError};
use crate::document::DocumentError;
use crate::json::JsonError;

/// Stands for the SCID in the entry that the SCID is the hash of.
const PLACEHOLDER: &str = "{SCID}";
const SCID_CHARS: usize = 46;

/// Says why a log is not believed, or a version not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WebvhError {
    /// An entry follows the one that ended the DID.
    #[error("the DID was deactivated before")]
    Deactivated,
    /// A DID in the log, or the one that was asked for, cannot be used.
    #[error("{0}")]
    Did(#[from] DidError),
    /// The document of the version cannot be used.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// An entry was changed, or does not follow the one before it.
    #[error("the hash of an entry is not that of its content")]
    EntryHash,
    /// A line, or the witness file, is not JSON that this crate reads.
    #[error("the log cannot be read: {0}")]
    Json(#[from] JsonError),
    /// The log is of a version of the specification that this crate does not have.
    #[error("the log is not of did:webvh 1.0")]
    Method,
    /// There is no such version.
    #[error("the DID has no such version")]
    NotFound,
    /// The versions are not numbered from one upwards.
    #[error("the versions of the log are not consecutive")]
    Number,
    /// The log is about another DID.
    #[error("the log is about another DID")]
    OtherDid,
    /// A parameter is missing, unknown, or of a value it cannot have.
    #[error("a parameter of the log is not acceptable: {0}")]
    Parameter(&'static str),
    /// The DID moved without having said that it may, or without naming where it was.
    #[error("the DID moved without being portable")]
    Portability,
    /// An entry does not keep to the keys that the one before it committed to.
    #[error("an entry does not keep to the committed keys")]
    PreRotation,
    /// An entry has no proof, or one that is not good.
    #[error("the proof of an entry does not verify")]
    Proof,
    /// The first entry does not hash to the SCID.
    #[error("the first entry does not hash to the SCID")]
    Scid,
    /// JSON, but not the shape of a log entry or witness file.
    #[error("the log does not have the shape of a log")]
    Shape,
    /// A time is malformed, not after the one before it, or in the future.
    #[error("the times of the log are not acceptable")]
    Time,
    /// The log has too many bytes.
    #[error("the log is too long")]
    TooLarge,
    /// The log has too many entries, or the witness file too many proofs.
    #[error("the log has too many entries")]
    TooMany,
    /// An entry is signed with a key that may not.
    #[error("an entry is signed by a key that may not")]
    Unauthorized,
    /// Too few witnesses approved a version.
    #[error("too few witnesses approved the log")]
    Witness,
}

/// Returns where the log of a did:webvh is.
///
/// # Errors
/// When the DID is not a did:webvh, or uses a spelling that is refused here.
pub fn log_url(did: &Did) -> Result<WebLocation, DidError> {
    let location = place(did, "did.jsonl")?;
    match scid_of(did) {
        Some(scid) if canonical::is_hash(scid) => Ok(location),
        _ => Err(DidError::Method),
    }
}

/// Returns where the approvals of the witnesses of a did:webvh are.
///
/// # Errors
/// As [`log_url`].
pub fn witness_url(did: &Did) -> Result<WebLocation, DidError> {
    log_url(did)?;
    place(did, "did-witness.json")
}

/// The place that the DID names, whatever its SCID.
fn place(did: &Did, file: &str) -> Result<WebLocation, DidError> {
    scid_of(did).ok_or(DidError::Method)?;
    let (_, rest) = did.method_specific_id().split_once(':').ok_or(DidError::Method)?;
    let location = web::locate(rest, file)?;
    // An address has no owner that a certificate could name (section "Method-Specific Identifier").
    let last_label = location.host.rsplit('.').next().unwrap_or_default();
    if last_label.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DidError::Method);
    }
    Ok(location)
}

/// The part that identifies a did:webvh wherever it is.
fn scid_of(did: &Did) -> Option<&str> {
    let (scid, _) = did.method_specific_id().split_once(':')?;
    (did.method() == "webvh" && scid.len() == SCID_CHARS).then_some(scid)
}

#[cfg(test)]
mod tests;
