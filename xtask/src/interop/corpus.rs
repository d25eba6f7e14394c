//! What each peer makes of the conformance corpus (`docs/conformance`): informative, and judged nowhere here.
//!
//! An envelope that must be refused counts for a peer only if the peer opens its honest twin: whoever does not have a
//! curve refuses for another reason than the fault. Our own reader is held to every entry by tests of `comity-didcomm`.
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for a missing name")]

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::peer::Peer;

/// What one peer did: opened of all honest envelopes, and a group at a time opened of those with a fault.
#[derive(Debug)]
pub(super) struct Figures {
    peer: &'static str,
    honest: (usize, usize),
    faulty: BTreeMap<String, (usize, usize)>,
}

/// Lets every peer open every envelope of the corpus.
pub(super) fn run(root: &Path, peers: &mut [Peer]) -> Result<Vec<Figures>> {
    let read = |name: &str| -> Result<Value> {
        let path = root.join("docs/conformance").join(name);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    };
    let world = World {
        dids: read("dids.json")?["dids"].clone(),
        secrets: read("secrets.json")?["secrets"].as_array().cloned().unwrap_or_default(),
    };
    let (honest, faulty) = (read("must-accept.json")?, read("must-refuse.json")?);
    peers.iter_mut().map(|peer| world.figures(peer, &honest, &faulty)).collect()
}

struct World {
    dids: Value,
    secrets: Vec<Value>,
}

impl World {
    fn figures(&self, peer: &mut Peer, honest: &Value, faulty: &Value) -> Result<Figures> {
        let mut opened = HashSet::new();
        let honest = entries(honest);
        for entry in honest {
            if self.opens(peer, entry)? {
                opened.insert(entry["id"].as_str().unwrap_or_default());
            }
        }
        let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for entry in entries(faulty) {
            let group = entry["id"].as_str().and_then(|id| id.split(':').next()).unwrap_or("?");
            let figures = groups.entry(group.to_owned()).or_default();
            if entry["control"].as_str().is_some_and(|twin| opened.contains(twin)) {
                figures.1 += 1;
                figures.0 += usize::from(self.opens(peer, entry)?);
            }
        }
        Ok(Figures { peer: peer.name, honest: (opened.len(), honest.len()), faulty: groups })
    }

    fn opens(&self, peer: &mut Peer, entry: &Value) -> Result<bool> {
        let receivers = entry["receivers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let secrets = self.secrets.iter().filter(|secret| {
            let kid = secret["kid"].as_str().unwrap_or_default();
            receivers
                .iter()
                .any(|did| Some(did.as_str().unwrap_or_default()) == kid.split('#').next())
        });
        let secrets: Vec<_> = secrets.collect();
        let answer = peer
            .ask(json!({ "op": "unpack", "packed": entry["packed"], "dids": self.dids,
            "secrets": secrets, "now": 1_700_000_000 }))?;
        Ok(answer["ok"] == true)
    }
}

/// Draws one row a group and one column a peer.
pub(super) fn text(figures: &[Figures]) -> String {
    let mut text = String::from("| corpus |");
    for figures in figures {
        let _ = write!(text, " {} |", figures.peer);
    }
    let _ = write!(text, "\n|---|{}\n| honest envelopes opened |", "---|".repeat(figures.len()));
    for figures in figures {
        let _ = write!(text, " {} of {} |", figures.honest.0, figures.honest.1);
    }
    let groups = figures.first().map(|figures| &figures.faulty);
    for group in groups.into_iter().flat_map(BTreeMap::keys) {
        let _ = write!(text, "\n| opened although faulty: {group} |");
        for figures in figures {
            let (opened, of) = figures.faulty.get(group).copied().unwrap_or_default();
            let _ = write!(text, " {opened} of {of} |");
        }
    }
    let _ = write!(text, "\n| opened although faulty, all |");
    for figures in figures {
        let sum = |(a, b), (x, y): &(usize, usize)| (a + x, b + y);
        let (opened, of): (usize, usize) = figures.faulty.values().fold((0, 0), sum);
        let _ = write!(text, " {opened} of {of} |");
    }
    text.push('\n');
    text
}

/// Writes the figures down for programs.
pub(super) fn json(figures: &[Figures]) -> Value {
    let all = figures.iter().map(|figures| {
        let groups: BTreeMap<_, _> = figures
            .faulty
            .iter()
            .map(|(group, (opened, of))| (group, json!({ "opened": opened, "of": of })))
            .collect();
        json!({ "peer": figures.peer, "honest": { "opened": figures.honest.0, "of": figures.honest.1 },
            "faulty": groups })
    });
    all.collect()
}

fn entries(corpus: &Value) -> &[Value] {
    corpus["entries"].as_array().map(Vec::as_slice).unwrap_or_default()
}
