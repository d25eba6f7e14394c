//! The admin API of the node's log and of evidence.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_core::api::{
    Forget, Forgotten, LogContradiction, LogResource, LogStatus, LogWitness, OtherLog, Problem,
    StatementInfo, parse_rfc3339, rfc3339,
};
use comity_core::evidence::{BUNDLE_FORMAT, Bundle};
use comity_core::log::{Act, Checkpoint, Resource, Statement};
use comity_core::trust::subject;
use comity_didcomm::UnixTime;
use comity_store::Batch;
use comity_store::records::log::{self, peers};
use comity_store::records::notices::Debts;
use serde::Deserialize;

use super::Local;
use super::admin::find;
use super::extract::{JsonBody, Params};
use crate::config::Readers;
use crate::home::Home;
use crate::ledger::{self, About, Bodies, NoExport, Wish};
use crate::limits::{FORGOTTEN_AT_ONCE, LOGS_KNOWN_MAX, STATEMENTS_READ};
use crate::outbound;
use crate::problem::{ApiCode, ApiError};

/// Says how the log is.
#[utoipa::path(get, path = "/admin/log", tag = "admin", security(("token" = [])),
    responses((status = 200, body = LogStatus), (status = "default", body = Problem)))]
pub(crate) async fn status(State(local): State<Local>) -> Result<Json<LogStatus>, ApiError> {
    let home = &local.home;
    let keys = home.ledger.log_key().zip(home.ledger.witness_key()).ok_or_else(no_log)?;
    let latest = ledger::checkpoint_now(home).await?;
    let checkpoint = latest.map(|latest| latest.note).unwrap_or_default();
    let signers = Checkpoint::parse(&checkpoint).map_or(0, |read| read.note().signers().count());
    let store = home.store.as_ref();
    let mut witnesses = Vec::new();
    for asked in ledger::asked(home).await? {
        let cosigned = peers::cosigned(store, &asked.key, keys.0.public()).await?;
        witnesses.push(LogWitness { key: asked.key.to_string(), url: asked.url, cosigned });
    }
    let others = peers::all(store, LOGS_KNOWN_MAX).await?;
    Ok(Json(LogStatus {
        key: keys.0.public().to_string(),
        witness_key: keys.1.public().to_string(),
        size: store.frontier().await?.size(),
        checkpoint,
        cosignatures: signers.saturating_sub(1),
        readers: match home.config.ledger.readers {
            Readers::Counterparties => "counterparties",
            Readers::Everyone => "everyone",
            Readers::Nobody => "nobody",
        }
        .to_owned(),
        witnesses,
        others: others.into_iter().map(other).collect(),
    }))
}

fn other(log: peers::PeerLog) -> OtherLog {
    let contradiction = |one: peers::Contradiction| LogContradiction {
        finding: one.finding.as_str().to_owned(),
        at: rfc3339(one.at),
        first: one.first,
        second: one.second,
    };
    OtherLog {
        node: log.node.to_string(),
        key: log.key.to_string(),
        cosigned: log.witnessed.map(|witnessed| witnessed.size),
        cosigned_at: log.witnessed_at.map(rfc3339),
        contradictions: log.contradictions.into_iter().map(contradiction).collect(),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct At {
    /// Path of the resource under the log's prefix, such as `tile/0/000`.
    path: String,
}

/// Reads a resource of the log, whoever may read it over the network.
#[utoipa::path(get, path = "/admin/log/resource", tag = "admin", security(("token" = [])), params(At),
    responses((status = 200, body = LogResource), (status = "default", body = Problem)))]
pub(crate) async fn resource(
    State(local): State<Local>,
    Params(At { path }): Params<At>,
) -> Result<Json<LogResource>, ApiError> {
    let hint = "Paths are as in C2SP tlog-tiles: checkpoint, tile/0/000, tile/entries/000";
    let absent = || ApiError::of(ApiCode::NotFound, hint);
    let resource: Resource = path.parse().map_err(|_| absent())?;
    if resource == Resource::Checkpoint {
        ledger::checkpoint_now(&local.home).await?;
    }
    let content = ledger::resource(&local.home, resource).await?.ok_or_else(absent)?;
    Ok(Json(LogResource { path, content: STANDARD.encode(content) }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Last {
    /// How many, at most 1,024.
    count: Option<u64>,
}

/// Lists the last statements of an agent, oldest first.
#[utoipa::path(get, path = "/admin/agents/{name}/statements", tag = "admin", security(("token" = [])), params(("name" = String, Path), Last),
    responses((status = 200, body = [StatementInfo]), (status = "default", body = Problem)))]
pub(crate) async fn statements(
    State(local): State<Local>,
    Path(name): Path<String>,
    Params(Last { count }): Params<Last>,
) -> Result<Json<Vec<StatementInfo>>, ApiError> {
    let home = &local.home;
    let did = find(home, &name)?.did.clone();
    let store = home.store.as_ref();
    let count = count.unwrap_or(20).min(STATEMENTS_READ as u64);
    let end = log::end(store, &did).await?;
    let from = (end.seq + 1).saturating_sub(count).max(1);
    let mut infos = Vec::new();
    for recorded in log::statements(store, &did, from, STATEMENTS_READ).await? {
        let statement = serde_json::from_str(&recorded.text).unwrap_or_default();
        let kept = log::kept(store, recorded.index).await?.is_some();
        infos.push(StatementInfo { seq: recorded.seq, index: recorded.index, statement, kept });
    }
    Ok(Json(infos))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The thread.
    thread: Option<String>,
    /// With whom: a DID or a handle.
    with: Option<String>,
    /// From this day or time on.
    since: Option<String>,
    /// Until this day or time.
    until: Option<String>,
    /// Whether the signed messages themselves are shown; true when absent.
    bodies: Option<bool>,
}

/// Gathers evidence: a bundle of one export (`docs/protocols/evidence.md`).
#[utoipa::path(get, path = "/admin/agents/{name}/evidence", tag = "admin", security(("token" = [])), params(("name" = String, Path), Wanted),
    responses((status = 200, content_type = "application/json"), (status = "default", body = Problem)))]
pub(crate) async fn evidence(
    State(local): State<Local>,
    Path(name): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let about = about(home, &wanted).await?;
    let bodies = match wanted.bodies {
        Some(false) => Bodies::Withheld,
        _ => Bodies::Shown,
    };
    let part = ledger::export(home, &agent, &Wish { about, bodies }).await.map_err(no_export)?;
    let bundle = Bundle { format: BUNDLE_FORMAT.to_owned(), parts: vec![part] };
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((media_type, bundle.to_text()).into_response())
}

async fn about(home: &Home, wanted: &Wanted) -> Result<About, ApiError> {
    let bad = |title, hint| ApiError::new(ApiCode::BadRequest, title, hint);
    let time = |text: &Option<String>, default| match text {
        None => Ok(default),
        Some(text) => parse_rfc3339(text)
            .ok_or_else(|| bad("That is not a date", "Give YYYY-MM-DD or a time as in RFC 3339")),
    };
    match (&wanted.thread, &wanted.with, &wanted.since, &wanted.until) {
        (Some(thread), None, None, None) => Ok(About::Thread(thread.clone())),
        (None, Some(who), None, None) => {
            Ok(About::With(subject(&outbound::resolve_who(home, who).await?)))
        }
        (None, None, since, until) if since.is_some() || until.is_some() => {
            let since = time(since, UnixTime(0))?;
            Ok(About::Between(since, time(until, home.now())?))
        }
        _ => Err(bad("What is wanted is not clear", "Give a thread, or with whom, or since when")),
    }
}

/// Erases the texts of messages, with the salts of their digests; the log still verifies.
#[utoipa::path(post, path = "/admin/agents/{name}/forget", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = Forget,
    responses((status = 200, body = Forgotten), (status = "default", body = Problem)))]
pub(crate) async fn forget(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(wish): JsonBody<Forget>,
) -> Result<Json<Forgotten>, ApiError> {
    let home = &local.home;
    let did = find(home, &name)?.did.clone();
    let with = match &wish.with {
        Some(who) => Some(subject(&outbound::resolve_who(home, who).await?)),
        None => None,
    };
    let given = [wish.id.is_some(), wish.thread.is_some(), with.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let hint = "Give the id of a message, or a thread, or with whom";
        return Err(ApiError::new(ApiCode::BadRequest, "What to forget is not clear", hint));
    }
    let is_meant = |one: &Statement| {
        let is_message = matches!(one.act, Act::Sent | Act::Received);
        let is_id = wish.id.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(&one.id));
        let is_thread = wish.thread.as_ref() == Some(&one.thid);
        is_message && (is_id || is_thread || with.as_ref() == Some(&one.peer))
    };
    let (mut erased, mut from) = (0, 1);
    loop {
        let page = log::statements(home.store.as_ref(), &did, from, FORGOTTEN_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(Json(Forgotten { erased })) };
        from = last.seq + 1;
        let mut batch = Batch::new();
        for recorded in &page {
            let is_meant = Statement::parse(&recorded.text).as_ref().is_some_and(is_meant);
            if is_meant && log::kept(home.store.as_ref(), recorded.index).await?.is_some() {
                log::forget_kept(&mut batch, recorded.index);
                erased += 1;
            }
        }
        if !batch.is_empty() {
            let _always_durable = home.commit(batch, Debts::new(), None).await?;
        }
    }
}

fn no_log() -> ApiError {
    ApiError::of(ApiCode::NoLog, "Set ledger.kept = true in comity.toml, and start it again")
}

fn no_export(error: NoExport) -> ApiError {
    match error {
        NoExport::Fault(fault) => fault.into(),
        NoExport::NoLog => no_log(),
        NoExport::Nothing => {
            let hint = "See comity log tail --as NAME for what it says";
            ApiError::of(ApiCode::NoEvidence, hint)
        }
        NoExport::TooMuch => {
            let hint = "Ask for less at a time: --since and --until";
            ApiError::of(ApiCode::TooMuchEvidence, hint)
        }
    }
}
