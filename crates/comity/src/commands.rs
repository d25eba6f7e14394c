//! The commands, one a file. Each has its arguments first, then `run`, then how its result reads.

pub(crate) mod agent;
pub(crate) mod allow;
pub(crate) mod allowed;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod contacts;
pub(crate) mod decide;
pub(crate) mod demo;
pub(crate) mod deny;
pub(crate) mod did;
pub(crate) mod didcomm;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod forget;
pub(crate) mod grant;
pub(crate) mod inbox;
pub(crate) mod invite;
pub(crate) mod log;
pub(crate) mod outcome;
pub(crate) mod relay;
pub(crate) mod requests;
pub(crate) mod revoke;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod trace;
pub(crate) mod trust;
pub(crate) mod up;
pub(crate) mod vouch;

use std::path::PathBuf;

use crate::{cli::Command, client::Client, error::CliError, output::Output};

/// What is the same for every command of a run.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where results go.
    pub(crate) output: Output,
}

impl Context {
    /// Finds the running node.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        Client::find(&self.data)
    }
}

/// Runs one command.
pub(crate) async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Agent(args) => agent::run(args, context).await,
        Command::Allow(args) => allow::run(args, context).await,
        Command::Allowed(args) => allowed::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
        Command::Completions(args) => completions::run(&args),
        Command::Contacts(args) => contacts::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::Deny(args) => deny::run(args, context).await,
        Command::Did(args) => did::run(args, context).await,
        Command::Didcomm(args) => didcomm::run(args, context),
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Events(args) => events::run(args, context).await,
        Command::Evidence(args) => evidence::run(args, context).await,
        Command::Forget(args) => forget::run(args, context).await,
        Command::Grant(args) => grant::run(args, context).await,
        Command::Inbox(args) => inbox::run(args, context).await,
        Command::Invite(args) => invite::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Outcome(args) => outcome::run(args, context).await,
        Command::Relay(args) => relay::run(args, context).await,
        Command::Requests(args) => requests::run(args, context).await,
        Command::Revoke(args) => revoke::run(args, context).await,
        Command::Send(args) => send::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Trace(args) => trace::run(args, context).await,
        Command::Trust(args) => trust::run(args, context).await,
        Command::Up(args) => up::run(args, context).await,
        Command::Vouch(args) => vouch::run(args, context).await,
    }
}
