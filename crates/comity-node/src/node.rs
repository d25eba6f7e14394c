//! One running node: brings the parts up in order, and down again.

mod data_dir;
mod identity;

pub(crate) use identity::{Reason, Whose, add_agent, peer_document, place, rotate, web_did};

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use comity_core::log::PolicyError;
use comity_core::record::digest_text;
use comity_core::trust::WorkSecret;
use comity_didcomm::Did;
use comity_net::{
    AddressPolicy, Deliverer, Fetcher, ListenCounters, ListenLimits, LoopbackPeers, PeerConnector,
    Resolver, SafeConnector, SocketDialer, Trust, serve,
};
use comity_store::records::outbox;
use comity_store::{FjallStore, LocalWake, OpenError, Store, StoreFault};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, NodeDid};
use crate::deliver::Mailboxes;
use crate::events::News;
use crate::home::{Home, endpoint, opened_cache};
use crate::identities::Identities;
use crate::keystore::{KeySource, Keystore, KeystoreError};
use crate::ledger::Ledger;
use crate::limits::{DESTINATIONS_MAX, DOCUMENTS_MAX, STOP_DEADLINE};
use crate::local::{self, Local};
use crate::notices::Notices;
use crate::operator::Told;
use crate::policies::Policies;
use crate::relay::Lives;
use crate::transmit::Transmitter;
use crate::via::ViaError;
use crate::vouches::Vouches;
use crate::webhook::Webhook;
use crate::{due, ledger, notices, operator, public, via, webhook};

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
        address: SocketAddr,
        /// The reason.
        error: io::Error,
    },
    /// The keystore does not open.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The store does not open.
    #[error("the store does not open: {0}")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The node has another identity than the settings give it.
    #[error("this data directory belongs to {stored}, and the settings say {given}")]
    Identity {
        /// The DID in the store.
        stored: Did,
        /// The DID by the settings; of a did:webvh the place counts, and the rest is a draft.
        given: Did,
    },
    /// The node cannot have the DID that it is told to have.
    #[error("a node without a host name cannot have a did:{0}")]
    NodeDid(NodeDid),
    /// The node cannot be a home behind the relay that it is told to.
    #[error(transparent)]
    Via(#[from] ViaError),
    /// The file does not hold the webhook's secret.
    #[error("{0} does not hold the webhook's secret")]
    WebhookSecret(PathBuf),
    /// The log is shorter than what witnesses have cosigned of it, or another.
    #[error(
        "the log has {has} entries and does not continue the {cosigned} that were cosigned: this store is older than it was, or was changed"
    )]
    RolledBack {
        /// How many entries it has.
        has: u64,
        /// How many were cosigned.
        cosigned: u64,
    },
    /// The file is no witness policy.
    #[error("{path} is no witness policy: {error}")]
    WitnessPolicy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PolicyError,
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
            Self::Open(OpenError::Older { .. }) => {
                "Begin anew: name an empty directory with --data DIR, and keep this one with the program that made it"
            }
            Self::Open(OpenError::Newer { .. }) => "Start the version that made it, or a newer one",
            Self::Open(OpenError::Locked) => "Stop the program that has it open",
            Self::Open(_) | Self::Store(_) => "Check the disk and its permissions",
            Self::Identity { .. } => {
                "Use the former --public-url and --node-did, or start anew in another directory: a DID cannot move"
            }
            Self::NodeDid(_) => {
                "Give a --public-url with a name, or leave --node-did out; a did:web may have an address too"
            }
            Self::Via(error) => error.hint(),
            Self::WebhookSecret(_) => {
                "Take the file away, and the node makes a new one; the receiver needs it then"
            }
            Self::RolledBack { .. } => {
                "Restore a newer copy of the data directory. If there is none: comity up --new-log begins another log, which your counterparties are told"
            }
            Self::WitnessPolicy { .. } => "Correct the file: it has the format of C2SP tlog-policy",
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
    /// URL of the public listener as peers see it; of the listener itself when peers cannot reach
    /// it; the DID of the relay for a home behind one.
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
        let lock = data_dir::lock(&config.data)?;
        let store = Arc::new(FjallStore::open(&config.data.join("store"))?);
        Self::run(config, store, lock).await
    }

    /// Starts a node on a store of the caller's: another engine, or one that fails as planned.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on(config: Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let lock = data_dir::lock(&config.data)?;
        Self::run(config, store, lock).await
    }

    async fn run(config: Config, store: Arc<dyn Store>, lock: File) -> Result<Self, StartError> {
        let started = std::time::Instant::now();
        let admin_token = data_dir::admin_token(&config.data)?;
        // Peers write to the relay of a home that has one, and to nothing here.
        let is_behind = via::is_wanted(&config, store.as_ref()).await?;
        if is_behind && config.relay.is_some() {
            return Err(ViaError::IsRelay.into());
        }
        let public_listener = match is_behind {
            true => None,
            false => Some(listen(config.listen).await?),
        };
        let (local_listener, local_address) = listen(config.local).await?;
        let public_url = match (&config.public_url, &public_listener) {
            (Some(url), _) => url.clone(),
            (None, Some((_, address))) if config.dev => {
                format!("http://localhost:{}", address.port())
            }
            _ => String::new(),
        };
        let home = home(config, public_url, store).await?;
        ledger::check(&home).await?;
        home.record_all_own().await?;
        let data = home.config.data.clone();
        let url = match (&home.via, &public_listener) {
            (Some(via), _) => via.parties.routing.to_string(),
            (None, Some((_, address))) if home.public_url.is_empty() => format!("http://{address}"),
            _ => home.public_url.clone(),
        };
        let ready = Ready {
            did: home.did.to_string(),
            url,
            local: format!("http://{local_address}"),
            pid: std::process::id(),
        };

        let waiting = outbox::destinations(home.store.as_ref(), DESTINATIONS_MAX).await?;
        data_dir::announce(&data, &ready)?;

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
        let mut listeners =
            vec![spawn_listener(local_listener, local::router(local), &limits, &stopping)];
        if let Some((listener, _)) = public_listener {
            let router = public::router(Arc::clone(&home), stopping.clone());
            listeners.push(spawn_listener(listener, router, &limits, &stopping));
        }
        let mut workers = vec![
            tokio::spawn(notices::run(Arc::clone(&home))),
            tokio::spawn(due::run(Arc::clone(&home))),
            tokio::spawn(identity::tidy(Arc::clone(&home))),
            tokio::spawn(ledger::run(Arc::clone(&home))),
        ];
        if let Some(webhook) = &home.webhook {
            workers.push(tokio::spawn(webhook::run(Arc::clone(&home), Arc::clone(webhook))));
        }
        if let Some(operator) = home.config.operator.clone() {
            workers.push(tokio::spawn(operator::run(Arc::clone(&home), operator)));
        }
        if let Some(via) = &home.via {
            workers.push(tokio::spawn(via::run(Arc::clone(&home), Arc::clone(via))));
        }
        home.transmitter.resume(&home, &waiting);
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

async fn home(
    config: Config,
    public_url: String,
    store: Arc<dyn Store>,
) -> Result<Arc<Home>, StartError> {
    let policy = if config.dev { AddressPolicy::Development } else { AddressPolicy::Public };
    let keystore = Keystore::open(&key_source(&config))?;
    let identities = if config.agreement_cache {
        Identities::with_agreement_cache()
    } else {
        Identities::default()
    };
    let identities = Arc::new(identities);
    let connector = PeerConnector::new(SafeConnector::new(policy), Trust::Native);
    let fetcher = Arc::new(Fetcher::new(connector.clone()));
    let local = Arc::clone(&identities);
    let resolver = Resolver::new(Arc::clone(&fetcher), local);
    let deliverer = Deliverer::new(connector.clone());
    let webhook = webhook(&config, &connector)?;
    let relay = config.via.as_deref();
    let keys = (store.as_ref(), &keystore);
    let via = via::enrol(relay, keys, (&resolver, &fetcher, &deliverer), SystemClock.now()).await?;
    let endpoint = endpoint(&public_url, via.as_ref());
    let wanted = identity::Wanted {
        public_url: &public_url,
        endpoint: endpoint.as_deref(),
        did: config.node_did,
    };
    let did = identity::load_node(keys, &identities, &wanted, SystemClock.now()).await?;
    identity::load_agents(store.as_ref(), &keystore, &identities).await?;
    let admission = Admission::load(keys, &identities, &did).await?;
    let names = (&did, public_url.as_str());
    let ledger = Ledger::load(keys, names, &config.ledger).await?;
    let vouches = Vouches::load(store.as_ref(), SystemClock.now()).await?;
    Ok(Arc::new(Home {
        public_url,
        did,
        clock: Box::new(SystemClock),
        store,
        wake: LocalWake::new(),
        keystore,
        ledger,
        secret: WorkSecret::new(&rand::random()),
        resolver,
        identities,
        admission,
        fetcher,
        deliverer,
        dialer: SocketDialer::new(connector),
        via: via.map(Arc::new),
        mailboxes: Mailboxes::default(),
        transmitter: Transmitter::default(),
        notices: Notices::default(),
        news: News::default(),
        told: Told::default(),
        webhook,
        relay: Lives::default(),
        vouches,
        policies: Policies::new(&config),
        documents: Cache::new(DOCUMENTS_MAX),
        last_documents: Cache::new(DOCUMENTS_MAX),
        opened: opened_cache(),
        config,
    }))
}

fn webhook(config: &Config, connector: &PeerConnector) -> Result<Option<Arc<Webhook>>, StartError> {
    let Some(url) = config.webhook_url.clone() else { return Ok(None) };
    let (secret, file) = match config.webhook_secret.clone() {
        Some(secret) => (secret, None),
        None => {
            let (secret, file) = data_dir::webhook_secret(&config.data)?;
            (secret, Some(file))
        }
    };
    let webhook = Webhook::new(url, secret.secrets(), file, connector.clone());
    Ok(Some(Arc::new(webhook)))
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

/// Listens, and says on which port if it was left open.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let cannot = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}
