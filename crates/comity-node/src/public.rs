//! The public listener: what peers may ask for. Envelopes in; DID documents, WebFinger and a sign
//! of life out. Nothing else answers here.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use comity_core::inbound::{Arrival, Outcome};
use comity_core::limits::ENVELOPE_BYTES_MAX;
use comity_core::log::{self, NoteKey, WitnessRefusal};
use comity_core::refusal::Refusal;
use comity_core::trust::WayIn;
use comity_didcomm::{DidDocument, ENCRYPTED_TYPE};
use comity_net::{BodyError, Handle, JRD_MEDIA_TYPE, Welcome, jrd, read_body};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};

use crate::home::Home;
use crate::identities::Identity;
use crate::inbound::receive_on;
use crate::ledger::{self, NotCosigned, Reader};
use crate::limits::{
    ADD_CHECKPOINT_BYTES_MAX, BODY_DEADLINE, ENVELOPES_ARRIVING_MAX, PUBLIC_SOCKETS_MAX,
    SOCKET_READ_BUFFER_BYTES, SOCKET_WRITE_BUFFER_BYTES,
};
use crate::problem::{ApiCode, ApiError, Charge};
use crate::relay::{self, Back};

mod places;

pub(crate) use places::{Place, Places};

/// Shows work (`docs/protocols/introduction.md`).
const WORK: HeaderName = HeaderName::from_static("comity-work");

#[derive(Clone)]
struct Public {
    home: Arc<Home>,
    arriving: Arc<Semaphore>,
    places: Places,
    sockets: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// Builds the routes of the public listener.
pub(crate) fn router(home: Arc<Home>, stopping: watch::Receiver<bool>) -> Router {
    let arriving = Arc::new(Semaphore::new(ENVELOPES_ARRIVING_MAX));
    let sockets = Arc::new(Semaphore::new(PUBLIC_SOCKETS_MAX));
    Router::new()
        .route("/didcomm", post(envelope).get(socket))
        .route("/.well-known/did.json", get(node_document))
        .route("/.well-known/did.jsonl", get(node_log))
        .route("/agents/{name}/did.json", get(agent_document))
        .route("/agents/{name}/did.jsonl", get(agent_log))
        .route("/.well-known/webfinger", get(webfinger))
        .route("/log/{id}/{*path}", get(log_resource))
        .route("/witness/add-checkpoint", post(add_checkpoint))
        .route("/witness/{origin}/checkpoint", get(cosigned))
        .route("/livez", get(|| async { "ok\n" }))
        .fallback(|| async { not_here() })
        .method_not_allowed_fallback(|| async {
            ApiError::of(ApiCode::MethodNotAllowed, "Post envelopes to /didcomm; get the rest")
        })
        .with_state(Public { home, arriving, places: Places::new(), sockets, stopping })
}

/// Takes an envelope (DIDComm v2.1, "HTTPS"): the answer is 202 once it is durable, and has no
/// body; or 200 with one envelope for a sender that asked for it (extension return_route).
async fn envelope(State(public): State<Public>, request: Request) -> Response {
    let Ok(arriving) = public.arriving.try_acquire() else { return refused(Refusal::Busy) };
    let (parts, body) = request.into_parts();
    let media_type = media_type(&parts.headers);
    let work = text(&parts.headers, &WORK);
    let envelope = match read_body(body, ENVELOPE_BYTES_MAX, BODY_DEADLINE).await {
        Ok(envelope) => envelope,
        Err(BodyError::TooLarge) => return refused(Refusal::TooLarge),
        Err(_) => {
            let hint = "Send it within 10 seconds";
            return ApiError::of(ApiCode::BodyIncomplete, hint).into_response();
        }
    };
    drop(arriving);
    let welcome = parts.extensions.get::<Welcome>().cloned().unwrap_or_default();
    let Some(place) = public.places.take(envelope.len(), welcome.was()) else {
        return refused(Refusal::Busy);
    };
    let arrival = Arrival { envelope: envelope.into(), media_type, way_in: WayIn::Direct, work };
    // A task of its own, so that a peer that hangs up does not stop what was begun.
    let home = Arc::clone(&public.home);
    let received = tokio::spawn(async move {
        // The place is taken for as long as the work goes on, not the request.
        let received = receive_on(&home, arrival, &Back::Response, &place).await;
        if let Some(is_welcome) = received.0.is_welcome() {
            welcome.set(is_welcome);
        }
        received
    });
    let received = received.await;
    match received.unwrap_or((Outcome::TurnedAway(Refusal::Busy), None)) {
        (Outcome::TurnedAway(refusal), _) => refused(refusal),
        (Outcome::Charged(challenge), _) => Charge(challenge).into_response(),
        (_, None) => StatusCode::ACCEPTED.into_response(),
        (_, Some(answer)) => ([(header::CONTENT_TYPE, ENCRYPTED_TYPE)], answer).into_response(),
    }
}

/// Opens a WebSocket (DIDComm v2.1, "WebSockets"): envelopes in, and answers to those who ask for
/// them on it.
async fn socket(
    State(public): State<Public>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let hint = "Post envelopes here, or ask for a WebSocket";
        return ApiError::of(ApiCode::MethodNotAllowed, hint).into_response();
    };
    let Ok(place) = Arc::clone(&public.sockets).try_acquire_owned() else {
        return refused(Refusal::Busy);
    };
    upgrade
        .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
        .write_buffer_size(SOCKET_WRITE_BUFFER_BYTES)
        .max_message_size(ENVELOPE_BYTES_MAX)
        .max_frame_size(ENVELOPE_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            relay::socket(public.home, socket, public.places, public.stopping).await;
            drop(place);
        })
}

fn refused(refusal: Refusal) -> Response {
    tracing::debug!(code = refusal.code(), "an envelope was turned away");
    ApiError::from(refusal).into_response()
}

async fn node_document(State(public): State<Public>) -> Response {
    match public.home.identities.by_did(&public.home.did) {
        Some(node) if node.did.method() == "web" => document(&node.document),
        _ => not_here(),
    }
}

async fn agent_document(State(public): State<Public>, Path(name): Path<String>) -> Response {
    match public.home.identities.by_name(&name) {
        Some(agent) if agent.did.method() == "web" => document(&agent.document),
        _ => not_here(),
    }
}

async fn agent_log(State(public): State<Public>, Path(name): Path<String>) -> Response {
    history(public.home.identities.by_name(&name).as_deref())
}

async fn node_log(State(public): State<Public>) -> Response {
    history(public.home.identities.by_did(&public.home.did).as_deref())
}

fn history(identity: Option<&Identity>) -> Response {
    match identity.and_then(|identity| identity.log.as_ref()) {
        Some(log) => ([(header::CONTENT_TYPE, "text/jsonl")], log.text.to_string()).into_response(),
        None => not_here(),
    }
}

fn document(document: &DidDocument) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/did+json")];
    (headers, document.to_json().to_string()).into_response()
}

/// Serves the node's log (C2SP tlog-tiles), to whom the operator lets.
async fn log_resource(
    State(public): State<Public>,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let home = &public.home;
    let is_ours = |key: &NoteKey| key.public().name().rsplit('/').next() == Some(id.as_str());
    let resource = path.parse::<log::Resource>().ok();
    let Some(resource) = resource.filter(|_| home.ledger.log_key().is_some_and(is_ours)) else {
        return not_here();
    };
    let token = text(&headers, &header::AUTHORIZATION);
    let reader = Reader::by_token(home, token.as_deref()).await;
    if !reader.is_some_and(|reader| reader.may_read(home.config.ledger.readers)) {
        let hint = "This log is for the node's counterparties, by a token: docs/protocols/log.md";
        return ApiError::of(ApiCode::Unauthorized, hint).into_response();
    }
    let (media_type, caching) = match resource {
        log::Resource::Checkpoint => ("text/plain; charset=utf-8", "no-cache"),
        _ => ("application/octet-stream", "max-age=31536000, immutable"),
    };
    match ledger::resource(home, resource).await {
        Ok(Some(bytes)) => {
            let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, caching)];
            (headers, bytes).into_response()
        }
        Ok(None) => not_here(),
        Err(fault) => ApiError::from(fault).into_response(),
    }
}

/// Serves the checkpoint of a counterparty's log that was cosigned last (C2SP tlog-witness): what its keeper
/// asks for when he starts.
async fn cosigned(State(public): State<Public>, Path(origin): Path<String>) -> Response {
    match ledger::cosigned(&public.home, &origin).await {
        Ok(Some(note)) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response()
        }
        Ok(None) => not_here(),
        Err(fault) => ApiError::from(fault).into_response(),
    }
}

/// Cosigns the checkpoint of a counterparty's log (C2SP tlog-witness).
async fn add_checkpoint(State(public): State<Public>, request: Request) -> Response {
    let Ok(_arriving) = public.arriving.try_acquire() else { return refused(Refusal::Busy) };
    let body = read_body(request.into_body(), ADD_CHECKPOINT_BYTES_MAX, BODY_DEADLINE).await;
    let body = body.ok().and_then(|body| String::from_utf8(body.into()).ok());
    let refusal = match ledger::add_checkpoint(&public.home, &body.unwrap_or_default()).await {
        Ok(Ok(lines)) => return lines.into_response(),
        Ok(Err(NotCosigned::Refused(refusal))) => refusal,
        Ok(Err(NotCosigned::Busy)) => return refused(Refusal::Busy),
        Err(fault) => return ApiError::from(fault).into_response(),
    };
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    match refusal {
        WitnessRefusal::Conflict { size } => {
            let media_type = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            (status, media_type, format!("{size}\n")).into_response()
        }
        refusal => (status, format!("{refusal}\n")).into_response(),
    }
}

#[derive(Deserialize)]
struct Resource {
    resource: String,
}

/// Answers WebFinger (RFC 7033) for `acct:name@host` of this home's agents.
async fn webfinger(
    State(public): State<Public>,
    resource: Result<Query<Resource>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(Resource { resource })) = resource else {
        let hint = "Ask for ?resource=acct:name@host";
        return ApiError::of(ApiCode::BadRequest, hint).into_response();
    };
    let Ok(handle) = Handle::parse_resource(&resource) else { return not_here() };
    let Some(agent) = public.home.identities.by_name(handle.name()) else { return not_here() };
    if !public.home.public_url.ends_with(&format!("//{}", authority(&handle))) {
        return not_here();
    }
    let headers = [(header::CONTENT_TYPE, JRD_MEDIA_TYPE)];
    (headers, jrd(&handle, &agent.did).to_string()).into_response()
}

fn authority(handle: &Handle) -> String {
    match handle.port() {
        Some(port) => format!("{}:{port}", handle.host()),
        None => handle.host().to_owned(),
    }
}

fn not_here() -> Response {
    ApiError::of(ApiCode::NotFound, "Check the spelling").into_response()
}

fn media_type(headers: &HeaderMap) -> String {
    text(headers, &header::CONTENT_TYPE).unwrap_or_default()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
