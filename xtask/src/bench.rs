//! `cargo xtask bench`: what a letter costs, against the sum of the primitives and against the other Rust libraries;
//! what a stranger's price is in time; and what the log and evidence cost.
//!
//! Prints tables and judges nothing. The comparison is a workspace of its own, `benches/peers`, so that what the other
//! libraries bring along is built here only.

use std::path::Path;

use anyhow::Result;

use crate::{
    Passed,
    cargo::{cargo, show},
};

/// Runs the benchmarks, one after the other: each wants a processor to itself.
pub(crate) fn run(root: &Path) -> Result<Passed> {
    for package in ["comity-core", "comity-didcomm"] {
        if !show(&mut cargo(root, &["bench", "--locked", "-p", package]))?.success() {
            return Ok(Passed::No);
        }
    }
    for arguments in [
        &["bench", "--locked", "-p", "comity-store", "--bench", "log"][..],
        &["run", "--release", "--locked", "--", "bench", "--ledger", "--seconds", "5"],
    ] {
        if !show(&mut cargo(root, arguments))?.success() {
            return Ok(Passed::No);
        }
    }
    let manifest = "benches/peers/Cargo.toml";
    // Not `--locked`: its lock file need not follow every change of ours.
    let arguments = ["run", "--release", "--manifest-path", manifest];
    let target = root.join("target/peers");
    let status = show(cargo(root, &arguments).env("CARGO_TARGET_DIR", target))?;
    Ok(if status.success() { Passed::Yes } else { Passed::No })
}
