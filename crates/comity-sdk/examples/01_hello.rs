//! Sends a greeting and prints what comes back. Not a pattern for errors: it simply stops at the first.
//!
//! ```sh
//! COMITY_TOKEN=... cargo run -p comity-sdk --example 01_hello -- bruno@localhost:7700
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::env;
use std::time::Duration;

use comity_sdk::{Agent, BasicMessage, Context, Incoming, State};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("COMITY_URL").unwrap_or_else(|_| "http://127.0.0.1:7701".to_owned());
    // `comity agent add NAME` prints the token. It is the only secret that an agent needs.
    let agent = Agent::connect(&url, env::var("COMITY_TOKEN")?).await?;
    println!("I am {}", agent.did());

    // Without a recipient this end only listens.
    if let Some(to) = env::args().nth(1) {
        // From here on the message is durable. The home seals, signs, delivers and retries.
        let sent = agent.send(&to, &BasicMessage::new("Good morning")).await?;
        let trace = agent.trace(&sent.id, Some(State::Accepted), Duration::from_secs(30)).await?;
        for rung in &trace.states {
            println!("{:<10} {}", rung.state, rung.at);
        }
    }

    // Whoever writes to this agent: `from` is proven by a key, `content` is their word. `{:?}` keeps control characters
    // of theirs from the terminal.
    agent.on::<BasicMessage, _, _>(|message: Incoming<BasicMessage>, _: Context| async move {
        println!("{} says {:?}", message.facts.from, message.body.content);
        Ok(())
    });
    agent.run().await?;
    Ok(())
}
