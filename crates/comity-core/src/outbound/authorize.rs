//! Step 2: may it go. What an agent may say is bounded by the home: size, deadline, and the home's
//! own protocols.

use super::{Addressed, Submission, Unsendable};
use crate::Context;
use crate::limits::{BODY_BYTES_MAX, EXPIRES_S_DEFAULT, EXPIRES_S_MAX};
use crate::protocol::attached_tokens::{AttachedTokens, TokenKind};
use crate::protocol::{RECEIPT, is_for_home};
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
    /// What the sender shows besides, put there by its home.
    pub(super) carries: AttachedTokens,
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
    // An agent that is fenced in does not keep its home from asking what it has to know.
    let (meters, level) = match !is_agents && is_for_home(&submission.type_) {
        true => (Vec::new(), fence.policy.required(submission.type_.protocol())),
        false => may_write(&addressed.passage(), size_bytes, fence, context.now)?,
    };
    // What the home says shows nothing besides, and tokens that are there are what they are.
    let has_tokens = submission.attachments.iter().any(|one| TokenKind::of(one).is_some());
    let carries = match is_agents && !has_tokens {
        true => fence.carries.clone(),
        false => AttachedTokens::default(),
    };
    Ok(Authorized { addressed, expires, meters, level, carries })
}
