//! A log that is shorter than what was cosigned of it: a store that was restored from an old copy, or
//! rewritten. The node does not start on it, since whatever it says from there on contradicts what it
//! has said.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_core::event::Event;
use comity_core::log::{Checkpoint, Finding, Plan, TreeHead, VerifierKey, origin_hash};
use comity_net::Fetcher;
use comity_store::records::events;
use comity_store::records::log::peers;
use comity_store::records::log::tiles::Prover;
use comity_store::{Batch, StoreFault};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::witness::Asked;
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
    let mut asked = JoinSet::new();
    for witness in witness::asked(home).await? {
        if 0 < peers::cosigned(store, &witness.key, key.public()).await? {
            let (fetcher, key) = (Arc::clone(&home.fetcher), key.public().clone());
            asked.spawn(async move {
                // Each has its own time: one that is away does not silence the others.
                let seen = timeout(WITNESS_START_DEADLINE, seen(&fetcher, &witness, &key)).await;
                seen.unwrap_or(None)
            });
        }
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Some(head)) = answer
            && !continues(home, head, size).await?
        {
            return Err(StartError::RolledBack { has: size, cosigned: head.size });
        }
    }
    Ok(())
}

/// What a witness has cosigned of this log last, as this log's own key signed it: nobody can make a witness,
/// or a witness make us, believe in a longer log than there was.
async fn seen(fetcher: &Fetcher, witness: &Asked, key: &VerifierKey) -> Option<TreeHead> {
    let url = format!("{}/{}/checkpoint", witness.url, origin_hash(key.name()));
    let note = fetcher.get_resource(&url, None).await.ok()?;
    Checkpoint::parse(std::str::from_utf8(&note).ok()?).ok()?.verify(key).ok()
}

/// A witness answered that it has cosigned more than was asked for: perhaps more than there is.
pub(super) async fn suspect(
    home: &Arc<Home>,
    witness: &Asked,
    cosigned: u64,
) -> Result<(), StoreFault> {
    let size = home.store.frontier().await?.size();
    let Some(key) = home.ledger.log_key().filter(|_| size < cosigned) else { return Ok(()) };
    match seen(&home.fetcher, witness, key.public()).await {
        Some(head) if size < head.size => found(home, head.size).await,
        _ => Ok(()),
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
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn path(data: &Path) -> PathBuf {
    data.join("witnessed.checkpoint")
}
