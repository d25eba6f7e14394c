//! What holds whatever else is known: what the operator forbade or took back comes before all grounds.

use std::sync::LazyLock;

use proptest::option;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};

use super::*;
use crate::testing;
use crate::trust::grant::tests::World;
use crate::trust::{GrantTerms, Granted};

/// Carol, her host, and her domain; and Aria and her host.
const NAMES: [&str; 3] = ["did:web:carol.example", "*@carol.example", "*@*.example"];
const ARIAS: [&str; 2] = ["did:web:aria.example", "*@aria.example"];

/// Bruno gave Aria a grant for all, who handed it on to Carol. Signatures are dear, and one chain will
/// do for all cases.
static CHAIN: LazyLock<(Did, Arc<Granted>)> = LazyLock::new(|| {
    let world = World::new();
    let all = |terms: GrantTerms| GrantTerms {
        scope: Vec::new(),
        level: Level::Execute,
        limits: Limits::UNLIMITED,
        ..terms
    };
    let terms: Vec<_> = world.terms().into_iter().take(2).map(all).collect();
    let granted = world.show(&world.chain(&terms), &world.others[1]).unwrap();
    (world.bruno.did, granted)
});

/// Grounds on which Carol may be let in, each there or not.
#[derive(Clone, Debug)]
struct Grounds {
    template: Template,
    /// The levels up to which Carol herself, her host and her domain are allowed, and for how long.
    allowed: [Option<(Level, u64)>; 3],
    is_granted: bool,
    wrote_in_thread: Option<Level>,
    is_vouched_for: bool,
    protocol: usize,
    way_in: WayIn,
}

fn any_grounds() -> impl Strategy<Value = Grounds> {
    let templates = [Template::Ants, Template::Closed, Template::Guarded, Template::Open];
    let template = prop::sample::select(templates.to_vec());
    let level = || prop::sample::select(&Level::ALL[1..]);
    let allowed = move || option::of((level(), 1_u64..4));
    let allowed = [allowed(), allowed(), allowed()];
    let way_in = prop::sample::select(WayIn::ALL.to_vec());
    let rest = (any::<bool>(), option::of(level()), any::<bool>(), 0..PROTOCOLS.len(), way_in);
    (template, allowed, rest).prop_map(|(template, allowed, rest)| {
        let (is_granted, wrote_in_thread, is_vouched_for, protocol, way_in) = rest;
        Grounds { template, allowed, is_granted, wrote_in_thread, is_vouched_for, protocol, way_in }
    })
}

impl Grounds {
    fn question(&self) -> Question {
        let granted = self.is_granted.then(|| Arc::clone(&CHAIN.1));
        Question {
            recipient: CHAIN.0.clone(),
            sender: did(NAMES[0]),
            shown: Shown { granted, ..Shown::default() },
            ..question(PROTOCOLS[self.protocol].1, self.way_in)
        }
    }

    fn facts(&self) -> Facts {
        let entries = self.allowed.iter().zip(NAMES).filter_map(|(allowed, whom)| {
            let (level, seconds) = (*allowed)?;
            let until = Some(testing::NOW.saturating_add(seconds));
            Some(Entry { until, ..entry(whom, EntryKind::Allow, level) })
        });
        let known = match self.is_vouched_for {
            true => vouched_for_tasks(&did(NAMES[0]), testing::NOW),
            false => stranger(),
        };
        Facts {
            policy: policy(self.template),
            entries: entries.collect(),
            wrote_in_thread: self.wrote_in_thread,
            ..known
        }
    }

    fn decide(&self, facts: &Facts) -> Ruling {
        decide(&self.question(), facts, testing::NOW)
    }
}

fn is_let_in(ruling: &Ruling) -> bool {
    matches!(ruling.decision, Decision::Allow(_))
}

fn bar(whom: &str, kind: EntryKind) -> Entry {
    entry(whom, kind, Level::Message)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn who_is_denied_is_let_in_on_no_ground(
        grounds in any_grounds(), whom in prop::sample::select(&NAMES[..]), at in 0_usize..4,
    ) {
        let mut facts = grounds.facts();
        facts.entries.insert(at.min(facts.entries.len()), bar(whom, EntryKind::Deny));
        let ruling = grounds.decide(&facts);
        prop_assert_eq!(ruling.decision, Decision::Refuse(Refusal::Denied));
    }

    #[test]
    fn who_is_revoked_is_let_in_on_no_ground(grounds in any_grounds()) {
        let mut facts = grounds.facts();
        facts.entries.push(bar(NAMES[0], EntryKind::Revoke));
        let ruling = grounds.decide(&facts);
        prop_assert_eq!(ruling.decision, Decision::Refuse(Refusal::Revoked));
    }

    #[test]
    fn what_has_run_out_lets_nobody_in(grounds in any_grounds()) {
        // By then all entries and the grant are over; vouches and threads are not.
        let later = testing::NOW.saturating_add(200);
        let ruling = decide(&grounds.question(), &grounds.facts(), later);
        // What was allowed to herself and is over was the operator's decision about her.
        let is_own_over = grounds.allowed[0].is_some();
        let without = Grounds { allowed: [None; 3], is_granted: false, ..grounds };
        let expected = decide(&without.question(), &without.facts(), later);
        let expected_in = !is_own_over && is_let_in(&expected);
        prop_assert_eq!(is_let_in(&ruling), expected_in, "{:?} and {:?}", ruling, expected);
    }

    #[test]
    fn whoever_is_shut_out_lets_nobody_in_by_handing_on(
        grounds in any_grounds(), whom in prop::sample::select(&ARIAS[..]), is_denied in any::<bool>(),
    ) {
        let kind = if is_denied { EntryKind::Deny } else { EntryKind::Revoke };
        let facts = grounds.facts();
        let barred = Facts { go_betweens: vec![bar(whom, kind)], ..facts.clone() };
        let ruling = grounds.decide(&barred);
        // To take back what was allowed to a host bars nobody.
        let bars = is_denied || whom == ARIAS[0];
        let without = Grounds { is_granted: grounds.is_granted && !bars, ..grounds };
        let expected = without.decide(&facts);
        prop_assert_eq!(is_let_in(&ruling), is_let_in(&expected), "{:?} and {:?}", ruling, expected);
        prop_assert!(!bars || ruling.decision != Decision::Allow(Admission::Grant));
    }

    #[test]
    fn what_is_shown_shuts_nobody_out(
        grounds in any_grounds(), error in prop::sample::select(&GrantError::ALL[..]),
    ) {
        let granted = grounds.question();
        let without = Grounds { is_granted: false, ..grounds };
        let facts = without.facts();
        let plain = without.decide(&facts);
        let mut bad = without.question();
        bad.shown.grant_error = Some(error);
        for question in [granted, bad] {
            let ruling = decide(&question, &facts, testing::NOW);
            prop_assert!(is_let_in(&ruling) || !is_let_in(&plain), "{:?} and {:?}", ruling, plain);
        }
    }
}
