//! A process that commits is killed again and again, and nothing that it was answered is lost.
//!
//! The child is this test binary, told by an environment variable to commit from several tasks
//! and to print each answer. The parent kills it after a random number of lines and then reads
//! what is left. SIGKILL tests the process's own buffers and the engine's recovery; the disk's
//! cache it cannot test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "statements/statements.rs"]
mod statements;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use comity_core::log::Statement;
use comity_store::records::log::{self, check::Checked};
use comity_store::{Batch, FjallStore, KeyRange, Keyspace, Seq, Stamp, Store};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use statements::{agent, stated};

const DIRECTORY: &str = "COMITY_STORE_KILL_DIRECTORY";
const KILLS: usize = 60;
const TASKS: u64 = 8;
/// More lines than a child gets to print before it is killed.
const LINES_MAX: u32 = 120;

#[test]
fn sixty_kills_lose_nothing_that_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    // A fixed seed: a failure can be looked at again, as far as scheduling allows.
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut answered = BTreeMap::new();
    for kill in 0..KILLS {
        let lines = 1 + random.next_u32() % LINES_MAX;
        let before = answered.len();
        run_and_kill(directory.path(), lines, &mut answered);
        assert!(before < answered.len(), "kill {kill} came after some answers");
        check(directory.path(), &answered);
    }
}

/// Collects the answers of a child until it is dead: message number to stamp.
fn run_and_kill(directory: &Path, lines: u32, answered: &mut BTreeMap<u64, Stamp>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_commits_until_killed", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = 0;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // A child that is dead may have left more lines in the pipe: those answers count too. The
    // last may be cut, and then it was never read by anyone.
    while output.read_line(&mut line).unwrap() != 0 {
        if let Some(answer) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("answer "))
        {
            let mut numbers = answer.split(' ').map(|number| number.parse().unwrap());
            let mut number = || numbers.next().unwrap();
            let (message, seq, log) = (number(), Seq(number()), number());
            assert!(answered.insert(message, Stamp { seq, log }).is_none(), "answered twice");
            seen += 1;
            if seen == lines {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
}

/// Checks that each answer is true, and that each batch is there whole or not at all.
fn check(directory: &Path, answered: &BTreeMap<u64, Stamp>) {
    let store = FjallStore::open(directory).unwrap();
    block_on(async {
        let read = |keyspace, prefix: &'static [u8]| {
            store.read(keyspace, KeyRange::prefix(prefix), usize::MAX)
        };
        let bodies = read(Keyspace::Body, b"body/").await.unwrap();
        let index = read(Keyspace::Index, b"seen/").await.unwrap();
        let size = store.frontier().await.unwrap().size();
        let statements = log::statements(&store, &agent(0), 1, usize::MAX).await.unwrap();
        let counted = store.counter(b"count").await.unwrap();
        assert_eq!(
            (bodies.len(), bodies.len(), counted),
            (index.len(), statements.len(), bodies.len() as i64)
        );

        for (n, (statement, body)) in statements.iter().zip(&bodies).enumerate() {
            let message = u64::from_be_bytes(body.value[..8].try_into().unwrap());
            let id = Statement::parse(&statement.text).unwrap().id;
            assert_eq!(id, format!("m-{message}"), "statements and bodies have the same order");
            assert_eq!(Seq::split_key(&body.key).unwrap().1.0, n as u64 + 1);
        }
        let checked = log::check::check(&store).await.unwrap();
        assert_eq!(checked, Checked { entries: size, chains: size.min(1) });

        let stamps: BTreeMap<u64, Stamp> = index
            .iter()
            .map(|row| {
                let message = u64::from_be_bytes(row.key[5..].try_into().unwrap());
                (message, Stamp::split_value(&row.value).unwrap().1)
            })
            .collect();
        for (message, stamp) in answered {
            assert_eq!(stamps.get(message), Some(stamp), "message {message} was answered");
        }
    });
}

/// Not a test by itself: it is what the children of the test above run.
#[test]
fn child_commits_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = Arc::new(FjallStore::open(Path::new(&directory)).unwrap());
    block_on(async {
        // Message numbers go on after those that an earlier child committed.
        let first = store.frontier().await.unwrap().size() * TASKS * 1000;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(commit_forever(Arc::clone(&store), first + task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn commit_forever(store: Arc<FjallStore>, first: u64) {
    let mut message = first;
    loop {
        let number = message.to_be_bytes();
        let seen = [b"seen/".as_slice(), &number].concat();
        // Long enough for a file of its own.
        let body = [number.as_slice(), &[7; 5000]].concat();
        let mut batch = Batch::new();
        batch.assert_absent(Keyspace::Index, &seen);
        batch.put_stamped_value(Keyspace::Index, &seen, b"");
        batch.put_stamped_key(Keyspace::Body, b"body/", body);
        batch.append_statement(stated(&agent(0), message), None);
        batch.add(b"count", 1);
        let stamp = store.commit(batch).await.unwrap();
        let line = format!("answer {message} {} {}\n", stamp.seq.0, stamp.log);
        // One write a line, so that lines of several tasks do not mix. An error means that the
        // parent is gone, and with it the reason to go on.
        if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
            return;
        }
        message += TASKS;
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(future);
}
