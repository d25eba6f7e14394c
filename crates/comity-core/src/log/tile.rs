//! How a log is published: the resources of C2SP tlog-tiles and their paths.
//!
//! What it is: parsing and writing paths, which tile holds a subtree's hash, and entry bundles. What
//! it is not: reading tiles from anywhere.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::proof::Node;
use super::tree::node_hash;

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Highest level that a tile can have.
pub const TILE_LEVEL_MAX: u8 = 63;

/// A resource of a log, by its path under the log's prefix.
///
/// ```
/// use comity_core::log::{Resource, Tile};
///
/// let resource: Resource = "tile/0/x001/234".parse()?;
/// assert_eq!(resource, Resource::Tile(Tile { level: 0, index: 1_234, width: 256 }));
/// assert_eq!("tile/entries/000.p/7".parse(), Ok(Resource::Entries { index: 0, width: 7 }));
/// assert!("tile/0/1".parse::<Resource>().is_err());
/// # Ok::<(), comity_core::log::PathError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The latest checkpoint.
    Checkpoint,
    /// The entries under a tile of level zero.
    Entries {
        /// Its place among the bundles.
        index: u64,
        /// How many entries it has: 1 to 256.
        width: u16,
    },
    /// Hashes.
    Tile(Tile),
}

/// The roots of up to 256 neighbouring complete subtrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Each subtree has `256^level` leaves.
    pub level: u8,
    /// Its place among the tiles of its level.
    pub index: u64,
    /// How many hashes it has: 1 to 256.
    pub width: u16,
}

/// A path that is no resource's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such resource in a tiled log")]
pub struct PathError;

impl Tile {
    /// Returns the tile with this place in a log of a size; nothing if none of its hashes exist.
    #[must_use]
    pub fn of_log(level: u8, index: u64, size: u64) -> Option<Self> {
        let nodes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let width = nodes.checked_sub(index.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
        // At most 256.
        (0 < width).then_some(Self { level, index, width: width as u16 })
    }

    /// Returns the tile from which a subtree's hash follows, as it is in a log of a size.
    #[must_use]
    pub fn of_node(node: Node, size: u64) -> Option<Self> {
        let (level, above) = (node.level / 8, node.level % 8);
        let first = node.index.checked_shl(u32::from(above))?;
        Self::of_log(level, first / TILE_WIDTH, size)
    }

    /// Computes a subtree's hash from the hashes of its tile; nothing if they do not cover it.
    #[must_use]
    pub fn node(node: Node, hashes: &[[u8; 32]]) -> Option<[u8; 32]> {
        let above = u32::from(node.level % 8);
        let first = usize::try_from((node.index << above) % TILE_WIDTH).ok()?;
        let mut row = hashes.get(first..first + (1 << above))?.to_vec();
        while 1 < row.len() {
            let (pairs, _) = row.as_chunks::<2>();
            row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied()
    }
}

/// Writes entries as a bundle: each with its length before it, two bytes big endian. An entry has at
/// most 65,535 bytes.
#[must_use]
pub fn entry_bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Vec<u8> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    bundle
}

/// Reads a bundle; nothing if it is none.
#[must_use]
pub fn parse_entry_bundle(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    bundle.is_empty().then_some(entries)
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
            Self::Tile(Tile { level, index, width }) => {
                write!(f, "tile/{level}/")?;
                (*index, *width)
            }
        };
        let digits = format!("{index}");
        let digits = format!("{:0>1$}", digits, digits.len().div_ceil(3) * 3);
        let (groups, _) = digits.as_bytes().as_chunks::<3>();
        for (position, group) in groups.iter().enumerate() {
            let is_last = position + 1 == groups.len();
            f.write_str(if is_last { "" } else { "x" })?;
            group.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))?;
            f.write_str(if is_last { "" } else { "/" })?;
        }
        if u64::from(width) < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

impl FromStr for Resource {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        if path == "checkpoint" {
            return Ok(Self::Checkpoint);
        }
        let rest = path.strip_prefix("tile/").ok_or(PathError)?;
        let (level, place) = rest.split_once('/').ok_or(PathError)?;
        let (place, width) = match place.split_once(".p/") {
            Some((place, width)) => {
                let width: u16 = number(width)
                    .and_then(|width| width.try_into().ok())
                    .filter(|width| (1..256).contains(width))
                    .ok_or(PathError)?;
                (place, width)
            }
            None => (place, 256),
        };
        let index = tile_index(place).ok_or(PathError)?;
        if level == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = number(level).and_then(|level| u8::try_from(level).ok());
        let level = level.filter(|level| *level <= TILE_LEVEL_MAX).ok_or(PathError)?;
        Ok(Self::Tile(Tile { level, index, width }))
    }
}

/// Reads a decimal number in its only form.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && is_shortest)
}

/// Reads the index of a tile: groups of three digits, all but the last with an `x` before them.
fn tile_index(place: &str) -> Option<u64> {
    let mut index: u64 = 0;
    let mut groups = place.split('/').peekable();
    let mut is_first = true;
    while let Some(group) = groups.next() {
        let is_last = groups.peek().is_none();
        let digits = if is_last { group } else { group.strip_prefix('x')? };
        let is_group = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A first group of zeros that is not the last would be a second way to write the index.
        if !is_group || (is_first && !is_last && digits == "000") {
            return None;
        }
        index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        is_first = false;
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Frontier, Plan, leaf_hash, verify_inclusion};

    #[test]
    fn paths_are_read_as_they_are_written() {
        let tile = |level, index, width| Resource::Tile(Tile { level, index, width });
        for (resource, path) in [
            (Resource::Checkpoint, "checkpoint"),
            (tile(0, 0, 256), "tile/0/000"),
            (tile(63, 1_234_067, 256), "tile/63/x001/x234/067"),
            (tile(1, 999, 17), "tile/1/999.p/17"),
            (tile(2, 1_000, 1), "tile/2/x001/000.p/1"),
            (Resource::Entries { index: 273, width: 112 }, "tile/entries/273.p/112"),
            (tile(0, u64::MAX, 256), "tile/0/x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(resource.to_string(), path);
            assert_eq!(path.parse(), Ok(resource));
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/00/000",
            "tile/64/000",
            "tile/0/0",
            "tile/0/1234",
            "tile/0/001/234",
            "tile/0/x001",
            "tile/0/x000/001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/07",
            "tile/0/000.p/",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/+01",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/entries/000/",
            "Checkpoint",
        ] {
            assert_eq!(path.parse::<Resource>(), Err(PathError), "{path}");
        }
    }

    #[test]
    fn a_log_of_seventy_thousand_has_the_tiles_of_the_specification() {
        assert_eq!(Tile::of_log(0, 272, 70_000).unwrap().width, 256);
        assert_eq!(Tile::of_log(0, 273, 70_000).unwrap().width, 112);
        assert_eq!(Tile::of_log(0, 274, 70_000), None);
        assert_eq!(Tile::of_log(1, 0, 70_000).unwrap().width, 256);
        assert_eq!(Tile::of_log(1, 1, 70_000).unwrap().width, 17);
        assert_eq!(Tile::of_log(2, 0, 70_000).unwrap().width, 1);
        assert_eq!(Tile::of_log(3, 0, 70_000), None);
        assert_eq!(Tile::of_log(63, 0, u64::MAX), None);
    }

    #[test]
    fn proofs_follow_from_tiles() {
        let size = 1_000_u64;
        let leaves: Vec<[u8; 32]> = (0..size).map(|n| leaf_hash(&n.to_be_bytes()).0).collect();
        let mut log = Frontier::default();
        leaves.iter().for_each(|leaf| log.append(crate::log::LeafHash(*leaf)));
        let level_1: Vec<[u8; 32]> = leaves
            .chunks_exact(256)
            .map(|tile| Tile::node(Node { level: 7, index: 0 }, tile).map(|_| ()).and(Some(tile)))
            .map(|tile| {
                let (left, right) = tile.unwrap().split_at(128);
                let half =
                    |half: &[[u8; 32]]| Tile::node(Node { level: 7, index: 0 }, half).unwrap();
                node_hash(&half(left), &half(right))
            })
            .collect();
        for index in [0, 1, 255, 256, 767, 768, 999] {
            let plan = Plan::inclusion(index, size).unwrap();
            let proof = plan.hashes(|node| {
                let tile = Tile::of_node(node, size).ok_or("no tile")?;
                let (first, last) = (tile.index * 256, tile.index * 256 + u64::from(tile.width));
                let row = if tile.level == 0 { &leaves } else { &level_1 };
                Tile::node(node, &row[first as usize..last as usize]).ok_or("not covered")
            });
            let leaf = leaf_hash(&index.to_be_bytes());
            assert_eq!(verify_inclusion(index, leaf, &proof.unwrap(), log.root()), Ok(()));
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written() {
        let entries: [&[u8]; 3] = [b"one", b"", b"three"];
        let bundle = entry_bundle(entries);
        assert_eq!(bundle, b"\x00\x03one\x00\x00\x00\x05three");
        assert_eq!(parse_entry_bundle(&bundle).unwrap(), entries);
        assert_eq!(parse_entry_bundle(&bundle[..bundle.len() - 1]), None);
        assert_eq!(parse_entry_bundle(b"\x00"), None);
    }
}
