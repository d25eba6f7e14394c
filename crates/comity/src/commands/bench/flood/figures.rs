//! The figures of a flood: from what was counted to what is printed.

use std::time::Duration;

use comity_core::api::Status;
use serde::Serialize;

use super::super::figures::{as_f64, mebibytes, percentile_ms, round};
use crate::output::{Output, Style, columns};

/// What the friends noticed, and what their home used, while something happened.
#[derive(Debug)]
pub(super) struct Noticed {
    /// Microseconds from send to handler, sorted.
    samples: Vec<u64>,
    took: Duration,
    before: Status,
    after: Status,
}

impl Noticed {
    pub(super) fn new(
        mut samples: Vec<u64>,
        took: Duration,
        before: Status,
        after: Status,
    ) -> Self {
        samples.sort_unstable();
        Self { samples, took, before, after }
    }
}

/// How many letters got which answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// 2xx: without work there may be none; with it, they are held or refused with a report.
    taken: u64,
    /// 402.
    charged: u64,
    /// Anything else: there is no room.
    turned_away: u64,
}

impl Answers {
    pub(super) const fn count(&mut self, status: u16) {
        match status {
            402 => self.charged += 1,
            200..=299 => self.taken += 1,
            _ => self.turned_away += 1,
        }
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.charged += other.charged;
        self.turned_away += other.turned_away;
    }
}

/// What puzzles cost those who solved them.
#[derive(Debug, Default)]
pub(super) struct Price {
    solved: u64,
    bits_most: u8,
    cpu: Duration,
}

impl Price {
    pub(super) fn solved(&mut self, bits: u8, cpu: Duration) {
        self.add(&Self { solved: 1, bits_most: bits, cpu });
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.solved += other.solved;
        self.bits_most = self.bits_most.max(other.bits_most);
        self.cpu += other.cpu;
    }
}

/// One wave of strangers, each with a letter: what came of it, and what the friends noticed.
#[derive(Debug, Serialize)]
pub(super) struct Wave {
    strangers: u64,
    strangers_per_s: f64,
    taken: u64,
    charged: u64,
    turned_away: u64,
    p50_ms: f64,
    p99_ms: f64,
    /// To the one without strangers.
    p99_ratio: f64,
    requests_held: u64,
    store_growth_mb: f64,
    rss_growth_mb: f64,
    node_cpu_us_per_stranger: f64,
    seconds: f64,
}

impl Wave {
    pub(super) fn new(answers: &Answers, noticed: &Noticed, quiet: &Noticed) -> Self {
        let Noticed { samples, took, before, after } = noticed;
        let strangers = answers.taken + answers.charged + answers.turned_away;
        let (quiet_p99, p99) = (percentile_ms(&quiet.samples, 99), percentile_ms(samples, 99));
        let grown = |after: u64, before: u64| mebibytes(after.saturating_sub(before));
        let cpu_us = as_f64(after.cpu_us.saturating_sub(before.cpu_us));
        Self {
            strangers,
            strangers_per_s: round(as_f64(strangers) / took.as_secs_f64(), 1),
            taken: answers.taken,
            charged: answers.charged,
            turned_away: answers.turned_away,
            p50_ms: percentile_ms(samples, 50),
            p99_ms: p99,
            p99_ratio: round(p99 / quiet_p99.max(f64::MIN_POSITIVE), 2),
            requests_held: after.requests_pending,
            store_growth_mb: grown(after.store_bytes, before.store_bytes),
            rss_growth_mb: grown(after.rss_bytes, before.rss_bytes),
            node_cpu_us_per_stranger: round(cpu_us / as_f64(strangers.max(1)), 1),
            seconds: round(took.as_secs_f64(), 3),
        }
    }

    fn rows(&self, name: &'static str) -> [[String; 2]; 3] {
        [
            [
                name.to_owned(),
                format!(
                    "{} at {} a second: {} taken, {} charged, {} turned away",
                    self.strangers,
                    self.strangers_per_s,
                    self.taken,
                    self.charged,
                    self.turned_away
                ),
            ],
            [
                "  friends".to_owned(),
                format!(
                    "99th percentile {} ms: {} times that without",
                    self.p99_ms, self.p99_ratio
                ),
            ],
            [
                "  node".to_owned(),
                format!(
                    "{} requests held; with the friends' messages {} us of CPU a stranger, {} MiB of store, \
                     {} MiB of memory",
                    self.requests_held,
                    self.node_cpu_us_per_stranger,
                    self.store_growth_mb,
                    self.rss_growth_mb
                ),
            ],
        ]
    }
}

/// The result of a flood.
#[derive(Debug, Serialize)]
pub(super) struct Flooded {
    friends_sent: u64,
    friends_delivered_percent: f64,
    quiet_p50_ms: f64,
    quiet_p99_ms: f64,
    unpaid: Wave,
    paid: Option<Wave>,
    puzzles_solved: u64,
    bits_most: u8,
    cpu_s_per_puzzle: f64,
    /// What all strangers spend who pay: measured if all did, else at the price of those that were solved.
    attacker_cpu_s: f64,
}

impl Flooded {
    pub(super) fn new(
        (sent, lost): (u64, u64),
        quiet: &Noticed,
        (unpaid, paid): (Wave, Option<Wave>),
        price: &Price,
    ) -> Self {
        let per_puzzle = price.cpu.as_secs_f64() / as_f64(price.solved.max(1));
        let delivered = as_f64(sent.saturating_sub(lost));
        Self {
            friends_sent: sent,
            friends_delivered_percent: round(100.0 * delivered / as_f64(sent.max(1)), 3),
            quiet_p50_ms: percentile_ms(&quiet.samples, 50),
            quiet_p99_ms: percentile_ms(&quiet.samples, 99),
            puzzles_solved: price.solved,
            bits_most: price.bits_most,
            cpu_s_per_puzzle: round(per_puzzle, 4),
            attacker_cpu_s: round(per_puzzle * as_f64(unpaid.charged), 1),
            unpaid,
            paid,
        }
    }

    pub(super) fn describe(&self, output: &Output) -> String {
        let delivered = format!("{} % of the friends' messages", self.friends_delivered_percent);
        let delivered = output.paint(Style::Good, &delivered);
        let mut rows = vec![[
            "friends".to_owned(),
            format!(
                "{} messages; 99th percentile {} ms without strangers",
                self.friends_sent, self.quiet_p99_ms
            ),
        ]];
        rows.extend(self.unpaid.rows("unpaid"));
        rows.extend(self.paid.iter().flat_map(|wave| wave.rows("paid")));
        rows.push([
            "attacker".to_owned(),
            format!(
                "{} s of CPU for all: {} s a puzzle, by {} that were solved, of {} bits at most",
                self.attacker_cpu_s, self.cpu_s_per_puzzle, self.puzzles_solved, self.bits_most
            ),
        ]);
        let rows: Vec<_> = rows.into_iter().map(|row| row.to_vec()).collect();
        format!("{delivered}\n{}", columns(&rows))
    }
}
