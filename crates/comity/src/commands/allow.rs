//! `comity allow`: lets somebody's messages in, from now on and the one that was held.

pub(crate) use super::decide::AllowArgs as Args;

use super::{Context, decide};
use crate::error::CliError;

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    decide::allow(args, context).await
}
