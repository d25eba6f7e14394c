//! `comity forget`: erases the texts of messages that are kept for evidence.

use comity_core::api::{Forget, Forgotten};

use super::Context;
use crate::{client::encode, error::CliError};

/// Arguments of `comity forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The text and the salt of its digest are erased: the log still verifies, and nobody can tell from it what the message \
was. What the other side keeps is theirs.

Example: comity forget --as bruno --thread 0198c7d4")]
pub(crate) struct Args {
    /// The message, by its id
    #[arg(required_unless_present_any = ["thread", "with"], allow_hyphen_values = true)]
    id: Option<String>,
    /// The agent
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// All messages of a thread
    #[arg(long, value_name = "THID", conflicts_with_all = ["id", "with"])]
    thread: Option<String>,
    /// All messages from and to somebody: a DID or a handle NAME@HOST
    #[arg(long, value_name = "WHO", conflicts_with = "id")]
    with: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { id, name, thread, with } = args;
    let path = format!("/admin/agents/{}/forget", encode(&name));
    let forgotten: Forgotten = context.client()?.post(&path, &Forget { id, thread, with }).await?;
    context.output.object(&forgotten, || match forgotten.erased {
        0 => "There was nothing to erase".to_owned(),
        1 => "One text is erased; the log still verifies".to_owned(),
        erased => format!("{erased} texts are erased; the log still verifies"),
    })
}
