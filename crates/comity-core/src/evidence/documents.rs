//! The DID documents that an export brings, found by whose they are and by what they say.

use std::collections::{HashMap, HashSet};

use comity_didcomm::{Did, DidDocument};
use serde_json::Value;

use super::chain::Told;
use super::part::{Findings, Malformed, says};
use crate::log::Act;
use crate::record::digest_text;
use crate::trust::subject;

/// A DID document, as a statement says that it was used.
#[derive(Debug)]
pub(super) struct Recorded<'b> {
    seq: u64,
    pub(super) index: u64,
    pub(super) did: Did,
    pub(super) text: &'b str,
    pub(super) digest: String,
    pub(super) document: DidDocument,
}

/// The documents of an export.
#[derive(Debug, Default)]
pub(super) struct Documents<'b> {
    /// Of each DID, by rising number.
    of: HashMap<Did, Vec<Recorded<'b>>>,
    /// The first with a digest, of each DID.
    digests: HashMap<Did, HashMap<String, usize>>,
    texts: HashSet<&'b str>,
}

impl<'b> Documents<'b> {
    /// Reads the documents that statements are about.
    pub(super) fn read(told: &[Told<'b>], findings: &mut Findings) -> Result<Self, Malformed> {
        let mut documents = Self::default();
        for one in told {
            let Told { seq, index, statement, .. } = one;
            let is_document = matches!(statement.act, Act::Document | Act::KeyChanged);
            let Some(text) = one.object.filter(|_| is_document) else { continue };
            let malformed = || Malformed(one.place.clone());
            let value: Value = serde_json::from_str(text).map_err(|_| malformed())?;
            let id = value.get("id").and_then(Value::as_str).and_then(|id| Did::parse(id).ok());
            let id = id.ok_or_else(malformed)?;
            let document = DidDocument::parse(text.as_bytes(), &id).map_err(|_| malformed())?;
            if subject(&id) != statement.peer {
                findings.contradict(
                    "a document is another's than its statement says",
                    says(&one.place, statement.peer.as_str()),
                    says(&format!("{}.object", one.place), text),
                );
            }
            let (seq, index, did) = (*seq, *index, statement.peer.clone());
            let digest = digest_text(text.as_bytes());
            documents.add(Recorded { seq, index, did, text, digest, document });
        }
        Ok(documents)
    }

    fn add(&mut self, one: Recorded<'b>) {
        self.texts.insert(one.text);
        let of = self.of.entry(one.did.clone()).or_default();
        let digests = self.digests.entry(one.did.clone()).or_default();
        digests.entry(one.digest.clone()).or_insert(of.len());
        of.push(one);
    }

    /// Returns the documents of an identity, by rising number.
    pub(super) fn of(&self, did: &Did) -> &[Recorded<'b>] {
        self.of.get(did).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the document of an identity that is in force at a number of the chain.
    pub(super) fn in_force(&self, did: &Did, seq: u64) -> Option<&Recorded<'b>> {
        let of = self.of(did);
        of.get(of.partition_point(|one| one.seq <= seq).checked_sub(1)?)
    }

    /// Returns the document with a digest.
    pub(super) fn with_digest(&self, did: &Did, digest: &str) -> Option<&Recorded<'b>> {
        self.of(did).get(*self.digests.get(did)?.get(digest)?)
    }

    /// Whether one of them is this text.
    pub(super) fn has(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Recorded<'b>> {
        self.of.values().flatten()
    }
}
