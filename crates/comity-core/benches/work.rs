//! What a stranger's price is in time: tries a second of one core, how much the time to solve a
//! puzzle varies, and what a solution costs to verify: `cargo bench -p comity-core`.
//!
//! The figures of `docs/adr/0030-work-buys-a-knock.md` and `docs/operating.md` come from here. Not a
//! test: nothing fails for being slow.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark, for a terminal"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use comity_core::trust::{ChallengeId, Solving, WorkSecret, WorkShown};
use comity_didcomm::{Did, UnixTime};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A bit that no hash of this run has so many of: the puzzle is not solved while it is measured.
const UNSOLVABLE: u8 = 60;

fn main() {
    println!("{:.1} million tries a second", rate(Duration::from_secs(3)) / 1e6);
    println!("bits   puzzles   mean ms   median      p99");
    for (bits, puzzles) in [(16, 1_000), (20, 300)] {
        let mut times = solve(bits, puzzles);
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        println!("{bits:4}   {puzzles:7}   {mean:7.2}   {:6.2}   {:6.2}", at(50), at(99));
    }
    println!("{:.2} us to verify", verify() * 1e6);
}

fn rate(time: Duration) -> f64 {
    let mut solving = Solving::new("rate", UNSOLVABLE);
    let (began, mut tries) = (Instant::now(), 0_u64);
    while began.elapsed() < time {
        black_box(solving.step(10_000));
        tries += 10_000;
    }
    tries as f64 / began.elapsed().as_secs_f64()
}

/// Solves puzzles; returns the milliseconds that each took.
fn solve(bits: u8, puzzles: u32) -> Vec<f64> {
    (0..puzzles)
        .map(|number| {
            let began = Instant::now();
            let mut solving = Solving::new(&format!("puzzle {number}"), bits);
            while black_box(solving.step(10_000)).is_none() {}
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}

/// Verifies a solution again and again, MAC included; returns the seconds that it takes.
fn verify() -> f64 {
    let [sender, recipient] =
        ["did:web:a.example:agents:aria", "did:web:b.example:agents:bruno"].map(did);
    let (secret, parties) = (WorkSecret::new(&[1; 32]), (&sender, &recipient));
    let challenge = secret.issue(ChallengeId([1; 16]), 12, parties, NOW);
    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
    let shown = std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap();
    let (began, rounds) = (Instant::now(), 50_000_u32);
    for _ in 0..rounds {
        let verdict = secret.check(Some(black_box(&shown)), parties, NOW);
        assert!(matches!(verdict, WorkShown::Paid { .. }));
    }
    began.elapsed().as_secs_f64() / f64::from(rounds)
}

fn did(text: &str) -> Did {
    text.parse().unwrap()
}
