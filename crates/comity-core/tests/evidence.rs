//! Evidence, as an honest side makes it, as a dishonest one would like it to be, and what the verifier
//! says of each: the corpus, tampers by the thousand, and the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests, which read and write the corpus and print figures"
)]

#[path = "evidence/cases.rs"]
mod cases;
#[path = "evidence/figures.rs"]
mod figures;
#[path = "evidence/golden.rs"]
mod golden;
#[path = "evidence/tampers.rs"]
mod tampers;
#[path = "evidence/world.rs"]
mod world;
