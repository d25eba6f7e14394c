//! The admin API: agents, decisions about others, status, checks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comity_core::api::{
    AddAgent, AgentInfo, CheckResult, Decide, HANDED_OVER, NodeInfo, Problem, Relation, Resolved,
    Rotate, Status, Trace, parse_rfc3339, rfc3339,
};
use comity_core::event::Decider;
use comity_core::limits::{ANCHOR_S_MAX, NOTE_CHARS_MAX};
use comity_core::refusal::Refusal;
use comity_core::trust::{Direction, Entry, EntryKind, Level, Limits, Policy, Whom};
use comity_didcomm::did::webvh::Metadata;
use comity_didcomm::{DidUrl, ProtocolId, UnixTime};
use comity_store::records::{mailbox, relations};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Local;
use super::agents::{info, traces};
use super::auth::no_such_agent;
use super::extract::{JsonBody, Params};
use crate::decide::{self, Settled};
use crate::doctor;
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::ENTRIES_MAX;
use crate::node::{self, Whose};
use crate::outbound;
use crate::problem::{ApiCode, ApiError};

/// Lists the agents.
#[utoipa::path(get, path = "/admin/agents", tag = "admin", security(("token" = [])), responses((status = 200, body = [AgentInfo])))]
pub(crate) async fn agents(State(local): State<Local>) -> Json<Vec<AgentInfo>> {
    let agents = local.home.identities.agents();
    Json(agents.iter().map(|agent| info(&local.home, agent)).collect())
}

/// Shows an agent.
#[utoipa::path(get, path = "/admin/agents/{name}", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = AgentInfo), (status = 404, body = Problem)))]
pub(crate) async fn agent(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<AgentInfo>, ApiError> {
    Ok(Json(info(&local.home, &*find(&local.home, &name)?)))
}

/// Adds an agent; the answer is the only one that holds its token.
#[utoipa::path(post, path = "/admin/agents", tag = "admin", security(("token" = [])), request_body = AddAgent,
    responses((status = 201, body = AgentInfo), (status = "default", body = Problem)))]
pub(crate) async fn add_agent(
    State(local): State<Local>,
    JsonBody(request): JsonBody<AddAgent>,
) -> Result<(StatusCode, Json<AgentInfo>), ApiError> {
    let (agent, token) = node::add_agent(&local.home, &request).await?;
    let mut info = info(&local.home, &agent);
    info.token = Some(token);
    Ok((StatusCode::CREATED, Json(info)))
}

/// Lists the requests of strangers that wait for a decision.
#[utoipa::path(get, path = "/admin/agents/{name}/requests", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [Relation]), (status = 404, body = Problem)))]
pub(crate) async fn requests(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Relation>>, ApiError> {
    let agent = find(&local.home, &name)?;
    let waiting = mailbox::requests(local.home.store.as_ref(), &agent.did).await?;
    let relation = |waiting: mailbox::Waiting| Relation {
        did: waiting.held.request.did.to_string(),
        protocols: vec![waiting.held.request.protocol.to_string()],
        until: Some(rfc3339(waiting.held.request.until)),
        state: "pending".to_owned(),
        ..Relation::default()
    };
    Ok(Json(waiting.into_iter().map(relation).collect()))
}

/// Lists an agent's decisions about others.
#[utoipa::path(get, path = "/admin/agents/{name}/allowed", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [Relation]), (status = 404, body = Problem)))]
pub(crate) async fn allowed(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Relation>>, ApiError> {
    let agent = find(&local.home, &name)?;
    let mut entries = Vec::new();
    for direction in [Direction::In, Direction::Out] {
        let store = local.home.store.as_ref();
        entries.extend(relations::entries(store, &agent.did, direction, ENTRIES_MAX).await?);
    }
    Ok(Json(entries.iter().map(|entry| describe(&local.home, entry)).collect()))
}

/// Allows somebody; a message that waits as a request is handed over.
#[utoipa::path(post, path = "/admin/agents/{name}/allow", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = Decide,
    responses((status = 200, body = Relation), (status = "default", body = Problem)))]
pub(crate) async fn allow(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(decision): JsonBody<Decide>,
) -> Result<Json<Relation>, ApiError> {
    decided(&local, &name, decision, EntryKind::Allow).await
}

/// Denies somebody; a message that waits as a request is refused.
#[utoipa::path(post, path = "/admin/agents/{name}/deny", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = Decide,
    responses((status = 200, body = Relation), (status = "default", body = Problem)))]
pub(crate) async fn deny(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(decision): JsonBody<Decide>,
) -> Result<Json<Relation>, ApiError> {
    decided(&local, &name, decision, EntryKind::Deny).await
}

/// Takes a permission back.
#[utoipa::path(post, path = "/admin/agents/{name}/revoke", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = Decide,
    responses((status = 200, body = Relation), (status = "default", body = Problem)))]
pub(crate) async fn revoke(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(decision): JsonBody<Decide>,
) -> Result<Json<Relation>, ApiError> {
    decided(&local, &name, decision, EntryKind::Revoke).await
}

/// Replaces an agent's keys by new ones.
#[utoipa::path(post, path = "/admin/agents/{name}/rotate", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = Rotate,
    responses((status = 200, body = AgentInfo), (status = "default", body = Problem)))]
pub(crate) async fn rotate(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(Rotate { compromised }): JsonBody<Rotate>,
) -> Result<Json<AgentInfo>, ApiError> {
    let agent = change_keys(&local, Whose::Agent(name), compromised).await?;
    Ok(Json(info(&local.home, &agent)))
}

/// Replaces the node's own keys by new ones.
#[utoipa::path(post, path = "/admin/rotate", tag = "admin", security(("token" = [])), request_body = Rotate,
    responses((status = 200, body = NodeInfo), (status = "default", body = Problem)))]
pub(crate) async fn rotate_node(
    State(local): State<Local>,
    JsonBody(Rotate { compromised }): JsonBody<Rotate>,
) -> Result<Json<NodeInfo>, ApiError> {
    let node = change_keys(&local, Whose::Node, compromised).await?;
    Ok(Json(NodeInfo {
        did: node.did.to_string(),
        signing_key: node.signing_kid().to_string(),
        version_id: node.log.as_ref().map(|log| log.history.latest_version_id().to_owned()),
    }))
}

async fn change_keys(
    local: &Local,
    whose: Whose,
    compromised: bool,
) -> Result<Arc<Identity>, ApiError> {
    let reason = if compromised { node::Reason::Compromised } else { node::Reason::Routine };
    let home = Arc::clone(&local.home);
    // A task of its own: a caller who hangs up does not leave the store and the memory apart.
    let rotated = tokio::spawn(async move { node::rotate(&home, &whose, reason).await });
    rotated.await.map_err(|_| ApiError::of(ApiCode::Fault, "See the node's log"))?
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Who {
    /// DID, handle or invitation; a DID may ask for a version with `versionId`, `versionTime` or
    /// `versionNumber`.
    who: String,
}

/// Resolves a DID, a handle or an invitation.
#[utoipa::path(get, path = "/admin/resolve", tag = "admin", security(("token" = [])), params(Who),
    responses((status = 200, body = Resolved), (status = "default", body = Problem)))]
pub(crate) async fn resolve(
    State(local): State<Local>,
    Params(Who { who }): Params<Who>,
) -> Result<Json<Resolved>, ApiError> {
    let url = match DidUrl::parse(&who) {
        Ok(url) => url,
        Err(_) => outbound::resolve_who(&local.home, &who).await?.into(),
    };
    let version = local.home.resolver.resolve_at(&url).await.map_err(|error| {
        let hint = "Check the spelling; http and loopback addresses need --dev on this node";
        ApiError::new(ApiCode::Unresolvable, &format!("The document cannot be had: {error}"), hint)
    })?;
    Ok(Json(Resolved {
        did: url.did().to_string(),
        document: version.document.to_json(),
        metadata: version.metadata.as_ref().map(metadata),
    }))
}

/// Writes what is known of a version as did:webvh 1.0 names it; numbers are texts there.
fn metadata(metadata: &Metadata) -> Value {
    json!({
        "versionId": metadata.version_id,
        "versionNumber": metadata.version_number,
        "versionTime": metadata.version_time,
        "created": metadata.created,
        "updated": metadata.updated,
        "scid": metadata.scid,
        "deactivated": metadata.deactivated,
        "portable": metadata.parameters.portable,
        "ttl": metadata.parameters.ttl_secs.to_string(),
    })
}

/// Shows how far a message got, as every agent of the node knows it.
#[utoipa::path(get, path = "/admin/trace/{id}", tag = "admin", security(("token" = [])), params(("id" = String, Path)), responses((status = 200, body = [Trace])))]
pub(crate) async fn trace(
    State(local): State<Local>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Trace>>, ApiError> {
    let mut found = Vec::new();
    for agent in local.home.identities.agents() {
        found.extend(traces(&local.home, &agent.did, &id).await?);
    }
    Ok(Json(found))
}

/// Counts what the node holds and does.
#[utoipa::path(get, path = "/admin/status", tag = "admin", security(("token" = [])), responses((status = 200, body = Status), (status = 503, body = Problem)))]
pub(crate) async fn status(State(local): State<Local>) -> Result<Json<Status>, ApiError> {
    Ok(Json(doctor::status(&local.home, local.started).await?))
}

/// Checks what can go wrong.
#[utoipa::path(get, path = "/admin/checks", tag = "admin", security(("token" = [])), responses((status = 200, body = [CheckResult])))]
pub(crate) async fn checks(State(local): State<Local>) -> Json<Vec<CheckResult>> {
    Json(doctor::checks(&local.home).await)
}

pub(super) fn find(home: &Home, name: &str) -> Result<Arc<Identity>, ApiError> {
    home.identities.by_name(name).ok_or_else(no_such_agent)
}

async fn decided(
    local: &Local,
    name: &str,
    decision: Decide,
    kind: EntryKind,
) -> Result<Json<Relation>, ApiError> {
    let home = &local.home;
    let agent = find(home, name)?;
    let whom = match decision.who.parse::<Whom>() {
        Ok(whom) => whom,
        // No handle begins so, and nobody is looked up for it.
        Err(_) if BEGIN_NO_HANDLE.iter().any(|begin| decision.who.starts_with(begin)) => {
            let hint = "Give a DID or a handle; or for many *@host, *@*.domain (in lower case) or credential:TYPE@ISSUER";
            return Err(ApiError::new(ApiCode::BadRequest, "That names nobody", hint));
        }
        Err(_) => Whom::Did(outbound::resolve_who(home, &decision.who).await?),
    };
    let entry = entry(&home.policies.of(&agent.name), whom, kind, decision, home.now())?;
    match decide::settle(home, &agent.did, &entry, Decider::Admin).await? {
        Settled::EntriesFull => {
            let hint = "Take some back: comity allowed, then comity revoke";
            Err(ApiError::of(ApiCode::EntriesFull, hint))
        }
        Settled::MailboxFull => {
            let hint = "Let the agent take its messages first, then decide again";
            Err(ApiError::of(ApiCode::MailboxFull, hint))
        }
        Settled::OtherKeys => {
            let title = "The request came with other keys than the contact had";
            let hint =
                "Ask them by other means, then: comity contacts approve WHO, and decide again";
            Err(ApiError::new(ApiCode::OtherKeys, title, hint))
        }
        Settled::Changed => Err(ApiError::of(ApiCode::Changed, "Decide again: nothing was stored")),
        Settled::Done(fate) => {
            let word =
                |fate: Result<(), Refusal>| fate.map_or_else(Refusal::code, |()| HANDED_OVER);
            let request = fate.map(word).map(str::to_owned);
            Ok(Json(Relation { request, ..describe(home, &entry) }))
        }
    }
}

const BEGIN_NO_HANDLE: [&str; 3] = ["*", "credential:", "did:"];

/// Reads a decision; what it leaves out is chosen so that it does what its words say.
fn entry(
    policy: &Policy,
    whom: Whom,
    kind: EntryKind,
    decision: Decide,
    now: UnixTime,
) -> Result<Entry, ApiError> {
    let bad = |title: &str, hint: &str| ApiError::new(ApiCode::BadRequest, title, hint);
    let protocols = decision.protocols.iter().map(|piuri| piuri.parse::<ProtocolId>());
    let protocols: Vec<_> = protocols.collect::<Result<_, _>>().map_err(|_| {
        bad("That is not a protocol identifier", "Give a URI such as https://example.org/offer/1.0")
    })?;
    let time = |text: &Option<String>| match text {
        Some(text) => parse_rfc3339(text)
            .map(Some)
            .ok_or_else(|| bad("That is not a date", "Give YYYY-MM-DD or a time as in RFC 3339")),
        None => Ok(None),
    };
    let (from, until) = (time(&decision.from)?, time(&decision.until)?);
    let level = match &decision.level {
        Some(word) => word
            .parse()
            .map_err(|_| bad("That is not a level", "Give introduced, message, task or execute"))?,
        None => policy.level_for(&protocols),
    };
    if level == Level::Blocked {
        return Err(bad("That level allows nothing", "To forbid it: comity deny"));
    }
    if NOTE_CHARS_MAX < decision.note.chars().count() {
        return Err(bad("The note is too long", "Use at most 200 characters"));
    }
    let direction = if decision.outbound { Direction::Out } else { Direction::In };
    if decision.outbound && (decision.anchor || decision.tasks_open.is_some()) {
        let hint = "An anchor and open tasks are about what they send: leave out --out";
        return Err(bad("That has no meaning on the way out", hint));
    }
    if decision.anchor && from.is_some() {
        let hint = "Leave out --from, and make it an anchor when it is to be one";
        return Err(bad("An anchor is one from now on", hint));
    }
    if decision.anchor && whom.did().is_none() {
        return Err(bad("An anchor is one party", "Name it by its DID or handle"));
    }
    let entry = Entry { direction, note: decision.note, ..Entry::new(whom, kind, now) };
    let entry = Entry { salt: rand::random(), ..entry };
    if kind != EntryKind::Allow {
        // It is about everything, until it is taken back.
        return Ok(entry);
    }
    // Whoever vouches for others is looked at again after a while.
    let latest = decision.anchor.then(|| now.saturating_add(ANCHOR_S_MAX));
    let until = match (until, latest) {
        (Some(until), Some(latest)) => Some(until.min(latest)),
        (until, latest) => until.or(latest),
    };
    let limits = Limits {
        messages_per_day: decision.messages_per_day,
        bytes_per_day: decision.bytes_per_day,
        tasks_open: decision.tasks_open,
    };
    Ok(Entry { protocols, level, anchor: decision.anchor, from, until, limits, ..entry })
}

fn describe(home: &Home, entry: &Entry) -> Relation {
    let Limits { messages_per_day, bytes_per_day, tasks_open } = entry.limits;
    Relation {
        did: entry.whom.to_string(),
        protocols: entry.protocols.iter().map(ToString::to_string).collect(),
        until: entry.until.map(rfc3339),
        state: entry.state(home.now()).to_owned(),
        level: (entry.kind == EntryKind::Allow).then(|| entry.level.as_str().to_owned()),
        outbound: entry.direction == Direction::Out,
        anchor: entry.anchor,
        from: entry.from.map(rfc3339),
        messages_per_day,
        bytes_per_day,
        tasks_open,
        note: entry.note.clone(),
        request: None,
    }
}
