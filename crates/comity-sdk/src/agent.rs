//! The handle of a connected agent: everything an agent developer calls starts here. It only passes on; the work is
//! done in the modules that it names.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use comity_core::api::{AgentInfo, Trace};
use comity_core::receipt::State;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::connect::{AgentBuilder, ConnectError};
use crate::connection::SendCommand;
use crate::content::{self, Body};
use crate::context::Context;
use crate::dispatch::{self, RunError};
use crate::draft::{Draft, SendError, Sent, compose};
use crate::handler::{Handler, HandlerError, Handlers, cut};
use crate::http::LocalClient;
use crate::hub::{Closed, Hub};
use crate::limits;
use crate::mailbox::{Disposal, SettleError};
use crate::received::{Incoming, Received, problem_code};
use crate::request::Request;
use crate::trace::{self, Progress, States, TraceError};

/// A connected agent. Clones are handles of the same agent; the connection ends with the last of them.
///
/// A lost connection is made again, with growing pauses, for as long as it takes. Nothing is lost by it: sends that
/// were not answered are repeated with the same id, which the home sends once; handlers that run across it settle their
/// message on the new connection; what the home hands over again meanwhile is recognised.
///
/// What a handler captures lives as long as the agent: a handler that needs the agent takes it from its [`Context`].
#[derive(Clone)]
pub struct Agent(Arc<Inner>);

struct Inner {
    info: AgentInfo,
    handlers: RwLock<Handlers>,
    http: LocalClient,
    hub: Arc<Hub>,
    messages: Mutex<mpsc::Receiver<Received>>,
    permits: Arc<Semaphore>,
    sends: mpsc::Sender<SendCommand>,
}

impl Agent {
    pub(crate) fn new(
        info: AgentInfo,
        http: LocalClient,
        hub: Arc<Hub>,
        messages: mpsc::Receiver<Received>,
        sends: mpsc::Sender<SendCommand>,
    ) -> Self {
        Self(Arc::new(Inner {
            info,
            handlers: RwLock::default(),
            http,
            hub,
            messages: Mutex::new(messages),
            permits: Arc::new(Semaphore::new(limits::SENDS_IN_FLIGHT_MAX)),
            sends,
        }))
    }

    /// Connects to the home at `url`, such as `http://127.0.0.1:7701`, as the agent whose token this is. Returns when
    /// the home has answered and the socket is up.
    ///
    /// # Errors
    /// If the home cannot be reached or does not take the token.
    pub async fn connect(url: &str, token: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(url).token(token).connect().await
    }

    /// Prepares a connection to the home at `url`.
    pub fn builder(url: &str) -> AgentBuilder {
        AgentBuilder::new(url)
    }

    /// Returns the agent's DID.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.0.info.did
    }

    /// Returns the agent's name at its home.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// Returns `name@host`, by which others can look the agent up.
    #[must_use]
    pub fn handle(&self) -> &str {
        &self.0.info.handle
    }

    /// Sends a message to a DID or a handle. When this returns, it is durable at the home, which sees to the rest.
    ///
    /// # Errors
    /// Like [`Draft::send`].
    pub async fn send<B: Body>(&self, to: &str, body: &B) -> Result<Sent, SendError> {
        self.message(to, body).send().await
    }

    /// Drafts a message, for threads, deadlines and the like.
    pub fn message<B: Body>(&self, to: &str, body: &B) -> Draft {
        let message = content::write(body).map(|body| compose(to, B::TYPE, body));
        Draft::new(self.clone(), message)
    }

    /// Drafts a message of a type that is known only at run time.
    pub fn untyped(&self, to: &str, type_: &str, body: Map<String, Value>) -> Draft {
        Draft::new(self.clone(), Ok(compose(to, type_, body)))
    }

    /// Sends a message and waits for the reply.
    pub fn request<B: Body>(&self, to: &str, body: &B) -> Request {
        self.message(to, body).request()
    }

    /// Sets what to do with messages of one type. `Ok` acknowledges the message; an error refuses it, and the sender
    /// gets a problem report. Handlers run when [`run`](Self::run) does.
    pub fn on<B, F, Fut>(&self, handler: F) -> &Self
    where
        B: Body,
        F: Fn(Incoming<B>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.0.handlers.write().unwrap_or_else(PoisonError::into_inner).set(handler);
        self
    }

    /// Sets what to do with messages that no other handler takes. Without it they are refused with
    /// `e.m.msg.unsupported-type`, problem reports excepted.
    pub fn on_any<F, Fut>(&self, handler: F) -> &Self
    where
        F: Fn(Received, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.0.handlers.write().unwrap_or_else(PoisonError::into_inner).set_any(handler);
        self
    }

    /// Runs the handlers until [`shutdown`](Self::shutdown), then lets those that run finish. Up to 32 run at the same
    /// time, those of one thread one after the other in the order of their messages.
    ///
    /// # Errors
    /// If the home no longer takes this connection, or messages are taken elsewhere.
    pub async fn run(&self) -> Result<(), RunError> {
        let Ok(mut messages) = self.0.messages.try_lock() else {
            return Err(RunError::AlreadyRunning);
        };
        let result = dispatch::run(self, &mut messages).await;
        // Handlers may hold this very agent: let go of them, or neither ends.
        if self.0.hub.why_closed().is_some() {
            self.0.handlers.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        result
    }

    /// Waits for the next message, for agents without handlers. It has to be settled by [`ack`](Self::ack) or
    /// [`refuse`](Self::refuse).
    ///
    /// # Errors
    /// If the agent is no longer connected, for good.
    pub async fn next(&self) -> Result<Received, Closed> {
        let mut messages = self.0.messages.lock().await;
        tokio::select! {
            biased;
            why = self.0.hub.closed() => Err(why),
            Some(received) = messages.recv() => Ok(received),
        }
    }

    /// Acknowledges a message: it is done with. Returns when the home has confirmed it. Twice is harmless.
    ///
    /// # Errors
    /// If the home does not settle it, or the agent was closed.
    pub async fn ack(&self, received: &Received) -> Result<(), SettleError> {
        self.settle(received, Disposal::Ack).await
    }

    /// Refuses a message: the sender gets a problem report with this code, such as `e.m.req.amount`, and reason.
    ///
    /// # Errors
    /// If the home does not settle it, or the agent was closed.
    pub async fn refuse(
        &self,
        received: &Received,
        code: &str,
        reason: &str,
    ) -> Result<(), SettleError> {
        let reason = cut(reason.to_owned());
        let code = Some(problem_code(Some(code)));
        self.settle(received, Disposal::Refuse { code, reason }).await
    }

    async fn settle(&self, received: &Received, disposal: Disposal) -> Result<(), SettleError> {
        let (confirm, confirmed) = oneshot::channel();
        self.0.hub.settle(received.hold(), disposal, Some(confirm));
        tokio::select! {
            biased;
            Ok(settled) = confirmed => settled,
            why = self.0.hub.closed() => Err(why.into()),
        }
    }

    /// Returns how far a message got, at once or when it has reached `wait` or a final rung; after `timeout` with what
    /// is known then.
    ///
    /// # Errors
    /// If the home cannot be asked or knows no such message of this agent.
    pub async fn trace(
        &self,
        id: &str,
        wait: Option<State>,
        timeout: Duration,
    ) -> Result<Trace, TraceError> {
        trace::trace(self, id, wait, timeout).await
    }

    /// Returns the news about the agent's own messages, from now on.
    #[must_use]
    pub fn states(&self) -> States {
        States::new(self)
    }

    /// Returns how far the home is with the puzzles that it solves for the agent's messages, from now on.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::new(self)
    }

    /// Ends the connection: handlers that run may finish, what is settled is passed on, nothing new is begun. Begins at
    /// once; await the returned value to wait for the end, which comes within ten seconds. Not from within a handler,
    /// for whose own end this waits.
    pub fn shutdown(&self) -> Shutdown {
        self.0.hub.stop();
        Shutdown(Arc::clone(&self.0.hub))
    }

    /// Returns the client of the home's HTTP interface, with this agent's token.
    #[must_use]
    pub fn http(&self) -> &LocalClient {
        &self.0.http
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn why_closed(&self) -> Closed {
        self.0.hub.why_closed().unwrap_or(Closed::Shutdown)
    }

    /// Waits until one more send may be in flight.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, Closed> {
        let permits = Arc::clone(&self.0.permits);
        tokio::select! {
            biased;
            why = self.0.hub.closed() => Err(why),
            permit = permits.acquire_owned() => permit.map_err(|_| self.why_closed()),
        }
    }

    /// Hands a frame to the connection.
    pub(crate) async fn submit(&self, command: SendCommand) -> Result<(), Closed> {
        self.0.sends.send(command).await.map_err(|_| self.why_closed())
    }

    /// Finds the handler of a message type.
    pub(crate) fn handler(&self, type_: &str) -> Option<Handler> {
        self.0.handlers.read().unwrap_or_else(PoisonError::into_inner).find(type_)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("did", &self.did()).finish_non_exhaustive()
    }
}

/// A shutdown on its way; made by [`Agent::shutdown`]. Await it for the end.
#[derive(Debug)]
pub struct Shutdown(Arc<Hub>);

impl IntoFuture for Shutdown {
    type Output = ();
    type IntoFuture = BoxFuture<'static, ()>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            self.0.closed().await;
        }
        .boxed()
    }
}
