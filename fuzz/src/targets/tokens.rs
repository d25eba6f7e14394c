//! Signed tokens, as they come with a message: nobody here can sign as Aria.

use comity_didcomm::{CompactJws, Jwt, Relationship, limits};
use serde_json::Value;

use super::{Verdict, parties::World};

/// The type of the one token that Aria ever signed.
pub const TYP: &str = "example+jwt";

/// What Aria says in it.
pub const CLAIMS: &str =
    r#"{"iss":"did:web:aria.example","sub":"did:web:bruno.example","n":[1,{"a":null}]}"#;

/// A token, read and verified as Aria's. What is read shows its issuer; what verifies is what she signed, and has the
/// name that her token has.
pub(super) fn jwt(data: &[u8]) -> Verdict {
    let world = World::new();
    let aria = &world.aria;
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let Ok(token) = Jwt::parse(text, TYP) else {
        return Verdict::Refused;
    };
    assert!(text.len() <= limits::TOKEN_CHARS_MAX);
    assert_eq!(token.issuer(), token.kid().did());
    assert!(CompactJws::parse(text, TYP).is_ok(), "claims stand in a signed text");
    assert!(Jwt::parse(text, "other+jwt").is_err(), "it is of one type");
    assert!(token.verify(&aria.document, Relationship::AssertionMethod).is_err(), "no such key");
    let Ok(verified) = token.verify(&aria.document, Relationship::Authentication) else {
        return Verdict::Refused;
    };
    let claims: Value = serde_json::from_str(CLAIMS).expect("JSON");
    assert_eq!(Value::Object(verified.claims), claims, "no other claims were ever signed");
    assert_eq!(verified.kid, aria.sign_kid);
    let own =
        CompactJws::sign(TYP, &aria.sign_kid, &aria.signing, CLAIMS.as_bytes()).expect("a token");
    let own = CompactJws::parse(&own, TYP).expect("what is signed here is read here");
    assert_eq!(verified.digest, own.digest(), "a token has one name");
    Verdict::Accepted
}
