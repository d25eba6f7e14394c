//! Keys: what may verify or be encrypted to ([`PublicKey`]), and what signs ([`SigningKey`]) or
//! agrees ([`AgreementKey`]).
//!
//! Ed25519 and X25519 (RFC 8032, 7748), the NIST curves P-256, P-384 and P-521, and secp256k1, in
//! the encodings that DID documents use: JWK (RFC 7517, 8037, 8812) and Multikey. Not a key store:
//! secrets come in as arguments, are wiped when dropped, and never reach `Debug`.

mod agreement;
mod cache;
mod jwk;
mod point;
mod signing;
mod small_order;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use curve25519_dalek::edwards::CompressedEdwardsY;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::agreement::AgreementKey;
pub(crate) use self::agreement::Secret;
pub use self::cache::AgreementCache;
pub use self::point::Point;
pub use self::signing::SigningKey;
pub(crate) use self::signing::make_low;
use self::small_order::{SMALL_ORDER_U, SMALL_ORDER_Y, is_one_of};
use crate::encoding;
use crate::limits::KEY_CHARS_MAX;

/// Names a curve, and with it what a key on it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Curve {
    /// Signs (`EdDSA`).
    Ed25519,
    /// Agrees; the fastest by far.
    X25519,
    /// Signs (`ES256`) and agrees; which of them, the document says.
    P256,
    /// Agrees.
    P384,
    /// Agrees.
    P521,
    /// Signs (`ES256K`).
    Secp256k1,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 6] =
        [Self::Ed25519, Self::X25519, Self::P256, Self::P384, Self::P521, Self::Secp256k1];

    /// The curves that agree, in the order in which a sender should take them: by their cost, which
    /// differs up to tenfold (the crate's documentation has a table). P-256 stands before P-384
    /// although the specification calls it deprecated: it is no weaker for a message than X25519.
    pub const AGREEMENT: [Self; 4] = [Self::X25519, Self::P256, Self::P384, Self::P521];

    /// Returns the name that a JWK has for the curve (`crv`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// Whether keys on it can verify signatures.
    #[must_use]
    pub const fn is_signing(self) -> bool {
        matches!(self, Self::Ed25519 | Self::P256 | Self::Secp256k1)
    }

    /// Whether keys on it can agree on secrets.
    #[must_use]
    pub const fn is_agreement(self) -> bool {
        matches!(self, Self::X25519 | Self::P256 | Self::P384 | Self::P521)
    }

    /// Bytes of a coordinate, of a private key, and of a secret that is agreed on.
    pub(crate) const fn field_bytes(self) -> usize {
        match self {
            Self::Ed25519 | Self::X25519 | Self::P256 | Self::Secp256k1 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The multicodec prefix: the varint that stands before the raw key.
    const fn codec(self) -> [u8; 2] {
        match self {
            Self::Ed25519 => [0xed, 0x01],
            Self::X25519 => [0xec, 0x01],
            Self::P256 => [0x80, 0x24],
            Self::P384 => [0x81, 0x24],
            Self::P521 => [0x82, 0x24],
            Self::Secp256k1 => [0xe7, 0x01],
        }
    }
}

/// Represents a public key of a kind that this crate can use.
///
/// The points of the Weierstrass curves are checked when they are read; the bytes of the other two
/// when they are used.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicKey {
    /// Verifies `EdDSA` signatures.
    Ed25519([u8; 32]),
    /// Agrees on secrets: messages are encrypted to it.
    X25519([u8; 32]),
    /// Verifies `ES256` signatures, and agrees on secrets: the document says which.
    P256(Point<65>),
    /// Agrees on secrets.
    P384(Point<97>),
    /// Agrees on secrets.
    P521(Point<133>),
    /// Verifies `ES256K` signatures.
    Secp256k1(Point<65>),
}

/// Says why an encoded key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the encoding that was expected, or not the length of a key.
    #[error("the key is not correctly encoded")]
    Encoding,
    /// The private part and the public part are not of one key.
    #[error("the private and the public part of the key do not belong together")]
    Mismatch,
    /// Not a point of the curve, or one of small order, with which anybody can sign or agree.
    #[error("the key is not a safe point of its curve")]
    Point,
    /// The private part is in a place for public keys.
    #[error("the key has a private part where only a public key belongs")]
    Private,
    /// A kind of key that this crate does not use, or not for this.
    #[error("the kind of key is not supported")]
    Unsupported,
}

/// Says that a signature does not belong to this key and message. There is deliberately no detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

impl PublicKey {
    /// Reads a key in Multikey form: multibase base58btc over a multicodec prefix and the raw key,
    /// which is a compressed point on the Weierstrass curves.
    ///
    /// # Errors
    /// When the encoding, the kind or the point is not acceptable.
    pub fn from_multibase(text: &str) -> Result<Self, KeyError> {
        if KEY_CHARS_MAX < text.len() {
            return Err(KeyError::Encoding);
        }
        let bytes = encoding::from_multibase(text).ok_or(KeyError::Encoding)?;
        let (codec, raw) = bytes.split_first_chunk::<2>().ok_or(KeyError::Encoding)?;
        let curve = Curve::ALL.into_iter().find(|curve| curve.codec() == *codec);
        let curve = curve.ok_or(KeyError::Unsupported)?;
        // One key has one Multikey, so an uncompressed point is none.
        if !matches!(curve, Curve::Ed25519 | Curve::X25519) && raw.len() != curve.field_bytes() + 1
        {
            return Err(KeyError::Encoding);
        }
        Self::from_raw(curve, raw)
    }

    /// Reads the raw key: 32 bytes on the Edwards and Montgomery curves, a SEC 1 point, compressed
    /// or not, on the others.
    ///
    /// # Errors
    /// When the length or the point is not acceptable.
    pub fn from_raw(curve: Curve, raw: &[u8]) -> Result<Self, KeyError> {
        let bytes = || <[u8; 32]>::try_from(raw).map_err(|_| KeyError::Encoding);
        Ok(match curve {
            Curve::Ed25519 => {
                let raw = bytes()?;
                CompressedEdwardsY(raw).decompress().ok_or(KeyError::Point)?;
                Self::Ed25519(raw).checked()?
            }
            Curve::X25519 => Self::X25519(bytes()?).checked()?,
            Curve::P256 => Self::P256(Point::read(curve, raw)?),
            Curve::P384 => Self::P384(Point::read(curve, raw)?),
            Curve::P521 => Self::P521(Point::read(curve, raw)?),
            Curve::Secp256k1 => Self::Secp256k1(Point::read(curve, raw)?),
        })
    }

    /// Reads the raw base58 form of the older verification suites.
    pub(crate) fn from_base58(text: &str, curve: Curve) -> Result<Self, KeyError> {
        if KEY_CHARS_MAX < text.len() {
            return Err(KeyError::Encoding);
        }
        Self::from_raw(curve, &encoding::from_base58(text).ok_or(KeyError::Encoding)?)
    }

    /// Returns the curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        match self {
            Self::Ed25519(_) => Curve::Ed25519,
            Self::X25519(_) => Curve::X25519,
            Self::P256(_) => Curve::P256,
            Self::P384(_) => Curve::P384,
            Self::P521(_) => Curve::P521,
            Self::Secp256k1(_) => Curve::Secp256k1,
        }
    }

    /// Returns the raw key: 32 bytes, or an uncompressed SEC 1 point.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(raw) | Self::X25519(raw) => raw,
            Self::P256(point) | Self::Secp256k1(point) => point.as_bytes(),
            Self::P384(point) => point.as_bytes(),
            Self::P521(point) => point.as_bytes(),
        }
    }

    /// Returns the Multikey form.
    #[must_use]
    pub fn to_multibase(&self) -> String {
        let mut bytes = Vec::with_capacity(2 + 67);
        bytes.extend_from_slice(&self.curve().codec());
        match self {
            Self::Ed25519(raw) | Self::X25519(raw) => bytes.extend_from_slice(raw),
            Self::P256(point) | Self::Secp256k1(point) => bytes.extend(point.compressed()),
            Self::P384(point) => bytes.extend(point.compressed()),
            Self::P521(point) => bytes.extend(point.compressed()),
        }
        encoding::multibase(&bytes)
    }

    /// Verifies a signature made by the [`SigningKey`] of this key, over `message` (`EdDSA`) or its
    /// SHA-256 (`ES256`, `ES256K`). A key that cannot sign verifies nothing.
    ///
    /// Of the two values of S that an ECDSA signature can have, both are taken: half of what other
    /// implementations make has the high one. So a signature is not an identifier of what it signs.
    ///
    /// # Errors
    /// When the signature is not one of this key over exactly this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            // With a key of small order one signature verifies for every message. Keys that were
            // read are checked already; this also covers one that a caller built from bytes.
            Self::Ed25519(_) => {
                self.checked().map_err(|_| SignatureError)?;
                &ED25519
            }
            Self::P256(_) => &ECDSA_P256_SHA256_FIXED,
            Self::Secp256k1(_) => &ECDSA_P256K1_SHA256_FIXED,
            Self::X25519(_) | Self::P384(_) | Self::P521(_) => return Err(SignatureError),
        };
        UnparsedPublicKey::new(algorithm, self.as_bytes())
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }

    /// Whether the key can verify signatures.
    #[must_use]
    pub const fn is_signing(&self) -> bool {
        self.curve().is_signing()
    }

    /// Whether the key can agree on secrets.
    #[must_use]
    pub const fn is_agreement(&self) -> bool {
        self.curve().is_agreement()
    }

    /// Returns the key to encrypt to that belongs to this key, as did:key derives it: an X25519 key
    /// for an Ed25519 key, otherwise the key itself if it can agree.
    #[must_use]
    pub fn to_agreement(&self) -> Option<Self> {
        let Self::Ed25519(raw) = self else { return Some(*self).filter(Self::is_agreement) };
        let point = CompressedEdwardsY(*raw).decompress()?;
        Self::X25519(point.to_montgomery().0).checked().ok()
    }

    /// Whether the bytes of an Edwards or Montgomery key can be a safe point, as cheaply as can be
    /// said: whoever uses the key still finds out whether it is on the curve. The other points were
    /// checked when they were read.
    pub(crate) fn checked(self) -> Result<Self, KeyError> {
        let small_order = match &self {
            Self::Ed25519(raw) => is_one_of(raw, &SMALL_ORDER_Y),
            Self::X25519(raw) => is_one_of(raw, &SMALL_ORDER_U),
            Self::P256(_) | Self::P384(_) | Self::P521(_) | Self::Secp256k1(_) => false,
        };
        if small_order { Err(KeyError::Point) } else { Ok(self) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_multibase())
    }
}

pub(crate) fn random<const N: usize>(rng: &mut dyn CryptoRng) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rng.fill_bytes(&mut *bytes);
    bytes
}

/// Draws a private key of a Weierstrass curve: takes what `make` accepts, which is any number from
/// 1 to below the group's order. A source that is not broken needs more than one draw once in four
/// billion times.
fn draw<T>(
    curve: Curve,
    rng: &mut dyn CryptoRng,
    make: impl Fn(&[u8]) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    let mut bytes = Zeroizing::new(vec![0; curve.field_bytes()]);
    for _ in 0..crate::limits::KEY_DRAWS_MAX {
        rng.fill_bytes(&mut bytes);
        // 521 bits: one bit of the first byte.
        if curve == Curve::P521
            && let Some(first) = bytes.first_mut()
        {
            *first &= 1;
        }
        if let Ok(key) = make(&bytes) {
            return Ok(key);
        }
    }
    Err(KeyError::Encoding)
}

#[cfg(test)]
mod tests;
