//! The admin API's types about vouches: those that an agent gives and holds, and the graph of those
//! that its home knows.

use serde::{Deserialize, Serialize};

/// Asks somebody to vouch for an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AskVouch {
    /// Whom: a DID or a handle.
    pub who: String,
    /// For these protocols; empty: all.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// So far; `message` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Why, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Vouches for somebody, in an agent's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GiveVouch {
    /// For whom: a DID or a handle.
    pub who: String,
    /// For these protocols; empty: all.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// So far; `message` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// How many steps their own vouches count on the strength of this one, 0 to 3; when absent, 2 up
    /// to the level `message`, and 0 beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u8>,
    /// For how many days, 1 to 90; 90 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Thread of the request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thid: Option<String>,
    /// What to add for people, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Takes a vouch back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeVouch {
    /// Its name.
    pub id: String,
}

/// A vouch that an agent gives or holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VouchInfo {
    /// Its name: the SHA-256 of its text, base64url.
    pub id: String,
    /// Whose it is to the agent: `given` or `held`.
    pub kind: String,
    /// Who vouches.
    pub voucher: String,
    /// For whom.
    pub vouched: String,
    /// For these protocols; empty: all.
    pub protocols: Vec<String>,
    /// So far.
    pub level: String,
    /// How many steps the vouches of the vouched count on the strength of this one.
    pub depth: u8,
    /// From when.
    pub from: String,
    /// Until when.
    pub until: String,
    /// `good`, `revoked` or `expired`, as far as the node knows.
    pub state: String,
    /// When the agent took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Of one that is held: whether it came unasked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
    /// Of one that is given: how many have asked whether it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub askers: Option<usize>,
    /// Of one that is held: the texts of the vouches by which others may believe its voucher.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Its text; only when one is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The vouches within reach of an agent's anchors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VouchGraph {
    /// The agent.
    pub agent: String,
    /// For which protocol levels and weights are computed.
    pub protocol: String,
    /// Who is in it, the anchors first.
    pub nodes: Vec<GraphNode>,
    /// The vouches.
    pub edges: Vec<GraphEdge>,
    /// Whether there are more than are listed.
    pub is_part: bool,
}

/// Somebody in a [`VouchGraph`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphNode {
    /// Who.
    pub did: String,
    /// How many vouches lie between it and an anchor; of an anchor none.
    pub distance: usize,
    /// How far vouches carry it.
    pub level: String,
}

/// A vouch in a [`VouchGraph`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphEdge {
    /// Its name.
    pub id: String,
    /// Who vouches.
    pub from: String,
    /// For whom.
    pub to: String,
    /// For these protocols; empty: all.
    pub protocols: Vec<String>,
    /// So far.
    pub level: String,
    /// How many steps further it carries.
    pub depth: u8,
    /// Until when.
    pub until: String,
    /// Whether it is known to hold at this moment: `good`, `revoked` or `unknown`.
    pub state: String,
    /// The part of its voucher's points that it passes on; absent when it passes on none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}
