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
use comity_didcomm::invitation::Invitation;
use comity_didcomm::{Did, MessageId};

use super::Local;
use super::auth::no_such_agent;
use super::extract::JsonBody;
use crate::home::Home;
use crate::limits::INVITATION_S_MAX;
use crate::problem::{ApiCode, ApiError};

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

fn new(from: Did) -> Invitation {
    Invitation::new(MessageId::random(&mut rand::rng()), from)
}

/// Returns the address that the link begins with: the node's own, or its relay's.
fn base(home: &Home) -> String {
    let own = Some(&home.public_url).filter(|url| !url.is_empty()).cloned();
    let base = own.or_else(|| home.via.as_ref()?.relay_url());
    base.map_or_else(|| BASE.to_owned(), |url| format!("{url}/"))
}
