//! The log of an export: its checkpoints, that each continues the one before, and who cosigned them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Trusted;
use super::bundle::Export;
use super::part::{Findings, Malformed, grouped, says};
use super::verdict::Bound;
use crate::limits::WITNESSES_MAX;
use crate::log::{Checkpoint, Cosigned, TreeHead, VerifierKey, WitnessPolicy, verify_consistency};

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
    let of_policy = trusted.policy.iter().flat_map(|policy| &policy.witnesses).map(|(key, _)| key);
    let keys: BTreeSet<&VerifierKey> = of_policy.chain(&export.witnesses).collect();
    if WITNESSES_MAX < keys.len() {
        return Err(Malformed(format!("{place}.witnesses")));
    }
    let keys = grouped(keys.into_iter().map(|key| ((key.name(), key.id()), key)));
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
        let signers: BTreeSet<_> = checkpoint.note().signers().collect();
        let named = signers.iter().filter_map(|signer| keys.get(signer)).flatten().copied();
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
    /// With a policy: for each checkpoint, and for none, whether its quorum cosigned from it on.
    quorums: Option<Vec<bool>>,
}

impl Clock {
    pub(super) fn new(
        points: &[Point],
        believed: &BTreeSet<VerifierKey>,
        policy: Option<&WitnessPolicy>,
    ) -> Self {
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
        let quorums = policy.map(|policy| {
            let (mut known, mut cosigners) = (BTreeSet::new(), Vec::new());
            let mut is_met = policy.is_met(&cosigners);
            let mut quorums = vec![is_met];
            for point in points.iter().rev() {
                let before = cosigners.len();
                let new = point.cosigned.iter().map(|one| &one.by).filter(|by| known.insert(*by));
                cosigners.extend(new.cloned());
                if before < cosigners.len() {
                    is_met = policy.is_met(&cosigners);
                }
                quorums.push(is_met);
            }
            quorums.reverse();
            quorums
        });
        Self { times: clock, quorums }
    }

    /// Whether others saw an entry: a quorum of the policy, or without one a believed witness.
    pub(super) fn is_witnessed(&self, index: u64) -> bool {
        let after = self.times.partition_point(|(size, ..)| *size <= index);
        match &self.quorums {
            Some(quorums) => quorums.get(after).copied().unwrap_or_default(),
            None => self.bounds(index).1.is_some(),
        }
    }

    /// When an entry was not in the log yet, and when it was.
    pub(super) fn bounds(&self, index: u64) -> (Option<Bound>, Option<Bound>) {
        let after = self.times.partition_point(|(size, ..)| *size <= index);
        let latest = after.checked_sub(1).and_then(|nth| self.times.get(nth)?.1.clone());
        (latest, self.times.get(after).and_then(|(_, _, before)| before.clone()))
    }
}

/// Reads hashes in base64url.
pub(super) fn hashes(texts: &[String]) -> Option<Vec<[u8; 32]>> {
    texts.iter().map(|text| hash(text)).collect()
}

pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
