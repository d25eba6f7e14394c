//! The agents' API over HTTP: send, receive, settle, trace.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use comity_core::api::{
    AgentInfo, Delivery, Disposition, DispositionAnswer, SendAnswer, SendRequest, SignedReceipt,
    SignedReceipts, Trace, TraceState, rfc3339,
};
use comity_core::receipt::{Rung, State as Reached};
use comity_didcomm::Did;
use comity_store::records::ladder::{Evidence, Ladder};
use comity_store::records::{MessageKey, ladder, mailbox};
use comity_store::{Seq, StoreFault};
use serde::{Deserialize, Serialize};

use super::Local;
use super::auth::Caller;
use super::extract::{JsonBody, Params};
use super::long_poll::{self, Fetch};
use crate::deliver;
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::HAND_OVER_MAX;
use crate::outbound;
use crate::problem::{ApiCode, ApiError};

/// Says who the agent is.
#[utoipa::path(get, path = "/v1/me", tag = "agents", security(("token" = [])),
    responses((status = 200, body = AgentInfo), (status = 401, body = comity_core::api::Problem)))]
pub(crate) async fn me(State(local): State<Local>, Caller(agent): Caller) -> Json<AgentInfo> {
    Json(info(&local.home, &agent))
}

/// Sends a message; it is durable when this answers. The same id with the same content is sent
/// once.
#[utoipa::path(post, path = "/v1/messages", tag = "agents", security(("token" = [])), request_body = SendRequest,
    responses((status = 200, body = SendAnswer), (status = "default", body = comity_core::api::Problem)))]
pub(crate) async fn send(
    State(local): State<Local>,
    Caller(agent): Caller,
    JsonBody(request): JsonBody<SendRequest>,
) -> Result<Json<SendAnswer>, ApiError> {
    // A task of its own: what was begun is finished, even if the caller hangs up.
    let sending = async move { outbound::send(&local.home, &agent.did, request).await };
    let answer = tokio::spawn(sending).await;
    Ok(Json(answer.map_err(|_| crashed())??))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Receive {
    /// Messages at most, 1 to 64.
    limit: Option<usize>,
    /// Seconds to wait for the first, at most 60.
    wait_s: Option<u64>,
    /// Only look: nothing is handed over.
    #[serde(default)]
    peek: bool,
    /// With `peek`: only messages whose `delivery` is larger.
    after: Option<u64>,
}

/// Messages for the agent.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Messages {
    messages: Vec<Delivery>,
}

/// Fetches messages; they come again after 60 seconds unless they are settled.
#[utoipa::path(get, path = "/v1/messages", tag = "agents", security(("token" = [])), params(Receive),
    responses((status = 200, body = Messages), (status = "default", body = comity_core::api::Problem)))]
pub(crate) async fn receive(
    State(local): State<Local>,
    Caller(agent): Caller,
    Params(query): Params<Receive>,
) -> Result<Json<Messages>, ApiError> {
    let home = &local.home;
    let fetch = match query.peek {
        true => Fetch::Peek { after: Seq(query.after.unwrap_or(0)) },
        false => Fetch::Lease(home.mailboxes.holder()),
    };
    let limit = query.limit.unwrap_or(HAND_OVER_MAX).clamp(1, HAND_OVER_MAX);
    let wait = Duration::from_secs(query.wait_s.unwrap_or(0));
    let handed = long_poll::messages(home, &agent, fetch, limit, wait).await?;
    let mut messages = Vec::with_capacity(handed.len());
    for message in &handed {
        messages.extend(deliver::delivery(home, message).await);
    }
    if !query.peek {
        deliver::record_received(home, &handed).await;
    }
    Ok(Json(Messages { messages }))
}

/// Acknowledges or refuses messages; doing it twice is harmless.
#[utoipa::path(post, path = "/v1/settle", tag = "agents", security(("token" = [])), request_body = Disposition,
    responses((status = 200, body = DispositionAnswer), (status = "default", body = comity_core::api::Problem)))]
pub(crate) async fn settle(
    State(local): State<Local>,
    Caller(agent): Caller,
    JsonBody(disposition): JsonBody<Disposition>,
) -> Result<Json<DispositionAnswer>, ApiError> {
    let settling = async move { deliver::settle(&local.home, &agent, &disposition).await };
    let settled = tokio::spawn(settling).await.map_err(|_| crashed())??;
    Ok(Json(DispositionAnswer { settled }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceQuery {
    /// Wait for this state, or for the end: `accepted`, `received`, `processed`.
    wait: Option<String>,
    /// Seconds to wait, at most 60.
    timeout_s: Option<u64>,
}

/// Tells how far a message got that the agent sent or received.
#[utoipa::path(get, path = "/v1/messages/{id}/trace", tag = "agents", security(("token" = [])), params(TraceQuery, ("id" = String, Path)),
    responses((status = 200, body = Trace), (status = "default", body = comity_core::api::Problem)))]
pub(crate) async fn trace(
    State(local): State<Local>,
    Caller(agent): Caller,
    Path(id): Path<String>,
    Params(query): Params<TraceQuery>,
) -> Result<Json<Trace>, ApiError> {
    if let Some(wait) = &query.wait {
        let wanted = Reached::ALL.into_iter().find(|state| state.as_str() == wait);
        let wanted = wanted.ok_or_else(|| {
            let hint = "Wait for accepted, received or processed";
            ApiError::new(ApiCode::BadRequest, "There is no such state", hint)
        })?;
        let message = MessageKey::sent(&agent.did, &id);
        let timeout = Duration::from_secs(query.timeout_s.unwrap_or(30));
        long_poll::state(&local.home, &agent, message, wanted, timeout).await?;
    }
    let traces = traces(&local.home, &agent.did, &id).await?;
    traces
        .into_iter()
        .next()
        .map(Json)
        .ok_or_else(|| ApiError::of(ApiCode::NoSuchMessage, "Ids are forgotten after 31 days"))
}

/// Returns what peers signed about a message that the agent sent: evidence that verifies offline.
#[utoipa::path(get, path = "/v1/messages/{id}/receipts", tag = "agents", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = SignedReceipts), (status = "default", body = comity_core::api::Problem)))]
pub(crate) async fn receipts(
    State(local): State<Local>,
    Caller(agent): Caller,
    Path(id): Path<String>,
) -> Result<Json<SignedReceipts>, ApiError> {
    let (home, message) = (&local.home, MessageKey::sent(&agent.did, &id));
    let mut receipts = Vec::new();
    for state in Reached::ALL {
        let jws = match ladder::evidence(home.store.as_ref(), message, state).await? {
            Some(Evidence::Sealed(sealed)) => home.open_shared(&sealed).map(|one| one.object),
            Some(Evidence::Text(jws)) => Some(jws),
            None => None,
        };
        if let Some(jws) = jws {
            receipts.push(SignedReceipt { state: state.as_str().to_owned(), jws });
        }
    }
    Ok(Json(SignedReceipts { receipts }))
}

/// Reads the ladders that an agent knows under an id: what it sent, and what it received.
pub(super) async fn traces(home: &Home, agent: &Did, id: &str) -> Result<Vec<Trace>, StoreFault> {
    let store = home.store.as_ref();
    let mut found = Vec::new();
    let sent = MessageKey::sent(agent, id);
    if let Some(ladder) = ladder::sent(store, sent).await? {
        found.push(Trace { working: home.transmitter.working(sent), ..describe(ladder) });
    }
    for message in mailbox::find_by_id(store, agent, id).await? {
        found.extend(ladder::received(store, message).await?.map(describe));
    }
    Ok(found)
}

fn describe(ladder: Ladder) -> Trace {
    Trace {
        id: ladder.id,
        from: ladder.sender.to_string(),
        to: ladder.recipient.to_string(),
        thid: ladder.thid,
        via: ladder.via.map(|via| via.to_string()),
        states: ladder.rungs.into_iter().map(trace_state).collect(),
        working: None,
    }
}

pub(super) fn trace_state(rung: Rung) -> TraceState {
    TraceState {
        state: rung.state.as_str().to_owned(),
        at: rfc3339(rung.at),
        by: rung.by.to_string(),
        log_index: rung.log_index,
        pending: rung.pending,
        code: rung.code,
        reason: rung.reason,
    }
}

pub(super) fn info(home: &Home, agent: &Identity) -> AgentInfo {
    let host = home.public_url.rsplit('/').next().unwrap_or_default();
    // Nobody can look up a name at a home that has no address.
    let handle = if host.is_empty() { String::new() } else { format!("{}@{host}", agent.name) };
    AgentInfo {
        name: agent.name.clone(),
        did: agent.did.to_string(),
        handle,
        signing_key: agent.signing_kid().to_string(),
        version_id: agent.log.as_ref().map(|log| log.history.latest_version_id().to_owned()),
        token: None,
    }
}

fn crashed() -> ApiError {
    ApiError::of(ApiCode::Fault, "Repeat it with the same id; see the node's log")
}
