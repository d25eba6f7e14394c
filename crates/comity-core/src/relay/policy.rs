//! What the operator of a relay can choose.

use std::str::FromStr;

use comity_didcomm::Did;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::admission::{Class, Rule};
use crate::limits::{
    HELD_BYTES_MAX, REGISTRANT_SHARE, RELAY_AGE_S_MAX, RELAY_BYTES_MAX, RELAY_MESSAGES_MAX,
    RELAY_PAID_PERCENT, RELAY_RECIPIENTS_MAX, RELAY_STRANGERS_PERCENT, RELAY_TOTAL_BYTES_MAX,
    UNADMITTED_SHARE, WORK_BITS_DEFAULT,
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
    /// What strangers may fill of one recipient's part, in percent, if its rule says nothing.
    pub strangers_percent: u8,
    /// What a place in a pool of its own costs somebody for whom that part is full, in bits; 0: there
    /// is none to be had.
    pub work_bits: u8,
}

/// How much a relay holds of those who are not a recipient's friends. A message waits in all three
/// pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Messages of one class for the recipient.
    pub messages_max: u64,
    /// Bytes of one class for the recipient.
    pub bytes_max: u64,
    /// Messages of both classes for all recipients of the registrant.
    pub registrant_messages_max: u64,
    /// Bytes of both classes for all recipients of the registrant.
    pub registrant_bytes_max: u64,
    /// Bytes of both classes in all.
    pub total_bytes_max: u64,
}

impl Quotas {
    /// Returns the bounds of the pool of a class; friends have none but the recipient's own.
    #[must_use]
    pub fn pool(&self, class: Class, rule: Option<&Rule>) -> Option<Pool> {
        let percent = match class {
            Class::Friend => return None,
            Class::Paid => RELAY_PAID_PERCENT,
            Class::Stranger => {
                rule.and_then(|rule| rule.pool_percent).unwrap_or(self.strangers_percent)
            }
        };
        // Where there is a pool at all, it has room for one message.
        let part = |max: u64, one: u64| {
            let percent = u64::from(percent.min(100));
            let exact = u64::try_from(u128::from(max) * u128::from(percent) / 100).unwrap_or(max);
            if percent == 0 { 0 } else { exact.max(one).min(max) }
        };
        let messages_max = u64::from(self.messages_max);
        let of_registrant = |max: u64| {
            max.saturating_mul(u64::from(REGISTRANT_SHARE)) / u64::from(UNADMITTED_SHARE)
        };
        Some(Pool {
            messages_max: part(messages_max, 1),
            bytes_max: part(self.bytes_max, HELD_BYTES_MAX as u64),
            registrant_messages_max: of_registrant(messages_max),
            registrant_bytes_max: of_registrant(self.bytes_max),
            total_bytes_max: self.total_bytes_max / u64::from(UNADMITTED_SHARE),
        })
    }
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
            strangers_percent: RELAY_STRANGERS_PERCENT,
            work_bits: WORK_BITS_DEFAULT,
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
