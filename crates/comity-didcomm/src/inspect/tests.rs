//! What is shown of good envelopes, and which check names the fault of bad ones.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;
use crate::did::Did;
use crate::envelope::jws::sign;
use crate::key::{AgreementKey, SigningKey};
use crate::seal::{anoncrypt, authcrypt};

struct Envelopes {
    plaintext: String,
    signed: String,
    anoncrypt: String,
    authcrypt: String,
}

fn envelopes() -> Envelopes {
    let mut rng = StdRng::seed_from_u64(1);
    let [aria, bruno] =
        ["aria", "bruno"].map(|name| Did::parse(&format!("did:web:{name}.example")).unwrap());
    let plaintext = json!({
        "id": "m-1", "type": "https://didcomm.org/empty/1.0/empty", "from": aria, "to": [bruno],
    });
    let plaintext = plaintext.to_string();
    let (signing, agreement) = (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
    let to = [(bruno.url("seal"), agreement.public())];
    let enc = ContentEncryption::XC20P;
    Envelopes {
        signed: sign(plaintext.as_bytes(), &aria.url("sign"), &signing),
        anoncrypt: anoncrypt(plaintext.as_bytes(), &to, enc, &mut rng).unwrap(),
        authcrypt: authcrypt(plaintext.as_bytes(), &aria.url("seal"), &agreement, &to, &mut rng)
            .unwrap(),
        plaintext,
    }
}

fn faults(envelope: &Value) -> Vec<&'static str> {
    let inspection = inspect(envelope.to_string().as_bytes());
    inspection
        .checks
        .into_iter()
        .filter(|check| check.fails.is_some())
        .map(|check| check.what)
        .collect()
}

fn fact<'a>(inspection: &'a Inspection, name: &str) -> Option<&'a str> {
    inspection.facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

/// Changes members of a protected header.
fn with_header(envelope: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut envelope: Value = serde_json::from_str(envelope).unwrap();
    let place = match envelope.get("signatures") {
        Some(_) => &mut envelope["signatures"][0]["protected"],
        None => &mut envelope["protected"],
    };
    let text = encoding::from_base64url(place.as_str().unwrap()).unwrap();
    let mut header: Value = serde_json::from_slice(&text).unwrap();
    change(&mut header);
    *place = json!(encoding::base64url(header.to_string()));
    envelope
}

#[test]
fn good_envelopes_show_what_they_are() {
    let envelopes = envelopes();
    for (text, layer) in [
        (&envelopes.plaintext, None),
        (&envelopes.signed, Some(Layer::Signed)),
        (&envelopes.anoncrypt, Some(Layer::Anoncrypt)),
        (&envelopes.authcrypt, Some(Layer::Authcrypt)),
    ] {
        let inspection = inspect(text.as_bytes());
        assert!(inspection.passes(), "{inspection:?}");
        assert_eq!((inspection.layer, inspection.bytes), (layer, text.len()));
        let encrypted = matches!(layer, Some(Layer::Anoncrypt | Layer::Authcrypt));
        assert_eq!(inspection.message.is_none(), encrypted);
        assert_eq!(inspection.recipients.len(), usize::from(encrypted));
    }
    let inspection = inspect(envelopes.authcrypt.as_bytes());
    assert_eq!(fact(&inspection, "sealed by"), Some("did:web:aria.example#seal"));
    assert_eq!(fact(&inspection, "curve"), Some("X25519"));
    assert_eq!(fact(&inspection, "tag"), Some("32 bytes"));
    let inspection = inspect(envelopes.signed.as_bytes());
    assert_eq!(fact(&inspection, "signed by"), Some("did:web:aria.example#sign"));
}

#[test]
fn each_fault_is_named_alone() {
    let all = envelopes();
    let set = |name: &'static str, value: Value| move |header: &mut Value| header[name] = value;
    let mut two: Value = serde_json::from_str(&all.anoncrypt).unwrap();
    let other = json!({ "header": { "kid": "did:web:c.example#k" }, "encrypted_key": "AA" });
    two["recipients"].as_array_mut().unwrap().push(other);
    let mut extra: Value = serde_json::from_str(&all.anoncrypt).unwrap();
    extra["aad"] = json!("AA");
    let mut unsigned: Value = serde_json::from_str(&all.signed).unwrap();
    unsigned["signatures"] = json!([]);
    let bad_apu = encoding::base64url("did:web:mallory.example#seal");
    for (envelope, what) in [
        (two, "apv is the digest of the recipients' key ids"),
        (extra, "it is a JWE in the general form"),
        (with_header(&all.authcrypt, set("apu", json!(bad_apu))), "skid and apu name the same key"),
        (
            with_header(&all.authcrypt, set("enc", json!("A256GCM"))),
            "alg and enc are known and may go together",
        ),
        (
            with_header(&all.anoncrypt, set("skid", json!("did:a:b#c"))),
            "an anonymous envelope names no sender",
        ),
        (with_header(&all.anoncrypt, set("typ", json!("JWT"))), "typ says what it is"),
        (
            with_header(&all.anoncrypt, set("zip", json!("DEF"))),
            "no header asks to fetch, trust, decompress or understand more",
        ),
        (
            with_header(&all.anoncrypt, |header| {
                header["epk"]["x"] = json!(encoding::base64url([0; 32]))
            }),
            "epk is a safe point of a curve that agrees",
        ),
        (with_header(&all.signed, set("alg", json!("none"))), "the algorithm is known"),
        (
            with_header(&all.signed, set("kid", json!("did:web:aria.example#other"))),
            "the signer's key is named, in both headers the same",
        ),
        (json!({ "id": "m-1" }), "it is a DIDComm v2 message"),
    ] {
        assert_eq!(faults(&envelope), [what], "{envelope}");
    }
    assert_eq!(
        faults(&unsigned),
        ["it is a JWS with one signature", "the key that is named as the signer's belongs to from",]
    );
    assert_eq!(faults(&json!([])), ["it is strict JSON within the bounds"]);
}

#[test]
fn nothing_that_is_read_is_unbounded_or_panics() {
    let recipient = json!({ "header": { "kid": "did:a:b#c" } });
    let many = json!({ "ciphertext": "", "recipients": vec![recipient; 1000], "protected": "e30" });
    let inspection = inspect(many.to_string().as_bytes());
    assert_eq!(inspection.recipients.len(), RECIPIENTS_MAX);
    for text in [
        "",
        "{",
        r#"{"payload":1}"#,
        r#"{"ciphertext":[],"recipients":[[]]}"#,
        r#"{"payload":"e30","signature":1}"#,
    ] {
        assert!(!inspect(text.as_bytes()).passes(), "{text}");
    }
}
