//! Room for the envelopes that are worked on. Overload meets those first who have brought nothing welcome
//! yet (ADR 0013): they cannot take every place, and leave a processor to the others, where there are two.

use std::sync::Arc;

use comity_core::limits::ENVELOPE_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{ENVELOPE_PLACE_BYTES, ENVELOPES_UNDER_WAY_MAX, ENVELOPES_UNKNOWN_MAX};

/// The places of a node, for everybody and for those who are unknown.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    unknown: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A place that is taken for as long as the work on one envelope goes on.
pub(crate) struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _unknown: Option<OwnedSemaphorePermit>,
    turns: Option<Arc<Semaphore>>,
}

impl Places {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            all: Arc::new(Semaphore::new(ENVELOPES_UNDER_WAY_MAX)),
            unknown: Arc::new(Semaphore::new(ENVELOPES_UNKNOWN_MAX)),
            turns: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
        }
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(&self, envelope_bytes: usize, is_welcome: bool) -> Option<Place> {
        let count = places(envelope_bytes);
        let unknown = match is_welcome {
            true => None,
            false => Some(Arc::clone(&self.unknown).try_acquire_many_owned(count).ok()?),
        };
        let all = Arc::clone(&self.all).try_acquire_many_owned(count).ok()?;
        Some(self.place(all, unknown))
    }

    /// Waits for a place.
    pub(crate) async fn wait(&self, envelope_bytes: usize, is_welcome: bool) -> Option<Place> {
        let count = places(envelope_bytes);
        let unknown = match is_welcome {
            true => None,
            false => Some(Arc::clone(&self.unknown).acquire_many_owned(count).await.ok()?),
        };
        let all = Arc::clone(&self.all).acquire_many_owned(count).await.ok()?;
        Some(self.place(all, unknown))
    }

    fn place(&self, all: OwnedSemaphorePermit, unknown: Option<OwnedSemaphorePermit>) -> Place {
        let turns = unknown.is_some().then(|| Arc::clone(&self.turns));
        Place { _all: Some(all), _unknown: unknown, turns }
    }
}

impl Place {
    /// The place of what does not come through the public listener.
    pub(crate) const INSIDE: Self = Self { _all: None, _unknown: None, turns: None };

    /// Works: the unknown in turns. Nothing may be waited for meanwhile, or one that answers slowly
    /// would bar the way for all of them.
    pub(crate) async fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let _turn = self.turn().await;
        work()
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match &self.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        }
    }
}

/// For how many an envelope counts among those that are worked on.
fn places(envelope_bytes: usize) -> u32 {
    let places = envelope_bytes.div_ceil(ENVELOPE_PLACE_BYTES).clamp(1, ENVELOPES_UNDER_WAY_MAX);
    u32::try_from(places).unwrap_or(u32::MAX)
}

const _: () = assert!(ENVELOPE_BYTES_MAX.div_ceil(ENVELOPE_PLACE_BYTES) <= ENVELOPES_UNKNOWN_MAX);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn large_envelopes_count_for_several() {
        // Five hundred of full size, all waiting for one slow document, took twenty gigabytes.
        assert_eq!([0, 1, ENVELOPE_PLACE_BYTES].map(places), [1, 1, 1]);
        assert_eq!(places(ENVELOPE_PLACE_BYTES + 1), 2);
        let largest = usize::try_from(places(ENVELOPE_BYTES_MAX)).unwrap();
        assert_eq!(ENVELOPES_UNDER_WAY_MAX / largest, 32);
        assert!(usize::try_from(places(usize::MAX)).unwrap() <= ENVELOPES_UNDER_WAY_MAX);
    }

    #[test]
    fn the_unknown_leave_room_for_those_who_were_welcome() {
        let places = Places::new();
        let unknown: Vec<_> = std::iter::from_fn(|| places.take(1, false)).collect();
        assert_eq!(unknown.len(), ENVELOPES_UNKNOWN_MAX);
        assert!(places.wait(1, false).now_or_never().is_none());
        let known: Vec<_> = std::iter::from_fn(|| places.take(1, true)).collect();
        assert_eq!(known.len(), ENVELOPES_UNDER_WAY_MAX - ENVELOPES_UNKNOWN_MAX);
        drop(unknown);
        assert!(places.wait(1, false).now_or_never().is_some());
    }

    #[test]
    fn the_unknown_take_turns_and_nobody_else_waits_for_them() {
        let places = Places::new();
        let unknown: Vec<_> = std::iter::from_fn(|| places.take(1, false)).collect();
        let turns: Vec<_> =
            unknown.iter().map_while(|place| place.turn().now_or_never()).flatten().collect();
        assert!(!turns.is_empty() && turns.len() < unknown.len());
        let known = places.take(1, true).unwrap();
        assert!(known.turn().now_or_never().is_some());
        assert!(Place::INSIDE.turn().now_or_never().is_some());
        let next = unknown.last().unwrap();
        assert!(next.turn().now_or_never().is_none());
        drop(turns);
        assert!(next.turn().now_or_never().is_some());
    }
}
