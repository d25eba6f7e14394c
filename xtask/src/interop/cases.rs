//! What is exchanged: one case a row of the table, with its parties, keys and expected meaning.
//!
//! A case is data only: which peer plays which side is decided by the caller. Keys come from `tools/interop/keys.json`;
//! each case composes documents from them that hold just the keys it is about, so that no library can choose others.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a missing name, and each value written to is made here"
)]

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// One exchange: how it is packed, who can open what, and what the opener must find.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What the table calls it, unique.
    pub(super) name: String,
    /// The request to pack, without what the peer process adds.
    pub(super) pack: Value,
    /// Documents that both sides see.
    pub(super) dids: Value,
    /// Private keys of the sender.
    pub(super) sender_secrets: Value,
    /// Private keys of the one who opens.
    pub(super) receiver_secrets: Value,
    /// How a forward gets to the recipient.
    pub(super) forward: Forward,
}

/// How a forwarded envelope is opened.
#[derive(Clone, Debug)]
pub(super) enum Forward {
    /// It is not forwarded.
    None,
    /// The opener holds the mediators' keys as well, and its library unwraps by itself.
    ByLibrary,
    /// Each mediator in turn opens one layer and hands on what is attached; `next` is checked.
    HopByHop(Vec<Hop>),
}

/// One mediator's part.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) secrets: Value,
    pub(super) next: String,
}

/// Lists all cases.
pub(super) fn all(keys: &str) -> Result<Vec<Case>> {
    let keys: Value = serde_json::from_str(keys).context("keys.json is not JSON")?;
    let world = World { keys };
    let mut cases = world.unencrypted()?;
    cases.extend(world.encrypted()?);
    cases.extend(world.nested()?);
    cases.extend(world.several_keys()?);
    cases.extend(world.contents()?);
    cases.extend(world.rotation()?);
    cases.extend(world.forwards()?);
    Ok(cases)
}

const AGREEMENT: [&str; 4] = ["X25519", "P-256", "P-384", "P-521"];
const SIGNATURES: [(&str, &str); 3] =
    [("EdDSA", "Ed25519"), ("ES256", "P-256"), ("ES256K", "secp256k1")];
const ENC_ANON: [&str; 3] = ["XC20P", "A256GCM", "A256CBC-HS512"];

/// The keys that documents are composed of.
struct World {
    keys: Value,
}

/// One party of one case.
struct Party {
    document: Value,
    secrets: Vec<Value>,
}

impl World {
    fn unencrypted(&self) -> Result<Vec<Case>> {
        let mut cases = vec![self.case("plaintext", "X25519", "Ed25519", &json!({}))?];
        for (alg, crv) in SIGNATURES {
            let signed = json!({ "mode": "signed", "sign_by": ALICE });
            cases.push(self.case(&format!("signed, {alg}"), "X25519", crv, &signed)?);
        }
        Ok(cases)
    }

    fn encrypted(&self) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for crv in AGREEMENT {
            for enc in ENC_ANON {
                let pack = json!({ "mode": "anoncrypt", "enc_anon": enc });
                cases.push(self.case(
                    &format!("anoncrypt, {crv}, {enc}"),
                    crv,
                    "Ed25519",
                    &pack,
                )?);
            }
        }
        for crv in AGREEMENT {
            let pack = json!({ "mode": "authcrypt", "from": ALICE });
            cases.push(self.case(&format!("authcrypt, {crv}"), crv, "Ed25519", &pack)?);
        }
        Ok(cases)
    }

    fn nested(&self) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for crv in AGREEMENT {
            for (alg, signing) in SIGNATURES {
                let pack = json!({ "mode": "anoncrypt+sign", "sign_by": ALICE, "enc_anon": CBC });
                let name = format!("anoncrypt+sign, {crv}, {alg}, {CBC}");
                cases.push(self.case(&name, crv, signing, &pack)?);
            }
        }
        for enc in ["XC20P", "A256GCM"] {
            let pack = json!({ "mode": "anoncrypt+sign", "sign_by": ALICE, "enc_anon": enc });
            let name = format!("anoncrypt+sign, X25519, EdDSA, {enc}");
            cases.push(self.case(&name, "X25519", "Ed25519", &pack)?);
        }
        for crv in ["X25519", "P-256"] {
            let pack = json!({ "mode": "authcrypt+sign", "from": ALICE, "sign_by": ALICE });
            cases.push(self.case(
                &format!("authcrypt+sign, {crv}, EdDSA"),
                crv,
                "Ed25519",
                &pack,
            )?);
        }
        for crv in AGREEMENT {
            for enc in ENC_ANON {
                let pack = json!({ "mode": "anoncrypt+authcrypt", "from": ALICE, "enc_anon": enc });
                let name = format!("anoncrypt+authcrypt, {crv}, {enc}");
                cases.push(self.case(&name, crv, "Ed25519", &pack)?);
            }
        }
        Ok(cases)
    }

    /// Recipients with several keys: all of one curve, of all curves, and named one by one.
    fn several_keys(&self) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        let modes = [
            ("authcrypt", json!({ "mode": "authcrypt", "from": ALICE })),
            ("anoncrypt", json!({ "mode": "anoncrypt", "enc_anon": CBC })),
        ];
        for (mode, pack) in modes {
            let name = format!("{mode}, two recipient keys, opened with the second only");
            let mut case = self.case(&name, "X25519", "Ed25519", &pack)?;
            let bob = self.party(BOB, "bob", &AGREEMENT[..1], &["Ed25519"], 2)?;
            case.receiver_secrets = bob.secrets.get(2).cloned().into_iter().collect();
            case.dids[1] = bob.document;
            cases.push(case);

            let name = format!("{mode}, keys on four curves on both sides");
            let mut case = self.case(&name, "X25519", "Ed25519", &pack)?;
            let alice = self.party(ALICE, "alice", &AGREEMENT, &["Ed25519"], 1)?;
            let bob = self.party(BOB, "bob", &AGREEMENT, &["Ed25519"], 2)?;
            case.sender_secrets = alice.secrets.into();
            case.receiver_secrets = bob.secrets.into();
            case.dids = json!([alice.document, bob.document]);
            cases.push(case);

            let mut case = cases.last().cloned().context("one was added above")?;
            case.name = format!("{mode}, to one key by its id, P-384 of four curves");
            case.pack["to"] = json!(format!("{BOB}#P-384-2"));
            cases.push(case);
        }
        Ok(cases)
    }

    /// Headers, attachments and bodies that a careless writer or reader loses.
    fn contents(&self) -> Result<Vec<Case>> {
        let headers = json!({
            "pthid": "parent-1", "thid": "thread-1", "please_ack": [""], "ack": ["m-1", "m-2"],
            "lang": "de", "accept-lang": ["de", "fr"], "sender_order": 3,
            "x-unknown": { "nested": [1, "two", false] },
        });
        let attachments = json!({ "attachments": [
            { "id": "a-1", "media_type": "text/plain", "filename": "a.txt", "description": "text",
              "byte_count": 5, "lastmod_time": 1_700_000_000, "data": { "base64": "aGVsbG8" } },
            { "id": "a-2", "format": "https://example.org/format", "data": { "json": { "deep": [{ "er": 1 }] } } },
            { "id": "a-3", "data": { "links": ["https://example.org/a"], "hash": HASH } },
        ] });
        let text = json!({ "body": {
            "unicode": "Grüße, 世界, 🌍, \u{0}\u{1f}\u{7f}\u{2028}", "quotes": "\"\\/\u{8}\u{c}\n\r\t",
            "numbers": [0, -1, 1.5, 9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64],
            "empty": { "": [], "object": {} }, "truth": [true, false],
        } });
        let large = json!({ "body": { "content": "0123456789abcdef".repeat(8 * 1024) } });
        let empty = json!({ "body": {} });
        // Passed on as it is: whether the signature is good is asked when the content is used.
        let signed = json!({ "attachments": [{ "id": "a-1", "data": { "base64": "aGVsbG8", "hash": HASH, "jws": {
            "protected": "eyJhbGciOiJFZERTQSJ9", "header": { "kid": "did:example:alice#sign-1" },
            "signature": "AAAA" } } }] });
        let contents = [
            ("all headers", headers),
            ("an attachment with a detached signature", signed),
            ("three attachments", attachments),
            ("difficult text and numbers", text),
            ("a body of 128 KiB", large),
            ("an empty body", empty),
        ];
        let mut cases = Vec::new();
        for (name, members) in contents {
            let modes = [
                ("authcrypt", json!({ "mode": "authcrypt", "from": ALICE })),
                (
                    "anoncrypt+sign",
                    json!({ "mode": "anoncrypt+sign", "sign_by": ALICE, "enc_anon": CBC }),
                ),
            ];
            for (mode, pack) in modes {
                let mut case = self.case(&format!("{name}, {mode}"), "X25519", "Ed25519", &pack)?;
                let message = case.pack["message"].as_object_mut().context("an object")?;
                message.extend(members.as_object().cloned().unwrap_or_default());
                cases.push(case);
            }
        }
        Ok(cases)
    }

    /// Alice was Carol, and says so.
    fn rotation(&self) -> Result<Vec<Case>> {
        let carol = self.party(CAROL, "carol", &["X25519"], &["Ed25519"], 1)?;
        let modes = [
            ("authcrypt", json!({ "mode": "authcrypt", "from": ALICE })),
            (
                "anoncrypt+sign",
                json!({ "mode": "anoncrypt+sign", "sign_by": ALICE, "enc_anon": CBC }),
            ),
        ];
        let mut cases = Vec::new();
        for (mode, pack) in modes {
            let mut case = self.case(&format!("from_prior, {mode}"), "X25519", "Ed25519", &pack)?;
            case.pack["message"]["from_prior"] =
                json!({ "iss": CAROL, "sub": ALICE, "iat": 1_700_000_000 });
            push(&mut case.dids, carol.document.clone());
            for secret in &carol.secrets {
                push(&mut case.sender_secrets, secret.clone());
            }
            cases.push(case);
        }
        Ok(cases)
    }

    fn forwards(&self) -> Result<Vec<Case>> {
        let mediator = self.party(MEDIATOR, "mediator", &["X25519"], &[], 1)?;
        let second = self.party(SECOND, "second", &["X25519"], &[], 1)?;
        let (first_key, second_key) =
            (format!("{MEDIATOR}#X25519-1"), format!("{SECOND}#X25519-1"));
        let endpoint = |uri: &str, keys: &[&str]| {
            json!([{ "id": format!("{BOB}#service-1"), "type": "DIDCommMessaging", "serviceEndpoint":
                { "uri": uri, "accept": ["didcomm/v2"], "routingKeys": keys } }])
        };
        let own = json!([{ "id": format!("{MEDIATOR}#service-1"), "type": "DIDCommMessaging",
            "serviceEndpoint": { "uri": HTTPS, "accept": ["didcomm/v2"], "routingKeys": [] } }]);
        let hop = |party: &Party, next: &str| Hop {
            secrets: party.secrets.clone().into(),
            next: next.to_owned(),
        };
        let routes = [
            ("one routing key", endpoint(HTTPS, &[&first_key]), vec![hop(&mediator, BOB)]),
            (
                "two routing keys",
                endpoint(HTTPS, &[&first_key, &second_key]),
                vec![hop(&mediator, &second_key), hop(&second, BOB)],
            ),
            ("a mediator's DID as endpoint", endpoint(MEDIATOR, &[]), vec![hop(&mediator, BOB)]),
            (
                "a mediator's DID as endpoint, one routing key",
                endpoint(MEDIATOR, &[&second_key]),
                vec![hop(&mediator, &second_key), hop(&second, BOB)],
            ),
        ];
        let mut cases = Vec::new();
        for (name, service, hops) in routes {
            let pack =
                json!({ "mode": "authcrypt", "from": ALICE, "forward": true, "enc_anon": CBC });
            let name = format!("forward, {name}");
            let mut case = self.case(&format!("{name}, hop by hop"), "X25519", "Ed25519", &pack)?;
            case.dids[1]["service"] = service;
            let mut relay = mediator.document.clone();
            relay["service"] = own.clone();
            push(&mut case.dids, relay);
            push(&mut case.dids, second.document.clone());
            let mut whole = case.clone();
            case.forward = Forward::HopByHop(hops);
            cases.push(case);

            // Whoever holds all keys is sender's mediator and recipient in one: a re-wrapped message.
            whole.name = format!("{name}, unwrapped by the library");
            for secret in mediator.secrets.iter().chain(&second.secrets) {
                push(&mut whole.receiver_secrets, secret.clone());
            }
            whole.forward = Forward::ByLibrary;
            cases.push(whole);
        }
        Ok(cases)
    }

    /// Composes a message from Alice to Bob with the keys of one curve.
    fn case(&self, name: &str, agreement: &str, signing: &str, pack: &Value) -> Result<Case> {
        let alice = self.party(ALICE, "alice", &[agreement], &[signing], 1)?;
        let bob = self.party(BOB, "bob", &[agreement], &["Ed25519"], 1)?;
        let mut message = json!({
            "id": "0191e6f0-7f2b-7c3d-8e4f-0123456789ab",
            "type": "https://example.org/interop/1.0/letter",
            "typ": "application/didcomm-plain+json",
            "to": [BOB],
            "created_time": 1_700_000_000,
            "expires_time": 4_000_000_000_u64,
            "body": { "content": "Hello, Bob" },
        });
        // Nobody proves the `from` of an anonymous message, so it has none.
        if pack["mode"] != "anoncrypt" {
            message["from"] = json!(ALICE);
        }
        let mut request = json!({ "mode": "plaintext", "to": BOB, "message": message });
        if let (Some(request), Some(pack)) = (request.as_object_mut(), pack.as_object()) {
            request.extend(pack.clone());
        }
        Ok(Case {
            name: name.to_owned(),
            pack: request,
            dids: json!([alice.document, bob.document]),
            sender_secrets: alice.secrets.into(),
            receiver_secrets: bob.secrets.into(),
            forward: Forward::None,
        })
    }

    /// Composes a party from `each` keys of every named curve; a key is called `#CURVE-N`, in `authentication` `#sign-N`.
    fn party(
        &self,
        did: &str,
        name: &str,
        agreement: &[&str],
        signing: &[&str],
        each: usize,
    ) -> Result<Party> {
        let (mut methods, mut secrets) = (Vec::new(), Vec::new());
        let mut relationships = Map::new();
        for (relationship, curves) in [("authentication", signing), ("keyAgreement", agreement)] {
            let all = self.keys["parties"][name][relationship]
                .as_array()
                .with_context(|| format!("keys.json has no {relationship} of {name}"))?;
            let mut ids = Vec::new();
            for crv in curves {
                let keys: Vec<_> = all.iter().filter(|key| key["crv"] == *crv).take(each).collect();
                if keys.is_empty() {
                    anyhow::bail!("keys.json has no {crv} key of {name}");
                }
                for (i, key) in keys.into_iter().enumerate() {
                    let name = if relationship == "authentication" { "sign" } else { crv };
                    let id = format!("{did}#{name}-{}", i + 1);
                    let mut public = key.clone();
                    public.as_object_mut().and_then(|public| public.remove("d"));
                    methods.push(json!({ "id": id, "type": "JsonWebKey2020", "controller": did,
                        "publicKeyJwk": public }));
                    let mut secret = key.clone();
                    secret["kid"] = json!(id);
                    secrets.push(secret);
                    ids.push(json!(id));
                }
            }
            relationships.insert(relationship.to_owned(), ids.into());
        }
        let mut document = json!({ "@context": ["https://www.w3.org/ns/did/v1"], "id": did,
            "verificationMethod": methods });
        if let Some(document) = document.as_object_mut() {
            document.extend(relationships);
        }
        Ok(Party { document, secrets })
    }
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

const ALICE: &str = "did:example:alice";
const BOB: &str = "did:example:bob";
const CAROL: &str = "did:example:carol";
const MEDIATOR: &str = "did:example:mediator";
const SECOND: &str = "did:example:second";

/// What all peers encrypt with, for cases that are about something else.
const CBC: &str = "A256CBC-HS512";
const HTTPS: &str = "https://mediator.example/didcomm";
/// The multihash of `comity`: SHA-256, base58btc.
const HASH: &str = "zQmfCxuouvPQopW8frZwC3eor2iSj3UHWZDGoKuQYc4iN3T";
