//! What a home remembers of those whose messages an agent lets in: since when, and with which keys.
//!
//! A did:web is whatever its domain says, so its keys are pinned: whoever takes the domain over has
//! other keys, and is another (threat T23). A did:webvh proves each change by its history, a
//! `from_prior` by the prior DID, and the keys of did:key, did:jwk and did:peer cannot change.

use comity_didcomm::{Did, DidDocument, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Admission, Decision, Facts, Question};
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
    /// Whether all of these keys are known: none of them has to be believed.
    #[must_use]
    pub fn has(&self, keys: &[String]) -> bool {
        // One that is remembered from before its keys were is pinned with the next message.
        self.keys.is_empty() || keys.iter().all(|key| self.keys.contains(key))
    }

    /// Takes the keys that waited as its own.
    #[must_use]
    pub fn approved(self) -> Self {
        match self.changed {
            Some(changed) => Self { keys: changed.keys, changed: None, ..self },
            None => self,
        }
    }

    /// Returns what is to be remembered after a decision, if it is something new.
    pub(crate) fn after(
        question: &Question,
        facts: &Facts,
        decision: &Decision,
        now: UnixTime,
    ) -> Option<Self> {
        let known = facts.contact.as_ref();
        let keys = question.keys.clone();
        let did = question.sender.clone();
        match (decision, known) {
            (Decision::Refuse(Refusal::KeyChanged), Some(known)) => {
                let same = known.changed.as_ref().is_some_and(|changed| changed.keys == keys);
                let changed = Some(Changed { keys, at: now });
                (!same).then(|| Self { changed, ..known.clone() })
            }
            (Decision::Allow(admission), _) if !makes_contact(*admission) => None,
            (Decision::Allow(_), None) => Some(Self { did, since: now, keys, changed: None }),
            (Decision::Allow(_), Some(known)) => {
                let after = Self { did, keys, changed: None, ..known.clone() };
                (after != *known).then_some(after)
            }
            _ => None,
        }
    }
}

/// Whether those who are let in so are remembered: no more than the operator, or the agent itself,
/// has had to do with.
const fn makes_contact(admission: Admission) -> bool {
    matches!(admission, Admission::AllowList | Admission::KnownForLong | Admission::Thread)
}

/// Returns the keys by which somebody is known again; none where nothing but the DID is needed.
#[must_use]
pub fn pinned_keys(document: &DidDocument) -> Vec<String> {
    if document.id.method() != "web" {
        return Vec::new();
    }
    let keys = document.signing_keys().chain(document.agreement_keys());
    let mut keys: Vec<_> =
        keys.map(|(_, key)| digest_text(key.to_multibase().as_bytes())).collect();
    keys.sort();
    keys.dedup();
    keys
}
