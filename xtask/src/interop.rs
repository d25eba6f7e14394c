//! `cargo xtask interop`: Comity and other people's DIDComm libraries, each opening what the other packs.
//!
//! Every library has a driver that speaks one line protocol (docs/protocols/didcomm-lines.md), ours is `comity didcomm
//! lines`, so that a run is a product of peers and cases. The drivers and the keys are in `tools/interop`. An outcome
//! that is neither success nor listed in `quirks` fails the run. Then one of the libraries uses a node of ours as its
//! relay. Needs Python 3, Node.js and the network the first time.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::Passed;

use self::{
    cases::Case,
    exchange::Outcome,
    peer::Peer,
    quirks::{QUIRKS, Quirk},
};

mod cases;
mod corpus;
mod exchange;
pub(crate) mod install;
mod peer;
mod quirks;
mod relay;
mod table;

/// What the command line chose.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// Rewrite the table in docs/interop.md.
    bless: bool,
    /// Show the foreign libraries among each other instead, unjudged.
    foreign: bool,
    /// Print JSON instead of a table.
    json: bool,
    /// Leave out one of the two halves.
    part: Part,
}

/// Which half of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Both,
    Messages,
    Relay,
}

/// Installs, runs all exchanges and prints the table; then the relay.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<Passed> {
    let mut options = Options::default();
    for argument in arguments {
        match *argument {
            "--bless" => options.bless = true,
            "--foreign" => options.foreign = true,
            "--json" => options.json = true,
            "--messages" => options.part = Part::Messages,
            "--relay" => options.part = Part::Relay,
            other => bail!(
                "no such option: {other}; there are --bless, --foreign, --json, --messages and --relay"
            ),
        }
    }
    let messages = match options.part {
        Part::Relay => Passed::Yes,
        Part::Both | Part::Messages => exchange_messages(root, options)?,
    };
    if options.foreign || options.part == Part::Messages || messages == Passed::No {
        return Ok(messages);
    }
    relay::run(root, options.json)
}

fn exchange_messages(root: &Path, options: Options) -> Result<Passed> {
    let cases = cases::all(&std::fs::read_to_string(root.join("tools/interop/keys.json"))?)?;
    let mut peers = start(root, options)?;
    let mut results = Vec::new();
    for (packer, opener) in pairs(&peers, options) {
        results.extend(exchange(&mut peers, packer, opener, &cases)?);
    }
    let libraries: Vec<_> = peers.iter().map(|peer| peer.library.clone()).collect();
    let findings = if options.foreign { Vec::new() } else { findings(&results, &cases) };
    // Ours comes first, and is held to the corpus by its own tests.
    let corpus = corpus::run(root, &mut peers)?;
    if options.json {
        let mut report = table::json(&results, &libraries, &findings);
        if let Some(report) = report.as_object_mut() {
            report.insert("corpus".to_owned(), corpus::json(&corpus));
        }
        println!("{report}");
    } else {
        println!("{}\n{}", table::text(&results, &cases, &libraries), corpus::text(&corpus));
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        eprintln!("{} of {} outcomes are unexpected", findings.len(), results.len());
        return Ok(Passed::No);
    }
    if options.bless && !options.foreign {
        let text = table::text(&results, &cases, &libraries);
        table::bless(root, [("exchanges", &text), ("corpus", &corpus::text(&corpus))])?;
    }
    Ok(Passed::Yes)
}

/// The outcome of one case between two peers.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    packer: &'static str,
    opener: &'static str,
    case: String,
    outcome: Outcome,
}

impl Run {
    /// Returns the known difference that excuses this outcome, with its place in the list.
    fn excuse(&self) -> Option<(usize, &'static Quirk)> {
        self.quirks().find(|(_, quirk)| quirk.excuses(&self.outcome))
    }

    fn quirks(&self) -> impl Iterator<Item = (usize, &'static Quirk)> {
        QUIRKS
            .iter()
            .enumerate()
            .filter(|(_, quirk)| quirk.is_about(self.packer, self.opener, &self.case))
    }
}

const COMITY: &str = "Comity";

fn start(root: &Path, options: Options) -> Result<Vec<Peer>> {
    let tools = root.join("tools/interop");
    let mut peers = Vec::new();
    if !options.foreign {
        let comity = install::comity(root)?;
        peers.push(Peer::start(COMITY, Command::new(comity).args(["didcomm", "lines"]))?);
    }
    let python = install::python(root)?;
    peers.push(Peer::start("Python", Command::new(python).arg(tools.join("sicpa_python.py")))?);
    let wasm = install::wasm(root)?;
    let mut node = Command::new("node");
    node.arg(tools.join("sicpa_wasm.mjs")).current_dir(wasm);
    peers.push(Peer::start("WASM", &mut node)?);
    let affinidi = install::affinidi(root)?;
    peers.push(Peer::start("Affinidi", &mut Command::new(affinidi))?);
    Ok(peers)
}

/// Lists who packs for whom: we for everybody and everybody for us, or everybody else among themselves.
fn pairs(peers: &[Peer], options: Options) -> Vec<(usize, usize)> {
    let all =
        (0..peers.len()).flat_map(|packer| (0..peers.len()).map(move |opener| (packer, opener)));
    all.filter(|(packer, opener)| options.foreign || *packer == 0 || *opener == 0).collect()
}

fn exchange(peers: &mut [Peer], packer: usize, opener: usize, cases: &[Case]) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for case in cases {
        let (mut run, packed) = match peers.get_mut(packer) {
            Some(peer) => (
                Run {
                    packer: peer.name,
                    opener: "",
                    case: case.name.clone(),
                    outcome: Outcome::Understood,
                },
                exchange::pack(peer, case)?,
            ),
            None => bail!("no such peer"),
        };
        let Some(peer) = peers.get_mut(opener) else { bail!("no such peer") };
        run.opener = peer.name;
        run.outcome = match packed {
            Ok(packed) => exchange::open(peer, case, &packed)?,
            Err(words) => Outcome::NotPacked(words),
        };
        runs.push(run);
    }
    Ok(runs)
}

/// Finds the outcomes that are not expected, and the expectations that no outcome needs.
fn findings(runs: &[Run], cases: &[Case]) -> Vec<String> {
    let mut findings = Vec::new();
    for run in runs {
        let at = format!("{} -> {}, {}", run.packer, run.opener, run.case);
        if run.outcome == Outcome::Understood {
            for (_, quirk) in run.quirks() {
                findings
                    .push(format!("{at}: understood, take it out of the list: {}", quirk.reason));
            }
        } else if run.excuse().is_none() {
            findings.push(format!("{at}: {}", run.outcome));
        }
    }
    for quirk in QUIRKS {
        let is_met = |run: &Run| quirk.is_about(run.packer, run.opener, &run.case);
        if !runs.iter().any(is_met) {
            let of = cases.len();
            findings.push(format!("a quirk is about none of the {of} cases: {}", quirk.reason));
        }
    }
    findings
}
