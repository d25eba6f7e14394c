//! Comity's own records over every engine, each test three times over the same state: limits and
//! what counts against them, entries, contacts, who wrote to whom in a thread, and how work ended.
//!
//! A case gets the state that earlier rounds of it left, and works with parties of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "records/outcomes.rs"]
mod outcomes;
#[path = "records/support.rs"]
mod support;

use std::sync::Arc;

use comity_core::inbound::{Placement, Written};
use comity_core::limits::{DAY_S, WIDE_ENTRIES_MAX};
use comity_core::outbound::Unsendable;
use comity_core::receipt::{Rung, State};
use comity_core::refusal::Refusal;
use comity_core::trust::{
    Approval, Changed, Contact, Direction, Entry, EntryKind, Fence, Level, Limits, Meter, Policy,
    Used, Whom,
};
use comity_didcomm::{Did, UnixTime, did};
use comity_store::records::due::{self, Due};
use comity_store::records::mailbox::Capacity;
use comity_store::records::notices::Debts;
use comity_store::records::{MessageKey, contacts, mailbox, meters, outbox, relations};
use comity_store::{
    Batch, CommitError, Conflict, FaultyStore, FjallStore, Keyspace, MemoryStore, Store,
};
use outcomes::{
    nobody_fills_what_is_kept_of_work, of_the_same_work_the_latest_word_is_kept_for_a_year,
};
use support::{ASK, Looked, NOW, Round, TASK, meter_id};

const ROUNDS: u8 = 3;

fn allowed(whom: &Did, level: Level, limits: Limits) -> Entry {
    Entry { level, limits, ..Entry::new(Whom::Did(whom.clone()), EntryKind::Allow, NOW) }
}

fn messages_a_day(limit: u64) -> Limits {
    Limits { messages_per_day: Some(limit), ..Limits::UNLIMITED }
}

async fn what_was_counted_last_conflicts_when_it_breaks_a_limit(round: Round) {
    let limits = Limits { messages_per_day: Some(2), bytes_per_day: Some(1_000), tasks_open: None };
    let meter = Meter { id: meter_id(&round.bruno.did), limits };
    let count = async |messages, bytes| {
        let more = Used { messages, bytes, tasks: 5 };
        round.commit(|batch| meters::count(batch, &[meter], more, NOW)).await
    };
    assert_eq!(round.used(&meter, NOW).await, Used::default());
    count(1, 600).await.unwrap();
    let bytes = count(1, 401).await;
    assert!(matches!(bytes, Err(CommitError::Conflict(Conflict::Bound { .. }))), "{bytes:?}");
    let used = Used { messages: 1, bytes: 600, tasks: 0 };
    assert_eq!(round.used(&meter, NOW).await, used, "a conflict counts nothing");
    count(1, 400).await.unwrap();
    assert!(count(1, 0).await.is_err(), "the third message");
    let used = Used { messages: 2, bytes: 1_000, tasks: 0 };
    assert_eq!(round.used(&meter, NOW).await, used, "what is not limited is not counted");
    // A limit that was lowered since lets nothing more in, and neither does one that was raised
    // beyond what can be counted let in too much.
    let lower = Meter { limits: messages_a_day(1), ..meter };
    let more = Used { messages: 1, ..Used::default() };
    assert!(round.commit(|batch| meters::count(batch, &[lower], more, NOW)).await.is_err());
    let higher = Meter { limits: messages_a_day(u64::MAX), ..meter };
    round.commit(|batch| meters::count(batch, &[higher], more, NOW)).await.unwrap();
    let endless = Used { messages: u64::MAX, ..Used::default() };
    assert!(round.commit(|batch| meters::count(batch, &[higher], endless, NOW)).await.is_err());
}

async fn a_message_counts_against_all_its_meters_or_none(round: Round) {
    let [one, other] = [&round.aria, &round.bruno].map(|party| meter_id(&party.did));
    let wide = Meter { id: one, limits: messages_a_day(9) };
    let tight = Meter { id: other, limits: messages_a_day(1) };
    let more = Used { messages: 1, ..Used::default() };
    let count =
        async || round.commit(|batch| meters::count(batch, &[wide, tight], more, NOW)).await;
    count().await.unwrap();
    assert!(count().await.is_err());
    assert_eq!(round.used(&wide, NOW).await.messages, 1);
    assert_eq!(round.used(&tight, NOW).await.messages, 1);
}

async fn each_day_counts_from_nothing_and_is_forgotten_when_it_is_over(round: Round) {
    let limits = Limits { messages_per_day: Some(2), bytes_per_day: Some(9), tasks_open: Some(1) };
    let meter = Meter { id: meter_id(&round.bruno.did), limits };
    let more = Used { messages: 2, bytes: 9, tasks: 1 };
    // The last second of a day and the first of the next.
    let today = UnixTime((NOW.0 / DAY_S + 1) * DAY_S - 1);
    let tomorrow = UnixTime(today.0 + 1);
    round.commit(|batch| meters::count(batch, &[meter], more, today)).await.unwrap();
    assert_eq!(round.used(&meter, today).await, more);
    let open = Used { tasks: 1, ..Used::default() };
    assert_eq!(round.used(&meter, tomorrow).await, open, "what is open stays open");
    let messages = Used { tasks: 0, ..more };
    round.commit(|batch| meters::count(batch, &[meter], messages, tomorrow)).await.unwrap();

    let counters = async || round.rows(Keyspace::Meta, b"cd").await.len();
    let before = counters().await;
    // A day later nothing is forgotten: somebody's clock may be behind.
    let forget = async |now: UnixTime| {
        let rows = due::until(round.store.as_ref(), now, None, 1_000).await.unwrap();
        let mut forgotten = 0;
        for row in &rows {
            if let Due::ForgetMeta(counter) = &row.due {
                let forgetting = |batch: &mut Batch| {
                    due::done(batch, row);
                    due::forget_meta(batch, counter);
                };
                round.commit(forgetting).await.unwrap();
                forgotten += 1;
            }
        }
        forgotten
    };
    assert_eq!(forget(tomorrow).await, 0);
    assert_eq!(forget(UnixTime(tomorrow.0 + DAY_S)).await, 2, "messages and bytes of one day");
    assert_eq!(counters().await, before - 2);
    assert_eq!(round.used(&meter, today).await, open);
    assert_eq!(round.used(&meter, tomorrow).await, more);
    assert_eq!(forget(UnixTime(tomorrow.0 + 2 * DAY_S)).await, 2);
    assert_eq!(counters().await, before - 4);
    assert_eq!(round.used(&meter, tomorrow).await, open);
}

async fn a_message_that_was_judged_too_early_does_not_break_a_limit(round: Round) {
    let entry = allowed(&round.aria.did, Level::Message, messages_a_day(2));
    let meter = Meter { id: entry.meter(&round.bruno.did), limits: entry.limits };
    round.enter(&entry).await;
    let mut judged = Vec::new();
    for number in 0..4 {
        judged.push(round.judge(&format!("m-{number}"), ASK, Looked::TooEarly).await);
    }
    for (number, commit) in judged.iter().enumerate() {
        assert!(matches!(commit.placement(), Placement::Mailbox), "each of them is let in");
        let written = round.keep(commit).await;
        match number {
            0 | 1 => assert!(matches!(written, Written::New { .. })),
            _ => assert_eq!(written, Written::Temporary(Refusal::MailboxFull)),
        }
    }
    assert_eq!(round.mailbox().await.len(), 2);
    assert_eq!(round.used(&meter, NOW).await.messages, 2);
    // It comes again, and is judged by what is so now.
    let again = round.judge("m-3", ASK, Looked::Well).await;
    assert!(matches!(again.placement(), Placement::Refused(Refusal::LimitReached, _)));
    assert!(matches!(round.keep(&again).await, Written::New { .. }));
    assert_eq!(round.used(&meter, NOW).await.messages, 2, "what is refused uses up nothing");
    let repeat = round.judge("m-0", ASK, Looked::TooEarly).await;
    assert!(matches!(round.keep(&repeat).await, Written::Repeat { .. }));
    assert_eq!(round.used(&meter, NOW).await.messages, 2, "nor does a repeat");
}

async fn a_task_is_open_until_it_is_processed_refused_or_expires(round: Round) {
    let limits = Limits { tasks_open: Some(1), ..Limits::UNLIMITED };
    let entry = allowed(&round.aria.did, Level::Task, limits);
    let meter = Meter { id: entry.meter(&round.bruno.did), limits };
    round.enter(&entry).await;
    for (number, state) in [State::Processed, State::Refused, State::Expired].iter().enumerate() {
        // What needs no task is neither counted nor bounded.
        round.receive(&format!("m-{number}"), ASK).await;
        let commit = round.receive(&format!("t-{number}"), TASK).await;
        assert_eq!(commit.received().open_in, [meter.id]);
        assert_eq!(commit.received().level, Level::Task);
        assert_eq!(round.used(&meter, NOW).await.tasks, 1);
        let second = round.judge(&format!("u-{number}"), TASK, Looked::Well).await;
        assert!(matches!(second.placement(), Placement::Refused(Refusal::LimitReached, _)));
        let (seq, received) = round.mailbox().await.pop().unwrap();
        assert_eq!(received, *commit.received());
        assert!(round.settle(seq, &received, *state).await);
        assert_eq!(round.used(&meter, NOW).await.tasks, 0, "{state:?}");
        assert!(!round.settle(seq, &received, *state).await, "settling twice");
        assert_eq!(round.used(&meter, NOW).await.tasks, 0, "is harmless");
    }
    let limit = |tasks_open| Limits { tasks_open, ..Limits::UNLIMITED };
    // One that came while nothing was limited is not open, and is settled all the same.
    round.enter(&allowed(&round.aria.did, Level::Task, limit(None))).await;
    round.receive("v-1", TASK).await;
    round.enter(&entry).await;
    round.receive("v-2", TASK).await;
    round.enter(&allowed(&round.aria.did, Level::Task, limit(None))).await;
    assert_eq!(round.used(&meter, NOW).await.tasks, 1);
    for (seq, received) in round.mailbox().await {
        assert!(round.settle(seq, &received, State::Processed).await);
    }
    assert_eq!(round.used(&meter, NOW).await.tasks, 0);
}

async fn what_an_agent_sends_counts_by_what_was_decided_about(round: Round) {
    let limits = Limits { messages_per_day: Some(2), bytes_per_day: Some(100), tasks_open: None };
    let entry = allowed(&round.bruno.did, Level::Message, limits);
    let entry = Entry { direction: Direction::Out, ..entry };
    let meter = Meter { id: entry.meter(&round.aria.did), limits };
    let fence = Fence { entries: vec![entry], ..Fence::none() };
    let body = |length: usize| {
        move |submission: &mut comity_core::outbound::Submission| {
            submission.body.insert("x".to_owned(), "x".repeat(length).into());
        }
    };
    let too_large = round.send("m-0", body(100), fence.clone()).await;
    assert_eq!(too_large.unwrap_err(), Unsendable::LimitReached);
    // Headers were counted, which nobody had been told of: what fitted was refused as if the outbox
    // were full.
    round.send("m-1", body(50), fence.clone()).await.unwrap();
    let used = round.used(&meter, NOW).await;
    assert_eq!((used.messages, used.bytes), (1, 60), r#"{{"x":".."}} and []"#);
    round.send("m-2", |_| {}, fence.clone()).await.unwrap();
    // Judged by what was so before the other two were queued.
    let third = round.send("m-3", |_| {}, fence.clone()).await;
    assert_eq!(third.unwrap_err(), Unsendable::LimitReached);
    assert_eq!(round.used(&meter, NOW).await.messages, 2);
    // Saying the same again is not saying more.
    round.send("m-2", |_| {}, fence).await.unwrap();
    assert_eq!(round.used(&meter, NOW).await.messages, 2);
}

async fn entries_about_one_and_about_many_are_found_in_their_direction(round: Round) {
    let store = round.store.as_ref();
    let (agent, peer) = (&round.bruno.did, &round.aria.did);
    let about = async |direction, peer| {
        let entries = relations::about(store, agent, direction, peer).await.unwrap();
        let mut whom: Vec<_> = entries.iter().map(|entry| entry.whom.to_string()).collect();
        whom.sort();
        whom
    };
    let many = ["*@*.example", "*@home.example", "credential:Employee@did:web:c.example"];
    let entry = |whom: &str, direction| Entry {
        direction,
        ..Entry::new(whom.parse().unwrap(), EntryKind::Allow, NOW)
    };
    assert!(about(Direction::In, peer).await.is_empty());
    for whom in many.iter().chain([&peer.as_str()]) {
        round.enter(&entry(whom, Direction::In)).await;
    }
    round.enter(&entry("*@home.example", Direction::Out)).await;
    let all: Vec<_> = many.iter().copied().chain([peer.as_str()]).collect();
    assert_eq!(about(Direction::In, peer).await, all);
    assert_eq!(about(Direction::In, agent).await, many, "what is about one is about one");
    assert_eq!(about(Direction::Out, peer).await, ["*@home.example"]);
    let listed = async |direction, limit| {
        relations::entries(store, agent, direction, limit).await.unwrap().len()
    };
    assert_eq!(listed(Direction::In, WIDE_ENTRIES_MAX).await, 4);
    assert_eq!(listed(Direction::In, 2).await, 2);
    assert_eq!(listed(Direction::Out, WIDE_ENTRIES_MAX).await, 1);
    assert!(relations::entries(store, peer, Direction::In, 9).await.unwrap().is_empty());

    for whom in many.iter().chain([&peer.as_str()]) {
        let whom = whom.parse().unwrap();
        // Twice is harmless.
        for _ in 0..2 {
            round
                .commit(|batch| relations::remove(batch, agent, Direction::In, &whom))
                .await
                .unwrap();
            assert_eq!(relations::find(store, agent, Direction::In, &whom).await.unwrap(), None);
        }
    }
    assert!(about(Direction::In, peer).await.is_empty());
    assert_eq!(about(Direction::Out, peer).await, ["*@home.example"]);
}

async fn both_forms_of_a_peer_did_have_one_entry(round: Round) {
    let rng = &mut rand::rng();
    let keys = [
        comity_didcomm::SigningKey::generate(rng).public(),
        comity_didcomm::AgreementKey::generate(rng).public(),
    ];
    let peer = did::peer::create_4(&keys, &[]).unwrap();
    let store = round.store.as_ref();
    let agent = &round.bruno.did;
    round.enter(&Entry::new(Whom::Did(peer.long.clone()), EntryKind::Deny, NOW)).await;
    for form in [&peer.long, &peer.short] {
        let found = relations::about(store, agent, Direction::In, form).await.unwrap();
        assert!(found.len() == 1 && found[0].whom.is(form));
    }
    round.enter(&Entry::new(Whom::Did(peer.short.clone()), EntryKind::Allow, NOW)).await;
    let found = relations::about(store, agent, Direction::In, &peer.long).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [EntryKind::Allow]);
}

async fn an_entry_that_changed_since_it_was_read_is_not_replaced(round: Round) {
    let (store, agent) = (round.store.as_ref(), &round.bruno.did);
    let whom = Whom::Did(round.aria.did.clone());
    let find = async || relations::find(store, agent, Direction::In, &whom).await.unwrap();
    let replace = async |found: Option<&relations::Found>, kind| {
        round
            .commit(|batch| {
                relations::assert_unchanged(batch, agent, Direction::In, &whom, found);
                relations::put(batch, agent, &Entry::new(whom.clone(), kind, NOW));
            })
            .await
    };
    let nothing = find().await;
    replace(nothing.as_ref(), EntryKind::Allow).await.unwrap();
    assert!(replace(nothing.as_ref(), EntryKind::Deny).await.is_err());
    let found = find().await;
    round.enter(&Entry::new(whom.clone(), EntryKind::Deny, NOW)).await;
    assert!(replace(found.as_ref(), EntryKind::Allow).await.is_err());
    assert_eq!(find().await.unwrap().entry.kind, EntryKind::Deny);
}

async fn an_entry_of_before_there_were_levels_is_read_and_replaced(round: Round) {
    let (store, agent) = (round.store.as_ref(), &round.bruno.did);
    let whom = Whom::Did(round.aria.did.clone());
    round.enter(&Entry::new(whom.clone(), EntryKind::Deny, UnixTime(1))).await;
    let rows = round.rows(Keyspace::Meta, b"e").await;
    let (key, _) = rows
        .iter()
        .find(|(_, row)| String::from_utf8_lossy(row).contains(round.aria.did.as_str()))
        .unwrap();
    let row = format!(r#"{{"did":"{}","kind":"allow","decided_at":5}}"#, round.aria.did);
    round.commit(|batch| batch.put(Keyspace::Meta, key, row.into_bytes())).await.unwrap();
    let found = relations::find(store, agent, Direction::In, &whom).await.unwrap().unwrap();
    assert_eq!(found.entry, Entry::new(whom.clone(), EntryKind::Allow, UnixTime(5)));
    let replacing = |batch: &mut Batch| {
        relations::assert_unchanged(batch, agent, Direction::In, &whom, Some(&found));
        relations::remove(batch, agent, Direction::In, &whom);
    };
    round.commit(replacing).await.unwrap();
}

async fn a_contact_is_remembered_with_its_keys(round: Round) {
    let (store, agent) = (round.store.as_ref(), &round.bruno.did);
    let contact = |did: &Did, since| Contact {
        did: did.clone(),
        since: UnixTime(since),
        keys: vec!["key".to_owned()],
        changed: None,
        moved_to: None,
    };
    let find = async |did| contacts::contact(store, agent, did).await.unwrap();
    assert_eq!(find(&round.aria.did).await, None);
    let mut aria = contact(&round.aria.did, 5);
    for since in [5, 6] {
        aria.since = UnixTime(since);
        round.commit(|batch| contacts::put(batch, agent, &aria)).await.unwrap();
        assert_eq!(find(&aria.did).await.as_ref(), Some(&aria));
    }
    aria.changed = Some(Changed { keys: vec!["other".to_owned()], at: NOW });
    round.commit(|batch| contacts::put(batch, agent, &aria)).await.unwrap();
    let other = contact(&"did:web:other.example".parse().unwrap(), 7);
    round.commit(|batch| contacts::put(batch, agent, &other)).await.unwrap();
    let mut listed = contacts::contacts(store, agent, 9).await.unwrap();
    listed.sort_by_key(|contact| contact.since);
    assert_eq!(listed, [aria.clone(), other]);
    assert_eq!(contacts::contacts(store, agent, 1).await.unwrap().len(), 1);
    assert!(contacts::contacts(store, &aria.did, 9).await.unwrap().is_empty());
}

async fn what_an_agent_has_processed_is_counted_for_each_sender(round: Round) {
    let store = round.store.as_ref();
    let (agent, peer) = (&round.bruno.did, &round.aria.did);
    let processed = async |who| contacts::processed(store, agent, who).await.unwrap();
    round.enter(&allowed(peer, Level::Message, Limits::UNLIMITED)).await;
    for (number, (state, expected)) in
        [(State::Processed, 1), (State::Refused, 1), (State::Expired, 1), (State::Processed, 2)]
            .into_iter()
            .enumerate()
    {
        round.receive(&format!("m-{number}"), ASK).await;
        let (seq, received) = round.mailbox().await.pop().unwrap();
        assert!(round.settle(seq, &received, state).await);
        assert!(!round.settle(seq, &received, state).await);
        assert_eq!(processed(peer).await, expected, "{state:?}");
    }
    assert_eq!(processed(agent).await, 0);
}

async fn where_an_agent_wrote_is_known_by_the_highest_level(round: Round) {
    let store = round.store.as_ref();
    let (agent, peer) = (&round.aria.did, &round.bruno.did);
    let wrote = async |thread| outbox::wrote_in_thread(store, agent, peer, thread).await.unwrap();
    let send = async |id, type_: &str| {
        let change = |submission: &mut comity_core::outbound::Submission| {
            submission.type_ = type_.parse().unwrap();
            submission.thid = Some("t".to_owned());
        };
        round.send(id, change, Fence::none()).await.unwrap();
    };
    assert_eq!(wrote("t").await, None);
    send("m-1", "https://didcomm.org/trust-ping/2.0/ping").await;
    assert_eq!(wrote("t").await, Some(Level::Introduced));
    send("m-2", TASK).await;
    send("m-3", ASK).await;
    assert_eq!(wrote("t").await, Some(Level::Task), "what was said last does not lower it");
    assert_eq!(wrote("u").await, None);
    let strangers = outbox::wrote_in_thread(store, peer, agent, "t").await.unwrap();
    assert_eq!(strangers, None, "the other has not written");
    let forget = async |id| {
        let mut batch = Batch::new();
        outbox::forget(store, &mut batch, MessageKey::sent(agent, id)).await.unwrap();
        round.store.commit(batch).await.unwrap();
    };
    for (id, left) in [
        ("m-2", Some(Level::Message)),
        ("m-2", Some(Level::Message)),
        ("m-3", Some(Level::Introduced)),
        ("m-1", None),
    ] {
        forget(id).await;
        assert_eq!(wrote("t").await, left, "{id}");
    }
}

async fn a_thread_of_before_there_were_levels_is_one_of_messages_and_is_forgotten(round: Round) {
    // Its row stayed for ever, and the thread could be answered for ever.
    let store = round.store.as_ref();
    let (agent, peer) = (&round.aria.did, &round.bruno.did);
    let wrote = async || outbox::wrote_in_thread(store, agent, peer, "m-1").await.unwrap();
    let before = round.rows(Keyspace::Index, b"w").await;
    round.send("m-1", |_| {}, Fence::none()).await.unwrap();
    let after = round.rows(Keyspace::Index, b"w").await;
    let (key, time) = after.iter().find(|row| !before.contains(row)).unwrap();
    let (_level, as_before) = key.split_last().unwrap();
    let rewriting = |batch: &mut Batch| {
        batch.delete(Keyspace::Index, key);
        batch.put(Keyspace::Index, as_before, time.clone());
    };
    round.commit(rewriting).await.unwrap();
    assert_eq!(wrote().await, Some(Level::Message));
    let mut batch = Batch::new();
    outbox::forget(store, &mut batch, MessageKey::sent(agent, "m-1")).await.unwrap();
    round.store.commit(batch).await.unwrap();
    assert_eq!(wrote().await, None);
    assert_eq!(round.rows(Keyspace::Index, b"w").await, before);
}

async fn a_request_does_not_come_to_wait_beside_a_decision(round: Round) {
    // The operator allowed its sender between the judgement and the commit: it waited for a decision
    // that had been made, while later messages of the sender went past it.
    let judged = round.judge("m-1", ASK, Looked::Well).await;
    assert!(matches!(judged.placement(), Placement::Request));
    round.enter(&allowed(&round.aria.did, Level::Message, Limits::UNLIMITED)).await;
    assert_eq!(round.keep(&judged).await, Written::Temporary(Refusal::Busy));
    assert!(round.mailbox().await.is_empty());
    let again = round.judge("m-1", ASK, Looked::Well).await;
    assert!(matches!(again.placement(), Placement::Mailbox));
    assert!(matches!(round.keep(&again).await, Written::New { .. }));
}

fn approval(round: &Round, entry: &Entry, waiting: &mailbox::Waiting) -> Result<Approval, Refusal> {
    let request = (&waiting.held.request, waiting.held.received.size_bytes);
    let (agent, policy) = (&round.bruno.did, Policy::default());
    Approval::new(entry, agent, request, &policy, Used::default(), NOW)
}

async fn a_request_counts_when_it_is_approved_and_as_open_until_it_is_settled(round: Round) {
    let store = round.store.as_ref();
    let limits = Limits { messages_per_day: Some(1), tasks_open: Some(1), ..Limits::UNLIMITED };
    let entry = allowed(&round.aria.did, Level::Task, limits);
    let meter = Meter { id: entry.meter(&round.bruno.did), limits };
    round.receive("t-1", TASK).await;
    assert_eq!(round.used(&meter, NOW).await, Used::default());
    let find = async || mailbox::request(store, &round.bruno.did, &round.aria.did).await.unwrap();
    let waiting = find().await.unwrap();
    let low = Entry { level: Level::Message, ..entry.clone() };
    assert_eq!(approval(&round, &low, &waiting).unwrap_err(), Refusal::LevelTooLow);
    let approval = approval(&round, &entry, &waiting).unwrap();
    let approve = async || {
        let capacity = Capacity { messages_max: 10 };
        round
            .commit(|batch| mailbox::hand_over(batch, &waiting, &approval, capacity, NOW))
            .await
            .is_ok()
    };
    assert!(approve().await);
    assert!(!approve().await, "only once");
    let used = Used { messages: 1, tasks: 1, bytes: 0 };
    assert_eq!(round.used(&meter, NOW).await, used);
    let [(seq, received)] = &round.mailbox().await[..] else { panic!("one message") };
    assert_eq!((received.level, &received.open_in[..]), (Level::Task, &[meter.id][..]));
    assert!(round.settle(*seq, received, State::Processed).await);
    assert_eq!(round.used(&meter, NOW).await, Used { tasks: 0, ..used });
    assert_eq!(find().await, None);
}

async fn who_began_a_thread_is_who_was_let_in_with_it(round: Round) {
    let store = round.store.as_ref();
    let (agent, peer) = (&round.bruno.did, &round.aria.did);
    let began = async |thread| mailbox::began_thread(store, agent, peer, thread).await.unwrap();
    assert!(!began("m-1").await);
    round.receive("m-1", ASK).await;
    assert!(!began("m-1").await, "it waits for the operator");
    let waiting = mailbox::request(store, agent, peer).await.unwrap().unwrap();
    let capacity = Capacity { messages_max: 10 };
    let entry = allowed(peer, Level::Message, Limits::UNLIMITED);
    let approval = approval(&round, &entry, &waiting).unwrap();
    let approving =
        |batch: &mut Batch| mailbox::hand_over(batch, &waiting, &approval, capacity, NOW);
    round.commit(approving).await.unwrap();
    let rung = Rung::new(State::Received, NOW, agent.clone());
    let received = waiting.held.received.clone();
    let taking = |batch: &mut Batch| {
        mailbox::climb(batch, &mut Debts::new(), &received, &rung);
    };
    round.commit(taking).await.unwrap();
    // Its first answer stays that it waits; the agent could not answer what it had been handed.
    assert!(began("m-1").await, "the agent has it");
    assert!(began("M-1").await, "ids compare without regard to case");
    round.enter(&Entry::new(Whom::Did(peer.clone()), EntryKind::Deny, NOW)).await;
    round.receive("m-2", ASK).await;
    assert!(!began("m-2").await, "it was refused");
    round.enter(&allowed(peer, Level::Message, Limits::UNLIMITED)).await;
    round.receive("m-3", ASK).await;
    assert!(began("m-3").await);
    let other = mailbox::began_thread(store, peer, agent, "m-3").await.unwrap();
    assert!(!other, "the other way round it is an answer to nothing");
}

/// Opens an engine; the guard keeps its directory.
trait Engine {
    type Guard;
    fn open() -> (Self::Guard, Arc<dyn Store>);
}

struct Memory;
impl Engine for Memory {
    type Guard = ();
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        ((), Arc::new(MemoryStore::new()))
    }
}

struct Fjall;
impl Engine for Fjall {
    type Guard = tempfile::TempDir;
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = FjallStore::open(directory.path()).unwrap();
        (directory, Arc::new(store))
    }
}

struct FaultyMemory;
impl Engine for FaultyMemory {
    type Guard = ();
    fn open() -> (Self::Guard, Arc<dyn Store>) {
        ((), Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()))))
    }
}

macro_rules! records {
    ($($module:ident: $engine:ty => $cases:tt)*) => {
        $(mod $module { use super::*; records!(@cases $engine, $cases); })*
    };
    (@cases $engine:ty, { $($case:ident)* }) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_guard, store) = <$engine>::open();
                for number in 0..ROUNDS {
                    let round = Round::new(Arc::clone(&store), stringify!($case), number);
                    super::$case(round).await;
                }
            }
        )*
    };
}

macro_rules! every_engine {
    ($($case:ident)*) => {
        records! {
            fjall: Fjall => { $($case)* }
            memory: Memory => { $($case)* }
            without_faults: FaultyMemory => { $($case)* }
        }
    };
}

every_engine! {
    a_contact_is_remembered_with_its_keys
    a_message_counts_against_all_its_meters_or_none
    a_message_that_was_judged_too_early_does_not_break_a_limit
    a_request_counts_when_it_is_approved_and_as_open_until_it_is_settled
    a_request_does_not_come_to_wait_beside_a_decision
    a_task_is_open_until_it_is_processed_refused_or_expires
    a_thread_of_before_there_were_levels_is_one_of_messages_and_is_forgotten
    an_entry_of_before_there_were_levels_is_read_and_replaced
    an_entry_that_changed_since_it_was_read_is_not_replaced
    both_forms_of_a_peer_did_have_one_entry
    each_day_counts_from_nothing_and_is_forgotten_when_it_is_over
    entries_about_one_and_about_many_are_found_in_their_direction
    nobody_fills_what_is_kept_of_work
    of_the_same_work_the_latest_word_is_kept_for_a_year
    what_an_agent_has_processed_is_counted_for_each_sender
    what_an_agent_sends_counts_by_what_was_decided_about
    what_was_counted_last_conflicts_when_it_breaks_a_limit
    where_an_agent_wrote_is_known_by_the_highest_level
    who_began_a_thread_is_who_was_let_in_with_it
}
