//! Wall-clock time as an input, so that a simulator can have its own.

use std::time::{SystemTime, UNIX_EPOCH};

use comity_didcomm::UnixTime;

/// Tells the time.
pub(crate) trait Clock: Send + Sync + 'static {
    /// Returns the time now.
    fn now(&self) -> UnixTime;
}

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}
