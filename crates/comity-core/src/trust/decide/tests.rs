//! The policy as one table: every recipient, relation and protocol, and what comes of it.

use comity_didcomm::{Did, ProtocolId};

use super::*;
use crate::trust::{ChallengeId, Entry};

const NOW: UnixTime = UnixTime(1_000);
const PROPOSAL: &str = "https://example.org/proposal/1.0";

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

fn protocol(text: &str) -> ProtocolId {
    text.parse().unwrap()
}

fn question(piuri: &str, way_in: WayIn) -> Question {
    Question {
        recipient: did("did:web:b.example:agents:bruno"),
        sender: did("did:web:a.example:agents:aria"),
        protocol: protocol(piuri),
        threads: vec!["t".to_owned()],
        way_in,
        size_bytes: 1_000,
    }
}

fn entry(kind: EntryKind, protocols: &[&str], until: Option<u64>) -> Option<Entry> {
    Some(Entry {
        did: did("did:web:a.example:agents:aria"),
        kind,
        protocols: protocols.iter().map(|piuri| protocol(piuri)).collect(),
        until: until.map(UnixTime),
        decided_at: UnixTime(1),
    })
}

/// One row of the matrix: a name, the facts, and the decision for a message of [`PROPOSAL`] and of
/// a home's own protocol.
fn matrix() -> Vec<(&'static str, Facts, Decision, Decision)> {
    use Decision::{Allow, Hold, Refuse};
    use EntryKind as Kind;
    let stranger = Facts::nothing_known(Recipient::Agent);
    let with = |entry| Facts { entry, ..stranger.clone() };
    let in_thread = |entry| Facts { entry, wrote_in_thread: true, ..stranger.clone() };
    let listed = Allow(Admission::AllowList);
    let thread = Allow(Admission::Thread);
    let same = |name, facts, decision| (name, facts, decision, decision);
    vec![
        same("stranger", stranger.clone(), Hold),
        same(
            "pending",
            Facts { request: Some(RequestState::Pending), ..stranger.clone() },
            Refuse(Refusal::Pending),
        ),
        same(
            "crowd",
            Facts { requests_pending: REQUESTS_PENDING_MAX, ..stranger.clone() },
            Refuse(Refusal::RequestsFull),
        ),
        same("denied", with(entry(Kind::Deny, &[], None)), Refuse(Refusal::Denied)),
        same("denied in thread", in_thread(entry(Kind::Deny, &[], None)), Refuse(Refusal::Denied)),
        same("revoked", with(entry(Kind::Revoke, &[], None)), Refuse(Refusal::Revoked)),
        same(
            "revoked in thread",
            in_thread(entry(Kind::Revoke, &[], None)),
            Refuse(Refusal::Revoked),
        ),
        same("run out", with(entry(Kind::Allow, &[], Some(1_000))), Refuse(Refusal::Revoked)),
        same("allowed for all", with(entry(Kind::Allow, &[], Some(1_001))), listed),
        (
            "allowed for this",
            with(entry(Kind::Allow, &[PROPOSAL], None)),
            listed,
            Refuse(Refusal::ProtocolNotAllowed),
        ),
        (
            "allowed for other",
            with(entry(Kind::Allow, &[RECEIPT], None)),
            Refuse(Refusal::ProtocolNotAllowed),
            listed,
        ),
        same(
            "allowed for other, in thread",
            in_thread(entry(Kind::Allow, &["https://x.example/y/1.0"], None)),
            thread,
        ),
        same("in thread", in_thread(None), thread),
        same("own home", Facts { sender_is_home: true, ..stranger }, Allow(Admission::OwnHome)),
        (
            "to the home",
            Facts::nothing_known(Recipient::Home),
            Refuse(Refusal::HomeProtocol),
            Allow(Admission::HomeProtocol),
        ),
    ]
}

#[test]
fn every_relation_gets_its_decision_on_every_way_in() {
    for (name, facts, for_proposal, for_receipt) in matrix() {
        for way_in in [WayIn::Direct, WayIn::Relay, WayIn::SameHome] {
            for (piuri, expected) in [(PROPOSAL, for_proposal), (RECEIPT, for_receipt)] {
                let ruling = decide(&question(piuri, way_in), &facts, NOW);
                assert_eq!(ruling.decision, expected, "{name}, {piuri}, {way_in:?}");
                assert!(!ruling.why.is_empty(), "{name}: a decision says why");
            }
        }
    }
}

#[test]
fn a_minor_version_of_an_allowed_protocol_is_covered_and_a_major_one_is_not() {
    let facts = Facts {
        entry: entry(EntryKind::Allow, &[PROPOSAL], None),
        ..Facts::nothing_known(Recipient::Agent)
    };
    let minor = decide(&question("https://example.org/proposal/1.4", WayIn::Direct), &facts, NOW);
    assert_eq!(minor.decision, Decision::Allow(Admission::AllowList));
    let major = decide(&question("https://example.org/proposal/2.0", WayIn::Direct), &facts, NOW);
    assert_eq!(major.decision, Decision::Refuse(Refusal::ProtocolNotAllowed));
}

#[test]
fn a_large_first_message_is_not_kept() {
    let large = Question { size_bytes: REQUEST_BYTES_MAX + 1, ..question(PROPOSAL, WayIn::Direct) };
    let ruling = decide(&large, &Facts::nothing_known(Recipient::Agent), NOW);
    assert_eq!(ruling.decision, Decision::Refuse(Refusal::RequestTooLarge));
}

#[test]
fn a_strangers_message_costs_work_only_where_it_would_be_held_and_can_be_answered() {
    let paid = WorkShown::Paid { id: ChallengeId([0; 16]), expires: NOW };
    let cases = [
        (WayIn::Direct, 20, WorkShown::None, Decision::Charge(20)),
        (WayIn::Direct, 20, WorkShown::Invalid, Decision::Charge(20)),
        (WayIn::Direct, 20, paid, Decision::Hold),
        (WayIn::Direct, 0, WorkShown::None, Decision::Hold),
        (WayIn::Relay, 20, WorkShown::None, Decision::Hold),
        (WayIn::SameHome, 20, WorkShown::None, Decision::Hold),
    ];
    for (way_in, price_bits, work, expected) in cases {
        let facts = Facts { price_bits, work, ..Facts::nothing_known(Recipient::Agent) };
        let ruling = decide(&question(PROPOSAL, way_in), &facts, NOW);
        assert_eq!(ruling.decision, expected, "{way_in:?}, {price_bits}, {work:?}");
    }
    for (name, facts, for_proposal, for_receipt) in matrix() {
        for (piuri, expected) in [(PROPOSAL, for_proposal), (RECEIPT, for_receipt)] {
            let facts = Facts { price_bits: 20, ..facts.clone() };
            let decision = decide(&question(piuri, WayIn::Direct), &facts, NOW).decision;
            let is_charged = decision == Decision::Charge(20);
            assert_eq!(is_charged, expected == Decision::Hold, "{name}, {piuri}");
            assert!(is_charged || decision == expected, "{name}, {piuri}");
        }
    }
}
