//! Drafts: what an agent sets is what its home is asked to send.

use std::time::Duration;

use comity_core::api::{SendRequest, ServerFrame, Working};
use serde_json::json;

use crate::home::Home;
use crate::{BRUNO, question};

#[tokio::test]
async fn a_type_that_is_known_only_at_run_time_travels_as_it_is() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let type_ = "https://example.org/weather/1.0/report";
    let body = json!({"celsius": 21}).as_object().unwrap().clone();
    let draft = agent.untyped(BRUNO, type_, body.clone());
    let (sent, message) = tokio::join!(draft.send(), socket.take_send());
    assert_eq!(message.type_.as_deref(), Some(type_));
    assert_eq!((message.to.as_str(), &message.body), (BRUNO, &body));
    assert_eq!(message.id, Some(sent.unwrap().id), "an id is made where none was set");
}

#[tokio::test]
async fn attachments_threads_and_deadlines_reach_the_home() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let minutes = json!({"id": "minutes", "data": {"json": {"pages": 3}}});
    let map = json!({"id": "map", "data": {"base64": "AQID"}});
    let draft = agent
        .message(BRUNO, &question("Seen these?"))
        .id("m-1")
        .thread("t-1")
        .parent("p-1")
        .attach(minutes.clone())
        .attach(map.clone())
        .expires_in(Duration::from_millis(1500))
        .deniable()
        .work_max(22);
    let (sent, message) = tokio::join!(draft.send(), socket.take_send());
    let expected = SendRequest {
        to: BRUNO.to_owned(),
        type_: Some("https://example.org/interview/1.0/question".to_owned()),
        body: json!({"text": "Seen these?"}).as_object().unwrap().clone(),
        id: Some("m-1".to_owned()),
        thid: Some("t-1".to_owned()),
        pthid: Some("p-1".to_owned()),
        expires_in_s: Some(2),
        attachments: vec![minutes, map],
        deniable: true,
        work_bits_max: Some(22),
    };
    assert_eq!(message, expected);
    assert_eq!(sent.unwrap().thid, "t-1");
}

#[tokio::test]
async fn what_the_home_works_for_a_message_is_told() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    let mut progress = agent.progress();
    let working = Working { bits: 20, percent: 37 };
    socket.send(&ServerFrame::Working { id: "m-1".to_owned(), working }).await;
    assert_eq!(progress.next().await, Some(("m-1".to_owned(), working)));
    agent.shutdown().await;
    assert_eq!(progress.next().await, None);
}
