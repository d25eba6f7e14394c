//! The relay's settings, gathered from their layers.

use comity_core::relay::{Quotas, Register, RelayPolicy};

use super::Overrides;

/// What the layers so far say about the relay.
#[derive(Default)]
pub(super) struct RelayLayer(Overrides);

impl RelayLayer {
    /// Puts a layer on top.
    pub(super) fn under(self, top: &Overrides) -> Self {
        let below = self.0;
        Self(Overrides {
            relay: top.relay.or(below.relay),
            relay_age_s_max: top.relay_age_s_max.or(below.relay_age_s_max),
            relay_allow: top.relay_allow.clone().or(below.relay_allow),
            relay_bytes_max: top.relay_bytes_max.or(below.relay_bytes_max),
            relay_messages_max: top.relay_messages_max.or(below.relay_messages_max),
            relay_recipients: top.relay_recipients.or(below.relay_recipients),
            relay_recipients_max: top.relay_recipients_max.or(below.relay_recipients_max),
            relay_strangers_percent: top.relay_strangers_percent.or(below.relay_strangers_percent),
            relay_total_bytes_max: top.relay_total_bytes_max.or(below.relay_total_bytes_max),
            relay_register: top.relay_register.or(below.relay_register),
            ..Overrides::default()
        })
    }

    /// Returns the policy, if the role is switched on. In development mode everybody may register:
    /// nobody else can reach the node.
    pub(super) fn into_policy(self, dev: bool, work_bits: u8) -> Option<RelayPolicy> {
        let set = self.0;
        if !set.relay.unwrap_or(false) {
            return None;
        }
        let default = RelayPolicy::default();
        let register = if dev { Register::Open } else { default.register };
        let quotas = Quotas::default();
        Some(RelayPolicy {
            register: set.relay_register.unwrap_or(register),
            allow: set.relay_allow.unwrap_or(default.allow),
            recipients: set.relay_recipients.unwrap_or(default.recipients),
            quotas: Quotas {
                recipients_max: set.relay_recipients_max.unwrap_or(quotas.recipients_max),
                messages_max: set.relay_messages_max.unwrap_or(quotas.messages_max),
                bytes_max: set.relay_bytes_max.unwrap_or(quotas.bytes_max),
                total_bytes_max: set.relay_total_bytes_max.unwrap_or(quotas.total_bytes_max),
                age_s_max: set.relay_age_s_max.unwrap_or(quotas.age_s_max),
                strangers_percent: set.relay_strangers_percent.unwrap_or(quotas.strangers_percent),
                work_bits,
            },
        })
    }
}
