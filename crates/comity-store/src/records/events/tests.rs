//! Events over an engine in memory: their order, what is forgotten, and what a flood leaves.

use comity_core::event::{KeyRuling, WebhookEnd};
use comity_core::limits::REQUEST_EVENTS_MAX;
use comity_core::trust::{Changed, Contact};

use super::*;
use crate::engine::memory::MemoryStore;

const NOW: UnixTime = UnixTime(1_790_000_000);

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

fn event() -> Event {
    Event::WebhookDisabled { reason: WebhookEnd::Gone }
}

fn other() -> Event {
    let at = UnixTime(1);
    let changed = Some(Changed { keys: Vec::new(), at });
    let contact = Contact {
        did: did("did:web:a.example"),
        since: at,
        keys: Vec::new(),
        changed,
        moved_to: None,
    };
    Event::key_changed(&did("did:web:b.example"), &contact, KeyRuling::Passed).unwrap()
}

async fn commit(store: &dyn Store, events: &[Event]) -> Seq {
    let mut batch = Batch::new();
    put(&mut batch, NOW, events.to_vec());
    store.commit(batch).await.unwrap().seq
}

/// I2: the counter equals the rows.
async fn check(store: &dyn Store) -> usize {
    let rows = store.read(Keyspace::Index, KeyRange::prefix(ROWS), usize::MAX).await.unwrap().len();
    assert_eq!(usize::try_from(store.counter(&count()).await.unwrap()).unwrap(), rows);
    rows
}

#[tokio::test]
async fn events_are_read_in_order_after_any_place() {
    let store = MemoryStore::new();
    assert_eq!(after(&store, Place::default(), 9).await.unwrap(), []);
    let first = commit(&store, &[event()]).await;
    // A batch without events takes no row.
    commit(&store, &[]).await;
    let second = commit(&store, &[event(), other()]).await;
    assert_eq!(check(&store).await, 2);
    let places =
        [(first, 0), (second, 0), (second, 1)].map(|(seq, number)| Place { seq: seq.0, number });
    let read = async |place, limit| -> Vec<Place> {
        let happened = after(&store, place, limit).await.unwrap();
        happened.iter().map(|happened| happened.place).collect()
    };
    assert_eq!(read(Place::default(), 9).await, places);
    for (n, place) in places.iter().enumerate() {
        assert_eq!(read(*place, 9).await, places[n + 1..], "after {place}");
    }
    assert_eq!(read(Place::end_of(first), 9).await, places[1..]);
    assert_eq!(read(Place::end_of(second), 9).await, []);
    assert_eq!(read(Place::default(), 1).await, places[..1], "whole batches only");
    let last = after(&store, places[1], 9).await.unwrap().remove(0);
    assert_eq!((last.at, last.event), (NOW, other()));
}

#[tokio::test]
async fn the_oldest_are_forgotten_beyond_the_bound_and_that_is_known() {
    let store = MemoryStore::new();
    let kept = usize::try_from(EVENTS_KEPT_MAX).unwrap();
    // Three times over the same state (I6).
    for round in 0..3 {
        let missing = kept + EVENTS_FORGOTTEN_AT_ONCE + 5 - check(&store).await;
        for _ in 0..missing {
            commit(&store, &[event()]).await;
        }
        let mut steps = 0;
        loop {
            let mut batch = Batch::new();
            if !forget_oldest(&store, &mut batch).await.unwrap() {
                break;
            }
            store.commit(batch).await.unwrap();
            steps += 1;
        }
        assert_eq!((check(&store).await, steps), (kept, 2), "round {round}");
        let first = after(&store, Place::default(), 1).await.unwrap().remove(0);
        let forgotten = forgotten(&store).await.unwrap();
        assert!(forgotten.0 < first.place.seq);
        assert_eq!(after(&store, Place::end_of(forgotten), 1).await.unwrap().remove(0), first);
    }
}

#[tokio::test]
async fn readers_have_a_place_each() {
    let store = MemoryStore::new();
    let at = |who: &str, seq| Progress {
        who: who.to_owned(),
        since: 3,
        place: Place { seq, number: 1 },
    };
    for seq in [5, 6] {
        let mut batch = Batch::new();
        put_progress(&mut batch, Reader::Operator, &at("did:web:o.example", seq));
        put_progress(&mut batch, Reader::Webhook, &at("", seq + 10));
        store.commit(batch).await.unwrap();
        let read = progress(&store, Reader::Operator).await.unwrap();
        assert_eq!(read, Some(at("did:web:o.example", seq)));
        assert_eq!(progress(&store, Reader::Webhook).await.unwrap(), Some(at("", seq + 10)));
    }
    assert_eq!(progress(&MemoryStore::new(), Reader::Webhook).await.unwrap(), None);
    assert_eq!(after(&store, Place::default(), 9).await.unwrap(), [], "they are no events");
}

#[tokio::test]
async fn a_new_reader_begins_and_a_known_one_goes_on() {
    let store = MemoryStore::new();
    let first = commit(&store, &[event()]).await;
    let webhook = begin(&store, Reader::Webhook, "").await.unwrap();
    assert!(first.0 < webhook.since);
    assert_eq!(webhook.place, Place::end_of(Seq(webhook.since)), "what was before is not told");
    let operator = begin(&store, Reader::Operator, "did:web:o.example").await.unwrap();
    assert_eq!(operator.place, Place::default(), "what was before may still wait");
    let moved = Progress { place: Place { seq: 9, number: 0 }, ..operator.clone() };
    let mut batch = Batch::new();
    put_progress(&mut batch, Reader::Operator, &moved);
    store.commit(batch).await.unwrap();
    assert_eq!(begin(&store, Reader::Operator, "did:web:o.example").await.unwrap(), moved);
    let other = begin(&store, Reader::Operator, "did:web:p.example").await.unwrap();
    assert_eq!((other.place, operator.since < other.since), (Place::default(), true));
}

#[tokio::test]
async fn beyond_so_many_in_an_hour_only_their_number_is_told() {
    let store = MemoryStore::new();
    let (bruno, carla) =
        (did("did:web:b.example:agents:bruno"), did("did:web:b.example:agents:carla"));
    let hour = UnixTime(NOW.0 - NOW.0 % REQUEST_EVENTS_S);
    let mut told = 0;
    for _ in 0..REQUEST_EVENTS_MAX + 7 {
        let mut batch = Batch::new();
        let own = count_occasion(&store, &mut batch, &bruno, Occasion::Arrived, NOW).await.unwrap();
        told += i64::from(own);
        store.commit(batch).await.unwrap();
    }
    assert_eq!(told, REQUEST_EVENTS_MAX);
    // Another agent, another occasion and another hour have their own.
    for (agent, occasion, now) in [
        (&carla, Occasion::Arrived, NOW),
        (&bruno, Occasion::Expired, NOW),
        (&bruno, Occasion::Arrived, hour.saturating_add(REQUEST_EVENTS_S)),
    ] {
        let mut batch = Batch::new();
        assert!(count_occasion(&store, &mut batch, agent, occasion, now).await.unwrap());
        store.commit(batch).await.unwrap();
    }
    let due = |until| crate::records::due::until(&store, until, None, 99);
    assert!(due(NOW).await.unwrap().is_empty(), "not before the hour is over");
    let rows = due(hour.saturating_add(REQUEST_EVENTS_S)).await.unwrap();
    let agents: Vec<_> = rows
        .iter()
        .filter_map(|row| match &row.due {
            Due::TellUntold { agent, hour: of } if *of == hour => Some(agent.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(agents.len(), 2, "one line for an agent and hour: {agents:?}");
    for (agent, expected) in [(&bruno, Some((7, 0))), (&carla, None), (&bruno, None)] {
        let mut batch = Batch::new();
        let event = close_hour(&store, &mut batch, agent, hour).await.unwrap();
        store.commit(batch).await.unwrap();
        let counts = event.map(|event| match event {
            Event::RequestsUntold { arrived, expired, since, .. } => {
                assert_eq!(since, hour);
                (arrived, expired)
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(counts, expected, "{agent}");
    }
}
