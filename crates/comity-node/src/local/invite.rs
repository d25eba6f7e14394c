//! Makes invitations (Out-of-Band 2.0): links by which somebody can write to an agent of this node,
//! or register with it as a relay.
//!
//! An agent's invitation admits nobody: whoever answers it is a stranger like any other, whose
//! first message waits for the operator. One to the relay does: it is a row, and whoever names its
//! id may register.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use comity_core::api::{Invite, Invited, Problem, rfc3339};
use comity_core::limits::REASON_CHARS_MAX;
use comity_core::relay;
use comity_didcomm::invitation::Invitation;
use comity_didcomm::{Did, MessageId};
use comity_store::{Batch, CommitError, records};

use super::Local;
use super::auth::no_such_agent;
use super::extract::JsonBody;
use crate::home::Home;
use crate::limits::{INVITATION_S_DEFAULT, INVITATION_S_MAX, INVITATION_USES_MAX};
use crate::problem::{ApiCode, ApiError};

/// Goal code of an invitation to a relay, as wallets know it.
const GOAL_MEDIATION: &str = "request-mediate";

/// Scheme of an invitation of a node that has no address of its own.
const BASE: &str = "didcomm://invite";

/// Makes an invitation: to write to an agent, or to use this node as a relay.
#[utoipa::path(post, path = "/admin/invitations", tag = "admin", security(("token" = [])), request_body = Invite,
    responses((status = 201, body = Invited), (status = "default", body = Problem)))]
pub(crate) async fn invite(
    State(local): State<Local>,
    JsonBody(request): JsonBody<Invite>,
) -> Result<(StatusCode, Json<Invited>), ApiError> {
    let home = &local.home;
    let bad = |title: &str, hint: &str| ApiError::new(ApiCode::BadRequest, title, hint);
    for text in [&request.goal, &request.goal_code].into_iter().flatten() {
        if REASON_CHARS_MAX < text.chars().count() {
            return Err(bad("The goal is too long", "Say it in at most 500 characters"));
        }
    }
    if request.expires_in_s.is_some_and(|s| s == 0 || INVITATION_S_MAX < s) {
        return Err(bad("The invitation lives too long or not at all", "Give at most a year"));
    }
    if home.endpoint().is_none() {
        let hint = "Start the node with --public-url, --via or --dev, so that it can be written to";
        return Err(ApiError::of(ApiCode::NoPublicUrl, hint));
    }
    let mut invitation = match &request.agent {
        Some(name) => {
            if request.uses.is_some() {
                let hint = "Leave uses out, or leave agent out for an invitation to the relay";
                return Err(bad("An agent's invitation may be used by everybody", hint));
            }
            let agent = home.identities.by_name(name).ok_or_else(no_such_agent)?;
            new(agent.did.clone())
        }
        None => new(home.did.clone()),
    };
    invitation.goal = request.goal;
    invitation.goal_code = request.goal_code;
    let now = home.now();
    invitation.created_time = Some(now);
    invitation.expires_time = request.expires_in_s.map(|s| now.saturating_add(s));
    if request.agent.is_none() {
        admit_to_relay(home, &mut invitation, request.uses.unwrap_or(1)).await?;
    }
    let base = base(home);
    let url = invitation
        .to_url(&base)
        .map_err(|error| bad(&error.to_string(), "Say the goal in fewer words"))?;
    let invited = Invited {
        id: invitation.id.as_str().to_owned(),
        from: invitation.from.to_string(),
        url,
        expires_at: invitation.expires_time.map(rfc3339),
    };
    Ok((StatusCode::CREATED, Json(invited)))
}

/// Stores an invitation to the relay: whoever names its id may register, so often.
async fn admit_to_relay(
    home: &Home,
    invitation: &mut Invitation,
    uses_left: u32,
) -> Result<(), ApiError> {
    if home.config.relay.is_none() {
        return Err(ApiError::of(ApiCode::NoRelay, "Start the node with --relay"));
    }
    if uses_left == 0 || INVITATION_USES_MAX < uses_left {
        let hint = "Give a number from 1 to 10000";
        return Err(ApiError::new(ApiCode::BadRequest, "That is no number of uses", hint));
    }
    let default = home.now().saturating_add(INVITATION_S_DEFAULT);
    let expires = *invitation.expires_time.get_or_insert(default);
    invitation.goal_code.get_or_insert_with(|| GOAL_MEDIATION.to_owned());
    let row = relay::Invitation { id: invitation.id.as_str().to_owned(), expires, uses_left };
    let mut batch = Batch::new();
    records::relay::invite(&mut batch, &row);
    match home.store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Fault(fault)) => Err(fault.into()),
        Err(CommitError::Conflict(_)) => Err(ApiError::of(ApiCode::Fault, "See the node's log")),
    }
}

fn new(from: Did) -> Invitation {
    Invitation::new(MessageId::random(&mut rand::rng()), from)
}

/// Returns the address that the link begins with: the node's own, or its relay's.
fn base(home: &Home) -> String {
    let own = Some(&home.public_url).filter(|url| !url.is_empty()).cloned();
    let base = own.or_else(|| home.via.as_ref()?.relay_url());
    base.map_or_else(|| BASE.to_owned(), |url| format!("{url}/"))
}
