//! The primitives that no implementation of an envelope can do without, called as directly as the
//! libraries allow: what opening and packing are measured against. Not a second implementation:
//! nothing here checks anything.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_256 as KEK_256, AesKek, KeyWrap as _};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{agreement, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::Curve;
use serde::de::IgnoredAny;

/// The algorithm of a curve, as the library names it.
pub(crate) fn algorithm(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
        Curve::P521 => &agreement::ECDH_P521,
        _ => &agreement::X25519,
    }
}

/// Makes a key from bytes and computes its public part.
pub(crate) fn make_key(curve: Curve, private: &[u8]) -> agreement::PublicKey {
    let key = agreement::PrivateKey::from_private_key(algorithm(curve), private).unwrap();
    key.compute_public_key().unwrap()
}

pub(crate) fn agree(own: &agreement::PrivateKey, peer: &[u8]) -> u8 {
    let peer = agreement::UnparsedPublicKey::new(own.algorithm(), peer);
    agreement::agree(own, peer, (), |secret| Ok(secret[0])).unwrap()
}

/// As much hashing as a Concat KDF does.
pub(crate) fn derive() -> [u8; 32] {
    digest::digest(&digest::SHA256, &[7; 280]).as_ref().try_into().unwrap()
}

pub(crate) fn wrap(key: &[u8; 64]) -> [u8; 72] {
    let mut out = [0; 72];
    AesKek::new(&KEK_256, &[1; 32]).unwrap().wrap(key, &mut out).unwrap();
    out
}

pub(crate) fn unwrap(wrapped: &[u8; 72]) -> [u8; 64] {
    let mut out = [0; 64];
    AesKek::new(&KEK_256, &[1; 32]).unwrap().unwrap(wrapped, &mut out).unwrap();
    out
}

fn mac(bytes: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, &[1; 32]), bytes)
}

/// AES-256-CBC with HMAC-SHA-512, in place.
pub(crate) fn encrypt(plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(plaintext.len() + 16);
    buffer.extend_from_slice(plaintext);
    let key = UnboundCipherKey::new(&AES_256, &[2; 32]).unwrap();
    let context = EncryptionContext::Iv128(FixedLength::from([3; 16]));
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
    key.less_safe_encrypt(&mut buffer, context).unwrap();
    std::hint::black_box(mac(&buffer));
    buffer
}

pub(crate) fn decrypt(ciphertext: &[u8]) -> usize {
    std::hint::black_box(mac(ciphertext));
    let mut buffer = ciphertext.to_vec();
    let key = UnboundCipherKey::new(&AES_256, &[2; 32]).unwrap();
    let context = DecryptionContext::Iv128(FixedLength::from([3; 16]));
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).unwrap();
    key.decrypt(&mut buffer, context).unwrap().len()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Reads JSON without keeping anything of it.
pub(crate) fn scan(text: &[u8]) {
    serde_json::from_slice::<IgnoredAny>(text).unwrap();
}

/// An Ed25519 key, for signing and verifying.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) {
        UnparsedPublicKey::new(&ED25519, self.0.public_key().as_ref())
            .verify(message, signature)
            .unwrap();
    }
}
