//! `comity log`: the node's log, what witnesses say of it, and the resources that it consists of.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_core::api::{LogResource, LogStatus, StatementInfo};
use comity_core::log::{Checkpoint, Resource, Tile};

use super::Context;
use crate::{
    client::{Client, encode},
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The log holds hashes only; what they are of stands in the statements, which evidence shows.

Example: comity log tail --as bruno")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the log's keys, who witnesses it, and whose logs this node witnesses
    Status,
    /// Print the latest checkpoint, a signed note with its cosignatures
    Head,
    /// Show an agent's last statements
    Tail {
        /// The agent
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        count: u64,
    },
    /// Write the log as files that any web server can serve (C2SP tlog-tiles)
    Tiles {
        /// Into this folder
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (client, output) = (context.client()?, &context.output);
    match args.command {
        Command::Status => {
            let status: LogStatus = client.get("/admin/log").await?;
            output.object(&status, || describe(&status))
        }
        Command::Head => {
            let content = resource(&client, &Resource::Checkpoint.to_string()).await?;
            let note = String::from_utf8_lossy(&content).into_owned();
            let head = serde_json::json!({ "checkpoint": note });
            output.object(&head, || note.trim_end().to_owned())
        }
        Command::Tail { name, count } => {
            let path = format!("/admin/agents/{}/statements?count={count}", encode(&name));
            let statements: Vec<StatementInfo> = client.get(&path).await?;
            if output.is_json() {
                return statements.iter().try_for_each(|one| output.object(one, String::new));
            }
            let lines: Vec<Vec<String>> = statements.iter().map(line).collect();
            output.remark(&columns(&lines))
        }
        Command::Tiles { output: folder } => {
            let (files, size) = tiles(&client, &folder).await?;
            let written = serde_json::json!({ "files": files, "size": size });
            output.object(&written, || {
                format!("{files} files of {size} entries are in {}", folder.display())
            })
        }
    }
}

/// Writes every resource of the log as it is now; what is full and there already stays.
async fn tiles(client: &Client, folder: &Path) -> Result<(usize, u64), CliError> {
    let note = resource(client, &Resource::Checkpoint.to_string()).await?;
    let text = String::from_utf8_lossy(&note).into_owned();
    let size = Checkpoint::parse(&text).map_or(0, |checkpoint| checkpoint.claimed().size);
    let mut files = 0;
    for level in 0..8 {
        for index in 0.. {
            let Some(tile) = Tile::of_log(level, index, size) else { break };
            let mut wanted = vec![Resource::Tile(tile)];
            if level == 0 {
                wanted.push(Resource::Entries { index, width: tile.width });
            }
            for wanted in wanted {
                let path = wanted.to_string();
                let file = folder.join(&path);
                if !file.exists() {
                    write(&file, &resource(client, &path).await?)?;
                }
                files += 1;
            }
        }
    }
    // Last, so that whoever reads it finds what it is of.
    write(&folder.join("checkpoint"), &note)?;
    Ok((files + 1, size))
}

async fn resource(client: &Client, path: &str) -> Result<Vec<u8>, CliError> {
    let path = format!("/admin/log/resource?path={}", encode(path));
    let resource: LogResource = client.get(&path).await?;
    STANDARD.decode(resource.content).map_err(|error| {
        CliError::fault("node.unclear", "The node's answer is not what this program expects")
            .why(error)
            .hint("Check that the program and the node have the same version")
    })
}

fn write(file: &Path, content: &[u8]) -> Result<(), CliError> {
    let parent = file.parent().unwrap_or(file);
    fs::create_dir_all(parent).and_then(|()| fs::write(file, content)).map_err(|error| {
        CliError::config("file.unwritable", format!("{} cannot be written", file.display()))
            .why(error)
            .hint("Name a folder that you may write to: --output DIR")
    })
}

fn describe(status: &LogStatus) -> String {
    let mut rows = vec![
        vec!["log".to_owned(), status.key.clone()],
        vec!["entries".to_owned(), status.size.to_string()],
        vec![
            "cosigned".to_owned(),
            format!("by {} of the witnesses, as it is now", status.cosignatures),
        ],
        vec!["as a witness".to_owned(), status.witness_key.clone()],
        vec!["read by".to_owned(), status.readers.clone()],
    ];
    for witness in &status.witnesses {
        let says = format!(
            "{}, up to {} entries, at {}",
            escape(&witness.key),
            witness.cosigned,
            escape(&witness.url)
        );
        rows.push(vec!["witness".to_owned(), says]);
    }
    for other in &status.others {
        let cosigned = match (other.cosigned, &other.cosigned_at) {
            (Some(size), Some(at)) => format!("cosigned up to {size} entries at {}", escape(at)),
            _ => "not cosigned yet".to_owned(),
        };
        rows.push(vec!["witnessed".to_owned(), format!("{}: {cosigned}", escape(&other.node))]);
        for wrong in &other.contradictions {
            let says =
                format!("{} at {}; both pieces: --json", escape(&wrong.finding), escape(&wrong.at));
            rows.push(vec!["CONTRADICTED".to_owned(), says]);
        }
    }
    columns(&rows)
}

fn line(info: &StatementInfo) -> Vec<String> {
    let text = |member: &str| {
        let value = info.statement.get(member).and_then(|value| value.as_str());
        escape(value.unwrap_or_default())
    };
    let kept = if info.kept { "kept" } else { "" };
    vec![
        info.seq.to_string(),
        format!("#{}", info.index),
        text("act"),
        text("id"),
        text("peer"),
        kept.to_owned(),
    ]
}
