//! Work that takes a while: the worker pushes its progress into the thread of the order, and either side may lose its
//! connection meanwhile.
//!
//! ```sh
//! COMITY_TOKEN=... cargo run -p comity-sdk --example 03_long_work_pushes_progress           # works
//! COMITY_TOKEN=... cargo run -p comity-sdk --example 03_long_work_pushes_progress -- DID    # orders
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::env;
use std::time::Duration;

use comity_sdk::{Agent, Body, Context, Incoming};
use serde::{Deserialize, Serialize};

/// The order.
#[derive(Serialize, Deserialize)]
struct Order {
    chapters: u32,
}

impl Body for Order {
    const TYPE: &'static str = "https://example.org/report/1.0/order";
}

/// How the work goes.
#[derive(Serialize, Deserialize)]
struct Progress {
    done: u32,
    of: u32,
}

impl Body for Progress {
    const TYPE: &'static str = "https://example.org/report/1.0/progress";
}

/// What came of it.
#[derive(Serialize, Deserialize)]
struct Report {
    text: String,
}

impl Body for Report {
    const TYPE: &'static str = "https://example.org/report/1.0/report";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("COMITY_URL").unwrap_or_else(|_| "http://127.0.0.1:7701".to_owned());
    let agent = Agent::connect(&url, env::var("COMITY_TOKEN")?).await?;
    match env::args().nth(1) {
        Some(to) => order(&agent, &to).await,
        None => work(&agent).await,
    }
}

async fn work(agent: &Agent) -> Result<(), Box<dyn std::error::Error>> {
    println!("{} works", agent.did());
    agent.on::<Order, _, _>(|order: Incoming<Order>, context: Context| async move {
        let mut text = String::new();
        for chapter in 1..=order.body.chapters {
            tokio::time::sleep(Duration::from_secs(1)).await;
            text.push_str(&format!("Chapter {chapter}. "));
            let progress = Progress { done: chapter, of: order.body.chapters };
            // Each one is a durable message; whoever ordered may be offline.
            context.progress(&progress).await?;
        }
        context.reply(&Report { text }).await?;
        Ok(())
    });
    agent.run().await?;
    Ok(())
}

async fn order(agent: &Agent, to: &str) -> Result<(), Box<dyn std::error::Error>> {
    // Not a request: several messages answer this one, and each has its handler. Those of one thread are handled one
    // after the other, in order.
    agent
        .on::<Progress, _, _>(|progress: Incoming<Progress>, _: Context| async move {
            println!("{}/{}", progress.body.done, progress.body.of);
            Ok(())
        })
        .on::<Report, _, _>(|report: Incoming<Report>, context: Context| async move {
            println!("{:?}", report.body.text);
            // Ends `run`, which acknowledges this message first.
            context.agent().shutdown();
            Ok(())
        });
    let order = Order { chapters: 5 };
    agent.message(to, &order).expires_in(Duration::from_secs(3600)).send().await?;
    agent.run().await?;
    Ok(())
}
