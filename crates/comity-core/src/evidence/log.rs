//! The log of an export: its checkpoints, that each continues the one before, and who cosigned them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::UnixTime;

use super::bundle::Export;
use super::part::{Findings, Malformed, says};
use super::verdict::Bound;
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
    place: &str,
    findings: &mut Findings,
) -> Result<Vec<Point>, Malformed> {
    let mut points: Vec<Point> = Vec::new();
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
        let cosigned = checkpoint.cosignatures(&export.witnesses).unwrap_or_else(|_| {
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

/// Between which times an entry came into the log, by the clocks of these witnesses.
pub(super) fn bounds(
    points: &[Point],
    index: u64,
    is_believed: impl Fn(&VerifierKey) -> bool,
) -> (Option<Bound>, Option<Bound>) {
    let times = |is_in: bool| {
        points
            .iter()
            .filter(move |point| (index < point.head.size) == is_in)
            .flat_map(|point| &point.cosigned)
            .filter(|cosigned| is_believed(&cosigned.by))
            .map(|cosigned| (cosigned.at, cosigned.by.name().to_owned()))
    };
    let bound = |(at, witness): (UnixTime, String)| Bound { at, witness };
    (times(false).max().map(bound), times(true).min().map(bound))
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
