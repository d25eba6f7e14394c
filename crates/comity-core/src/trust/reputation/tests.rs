//! What conduct leaves of vouches, and whose word counts.

use super::*;
use crate::testing::{NOW, Party};
use crate::trust::score::score;
use crate::trust::{
    EntryKind, Proposal, SignedCredential, SignedOutcome, Vouch, VouchTerms, Whom, Work,
};

const NONE: Outcomes =
    Outcomes { accepted: 0.0, done: 0.0, refused: 0.0, disputed: 0.0, expired: 0.0 };

fn standing(own: Outcomes, vouched: &[Outcomes]) -> f64 {
    Standing::of(&own, vouched).as_f64()
}

#[test]
fn good_work_buys_nothing() {
    assert_eq!(standing(NONE, &[]), 1.0);
    let busy = Outcomes { accepted: 500.0, done: 500.0, ..NONE };
    assert_eq!(standing(busy, &[busy, busy]), 1.0);
}

#[test]
fn bad_work_lowers_and_good_work_makes_up_for_it() {
    let disputed = Outcomes { disputed: 4.0, ..NONE };
    let also_busy = Outcomes { done: 32.0, ..disputed };
    assert_eq!(standing(disputed, &[]), 0.25);
    assert_eq!(standing(also_busy, &[]), 0.75);
    let half = Outcomes { refused: 4.0, expired: 4.0, ..NONE };
    assert_eq!(standing(half, &[]), 0.25, "a refusal or an expiry is half a dispute");
}

#[test]
fn a_voucher_answers_for_three_tenths_of_what_its_vouched_lack() {
    let rotten = Outcomes { disputed: 1e11, ..NONE };
    assert!((standing(NONE, &[rotten]) - 0.7).abs() < 1e-9);
    assert!((standing(NONE, &[rotten, rotten]) - 0.49).abs() < 1e-9);
}

#[test]
fn a_bad_vouch_does_not_hide_behind_good_ones() {
    let rotten = Outcomes { disputed: 40.0, ..NONE };
    let famous = Outcomes { done: 1_000.0, ..NONE };
    assert_eq!(standing(NONE, &[rotten]), standing(NONE, &[famous, rotten, famous]));
}

#[test]
fn the_word_of_a_stranger_weighs_nothing() {
    assert_eq!(weight(Level::Blocked), 0.0);
    assert!(Level::ALL.map(weight).is_sorted());
}

#[test]
fn what_is_no_count_leaves_a_standing_between_nothing_and_all() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, f64::MAX] {
        let all = Outcomes { accepted: odd, done: odd, refused: odd, disputed: odd, expired: odd };
        for outcomes in [all, Outcomes { disputed: odd, ..NONE }] {
            let standing = standing(outcomes, &[outcomes]);
            assert!((0.0..=1.0).contains(&standing), "{odd}: {standing}");
        }
    }
}

fn party(name: &str) -> Party {
    Party::new(&format!("did:web:{name}.example"), None)
}

/// Adds a vouch that is known to hold.
fn vouch(book: &mut VouchBook, from: &Party, to: &Party, depth: u8) {
    let until = NOW.saturating_add(3600);
    let terms = VouchTerms {
        subject: to.did.clone(),
        scope: Vec::new(),
        level: Level::Message,
        depth,
        from: NOW,
        until,
        urn: "urn:uuid:0193a5b2-7c11-7d3e-9a51-0c5f3a7d9e21".to_owned(),
    };
    let (kid, key) = from.keys().signing;
    let token = terms.sign((&kid, &key)).unwrap();
    let credential = SignedCredential::parse(&token).unwrap().verify(&from.document, NOW).unwrap();
    let vouch = Vouch::from_credential(&credential).unwrap();
    let id = vouch.id();
    assert!(book.insert(vouch, NOW).is_some());
    assert!(book.say(&from.did, id, VouchState::Good, until));
}

/// Scores somebody for whom all anchors vouch, with what is known of everybody's work.
fn level(book: &VouchBook, anchors: &[Party], of: &Party, records: &[(&Party, Outcomes)]) -> Level {
    let anchors = anchors.iter().map(|anchor| anchor.did.clone()).collect();
    let records = records.iter().map(|(who, outcomes)| (who.did.clone(), *outcomes)).collect();
    let standings = Standings::new(&records, book, NOW);
    let protocol = "https://example.org/proposal/1.0".parse().unwrap();
    score(&book.web(&protocol, &standings, [], NOW), &anchors, &of.did, NOW).level
}

#[test]
fn bad_work_takes_somebody_below_what_vouches_reached_and_good_work_back() {
    let anchors = ["a", "b", "c"].map(party);
    let aria = party("aria");
    let mut book = VouchBook::default();
    for (anchor, name) in anchors.iter().zip(["x", "y", "z"]) {
        let between = party(name);
        vouch(&mut book, anchor, &between, 1);
        vouch(&mut book, &between, &aria, 0);
    }
    assert_eq!(level(&book, &anchors, &aria, &[]), Level::Message);
    let busy = Outcomes { accepted: 40.0, ..NONE };
    assert_eq!(level(&book, &anchors, &aria, &[(&aria, busy)]), Level::Message);
    let disputed = Outcomes { disputed: 20.0, ..NONE };
    assert!(level(&book, &anchors, &aria, &[(&aria, disputed)]) < Level::Message);
    let made_up_for = Outcomes { accepted: 400.0, ..disputed };
    assert_eq!(level(&book, &anchors, &aria, &[(&aria, made_up_for)]), Level::Message);
    let unknown = [(&party("mallory"), disputed)];
    assert_eq!(level(&book, &anchors, &aria, &unknown), Level::Message, "it is somebody else's");
}

#[test]
fn a_voucher_is_damped_by_the_work_of_its_vouched_and_a_revoked_vouch_is_not_answered_for() {
    let (vera, aria) = (party("vera"), party("aria"));
    let mut book = VouchBook::default();
    vouch(&mut book, &vera, &aria, 0);
    let disputed = Outcomes { disputed: 4.0, ..NONE };
    let records = BTreeMap::from([(aria.did.clone(), disputed)]);
    let standings = Standings::new(&records, &book, NOW);
    assert_eq!(standings.of(&aria.did).as_f64(), 0.25);
    assert_eq!(standings.of(&vera.did).as_f64(), 0.775);
    assert_eq!(standings.of(&party("mallory").did), Standing::FULL);
    let id = book.iter().next().unwrap().id();
    assert!(book.say(&vera.did, id, VouchState::Revoked, NOW));
    let standings = Standings::new(&records, &book, NOW);
    assert_eq!(standings.of(&vera.did), Standing::FULL);
    assert_eq!(standings.of(&aria.did).as_f64(), 0.25);
}

#[test]
fn the_word_of_a_client_counts_as_far_as_the_reader_trusts_it() {
    let (reader, anna, bob, carla, dan) =
        (party("reader"), party("anna"), party("bob"), party("carla"), party("dan"));
    let anchors = BTreeSet::from([anna.did.clone(), dan.did.clone()]);
    let entry = |party: &Party, kind, level| {
        let entry = Entry::new(Whom::Did(party.did.clone()), kind, NOW);
        Entry { level, ..entry }
    };
    let entries = [
        entry(&bob, EntryKind::Allow, Level::Message),
        entry(&dan, EntryKind::Deny, Level::Message),
    ];
    let trust = |party: &Party| trust_in(&party.did, &reader.did, &anchors, &entries, NOW);
    assert_eq!(trust(&reader), Level::Execute);
    assert_eq!(trust(&anna), Level::Execute);
    assert_eq!(trust(&bob), Level::Message);
    assert_eq!(trust(&carla), Level::Blocked);
    assert_eq!(trust(&dan), Level::Blocked, "what is denied comes first");
    let over = [Entry { until: Some(NOW), ..entry(&bob, EntryKind::Allow, Level::Task) }];
    assert_eq!(trust_in(&bob.did, &reader.did, &anchors, &over, NOW), Level::Blocked);
}

#[test]
fn a_rating_by_one_side_never_comes_to_be_counted() {
    let (worker, client) = (party("worker"), party("client"));
    let work = Work {
        worker: worker.did,
        client: client.did.clone(),
        thid: "t-1".to_owned(),
        protocol: "https://example.org/task/1.0".parse().unwrap(),
        outcome: Ending::Disputed,
        at: NOW,
    };
    let (kid, key) = client.keys().signing;
    let token = work.sign((&kid, &key)).unwrap();
    let rating: Proposal =
        SignedOutcome::parse(&token).unwrap().verify(&client.document, NOW).unwrap();
    // What is counted is an `Outcome`, and one side cannot make one.
    assert!(rating.with(&rating).is_err());
}
