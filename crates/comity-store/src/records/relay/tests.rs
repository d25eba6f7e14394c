//! The relay's rows, driven by its own door, over an engine in memory: counters equal rows whatever
//! comes, repeats change nothing, and taking out twice is harmless (I2, I3, I7, I8).

use std::sync::Arc;

use comity_core::Context;
use comity_core::admission::{Class, HeldToken, Pass, Rule, Secret, Token, make_token};
use comity_core::inbound::Written;
use comity_core::protocol::coordinate_mediation::{Action, Update};
use comity_core::refusal::Refusal;
use comity_core::relay::{
    Figures, Held, HeldRow, RecipientFacts, Recipients, Registrant, RelayPolicy, Route, RouteFacts,
    Verdict, admit, change,
};
use comity_core::trust::WorkSecret;
use comity_didcomm::routing::Forward;
use comity_didcomm::{
    AgreementKey, ContentEncryption, DidDocument, MessageId, Protection, UnixTime,
    VerificationMethod, did, seal,
};
use proptest::prelude::prop;
use proptest::strategy::Strategy as _;
use proptest::test_runner::TestRunner;

use super::*;
use crate::batch::Seq;
use crate::engine::memory::MemoryStore;
use crate::store::CommitError;

const NOW: UnixTime = UnixTime(1_800_000_000);

struct Stand {
    store: Arc<dyn Store>,
    recipient: RecipientRow,
    quotas: Quotas,
    secret: Secret,
}

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

impl Stand {
    fn new(quotas: Quotas) -> Self {
        let recipient = RecipientRow {
            did: did("did:web:bruno.example"),
            registrant: did("did:web:home.example"),
            proven_at: Some(NOW),
            added_at: NOW,
            keys: Vec::new(),
            rule: None,
        };
        let secret = Secret::new(&[1; 32]);
        Self { store: Arc::new(MemoryStore::new()), recipient, quotas, secret }
    }

    /// A stand whose recipient has a rule.
    fn ruled(quotas: Quotas, pool_percent: Option<u8>) -> Self {
        let mut stand = Self::new(quotas);
        let key = stand.secret.rule_key(&stand.recipient.did, 0).public();
        stand.recipient.rule = Some(Rule { key, pool_percent });
        stand
    }

    /// A message of somebody unknown that the relay's door lets in.
    fn held(&self, number: u64, expires_s: u64) -> Held {
        self.held_of(Class::Stranger, number, expires_s)
    }

    /// A message of somebody that the relay's door lets in.
    fn held_of(&self, class: Class, number: u64, expires_s: u64) -> Held {
        let key = AgreementKey::generate(&mut rand::rng());
        let to = did::key::create(&key.public());
        let text = format!("m-{number}");
        let type_ = "https://example.org/offer/1.0/make".parse().unwrap();
        let message = comity_didcomm::Message::new(MessageId::parse(&text).unwrap(), type_);
        let protection = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
        let recipients = [(to.url("k"), key.public())];
        let sealed = seal(&message, protection, &recipients, &mut rand::rng()).unwrap();
        let bruno = &self.recipient.did;
        let mut forward = Forward::new(Next::Did(bruno.clone()), sealed.envelope.into_bytes());
        if class == Class::Friend {
            let pair = self.secret.pair_key(&to, bruno);
            let id = MessageId::parse("jti-1").unwrap();
            let rule_key = self.secret.rule_key(bruno, 0);
            let Token { text, expires } = make_token(&rule_key, bruno, &pair.public(), &id, NOW);
            let pass = Pass::new(pair, Some(HeldToken { token: text, expires }));
            let shown = pass.show(bruno, &forward.payloads[0], NOW).unwrap();
            forward.extra.insert("admission".to_owned(), shown);
        }
        forward.expires_time = Some(NOW.saturating_add(expires_s));
        let facts =
            RouteFacts { relay: Some(self.quotas), recipient: Some(self.recipient.clone()) };
        let context = Context {
            home: did("did:web:relay.example"),
            now: NOW,
            salt: [0; 16],
            secret: WorkSecret::new(&[0; 32]),
        };
        admit(&Route::new(forward).unwrap(), &facts, &context).unwrap()
    }

    async fn hold(&self, held: &Held) -> Written {
        for memory in [Memory::Kept, Memory::Full] {
            let mut batch = Batch::new();
            let at = hold(&mut batch, held, memory);
            let result = self.store.commit(batch).await;
            if !at.wants_memory(&result) {
                return holding(held, at, result).unwrap();
            }
        }
        panic!("without memory, none is wanted")
    }

    async fn rows(&self) -> Vec<(HeldId, HeldRow)> {
        let queue = queue_key(&self.recipient.did);
        oldest_first(self.store.as_ref(), queue, Seq(0), usize::MAX).await.unwrap()
    }

    async fn take_out(&self, id: HeldId, row: &HeldRow) -> bool {
        let mut batch = Batch::new();
        take_out(&mut batch, id, row);
        self.store.commit(batch).await.is_ok()
    }

    /// I2: every counter equals what the rows say.
    async fn check(&self) {
        let rows = self.rows().await;
        let bytes: u64 = rows.iter().map(|(_, row)| row.size_bytes).sum();
        let expected = (rows.len() as u64, bytes);
        let store = self.store.as_ref();
        let of = |figures: Figures| (figures.messages, figures.bytes);
        assert_eq!(of(figures(store, &self.recipient.did).await.unwrap()), expected);
        assert_eq!(of(totals(store).await.unwrap()), expected);
        let strangers = rows.iter().filter(|(_, row)| row.class == Some(Class::Stranger));
        let strangers: Vec<_> = strangers.map(|(_, row)| row.size_bytes.cast_signed()).collect();
        let expected = (i64::try_from(strangers.len()).unwrap(), strangers.iter().sum::<i64>());
        let registrant = did_hash(&self.recipient.registrant);
        let queue = queue_key(&self.recipient.did).0;
        for (whose, hash) in [(b'Q', &queue[..]), (b'O', &registrant[..]), (b'T', &[])] {
            let count = async |what: &[u8]| {
                store.counter(&join(b'c', &[b"R", &[whose], what, hash])).await.unwrap()
            };
            assert_eq!((count(b"m").await, count(b"b").await), expected, "{}", char::from(whose));
        }
        let bodies = store.read(Keyspace::Body, KeyRange::prefix(b"R"), usize::MAX).await.unwrap();
        assert_eq!(bodies.len(), rows.len());
    }
}

#[tokio::test]
async fn a_held_message_stays_until_it_is_taken_out_and_only_once() {
    let stand = Stand::new(Quotas::default());
    // Three times over the same state (I6).
    for round in 0..3 {
        let held = stand.held(round, 600);
        assert!(matches!(stand.hold(&held).await, Written::New { .. }));
        for _again in 0..2 {
            assert!(matches!(stand.hold(&held).await, Written::Repeat { .. }));
        }
        stand.check().await;
        let rows = stand.rows().await;
        let [(id, row)] = rows.as_slice() else { panic!("one message waits") };
        let body = envelope(stand.store.as_ref(), *id).await.unwrap().unwrap();
        assert_eq!(body, held.envelope());
        assert_eq!(id.to_string().parse(), Ok(*id));
        assert!(stand.take_out(*id, row).await);
        assert!(!stand.take_out(*id, row).await, "twice changes nothing");
        stand.check().await;
        assert!(matches!(stand.hold(&held).await, Written::Repeat { .. }), "it came before");
        assert!(stand.rows().await.is_empty());
    }
}

#[tokio::test]
async fn a_full_queue_takes_nothing_until_there_is_room() {
    let small = Quotas { messages_max: 2, ..Quotas::default() };
    let few_bytes = Quotas { bytes_max: 1, ..Quotas::default() };
    let full = Written::Temporary(Refusal::QueueFull);
    let stand = Stand::new(small);
    let third = stand.held(3, 600);
    for number in 0..2 {
        assert!(matches!(stand.hold(&stand.held(number, 600)).await, Written::New { .. }));
    }
    assert_eq!(stand.hold(&third).await, full);
    let rows = stand.rows().await;
    assert!(stand.take_out(rows[0].0, &rows[0].1).await);
    assert!(matches!(stand.hold(&third).await, Written::New { .. }));
    stand.check().await;
    let stand = Stand::new(few_bytes);
    assert_eq!(stand.hold(&stand.held(1, 600)).await, full);
    stand.check().await;
}

#[tokio::test]
async fn strangers_fill_their_pool_and_leave_the_rest_to_friends() {
    let stand = Stand::ruled(Quotas { messages_max: 6, ..Quotas::default() }, Some(34));
    let taken = |written: &Written| matches!(written, Written::New { .. });
    let full = Written::Temporary(Refusal::StrangersFull);
    for number in 0..2 {
        assert!(taken(&stand.hold(&stand.held(number, 600)).await));
    }
    let third = stand.held(3, 600);
    assert_eq!(stand.hold(&third).await, full);
    for number in 10..14 {
        let written = stand.hold(&stand.held_of(Class::Friend, number, 600)).await;
        assert!(taken(&written), "{written:?}");
        stand.check().await;
    }
    // Both have what they may: the queue itself is full.
    let friend = stand.held_of(Class::Friend, 14, 600);
    assert_eq!(stand.hold(&friend).await, Written::Temporary(Refusal::QueueFull));
    let rows = stand.rows().await;
    let classes: Vec<_> = rows.iter().filter_map(|(_, row)| row.class).collect();
    assert_eq!(classes[..3], [Class::Stranger, Class::Stranger, Class::Friend]);
    // What leaves makes room in its own pool.
    assert!(stand.take_out(rows[2].0, &rows[2].1).await);
    assert_eq!(stand.hold(&third).await, full);
    assert!(stand.take_out(rows[0].0, &rows[0].1).await);
    assert!(taken(&stand.hold(&third).await));
    stand.check().await;
}

#[tokio::test]
async fn a_pool_is_bounded_in_bytes_and_may_be_none() {
    let none = Stand::ruled(Quotas::default(), Some(0));
    let full = Written::Temporary(Refusal::StrangersFull);
    assert_eq!(none.hold(&none.held(1, 600)).await, full);
    assert!(matches!(none.hold(&none.held_of(Class::Friend, 1, 600)).await, Written::New { .. }));
    none.check().await;
    // Of all pools together a registrant has half of what it may have held.
    let mut stand = Stand::ruled(Quotas { messages_max: 1, ..Quotas::default() }, Some(100));
    for number in 0..6 {
        stand.recipient.did = did(&format!("did:web:b{number}.example"));
        let written = stand.hold(&stand.held(number, 600)).await;
        let expected = if number < 5 { None } else { Some(full.clone()) };
        assert_eq!(Some(&written).filter(|_| expected.is_some()), expected.as_ref(), "{number}");
    }
    let rows = stand.store.read(Keyspace::Index, KeyRange::prefix(b"Rh"), 99).await.unwrap();
    assert_eq!(rows.len(), 5);
    // And of the relay's bytes.
    let mut stand = Stand::ruled(Quotas::default(), Some(100));
    let first = stand.held(1, 600);
    stand.quotas.total_bytes_max = first.row().size_bytes * 3;
    assert!(matches!(stand.hold(&stand.held(2, 600)).await, Written::New { .. }));
    assert_eq!(stand.hold(&stand.held(3, 600)).await, full);
    stand.check().await;
}

#[tokio::test]
async fn a_full_relay_takes_nothing_for_anybody_until_there_is_room() {
    let mut stand = Stand::new(Quotas::default());
    let first = stand.held(1, 600);
    stand.quotas.total_bytes_max = first.row().size_bytes;
    assert!(matches!(stand.hold(&first).await, Written::New { .. }));
    let rows = stand.rows().await;
    // Somebody else's queue, of another registrant.
    stand.recipient.did = did("did:web:carla.example");
    stand.recipient.registrant = did("did:web:other.example");
    let second = stand.held(1, 600);
    assert_eq!(stand.hold(&second).await, Written::Temporary(Refusal::QueueFull));
    assert!(stand.take_out(rows[0].0, &rows[0].1).await);
    assert!(matches!(stand.hold(&second).await, Written::New { .. }));
    stand.check().await;
}

#[tokio::test]
async fn a_full_memory_of_forwards_turns_nobody_away() {
    let stand = Stand::new(Quotas::default());
    let remembered = stand.held(1, 600);
    assert!(matches!(stand.hold(&remembered).await, Written::New { .. }));
    let mut batch = Batch::new();
    batch.add(&join(b'c', &[b"Rs"]), comity_core::limits::FORWARDS_REMEMBERED_MAX - 1);
    stand.store.commit(batch).await.unwrap();
    let other = stand.held(2, 600);
    assert!(matches!(stand.hold(&other).await, Written::New { .. }));
    assert!(matches!(stand.hold(&other).await, Written::New { .. }), "this one is not remembered");
    assert!(matches!(stand.hold(&remembered).await, Written::Repeat { .. }));
    stand.check().await;
}

#[tokio::test]
async fn what_was_taken_out_is_not_due_to_expire() {
    let stand = Stand::new(Quotas::default());
    assert!(matches!(stand.hold(&stand.held(1, 600)).await, Written::New { .. }));
    let store = stand.store.as_ref();
    let expiries = async || {
        let later = NOW.saturating_add(9_999);
        let rows = crate::records::due::until(store, later, None, 99).await.unwrap();
        rows.iter().filter(|row| matches!(row.due, Due::ExpireHeld(_))).count()
    };
    assert_eq!(expiries().await, 1);
    let (id, row) = stand.rows().await.remove(0);
    assert!(stand.take_out(id, &row).await);
    assert_eq!(expiries().await, 0);
}

#[test]
fn counters_equal_rows_after_any_interleaving() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let steps = prop::collection::vec(0_u8..5, 1..40);
    let quotas = Quotas { messages_max: 6, ..Quotas::default() };
    let config = proptest::test_runner::Config {
        cases: 24,
        failure_persistence: None,
        ..Default::default()
    };
    TestRunner::new(config)
        .run(&steps.no_shrink(), |steps| {
            runtime.block_on(async {
                let stand = Stand::ruled(quotas, Some(50));
                let mut sent: Vec<Held> = Vec::new();
                for (number, step) in steps.into_iter().enumerate() {
                    let rows = stand.rows().await;
                    match step {
                        0 | 1 => {
                            sent.push(stand.held(number as u64, 600));
                            drop(stand.hold(sent.last().unwrap()).await);
                        }
                        2 => {
                            sent.push(stand.held_of(Class::Friend, number as u64, 600));
                            drop(stand.hold(sent.last().unwrap()).await);
                        }
                        3 => {
                            if let Some(held) = sent.first() {
                                drop(stand.hold(held).await);
                            }
                        }
                        _ => {
                            if let Some((id, row)) = rows.get(number % rows.len().max(1)) {
                                for _twice in 0..2 {
                                    stand.take_out(*id, row).await;
                                }
                            }
                        }
                    }
                    stand.check().await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn an_invitation_serves_as_often_as_it_says() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut batch = Batch::new();
    let one = Invitation { id: "i-1".to_owned(), expires: NOW.saturating_add(60), uses_left: 1 };
    invite(&mut batch, &one);
    store.commit(batch).await.unwrap();
    let grant_by = |name: &str| {
        let invitation = Some(one.id.clone());
        let registrant = Registrant { did: did(name), granted_at: NOW, invitation };
        let mut batch = Batch::new();
        grant(&mut batch, &registrant, None, Some(&one));
        store.commit(batch)
    };
    grant_by("did:web:a.example").await.unwrap();
    let again = grant_by("did:web:b.example").await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "it is used up");
    let left = invitation(store.as_ref(), "I-1").await.unwrap().unwrap();
    assert_eq!(left.uses_left, 0);
    assert_eq!(grants(store.as_ref()).await.unwrap(), 1);
    // A grant that nobody uses goes; one with recipients stays.
    let mut batch = Batch::new();
    let hash = did_hash(&did("did:web:a.example"));
    let later = NOW.saturating_add(comity_core::limits::UNUSED_GRANT_S);
    forget(store.as_ref(), &mut batch, Relayed::Grant(hash), later).await.unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(grants(store.as_ref()).await.unwrap(), 0);
}

/// Does what is due by then; says how many looks that took.
async fn sweep(store: &dyn Store, now: UnixTime) -> usize {
    for round in 0.. {
        let rows = crate::records::due::until(store, now.saturating_add(round), None, 99).await;
        let rows = rows.unwrap();
        if rows.is_empty() {
            return usize::try_from(round).unwrap();
        }
        for row in rows {
            let mut batch = Batch::new();
            crate::records::due::done(&mut batch, &row);
            if let Due::ForgetRelayed(row) = row.due {
                forget(store, &mut batch, row, now).await.unwrap();
            }
            store.commit(batch).await.unwrap();
        }
    }
    unreachable!("it comes to an end")
}

#[tokio::test]
async fn a_grant_that_nobody_uses_ends_with_its_recipients_and_a_used_one_stays() {
    use comity_core::limits::{IDLE_GRANT_S, UNUSED_GRANT_S};
    let stand = Stand::new(Quotas { recipients_max: 200, ..Quotas::default() });
    let store = stand.store.as_ref();
    let policy = RelayPolicy { recipients: Recipients::Any, ..RelayPolicy::default() };
    let relay = did("did:web:relay.example");
    let (idle, busy) = (did("did:web:idle.example"), did("did:web:busy.example"));
    for who in [&idle, &busy] {
        let one = Registrant { did: who.clone(), granted_at: NOW, invitation: None };
        let mut batch = Batch::new();
        grant(&mut batch, &one, None, None);
        store.commit(batch).await.unwrap();
        assert!(used(store, &one, NOW).await.unwrap().is_none(), "it was granted today");
        for number in 0..150 {
            let recipient = did(&format!("did:web:r{number}.{}", &who.as_str()[8..]));
            let update = Update { recipient_did: recipient, action: Action::Add, proof: None };
            let facts = RecipientFacts { row: None, document: None, registered: 0 };
            let verdict = change(who, &update, &policy, &facts, &relay, NOW);
            let Verdict::Change(change) = verdict else { panic!("{verdict:?}") };
            let mut batch = Batch::new();
            apply(store, &mut batch, &change, &stand.quotas).await.unwrap();
            store.commit(batch).await.unwrap();
        }
    }
    sweep(store, NOW.saturating_add(UNUSED_GRANT_S)).await;
    assert_eq!(grants(store).await.unwrap(), 2, "those with recipients outlast the first day");
    let day_20 = NOW.saturating_add(IDLE_GRANT_S * 2 / 3);
    let row = registrant(store, &busy).await.unwrap().unwrap();
    let batch = used(store, &row, day_20).await.unwrap().unwrap();
    store.commit(batch).await.unwrap();
    let looks = sweep(store, NOW.saturating_add(IDLE_GRANT_S)).await;
    assert!(2 < looks, "it takes several batches");
    assert_eq!(registrant(store, &idle).await.unwrap(), None);
    assert_eq!(recipients_of(store, &idle, 999).await.unwrap(), (Vec::new(), 0));
    assert_eq!(recipient(store, &did("did:web:r0.idle.example")).await.unwrap(), None);
    let left = list_grants(store, None, 9).await.unwrap();
    let [left] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((&left.registrant.did, left.recipients, left.used_at), (&busy, 150, day_20));
    assert!(list_grants(store, Some(&busy), 9).await.unwrap().is_empty());
    sweep(store, day_20.saturating_add(IDLE_GRANT_S)).await;
    let rows = store.read(Keyspace::Meta, KeyRange::prefix(b"R"), 99).await.unwrap();
    assert!(rows.is_empty(), "nothing of it is left");
    assert_eq!(grants(store).await.unwrap(), 0);
}

#[tokio::test]
async fn a_recipient_is_found_by_its_did_and_its_keys_and_moves_whole() {
    let stand = Stand::new(Quotas::default());
    let store = stand.store.as_ref();
    let (bruno, home) = (stand.recipient.did.clone(), stand.recipient.registrant.clone());
    let key = AgreementKey::generate(&mut rand::rng()).public();
    let mut document = DidDocument::new(bruno.clone());
    let id = document.add_key(VerificationMethod::new(bruno.url("key-1"), key));
    document.key_agreement.push(id);

    let policy = RelayPolicy { recipients: Recipients::Any, ..RelayPolicy::default() };
    let relay = did("did:web:relay.example");
    let update = async |sender: &Did, action: Action| {
        let row = recipient(store, &bruno).await.unwrap();
        let update = Update { recipient_did: bruno.clone(), action, proof: None };
        let facts = RecipientFacts { row: row.as_ref(), document: Some(&document), registered: 0 };
        let verdict = change(sender, &update, &policy, &facts, &relay, NOW);
        let Verdict::Change(change) = verdict else { panic!("{verdict:?}") };
        let mut outcomes = Vec::new();
        for _again in 0..2 {
            let mut batch = Batch::new();
            apply(store, &mut batch, &change, &stand.quotas).await.unwrap();
            outcomes.push(store.commit(batch).await.is_ok());
        }
        assert_eq!(outcomes, [true, false], "it has changed since it was read");
    };
    let names = [
        Next::Did(bruno.clone()),
        Next::Key(bruno.url("key-1")),
        Next::Did(did::key::create(&key)),
    ];
    update(&home, Action::Add).await;
    for next in &names {
        let row = find(store, next).await.unwrap().unwrap();
        assert_eq!((row.did, row.registrant), (bruno.clone(), home.clone()), "{next}");
    }
    // Nobody had proven anything, so the DID itself may take over.
    update(&bruno, Action::Add).await;
    assert_eq!(recipients_of(store, &home, 9).await.unwrap(), (Vec::new(), 0));
    let owned = recipients_of(store, &bruno, 9).await.unwrap();
    assert_eq!(owned, (vec![bruno.clone()], 1));
    update(&bruno, Action::Remove).await;
    for next in &names {
        assert_eq!(find(store, next).await.unwrap(), None, "{next}");
    }
    let left = store.read(Keyspace::Meta, KeyRange::prefix(b"R"), 99).await.unwrap();
    assert!(left.is_empty(), "nothing of it is left");
}
