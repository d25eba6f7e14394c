//! Envelopes from the relay on their way in, in the order in which they were delivered. One that
//! takes long, because its sender's document does, is overtaken: nobody holds up the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use comity_core::admission::Class;
use comity_core::inbound::{Arrival, Outcome};
use comity_core::limits::VIA_HELD_MAX;
use comity_core::protocol::pickup::Waiting;
use comity_core::refusal::Refusal;
use comity_core::trust::WayIn;
use comity_core::via::Fate;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::home::Home;
use crate::inbound;
use crate::limits::{TAKE_PATIENCE, TAKE_PATIENCE_STRANGERS, TAKES_MAX};

/// Envelopes that wait for their turn, and those under way.
pub(super) struct Takes {
    home: Arc<Home>,
    waiting: VecDeque<Waiting>,
    under_way: JoinSet<Outcome>,
    /// Their names at the relay, which has to be told of also when a task panics.
    names: HashMap<Id, String>,
    /// The one that the next waits for, and until when it does.
    turn: Option<(Id, Instant)>,
}

impl Takes {
    pub(super) fn new(home: Arc<Home>) -> Self {
        Self {
            home,
            waiting: VecDeque::new(),
            under_way: JoinSet::new(),
            names: HashMap::new(),
            turn: None,
        }
    }

    /// Whether more may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < VIA_HELD_MAX
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Waits for the next one that has come to its end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> (String, Fate) {
        loop {
            self.start_next();
            let patience = self.turn.map(|(_, until)| until);
            let has_more = !self.waiting.is_empty() && self.under_way.len() < TAKES_MAX;
            tokio::select! {
                biased;
                Some(ended) = self.under_way.join_next_with_id() => match ended {
                    Ok((task, outcome)) => return (self.end(task), Fate::of(&outcome)),
                    Err(error) => {
                        // A fault of ours: it stays with the relay, and is tried again.
                        tracing::error!(%error, "an envelope was not taken in");
                        return (self.end(error.id()), Fate::Later(Refusal::Busy));
                    }
                },
                () = sleep_until(patience.unwrap_or_else(Instant::now)), if has_more && patience.is_some() => {
                    self.turn = None;
                }
                else => std::future::pending().await,
            }
        }
    }

    fn start_next(&mut self) {
        while self.turn.is_none() && self.under_way.len() < TAKES_MAX {
            let Some(Waiting { id, envelope, class }) = self.waiting.pop_front() else { return };
            let home = Arc::clone(&self.home);
            let arrival = Arrival::encrypted(envelope, WayIn::Relay(class));
            let until = Instant::now() + patience(class);
            // A task of its own: opening takes a processor for a while.
            let task = self.under_way.spawn(async move { inbound::receive(&home, arrival).await });
            self.names.insert(task.id(), id);
            self.turn = Some((task.id(), until));
        }
    }

    /// Ends a task's turn, and returns the name of its envelope.
    fn end(&mut self, task: Id) -> String {
        self.turn = self.turn.filter(|(turn, _)| *turn != task);
        self.names.remove(&task).unwrap_or_default()
    }
}

/// How long an envelope holds up those behind it.
const fn patience(class: Option<Class>) -> Duration {
    match class {
        Some(Class::Paid | Class::Stranger) => TAKE_PATIENCE_STRANGERS,
        Some(Class::Friend) | None => TAKE_PATIENCE,
    }
}

impl Drop for Takes {
    fn drop(&mut self) {
        // What is under way is finished; the relay delivers it again, and it is known then.
        self.under_way.detach_all();
    }
}
