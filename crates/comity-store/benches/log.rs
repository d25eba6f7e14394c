//! A log of a million entries: how long it takes to write, to open, and to prove something in it.
//!
//! Run it with `cargo bench -p comity-store --bench log`; an argument is the directory for the store, since a
//! temporary directory may lie in memory. What it is not: a test; nothing fails for being slow.

#![expect(clippy::print_stdout, reason = "the result is for a terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use comity_core::log::{Act, Plan, Statement, TagSecret, leaf_hash, verify_inclusion};
use comity_didcomm::{Did, UnixTime};
use comity_store::records::log::{self, tiles};
use comity_store::{Batch, FjallStore, Store};

const ENTRIES: u64 = 1_000_000;
const BATCH: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let secret = TagSecret::new(&[1; 32]);
    let (agent, peer): (Did, Did) = ("did:web:a.example".parse()?, "did:web:b.example".parse()?);

    let store = FjallStore::open(directory.path())?;
    let start = Instant::now();
    for first in (0..ENTRIES).step_by(usize::try_from(BATCH)?) {
        let mut batch = Batch::new();
        for number in first..first + BATCH {
            let (id, salt) = (format!("m-{number}"), [7; 16]);
            let at = UnixTime(1_800_000_000 + number);
            let about = (&agent, &peer);
            let statement =
                Statement::about_message(Act::Sent, about, &id, id.as_bytes(), &salt, at);
            batch.append_statement(statement.stated(&secret), None);
        }
        runtime.block_on(store.commit(batch))?;
    }
    println!("{ENTRIES} statements written in {:.1?}", start.elapsed());
    let start = Instant::now();
    runtime.block_on(tiles::complete(&store, 0, ENTRIES))?;
    println!("tiles completed in {:.1?}", start.elapsed());
    println!("{} bytes on disk for each", store.size_bytes() / ENTRIES);
    drop(store);

    let start = Instant::now();
    let store = FjallStore::open(directory.path())?;
    let head = runtime.block_on(store.tree_head())?;
    println!("opened, with its head, in {:.1?}", start.elapsed());
    let start = Instant::now();
    let plan = Plan::inclusion(ENTRIES / 3, head.size).ok_or("the log is short")?;
    let proof = runtime.block_on(tiles::Prover::new(&store, head.size).prove(&plan))?;
    println!("a proof of {} hashes in {:.1?}", proof.len(), start.elapsed());
    let entry = runtime.block_on(log::entry(&store, ENTRIES / 3))?;
    verify_inclusion(ENTRIES / 3, leaf_hash(&entry), &proof, head)?;
    Ok(())
}
