//! Logs that are written here and read back, and one broken by hand for every refusal: with the
//! traces covered, as a dishonest controller would, and without, as whoever stands between does.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::entry::entry_hash;
use super::*;
use crate::did::DidUrl;
use crate::document::{DidDocument, VerificationMethod};
use crate::key::{Curve, SigningKey};
use crate::limits::{
    WEBVH_CLOCK_SKEW_SECS, WEBVH_ENTRIES_MAX, WEBVH_LOG_BYTES_MAX, WEBVH_PROOFS_MAX,
    WEBVH_PROOFS_PER_ENTRY_MAX,
};
use crate::time::UnixTime;

const START: UnixTime = UnixTime(1_800_000_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn at(secs: u64) -> UnixTime {
    START.saturating_add(secs)
}

fn document(did: &Did, signing: &SigningKey) -> DidDocument {
    let mut document = DidDocument::new(did.clone());
    let id = document.add_key(VerificationMethod::new(did.url("key"), signing.public()));
    document.authentication.push(id);
    document
}

/// A log under construction. Key 1 begins it; every version's document has a key of its own.
struct Written {
    log: String,
    history: History,
}

impl Written {
    fn begin(settings: &Settings<'_>) -> Self {
        let draft = draft_did("a.example", Some(8443), &["agents", "aria"]).unwrap();
        let (log, history) =
            create(&document(&draft, &key(101)), &key(1), settings, START).unwrap();
        Self { log, history }
    }

    fn did(&self) -> Did {
        self.history.did().clone()
    }

    fn update(&mut self, signer: u8, settings: &Settings<'_>, secs: u64) -> &mut Self {
        let document = document(&self.did(), &key(100 + signer));
        let line = update(&self.history, &document, &key(signer), settings, at(secs)).unwrap();
        self.log.push_str(&line);
        let log = Log::verify(&self.did(), self.log.as_bytes(), at(secs)).unwrap();
        self.history = log.unapproved().unwrap();
        self
    }

    fn verify(&self) -> Result<History, WebvhError> {
        History::verify(&self.did(), self.log.as_bytes(), None, at(1_000_000))
    }

    fn lines(&self) -> Vec<Map<String, Value>> {
        self.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn two_versions() -> Written {
    let mut written = Written::begin(&Settings::default());
    written.update(1, &Settings::default(), 10);
    written
}

fn verify_text(did: &Did, log: &str) -> Result<History, WebvhError> {
    History::verify(did, log.as_bytes(), None, at(1_000_000))
}

fn text(entries: &[Map<String, Value>]) -> String {
    entries.iter().map(|entry| Value::Object(entry.clone()).to_string() + "\n").collect()
}

/// What a dishonest controller does: changes an entry, then hashes and signs it as if it were good.
fn forged(
    written: &Written,
    number: usize,
    signer: u8,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<History, WebvhError> {
    let mut entries = written.lines();
    let before = match number {
        1 => scid_of(&written.did()).unwrap().to_owned(),
        _ => entries[number - 2]["versionId"].as_str().unwrap().to_owned(),
    };
    let entry = &mut entries[number - 1];
    entry.remove("proof");
    change(entry);
    let version_id = format!("{number}-{}", entry_hash(entry, &before));
    entry.insert("versionId".to_owned(), json!(version_id));
    let proof = proof::sign(entry, &key(signer), START);
    entry.insert("proof".to_owned(), json!([proof]));
    entries.truncate(number);
    verify_text(&written.did(), &text(&entries))
}

/// Changes the text without covering the traces.
fn tampered(change: impl FnOnce(&mut Vec<Map<String, Value>>)) -> Result<History, WebvhError> {
    let written = two_versions();
    let mut entries = written.lines();
    change(&mut entries);
    verify_text(&written.did(), &text(&entries))
}

fn refused<T>(result: Result<T, WebvhError>) -> WebvhError {
    result.err().expect("refused")
}

#[test]
fn the_examples_of_the_specification_map() {
    let scid = "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE";
    for (rest, url) in [
        ("example.com", "https://example.com/.well-known/did.jsonl"),
        ("issuer.example.com", "https://issuer.example.com/.well-known/did.jsonl"),
        ("example.com:dids:issuer", "https://example.com/dids/issuer/did.jsonl"),
        ("example.com%3A3000:dids:issuer", "https://example.com:3000/dids/issuer/did.jsonl"),
    ] {
        let did = Did::parse(&format!("did:webvh:{scid}:{rest}")).unwrap();
        assert_eq!(log_url(&did).unwrap().https_url(), url);
        let witness = url.replace("did.jsonl", "did-witness.json");
        assert_eq!(witness_url(&did).unwrap().https_url(), witness);
    }
}

#[test]
fn addresses_and_tricks_in_the_did_are_refused() {
    let scid = "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE";
    for rest in [
        "127.0.0.1",
        "127.0.0.1%3a8080",
        "127%2E0%2E0%2E1",
        "2130706433",
        "a.example:..:admin",
        "a.example:%2E%2E:admin",
        "a.example:a%2Fb",
        "a.example%40b.example",
        "A.example",
    ] {
        let did = Did::parse(&format!("did:webvh:{scid}:{rest}")).unwrap();
        assert_eq!(log_url(&did), Err(DidError::Method), "{rest}");
    }
    for bad in ["did:webvh:a.example", "did:webvh:Qm:a.example", "did:web:a.example"] {
        assert_eq!(log_url(&Did::parse(bad).unwrap()), Err(DidError::Method), "{bad}");
    }
    let no_hash = format!("did:webvh:{}:a.example", "z".repeat(46));
    assert_eq!(log_url(&Did::parse(&no_hash).unwrap()), Err(DidError::Method));
}

#[test]
fn a_log_that_was_written_here_verifies_and_answers_for_every_version() {
    let mut written = two_versions();
    written.update(1, &Settings { ttl_secs: Some(60), ..Settings::default() }, 20);
    let history = written.verify().unwrap();
    let did = written.did();
    assert_eq!(history.version_ids().count(), 3);
    let signer = |select: &Select| {
        let resolution = history.at(select).unwrap();
        let key = *resolution.document.authentication_key(&did.url("key")).unwrap();
        (resolution.metadata.version_number, key)
    };
    let id = history.version_ids().nth(1).unwrap().to_owned();
    assert_eq!(signer(&Select::VersionId(id)), (2, key(101).public()));
    assert_eq!(signer(&Select::Number(1)).0, 1);
    assert_eq!(signer(&Select::Time(at(0))).0, 1);
    assert_eq!(signer(&Select::Time(at(9))).0, 1);
    assert_eq!(signer(&Select::Time(at(10))).0, 2);
    assert_eq!(signer(&Select::Latest).0, 3);
    for none in [Select::Number(4), Select::Time(UnixTime(1)), Select::VersionId("1-Qm".to_owned())]
    {
        assert_eq!(refused(history.at(&none)), WebvhError::NotFound, "{none:?}");
    }
    let metadata = history.at(&Select::Number(2)).unwrap().metadata;
    assert_eq!(metadata.created, "2027-01-15T08:00:00Z");
    assert_eq!(metadata.version_time, "2027-01-15T08:00:10Z");
    assert_eq!(metadata.updated, "2027-01-15T08:00:20Z");
    assert_eq!((metadata.deactivated, metadata.parameters.ttl_secs), (false, 3600));
    assert_eq!(history.parameters().ttl_secs, 60);
}

/// A log of an agent whose keys changed twice, as a node of version 0.1 published it. The method's
/// Python implementation (`did-webvh` 1.0.1) resolves every version of it as we do.
#[test]
fn a_log_that_an_earlier_version_wrote_still_verifies() {
    let log = include_bytes!("fixtures/rotated.jsonl");
    let did = "did:webvh:QmV6dumK3vbrxfohq1gaGRqpAimDQUCXUEkBRtdDWPZVii:org-b.example:agents:bruno";
    let history =
        History::verify(&Did::parse(did).unwrap(), log, None, UnixTime(4_000_000_000)).unwrap();
    let signers = |number: u32| {
        let document = history.at(&Select::Number(number)).unwrap().document;
        let fragment = |kid: &DidUrl| kid.fragment().unwrap().to_owned();
        document.signing_keys().map(|(kid, _)| fragment(kid)).collect::<Vec<_>>()
    };
    assert_eq!(signers(1), ["key-1"]);
    assert_eq!(signers(2), ["key-3", "key-1"]);
    assert_eq!(signers(3), ["key-5"]);
}

#[test]
fn a_did_url_selects_a_version() {
    let written = two_versions();
    let select = |query: &str| {
        let url = DidUrl::parse(&format!("{}{query}", written.did())).unwrap();
        Select::from_url(&url)
    };
    assert_eq!(select(""), Ok(Select::Latest));
    assert_eq!(select("?service=files#key"), Ok(Select::Latest));
    assert_eq!(select("?versionId=1-Qm#key"), Ok(Select::VersionId("1-Qm".to_owned())));
    assert_eq!(select("?a=b&versionNumber=2"), Ok(Select::Number(2)));
    for time in ["2027-01-15T08:00:10Z", "2027-01-15T08%3A00%3a10Z"] {
        assert_eq!(select(&format!("?versionTime={time}")), Ok(Select::Time(at(10))));
    }
    for bad in ["?versionTime=now", "?versionNumber=x", "?versionId=a&versionNumber=1"] {
        assert_eq!(select(bad), Err(WebvhError::NotFound), "{bad}");
    }
}

#[test]
fn every_did_has_files_and_whois_unless_it_says_otherwise() {
    let written = two_versions();
    let value = written.history.document_at(&Select::Latest).unwrap();
    let service = value["service"].as_array().unwrap();
    assert_eq!(service[0]["serviceEndpoint"], "https://a.example:8443/agents/aria/");
    assert_eq!(service[1]["serviceEndpoint"], "https://a.example:8443/agents/aria/whois.vp");
    let own = forged(&written, 2, 1, |entry| {
        entry["state"]["service"] =
            json!([{ "id": "#whois", "type": "x", "serviceEndpoint": "https://b.example/" }]);
    });
    let value = own.unwrap().document_at(&Select::Latest).unwrap();
    let ids: Vec<_> = value["service"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!("#whois"), &json!(format!("{}#files", written.did()))]);
}

#[test]
fn a_document_with_as_many_services_as_it_may_have_keeps_them() {
    // The two that were added made a good document one that could not be read.
    let draft = draft_did("a.example", None, &["aria"]).unwrap();
    let mut full = document(&draft, &key(101)).to_json();
    let service =
        |n: usize| json!({ "id": format!("#s{n}"), "type": "X", "serviceEndpoint": "x:y" });
    full["service"] = (0..crate::limits::SERVICES_MAX).map(service).collect();
    let full = DidDocument::parse(full.to_string().as_bytes(), &draft).unwrap();
    let (_, history) = create(&full, &key(1), &Settings::default(), START).unwrap();
    let found = history.at(&Select::Latest).unwrap().document;
    assert_eq!(found.service.len(), crate::limits::SERVICES_MAX);
}

#[test]
fn a_changed_missing_or_reordered_entry_is_refused() {
    assert_eq!(refused(tampered(|log| log[0]["state"]["x"] = json!(1))), WebvhError::EntryHash);
    assert_eq!(refused(tampered(|log| log[1]["state"]["x"] = json!(1))), WebvhError::EntryHash);
    let drop_first = tampered(|log| drop(log.remove(0)));
    assert_eq!(refused(drop_first), WebvhError::Method);
    assert_eq!(refused(tampered(|log| log.swap(0, 1))), WebvhError::Method);
    assert_eq!(refused(tampered(|log| log.push(log[1].clone()))), WebvhError::Number);
    let renumbered = tampered(|log| {
        let id = log[1]["versionId"].as_str().unwrap().replacen('2', "02", 1);
        log[1]["versionId"] = json!(id);
    });
    assert_eq!(refused(renumbered), WebvhError::Number);
    // Another log of the same place, all of it good, is another DID.
    let other = {
        let draft = draft_did("a.example", Some(8443), &["agents", "aria"]).unwrap();
        create(&document(&draft, &key(66)), &key(66), &Settings::default(), START).unwrap().0
    };
    assert_eq!(refused(verify_text(&two_versions().did(), &other)), WebvhError::OtherDid);
}

#[test]
fn the_scid_binds_the_first_entry() {
    let written = two_versions();
    let changed = forged(&written, 1, 1, |entry| entry["state"]["x"] = json!(1));
    assert_eq!(refused(changed), WebvhError::Scid);
    let claimed = forged(&written, 1, 1, |entry| {
        entry["parameters"]["scid"] = json!("QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCrZ");
    });
    assert_eq!(refused(claimed), WebvhError::OtherDid);
    // With the placeholder left in, two different first entries would have one SCID.
    let draft = draft_did("a.example", None, &[]).unwrap();
    let mut twin = document(&draft, &key(1));
    twin.also_known_as.push("did:webvh:{SCID}:a.example".to_owned());
    let (line, history) = create(&twin, &key(1), &Settings::default(), START).unwrap();
    let scid = scid_of(history.did()).unwrap();
    let mut entry: Map<String, Value> = serde_json::from_str(&line).unwrap();
    entry.remove("proof");
    entry["state"]["alsoKnownAs"] = json!(["did:webvh:{SCID}:a.example"]);
    let version_id = format!("1-{}", entry_hash(&entry, scid));
    entry["versionId"] = json!(version_id);
    let proof = proof::sign(&entry, &key(1), START);
    entry.insert("proof".to_owned(), json!([proof]));
    assert_eq!(refused(verify_text(history.did(), &text(&[entry]))), WebvhError::Scid);
}

#[test]
fn only_a_key_that_may_can_sign() {
    let written = two_versions();
    let forged_by_other = forged(&written, 2, 66, |_| {});
    assert_eq!(refused(forged_by_other), WebvhError::Unauthorized);
    // A new key that the entry itself names may sign only the one after it.
    let own = forged(&written, 2, 66, |entry| {
        entry["parameters"]["updateKeys"] = json!([key(66).public().to_multibase()]);
    });
    assert_eq!(refused(own), WebvhError::Unauthorized);
    let mut rotated = Written::begin(&Settings::default());
    let settings = Settings { update_keys: &[key(2).public()], ..Settings::default() };
    rotated.update(1, &settings, 10).update(2, &Settings::default(), 20);
    assert!(rotated.verify().is_ok());
    assert_eq!(refused(forged(&rotated, 3, 1, |_| {})), WebvhError::Unauthorized);
    let document = document(&rotated.did(), &key(1));
    let refused_to_write =
        update(&rotated.history, &document, &key(1), &Settings::default(), at(30));
    assert_eq!(refused(refused_to_write), WebvhError::Unauthorized);
}

#[test]
fn a_proof_of_another_suite_purpose_or_key_is_refused() {
    let proof = |name: &'static str, value: Value| {
        tampered(move |log| {
            let proof = log[1]["proof"][0].as_object_mut().unwrap();
            proof.insert(name.to_owned(), value);
        })
    };
    let (one, other) = (key(1).public().to_multibase(), key(66).public().to_multibase());
    for (name, value) in [
        ("type", json!("Ed25519Signature2020")),
        ("cryptosuite", json!("eddsa-rdfc-2022")),
        ("proofPurpose", json!("authentication")),
        ("verificationMethod", json!(format!("did:key:{other}#{one}"))),
        ("verificationMethod", json!(format!("did:key:{one}#{other}"))),
        ("verificationMethod", json!(format!("did:key:{other}#{other}"))),
        ("verificationMethod", json!(one)),
        ("created", json!("2000-01-01T00:00:00Z")),
        ("expires", json!("2000-01-01T00:00:00Z")),
        ("@context", json!("https://www.w3.org/ns/did/v1")),
        ("proofValue", json!("z1")),
        ("proofValue", json!("z".repeat(10_000))),
        ("proofValue", json!(7)),
    ] {
        assert_eq!(refused(proof(name, value.clone())), WebvhError::Proof, "{name} {value}");
    }
    // A key of another curve signs by another algorithm, whoever allowed it.
    let p256 = SigningKey::from_bytes_on(Curve::P256, &[7; 32]).unwrap();
    let draft = draft_did("a.example", None, &[]).unwrap();
    let created = create(&document(&draft, &key(1)), &p256, &Settings::default(), START);
    assert_eq!(refused(created), WebvhError::Proof);
    assert_eq!(refused(tampered(|log| log[1]["proof"] = json!([]))), WebvhError::Proof);
    assert_eq!(refused(tampered(|log| log[1]["proof"] = json!({}))), WebvhError::Shape);
    let many = tampered(|log| log[1]["proof"] = json!(vec![log[1]["proof"][0].clone(); 9]));
    assert_eq!(refused(many), WebvhError::Shape);
    // A good proof does not carry a bad one along.
    let two = tampered(|log| {
        let mut bad = log[1]["proof"][0].clone();
        bad["created"] = json!("2000-01-01T00:00:00Z");
        log[1]["proof"].as_array_mut().unwrap().push(bad);
    });
    assert_eq!(refused(two), WebvhError::Proof);
}

#[test]
fn times_rise_and_do_not_lie_ahead() {
    let written = two_versions();
    for time in ["2027-01-15T08:00:00Z", "2027-01-15T07:59:59Z", "yesterday", ""] {
        let moved = forged(&written, 2, 1, |entry| entry["versionTime"] = json!(time));
        assert_eq!(refused(moved), WebvhError::Time, "{time}");
    }
    let fraction =
        forged(&written, 2, 1, |entry| entry["versionTime"] = json!("2027-01-15T08:00:00.5Z"));
    assert!(fraction.is_ok());
    let read_at = |now: UnixTime| {
        History::verify(&written.did(), written.log.as_bytes(), None, now).map(drop)
    };
    assert_eq!(read_at(at(10)), Ok(()));
    assert_eq!(read_at(UnixTime(at(10).0 - WEBVH_CLOCK_SKEW_SECS)), Ok(()));
    assert_eq!(read_at(UnixTime(at(9).0 - WEBVH_CLOCK_SKEW_SECS)), Err(WebvhError::Time));
    let document = document(&written.did(), &key(1));
    let same_second = update(&written.history, &document, &key(1), &Settings::default(), at(10));
    assert_eq!(refused(same_second), WebvhError::Time);
}

#[test]
fn parameters_are_those_of_the_specification() {
    let written = two_versions();
    let set = |number: usize, name: &'static str, value: Value| {
        refused(forged(&written, number, 1, |entry| entry["parameters"][name] = value))
    };
    assert_eq!(set(2, "method", json!("did:webvh:99.0")), WebvhError::Method);
    assert_eq!(set(1, "method", json!("did:webvh:0.5")), WebvhError::Method);
    for (name, value) in [
        ("scid", json!(scid_of(&written.did()))),
        ("portable", json!(true)),
        ("portable", json!(null)),
        ("deactivated", json!("true")),
        ("ttl", json!("60")),
        ("ttl", json!(-1)),
        ("ttl", json!(4_000_000_000_u64)),
        ("updateKeys", json!("z6Mk")),
        ("updateKeys", json!([1])),
        ("updateKeys", json!(vec!["z6Mk"; 65])),
        ("watchers", json!(["a".repeat(10_000)])),
        ("nextKeyHashes", json!({})),
        ("witness", json!([])),
        ("witness", json!({ "threshold": 1 })),
    ] {
        let result = set(2, name, value.clone());
        assert_eq!(result, WebvhError::Parameter(name), "{value}");
    }
    assert!(matches!(set(2, "unheardOf", json!(1)), WebvhError::Parameter(_)));
    for name in ["updateKeys", "scid"] {
        let without = forged(&written, 1, 1, |entry| {
            entry["parameters"].as_object_mut().unwrap().remove(name);
        });
        assert_eq!(refused(without), WebvhError::Parameter(name));
    }
    // The one leniency of the specification.
    for name in ["nextKeyHashes", "witness", "watchers", "ttl"] {
        let null = forged(&written, 2, 1, |entry| entry["parameters"][name] = Value::Null);
        assert!(null.is_ok(), "{name}");
    }
}

#[test]
fn a_commitment_to_the_next_key_is_kept() {
    let commit = |seed: u8| [key(seed).public()];
    let mut written = Written::begin(&Settings { next_keys: &commit(2), ..Settings::default() });
    let document = document(&written.did(), &key(1));
    let with_old = update(&written.history, &document, &key(1), &Settings::default(), at(5));
    assert_eq!(refused(with_old), WebvhError::Unauthorized);
    written.update(2, &Settings { next_keys: &commit(3), ..Settings::default() }, 10);
    assert!(written.verify().is_ok());

    let params = |change: fn(&mut Map<String, Value>), signer: u8| {
        refused(forged(&written, 2, signer, |entry| {
            change(entry["parameters"].as_object_mut().unwrap());
        }))
    };
    let drop_keys = |params: &mut Map<String, Value>| drop(params.remove("updateKeys"));
    let drop_hashes = |params: &mut Map<String, Value>| drop(params.remove("nextKeyHashes"));
    assert_eq!(params(drop_keys, 1), WebvhError::PreRotation);
    assert_eq!(params(drop_hashes, 2), WebvhError::PreRotation);
    // A thief of the old key cannot name a key of their own.
    let theirs = |params: &mut Map<String, Value>| {
        params.insert("updateKeys".to_owned(), json!([key(66).public().to_multibase()]));
    };
    assert_eq!(params(theirs, 66), WebvhError::PreRotation);
    let beside = |params: &mut Map<String, Value>| {
        let keys = [key(2), key(66)].map(|key| key.public().to_multibase());
        params.insert("updateKeys".to_owned(), json!(keys));
    };
    assert_eq!(params(beside, 66), WebvhError::PreRotation);

    // It ends where an entry says so, and that entry still keeps to it.
    written.update(3, &Settings::default(), 20).update(3, &Settings::default(), 30);
    assert!(written.verify().unwrap().parameters().next_key_hashes.is_empty());
}

#[test]
fn witnesses_have_to_approve() {
    let witnesses = Witnesses::new(2, &[7, 8, 9].map(|seed| key(seed).public())).unwrap();
    let settings = Settings { witnesses: Some(witnesses), ..Settings::default() };
    let mut written = Written::begin(&settings);
    written.update(1, &Settings::default(), 10);
    let ids: Vec<_> = written.history.version_ids().map(str::to_owned).collect();
    let judged = |file: Value| {
        let file = file.to_string();
        let (did, log) = (written.did(), written.log.as_bytes());
        History::verify(&did, log, Some(file.as_bytes()), at(100)).map(drop)
    };
    let by = |id: usize, seeds: &[u8]| {
        let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
        witness(&ids[id], &keys, at(11))
    };
    assert!(Log::verify(&written.did(), written.log.as_bytes(), at(100)).unwrap().is_witnessed());
    assert_eq!(refused(written.verify()), WebvhError::Witness);
    // Whoever approves a version approves those before it.
    assert_eq!(judged(json!([by(1, &[7, 9])])), Ok(()));
    assert_eq!(judged(json!([by(0, &[7]), by(1, &[8, 9])])), Ok(()));
    for (why, file) in [
        ("only the first version", json!([by(0, &[7, 8, 9])])),
        ("one witness", json!([by(1, &[7])])),
        ("one witness twice", json!([by(1, &[7, 7]), by(1, &[7])])),
        ("somebody else", json!([by(1, &[7, 66])])),
        ("nobody", json!([])),
        ("a version that is not there", json!([witness("3-Qm", &[key(7), key(8)], at(11))])),
    ] {
        assert_eq!(judged(file), Err(WebvhError::Witness), "{why}");
    }
    // The approval of one version does not serve for another.
    let mut moved = by(0, &[7, 8]);
    moved["versionId"] = json!(ids[1]);
    assert_eq!(judged(json!([moved])), Err(WebvhError::Witness));
    assert_eq!(judged(json!({})), Err(WebvhError::Shape));
    assert_eq!(judged(json!([1])), Err(WebvhError::Shape));
    let flood = json!([{ "versionId": ids[1], "proof": vec![json!({}); 513] }]);
    assert_eq!(judged(flood), Err(WebvhError::TooMany));
}

#[test]
fn who_dismisses_the_witnesses_needs_their_approval_once_more() {
    let witnesses = Witnesses::new(1, &[key(7).public()]).unwrap();
    let mut written =
        Written::begin(&Settings { witnesses: Some(witnesses), ..Settings::default() });
    written.update(1, &Settings::default(), 10);
    let dismissed = |approved: usize| {
        let mut entries = written.lines();
        let before = entries[0]["versionId"].as_str().unwrap().to_owned();
        let entry = &mut entries[1];
        entry.remove("proof");
        entry["parameters"]["witness"] = json!({});
        entry["versionId"] = json!(format!("2-{}", entry_hash(entry, &before)));
        let proof = proof::sign(entry, &key(1), START);
        entry.insert("proof".to_owned(), json!([proof]));
        let id = entries[approved]["versionId"].as_str().unwrap();
        let file = json!([witness(id, &[key(7)], at(11))]).to_string();
        let log = text(&entries);
        History::verify(&written.did(), log.as_bytes(), Some(file.as_bytes()), at(100)).map(drop)
    };
    assert_eq!(dismissed(0), Err(WebvhError::Witness));
    assert_eq!(dismissed(1), Ok(()));
}

#[test]
fn a_list_of_witnesses_is_sound_or_refused() {
    let written = two_versions();
    let did_key =
        |seed: u8| json!({ "id": format!("did:key:{}", key(seed).public().to_multibase()) });
    for (threshold, witnesses) in [
        (json!(0), json!([did_key(7)])),
        (json!(2), json!([did_key(7)])),
        (json!(2), json!([did_key(7), did_key(7)])),
        (json!("1"), json!([did_key(7)])),
        (json!(1), json!([{ "id": key(7).public().to_multibase() }])),
        (json!(1), json!([{ "id": "did:web:a.example" }])),
        (json!(1), json!([])),
    ] {
        let result = forged(&written, 2, 1, |entry| {
            entry["parameters"]["witness"] =
                json!({ "threshold": threshold, "witnesses": witnesses });
        });
        assert_eq!(refused(result), WebvhError::Parameter("witness"));
    }
    assert!(Witnesses::new(2, &[key(7).public(), key(7).public()]).is_err());
}

#[test]
fn a_did_moves_only_if_it_may_and_says_where_it_was() {
    let moved_to = |from: &Did, host: &str, named: bool| {
        let did = Did::parse(&from.as_str().replace("a.example", host)).unwrap();
        let mut document = document(&did, &key(5));
        if named {
            document.also_known_as.push(from.to_string());
        }
        document
    };
    let portable = Settings { portable: true, ..Settings::default() };
    for (settings, named, allowed) in
        [(&portable, true, true), (&portable, false, false), (&Settings::default(), true, false)]
    {
        let written = Written::begin(settings);
        let document = moved_to(&written.did(), "b.example", named);
        let line = update(&written.history, &document, &key(1), &Settings::default(), at(10));
        if !allowed {
            assert_eq!(refused(line), WebvhError::Portability);
            continue;
        }
        let log = written.log.clone() + &line.unwrap();
        for asked in [&written.did(), &document.id] {
            let history = verify_text(asked, &log).unwrap();
            assert_eq!(history.did(), &document.id);
            assert_eq!(history.at(&Select::Number(1)).unwrap().document.id, written.did());
        }
        let third = moved_to(&written.did(), "c.example", true).id;
        assert_eq!(refused(verify_text(&third, &log)), WebvhError::OtherDid);
    }
    // The SCID stays, wherever the DID goes.
    let swapped = forged(&Written::begin(&portable).update_once(), 2, 1, |entry| {
        let id = entry["state"]["id"].as_str().unwrap().to_owned();
        entry["state"]["alsoKnownAs"] = json!([id]);
        let scid = Did::parse(&id).map(|did| scid_of(&did).unwrap().to_owned()).unwrap();
        let other = "QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCrZ";
        entry["state"]["id"] = json!(id.replace(&scid, other));
    });
    assert_eq!(refused(swapped), WebvhError::OtherDid);
}

impl Written {
    fn update_once(mut self) -> Self {
        self.update(1, &Settings::default(), 10);
        self
    }
}

#[test]
fn nothing_follows_the_end() {
    for next in [None, Some(key(2))] {
        let public: Vec<_> = next.iter().map(SigningKey::public).collect();
        let mut written = Written::begin(&Settings { next_keys: &public, ..Settings::default() });
        let signer = next.unwrap_or_else(|| key(1));
        let line = deactivate(&written.history, &signer, at(10)).unwrap();
        written.log.push_str(&line);
        let history = written.verify().unwrap();
        let resolution = history.at(&Select::Latest).unwrap();
        assert!(resolution.metadata.deactivated);
        // The versions before stay checkable, and say that the DID has ended since.
        assert!(history.at(&Select::Number(1)).unwrap().metadata.deactivated);
        let after = update(&history, &resolution.document, &signer, &Settings::default(), at(20));
        assert_eq!(refused(after), WebvhError::Deactivated);
    }
    let mut written = two_versions();
    written.update(1, &Settings::default(), 20);
    let mut entries = written.lines();
    let ended = forged(&written, 2, 1, |entry| entry["parameters"]["deactivated"] = json!(true));
    assert!(ended.is_ok());
    let entry = &mut entries[1];
    entry.remove("proof");
    entry["parameters"]["deactivated"] = json!(true);
    let before = written.history.version_ids().next().unwrap();
    entry["versionId"] = json!(format!("2-{}", entry_hash(entry, before)));
    let proof = proof::sign(entry, &key(1), START);
    entry.insert("proof".to_owned(), json!([proof]));
    assert_eq!(refused(verify_text(&written.did(), &text(&entries))), WebvhError::Deactivated);
}

#[test]
fn lines_are_strict_json_of_bounded_size() {
    let written = two_versions();
    let did = written.did();
    let read = |log: &str| refused(verify_text(&did, log));
    assert!(matches!(read(""), WebvhError::Json(_)));
    assert!(matches!(read("\n\n"), WebvhError::Json(_)));
    assert!(matches!(read(&format!("{}\n", written.log)), WebvhError::Json(_)));
    assert!(verify_text(&did, written.log.trim_end()).is_ok());
    assert!(verify_text(&did, &written.log.replace('\n', "\r\n")).is_ok());
    let twice = written.log.replacen('{', "{\"versionId\":\"1-x\",", 1);
    assert_eq!(read(&twice), WebvhError::Json(JsonError::Duplicate));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(read(&deep), WebvhError::Json(JsonError::TooDeep));
    let long_line = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    assert_eq!(read(&long_line), WebvhError::Json(JsonError::TooLarge));
    assert_eq!(read(&" ".repeat(WEBVH_LOG_BYTES_MAX + 1)), WebvhError::TooLarge);
    assert_eq!(read("[]"), WebvhError::Json(JsonError::Syntax));
    assert_eq!(read("{}"), WebvhError::Shape);
    let no_object =
        forged(&written, 2, 1, |entry| drop(entry.insert("state".to_owned(), json!([]))));
    assert_eq!(refused(no_object), WebvhError::Shape);
    for (name, value) in
        [("more", json!(1)), ("parameters", json!(null)), ("versionTime", json!(1))]
    {
        let other = tampered(|log| drop(log[1].insert(name.to_owned(), value)));
        assert_eq!(refused(other), WebvhError::Shape, "{name}");
    }
}

#[test]
fn a_log_has_a_bounded_number_of_entries() {
    // Nothing is computed for the entry too many, whatever it is.
    let mut written = Written::begin(&Settings::default());
    let state = written.lines()[0]["state"].clone();
    let mut before = written.history.latest_version_id().to_owned();
    for number in 2..=WEBVH_ENTRIES_MAX {
        let time = json!(timestamp::Timestamp::from(at(number as u64)).to_string());
        let entry = json!({ "versionTime": time, "parameters": {}, "state": state });
        let Value::Object(mut entry) = entry else { unreachable!() };
        let id = format!("{number}-{}", entry_hash(&entry, &before));
        entry.insert("versionId".to_owned(), json!(id));
        let proof = proof::sign(&entry, &key(1), START);
        entry.insert("proof".to_owned(), json!([proof]));
        written.log.push_str(&(Value::Object(entry).to_string() + "\n"));
        before = id;
    }
    if WEBVH_LOG_BYTES_MAX < written.log.len() {
        assert_eq!(refused(written.verify()), WebvhError::TooLarge);
        return;
    }
    assert!(written.verify().is_ok());
    written.log.push_str("x\n");
    assert_eq!(refused(written.verify()), WebvhError::TooMany);
}

#[test]
fn a_log_has_a_bounded_number_of_proofs() {
    // Eight for each entry were three thousand signature checks in a log of a megabyte.
    let written = Written::begin(&Settings::default());
    let state = written.lines()[0]["state"].clone();
    let mut before = written.history.latest_version_id().to_owned();
    let (mut log, mut proofs) = (written.log.clone(), 1);
    for number in 2.. {
        let time = json!(timestamp::Timestamp::from(at(number)).to_string());
        let entry = json!({ "versionTime": time, "parameters": {}, "state": state });
        let Value::Object(mut entry) = entry else { unreachable!() };
        let id = format!("{number}-{}", entry_hash(&entry, &before));
        entry.insert("versionId".to_owned(), json!(id));
        let proof = proof::sign(&entry, &key(1), START);
        let more = WEBVH_PROOFS_PER_ENTRY_MAX.min(WEBVH_PROOFS_MAX - proofs);
        if more == 0 {
            break;
        }
        entry.insert("proof".to_owned(), json!(vec![proof; more]));
        log.push_str(&(Value::Object(entry).to_string() + "\n"));
        (before, proofs) = (id, proofs + more);
    }
    assert!(log.len() <= WEBVH_LOG_BYTES_MAX);
    assert!(verify_text(&written.did(), &log).is_ok());
    // Nothing is computed for the proof too many, whatever it is.
    log.push_str("{\"versionId\":\"x\",\"versionTime\":\"x\",\"parameters\":{},\"state\":{},\"proof\":[{}]}\n");
    assert_eq!(refused(verify_text(&written.did(), &log)), WebvhError::TooMany);
}

#[test]
fn versions_share_the_lists_that_they_leave_as_they_are() {
    // One line with lists of 96 KiB and a thousand short ones after it took a hundred megabytes.
    let mut written = two_versions();
    written.update(1, &Settings { ttl_secs: Some(60), ..Settings::default() }, 20);
    let history = written.verify().unwrap();
    let [first, last] = [Select::Number(1), Select::Latest]
        .map(|select| history.at(&select).unwrap().metadata.parameters);
    assert_eq!(last.ttl_secs, 60);
    assert!(std::sync::Arc::ptr_eq(&first.update_keys, &last.update_keys));
    assert!(std::sync::Arc::ptr_eq(&first.watchers, &last.watchers));
}
