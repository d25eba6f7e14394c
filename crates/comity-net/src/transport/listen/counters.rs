//! What a listener counts. The figures are for metrics and tests; nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one listener; read them with [`figures`](Self::figures).
#[derive(Debug, Default)]
pub struct ListenCounters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused_full: AtomicU64,
    refused_address: AtomicU64,
    header_timeouts: AtomicU64,
    idle_closes: AtomicU64,
    write_stalls: AtomicU64,
    accept_errors: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenFigures {
    /// Connections that are open now, upgraded ones included.
    pub open: u64,
    /// Connections that were served.
    pub accepted: u64,
    /// Connections closed at once because the listener was full.
    pub refused_full: u64,
    /// Connections closed at once because their address had too many.
    pub refused_address: u64,
    /// Connections closed because a request's head did not come in time.
    pub header_timeouts: u64,
    /// Connections closed because nothing came for the idle deadline.
    pub idle_closes: u64,
    /// Connections closed because the peer took nothing of what waited for it.
    pub write_stalls: u64,
    /// Failures of accepting, such as having no file descriptor left.
    pub accept_errors: u64,
}

impl ListenCounters {
    /// Reads the counters.
    pub fn figures(&self) -> ListenFigures {
        ListenFigures {
            open: self.open.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused_full: self.refused_full.load(Relaxed),
            refused_address: self.refused_address.load(Relaxed),
            header_timeouts: self.header_timeouts.load(Relaxed),
            idle_closes: self.idle_closes.load(Relaxed),
            write_stalls: self.write_stalls.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
        }
    }

    pub(super) fn count_open(&self) {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
    }

    pub(super) fn count_close(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    pub(super) fn count_refused_full(&self) {
        self.refused_full.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused_address(&self) {
        self.refused_address.fetch_add(1, Relaxed);
    }

    pub(super) fn count_header_timeout(&self) {
        self.header_timeouts.fetch_add(1, Relaxed);
    }

    pub(super) fn count_idle_close(&self) {
        self.idle_closes.fetch_add(1, Relaxed);
    }

    pub(super) fn count_write_stall(&self) {
        self.write_stalls.fetch_add(1, Relaxed);
    }

    pub(super) fn count_accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }
}
