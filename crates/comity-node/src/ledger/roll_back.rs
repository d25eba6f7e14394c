//! A log that is shorter than what was cosigned of it: a store that was restored from an old copy, or
//! rewritten. The node does not start on it, since whatever it says from there on contradicts what it
//! has said.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_core::event::Event;
use comity_core::log::{AddCheckpoint, Checkpoint, Finding, Plan, TreeHead};
use comity_store::records::events;
use comity_store::records::log::peers;
use comity_store::records::log::tiles::Prover;
use comity_store::{Batch, StoreFault};
use tokio::time::timeout;

use super::{commit, witness};
use crate::home::Home;
use crate::limits::WITNESS_START_DEADLINE;
use crate::node::StartError;

/// Checks that the log continues what was cosigned of it: by what this node remembers outside its
/// store, and by what its witnesses say, as far as they answer.
pub(crate) async fn check(home: &Home) -> Result<(), StartError> {
    let Some(key) = home.ledger.log_key() else { return Ok(()) };
    let path = path(&home.config.data);
    let store = home.store.as_ref();
    let size = store.frontier().await?.size();
    match fs::read_to_string(&path) {
        Ok(note) => {
            let checkpoint = Checkpoint::parse(&note).ok();
            let head = checkpoint.and_then(|checkpoint| checkpoint.verify(key.public()).ok());
            // Of another log of this node, or nothing that it wrote.
            if let Some(head) = head
                && !continues(home, head, size).await?
            {
                return Err(StartError::RolledBack { has: size, cosigned: head.size });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StartError::Data { path, error }),
    }
    let Some(latest) = home.ledger.latest() else { return Ok(()) };
    let mut asked = Vec::new();
    for witness in witness::asked(home).await? {
        if 0 < peers::cosigned(store, &witness.key, key.public()).await? {
            let body = AddCheckpoint::write(0, &[], &latest);
            let (url, fetcher) = (format!("{}/add-checkpoint", witness.url), &home.fetcher);
            let fetcher = Arc::clone(fetcher);
            asked.push(tokio::spawn(async move { fetcher.post_text(&url, body).await }));
        }
    }
    let answers = async {
        let mut cosigned = 0;
        for answer in asked {
            if let Ok(Ok((409, known))) = answer.await {
                let known = String::from_utf8_lossy(&known).trim_end().parse().unwrap_or(0);
                cosigned = cosigned.max(known);
            }
        }
        cosigned
    };
    // Witnesses that are away say nothing now; they are asked again with each checkpoint.
    let cosigned: u64 = timeout(WITNESS_START_DEADLINE, answers).await.unwrap_or(0);
    match cosigned <= size {
        true => Ok(()),
        false => Err(StartError::RolledBack { has: size, cosigned }),
    }
}

/// Whether the log of a size has a head in it.
async fn continues(home: &Home, head: TreeHead, size: u64) -> Result<bool, StoreFault> {
    if size < head.size {
        return Ok(false);
    }
    let root = Prover::new(home.store.as_ref(), head.size).prove(&Plan::root(head.size)).await;
    // What the tiles are not complete for yet was not cosigned either.
    Ok(root.is_ok_and(|root| root == [head.root]))
}

/// Remembers, outside the store, what was cosigned last.
pub(super) fn remember(home: &Home, size: u64, note: &str) {
    let path = path(&home.config.data);
    let known = fs::read_to_string(&path).ok().and_then(|note| Checkpoint::parse(&note).ok());
    let origin = home.ledger.log_key().map(|key| key.public().name());
    let is_older =
        |known: &Checkpoint| Some(known.origin()) != origin || known.claimed().size < size;
    if known.as_ref().is_none_or(is_older)
        && let Err(error) = replace(&path, note)
    {
        tracing::warn!(%error, "the last cosigned checkpoint is not remembered outside the store");
    }
}

/// A witness has cosigned more than there is.
pub(super) async fn found(home: &Arc<Home>, cosigned: u64) -> Result<(), StoreFault> {
    let Some(key) = home.ledger.log_key() else { return Ok(()) };
    tracing::error!(cosigned, "a witness knows a longer log: this store is older than it was");
    if home.ledger.tell_roll_back() {
        let event = Event::log_contradicted(&home.did, key.public().name(), Finding::RolledBack);
        let mut batch = Batch::new();
        events::put(&mut batch, home.now(), vec![event]);
        commit(home.store.as_ref(), batch).await?;
        home.news.wake();
    }
    Ok(())
}

fn replace(path: &Path, note: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

fn path(data: &Path) -> PathBuf {
    data.join("witnessed.checkpoint")
}
