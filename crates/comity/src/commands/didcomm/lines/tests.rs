//! The line protocol as its users see it: what goes in, what comes out.

use comity_didcomm::{
    AgreementKey, Curve, Did, DidDocument, SigningKey, VerificationMethod, did, limits,
};
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::limits::WORKBENCH_DIDS_MAX;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A party with a key of every kind, its document and its secrets, as harnesses hold them.
struct Party {
    did: String,
    document: Value,
    secrets: Vec<Value>,
}

impl Party {
    fn new(name: &str, service: Option<Value>) -> Self {
        let mut rng = StdRng::seed_from_u64(name.len() as u64);
        let did = Did::parse(&format!("did:example:{name}")).unwrap();
        let mut document = DidDocument::new(did.clone());
        let mut secrets = Vec::new();
        let mut keep = |jwk: &str, kid: &str| {
            let mut jwk: Value = serde_json::from_str(jwk).unwrap();
            jwk["kid"] = json!(kid);
            secrets.push(jwk);
        };
        for curve in Curve::ALL {
            if curve.is_signing() {
                let key = SigningKey::generate_on(curve, &mut rng).unwrap();
                let kid = did.url(&format!("sign-{}", curve.name()));
                keep(&key.to_jwk(), kid.as_str());
                let id = document.add_key(VerificationMethod::new(kid, key.public()));
                document.authentication.push(id);
            }
            if curve.is_agreement() {
                let key = AgreementKey::generate_on(curve, &mut rng).unwrap();
                let kid = did.url(&format!("seal-{}", curve.name()));
                keep(&key.to_jwk(), kid.as_str());
                let id = document.add_key(VerificationMethod::new(kid, key.public()));
                document.key_agreement.push(id);
            }
        }
        let mut document = document.to_json();
        if let Some(endpoint) = service {
            document["service"] = json!([{
                "id": did.url("didcomm"), "type": "DIDCommMessaging", "serviceEndpoint": endpoint,
            }]);
        }
        Self { did: did.to_string(), document, secrets }
    }
}

struct World {
    alice: Party,
    bob: Party,
    mediator: Party,
}

impl World {
    fn new() -> Self {
        let endpoint = json!({ "uri": "https://m.example/didcomm", "accept": ["didcomm/v2"] });
        let mediator = Party::new("the-mediator", Some(endpoint));
        let endpoint = json!({ "uri": mediator.did, "accept": ["didcomm/v2"] });
        Self { alice: Party::new("alice", None), bob: Party::new("bob", Some(endpoint)), mediator }
    }

    fn dids(&self) -> Value {
        json!([self.alice.document, self.bob.document, self.mediator.document])
    }

    fn message(&self) -> Value {
        json!({
            "id": "m-1", "typ": "application/didcomm-plain+json",
            "type": "https://didcomm.org/basicmessage/2.0/message",
            "from": self.alice.did, "to": [self.bob.did], "body": { "content": "Grüße" },
            "created_time": 1_516_269_022, "expires_time": 1_516_385_931,
        })
    }

    fn pack(&self, mode: &str, more: &Value) -> Value {
        let mut request = json!({
            "rid": 1, "op": "pack", "mode": mode, "dids": self.dids(), "secrets": self.alice.secrets,
            "message": self.message(), "to": self.bob.did, "from": self.alice.did, "sign_by": self.alice.did,
        });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        ask(&request)
    }

    fn unpack(&self, packed: &Value, more: &Value) -> Value {
        let mut request = json!({
            "rid": "u", "op": "unpack", "packed": packed, "dids": self.dids(), "secrets": self.bob.secrets,
        });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        ask(&request)
    }
}

fn serve_all(input: &[u8]) -> Vec<Value> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut output = Vec::new();
    serve(&mut &*input, &mut output, &|| NOW, &mut rng).unwrap();
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ask(request: &Value) -> Value {
    let answers = serve_all(format!("{request}\n").as_bytes());
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(answer["rid"], request["rid"]);
    answer.clone()
}

#[test]
fn a_line_with_very_many_values_is_refused_before_anything_is_made_of_it() {
    // A million small objects in eight megabytes took seven hundred.
    let list = |value: &str, count: usize| vec![value; count].join(",");
    let line =
        |rid: u8, more: String| format!("{{\"rid\":{rid},\"op\":\"info\",\"x\":[{more}]}}\n");
    let texts = line(1, list(r#""{\"a\":[{},{},{}]}""#, 100_000));
    let objects = line(2, list(r#"{"a":0}"#, 60_000));
    let records = line(3, list(r#"{"id":104729,"name":"Aria","at":1800000000}"#, 40_000));
    let last = line(4, String::new());
    let answers = serve_all([texts, objects, records, last].concat().as_bytes());
    let [texts, objects, records, last] = answers.as_slice() else { panic!("{}", answers.len()) };
    assert_eq!([&texts["rid"], &records["rid"], &last["rid"]], [&json!(1), &json!(3), &json!(4)]);
    assert_refused(objects, TOO_LARGE);
    assert_eq!(objects["rid"], Value::Null);
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[track_caller]
fn assert_refused(answer: &Value, code: &str) {
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["code"], code, "{answer}");
    assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "error", "ok", "rid"]);
}

#[test]
fn info_says_what_there_is() {
    let mut info = ask(&json!({ "rid": null, "op": "info" }));
    assert_eq!(info["version"].take(), env!("CARGO_PKG_VERSION"));
    insta::assert_snapshot!(pretty(&info), @r#"
    {
      "algorithms": [
        "EdDSA",
        "ES256",
        "ES256K",
        "ECDH-ES+A256KW",
        "ECDH-1PU+A256KW",
        "A256CBC-HS512",
        "A256GCM",
        "XC20P"
      ],
      "curves": [
        "Ed25519",
        "X25519",
        "P-256",
        "P-384",
        "P-521",
        "secp256k1"
      ],
      "modes": [
        "plaintext",
        "signed",
        "anoncrypt",
        "authcrypt",
        "anoncrypt+sign",
        "authcrypt+sign",
        "anoncrypt+authcrypt"
      ],
      "name": "comity",
      "ok": true,
      "rid": null,
      "version": null
    }
    "#);
}

#[test]
fn what_is_packed_in_any_mode_unpacks_and_says_so() {
    let world = World::new();
    let mut seen = String::new();
    for mode in Mode::ALL {
        let packed = world.pack(mode.name(), &json!({}));
        assert_eq!(packed["ok"], true, "{packed}");
        let unpacked = world.unpack(&packed["packed"], &json!({}));
        assert_eq!(unpacked["message"], world.message(), "{unpacked}");
        let meta = &unpacked["meta"];
        for kid in ["from_kid", "sign_kid", "to_kids"] {
            assert_eq!(meta[kid], packed[kid], "{kid} {unpacked}");
        }
        let flags = ["encrypted", "authenticated", "non_repudiation", "anonymous_sender"];
        let flags = flags.map(|name| if meta[name] == true { name } else { "-" }).join(" ");
        seen.push_str(&format!(
            "{}: {flags} {} {}\n",
            mode.name(),
            meta["from_kid"],
            meta["sign_kid"]
        ));
    }
    insta::assert_snapshot!(seen, @r#"
    plaintext: - - - - null null
    signed: - authenticated non_repudiation - null "did:example:alice#sign-Ed25519"
    anoncrypt: encrypted - - anonymous_sender null null
    authcrypt: encrypted authenticated - - "did:example:alice#seal-X25519" null
    anoncrypt+sign: encrypted authenticated non_repudiation anonymous_sender null "did:example:alice#sign-Ed25519"
    authcrypt+sign: encrypted authenticated non_repudiation - "did:example:alice#seal-X25519" "did:example:alice#sign-Ed25519"
    anoncrypt+authcrypt: encrypted authenticated - anonymous_sender "did:example:alice#seal-X25519" null
    "#);
}

#[test]
fn meta_has_exactly_its_members() {
    let world = World::new();
    let packed = world.pack("plaintext", &json!({}));
    insta::assert_snapshot!(pretty(&world.unpack(&packed["packed"], &json!({}))), @r#"
    {
      "message": {
        "body": {
          "content": "Grüße"
        },
        "created_time": 1516269022,
        "expires_time": 1516385931,
        "from": "did:example:alice",
        "id": "m-1",
        "to": [
          "did:example:bob"
        ],
        "typ": "application/didcomm-plain+json",
        "type": "https://didcomm.org/basicmessage/2.0/message"
      },
      "meta": {
        "anonymous_sender": false,
        "authenticated": false,
        "encrypted": false,
        "from_kid": null,
        "from_prior_kid": null,
        "non_repudiation": false,
        "re_wrapped": false,
        "sign_kid": null,
        "to_kids": []
      },
      "ok": true,
      "rid": "u"
    }
    "#);
}

#[test]
fn keys_named_by_id_are_used() {
    let world = World::new();
    for curve in Curve::AGREEMENT {
        let kid = |party: &Party| format!("{}#seal-{}", party.did, curve.name());
        let more = json!({ "to": kid(&world.bob), "from": kid(&world.alice) });
        let packed = world.pack("authcrypt", &more);
        assert_eq!(packed["to_kids"], json!([kid(&world.bob)]), "{packed}");
        assert_eq!(packed["from_kid"], kid(&world.alice));
        assert_eq!(world.unpack(&packed["packed"], &json!({}))["ok"], true);
        // The other party's curve follows the one that is named.
        let packed = world.pack("authcrypt", &json!({ "to": kid(&world.bob) }));
        assert_eq!(packed["from_kid"], kid(&world.alice));
    }
    for curve in Curve::ALL.into_iter().filter(|curve| curve.is_signing()) {
        let kid = format!("{}#sign-{}", world.alice.did, curve.name());
        let packed = world.pack("signed", &json!({ "sign_by": kid }));
        assert_eq!((&packed["sign_kid"], &packed["to_kids"]), (&json!(kid), &json!([])));
        assert_eq!(world.unpack(&packed["packed"], &json!({}))["meta"]["sign_kid"], kid);
    }
}

#[test]
fn every_content_encryption_of_anoncrypt_opens() {
    let world = World::new();
    for (name, _) in ENCRYPTIONS {
        let packed = world.pack("anoncrypt+sign", &json!({ "enc_anon": name }));
        assert_eq!(world.unpack(&packed["packed"], &json!({}))["ok"], true, "{name}");
    }
    assert_refused(
        &world.pack("anoncrypt", &json!({ "enc_anon": "A128GCM" })),
        "e.m.trust.crypto.alg",
    );
}

#[test]
fn parties_default_to_those_of_the_message() {
    let world = World::new();
    let nobody = json!({ "to": null, "from": null, "sign_by": null });
    assert_eq!(world.pack("authcrypt+sign", &nobody)["ok"], true);
    let mut message = world.message();
    message.as_object_mut().unwrap().remove("from");
    let mut more = nobody;
    more["message"] = message;
    assert_refused(&world.pack("authcrypt", &more), "e.m.trust.crypto.sender-mismatch");
    more["message"].as_object_mut().unwrap().remove("to");
    assert_refused(&world.pack("anoncrypt", &more), "e.m.trust.not-addressed");
}

#[test]
fn a_rotation_given_as_claims_is_signed() {
    let world = World::new();
    let mut message = world.message();
    message["from_prior"] =
        json!({ "iss": world.mediator.did, "sub": world.alice.did, "aud": null });
    let mut secrets = world.alice.secrets.clone();
    secrets.extend(world.mediator.secrets.clone());
    let more = json!({ "message": message, "secrets": secrets });
    let packed = world.pack("authcrypt", &more);
    let unpacked = world.unpack(&packed["packed"], &json!({}));
    let kid = format!("{}#sign-Ed25519", world.mediator.did);
    assert_eq!(unpacked["meta"]["from_prior_kid"], kid, "{unpacked}");
    assert!(unpacked["message"]["from_prior"].as_str().is_some_and(|jwt| jwt.starts_with("ey")));
    for wrong in [
        json!({ "sub": world.alice.did }),
        json!({ "iss": "alice" }),
        json!({ "iss": world.mediator.did, "iat": "now" }),
        json!({ "iss": world.mediator.did, "exp": 1 }),
    ] {
        let mut more = more.clone();
        more["message"]["from_prior"] = wrong;
        assert_refused(&world.pack("authcrypt", &more), "e.m.did.from-prior");
    }
}

#[test]
fn a_forward_goes_to_the_mediator_and_can_be_unwrapped() {
    let world = World::new();
    let packed = world.pack("authcrypt", &json!({ "forward": true }));
    assert_eq!(packed["uri"], "https://m.example/didcomm", "{packed}");
    // Bob cannot open the mediator's envelope.
    assert_refused(&world.unpack(&packed["packed"], &json!({})), "e.m.xfer.unknown-recipient");
    let mediator = json!({ "secrets": world.mediator.secrets, "unwrap_forward": true });
    let at_mediator = world.unpack(&packed["packed"], &mediator);
    let message = &at_mediator["message"];
    assert_eq!(message["type"], "https://didcomm.org/routing/2.0/forward", "{at_mediator}");
    assert_eq!(message["body"]["next"], world.bob.did);
    assert_eq!(at_mediator["meta"]["re_wrapped"], false);
    let inner = message["attachments"][0]["data"]["json"].to_string();
    assert_eq!(world.unpack(&json!(inner), &json!({}))["message"], world.message());

    let mut all = world.mediator.secrets.clone();
    all.extend(world.bob.secrets.clone());
    let unwrapped =
        world.unpack(&packed["packed"], &json!({ "secrets": all, "unwrap_forward": true }));
    assert_eq!(unwrapped["message"], world.message());
    assert_eq!(unwrapped["meta"]["re_wrapped"], true);
    let left = world.unpack(&packed["packed"], &json!({ "secrets": all }));
    assert_eq!(left["meta"]["re_wrapped"], false);
}

#[test]
fn a_forward_to_nowhere_is_refused() {
    let world = World::new();
    let to_alice = json!({ "forward": true, "to": world.alice.did, "message": { "id": "m", "type": "https://didcomm.org/empty/1.0/empty" } });
    assert_refused(&world.pack("anoncrypt", &to_alice), "e.p.xfer.cant-use-endpoint");
    assert_refused(&world.pack("plaintext", &json!({ "forward": true })), "e.m.msg.unsupported");
    let dids = json!([world.alice.document, world.bob.document]);
    let unknown = json!({ "forward": true, "dids": dids });
    assert_refused(&world.pack("authcrypt", &unknown), "e.p.did.unresolvable");
}

#[test]
fn what_a_receiver_would_refuse_is_not_packed() {
    let world = World::new();
    let with = |name: &str, value: Value| {
        let mut message = world.message();
        message[name] = value;
        json!({ "message": message })
    };
    let not_from = with("from", json!(world.mediator.did));
    for mode in
        Mode::ALL.into_iter().filter(|mode| !matches!(mode, Mode::Plaintext | Mode::Anoncrypt))
    {
        assert_refused(&world.pack(mode.name(), &not_from), "e.m.trust.crypto.sender-mismatch");
    }
    let not_to = with("to", json!([world.mediator.did]));
    for mode in Mode::ALL.into_iter().filter(|mode| !matches!(mode, Mode::Plaintext | Mode::Signed))
    {
        assert_refused(&world.pack(mode.name(), &not_to), "e.m.trust.not-addressed");
    }
    for mode in ["anoncrypt+sign", "authcrypt+sign"] {
        assert_refused(&world.pack(mode, &with("to", json!([]))), "e.m.trust.not-addressed");
    }
    for mode in Mode::ALL {
        assert_refused(&world.pack(mode.name(), &with("id", json!("a b"))), "e.m.msg.malformed");
    }
    let unknown = json!({ "secrets": [] });
    assert_refused(&world.pack("authcrypt", &unknown), "e.m.trust.crypto.key");
    assert_refused(&world.pack("signed", &unknown), "e.m.trust.crypto.key");
    assert_refused(&world.pack("authcrypt", &json!({ "dids": [] })), "e.p.did.unresolvable");
    assert_refused(&world.pack("authcrypt+anoncrypt", &json!({})), "e.m.msg.unsupported");
}

#[test]
fn a_recipient_key_must_be_listed_for_key_agreement() {
    let world = World::new();
    let packed = world.pack("authcrypt", &json!({}));
    let mut bob = world.bob.document.clone();
    bob["authentication"] = std::mem::replace(&mut bob["keyAgreement"], json!([]));
    let dids = json!([world.alice.document, bob]);
    let answer = world.unpack(&packed["packed"], &json!({ "dids": dids }));
    assert_refused(&answer, "e.m.xfer.unknown-recipient");
}

#[test]
fn dids_that_carry_their_document_need_none() {
    let world = World::new();
    let mut rng = StdRng::seed_from_u64(5);
    let (sign, seal) = (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
    let peer = did::peer::create_4(&[sign.public(), seal.public()], &[]).unwrap();
    let mut secret: Value = serde_json::from_str(&seal.to_jwk()).unwrap();
    secret["kid"] = json!(peer.long.url("key-2"));
    // To the long form, and opened under the short form that its document was given for.
    for to in [&peer.long, &peer.short] {
        let mut message = world.message();
        message["to"] = json!([to]);
        let packed = world.pack("authcrypt", &json!({ "message": message, "to": peer.long }));
        let more = json!({ "secrets": [secret] });
        assert_eq!(world.unpack(&packed["packed"], &more)["ok"], true, "{packed}");
    }
}

#[test]
fn times_are_judged_only_when_the_time_is_told() {
    let world = World::new();
    let packed = world.pack("authcrypt", &json!({}));
    assert_eq!(world.unpack(&packed["packed"], &json!({ "now": 1_516_300_000 }))["ok"], true);
    let late = world.unpack(&packed["packed"], &json!({ "now": 1_800_000_000 }));
    assert_refused(&late, "e.m.req.time.expired");
}

#[test]
fn no_line_ends_the_service() {
    let limit = usize::try_from(WORKBENCH_LINE_BYTES_MAX).unwrap();
    let (deep, long) = (vec![b'['; 100_000], vec![b'x'; limit + 100_000]);
    let mut input: Vec<u8> = Vec::new();
    let too_many =
        json!({ "rid": 8, "op": "pack", "dids": vec![0; WORKBENCH_DIDS_MAX + 1] }).to_string();
    let lines: [&[u8]; 14] = [
        b"not json".as_slice(),
        b"\xff\xfe",
        b"[]",
        b"7",
        br#"{"rid":1}"#,
        br#"{"rid":[2],"op":"dance"}"#,
        br#"{"rid":3,"op":7}"#,
        br#"{"rid":4,"op":"pack"}"#,
        br#"{"rid":5,"op":"unpack"}"#,
        br#"{"rid":6,"op":"unpack","packed":7}"#,
        br#"{"rid":7,"op":"pack","secrets":[{"kid":"x"}]}"#,
        too_many.as_bytes(),
        &deep,
        &long,
    ];
    for line in lines {
        input.extend_from_slice(line);
        input.extend_from_slice(b"\r\n\n");
    }
    input.extend_from_slice(br#"{"rid":"last","op":"info"}"#);
    let answers = serve_all(&input);
    assert_eq!(answers.len(), lines.len() + 1, "a blank line is none");
    let code = |answer: &Value| json!([answer["rid"], answer["code"]]).to_string();
    let codes: Vec<_> = answers.iter().map(code).collect();
    insta::assert_snapshot!(codes.join("\n"), @r#"
    [null,"e.m.msg.malformed"]
    [null,"e.m.msg.malformed"]
    [null,"e.m.msg.malformed"]
    [null,"e.m.msg.malformed"]
    [1,"e.m.msg.malformed"]
    [[2],"e.m.msg.unsupported"]
    [3,"e.m.msg.malformed"]
    [4,"e.m.msg.malformed"]
    [5,"e.m.msg.malformed"]
    [6,"e.m.msg.malformed"]
    [7,"e.m.msg.malformed"]
    [8,"e.m.me.res.storage.message_too_big"]
    [null,"e.m.msg.malformed"]
    [null,"e.m.me.res.storage.message_too_big"]
    ["last",null]
    "#);
    assert_eq!(answers.last().unwrap()["ok"], true);
}

#[test]
fn a_message_of_the_largest_size_is_answered() {
    let world = World::new();
    let mut message = world.message();
    message["body"]["content"] = json!("x".repeat(limits::ENVELOPE_BYTES_MAX));
    assert_refused(&world.pack("authcrypt", &json!({ "message": message })), "e.m.msg.malformed");
    message["body"]["content"] = json!("x".repeat(limits::ENVELOPE_BYTES_MAX / 2));
    assert_eq!(world.pack("authcrypt", &json!({ "message": message }))["ok"], true);
}

#[test]
fn a_damaged_request_gets_one_answer_like_any_other() {
    let world = World::new();
    let packed = world.pack("anoncrypt+sign", &json!({}))["packed"].clone();
    let request = json!({
        "rid": 1, "op": "unpack", "packed": packed, "dids": world.dids(), "secrets": world.bob.secrets,
    });
    let good = request.to_string().into_bytes();
    let mut input = Vec::new();
    let mut sent = 0;
    for at in (0..good.len()).step_by(good.len() / 60) {
        for damage in [b'"', b'}', b'A', 0xff] {
            let mut bad = good.clone();
            bad[at] = damage;
            input.extend(bad);
            input.push(b'\n');
            sent += 1;
        }
    }
    let answers = serve_all(&input);
    assert_eq!(answers.len(), sent);
    for answer in answers {
        if answer["ok"] == true {
            assert_eq!(answer["message"], world.message(), "damage changes no meaning");
        } else {
            assert!(answer["code"].as_str().is_some_and(|code| code.starts_with("e.")), "{answer}");
        }
    }
}
