//! What holds for any grants, told by what they let through rather than by what they say.

use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

/// Protocols that stand in scopes, of which the first two are one; and one that never does.
const SCOPES: [&str; 4] = [
    "https://example.org/a/1.0",
    "https://example.org/a/1.3",
    "https://example.org/a/2.0",
    "https://example.org/b/1.0",
];
const NEVER: &str = "https://example.org/c/1.0";

/// Terms for anybody, around now.
fn any_terms() -> impl Strategy<Value = GrantTerms> {
    let scope = prop::collection::vec(prop::sample::select(&SCOPES[..]), 0..4);
    let level = prop::sample::select(&Level::ALL[1..]);
    let limits = (option::of(1_u64..4), option::of(1_u64..4), option::of(1_u64..4));
    (scope, level, limits, 0_u64..4, 1_u64..5, 0_u8..4).prop_map(
        |(scope, level, (messages_per_day, bytes_per_day, tasks_open), before, after, depth)| {
            GrantTerms {
                grantee: "did:web:nobody.example".parse().unwrap(),
                scope: scope.into_iter().map(|piuri| piuri.parse().unwrap()).collect(),
                level,
                limits: Limits { messages_per_day, bytes_per_day, tasks_open },
                from: NOW.saturating_sub(before),
                until: NOW.saturating_add(after),
                depth,
                name: "g".to_owned(),
            }
        },
    )
}

/// Three grants to hand on, each with the things in which it keeps within the one before it, as
/// bits: terms that differ at random are nearly never within each other.
fn any_steps() -> impl Strategy<Value = Vec<(GrantTerms, u8)>> {
    prop::collection::vec((any_terms(), prop::num::u8::ANY), 3)
}

fn keep_within(mut terms: GrantTerms, parent: &GrantTerms, bits: u8) -> GrantTerms {
    let keeps = |bit: u8| bits & (1 << bit) != 0;
    if keeps(0) {
        terms.scope.retain(|protocol| parent.covers(protocol));
        if terms.scope.is_empty() {
            terms.scope.clone_from(&parent.scope);
        }
    }
    if keeps(1) {
        terms.level = terms.level.min(parent.level);
    }
    if keeps(2) {
        terms.limits = terms.limits.tightest(&parent.limits);
    }
    if keeps(3) {
        terms.from = terms.from.max(parent.from);
    }
    if keeps(4) {
        terms.until = terms.until.min(parent.until);
    }
    if keeps(5) {
        terms.depth = terms.depth.min(parent.depth.saturating_sub(1));
    }
    terms
}

/// Whether everything that the one lets through, the other lets through too: tried out.
fn is_no_wider(one: &GrantTerms, other: &GrantTerms) -> bool {
    let lets = |terms: &GrantTerms| {
        let mut let_through = Vec::new();
        for protocol in SCOPES.into_iter().chain([NEVER]) {
            let protocol: ProtocolId = protocol.parse().unwrap();
            let known = |entry: &ProtocolId| {
                (entry.doc_uri(), entry.name(), entry.major())
                    == (protocol.doc_uri(), protocol.name(), protocol.major())
            };
            let_through.push(terms.scope.is_empty() || terms.scope.iter().any(known));
        }
        let_through.extend(Level::ALL.map(|level| level <= terms.level));
        for count in 0..5_u64 {
            let limits = &terms.limits;
            let_through.push(limits.messages_per_day.is_none_or(|most| count <= most));
            let_through.push(limits.bytes_per_day.is_none_or(|most| count <= most));
            let_through.push(limits.tasks_open.is_none_or(|most| count <= most));
        }
        for second in NOW.0 - 5..NOW.0 + 6 {
            let_through.push(terms.from.0 <= second && second < terms.until.0);
        }
        let_through
    };
    lets(one).into_iter().zip(lets(other)).all(|(one, other)| !one || other)
}

fn to(party: &Party, terms: GrantTerms) -> GrantTerms {
    GrantTerms { grantee: party.did.clone(), ..terms }
}

/// Signs terms behind a chain without asking whether its holder has them.
fn forge_link(world: &World, holder: &Party, tokens: &[String], terms: &GrantTerms) -> String {
    let parent = tokens.last().map(|token| TokenId::of(token.as_bytes()));
    let (kid, key) = holder.keys().signing;
    sign(terms, &world.bruno.did, parent, (&kid, &key)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_narrowing_ever_widens(first in any_terms(), steps in any_steps()) {
        let world = World::new();
        let first = to(&world.others[0], first);
        let mut tokens = world.chain(std::slice::from_ref(&first));
        let mut given = vec![first];
        for (number, (terms, bits)) in steps.into_iter().enumerate() {
            let holder = &world.others[given.len() - 1];
            let granted = world.show(&tokens, holder).unwrap();
            let last = given.last().unwrap();
            let terms = to(&world.others[given.len()], keep_within(terms, last, bits));
            let (kid, key) = holder.keys().signing;
            match granted.narrow(&terms, (&kid, &key)) {
                Ok(token) => {
                    for before in &given {
                        prop_assert!(is_no_wider(&terms, before), "step {number}");
                        prop_assert!(terms.depth < before.depth);
                    }
                    tokens.push(token);
                    given.push(terms);
                }
                Err(_) => {
                    let fits = is_no_wider(&terms, last) && terms.depth < last.depth;
                    prop_assert!(!fits, "what is not more is not refused");
                }
            }
        }
        let granted = world.show(&tokens, &world.others[given.len() - 1]).unwrap();
        let shown: Vec<_> = granted.links().map(|link| link.terms().clone()).collect();
        prop_assert_eq!(shown, given);
    }

    #[test]
    fn a_grantee_who_signs_more_than_it_has_is_always_found_out(
        first in any_terms(),
        (terms, bits) in (any_terms(), prop::num::u8::ANY),
    ) {
        let world = World::new();
        let (aria, carol) = (&world.others[0], &world.others[1]);
        let first = to(aria, first);
        let terms = to(carol, keep_within(terms, &first, bits));
        let mut tokens = world.chain(std::slice::from_ref(&first));
        tokens.push(forge_link(&world, aria, &tokens, &terms));
        let fits = is_no_wider(&terms, &first) && terms.depth < first.depth;
        let expected = if fits { Ok(()) } else { Err(GrantError::Widened) };
        prop_assert_eq!(world.show(&tokens, carol).map(|_| ()), expected);
    }

    #[test]
    fn a_grant_gives_nothing_after_any_of_its_tokens_has_run_out(steps in any_steps(), later in 0_u64..8) {
        let world = World::new();
        let mut terms: Vec<GrantTerms> = Vec::new();
        for (number, (next, _)) in steps.into_iter().enumerate() {
            let next = match terms.last() {
                Some(last) => keep_within(next, last, u8::MAX),
                None => next,
            };
            let depth = u8::try_from(2 - number).unwrap();
            terms.push(to(&world.others[number], GrantTerms { depth, ..next }));
        }
        let tokens = world.chain(&terms);
        let at = NOW.saturating_add(later);
        let result = world.show_at(&tokens, &world.others[2], at).map(|_| ());
        let is_over = terms.iter().any(|terms| terms.until <= at);
        prop_assert_eq!(result, if is_over { Err(GrantError::Expired) } else { Ok(()) });
        for other in [&world.bruno, &world.others[0], &world.others[1], &world.others[3]] {
            let error = if is_over { GrantError::Expired } else { GrantError::Holder };
            prop_assert_eq!(world.show_at(&tokens, other, at).map(|_| ()), Err(error));
        }
    }
}
