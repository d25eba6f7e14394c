//! What a home remembers of those whose messages an agent lets in: since when, and with which keys.
//!
//! A did:web is whatever its domain says, so its keys are pinned: whoever takes the domain over has
//! other keys, and is another (threat T23). A did:webvh proves each change by its history, and the
//! keys of did:key, did:jwk and did:peer cannot change. A `from_prior` proves a succession, and
//! nothing else: not the keys of the successor, if they were pinned, and nothing at all if it is
//! signed with a key that the prior DID did not have.

use comity_didcomm::{Did, DidDocument, PublicKey, Rotation, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Admission, Decision, Entry, EntryKind, Facts, Level, Question, subject};
use crate::log::{Act, Statement};
use crate::record::digest_text;
use crate::refusal::Refusal;

/// Somebody whose messages an agent lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub did: Did,
    /// Since when.
    pub since: UnixTime,
    /// SHA-256 of each of its keys, base64url; only did:web has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Other keys, which wait for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// Its one successor, if it has shown that it has another DID now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Did>,
}

/// Who a sender was before, and the key that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prior {
    /// The DID that it does not use any more.
    pub did: Did,
    /// The key that signed, as [`Contact::keys`].
    pub keys: Vec<String>,
}

impl Prior {
    /// Returns whom a sender succeeds by this rotation; nobody if both DIDs are its own already.
    #[must_use]
    pub fn of(rotation: &Rotation, sender: &Did) -> Option<Self> {
        let did = subject(rotation.prior());
        let keys = if is_pinned(&did) { vec![pin(rotation.key())] } else { Vec::new() };
        (did != subject(sender)).then_some(Self { did, keys })
    }
}

/// Keys that a contact came with and did not have before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// All keys that it came with, as [`Contact::keys`].
    pub keys: Vec<String>,
    /// When they were seen first.
    pub at: UnixTime,
}

impl Contact {
    /// Creates a contact of whom nothing was known.
    #[must_use]
    pub fn new(did: &Did, document: Option<&DidDocument>, since: UnixTime) -> Self {
        let keys = document.map(pinned_keys).unwrap_or_default();
        Self { did: subject(did), since, keys, changed: None, moved_to: None }
    }

    /// Returns what the log will say of a decision on its keys.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a struct of strings and numbers always serialises")]
    pub fn statement(&self, agent: &Did, salt: &[u8; 16], at: UnixTime) -> Statement {
        let object = serde_json::to_vec(self).expect("strings and numbers serialise");
        Statement::new(Act::Decided, (agent, &self.did), "", &object, salt, at)
    }

    /// Whether all of these keys are known: none of them has to be believed.
    #[must_use]
    pub fn has(&self, keys: &[String]) -> bool {
        // One that is remembered from before its keys were is pinned with the next message.
        self.keys.is_empty() || keys.iter().all(|key| self.keys.contains(key))
    }

    /// Returns it with these other keys, if they keep an entry from being made about it: an operator
    /// who sees a DID that he knows thinks of its owner, and not of whoever took its domain.
    #[must_use]
    pub fn held_up(&self, entry: &Entry, keys: &[String], now: UnixTime) -> Option<Self> {
        let goes_far = entry.kind == EntryKind::Allow && Level::Task <= entry.level;
        (goes_far && !self.has(keys)).then(|| self.clone().with_others(keys.to_vec(), now))
    }

    /// Whether somebody may succeed it: whoever has its keys could else send one after the other.
    #[must_use]
    pub fn may_be_succeeded_by(&self, successor: &Did) -> bool {
        self.moved_to.as_ref().is_none_or(|to| to.same_subject(successor))
    }

    /// Takes the keys that waited as its own.
    #[must_use]
    pub fn approved(self) -> Self {
        match self.changed {
            Some(changed) => Self { keys: changed.keys, changed: None, ..self },
            None => self,
        }
    }

    /// Remembers other keys, which wait for the operator since they were seen first.
    fn with_others(mut self, keys: Vec<String>, now: UnixTime) -> Self {
        if self.changed.as_ref().is_none_or(|changed| changed.keys != keys) {
            self.changed = Some(Changed { keys, at: now });
        }
        self
    }

    /// Returns what is to be remembered after a decision, if it is something new.
    pub(crate) fn after(
        question: &Question,
        facts: &Facts,
        decision: &Decision,
        now: UnixTime,
    ) -> Option<Self> {
        let keys = question.keys.clone();
        let did = question.sender.clone();
        match decision {
            Decision::Hold | Decision::Refuse(Refusal::KeyChanged) => {
                let (known, keys) = others_of_prior(question, facts)
                    .or_else(|| others_of_sender(question, facts))
                    .or_else(|| others_of_grantors(question, facts))?;
                let after = known.clone().with_others(keys, now);
                (after != *known).then_some(after)
            }
            Decision::Allow(admission) if makes_contact(*admission) || facts.sender_is_operator => {
                let Some(known) = facts.contact.as_ref() else {
                    // Its keys are its own, whatever those of its prior DID were.
                    let since = facts.prior_contact.as_ref().map_or(now, |prior| prior.since);
                    return Some(Self { did, since, keys, changed: None, moved_to: None });
                };
                // Other keys that little depends on are let pass, and not taken for its own: it may
                // be allowed more one day.
                // Only by whom it went over to does it come back.
                let is_back =
                    |to: &Did| question.prior.as_ref().is_some_and(|prior| prior.did == *to);
                let moved_to = known.moved_to.clone().filter(|to| !is_back(to));
                let after = match known.has(&keys) {
                    true => Self { did, keys, changed: None, moved_to, ..known.clone() },
                    false => known.clone().with_others(keys, now),
                };
                (after != *known).then_some(after)
            }
            _ => None,
        }
    }
}

/// Returns a contact that comes with other keys than it had, and these keys. No `from_prior`
/// excuses them: it is signed by somebody else, whoever that is.
pub(super) fn others_of_sender<'a>(
    question: &Question,
    facts: &'a Facts,
) -> Option<(&'a Contact, Vec<String>)> {
    let contact = facts.contact.as_ref()?;
    (!contact.has(&question.keys)).then(|| (contact, question.keys.clone()))
}

/// Returns the contact whose succession is signed with a key that it did not have, with its keys
/// and this one.
pub(super) fn others_of_prior<'a>(
    question: &Question,
    facts: &'a Facts,
) -> Option<(&'a Contact, Vec<String>)> {
    let (prior, contact) = (question.prior.as_ref()?, facts.prior_contact.as_ref()?);
    (!contact.has(&prior.keys)).then(|| (contact, [&contact.keys[..], &prior.keys].concat()))
}

/// Returns a contact that handed on what the sender shows, and has other keys than it had, and these
/// keys: whoever took its domain over would hand on to himself.
pub(super) fn others_of_grantors<'a>(
    question: &Question,
    facts: &'a Facts,
) -> Option<(&'a Contact, Vec<String>)> {
    let granted = question.shown.granted.as_ref()?;
    granted.handed_on_by().find_map(|(grantor, keys)| {
        let contact = facts.grantors.iter().find(|contact| contact.did.same_subject(grantor))?;
        (!contact.has(keys)).then(|| (contact, keys.to_vec()))
    })
}

/// Whether those who are let in so are remembered: no more than the operator, the agent itself, or
/// somebody whom they believe has had to do with.
const fn makes_contact(admission: Admission) -> bool {
    matches!(
        admission,
        Admission::AllowList
            | Admission::Grant
            | Admission::KnownForLong
            | Admission::Thread
            | Admission::Vouches
    )
}

/// Returns the keys by which somebody is known again; none where nothing but the DID is needed.
#[must_use]
pub fn pinned_keys(document: &DidDocument) -> Vec<String> {
    if !is_pinned(&document.id) {
        return Vec::new();
    }
    let keys = document.signing_keys().chain(document.agreement_keys());
    let mut keys: Vec<_> = keys.map(|(_, key)| pin(key)).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn is_pinned(did: &Did) -> bool {
    did.method() == "web"
}

fn pin(key: &PublicKey) -> String {
    digest_text(key.to_multibase().as_bytes())
}

#[cfg(test)]
mod tests {
    use comity_didcomm::{
        AgreementKey, SigningKey, did, from_prior, resolve_self_contained, verify_from_prior,
    };

    use super::*;

    #[test]
    fn the_two_forms_of_one_did_succeed_nobody() {
        let rng = &mut rand::rng();
        let (signing, agreement) = (SigningKey::generate(rng), AgreementKey::generate(rng));
        let peer = did::peer::create_4(&[signing.public(), agreement.public()], &[]).unwrap();
        let document = resolve_self_contained(&peer.long).unwrap().unwrap();
        let kid = document.signing_keys().next().unwrap().0;
        let other: Did = "did:web:a.example".parse().unwrap();
        for (sub, sender, expected) in [
            (&peer.short, &peer.short, None),
            (&other, &other, Some(Prior { did: peer.short.clone(), keys: Vec::new() })),
        ] {
            let token = from_prior(kid, &signing, Some(sub), UnixTime(5));
            let rotation = verify_from_prior(&token, &document).unwrap();
            assert_eq!(Prior::of(&rotation, sender), expected);
        }
    }
}
