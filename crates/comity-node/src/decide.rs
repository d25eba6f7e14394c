//! What the operator decides about somebody, stored together with what becomes of the message that waits
//! for it. The one way for the admin API and for the operator's own agent.

use std::sync::Arc;

use comity_core::event::{Decider, Event, KeyRuling};
use comity_core::inbound::problem_report;
use comity_core::outbound::Queued;
use comity_core::protocol::is_notice;
use comity_core::receipt::Rung;
use comity_core::record::Received;
use comity_core::refusal::Refusal;
use comity_core::trust::{Approval, Contact, Direction, Entry, EntryKind, Meter, pinned_keys};
use comity_didcomm::Did;
use comity_store::records::mailbox::{HeldRequest, Waiting};
use comity_store::records::notices::Debts;
use comity_store::records::{contacts, documents, events, mailbox, mailbox_key, meters, relations};
use comity_store::{Batch, Conflict, StoreFault, Wake as _};

use crate::admission;
use crate::home::{Committed, Home};
use crate::limits::CONFLICTS_MAX;
use crate::outbound;

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Settled {
    /// The request is another one, or none, by now: nothing was stored.
    Changed,
    /// It is stored, and done; what waited was handed over, or refused with this.
    Done(Option<Result<(), Refusal>>),
    /// The agent has no room for another entry about many: nothing was stored.
    EntriesFull,
    /// The agent's mailbox has no room for the message that it lets in: nothing was stored.
    MailboxFull,
    /// What waits came with other keys than the contact had: the decision was not stored.
    OtherKeys,
}

/// Stores a decision, whatever waits for it at this moment.
pub(crate) async fn settle(
    home: &Arc<Home>,
    agent: &Did,
    entry: &Entry,
    by: Decider,
) -> Result<Settled, StoreFault> {
    for _attempt in 0..CONFLICTS_MAX {
        let waiting = match (entry.direction, entry.whom.did()) {
            (Direction::In, Some(did)) => mailbox::request(home.store.as_ref(), agent, did).await?,
            // What is decided about many is about what comes next.
            _ => None,
        };
        let settled = settle_with(home, agent, entry, by, waiting.as_ref(), Debts::new()).await?;
        if settled != Settled::Changed {
            return Ok(settled);
        }
    }
    Ok(Settled::Changed)
}

/// Stores a decision with what becomes of this request, if there is one, and with what is owed besides.
pub(crate) async fn settle_with(
    home: &Arc<Home>,
    agent: &Did,
    entry: &Entry,
    by: Decider,
    waiting: Option<&Waiting>,
    mut debts: Debts,
) -> Result<Settled, StoreFault> {
    if let Some(waiting) = waiting
        && has_other_keys(home, agent, entry, &waiting.held.received).await?
    {
        return Ok(Settled::OtherKeys);
    }
    let mut batch = Batch::new();
    // What was allowed to many, or on the way out, is taken back by forgetting it.
    let is_forgotten = entry.kind == EntryKind::Revoke
        && (entry.whom.did().is_none() || entry.direction == Direction::Out);
    if !is_forgotten && relations::is_full(home.store.as_ref(), agent, entry).await? {
        return Ok(Settled::EntriesFull);
    }
    match is_forgotten {
        true => relations::remove(&mut batch, agent, entry.direction, &entry.whom),
        false => relations::put(&mut batch, agent, entry),
    }
    home.ledger.record(&mut batch, &entry.statement(agent, &rand::random()));
    let mut happened = vec![Event::entry_changed(agent, entry)];
    let turned = match (entry.kind, entry.direction, entry.whom.did()) {
        (EntryKind::Deny | EntryKind::Revoke, Direction::In, Some(did)) => {
            admission::turned_away(home, &mut batch, agent, did).await?
        }
        _ => None,
    };
    let (mut report, mut fate) = (None, None);
    if let (None, Direction::In, Some(did)) = (waiting, entry.direction, entry.whom.did()) {
        // One that comes in this moment would wait for a decision that was made.
        mailbox::assert_no_request(&mut batch, agent, did);
    }
    if let Some(waiting) = waiting {
        let received = &waiting.held.received;
        match approve(home, agent, entry, waiting).await? {
            Ok(approval) => {
                let capacity = home.capacity();
                mailbox::hand_over(&mut batch, waiting, &approval, capacity, home.now());
                if let Some(contact) = first_contact(home, agent, received).await? {
                    contacts::put(&mut batch, agent, &contact);
                }
                fate = Some(Ok(()));
            }
            Err(refusal) => {
                let (code, meaning) = (refusal.code(), refusal.meaning());
                let rung = Rung::refused(home.now(), home.did.clone(), code, Some(meaning));
                mailbox::drop_request(&mut batch, &mut debts, waiting, &rung);
                report = self::report(home, received, refusal).await;
                fate = Some(Err(refusal));
            }
        }
        // Allowed something else than it asked for, it was turned down.
        let decision = match (entry.kind, fate) {
            (EntryKind::Allow, Some(Err(_))) => EntryKind::Deny,
            (kind, _) => kind,
        };
        happened.push(Event::request_decided(received, decision, by));
    }
    events::put(&mut batch, home.now(), happened);
    let committed = home.commit_and_report(batch, debts, report).await;
    // Also when it failed: it may be durable all the same.
    home.news.wake();
    match committed? {
        Committed::Durable => {}
        Committed::Conflict(Conflict::Assertion { .. }) => return Ok(Settled::Changed),
        Committed::Conflict(Conflict::Bound { .. }) => return Ok(Settled::MailboxFull),
    }
    if let Some(generation) = turned {
        admission::turn(home, agent, generation);
    }
    if let (Some(waiting), Some(Ok(()))) = (waiting, fate) {
        admission::approved(home, waiting);
        home.mailboxes.offer(mailbox_key(agent), waiting.seq);
        home.wake.wake(&mailbox_key(agent));
    }
    tracing::info!(%agent, whom = %entry.whom, kind = ?entry.kind, ?by, "the operator decided");
    Ok(Settled::Done(fate))
}

/// Says whether a request gets in by a decision about its sender, or what the sender is told.
async fn approve(
    home: &Home,
    agent: &Did,
    entry: &Entry,
    waiting: &Waiting,
) -> Result<Result<Approval, Refusal>, StoreFault> {
    match entry.kind {
        EntryKind::Allow => {}
        EntryKind::Deny => return Ok(Err(Refusal::Denied)),
        EntryKind::Revoke => return Ok(Err(Refusal::Revoked)),
    }
    let HeldRequest { request, received, .. } = &waiting.held;
    // What is denied to many is denied to each of them, whatever is allowed to it.
    let entries =
        relations::about(home.store.as_ref(), agent, Direction::In, &received.sender).await?;
    let is_denied = |other: &Entry| other.whom != entry.whom && other.shuts_out(&received.sender);
    if entries.iter().any(is_denied) {
        return Ok(Err(Refusal::Denied));
    }
    let meter = Meter { id: entry.meter(agent), limits: entry.limits };
    let used = meters::used(home.store.as_ref(), &meter, home.now()).await?;
    let policy = home.identities.by_did(agent).map(|agent| home.policies.of(&agent.name));
    let request = (request, received.size_bytes);
    Ok(Approval::new(entry, agent, request, &policy.unwrap_or_default(), used, home.now()))
}

/// Whether a request came with other keys than the contact had, so that an entry about it has to wait
/// until the operator approves them. It is told, if it was not yet.
async fn has_other_keys(
    home: &Arc<Home>,
    agent: &Did,
    entry: &Entry,
    received: &Received,
) -> Result<bool, StoreFault> {
    let store = home.store.as_ref();
    let Some(known) = contacts::contact(store, agent, &received.sender).await? else {
        return Ok(false);
    };
    let document = documents::document(store, &received.sender, &received.document).await?;
    let keys = document.as_ref().map(pinned_keys).unwrap_or_default();
    let Some(contact) = known.held_up(entry, &keys, home.now()) else { return Ok(false) };
    if contact != known {
        let mut batch = Batch::new();
        contacts::assert_unchanged(&mut batch, agent, &known.did, Some(&known));
        contacts::put(&mut batch, agent, &contact);
        let event = Event::key_changed(agent, &contact, KeyRuling::NeedsApproval);
        events::put(&mut batch, home.now(), event.into_iter().collect());
        // If somebody was faster, that was told.
        home.commit_and_report(batch, Debts::new(), None).await.map(drop)?;
        home.news.wake();
    }
    Ok(true)
}

/// Remembers whose request is approved, with the keys that it came with: those are what the operator
/// has heard of.
async fn first_contact(
    home: &Home,
    agent: &Did,
    received: &Received,
) -> Result<Option<Contact>, StoreFault> {
    let (store, sender) = (home.store.as_ref(), &received.sender);
    if contacts::contact(store, agent, sender).await?.is_some() {
        return Ok(None);
    }
    let document = documents::document(store, sender, &received.document).await?;
    Ok(Some(Contact::new(sender, document.as_ref(), home.now())))
}

/// Packs the recipient's own report on a request that came to nothing. A sender that cannot be written
/// to gets none, and there is none about a report.
pub(crate) async fn report(
    home: &Arc<Home>,
    received: &Received,
    refusal: Refusal,
) -> Option<Arc<Queued>> {
    if is_notice(&received.type_) {
        return None;
    }
    // By the form of its DID that has its document in it.
    let agent = home.identities.by_did(&received.recipient)?;
    let (from, to) = (&agent.did, &received.sender);
    let (id, thid, problem) = (&received.id, &received.thid, refusal.to_report());
    let message = problem_report(from, to, id, thid, problem, home.now());
    outbound::prepare_notice(home, message).await.ok()
}
