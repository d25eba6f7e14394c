//! Hands messages over: those that came back first, then new ones in order.

use std::sync::Arc;
use std::time::Duration;

use comity_core::api::{Delivery, rfc3339};
use comity_core::protocol::attached_tokens::TokenKind;
use comity_core::receipt::{Rung, State};
use comity_core::record::Received;
use comity_didcomm::{Input, Message, OpenError, OpenPolicy, Opened, Opening, Output, SenderProof};
use comity_store::records::notices::Debts;
use comity_store::records::{documents, mailbox, mailbox_key, message_key};
use comity_store::{Batch, Seq, StoreFault};
use tokio::time::Instant;

use super::{Holder, Lease};
use crate::home::Home;
use crate::identities::{Age, Identity};

/// A message that is now in an agent's hands.
pub(crate) struct Handed {
    pub(crate) seq: Seq,
    pub(crate) received: Received,
    /// How often it was handed over before.
    pub(crate) times: u32,
}

/// Hands over at most `limit` messages to a holder, for a time or for as long as it lives.
pub(crate) async fn hand_over(
    home: &Home,
    agent: &Identity,
    holder: Holder,
    lease: Option<Duration>,
    limit: usize,
) -> Result<Vec<Handed>, StoreFault> {
    let mailbox = mailbox_key(&agent.did);
    let now = Instant::now();
    let until = lease.map(|lease| now + lease);
    let (returned, cursor, limit) = home.mailboxes.with(mailbox, |hands| {
        let limit = limit.min(hands.room(now));
        let returned = hands.returned(now, limit);
        // They are this holder's from now on; another one that asks meanwhile gets others.
        for seq in &returned {
            if let Some(lease) = hands.out.get_mut(seq) {
                *lease = Lease { holder: Some(holder), until, times: lease.times };
            }
        }
        (returned, hands.cursor, limit)
    });
    let mut handed = Vec::new();
    for seq in &returned {
        match mailbox::row(home.store.as_ref(), mailbox, *seq).await? {
            Some(received) => handed.push(Handed { seq: *seq, received, times: 0 }),
            None => {
                let _had_been_full: bool = home.mailboxes.forget(mailbox, &[*seq]);
            }
        }
    }
    let fresh = limit.saturating_sub(handed.len());
    if 0 < fresh {
        let rows = mailbox::rows(home.store.as_ref(), mailbox, cursor, fresh).await?;
        // An offered message may lie before or after the cursor.
        let rows = rows.into_iter().filter(|(seq, _)| !returned.contains(seq));
        handed.extend(rows.map(|(seq, received)| Handed { seq, received, times: 0 }));
    }
    home.mailboxes.with(mailbox, |hands| {
        handed.retain_mut(|message| {
            let is_returned = returned.contains(&message.seq);
            let is_known = message.seq <= hands.cursor || hands.out.contains_key(&message.seq);
            if !is_returned && is_known {
                // Another holder took it in between, or it is offered and comes with the next step.
                return false;
            }
            hands.cursor = hands.cursor.max(message.seq);
            let entry = hands.out.entry(message.seq);
            let lease = entry.or_insert(Lease { holder: Some(holder), until, times: 0 });
            message.times = lease.times;
            lease.times = lease.times.saturating_add(1);
            true
        });
    });
    Ok(handed)
}

/// Reads messages after a position, oldest first, without handing them over.
pub(crate) async fn peek(
    home: &Home,
    agent: &Identity,
    after: Seq,
    limit: usize,
) -> Result<Vec<Handed>, StoreFault> {
    let rows = mailbox::rows(home.store.as_ref(), mailbox_key(&agent.did), after, limit).await?;
    Ok(rows.into_iter().map(|(seq, received)| Handed { seq, received, times: 0 }).collect())
}

/// Remembers that the agent has been handed messages, which their senders learn.
pub(crate) async fn record_received(home: &Arc<Home>, handed: &[Handed]) {
    let (mut batch, mut debts) = (Batch::new(), Debts::new());
    for message in handed.iter().filter(|message| message.times == 0) {
        let rung = Rung::new(State::Received, home.now(), home.did.clone());
        mailbox::climb(&mut batch, &mut debts, &message.received, &rung);
    }
    if batch.is_empty() {
        return;
    }
    // The sender learns the next rung; this one is only news.
    if let Err(fault) = home.commit(batch, debts, None).await {
        tracing::warn!(%fault, "a hand-over was not recorded");
    }
}

/// Opens a message for its agent: what is verified, apart from what the sender says. One that is
/// gone meanwhile or cannot be opened is nothing to hand over; it keeps no other from being handed
/// over.
pub(crate) async fn delivery(home: &Home, message: &Handed) -> Option<Delivery> {
    // Another message under the same id may have been opened meanwhile; it is refused, and is not
    // this one.
    let opened = home.opened.get(&message_key(&message.received));
    let opened = opened.filter(|commit| commit.received().digest == message.received.digest);
    if let Some(commit) = opened {
        return Some(describe(message, commit.message(), commit.opened()));
    }
    match reopen(home, message.seq, &message.received).await {
        Ok(Some(opened)) => return Some(describe(message, &opened.message, &opened)),
        // It expired in this moment.
        Ok(None) => {}
        Err(fault) => {
            let (id, seq) = (&message.received.id, message.seq.0);
            tracing::error!(%fault, %id, seq, "a message cannot be handed over; it stays until it expires");
        }
    }
    let mailbox = mailbox_key(&message.received.recipient);
    let _had_been_full: bool = home.mailboxes.forget(mailbox, &[message.seq]);
    None
}

/// Opens a message as on the day it came: with that day's document of its sender, and before its
/// deadline.
pub(crate) async fn reopen(
    home: &Home,
    seq: Seq,
    received: &Received,
) -> Result<Option<Opened>, StoreFault> {
    let store = home.store.as_ref();
    let Some(envelope) = mailbox::envelope(store, seq).await? else { return Ok(None) };
    let document = documents::document(store, &received.sender, &received.document).await?;
    let document = document.map(Arc::new);
    let corrupt = |error| StoreFault::Corrupt(format!("a stored envelope does not open: {error}"));
    let mut opening =
        Opening::new(&envelope, &OpenPolicy::default(), received.received_at).map_err(corrupt)?;
    loop {
        let input = match opening.poll_output().map_err(corrupt)? {
            Output::Done(opened) => return Ok(Some(*opened)),
            Output::Keys(kids) => Input::Keys(home.identities.agreement_keys(&kids, Age::Accepted)),
            Output::Resolve(did) => {
                let found = if did.same_subject(&received.sender) {
                    document.clone()
                } else {
                    // The prior DID of a rotation, whose document is not kept beside the message.
                    let resolved = home.resolve(&did).await.ok();
                    resolved.map(|resolved| Arc::clone(&resolved.document))
                };
                found.map_or(Input::Unresolvable(did), Input::Document)
            }
            // Nothing else is asked today; an unanswered question would be asked for ever.
            _ => return Err(corrupt(OpenError::DidUnresolvable)),
        };
        opening.handle_input(input);
    }
}

fn describe(handed: &Handed, message: &Message, opened: &Opened) -> Delivery {
    let received = &handed.received;
    let verified = match opened.sender().map(comity_didcomm::Sender::proof) {
        Some(SenderProof::Authcrypt) => "authcrypt",
        _ => "signature",
    };
    // Tokens are for the home, which has read them.
    let attachments = message.attachments.iter().filter(|one| TokenKind::of(one).is_none());
    let attachments = attachments.filter_map(|one| serde_json::to_value(one).ok());
    Delivery {
        delivery: handed.seq.0,
        id: received.id.clone(),
        from: received.sender.to_string(),
        to: received.recipient.to_string(),
        type_: received.type_.clone(),
        thid: received.thid.clone(),
        pthid: message.pthid.clone(),
        verified: verified.to_owned(),
        admitted: received.admitted.map_or("request", |admitted| admitted.as_str()).to_owned(),
        level: received.level.as_str().to_owned(),
        received_at: rfc3339(received.received_at),
        expires_at: rfc3339(received.expires),
        redelivered: handed.times,
        body: message.body.clone(),
        attachments: attachments.collect(),
    }
}
