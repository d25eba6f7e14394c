//! Approvals by witnesses (did:webvh 1.0, section "DID Witnesses"): reads `did-witness.json` and
//! says whether enough of the then active witnesses approved each version, or a later one.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::WebvhError;
use super::entry::Version;
use super::proof::{self, Proven};
use crate::json::Tree;
use crate::key::SigningKey;
use crate::limits::{WEBVH_WITNESS_BYTES_MAX, WEBVH_WITNESS_PROOFS_MAX};
use crate::time::UnixTime;

/// Checks the approvals of a whole log.
pub(super) fn verify(
    versions: &[Version],
    file: Option<&[u8]>,
    now: UnixTime,
) -> Result<(), WebvhError> {
    if versions.iter().all(|version| version.approvers.is_none()) {
        return Ok(());
    }
    let approved = read(versions, file.ok_or(WebvhError::Witness)?, now)?;
    for version in versions {
        let Some(approvers) = &version.approvers else { continue };
        let count = approvers
            .keys()
            .iter()
            .filter(|key| approved.get(*key).is_some_and(|latest| version.number <= *latest))
            .count();
        if count < approvers.threshold() {
            return Err(WebvhError::Witness);
        }
    }
    Ok(())
}

/// Makes the entry of `did-witness.json` with which witnesses approve a version.
#[must_use]
pub fn witness(version_id: &str, witnesses: &[SigningKey], now: UnixTime) -> Value {
    let document = approved(version_id);
    let proofs: Vec<_> = witnesses.iter().map(|key| proof::sign(&document, key, now)).collect();
    json!({ "versionId": version_id, "proof": proofs })
}

/// Reads up to which version each witness approved. Proofs of versions that are not in the log, and
/// proofs that are not good, count for nothing.
fn read(
    versions: &[Version],
    file: &[u8],
    now: UnixTime,
) -> Result<HashMap<String, u32>, WebvhError> {
    let entries = Tree::read(file, WEBVH_WITNESS_BYTES_MAX)?;
    entries.check_weight()?;
    let Value::Array(entries) = entries.root().to_value() else { return Err(WebvhError::Shape) };
    let mut latest = HashMap::new();
    let mut count = 0_usize;
    for entry in &entries {
        let version_id = entry.get("versionId").and_then(Value::as_str).ok_or(WebvhError::Shape)?;
        let Some(version) = versions.iter().find(|version| version.id == version_id) else {
            continue;
        };
        let proofs = entry.get("proof").and_then(Value::as_array);
        let proven = Proven::of(&approved(version_id));
        for proof in proofs.into_iter().flatten() {
            count += 1;
            if WEBVH_WITNESS_PROOFS_MAX < count {
                return Err(WebvhError::TooMany);
            }
            let Some(proof) = proof.as_object() else { continue };
            let Ok(key) = proof::verify(&proven, proof, now) else { continue };
            let known = latest.entry(key).or_insert(version.number);
            *known = version.number.max(*known);
        }
    }
    Ok(latest)
}

/// What a witness signs.
fn approved(version_id: &str) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("versionId".to_owned(), json!(version_id));
    document
}
