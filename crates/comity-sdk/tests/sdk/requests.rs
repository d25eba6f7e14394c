//! Requests: which message is the reply, and every other end.

use std::time::Duration;

use comity_core::api::{Delivery, TraceState};
use comity_sdk::{BasicMessage, Received, RequestError, SendError, State};
use tokio::task::JoinHandle;

use crate::home::{Home, Socket, delivery, problem, report, rung};
use crate::{Answer, BRUNO, answer, question};

type Reply = JoinHandle<Result<Received, RequestError>>;

/// Aria asks `to`; returns the id of her message.
async fn ask(home: &mut Home, to: &'static str) -> (comity_sdk::Agent, Socket, Reply, String) {
    let (agent, mut socket) = home.agent().await;
    let asking = agent.clone();
    let reply = tokio::spawn(async move { asking.request(to, &question("why?")).await });
    let id = socket.take_send().await.id.unwrap();
    (agent, socket, reply, id)
}

fn reply_to(number: u64, thid: &str, text: &str) -> Delivery {
    Delivery { thid: thid.to_owned(), ..delivery(number, &answer(text)) }
}

#[tokio::test]
async fn the_reply_is_the_first_message_of_the_thread_from_whom_was_asked() {
    let mut home = Home::start().await;
    let (agent, mut socket, reply, id) = ask(&mut home, BRUNO).await;

    socket.push(&reply_to(1, "another thread", "1")).await;
    let mut stranger = reply_to(2, &id, "2");
    stranger.from = "did:web:mallory.example".to_owned();
    socket.push(&stranger).await;
    socket.push(&reply_to(3, &id, "3")).await;
    socket.push(&reply_to(4, &id, "4")).await;

    let reply = reply.await.unwrap().unwrap();
    assert_eq!(reply.body::<Answer>().unwrap(), answer("3"));
    socket.take_ack(3).await;
    for text in ["1", "2", "4"] {
        let other = agent.next().await.unwrap();
        assert_eq!(other.body::<Answer>().unwrap(), answer(text), "goes to the handlers");
    }
}

#[tokio::test]
async fn a_problem_report_of_the_recipient_is_a_refusal() {
    let mut home = Home::start().await;
    let (_agent, mut socket, reply, id) = ask(&mut home, BRUNO).await;
    socket.push(&report(1, &id, "e.m.trust.revoked")).await;
    let Err(RequestError::Refused { code, comment }) = reply.await.unwrap() else {
        panic!("a refusal");
    };
    assert_eq!((code.as_str(), comment.as_str()), ("e.m.trust.revoked", "No"));
    socket.take_ack(1).await;
}

#[tokio::test]
async fn the_rung_refused_is_a_refusal_and_its_late_report_no_news() {
    let mut home = Home::start().await;
    let (agent, mut socket, reply, id) = ask(&mut home, BRUNO).await;
    let refused = TraceState { code: Some("e.m.trust.pending".to_owned()), ..rung("refused") };
    socket.tell(&id, refused).await;
    assert!(matches!(
        reply.await.unwrap(),
        Err(RequestError::Refused { code, .. }) if code == "e.m.trust.pending"
    ));
    socket.push(&report(1, &id, "e.m.trust.pending")).await;
    socket.take_ack(1).await;
    socket.push(&delivery(2, &question("next"))).await;
    assert_eq!(agent.next().await.unwrap().facts.id, "message-2", "nothing came before it");
}

#[tokio::test]
async fn a_request_that_expires_says_so() {
    let mut home = Home::start().await;
    let (_agent, mut socket, reply, id) = ask(&mut home, BRUNO).await;
    socket.tell(&id, rung("accepted")).await;
    socket.tell(&id, rung("expired")).await;
    assert!(matches!(reply.await.unwrap(), Err(RequestError::Expired)));
}

#[tokio::test]
async fn a_deadline_travels_with_the_message_and_says_how_far_it_got() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let mut states = agent.states();
    let home_side = async {
        let message = socket.take_send().await;
        assert_eq!(message.expires_in_s, Some(1));
        socket.tell(message.id.as_ref().unwrap(), rung("accepted")).await;
        let (id, state) = states.next().await.unwrap();
        assert_eq!((id, state), (message.id.unwrap(), rung("accepted")));
    };
    let asking = agent.request(BRUNO, &question("why?")).deadline(Duration::from_millis(300));
    let (reply, ()) = tokio::join!(asking.into_future(), home_side);
    let Err(RequestError::Deadline { last_state }) = reply else { panic!("the deadline") };
    assert_eq!(last_state, Some(State::Accepted));
}

#[tokio::test]
async fn the_did_behind_a_handle_is_asked_for() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let asking = {
        let agent = agent.clone();
        async move { agent.message("bruno@b.example", &question("why?")).id("m-1").request().await }
    };
    let reply = tokio::spawn(asking);
    let (r#ref, message) = socket.receive_send().await;
    home.trace("m-1", BRUNO, vec![rung("queued")]);
    // The reply is there before anybody knows whose it is.
    let mut stranger = reply_to(1, "m-1", "no");
    stranger.from = "did:web:mallory.example".to_owned();
    socket.push(&stranger).await;
    socket.push(&reply_to(2, "m-1", "yes")).await;
    socket.answer_send(r#ref, &message).await;
    assert_eq!(reply.await.unwrap().unwrap().body::<Answer>().unwrap(), answer("yes"));
    assert_eq!(agent.next().await.unwrap().facts.id, "message-1");
}

#[tokio::test]
async fn what_the_home_does_not_take_is_an_error_at_once() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let home_side = async {
        let (r#ref, _) = socket.receive_send().await;
        let problem = problem(400, "unknown-recipient");
        socket.send(&comity_core::api::ServerFrame::Error { r#ref: Some(r#ref), problem }).await;
    };
    let asking = agent.request("nobody", &question("why?"));
    let (reply, ()) = tokio::join!(asking.into_future(), home_side);
    assert!(matches!(
        reply,
        Err(RequestError::Send(SendError::Refused(problem))) if problem.code == "unknown-recipient"
    ));

    let huge = BasicMessage::new("x".repeat(comity_sdk::limits::SEND_FRAME_BYTES_MAX));
    let error = agent.send(BRUNO, &huge).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { .. }));
}

#[tokio::test]
async fn a_trace_waits_for_its_rung() {
    let mut home = Home::start().await;
    let (agent, _socket) = home.agent().await;
    home.trace("m-1", BRUNO, vec![rung("queued"), rung("accepted")]);
    let wait = Duration::from_secs(5);
    let trace = agent.trace("m-1", Some(State::Accepted), wait).await.unwrap();
    assert_eq!(trace.states.len(), 2);
    // At the end of its time it tells what is known.
    let trace = agent.trace("m-1", Some(State::Processed), Duration::ZERO).await.unwrap();
    assert_eq!(trace.states.len(), 2);
    assert!(matches!(agent.trace("m-2", None, wait).await, Err(comity_sdk::TraceError::Unknown)));
}
