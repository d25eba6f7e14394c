//! What is taken from a credential, and which are none.

use comity_didcomm::problem::ProblemCode;
use serde_json::json;

use super::*;
use crate::api::rfc3339;
use crate::limits::CREDENTIAL_TYPES_MAX;
use crate::testing::{NOW, Party};

struct Case {
    issuer: Party,
    holder: Did,
}

fn case() -> Case {
    Case {
        issuer: Party::new("did:web:chamber.example", None),
        holder: "did:web:a.example:agents:aria".parse().unwrap(),
    }
}

impl Case {
    /// A credential with everything that version 2.0 knows and we pass over.
    fn claims(&self) -> Value {
        json!({
            "@context": [CREDENTIAL_CONTEXT, "https://chamber.example/members/v1"],
            "id": "https://chamber.example/members/7",
            "type": ["VerifiableCredential", "MemberCredential"],
            "name": "Member",
            "issuer": { "id": self.issuer.did, "name": "Chamber" },
            "validFrom": rfc3339(NOW),
            "validUntil": "2027-06-01T00:00:00+02:00",
            "credentialSubject": { "id": self.holder, "member": true },
            "credentialSchema": { "id": "https://chamber.example/schema", "type": "JsonSchema" },
        })
    }

    fn with(&self, name: &str, value: Value) -> Result<Credential, CredentialError> {
        let mut claims = self.claims();
        claims[name] = value;
        self.read(&claims)
    }

    fn read(&self, claims: &Value) -> Result<Credential, CredentialError> {
        self.read_at(claims, NOW)
    }

    fn read_at(&self, claims: &Value, now: UnixTime) -> Result<Credential, CredentialError> {
        let (kid, key) = self.issuer.keys().signing;
        let claims = claims.as_object().unwrap();
        let token = Jwt::sign(CREDENTIAL_TYPE, &kid, &key, claims).unwrap();
        let signed = SignedCredential::parse(&token)?;
        assert_eq!(signed.issuer(), &self.issuer.did);
        let credential = signed.verify(&self.issuer.document, now)?;
        assert_eq!(credential.id(), TokenId::of(token.as_bytes()));
        assert_eq!(credential.id(), signed.id());
        Ok(credential)
    }
}

#[test]
fn a_credential_says_who_states_what_about_whom_and_for_how_long() {
    let case = case();
    let credential = case.read(&case.claims()).unwrap();
    assert_eq!(credential.issuer(), &case.issuer.did);
    assert_eq!(credential.subject(), &case.holder);
    assert!(credential.is_about(&case.holder) && !credential.is_about(&case.issuer.did));
    assert!(credential.is_a("MemberCredential") && !credential.is_a("Member"));
    assert_eq!(credential.types().len(), 2);
    assert_eq!((credential.from(), credential.until()), (Some(NOW), Some(UnixTime(1_811_800_800))));
    assert_eq!(credential.status(), &CredentialStatus::None);
    assert_eq!(Value::Object(credential.said().clone()), json!({ "member": true }));
}

#[test]
fn a_credential_holds_within_its_window_only() {
    let case = case();
    let mut claims = case.claims();
    claims["validUntil"] = json!(rfc3339(NOW.saturating_add(100)));
    let at = |second: u64| case.read_at(&claims, UnixTime(second)).map(|_| ());
    assert_eq!(at(NOW.0 - CLOCK_SKEW_S_MAX - 1), Err(CredentialError::NotYet));
    assert_eq!(at(NOW.0 - CLOCK_SKEW_S_MAX), Ok(()));
    assert_eq!(at(NOW.0 + 99), Ok(()));
    assert_eq!(at(NOW.0 + 100), Err(CredentialError::Expired));
    let object = claims.as_object_mut().unwrap();
    object.remove("validFrom");
    object.remove("validUntil");
    let endless = case.read_at(&claims, UnixTime(1)).unwrap();
    assert_eq!((endless.from(), endless.until()), (None, None));
}

#[test]
fn how_a_revocation_would_be_told_is_known() {
    let case = case();
    let status = |value: Value| case.with("credentialStatus", value).unwrap().status().clone();
    let own = json!({ "id": "urn:uuid:1", "type": "ComityVouchStatus" });
    assert_eq!(status(own.clone()), CredentialStatus::Vouch { urn: "urn:uuid:1".to_owned() });
    for foreign in [
        json!({ "id": "https://a.example/1#2", "type": "BitstringStatusListEntry" }),
        json!([own]),
        json!({ "type": "ComityVouchStatus" }),
        Value::Null,
    ] {
        assert_eq!(status(foreign.clone()), CredentialStatus::Foreign, "{foreign}");
    }
}

#[test]
fn what_is_no_credential_of_version_2_about_one_subject_is_refused() {
    let case = case();
    let subject = json!({ "id": case.holder });
    for (name, value) in [
        ("type", json!("VerifiableCredential")),
        ("credentialSubject", json!([subject])),
        ("validFrom", json!("2027-01-15T08:00:00.5Z")),
    ] {
        assert!(case.with(name, value.clone()).is_ok(), "{name} {value}");
    }
    for (name, value) in [
        ("@context", json!("https://www.w3.org/ns/credentials/v2")),
        ("@context", json!(["https://www.w3.org/2018/credentials/v1"])),
        ("@context", json!(["https://a.example/", CREDENTIAL_CONTEXT])),
        ("@context", json!([])),
        ("type", json!(["MemberCredential"])),
        ("type", json!([])),
        ("type", json!([7, "VerifiableCredential"])),
        ("type", json!(vec!["VerifiableCredential"; CREDENTIAL_TYPES_MAX + 1])),
        ("credentialSubject", json!({ "member": true })),
        ("credentialSubject", json!({ "id": "https://a.example/aria" })),
        ("credentialSubject", json!([])),
        ("credentialSubject", json!([subject, subject])),
        ("credentialSubject", json!(case.holder)),
        ("validFrom", json!(NOW)),
        ("validFrom", json!("2027-01-15")),
        ("validFrom", json!("2027-01-15T08:00:00")),
        ("validUntil", json!("for ever")),
        ("validUntil", Value::Null),
        ("validUntil", json!(format!("2027-01-15T08:00:00.{}Z", "0".repeat(99)))),
    ] {
        let refused = case.with(name, value.clone());
        assert_eq!(refused, Err(CredentialError::Malformed), "{name} {value}");
    }
    for name in ["@context", "type", "credentialSubject"] {
        let mut claims = case.claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(case.read(&claims), Err(CredentialError::Malformed), "{name}");
    }
}

#[test]
fn a_token_that_is_no_credential_is_refused() {
    let case = case();
    let (kid, key) = case.issuer.keys().signing;
    let claims = case.claims().as_object().cloned().unwrap();
    let other = Jwt::sign("JWT", &kid, &key, &claims).unwrap();
    let long = "A".repeat(TOKEN_CHARS_MAX + 1);
    for text in [&*other, &*long, "", "a.b.c"] {
        assert_eq!(SignedCredential::parse(text), Err(CredentialError::Malformed));
    }
    // In the issuer's name, by somebody else's key.
    let impostor = Party::new("did:web:chamber.example", None);
    let (kid, key) = impostor.keys().signing;
    let forged = Jwt::sign(CREDENTIAL_TYPE, &kid, &key, &claims).unwrap();
    let forged = SignedCredential::parse(&forged).unwrap();
    let refused = forged.verify(&case.issuer.document, NOW);
    assert_eq!(refused, Err(CredentialError::Signature));
}

#[test]
fn every_error_has_a_code_of_its_own() {
    for error in CredentialError::ALL {
        assert!(ProblemCode::parse(error.code()).is_ok(), "{error:?}");
        let same = CredentialError::ALL.iter().filter(|other| other.code() == error.code());
        assert_eq!(same.count(), 1, "{error:?}");
    }
}
