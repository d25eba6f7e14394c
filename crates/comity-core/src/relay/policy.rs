//! What the operator of a relay can choose.

use std::str::FromStr;

use comity_didcomm::Did;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{
    RELAY_AGE_S_MAX, RELAY_BYTES_MAX, RELAY_MESSAGES_MAX, RELAY_RECIPIENTS_MAX,
    RELAY_TOTAL_BYTES_MAX,
};

/// Settings of the relay role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayPolicy {
    /// Who may register.
    pub register: Register,
    /// Who may register in any case.
    pub allow: Vec<Did>,
    /// Which DIDs a registrant may have messages taken for.
    pub recipients: Recipients,
    /// How much.
    pub quotas: Quotas,
}

/// Who may register with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Register {
    /// Those that the operator lists.
    AllowList,
    /// These, and whoever holds an invitation of this relay.
    Invitation,
    /// Everybody.
    Open,
}

/// Which DIDs a registrant may have messages taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipients {
    /// Any that nobody has proven to speak for.
    Any,
    /// Its own, and those that it proves to speak for.
    Proven,
}

/// How much a relay holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// DIDs of one registrant.
    pub recipients_max: u32,
    /// Messages of one recipient; of one registrant's recipients together ten times as many.
    pub messages_max: u32,
    /// Bytes of one recipient; of one registrant's recipients together ten times as many.
    pub bytes_max: u64,
    /// Bytes of all messages together, whoever has them registered.
    pub total_bytes_max: u64,
    /// Age of a message in seconds.
    pub age_s_max: u64,
}

impl Register {
    /// Returns the word in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowList => "allow-list",
            Self::Invitation => "invitation",
            Self::Open => "open",
        }
    }
}

/// A word that is no choice of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such choice")]
pub struct UnknownChoice;

impl FromStr for Register {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "allow-list" => Ok(Self::AllowList),
            "invitation" => Ok(Self::Invitation),
            "open" => Ok(Self::Open),
            _ => Err(UnknownChoice),
        }
    }
}

impl FromStr for Recipients {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "any" => Ok(Self::Any),
            "proven" => Ok(Self::Proven),
            _ => Err(UnknownChoice),
        }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            recipients_max: RELAY_RECIPIENTS_MAX,
            messages_max: RELAY_MESSAGES_MAX,
            bytes_max: RELAY_BYTES_MAX,
            total_bytes_max: RELAY_TOTAL_BYTES_MAX,
            age_s_max: RELAY_AGE_S_MAX,
        }
    }
}

impl Default for RelayPolicy {
    /// Invitations, proven recipients, the default quotas: safe on the open Internet.
    fn default() -> Self {
        Self {
            register: Register::Invitation,
            allow: Vec::new(),
            recipients: Recipients::Proven,
            quotas: Quotas::default(),
        }
    }
}
