//! The program as a child process: one command that ends, or a node that runs until it is killed or dropped.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::request;

/// What a command that has ended left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Reads standard output as one JSON object.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Reads standard output as one JSON object a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Asserts success and returns the object.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.json()
    }

    /// Asserts an exit code and returns the `error` object, which has a code, a sentence and a hint.
    #[track_caller]
    pub(crate) fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        let error = self.json()["error"].clone();
        for member in ["code", "what", "hint"] {
            assert!(
                error[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {self:?}"
            );
        }
        assert!(error["why"].is_string(), "{self:?}");
        error
    }
}

/// Runs one command to its end, in an environment without a caller's settings.
pub(crate) fn comity(args: &[&str]) -> Run {
    let output = bare().args(args).stdin(Stdio::null()).output().expect("the program runs");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The same, with a text on standard input.
pub(crate) fn comity_reading(args: &[&str], input: &[u8]) -> Run {
    let mut command = bare();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // Written beside, so that neither side waits for the other's full pipe. A program that has ended reads no more.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the program ends")
    });
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMITY_") {
            command.env_remove(name);
        }
    }
    command
}

/// The same, under a limit on the size of files; writes beyond it fail, as the signal for it is ignored.
fn bare_on_full_disk(kibibytes: u32) -> Command {
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -S -f {kibibytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_comity")]);
    command
}

/// A node of a test, on free ports, gone when dropped or when the test's process ends.
#[derive(Debug)]
pub(crate) struct TestNode {
    folder: TempDir,
    flags: Vec<String>,
    file_kibibytes_max: Option<u32>,
    /// What a stranger's message costs: nothing, in tests about something else.
    work_bits: u8,
    child: Child,
    /// Its end tells the node to stop.
    stdin: Option<ChildStdin>,
    pub(crate) ready: Value,
}

impl TestNode {
    /// Starts a node in development mode.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--dev"])
    }

    /// Starts a node that demands work of strangers.
    pub(crate) fn start_demanding(work_bits: u8) -> Self {
        let any = "127.0.0.1:0".to_owned();
        let flags = vec!["--dev".to_owned()];
        Self::spawn(tempfile::tempdir().unwrap(), flags, [any.clone(), any], None, work_bits)
    }

    /// Starts a node with these flags of `comity up`.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let any = "127.0.0.1:0".to_owned();
        Self::spawn(folder, flags, [any.clone(), any], None, 0)
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same ports, with the same data.
    pub(crate) fn restart(self) -> Self {
        let mut this = self;
        this.kill();
        let addresses = [this.url(), this.local()].map(|url| {
            format!("127.0.0.1:{}", url.trim_end_matches('/').rsplit(':').next().unwrap())
        });
        // Dropping it must not remove the data.
        let folder = std::mem::replace(&mut this.folder, tempfile::tempdir().unwrap());
        let flags = std::mem::take(&mut this.flags);
        Self::spawn(folder, flags, addresses, this.file_kibibytes_max, this.work_bits)
    }

    /// Starts it again with files that can grow to so many KiB only, as on a full disk. It has to have been
    /// started before: a new store needs more.
    pub(crate) fn restart_on_full_disk(mut self, kibibytes: u32) -> Self {
        self.file_kibibytes_max = Some(kibibytes);
        self.restart()
    }

    /// Starts it again with room on the disk.
    pub(crate) fn restart_with_room(mut self) -> Self {
        self.file_kibibytes_max = None;
        self.restart()
    }

    /// Asks it to stop and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Reads what it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Returns the node's process, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of a node that something else stops.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn url(&self) -> String {
        let url = self.ready["url"].as_str().unwrap();
        // The name may resolve to another family of addresses first.
        url.replace("localhost", "127.0.0.1")
    }

    pub(crate) fn local(&self) -> String {
        self.ready["local"].as_str().unwrap().to_owned()
    }

    /// Runs a command against this node, with `--json`.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let data = self.data();
        let mut all = args.to_vec();
        all.extend(["--json", "--data", data.to_str().unwrap()]);
        comity(&all)
    }

    /// Adds an agent and returns its object, with the token.
    pub(crate) fn add(&self, name: &str) -> Value {
        self.run(&["agent", "add", name]).ok()
    }

    /// Calls the admin API.
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let token = std::fs::read_to_string(self.data().join("admin.token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let bytes = body.map(|body| body.to_string()).unwrap_or_default();
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = request(&self.local(), method, path, &headers, bytes.as_bytes());
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer.json()
    }

    /// Counts the messages that lie in its mailboxes.
    pub(crate) fn mailbox(&self) -> u64 {
        self.admin("GET", "/admin/status", None)["mailbox_messages"].as_u64().unwrap()
    }

    fn spawn(
        folder: TempDir,
        flags: Vec<String>,
        [listen, local]: [String; 2],
        file_kibibytes_max: Option<u32>,
        work_bits: u8,
    ) -> Self {
        let data = folder.path().join("data");
        let mut command = file_kibibytes_max.map_or_else(bare, bare_on_full_disk);
        let mut child = command
            .args(["up", "--json", "--until-stdin-ends", "--listen", &listen, "--local", &local])
            .arg("--data")
            .arg(&data)
            .args(&flags)
            .env("COMITY_WORK_BITS", work_bits.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(folder.path()))
            .spawn()
            .expect("the program starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
            let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            panic!("the node is not ready: {line}{said}");
        });
        Self { folder, flags, file_kibibytes_max, work_bits, child, stdin, ready }
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("log of the node at {}:\n{log}", self.ready["url"]);
        }
    }
}

fn log(folder: &Path) -> File {
    File::options().create(true).append(true).open(folder.join("log")).unwrap()
}

/// Starts two nodes with an agent each, the second one's operator having allowed the first agent:
/// `(a, aria, b, bruno)`.
pub(crate) fn start_demo_pair() -> (TestNode, Value, TestNode, Value) {
    let (a, b) = (TestNode::start(), TestNode::start());
    let (aria, bruno) = (a.add("aria"), b.add("bruno"));
    b.admin("POST", "/admin/agents/bruno/allow", Some(json!({ "who": aria["did"] })));
    (a, aria, b, bruno)
}
