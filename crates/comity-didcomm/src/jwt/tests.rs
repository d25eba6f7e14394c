//! What a token proves, and every way in which one proves nothing.

use serde_json::json;

use super::*;
use crate::document::VerificationMethod;
use crate::encoding;
use crate::key::{Curve, make_low};

const TYP: &str = "example+jwt";

struct Party {
    did: Did,
    kid: DidUrl,
    key: SigningKey,
    document: DidDocument,
}

impl Party {
    fn on(curve: Curve) -> Self {
        let did = Did::parse("did:web:aria.example").unwrap();
        let key = SigningKey::from_bytes_on(curve, &[7; 32]).unwrap();
        let kid = did.url("sign");
        let mut document = DidDocument::new(did.clone());
        let id = document.add_key(VerificationMethod::new(kid.clone(), key.public()));
        document.authentication.push(id);
        Self { did, kid, key, document }
    }

    fn new() -> Self {
        Self::on(Curve::Ed25519)
    }

    fn claims(&self) -> Map<String, Value> {
        let claims = json!({ "iss": self.did, "sub": "did:web:bruno.example", "n": [1, 2] });
        claims.as_object().cloned().unwrap()
    }

    fn token(&self) -> String {
        Jwt::sign(TYP, &self.kid, &self.key, &self.claims()).unwrap()
    }

    /// Signs any header and payload, as nobody does who means well.
    fn forge(&self, header: &Value, payload: &str) -> String {
        let mut text = encoding::base64url(header.to_string());
        text.push('.');
        encoding::push_base64url(payload, &mut text);
        let signature = self.key.sign(text.as_bytes());
        text.push('.');
        encoding::push_base64url(signature, &mut text);
        text
    }

    fn header(&self) -> Value {
        json!({ "typ": TYP, "alg": self.key.algorithm().name(), "kid": self.kid })
    }

    fn accepts(&self, text: &str) -> Result<VerifiedJwt, TokenError> {
        Jwt::parse(text, TYP)?.verify(&self.document, Relationship::Authentication)
    }
}

#[test]
fn a_token_says_who_signed_what_on_every_curve() {
    for curve in [Curve::Ed25519, Curve::P256, Curve::Secp256k1] {
        let aria = Party::on(curve);
        let text = aria.token();
        let token = Jwt::parse(&text, TYP).unwrap();
        assert_eq!((token.issuer(), token.kid()), (&aria.did, &aria.kid));
        let verified = token.verify(&aria.document, Relationship::Authentication).unwrap();
        assert_eq!((&verified.claims, &verified.kid), (&aria.claims(), &aria.kid));
        let name = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        assert_eq!(name.as_ref(), verified.digest);
    }
}

#[test]
fn the_algorithm_is_that_of_the_key_and_of_the_table() {
    let aria = Party::new();
    let with = |alg: Value| {
        let mut header = aria.header();
        header["alg"] = alg;
        aria.accepts(&aria.forge(&header, &json!(aria.claims()).to_string()))
    };
    for alg in ["none", "None", "HS256", "RS256", "PS256", "ES384", "Ed448", "eddsa", ""] {
        assert_eq!(with(json!(alg)).unwrap_err(), TokenError::Algorithm, "{alg}");
    }
    for alg in ["ES256", "ES256K"] {
        assert_eq!(with(json!(alg)).unwrap_err(), TokenError::Algorithm, "{alg}");
    }
    assert_eq!(with(Value::Null).unwrap_err(), TokenError::Malformed);
    assert!(with(json!("EdDSA")).is_ok());
    // Without a signature, in the form that some libraries take for `none`.
    let unsigned = aria.token();
    let (unsigned, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(aria.accepts(&format!("{unsigned}.")).unwrap_err(), TokenError::Malformed);
}

#[test]
fn a_token_of_another_type_is_refused() {
    let aria = Party::new();
    let payload = json!(aria.claims()).to_string();
    for typ in [
        json!("JWT"),
        json!("application/example+jwt"),
        json!("Example+JWT"),
        json!("at+jwt"),
        json!(7),
        Value::Null,
    ] {
        let mut header = aria.header();
        header["typ"] = typ.clone();
        let refused = aria.accepts(&aria.forge(&header, &payload)).unwrap_err();
        assert_eq!(refused, TokenError::Type, "{typ}");
    }
    let mut header = aria.header();
    header.as_object_mut().unwrap().remove("typ");
    assert_eq!(aria.accepts(&aria.forge(&header, &payload)).unwrap_err(), TokenError::Type);
    // A from_prior token is none of any type.
    let rotation = crate::from_prior(&aria.kid, &aria.key, None, crate::UnixTime(1));
    assert_eq!(aria.accepts(&rotation).unwrap_err(), TokenError::Type);
}

#[test]
fn a_header_that_brings_keys_or_extensions_is_refused() {
    let aria = Party::new();
    let payload = json!(aria.claims()).to_string();
    let forge = |name: &str, value: &Value| {
        let mut header = aria.header();
        header[name] = value.clone();
        aria.accepts(&aria.forge(&header, &payload))
    };
    for name in ["b64", "crit", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip"] {
        for value in [json!(true), json!(["b64"]), json!({}), Value::Null] {
            let refused = forge(name, &value).unwrap_err();
            assert_eq!(refused, TokenError::UnsupportedHeader, "{name} {value}");
        }
    }
    for kid in [json!("sign"), json!("#sign"), json!(aria.did), json!(7), Value::Null] {
        assert_eq!(forge("kid", &kid).unwrap_err(), TokenError::Malformed, "{kid}");
    }
    assert!(
        forge("cty", &json!("vc")).is_ok(),
        "what is not known and harms nobody is passed over"
    );
}

#[test]
fn a_key_counts_for_what_the_document_lists_it_for() {
    let aria = Party::new();
    let token = Jwt::parse(&aria.token(), TYP).unwrap();
    let verify = |document: &DidDocument, relationship| token.verify(document, relationship);
    let refused = Err(TokenError::Signature);
    assert_eq!(verify(&aria.document, Relationship::AssertionMethod), refused);
    let mut document = aria.document.clone();
    document.assertion_method = std::mem::take(&mut document.authentication);
    assert!(verify(&document, Relationship::AssertionMethod).is_ok());
    assert_eq!(verify(&document, Relationship::Authentication), refused);
    // A key that somebody else holds, or that only agrees, signs nothing.
    let mut lent = aria.document.clone();
    lent.verification_method[0].controller = Did::parse("did:web:mallory.example").unwrap();
    assert_eq!(verify(&lent, Relationship::Authentication), refused);
    assert_eq!(verify(&DidDocument::new(aria.did.clone()), Relationship::Authentication), refused);
    // Another document cannot answer for her, even if it gives its key her key's id.
    let mut others = aria.document;
    others.id = Did::parse("did:web:mallory.example").unwrap();
    others.verification_method[0].controller = others.id.clone();
    assert_eq!(verify(&others, Relationship::Authentication), refused);
}

#[test]
fn the_issuer_is_the_did_of_the_key() {
    let aria = Party::new();
    let with = |claims: Value| {
        let claims = claims.as_object().cloned().unwrap();
        Jwt::sign(TYP, &aria.kid, &aria.key, &claims)
    };
    let mallory = "did:web:mallory.example";
    for good in [
        json!({ "iss": aria.did }),
        json!({ "issuer": aria.did }),
        json!({ "issuer": { "id": aria.did, "name": "Aria" } }),
        json!({ "iss": aria.did, "issuer": aria.did }),
    ] {
        assert!(with(good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!({}),
        json!({ "sub": aria.did }),
        json!({ "iss": mallory }),
        json!({ "iss": aria.kid }),
        json!({ "iss": [aria.did] }),
        json!({ "iss": { "id": aria.did } }),
        json!({ "issuer": { "name": "Aria" } }),
        json!({ "issuer": { "id": mallory } }),
        json!({ "iss": aria.did, "issuer": mallory }),
        json!({ "iss": mallory, "issuer": aria.did }),
        json!({ "iss": null, "issuer": aria.did }),
    ] {
        assert_eq!(with(bad.clone()), Err(TokenError::Issuer), "{bad}");
    }
}

#[test]
fn claims_that_two_readers_could_read_differently_are_refused() {
    let aria = Party::new();
    for payload in [
        r#"{"iss":"did:web:aria.example","n":1,"n":2}"#,
        r#"{"iss":"did:web:aria.example","\u0069ss":"did:web:aria.example"}"#,
        r#"{"iss":"did:web:aria.example","a":{"b":1,"b":1}}"#,
        r#"{"iss":"did:web:aria.example","a":"\ud800"}"#,
        r#"{"iss":"did:web:aria.example"} {}"#,
        r#"["did:web:aria.example"]"#,
        "",
    ] {
        let token = aria.forge(&aria.header(), payload);
        assert_eq!(aria.accepts(&token).unwrap_err(), TokenError::Malformed, "{payload}");
    }
    let twice = format!(r#"{{"typ":"{TYP}","alg":"EdDSA","alg":"EdDSA","kid":"{}"}}"#, aria.kid);
    let (_, rest) =
        aria.token().split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let token = format!("{}.{rest}", encoding::base64url(twice));
    assert_eq!(aria.accepts(&token).unwrap_err(), TokenError::Malformed);
}

#[test]
fn a_token_is_bounded() {
    let aria = Party::new();
    let large = |chars: usize| {
        let mut claims = aria.claims();
        claims.insert("n".to_owned(), json!("x".repeat(chars)));
        Jwt::sign(TYP, &aria.kid, &aria.key, &claims)
    };
    assert!(large(TOKEN_CHARS_MAX / 2).is_ok());
    assert_eq!(large(TOKEN_CHARS_MAX), Err(TokenError::TooLarge));
    let long = "A".repeat(1 << 20);
    assert_eq!(aria.accepts(&long).unwrap_err(), TokenError::TooLarge);
    let nested = format!(r#"{{"iss":"{}","a":{}{}}}"#, aria.did, "[".repeat(99), "]".repeat(99));
    let nested = aria.forge(&aria.header(), &nested);
    assert_eq!(aria.accepts(&nested).unwrap_err(), TokenError::Malformed);
}

#[test]
fn a_token_with_a_changed_character_is_refused() {
    for curve in [Curve::Ed25519, Curve::P256] {
        let aria = Party::on(curve);
        let token = aria.token();
        assert!(aria.accepts(&token).is_ok());
        for at in 0..token.len() {
            for bit in [0, 1, 5] {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(aria.accepts(&changed).is_err(), "{at}");
            }
            assert!(aria.accepts(&token[..at]).is_err(), "{at}");
        }
        assert!(aria.accepts(&format!("{token}=")).is_err());
        assert!(aria.accepts(&format!("{token}.{token}")).is_err());
    }
}

#[test]
fn nobody_but_the_signer_can_give_a_token_another_name() {
    // Revocations name a token by its hash. With the other value of S a token verified as well and
    // had another hash: whoever held a revoked one could bring it back.
    for curve in [Curve::P256, Curve::Secp256k1] {
        let aria = Party::on(curve);
        let token = aria.token();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut signature: [u8; 64] = encoding::from_base64url_array(signature).unwrap();
        negate_s(curve, &mut signature);
        let other = format!("{signed}.{}", encoding::base64url(signature));
        assert_ne!(other, token);
        let verified = aria.accepts(&other).unwrap();
        assert_eq!(verified.digest, aria.accepts(&token).unwrap().digest);
    }
}

/// Replaces S by the order minus S. `make_low` does that to the high one of the two.
fn negate_s(curve: Curve, signature: &mut [u8; 64]) {
    let order: [u8; 32] = match curve {
        Curve::P256 => hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        _ => hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
    };
    let low = *signature;
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i32::from(order[at]) - i32::from(low[32 + at]) - borrow;
        borrow = i32::from(difference < 0);
        signature[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let mut back = *signature;
    make_low(curve, &mut back);
    assert_eq!(back, low);
}

fn hex(text: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

#[test]
fn an_unverified_token_shows_nothing_of_what_it_says() {
    let aria = Party::new();
    let shown = format!("{:?}", Jwt::parse(&aria.token(), TYP).unwrap());
    assert!(shown.contains(aria.kid.as_str()), "{shown}");
    assert!(!shown.contains("bruno") && !shown.contains("payload"), "{shown}");
}

#[test]
fn either_form_of_a_peer_did_is_its_issuer() {
    let key = SigningKey::from_seed([3; 32].into());
    let peer = crate::did::peer::create_4(&[key.public()], &[]).unwrap();
    let document = crate::resolve_self_contained(&peer.long).unwrap().unwrap();
    for (iss, kid) in [(&peer.short, &peer.long), (&peer.long, &peer.short)] {
        let claims: Map<_, _> = [("iss".to_owned(), json!(iss))].into_iter().collect();
        let token = Jwt::sign(TYP, &kid.url("key-1"), &key, &claims).unwrap();
        let token = Jwt::parse(&token, TYP).unwrap();
        assert!(token.verify(&document, Relationship::Authentication).is_ok());
        assert!(token.verify(&document, Relationship::AssertionMethod).is_ok());
    }
}
