//! The chain of an export: that its links lead to the head that the agent signed, that the statements
//! that are shown are in it and in the log, and that none of the selection is left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::bundle::{Export, Selection};
use super::log::{Point, hash, hashes};
use super::part::{Findings, Malformed, says};
use crate::limits::NUMBER_MAX;
use crate::log::{Link, Statement, leaf_hash, salted_digest, statement_hash, verify_inclusion};
use crate::trust::subject;

/// A statement that is shown.
#[derive(Debug)]
pub(super) struct Told<'b> {
    pub(super) seq: u64,
    pub(super) index: u64,
    pub(super) statement: Statement,
    /// What it is about, whose digest is the statement's.
    pub(super) object: Option<&'b str>,
    pub(super) place: String,
}

/// Computes the entries of the links, from the first on.
pub(super) fn entries(export: &Export, place: &str) -> Result<Vec<[u8; 32]>, Malformed> {
    let mut before = hash(&export.prev).ok_or_else(|| Malformed(format!("{place}.prev")))?;
    let is_beyond = NUMBER_MAX < export.since.saturating_add(export.links.len() as u64);
    if export.since == 0 || is_beyond || (export.since == 1 && before != [0; 32]) {
        return Err(Malformed(format!("{place}.since")));
    }
    let mut entries = Vec::with_capacity(export.links.len());
    for (seq, rest) in (export.since..).zip(&export.links) {
        if hash(&rest.statement).is_none() || !is_tag(&rest.peer) || !is_tag(&rest.thread) {
            return Err(Malformed(format!("{place}.links[{}]", seq - export.since)));
        }
        let link = Link {
            agent: subject(&export.agent),
            peer: rest.peer.clone(),
            prev: URL_SAFE_NO_PAD.encode(before),
            seq,
            statement: rest.statement.clone(),
            thread: rest.thread.clone(),
            v: 1,
        };
        before = link.entry();
        entries.push(before);
    }
    Ok(entries)
}

/// Verifies the statements that are shown.
pub(super) fn told<'b>(
    export: &'b Export,
    (entries, points): (&[[u8; 32]], &[Point]),
    place: &str,
    findings: &mut Findings,
) -> Result<Vec<Told<'b>>, Malformed> {
    let mut told: Vec<Told<'b>> = Vec::with_capacity(export.statements.len());
    for (number, shown) in export.statements.iter().enumerate() {
        let at = format!("{place}.statements[{number}]");
        let bad = || Malformed(at.clone());
        let statement = Statement::parse(&shown.text).ok_or_else(bad)?;
        let link = shown.seq.checked_sub(export.since).and_then(|nth| usize::try_from(nth).ok());
        let link = link.and_then(|nth| Some((export.links.get(nth)?, entries.get(nth)?)));
        let (rest, entry) = link.ok_or_else(bad)?;
        if told.last().is_some_and(|before| shown.seq <= before.seq) {
            return Err(bad());
        }
        let link = format!("{place}.links[{}]", shown.seq - export.since);
        if statement_hash(&shown.text) != rest.statement
            || statement.agent != subject(&export.agent)
        {
            findings.contradict(
                "a statement is not the one that its chain has there",
                says(&at, &shown.text),
                says(&link, &rest.statement),
            );
        }
        if let Some(before) = told.last().filter(|before| shown.index <= before.index) {
            findings.contradict(
                "statements stand in the log in another order than in their chain",
                says(&before.place, &format!("number {}, index {}", before.seq, before.index)),
                says(&at, &format!("number {}, index {}", shown.seq, shown.index)),
            );
        }
        let nth = usize::try_from(shown.checkpoint).map_err(|_| bad())?;
        let point = points.get(nth).ok_or_else(bad)?;
        let proof = hashes(&shown.proof).ok_or_else(bad)?;
        if verify_inclusion(shown.index, leaf_hash(entry), &proof, point.head).is_err() {
            findings.contradict(
                "an entry of the chain is not in the log there",
                says(&link, &format!("entry {}", URL_SAFE_NO_PAD.encode(entry))),
                says(
                    &format!("{place}.checkpoints[{nth}]"),
                    &format!("{} entries, no such one at {}", point.head.size, shown.index),
                ),
            );
        }
        let object = match &shown.object {
            None => None,
            Some(object) => {
                let salt = URL_SAFE_NO_PAD.decode(&object.salt).ok();
                let salt: Option<[u8; 16]> = salt.and_then(|salt| salt.try_into().ok());
                let digest = salted_digest(&salt.ok_or_else(bad)?, object.text.as_bytes());
                let is_salt = statement.salt.as_ref().is_none_or(|salt| *salt == object.salt);
                let is_object = URL_SAFE_NO_PAD.encode(digest) == statement.digest;
                if !is_object || !is_salt {
                    findings.contradict(
                        "what a statement is said to be about has another digest",
                        says(&format!("{at}.object"), &object.text),
                        says(&at, &shown.text),
                    );
                }
                is_object.then_some(object.text.as_str())
            }
        };
        let (seq, index) = (shown.seq, shown.index);
        told.push(Told { seq, index, statement, object, place: at });
    }
    Ok(told)
}

/// Checks that the tags of the links tell the same parties and threads apart as the statements, and
/// that nothing of the selection is left out.
pub(super) fn complete(export: &Export, told: &[Told<'_>], place: &str, findings: &mut Findings) {
    let rest = |seq: u64| {
        let nth = usize::try_from(seq.checked_sub(export.since)?).ok()?;
        export.links.get(nth)
    };
    let mut tags: HashMap<(&str, &str), (&str, &str)> = HashMap::new();
    let mut values: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for one in told {
        let Some(rest) = rest(one.seq) else { continue };
        let pairs = [
            ("peer", one.statement.peer.as_str(), rest.peer.as_str()),
            ("thread", one.statement.thid.as_str(), rest.thread.as_str()),
        ];
        for (what, value, tag) in pairs {
            let (known, _) = *values.entry((what, value)).or_insert((tag, &one.place));
            let (meant, _) = *tags.entry((what, tag)).or_insert((value, &one.place));
            if known != tag || meant != value {
                findings.contradict(
                    "links do not tell apart what the statements do",
                    says(&one.place, &format!("{what} {value}")),
                    says(&format!("{place}.links[{}]", one.seq - export.since), tag),
                );
            }
        }
    }
    let is_any = |selection: &Selection| match selection {
        Selection::Numbers { .. } => true,
        Selection::With(did) => values.contains_key(&("peer", subject(did).as_str())),
        Selection::Thread(thid) => values.contains_key(&("thread", thid.as_str())),
    };
    if 1 < export.since {
        findings.miss(format!(
            "what {} did before number {} is not accounted for",
            export.agent, export.since
        ));
    }
    if !is_any(&export.selection) {
        findings.miss(format!("{} shows nothing of what was to be exported", export.agent));
    }
    let shown: HashSet<u64> = told.iter().map(|one| one.seq).collect();
    let numbers = export.since..export.since.saturating_add(export.links.len() as u64);
    let is_selected = |seq: u64| match &export.selection {
        Selection::Numbers { from, to } => (*from..=*to).contains(&seq),
        Selection::With(did) => {
            let tag = values.get(&("peer", subject(did).as_str())).map(|(tag, _)| *tag);
            rest(seq).is_some_and(|rest| Some(rest.peer.as_str()) == tag)
        }
        Selection::Thread(thid) => {
            let tag = values.get(&("thread", thid.as_str())).map(|(tag, _)| *tag);
            rest(seq).is_some_and(|rest| Some(rest.thread.as_str()) == tag)
        }
    };
    // What an agent says of itself, its keys above all, is always shown.
    let own = values.get(&("peer", subject(&export.agent).as_str())).map(|(tag, _)| *tag);
    let is_own = |seq: u64| rest(seq).is_some_and(|rest| Some(rest.peer.as_str()) == own);
    if let Selection::Numbers { from, to } = &export.selection
        && (*from < numbers.start || numbers.end <= *to)
    {
        findings.contradict(
            "numbers of the selection are not accounted for",
            says(&format!("{place}.selection"), &format!("{from} to {to}")),
            says(&format!("{place}.links"), &format!("{} to {}", numbers.start, numbers.end - 1)),
        );
    }
    if let Some(seq) =
        numbers.clone().find(|seq| (is_selected(*seq) || is_own(*seq)) && !shown.contains(seq))
    {
        findings.contradict(
            "a statement of the selection is left out",
            says(&format!("{place}.selection"), "every statement of it is shown"),
            says(&format!("{place}.links[{}]", seq - numbers.start), &format!("number {seq}")),
        );
    }
}

fn is_tag(text: &str) -> bool {
    text.len() == 16
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
