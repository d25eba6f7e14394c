//! Chains of grants: what they give, and every way in which one gives nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_didcomm::{DidDocument, did, problem::ProblemCode, resolve_self_contained};
use serde_json::json;

use super::*;
use crate::limits::{CLOCK_SKEW_S_MAX, GRANT_CHAIN_MAX, GRANT_LIFE_S_MAX, SCOPE_MAX};
use crate::refusal::Refusal;
use crate::testing::{NOW, Party};
use crate::trust::{
    Admission, Contact, Decision, Facts, Question, Recipient, Scrutiny, Shown, WayIn, decide,
};

mod properties;

const PROPOSAL: &str = "https://example.org/proposal/1.0";
const TASK: &str = "https://example.org/task/2.1";

/// Bruno, who gives access to himself, and four who want it.
pub(in crate::trust) struct World {
    pub(in crate::trust) bruno: Party,
    pub(in crate::trust) others: [Party; 4],
}

impl World {
    pub(in crate::trust) fn new() -> Self {
        let party = |name: &str| Party::new(&format!("did:web:{name}.example"), None);
        let others = ["aria", "carol", "dora", "emil"];
        Self { bruno: party("bruno"), others: others.map(party) }
    }

    /// Signs the first grant and hands it on, by each what it has to the next.
    pub(in crate::trust) fn chain(&self, terms: &[GrantTerms]) -> Vec<String> {
        let (kid, key) = self.bruno.keys().signing;
        let mut tokens = vec![Grant::issue(&terms[0], (&kid, &key)).unwrap()];
        for (holder, terms) in self.others.iter().zip(&terms[1..]) {
            let granted = self.show(&tokens, holder).unwrap();
            let (kid, key) = holder.keys().signing;
            tokens.push(granted.narrow(terms, (&kid, &key)).unwrap());
        }
        tokens
    }

    pub(in crate::trust) fn show(
        &self,
        tokens: &[String],
        sender: &Party,
    ) -> Result<Arc<Granted>, GrantError> {
        self.show_at(tokens, sender, NOW)
    }

    fn show_at(
        &self,
        tokens: &[String],
        by: &Party,
        at: UnixTime,
    ) -> Result<Arc<Granted>, GrantError> {
        drive(GrantChain::new(tokens, &self.bruno.did, &by.did, at)?, &self.documents(), &[]).0
    }

    fn documents(&self) -> BTreeMap<Did, Arc<DidDocument>> {
        let parties = std::iter::once(&self.bruno).chain(&self.others);
        parties.map(|party| (party.did.clone(), Arc::clone(&party.document))).collect()
    }

    /// Terms that can be handed on to each of the others in turn.
    pub(in crate::trust) fn terms(&self) -> Vec<GrantTerms> {
        let terms = |(number, party): (usize, &Party)| {
            let depth = u8::try_from(3 - number).unwrap();
            GrantTerms { depth, ..terms(&party.did) }
        };
        self.others.iter().enumerate().map(terms).collect()
    }
}

fn terms(grantee: &Did) -> GrantTerms {
    GrantTerms {
        grantee: grantee.clone(),
        scope: vec![PROPOSAL.parse().unwrap(), TASK.parse().unwrap()],
        level: Level::Task,
        limits: Limits { messages_per_day: Some(10), ..Limits::UNLIMITED },
        from: NOW,
        until: NOW.saturating_add(100),
        depth: 0,
        name: "g-1".to_owned(),
    }
}

/// Drives the machine with these documents and revocations; says whose documents it asked for.
fn drive(
    mut chain: GrantChain,
    documents: &BTreeMap<Did, Arc<DidDocument>>,
    revoked: &[(TokenId, Did)],
) -> (Result<Arc<Granted>, GrantError>, Vec<Did>) {
    let mut asked = Vec::new();
    loop {
        let output = chain.poll_output();
        assert_eq!(chain.poll_output(), output, "asking again repeats the question");
        let input = match output {
            GrantOutput::Done(result) => return (result, asked),
            GrantOutput::Resolve(did) => {
                asked.push(did.clone());
                match documents.get(&did) {
                    Some(document) => GrantInput::Document(Arc::clone(document)),
                    None => GrantInput::Unresolvable(did),
                }
            }
            GrantOutput::Revocations(links) => {
                let revoked = links.into_iter().filter(|link| revoked.contains(link));
                GrantInput::Revoked(revoked.map(|(id, _)| id).collect())
            }
        };
        chain.handle_input(input);
    }
}

/// Signs claims as nobody does who means well.
fn forge(party: &Party, claims: &Value) -> String {
    let (kid, key) = party.keys().signing;
    Jwt::sign(GRANT_TYPE, &kid, &key, claims.as_object().unwrap()).unwrap()
}

fn claims(world: &World) -> Value {
    json!({ "iss": world.bruno.did, "aud": world.bruno.did, "sub": world.others[0].did,
        "scope": [PROPOSAL], "level": 3, "nbf": NOW, "exp": NOW.0 + 100, "jti": "g-1" })
}

#[test]
fn a_chain_gives_the_last_what_all_before_it_gave() {
    let world = World::new();
    let mut terms = world.terms();
    terms[1].scope = vec![PROPOSAL.parse().unwrap()];
    terms[2] =
        GrantTerms { scope: terms[1].scope.clone(), level: Level::Message, ..terms[2].clone() };
    let tokens = world.chain(&terms[..3]);
    let granted = world.show(&tokens, &world.others[2]).unwrap();
    assert_eq!(
        (granted.audience(), granted.holder()),
        (world.bruno.did.clone(), world.others[2].did.clone())
    );
    assert_eq!((granted.level(), granted.limits()), (Level::Message, terms[2].limits));
    assert_eq!((granted.until(), granted.scope()), (terms[2].until, &*terms[2].scope));
    let covers = |piuri: &str| granted.covers(&piuri.parse().unwrap());
    assert!(covers("https://example.org/proposal/1.9"));
    assert!(!covers("https://example.org/proposal/2.0") && !covers(TASK));
    let path = [&world.bruno, &world.others[0], &world.others[1], &world.others[2]];
    assert_eq!(granted.path(), path.map(|party| party.did.clone()));
    let ids: Vec<_> = tokens.iter().map(|token| TokenId::of(token.as_bytes())).collect();
    assert_eq!(granted.ids().collect::<Vec<_>>(), ids);
    assert_eq!(granted.root_id(), ids[0]);
    let limits: Vec<_> = granted.links().map(|link| link.terms().limits).collect();
    assert_eq!(limits, [terms[0].limits, terms[1].limits, terms[2].limits]);
}

#[test]
fn a_grant_for_all_protocols_without_limits_says_so() {
    let world = World::new();
    let all =
        GrantTerms { scope: Vec::new(), limits: Limits::UNLIMITED, ..world.terms()[0].clone() };
    let granted = world.show(&world.chain(&[all]), &world.others[0]).unwrap();
    assert!(granted.covers(&"https://a.example/anything/7.0".parse().unwrap()));
    assert_eq!(granted.limits(), Limits::UNLIMITED);
    // Absent members have their defaults.
    let granted = world.show(&[forge(&world.bruno, &claims(&world))], &world.others[0]).unwrap();
    assert_eq!((granted.limits(), granted.root.terms.depth), (Limits::UNLIMITED, 0));
}

#[test]
fn a_stolen_chain_gives_its_thief_nothing() {
    let world = World::new();
    let tokens = world.chain(&world.terms());
    for count in 1..=tokens.len() {
        for (number, party) in world.others.iter().enumerate() {
            let result = world.show(&tokens[..count], party);
            if number + 1 == count {
                assert!(result.is_ok(), "{number} {count}");
            } else {
                assert_eq!(result, Err(GrantError::Holder), "{number} {count}");
            }
        }
        assert_eq!(world.show(&tokens[..count], &world.bruno), Err(GrantError::Holder));
    }
}

#[test]
fn a_chain_for_another_agent_gives_nothing() {
    let world = World::new();
    let tokens = world.chain(&world.terms()[..1]);
    let (carol, aria) = (&world.others[1], &world.others[0]);
    let chain = GrantChain::new(&tokens, &carol.did, &aria.did, NOW);
    assert_eq!(chain.unwrap_err(), GrantError::Audience);
    // Nor does one in which somebody else than the agent gives access to it.
    let mut claims = claims(&world);
    claims["iss"] = json!(carol.did);
    assert_eq!(world.show(&[forge(carol, &claims)], aria), Err(GrantError::Audience));
    claims["iss"] = json!(world.bruno.did);
    claims["aud"] = json!(carol.did);
    assert_eq!(world.show(&[forge(&world.bruno, &claims)], aria), Err(GrantError::Audience));
    // Nor does one that names another agent on the way.
    let tokens = world.chain(&[GrantTerms { depth: 1, ..terms(&aria.did) }]);
    claims["iss"] = json!(aria.did);
    claims["parent"] = json!(TokenId::of(tokens[0].as_bytes()));
    claims["sub"] = json!(carol.did);
    claims["limits"] = json!({ "messages_per_day": 1 });
    let mut on = |aud: &Did| {
        claims["aud"] = json!(aud);
        world.show(&[tokens[0].clone(), forge(aria, &claims)], carol).map(|_| ())
    };
    assert_eq!(on(&aria.did), Err(GrantError::Audience));
    assert_eq!(on(&world.bruno.did), Ok(()));
}

#[test]
fn a_grantee_verifies_what_it_was_given_without_knowing_for_whom() {
    let world = World::new();
    let tokens = world.chain(&world.terms()[..2]);
    let received = |holder: &Party| {
        let chain = GrantChain::received(&tokens, &holder.did, NOW)?;
        drive(chain, &world.documents(), &[]).0.map(|granted| granted.audience())
    };
    assert_eq!(received(&world.others[1]), Ok(world.bruno.did.clone()));
    assert_eq!(received(&world.others[0]), Err(GrantError::Holder));
}

#[test]
fn a_right_is_one_of_this_sender_at_this_recipient_with_this_protocol_at_this_time() {
    let world = World::new();
    let (bruno, aria, carol) = (&world.bruno.did, &world.others[0].did, &world.others[1].did);
    let granted = world.show(&world.chain(&world.terms()[..1]), &world.others[0]).unwrap();
    let gives = |recipient: &Did, sender: &Did, piuri: &str, now: UnixTime| {
        granted.gives(recipient, sender, &piuri.parse().unwrap(), now)
    };
    let until = granted.until();
    assert_eq!(gives(bruno, aria, PROPOSAL, until.saturating_sub(1)), Some(Level::Task));
    assert_eq!(gives(bruno, aria, PROPOSAL, until), None);
    assert_eq!(gives(bruno, aria, "https://example.org/other/1.0", NOW), None);
    assert_eq!(gives(bruno, carol, PROPOSAL, NOW), None);
    assert_eq!(gives(carol, aria, PROPOSAL, NOW), None);
}

#[test]
fn tokens_that_do_not_follow_from_each_other_are_no_chain() {
    let world = World::new();
    let tokens = world.chain(&world.terms());
    let [a, b, c, d] = <[String; 4]>::try_from(tokens).unwrap();
    let aria = &world.others[0];
    let last = &world.others[3];
    for broken in [
        vec![a.clone(), c.clone(), d.clone()],
        vec![a.clone(), b.clone(), d.clone()],
        vec![a.clone(), c, b.clone(), d.clone()],
        vec![a.clone(), a.clone(), b.clone(), d],
    ] {
        assert_eq!(world.show(&broken, last), Err(GrantError::Link));
    }
    // Without its beginning.
    assert_eq!(world.show(std::slice::from_ref(&b), aria), Err(GrantError::Audience));
    // Behind another grant to the same grantee.
    let other = world.chain(&[GrantTerms { name: "g-2".to_owned(), ..world.terms()[0].clone() }]);
    assert_eq!(world.show(&[other[0].clone(), b], &world.others[1]), Err(GrantError::Link));
    // A first token that claims to hand on something, and a later one that does not.
    let mut claims = claims(&world);
    claims["parent"] = json!(TokenId::of(b"x"));
    assert_eq!(world.show(&[forge(&world.bruno, &claims)], aria), Err(GrantError::Link));
    claims.as_object_mut().unwrap().remove("parent");
    claims["iss"] = json!(aria.did);
    assert_eq!(world.show(&[a, forge(aria, &claims)], aria), Err(GrantError::Link));
}

#[test]
fn a_chain_that_anybody_made_up_makes_nobody_fetch_anything() {
    let world = World::new();
    let (aria, carol) = (&world.others[0], &world.others[1]);
    let asked = |tokens: &[String]| {
        let chain = GrantChain::new(tokens, &world.bruno.did, &carol.did, NOW).unwrap();
        drive(chain, &world.documents(), &[])
    };
    // Carol signs in Bruno's name, and then in the names of others.
    let impostor = Party::new("did:web:bruno.example", None);
    let forged = forge(&impostor, &claims(&world));
    let mut of_aria = claims(&world);
    of_aria["iss"] = json!(aria.did);
    let (result, documents) = asked(&[forged, forge(aria, &of_aria)]);
    assert_eq!(result, Err(GrantError::Signature));
    let own = std::slice::from_ref(&world.bruno.did);
    assert_eq!(documents, own, "which is the recipient's");
    // Behind a good grant stands one of somebody whom it was not given to.
    let good = world.chain(&world.terms()[..1]);
    of_aria["iss"] = json!("did:web:victim.example");
    let victim = forge(&Party::new("did:web:victim.example", None), &of_aria);
    let (result, documents) = asked(&[good[0].clone(), victim]);
    assert_eq!(result, Err(GrantError::Link));
    assert_eq!(documents, own);
}

#[test]
fn a_revoked_token_ends_every_chain_that_it_is_in_if_its_own_grantor_revoked_it() {
    let world = World::new();
    let tokens = world.chain(&world.terms());
    let grantors = [&world.bruno, &world.others[0], &world.others[1], &world.others[2]];
    let with = |revoked: &[(TokenId, Did)]| {
        let by = &world.others[3].did;
        let chain = GrantChain::new(&tokens, &world.bruno.did, by, NOW).unwrap();
        drive(chain, &world.documents(), revoked).0.map(|_| ())
    };
    for (number, (token, grantor)) in tokens.iter().zip(grantors).enumerate() {
        let id = TokenId::of(token.as_bytes());
        assert_eq!(with(&[(id, grantor.did.clone())]), Err(GrantError::Revoked), "{number}");
        let other = &world.others[3].did;
        assert_eq!(with(&[(id, other.clone())]), Ok(()), "{number}: it is not his to revoke");
    }
    assert_eq!(with(&[(TokenId::of(b"x"), world.bruno.did.clone())]), Ok(()));
}

#[test]
fn a_grant_holds_within_its_window_only() {
    let world = World::new();
    let from = NOW.saturating_add(1_000);
    let window = |terms: GrantTerms| GrantTerms { from, until: from.saturating_add(100), ..terms };
    let aria = &world.others[0];
    let tokens = world.chain(&[window(terms(&aria.did))]);
    let at = |second: u64| world.show_at(&tokens, aria, UnixTime(second)).map(|_| ());
    assert_eq!(at(from.0 - CLOCK_SKEW_S_MAX - 1), Err(GrantError::NotYet));
    assert_eq!(at(from.0 - CLOCK_SKEW_S_MAX), Ok(()));
    assert_eq!(at(from.0 + 99), Ok(()));
    assert_eq!(at(from.0 + 100), Err(GrantError::Expired));
    assert_eq!(at(u64::MAX), Err(GrantError::Expired));
}

#[test]
fn only_a_key_for_authentication_grants() {
    let world = World::new();
    let tokens = world.chain(&world.terms()[..2]);
    for party in [&world.bruno, &world.others[0]] {
        let moved = party.changed(&|document| {
            document.assertion_method = std::mem::take(&mut document.authentication);
        });
        let mut documents = world.documents();
        documents.insert(party.did.clone(), moved.document);
        let by = &world.others[1].did;
        let chain = GrantChain::new(&tokens, &world.bruno.did, by, NOW).unwrap();
        assert_eq!(drive(chain, &documents, &[]).0, Err(GrantError::Signature));
    }
}

/// Aria's domain is taken over by a thief. Messages from there were refused for their keys; but by
/// Aria's grant the thief could give a DID of its own what was given to her.
#[test]
fn whoever_has_taken_a_domain_does_not_hand_on_what_its_owner_was_granted() {
    let mut world = World::new();
    let aria = Contact::new(&world.others[0].did, Some(&world.others[0].document), NOW);
    let task = "https://comity.dev/protocols/task/1.0".parse().unwrap();
    let low = "https://didcomm.org/trust-ping/2.0".parse().unwrap();
    let ruling = |world: &World, level, protocol: &ProtocolId| {
        let scope = vec![protocol.clone()];
        let terms = world.terms().into_iter().take(2);
        let terms: Vec<_> =
            terms.map(|terms| GrantTerms { scope: scope.clone(), level, ..terms }).collect();
        let granted = Some(world.show(&world.chain(&terms), &world.others[1]).unwrap());
        let question = Question {
            recipient: world.bruno.did.clone(),
            sender: world.others[1].did.clone(),
            protocol: protocol.clone(),
            threads: Vec::new(),
            way_in: WayIn::Direct,
            size_bytes: 100,
            keys: pinned_keys(&world.others[1].document),
            is_for_home: false,
            shown: Shown { granted, ..Shown::default() },
            scrutiny: Scrutiny::Thorough,
            prior: None,
        };
        let facts =
            Facts { grantors: vec![aria.clone()], ..Facts::nothing_known(Recipient::Agent) };
        let decision = decide(&question, &facts, NOW).decision;
        (decision, Contact::after(&question, &facts, &decision, NOW))
    };
    assert_eq!(ruling(&world, Level::Task, &task).0, Decision::Allow(Admission::Grant));

    let did = world.others[0].did.to_string();
    world.others[0] = Party::new(&did, None);
    let (decision, after) = ruling(&world, Level::Task, &task);
    assert_eq!(decision, Decision::Refuse(Refusal::KeyChanged));
    // The operator is asked about Aria, and not about whom she seems to have chosen.
    let after = after.unwrap();
    assert_eq!((&after.did, &after.keys), (&aria.did, &aria.keys));
    assert_eq!(after.changed.unwrap().keys, pinned_keys(&world.others[0].document));
    // As for messages of her own, little is no matter.
    let (decision, _) = ruling(&world, Level::Message, &low);
    assert_eq!(decision, Decision::Allow(Admission::Grant));
}

#[test]
fn who_cannot_be_resolved_grants_nothing() {
    let world = World::new();
    let tokens = world.chain(&world.terms()[..2]);
    let mut documents = world.documents();
    documents.remove(&world.others[0].did);
    let chain = GrantChain::new(&tokens, &world.bruno.did, &world.others[1].did, NOW).unwrap();
    assert_eq!(drive(chain, &documents, &[]).0, Err(GrantError::Unresolvable));
}

#[test]
fn answers_to_another_question_change_nothing() {
    let world = World::new();
    let tokens = world.chain(&world.terms()[..1]);
    let aria = &world.others[0];
    let mut chain = GrantChain::new(&tokens, &world.bruno.did, &aria.did, NOW).unwrap();
    for input in [
        GrantInput::Document(Arc::clone(&aria.document)),
        GrantInput::Unresolvable(aria.did.clone()),
        GrantInput::Revoked(Vec::new()),
    ] {
        chain.handle_input(input);
        assert_eq!(chain.poll_output(), GrantOutput::Resolve(world.bruno.did.clone()));
    }
    chain.handle_input(GrantInput::Document(Arc::clone(&world.bruno.document)));
    let question = chain.poll_output();
    assert!(matches!(question, GrantOutput::Revocations(_)));
    chain.handle_input(GrantInput::Document(Arc::clone(&world.bruno.document)));
    assert_eq!(chain.poll_output(), question);
    chain.handle_input(GrantInput::Revoked(Vec::new()));
    let end = chain.poll_output();
    assert!(matches!(end, GrantOutput::Done(Ok(_))));
    chain.handle_input(GrantInput::Revoked(vec![TokenId::of(tokens[0].as_bytes())]));
    assert_eq!(chain.poll_output(), end, "the end stays");
}

#[test]
fn claims_that_are_not_those_of_a_grant_are_refused() {
    let world = World::new();
    let aria = &world.others[0];
    let with = |name: &str, value: Value| {
        let mut claims = claims(&world);
        claims[name] = value;
        world.show(&[forge(&world.bruno, &claims)], aria).map(|_| ())
    };
    let long = GRANT_LIFE_S_MAX;
    for (name, value) in [
        ("level", json!(1)),
        ("level", json!(4)),
        ("depth", json!(3)),
        ("exp", json!(NOW.0 + long)),
        ("limits", json!({})),
        ("scope", json!(vec![PROPOSAL; SCOPE_MAX])),
    ] {
        assert_eq!(with(name, value.clone()), Ok(()), "{name} {value}");
    }
    for (name, value) in [
        ("level", json!(0)),
        ("level", json!(5)),
        ("level", json!(259)),
        ("level", json!("task")),
        ("level", json!(3.5)),
        ("depth", json!(4)),
        ("depth", json!(-1)),
        ("scope", json!(PROPOSAL)),
        ("scope", json!(["proposal"])),
        ("scope", Value::Null),
        ("scope", json!(vec![PROPOSAL; SCOPE_MAX + 1])),
        ("limits", json!({ "calls_per_day": 1 })),
        ("limits", json!({ "messages_per_day": -1 })),
        // Handed on to somebody who does better without it.
        ("limits", json!({ "messages_per_day": 0 })),
        ("limits", json!({ "bytes_per_day": 0 })),
        ("limits", json!({ "messages_per_day": 5, "tasks_open": 0 })),
        ("limits", json!([])),
        ("nbf", json!(NOW.0 + 100)),
        ("exp", json!(NOW.0 + long + 1)),
        ("exp", json!(1e12)),
        ("jti", json!("")),
        ("jti", json!("a b")),
        ("jti", json!(7)),
        ("aud", json!([world.bruno.did])),
        ("sub", json!("aria")),
        ("sub", json!(format!("{}#key-1", aria.did))),
        ("only_on", json!("sundays")),
    ] {
        assert_eq!(with(name, value.clone()), Err(GrantError::Malformed), "{name} {value}");
    }
    for name in ["sub", "aud", "scope", "level", "nbf", "exp", "jti"] {
        let mut claims = claims(&world);
        claims.as_object_mut().unwrap().remove(name);
        let refused = world.show(&[forge(&world.bruno, &claims)], aria);
        assert_eq!(refused, Err(GrantError::Malformed), "{name}");
    }
}

#[test]
fn a_chain_is_bounded_and_of_grants_only() {
    let world = World::new();
    let aria = &world.others[0];
    let tokens = world.chain(&world.terms());
    assert_eq!(tokens.len(), GRANT_CHAIN_MAX);
    let mut five = tokens;
    five.push(five[3].clone());
    assert_eq!(world.show(&five, aria), Err(GrantError::Malformed));
    assert_eq!(world.show(&[], aria), Err(GrantError::Malformed));
    for text in ["", "a.b.c", &"A".repeat(TOKEN_CHARS_MAX + 1)] {
        assert_eq!(world.show(&[text.to_owned()], aria), Err(GrantError::Malformed));
    }
    // Sound, but made for another purpose.
    let (kid, key) = world.bruno.keys().signing;
    let claims = claims(&world).as_object().cloned().unwrap();
    let other = Jwt::sign("vc+jwt", &kid, &key, &claims).unwrap();
    assert_eq!(world.show(&[other], aria), Err(GrantError::Malformed));
}

#[test]
fn both_forms_of_a_peer_did_are_one_party() {
    let world = World::new();
    let peer = |seed: u8| {
        let key = SigningKey::from_seed([seed; 32].into());
        (did::peer::create_4(&[key.public()], &[]).unwrap(), key)
    };
    let ((bruno, bruno_key), (aria, aria_key), (carol, _)) = (peer(1), peer(2), peer(3));
    let document = |long: &Did| Arc::new(resolve_self_contained(long).unwrap().unwrap());
    let documents = [&bruno.long, &aria.long].map(|long| (long.clone(), document(long))).into();
    // The long forms say how to verify; what is given is given to the short ones.
    let first = GrantTerms { depth: 1, ..terms(&aria.short) };
    let first = Grant::issue(&first, (&bruno.long.url("key-1"), &bruno_key)).unwrap();
    let show = |tokens: &[String], recipient: &Did, sender: &Did| {
        drive(GrantChain::new(tokens, recipient, sender, NOW).unwrap(), &documents, &[]).0
    };
    let granted = show(std::slice::from_ref(&first), &bruno.short, &aria.long).unwrap();
    let second = granted.narrow(&terms(&carol.short), (&aria.long.url("key-1"), &aria_key));
    let tokens = [first, second.unwrap()];
    for recipient in [&bruno.short, &bruno.long] {
        for sender in [&carol.short, &carol.long] {
            let granted = show(&tokens, recipient, sender).unwrap();
            let path = [&bruno, &aria, &carol].map(|party| party.short.clone());
            assert_eq!(granted.path(), path);
        }
    }
    assert_eq!(show(&tokens, &bruno.short, &aria.short), Err(GrantError::Holder));
    assert_eq!(world.show(&tokens, &world.bruno), Err(GrantError::Audience));
}

#[test]
fn more_than_one_has_cannot_be_handed_on() {
    let world = World::new();
    let aria = &world.others[0];
    let held = GrantTerms { depth: 1, from: NOW, ..terms(&aria.did) };
    let granted = world.show(&world.chain(&[held]), aria).unwrap();
    let (kid, key) = aria.keys().signing;
    let good = terms(&world.others[1].did);
    let narrow = |terms: GrantTerms| granted.narrow(&terms, (&kid, &key)).map(|_| ());
    assert_eq!(narrow(good.clone()), Ok(()));
    let unlimited = Limits::UNLIMITED;
    let more = Limits { messages_per_day: Some(11), ..unlimited };
    let other = "https://example.org/other/1.0".parse().unwrap();
    for (terms, error) in [
        (GrantTerms { level: Level::Execute, ..good.clone() }, NarrowError::Level),
        (GrantTerms { limits: unlimited, ..good.clone() }, NarrowError::Limits),
        (GrantTerms { limits: more, ..good.clone() }, NarrowError::Limits),
        (GrantTerms { scope: Vec::new(), ..good.clone() }, NarrowError::Scope),
        (GrantTerms { scope: vec![other], ..good.clone() }, NarrowError::Scope),
        (GrantTerms { until: NOW.saturating_add(101), ..good.clone() }, NarrowError::Window),
        (GrantTerms { from: NOW.saturating_sub(1), ..good.clone() }, NarrowError::Window),
        (GrantTerms { depth: 1, ..good.clone() }, NarrowError::Depth),
        (GrantTerms { level: Level::Blocked, ..good.clone() }, TermsError::Level.into()),
        (GrantTerms { until: NOW, ..good.clone() }, TermsError::Window.into()),
        (GrantTerms { depth: 4, ..good.clone() }, TermsError::Depth.into()),
        (GrantTerms { name: String::new(), ..good.clone() }, TermsError::Name.into()),
    ] {
        assert_eq!(narrow(terms.clone()), Err(error), "{terms:?}");
    }
    let (kid, key) = world.others[1].keys().signing;
    assert_eq!(granted.narrow(&good, (&kid, &key)), Err(NarrowError::Holder));
}

#[test]
fn what_could_not_be_read_is_not_signed() {
    let world = World::new();
    let (kid, key) = world.bruno.keys().signing;
    let good = terms(&world.others[0].did);
    let issue = |terms: GrantTerms| Grant::issue(&terms, (&kid, &key)).map(|_| ());
    assert_eq!(issue(good.clone()), Ok(()));
    let protocol: ProtocolId = PROPOSAL.parse().unwrap();
    let long: ProtocolId = format!("https://{}/p/1.0", "a".repeat(480)).parse().unwrap();
    for (terms, error) in [
        (GrantTerms { level: Level::Blocked, ..good.clone() }, TermsError::Level),
        (GrantTerms { scope: vec![protocol; SCOPE_MAX + 1], ..good.clone() }, TermsError::Scope),
        (GrantTerms { scope: vec![long; SCOPE_MAX], ..good.clone() }, TermsError::TooLarge),
        (GrantTerms { until: good.from, ..good.clone() }, TermsError::Window),
        (
            GrantTerms { until: good.from.saturating_add(GRANT_LIFE_S_MAX + 1), ..good.clone() },
            TermsError::Window,
        ),
        (
            GrantTerms { limits: Limits { tasks_open: Some(0), ..good.limits }, ..good.clone() },
            TermsError::Limits,
        ),
        (GrantTerms { name: "\u{e9}".to_owned(), ..good }, TermsError::Name),
    ] {
        assert_eq!(issue(terms), Err(error), "{error}");
    }
}

#[test]
fn every_error_has_a_code_of_its_own() {
    for error in GrantError::ALL {
        assert!(ProblemCode::parse(error.code()).is_ok(), "{error:?}");
        assert!(error.code().starts_with("e.m.trust.grant."), "{error:?}");
        let same = GrantError::ALL.iter().filter(|other| other.code() == error.code());
        assert_eq!(same.count(), 1, "{error:?}");
    }
}
