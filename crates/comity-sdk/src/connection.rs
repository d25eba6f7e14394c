//! The connection to the home, kept up for the life of the agent: dial, serve, lose, pause, dial again.
//!
//! It owns what must outlive a socket: the sends that wait for their answer, which are repeated under the same id, and
//! the settlements, which are repeated because that is harmless. What one socket does is in `session`.

mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use comity_core::api::{Problem, SendAnswer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use crate::http::{LocalClient, problem};
use crate::hub::{Closed, Hub};
use crate::limits;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A message on its way to the home.
#[derive(Debug)]
pub(crate) struct SendCommand {
    pub(crate) r#ref: u64,
    pub(crate) frame: Utf8Bytes,
    pub(crate) answer: oneshot::Sender<Result<SendAnswer, Problem>>,
    /// Given back with the answer; bounds what is in flight.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What was written and not yet answered.
#[derive(Debug, Default)]
struct InFlight {
    /// In the order of their numbers, which is that of their first sending.
    sends: BTreeMap<u64, SendCommand>,
    settlements: HashMap<u64, Vec<u64>>,
    /// Settlements that the home could not take for the moment, and when to repeat them.
    postponed: Option<(Instant, Vec<u64>)>,
}

/// How a session ended.
#[derive(Debug)]
enum End {
    Closed(Closed),
    Lost,
}

/// Keeps the connection up until it is closed for good.
pub(crate) async fn run(
    first: Socket,
    http: LocalClient,
    hub: Arc<Hub>,
    mut commands: mpsc::Receiver<SendCommand>,
) {
    let mut in_flight = InFlight::default();
    let mut socket = first;
    let why = loop {
        hub.connected();
        let (end, heard) = session::serve(socket, &hub, &mut in_flight, &mut commands).await;
        if let End::Closed(why) = end {
            break why;
        }
        // Not settled as far as anybody knows: settle again, on the next socket.
        let settlements = std::mem::take(&mut in_flight.settlements).into_values();
        let postponed = in_flight.postponed.take().into_iter().map(|(_, deliveries)| deliveries);
        for deliveries in settlements.chain(postponed) {
            hub.mailbox().repeat(&deliveries);
        }
        // Somebody who takes connections and drops them at once is not dialled at full speed.
        let backoff = if heard { Backoff::default() } else { Backoff::after_one() };
        match dial_again(&http, &hub, &commands, backoff).await {
            Ok(again) => socket = again,
            Err(why) => break why,
        }
    };
    tracing::debug!(%why, "the connection to the home has ended");
    // First the reason, then the answers: whoever finds its answer gone asks for the reason.
    hub.end(why);
}

async fn dial_again(
    http: &LocalClient,
    hub: &Hub,
    commands: &mpsc::Receiver<SendCommand>,
    mut backoff: Backoff,
) -> Result<Socket, Closed> {
    loop {
        let attempt = async {
            tokio::time::sleep(backoff.next_pause()).await;
            dial(http).await
        };
        let dialled = tokio::select! {
            biased;
            () = hub.stopped() => return Err(Closed::Shutdown),
            dialled = attempt => dialled,
        };
        match dialled {
            Ok(socket) => return Ok(socket),
            Err(DialError::Refused(problem)) if is_for_good(&problem) => {
                return Err(Closed::TokenRefused(problem));
            }
            // The last handle is gone, and with it everybody who could wait.
            Err(_) if commands.is_closed() => return Err(Closed::Shutdown),
            Err(error) => tracing::debug!(%error, "the home cannot be reached; trying again"),
        }
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("the home refused the socket ({})", .0.code)]
    Refused(Problem),
    #[error("the home does not answer")]
    Unavailable,
}

/// Opens a socket to the home, once.
pub(crate) async fn dial(http: &LocalClient) -> Result<Socket, DialError> {
    match tokio::time::timeout(limits::CONNECT_MAX, open(http)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let content = response.body().as_deref().unwrap_or_default();
            Err(DialError::Refused(problem(response.status(), content)))
        }
        Ok(Err(_)) | Err(_) => Err(DialError::Unavailable),
    }
}

async fn open(http: &LocalClient) -> Result<Socket, tungstenite::Error> {
    let stream = TcpStream::connect(http.authority()).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{}/v1/socket", http.authority()).into_client_request()?;
    request.headers_mut().extend(http.headers().clone());
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .max_message_size(Some(limits::RECEIVE_FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::RECEIVE_FRAME_BYTES_MAX));
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

/// Whether a refusal will not pass by waiting: the token is wrong, or the agent is gone.
pub(crate) const fn is_for_good(problem: &Problem) -> bool {
    matches!(problem.status, 401 | 403 | 404)
}

/// Growing pauses between attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const fn after_one() -> Self {
        Self { attempts: 1 }
    }

    /// Returns the next pause: doubled each time, up to a bound, and shortened at random by up to a half, so that many
    /// agents of a restarted home do not come back at the same moment.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let doubled = limits::RECONNECT_FIRST.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        let full = doubled.min(limits::RECONNECT_MAX);
        // The last bytes of a UUIDv7 are random: enough for a jitter without one more dependency.
        let [.., dice] = Uuid::now_v7().into_bytes();
        full / 2 + full * u32::from(dice) / 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_never_vanish() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= limits::RECONNECT_FIRST);
        for pause in &pauses {
            assert!((limits::RECONNECT_FIRST / 2..=limits::RECONNECT_MAX).contains(pause));
        }
        assert!(limits::RECONNECT_MAX / 2 <= pauses[39]);
    }
}
