//! `comity requests`: who waits for the operator's decision.

use super::{Context, decide};
use crate::error::CliError;

/// Arguments of `comity requests`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent whose list it is
    #[arg(long = "as", value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let relations = context.client()?.relations(&args.name, "requests").await?;
    decide::list(&relations, "Nobody waits for a decision", context)
}
