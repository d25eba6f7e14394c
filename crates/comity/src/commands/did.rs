//! `comity did`: identities, as the node sees them.

use clap::Subcommand;
use comity_core::api::Resolved;

use super::Context;
use crate::{client::encode, error::CliError, output::escape};

/// Arguments of `comity did`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Look up a DID's document, or the DID and document behind a handle
    Resolve {
        /// A DID, or a handle NAME@HOST. A did:webvh may name a version: `DID?versionNumber=1`,
        /// `DID?versionTime=2026-01-01T00:00:00Z`, `DID?versionId=...`
        who: String,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Action::Resolve { who } = args.action;
    let client = context.client()?;
    let resolved: Resolved = client.get(&format!("/admin/resolve?who={}", encode(&who))).await?;
    context.output.object(&resolved, || describe(&resolved))
}

fn describe(resolved: &Resolved) -> String {
    // The document is a stranger's text; only its line breaks are ours.
    let document = serde_json::to_string_pretty(&resolved.document).unwrap_or_default();
    let lines: Vec<_> = document.lines().map(escape).collect();
    let version = resolved.metadata.as_ref().and_then(|known| known["versionId"].as_str());
    let version = version.map(|id| format!("\nversion {}", escape(id))).unwrap_or_default();
    format!("{}{version}\n{}", escape(&resolved.did), lines.join("\n"))
}
