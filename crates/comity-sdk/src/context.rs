//! What a handler can do beside reading its message: answer it.

use std::sync::Arc;

use crate::agent::Agent;
use crate::content::Body;
use crate::draft::{Draft, SendError, Sent};
use crate::received::Facts;

/// The surroundings of one message: its agent, and how to answer.
#[derive(Clone, Debug)]
pub struct Context {
    agent: Agent,
    facts: Arc<Facts>,
}

impl Context {
    pub(crate) fn new(agent: Agent, facts: Facts) -> Self {
        Self { agent, facts: Arc::new(facts) }
    }

    /// Returns the agent that got the message.
    #[must_use]
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Returns what is verified about the message.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Sends an answer to the sender, in the thread of the message.
    ///
    /// # Errors
    /// Like [`Draft::send`].
    pub async fn reply<B: Body>(&self, body: &B) -> Result<Sent, SendError> {
        self.answer(body).send().await
    }

    /// Tells the sender how the work goes, in the thread of the message. The same as [`reply`](Self::reply), by the
    /// name that fits; the work is done when the handler returns.
    ///
    /// # Errors
    /// Like [`Draft::send`].
    pub async fn progress<B: Body>(&self, body: &B) -> Result<Sent, SendError> {
        self.reply(body).await
    }

    /// Drafts an answer, for deadlines, attachments and the like.
    pub fn answer<B: Body>(&self, body: &B) -> Draft {
        self.agent.message(&self.facts.from, body).thread(&self.facts.thid)
    }
}
