//! Carries what is in the outbox to the peers: a task per destination, messages of one pair of
//! agents in order, back-off shared. What a peer demands for a message is paid in `transmit/pay.rs`.

mod pay;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use comity_core::api::Working;
use comity_core::inbound::{Arrival, Outcome, problem_report};
use comity_core::outbound::{
    Attempt, Charge, Queued, REFUSED_WITHOUT_CODE, Step, after_attempt, ends_ladder,
};
use comity_core::receipt::{Rung, State};
use comity_core::record::{Outgoing, OutgoingKind, Sent, key_hash};
use comity_core::refusal::Refusal;
use comity_didcomm::Did;
use comity_didcomm::problem::{ProblemCode, ProblemReport};
use comity_net::{DeliverError, Demand, MediaType, Unreachable};
use comity_store::records::notices::Debts;
use comity_store::records::outbox::{self, Destination};
use comity_store::records::{MessageKey, ladder};
use comity_store::{Batch, Seq, StoreFault};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::pay::Workshop;
use crate::home::{Committed, Home};
use crate::learn::Learned;
use crate::limits::{LANES, READ_AHEAD_MAX, SLOW_POLL};
use crate::{inbound, outbound};

/// The destinations that are being served.
#[derive(Default)]
pub(crate) struct Transmitter {
    destinations: Mutex<HashMap<Destination, Arc<Route>>>,
    tasks: Mutex<JoinSet<()>>,
    workshop: Workshop,
}

/// What the lanes to one destination share.
#[derive(Default)]
struct Route {
    more: Notify,
    failures: AtomicU32,
}

/// Code for an endpoint to which nothing can be delivered (DIDComm v2.1, Report Problem 2.0).
const CANNOT_USE_ENDPOINT: &str = "e.p.xfer.cant-use-endpoint";

impl Transmitter {
    /// Says that a message for a destination is in the outbox.
    pub(crate) fn wake(&self, home: &Arc<Home>, outgoing: &Outgoing) {
        self.wake_destination(home, Destination::of(outgoing));
    }

    /// Serves what an earlier run of the node left in the outbox.
    pub(crate) fn resume(&self, home: &Arc<Home>, destinations: &[Destination]) {
        for destination in destinations {
            self.wake_destination(home, *destination);
        }
    }

    /// Stops serving; what is under way is tried again by the next run.
    pub(crate) fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Tells which puzzle is being solved for a message.
    pub(crate) fn working(&self, message: MessageKey) -> Option<Working> {
        self.workshop.working(message)
    }

    /// Counts the destinations whose last transmission failed.
    pub(crate) fn unreachable(&self) -> usize {
        let routes = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().filter(|route| 0 < route.failures.load(Ordering::Relaxed)).count()
    }

    fn wake_destination(&self, home: &Arc<Home>, destination: Destination) {
        let mut routes = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(&destination) {
            route.more.notify_one();
            return;
        }
        let route = Arc::new(Route::default());
        routes.insert(destination, Arc::clone(&route));
        drop(routes);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended leave their place.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(serve(Arc::clone(home), destination, route));
    }

    /// Ends a route that has nothing left, unless something came in this moment.
    fn retire(&self, destination: Destination, route: &Route) -> bool {
        let mut routes = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        let more = futures_util::FutureExt::now_or_never(route.more.notified()).is_some();
        if !more {
            routes.remove(&destination);
        }
        !more
    }
}

/// Serves one destination until its part of the outbox is empty.
async fn serve(home: Arc<Home>, destination: Destination, route: Arc<Route>) {
    let mut lanes = Lanes::new();
    let mut under_way = JoinSet::new();
    let mut lane_of_task = HashMap::new();
    let mut cursor = Seq(0);
    // Whether the outbox may hold rows after the cursor.
    let mut unread = true;
    loop {
        let room = READ_AHEAD_MAX.saturating_sub(lanes.held);
        if unread && 0 < room {
            match outbox::rows(home.store.as_ref(), destination, cursor, room).await {
                Ok(rows) => {
                    unread = rows.len() == room;
                    for (seq, outgoing) in rows {
                        cursor = seq;
                        lanes.push(seq, outgoing);
                    }
                }
                Err(fault) => {
                    tracing::error!(%fault, "the outbox cannot be read");
                    tokio::time::sleep(SLOW_POLL).await;
                    continue;
                }
            }
        }
        while let Some((lane, seq, outgoing)) = lanes.take() {
            let (home, route) = (Arc::clone(&home), Arc::clone(&route));
            // A task of its own: what is sent within the home is opened here, which takes a
            // processor for a while.
            let task = under_way.spawn(async move { carry(&home, &route, seq, &outgoing).await });
            lane_of_task.insert(task.id(), lane);
        }
        if under_way.is_empty() {
            if home.transmitter.retire(destination, &route) {
                return;
            }
            unread = true;
            continue;
        }
        tokio::select! {
            () = route.more.notified() => unread = true,
            Some(carried) = under_way.join_next_with_id() => {
                let task = match &carried {
                    Ok((task, ())) => *task,
                    Err(error) => {
                        // It stays in the outbox; the next start of the node tries it again.
                        tracing::error!(%error, "a message was not carried to its end");
                        error.id()
                    }
                };
                if let Some(lane) = lane_of_task.remove(&task) {
                    lanes.done(lane);
                }
            }
        }
    }
}

/// Messages that were read, by the pair of agents whose order they keep.
struct Lanes {
    queues: Vec<VecDeque<(Seq, Outgoing)>>,
    /// Lanes with a message under way.
    busy: Vec<bool>,
    /// Lanes that have something to take.
    ready: VecDeque<usize>,
    /// How many messages were read and have not ended.
    held: usize,
}

impl Lanes {
    fn new() -> Self {
        Self {
            queues: vec![VecDeque::new(); 2 * LANES],
            busy: vec![false; 2 * LANES],
            ready: VecDeque::new(),
            held: 0,
        }
    }

    fn push(&mut self, seq: Seq, outgoing: Outgoing) {
        let lane = lane_of(&outgoing);
        let (Some(queue), Some(busy)) = (self.queues.get_mut(lane), self.busy.get(lane)) else {
            return;
        };
        if queue.is_empty() && !busy {
            self.ready.push_back(lane);
        }
        queue.push_back((seq, outgoing));
        self.held += 1;
    }

    fn take(&mut self) -> Option<(usize, Seq, Outgoing)> {
        let lane = self.ready.pop_front()?;
        let (seq, outgoing) = self.queues.get_mut(lane)?.pop_front()?;
        *self.busy.get_mut(lane)? = true;
        Some((lane, seq, outgoing))
    }

    fn done(&mut self, lane: usize) {
        self.held = self.held.saturating_sub(1);
        if let Some(busy) = self.busy.get_mut(lane) {
            *busy = false;
        }
        if self.queues.get(lane).is_some_and(|queue| !queue.is_empty()) {
            self.ready.push_back(lane);
        }
    }
}

/// Messages of one pair of agents keep their order by sharing a lane. What the home itself says has
/// lanes apart: a message may wait for it at the peer, and would hold up its own answer.
fn lane_of(outgoing: &Outgoing) -> usize {
    let pair = [outgoing.sender.as_str().as_bytes(), outgoing.recipient.as_str().as_bytes()];
    let [first, second, ..] = key_hash(&pair);
    let lane = usize::from(u16::from_be_bytes([first, second])) % LANES;
    match outgoing.kind {
        OutgoingKind::Message => lane,
        OutgoingKind::Notice => LANES + lane,
    }
}

/// Carries one message until it has arrived, was refused, or has expired.
async fn carry(home: &Arc<Home>, route: &Route, seq: Seq, outgoing: &Outgoing) {
    let mut attempts = 0_u32;
    // How often work was demanded, and what there is to show for it.
    let (mut charged, mut work) = (0_u32, None);
    loop {
        let answer = match outgoing.expires <= home.now() {
            true => Answer::Judged(Attempt::Unreachable),
            false => attempt(home, seq, outgoing, work.as_deref()).await,
        };
        attempts = attempts.saturating_add(1);
        let (attempt, demand) = match answer {
            Answer::Judged(attempt) => (attempt, None),
            Answer::Demands(demand) => {
                charged = charged.saturating_add(1);
                let (bits, bits_max) = (demand.bits, home.config.work_bits_max);
                let charge = Charge { bits, times: charged, bits_max };
                (Attempt::Charged(charge), Some(demand))
            }
        };
        let failures = match attempt {
            Attempt::Unreachable => {
                route.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
            }
            _ => {
                route.failures.store(0, Ordering::Relaxed);
                0
            }
        };
        // Lanes count together: a peer that is away is asked by all of them no more often than by
        // one for long.
        let counted = attempts.max(failures / u32::try_from(LANES).unwrap_or(1));
        let step = after_attempt(outgoing, attempt, counted, home.now(), rand::random());
        let pause = match step {
            Step::Retry { pause_ms } => Duration::from_millis(pause_ms),
            Step::Pay => {
                work = match &demand {
                    Some(demand) => pay::solve(home, outgoing, demand).await,
                    None => None,
                };
                // What was not even begun was nobody's doing but ours.
                charged -= u32::from(work.is_none());
                continue;
            }
            ended => match end(home, seq, outgoing, &ended).await {
                Ok(()) => return,
                Err(fault) => {
                    tracing::error!(%fault, "the end of a transmission cannot be stored");
                    SLOW_POLL
                }
            },
        };
        tokio::time::sleep_until(Instant::now() + pause).await;
    }
}

/// What came of an attempt.
enum Answer {
    /// The peer takes it when work is shown.
    Demands(Demand),
    /// Anything else.
    Judged(Attempt),
}

async fn attempt(home: &Arc<Home>, seq: Seq, outgoing: &Outgoing, work: Option<&str>) -> Answer {
    let envelope = match outbox::envelope(home.store.as_ref(), seq).await {
        Ok(Some(envelope)) => envelope,
        // It was taken out meanwhile, for instance because it expired: there is nothing left to do.
        Ok(None) => return Answer::Judged(Attempt::Accepted),
        Err(fault) => {
            tracing::error!(%fault, "an envelope cannot be read");
            return Answer::Judged(Attempt::RetryLater { after_s: None });
        }
    };
    let Some(uri) = &outgoing.uri else {
        let outcome = inbound::receive(home, Arrival::same_home(envelope)).await;
        return Answer::Judged(within_the_home(&outcome));
    };
    let envelope = Bytes::from(envelope);
    // The addresses lead to the same peer: whatever it answers at one of them is its answer.
    let mut without_answer = Attempt::Refused { code: Some(CANNOT_USE_ENDPOINT.to_owned()) };
    for uri in std::iter::once(uri).chain(&outgoing.also) {
        match post(home, uri, envelope.clone(), work).await {
            Ok(answer) => return answer,
            Err(reason) if reason.is_lasting() => {
                tracing::info!(%reason, "an endpoint cannot be used");
            }
            Err(reason) => {
                tracing::debug!(%reason, "a peer was not reached");
                without_answer = Attempt::Unreachable;
            }
        }
    }
    Answer::Judged(without_answer)
}

fn within_the_home(outcome: &Outcome) -> Attempt {
    let refused = |refusal: &Refusal| Attempt::Refused { code: Some(refusal.code().to_owned()) };
    match outcome {
        Outcome::TurnedAway(refusal) if refusal.is_temporary() => {
            Attempt::RetryLater { after_s: None }
        }
        Outcome::TurnedAway(refusal) => refused(refusal),
        // Nobody pays at home; a policy that demands it does not want the message.
        Outcome::Charged(_) => refused(&Refusal::WorkRequired),
        _ => Attempt::Accepted,
    }
}

/// Posts to one address, and returns the peer's answer if there is one.
async fn post(
    home: &Home,
    uri: &str,
    envelope: Bytes,
    work: Option<&str>,
) -> Result<Answer, Unreachable> {
    match home.deliverer.post(uri, envelope, MediaType::Encrypted, work).await {
        Ok(_) => Ok(Answer::Judged(Attempt::Accepted)),
        Err(DeliverError::Charged(demand)) => Ok(Answer::Demands(demand)),
        Err(DeliverError::Refused { code, .. }) => Ok(Answer::Judged(Attempt::Refused { code })),
        Err(DeliverError::RetryLater { after, .. }) => {
            let after_s = after.map(|after| after.as_secs());
            Ok(Answer::Judged(Attempt::RetryLater { after_s }))
        }
        Err(DeliverError::Unreachable(reason)) => Err(reason),
        // Whatever else it may be, it is no answer.
        Err(_) => Err(Unreachable::Broken),
    }
}

/// Takes a message out of the outbox; one that did not arrive ends its ladder, and its sender is
/// told.
async fn end(
    home: &Arc<Home>,
    seq: Seq,
    outgoing: &Outgoing,
    step: &Step,
) -> Result<(), StoreFault> {
    let mut batch = Batch::new();
    outbox::remove(&mut batch, seq, outgoing);
    let failure = match step {
        Step::Refuse { code, reason } => {
            Some(Failure { state: State::Refused, code: code.as_str(), reason: reason.as_deref() })
        }
        Step::Expire => Some(Failure::EXPIRED),
        Step::Pay | Step::Settle | Step::Retry { .. } => None,
    };
    match failure {
        Some(failure) if outgoing.kind == OutgoingKind::Message => {
            fail(home, batch, &outgoing.sender, &outgoing.id, failure).await
        }
        // A conflict means that it was taken out meanwhile, for instance because it expired.
        _ => home.commit(batch, Debts::new(), None).await.map(drop),
    }
}

/// Why a message came to nothing.
#[derive(Clone, Copy)]
pub(crate) struct Failure<'a> {
    state: State,
    code: &'a str,
    /// In our own words, when it is this home that gives up.
    reason: Option<&'a str>,
}

impl Failure<'_> {
    /// Its time is over.
    pub(crate) const EXPIRED: Self =
        Self { state: State::Expired, code: Refusal::Expired.code(), reason: None };
}

/// Ends the ladder of a sent message that came to nothing, and reports it to its sender, all in one
/// batch.
pub(crate) async fn fail(
    home: &Arc<Home>,
    mut batch: Batch,
    sender: &Did,
    id: &str,
    failure: Failure<'_>,
) -> Result<(), StoreFault> {
    let Failure { state, code, reason } = failure;
    let sent = outbox::sent(home.store.as_ref(), MessageKey::sent(sender, id)).await?;
    let mut learned = Learned::default();
    let mut report = None;
    let known = ladder::sent_rungs(home.store.as_ref(), MessageKey::sent(sender, id)).await?;
    if let Some(sent) = sent.as_ref().filter(|_| ends_ladder(state, &known)) {
        let rung = match state {
            State::Refused => Rung::refused(home.now(), home.did.clone(), code, reason),
            _ => Rung::new(state, home.now(), home.did.clone()),
        };
        if learned.climb(home, &mut batch, sent, rung).await? {
            report = self::report(home, sent, failure).await;
        }
    }
    if home.commit_and_report(batch, Debts::new(), report).await? == Committed::Durable {
        learned.tell(home);
    }
    Ok(())
}

/// Packs the home's report to the sender of a message that came to nothing.
pub(crate) async fn report(
    home: &Arc<Home>,
    sent: &Sent,
    failure: Failure<'_>,
) -> Option<Arc<Queued>> {
    let Failure { state, code, reason } = failure;
    let comment = match (state, &sent.via) {
        _ if reason.is_some() => reason.unwrap_or_default(),
        (State::Expired, _) => "The message expired before it was processed",
        (_, None) => "The recipient's home refused the message",
        (_, Some(_)) => "The recipient's home or its mediator refused the message",
    };
    // A peer's code may be anything.
    let code =
        ProblemCode::parse(code).or_else(|_| ProblemCode::parse(REFUSED_WITHOUT_CODE)).ok()?;
    let problem = ProblemReport::new(code, comment);
    let (from, to) = (&home.did, &sent.sender);
    let message = problem_report(from, to, &sent.id, &sent.thid, problem, home.now());
    outbound::prepare_notice(home, message).await.ok()
}

#[cfg(test)]
mod tests {
    use comity_didcomm::UnixTime;

    use super::*;

    fn outgoing(id: &str, kind: OutgoingKind) -> Outgoing {
        Outgoing {
            id: id.to_owned(),
            sender: "did:web:a.example:agents:aria".parse().unwrap(),
            recipient: "did:web:b.example:agents:bruno".parse().unwrap(),
            uri: None,
            also: Vec::new(),
            relayed: false,
            expires: UnixTime(1_000),
            kind,
            work_bits_max: None,
        }
    }

    #[test]
    fn what_the_home_says_does_not_wait_behind_a_message() {
        // The message of somebody who is vouched for waited at the peer for the voucher's answer. Where
        // both live in one home, one pair in a hundred shared a lane, and the answer never came.
        let mut lanes = Lanes::new();
        lanes.push(Seq(1), outgoing("m-1", OutgoingKind::Message));
        lanes.push(Seq(2), outgoing("m-2", OutgoingKind::Message));
        lanes.push(Seq(3), outgoing("n-1", OutgoingKind::Notice));
        let taken: Vec<_> =
            std::iter::from_fn(|| lanes.take()).map(|(_, _, outgoing)| outgoing.id).collect();
        assert_eq!(taken, ["m-1", "n-1"], "and the second message after the first");
    }
}
