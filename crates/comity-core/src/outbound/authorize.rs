//! Step 2: may it go. What an agent may say is bounded by the home: size, deadline, the home's own
//! protocols, and the operator's fence.
//!
//! It is decided before step 1 asks for a document: to look somebody up tells others something too,
//! and an agent that is fenced in could say in a DID what it may not say in a message.

use super::address::Way;
use super::{Addressed, Submission, Unsendable};
use crate::Context;
use crate::admission::Pass;
use crate::limits::{BODY_BYTES_MAX, EXPIRES_S_DEFAULT, EXPIRES_S_MAX};
use crate::protocol::attached_tokens::{AttachedTokens, TokenKind};
use crate::protocol::{ADMISSION, GRANT, RECEIPT};
use crate::record::OutgoingKind;
use crate::trust::{Fence, Level, Meter, Passage, may_write};
use comity_didcomm::UnixTime;

/// That a submission may go, and how: made before anybody is asked about its recipient.
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) expires: UnixTime,
    pub(super) meters: Vec<Meter>,
    pub(super) level: Level,
    /// What was decided about, and is counted.
    pub(super) size_bytes: usize,
    /// What the sender shows besides, put there by its home.
    pub(super) carries: AttachedTokens,
}

/// A submission that may go.
#[derive(Debug)]
pub struct Authorized {
    pub(super) addressed: Addressed,
    pub(super) permit: Permit,
    pub(super) pass: Passing,
}

/// Whether it has something to show at the recipient's mediator.
#[derive(Debug)]
pub(super) enum Passing {
    /// It goes through none, or there is nothing to show.
    Nothing,
    /// It does.
    Shows(Box<Pass>),
    /// It goes through one, and the shell has not said.
    Unknown,
}

impl Authorized {
    /// Whether what there is to show has still to be asked for.
    pub(super) const fn needs_pass(&self) -> bool {
        matches!(self.pass, Passing::Unknown)
    }

    /// Returns what is to be said.
    #[must_use]
    pub const fn submission(&self) -> &Submission {
        &self.addressed.submission
    }
}

pub(super) fn authorize(addressed: Addressed, permit: Permit) -> Authorized {
    let pass = match &addressed.way {
        Way::Out { route, .. } if !route.hops.is_empty() => Passing::Unknown,
        _ => Passing::Nothing,
    };
    Authorized { addressed, permit, pass }
}

pub(super) fn permit(
    submission: &Submission,
    fence: &Fence,
    context: &Context,
) -> Result<Permit, Unsendable> {
    let expires_in_s = submission.expires_in_s.unwrap_or(EXPIRES_S_DEFAULT);
    if expires_in_s == 0 || EXPIRES_S_MAX < expires_in_s {
        return Err(Unsendable::Deadline);
    }
    let expires = context.now.saturating_add(expires_in_s);
    // An agent's receipts would be believed, since it may speak for itself: only its home knows
    // what happened, and whom it knows at a relay. What is granted and revoked in its name is its
    // operator's to say.
    let protocol = submission.type_.protocol();
    let is = |known: &str| known.parse().is_ok_and(|known| protocol.matches(&known));
    let reserved = is(ADMISSION) || is(GRANT) || is(RECEIPT);
    if submission.kind == OutgoingKind::Message && reserved {
        return Err(Unsendable::ReservedType);
    }
    let body_bytes = serde_json::to_vec(&submission.body).map_or(usize::MAX, |json| json.len());
    let attachment_bytes =
        serde_json::to_vec(&submission.attachments).map_or(usize::MAX, |json| json.len());
    // What the home itself says is bounded where it is composed.
    let is_agents = submission.kind == OutgoingKind::Message;
    let size_bytes = body_bytes.saturating_add(attachment_bytes);
    if is_agents && BODY_BYTES_MAX < size_bytes {
        return Err(Unsendable::BodyTooLarge);
    }
    let (meters, level) = may_write(&passage(submission), size_bytes, fence, context.now)?;
    // All grants of a message are one chain: what is shown already stands alone.
    let mut carries = fence.carries.clone();
    if submission.attachments.iter().any(|one| TokenKind::of(one) == Some(TokenKind::Grant)) {
        carries.grants.clear();
    }
    Ok(Permit { expires, meters, level, size_bytes, carries })
}

/// Returns what the sender's operator may have bounds for.
pub(super) fn passage(submission: &Submission) -> Passage {
    let Submission { id, from, to, type_, thid, pthid, .. } = submission;
    Passage {
        id: id.as_str().to_owned(),
        from: from.clone(),
        to: to.clone(),
        protocol: type_.protocol().clone(),
        threads: thid.iter().chain(pthid).cloned().collect(),
    }
}
