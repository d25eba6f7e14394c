//! One socket, from its opening to its end: a reader and a writer side by side, so that neither waits for the other
//! while the home waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comity_core::api::{ClientFrame, Problem, ServerFrame};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{End, InFlight, SendCommand, Socket};
use crate::hub::{Closed, Hub};
use crate::limits;

/// Close code of a socket whose agent has a newer one.
const CLOSE_REPLACED: u16 = 4000;

/// Serves a socket until it ends. Also returns whether the home said anything on it.
pub(super) async fn serve(
    socket: Socket,
    hub: &Arc<Hub>,
    in_flight: &mut InFlight,
    commands: &mut mpsc::Receiver<SendCommand>,
) -> (End, bool) {
    let (sink, stream) = socket.split();
    let mut session = Session { hub, in_flight: Mutex::new(std::mem::take(in_flight)) };
    let mut heard = false;
    let end = {
        let reading = session.read(stream, &mut heard);
        let writing = session.write(sink, commands);
        tokio::pin!(reading, writing);
        tokio::select! {
            end = &mut reading => end,
            written = writing => match written {
                Ok(end) => end,
                Err(error) => {
                    tracing::debug!(%error, "the connection to the home was lost while writing");
                    // Why it closed may still be there to read, and a replaced agent must not come back.
                    let last = tokio::time::timeout(limits::LAST_WORDS_MAX, reading).await;
                    last.unwrap_or(End::Lost)
                }
            },
        }
    };
    *in_flight =
        std::mem::take(session.in_flight.get_mut().unwrap_or_else(PoisonError::into_inner));
    (end, heard)
}

struct Session<'a> {
    hub: &'a Arc<Hub>,
    in_flight: Mutex<InFlight>,
}

impl Session<'_> {
    async fn read(&self, mut stream: SplitStream<Socket>, heard: &mut bool) -> End {
        loop {
            let message = match tokio::time::timeout(limits::SILENCE_MAX, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "the connection to the home was lost");
                    return End::Lost;
                }
                Ok(None) => return End::Lost,
                Err(_) => {
                    tracing::debug!("the home has been silent for too long");
                    return End::Lost;
                }
            };
            match message {
                Message::Text(text) => {
                    *heard = true;
                    self.take(&text);
                }
                Message::Close(Some(close)) if u16::from(close.code) == CLOSE_REPLACED => {
                    return End::Closed(Closed::Replaced);
                }
                Message::Close(_) => return End::Lost,
                // Pings are answered below this level.
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    fn take(&self, text: &str) {
        let frame = match serde_json::from_str::<ServerFrame>(text) {
            Ok(frame) => frame,
            // A newer home may say more than this version understands.
            Err(error) => {
                tracing::debug!(line = error.line(), "a frame of the home was not understood");
                return;
            }
        };
        match frame {
            ServerFrame::Message(delivery) => self.hub.take(*delivery),
            ServerFrame::State { id, state } => self.hub.take_state(id, state),
            ServerFrame::Working { id, working } => self.hub.take_working(id, working),
            ServerFrame::Sent { r#ref, answer } => {
                let command = self.in_flight().sends.remove(&r#ref);
                if let Some(SendCommand { answer: waiting, permit, .. }) = command {
                    drop(permit);
                    // Whoever sent it may have stopped waiting; it is sent all the same.
                    drop(waiting.send(Ok(answer)));
                }
            }
            ServerFrame::Settled { r#ref, .. } => {
                let deliveries = self.in_flight().settlements.remove(&r#ref);
                self.hub.mailbox().confirm(&deliveries.unwrap_or_default());
            }
            ServerFrame::Error { r#ref: Some(r#ref), problem } => self.fail(r#ref, problem),
            ServerFrame::Error { r#ref: None, problem } => {
                tracing::warn!(code = problem.code, "the home did not understand a frame");
            }
        }
        if self.hub.is_stopping() {
            self.hub.wake.notify_one();
        }
    }

    fn fail(&self, r#ref: u64, problem: Problem) {
        let mut in_flight = self.in_flight();
        if let Some(SendCommand { answer, .. }) = in_flight.sends.remove(&r#ref) {
            drop(answer.send(Err(problem)));
            return;
        }
        let Some(deliveries) = in_flight.settlements.remove(&r#ref) else { return };
        if problem.status == 429 || 500 <= problem.status {
            let at = Instant::now() + limits::SETTLE_AGAIN;
            in_flight.postponed.get_or_insert((at, Vec::new())).1.extend(deliveries);
            self.hub.wake.notify_one();
            return;
        }
        drop(in_flight);
        tracing::warn!(code = problem.code, "the home did not settle a message");
        self.hub.mailbox().fail(&deliveries, &problem);
    }

    async fn write(
        &self,
        mut sink: SplitSink<Socket, Message>,
        commands: &mut mpsc::Receiver<SendCommand>,
    ) -> Result<End, Error> {
        let mut batch = Vec::new();
        let mut stop_at = None;
        let mut has_handles = true;
        // Whatever an earlier socket left unanswered comes first, under the same ids.
        let mut frames: Vec<Utf8Bytes> =
            self.in_flight().sends.values().map(|command| command.frame.clone()).collect();
        loop {
            frames.extend(self.settlements());
            for (written, frame) in frames.drain(..).enumerate() {
                sink.feed(Message::Text(frame)).await?;
                if (written + 1).is_multiple_of(limits::FRAMES_PER_FLUSH_MAX) {
                    sink.flush().await?;
                }
            }
            sink.flush().await?;

            if self.hub.is_stopping() {
                stop_at.get_or_insert_with(|| Instant::now() + limits::SHUTDOWN_MAX);
                if self.is_done(commands) {
                    let close =
                        CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
                    sink.send(Message::Close(Some(close))).await?;
                    return Ok(End::Closed(Closed::Shutdown));
                }
            }
            let postponed_until = self.in_flight().postponed.as_ref().map(|(at, _)| *at);
            tokio::select! {
                () = self.hub.wake.notified() => {}
                received = commands.recv_many(&mut batch, limits::FRAMES_PER_FLUSH_MAX),
                    if has_handles =>
                {
                    if received == 0 {
                        has_handles = false;
                        self.hub.stop();
                    }
                    frames.extend(self.enlist(&mut batch));
                }
                () = until(postponed_until) => {
                    let postponed = self.in_flight().postponed.take();
                    if let Some((_, deliveries)) = postponed {
                        self.hub.mailbox().repeat(&deliveries);
                    }
                }
                () = until(stop_at) => return Ok(End::Closed(Closed::Shutdown)),
            }
        }
    }

    /// Takes note of new sends before anything is written: a socket that breaks now does not lose them. Those that
    /// nobody waits for any more are taken back.
    fn enlist(&self, batch: &mut Vec<SendCommand>) -> Vec<Utf8Bytes> {
        let mut in_flight = self.in_flight();
        let mut frames = Vec::with_capacity(batch.len());
        for command in batch.drain(..).filter(|command| !command.answer.is_closed()) {
            frames.push(command.frame.clone());
            in_flight.sends.insert(command.r#ref, command);
        }
        frames
    }

    /// Takes the settlements that wait, as few frames as they fit in.
    fn settlements(&self) -> Vec<Utf8Bytes> {
        let mut mailbox = self.hub.mailbox();
        let mut frames = Vec::new();
        while let Some(settlement) = mailbox.next_settlement() {
            let r#ref = self.hub.next_ref();
            let frame = ClientFrame::Settle { r#ref, disposition: settlement.disposition };
            match serde_json::to_string(&frame) {
                Ok(frame) => {
                    self.in_flight().settlements.insert(r#ref, settlement.deliveries);
                    frames.push(frame.into());
                }
                // Numbers and strings always become JSON.
                Err(error) => tracing::error!(%error, "a settlement could not be written"),
            }
        }
        frames
    }

    fn is_done(&self, commands: &mpsc::Receiver<SendCommand>) -> bool {
        !self.hub.is_running()
            && commands.is_empty()
            && self.in_flight().sends.is_empty()
            && self.hub.mailbox().is_settled()
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
