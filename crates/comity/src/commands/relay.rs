//! `comity relay`: who has messages kept at this node, and ending that.

use clap::Subcommand;
use comity_core::api::{EndRegistration, Registration};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{Output, columns, escape},
};

/// Arguments of `comity relay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List who is registered, at most 1000 at once
    List {
        /// Begin after this one
        #[arg(long, value_name = "DID")]
        after: Option<String>,
    },
    /// End a registration, and take no more messages for its DIDs
    ///
    /// What waits stays for these DIDs until it expires. Under the setting relay_register = "open",
    /// whoever was removed may register again.
    Remove {
        /// Who is registered
        did: String,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (client, output) = (context.client()?, &context.output);
    match args.action {
        Action::List { after } => {
            let after = after.map(|did| format!("?after={}", encode(&did))).unwrap_or_default();
            let path = format!("/admin/relay/registrations{after}");
            let registrations: Vec<Registration> = client.get(&path).await?;
            list(output, &registrations)
        }
        Action::Remove { did } => {
            let request = EndRegistration { did };
            let removed: Registration = client.post("/admin/relay/remove", &request).await?;
            output.object(&removed, || columns(&[row(&removed)]))
        }
    }
}

fn list(output: &Output, registrations: &[Registration]) -> Result<(), CliError> {
    if output.is_json() {
        return registrations.iter().try_for_each(|one| output.object(one, String::new));
    }
    if registrations.is_empty() {
        return output.remark("Nobody is registered. To invite somebody: comity invite --relay");
    }
    let rows: Vec<_> = registrations.iter().map(row).collect();
    output.remark(&columns(&rows))
}

fn row(one: &Registration) -> Vec<String> {
    vec![
        escape(&one.did),
        format!("{} DIDs", one.recipients),
        format!("{} messages", one.messages),
        format!("{} bytes", one.bytes),
        format!("used {}", one.used_at),
    ]
}
