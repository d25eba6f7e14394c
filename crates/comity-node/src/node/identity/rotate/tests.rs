//! Which keys stay where for how long, and that a log goes on as the next version of itself.

use comity_core::limits::EXPIRES_S_MAX;
use comity_didcomm::did::webvh::Select;
use comity_didcomm::{
    ContentEncryption, Did, Message, OpenError, OpenPolicy, Protection, PublicKey, did, open, seal,
};

use super::super::document_for;
use super::*;
use crate::identities::{Age, Identities};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn at(secs: u64) -> UnixTime {
    NOW.saturating_add(secs)
}

fn stored() -> Stored {
    let did: Did = "did:web:a.example:agents:aria".parse().unwrap();
    let keys = Keys::generate();
    let document = document_for(did.clone(), &keys, "https://a.example", None);
    let record = AgentRecord {
        name: "aria".to_owned(),
        published: Published::new(did, document.to_json()),
        token_digest: String::new(),
        added_at: NOW,
    };
    Stored { record: Record::Agent(record), document, keys, log: None }
}

fn rotated(stored: Stored, reason: Reason, now: UnixTime) -> Stored {
    let changed = stored.rotated(reason, Keys::generate(), now).unwrap();
    assert!(changed.document_changed);
    taken_over(changed)
}

/// What the next reading of the store gives.
fn taken_over(changed: Changed) -> Stored {
    let mut stored = changed.stored;
    stored.record.published_mut().document = stored.document.to_json();
    stored
}

fn fragments<'a>(keys: impl Iterator<Item = (&'a DidUrl, &'a PublicKey)>) -> Vec<&'a str> {
    keys.map(|(kid, _)| kid.fragment().unwrap()).collect()
}

fn numbers(stored: &Stored) -> Vec<u32> {
    stored.keys.retired.iter().map(|retired| retired.number).collect()
}

#[test]
fn new_keys_come_first_and_former_ones_stay_for_what_is_under_way() {
    let before = stored();
    let former = before.keys.agreement.public();
    let after = rotated(before, Reason::Routine, NOW);
    assert_eq!(fragments(after.document.signing_keys()), ["key-3", "key-1"]);
    assert_eq!(fragments(after.document.agreement_keys()), ["key-4", "key-2"]);
    assert_eq!(after.document.signing_keys().next().unwrap().1, &after.keys.signing.public());
    assert_eq!(after.document.agreement_keys().next().unwrap().1, &after.keys.agreement.public());
    assert_eq!((numbers(&after), after.keys.retired[0].key.public()), (vec![2], former));
    assert_eq!(after.document.didcomm_endpoints().len(), 1);
}

#[test]
fn former_keys_leave_the_document_when_no_message_can_need_them_and_later_the_keystore() {
    let after = rotated(stored(), Reason::Routine, NOW);
    let longest = at(EXPIRES_S_MAX);
    let still = after.tidied(longest);
    assert!(!still.document_changed, "a message that was signed at the last moment is valid");
    let gone = taken_over(still).tidied(at(KEY_LEAVES_AFTER_S));
    assert!(gone.document_changed);
    let gone = taken_over(gone);
    assert_eq!(fragments(gone.document.signing_keys()), ["key-3"]);
    assert_eq!(fragments(gone.document.agreement_keys()), ["key-4"]);
    assert_eq!(numbers(&gone), [2], "somebody may have sealed to it until now");
    let later = gone.tidied(at(KEY_LEAVES_AFTER_S + EXPIRES_S_MAX));
    let last = taken_over(later).tidied(at(KEY_RETIRED_FOR_S));
    assert!(!last.document_changed);
    assert!(last.stored.keys.retired.is_empty());
}

#[test]
fn compromised_keys_leave_at_once_but_still_open_what_was_sealed_to_them() {
    let twice = rotated(rotated(stored(), Reason::Routine, NOW), Reason::Compromised, at(1));
    assert_eq!(fragments(twice.document.signing_keys()), ["key-5"]);
    assert_eq!(fragments(twice.document.agreement_keys()), ["key-6"]);
    assert_eq!(twice.document.verification_method.len(), 2);
    assert_eq!(numbers(&twice), [2, 4]);
    assert!(twice.keys.retired.iter().all(|retired| retired.is_compromised));
}

#[test]
fn keys_that_others_have_are_replaced_however_many_there_were() {
    // Who had changed keys each day for two months was told to wait.
    let mut agent = stored();
    for number in 0..60 {
        let key = Keys::generate().agreement;
        let (until, is_compromised) = (at(KEY_RETIRED_FOR_S), false);
        agent.keys.retired.push(RetiredKey { number, until, key, is_compromised });
    }
    assert_eq!(agent.keys.retired.len(), KEYS_LEAVING_MAX);
    let agent = rotated(agent, Reason::Compromised, NOW);
    assert_eq!(fragments(agent.document.agreement_keys()), ["key-4"]);
    assert_eq!((agent.keys.retired.len(), numbers(&agent)[0]), (KEYS_LEAVING_MAX, 1));
    assert!(agent.rotated(Reason::Routine, Keys::generate(), NOW).is_none());
}

#[test]
fn who_stole_an_agreement_key_cannot_write_to_its_agent_in_anybodys_name() {
    // The secret that proves the sender of authcrypt is as well computed from the recipient's
    // private and the sender's public key, and the stolen key opened messages for 62 days.
    let before = stored();
    let (kid, stolen) =
        (before.record.published().did.url("key-2"), before.keys.agreement.public());
    let after = rotated(before, Reason::Compromised, NOW);
    let home = Identities::default();
    let Record::Agent(record) = after.record else { panic!("it is an agent") };
    let aria = agent_identity(record, (after.document, after.keys, None)).unwrap();
    let aria = home.insert(aria);

    let bruno = SigningKey::generate(&mut rand::rng());
    let did = did::key::create(&bruno.public());
    let document = Arc::new(did::key::resolve(&did).unwrap());
    let message =
        Message::new("m-1".parse().unwrap(), "https://a.example/x/1.0/y".parse().unwrap())
            .with_from(did)
            .with_to([aria.did.clone()]);
    let opened_at = |protection: Protection<'_>, age: Age| {
        let to = [(kid.clone(), stolen)];
        let sealed = seal(&message, protection, &to, &mut rand::rng()).unwrap();
        let keys =
            |kid: &DidUrl| Some(home.agreement_keys(std::slice::from_ref(kid), age).pop()?.1);
        let documents = |_: &Did| Some(Arc::clone(&document));
        open(sealed.envelope.as_bytes(), &OpenPolicy::default(), NOW, &keys, &documents).map(drop)
    };
    let skid = document.agreement_keys().next().unwrap().0;
    let own = bruno.to_agreement().unwrap();
    let authcrypt = || Protection::Deniable { kid: skid, key: &own };
    assert_eq!(opened_at(authcrypt(), Age::Arriving), Err(OpenError::UnknownRecipient));
    assert_eq!(opened_at(authcrypt(), Age::Accepted), Ok(()), "it was good when it came");
    let kid = document.signing_keys().next().unwrap().0;
    let signed = Protection::Accountable { kid, key: &bruno, enc: ContentEncryption::default() };
    assert_eq!(opened_at(signed, Age::Arriving), Ok(()));
}

#[test]
fn key_ids_are_never_used_again_and_former_keys_are_bounded() {
    let mut agent = stored();
    let mut seen = Vec::new();
    let mut rounds = 0_u64;
    loop {
        seen.extend(fragments(agent.document.signing_keys()).first().map(|it| (*it).to_owned()));
        let text = agent.document.to_json().to_string();
        assert!(DidDocument::parse(text.as_bytes(), &agent.record.published().did).is_ok());
        let room = agent.record.published().leaving.len() + 2 <= KEYS_LEAVING_MAX;
        match agent.rotated(Reason::Routine, Keys::generate(), at(rounds)) {
            Some(changed) => agent = taken_over(changed),
            None => {
                assert!(!room, "it is refused only when it is full");
                break;
            }
        }
        rounds += 1;
    }
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
    assert_eq!(rounds, KEYS_LEAVING_MAX as u64 / 2);
}

#[test]
fn a_log_goes_on_signed_with_the_committed_key() {
    let (first, next) =
        (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let draft = webvh::draft_did("a.example", None, &["agents", "aria"]).unwrap();
    let mut keys = Keys::generate();
    let settings = Settings { next_keys: &[next.public()], ..Settings::default() };
    let document = document_for(draft, &keys, "https://a.example", None);
    let (mut log, history) = webvh::create(&document, &first, &settings, NOW).unwrap();
    let did = history.did().clone();
    let document = document_for(did.clone(), &Keys::generate(), "https://a.example", None);
    keys.next_update = Some(next);
    // Twice within the second of the first version: times rise all the same.
    for _ in 0..2 {
        let committed = keys.next_update.as_ref().unwrap().public();
        log = with_version(&log, &document, &mut keys, Reason::Routine, NOW).ok().unwrap();
        assert_ne!(keys.next_update.as_ref().unwrap().public(), committed);
    }
    let history = History::verify(&did, log.as_bytes(), None, at(10)).unwrap();
    assert_eq!(history.at(&Select::Latest).unwrap().metadata.version_number, 3);
    // A clock that was set back writes no version that others would not take.
    let before = UnixTime(NOW.0 - 2 * WEBVH_CLOCK_SKEW_SECS);
    assert!(with_version(&log, &document, &mut keys, Reason::Routine, before).is_err());
    // Without the committed key there is no next version, whoever holds the others.
    keys.next_update = Some(SigningKey::generate(&mut rand::rng()));
    assert!(with_version(&log, &document, &mut keys, Reason::Routine, at(10)).is_err());
}

#[test]
fn a_full_log_has_room_for_what_cannot_wait() {
    // Keys that others had could not be replaced, and the hint was to wait for what never comes.
    let (first, mut next) =
        (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let draft = webvh::draft_did("a.example", None, &["agents", "aria"]).unwrap();
    let mut keys = Keys::generate();
    let commit = |key: &SigningKey| [key.public()];
    let committed = commit(&next);
    let settings = Settings { next_keys: &committed, ..Settings::default() };
    let document = document_for(draft, &keys, "https://a.example", None);
    let (mut log, mut history) = webvh::create(&document, &first, &settings, NOW).unwrap();
    let did = history.did().clone();
    let mut large = document_for(did.clone(), &Keys::generate(), "https://a.example", None);
    large.also_known_as = vec!["x".repeat(50_000)];
    for second in 1_u64.. {
        let after = SigningKey::generate(&mut rand::rng());
        let committed = commit(&after);
        let settings = Settings { next_keys: &committed, ..Settings::default() };
        let line = webvh::update(&history, &large, &next, &settings, at(second)).unwrap();
        if WEBVH_LOG_BYTES_MAX - LOG_RESERVE_BYTES < log.len() + line.len() {
            break;
        }
        log.push_str(&line);
        next = after;
        history = History::verify(&did, log.as_bytes(), None, at(second)).unwrap();
    }
    keys.next_update = Some(next);
    let mut code = |document: &DidDocument, reason| {
        let before = keys.next_update.clone();
        let written = with_version(&log, document, &mut keys, reason, at(100));
        keys.next_update = before;
        written.err().map(|error| error.0.code)
    };
    assert_eq!(code(&large, Reason::Routine).as_deref(), Some("node.log-full"));
    assert_eq!(code(&large, Reason::Compromised), None);
}

#[test]
fn former_keys_are_forgotten_though_they_stay_in_the_document() {
    let after = rotated(stored(), Reason::Routine, NOW);
    let forgotten = after.forgotten(at(KEY_RETIRED_FOR_S));
    assert!(!forgotten.document_changed);
    assert!(forgotten.stored.record.published().leaving.is_empty());
    assert!(forgotten.stored.keys.retired.is_empty());
    assert_eq!(fragments(forgotten.stored.document.signing_keys()), ["key-3", "key-1"]);
}
