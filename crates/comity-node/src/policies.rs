//! The rules of each agent, as the settings make them.

use std::collections::HashMap;
use std::sync::Arc;

use comity_core::trust::Policy;

use crate::config::Config;

/// The rules of the agents, made once.
pub(crate) struct Policies {
    of_all: Arc<Policy>,
    of_one: HashMap<String, Arc<Policy>>,
}

impl Policies {
    pub(crate) fn new(config: &Config) -> Self {
        let of_one = config.agents.keys().map(|name| (name.clone(), config.policy_of(name).into()));
        Self { of_all: config.policy.to_policy().into(), of_one: of_one.collect() }
    }

    /// Returns the rules of an agent.
    pub(crate) fn of(&self, agent: &str) -> Arc<Policy> {
        Arc::clone(self.of_one.get(agent).unwrap_or(&self.of_all))
    }
}
