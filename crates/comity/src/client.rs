//! The commands' view of a running node's local listener: what they ask, and what its failures mean to them.
//!
//! It speaks for the operator, with the admin token, also where it acts as one of the agents. The calls themselves are
//! those of [`comity_sdk::LocalClient`].

use std::{error::Error, path::Path, time::Duration};

use comity_core::{
    api::{
        Delivery, Disposition, DispositionAnswer, Events, Relation, SendAnswer, SendRequest, Trace,
    },
    receipt::State,
};
use comity_sdk::{AddressError, CallError, LocalClient};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{data_dir, error::CliError, limits::ANSWER_MAX};

/// A running node, with the operator's rights.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: LocalClient,
    /// What to say when nobody answers.
    absent: CliError,
}

/// One of the node's agents, with the operator's rights.
#[derive(Clone, Debug)]
pub(crate) struct AgentClient(Client);

/// Whether messages that are shown are also taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They stay as they were.
    Peek,
    /// They are leased: nobody else gets them until they are settled or the lease runs out.
    Take,
}

/// The answer to a look into a mailbox.
#[derive(Debug, Deserialize)]
struct Messages {
    messages: Vec<Delivery>,
}

impl Client {
    /// Finds the node that runs with this data directory.
    pub(crate) fn find(data: &Path) -> Result<Self, CliError> {
        let ready = data_dir::ready(data)?;
        let token = data_dir::admin_token(data)?;
        let http = LocalClient::new(&ready.local, &token).map_err(unusable)?;
        Ok(Self { http, absent: data_dir::not_running(data) })
    }

    /// Acts as one of the node's agents.
    pub(crate) fn agent(&self, name: &str) -> Result<AgentClient, CliError> {
        let http = self.http.clone().as_agent(name).map_err(unusable)?;
        Ok(AgentClient(Self { http, absent: self.absent.clone() }))
    }

    /// Reads something of the node.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.get_after(path, Duration::ZERO).await
    }

    /// Asks the node to do something.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let answer = self.http.post_within(path, body, ANSWER_MAX).await;
        answer.map_err(|error| self.explain(error))
    }

    /// Lists an agent's relations of one kind, `requests` or `allowed`.
    pub(crate) async fn relations(
        &self,
        agent: &str,
        kind: &str,
    ) -> Result<Vec<Relation>, CliError> {
        self.get(&format!("/admin/agents/{}/{kind}", encode(agent))).await
    }

    /// Reads what happened after a place, waiting for the first if there is nothing.
    pub(crate) async fn events(&self, after: u64, wait: Duration) -> Result<Events, CliError> {
        let path = format!("/admin/events?after={after}&wait_s={}", wait.as_secs());
        self.get_after(&path, wait).await
    }

    /// Reads something that the node may let us wait for.
    async fn get_after<T: DeserializeOwned>(
        &self,
        path: &str,
        wait: Duration,
    ) -> Result<T, CliError> {
        let answer = self.http.get_within(path, ANSWER_MAX + wait).await;
        answer.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: CallError) -> CliError {
        match error {
            CallError::BrokenOff(error) => broken(&*error),
            CallError::Refused(problem) => CliError::of_problem(problem),
            CallError::Timeout => CliError::fault("node.silent", "The node did not answer in time")
                .hint("See comity doctor, and the node's own log"),
            CallError::Unreachable(error) => self.absent.clone().why(root(&*error)),
            _ => CliError::fault(
                "node.unclear",
                "The node's answer is not what this program expects",
            )
            .hint("Check that the program and the node have the same version"),
        }
    }
}

impl AgentClient {
    /// Sends a message; it is durable when this returns.
    pub(crate) async fn send(&self, request: &SendRequest) -> Result<SendAnswer, CliError> {
        self.0.post("/v1/messages", request).await
    }

    /// Looks into the mailbox past a delivery, and waits for a first message if there is none.
    pub(crate) async fn messages(
        &self,
        look: Look,
        after: Option<u64>,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, CliError> {
        let peek = look == Look::Peek;
        let mut path = format!("/v1/messages?limit={limit}&wait_s={}&peek={peek}", wait.as_secs());
        if let Some(after) = after {
            path = format!("{path}&after={after}");
        }
        let answer: Messages = self.0.get_after(&path, wait).await?;
        Ok(answer.messages)
    }

    /// Says what is to be done with messages.
    pub(crate) async fn settle(
        &self,
        disposition: &Disposition,
    ) -> Result<DispositionAnswer, CliError> {
        self.0.post("/v1/settle", disposition).await
    }

    /// Reads how far a message got; waits until it has reached a state, or cannot any more, or the time is over.
    pub(crate) async fn trace(
        &self,
        id: &str,
        until: Option<(State, Duration)>,
    ) -> Result<Trace, CliError> {
        let mut path = format!("/v1/messages/{}/trace", encode(id));
        if let Some((state, wait)) = until {
            path = format!("{path}?wait={state}&timeout_s={}", wait.as_secs());
        }
        let wait = until.map(|(_, wait)| wait).unwrap_or_default();
        self.0.get_after(&path, wait).await
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters, for use in a path segment or a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn broken(error: &(dyn Error + 'static)) -> CliError {
    CliError::fault("node.broke-off", "The connection to the node broke off")
        .why(root(error))
        .hint("Try again; if the node is gone, start it with comity up")
}

fn unusable(error: AddressError) -> CliError {
    if error == AddressError::Name {
        return CliError::usage("argument", "No agent can have this name")
            .hint("See comity agent list");
    }
    CliError::config("data.unreadable", "The data directory does not say where to call").why(error)
}

/// Returns the first cause, which says more than its wrappers.
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_did_survives_a_query() {
        assert_eq!(encode("did:web:a%3A1"), "did%3Aweb%3Aa%253A1");
        assert_eq!(encode("../x"), "..%2Fx");
    }
}
