//! The figures: from what was counted to what is printed.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Args;
use crate::output::{Output, Style, columns};

/// What both nodes, A and B, had used at a moment.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) cpu_us: [u64; 2],
    pub(super) rss_bytes: [u64; 2],
    pub(super) at: Instant,
}

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    messages_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of both nodes together, without the senders and handlers.
    cpu_us_per_message: f64,
    cpu_us_per_message_node_a: f64,
    cpu_us_per_message_node_b: f64,
    rss_mb_node_a: f64,
    rss_mb_node_b: f64,
    seconds: f64,
    payload_bytes: u32,
    senders: u32,
    receivers: u32,
    in_flight: u32,
    messages: usize,
    /// Of the slower node, from the start of the process until it is ready, with a new data directory.
    start_ms: u128,
    idle_rss_mb: f64,
    binary_mb: f64,
}

impl Figures {
    /// Returns the messages a second.
    pub(super) const fn rate(&self) -> f64 {
        self.messages_per_s
    }

    /// Returns the processor time of both nodes for a message.
    pub(super) const fn cpu_us(&self) -> f64 {
        self.cpu_us_per_message
    }

    pub(super) fn new(
        args: &Args,
        mut samples: Vec<u64>,
        took: Duration,
        start_took: Duration,
        idle: &Usage,
        before: &Usage,
        after: &Usage,
    ) -> Self {
        samples.sort_unstable();
        let messages = samples.len();
        // The window of processor time is a little longer than that of the messages; a rate makes them comparable.
        let between = after.at.duration_since(before.at).as_secs_f64();
        let rate = as_f64(samples.len() as u64) / took.as_secs_f64();
        let cpu = |after: u64, before: u64| {
            let us = as_f64(after.saturating_sub(before));
            round(us / between / rate.max(f64::MIN_POSITIVE), 1)
        };
        let [a, b] = after.cpu_us;
        let [a_before, b_before] = before.cpu_us;
        let [rss_a, rss_b] = after.rss_bytes.map(mebibytes);
        let [idle_a, idle_b] = idle.rss_bytes.map(mebibytes);
        let binary = std::env::current_exe().and_then(std::fs::metadata).map(|file| file.len());
        Self {
            messages_per_s: round(rate, 1),
            p50_ms: percentile_ms(&samples, 50),
            p99_ms: percentile_ms(&samples, 99),
            cpu_us_per_message: cpu(a.saturating_add(b), a_before.saturating_add(b_before)),
            cpu_us_per_message_node_a: cpu(a, a_before),
            cpu_us_per_message_node_b: cpu(b, b_before),
            rss_mb_node_a: rss_a,
            rss_mb_node_b: rss_b,
            seconds: round(took.as_secs_f64(), 3),
            payload_bytes: args.payload,
            senders: args.senders,
            receivers: args.receivers,
            in_flight: args.in_flight,
            messages,
            start_ms: start_took.as_millis(),
            idle_rss_mb: idle_a.max(idle_b),
            binary_mb: mebibytes(binary.unwrap_or_default()),
        }
    }

    pub(super) fn describe(&self, output: &Output) -> String {
        let rate = output.paint(Style::Good, &format!("{} messages/s", self.messages_per_s));
        let rows = [
            [
                "latency",
                &format!("{} ms median, {} ms at the 99th percentile", self.p50_ms, self.p99_ms),
            ],
            [
                "cpu",
                &format!(
                    "{} us a message at A, {} us at B",
                    self.cpu_us_per_message_node_a, self.cpu_us_per_message_node_b
                ),
            ],
            [
                "memory",
                &format!(
                    "{} MiB at A, {} MiB at B, {} MiB idle",
                    self.rss_mb_node_a, self.rss_mb_node_b, self.idle_rss_mb
                ),
            ],
            ["start", &format!("{} ms", self.start_ms)],
            ["program", &format!("{} MiB", self.binary_mb)],
            [
                "counted",
                &format!("{} messages in {} s, from send to handler", self.messages, self.seconds),
            ],
        ];
        format!("{rate}\n{}", columns(&rows.map(|row| row.map(ToOwned::to_owned).to_vec())))
    }
}

/// Returns a percentile of sorted microseconds, in milliseconds.
pub(super) fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let rank = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(rank).map_or(0.0, |us| round(as_f64(*us) / 1000.0, 3))
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    round(as_f64(bytes) / (1024.0 * 1024.0), 1)
}

pub(super) fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

/// Counts of this program are far below 2^53, up to which this is exact.
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        let sorted: Vec<u64> = (1..=100).map(|ms| ms * 1000).collect();
        assert_eq!((percentile_ms(&sorted, 50), percentile_ms(&sorted, 99)), (50.0, 99.0));
        assert_eq!(percentile_ms(&[], 50), 0.0);
    }
}
