//! Envelopes from the relay on their way in, in the order in which they were delivered. One that
//! takes long, because its sender's document does, is overtaken: nobody holds up the others.

use std::collections::VecDeque;
use std::sync::Arc;

use comity_core::inbound::{Arrival, Outcome};
use comity_core::limits::VIA_HELD_MAX;
use comity_core::protocol::pickup::Waiting;
use comity_core::trust::WayIn;
use comity_core::via::Fate;
use comity_net::MediaType;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::home::Home;
use crate::inbound;
use crate::limits::{TAKE_PATIENCE, TAKES_MAX};

/// Envelopes that wait for their turn, and those under way.
pub(super) struct Takes {
    home: Arc<Home>,
    waiting: VecDeque<Waiting>,
    under_way: JoinSet<(String, Outcome)>,
    /// The one that the next waits for, and until when it does.
    turn: Option<(Id, Instant)>,
}

impl Takes {
    pub(super) fn new(home: Arc<Home>) -> Self {
        Self { home, waiting: VecDeque::new(), under_way: JoinSet::new(), turn: None }
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
                    Ok((task, (id, outcome))) => {
                        self.end_turn(task);
                        return (id, Fate::of(outcome));
                    }
                    Err(error) => {
                        // It stays with the relay; the next session takes it in.
                        tracing::error!(%error, "an envelope was not taken in");
                        self.end_turn(error.id());
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
            let Some(Waiting { id, envelope }) = self.waiting.pop_front() else { return };
            let home = Arc::clone(&self.home);
            let media_type = MediaType::Encrypted.as_str().to_owned();
            let arrival = Arrival { envelope, media_type, way_in: WayIn::Relay };
            // A task of its own: opening takes a processor for a while.
            let task = self.under_way.spawn(async move {
                let outcome = inbound::receive(&home, arrival).await;
                (id, outcome)
            });
            self.turn = Some((task.id(), Instant::now() + TAKE_PATIENCE));
        }
    }

    fn end_turn(&mut self, task: Id) {
        self.turn = self.turn.filter(|(turn, _)| *turn != task);
    }
}

impl Drop for Takes {
    fn drop(&mut self) {
        // What is under way is finished; the relay delivers it again, and it is known then.
        self.under_way.detach_all();
    }
}
