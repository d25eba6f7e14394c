//! Fetches and builds what the drivers need, all of it below `target/interop`.
//!
//! Nothing is installed anywhere else. Each part is left alone when what it was made from has not changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{cargo, line, show};

/// Makes the Python environment with the foreign library and the relay client's transports; returns its interpreter.
pub(super) fn python(root: &Path) -> Result<PathBuf> {
    let folder = folder(root).join("python");
    let interpreter = folder.join("bin").join("python");
    let requirements = root.join("tools/interop/requirements.txt");
    unless_current(&folder, &requirements, || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            .context("Python 3 with its venv module is needed")?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&interpreter).args(pip).arg(&requirements))
    })?;
    Ok(interpreter)
}

/// Installs the npm package; returns the folder to run Node.js in.
pub(super) fn wasm(root: &Path) -> Result<PathBuf> {
    let folder = folder(root).join("wasm");
    let package = root.join("tools/interop/package.json");
    unless_current(&folder, &package, || {
        fs::copy(&package, folder.join("package.json"))?;
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"];
        run(Command::new("npm").args(install).current_dir(&folder))
            .context("Node.js with npm is needed")
    })?;
    Ok(folder)
}

/// Builds the driver of Affinidi's crate; returns its program.
pub(super) fn affinidi(root: &Path) -> Result<PathBuf> {
    let target = folder(root).join("affinidi");
    let build =
        ["build", "--quiet", "--locked", "--manifest-path", "tools/interop/affinidi/Cargo.toml"];
    run(cargo(root, &build).arg("--target-dir").arg(&target))?;
    Ok(target.join("debug/affinidi-driver"))
}

/// Builds our own program and returns it.
pub(super) fn comity(root: &Path) -> Result<PathBuf> {
    run(&mut cargo(root, &["build", "--quiet", "--locked", "--package", "comity"]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(root.join(target).join("debug/comity"))
}

fn folder(root: &Path) -> PathBuf {
    root.join("target/interop")
}

/// Runs `make` unless the folder was made from the same `source`, of which a copy is kept beside what was made.
pub(crate) fn unless_current(
    folder: &Path,
    source: &Path,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let made_from = folder.join("made-from");
    let wanted = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
    if fs::read(&made_from).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    make()?;
    fs::write(made_from, wanted)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    // Standard output is the report.
    eprintln!("{}", line(command));
    if !show(command)?.success() {
        bail!("{} failed", line(command));
    }
    Ok(())
}
