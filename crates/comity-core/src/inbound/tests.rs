//! The way in, driven with real keys: what each kind of message becomes, and that nothing becomes
//! more than it should.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Message, UnixTime};
use serde_json::json;

use super::*;
use crate::limits::{ENVELOPE_BYTES_MAX, EXPIRES_S_MAX};
use crate::log::{Act, salted_digest};
use crate::protocol::{ADMISSION_TOKEN, EMPTY_EMPTY, RECEIPT_TO};
use crate::receipt::State;
use crate::record::Notice;
use crate::testing::{
    Driven, How, NOW, Party, drive_arrival, drive_in, secret, solve, turned_away,
};
use crate::trust::{Admission, Challenge, Entry, EntryKind, Pool, RequestState, WayIn};

const OFFER: &str = "https://example.org/proposal/1.0/offer";
const NEW: Written = Written::New { seq: 5 };

fn aria() -> Party {
    Party::new("did:web:a.example:agents:aria", Some("did:web:a.example"))
}

fn bruno() -> Party {
    Party::new("did:web:b.example:agents:bruno", None)
}

fn stranger() -> Facts {
    Facts::nothing_known(crate::trust::Recipient::Agent)
}

fn entry(kind: EntryKind) -> Facts {
    let whom = "did:web:a.example:agents:aria".parse().unwrap();
    Facts { entries: vec![Entry::new(whom, kind, NOW)], ..stranger() }
}

/// Drives a message of Aria's to Bruno, after `change`.
fn offer(facts: &Facts, how: How, change: impl FnOnce(&mut Message)) -> Driven {
    let (aria, bruno) = (aria(), bruno());
    let mut message = aria.message("m-1", OFFER, &bruno);
    change(&mut message);
    drive_in(aria.seal(&message, &bruno, how), &aria, &bruno, facts, &NEW)
}

#[test]
fn an_allowed_message_is_delivered_with_its_grounds_on_record() {
    for how in [How::Signed, How::Authcrypt] {
        let driven = offer(&entry(EntryKind::Allow), how, |_| {});
        assert_eq!(driven.outcome, Outcome::Accepted);
        assert!(driven.delivered);
        let commit = driven.commit.unwrap();
        assert_eq!(commit.received().admitted, Some(Admission::AllowList));
        assert_eq!(commit.received().sender.as_str(), "did:web:a.example:agents:aria");
        assert_eq!(commit.rung().state, State::Accepted);
        let statement = commit.statement().unwrap();
        assert_eq!(statement.act, Act::Received);
        let Some((salt, signed)) = commit.opening() else {
            assert_eq!(how, How::Authcrypt, "what is not signed proves nothing, and is not kept");
            continue;
        };
        let digest = URL_SAFE_NO_PAD.encode(salted_digest(salt, signed.as_bytes()));
        assert_eq!(statement.digest, digest, "whoever has the salt and the text can open it");
    }
}

#[test]
fn a_strangers_message_is_held_and_reaches_no_agent() {
    let driven = offer(&stranger(), How::Signed, |_| {});
    assert_eq!(driven.outcome, Outcome::Held);
    assert!(!driven.delivered);
    let commit = driven.commit.unwrap();
    assert!(matches!(commit.placement(), Placement::Request));
    assert!(commit.rung().pending);
    assert_eq!(commit.received().admitted, None);
}

#[test]
fn a_refused_sender_gets_one_report_in_the_same_commit() {
    let driven = offer(&entry(EntryKind::Deny), How::Signed, |message| {
        message.thid = Some("t-9".to_owned());
    });
    assert_eq!(driven.outcome, Outcome::Refused(Refusal::Denied));
    assert!(!driven.delivered);
    let commit = driven.commit.unwrap();
    let Placement::Refused(_, Some(report)) = commit.placement() else { panic!("no report") };
    assert_eq!(report.pthid.as_deref(), Some("t-9"));
    assert_eq!(report.ack, ["m-1"]);
    assert_eq!(report.body.get("code"), Some(&json!(Refusal::Denied.code())));
    let statement = commit.statement().unwrap();
    assert_eq!(statement.act, Act::Refused, "what was not taken is not logged as taken");
    assert!(statement.salt.is_some() && commit.opening().is_none());
}

#[test]
fn no_report_is_made_about_a_report() {
    let driven = offer(&entry(EntryKind::Deny), How::Signed, |message| {
        *message = {
            let id = message.id.clone();
            let mut report = Refusal::Denied.to_report().into_message(id, "t", Vec::new());
            report.from.clone_from(&message.from);
            report.to.clone_from(&message.to);
            report
        };
    });
    let commit = driven.commit.unwrap();
    assert!(matches!(commit.placement(), Placement::Refused(Refusal::Denied, None)));
}

#[test]
fn a_message_without_a_proven_sender_is_turned_away_before_anything_is_asked() {
    let driven = offer(&entry(EntryKind::Allow), How::Anonymous, |_| {});
    assert_eq!(driven.outcome, turned_away(Refusal::Unauthenticated));
    assert!(driven.commit.is_none());
}

#[test]
fn an_expired_message_is_turned_away() {
    let driven = offer(&entry(EntryKind::Allow), How::Signed, |message| {
        message.expires_time = Some(NOW);
    });
    assert_eq!(driven.outcome, turned_away(Refusal::Expired));
}

#[test]
fn a_message_older_than_the_memory_of_repeats_is_turned_away() {
    let age = |seconds: u64| {
        let created = UnixTime(NOW.0 - seconds);
        let driven = offer(&entry(EntryKind::Allow), How::Signed, |message| {
            message.created_time = Some(created);
        });
        driven.outcome
    };
    assert_eq!(age(EXPIRES_S_MAX), Outcome::Accepted);
    assert_eq!(age(EXPIRES_S_MAX + 1), turned_away(Refusal::Expired));
}

#[test]
fn a_deadline_further_than_the_memory_of_repeats_is_cut() {
    let driven = offer(&entry(EntryKind::Allow), How::Signed, |message| {
        message.expires_time = Some(NOW.saturating_add(EXPIRES_S_MAX * 2));
    });
    let latest = NOW.saturating_add(EXPIRES_S_MAX);
    assert_eq!(driven.commit.unwrap().received().expires, latest);
}

#[test]
fn an_envelope_for_others_is_turned_away() {
    let (aria, bruno) = (aria(), bruno());
    let carol = Party::new("did:web:c.example:agents:carol", None);
    let envelope = aria.seal(&aria.message("m-1", OFFER, &carol), &carol, How::Signed);
    let driven = drive_in(envelope, &aria, &bruno, &entry(EntryKind::Allow), &NEW);
    assert_eq!(driven.outcome, turned_away(Refusal::UnknownRecipient));
}

#[test]
fn a_message_in_another_name_is_turned_away() {
    // Mallory signs with her own key what says it is from Aria; her keys are found only under her
    // own DID.
    let (aria, bruno) = (aria(), bruno());
    let mallory = Party::new("did:web:a.example:agents:aria", None);
    let forged = mallory.seal(&aria.message("m-1", OFFER, &bruno), &bruno, How::Signed);
    let driven = drive_in(forged, &aria, &bruno, &entry(EntryKind::Allow), &NEW);
    assert!(matches!(driven.outcome, Outcome::TurnedAway(_)), "{:?}", driven.outcome);
    assert!(driven.commit.is_none());
}

#[test]
fn a_repeat_gets_the_first_answer_and_a_reused_id_a_refusal() {
    let (aria, bruno) = (aria(), bruno());
    let message = aria.message("m-1", OFFER, &bruno);
    let digest = crate::record::digest_text(&message.to_json());
    let drive = |digest: &str| {
        let written = Written::Repeat { digest: digest.to_owned() };
        let envelope = aria.seal(&message, &bruno, How::Signed);
        drive_in(envelope, &aria, &bruno, &entry(EntryKind::Allow), &written)
    };
    let repeat = drive(&digest);
    assert_eq!(repeat.outcome.status(), 202);
    assert_eq!((repeat.outcome, repeat.delivered), (Outcome::Repeated, false));
    let reuse = drive("another");
    assert_eq!((reuse.outcome, reuse.delivered), (turned_away(Refusal::IdReuse), false));
}

#[test]
fn a_store_that_cannot_take_it_is_no_acceptance() {
    let (aria, bruno) = (aria(), bruno());
    for refusal in [Refusal::Busy, Refusal::MailboxFull] {
        let envelope = aria.seal(&aria.message("m-1", OFFER, &bruno), &bruno, How::Signed);
        let written = Written::Temporary(refusal);
        let driven = drive_in(envelope, &aria, &bruno, &entry(EntryKind::Allow), &written);
        assert_eq!(driven.outcome, turned_away(refusal));
        assert!(!driven.delivered);
    }
}

#[test]
fn receipts_go_to_the_sender_or_its_home_and_to_nobody_else() {
    let allow = entry(EntryKind::Allow);
    let notice = |wish: &str| {
        let wish = json!(wish);
        let driven = offer(&allow, How::Signed, |message| {
            message.extra.insert(RECEIPT_TO.to_owned(), wish);
        });
        driven.commit.unwrap().received().notice.clone()
    };
    let to = |did: &str| Notice::Receipts(did.parse().unwrap());
    assert_eq!(notice("did:web:a.example"), to("did:web:a.example"));
    let sender = "did:web:a.example:agents:aria";
    for wish in [sender, "did:web:victim.example", "not a did"] {
        assert_eq!(notice(wish), to(sender), "{wish}");
    }
}

#[test]
fn a_peer_that_knows_only_please_ack_is_served_by_it() {
    let driven = offer(&entry(EntryKind::Allow), How::Signed, |message| {
        message.please_ack = vec![String::new()];
    });
    assert_eq!(driven.commit.unwrap().received().notice, Notice::Ack);
}

#[test]
fn a_bare_acknowledgement_does_not_bother_the_agent() {
    let facts = Facts { wrote_in_thread: Some(crate::trust::Level::Message), ..stranger() };
    let driven = offer(&facts, How::Signed, |message| {
        message.type_ = EMPTY_EMPTY.parse().unwrap();
        message.please_ack = vec![String::new()];
    });
    assert_eq!((driven.outcome, driven.delivered), (Outcome::Noted, false));
    assert_eq!(driven.commit.unwrap().received().notice, Notice::None, "no ack of an ack");
}

#[test]
fn a_token_for_elsewhere_never_waits_for_the_operator_nor_reaches_the_agent() {
    let limited = |protocol: &str| {
        let mut facts = entry(EntryKind::Allow);
        facts.entries[0].protocols = vec![protocol.parse().unwrap()];
        facts
    };
    let wrote_in_thread = Some(crate::trust::Level::Message);
    let in_thread = Facts { wrote_in_thread, ..stranger() };
    let home = Facts::nothing_known(crate::trust::Recipient::Home);
    let denied = Outcome::Refused(Refusal::Denied);
    for (facts, expected) in [
        (stranger(), Outcome::Noted),
        (in_thread, Outcome::Noted),
        (entry(EntryKind::Allow), Outcome::Noted),
        (limited("https://example.org/proposal/1.0"), Outcome::Noted),
        (home, Outcome::Noted),
        (entry(EntryKind::Deny), denied),
    ] {
        let driven = offer(&facts, How::Signed, |message| {
            message.type_ = ADMISSION_TOKEN.parse().unwrap();
        });
        assert_eq!((driven.outcome, driven.delivered), (expected, false), "{facts:?}");
        let commit = driven.commit.unwrap();
        assert_eq!(commit.received().notice, Notice::None);
        assert!(!matches!(commit.placement(), Placement::Refused(_, Some(_))), "nobody is told");
    }
}

#[test]
fn size_and_media_type_are_looked_at_first() {
    let arrive = |envelope: Vec<u8>, media_type: &str| {
        let media_type = media_type.to_owned();
        let arrival = Arrival { envelope, media_type, way_in: WayIn::Direct, work: None };
        let home = "did:web:home.example".parse().unwrap();
        Inbound::new(arrival, Context { home, now: NOW, salt: [0; 16], secret: secret() }).err()
    };
    let encrypted = "application/didcomm-encrypted+json";
    assert_eq!(arrive(vec![b'{'; ENVELOPE_BYTES_MAX + 1], encrypted), Some(Refusal::TooLarge));
    assert_eq!(arrive(b"{}".to_vec(), "application/json"), Some(Refusal::MediaType));
    assert_eq!(arrive(b"{".to_vec(), encrypted), Some(Refusal::Malformed));
    let plain = br#"{"id":"1","type":"https://example.org/a/1.0/b","body":{}}"#;
    assert_eq!(arrive(plain.to_vec(), encrypted), Some(Refusal::Unencrypted));
}

/// A first message of Aria's that Bruno's home wants work for, and what is known of it.
struct Knock {
    aria: Party,
    bruno: Party,
    envelope: Vec<u8>,
    facts: Facts,
}

impl Knock {
    fn new() -> Self {
        let (aria, bruno) = (aria(), bruno());
        let envelope = aria.seal(&aria.message("m-1", OFFER, &bruno), &bruno, How::Signed);
        Self { aria, bruno, envelope, facts: Facts { price_bits: 6, ..stranger() } }
    }

    fn post(&self, work: Option<&str>, written: &Written, known: Option<&str>) -> Driven {
        let arrival = Arrival::encrypted(self.envelope.clone(), WayIn::Direct);
        let arrival = Arrival { work: work.map(str::to_owned), ..arrival };
        let parties = (&self.aria, &self.bruno);
        drive_arrival(arrival, parties, &self.facts, written, known)
    }

    fn challenge(&self, work: Option<&str>) -> Challenge {
        let driven = self.post(work, &NEW, None);
        assert_eq!(driven.outcome.status(), 402);
        assert!(driven.commit.is_none(), "nothing is recorded");
        match driven.outcome {
            Outcome::Charged(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stranger_is_asked_for_work_and_held_when_it_is_done() {
    let knock = Knock::new();
    let challenge = knock.challenge(None);
    assert_eq!(challenge.bits, 6);
    let driven = knock.post(Some(&solve(&challenge)), &NEW, None);
    assert_eq!(driven.outcome, Outcome::Held);
    let spent = *driven.commit.unwrap().spent().unwrap();
    assert_eq!(spent.expires, challenge.expires, "so long it is known as spent");
}

#[test]
fn work_that_is_wrong_or_was_done_for_others_gets_another_challenge() {
    let (knock, other) = (Knock::new(), Knock::new());
    let passed_on = Party::new("did:web:m.example:agents:mallory", None);
    let mut of_mallory = Knock { aria: passed_on, ..other };
    let message = of_mallory.aria.message("m-1", OFFER, &of_mallory.bruno);
    of_mallory.envelope = of_mallory.aria.seal(&message, &of_mallory.bruno, How::Signed);
    let shown = solve(&of_mallory.challenge(None));
    for work in [shown.as_str(), "", "a.b", &"x".repeat(10_000)] {
        assert_eq!(knock.challenge(Some(work)).bits, 6);
    }
}

#[test]
fn work_that_was_spent_before_gets_another_challenge_and_no_acceptance() {
    let knock = Knock::new();
    let shown = solve(&knock.challenge(None));
    let driven = knock.post(Some(&shown), &Written::Spent, None);
    assert!(matches!(driven.outcome, Outcome::Charged(Challenge { bits: 6, .. })));
    assert!(!driven.delivered);
}

#[test]
fn work_is_spent_by_a_refusal_too() {
    // One solution had as many messages refused, and each kept and reported, as were posted in time.
    let full = Pool { pending: 10, pending_max: 10, ..Pool::EMPTY };
    let mut knock = Knock::new();
    let shown = solve(&knock.challenge(None));
    knock.facts.pool = full;
    let driven = knock.post(Some(&shown), &NEW, None);
    assert_eq!(driven.outcome, Outcome::Refused(Refusal::RequestsFull));
    assert!(driven.commit.unwrap().spent().is_some());
}

#[test]
fn a_message_on_record_gets_its_first_answer_and_no_price() {
    let knock = Knock::new();
    let digest =
        crate::record::digest_text(&knock.aria.message("m-1", OFFER, &knock.bruno).to_json());
    assert_eq!(knock.post(None, &NEW, Some(&digest)).outcome, Outcome::Repeated);
    assert_eq!(knock.post(None, &NEW, Some("another")).outcome, turned_away(Refusal::IdReuse));
}

#[test]
fn only_what_would_be_held_costs_anything() {
    let price = |facts: Facts| Facts { price_bits: 32, ..facts };
    let pending = Facts { request: Some(RequestState::Pending), ..stranger() };
    let wrote_in_thread = Some(crate::trust::Level::Message);
    let in_thread = Facts { wrote_in_thread, ..stranger() };
    for (facts, outcome) in [
        (entry(EntryKind::Allow), Outcome::Accepted),
        (entry(EntryKind::Deny), Outcome::Refused(Refusal::Denied)),
        (in_thread, Outcome::Accepted),
        (pending, Outcome::Refused(Refusal::Pending)),
    ] {
        let knock = Knock { facts: price(facts), ..Knock::new() };
        let driven = knock.post(None, &NEW, None);
        assert_eq!(driven.outcome, outcome);
        assert_eq!(driven.commit.unwrap().spent(), None);
    }
}

#[test]
fn who_cannot_be_answered_is_not_asked_for_work() {
    let knock = Knock::new();
    for way_in in [WayIn::Relay(None), WayIn::SameHome] {
        let arrival = Arrival::encrypted(knock.envelope.clone(), way_in);
        let parties = (&knock.aria, &knock.bruno);
        let driven = drive_arrival(arrival, parties, &knock.facts, &NEW, None);
        assert_eq!(driven.outcome, Outcome::Held, "{way_in:?}");
    }
}
