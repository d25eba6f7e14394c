//! A message and its reply as one future. Which message is the reply is decided in `correlate`.

use std::future::IntoFuture;
use std::time::Duration;

use comity_core::api::Trace;
use comity_core::receipt::State;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::correlate::{Outcome, Ticket};
use crate::draft::{Draft, SendError, send};
use crate::limits;
use crate::mailbox::Disposal;
use crate::received::Received;

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request's own deadline passed.
    #[error("no reply came before the deadline")]
    Deadline {
        /// How far the message is known to have got.
        last_state: Option<State>,
    },
    /// The message expired before it was dealt with.
    #[error("the message expired before it was dealt with")]
    Expired,
    /// The other side refused.
    #[error("the request was refused ({code})")]
    Refused {
        /// Problem-report code.
        code: String,
        /// The other side's words, untrusted.
        comment: String,
    },
    /// The message could not be sent in the first place.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// A request on its way; made by [`Agent::request`]. Await it for the reply.
///
/// The reply is the first message of the thread that comes from the recipient; it is acknowledged when the future
/// returns it. Later messages of the thread go to the handlers.
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct Request {
    draft: Draft,
    deadline: Option<Duration>,
}

impl Request {
    pub(crate) const fn new(draft: Draft) -> Self {
        Self { draft, deadline: None }
    }

    /// Sets how long to wait for the reply. The message expires at about the same time. Without a deadline the wait
    /// ends when the message expires at the other side, or with its reply, however late.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.draft = self.draft.expires_in(deadline);
        self.deadline = Some(deadline);
        self
    }

    async fn reply(self) -> Result<Received, RequestError> {
        let until = self.deadline.map(|deadline| Instant::now() + deadline);
        let (agent, message) = self.draft.identified()?;
        let id = message.id.clone().unwrap_or_default();
        let thid = message.thid.clone().unwrap_or_else(|| id.clone());
        let peer = message.to.starts_with("did:").then(|| message.to.clone());
        let is_handle = peer.is_none();
        let too_many = SendError::TooManyRequests { max: limits::REQUESTS_MAX };
        let (ticket, outcome) =
            agent.hub().correlation().register(id.clone(), thid, peer).ok_or(too_many)?;
        let mut wait = Wait { agent: agent.clone(), ticket, outcome };

        // From before the send on: what happens while the connection is down is not told, and has to be asked for.
        let mut connections = agent.hub().connections();
        let exchange = async {
            send(&agent, message).await?;
            if is_handle {
                tokio::select! {
                    // A refusal may come before the identity does.
                    outcome = &mut wait.outcome => return conclude(&agent, outcome.ok()),
                    peer = recipient(&agent, &id) => wait.identify(peer),
                }
            }
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut wait.outcome => return conclude(&agent, outcome.ok()),
                    Ok(()) = connections.changed() => catch_up(&agent, &id).await,
                }
            }
        };
        let Some(until) = until else {
            return exchange.await;
        };
        match tokio::time::timeout_at(until, exchange).await {
            Ok(reply) => reply,
            Err(_) => {
                let last_state = agent.hub().correlation().last_state(ticket);
                Err(RequestError::Deadline { last_state })
            }
        }
    }
}

impl IntoFuture for Request {
    type Output = Result<Received, RequestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.reply().boxed()
    }
}

/// A place in the correlation, given up on drop.
struct Wait {
    agent: Agent,
    ticket: Ticket,
    outcome: oneshot::Receiver<Outcome>,
}

impl Wait {
    fn identify(&self, peer: String) {
        let parked = self.agent.hub().correlation().identify(self.ticket, peer);
        for received in parked {
            self.agent.hub().hand_on(received);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut left = self.agent.hub().correlation().remove(self.ticket);
        // A reply that came at the very moment of giving up is not lost: the handlers get it.
        self.outcome.close();
        if let Ok(Outcome::Reply(received)) = self.outcome.try_recv() {
            left.push(*received);
        }
        for received in left {
            self.agent.hub().hand_on(received);
        }
    }
}

fn conclude(agent: &Agent, outcome: Option<Outcome>) -> Result<Received, RequestError> {
    match outcome {
        Some(Outcome::Reply(received)) => {
            agent.hub().settle(received.hold(), Disposal::Ack, None);
            Ok(*received)
        }
        Some(Outcome::Refused { code, comment }) => Err(RequestError::Refused { code, comment }),
        Some(Outcome::Expired) => Err(RequestError::Expired),
        None => Err(SendError::Closed(agent.why_closed()).into()),
    }
}

/// Finds the DID behind the handle that a message was addressed to: the home knows it once it has resolved it.
async fn recipient(agent: &Agent, id: &str) -> String {
    let mut wait = None;
    loop {
        if let Ok(Trace { to, .. }) = agent.trace(id, wait, limits::TRACE_WAIT_MAX).await
            && to.starts_with("did:")
        {
            return to;
        }
        if wait.is_some() {
            tokio::time::sleep(limits::RECONNECT_MAX).await;
        }
        wait = Some(State::Accepted);
    }
}

/// Asks for the rungs that were not told while the connection was down.
async fn catch_up(agent: &Agent, id: &str) {
    let Ok(trace) = agent.trace(id, None, limits::CALL_MAX).await else { return };
    for state in &trace.states {
        agent.hub().correlation().apply(id, state);
    }
}
