//! Pays what a peer demands before it takes a message: solves its puzzle, apart from everything
//! else, for as long as the message is of use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::api::Working;
use comity_core::record::Outgoing;
use comity_core::trust::Solving;
use comity_net::Demand;
use comity_store::records::MessageKey;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::deliver::Event;
use crate::home::Home;
use crate::limits::{PUZZLE_STEP_TRIES, PUZZLE_TOLD_EVERY, PUZZLE_TURN_MAX, PUZZLES_MAX};

/// The puzzles that are being solved, and those that wait for their turn.
pub(super) struct Workshop {
    turns: Arc<Semaphore>,
    jobs: Mutex<HashMap<MessageKey, Arc<Job>>>,
}

/// One puzzle, as far as others look at it.
struct Job {
    bits: u8,
    percent: AtomicU8,
    is_unwanted: AtomicBool,
}

impl Default for Workshop {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(PUZZLES_MAX)), jobs: Mutex::default() }
    }
}

impl Workshop {
    /// Tells which puzzle is being solved for a message.
    pub(super) fn working(&self, message: MessageKey) -> Option<Working> {
        self.with(|jobs| jobs.get(&message).map(|job| job.working()))
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<MessageKey, Arc<Job>>) -> T) -> T {
        act(&mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Job {
    fn working(&self) -> Working {
        Working { bits: self.bits, percent: self.percent.load(Ordering::Relaxed) }
    }

    /// Solves the puzzle, unless it is not wanted any more.
    fn run(&self, mut solving: Solving) -> Option<String> {
        while !self.is_unwanted.load(Ordering::Relaxed) {
            if let Some(shown) = solving.step(PUZZLE_STEP_TRIES) {
                return Some(shown);
            }
            self.percent.store(solving.percent(), Ordering::Relaxed);
            std::thread::yield_now();
        }
        None
    }
}

/// A job on the list, for as long as somebody waits for it.
struct Listed<'a> {
    workshop: &'a Workshop,
    message: MessageKey,
    job: Arc<Job>,
}

impl<'a> Listed<'a> {
    fn new(workshop: &'a Workshop, message: MessageKey, bits: u8) -> Self {
        let (percent, is_unwanted) = (AtomicU8::new(0), AtomicBool::new(false));
        let job = Arc::new(Job { bits, percent, is_unwanted });
        workshop.with(|jobs| jobs.insert(message, Arc::clone(&job)));
        Self { workshop, message, job }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.job.is_unwanted.store(true, Ordering::Relaxed);
        self.workshop.with(|jobs| jobs.remove(&self.message));
    }
}

/// Solves the puzzle that a peer gave for a message; returns what is to be shown. Nothing when the
/// message's time was over before, or when the challenge was too old when its turn came.
pub(super) async fn solve(home: &Home, outgoing: &Outgoing, demand: &Demand) -> Option<String> {
    let workshop = &home.transmitter.workshop;
    let message = MessageKey::sent(&outgoing.sender, &outgoing.id);
    let listed = Listed::new(workshop, message, demand.bits);
    let came = Instant::now();
    let working = async {
        let turn = Arc::clone(&workshop.turns).acquire_owned().await.ok()?;
        if PUZZLE_TURN_MAX < came.elapsed() {
            return None;
        }
        tracing::debug!(bits = demand.bits, id = outgoing.id, "a peer's puzzle is being solved");
        let solving = Solving::new(&demand.challenge, demand.bits);
        let job = Arc::clone(&listed.job);
        let mut solved = spawn_blocking(move || {
            let shown = job.run(solving);
            // The turn is over when the thread is, not when nobody waits any more.
            drop(turn);
            shown
        });
        let mut tick = interval(PUZZLE_TOLD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                solved = &mut solved => return solved.ok().flatten(),
                _ = tick.tick() => tell(home, outgoing, &listed.job),
            }
        }
    };
    let left = Duration::from_secs(outgoing.expires.0.saturating_sub(home.now().0));
    timeout(left, working).await.ok().flatten()
}

fn tell(home: &Home, outgoing: &Outgoing, job: &Job) {
    let event = || Event::Working { id: outgoing.id.clone(), working: job.working() };
    home.mailboxes.tell_agent(&outgoing.sender, event);
}
