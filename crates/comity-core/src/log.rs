//! The node's verifiable log: the pure hashing under it.
//!
//! What it is: RFC 6962 section 2.1 tree hashing (RFC 9162 hashes the same way), the compact
//! range from which a tree head is computed without the leaves, and the salted digest that a log
//! record carries instead of a message. What it is not: storage of leaves, proofs or signed
//! checkpoints. Appending happens in the store, in the batch that makes a message durable.

mod tree;

pub use tree::{Frontier, FrontierError, LeafHash, TreeHead, leaf_hash, node_hash};

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
