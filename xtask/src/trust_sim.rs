//! `cargo xtask trust-sim`: what the trust score makes of sybils, next to what other rules make of them.
//!
//! Prints tables and judges nothing: the targets are asserted by `comity-core/tests/sybil.rs`. The simulator is an
//! example of that crate, so that no chore has to wait until the crate is built.

use std::path::Path;

use anyhow::Result;

use crate::{
    Passed,
    cargo::{cargo, show},
};

/// Runs the simulator, which takes a minute or two.
pub(crate) fn run(root: &Path) -> Result<Passed> {
    let arguments = ["run", "--quiet", "--locked", "-p", "comity-core", "--example", "trust_sim"];
    let status = show(&mut cargo(root, &arguments))?;
    Ok(if status.success() { Passed::Yes } else { Passed::No })
}
