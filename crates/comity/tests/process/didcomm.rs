//! The workbench as people and programs use it: files, pipes, exit codes, and what it prints.
//!
//! What its answers mean is tested beside its code.

use std::path::{Path, PathBuf};

use comity_didcomm::{
    ContentEncryption, Did, DidUrl, Message, Protection, SigningKey, did, seal, sign,
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{comity, comity_reading};

/// A did:key, which carries its document, and its private keys.
struct Party {
    did: Did,
    signing: SigningKey,
    sign_kid: DidUrl,
    seal_kid: DidUrl,
}

impl Party {
    fn new(seed: u8) -> Self {
        let signing = SigningKey::from_seed([seed; 32].into());
        let did: Did = format!("did:key:{}", signing.public().to_multibase()).parse().unwrap();
        let document = did::key::resolve(&did).unwrap();
        let sign_kid = document.signing_keys().next().unwrap().0.clone();
        let seal_kid = document.agreement_keys().next().unwrap().0.clone();
        Self { did, signing, sign_kid, seal_kid }
    }

    fn secrets(&self) -> Value {
        let with_kid = |jwk: &str, kid: &DidUrl| {
            let mut jwk: Value = serde_json::from_str(jwk).unwrap();
            jwk["kid"] = json!(kid);
            jwk
        };
        let agreement = self.signing.to_agreement().unwrap();
        json!([
            with_kid(&self.signing.to_jwk(), &self.sign_kid),
            with_kid(&agreement.to_jwk(), &self.seal_kid),
        ])
    }
}

struct World {
    folder: TempDir,
    aria: Party,
    bruno: Party,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, aria: Party::new(1), bruno: Party::new(2) };
        world.write("aria.keys", &world.aria.secrets());
        world.write("bruno.keys", &world.bruno.secrets());
        world.write("message", &world.message());
        world
    }

    fn message(&self) -> Value {
        json!({
            "id": "m-1", "typ": "application/didcomm-plain+json",
            "type": "https://didcomm.org/basicmessage/2.0/message",
            "from": self.aria.did, "to": [self.bruno.did], "body": { "content": "hello\u{202e}" },
        })
    }

    fn write(&self, name: &str, value: &Value) -> String {
        let path = self.path(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn sealed(&self) -> String {
        let mut rng = StdRng::seed_from_u64(1);
        let document = did::key::resolve(&self.bruno.did).unwrap();
        let recipients = document.recipients_on(comity_didcomm::Curve::X25519);
        let protection = Protection::Accountable {
            kid: &self.aria.sign_kid,
            key: &self.aria.signing,
            enc: ContentEncryption::XC20P,
        };
        let message = Message::parse(self.message().to_string().as_bytes()).unwrap();
        seal(&message, protection, &recipients, &mut rng).unwrap().envelope
    }
}

#[test]
fn what_one_packs_the_other_unpacks() {
    let world = World::new();
    let (message, keys) = (world.path("message"), world.path("aria.keys"));
    let packed = comity(&["didcomm", "pack", &message, "--keys", &keys]);
    assert_eq!((packed.code, packed.stderr.as_str()), (0, ""), "{packed:?}");
    // The envelope alone, so that it can be piped.
    let keys = world.path("bruno.keys");
    let unpack = ["--json", "didcomm", "unpack", "--keys", &keys];
    let unpacked = comity_reading(&unpack, packed.stdout.as_bytes()).ok();
    assert_eq!(unpacked["message"], world.message());
    assert_eq!(unpacked["meta"]["sign_kid"], world.aria.sign_kid.as_str());
    let told = comity_reading(&unpack[1..], packed.stdout.as_bytes());
    assert!(!told.stdout.contains('\u{202e}'), "a peer's text is harmless: {told:?}");
    insta::assert_snapshot!(told.stdout, @r#"
    encrypted    yes
    sender       proven to everybody
    sealed by    none
    signed by    did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX#z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
    to           did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH#z6LSi9ig66fZi18Mk7mwkb5TPBY6bT4CstAAQi4cE6bED5bV
    rotation by  none
    re-wrapped   no
    {
      "body": {
        "content": "hello\u{202e}"
      },
      "from": "did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX",
      "id": "m-1",
      "to": [
        "did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH"
      ],
      "typ": "application/didcomm-plain+json",
      "type": "https://didcomm.org/basicmessage/2.0/message"
    }
    "#);
}

#[test]
fn an_envelope_is_explained_with_and_without_keys() {
    let world = World::new();
    let sealed = world.sealed();
    let without = comity_reading(&["didcomm", "inspect"], sealed.as_bytes());
    insta::assert_snapshot!(without.stdout, @r#"
    An encrypted message whose sender is hidden or inside (anoncrypt)
      size        1748 bytes
      ciphertext  854 bytes
      iv          24 bytes
      tag         16 bytes
      typ         application/didcomm-encrypted+json
      alg         ECDH-ES+A256KW
      enc         XC20P
      curve       X25519
      to          did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH#z6LSi9ig66fZi18Mk7mwkb5TPBY6bT4CstAAQi4cE6bED5bV
    Checks that need no key
      pass it is strict JSON within the bounds
      pass it is a JWE in the general form
      pass it has recipients, and not too many
      pass every recipient is named by the id of a key
      pass the protected header is an object in base64url
      pass typ says what it is
      pass no header asks to fetch, trust, decompress or understand more
      pass alg and enc are known and may go together
      pass epk is a safe point of a curve that agrees
      pass apv is the digest of the recipients' key ids
    Opening it with what is known
      refused: none of the recipients is known (e.m.xfer.unknown-recipient)
      To look inside, give a recipient's private key with --keys, and its document with --dids
    "#);
    let keys = world.path("bruno.keys");
    let with = comity_reading(&["didcomm", "inspect", "--keys", &keys], sealed.as_bytes());
    let (_, opening) = with.stdout.split_once("Opening it").unwrap();
    insta::assert_snapshot!(opening, @r#"
     with what is known
      opens: anoncrypt around signed around plaintext
      it was sent by did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX, proven by did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX#z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
      pass the layers are a combination that the specification allows
      pass it decrypts with did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH#z6LSi9ig66fZi18Mk7mwkb5TPBY6bT4CstAAQi4cE6bED5bV, which its document lists for keyAgreement
      pass the holder of that key is in `to`
      pass it is signed with did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX#z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX, which the document of `from` lists for authentication
      id           m-1
      type         https://didcomm.org/basicmessage/2.0/message
      from         did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
      to           did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH
      attachments  0
    "#);
    let json =
        comity_reading(&["--json", "didcomm", "inspect", "--keys", &keys], sealed.as_bytes()).ok();
    assert_eq!((&json["layer"], &json["opened"]["ok"]), (&json!("anoncrypt"), &json!(true)));
    assert_eq!(json["opened"]["layers"], json!(["anoncrypt", "signed"]));
}

#[test]
fn a_fault_is_pointed_out() {
    let world = World::new();
    // Signed by Bruno, in Aria's name.
    let forged =
        sign(world.message().to_string().as_bytes(), &world.bruno.sign_kid, &world.bruno.signing);
    let told = comity_reading(&["didcomm", "inspect"], forged.as_bytes());
    assert_eq!(told.code, 0, "{told:?}");
    insta::assert_snapshot!(told.stdout, @r#"
    A signed message that everybody can read
      size       854 bytes
      form       general
      typ        application/didcomm-signed+json
      alg        EdDSA
      signed by  did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH#z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH
      payload    267 bytes
    The message, unproven
      id           m-1
      type         https://didcomm.org/basicmessage/2.0/message
      from         did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
      to           did:key:z6Mko9hTggMwjSTEaJaPUfE6tqcy2xvU6BnNq3e3o8qVBiyH
      attachments  0
    Checks that need no key
      pass it is strict JSON within the bounds
      pass it is a JWS with one signature
      pass the protected header is an object in base64url
      pass typ says what it is
      pass no header asks to fetch, trust, decompress or understand more
      pass the algorithm is known
      pass the signer's key is named, in both headers the same
      pass it is a DIDComm v2 message
      FAIL the key that is named as the signer's belongs to from: from is did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
    Opening it with what is known
      refused: the key that sealed or signed is not one of the sender (e.m.trust.crypto.sender-mismatch)
      Whoever seals or signs must be `from`, with a key that the document of `from` lists for it
    "#);
    let refused = comity_reading(&["--json", "didcomm", "unpack"], forged.as_bytes()).error(3);
    assert_eq!(refused["code"], "e.m.trust.crypto.sender-mismatch");
}

#[test]
fn what_cannot_be_used_is_said_with_a_hint() {
    let world = World::new();
    let message = world.path("message");
    let no_json = world.path("no-json");
    std::fs::write(&no_json, "{").unwrap();
    let no_keys = world.write("no-keys", &json!([{ "kty": "OKP" }]));
    for (args, code) in [
        (&["pack", "/nowhere/at-all"][..], 1),
        (&["pack", &no_json], 1),
        (&["pack", &message, "--keys", &no_keys], 1),
        (&["pack", &message], 3),
        (&["pack", &message, "--mode", "dance"], 3),
        (&["unpack", &no_json], 3),
        (&["unpack", &message, "--dids", &message], 1),
    ] {
        let mut all = vec!["--json", "didcomm"];
        all.extend(args);
        comity(&all).error(code);
    }
}

#[test]
fn lines_serves_until_its_input_ends() {
    let world = World::new();
    let request = json!({
        "rid": 1, "op": "pack", "mode": "authcrypt", "message": world.message(), "secrets": world.aria.secrets(),
    });
    let mut input = format!("{request}\nnot json\n").into_bytes();
    input.extend(vec![b'x'; 9 * 1024 * 1024]);
    input.extend(b"\n{\"rid\":2,\"op\":\"info\"}");
    let run = comity_reading(&["didcomm", "lines"], &input);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let answers = run.lines();
    let told: Vec<_> = answers.iter().map(|answer| json!([answer["rid"], answer["ok"]])).collect();
    assert_eq!(json!(told), json!([[1, true], [null, false], [null, false], [2, true]]));
    let request = json!({
        "op": "unpack", "packed": answers[0]["packed"], "secrets": world.bruno.secrets(),
    });
    let answer = comity_reading(&["didcomm", "lines"], request.to_string().as_bytes()).ok();
    assert_eq!(answer["message"], world.message());
    assert_eq!(answer["meta"]["from_kid"], world.aria.seal_kid.as_str());
}

#[test]
fn an_answer_comes_before_the_next_request_is_written() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    command.args(["didcomm", "lines"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for rid in 0..3 {
        writeln!(stdin, "{}", json!({ "rid": rid, "op": "info" })).unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["rid"], rid);
    }
    // A reader that has gone is no failure.
    drop(stdout);
    drop(stdin.write_all(b"{\"op\":\"info\"}\n"));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// The official envelopes, driven as a harness would. They are not part of the repository.
#[test]
fn the_official_envelopes_go_through_lines() {
    let folder = std::env::var_os("COMITY_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = folder.join("didcomm");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no official vectors found; set COMITY_VECTORS to their folder");
        return;
    }
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let json = |file: &str| serde_json::from_str::<Value>(&read(file)).unwrap();
    let manifest = json("manifest.json");
    let entries = manifest.as_array().unwrap();
    let dids = json!([json("did-alice.json"), json("did-bob.json")]);
    let request = |entry: &Value| {
        let file = entry["file"].as_str().unwrap();
        let secrets = json("secrets-bob.json");
        json!({ "rid": file, "op": "unpack", "packed": read(file), "dids": dids, "secrets": secrets })
    };
    let input: Vec<_> = entries.iter().map(|entry| request(entry).to_string()).collect();
    let answers = comity_reading(&["didcomm", "lines"], input.join("\n").as_bytes()).lines();
    assert_eq!(answers.len(), entries.len());
    let mut opened = 0;
    for (entry, answer) in entries.iter().zip(&answers) {
        assert_eq!(answer["rid"], entry["file"]);
        if entry["spec_status"]
            .as_str()
            .is_some_and(|status| status.contains("MUST NOT") || status == "illegal")
        {
            assert_eq!(answer["code"], "e.m.msg.envelope", "{answer}");
            continue;
        }
        assert_eq!(answer["message"], json("plaintext-as-packed.json"), "{answer}");
        opened += 1;
    }
    assert_eq!(opened, 8, "all but the forbidden one");
}
