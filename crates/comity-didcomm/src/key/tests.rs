//! Known answers and refusals for keys.

use super::*;

/// Every encoding of a point of small order on curve25519 or its twist, with and without the ignored top bit.
fn low_order_u() -> Vec<[u8; 32]> {
    let mut order_8_a = [0; 32];
    order_8_a
        .copy_from_slice(&hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"));
    let mut order_8_b = [0; 32];
    order_8_b
        .copy_from_slice(&hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"));
    let one = {
        let mut one = [0; 32];
        one[0] = 1;
        one
    };
    // p - 1, p, p + 1 where p = 2^255 - 19
    let near_p = |low: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = low;
        bytes[31] = 0x7f;
        bytes
    };
    let plain = [[0; 32], one, order_8_a, order_8_b, near_p(0xec), near_p(0xed), near_p(0xee)];
    let with_top_bit = plain.map(|mut bytes| {
        bytes[31] |= 0x80;
        bytes
    });
    plain.into_iter().chain(with_top_bit).collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn x25519_points_of_small_order_are_refused_everywhere() {
    let own = AgreementKey::from_bytes([9; 32].into());
    for raw in low_order_u() {
        let key = PublicKey::X25519(raw);
        assert_eq!(key.checked(), Err(KeyError::Point), "{raw:02x?}");
        assert_eq!(PublicKey::from_multibase(&key.to_multibase()), Err(KeyError::Point));
        assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Err(KeyError::Point));
        assert!(own.agree(&key).is_none(), "{raw:02x?}");
    }
}

#[test]
fn ed25519_points_of_small_order_verify_nothing() {
    // The neutral element, with which R = A and S = 0 would verify for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = PublicKey::Ed25519(neutral);
    assert_eq!(key.verify(b"anything", &signature), Err(SignatureError));
    assert_eq!(PublicKey::from_multibase(&key.to_multibase()), Err(KeyError::Point));
    assert_eq!(key.to_agreement(), None);
    // Not a point at all.
    let mut none = [0; 32];
    none[0] = 2;
    assert_eq!(PublicKey::Ed25519(none).checked(), Err(KeyError::Point));
}

#[test]
fn the_first_test_of_rfc_8032_is_met() {
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let seed: [u8; 32] = seed.try_into().unwrap();
    let key = SigningKey::from_seed(seed.into());
    let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(key.public(), PublicKey::Ed25519(public.try_into().unwrap()));
    let signature = key.sign(b"");
    assert_eq!(
        signature.to_vec(),
        hex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
    );
    assert_eq!(key.public().verify(b"", &signature), Ok(()));
    assert_eq!(key.public().verify(b"x", &signature), Err(SignatureError));
    assert_eq!(key.public().verify(b"", &signature[..63]), Err(SignatureError));
}

#[test]
fn a_signature_with_a_larger_scalar_is_refused() {
    // S + L satisfies the same equation; RFC 8032 demands S < L, otherwise signatures are malleable.
    let key = SigningKey::from_seed([1; 32].into());
    let mut signature = key.sign(b"m");
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(key.public().verify(b"m", &signature), Err(SignatureError));
}

#[test]
fn agreement_is_that_of_rfc_7748() {
    let alice: [u8; 32] =
        hex("77076d0a7318a57d3c16c17251b26645df4c0cf9a6b1c7e5c1d0a1c5c9b1f0a0").try_into().unwrap();
    let alice = AgreementKey::from_bytes(alice.into());
    let bob = AgreementKey::from_bytes([5; 32].into());
    assert_eq!(alice.agree(&bob.public()), bob.agree(&alice.public()));
    assert!(alice.agree(&SigningKey::from_seed([1; 32].into()).public()).is_none());
    // RFC 7748, section 6.1: Bob's private key and Alice's public key give the shared secret.
    let bob: [u8; 32] =
        hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").try_into().unwrap();
    let alice: [u8; 32] =
        hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a").try_into().unwrap();
    let secret = AgreementKey::from_bytes(bob.into()).agree(&PublicKey::X25519(alice)).unwrap();
    assert_eq!(
        secret.to_vec(),
        hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    );
}

#[test]
fn encodings_round_trip_and_the_wrong_ones_are_refused() {
    let signing = SigningKey::from_seed([3; 32].into()).public();
    let agreement = AgreementKey::from_bytes([3; 32].into()).public();
    for key in [signing, agreement] {
        assert_eq!(PublicKey::from_multibase(&key.to_multibase()), Ok(key));
        assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key));
        let mut private = key.to_jwk();
        private.insert("d".to_owned(), json!("AAAA"));
        assert_eq!(PublicKey::from_jwk(&private), Err(KeyError::Private));
    }
    assert_eq!(PublicKey::from_multibase(&"z".repeat(10_000)), Err(KeyError::Encoding));
    assert_eq!(PublicKey::from_multibase("u7QEAAA"), Err(KeyError::Encoding));
    let p256 = "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169";
    assert_eq!(PublicKey::from_multibase(p256), Err(KeyError::Unsupported));
}

#[test]
fn the_agreement_key_of_a_signing_key_matches_its_public_derivation() {
    for byte in 0..20 {
        let key = SigningKey::from_seed([byte; 32].into());
        assert_eq!(Some(key.to_agreement().public()), key.public().to_agreement());
    }
}

#[test]
fn debug_shows_no_secret() {
    let key = SigningKey::from_seed([0xab; 32].into());
    let agreement = AgreementKey::from_bytes([0xab; 32].into());
    for text in [format!("{key:?}"), format!("{agreement:#?}")] {
        assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
    }
}
