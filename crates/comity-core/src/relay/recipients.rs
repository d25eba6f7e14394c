//! For whom messages are taken: the decision about one item of a `recipient-update`.

use comity_didcomm::{Did, DidDocument, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Recipients, RelayPolicy, may_pick_up};
use crate::admission::Rule;
use crate::limits::RECIPIENT_KEYS_MAX;
use crate::protocol::coordinate_mediation::{Action, Update, UpdateResult};
use crate::protocol::mediation_proof;
use crate::refusal::Refusal;
use crate::trust::subject;

/// A DID for which the relay takes messages: a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRow {
    /// The DID.
    pub did: Did,
    /// Who had it registered.
    pub registrant: Did,
    /// When the DID agreed to that; `None`: nobody has shown that it did.
    pub proven_at: Option<UnixTime>,
    /// When it was registered.
    pub added_at: UnixTime,
    /// Its agreement keys in Multikey form, by which a forward may name it.
    pub keys: Vec<String>,
    /// By what its friends are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// What the shell found about an [`Update`].
#[derive(Clone, Debug)]
pub struct RecipientFacts<'a> {
    /// The row of the DID, if it is registered.
    pub row: Option<&'a RecipientRow>,
    /// The document of the DID, if it can be had.
    pub document: Option<&'a DidDocument>,
    /// How many DIDs the sender has registered.
    pub registered: u64,
}

/// What is done about an [`Update`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Rows change.
    Change(Box<Change>),
    /// Nothing changes; this is the answer.
    Leave(UpdateResult, Option<Refusal>),
}

/// A change of the rows; made only by [`change`] and [`change_rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The row as it was read.
    pub before: Option<RecipientRow>,
    /// The row as it is to be.
    pub after: Option<RecipientRow>,
}

/// Decides about one item of an update by `sender` at the relay `home`.
#[must_use]
pub fn change(
    sender: &Did,
    update: &Update,
    policy: &RelayPolicy,
    facts: &RecipientFacts<'_>,
    home: &Did,
    now: UnixTime,
) -> Verdict {
    let did = subject(&update.recipient_did);
    let refuse = |refusal| Verdict::Leave(UpdateResult::ClientError, Some(refusal));
    let is_own = did.same_subject(sender);
    if update.action == Action::Remove {
        return match facts.row {
            None => Verdict::Leave(UpdateResult::NoChange, None),
            Some(row) if is_own || row.registrant.same_subject(sender) => {
                Verdict::Change(Box::new(Change { before: Some(row.clone()), after: None }))
            }
            Some(_) => refuse(Refusal::RecipientTaken),
        };
    }
    if did.same_subject(home) {
        return refuse(Refusal::ForwardLoop);
    }
    let proven_at = match (&update.proof, facts.document) {
        _ if is_own => Some(now),
        (Some(proof), Some(document)) => {
            match mediation_proof::verify(proof, document, sender, home, now) {
                Ok(proof) => Some(proof.at().min(now)),
                Err(_) => return refuse(Refusal::RecipientUnproven),
            }
        }
        (Some(_), None) => return refuse(Refusal::DidUnresolvable),
        (None, _) if policy.recipients == Recipients::Any => None,
        (None, _) => return refuse(Refusal::RecipientUnproven),
    };
    let is_new = !facts.row.is_some_and(|row| row.registrant.same_subject(sender));
    if is_new && u64::from(policy.quotas.recipients_max) <= facts.registered {
        return refuse(Refusal::RecipientsFull);
    }
    let keys = facts.document.map(keys).unwrap_or_default();
    let registrant = subject(sender);
    let mut row = RecipientRow { did, registrant, proven_at, added_at: now, keys, rule: None };
    match facts.row {
        None => Verdict::Change(Box::new(Change { before: None, after: Some(row) })),
        Some(known) if known.registrant.same_subject(sender) => {
            let same_keys = known.keys == row.keys;
            if same_keys && proven_at.is_some() <= known.proven_at.is_some() {
                return Verdict::Leave(UpdateResult::NoChange, None);
            }
            row.proven_at = row.proven_at.max(known.proven_at);
            row.added_at = known.added_at;
            row.rule.clone_from(&known.rule);
            Verdict::Change(Box::new(Change { before: Some(known.clone()), after: Some(row) }))
        }
        // The DID has changed its mind about who takes its messages; the later word counts, so
        // that an earlier proof does not bring an earlier registrant back.
        Some(known) if known.proven_at < proven_at => {
            Verdict::Change(Box::new(Change { before: Some(known.clone()), after: Some(row) }))
        }
        Some(_) => refuse(Refusal::RecipientTaken),
    }
}

/// Decides about the rule of a DID: whoever may empty its queue may say who fills it. Nothing
/// changes if it was so already.
///
/// # Errors
/// When `sender` has not registered the DID.
pub fn change_rule(
    sender: &Did,
    rule: Option<&Rule>,
    row: Option<&RecipientRow>,
) -> Result<Option<Change>, Refusal> {
    let before = row.ok_or(Refusal::NotYourQueue)?;
    may_pick_up(sender, &before.did, Some(before))?;
    if before.rule.as_ref() == rule {
        return Ok(None);
    }
    let after = RecipientRow { rule: rule.cloned(), ..before.clone() };
    Ok(Some(Change { before: Some(before.clone()), after: Some(after) }))
}

fn keys(document: &DidDocument) -> Vec<String> {
    let keys = document.agreement_keys().map(|(_, key)| key.to_multibase());
    keys.take(RECIPIENT_KEYS_MAX).collect()
}
