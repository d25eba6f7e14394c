//! What an operator sets for all messages to and from an agent: one of four templates, and what is
//! changed of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use comity_didcomm::ProtocolId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::Level;
use crate::limits::WORK_BITS_DEFAULT;
use crate::protocol::discover_features::DISCOVER_FEATURES;
use crate::protocol::trust_ping::TRUST_PING;
use crate::protocol::{EMPTY, REPORT_PROBLEM};

/// The rules of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What it is made from.
    pub template: Template,
    /// What a stranger's request costs, in bits of work, while few wait; 0: nothing.
    pub work_bits: u8,
    /// Whom the agent may write to.
    pub outbound: OutboundRule,
    /// Levels that protocols need, where they differ from what is built in.
    pub levels: BTreeMap<ProtocolId, Level>,
    /// What it takes to go up by itself, with the template `ants`.
    pub ants: Thresholds,
}

/// What it takes to go up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Thresholds {
    /// To the level `introduced`.
    pub introduced: Threshold,
    /// To the level `message`; nobody gets further so.
    pub message: Threshold,
}

/// What it takes to reach a level: to have been known for long and to have had messages processed, or
/// vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Days since the agent first had to do with the sender, if it has also processed so many messages
    /// of it.
    pub days: u32,
    /// These messages, at least 1.
    pub messages: NonZeroU32,
    /// Anchors over which there are vouches for this level, at least 1; these do alone.
    pub vouchers: NonZeroU32,
}

impl Thresholds {
    const DEFAULT: Self = Self {
        introduced: Threshold { days: 1, messages: NonZeroU32::MIN, vouchers: NonZeroU32::MIN },
        message: Threshold {
            days: 7,
            messages: NonZeroU32::MIN.saturating_add(9),
            vouchers: NonZeroU32::MIN.saturating_add(2),
        },
    };
}

impl Threshold {
    /// Whether somebody has come so far, who is known for so many seconds.
    pub(super) fn is_reached(&self, age_s: u64, processed: u64, vouchers: usize) -> bool {
        let is_known_for_long =
            u64::from(self.days) * 86_400 <= age_s && u64::from(self.messages.get()) <= processed;
        is_known_for_long || self.vouchers.get() as usize <= vouchers
    }
}

/// Rules to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// As `guarded`; and who has been known for long and had many messages processed, or is vouched for by
    /// several, goes up by itself, to `message` at most ([`Policy::ants`]). After the ANTS registry, whose
    /// tokens of work are taken too.
    Ants,
    /// Who has neither an entry, nor a grant, nor enough vouches is refused.
    Closed,
    /// A stranger leaves one request, which costs work and waits for the operator.
    #[default]
    Guarded,
    /// Whoever proves a DID may send messages.
    Open,
}

/// Whom an agent may write to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutboundRule {
    /// Those that an entry on the way out allows, and those who wrote first, in their thread.
    Listed,
    /// Everybody whom no entry on the way out denies.
    #[default]
    Open,
}

/// What a configuration says about a policy; what it leaves out is the template's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// As [`Policy::template`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// As [`Policy::work_bits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_bits: Option<u8>,
    /// As [`Policy::outbound`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<OutboundRule>,
    /// As [`Policy::levels`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "needed")]
    pub levels: BTreeMap<ProtocolId, Level>,
    /// As [`Policy::ants`].
    #[serde(default, skip_serializing_if = "ThresholdSettings::is_empty")]
    pub ants: ThresholdSettings,
}

/// What a configuration says about a [`Thresholds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdSettings {
    /// As [`Thresholds::introduced`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduced: Option<Threshold>,
    /// As [`Thresholds::message`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Threshold>,
}

impl ThresholdSettings {
    const fn is_empty(&self) -> bool {
        self.introduced.is_none() && self.message.is_none()
    }
}

impl Policy {
    /// Returns the rules of a template.
    #[must_use]
    pub const fn of(template: Template) -> Self {
        let work_bits = match template {
            Template::Ants | Template::Guarded => WORK_BITS_DEFAULT,
            Template::Closed | Template::Open => 0,
        };
        Self {
            template,
            work_bits,
            outbound: OutboundRule::Open,
            levels: BTreeMap::new(),
            ants: Thresholds::DEFAULT,
        }
    }

    /// Returns the level that a protocol needs.
    #[must_use]
    pub fn required(&self, protocol: &ProtocolId) -> Level {
        let set = self.levels.iter().filter(|(known, _)| known.matches(protocol));
        if let Some(level) = set.map(|(_, level)| *level).max() {
            return level;
        }
        let is = |known: &str| known.parse().is_ok_and(|known| protocol.matches(&known));
        if is(&format!("{TASK}/{}.0", protocol.major())) {
            return Level::Task;
        }
        if INTRODUCED.into_iter().any(is) { Level::Introduced } else { Level::Message }
    }

    /// Returns the level of what is given for these protocols when none is named: as far as they need,
    /// and messages at least.
    #[must_use]
    pub fn level_for(&self, protocols: &[ProtocolId]) -> Level {
        let needed = protocols.iter().map(|protocol| self.required(protocol));
        needed.fold(Level::Message, Level::max)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(Template::default())
    }
}

impl PolicySettings {
    /// Puts these settings over others.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let mut levels = below.levels.clone();
        levels.extend(self.levels.clone());
        let of_below = below.template.unwrap_or_default();
        let is_same = self.template.is_none_or(|template| template == of_below);
        Self {
            template: self.template.or(below.template),
            // What was set beside another template is not kept when the template changes.
            work_bits: self.work_bits.or(below.work_bits.filter(|_| is_same)),
            outbound: self.outbound.or(below.outbound),
            levels,
            ants: ThresholdSettings {
                introduced: self.ants.introduced.or(below.ants.introduced),
                message: self.ants.message.or(below.ants.message),
            },
        }
    }

    /// Returns the policy that they make.
    #[must_use]
    pub fn to_policy(&self) -> Policy {
        let template = Policy::of(self.template.unwrap_or_default());
        Policy {
            work_bits: self.work_bits.unwrap_or(template.work_bits),
            outbound: self.outbound.unwrap_or(template.outbound),
            levels: self.levels.clone(),
            ants: Thresholds {
                introduced: self.ants.introduced.unwrap_or(template.ants.introduced),
                message: self.ants.message.unwrap_or(template.ants.message),
            },
            ..template
        }
    }
}

/// Reads the levels that protocols need. That a protocol is "blocked" would be read as that nobody
/// may use it, and meant that everybody may.
fn needed<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<ProtocolId, Level>, D::Error> {
    let levels = BTreeMap::<ProtocolId, Level>::deserialize(from)?;
    if levels.values().any(|level| *level == Level::Blocked) {
        let why = "no protocol needs the level blocked: give introduced, message, task or execute";
        return Err(D::Error::custom(why));
    }
    Ok(levels)
}

impl Template {
    /// Returns its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ants => "ants",
            Self::Closed => "closed",
            Self::Guarded => "guarded",
            Self::Open => "open",
        }
    }
}

/// A word that names no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("give open, guarded, closed or ants")]
pub struct TemplateError;

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let all = [Self::Ants, Self::Closed, Self::Guarded, Self::Open];
        all.into_iter().find(|template| template.as_str() == text).ok_or(TemplateError)
    }
}

/// The protocol that hands over work, in any version.
const TASK: &str = "https://comity.dev/protocols/task";

/// Protocols by which nothing is said that could harm.
const INTRODUCED: [&str; 4] = [DISCOVER_FEATURES, EMPTY, REPORT_PROBLEM, TRUST_PING];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_needs_what_the_operator_says_or_what_is_built_in() {
        let mut policy = Policy::default();
        let needs = |policy: &Policy, piuri: &str| policy.required(&piuri.parse().unwrap());
        assert_eq!(needs(&policy, "https://example.org/deploy/1.0"), Level::Message);
        assert_eq!(needs(&policy, TRUST_PING), Level::Introduced);
        assert_eq!(needs(&policy, "https://comity.dev/protocols/task/1.0"), Level::Task);
        // Names are compared without regard to case and punctuation, as whoever handles the message
        // compares them: spelled otherwise, a task needed no more than a message.
        for piuri in ["task/2.3", "Task/1.0", "TASK/1.0", "ta-sk/1.1"] {
            let piuri = format!("https://comity.dev/protocols/{piuri}");
            assert_eq!(needs(&policy, &piuri), Level::Task, "{piuri}");
        }
        policy.levels.insert("https://example.org/deploy/1.0".parse().unwrap(), Level::Execute);
        assert_eq!(needs(&policy, "https://example.org/deploy/1.7"), Level::Execute);
        assert_eq!(needs(&policy, "https://example.org/DEPLOY/1.0"), Level::Execute);
        assert_eq!(needs(&policy, "https://example.org/deploy/2.0"), Level::Message);
        let given = |protocols: &[&str]| {
            let protocols = protocols.iter().map(|piuri| piuri.parse().unwrap());
            policy.level_for(&protocols.collect::<Vec<_>>())
        };
        assert_eq!(given(&[]), Level::Message);
        assert_eq!(given(&[TRUST_PING]), Level::Message);
        assert_eq!(given(&[TRUST_PING, "https://example.org/deploy/1.0"]), Level::Execute);
    }

    #[test]
    fn a_protocol_cannot_need_to_be_blocked() {
        let read = |level| {
            let text = format!(r#"{{"levels": {{"https://example.org/deploy/1.0": "{level}"}}}}"#);
            serde_json::from_str::<PolicySettings>(&text)
        };
        assert_eq!(read(Level::Execute).unwrap().levels.len(), 1);
        assert!(read(Level::Blocked).unwrap_err().to_string().contains("give introduced"));
    }

    #[test]
    fn an_agents_settings_lie_over_the_nodes() {
        let node = PolicySettings { work_bits: Some(12), ..PolicySettings::default() };
        assert_eq!(node.to_policy().work_bits, 12);
        let agent = PolicySettings { template: Some(Template::Ants), ..PolicySettings::default() };
        let policy = agent.over(&node).to_policy();
        assert_eq!((policy.template, policy.work_bits), (Template::Ants, WORK_BITS_DEFAULT));
        // To say again what holds anyway changes nothing.
        let template = Some(Template::Guarded);
        let agent = PolicySettings { template, ..PolicySettings::default() };
        assert_eq!(agent.over(&node).to_policy().work_bits, 12);
        let outbound = Some(OutboundRule::Listed);
        let agent = PolicySettings { outbound, ..PolicySettings::default() };
        let policy = agent.over(&node).to_policy();
        assert_eq!((policy.template, policy.work_bits), (Template::Guarded, 12));
    }

    #[test]
    fn what_it_takes_to_go_up_is_in_the_configuration() {
        let read = |text: &str| serde_json::from_str::<PolicySettings>(text);
        let node = read(r#"{"ants": {"message": {"days": 2, "messages": 3, "vouchers": 4}}}"#);
        let agent = read(r#"{"ants": {"introduced": {"days": 0, "messages": 1, "vouchers": 9}}}"#);
        let Thresholds { introduced, message } =
            agent.unwrap().over(&node.unwrap()).to_policy().ants;
        assert_eq!((introduced.days, introduced.vouchers.get()), (0, 9));
        assert_eq!((message.days, message.messages.get(), message.vouchers.get()), (2, 3, 4));
        // Nothing would let in everybody.
        for numbers in [(0, 0, 1), (0, 1, 0)] {
            let (days, messages, vouchers) = numbers;
            let text = format!(
                r#"{{"ants": {{"message": {{"days": {days}, "messages": {messages}, "vouchers": {vouchers}}}}}}}"#
            );
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
