//! What the connection and the agent's handles share: where messages go that come in, who waits for what, and how it
//! ended. No socket here, and no decision beyond the routing of a message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comity_core::api::{Delivery, Problem, TraceState, Working};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

use crate::correlate::{Correlation, Offer};
use crate::limits;
use crate::mailbox::{Admission, Disposal, Mailbox, SettleError};
use crate::received::Received;

/// Why an agent is no longer connected, for good. Short of these it always connects again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// Another program has connected as this agent.
    #[error("another program has connected as this agent; the newest connection wins")]
    Replaced,
    /// [`Agent::shutdown`](crate::Agent::shutdown) was called, or the last handle was dropped.
    #[error("the agent was shut down")]
    Shutdown,
    /// The home no longer takes the token, or no longer has the agent.
    #[error("the home no longer takes the agent's token ({})", .0.code)]
    TokenRefused(Problem),
}

/// The shared state of one agent.
#[derive(Debug)]
pub(crate) struct Hub {
    correlation: Mutex<Correlation>,
    /// Counts the connections, so that waiting requests can ask for what they missed in between.
    connections: watch::Sender<u64>,
    ended: watch::Sender<Option<Closed>>,
    incoming: mpsc::Sender<Received>,
    mailbox: Mutex<Mailbox>,
    next_ref: AtomicU64,
    progress: broadcast::Sender<(String, Working)>,
    running: watch::Sender<bool>,
    states: broadcast::Sender<(String, TraceState)>,
    stopping: watch::Sender<bool>,
    /// Wakes the writer of the socket: something is to be settled, or something it waits for has happened.
    pub(crate) wake: Notify,
}

impl Hub {
    /// Creates the state, and the end from which messages are taken.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Received>) {
        let (incoming, messages) = mpsc::channel(limits::HELD_MAX);
        let hub = Self {
            correlation: Mutex::default(),
            connections: watch::Sender::new(0),
            ended: watch::Sender::new(None),
            incoming,
            mailbox: Mutex::default(),
            next_ref: AtomicU64::new(1),
            progress: broadcast::Sender::new(limits::PROGRESS_MAX),
            running: watch::Sender::new(false),
            states: broadcast::Sender::new(limits::STATES_MAX),
            stopping: watch::Sender::new(false),
            wake: Notify::new(),
        };
        (Arc::new(hub), messages)
    }

    /// Takes a message from the socket.
    pub(crate) fn take(self: &Arc<Self>, delivery: Delivery) {
        let admission = self.mailbox().admit(delivery.delivery, &delivery.id);
        match admission {
            Admission::New => {
                let hold = Hold {
                    hub: Arc::clone(self),
                    delivery: delivery.delivery,
                    id: delivery.id.clone(),
                };
                self.hand_on(Received::new(delivery, hold));
            }
            Admission::Known => {}
            Admission::SettledBefore => self.wake.notify_one(),
        }
    }

    /// Hands a message to the request that waits for it, else to the handlers.
    pub(crate) fn hand_on(&self, received: Received) {
        let offer = self.correlation().offer(received);
        match offer {
            Offer::Taken => {}
            Offer::Late(report) => self.settle(report.hold(), Disposal::Ack, None),
            Offer::Nobodys(received) => {
                if let Err(refused) = self.incoming.try_send(received) {
                    // Dropping it releases it: the home still has it and hands it over again.
                    tracing::warn!(
                        "more messages than a home may push; one is left to the next connection"
                    );
                    drop(refused);
                }
            }
        }
    }

    /// Takes news about one of the agent's own messages.
    pub(crate) fn take_state(&self, id: String, state: TraceState) {
        self.correlation().apply(&id, &state);
        // Nobody may listen.
        drop(self.states.send((id, state)));
    }

    /// Takes word of how far a puzzle is.
    pub(crate) fn take_working(&self, id: String, working: Working) {
        // Nobody may listen.
        drop(self.progress.send((id, working)));
    }

    /// Queues a settlement.
    pub(crate) fn settle(
        &self,
        hold: &Hold,
        disposal: Disposal,
        confirmed: Option<oneshot::Sender<Result<(), SettleError>>>,
    ) {
        self.mailbox().settle(hold.delivery, &hold.id, disposal, confirmed);
        self.wake.notify_one();
    }

    /// Ends it, once: everybody who waits is told why.
    pub(crate) fn end(&self, why: Closed) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why);
            }
            first
        });
        self.correlation().close();
        *self.mailbox() = Mailbox::default();
    }

    /// Returns the number of a new frame.
    pub(crate) fn next_ref(&self) -> u64 {
        self.next_ref.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes note of a new connection.
    pub(crate) fn connected(&self) {
        self.connections.send_modify(|connections| *connections += 1);
    }

    /// Asks the connection to end when everything is settled.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.wake.notify_one();
    }

    /// Marks that handlers are being run, until the guard is dropped.
    pub(crate) fn run(self: &Arc<Self>) -> Running {
        self.running.send_replace(true);
        Running(Arc::clone(self))
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until a shutdown is asked for.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`.
        drop(self.stopping.subscribe().wait_for(|stopping| *stopping).await);
    }

    /// Waits for the end.
    pub(crate) async fn closed(&self) -> Closed {
        match self.ended.subscribe().wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Closed::Shutdown),
            Err(_) => Closed::Shutdown,
        }
    }

    /// Returns why it ended, if it has.
    pub(crate) fn why_closed(&self) -> Option<Closed> {
        self.ended.borrow().clone()
    }

    /// Returns the count of connections, to wait for the next one.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.subscribe()
    }

    /// Returns a subscription to the news about the agent's messages.
    pub(crate) fn states(&self) -> broadcast::Receiver<(String, TraceState)> {
        self.states.subscribe()
    }

    /// Returns a subscription to how far puzzles are.
    pub(crate) fn progress(&self) -> broadcast::Receiver<(String, Working)> {
        self.progress.subscribe()
    }

    // A poisoned lock is still good: no code that holds one can leave the state half changed by a panic of its caller.
    pub(crate) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn correlation(&self) -> MutexGuard<'_, Correlation> {
        self.correlation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a delivery from being handed on a second time, until it is settled or the last of this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    hub: Arc<Hub>,
    delivery: u64,
    id: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.hub.mailbox().release(self.delivery, &self.id);
    }
}

/// Says that handlers are being run.
#[derive(Debug)]
pub(crate) struct Running(Arc<Hub>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_replace(false);
        self.0.wake.notify_one();
    }
}
