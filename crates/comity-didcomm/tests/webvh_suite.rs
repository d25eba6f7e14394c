//! Other people's did:webvh logs: the compliance suite
//! `decentralized-identity/didwebvh-test-suite`, if the folder in the environment variable
//! COMITY_WEBVH_SUITE holds it. Nothing of it is kept here; our own logs, good and broken, are
//! tested beside the code.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests, which read files"
)]

use std::fs;
use std::path::{Path, PathBuf};

use comity_didcomm::did::webvh::{History, Select, log_url};
use comity_didcomm::{Did, UnixTime};
use serde_json::Value;

/// Later than every log of the suite but those that are meant to lie in the future.
const NOW: UnixTime = UnixTime(4_000_000_000);

/// Logs of the suite that the specification does not allow, with the rule they break. Each has to
/// be refused.
const NOT_BY_THE_SPECIFICATION: [(&str, &str); 6] = [
    ("witness-threshold/rust", "a witness is named by a bare key instead of a did:key"),
    ("witness-update/rust", "a witness is named by a bare key instead of a did:key"),
    (
        "witness-update/java",
        "the witnesses who leave did not approve the entry that dismisses them",
    ),
    (
        "witness-update/java-eecc",
        "the witnesses who leave did not approve the entry that dismisses them",
    ),
    (
        "witness-update/python",
        "the witnesses who leave did not approve the entry that dismisses them",
    ),
    ("witness-update/ts", "the witnesses who leave did not approve the entry that dismisses them"),
];

/// Results of the suite with the document of version 3 as that of versions 1 and 2.
const WRONG_RESULTS: [(&str, &str); 2] =
    [("python", "resolutionResult.1.json"), ("python", "resolutionResult.2.json")];

#[test]
fn the_logs_of_the_compliance_suite_are_judged_as_it_says() {
    let Some(folder) = std::env::var_os("COMITY_WEBVH_SUITE").map(PathBuf::from) else {
        eprintln!("skipped: COMITY_WEBVH_SUITE does not name the folder of didwebvh-test-suite");
        return;
    };
    let mut wrong = Vec::new();
    let (mut good, mut refused) = (0, 0);
    for scenario in folders(&folder.join("vectors")) {
        for log in folders(&scenario).iter().filter(|it| it.join("did.jsonl").exists()) {
            let name = format!("{}/{}", name(&scenario), name(log));
            let outlaw = NOT_BY_THE_SPECIFICATION.iter().any(|(outlaw, _)| *outlaw == name);
            let judged = if name.starts_with("negative-") || outlaw {
                refused += 1;
                must_refuse(&scenario, log)
            } else {
                good += 1;
                must_resolve(log)
            };
            if let Err(why) = judged {
                wrong.push(format!("{name}: {why}"));
            }
        }
    }
    eprintln!("{good} logs to resolve, {refused} to refuse, {} judged otherwise", wrong.len());
    assert!(0 < good && 0 < refused, "the folder holds the suite");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every result that the suite has for a log: the last version, and named ones.
fn must_resolve(folder: &Path) -> Result<(), String> {
    let results = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let results = results.filter(|path| name(path).starts_with("resolutionResult"));
    for path in results {
        if WRONG_RESULTS.contains(&(name(folder).as_str(), name(&path).as_str())) {
            continue;
        }
        let result: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let history = resolve(folder, last_id(folder).as_deref())?;
        let select = match name(&path).split('.').collect::<Vec<_>>()[..] {
            [_, number, _] => Select::Number(number.parse().unwrap()),
            _ => Select::Latest,
        };
        let ours = history.document_at(&select).map_err(|error| error.to_string())?;
        let metadata = history.at(&select).map_err(|error| error.to_string())?.metadata;
        let theirs = &result["didDocument"];
        // Implementations differ in the implicit services' ids and in what they give for an ended
        // DID.
        for (member, value) in theirs.as_object().into_iter().flatten() {
            if member != "service" && ours[member] != *value {
                return Err(format!("{} differs in {member}", name(&path)));
            }
        }
        let theirs = &result["didDocumentMetadata"];
        for (member, value) in [
            ("versionId", Value::from(metadata.version_id)),
            ("versionTime", Value::from(metadata.version_time)),
            ("created", Value::from(metadata.created)),
            ("scid", Value::from(metadata.scid)),
            ("deactivated", Value::from(metadata.deactivated)),
            ("portable", Value::from(metadata.parameters.portable)),
        ] {
            if !theirs[member].is_null() && theirs[member] != value {
                return Err(format!("{} differs in {member}: {value}", name(&path)));
            }
        }
    }
    Ok(())
}

fn must_refuse(scenario: &Path, folder: &Path) -> Result<(), String> {
    if fs::metadata(folder.join("did.jsonl")).unwrap().len() != 0 {
        let log = fs::read_to_string(folder.join("did.jsonl")).unwrap();
        for line in log.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            match resolve(folder, entry["state"]["id"].as_str()) {
                Ok(_) => return Err("resolved".to_owned()),
                Err(why) => eprintln!("{}: {why}", name(scenario)),
            }
        }
        return Ok(());
    }
    // The trick is in the DID, so that nothing may be fetched.
    let script = fs::read_to_string(scenario.join("script.yaml")).unwrap();
    let dids = script.lines().filter_map(|line| line.trim().strip_prefix("did:").map(str::trim));
    for did in dids.map(|quoted| quoted.trim_matches('"')) {
        // The placeholder of the suite is no SCID; a real one must not help.
        let did = did.replace(
            &format!("Qm{}", "0".repeat(44)),
            "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE",
        );
        if Did::parse(&did).is_ok_and(|did| log_url(&did).is_ok()) {
            return Err(format!("{did} has a URL"));
        }
    }
    Ok(())
}

fn resolve(folder: &Path, did: Option<&str>) -> Result<History, String> {
    let did = Did::parse(did.ok_or("no DID")?).map_err(|error| error.to_string())?;
    let witness = fs::read(folder.join("did-witness.json")).ok();
    let log = fs::read(folder.join("did.jsonl")).unwrap();
    History::verify(&did, &log, witness.as_deref(), NOW).map_err(|error| error.to_string())
}

/// The DID of the last version.
fn last_id(folder: &Path) -> Option<String> {
    let log = fs::read_to_string(folder.join("did.jsonl")).unwrap();
    let entry: Value = serde_json::from_str(log.lines().last()?).ok()?;
    entry["state"]["id"].as_str().map(str::to_owned)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
