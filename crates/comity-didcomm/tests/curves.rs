//! Every curve and algorithm: what is sealed or signed on it opens, and what mixes or spoils curves
//! is refused before any agreement. The checks that do not depend on a curve are in `refusals.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "parties/parties.rs"]
mod parties;

use comity_didcomm::{
    AgreementKey, ContentEncryption, Curve, DidDocument, Layer, OpenError, Protection, PublicKey,
    SealError, SenderProof, SigningKey, VerificationMethod, anoncrypt, authcrypt, from_prior, seal,
    sign, verify_jws,
};
use parties::{NOW, World};
use serde_json::{Value, json};

const ALL_ENC: [ContentEncryption; 3] =
    [ContentEncryption::A256CbcHs512, ContentEncryption::A256Gcm, ContentEncryption::XC20P];
const SIGNING: [Curve; 3] = [Curve::Ed25519, Curve::P256, Curve::Secp256k1];

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    comity_didcomm::Attachment::from_bytes(None, None, bytes.as_ref()).data.base64.unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    let data = json!({ "data": { "base64": text } });
    serde_json::from_value::<comity_didcomm::Attachment>(data).unwrap().data.bytes().unwrap()
}

fn with_epk(envelope: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(envelope).unwrap();
    let text = value["protected"].as_str().unwrap();
    let mut header: Value = serde_json::from_slice(&decode(text)).unwrap();
    change(&mut header["epk"]);
    value["protected"] = json!(base64url(header.to_string()));
    value.to_string()
}

#[test]
fn every_protection_opens_on_every_curve() {
    for agree in Curve::AGREEMENT {
        for sign_on in SIGNING {
            let mut world = World::on(sign_on, agree);
            let message = world.message();
            let bruno = [world.bruno.recipient()];
            for enc in ALL_ENC {
                let kid = world.aria.sign_kid.clone();
                let accountable =
                    Protection::Accountable { kid: &kid, key: &world.aria.signing, enc };
                let sealed = seal(&message, accountable, &bruno, &mut world.rng).unwrap();
                let opened = world.open(&sealed.envelope).unwrap();
                assert_eq!(opened.message, message);
                assert_eq!(opened.sender().unwrap().proof(), SenderProof::Signature);
                assert_eq!(opened.sender().unwrap().key().curve(), sign_on);
                let anonymous = Protection::Anonymous { enc };
                let sealed = seal(&message, anonymous, &bruno, &mut world.rng).unwrap();
                assert!(world.open(&sealed.envelope).unwrap().sender().is_none());
            }
            let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap();
            let opened = world.open(&sealed.envelope).unwrap();
            assert_eq!(opened.sender().unwrap().proof(), SenderProof::Authcrypt);
            assert_eq!(opened.sender().unwrap().key().curve(), agree);
            assert_eq!(opened.layers(), [Layer::Authcrypt]);
        }
    }
}

#[test]
fn several_keys_and_several_recipients_share_an_envelope() {
    for curve in Curve::AGREEMENT {
        let mut world = World::on(Curve::Ed25519, curve);
        let second = AgreementKey::generate_on(curve, &mut world.rng).unwrap();
        let kid = world.bruno.did.url("second");
        let id =
            world.bruno.document.add_key(VerificationMethod::new(kid.clone(), second.public()));
        world.bruno.document.key_agreement.push(id);
        let message = world.message().with_to([world.bruno.did.clone(), world.mallory.did.clone()]);
        let mut recipients = world.bruno.document.choose_recipients(&Curve::AGREEMENT);
        recipients.push(world.mallory.recipient());
        assert_eq!(recipients.len(), 3);
        let sealed =
            seal(&message, world.aria.deniable(), &recipients, &mut world.rng).unwrap().envelope;
        for party in [&world.bruno, &world.mallory] {
            let opened = world.open_as(party, &sealed, &Default::default()).unwrap();
            assert_eq!(opened.recipient_kid(), Some(&party.seal_kid));
        }
        // Bruno also opens it with only his second key.
        world.bruno.seal_kid = kid.clone();
        world.bruno.agreement = second;
        assert_eq!(world.open(&sealed).unwrap().recipient_kid(), Some(&kid));
    }
}

#[test]
fn rotations_and_evidence_are_signed_with_every_algorithm() {
    for curve in SIGNING {
        let mut world = World::on(curve, Curve::X25519);
        let mut message = world.message().with_from(world.mallory.did.clone());
        let (kid, key) = (&world.aria.sign_kid, &world.aria.signing);
        message.from_prior = Some(from_prior(kid, key, Some(&world.mallory.did), NOW));
        let bruno = [world.bruno.recipient()];
        let sealed = seal(&message, world.mallory.accountable(), &bruno, &mut world.rng).unwrap();
        let opened = world.open(&sealed.envelope).unwrap();
        assert_eq!(opened.rotation().unwrap().prior(), &world.aria.did);
        let evidence = verify_jws(opened.signed().unwrap().as_bytes(), &world.mallory.document);
        assert_eq!(evidence.unwrap().payload, sealed.plaintext);
        // Signed by another than the prior DID, on the same curve.
        let (kid, key) = (&world.aria.sign_kid, &world.mallory.signing);
        message.from_prior = Some(from_prior(kid, key, Some(&world.mallory.did), NOW));
        let sealed = seal(&message, world.mallory.accountable(), &bruno, &mut world.rng).unwrap();
        assert_eq!(world.open(&sealed.envelope).unwrap_err(), OpenError::FromPrior);
    }
}

#[test]
fn the_algorithm_of_a_signature_is_that_of_its_key() {
    for curve in SIGNING {
        let world = World::on(curve, Curve::X25519);
        let plaintext = world.message().to_json();
        let signed = |alg: &str, key: &SigningKey| {
            let header = json!({ "alg": alg, "kid": world.aria.sign_kid });
            let (protected, payload) = (base64url(header.to_string()), base64url(&plaintext));
            let signature = key.sign(format!("{protected}.{payload}").as_bytes());
            json!({ "payload": payload, "protected": protected, "signature": base64url(signature) })
                .to_string()
        };
        let opened: Vec<&str> = ["EdDSA", "ES256", "ES256K"]
            .into_iter()
            .filter(|alg| match world.open(&signed(alg, &world.aria.signing)) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error, OpenError::Algorithm);
                    false
                }
            })
            .collect();
        assert_eq!(opened.len(), 1, "{curve:?}: {opened:?}");
        for alg in ["ES384", "ES512", "Ed25519", "ES256k", "none"] {
            assert_eq!(
                world.open(&signed(alg, &world.aria.signing)).unwrap_err(),
                OpenError::Algorithm
            );
        }
        let forged = signed(opened[0], &world.mallory.signing);
        assert_eq!(world.open(&forged).unwrap_err(), OpenError::Crypto);
    }
}

#[test]
fn keys_of_one_curve_are_not_sealed_with_those_of_another() {
    for curve in Curve::AGREEMENT {
        for other in Curve::AGREEMENT.into_iter().filter(|other| *other != curve) {
            let mut world = World::on(Curve::Ed25519, curve);
            let stranger = World::on(Curve::Ed25519, other).bruno;
            let (bruno, rng) = (world.bruno.recipient(), &mut world.rng);
            let mixed = [bruno.clone(), (stranger.did.url("other"), stranger.agreement.public())];
            let enc = ContentEncryption::A256Gcm;
            assert_eq!(anoncrypt(b"{}", &mixed, enc, rng), Err(SealError::Curve));
            let (kid, key) = (&stranger.seal_kid, &stranger.agreement);
            assert_eq!(authcrypt(b"{}", kid, key, &[bruno], rng), Err(SealError::Curve));
        }
    }
}

#[test]
fn an_ephemeral_key_on_another_curve_is_refused() {
    for curve in Curve::AGREEMENT {
        let mut world = World::on(Curve::Ed25519, curve);
        let bruno = [world.bruno.recipient()];
        let message = world.message();
        let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap();
        for other in Curve::ALL.into_iter().filter(|other| *other != curve) {
            let key = if other.is_agreement() {
                AgreementKey::generate_on(other, &mut world.rng).unwrap().public()
            } else {
                SigningKey::generate_on(other, &mut world.rng).unwrap().public()
            };
            let text = with_epk(&sealed.envelope, |epk| *epk = Value::Object(key.to_jwk()));
            assert_eq!(world.open(&text).unwrap_err(), OpenError::Key, "{curve:?} {other:?}");
        }
    }
}

#[test]
fn a_sealing_key_on_another_curve_is_refused() {
    let mut world = World::on(Curve::Ed25519, Curve::P384);
    let (message, bruno) = (world.message(), [world.bruno.recipient()]);
    let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap();
    // The document of the sender changes under the envelope.
    let other = AgreementKey::generate_on(Curve::P256, &mut world.rng).unwrap();
    let mut document = DidDocument::new(world.aria.did.clone());
    let method = VerificationMethod::new(world.aria.seal_kid.clone(), other.public());
    let id = document.add_key(method);
    document.key_agreement.push(id);
    world.aria.document = document;
    assert_eq!(world.open(&sealed.envelope).unwrap_err(), OpenError::Key);
}

#[test]
fn ephemeral_points_off_their_curve_are_refused() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let mut world = World::on(Curve::Ed25519, curve);
        let bruno = [world.bruno.recipient()];
        let enc = ContentEncryption::A256Gcm;
        let sealed = anoncrypt(b"{}", &bruno, enc, &mut world.rng).unwrap();
        let refused = |change: &dyn Fn(&mut Value)| {
            assert_eq!(
                world.open(&with_epk(&sealed, |epk| change(epk))).unwrap_err(),
                OpenError::Key
            );
        };
        let length = decode(&base64url(world.bruno.agreement.public().as_bytes())).len() / 2;
        let text = |fill: u8, last: u8| {
            let mut bytes = vec![fill; length];
            *bytes.last_mut().unwrap() = last;
            json!(base64url(bytes))
        };
        // (0, 0), (0, 1), (1, 1): on none of the three curves.
        for (x, y) in [(0, 0), (0, 1), (1, 1)] {
            refused(&|epk| {
                epk["x"] = text(0, x);
                epk["y"] = text(0, y);
            });
        }
        refused(&|epk| epk["x"] = text(0xff, 0xff));
        refused(&|epk| epk["y"] = epk["x"].clone());
        refused(&|epk| {
            let mut y = decode(epk["y"].as_str().unwrap());
            *y.last_mut().unwrap() ^= 1;
            epk["y"] = json!(base64url(y));
        });
        // Coordinates without their first byte, or with one too many; no second one.
        refused(&|epk| epk["x"] = json!(base64url(&decode(epk["x"].as_str().unwrap())[1..])));
        refused(&|epk| {
            let y = [&[0][..], &decode(epk["y"].as_str().unwrap())].concat();
            epk["y"] = json!(base64url(y));
        });
        refused(&|epk| drop(epk.as_object_mut().unwrap().remove("y")));
        refused(&|epk| epk["kty"] = json!("OKP"));
        refused(&|epk| epk["d"] = epk["x"].clone());
    }
    // A point of another curve with coordinates of the same length.
    let mut world = World::on(Curve::Secp256k1, Curve::P256);
    let sealed = anoncrypt(b"{}", &[world.bruno.recipient()], ALL_ENC[1], &mut world.rng).unwrap();
    let koblitz = world.mallory.signing.public().to_jwk();
    let text = with_epk(&sealed, |epk| {
        epk["x"] = koblitz["x"].clone();
        epk["y"] = koblitz["y"].clone();
    });
    assert_eq!(world.open(&text).unwrap_err(), OpenError::Key);
}

#[test]
fn every_changed_character_is_refused_on_every_curve() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let mut world = World::on(Curve::P256, curve);
        let (message, bruno) = (world.message(), [world.bruno.recipient()]);
        let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap();
        // Each change of the header is tried, and a part of those that need an agreement to be
        // seen.
        let header = sealed.envelope.find("\"recipients\"").unwrap();
        let positions = (0..header).step_by(3).chain((header..sealed.envelope.len()).step_by(17));
        for at in positions {
            let mut bytes = sealed.envelope.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(world.open(&String::from_utf8(bytes).unwrap()).is_err(), "position {at}");
        }
    }
}

#[test]
fn a_key_does_only_what_the_document_says() {
    // One P-256 key that Aria lists for agreement only, and could sign with.
    let mut world = World::on(Curve::Ed25519, Curve::P256);
    let jwk: Value = serde_json::from_str(&world.aria.agreement.to_jwk()).unwrap();
    let key = SigningKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    let plaintext = world.message().to_json();
    let signed = sign(&plaintext, &world.aria.seal_kid, &key);
    assert_eq!(world.open(&signed).unwrap_err(), OpenError::SenderMismatch);
    world.aria.document.authentication.push(world.aria.seal_kid.clone());
    assert!(world.open(&signed).is_ok());
    // And one that she lists for signing only, and could agree with.
    let mut world = World::on(Curve::P256, Curve::P256);
    let jwk: Value = serde_json::from_str(&world.aria.signing.to_jwk()).unwrap();
    let key = AgreementKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    let bruno = [world.bruno.recipient()];
    let sealed = authcrypt(&plaintext, &world.aria.sign_kid, &key, &bruno, &mut world.rng).unwrap();
    assert_eq!(world.open(&sealed).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn unsafe_points_are_not_sealed_to() {
    let mut world = World::new();
    let zero = [(world.bruno.seal_kid.clone(), PublicKey::X25519([0; 32]))];
    assert_eq!(anoncrypt(b"{}", &zero, ALL_ENC[0], &mut world.rng), Err(SealError::RecipientKey));
    let secp = SigningKey::generate_on(Curve::Secp256k1, &mut world.rng).unwrap().public();
    let signing = [(world.bruno.seal_kid.clone(), secp)];
    assert_eq!(
        anoncrypt(b"{}", &signing, ALL_ENC[0], &mut world.rng),
        Err(SealError::RecipientKey)
    );
}
