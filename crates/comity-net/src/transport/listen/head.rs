//! The deadline for a request's head, as a timer for hyper (threat T33).
//!
//! hyper has one timeout from the moment it waits for a request to the end of the head. A peer
//! that is silent between two requests deserves more patience than one that has begun to speak,
//! or has never spoken; so the sleep that hyper asks for is set by what the socket has seen.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

use crate::limits::ListenLimits;

/// What is known of the head that a connection waits for. The socket, the timer and the task that
/// share it all run in the connection's task, so the atomics order nothing.
pub(super) struct Head {
    header_deadline: Duration,
    idle_deadline: Duration,
    /// Whether any bytes came since hyper began to wait.
    begun: AtomicBool,
    /// Whether hyper has waited for a head before.
    waited: AtomicBool,
    overrun: AtomicU8,
}

/// Which deadline ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overrun {
    Header,
    Idle,
}

const HEADER: u8 = 1;
const IDLE: u8 = 2;

impl Head {
    pub(super) fn new(limits: &ListenLimits) -> Self {
        Self {
            header_deadline: limits.header_deadline,
            idle_deadline: limits.idle_deadline,
            begun: AtomicBool::new(false),
            waited: AtomicBool::new(false),
            overrun: AtomicU8::new(0),
        }
    }

    /// Notes that bytes came.
    pub(super) fn begin(&self) {
        self.begun.store(true, Relaxed);
    }

    /// Returns the deadline that was missed, if one was.
    pub(super) fn overrun(&self) -> Option<Overrun> {
        match self.overrun.load(Relaxed) {
            HEADER => Some(Overrun::Header),
            IDLE => Some(Overrun::Idle),
            _ => None,
        }
    }
}

/// The timer of one connection; hyper uses it for nothing but heads.
pub(super) struct HeadTimer {
    head: Arc<Head>,
}

impl HeadTimer {
    pub(super) fn new(head: Arc<Head>) -> Self {
        Self { head }
    }

    fn wait(&self) -> HeadSleep {
        self.head.begun.store(false, Relaxed);
        let is_first = !self.head.waited.swap(true, Relaxed);
        let patience = if is_first { self.head.header_deadline } else { self.head.idle_deadline };
        HeadSleep {
            head: Arc::clone(&self.head),
            sleep: Box::pin(tokio::time::sleep(patience)),
            counts_as: if is_first { HEADER } else { IDLE },
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

struct HeadSleep {
    head: Arc<Head>,
    sleep: Pin<Box<tokio::time::Sleep>>,
    counts_as: u8,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.counts_as == IDLE && self.head.begun.load(Relaxed) {
            self.counts_as = HEADER;
            let by = tokio::time::Instant::now() + self.head.header_deadline;
            self.sleep.as_mut().reset(by);
        }
        let expired = self.sleep.as_mut().poll(cx);
        if expired.is_ready() {
            self.head.overrun.store(self.counts_as, Relaxed);
        }
        expired
    }
}
