//! What a home is to one message: who it is, what time it is, and fresh randomness.

use comity_didcomm::{Did, UnixTime};

use crate::trust::WorkSecret;

/// What the machines of both paths have to know of the home that drives them.
#[derive(Clone, Debug)]
pub struct Context {
    /// The home's own DID.
    pub home: Did,
    /// The time as the message is looked at.
    pub now: UnixTime,
    /// Fresh randomness: the salt of the message's leaf in the log, or, for a message that is not
    /// taken yet, the id of the challenge that its sender gets.
    pub salt: [u8; 16],
    /// By which the home knows its own challenges.
    pub secret: WorkSecret,
}
