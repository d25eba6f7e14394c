//! Documents as they are found, and what is refused in them.

use serde_json::json;

use super::*;
use crate::key::{AgreementKey, Curve, SigningKey};

const ID: &str = "did:web:a.example";

fn parse(document: &Value) -> Result<DidDocument, DocumentError> {
    DidDocument::parse(document.to_string().as_bytes(), &Did::parse(ID).unwrap())
}

fn signing() -> PublicKey {
    SigningKey::from_seed([1; 32].into()).public()
}

fn agreement() -> PublicKey {
    AgreementKey::from_bytes([2; 32].into()).public()
}

fn multikey(id: &str, key: &PublicKey) -> Value {
    json!({ "id": id, "type": "Multikey", "controller": ID, "publicKeyMultibase": key.to_multibase() })
}

#[test]
fn every_form_of_key_is_read() {
    let raw = |key: &PublicKey| bs58::encode(key.as_bytes()).into_string();
    let document = parse(&json!({
        "id": ID,
        "verificationMethod": [
            multikey("#s1", &signing()),
            { "id": "#s2", "type": "JsonWebKey2020", "controller": ID, "publicKeyJwk": signing().to_jwk() },
            { "id": "#s3", "type": "Ed25519VerificationKey2020", "controller": ID, "publicKeyMultibase": signing().to_multibase() },
            { "id": "#s4", "type": "Ed25519VerificationKey2018", "controller": ID, "publicKeyBase58": raw(&signing()) },
            multikey("#a1", &agreement()),
            { "id": "did:web:a.example#a2", "type": "X25519KeyAgreementKey2019", "controller": ID, "publicKeyBase58": raw(&agreement()) },
            { "id": "#a3", "type": "X25519KeyAgreementKey2020", "controller": ID, "publicKeyMultibase": agreement().to_multibase() },
        ],
        "authentication": ["#s1", "did:web:a.example#s2", "#s3", "#s4", "#a1", "#unknown"],
        "keyAgreement": ["#a1", "#a2", "#a3", "#s1",
            { "id": "#a4", "type": "JsonWebKey2020", "controller": ID, "publicKeyJwk": agreement().to_jwk() }],
    }))
    .unwrap();
    let ids = |keys: Vec<(&DidUrl, &PublicKey)>| -> Vec<String> {
        keys.iter().map(|(id, _)| id.fragment().unwrap().to_owned()).collect()
    };
    // A key stands only for what its kind can do, whatever list it is in.
    assert_eq!(ids(document.signing_keys().collect()), ["s1", "s2", "s3", "s4"]);
    assert_eq!(ids(document.agreement_keys().collect()), ["a1", "a2", "a3", "a4"]);
    assert!(document.signing_keys().all(|(_, key)| *key == signing()));
    assert!(document.agreement_keys().all(|(_, key)| *key == agreement()));
    assert_eq!(document.agreement_key(&document.id.url("s1")), None);
    assert_eq!(document.authentication_key(&document.id.url("a1")), None);
}

#[test]
fn the_suites_of_the_weierstrass_curves_are_read() {
    let mut rng = rand::rng();
    let secp = SigningKey::generate_on(Curve::Secp256k1, &mut rng).unwrap().public();
    let p256 = SigningKey::generate_on(Curve::P256, &mut rng).unwrap().public();
    let base58 = bs58::encode(secp.as_bytes()).into_string();
    let method = |id: &str, type_: &str, name: &str, value: Value| json!({ "id": id, "type": type_, name: value });
    let (k1, r1) = ("EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019");
    let document = parse(&json!({
        "id": ID,
        "authentication": [
            method("#1", k1, "publicKeyJwk", json!(secp.to_jwk())),
            method("#2", k1, "publicKeyBase58", json!(base58)),
            method("#3", k1, "publicKeyMultibase", json!(secp.to_multibase())),
            method("#4", r1, "publicKeyMultibase", json!(p256.to_multibase())),
            method("#5", "Multikey", "publicKeyMultibase", json!(p256.to_multibase())),
            method("#6", "JsonWebKey2020", "publicKeyJwk", json!(p256.to_jwk())),
            // A suite names its curve; a key on another is not one of it.
            method("#7", r1, "publicKeyJwk", json!(secp.to_jwk())),
            method("#8", k1, "publicKeyMultibase", json!(p256.to_multibase())),
        ],
    }))
    .unwrap();
    let keys: Vec<_> = document.signing_keys().map(|(_, key)| *key).collect();
    assert_eq!(keys, [secp, secp, secp, p256, p256, p256]);
    assert_eq!(document.agreement_keys().count(), 0, "what a key is for, the document says");
    assert_eq!(parse(&document.to_json()).unwrap().signing_keys().count(), 6);
}

#[test]
fn recipients_share_the_cheapest_usable_curve() {
    let id = Did::parse(ID).unwrap();
    let mut document = DidDocument::new(id.clone());
    let mut add = |fragment: &str, curve: Curve| {
        let key = AgreementKey::generate_on(curve, &mut rand::rng()).unwrap().public();
        let kid = document.add_key(VerificationMethod::new(id.url(fragment), key));
        document.key_agreement.push(kid);
    };
    add("p384-1", Curve::P384);
    add("x-1", Curve::X25519);
    add("p384-2", Curve::P384);
    add("p521", Curve::P521);
    add("x-2", Curve::X25519);
    let chosen = |usable: &[Curve]| -> Vec<String> {
        let recipients = document.choose_recipients(usable);
        recipients.iter().map(|(kid, _)| kid.fragment().unwrap().to_owned()).collect()
    };
    assert_eq!(chosen(&Curve::AGREEMENT), ["x-1", "x-2"]);
    assert_eq!(chosen(&[Curve::P521, Curve::P384]), ["p384-1", "p384-2"]);
    assert_eq!(chosen(&[Curve::P521]), ["p521"]);
    assert!(chosen(&[Curve::P256, Curve::Ed25519]).is_empty());
}

#[test]
fn the_written_form_is_read_back() {
    let id = Did::parse(ID).unwrap();
    let mut document = DidDocument::new(id.clone());
    document.also_known_as.push("acct:a@a.example".to_owned());
    document.controller.push(Did::parse("did:web:owner.example").unwrap());
    let key = document.add_key(VerificationMethod::new(id.url("key-1"), signing()));
    document.authentication.push(key.clone());
    document.assertion_method.push(key);
    let key = document.add_key(VerificationMethod::new(id.url("key-2"), agreement()));
    document.key_agreement.push(key);
    let endpoint = Endpoint::new("https://a.example/didcomm");
    document.service.push(Service::didcomm(&id.url("service"), &endpoint));
    assert_eq!(parse(&document.to_json()).unwrap(), document);
    assert_eq!(document.didcomm_endpoints(), [endpoint]);
}

#[test]
fn keys_of_unknown_kinds_are_kept_but_not_used() {
    let document = parse(&json!({
        "id": ID,
        "authentication": [
            { "id": "#p", "type": "JsonWebKey2020", "controller": ID,
              "publicKeyJwk": { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "secret" } },
            { "id": "#q", "type": "FutureKey2099", "controller": ID, "publicKeyFuture": [1] },
            { "id": "#two", "type": "Multikey", "controller": ID, "publicKeyMultibase": signing().to_multibase(),
              "publicKeyJwk": signing().to_jwk() },
        ],
    }))
    .unwrap();
    assert_eq!(document.signing_keys().count(), 0);
    let text = document.to_json().to_string();
    assert!(text.contains("publicKeyFuture"));
    assert!(!text.contains("secret"), "a private part that somebody published is not passed on");
}

#[test]
fn a_key_whose_private_part_is_published_stays_unusable_when_the_document_is_kept() {
    // Only the private part was left out of what was written: who read it again, and a home keeps
    // the documents of its correspondents, sealed to a key that everybody has.
    let key = AgreementKey::from_bytes([7; 32].into());
    let jwk: Value = serde_json::from_str(&key.to_jwk()).unwrap();
    let method =
        json!({ "id": "#k", "type": "JsonWebKey2020", "controller": ID, "publicKeyJwk": jwk });
    let document = parse(&json!({ "id": ID, "keyAgreement": [method] })).unwrap();
    assert_eq!(document.agreement_keys().count(), 0);
    assert_eq!(parse(&document.to_json()).unwrap(), document);
}

#[test]
fn a_document_that_could_not_be_read_again_is_refused() {
    // Relative ids are short, and written out they are not.
    let did = Did::parse(&format!("did:web:a.example:{}", "x".repeat(2000))).unwrap();
    let methods = |count: usize| {
        let method = |at| {
            json!({ "id": format!("#{at}"), "type": "Multikey",
                "publicKeyMultibase": signing().to_multibase() })
        };
        let methods: Vec<_> = (0..count).map(method).collect();
        let text = json!({ "id": did, "verificationMethod": methods }).to_string();
        DidDocument::parse(text.as_bytes(), &did)
    };
    let document = methods(10).unwrap();
    assert_eq!(DidDocument::parse(document.to_json().to_string().as_bytes(), &did), Ok(document));
    assert_eq!(methods(20), Err(DocumentError::TooLong));
}

#[test]
fn keys_that_others_hold_are_not_used() {
    let foreign = |controller: Value| {
        parse(&json!({
            "id": ID,
            "controller": controller,
            "verificationMethod": [{ "id": "#k", "type": "Multikey", "controller": "did:web:other.example",
                "publicKeyMultibase": signing().to_multibase() }],
            "authentication": ["#k"],
        }))
        .unwrap()
        .signing_keys()
        .count()
    };
    assert_eq!(foreign(json!([])), 0);
    assert_eq!(foreign(json!("did:web:third.example")), 0);
    assert_eq!(foreign(json!(["did:web:third.example", "did:web:other.example"])), 1);
}

#[test]
fn documents_of_others_and_misshapen_ones_are_refused() {
    assert_eq!(parse(&json!({ "id": "did:web:b.example" })), Err(DocumentError::Id));
    assert_eq!(parse(&json!({})), Err(DocumentError::Id));
    assert_eq!(parse(&json!({ "id": [ID] })), Err(DocumentError::Id));
    let key = multikey("#k", &signing());
    let other = multikey("#k", &agreement());
    for bad in [
        json!({ "id": ID, "verificationMethod": {} }),
        json!({ "id": ID, "verificationMethod": [1] }),
        json!({ "id": ID, "verificationMethod": [{ "type": "Multikey" }] }),
        json!({ "id": ID, "verificationMethod": [multikey("k", &signing())] }),
        json!({ "id": ID, "verificationMethod": [key, other] }),
        json!({ "id": ID, "authentication": [1] }),
        json!({ "id": ID, "authentication": "#k" }),
        json!({ "id": ID, "controller": 1 }),
        json!({ "id": ID, "service": [{}] }),
    ] {
        assert_eq!(parse(&bad), Err(DocumentError::Shape), "{bad}");
    }
    let twice = format!(r#"{{"id":"{ID}","id":"{ID}"}}"#);
    let did = Did::parse(ID).unwrap();
    assert_eq!(
        DidDocument::parse(twice.as_bytes(), &did),
        Err(DocumentError::Json(JsonError::Duplicate))
    );
}

#[test]
fn sizes_are_bounded() {
    let many: Vec<Value> = (0..65).map(|n| multikey(&format!("#k{n}"), &signing())).collect();
    assert_eq!(
        parse(&json!({ "id": ID, "verificationMethod": many })),
        Err(DocumentError::TooMany)
    );
    let many: Vec<Value> = (0..33)
        .map(|n| json!({ "id": format!("#s{n}"), "type": "X", "serviceEndpoint": "y" }))
        .collect();
    assert_eq!(parse(&json!({ "id": ID, "service": many })), Err(DocumentError::TooMany));
    let large = json!({ "id": ID, "x": "y".repeat(DOCUMENT_BYTES_MAX) });
    assert_eq!(parse(&large), Err(DocumentError::Json(JsonError::TooLarge)));
}

#[test]
fn endpoints_are_read_in_every_form() {
    let endpoints = |service: Value| {
        parse(&json!({ "id": ID, "service": [
            { "id": "#web", "type": "LinkedDomains", "serviceEndpoint": "https://a.example" }, service,
        ] }))
        .unwrap()
        .didcomm_endpoints()
    };
    let bare = |uri: &str| Endpoint { uri: uri.to_owned(), accept: vec![], routing_keys: vec![] };
    let service = |endpoint: Value| json!({ "id": "#d", "type": ["DIDCommMessaging"], "serviceEndpoint": endpoint });
    assert_eq!(endpoints(service(json!("https://x"))), [bare("https://x")]);
    assert_eq!(
        endpoints(service(
            json!([{ "uri": "https://x", "accept": ["didcomm/v2"] }, "https://y", { "no": "uri" }])
        )),
        [Endpoint::new("https://x"), bare("https://y")]
    );
    assert_eq!(endpoints(service(json!(1))), []);
}
