//! The log of an export: its checkpoints, that each continues the one before, and who cosigned them.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Trusted;
use super::bundle::Export;
use super::part::{Findings, Malformed, says};
use super::verdict::Bound;
use crate::limits::WITNESSES_MAX;
use crate::log::{Checkpoint, Cosigned, TreeHead, VerifierKey, verify_consistency};

/// A checkpoint that the log signed.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) head: TreeHead,
    pub(super) cosigned: Vec<Cosigned>,
}

/// Verifies the checkpoints of an export.
pub(super) fn points(
    export: &Export,
    (place, trusted): (&str, &Trusted),
    findings: &mut Findings,
) -> Result<Vec<Point>, Malformed> {
    let mut points: Vec<Point> = Vec::new();
    let mut keys: HashMap<&str, Vec<&VerifierKey>> = HashMap::new();
    let of_policy = trusted.policy.iter().flat_map(|policy| &policy.witnesses).map(|(key, _)| key);
    for key in of_policy.chain(&export.witnesses) {
        let named = keys.entry(key.name()).or_default();
        if !named.contains(&key) {
            named.push(key);
        }
    }
    if WITNESSES_MAX < keys.values().map(Vec::len).sum() {
        return Err(Malformed(format!("{place}.witnesses")));
    }
    for (number, mark) in export.checkpoints.iter().enumerate() {
        let at = format!("{place}.checkpoints[{number}]");
        let checkpoint = Checkpoint::parse(&mark.note).map_err(|_| Malformed(at.clone()))?;
        let proof = hashes(&mark.consistency).ok_or_else(|| Malformed(at.clone()))?;
        let head = checkpoint.claimed();
        if checkpoint.verify(&export.log).is_err() {
            findings.contradict(
                "a checkpoint is not signed by its log",
                says(&at, &mark.note),
                says(&format!("{place}.log"), &export.log.to_string()),
            );
        }
        let names: BTreeSet<&str> = checkpoint.note().names().collect();
        let named = names.iter().filter_map(|name| keys.get(name)).flatten().copied();
        let cosigned = checkpoint.cosignatures(named).unwrap_or_else(|_| {
            findings.contradict(
                "a cosignature is not that of its witness",
                says(&at, &mark.note),
                says(&format!("{place}.witnesses"), "the keys of the witnesses"),
            );
            Vec::new()
        });
        match points.last() {
            None if !proof.is_empty() => return Err(Malformed(at)),
            None => {}
            Some(before) if head.size <= before.head.size => return Err(Malformed(at)),
            Some(before) if verify_consistency(before.head, head, &proof).is_ok() => {}
            Some(_) => findings.contradict(
                "a checkpoint does not continue the one before it",
                says(&format!("{place}.checkpoints[{}]", number - 1), &note(export, number - 1)),
                says(&at, &mark.note),
            ),
        }
        points.push(Point { head, cosigned });
    }
    Ok(points)
}

fn note(export: &Export, number: usize) -> String {
    export.checkpoints.get(number).map(|mark| mark.note.clone()).unwrap_or_default()
}

/// Between which times entries came into a log, by the clocks of the witnesses that are believed.
#[derive(Debug)]
pub(super) struct Clock {
    /// For each checkpoint its size, the latest time up to it and the earliest from it on.
    times: Vec<(u64, Option<Bound>, Option<Bound>)>,
}

impl Clock {
    pub(super) fn new(points: &[Point], believed: &BTreeSet<VerifierKey>) -> Self {
        let bound = |cosigned: &Cosigned| Bound {
            at: cosigned.at,
            witness: cosigned.by.name().to_owned(),
            key: cosigned.by.to_string(),
        };
        let times = |point: &Point| -> Vec<Bound> {
            point.cosigned.iter().filter(|one| believed.contains(&one.by)).map(bound).collect()
        };
        let mut clock: Vec<(u64, Option<Bound>, Option<Bound>)> = Vec::new();
        let mut latest: Option<Bound> = None;
        for point in points {
            let last = times(point).into_iter().chain(latest.take()).max_by_key(|one| one.at);
            latest.clone_from(&last);
            clock.push((point.head.size, last, None));
        }
        let mut earliest: Option<Bound> = None;
        for (point, (_, _, before)) in points.iter().zip(&mut clock).rev() {
            earliest = times(point).into_iter().chain(earliest.take()).min_by_key(|one| one.at);
            before.clone_from(&earliest);
        }
        Self { times: clock }
    }

    /// When an entry was not in the log yet, and when it was.
    pub(super) fn bounds(&self, index: u64) -> (Option<Bound>, Option<Bound>) {
        let after = self.times.partition_point(|(size, ..)| *size <= index);
        let latest = after.checked_sub(1).and_then(|nth| self.times.get(nth)?.1.clone());
        (latest, self.times.get(after).and_then(|(_, _, before)| before.clone()))
    }
}

/// Who of these witnesses has cosigned a checkpoint that an entry is in.
pub(super) fn cosigners(points: &[Point], index: u64) -> Vec<VerifierKey> {
    let after = points.iter().filter(|point| index < point.head.size);
    after.flat_map(|point| point.cosigned.iter().map(|cosigned| cosigned.by.clone())).collect()
}

/// Reads hashes in base64url.
pub(super) fn hashes(texts: &[String]) -> Option<Vec<[u8; 32]>> {
    texts.iter().map(|text| hash(text)).collect()
}

pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
