//! The relay role, as far as it reads and writes: rows for the decisions of `comity_core::relay`,
//! and what they become.

mod live;
mod pick_up;
mod register;
mod room;
mod serve;
mod socket;

pub(crate) use live::Lives;
pub(crate) use serve::{Done, serve};
pub(crate) use socket::socket;

use std::sync::Arc;

use comity_core::inbound::Written;
use comity_core::relay::{Held, Route, RouteFacts};
use comity_didcomm::{Did, DidDocument, Endpoint, Service};
use comity_store::records::relay::{self, HeldId, Memory};
use comity_store::{Batch, Seq, StoreFault};

use crate::home::Home;

/// Where an answer may go besides the asker's own endpoint.
#[derive(Clone)]
pub(crate) enum Back {
    /// Nowhere else.
    Nowhere,
    /// Into the response to the request that brought the question.
    Response,
    /// Onto the socket that brought the question.
    Socket(Arc<live::Session>),
}

/// Reads what the relay's door has to know.
pub(crate) async fn facts(home: &Home, route: &Route) -> Result<RouteFacts, StoreFault> {
    let relay = home.config.relay.as_ref().map(|policy| policy.quotas);
    let recipient = match relay {
        Some(_) => relay::find(home.store.as_ref(), route.next()).await?,
        None => None,
    };
    Ok(RouteFacts { relay, recipient })
}

/// Puts a message into its queue, durably, and tells whoever waits for it.
pub(crate) async fn hold(home: &Arc<Home>, held: &Held) -> Result<Written, StoreFault> {
    let mut batch = Batch::new();
    let mut at = relay::hold(&mut batch, held, Memory::Kept);
    let mut result = home.store.commit(batch).await;
    if at.wants_memory(&result) {
        let mut batch = Batch::new();
        at = relay::hold(&mut batch, held, Memory::Full);
        result = home.store.commit(batch).await;
    }
    let written = relay::holding(held, at, result)?;
    if let Written::New { seq } = written {
        let row = held.row();
        let id = HeldId { queue: relay::queue_key(&row.recipient), seq: Seq(seq) };
        home.relay.arrived(home, row, id);
    }
    Ok(written)
}

/// Gives up a message whose time is over.
pub(crate) async fn expire(home: &Home, mut batch: Batch, id: HeldId) -> Result<Batch, StoreFault> {
    if let Some(row) = relay::row(home.store.as_ref(), id).await? {
        relay::take_out(&mut batch, id, &row);
        tracing::info!(recipient = %row.recipient, "a message was not picked up in time");
    }
    Ok(batch)
}

/// Adds the WebSocket endpoint to the document of a node, unless it has one or peers cannot reach
/// it.
pub(crate) fn add_socket_endpoint(document: &mut DidDocument, public_url: &str) {
    let uri = match public_url.split_once("://") {
        Some(("https", authority)) => format!("wss://{authority}/didcomm"),
        Some((_, authority)) => format!("ws://{authority}/didcomm"),
        None => return,
    };
    let known = document.didcomm_endpoints().iter().any(|endpoint| endpoint.uri == uri);
    if !known {
        let id = document.id.url("didcomm-socket");
        document.service.push(Service::didcomm(&id, &Endpoint::new(uri)));
    }
}

/// The queues that somebody may look into without naming one: those it has registered, and its own.
pub(crate) async fn queues(home: &Home, sender: &Did) -> Result<Vec<Did>, StoreFault> {
    let max = home.config.relay.as_ref().map_or(0, |policy| policy.quotas.recipients_max);
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let (mut dids, _) = relay::recipients_of(home.store.as_ref(), sender, max).await?;
    if !dids.iter().any(|did| did.same_subject(sender)) {
        dids.push(sender.clone());
    }
    Ok(dids)
}
