//! Everything that must be refused: each receiver check, each illegal nesting, spoofed senders, surreptitious
//! forwarding, and what a hostile sender can do to the form of an envelope.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "parties/parties.rs"]
mod parties;

use std::cell::RefCell;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidDocument, DidUrl, Layer, OpenError, OpenPolicy,
    Opening, Protection, SigningKey, UnixTime, VerificationMethod, anoncrypt, authcrypt,
    from_prior, open, seal, sign,
};
use parties::{NOW, Party, World};
use serde_json::{Value, json};

const ENC: ContentEncryption = ContentEncryption::A256CbcHs512;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    comity_didcomm::Attachment::from_bytes(None, None, bytes.as_ref()).data.base64.unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    let data = json!({ "data": { "base64": text } });
    serde_json::from_value::<comity_didcomm::Attachment>(data).unwrap().data.bytes().unwrap()
}

/// Changes an envelope, and its protected header if asked.
fn changed(envelope: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(envelope).unwrap();
    change(&mut value);
    value.to_string()
}

fn with_protected(envelope: &str, change: impl FnOnce(&mut Value)) -> String {
    changed(envelope, |value| {
        let text = value["protected"].as_str().unwrap();
        let mut header: Value = serde_json::from_slice(&decode(text)).unwrap();
        change(&mut header);
        value["protected"] = json!(base64url(header.to_string()));
    })
}

/// A good envelope from Aria to Bruno, to be spoiled.
fn sealed(world: &mut World) -> String {
    let (message, recipients) = (world.message(), [world.bruno.recipient()]);
    seal(&message, world.aria.deniable(), &recipients, &mut world.rng).unwrap().envelope
}

/// Seals whatever it is given, as a hostile sender would.
fn auth(world: &mut World, text: &[u8], kid: &DidUrl, key: &AgreementKey) -> String {
    authcrypt(text, kid, key, &[world.bruno.recipient()], &mut world.rng).unwrap()
}

fn anon(world: &mut World, text: &[u8]) -> String {
    anoncrypt(text, &[world.bruno.recipient()], ENC, &mut world.rng).unwrap()
}

/// A signed envelope with headers of one's own choosing and a correct signature.
fn jws(payload: &[u8], protected: &Value, unprotected: Option<&Value>, key: &SigningKey) -> Value {
    let (protected, payload) = (base64url(protected.to_string()), base64url(payload));
    let signature = base64url(key.sign(format!("{protected}.{payload}").as_bytes()));
    let mut entry = json!({ "protected": protected, "signature": signature });
    if let Some(header) = unprotected {
        entry["header"] = header.clone();
    }
    json!({ "payload": payload, "signatures": [entry] })
}

#[test]
fn check_1_the_sealer_is_the_from() {
    let mut world = World::new();
    let (kid, key) = (world.mallory.seal_kid.clone(), world.mallory.agreement.clone());
    let aria_kid = world.aria.seal_kid.clone();
    let claimed = world.message().to_json();
    // Mallory seals with her own key and puts Aria into `from`.
    let envelope = auth(&mut world, &claimed, &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
    // She claims Aria's key id, without having the key.
    let envelope = auth(&mut world, &claimed, &aria_kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::Crypto);
    // She leaves `from` away.
    let mut nobody = world.message();
    nobody.from = None;
    let envelope = auth(&mut world, &nobody.to_json(), &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn check_2_skid_and_apu_agree() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let mallory = world.mallory.seal_kid.to_string();
    let refused = |change: &dyn Fn(&mut Value)| {
        world.open(&with_protected(&envelope, |header| change(header))).unwrap_err()
    };
    assert_eq!(refused(&|header| header["skid"] = json!(mallory)), OpenError::SenderMismatch);
    assert_eq!(
        refused(&|header| header["apu"] = json!(base64url(&mallory))),
        OpenError::SenderMismatch
    );
    let no_apu = |header: &mut Value| drop(header.as_object_mut().unwrap().remove("apu"));
    assert_eq!(refused(&no_apu), OpenError::Malformed);
    // `apu` alone names the sender; but the header was changed, so the envelope does not decrypt.
    let no_skid = |header: &mut Value| drop(header.as_object_mut().unwrap().remove("skid"));
    assert_eq!(refused(&no_skid), OpenError::Crypto);
}

#[test]
fn check_3_the_recipient_is_in_to() {
    let mut world = World::new();
    let (kid, key) = (world.aria.seal_kid.clone(), world.aria.agreement.clone());
    let to_other = world.message().with_to([world.mallory.did.clone()]);
    let envelope = auth(&mut world, &to_other.to_json(), &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::NotAddressed);
    let mut policy = OpenPolicy::default();
    policy.to_without_us = comity_didcomm::Choice::Accept;
    assert!(world.open_as(&world.bruno, &envelope, &policy).is_ok());

    // Surreptitious forwarding: Mallory got a message signed by Aria, and seals it for Bruno.
    let signed = sign(&to_other.to_json(), &world.aria.sign_kid, &world.aria.signing);
    let envelope = anon(&mut world, signed.as_bytes());
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::NotAddressed);
    assert_eq!(
        world.open_as(&world.bruno, &envelope, &policy).unwrap_err(),
        OpenError::NotAddressed,
        "no policy relaxes this"
    );
}

#[test]
fn check_4_the_signer_is_the_from_and_may_sign() {
    let mut world = World::new();
    let plaintext = world.message().to_json();
    let (aria, mallory) = (&world.aria, &world.mallory);
    let cases = [
        (sign(&plaintext, &mallory.sign_kid, &mallory.signing), OpenError::SenderMismatch),
        (sign(&plaintext, &aria.sign_kid, &mallory.signing), OpenError::Crypto),
        // A key of Aria's that is not for authentication, and one that she has not.
        (sign(&plaintext, &aria.seal_kid, &mallory.signing), OpenError::SenderMismatch),
        (sign(&plaintext, &aria.did.url("other"), &aria.signing), OpenError::SenderMismatch),
    ];
    for (signed, expected) in cases {
        assert_eq!(world.open(&signed).unwrap_err(), expected);
        let envelope = anon(&mut world, signed.as_bytes());
        assert_eq!(world.open(&envelope).unwrap_err(), expected);
    }
    let mut nobody = world.message();
    nobody.from = None;
    let signed = sign(&nobody.to_json(), &world.aria.sign_kid, &world.aria.signing);
    assert_eq!(world.open(&signed).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn check_4_the_two_key_ids_of_a_signature_agree() {
    let world = World::new();
    let plaintext = world.message().to_json();
    let key = &world.aria.signing;
    let kid = json!({ "kid": world.aria.sign_kid });
    let other = json!({ "kid": world.mallory.sign_kid });
    let alg = json!({ "alg": "EdDSA" });
    let both = json!({ "alg": "EdDSA", "kid": world.aria.sign_kid });
    let opens = |protected: &Value, unprotected: Option<&Value>| {
        world.open(&jws(&plaintext, protected, unprotected, key).to_string()).map(|_| ())
    };
    assert_eq!(opens(&both, None), Ok(()), "kid only protected");
    assert_eq!(opens(&alg, Some(&kid)), Ok(()), "kid only unprotected");
    assert_eq!(opens(&both, Some(&kid)), Ok(()));
    assert_eq!(opens(&both, Some(&other)), Err(OpenError::SenderMismatch));
    assert_eq!(opens(&alg, Some(&other)), Err(OpenError::SenderMismatch));
    assert_eq!(opens(&alg, None), Err(OpenError::Malformed));
    let bare = json!({ "alg": "EdDSA", "kid": world.aria.did });
    assert_eq!(opens(&bare, None), Err(OpenError::Malformed), "a DID is no key id");
}

#[test]
fn a_did_that_only_a_signature_header_names_is_never_resolved() {
    let mut world = World::new();
    let plaintext = world.message().to_json();
    let evil = Did::parse("did:web:169.254.169.254").unwrap();
    let header = json!({ "kid": evil.url("k") });
    let text = jws(&plaintext, &json!({ "alg": "EdDSA" }), Some(&header), &world.mallory.signing);
    let envelope = anon(&mut world, text.to_string().as_bytes());
    let asked = RefCell::new(Vec::new());
    let result = open(
        envelope.as_bytes(),
        &OpenPolicy::default(),
        NOW,
        &|_| Some(world.bruno.agreement.clone()),
        &|did| {
            asked.borrow_mut().push(did.clone());
            None
        },
    );
    assert_eq!(result.unwrap_err(), OpenError::SenderMismatch);
    assert!(asked.borrow().is_empty());
}

#[test]
fn check_5_the_sealing_key_is_for_key_agreement() {
    let mut world = World::new();
    // Aria publishes a key, but not for agreement.
    let key = AgreementKey::from_bytes([9; 32].into());
    let kid = world.aria.did.url("published");
    world.aria.document.add_key(VerificationMethod::new(kid.clone(), key.public()));
    let plaintext = world.message().to_json();
    let envelope = auth(&mut world, &plaintext, &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
    world.aria.document.authentication.push(kid.clone());
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
    world.aria.document.key_agreement.push(kid);
    assert!(world.open(&envelope).is_ok());
    // The same key, but held by somebody else.
    let method = world.aria.document.verification_method.last_mut().unwrap();
    method.controller = world.mallory.did.clone();
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn check_6_the_recipients_are_those_that_were_sealed_for() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let refused = |change: &dyn Fn(&mut Value)| {
        world.open(&changed(&envelope, |value| change(value))).unwrap_err()
    };
    let extra = json!({ "header": { "kid": world.mallory.seal_kid }, "encrypted_key": "AAAA" });
    let add = |value: &mut Value| value["recipients"].as_array_mut().unwrap().push(extra.clone());
    assert_eq!(refused(&add), OpenError::Malformed);
    let twice = |value: &mut Value| {
        let one = value["recipients"][0].clone();
        value["recipients"].as_array_mut().unwrap().push(one);
    };
    assert_eq!(refused(&twice), OpenError::Malformed);
    assert_eq!(refused(&|value| value["recipients"] = json!([])), OpenError::Malformed);
    let rename =
        |value: &mut Value| value["recipients"][0]["header"]["kid"] = json!("did:web:x.example#k");
    assert_eq!(refused(&rename), OpenError::Malformed);
}

#[test]
fn check_7_every_illegal_nesting_is_refused() {
    let mut world = World::new();
    let plaintext = world.message().to_json();
    let (kid, key) = (world.aria.seal_kid.clone(), world.aria.agreement.clone());
    let layers = [Layer::Anoncrypt, Layer::Authcrypt, Layer::Signed];
    // Every stack of up to four layers, wrapped from the inside out.
    let mut stacks: Vec<(Vec<Layer>, String)> =
        vec![(Vec::new(), String::from_utf8(plaintext).unwrap())];
    let mut from = 0;
    let mut opened = 0;
    for _ in 0..4 {
        let until = stacks.len();
        for at in from..until {
            for layer in layers {
                let (mut stack, text) = stacks[at].clone();
                stack.insert(0, layer);
                let text = match layer {
                    Layer::Anoncrypt => anon(&mut world, text.as_bytes()),
                    Layer::Authcrypt => auth(&mut world, text.as_bytes(), &kid, &key),
                    _ => sign(text.as_bytes(), &world.aria.sign_kid, &world.aria.signing),
                };
                stacks.push((stack, text));
            }
        }
        from = until;
    }
    for (stack, text) in stacks.iter().skip(1) {
        match world.open(text) {
            Ok(found) => {
                assert_eq!(found.layers(), stack);
                opened += 1;
            }
            Err(error) => assert_eq!(error, OpenError::Envelope, "{stack:?}"),
        }
    }
    assert_eq!((stacks.len(), opened), (121, 6));
}

#[test]
fn check_7_the_signer_of_authcrypt_sign_is_the_sealer() {
    let mut world = World::new();
    let (kid, key) = (world.mallory.seal_kid.clone(), world.mallory.agreement.clone());
    // Mallory seals what Aria signed for Bruno.
    let plaintext = world.message().to_json();
    let signed = sign(&plaintext, &world.aria.sign_kid, &world.aria.signing);
    let envelope = auth(&mut world, signed.as_bytes(), &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
    // Aria seals what Mallory signed.
    let by_mallory = world.message().with_from(world.mallory.did.clone()).to_json();
    let signed = sign(&by_mallory, &world.mallory.sign_kid, &world.mallory.signing);
    let (kid, key) = (world.aria.seal_kid.clone(), world.aria.agreement.clone());
    let envelope = auth(&mut world, signed.as_bytes(), &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn check_8_a_signature_inside_encryption_needs_to() {
    let mut world = World::new();
    let message = world.message().with_to([]);
    let signed = sign(&message.to_json(), &world.aria.sign_kid, &world.aria.signing);
    assert!(world.open(&signed).is_ok(), "only SHOULD when it is not encrypted");
    let envelope = anon(&mut world, signed.as_bytes());
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::NotAddressed);
    let (kid, key) = (world.aria.seal_kid.clone(), world.aria.agreement.clone());
    let envelope = auth(&mut world, signed.as_bytes(), &kid, &key);
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::NotAddressed);
}

#[test]
fn check_9_unsafe_ephemeral_keys_are_refused() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let with_x = |x: &str| {
        world.open(&with_protected(&envelope, |header| header["epk"]["x"] = json!(x))).unwrap_err()
    };
    // 0, 1, p - 1, p, and the two of order eight.
    for low in [
        base64url([0; 32]),
        base64url([&[1][..], &[0; 31]].concat()),
        base64url([&[0xec][..], &[0xff; 30], &[0x7f]].concat()),
        base64url([&[0xed][..], &[0xff; 30], &[0x7f]].concat()),
        "4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA".to_owned(),
        "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc".to_owned(),
    ] {
        assert_eq!(with_x(&low), OpenError::Key, "{low}");
    }
    assert_eq!(with_x("AAAA"), OpenError::Key);
    let epk = |change: &dyn Fn(&mut Value)| {
        world.open(&with_protected(&envelope, |header| change(&mut header["epk"]))).unwrap_err()
    };
    assert_eq!(epk(&|epk| epk["crv"] = json!("P-256")), OpenError::Key);
    assert_eq!(epk(&|epk| epk["crv"] = json!("Ed25519")), OpenError::Key);
    assert_eq!(epk(&|epk| epk["kty"] = json!("EC")), OpenError::Key);
    assert_eq!(epk(&|epk| epk["d"] = epk["x"].clone()), OpenError::Key);
    assert_eq!(epk(&|epk| *epk = json!("x")), OpenError::Malformed);
}

#[test]
fn check_9_an_unsafe_key_in_a_document_is_not_used() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let mut text = world.aria.document.to_json();
    let zero = comity_didcomm::PublicKey::X25519([0; 32]).to_multibase();
    text["verificationMethod"][1]["publicKeyMultibase"] = json!(zero);
    world.aria.document = DidDocument::parse(text.to_string().as_bytes(), &world.aria.did).unwrap();
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::SenderMismatch);
}

#[test]
fn checks_10_and_12_only_the_algorithms_of_the_table() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let refused = |name: &str, value: &str| {
        world.open(&with_protected(&envelope, |header| header[name] = json!(value))).unwrap_err()
    };
    // ECDH-1PU goes with nothing but A256CBC-HS512.
    for enc in ["A256GCM", "XC20P", "A128CBC-HS256", "A128GCM", "none", "", "a256cbc-hs512"] {
        assert_eq!(refused("enc", enc), OpenError::Algorithm, "{enc}");
    }
    for alg in [
        "none",
        "dir",
        "RSA-OAEP",
        "A256KW",
        "ECDH-ES",
        "ECDH-ES+A128KW",
        "ECDH-ES+XC20PKW",
        "ECDH-1PU",
        "PBES2-HS256+A128KW",
        "ecdh-1pu+a256kw",
        "",
    ] {
        assert_eq!(refused("alg", alg), OpenError::Algorithm, "{alg}");
    }
    // The sender's key cannot be stripped from an authenticated envelope, nor added to an anonymous one.
    assert_eq!(refused("alg", "ECDH-ES+A256KW"), OpenError::Malformed);
    let anonymous = anon(&mut world, b"{}");
    let skid = world.aria.seal_kid.to_string();
    let added = with_protected(&anonymous, |header| header["skid"] = json!(skid));
    assert_eq!(world.open(&added).unwrap_err(), OpenError::Malformed);

    let plaintext = world.message().to_json();
    for alg in ["none", "HS256", "ES256", "ES256K", "RS256", "PS512", "Ed25519", "eddsa", ""] {
        let header = json!({ "alg": alg, "kid": world.aria.sign_kid });
        let text = jws(&plaintext, &header, None, &world.aria.signing).to_string();
        assert_eq!(world.open(&text).unwrap_err(), OpenError::Algorithm, "{alg}");
    }
    let header = json!({ "kid": world.aria.sign_kid });
    let text = jws(&plaintext, &header, Some(&json!({ "alg": "EdDSA" })), &world.aria.signing);
    assert_eq!(world.open(&text.to_string()).unwrap_err(), OpenError::Malformed);
}

#[test]
fn check_11_headers_that_demand_or_offer_too_much_are_refused() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let plaintext = world.message().to_json();
    let (aria, key) = (world.aria.sign_kid.clone(), world.aria.signing.clone());
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("jwk", json!(key.public().to_jwk())),
        ("jku", json!("https://mallory.example/keys")),
        ("x5u", json!("https://mallory.example/cert")),
        ("x5c", json!([])),
        ("x5t", json!("AA")),
        ("x5t#S256", json!("AA")),
        ("p2c", json!(1_000_000_000)),
        ("p2s", json!("AA")),
    ] {
        let in_jwe = with_protected(&envelope, |header| header[name] = value.clone());
        assert_eq!(world.open(&in_jwe).unwrap_err(), OpenError::UnsupportedHeader, "{name}");
        let in_recipient = changed(&envelope, |envelope| {
            envelope["recipients"][0]["header"][name] = value.clone();
        });
        assert_eq!(world.open(&in_recipient).unwrap_err(), OpenError::UnsupportedHeader, "{name}");
        let mut header = json!({ "alg": "EdDSA", "kid": aria });
        header[name] = value.clone();
        let in_jws = jws(&plaintext, &header, None, &key).to_string();
        assert_eq!(world.open(&in_jws).unwrap_err(), OpenError::UnsupportedHeader, "{name}");
        let mut unprotected = json!({});
        unprotected[name] = value;
        let plain = json!({ "alg": "EdDSA", "kid": aria });
        let in_jws = jws(&plaintext, &plain, Some(&unprotected), &key).to_string();
        assert_eq!(world.open(&in_jws).unwrap_err(), OpenError::UnsupportedHeader, "{name}");
    }
}

#[test]
fn check_13_a_rotation_needs_the_prior_dids_signature() {
    let mut world = World::new();
    let bruno = [world.bruno.recipient()];
    // Mallory claims to succeed Aria.
    let at = NOW;
    let (aria, mallory) = (&world.aria, &world.mallory);
    let tokens = [
        from_prior(&aria.sign_kid, &mallory.signing, Some(&mallory.did), at),
        from_prior(&aria.seal_kid, &aria.signing, Some(&mallory.did), at),
        from_prior(&aria.did.url("other"), &aria.signing, Some(&mallory.did), at),
        from_prior(&aria.sign_kid, &aria.signing, Some(&world.bruno.did), at),
        from_prior(&aria.sign_kid, &aria.signing, None, at),
        from_prior(&mallory.sign_kid, &mallory.signing, Some(&mallory.did), at),
        "a.b.c".to_owned(),
        String::new(),
    ];
    let mut message = world.message().with_from(world.mallory.did.clone());
    for token in tokens {
        message.from_prior = Some(token);
        let sealed = seal(&message, world.mallory.accountable(), &bruno, &mut world.rng).unwrap();
        assert_eq!(world.open(&sealed.envelope).unwrap_err(), OpenError::FromPrior);
    }
    // A good token, but not encrypted, or sent by nobody in particular.
    let successor = Some(&world.mallory.did);
    message.from_prior = Some(from_prior(&world.aria.sign_kid, &world.aria.signing, successor, at));
    let signed = sign(&message.to_json(), &world.mallory.sign_kid, &world.mallory.signing);
    assert_eq!(world.open(&signed).unwrap_err(), OpenError::FromPrior);
    let envelope = anon(&mut world, &message.to_json());
    assert_eq!(world.open(&envelope).unwrap_err(), OpenError::FromPrior);
    // The issuer cannot be resolved.
    let sealed = seal(&message, world.mallory.accountable(), &bruno, &mut world.rng).unwrap();
    let mallory = Arc::new(world.mallory.document.clone());
    let result = open(
        sealed.envelope.as_bytes(),
        &OpenPolicy::default(),
        NOW,
        &|_| Some(world.bruno.agreement.clone()),
        &|did| (*did == mallory.id).then(|| mallory.clone()),
    );
    assert_eq!(result.unwrap_err(), OpenError::DidUnresolvable);
}

#[test]
fn expired_and_future_messages_are_refused() {
    let mut world = World::new();
    let bruno = [world.bruno.recipient()];
    let mut open_with = |created: u64, expires: u64| {
        let message = world.message().with_times(Some(UnixTime(created)), Some(UnixTime(expires)));
        let sealed = seal(&message, world.aria.accountable(), &bruno, &mut world.rng).unwrap();
        world.open(&sealed.envelope).map(|_| ())
    };
    let now = NOW.0;
    assert_eq!(open_with(now, now + 1), Ok(()));
    assert_eq!(open_with(now - 9, now), Err(OpenError::Expired));
    assert_eq!(open_with(0, 0), Err(OpenError::Expired));
    assert_eq!(open_with(now + 300, now + 900), Ok(()));
    assert_eq!(open_with(now + 301, now + 900), Err(OpenError::NotYet));
    assert_eq!(open_with(u64::MAX, u64::MAX), Err(OpenError::NotYet));
}

#[test]
fn the_form_of_an_envelope_is_strict() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let refused =
        |text: &str| Opening::new(text.as_bytes(), &OpenPolicy::default(), NOW).err().unwrap();
    let change = |edit: &dyn Fn(&mut Value)| refused(&changed(&envelope, |value| edit(value)));
    for (name, value) in [
        ("unprotected", json!({})),
        ("header", json!({})),
        ("aad", json!("AA")),
        ("encrypted_key", json!("AA")),
        ("payload", json!("AA")),
        ("signatures", json!([])),
        ("protected", json!("")),
        ("protected", json!("e30")),
        ("protected", json!("e30=")),
        ("protected", json!(5)),
        ("recipients", json!({})),
        ("recipients", json!([1])),
        ("recipients", json!([{}])),
        ("iv", json!("?")),
        ("tag", json!(null)),
        ("ciphertext", json!("AAB")),
        ("ciphertext", json!("AA==")),
        ("ciphertext", json!("+/+/")),
    ] {
        let edit = |envelope: &mut Value| envelope[name] = value.clone();
        assert_eq!(change(&edit), OpenError::Malformed, "{name}: {value}");
    }
    for name in ["alg", "enc", "epk", "apv", "skid", "apu"] {
        let edit = |envelope: &mut Value| envelope["recipients"][0]["header"][name] = json!("x");
        assert_eq!(change(&edit), OpenError::Malformed, "{name}");
    }
    let typ = with_protected(&envelope, |header| header["typ"] = json!("JWT"));
    assert_eq!(refused(&typ), OpenError::Malformed);
    for text in ["", "[]", "{}", "null", "eyJ.eyJ.x.y.z", "{\"ciphertext\":1}", "{\"payload\":1}"] {
        assert_eq!(refused(text), OpenError::Malformed, "{text}");
    }
    let twice = envelope.replacen('{', "{\"tag\":\"AA\",", 1);
    assert_eq!(refused(&twice), OpenError::Malformed);
    assert_eq!(refused(&format!("{envelope} x")), OpenError::Malformed);
    let deep = format!("{{\"ciphertext\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(refused(&deep), OpenError::Malformed);
    assert_eq!(
        Opening::new(b"{\"id\":\"\xff\"}", &OpenPolicy::default(), NOW).err(),
        Some(OpenError::Malformed)
    );
}

#[test]
fn the_form_of_a_signature_is_strict() {
    let world = World::new();
    let plaintext = world.message().to_json();
    let header = json!({ "alg": "EdDSA", "kid": world.aria.sign_kid });
    let good = jws(&plaintext, &header, None, &world.aria.signing);
    let entry = good["signatures"][0].clone();
    let flattened = json!({
        "payload": good["payload"], "protected": entry["protected"], "signature": entry["signature"],
    });
    assert!(world.open(&good.to_string()).is_ok() && world.open(&flattened.to_string()).is_ok());
    let refused = |edit: &dyn Fn(&mut Value)| {
        let mut text = good.clone();
        edit(&mut text);
        world.open(&text.to_string()).unwrap_err()
    };
    assert_eq!(refused(&|jws| jws["payload"] = json!("")), OpenError::Malformed, "detached");
    assert_eq!(refused(&|jws| jws["signatures"] = json!([])), OpenError::Malformed);
    assert_eq!(refused(&|jws| jws["signatures"] = json!([entry, entry])), OpenError::Malformed);
    assert_eq!(refused(&|jws| jws["signature"] = json!("AA")), OpenError::Malformed, "both forms");
    assert_eq!(refused(&|jws| jws["signatures"][0]["signature"] = json!("")), OpenError::Crypto);
    let zero = base64url([0; 64]);
    assert_eq!(refused(&|jws| jws["signatures"][0]["signature"] = json!(zero)), OpenError::Crypto);
    let typed = json!({ "alg": "EdDSA", "kid": world.aria.sign_kid, "typ": "JWT" });
    let text = jws(&plaintext, &typed, None, &world.aria.signing).to_string();
    assert_eq!(world.open(&text).unwrap_err(), OpenError::Malformed, "made for another purpose");
    let twice = format!(
        "{{\"from\":\"{}\",{}",
        world.mallory.did,
        &String::from_utf8(plaintext).unwrap()[1..]
    );
    let text = jws(twice.as_bytes(), &header, None, &world.aria.signing).to_string();
    assert_eq!(world.open(&text).unwrap_err(), OpenError::Malformed, "two senders in one text");
}

#[test]
fn recipients_and_bytes_are_counted_before_any_work() {
    let one = json!({ "header": { "kid": "did:web:x.example#k" }, "encrypted_key": "AAAA" });
    let with = |count: usize| {
        let recipients = vec![one.clone(); count];
        json!({ "protected": "e30", "recipients": recipients, "iv": "", "ciphertext": "", "tag": "" })
            .to_string()
    };
    let refused =
        |text: &str, policy: &OpenPolicy| Opening::new(text.as_bytes(), policy, NOW).err().unwrap();
    let mut policy = OpenPolicy::default();
    assert_eq!(refused(&with(65), &policy), OpenError::TooManyRecipients);
    assert_eq!(refused(&with(64), &policy), OpenError::Malformed);
    assert_eq!(refused(&with(10_000), &policy), OpenError::TooManyRecipients);
    // A hundred thousand in a whole megabyte: read, counted, and nothing more.
    let many = format!(
        r#"{{"protected":"e30","recipients":[{}{{}}],"iv":"","ciphertext":"","tag":""}}"#,
        "{},".repeat(99_999)
    );
    assert_eq!(refused(&many, &policy), OpenError::TooManyRecipients);
    policy.recipients_max = usize::MAX;
    assert_eq!(refused(&with(65), &policy), OpenError::TooManyRecipients);
    policy.envelope_bytes_max = 100;
    assert_eq!(refused(&with(1), &policy), OpenError::TooLarge);
    policy.envelope_bytes_max = usize::MAX;
    let large = " ".repeat(1024 * 1024 + 1);
    assert_eq!(refused(&large, &policy), OpenError::TooLarge);
}

#[test]
fn every_changed_character_of_an_envelope_is_refused() {
    let mut world = World::new();
    let message = world.message();
    let bruno = [world.bruno.recipient()];
    let anonymous = Protection::Anonymous { enc: ContentEncryption::XC20P };
    let envelopes = [
        seal(&message, world.aria.accountable(), &bruno, &mut world.rng).unwrap().envelope,
        seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap().envelope,
        seal(&message, anonymous, &bruno, &mut world.rng).unwrap().envelope,
    ];
    for envelope in envelopes {
        for at in 0..envelope.len() {
            let mut bytes = envelope.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(world.open(&text).is_err(), "position {at}");
        }
    }
}

#[test]
fn no_key_of_the_envelope_is_tried_that_was_not_asked_for() {
    let mut world = World::new();
    let envelope = sealed(&mut world);
    let result = open(envelope.as_bytes(), &OpenPolicy::default(), NOW, &|_| None, &|_| {
        panic!("nothing is resolved for a message that is not for us")
    });
    assert_eq!(result.unwrap_err(), OpenError::UnknownRecipient);
}

#[test]
fn every_spoofed_pairing_of_names_is_refused() {
    let mut world = World::new();
    let names = |world: &World| -> Vec<(Did, DidUrl, DidUrl)> {
        [&world.aria, &world.bruno, &world.mallory]
            .map(|party: &Party| {
                (party.did.clone(), party.sign_kid.clone(), party.seal_kid.clone())
            })
            .into()
    };
    let names = names(&world);
    let (signing, agreement) = (world.mallory.signing.clone(), world.mallory.agreement.clone());
    // Mallory, with her own keys, under every combination of names: only her own go through.
    for (from, ..) in &names {
        for (_, sign_kid, _) in &names {
            for (_, _, seal_kid) in &names {
                let message = world.message().with_from(from.clone());
                let signed = sign(&message.to_json(), sign_kid, &signing);
                let hers = *from == world.mallory.did;
                let signed_by_her = hers && *sign_kid == world.mallory.sign_kid;
                let sealed_by_her = hers && *seal_kid == world.mallory.seal_kid;
                let envelope = anon(&mut world, signed.as_bytes());
                assert_eq!(world.open(&envelope).is_ok(), signed_by_her);
                let envelope = auth(&mut world, &message.to_json(), seal_kid, &agreement);
                assert_eq!(world.open(&envelope).is_ok(), sealed_by_her);
                let hidden = anon(&mut world, envelope.as_bytes());
                assert_eq!(world.open(&hidden).is_ok(), sealed_by_her);
                let envelope = auth(&mut world, signed.as_bytes(), seal_kid, &agreement);
                assert_eq!(world.open(&envelope).is_ok(), signed_by_her && sealed_by_her);
            }
        }
    }
}
