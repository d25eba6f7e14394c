//! Reads what the policy has to know about a message, on its way in and on its way out. What it means
//! is decided in `comity_core::trust`.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_core::limits::TOKENS_PER_MESSAGE_MAX;
use comity_core::trust::{
    self, Contact, Direction, Entry, Facts, Fence, Load, Meter, MeterId, Passage, Question,
    Recipient, Scrutiny, Template, Used, Whom, price, subject,
};
use comity_didcomm::Did;
use comity_net::Handle;
use comity_store::StoreFault;
use comity_store::records::{MessageKey, contacts, mailbox, meters, outbox, relations, spent};

use crate::grants;
use crate::home::Home;
use crate::limits::ENTRIES_MAX;
use crate::{outcomes, vouches};

/// Reads what is known about a message that arrives. When its sender is looked at closely, vouchers
/// are asked what is not known.
pub(crate) async fn of_arrival(home: &Arc<Home>, question: &Question) -> Result<Facts, StoreFault> {
    let (recipient, sender) = (&question.recipient, &question.sender);
    let store = home.store.as_ref();
    let role = home.identities.role(recipient).unwrap_or(Recipient::Agent);
    let mut facts = Facts::nothing_known(role);
    if role == Recipient::Home {
        let operator = home.config.operator.as_ref().map(subject);
        facts.sender_is_operator = operator.is_some_and(|operator| operator == question.sender);
        if facts.sender_is_operator {
            facts.contact = contacts::contact(store, recipient, sender).await?;
        }
        return Ok(facts);
    }
    if let Some(agent) = home.identities.by_did(recipient) {
        facts.policy = home.policies.of(&agent.name);
    }
    facts.sender_is_home = *sender == subject(&home.did);
    facts.entries = relations::about(store, recipient, Direction::In, sender).await?;
    // Also of those whose keys cannot change: since when they are known would else begin anew with each
    // message.
    facts.contact = contacts::contact(store, recipient, sender).await?;
    let prior_contact = match &question.prior {
        Some(prior) => contacts::contact(store, recipient, &prior.did).await?,
        None => None,
    };
    let has_moved_here = |contact: &Contact| contact.may_be_succeeded_by(sender);
    let prior =
        question.prior.as_ref().filter(|_| prior_contact.as_ref().is_none_or(has_moved_here));
    if let Some(prior) = prior {
        let of_prior = relations::about(store, recipient, Direction::In, &prior.did).await?;
        facts.entries.extend(of_prior.into_iter().filter(|entry| entry.whom.did().is_some()));
        facts.prior_contact = prior_contact;
    }
    facts.anchors = relations::anchors(store, recipient, home.now()).await?;
    facts.used = used(home, recipient, &facts.entries).await?;
    if let Some(granted) = &question.shown.granted {
        for meter in granted.meters() {
            facts.used.push((meter.id, meters::used(store, &meter, home.now()).await?));
        }
        for (grantor, _) in granted.handed_on_by() {
            let grantor = subject(grantor);
            facts.grantors.extend(contacts::contact(store, recipient, &grantor).await?);
            facts.go_betweens.extend(about_one(home, recipient, grantor).await?);
        }
    }
    // Who was written to may answer under the DID that it proves to have now.
    let written_to = [Some(sender), prior.map(|prior| &prior.did)];
    for party in written_to.into_iter().flatten() {
        for thread in &question.threads {
            let wrote = outbox::wrote_in_thread(store, recipient, party, thread).await?;
            facts.wrote_in_thread = facts.wrote_in_thread.max(wrote);
        }
    }
    if facts.policy.template == Template::Ants {
        facts.processed = contacts::processed(store, recipient, sender).await?;
    }
    // What concerns strangers decides nothing at a quick look.
    if question.scrutiny == Scrutiny::Thorough {
        let request = mailbox::request(store, recipient, sender).await?;
        facts.request = request.map(|waiting| waiting.held.request.state);
        facts.pool = mailbox::pool(store, recipient, home.capacity()).await?;
        let load = Load {
            pending: facts.pool.pending,
            pending_max: facts.pool.pending_max,
            earlier: spent::knocks(store, recipient, sender).await?,
        };
        facts.price_bits = price(facts.policy.work_bits, load);
        facts.book = vouches::look(home, question, &facts).await?;
        // Conduct weighs vouches, and those begin with the anchors.
        let (anchors, book) = (&facts.anchors, &facts.book);
        let on_way = book.ways(anchors, sender, home.now());
        let vouchers: BTreeSet<Did> = on_way.iter().map(|vouch| subject(vouch.issuer())).collect();
        for voucher in vouchers {
            facts.go_betweens.extend(about_one(home, recipient, voucher).await?);
        }
        if !on_way.is_empty() || anchors.contains(sender) {
            facts.standings = outcomes::standings(home, recipient, anchors, book).await?;
        }
    }
    Ok(facts)
}

/// Reads how far an agent is fenced in.
pub(crate) async fn of_departure(home: &Home, passage: &Passage) -> Result<Fence, StoreFault> {
    let store = home.store.as_ref();
    let (from, to) = (&passage.from, &passage.to);
    let mut fence = Fence::none();
    if let Some(agent) = home.identities.by_did(from) {
        fence.policy = home.policies.of(&agent.name);
    }
    fence.entries = relations::about(store, from, Direction::Out, to).await?;
    fence.used = used(home, from, &fence.entries).await?;
    let sent = outbox::sent(store, MessageKey::sent(from, &passage.id)).await?;
    fence.is_repeat = sent.is_some_and(|sent| sent.recipient.same_subject(to));
    fence.carries.grants = grants::carried(home, passage).await?;
    for thread in &passage.threads {
        fence.is_answer |= mailbox::began_thread(store, from, to, thread).await?;
    }
    let room = TOKENS_PER_MESSAGE_MAX.saturating_sub(fence.carries.grants.len());
    fence.carries.credentials = vouches::to_show(home, from, room).await?;
    Ok(fence)
}

/// Whether nothing that an agent says may get to somebody.
pub(crate) async fn is_denied(home: &Home, agent: &Did, to: &Did) -> Result<bool, StoreFault> {
    let entries = relations::about(home.store.as_ref(), agent, Direction::Out, to).await?;
    Ok(Fence { entries, ..Fence::none() }.denies(to))
}

/// Whether an agent may have a host asked for whom a handle means.
pub(crate) async fn lets_look_up(
    home: &Home,
    agent: &Did,
    handle: &Handle,
) -> Result<bool, StoreFault> {
    let Some(identity) = home.identities.by_did(agent) else { return Ok(false) };
    let policy = home.policies.of(&identity.name);
    let store = home.store.as_ref();
    let entries = relations::entries(store, agent, Direction::Out, ENTRIES_MAX).await?;
    Ok(trust::may_look_up(handle.host(), handle.port(), &policy, &entries, home.now()))
}

/// Reads the entry about somebody alone.
async fn about_one(home: &Home, agent: &Did, did: Did) -> Result<Option<Entry>, StoreFault> {
    let store = home.store.as_ref();
    let found = relations::find(store, agent, Direction::In, &Whom::Did(did)).await?;
    Ok(found.map(|found| found.entry))
}

async fn used(
    home: &Home,
    agent: &Did,
    entries: &[Entry],
) -> Result<Vec<(MeterId, Used)>, StoreFault> {
    let mut all = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.limits.is_unlimited()) {
        let meter = Meter { id: entry.meter(agent), limits: entry.limits };
        all.push((meter.id, meters::used(home.store.as_ref(), &meter, home.now()).await?));
    }
    Ok(all)
}
