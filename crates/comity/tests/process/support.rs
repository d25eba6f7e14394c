//! What the tests of processes stand on: nodes, raw HTTP, a stranger with keys of its own, and waiting with a deadline.

mod http;
mod node;
mod stranger;

pub(crate) use http::{Answer, request};
pub(crate) use node::{Run, TestNode, comity, comity_reading, start_demo_pair};
pub(crate) use stranger::{Recipient, Stranger, now};

use std::time::{Duration, Instant};

/// How long a test waits for what has to come, on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Polls something that waits by itself, until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come");
        std::thread::yield_now();
    }
}
