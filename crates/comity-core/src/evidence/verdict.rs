//! What a bundle proves: what [`verify`](super::verify) answers, for programs and for people.

use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::bundle::{BundleError, Selection};

/// What is to be thought of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The result in a word.
    pub outcome: Outcome,
    /// Why it is malformed, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
    /// Pieces that cannot both be true.
    pub contradictions: Vec<Contradiction>,
    /// What would be needed to prove all of it.
    pub missing: Vec<String>,
    /// The messages, in the order of their threads.
    pub messages: Vec<MessageSeen>,
    /// The exports.
    pub exports: Vec<ExportSeen>,
    /// The keys on which all of it rests. Whoever relies on the verdict compares them with what their
    /// owners publish.
    pub rests_on: Vec<Root>,
}

/// The result of verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is proven.
    Proven,
    /// It is no bundle.
    Malformed,
    /// Two pieces contradict each other: somebody changed something.
    Contradiction,
    /// All that is there is true, and something is missing.
    Insufficient,
}

impl Outcome {
    /// Returns the exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::Malformed => 1,
            Self::Contradiction => 2,
            Self::Insufficient => 3,
        }
    }
}

/// Two pieces that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// What is wrong.
    pub what: String,
    /// One piece.
    pub first: Piece,
    /// The other.
    pub second: Piece,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it is in the bundle.
    pub place: String,
    /// What it says.
    pub says: String,
}

/// A message, as the exports together show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSeen {
    /// Its id.
    pub id: String,
    /// Its thread.
    pub thid: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Who said it.
    pub from: Did,
    /// To whom.
    pub to: Did,
    /// The key that signed it; absent if the signed text is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What became of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyState>,
    /// When the sender's log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Times>,
    /// When the recipient's log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Times>,
    /// What the recipient's home signed about it.
    pub reached: Vec<Reached>,
    /// What let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
    /// The body of the message, untrusted text; absent if the signed text is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What became of the key that signed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Nothing is known but that it was its owner's.
    Good,
    /// It was replaced, and nothing shows whether before or after the message was in a log.
    NotToldApart,
    /// It was replaced later; the message was in a log before.
    ReplacedLater,
    /// It had been replaced before the message was in any log that is shown: it may be anybody's.
    ReplacedBefore,
}

/// When something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// What the node says, by its own clock.
    pub claimed: UnixTime,
    /// It was not in the log at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Bound>,
    /// It was in the log at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Bound>,
}

/// A time, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The time.
    pub at: UnixTime,
    /// The witness whose clock it is.
    pub witness: String,
    /// Its key, a vkey.
    pub key: String,
}

/// How far a message got, as a receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reached {
    /// The state.
    pub state: String,
    /// When, by the clock of the signer.
    pub at: UnixTime,
    /// Who signed it.
    pub by: Did,
    /// With `refused`: the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What let a message in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The ground.
    pub ground: String,
    /// The decision or grant before it, by its number in the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What that says, if it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSeen {
    /// Whose it is.
    pub agent: Did,
    /// Name of the log.
    pub log: String,
    /// What was selected.
    pub selection: Selection,
    /// The first and the last number of the chain that is accounted for.
    pub numbers: (u64, u64),
    /// How many statements are shown.
    pub shown: usize,
    /// How many are not; their links tell that they belong to something else.
    pub withheld: usize,
}

/// A key on which a verdict rests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root {
    /// Whose it is said to be.
    pub of: String,
    /// The key.
    pub key: String,
    /// Why it is believed.
    pub because: String,
}

impl Verdict {
    /// Says that there is no bundle.
    pub(super) fn malformed(error: &BundleError) -> Self {
        Self {
            outcome: Outcome::Malformed,
            malformed: Some(error.to_string()),
            contradictions: Vec::new(),
            missing: Vec::new(),
            messages: Vec::new(),
            exports: Vec::new(),
            rests_on: Vec::new(),
        }
    }
}
