//! What a session says about friends, to relays that know the protocol and to those that do not.

use comity_didcomm::problem::ProblemCode;

use super::*;
use crate::admission::{Rule, Secret};
use crate::limits::VIA_UPDATES_MAX;
use crate::protocol::admission::{ADMISSION, AdmissionMessage};
use crate::protocol::discover_features::{DiscoverFeatures, Feature};

fn rule(generation: u32) -> Rule {
    let key = Secret::new(&[1; 32]).rule_key(&agent(0), generation).public();
    Rule { key, pool_percent: None }
}

impl Stand {
    fn rule(&mut self, did: Did, generation: u32, standing: RuleStanding) {
        self.input(Input::Rule { did, rule: rule(generation), standing });
    }

    /// Returns the one message that is said, and nothing else.
    fn said(&mut self) -> Message {
        match self.outputs().pop() {
            Some(Output::Say(message)) => *message,
            other => panic!("{other:?}"),
        }
    }

    fn disclose(&mut self, question: &Message, features: Vec<Feature>) {
        let answer = DiscoverFeatures::Disclose(features);
        let answer = answer.into_message(MessageId::random(&mut rng()));
        self.hear(answer.with_thid(question.thread_id()));
    }

    fn rule_set(&mut self, question: &Message) {
        let AdmissionMessage::Rule { recipient_did, .. } = asked(question) else { panic!() };
        let answer = AdmissionMessage::RuleSet { recipient_did };
        let answer = answer.into_message(MessageId::random(&mut rng()));
        self.hear(answer.with_thid(question.thread_id()));
    }

    fn report(&mut self, question: &Message) {
        let code = ProblemCode::parse("e.m.msg.unsupported").unwrap();
        let report = ProblemReport::new(code, "no");
        let id = MessageId::random(&mut rng());
        self.hear(report.into_message(id, question.thread_id(), Vec::new()));
    }
}

fn asked(message: &Message) -> AdmissionMessage {
    AdmissionMessage::parse(message).unwrap()
}

fn offer() -> Vec<Feature> {
    vec![Feature::protocol(ADMISSION, &["relay"])]
}

/// Returns a live stand whose relay knows the protocol and has the rule.
fn ruled() -> Stand {
    let mut stand = Stand::live();
    stand.rule(agent(0), 0, RuleStanding::Missing);
    let query = stand.said();
    stand.disclose(&query, offer());
    let question = stand.said();
    stand.rule_set(&question);
    assert_eq!(stand.outputs(), [Output::Ruled(agent(0), rule(0))]);
    stand
}

#[test]
fn a_relay_is_asked_what_it_knows_and_then_told_the_rule_of_whom_it_has_registered() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.outputs();
    stand.rule(agent(0), 0, RuleStanding::Missing);
    let query = stand.said();
    let Ok(DiscoverFeatures::Queries(queries)) = DiscoverFeatures::parse(&query) else { panic!() };
    assert!(queries[0].matches(&offer()[0]));
    stand.disclose(&query, offer());
    assert!(stand.outputs().is_empty(), "it is not registered yet");
    stand.prove(&[agent(0)]);
    stand.outputs();
    stand.updated(&[(agent(0), UpdateResult::Success)]);
    let question = stand.said();
    let expected = AdmissionMessage::Rule { recipient_did: agent(0), rule: Some(rule(0)) };
    assert_eq!(asked(&question), expected);
    stand.rule_set(&question);
    assert_eq!(stand.outputs(), [Output::Ruled(agent(0), rule(0))]);
    stand.rule_set(&question);
    assert!(stand.outputs().is_empty(), "an answer to nothing is none");
}

#[test]
fn a_relay_that_does_not_know_the_protocol_is_left_in_peace() {
    let report: fn(&mut Stand, &Message) = Stand::report;
    let empty = |stand: &mut Stand, query: &Message| stand.disclose(query, Vec::new());
    let other = |stand: &mut Stand, query: &Message| {
        stand.disclose(query, vec![Feature::protocol(ADMISSION, &["recipient"])]);
    };
    for answer in [report, empty, other] {
        let mut stand = Stand::live();
        stand.rule(agent(0), 0, RuleStanding::Missing);
        let query = stand.said();
        answer(&mut stand, &query);
        assert!(stand.outputs().is_empty(), "neither trouble nor a new request");
        stand.rule(agent(0), 1, RuleStanding::Missing);
        assert!(stand.outputs().is_empty());
        // A report about anything else is what it always was.
        let elsewhere = Message::new(MessageId::random(&mut rng()), query.type_.clone());
        stand.report(&elsewhere);
        assert_eq!(stand.shorts()[0], "mediate-request");
    }
}

#[test]
fn what_the_relay_said_on_an_earlier_connection_is_not_told_again() {
    let mut stand = Stand::live();
    stand.rule(agent(0), 0, RuleStanding::Set);
    assert!(stand.outputs().is_empty());
    stand.rule(agent(0), 1, RuleStanding::Missing);
    assert_eq!(stand.shorts(), ["queries"]);
}

#[test]
fn a_new_rule_takes_the_place_of_one_whose_answer_has_not_come() {
    let mut stand = ruled();
    stand.rule(agent(0), 1, RuleStanding::Missing);
    let former = stand.said();
    stand.rule(agent(0), 2, RuleStanding::Missing);
    let present = stand.said();
    stand.rule_set(&former);
    assert!(stand.outputs().is_empty(), "that is not the rule any more");
    stand.rule_set(&present);
    assert_eq!(stand.outputs(), [Output::Ruled(agent(0), rule(2))]);
}

#[test]
fn a_relay_that_has_registered_anew_is_told_again() {
    for (result, again) in [(UpdateResult::Success, 1), (UpdateResult::NoChange, 0)] {
        let mut stand = ruled();
        stand.ticks(VIA_RENEW_TICKS);
        stand.outputs();
        stand.prove(&[agent(0)]);
        stand.outputs();
        stand.updated(&[(agent(0), result)]);
        let rules = stand.shorts().into_iter().filter(|said| said == "rule").count();
        assert_eq!(rules, again, "{result:?}");
    }
}

#[test]
fn a_rule_that_is_refused_or_not_answered_is_told_again_at_the_next_look() {
    let mut stand = ruled();
    stand.rule(agent(0), 1, RuleStanding::Missing);
    let question = stand.said();
    stand.report(&question);
    let code = "e.m.msg.unsupported".to_owned();
    let trouble = Trouble::RuleRefused { did: agent(0), code };
    assert_eq!(stand.outputs(), [Output::Trouble(trouble)]);
    for _look in 0..2 {
        stand.ticks(VIA_LOOK_TICKS);
        let said = stand.shorts();
        assert!(said.contains(&"rule".to_owned()), "{said:?}");
    }
}

#[test]
fn a_few_rules_at_a_time_are_under_way() {
    let identities: Vec<_> = (0..VIA_UPDATES_MAX + 2).map(agent).collect();
    let mut stand = Stand::live();
    stand.session =
        Session::new(stand.session.parties.clone(), identities.clone(), &|_| true, NOW, &mut rng());
    stand.outputs();
    stand.rule(identities[0].clone(), 0, RuleStanding::Missing);
    let query = stand.said();
    for did in &identities[1..] {
        stand.rule(did.clone(), 0, RuleStanding::Missing);
    }
    stand.disclose(&query, offer());
    let mut said = stand.outputs();
    assert_eq!(said.len(), VIA_UPDATES_MAX);
    let Some(Output::Say(one)) = said.pop() else { panic!() };
    stand.rule_set(&one);
    assert_eq!(stand.shorts(), ["ruled", "rule"]);
}
