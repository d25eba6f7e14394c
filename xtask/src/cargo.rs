//! Calls of cargo from within cargo: the environment made clean, the output shown and kept.
//!
//! Not a build system: each call is one that a developer could type.

use std::{
    env,
    io::{self, BufRead, BufReader, IsTerminal as _, Read, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

/// Builds a cargo call in `root` that behaves like one typed by hand.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root);
    // `cargo run` describes xtask itself in these, and a build script that watches one would run
    // again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Tells whether a cargo subcommand is installed, by asking for its version.
pub(crate) fn is_installed(root: &Path, subcommand: &str) -> bool {
    cargo(root, &[subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a call with its output passed through, and returns how it ended.
pub(crate) fn show(command: &mut Command) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {}", line(command)))
}

/// Runs a call, shows its output line by line, and keeps all of it.
pub(crate) fn show_and_keep(command: &mut Command) -> Result<(ExitStatus, String)> {
    // A pipe hides the terminal from the child, so its choice of colours is made here.
    if env::var_os("CARGO_TERM_COLOR").is_none() && io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", line(command)))?;
    let stdout = child.stdout.take().context("the child has no standard output")?;
    let stderr = child.stderr.take().context("the child has no standard error")?;
    let errors = thread::spawn(move || tee(stderr, io::stderr()));
    let mut kept = tee(stdout, io::stdout())?;
    let errors = errors.join().map_err(|_| anyhow!("the reader of standard error panicked"))??;
    kept.push_str(&errors);
    Ok((child.wait()?, kept))
}

/// Copies a stream line by line and returns all of it.
fn tee(from: impl Read, mut to: impl Write) -> io::Result<String> {
    let mut kept = String::new();
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while 0 < from.read_until(b'\n', &mut bytes)? {
        to.write_all(&bytes)?;
        to.flush()?;
        kept.push_str(&String::from_utf8_lossy(&bytes));
        bytes.clear();
    }
    Ok(kept)
}

/// Writes a call down as it would be typed.
pub(crate) fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tee_shows_and_keeps_every_line() {
        let mut shown = Vec::new();
        let kept = tee(&b"one\ntwo"[..], &mut shown).unwrap();
        assert_eq!(kept, "one\ntwo");
        assert_eq!(shown, b"one\ntwo");
    }

    #[test]
    fn a_call_is_written_as_typed() {
        assert_eq!(line(&cargo(Path::new("."), &["fmt", "--check"])), "cargo fmt --check");
    }
}
