//! `comity bench --flood`: what friends notice when very many strangers knock at once, what it leaves behind, and what
//! it costs those who do it.
//!
//! Every stranger is a fresh did:key with one letter, signed and sealed before the flood begins, so that only posting it
//! competes with the node for the machine. Each letter is answered by a demand for work. A few of the puzzles are
//! solved afterwards to know the price; with `--full` all are, and every letter comes again with the work. Between
//! the two waves nothing is measured: where strangers solve on the node's own machine, they take its processors.

mod figures;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
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

use self::figures::{Answers, Flooded, Noticed, Price, Wave};
use super::{
    Args, WARM_UP, broken,
    door::Door,
    field::{Field, Load, Mark, Meter},
    receive,
};
use crate::{
    client::{Client, encode},
    error::CliError,
    node_process::NodeProcess,
    output::Output,
};

/// Friends that go on writing, one message each at a time.
const FRIENDS: u32 = 4;
/// Connections over which the strangers come.
const CONNECTIONS: usize = 32;
/// Puzzles that are solved to know what one costs.
const PUZZLES_SOLVED: usize = 16;
/// Hashes between two looks at whether a puzzle is solved.
const STEP: u32 = 1 << 16;
/// When a message that has not arrived counts as lost.
const ARRIVES_MAX: Duration = Duration::from_secs(30);

const OFFER: &str = "https://comity.dev/protocols/bench/1.0/offer";

/// The answer to a letter that is to be paid for.
#[derive(Debug, Deserialize)]
struct Charged {
    work: Challenge,
}

pub(super) async fn tell(
    strangers: u32,
    args: &Args,
    folder: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let flooded = measure(strangers, args, folder, |text| output.remark(text)).await?;
    output.object(&flooded, || flooded.describe(output))
}

async fn measure(
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
    let letters = blocking(move || letters(strangers, &document)).await??;

    let mut friends = Friends::new(&field, args, b.client()?);
    say(&format!("{} s without them ..", args.seconds))?;
    let pause = async {
        tokio::time::sleep(Duration::from_secs(args.seconds)).await;
        Ok(())
    };
    let (quiet, ()) = friends.meanwhile(pause).await?;
    say("and with them ..")?;
    let url = &b.ready().url;
    let (noticed, mut knocked) = friends.meanwhile(flood(url, letters)).await?;
    let unpaid = Wave::new(&knocked.answers, &noticed, &quiet);
    let mut charged = std::mem::take(&mut knocked.charged);
    if !args.full {
        charged.truncate(PUZZLES_SOLVED);
    }
    say(&format!("{} puzzles are solved ..", charged.len()))?;
    let (knocks, price) = solve_all(charged).await?;
    let paid = match args.full {
        false => None,
        true => {
            say("and shown ..")?;
            let (noticed, knocked) = friends.meanwhile(flood(url, knocks)).await?;
            Some(Wave::new(&knocked.answers, &noticed, &quiet))
        }
    };
    let sent = (friends.sent, friends.lost);
    field.leave().await;
    tokio::try_join!(a.stop(), b.stop())?;
    Ok(Flooded::new(sent, &quiet, (unpaid, paid), &price))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CliError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| broken(&error))
}

/// Those who were let in and write, whatever else happens.
struct Friends {
    all: Vec<Friend>,
    meter: Arc<Meter>,
    home: Client,
    sent: u64,
    lost: u64,
}

impl Friends {
    fn new(field: &Field, args: &Args, home: Client) -> Self {
        let meter = Arc::new(Meter::new(FRIENDS, 1));
        field.receivers.iter().for_each(|receiver| receive(receiver, &meter));
        let friend = |(number, agent): (usize, &Agent)| Friend {
            agent: agent.clone(),
            to: field.recipient(number),
            load: Load::filled(number, args.payload),
            meter: Arc::clone(&meter),
        };
        let all = field.senders.iter().enumerate().map(friend).collect();
        Self { all, meter, home, sent: 0, lost: 0 }
    }

    /// Lets them write while something happens, and for a little while before.
    async fn meanwhile<T>(
        &mut self,
        happening: impl Future<Output = Result<T, CliError>>,
    ) -> Result<(Noticed, T), CliError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut writing = JoinSet::new();
        for friend in &self.all {
            writing.spawn(friend.clone().write(Arc::clone(&is_over)));
        }
        tokio::time::sleep(WARM_UP).await;
        let before: Status = self.home.get("/admin/status").await?;
        let began = self.meter.open_window();
        let happened = happening.await?;
        let took = began.elapsed();
        let samples = self.meter.close_window();
        let after: Status = self.home.get("/admin/status").await?;
        is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = writing.join_next().await {
            let (sent, lost) = ended.map_err(|error| broken(&error))??;
            self.sent += sent;
            self.lost += lost;
        }
        Ok((Noticed::new(samples, took, before, after), happened))
    }
}

/// Somebody who was let in, and goes on writing.
#[derive(Clone)]
struct Friend {
    agent: Agent,
    to: String,
    load: Load,
    meter: Arc<Meter>,
}

impl Friend {
    /// Returns what was sent, and what of it did not arrive.
    async fn write(mut self, is_over: Arc<AtomicBool>) -> Result<(u64, u64), CliError> {
        let permits = self.meter.permits(self.load.sender);
        let (mut sent, mut lost) = (0, 0);
        loop {
            // The handler gives it back when the message before has arrived.
            match timeout(ARRIVES_MAX, permits.acquire()).await {
                Ok(arrived) if is_over.load(Ordering::Relaxed) => {
                    // It is there for the next time that they write.
                    drop(arrived);
                    return Ok((sent, lost));
                }
                Ok(arrived) => arrived.map_err(|error| broken(&error))?.forget(),
                Err(_) if is_over.load(Ordering::Relaxed) => {
                    permits.add_permits(1);
                    return Ok((sent, lost + 1));
                }
                Err(_) => lost += 1,
            }
            self.load.sent = Mark::now(&self.meter);
            self.agent.send(&self.to, &self.load).await.map_err(|error| broken(&error))?;
            sent += 1;
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
fn letters(count: u32, to: &DidDocument) -> Result<Vec<Knock>, CliError> {
    let keys: Vec<_> = to.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
    (0..count).map(|_| Ok(Knock { letter: letter(&to.id, &keys)?, work: None })).collect()
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

/// A letter, with the work that pays for it.
#[derive(Debug)]
struct Knock {
    letter: Vec<u8>,
    work: Option<String>,
}

/// What the knocks of a wave came to.
#[derive(Debug, Default)]
struct Knocked {
    answers: Answers,
    /// Those that are to be paid for.
    charged: Vec<(Knock, Challenge)>,
}

/// Posts every letter.
async fn flood(url: &str, knocks: Vec<Knock>) -> Result<Knocked, CliError> {
    let knocks = Arc::new(Mutex::new(VecDeque::from(knocks)));
    let mut coming = JoinSet::new();
    for _ in 0..CONNECTIONS {
        coming.spawn(come(Door::at(url)?, Arc::clone(&knocks)));
    }
    let mut all = Knocked::default();
    while let Some(ended) = coming.join_next().await {
        let knocked = ended.map_err(|error| broken(&error))??;
        all.answers.add(&knocked.answers);
        all.charged.extend(knocked.charged);
    }
    Ok(all)
}

/// Posts one letter after the other, over one connection.
async fn come(mut door: Door, knocks: Arc<Mutex<VecDeque<Knock>>>) -> Result<Knocked, CliError> {
    let mut knocked = Knocked::default();
    loop {
        let next = knocks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(knock) = next else { return Ok(knocked) };
        let answer = door.post(&knock.letter, knock.work.as_deref()).await?;
        knocked.answers.count(answer.status);
        if let Ok(charged) = serde_json::from_slice::<Charged>(&answer.body) {
            knocked.charged.push((knock, charged.work));
        }
    }
}

/// Solves every puzzle, on all processors; returns the letters with the work, and what it cost.
async fn solve_all(charged: Vec<(Knock, Challenge)>) -> Result<(Vec<Knock>, Price), CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let charged = Arc::new(Mutex::new(VecDeque::from(charged)));
    let mut solving = JoinSet::new();
    for _ in 0..cores {
        let charged = Arc::clone(&charged);
        solving.spawn_blocking(move || {
            let (mut knocks, mut price) = (Vec::new(), Price::default());
            loop {
                let next = charged.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((knock, challenge)) = next else { return (knocks, price) };
                let (work, cpu) = solve(&challenge);
                price.solved(challenge.bits, cpu);
                knocks.push(Knock { work: Some(work), ..knock });
            }
        });
    }
    let (mut knocks, mut price) = (Vec::new(), Price::default());
    while let Some(ended) = solving.join_next().await {
        let (solved, cost) = ended.map_err(|error| broken(&error))?;
        knocks.extend(solved);
        price.add(&cost);
    }
    Ok((knocks, price))
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
