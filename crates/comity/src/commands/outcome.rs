//! `comity outcome`: says with the other side how work ended, and counts what was said of others.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use comity_core::api::{
    AgreeOutcome, ImportedOutcomes, OutcomeFile, OutcomeInfo, OutcomeRecord, ProposeOutcome,
    ShowOutcomes, ShownOutcomes,
};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    limits::OUTCOME_FILE_BYTES_MAX,
    output::{columns, escape},
};

/// Arguments of `comity outcome`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Only what both sides have signed counts: propose says how work ended, and the other side agrees or does not answer.

Example: comity outcome propose 0198c7d4 --as bruno --ended accepted")]
pub(crate) struct Args {
    /// The agent whose work it is about, or who believes it
    #[arg(long = "as", value_name = "NAME", global = true, default_value = "")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say how a piece of work ended, for the other side to agree
    Propose {
        /// A message of the work by its id, or its thread
        about: String,
        /// With whom: a DID or a handle NAME@HOST; needed for a thread
        #[arg(long = "with", value_name = "WHO")]
        who: Option<String>,
        /// accepted, done, refused, disputed or expired
        #[arg(long, value_name = "WORD")]
        ended: String,
        /// Who worked, us or them; else whoever did not begin the thread
        #[arg(long, value_name = "SIDE")]
        worker: Option<String>,
        /// The protocol by which it was asked for; else that of the message
        #[arg(long, value_name = "PIURI")]
        protocol: Option<String>,
        /// What to add for people
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Agree to what the other side proposes
    Agree {
        /// Its name, as comity outcome list shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// List what is proposed, agreed and shown
    List,
    /// Count somebody's work, as far as the agent believes the clients
    Record {
        /// Whose: a DID or a handle NAME@HOST
        who: String,
    },
    /// Show somebody the newest outcomes of the agent's work
    Show {
        /// Whom: a DID or a handle NAME@HOST
        who: String,
    },
    /// Write the agent's outcomes, to carry them to another node
    Export {
        /// Into this file; else to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take outcomes that were exported elsewhere; each is verified
    Import {
        /// The file; - is standard input
        file: PathBuf,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if args.name.is_empty() {
        return Err(CliError::usage("argument", "Whose outcomes is not said")
            .hint("Name the agent: --as NAME; comity agent list shows them"));
    }
    let path = format!("/admin/agents/{}/outcomes", encode(&args.name));
    let (client, output) = (context.client()?, &context.output);
    match args.command {
        Command::Propose { about, who, ended, worker, protocol, comment } => {
            let wish = ProposeOutcome { about, who, ended, worker, protocol, comment };
            let info: OutcomeInfo = client.post(&path, &wish).await?;
            output.object(&info, || text(&info))
        }
        Command::Agree { id } => {
            let agree = AgreeOutcome { id };
            let info: OutcomeInfo = client.post(&format!("{path}/agree"), &agree).await?;
            output.object(&info, || text(&info))
        }
        Command::List => {
            let listed: Vec<OutcomeInfo> = client.get(&path).await?;
            if output.is_json() {
                return listed.iter().try_for_each(|info| output.object(info, String::new));
            }
            if listed.is_empty() {
                return output.remark("There are no outcomes yet");
            }
            let lines: Vec<_> = listed.iter().map(text).collect();
            output.remark(&lines.join("\n"))
        }
        Command::Record { who } => {
            let path = format!("{path}/record?who={}", encode(&who));
            let record: OutcomeRecord = client.get(&path).await?;
            output.object(&record, || describe(&record))
        }
        Command::Show { who } => {
            let show = ShowOutcomes { who };
            let shown: ShownOutcomes = client.post(&format!("{path}/show"), &show).await?;
            output.object(&shown, || {
                format!("outcomes on their way to {}: {}", escape(&shown.to), shown.outcomes)
            })
        }
        Command::Export { output: to } => {
            let file: OutcomeFile = client.get(&format!("{path}/export")).await?;
            match to {
                None => output.object(&file, || serde_json::json!(file).to_string()),
                Some(to) => {
                    write(&to, &file)?;
                    let (count, left_out) = (file.outcomes.len(), file.left_out);
                    let said =
                        serde_json::json!({ "file": to, "outcomes": count, "left_out": left_out });
                    output.object(&said, || {
                        let mut said =
                            format!("outcomes in {}: {count}", escape(&to.display().to_string()));
                        if 0 < left_out {
                            said.push_str(&format!("; {left_out} older ones did not fit"));
                        }
                        said
                    })
                }
            }
        }
        Command::Import { file } => {
            let file = read(&file)?;
            let imported: ImportedOutcomes = client.post(&format!("{path}/import"), &file).await?;
            output.object(&imported, || tell(&imported))
        }
    }
}

fn write(to: &Path, file: &OutcomeFile) -> Result<(), CliError> {
    let text = format!("{}\n", serde_json::json!(file));
    std::fs::write(to, text).map_err(|error| {
        CliError::config("file", format!("{} cannot be written: {error}", to.display()))
            .hint("Name another file: --output FILE")
    })
}

fn read(from: &Path) -> Result<OutcomeFile, CliError> {
    let unread = |error: std::io::Error| {
        CliError::config("file", format!("{} cannot be read: {error}", from.display()))
            .hint("Give a file that comity outcome export wrote")
    };
    let source: Box<dyn std::io::Read> = match from.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(from).map_err(unread)?),
    };
    let mut text = String::new();
    source.take(OUTCOME_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if OUTCOME_FILE_BYTES_MAX < text.len() as u64 {
        let title = format!("{} is larger than {OUTCOME_FILE_BYTES_MAX} bytes", from.display());
        return Err(CliError::usage("file", title)
            .hint("Give a file that comity outcome export wrote, or a part of its outcomes"));
    }
    serde_json::from_str(&text).map_err(|_| {
        CliError::usage("file", format!("{} holds no outcomes", from.display()))
            .hint("Give a file that comity outcome export wrote")
    })
}

fn text(info: &OutcomeInfo) -> String {
    let state = match info.state.as_str() {
        "ours" => "proposed, not agreed to yet",
        "theirs" => "WAITS FOR US: comity outcome agree",
        "shown" => "agreed by both, who are others",
        _ => "agreed by both",
    };
    let mut lines = vec![
        format!("{}  {}  {}", info.id, info.outcome, state),
        format!("  worker   {}", escape(&info.worker)),
        format!("  client   {}", escape(&info.client)),
        format!("  thread   {}, {}, {}", escape(&info.thid), escape(&info.protocol), info.at),
    ];
    lines.extend(info.comment.iter().map(|text| format!("  says     {}", escape(text))));
    lines.join("\n")
}

fn describe(record: &OutcomeRecord) -> String {
    let counts = [
        ("accepted", record.accepted),
        ("done", record.done),
        ("refused", record.refused),
        ("disputed", record.disputed),
        ("expired", record.expired),
    ];
    let counts: Vec<_> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    let mut lines = vec![
        escape(&record.did),
        format!("  counted   {}", counts.join(", ")),
        format!("  standing  {:.2} of the vouches for it", record.standing),
    ];
    if record.evidence.is_empty() {
        lines.push("  nothing is known of its work".to_owned());
    }
    let row = |evidence: &comity_core::api::Evidence| {
        let outcome = &evidence.outcome;
        vec![
            format!("  {}", outcome.id),
            outcome.outcome.clone(),
            format!("counts {}", evidence.weight),
            outcome.at.clone(),
            format!("for {}", escape(&outcome.client)),
        ]
    };
    if !record.evidence.is_empty() {
        lines.push(columns(&record.evidence.iter().map(row).collect::<Vec<_>>()));
    }
    lines.join("\n")
}

fn tell(imported: &ImportedOutcomes) -> String {
    let ImportedOutcomes { kept, known, full, refused, why } = imported;
    let mut line = format!("{kept} kept, {known} known or too old");
    if 0 < *full {
        line.push_str(&format!(", {full} found no room"));
    }
    if 0 < *refused {
        let why = why.as_deref().unwrap_or_default();
        line.push_str(&format!(", {refused} refused: {}", escape(why)));
    }
    line
}
