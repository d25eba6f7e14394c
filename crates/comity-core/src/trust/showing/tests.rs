//! Whose documents are fetched for what is shown, and what counts of it.

use std::sync::Arc;

use comity_didcomm::Jwt;
use serde_json::json;

use super::*;
use crate::api::rfc3339;
use crate::refusal::Refusal;
use crate::testing::{NOW, Party};
use crate::trust::credential::{CREDENTIAL_CONTEXT, CREDENTIAL_TYPE, STATUS_TYPE};
use crate::trust::{
    Admission, Decision, Entry, EntryKind, Level, Recipient, Scrutiny, VouchTerms, WayIn, decide,
};

const ARIA: &str = "did:web:a.example:agents:aria";

fn party(name: &str) -> Party {
    Party::new(&format!("did:web:{name}.example"), None)
}

fn vouch(by: &Party, subject: &str, depth: u8) -> String {
    let terms = VouchTerms {
        subject: subject.parse().unwrap(),
        scope: Vec::new(),
        level: Level::Message,
        depth,
        from: NOW,
        until: NOW.saturating_add(60),
        urn: "urn:uuid:1".to_owned(),
    };
    let (kid, key) = by.keys().signing;
    terms.sign((&kid, &key)).unwrap()
}

/// A membership, which its issuer may answer for.
fn membership(by: &Party, has_status: bool) -> String {
    let mut claims = json!({
        "@context": [CREDENTIAL_CONTEXT],
        "type": ["VerifiableCredential", "Member"],
        "issuer": by.did,
        "validFrom": rfc3339(NOW),
        "credentialSubject": { "id": ARIA },
    });
    if has_status {
        claims["credentialStatus"] = json!({ "id": "urn:uuid:1", "type": STATUS_TYPE });
    }
    let (kid, key) = by.keys().signing;
    Jwt::sign(CREDENTIAL_TYPE, &kid, &key, claims.as_object().unwrap()).unwrap()
}

fn question() -> Question {
    Question {
        recipient: "did:web:b.example:agents:bruno".parse().unwrap(),
        sender: ARIA.parse().unwrap(),
        protocol: "https://example.org/proposal/1.0".parse().unwrap(),
        threads: Vec::new(),
        way_in: WayIn::Direct,
        size_bytes: 1_000,
        keys: Vec::new(),
        is_for_home: false,
        shown: Shown::default(),
        scrutiny: Scrutiny::Thorough,
        prior: None,
    }
}

/// Shows credentials; returns what counts, and how many documents were fetched.
fn show(credentials: Vec<String>, facts: &Facts, known: &[&Party]) -> (Shown, usize) {
    let tokens = AttachedTokens { credentials, ..AttachedTokens::default() };
    let mut showing = Showing::new(&tokens, &question(), facts, NOW);
    let mut fetched = 0;
    loop {
        match showing.poll_output() {
            ShowingOutput::Resolve(did) => {
                fetched += 1;
                match known.iter().find(|party| party.did == did) {
                    Some(party) => showing.document(Arc::clone(&party.document)),
                    None => showing.unresolvable(did),
                }
            }
            ShowingOutput::Revocations(_) => showing.revoked(Vec::new()),
            ShowingOutput::Done(shown) => return (shown, fetched),
        }
    }
}

fn anchored(party: &Party) -> Facts {
    let mut facts = Facts::nothing_known(Recipient::Agent);
    facts.anchors.insert(party.did.clone());
    facts
}

#[test]
fn a_way_goes_no_further_than_each_vouch_lets_it_and_never_beyond_three() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(party);
    let known = [&a, &b, &c, &d];
    // How many documents are fetched, and how many vouches count.
    let short = [([0, 3, 3], 1, 0), ([1, 0, 3], 2, 0), ([2, 1, 3], 3, 3), ([3, 3, 3], 3, 3)];
    for ([one, two, three], fetched, counted) in short {
        let tokens = vec![
            vouch(&c, ARIA, three),
            vouch(&b, c.did.as_str(), two),
            vouch(&a, b.did.as_str(), one),
        ];
        let (shown, has_fetched) = show(tokens, &anchored(&a), &known);
        assert_eq!((has_fetched, shown.vouches.len()), (fetched, counted), "{one} {two}");
    }
    let tokens = vec![
        vouch(&d, ARIA, 3),
        vouch(&c, d.did.as_str(), 3),
        vouch(&b, c.did.as_str(), 3),
        vouch(&a, b.did.as_str(), 3),
    ];
    let (shown, fetched) = show(tokens, &anchored(&a), &known);
    assert_eq!((fetched, shown.vouches.len()), (3, 0), "it is one too many");
}

/// Anybody can show the vouches that somebody with one vouch gives to thousands that it made up.
#[test]
fn vouches_for_others_than_the_sender_do_not_count() {
    let [a, p, q] = ["a", "p", "q"].map(party);
    let made_up = (0..8).map(|n| vouch(&q, &format!("did:web:x{n}.example"), 0));
    let way = [vouch(&a, p.did.as_str(), 2), vouch(&p, q.did.as_str(), 1)];
    let mut tokens: Vec<_> = way.into_iter().chain(made_up).collect();
    let (shown, _) = show(tokens.clone(), &anchored(&a), &[&a, &p, &q]);
    assert!(shown.vouches.is_empty());
    tokens.push(vouch(&q, ARIA, 0));
    let (shown, _) = show(tokens, &anchored(&a), &[&a, &p, &q]);
    assert_eq!(shown.vouches.len(), 3);
}

#[test]
fn who_issues_a_credential_that_an_entry_names_vouches_for_nobody() {
    let chamber = party("chamber");
    let mut facts = Facts::nothing_known(Recipient::Agent);
    facts.entries.push(entry(&chamber));
    let tokens = vec![membership(&chamber, false), vouch(&chamber, ARIA, 0)];
    let (shown, _) = show(tokens, &facts, &[&chamber]);
    assert!(shown.vouches.is_empty());
    assert_eq!(shown.credentials_for(&facts.entries[0].whom).count(), 1);
}

#[test]
fn a_credential_lets_in_while_its_issuer_stands_by_it() {
    let chamber = party("chamber");
    let mut facts = Facts::nothing_known(Recipient::Agent);
    facts.entries.push(entry(&chamber));
    let ruling = |shown: &Shown, book: &VouchBook| {
        let question = Question { shown: shown.clone(), ..question() };
        let facts = Facts { book: Arc::new(book.clone()), ..facts.clone() };
        decide(&question, &facts, NOW).decision
    };
    let (shown, _) = show(vec![membership(&chamber, false)], &facts, &[&chamber]);
    let allowed = Decision::Allow(Admission::AllowList);
    assert_eq!(ruling(&shown, &VouchBook::default()), allowed, "nothing takes it back");

    let (shown, _) = show(vec![membership(&chamber, true)], &facts, &[&chamber]);
    let (mut book, credential) = (VouchBook::default(), &shown.credentials[0]);
    assert_eq!(ruling(&shown, &book), Decision::Hold, "nobody was asked");
    assert!(book.watch(credential, NOW) && book.ask(credential.id(), NOW));
    assert_eq!(ruling(&shown, &book), Decision::Refuse(Refusal::Checking));
    let until = NOW.saturating_add(300);
    let (of, id) = (&chamber.did, credential.id());
    assert!(!book.answer(&ARIA.parse().unwrap(), id, VouchState::Good, until));
    assert!(book.answer(of, id, VouchState::Good, until));
    assert_eq!(ruling(&shown, &book), allowed);
    assert!(book.say(of, id, VouchState::Revoked, until));
    assert_eq!(ruling(&shown, &book), Decision::Hold);
}

fn entry(issuer: &Party) -> Entry {
    let whom = format!("credential:Member@{}", issuer.did).parse().unwrap();
    Entry { level: Level::Message, ..Entry::new(whom, EntryKind::Allow, NOW) }
}
