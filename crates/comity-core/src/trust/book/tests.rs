//! What the book takes, whom it has asked, and which ways it finds.

use super::*;
use crate::trust::{Level, VouchTerms};

const NOW: UnixTime = UnixTime(1_000_000);

fn did(name: &str) -> Did {
    format!("did:web:{name}.example").parse().unwrap()
}

fn vouch(from: &str, to: &str) -> Vouch {
    let terms = VouchTerms {
        subject: did(to),
        scope: Vec::new(),
        level: Level::Message,
        depth: 3,
        from: NOW,
        until: UnixTime(NOW.0 + 1_000),
        urn: "urn:uuid:1".to_owned(),
    };
    Vouch::remembered(TokenId::of(format!("{from}>{to}").as_bytes()), did(from), terms)
}

fn book(vouches: &[(&str, &str)]) -> VouchBook {
    let mut book = VouchBook::default();
    for (from, to) in vouches {
        assert!(book.insert(vouch(from, to), NOW).is_some(), "{from} > {to}");
    }
    book
}

fn ways(book: &VouchBook, anchors: &[&str], to: &str) -> Vec<String> {
    let anchors = anchors.iter().map(|name| did(name)).collect();
    let name = |did: &Did| did.as_str()[8..].trim_end_matches(".example").to_owned();
    let line = |vouch: &Vouch| format!("{}>{}", name(vouch.issuer()), name(&vouch.terms().subject));
    let mut lines: Vec<_> = book.ways(&anchors, &did(to), NOW).into_iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn only_vouches_on_a_way_of_three_are_asked_after() {
    let vouches = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("b", "x"), ("y", "d")];
    let mut book = book(&vouches);
    assert_eq!(ways(&book, &["a"], "d"), ["a>b", "b>c", "c>d"]);
    assert_eq!(ways(&book, &["a"], "b"), ["a>b"]);
    assert!(ways(&book, &["a"], "e").is_empty(), "it is too far");
    assert!(ways(&book, &["x"], "d").is_empty());
    assert_eq!(ways(&book, &["a", "y"], "d"), ["a>b", "b>c", "c>d", "y>d"]);
    let id = vouch("b", "c").id();
    assert!(book.say(&did("b"), id, VouchState::Revoked, NOW));
    assert!(ways(&book, &["a"], "d").is_empty(), "what was revoked leads nowhere");
    let around = book.around(&BTreeSet::from([did("a")]), NOW);
    assert!(around.iter().any(|(before, vouch)| *before == 1 && vouch.id() == id));
}

#[test]
fn a_voucher_is_asked_once_and_only_its_own_answer_counts() {
    let (mut book, id) = (book(&[("a", "b")]), vouch("a", "b").id());
    let until = UnixTime(NOW.0 + 300);
    assert!(!book.answer(&did("a"), id, VouchState::Good, until), "it was not asked");
    assert!(book.ask(id, NOW) && !book.ask(id, NOW));
    assert!(book.is_asked(id, NOW));
    assert!(!book.answer(&did("b"), id, VouchState::Good, until));
    assert!(book.answer(&did("a"), id, VouchState::Good, until));
    assert_eq!(book.state(id, NOW), VouchState::Good);
    assert!(!book.is_asked(id, NOW) && !book.needs_asking(id, NOW));
    assert_eq!(book.state(id, until), VouchState::Unknown);
    assert!(book.ask(id, until));
    assert!(book.answer(&did("a"), id, VouchState::Revoked, until));
    assert!(!book.say(&did("a"), id, VouchState::Good, until), "it stays revoked");
}

#[test]
fn a_voucher_that_does_not_answer_is_waited_for_once_and_left_alone() {
    let (mut book, id) = (book(&[("a", "b")]), vouch("a", "b").id());
    let later = |s| UnixTime(NOW.0 + s);
    assert!(book.ask(id, NOW));
    assert!(book.is_asked(id, later(VOUCH_ASKED_S - 1)));
    assert!(!book.is_asked(id, later(VOUCH_ASKED_S)));
    assert!(!book.needs_asking(id, later(VOUCH_ASKED_S)));
    assert!(book.needs_asking(id, later(10 * VOUCH_ASKED_S)));
    assert!(book.ask(id, later(10 * VOUCH_ASKED_S)));
    book.give_up(id);
    assert!(!book.is_asked(id, later(10 * VOUCH_ASKED_S)), "it cannot be reached");
    assert!(!book.needs_asking(id, later(10 * VOUCH_ASKED_S)));
    // One that knows nothing of the vouch is not asked again and again either.
    assert!(book.answer(&did("a"), id, VouchState::Unknown, later(600)));
    assert!(!book.needs_asking(id, later(599)) && book.needs_asking(id, later(600)));
}

#[test]
fn nobody_fills_the_book_alone() {
    let mut book = VouchBook::default();
    let many = VOUCHES_PER_VOUCHER_MAX + 5;
    let taken =
        (0..many).filter(|n| book.insert(vouch("a", &format!("b{n}")), NOW).is_some()).count();
    assert_eq!(taken, VOUCHES_PER_VOUCHER_MAX);
    assert!(book.insert(vouch("c", "b"), NOW).is_some());
    assert_eq!(book.forget_expired(UnixTime(NOW.0 + 1_000)).len(), taken + 1);
    assert!(book.insert(vouch("a", "b"), NOW).is_some());
}

/// Somebody with one vouch of depth 2 vouches for twenty, and each of them for hundreds that it made
/// up: a new vouch found no room for the 90 days that those lasted.
#[test]
fn a_flood_that_nobody_confirmed_makes_room_for_others() {
    let mut book = book(&[("a", "b"), ("a", "c")]);
    let (good, quiet) = (vouch("a", "b").id(), vouch("a", "c").id());
    assert!(book.say(&did("a"), good, VouchState::Good, UnixTime(NOW.0 + 300)));
    for n in 0..VOUCHES_KEPT_MAX - 2 {
        let flood = vouch(&format!("q{}", n % 20), &format!("x{n}"));
        assert_eq!(book.insert(flood, NOW), Some(Vec::new()));
    }
    for n in 0..30 {
        let gone = book.insert(vouch(&format!("new{n}"), "b"), NOW).unwrap();
        assert!(gone.len() == 1 && ![good, quiet].contains(&gone[0]));
    }
    assert_eq!(book.iter().count(), VOUCHES_KEPT_MAX);
    assert!(book.knows(good, &did("a")) && book.knows(quiet, &did("a")));
    assert!((0..30).all(|n| book.given_by(&did(&format!("new{n}"))).count() == 1));
}

/// One message by somebody whom a thousand vouch for had the node write to a thousand endpoints.
#[test]
fn one_message_has_a_few_vouchers_asked_and_the_nearest_first() {
    let mut book = VouchBook::default();
    for n in 0..100 {
        assert!(book.insert(vouch("b", &format!("c{n}")), NOW).is_some());
        assert!(book.insert(vouch(&format!("c{n}"), "x"), NOW).is_some());
    }
    assert!(book.insert(vouch("a", "b"), NOW).is_some());
    let ways = book.ways(&BTreeSet::from([did("a")]), &did("x"), NOW);
    assert_eq!(ways.len(), 201);
    let asked = book.to_ask(ways.iter().map(|vouch| (vouch.id(), vouch.issuer())), NOW);
    assert_eq!(asked.len(), VOUCHERS_ASKED_MAX);
    assert_eq!((&asked[0].0, &asked[1].0), (&did("a"), &did("b")));
    assert_eq!(asked[1].1.len(), 100);
}
