//! Bounds how many requests are under way, in all and to one host (threat T22). A host is known
//! here only while somebody uses or waits for it, so the table cannot grow beyond the total.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds, and who is within them.
#[derive(Debug)]
pub(crate) struct HostGate {
    per_host_max: usize,
    total: Arc<Semaphore>,
    hosts: Mutex<HashMap<Box<str>, Host>>,
}

#[derive(Debug)]
struct Host {
    turns: Arc<Semaphore>,
    users: usize,
}

impl HostGate {
    pub(crate) fn new(per_host_max: usize, total_max: usize) -> Self {
        Self {
            per_host_max,
            total: Arc::new(Semaphore::new(total_max)),
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a turn at the host; `None` at once when the total is reached.
    pub(crate) async fn enter(&self, authority: &str) -> Option<Pass<'_>> {
        let total = Arc::clone(&self.total).try_acquire_owned().ok()?;
        let place = self.take_place(authority);
        let turn = Arc::clone(&place.turns).acquire_owned().await.ok()?;
        Some(Pass { _turn: turn, _place: place, _total: total })
    }

    fn take_place(&self, authority: &str) -> Place<'_> {
        let authority: Box<str> = authority.to_ascii_lowercase().into();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.clone()).or_insert_with(|| Host {
            turns: Arc::new(Semaphore::new(self.per_host_max)),
            users: 0,
        });
        host.users += 1;
        Place { gate: self, authority, turns: Arc::clone(&host.turns) }
    }

    #[cfg(test)]
    fn hosts_known(&self) -> usize {
        self.hosts.lock().unwrap().len()
    }
}

/// Leave to make one request, until dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    _turn: OwnedSemaphorePermit,
    _place: Place<'a>,
    _total: OwnedSemaphorePermit,
}

/// A place in the queue of a host; it exists before the first wait, so that a wait that is given
/// up leaves nothing behind.
#[derive(Debug)]
struct Place<'a> {
    gate: &'a HostGate,
    authority: Box<str>,
    turns: Arc<Semaphore>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut hosts = self.gate.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(&self.authority) {
            host.users -= 1;
            if host.users == 0 {
                hosts.remove(&self.authority);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn one_host_waits_while_another_goes_on() {
        let gate = HostGate::new(2, 10);
        let first = gate.enter("a.example").await.unwrap();
        let _second = gate.enter("A.Example").await.unwrap();
        assert!(timeout(MOMENT, gate.enter("a.example")).await.is_err());
        let _other = gate.enter("b.example").await.unwrap();
        drop(first);
        assert!(gate.enter("a.example").await.is_some());
    }

    #[tokio::test]
    async fn over_the_total_is_refused_at_once() {
        let gate = HostGate::new(2, 2);
        let _first = gate.enter("a.example").await.unwrap();
        let _second = gate.enter("b.example").await.unwrap();
        assert!(gate.enter("c.example").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_nobody_uses_are_forgotten() {
        let gate = HostGate::new(1, 10);
        let pass = gate.enter("a.example").await.unwrap();
        assert!(timeout(MOMENT, gate.enter("a.example")).await.is_err());
        assert_eq!(gate.hosts_known(), 1);
        drop(pass);
        assert_eq!(gate.hosts_known(), 0);
    }
}
