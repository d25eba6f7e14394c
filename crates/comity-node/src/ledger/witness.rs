//! Witnesses (C2SP tlog-witness): this node for the logs of its counterparties, and they, with those
//! that the operator named, for this node's.

use std::sync::{Arc, PoisonError};

use comity_core::event::Event;
use comity_core::limits::CLOCK_SKEW_S_MAX;
use comity_core::log::{
    AddCheckpoint, Checkpoint, Finding, Plan, VerifierKey, WitnessRefusal, Witnessed,
};
use comity_store::records::events;
use comity_store::records::log::checkpoints;
use comity_store::records::log::peers::{self, Contradiction, Found};
use comity_store::records::log::tiles::Prover;
use comity_store::{Batch, CommitError, StoreFault};

use super::{audit, commit, roll_back};
use crate::home::Home;
use crate::limits::{
    CONFLICTS_MAX, CONTRADICTIONS_MAX, LOGS_KNOWN_MAX, PIECE_BYTES_MAX, WITNESSES_ASKED_MAX,
};

/// Why a checkpoint is not cosigned.
pub(crate) enum NotCosigned {
    /// It changed again and again while it was looked at.
    Busy,
    /// For this reason.
    Refused(WitnessRefusal),
}

/// Takes a checkpoint of another log, and answers with the signature lines.
pub(crate) async fn add_checkpoint(
    home: &Arc<Home>,
    body: &str,
) -> Result<Result<String, NotCosigned>, StoreFault> {
    let refused = |refusal| Ok(Err(NotCosigned::Refused(refusal)));
    let Some(key) = home.ledger.witness_key() else { return refused(WitnessRefusal::NotFound) };
    let request = match AddCheckpoint::parse(body) {
        Ok(request) => request,
        Err(refusal) => return refused(refusal),
    };
    let checkpoint = request.checkpoint();
    for _attempt in 0..CONFLICTS_MAX {
        let found = peers::by_origin(home.store.as_ref(), checkpoint.origin()).await?;
        if found.is_empty() {
            return refused(WitnessRefusal::NotFound);
        }
        let signed = found.into_iter().find(|one| checkpoint.verify(&one.log.key).is_ok());
        let Some(found) = signed else { return refused(WitnessRefusal::Forbidden) };
        let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
        let head = match request.judge(&found.log.key, last) {
            Ok(judged) => judged.head,
            Err(refusal) => {
                suspect(home, &found, checkpoint, refusal).await?;
                return refused(refusal);
            }
        };
        let now = home.now();
        let line = checkpoint.cosign(key, now);
        // What was cosigned before is so again, and nothing is new.
        if last == Some(head) {
            return Ok(Ok(line));
        }
        let mut log = found.log.clone();
        log.witnessed = Some(Witnessed::new(head));
        log.witnessed_at = Some(now);
        let text = checkpoint.note().text();
        log.checkpoint =
            log_line(checkpoint, &found.log.key).map(|own| format!("{text}\n{own}{line}"));
        let mut batch = Batch::new();
        peers::put(&mut batch, &log, Some(&found));
        match home.store.commit(batch).await {
            Ok(_) => return Ok(Ok(line)),
            // Another checkpoint was taken in between.
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(Err(NotCosigned::Busy))
}

/// Returns the checkpoint of a log that this node cosigned last, by the hash of the log's name.
pub(crate) async fn cosigned(home: &Home, origin_hash: &str) -> Result<Option<String>, StoreFault> {
    let logs = peers::all(home.store.as_ref(), LOGS_KNOWN_MAX).await?;
    let is_it = |log: &peers::PeerLog| {
        log.witnessed.is_some() && comity_core::log::origin_hash(log.key.name()) == origin_hash
    };
    Ok(logs.into_iter().find(is_it).and_then(|log| log.checkpoint))
}

/// The signature line of one key, as it stands in a checkpoint.
fn log_line(checkpoint: &Checkpoint, key: &VerifierKey) -> Option<String> {
    let note = checkpoint.note().to_text();
    let text = checkpoint.note().text();
    let mut lines = note.split_inclusive('\n').filter(|line| line.starts_with('\u{2014}'));
    let is_own = |line: &&str| {
        Checkpoint::parse(&format!("{text}\n{line}")).is_ok_and(|one| one.verify(key).is_ok())
    };
    lines.find(is_own).map(str::to_owned)
}

/// Looks closer at what a log signed and does not fit to what was cosigned.
async fn suspect(
    home: &Arc<Home>,
    found: &Found,
    checkpoint: &Checkpoint,
    refusal: WitnessRefusal,
) -> Result<(), StoreFault> {
    let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
    let (Some(last), Ok(head)) = (last, checkpoint.verify(&found.log.key)) else { return Ok(()) };
    let note = checkpoint.note().to_text();
    if head.size == last.size && head.root != last.root {
        let first = found.log.checkpoint.clone().unwrap_or_default();
        return contradict(home, &found.log.key, Finding::Fork, &first, &note).await;
    }
    // The proof is not signed: whoever sent it may have made it wrong. The log itself is asked.
    if refusal == WitnessRefusal::Unprocessable {
        audit::begin(home, &found.log.key, note);
    }
    Ok(())
}

/// Keeps two pieces that cannot both be true, once of each kind, and tells the operator.
pub(super) async fn contradict(
    home: &Home,
    key: &VerifierKey,
    finding: Finding,
    first: &str,
    second: &str,
) -> Result<(), StoreFault> {
    for _attempt in 0..CONFLICTS_MAX {
        let Some(found) = peers::by_key(home.store.as_ref(), key).await? else { return Ok(()) };
        let mut log = found.log.clone();
        if !add_contradiction(&mut log, home, finding, first, second) {
            return Ok(());
        }
        let mut batch = Batch::new();
        peers::put(&mut batch, &log, Some(&found));
        let event = Event::log_contradicted(&log.node, log.key.name(), finding);
        events::put(&mut batch, home.now(), vec![event]);
        match home.store.commit(batch).await {
            Ok(_) => {
                home.news.wake();
                tracing::warn!(
                    node = %log.node, origin = log.key.name(), finding = finding.as_str(),
                    "a log does not hold together"
                );
                return Ok(());
            }
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    tracing::warn!(origin = key.name(), finding = finding.as_str(), "a finding was not kept");
    Ok(())
}

/// Adds a finding to what is known of a log; says whether it is new.
pub(super) fn add_contradiction(
    log: &mut peers::PeerLog,
    home: &Home,
    finding: Finding,
    first: &str,
    second: &str,
) -> bool {
    let is_known = log.contradictions.iter().any(|known| known.finding == finding);
    if is_known || CONTRADICTIONS_MAX <= log.contradictions.len() {
        return false;
    }
    let piece = |text: &str| match text.len() <= PIECE_BYTES_MAX {
        true => text.to_owned(),
        false => format!("sha256 {}", comity_core::record::digest_text(text.as_bytes())),
    };
    let (first, second) = (piece(first), piece(second));
    log.contradictions.push(Contradiction { finding, at: home.now(), first, second });
    true
}

/// A witness of this node's log.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) key: VerifierKey,
    /// The prefix of `add-checkpoint`.
    pub(crate) url: String,
}

/// Returns whom to ask: those that the operator named, and counterparties.
pub(crate) async fn asked(home: &Home) -> Result<Vec<Asked>, StoreFault> {
    let named = home.ledger.policy.iter().flat_map(|policy| &policy.witnesses);
    let named = named.filter_map(|(key, url)| {
        Some(Asked { key: key.clone(), url: url.clone()?.trim_end_matches('/').to_owned() })
    });
    let mut asked: Vec<Asked> = named.collect();
    for peer in peers::all(home.store.as_ref(), LOGS_KNOWN_MAX).await? {
        if WITNESSES_ASKED_MAX <= asked.len() {
            break;
        }
        if let (Some(key), Some(url)) = (peer.witness, peer.url)
            && asked.iter().all(|other| other.key != key)
        {
            asked.push(Asked { key, url: format!("{url}/witness") });
        }
    }
    Ok(asked)
}

/// Has a checkpoint cosigned, in a task of its own for each witness.
pub(super) fn ask_all(home: &Arc<Home>, size: u64, note: String) {
    let home = Arc::clone(home);
    tokio::spawn(async move {
        let asked = match asked(&home).await {
            Ok(asked) => asked,
            Err(fault) => return tracing::error!(%fault, "the witnesses cannot be read"),
        };
        for witness in asked {
            let (home, note) = (Arc::clone(&home), note.clone());
            tokio::spawn(async move {
                // One that is slow holds up nobody, and is asked for all that came since when it is done.
                let Some(_one) = Asking::begin(&home, &witness.key) else { return };
                if let Err(fault) = ask(&home, &witness, size, &note).await {
                    tracing::error!(%fault, "a cosignature could not be kept");
                }
            });
        }
    });
}

/// That a witness is being asked.
struct Asking<'h>(&'h Home, VerifierKey);

impl<'h> Asking<'h> {
    fn begin(home: &'h Home, key: &VerifierKey) -> Option<Self> {
        let mut asking = home.ledger.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.insert(key.clone()).then(|| Self(home, key.clone()))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.ledger.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// Has one witness cosign a checkpoint.
async fn ask(home: &Arc<Home>, witness: &Asked, size: u64, note: &str) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    let Some(log) = home.ledger.log_key() else { return Ok(()) };
    let log = log.public();
    let mut old = peers::cosigned(store, &witness.key, log).await?;
    if old == size {
        return Ok(());
    }
    for _attempt in 0..2 {
        let Some(plan) = Plan::consistency(old, size) else {
            // It has seen a later one meanwhile, or one that this log does not have any more.
            return roll_back::suspect(home, witness, old).await;
        };
        let proof = Prover::new(store, size).prove(&plan).await?;
        let body = AddCheckpoint::write(old, &proof, note);
        let url = format!("{}/add-checkpoint", witness.url);
        let answer = match home.fetcher.post_text(&url, body).await {
            Ok((status, answer)) => (status, String::from_utf8_lossy(&answer).into_owned()),
            Err(error) => {
                tracing::debug!(witness = witness.key.name(), %error, "a witness did not answer");
                return Ok(());
            }
        };
        match answer {
            (200, lines) => return keep(home, witness, size, note, &lines).await,
            (409, known) => match known.trim_end().parse() {
                Ok(known) if known != old => old = known,
                _ => return Ok(()),
            },
            (status, _) => {
                // 404: it does not know us yet, and will when it gets a receipt.
                tracing::debug!(witness = witness.key.name(), status, "a witness did not cosign");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Keeps a cosignature.
async fn keep(
    home: &Arc<Home>,
    witness: &Asked,
    size: u64,
    note: &str,
    lines: &str,
) -> Result<(), StoreFault> {
    let Some((text, _)) = note.rsplit_once("\n\n") else { return Ok(()) };
    // One line, that of the witness itself: what else it sent would be taken for others'.
    let cosigned = |line: &str| {
        let alone = Checkpoint::parse(&format!("{text}\n\n{line}")).ok()?;
        alone.cosignatures([&witness.key]).ok()?.pop()
    };
    let is_its = |line: &&str| cosigned(line).is_some();
    let mut lines = lines.split_inclusive('\n');
    let Some((line, its)) = lines.find_map(|line| Some((line, cosigned(line)?))) else {
        tracing::warn!(witness = witness.key.name(), "a cosignature does not verify");
        return Ok(());
    };
    // With a wrong time it would later speak against the statements of this log.
    if CLOCK_SKEW_S_MAX < its.at.0.abs_diff(home.now().0) {
        tracing::warn!(witness = witness.key.name(), at = its.at.0, "a witness has another time");
        return Ok(());
    }
    let store = home.store.as_ref();
    let _one_at_a_time = home.ledger.keeping.lock().await;
    let latest = checkpoints::of_size(store, size).await?;
    let known = latest.map_or_else(|| note.to_owned(), |latest| latest.note);
    let prefix = line.rsplit_once(' ').map_or(line, |(prefix, _)| prefix);
    let is_new =
        known.split_inclusive('\n').filter(|one| one.starts_with(prefix)).all(|one| !is_its(&one));
    let with = if is_new { format!("{known}{line}") } else { known };
    // What would not be read again is not kept.
    if Checkpoint::parse(&with).is_err() {
        return Ok(());
    }
    let mut batch = Batch::new();
    checkpoints::put(&mut batch, size, &with);
    if let Some(log) = home.ledger.log_key() {
        peers::put_cosigned(&mut batch, &witness.key, log.public(), size);
    }
    commit(store, batch).await?;
    roll_back::remember(home, size, &with);
    let is_latest = home.ledger.latest().is_some_and(|latest| latest.starts_with(note));
    if is_latest {
        home.ledger.set_latest(&with);
    }
    Ok(())
}
