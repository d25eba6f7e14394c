//! Witnesses (C2SP tlog-witness): this node for the logs of its counterparties, and they, with those
//! that the operator named, for this node's.

use std::sync::Arc;

use comity_core::event::Event;
use comity_core::log::{
    AddCheckpoint, Checkpoint, Finding, Plan, VerifierKey, WitnessRefusal, Witnessed,
};
use comity_store::records::events;
use comity_store::records::log::checkpoints;
use comity_store::records::log::peers::{self, Contradiction, Found};
use comity_store::records::log::tiles::Prover;
use comity_store::{Batch, CommitError, StoreFault};

use super::{commit, roll_back};
use crate::home::Home;
use crate::limits::{CONFLICTS_MAX, CONTRADICTIONS_MAX, LOGS_KNOWN_MAX, WITNESSES_ASKED_MAX};

/// Takes a checkpoint of another log, and answers with the signature lines.
pub(crate) async fn add_checkpoint(
    home: &Home,
    body: &str,
) -> Result<Result<String, WitnessRefusal>, StoreFault> {
    let Some(key) = home.ledger.witness_key() else { return Ok(Err(WitnessRefusal::NotFound)) };
    let request = match AddCheckpoint::parse(body) {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let checkpoint = request.checkpoint();
    for _attempt in 0..CONFLICTS_MAX {
        let found = peers::by_origin(home.store.as_ref(), checkpoint.origin()).await?;
        let Some(found) = found else { return Ok(Err(WitnessRefusal::NotFound)) };
        let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
        let judged = match request.judge(&found.log.key, last) {
            Ok(judged) => judged,
            Err(refusal) => {
                suspect(home, &found, &request, refusal).await?;
                return Ok(Err(refusal));
            }
        };
        let now = home.now();
        let line = checkpoint.cosign(key, now);
        let mut log = found.log.clone();
        log.witnessed = Some(Witnessed::new(judged.head));
        log.witnessed_at = Some(now);
        log.checkpoint = Some(note(body).to_owned());
        let mut batch = Batch::new();
        peers::put(&mut batch, &log, Some(&found));
        match home.store.commit(batch).await {
            Ok(_) => return Ok(Ok(line)),
            // Another checkpoint was taken in between.
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(Err(WitnessRefusal::BadRequest))
}

/// The checkpoint in a request's body.
fn note(body: &str) -> &str {
    body.split_once("\n\n").map_or("", |(_, note)| note)
}

/// Keeps what a log signed that does not fit to what it signed before.
async fn suspect(
    home: &Home,
    found: &Found,
    request: &AddCheckpoint,
    refusal: WitnessRefusal,
) -> Result<(), StoreFault> {
    let Ok(head) = request.checkpoint().verify(&found.log.key) else { return Ok(()) };
    let last = found.log.witnessed.as_ref().and_then(Witnessed::head);
    let Some((last, known)) = last.zip(found.log.checkpoint.clone()) else { return Ok(()) };
    let finding = match refusal {
        WitnessRefusal::Unprocessable if head.size == last.size => Finding::Fork,
        WitnessRefusal::Unprocessable => Finding::NotContinued,
        WitnessRefusal::Conflict { .. } if head.size == last.size && head.root != last.root => {
            Finding::Fork
        }
        // A log that is behind may have missed an answer: it is told the size, and tries again.
        _ => return Ok(()),
    };
    contradict(home, found, finding, &known, &request.checkpoint().note().to_text()).await
}

/// Keeps two pieces that cannot both be true, and tells the operator.
pub(super) async fn contradict(
    home: &Home,
    found: &Found,
    finding: Finding,
    first: &str,
    second: &str,
) -> Result<(), StoreFault> {
    let mut log = found.log.clone();
    let is_known = log.contradictions.iter().any(|known| known.finding == finding);
    if is_known || CONTRADICTIONS_MAX <= log.contradictions.len() {
        return Ok(());
    }
    log.contradictions.push(Contradiction {
        finding,
        at: home.now(),
        first: first.to_owned(),
        second: second.to_owned(),
    });
    let mut batch = Batch::new();
    peers::put(&mut batch, &log, Some(found));
    let event = Event::log_contradicted(&log.node, log.key.name(), finding);
    events::put(&mut batch, home.now(), vec![event]);
    match home.store.commit(batch).await {
        Ok(_) => home.news.wake(),
        // Somebody else changed it: it is found again with the next checkpoint.
        Err(CommitError::Conflict(_)) => {}
        Err(CommitError::Fault(fault)) => return Err(fault),
    }
    tracing::warn!(
        node = %log.node, origin = log.key.name(), finding = finding.as_str(),
        "a log does not hold together"
    );
    Ok(())
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
        // While one round is under way there is no other: the next asks for all that came since.
        let Ok(_one) = home.ledger.asking.try_lock() else { return };
        let asked = match asked(&home).await {
            Ok(asked) => asked,
            Err(fault) => return tracing::error!(%fault, "the witnesses cannot be read"),
        };
        let rounds = asked.into_iter().map(|witness| {
            let (home, note) = (Arc::clone(&home), note.clone());
            tokio::spawn(async move { ask(&home, &witness, size, &note).await })
        });
        for round in rounds.collect::<Vec<_>>() {
            if let Ok(Err(fault)) = round.await {
                tracing::error!(%fault, "a cosignature could not be kept");
            }
        }
    });
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
            return roll_back::found(home, old).await;
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
    let with = Checkpoint::parse(&format!("{note}{lines}"));
    let is_good = with.is_ok_and(|with| {
        with.cosignatures([&witness.key]).is_ok_and(|cosigned| !cosigned.is_empty())
    });
    if !is_good {
        tracing::warn!(witness = witness.key.name(), "a cosignature does not verify");
        return Ok(());
    }
    let store = home.store.as_ref();
    let _one_at_a_time = home.ledger.keeping.lock().await;
    let latest = checkpoints::of_size(store, size).await?;
    let known = latest.map_or_else(|| note.to_owned(), |latest| latest.note);
    // Its own lines only: what else it sent is nobody's.
    let prefix = format!("\u{2014} {} ", witness.key.name());
    let is_new = |line: &&str| line.starts_with(&prefix) && !known.contains(*line);
    let lines: String = lines.split_inclusive('\n').filter(is_new).collect();
    let with = format!("{known}{lines}");
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
