//! The node's verifiable log: what is recorded, how it is hashed, proven, signed and witnessed.
//!
//! What it is: the statements of agents and the chains that they form; RFC 6962 section 2.1 tree
//! hashing (RFC 9162 hashes the same way) and its proofs; the C2SP formats of tiles, signed notes,
//! checkpoints and witnesses. What it is not: storage. Appending happens in the store, in the batch
//! that makes what is recorded durable.

mod checkpoint;
mod finding;
mod head;
mod note;
mod policy;
mod proof;
mod quote;
mod statement;
mod tile;
mod tree;
mod witness;

pub use checkpoint::{Checkpoint, origin_hash};
pub use finding::Finding;
pub use head::{HEAD_TYPE, Head, SignedHead, sign_head};
pub use note::{Cosigned, KeyKind, Note, NoteError, NoteKey, NoteSignature, VerifierKey};
pub use policy::{PolicyError, WitnessPolicy};
pub use proof::{Node, Plan, ProofError, verify_consistency, verify_inclusion};
pub use quote::LogQuote;
pub use statement::{Act, Link, Stated, Statement, TagSecret, encode_hash, statement_hash};
pub use tile::{
    PathError, Resource, TILE_LEVEL_MAX, TILE_WIDTH, Tile, entry_bundle, parse_entry_bundle,
};
pub use tree::{Frontier, FrontierError, LeafHash, TreeHead, leaf_hash, node_hash};
pub use witness::{AddCheckpoint, Judged, WitnessRefusal, Witnessed};

use aws_lc_rs::digest::{Context, SHA256};

/// Computes the digest under which a message enters the log: `SHA-256(salt || bytes)`.
///
/// The salt has a fixed length, so the two parts cannot be shifted against each other. As long as
/// the salt is kept with the message and erased with it, nobody can test a guess of the message
/// against the log.
pub fn salted_digest(salt: &[u8; 16], bytes: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(salt);
    context.update(bytes);
    tree::finish(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salted_digest_hashes_the_salt_before_the_bytes() {
        let mut joined = vec![7; 16];
        joined.extend_from_slice(b"message");
        let expected = aws_lc_rs::digest::digest(&SHA256, &joined);
        assert_eq!(salted_digest(&[7; 16], b"message").as_slice(), expected.as_ref());
    }

    #[test]
    fn salted_digest_depends_on_the_salt() {
        assert_ne!(salted_digest(&[0; 16], b"message"), salted_digest(&[1; 16], b"message"));
    }
}
