//! [`GrantTerms`]: what one grant says, within the bounds of the protocol and within another one.

use comity_didcomm::{Did, ProtocolId, UnixTime};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{GRANT_DEPTH_MAX, GRANT_LIFE_S_MAX, SCOPE_MAX, TOKEN_NAME_CHARS_MAX};
use crate::trust::{Level, Limits};

/// What is given, to whom, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantTerms {
    /// To whom (`sub`).
    pub grantee: Did,
    /// The protocols that it is for; empty: all.
    pub scope: Vec<ProtocolId>,
    /// How far the grantee may go; not [`Level::Blocked`].
    pub level: Level,
    /// How much the grantee may do.
    pub limits: Limits,
    /// From when (`nbf`).
    pub from: UnixTime,
    /// Until when (`exp`), exclusively.
    pub until: UnixTime,
    /// How often it may be handed on.
    pub depth: u8,
    /// The grantor's own name for it (`jti`), which makes it another than one of the same content.
    pub name: String,
}

/// Why terms are not those of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TermsError {
    /// It could be handed on too often.
    #[error("a grant can be handed on at most three times")]
    Depth,
    /// Its level gives nothing.
    #[error("the level of a grant is one of introduced, message, task, execute")]
    Level,
    /// One of its limits allows nothing.
    #[error("a limit of a grant is at least one")]
    Limits,
    /// Its name is empty, too long, or has other characters than ASCII.
    #[error("the name of a grant is up to 128 ASCII characters")]
    Name,
    /// It names too many protocols.
    #[error("a grant is for at most 32 protocols, or for all")]
    Scope,
    /// It has too many characters when it is signed.
    #[error("the grant is too large")]
    TooLarge,
    /// It ends before it begins, or holds for too long.
    #[error("a grant ends after it begins, and within a year")]
    Window,
}

/// Why a grant cannot be handed on like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NarrowError {
    /// It would be handed on more often than was allowed.
    #[error("the grant may not be handed on, or not so often")]
    Depth,
    /// The key is not one of the holder's.
    #[error("the grant is handed on by somebody who does not hold it")]
    Holder,
    /// It would go further.
    #[error("the level is higher than the holder's")]
    Level,
    /// It would allow more, or leave out a limit.
    #[error("the limits allow more than the holder's")]
    Limits,
    /// It would be for other protocols.
    #[error("the scope has protocols that the holder's has not")]
    Scope,
    /// The terms are not those of any grant.
    #[error("{0}")]
    Terms(#[from] TermsError),
    /// It would begin earlier or end later.
    #[error("the grant would begin earlier or end later than the holder's")]
    Window,
}

impl GrantTerms {
    /// Whether the terms are for this protocol, by name and major version.
    #[must_use]
    pub fn covers(&self, protocol: &ProtocolId) -> bool {
        self.scope.is_empty() || self.scope.iter().any(|known| known.matches(protocol))
    }

    /// Checks the bounds that every grant keeps.
    pub(super) fn check(&self) -> Result<(), TermsError> {
        let is_named = !self.name.is_empty()
            && self.name.len() <= TOKEN_NAME_CHARS_MAX
            && self.name.bytes().all(|byte| byte.is_ascii_graphic());
        let ends =
            self.from < self.until && self.until <= self.from.saturating_add(GRANT_LIFE_S_MAX);
        if self.level == Level::Blocked {
            return Err(TermsError::Level);
        }
        // Whoever shows it would get less by it than without it.
        if self.limits.has_zero() {
            return Err(TermsError::Limits);
        }
        if SCOPE_MAX < self.scope.len() {
            return Err(TermsError::Scope);
        }
        if !ends {
            return Err(TermsError::Window);
        }
        if GRANT_DEPTH_MAX < self.depth {
            return Err(TermsError::Depth);
        }
        if is_named { Ok(()) } else { Err(TermsError::Name) }
    }

    /// Checks that they give nothing that the others do not give, and less often.
    pub(super) fn check_within(&self, other: &Self) -> Result<(), NarrowError> {
        // Everything is within everything only.
        let everything = self.scope.is_empty() && !other.scope.is_empty();
        if everything || !self.scope.iter().all(|protocol| other.covers(protocol)) {
            return Err(NarrowError::Scope);
        }
        if other.level < self.level {
            return Err(NarrowError::Level);
        }
        if !self.limits.is_within(&other.limits) {
            return Err(NarrowError::Limits);
        }
        if self.from < other.from || other.until < self.until {
            return Err(NarrowError::Window);
        }
        if other.depth <= self.depth {
            return Err(NarrowError::Depth);
        }
        Ok(())
    }
}
