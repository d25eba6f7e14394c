//! Step 5: to the peer, again and again until it answers or the deadline passes.

use comity_didcomm::UnixTime;

use crate::limits::{RETRY_MS_FIRST, RETRY_MS_MAX, WORK_CHALLENGES_MAX};
use crate::receipt::{Rung, State};
use crate::record::{Outgoing, OutgoingKind};
use crate::refusal::Refusal;

/// How one transmission went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The peer has it, durably: its answer was 2xx. A mediator says by it that it will pass the
    /// message on; that the recipient's home has it, only a receipt says.
    Accepted,
    /// The peer takes it when work is shown (`docs/protocols/introduction.md`).
    Charged(Charge),
    /// The peer does not want it; the code it gave, if any.
    Refused {
        /// Problem-report code from the answer's body.
        code: Option<String>,
    },
    /// The peer cannot take it now.
    RetryLater {
        /// After how many seconds the peer wants to see it again.
        after_s: Option<u64>,
    },
    /// The peer was not reached, or not understood.
    Unreachable,
}

/// What a peer demands before it takes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The price of its puzzle.
    pub bits: u8,
    /// How many puzzles it has given for this message, this one included.
    pub times: u32,
    /// The dearest puzzle that the home solves for a message that says nothing of it.
    pub bits_max: u8,
}

/// What to do after an [`Attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The deadline has passed: forget the envelope and tell the sender.
    Expire,
    /// Solve the puzzle, and try again with the solution.
    Pay,
    /// It was refused: forget the envelope and tell the sender.
    Refuse {
        /// The peer's code, or ours when it gave none.
        code: String,
        /// Why, in our own words, when it is we who give up.
        reason: Option<String>,
    },
    /// Try again after this pause.
    Retry {
        /// The pause.
        pause_ms: u64,
    },
    /// It has arrived: forget the envelope, receipts will follow.
    Settle,
}

/// Code for a refusal by a peer that named none.
pub const REFUSED_WITHOUT_CODE: &str = "e.p.xfer.refused";

/// Code for a message whose recipient demands more work than it may cost.
pub const WORK_TOO_DEAR: &str = "e.p.req.work-too-dear";

/// Decides what follows from an attempt. `attempts` counts those made, this one included; `jitter`
/// is random in 0..1 and spreads the retries of many.
#[must_use]
pub fn after_attempt(
    outgoing: &Outgoing,
    attempt: Attempt,
    attempts: u32,
    now: UnixTime,
    jitter: f64,
) -> Step {
    let after_s = match attempt {
        Attempt::Accepted => return Step::Settle,
        Attempt::Refused { code } => {
            let code = code.unwrap_or_else(|| REFUSED_WITHOUT_CODE.to_owned());
            return Step::Refuse { code, reason: None };
        }
        Attempt::Charged(_) if outgoing.expires <= now => return Step::Expire,
        // What the home itself has to say is worth no work, and a relay may have room again.
        Attempt::Charged(_) if outgoing.kind == OutgoingKind::Notice && outgoing.relayed => None,
        Attempt::Charged(charge) => return after_charge(outgoing, charge),
        Attempt::RetryLater { after_s } => after_s,
        Attempt::Unreachable => None,
    };
    if outgoing.expires <= now {
        return Step::Expire;
    }
    let doubled = RETRY_MS_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let backoff = doubled.min(RETRY_MS_MAX);
    // Between half and all of it.
    let spread = backoff / 2 + scale(backoff / 2, jitter);
    let wished = after_s.unwrap_or(0).saturating_mul(1000).min(RETRY_MS_MAX);
    let left = outgoing.expires.0.saturating_sub(now.0).saturating_mul(1000);
    Step::Retry { pause_ms: spread.max(wished).min(left) }
}

fn after_charge(outgoing: &Outgoing, charge: Charge) -> Step {
    let refuse = |code: &str, reason| Step::Refuse { code: code.to_owned(), reason };
    // Whom the home tells something of its own, others choose: they must not choose that it works.
    if outgoing.kind == OutgoingKind::Notice {
        return refuse(Refusal::WorkRequired.code(), None);
    }
    let (bits, bits_max) = (charge.bits, outgoing.work_bits_max.unwrap_or(charge.bits_max));
    if bits_max < bits {
        let reason = format!(
            "The recipient demands work of {bits} bits, and this message may cost {bits_max}: send it \
             again with --work-max {bits}, or raise the setting work_bits_max"
        );
        return refuse(WORK_TOO_DEAR, Some(reason));
    }
    if WORK_CHALLENGES_MAX < charge.times {
        let reason =
            format!("The recipient demanded work again after {WORK_CHALLENGES_MAX} solutions");
        return refuse(Refusal::WorkRequired.code(), Some(reason));
    }
    Step::Pay
}

/// Whether a failed transmission still ends a message's ladder.
///
/// It does not when the peer has had the message all the same: its answer was lost, and what failed
/// is a repeat that came too late.
#[must_use]
pub fn ends_ladder(state: State, rungs: &[Rung]) -> bool {
    !rungs.iter().any(|rung| match state {
        State::Refused => rung.state != State::Queued,
        _ => rung.state.is_final(),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds below 2^32, and a factor in 0..1"
)]
fn scale(millis: u64, factor: f64) -> u64 {
    (millis as f64 * factor.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        Outgoing {
            id: "m-1".to_owned(),
            sender: "did:web:a.example:agents:aria".parse().unwrap(),
            recipient: "did:web:b.example:agents:bruno".parse().unwrap(),
            uri: Some("https://b.example/didcomm".to_owned()),
            also: Vec::new(),
            relayed: false,
            expires: UnixTime(1_000),
            kind: OutgoingKind::Message,
            work_bits_max: None,
        }
    }

    fn pause(attempts: u32, after_s: Option<u64>, jitter: f64) -> u64 {
        let attempt = Attempt::RetryLater { after_s };
        match after_attempt(&outgoing(), attempt, attempts, UnixTime(0), jitter) {
            Step::Retry { pause_ms } => pause_ms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_double_up_to_the_bound_and_are_spread() {
        assert_eq!(pause(1, None, 1.0), RETRY_MS_FIRST);
        assert_eq!(pause(1, None, 0.0), RETRY_MS_FIRST / 2);
        assert_eq!(pause(3, None, 1.0), RETRY_MS_FIRST * 4);
        assert_eq!(pause(60, None, 1.0), RETRY_MS_MAX);
    }

    #[test]
    fn a_peers_wish_to_wait_is_heard_within_the_bound() {
        assert_eq!(pause(1, Some(7), 0.0), 7_000);
        assert_eq!(pause(1, Some(u64::MAX), 0.0), RETRY_MS_MAX);
    }

    #[test]
    fn no_retry_is_planned_past_the_deadline() {
        let late = after_attempt(&outgoing(), Attempt::Unreachable, 60, UnixTime(999), 1.0);
        assert_eq!(late, Step::Retry { pause_ms: 1_000 });
        let over = after_attempt(&outgoing(), Attempt::Unreachable, 60, UnixTime(1_000), 1.0);
        assert_eq!(over, Step::Expire);
    }

    #[test]
    fn an_arrival_counts_even_after_the_deadline() {
        let step = after_attempt(&outgoing(), Attempt::Accepted, 1, UnixTime(2_000), 0.5);
        assert_eq!(step, Step::Settle);
    }

    #[test]
    fn a_repeat_that_fails_does_not_undo_what_the_peer_said() {
        let rungs = |states: &[State]| -> Vec<Rung> {
            let by = outgoing().recipient;
            states.iter().map(|state| Rung::new(*state, UnixTime(1), by.clone())).collect()
        };
        let accepted = rungs(&[State::Queued, State::Accepted]);
        let processed = rungs(&[State::Queued, State::Accepted, State::Processed]);
        for end in [State::Refused, State::Expired] {
            assert!(ends_ladder(end, &rungs(&[State::Queued])));
            assert!(!ends_ladder(end, &processed));
        }
        assert!(!ends_ladder(State::Refused, &accepted), "a repeat of what it has");
        assert!(ends_ladder(State::Expired, &accepted), "it has it, and did nothing with it");
    }

    #[test]
    fn a_refusal_keeps_its_code() {
        let with = Attempt::Refused { code: Some("e.m.trust.crypto".to_owned()) };
        let step = after_attempt(&outgoing(), with, 1, UnixTime(0), 0.5);
        assert_eq!(step, Step::Refuse { code: "e.m.trust.crypto".to_owned(), reason: None });
        let without =
            after_attempt(&outgoing(), Attempt::Refused { code: None }, 1, UnixTime(0), 0.5);
        let code = REFUSED_WITHOUT_CODE.to_owned();
        assert_eq!(without, Step::Refuse { code, reason: None });
    }

    fn charged(outgoing: &Outgoing, bits: u8, times: u32) -> Step {
        let charge = Charge { bits, times, bits_max: 24 };
        after_attempt(outgoing, Attempt::Charged(charge), 1, UnixTime(0), 0.5)
    }

    #[test]
    fn a_price_is_paid_up_to_what_the_message_or_else_the_home_allows() {
        let code_and_reason = |step| match step {
            Step::Refuse { code, reason } => (code, reason.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        assert_eq!(charged(&outgoing(), 24, 1), Step::Pay);
        let (code, reason) = code_and_reason(charged(&outgoing(), 25, 1));
        assert_eq!(code, WORK_TOO_DEAR);
        assert!(reason.contains("work of 25 bits") && reason.contains("--work-max 25"), "{reason}");
        let frugal = Outgoing { work_bits_max: Some(0), ..outgoing() };
        assert_eq!(code_and_reason(charged(&frugal, 1, 1)).0, WORK_TOO_DEAR);
        let eager = Outgoing { work_bits_max: Some(30), ..outgoing() };
        assert_eq!(charged(&eager, 30, 1), Step::Pay);
    }

    #[test]
    fn a_peer_that_demands_work_again_and_again_is_given_up() {
        assert_eq!(charged(&outgoing(), 20, WORK_CHALLENGES_MAX), Step::Pay);
        let step = charged(&outgoing(), 20, WORK_CHALLENGES_MAX + 1);
        assert!(matches!(step, Step::Refuse { code, reason: Some(_) } if code == "e.p.req.work"));
    }

    #[test]
    fn nobody_can_make_a_home_work_by_having_it_report() {
        // A report goes where a stranger chose, who could demand anything for it.
        let notice = Outgoing { kind: OutgoingKind::Notice, ..outgoing() };
        let step = charged(&notice, 1, 1);
        assert!(matches!(step, Step::Refuse { code, .. } if code == "e.p.req.work"));
    }

    #[test]
    fn no_work_is_done_for_a_message_whose_time_is_over() {
        let charge = Attempt::Charged(Charge { bits: 1, times: 1, bits_max: 24 });
        let step = after_attempt(&outgoing(), charge, 1, UnixTime(1_000), 0.5);
        assert_eq!(step, Step::Expire);
    }
}
