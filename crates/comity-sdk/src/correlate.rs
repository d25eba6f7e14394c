//! Which message is the reply to which request: same thread, from the one who was asked. Pure.
//!
//! A request ends with the first of: a message of its thread from its recipient, a problem report of its
//! recipient about its thread, the rung `refused` or `expired` of its message. While the recipient is known
//! by handle only, candidates are kept back.

use std::collections::{HashMap, VecDeque};

use comity_core::api::TraceState;
use comity_core::receipt::State;
use comity_didcomm::Did;
use tokio::sync::oneshot;

use crate::limits;
use crate::received::{Received, problem_code};

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Expired,
    Refused { code: String, comment: String },
    Reply(Box<Received>),
}

/// What becomes of a message.
#[derive(Debug)]
pub(crate) enum Offer {
    /// A problem report about a request that has ended already.
    Late(Received),
    /// No request waits for it.
    Nobodys(Received),
    /// It belongs to a request.
    Taken,
}

/// Names a waiting request.
pub(crate) type Ticket = u64;

#[derive(Debug)]
struct Waiting {
    id: String,
    thid: String,
    /// DID of the recipient, once it is known.
    peer: Option<String>,
    parked: Vec<Received>,
    last_state: Option<State>,
    replied: bool,
    outcome: Option<oneshot::Sender<Outcome>>,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Correlation {
    by_id: HashMap<String, Ticket>,
    by_thread: HashMap<String, VecDeque<Ticket>>,
    ended: VecDeque<String>,
    next: Ticket,
    waiting: HashMap<Ticket, Waiting>,
}

impl Correlation {
    /// Starts to wait. `None`: too many wait already.
    pub(crate) fn register(
        &mut self,
        id: String,
        thid: String,
        peer: Option<String>,
    ) -> Option<(Ticket, oneshot::Receiver<Outcome>)> {
        if limits::REQUESTS_MAX <= self.waiting.len() {
            return None;
        }
        let ticket = self.next;
        self.next += 1;
        let (outcome, receiver) = oneshot::channel();
        self.by_id.insert(id.clone(), ticket);
        self.by_thread.entry(thid.clone()).or_default().push_back(ticket);
        let waiting = Waiting {
            id,
            thid,
            peer,
            parked: Vec::new(),
            last_state: None,
            replied: false,
            outcome: Some(outcome),
        };
        self.waiting.insert(ticket, waiting);
        Some((ticket, receiver))
    }

    /// Stops to wait. Returns messages that were kept back, to be handed on.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Vec<Received> {
        let Some(waiting) = self.waiting.remove(&ticket) else {
            return Vec::new();
        };
        if self.by_id.get(&waiting.id) == Some(&ticket) {
            self.by_id.remove(&waiting.id);
        }
        if let Some(tickets) = self.by_thread.get_mut(&waiting.thid) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.by_thread.remove(&waiting.thid);
            }
        }
        // One that got its reply ended well: a later report in its thread is about something else.
        if !waiting.replied {
            self.ended.push_back(waiting.thid);
        }
        if limits::ENDED_REMEMBERED_MAX < self.ended.len() {
            self.ended.pop_front();
        }
        waiting.parked
    }

    /// Learns who a recipient is. Returns messages that were kept back, to be handed on, now to the right place.
    pub(crate) fn identify(&mut self, ticket: Ticket, peer: String) -> Vec<Received> {
        let Some(waiting) = self.waiting.get_mut(&ticket) else {
            return Vec::new();
        };
        waiting.peer = Some(peer);
        std::mem::take(&mut waiting.parked)
    }

    /// Offers a message to the requests of its thread, the oldest first.
    pub(crate) fn offer(&mut self, mut received: Received) -> Offer {
        let report = received.problem();
        let thread = match (&report, &received.facts.pthid) {
            (Some(_), Some(pthid)) => pthid.clone(),
            _ => received.facts.thid.clone(),
        };
        let tickets = self.by_thread.get(&thread).into_iter().flatten();
        for ticket in tickets {
            let Some(waiting) = self.waiting.get_mut(ticket) else { continue };
            let Some(peer) = &waiting.peer else {
                if waiting.parked.len() < limits::PARKED_MAX {
                    waiting.parked.push(received);
                    return Offer::Taken;
                }
                continue;
            };
            if !same_party(peer, &received.facts.from) {
                continue;
            }
            let Some(outcome) = waiting.outcome.take() else {
                if report.is_some() {
                    return Offer::Late(received);
                }
                continue;
            };
            let Some((code, comment)) = report.clone() else {
                match outcome.send(Outcome::Reply(Box::new(received))) {
                    Ok(()) => {
                        waiting.replied = true;
                        return Offer::Taken;
                    }
                    // The request was given up at this very moment: the message is anybody's.
                    Err(Outcome::Reply(unsent)) => {
                        received = *unsent;
                        continue;
                    }
                    Err(Outcome::Expired | Outcome::Refused { .. }) => return Offer::Taken,
                }
            };
            drop(outcome.send(Outcome::Refused { code, comment }));
            return Offer::Late(received);
        }
        if report.is_some()
            && let Some(at) = self.ended.iter().position(|ended| *ended == thread)
        {
            self.ended.remove(at);
            return Offer::Late(received);
        }
        Offer::Nobodys(received)
    }

    /// Takes news about the message of a request.
    pub(crate) fn apply(&mut self, id: &str, state: &TraceState) {
        let Some(waiting) = self.by_id.get(id).and_then(|ticket| self.waiting.get_mut(ticket))
        else {
            return;
        };
        let Ok(rung) = state.state.parse::<State>() else { return };
        waiting.last_state = waiting.last_state.max(Some(rung));
        let outcome = match rung {
            State::Expired => Outcome::Expired,
            State::Refused => Outcome::Refused {
                code: problem_code(state.code.as_deref()),
                comment: state.reason.clone().unwrap_or_default(),
            },
            _ => return,
        };
        if let Some(sender) = waiting.outcome.take() {
            drop(sender.send(outcome));
        }
    }

    /// Returns how far the message of a request got.
    pub(crate) fn last_state(&self, ticket: Ticket) -> Option<State> {
        self.waiting.get(&ticket)?.last_state
    }

    /// Lets everybody know that nothing will come any more.
    pub(crate) fn close(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.outcome = None;
        }
    }
}

/// Whether two DIDs name the same party: equal, or the long and the short form of one did:peer:4.
fn same_party(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (Did::parse(one), Did::parse(other)) {
        (Ok(one), Ok(other)) => one.same_subject(&other),
        _ => false,
    }
}
