//! `comity revoke`: takes back what was allowed.

pub(crate) use super::decide::Args;

use super::{Context, decide};
use crate::error::CliError;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    decide::run("revoke", args, context).await
}
