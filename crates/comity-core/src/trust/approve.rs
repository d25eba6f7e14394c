//! An operator's decision about a message that waits as a request: it gets in as far as the entry
//! goes that the operator makes, and no further.

use comity_didcomm::{Did, UnixTime};

use super::decide::counts_as;
use super::{Entry, Level, Meter, MeterId, Policy, Request, Used};
use crate::refusal::Refusal;

/// That a request is handed over, and how it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    level: Level,
    meters: Vec<Meter>,
    counts_as: Used,
}

impl Approval {
    /// Decides whether a request of `size_bytes` gets in by an entry of the agent, of whose limits
    /// so much is used.
    ///
    /// # Errors
    /// With what its sender is told, if the entry does not allow what was asked for.
    pub fn new(
        entry: &Entry,
        agent: &Did,
        (request, size_bytes): (&Request, usize),
        policy: &Policy,
        used: Used,
        now: UnixTime,
    ) -> Result<Self, Refusal> {
        let needed = policy.required(&request.protocol);
        entry.admits(&request.protocol, needed, now)?;
        let counts_as = counts_as(size_bytes, needed);
        if entry.limits.broken_by(used, counts_as).is_some() {
            return Err(Refusal::LimitReached);
        }
        let meter = Meter { id: entry.meter(agent), limits: entry.limits };
        let meters = (!entry.limits.is_unlimited()).then_some(meter).into_iter().collect();
        Ok(Self { level: entry.level, meters, counts_as })
    }

    /// Returns how far its sender may go.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Returns what the message counts against.
    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// Returns among whose open tasks it counts until it is settled.
    #[must_use]
    pub fn open_in(&self) -> Vec<MeterId> {
        let opens = |meter: &&Meter| 0 < self.counts_as.tasks && meter.limits.tasks_open.is_some();
        self.meters.iter().filter(opens).map(|meter| meter.id).collect()
    }

    /// Returns what it uses up there.
    #[must_use]
    pub const fn counts_as(&self) -> Used {
        self.counts_as
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{EntryKind, Limits, RequestState};

    const NOW: UnixTime = UnixTime(1_000_000);
    const ARIA: &str = "did:web:a.example:agents:aria";
    const TASK: &str = "https://comity.dev/protocols/task/1.0";

    fn approved(entry: &Entry, used: Used) -> Result<Approval, Refusal> {
        let request = Request {
            did: ARIA.parse().unwrap(),
            protocol: TASK.parse().unwrap(),
            state: RequestState::Pending,
            received_at: NOW,
            until: NOW,
        };
        let agent = "did:web:b.example".parse().unwrap();
        Approval::new(entry, &agent, (&request, 900), &Policy::default(), used, NOW)
    }

    #[test]
    fn a_request_gets_in_as_far_as_its_entry_goes() {
        // It was handed over whatever had been allowed: another protocol, less, later, or until
        // yesterday.
        let allow = Entry {
            level: Level::Task,
            ..Entry::new(ARIA.parse().unwrap(), EntryKind::Allow, NOW)
        };
        let none = Used::default();
        assert_eq!(approved(&allow, none).unwrap().level(), Level::Task);
        for (entry, expected) in [
            (
                Entry {
                    protocols: vec!["https://example.org/x/1.0".parse().unwrap()],
                    ..allow.clone()
                },
                Refusal::ProtocolNotAllowed,
            ),
            (Entry { level: Level::Message, ..allow.clone() }, Refusal::LevelTooLow),
            (Entry { from: Some(UnixTime(NOW.0 + 1)), ..allow.clone() }, Refusal::NotYetAllowed),
            (Entry { until: Some(NOW), ..allow.clone() }, Refusal::Revoked),
        ] {
            assert_eq!(approved(&entry, none), Err(expected));
        }
        let limits = Limits { messages_per_day: Some(1), tasks_open: Some(1), ..Limits::UNLIMITED };
        let limited = Entry { limits, ..allow };
        let approval = approved(&limited, none).unwrap();
        assert_eq!(approval.counts_as(), Used { messages: 1, bytes: 900, tasks: 1 });
        assert_eq!(approval.meters().len(), 1);
        assert_eq!(approval.open_in(), [approval.meters()[0].id]);
        let used = Used { tasks: 1, ..none };
        assert_eq!(approved(&limited, used), Err(Refusal::LimitReached));
    }
}
