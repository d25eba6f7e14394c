//! The admin API of the relay role: who is granted mediation, and ending that.

use axum::Json;
use axum::extract::State;
use comity_core::api::{EndRegistration, Problem, Registration, rfc3339};
use comity_didcomm::Did;
use comity_store::records::relay::{self, GrantInfo};
use comity_store::{Batch, CommitError};
use serde::Deserialize;

use super::Local;
use super::extract::{JsonBody, Params};
use crate::limits::{CONFLICTS_MAX, REGISTRATIONS_LISTED_MAX};
use crate::problem::{ApiCode, ApiError};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// DID of the last one of the page before.
    after: Option<String>,
}

/// Lists who is registered with this relay, at most 1000 a page.
#[utoipa::path(get, path = "/admin/relay/registrations", tag = "admin", security(("token" = [])), params(After),
    responses((status = 200, body = [Registration]), (status = "default", body = Problem)))]
pub(crate) async fn registrations(
    State(local): State<Local>,
    Params(After { after }): Params<After>,
) -> Result<Json<Vec<Registration>>, ApiError> {
    let after = after.as_deref().map(parse).transpose()?;
    let store = local.home.store.as_ref();
    let grants = relay::list_grants(store, after.as_ref(), REGISTRATIONS_LISTED_MAX).await?;
    Ok(Json(grants.iter().map(describe).collect()))
}

/// Ends a registration; the answer is what it was. What waits stays for the recipients themselves
/// until it expires.
#[utoipa::path(post, path = "/admin/relay/remove", tag = "admin", security(("token" = [])), request_body = EndRegistration,
    responses((status = 200, body = Registration), (status = "default", body = Problem)))]
pub(crate) async fn remove(
    State(local): State<Local>,
    JsonBody(EndRegistration { did }): JsonBody<EndRegistration>,
) -> Result<Json<Registration>, ApiError> {
    let (home, did) = (&local.home, parse(&did)?);
    let store = home.store.as_ref();
    for _attempt in 0..CONFLICTS_MAX {
        let Some(registrant) = relay::registrant(store, &did).await? else {
            let hint = "See who is: comity relay list";
            return Err(ApiError::new(ApiCode::NotFound, "Nobody is registered as that", hint));
        };
        let info = relay::grant_info(store, registrant).await?;
        let mut batch = Batch::new();
        relay::end_grant(store, &mut batch, &info.registrant, home.now()).await?;
        match store.commit(batch).await {
            Ok(_) => {
                tracing::info!(registrant = %did, "the operator ended a registration");
                return Ok(Json(describe(&info)));
            }
            // Its recipients changed in this moment: look again.
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault.into()),
        }
    }
    Err(ApiError::of(ApiCode::Fault, "The registration keeps changing; try again"))
}

fn parse(did: &str) -> Result<Did, ApiError> {
    let hint = "Give the DID as comity relay list shows it";
    did.parse().map_err(|_| ApiError::new(ApiCode::BadRequest, "That is not a DID", hint))
}

fn describe(info: &GrantInfo) -> Registration {
    Registration {
        did: info.registrant.did.to_string(),
        granted_at: rfc3339(info.registrant.granted_at),
        used_at: rfc3339(info.used_at),
        invitation: info.registrant.invitation.clone(),
        recipients: info.recipients,
        messages: info.waiting.messages,
        bytes: info.waiting.bytes,
    }
}
