//! [`Outcome`]: how a piece of work ended, as both sides say (`docs/protocols/outcome.md`): the one
//! thing that reputation is made of.
//!
//! Each side signs the same bytes. What one side alone says is a [`Proposal`], and counts nothing:
//! who gives himself a good name, or somebody else a bad one, would need no more than a key. What
//! outcomes are worth, and whose count, is not here.

use std::fmt;
use std::str::FromStr;

use comity_didcomm::{
    CompactJws, Did, DidDocument, DidUrl, ProtocolId, SigningKey, UnixTime, VerifiedJws,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::credential::statement_keys;
use super::{TokenId, subject};
use crate::limits::{CLOCK_SKEW_S_MAX, THREAD_ID_CHARS_MAX, TOKEN_CHARS_MAX};

/// The `typ` of each of the two tokens of an outcome.
pub const OUTCOME_TYPE: &str = "comity-outcome+jwt";

/// How a piece of work ended: what both sides sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Who worked.
    pub worker: Did,
    /// For whom.
    pub client: Did,
    /// The thread in which it was asked for.
    pub thid: String,
    /// The protocol by which it was asked for.
    pub protocol: ProtocolId,
    /// How it ended.
    pub outcome: Ending,
    /// When.
    pub at: UnixTime,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The client took the result.
    Accepted,
    /// The worker delivered a result; how good it is, nobody says.
    Done,
    /// The client did not take the result, and the worker agrees.
    Refused,
    /// They do not agree about the result, and agree on that.
    Disputed,
    /// The time was over before there was a result.
    Expired,
}

/// Why a text is no evidence of how work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// The two sides did not sign the same.
    #[error("the two sides of the outcome do not say the same")]
    Differs,
    /// It is not the statement of an outcome.
    #[error("the outcome is malformed")]
    Malformed,
    /// It ended in the future.
    #[error("the outcome lies in the future")]
    NotYet,
    /// It is signed by somebody who is not one of the two, or twice by the same.
    #[error("the outcome is not signed by both who took part")]
    Party,
    /// It is not signed by a key that its signer lists for statements.
    #[error("the signature of the outcome does not verify")]
    Signature,
}

/// One side's token, read and *not verified*: it shows only who claims to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOutcome(CompactJws);

/// What one of the two sides says, verified. It is for the other side to agree to, and no evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    work: Work,
    signer: Did,
    /// The very bytes that the other side has to sign as well.
    payload: Vec<u8>,
}

/// What both sides say. Made of two verified tokens only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    id: TokenId,
    work: Work,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Done, Self::Refused, Self::Disputed, Self::Expired];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Disputed => "disputed",
            Self::Expired => "expired",
        }
    }
}

impl Ending {
    /// Whether it speaks for the worker.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Accepted | Self::Done)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Ending {
    type Err = UnknownEnding;

    fn from_str(text: &str) -> Result<Self, UnknownEnding> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == text).ok_or(UnknownEnding)
    }
}

/// Tells that a text is the word of no [`Ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the outcome is none of accepted, done, refused, disputed, expired")]
pub struct UnknownEnding;

impl OutcomeError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 5] =
        [Self::Differs, Self::Malformed, Self::NotYet, Self::Party, Self::Signature];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Differs => "e.m.trust.outcome.differs",
            Self::Malformed => "e.m.trust.outcome.malformed",
            Self::NotYet => "e.m.trust.outcome.not-yet",
            Self::Party => "e.m.trust.outcome.party",
            Self::Signature => "e.m.trust.outcome.signature",
        }
    }
}

impl Work {
    /// Signs it as one of the two sides. The key is one that the side's document lists for
    /// statements (`assertionMethod`) or, if it lists none there, for `authentication`.
    ///
    /// # Errors
    /// When the key is nobody's who took part, or it could not be read as an outcome.
    pub fn sign(&self, key: (&DidUrl, &SigningKey)) -> Result<String, OutcomeError> {
        self.check()?;
        let payload = serde_json::to_vec(self).map_err(|_| OutcomeError::Malformed)?;
        self.sign_as_it_is(&payload, key)
    }

    fn sign_as_it_is(
        &self,
        payload: &[u8],
        (kid, key): (&DidUrl, &SigningKey),
    ) -> Result<String, OutcomeError> {
        if !self.is_party(kid.did()) {
            return Err(OutcomeError::Party);
        }
        let token = CompactJws::sign(OUTCOME_TYPE, kid, key, payload).ok();
        token.filter(|token| token.len() <= TOKEN_CHARS_MAX).ok_or(OutcomeError::Malformed)
    }

    fn check(&self) -> Result<(), OutcomeError> {
        let is_thread = !self.thid.is_empty()
            && self.thid.len() <= THREAD_ID_CHARS_MAX
            && self.thid.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_thread {
            return Err(OutcomeError::Malformed);
        }
        // Nobody has work done by himself.
        if self.worker.same_subject(&self.client) { Err(OutcomeError::Party) } else { Ok(()) }
    }

    /// Whether somebody took part.
    #[must_use]
    pub fn is_party(&self, did: &Did) -> bool {
        self.worker.same_subject(did) || self.client.same_subject(did)
    }

    /// Returns with whom somebody who took part did so.
    #[must_use]
    pub fn other_than(&self, did: &Did) -> &Did {
        if self.worker.same_subject(did) { &self.client } else { &self.worker }
    }
}

impl SignedOutcome {
    /// Reads one side's token.
    ///
    /// # Errors
    /// When it is not one of an outcome, or too long.
    pub fn parse(text: &str) -> Result<Self, OutcomeError> {
        let text = Some(text).filter(|text| text.len() <= TOKEN_CHARS_MAX);
        let token = text.and_then(|text| CompactJws::parse(text, OUTCOME_TYPE).ok());
        token.map(Self).ok_or(OutcomeError::Malformed)
    }

    /// Returns who claims to have signed: whose document [`verify`](Self::verify) needs.
    #[must_use]
    pub const fn signer(&self) -> &Did {
        self.0.kid().did()
    }

    /// Verifies it with the signer's document.
    ///
    /// # Errors
    /// When it is not the signer's, the signer took no part, or it is no outcome.
    pub fn verify(&self, document: &DidDocument, now: UnixTime) -> Result<Proposal, OutcomeError> {
        let verified = self.0.verify(document, statement_keys(document));
        let verified = verified.map_err(|_| OutcomeError::Signature)?;
        let said = verified.to_object().map_err(|_| OutcomeError::Malformed)?;
        // A name that is not known here refuses it.
        let work: Work =
            serde_json::from_value(Value::Object(said)).map_err(|_| OutcomeError::Malformed)?;
        work.check()?;
        let VerifiedJws { kid, payload, .. } = verified;
        if !work.is_party(kid.did()) {
            return Err(OutcomeError::Party);
        }
        if now.saturating_add(CLOCK_SKEW_S_MAX) < work.at {
            return Err(OutcomeError::NotYet);
        }
        Ok(Proposal { work, signer: subject(kid.did()), payload })
    }
}

impl Proposal {
    /// Returns the name that the outcome has once both have signed it.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId::of(&self.payload)
    }

    /// Returns what the side says.
    #[must_use]
    pub const fn work(&self) -> &Work {
        &self.work
    }

    /// Returns which side says it.
    #[must_use]
    pub const fn signer(&self) -> &Did {
        &self.signer
    }

    /// Signs the same as the other side.
    ///
    /// # Errors
    /// When the key is not the other side's.
    pub fn agree(&self, key: (&DidUrl, &SigningKey)) -> Result<String, OutcomeError> {
        if key.0.did().same_subject(&self.signer) {
            return Err(OutcomeError::Party);
        }
        self.work.sign_as_it_is(&self.payload, key)
    }

    /// Takes what the two sides say together.
    ///
    /// # Errors
    /// When they do not say the same, or it is one side twice.
    pub fn with(&self, other: &Self) -> Result<Outcome, OutcomeError> {
        if self.payload != other.payload {
            return Err(OutcomeError::Differs);
        }
        // Each signer is one of the two, so two who differ are both.
        if self.signer == other.signer {
            return Err(OutcomeError::Party);
        }
        Ok(Outcome { id: self.id(), work: self.work.clone() })
    }
}

impl Outcome {
    /// Returns its name: the hash of what both signed.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Returns how which work ended. Of several about the same thread and parties the latest counts.
    #[must_use]
    pub const fn work(&self) -> &Work {
        &self.work
    }
}

#[cfg(test)]
mod tests;
