//! The Merkle tree hash of RFC 6962 section 2.1, over SHA-256.
//!
//! What it is: leaf and interior hashes, and the *frontier* (compact range) of a growing tree:
//! the roots of its complete subtrees, from which the head of the tree follows. What it is not: a
//! tree in memory; a frontier holds at most 64 hashes however many leaves there are.

use aws_lc_rs::digest::{Context, SHA256};
use thiserror::Error;

/// The hash of one leaf of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeafHash(pub [u8; 32]);

/// The size and the root hash of the log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The Merkle tree hash over all of them.
    pub root: [u8; 32],
}

/// Tells why bytes are not an encoded frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrontierError {
    /// The bytes are not exactly as long as the size that they begin with demands.
    #[error("the encoded frontier has the wrong length")]
    Length,
}

/// Hashes a leaf: `SHA-256(0x00 || data)`.
pub fn leaf_hash(data: &[u8]) -> LeafHash {
    let mut context = Context::new(&SHA256);
    context.update(&[LEAF_PREFIX]);
    context.update(data);
    LeafHash(finish(context))
}

/// Hashes an interior node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[NODE_PREFIX]);
    context.update(left);
    context.update(right);
    finish(context)
}

/// The roots of the complete subtrees of a growing tree, largest first.
///
/// A tree of `size` leaves falls apart into one complete subtree for every set bit of `size`, so
/// there are `size.count_ones()` roots; the type keeps that true.
///
/// ```
/// use comity_core::log::{Frontier, leaf_hash};
///
/// let mut frontier = Frontier::default();
/// frontier.append(leaf_hash(b"first"));
/// assert_eq!(frontier.root().size, 1);
/// assert_eq!(frontier.root().root, leaf_hash(b"first").0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<[u8; 32]>,
}

impl Frontier {
    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    ///
    /// Fails if the length does not match the size.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrontierError> {
        let (size, rest) = bytes.split_first_chunk::<8>().ok_or(FrontierError::Length)?;
        let size = u64::from_be_bytes(*size);
        let (roots, remainder) = rest.as_chunks::<32>();
        if !remainder.is_empty() || roots.len() != subtrees(size) {
            return Err(FrontierError::Length);
        }
        Ok(Self { size, roots: roots.to_vec() })
    }

    /// Appends one leaf.
    pub fn append(&mut self, leaf: LeafHash) {
        let mut root = leaf.0;
        // Each trailing one bit of the old size is a complete subtree that the new leaf, with
        // those before it, makes twice as large.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node_hash(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// Gives the number of leaves, which is also the index of the next one.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Computes the head of the tree; the root of the empty tree is `SHA-256("")`.
    pub fn root(&self) -> TreeHead {
        let mut smallest_first = self.roots.iter().rev();
        let root = match smallest_first.next() {
            Some(last) => smallest_first.fold(*last, |right, left| node_hash(left, &right)),
            None => finish(Context::new(&SHA256)),
        };
        TreeHead { size: self.size, root }
    }

    /// Writes the size, eight bytes big endian, and then the roots.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert_eq!(self.roots.len(), subtrees(self.size));
        let mut bytes = Vec::with_capacity(8 + 32 * self.roots.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(self.roots.as_flattened());
        bytes
    }
}

/// Ends a SHA-256 computation.
pub(super) fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn subtrees(size: u64) -> usize {
    size.count_ones() as usize
}

const LEAF_PREFIX: u8 = 0x00;
const NODE_PREFIX: u8 = 0x01;

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// The leaves and roots that Certificate Transparency implementations have shared as test
    /// data since RFC 6962.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    /// RFC 6962 section 2.1, word for word.
    fn recursive_root(leaves: &[LeafHash]) -> [u8; 32] {
        match leaves {
            [] => finish(Context::new(&SHA256)),
            [leaf] => leaf.0,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                node_hash(&recursive_root(left), &recursive_root(right))
            }
        }
    }

    #[test]
    fn known_trees_have_the_known_roots() {
        let mut frontier = Frontier::default();
        assert_eq!(hex(&frontier.root().root), ROOTS[0]);
        for (index, leaf) in LEAVES.iter().enumerate() {
            frontier.append(leaf_hash(leaf));
            assert_eq!(hex(&frontier.root().root), ROOTS[index + 1], "{} leaves", index + 1);
        }
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let mut frontier = Frontier::default();
        let mut leaves = Vec::new();
        for n in 0..300_u64 {
            assert_eq!(frontier.root(), TreeHead { size: n, root: recursive_root(&leaves) });
            let leaf = leaf_hash(&n.to_be_bytes());
            frontier.append(leaf);
            leaves.push(leaf);
        }
    }

    #[test]
    fn every_size_is_read_back_as_written() {
        let mut frontier = Frontier::default();
        for n in 0..300_u64 {
            assert_eq!(Frontier::decode(&frontier.encode()), Ok(frontier.clone()));
            frontier.append(leaf_hash(&n.to_be_bytes()));
        }
    }

    #[test]
    fn other_lengths_are_not_a_frontier() {
        let mut frontier = Frontier::default();
        for leaf in LEAVES.iter().take(3) {
            frontier.append(leaf_hash(leaf));
        }
        let bytes = frontier.encode();
        for length in 0..bytes.len() {
            assert_eq!(Frontier::decode(&bytes[..length]), Err(FrontierError::Length));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Frontier::decode(&longer), Err(FrontierError::Length));
        let mut another_size = bytes;
        another_size[7] = 4;
        assert_eq!(Frontier::decode(&another_size), Err(FrontierError::Length));
    }
}
