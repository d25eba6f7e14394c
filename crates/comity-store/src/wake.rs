//! Waking those who wait for a mailbox.
//!
//! What it is: a hint that a mailbox may have something new, separate from the store
//! (ADR 0006). It may wake needlessly. What it is not: what a message depends on: between
//! processes a hint can be lost, and whoever waits also polls slowly. Within one process none is
//! lost, because a listener is dirty from its beginning and stays so until it waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::watch;

use crate::limits;

/// The key under which a mailbox lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxKey(pub [u8; 16]);

/// Tells why a mailbox cannot be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// As many mailboxes are listened to as the limit allows.
    #[error("too many mailboxes are listened to")]
    TooMany,
}

/// Carries the hint that a mailbox may have something new.
pub trait Wake: Send + Sync + 'static {
    /// Wakes everyone who listens to a mailbox; call it after the commit.
    fn wake(&self, mailbox: &MailboxKey);

    /// Begins to listen to a mailbox.
    ///
    /// # Errors
    ///
    /// Fails if too many mailboxes are listened to; the caller then only polls.
    fn listen(&self, mailbox: MailboxKey) -> Result<Listener, ListenError>;
}

/// Waking within one process.
#[derive(Clone, Default)]
pub struct LocalWake {
    listened: Listened,
}

impl LocalWake {
    /// Creates it without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the number of mailboxes that are listened to.
    pub fn mailboxes(&self) -> usize {
        lock(&self.listened).len()
    }
}

impl Wake for LocalWake {
    fn wake(&self, mailbox: &MailboxKey) {
        if let Some(dirty) = lock(&self.listened).get(mailbox) {
            dirty.send_replace(());
        }
    }

    fn listen(&self, mailbox: MailboxKey) -> Result<Listener, ListenError> {
        let mut listened = lock(&self.listened);
        if limits::LISTENED_MAILBOXES_MAX <= listened.len() && !listened.contains_key(&mailbox) {
            return Err(ListenError::TooMany);
        }
        let mut dirty = listened.entry(mailbox).or_default().subscribe();
        dirty.mark_changed();
        drop(listened);
        Ok(Listener { listened: Arc::clone(&self.listened), mailbox, dirty: Some(dirty) })
    }
}

/// Somebody who waits for a mailbox; stops listening when dropped.
///
/// Use it as a loop: wait, read everything there is, and again. The first wait ends at once, so
/// what came before the listener did is read too.
pub struct Listener {
    listened: Listened,
    mailbox: MailboxKey,
    dirty: Option<watch::Receiver<()>>,
}

impl Listener {
    /// Waits until the mailbox may have something that came since the last wait ended.
    ///
    /// Dropping the future loses no hint.
    pub async fn wait(&mut self) {
        if let Some(dirty) = &mut self.dirty {
            // The sender leaves the table only with the last listener, so this is never an error.
            let _changed = dirty.changed().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listened = lock(&self.listened);
        // The receiver goes while the table is locked: of two listeners that leave at once, the
        // later one must see that it is the last.
        self.dirty = None;
        if listened.get(&self.mailbox).is_some_and(|dirty| dirty.receiver_count() == 0) {
            listened.remove(&self.mailbox);
        }
    }
}

type Listened = Arc<Mutex<HashMap<MailboxKey, watch::Sender<()>>>>;

fn lock(listened: &Listened) -> MutexGuard<'_, HashMap<MailboxKey, watch::Sender<()>>> {
    // Every change of the table is one call, so a panic elsewhere left it whole.
    listened.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ALICE: MailboxKey = MailboxKey([1; 16]);
    const BOB: MailboxKey = MailboxKey([2; 16]);

    fn is_dirty(listener: &mut Listener) -> bool {
        let wait = pin!(listener.wait());
        wait.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn the_first_wait_ends_at_once() {
        let wake = LocalWake::new();
        let mut listener = wake.listen(ALICE).unwrap();
        assert!(is_dirty(&mut listener));
        assert!(!is_dirty(&mut listener));
    }

    #[test]
    fn a_wake_between_waits_is_kept() {
        let wake = LocalWake::new();
        let mut alice = wake.listen(ALICE).unwrap();
        let mut also_alice = wake.listen(ALICE).unwrap();
        let mut bob = wake.listen(BOB).unwrap();
        for listener in [&mut alice, &mut also_alice, &mut bob] {
            assert!(is_dirty(listener));
        }
        wake.wake(&ALICE);
        wake.wake(&ALICE);
        assert!(is_dirty(&mut alice));
        assert!(!is_dirty(&mut alice));
        assert!(is_dirty(&mut also_alice));
        assert!(!is_dirty(&mut bob));
    }

    #[tokio::test]
    async fn a_waiting_listener_is_woken() {
        let wake = LocalWake::new();
        let mut listener = wake.listen(ALICE).unwrap();
        listener.wait().await;
        let waiting = tokio::spawn(async move { listener.wait().await });
        tokio::task::yield_now().await;
        wake.wake(&ALICE);
        waiting.await.unwrap();
    }

    #[test]
    fn the_mailboxes_listened_to_are_bounded() {
        let wake = LocalWake::new();
        let key = |n: usize| MailboxKey((n as u128).to_be_bytes());
        let mut listeners: Vec<_> =
            (0..limits::LISTENED_MAILBOXES_MAX).map(|n| wake.listen(key(n)).unwrap()).collect();
        let one_more = key(limits::LISTENED_MAILBOXES_MAX);
        assert_eq!(wake.listen(one_more).err(), Some(ListenError::TooMany));
        // Those that are listened to take another listener.
        wake.listen(key(0)).unwrap();
        listeners.pop();
        wake.listen(one_more).unwrap();
    }

    #[test]
    fn an_entry_leaves_with_its_last_listener() {
        let wake = LocalWake::new();
        let first = wake.listen(ALICE).unwrap();
        let second = wake.listen(ALICE).unwrap();
        drop(first);
        assert_eq!(wake.mailboxes(), 1);
        drop(second);
        assert_eq!(wake.mailboxes(), 0);
        wake.wake(&ALICE);
    }
}
