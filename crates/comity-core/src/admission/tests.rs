//! Tokens, proofs and who is given some, as tables with real keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Curve, MessageId, SigningKey};
use serde_json::json;

use super::*;
use crate::limits::{
    ADMISSION_REISSUE_S, ADMISSION_RENEW_S, ADMISSION_TOKEN_S_MAX, CLOCK_SKEW_S_MAX,
};
use crate::testing::{How, NOW, Party};
use crate::trust::Admission;

const BRUNO: &str = "did:web:b.example:agents:bruno";

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

fn after(seconds: u64) -> UnixTime {
    NOW.saturating_add(seconds)
}

fn id() -> MessageId {
    MessageId::parse("jti-1").unwrap()
}

/// Bruno, who has a rule, and Aria, who has a token.
struct Case {
    bruno: Did,
    rule_key: SigningKey,
    pair_key: SigningKey,
    payload: Vec<u8>,
}

fn case() -> Case {
    let (aria, bruno) = (Party::new("did:web:a.example", None), Party::new(BRUNO, None));
    let message = aria.message("m-1", "https://example.org/offer/1.0/make", &bruno);
    let (his, hers) = (Secret::new(&[1; 32]), Secret::new(&[2; 32]));
    Case {
        payload: aria.seal(&message, &bruno, How::Signed),
        rule_key: his.rule_key(&bruno.did, 0),
        pair_key: hers.pair_key(&aria.did, &bruno.did),
        bruno: bruno.did,
    }
}

impl Case {
    fn token(&self) -> String {
        make_token(&self.rule_key, &self.bruno, &self.pair_key.public(), &id(), NOW).text
    }

    fn proof(&self) -> String {
        proof::make(&self.pair_key, &self.bruno, &self.payload).unwrap()
    }

    fn rule(&self) -> Rule {
        Rule { key: self.rule_key.public(), pool_percent: None }
    }

    fn check(&self, token: &str, proof: &str) -> Result<(), NotAdmitted> {
        let shown = json!({ "token": token, "proof": proof });
        check(Some(&shown), &self.rule(), &self.bruno, &self.payload, NOW)
    }
}

#[test]
fn a_token_and_a_proof_admit_the_payload_however_its_json_is_written() {
    let case = case();
    let (token, proof) = (case.token(), case.proof());
    assert_eq!(case.check(&token, &proof), Ok(()));
    // As a mediator in between writes it: members in another order, with spaces and escapes.
    let value: Value = serde_json::from_slice(&case.payload).unwrap();
    let anew =
        serde_json::to_string_pretty(&value).unwrap().replace("ciphertext", "c\\u0069phertext");
    assert_ne!(anew.as_bytes(), case.payload);
    let case = Case { payload: anew.into_bytes(), ..case };
    assert_eq!(case.check(&token, &proof), Ok(()));
}

#[test]
fn a_token_without_the_key_it_is_bound_to_admits_nothing() {
    let case = case();
    let thief = Secret::new(&[3; 32]).pair_key(&did("did:web:m.example"), &case.bruno);
    let by_thief = proof::make(&thief, &case.bruno, &case.payload).unwrap();
    assert_eq!(case.check(&case.token(), &by_thief), Err(NotAdmitted::Signature));
    // Signed with her own key, the recipient's word is none.
    let own = make_token(&thief, &case.bruno, &thief.public(), &id(), NOW).text;
    assert_eq!(case.check(&own, &by_thief), Err(NotAdmitted::Signature));
}

#[test]
fn what_was_shown_for_one_message_admits_no_other() {
    let (one, other) = (case(), case());
    assert_ne!(one.payload, other.payload);
    assert_eq!(other.check(&one.token(), &one.proof()), Err(NotAdmitted::Other));
    // Nor does any change of the payload go through.
    for member in ["ciphertext", "tag", "iv", "protected"] {
        let mut value: Value = serde_json::from_slice(&one.payload).unwrap();
        let text = value[member].as_str().unwrap();
        value[member] = json!(format!("{text}A"));
        let changed = Case { payload: value.to_string().into_bytes(), ..case() };
        assert_eq!(changed.check(&one.token(), &one.proof()), Err(NotAdmitted::Other), "{member}");
    }
    let mut value: Value = serde_json::from_slice(&one.payload).unwrap();
    value["recipients"][0]["encrypted_key"] = json!("AAAA");
    let changed = Case { payload: value.to_string().into_bytes(), ..case() };
    assert_eq!(changed.check(&one.token(), &one.proof()), Err(NotAdmitted::Other));
    let no_envelope = Case { payload: b"{}".to_vec(), ..case() };
    let outcome = no_envelope.check(&one.token(), &one.proof());
    assert_eq!(outcome, Err(NotAdmitted::Malformed));
}

#[test]
fn a_token_is_for_one_recipient_under_its_present_rule() {
    let case = case();
    let shown = json!({ "token": case.token(), "proof": case.proof() });
    let carla = did("did:web:c.example");
    let outcome = check(Some(&shown), &case.rule(), &carla, &case.payload, NOW);
    assert_eq!(outcome, Err(NotAdmitted::Other));
    let next = Secret::new(&[1; 32]).rule_key(&case.bruno, 1).public();
    let rule = Rule { key: next, pool_percent: None };
    let outcome = check(Some(&shown), &rule, &case.bruno, &case.payload, NOW);
    assert_eq!(outcome, Err(NotAdmitted::Signature));
}

#[test]
fn a_token_holds_for_seven_days() {
    let case = case();
    let at = |made: UnixTime, now: UnixTime| {
        let holder = case.pair_key.public();
        let token = make_token(&case.rule_key, &case.bruno, &holder, &id(), made).text;
        let shown = json!({ "token": token, "proof": case.proof() });
        check(Some(&shown), &case.rule(), &case.bruno, &case.payload, now)
    };
    assert_eq!(at(NOW, after(ADMISSION_TOKEN_S_MAX - 1)), Ok(()));
    assert_eq!(at(NOW, after(ADMISSION_TOKEN_S_MAX)), Err(NotAdmitted::Time));
    assert_eq!(at(after(CLOCK_SKEW_S_MAX), NOW), Ok(()));
    assert_eq!(at(after(CLOCK_SKEW_S_MAX + 1), NOW), Err(NotAdmitted::Time), "it is for longer");
}

#[test]
fn what_is_no_token_or_proof_admits_nothing() {
    let case = case();
    let (token, proof) = (case.token(), case.proof());
    let malformed = Err(NotAdmitted::Malformed);
    // One in the place of the other: the types keep them apart.
    assert_eq!(case.check(&proof, &token), malformed);
    assert_eq!(case.check(&token, &token), malformed);
    let with_header = |header: Value| {
        let rest = token.split_once('.').unwrap().1;
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    let typ = "comity-admission+jwt";
    for header in [
        json!({ "typ": typ, "alg": "none" }),
        json!({ "typ": typ, "alg": "HS256" }),
        json!({ "typ": "JWT", "alg": "EdDSA" }),
        json!({ "alg": "EdDSA" }),
        json!({ "typ": typ, "alg": "EdDSA", "crit": ["b64"], "b64": false }),
        json!({ "typ": typ, "alg": "EdDSA", "jwk": case.rule_key.public().to_jwk() }),
    ] {
        assert_eq!(case.check(&with_header(header.clone()), &proof), malformed, "{header}");
    }
    let twice = format!(
        "{}.{}.AA",
        URL_SAFE_NO_PAD.encode(json!({ "typ": typ, "alg": "EdDSA" }).to_string()),
        URL_SAFE_NO_PAD.encode(r#"{"aud":"did:web:a.example","aud":"did:web:b.example"}"#)
    );
    for bad in ["", ".", "..", "a.b", "a.b.c", &twice, &"A".repeat(9_000), &format!("{token}=")] {
        assert!(case.check(bad, &proof).is_err(), "{bad}");
        assert!(case.check(&token, bad).is_err(), "{bad}");
    }
    let (rule, payload) = (case.rule(), &case.payload);
    let shown = |shown: Option<Value>| check(shown.as_ref(), &rule, &case.bruno, payload, NOW);
    assert_eq!(shown(None), Err(NotAdmitted::Absent));
    for bad in [json!(7), json!({}), json!({ "token": token }), json!({ "token": 1, "proof": 2 })] {
        assert_eq!(shown(Some(bad)), malformed);
    }
    // A key on another curve, in the rule and in a token.
    let other = SigningKey::generate_on(Curve::P256, &mut rand::rng()).unwrap();
    let on_other = make_token(&case.rule_key, &case.bruno, &other.public(), &id(), NOW).text;
    assert_eq!(case.check(&on_other, &proof), Err(NotAdmitted::Signature));
}

#[test]
fn no_part_of_a_token_or_proof_can_be_changed_or_left_out() {
    let case = case();
    let shown = [case.token(), case.proof()];
    let check = |changed: &[String; 2]| case.check(&changed[0], &changed[1]);
    assert_eq!(check(&shown), Ok(()));
    for which in 0..2 {
        for at in 0..shown[which].len() {
            let mut flipped = shown.clone();
            let mut bytes = flipped[which].clone().into_bytes();
            bytes[at] ^= 1 << (at % 6);
            flipped[which] = String::from_utf8(bytes).unwrap();
            assert!(check(&flipped).is_err(), "{which} {at}");
            let mut short = shown.clone();
            short[which].truncate(at);
            assert!(check(&short).is_err(), "{which} {at}");
        }
    }
}

#[test]
fn a_token_names_neither_its_holders_did_nor_a_list() {
    let token = case().token();
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "cnf", "exp", "jti"]);
    assert_eq!(claims["aud"], json!(BRUNO));
    assert_eq!(claims["cnf"].as_object().unwrap().len(), 1);
}

#[test]
fn keys_are_as_many_as_their_purposes_and_the_same_each_time() {
    let secret = Secret::new(&[7; 32]);
    let (a, b) = (did("did:web:a.example"), did("did:web:b.example"));
    let keys = [
        secret.rule_key(&a, 0),
        secret.rule_key(&a, 1),
        secret.rule_key(&b, 0),
        secret.pair_key(&a, &b),
        secret.pair_key(&b, &a),
        secret.pair_key(&a, &a),
        Secret::new(&[8; 32]).rule_key(&a, 0),
    ];
    for (at, key) in keys.iter().enumerate() {
        let same = keys.iter().position(|other| other.public() == key.public());
        assert_eq!(same, Some(at));
    }
    assert_eq!(Secret::new(&[7; 32]).pair_key(&a, &b).public(), keys[3].public());
    assert_eq!(format!("{secret:?}"), "Secret(..)");
}

#[test]
fn a_given_token_is_taken_only_for_the_pair_it_is_for() {
    let case = case();
    let (token, holder) = (case.token(), case.pair_key.public());
    let read = read_token(&token, &case.bruno, &holder, NOW).unwrap();
    assert_eq!((read.text, read.expires), (token.clone(), after(ADMISSION_TOKEN_S_MAX)));
    let other = case.rule_key.public();
    assert_eq!(read_token(&token, &case.bruno, &other, NOW), Err(NotAdmitted::Other));
    let carla = did("did:web:c.example");
    assert_eq!(read_token(&token, &carla, &holder, NOW), Err(NotAdmitted::Other));
    let late = after(ADMISSION_TOKEN_S_MAX);
    assert_eq!(read_token(&token, &case.bruno, &holder, late), Err(NotAdmitted::Time));
}

#[test]
fn a_sender_asks_until_it_has_a_token_that_holds_for_a_day() {
    let case = case();
    let held = |expires| Some(HeldToken { token: case.token(), expires });
    let pass = |held| Pass::new(case.pair_key.clone(), held);
    let asks = |held, now| pass(held).asks(now).is_some();
    let end = after(ADMISSION_TOKEN_S_MAX);
    let renewal = UnixTime(end.0 - ADMISSION_RENEW_S);
    assert!(asks(None, NOW));
    assert!(!asks(held(end), NOW));
    assert!(!asks(held(end), UnixTime(renewal.0 - 1)));
    assert!(asks(held(end), renewal));
    assert!(pass(None).without_asking().asks(NOW).is_none());
    let shows = |held, now| pass(held).show(&case.bruno, &case.payload, now);
    assert_eq!(shows(None, NOW), None);
    assert_eq!(shows(held(end), end), None, "what has run out is not shown");
    let shown = shows(held(end), renewal).unwrap();
    let outcome = check(Some(&shown), &case.rule(), &case.bruno, &case.payload, renewal);
    assert_eq!(outcome, Ok(()));
    let asked = pass(None).asks(NOW).unwrap();
    let type_ = "https://example.org/offer/1.0/make".parse().unwrap();
    let mut message = comity_didcomm::Message::new(id(), type_);
    message.extra.insert("admission_key".to_owned(), asked);
    assert_eq!(offered_key(&message), Some(case.pair_key.public()));
    message.extra.insert("admission_key".to_owned(), json!({ "kty": "OKP" }));
    assert_eq!(offered_key(&message), None);
}

#[test]
fn a_token_is_earned_by_the_operators_or_the_agents_word_alone() {
    for (admission, earned) in [
        (Admission::AllowList, Earned::Yes),
        (Admission::Approved, Earned::Yes),
        (Admission::Thread, Earned::Yes),
        (Admission::HomeProtocol, Earned::No),
        (Admission::OwnHome, Earned::No),
    ] {
        assert_eq!(Earned::by(admission), earned, "{admission:?}");
    }
}

#[test]
fn one_token_an_hour_is_given_and_a_new_one_unasked_when_the_rule_has_changed() {
    let case = case();
    let key = case.pair_key.public();
    let issued = Issued {
        key: key.to_multibase(),
        generation: 3,
        at: NOW,
        expires: after(ADMISSION_TOKEN_S_MAX),
    };
    let hour = after(ADMISSION_REISSUE_S);
    let other = case.rule_key.public();
    for (offered, known, generation, now, expected) in [
        (None, None, 3, NOW, None),
        (Some(key), None, 3, NOW, Some(key)),
        (Some(key), Some(&issued), 3, NOW, None),
        (Some(other), Some(&issued), 3, UnixTime(hour.0 - 1), None),
        (Some(other), Some(&issued), 3, hour, Some(other)),
        (None, Some(&issued), 3, hour, None),
        (None, Some(&issued), 4, NOW, Some(key)),
        (Some(other), Some(&issued), 4, NOW, Some(other)),
    ] {
        assert_eq!(issue(offered, known, generation, now), expected, "{offered:?} {generation}");
    }
    assert!(issued.is_good(3, NOW) && !issued.is_good(4, NOW));
    assert!(!issued.is_good(3, issued.expires));
}

/// The example of the specification, whole: another implementation has only that to go by.
#[test]
fn the_example_of_the_specification_is_what_we_make() {
    let text = include_str!("../../../../docs/protocols/admission.md");
    let key = |seed: u8| SigningKey::from_seed([seed; 32].into());
    let (rule_key, pair_key) = (key(1), key(2));
    let envelope = json!({
        "protected": "eyJ0eXAiOiJhcHBsaWNhdGlvbi9kaWRjb21tLWVuY3J5cHRlZCtqc29uIn0",
        "recipients": [
            { "header": { "kid": "did:web:b.example:agents:bruno#key-2" }, "encrypted_key": "a2V5MQ" },
            { "header": { "kid": "did:web:b.example:agents:bruno#key-4" }, "encrypted_key": "a2V5Mg" },
        ],
        "iv": "aXY",
        "ciphertext": "Y2lwaGVydGV4dA",
        "tag": "dGFn",
    })
    .to_string();
    let bruno = did(BRUNO);
    let jti = MessageId::parse("7hNLw2Qe").unwrap();
    let token = make_token(&rule_key, &bruno, &pair_key.public(), &jti, NOW).text;
    let proof = proof::make(&pair_key, &bruno, envelope.as_bytes()).unwrap();
    let digest = proof::payload_digest(envelope.as_bytes()).unwrap();
    let keys = [&rule_key, &pair_key].map(|key| key.to_jwk().to_string());
    for part in keys.iter().chain([&token, &proof, &digest]) {
        assert!(text.contains(part), "{part}");
    }
    let (shown, rule) = (
        json!({ "token": token, "proof": proof }),
        Rule { key: rule_key.public(), pool_percent: None },
    );
    assert_eq!(check(Some(&shown), &rule, &bruno, envelope.as_bytes(), NOW), Ok(()));
}
