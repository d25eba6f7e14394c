//! Memory for what waits to be written to public WebSockets, all together. Peers that do not read
//! would have us keep some envelopes each, which is too much for many sockets.

use std::sync::Arc;

use comity_core::limits::ENVELOPE_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::{ROOM_WAIT, SOCKETS_BYTES_MAX};

/// The room that all sockets share. Who waits for some gets it in turn.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// An envelope on its way to a socket, and its share of the room until it is written.
pub(crate) struct Parcel {
    pub(super) envelope: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SOCKETS_BYTES_MAX)))
    }
}

impl Room {
    /// Waits for room for one envelope, whatever its size. It is taken before the envelope is made.
    pub(super) async fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(ENVELOPE_BYTES_MAX).unwrap_or(u32::MAX);
        Arc::clone(&self.0).acquire_many_owned(bytes).await.ok()
    }

    /// As [`Self::reserve`], for as long as somebody who asked is let wait.
    pub(super) async fn reserve_soon(&self) -> Option<OwnedSemaphorePermit> {
        timeout(ROOM_WAIT, self.reserve()).await.ok().flatten()
    }

    /// Whether there is none left.
    pub(super) fn is_full(&self) -> bool {
        self.0.available_permits() < ENVELOPE_BYTES_MAX
    }
}

impl Parcel {
    /// Keeps as much of the room as the envelope needs.
    pub(super) fn new(envelope: Vec<u8>, mut room: OwnedSemaphorePermit) -> Self {
        let kept = room.split(envelope.len());
        Self { envelope, _room: kept.unwrap_or(room) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_all_sockets_together_is_bounded() {
        let room = Room::default();
        let mut waiting = Vec::new();
        while let Some(reserved) = room.reserve_soon().await {
            waiting.push(Parcel::new(vec![0; ENVELOPE_BYTES_MAX], reserved));
        }
        assert_eq!(waiting.len(), SOCKETS_BYTES_MAX / ENVELOPE_BYTES_MAX);
        assert!(room.is_full());
        waiting.pop();
        // A small one leaves room for others.
        let reserved = room.reserve_soon().await.unwrap();
        assert!(room.is_full());
        waiting.push(Parcel::new(vec![0; 1], reserved));
        assert_eq!(room.0.available_permits(), ENVELOPE_BYTES_MAX - 1);
        waiting.clear();
        assert_eq!(room.0.available_permits(), SOCKETS_BYTES_MAX);
    }
}
