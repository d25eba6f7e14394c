//! Lost connections: nothing is lost with them, and nothing is handled twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use comity_core::api::{ClientFrame, Disposition, ServerFrame};
use comity_sdk::{Incoming, RequestError};
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, mpsc};

use crate::home::{Home, delivery, problem, rung};
use crate::{BRUNO, Question, question};

#[tokio::test]
async fn an_unanswered_send_is_repeated_with_the_same_id() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let sending = tokio::spawn({
        let agent = agent.clone();
        async move { agent.send(BRUNO, &question("once")).await }
    });
    let (_, first) = socket.receive_send().await;
    // The home may or may not have stored it; then it is restarted.
    socket.close(1012).await;
    let mut socket = home.socket().await;
    let again = socket.take_send().await;
    assert_eq!(again, first, "the same id and the same content");
    assert_eq!(Some(sending.await.unwrap().unwrap().id), first.id);
}

#[tokio::test]
async fn a_handler_that_runs_across_a_reconnect_runs_once_and_settles_on_the_new_socket() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let gate = Arc::new(Semaphore::new(0));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let opens = gate.clone();
    agent.on::<Question, _, _>(move |message: Incoming<Question>, _| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(message.facts.id).unwrap();
            gate.acquire().await?.forget();
            Ok(())
        }
    });
    let running = agent.clone();
    tokio::spawn(async move { running.run().await });

    let mut message = delivery(1, &question("?"));
    socket.push(&message).await;
    assert_eq!(begins.recv().await.unwrap(), "message-1");
    drop(socket);

    let mut socket = home.socket().await;
    message.redelivered = 1;
    socket.push(&message).await;
    opens.add_permits(2);
    socket.take_ack(1).await;

    // Once more, as if the acknowledgement had been lost at the home: it is repeated, not handled.
    socket.push(&message).await;
    socket.take_ack(1).await;
    socket.push(&delivery(2, &question("?"))).await;
    assert_eq!(begins.recv().await.unwrap(), "message-2", "nothing began before it");
}

#[tokio::test]
async fn an_unanswered_settlement_is_repeated_on_the_new_socket() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    for number in 1..=2 {
        socket.push(&delivery(number, &question("?"))).await;
    }
    let first = agent.next().await.unwrap();
    let second = agent.next().await.unwrap();
    let settles = async {
        let (one, two) = tokio::join!(agent.ack(&first), agent.ack(&second));
        one.unwrap();
        two.unwrap();
    };
    let plays = async {
        socket.receive_settlement().await;
        drop(socket);
        let mut socket = home.socket().await;
        let both = Disposition::Ack { deliveries: vec![1, 2] };
        let (r#ref, disposition) = socket.receive_settlement().await;
        assert_eq!(disposition, both, "what waits shares a frame");
        // The home's disk is full for a moment: not settled, so once more.
        let problem = problem(503, "busy");
        socket.send(&ServerFrame::Error { r#ref: Some(r#ref), problem }).await;
        assert_eq!(socket.take_settlement().await, both);
        socket
    };
    tokio::join!(settles, plays);
}

#[tokio::test]
async fn a_message_that_is_dropped_unsettled_comes_again() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let message = delivery(1, &question("?"));
    socket.push(&message).await;
    drop(agent.next().await.unwrap());
    drop(socket);
    let mut socket = home.socket().await;
    socket.push(&message).await;
    assert_eq!(agent.next().await.unwrap().facts.id, "message-1");
}

#[tokio::test]
async fn a_send_that_is_given_up_before_it_was_written_is_taken_back() {
    let mut home = Home::start().await;
    let (agent, socket) = home.agent().await;
    home.refuse(Some(problem(503, "starting")));
    drop(socket);
    home.refused().await;
    assert!(agent.send(BRUNO, &question("given up")).now_or_never().is_none());
    home.refuse(None);
    let mut socket = home.socket().await;
    let kept = question("kept");
    let (sent, message) = tokio::join!(agent.send(BRUNO, &kept), socket.take_send());
    assert_eq!(message.body["text"], "kept");
    sent.unwrap();
}

#[tokio::test]
async fn a_request_learns_what_happened_while_the_connection_was_down() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let asking = agent.message(BRUNO, &question("why?")).id("m-1").request();
    let reply = tokio::spawn(asking.into_future());
    socket.take_send().await;
    home.trace("m-1", BRUNO, vec![rung("queued"), rung("expired")]);
    drop(socket);
    let _socket = home.socket().await;
    assert!(matches!(reply.await.unwrap(), Err(RequestError::Expired)));
}

/// Ten times the home goes away in the middle of everything, with what it stored answered or not.
#[tokio::test]
async fn over_many_reconnects_nothing_is_lost_and_nothing_is_handled_twice() {
    const MESSAGES: u64 = 200;
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let (handled, mut handles) = mpsc::unbounded_channel();
    agent.on::<Question, _, _>(move |message: Incoming<Question>, _| {
        handled.send(message.facts.id).unwrap();
        async { Ok(()) }
    });
    let running = agent.clone();
    tokio::spawn(async move { running.run().await });
    let sends: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let agent = agent.clone();
            let body = question(&number.to_string());
            tokio::spawn(async move { agent.send(BRUNO, &body).await.unwrap().id })
        })
        .collect();

    let mut mailbox: BTreeMap<u64, _> =
        (1..=MESSAGES).map(|number| (number, delivery(number, &question("?")))).collect();
    let mut stored = HashMap::new();
    let mut frames = 0;
    for message in mailbox.values() {
        socket.push(message).await;
    }
    while !mailbox.is_empty() || stored.len() < sends.len() {
        frames += 1;
        // A prime, so that each kind of frame is hit; the cut comes before the answer.
        let cut = frames % 19 == 0 && frames < 190;
        match socket.receive().await {
            ClientFrame::Send { r#ref, message } => {
                stored.insert(message.id.clone().unwrap(), message.body["text"].clone());
                if !cut {
                    socket.answer_send(r#ref, &message).await;
                }
            }
            ClientFrame::Settle { r#ref, disposition: Disposition::Ack { deliveries } } => {
                mailbox.retain(|number, _| !deliveries.contains(number));
                if !cut {
                    socket.answer_settlement(r#ref).await;
                }
            }
            ClientFrame::Settle { disposition, .. } => panic!("a refusal: {disposition:?}"),
        }
        if cut {
            drop(socket);
            socket = home.socket().await;
            for message in mailbox.values() {
                socket.push(message).await;
            }
        }
    }
    // What was stored and cut off before its answer comes once more.
    let rest = tokio::spawn(async move {
        loop {
            match socket.receive().await {
                ClientFrame::Send { r#ref, message } => socket.answer_send(r#ref, &message).await,
                ClientFrame::Settle { r#ref, .. } => socket.answer_settlement(r#ref).await,
            }
        }
    });
    for send in sends {
        assert!(stored.contains_key(&send.await.unwrap()));
    }
    rest.abort();
    assert_eq!(stored.len() as u64, MESSAGES, "each message under one id");
    let mut ids = BTreeSet::new();
    while let Ok(id) = handles.try_recv() {
        assert!(ids.insert(id), "handled twice");
    }
    assert_eq!(ids.len() as u64, MESSAGES);
}
