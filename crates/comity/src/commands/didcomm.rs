//! `comity didcomm`: the workbench. Packs, opens and explains envelopes with keys and documents
//! that are given to it, for people and, line by line, for programs in any language.
//!
//! It needs no node and no network, and never reads the keys of a home.

mod inspect;
mod keyring;
mod lines;
mod pack;
mod refused;
mod unpack;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use comity_didcomm::UnixTime;
use serde_json::{Map, Value};

use self::{
    keyring::{Keyring, list_of},
    pack::{OneOrMany, Pack},
    unpack::{Meta, Unpack},
};
use super::Context;
use crate::{
    error::{CliError, Kind},
    limits::WORKBENCH_FILE_BYTES_MAX,
    output::escape,
};

/// Arguments of `comity didcomm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Pack a message
    Pack(PackArgs),
    /// Open an envelope and say what it proves
    Unpack(UnpackArgs),
    /// Explain an envelope: layers, algorithms, key ids, sizes, checks; keys are not needed
    Inspect(InspectArgs),
    /// Serve a request a line: {"rid","op":"info|pack|unpack",..} in, one answer a line out
    Lines,
}

/// What both ways need.
#[derive(Debug, clap::Args)]
struct Known {
    /// Private keys: a JSON file with an array of JWKs, each with its `kid`
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// DID documents: a JSON file with one, or an array; did:key, did:jwk and did:peer need none
    #[arg(long, value_name = "FILE")]
    dids: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PackArgs {
    /// The message, a JSON file; standard input when absent
    file: Option<PathBuf>,
    /// plaintext, signed, anoncrypt, authcrypt, anoncrypt+sign, authcrypt+sign, anoncrypt+authcrypt
    #[arg(long, default_value = "anoncrypt+sign")]
    mode: String,
    /// Recipient, a DID or the id of a key; else the message's `to`
    #[arg(long, value_name = "DID")]
    to: Vec<String>,
    /// Who seals, a DID or the id of a key; else the message's `from`
    #[arg(long, value_name = "DID")]
    from: Option<String>,
    /// Who signs, a DID or the id of a key; else the message's `from`
    #[arg(long, value_name = "DID")]
    sign_by: Option<String>,
    /// How anoncrypt encrypts: A256CBC-HS512, A256GCM, XC20P
    #[arg(long, value_name = "NAME")]
    enc: Option<String>,
    /// Wrap it for the recipient's mediators
    #[arg(long)]
    forward: bool,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, clap::Args)]
struct UnpackArgs {
    /// The envelope, a file; standard input when absent
    file: Option<PathBuf>,
    /// Go on through forwards to a key that is known
    #[arg(long)]
    unwrap_forward: bool,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, clap::Args)]
struct InspectArgs {
    /// The envelope, a file; standard input when absent
    file: Option<PathBuf>,
    #[command(flatten)]
    known: Known,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.action {
        Action::Pack(args) => run_pack(args, context),
        Action::Unpack(args) => run_unpack(&args, context),
        Action::Inspect(args) => run_inspect(&args, context),
        Action::Lines => run_lines(),
    }
}

fn run_pack(args: PackArgs, context: &Context) -> Result<(), CliError> {
    let ring = args.known.read()?;
    let request = Pack {
        message: read_json(args.file.as_deref(), "the message")?,
        mode: Some(args.mode),
        to: (!args.to.is_empty()).then_some(OneOrMany::Many(args.to)),
        from: args.from,
        sign_by: args.sign_by,
        enc_anon: args.enc,
        forward: Some(args.forward),
    };
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let packed = pack::pack(&request, &ring, now(), &mut rng)
        .map_err(|refused| refused.told("The message was not packed"))?;
    let envelope = packed.packed.clone();
    let members = lines::packed_members(packed);
    context.output.object(&members, || envelope)
}

fn run_unpack(args: &UnpackArgs, context: &Context) -> Result<(), CliError> {
    let ring = args.known.read()?;
    let packed = read_text(args.file.as_deref(), "the envelope")?;
    let request = Unpack { packed, unwrap_forward: Some(args.unwrap_forward), now: None };
    let refused = |refused: refused::Refused| refused.told("The envelope was refused");
    let unpacked = unpack::unpack(&request, &ring).map_err(refused)?;
    let members = lines::unpacked_members(&unpacked).map_err(refused)?;
    context.output.object(&members, || describe(&unpacked.meta, &members))
}

fn run_inspect(args: &InspectArgs, context: &Context) -> Result<(), CliError> {
    let ring = args.known.read()?;
    let explained =
        inspect::explain(read_text(args.file.as_deref(), "the envelope")?, &ring, now());
    let output = &context.output;
    output.object(&explained.to_json(), || explained.to_text(output))
}

fn run_lines() -> Result<(), CliError> {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    // A reader that has gone is no failure, and nobody is left to be told.
    match lines::serve(&mut input, &mut output, &now, &mut rng) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::fault("stdin", "The requests cannot be read").why(error))
        }
        _ => Ok(()),
    }
}

impl Known {
    fn read(&self) -> Result<Keyring, CliError> {
        let file = |path: &Option<PathBuf>, what| match path {
            Some(path) => read_json(Some(path), what).map(list_of),
            None => Ok(Vec::new()),
        };
        let (dids, secrets) = (file(&self.dids, "--dids")?, file(&self.keys, "--keys")?);
        Keyring::read(&dids, &secrets).map_err(|refused| {
            CliError::usage(refused.code, "The keys or documents cannot be used")
                .why(refused.text)
                .hint("--keys takes private JWKs, each with its kid; --dids takes DID documents")
        })
    }
}

fn describe(meta: &Meta, members: &Map<String, Value>) -> String {
    let yes_no = |flag: bool| if flag { "yes" } else { "no" };
    let kid = |kid: &Option<comity_didcomm::DidUrl>| {
        kid.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let to = meta.to_kids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let sender = match (meta.authenticated, meta.non_repudiation) {
        (false, _) => "not proven",
        (true, false) => "proven to the recipient only",
        (true, true) => "proven to everybody",
    };
    let rows = [
        ("encrypted", yes_no(meta.encrypted).to_owned()),
        ("sender", sender.to_owned()),
        ("sealed by", kid(&meta.from_kid)),
        ("signed by", kid(&meta.sign_kid)),
        ("to", to),
        ("rotation by", kid(&meta.from_prior_kid)),
        ("re-wrapped", yes_no(meta.re_wrapped).to_owned()),
    ];
    let rows: Vec<_> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), escape(&value)]).collect();
    let message = serde_json::to_string_pretty(&members.get("message")).unwrap_or_default();
    let message: Vec<_> = message.lines().map(escape).collect();
    format!("{}\n{}", crate::output::columns(&rows), message.join("\n"))
}

fn read_json(path: Option<&Path>, what: &str) -> Result<Value, CliError> {
    let text = read_text(path, what)?;
    serde_json::from_str(&text).map_err(|error| {
        CliError::usage("json", format!("Not JSON: {what}"))
            .why(error)
            .hint("Look at the file with a JSON tool")
    })
}

fn read_text(path: Option<&Path>, what: &str) -> Result<String, CliError> {
    let source = path.map_or("standard input".into(), |path| path.display().to_string());
    let mut text = String::new();
    let read = match path {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(WORKBENCH_FILE_BYTES_MAX + 1).read_to_string(&mut text)),
        None => io::stdin().lock().take(WORKBENCH_FILE_BYTES_MAX + 1).read_to_string(&mut text),
    };
    read.map_err(|error| {
        CliError::usage("file", format!("Cannot read {what} from {source}"))
            .why(error)
            .hint("Name a readable file of text")
    })?;
    if WORKBENCH_FILE_BYTES_MAX < text.len() as u64 {
        let hint = format!("At most {WORKBENCH_FILE_BYTES_MAX} bytes are read");
        let what = format!("{source} is too long");
        return Err(CliError::new(Kind::Usage, "too_large", what).hint(hint));
    }
    Ok(text)
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime(since.map(|since| since.as_secs()).unwrap_or_default())
}
