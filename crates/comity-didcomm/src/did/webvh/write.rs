//! Writes logs: the first entry of a DID, and later ones. Publishing them, and keeping the keys, is
//! the caller's part.
//!
//! What is written here is read back by this crate's own verifier before it is given out.

use serde_json::{Map, Value, json};

use super::canonical::{canonical, hash};
use super::entry::entry_hash;
use super::history::{History, Log};
use super::parameters::{METHOD, Witnesses};
use super::timestamp::Timestamp;
use super::{PLACEHOLDER, WebvhError, proof, scid_of};
use crate::did::{Did, DidError, web};
use crate::document::DidDocument;
use crate::key::{PublicKey, SigningKey};
use crate::time::UnixTime;

/// Stands where the SCID will be while a document is made: it has the form of one, and cannot be
/// the hash of anything (its bytes do not begin as a hash does).
const DRAFT_SCID: &str = "ScidScidScidScidScidScidScidScidScidScidScidSc";

/// Says what an entry sets beside the document.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    /// Commits to the keys of the next entry (pre-rotation). Empty: no commitment, and an existing
    /// one ends.
    pub next_keys: &'a [PublicKey],
    /// Keys that may sign from the next entry on; they are the signer's alone when this is empty.
    /// Under pre-rotation the commitment decides instead.
    pub update_keys: &'a [PublicKey],
    /// Appoints witnesses.
    pub witnesses: Option<Witnesses>,
    /// Whether the DID may move later. Only its first entry can say so.
    pub portable: bool,
    /// How long resolvers may keep what they read, in seconds.
    pub ttl_secs: Option<u32>,
}

/// Returns the DID that a document for a new log has until [`create`] gives it its real one.
///
/// # Errors
/// When a part could not be read back.
pub fn draft_did(host: &str, port: Option<u16>, segments: &[&str]) -> Result<Did, DidError> {
    let prefix = format!("did:webvh:{DRAFT_SCID}:");
    let did = web::place_did(&prefix, host, port, segments)?;
    super::place(&did, "did.jsonl")?;
    Ok(did)
}

/// Creates a DID: the first line of its log, ended by a line feed, and its history. The document is
/// one for [`draft_did`], whose text it may have anywhere.
///
/// # Errors
/// When the document is not for a draft, or the entry would not verify.
pub fn create(
    document: &DidDocument,
    signer: &SigningKey,
    settings: &Settings<'_>,
    now: UnixTime,
) -> Result<(String, History), WebvhError> {
    if scid_of(&document.id) != Some(DRAFT_SCID) {
        return Err(WebvhError::Did(DidError::Method));
    }
    let mut parameters = Map::new();
    parameters.insert("method".to_owned(), json!(METHOD));
    parameters.insert("scid".to_owned(), json!(DRAFT_SCID));
    let update_keys = keys_or(settings.update_keys, signer);
    parameters.insert("updateKeys".to_owned(), json!(update_keys));
    if settings.portable {
        parameters.insert("portable".to_owned(), json!(true));
    }
    let unsigned = unsigned(document, with(parameters, settings), now);
    let preliminary = {
        let mut preliminary = unsigned;
        preliminary.insert("versionId".to_owned(), json!(DRAFT_SCID));
        canonical(&preliminary).replace(DRAFT_SCID, PLACEHOLDER)
    };
    let scid = hash(&preliminary);
    let filled: Value = serde_json::from_str(&preliminary.replace(PLACEHOLDER, &scid))
        .map_err(|_| WebvhError::Shape)?;
    let Value::Object(unsigned) = filled else { return Err(WebvhError::Shape) };
    let did = Did::parse(&document.id.as_str().replace(DRAFT_SCID, &scid))?;
    let line = finish(unsigned, 1, &scid, signer, now);
    let history = Log::verify(&did, line.as_bytes(), now)?.unapproved()?;
    Ok((line, history))
}

/// Writes the next version: a line to append to the log, ended by a line feed. The signer is one of
/// the keys that the last version allows; under pre-rotation that is one it committed to.
///
/// # Errors
/// [`WebvhError::Unauthorized`] for another signer, [`WebvhError::Time`] when the clock stands
/// before the last version, and when the DID was deactivated or the document is for another one
/// that it may not move to.
pub fn update(
    history: &History,
    document: &DidDocument,
    signer: &SigningKey,
    settings: &Settings<'_>,
    now: UnixTime,
) -> Result<String, WebvhError> {
    let parameters = with(rotated(history, signer, settings.update_keys)?, settings);
    append(history, &document.to_json(), parameters, signer, now)
}

/// Writes the last version: the document stays, the DID has ended, and nothing may follow.
///
/// # Errors
/// As [`update`].
pub fn deactivate(
    history: &History,
    signer: &SigningKey,
    now: UnixTime,
) -> Result<String, WebvhError> {
    let mut parameters = rotated(history, signer, &[])?;
    parameters.insert("deactivated".to_owned(), json!(true));
    // Under pre-rotation the keys of this entry are prescribed, so only then do they stay.
    if !parameters.contains_key("nextKeyHashes") {
        parameters.insert("updateKeys".to_owned(), json!([]));
    }
    append(history, &Value::Object(history.last().state()?), parameters, signer, now)
}

/// The keys that an entry by this signer has to name.
fn rotated(
    history: &History,
    signer: &SigningKey,
    update_keys: &[PublicKey],
) -> Result<Map<String, Value>, WebvhError> {
    let active = history.parameters();
    if active.deactivated {
        return Err(WebvhError::Deactivated);
    }
    if !active.admits(signer) {
        return Err(WebvhError::Unauthorized);
    }
    let mut parameters = Map::new();
    if !active.next_key_hashes.is_empty() {
        parameters.insert("updateKeys".to_owned(), json!(keys_or(&[], signer)));
        parameters.insert("nextKeyHashes".to_owned(), json!([]));
    } else if !update_keys.is_empty() {
        parameters.insert("updateKeys".to_owned(), json!(keys_or(update_keys, signer)));
    }
    Ok(parameters)
}

fn with(mut parameters: Map<String, Value>, settings: &Settings<'_>) -> Map<String, Value> {
    if !settings.next_keys.is_empty() {
        let hashes: Vec<_> =
            settings.next_keys.iter().map(|key| hash(&key.to_multibase())).collect();
        parameters.insert("nextKeyHashes".to_owned(), json!(hashes));
    }
    if let Some(witnesses) = &settings.witnesses {
        parameters.insert("witness".to_owned(), witnesses.to_json());
    }
    if let Some(secs) = settings.ttl_secs {
        parameters.insert("ttl".to_owned(), json!(secs));
    }
    parameters
}

fn keys_or(keys: &[PublicKey], signer: &SigningKey) -> Vec<String> {
    match keys {
        [] => vec![signer.public().to_multibase()],
        keys => keys.iter().map(PublicKey::to_multibase).collect(),
    }
}

fn append(
    history: &History,
    state: &Value,
    parameters: Map<String, Value>,
    signer: &SigningKey,
    now: UnixTime,
) -> Result<String, WebvhError> {
    let last = history.last();
    let mut unsigned = Map::new();
    unsigned.insert("versionTime".to_owned(), json!(Timestamp::from(now).to_string()));
    unsigned.insert("parameters".to_owned(), Value::Object(parameters));
    unsigned.insert("state".to_owned(), state.clone());
    let line = finish(unsigned, last.number + 1, &last.id, signer, now);
    let scid = scid_of(&last.did).ok_or(WebvhError::OtherDid)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    super::entry::verify(text.as_bytes(), Some(last), scid, &mut 1, now)?;
    Ok(line)
}

fn unsigned(
    document: &DidDocument,
    parameters: Map<String, Value>,
    now: UnixTime,
) -> Map<String, Value> {
    let mut unsigned = Map::new();
    unsigned.insert("versionTime".to_owned(), json!(Timestamp::from(now).to_string()));
    unsigned.insert("parameters".to_owned(), Value::Object(parameters));
    unsigned.insert("state".to_owned(), document.to_json());
    unsigned
}

/// Gives an entry its `versionId` and its proof.
fn finish(
    mut entry: Map<String, Value>,
    number: u32,
    before: &str,
    signer: &SigningKey,
    now: UnixTime,
) -> String {
    let version_id = format!("{number}-{}", entry_hash(&entry, before));
    entry.insert("versionId".to_owned(), json!(version_id));
    let proof = proof::sign(&entry, signer, now);
    entry.insert("proof".to_owned(), json!([proof]));
    let mut line = Value::Object(entry).to_string();
    line.push('\n');
    line
}
