//! `comity bench`: how many messages go through two nodes, how long one takes and what it costs.
//!
//! Everything a real exchange has: two node processes over HTTP, agents through the SDK, every message sealed, signed
//! and durable at both homes before it counts. The senders and handlers share the machine's processors with the nodes,
//! and are part of the figure.

mod door;
mod field;
mod figures;
mod flood;
mod ledger;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use comity_core::api::Status;
use comity_sdk::{Agent, HandlerError};
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    field::{Field, Load, Mark, Meter},
    figures::{Figures, Usage},
};
use super::Context;
use crate::{client::Client, error::CliError, folder::Folder, node_process::NodeProcess};

/// How long messages flow before they count, so that connections stand and caches are filled.
const WARM_UP: Duration = Duration::from_secs(1);

/// Arguments of `comity bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Size of a message's content
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=262_144))]
    payload: u32,
    /// Agents that send, at node A
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    senders: u32,
    /// Agents that receive, at node B
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    receivers: u32,
    /// Messages of one sender that are on their way at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    in_flight: u32,
    /// Measure what the log costs: with it and without, in turns
    #[arg(long, conflicts_with = "flood")]
    ledger: bool,
    /// Measure instead what friends notice when so many strangers knock at once
    #[arg(long, value_name = "STRANGERS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    flood: Option<u32>,
    /// With --flood: every stranger pays the price, instead of a few
    #[arg(long, requires = "flood")]
    full: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let folder = Folder::pass().map_err(|error| error.hint("Name another place with TMPDIR"))?;
    tokio::select! {
        told = tell(&args, &folder, context) => told,
        _ = tokio::signal::ctrl_c() => {
            Err(CliError::usage("interrupted", "The measurement was interrupted"))
        }
    }
}

async fn tell(args: &Args, folder: &Folder, context: &Context) -> Result<(), CliError> {
    let output = &context.output;
    if let Some(strangers) = args.flood {
        return flood::tell(strangers, args, folder.path(), output).await;
    }
    if args.ledger {
        return ledger::tell(args, folder, context).await;
    }
    let figures = measure(args, folder.path(), context).await?;
    output.object(&figures, || figures.describe(output))
}

async fn measure(args: &Args, folder: &Path, context: &Context) -> Result<Figures, CliError> {
    let (data_a, data_b) = (folder.join("node-a"), folder.join("node-b"));
    let mut a = NodeProcess::start(&data_a).await?;
    let mut b = NodeProcess::start(&data_b).await?;
    let idle = Usage::of(&a.client()?, &b.client()?).await?;
    let start_took = a.start_took().max(b.start_took());
    let field = Field::lay(&a, &b, args.senders, args.receivers).await?;
    context.output.remark(&format!(
        "{} senders, {} receivers, {} bytes a message, {} s after {} s of warm-up ..",
        args.senders,
        args.receivers,
        args.payload,
        args.seconds,
        WARM_UP.as_secs(),
    ))?;

    let meter = Arc::new(Meter::new(args.senders, args.in_flight));
    for receiver in &field.receivers {
        receive(receiver, &meter);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for (number, sender) in field.senders.iter().enumerate() {
        let to = field.recipient(number);
        let load = Load::filled(number, args.payload);
        senders.spawn(send(sender.clone(), to, load, Arc::clone(&meter), Arc::clone(&is_over)));
    }

    pass(WARM_UP, &mut senders).await?;
    let before = Usage::of(&a.client()?, &b.client()?).await?;
    let window = meter.open_window();
    pass(Duration::from_secs(args.seconds), &mut senders).await?;
    let samples = meter.close_window();
    let took = window.elapsed();
    let after = Usage::of(&a.client()?, &b.client()?).await?;
    is_over.store(true, Ordering::Relaxed);
    meter.release_all();
    while let Some(ended) = senders.join_next().await {
        ended.map_err(|error| broken(&error))??;
    }
    field.leave().await;
    tokio::try_join!(a.stop(), b.stop())?;
    Ok(Figures::new(args, samples, took, start_took, &idle, &before, &after))
}

/// Lets time pass, unless a sender gives up before.
async fn pass(time: Duration, senders: &mut JoinSet<Result<(), CliError>>) -> Result<(), CliError> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(ended) = senders.join_next() => {
            ended.map_err(|error| broken(&error))??;
            Err(CliError::fault("bench.senders", "A sender stopped before the time was over"))
        }
    }
}

async fn send(
    agent: Agent,
    to: String,
    mut load: Load,
    meter: Arc<Meter>,
    is_over: Arc<AtomicBool>,
) -> Result<(), CliError> {
    let permits: Arc<Semaphore> = meter.permits(load.sender);
    let mut under_way = JoinSet::new();
    loop {
        let Ok(permit) = permits.acquire().await else { break };
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        // The handler gives it back.
        permit.forget();
        load.sent = Mark::now(&meter);
        let (agent, to, load) = (agent.clone(), to.clone(), load.clone());
        under_way.spawn(async move { agent.send(&to, &load).await.map(drop) });
        while let Some(sent) = under_way.try_join_next() {
            sent.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
        }
    }
    under_way.abort_all();
    Ok(())
}

fn receive(agent: &Agent, meter: &Arc<Meter>) {
    let meter = Arc::clone(meter);
    agent.on::<Load, _, _>(move |message, _| {
        meter.handled(message.body.sender, &message.body.sent);
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    let running = agent.clone();
    // It ends when the field is left.
    tokio::spawn(async move { drop(running.run().await) });
}

fn broken(error: &dyn std::error::Error) -> CliError {
    CliError::fault("bench.broke-off", "The measurement broke off").why(error)
}

impl Usage {
    /// Reads what both nodes have used so far.
    async fn of(a: &Client, b: &Client) -> Result<Self, CliError> {
        let (a, b): (Status, Status) =
            tokio::try_join!(a.get("/admin/status"), b.get("/admin/status"))?;
        Ok(Self {
            cpu_us: [a.cpu_us, b.cpu_us],
            rss_bytes: [a.rss_bytes, b.rss_bytes],
            at: Instant::now(),
        })
    }
}
