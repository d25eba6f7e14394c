//! One export by itself: its signatures, its chain in its log, and the documents that it brings.

use std::collections::HashMap;

use comity_didcomm::{Did, DidDocument, DidUrl, Jwt, PublicKey, Relationship};
use serde_json::Value;

use super::bundle::{EXPORT_TYPE, Export, Part};
use super::chain::{self, Told};
use super::log::{self, Point};
use super::verdict::{Contradiction, Piece};
use crate::log::{Act, SignedHead};
use crate::record::digest_text;
use crate::trust::subject;

/// Where a bundle does not have the form that it should.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) String);

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) contradictions: Vec<Contradiction>,
    pub(super) missing: Vec<String>,
}

/// An export that was looked at.
#[derive(Debug)]
pub(super) struct Seen<'b> {
    pub(super) export: &'b Export,
    pub(super) place: String,
    pub(super) points: Vec<Point>,
    pub(super) told: Vec<Told<'b>>,
    pub(super) documents: Vec<Recorded<'b>>,
    /// Whether the agent has signed the export.
    pub(super) is_signed: bool,
    /// The keys that signatures were verified with.
    pub(super) used: Vec<Used>,
}

/// A DID document, as a statement says that it was used.
#[derive(Debug)]
pub(super) struct Recorded<'b> {
    pub(super) seq: u64,
    pub(super) index: u64,
    pub(super) did: Did,
    pub(super) text: &'b str,
    pub(super) digest: String,
    pub(super) document: DidDocument,
}

/// A key that a signature was verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) did: Did,
    pub(super) kid: DidUrl,
    pub(super) key: PublicKey,
    pub(super) text: String,
}

impl Findings {
    pub(super) fn contradict(&mut self, what: &str, first: Piece, second: Piece) {
        self.contradictions.push(Contradiction { what: what.to_owned(), first, second });
    }

    pub(super) fn miss(&mut self, what: String) {
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }
}

pub(super) fn says(place: &str, says: &str) -> Piece {
    const CHARS_MAX: usize = 2_000;
    Piece { place: place.to_owned(), says: says.chars().take(CHARS_MAX).collect() }
}

/// Looks at one export.
pub(super) fn look<'b>(
    part: &'b Part,
    place: String,
    findings: &mut Findings,
) -> Result<Seen<'b>, Malformed> {
    let export = &part.export;
    let points = log::points(export, &place, findings)?;
    let entries = chain::entries(export, &place)?;
    let told = chain::told(export, (&entries, &points), &place, findings)?;
    let documents = documents(&told, findings)?;
    let mut seen =
        Seen { export, place, points, told, documents, is_signed: false, used: Vec::new() };
    seen.verify_export(&part.signature, findings)?;
    seen.verify_head(&entries, findings)?;
    chain::complete(export, &seen.told, &seen.place, findings);
    Ok(seen)
}

/// Reads the documents that statements are about.
fn documents<'b>(
    told: &[Told<'b>],
    findings: &mut Findings,
) -> Result<Vec<Recorded<'b>>, Malformed> {
    let mut documents = Vec::new();
    for one in told {
        let Told { seq, index, statement, .. } = one;
        let is_document = matches!(statement.act, Act::Document | Act::KeyChanged);
        let Some(text) = one.object.filter(|_| is_document) else { continue };
        let value: Value = serde_json::from_str(text).map_err(|_| Malformed(one.place.clone()))?;
        let id = value.get("id").and_then(Value::as_str).and_then(|id| Did::parse(id).ok());
        let id = id.ok_or_else(|| Malformed(one.place.clone()))?;
        let document =
            DidDocument::parse(text.as_bytes(), &id).map_err(|_| Malformed(one.place.clone()))?;
        if subject(&id) != statement.peer {
            findings.contradict(
                "a document is another's than its statement says",
                says(&one.place, statement.peer.as_str()),
                says(&format!("{}.object", one.place), text),
            );
        }
        let (seq, index, did) = (*seq, *index, statement.peer.clone());
        let digest = digest_text(text.as_bytes());
        documents.push(Recorded { seq, index, did, text, digest, document });
    }
    Ok(documents)
}

impl<'b> Seen<'b> {
    /// Returns the document of an identity that is in force at a number of the chain.
    pub(super) fn document_at(&self, did: &Did, seq: u64) -> Option<&Recorded<'b>> {
        self.documents.iter().rev().find(|one| one.did == *did && one.seq <= seq)
    }

    /// Returns the document with a digest.
    pub(super) fn document_of(&self, did: &Did, digest: &str) -> Option<&Recorded<'b>> {
        self.documents.iter().find(|one| one.did == *did && one.digest == digest)
    }

    /// Remembers with which key a signature was verified.
    pub(super) fn uses(&mut self, did: &Did, kid: &DidUrl, text: &str, key: PublicKey) {
        let used = Used { did: did.clone(), kid: kid.clone(), key, text: text.to_owned() };
        if !self.used.contains(&used) {
            self.used.push(used);
        }
    }

    fn verify_export(&mut self, signature: &str, findings: &mut Findings) -> Result<(), Malformed> {
        let at = format!("{}.signature", self.place.trim_end_matches(".export"));
        let token = Jwt::parse(signature, EXPORT_TYPE).map_err(|_| Malformed(at.clone()))?;
        let agent = subject(&self.export.agent);
        let last = self.told.last().map_or(0, |one| one.seq);
        let none = || Malformed(format!("{}: the document of its agent is not shown", self.place));
        let own = self.document_at(&agent, u64::MAX).ok_or_else(none)?;
        let kid = token.kid().clone();
        let verified = token.verify(&own.document, Relationship::Authentication).ok();
        let claims = verified.map(|verified| verified.claims).unwrap_or_default();
        let hash = self.export.hash();
        let is_signed = subject(token.issuer()) == agent
            && claims.get("sha256").and_then(Value::as_str) == Some(&hash);
        if is_signed {
            let (text, key) = (own.text.to_owned(), own.document.authentication_key(&kid).copied());
            if let Some(key) = key {
                self.uses(&agent, &kid, &text, key);
            }
            self.is_signed = true;
        } else {
            findings.contradict(
                "the export is not what its agent signed",
                says(&self.place, &format!("sha256 {hash}, up to number {last}")),
                says(&at, signature),
            );
        }
        Ok(())
    }

    fn verify_head(
        &mut self,
        entries: &[[u8; 32]],
        findings: &mut Findings,
    ) -> Result<(), Malformed> {
        let at = format!("{}.head", self.place);
        let signed = SignedHead::parse(&self.export.head).ok_or_else(|| Malformed(at.clone()))?;
        let agent = subject(&self.export.agent);
        let numbers = entries.len() as u64;
        let last = self.export.since.saturating_add(numbers).saturating_sub(1);
        let Some(own) = self.document_at(&agent, last) else { return Ok(()) };
        let Some(head) = signed.verify(&own.document) else {
            let first = says(&at, &self.export.head);
            let second = says(&format!("{}.statements", self.place), own.text);
            findings.contradict("the end of the chain is not signed by its agent", first, second);
            return Ok(());
        };
        let end = entries.last().copied().or_else(|| log::hash(&self.export.prev));
        let is_end = head.seq == last && end == log::hash(&head.entry);
        if subject(&head.iss) != agent || !is_end {
            findings.contradict(
                "the links do not lead to the end that the agent signed",
                says(&at, &format!("number {}, entry {}", head.seq, head.entry)),
                says(&format!("{}.links", self.place), &format!("up to number {last}")),
            );
        }
        if head.log != self.export.log {
            findings.contradict(
                "the agent signed that its chain is in another log",
                says(&at, &head.log.to_string()),
                says(&format!("{}.log", self.place), &self.export.log.to_string()),
            );
        }
        let kid = signed.kid().clone();
        let (text, key) = (own.text.to_owned(), own.document.authentication_key(&kid).copied());
        if let Some(key) = key {
            self.uses(&agent, &kid, &text, key);
        }
        Ok(())
    }
}

/// Groups what is about the same.
pub(super) fn grouped<K: std::hash::Hash + Eq, V>(
    items: impl IntoIterator<Item = (K, V)>,
) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in items {
        groups.entry(key).or_default().push(value);
    }
    groups
}
