//! Known answers from the method's specification, and refusals.

use super::*;
use crate::key::{AgreementKey, SigningKey};

/// The example of the specification, section "Method 4".
const LONG: &str = "did:peer:4zQmd8CpeFPci817KDsbSAKWcXAE2mjvCQSasRewvbSF54Bd:z2M1k7h4psgp4CmJcnQn2Ljp7Pz7ktsd7oBhMU3dWY5s4fhFNj17qcRTQ427C7QHNT6cQ7T3XfRh35Q2GhaNFZmWHVFq4vL7F8nm36PA9Y96DvdrUiRUaiCuXnBFrn1o7mxFZAx14JL4t8vUWpuDPwQuddVo1T8myRiVH7wdxuoYbsva5x6idEpCQydJdFjiHGCpNc2UtjzPQ8awSXkctGCnBmgkhrj5gto3D4i3EREXYq4Z8r2cWGBr2UzbSmnxW2BuYddFo9Yfm6mKjtJyLpF74ytqrF5xtf84MnGFg1hMBmh1xVx1JwjZ2BeMJs7mNS8DTZhKC7KH38EgqDtUZzfjhpjmmUfkXg2KFEA3EGbbVm1DPqQXayPYKAsYPS9AyKkcQ3fzWafLPP93UfNhtUPL8JW5pMcSV3P8v6j3vPXqnnGknNyBprD6YGUVtgLiAqDBDUF3LSxFQJCVYYtghMTv8WuSw9h1a1SRFrDQLGHE4UrkgoRvwaGWr64aM87T1eVGkP5Dt4L1AbboeK2ceLArPScrdYGTpi3BpTkLwZCdjdiFSfTy9okL1YNRARqUf2wm8DvkVGUU7u5nQA3ZMaXWJAewk6k1YUxKd7LvofGUK4YEDtoxN5vb6r1Q2godrGqaPkjfL3RoYPpDYymf9XhcgG8Kx3DZaA6cyTs24t45KxYAfeCw4wqUpCH9HbpD78TbEUr9PPAsJgXBvBj2VVsxnr7FKbK4KykGcg1W8M1JPz21Z4Y72LWgGQCmixovrkHktcTX1uNHjAvKBqVD5C7XmVfHgXCHj7djCh3vzLNuVLtEED8J1hhqsB1oCBGiuh3xXr7fZ9wUjJCQ1HYHqxLJKdYKtoCiPmgKM7etVftXkmTFETZmpM19aRyih3bao76LdpQtbw636r7a3qt8v4WfxsXJetSL8c7t24SqQBcAY89FBsbEnFNrQCMK3JEseKHVaU388ctvRD45uQfe5GndFxthj4iSDomk4uRFd1uRbywoP1tRuabHTDX42UxPjz";
const SHORT: &str = "did:peer:4zQmd8CpeFPci817KDsbSAKWcXAE2mjvCQSasRewvbSF54Bd";

/// The example of the specification, section "Method 2".
const PEER_2: &str = "did:peer:2.Vz6Mkj3PUd1WjvaDhNZhhhXQdz5UnZXmS7ehtx8bsPpD47kKc.Ez6LSg8zQom395jKLrGiBNruB9MM6V8PWuf2FpEy4uRFiqQBR.SeyJ0IjoiZG0iLCJzIjp7InVyaSI6Imh0dHA6Ly9leGFtcGxlLmNvbS9kaWRjb21tIiwiYSI6WyJkaWRjb21tL3YyIl0sInIiOlsiZGlkOmV4YW1wbGU6MTIzNDU2Nzg5YWJjZGVmZ2hpI2tleS0xIl19fQ.SeyJ0IjoiZG0iLCJzIjp7InVyaSI6Imh0dHA6Ly9leGFtcGxlLmNvbS9hbm90aGVyIiwiYSI6WyJkaWRjb21tL3YyIl0sInIiOlsiZGlkOmV4YW1wbGU6MTIzNDU2Nzg5YWJjZGVmZ2hpI2tleS0yIl19fQ";

fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

#[test]
fn the_method_4_example_resolves_in_both_forms() {
    let (long, short) = (did(LONG), did(SHORT));
    assert_eq!(long_to_short(&long), Some(short.clone()));
    assert!(long.same_subject(&short) && short.same_subject(&long));

    let document = resolve(&long).unwrap().unwrap();
    assert_eq!(document.id, long);
    assert_eq!(document.also_known_as, [SHORT]);
    let (kid, key) = document.signing_keys().next().unwrap();
    assert_eq!(kid, &long.url("6MkrCD1c"));
    assert_eq!(key.to_multibase(), "z6MkrCD1csqtgdj8sjrsu8jxcbeyP6m7LiK87NzhfWqio5yr");
    let (kid, key) = document.agreement_keys().next().unwrap();
    assert_eq!(kid, &long.url("6LSqPZfn"));
    assert_eq!(key.to_multibase(), "z6LSqPZfn9krvgXma2icTMKf2uVcYhKXsudCmPoUzqGYW24U");
    assert_eq!(document.didcomm_endpoints(), [Endpoint::new("didcomm:transport/queue")]);

    assert_eq!(resolve(&short).unwrap(), None, "the short form needs to be remembered");
    let of_short = resolve_short(&long).unwrap();
    assert_eq!((&of_short.id, of_short.also_known_as.as_slice()), (&short, &[LONG.to_owned()][..]));
    // A message may name the key under either form.
    assert!(of_short.agreement_key(&long.url("6LSqPZfn")).is_some());
    assert!(document.agreement_key(&short.url("6LSqPZfn")).is_some());
}

#[test]
fn a_document_that_is_not_the_hashed_one_is_nobodys() {
    let other = create_4(&[SigningKey::from_seed([1; 32].into()).public()], &[]).unwrap();
    let (_, encoded) = other.long.as_str().rsplit_once(':').unwrap();
    let forged = did(&format!("{SHORT}:{encoded}"));
    assert_eq!(resolve(&forged), Err(DidError::Method));
    assert_eq!(long_to_short(&forged), None);
    assert!(!forged.same_subject(&did(SHORT)));
    assert!(!forged.same_subject(&did(LONG)));
}

#[test]
fn created_method_4_dids_resolve_to_what_was_put_in() {
    let signing = SigningKey::from_seed([1; 32].into()).public();
    let agreement = AgreementKey::from_bytes([2; 32].into()).public();
    let mut routed = Endpoint::new("https://a.example/didcomm");
    routed.routing_keys.push("did:web:m.example#k".to_owned());
    let endpoints = [routed, Endpoint::new("wss://a.example/ws")];
    let made = create_4(&[signing, agreement], &endpoints).unwrap();
    assert_eq!(long_to_short(&made.long), Some(made.short.clone()));
    let document = resolve(&made.long).unwrap().unwrap();
    assert_eq!(document.signing_keys().next(), Some((&made.long.url("key-1"), &signing)));
    assert_eq!(document.agreement_keys().next(), Some((&made.long.url("key-2"), &agreement)));
    assert_eq!(document.didcomm_endpoints(), endpoints);
}

#[test]
fn input_documents_that_break_the_rules_are_refused() {
    let input = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
    assert_eq!(create_4_from(&input(r#"{"id":"did:web:a"}"#)), Err(DidError::Method));
    assert_eq!(create_4_from(&input(r#"{"verificationMethod":{}}"#)), Err(DidError::Method));
    let long = json!({ "x": "a".repeat(DID_BYTES_MAX) });
    assert_eq!(create_4_from(long.as_object().unwrap()), Err(DidError::TooLong));
}

#[test]
fn a_method_4_document_cannot_use_another_dids_key_ids() {
    let key = SigningKey::from_seed([1; 32].into()).public().to_multibase();
    let input = json!({
        "verificationMethod": [
            { "id": "did:web:victim.example#key-1", "type": "Multikey", "publicKeyMultibase": key },
            { "id": "#mine", "controller": "did:web:victim.example", "type": "Multikey", "publicKeyMultibase": key },
        ],
        "authentication": ["did:web:victim.example#key-1", "#mine"],
    });
    let made = create_4_from(input.as_object().unwrap()).unwrap();
    let document = resolve(&made.long).unwrap().unwrap();
    assert_eq!(document.verification_method.len(), 2);
    assert!(document.authentication_key(&made.long.url("mine")).is_none(), "held by somebody else");
    assert!(document.authentication_key(&made.long.url("key-1")).is_none());
}

#[test]
fn the_method_2_example_resolves() {
    let did = did(PEER_2);
    let document = resolve(&did).unwrap().unwrap();
    let (kid, key) = document.signing_keys().next().unwrap();
    assert_eq!(kid, &did.url("key-1"));
    assert_eq!(key.to_multibase(), "z6Mkj3PUd1WjvaDhNZhhhXQdz5UnZXmS7ehtx8bsPpD47kKc");
    let (kid, key) = document.agreement_keys().next().unwrap();
    assert_eq!(kid, &did.url("key-2"));
    assert_eq!(key.to_multibase(), "z6LSg8zQom395jKLrGiBNruB9MM6V8PWuf2FpEy4uRFiqQBR");
    let ids: Vec<_> = document.service.iter().map(|service| service.id.as_str()).collect();
    assert_eq!(ids, [did.url("service").as_str(), did.url("service-1").as_str()]);
    let endpoints = document.didcomm_endpoints();
    assert_eq!(endpoints[0].uri, "http://example.com/didcomm");
    assert_eq!(endpoints[0].accept, ["didcomm/v2"]);
    assert_eq!(endpoints[1].routing_keys, ["did:example:123456789abcdefghi#key-2"]);
}

#[test]
fn the_older_flat_service_of_method_2_is_read() {
    let did = did(
        "did:peer:2.Ez6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc.Vz6MkqRYqQiSgvZQdnBytw86Qbs2ZWUkGv22od935YF4s8M7V.Vz6MkgoLTnTypo3tDRwCkZXSccTPHRLhF4ZnjhueYAFpEX6vg.SeyJ0IjoiZG0iLCJzIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9lbmRwb2ludCIsInIiOlsiZGlkOmV4YW1wbGU6c29tZW1lZGlhdG9yI3NvbWVrZXkiXSwiYSI6WyJkaWRjb21tL3YyIiwiZGlkY29tbS9haXAyO2Vudj1yZmM1ODciXX0",
    );
    let endpoints = resolve(&did).unwrap().unwrap().didcomm_endpoints();
    assert_eq!(endpoints[0].uri, "https://example.com/endpoint");
    assert_eq!(endpoints[0].routing_keys, ["did:example:somemediator#somekey"]);
    assert_eq!(endpoints[0].accept.len(), 2);
}

#[test]
fn created_method_2_dids_resolve_to_what_was_put_in() {
    let signing = SigningKey::from_seed([1; 32].into()).public();
    let agreement = AgreementKey::from_bytes([2; 32].into()).public();
    let endpoints =
        [Endpoint::new("https://a.example/didcomm"), Endpoint::new("https://b.example/")];
    let did = create_2(&[signing], &[agreement], &endpoints).unwrap();
    let document = resolve(&did).unwrap().unwrap();
    assert_eq!(document.signing_keys().next(), Some((&did.url("key-1"), &signing)));
    assert_eq!(document.agreement_keys().next(), Some((&did.url("key-2"), &agreement)));
    assert_eq!(document.didcomm_endpoints(), endpoints);
    assert_eq!(create_2(&[agreement], &[], &[]), Err(DidError::Method));
}

#[test]
fn malformed_and_unsupported_ones_are_refused() {
    for bad in [
        "did:peer:2",
        "did:peer:2.",
        "did:peer:2.V",
        "did:peer:2.Xz6Mkj3PUd1WjvaDhNZhhhXQdz5UnZXmS7ehtx8bsPpD47kKc",
        "did:peer:2.Vz6Mkj3PUd1WjvaDhNZhhhXQdz5UnZXmS7ehtx8bsPpD47k0",
        "did:peer:2.S!!!!",
        "did:peer:2.SW10",
        "did:peer:0z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH",
        "did:peer:3zQmS19jtYDvGtKVrJhQnRFpBQAx3pJ9omx2HpNrcXFuRCz9",
        "did:peer:4zQmd8CpeFPci817KDsbSAKWcXAE2mjvCQSasRewvbSF54",
        "did:peer:4",
        "did:peer:4zQmd8CpeFPci817KDsbSAKWcXAE2mjvCQSasRewvbSF54Bd:z",
        "did:peer:4zQmd8CpeFPci817KDsbSAKWcXAE2mjvCQSasRewvbSF54Bd:u2M1k",
    ] {
        let Ok(did) = Did::parse(bad) else { continue };
        assert_eq!(resolve(&did), Err(DidError::Method), "{bad}");
    }
}

#[test]
fn a_did_whose_document_could_not_be_read_again_is_refused() {
    // Each of the ids of the document is as long as the DID.
    let keys = |count: u8| -> Vec<PublicKey> {
        (1..=count).map(|seed| SigningKey::from_seed([seed; 32].into()).public()).collect()
    };
    let made = create_2(&keys(10), &[], &[]).unwrap();
    let document = resolve(&made).unwrap().unwrap();
    let text = document.to_json().to_string();
    assert_eq!(DidDocument::parse(text.as_bytes(), &made), Ok(document));
    assert_eq!(create_2(&keys(64), &[], &[]), Err(DidError::DocumentTooLong));

    let method = |at: usize| json!({ "id": format!("#{at}"), "type": "M" });
    let methods: Vec<_> = (0..40).map(method).collect();
    let Value::Object(input) = json!({ "verificationMethod": methods }) else { unreachable!() };
    assert_eq!(create_4_from(&input), Err(DidError::DocumentTooLong));
    // The other form of the DID is one name more.
    let names = vec!["a"; SERVICES_MAX];
    let Value::Object(input) = json!({ "alsoKnownAs": names }) else { unreachable!() };
    assert_eq!(create_4_from(&input), Err(DidError::Method));
}
