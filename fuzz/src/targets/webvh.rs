//! A did:webvh log and its witnesses' proofs, as anybody between publisher and reader can change them.

use std::sync::OnceLock;

use comity_didcomm::{
    Did, DidDocument, SigningKey, UnixTime, VerificationMethod,
    did::webvh::{
        History, Log, Select, Settings, Witnesses, create, deactivate, draft_did, update, witness,
    },
};
use serde_json::json;

use super::{Verdict, parties::NOW};

/// A DID with its log of four versions, which rotates its key, commits to the next one, has a witness and ends.
pub struct Published {
    pub did: Did,
    pub log: String,
    pub witness_file: String,
    version_ids: Vec<String>,
}

/// A log and, after a zero byte, a witness file.
///
/// Nobody here can sign for the DID or its witness, so what verifies is what was published, or its beginning.
pub(super) fn webvh_log(data: &[u8]) -> Verdict {
    let published = published();
    let (log, witness_file) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], Some(&data[at + 1..])),
        None => (data, None),
    };
    let Ok(history) = History::verify(&published.did, log, witness_file, NOW) else {
        return Verdict::Refused;
    };
    let ids: Vec<_> = history.version_ids().collect();
    assert!(
        published.version_ids.iter().map(String::as_str).take(ids.len()).eq(ids.iter().copied())
    );
    for id in ids {
        let version = history.at(&Select::VersionId(id.to_owned())).expect("it is listed");
        assert_eq!(version.document.id, published.did);
        assert_eq!(version.metadata.version_id, id);
    }
    assert_eq!(history.latest_version_id(), history.version_ids().last().expect("at least one"));
    Verdict::Accepted
}

/// The one log that was ever published.
pub fn published() -> &'static Published {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    PUBLISHED.get_or_init(publish)
}

fn publish() -> Published {
    let [first, second, key] = [11, 12, 13].map(|seed| SigningKey::from_seed([seed; 32].into()));
    let at = |secs: u64| UnixTime(NOW.0 - 1000 + secs);
    let document = |did: &Did| {
        let mut document = DidDocument::new(did.clone());
        let id = document.add_key(VerificationMethod::new(did.url("key"), key.public()));
        document.authentication.push(id);
        document
    };
    let draft = draft_did("a.example", Some(8443), &["aria"]).expect("a draft");
    let next = [second.public()];
    let settings = Settings { next_keys: &next, ..Settings::default() };
    let (mut log, mut history) =
        create(&document(&draft), &first, &settings, at(0)).expect("a log");
    let did = history.did().clone();
    let read = |log: &str, secs| Log::verify(&did, log.as_bytes(), at(secs)).expect("a log");
    let witnesses = Witnesses::new(1, &[key.public()]).expect("witnesses");
    let settings = Settings { witnesses: Some(witnesses), ..Settings::default() };
    log += &update(&history, &document(&did), &second, &settings, at(1)).expect("a version");
    let proof_file = |log: &str| {
        let last: serde_json::Value =
            serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
        let id = last["versionId"].as_str().expect("an id");
        json!([witness(id, std::slice::from_ref(&key), at(3))]).to_string()
    };
    history = read(&log, 1).approve(Some(proof_file(&log).as_bytes())).expect("witnessed");
    log += &deactivate(&history, &second, at(2)).expect("an end");
    let witness_file = proof_file(&log);
    let history = read(&log, 2).approve(Some(witness_file.as_bytes())).expect("witnessed");
    let version_ids = history.version_ids().map(str::to_owned).collect();
    Published { did, log, witness_file, version_ids }
}
