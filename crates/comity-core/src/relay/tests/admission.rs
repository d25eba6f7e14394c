//! How the door tells friends from strangers, and who has a say in it.

use super::*;
use crate::admission::{Class, HeldToken, Pass, Rule, Secret, Token, make_token, offered_key};
use crate::limits::HELD_BYTES_MAX;

/// What Bruno's relay makes of a forward that shows something, under his rule or without one.
fn class(net: &Net, rule: Option<&Rule>, shown: Option<serde_json::Value>) -> Option<Class> {
    let mut facts = net.facts();
    facts.recipient.as_mut().unwrap().rule = rule.cloned();
    let forward = net.forward(net.bruno.did.as_str(), net.letter(), |message| {
        if let Some(shown) = shown {
            message.extra.insert("admission".to_owned(), shown);
        }
    });
    let held = net.drive(forward, &net.relay, &facts).held.unwrap();
    assert_eq!(held.pool().is_some(), held.row().class == Some(Class::Stranger));
    held.row().class
}

#[test]
fn who_shows_a_token_is_a_friend_and_nobody_is_refused_for_what_it_shows() {
    let net = net();
    let secret = Secret::new(&[1; 32]);
    let (rule_key, pair) =
        (secret.rule_key(&net.bruno.did, 0), secret.pair_key(&net.aria.did, &net.bruno.did));
    let rule = Rule { key: rule_key.public(), pool_percent: None };
    let id = MessageId::parse("jti-1").unwrap();
    let token = make_token(&rule_key, &net.bruno.did, &pair.public(), &id, NOW);
    let held = HeldToken { token: token.text.clone(), expires: token.expires };
    let shown = Pass::new(pair, Some(held)).show(&net.bruno.did, &net.letter(), NOW).unwrap();
    // Each letter is sealed anew, so this one was shown for another.
    assert_eq!(class(&net, Some(&rule), Some(shown.clone())), Some(Class::Stranger));
    assert_eq!(class(&net, Some(&rule), None), Some(Class::Stranger));
    for garbage in [json!(7), json!({}), json!({ "token": "x", "proof": [] })] {
        assert_eq!(class(&net, Some(&rule), Some(garbage)), Some(Class::Stranger));
    }
    assert_eq!(class(&net, None, Some(shown)), None, "without a rule nothing is said");
}

#[test]
fn for_whom_the_pool_is_full_a_place_can_be_had_for_work_once() {
    let net = net();
    let secret = Secret::new(&[1; 32]);
    let key = secret.rule_key(&net.bruno.did, 0).public();
    let facts = |work_bits| {
        let mut facts = net.facts();
        facts.recipient.as_mut().unwrap().rule = Some(Rule { key, pool_percent: None });
        facts.relay = Some(Quotas { work_bits, ..Quotas::default() });
        facts
    };
    let forward = net.forward(net.bruno.did.as_str(), net.letter(), |_| {});
    // Posts the forward, and returns the class that it was held as, and how it ended.
    let post = |work: Option<&str>, written: Written, work_bits| {
        let context = Context {
            home: net.relay.did.clone(),
            now: NOW,
            salt: [7; 16],
            secret: crate::testing::secret(),
        };
        let arrival = Arrival {
            work: work.map(str::to_owned),
            ..Arrival::encrypted(forward.clone(), crate::trust::WayIn::Direct)
        };
        let mut inbound = Inbound::new(arrival, context).unwrap();
        let mut class = None;
        loop {
            let input = match inbound.poll_output() {
                Output::Keys(_) => {
                    Input::Keys(vec![(net.relay.did.url("key-2"), net.relay.keys().agreement.1)])
                }
                Output::Route(_) => Input::Routed(facts(work_bits)),
                Output::Hold(held) => {
                    assert_eq!(held.spent().is_some(), held.row().class == Some(Class::Paid));
                    class = held.row().class;
                    Input::Written(written.clone())
                }
                Output::Done(outcome) => return (class, outcome),
                other => panic!("{other:?}"),
            };
            inbound.handle_input(input);
        }
    };
    let full = || Written::Temporary(Refusal::StrangersFull);
    let turned = |refusal| Outcome::TurnedAway(refusal);
    let (class, outcome) = post(None, full(), 4);
    let Outcome::Charged(challenge) = outcome else { panic!("{outcome:?}") };
    assert_eq!((class, challenge.bits), (Some(Class::Stranger), 4));
    assert_eq!(post(None, full(), 0).1, turned(Refusal::StrangersFull), "nothing is for sale");

    let shown = crate::testing::solve(&challenge);
    let new = Written::New { seq: 1 };
    assert_eq!(post(Some(&shown), new, 4), (Some(Class::Paid), Outcome::Queued(Some(Class::Paid))));
    let (_, outcome) = post(Some(&shown), Written::Spent, 4);
    assert!(matches!(outcome, Outcome::Charged(_)), "it is worth something once: {outcome:?}");
    assert_eq!(post(Some(&shown), full(), 4).1, turned(Refusal::StrangersFull), "this pool too");
    // It pays for this payload only.
    let other = net.forward(net.bruno.did.as_str(), net.letter(), |_| {});
    let arrival =
        Arrival { work: Some(shown), ..Arrival::encrypted(other, crate::trust::WayIn::Direct) };
    let context = Context {
        home: net.relay.did.clone(),
        now: NOW,
        salt: [8; 16],
        secret: crate::testing::secret(),
    };
    let mut inbound = Inbound::new(arrival, context).unwrap();
    let held = loop {
        let input = match inbound.poll_output() {
            Output::Keys(_) => {
                Input::Keys(vec![(net.relay.did.url("key-2"), net.relay.keys().agreement.1)])
            }
            Output::Route(_) => Input::Routed(facts(4)),
            Output::Hold(held) => break held,
            other => panic!("{other:?}"),
        };
        inbound.handle_input(input);
    };
    assert_eq!(held.row().class, Some(Class::Stranger));
}

#[test]
fn what_a_home_sends_to_somebody_behind_a_relay_is_a_friends() {
    use crate::outbound::{self, Accountability, Input as Sends, Output as Asks, Residence};
    let net = net();
    let at_relay = comity_didcomm::Endpoint::new(net.relay.did.as_str());
    let (bruno, secret) = (net.bruno.at(&[at_relay]), Secret::new(&[1; 32]));
    let (rule_key, pair) =
        (secret.rule_key(&bruno.did, 0), secret.pair_key(&net.aria.did, &bruno.did));
    let id = MessageId::parse("jti-1").unwrap();
    let token = make_token(&rule_key, &bruno.did, &pair.public(), &id, NOW);
    for (accountability, held) in [
        (Accountability::Accountable, Some(&token)),
        (Accountability::Deniable, Some(&token)),
        (Accountability::Accountable, None),
    ] {
        let submission = outbound::Submission {
            id: id.clone(),
            from: net.aria.did.clone(),
            to: bruno.did.clone(),
            type_: OFFER.parse().unwrap(),
            body: serde_json::Map::new(),
            attachments: Vec::new(),
            thid: None,
            pthid: None,
            ack: Vec::new(),
            expires_in_s: None,
            accountability,
            kind: crate::record::OutgoingKind::Message,
            work_bits_max: None,
        };
        let context = Context {
            home: net.aria.did.clone(),
            now: NOW,
            salt: [0; 16],
            secret: crate::testing::secret(),
        };
        let mut machine = outbound::Outbound::new(submission, context);
        let queued = loop {
            let input = match machine.poll_output() {
                Asks::Resolve(did) => {
                    let party = if did == bruno.did { &bruno } else { &net.relay };
                    Sends::Document(Arc::clone(&party.document), Residence::Elsewhere)
                }
                Asks::Pass { from, to } => {
                    assert_eq!((&from, &to), (&net.aria.did, &bruno.did));
                    let held = held.cloned();
                    let held =
                        held.map(|Token { text, expires }| HeldToken { token: text, expires });
                    Sends::Pass(Some(Pass::new(pair.clone(), held)))
                }
                Asks::Judge(_) => Sends::Fence(crate::trust::Fence::none()),
                Asks::Keys(_) => Sends::Keys(net.aria.keys()),
                Asks::Commit(queued) => break queued,
                Asks::Done(result) => panic!("{result:?}"),
            };
            machine.handle_input(input, &mut rand::rng());
        };
        let mut facts = net.facts();
        let key = rule_key.public();
        facts.recipient.as_mut().unwrap().rule = Some(Rule { key, pool_percent: None });
        let arrived = net.drive(queued.envelope().to_vec(), &net.relay, &facts);
        let letter = arrived.held.unwrap();
        let opened = net.bruno.open(letter.envelope(), &net.aria).unwrap();
        let (expected, asks) = match held {
            Some(_) => (Class::Friend, None),
            None => (Class::Stranger, Some(pair.public())),
        };
        assert_eq!(letter.row().class, Some(expected), "{accountability:?}");
        assert_eq!(offered_key(&opened.message), asks, "{accountability:?}");
    }
}

#[test]
fn the_rule_of_a_recipient_says_how_much_of_its_quota_strangers_fill() {
    let quotas = Quotas::default();
    let key = Secret::new(&[1; 32]).rule_key(&net().bruno.did, 0).public();
    let pool = |quotas: Quotas, class, pool_percent| {
        let pool = quotas.pool(class, Some(&Rule { key, pool_percent }))?;
        Some((pool.messages_max, pool.bytes_max))
    };
    let mib = 1024 * 1024;
    assert_eq!(pool(quotas, Class::Friend, None), None);
    assert_eq!(pool(quotas, Class::Stranger, None), Some((500, 5 * mib)));
    assert_eq!(pool(quotas, Class::Stranger, Some(20)), Some((2_000, 20 * mib)));
    assert_eq!(pool(quotas, Class::Stranger, Some(0)), Some((0, 0)));
    assert_eq!(pool(quotas, Class::Stranger, Some(100)), Some((10_000, 100 * mib)));
    assert_eq!(pool(quotas, Class::Paid, Some(0)), Some((2_000, 20 * mib)));
    // A pool that there is has room for one message, however small the quota.
    let small = Quotas { messages_max: 4, bytes_max: mib, ..quotas };
    assert_eq!(pool(small, Class::Stranger, None), Some((1, HELD_BYTES_MAX as u64)));
    // Friends always have half of what is shared.
    let shared = quotas.pool(Class::Stranger, None).unwrap();
    assert_eq!(shared.registrant_messages_max, 50_000);
    assert_eq!(shared.total_bytes_max, quotas.total_bytes_max / 2);
}

#[test]
fn only_who_may_empty_a_queue_says_who_fills_it() {
    let net = net();
    let (bruno, home) = (net.bruno.did.clone(), "did:web:home.example".parse::<Did>().unwrap());
    let key = Secret::new(&[1; 32]).rule_key(&bruno, 0).public();
    let rule = Rule { key, pool_percent: Some(10) };
    let known = row(&bruno, &home, Some(NOW));
    for allowed in [&bruno, &home] {
        let change = change_rule(allowed, Some(&rule), Some(&known)).unwrap().unwrap();
        assert_eq!(change.before.as_ref(), Some(&known));
        let after = change.after.unwrap();
        assert_eq!(after.rule.as_ref(), Some(&rule));
        assert_eq!(change_rule(allowed, Some(&rule), Some(&after)), Ok(None), "it is so already");
        let removed = change_rule(allowed, None, Some(&after)).unwrap().unwrap();
        assert_eq!(removed.after, Some(known.clone()));
    }
    let refused = Err(Refusal::NotYourQueue);
    assert_eq!(change_rule(&net.aria.did, Some(&rule), Some(&known)), refused);
    assert_eq!(change_rule(&home, Some(&rule), None), refused);
}

#[test]
fn a_rule_outlasts_new_keys_and_ends_with_the_registration() {
    let home: Did = "did:web:home.example".parse().unwrap();
    let key = Secret::new(&[1; 32]).rule_key(&home, 0).public();
    let rule = Some(Rule { key, pool_percent: None });
    let bruno = "did:web:b.example".parse().unwrap();
    let with_rule =
        |registrant: &Did, at| RecipientRow { rule: rule.clone(), ..row(&bruno, registrant, at) };
    let after = |known: RecipientRow| match update(true, Recipients::Proven, Some(&known)) {
        Verdict::Change(change) => change.after.unwrap().rule,
        other => panic!("{other:?}"),
    };
    assert_eq!(after(with_rule(&home, Some(NOW))), rule);
    let other: Did = "did:web:other.example".parse().unwrap();
    assert_eq!(after(with_rule(&other, Some(UnixTime(NOW.0 - 1)))), None);
}

#[test]
fn a_row_from_before_there_were_rules_is_read_and_written_as_it_was() {
    let text = r#"{"recipient":"did:web:b.example","registrant":"did:web:h.example","received_at":1,"expires":2,"not_before":1,"size_bytes":3}"#;
    let row: HeldRow = serde_json::from_str(text).unwrap();
    assert_eq!((row.class, serde_json::to_string(&row).unwrap().as_str()), (None, text));
    let text = r#"{"did":"did:web:b.example","registrant":"did:web:h.example","proven_at":null,"added_at":1,"keys":[]}"#;
    let row: RecipientRow = serde_json::from_str(text).unwrap();
    assert_eq!((&row.rule, serde_json::to_string(&row).unwrap().as_str()), (&None, text));
}
