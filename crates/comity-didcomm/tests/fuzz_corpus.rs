//! Replays the corpus of the fuzz targets, which are compiled into this test: what a run found once stays mended.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "the corpus is files")]
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "the targets are the library of another crate"
)]

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz_targets;

use std::fs;
use std::path::Path;

use fuzz_targets::targets::{TARGETS, Verdict};

#[test]
fn every_input_of_the_corpus_keeps_all_promises() {
    for (target, run) in TARGETS {
        let inputs = inputs(target);
        let (mut accepted, mut refused) = (0, 0);
        for (name, bytes) in &inputs {
            let verdict = run(bytes);
            // A seed that is not understood any more tests nothing.
            match name.split('-').next() {
                Some("accepted") => assert_eq!(verdict, Verdict::Accepted, "{target}/{name}"),
                Some("refused") => assert_eq!(verdict, Verdict::Refused, "{target}/{name}"),
                _ => {}
            }
            match verdict {
                Verdict::Accepted => accepted += 1,
                Verdict::Refused => refused += 1,
            }
        }
        assert!(0 < accepted && 0 < refused, "{target}: {accepted} accepted, {refused} refused");
    }
}

/// Cuts each input short at every point and flips a bit of every byte: what fuzzing begins with, on every machine.
#[test]
fn inputs_cut_short_or_with_a_bit_flipped_keep_all_promises() {
    for (target, run) in TARGETS {
        for (_, bytes) in inputs(target) {
            let step = bytes.len() / 64 + 1;
            for at in (0..bytes.len()).step_by(step) {
                let _verdict = run(&bytes[..at]);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 7);
                let _verdict = run(&flipped);
            }
        }
    }
}

/// Every binary that libFuzzer runs has a folder in the corpus and is listed, and the other way round.
#[test]
fn targets_binaries_and_corpus_name_the_same() {
    let names = |folder: &str| {
        let entries = fs::read_dir(fuzz().join(folder)).expect("the folder is in the checkout");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> =
            names.map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
        names.sort_unstable();
        names
    };
    let listed = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(names("corpus"), listed);
    assert_eq!(names("fuzz_targets"), listed);
}

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target);
    let entries = fs::read_dir(folder).expect("every target has a corpus");
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("an input"))
        })
        .collect();
    inputs.sort_unstable();
    inputs
}

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}
