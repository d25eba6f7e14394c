//! The OpenAPI description of the local listener, from the handlers themselves. `docs/openapi.json`
//! is its text.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{
    admin, agents, events, grants, invite, ledger, outcomes, relay, socket, trust, vouches,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Comity node, local listener",
        description = "The agents' API and the admin API of a Comity node. Errors are RFC 9457 problems with a stable code; see docs/errors.md. Sizes: bodies up to 1 MiB. The admin token may call the agents' API with the header comity-agent: NAME."
    ),
    paths(
        agents::me,
        agents::receipts,
        agents::receive,
        agents::send,
        agents::settle,
        agents::trace,
        socket::socket,
        admin::add_agent,
        admin::agent,
        admin::agents,
        admin::allow,
        admin::allowed,
        admin::checks,
        admin::deny,
        events::events,
        grants::add_grant,
        grants::give_grant,
        grants::hand_on_grant,
        grants::list_grants,
        grants::revoke_grant,
        invite::invite,
        ledger::evidence,
        ledger::forget,
        ledger::resource,
        ledger::statements,
        ledger::status,
        relay::registrations,
        relay::remove,
        admin::requests,
        admin::resolve,
        admin::revoke,
        admin::rotate,
        admin::rotate_node,
        admin::status,
        admin::trace,
        outcomes::agree,
        outcomes::export,
        outcomes::import,
        outcomes::outcomes,
        outcomes::propose,
        outcomes::record,
        outcomes::show,
        trust::approve_keys,
        trust::explanation,
        trust::list_contacts,
        vouches::ask_vouch,
        vouches::give_vouch,
        vouches::graph,
        vouches::revoke_vouch,
        vouches::vouch,
        vouches::vouches,
    ),
    components(schemas(comity_core::api::ClientFrame, comity_core::api::ServerFrame)),
    modifiers(&BearerToken)
)]
struct Description;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme =
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Returns the description as JSON.
#[must_use]
pub fn text() -> String {
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn docs_openapi_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        if std::env::var_os("COMITY_BLESS").is_some() {
            std::fs::write(&path, text()).unwrap();
        }
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(current == text(), "docs/openapi.json is out of date: cargo xtask generate");
    }
}
