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

use comity_core::evidence::{Bundle, Export, Trusted, verify};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let count: usize = arguments.next().expect("a count").parse().expect("a number");
    fs::create_dir_all(&folder).unwrap();
    let mut cases = Vec::new();
    for (number, text) in files(count).into_iter().enumerate() {
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

/// Tampered files of every kind.
fn files(count: usize) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(5);
    let worlds = tampers::worlds();
    let mut files = Vec::with_capacity(count);
    for number in 0..count {
        let (world, other) = (&worlds[number % worlds.len()], &worlds[(number + 1) % worlds.len()]);
        let case = world.case();
        match number % 3 {
            0 => {
                let mut file = json!(case);
                tampers::edit(&mut file["parts"], &json!(other.case().parts), &mut rng);
                files.push(file.to_string());
            }
            1 => {
                let mut value = json!(case.parts[0].export);
                tampers::edit(&mut value, &json!(other.case().parts[0].export), &mut rng);
                let Ok(export) = serde_json::from_value::<Export>(value) else { continue };
                let parts = vec![world.a.sign(export), case.parts[1].clone()];
                files.push(Bundle { parts, ..case }.to_text());
            }
            _ => {
                let (_, part) = tampers::rewrite(number / 3 % 9, world, &mut rng);
                let parts = vec![part, case.parts[1].clone()];
                files.push(Bundle { parts, ..case }.to_text());
            }
        }
    }
    files
}
