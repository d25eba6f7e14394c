//! `comity bench --flood`: what friends notice when very many strangers knock at once, what it leaves behind, and what
//! it costs those who do it.
//!
//! Every stranger is a fresh did:key with one letter, signed and sealed before the flood begins, so that only posting it
//! competes with the node for the machine. Each letter is answered by a demand for work. A few of the puzzles are
//! solved afterwards to know the price; with `--full` all are at once, on the same machine, and the letters paid for.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use comity_core::{
    api::{Resolved, Status},
    trust::{Challenge, Solving},
};
use comity_didcomm::{
    ContentEncryption, Did, DidDocument, DidUrl, Message, MessageId, Protection, PublicKey,
    SigningKey, did, seal,
};
use comity_sdk::Agent;
use serde::Deserialize;
use tokio::{task::JoinSet, time::timeout};

use super::{
    Args, WARM_UP, broken,
    door::{Answer, Door},
    field::{Field, Load, Mark, Meter},
    figures::{Flooded, Friends, Strangers},
    receive,
};
use crate::{
    client::{Client, encode},
    error::CliError,
    node_process::NodeProcess,
};

/// Friends that go on writing, one message each at a time.
const FRIENDS: u32 = 4;
/// Connections over which the strangers come.
const CONNECTIONS: usize = 32;
/// Puzzles that are solved to know what one costs.
const PUZZLES_SOLVED: usize = 16;
/// Hashes between two looks at whether a puzzle is solved.
const STEP: u32 = 1 << 16;
/// How long the last messages of the friends may take.
const LAST_MAX: Duration = Duration::from_secs(30);

const OFFER: &str = "https://comity.dev/protocols/bench/1.0/offer";

/// What a letter of a stranger came to.
#[derive(Debug, Deserialize)]
struct Charged {
    work: Challenge,
}

pub(super) async fn measure(
    strangers: u32,
    args: &Args,
    folder: &Path,
    say: impl Fn(&str) -> Result<(), CliError>,
) -> Result<Flooded, CliError> {
    let (data_a, data_b) = (folder.join("node-a"), folder.join("node-b"));
    let mut a = NodeProcess::start(&data_a).await?;
    let mut b = NodeProcess::start(&data_b).await?;
    let field = Field::lay(&a, &b, FRIENDS, 1).await?;
    let document = document(&b.client()?, &field.recipient(0)).await?;
    say(&format!("{strangers} strangers write a letter each .."))?;
    let letters = tokio::task::spawn_blocking(move || letters(strangers, &document));
    let letters = letters.await.map_err(|error| broken(&error))??;

    let meter = Arc::new(Meter::new(FRIENDS, 1));
    field.receivers.iter().for_each(|receiver| receive(receiver, &meter));
    let is_over = Arc::new(AtomicBool::new(false));
    let (sent, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut writing = JoinSet::new();
    for (number, friend) in field.senders.iter().enumerate() {
        let friend = Friend {
            agent: friend.clone(),
            to: field.recipient(number),
            load: Load::filled(number, args.payload),
            meter: Arc::clone(&meter),
            is_over: Arc::clone(&is_over),
            counts: (Arc::clone(&sent), Arc::clone(&lost)),
        };
        writing.spawn(friend.write());
    }
    tokio::time::sleep(WARM_UP).await;
    say(&format!("{} s without them ..", args.seconds))?;
    meter.open_window();
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let quiet = meter.close_window();
    let before: Status = b.client()?.get("/admin/status").await?;
    say("and with them ..")?;
    let began = meter.open_window();
    let mut crowd = flood(&b.ready().url, letters, args.full).await?;
    let took = began.elapsed();
    let loud = meter.close_window();
    let after: Status = b.client()?.get("/admin/status").await?;
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = writing.join_next().await {
        ended.map_err(|error| broken(&error))??;
    }
    field.leave().await;
    tokio::try_join!(a.stop(), b.stop())?;
    for challenge in std::mem::take(&mut crowd.puzzles) {
        let solved = tokio::task::spawn_blocking(move || solve(&challenge));
        crowd.solved(solved.await.map_err(|error| broken(&error))?.1);
    }
    let friends = Friends {
        sent: sent.load(Ordering::Relaxed),
        lost: lost.load(Ordering::Relaxed),
        quiet,
        loud,
    };
    Ok(Flooded::new(&friends, &crowd, took, (&before, &after)))
}

/// Somebody who was let in, and goes on writing.
struct Friend {
    agent: Agent,
    to: String,
    load: Load,
    meter: Arc<Meter>,
    is_over: Arc<AtomicBool>,
    /// What was sent, and what of it did not arrive.
    counts: (Arc<AtomicU64>, Arc<AtomicU64>),
}

impl Friend {
    async fn write(mut self) -> Result<(), CliError> {
        let permits = self.meter.permits(self.load.sender);
        loop {
            // The handler gives it back when the message before has arrived.
            let waited = match self.is_over.load(Ordering::Relaxed) {
                false => permits.acquire().await.map_err(|error| broken(&error))?,
                true => match timeout(LAST_MAX, permits.acquire()).await {
                    Ok(permit) => permit.map_err(|error| broken(&error))?,
                    Err(_) => {
                        self.counts.1.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                },
            };
            waited.forget();
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.load.sent = Mark::now(&self.meter);
            self.agent.send(&self.to, &self.load).await.map_err(|error| broken(&error))?;
            self.counts.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn document(client: &Client, did: &str) -> Result<DidDocument, CliError> {
    let resolved: Resolved = client.get(&format!("/admin/resolve?who={}", encode(did))).await?;
    let did: Did = did.parse().map_err(|error| broken(&error))?;
    DidDocument::parse(resolved.document.to_string().as_bytes(), &did)
        .map_err(|error| broken(&error))
}

/// Makes as many identities, each with a letter.
fn letters(count: u32, to: &DidDocument) -> Result<VecDeque<Vec<u8>>, CliError> {
    let keys: Vec<_> = to.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
    (0..count).map(|_| letter(&to.id, &keys)).collect()
}

fn letter(to: &Did, keys: &[(DidUrl, PublicKey)]) -> Result<Vec<u8>, CliError> {
    let mut rng = rand::rng();
    let key = SigningKey::generate(&mut rng);
    let document = did::key::resolve(&did::key::create(&key.public()));
    let document = document.map_err(|error| broken(&error))?;
    let Some((kid, _)) = document.signing_keys().next() else {
        return Err(CliError::fault("bench.keys", "A did:key has no key"));
    };
    let type_ = OFFER.parse().map_err(|error| broken(&error))?;
    let message = Message::new(MessageId::random(&mut rng), type_)
        .with_from(document.id.clone())
        .with_to([to.clone()])
        .with_body_member("content", "May I come in?");
    let enc = ContentEncryption::A256CbcHs512;
    let protection = Protection::Accountable { kid, key: &key, enc };
    let sealed = seal(&message, protection, keys, &mut rng).map_err(|error| broken(&error))?;
    Ok(sealed.envelope.into_bytes())
}

/// Posts every letter, and pays as far as it is wanted.
async fn flood(
    url: &str,
    letters: VecDeque<Vec<u8>>,
    is_full: bool,
) -> Result<Strangers, CliError> {
    let crowd = Arc::new(Crowd {
        count: letters.len(),
        letters: Mutex::new(letters),
        came: Mutex::new(Strangers::default()),
        is_full,
    });
    let mut coming = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (crowd, door) = (Arc::clone(&crowd), Door::at(url)?);
        coming.spawn(async move { crowd.come(door).await });
    }
    while let Some(ended) = coming.join_next().await {
        ended.map_err(|error| broken(&error))??;
    }
    let mut came = std::mem::take(&mut *crowd.came.lock().unwrap_or_else(PoisonError::into_inner));
    came.identities = crowd.count;
    Ok(came)
}

/// The strangers, and what came of them so far.
struct Crowd {
    count: usize,
    letters: Mutex<VecDeque<Vec<u8>>>,
    came: Mutex<Strangers>,
    is_full: bool,
}

impl Crowd {
    async fn come(&self, mut door: Door) -> Result<(), CliError> {
        loop {
            let next = self.letters.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(letter) = next else { return Ok(()) };
            let answer = door.post(&letter, None).await?;
            let Some(challenge) = self.note(&answer) else { continue };
            let solved = tokio::task::spawn_blocking(move || solve(&challenge));
            let (work, cpu) = solved.await.map_err(|error| broken(&error))?;
            let answer = door.post(&letter, Some(&work)).await?;
            let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            came.solved(cpu);
            match answer.status {
                202 => came.paid_and_answered += 1,
                _ => came.turned_away += 1,
            }
        }
    }

    /// Counts an answer to an unpaid letter; returns the puzzle if it is to be solved at once.
    fn note(&self, answer: &Answer) -> Option<Challenge> {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.status {
            402 => came.charged += 1,
            200..=299 => came.taken_unpaid += 1,
            _ => came.turned_away += 1,
        }
        let charged = serde_json::from_slice::<Charged>(&answer.body).ok()?;
        came.bits_most = came.bits_most.max(charged.work.bits);
        if self.is_full {
            return Some(charged.work);
        }
        if came.puzzles.len() < PUZZLES_SOLVED {
            came.puzzles.push(charged.work);
        }
        None
    }
}

/// Solves a puzzle; returns the solution and the processor time that it took.
fn solve(challenge: &Challenge) -> (String, Duration) {
    let before = cpu_time();
    let mut solving = Solving::new(&challenge.challenge, challenge.bits);
    loop {
        if let Some(work) = solving.step(STEP) {
            return (work, cpu_time().saturating_sub(before));
        }
    }
}

/// Returns the processor time that this thread has used.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
