//! The node's log, and the one way in which statements get into it.
//!
//! Statements are written in the batch of what they record. The rest goes on beside: checkpoints are
//! made, others witness them, and the log is served.

mod audit;
mod checkpoint;
mod export;
mod kept;
mod keys;
mod peers;
mod publish;
mod roll_back;
mod witness;

pub(crate) use checkpoint::{checkpoint_now, head_now, run};
pub(crate) use export::{About, Bodies, NoExport, Wish, export};
pub(crate) use peers::{check_times, learn, quote, show};
pub(crate) use publish::{Reader, resource};
pub(crate) use roll_back::check;
pub(crate) use witness::{NotCosigned, add_checkpoint, asked, cosigned};

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use comity_core::inbound::{Commit, Placement};
use comity_core::log::{Act, Checkpoint, NoteKey, Statement, VerifierKey, WitnessPolicy};
use comity_core::record::digest_text;
use comity_core::trust::subject;
use comity_didcomm::{Did, DidDocument, UnixTime};
use comity_store::records::documents;
use comity_store::records::log::{self, Ledger as Recording};
use comity_store::{Batch, CommitError, Store, StoreFault};
use quick_cache::sync::Cache;
use serde_json::json;
use zeroize::Zeroizing;

use self::keys::Keys;
use crate::config::LedgerSettings;
use crate::home::Home;
use crate::identities::Identity;
use crate::keystore::Keystore;
use crate::limits::{DOCUMENTS_MAX, LOGS_KNOWN_MAX};
use crate::node::StartError;

/// The log of a node, or that it has none.
pub(crate) struct Ledger {
    keys: Option<Keys>,
    /// Which identities have used which documents, as far as the log says so already.
    documents: Cache<(Did, Did), Arc<DidDocument>>,
    /// The latest checkpoint, with the cosignatures that it has.
    latest: RwLock<Option<Arc<str>>>,
    /// One checkpoint is made at a time.
    making: tokio::sync::Mutex<checkpoint::Made>,
    /// What was heard of the logs of others, so that what is known is not written again.
    heard: Cache<Did, String>,
    /// To whom this log was shown lately, and who was told of it because he did not know it.
    shown: Cache<Did, ()>,
    introduced: Cache<Did, UnixTime>,
    /// Which witnesses the operator wants.
    policy: Option<WitnessPolicy>,
    /// The witnesses that are being asked.
    asking: Mutex<BTreeSet<VerifierKey>>,
    /// The checkpoints of logs that wait for an audit, of those that are being audited.
    audited: Mutex<HashMap<VerifierKey, Vec<String>>>,
    /// One cosignature is kept at a time.
    keeping: tokio::sync::Mutex<()>,
    /// Whether another witness is known since the last look.
    is_another_known: AtomicBool,
    /// Whether the operator was told that the log is shorter than it was.
    is_roll_back_told: AtomicBool,
}

impl Ledger {
    /// Reads the log's keys, or makes them.
    pub(crate) async fn load(
        (store, keystore): (&dyn Store, &Keystore),
        (did, public_url): (&Did, &str),
        settings: &LedgerSettings,
    ) -> Result<Self, StartError> {
        let keys = match log::keys(store).await? {
            _ if !settings.kept => None,
            Some(row) if settings.begin_anew => {
                // The chains go on, and their tags with them.
                let (seeds, _) = Keys::seeds(keystore, &row)?;
                let [tags, ..] = &*seeds;
                Some(Keys::make(store, keystore, (did, public_url), tags).await?)
            }
            Some(row) => Some(Keys::read(keystore, &row)?),
            None => {
                let tags = Zeroizing::new(rand::random());
                Some(Keys::make(store, keystore, (did, public_url), &tags).await?)
            }
        };
        let policy = settings.witness_policy.as_deref().map(read_policy).transpose()?;
        let mut ledger = Self {
            keys,
            documents: Cache::new(DOCUMENTS_MAX),
            latest: RwLock::default(),
            making: tokio::sync::Mutex::new(checkpoint::Made::new(None)),
            heard: Cache::new(LOGS_KNOWN_MAX),
            shown: Cache::new(LOGS_KNOWN_MAX),
            introduced: Cache::new(LOGS_KNOWN_MAX),
            policy,
            asking: Mutex::default(),
            audited: Mutex::default(),
            keeping: tokio::sync::Mutex::new(()),
            is_another_known: AtomicBool::new(false),
            is_roll_back_told: AtomicBool::new(false),
        };
        // One of an earlier log of this node says nothing of this one.
        let latest = log::checkpoints::latest(store).await?;
        if let Some(latest) = latest.filter(|latest| ledger.is_ours(&latest.note)) {
            ledger.making = tokio::sync::Mutex::new(checkpoint::Made::new(Some(&latest)));
            ledger.set_latest(&latest.note);
        }
        Ok(ledger)
    }

    /// Whether a checkpoint is of this log, and not of an earlier one of this node.
    fn is_ours(&self, note: &str) -> bool {
        let origin = self.log_key().map(|key| key.public().name());
        Checkpoint::parse(note).is_ok_and(|checkpoint| Some(checkpoint.origin()) == origin)
    }

    /// Whether somebody was told of this log: he may tell of his.
    pub(crate) fn was_shown_to(&self, node: &Did) -> bool {
        self.shown.get(&subject(node)).is_some()
    }

    /// Returns the latest checkpoint.
    pub(crate) fn latest(&self) -> Option<Arc<str>> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the operator is to be told, once, that the log is shorter than it was.
    fn tell_roll_back(&self) -> bool {
        !self.is_roll_back_told.swap(true, Ordering::Relaxed)
    }

    /// Whether another witness is known since this was asked last.
    fn is_another_known(&self) -> bool {
        self.is_another_known.swap(false, Ordering::Relaxed)
    }

    fn set_latest(&self, note: &str) {
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(note.into());
    }

    /// Returns how statements are recorded.
    pub(crate) const fn recording(&self) -> Recording<'_> {
        match &self.keys {
            Some(keys) => Recording::new(&keys.tags),
            None => Recording::NONE,
        }
    }

    /// Returns the key with which checkpoints are signed.
    pub(crate) fn log_key(&self) -> Option<&NoteKey> {
        self.keys.as_ref().map(|keys| &keys.log)
    }

    /// Returns the key with which others' checkpoints are cosigned.
    pub(crate) fn witness_key(&self) -> Option<&NoteKey> {
        self.keys.as_ref().map(|keys| &keys.witness)
    }

    /// Adds a statement to a batch.
    pub(crate) fn record(&self, batch: &mut Batch, statement: &Statement) {
        self.recording().append(batch, statement);
    }
}

impl Home {
    /// Adds to a message's batch the document by which its sender was known, as
    /// [`Self::record_document`]; of the home's own messages those that are evidence.
    pub(crate) async fn record_used(
        &self,
        batch: &mut Batch,
        commit: &Commit,
    ) -> Result<bool, StoreFault> {
        // Of one that is refused the digest of the document is enough: strangers bring them at will.
        if !matches!(commit.placement(), Placement::Mailbox | Placement::Request) {
            return Ok(false);
        }
        self.record_document(batch, &commit.received().recipient, commit.document()).await
    }

    /// Adds to a batch that an identity used somebody's document, unless the log says so already.
    /// Says whether it was added: when the batch is durable, [`Self::document_recorded`] is to be told.
    pub(crate) async fn record_document(
        &self,
        batch: &mut Batch,
        agent: &Did,
        document: &Arc<DidDocument>,
    ) -> Result<bool, StoreFault> {
        if self.ledger.keys.is_none() {
            return Ok(false);
        }
        let last = self.ledger.documents.get(&(subject(agent), document.id.clone()));
        // Mostly the very same one.
        if last.is_some_and(|last| last == *document) {
            return Ok(false);
        }
        let text = document.to_json().to_string();
        let (agent, digest) = (&subject(agent), &digest_text(text.as_bytes()));
        if documents::is_recorded(self.store.as_ref(), agent, digest).await? {
            self.document_recorded(agent, document);
            return Ok(false);
        }
        let parties = (agent, &document.id);
        let salt = rand::random();
        let mut statement =
            Statement::new(Act::Document, parties, "", text.as_bytes(), &salt, self.now());
        statement.document = Some(digest.clone());
        self.ledger.record(batch, &statement);
        documents::record(batch, agent, digest, text);
        Ok(true)
    }

    /// Adds to a batch that an identity of this home has other keys now.
    pub(crate) fn record_keys(&self, batch: &mut Batch, document: &DidDocument, why: &str) {
        if self.ledger.keys.is_none() {
            return;
        }
        let (text, salt) = (document.to_json().to_string(), rand::random());
        let (did, now) = (&document.id, self.now());
        let parties = (did, did);
        let digest = digest_text(text.as_bytes());
        let mut statement =
            Statement::new(Act::KeyChanged, parties, why, text.as_bytes(), &salt, now);
        statement.document = Some(digest.clone());
        self.ledger.record(batch, &statement);
        documents::record(batch, &subject(did), &digest, text);
    }

    /// Makes the log say which document an identity of this home has, unless it does.
    pub(crate) async fn record_own(&self, identity: &Identity) -> Result<(), StoreFault> {
        let mut batch = Batch::new();
        if self.record_document(&mut batch, &identity.did, &identity.document).await? {
            commit(self.store.as_ref(), batch).await?;
            self.document_recorded(&identity.did, &identity.document);
        }
        Ok(())
    }

    /// Makes the log say which documents the node and its agents have.
    pub(crate) async fn record_all_own(&self) -> Result<(), StoreFault> {
        let node = self.identities.by_did(&self.did);
        for identity in node.into_iter().chain(self.identities.agents()) {
            self.record_own(&identity).await?;
        }
        for agent in self.identities.agents() {
            let mut batch = Batch::new();
            if self.record_policy(&mut batch, &agent.did, &agent.name).await? {
                commit(self.store.as_ref(), batch).await?;
            }
        }
        self.record_node().await
    }

    /// Adds to a batch which rules an agent has, unless the log said so last; says whether it was added.
    pub(crate) async fn record_policy(
        &self,
        batch: &mut Batch,
        agent: &Did,
        name: &str,
    ) -> Result<bool, StoreFault> {
        let (agent, store) = (subject(agent), self.store.as_ref());
        let text = json!(*self.policies.of(name)).to_string();
        if self.ledger.keys.is_none() || log::policy(store, &agent).await?.as_ref() == Some(&text) {
            return Ok(false);
        }
        let (parties, salt) = ((&agent, &agent), rand::random());
        let statement =
            Statement::new(Act::Policy, parties, "", text.as_bytes(), &salt, self.now());
        self.ledger.record(batch, &statement);
        log::put_policy(batch, &agent, &text);
        Ok(true)
    }

    /// Makes the log of each agent say which document its node has: it signs receipts for it.
    pub(crate) async fn record_node(&self) -> Result<(), StoreFault> {
        for agent in self.identities.agents() {
            self.record_node_of(&agent.did).await?;
        }
        Ok(())
    }

    /// The same for one agent.
    pub(crate) async fn record_node_of(&self, agent: &Did) -> Result<(), StoreFault> {
        let Some(node) = self.identities.by_did(&self.did) else { return Ok(()) };
        let mut batch = Batch::new();
        if self.record_document(&mut batch, agent, &node.document).await? {
            commit(self.store.as_ref(), batch).await?;
            self.document_recorded(agent, &node.document);
        }
        Ok(())
    }

    /// Remembers what a durable batch says of documents.
    pub(crate) fn document_recorded(&self, agent: &Did, document: &Arc<DidDocument>) {
        let used = (subject(agent), document.id.clone());
        self.ledger.documents.insert(used, Arc::clone(document));
    }
}

fn read_policy(path: &Path) -> Result<WitnessPolicy, StartError> {
    let text = fs::read_to_string(path)
        .map_err(|error| StartError::Data { path: path.to_owned(), error })?;
    WitnessPolicy::parse(&text)
        .map_err(|error| StartError::WitnessPolicy { path: path.to_owned(), error })
}

/// Commits a batch that demands nothing.
async fn commit(store: &dyn Store, batch: Batch) -> Result<(), StoreFault> {
    match store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Fault(fault)) => Err(fault),
        Err(CommitError::Conflict(_)) => Err(StoreFault::Corrupt("a batch of the log".to_owned())),
    }
}
