//! Writes tampered bundles with what they are found to be, in the form of the published corpus, for another
//! verifier to agree on: `cargo run -p comity-core --example evidence_tampers -- DIR COUNT`.
#![allow(
    unused,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a chore of the tests, in their world"
)]

#[path = "../tests/evidence/tampers.rs"]
mod tampers;
#[path = "../tests/evidence/world.rs"]
mod world;

use std::fs;
use std::path::PathBuf;

use comity_core::evidence::{Trusted, verify};
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let count: usize = arguments.next().expect("a count").parse().expect("a number");
    fs::create_dir_all(&folder).unwrap();
    let mut cases = Vec::new();
    for (number, text) in tampers::files(count).into_iter().enumerate() {
        let file = format!("{number}.json");
        let verdict = verify(text.as_bytes(), &Trusted::default());
        fs::write(folder.join(&file), &text).unwrap();
        cases.push(json!({
            "documents": [],
            "exit": verdict.outcome.exit_code(),
            "file": file,
            "name": number.to_string(),
            "policy": Value::Null,
        }));
    }
    fs::write(folder.join("cases.json"), json!(cases).to_string()).unwrap();
    println!("{} tampered bundles", cases.len());
}
