//! Tests of the program as people use it: real processes, real sockets, real stores, each on ports and in a
//! folder of its own.
//!
//! What can be tested below is tested below: rules in `comity-core`, storage in `comity-store`, routes in
//! `comity-node`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]

mod bad_input;
mod bench;
mod cli;
mod demo;
mod didcomm;
mod evidence;
mod grant;
mod injection;
mod invite;
mod kill;
mod outcome;
mod public_surface;
mod quickstart;
mod relay;
mod rotation;
mod support;
mod vouch;
mod work;
