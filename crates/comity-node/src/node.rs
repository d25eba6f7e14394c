//! One running node: brings the parts up in order, and down again.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::api::{AddAgent, DidMethod};
use comity_core::record::digest_text;
use comity_core::trust::{Recipient, subject};
use comity_didcomm::{
    Did, DidDocument, DidError, Endpoint, PublicKey, Service, VerificationMethod, did,
    resolve_self_contained,
};
use comity_net::{
    AddressPolicy, Deliverer, Fetcher, ListenCounters, ListenLimits, LoopbackPeers, PeerConnector,
    Resolver, SafeConnector, Trust, serve,
};
use comity_store::records::agents::{self, AgentRecord, NodeRecord};
use comity_store::records::outbox;
use comity_store::{Batch, CommitError, FjallStore, LocalWake, Store, StoreFault};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::deliver::Mailboxes;
use crate::home::{Home, opened_cache};
use crate::identities::{Identities, Identity};
use crate::keystore::{KeySource, Keys, Keystore, KeystoreError, write_private};
use crate::limits::{AGENTS_MAX, DESTINATIONS_MAX, DOCUMENTS_MAX, STOP_DEADLINE};
use crate::local::{self, Local};
use crate::notices::Notices;
use crate::problem::{ApiCode, ApiError};
use crate::transmit::Transmitter;
use crate::{due, notices, public};

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use {path}: {error}")]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Another node runs on the data directory.
    #[error("a node is running on {0} already")]
    Running(PathBuf),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The reason.
        error: io::Error,
    },
    /// The keystore does not open.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The store does not open.
    #[error("the store does not open: {0}")]
    Open(#[from] comity_store::OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The node has another identity than the public URL gives it.
    #[error("this data directory belongs to {stored}, and the public URL says {given}")]
    Identity {
        /// The DID in the store.
        stored: Did,
        /// The DID by the public URL.
        given: Did,
    },
    /// An identity cannot be made or read.
    #[error("an identity of this node is not valid")]
    BadIdentity,
}

impl StartError {
    /// Says what to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Data { .. } => {
                "Check the path and its permissions, or name another with --data DIR"
            }
            Self::Running(_) => "Stop it first, or name another directory with --data DIR",
            Self::Listen { .. } => {
                "Another program may use the port: choose one with --listen and --local"
            }
            Self::Keystore(KeystoreError::OpenToOthers(_)) => "Take the rights away: chmod 600",
            Self::Keystore(_) => "Give the key file or passphrase that the data was made with",
            Self::Open(_) | Self::Store(_) => {
                "Check the disk; a store made by a newer version needs that version"
            }
            Self::Identity { .. } => {
                "Use the former --public-url, or start anew in another directory: a DID cannot move"
            }
            Self::BadIdentity => "Restore the data directory from a copy",
        }
        .to_owned()
    }

    /// Whether the operator's settings are the reason, and not this machine or program.
    #[must_use]
    pub const fn is_config(&self) -> bool {
        !matches!(self, Self::Open(_) | Self::Store(_) | Self::BadIdentity)
    }
}

/// What a node is once it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Its DID.
    pub did: String,
    /// URL of the public listener as peers see it; of the listener itself when peers cannot reach it.
    pub url: String,
    /// URL of the local listener.
    pub local: String,
    /// Its process.
    pub pid: u32,
}

/// A running node.
pub struct Node {
    ready: Ready,
    data: PathBuf,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    home: Arc<Home>,
    _lock: File,
}

impl Node {
    /// Starts a node; it answers when this returns.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let lock = lock(&config.data)?;
        let store = Arc::new(FjallStore::open(&config.data.join("store"))?);
        Self::run(config, store, lock).await
    }

    /// Starts a node on a store of the caller's: another engine, or one that fails as planned.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on(config: Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let lock = lock(&config.data)?;
        Self::run(config, store, lock).await
    }

    async fn run(config: Config, store: Arc<dyn Store>, lock: File) -> Result<Self, StartError> {
        let started = std::time::Instant::now();
        let admin_token = admin_token(&config.data)?;
        let public_listener = listen(config.listen).await?;
        let local_listener = listen(config.local).await?;
        let listen_url = url(&public_listener)?;
        let local_url = url(&local_listener)?;
        let port = local_address(&public_listener)?.port();
        let public_url = match &config.public_url {
            Some(url) => url.clone(),
            None if config.dev => format!("http://localhost:{port}"),
            None => String::new(),
        };
        let home = home(config, public_url, store).await?;
        let data = home.config.data.clone();
        let url = if home.public_url.is_empty() { listen_url } else { home.public_url.clone() };
        let ready =
            Ready { did: home.did.to_string(), url, local: local_url, pid: std::process::id() };

        let waiting = outbox::destinations(home.store.as_ref(), DESTINATIONS_MAX).await?;
        announce(&data, &ready)?;

        // From here on nothing fails.
        let (stop, stopping) = watch::channel(false);
        let local = Local {
            home: Arc::clone(&home),
            admin_digest: digest_text(admin_token.as_bytes()).into(),
            started,
            stopping: stopping.clone(),
        };
        // Loopback peers of the public listener are a reverse proxy, or a trial on one machine.
        let limits = ListenLimits { loopback: LoopbackPeers::Exempt, ..ListenLimits::default() };
        let listeners = vec![
            spawn_listener(public_listener, public::router(Arc::clone(&home)), &limits, &stopping),
            spawn_listener(local_listener, local::router(local), &limits, &stopping),
        ];
        let workers = vec![
            tokio::spawn(notices::run(Arc::clone(&home))),
            tokio::spawn(due::run(Arc::clone(&home))),
        ];
        home.transmitter.resume(&home, &waiting);
        home.notices.wake();
        Ok(Self { ready, data, stop, listeners, workers, home, _lock: lock })
    }

    /// Returns what the node is.
    #[must_use]
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Stops: accepts nothing more, lets what is under way finish, for at most ten seconds.
    pub async fn stop(self) {
        let _nobody_listens_any_more = self.stop.send(true);
        let ended = async {
            for listener in self.listeners {
                // One that panicked has ended too.
                drop(listener.await);
            }
        };
        if timeout(STOP_DEADLINE, ended).await.is_err() {
            tracing::warn!("connections were cut off");
        }
        self.workers.iter().for_each(JoinHandle::abort);
        self.home.transmitter.stop();
        let _it_may_be_gone = fs::remove_file(self.data.join("node.json"));
        tracing::info!(did = %self.home.did, "the node has stopped");
    }
}

/// Adds an agent, and returns it with its token.
pub(crate) async fn add_agent(
    home: &Home,
    request: &AddAgent,
) -> Result<(Arc<Identity>, String), ApiError> {
    let name = &request.name;
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_valid = (1..=64).contains(&name.len())
        && name.bytes().all(is_plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if !is_valid {
        let hint =
            "Use 1 to 64 characters of a-z, 0-9, -, _ and ., beginning with a letter or digit";
        return Err(ApiError::of(ApiCode::BadName, hint));
    }
    if AGENTS_MAX <= home.identities.count() {
        let hint = "Run another node for more";
        return Err(ApiError::of(ApiCode::TooManyAgents, hint));
    }
    if request.did == DidMethod::Web && home.public_url.is_empty() {
        let hint = "Start the node with --public-url or --dev, or add the agent with --did peer";
        return Err(ApiError::of(ApiCode::NoPublicUrl, hint));
    }
    let bad =
        |_| ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log");
    let keys = Keys::generate();
    let document = match request.did {
        DidMethod::Web => {
            let did = web_did(&home.public_url, &["agents", name]).map_err(bad)?;
            document_for(did, &keys, &home.public_url, Some(&home.did))
        }
        DidMethod::Peer => peer_document(&keys, &home.public_url, Some(&home.did)).map_err(bad)?,
    };
    let token = random_token();
    let record = AgentRecord {
        name: name.clone(),
        did: document.id.clone(),
        document: document.to_json(),
        token_digest: digest_text(token.as_bytes()),
        added_at: home.now(),
    };
    let sealed = home.keystore.seal(&record.did, &keys);
    let mut batch = Batch::new();
    agents::add(&mut batch, &record, &sealed);
    match home.store.commit(batch).await {
        Ok(_) => {}
        Err(CommitError::Conflict(_)) => {
            return Err(ApiError::of(ApiCode::NameTaken, "See comity agent list"));
        }
        Err(CommitError::Fault(fault)) => return Err(fault.into()),
    }
    let digest = record.token_digest;
    let identity = Identity::new(record.name, document, keys, digest, Recipient::Agent)
        .ok_or_else(|| {
            ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log")
        })?;
    Ok((home.identities.insert(identity), token))
}

async fn home(
    config: Config,
    public_url: String,
    store: Arc<dyn Store>,
) -> Result<Arc<Home>, StartError> {
    let policy = if config.dev { AddressPolicy::Development } else { AddressPolicy::Public };
    let keystore = Keystore::open(&key_source(&config))?;
    let identities = Arc::new(Identities::default());
    let did = load_node(store.as_ref(), &keystore, &identities, &public_url).await?;
    for record in agents::all(store.as_ref(), AGENTS_MAX).await? {
        let keys = load_keys(store.as_ref(), &keystore, &record.did).await?;
        let document = parse_document(&record.document, &record.did)?;
        let (name, digest) = (record.name, record.token_digest);
        let identity = Identity::new(name, document, keys, digest, Recipient::Agent);
        identities.insert(identity.ok_or(StartError::BadIdentity)?);
    }
    let connector = PeerConnector::new(SafeConnector::new(policy), Trust::Native);
    let fetcher = Arc::new(Fetcher::new(connector.clone()));
    let local = Arc::clone(&identities);
    Ok(Arc::new(Home {
        public_url,
        did,
        clock: Box::new(SystemClock),
        store,
        wake: LocalWake::new(),
        keystore,
        resolver: Resolver::new(Arc::clone(&fetcher), local),
        identities,
        fetcher,
        deliverer: Deliverer::new(connector),
        mailboxes: Mailboxes::default(),
        transmitter: Transmitter::default(),
        notices: Notices::default(),
        documents: Cache::new(DOCUMENTS_MAX),
        last_documents: Cache::new(DOCUMENTS_MAX),
        opened: opened_cache(),
        config,
    }))
}

/// Reads the node's own identity, or makes it at the first start.
async fn load_node(
    store: &dyn Store,
    keystore: &Keystore,
    identities: &Identities,
    public_url: &str,
) -> Result<Did, StartError> {
    let given = match public_url {
        "" => None,
        url => Some(web_did(url, &[]).map_err(|_| StartError::BadIdentity)?),
    };
    let (document, keys) = match agents::node(store).await? {
        Some(record) => {
            if let Some(given) = given.filter(|given| *given != record.did) {
                return Err(StartError::Identity { stored: record.did, given });
            }
            let keys = load_keys(store, keystore, &record.did).await?;
            (parse_document(&record.document, &record.did)?, keys)
        }
        None => {
            let keys = Keys::generate();
            let document = match given {
                Some(did) => document_for(did, &keys, public_url, None),
                None => {
                    peer_document(&keys, public_url, None).map_err(|_| StartError::BadIdentity)?
                }
            };
            let record = NodeRecord { did: document.id.clone(), document: document.to_json() };
            let mut batch = Batch::new();
            agents::put_node(&mut batch, &record, &keystore.seal(&record.did, &keys));
            store.commit(batch).await.map_err(|error| match error {
                CommitError::Fault(fault) => StartError::Store(fault),
                CommitError::Conflict(_) => StartError::BadIdentity,
            })?;
            (document, keys)
        }
    };
    let did = document.id.clone();
    let node = Identity::new(String::new(), document, keys, String::new(), Recipient::Home);
    identities.insert(node.ok_or(StartError::BadIdentity)?);
    Ok(did)
}

async fn load_keys(store: &dyn Store, keystore: &Keystore, did: &Did) -> Result<Keys, StartError> {
    let sealed = agents::sealed_keys(store, did).await?.ok_or(StartError::BadIdentity)?;
    Ok(keystore.unseal(did, &sealed)?)
}

fn parse_document(document: &serde_json::Value, did: &Did) -> Result<DidDocument, StartError> {
    DidDocument::parse(document.to_string().as_bytes(), did).map_err(|_| StartError::BadIdentity)
}

/// Builds the document of an identity of this home. Its controller is the home, which speaks for it in receipts.
fn document_for(did: Did, keys: &Keys, public_url: &str, controller: Option<&Did>) -> DidDocument {
    let signing = VerificationMethod::new(did.url("key-1"), keys.signing.public());
    let agreement = VerificationMethod::new(did.url("key-2"), keys.agreement.public());
    let mut document = DidDocument::new(did);
    let signing = document.add_key(signing);
    let agreement = document.add_key(agreement);
    document.authentication.push(signing);
    document.key_agreement.push(agreement);
    document.controller.extend(controller.cloned());
    if !public_url.is_empty() {
        let endpoint = Endpoint::new(format!("{public_url}/didcomm"));
        let id = document.id.url("didcomm");
        document.service.push(Service::didcomm(&id, &endpoint));
    }
    document
}

/// Makes a did:peer:4 and returns its document: what [`document_for`] says, with relative ids and without `id`.
fn peer_document(
    keys: &Keys,
    public_url: &str,
    controller: Option<&Did>,
) -> Result<DidDocument, DidError> {
    let method = |id: &str, key: PublicKey| json!({ "id": id, "type": "Multikey", "publicKeyMultibase": key.to_multibase() });
    let mut input = Map::new();
    if let Some(controller) = controller {
        // Its short form: the document is part of a DID that every message carries.
        input.insert("controller".to_owned(), json!(subject(controller)));
    }
    let methods =
        [method("#key-1", keys.signing.public()), method("#key-2", keys.agreement.public())];
    input.insert("verificationMethod".to_owned(), json!(methods));
    input.insert("authentication".to_owned(), json!(["#key-1"]));
    input.insert("keyAgreement".to_owned(), json!(["#key-2"]));
    if !public_url.is_empty() {
        let endpoint = json!({ "uri": format!("{public_url}/didcomm"), "accept": ["didcomm/v2"] });
        let service =
            json!({ "id": "#didcomm", "type": Service::DIDCOMM, "serviceEndpoint": endpoint });
        input.insert("service".to_owned(), json!([service]));
    }
    let peer = did::peer::create_4_from(&input)?;
    resolve_self_contained(&peer.long)?.ok_or(DidError::Method)
}

fn web_did(public_url: &str, path: &[&str]) -> Result<Did, DidError> {
    let authority = public_url.split_once("://").map_or(public_url, |(_, authority)| authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| DidError::Method)?)),
        None => (authority, None),
    };
    did::web::did_for(host, port, path)
}

fn key_source(config: &Config) -> KeySource {
    match (&config.passphrase, &config.key_file) {
        (Some(passphrase), _) => {
            KeySource::Passphrase(passphrase.0.clone(), config.data.join("keystore.salt"))
        }
        (None, Some(file)) => KeySource::File(file.clone()),
        (None, None) => KeySource::Generated(config.data.join("keystore.key")),
    }
}

fn spawn_listener(
    listener: TcpListener,
    router: axum::Router,
    limits: &ListenLimits,
    stopping: &watch::Receiver<bool>,
) -> JoinHandle<()> {
    let mut stopping = stopping.clone();
    let limits = limits.clone();
    tokio::spawn(async move {
        let stopped = async move {
            let _the_node_is_gone = stopping.wait_for(|stopping| *stopping).await.is_err();
        };
        let counters = Arc::new(ListenCounters::default());
        let drained = serve(listener, router, limits, counters, stopped).await;
        tracing::debug!(cut_off = drained.cut_off, "a listener has ended");
    })
}

/// Takes the data directory for this process alone.
fn lock(data: &Path) -> Result<File, StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let cannot = |error| StartError::Data { path: data.to_owned(), error };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(data).map_err(cannot)?;
    let file = File::create(data.join("lock")).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

/// Reads the admin token, or makes it at the first start.
fn admin_token(data: &Path) -> Result<String, StartError> {
    let path = data.join("admin.token");
    if !path.exists() {
        write_private(&path, random_token().as_bytes())?;
    }
    let text = fs::read_to_string(&path);
    text.map(|text| text.trim().to_owned()).map_err(|error| StartError::Data { path, error })
}

/// Writes where the node is found, whole or not at all.
fn announce(data: &Path, ready: &Ready) -> Result<(), StartError> {
    let path = data.join("node.json");
    let fresh = data.join("node.json.new");
    let cannot = |error| StartError::Data { path: path.clone(), error };
    let text = serde_json::to_string(ready).map_err(|error| cannot(io::Error::other(error)))?;
    fs::write(&fresh, text).map_err(cannot)?;
    fs::rename(&fresh, &path).map_err(cannot)
}

fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })
}

fn local_address(listener: &TcpListener) -> Result<std::net::SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|error| StartError::Listen { address: ([0, 0, 0, 0], 0).into(), error })
}

fn url(listener: &TcpListener) -> Result<String, StartError> {
    Ok(format!("http://{}", local_address(listener)?))
}
