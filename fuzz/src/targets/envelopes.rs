//! Envelopes: from outside, and from inside a layer that is sound, where a forger with keys of his own begins.

use comity_didcomm::{
    ContentEncryption, Layer, Opened, SenderProof, anoncrypt, authcrypt, limits, verify_jws,
};
use serde_json::{Value, json};

use super::{
    Verdict,
    parties::{NOW, World},
};

/// Encrypted envelopes as they come from the network.
///
/// Nobody here can encrypt, so what opens as encrypted is one of the seeds with other white space or order, and says
/// what the seed says.
pub(super) fn jwe(data: &[u8]) -> Verdict {
    let world = World::new();
    if let Ok(opening) = comity_didcomm::Opening::new(data, &Default::default(), NOW) {
        let outline = opening.outline();
        assert!(outline.recipients.len() <= limits::RECIPIENTS_MAX);
    }
    let Ok(opened) = world.open(data) else {
        return Verdict::Refused;
    };
    check(&world, &opened);
    if !is_encrypted(&opened) {
        return Verdict::Refused;
    }
    assert_eq!(opened.message, world.letter(), "no other message was ever encrypted");
    Verdict::Accepted
}

/// Signed envelopes as they come from the network: nobody here can sign as Aria.
pub(super) fn jws(data: &[u8]) -> Verdict {
    let world = World::new();
    let verified = verify_jws(data, &world.aria.document);
    if let Ok(verified) = &verified {
        assert_eq!(verified.payload, world.letter().to_json(), "no other text was ever signed");
        assert_eq!(verified.kid, world.aria.sign_kid);
    }
    let opened = world.open(data);
    if let Ok(opened) = &opened {
        check(&world, opened);
    }
    match (verified, opened) {
        // The seeds are addressed to Bruno and not yet expired, so both readers agree.
        (Ok(_), opened) => {
            assert_eq!(opened.expect("verified and for us").message, world.letter());
            Verdict::Accepted
        }
        (Err(_), _) => Verdict::Refused,
    }
}

/// What somebody hides in a layer that tells nothing about him.
pub(super) fn inside_anoncrypt(data: &[u8]) -> Verdict {
    let world = World::new();
    let to = [world.bruno.recipient()];
    let Ok(envelope) = anoncrypt(data, &to, ContentEncryption::A256Gcm, &mut World::rng()) else {
        return Verdict::Refused;
    };
    let Ok(opened) = world.open(envelope.as_bytes()) else {
        return Verdict::Refused;
    };
    assert_eq!(opened.layers().first(), Some(&Layer::Anoncrypt));
    check(&world, &opened);
    Verdict::Accepted
}

/// What Mallory says under her own name: she is the sender, whatever is inside.
pub(super) fn inside_authcrypt(data: &[u8]) -> Verdict {
    let world = World::new();
    let (kid, key, to) =
        (&world.mallory.seal_kid, &world.mallory.agreement, [world.bruno.recipient()]);
    let Ok(envelope) = authcrypt(data, kid, key, &to, &mut World::rng()) else {
        return Verdict::Refused;
    };
    let Ok(opened) = world.open(envelope.as_bytes()) else {
        return Verdict::Refused;
    };
    check(&world, &opened);
    let sender = opened.sender().expect("authcrypt has one");
    assert_eq!(*sender.did(), world.mallory.did);
    Verdict::Accepted
}

/// The token by which a prior DID names its successor, in a message of that successor.
pub(super) fn from_prior(data: &[u8]) -> Verdict {
    let world = World::new();
    let Ok(token) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let message = json!({ "id": "1", "type": "https://a.example/b/1.0/c", "body": {}, "from": world.mallory.did,
        "to": [world.bruno.did], "from_prior": token });
    match inside_authcrypt(message.to_string().as_bytes()) {
        Verdict::Accepted if token.is_empty() => Verdict::Refused,
        verdict => verdict,
    }
}

/// What holds for everything that opens.
fn check(world: &World, opened: &Opened) {
    let layers = opened.layers();
    assert!(layers.len() <= limits::LAYERS_MAX);
    let legal: [&[Layer]; 7] = [
        &[],
        &[Layer::Signed],
        &[Layer::Anoncrypt],
        &[Layer::Authcrypt],
        &[Layer::Anoncrypt, Layer::Signed],
        &[Layer::Authcrypt, Layer::Signed],
        &[Layer::Anoncrypt, Layer::Authcrypt],
    ];
    assert!(legal.contains(&layers), "{layers:?} is not in the specification's table");
    assert_eq!(opened.signed().is_some(), layers.contains(&Layer::Signed));
    assert_eq!(opened.recipient_kid().is_some(), is_encrypted(opened));

    let proved = layers.iter().any(|layer| matches!(layer, Layer::Signed | Layer::Authcrypt));
    assert_eq!(opened.sender().is_some(), proved);
    if let Some(sender) = opened.sender() {
        assert_eq!(opened.message.from.as_ref(), Some(sender.did()));
        // Nobody but Aria has her keys, and she has written one letter.
        if *sender.did() == world.aria.did {
            assert_eq!(opened.message, world.letter());
        }
        if sender.proof() == SenderProof::Signature {
            let document = opened.sender_document().expect("it was verified by one");
            let signed = opened.signed().expect("it is signed");
            let evidence = verify_jws(signed.as_bytes(), document).expect("evidence verifies");
            assert_eq!(evidence.payload, opened.plaintext());
        }
    }
    if let Some(rotation) = opened.rotation() {
        let sender = opened.sender().expect("a rotation comes with a proved sender");
        if let Some(successor) = rotation.successor() {
            assert_eq!(successor, sender.did());
            assert_ne!(successor, rotation.prior());
        }
        // Aria has named Mallory as her successor once; nobody else has a prior DID but by his own keys.
        if *rotation.prior() == world.aria.did {
            assert_eq!((rotation.successor(), rotation.at()), (Some(&world.mallory.did), NOW));
        }
    }
    // The bytes that receipts quote are those of the message.
    let plaintext: Value = serde_json::from_slice(opened.plaintext()).expect("plaintext is JSON");
    assert_eq!(plaintext["id"], opened.message.id.as_str());
}

fn is_encrypted(opened: &Opened) -> bool {
    opened.layers().iter().any(|layer| matches!(layer, Layer::Anoncrypt | Layer::Authcrypt))
}
