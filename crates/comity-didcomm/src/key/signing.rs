//! [`SigningKey`]: makes `EdDSA` (RFC 8032), `ES256` and `ES256K` (RFC 7518, RFC 8812) signatures,
//! always with low S.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{AgreementKey, Curve, KeyError, PublicKey, draw, random};
use crate::envelope::SignatureAlgorithm;

/// Represents a private key that signs. Cloning shares it; the last clone wipes it.
#[derive(Clone)]
pub struct SigningKey(Arc<Signing>);

struct Signing {
    private: Zeroizing<[u8; 32]>,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SigningKey {
    /// Creates a new Ed25519 key from the caller's randomness.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::from_seed(random(rng))
    }

    /// Creates a new key on this curve from the caller's randomness.
    ///
    /// # Errors
    /// When keys on the curve do not sign, or the source of randomness is broken.
    pub fn generate_on(curve: Curve, rng: &mut dyn CryptoRng) -> Result<Self, KeyError> {
        match curve {
            Curve::Ed25519 => Ok(Self::generate(rng)),
            Curve::P256 | Curve::Secp256k1 => {
                draw(curve, rng, |bytes| Self::from_bytes_on(curve, bytes))
            }
            Curve::X25519 | Curve::P384 | Curve::P521 => Err(KeyError::Unsupported),
        }
    }

    /// Restores an Ed25519 key from its seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        #[expect(clippy::expect_used, reason = "every 32 bytes are a seed")]
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).expect("32 bytes are a seed");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let public = PublicKey::Ed25519(public);
        Self(Arc::new(Signing { private: seed, pair: Pair::Ed25519(pair), public }))
    }

    /// Restores a key from what [`seed`](Self::seed) returned.
    ///
    /// # Errors
    /// When keys on the curve do not sign, or the bytes are not a private key of it.
    pub fn from_bytes_on(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        // The curve first: a key that does not sign is none of ours, however long it is.
        let algorithm = match curve {
            Curve::Ed25519 => None,
            Curve::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Curve::Secp256k1 => Some(&ECDSA_P256K1_SHA256_FIXED_SIGNING),
            Curve::X25519 | Curve::P384 | Curve::P521 => return Err(KeyError::Unsupported),
        };
        let private = Zeroizing::new(<[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Encoding)?);
        let Some(algorithm) = algorithm else { return Ok(Self::from_seed(private)) };
        // An `ECPrivateKey` (RFC 5915) without the public part, which the library then computes.
        let mut der = Zeroizing::new([0_u8; 39]);
        let prefix = [0x30, 37, 0x02, 1, 1, 0x04, 32];
        der.iter_mut().zip(prefix.iter().chain(&*private)).for_each(|(to, from)| *to = *from);
        let pair =
            EcdsaKeyPair::from_private_key_der(algorithm, &*der).map_err(|_| KeyError::Encoding)?;
        let public = PublicKey::from_raw(curve, pair.public_key().as_ref())?;
        Ok(Self(Arc::new(Signing { private, pair: Pair::Ecdsa(pair), public })))
    }

    /// Returns the secret bytes, to be kept in a key store: the seed of an Ed25519 key, the private
    /// number of the others.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.private.clone()
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public
    }

    /// The name of what [`sign`](Self::sign) does.
    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.public.curve() {
            Curve::P256 => SignatureAlgorithm::Es256,
            Curve::Secp256k1 => SignatureAlgorithm::Es256K,
            _ => SignatureAlgorithm::EdDsa,
        }
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        match &self.0.pair {
            Pair::Ed25519(pair) => signature.copy_from_slice(pair.sign(message).as_ref()),
            Pair::Ecdsa(pair) => {
                let digest = digest::digest(&digest::SHA256, message);
                #[expect(clippy::expect_used, reason = "fails only when memory has run out")]
                let made =
                    pair.sign_digest(&digest).expect("a digest of the right length is signed");
                signature.copy_from_slice(made.as_ref());
                make_low(self.0.public.curve(), &mut signature);
            }
        }
        signature
    }

    /// Returns the agreement key that belongs to this key, as did:key derives it: another one for
    /// Ed25519, the same one for P-256, none for secp256k1.
    #[must_use]
    pub fn to_agreement(&self) -> Option<AgreementKey> {
        if let Pair::Ecdsa(_) = &self.0.pair {
            return AgreementKey::from_bytes_on(self.0.public.curve(), &*self.0.private).ok();
        }
        let hash = digest::digest(&digest::SHA512, &*self.0.private);
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Some(AgreementKey::from_bytes(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Replaces S by the order minus S when that is smaller: both verify, and some implementations take
/// only the low one.
pub(crate) fn make_low(curve: Curve, signature: &mut [u8; 64]) {
    let order = if curve == Curve::P256 { &ORDER_P256 } else { &ORDER_SECP256K1 };
    let Some(s) = signature.last_chunk_mut::<32>() else { return };
    let mut other = [0; 32];
    let mut borrow = 0_i16;
    for ((to, order), s) in other.iter_mut().zip(order).zip(&*s).rev() {
        let difference = i16::from(*order) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *to = difference.to_le_bytes()[0];
    }
    if other < *s {
        *s = other;
    }
}

/// The order of the group of P-256 (SEC 2, section 2.4.2).
const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// The order of the group of secp256k1 (SEC 2, section 2.4.1).
const ORDER_SECP256K1: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
