//! Messages and their handlers: what is acknowledged, what is refused and how, what runs when.

use std::sync::Arc;

use comity_sdk::{
    Agent, BodyError, Context, HandlerError, INTERNAL, Incoming, Received, SettleError,
    UNREADABLE_BODY, UNSUPPORTED_TYPE,
};
use tokio::sync::{Semaphore, mpsc};

use crate::home::{Home, delivery, problem, report};
use crate::{Answer, BRUNO, Question, answer, question};

fn run(agent: &Agent) {
    let agent = agent.clone();
    tokio::spawn(async move { agent.run().await });
}

#[tokio::test]
async fn a_handler_gets_facts_and_body_and_its_end_acknowledges() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    agent.on::<Question, _, _>(|message: Incoming<Question>, context: Context| async move {
        assert_eq!(message.facts.from, BRUNO);
        assert_eq!(message.facts.verified, "signature");
        assert_eq!(message.facts.admitted, "allow-list");
        context.reply(&answer(&message.body.text.to_uppercase())).await?;
        Ok::<_, HandlerError>(())
    });
    run(&agent);

    socket.push(&delivery(1, &question("why?"))).await;
    let reply = socket.take_send().await;
    assert_eq!((reply.to.as_str(), reply.thid.as_deref()), (BRUNO, Some("message-1")));
    assert_eq!(reply.body["text"], "WHY?");
    socket.take_ack(1).await;
}

#[tokio::test]
async fn a_handlers_error_refuses_the_message() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    agent.on::<Question, _, _>(|message: Incoming<Question>, _| async move {
        match message.body.text.as_str() {
            "answer" => Err(HandlerError::new("e.m.req.question", "Not that one")),
            "trouble" => Err(std::io::Error::other("the disk of /var/lib is full"))?,
            _ => panic!("a bug of the handler"),
        }
    });
    run(&agent);

    socket.push(&delivery(1, &question("answer"))).await;
    let refusal = socket.take_refusal(1).await;
    assert_eq!(refusal, ("e.m.req.question".to_owned(), "Not that one".to_owned()));

    for (number, text) in [(2, "trouble"), (3, "bug")] {
        socket.push(&delivery(number, &question(text))).await;
        let (code, reason) = socket.take_refusal(number).await;
        assert_eq!(code, INTERNAL);
        assert!(!reason.contains("disk") && !reason.contains("bug"), "{reason}");
    }
}

#[tokio::test]
async fn what_nothing_handles_is_refused_and_a_report_is_not() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    agent.on::<Question, _, _>(|_: Incoming<Question>, _| async { Ok(()) });
    run(&agent);

    socket.push(&delivery(1, &answer("unasked"))).await;
    assert_eq!(socket.take_refusal(1).await.0, UNSUPPORTED_TYPE);

    let mut unfit = delivery(2, &question("?"));
    unfit.body.clear();
    socket.push(&unfit).await;
    let (code, reason) = socket.take_refusal(2).await;
    assert_eq!(code, UNREADABLE_BODY);
    assert!(reason.contains("missing field `text`"), "{reason}");

    // No report about a report.
    socket.push(&report(3, "message-0", "e.m.trust.revoked")).await;
    socket.take_ack(3).await;
}

#[tokio::test]
async fn on_any_takes_the_rest_and_a_compatible_version_is_no_rest() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let (seen, mut saw) = mpsc::unbounded_channel();
    let rest = seen.clone();
    agent
        .on::<Question, _, _>(move |message: Incoming<Question>, _| {
            seen.send(format!("question {}", message.body.text)).unwrap();
            async { Ok(()) }
        })
        .on_any(move |message: Received, _| {
            assert!(matches!(message.body::<Question>(), Err(BodyError::Type { .. })));
            let text = message.body::<Answer>().unwrap().text;
            rest.send(format!("rest {text}")).unwrap();
            async { Ok(()) }
        });
    run(&agent);

    let mut newer = delivery(1, &question("newer"));
    newer.type_ = "https://example.org/interview/1.7/question".to_owned();
    socket.push(&newer).await;
    assert_eq!(saw.recv().await.unwrap(), "question newer");
    socket.take_ack(1).await;
    socket.push(&delivery(2, &answer("other"))).await;
    assert_eq!(saw.recv().await.unwrap(), "rest other");
    socket.take_ack(2).await;
}

#[tokio::test]
async fn messages_of_one_thread_are_handled_in_order_and_threads_do_not_wait_for_each_other() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let gate = Arc::new(Semaphore::new(0));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let opens = gate.clone();
    agent.on::<Question, _, _>(move |message: Incoming<Question>, _| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(message.body.text.clone()).unwrap();
            if message.facts.thid == "slow" {
                gate.acquire().await?.forget();
            }
            Ok(())
        }
    });
    run(&agent);

    for number in 1..=3 {
        let mut slow = delivery(number, &question(&format!("slow {number}")));
        slow.thid = "slow".to_owned();
        socket.push(&slow).await;
    }
    assert_eq!(begins.recv().await.unwrap(), "slow 1");
    socket.push(&delivery(4, &question("quick"))).await;
    assert_eq!(begins.recv().await.unwrap(), "quick");
    socket.take_ack(4).await;
    for number in 1..=3 {
        assert!(begins.is_empty() || 1 < number);
        opens.add_permits(1);
        socket.take_ack(number).await;
        if number < 3 {
            assert_eq!(begins.recv().await.unwrap(), format!("slow {}", number + 1));
        }
    }
}

#[tokio::test]
async fn as_many_handlers_run_as_may() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let gate = Arc::new(Semaphore::new(0));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let opens = gate.clone();
    agent.on::<Question, _, _>(move |_: Incoming<Question>, _| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(()).unwrap();
            gate.acquire().await?.forget();
            Ok(())
        }
    });
    run(&agent);

    let max = comity_sdk::limits::HANDLERS_MAX as u64;
    for number in 0..=max {
        socket.push(&delivery(number, &question("?"))).await;
    }
    for _ in 0..max {
        begins.recv().await.unwrap();
    }
    assert!(begins.is_empty());
    opens.add_permits(1);
    // One has ended, so the last one begins.
    begins.recv().await.unwrap();
    socket.take_settlement().await;
}

#[tokio::test]
async fn messages_can_be_pulled() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    for number in 1..=3 {
        socket.push(&delivery(number, &question(&number.to_string()))).await;
    }
    let pulls = async {
        let first = agent.next().await.unwrap();
        let second = agent.next().await.unwrap();
        let third = agent.next().await.unwrap();
        assert_eq!(second.body::<Question>().unwrap(), question("2"));
        agent.ack(&second).await.unwrap();
        agent.ack(&second).await.unwrap();
        agent.refuse(&first, "e.m.req", "Never").await.unwrap();
        let error = agent.ack(&third).await.unwrap_err();
        assert!(matches!(error, SettleError::Refused(problem) if problem.code == "gone"));
    };
    let plays = async {
        socket.take_ack(2).await;
        assert_eq!(socket.take_refusal(1).await, ("e.m.req".to_owned(), "Never".to_owned()));
        let (r#ref, _) = socket.receive_settlement().await;
        let problem = problem(404, "gone");
        socket.send(&comity_core::api::ServerFrame::Error { r#ref: Some(r#ref), problem }).await;
    };
    tokio::join!(pulls, plays);
}

#[tokio::test]
async fn a_shutdown_lets_handlers_finish_and_begins_nothing() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let gate = Arc::new(Semaphore::new(0));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let opens = gate.clone();
    agent.on::<Question, _, _>(move |message: Incoming<Question>, _| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(message.body.text).unwrap();
            gate.acquire().await?.forget();
            Ok(())
        }
    });
    let running = tokio::spawn({
        let agent = agent.clone();
        async move { agent.run().await }
    });
    for number in 1..=2 {
        let mut message = delivery(number, &question(&number.to_string()));
        message.thid = "one".to_owned();
        socket.push(&message).await;
    }
    assert_eq!(begins.recv().await.unwrap(), "1");
    let shutdown = agent.shutdown();
    opens.add_permits(1);
    socket.take_ack(1).await;
    assert_eq!(socket.closed().await, 1000);
    shutdown.await;
    assert_eq!(running.await.unwrap(), Ok(()));
    assert!(begins.try_recv().is_err(), "the second message stays in the mailbox");
}
