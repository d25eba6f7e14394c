//! Where the statements of an identity lie, and what appending one writes.
//!
//! The number of a statement and the entry before it are known only at the commit, so the rows are made
//! there (`evaluate.rs`); `records/log.rs` reads them.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | log | index of the first | the entries of one write, 32 bytes each, as far as they are of one tile |
//! | log | `c` chain | index, number and entry of the chain's last statement |
//! | log | `s` chain number | index, tags and text of a statement |
//! | body | `e` index | what the statement is about, sealed |

use comity_core::log::{LeafHash, Stated, TILE_WIDTH, leaf_hash};
use comity_core::record::key_hash;
use comity_didcomm::Did;

/// Stands for the chain of an identity in keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey(pub [u8; 16]);

impl ChainKey {
    /// Returns the key of an identity's chain. Of a DID with two forms, the short one names it.
    #[must_use]
    pub fn of(agent: &Did) -> Self {
        let agent = comity_core::trust::subject(agent);
        Self(key_hash(&[agent.as_str().as_bytes()]))
    }
}

/// The last statement of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// Its index in the log.
    pub index: u64,
    /// Its number in the chain; zero if there is none.
    pub seq: u64,
    /// Its entry in the log.
    pub entry: [u8; 32],
}

impl ChainEnd {
    /// What the first statement of a chain follows.
    pub const EMPTY: Self = Self { index: 0, seq: 0, entry: [0; 32] };

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (index, rest) = row.split_first_chunk::<8>()?;
        let (seq, entry) = rest.split_first_chunk::<8>()?;
        Some(Self {
            index: u64::from_be_bytes(*index),
            seq: u64::from_be_bytes(*seq),
            entry: entry.try_into().ok()?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        [&self.index.to_be_bytes()[..], &self.seq.to_be_bytes(), &self.entry].concat()
    }
}

/// Makes the rows of a statement that follows the end of its chain.
pub(crate) struct Appended {
    pub(crate) leaf: LeafHash,
    pub(crate) entry: [u8; 32],
    pub(crate) statement: (Vec<u8>, Vec<u8>),
    pub(crate) end: Vec<u8>,
}

impl Appended {
    pub(crate) fn new(chain: ChainKey, stated: Stated, before: &ChainEnd, index: u64) -> Self {
        let seq = before.seq + 1;
        let (link, text) = stated.link(seq, &before.entry);
        let (entry, tags) = (link.entry(), [link.peer.as_str(), &link.thread]);
        Self {
            leaf: leaf_hash(&entry),
            entry,
            statement: (statement_key(chain, seq), statement_row(index, &tags, &text)),
            end: ChainEnd { index, seq, entry }.encode(),
        }
    }
}

/// Makes the rows of entries that follow each other. No row goes beyond its tile, so who reads from
/// where a tile begins misses none.
pub(crate) fn entry_rows(
    first: u64,
    entries: &[[u8; 32]],
) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let (mut index, mut rest) = (first, entries);
    std::iter::from_fn(move || {
        let room = usize::try_from(TILE_WIDTH - index % TILE_WIDTH).unwrap_or(usize::MAX);
        let (row, after) = rest.split_at(room.min(rest.len()));
        let key = entries_key(index);
        (index, rest) = (index + row.len() as u64, after);
        (!row.is_empty()).then(|| (key, row.as_flattened().to_vec()))
    })
}

pub(crate) fn entries_key(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

pub(crate) fn end_key(chain: ChainKey) -> Vec<u8> {
    [&b"c"[..], &chain.0].concat()
}

/// Begins the keys of a chain's statements.
pub(crate) fn statements_prefix(chain: ChainKey) -> Vec<u8> {
    [&b"s"[..], &chain.0].concat()
}

pub(crate) fn statement_key(chain: ChainKey, seq: u64) -> Vec<u8> {
    [&statements_prefix(chain)[..], &seq.to_be_bytes()].concat()
}

pub(crate) fn kept_key(index: u64) -> Vec<u8> {
    [&b"e"[..], &index.to_be_bytes()].concat()
}

/// Writes a statement's row: its index, the tags of its link, and its text.
fn statement_row(index: u64, [peer, thread]: &[&str; 2], text: &str) -> Vec<u8> {
    [&index.to_be_bytes()[..], peer.as_bytes(), thread.as_bytes(), text.as_bytes()].concat()
}

/// Reads a statement's row.
pub(crate) fn read_statement_row(row: &[u8]) -> Option<(u64, [&str; 2], &str)> {
    let (index, rest) = row.split_first_chunk::<8>()?;
    let (peer, rest) = rest.split_first_chunk::<TAG_CHARS>()?;
    let (thread, text) = rest.split_first_chunk::<TAG_CHARS>()?;
    let tags = [std::str::from_utf8(peer).ok()?, std::str::from_utf8(thread).ok()?];
    Some((u64::from_be_bytes(*index), tags, std::str::from_utf8(text).ok()?))
}

/// Twelve bytes in base64url.
const TAG_CHARS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_are_written() {
        let end = ChainEnd { index: 9, seq: 3, entry: [7; 32] };
        assert_eq!(ChainEnd::decode(&end.encode()), Some(end));
        assert_eq!(ChainEnd::decode(&end.encode()[1..]), None);
        let tags = ["peer-tag-16-char", "thread-tag-16-ch"];
        let row = statement_row(9, &tags, "{}");
        assert_eq!(read_statement_row(&row), Some((9, tags, "{}")));
        assert_eq!(read_statement_row(&[0; 12]), None);
    }
}
