//! An acknowledgement is a promise (ADR 0005), also when the power goes: SIGKILL again and again under load.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use comity_sdk::{Agent, Body, HandlerError, SendError};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::support::{DEADLINE, TestNode, start_demo_pair};

/// Kills of node B; every fifth time node A dies too.
const KILLS: u64 = 50;
/// Programs that send at the same time.
const SENDERS: u64 = 8;
/// Messages that are promised and not handled, at most.
const BACKLOG_MAX: u64 = 200;

#[derive(Serialize, Deserialize)]
struct Number {
    number: u64,
}

impl Body for Number {
    const TYPE: &'static str = "https://comity.dev/protocols/test/1.0/number";
}

/// What both sides saw, to be compared at the end.
#[derive(Default)]
struct Ledger {
    /// Numbers whose `send` returned, with the message's id: node A promised them.
    promised: Mutex<BTreeMap<u64, String>>,
    /// How often each number was handed to the handler, which acknowledges.
    handled: Mutex<HashMap<u64, u32>>,
}

impl Ledger {
    fn has_handled(&self, number: u64) -> bool {
        self.handled.lock().unwrap().contains_key(&number)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_double_nothing() {
    let (mut a, aria, mut b, bruno) = start_demo_pair();
    let token = |agent: &serde_json::Value| agent["token"].as_str().unwrap().to_owned();
    let bruno_did = bruno["did"].as_str().unwrap().to_owned();
    let ledger = Arc::new(Ledger::default());
    let (progress, mut progressed) = watch::channel(0_u64);

    let receiver = Agent::connect(&b.local(), token(&bruno)).await.unwrap();
    let seen = Arc::clone(&ledger);
    receiver.on::<Number, _, _>(move |message, _| {
        *seen.handled.lock().unwrap().entry(message.body.number).or_default() += 1;
        progress.send_modify(|count| *count += 1);
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    let running = receiver.clone();
    let running = tokio::spawn(async move { running.run().await });

    let sender = Agent::connect(&a.local(), token(&aria)).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (sender, to, ledger) = (sender.clone(), bruno_did.clone(), Arc::clone(&ledger));
        let (is_over, next) = (Arc::clone(&is_over), Arc::clone(&next));
        let mut progressed = progressed.clone();
        senders.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                // Load, but not a backlog that takes minutes to work off.
                progressed.wait_for(|handled| number < handled + BACKLOG_MAX).await.unwrap();
                let id = send(&sender, &to, number).await;
                ledger.promised.lock().unwrap().insert(number, id);
            }
        });
    }

    for kill in 0..KILLS {
        // At another moment each time: right after the start, or well under way.
        let enough = *progressed.borrow_and_update() + 1 + (kill * 7) % 40;
        wait_for(&mut progressed, enough).await.unwrap();
        b = again(b).await;
        if kill % 5 == 4 {
            a = again(a).await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let promised = ledger.promised.lock().unwrap().clone();
    let came = wait_for(&mut progressed, promised.len() as u64).await;
    let lost: Vec<_> =
        promised.iter().filter(|(number, _)| !ledger.has_handled(**number)).collect();
    if let Some((number, id)) = lost.first() {
        let trace = sender.trace(id, None, DEADLINE).await;
        panic!("lost {} of {}, first {number}: {trace:?}", lost.len(), promised.len());
    }
    came.unwrap();

    // Whatever came twice has come by the time that one more is through.
    let last = sender.message(&bruno_did, &Number { number: u64::MAX }).send().await.unwrap();
    let wait = Some(comity_sdk::State::Processed);
    let trace = sender.trace(&last.id, wait, DEADLINE).await.unwrap();
    assert_eq!(trace.states.last().unwrap().state, "processed", "{trace:?}");
    let handled = ledger.handled.lock().unwrap().clone();
    let doubled: Vec<_> = handled.iter().filter(|(_, times)| 1 < **times).collect();
    assert!(doubled.is_empty(), "doubled {doubled:?} of {}", promised.len());
    assert!(KILLS <= promised.len() as u64, "only {} messages", promised.len());
    assert_eq!(b.mailbox(), 0);
    for node in [&a, &b] {
        let checks = node.run(&["doctor"]).lines();
        let log = checks.iter().find(|check| check["name"] == "log").unwrap();
        assert_eq!(log["ok"], true, "no kill tore an act from its statement: {log}");
    }
    eprintln!("{KILLS} kills, {} messages, each handled once", promised.len());
    receiver.shutdown().await;
    running.await.unwrap().unwrap();
}

async fn again(mut node: TestNode) -> TestNode {
    node.kill();
    tokio::task::spawn_blocking(|| node.restart()).await.unwrap()
}

/// Sends a number until node A has promised it, and returns the message's id.
async fn send(sender: &Agent, to: &str, number: u64) -> String {
    loop {
        match sender.send(to, &Number { number }).await {
            Ok(sent) => return sent.id,
            // A node that has just started may be unable to look Bruno up while his is dead: no promise was made.
            Err(SendError::Refused(problem)) => assert_eq!(problem.code, "send.unresolvable"),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn wait_for(progressed: &mut watch::Receiver<u64>, enough: u64) -> Result<(), String> {
    let in_time = timeout(DEADLINE, progressed.wait_for(|count| enough <= *count)).await.is_ok();
    let have = *progressed.borrow();
    if in_time { Ok(()) } else { Err(format!("{have} of {enough} messages came")) }
}
