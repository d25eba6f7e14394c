//! `comity trace`: the delivery ladder of one message.

use std::fmt::Write as _;

use comity_core::{
    api::{Trace, TraceState, Working},
    receipt::State,
};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{Output, Style, escape},
};

/// Arguments of `comity trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of the message
    id: String,
    /// Only as this agent of the node knows it
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let traces: Vec<Trace> = match &args.name {
        Some(name) => vec![client.agent(name)?.trace(&args.id, None).await?],
        None => client.get(&format!("/admin/trace/{}", encode(&args.id))).await?,
    };
    if traces.is_empty() {
        return Err(CliError::usage(
            "trace.unknown",
            "No agent of this node knows a message with this id",
        )
        .hint("Look the id up where the message was sent: comity send prints it"));
    }
    let output = &context.output;
    traces.iter().try_for_each(|trace| output.object(trace, || describe(output, trace)))
}

fn describe(output: &Output, trace: &Trace) -> String {
    let mut text = format!("{}\n", output.paint(Style::Bold, &escape(&trace.id)));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  from {}\n  to   {}", escape(&trace.from), escape(&trace.to));
    if let Some(via) = &trace.via {
        let _ = writeln!(text, "  via  {}{}", escape(via), describe_wait(trace));
    }
    for rung in &trace.states {
        let _ = writeln!(text, "  {}", describe_rung(output, rung));
    }
    if let Some(working) = trace.working {
        let _ = writeln!(text, "  {}", describe_work(working));
    }
    text.trim_end().to_owned()
}

/// Says which puzzle the sender's node is solving, in one line.
pub(super) fn describe_work(working: Working) -> String {
    format!("solving a puzzle of {} bits, {} %", working.bits, working.percent)
}

/// Says what a mediator in between means, as long as the recipient's home has said nothing.
fn describe_wait(trace: &Trace) -> &'static str {
    let is_queued = trace.states.iter().all(|rung| rung.state == State::Queued.as_str());
    if is_queued { "  keeps it until the recipient's node fetches it" } else { "" }
}

fn describe_rung(output: &Output, rung: &TraceState) -> String {
    let style = match rung.state.parse() {
        Ok(State::Processed) => Style::Good,
        Ok(State::Refused | State::Expired) => Style::Bad,
        _ => Style::Bold,
    };
    let state = output.paint(style, &format!("{:<10}", escape(&rung.state)));
    let mut text = format!("{state} {}  by {}", escape(&rung.at), escape(&rung.by));
    if let Some(index) = rung.log_index {
        let _ = write!(text, "  log entry {index}");
    }
    if rung.pending {
        text.push_str("  waits for the recipient's operator");
    }
    if let Some(code) = &rung.code {
        let _ = write!(text, "  {}", escape(code));
    }
    if let Some(reason) = &rung.reason {
        let _ = write!(text, "  {}", escape(reason));
    }
    text
}
