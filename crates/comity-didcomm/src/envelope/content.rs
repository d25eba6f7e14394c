//! Encrypts and decrypts the content of an envelope, in place (RFC 7518, sections 5.2 and 5.3; XChaCha20-Poly1305
//! draft for XC20P).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use super::ContentEncryption;

/// The key of one content.
pub(crate) struct ContentKey {
    enc: ContentEncryption,
    /// As many of them as the encryption wants.
    bytes: Zeroizing<[u8; KEY_BYTES_MAX]>,
}

/// Bytes of the longest content key.
pub(crate) const KEY_BYTES_MAX: usize = 64;
/// The same, as AES key wrap turns it out.
pub(crate) const WRAPPED_KEY_BYTES_MAX: usize = KEY_BYTES_MAX + 8;

impl ContentKey {
    /// Takes the bytes for a key, if they have its length.
    pub(crate) fn new(enc: ContentEncryption, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != enc.sizes().0 {
            return None;
        }
        let mut key = Self { enc, bytes: Zeroizing::new([0; KEY_BYTES_MAX]) };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.enc.sizes().0).unwrap_or_default()
    }

    /// Encrypts in place and returns the tag. The buffer grows by the padding, if the cipher pads.
    pub(crate) fn encrypt(
        &self,
        iv: &[u8],
        aad: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<u8>, Unspecified> {
        match self.enc {
            ContentEncryption::A256CbcHs512 => {
                let (mac_key, enc_key) = self.as_bytes().split_at(32);
                let key = UnboundCipherKey::new(&AES_256, enc_key)?;
                let context = EncryptionContext::Iv128(FixedLength::try_from(iv)?);
                PaddedBlockEncryptingKey::cbc_pkcs7(key)?.less_safe_encrypt(buffer, context)?;
                Ok(mac(mac_key, aad, iv, buffer).as_ref().get(..32).ok_or(Unspecified)?.to_vec())
            }
            ContentEncryption::A256Gcm => {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.as_bytes())?);
                let nonce = Nonce::try_assume_unique_for_key(iv)?;
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), buffer)?;
                Ok(tag.as_ref().to_vec())
            }
            ContentEncryption::XC20P => {
                let nonce = <[u8; 24]>::try_from(iv).map_err(|_| Unspecified)?;
                let tag = self
                    .xchacha()?
                    .encrypt_inout_detached(&nonce.into(), aad, buffer.as_mut_slice().into())
                    .map_err(|_| Unspecified)?;
                Ok(tag.to_vec())
            }
        }
    }

    /// Decrypts in place and returns how many bytes are left; on failure the buffer is lost. The tag
    /// is checked before anything else is done.
    pub(crate) fn decrypt(
        &self,
        iv: &[u8],
        aad: &[u8],
        tag: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, Unspecified> {
        if tag.len() != self.enc.sizes().2 {
            return Err(Unspecified);
        }
        let length = buffer.len();
        match self.enc {
            ContentEncryption::A256CbcHs512 => {
                let (mac_key, enc_key) = self.as_bytes().split_at(32);
                let expected = mac(mac_key, aad, iv, buffer);
                verify_slices_are_equal(expected.as_ref().get(..32).ok_or(Unspecified)?, tag)?;
                let key = UnboundCipherKey::new(&AES_256, enc_key)?;
                let context = DecryptionContext::Iv128(FixedLength::try_from(iv)?);
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(key)?;
                return Ok(key.decrypt(buffer, context)?.len());
            }
            ContentEncryption::A256Gcm => {
                let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.as_bytes())?);
                let nonce = Nonce::try_assume_unique_for_key(iv)?;
                key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, buffer)?;
            }
            ContentEncryption::XC20P => {
                let nonce = <[u8; 24]>::try_from(iv).map_err(|_| Unspecified)?;
                let tag = <[u8; 16]>::try_from(tag).map_err(|_| Unspecified)?;
                self.xchacha()?
                    .decrypt_inout_detached(&nonce.into(), aad, buffer.into(), &tag.into())
                    .map_err(|_| Unspecified)?;
            }
        }
        Ok(length)
    }

    fn xchacha(&self) -> Result<XChaCha20Poly1305, Unspecified> {
        XChaCha20Poly1305::new_from_slice(self.as_bytes()).map_err(|_| Unspecified)
    }
}

fn mac(key: &[u8], aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, key));
    context.update(aad);
    context.update(iv);
    context.update(ciphertext);
    // RFC 7518, section 5.2.2.1, step 4: the length of the AAD in bits.
    context.update(&(aad.len() as u64 * 8).to_be_bytes());
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7518, appendix B.3.
    #[test]
    fn the_aes_cbc_hmac_example_of_rfc_7518_is_met() {
        let bytes: Vec<u8> = (0..64).collect();
        let key = ContentKey::new(ContentEncryption::A256CbcHs512, &bytes).unwrap();
        let iv = [
            0x1a, 0xf3, 0x8c, 0x2d, 0xc2, 0xb9, 0x6f, 0xfd, 0xd8, 0x66, 0x94, 0x09, 0x23, 0x41,
            0xbc, 0x04,
        ];
        let plaintext = b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience";
        let aad = b"The second principle of Auguste Kerckhoffs";
        let mut buffer = plaintext.to_vec();
        let tag = key.encrypt(&iv, aad, &mut buffer).unwrap();
        assert_eq!(buffer[..8], [0x4a, 0xff, 0xaa, 0xad, 0xb7, 0x8c, 0x31, 0xc5]);
        assert_eq!(tag[..8], [0x4d, 0xd3, 0xb4, 0xc0, 0x88, 0xa7, 0xf4, 0x5c]);
        let length = key.decrypt(&iv, aad, &tag, &mut buffer).unwrap();
        assert_eq!(buffer[..length], plaintext[..]);
    }

    #[test]
    fn every_changed_part_is_refused() {
        for enc in ContentEncryption::ALL {
            let (key_len, iv_len, tag_len) = enc.sizes();
            let key = ContentKey::new(enc, &vec![7; key_len]).unwrap();
            assert!(ContentKey::new(enc, &vec![7; key_len - 1]).is_none());
            let iv = vec![1; iv_len];
            let mut ciphertext = b"hello".to_vec();
            let tag = key.encrypt(&iv, b"aad", &mut ciphertext).unwrap();
            assert_eq!(tag.len(), tag_len);
            let open = |iv: &[u8], aad: &[u8], tag: &[u8], ciphertext: &[u8]| {
                let mut buffer = ciphertext.to_vec();
                let length = key.decrypt(iv, aad, tag, &mut buffer).ok()?;
                buffer.truncate(length);
                Some(buffer)
            };
            assert_eq!(open(&iv, b"aad", &tag, &ciphertext).unwrap(), b"hello");
            let flipped = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                bytes[0] ^= 1;
                bytes
            };
            assert!(open(&flipped(&iv), b"aad", &tag, &ciphertext).is_none());
            assert!(open(&iv, b"aae", &tag, &ciphertext).is_none());
            assert!(open(&iv, b"aad", &flipped(&tag), &ciphertext).is_none());
            assert!(open(&iv, b"aad", &tag[1..], &ciphertext).is_none());
            assert!(open(&iv, b"aad", &[], &ciphertext).is_none());
            assert!(open(&iv, b"aad", &tag, &flipped(&ciphertext)).is_none());
            assert!(open(&iv, b"aad", &tag, &ciphertext[1..]).is_none());
            assert!(open(&iv[1..], b"aad", &tag, &ciphertext).is_none());
        }
    }
}
