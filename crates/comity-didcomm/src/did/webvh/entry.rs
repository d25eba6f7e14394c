//! One line of a log, read and judged against the one before it (did:webvh 1.0, section "Read
//! (Resolve)", steps 1 to 8). Witnesses are judged afterwards, over the whole log.

use serde_json::{Map, Value};

use super::canonical::{canonical, hash};
use super::parameters::{Parameters, Witnesses};
use super::proof::{self, Proven};
use super::timestamp::Timestamp;
use super::{PLACEHOLDER, WebvhError, scid_of};
use crate::did::Did;
use crate::json::Tree;
use crate::limits::{WEBVH_ENTRY_BYTES_MAX, WEBVH_PROOFS_PER_ENTRY_MAX};
use crate::time::UnixTime;

/// One verified version of a DID.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) number: u32,
    /// `versionId`: the number and the hash of the entry.
    pub(super) id: String,
    pub(super) time: Timestamp,
    /// `versionTime`, as the log has it.
    pub(super) time_text: String,
    pub(super) did: Did,
    /// The document, as text: a tree of it would take up to eighty times the memory, and a host that
    /// we do not know chooses what is in it.
    pub(super) state: Box<str>,
    pub(super) parameters: Parameters,
    /// Who has to have approved this version.
    pub(super) approvers: Option<Witnesses>,
}

/// The members of a line.
struct Entry {
    version_id: String,
    time_text: String,
    /// Everything but the proof: what is hashed and signed.
    unsigned: Map<String, Value>,
    proofs: Vec<Map<String, Value>>,
}

/// Reads a line and judges it by what came before; `scid` is the one that the DID has, and
/// `proofs_left` how many proofs the log may still have.
pub(super) fn verify(
    line: &[u8],
    previous: Option<&Version>,
    scid: &str,
    proofs_left: &mut usize,
    now: UnixTime,
) -> Result<Version, WebvhError> {
    let entry = Entry::read(line)?;
    *proofs_left = proofs_left.checked_sub(entry.proofs.len()).ok_or(WebvhError::TooMany)?;
    if previous.is_some_and(|previous| previous.parameters.deactivated) {
        return Err(WebvhError::Deactivated);
    }
    let given = entry.object("parameters")?;
    let parameters = match previous {
        None => {
            let (parameters, claimed) = Parameters::first(given)?;
            if claimed != scid {
                return Err(WebvhError::OtherDid);
            }
            parameters
        }
        Some(previous) => previous.parameters.next(given)?,
    };
    let number = entry.verify_number(previous)?;
    entry.verify_hash(number, previous.map_or(scid, |previous| &previous.id))?;
    if previous.is_none() {
        entry.verify_scid(scid)?;
    }
    let time = Timestamp::parse(&entry.time_text).ok_or(WebvhError::Time)?;
    if previous.is_some_and(|previous| time <= previous.time) {
        return Err(WebvhError::Time);
    }
    let before = previous.map_or(&parameters, |previous| &previous.parameters);
    let signers = match previous {
        None => &parameters.update_keys,
        Some(previous) => previous.parameters.signers(&parameters),
    };
    entry.verify_proofs(signers, now)?;
    let approvers = before.approvers(&parameters).cloned();
    let state = entry.object("state")?;
    let did = subject(state, previous, scid)?;
    let state = serde_json::to_string(state).map_err(|_| WebvhError::Shape)?.into();
    Ok(Version {
        number,
        time,
        did,
        state,
        parameters,
        approvers,
        id: entry.version_id,
        time_text: entry.time_text,
    })
}

impl Version {
    /// Returns the document as a tree.
    pub(super) fn state(&self) -> Result<Map<String, Value>, WebvhError> {
        // It was read strictly before it was kept.
        serde_json::from_str(&self.state).map_err(|_| WebvhError::Shape)
    }
}

impl Entry {
    fn read(line: &[u8]) -> Result<Self, WebvhError> {
        let mut unsigned = Tree::read_object(line, WEBVH_ENTRY_BYTES_MAX)?.object().to_map();
        let proofs = match unsigned.remove("proof") {
            Some(Value::Array(items)) if items.len() <= WEBVH_PROOFS_PER_ENTRY_MAX => items,
            _ => return Err(WebvhError::Shape),
        };
        let proofs = proofs.into_iter().map(|item| match item {
            Value::Object(proof) => Ok(proof),
            _ => Err(WebvhError::Shape),
        });
        let proofs = proofs.collect::<Result<Vec<_>, _>>()?;
        let text = |name: &str| {
            let text = unsigned.get(name).and_then(Value::as_str).ok_or(WebvhError::Shape)?;
            Ok::<_, WebvhError>(text.to_owned())
        };
        let (version_id, time_text) = (text("versionId")?, text("versionTime")?);
        // Two texts, two objects, and nothing else.
        if unsigned.len() != 4 {
            return Err(WebvhError::Shape);
        }
        Ok(Self { version_id, time_text, unsigned, proofs })
    }

    fn object(&self, name: &str) -> Result<&Map<String, Value>, WebvhError> {
        self.unsigned.get(name).and_then(Value::as_object).ok_or(WebvhError::Shape)
    }

    fn verify_number(&self, previous: Option<&Version>) -> Result<u32, WebvhError> {
        let expected = previous.map_or(1, |previous| previous.number + 1);
        // As text, so that `01` and `+1` are no numbers.
        match self.version_id.split_once('-') {
            Some((number, _)) if number == expected.to_string() => Ok(expected),
            _ => Err(WebvhError::Number),
        }
    }

    fn verify_hash(&self, number: u32, before: &str) -> Result<(), WebvhError> {
        let is_hashed =
            self.version_id == format!("{number}-{}", entry_hash(&self.unsigned, before));
        if is_hashed { Ok(()) } else { Err(WebvhError::EntryHash) }
    }

    /// The first entry, with the placeholder for the SCID everywhere, hashes to the SCID.
    fn verify_scid(&self, scid: &str) -> Result<(), WebvhError> {
        let text = canonical(&self.unsigned);
        // One that holds the placeholder already would share its SCID with another log.
        if text.contains(PLACEHOLDER) {
            return Err(WebvhError::Scid);
        }
        let mut preliminary = self.unsigned.clone();
        preliminary.insert("versionId".to_owned(), Value::String(PLACEHOLDER.to_owned()));
        let text = canonical(&preliminary).replace(scid, PLACEHOLDER);
        if hash(&text) == scid { Ok(()) } else { Err(WebvhError::Scid) }
    }

    /// Every proof has to be good, and by a key that may sign: one that is not belongs to somebody
    /// else.
    fn verify_proofs(&self, signers: &[String], now: UnixTime) -> Result<(), WebvhError> {
        if self.proofs.is_empty() {
            return Err(WebvhError::Proof);
        }
        let proven = Proven::of(&self.unsigned);
        for proof in &self.proofs {
            let key = proof::verify(&proven, proof, now)?;
            if !signers.contains(&key) {
                return Err(WebvhError::Unauthorized);
            }
        }
        Ok(())
    }
}

/// Hashes an entry without its proof; `before` is the `versionId` of the entry before it, or the
/// SCID.
pub(super) fn entry_hash(unsigned: &Map<String, Value>, before: &str) -> String {
    let mut linked = unsigned.clone();
    linked.insert("versionId".to_owned(), Value::String(before.to_owned()));
    hash(&canonical(&linked))
}

/// Reads whom a version is about: a DID with this SCID, and the one before unless it may move.
fn subject(
    state: &Map<String, Value>,
    previous: Option<&Version>,
    scid: &str,
) -> Result<Did, WebvhError> {
    let id = state.get("id").and_then(Value::as_str).ok_or(WebvhError::Shape)?;
    let did = Did::parse(id)?;
    if scid_of(&did) != Some(scid) {
        return Err(WebvhError::OtherDid);
    }
    if let Some(previous) = previous.filter(|previous| previous.did != did) {
        let names = state.get("alsoKnownAs").and_then(Value::as_array);
        let is_named =
            names.is_some_and(|names| names.iter().any(|name| name == previous.did.as_str()));
        if !previous.parameters.portable || !is_named {
            return Err(WebvhError::Portability);
        }
    }
    Ok(did)
}
