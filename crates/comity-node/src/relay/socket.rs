//! The public WebSocket (DIDComm v2.1, "WebSockets"): one envelope a message, in either direction.
//! Trust comes from each envelope, never from the socket.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use comity_core::inbound::{Arrival, Outcome};
use comity_core::refusal::Refusal;
use comity_core::trust::WayIn;
use futures_util::stream::SplitStream;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Back;
use super::live::Session;
use super::room::{Parcel, Room};
use crate::home::Home;
use crate::inbound::receive_on;
use crate::limits::{
    PING_EVERY, SOCKET_ANSWERS_MAX, SOCKET_UNASKED_MAX, SOCKET_WRITE_DEADLINE,
    SOCKET_WRITE_DEADLINE_FULL,
};
use crate::public::Places;

/// Close codes of RFC 6455: nothing more to do, a message that violates the peer's policy, an
/// orderly stop, overload.
const NORMAL: u16 = 1000;
const POLICY_VIOLATION: u16 = 1008;
const RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

/// Serves a socket until either side ends it.
pub(crate) async fn socket(
    home: Arc<Home>,
    socket: WebSocket,
    places: Places,
    mut stopping: watch::Receiver<bool>,
) {
    let (sink, stream) = socket.split();
    let (frames, outgoing) = mpsc::channel(SOCKET_ANSWERS_MAX);
    let session = home.relay.session(frames.clone());
    let (close, closing) = mpsc::channel(1);
    // Whichever ends first ends the socket; the writer goes last, to say why.
    let stopped = async {
        let _the_node_is_gone = stopping.wait_for(|stopping| *stopping).await.is_err();
        CloseFrame { code: RESTART, reason: "restart".into() }
    };
    let reading = async {
        let ended = tokio::select! {
            frame = read(&home, &session, stream, &frames, &places) => frame,
            frame = stopped => Some(frame),
        };
        if let Some(frame) = ended {
            let _the_writer_is_gone = close.send(frame).await;
        } else {
            drop(close);
            std::future::pending::<()>().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = write(sink, outgoing, closing, &home.relay.room) => {}
    }
    session.end(&home);
}

/// Reads envelopes one after the other; returns how to close, if there is a reason to give.
async fn read(
    home: &Arc<Home>,
    session: &Arc<Session>,
    mut stream: SplitStream<WebSocket>,
    frames: &mpsc::Sender<Parcel>,
    places: &Places,
) -> Option<CloseFrame> {
    let mut is_welcome = false;
    loop {
        let envelope = match envelope(&mut stream, session).await {
            Ok(envelope) => envelope,
            Err(close) => return close,
        };
        // A place among all that is worked on: one socket waits its turn, and is not read meanwhile.
        let place = places.wait(envelope.len(), is_welcome).await?;
        let arrival = Arrival::encrypted(envelope, WayIn::Direct);
        let (home, back) = (Arc::clone(home), Back::Socket(Arc::clone(session)));
        // A task of its own, so that a peer that hangs up does not stop what was begun.
        let received = tokio::spawn(async move { receive_on(&home, arrival, &back, &place).await });
        let (outcome, answer) =
            received.await.unwrap_or((Outcome::TurnedAway(Refusal::Busy), None));
        is_welcome = outcome.is_welcome().unwrap_or(is_welcome);
        if let (Some(answer), Some(room)) = (answer, session.take_room()) {
            frames.send(Parcel::new(answer, room)).await.ok()?;
        }
        // On a socket there is no way to show work: what costs some has to be posted.
        let refusal = match outcome {
            Outcome::Charged(_) => Some(Refusal::WorkRequired),
            Outcome::TurnedAway(refusal) => Some(refusal),
            _ => None,
        };
        if let Some(refusal) = refusal {
            tracing::debug!(code = refusal.code(), "an envelope was turned away on a socket");
            let code = if refusal.is_temporary() { TRY_AGAIN_LATER } else { POLICY_VIOLATION };
            return Some(CloseFrame { code, reason: refusal.code().into() });
        }
    }
}

/// Waits for the next envelope, or says how to close. A peer that answers no ping for two periods is
/// gone. A socket on which nobody wants answers is there to bring envelopes, and does so now; signs
/// of life alone do not keep it.
async fn envelope<E>(
    stream: &mut (impl Stream<Item = Result<Frame, E>> + Unpin),
    session: &Session,
) -> Result<Vec<u8>, Option<CloseFrame>> {
    let unasked = Instant::now() + SOCKET_UNASKED_MAX;
    loop {
        let silent = Instant::now() + 2 * PING_EVERY;
        let until = if session.has_routes() { silent } else { silent.min(unasked) };
        match timeout_at(until, stream.next()).await {
            Ok(Some(Ok(Frame::Text(text)))) => return Ok(text.as_bytes().to_vec()),
            Ok(Some(Ok(Frame::Binary(bytes)))) => return Ok(bytes.to_vec()),
            Ok(Some(Ok(Frame::Ping(_) | Frame::Pong(_)))) => {}
            Ok(_) => return Err(None),
            Err(_) if until < silent => {
                return Err(Some(CloseFrame { code: NORMAL, reason: "idle".into() }));
            }
            Err(_) => return Err(None),
        }
    }
}

/// Writes envelopes, many to a flush when many wait, and pings in between. A peer that does not
/// read is left.
async fn write(
    mut sink: impl Sink<Frame> + Unpin,
    mut outgoing: mpsc::Receiver<Parcel>,
    mut closing: mpsc::Receiver<CloseFrame>,
    room: &Room,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let parcel = tokio::select! {
            biased;
            // First, or a peer for whom much waits would be asked for no sign of life.
            _ = ping.tick() => {
                if is_taken(room, sink.send(Frame::Ping(Vec::new().into()))).await {
                    continue;
                }
                return;
            }
            Some(parcel) = outgoing.recv() => parcel,
            close = closing.recv() => {
                if let Some(close) = close {
                    let close = sink.send(Frame::Close(Some(close)));
                    let _the_peer_may_be_gone = timeout(SOCKET_WRITE_DEADLINE, close).await;
                }
                return;
            }
        };
        // The deadline is for each envelope: one that reads as fast as its line allows is not left,
        // however much waits.
        let more = std::iter::from_fn(|| outgoing.try_recv().ok());
        let mut written = Vec::new();
        for mut parcel in std::iter::once(parcel).chain(more).take(SOCKET_ANSWERS_MAX) {
            let frame = Frame::Text(text(std::mem::take(&mut parcel.envelope)).into());
            // Its room is free when nothing of it is in our buffers.
            written.push(parcel);
            if !is_taken(room, sink.feed(frame)).await {
                return;
            }
        }
        if !is_taken(room, sink.flush()).await {
            return;
        }
    }
}

/// Whether the peer takes what is written: before the deadline, or, while there is no room for what
/// others wait for, before a shorter one.
async fn is_taken<E>(room: &Room, writing: impl Future<Output = Result<(), E>>) -> bool {
    let mut writing = pin!(writing);
    let deadline = Instant::now() + SOCKET_WRITE_DEADLINE;
    loop {
        match timeout(SOCKET_WRITE_DEADLINE_FULL, &mut writing).await {
            Ok(written) => return written.is_ok(),
            Err(_) if room.is_full() || deadline <= Instant::now() => return false,
            Err(_) => {}
        }
    }
}

/// An envelope is JSON, so it is text; peers expect it as such.
fn text(envelope: Vec<u8>) -> String {
    String::from_utf8(envelope).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::sink::unfold;
    use futures_util::stream;
    use tokio::time::sleep;

    use super::super::live::{Lives, Wish};
    use super::*;

    /// Writes to a peer that takes so long for each frame; returns how many it got.
    async fn written(envelopes: usize, pause: Duration, room: &Room) -> usize {
        let own = Room::default();
        let (frames, outgoing) = mpsc::channel(envelopes);
        for _ in 0..envelopes {
            let reserved = own.reserve().await.unwrap();
            frames.send(Parcel::new(b"{}".to_vec(), reserved)).await.unwrap();
        }
        let (close, closing) = mpsc::channel(1);
        drop(close);
        let (got, mut taken) = mpsc::unbounded_channel();
        let sink = unfold(got, |got, frame| async move {
            sleep(pause).await;
            got.send(frame).map(|()| got).map_err(|_| ())
        });
        write(Box::pin(sink), outgoing, closing, room).await;
        let mut count = 0;
        while let Ok(frame) = taken.try_recv() {
            count += usize::from(matches!(frame, Frame::Text(_)));
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_gets_everything_and_one_that_does_not_is_left() {
        let many = 3 * SOCKET_ANSWERS_MAX;
        let room = Room::default();
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE / 2, &room).await, many);
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE * 2, &room).await, 0);
        // When others wait for room, there is less patience.
        let mut full = Vec::new();
        while !room.is_full() {
            full.push(room.reserve().await);
        }
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE / 2, &room).await, 0);
        assert_eq!(written(many, SOCKET_WRITE_DEADLINE_FULL / 2, &room).await, many);
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_keep_a_socket_only_if_somebody_wants_answers_on_it() {
        let (frames, _kept) = mpsc::channel(1);
        let session = Lives::default().session(frames);
        // A pong every ten seconds, and an envelope after two minutes.
        let frames = || {
            Box::pin(stream::unfold(0, |count| async move {
                sleep(Duration::from_secs(10)).await;
                let pong = Frame::Pong(Vec::new().into());
                let frame = if count == 12 { Frame::Text("{}".into()) } else { pong };
                Some((Ok::<_, ()>(frame), count + 1))
            }))
        };
        let began = Instant::now();
        let closed = envelope(&mut frames(), &session).await.unwrap_err();
        assert_eq!(closed.map(|frame| frame.code), Some(NORMAL));
        assert_eq!(began.elapsed(), SOCKET_UNASKED_MAX);
        assert!(session.route(&"did:web:bruno.example".parse().unwrap(), Wish::Here));
        assert_eq!(envelope(&mut frames(), &session).await.unwrap(), b"{}");
    }
}
