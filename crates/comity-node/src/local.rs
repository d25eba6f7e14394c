//! The local listener: the agents' API and the admin API. Loopback by default, a token for
//! everything.
//!
//! A page in the operator's browser can reach loopback too, so requests that a browser makes for a
//! page (an `Origin`) or for another name (DNS rebinding: a `Host` that is not ours) are refused
//! before any token is looked at.

mod admin;
mod agents;
mod auth;
mod events;
mod extract;
mod grants;
mod invite;
mod ledger;
mod long_poll;
pub mod openapi;
mod outcomes;
mod relay;
mod socket;
mod trust;
mod vouches;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::home::Home;
use crate::problem::{ApiCode, ApiError};

/// What the handlers of the local listener share.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) home: Arc<Home>,
    /// SHA-256 of the admin token, base64url.
    pub(crate) admin_digest: Arc<str>,
    pub(crate) started: std::time::Instant,
    /// Turns true when the node stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Builds the routes of the local listener.
pub(crate) fn router(local: Local) -> Router {
    let for_agents = Router::new()
        .route("/v1/me", get(agents::me))
        .route("/v1/messages", get(agents::receive).post(agents::send))
        .route("/v1/messages/{id}/receipts", get(agents::receipts))
        .route("/v1/messages/{id}/trace", get(agents::trace))
        .route("/v1/settle", post(agents::settle))
        .route("/v1/socket", get(socket::socket));
    let for_admin = Router::new()
        .route("/admin/agents", get(admin::agents).post(admin::add_agent))
        .route("/admin/agents/{name}", get(admin::agent))
        .route("/admin/agents/{name}/allow", post(admin::allow))
        .route("/admin/agents/{name}/allowed", get(admin::allowed))
        .route("/admin/agents/{name}/contacts", get(trust::list_contacts))
        .route("/admin/agents/{name}/contacts/approve", post(trust::approve_keys))
        .route("/admin/agents/{name}/deny", post(admin::deny))
        .route("/admin/agents/{name}/evidence", get(ledger::evidence))
        .route("/admin/agents/{name}/explain", get(trust::explanation))
        .route("/admin/agents/{name}/forget", post(ledger::forget))
        .route("/admin/agents/{name}/grants", get(grants::list_grants).post(grants::give_grant))
        .route("/admin/agents/{name}/grants/add", post(grants::add_grant))
        .route("/admin/agents/{name}/grants/hand-on", post(grants::hand_on_grant))
        .route("/admin/agents/{name}/grants/revoke", post(grants::revoke_grant))
        .route("/admin/agents/{name}/graph", get(vouches::graph))
        .route("/admin/agents/{name}/outcomes", get(outcomes::outcomes).post(outcomes::propose))
        .route("/admin/agents/{name}/outcomes/agree", post(outcomes::agree))
        .route("/admin/agents/{name}/outcomes/export", get(outcomes::export))
        .route("/admin/agents/{name}/outcomes/import", post(outcomes::import))
        .route("/admin/agents/{name}/outcomes/record", get(outcomes::record))
        .route("/admin/agents/{name}/outcomes/show", post(outcomes::show))
        .route("/admin/agents/{name}/requests", get(admin::requests))
        .route("/admin/agents/{name}/revoke", post(admin::revoke))
        .route("/admin/agents/{name}/rotate", post(admin::rotate))
        .route("/admin/agents/{name}/statements", get(ledger::statements))
        .route("/admin/agents/{name}/vouches", get(vouches::vouches).post(vouches::give_vouch))
        .route("/admin/agents/{name}/vouches/ask", post(vouches::ask_vouch))
        .route("/admin/agents/{name}/vouches/revoke", post(vouches::revoke_vouch))
        .route("/admin/agents/{name}/vouches/{id}", get(vouches::vouch))
        .route("/admin/checks", get(admin::checks))
        .route("/admin/events", get(events::events))
        .route("/admin/invitations", post(invite::invite))
        .route("/admin/log", get(ledger::status))
        .route("/admin/log/resource", get(ledger::resource))
        .route("/admin/relay/registrations", get(relay::registrations))
        .route("/admin/relay/remove", post(relay::remove))
        .route("/admin/resolve", get(admin::resolve))
        .route("/admin/rotate", post(admin::rotate_node))
        .route("/admin/status", get(admin::status))
        .route("/admin/trace/{id}", get(admin::trace))
        .route_layer(middleware::from_fn_with_state(local.clone(), auth::require_admin));
    for_agents
        .merge(for_admin)
        .fallback(|| async { ApiError::of(ApiCode::NotFound, "docs/openapi.json lists the paths") })
        .method_not_allowed_fallback(|| async {
            ApiError::of(ApiCode::MethodNotAllowed, "docs/openapi.json lists the methods")
        })
        .layer(middleware::from_fn_with_state(local.clone(), refuse_foreign_pages))
        .with_state(local)
}

/// Refuses what a page in a browser could send.
async fn refuse_foreign_pages(
    State(local): State<Local>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || !is_our_host(headers, local.home.config.local.ip()) {
        let hint = "Use the address that comity up printed, from a program and not from a page";
        return ApiError::of(ApiCode::ForbiddenHost, hint).into_response();
    }
    next.run(request).await
}

fn is_our_host(headers: &HeaderMap, ours: IpAddr) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|address| address.is_loopback() || address == ours)
}
