//! Keys: what may verify or be encrypted to ([`PublicKey`]), and what signs ([`SigningKey`]) or agrees
//! ([`AgreementKey`]).
//!
//! Ed25519 and X25519 today; another curve is another variant of [`PublicKey`] and another row in the tables of the
//! envelope module. Not a key store: secrets come in as arguments, are wiped when dropped, and never reach `Debug`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{agreement, digest};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use serde_json::{Map, Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::encoding;
use crate::json::Object;
use crate::limits::KEY_CHARS_MAX;

/// Multicodec prefixes, as the varints that stand before the raw key.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
const X25519_PUB: [u8; 2] = [0xec, 0x01];

/// Represents a public key of a kind that this crate can use.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicKey {
    /// Verifies `EdDSA` signatures.
    Ed25519([u8; 32]),
    /// Agrees on secrets: messages are encrypted to it.
    X25519([u8; 32]),
}

/// Says why an encoded key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the encoding that was expected, or not the length of a key.
    #[error("the key is not correctly encoded")]
    Encoding,
    /// Not a point of the curve, or one of small order, with which anybody can sign or agree.
    #[error("the key is not a safe point of its curve")]
    Point,
    /// The private part is in a place for public keys.
    #[error("the key has a private part where only a public key belongs")]
    Private,
    /// A kind of key that this crate does not use.
    #[error("the kind of key is not supported")]
    Unsupported,
}

/// Says that a signature does not belong to this key and message. There is deliberately no detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

impl PublicKey {
    /// Reads a key in Multikey form: multibase base58btc over a multicodec prefix and the raw key.
    ///
    /// # Errors
    /// When the encoding, the kind or the point is not acceptable.
    pub fn from_multibase(text: &str) -> Result<Self, KeyError> {
        if KEY_CHARS_MAX < text.len() {
            return Err(KeyError::Encoding);
        }
        let bytes = encoding::from_multibase(text).ok_or(KeyError::Encoding)?;
        let (codec, raw) = bytes.split_first_chunk::<2>().ok_or(KeyError::Encoding)?;
        match *codec {
            ED25519_PUB => Self::Ed25519(array(raw)?).checked(),
            X25519_PUB => Self::X25519(array(raw)?).checked(),
            _ => Err(KeyError::Unsupported),
        }
    }

    /// Reads a JWK (RFC 8037 for these curves).
    ///
    /// # Errors
    /// When it is not a public key of a known kind on a safe point.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        Self::from_jwk_members(member("kty"), member("crv"), member("x"), jwk.contains_key("d"))
    }

    pub(crate) fn from_jwk_object(jwk: &Object<'_>) -> Result<Self, KeyError> {
        let member = |name: &str| jwk.get_str(name);
        Self::from_jwk_members(member("kty"), member("crv"), member("x"), jwk.contains("d"))
    }

    fn from_jwk_members(
        kty: Option<&str>,
        crv: Option<&str>,
        x: Option<&str>,
        has_private_part: bool,
    ) -> Result<Self, KeyError> {
        if has_private_part {
            return Err(KeyError::Private);
        }
        let make = match (kty, crv) {
            (Some("OKP"), Some("Ed25519")) => Self::Ed25519,
            (Some("OKP"), Some("X25519")) => Self::X25519,
            (Some(_), _) => return Err(KeyError::Unsupported),
            (None, _) => return Err(KeyError::Encoding),
        };
        let raw = x.and_then(encoding::from_base64url_array).ok_or(KeyError::Encoding)?;
        make(raw).checked()
    }

    /// Reads the raw base58 form of the suites Ed25519VerificationKey2018 and X25519KeyAgreementKey2019.
    pub(crate) fn from_base58(
        text: &str,
        make: impl FnOnce([u8; 32]) -> Self,
    ) -> Result<Self, KeyError> {
        if KEY_CHARS_MAX < text.len() {
            return Err(KeyError::Encoding);
        }
        let raw = encoding::from_base58(text).ok_or(KeyError::Encoding)?;
        make(array(&raw)?).checked()
    }

    /// Returns the Multikey form.
    #[must_use]
    pub fn to_multibase(&self) -> String {
        let (codec, raw) = match self {
            Self::Ed25519(raw) => (ED25519_PUB, raw),
            Self::X25519(raw) => (X25519_PUB, raw),
        };
        let mut bytes = Vec::with_capacity(2 + raw.len());
        bytes.extend_from_slice(&codec);
        bytes.extend_from_slice(raw);
        encoding::multibase(&bytes)
    }

    /// Returns the JWK form.
    #[must_use]
    pub fn to_jwk(&self) -> Map<String, Value> {
        let (crv, raw) = match self {
            Self::Ed25519(raw) => ("Ed25519", raw),
            Self::X25519(raw) => ("X25519", raw),
        };
        let mut jwk = Map::new();
        jwk.insert("kty".to_owned(), json!("OKP"));
        jwk.insert("crv".to_owned(), json!(crv));
        jwk.insert("x".to_owned(), json!(encoding::base64url(raw)));
        jwk
    }

    /// Verifies a signature made by the [`SigningKey`] of this key. A key that cannot sign verifies nothing.
    ///
    /// # Errors
    /// When the signature is not one of this key over exactly this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let Self::Ed25519(raw) = self else { return Err(SignatureError) };
        // With a key of small order one signature verifies for every message. Keys that were read are checked already;
        // this also covers one that a caller built from bytes.
        self.checked().map_err(|_| SignatureError)?;
        UnparsedPublicKey::new(&ED25519, raw).verify(message, signature).map_err(|_| SignatureError)
    }

    /// Whether the key can verify signatures.
    #[must_use]
    pub const fn is_signing(&self) -> bool {
        matches!(self, Self::Ed25519(_))
    }

    /// Whether the key can agree on secrets.
    #[must_use]
    pub const fn is_agreement(&self) -> bool {
        matches!(self, Self::X25519(_))
    }

    /// Returns the X25519 key that belongs to an Ed25519 key, as did:key derives it.
    #[must_use]
    pub fn to_agreement(&self) -> Option<Self> {
        let Self::Ed25519(raw) = self else { return None };
        let point = CompressedEdwardsY(*raw).decompress()?;
        Self::X25519(point.to_montgomery().0).checked().ok()
    }

    pub(crate) fn checked(self) -> Result<Self, KeyError> {
        let safe = match &self {
            Self::Ed25519(raw) => {
                CompressedEdwardsY(*raw).decompress().is_some_and(|point| !point.is_small_order())
            }
            // Eight times a point of small order is the neutral element, on the curve and on its twist alike.
            Self::X25519(raw) => {
                let eightfold =
                    MontgomeryPoint(*raw).mul_bits_be([true, false, false, false].into_iter());
                eightfold != MontgomeryPoint([0; 32])
            }
        };
        if safe { Ok(self) } else { Err(KeyError::Point) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_multibase())
    }
}

/// Represents an Ed25519 private key. Cloning shares it; the last clone wipes it.
#[derive(Clone)]
pub struct SigningKey(Arc<Signing>);

struct Signing {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// Creates a new key from the caller's randomness.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::from_seed(random(rng))
    }

    /// Restores a key from its seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        #[expect(clippy::expect_used, reason = "every 32 bytes are a seed")]
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).expect("32 bytes are a seed");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self(Arc::new(Signing { seed, pair, public }))
    }

    /// Returns the seed, to be kept in a key store.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed.clone()
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.public)
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.pair.sign(message).as_ref());
        signature
    }

    /// Returns the agreement key that belongs to this key, as did:key derives it.
    #[must_use]
    pub fn to_agreement(&self) -> AgreementKey {
        let hash = digest::digest(&digest::SHA512, &*self.0.seed);
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        AgreementKey::from_bytes(bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Represents an X25519 private key. Cloning shares it; the last clone wipes it.
#[derive(Clone)]
pub struct AgreementKey(Arc<Agreement>);

struct Agreement {
    bytes: Zeroizing<[u8; 32]>,
    key: agreement::PrivateKey,
    public: [u8; 32],
}

impl AgreementKey {
    /// Creates a new key from the caller's randomness.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::from_bytes(random(rng))
    }

    /// Restores a key from its bytes (RFC 7748; they are clamped in use).
    #[must_use]
    #[expect(clippy::expect_used, reason = "every 32 bytes are an X25519 private key")]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let key = agreement::PrivateKey::from_private_key(&agreement::X25519, &*bytes)
            .expect("32 bytes are a private key");
        let mut public = [0; 32];
        public.copy_from_slice(
            key.compute_public_key().expect("a private key has a public one").as_ref(),
        );
        Self(Arc::new(Agreement { bytes, key, public }))
    }

    /// Returns the bytes, to be kept in a key store.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.bytes.clone()
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::X25519(self.0.public)
    }

    /// Agrees on a secret with the holder of a public key. `None` for a key of another kind, and for one of
    /// small order, which would make the secret known to everybody (RFC 7748, section 6.1).
    pub(crate) fn agree(&self, public: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        let PublicKey::X25519(raw) = public else { return None };
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, raw);
        agreement::agree(&self.0.key, peer, (), |secret| {
            let mut out = Zeroizing::new([0; 32]);
            out.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
            // No early exit: the time must not tell anything about the secret.
            if out.iter().fold(0, |any, byte| any | byte) == 0 { Err(()) } else { Ok(out) }
        })
        .ok()
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreementKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

pub(crate) fn random<const N: usize>(rng: &mut dyn CryptoRng) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rng.fill_bytes(&mut *bytes);
    bytes
}

fn array(raw: &[u8]) -> Result<[u8; 32], KeyError> {
    raw.try_into().map_err(|_| KeyError::Encoding)
}

#[cfg(test)]
mod tests;
