//! The policy as tables: every relation under every template, for every level, on every way in.

use std::sync::Arc;

use comity_didcomm::{Did, ProtocolId};

use super::*;
use crate::protocol::vouch::VouchState;
use crate::refusal::Plane;
use crate::trust::reputation::{Outcomes, Standings};
use crate::trust::{
    ChallengeId, Changed, Contact, Direction, Limits, Policy, Pool, Prior, Shown, TokenId, Vouch,
    VouchBook, VouchTerms, Whom,
};

mod properties;

const NOW: UnixTime = UnixTime(1_000_000);
const ARIA: &str = "did:web:a.example:agents:aria";

/// A protocol for each level that one can need.
const PROTOCOLS: [(Level, &str); 4] = [
    (Level::Introduced, "https://didcomm.org/trust-ping/2.0"),
    (Level::Message, "https://example.org/proposal/1.0"),
    (Level::Task, "https://comity.dev/protocols/task/1.0"),
    (Level::Execute, "https://example.org/deploy/1.0"),
];

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

fn protocol(text: &str) -> ProtocolId {
    text.parse().unwrap()
}

fn question(piuri: &str, way_in: WayIn) -> Question {
    Question {
        recipient: did("did:web:b.example:agents:bruno"),
        sender: did(ARIA),
        protocol: protocol(piuri),
        threads: vec!["t".to_owned()],
        way_in,
        size_bytes: 1_000,
        keys: vec!["key".to_owned()],
        is_for_home: false,
        shown: Shown::default(),
        scrutiny: Scrutiny::Thorough,
        prior: None,
    }
}

fn policy(template: Template) -> Arc<Policy> {
    let mut policy = Policy::of(template);
    policy.levels.insert(protocol(PROTOCOLS[3].1), Level::Execute);
    Arc::new(policy)
}

fn entry(whom: &str, kind: EntryKind, level: Level) -> Entry {
    Entry { level, ..Entry::new(whom.parse().unwrap(), kind, UnixTime(1)) }
}

fn allowed(level: Level) -> Entry {
    entry(ARIA, EntryKind::Allow, level)
}

fn stranger() -> Facts {
    Facts::nothing_known(Recipient::Agent)
}

fn with(entries: impl IntoIterator<Item = Entry>) -> Facts {
    Facts { entries: entries.into_iter().collect(), ..stranger() }
}

fn pinned(key: &str) -> Option<Contact> {
    let keys = vec![key.to_owned()];
    Some(Contact { did: did(ARIA), since: UnixTime(1), keys, changed: None, moved_to: None })
}

/// What one relation comes to, in a letter: Allowed, Held, Closed; or the refusal in words.
fn outcome(decision: Decision) -> String {
    match decision {
        Decision::Allow(admission) => admission.as_str().to_owned(),
        Decision::Charge(_) => "charge".to_owned(),
        Decision::Hold => "hold".to_owned(),
        Decision::Refuse(refusal) => refusal.code().trim_start_matches("e.m.trust.").to_owned(),
    }
}

/// The relations: a name, the facts, and what comes of it for the four levels under `guarded`.
/// `*` stands for what the template does with somebody of whom nothing was decided.
fn relations() -> Vec<(&'static str, Facts, [&'static str; 4])> {
    let all = |word: &'static str| [word; 4];
    let (listed, low) = ("allow-list", "level");
    let thread = |level| Facts { wrote_in_thread: Some(level), ..stranger() };
    let for_one =
        |level: Level, piuri: &str| Entry { protocols: vec![protocol(piuri)], ..allowed(level) };
    let denied = |whom: &str| entry(whom, EntryKind::Deny, Level::Message);
    let host = |kind, level| entry("*@a.example", kind, level);
    let until = |until| Entry { until: Some(UnixTime(until)), ..allowed(Level::Execute) };
    vec![
        ("stranger", stranger(), all("*")),
        ("allowed to be introduced", with([allowed(Level::Introduced)]), [listed, low, low, low]),
        ("allowed messages", with([allowed(Level::Message)]), [listed, listed, low, low]),
        ("allowed tasks", with([allowed(Level::Task)]), [listed, listed, listed, low]),
        ("allowed all", with([allowed(Level::Execute)]), all(listed)),
        (
            "allowed all, for proposals",
            with([for_one(Level::Execute, PROTOCOLS[1].1)]),
            ["not-permitted", listed, "not-permitted", "not-permitted"],
        ),
        ("allowed until now", with([until(1_000_000)]), all("revoked")),
        ("allowed until later", with([until(1_000_001)]), all(listed)),
        (
            "allowed from later",
            with([Entry { from: Some(UnixTime(1_000_001)), ..allowed(Level::Execute) }]),
            all("not-yet"),
        ),
        ("denied", with([denied(ARIA)]), all("denied")),
        ("revoked", with([entry(ARIA, EntryKind::Revoke, Level::Message)]), all("revoked")),
        (
            "allowed, and its host denied",
            with([allowed(Level::Execute), denied("*@a.example")]),
            all("denied"),
        ),
        (
            "allowed, and its domain denied",
            with([allowed(Level::Execute), denied("*@*.example")]),
            all("denied"),
        ),
        (
            "its host allowed",
            with([host(EntryKind::Allow, Level::Task)]),
            [listed, listed, listed, "*"],
        ),
        ("its host revoked", with([host(EntryKind::Revoke, Level::Task)]), all("*")),
        (
            "its host allowed, itself only to be introduced",
            with([host(EntryKind::Allow, Level::Message), allowed(Level::Introduced)]),
            [listed, listed, low, low],
        ),
        (
            "another host allowed",
            with([entry("*@b.example", EntryKind::Allow, Level::Execute)]),
            all("*"),
        ),
        ("answers a message", thread(Level::Message), ["thread", "thread", "*", "*"]),
        ("answers a task", thread(Level::Task), ["thread", "thread", "thread", "*"]),
        (
            "answers, and is denied",
            Facts { entries: vec![denied(ARIA)], ..thread(Level::Execute) },
            all("denied"),
        ),
        (
            "answers, and is revoked",
            Facts {
                entries: vec![entry(ARIA, EntryKind::Revoke, Level::Message)],
                ..thread(Level::Execute)
            },
            all("revoked"),
        ),
        (
            "answers, and was allowed another protocol",
            Facts {
                entries: vec![for_one(Level::Message, "https://x.example/y/1.0")],
                ..thread(Level::Message)
            },
            ["thread", "thread", "not-permitted", "not-permitted"],
        ),
        ("own home", Facts { sender_is_home: true, ..stranger() }, all("own-home")),
        (
            "allowed tasks, with other keys",
            Facts { contact: pinned("other"), ..with([allowed(Level::Task)]) },
            all("e.p.trust.key-changed"),
        ),
        (
            "allowed tasks from later, with other keys",
            Facts {
                contact: pinned("other"),
                ..with([Entry { from: Some(UnixTime(1_000_001)), ..allowed(Level::Task) }])
            },
            all("e.p.trust.key-changed"),
        ),
        (
            "answers a task, with other keys",
            Facts { contact: pinned("other"), ..thread(Level::Task) },
            all("e.p.trust.key-changed"),
        ),
        (
            "answers a message, with other keys",
            Facts { contact: pinned("other"), ..thread(Level::Message) },
            ["thread", "thread", "*", "*"],
        ),
        (
            "allowed messages, with other keys",
            Facts { contact: pinned("other"), ..with([allowed(Level::Message)]) },
            [listed, listed, low, low],
        ),
        (
            "allowed tasks, with its keys",
            Facts { contact: pinned("key"), ..with([allowed(Level::Task)]) },
            [listed, listed, listed, low],
        ),
        (
            "two anchors vouch for its tasks",
            vouched_for_tasks(&did(ARIA), NOW),
            ["vouches", "vouches", "vouches", "*"],
        ),
        (
            "two anchors vouch for its tasks, and it is denied",
            Facts { entries: vec![denied(ARIA)], ..vouched_for_tasks(&did(ARIA), NOW) },
            all("denied"),
        ),
        (
            "two anchors vouch for its tasks, and it has other keys",
            Facts { contact: pinned("other"), ..vouched_for_tasks(&did(ARIA), NOW) },
            ["e.p.trust.key-changed", "e.p.trust.key-changed", "e.p.trust.key-changed", "*"],
        ),
        (
            "two anchors vouch for its tasks, and what it was allowed is over",
            Facts { entries: vec![until(1_000_000)], ..vouched_for_tasks(&did(ARIA), NOW) },
            all("revoked"),
        ),
        (
            "a credential is allowed that it does not show",
            with([entry(
                "credential:Employee@did:web:c.example",
                EntryKind::Allow,
                Level::Message,
            )]),
            all("*"),
        ),
    ]
}

/// What a template does with somebody of whom nothing was decided.
fn of_stranger(template: Template, needed: Level) -> &'static str {
    match template {
        Template::Closed => "closed",
        Template::Open if needed <= Level::Message => "open-policy",
        Template::Ants | Template::Guarded | Template::Open => "hold",
    }
}

#[test]
fn every_relation_gets_its_decision_for_every_level_on_every_way_in() {
    let templates = [Template::Ants, Template::Closed, Template::Guarded, Template::Open];
    let mut cells = 0;
    for (name, facts, expected) in relations() {
        for template in templates {
            let facts = Facts { policy: policy(template), ..facts.clone() };
            for ((level, piuri), expected) in PROTOCOLS.into_iter().zip(expected) {
                let expected =
                    if expected == "*" { of_stranger(template, level) } else { expected };
                for way_in in WayIn::ALL {
                    let ruling = decide(&question(piuri, way_in), &facts, NOW);
                    let cell = format!("{name}, {template:?}, {level}, {way_in:?}");
                    assert_eq!(outcome(ruling.decision), expected, "{cell}");
                    assert_eq!(ruling.needed, level, "{cell}");
                    assert!(!ruling.why.is_empty(), "{cell}: a decision says why");
                    let is_let_in = matches!(ruling.decision, Decision::Allow(_));
                    assert!(!is_let_in || level <= ruling.level, "{cell}: no further than allowed");
                    assert!(is_let_in || !ruling.changes.is_empty(), "{cell}: says what to do");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, relations().len() * 4 * 4 * WayIn::ALL.len());
}

#[test]
fn the_home_itself_speaks_its_own_protocols_and_nothing_else() {
    let facts = Facts::nothing_known(Recipient::Home);
    for (piuri, expected) in [
        (RECEIPT, Decision::Allow(Admission::HomeProtocol)),
        (REPORT_PROBLEM, Decision::Allow(Admission::HomeProtocol)),
        (PROTOCOLS[1].1, Decision::Refuse(Refusal::HomeProtocol)),
        (PROTOCOLS[3].1, Decision::Refuse(Refusal::HomeProtocol)),
    ] {
        assert_eq!(decide(&question(piuri, WayIn::Direct), &facts, NOW).decision, expected);
    }
}

#[test]
fn the_home_hears_decisions_from_its_operator_and_from_nobody_else() {
    let stranger = Facts::nothing_known(Recipient::Home);
    let operator = Facts { sender_is_operator: true, ..stranger.clone() };
    for way_in in WayIn::ALL {
        let ruling = |piuri, facts| decide(&question(piuri, way_in), facts, NOW).decision;
        let heard = Decision::Allow(Admission::HomeProtocol);
        let unheard = Decision::Refuse(Refusal::HomeProtocol);
        assert_eq!(ruling(OPERATOR, &operator), heard);
        assert_eq!(ruling(OPERATOR, &stranger), unheard, "{way_in:?}");
        // To be the operator opens nothing else, neither at the home nor at an agent.
        assert_eq!(ruling(PROTOCOLS[1].1, &operator), unheard);
        let at_agent = Facts { recipient: Recipient::Agent, ..operator.clone() };
        assert_eq!(ruling(OPERATOR, &at_agent), Decision::Hold);
    }
}

#[test]
fn a_strangers_message_costs_work_only_where_it_would_be_held_and_can_be_answered() {
    let paid = WorkShown::Paid { id: ChallengeId([0; 16]), expires: NOW };
    let cases = [
        (WayIn::Direct, 20, WorkShown::None, Decision::Charge(20)),
        (WayIn::Direct, 20, WorkShown::Invalid, Decision::Charge(20)),
        (WayIn::Direct, 20, paid, Decision::Hold),
        (WayIn::Direct, 0, WorkShown::None, Decision::Hold),
        (WayIn::Relay(None), 20, WorkShown::None, Decision::Hold),
        (WayIn::Relay(Some(Class::Stranger)), 20, WorkShown::None, Decision::Hold),
        (WayIn::SameHome, 20, WorkShown::None, Decision::Hold),
    ];
    for (way_in, price_bits, work, expected) in cases {
        let facts = Facts { price_bits, work, ..stranger() };
        let ruling = decide(&question(PROTOCOLS[1].1, way_in), &facts, NOW);
        assert_eq!(ruling.decision, expected, "{way_in:?}, {price_bits}, {work:?}");
    }
    for (name, facts, _) in relations() {
        for (level, piuri) in PROTOCOLS {
            let question = question(piuri, WayIn::Direct);
            let free = decide(&question, &facts, NOW).decision;
            let priced =
                decide(&question, &Facts { price_bits: 20, ..facts.clone() }, NOW).decision;
            let expected = match free {
                Decision::Hold | Decision::Refuse(Refusal::RequestTooLarge) => Decision::Charge(20),
                // What would be kept about it costs more than it has.
                Decision::Refuse(Refusal::RequestsFull) => Decision::Refuse(Refusal::MailboxFull),
                other => other,
            };
            assert_eq!(priced, expected, "{name}, {level}");
        }
    }
}

#[test]
fn what_has_cost_no_work_at_the_relay_leaves_room_for_what_has() {
    let pool = Pool { pending: 5, pending_max: 10, ..Pool::EMPTY };
    let facts = Facts { pool, price_bits: 20, ..stranger() };
    let decided = |class, facts: &Facts| {
        outcome(decide(&question(PROTOCOLS[1].1, WayIn::Relay(class)), facts, NOW).decision)
    };
    assert_eq!(decided(Some(Class::Stranger), &facts), "requests-full");
    assert_eq!(decided(None, &facts), "requests-full");
    assert_eq!(decided(Some(Class::Paid), &facts), "hold");
    let free = Facts { price_bits: 0, ..facts };
    assert_eq!(decided(Some(Class::Stranger), &free), "hold", "where nothing costs, all are alike");
}

#[test]
fn who_has_paid_nothing_leaves_no_trace_in_a_full_pool() {
    let full = Pool { pending: 10, pending_max: 10, ..Pool::EMPTY };
    let facts = Facts { pool: full, price_bits: 20, ..stranger() };
    let decided = |work, size_bytes| {
        let question = Question { size_bytes, ..question(PROTOCOLS[1].1, WayIn::Direct) };
        decide(&question, &Facts { work, ..facts.clone() }, NOW).decision
    };
    let paid = WorkShown::Paid { id: ChallengeId([0; 16]), expires: NOW };
    assert_eq!(decided(WorkShown::None, 100), Decision::Refuse(Refusal::MailboxFull));
    assert_eq!(Refusal::MailboxFull.plane(), Plane::Transport);
    assert_eq!(decided(paid, 100), Decision::Refuse(Refusal::RequestsFull));
    assert_eq!(decided(paid, REQUEST_BYTES_MAX + 1), Decision::Refuse(Refusal::RequestTooLarge));
}

#[test]
fn strangers_are_held_one_request_at_a_time_and_within_bounds() {
    let ask = |facts: &Facts, size_bytes| {
        let question = Question { size_bytes, ..question(PROTOCOLS[1].1, WayIn::Direct) };
        outcome(decide(&question, facts, NOW).decision)
    };
    let pending = Facts { request: Some(RequestState::Pending), ..stranger() };
    assert_eq!(ask(&pending, 1), "pending");
    let crowd = Facts { pool: Pool { pending_max: 0, ..Pool::EMPTY }, ..stranger() };
    assert_eq!(ask(&crowd, 1), "requests-full");
    assert_eq!(ask(&stranger(), REQUEST_BYTES_MAX), "hold");
    assert_eq!(ask(&stranger(), REQUEST_BYTES_MAX + 1), "request-too-large");
}

#[test]
fn a_minor_version_of_an_allowed_protocol_is_covered_and_a_major_one_is_not() {
    let proposals = Entry { protocols: vec![protocol(PROTOCOLS[1].1)], ..allowed(Level::Message) };
    let facts = with([proposals]);
    let minor = decide(&question("https://example.org/proposal/1.4", WayIn::Direct), &facts, NOW);
    assert_eq!(outcome(minor.decision), "allow-list");
    let major = decide(&question("https://example.org/proposal/2.0", WayIn::Direct), &facts, NOW);
    assert_eq!(outcome(major.decision), "not-permitted");
}

#[test]
fn what_is_used_up_is_refused_and_what_is_let_in_counts() {
    let limits = Limits { messages_per_day: Some(2), ..Limits::UNLIMITED };
    let limited = Entry { limits, ..allowed(Level::Message) };
    let question = question(PROTOCOLS[1].1, WayIn::Direct);
    let meter = limited.meter(&question.recipient);
    let with_used = |messages| {
        let used = vec![(meter, Used { messages, ..Used::default() })];
        decide(&question, &Facts { used, ..with([limited.clone()]) }, NOW)
    };
    assert_eq!(with_used(1).meters, [Meter { id: meter, limits }]);
    assert_eq!(with_used(2).decision, Decision::Refuse(Refusal::LimitReached));
    assert!(with_used(2).meters.is_empty());
    // An acknowledgement reaches no agent, and is not counted; it was refused all the same.
    let ack = Question { protocol: protocol(EMPTY), ..question };
    let used = vec![(meter, Used { messages: 2, ..Used::default() })];
    let ruling = decide(&ack, &Facts { used, ..with([limited]) }, NOW);
    assert_eq!(outcome(ruling.decision), "allow-list");
}

/// Aria under another DID, which somebody has signed for with a key of the prior one.
fn successor(key: &str) -> Question {
    Question {
        sender: did("did:web:new.example:aria"),
        prior: Some(Prior { did: did(ARIA), keys: vec![key.to_owned()] }),
        keys: vec!["new".to_owned()],
        ..question(PROTOCOLS[2].1, WayIn::Direct)
    }
}

#[test]
fn a_limit_that_is_reached_is_not_got_around_by_an_entry_about_more_or_by_an_open_policy() {
    // The third message of a host that may send two a day was let in as anybody's under an open
    // policy, and that of one agent as one of its host's.
    let limits = Limits { messages_per_day: Some(2), ..Limits::UNLIMITED };
    let limited = |whom| Entry { limits, ..entry(whom, EntryKind::Allow, Level::Message) };
    let without = |whom| entry(whom, EntryKind::Allow, Level::Message);
    let question = question(PROTOCOLS[1].1, WayIn::Direct);
    let used_up = |entries: [Entry; 2]| {
        let used = Used { messages: 2, ..Used::default() };
        let used = entries.iter().map(|entry| (entry.meter(&question.recipient), used)).collect();
        let wrote_in_thread = Some(Level::Message);
        let facts =
            Facts { policy: policy(Template::Open), used, wrote_in_thread, ..with(entries) };
        outcome(decide(&question, &facts, NOW).decision)
    };
    assert_eq!(used_up([limited("*@a.example"), without("*@b.example")]), "limit");
    assert_eq!(used_up([limited(ARIA), without("*@a.example")]), "limit");
    assert_eq!(used_up([limited("*@a.example"), without("*@*.example")]), "limit");
    assert_eq!(used_up([without(ARIA), limited("*@a.example")]), "allow-list");
}

#[test]
fn a_proven_successor_has_what_was_decided_about_its_prior_did() {
    let successor = successor("key");
    let facts = Facts { prior_contact: pinned("key"), ..with([allowed(Level::Task)]) };
    assert_eq!(outcome(decide(&successor, &facts, NOW).decision), "allow-list");
    let denied = with([entry(ARIA, EntryKind::Deny, Level::Message)]);
    assert_eq!(outcome(decide(&successor, &denied, NOW).decision), "denied");
    let unproven = Question { prior: None, ..successor };
    assert_eq!(outcome(decide(&unproven, &facts, NOW).decision), "hold");
}

#[test]
fn what_is_allowed_to_a_host_is_not_handed_on_to_who_is_not_there() {
    // Any agent of an allowed host could make any DID elsewhere pass for one of the host's.
    let successor = successor("key");
    let with_host = |kind| with([entry("*@a.example", kind, Level::Execute)]);
    let decided = |facts: &Facts| outcome(decide(&successor, facts, NOW).decision);
    assert_eq!(decided(&with_host(EntryKind::Allow)), "hold");
    assert_eq!(decided(&with_host(EntryKind::Deny)), "denied");
}

#[test]
fn a_succession_that_is_signed_with_an_unknown_key_is_none() {
    // Whoever took the domain of a contact signed with a key of its own that the contact was
    // another DID now, and had all that the contact was allowed, at any level and for good.
    let forged = successor("thief");
    for level in [Level::Introduced, Level::Message, Level::Task, Level::Execute] {
        let facts = Facts { prior_contact: pinned("key"), ..with([allowed(level)]) };
        let ruling = decide(&forged, &facts, NOW);
        assert_eq!(ruling.decision, Decision::Refuse(Refusal::KeyChanged), "{level}");
        let after = Contact::after(&forged, &facts, &ruling.decision, NOW).unwrap();
        assert_eq!((after.did.as_str(), &after.keys[..]), (ARIA, &["key".to_owned()][..]));
        let approved = after.approved();
        assert_eq!(approved.keys, ["key", "thief"]);
        let facts = Facts { prior_contact: Some(approved), ..with([allowed(Level::Task)]) };
        assert_eq!(outcome(decide(&forged, &facts, NOW).decision), "allow-list");
    }
}

#[test]
fn a_succession_says_nothing_about_the_keys_of_the_successor() {
    // Whoever took the domain of a contact made a DID of its own, and had that one sign that it was
    // the contact now.
    let throw_away = did("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
    let prior = Some(Prior { did: throw_away, keys: Vec::new() });
    let stolen = Question { prior, ..question(PROTOCOLS[2].1, WayIn::Direct) };
    let facts = Facts { contact: pinned("other"), ..with([allowed(Level::Task)]) };
    let ruling = decide(&stolen, &facts, NOW);
    assert_eq!(ruling.decision, Decision::Refuse(Refusal::KeyChanged));
    let after = Contact::after(&stolen, &facts, &ruling.decision, NOW).unwrap();
    assert_eq!((after.did.as_str(), after.changed.unwrap().keys), (ARIA, stolen.keys));
}

#[test]
fn a_successor_is_known_since_its_prior_did_was_and_by_its_own_keys() {
    // Its keys were taken for other keys of the prior DID, which was forgotten then: whoever took
    // the domain of the successor was let in.
    let successor = successor("key");
    let facts = Facts { prior_contact: pinned("key"), ..with([allowed(Level::Task)]) };
    let ruling = decide(&successor, &facts, NOW);
    let after = Contact::after(&successor, &facts, &ruling.decision, NOW);
    let since = pinned("key").unwrap().since;
    let (did, keys) = (successor.sender.clone(), successor.keys);
    assert_eq!(after, Some(Contact { did, since, keys, changed: None, moved_to: None }));
}

#[test]
fn with_ants_who_is_known_for_long_may_send_messages_and_no_more() {
    const DAY: u64 = 86_400;
    let known = |age_s, processed| {
        let since = UnixTime(NOW.0 - age_s);
        let contact = Some(Contact { since, ..pinned("key").unwrap() });
        Facts { policy: policy(Template::Ants), contact, processed, ..stranger() }
    };
    let decided = |facts: &Facts| {
        PROTOCOLS
            .map(|(_, piuri)| outcome(decide(&question(piuri, WayIn::Direct), facts, NOW).decision))
    };
    let (up, hold) = ("known-for-long", "hold");
    for (age_s, processed, expected) in [
        (7 * DAY, 10, [up, up, hold, hold]),
        (7 * DAY, 1_000_000, [up, up, hold, hold]),
        (7 * DAY - 1, 10, [up, hold, hold, hold]),
        (7 * DAY, 9, [up, hold, hold, hold]),
        (DAY, 1, [up, hold, hold, hold]),
        (DAY - 1, 1_000, [hold; 4]),
        (DAY, 0, [hold; 4]),
    ] {
        assert_eq!(decided(&known(age_s, processed)), expected, "{age_s} s, {processed}");
    }
    // The vouch of one anchor introduces; the operator may ask for more, and for less.
    let mut vouched =
        Facts { policy: policy(Template::Ants), ..vouched_for_tasks(&did(ARIA), NOW) };
    vouched.anchors.pop_first();
    assert_eq!(decided(&vouched), [up, hold, hold, hold]);
    let mut policy = Policy::clone(&vouched.policy);
    policy.ants.message.vouchers = std::num::NonZeroU32::MIN;
    vouched.policy = Arc::new(policy);
    assert_eq!(decided(&vouched), [up, up, hold, hold]);
}

#[test]
fn a_token_of_ants_pays_its_twenty_bits_where_ants_is_the_policy_and_no_more() {
    let work = WorkShown::AntsToken { id: ChallengeId([0; 16]), expires: NOW };
    for (template, price_bits, expected) in [
        (Template::Ants, 20, Decision::Hold),
        (Template::Ants, 21, Decision::Charge(21)),
        (Template::Guarded, 20, Decision::Charge(20)),
        (Template::Closed, 20, Decision::Refuse(Refusal::Closed)),
    ] {
        let facts = Facts { policy: policy(template), price_bits, work, ..stranger() };
        let ruling = decide(&question(PROTOCOLS[1].1, WayIn::Direct), &facts, NOW);
        assert_eq!(ruling.decision, expected, "{template:?}, {price_bits}");
    }
}

#[test]
fn other_keys_are_remembered_until_the_operator_decides() {
    let question = question(PROTOCOLS[2].1, WayIn::Direct);
    let facts = Facts { contact: pinned("old"), ..with([allowed(Level::Task)]) };
    let ruling = decide(&question, &facts, NOW);
    let after = Contact::after(&question, &facts, &ruling.decision, NOW).unwrap();
    let changed = Changed { keys: question.keys.clone(), at: NOW };
    assert_eq!(after.changed, Some(changed));
    assert_eq!(after.keys, ["old"]);
    // The next one with the same keys tells nothing new.
    let facts = Facts { contact: Some(after.clone()), ..facts };
    assert_eq!(Contact::after(&question, &facts, &ruling.decision, NOW), None);
    let facts = Facts { contact: Some(after.approved()), ..facts };
    assert_eq!(outcome(decide(&question, &facts, NOW).decision), "allow-list");
}

#[test]
fn other_keys_that_pass_at_a_low_level_are_not_taken_for_the_contacts_own() {
    // They were pinned without a word, so that whoever had taken the domain of somebody who may
    // send messages had only to wait until the operator allowed the latter more.
    let mut question = question(PROTOCOLS[1].1, WayIn::Direct);
    let facts = Facts { contact: pinned("old"), ..with([allowed(Level::Message)]) };
    let ruling = decide(&question, &facts, NOW);
    assert_eq!(outcome(ruling.decision), "allow-list");
    let after = Contact::after(&question, &facts, &ruling.decision, NOW).unwrap();
    let changed = Changed { keys: question.keys.clone(), at: NOW };
    assert_eq!((&after.keys[..], &after.changed), (&["old".to_owned()][..], &Some(changed)));
    let facts = Facts { contact: Some(after), ..facts };
    let later = UnixTime(NOW.0 + 60);
    assert_eq!(Contact::after(&question, &facts, &ruling.decision, later), None, "since the first");
    let more = Facts { entries: vec![allowed(Level::Task)], ..facts.clone() };
    assert_eq!(outcome(decide(&question, &more, NOW).decision), "e.p.trust.key-changed");
    // When it comes with its own again, nothing waits any more.
    question.keys = vec!["old".to_owned()];
    assert_eq!(Contact::after(&question, &facts, &ruling.decision, later), pinned("old"));
}

/// Puts a vouch for tasks into the book, which is known to hold.
fn vouch(book: &mut VouchBook, by: &Did, whom: &Did, depth: u8, now: UnixTime) {
    let until = now.saturating_add(1_000_000);
    let terms = VouchTerms {
        subject: whom.clone(),
        scope: Vec::new(),
        level: Level::Task,
        depth,
        from: UnixTime(1),
        until,
        urn: format!("urn:{by}"),
    };
    let id = TokenId::of(by.as_str().as_bytes());
    assert!(book.insert(Vouch::remembered(id, by.clone(), terms), now).is_some());
    assert!(book.say(by, id, VouchState::Good, until));
}

/// A home whose anchors, two, vouch for somebody's tasks.
fn vouched_for_tasks(whom: &Did, now: UnixTime) -> Facts {
    let (anchors, mut book) =
        (["did:web:x.example", "did:web:y.example"].map(did), VouchBook::default());
    for anchor in &anchors {
        vouch(&mut book, anchor, whom, 0, now);
    }
    Facts { anchors: anchors.into(), book: Arc::new(book), ..stranger() }
}

/// What so many disputes of the sender leave of its vouches.
fn standings(disputed: f64, facts: &Facts) -> Standings {
    let outcomes = Outcomes { disputed, ..Outcomes::default() };
    Standings::new(&[(did(ARIA), outcomes)].into(), &facts.book, NOW)
}

#[test]
fn bad_work_undoes_the_vouches_of_those_who_stand_close() {
    let facts = vouched_for_tasks(&did(ARIA), NOW);
    for (disputed, expected) in
        [(0.0, "vouches"), (1.0, "vouches"), (2.0, "hold"), (5.0, "hold"), (1e6, "hold")]
    {
        let facts = Facts { standings: standings(disputed, &facts), ..facts.clone() };
        let scrutiny = Scrutiny::Thorough;
        let question = Question { scrutiny, ..question(PROTOCOLS[2].1, WayIn::Direct) };
        let ruling = decide(&question, &facts, NOW);
        assert_eq!(outcome(ruling.decision), expected, "{disputed}");
    }
}

/// Two anchors vouch for two others, and these for the sender.
fn vouched_over_two() -> Facts {
    let parties = ["did:web:p.example", "did:web:q.example"].map(did);
    let mut facts = vouched_for_tasks(&parties[0], NOW);
    let mut book = VouchBook::default();
    for (anchor, party) in facts.anchors.iter().zip(&parties) {
        vouch(&mut book, anchor, party, 1, NOW);
        vouch(&mut book, party, &did(ARIA), 0, NOW);
    }
    facts.book = Arc::new(book);
    facts
}

#[test]
fn who_is_shut_out_or_worked_badly_is_no_stage_of_a_path() {
    let facts = vouched_over_two();
    let decided = |facts: &Facts| {
        outcome(decide(&question(PROTOCOLS[2].1, WayIn::Direct), facts, NOW).decision)
    };
    assert_eq!(decided(&facts), "vouches");
    let wide = with([entry("*@p.example", EntryKind::Deny, Level::Message)]).entries;
    assert_eq!(decided(&Facts { entries: wide, ..facts.clone() }), "hold");
    for kind in [EntryKind::Deny, EntryKind::Revoke] {
        let go_betweens = vec![entry("did:web:q.example", kind, Level::Message)];
        assert_eq!(decided(&Facts { go_betweens, ..facts.clone() }), "hold", "{kind:?}");
    }
    let other = vec![entry("did:web:r.example", EntryKind::Deny, Level::Message)];
    assert_eq!(decided(&Facts { go_betweens: other, ..facts.clone() }), "vouches");
    // Their points do not matter for a pair; that they have done nothing but harm does.
    let outcomes = Outcomes { disputed: 1e6, ..Outcomes::default() };
    let records = [(did("did:web:p.example"), outcomes)].into();
    let standings = Standings::new(&records, &facts.book, NOW);
    assert_eq!(decided(&Facts { standings, ..facts }), "hold");
}

#[test]
fn vouches_for_tasks_are_for_the_keys_that_the_vouched_had() {
    let facts = vouched_for_tasks(&did(ARIA), NOW);
    let scrutiny = Scrutiny::Thorough;
    let question = Question { scrutiny, ..question(PROTOCOLS[2].1, WayIn::Direct) };
    for (contact, expected) in
        [(None, "vouches"), (pinned("key"), "vouches"), (pinned("other"), "e.p.trust.key-changed")]
    {
        let facts = Facts { contact, ..facts.clone() };
        assert_eq!(outcome(decide(&question, &facts, NOW).decision), expected);
    }
}

#[test]
fn an_explanation_shows_the_vouches_whatever_is_decided() {
    let facts = Facts { policy: policy(Template::Guarded), ..vouched_for_tasks(&did(ARIA), NOW) };
    let priced = Facts { price_bits: 20, ..facts.clone() };
    let closed = Facts { policy: policy(Template::Closed), ..facts.clone() };
    let cases = [(&facts, 2, "vouches"), (&facts, 3, "hold"), (&closed, 3, "closed")];
    for (facts, protocol, expected) in cases.into_iter().chain([(&priced, 3, "hold")]) {
        let ruling = decide(&question(PROTOCOLS[protocol].1, WayIn::Direct), facts, NOW);
        assert_eq!(outcome(ruling.decision), expected);
        for anchor in &facts.anchors {
            let path = |line: &String| line.trim_start().starts_with(anchor.as_str());
            assert!(ruling.grounds.iter().any(path), "{expected}: {:?}", ruling.grounds);
        }
    }
    // Also where it charges: an anchor's vouch that does not suffice.
    let one = facts.anchors.iter().next().cloned().into_iter().collect();
    let few = Facts { anchors: one, standings: standings(1e6, &facts), ..priced };
    let ruling = decide(&question(PROTOCOLS[1].1, WayIn::Direct), &few, NOW);
    assert_eq!(outcome(ruling.decision), "charge");
    assert!(ruling.grounds.iter().any(|line| line.contains("what would change it")));
}

#[test]
fn an_entry_on_the_way_out_says_nothing_about_the_way_in() {
    let out = Entry { direction: Direction::Out, ..allowed(Level::Execute) };
    assert_eq!(out.meter(&did("did:web:b.example")), out.meter(&did("did:web:b.example")));
    let inward = Entry { direction: Direction::In, ..out.clone() };
    assert_ne!(out.meter(&did("did:web:b.example")), inward.meter(&did("did:web:b.example")));
    let facts = with([out]);
    assert_eq!(
        outcome(decide(&question(PROTOCOLS[1].1, WayIn::Direct), &facts, NOW).decision),
        "hold"
    );
}

#[test]
fn the_order_in_which_entries_are_read_changes_nothing() {
    let entries = [
        entry("*@*.example", EntryKind::Allow, Level::Message),
        entry("*@a.example", EntryKind::Allow, Level::Task),
        allowed(Level::Introduced),
    ];
    for (_, piuri) in PROTOCOLS {
        let question = question(piuri, WayIn::Direct);
        let forward = decide(&question, &with(entries.clone()), NOW);
        let backward = decide(&question, &with(entries.iter().rev().cloned()), NOW);
        assert_eq!(forward, backward);
    }
    let whom: Whom = ARIA.parse().unwrap();
    assert_eq!(whom.rank(), 0);
}
