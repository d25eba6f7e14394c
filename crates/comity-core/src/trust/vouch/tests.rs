//! What a vouch says, and which credentials are none.

use comity_didcomm::problem::ProblemCode;

use super::*;
use crate::limits::CLOCK_SKEW_S_MAX;
use crate::testing::{NOW, Party};
use crate::trust::{CredentialError, SignedCredential};

const PROPOSAL: &str = "https://example.org/proposal/1.0";

fn voucher() -> Party {
    Party::new("did:web:v.example:agents:vera", None)
}

fn terms() -> VouchTerms {
    VouchTerms {
        subject: "did:web:a.example:agents:aria".parse().unwrap(),
        scope: vec![PROPOSAL.parse().unwrap()],
        level: Level::Message,
        depth: 1,
        from: NOW,
        until: NOW.saturating_add(VOUCH_LIFE_S_MAX),
        urn: "urn:uuid:0193a5b2-7c11-7d3e-9a51-0c5f3a7d9e21".to_owned(),
    }
}

fn sign(by: &Party, terms: &VouchTerms) -> Result<String, VouchError> {
    let (kid, key) = by.keys().signing;
    terms.sign((&kid, &key))
}

fn credential(by: &Party, token: &str, now: UnixTime) -> Result<Credential, CredentialError> {
    SignedCredential::parse(token)?.verify(&by.document, now)
}

/// Signs a credential as nobody does who means well.
fn forge(by: &Party, change: &dyn Fn(&mut Value)) -> Result<Vouch, VouchError> {
    let mut claims = json!({
        "@context": [CREDENTIAL_CONTEXT, UNDEFINED_TERMS],
        "type": ["VerifiableCredential", VOUCH_TYPE],
        "issuer": by.did,
        "validFrom": rfc3339(NOW),
        "validUntil": rfc3339(NOW.saturating_add(60)),
        "credentialSubject": { "id": terms().subject, "scope": [], "level": 2, "depth": 0 },
        "credentialStatus": { "id": "urn:uuid:1", "type": STATUS_TYPE },
    });
    change(&mut claims);
    let (kid, key) = by.keys().signing;
    let token = Jwt::sign(CREDENTIAL_TYPE, &kid, &key, claims.as_object().unwrap()).unwrap();
    Vouch::from_credential(&credential(by, &token, NOW).unwrap())
}

#[test]
fn a_vouch_says_what_its_voucher_said() {
    let vera = voucher();
    let token = sign(&vera, &terms()).unwrap();
    let vouch = Vouch::from_credential(&credential(&vera, &token, NOW).unwrap()).unwrap();
    assert_eq!((vouch.issuer(), vouch.terms()), (&vera.did, &terms()));
    assert_eq!(vouch.id(), TokenId::of(token.as_bytes()));
    assert!(vouch.covers(&"https://example.org/proposal/1.2".parse().unwrap()));
    assert!(!vouch.covers(&"https://example.org/proposal/2.0".parse().unwrap()));
    assert!(!vouch.is_over(NOW) && vouch.is_over(terms().until));
    let all = sign(&vera, &VouchTerms { scope: Vec::new(), ..terms() }).unwrap();
    let all = Vouch::from_credential(&credential(&vera, &all, NOW).unwrap()).unwrap();
    assert!(all.covers(&"https://a.example/anything/7.0".parse().unwrap()));
}

#[test]
fn a_vouch_is_a_credential_that_holds_for_ninety_days_at_most() {
    let vera = voucher();
    let token = sign(&vera, &terms()).unwrap();
    let at = |second: u64| credential(&vera, &token, UnixTime(second)).map(|_| ());
    assert_eq!(at(NOW.0 - CLOCK_SKEW_S_MAX - 1), Err(CredentialError::NotYet));
    assert_eq!(at(terms().until.0 - 1), Ok(()));
    assert_eq!(at(terms().until.0), Err(CredentialError::Expired));
    let longer = VouchTerms { until: terms().until.saturating_add(1), ..terms() };
    assert_eq!(sign(&vera, &longer), Err(VouchError::Life));
    assert_eq!(sign(&vera, &VouchTerms { until: NOW, ..terms() }), Err(VouchError::Life));
    let by_hand = forge(&vera, &|claims| {
        claims["validUntil"] = json!(rfc3339(longer.until));
    });
    assert_eq!(by_hand, Err(VouchError::Life));
}

#[test]
fn nobody_vouches_for_himself() {
    let vera = voucher();
    let own = VouchTerms { subject: vera.did.clone(), ..terms() };
    assert_eq!(sign(&vera, &own), Err(VouchError::Own));
    let by_hand = forge(&vera, &|claims| claims["credentialSubject"]["id"] = json!(vera.did));
    assert_eq!(by_hand, Err(VouchError::Own));
}

#[test]
fn what_could_not_be_read_is_not_signed() {
    let vera = voucher();
    let protocol: ProtocolId = PROPOSAL.parse().unwrap();
    let long: ProtocolId = format!("https://{}/p/1.0", "a".repeat(480)).parse().unwrap();
    for (terms, error) in [
        (VouchTerms { level: Level::Blocked, ..terms() }, VouchError::Malformed),
        (VouchTerms { depth: VOUCH_DEPTH_MAX + 1, ..terms() }, VouchError::Malformed),
        (VouchTerms { scope: vec![protocol; SCOPE_MAX + 1], ..terms() }, VouchError::Malformed),
        (VouchTerms { scope: vec![long; SCOPE_MAX], ..terms() }, VouchError::TooLarge),
        (VouchTerms { urn: "v-1".to_owned(), ..terms() }, VouchError::Malformed),
        (VouchTerms { urn: "urn:uuid:a b".to_owned(), ..terms() }, VouchError::Malformed),
    ] {
        assert_eq!(sign(&vera, &terms), Err(error), "{terms:?}");
    }
}

#[test]
fn other_credentials_are_no_vouches() {
    let vera = voucher();
    assert!(forge(&vera, &|_| ()).is_ok());
    let subject = |name: &'static str, value: Value| {
        forge(&vera, &|claims| claims["credentialSubject"][name] = value.clone())
    };
    for (name, value) in [
        ("level", json!(0)),
        ("level", json!(5)),
        ("level", json!(258)),
        ("level", json!("message")),
        ("depth", json!(4)),
        ("depth", Value::Null),
        ("scope", json!(PROPOSAL)),
        ("scope", json!(["proposal"])),
        ("scope", json!(vec![PROPOSAL; SCOPE_MAX + 1])),
        ("only_on", json!("sundays")),
    ] {
        assert_eq!(subject(name, value.clone()), Err(VouchError::Malformed), "{name} {value}");
    }
    for (name, value) in [
        ("type", json!(["VerifiableCredential"])),
        ("credentialStatus", json!({ "id": "urn:uuid:1", "type": "Other" })),
        ("credentialStatus", json!({ "id": "https://a.example/1", "type": STATUS_TYPE })),
    ] {
        let refused = forge(&vera, &|claims| claims[name] = value.clone());
        assert_eq!(refused, Err(VouchError::Malformed), "{name} {value}");
    }
    for name in ["validFrom", "validUntil", "credentialStatus"] {
        let refused = forge(&vera, &|claims| {
            claims.as_object_mut().unwrap().remove(name);
        });
        assert_eq!(refused, Err(VouchError::Malformed), "{name}");
    }
}

#[test]
fn every_error_has_a_code_of_its_own() {
    for error in VouchError::ALL {
        assert!(ProblemCode::parse(error.code()).is_ok(), "{error:?}");
        let same = VouchError::ALL.iter().filter(|other| other.code() == error.code());
        assert_eq!(same.count(), 1, "{error:?}");
    }
}
