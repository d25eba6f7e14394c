//! `cargo xtask fuzz`: a bounded run of every fuzz target, on stable Rust and without sanitizers.
//!
//! The targets are in `fuzz`; our crates are safe Rust, so what coverage finds is panics, broken promises and excess of
//! time or memory. The flags are those by which the compiler adds libFuzzer's counters, which need no nightly. New
//! inputs stay below `target/fuzz`; what breaks a promise is kept there and printed, to be committed to the corpus with
//! the mend. Needs a C++ compiler for libFuzzer itself.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    Passed,
    cargo::{cargo, line, show},
};

/// Builds and runs all targets, or those that are named.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<Passed> {
    let (seconds, named) = match arguments {
        ["--seconds", seconds, named @ ..] => {
            (seconds.parse().context("--seconds takes a whole number")?, named)
        }
        named => (SECONDS, named),
    };
    let targets = targets(root)?;
    if let Some(unknown) = named.iter().find(|name| !targets.iter().any(|target| target == *name)) {
        bail!("no such target: {unknown}; there are {}", targets.join(", "));
    }
    let binaries = build(root)?;
    let mut broken = Vec::new();
    for target in
        targets.iter().filter(|target| named.is_empty() || named.contains(&target.as_str()))
    {
        println!("\n== {target} ==");
        let found = run_target(root, &binaries, target, seconds)?;
        broken.extend(found);
    }
    if broken.is_empty() {
        println!("\nno input broke a promise");
        return Ok(Passed::Yes);
    }
    println!("\nthese inputs broke a promise; put each into fuzz/corpus/TARGET with the mend:");
    for path in &broken {
        println!("  {}", path.display());
    }
    Ok(Passed::No)
}

/// Lists the targets by the folders of the corpus.
fn targets(root: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(root.join("fuzz/corpus")).context("cannot list fuzz/corpus")?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Builds all targets with libFuzzer's counters; returns the folder of the binaries.
fn build(root: &Path) -> Result<PathBuf> {
    let host = host()?;
    let folder = root.join("target/fuzz/build");
    // Naming the host keeps build scripts free of the counters, which they could not link.
    let build = [
        "build",
        "--release",
        "--locked",
        "--bins",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
    ];
    let mut command = cargo(root, &build);
    command.arg(&host).arg("--target-dir").arg(&folder).env("RUSTFLAGS", COUNTERS.join(" "));
    println!("{}", line(&command));
    if !show(&mut command)?.success() {
        bail!("the targets do not build; libFuzzer needs a C++ compiler");
    }
    Ok(folder.join(host).join("release"))
}

/// Asks the compiler for the triple of this machine.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc did not name its host")?.to_owned())
}

/// Runs one target and returns the inputs on which it ended.
fn run_target(root: &Path, binaries: &Path, target: &str, seconds: u64) -> Result<Vec<PathBuf>> {
    let (grown, broken) = (
        root.join("target/fuzz/corpus").join(target),
        root.join("target/fuzz/broken").join(target),
    );
    fs::create_dir_all(&grown)?;
    fs::create_dir_all(&broken)?;
    let mut command = Command::new(binaries.join(target));
    command
        .args([&grown, &root.join("fuzz/corpus").join(target)])
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(BOUNDS)
        // A panic's place says more than the stack below it.
        .env("RUST_BACKTRACE", env::var_os("RUST_BACKTRACE").unwrap_or_else(|| "0".into()));
    let ended = show(&mut command)?.success();
    let mut inputs =
        fs::read_dir(&broken)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    inputs.sort_unstable();
    if !ended && inputs.is_empty() {
        bail!("{target} ended without naming an input");
    }
    Ok(inputs)
}

/// How long each target runs, unless told.
const SECONDS: u64 = 20;

/// What libFuzzer needs of the compiler, without a sanitizer.
const COUNTERS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Counters of code that the linker drops would leave holes in the table.
    "-Clink-dead-code",
];

/// Seconds for one input, megabytes for the process, bytes of an input, and figures instead of each new input.
const BOUNDS: [&str; 5] =
    ["-timeout=5", "-rss_limit_mb=512", "-max_len=16384", "-verbosity=0", "-print_final_stats=1"];
