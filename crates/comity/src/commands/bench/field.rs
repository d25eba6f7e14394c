//! What the measurement runs on: the agents, what they send, and the meter that counts what arrives.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use comity_core::api::{AddAgent, AgentInfo, Decide, Relation};
use comity_sdk::{Agent, Body};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{error::CliError, limits::SAMPLES_MAX, node_process::NodeProcess};

/// A message of the measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Load {
    /// Number of the sender.
    pub(super) sender: usize,
    /// When it was sent.
    pub(super) sent: Mark,
    filling: String,
}

impl Body for Load {
    const TYPE: &'static str = "https://comity.dev/protocols/bench/1.0/load";
}

impl Load {
    pub(super) fn filled(sender: usize, bytes: u32) -> Self {
        let filling = "x".repeat(usize::try_from(bytes).unwrap_or_default());
        Self { sender, sent: Mark(0), filling }
    }
}

/// A moment of this process, in microseconds since the meter was made. Sender and handler share the process, so no
/// clock is compared with another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn now(meter: &Meter) -> Self {
        Self(u64::try_from(meter.made.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Counts what is handled and how long it was on its way, and bounds what is on its way.
#[derive(Debug)]
pub(super) struct Meter {
    made: Instant,
    is_open: AtomicBool,
    /// Microseconds from send to handler, of what was handled within the window.
    samples: Mutex<Vec<u64>>,
    permits: Vec<Arc<Semaphore>>,
}

impl Meter {
    pub(super) fn new(senders: u32, in_flight: u32) -> Self {
        let in_flight = usize::try_from(in_flight).unwrap_or(1);
        Self {
            made: Instant::now(),
            is_open: AtomicBool::new(false),
            samples: Mutex::new(Vec::new()),
            permits: (0..senders).map(|_| Arc::new(Semaphore::new(in_flight))).collect(),
        }
    }

    /// Starts to count, and returns since when.
    pub(super) fn open_window(&self) -> Instant {
        self.is_open.store(true, Ordering::Relaxed);
        Instant::now()
    }

    /// Stops counting and returns what was counted.
    pub(super) fn close_window(&self) -> Vec<u64> {
        self.is_open.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of a message that reached its handler.
    pub(super) fn handled(&self, sender: usize, sent: &Mark) {
        if let Some(permits) = self.permits.get(sender) {
            permits.add_permits(1);
        }
        if !self.is_open.load(Ordering::Relaxed) {
            return;
        }
        let took = Mark::now(self).0.saturating_sub(sent.0);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < SAMPLES_MAX {
            samples.push(took);
        }
    }

    /// Returns what a sender has to take before each message.
    pub(super) fn permits(&self, sender: usize) -> Arc<Semaphore> {
        self.permits.get(sender).map_or_else(|| Arc::new(Semaphore::new(0)), Arc::clone)
    }

    /// Lets every sender that waits see that it is over.
    pub(super) fn release_all(&self) {
        self.permits.iter().for_each(|permits| permits.close());
    }
}

/// The agents of both nodes, connected and allowed.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) senders: Vec<Agent>,
    pub(super) receivers: Vec<Agent>,
    recipients: Vec<String>,
}

impl Field {
    /// Adds the agents, lets every sender write to its receiver, and connects them.
    pub(super) async fn lay(
        a: &NodeProcess,
        b: &NodeProcess,
        senders: u32,
        receivers: u32,
    ) -> Result<Self, CliError> {
        let mut field = Self { senders: Vec::new(), receivers: Vec::new(), recipients: Vec::new() };
        for number in 0..receivers {
            let (info, agent) = add(b, &format!("receiver-{number}")).await?;
            field.receivers.push(agent);
            field.recipients.push(info.did);
        }
        for number in 0..senders {
            let (info, agent) = add(a, &format!("sender-{number}")).await?;
            field.senders.push(agent);
            let decide = Decide { who: info.did, ..Decide::default() };
            let path = format!("/admin/agents/receiver-{}/allow", number % receivers);
            let _allowed: Relation = b.client()?.post(&path, &decide).await?;
        }
        Ok(field)
    }

    /// Returns to whom a sender writes.
    pub(super) fn recipient(&self, sender: usize) -> String {
        let index = sender.checked_rem(self.recipients.len()).unwrap_or_default();
        self.recipients.get(index).cloned().unwrap_or_default()
    }

    /// Disconnects every agent.
    pub(super) async fn leave(self) {
        for agent in self.senders.into_iter().chain(self.receivers) {
            agent.shutdown().await;
        }
    }
}

async fn add(node: &NodeProcess, name: &str) -> Result<(AgentInfo, Agent), CliError> {
    let client = node.client()?;
    let add = AddAgent { name: name.to_owned(), did: None };
    let info: AgentInfo = client.post("/admin/agents", &add).await?;
    let token = info.token.as_deref().unwrap_or_default();
    let agent = Agent::connect(&node.ready().local, token)
        .await
        .map_err(|error| CliError::fault("bench.connect", "An agent cannot connect").why(error))?;
    Ok((info, agent))
}
