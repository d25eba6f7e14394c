//! The admin API: what an agent's policy says about somebody, and the contacts whose keys are pinned.

use axum::Json;
use axum::extract::{Path, State};
use comity_core::api::{ApproveKeys, ContactInfo, Explained, Problem, rfc3339};
use comity_core::protocol::BASIC_MESSAGE;
use comity_core::trust::{Contact, Question, Scrutiny, Shown, WayIn, explain, subject};
use comity_didcomm::{Did, MessageType, ProtocolId};
use comity_store::records::contacts;
use comity_store::records::notices::Debts;
use comity_store::{Batch, StoreFault};
use serde::Deserialize;

use super::Local;
use super::admin::find;
use super::extract::{JsonBody, Params};
use crate::home::{Committed, Home};
use crate::limits::ENTRIES_MAX;
use crate::problem::{ApiCode, ApiError};
use crate::{facts, grants, outbound};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct About {
    /// DID, handle or invitation.
    who: String,
    /// Protocol identifier; that of basic messages when absent.
    protocol: Option<String>,
}

/// Says what would become of a message, and why.
#[utoipa::path(get, path = "/admin/agents/{name}/explain", tag = "admin", security(("token" = [])), params(About, ("name" = String, Path)),
    responses((status = 200, body = Explained), (status = "default", body = Problem)))]
pub(crate) async fn explanation(
    State(local): State<Local>,
    Path(name): Path<String>,
    Params(About { who, protocol }): Params<About>,
) -> Result<Json<Explained>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let sender = subject(&outbound::resolve_who(home, &who).await?);
    let protocol = protocol_of(protocol.as_deref())?;
    let contact = contacts::contact(home.store.as_ref(), &agent.did, &sender).await?;
    let granted = grants::given_right(home, &agent.did, &sender, &protocol).await?;
    let question = Question {
        recipient: subject(&agent.did),
        sender: sender.clone(),
        protocol: protocol.clone(),
        threads: Vec::new(),
        way_in: WayIn::Direct,
        size_bytes: 0,
        keys: contact.and_then(|contact| contact.changed).map_or(Vec::new(), |other| other.keys),
        is_for_home: false,
        // Its home shows by itself what it was given.
        shown: Shown { granted, ..Shown::default() },
        scrutiny: Scrutiny::Thorough,
        prior: None,
    };
    let mut facts = facts::of_arrival(home, &question).await?;
    home.vouches.wait(&facts.anchors, &sender, home.now()).await;
    facts.book = home.vouches.book();
    let explanation = explain(&question, &facts, home.now());
    Ok(Json(Explained {
        did: sender.to_string(),
        protocol: protocol.to_string(),
        decision: explanation.decision.to_owned(),
        ground: explanation.ground.map(str::to_owned),
        level: explanation.level.to_string(),
        needed: explanation.needed.to_string(),
        why: explanation.why,
        known: explanation.known,
        changes: explanation.changes,
    }))
}

pub(super) fn protocol_of(text: Option<&str>) -> Result<ProtocolId, ApiError> {
    let parsed = match text {
        Some(text) => text.parse().ok(),
        None => BASIC_MESSAGE.parse::<MessageType>().ok().map(|type_| type_.protocol().clone()),
    };
    parsed.ok_or_else(|| {
        let hint = "Give a URI such as https://example.org/offer/1.0";
        ApiError::new(ApiCode::BadRequest, "That is not a protocol identifier", hint)
    })
}

/// Lists those whose messages an agent lets in.
#[utoipa::path(get, path = "/admin/agents/{name}/contacts", tag = "admin", security(("token" = [])), params(("name" = String, Path)),
    responses((status = 200, body = [ContactInfo]), (status = 404, body = Problem)))]
pub(crate) async fn list_contacts(
    State(local): State<Local>,
    Path(name): Path<String>,
) -> Result<Json<Vec<ContactInfo>>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let mut listed = Vec::new();
    for contact in contacts::contacts(home.store.as_ref(), &agent.did, ENTRIES_MAX).await? {
        if contact.moved_to.is_none() {
            listed.push(describe(home, &agent.did, contact).await?);
        }
    }
    // The node has one contact of its own, its operator.
    if let Some(operator) = &home.config.operator {
        let operator =
            contacts::contact(home.store.as_ref(), &home.did, &subject(operator)).await?;
        if let Some(waiting) = operator.filter(|operator| operator.changed.is_some()) {
            listed.push(describe(home, &home.did, waiting).await?);
        }
    }
    Ok(Json(listed))
}

/// Takes the keys with which a contact came as its own.
#[utoipa::path(post, path = "/admin/agents/{name}/contacts/approve", tag = "admin", security(("token" = [])), params(("name" = String, Path)), request_body = ApproveKeys,
    responses((status = 200, body = ContactInfo), (status = "default", body = Problem)))]
pub(crate) async fn approve_keys(
    State(local): State<Local>,
    Path(name): Path<String>,
    JsonBody(ApproveKeys { who, keys }): JsonBody<ApproveKeys>,
) -> Result<Json<ContactInfo>, ApiError> {
    let home = &local.home;
    let agent = find(home, &name)?;
    let did = subject(&outbound::resolve_who(home, &who).await?);
    let (mut whose, mut waiting) = (&agent.did, keys_waiting(home, &agent.did, &did).await?);
    if waiting.is_none() {
        (whose, waiting) = (&home.did, keys_waiting(home, &home.did, &did).await?);
    }
    let Some((changed, known)) = waiting else {
        let hint = "See comity contacts for those who come with other keys";
        return Err(ApiError::new(ApiCode::NotFound, "Nobody waits with other keys", hint));
    };
    let other_keys =
        || ApiError::of(ApiCode::OtherKeys, "Ask again by other means: comity contacts shows them");
    if !keys.is_empty() && keys != changed {
        return Err(other_keys());
    }
    let mut batch = Batch::new();
    contacts::assert_unchanged(&mut batch, whose, &did, Some(&known));
    let approved = known.approved();
    contacts::put(&mut batch, whose, &approved);
    let statement = approved.statement(whose, &rand::random(), home.now());
    home.ledger.record(&mut batch, &statement);
    match home.commit(batch, Debts::new(), None).await? {
        Committed::Durable => {}
        Committed::Conflict(_) => return Err(other_keys()),
    }
    tracing::info!(agent = %whose, peer = %did, "the operator approved other keys");
    Ok(Json(describe(home, whose, approved).await?))
}

/// Returns the keys that wait for the operator, and whose they would be.
async fn keys_waiting(
    home: &Home,
    whose: &Did,
    did: &Did,
) -> Result<Option<(Vec<String>, Contact)>, StoreFault> {
    let known = contacts::contact(home.store.as_ref(), whose, did).await?;
    Ok(known.and_then(|known| Some((known.changed.clone()?.keys, known))))
}

async fn describe(home: &Home, agent: &Did, contact: Contact) -> Result<ContactInfo, StoreFault> {
    let processed = contacts::processed(home.store.as_ref(), agent, &contact.did).await?;
    let changed_at = contact.changed.as_ref().map(|changed| rfc3339(changed.at));
    Ok(ContactInfo {
        did: contact.did.to_string(),
        since: rfc3339(contact.since),
        processed,
        keys: contact.keys,
        changed_at,
        changed_keys: contact.changed.map_or(Vec::new(), |changed| changed.keys),
    })
}
