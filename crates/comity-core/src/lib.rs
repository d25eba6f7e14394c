//! The Comity protocol without I/O: what happens to a message on its way in and on its way out, who
//! may reach whom, what is promised and what is recorded.
//!
//! Everything here is a pure function or a machine that is fed: time, randomness, keys, documents
//! and stored facts come in as arguments, decisions and records go out. A shell (`comity-node`)
//! does the reading and writing.
//!
//! # Goals
//! * One machine per message, whose steps are the files of [`inbound`] and [`outbound`] in
//!   alphabetical order. Each step hands on a type that only it can build, so a skipped check does
//!   not compile.
//! * One policy function for every way in, whose every answer says why ([`trust::explain`]).
//! * Receipts that a stranger can verify ([`receipt`]) and a log that nobody can rewrite ([`log`]).
//!
//! # Non-goals
//! * Storage, sockets, clocks, threads, configuration files. Those are `comity-store`, `comity-net`
//!   and `comity-node`.
//!
//! # Minimum program
//! ```
//! use comity_core::trust::{self, Facts, Question, Recipient, Scrutiny, Shown, WayIn};
//! use comity_didcomm::UnixTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let question = Question {
//!     recipient: "did:web:b.example:agents:bruno".parse()?,
//!     sender: "did:web:a.example:agents:aria".parse()?,
//!     protocol: "https://example.org/proposal/1.0".parse()?,
//!     threads: vec!["t-1".to_owned()],
//!     way_in: WayIn::Direct,
//!     size_bytes: 900,
//!     keys: Vec::new(),
//!     is_for_home: false,
//!     shown: Shown::default(),
//!     scrutiny: Scrutiny::Quick,
//!     prior: None,
//! };
//! let facts = Facts::nothing_known(Recipient::Agent);
//! let explained = trust::explain(&question, &facts, UnixTime(1_800_000_000));
//! assert_eq!(explained.decision, "hold", "a stranger's first message waits for the operator");
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

pub mod admission;
pub mod api;
mod context;
pub mod event;
pub mod evidence;
pub mod inbound;
pub mod limits;
pub mod log;
pub mod outbound;
pub mod protocol;
pub mod receipt;
pub mod record;
pub mod refusal;
pub mod relay;
pub mod trust;
pub mod via;
pub mod webhook;

pub use context::Context;

#[cfg(test)]
mod testing;
