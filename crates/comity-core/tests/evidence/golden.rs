//! The published corpus: bundles of each format version, which stay what they are found to be for ever.
//!
//! `docs/conformance/evidence/FORMAT/cases.json` says what each file is. With `COMITY_BLESS=1` the files of
//! the present format are written anew; those of former formats never are.

use std::fs;
use std::path::{Path, PathBuf};

use comity_core::evidence::{Trusted, verify};
use comity_core::log::WitnessPolicy;
use comity_didcomm::{Did, DidDocument};
use serde_json::{Value, json};

use super::cases::{Case, all};

const PRESENT: &str = "1";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance/evidence")
}

fn write(folder: &Path, case: &Case) -> Value {
    let file = format!("{}.json", case.name);
    fs::write(folder.join(&file), &case.text).unwrap();
    let policy = case.policy.as_ref().map(|policy| {
        let file = format!("{}.policy", case.name);
        fs::write(folder.join(&file), policy).unwrap();
        file
    });
    let documents: Vec<String> = (1..)
        .zip(&case.documents)
        .map(|(number, document)| {
            let file = format!("{}.document-{number}.json", case.name);
            fs::write(folder.join(&file), document.to_json().to_string()).unwrap();
            file
        })
        .collect();
    json!({
        "documents": documents,
        "exit": case.outcome.exit_code(),
        "file": file,
        "finding": case.finding,
        "name": case.name,
        "policy": policy,
    })
}

#[test]
fn every_published_bundle_is_what_it_was_found_to_be() {
    let present = corpus().join(PRESENT);
    if std::env::var_os("COMITY_BLESS").is_some() {
        fs::create_dir_all(&present).unwrap();
        let cases: Vec<Value> = all().iter().map(|case| write(&present, case)).collect();
        let text = serde_json::to_string_pretty(&cases).unwrap();
        fs::write(present.join("cases.json"), text + "\n").unwrap();
    }
    let mut formats = 0;
    for folder in fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(cases) = fs::read(folder.join("cases.json")) else { continue };
        formats += 1;
        let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
        for case in &cases {
            let read = |name: &Value| fs::read(folder.join(name.as_str().unwrap())).unwrap();
            let policy = Some(&case["policy"]).filter(|policy| policy.is_string());
            let policy = policy.map(|policy| String::from_utf8(read(policy)).unwrap());
            let documents = case["documents"].as_array().unwrap().iter().map(|file| {
                let bytes = read(file);
                let value: Value = serde_json::from_slice(&bytes).unwrap();
                let id = Did::parse(value["id"].as_str().unwrap()).unwrap();
                DidDocument::parse(&bytes, &id).unwrap()
            });
            let trusted = Trusted {
                policy: policy.map(|policy| WitnessPolicy::parse(&policy).unwrap()),
                documents: documents.collect(),
            };
            let verdict = verify(&read(&case["file"]), &trusted);
            assert_eq!(json!(verdict.outcome.exit_code()), case["exit"], "{}", case["name"]);
        }
        if folder.ends_with(PRESENT) {
            let names: Vec<&str> =
                cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
            let made: Vec<&str> = all().iter().map(|case| case.name).collect();
            assert_eq!(names, made, "run it with COMITY_BLESS=1 after a case was added");
        }
    }
    assert!(0 < formats, "the corpus is there");
}
