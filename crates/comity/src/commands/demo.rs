//! `comity demo`: plays the whole story on this machine, over real sockets and real stores, and checks every step.
//!
//! Two organisations' nodes as child processes, an agent at each through the SDK; with `--relay` both behind a third
//! node that peers reach in their place. The story itself is in
//! `demo/play.rs`, what it is played on in `demo/stage.rs`; here is what the audience sees and the exit code.

mod crash;
mod dispute;
mod door;
mod play;
mod stage;
mod wait;

use std::{future::Future, path::PathBuf, time::Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Context;
use crate::{
    error::CliError,
    folder::Folder,
    output::{Output, Style},
};

/// Arguments of `comity demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the nodes' stores and logs in this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Play it with both nodes behind a relay: nobody can connect to them
    #[arg(long)]
    relay: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let folder = match args.keep {
        Some(path) => {
            Folder::keep(path).map_err(|error| error.hint("Name a new one with --keep"))?
        }
        None => Folder::pass().map_err(|error| error.hint("Name one with --keep DIR"))?,
    };
    let scene = if args.relay { Scene::Relayed } else { Scene::Direct };
    let mut show = Show::new(context.output);
    show.open(scene)?;
    let outcome = tokio::select! {
        outcome = play::play(folder.path(), scene, &mut show) => outcome,
        // Dropping the play kills the children and removes the folder.
        _ = tokio::signal::ctrl_c() => Err(CliError::usage("interrupted", "The demo was interrupted")),
    };
    show.close(outcome)
}

/// How the two nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Each posts to the other.
    Direct,
    /// Nobody can connect to either; a relay keeps their messages.
    Relayed,
}

/// One step, as `--json` tells it.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// What the audience sees.
struct Show {
    output: Output,
    started: Instant,
    steps: Vec<Step>,
}

impl Show {
    fn new(output: Output) -> Self {
        Self { output, started: Instant::now(), steps: Vec::new() }
    }

    fn open(&self, scene: Scene) -> Result<(), CliError> {
        let text = match scene {
            Scene::Direct => {
                "Two organisations on this machine: node A with the agent Aria, node B with the agent Bruno.\n"
            }
            Scene::Relayed => {
                "Two organisations on this machine, and a relay: nobody can connect to node A with the agent Aria, \
                 nor to node B with the agent Bruno.\n"
            }
        };
        self.output.remark(&self.output.paint(Style::Bold, text))
    }

    /// Plays one step. `act` checks what the step claims and returns what the next ones need, with a sentence about
    /// what was seen.
    async fn step<T>(
        &mut self,
        name: &'static str,
        act: impl Future<Output = Result<(T, String), CliError>>,
    ) -> Result<T, CliError> {
        let started = Instant::now();
        let outcome = act.await;
        let (ok, detail) = match &outcome {
            Ok((_, detail)) => (true, detail.clone()),
            Err(error) if error.why.is_empty() => (false, error.what.clone()),
            Err(error) => (false, format!("{}: {}", error.what, error.why)),
        };
        let mark = if ok {
            self.output.paint(Style::Good, "ok  ")
        } else {
            self.output.paint(Style::Bad, "FAIL")
        };
        let took = format!("{:.1} s", started.elapsed().as_secs_f64());
        self.output.remark(&format!(
            "{mark} {}  {}\n       {}",
            self.output.paint(Style::Bold, name),
            self.output.paint(Style::Dim, &took),
            crate::output::escape(&detail),
        ))?;
        self.steps.push(Step { name, ok, detail });
        outcome.map(|(value, _)| value)
    }

    fn close(self, outcome: Result<(), CliError>) -> Result<(), CliError> {
        let took = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let mut report = Map::new();
        report.insert("ok".to_owned(), json!(outcome.is_ok()));
        report.insert("steps".to_owned(), json!(self.steps));
        match outcome {
            Ok(()) => self.output.object(&Value::Object(report), || {
                let steps = self.steps.len();
                let all = self.output.paint(Style::Good, "Everything held");
                format!("\n{all}: {steps} steps in {took}.")
            }),
            Err(error) => {
                let error = if error.hint.is_empty() {
                    error.hint("Play it again with --keep DIR, and look at the nodes' logs there")
                } else {
                    error
                };
                Err(error.found(report))
            }
        }
    }
}
