//! Who calls: an agent by its token, or the operator by the admin token, who may also act as an
//! agent.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use comity_core::record::digest_text;

use super::Local;
use crate::identities::Identity;
use crate::problem::{ApiCode, ApiError};

/// Header by which the operator names the agent to act as.
const ACT_AS: &str = "comity-agent";

/// The agent on whose behalf a call is made.
pub(crate) struct Caller(pub(crate) Arc<Identity>);

impl FromRequestParts<Local> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, local: &Local) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(unauthorized)?;
        if let Some(agent) = local.home.identities.by_token(token) {
            return Ok(Self(agent));
        }
        if !is_admin(local, token) {
            return Err(unauthorized());
        }
        let name = parts.headers.get(ACT_AS).and_then(|name| name.to_str().ok());
        let name = name.ok_or_else(|| {
            let title = "The admin token needs the name of an agent to act as";
            ApiError::new(ApiCode::BadRequest, title, "Add the header comity-agent: NAME")
        })?;
        local.home.identities.by_name(name).map(Self).ok_or_else(no_such_agent)
    }
}

/// Lets only the operator through.
pub(crate) async fn require_admin(
    State(local): State<Local>,
    request: Request,
    next: Next,
) -> Response {
    match bearer(request.headers()) {
        Some(token) if is_admin(&local, token) => next.run(request).await,
        _ => unauthorized().into_response(),
    }
}

pub(crate) fn no_such_agent() -> ApiError {
    ApiError::of(ApiCode::NoSuchAgent, "See comity agent list")
}

/// Digests are compared, of 256 random bits: how long it takes tells nothing about the token.
fn is_admin(local: &Local, token: &str) -> bool {
    digest_text(token.as_bytes()) == *local.admin_digest
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorized() -> ApiError {
    let hint = "Use the token that comity agent add printed, or admin.token of the data directory";
    ApiError::of(ApiCode::Unauthorized, hint)
}
