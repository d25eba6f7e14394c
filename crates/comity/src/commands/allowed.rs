//! `comity allowed`: what was decided about whom.

use super::{Context, decide};
use crate::error::CliError;

/// Arguments of `comity allowed`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent whose list it is
    #[arg(long = "as", value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let relations = context.client()?.relations(&args.name, "allowed").await?;
    decide::list(
        &relations,
        "Nobody is allowed yet. See who asks: comity requests --as NAME",
        context,
    )
}
