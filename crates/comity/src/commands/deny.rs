//! `comity deny`: keeps somebody's messages out.

pub(crate) use super::decide::Args;

use super::{Context, decide};
use crate::error::CliError;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    decide::run("deny", args, context).await
}
