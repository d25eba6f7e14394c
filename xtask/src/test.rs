//! `cargo xtask test`: everything that a change has to pass, in one order, on every machine.
//!
//! The steps go from cheap to dear and stop at the first that fails, with a hint. All of them build
//! with the same profile and features, so that each uses what the one before it built.

use std::{path::Path, process::Command, time::Instant};

use anyhow::Result;

use crate::{
    Passed,
    cargo::{cargo, is_installed, line, show, show_and_keep},
    evidence::{self, Agreement},
    generate::BLESS,
    tidy,
    totals::Totals,
};

/// Runs all steps and ends with the totals of the tests, alone on the last line.
pub(crate) fn run(root: &Path) -> Result<Passed> {
    let mut totals = Totals::default();
    let mut skipped = Vec::new();
    for step in STEPS {
        println!("\n== {} ==", step.name);
        let start = Instant::now();
        let outcome = (step.run)(root)?;
        let ran_tests = outcome.totals != Totals::default();
        totals += outcome.totals;
        let seconds = start.elapsed().as_secs_f64();
        match outcome.end {
            End::Failed => {
                eprintln!("\n{} failed: {}", step.name, step.hint);
                if ran_tests {
                    println!("{totals}");
                }
                return Ok(Passed::No);
            }
            End::Passed if ran_tests => {
                println!("{}: {} in {seconds:.1} s", step.name, outcome.totals);
            }
            End::Passed => println!("{}: passed in {seconds:.1} s", step.name),
            End::Skipped(why) => {
                println!("{}: SKIPPED, {why}", step.name);
                skipped.push(format!("{} ({why})", step.name));
            }
        }
    }
    if !skipped.is_empty() {
        println!("\nnot checked: {}", skipped.join(", "));
    }
    println!("\n{totals}");
    Ok(Passed::Yes)
}

/// One step: what it is called, what it does, and what to do when it fails.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<Outcome>,
    hint: &'static str,
}

/// What a step found out.
struct Outcome {
    end: End,
    totals: Totals,
}

/// How a step ended; one that was skipped does not fail the run, but is never called passed.
enum End {
    Failed,
    Passed,
    Skipped(&'static str),
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        Self { end, totals: Totals::default() }
    }
}

impl From<Passed> for End {
    fn from(passed: Passed) -> Self {
        match passed {
            Passed::No => Self::Failed,
            Passed::Yes => Self::Passed,
        }
    }
}

const STEPS: [Step; 8] = [
    Step { name: "tidy", run: tidy_tree, hint: "each line above says what to do" },
    Step { name: "fmt", run: fmt, hint: "run `cargo fmt --all`" },
    Step {
        name: "clippy",
        run: clippy,
        hint: "mend what it names; an exception is `#[expect(lint, reason = \"why\")]` at the narrowest place",
    },
    Step {
        name: "tests",
        run: tests,
        hint: "run one with `cargo nextest run -p CRATE NAME`; when `..._is_current` fails and the change is \
               meant, run `cargo xtask generate` and commit the result",
    },
    Step {
        name: "evidence",
        run: evidence,
        hint: "the verifier in Python and ours differ: one of them departs from docs/protocols/evidence.md",
    },
    Step {
        name: "doc tests",
        run: doc_tests,
        hint: "run one crate with `cargo test --doc -p CRATE`",
    },
    Step { name: "docs", run: docs, hint: "a link in a doc comment does not resolve" },
    Step {
        name: "deny",
        run: deny,
        hint: "deny.toml says what is allowed; a new exception there needs its reason",
    },
];

fn evidence(root: &Path) -> Result<Outcome> {
    Ok(match evidence::run(root)? {
        Agreement::Agree => End::Passed,
        Agreement::Differ => End::Failed,
        Agreement::Unavailable(why) => End::Skipped(why),
    }
    .into())
}

fn tidy_tree(root: &Path) -> Result<Outcome> {
    Ok(End::from(tidy::run(root)?).into())
}

fn fmt(root: &Path) -> Result<Outcome> {
    shown(&mut cargo(root, &["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> Result<Outcome> {
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
    shown(&mut cargo(root, &arguments))
}

fn tests(root: &Path) -> Result<Outcome> {
    if is_installed(root, "nextest") {
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast"];
        return counted(&mut cargo(root, &arguments), Totals::of_nextest);
    }
    println!("cargo-nextest is not installed: cargo test runs the tests");
    // Not `--all-targets`, which would also run the benchmarks.
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    let mut command = cargo(root, &["test", "--workspace", "--locked", "--no-fail-fast"]);
    counted(command.args(targets), Totals::of_libtest)
}

fn doc_tests(root: &Path) -> Result<Outcome> {
    let arguments = ["test", "--doc", "--workspace", "--locked", "--no-fail-fast"];
    counted(&mut cargo(root, &arguments), Totals::of_libtest)
}

fn docs(root: &Path) -> Result<Outcome> {
    let arguments = ["doc", "--no-deps", "--workspace", "--locked"];
    shown(cargo(root, &arguments).env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn deny(root: &Path) -> Result<Outcome> {
    if !is_installed(root, "deny") {
        return Ok(End::Skipped("cargo-deny is not installed").into());
    }
    let local = shown(&mut cargo(root, &["deny", "check", "bans", "licenses", "sources"]))?;
    if !matches!(local.end, End::Passed) {
        return Ok(local);
    }
    if !show(&mut cargo(root, &["deny", "fetch", "db"]))?.success() {
        return Ok(End::Skipped("only advisories: their database cannot be fetched").into());
    }
    shown(&mut cargo(root, &["deny", "check", "advisories"]))
}

/// Runs a call whose exit code says all.
fn shown(command: &mut Command) -> Result<Outcome> {
    println!("{}", line(command));
    let end = if show(command)?.success() { End::Passed } else { End::Failed };
    Ok(end.into())
}

/// Runs tests and reads their totals from what the runner prints.
fn counted(command: &mut Command, totals: fn(&str) -> Result<Totals>) -> Result<Outcome> {
    println!("{}", line(command));
    // A test that rewrites the file it should check finds nothing wrong.
    let (status, output) = show_and_keep(command.env_remove(BLESS))?;
    if status.success() {
        return Ok(Outcome { end: End::Passed, totals: totals(&output)? });
    }
    // What does not compile has no totals, and the compiler has said why.
    Ok(Outcome { end: End::Failed, totals: totals(&output).unwrap_or_default() })
}
