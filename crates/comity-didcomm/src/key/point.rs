//! [`Point`]: a checked point of a Weierstrass curve (SEC 1, sections 2.3.3 and 2.3.4). Not
//! arithmetic: decompressing and the check that the point is on the curve are the cryptographic
//! library's.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};

use super::{Curve, KeyError};

/// First byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// Represents a public point of a Weierstrass curve, which was on its curve when it was read; `N`
/// bytes uncompressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point<const N: usize>([u8; N]);

impl<const N: usize> Point<N> {
    /// Reads a compressed or uncompressed point. `N` must be the curve's.
    pub(super) fn read(curve: Curve, raw: &[u8]) -> Result<Self, KeyError> {
        let is_compressed = matches!(raw.first(), Some(2 | 3)) && raw.len() == N / 2 + 1;
        let is_uncompressed = raw.first() == Some(&UNCOMPRESSED) && raw.len() == N;
        // The library would also take a whole certificate's key here, so the form is looked at
        // before.
        if !is_compressed && !is_uncompressed {
            return Err(KeyError::Encoding);
        }
        let algorithm = library_name(curve).ok_or(KeyError::Unsupported)?;
        let parsed = ParsedPublicKey::new(algorithm, raw).map_err(|_| KeyError::Point)?;
        if is_uncompressed {
            return raw.try_into().map(Self).map_err(|_| KeyError::Encoding);
        }
        // The X.509 form ends with the uncompressed point.
        let der = parsed.as_der().map_err(|_| KeyError::Point)?;
        let point =
            der.as_ref().last_chunk::<N>().filter(|point| point.first() == Some(&UNCOMPRESSED));
        point.map(|point| Self(*point)).ok_or(KeyError::Point)
    }

    /// Reads the two coordinates of a JWK.
    ///
    /// Each has the field's length (RFC 7518, section 6.2.1.2), but the most used Python library leaves out leading
    /// zeros, which on P-521 three of four of its ephemeral keys begin with: a shorter one is filled up.
    pub(super) fn from_coordinates(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let mut raw = [0; N];
        let (first, both) = raw.split_first_mut().ok_or(KeyError::Encoding)?;
        *first = UNCOMPRESSED;
        for (to, from) in both.chunks_exact_mut(N / 2).zip([x, y]) {
            let zeros = to.len().checked_sub(from.len()).ok_or(KeyError::Encoding)?;
            to.iter_mut().skip(zeros).zip(from).for_each(|(to, from)| *to = *from);
        }
        Self::read(curve, &raw)
    }

    /// Returns the uncompressed form: the byte 4, then x, then y.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns x and y.
    pub(super) fn coordinates(&self) -> (&[u8], &[u8]) {
        let (_, both) = self.0.split_first().unwrap_or((&0, &[]));
        both.split_at(N / 2)
    }

    /// Returns the compressed form: whether y is odd, then x.
    pub(super) fn compressed(&self) -> impl Iterator<Item = u8> {
        let (x, y) = self.coordinates();
        let sign = 2 | (y.last().copied().unwrap_or_default() & 1);
        std::iter::once(sign).chain(x.iter().copied())
    }
}

const fn library_name(curve: Curve) -> Option<&'static EcdsaVerificationAlgorithm> {
    match curve {
        Curve::P256 => Some(&ECDSA_P256_SHA256_FIXED),
        Curve::P384 => Some(&ECDSA_P384_SHA384_FIXED),
        Curve::P521 => Some(&ECDSA_P521_SHA512_FIXED),
        Curve::Secp256k1 => Some(&ECDSA_P256K1_SHA256_FIXED),
        Curve::Ed25519 | Curve::X25519 => None,
    }
}

impl<const N: usize> std::fmt::Debug for Point<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::encoding::base64url(self.0))
    }
}
