//! The agents' API over one WebSocket: messages are pushed as they come, and everything else is a
//! frame with an answer.
//!
//! The newest socket of an agent wins. What its predecessor left unacknowledged goes to it.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use comity_core::api::{ClientFrame, DispositionAnswer, ServerFrame};
use comity_store::Wake as _;
use comity_store::records::mailbox_key;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::Local;
use super::agents::trace_state;
use super::auth::Caller;
use crate::deliver::{self, Event, Holder, StateEvent};
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::{
    HAND_OVER_MAX, PING_EVERY, SLOW_POLL, SOCKET_FRAME_BYTES_MAX, SOCKET_READ_BUFFER_BYTES,
    SOCKET_REQUESTS_MAX, SOCKET_WRITE_BUFFER_BYTES,
};
use crate::outbound;
use crate::problem::{ApiCode, ApiError};

/// Close code for a socket that a newer one of the same agent replaces.
const REPLACED: u16 = 4000;
/// Close code of an orderly stop (RFC 6455: service restart).
const RESTART: u16 = 1012;

/// Opens the agent's WebSocket.
#[utoipa::path(get, path = "/v1/socket", tag = "agents", security(("token" = [])),
    responses((status = 101, description = "Text frames: ClientFrame from the agent, ServerFrame from the node")))]
pub(crate) async fn socket(
    State(local): State<Local>,
    Caller(agent): Caller,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
        .write_buffer_size(SOCKET_WRITE_BUFFER_BYTES)
        .max_message_size(SOCKET_FRAME_BYTES_MAX)
        .max_frame_size(SOCKET_FRAME_BYTES_MAX)
        .on_upgrade(move |socket| serve(local, agent, socket))
}

async fn serve(local: Local, agent: Arc<Identity>, socket: WebSocket) {
    let home = &local.home;
    let holder = home.mailboxes.holder();
    let newest = home.mailboxes.new_socket(&agent.did, holder);
    let (sink, stream) = socket.split();
    // Answers and messages meet here; a slow reader stops both, and its mailbox keeps the rest.
    let (frames, outgoing) = mpsc::channel(SOCKET_REQUESTS_MAX);
    let over = over(newest, holder, local.stopping.clone());
    // Whichever ends first ends the socket.
    tokio::select! {
        () = read(home, &agent, stream, frames.clone()) => {}
        () = push(home, &agent, holder, frames) => {}
        () = write(sink, outgoing, over) => {}
    }
    home.mailboxes.release(mailbox_key(&agent.did), holder);
    home.mailboxes.socket_closed(&agent.did);
    // Whoever else fetches for this agent finds what came back.
    home.wake.wake(&mailbox_key(&agent.did));
}

/// Waits until this socket has to end, and says how to close it.
async fn over(
    mut newest: watch::Receiver<u64>,
    holder: Holder,
    mut stopping: watch::Receiver<bool>,
) -> CloseFrame {
    tokio::select! {
        _ = newest.wait_for(|newest| !holder.is(*newest)) => {
            CloseFrame { code: REPLACED, reason: "replaced".into() }
        }
        _ = stopping.wait_for(|stopping| *stopping) => {
            CloseFrame { code: RESTART, reason: "restart".into() }
        }
    }
}

/// Writes frames, many to a flush when many wait.
async fn write(
    mut sink: SplitSink<WebSocket, Frame>,
    mut outgoing: mpsc::Receiver<ServerFrame>,
    over: impl Future<Output = CloseFrame>,
) {
    let mut over = std::pin::pin!(over);
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let frame = tokio::select! {
            frame = outgoing.recv() => frame,
            close = &mut over => {
                let _the_peer_may_be_gone = sink.send(Frame::Close(Some(close))).await;
                return;
            }
            _ = ping.tick() => {
                if sink.send(Frame::Ping(Vec::new().into())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let mut next = frame;
        while let Some(frame) = next {
            let Ok(text) = serde_json::to_string(&frame) else { break };
            if sink.feed(Frame::Text(text.into())).await.is_err() {
                return;
            }
            next = outgoing.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

/// Reads the agent's frames. Sends go in parallel, in the order in which they came to be durable;
/// settling goes through at once.
async fn read(
    home: &Arc<Home>,
    agent: &Arc<Identity>,
    mut stream: SplitStream<WebSocket>,
    frames: mpsc::Sender<ServerFrame>,
) {
    let places = Arc::new(Semaphore::new(SOCKET_REQUESTS_MAX));
    // An agent that answers no ping for two periods is gone.
    while let Ok(Some(Ok(frame))) = timeout(2 * PING_EVERY, stream.next()).await {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Ping(_) | Frame::Pong(_) => continue,
            Frame::Binary(_) | Frame::Close(_) => return,
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (home, agent, frames) = (Arc::clone(home), Arc::clone(agent), frames.clone());
        tokio::spawn(async move {
            let answer = answer(&home, &agent, &text).await;
            let _the_socket_may_be_gone = frames.send(answer).await;
            // Not before the answer is on its way: an agent that does not read its answers is not
            // read either.
            drop(place);
        });
    }
}

async fn answer(home: &Arc<Home>, agent: &Identity, text: &str) -> ServerFrame {
    match serde_json::from_str::<ClientFrame>(text) {
        Ok(ClientFrame::Send { r#ref, message }) => {
            match outbound::send(home, &agent.did, message).await {
                Ok(answer) => ServerFrame::Sent { r#ref, answer },
                Err(error) => error_frame(Some(r#ref), error.into()),
            }
        }
        Ok(ClientFrame::Settle { r#ref, disposition }) => {
            match deliver::settle(home, agent, &disposition).await {
                Ok(settled) => {
                    ServerFrame::Settled { r#ref, answer: DispositionAnswer { settled } }
                }
                Err(fault) => error_frame(Some(r#ref), fault.into()),
            }
        }
        Err(error) => {
            let title = "The frame is not a ClientFrame in JSON";
            let hint =
                format!("See docs/openapi.json; the trouble is at column {}", error.column());
            error_frame(None, ApiError::new(ApiCode::BadRequest, title, &hint))
        }
    }
}

fn error_frame(r#ref: Option<u64>, ApiError(problem): ApiError) -> ServerFrame {
    ServerFrame::Error { r#ref, problem }
}

/// Pushes messages as they come, and how far the agent's own messages get.
async fn push(
    home: &Arc<Home>,
    agent: &Identity,
    holder: Holder,
    frames: mpsc::Sender<ServerFrame>,
) {
    let mut events = home.mailboxes.events(&agent.did);
    let mut listener = home.wake.listen(mailbox_key(&agent.did)).ok();
    loop {
        let handed = match deliver::hand_over(home, agent, holder, None, HAND_OVER_MAX).await {
            Ok(handed) => handed,
            Err(fault) => {
                tracing::error!(%fault, "a mailbox cannot be read");
                return;
            }
        };
        for message in &handed {
            let Some(delivery) = deliver::delivery(home, message).await else { continue };
            if frames.send(ServerFrame::Message(Box::new(delivery))).await.is_err() {
                return;
            }
        }
        deliver::record_received(home, &handed).await;
        if handed.len() == HAND_OVER_MAX {
            continue;
        }
        // How the agent's own messages get on is told until its mailbox may have something new.
        loop {
            let event = tokio::select! {
                () = wait(&mut listener) => break,
                event = events.recv() => event,
            };
            match event {
                Ok(event) => {
                    let frame = match event {
                        Event::State(StateEvent { id, rung, .. }) => {
                            ServerFrame::State { id, state: trace_state(rung) }
                        }
                        Event::Working { id, working } => ServerFrame::Working { id, working },
                    };
                    if frames.send(frame).await.is_err() {
                        return;
                    }
                }
                // What it missed is in the trace.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Waits for a hint, and not for long, in case one was lost.
async fn wait(listener: &mut Option<comity_store::Listener>) {
    let hint = async {
        match listener {
            Some(listener) => listener.wait().await,
            None => std::future::pending().await,
        }
    };
    let _hinted = timeout(SLOW_POLL, hint).await.is_ok();
}
