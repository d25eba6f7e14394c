//! The second verifier of evidence, `tools/verify_evidence.py`, next to ours: on the published corpus, and on
//! bundles that were tampered with by those who have the keys. An exit code that differs fails the run.
//!
//! Needs Python 3 with its venv module, and the network the first time; what it installs is below `target`.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    cargo::{cargo, show},
    interop::install::unless_current,
};

/// How many tampered bundles both read.
const TAMPERS: &str = "600";

/// How it ended.
pub(crate) enum Agreement {
    /// Both found the same.
    Agree,
    /// They did not.
    Differ,
    /// The second verifier cannot be run here.
    Unavailable(&'static str),
}

/// Runs both on everything.
pub(crate) fn run(root: &Path) -> Result<Agreement> {
    let folder = root.join("target/evidence");
    let python = folder.join("python");
    let interpreter = python.join("bin/python");
    let requirements = root.join("tools/requirements.txt");
    let installed = unless_current(&python, &requirements, || {
        run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&python))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run_quietly(Command::new(&interpreter).args(pip).arg(&requirements))
    });
    if let Err(error) = installed {
        eprintln!("{error:#}");
        return Ok(Agreement::Unavailable("Python with its cryptography package cannot be had"));
    }
    let tampers = folder.join("tampers");
    let write =
        ["run", "--quiet", "--locked", "-p", "comity-core", "--example", "evidence_tampers"];
    if !show(cargo(root, &write).arg("--").arg(&tampers).arg(TAMPERS))?.success() {
        return Ok(Agreement::Differ);
    }
    let corpora = std::fs::read_dir(root.join("docs/conformance/evidence"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut agree = Command::new(&interpreter);
    agree.arg(root.join("tools/agree_on_evidence.py")).args(corpora).arg(&tampers);
    let status = agree.status().context("the second verifier does not run")?;
    Ok(if status.success() { Agreement::Agree } else { Agreement::Differ })
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} does not run"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
