//! What a sender shows besides its message, verified: grants, vouches and other credentials.
//!
//! A machine like those of the paths. It has a document fetched only where a grant that was verified
//! names its DID, or where somebody whom the operator believes vouches: what a stranger makes up
//! makes us fetch nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_didcomm::{Did, DidDocument, UnixTime};

use super::{
    Credential, CredentialStatus, Facts, GrantChain, GrantError, GrantInput, GrantOutput, Granted,
    Question, SignedCredential, TokenId, Vouch, VouchBook, Whom, subject,
};
use crate::limits::PATH_VOUCHES_MAX;
use crate::protocol::attached_tokens::AttachedTokens;
use crate::protocol::vouch::VouchState;

/// What a sender has shown, as far as it was verified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The right that it was granted.
    pub granted: Option<Arc<Granted>>,
    /// Why the grant that it showed gives none.
    pub grant_error: Option<GrantError>,
    /// The vouches on a way from somebody whom the operator believes to the sender.
    pub vouches: Vec<Vouch>,
    /// Credentials about the sender, by issuers whom an entry names.
    pub credentials: Vec<Credential>,
}

/// Says what a [`Showing`] needs next, or hands over the result.
#[derive(Clone, Debug)]
pub(crate) enum ShowingOutput {
    Done(Shown),
    Resolve(Did),
    Revocations(Vec<(TokenId, Did)>),
}

/// Verifies what one message shows.
#[derive(Debug)]
pub(crate) struct Showing {
    grants: Option<GrantChain>,
    /// Those that are not verified yet.
    credentials: Vec<SignedCredential>,
    /// Whose statements are worth a look, and how many vouches a way may still have from there.
    believed: Vec<(Did, usize)>,
    sender: Did,
    now: UnixTime,
    shown: Shown,
}

impl Shown {
    /// Whether the sender holds a credential of a kind that an entry is about. One that its issuer
    /// answers for counts while the issuer says so.
    pub(super) fn holds(&self, whom: &Whom, book: &VouchBook, now: UnixTime) -> bool {
        let is_good = |credential: &&Credential| match credential.status() {
            CredentialStatus::None => true,
            CredentialStatus::Vouch { .. } => book.state(credential.id(), now) == VouchState::Good,
            CredentialStatus::Foreign => false,
        };
        self.credentials_for(whom).any(|credential| is_good(&credential))
    }

    /// Returns the credentials that an entry is about, whether or not they still hold.
    pub fn credentials_for(&self, whom: &Whom) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| match whom {
            Whom::Credential { issuer, type_ } => {
                credential.issuer().same_subject(issuer) && credential.is_a(type_)
            }
            _ => false,
        })
    }

    /// Returns the names of all whose issuers can be asked whether they still hold.
    pub(super) fn asked_after(&self) -> impl Iterator<Item = TokenId> {
        let is_answered_for = |credential: &&Credential| {
            matches!(credential.status(), CredentialStatus::Vouch { .. })
        };
        let credentials = self.credentials.iter().filter(is_answered_for).map(Credential::id);
        self.vouches.iter().map(Vouch::id).chain(credentials)
    }
}

impl Showing {
    pub(crate) fn new(
        tokens: &AttachedTokens,
        question: &Question,
        facts: &Facts,
        now: UnixTime,
    ) -> Self {
        let mut shown = Shown::default();
        let mut grants = None;
        if !tokens.grants.is_empty() {
            let (recipient, sender) = (&question.recipient, &question.sender);
            match GrantChain::new(&tokens.grants, recipient, sender, now) {
                Ok(chain) => grants = Some(chain),
                Err(error) => shown.grant_error = Some(error),
            }
        }
        let read = |text: &String| SignedCredential::parse(text).ok();
        let credentials = tokens.credentials.iter().filter_map(read).collect();
        let issuers = facts.entries.iter().filter_map(|entry| match &entry.whom {
            Whom::Credential { issuer, .. } => Some((issuer.clone(), 0)),
            _ => None,
        });
        let anchors = facts.anchors.iter().map(|anchor| (anchor.clone(), PATH_VOUCHES_MAX));
        let believed = anchors.chain(issuers).collect();
        Self { grants, credentials, believed, sender: question.sender.clone(), now, shown }
    }

    /// Says what is needed next.
    pub(crate) fn poll_output(&mut self) -> ShowingOutput {
        if let Some(chain) = &self.grants {
            match chain.poll_output() {
                GrantOutput::Resolve(did) => return ShowingOutput::Resolve(did),
                GrantOutput::Revocations(ids) => return ShowingOutput::Revocations(ids),
                GrantOutput::Done(Ok(granted)) => self.shown.granted = Some(granted),
                GrantOutput::Done(Err(error)) => self.shown.grant_error = Some(error),
            }
            self.grants = None;
        }
        match self.next().and_then(|next| self.credentials.get(next)) {
            Some(credential) => ShowingOutput::Resolve(credential.issuer().clone()),
            None => {
                self.keep_on_way();
                ShowingOutput::Done(std::mem::take(&mut self.shown))
            }
        }
    }

    /// Whether what is needed is about credentials, and not about the grants before them.
    pub(crate) const fn is_past_grants(&self) -> bool {
        self.grants.is_none()
    }

    /// Takes the document that was asked for.
    pub(crate) fn document(&mut self, document: Arc<DidDocument>) {
        if let Some(chain) = &mut self.grants {
            return chain.handle_input(GrantInput::Document(document));
        }
        let Some(next) = self.next() else { return };
        let credential = self.credentials.remove(next);
        if let Ok(credential) = credential.verify(&document, self.now) {
            self.take(credential);
        }
    }

    /// Takes that the document that was asked for cannot be had.
    pub(crate) fn unresolvable(&mut self, did: Did) {
        if let Some(chain) = &mut self.grants {
            return chain.handle_input(GrantInput::Unresolvable(did));
        }
        if let Some(next) = self.next() {
            drop(self.credentials.remove(next));
        }
    }

    /// Takes which of the tokens that were asked about are revoked.
    pub(crate) fn revoked(&mut self, ids: Vec<TokenId>) {
        if let Some(chain) = &mut self.grants {
            chain.handle_input(GrantInput::Revoked(ids));
        }
    }

    /// Finds a credential by somebody who is believed.
    fn next(&self) -> Option<usize> {
        self.credentials.iter().position(|credential| self.reach(credential.issuer()).is_some())
    }

    /// Returns how many vouches a way may still have from somebody who is believed.
    fn reach(&self, issuer: &Did) -> Option<usize> {
        let is_issuer = |(believed, _): &&(Did, usize)| believed.same_subject(issuer);
        self.believed.iter().filter(is_issuer).map(|(_, reach)| *reach).max()
    }

    /// Drops the vouches that do not lead to the sender: it has no business to show them, and who
    /// may vouch for others could fill the book with them.
    fn keep_on_way(&mut self) {
        let mut led_to = BTreeSet::from([subject(&self.sender)]);
        for _ in 0..PATH_VOUCHES_MAX {
            for vouch in &self.shown.vouches {
                if led_to.contains(&subject(&vouch.terms().subject)) {
                    led_to.insert(subject(vouch.issuer()));
                }
            }
        }
        let vouches = &mut self.shown.vouches;
        vouches.retain(|vouch| led_to.contains(&subject(&vouch.terms().subject)));
    }

    fn take(&mut self, credential: Credential) {
        let reach = self.reach(credential.issuer()).unwrap_or_default();
        if let Some(reach) = reach.checked_sub(1)
            && let Ok(vouch) = Vouch::from_credential(&credential)
        {
            // Those whom it is about may vouch for others in turn, if it lets them; how far that
            // carries is the score's to say.
            let further = reach.min(usize::from(vouch.terms().depth));
            if 0 < further {
                self.believed.push((vouch.terms().subject.clone(), further));
            }
            self.shown.vouches.push(vouch);
        }
        // One whose issuer might have revoked it in a way that is not known here counts nothing.
        let can_be_known = *credential.status() != CredentialStatus::Foreign;
        if can_be_known && credential.is_about(&self.sender) {
            self.shown.credentials.push(credential);
        }
    }
}

#[cfg(test)]
mod tests;
