//! [`OpenPolicy`]: the few choices a receiver has. Checks of authenticity are not among them.

use crate::limits::{ENVELOPE_BYTES_MAX, RECIPIENTS_MAX};

/// Says whether something that is open to choice is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// It is taken.
    Accept,
    /// It is refused.
    Refuse,
}

/// Holds what a receiver may decide about envelopes. The default is right for whoever receives from strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenPolicy {
    /// Bytes of the envelope; at most [`ENVELOPE_BYTES_MAX`].
    pub envelope_bytes_max: usize,
    /// Recipients of the envelope; at most [`RECIPIENTS_MAX`].
    pub recipients_max: usize,
    /// By how much `created_time` may lie in the future, in seconds.
    pub clock_skew_secs_max: u64,
    /// A message whose `to` does not list the recipient that decrypted it. The specification says both that this is
    /// an error and that it is only a warning. A message that is signed inside its encryption is refused in any case.
    pub to_without_us: Choice,
    /// A message that is neither signed nor encrypted. It has no sender.
    pub unprotected: Choice,
}

impl Default for OpenPolicy {
    fn default() -> Self {
        Self {
            envelope_bytes_max: ENVELOPE_BYTES_MAX,
            recipients_max: RECIPIENTS_MAX,
            clock_skew_secs_max: 300,
            to_without_us: Choice::Refuse,
            unprotected: Choice::Refuse,
        }
    }
}
