//! Evidence: what an agent can show to somebody who has neither its node nor a network, and what that
//! proves.
//!
//! Implements `docs/protocols/evidence.md`. A [`Bundle`] holds one or several exports, each signed by
//! the agent that made it. [`verify`] reads it with public keys only and says what is proven, what
//! contradicts what, and what is missing.

mod bundle;
mod chain;
mod conversation;
mod documents;
mod join;
mod keys;
mod log;
mod messages;
mod part;
mod verdict;

pub use bundle::{
    BUNDLE_FORMAT, Bundle, BundleError, EXPORT_TYPE, Export, Mark, Object, Part, Rest, Selection,
    Shown, sign_export,
};
pub use verdict::{
    Allowed, Bound, Contradiction, ExportSeen, KeyState, MessageSeen, Outcome, Piece, Reached,
    Root, Times, Verdict,
};

use comity_didcomm::DidDocument;

use crate::log::{VerifierKey, WitnessPolicy};

/// What the verifying person knows beforehand.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// The logs that are believed, and the witnesses that have to have cosigned.
    pub policy: Option<WitnessPolicy>,
    /// Documents that are known to be their DIDs'.
    pub documents: Vec<DidDocument>,
}

/// Reads a bundle and says what it proves. Needs no network, no store and no secret.
#[must_use]
pub fn verify(text: &[u8], trusted: &Trusted) -> Verdict {
    match Bundle::parse(text) {
        Ok(bundle) => join::verify(&bundle, trusted),
        Err(error) => Verdict::malformed(&error),
    }
}

impl Trusted {
    /// Whether a log is one of those that the policy names; nothing without a policy.
    fn believes(&self, log: &VerifierKey) -> Option<bool> {
        let policy = self.policy.as_ref()?;
        Some(policy.logs.iter().any(|(key, _)| key == log))
    }
}
