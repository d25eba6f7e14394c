//! Connecting, and the ends that are for good.

use comity_sdk::{Agent, Closed, ConnectError, RunError, SendError};
use tokio::net::TcpListener;

use crate::home::{Home, problem};
use crate::{BRUNO, question};

#[tokio::test]
async fn a_connected_agent_knows_who_it_is() {
    let mut home = Home::start().await;
    let (agent, _socket) = home.agent().await;
    assert_eq!((agent.name(), agent.did()), ("aria", crate::ARIA));
    assert_eq!(agent.handle(), "aria@a.example");
}

#[tokio::test]
async fn a_bad_token_is_a_clear_error() {
    let home = Home::start().await;
    home.refuse(Some(problem(401, "token")));
    let error = Agent::connect(&home.url, "token").await.unwrap_err();
    assert!(matches!(&error, ConnectError::TokenRefused(problem) if problem.code == "token"));
    assert!(error.to_string().contains("does not take this token"), "{error}");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Agent::connect(&url, "token").await.unwrap_err();
    assert_eq!(error.to_string(), format!("no node answers at {url}; is it running?"));
}

#[tokio::test]
async fn the_admin_token_speaks_for_an_agent_by_name_only() {
    assert!(Agent::builder("http://127.0.0.1:1").as_admin("token", "aria").is_ok());
    for name in ["", "Aria", "a b", "a\r\nb", &"a".repeat(65)] {
        assert!(Agent::builder("http://127.0.0.1:1").as_admin("token", name).is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn the_newest_socket_wins_and_the_older_one_does_not_fight_back() {
    let mut home = Home::start().await;
    let (agent, socket) = home.agent().await;
    let running = tokio::spawn({
        let agent = agent.clone();
        async move { agent.run().await }
    });
    socket.close(4000).await;
    assert_eq!(running.await.unwrap(), Err(RunError::Closed(Closed::Replaced)));
    let error = agent.send(BRUNO, &question("still there?")).await.unwrap_err();
    assert!(matches!(error, SendError::Closed(Closed::Replaced)));
    assert_eq!(agent.next().await.unwrap_err(), Closed::Replaced);
}

#[tokio::test]
async fn a_token_that_is_taken_back_ends_the_agent() {
    let mut home = Home::start().await;
    let (agent, socket) = home.agent().await;
    home.refuse(Some(problem(401, "token")));
    drop(socket);
    let Err(RunError::Closed(Closed::TokenRefused(_))) = agent.run().await else {
        panic!("the token was refused");
    };
}

#[tokio::test]
async fn a_second_run_is_an_error() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    agent.on::<crate::Question, _, _>(|_, context: comity_sdk::Context| async move {
        assert_eq!(context.agent().run().await, Err(RunError::AlreadyRunning));
        context.agent().shutdown();
        Ok(())
    });
    socket.push(&crate::home::delivery(1, &question("?"))).await;
    let home_side = async {
        socket.take_ack(1).await;
        assert_eq!(socket.closed().await, 1000);
    };
    let (ended, ()) = tokio::join!(agent.run(), home_side);
    assert_eq!(ended, Ok(()));
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let mut home = Home::start().await;
    let (agent, mut socket) = home.agent().await;
    drop(agent);
    assert_eq!(socket.closed().await, 1000);
}
