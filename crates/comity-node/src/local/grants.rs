//! The admin API: the grants that an agent gives, hands on and holds.

use axum::Json;
use axum::extract::{Path, State};
use comity_core::api::{
    AddGrant, GiveGrant, GrantInfo, HandOnGrant, Problem, RevokeGrant, rfc3339,
};
use comity_core::trust::{GrantTerms, TokenId, subject};
use comity_didcomm::{Did, UnixTime};
use comity_store::records::grants::{self as rows, Given, Held};

use super::Local;
use super::admin::find;
use super::extract::JsonBody;
use crate::grants::{self, Outcome};
use crate::limits::ENTRIES_MAX;
use crate::problem::ApiError;

/// Lists the grants that an agent has given, and those that it holds.
#[utoipa::path(get, path = "/admin/agents/{name}/grants", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [GrantInfo]), (status = 404, body = Problem)))]
pub(crate) async fn list_grants(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<GrantInfo>>, ApiError> {
    let (store, now) = (local.home.store.as_ref(), local.home.now());
    let agent = find(&local.home, &name)?;
    let given = rows::given(store, &agent.did, ENTRIES_MAX).await?;
    let held = rows::held(store, &agent.did, ENTRIES_MAX).await?;
    let given = given.iter().map(|given| describe_given(given, &agent.did, now));
    Ok(Json(given.chain(held.iter().map(|held| describe_held(held, now))).collect()))
}

/// Gives somebody access to an agent.
#[utoipa::path(post, path = "/admin/agents/{name}/grants", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = GiveGrant,
    responses((status = 200, body = GrantInfo), (status = "default", body = Problem)))]
pub(crate) async fn give_grant(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(wish): JsonBody<GiveGrant>,
) -> Result<Json<GrantInfo>, ApiError> {
    let agent = find(&local.home, &name)?;
    let outcome = grants::give(&local.home, &agent, &wish).await?;
    Ok(Json(describe(outcome, &agent.did, local.home.now())))
}

/// Hands on a part of a grant that an agent holds.
#[utoipa::path(post, path = "/admin/agents/{name}/grants/hand-on", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = HandOnGrant,
    responses((status = 200, body = GrantInfo), (status = "default", body = Problem)))]
pub(crate) async fn hand_on_grant(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(HandOnGrant { id, give }): JsonBody<HandOnGrant>,
) -> Result<Json<GrantInfo>, ApiError> {
    let agent = find(&local.home, &name)?;
    let outcome = grants::hand_on(&local.home, &agent, &id, &give).await?;
    Ok(Json(describe(outcome, &agent.did, local.home.now())))
}

/// Takes back a grant that an agent gave or handed on.
#[utoipa::path(post, path = "/admin/agents/{name}/grants/revoke", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = RevokeGrant,
    responses((status = 200, body = GrantInfo), (status = "default", body = Problem)))]
pub(crate) async fn revoke_grant(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(RevokeGrant { id }): JsonBody<RevokeGrant>,
) -> Result<Json<GrantInfo>, ApiError> {
    let agent = find(&local.home, &name)?;
    let outcome = grants::revoke(&local.home, &agent, &id).await?;
    let info = describe(outcome, &agent.did, local.home.now());
    Ok(Json(GrantInfo { chain: Vec::new(), ..info }))
}

/// Keeps a grant that came by other means.
#[utoipa::path(post, path = "/admin/agents/{name}/grants/add", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = AddGrant,
    responses((status = 200, body = GrantInfo), (status = "default", body = Problem)))]
pub(crate) async fn add_grant(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(AddGrant { chain }): JsonBody<AddGrant>,
) -> Result<Json<GrantInfo>, ApiError> {
    let agent = find(&local.home, &name)?;
    let held = grants::add(&local.home, &agent, &chain).await?;
    Ok(Json(describe_held(&held, local.home.now())))
}

fn describe(outcome: Outcome, agent: &Did, now: UnixTime) -> GrantInfo {
    let Outcome { given, told, not_told } = outcome;
    let text = |dids: Vec<Did>| dids.iter().map(ToString::to_string).collect();
    let (told, not_told) = (text(told), text(not_told));
    let info = describe_given(&given, agent, now);
    GrantInfo { chain: given.chain, told, not_told, ..info }
}

fn describe_given(given: &Given, agent: &Did, now: UnixTime) -> GrantInfo {
    let kind = if given.chain.len() <= 1 { "given" } else { "handed-on" };
    let info = describe_terms(&given.terms, (given.id, &given.audience), agent, now);
    let state = if given.revoked_at.is_some() { "revoked".to_owned() } else { info.state };
    GrantInfo { kind: kind.to_owned(), state, ..info }
}

fn describe_held(held: &Held, now: UnixTime) -> GrantInfo {
    let info = describe_terms(&held.terms, (held.id, &held.audience), held.grantor(), now);
    GrantInfo { kind: "held".to_owned(), ..info }
}

fn describe_terms(
    terms: &GrantTerms,
    (id, audience): (TokenId, &Did),
    grantor: &Did,
    now: UnixTime,
) -> GrantInfo {
    let state = match (terms.until <= now, now < terms.from) {
        (true, _) => "expired",
        (_, true) => "planned",
        _ => "valid",
    };
    GrantInfo {
        id: id.to_string(),
        state: state.to_owned(),
        audience: subject(audience).to_string(),
        grantor: subject(grantor).to_string(),
        grantee: subject(&terms.grantee).to_string(),
        protocols: terms.scope.iter().map(ToString::to_string).collect(),
        level: terms.level.to_string(),
        from: rfc3339(terms.from),
        until: rfc3339(terms.until),
        depth: terms.depth,
        messages_per_day: terms.limits.messages_per_day,
        bytes_per_day: terms.limits.bytes_per_day,
        tasks_open: terms.limits.tasks_open,
        ..GrantInfo::default()
    }
}
