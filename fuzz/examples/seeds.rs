//! Writes the seeds of the corpus: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.
//!
//! A seed's name begins with what its target says about it, `accepted` or `refused`, and a test of `comity-didcomm`
//! holds it to that. Inputs that a run found are kept by hand under any other name.

use std::{fs, path::Path};

use comity_didcomm::{
    AgreementKey, CompactJws, ContentEncryption, Curve, Did, Endpoint, Message, SigningKey,
    anoncrypt, authcrypt, did, from_prior,
    invitation::Invitation,
    routing::{Forward, Next},
    sign,
};
use comity_fuzz::targets::{
    TARGETS, Verdict,
    parties::{NOW, World},
    tokens::{CLAIMS, TYP},
    webvh::published,
};
use serde_json::json;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, run) in TARGETS {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("the corpus is writable");
        for (name, bytes) in seeds(target) {
            let verdict = match run(&bytes) {
                Verdict::Accepted => "accepted",
                Verdict::Refused => "refused",
            };
            assert!(name.starts_with(verdict), "{target}/{name} is {verdict}");
            fs::write(folder.join(name), bytes).expect("the corpus is writable");
        }
    }
}

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn seeds(target: &str) -> Seeds {
    match target {
        "did_document" => did_documents(),
        "did_url" => did_urls(),
        "forward" => forwards(),
        "from_prior" => tokens(),
        "inside_anoncrypt" | "inside_authcrypt" => insides(target),
        "invitation" => invitations(),
        "jwe" => envelopes(),
        "jws" => signatures(),
        "jwt" => claims(),
        "key" => keys(),
        "names" => names(),
        "plaintext" => plaintexts(),
        "webvh_log" => logs(),
        other => panic!("{other} has no seeds"),
    }
}

fn plaintexts() -> Seeds {
    let full = json!({
        "id": "m-1", "type": "https://a.example/b/1.0/c", "typ": "application/didcomm-plain+json",
        "from": "did:web:a.example", "to": ["did:web:b.example", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"],
        "thid": "t-1", "pthid": "p-1", "created_time": 1_700_000_000, "expires_time": 1_900_000_000,
        "please_ack": [""], "ack": ["m-0"], "lang": "de", "accept-lang": ["de", "en"], "return_route": "all",
        "sender_order": 3, "sent_count": 1, "received_orders": [{ "id": "did:web:b.example", "last": 2, "gaps": [1] }],
        "l10n": { "inline": ["en", "content", "hello"] }, "x-unknown": [1, -1, 1.5, null, true],
        "body": { "content": "hallo \u{1f30d} \u{0}\u{2028}", "n": [0, 1e300, 9_007_199_254_740_993_i64] },
        "attachments": [
            { "id": "1", "media_type": "text/plain", "byte_count": 5, "data": { "base64": "aGVsbG8" } },
            { "id": "2", "data": { "json": { "a": [{}] } } },
            { "id": "3", "data": { "links": ["https://a.example/"], "hash": "zQmfCxuouvPQopW8frZwC3eor2iSj3UHWZDGoKuQYc4iN3T" } },
        ],
    });
    let report = json!({
        "id": "r-1", "type": "https://didcomm.org/report-problem/2.0/problem-report", "pthid": "m-1", "ack": ["m-1"],
        "body": { "code": "e.p.xfer.cant-use-endpoint", "comment": "{1} and {2}, not {9}", "args": ["one"] },
    });
    let twice = br#"{"id":"1","id":"2","type":"https://a.example/b/1.0/c","body":{}}"#;
    vec![
        ("accepted-full", text(&full)),
        ("accepted-report", text(&report)),
        ("accepted-least", br#"{"id":"1","type":"https://a.example/b/1.0/c"}"#.to_vec()),
        ("refused-name-twice", twice.to_vec()),
        ("refused-body", br#"{"id":"1","type":"https://a.example/b/1.0/c","body":[]}"#.to_vec()),
        (
            "refused-lone-surrogate",
            br#"{"id":"1","type":"https://a.example/b/1.0/c","x":"\ud800"}"#.to_vec(),
        ),
        ("refused-deep", [b"[".repeat(100), b"]".repeat(100)].concat()),
    ]
}

fn did_urls() -> Seeds {
    let keys = [signing(Curve::Ed25519).public(), agreement(Curve::X25519).public()];
    let endpoints = [Endpoint::new("https://a.example/didcomm")];
    let four = did::peer::create_4(&keys, &endpoints).expect("a DID");
    let two = did::peer::create_2(&keys[..1], &keys[1..], &endpoints).expect("a DID");
    vec![
        ("accepted-web", b"did:web:a.example%3A8443:users:aria".to_vec()),
        ("accepted-url", b"did:web:a.example/path;p?versionId=1-Qm&service=x#key-1".to_vec()),
        ("accepted-key", did::key::create(&signing(Curve::P256).public()).as_str().into()),
        ("accepted-jwk", did::jwk::create(&agreement(Curve::P384).public()).as_str().into()),
        ("accepted-peer-2", two.as_str().into()),
        ("accepted-peer-4", four.long.as_str().into()),
        ("accepted-peer-4-short", four.short.as_str().into()),
        ("accepted-other-method", b"did:example:1:2:3".to_vec()),
        ("refused-method", b"did:Web:a.example".to_vec()),
        ("refused-empty", b"did:web:".to_vec()),
    ]
}

fn did_documents() -> Seeds {
    let keys = [
        signing(Curve::Ed25519).public(),
        signing(Curve::P256).public(),
        signing(Curve::Secp256k1).public(),
        agreement(Curve::X25519).public(),
        agreement(Curve::P384).public(),
        agreement(Curve::P521).public(),
    ];
    let id = "did:web:a.example";
    let methods: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| json!({ "id": format!("#{i}"), "type": "JsonWebKey2020", "controller": id, "publicKeyJwk": key.to_jwk() }))
        .collect();
    let multikey = json!({ "id": format!("{id}#m"), "type": "Multikey", "controller": id,
        "publicKeyMultibase": keys[0].to_multibase() });
    let document = json!({
        "@context": ["https://www.w3.org/ns/did/v1"], "id": id, "alsoKnownAs": ["https://a.example/"], "controller": id,
        "verificationMethod": methods, "authentication": ["#0", "#1", format!("{id}#2"), multikey],
        "assertionMethod": ["#0"], "keyAgreement": ["#3", "#4", "#5"],
        "service": [
            { "id": "#s", "type": "DIDCommMessaging", "serviceEndpoint": [
                { "uri": "https://a.example/didcomm", "accept": ["didcomm/v2"], "routingKeys": ["did:web:r.example#1"] },
                { "uri": "did:web:r.example" } ] },
            { "id": "#t", "type": ["LinkedDomains"], "serviceEndpoint": "https://a.example/" },
        ],
    });
    let other = json!({ "id": id, "verificationMethod": [{ "id": "#1", "type": "JsonWebKey2020", "controller": id,
        "publicKeyJwk": { "kty": "OKP", "crv": "X25519", "x": "AA" } }] });
    vec![
        ("accepted-full", text(&document)),
        ("accepted-least", text(&json!({ "id": id }))),
        ("accepted-unusable-key", text(&other)),
        ("refused-id", text(&json!({ "id": "web:a.example" }))),
    ]
}

fn keys() -> Seeds {
    let jwk = |jwk| text(&serde_json::Value::Object(jwk));
    vec![
        ("accepted-ed25519", signing(Curve::Ed25519).public().to_multibase().into()),
        ("accepted-x25519-jwk", jwk(agreement(Curve::X25519).public().to_jwk())),
        ("accepted-p256", agreement(Curve::P256).public().to_multibase().into()),
        ("accepted-p384-jwk", jwk(agreement(Curve::P384).public().to_jwk())),
        ("accepted-p521", agreement(Curve::P521).public().to_multibase().into()),
        ("accepted-secp256k1-jwk", jwk(signing(Curve::Secp256k1).public().to_jwk())),
        ("refused-small-order", jwk(json!({ "kty": "OKP", "crv": "X25519", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" })
            .as_object().cloned().unwrap_or_default())),
        ("refused-off-curve", jwk(json!({ "kty": "EC", "crv": "P-256", "x": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
            "y": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE" }).as_object().cloned().unwrap_or_default())),
        ("refused-private", br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#.to_vec()),
    ]
}

fn names() -> Seeds {
    vec![
        ("accepted-type", b"https://didcomm.org/basicmessage/2.0/message".to_vec()),
        ("accepted-protocol", b"https://didcomm.org/coordinate-mediation/3.0".to_vec()),
        ("accepted-id", b"0191E6F0-7f2b-7c3d-8e4f-0123456789ab".to_vec()),
        ("accepted-code", b"e.p.me.res.storage.message_too_big".to_vec()),
        ("refused-type", b"https://didcomm.org/basicmessage/2/message".to_vec()),
    ]
}

fn forwards() -> Seeds {
    let forward = |next: &str, payload: &[u8]| {
        Forward::new(Next::parse(next).expect("a next"), payload.to_vec())
    };
    let message = |forward: Forward| {
        forward.into_message("f-1".parse().expect("an id")).expect("a forward").to_json()
    };
    let payload = br#"{"ciphertext":"AA","protected":"e30","recipients":[],"iv":"AA","tag":"AA"}"#;
    let base64 = json!({
        "id": "f-1", "type": "https://didcomm.org/routing/2.0/forward", "expires_time": 1_900_000_000, "delay_milli": -50,
        "body": { "next": "did:web:b.example" }, "attachments": [{ "data": { "base64": "eyJjaXBoZXJ0ZXh0IjoiQUEifQ" } }],
    });
    let empty = json!({ "id": "f-1", "type": "https://didcomm.org/routing/2.0/forward", "attachments": [],
        "body": { "next": "did:web:b.example" } });
    vec![
        ("accepted-did", message(forward("did:web:b.example", payload))),
        ("accepted-key", message(forward("did:web:b.example#key-1", payload))),
        ("accepted-base64", text(&base64)),
        ("refused-empty", text(&empty)),
        ("refused-other", plain(&World::new().letter())),
    ]
}

fn invitations() -> Seeds {
    let from = Did::parse("did:web:a.example").expect("a DID");
    let mut invitation = Invitation::new("i-1".parse().expect("an id"), from);
    let bare = invitation.to_url("https://a.example/i").expect("a link");
    invitation.goal = Some("Exchange of analyses".to_owned());
    invitation.goal_code = Some("org.example.analysis".to_owned());
    invitation.expires_time = Some(NOW);
    let full = invitation.to_url("https://a.example/i?lang=de").expect("a link");
    let (before, after) = full.split_at(full.len() / 2);
    vec![
        ("accepted-bare", bare.into()),
        ("accepted-broken-line", format!("{before}\r\n  {after}#top").into()),
        ("accepted-short", b"https://a.example/?_oobid=i-1".to_vec()),
        ("accepted-full", full.into()),
        ("refused-none", b"https://a.example/?oob=e30".to_vec()),
        ("refused-not-json", b"https://a.example/?_oob=AAAA".to_vec()),
    ]
}

fn tokens() -> Seeds {
    let World { aria, bruno, mallory } = World::new();
    let token = |successor| from_prior(&aria.sign_kid, &aria.signing, successor, NOW);
    let forged = from_prior(&aria.sign_kid, &mallory.signing, Some(&mallory.did), NOW);
    vec![
        ("accepted-rotation", token(Some(&mallory.did)).into()),
        ("refused-successor", token(Some(&bruno.did)).into()),
        ("refused-end-with-from", token(None).into()),
        ("refused-forged", forged.into()),
        ("refused-two-parts", b"e30.e30".to_vec()),
    ]
}

fn envelopes() -> Seeds {
    let world = World::new();
    let World { aria, bruno, mallory } = &world;
    let letter = plain(&world.letter());
    let signed = sign(&letter, &aria.sign_kid, &aria.signing);
    let (rng, enc) = (&mut World::rng(), ContentEncryption::A256CbcHs512);
    let one = [bruno.recipient()];
    let three = [aria.recipient(), bruno.recipient(), mallory.recipient()];
    let authcrypted =
        authcrypt(&letter, &aria.seal_kid, &aria.agreement, &one, rng).expect("an envelope");
    let mut seeds = vec![
        ("accepted-authcrypt", authcrypted.clone()),
        (
            "accepted-anoncrypt-sign",
            anoncrypt(signed.as_bytes(), &one, ContentEncryption::A256Gcm, rng)
                .expect("an envelope"),
        ),
        (
            "accepted-anoncrypt-authcrypt",
            anoncrypt(authcrypted.as_bytes(), &one, enc, rng).expect("an envelope"),
        ),
        (
            "accepted-anoncrypt-three",
            anoncrypt(&letter, &three, ContentEncryption::XC20P, rng).expect("an envelope"),
        ),
    ];
    // Sound, and yet Mallory's: she seals what Aria says.
    let spoofed =
        authcrypt(&letter, &mallory.seal_kid, &mallory.agreement, &one, rng).expect("an envelope");
    seeds.push(("refused-spoofed", spoofed));
    let triple = authcrypt(signed.as_bytes(), &aria.seal_kid, &aria.agreement, &one, rng)
        .expect("an envelope");
    let triple = anoncrypt(triple.as_bytes(), &one, enc, rng).expect("an envelope");
    seeds.push(("refused-triple", triple));
    seeds.into_iter().map(|(name, envelope)| (name, envelope.into_bytes())).collect()
}

fn signatures() -> Seeds {
    let world = World::new();
    let letter = plain(&world.letter());
    let general = sign(&letter, &world.aria.sign_kid, &world.aria.signing);
    let value: serde_json::Value = serde_json::from_str(&general).expect("JSON");
    let mut flat = value["signatures"][0].clone();
    flat["payload"] = value["payload"].clone();
    let mut twice = value.clone();
    twice["signatures"] = json!([value["signatures"][0], value["signatures"][0]]);
    let forged = sign(&letter, &world.aria.sign_kid, &world.mallory.signing);
    vec![
        ("accepted-general", general.into()),
        ("accepted-flattened", text(&flat)),
        ("refused-forged", forged.into()),
        ("refused-none", text(&json!({ "payload": value["payload"], "signatures": [] }))),
        ("refused-detached", text(&json!({ "payload": "", "signatures": value["signatures"] }))),
    ]
}

fn claims() -> Seeds {
    let World { aria, mallory, .. } = World::new();
    let token = |typ: &str, key: &SigningKey, claims: &str| {
        CompactJws::sign(typ, &aria.sign_kid, key, claims.as_bytes()).expect("a token").into_bytes()
    };
    let own = token(TYP, &aria.signing, CLAIMS);
    let (_, rest) = own.split_at(own.iter().position(|byte| *byte == b'.').expect("a dot"));
    let twice = r#"{"iss":"did:web:aria.example","n":1,"n":2}"#;
    vec![
        ("accepted-own", own.clone()),
        ("refused-typ", token("JWT", &aria.signing, CLAIMS)),
        ("refused-forged", token(TYP, &mallory.signing, CLAIMS)),
        ("refused-issuer", token(TYP, &aria.signing, r#"{"iss":"did:web:mallory.example"}"#)),
        ("refused-name-twice", token(TYP, &aria.signing, twice)),
        // {"typ":"example+jwt","alg":"none","kid":"did:web:aria.example#sign"}
        (
            "refused-none",
            [b"eyJ0eXAiOiJleGFtcGxlK2p3dCIsImFsZyI6Im5vbmUiLCJraWQiOiJkaWQ6d2ViOmFyaWEuZXhhbXBsZSNzaWduIn0", rest].concat(),
        ),
    ]
}

/// What a forger can put into a sound layer: all of the above, and his own.
fn insides(target: &str) -> Seeds {
    let world = World::new();
    let World { aria, mallory, .. } = &world;
    let mut own = world.letter();
    own.from = Some(mallory.did.clone());
    let own = plain(&own);
    let as_aria = plain(&world.letter());
    let signed = sign(&as_aria, &aria.sign_kid, &aria.signing);
    let own_signed = sign(&own, &mallory.sign_kid, &mallory.signing);
    let lent = sign(&as_aria, &mallory.sign_kid, &mallory.signing);
    if target == "inside_authcrypt" {
        return vec![
            ("accepted-own", own),
            ("accepted-own-signed", own_signed.into()),
            ("refused-as-aria", as_aria),
            ("refused-signed-by-aria", signed.into()),
            ("refused-lent-key", lent.into()),
        ];
    }
    let to = [world.bruno.recipient()];
    let (kid, key) = (&mallory.seal_kid, &mallory.agreement);
    let nested = |text: &[u8]| {
        authcrypt(text, kid, key, &to, &mut World::rng()).expect("an envelope").into_bytes()
    };
    vec![
        ("accepted-claim-of-aria", as_aria.clone()),
        ("accepted-signed-by-aria", signed.into()),
        ("accepted-own-signed", own_signed.into()),
        ("accepted-own-authcrypt", nested(&own)),
        ("refused-spoofed-authcrypt", nested(&as_aria)),
        ("refused-lent-key", lent.into()),
    ]
}

fn logs() -> Seeds {
    let published = published();
    let whole = format!("{}\0{}", published.log, published.witness_file);
    let lines: Vec<_> = published.log.lines().collect();
    vec![
        ("accepted-whole", whole.into()),
        ("accepted-beginning", lines[0].into()),
        ("refused-unwitnessed", published.log.clone().into()),
        ("refused-middle", lines[1].into()),
        ("refused-other-order", format!("{}\n{}", lines[1], lines[0]).into()),
        ("refused-empty-line", format!("{}\n\n", lines[0]).into()),
    ]
}

fn signing(curve: Curve) -> SigningKey {
    SigningKey::generate_on(curve, &mut World::rng()).expect("a signing curve")
}

fn agreement(curve: Curve) -> AgreementKey {
    AgreementKey::generate_on(curve, &mut World::rng()).expect("an agreement curve")
}

fn plain(message: &Message) -> Vec<u8> {
    message.to_json()
}

fn text(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
