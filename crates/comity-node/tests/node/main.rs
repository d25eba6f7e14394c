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
mod events;
mod faults;
mod flood;
mod foreign;
mod mediator;
mod node_did;
mod operator;
mod receipts;
mod relay;
mod relay_client;
mod relay_socket;
mod rotation;
mod support;
mod via;
mod ways_in;
mod webhook;
mod work;
