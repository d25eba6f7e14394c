//! Memory of deliveries: which are held here, which are being settled, which are done with. Pure; the socket is in
//! `connection`, the mailbox itself at the home.
//!
//! A home hands everything unsettled over again on every new connection. What is still worked on here must not start a
//! second time, and what is settled must be settled again, not handled again.

use std::collections::{HashMap, VecDeque};

use comity_core::api::{Disposition, Problem};
use tokio::sync::oneshot;

use crate::hub::Closed;
use crate::limits;

/// Why a message could not be acknowledged or refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The agent is no longer connected, for good.
    #[error("the message was not settled: {0}")]
    Closed(#[from] Closed),
    /// The home would not do it.
    #[error("the home did not settle the message ({})", .0.code)]
    Refused(Problem),
}

/// What is done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    Ack,
    Refuse { code: Option<String>, reason: String },
}

/// What becomes of a delivery that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Not known: hand it on.
    New,
    /// Held or being settled: nothing to do.
    Known,
    /// Settled before: its settlement is queued again.
    SettledBefore,
}

/// Settlements of one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) deliveries: Vec<u64>,
    pub(crate) disposition: Disposition,
}

type Confirmed = oneshot::Sender<Result<(), SettleError>>;

#[derive(Debug)]
struct Entry {
    id: String,
    phase: Phase,
    waiting: Vec<Confirmed>,
}

#[derive(Debug)]
enum Phase {
    Held,
    Settling(Disposal),
    Settled(Disposal),
}

/// The deliveries that this process knows.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    entries: HashMap<u64, Entry>,
    queued: VecDeque<u64>,
    in_flight: usize,
    settled: VecDeque<u64>,
}

impl Mailbox {
    /// Takes note of a delivery that came in. A known number with another id is another message: the home's store was
    /// replaced.
    pub(crate) fn admit(&mut self, delivery: u64, id: &str) -> Admission {
        let Some(entry) = self.entries.get_mut(&delivery).filter(|entry| entry.id == id) else {
            let entry = Entry { id: id.to_owned(), phase: Phase::Held, waiting: Vec::new() };
            if self.entries.insert(delivery, entry).is_some() {
                self.settled.retain(|settled| *settled != delivery);
            }
            return Admission::New;
        };
        let Phase::Settled(disposal) = &entry.phase else {
            return Admission::Known;
        };
        entry.phase = Phase::Settling(disposal.clone());
        self.settled.retain(|settled| *settled != delivery);
        self.queued.push_back(delivery);
        Admission::SettledBefore
    }

    /// Forgets a delivery that was dropped unsettled, so that it is new when it comes again.
    pub(crate) fn release(&mut self, delivery: u64, id: &str) {
        let held = |entry: &Entry| entry.id == id && matches!(entry.phase, Phase::Held);
        if self.entries.get(&delivery).is_some_and(held) {
            self.entries.remove(&delivery);
        }
    }

    /// Queues a settlement. The first one counts.
    pub(crate) fn settle(
        &mut self,
        delivery: u64,
        id: &str,
        disposal: Disposal,
        confirmed: Option<Confirmed>,
    ) {
        let entry = self.entries.entry(delivery).or_insert_with(|| Entry {
            id: id.to_owned(),
            phase: Phase::Held,
            waiting: Vec::new(),
        });
        match entry.phase {
            // The number now names another message, which this settlement is not about.
            _ if entry.id != id => answer(confirmed, Ok(())),
            Phase::Held => {
                entry.phase = Phase::Settling(disposal);
                entry.waiting.extend(confirmed);
                self.queued.push_back(delivery);
            }
            Phase::Settling(_) => entry.waiting.extend(confirmed),
            Phase::Settled(_) => answer(confirmed, Ok(())),
        }
    }

    /// Takes the settlements of the next frame: one refusal, or all the acknowledgements that stand in a row.
    pub(crate) fn next_settlement(&mut self) -> Option<Settlement> {
        let mut deliveries = Vec::new();
        while deliveries.len() < limits::ACKS_PER_FRAME_MAX
            && let Some(&delivery) = self.queued.front()
        {
            match self.entries.get(&delivery).map(|entry| &entry.phase) {
                Some(Phase::Settling(Disposal::Ack)) => deliveries.push(delivery),
                Some(Phase::Settling(Disposal::Refuse { code, reason }))
                    if deliveries.is_empty() =>
                {
                    let (code, reason) = (code.clone(), reason.clone());
                    self.queued.pop_front();
                    self.in_flight += 1;
                    return Some(Settlement {
                        deliveries: vec![delivery],
                        disposition: Disposition::Refuse { delivery, code, reason },
                    });
                }
                Some(Phase::Settling(Disposal::Refuse { .. })) => break,
                // Replaced by another message under the same number.
                Some(Phase::Held | Phase::Settled(_)) | None => {}
            }
            self.queued.pop_front();
        }
        if deliveries.is_empty() {
            return None;
        }
        self.in_flight += deliveries.len();
        let disposition = Disposition::Ack { deliveries: deliveries.clone() };
        Some(Settlement { deliveries, disposition })
    }

    /// Takes note that the home has settled these.
    pub(crate) fn confirm(&mut self, deliveries: &[u64]) {
        self.in_flight = self.in_flight.saturating_sub(deliveries.len());
        for delivery in deliveries {
            let Some(entry) = self.entries.get_mut(delivery) else { continue };
            let Phase::Settling(disposal) = &entry.phase else { continue };
            entry.phase = Phase::Settled(disposal.clone());
            for confirmed in entry.waiting.drain(..) {
                answer(Some(confirmed), Ok(()));
            }
            self.settled.push_back(*delivery);
        }
        while limits::SETTLED_REMEMBERED_MAX < self.settled.len()
            && let Some(oldest) = self.settled.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    /// Takes note that the home would not settle these: they are forgotten, and whoever waits is told.
    pub(crate) fn fail(&mut self, deliveries: &[u64], problem: &Problem) {
        self.in_flight = self.in_flight.saturating_sub(deliveries.len());
        for delivery in deliveries {
            let Some(entry) = self.entries.remove(delivery) else { continue };
            for confirmed in entry.waiting {
                answer(Some(confirmed), Err(SettleError::Refused(problem.clone())));
            }
        }
    }

    /// Queues these again, because the home could not take them.
    pub(crate) fn repeat(&mut self, deliveries: &[u64]) {
        self.in_flight = self.in_flight.saturating_sub(deliveries.len());
        self.queued.extend(deliveries);
    }

    /// Whether nothing waits to be settled.
    pub(crate) fn is_settled(&self) -> bool {
        self.queued.is_empty() && self.in_flight == 0
    }
}

fn answer(confirmed: Option<Confirmed>, result: Result<(), SettleError>) {
    if let Some(confirmed) = confirmed {
        // Whoever asked may have stopped waiting; the settlement stands all the same.
        drop(confirmed.send(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(settlement: Option<Settlement>) -> Vec<u64> {
        match settlement.unwrap().disposition {
            Disposition::Ack { deliveries } => deliveries,
            Disposition::Refuse { .. } => panic!("a refusal"),
        }
    }

    #[test]
    fn a_held_delivery_that_comes_again_is_not_handed_on_twice() {
        let mut mailbox = Mailbox::default();
        assert_eq!(mailbox.admit(1, "a"), Admission::New);
        assert_eq!(mailbox.admit(1, "a"), Admission::Known);
        mailbox.settle(1, "a", Disposal::Ack, None);
        assert_eq!(mailbox.admit(1, "a"), Admission::Known);
    }

    #[test]
    fn a_settled_delivery_that_comes_again_is_settled_again() {
        let mut mailbox = Mailbox::default();
        mailbox.admit(1, "a");
        mailbox.settle(1, "a", Disposal::Ack, None);
        let settlement = mailbox.next_settlement().unwrap();
        mailbox.confirm(&settlement.deliveries);
        assert!(mailbox.is_settled());
        assert_eq!(mailbox.admit(1, "a"), Admission::SettledBefore);
        assert_eq!(acks(mailbox.next_settlement()), [1]);
        assert_eq!(mailbox.next_settlement(), None);
    }

    #[test]
    fn a_released_delivery_is_new_when_it_comes_again() {
        let mut mailbox = Mailbox::default();
        mailbox.admit(1, "a");
        mailbox.release(1, "a");
        assert_eq!(mailbox.admit(1, "a"), Admission::New);
    }

    #[test]
    fn a_number_with_another_id_is_another_message() {
        let mut mailbox = Mailbox::default();
        mailbox.admit(1, "a");
        mailbox.settle(1, "a", Disposal::Ack, None);
        let settlement = mailbox.next_settlement().unwrap();
        mailbox.confirm(&settlement.deliveries);
        assert_eq!(mailbox.admit(1, "b"), Admission::New);
    }

    #[test]
    fn acknowledgements_share_a_frame_and_refusals_do_not() {
        let mut mailbox = Mailbox::default();
        for delivery in 1..=4 {
            mailbox.admit(delivery, "a");
        }
        mailbox.settle(1, "a", Disposal::Ack, None);
        mailbox.settle(2, "a", Disposal::Ack, None);
        let refuse = Disposal::Refuse { code: None, reason: "no".to_owned() };
        mailbox.settle(3, "a", refuse, None);
        mailbox.settle(4, "a", Disposal::Ack, None);
        assert_eq!(acks(mailbox.next_settlement()), [1, 2]);
        let refusal = mailbox.next_settlement().unwrap();
        assert!(matches!(refusal.disposition, Disposition::Refuse { delivery: 3, .. }));
        assert_eq!(acks(mailbox.next_settlement()), [4]);
        assert!(!mailbox.is_settled());
        mailbox.repeat(&[4]);
        assert_eq!(acks(mailbox.next_settlement()), [4]);
    }

    #[test]
    fn memory_of_settled_deliveries_is_bounded() {
        let mut mailbox = Mailbox::default();
        let last = limits::SETTLED_REMEMBERED_MAX as u64;
        for delivery in 0..=last {
            mailbox.admit(delivery, "a");
            mailbox.settle(delivery, "a", Disposal::Ack, None);
            let settlement = mailbox.next_settlement().unwrap();
            mailbox.confirm(&settlement.deliveries);
        }
        assert_eq!(mailbox.entries.len(), limits::SETTLED_REMEMBERED_MAX);
        assert_eq!(mailbox.admit(0, "a"), Admission::New, "forgotten");
        assert_eq!(mailbox.admit(last, "a"), Admission::SettledBefore);
    }
}
