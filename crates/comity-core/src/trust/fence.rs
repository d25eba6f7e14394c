//! Whom an agent may write to, and how much: the same entries on the way out. With them an operator
//! fences in an agent that a language model drives.

use std::sync::Arc;

use comity_didcomm::{Did, ProtocolId, UnixTime};

use super::decide::counts_as;
use super::entry::authority;
use super::{
    Direction, Entry, EntryKind, Level, Limits, Meter, MeterId, OutboundRule, Policy, Used,
};
use crate::outbound::Unsendable;
use crate::protocol::attached_tokens::AttachedTokens;

/// What the shell found about a message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The sender's rules.
    pub policy: Arc<Policy>,
    /// The sender's entries on the way out that may be about the recipient.
    pub entries: Vec<Entry>,
    /// What of their limits is used.
    pub used: Vec<(MeterId, Used)>,
    /// Whether the recipient has written to the sender in the message's thread.
    pub is_answer: bool,
    /// Whether the sender has written to the recipient under this id before: what is said again gets
    /// the first answer again, whatever was decided since.
    pub is_repeat: bool,
    /// What the sender has to show to the recipient: grants and vouches.
    pub carries: AttachedTokens,
}

impl Fence {
    /// Whether nothing that the agent says may get to somebody, in whatever way.
    #[must_use]
    pub fn denies(&self, to: &Did) -> bool {
        let forbids = |entry: &Entry| entry.kind != EntryKind::Allow && entry.whom.is(to);
        self.entries.iter().any(|entry| entry.direction == Direction::Out && forbids(entry))
    }

    /// Returns a fence that keeps nobody in.
    #[must_use]
    pub fn none() -> Self {
        let (entries, used) = (Vec::new(), Vec::new());
        let (policy, carries) = (Arc::new(Policy::default()), AttachedTokens::default());
        Self { policy, entries, used, is_answer: false, is_repeat: false, carries }
    }
}

/// What a message on its way out is, as far as the fence goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its id.
    pub id: String,
    /// Who sends it.
    pub from: Did,
    /// To whom.
    pub to: Did,
    /// The protocol of the message.
    pub protocol: ProtocolId,
    /// The threads that it continues.
    pub threads: Vec<String>,
}

/// Decides whether a message may go out; returns what it counts against, and the level that its
/// protocol needs.
///
/// # Errors
/// When the operator keeps the agent from sending it.
pub(crate) fn may_write(
    passage: &Passage,
    size_bytes: usize,
    fence: &Fence,
    now: UnixTime,
) -> Result<(Vec<Meter>, Level), Unsendable> {
    let needed = fence.policy.required(&passage.protocol);
    let mut entries: Vec<&Entry> = fence
        .entries
        .iter()
        .filter(|entry| entry.direction == Direction::Out && entry.whom.is(&passage.to))
        .collect();
    entries.sort_by_key(|entry| entry.whom.rank());
    let is_new = !fence.is_repeat;
    if is_new && fence.denies(&passage.to) {
        return Err(Unsendable::FencedIn);
    }
    let covering =
        entries.iter().find(|entry| entry.admits(&passage.protocol, needed, now).is_ok());
    let Some(entry) = covering else {
        // What is allowed towards somebody is all that is: else a limit would be got around by another
        // protocol.
        let is_fenced = !entries.is_empty() || fence.policy.outbound == OutboundRule::Listed;
        return match is_fenced && is_new && !fence.is_answer {
            true => Err(Unsendable::FencedIn),
            false => Ok((Vec::new(), needed)),
        };
    };
    if entry.limits.is_unlimited() {
        return Ok((Vec::new(), needed));
    }
    // Nothing tells the sender's home when a task that it handed out is done with.
    let limits = Limits { tasks_open: None, ..entry.limits };
    let meter = Meter { id: entry.meter(&passage.from), limits };
    let used = fence.used.iter().find(|(id, _)| *id == meter.id);
    let used = used.map(|(_, used)| *used).unwrap_or_default();
    match limits.broken_by(used, counts_as(size_bytes, needed)) {
        Some(_) if is_new => Err(Unsendable::LimitReached),
        _ => Ok((vec![meter], needed)),
    }
}

/// Decides whether an agent may have a host asked whom a name there means: it is told the name, and
/// that somebody wants to know.
#[must_use]
pub fn may_look_up(
    host: &str,
    port: Option<u16>,
    policy: &Policy,
    entries: &[Entry],
    now: UnixTime,
) -> bool {
    let host = authority(host.to_owned(), port);
    let mut there =
        entries.iter().filter(|entry| entry.direction == Direction::Out && entry.whom.is_at(&host));
    match policy.outbound {
        OutboundRule::Listed => there.any(|entry| entry.allows(now)),
        OutboundRule::Open => {
            !there.any(|entry| entry.kind != EntryKind::Allow && entry.whom.did().is_none())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Level, Template};

    const NOW: UnixTime = UnixTime(1_000_000);
    const PEER: &str = "did:web:a.example:agents:aria";
    const TASK: &str = "https://comity.dev/protocols/task/1.0";

    fn passage(piuri: &str) -> Passage {
        Passage {
            id: "m-1".to_owned(),
            from: "did:web:b.example:agents:bruno".parse().unwrap(),
            to: PEER.parse().unwrap(),
            protocol: piuri.parse().unwrap(),
            threads: Vec::new(),
        }
    }

    fn out(whom: &str, kind: EntryKind, level: Level) -> Entry {
        let entry = Entry::new(whom.parse().unwrap(), kind, UnixTime(1));
        Entry { direction: Direction::Out, level, ..entry }
    }

    fn allow(level: Level) -> Entry {
        out(PEER, EntryKind::Allow, level)
    }

    fn fence(outbound: OutboundRule, entries: impl IntoIterator<Item = Entry>) -> Fence {
        let policy = Arc::new(Policy { outbound, ..Policy::of(Template::Guarded) });
        Fence { policy, entries: entries.into_iter().collect(), ..Fence::none() }
    }

    fn word(result: &Result<(Vec<Meter>, Level), Unsendable>) -> &'static str {
        match result {
            Ok(_) => "goes",
            Err(Unsendable::FencedIn) => "fenced in",
            Err(Unsendable::LimitReached) => "limit",
            Err(_) => "another reason",
        }
    }

    #[test]
    fn who_may_be_written_to() {
        use OutboundRule::{Listed, Open};
        let deny = |whom| out(whom, EntryKind::Deny, Level::Message);
        let inward = Entry { direction: Direction::In, ..allow(Level::Execute) };
        let for_tasks = Entry { protocols: vec![TASK.parse().unwrap()], ..allow(Level::Task) };
        let until = |until| Entry { until: Some(UnixTime(until)), ..allow(Level::Task) };
        let from = |from| Entry { from: Some(UnixTime(from)), ..allow(Level::Task) };
        let host = |kind| out("*@a.example", kind, Level::Task);
        // An entry, then what goes of a message and of a task where all may be written to, and where
        // only those who are listed may.
        for (name, entries, [open_message, open_task, listed_message, listed_task]) in [
            ("nothing decided", vec![], ["goes", "goes", "fenced in", "fenced in"]),
            (
                "allowed messages",
                vec![allow(Level::Message)],
                ["goes", "fenced in", "goes", "fenced in"],
            ),
            ("allowed tasks", vec![allow(Level::Task)], ["goes"; 4]),
            ("only tasks", vec![for_tasks], ["fenced in", "goes", "fenced in", "goes"]),
            ("its host allowed", vec![host(EntryKind::Allow)], ["goes"; 4]),
            (
                "its host allowed messages",
                vec![out("*@a.example", EntryKind::Allow, Level::Message)],
                ["goes", "fenced in", "goes", "fenced in"],
            ),
            ("denied", vec![deny(PEER)], ["fenced in"; 4]),
            ("its host denied", vec![allow(Level::Task), deny("*@a.example")], ["fenced in"; 4]),
            ("its domain denied", vec![allow(Level::Task), deny("*@*.example")], ["fenced in"; 4]),
            (
                "denied, its host allowed",
                vec![host(EntryKind::Allow), deny(PEER)],
                ["fenced in"; 4],
            ),
            (
                "another denied",
                vec![deny("did:web:c.example")],
                ["goes", "goes", "fenced in", "fenced in"],
            ),
            ("allowed on the way in", vec![inward], ["goes", "goes", "fenced in", "fenced in"]),
            ("until now", vec![until(1_000_000)], ["fenced in"; 4]),
            ("until later", vec![until(1_000_001)], ["goes"; 4]),
            ("from later", vec![from(1_000_001)], ["fenced in"; 4]),
        ] {
            for (rule, piuri, expected) in [
                (Open, "https://example.org/ask/1.0", open_message),
                (Open, TASK, open_task),
                (Listed, "https://example.org/ask/1.0", listed_message),
                (Listed, TASK, listed_task),
            ] {
                let fence = fence(rule, entries.clone());
                let result = may_write(&passage(piuri), 1, &fence, NOW);
                assert_eq!(word(&result), expected, "{name}, {rule:?}, {piuri}");
            }
        }
    }

    #[test]
    fn whose_names_may_be_looked_up() {
        use EntryKind::{Allow, Deny};
        let at = |rule, entry: Option<Entry>| {
            let fence = fence(rule, entry);
            may_look_up("a.example", Some(443), &fence.policy, &fence.entries, NOW)
        };
        for (whom, kind, open, listed) in [
            (PEER, Allow, true, true),
            (PEER, Deny, true, false),
            ("*@a.example", Allow, true, true),
            ("*@a.example", Deny, false, false),
            ("*@*.example", Allow, true, true),
            ("*@*.example", Deny, false, false),
            ("did:web:a.example%3A8443:agents:aria", Allow, true, false),
            ("did:web:b.example:agents:aria", Allow, true, false),
            ("*@b.example", Deny, true, false),
        ] {
            let entry = out(whom, kind, Level::Message);
            assert_eq!(at(OutboundRule::Open, Some(entry.clone())), open, "{whom} {kind:?}");
            assert_eq!(at(OutboundRule::Listed, Some(entry.clone())), listed, "{whom} {kind:?}");
            let inward = Entry { direction: Direction::In, ..entry };
            assert!(at(OutboundRule::Open, Some(inward.clone())));
            assert!(!at(OutboundRule::Listed, Some(inward)));
        }
        let planned = Entry { from: Some(UnixTime(1_000_001)), ..allow(Level::Task) };
        assert!(!at(OutboundRule::Listed, Some(planned)));
        assert!(at(OutboundRule::Open, None) && !at(OutboundRule::Listed, None));
    }

    #[test]
    fn an_answer_goes_where_nothing_is_denied() {
        let answer = |entries| Fence { is_answer: true, ..fence(OutboundRule::Listed, entries) };
        let may = |fence: &Fence| word(&may_write(&passage(TASK), 1, fence, NOW));
        assert_eq!(may(&answer(vec![])), "goes");
        assert_eq!(may(&answer(vec![allow(Level::Message)])), "goes");
        assert_eq!(
            may(&answer(vec![out("*@a.example", EntryKind::Deny, Level::Message)])),
            "fenced in"
        );
    }

    #[test]
    fn limits_count_on_the_way_out_and_saying_it_again_is_not_saying_more() {
        let limits =
            Limits { messages_per_day: Some(2), bytes_per_day: Some(10), tasks_open: Some(0) };
        let limited = Entry { limits, ..allow(Level::Task) };
        let meter = limited.meter(&passage(TASK).from);
        let may = |messages, bytes, size, is_repeat| {
            let used = vec![(meter, Used { messages, bytes, tasks: 9 })];
            let fence = Fence { used, is_repeat, ..fence(OutboundRule::Open, [limited.clone()]) };
            may_write(&passage(TASK), size, &fence, NOW)
        };
        // Nothing tells when a task is done with: none is counted.
        let counted = Limits { tasks_open: None, ..limits };
        assert_eq!(
            may(1, 5, 5, false),
            Ok((vec![Meter { id: meter, limits: counted }], Level::Task))
        );
        assert_eq!(word(&may(2, 0, 1, false)), "limit");
        assert_eq!(word(&may(0, 5, 6, false)), "limit");
        // It got 429 on the day's last message, which was on its way.
        assert_eq!(word(&may(2, 10, 5, true)), "goes");
        let denied = out(PEER, EntryKind::Deny, Level::Message);
        for (is_repeat, expected) in [(false, "fenced in"), (true, "goes")] {
            let fence = Fence { is_repeat, ..fence(OutboundRule::Listed, [denied.clone()]) };
            assert_eq!(word(&may_write(&passage(TASK), 1, &fence, NOW)), expected);
        }
    }
}
