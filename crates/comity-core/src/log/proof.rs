//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2; verified as in RFC 9162
//! sections 2.1.3.2 and 2.1.4.2).
//!
//! What it is: which complete subtrees a proof is made of ([`Plan`]), so that whoever keeps them can
//! fetch them, and the two verifiers. What it is not: where hashes are kept.

use thiserror::Error;

use super::tree::{LeafHash, TreeHead, node_hash};

/// A complete subtree: the `2^level` leaves from `index * 2^level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its height; a leaf has none.
    pub level: u8,
    /// Its place among the subtrees of this height.
    pub index: u64,
}

/// What the hashes of a proof are made of.
///
/// ```
/// use comity_core::log::{Frontier, Plan, leaf_hash, verify_inclusion};
///
/// let leaves: Vec<_> = (0..7_u8).map(|n| leaf_hash(&[n])).collect();
/// let mut log = Frontier::default();
/// leaves.iter().for_each(|leaf| log.append(*leaf));
///
/// // Subtrees that are higher than a leaf are computed here; a log keeps them in tiles.
/// fn subtree(leaves: &[comity_core::log::LeafHash], level: u8, index: u64) -> [u8; 32] {
///     let Some(below) = level.checked_sub(1) else { return leaves[index as usize].0 };
///     let (left, right) = (subtree(leaves, below, 2 * index), subtree(leaves, below, 2 * index + 1));
///     comity_core::log::node_hash(&left, &right)
/// }
/// let plan = Plan::inclusion(4, 7).expect("the log has seven leaves");
/// let proof = plan.hashes(|node| Ok::<_, ()>(subtree(&leaves, node.level, node.index))).unwrap();
/// assert!(verify_inclusion(4, leaves[4], &proof, log.root()).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For each hash, the complete subtrees that it is folded from, from left to right.
    steps: Vec<Vec<Node>>,
}

/// Says that a proof does not prove what it is said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proof does not verify")]
pub struct ProofError;

impl Plan {
    /// Plans the proof that a leaf is in a tree; nothing if the tree is too small.
    #[must_use]
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if size <= index {
            return None;
        }
        let (mut begin, mut end) = (0, size);
        let mut steps = Vec::new();
        while 1 < end - begin {
            let middle = begin + split(end - begin);
            if index < middle {
                steps.push(cover(middle, end));
                end = middle;
            } else {
                steps.push(cover(begin, middle));
                begin = middle;
            }
        }
        steps.reverse();
        Some(Self { steps })
    }

    /// Plans the proof that a tree continues another; nothing if it is smaller.
    #[must_use]
    pub fn consistency(old: u64, new: u64) -> Option<Self> {
        if new < old {
            return None;
        }
        let mut steps = Vec::new();
        if old == 0 || old == new {
            return Some(Self { steps });
        }
        let (mut begin, mut end) = (0, new);
        // Whether the part that is looked at is the whole old tree, whose root is known.
        let mut is_whole = true;
        while end != old {
            let middle = begin + split(end - begin);
            if old <= middle {
                steps.push(cover(middle, end));
                end = middle;
            } else {
                steps.push(cover(begin, middle));
                begin = middle;
                is_whole = false;
            }
        }
        if !is_whole {
            steps.push(cover(begin, end));
        }
        steps.reverse();
        Some(Self { steps })
    }

    /// Plans the root of a tree that is not empty.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self { steps: if size == 0 { Vec::new() } else { vec![cover(0, size)] } }
    }

    /// Returns the subtrees whose hashes are needed.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.steps.iter().flatten().copied()
    }

    /// Makes the proof from the hashes of its subtrees.
    ///
    /// # Errors
    /// With the first error of `hash`.
    pub fn hashes<E>(
        &self,
        mut hash: impl FnMut(Node) -> Result<[u8; 32], E>,
    ) -> Result<Vec<[u8; 32]>, E> {
        let mut proof = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut folded: Option<[u8; 32]> = None;
            for node in step.iter().rev() {
                let left = hash(*node)?;
                folded = Some(folded.map_or(left, |right| node_hash(&left, &right)));
            }
            proof.extend(folded);
        }
        Ok(proof)
    }
}

/// Verifies that the leaf with an index is in a tree.
///
/// # Errors
/// When the proof is for another leaf, index or tree.
pub fn verify_inclusion(
    index: u64,
    leaf: LeafHash,
    proof: &[[u8; 32]],
    head: TreeHead,
) -> Result<(), ProofError> {
    if head.size <= index {
        return Err(ProofError);
    }
    let (mut node, mut last) = (index, head.size - 1);
    let mut root = leaf.0;
    for hash in proof {
        if last == 0 {
            return Err(ProofError);
        }
        if node & 1 == 1 || node == last {
            root = node_hash(hash, &root);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            root = node_hash(&root, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && root == head.root { Ok(()) } else { Err(ProofError) }
}

/// Verifies that the tree with one head continues the tree with another.
///
/// # Errors
/// When it does not, or the proof is for other trees.
pub fn verify_consistency(
    old: TreeHead,
    new: TreeHead,
    proof: &[[u8; 32]],
) -> Result<(), ProofError> {
    if old.size == 0 || old.size == new.size {
        let is_same = old.size == 0 || old.root == new.root;
        return if proof.is_empty() && is_same { Ok(()) } else { Err(ProofError) };
    }
    if new.size < old.size {
        return Err(ProofError);
    }
    let mut hashes = proof.iter();
    // A complete old tree is a subtree of the new one: its root begins the proof.
    let first = match old.size.is_power_of_two() {
        true => &old.root,
        false => hashes.next().ok_or(ProofError)?,
    };
    let (mut node, mut last) = (old.size - 1, new.size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old_root, mut new_root) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError);
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_root = node_hash(&new_root, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    let is_proven = last == 0 && old_root == old.root && new_root == new.root;
    if is_proven { Ok(()) } else { Err(ProofError) }
}

/// The largest power of two that is smaller than a number of at least two.
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The complete subtrees of a range, which begins where one as large as the range can begin.
fn cover(mut begin: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    while begin < end {
        let level = (end - begin).ilog2();
        // A level is below 64.
        nodes.push(Node { level: level as u8, index: begin >> level });
        begin += 1 << level;
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Frontier, leaf_hash};

    const SIZE: u64 = 70;

    fn leaves() -> Vec<LeafHash> {
        (0..SIZE).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn head(size: u64) -> TreeHead {
        let mut frontier = Frontier::default();
        leaves().iter().take(size as usize).for_each(|leaf| frontier.append(*leaf));
        frontier.root()
    }

    fn subtree(leaves: &[LeafHash], node: Node) -> Result<[u8; 32], ()> {
        let Some(level) = node.level.checked_sub(1) else {
            return Ok(leaves[node.index as usize].0);
        };
        let left = subtree(leaves, Node { level, index: 2 * node.index })?;
        let right = subtree(leaves, Node { level, index: 2 * node.index + 1 })?;
        Ok(node_hash(&left, &right))
    }

    fn proof(plan: &Plan) -> Vec<[u8; 32]> {
        let leaves = leaves();
        plan.hashes(|node| subtree(&leaves, node)).unwrap()
    }

    #[test]
    fn each_leaf_of_each_tree_is_proven_and_no_other() {
        let leaves = leaves();
        for size in 1..SIZE {
            let head = head(size);
            assert_eq!(proof(&Plan::root(size)), [head.root]);
            for index in 0..size {
                let proof = proof(&Plan::inclusion(index, size).unwrap());
                let leaf = leaves[index as usize];
                assert_eq!(verify_inclusion(index, leaf, &proof, head), Ok(()));
                let other = leaves[((index + 1) % SIZE) as usize];
                assert!(verify_inclusion(index, other, &proof, head).is_err());
                assert!(verify_inclusion(size, leaf, &proof, head).is_err());
                for wrong in 0..size {
                    if wrong != index {
                        assert!(verify_inclusion(wrong, leaf, &proof, head).is_err());
                    }
                }
                let longer = [&proof[..], &[leaf.0]].concat();
                assert!(verify_inclusion(index, leaf, &longer, head).is_err());
                if let [shorter @ .., _] = &proof[..] {
                    assert!(verify_inclusion(index, leaf, shorter, head).is_err());
                }
            }
        }
        assert_eq!(Plan::inclusion(3, 3), None);
    }

    #[test]
    fn each_tree_continues_each_smaller_one_and_no_other() {
        for new in 0..SIZE {
            for old in 0..=new {
                let proof = proof(&Plan::consistency(old, new).unwrap());
                assert_eq!(verify_consistency(head(old), head(new), &proof), Ok(()), "{old} {new}");
                let longer = [&proof[..], &[[7; 32]]].concat();
                assert!(verify_consistency(head(old), head(new), &longer).is_err());
                if old == 0 {
                    continue;
                }
                let forked = TreeHead { size: old, root: [7; 32] };
                assert!(verify_consistency(forked, head(new), &proof).is_err());
                let forked = TreeHead { size: new, root: [7; 32] };
                assert!(verify_consistency(head(old), forked, &proof).is_err());
            }
            assert_eq!(Plan::consistency(new + 1, new), None);
        }
    }

    #[test]
    fn a_plan_for_a_large_log_is_short() {
        let plan = Plan::inclusion(123_456, 1_000_000).unwrap();
        assert_eq!(plan.steps.len(), 20);
        assert!(Plan::consistency(1, u64::MAX).unwrap().steps.len() <= 64);
    }
}
