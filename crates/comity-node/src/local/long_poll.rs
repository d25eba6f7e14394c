//! Waiting for something to happen, within bounds.

use std::time::Duration;

use comity_core::receipt::State;
use comity_store::records::{MessageKey, ladder, mailbox_key};
use comity_store::{Seq, StoreFault, Wake as _};
use tokio::time::{Instant, timeout_at};

use crate::deliver::{Handed, Holder, hand_over, peek};
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::{LEASE, LONG_POLL_MAX, SLOW_POLL};

/// How messages are fetched.
#[derive(Clone, Copy)]
pub(super) enum Fetch {
    /// Handed over until the lease runs out.
    Lease(Holder),
    /// Only looked at, from a position on.
    Peek {
        /// The position.
        after: Seq,
    },
}

/// Fetches messages, waiting for the first if there is none.
pub(super) async fn messages(
    home: &Home,
    agent: &Identity,
    fetch: Fetch,
    limit: usize,
    wait: Duration,
) -> Result<Vec<Handed>, StoreFault> {
    let deadline = Instant::now() + wait.min(LONG_POLL_MAX);
    let mut listener = home.wake.listen(mailbox_key(&agent.did)).ok();
    loop {
        let handed = match fetch {
            Fetch::Lease(holder) => hand_over(home, agent, holder, Some(LEASE), limit).await?,
            Fetch::Peek { after } => peek(home, agent, after, limit).await?,
        };
        if !handed.is_empty() || deadline <= Instant::now() {
            return Ok(handed);
        }
        let next_look = deadline.min(Instant::now() + SLOW_POLL);
        let _woken = match &mut listener {
            Some(listener) => timeout_at(next_look, listener.wait()).await.is_ok(),
            None => timeout_at(next_look, std::future::pending::<()>()).await.is_ok(),
        };
    }
}

/// Waits until a sent message has reached a state, or the end of its ladder, or the time is over.
pub(super) async fn state(
    home: &Home,
    agent: &Identity,
    message: MessageKey,
    wanted: State,
    wait: Duration,
) -> Result<(), StoreFault> {
    let deadline = Instant::now() + wait.min(LONG_POLL_MAX);
    let mut events = home.mailboxes.events(&agent.did);
    loop {
        let rungs = ladder::sent_rungs(home.store.as_ref(), message).await?;
        let reached = |state: State| state == wanted || state.is_final();
        if rungs.iter().any(|rung| reached(rung.state)) || deadline <= Instant::now() {
            return Ok(());
        }
        let next_look = deadline.min(Instant::now() + SLOW_POLL);
        let _event = timeout_at(next_look, events.recv()).await.is_ok();
    }
}
