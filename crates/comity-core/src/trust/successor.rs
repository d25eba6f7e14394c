//! What was decided about a party that has another DID now. That it has is proven by
//! [`Prior`](super::Prior) and judged by `decide`; here the decision follows it.

use comity_didcomm::Did;

use super::{Entry, EntryKind, Whom, subject};

impl Entry {
    /// Returns what holds of a successor from now on, when this was decided about its prior DID, and
    /// perhaps something about the successor itself: what forbids, else what was decided last.
    ///
    /// It counts with what the prior DID has used up, so that nobody gets more by changing its DID.
    #[must_use]
    pub fn succeeded(self, agent: &Did, successor: &Did, own: Option<Self>) -> Self {
        let forbids = |entry: &Self| entry.kind != EntryKind::Allow;
        match own {
            Some(own) if forbids(&own) || (!forbids(&self) && self.decided_at < own.decided_at) => {
                own
            }
            _ => {
                let counts_as = Some(self.meter(agent));
                Self { whom: Whom::Did(subject(successor)), counts_as, ..self }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_didcomm::UnixTime;

    use super::*;
    use crate::trust::Level;

    const PRIOR: &str = "did:web:a.example:agents:aria";
    const SUCCESSOR: &str = "did:web:new.example:aria";

    fn entry(whom: &str, kind: EntryKind, decided_at: u64) -> Entry {
        Entry::new(whom.parse().unwrap(), kind, UnixTime(decided_at))
    }

    #[test]
    fn what_forbids_stays_and_else_the_last_word() {
        use EntryKind::{Allow, Deny, Revoke};
        let (agent, successor) = ("did:web:b.example".parse().unwrap(), SUCCESSOR.parse().unwrap());
        for (prior, own, expected) in [
            (Allow, None, (Allow, 5)),
            (Deny, None, (Deny, 5)),
            (Allow, Some((Deny, 1)), (Deny, 1)),
            (Allow, Some((Revoke, 1)), (Revoke, 1)),
            (Deny, Some((Allow, 9)), (Deny, 5)),
            (Allow, Some((Allow, 4)), (Allow, 5)),
            (Allow, Some((Allow, 6)), (Allow, 6)),
        ] {
            let own = own.map(|(kind, at)| entry(SUCCESSOR, kind, at));
            let after = entry(PRIOR, prior, 5).succeeded(&agent, &successor, own);
            assert_eq!((after.kind, after.decided_at.0), expected, "{prior:?}");
            assert_eq!(after.whom, Whom::Did(successor.clone()));
        }
    }

    #[test]
    fn limits_count_on_however_often_the_did_changes() {
        let agent = "did:web:b.example".parse().unwrap();
        let first = Entry { level: Level::Task, ..entry(PRIOR, EntryKind::Allow, 5) };
        let mut last = first.clone();
        for number in 0..3 {
            let next = format!("did:web:host{number}.example").parse().unwrap();
            last = last.succeeded(&agent, &next, None);
            let row = serde_json::to_vec(&last).unwrap();
            last = serde_json::from_slice(&row).unwrap();
        }
        assert_eq!(last.meter(&agent), first.meter(&agent));
        assert_eq!(
            (last.level, last.whom.to_string()),
            (Level::Task, "did:web:host2.example".into())
        );
    }
}
