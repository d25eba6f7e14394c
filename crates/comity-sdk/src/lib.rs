//! What an agent developer imports to work with a Comity node: a typed client of the agents' API. An agent describes
//! work, addresses it to an identity, and handles typed messages whose sender is verified. Keys, envelopes, endpoints,
//! queues and retries are the home's.
//!
//! # Goals
//! * A small program is a small program: connect, set handlers, run.
//! * A message that was sent is durable; a message that was received stays in the mailbox until its handler has ended
//!   well. Neither a lost connection nor a restart of the home changes that.
//! * What is verified about a message ([`Facts`]) stands apart from what its sender says ([`Untrusted`],
//!   [`Incoming::body`]).
//!
//! # Non-goals
//! * Keys and envelopes: those are in `comity-didcomm`, and used by the home only.
//! * Handling a message exactly once across a crash of *this* program: what it had not settled comes again, and
//!   [`Facts::redelivered`] says so. Within the life of the program no message is handled twice.
//!
//! # Minimum program
//! ```no_run
//! use comity_sdk::{Agent, Body, Context, HandlerError, Incoming};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Question {
//!     text: String,
//! }
//!
//! impl Body for Question {
//!     const TYPE: &'static str = "https://example.org/interview/1.0/question";
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Answer {
//!     text: String,
//! }
//!
//! impl Body for Answer {
//!     const TYPE: &'static str = "https://example.org/interview/1.0/answer";
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let agent = Agent::connect("http://127.0.0.1:7701", std::env::var("COMITY_TOKEN")?).await?;
//!     agent.on::<Question, _, _>(|question: Incoming<Question>, context: Context| async move {
//!         if question.body.text.is_empty() {
//!             return Err(HandlerError::refuse("There is no question"));
//!         }
//!         context.reply(&Answer { text: "42".to_owned() }).await?;
//!         Ok(())
//!     });
//!     agent.run().await?;
//!     Ok(())
//! }
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod agent;
mod connect;
mod connection;
mod content;
mod context;
mod correlate;
mod dispatch;
mod draft;
mod handler;
mod http;
mod hub;
pub mod limits;
mod mailbox;
mod received;
mod request;
mod trace;

pub use agent::{Agent, Shutdown};
pub use comity_core::api::{Problem, Trace, TraceState, Working};
pub use comity_core::receipt::{State, UnknownState};
pub use connect::{AgentBuilder, ConnectError};
pub use content::{BasicMessage, Body, BodyError, Untrusted};
pub use context::Context;
pub use dispatch::RunError;
pub use draft::{Draft, SendError, Sent};
pub use handler::{HandlerError, INTERNAL, UNREADABLE_BODY, UNSUPPORTED_TYPE};
pub use http::{AddressError, CallError, LocalClient};
pub use hub::Closed;
pub use mailbox::SettleError;
pub use received::{Facts, Incoming, Received};
pub use request::{Request, RequestError};
pub use trace::{Progress, States, TraceError};
