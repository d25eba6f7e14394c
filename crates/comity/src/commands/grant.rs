//! `comity grant`: signed tokens by which an agent gives others access to itself, and what it was given.

mod text;

use std::{fs, io::Read as _};

use comity_core::{
    api::{AddGrant, GiveGrant, GrantInfo, HandOnGrant, RevokeGrant},
    trust::Level,
};

use super::{Context, decide::parse_date};
use crate::{client::encode, error::CliError, limits::GRANT_FILE_BYTES_MAX};

/// Arguments of `comity grant`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give somebody access to an agent; it is sent to them, and carried by their messages from then on
    Give(Terms),
    /// Hand on a part of what an agent was given
    HandOn {
        /// The grant, as comity grant list names it: its id, or how that begins
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        give: Terms,
    },
    /// Take a grant back, and all that was handed on of it
    Revoke {
        /// The grant, as comity grant list names it: its id, or how that begins
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// The agent that gave it or handed it on
        #[arg(long = "as", value_name = "NAME")]
        name: String,
    },
    /// Keep a grant that came by other means
    Add {
        /// File with its tokens, the first one first; `-` for standard input
        file: String,
        /// The agent to which it was given
        #[arg(long = "as", value_name = "NAME")]
        name: String,
    },
    /// List what an agent has given and handed on, and what it holds
    List {
        /// The agent
        #[arg(long = "as", value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Terms {
    /// To whom: a DID, a handle NAME@HOST, or the link of their invitation
    who: String,
    /// The agent whose it is
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Only for this protocol, named by its URI without the message name; can be repeated
    #[arg(long = "for", value_name = "PIURI")]
    protocols: Vec<String>,
    /// How far they may go: introduced, message, task or execute; else as far as the protocols named with --for need,
    /// or as the grant that is handed on
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Until when: 2027-01-31, or RFC 3339; else 30 days, or until the grant that is handed on ends
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    until: Option<String>,
    /// How many messages they may send in a day, together with those to whom they hand it on
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// How many bytes they may send in a day
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// How many of their tasks may be open
    #[arg(long, value_name = "N")]
    tasks: Option<u64>,
    /// How often it may be handed on, 0 to 3
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    depth: u8,
    /// What they are told besides
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Print the tokens instead of sending them; the other side takes them with comity grant add
    #[arg(long)]
    print: bool,
}

impl Terms {
    fn wish(&self) -> GiveGrant {
        GiveGrant {
            who: self.who.clone(),
            protocols: self.protocols.clone(),
            level: self.level.map(|level| level.to_string()),
            until: self.until.clone(),
            messages_per_day: self.messages,
            bytes_per_day: self.bytes,
            tasks_open: self.tasks,
            depth: self.depth,
            comment: self.comment.clone(),
            unsent: self.print,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (client, output) = (context.client()?, &context.output);
    match args.command {
        Command::Give(give) => {
            let grant: GrantInfo = client.post(&path(&give.name, ""), &give.wish()).await?;
            output.object(&grant, || text::given(&grant, give.print))
        }
        Command::HandOn { id, give } => {
            let request = HandOnGrant { id, give: give.wish() };
            let grant: GrantInfo = client.post(&path(&give.name, "/hand-on"), &request).await?;
            output.object(&grant, || text::given(&grant, give.print))
        }
        Command::Revoke { id, name } => {
            let request = RevokeGrant { id };
            let grant: GrantInfo = client.post(&path(&name, "/revoke"), &request).await?;
            output.object(&grant, || text::revoked(&grant))
        }
        Command::Add { file, name } => {
            let request = AddGrant { chain: read(&file)? };
            let grant: GrantInfo = client.post(&path(&name, "/add"), &request).await?;
            output.object(&grant, || text::lines(std::slice::from_ref(&grant)))
        }
        Command::List { name } => {
            let grants: Vec<GrantInfo> = client.get(&path(&name, "")).await?;
            if output.is_json() {
                return grants.iter().try_for_each(|grant| output.object(grant, String::new));
            }
            if grants.is_empty() {
                return output.remark("Nothing was given, and nothing is held. To give access: comity grant give WHO --as NAME");
            }
            output.remark(&text::lines(&grants))
        }
    }
}

fn path(agent: &str, rest: &str) -> String {
    format!("/admin/agents/{}/grants{rest}", encode(agent))
}

fn read(file: &str) -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::config("file.unreadable", format!("{file} cannot be read"))
            .why(error)
            .hint("Give the file that comity grant give --print wrote, or - for standard input")
    };
    let mut text = String::new();
    // What is longer is no grant, and is not read.
    let max = GRANT_FILE_BYTES_MAX;
    match file {
        "-" => std::io::stdin().lock().take(max).read_to_string(&mut text),
        _ => fs::File::open(file).and_then(|file| file.take(max).read_to_string(&mut text)),
    }
    .map_err(unreadable)?;
    Ok(text)
}
