//! A node as a child process, for the demo and the bench: started on free ports, killed, started again on the same
//! ones.
//!
//! A child never outlives this process: it is killed when dropped, and stops by itself when its standard input ends.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use comity_node::Ready;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    client::Client,
    error::CliError,
    limits::{START_MAX, STOP_MAX},
};

/// Longest line that a node says when it is ready, in bytes.
const READY_BYTES_MAX: u64 = 64 * 1024;

/// A free port of this machine, reachable from nowhere else.
const ANY_PORT: &str = "127.0.0.1:0";

/// A node that runs as a child of this process, or did.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    data: PathBuf,
    extra: Vec<String>,
    child: Child,
    ready: Ready,
    start_took: Duration,
}

impl NodeProcess {
    /// Starts a node on free ports, with a new data directory, and waits until it is ready.
    pub(crate) async fn start(data: &Path) -> Result<Self, CliError> {
        Self::start_with(data, &[]).await
    }

    /// The same with further arguments of `comity up`, also whenever it is started again.
    pub(crate) async fn start_with(data: &Path, extra: &[&str]) -> Result<Self, CliError> {
        fs::create_dir_all(data).map_err(|error| {
            CliError::config("data", format!("{} cannot be made", data.display())).why(error)
        })?;
        let extra = extra.iter().map(|&argument| argument.to_owned()).collect();
        Self::spawn(data, extra, ANY_PORT, ANY_PORT).await
    }

    /// Starts it again, where it was.
    pub(crate) async fn restart(&mut self) -> Result<(), CliError> {
        let [listen, local] = [&self.ready.url, &self.ready.local].map(|url| {
            let port = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
            // A node behind a relay has no public listener.
            if url.starts_with("http") { format!("127.0.0.1:{port}") } else { ANY_PORT.to_owned() }
        });
        *self = Self::spawn(&self.data, self.extra.clone(), &listen, &local).await?;
        Ok(())
    }

    /// Starts it again with a further argument, this once.
    pub(crate) async fn restart_with(&mut self, argument: &str) -> Result<(), CliError> {
        let extra = self.extra.clone();
        self.extra.push(argument.to_owned());
        let started = self.restart().await;
        self.extra = extra;
        started
    }

    /// Copies the data of a node that does not run, for [`Self::put_back`].
    pub(crate) fn copy(&self) -> Result<(), CliError> {
        copy_folder(&self.data, &self.data.with_extension("copy")).map_err(|error| {
            CliError::config("data", "The data of a node cannot be copied").why(error)
        })
    }

    /// Puts the copy in the place of the data of a node that does not run.
    pub(crate) fn put_back(&self) -> Result<(), CliError> {
        let copy = self.data.with_extension("copy");
        let put = fs::rename(&self.data, self.data.with_extension("former"))
            .and_then(|()| fs::rename(copy, &self.data));
        put.map_err(|error| CliError::config("data", "A copy cannot be put back").why(error))
    }

    /// Kills it as a power cut would: SIGKILL, no time for anything.
    pub(crate) async fn kill(&mut self) -> Result<(), CliError> {
        self.child
            .kill()
            .await
            .map_err(|error| CliError::fault("node.kill", "A node cannot be killed").why(error))
    }

    /// Stops it in good order; an error if it did not end well.
    pub(crate) async fn stop(&mut self) -> Result<(), CliError> {
        // The end of its standard input is its sign.
        drop(self.child.stdin.take());
        let failed = CliError::fault("node.stop", "A node did not stop in good order");
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed.why(status)),
            Ok(Err(error)) => Err(failed.why(error)),
            Err(_) => Err(failed.why(format!("it still runs after {} s", STOP_MAX.as_secs()))),
        }
    }

    /// Returns a client with the operator's rights.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        Client::find(&self.data)
    }

    /// Returns what it said when it was ready.
    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Returns how long the last start took.
    pub(crate) fn start_took(&self) -> Duration {
        self.start_took
    }

    async fn spawn(
        data: &Path,
        extra: Vec<String>,
        listen: &str,
        local: &str,
    ) -> Result<Self, CliError> {
        let log = data.with_extension("log");
        let log_file = File::options().create(true).append(true).open(&log);
        let started = Instant::now();
        let mut child = command(data, listen, local)
            .and_then(|mut command| command.args(&extra).stderr(log_file?).spawn())
            .map_err(|error| {
                CliError::fault("node.start", "A node cannot be started").why(error)
            })?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout.take(READY_BYTES_MAX));
            // What is missing in the line says all that an error here could.
            drop(timeout(START_MAX, stdout.read_line(&mut line)).await);
        }
        let start_took = started.elapsed();
        let ready = serde_json::from_str(&line).map_err(|_| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().next_back().unwrap_or("it said nothing").to_owned();
            CliError::fault("node.start", "A node did not become ready")
                .why(format!("{}{last}", line.trim_end()))
        })?;
        Ok(Self { data: data.to_owned(), extra, child, ready, start_took })
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn command(data: &Path, listen: &str, local: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["up", "--json", "--dev", "--until-stdin-ends"])
        .args(["--listen", listen, "--local", local, "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    // Settings of the caller's own node are not meant for these.
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        name.to_str().is_some_and(|name| name.starts_with("COMITY_") && name != "COMITY_LOG")
    });
    for name in ours {
        command.env_remove(name);
    }
    Ok(command)
}
