//! `comity trust`: what an agent's policy says about somebody, and why.

use comity_core::api::Explained;

use super::Context;
use crate::{client::encode, error::CliError, output::escape};

/// Arguments of `comity trust`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what would become of somebody's message, why, and what would change it
    Explain {
        /// Whose message: a DID, a handle NAME@HOST, or the link of an invitation
        who: String,
        /// The agent whose policy is asked
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// For which protocol; else for basic messages
        #[arg(long = "for", value_name = "PIURI")]
        protocol: Option<String>,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Command::Explain { who, name, protocol } = args.command;
    let mut path = format!("/admin/agents/{}/explain?who={}", encode(&name), encode(&who));
    if let Some(protocol) = &protocol {
        path.push_str(&format!("&protocol={}", encode(protocol)));
    }
    let explained: Explained = context.client()?.get(&path).await?;
    context.output.object(&explained, || text(&explained))
}

fn text(explained: &Explained) -> String {
    let decision = match explained.ground.as_deref() {
        Some(ground) => format!("{} ({ground})", explained.decision),
        None => explained.decision.clone(),
    };
    let mut lines = vec![
        format!("{decision}: {}", escape(&explained.why)),
        format!("  who       {}", escape(&explained.did)),
        format!("  protocol  {}", escape(&explained.protocol)),
        format!("  level     {}, needed: {}", explained.level, explained.needed),
    ];
    let with = |title: &str, more: &[String], lines: &mut Vec<String>| {
        if !more.is_empty() {
            lines.push(title.to_owned());
            lines.extend(more.iter().map(|line| format!("  {}", escape(line))));
        }
    };
    with("What is known", &explained.known, &mut lines);
    with("What would change it", &explained.changes, &mut lines);
    lines.join("\n")
}
