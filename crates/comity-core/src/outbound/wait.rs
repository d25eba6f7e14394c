//! Step 6: what becomes of it. A sent message is looked at again until its ladder ends.

use comity_didcomm::UnixTime;

use crate::limits::{QUERY_S_FIRST, QUERY_S_MAX};
use crate::receipt::{Rung, State};
use crate::record::Sent;

/// What to do with a sent message that is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Its deadline has passed without an end: it has expired, and its sender is told.
    Expire,
    /// The recipient's home owes receipts: ask, and look again then.
    Query {
        /// When to look again.
        next: UnixTime,
    },
    /// Its ladder has ended.
    Settled,
    /// Nothing to do before then.
    Wait {
        /// When to look again.
        next: UnixTime,
    },
}

/// Where a sent message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In this home's outbox: the peer has not got it.
    Outbox,
    /// With the peer.
    Peer,
}

/// Decides what to do about a sent message. The pause between two checks doubles with the message's
/// age.
#[must_use]
pub fn next_check(sent: &Sent, rungs: &[Rung], whereabouts: Whereabouts, now: UnixTime) -> Check {
    if rungs.iter().any(|rung| rung.state.is_final()) {
        return Check::Settled;
    }
    if sent.expires <= now {
        return Check::Expire;
    }
    let age_s = now.0.saturating_sub(sent.queued_at.0);
    let pause_s = age_s.clamp(QUERY_S_FIRST, QUERY_S_MAX);
    let next = now.saturating_add(pause_s).min(sent.expires);
    // While it is in the outbox the peer has not got it; once it is received, the agent is at work
    // and its home will say so.
    let owed =
        whereabouts == Whereabouts::Peer && !rungs.iter().any(|rung| rung.state == State::Received);
    if owed { Check::Query { next } } else { Check::Wait { next } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Sent {
        Sent {
            id: "m-1".to_owned(),
            thid: "m-1".to_owned(),
            sender: "did:web:a.example".parse().unwrap(),
            recipient: "did:web:b.example".parse().unwrap(),
            recipient_homes: Vec::new(),
            via: None,
            type_: "https://example.org/proposal/1.0/offer".to_owned(),
            digest: String::new(),
            request_digest: String::new(),
            level: crate::trust::Level::Message,
            queued_at: UnixTime(0),
            expires: UnixTime(10_000),
        }
    }

    fn rung(state: State) -> Rung {
        Rung::new(state, UnixTime(1), sent().recipient)
    }

    #[test]
    fn a_ladder_that_ended_needs_nothing() {
        for state in [State::Processed, State::Refused, State::Expired] {
            assert_eq!(
                next_check(&sent(), &[rung(state)], Whereabouts::Peer, UnixTime(99_999)),
                Check::Settled
            );
        }
    }

    #[test]
    fn a_message_without_receipts_is_asked_about_ever_more_rarely_and_then_expires() {
        let check =
            |now| next_check(&sent(), &[rung(State::Queued)], Whereabouts::Peer, UnixTime(now));
        assert_eq!(check(0), Check::Query { next: UnixTime(QUERY_S_FIRST) });
        assert_eq!(check(100), Check::Query { next: UnixTime(200) });
        assert_eq!(check(9_000), Check::Query { next: UnixTime(10_000) });
        assert_eq!(check(10_000), Check::Expire);
    }

    #[test]
    fn a_message_in_the_outbox_or_in_the_agents_hands_is_not_asked_about() {
        let queued = next_check(&sent(), &[], Whereabouts::Outbox, UnixTime(100));
        assert_eq!(queued, Check::Wait { next: UnixTime(200) });
        let received =
            next_check(&sent(), &[rung(State::Received)], Whereabouts::Peer, UnixTime(100));
        assert_eq!(received, Check::Wait { next: UnixTime(200) });
    }
}
