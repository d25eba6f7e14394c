//! The Comity node: the home of an organisation's agents.
//!
//! The shell around the protocol. It reads and writes, listens and posts, keeps keys and time; what
//! a message means, who may reach whom and what is promised is decided in `comity-core`. [`Node`]
//! is one running home: two listeners, a store, and the tasks that carry messages out, receipts
//! back, and deadlines through.
//!
//! # Goals
//! * A 2xx leaves only after a durable commit; nothing that was promised depends on memory.
//! * Zero configuration: [`Config`] has a default for everything.
//! * Keys are sealed at rest and appear in no log line, error or `Debug` output.
//!
//! # Non-goals
//! * Policy and protocol rules: a test of this crate needs no policy assertion.
//! * A command line: that is the crate `comity`.
//!
//! # Minimum program
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use comity_node::{Config, Node};
//!
//! let node = Node::start(Config { dev: true, ..Config::in_directory("data") }).await?;
//! println!("{} answers at {}", node.ready().did, node.ready().url);
//! node.stop().await;
//! # Ok(()) }
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

mod admission;
mod clock;
pub mod config;
mod decide;
mod deliver;
mod doctor;
mod due;
mod events;
mod facts;
mod grants;
mod home;
mod identities;
mod inbound;
mod keystore;
mod learn;
mod ledger;
pub mod limits;
mod local;
mod node;
mod notices;
mod operator;
mod outbound;
mod outcomes;
mod policies;
mod problem;
mod public;
mod relay;
mod transmit;
mod via;
mod vouches;
mod webhook;

pub use config::{Config, ConfigError};
pub use keystore::KeystoreError;
pub use local::openapi;
pub use node::{Node, Ready, StartError};
pub use via::ViaError;
