//! The `from_prior` token: verified offline, and in either form of a did:peer:4.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "parties/parties.rs"]
mod parties;

use std::sync::Arc;

use comity_didcomm::{
    OpenError, OpenPolicy, Protection, did, from_prior, open, resolve_self_contained, seal,
    verify_from_prior,
};
use parties::{NOW, World};

#[test]
fn a_rotation_is_verified_offline() {
    let world = World::new();
    let (kid, key) = (&world.aria.sign_kid, &world.aria.signing);
    for successor in [None, Some(&world.bruno.did)] {
        let token = from_prior(kid, key, successor, NOW);
        let rotation = verify_from_prior(&token, &world.aria.document).unwrap();
        assert_eq!((rotation.prior(), rotation.successor()), (&world.aria.did, successor));
        assert_eq!((rotation.at(), rotation.kid()), (NOW, kid));
        for document in [&world.bruno.document, &world.mallory.document] {
            assert_eq!(verify_from_prior(&token, document), Err(OpenError::FromPrior));
        }
        let changed = token.replacen("ey", "ez", 1);
        for bad in [changed, format!("{token}.{token}"), "x".repeat(1 << 20), String::new()] {
            assert_eq!(verify_from_prior(&bad, &world.aria.document), Err(OpenError::FromPrior));
        }
    }
}

#[test]
fn a_rotation_to_either_form_of_a_peer_did_is_announced_by_either() {
    let mut world = World::new();
    let (signing, agreement) = (&world.bruno.signing, &world.bruno.agreement);
    let peer = did::peer::create_4(&[signing.public(), agreement.public()], &[]).unwrap();
    let document = resolve_self_contained(&peer.long).unwrap().map(Arc::new).unwrap();
    for (sub, from) in [(&peer.long, &peer.short), (&peer.short, &peer.long)] {
        let mut message =
            world.message().with_from(from.clone()).with_to([world.mallory.did.clone()]);
        message.from_prior =
            Some(from_prior(&world.aria.sign_kid, &world.aria.signing, Some(sub), NOW));
        let kid = from.url("key-2");
        let protection = Protection::Deniable { kid: &kid, key: agreement };
        let sealed =
            seal(&message, protection, &[world.mallory.recipient()], &mut world.rng).unwrap();
        let documents = world.documents();
        let opened = open(
            sealed.envelope.as_bytes(),
            &OpenPolicy::default(),
            NOW,
            &|kid| (*kid == world.mallory.seal_kid).then(|| world.mallory.agreement.clone()),
            &|did| documents.get(did).cloned().or_else(|| Some(Arc::clone(&document))),
        );
        assert_eq!(opened.unwrap().rotation().unwrap().successor(), Some(sub));
    }
}
