//! Content encryption, key wrap and key derivation, in both directions and also with the parameters that DIDComm does
//! not allow, since a forger uses them.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};

/// What a content encryption is made of.
#[derive(Clone, Copy)]
enum Kind {
    Cbc(&'static cipher::Algorithm, hmac::Algorithm),
    Gcm(&'static Algorithm),
    XChaCha,
}

fn kind(enc: &str) -> Option<Kind> {
    Some(match enc {
        "A128CBC-HS256" => Kind::Cbc(&cipher::AES_128, hmac::HMAC_SHA256),
        "A192CBC-HS384" => Kind::Cbc(&cipher::AES_192, hmac::HMAC_SHA384),
        "A256CBC-HS512" => Kind::Cbc(&cipher::AES_256, hmac::HMAC_SHA512),
        "A128GCM" => Kind::Gcm(&AES_128_GCM),
        "A192GCM" => Kind::Gcm(&AES_192_GCM),
        "A256GCM" => Kind::Gcm(&AES_256_GCM),
        "XC20P" => Kind::XChaCha,
        _ => return None,
    })
}

/// Bytes of key and of initialisation vector.
pub(crate) fn sizes(enc: &str) -> Option<(usize, usize)> {
    Some(match kind(enc)? {
        Kind::Cbc(cipher, _) if *cipher == cipher::AES_128 => (32, 16),
        Kind::Cbc(cipher, _) if *cipher == cipher::AES_192 => (48, 16),
        Kind::Cbc(..) => (64, 16),
        Kind::Gcm(algorithm) => (algorithm.key_len(), 12),
        Kind::XChaCha => (32, 24),
    })
}

/// Encrypts; returns ciphertext and tag.
pub(crate) fn encrypt(
    enc: &str,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    text: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut buffer = text.to_vec();
    let tag = match kind(enc).unwrap() {
        Kind::Cbc(algorithm, hash) => {
            let (mac_key, enc_key) = key.split_at(key.len() / 2);
            let cbc = UnboundCipherKey::new(algorithm, enc_key).unwrap();
            let context = EncryptionContext::Iv128(FixedLength::try_from(iv).unwrap());
            let cbc = PaddedBlockEncryptingKey::cbc_pkcs7(cbc).unwrap();
            cbc.less_safe_encrypt(&mut buffer, context).unwrap();
            mac(hash, mac_key, &[aad, iv, &buffer])
        }
        Kind::Gcm(algorithm) => {
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
            let nonce = Nonce::try_assume_unique_for_key(iv).unwrap();
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut buffer).unwrap();
            tag.as_ref().to_vec()
        }
        Kind::XChaCha => {
            let nonce = <[u8; 24]>::try_from(iv).unwrap();
            let key = XChaCha20Poly1305::new_from_slice(key).unwrap();
            let text = buffer.as_mut_slice().into();
            key.encrypt_inout_detached(&nonce.into(), aad, text).unwrap().to_vec()
        }
    };
    (buffer, tag)
}

/// Decrypts. Takes a shortened tag of CBC-HMAC if its beginning is right, as a careless reader would.
pub(crate) fn decrypt(
    enc: &str,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    (text, tag): (&[u8], &[u8]),
) -> Option<Vec<u8>> {
    if sizes(enc)? != (key.len(), iv.len()) {
        return None;
    }
    let mut buffer = text.to_vec();
    match kind(enc)? {
        Kind::Cbc(algorithm, hash) => {
            let (mac_key, enc_key) = key.split_at(key.len() / 2);
            if tag.is_empty() || !mac(hash, mac_key, &[aad, iv, text]).starts_with(tag) {
                return None;
            }
            let cbc = UnboundCipherKey::new(algorithm, enc_key).ok()?;
            let context = DecryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
            let cbc = PaddedBlockDecryptingKey::cbc_pkcs7(cbc).ok()?;
            let length = cbc.decrypt(&mut buffer, context).ok()?.len();
            buffer.truncate(length);
        }
        Kind::Gcm(algorithm) => {
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
            let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
            key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, &mut buffer).ok()?;
        }
        Kind::XChaCha => {
            let nonce = <[u8; 24]>::try_from(iv).ok()?;
            let tag = <[u8; 16]>::try_from(tag).ok()?;
            let key = XChaCha20Poly1305::new_from_slice(key).ok()?;
            let text = buffer.as_mut_slice().into();
            key.decrypt_inout_detached(&nonce.into(), aad, text, &tag.into()).ok()?;
        }
    }
    Some(buffer)
}

/// The first half of the HMAC of RFC 7518, section 5.2.2.1; the first part is the additional data.
fn mac(hash: hmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hash, key));
    parts.iter().for_each(|part| context.update(part));
    context.update(&(parts[0].len() as u64 * 8).to_be_bytes());
    let tag = context.sign();
    tag.as_ref()[..tag.as_ref().len() / 2].to_vec()
}

/// What the derived key depends on.
pub(crate) struct Derivation<'a> {
    pub(crate) alg: &'a str,
    pub(crate) enc: &'a str,
    pub(crate) apu: &'a [u8],
    pub(crate) apv: &'a [u8],
    /// The tag of the content, under ECDH-1PU with key wrap.
    pub(crate) tag: Option<&'a [u8]>,
}

/// Concat KDF with SHA-256 (RFC 7518, section 4.6; ECDH-1PU draft 04, section 2.3).
pub(crate) fn derive(secret: &[u8], from: &Derivation<'_>) -> Vec<u8> {
    let (name, bytes) = match from.alg {
        "ECDH-ES" | "ECDH-1PU" => (from.enc, sizes(from.enc).unwrap().0),
        alg if alg.ends_with("A128KW") => (alg, 16),
        alg => (alg, 32),
    };
    let mut out = Vec::new();
    for round in 1_u32.. {
        if bytes <= out.len() {
            break;
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&round.to_be_bytes());
        hash.update(secret);
        let fields = [Some(name.as_bytes()), Some(from.apu), Some(from.apv), None, from.tag];
        for (at, field) in fields.into_iter().enumerate() {
            if at == 3 {
                hash.update(&u32::try_from(bytes * 8).unwrap().to_be_bytes());
            }
            if let Some(field) = field {
                hash.update(&u32::try_from(field.len()).unwrap().to_be_bytes());
                hash.update(field);
            }
        }
        out.extend_from_slice(hash.finish().as_ref());
    }
    out.truncate(bytes);
    out
}

/// AES key wrap (RFC 3394) with a key of 128 or 256 bits.
pub(crate) fn wrap(kek: &[u8], key: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.len() + 8];
    kek_of(kek).wrap(key, &mut out).unwrap();
    out
}

pub(crate) fn unwrap(kek: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; wrapped.len().checked_sub(8)?];
    kek_of(kek).unwrap(wrapped, &mut out).ok()?;
    Some(out)
}

fn kek_of(kek: &[u8]) -> AesKek {
    AesKek::new(if kek.len() == 16 { &AES_128 } else { &AES_256 }, kek).unwrap()
}
