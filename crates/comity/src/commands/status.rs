//! `comity status`: counts of the running node.

use comity_core::api::{Status, WebhookStatus};

use super::Context;
use crate::{
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<(), CliError> {
    let status: Status = context.client()?.get("/admin/status").await?;
    context.output.object(&status, || describe(&status))
}

fn describe(status: &Status) -> String {
    let mut rows = vec![
        ("node", status.did.clone()),
        ("url", status.url.clone()),
        ("version", status.version.clone()),
        ("up for", format!("{} s", status.uptime_s)),
        ("agents", format!("{}, {} connected", status.agents, status.sockets)),
        ("in mailboxes", status.mailbox_messages.to_string()),
        ("requests", format!("{} wait for you", status.requests_pending)),
        ("to be sent", status.outbox_messages.to_string()),
        ("unreachable peers", status.peers_unreachable.to_string()),
        ("log", format!("{} entries, root {}", status.log_size, status.log_root)),
        ("store", mebibytes(status.store_bytes)),
        ("memory", mebibytes(status.rss_bytes)),
        ("cpu", format!("{} ms", status.cpu_us / 1000)),
    ];
    if let Some(webhook) = &status.webhook {
        rows.push(("webhook", describe_webhook(webhook)));
    }
    if let Some(relay) = &status.relay {
        let held = format!("{} messages, {}", relay.messages, mebibytes(relay.bytes));
        let registered = format!(
            "{} registrants, {} connected (register: {})",
            relay.registrants, relay.live, relay.register
        );
        rows.extend([("relay holds", held), ("relay serves", registered)]);
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    columns(&rows)
}

fn describe_webhook(webhook: &WebhookStatus) -> String {
    let WebhookStatus { origin, state, trouble, since, waiting, given_up } = webhook;
    let mut text = format!("{}, {}, {waiting} wait", escape(origin), escape(state));
    if !trouble.is_empty() {
        text = format!("{text}: {}", escape(trouble));
    }
    if let Some(since) = since {
        text = format!("{text}, since {}", escape(since));
    }
    if 0 < *given_up {
        text = format!("{text}; {given_up} left out");
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
