//! The admin API's view of the node's log.

use serde::{Deserialize, Serialize};

/// The state of the node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogStatus {
    /// The key that signs checkpoints (a vkey of C2SP signed-note); its name is the log's origin.
    pub key: String,
    /// The key with which this node cosigns others' checkpoints.
    pub witness_key: String,
    /// Entries in the log.
    pub size: u64,
    /// The latest checkpoint, a signed note with its cosignatures; empty before the first.
    pub checkpoint: String,
    /// How many witnesses have cosigned it.
    pub cosignatures: usize,
    /// Who may read the log over HTTP: `counterparties`, `everyone` or `nobody`.
    pub readers: String,
    /// The witnesses that are asked, and up to which size each has cosigned.
    pub witnesses: Vec<LogWitness>,
    /// The logs of others that this node cosigns.
    pub others: Vec<OtherLog>,
}

/// A witness of the node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogWitness {
    /// Its key, a vkey.
    pub key: String,
    /// The prefix under which it takes checkpoints.
    pub url: String,
    /// The size up to which it has cosigned.
    pub cosigned: u64,
}

/// The log of another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OtherLog {
    /// The node.
    pub node: String,
    /// Its key, a vkey.
    pub key: String,
    /// The size that this node has cosigned; absent if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigned: Option<u64>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigned_at: Option<String>,
    /// What it did that an honest log does not do.
    pub contradictions: Vec<LogContradiction>,
}

/// Two pieces that cannot both be true of an honest log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogContradiction {
    /// What was found: `another-log`, `back-dated`, `fork`, `not-continued` or `rolled-back`.
    pub finding: String,
    /// When.
    pub at: String,
    /// One piece, as it was signed.
    pub first: String,
    /// The other.
    pub second: String,
}

/// A statement in an agent's chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementInfo {
    /// Its number in the chain.
    pub seq: u64,
    /// Its index in the log.
    pub index: u64,
    /// The statement (`docs/protocols/log.md`, section 1).
    pub statement: serde_json::Value,
    /// Whether what it is about is kept, so that it can be shown.
    pub kept: bool,
}

/// A resource of the log, as tlog-tiles names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogResource {
    /// Its path under the log's prefix.
    pub path: String,
    /// What is there, base64.
    pub content: String,
}

/// What is to be forgotten: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// The message with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The messages of this thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The messages from and to somebody: a DID or a handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forgotten {
    /// How many texts were erased, with the salts of their digests.
    pub erased: u64,
}
