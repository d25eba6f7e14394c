//! The admin API: how the work of an agent and of others ended, as both sides say.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comity_core::api::{
    AgreeOutcome, Evidence, ImportedOutcomes, OutcomeFile, OutcomeInfo, OutcomeRecord, Problem,
    ProposeOutcome, ShowOutcomes, ShownOutcomes, rfc3339,
};
use comity_core::trust::reputation::Standings;
use comity_core::trust::{TokenId, Work, subject};
use comity_store::records::outcomes::{self as rows, Agreed, Proposed, Side};
use comity_store::records::relations;
use serde::Deserialize;

use super::Local;
use super::admin::find;
use super::extract::{JsonBody, Params};
use crate::limits::OUTCOMES_EXPORTED_CHARS_MAX;
use crate::outbound;
use crate::outcomes::{self, belief};
use crate::problem::ApiError;

/// Proposes how a piece of work ended.
#[utoipa::path(post, path = "/admin/agents/{name}/outcomes", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = ProposeOutcome,
    responses((status = 201, body = OutcomeInfo), (status = "default", body = Problem)))]
pub(crate) async fn propose(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(wish): JsonBody<ProposeOutcome>,
) -> Result<(StatusCode, Json<OutcomeInfo>), ApiError> {
    let agent = find(&local.home, &name)?;
    let proposed = outcomes::propose(&local.home, &agent, &wish).await?;
    Ok((StatusCode::CREATED, Json(describe_proposed(&proposed))))
}

/// Agrees to what the other side proposes.
#[utoipa::path(post, path = "/admin/agents/{name}/outcomes/agree", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = AgreeOutcome,
    responses((status = 200, body = OutcomeInfo), (status = "default", body = Problem)))]
pub(crate) async fn agree(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(AgreeOutcome { id }): JsonBody<AgreeOutcome>,
) -> Result<Json<OutcomeInfo>, ApiError> {
    let agent = find(&local.home, &name)?;
    let agreed = outcomes::agree(&local.home, &agent, &id).await?;
    Ok(Json(describe_agreed(&agreed, "agreed")))
}

/// Lists what is proposed, agreed and shown, the newest first.
#[utoipa::path(get, path = "/admin/agents/{name}/outcomes", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [OutcomeInfo]), (status = 404, body = Problem)))]
pub(crate) async fn outcomes(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<OutcomeInfo>>, ApiError> {
    let agent = find(&local.home, &name)?;
    let store = local.home.store.as_ref();
    let proposals = rows::proposals(store, &agent.did).await?;
    let own = rows::own(store, &agent.did).await?;
    let shown = rows::shown(store, &agent.did).await?;
    let mut listed: Vec<OutcomeInfo> = proposals.iter().map(describe_proposed).collect();
    listed.extend(own.iter().map(|one| describe_agreed(one, "agreed")));
    listed.extend(shown.iter().map(|one| describe_agreed(one, "shown")));
    listed.sort_by(|one, other| other.at.cmp(&one.at));
    Ok(Json(listed))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// DID or handle.
    who: String,
}

/// Computes somebody's record, as the agent's operator believes it.
#[utoipa::path(get, path = "/admin/agents/{name}/outcomes/record", tag = "admin", security(("token" = [])), params(Whose, ("name" = String, Path)),
    responses((status = 200, body = OutcomeRecord), (status = "default", body = Problem)))]
pub(crate) async fn record(
    State(local): State<Local>,
    Path(name): Path<String>,
    Params(Whose { who }): Params<Whose>,
) -> Result<Json<OutcomeRecord>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let did = subject(&outbound::resolve_who(home, &who).await?);
    let anchors = relations::anchors(home.store.as_ref(), &agent.did, home.now()).await?;
    let belief = belief(home, &agent.did, &anchors).await?;
    let records = belief.records();
    let standing = Standings::new(&records, &home.vouches.book(), home.now()).of(&did);
    let counts = records.get(&did).copied().unwrap_or_default();
    let of_it = belief.weighed.iter().filter(|(one, _)| one.work.worker.same_subject(&did));
    let evidence = of_it.map(|(agreed, weight)| {
        let state = if agreed.work.is_party(&agent.did) { "agreed" } else { "shown" };
        Evidence { outcome: describe_agreed(agreed, state), weight: *weight }
    });
    Ok(Json(OutcomeRecord {
        did: did.to_string(),
        accepted: counts.accepted,
        done: counts.done,
        refused: counts.refused,
        disputed: counts.disputed,
        expired: counts.expired,
        standing: standing.as_f64(),
        evidence: evidence.collect(),
    }))
}

/// Gives the agent's own outcomes to be carried elsewhere, the newest first.
#[utoipa::path(get, path = "/admin/agents/{name}/outcomes/export", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = OutcomeFile), (status = 404, body = Problem)))]
pub(crate) async fn export(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<OutcomeFile>, ApiError> {
    let agent = find(&local.home, &name)?;
    let store = local.home.store.as_ref();
    let mut own = rows::own(store, &agent.did).await?;
    own.sort_by_key(|one| Reverse(one.work.at));
    let mut all = Vec::new();
    for agreed in own {
        all.extend(rows::tokens(store, &agent.did, &agreed.work).await?);
    }
    Ok(Json(fit(all, OUTCOMES_EXPORTED_CHARS_MAX)))
}

/// Packs as many as there is room for, from the first.
fn fit(mut outcomes: Vec<[String; 2]>, chars_max: usize) -> OutcomeFile {
    let mut chars = 0;
    let fits = |tokens: &&[String; 2]| {
        chars += tokens.iter().map(String::len).sum::<usize>();
        chars <= chars_max
    };
    let count = outcomes.iter().take_while(fits).count();
    let left_out = outcomes.len() - count;
    outcomes.truncate(count);
    OutcomeFile { outcomes, left_out }
}

/// Takes outcomes that were exported elsewhere; each is verified.
#[utoipa::path(post, path = "/admin/agents/{name}/outcomes/import", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = OutcomeFile,
    responses((status = 200, body = ImportedOutcomes), (status = "default", body = Problem)))]
pub(crate) async fn import(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(OutcomeFile { outcomes, .. }): JsonBody<OutcomeFile>,
) -> Result<Json<ImportedOutcomes>, ApiError> {
    let agent = find(&local.home, &name)?;
    Ok(Json(outcomes::import(&local.home, &agent, &outcomes).await?))
}

/// Shows somebody the agent's newest outcomes.
#[utoipa::path(post, path = "/admin/agents/{name}/outcomes/show", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = ShowOutcomes,
    responses((status = 200, body = ShownOutcomes), (status = "default", body = Problem)))]
pub(crate) async fn show(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(ShowOutcomes { who }): JsonBody<ShowOutcomes>,
) -> Result<Json<ShownOutcomes>, ApiError> {
    let agent = find(&local.home, &name)?;
    Ok(Json(outcomes::show(&local.home, &agent, &who).await?))
}

fn describe_proposed(proposed: &Proposed) -> OutcomeInfo {
    let state = match proposed.side {
        Side::Ours => "ours",
        Side::Theirs => "theirs",
    };
    OutcomeInfo {
        comment: proposed.comment.clone(),
        ..describe(proposed.id, &proposed.work, state)
    }
}

fn describe_agreed(agreed: &Agreed, state: &str) -> OutcomeInfo {
    describe(agreed.id, &agreed.work, state)
}

fn describe(id: TokenId, work: &Work, state: &str) -> OutcomeInfo {
    OutcomeInfo {
        id: id.to_string(),
        state: state.to_owned(),
        worker: work.worker.to_string(),
        client: work.client.to_string(),
        thid: work.thid.clone(),
        protocol: work.protocol.to_string(),
        outcome: work.outcome.to_string(),
        at: rfc3339(work.at),
        comment: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_that_is_too_large_says_how_many_it_left_out() {
        let outcomes = |chars: &[usize]| -> Vec<_> {
            chars.iter().map(|chars| [String::new(), "x".repeat(*chars)]).collect()
        };
        assert_eq!(
            fit(outcomes(&[4, 6]), 10),
            OutcomeFile { outcomes: outcomes(&[4, 6]), left_out: 0 }
        );
        let file = fit(outcomes(&[4, 7, 1]), 10);
        assert_eq!(file, OutcomeFile { outcomes: outcomes(&[4]), left_out: 2 });
        assert_eq!(
            serde_json::to_value(fit(Vec::new(), 10)).unwrap(),
            serde_json::json!({ "outcomes": [] })
        );
    }
}
