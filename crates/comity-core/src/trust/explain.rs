//! A decision as somebody reads it: what, why, and what would change it.

use super::{Decision, EntryKind, Facts, Level, Question, Ruling, decide};
use comity_didcomm::UnixTime;

/// What would be decided about a message, as text for the recipient's operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `allow`, `charge` (work is demanded, and then it is held), `hold` or `refuse`.
    pub decision: &'static str,
    /// The ground of an admission, or the code of a refusal.
    pub ground: Option<&'static str>,
    /// How far the sender may go for this protocol.
    pub level: Level,
    /// How far the protocol needs it to.
    pub needed: Level,
    /// Why, as a sentence.
    pub why: String,
    /// What is known of the sender, a line each.
    pub known: Vec<String>,
    /// What would change it, a sentence each.
    pub changes: Vec<String>,
}

/// Asks the policy, and says all that it went by. It is the same function that decides about
/// messages.
#[must_use]
pub fn explain(question: &Question, facts: &Facts, now: UnixTime) -> Explanation {
    let ruling = decide(question, facts, now);
    let Ruling { decision, level, needed, why, changes, grounds, .. } = ruling;
    let (decision, ground) = match decision {
        Decision::Allow(admission) => ("allow", Some(admission.as_str())),
        Decision::Charge(_) => ("charge", None),
        Decision::Hold => ("hold", None),
        Decision::Refuse(refusal) => ("refuse", Some(refusal.code())),
    };
    let mut known = known(question, facts, now);
    known.extend(grounds);
    Explanation { decision, ground, level, needed, why, known, changes }
}

fn known(question: &Question, facts: &Facts, now: UnixTime) -> Vec<String> {
    let mut lines = vec![format!("policy: {}", facts.policy.template.as_str())];
    for entry in facts.entries.iter().filter(|entry| entry.whom.is(&question.sender)) {
        let mut line = format!("entry: {} {}", entry.whom, entry.state(now));
        // What forbids has no level, and is about everything.
        if entry.kind == EntryKind::Allow {
            line.push_str(&format!(" up to {}", entry.level));
        }
        if !entry.protocols.is_empty() {
            let protocols: Vec<_> = entry.protocols.iter().map(ToString::to_string).collect();
            line.push_str(&format!(" for {}", protocols.join(", ")));
        }
        if let Some(until) = entry.until {
            line.push_str(&format!(" until {}", crate::api::rfc3339(until)));
        }
        lines.push(line);
    }
    if let Some(contact) = &facts.contact {
        lines.push(format!("contact: since {}", crate::api::rfc3339(contact.since)));
    }
    if 0 < facts.price_bits && facts.request.is_none() {
        lines.push(format!("price of a stranger's knock: {} bits of work", facts.price_bits));
    }
    if facts.request.is_some() {
        lines.push("request: waits for the operator".to_owned());
    }
    lines
}
