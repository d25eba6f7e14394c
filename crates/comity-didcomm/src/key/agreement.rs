//! [`AgreementKey`]: agrees on secrets (RFC 7748; SP 800-56A, section 5.7.1.2). What is done with a
//! secret is decided in the envelope module.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{AgreementCache, Curve, KeyError, PublicKey, draw, random};

/// Represents a private key that agrees on secrets. Cloning shares it; the last clone wipes it.
#[derive(Clone)]
pub struct AgreementKey {
    inner: Arc<Agreement>,
    cache: Option<Arc<AgreementCache>>,
    trust: Trust,
}

/// Says what a message that a key opens proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nobody else has the key, so authcrypt to it proves its sender.
    Secret,
    /// Others may have it.
    Shared,
}

struct Agreement {
    private: Zeroizing<Vec<u8>>,
    key: agreement::PrivateKey,
    public: PublicKey,
}

/// Bytes of the longest secret, that of P-521.
const SECRET_BYTES_MAX: usize = 66;

/// A secret that two keys agree on; wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret {
    bytes: [u8; SECRET_BYTES_MAX],
    length: usize,
}

impl Secret {
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let mut new = Self { bytes: [0; SECRET_BYTES_MAX], length: secret.len() };
        new.bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(new)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AgreementKey {
    /// Creates a new X25519 key from the caller's randomness.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::from_bytes(random(rng))
    }

    /// Creates a new key on this curve from the caller's randomness.
    ///
    /// # Errors
    /// When keys on the curve do not agree, or the source of randomness is broken.
    pub fn generate_on(curve: Curve, rng: &mut dyn CryptoRng) -> Result<Self, KeyError> {
        match curve {
            Curve::X25519 => Ok(Self::generate(rng)),
            Curve::P256 | Curve::P384 | Curve::P521 => {
                draw(curve, rng, |bytes| Self::from_bytes_on(curve, bytes))
            }
            Curve::Ed25519 | Curve::Secp256k1 => Err(KeyError::Unsupported),
        }
    }

    /// Restores an X25519 key from its bytes (RFC 7748; they are clamped in use).
    #[must_use]
    #[expect(clippy::expect_used, reason = "every 32 bytes are an X25519 private key")]
    #[expect(clippy::needless_pass_by_value, reason = "the caller should not keep a copy")]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self::from_bytes_on(Curve::X25519, &*bytes).expect("32 bytes are a private key")
    }

    /// Restores a key from what [`to_bytes`](Self::to_bytes) returned: 32 bytes on X25519, on the
    /// other curves the private number, big-endian, as long as the field.
    ///
    /// # Errors
    /// When keys on the curve do not agree, or the bytes are not a private key of it.
    pub fn from_bytes_on(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        let algorithm = library_name(curve).ok_or(KeyError::Unsupported)?;
        let key = agreement::PrivateKey::from_private_key(algorithm, bytes)
            .map_err(|_| KeyError::Encoding)?;
        let public = key.compute_public_key().map_err(|_| KeyError::Encoding)?;
        // The library has just computed the point: it need not be checked as a stranger's is.
        let public = match curve {
            Curve::X25519 => {
                public.as_ref().try_into().map(PublicKey::X25519).map_err(|_| KeyError::Encoding)
            }
            _ => PublicKey::from_raw(curve, public.as_ref()),
        }?;
        let private = Zeroizing::new(bytes.to_vec());
        Ok(Self {
            inner: Arc::new(Agreement { private, key, public }),
            cache: None,
            trust: Trust::Secret,
        })
    }

    /// Returns the key with a cache attached, in which it remembers what it agreed on with other
    /// long-lived keys. Read there what that gives away.
    #[must_use]
    pub fn with_cache(self, cache: Arc<AgreementCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Returns the key as one that others may have: it opens anoncrypt, and no authcrypt.
    ///
    /// Whoever has the private key of a recipient can make authcrypt to it in anybody's name, since
    /// the secret that proves the sender is as well computed from the recipient's private and the
    /// sender's public key (key compromise impersonation). What is signed inside anoncrypt is as
    /// good as before.
    #[must_use]
    pub fn compromised(self) -> Self {
        Self { trust: Trust::Shared, ..self }
    }

    /// Whether authcrypt to the key proves its sender.
    pub(crate) fn proves_sender(&self) -> bool {
        self.trust == Trust::Secret
    }

    /// Returns the bytes, to be kept in a key store.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.inner.private.clone()
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.inner.public
    }

    /// Agrees with a long-lived key, which may be remembered.
    pub(crate) fn agree_static(&self, public: &PublicKey) -> Option<Secret> {
        let known = self.cache.as_ref().and_then(|cache| cache.get(&self.inner.public, public));
        known.or_else(|| self.agree(public))
    }

    /// Remembers what was agreed on with a long-lived key, now that it has proved to be its
    /// holder's.
    pub(crate) fn remember(&self, public: &PublicKey, secret: &Secret) {
        if let Some(cache) = &self.cache {
            cache.put(&self.inner.public, public, secret);
        }
    }

    /// Agrees on a secret with the holder of a public key. `None` for a key of another curve, for
    /// one of small order, which would make the secret known to everybody (RFC 7748, section 6.1),
    /// and for a point that is not on the curve.
    pub(crate) fn agree(&self, public: &PublicKey) -> Option<Secret> {
        if public.curve() != self.inner.public.curve() {
            return None;
        }
        let peer = agreement::UnparsedPublicKey::new(self.inner.key.algorithm(), public.as_bytes());
        agreement::agree(&self.inner.key, peer, (), |secret| {
            // No early exit: the time must not tell anything about the secret. On the other curves
            // a coordinate of zero is one like any other.
            let any = secret.iter().fold(0, |any, byte| any | byte);
            let is_secret = any != 0 || public.curve() != Curve::X25519;
            Secret::new(secret).filter(|_| is_secret).ok_or(())
        })
        .ok()
    }
}

const fn library_name(curve: Curve) -> Option<&'static agreement::Algorithm> {
    match curve {
        Curve::X25519 => Some(&agreement::X25519),
        Curve::P256 => Some(&agreement::ECDH_P256),
        Curve::P384 => Some(&agreement::ECDH_P384),
        Curve::P521 => Some(&agreement::ECDH_P521),
        Curve::Ed25519 | Curve::Secp256k1 => None,
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreementKey").field("public", &self.public()).finish_non_exhaustive()
    }
}
