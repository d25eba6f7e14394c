//! From an address and a token to a connected agent.

use std::fmt;

use comity_core::api::{AgentInfo, Problem};
use tokio::sync::mpsc;

use crate::agent::Agent;
use crate::connection::{self, DialError};
use crate::http::{AddressError, CallError, LocalClient};
use crate::hub::Hub;
use crate::limits;

/// Why an agent could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address, the token or the name cannot be one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The node answered, but not as a Comity node does.
    #[error("something else than a Comity node answers at {url}")]
    NotANode {
        /// The address.
        url: String,
    },
    /// The node does not take connections at the moment.
    #[error("the node does not take the connection ({})", .0.code)]
    Refused(Problem),
    /// The node does not take the token.
    #[error("the node does not take this token ({}); `comity agent add NAME` prints the right one", .0.code)]
    TokenRefused(Problem),
    /// No node answers at the address.
    #[error("no node answers at {url}; is it running?")]
    Unreachable {
        /// The address.
        url: String,
    },
}

/// What is needed to connect; made by [`Agent::builder`].
#[must_use = "a builder connects by `connect`"]
pub struct AgentBuilder {
    url: String,
    token: String,
    name: Option<String>,
}

impl AgentBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), token: String::new(), name: None }
    }

    /// Sets the agent's own token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// Speaks for the agent of this name with the node's admin token.
    ///
    /// # Errors
    /// If no agent can have the name.
    pub fn as_admin(
        mut self,
        admin_token: impl Into<String>,
        name: &str,
    ) -> Result<Self, ConnectError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(AddressError::Name.into());
        }
        self.token = admin_token.into();
        self.name = Some(name.to_owned());
        Ok(self)
    }

    /// Connects. Returns when the home has answered and the socket is up.
    ///
    /// # Errors
    /// If the home cannot be reached or does not take the token.
    pub async fn connect(self) -> Result<Agent, ConnectError> {
        let mut http = LocalClient::new(&self.url, &self.token)?;
        if let Some(name) = &self.name {
            http = http.as_agent(name)?;
        }
        let url = self.url;
        let info: AgentInfo = match http.get("/v1/me").await {
            Ok(info) => info,
            Err(CallError::Refused(problem)) => return Err(refused(problem)),
            Err(CallError::Unreadable) => return Err(ConnectError::NotANode { url }),
            Err(CallError::BrokenOff(_) | CallError::Timeout | CallError::Unreachable(_)) => {
                return Err(ConnectError::Unreachable { url });
            }
        };
        let socket = match connection::dial(&http).await {
            Ok(socket) => socket,
            Err(DialError::Refused(problem)) => return Err(refused(problem)),
            Err(DialError::Unavailable) => return Err(ConnectError::Unreachable { url }),
        };
        let (hub, messages) = Hub::new();
        let (sends, commands) = mpsc::channel(limits::SENDS_IN_FLIGHT_MAX);
        tokio::spawn(connection::run(socket, http.clone(), hub.clone(), commands));
        Ok(Agent::new(info, http, hub, messages, sends))
    }
}

fn refused(problem: Problem) -> ConnectError {
    if connection::is_for_good(&problem) {
        return ConnectError::TokenRefused(problem);
    }
    ConnectError::Refused(problem)
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("url", &self.url)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
