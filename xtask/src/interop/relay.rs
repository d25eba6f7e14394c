//! The second half: a node of ours as relay and as home of an agent, and a client on the Python library that has never
//! seen our code.
//!
//! Starts the node on free ports of this machine with an empty data directory, runs `tools/interop/relay_client.py`
//! against it and shows its steps. What the steps expect is in that file.
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for a missing name")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::Passed;

use super::install;

/// Whose home the node is, besides being a relay.
const AGENT: &str = "bruno";

/// Runs the client against a fresh node.
pub(super) fn run(root: &Path, json: bool) -> Result<Passed> {
    let data = root.join("target/interop/relay");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let python = install::python(root)?;
    let comity = install::comity(root)?;
    let mut node = start(&comity, &data)?;
    let url = ready(&mut node.0)?;
    let added =
        Command::new(&comity).args(["agent", "add", AGENT, "--data"]).arg(&data).output()?;
    if !added.status.success() {
        bail!("the agent is not added: {}", String::from_utf8_lossy(&added.stderr));
    }
    let mut client = Command::new(python)
        .arg(root.join("tools/interop/relay_client.py"))
        .args([&url, AGENT])
        .arg(&comity)
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the client")?;
    let stdout = client.stdout.take().context("the client has no standard output")?;
    let (mut steps, mut failed) = (0_usize, 0_usize);
    if !json {
        println!("\nA client on the Python library uses a node as its relay:");
    }
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let step: Value = serde_json::from_str(&line).context("the client did not write JSON")?;
        steps += 1;
        failed += usize::from(step["ok"] != true);
        let name = step["step"].as_str().unwrap_or("?");
        match (json, step["why"].as_str()) {
            (true, _) => println!("{line}"),
            (false, None) => println!("  ok      {name}"),
            (false, Some(why)) => println!("  FAILED  {name}: {why}"),
        }
    }
    let ended = client.wait()?;
    if steps == 0 || ended.success() != (failed == 0) {
        bail!("the client ended with {ended} after {steps} steps, see its messages above");
    }
    if !json {
        println!("{} of {steps} steps are ok.", steps - failed);
    }
    Ok(if failed == 0 { Passed::Yes } else { Passed::No })
}

/// A running node, ended when dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn start(comity: &Path, data: &Path) -> Result<Node> {
    let free = "127.0.0.1:0";
    Command::new(comity)
        .arg("--data")
        .arg(data)
        .args(["--json", "up", "--relay", "--dev", "--listen", free, "--local", free])
        .arg("--until-stdin-ends")
        .env("COMITY_LOG", "warn")
        .env("COMITY_RELAY_REGISTER", "open")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Node)
        .context("cannot start the node")
}

/// Waits for the line in which the node says that it is ready; returns its public URL.
fn ready(node: &mut Child) -> Result<String> {
    let stdout = node.stdout.take().context("the node has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Value = serde_json::from_str(&line).context("the node did not start, see above")?;
    Ok(ready["url"].as_str().context("the node did not say its URL")?.to_owned())
}
