//! Wycheproof's vectors for key agreement, signatures, content encryption, key wrap and the code of the content.

use aws_lc_rs::hmac;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use wycheproof::TestResult::{Invalid, Valid};
use wycheproof::{aead, ecdh, ecdsa, eddsa, keywrap, mac, xdh};

use super::Tally;
use crate::envelope::ContentEncryption;
use crate::envelope::content::ContentKey;
use crate::key::{AgreementKey, Curve, PublicKey};

#[test]
fn x25519_agrees_as_it_should() {
    let mut tally = Tally::default();
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let shared = AgreementKey::from_bytes_on(Curve::X25519, &test.private_key)
            .ok()
            .zip(PublicKey::from_raw(Curve::X25519, &test.public_key).ok())
            .and_then(|(own, peer)| own.agree(&peer));
        let shared = shared.as_ref().map(|secret| secret.as_bytes());
        // The set calls a secret of zeros acceptable; here it is refused (RFC 7748, section 6.1).
        let is_known = test.shared_secret.iter().all(|byte| *byte == 0);
        let expected = (test.result != Invalid && !is_known).then_some(&test.shared_secret[..]);
        tally.apply(format!("{} {}", test.tc_id, test.comment), shared == expected);
    }
    tally.finish("x25519", 518);
}

#[test]
fn ecdh_agrees_as_it_should() {
    for (curve, name, applied) in [
        (Curve::P256, ecdh::TestName::EcdhSecp256r1Ecpoint, 355),
        (Curve::P384, ecdh::TestName::EcdhSecp384r1Ecpoint, 790),
        (Curve::P521, ecdh::TestName::EcdhSecp521r1Ecpoint, 661),
    ] {
        let mut tally = Tally::default();
        let set = ecdh::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            // The set writes private keys as numbers, with a zero before them or without those they begin with.
            let number: Vec<u8> =
                test.private_key.iter().copied().skip_while(|byte| *byte == 0).collect();
            let mut private = vec![0; curve.field_bytes() - number.len()];
            private.extend(number);
            let own = AgreementKey::from_bytes_on(curve, &private).unwrap();
            let peer = PublicKey::from_raw(curve, &test.public_key).ok();
            let shared = peer.and_then(|peer| own.agree(&peer));
            let shared = shared.as_ref().map(|secret| secret.as_bytes());
            let expected = (test.result != Invalid).then_some(&test.shared_secret[..]);
            tally.apply(format!("{} {}", test.tc_id, test.comment), shared == expected);
        }
        tally.finish(curve.name(), applied);
    }
}

#[test]
fn ed25519_verifies_as_it_should() {
    let mut tally = Tally::default();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let key = PublicKey::from_raw(Curve::Ed25519, &group.key.pk);
        for test in group.tests {
            let holds = key.is_ok_and(|key| key.verify(&test.msg, &test.sig).is_ok());
            tally
                .apply(format!("{} {}", test.tc_id, test.comment), holds == (test.result == Valid));
        }
    }
    tally.finish("ed25519", 151);
}

#[test]
fn ecdsa_verifies_as_it_should() {
    for (curve, name, applied) in [
        (Curve::P256, ecdsa::TestName::EcdsaSecp256r1Sha256P1363, 262),
        (Curve::Secp256k1, ecdsa::TestName::EcdsaSecp256k1Sha256P1363, 252),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_raw(curve, &group.key.key);
            for test in group.tests {
                let holds = key.is_ok_and(|key| key.verify(&test.msg, &test.sig).is_ok());
                let case = format!("{} {}", test.tc_id, test.comment);
                tally.apply(case, holds == (test.result == Valid));
            }
        }
        tally.finish(curve.name(), applied);
    }
}

#[test]
fn contents_are_encrypted_and_decrypted_as_they_should() {
    for (enc, name, applied) in [
        (ContentEncryption::A256CbcHs512, aead::TestName::Aes256CbcHmacSha512, 94),
        (ContentEncryption::A256Gcm, aead::TestName::AesGcm, 105),
        (ContentEncryption::XC20P, aead::TestName::XChaCha20Poly1305, 315),
    ] {
        let mut tally = Tally::default();
        let (key_bytes, iv_bytes, tag_bytes) = enc.sizes();
        for group in aead::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                if group.key_size != key_bytes * 8 {
                    tally.skip("a key of another size");
                    continue;
                }
                let key = ContentKey::new(enc, &test.key).unwrap();
                let mut buffer = test.ct.to_vec();
                let length = key.decrypt(&test.nonce, &test.aad, &test.tag, &mut buffer).ok();
                let opened = length.map(|length| buffer[..length].to_vec());
                // A size that DIDComm has not is refused, however good the rest is.
                let fits = (test.nonce.len(), test.tag.len()) == (iv_bytes, tag_bytes);
                let expected = (test.result == Valid && fits).then(|| test.pt.to_vec());
                let mut is_right = opened == expected;
                if test.result == Valid && fits {
                    let mut text = test.pt.to_vec();
                    let tag = key.encrypt(&test.nonce, &test.aad, &mut text).unwrap();
                    is_right &= (text.as_slice(), &tag[..]) == (&test.ct[..], &test.tag[..]);
                }
                tally.apply(format!("{} {}", test.tc_id, test.comment), is_right);
            }
        }
        tally.finish(enc.name(), applied);
    }
}

#[test]
fn keys_are_wrapped_and_unwrapped_as_they_should() {
    let mut tally = Tally::default();
    let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            if group.key_size != 256 {
                tally.skip("a key of another size");
                continue;
            }
            let kek = || AesKek::new(&AES_256, &test.key).unwrap();
            let mut out = vec![0; test.ct.len()];
            let opened = kek().unwrap(&test.ct, &mut out).ok().map(|key| key.to_vec());
            let expected = (test.result == Valid).then(|| test.pt.to_vec());
            let mut is_right = opened == expected;
            if test.result == Valid {
                let mut out = vec![0; test.pt.len() + 8];
                is_right &=
                    kek().wrap(&test.pt, &mut out).is_ok_and(|wrapped| *wrapped == test.ct[..]);
            }
            tally.apply(format!("{} {}", test.tc_id, test.comment), is_right);
        }
    }
    tally.finish("aes key wrap", 68);
}

/// The code under A256CBC-HS512, which is the first half of what HMAC-SHA-512 gives.
#[test]
fn codes_are_as_they_should() {
    let mut tally = Tally::default();
    let set = mac::TestSet::load(mac::TestName::HmacSha512).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, &test.key), &test.msg);
            let holds = tag.as_ref()[..group.tag_size / 8] == test.tag[..];
            tally
                .apply(format!("{} {}", test.tc_id, test.comment), holds == (test.result == Valid));
        }
    }
    tally.finish("hmac sha-512", 174);
}
