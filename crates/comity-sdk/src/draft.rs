//! Messages that an agent is about to send. What is not here (sender, keys, signature, endpoint) is the home's to add.

use std::fmt;
use std::time::Duration;

use comity_core::api::{ClientFrame, Problem, SendRequest};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::agent::Agent;
use crate::connection::SendCommand;
use crate::content::BodyError;
use crate::hub::Closed;
use crate::limits;
use crate::request::Request;
use crate::trace::whole_seconds;

/// A message that is durable at the home.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Message id.
    pub id: String,
    /// Thread of the message.
    pub thid: String,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The content is not one.
    #[error("the message has no body that could be sent")]
    Body(#[from] BodyError),
    /// The agent is no longer connected, for good.
    #[error("the message was not sent: {0}")]
    Closed(#[from] Closed),
    /// The home would not take the message.
    #[error("the home did not take the message ({})", .0.code)]
    Refused(Problem),
    /// The message is larger than any home takes.
    #[error("the message has {bytes} bytes, more than {max}")]
    TooLarge {
        /// Size as JSON.
        bytes: usize,
        /// What can be sent.
        max: usize,
    },
    /// Too many requests wait for a reply already.
    #[error("more than {max} requests wait for a reply")]
    TooManyRequests {
        /// What can wait.
        max: usize,
    },
}

/// A message to be sent; made by [`Agent::message`].
#[must_use = "a draft is sent by `send` or `request`"]
pub struct Draft {
    agent: Agent,
    message: Result<SendRequest, BodyError>,
}

impl Draft {
    pub(crate) const fn new(agent: Agent, message: Result<SendRequest, BodyError>) -> Self {
        Self { agent, message }
    }

    /// Sets the message id: 1 to 64 unreserved URI characters. The same id with the same content is sent once, also
    /// by another process; without one the SDK makes a UUID.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|message| message.id = Some(id.into()))
    }

    /// Sets the thread that the message continues.
    pub fn thread(self, thid: impl Into<String>) -> Self {
        self.with(|message| message.thid = Some(thid.into()))
    }

    /// Sets the parent of the thread.
    pub fn parent(self, pthid: impl Into<String>) -> Self {
        self.with(|message| message.pthid = Some(pthid.into()))
    }

    /// Sets how long the message is of use, in whole seconds, rounded up. An expired one is reported, never delivered.
    pub fn expires_in(self, duration: Duration) -> Self {
        self.with(|message| message.expires_in_s = Some(whole_seconds(duration).max(1)))
    }

    /// Attaches something, as in DIDComm v2.1.
    pub fn attach(self, attachment: Value) -> Self {
        self.with(|message| message.attachments.push(attachment))
    }

    /// Authenticates the message without a signature that could be shown to others.
    pub fn deniable(self) -> Self {
        self.with(|message| message.deniable = true)
    }

    /// Sets the dearest puzzle that the home solves to have the message taken as a stranger's, in bits, 0 to 32; one
    /// that is dearer ends in a refusal. Without it the setting of the home's operator counts.
    pub fn work_max(self, bits: u8) -> Self {
        self.with(|message| message.work_bits_max = Some(bits))
    }

    fn with(mut self, change: impl FnOnce(&mut SendRequest)) -> Self {
        if let Ok(message) = &mut self.message {
            change(message);
        }
        self
    }

    /// Sends the message. When this returns, it is durable at the home, which sees to the rest.
    ///
    /// While the connection is down this waits. Dropped before the message was written to the socket it takes the
    /// message back; dropped later, the message goes out.
    ///
    /// # Errors
    /// If the message is none, the home refuses it, or the agent was closed.
    pub async fn send(self) -> Result<Sent, SendError> {
        let (agent, message) = self.identified()?;
        send(&agent, message).await
    }

    /// Makes a request of it, whose future is the reply.
    pub const fn request(self) -> Request {
        Request::new(self)
    }

    /// Gives the message an id, so that repeating it is harmless.
    pub(crate) fn identified(self) -> Result<(Agent, SendRequest), SendError> {
        let mut message = self.message?;
        message.id.get_or_insert_with(|| Uuid::now_v7().to_string());
        Ok((self.agent, message))
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

/// Builds what is to be sent to `to`.
pub(crate) fn compose(to: &str, type_: &str, body: Map<String, Value>) -> SendRequest {
    SendRequest { to: to.to_owned(), type_: Some(type_.to_owned()), body, ..SendRequest::default() }
}

/// Sends a message that has an id, and waits for the home's answer over as many connections as it takes.
pub(crate) async fn send(agent: &Agent, message: SendRequest) -> Result<Sent, SendError> {
    let permit = agent.permit().await?;
    let r#ref = agent.hub().next_ref();
    let frame = serde_json::to_string(&ClientFrame::Send { r#ref, message })
        .map_err(|error| SendError::Body(BodyError::Content(error)))?;
    if limits::SEND_FRAME_BYTES_MAX < frame.len() {
        return Err(SendError::TooLarge { bytes: frame.len(), max: limits::SEND_FRAME_BYTES_MAX });
    }
    let (answer, answered) = oneshot::channel();
    agent.submit(SendCommand { r#ref, frame: frame.into(), answer, permit }).await?;
    match answered.await {
        Ok(Ok(answer)) => Ok(Sent { id: answer.id, thid: answer.thid }),
        Ok(Err(problem)) => Err(SendError::Refused(problem)),
        Err(_) => Err(agent.why_closed().into()),
    }
}
