//! Drives a message on its way out, up to the moment when it is durable; `transmit.rs` goes on from
//! there.

use std::sync::Arc;

use comity_core::api::{SendAnswer, SendRequest};
use comity_core::limits::{EXPIRES_S_MAX, NOTICE_EXPIRES_S, WORK_BITS_MAX};
use comity_core::outbound::{
    Accountability, Input, Outbound, Output, Queued, Residence, Stored, Submission, Unsendable,
};
use comity_core::protocol::BASIC_MESSAGE;
use comity_core::receipt::State;
use comity_core::record::OutgoingKind;
use comity_didcomm::invitation::Invited;
use comity_didcomm::{Attachment, Did, DidDocument, Message, MessageId, MessageType, UnixTime};
use comity_net::{Handle, Resolved, Source};
use comity_store::Batch;
use comity_store::records::{MessageKey, documents, ladder, outbox};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::facts;
use crate::home::Home;
use crate::limits::{NOTICE_ADDRESS_DEADLINE, NOTICE_FETCHES_MAX};

/// Why an agent's wish to send was not fulfilled.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// A member of the request has no meaning.
    #[error("{member} is not valid: {reason}")]
    Invalid { member: &'static str, reason: &'static str },
    /// The handle cannot be resolved.
    #[error("the handle cannot be resolved: {0}")]
    Handle(String),
    /// The message cannot be sent.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

/// Sends an agent's message: it is durable when this returns.
pub(crate) async fn send(
    home: &Arc<Home>,
    from: &Did,
    request: SendRequest,
) -> Result<SendAnswer, SendError> {
    let submission = submission(home, from, request).await?;
    let (queued, novelty) = submit(home, submission).await?;
    let sent = queued.sent();
    let mut state = State::Queued;
    if novelty == Novelty::Repeated {
        let message = MessageKey::sent(&sent.sender, &sent.id);
        let rungs = ladder::sent_rungs(home.store.as_ref(), message).await;
        let rungs = rungs.map_err(|_fault| Unsendable::Unavailable)?;
        state = rungs.last().map_or(state, |rung| rung.state);
    }
    let (id, thid) = (sent.id.clone(), sent.thid.clone());
    Ok(SendAnswer { id, thid, state: state.as_str().to_owned() })
}

/// Whether a submission was stored by this call or by an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Novelty {
    New,
    Repeated,
}

/// Somebody who can be written to.
pub(crate) struct Who {
    pub(crate) did: Did,
    /// Id of the invitation that names them; the answer to it says so.
    invitation: Option<MessageId>,
}

/// Resolves a DID, a handle or an invitation to a DID.
pub(crate) async fn resolve_who(home: &Home, who: &str) -> Result<Did, SendError> {
    Ok(find_who(home, who).await?.did)
}

async fn find_who(home: &Home, who: &str) -> Result<Who, SendError> {
    if is_invitation(who) {
        return invited(who, Some(home.now()));
    }
    let did = resolve_name(home, who).await?;
    Ok(Who { did, invitation: None })
}

/// Whether a text is a link with an invitation in it: nothing else has a query.
fn is_invitation(who: &str) -> bool {
    who.contains("_oob=") || who.contains("_oobid=")
}

/// Whether a text has to be looked up to know whom it means.
fn is_handle(who: &str) -> bool {
    !who.starts_with("did:") && !is_invitation(who)
}

/// Reads an invitation, which may have expired unless a time is given. It proves nothing: only what
/// its sender answers does.
fn invited(link: &str, now: Option<UnixTime>) -> Result<Who, SendError> {
    let invalid = |reason| SendError::Invalid { member: "to", reason };
    match Invited::from_url(link) {
        Ok(Invited::Here(invitation)) if now.is_some_and(|now| invitation.is_expired(now)) => {
            Err(invalid("the invitation has expired"))
        }
        Ok(Invited::Here(invitation)) => {
            Ok(Who { did: invitation.from, invitation: Some(invitation.id) })
        }
        Ok(_) => Err(invalid("a shortened invitation has to be opened first")),
        Err(_) => Err(invalid("the link holds no valid invitation")),
    }
}

async fn resolve_name(home: &Home, who: &str) -> Result<Did, SendError> {
    if who.starts_with("did:") {
        return who.parse().map_err(|_| SendError::Invalid { member: "to", reason: "not a DID" });
    }
    let handle = Handle::parse(who).map_err(|_| SendError::Invalid {
        member: "to",
        reason: "neither a DID, nor name@host, nor an invitation",
    })?;
    comity_net::resolve_handle(&home.fetcher, &handle)
        .await
        .map_err(|error| SendError::Handle(error.to_string()))
}

/// Stores a submission in the outbox and sets out to transmit it.
async fn submit(
    home: &Arc<Home>,
    submission: Submission,
) -> Result<(Arc<Queued>, Novelty), Unsendable> {
    let mut novelty = Novelty::Repeated;
    let mut outbound = Outbound::new(submission, home.context());
    loop {
        let queued = match drive(home, &mut outbound, Memory::Keep).await {
            Step::Commit(queued) => queued,
            Step::Done(result) => return result.map(|queued| (queued, novelty)),
        };
        let mut batch = Batch::new();
        let enqueued = outbox::enqueue(&mut batch, &queued, home.recording_of(&queued));
        // Who speaks for the recipient, and so may say that it has the message, stands in its document.
        let (sender, recipient) = (&queued.sent().sender, &queued.sent().recipient);
        let mut used = known_document(home, recipient).await;
        if let Some(document) = &used
            && !matches!(home.record_document(&mut batch, sender, document).await, Ok(true))
        {
            used = None;
        }
        let result = home.store.commit(batch).await;
        if let (Ok(_), Some(document)) = (&result, &used) {
            home.document_recorded(sender, document);
        }
        let stored = outbox::stored(home.store.as_ref(), enqueued, result).await;
        let stored = stored.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a message could not be queued");
            Stored::Unavailable
        });
        if stored == Stored::New {
            novelty = Novelty::New;
            home.transmitter.wake(home, queued.outgoing());
        }
        outbound.handle_input(Input::Stored(stored), &mut rand::rng());
    }
}

/// Packs a message of the home's own, to be queued in a batch of the caller's. One without a deadline is
/// tried for a day.
pub(crate) async fn prepare_notice(
    home: &Arc<Home>,
    message: Message,
) -> Result<Arc<Queued>, Unsendable> {
    prepare(home, message, Memory::Forget).await
}

/// As [`prepare_notice`], to somebody with whom the home has to do again and again: it is asked for a
/// token of admission.
pub(crate) async fn prepare_to_peer(
    home: &Arc<Home>,
    message: Message,
) -> Result<Arc<Queued>, Unsendable> {
    prepare(home, message, Memory::Peer).await
}

async fn prepare(
    home: &Arc<Home>,
    message: Message,
    memory: Memory,
) -> Result<Arc<Queued>, Unsendable> {
    let from = message.from.clone().ok_or(Unsendable::NoSenderKey)?;
    let to = message.to.first().cloned().ok_or(Unsendable::Unresolvable)?;
    let expires_in_s = match message.expires_time {
        Some(until) => until.0.saturating_sub(home.now().0).clamp(1, EXPIRES_S_MAX),
        None => NOTICE_EXPIRES_S,
    };
    let submission = Submission {
        id: message.id,
        from,
        to,
        type_: message.type_,
        body: message.body,
        attachments: message.attachments,
        thid: message.thid,
        pthid: message.pthid,
        ack: message.ack,
        expires_in_s: Some(expires_in_s),
        work_bits_max: Some(0),
        accountability: Accountability::Accountable,
        kind: OutgoingKind::Notice,
    };
    let mut outbound = Outbound::new(submission, home.context());
    // A stranger may choose where this goes, and what it is told in is written with its message.
    match timeout(NOTICE_ADDRESS_DEADLINE, drive(home, &mut outbound, memory)).await {
        Ok(Step::Commit(queued)) => Ok(queued),
        Ok(Step::Done(result)) => result,
        Err(_elapsed) => Err(Unsendable::Unresolvable),
    }
}

/// Whether a recipient is somebody to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// A stranger, who is only told that it was refused.
    Forget,
    /// Somebody to whom an agent writes.
    Keep,
    /// The home of somebody whose messages an agent has.
    Peer,
}

enum Step {
    Commit(Arc<Queued>),
    Done(Result<Arc<Queued>, Unsendable>),
}

/// Answers the machine until it wants to write or ends.
async fn drive(home: &Arc<Home>, outbound: &mut Outbound, memory: Memory) -> Step {
    let mut fetches = 0;
    loop {
        let input = match outbound.poll_output() {
            // What is left out is in doubt, as if it could not be had; other endpoints may do.
            Output::Resolve(_) if memory != Memory::Keep && NOTICE_FETCHES_MAX <= fetches => {
                Input::Unresolvable
            }
            Output::Resolve(did) => match document(home, &did, memory, &mut fetches).await {
                Some(document) => {
                    let here = home.identities.by_did(&did).is_some();
                    let residence = if here { Residence::Here } else { Residence::Elsewhere };
                    Input::Document(document, residence)
                }
                None => Input::Unresolvable,
            },
            Output::Judge(passage) => match facts::of_departure(home, &passage).await {
                Ok(fence) => Input::Fence(fence),
                Err(_fault) => return Step::Done(Err(Unsendable::Unavailable)),
            },
            Output::Pass { from, to } => {
                let pass = home.admission.pass(home.store.as_ref(), &from, &to).await;
                let asks = memory != Memory::Forget;
                Input::Pass(Some(if asks { pass } else { pass.without_asking() }))
            }
            Output::Keys(did) => match home.identities.by_did(&did) {
                Some(identity) => Input::Keys(identity.sender_keys()),
                None => return Step::Done(Err(Unsendable::NoSenderKey)),
            },
            Output::Commit(queued) => return Step::Commit(queued),
            Output::Done(result) => return Step::Done(result),
            // The machine asks for nothing else; a new question would have to be answered here.
            _ => return Step::Done(Err(Unsendable::Unavailable)),
        };
        outbound.handle_input(input, &mut rand::rng());
    }
}

/// Gets the document of somebody who is written to again and again, as [`document`] does.
pub(crate) async fn known_document(home: &Arc<Home>, did: &Did) -> Option<Arc<DidDocument>> {
    document(home, did, Memory::Keep, &mut 0).await
}

/// Gets a recipient's document. One that cannot be had at this moment is replaced by the last that
/// was: its home may be away for hours, and the message waits. `fetches` counts those that were not
/// at hand.
async fn document(
    home: &Arc<Home>,
    did: &Did,
    memory: Memory,
    fetches: &mut usize,
) -> Option<Arc<DidDocument>> {
    let began = Instant::now();
    match home.resolve(did).await {
        Ok(resolved) => {
            if resolved.source == Source::Fetched && began <= resolved.fetched_at {
                *fetches += 1;
            }
            if resolved.source == Source::Fetched && memory == Memory::Keep {
                remember(home, &resolved).await;
            }
            Some(Arc::clone(&resolved.document))
        }
        Err(error) => {
            *fetches += 1;
            tracing::debug!(%did, %error, "a recipient's document was not had");
            let last = documents::last(home.store.as_ref(), did).await.ok().flatten();
            last.filter(|_| error.is_transient()).map(Arc::new)
        }
    }
}

/// Keeps a document for when it cannot be had, once for each version.
async fn remember(home: &Home, resolved: &Resolved) {
    let document = &resolved.document;
    let known = home.last_documents.get(&document.id);
    if known.is_some_and(|known| known == *document) {
        return;
    }
    let mut batch = Batch::new();
    documents::put_last(&mut batch, document);
    if let Some(history) = &resolved.history {
        documents::put_head(&mut batch, &document.id, history.latest_version_id());
    }
    match home.store.commit(batch).await {
        Ok(_) => home.last_documents.insert(document.id.clone(), Arc::clone(document)),
        // It is tried again with the next message.
        Err(error) => tracing::warn!(%error, "a document was not remembered"),
    }
}

/// Refuses to look up a handle where the agent's operator does not want anybody to be asked.
async fn fence_look_up(home: &Home, from: &Did, who: &str) -> Result<(), SendError> {
    let Some(handle) = Handle::parse(who).ok().filter(|_| is_handle(who)) else { return Ok(()) };
    match facts::lets_look_up(home, from, &handle).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Unsendable::FencedIn.into()),
        Err(_fault) => Err(Unsendable::Unavailable.into()),
    }
}

async fn submission(
    home: &Arc<Home>,
    from: &Did,
    request: SendRequest,
) -> Result<Submission, SendError> {
    let invalid = |member, reason| SendError::Invalid { member, reason };
    let id = request.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let id = MessageId::parse(&id)
        .map_err(|_| invalid("id", "give 1 to 64 unreserved URI characters"))?;
    let type_ = request.type_.as_deref().unwrap_or(BASIC_MESSAGE);
    let type_: MessageType = type_
        .parse()
        .map_err(|_| invalid("type", "give a URI such as https://example.org/offer/1.0/make"))?;
    for (member, thread) in [("thid", &request.thid), ("pthid", &request.pthid)] {
        if thread.as_ref().is_some_and(|thread| MessageId::parse(thread).is_err()) {
            return Err(invalid(member, "give 1 to 64 unreserved URI characters"));
        }
    }
    let attachments = request
        .attachments
        .into_iter()
        .map(serde_json::from_value::<Attachment>)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("attachments", "give objects as in DIDComm v2.1"))?;
    if request.work_bits_max.is_some_and(|bits| WORK_BITS_MAX < bits) {
        return Err(invalid("work_bits_max", "give 0 to 32 bits"));
    }
    // A wish that is repeated goes where it went, also when the handle cannot be looked up now or
    // the invitation has expired since.
    let known = outbox::sent(home.store.as_ref(), MessageKey::sent(from, id.as_str())).await;
    let to = match known.map_err(|_fault| Unsendable::Unavailable)? {
        Some(sent) if is_handle(&request.to) => Who { did: sent.recipient, invitation: None },
        Some(_) if is_invitation(&request.to) => invited(&request.to, None)?,
        _ => {
            fence_look_up(home, from, &request.to).await?;
            find_who(home, &request.to).await?
        }
    };
    let pthid = request.pthid.or_else(|| to.invitation.map(|id| id.as_str().to_owned()));
    Ok(Submission {
        id,
        from: from.clone(),
        to: to.did,
        type_,
        body: request.body,
        attachments,
        thid: request.thid,
        pthid,
        ack: Vec::new(),
        expires_in_s: request.expires_in_s,
        work_bits_max: request.work_bits_max,
        accountability: match request.deniable {
            true => Accountability::Deniable,
            false => Accountability::Accountable,
        },
        kind: OutgoingKind::Message,
    })
}
