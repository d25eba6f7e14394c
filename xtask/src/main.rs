//! The project's own chores, run as `cargo xtask NAME`.
//!
//! Not part of the product: nothing here ships, and no crate of ours may depend on it. `tidy` holds
//! the rules about the shape of the tree that neither the compiler nor clippy can see; `test` is
//! the one gate that a change has to pass, on a desk and on the build machine alike; `generate`
//! rewrites the generated references; `bench`, `interop`, `fuzz` and `trust-sim` need the network or
//! time, and are run by hand.
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests"
    )
)]
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command line tool talks on its standard streams"
)]

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};

mod bench;
mod cargo;
mod evidence;
mod fuzz;
mod generate;
mod interop;
mod test;
mod tidy;
mod totals;
mod trust_sim;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  bench     measure what a letter costs, against the primitives and the other Rust libraries
  tidy      check the rules about the shape of the tree
  test      run everything a change has to pass: tidy, fmt, clippy, tests, doc tests, docs, cargo-deny
  generate  rewrite the generated references (docs/errors.md, docs/openapi.json)
  interop   exchange messages with other people's libraries, and have one of them use a node as relay
            [--bless] [--foreign] [--json] [--messages | --relay]
  fuzz      run every fuzz target for a while, or those that are named
            [--seconds N] [TARGET ..]
  trust-sim print what the trust score makes of sybils, next to other rules
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bench"] => root().and_then(|root| bench::run(&root)),
        ["tidy"] => root().and_then(|root| tidy::run(&root)),
        ["test"] => root().and_then(|root| test::run(&root)),
        ["fuzz", arguments @ ..] => root().and_then(|root| fuzz::run(&root, arguments)),
        ["trust-sim"] => root().and_then(|root| trust_sim::run(&root)),
        ["generate"] => root().and_then(|root| generate::run(&root)),
        ["interop", arguments @ ..] => root().and_then(|root| interop::run(&root, arguments)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(passed) => passed.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether a chore found everything in order; an error means that it could not find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    No,
    Yes,
}

impl From<Passed> for ExitCode {
    fn from(passed: Passed) -> Self {
        match passed {
            Passed::No => Self::FAILURE,
            Passed::Yes => Self::SUCCESS,
        }
    }
}

/// Finds the root of the checkout at run time, so that a moved checkout still checks itself.
fn root() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .context("CARGO_MANIFEST_DIR is not set: run this as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask has no folder above it")?;
    Ok(root.to_path_buf())
}
