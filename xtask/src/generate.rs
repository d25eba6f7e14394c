//! `cargo xtask generate`: rewrites the references that are generated from the code.
//!
//! The generators live in the crates whose types they describe, as tests named `..._is_current`:
//! each compares its file with the code, and rewrites it instead when `COMITY_BLESS` is set. So the
//! check runs with the other tests and cannot drift from the generator.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    Passed,
    cargo::{cargo, show_and_keep},
    totals::Totals,
};

/// The variable that turns a check of a generated file into its rewriting.
pub(crate) const BLESS: &str = "COMITY_BLESS";

/// Runs the generating tests of all crates with [`BLESS`] set.
pub(crate) fn run(root: &Path) -> Result<Passed> {
    // Plain `cargo test`: its filter is a substring of the name, the same with and without nextest.
    let arguments =
        ["test", "--workspace", "--locked", "--lib", "--bins", "--tests", "--", "is_current"];
    let (status, output) = show_and_keep(cargo(root, &arguments).env(BLESS, "1"))?;
    if !status.success() {
        return Ok(Passed::No);
    }
    let totals = Totals::of_libtest(&output)?;
    if totals.passed == 0 {
        bail!("no test is named `..._is_current`, so nothing was generated");
    }
    println!("{} generated references are current", totals.passed);
    Ok(Passed::Yes)
}
