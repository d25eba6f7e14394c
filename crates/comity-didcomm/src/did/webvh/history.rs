//! [`Log`] and [`History`]: a log that was verified, and the questions it answers: which document,
//! when, and what is known about it (did:webvh 1.0, sections "Read (Resolve)" and "Reading
//! did:webvh DID URLs").

use serde_json::{Map, Value, json};

use super::entry::{self, Version};
use super::parameters::Parameters;
use super::timestamp::Timestamp;
use super::{WebvhError, log_url, scid_of, witness};
use crate::did::{Did, DidUrl};
use crate::document::DidDocument;
use crate::limits::{
    SERVICES_MAX, WEBVH_CLOCK_SKEW_SECS, WEBVH_ENTRIES_MAX, WEBVH_LOG_BYTES_MAX, WEBVH_PROOFS_MAX,
};
use crate::time::UnixTime;

/// Holds a log that is sound in itself; whether its witnesses approved is still to be asked.
#[derive(Clone, Debug)]
pub struct Log {
    did: Did,
    versions: Vec<Version>,
    now: UnixTime,
}

/// Holds the verified versions of a DID, at least one.
#[derive(Clone, Debug)]
pub struct History {
    first: Version,
    later: Vec<Version>,
}

/// Says which version is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// The last one.
    Latest,
    /// The one with this number, counted from 1.
    Number(u32),
    /// The one that was active at this moment.
    Time(UnixTime),
    /// The one with this `versionId`.
    VersionId(String),
}

/// Represents the answer to a question for a version.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolution {
    /// The document.
    pub document: DidDocument,
    /// What is known about it.
    pub metadata: Metadata,
}

/// Describes a version within the history of its DID.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The `versionId` of the version.
    pub version_id: String,
    /// The number of the version.
    pub version_number: u32,
    /// When the version began, as the log says it.
    pub version_time: String,
    /// When the DID began.
    pub created: String,
    /// When its last version began.
    pub updated: String,
    /// The part of the DID that its first entry hashes to.
    pub scid: String,
    /// Whether the DID has ended, at its last version.
    pub deactivated: bool,
    /// The parameters that are active after this version.
    pub parameters: Parameters,
}

impl Log {
    /// Verifies the log of a DID: hashes, chain, proofs, pre-rotation, times and moves.
    ///
    /// # Errors
    /// When any entry is not what the specification allows; one bad entry spoils the whole log.
    pub fn verify(did: &Did, log: &[u8], now: UnixTime) -> Result<Self, WebvhError> {
        log_url(did)?;
        let scid = scid_of(did).ok_or(WebvhError::OtherDid)?;
        if WEBVH_LOG_BYTES_MAX < log.len() {
            return Err(WebvhError::TooLarge);
        }
        let lines = log.strip_suffix(b"\n").unwrap_or(log).split(|byte| *byte == b'\n');
        let mut versions: Vec<Version> = Vec::new();
        let mut proofs_left = WEBVH_PROOFS_MAX;
        for line in lines {
            if WEBVH_ENTRIES_MAX <= versions.len() {
                return Err(WebvhError::TooMany);
            }
            let version = entry::verify(line, versions.last(), scid, &mut proofs_left, now)?;
            versions.push(version);
        }
        let horizon = Timestamp::from(now.saturating_add(WEBVH_CLOCK_SKEW_SECS));
        if versions.last().is_some_and(|last| horizon < last.time) {
            return Err(WebvhError::Time);
        }
        if versions.iter().all(|version| version.did != *did) {
            return Err(WebvhError::OtherDid);
        }
        Ok(Self { did: did.clone(), versions, now })
    }

    /// Whether `did-witness.json` is needed to believe the log.
    #[must_use]
    pub fn is_witnessed(&self) -> bool {
        self.versions.iter().any(|version| version.approvers.is_some())
    }

    /// Checks the approvals of the witnesses, if the log has any, and gives out the history.
    ///
    /// # Errors
    /// When too few witnesses approved a version, or the file cannot be read.
    pub fn approve(self, witness_file: Option<&[u8]>) -> Result<History, WebvhError> {
        witness::verify(&self.versions, witness_file, self.now)?;
        self.unapproved()
    }

    /// For our own logs, which exist before their witnesses can approve them.
    pub(super) fn unapproved(self) -> Result<History, WebvhError> {
        let mut versions = self.versions.into_iter();
        // `verify` saw a version about the DID, so there is a first one.
        let first = versions.next().ok_or(WebvhError::OtherDid)?;
        Ok(History { first, later: versions.collect() })
    }

    /// Returns the DID that was asked for.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }
}

impl History {
    /// Verifies a log with the approvals of its witnesses, in one step.
    ///
    /// # Errors
    /// As [`Log::verify`] and [`Log::approve`].
    pub fn verify(
        did: &Did,
        log: &[u8],
        witness_file: Option<&[u8]>,
        now: UnixTime,
    ) -> Result<Self, WebvhError> {
        Log::verify(did, log, now)?.approve(witness_file)
    }

    /// Returns the DID as its last version has it; it is another than was asked for when the DID
    /// moved.
    #[must_use]
    pub fn did(&self) -> &Did {
        &self.last().did
    }

    /// Returns the `versionId`s, oldest first.
    pub fn version_ids(&self) -> impl Iterator<Item = &str> {
        self.versions().map(|version| version.id.as_str())
    }

    /// Returns the `versionId` of the last version.
    #[must_use]
    pub fn latest_version_id(&self) -> &str {
        &self.last().id
    }

    /// Returns the first second in which a next version can begin: times have to rise.
    #[must_use]
    pub fn next_time(&self) -> UnixTime {
        UnixTime(self.last().time.secs.saturating_add(1))
    }

    /// Returns the parameters that are active after the last version.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.last().parameters
    }

    /// Returns a version's document and what is known about it.
    ///
    /// # Errors
    /// [`WebvhError::NotFound`] when there is no such version, [`WebvhError::Document`] when its
    /// document cannot be used.
    pub fn at(&self, select: &Select) -> Result<Resolution, WebvhError> {
        let version = self.select(select)?;
        let text = Value::Object(with_implicit_services(version)?).to_string();
        Ok(Resolution {
            document: DidDocument::parse(text.as_bytes(), &version.did)?,
            metadata: self.metadata(version),
        })
    }

    /// Returns a version's document as JSON, with members that [`DidDocument`] has no use for.
    ///
    /// # Errors
    /// [`WebvhError::NotFound`] when there is no such version.
    pub fn document_at(&self, select: &Select) -> Result<Value, WebvhError> {
        with_implicit_services(self.select(select)?).map(Value::Object)
    }

    pub(super) fn last(&self) -> &Version {
        self.later.last().unwrap_or(&self.first)
    }

    fn versions(&self) -> impl DoubleEndedIterator<Item = &Version> {
        std::iter::once(&self.first).chain(&self.later)
    }

    fn select(&self, select: &Select) -> Result<&Version, WebvhError> {
        let found = match select {
            Select::Latest => Some(self.last()),
            Select::Number(number) => self.versions().find(|version| version.number == *number),
            Select::VersionId(id) => self.versions().find(|version| version.id == *id),
            // A second lasts until the next one begins, so a version within it counts.
            Select::Time(time) => self.versions().rev().find(|version| version.time.secs <= time.0),
        };
        found.ok_or(WebvhError::NotFound)
    }

    fn metadata(&self, version: &Version) -> Metadata {
        Metadata {
            version_id: version.id.clone(),
            version_number: version.number,
            version_time: version.time_text.clone(),
            created: self.first.time_text.clone(),
            updated: self.last().time_text.clone(),
            scid: scid_of(&version.did).unwrap_or_default().to_owned(),
            deactivated: self.last().parameters.deactivated,
            parameters: version.parameters.clone(),
        }
    }
}

impl Select {
    /// Reads the query of a DID URL: `versionId`, `versionTime` or `versionNumber`, or none of
    /// them. Other names are not about versions and are passed over.
    ///
    /// # Errors
    /// [`WebvhError::NotFound`] when a value cannot be one, or two of them ask at once.
    pub fn from_url(url: &DidUrl) -> Result<Self, WebvhError> {
        let text = url.as_str().split('#').next().unwrap_or_default();
        let Some((_, query)) = text.split_once('?') else { return Ok(Self::Latest) };
        let mut selected = None;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace("%3A", ":").replace("%3a", ":");
            let select = match name {
                "versionId" => Self::VersionId(value),
                "versionNumber" => Self::Number(value.parse().map_err(|_| WebvhError::NotFound)?),
                "versionTime" => {
                    let time = Timestamp::parse(&value).ok_or(WebvhError::NotFound)?;
                    Self::Time(UnixTime(time.secs))
                }
                _ => continue,
            };
            if selected.replace(select).is_some() {
                return Err(WebvhError::NotFound);
            }
        }
        Ok(selected.unwrap_or(Self::Latest))
    }
}

/// Adds the services that every did:webvh has unless its document says otherwise (did:webvh 1.0,
/// sections "DID URL Path Resolution" and "whois LinkedVP Service").
fn with_implicit_services(version: &Version) -> Result<Map<String, Value>, WebvhError> {
    let place = log_url(&version.did)?;
    let log = place.https_url();
    let base = log.strip_suffix("did.jsonl").unwrap_or(&log).replace("/.well-known/", "/");
    let did = &version.did;
    let files =
        json!({ "id": format!("{did}#files"), "type": "relativeRef", "serviceEndpoint": base });
    let whois = json!({
        "@context": "https://identity.foundation/linked-vp/contexts/v1",
        "id": format!("{did}#whois"),
        "type": "LinkedVerifiablePresentation",
        "serviceEndpoint": format!("{base}whois.vp"),
    });
    let mut state = version.state()?;
    let services = state.entry("service").or_insert_with(|| json!([]));
    let Value::Array(services) = services else { return Err(WebvhError::Shape) };
    for (fragment, service) in [("#files", files), ("#whois", whois)] {
        let full = format!("{did}{fragment}");
        let is_there = services.iter().any(|service| {
            service.get("id").is_some_and(|id| id == fragment || *id == full.as_str())
        });
        // A document with as many as it may have keeps its own.
        if !is_there && services.len() < SERVICES_MAX {
            services.push(service);
        }
    }
    Ok(state)
}
