//! `comity contacts`: whose messages an agent lets in, with which keys, and what to do when these change.

use comity_core::api::{ApproveKeys, ContactInfo};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity contacts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent whose contacts they are
    #[arg(long = "as", value_name = "NAME", global = true, default_value = "")]
    name: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take the keys with which a contact came as its own, after asking it by other means
    Approve {
        /// Whose: a DID or a handle NAME@HOST
        who: String,
        /// A key that is meant, as comity contacts --json shows it; can be repeated. Without it, those with which it
        /// came last
        #[arg(long = "key", value_name = "DIGEST")]
        keys: Vec<String>,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if args.name.is_empty() {
        return Err(CliError::usage("argument", "Whose contacts is not said")
            .hint("Name the agent: --as NAME; comity agent list shows them"));
    }
    let path = format!("/admin/agents/{}/contacts", encode(&args.name));
    let output = &context.output;
    if let Some(Command::Approve { who, keys }) = args.command {
        let approve = ApproveKeys { who, keys };
        let contact: ContactInfo =
            context.client()?.post(&format!("{path}/approve"), &approve).await?;
        return output.object(&contact, || columns(&[row(&contact)]));
    }
    let contacts: Vec<ContactInfo> = context.client()?.get(&path).await?;
    if output.is_json() {
        return contacts.iter().try_for_each(|contact| output.object(contact, String::new));
    }
    if contacts.is_empty() {
        return output.remark("There are no contacts yet");
    }
    output.remark(&columns(&contacts.iter().map(row).collect::<Vec<_>>()))
}

fn row(contact: &ContactInfo) -> Vec<String> {
    let state = match &contact.changed_at {
        Some(at) => format!("OTHER KEYS since {at}: comity contacts approve"),
        None if contact.keys.is_empty() => "keys told by the DID".to_owned(),
        None => format!("{} keys pinned", contact.keys.len()),
    };
    vec![
        escape(&contact.did),
        format!("since {}", contact.since),
        format!("{} processed", contact.processed),
        state,
    ]
}
