//! A node in this process, on real sockets and with real keys, seen from its two listeners.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod admission;
mod conservation;
mod door;
mod events;
mod faults;
mod flood;
mod foreign;
mod grants;
mod ledger;
mod mediator;
mod node_did;
mod operator;
mod outcomes;
mod receipts;
mod relay;
mod relay_client;
mod relay_socket;
mod rotation;
mod support;
mod via;
mod vouches;
mod ways_in;
mod webhook;
mod work;
