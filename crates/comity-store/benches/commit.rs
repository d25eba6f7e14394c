//! How many messages a second the embedded store makes durable, at several numbers in flight.
//!
//! A message is what accepting one writes: a body of 1 KiB, its mailbox row, its de-duplication
//! assertion and row, a statement in the log and its quota counter. Run it with
//! `cargo bench -p comity-store`; an argument is the directory for the store, since a temporary
//! directory may lie in memory. What it is not: a test; nothing fails for being slow.

#![expect(clippy::print_stdout, reason = "the result is for a terminal")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use comity_core::log::{Act, Statement, TagSecret};
use comity_didcomm::{Did, UnixTime};
use comity_store::{Batch, CommitError, FjallStore, Keyspace, Store};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(parent)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;

    let opening = Instant::now();
    let mut store = Arc::new(FjallStore::open(directory.path())?);
    println!("created in {:?}, {}", opening.elapsed(), memory());
    println!("in flight  messages/s        p50        p99    µs CPU/message");
    for (in_flight, messages) in [(1, 2_000), (16, 20_000), (256, 200_000)] {
        let cpu = cpu_time();
        let start = Instant::now();
        let mut latencies = runtime.block_on(commit(&store, in_flight, messages))?;
        let elapsed = start.elapsed();
        let cpu = cpu_time().saturating_sub(cpu);
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
        println!(
            "{in_flight:>9}  {:>10.0}  {:>9.2?}  {:>9.2?}  {:>16.1}",
            f64::from(messages) / elapsed.as_secs_f64(),
            at(50).unwrap_or_default(),
            at(99).unwrap_or_default(),
            cpu.as_micros() as f64 / f64::from(messages),
        );
    }
    println!("{}, {} MB on disk", memory(), store.size_bytes() >> 20);

    let head = runtime.block_on(store.tree_head())?;
    drop(store);
    let opening = Instant::now();
    store = Arc::new(FjallStore::open(directory.path())?);
    println!("opened again in {:?}", opening.elapsed());
    if runtime.block_on(store.tree_head())? != head {
        return Err("the log is another one after opening again".into());
    }
    Ok(())
}

/// Commits messages, so many at once, and gives how long each took.
async fn commit(
    store: &Arc<FjallStore>,
    in_flight: u32,
    messages: u32,
) -> Result<Vec<Duration>, Failure> {
    let agent: Did = "did:web:a.example".parse()?;
    let tasks: Vec<_> = (0..in_flight)
        .map(|task| {
            let (store, agent) = (Arc::clone(store), agent.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let log = (&agent, &TagSecret::new(&[1; 32]));
                for _ in 0..messages / in_flight {
                    let batch = message(task, log);
                    let start = Instant::now();
                    store.commit(batch).await?;
                    latencies.push(start.elapsed());
                }
                Ok::<_, CommitError>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(latencies)
}

/// What accepting one message writes.
fn message(mailbox: u32, (agent, secret): (&Did, &TagSecret)) -> Batch {
    static MESSAGES: AtomicU64 = AtomicU64::new(0);
    // Identifiers of peers come in no order; a multiplication by an odd number spreads a count.
    let id = MESSAGES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mailbox = u128::from(mailbox).to_be_bytes();
    let seen = [b"d".as_slice(), &id.to_be_bytes(), &mailbox].concat();
    let (parties, name) = ((agent, agent), format!("{id:016x}"));
    let statement =
        Statement::about_message(Act::Received, parties, &name, &[], &[7; 16], UnixTime(1));
    let mut batch = Batch::new();
    batch.assert_absent(Keyspace::Index, &seen);
    batch.put_stamped_value(Keyspace::Index, &seen, [0; 8]);
    batch.put_stamped_key(Keyspace::Index, &[b"m".as_slice(), &mailbox].concat(), [0; 40]);
    batch.put_stamped_key(Keyspace::Body, b"b", [7; 1024]);
    batch.append_statement(statement.stated(secret), None);
    batch.add_bounded(&[b"q".as_slice(), &mailbox].concat(), 1, i64::MAX);
    batch
}

/// The memory of the process, where the system shows it in a file.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("memory unknown").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The processor time of the process, where the system shows it in a file; zero elsewhere.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the name in parentheses: user time is the 12th, system time the next, in
    // hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}
