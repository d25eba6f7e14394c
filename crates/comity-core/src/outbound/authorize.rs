//! Step 2: may it go. What an agent may say is bounded by the home: size, deadline, and the home's
//! own protocols.

use super::{Addressed, Submission, Unsendable};
use crate::Context;
use crate::limits::{BODY_BYTES_MAX, EXPIRES_S_DEFAULT, EXPIRES_S_MAX};
use crate::protocol::RECEIPT;
use crate::record::OutgoingKind;
use crate::trust::{Fence, Level, Meter, may_write};
use comity_didcomm::UnixTime;

/// A submission that may go.
#[derive(Debug)]
pub struct Authorized {
    pub(super) addressed: Addressed,
    pub(super) expires: UnixTime,
    pub(super) meters: Vec<Meter>,
    pub(super) level: Level,
    /// What was decided about, and is counted.
    pub(super) size_bytes: usize,
}

impl Authorized {
    /// Returns what is to be said.
    #[must_use]
    pub const fn submission(&self) -> &Submission {
        &self.addressed.submission
    }
}

pub(super) fn authorize(
    addressed: Addressed,
    fence: &Fence,
    context: &Context,
) -> Result<Authorized, Unsendable> {
    let submission = &addressed.submission;
    let expires_in_s = submission.expires_in_s.unwrap_or(EXPIRES_S_DEFAULT);
    if expires_in_s == 0 || EXPIRES_S_MAX < expires_in_s {
        return Err(Unsendable::Deadline);
    }
    let expires = context.now.saturating_add(expires_in_s);
    // An agent's receipts would be believed, since it may speak for itself: only its home knows
    // what happened.
    let reserved = submission.type_.protocol().as_str() == RECEIPT;
    if submission.kind == OutgoingKind::Message && reserved {
        return Err(Unsendable::ReservedType);
    }
    let body_bytes = serde_json::to_vec(&submission.body).map_or(usize::MAX, |json| json.len());
    let attachment_bytes =
        serde_json::to_vec(&submission.attachments).map_or(usize::MAX, |json| json.len());
    // What the home itself says is bounded where it is composed.
    let is_agents = submission.kind == OutgoingKind::Message;
    if is_agents && BODY_BYTES_MAX < body_bytes.saturating_add(attachment_bytes) {
        return Err(Unsendable::BodyTooLarge);
    }
    let size_bytes = body_bytes.saturating_add(attachment_bytes);
    let (meters, level) = may_write(&addressed.passage(), size_bytes, fence, context.now)?;
    Ok(Authorized { addressed, expires, meters, level, size_bytes })
}
