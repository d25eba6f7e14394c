//! `comity`, the binary: command line, node runner, demonstration and measurement.
//!
//! Parses, dispatches and turns the outcome into an exit code. Holds no protocol logic: `up` runs `comity-node`, every
//! other command talks to a running node over its local listener.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod cli;
mod client;
mod commands;
mod data_dir;
mod error;
mod folder;
mod limits;
mod node_process;
mod output;

use std::{ffi::OsStr, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};

use crate::{
    cli::{Cli, Command},
    commands::Context,
    error::CliError,
    output::{Format, Output},
};

/// Messages are many small allocations across threads, at which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    let output = Output::detect(if cli.json { Format::Json } else { Format::Human });
    match run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn run(cli: Cli, output: &Output) -> Result<(), CliError> {
    let context = Context { data: data_dir::choose(cli.data)?, output: *output };
    // Only what carries load is worth more than one thread.
    let mut builder = match cli.command {
        Command::Bench(_) | Command::Demo(_) | Command::Up(_) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(|error| {
        CliError::fault("runtime", "The program cannot start its threads")
            .why(error)
            .hint("Look at the limits on processes and open files: ulimit -a")
    })?;
    let outcome = runtime.block_on(commands::run(cli.command, &context));
    // A thread that still waits for standard input must not keep the program.
    runtime.shutdown_background();
    outcome
}

/// Says what is wrong with the arguments. Help and version are what was asked for, so they succeed.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nobody is left to be told when standard output is closed.
        drop(error.print());
        return ExitCode::SUCCESS;
    }
    let usage = CliError::usage_of(error);
    if std::env::args_os().any(|argument| argument == OsStr::new("--json")) {
        Output::detect(Format::Json).error(&usage);
    } else {
        drop(error.print());
    }
    ExitCode::from(usage.kind.exit_code())
}
