//! Challenges that were reused, passed on, kept or forged, and what a knock costs.

use super::*;
use crate::testing::solve;

const NOW: UnixTime = UnixTime(1_800_000_000);
const ID: ChallengeId = ChallengeId([7; 16]);
const BITS: u8 = 8;

fn did(name: &str) -> Did {
    format!("did:web:{name}.example").parse().unwrap()
}

fn secret() -> WorkSecret {
    WorkSecret::new(&[1; 32])
}

/// What Aria shows who knocks at Bruno's.
fn shown() -> String {
    solve(&secret().issue(ID, BITS, (&did("aria"), &did("bruno")), NOW))
}

fn check(shown: &str, sender: &str, recipient: &str, now: UnixTime) -> WorkShown {
    secret().check(Some(shown), (&did(sender), &did(recipient)), now)
}

#[test]
fn a_solution_pays_until_its_challenge_expires() {
    let expires = NOW.saturating_add(WORK_CHALLENGE_AGE_S);
    let paid = WorkShown::Paid { id: ID, expires };
    let shown = shown();
    assert!(shown.len() <= WORK_SHOWN_BYTES_MAX);
    assert_eq!(check(&shown, "aria", "bruno", NOW), paid);
    assert_eq!(check(&shown, "aria", "bruno", expires.saturating_sub(1)), paid);
    assert_eq!(check(&shown, "aria", "bruno", expires), WorkShown::Invalid);
    let nothing = secret().check(None, (&did("aria"), &did("bruno")), NOW);
    assert_eq!(nothing, WorkShown::None);
}

#[test]
fn work_is_worth_nothing_in_other_hands_at_another_door_or_in_another_home() {
    let shown = shown();
    assert_eq!(check(&shown, "mallory", "bruno", NOW), WorkShown::Invalid);
    assert_eq!(check(&shown, "aria", "carol", NOW), WorkShown::Invalid);
    assert_eq!(check(&shown, "bruno", "aria", NOW), WorkShown::Invalid);
    let parties = (&did("aria"), &did("bruno"));
    assert_eq!(WorkSecret::new(&[2; 32]).check(Some(&shown), parties, NOW), WorkShown::Invalid);
}

#[test]
fn a_did_peer_pays_under_its_long_and_its_short_form() {
    let key = comity_didcomm::SigningKey::generate(&mut rand::rng()).public();
    let forms = comity_didcomm::did::peer::create_4(&[key], &[]).unwrap();
    let challenge = secret().issue(ID, BITS, (&forms.long, &did("bruno")), NOW);
    let shown = secret().check(Some(&solve(&challenge)), (&forms.short, &did("bruno")), NOW);
    assert!(matches!(shown, WorkShown::Paid { .. }));
}

#[test]
fn no_byte_of_a_challenge_can_be_changed() {
    let challenge = secret().issue(ID, BITS, (&did("aria"), &did("bruno")), NOW);
    let bytes = URL_SAFE_NO_PAD.decode(&challenge.challenge).unwrap();
    for place in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[place] ^= 1;
        let text = URL_SAFE_NO_PAD.encode(&forged);
        // It is solved at the price that it names, so that nothing but the MAC is wrong.
        let forged = Challenge { challenge: text, bits: BITS + 1, ..challenge.clone() };
        assert_eq!(check(&solve(&forged), "aria", "bruno", NOW), WorkShown::Invalid, "{place}");
    }
}

#[test]
fn what_has_not_the_form_of_work_is_none() {
    let huge = format!("{}.{}", "A".repeat(WORK_SHOWN_BYTES_MAX), "A".repeat(86));
    let short = URL_SAFE_NO_PAD.encode([VERSION; PLAIN_BYTES]);
    for shown in ["", ".", "a", "a.b", "a.b.c", "ä.ö", &short, &format!("{short}."), &huge] {
        assert_eq!(check(shown, "aria", "bruno", NOW), WorkShown::Invalid, "{shown}");
    }
}

#[test]
fn a_secret_shows_itself_nowhere() {
    assert_eq!(format!("{:?}", secret()), "WorkSecret(..)");
}

#[test]
fn a_knock_costs_more_when_many_wait_and_when_it_is_not_the_first() {
    let load = |pending, earlier| Load { pending, pending_max: 1_000, earlier };
    let cases = [
        (load(0, 0), 20),
        (load(199, 0), 20),
        (load(200, 0), 21),
        (load(399, 0), 21),
        (load(400, 0), 22),
        (load(1_000, 0), 23),
        (load(0, 1), 22),
        (load(0, 2), 24),
        (load(800, 2), 27),
        (load(0, 7), 32),
        (load(1_000, i64::MAX), 32),
        (load(-5, -5), 20),
        (Load::default(), 20),
    ];
    for (load, bits) in cases {
        assert_eq!(price(20, load), bits, "{load:?}");
    }
    assert_eq!(price(0, load(1_000, 9)), 0, "what costs nothing costs nothing");
    assert_eq!(price(u8::MAX, load(0, 0)), WORK_BITS_MAX);
}
