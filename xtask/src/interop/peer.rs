//! A peer: a process that speaks the line protocol of `comity didcomm lines` for one library.
//!
//! One line is asked, one is answered, in order and within a deadline. What the answer means is the caller's.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a missing name, and each value written to is made here"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A running driver; it is ended when dropped.
#[derive(Debug)]
pub(super) struct Peer {
    /// The short name in tables and in the list of quirks.
    pub(super) name: &'static str,
    /// The library's own name and version, as its driver tells.
    pub(super) library: String,
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
    asked: u64,
}

impl Peer {
    /// Starts a driver and asks who it is.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the driver of {name}"))?;
        let stdin = child.stdin.take().context("the driver has no standard input")?;
        let stdout = child.stdout.take().context("the driver has no standard output")?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let library = String::new();
        let mut peer = Self { name, library, child, stdin, answers, asked: 0 };
        let info = peer.ask(json!({ "op": "info" }))?;
        let words = [&info["name"], &info["version"]].map(|word| word.as_str().unwrap_or("?"));
        peer.library = words.join(" ");
        Ok(peer)
    }

    /// Sends one request and waits for its answer.
    pub(super) fn ask(&mut self, mut request: Value) -> Result<Value> {
        self.asked += 1;
        let rid = format!("{}-{}", self.name, self.asked);
        request["rid"] = json!(rid);
        writeln!(self.stdin, "{request}").and_then(|()| self.stdin.flush()).with_context(|| {
            format!("the driver of {} is gone, see its messages above", self.name)
        })?;
        let line = self
            .answers
            .recv_timeout(DEADLINE)
            .with_context(|| format!("the driver of {} gave no answer", self.name))?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("the driver of {} did not answer in JSON", self.name))?;
        if answer["rid"] != rid {
            bail!("the driver of {} answered out of order: {}", self.name, answer["rid"]);
        }
        Ok(answer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Far beyond what any case takes, so that only a driver that hangs meets it.
const DEADLINE: Duration = Duration::from_secs(60);
