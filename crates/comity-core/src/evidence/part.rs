//! One export by itself: its signatures, its chain in its log, and the documents that it brings.

use std::collections::{HashMap, HashSet};

use comity_didcomm::{Did, DidUrl, Jwt, PublicKey, Relationship, UnixTime};
use serde_json::Value;

use super::Trusted;
use super::bundle::{EXPORT_TYPE, Export, Part, Selection};
use super::chain::{self, Told};
use super::documents::Documents;
use super::log::{self, Point};
use super::verdict::{Contradiction, Piece};
use crate::limits::{FINDINGS_MAX, NUMBER_MAX};
use crate::log::{Checkpoint, KeyKind, SignedHead, VerifierKey};
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
    pub(super) documents: Documents<'b>,
    /// Whether the agent has signed the export.
    pub(super) is_signed: bool,
    /// When the agent has signed the end of its chain.
    pub(super) head_at: UnixTime,
    /// The keys that signatures were verified with.
    pub(super) used: HashSet<Used>,
}

/// A key that a signature was verified with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Used {
    pub(super) did: Did,
    pub(super) kid: DidUrl,
    pub(super) key: PublicKey,
    /// The document that has it.
    pub(super) digest: String,
    /// For what.
    pub(super) role: Role,
}

/// As what somebody has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Role {
    /// As an agent: messages, heads, exports.
    Agent,
    /// As a node: receipts.
    Node,
}

impl Findings {
    pub(super) fn contradict(&mut self, what: &str, first: Piece, second: Piece) {
        if self.contradictions.len() < FINDINGS_MAX {
            self.contradictions.push(Contradiction { what: what.to_owned(), first, second });
        }
    }

    pub(super) fn miss(&mut self, what: String) {
        if self.missing.len() < FINDINGS_MAX && !self.missing.contains(&what) {
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
    (place, trusted): (String, &Trusted),
    findings: &mut Findings,
) -> Result<Seen<'b>, Malformed> {
    let export = &part.export;
    shape(export, &place)?;
    let points = log::points(export, (&place, trusted), findings)?;
    let entries = chain::entries(export, &place)?;
    let told = chain::told(export, (&entries, &points), &place, findings)?;
    let documents = Documents::read(&told, findings)?;
    let (is_signed, head_at, used) = (false, UnixTime(0), HashSet::new());
    let mut seen = Seen { export, place, points, told, documents, is_signed, head_at, used };
    seen.verify_export(&part.signature, findings)?;
    seen.verify_head(&entries, findings)?;
    chain::complete(export, &seen.told, &seen.place, findings);
    Ok(seen)
}

/// Checks what the types of the members do not say.
fn shape(export: &Export, place: &str) -> Result<(), Malformed> {
    let witnesses = export.witnesses.iter().chain([&export.witness]);
    let are_keys = export.log.kind() == KeyKind::Log
        && witnesses.map(VerifierKey::kind).all(|kind| kind == KeyKind::Witness);
    let selected = match export.selection {
        Selection::Numbers { from, to } => [from, to],
        Selection::With(_) | Selection::Thread(_) => [0, 0],
    };
    let shown = export.statements.iter().flat_map(|one| [one.checkpoint, one.index, one.seq]);
    let is_large = |number: u64| NUMBER_MAX < number;
    let member = if !are_keys {
        "log, witness, witnesses"
    } else if [export.at.0, export.since].into_iter().chain(selected).any(is_large) {
        "at, since, selection"
    } else if shown.into_iter().any(is_large) {
        "statements"
    } else if export.witnessed.iter().any(|note| Checkpoint::parse(note).is_err()) {
        "witnessed"
    } else {
        return Ok(());
    };
    Err(Malformed(format!("{place}: {member}")))
}

impl<'b> Seen<'b> {
    /// Remembers with which key a signature was verified.
    pub(super) fn uses(
        &mut self,
        did: &Did,
        kid: &DidUrl,
        key: PublicKey,
        digest: &str,
        role: Role,
    ) {
        let (did, kid, digest) = (did.clone(), kid.clone(), digest.to_owned());
        self.used.insert(Used { did, kid, key, digest, role });
    }

    fn verify_export(&mut self, signature: &str, findings: &mut Findings) -> Result<(), Malformed> {
        let at = format!("{}.signature", self.place.trim_end_matches(".export"));
        let token = Jwt::parse(signature, EXPORT_TYPE).map_err(|_| Malformed(at.clone()))?;
        let agent = subject(&self.export.agent);
        let last = self.told.last().map_or(0, |one| one.seq);
        let none = || Malformed(format!("{}: the document of its agent is not shown", self.place));
        let own = self.documents.in_force(&agent, u64::MAX).ok_or_else(none)?;
        let kid = token.kid().clone();
        let verified = token.verify(&own.document, Relationship::Authentication).ok();
        let claims = verified.map(|verified| verified.claims).unwrap_or_default();
        let hash = self.export.hash();
        let is_signed = subject(token.issuer()) == agent
            && claims.get("sha256").and_then(Value::as_str) == Some(&hash);
        if is_signed {
            let (digest, key) =
                (own.digest.clone(), own.document.authentication_key(&kid).copied());
            if let Some(key) = key {
                self.uses(&agent, &kid, key, &digest, Role::Agent);
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
        let Some(own) = self.documents.in_force(&agent, last) else { return Ok(()) };
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
        let (digest, key) = (own.digest.clone(), own.document.authentication_key(&kid).copied());
        if let Some(key) = key {
            self.uses(&agent, &kid, key, &digest, Role::Agent);
        }
        self.head_at = head.iat;
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
