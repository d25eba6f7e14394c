//! `comity inbox`: what has come for an agent. Looks without taking, unless told to acknowledge.

use std::time::Duration;

use comity_core::api::{Delivery, Disposition};

use super::Context;
use crate::{
    client::{AgentClient, Look},
    error::CliError,
    limits::POLL_MAX,
    output::{Output, Style, escape},
};

/// Messages that are shown when no number is named.
const LIMIT_DEFAULT: usize = 50;
/// Messages that are asked for at once; the node gives no more.
const PAGE_MAX: usize = 64;

/// Arguments of `comity inbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent whose inbox it is
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Go on and show what comes
    #[arg(long)]
    follow: bool,
    /// Show at most so many; 50 without --follow, else no end
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Acknowledge what was shown: it leaves the inbox and its sender learns that it is processed
    #[arg(long)]
    ack: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let agent = client.agent(&args.name)?;
    let look = if args.ack { Look::Take } else { Look::Peek };
    let wait = if args.follow { POLL_MAX } else { Duration::ZERO };
    let mut left = args.limit.unwrap_or(if args.follow { usize::MAX } else { LIMIT_DEFAULT });
    // Who only looks goes on after what was seen; what is acknowledged is gone anyway.
    let mut last = None;
    let mut shown = 0_usize;
    while 0 < left {
        let asked = left.min(PAGE_MAX);
        let page = agent.messages(look, last, asked, wait).await?;
        let is_last = page.len() < asked;
        for delivery in page {
            if look == Look::Peek {
                last = last.max(Some(delivery.delivery));
            }
            show(&context.output, &delivery)?;
            if args.ack {
                acknowledge(&agent, &delivery).await?;
            }
            shown += 1;
            left = left.saturating_sub(1);
        }
        if is_last && !args.follow {
            break;
        }
    }
    if shown == 0 {
        context.output.remark("The inbox is empty")?;
    }
    Ok(())
}

/// Acknowledges what has been written to standard output, so that a message which nobody saw stays.
async fn acknowledge(agent: &AgentClient, delivery: &Delivery) -> Result<(), CliError> {
    let ack = Disposition::Ack { deliveries: vec![delivery.delivery] };
    agent.settle(&ack).await.map(drop)
}

fn show(output: &Output, delivery: &Delivery) -> Result<(), CliError> {
    output.object(delivery, || describe(output, delivery))
}

/// Writes a delivery for a person: the verified facts first, then what the sender says, indented.
pub(crate) fn describe(output: &Output, delivery: &Delivery) -> String {
    let body = serde_json::to_string_pretty(&delivery.body).unwrap_or_default();
    let body: Vec<_> = body.lines().map(|line| format!("    {}", escape(line))).collect();
    format!(
        "{} {}\n  from {} (verified by {}, admitted by {})\n  id {}  thread {}  {}\n{}",
        output.paint(Style::Dim, &escape(&delivery.received_at)),
        output.paint(Style::Bold, &escape(&delivery.type_)),
        escape(&delivery.from),
        escape(&delivery.verified),
        escape(&delivery.admitted),
        escape(&delivery.id),
        escape(&delivery.thid),
        output.paint(Style::Dim, &format!("expires {}", escape(&delivery.expires_at))),
        body.join("\n"),
    )
}
