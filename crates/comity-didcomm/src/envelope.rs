//! The closed table of algorithms and layers (DIDComm v2.1, sections "Encryption", "Signing" and
//! "Combinations").
//!
//! What has no row here does not parse: there is no negotiation and no default.

pub(crate) mod compact;
pub(crate) mod content;
mod covered;
pub(crate) mod header;
pub(crate) mod jwe;
pub(crate) mod jws;
pub(crate) mod kdf;

use crate::key::{Curve, PublicKey};
use crate::limits::LAYERS_MAX;

/// Names one layer of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Encrypted; says nothing about the sender.
    Anoncrypt,
    /// Encrypted and authenticated to the recipient; proves nothing to others.
    Authcrypt,
    /// Signed.
    Signed,
}

impl Layer {
    /// Returns the media type of an envelope whose outermost layer this is.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Anoncrypt | Self::Authcrypt => ENCRYPTED_TYPE,
            Self::Signed => SIGNED_TYPE,
        }
    }

    /// Whether the specification's table allows these layers around a plaintext, outermost first.
    ///
    /// Every beginning of an allowed list is allowed too, so a reader can ask after each layer that
    /// it finds.
    #[must_use]
    pub const fn are_legal(layers: &[Self]) -> bool {
        use Layer::{Anoncrypt, Authcrypt, Signed};
        matches!(
            layers,
            [] | [_] | [Anoncrypt, Signed | Authcrypt]
                // The specification says SHOULD NOT send, MAY accept; then the signer must be the
                // sealer.
                | [Authcrypt, Signed]
        )
    }
}

/// A legal list of layers, outermost first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers {
    all: [Layer; LAYERS_MAX],
    count: usize,
}

impl Layers {
    /// Adds the layer that stands inside the others, if the result is legal.
    pub(crate) fn around(mut self, inner: Layer) -> Option<Self> {
        *self.all.get_mut(self.count)? = inner;
        self.count += 1;
        Layer::are_legal(self.as_slice()).then_some(self)
    }

    pub(crate) fn as_slice(&self) -> &[Layer] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self { all: [Layer::Signed; LAYERS_MAX], count: 0 }
    }
}

/// Media type of an encrypted envelope.
pub const ENCRYPTED_TYPE: &str = "application/didcomm-encrypted+json";
/// Media type of a signed envelope.
pub const SIGNED_TYPE: &str = "application/didcomm-signed+json";

/// Names how the content of an envelope is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentEncryption {
    /// AES-256-CBC with HMAC-SHA-512: every peer must know it, and the only one for authcrypt.
    #[default]
    A256CbcHs512,
    /// AES-256-GCM: the fastest; recommended for anoncrypt.
    A256Gcm,
    /// XChaCha20-Poly1305: optional for peers.
    XC20P,
}

impl ContentEncryption {
    const ALL: [Self; 3] = [Self::A256CbcHs512, Self::A256Gcm, Self::XC20P];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::A256CbcHs512 => "A256CBC-HS512",
            Self::A256Gcm => "A256GCM",
            Self::XC20P => "XC20P",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Bytes of key, initialisation vector and tag.
    pub(crate) const fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::A256CbcHs512 => (64, 16, 32),
            Self::A256Gcm => (32, 12, 16),
            Self::XC20P => (32, 24, 16),
        }
    }
}

/// Names how the content key reaches the recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyManagement {
    /// The sender's static key takes part: authcrypt.
    Ecdh1PuA256Kw,
    /// Only an ephemeral key takes part: anoncrypt.
    EcdhEsA256Kw,
}

impl KeyManagement {
    const ALL: [Self; 2] = [Self::Ecdh1PuA256Kw, Self::EcdhEsA256Kw];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ecdh1PuA256Kw => "ECDH-1PU+A256KW",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    pub(crate) const fn layer(self) -> Layer {
        match self {
            Self::Ecdh1PuA256Kw => Layer::Authcrypt,
            Self::EcdhEsA256Kw => Layer::Anoncrypt,
        }
    }

    /// Whether the pair may be used: without a content encryption that commits to its key, a
    /// recipient of authcrypt could forge messages to the other recipients (ECDH-1PU draft 04,
    /// section 2.1).
    pub(crate) fn allows(self, enc: ContentEncryption) -> bool {
        self == Self::EcdhEsA256Kw || enc == ContentEncryption::A256CbcHs512
    }
}

/// Names how a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    EdDsa,
    Es256,
    Es256K,
}

impl SignatureAlgorithm {
    const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Es256K];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es256K => "ES256K",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The one algorithm of the keys on a curve; `None` when they do not sign.
    pub(crate) const fn of(curve: Curve) -> Option<Self> {
        match curve {
            Curve::Ed25519 => Some(Self::EdDsa),
            Curve::P256 => Some(Self::Es256),
            Curve::Secp256k1 => Some(Self::Es256K),
            Curve::X25519 | Curve::P384 | Curve::P521 => None,
        }
    }

    /// The curve of the keys, if a signature has a second form that verifies as well.
    pub(crate) const fn ecdsa_curve(self) -> Option<Curve> {
        match self {
            Self::EdDsa => None,
            Self::Es256 => Some(Curve::P256),
            Self::Es256K => Some(Curve::Secp256k1),
        }
    }

    /// Whether the algorithm is the one for the key: the key decides, never the header alone
    /// (RFC 8725, section 3.1).
    pub(crate) fn fits(self, key: &PublicKey) -> bool {
        Self::of(key.curve()) == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Layer::{Anoncrypt, Authcrypt, Signed};
    use super::*;

    #[test]
    fn exactly_the_table_of_the_specification_is_legal() {
        let all = [Anoncrypt, Authcrypt, Signed];
        let mut stacks: Vec<Vec<Layer>> = vec![vec![]];
        let mut from = 0;
        for _ in 0..6 {
            let until = stacks.len();
            for at in from..until {
                for layer in all {
                    let mut deeper = stacks[at].clone();
                    deeper.push(layer);
                    stacks.push(deeper);
                }
            }
            from = until;
        }
        let legal: Vec<_> = stacks.into_iter().filter(|stack| Layer::are_legal(stack)).collect();
        let expected: [&[Layer]; 7] = [
            &[],
            &[Anoncrypt],
            &[Authcrypt],
            &[Signed],
            &[Anoncrypt, Authcrypt],
            &[Anoncrypt, Signed],
            &[Authcrypt, Signed],
        ];
        assert_eq!(legal, expected);
        assert!(legal.iter().all(|stack| stack.len() <= LAYERS_MAX));
    }
}
