//! Whom a recipient gives a token, and when: the decision, not the token.

use comity_didcomm::{PublicKey, UnixTime};
use serde::{Deserialize, Serialize};

use crate::limits::ADMISSION_REISSUE_S;
use crate::trust::Admission;

/// A token that was given to somebody: a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The key that it is bound to, in Multikey form.
    pub key: String,
    /// Generation of the key that signed it.
    pub generation: u32,
    /// When it was given.
    pub at: UnixTime,
    /// Until when it holds.
    pub expires: UnixTime,
}

/// Whether somebody has earned to be told from strangers at the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earned {
    /// Not by this.
    No,
    /// Yes.
    Yes,
}

impl Earned {
    /// Decides by the ground on which a message came into a mailbox: the operator's word, that of
    /// others whom he believes, or that the agent itself wrote to its sender first. What is let in for other reasons says nothing of
    /// who sends it.
    #[must_use]
    pub const fn by(admission: Admission) -> Self {
        match admission {
            Admission::AllowList
            | Admission::Approved
            | Admission::Grant
            | Admission::KnownForLong
            | Admission::Thread
            | Admission::Vouches => Self::Yes,
            Admission::HomeProtocol | Admission::OpenPolicy | Admission::OwnHome => Self::No,
        }
    }
}

impl Issued {
    /// Whether a relay that has the rule of this generation would take it now.
    #[must_use]
    pub fn is_good(&self, generation: u32, now: UnixTime) -> bool {
        self.generation == generation && now < self.expires
    }
}

/// Decides whether somebody who has earned it is given a token now, and for which key: the one that
/// it asks with or, when the recipient has changed its own key since, the one that it had asked with
/// before. However often somebody asks, there is one token an hour.
#[must_use]
pub fn issue(
    offered: Option<PublicKey>,
    issued: Option<&Issued>,
    generation: u32,
    now: UnixTime,
) -> Option<PublicKey> {
    let Some(issued) = issued else { return offered };
    if issued.generation == generation {
        let again = issued.at.saturating_add(ADMISSION_REISSUE_S);
        return offered.filter(|_| again <= now);
    }
    offered.or_else(|| PublicKey::from_multibase(&issued.key).ok())
}
