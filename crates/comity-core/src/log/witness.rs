//! A witness (C2SP tlog-witness v1.0.0): what is asked of it by `add-checkpoint`, and what it answers.
//!
//! What it is: the request's form and the decision, from what the witness remembers of the log. What
//! it is not: that memory. Whoever keeps it changes it before the answer leaves, and only if nobody
//! else has in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::checkpoint::{Checkpoint, decimal, hash};
use super::note::VerifierKey;
use super::proof::verify_consistency;
use super::tree::{Frontier, TreeHead};
use crate::limits::PROOF_HASHES_MAX;

/// A request to cosign a checkpoint.
///
/// ```
/// use comity_core::log::{AddCheckpoint, Checkpoint, Frontier, KeyKind, NoteKey};
/// use comity_didcomm::SigningKey;
///
/// # let mut rng: rand::rngs::StdRng = rand::make_rng();
/// let key = NoteKey::new("a.example/log", KeyKind::Log, SigningKey::generate(&mut rng))?;
/// let checkpoint = Checkpoint::sign(&key, Frontier::default().root());
/// let body = AddCheckpoint::write(0, &[], &checkpoint);
/// let request = AddCheckpoint::parse(&body).expect("it has the form");
/// let judged = request.judge(key.public(), None).expect("an empty log continues nothing");
/// assert_eq!(judged.head.size, 0);
/// # Ok::<(), comity_core::log::NoteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<[u8; 32]>,
    checkpoint: Checkpoint,
}

/// What a witness remembers of a log: the head that it cosigned last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// The number of leaves.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
}

/// A checkpoint that continues what the witness remembers: it is to be remembered and cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is to be remembered from now on.
    pub head: TreeHead,
}

/// Why a checkpoint is not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WitnessRefusal {
    /// The old size is larger than the checkpoint's, or the request has another form.
    #[error("the request is malformed")]
    BadRequest,
    /// The old size is not that of the checkpoint that was cosigned last.
    #[error("the last cosigned checkpoint has size {size}")]
    Conflict {
        /// The size of that.
        size: u64,
    },
    /// The log has not signed the checkpoint.
    #[error("the checkpoint is not signed by its log")]
    Forbidden,
    /// The witness does not know the log.
    #[error("there is no log with this origin here")]
    NotFound,
    /// The proof does not show that the log continues what was cosigned.
    #[error("the checkpoint does not continue the last one")]
    Unprocessable,
}

impl WitnessRefusal {
    /// Returns the HTTP status that the specification gives it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict { .. } => 409,
            Self::Unprocessable => 422,
        }
    }
}

impl Witnessed {
    /// Remembers a head.
    #[must_use]
    pub fn new(head: TreeHead) -> Self {
        Self { size: head.size, root: STANDARD.encode(head.root) }
    }

    /// Returns the head; nothing if the text is damaged.
    #[must_use]
    pub fn head(&self) -> Option<TreeHead> {
        Some(TreeHead { size: self.size, root: hash(&self.root)? })
    }
}

impl AddCheckpoint {
    /// Writes the body of a request.
    #[must_use]
    pub fn write(old_size: u64, proof: &[[u8; 32]], checkpoint: &str) -> String {
        let mut body = format!("old {old_size}\n");
        for hash in proof {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body + checkpoint
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it has another form, or more than [`PROOF_HASHES_MAX`] hashes.
    pub fn parse(body: &str) -> Result<Self, WitnessRefusal> {
        let bad = || WitnessRefusal::BadRequest;
        let (asked, checkpoint) = body.split_once("\n\n").ok_or_else(bad)?;
        let mut lines = asked.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size = old_size.and_then(decimal).ok_or_else(bad)?;
        let proof: Option<Vec<_>> = lines.take(PROOF_HASHES_MAX + 1).map(hash).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF_HASHES_MAX).ok_or_else(bad)?;
        let checkpoint = Checkpoint::parse(checkpoint).map_err(|_| bad())?;
        Ok(Self { old_size, proof, checkpoint })
    }

    /// Returns the checkpoint that is to be cosigned.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Decides, by the log's key and the head that was cosigned last.
    ///
    /// # Errors
    /// In the order of the specification: the signature, the sizes, what is remembered, the proof.
    pub fn judge(
        &self,
        log: &VerifierKey,
        last: Option<TreeHead>,
    ) -> Result<Judged, WitnessRefusal> {
        let head = self.checkpoint.verify(log).map_err(|_| WitnessRefusal::Forbidden)?;
        if head.size < self.old_size {
            return Err(WitnessRefusal::BadRequest);
        }
        let empty = Frontier::default().root();
        let last = last.unwrap_or(empty);
        if last.size != self.old_size {
            return Err(WitnessRefusal::Conflict { size: last.size });
        }
        if head.size == 0 && head.root != empty.root {
            return Err(WitnessRefusal::Unprocessable);
        }
        verify_consistency(last, head, &self.proof).map_err(|_| WitnessRefusal::Unprocessable)?;
        Ok(Judged { head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{KeyKind, LeafHash, Node, NoteKey, Plan, leaf_hash, node_hash};
    use comity_didcomm::SigningKey;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn key(seed: u64) -> NoteKey {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(seed));
        NoteKey::new("a.example/log", KeyKind::Log, key).unwrap()
    }

    fn leaf(n: u64, fork: u8) -> LeafHash {
        leaf_hash(&[&n.to_be_bytes()[..], &[fork]].concat())
    }

    fn head(size: u64, fork: u8) -> TreeHead {
        let mut log = Frontier::default();
        (0..size).for_each(|n| log.append(leaf(n, fork)));
        log.root()
    }

    fn subtree(node: Node, fork: u8) -> Result<[u8; 32], ()> {
        let Some(level) = node.level.checked_sub(1) else { return Ok(leaf(node.index, fork).0) };
        let left = subtree(Node { level, index: 2 * node.index }, fork)?;
        Ok(node_hash(&left, &subtree(Node { level, index: 2 * node.index + 1 }, fork)?))
    }

    fn request(old: u64, new: u64, fork: u8) -> AddCheckpoint {
        let proof = Plan::consistency(old, new)
            .map(|plan| plan.hashes(|node| subtree(node, fork)).unwrap())
            .unwrap_or_default();
        let checkpoint = Checkpoint::sign(&key(1), head(new, fork));
        AddCheckpoint::parse(&AddCheckpoint::write(old, &proof, &checkpoint)).unwrap()
    }

    #[test]
    fn what_continues_the_last_checkpoint_is_cosigned() {
        let key = key(1);
        let mut last = None;
        for (old, new) in [(0, 0), (0, 3), (3, 3), (3, 70), (70, 71)] {
            let judged = request(old, new, 0).judge(key.public(), last).unwrap();
            assert_eq!(judged.head, head(new, 0));
            last = Some(judged.head);
        }
    }

    #[test]
    fn each_refusal_has_the_status_of_the_specification() {
        let log = key(1);
        let last = Some(head(5, 0));
        let refused = |request: &AddCheckpoint| request.judge(log.public(), last).unwrap_err();
        // Somebody else's signature.
        let error = request(5, 9, 0).judge(key(2).public(), last).unwrap_err();
        assert_eq!((error, error.status()), (WitnessRefusal::Forbidden, 403));
        // Older than it says it continues.
        let error = refused(&request(5, 3, 0));
        assert_eq!((error, error.status()), (WitnessRefusal::BadRequest, 400));
        // Another last size: also by one who rolled back, or who knows nothing yet.
        for (old, new) in [(0, 9), (4, 9), (6, 9), (3, 3)] {
            let error = refused(&request(old, new, 0));
            assert_eq!((error, error.status()), (WitnessRefusal::Conflict { size: 5 }, 409));
        }
        // A fork, at the same size and later, and a proof of something else.
        for error in [refused(&request(5, 5, 1)), refused(&request(5, 9, 1))] {
            assert_eq!((error, error.status()), (WitnessRefusal::Unprocessable, 422));
        }
        let mut other = request(5, 9, 0);
        other.proof.pop();
        assert_eq!(refused(&other), WitnessRefusal::Unprocessable);
        let mut empty = request(0, 0, 0);
        empty.proof.push([0; 32]);
        assert_eq!(empty.judge(log.public(), None), Err(WitnessRefusal::Unprocessable));
    }

    #[test]
    fn other_bodies_are_refused() {
        let checkpoint = Checkpoint::sign(&key(1), head(3, 0));
        let hash = STANDARD.encode([7; 32]);
        for body in [
            String::new(),
            checkpoint.clone(),
            format!("old 3\n{checkpoint}"),
            format!("old 03\n\n{checkpoint}"),
            format!("old -1\n\n{checkpoint}"),
            format!("Old 3\n\n{checkpoint}"),
            format!("old 3\n{hash}\n{}\n\n{checkpoint}", &hash[..8]),
            format!("old 3\n{}\n{checkpoint}", format!("{hash}\n").repeat(PROOF_HASHES_MAX + 1)),
            "old 3\n\na.example/log\n3\n".to_owned(),
        ] {
            assert_eq!(AddCheckpoint::parse(&body), Err(WitnessRefusal::BadRequest), "{body}");
        }
        let most = format!("old 3\n{}\n{checkpoint}", format!("{hash}\n").repeat(PROOF_HASHES_MAX));
        assert!(AddCheckpoint::parse(&most).is_ok());
    }

    #[test]
    fn what_a_witness_remembers_is_read_as_written() {
        let witnessed = Witnessed::new(head(5, 0));
        assert_eq!(witnessed.head(), Some(head(5, 0)));
        assert_eq!(Witnessed { root: "x".to_owned(), ..witnessed }.head(), None);
    }
}
