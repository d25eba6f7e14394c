//! The three text encodings that DIDs and JOSE use, in their strict forms: base64url without
//! padding, base58btc, and multibase with a multicodec prefix. Not a general multiformats library.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes as base64url without padding (RFC 7515, section 2).
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends base64url without padding.
pub(crate) fn push_base64url(bytes: impl AsRef<[u8]>, out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

/// Decodes base64url; padding, other alphabets and stray trailing bits are refused.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Appends what the base64url decodes to.
pub(crate) fn push_from_base64url(text: &str, out: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_vec(text, out).ok()
}

/// The room that decoding the base64url takes.
pub(crate) fn decoded_bytes_max(text: &str) -> usize {
    base64::decoded_len_estimate(text.len())
}

/// Whether the text is the base64url of these bytes, of which there is only one.
pub(crate) fn is_base64url_of(text: &str, bytes: &[u8]) -> bool {
    // 48 bytes are 64 characters, with no bits left over.
    let mut texts = text.as_bytes().chunks(64);
    let same = |bytes: &[u8]| {
        let mut encoded = [0; 64];
        let length = URL_SAFE_NO_PAD.encode_slice(bytes, &mut encoded).ok();
        texts.next() == length.and_then(|length| encoded.get(..length))
    };
    bytes.chunks(48).all(same) && texts.next().is_none()
}

/// Decodes base64url of exactly `N` bytes.
pub(crate) fn from_base64url_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Checked before decoding, so that a long text costs nothing.
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    from_base64url_short(text)?.as_ref().try_into().ok()
}

/// Decodes base64url of at most [`SHORT_BYTES_MAX`] bytes, without a place on the heap.
pub(crate) fn from_base64url_short(text: &str) -> Option<Short> {
    let mut bytes = [0; SHORT_BYTES_MAX];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    Some(Short { bytes, length })
}

/// Bytes that fit into a [`Short`]: every key, tag, signature and initialisation vector, and the
/// three bytes by which the decoder overestimates.
pub(crate) const SHORT_BYTES_MAX: usize = 75;

/// A few bytes in place.
#[derive(Clone, Copy)]
pub(crate) struct Short {
    bytes: [u8; SHORT_BYTES_MAX],
    length: usize,
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Encodes as multibase base58btc, `z...`.
pub(crate) fn multibase(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + bytes.len() * 3 / 2);
    out.push('z');
    out.push_str(&bs58::encode(bytes).into_string());
    out
}

/// Decodes multibase base58btc. The caller bounds the length: base58 takes quadratic time.
pub(crate) fn from_multibase(text: &str) -> Option<Vec<u8>> {
    from_base58(text.strip_prefix('z')?)
}

/// Decodes base58btc.
///
/// Ten digits at a time into 64-bit limbs, a fiftieth of the work of one digit at a time into
/// bytes: a did:peer:4 is a thousand digits long, and strangers choose when we read one.
pub(crate) fn from_base58(text: &str) -> Option<Vec<u8>> {
    let zeros = text.bytes().take_while(|byte| *byte == b'1').count();
    let mut limbs: Vec<u64> = Vec::with_capacity(text.len() / 10 + 1);
    for chunk in text.as_bytes().chunks(10) {
        let mut value = 0;
        let mut scale = 1_u64;
        for byte in chunk {
            value = value * 58 + base58_digit(*byte)?;
            scale *= 58;
        }
        let mut carry = u128::from(value);
        for limb in &mut limbs {
            carry += u128::from(*limb) * u128::from(scale);
            #[expect(clippy::cast_possible_truncation, reason = "the rest is carried")]
            let low = carry as u64;
            *limb = low;
            carry >>= 64;
        }
        if carry != 0 {
            limbs.push(u64::try_from(carry).ok()?);
        }
    }
    let mut bytes = vec![0; zeros];
    let digits = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes());
    bytes.extend(digits.skip_while(|byte| *byte == 0));
    Some(bytes)
}

fn base58_digit(byte: u8) -> Option<u64> {
    const NONE: u8 = 0xff;
    const DIGITS: [u8; 128] = {
        let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut digits = [NONE; 128];
        let mut value = 0;
        while value < alphabet.len() {
            #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
            #[expect(clippy::cast_possible_truncation, reason = "58 fits")]
            {
                digits[alphabet[value] as usize] = value as u8;
            }
            value += 1;
        }
        digits
    };
    let digit = *DIGITS.get(usize::from(byte))?;
    (digit != NONE).then_some(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_decodes_as_the_encoder_encodes() {
        for length in 0..200 {
            for fill in [0_u8, 1, 0x7f, 0xff] {
                let mut bytes = vec![fill; length];
                for (at, byte) in bytes.iter_mut().enumerate().skip(length / 3) {
                    *byte = byte.wrapping_mul(31).wrapping_add(at.to_le_bytes()[0].wrapping_mul(7));
                }
                let text = bs58::encode(&bytes).into_string();
                assert_eq!(from_base58(&text).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn base58_has_no_look_alikes() {
        for bad in ["0", "O", "I", "l", "a b", "\u{e9}", "a=", "-"] {
            assert_eq!(from_base58(bad), None, "{bad}");
        }
        assert_eq!(from_multibase("mAAAA"), None);
    }

    #[test]
    fn base64url_is_strict() {
        assert_eq!(from_base64url("AQI").unwrap(), [1, 2]);
        for bad in ["AQI=", "AQJ", "A", "A+_A", "AQ I", "AQ\nI"] {
            assert_eq!(from_base64url(bad), None, "{bad:?}");
        }
        assert_eq!(from_base64url_array::<2>("AQI"), Some([1, 2]));
        assert_eq!(from_base64url_array::<3>("AQI"), None);
        for length in 0..=72 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = base64url(&bytes);
            assert_eq!(from_base64url_short(&text).unwrap().as_ref(), bytes);
            assert!(from_base64url_short(&format!("{text}=")).is_none());
        }
        for length in [0, 1, 47, 48, 49, 95, 96, 97, 200] {
            let bytes: Vec<u8> = (0..length).collect();
            let text = base64url(&bytes);
            assert!(is_base64url_of(&text, &bytes));
            assert!(!is_base64url_of(&format!("{text}A"), &bytes));
            assert!(!is_base64url_of(&format!("{text}="), &bytes));
            assert!(!is_base64url_of(&text, &[&bytes[..], &[0]].concat()));
        }
        assert!(!is_base64url_of("AQJ", &[1, 2]), "stray bits");
        assert!(from_base64url_short(&base64url([7; 76])).is_none());
    }
}
