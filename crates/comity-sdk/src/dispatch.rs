//! Runs handlers: many threads of messages at the same time, the messages of one thread in order
//! (ARCHITECTURE.md, "Life of a message", inbound step 7).

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::context::Context;
use crate::handler::HandlerError;
use crate::hub::Closed;
use crate::limits;
use crate::mailbox::Disposal;
use crate::received::Received;

/// Why [`Agent::run`] ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another `run` or `next` of this agent takes the messages.
    #[error("the agent's messages are taken elsewhere already")]
    AlreadyRunning,
    /// The agent is no longer connected, for good.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Takes messages and runs their handlers until the agent is shut down or closed.
///
/// Handlers that still run when the agent is closed by the home are aborted: nobody would take their result.
pub(crate) async fn run(
    agent: &Agent,
    messages: &mut mpsc::Receiver<Received>,
) -> Result<(), RunError> {
    let hub = agent.hub();
    let running = hub.run();
    let mut schedule = Schedule::default();
    let mut handlers = JoinSet::new();
    let closed = hub.closed();
    let stopped = hub.stopped();
    tokio::pin!(closed, stopped);
    let mut stopping = false;
    loop {
        while handlers.len() < limits::HANDLERS_MAX
            && !stopping
            && let Some(received) = schedule.begin()
        {
            let agent = agent.clone();
            handlers.spawn(async move {
                let thread = received.facts.thid.clone();
                handle(&agent, received).await;
                thread
            });
        }
        if stopping && handlers.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            why = &mut closed => return ended(why),
            Some(thread) = handlers.join_next() => {
                // `handle` catches panics, so a task ends with its thread or was aborted with all others.
                if let Ok(thread) = thread {
                    schedule.end(&thread);
                }
            }
            () = &mut stopped, if !stopping => stopping = true,
            Some(received) = messages.recv(), if !stopping && schedule.waiting < limits::HELD_MAX => {
                schedule.add(received);
            }
        }
    }
    // What waits unhandled stays in the mailbox. The connection may now end.
    drop(schedule);
    drop(running);
    ended(closed.await)
}

fn ended(why: Closed) -> Result<(), RunError> {
    match why {
        Closed::Shutdown => Ok(()),
        Closed::Replaced | Closed::TokenRefused(_) => Err(why.into()),
    }
}

/// Runs the handler of one message and settles it.
async fn handle(agent: &Agent, received: Received) {
    let hold = received.hold().clone();
    let result = match agent.handler(&received.facts.type_) {
        Some(handler) => {
            let context = Context::new(agent.clone(), received.facts.clone());
            // The closure itself may panic too, before there is a future.
            let handling = async move { handler(received, context).await };
            AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("a handler panicked");
                Err(HandlerError::internal())
            })
        }
        // Never a report about a report (ADR 0011).
        None if received.is_problem_report() => {
            tracing::debug!("a problem report was acknowledged that nothing handles");
            Ok(())
        }
        None => Err(HandlerError::unsupported()),
    };
    let disposal = match result {
        Ok(()) => Disposal::Ack,
        Err(error) => {
            tracing::warn!(
                code = error.code(),
                trouble = error.source().map(tracing::field::display),
                "a message was refused"
            );
            Disposal::Refuse {
                code: Some(error.code().to_owned()),
                reason: error.reason().to_owned(),
            }
        }
    };
    agent.hub().settle(&hold, disposal, None);
}

/// Which message is next: threads take turns, and a thread has one turn at a time.
#[derive(Default)]
struct Schedule {
    ready: VecDeque<String>,
    /// An entry for each thread that runs or waits; its messages in order.
    threads: HashMap<String, VecDeque<Received>>,
    waiting: usize,
}

impl Schedule {
    fn add(&mut self, received: Received) {
        let thread = received.facts.thid.clone();
        let queue = self.threads.entry(thread.clone()).or_insert_with(|| {
            self.ready.push_back(thread);
            VecDeque::new()
        });
        queue.push_back(received);
        self.waiting += 1;
    }

    fn begin(&mut self) -> Option<Received> {
        let thread = self.ready.pop_front()?;
        let received = self.threads.get_mut(&thread)?.pop_front()?;
        self.waiting -= 1;
        Some(received)
    }

    fn end(&mut self, thread: &str) {
        match self.threads.get(thread) {
            Some(queue) if queue.is_empty() => {
                self.threads.remove(thread);
            }
            Some(_) => self.ready.push_back(thread.to_owned()),
            None => {}
        }
    }
}
