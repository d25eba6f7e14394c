//! Batches in turns, and the best of each: the only figure that another load on the machine cannot
//! make worse.

use std::time::Duration;

/// Rounds in which every row is measured once.
const ROUNDS: usize = 60;
/// How long one batch of a row takes, about.
const BATCH: Duration = Duration::from_millis(4);

/// Something whose cost is measured.
pub(crate) struct Row<'a> {
    name: String,
    /// The ratio to the last row that has no target.
    target: Option<f64>,
    run: Box<dyn Fn() + 'a>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() + 'a) -> Self {
        Self { name: name.into(), target: None, run: Box::new(run) }
    }
}

/// Rows that are measured in turns.
#[derive(Default)]
pub(crate) struct Table<'a>(Vec<Row<'a>>);

impl<'a> Table<'a> {
    pub(crate) fn push(&mut self, row: Row<'a>) {
        self.0.push(row);
    }

    /// Adds what the next rows are compared with.
    pub(crate) fn limit<F: Fn() + 'a>(&mut self, name: &str, make: impl FnOnce() -> F) {
        self.push(Row::new(name, make()));
    }

    /// Adds a row with the ratio that it should have.
    pub(crate) fn row(&mut self, name: &str, target: f64, run: impl Fn() + 'a) {
        self.0.push(Row { target: Some(target), ..Row::new(name, run) });
    }

    pub(crate) fn run_and_print(self) {
        let best = measure(&self.0);
        println!("{:<36} {:>8} {:>8} {:>8} {:>12}", "", "us", "ratio", "target", "allocations");
        let mut limit = f64::NAN;
        for (row, best) in self.0.iter().zip(best) {
            let (ratio, target) = if let Some(target) = row.target {
                (format!("{:.2}", best / limit), format!("{target:.2}"))
            } else {
                limit = best;
                (String::new(), String::new())
            };
            let count = allocation_counter::measure(&row.run).count_total;
            println!("{:<36} {best:>8.1} {ratio:>8} {target:>8} {count:>12}", row.name);
        }
    }
}

/// The best time of each row, in microseconds.
fn measure(rows: &[Row<'_>]) -> Vec<f64> {
    let sizes: Vec<u32> = rows.iter().map(batch_size).collect();
    let mut best = vec![f64::INFINITY; rows.len()];
    for _ in 0..ROUNDS {
        for ((row, size), best) in rows.iter().zip(&sizes).zip(&mut best) {
            *best = best.min(batch(row, *size));
        }
    }
    best
}

fn batch_size(row: &Row<'_>) -> u32 {
    let once = batch(row, 8);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let size = (BATCH.as_secs_f64() * 1e6 / once) as u32;
    size.clamp(1, 100_000)
}

fn batch(row: &Row<'_>, size: u32) -> f64 {
    let start = cpu_time();
    for _ in 0..size {
        (row.run)();
    }
    (cpu_time() - start).as_secs_f64() * 1e6 / f64::from(size)
}

/// The time that this thread has computed.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Without such a clock: the time that has passed.
#[cfg(not(unix))]
fn cpu_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
