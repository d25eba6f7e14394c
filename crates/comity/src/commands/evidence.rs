//! `comity evidence`: shows to somebody who has nothing but a file who said what, when, and that nothing was
//! left out.

mod html;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use comity_core::evidence::{Bundle, Outcome, Trusted, verify};
use comity_core::log::WitnessPolicy;
use comity_didcomm::{Did, DidDocument};
use serde_json::Value;

use super::Context;
use crate::{
    client::encode,
    error::{CliError, Kind},
    output::Output,
};

/// Arguments of `comity evidence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
verify needs no node, no network and no key. Its exit codes: 0 everything is proven, 1 the file is malformed, \
2 two pieces contradict each other, 3 all is true and something is missing.

Example: comity evidence export --as aria --with bruno@localhost:7710 -o case.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write what an agent can show of a thread, of somebody, or of a time
    Export {
        /// The agent
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// A thread
        #[arg(long, value_name = "THID", conflicts_with_all = ["with", "since", "until"])]
        thread: Option<String>,
        /// What the agent had to do with somebody: a DID or a handle NAME@HOST
        #[arg(long, value_name = "WHO", conflicts_with_all = ["since", "until"])]
        with: Option<String>,
        /// From this day or time on
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Until this day or time
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Show that messages were sent and received, and not what they say
        #[arg(long)]
        no_bodies: bool,
        /// Into this file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Verify a file of evidence, offline
    Verify {
        /// The file
        file: PathBuf,
        /// The logs and witnesses that you trust (C2SP tlog-policy)
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// A DID document that you know to be its owner's; may be given several times
        #[arg(long = "document", value_name = "FILE")]
        documents: Vec<PathBuf>,
        /// Write the report as one page of HTML into this file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Join the exports of several sides in one file
    Merge {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Into this file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Export { name, thread, with, since, until, no_bodies, output } => {
            let wanted = [("thread", thread), ("with", with), ("since", since), ("until", until)];
            let mut query = format!("bodies={}", !no_bodies);
            for (name, value) in wanted {
                query.extend(value.map(|value| format!("&{name}={}", encode(&value))));
            }
            let path = format!("/admin/agents/{}/evidence?{query}", encode(&name));
            let bundle: Bundle = context.client()?.get(&path).await?;
            export(&bundle, &output, &context.output)
        }
        Command::Verify { file, policy, documents, html } => {
            let trusted = Trusted {
                policy: policy.as_deref().map(read_policy).transpose()?,
                documents: documents
                    .iter()
                    .map(|file| read_document(file))
                    .collect::<Result<_, _>>()?,
            };
            let verdict = verify(&read(&file)?, &trusted);
            if let Some(page) = html {
                write(&page, &html::page(&verdict, &file.display().to_string()))?;
            }
            context.output.object(&verdict, || text::report(&verdict, &context.output))?;
            told(verdict.outcome)
        }
        Command::Merge { files, output } => merge(&files, &output, &context.output),
    }
}

fn export(bundle: &Bundle, file: &Path, output: &Output) -> Result<(), CliError> {
    write(file, &bundle.to_text())?;
    let shown: usize = bundle.parts.iter().map(|part| part.export.statements.len()).sum();
    let written = serde_json::json!({ "file": file, "statements": shown });
    output.object(&written, || {
        let file = file.display();
        format!("{shown} statements are in {file}; anybody verifies it with: comity evidence verify {file}")
    })
}

fn merge(files: &[PathBuf], file: &Path, output: &Output) -> Result<(), CliError> {
    let mut merged: Option<Bundle> = None;
    for one in files {
        let bundle = Bundle::parse(&read(one)?).map_err(|error| {
            CliError::usage("evidence.malformed", format!("{} is no evidence", one.display()))
                .why(error)
                .hint("Give files that comity evidence export wrote")
        })?;
        match &mut merged {
            None => merged = Some(bundle),
            Some(merged) => {
                for part in bundle.parts {
                    if !merged.parts.contains(&part) {
                        merged.parts.push(part);
                    }
                }
            }
        }
    }
    let Some(merged) = merged else { return Ok(()) };
    write(file, &merged.to_text())?;
    let verdict = verify(merged.to_text().as_bytes(), &Trusted::default());
    let parts = merged.parts.len();
    let written = serde_json::json!({
        "file": file, "exports": parts, "contradictions": verdict.contradictions,
    });
    output.object(&written, || {
        let disagree = verdict.contradictions.len();
        let agree = match disagree {
            0 => "they do not contradict each other".to_owned(),
            count => format!("{count} contradictions: comity evidence verify shows them"),
        };
        format!("{parts} exports are in {}; {agree}", file.display())
    })
}

/// The exit codes of a verdict are those of the program, with meanings of their own.
fn told(outcome: Outcome) -> Result<(), CliError> {
    match outcome {
        Outcome::Proven => Ok(()),
        Outcome::Malformed => Err(CliError::told(Kind::Usage)),
        Outcome::Contradiction => Err(CliError::told(Kind::Config)),
        Outcome::Insufficient => Err(CliError::told(Kind::Refused)),
    }
}

fn read_policy(file: &Path) -> Result<WitnessPolicy, CliError> {
    let text = String::from_utf8_lossy(&read(file)?).into_owned();
    WitnessPolicy::parse(&text).map_err(|error| {
        CliError::usage("policy.malformed", format!("{} is no policy", file.display()))
            .why(error)
            .hint("It has the format of C2SP tlog-policy: lines log, witness, group, quorum")
    })
}

fn read_document(file: &Path) -> Result<DidDocument, CliError> {
    let bytes = read(file)?;
    let id = serde_json::from_slice::<Value>(&bytes).ok();
    let id = id.and_then(|value| Did::parse(value.get("id")?.as_str()?).ok());
    id.and_then(|id| DidDocument::parse(&bytes, &id).ok()).ok_or_else(|| {
        let what = format!("{} is no DID document", file.display());
        CliError::usage("document.malformed", what).hint("Give the file did.json of its owner")
    })
}

/// A file that cannot be read is the caller's affair, whatever command it is for.
fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(file).map_err(|error| {
        CliError::usage("file.unreadable", format!("{} cannot be read", file.display()))
            .why(error)
            .hint("Check the name of the file")
    })
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    fs::write(file, text).map_err(|error| {
        CliError::config("file.unwritable", format!("{} cannot be written", file.display()))
            .why(error)
            .hint("Name a file that you may write to")
    })
}
