//! What several suites append to the log.

use comity_core::log::{Act, Stated, Statement, TagSecret};
use comity_didcomm::{Did, UnixTime};

/// A statement of an agent, numbered by the caller.
pub(crate) fn stated(agent: &Did, n: u64) -> Stated {
    let peer = "did:web:peer.example".parse().unwrap();
    let id = format!("m-{n}");
    let about = (agent, &peer);
    let statement = Statement::new(Act::Sent, about, &id, id.as_bytes(), &[7; 16], UnixTime(n));
    statement.stated(&TagSecret::new(&[1; 32]))
}

/// An agent by its number.
pub(crate) fn agent(n: u8) -> Did {
    format!("did:web:a{n}.example").parse().unwrap()
}
