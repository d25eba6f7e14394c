//! One side asks, the other answers: a request is a message whose reply is awaited, with a deadline.
//!
//! ```sh
//! COMITY_TOKEN=... cargo run -p comity-sdk --example 02_request_reply               # answers
//! COMITY_TOKEN=... cargo run -p comity-sdk --example 02_request_reply -- DID 6 7    # asks
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::env;
use std::time::Duration;

use comity_sdk::{Agent, Body, Context, HandlerError, Incoming, RequestError};
use serde::{Deserialize, Serialize};

/// The question. A message type is a Rust type with a URI; the URI is all that both sides have to agree upon.
#[derive(Serialize, Deserialize)]
struct Multiply {
    factors: Vec<u64>,
}

impl Body for Multiply {
    const TYPE: &'static str = "https://example.org/arithmetic/1.0/multiply";
}

/// The answer.
#[derive(Serialize, Deserialize)]
struct Product {
    product: u64,
}

impl Body for Product {
    const TYPE: &'static str = "https://example.org/arithmetic/1.0/product";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("COMITY_URL").unwrap_or_else(|_| "http://127.0.0.1:7701".to_owned());
    let agent = Agent::connect(&url, env::var("COMITY_TOKEN")?).await?;
    let mut arguments = env::args().skip(1);
    match arguments.next() {
        Some(to) => ask(&agent, &to, arguments).await,
        None => answer(&agent).await,
    }
}

async fn ask(
    agent: &Agent,
    to: &str,
    factors: impl Iterator<Item = String>,
) -> Result<(), Box<dyn std::error::Error>> {
    let question =
        Multiply { factors: factors.map(|factor| factor.parse()).collect::<Result<_, _>>()? };
    match agent.request(to, &question).deadline(Duration::from_secs(30)).await {
        Ok(reply) => println!("{}", reply.body::<Product>()?.product),
        // Nothing ends in silence: a refusal says why, and a deadline says how far the question got.
        Err(RequestError::Refused { code, comment }) => println!("refused: {code} {comment:?}"),
        Err(RequestError::Deadline { last_state }) => println!("no answer yet: {last_state:?}"),
        Err(error) => return Err(error.into()),
    }
    agent.shutdown().await;
    Ok(())
}

async fn answer(agent: &Agent) -> Result<(), Box<dyn std::error::Error>> {
    println!("{} answers", agent.did());
    agent.on::<Multiply, _, _>(|question: Incoming<Multiply>, context: Context| async move {
        let product = question
            .body
            .factors
            .iter()
            .try_fold(1_u64, |product, factor| product.checked_mul(*factor))
            // An error is a refusal: its code and reason go to the sender.
            .ok_or_else(|| HandlerError::new("e.m.req.overflow", "The product has no 64 bits"))?;
        context.reply(&Product { product }).await?;
        // Only now is the question acknowledged. A crash before this line brings it again.
        Ok(())
    });
    agent.run().await?;
    Ok(())
}
