//! `comity vouch`: asks for vouches, gives them, shows them and takes them back.

use comity_core::api::{AskVouch, GiveVouch, RevokeVouch, SendAnswer, VouchInfo};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity vouch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent for or by whom they are
    #[arg(long = "as", value_name = "NAME", global = true, default_value = "")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Ask somebody to vouch for the agent
    Ask {
        /// Whom: a DID or a handle NAME@HOST
        who: String,
        /// For these protocols; else for all
        #[arg(long = "for", value_name = "PIURI")]
        protocols: Vec<String>,
        /// So far: introduced, message, task or execute
        #[arg(long, default_value = "message")]
        level: String,
        /// Why, for whoever decides
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Vouch for somebody in the agent's name
    Give {
        /// For whom: a DID or a handle NAME@HOST
        who: String,
        /// For these protocols; else for all
        #[arg(long = "for", value_name = "PIURI")]
        protocols: Vec<String>,
        /// So far: introduced, message, task or execute
        #[arg(long, default_value = "message")]
        level: String,
        /// How many steps their own vouches count on the strength of this one, 0 to 3; else 2 up to the level message,
        /// and 0 beyond
        #[arg(long)]
        depth: Option<u8>,
        /// For how many days, 1 to 90
        #[arg(long, default_value_t = 90)]
        days: u64,
        /// The thread of the request that it answers
        #[arg(long, value_name = "THID")]
        thread: Option<String>,
        /// What to add for people
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// List the vouches that the agent gives and holds
    List,
    /// Show one, with its text
    Show {
        /// Its name, as comity vouch list shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Take one back; those who asked about it are told
    Revoke {
        /// Its name, as comity vouch list shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if args.name.is_empty() {
        return Err(CliError::usage("argument", "Whose vouches is not said")
            .hint("Name the agent: --as NAME; comity agent list shows them"));
    }
    let path = format!("/admin/agents/{}/vouches", encode(&args.name));
    let (client, output) = (context.client()?, &context.output);
    match args.command {
        Command::Ask { who, protocols, level, comment } => {
            let ask = AskVouch { who, protocols, level: Some(level), comment };
            let asked: SendAnswer = client.post(&format!("{path}/ask"), &ask).await?;
            output.object(&asked, || format!("asked, in thread {}", escape(&asked.thid)))
        }
        Command::Give { who, protocols, level, depth, days, thread, comment } => {
            let (level, days) = (Some(level), Some(days));
            let give = GiveVouch { who, protocols, level, depth, days, thid: thread, comment };
            let given: VouchInfo = client.post(&path, &give).await?;
            output.object(&given, || columns(&[row(&given)]))
        }
        Command::List => {
            let vouches: Vec<VouchInfo> = client.get(&path).await?;
            if output.is_json() {
                return vouches.iter().try_for_each(|vouch| output.object(vouch, String::new));
            }
            if vouches.is_empty() {
                return output.remark("There are no vouches yet");
            }
            output.remark(&columns(&vouches.iter().map(row).collect::<Vec<_>>()))
        }
        Command::Show { id } => {
            let vouch: VouchInfo = client.get(&format!("{path}/{}", encode(&id))).await?;
            output.object(&vouch, || text(&vouch))
        }
        Command::Revoke { id } => {
            let revoke = RevokeVouch { id };
            let vouch: VouchInfo = client.post(&format!("{path}/revoke"), &revoke).await?;
            output.object(&vouch, || columns(&[row(&vouch)]))
        }
    }
}

fn row(vouch: &VouchInfo) -> Vec<String> {
    let (word, peer) = match vouch.kind.as_str() {
        "given" => ("for", &vouch.vouched),
        _ => ("by", &vouch.voucher),
    };
    let state =
        if vouch.unasked { format!("{}, unasked", vouch.state) } else { vouch.state.clone() };
    vec![
        vouch.id.clone(),
        format!("{word} {}", escape(peer)),
        format!("{} +{}", vouch.level, vouch.depth),
        format!("until {}", vouch.until),
        state,
    ]
}

fn text(vouch: &VouchInfo) -> String {
    let scope = match vouch.protocols.is_empty() {
        true => "all protocols".to_owned(),
        false => escape(&vouch.protocols.join(", ")),
    };
    let mut lines = vec![
        format!("{} ({})", vouch.id, vouch.state),
        format!("  voucher   {}", escape(&vouch.voucher)),
        format!("  vouched   {}", escape(&vouch.vouched)),
        format!("  for       {scope}"),
        format!("  level     {}, passed on for {} more", vouch.level, vouch.depth),
        format!("  holds     {} to {}", vouch.from, vouch.until),
    ];
    lines.extend(vouch.revoked_at.iter().map(|at| format!("  revoked   {at}")));
    lines.extend(vouch.askers.iter().map(|count| format!("  asked by  {count}")));
    lines.extend(vouch.token.iter().map(|token| escape(token)));
    lines.join("\n")
}
