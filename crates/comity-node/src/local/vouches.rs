//! The admin API: vouches that an agent gives and holds, and the graph of those around its anchors.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comity_core::api::{
    AskVouch, GiveVouch, GraphEdge, GraphNode, Problem, RevokeVouch, SendAnswer, VouchGraph,
    VouchInfo, rfc3339,
};
use comity_core::limits::{DAY_S, REASON_CHARS_MAX, SCOPE_MAX, VOUCH_LIFE_S_MAX};
use comity_core::protocol::vouch::VouchMessage;
use comity_core::trust::score::Chart;
use comity_core::trust::{
    BookWeb, Direction, Level, TokenId, Vouch, VouchBook, VouchTerms, subject,
};
use comity_didcomm::{Did, ProtocolId, UnixTime};
use comity_store::records::vouches::{Given, Held, Wish};
use comity_store::records::{relations, vouches as rows};
use serde::Deserialize;

use super::Local;
use super::admin::find;
use super::extract::{JsonBody, Params};
use super::trust::protocol_of;
use crate::home::Home;
use crate::limits::{ENTRIES_MAX, GRAPH_EDGES_MAX};
use crate::outcomes;
use crate::problem::{ApiCode, ApiError};
use crate::vouches::{self, GiveError, Wanted};
use crate::{identities::Identity, outbound};

/// Vouches for somebody; the vouch is sent to whom it is about.
#[utoipa::path(post, path = "/admin/agents/{name}/vouches", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = GiveVouch,
    responses((status = 201, body = VouchInfo), (status = "default", body = Problem)))]
pub(crate) async fn give_vouch(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(wish): JsonBody<GiveVouch>,
) -> Result<(StatusCode, Json<VouchInfo>), ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let days = wish.days.unwrap_or(VOUCH_LIFE_S_MAX / DAY_S);
    if days == 0 || VOUCH_LIFE_S_MAX / DAY_S < days {
        return Err(bad("A vouch does not hold so long", "Give 1 to 90 days"));
    }
    let now = home.now();
    let level = level(wish.level.as_deref())?;
    // Who may have work done by a vouch does not hand that on, unless it is meant (ADR 0027).
    let depth = if level <= Level::Message { 2 } else { 0 };
    let terms = VouchTerms {
        scope: protocols(&wish.protocols)?,
        level,
        depth: wish.depth.unwrap_or(depth),
        from: now,
        until: now.saturating_add(days * DAY_S),
        urn: format!("urn:uuid:{}", uuid::Uuid::now_v7()),
        subject: outbound::resolve_who(home, &wish.who).await?,
    };
    let comment = comment(wish.comment)?;
    let wanted = Wanted { terms, thid: wish.thid, comment };
    let given = vouches::give(home, &agent, wanted).await.map_err(|error| match error {
        GiveError::Full => ApiError::of(ApiCode::TooManyVouches, "See comity vouch list"),
        GiveError::Store(fault) => fault.into(),
        GiveError::Terms(error) => {
            let hint = "Give at most 32 protocols, a depth of 0 to 3, and somebody else's DID";
            ApiError::new(ApiCode::BadRequest, &format!("It would be no vouch: {error}"), hint)
        }
    })?;
    Ok((StatusCode::CREATED, Json(describe_given(home, &agent, &given))))
}

/// Asks somebody to vouch for an agent.
#[utoipa::path(post, path = "/admin/agents/{name}/vouches/ask", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = AskVouch,
    responses((status = 200, body = SendAnswer), (status = "default", body = Problem)))]
pub(crate) async fn ask_vouch(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(wish): JsonBody<AskVouch>,
) -> Result<Json<SendAnswer>, ApiError> {
    let agent = find(&local.home, &name)?;
    let (scope, level) = (protocols(&wish.protocols)?, level(wish.level.as_deref())?);
    let request = VouchMessage::Request { scope, level, comment: comment(wish.comment)? };
    Ok(Json(vouches::ask_for(&local.home, &agent, wish.who, request).await?))
}

/// Lists the vouches that an agent gives and holds.
#[utoipa::path(get, path = "/admin/agents/{name}/vouches", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [VouchInfo]), (status = 404, body = Problem)))]
pub(crate) async fn vouches(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<VouchInfo>>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let store = home.store.as_ref();
    let given = rows::all_given(store, &agent.did).await?;
    let held = rows::held(store, &agent.did).await?;
    let given = given.iter().map(|given| describe_given(home, &agent, given));
    let held = held.iter().map(|held| describe_held(home, held));
    Ok(Json(given.chain(held).collect()))
}

/// Shows a vouch that an agent gives or holds, with its text.
#[utoipa::path(get, path = "/admin/agents/{name}/vouches/{id}", tag = "admin", security(("token" = [])), params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = VouchInfo), (status = 404, body = Problem)))]
pub(crate) async fn vouch(
    State(local): State<Local>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<VouchInfo>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let (store, id) = (home.store.as_ref(), id.parse().map_err(|_| no_such_vouch())?);
    if let Some(given) = rows::given(store, &agent.did, id).await? {
        let askers = rows::askers(store, &agent.did, id).await?.len();
        let info = describe_given(home, &agent, &given);
        return Ok(Json(VouchInfo { askers: Some(askers), token: Some(given.token), ..info }));
    }
    let held = rows::held(store, &agent.did).await?;
    let held = held.into_iter().find(|held| held.id == id).ok_or_else(no_such_vouch)?;
    let info = describe_held(home, &held);
    Ok(Json(VouchInfo { token: Some(held.token), path: held.path, ..info }))
}

/// Takes a vouch back; those who asked about it are told.
#[utoipa::path(post, path = "/admin/agents/{name}/vouches/revoke", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = RevokeVouch,
    responses((status = 200, body = VouchInfo), (status = "default", body = Problem)))]
pub(crate) async fn revoke_vouch(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(RevokeVouch { id }): JsonBody<RevokeVouch>,
) -> Result<Json<VouchInfo>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let id = id.parse().map_err(|_| no_such_vouch())?;
    let given = vouches::revoke(home, &agent.did, id).await?.ok_or_else(no_such_vouch)?;
    Ok(Json(describe_given(home, &agent, &given)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct For {
    /// Protocol identifier; that of basic messages when absent.
    protocol: Option<String>,
}

/// Shows who vouches for whom around an agent's anchors, as far as the node knows.
#[utoipa::path(get, path = "/admin/agents/{name}/graph", tag = "admin", security(("token" = [])), params(For, ("name" = String, Path)),
    responses((status = 200, body = VouchGraph), (status = "default", body = Problem)))]
pub(crate) async fn graph(
    State(local): State<Local>,
    Path(name): Path<String>,
    Params(For { protocol }): Params<For>,
) -> Result<Json<VouchGraph>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let (protocol, now) = (protocol_of(protocol.as_deref())?, home.now());
    let anchors = relations::anchors(home.store.as_ref(), &agent.did, now).await?;
    let book = home.vouches.book();
    let standings = outcomes::standings(home, &agent.did, &anchors, &book).await?;
    let entries =
        relations::entries(home.store.as_ref(), &agent.did, Direction::In, ENTRIES_MAX).await?;
    let web = book.web(&protocol, &standings, &entries, now);
    let (nodes, edges, is_part) = draw((&book, &web), &anchors, &protocol, now);
    let (agent, protocol) = (agent.did.to_string(), protocol.to_string());
    Ok(Json(VouchGraph { agent, protocol, nodes, edges, is_part }))
}

fn draw(
    (book, web): (&VouchBook, &BookWeb<'_>),
    anchors: &BTreeSet<Did>,
    protocol: &ProtocolId,
    now: UnixTime,
) -> (Vec<GraphNode>, Vec<GraphEdge>, bool) {
    let chart = Chart::draw(web, anchors, now);
    let levels: BTreeMap<&Did, Level> = chart.levels().collect();
    let shares: BTreeMap<(&Did, &Did), f64> =
        chart.shares().map(|(from, to, share)| ((from, to), share)).collect();
    let around = book.around(anchors, now);
    let is_part = GRAPH_EDGES_MAX < around.len();
    let mut distances: BTreeMap<Did, usize> = anchors.iter().map(|did| (did.clone(), 0)).collect();
    let mut edges = Vec::new();
    for (before, vouch) in around.into_iter().take(GRAPH_EDGES_MAX) {
        let (from, to) = (subject(vouch.issuer()), subject(&vouch.terms().subject));
        let edge = edge(vouch, (&from, &to), book, now);
        let is_good = edge.state == "good" && vouch.covers(protocol);
        let weight = shares.get(&(&from, &to)).copied().filter(|_| is_good);
        edges.push(GraphEdge { weight, ..edge });
        distances.entry(to).or_insert(before + 1);
    }
    let mut nodes: Vec<_> = distances.iter().collect();
    nodes.sort_by_key(|(_, distance)| **distance);
    let node = |(did, distance): (&Did, &usize)| GraphNode {
        did: did.to_string(),
        distance: *distance,
        level: levels.get(did).copied().unwrap_or(Level::Blocked).to_string(),
    };
    (nodes.into_iter().map(node).collect(), edges, is_part)
}

fn edge(vouch: &Vouch, (from, to): (&Did, &Did), book: &VouchBook, now: UnixTime) -> GraphEdge {
    let terms = vouch.terms();
    GraphEdge {
        id: vouch.id().to_string(),
        from: from.to_string(),
        to: to.to_string(),
        protocols: terms.scope.iter().map(ToString::to_string).collect(),
        level: terms.level.to_string(),
        depth: terms.depth,
        until: rfc3339(terms.until),
        state: book.state(vouch.id(), now).as_str().to_owned(),
        weight: None,
    }
}

fn describe_given(home: &Home, agent: &Identity, given: &Given) -> VouchInfo {
    VouchInfo {
        kind: "given".to_owned(),
        revoked_at: given.revoked_at.map(rfc3339),
        ..describe(home, given.id, &agent.did, &given.terms, given.revoked_at.is_some())
    }
}

fn describe_held(home: &Home, held: &Held) -> VouchInfo {
    VouchInfo {
        kind: "held".to_owned(),
        unasked: held.wish == Wish::Unasked,
        ..describe(home, held.id, &held.voucher, &held.terms, false)
    }
}

fn describe(
    home: &Home,
    id: TokenId,
    voucher: &Did,
    terms: &VouchTerms,
    is_revoked: bool,
) -> VouchInfo {
    let state = match (is_revoked, terms.until <= home.now()) {
        (true, _) => "revoked",
        (false, true) => "expired",
        (false, false) => "good",
    };
    VouchInfo {
        id: id.to_string(),
        kind: String::new(),
        voucher: voucher.to_string(),
        vouched: terms.subject.to_string(),
        protocols: terms.scope.iter().map(ToString::to_string).collect(),
        level: terms.level.to_string(),
        depth: terms.depth,
        from: rfc3339(terms.from),
        until: rfc3339(terms.until),
        state: state.to_owned(),
        revoked_at: None,
        unasked: false,
        askers: None,
        path: Vec::new(),
        token: None,
    }
}

fn protocols(texts: &[String]) -> Result<Vec<ProtocolId>, ApiError> {
    if SCOPE_MAX < texts.len() {
        return Err(bad("A vouch is for fewer protocols, or for all", "Give at most 32"));
    }
    texts.iter().map(|text| protocol_of(Some(text))).collect()
}

fn level(word: Option<&str>) -> Result<Level, ApiError> {
    let level = word.map_or(Ok(Level::Message), str::parse).ok();
    level
        .filter(|level| *level != Level::Blocked)
        .ok_or_else(|| bad("That is not a level", "Give introduced, message, task or execute"))
}

fn comment(text: Option<String>) -> Result<Option<String>, ApiError> {
    if text.as_ref().is_some_and(|text| REASON_CHARS_MAX < text.chars().count()) {
        return Err(bad("The comment is too long", "Use at most 500 characters"));
    }
    Ok(text)
}

fn bad(title: &str, hint: &str) -> ApiError {
    ApiError::new(ApiCode::BadRequest, title, hint)
}

fn no_such_vouch() -> ApiError {
    ApiError::of(ApiCode::NoSuchVouch, "See comity vouch list")
}
