//! Takes the operator's decisions. That they come from the operator was decided by the policy.

use std::sync::Arc;

use comity_core::event::Decider;
use comity_core::inbound::{Commit, Placement, Written, problem_report};
use comity_core::protocol::OPERATOR;
use comity_core::protocol::operator::{Decision, Operator, Outcome};
use comity_core::receipt::{Rung, State};
use comity_core::record::Received;
use comity_core::refusal::Refusal;
use comity_core::trust::{Direction, Entry, EntryKind, Level, Whom};
use comity_didcomm::{Did, Message};
use comity_store::records::mailbox::Waiting;
use comity_store::records::notices::Debts;
use comity_store::records::{ladder, mailbox, message_key, relations};
use comity_store::{Batch, StoreFault};

use super::{decided, message_of};
use crate::decide::{self, Settled};
use crate::home::Home;
use crate::inbound::put_contact;
use crate::limits::CONFLICTS_MAX;
use crate::outbound;

/// Whether a message is one of the operator's to this home.
pub(crate) fn is_for_us(commit: &Commit) -> bool {
    let protocol = commit.message().type_.protocol();
    matches!(commit.placement(), Placement::Home) && protocol.as_str() == OPERATOR
}

/// What a decision is about, and where that stands.
enum Judged {
    /// A request that waits, and the entry that the decision makes.
    Open(Box<(Waiting, Entry)>),
    /// A request that does not wait any more.
    Over(Outcome),
}

/// Takes a decision: it is stored, with what becomes of the request, when this returns. Taken twice, it
/// changes nothing more, so that nothing has to be kept by which a repeat is known.
pub(crate) async fn hear(home: &Arc<Home>, commit: &Commit) -> Result<Written, StoreFault> {
    // The keys of other DIDs cannot change.
    if commit.contact().is_some_and(|contact| !contact.keys.is_empty()) {
        let mut batch = Batch::new();
        put_contact(&mut batch, commit);
        home.commit_and_report(batch, Debts::new(), None).await.map(drop)?;
    }
    let mut refused = None;
    for _attempt in 0..CONFLICTS_MAX {
        let judged = match refused {
            Some(refusal) => Err(refusal),
            None => judge(home, commit).await?,
        };
        match judged {
            Ok(Judged::Open(open)) => {
                let (waiting, entry) = *open;
                let agent = &waiting.held.received.recipient;
                let (by, debts) = (Decider::OperatorAgent, owed(home, commit.received(), None));
                // What has become of the request is told as of every decided one: by its event.
                let settled =
                    decide::settle_with(home, agent, &entry, by, Some(&waiting), debts).await?;
                match settled {
                    Settled::Changed => {}
                    Settled::Done(_) => return Ok(Written::New { seq: 0 }),
                    // What an operator decides about a request is about one party.
                    Settled::EntriesFull | Settled::MailboxFull => {
                        refused = Some(Refusal::MailboxFull)
                    }
                    Settled::OtherKeys => refused = Some(Refusal::KeyChanged),
                }
            }
            Ok(Judged::Over(outcome)) => {
                let thread = commit.message().thread_id();
                let decided = decided(home, &commit.received().sender, thread, outcome);
                return answer(home, commit, decided, None).await;
            }
            Err(refusal) => {
                let report = Some(report(home, commit, refusal));
                return answer(home, commit, report, Some(refusal)).await;
            }
        }
    }
    Ok(Written::Temporary(Refusal::Busy))
}

async fn judge(home: &Home, commit: &Commit) -> Result<Result<Judged, Refusal>, StoreFault> {
    let store = home.store.as_ref();
    // Whoever has to answer for a decision should not be able to deny that it was made.
    if commit.opened().signed().is_none() {
        return Ok(Err(Refusal::NotSigned));
    }
    let Ok(Operator::Decision(decision)) = Operator::parse(commit.message()) else {
        return Ok(Err(Refusal::Malformed));
    };
    let Some(message) = message_of(commit.message().thread_id()) else {
        return Ok(Err(Refusal::NoSuchRequest));
    };
    let Some((known, _)) = mailbox::known(store, message).await? else {
        return Ok(Err(Refusal::NoSuchRequest));
    };
    let (agent, sender) = (&known.received.recipient, &known.received.sender);
    let waiting = mailbox::request(store, agent, sender).await?;
    // The sender may have another request by now, about which nothing was said here.
    let same = waiting.filter(|waiting| message_key(&waiting.held.received) == message);
    if let Some(waiting) = same {
        let entry = entry(home, agent, sender, decision);
        return Ok(entry.map(|entry| Judged::Open(Box::new((waiting, entry)))));
    }
    if !known.rung.pending {
        return Ok(Err(Refusal::NoSuchRequest));
    }
    let found = relations::find(store, agent, Direction::In, &Whom::Did(sender.clone())).await?;
    let kind = found.map(|found| found.entry.kind);
    let ladder = ladder::received(store, message).await?;
    let rungs = ladder.map(|ladder| ladder.rungs).unwrap_or_default();
    let reached: Vec<State> = rungs.iter().map(|rung| rung.state).collect();
    Ok(Outcome::of(kind, &reached).map(Judged::Over).ok_or(Refusal::NoSuchRequest))
}

/// Makes the entry that a decision is for.
fn entry(home: &Home, agent: &Did, sender: &Did, decision: Decision) -> Result<Entry, Refusal> {
    let now = home.now();
    let made = |kind| {
        let entry = Entry::new(Whom::Did(sender.clone()), kind, now);
        Entry { salt: rand::random(), ..entry }
    };
    match decision {
        Decision::Approve { until: Some(until), .. } if until <= now => Err(Refusal::Malformed),
        Decision::Approve { protocols, until, level } => {
            let policy = home.identities.by_did(agent).map(|agent| home.policies.of(&agent.name));
            let given = || policy.map_or(Level::Message, |policy| policy.level_for(&protocols));
            let level = level.unwrap_or_else(given);
            Ok(Entry { protocols, until, level, ..made(EntryKind::Allow) })
        }
        Decision::Deny => Ok(made(EntryKind::Deny)),
    }
}

/// Answers what changes nothing.
async fn answer(
    home: &Arc<Home>,
    commit: &Commit,
    message: Option<Message>,
    refusal: Option<Refusal>,
) -> Result<Written, StoreFault> {
    let queued = match message {
        Some(message) => outbound::prepare_notice(home, message).await.ok(),
        None => None,
    };
    let debts = owed(home, commit.received(), refusal);
    // Nothing in the batch demands anything but the answer itself, which a full outbox costs.
    home.commit_and_report(Batch::new(), debts, queued).await.map(drop)?;
    Ok(Written::New { seq: 0 })
}

fn report(home: &Home, commit: &Commit, refusal: Refusal) -> Message {
    let (received, problem) = (commit.received(), refusal.to_report());
    let (id, thid) = (&received.id, &received.thid);
    problem_report(&home.did, &received.sender, id, thid, problem, home.now())
}

/// Owes the receipt about the operator's own message, if it asked for one.
fn owed(home: &Home, received: &Received, refusal: Option<Refusal>) -> Debts {
    let (now, by) = (home.now(), home.did.clone());
    let rung = match refusal {
        Some(refusal) => Rung::refused(now, by, refusal.code(), Some(refusal.meaning())),
        None => Rung::new(State::Processed, now, by),
    };
    let mut debts = Debts::new();
    debts.owe(received, &rung);
    debts
}
