//! Settings of the node's log, the table `ledger`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the node's log is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSettings {
    /// Whether there is one. Without it nothing can be proved later; what it costs is told by
    /// `comity bench`.
    pub kept: bool,
    /// How long signed messages are kept for evidence, in days.
    pub messages_days: u32,
    /// Who may read the log over HTTP.
    pub readers: Readers,
    /// File with the witnesses that are asked to cosign, and the quorum of them that counts, in the
    /// format of C2SP tlog-policy.
    pub witness_policy: Option<PathBuf>,
    /// Whether the node begins another log at this start: for one whose store was restored from an old
    /// copy. Its counterparties are told, and take notice.
    #[serde(skip)]
    pub begin_anew: bool,
}

/// Who may read a log over HTTP. It holds hashes only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// Nodes that this one exchanges receipts with, by a token that they sign.
    #[default]
    Counterparties,
    /// Everybody.
    Everyone,
    /// Nobody.
    Nobody,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            kept: true,
            messages_days: 400,
            readers: Readers::Counterparties,
            witness_policy: None,
            begin_anew: false,
        }
    }
}
