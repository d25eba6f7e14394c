//! What an operator can set: nothing is required. A TOML file, above it the environment, above that
//! flags.

mod ledger;
mod relay;
mod source;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use comity_core::limits::{MAILBOX_MESSAGES_MAX, WORK_PAID_BITS_MAX};
use comity_core::relay::RelayPolicy;
use comity_core::trust::{Policy, PolicySettings};
use comity_didcomm::Did;
use serde::Deserialize;
use thiserror::Error;

pub use ledger::{LedgerSettings, Readers};
pub use source::{ConfigError, Overrides};
pub use webhook::{WebhookSecret, WebhookUrl, WebhookUrlError};

/// Settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Data directory: the store, the keys, the admin token. One running node at a time.
    pub data: PathBuf,
    /// Public listener: envelopes, DID documents, WebFinger.
    pub listen: SocketAddr,
    /// Local listener: agents and the operator.
    pub local: SocketAddr,
    /// URL under which peers reach the public listener, without a path. In development mode
    /// `http://localhost:PORT` when absent.
    pub public_url: Option<String>,
    /// Which DID a new node is given under its public URL; absent: the one that it has, and a did:web
    /// if it is new.
    pub node_did: Option<NodeDid>,
    /// The relay that keeps this home's messages, for a home that peers cannot reach: a DID, the
    /// URL of a node, or an invitation. There is no public listener then.
    pub via: Option<String>,
    /// Development mode: plain http and loopback addresses are allowed for peers.
    pub dev: bool,
    /// Whether what two long-lived keys agree on is remembered. It makes repudiable messages of
    /// regular peers cheaper, and lets who can measure the time see that a sender is one.
    pub agreement_cache: bool,
    /// The node's log: who may read it, who has to witness it, how long what it is about is kept.
    pub ledger: LedgerSettings,
    /// Messages that one agent's mailbox holds at most; of one sender half as many.
    pub mailbox_messages_max: u32,
    /// Rules of all agents about who may reach them, and whom they may write to.
    pub policy: PolicySettings,
    /// What is different for single agents, by name.
    pub agents: BTreeMap<String, AgentSettings>,
    /// URL to which events are posted (Standard Webhooks).
    pub webhook_url: Option<WebhookUrl>,
    /// Secret with which they are signed, from the environment only; `webhook.secret` in the data
    /// directory, made when missing, when absent.
    pub webhook_secret: Option<WebhookSecret>,
    /// The agent by which the operator is asked about requests, and decides.
    pub operator: Option<Did>,
    /// What this node pays at most for a message of one of its agents, in bits, unless the message
    /// says otherwise.
    pub work_bits_max: u8,
    /// The relay role, if the node plays it.
    pub relay: Option<RelayPolicy>,
    /// File with the key that seals the keystore; `keystore.key` in the data directory, made when
    /// missing, when absent.
    pub key_file: Option<PathBuf>,
    /// Passphrase that seals the keystore, from the environment only.
    pub passphrase: Option<Passphrase>,
}

/// What is set for one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Its rules, over those of all agents.
    #[serde(default)]
    pub policy: PolicySettings,
}

/// The DID methods that a node can have under its public URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeDid {
    /// did:web.
    #[default]
    Web,
    /// did:webvh: as did:web, with a signed history.
    Webvh,
}

impl fmt::Display for NodeDid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "web",
            Self::Webvh => "webvh",
        })
    }
}

/// A text that names no DID method that a node can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("give web or webvh")]
pub struct NodeDidError;

impl FromStr for NodeDid {
    type Err = NodeDidError;

    fn from_str(text: &str) -> Result<Self, NodeDidError> {
        match text {
            "web" => Ok(Self::Web),
            "webvh" => Ok(Self::Webvh),
            _ => Err(NodeDidError),
        }
    }
}

/// A passphrase that shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(pub(crate) zeroize::Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Config {
    /// Returns the defaults for a data directory.
    #[must_use]
    pub fn in_directory(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7700)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 7701)),
            public_url: None,
            node_did: None,
            via: None,
            dev: false,
            agreement_cache: true,
            ledger: LedgerSettings::default(),
            mailbox_messages_max: MAILBOX_MESSAGES_MAX,
            policy: PolicySettings::default(),
            agents: BTreeMap::new(),
            webhook_url: None,
            webhook_secret: None,
            operator: None,
            work_bits_max: WORK_PAID_BITS_MAX,
            relay: None,
            key_file: None,
            passphrase: None,
        }
    }

    /// Returns the rules of an agent.
    #[must_use]
    pub fn policy_of(&self, agent: &str) -> Policy {
        match self.agents.get(agent) {
            Some(settings) => settings.policy.over(&self.policy).to_policy(),
            None => self.policy.to_policy(),
        }
    }

    /// Reads the settings: defaults, then the file, then the environment, then the flags. Without
    /// `file`, `comity.toml` in the data directory is read if it exists.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown, or a value has no meaning.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: Overrides,
    ) -> Result<Self, ConfigError> {
        source::load(file, environment, flags)
    }
}
