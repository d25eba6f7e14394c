//! The themes of the must-refuse corpus, one file each, and the honest letters that they begin with.

pub(crate) mod algorithms;
pub(crate) mod forms;
pub(crate) mod headers;
pub(crate) mod honest;
pub(crate) mod keys;
pub(crate) mod nesting;
pub(crate) mod recipients;
pub(crate) mod rotation;
pub(crate) mod senders;

use super::curve::Curve;
use super::letter::Layer::{self, Anoncrypt, Authcrypt, Sign};
use super::letter::Letter;

/// The curves of the specification's MUSTs.
pub(crate) const MUST: [Curve; 3] = [Curve::X25519, Curve::P256, Curve::P384];

/// Every legal nesting that encrypts.
pub(crate) const ENCRYPTED: [&[Layer]; 5] =
    [&[Anoncrypt], &[Authcrypt], &[Anoncrypt, Sign], &[Authcrypt, Sign], &[Anoncrypt, Authcrypt]];

/// Every legal nesting that proves a sender and encrypts.
pub(crate) const PROVEN: [&[Layer]; 4] =
    [&[Authcrypt], &[Anoncrypt, Sign], &[Authcrypt, Sign], &[Anoncrypt, Authcrypt]];

/// A signing curve to go with an agreement curve, where not all pairs are needed.
pub(crate) const fn partner(curve: Curve) -> Curve {
    match curve {
        Curve::P256 => Curve::P256,
        Curve::P384 => Curve::Secp256k1,
        _ => Curve::Ed25519,
    }
}

/// The honest letter of a nesting and a curve.
pub(crate) fn honest(nest: &[Layer], curve: Curve) -> Letter {
    Letter::new(nest, curve, partner(curve))
}
