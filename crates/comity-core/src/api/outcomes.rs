//! The admin API's types about outcomes: how work ended, as one side proposes and as both agree.

use serde::{Deserialize, Serialize};

/// Says how a piece of work ended, for the other side to agree to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProposeOutcome {
    /// A message of the work, by its id, or its thread.
    pub about: String,
    /// With whom: a DID or a handle; needed where the message does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// How it ended: `accepted`, `done`, `refused`, `disputed` or `expired`.
    pub ended: String,
    /// Who worked, `us` or `them`; whoever did not begin the thread when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The protocol by which it was asked for; that of the message when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What to add for people, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Agrees to what the other side proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgreeOutcome {
    /// The name of the proposal.
    pub id: String,
}

/// How a piece of work ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeInfo {
    /// Its name: the SHA-256 of what is signed, base64url.
    pub id: String,
    /// Who says so: `ours` (proposed, and not agreed to yet), `theirs` (waits for us), `agreed` (both),
    /// `shown` (both, and they are others).
    pub state: String,
    /// Who worked.
    pub worker: String,
    /// For whom.
    pub client: String,
    /// The thread in which it was asked for.
    pub thid: String,
    /// The protocol by which it was asked for.
    pub protocol: String,
    /// How it ended.
    pub outcome: String,
    /// When.
    pub at: String,
    /// What the other side adds to its proposal, untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Somebody's work, as one of the node's agents counts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutcomeRecord {
    /// Whose.
    pub did: String,
    /// Counts, each outcome counted by how far its client is trusted here.
    pub accepted: f64,
    /// As above.
    pub done: f64,
    /// As above.
    pub refused: f64,
    /// As above.
    pub disputed: f64,
    /// As above.
    pub expired: f64,
    /// What remains of the vouches for it, from 0 to 1.
    pub standing: f64,
    /// What was counted, and what was not.
    pub evidence: Vec<Evidence>,
}

/// An outcome in somebody's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// The outcome.
    #[serde(flatten)]
    pub outcome: OutcomeInfo,
    /// For how much it counts: 0 where nothing is known of the client.
    pub weight: f64,
}

/// Outcomes to carry to another node: what both sides signed of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OutcomeFile {
    /// The two signed texts of each, the newest first.
    pub outcomes: Vec<[String; 2]>,
    /// How many older ones there was no room for.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// What became of outcomes that were carried here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportedOutcomes {
    /// So many are kept now.
    pub kept: usize,
    /// So many were known, or are too old to count.
    pub known: usize,
    /// For so many there is no room.
    pub full: usize,
    /// So many are not what both sides signed, or that cannot be verified now.
    pub refused: usize,
    /// Why the first of those was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Shows somebody an agent's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ShowOutcomes {
    /// Whom: a DID or a handle.
    pub who: String,
}

/// What was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShownOutcomes {
    /// To whom.
    pub to: String,
    /// So many, the newest.
    pub outcomes: usize,
}
