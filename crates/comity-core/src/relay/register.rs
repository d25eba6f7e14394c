//! Who may have messages taken: the decision about a `mediate-request`.

use comity_didcomm::{Did, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Register, RelayPolicy};
use crate::trust::subject;

/// Somebody whom the relay has granted mediation: a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrant {
    /// Who.
    pub did: Did,
    /// Since when.
    pub granted_at: UnixTime,
    /// By which invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
}

/// An invitation to register that this node has given out: a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Id of the out-of-band message; the `pthid` of the request that answers it.
    pub id: String,
    /// Until when it holds.
    pub expires: UnixTime,
    /// How many may still use it.
    pub uses_left: u32,
}

/// What the shell found about a `mediate-request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterFacts {
    /// The sender's grant, if it has one.
    pub registrant: Option<Registrant>,
    /// The invitation that the request's `pthid` names.
    pub invitation: Option<Invitation>,
    /// Where the answer goes.
    pub answer: AnswerGoes,
}

/// Where the answer to a `mediate-request` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerGoes {
    /// To the endpoint in the asker's document, which may be anybody's.
    Out,
    /// Back the way the question came.
    Back,
}

/// What is answered to a `mediate-request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No.
    Deny,
    /// Yes.
    Grant {
        /// Who is granted, in place of the grant that the policy no longer honours, if there was one.
        registrant: Registrant,
        /// The invitation that is used up by one.
        invitation: Option<Invitation>,
    },
    /// Yes, as before.
    Known,
}

/// Decides whether somebody may have messages taken here.
#[must_use]
pub fn register(
    sender: &Did,
    policy: Option<&RelayPolicy>,
    facts: &RegisterFacts,
    now: UnixTime,
) -> Decision {
    let Some(policy) = policy else { return Decision::Deny };
    let listed = policy.allow.iter().any(|did| did.same_subject(sender));
    let invitation = facts
        .invitation
        .clone()
        .filter(|invitation| now < invitation.expires && 0 < invitation.uses_left);
    if let Some(known) = &facts.registrant {
        // What was granted by an invitation stays granted; a policy that was narrowed since then
        // ends the rest.
        let stays = match policy.register {
            Register::Open => true,
            Register::Invitation => listed || known.invitation.is_some(),
            Register::AllowList => listed,
        };
        if stays {
            return Decision::Known;
        }
    }
    let grant = |invitation: Option<Invitation>| Decision::Grant {
        registrant: Registrant {
            did: subject(sender),
            granted_at: now,
            invitation: invitation.as_ref().map(|invitation| invitation.id.clone()),
        },
        invitation,
    };
    match policy.register {
        _ if listed => grant(None),
        // Whoever makes up DIDs would have us write to an endpoint once for each.
        Register::Open if facts.answer == AnswerGoes::Back => grant(None),
        Register::Invitation if invitation.is_some() => grant(invitation),
        Register::AllowList | Register::Invitation | Register::Open => Decision::Deny,
    }
}
