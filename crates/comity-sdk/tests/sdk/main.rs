//! The SDK against a scripted home over real sockets. What a real home does is tested in `comity-node`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod connect;
mod drafts;
mod handlers;
mod home;
mod reconnect;
mod requests;

use comity_sdk::Body;
use serde::{Deserialize, Serialize};

const ARIA: &str = "did:web:a.example:agents:aria";
const BRUNO: &str = "did:web:b.example:agents:bruno";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    text: String,
}

impl Body for Question {
    const TYPE: &'static str = "https://example.org/interview/1.0/question";
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    text: String,
}

impl Body for Answer {
    const TYPE: &'static str = "https://example.org/interview/1.0/answer";
}

fn question(text: &str) -> Question {
    Question { text: text.to_owned() }
}

fn answer(text: &str) -> Answer {
    Answer { text: text.to_owned() }
}
