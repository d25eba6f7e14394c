//! `comity up`: runs the node until it is told to stop.
//!
//! Everything the node does is in `comity-node`; here are its logs, its signals and what it says when it is ready.

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::PathBuf,
};

use comity_node::{
    Config, ConfigError, Node, Ready, StartError,
    config::{NodeDid, Overrides},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::Context;
use crate::{
    error::{CliError, Kind},
    output::{Output, Style, columns},
};

/// Exit code after a second signal, which does not wait: that of a shell for an interrupted program.
const INTERRUPTED: i32 = 130;

/// Environment variable that says what is logged, as `info` or `comity_node=debug,warn`.
const LOG: &str = "COMITY_LOG";

/// Environment variable that names the configuration file when `--config` does not.
const CONFIG: &str = "COMITY_CONFIG";

/// Arguments of `comity up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Settings come from the file, then the environment (COMITY_LISTEN, ..), then these flags, each above the one before. \
Logs go to standard error; COMITY_LOG says how much, as info or debug.")]
pub(crate) struct Args {
    /// Where peers reach the node; 127.0.0.1:7700 when nothing says otherwise, port 0 takes a free one
    #[arg(long, value_name = "A:P")]
    listen: Option<SocketAddr>,
    /// Where agents and the operator reach the node; 127.0.0.1:7701 when nothing says otherwise
    #[arg(long, value_name = "A:P")]
    local: Option<SocketAddr>,
    /// The address that peers see, when a proxy stands before the node; part of the agents' names, so choose
    /// it for good
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Which kind of DID a new node gets under its public address: `web`, which it gets when nothing says
    /// otherwise, or `webvh`, which keeps a signed history of its keys; choose it for good
    #[arg(long, value_name = "METHOD", conflicts_with = "via")]
    node_did: Option<NodeDid>,
    /// The relay that keeps this node's messages, when peers cannot reach it: a DID, the URL of a node, or an
    /// invitation; there is no public listener then
    #[arg(long, value_name = "RELAY", conflicts_with = "public_url")]
    via: Option<String>,
    /// Allow http and loopback addresses of other nodes; for one machine, never for a public address
    #[arg(long)]
    dev: bool,
    /// Hold messages for agents and homes that cannot be reached: be a DIDComm mediator. Who may register is the
    /// setting `relay_register`: whoever has an invitation, and with --dev everybody
    #[arg(long)]
    relay: bool,
    /// Begin another log: for a data directory that was restored from an old copy. Counterparties take notice
    #[arg(long)]
    new_log: bool,
    /// Configuration file; else $COMITY_CONFIG, else `comity.toml` in the data directory if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop when standard input ends, so that a node does not outlive the program that started it
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    start_logs()?;
    let mut stop = Stop::listen(args.until_stdin_ends)?;
    let file = args
        .config
        .or_else(|| std::env::var_os(CONFIG).filter(|value| !value.is_empty()).map(PathBuf::from));
    let overrides = Overrides {
        listen: args.listen,
        local: args.local,
        node_did: args.node_did,
        public_url: args.public_url,
        via: args.via,
        dev: args.dev.then_some(true),
        relay: args.relay.then_some(true),
        data: Some(context.data.clone()),
        ..Overrides::default()
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config =
        Config::load(file.as_deref(), environment, overrides).map_err(|error| of_config(&error))?;
    config.ledger.begin_anew = args.new_log;
    let node = Node::start(config).await.map_err(|error| of_start(&error))?;
    say_ready(node.ready(), context)?;

    stop.asked().await;
    tokio::select! {
        () = node.stop() => Ok(()),
        // Whoever asks again does not want to wait; what is on the disk is safe.
        () = stop.asked_by_signal() => std::process::exit(INTERRUPTED),
    }
}

/// What can tell the node to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    stdin_end: oneshot::Receiver<()>,
    /// Kept, unused, where standard input says nothing: a dropped sender would read as its end.
    _quiet: Option<oneshot::Sender<()>>,
}

impl Stop {
    fn listen(until_stdin_ends: bool) -> Result<Self, CliError> {
        let (ended, stdin_end) = oneshot::channel();
        let quiet = if until_stdin_ends {
            std::thread::spawn(move || {
                // An error is an end too.
                drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
                drop(ended);
            });
            None
        } else {
            Some(ended)
        };
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CliError::fault("signals", "Signals cannot be listened to").why(error)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            stdin_end,
            _quiet: quiet,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = &mut self.stdin_end => {}
        }
    }

    async fn asked_by_signal(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn start_logs() -> Result<(), CliError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(LOG)
        .from_env()
        .map_err(|error| {
            CliError::config("log", format!("{LOG} cannot be understood"))
                .why(error)
                .hint("Write info, debug, or comity_node=debug,warn")
        })?;
    let is_terminal = io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal);
    let started = if is_terminal { logs.try_init() } else { logs.compact().try_init() };
    started.map_err(|error| CliError::fault("log", "Logs cannot be started").why(error))
}

fn say_ready(ready: &Ready, context: &Context) -> Result<(), CliError> {
    let output = &context.output;
    output.object(ready, || describe(output, ready, &context.data.display().to_string()))
}

fn describe(output: &Output, ready: &Ready, data: &str) -> String {
    let rows = [
        ["  did", &ready.did],
        ["  peers reach it at", &ready.url],
        ["  agents reach it at", &ready.local],
        ["  data", data],
    ];
    format!(
        "{}\n{}\nNext, in another terminal:\n  comity agent add NAME --data {data}",
        output.paint(Style::Good, "The node is ready."),
        columns(&rows.map(|row| row.map(ToOwned::to_owned).to_vec())),
    )
}

fn of_config(error: &ConfigError) -> CliError {
    CliError::config("config", error.to_string()).hint(error.hint())
}

fn of_start(error: &StartError) -> CliError {
    let kind = if error.is_config() { Kind::Config } else { Kind::Fault };
    CliError::new(kind, "start", error.to_string()).hint(error.hint())
}
