//! Known answers and refusals for keys.

use serde_json::{Map, Value, json};

use super::small_order::{near_prime, small};
use super::*;

/// Every encoding of a point of small order on curve25519 or its twist, with and without the
/// ignored top bit.
fn low_order_u() -> Vec<[u8; 32]> {
    let with_top_bit = SMALL_ORDER_U.map(|mut bytes| {
        bytes[31] |= 0x80;
        bytes
    });
    SMALL_ORDER_U.into_iter().chain(with_top_bit).collect()
}

#[test]
fn the_lists_of_small_order_are_those_of_the_arithmetic() {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::montgomery::MontgomeryPoint;
    // Eight times a point of small order is the neutral element, on the curve and on its twist
    // alike.
    for u in low_order_u() {
        let eightfold = MontgomeryPoint(u).mul_bits_be([true, false, false, false].into_iter());
        assert_eq!(eightfold, MontgomeryPoint([0; 32]), "{u:02x?}");
    }
    for point in EIGHT_TORSION {
        assert!(is_one_of(&point.compress().0, &SMALL_ORDER_Y));
        assert!(is_one_of(&point.to_montgomery().0, &SMALL_ORDER_U));
    }
    // Of the Edwards list, all that are points are of small order.
    for y in SMALL_ORDER_Y {
        for sign in [0, 0x80] {
            let mut y = y;
            y[31] |= sign;
            let point = CompressedEdwardsY(y).decompress();
            assert!(point.is_none_or(|point| point.is_small_order()), "{y:02x?}");
        }
    }
    // No other u near the ends of the range is.
    for low in 2..=255 {
        let eightfold =
            MontgomeryPoint(small(low)).mul_bits_be([true, false, false, false].into_iter());
        assert_ne!(eightfold, MontgomeryPoint([0; 32]));
    }
    for low in (0xef..=0xff).chain(0..=0xeb) {
        let u = near_prime(low);
        let eightfold = MontgomeryPoint(u).mul_bits_be([true, false, false, false].into_iter());
        assert_eq!(eightfold == MontgomeryPoint([0; 32]), is_one_of(&u, &SMALL_ORDER_U), "{low}");
    }
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
    assert_eq!(PublicKey::from_raw(Curve::Ed25519, &none), Err(KeyError::Point));
    assert_eq!(PublicKey::Ed25519(none).verify(b"", &signature), Err(SignatureError));
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
    // S + L satisfies the same equation; RFC 8032 demands S < L, otherwise signatures are
    // malleable.
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
    assert!(alice.agree(&bob.public()) == bob.agree(&alice.public()));
    assert!(alice.agree(&SigningKey::from_seed([1; 32].into()).public()).is_none());
    // RFC 7748, section 6.1: Bob's private key and Alice's public key give the shared secret.
    let bob: [u8; 32] =
        hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").try_into().unwrap();
    let alice: [u8; 32] =
        hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a").try_into().unwrap();
    let secret = AgreementKey::from_bytes(bob.into()).agree(&PublicKey::X25519(alice)).unwrap();
    assert_eq!(
        secret.as_bytes(),
        hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    );
}

/// A key on every curve, made by what makes keys on it.
fn one_of_each() -> [PublicKey; 6] {
    let mut rng = rand::rng();
    Curve::ALL.map(|curve| {
        let key = if curve.is_signing() {
            SigningKey::generate_on(curve, &mut rng).unwrap().public()
        } else {
            AgreementKey::generate_on(curve, &mut rng).unwrap().public()
        };
        assert_eq!(key.curve(), curve);
        key
    })
}

#[test]
fn encodings_round_trip_and_the_wrong_ones_are_refused() {
    for key in one_of_each() {
        assert_eq!(PublicKey::from_multibase(&key.to_multibase()), Ok(key));
        assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key));
        assert_eq!(PublicKey::from_raw(key.curve(), key.as_bytes()), Ok(key));
        let text: Map<String, Value> = {
            let mut text = String::new();
            key.push_jwk(&mut text);
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(text, key.to_jwk());
        let mut private = key.to_jwk();
        private.insert("d".to_owned(), json!("AAAA"));
        assert_eq!(PublicKey::from_jwk(&private), Err(KeyError::Private));
        for (member, bad) in [
            ("kty", json!("RSA")),
            ("kty", json!(1)),
            ("crv", json!("P-257")),
            ("crv", json!("ed25519")),
            ("x", json!("AAAA")),
            ("x", json!("")),
            ("x", json!(format!("{}=", key.to_jwk()["x"].as_str().unwrap()))),
            ("x", json!("A".repeat(1000))),
            ("x", json!([1])),
        ] {
            let mut jwk = key.to_jwk();
            jwk.insert(member.to_owned(), bad);
            assert!(PublicKey::from_jwk(&jwk).is_err(), "{jwk:?}");
        }
    }
    assert_eq!(PublicKey::from_multibase(&"z".repeat(10_000)), Err(KeyError::Encoding));
    assert_eq!(PublicKey::from_multibase("u7QEAAA"), Err(KeyError::Encoding));
}

/// From the did:key specification, its sections on these curves.
#[test]
fn the_multikeys_of_the_did_key_specification_are_read() {
    for (text, curve) in [
        ("zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", Curve::P256),
        ("zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv", Curve::P256),
        ("z82Lm1MpAkeJcix9K8TMiLd5NMAhnwkjjCBeWHXyu3U4oT2MVJJKXkcVBgjGhnLBn2Kaau9", Curve::P384),
        ("zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", Curve::Secp256k1),
        ("zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2", Curve::Secp256k1),
        (
            "z2J9gaYxrKVpdoG9A4gRnmpnRCcxU6agDtFVVBVdn1JedouoZN7SzcyREXXzWgt3gGiwpoHq7K68X4m32D8HgzG8wv3sY5j7",
            Curve::P521,
        ),
    ] {
        let key = PublicKey::from_multibase(text).unwrap();
        assert_eq!((key.curve(), key.to_multibase().as_str()), (curve, text));
    }
}

#[test]
fn points_off_the_curve_are_refused_in_every_encoding() {
    for key in one_of_each().into_iter().filter(|key| key.to_jwk().contains_key("y")) {
        let curve = key.curve();
        let refused = |raw: &[u8]| PublicKey::from_raw(curve, raw).unwrap_err();
        let good = key.as_bytes().to_vec();
        let with = |at: usize, byte: u8| {
            let mut raw = good.clone();
            raw[at] = byte;
            raw
        };
        let last = good.len() - 1;
        assert_eq!(refused(&with(last, good[last] ^ 1)), KeyError::Point);
        assert_eq!(refused(&with(last, good[last] ^ 2)), KeyError::Point);
        // Coordinates at or above the prime, the point at infinity, other forms, other lengths.
        let mut large = vec![0xff; good.len()];
        large[0] = 4;
        assert_eq!(refused(&large), KeyError::Point);
        assert_eq!(refused(&[0]), KeyError::Encoding);
        assert_eq!(refused(&with(0, 6 | (good[last] & 1))), KeyError::Encoding, "hybrid");
        assert_eq!(refused(&with(0, 0)), KeyError::Encoding);
        assert_eq!(refused(&good[1..]), KeyError::Encoding);
        assert_eq!(refused(&good[..last]), KeyError::Encoding);
        assert_eq!(refused(&[]), KeyError::Encoding);
        let mut jwk = key.to_jwk();
        jwk.insert("y".to_owned(), jwk["x"].clone());
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Point));
        jwk.remove("y");
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Encoding));
        // A point of this curve under the name of another.
        for other in Curve::ALL.into_iter().filter(|other| *other != curve) {
            assert!(PublicKey::from_raw(other, &good).is_err(), "{curve:?} as {other:?}");
        }
    }
}

#[test]
fn an_x_without_a_point_is_refused() {
    // For half of all x there is no y. Both signs of the same x are points or neither is.
    let key = one_of_each()[2];
    let mut refused = 0;
    for byte in 0..=255 {
        let mut raw: Vec<u8> = vec![2];
        raw.extend_from_slice(&key.as_bytes()[1..33]);
        raw[32] = byte;
        let even = PublicKey::from_raw(Curve::P256, &raw);
        raw[0] = 3;
        let odd = PublicKey::from_raw(Curve::P256, &raw);
        assert_eq!(even.is_ok(), odd.is_ok());
        refused += usize::from(even == Err(KeyError::Point));
    }
    assert!((64..192).contains(&refused), "{refused}");
}

#[test]
fn private_jwks_round_trip_and_their_parts_must_belong_together() {
    let mut rng = rand::rng();
    for curve in Curve::ALL {
        let (text, other, own) = if curve.is_signing() {
            let key = SigningKey::generate_on(curve, &mut rng).unwrap();
            let other = SigningKey::generate_on(curve, &mut rng).unwrap();
            assert_eq!(
                SigningKey::from_bytes_on(curve, &*key.seed()).unwrap().public(),
                key.public()
            );
            (key.to_jwk(), other.public(), key.public())
        } else {
            let key = AgreementKey::generate_on(curve, &mut rng).unwrap();
            let other = AgreementKey::generate_on(curve, &mut rng).unwrap();
            (key.to_jwk(), other.public(), key.public())
        };
        let good: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let read = |jwk: &Map<String, Value>| match curve.is_signing() {
            true => SigningKey::from_jwk(jwk).map(|key| key.public()),
            false => AgreementKey::from_jwk(jwk).map(|key| key.public()),
        };
        assert_eq!(read(&good), Ok(own));
        let mut mixed = other.to_jwk();
        mixed.insert("d".to_owned(), good["d"].clone());
        assert_eq!(read(&mixed), Err(KeyError::Mismatch));
        let mut none = good.clone();
        none.remove("d");
        assert_eq!(read(&none), Err(KeyError::Encoding));
        none.insert("d".to_owned(), json!("AAAA"));
        assert_eq!(read(&none), Err(KeyError::Encoding));
    }
    let p256 = SigningKey::generate_on(Curve::P256, &mut rng).unwrap();
    let jwk: Map<String, Value> = serde_json::from_str(&p256.to_jwk()).unwrap();
    let agreement = AgreementKey::from_jwk(&jwk).unwrap();
    assert_eq!(agreement.public(), p256.public(), "a P-256 key does both");
    assert_eq!(p256.to_agreement().unwrap().public(), p256.public());
    for curve in [Curve::X25519, Curve::P384, Curve::P521] {
        assert_eq!(SigningKey::generate_on(curve, &mut rng).unwrap_err(), KeyError::Unsupported);
    }
    for curve in [Curve::Ed25519, Curve::Secp256k1] {
        assert_eq!(AgreementKey::generate_on(curve, &mut rng).unwrap_err(), KeyError::Unsupported);
    }
}

/// A source of randomness that is broken.
struct Constant(u8);

impl rand_core::TryRng for Constant {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Constant {}

#[test]
fn private_numbers_out_of_range_are_refused_and_not_drawn_for_ever() {
    for curve in [Curve::P256, Curve::Secp256k1] {
        for byte in [0, 0xff] {
            assert!(SigningKey::from_bytes_on(curve, &[byte; 32]).is_err());
            assert!(SigningKey::generate_on(curve, &mut Constant(byte)).is_err());
        }
        assert!(SigningKey::from_bytes_on(curve, &[1; 31]).is_err());
    }
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        for byte in [0, 0xff] {
            let bytes = vec![byte; curve.field_bytes()];
            assert!(AgreementKey::from_bytes_on(curve, &bytes).is_err());
            assert!(AgreementKey::generate_on(curve, &mut Constant(byte)).is_err());
        }
        assert!(AgreementKey::from_bytes_on(curve, &[1; 31]).is_err());
    }
}

#[test]
fn agreement_is_symmetric_on_every_curve_and_refused_across_curves() {
    let mut rng = rand::rng();
    for curve in Curve::AGREEMENT {
        let one = AgreementKey::generate_on(curve, &mut rng).unwrap();
        let other = AgreementKey::generate_on(curve, &mut rng).unwrap();
        let secret = one.agree(&other.public()).unwrap();
        assert!(other.agree(&one.public()).unwrap() == secret);
        assert_eq!(secret.as_bytes().len(), curve.field_bytes());
        for foreign in one_of_each().into_iter().filter(|key| key.curve() != curve) {
            assert!(one.agree(&foreign).is_none(), "{curve:?} {foreign:?}");
        }
    }
}

#[test]
fn ecdsa_signs_with_low_s_and_verifies_either() {
    let mut rng = rand::rng();
    for curve in [Curve::P256, Curve::Secp256k1] {
        let key = SigningKey::generate_on(curve, &mut rng).unwrap();
        for n in 0..20_u8 {
            let mut signature = key.sign(&[n]);
            assert!(signature[32] < 0x80, "low");
            assert_eq!(key.public().verify(&[n], &signature), Ok(()));
            assert_eq!(key.public().verify(&[n + 1], &signature), Err(SignatureError));
            assert_eq!(key.public().verify(&[n], &signature[..63]), Err(SignatureError));
            // The other S: the order minus this one.
            let order = hex(if curve == Curve::P256 {
                "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
            } else {
                "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
            });
            let mut borrow = 0;
            for (byte, order) in signature[32..].iter_mut().zip(order).rev() {
                let difference = i16::from(order) - i16::from(*byte) - borrow;
                borrow = i16::from(difference < 0);
                *byte = difference.to_le_bytes()[0];
            }
            assert_eq!(key.public().verify(&[n], &signature), Ok(()), "high");
        }
        let zero = [0; 64];
        assert_eq!(key.public().verify(b"m", &zero), Err(SignatureError));
        let foreign = SigningKey::generate_on(curve, &mut rng).unwrap().public();
        assert_eq!(foreign.verify(b"m", &key.sign(b"m")), Err(SignatureError));
    }
}

#[test]
fn the_agreement_key_of_a_signing_key_matches_its_public_derivation() {
    for byte in 0..20 {
        let key = SigningKey::from_seed([byte; 32].into());
        assert_eq!(key.to_agreement().map(|key| key.public()), key.public().to_agreement());
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

/// Found by exchanging messages with the Python library `didcomm`, whose P-521 keys were refused 3 times in 4.
#[test]
fn a_coordinate_without_its_leading_zeros_is_the_same_coordinate() {
    let mut rng: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(1);
    let keys = std::iter::repeat_with(|| AgreementKey::generate_on(Curve::P521, &mut rng).unwrap());
    let decode = |text: &Value| encoding::from_base64url(text.as_str().unwrap()).unwrap();
    let key = keys.map(|key| key.public()).find(|key| decode(&key.to_jwk()["x"])[0] == 0).unwrap();
    let mut jwk = key.to_jwk();
    let x = decode(&jwk["x"]);
    jwk["x"] = json!(encoding::base64url(&x[1..]));
    assert_eq!(PublicKey::from_jwk(&jwk), Ok(key));
    jwk["x"] = json!(encoding::base64url([&[0], &x[..]].concat()));
    assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Encoding));
}

#[test]
fn a_curve_that_does_not_sign_is_named_as_such_whatever_the_length() {
    // The length was looked at first, and a key on P-384 was called wrongly encoded.
    for curve in [Curve::X25519, Curve::P384, Curve::P521] {
        let key = AgreementKey::generate_on(curve, &mut rand::rng()).unwrap();
        let refused = SigningKey::from_bytes_on(curve, &key.to_bytes());
        assert_eq!(refused.unwrap_err(), KeyError::Unsupported);
        let jwk = serde_json::from_str(&key.to_jwk()).unwrap();
        assert_eq!(SigningKey::from_jwk(&jwk).unwrap_err(), KeyError::Unsupported);
    }
    assert_eq!(SigningKey::from_bytes_on(Curve::P256, &[1; 31]).unwrap_err(), KeyError::Encoding);
}

#[test]
fn a_private_number_without_its_leading_zeros_is_read() {
    // The number seven: other curves' writers leave the zeros of x and y out, and of d too.
    let shortened = |text: &str, length: usize| -> Map<String, Value> {
        let mut jwk: Map<String, Value> = serde_json::from_str(text).unwrap();
        let d = encoding::from_base64url(jwk["d"].as_str().unwrap()).unwrap();
        assert_eq!(d.len(), length);
        jwk.insert("d".to_owned(), json!(encoding::base64url([7])));
        jwk
    };
    for (curve, length) in [(Curve::P256, 32), (Curve::P384, 48), (Curve::P521, 66)] {
        let mut bytes = vec![0; length];
        bytes[length - 1] = 7;
        let key = AgreementKey::from_bytes_on(curve, &bytes).unwrap();
        let read = AgreementKey::from_jwk(&shortened(&key.to_jwk(), length)).unwrap();
        assert_eq!(*read.to_bytes(), bytes);
    }
    for curve in [Curve::P256, Curve::Secp256k1] {
        let mut bytes = [0; 32];
        bytes[31] = 7;
        let key = SigningKey::from_bytes_on(curve, &bytes).unwrap();
        let read = SigningKey::from_jwk(&shortened(&key.to_jwk(), 32)).unwrap();
        assert_eq!(*read.seed(), bytes);
    }
    // A seed is no number.
    let key = SigningKey::from_bytes_on(Curve::Ed25519, &[7; 32]).unwrap();
    assert!(SigningKey::from_jwk(&shortened(&key.to_jwk(), 32)).is_err());
}
