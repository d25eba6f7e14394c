//! What two signatures prove, and that one proves nothing.

use comity_didcomm::problem::ProblemCode;
use serde_json::json;

use super::*;
use crate::testing::{NOW, Party};

struct Case {
    worker: Party,
    client: Party,
    mallory: Party,
}

fn case() -> Case {
    let party = |name: &str| Party::new(&format!("did:web:{name}.example"), None);
    Case { worker: party("worker"), client: party("client"), mallory: party("mallory") }
}

impl Case {
    fn work(&self) -> Work {
        Work {
            worker: self.worker.did.clone(),
            client: self.client.did.clone(),
            thid: "t-1".to_owned(),
            protocol: "https://example.org/task/1.0".parse().unwrap(),
            outcome: Ending::Accepted,
            at: NOW,
        }
    }

    fn propose(&self, work: &Work) -> Proposal {
        let (kid, key) = self.worker.keys().signing;
        read(&work.sign((&kid, &key)).unwrap(), &self.worker).unwrap()
    }
}

fn read(token: &str, party: &Party) -> Result<Proposal, OutcomeError> {
    SignedOutcome::parse(token)?.verify(&party.document, NOW)
}

/// Signs a payload as nobody does who means well.
fn forge(party: &Party, payload: &str) -> String {
    let (kid, key) = party.keys().signing;
    CompactJws::sign(OUTCOME_TYPE, &kid, &key, payload.as_bytes()).unwrap()
}

#[test]
fn what_both_sign_is_an_outcome_with_one_name_for_both() {
    let case = case();
    for ending in Ending::ALL {
        let work = Work { outcome: ending, ..case.work() };
        let proposal = case.propose(&work);
        assert_eq!((proposal.work(), proposal.signer()), (&work, &case.worker.did));
        let (kid, key) = case.client.keys().signing;
        let answer = proposal.agree((&kid, &key)).unwrap();
        let answer = read(&answer, &case.client).unwrap();
        let outcome = proposal.with(&answer).unwrap();
        assert_eq!(outcome.work(), &work);
        assert_eq!(answer.with(&proposal).unwrap().id(), outcome.id());
        assert_eq!(ending.as_str().parse(), Ok(ending));
    }
    assert_eq!("great".parse::<Ending>(), Err(UnknownEnding));
}

#[test]
fn one_side_alone_or_twice_is_no_outcome() {
    let case = case();
    let proposal = case.propose(&case.work());
    assert_eq!(proposal.with(&proposal), Err(OutcomeError::Party));
    let (kid, key) = case.worker.keys().signing;
    assert_eq!(proposal.agree((&kid, &key)), Err(OutcomeError::Party));
    let again = read(&case.work().sign((&kid, &key)).unwrap(), &case.worker).unwrap();
    assert_eq!(proposal.with(&again), Err(OutcomeError::Party));
}

#[test]
fn who_took_no_part_has_no_say() {
    let case = case();
    let proposal = case.propose(&case.work());
    let (kid, key) = case.mallory.keys().signing;
    assert_eq!(proposal.agree((&kid, &key)), Err(OutcomeError::Party));
    assert_eq!(case.work().sign((&kid, &key)), Err(OutcomeError::Party));
    let payload = String::from_utf8(proposal.payload).unwrap();
    let token = forge(&case.mallory, &payload);
    assert_eq!(read(&token, &case.mallory), Err(OutcomeError::Party));
    // With the client's name on a key of her own.
    let impostor = Party::new("did:web:client.example", None);
    assert_eq!(read(&forge(&impostor, &payload), &case.client), Err(OutcomeError::Signature));
    let own = Work { client: case.worker.did.clone(), ..case.work() };
    let (kid, key) = case.worker.keys().signing;
    assert_eq!(own.sign((&kid, &key)), Err(OutcomeError::Party));
}

#[test]
fn two_who_say_different_things_agree_on_nothing() {
    let case = case();
    let proposal = case.propose(&case.work());
    let (kid, key) = case.client.keys().signing;
    for other in [
        Work { outcome: Ending::Disputed, ..case.work() },
        Work { thid: "t-2".to_owned(), ..case.work() },
        Work { at: NOW.saturating_sub(1), ..case.work() },
    ] {
        let other = read(&other.sign((&kid, &key)).unwrap(), &case.client).unwrap();
        assert_eq!(proposal.with(&other), Err(OutcomeError::Differs));
    }
    // The same in other bytes.
    let spaced = format!(" {}", serde_json::to_string(&case.work()).unwrap());
    let spaced = read(&forge(&case.client, &spaced), &case.client).unwrap();
    assert_eq!(proposal.with(&spaced), Err(OutcomeError::Differs));
    let (kid, key) = case.worker.keys().signing;
    let answer = spaced.agree((&kid, &key)).unwrap();
    assert!(spaced.with(&read(&answer, &case.worker).unwrap()).is_ok(), "the bytes are kept");
}

#[test]
fn statements_that_are_none_of_an_outcome_are_refused() {
    let case = case();
    let good = serde_json::to_value(case.work()).unwrap();
    let with = |name: &str, value: Value| {
        let mut work = good.clone();
        work[name] = value;
        read(&forge(&case.worker, &work.to_string()), &case.worker).map(|_| ())
    };
    assert_eq!(with("at", json!(NOW.0 + CLOCK_SKEW_S_MAX)), Ok(()));
    assert_eq!(with("at", json!(NOW.0 + CLOCK_SKEW_S_MAX + 1)), Err(OutcomeError::NotYet));
    for (name, value) in [
        ("outcome", json!("great")),
        ("outcome", json!("Accepted")),
        ("thid", json!("")),
        ("thid", json!("a b")),
        ("thid", json!("x".repeat(THREAD_ID_CHARS_MAX + 1))),
        ("protocol", json!("task")),
        ("at", json!("now")),
        ("client", json!("somebody")),
        ("stars", json!(5)),
    ] {
        assert_eq!(with(name, value.clone()), Err(OutcomeError::Malformed), "{name} {value}");
    }
    let list = json!([good["worker"], good["client"], "t-1", good["protocol"], "accepted", NOW]);
    let twice = good.to_string().replacen('{', r#"{"outcome":"refused","#, 1);
    for payload in [list.to_string(), twice, "{}".to_owned(), String::new()] {
        let refused = read(&forge(&case.worker, &payload), &case.worker);
        assert_eq!(refused, Err(OutcomeError::Malformed), "{payload}");
    }
    let (kid, key) = case.worker.keys().signing;
    let other = CompactJws::sign("JWT", &kid, &key, good.to_string().as_bytes()).unwrap();
    let long = "A".repeat(TOKEN_CHARS_MAX + 1);
    for text in [&*other, &*long, "", "a.b.c"] {
        assert_eq!(SignedOutcome::parse(text), Err(OutcomeError::Malformed));
    }
    let blank = Work { thid: String::new(), ..case.work() };
    assert_eq!(blank.sign((&kid, &key)), Err(OutcomeError::Malformed));
}

#[test]
fn a_key_for_statements_counts_where_a_document_lists_any() {
    let case = case();
    let token = forge(&case.worker, &serde_json::to_string(&case.work()).unwrap());
    let listing = |assertion: bool, authentication: bool| {
        let party = case.worker.changed(&|document| {
            let keys = std::mem::take(&mut document.authentication);
            document.assertion_method = if assertion { keys.clone() } else { Vec::new() };
            document.authentication = if authentication { keys } else { Vec::new() };
        });
        read(&token, &party).map(|_| ())
    };
    assert_eq!(listing(true, false), Ok(()));
    assert_eq!(listing(false, true), Ok(()));
    assert_eq!(listing(false, false), Err(OutcomeError::Signature));
    // Other keys for statements: the one for messages does not count any more.
    let other = case.worker.changed(&|document| {
        document.assertion_method = vec![document.id.url("key-9")];
    });
    assert_eq!(read(&token, &other), Err(OutcomeError::Signature));
}

#[test]
fn every_error_has_a_code_of_its_own() {
    for error in OutcomeError::ALL {
        assert!(ProblemCode::parse(error.code()).is_ok(), "{error:?}");
        let same = OutcomeError::ALL.iter().filter(|other| other.code() == error.code());
        assert_eq!(same.count(), 1, "{error:?}");
    }
}
