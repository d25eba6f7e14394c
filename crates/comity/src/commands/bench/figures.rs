//! The figures: from what was counted to what is printed.

use std::time::{Duration, Instant};

use comity_core::{api::Status, trust::Challenge};
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

/// What the friends sent, and how long it took in microseconds, without strangers and with them.
#[derive(Debug)]
pub(super) struct Friends {
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) quiet: Vec<u64>,
    pub(super) loud: Vec<u64>,
}

/// What came of the strangers.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    pub(super) identities: usize,
    /// Unpaid letters by answer: the price, that there is no room, and that they are taken.
    pub(super) charged: u64,
    pub(super) turned_away: u64,
    pub(super) taken_unpaid: u64,
    /// Letters that were paid for and answered 202: held, or refused with a report.
    pub(super) paid_and_answered: u64,
    /// Puzzles that are to be solved afterwards.
    pub(super) puzzles: Vec<Challenge>,
    solved: u64,
    solving: Duration,
    pub(super) bits_most: u8,
}

impl Strangers {
    /// Counts a puzzle that was solved, and the processor time that it took.
    pub(super) fn solved(&mut self, cpu: Duration) {
        self.solved += 1;
        self.solving += cpu;
    }
}

/// The result of a flood.
#[derive(Debug, Serialize)]
pub(super) struct Flooded {
    strangers: usize,
    strangers_per_s: f64,
    charged: u64,
    turned_away: u64,
    /// Has to be none.
    taken_unpaid: u64,
    paid_and_answered: u64,
    friends_sent: u64,
    friends_delivered_percent: f64,
    quiet_p50_ms: f64,
    quiet_p99_ms: f64,
    flood_p50_ms: f64,
    flood_p99_ms: f64,
    p99_ratio: f64,
    requests_held: u64,
    store_growth_mb: f64,
    rss_growth_mb: f64,
    node_cpu_us_per_stranger: f64,
    puzzles_solved: u64,
    bits_most: u8,
    cpu_s_per_puzzle: f64,
    /// What the strangers spent if all were to pay; else what it would be, at the price of those that were solved.
    attacker_cpu_s: f64,
    seconds: f64,
}

impl Flooded {
    pub(super) fn new(
        friends: &Friends,
        crowd: &Strangers,
        took: Duration,
        (before, after): (&Status, &Status),
    ) -> Self {
        let sorted = |samples: &[u64]| {
            let mut sorted = samples.to_vec();
            sorted.sort_unstable();
            sorted
        };
        let (quiet, loud) = (sorted(&friends.quiet), sorted(&friends.loud));
        let count = as_f64(crowd.identities as u64);
        let per_puzzle = crowd.solving.as_secs_f64() / as_f64(crowd.solved.max(1));
        // Where all were to pay, those who found no room did not.
        let attacker_s = match crowd.solved == crowd.charged {
            true => crowd.solving.as_secs_f64(),
            false => per_puzzle * count,
        };
        let (quiet_p99, flood_p99) = (percentile_ms(&quiet, 99), percentile_ms(&loud, 99));
        let grown = |after: u64, before: u64| mebibytes(after.saturating_sub(before));
        let delivered = as_f64(friends.sent.saturating_sub(friends.lost));
        let cpu_us = as_f64(after.cpu_us.saturating_sub(before.cpu_us));
        Self {
            strangers: crowd.identities,
            strangers_per_s: round(count / took.as_secs_f64(), 1),
            charged: crowd.charged,
            turned_away: crowd.turned_away,
            taken_unpaid: crowd.taken_unpaid,
            paid_and_answered: crowd.paid_and_answered,
            friends_sent: friends.sent,
            friends_delivered_percent: round(100.0 * delivered / as_f64(friends.sent.max(1)), 3),
            quiet_p50_ms: percentile_ms(&quiet, 50),
            quiet_p99_ms: quiet_p99,
            flood_p50_ms: percentile_ms(&loud, 50),
            flood_p99_ms: flood_p99,
            p99_ratio: round(flood_p99 / quiet_p99.max(f64::MIN_POSITIVE), 2),
            requests_held: after.requests_pending,
            store_growth_mb: grown(after.store_bytes, before.store_bytes),
            rss_growth_mb: grown(after.rss_bytes, before.rss_bytes),
            node_cpu_us_per_stranger: round(cpu_us / count.max(1.0), 1),
            puzzles_solved: crowd.solved,
            bits_most: crowd.bits_most,
            cpu_s_per_puzzle: round(per_puzzle, 4),
            attacker_cpu_s: round(attacker_s, 1),
            seconds: round(took.as_secs_f64(), 3),
        }
    }

    pub(super) fn describe(&self, output: &Output) -> String {
        let delivered = format!("{} % of the friends' messages", self.friends_delivered_percent);
        let delivered = output.paint(Style::Good, &delivered);
        let rows = [
            [
                "strangers",
                &format!(
                    "{} at {} a second: {} charged, {} turned away, {} taken unpaid, {} paid",
                    self.strangers,
                    self.strangers_per_s,
                    self.charged,
                    self.turned_away,
                    self.taken_unpaid,
                    self.paid_and_answered
                ),
            ],
            [
                "friends",
                &format!(
                    "{} messages; 99th percentile {} ms without, {} ms with: {} times",
                    self.friends_sent, self.quiet_p99_ms, self.flood_p99_ms, self.p99_ratio
                ),
            ],
            [
                "left behind",
                &format!(
                    "{} requests, {} MiB of store, {} MiB of memory, the friends' included",
                    self.requests_held, self.store_growth_mb, self.rss_growth_mb
                ),
            ],
            ["node", &format!("{} us of CPU a stranger", self.node_cpu_us_per_stranger)],
            [
                "attacker",
                &format!(
                    "{} s of CPU for all: {} s a puzzle, by {} that were solved, of {} bits at most",
                    self.attacker_cpu_s, self.cpu_s_per_puzzle, self.puzzles_solved, self.bits_most
                ),
            ],
        ];
        format!("{delivered}\n{}", columns(&rows.map(|row| row.map(ToOwned::to_owned).to_vec())))
    }
}

/// Returns a percentile of sorted microseconds, in milliseconds.
fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let rank = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(rank).map_or(0.0, |us| round(as_f64(*us) / 1000.0, 3))
}

fn mebibytes(bytes: u64) -> f64 {
    round(as_f64(bytes) / (1024.0 * 1024.0), 1)
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

/// Counts of this program are far below 2^53, up to which this is exact.
fn as_f64(count: u64) -> f64 {
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
