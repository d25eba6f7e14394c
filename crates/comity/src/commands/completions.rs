//! `comity completions`: what a shell needs to complete the commands.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    error::{CliError, Kind},
};

/// Arguments of `comity completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<(), CliError> {
    // Into memory first: the generator panics when its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "comity", &mut script);
    io::Write::write_all(&mut io::stdout(), &script)
        // Nobody listens any more.
        .map_err(|_| CliError::told(Kind::Fault))
}
