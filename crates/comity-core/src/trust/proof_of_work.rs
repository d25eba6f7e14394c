//! A stranger's price: a challenge that only one sender can use, for one recipient, once and for a
//! short while; and how much it costs.
//!
//! The home keeps nothing about a challenge. It is a text that carries what was demanded, with a MAC
//! by which the home knows its own (`docs/protocols/introduction.md`). What is kept is that one was
//! spent, in the commit of the message that it paid for. Work buys the knock and never trust: a paid
//! message is held for the operator like any other stranger's.

mod ants;
mod puzzle;

pub use puzzle::Solving;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::subject;
use crate::limits::{WORK_BITS_MAX, WORK_CHALLENGE_AGE_S, WORK_SHOWN_BYTES_MAX};

/// First byte of a challenge: its form and that of its puzzle.
const VERSION: u8 = 1;

/// Bytes of a challenge that are not its MAC: version, id, bits, expiry.
const PLAIN_BYTES: usize = 1 + 16 + 1 + 8;

/// What a stranger has to solve before its message is taken, in the form in which it is told: the
/// member `work` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The text, which means something to the home alone.
    pub challenge: String,
    /// The price: on average two to this power of hashes.
    pub bits: u8,
    /// Until when the home takes a solution.
    pub expires: UnixTime,
}

/// Names a challenge of this home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChallengeId(pub [u8; 16]);

/// What a sender showed of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkShown {
    /// Something that is no solution of a challenge that this home gave this sender for this
    /// recipient, or one that came too late.
    Invalid,
    /// Nothing.
    None,
    /// A solution. Whether it was used before is known when it is spent.
    Paid {
        /// Of the challenge that was solved.
        id: ChallengeId,
        /// Until when it has to be remembered as spent.
        expires: UnixTime,
    },
    /// A token of the ANTS registry. No challenge is in it, so that it may have been made long before,
    /// and the next one too: it is worth less than a solution.
    AntsToken {
        /// Of the token.
        id: ChallengeId,
        /// Until when it has to be remembered as spent.
        expires: UnixTime,
    },
}

/// The secret by which a home knows its own challenges.
#[derive(Clone)]
pub struct WorkSecret(Arc<hmac::Key>);

impl WorkSecret {
    /// Makes the secret of random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Makes a challenge of this many bits for one sender and one recipient.
    #[must_use]
    pub fn issue(
        &self,
        id: ChallengeId,
        bits: u8,
        (sender, recipient): (&Did, &Did),
        now: UnixTime,
    ) -> Challenge {
        self.make(id, bits, &parties(sender, recipient), now)
    }

    /// Makes a challenge for one forward, of which a relay knows the digest of the payload and for
    /// whom it is, and no sender.
    #[must_use]
    pub fn issue_for_forward(
        &self,
        id: ChallengeId,
        bits: u8,
        (digest, recipient): (&str, &Did),
        now: UnixTime,
    ) -> Challenge {
        self.make(id, bits, &forward(digest, recipient), now)
    }

    fn make(&self, id: ChallengeId, bits: u8, bound_to: &[String; 2], now: UnixTime) -> Challenge {
        let expires = now.saturating_add(WORK_CHALLENGE_AGE_S);
        let mut text = Vec::with_capacity(PLAIN_BYTES + 32);
        text.push(VERSION);
        text.extend_from_slice(&id.0);
        text.push(bits);
        text.extend_from_slice(&expires.0.to_be_bytes());
        let tag = hmac::sign(&self.0, &signed(&text, bound_to));
        text.extend_from_slice(tag.as_ref());
        Challenge { challenge: URL_SAFE_NO_PAD.encode(text), bits, expires }
    }

    /// Judges what a sender showed, the value of the header `Comity-Work`.
    #[must_use]
    pub fn check(
        &self,
        shown: Option<&str>,
        (sender, recipient): (&Did, &Did),
        now: UnixTime,
    ) -> WorkShown {
        let Some(shown) = shown else { return WorkShown::None };
        let work = match shown.starts_with("did:") {
            true => ants::token(shown, sender, now),
            false => self.solved(shown, &parties(sender, recipient), now),
        };
        work.unwrap_or(WorkShown::Invalid)
    }

    /// Judges what the sender of a forward showed, as [`check`](Self::check).
    #[must_use]
    pub fn check_for_forward(
        &self,
        shown: Option<&str>,
        (digest, recipient): (&str, &Did),
        now: UnixTime,
    ) -> WorkShown {
        let Some(shown) = shown else { return WorkShown::None };
        self.solved(shown, &forward(digest, recipient), now).unwrap_or(WorkShown::Invalid)
    }

    fn solved(&self, shown: &str, bound_to: &[String; 2], now: UnixTime) -> Option<WorkShown> {
        if WORK_SHOWN_BYTES_MAX < shown.len() {
            return None;
        }
        let (challenge, solution) = shown.rsplit_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(challenge).ok()?;
        let (plain, tag) = bytes.split_at_checked(PLAIN_BYTES)?;
        hmac::verify(&self.0, &signed(plain, bound_to), tag).ok()?;
        // From here on it is a text of our own.
        let (version, rest) = plain.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (bits, rest) = rest.split_first()?;
        let expires = UnixTime(u64::from_be_bytes(*rest.first_chunk::<8>()?));
        let is_good =
            *version == VERSION && now < expires && puzzle::is_solution(challenge, *bits, solution);
        is_good.then_some(WorkShown::Paid { id: ChallengeId(*id), expires })
    }
}

impl fmt::Debug for WorkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkSecret(..)")
    }
}

/// What the MAC is over: the plain part of the challenge, of fixed length, then whose it is.
fn signed(plain: &[u8], bound_to: &[String; 2]) -> Vec<u8> {
    let mut text = plain.to_vec();
    for part in bound_to {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    text
}

fn parties(sender: &Did, recipient: &Did) -> [String; 2] {
    [subject(sender), subject(recipient)].map(|party| party.to_string())
}

/// Names a forward; no DID begins like this.
fn forward(digest: &str, recipient: &Did) -> [String; 2] {
    [format!("payload:{digest}"), subject(recipient).to_string()]
}

/// What makes a knock dearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for the recipient's operator.
    pub pending: i64,
    /// How many may wait.
    pub pending_max: i64,
    /// Requests that the recipient had of this sender lately, decided or not.
    pub earlier: i64,
}

/// Returns what a knock costs, in bits, given what it costs when nothing is going on. Nothing stays
/// nothing.
///
/// It costs a bit more each time that the requests that wait have doubled beyond a tenth of those
/// that may, and two more for each earlier request of the same sender.
#[must_use]
pub fn price(base_bits: u8, load: Load) -> u8 {
    if base_bits == 0 {
        return 0;
    }
    let tenth = (load.pending_max / 10).max(1);
    let doublings = (load.pending / tenth).checked_ilog2().unwrap_or(0);
    let repeats = u32::try_from(load.earlier.max(0)).unwrap_or(u32::MAX).saturating_mul(2);
    let bits = u32::from(base_bits).saturating_add(doublings).saturating_add(repeats);
    u8::try_from(bits).unwrap_or(u8::MAX).min(WORK_BITS_MAX)
}

#[cfg(test)]
mod tests;
