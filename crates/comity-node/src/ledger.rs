//! The node's log: its keys, and the one way in which statements get into it.
//!
//! Statements are written in the batch of what they record. The rest goes on beside: checkpoints are
//! made, others witness them, and the log is served.

mod audit;
mod checkpoint;
mod export;
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

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::inbound::{Commit, Placement};
use comity_core::limits::DAY_S;
use comity_core::log::{
    Act, Checkpoint, KeyKind, NoteKey, Statement, TagSecret, VerifierKey, WitnessPolicy,
};
use comity_core::outbound::Queued;
use comity_core::record::digest_text;
use comity_core::trust::subject;
use comity_didcomm::{Did, DidDocument, SigningKey, UnixTime};
use comity_store::records::documents;
use comity_store::records::log::{self, Ledger as Recording};
use comity_store::{Batch, CommitError, Store, StoreFault};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::config::LedgerSettings;
use crate::home::Home;
use crate::identities::Identity;
use crate::keystore::Keystore;
use crate::limits::{DOCUMENTS_MAX, FORGOTTEN_AT_ONCE, LOGS_KNOWN_MAX};
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
    /// When logs were audited last.
    audited: Mutex<HashMap<VerifierKey, tokio::time::Instant>>,
    /// One cosignature is kept at a time.
    keeping: tokio::sync::Mutex<()>,
    /// Whether another witness is known since the last look.
    is_another_known: AtomicBool,
    /// Whether the operator was told that the log is shorter than it was.
    is_roll_back_told: AtomicBool,
}

struct Keys {
    tags: TagSecret,
    log: NoteKey,
    witness: NoteKey,
}

/// The keys as they are stored.
#[derive(Serialize, Deserialize)]
struct StoredKeys {
    /// Name of the log and of its key.
    origin: String,
    /// Three times 32 bytes, sealed: for tags, for checkpoints, for cosignatures.
    sealed: String,
}

/// What the keys are made of: for tags, for checkpoints, for cosignatures.
type Seeds = Zeroizing<[[u8; 32]; 3]>;

/// The name of what several statements are about: when it was kept, and its SHA-256.
pub(crate) type Shared = Vec<u8>;

/// What opens the digest of a statement.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) salt: [u8; 16],
    pub(crate) object: String,
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
    /// Returns how a statement about a message is recorded, with what opens its digest.
    pub(crate) fn recording(&self, opening: Option<(&[u8; 16], &str)>) -> Recording<'_> {
        self.keeping(opening.map(|(salt, object)| (salt, object.as_bytes())))
    }

    /// Returns how a statement is recorded whose object [`Self::share`] has kept.
    pub(crate) fn recording_shared(&self, salt: &[u8; 16], shared: &[u8]) -> Recording<'_> {
        self.keeping(Some((salt, &[&[SHARED][..], shared].concat())))
    }

    /// Adds to a batch what statements of several agents are about.
    pub(crate) fn share(&self, batch: &mut Batch, object: &str) -> Shared {
        let digest = digest_text(object.as_bytes());
        let shared = [&self.now().0.to_be_bytes()[..], digest.as_bytes()].concat();
        if self.ledger.keys.is_some() {
            let sealed = self.keystore.seal_bytes(KEPT, object.as_bytes());
            log::keep_shared(batch, &shared, sealed);
        }
        shared
    }

    fn keeping(&self, opening: Option<(&[u8; 16], &[u8])>) -> Recording<'_> {
        let recording = self.ledger.recording();
        match opening.filter(|_| recording.is_kept()) {
            Some((salt, object)) => {
                let plain = Zeroizing::new([&salt[..], object].concat());
                let sealed = self.keystore.seal_bytes(KEPT, &plain);
                // When it was kept is not secret: it says when it is to be forgotten.
                recording.keeping(Some([&self.now().0.to_be_bytes()[..], &sealed].concat()))
            }
            None => recording,
        }
    }

    /// Returns how what is said of an outgoing message is recorded.
    pub(crate) fn recording_of(&self, queued: &Queued) -> Recording<'_> {
        self.recording(queued.opening().filter(|_| queued.statement().is_some()))
    }

    /// Opens what is kept of a statement's object.
    pub(crate) async fn open_kept(&self, kept: &[u8]) -> Result<Option<Opening>, StoreFault> {
        let unseal = |sealed: &[u8]| self.keystore.unseal_bytes(KEPT, sealed).ok();
        let plain = kept.split_first_chunk::<8>().and_then(|(_, sealed)| unseal(sealed));
        let Some((salt, object)) = plain.as_ref().and_then(|plain| plain.split_first_chunk())
        else {
            return Ok(None);
        };
        let object = match object {
            [SHARED, name @ ..] => {
                let shared = log::shared(self.store.as_ref(), name).await?;
                shared.and_then(|sealed| unseal(&sealed)).map(|object| object.to_vec())
            }
            object => Some(object.to_vec()),
        };
        let object = object.and_then(|object| String::from_utf8(object).ok());
        Ok(object.map(|object| Opening { salt: *salt, object }))
    }

    /// Forgets what was kept long enough.
    async fn forget_old(&self) -> Result<(), StoreFault> {
        let kept_s = u64::from(self.config.ledger.messages_days) * DAY_S;
        let oldest = self.now().0.saturating_sub(kept_s);
        self.forget_old_shared(oldest).await?;
        let mut from = 0;
        loop {
            let page = log::kept_from(self.store.as_ref(), from, FORGOTTEN_AT_ONCE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = last + 1;
            let is_old = |kept: &[u8]| {
                kept.first_chunk::<8>().is_none_or(|at| u64::from_be_bytes(*at) < oldest)
            };
            let mut batch = Batch::new();
            let old = page.iter().filter(|(_, kept)| is_old(kept));
            old.for_each(|(index, _)| log::forget_kept(&mut batch, *index));
            // They lie in the order of their age, but for what clocks did.
            if batch.is_empty() {
                return Ok(());
            }
            commit(self.store.as_ref(), batch).await?;
        }
    }

    /// Forgets what several statements were about and was kept long enough.
    async fn forget_old_shared(&self, oldest: u64) -> Result<(), StoreFault> {
        loop {
            let (mut batch, end) = (Batch::new(), (&oldest.to_be_bytes()[..], FORGOTTEN_AT_ONCE));
            if !log::forget_shared_before(self.store.as_ref(), &mut batch, end).await? {
                return Ok(());
            }
            commit(self.store.as_ref(), batch).await?;
        }
    }

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
        document: &DidDocument,
    ) -> Result<bool, StoreFault> {
        if self.ledger.keys.is_none() {
            return Ok(false);
        }
        let last = self.ledger.documents.get(&(subject(agent), document.id.clone()));
        if last.is_some_and(|last| *last == *document) {
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
    pub(crate) fn document_recorded(&self, agent: &Did, document: &DidDocument) {
        let used = (subject(agent), document.id.clone());
        self.ledger.documents.insert(used, Arc::new(document.clone()));
    }
}

impl Keys {
    /// Unseals what the keys are made of, and the name of the log.
    fn seeds(keystore: &Keystore, row: &[u8]) -> Result<(Seeds, String), StartError> {
        let damaged = || StoreFault::Corrupt("the keys of the log".to_owned());
        let stored: StoredKeys = serde_json::from_slice(row).map_err(|_| damaged())?;
        let sealed = URL_SAFE_NO_PAD.decode(&stored.sealed).map_err(|_| damaged())?;
        let plain = keystore.unseal_bytes(&stored.origin, &sealed)?;
        let (seeds, rest) = plain.as_chunks::<32>();
        let seeds: [[u8; 32]; 3] = seeds.try_into().map_err(|_| damaged())?;
        if rest.is_empty() {
            Ok((Zeroizing::new(seeds), stored.origin))
        } else {
            Err(damaged().into())
        }
    }

    fn read(keystore: &Keystore, row: &[u8]) -> Result<Self, StartError> {
        let (seeds, origin) = Self::seeds(keystore, row)?;
        let [tags, log, witness] = &*seeds;
        let key = |kind, seed: &[u8; 32]| {
            let key = SigningKey::from_seed(Zeroizing::new(*seed));
            let damaged = |_| StoreFault::Corrupt("the keys of the log".to_owned());
            NoteKey::new(&origin, kind, key).map_err(damaged)
        };
        Ok(Self {
            tags: TagSecret::new(tags),
            log: key(KeyKind::Log, log)?,
            witness: key(KeyKind::Witness, witness)?,
        })
    }

    async fn make(
        store: &dyn Store,
        keystore: &Keystore,
        (did, public_url): (&Did, &str),
        tags: &[u8; 32],
    ) -> Result<Self, StartError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(96));
        plain.extend_from_slice(tags);
        for _ in 0..2 {
            let seed = Zeroizing::new(rand::random::<[u8; 32]>());
            plain.extend_from_slice(seed.as_ref());
        }
        let sealed = |origin: &str| {
            let sealed = URL_SAFE_NO_PAD.encode(keystore.seal_bytes(origin, &plain));
            serde_json::to_vec(&StoredKeys { origin: origin.to_owned(), sealed })
        };
        // Under the prefix at which the log is served (C2SP tlog-tiles); a node that begins anew under
        // the same name has another log.
        let place = match public_url.split_once("://") {
            Some((_, place)) => place.trim_end_matches('/').to_owned(),
            None => subject(did).to_string(),
        };
        let number: u32 = rand::random();
        let row = sealed(&format!("{place}/log/{number:08x}"));
        let row = row.map_err(|_| StoreFault::Corrupt("the keys of the log".to_owned()))?;
        let mut batch = Batch::new();
        log::put_keys(&mut batch, row.clone());
        commit(store, batch).await?;
        Self::read(keystore, &row)
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

/// Under which name the objects of statements are sealed. No DID is called like it.
const KEPT: &str = "kept";

/// What stands before the name of an object that several statements are about. No text begins with it.
const SHARED: u8 = 0;
