//! [`GrantChain`]: the machine that verifies a chain of grants, token by token from the first.
//!
//! A document is asked for only when a token that was verified names its DID, and first that of the
//! recipient itself: a chain that anybody made up makes us fetch nothing.

use std::sync::Arc;
use std::vec;

use comity_didcomm::{Did, DidDocument, Jwt, Relationship, UnixTime};
use thiserror::Error;

use super::{GRANT_TYPE, Grant, Granted};
use crate::limits::{CLOCK_SKEW_S_MAX, GRANT_CHAIN_MAX, TOKEN_CHARS_MAX};
use crate::trust::{TokenId, subject};

/// Why a chain of grants gives no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum GrantError {
    /// It gives access to another agent.
    #[error("the grant is for another agent")]
    Audience,
    /// It has run out.
    #[error("the grant has run out")]
    Expired,
    /// It was given to somebody else than who shows it.
    #[error("the grant is not the sender's")]
    Holder,
    /// The tokens do not follow from each other.
    #[error("the tokens of the grant are no chain")]
    Link,
    /// A token is not one of a grant, or there are too many.
    #[error("the grant is malformed")]
    Malformed,
    /// It does not hold yet.
    #[error("the grant does not hold yet")]
    NotYet,
    /// One of its tokens was revoked by who signed it.
    #[error("the grant was revoked")]
    Revoked,
    /// A token is not signed by a key that its issuer lists for authentication.
    #[error("the grant is not signed by its grantor")]
    Signature,
    /// The document of one who handed it on cannot be had.
    #[error("the DID of a grantor does not resolve")]
    Unresolvable,
    /// A token gives more than the one before it.
    #[error("the grant was handed on with more than its grantor had")]
    Widened,
}

impl GrantError {
    /// Every error, for tables of documentation.
    pub const ALL: [Self; 10] = [
        Self::Audience,
        Self::Expired,
        Self::Holder,
        Self::Link,
        Self::Malformed,
        Self::NotYet,
        Self::Revoked,
        Self::Signature,
        Self::Unresolvable,
        Self::Widened,
    ];

    /// Returns the problem-report code (Report Problem 2.0).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Audience => "e.m.trust.grant.audience",
            Self::Expired => "e.m.trust.grant.expired",
            Self::Holder => "e.m.trust.grant.holder",
            Self::Link => "e.m.trust.grant.link",
            Self::Malformed => "e.m.trust.grant.malformed",
            Self::NotYet => "e.m.trust.grant.not-yet",
            Self::Revoked => "e.m.trust.grant.revoked",
            Self::Signature => "e.m.trust.grant.signature",
            Self::Unresolvable => "e.m.trust.grant.unresolvable",
            Self::Widened => "e.m.trust.grant.widened",
        }
    }
}

/// Says what a [`GrantChain`] needs next, or hands over the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantOutput {
    /// The end.
    Done(Result<Arc<Granted>, GrantError>),
    /// The document of this DID, please. Answer with [`GrantInput::Document`] or
    /// [`GrantInput::Unresolvable`].
    Resolve(Did),
    /// Which of these did their grantor revoke? Answer with [`GrantInput::Revoked`]. The chain is
    /// verified up to that, so there are few, and nobody can make them up.
    Revocations(Vec<(TokenId, Did)>),
}

/// Answers a [`GrantOutput`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantInput {
    /// The document that was asked for.
    Document(Arc<DidDocument>),
    /// The tokens that were revoked, of those asked about.
    Revoked(Vec<TokenId>),
    /// The document that was asked for cannot be had.
    Unresolvable(Did),
}

/// Verifies one chain.
///
/// The contract: call [`poll_output`](Self::poll_output), answer what it asks for with
/// [`handle_input`](Self::handle_input), and repeat until it is `Done`, which stays. Asking again
/// without an answer repeats the question; an answer to another question changes nothing.
#[derive(Debug)]
pub struct GrantChain {
    recipient: Did,
    sender: Did,
    now: UnixTime,
    tokens: vec::IntoIter<Jwt>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Done(Result<Arc<Granted>, GrantError>),
    /// Everything but this is verified.
    Recall(Granted),
    /// Waits for the document of the token's issuer.
    Verify {
        token: Jwt,
        /// The chain up to the token.
        before: Option<Granted>,
    },
}

impl GrantChain {
    /// Takes the tokens of a chain, the first one first, that `sender` (proven by a key) shows to
    /// `recipient`.
    ///
    /// # Errors
    /// When they are too many or malformed, or give no access to the recipient.
    pub fn new(
        tokens: &[String],
        recipient: &Did,
        sender: &Did,
        now: UnixTime,
    ) -> Result<Self, GrantError> {
        let chain = Self::received(tokens, sender, now)?;
        if !chain.recipient.same_subject(recipient) {
            return Err(GrantError::Audience);
        }
        Ok(Self { recipient: recipient.clone(), ..chain })
    }

    /// Takes the tokens of a chain that `holder` was given for access to whomever it says: what a
    /// grantee verifies before it keeps a grant.
    ///
    /// # Errors
    /// When they are too many or malformed.
    pub fn received(tokens: &[String], holder: &Did, now: UnixTime) -> Result<Self, GrantError> {
        if GRANT_CHAIN_MAX < tokens.len() || tokens.iter().any(|text| TOKEN_CHARS_MAX < text.len())
        {
            return Err(GrantError::Malformed);
        }
        let tokens: Result<Vec<_>, _> =
            tokens.iter().map(|text| Jwt::parse(text, GRANT_TYPE)).collect();
        let mut tokens = tokens.map_err(|_| GrantError::Malformed)?.into_iter();
        let token = tokens.next().ok_or(GrantError::Malformed)?;
        let recipient = token.issuer().clone();
        let stage = Stage::Verify { token, before: None };
        Ok(Self { recipient, sender: holder.clone(), now, tokens, stage })
    }

    /// Says what is needed next.
    #[must_use]
    pub fn poll_output(&self) -> GrantOutput {
        match &self.stage {
            Stage::Done(result) => GrantOutput::Done(result.clone()),
            Stage::Recall(granted) => GrantOutput::Revocations(
                granted.links().map(|link| (link.id, subject(&link.grantor))).collect(),
            ),
            Stage::Verify { token, .. } => GrantOutput::Resolve(token.issuer().clone()),
        }
    }

    /// Takes the answer to the last output.
    pub fn handle_input(&mut self, input: GrantInput) {
        let stage = std::mem::replace(&mut self.stage, Stage::Done(Err(GrantError::Malformed)));
        self.stage = match (stage, input) {
            (Stage::Verify { token, before }, GrantInput::Document(document))
                if document.id.same_subject(token.issuer()) =>
            {
                self.verify(&token, before, &document)
                    .unwrap_or_else(|error| Stage::Done(Err(error)))
            }
            (Stage::Verify { token, .. }, GrantInput::Unresolvable(did))
                if did.same_subject(token.issuer()) =>
            {
                Stage::Done(Err(GrantError::Unresolvable))
            }
            (Stage::Recall(granted), GrantInput::Revoked(ids)) => {
                let is_revoked = granted.ids().any(|id| ids.contains(&id));
                Stage::Done(if is_revoked {
                    Err(GrantError::Revoked)
                } else {
                    Ok(Arc::new(granted))
                })
            }
            (stage, _) => stage,
        };
    }

    /// Verifies one token, and that it follows from those before it. The numbers are those of the
    /// checks in `docs/protocols/grant.md`.
    fn verify(
        &mut self,
        token: &Jwt,
        before: Option<Granted>,
        document: &DidDocument,
    ) -> Result<Stage, GrantError> {
        // 3: signed by a key that the issuer lists for authentication.
        let verified = token.verify(document, Relationship::Authentication);
        let verified = verified.map_err(|_| GrantError::Signature)?;
        // 4: the claims of a grant, within the bounds.
        let grant = Grant::read(verified, document).ok_or(GrantError::Malformed)?;
        // 5 to 8: it follows from the one before.
        let granted = match before {
            None => self.begin(grant)?,
            Some(before) => follow(before, grant)?,
        };
        // 9: now lies within its window.
        let terms = &granted.last().terms;
        if self.now.saturating_add(CLOCK_SKEW_S_MAX) < terms.from {
            return Err(GrantError::NotYet);
        }
        if terms.until <= self.now {
            return Err(GrantError::Expired);
        }
        match self.tokens.next() {
            // The next one is not even looked at unless it is issued by whom this one was given to.
            Some(next) if next.issuer().same_subject(&terms.grantee) => {
                Ok(Stage::Verify { token: next, before: Some(granted) })
            }
            Some(_) => Err(GrantError::Link),
            // 10: the last was given to the sender.
            None if terms.grantee.same_subject(&self.sender) => Ok(Stage::Recall(granted)),
            None => Err(GrantError::Holder),
        }
    }

    /// Takes the first token: the recipient gives access to itself.
    fn begin(&self, root: Grant) -> Result<Granted, GrantError> {
        let is_own = root.grantor.same_subject(&self.recipient)
            && root.audience.same_subject(&self.recipient);
        if !is_own {
            return Err(GrantError::Audience);
        }
        if root.parent.is_some() {
            return Err(GrantError::Link);
        }
        Ok(Granted { root, rest: Vec::new() })
    }
}

/// Adds a token that hands on what the one before it gave.
fn follow(mut before: Granted, next: Grant) -> Result<Granted, GrantError> {
    let last = before.last();
    if next.parent != Some(last.id) || !next.grantor.same_subject(&last.terms.grantee) {
        return Err(GrantError::Link);
    }
    if !next.audience.same_subject(&before.root.audience) {
        return Err(GrantError::Audience);
    }
    next.terms.check_within(&last.terms).map_err(|_| GrantError::Widened)?;
    before.rest.push(next);
    Ok(before)
}
