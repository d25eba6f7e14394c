//! What is sealed opens, in every mode, and says what it should about the sender.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "parties/parties.rs"]
mod parties;

use std::sync::Arc;

use comity_didcomm::{
    AgreementCache, Choice, ContentEncryption, Did, Endpoint, Input, Layer, Message, OpenError,
    OpenPolicy, Opening, Output, Protection, SealError, SenderProof, anoncrypt, authcrypt, did,
    from_prior, open, resolve_self_contained, seal, sign, verify_jws,
};
use parties::{NOW, World};

const ALL_ENC: [ContentEncryption; 3] =
    [ContentEncryption::A256CbcHs512, ContentEncryption::A256Gcm, ContentEncryption::XC20P];

#[test]
fn accountable_messages_prove_their_sender_to_everybody() {
    for enc in ALL_ENC {
        let mut world = World::new();
        let message = world.message();
        let protection =
            Protection::Accountable { kid: &world.aria.sign_kid, key: &world.aria.signing, enc };
        let sealed =
            seal(&message, protection, &[world.bruno.recipient()], &mut world.rng).unwrap();
        let opened = world.open(&sealed.envelope).unwrap();
        assert_eq!(opened.message, message);
        assert_eq!(opened.plaintext(), sealed.plaintext);
        assert_eq!(opened.layers(), [Layer::Anoncrypt, Layer::Signed]);
        assert_eq!(opened.recipient_kid(), Some(&world.bruno.seal_kid));
        let sender = opened.sender().unwrap();
        assert_eq!((sender.did(), sender.kid()), (&world.aria.did, &world.aria.sign_kid));
        assert_eq!(sender.proof(), SenderProof::Signature);
        assert_eq!(**opened.sender_document().unwrap(), world.aria.document);

        assert_eq!(opened.signed(), sealed.signed.as_deref());
        let evidence = verify_jws(opened.signed().unwrap().as_bytes(), &world.aria.document);
        assert_eq!(evidence.unwrap().payload, sealed.plaintext);
    }
}

#[test]
fn deniable_messages_prove_their_sender_to_the_recipient_only() {
    let mut world = World::new();
    let message = world.message();
    let sealed =
        seal(&message, world.aria.deniable(), &[world.bruno.recipient()], &mut world.rng).unwrap();
    let opened = world.open(&sealed.envelope).unwrap();
    assert_eq!((opened.message.clone(), opened.signed()), (message, None));
    let sender = opened.sender().unwrap();
    assert_eq!((sender.did(), sender.kid()), (&world.aria.did, &world.aria.seal_kid));
    assert_eq!(
        (sender.proof(), opened.layers()),
        (SenderProof::Authcrypt, &[Layer::Authcrypt][..])
    );
}

#[test]
fn anonymous_messages_prove_nobody() {
    for enc in ALL_ENC {
        let mut world = World::new();
        let message = world.message();
        let recipients = [world.bruno.recipient()];
        let sealed =
            seal(&message, Protection::Anonymous { enc }, &recipients, &mut world.rng).unwrap();
        let opened = world.open(&sealed.envelope).unwrap();
        assert!(opened.message.from.is_some(), "a claim, and nothing more");
        assert!(opened.sender().is_none() && opened.sender_document().is_none());
    }
}

#[test]
fn the_other_legal_nestings_open() {
    let mut world = World::new();
    let plaintext = world.message().to_json();
    let to_bruno = [world.bruno.recipient()];
    let enc = ContentEncryption::A256Gcm;

    let signed = sign(&plaintext, &world.aria.sign_kid, &world.aria.signing);
    let opened = world.open(&signed).unwrap();
    assert_eq!((opened.layers(), opened.recipient_kid()), (&[Layer::Signed][..], None));

    let (kid, key) = (world.aria.seal_kid.clone(), world.aria.agreement.clone());
    let both = authcrypt(signed.as_bytes(), &kid, &key, &to_bruno, &mut world.rng).unwrap();
    let opened = world.open(&both).unwrap();
    assert_eq!(opened.layers(), [Layer::Authcrypt, Layer::Signed]);
    assert_eq!(opened.sender().unwrap().proof(), SenderProof::Signature);

    let inner = authcrypt(&plaintext, &kid, &key, &to_bruno, &mut world.rng).unwrap();
    let hidden = anoncrypt(inner.as_bytes(), &to_bruno, enc, &mut world.rng).unwrap();
    let opened = world.open(&hidden).unwrap();
    assert_eq!(opened.layers(), [Layer::Anoncrypt, Layer::Authcrypt]);
    assert_eq!(opened.sender().unwrap().kid(), &kid);
}

#[test]
fn a_bare_plaintext_opens_only_by_policy_and_without_sender() {
    let world = World::new();
    let text = String::from_utf8(world.message().to_json()).unwrap();
    assert_eq!(world.open(&text).unwrap_err(), OpenError::Unprotected);
    let mut policy = OpenPolicy::default();
    policy.unprotected = Choice::Accept;
    let opened = world.open_as(&world.bruno, &text, &policy).unwrap();
    assert!(opened.sender().is_none() && opened.layers().is_empty());
}

#[test]
fn every_recipient_of_a_shared_envelope_opens_it() {
    let mut world = World::new();
    let message = world.message().with_to([world.bruno.did.clone(), world.mallory.did.clone()]);
    let recipients = [world.mallory.recipient(), world.bruno.recipient()];
    for protection in [world.aria.accountable(), world.aria.deniable()] {
        let sealed = seal(&message, protection, &recipients, &mut world.rng).unwrap();
        for party in [&world.bruno, &world.mallory] {
            let opened = world.open_as(party, &sealed.envelope, &OpenPolicy::default()).unwrap();
            assert_eq!(opened.recipient_kid(), Some(&party.seal_kid));
        }
        let aria = world.open_as(&world.aria, &sealed.envelope, &OpenPolicy::default());
        assert_eq!(aria.unwrap_err(), OpenError::UnknownRecipient);
    }
}

#[test]
fn the_machine_asks_in_order_and_repeats_its_questions() {
    let mut world = World::new();
    let sealed = seal(
        &world.message(),
        world.aria.accountable(),
        &[world.bruno.recipient()],
        &mut world.rng,
    )
    .unwrap();
    let mut opening =
        Opening::new(sealed.envelope.as_bytes(), &OpenPolicy::default(), NOW).unwrap();
    let outline = opening.outline();
    assert_eq!(outline.layer, Some(Layer::Anoncrypt));
    assert_eq!(outline.recipients, std::slice::from_ref(&world.bruno.seal_kid));

    for _ in 0..2 {
        let Ok(Output::Keys(kids)) = opening.poll_output() else { panic!("asks for keys") };
        assert_eq!(kids, std::slice::from_ref(&world.bruno.seal_kid));
    }
    opening.handle_input(Input::Document(Arc::new(world.aria.document.clone())));
    assert!(matches!(opening.poll_output(), Ok(Output::Keys(_))), "that was no answer");
    opening.handle_input(Input::Keys(vec![(
        world.bruno.seal_kid.clone(),
        world.bruno.agreement.clone(),
    )]));
    let Ok(Output::Resolve(did)) = opening.poll_output() else { panic!("asks for the signer") };
    assert_eq!(did, world.aria.did);
    opening.handle_input(Input::Document(Arc::new(world.mallory.document.clone())));
    assert!(matches!(opening.poll_output(), Ok(Output::Resolve(_))), "somebody else's document");
    opening.handle_input(Input::Document(Arc::new(world.aria.document.clone())));
    assert!(matches!(opening.poll_output(), Ok(Output::Done(_))));
    assert_eq!(opening.poll_output().unwrap_err(), OpenError::AlreadyOpened);
}

#[test]
fn an_error_stays() {
    let mut world = World::new();
    let recipients = [world.bruno.recipient()];
    let sealed =
        seal(&world.message(), world.aria.deniable(), &recipients, &mut world.rng).unwrap();
    let mut opening =
        Opening::new(sealed.envelope.as_bytes(), &OpenPolicy::default(), NOW).unwrap();
    opening.handle_input(Input::Keys(Vec::new()));
    assert_eq!(opening.poll_output().unwrap_err(), OpenError::UnknownRecipient);
    opening.handle_input(Input::Keys(vec![(
        world.bruno.seal_kid.clone(),
        world.bruno.agreement.clone(),
    )]));
    assert_eq!(opening.poll_output().unwrap_err(), OpenError::UnknownRecipient);
}

#[test]
fn both_forms_of_a_peer_did_are_one_sender() {
    let mut world = World::new();
    let keys = [world.aria.signing.public(), world.aria.agreement.public()];
    let peer = did::peer::create_4(&keys, &[Endpoint::new("https://a.example")]).unwrap();
    let of_long = Arc::new(resolve_self_contained(&peer.long).unwrap().unwrap());
    let of_short = Arc::new(did::peer::resolve_short(&peer.long).unwrap());
    let bruno = [world.bruno.recipient()];
    // Every pair of forms in `from` and in the key id, with either document.
    for from in [&peer.long, &peer.short] {
        for kid_did in [&peer.long, &peer.short] {
            for document in [&of_long, &of_short] {
                let message = world.message().with_from(from.clone());
                let (sign_kid, seal_kid) = (kid_did.url("key-1"), kid_did.url("key-2"));
                let accountable = Protection::Accountable {
                    kid: &sign_kid,
                    key: &world.aria.signing,
                    enc: ContentEncryption::A256Gcm,
                };
                let deniable = Protection::Deniable { kid: &seal_kid, key: &world.aria.agreement };
                for protection in [accountable, deniable] {
                    let sealed = seal(&message, protection, &bruno, &mut world.rng).unwrap();
                    let opened = open(
                        sealed.envelope.as_bytes(),
                        &OpenPolicy::default(),
                        NOW,
                        &|_| Some(world.bruno.agreement.clone()),
                        &|_| Some(document.clone()),
                    )
                    .unwrap();
                    assert_eq!(opened.sender().unwrap().did(), from);
                }
            }
        }
    }
}

#[test]
fn a_rotation_is_proved_by_the_prior_did() {
    let mut world = World::new();
    let at = NOW.saturating_sub(5);
    let mut message = world.message().with_from(world.mallory.did.clone());
    let successor = Some(&world.mallory.did);
    message.from_prior = Some(from_prior(&world.aria.sign_kid, &world.aria.signing, successor, at));
    let recipients = [world.bruno.recipient()];
    let sealed = seal(&message, world.mallory.accountable(), &recipients, &mut world.rng).unwrap();
    let opened = world.open(&sealed.envelope).unwrap();
    let rotation = opened.rotation().unwrap();
    assert_eq!((rotation.prior(), rotation.successor()), (&world.aria.did, successor));
    assert_eq!((rotation.at(), rotation.kid()), (at, &world.aria.sign_kid));

    // The end of a relation has neither `sub` nor `from`.
    message.from = None;
    message.from_prior = Some(from_prior(&world.aria.sign_kid, &world.aria.signing, None, at));
    let protection = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
    let sealed = seal(&message, protection, &recipients, &mut world.rng).unwrap();
    let opened = world.open(&sealed.envelope).unwrap();
    assert_eq!(opened.rotation().unwrap().successor(), None);
    assert!(opened.sender().is_none());
}

#[test]
fn what_receivers_would_refuse_is_not_sealed() {
    let world = World::new();
    let bruno = [world.bruno.recipient()];
    let sealed = |message: &Message, protection: Protection<'_>, recipients: &[_]| {
        let mut rng = World::new().rng;
        seal(message, protection, recipients, &mut rng).map(|_| ())
    };
    let message = world.message();
    let aria = || world.aria.accountable();
    assert_eq!(sealed(&message, world.mallory.accountable(), &bruno), Err(SealError::From));
    assert_eq!(sealed(&message, world.mallory.deniable(), &bruno), Err(SealError::From));
    assert_eq!(sealed(&message.clone().with_to([]), aria(), &bruno), Err(SealError::To));
    assert_eq!(sealed(&message, aria(), &[]), Err(SealError::Recipients));
    let twice = [world.bruno.recipient(), world.bruno.recipient()];
    assert_eq!(sealed(&message, aria(), &twice), Err(SealError::Recipients));
    let many: Vec<_> = (0..65)
        .map(|n| (world.bruno.did.url(&format!("k{n}")), world.bruno.agreement.public()))
        .collect();
    assert_eq!(sealed(&message, aria(), &many), Err(SealError::Recipients));
    let mallory = [world.mallory.recipient()];
    assert_eq!(sealed(&message, aria(), &mallory), Err(SealError::Addressee));
    let wrong_kind = [(world.bruno.seal_kid.clone(), world.bruno.signing.public())];
    assert_eq!(sealed(&message, aria(), &wrong_kind), Err(SealError::RecipientKey));
    let low_order = [(world.bruno.seal_kid.clone(), comity_didcomm::PublicKey::X25519([0; 32]))];
    assert_eq!(sealed(&message, aria(), &low_order), Err(SealError::RecipientKey));
    let no_fragment = [(world.bruno.did.clone().into(), world.bruno.agreement.public())];
    assert_eq!(sealed(&message, aria(), &no_fragment), Err(SealError::KeyId));
    let bad_thread = message.clone().with_thid("no such / thread");
    assert!(matches!(sealed(&bad_thread, aria(), &bruno), Err(SealError::Message(_))));
    let large = message.clone().with_body_member("x", "y".repeat(800_000));
    assert_eq!(sealed(&large, aria(), &bruno), Err(SealError::TooLarge));
    let stranger = Did::parse("did:web:stranger.example").unwrap();
    assert_eq!(sealed(&message.with_from(stranger), aria(), &bruno), Err(SealError::From));
}

#[test]
fn a_cache_of_agreements_changes_nothing_and_fills_only_with_proved_senders() {
    let mut world = World::new();
    let (sending, receiving) = (cache(), cache());
    world.aria.agreement = world.aria.agreement.clone().with_cache(sending.clone());
    world.bruno.agreement = world.bruno.agreement.clone().with_cache(receiving.clone());
    let bruno = [world.bruno.recipient()];
    // Mallory claims Aria's key id; what Bruno computes for it is not kept.
    let (kid, key) = (world.aria.seal_kid.clone(), world.mallory.agreement.clone());
    let forged = authcrypt(b"{}", &kid, &key, &bruno, &mut world.rng).unwrap();
    assert_eq!(world.open(&forged).unwrap_err(), OpenError::Crypto);
    assert!(receiving.is_empty());

    let message = world.message();
    for _ in 0..3 {
        let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap();
        assert_eq!(world.open(&sealed.envelope).unwrap().message, message);
        assert_eq!((sending.len(), receiving.len()), (1, 1));
    }
    // With the right secret at hand, a forgery is refused as before.
    assert_eq!(world.open(&forged).unwrap_err(), OpenError::Crypto);
    // Anonymous encryption has only an ephemeral agreement, which is never kept.
    let anonymous = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
    let sealed = seal(&message, anonymous, &bruno, &mut world.rng).unwrap();
    assert!(world.open(&sealed.envelope).is_ok());
    assert_eq!((sending.len(), receiving.len()), (1, 1));
}

#[test]
fn authcrypt_to_a_key_that_others_have_proves_nothing_and_is_refused() {
    // Whoever has Bruno's private key computes what Aria would compute with hers.
    let mut world = World::new();
    world.bruno.agreement = world.bruno.agreement.clone().compromised();
    let bruno = [world.bruno.recipient()];
    let message = world.message();
    let sealed = seal(&message, world.aria.deniable(), &bruno, &mut world.rng).unwrap().envelope;
    assert_eq!(world.open(&sealed).unwrap_err(), OpenError::UnknownRecipient);
    let enc = ContentEncryption::A256Gcm;
    let hidden = anoncrypt(sealed.as_bytes(), &bruno, enc, &mut world.rng).unwrap();
    assert_eq!(world.open(&hidden).unwrap_err(), OpenError::UnknownRecipient);
    // A signature is Aria's whoever reads it.
    let signed = seal(&message, world.aria.accountable(), &bruno, &mut world.rng).unwrap();
    assert!(world.open(&signed.envelope).unwrap().sender().is_some());
}

fn cache() -> Arc<AgreementCache> {
    Arc::new(AgreementCache::new(8))
}
