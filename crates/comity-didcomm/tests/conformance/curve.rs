//! Keys of all curves over the bare primitives, apart from the library's own key types: what the forger signs, agrees
//! and publishes with.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Map, Value, json};

use super::ecdsa;
use super::seed::Seed;
use super::text::b64;

/// A curve, by its JWK name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Curve {
    Ed25519,
    X25519,
    P256,
    P384,
    P521,
    Secp256k1,
}

/// The curves for agreement.
pub(crate) const AGREEMENT: [Curve; 4] = [Curve::X25519, Curve::P256, Curve::P384, Curve::P521];
/// The curves for signatures.
pub(crate) const SIGNING: [Curve; 3] = [Curve::Ed25519, Curve::P256, Curve::Secp256k1];

impl Curve {
    pub(crate) const fn crv(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// The signature algorithm that goes with the curve.
    pub(crate) const fn alg(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Secp256k1 => "ES256K",
            _ => "ES256",
        }
    }

    const fn secret_bytes(self) -> usize {
        match self {
            Self::P384 => 48,
            Self::P521 => 66,
            _ => 32,
        }
    }

    const fn ecdh(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::X25519 => Some(&agreement::X25519),
            Self::P256 => Some(&agreement::ECDH_P256),
            Self::P384 => Some(&agreement::ECDH_P384),
            Self::P521 => Some(&agreement::ECDH_P521),
            Self::Ed25519 | Self::Secp256k1 => None,
        }
    }
}

/// A key pair. The public part is 32 bytes, or an uncompressed point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) curve: Curve,
    pub(crate) secret: Vec<u8>,
    pub(crate) public: Vec<u8>,
}

impl Key {
    pub(crate) fn new(curve: Curve, label: &str) -> Self {
        let mut secret = Seed::new(&format!("key/{label}")).bytes(curve.secret_bytes());
        if curve == Curve::P521 {
            // Below the order of the curve, which has 521 bits.
            secret[0] = 0;
        }
        Self::from_secret(curve, secret)
    }

    pub(crate) fn from_secret(curve: Curve, secret: Vec<u8>) -> Self {
        let public = match curve.ecdh() {
            Some(ecdh) => {
                let key = PrivateKey::from_private_key(ecdh, &secret).unwrap();
                key.compute_public_key().unwrap().as_ref().to_vec()
            }
            None if curve == Curve::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&secret).unwrap();
                pair.public_key().as_ref().to_vec()
            }
            None => ecdsa_point(curve, &secret),
        };
        Self { curve, secret, public }
    }

    /// A public key alone, as read from a JWK.
    pub(crate) fn from_jwk(jwk: &Value) -> Self {
        let curve = [AGREEMENT.as_slice(), SIGNING.as_slice()].concat();
        let curve = curve.into_iter().find(|curve| jwk["crv"] == curve.crv()).unwrap();
        let part = |name: &str| super::text::unb64(jwk[name].as_str().unwrap_or_default());
        let mut public = part("x").unwrap_or_default();
        if jwk["kty"] == "EC" {
            public.insert(0, 4);
            public.extend(part("y").unwrap_or_default());
        }
        Self { curve, secret: part("d").unwrap_or_default(), public }
    }

    pub(crate) fn jwk(&self) -> Value {
        if matches!(self.curve, Curve::Ed25519 | Curve::X25519) {
            return json!({ "kty": "OKP", "crv": self.curve.crv(), "x": b64(&self.public) });
        }
        let (x, y) = self.public[1..].split_at(self.curve.secret_bytes());
        json!({ "kty": "EC", "crv": self.curve.crv(), "x": b64(x), "y": b64(y) })
    }

    pub(crate) fn private_jwk(&self, kid: &str) -> Map<String, Value> {
        let Value::Object(mut jwk) = self.jwk() else { unreachable!() };
        jwk.insert("d".to_owned(), json!(b64(&self.secret)));
        jwk.insert("kid".to_owned(), json!(kid));
        jwk
    }

    /// The shared secret, or `None` when the curves differ or the primitive refuses.
    pub(crate) fn agree(&self, peer: &Self) -> Option<Vec<u8>> {
        if self.curve != peer.curve {
            return None;
        }
        let ecdh = self.curve.ecdh()?;
        let own = PrivateKey::from_private_key(ecdh, &self.secret).ok()?;
        let peer = UnparsedPublicKey::new(ecdh, &peer.public);
        agreement::agree(&own, peer, (), |secret| Ok(secret.to_vec())).ok()
    }

    /// Signs with the algorithm of the curve. The same text always gives the same signature.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        if self.curve == Curve::Ed25519 {
            let pair = Ed25519KeyPair::from_seed_unchecked(&self.secret).unwrap();
            return pair.sign(text).as_ref().to_vec();
        }
        ecdsa::sign(self.curve, &self.secret, text)
    }
}

/// Multiplies the base point, which for secp256k1 only the making of a key pair does.
pub(crate) fn ecdsa_point(curve: Curve, secret: &[u8]) -> Vec<u8> {
    let (algorithm, oid): (_, &[u8]) = match curve {
        Curve::P256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        _ => (&ECDSA_P256K1_SHA256_FIXED_SIGNING, &[0x2b, 0x81, 4, 0, 0x0a]),
    };
    // ECPrivateKey of RFC 5915, without the public key, which is then computed.
    let mut der = vec![2, 1, 1, 4, 32];
    der.extend_from_slice(secret);
    der.extend_from_slice(&[0xa0, u8::try_from(oid.len() + 2).unwrap(), 6]);
    der.push(u8::try_from(oid.len()).unwrap());
    der.extend_from_slice(oid);
    der.splice(0..0, [0x30, u8::try_from(der.len()).unwrap()]);
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, &der).unwrap();
    pair.public_key().as_ref().to_vec()
}
