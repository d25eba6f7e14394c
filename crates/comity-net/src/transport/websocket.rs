//! Opens WebSocket sessions to other nodes (DIDComm v2.1, Transports, WebSockets).
//!
//! One envelope a message, in either direction, to checked addresses only: the bytes go through the
//! same connector as every other connection. A session is kept awake and ends when the peer falls
//! silent; opening the next one is its user's job. What an envelope says is trusted for its own
//! sake, never for the socket it came on.

use std::fmt;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use tower_service::Service as _;

use crate::{
    client::{PeerUrl, UrlError},
    connect::{ConnectError, PeerStream},
    limits::{
        SOCKET_MESSAGE_BYTES_MAX, SOCKET_OPEN_DEADLINE, SOCKET_PING_AFTER,
        SOCKET_READ_BUFFER_BYTES, SOCKET_SEND_DEADLINE, SOCKET_SILENCE_MAX,
        SOCKET_WRITE_BUFFER_BYTES_MAX,
    },
    tls::PeerConnector,
    transport::http::is_problem_code,
};

/// Why there is no session, or none any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The peer closed the session.
    #[error("the peer closed the session with code {}", .code.map_or("none".to_owned(), |code| code.to_string()))]
    Closed {
        /// Its close code (RFC 6455, section 7.4), if it gave one.
        code: Option<u16>,
        /// The problem code it gave as the reason, if it gave one that is well formed.
        problem: Option<String>,
    },
    /// No connection was made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The peer answered the handshake with a status that opens no session.
    #[error("the peer opens no session: status {status}")]
    Refused {
        /// The status it answered with.
        status: u16,
    },
    /// The URL's scheme is not admitted.
    #[error("the URL's scheme is not admitted")]
    Scheme,
    /// The peer said nothing for too long, not even when asked.
    #[error("the peer fell silent")]
    Silent,
    /// It took too long.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// A message is larger than a session carries.
    #[error("a message is larger than a session carries")]
    TooLarge,
    /// The URL is malformed, too long, or carries user information.
    #[error("the URL is not one that can be connected to")]
    Url,
}

/// Opens sessions with peers.
#[derive(Clone, Debug)]
pub struct SocketDialer {
    connector: PeerConnector,
}

impl SocketDialer {
    /// Makes a dialer over a connector.
    pub fn new(connector: PeerConnector) -> Self {
        Self { connector }
    }

    /// Opens a session at a `wss` URL, or `ws` where the policy admits plain http.
    ///
    /// # Errors
    /// [`SocketError`] says what was in the way; nothing stays open.
    pub async fn open(&self, uri: &str) -> Result<PeerSocket, SocketError> {
        timeout(SOCKET_OPEN_DEADLINE, self.handshake(uri))
            .await
            .unwrap_or(Err(SocketError::TimedOut))
    }

    async fn handshake(&self, uri: &str) -> Result<PeerSocket, SocketError> {
        let url =
            PeerUrl::parse(&as_http(uri)?, self.connector.policy()).map_err(
                |error| match error {
                    UrlError::Malformed => SocketError::Url,
                    UrlError::Scheme => SocketError::Scheme,
                },
            )?;
        let stream = self.connector.clone().call(url.into_uri()).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(SOCKET_WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(SOCKET_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(SOCKET_MESSAGE_BYTES_MAX));
        let (socket, _response) = client_async_with_config(uri, TokioIo::new(stream), Some(config))
            .await
            .map_err(of_library)?;
        Ok(PeerSocket { socket, heard: Instant::now(), pinged: Pinged::No })
    }
}

/// A session with a peer.
pub struct PeerSocket {
    socket: WebSocketStream<TokioIo<MaybeHttpsStream<PeerStream>>>,
    /// When something last came.
    heard: Instant,
    pinged: Pinged,
}

/// Whether the peer was asked if it is there, since it was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pinged {
    No,
    Yes,
}

impl PeerSocket {
    /// Sends one envelope.
    ///
    /// # Errors
    /// After an error the session is over.
    pub async fn send(&mut self, envelope: &str) -> Result<(), SocketError> {
        if SOCKET_MESSAGE_BYTES_MAX < envelope.len() {
            return Err(SocketError::TooLarge);
        }
        self.transmit(Message::text(envelope)).await
    }

    /// Waits for the next envelope, and meanwhile keeps the session awake. Dropping the future
    /// before it is ready loses nothing.
    ///
    /// # Errors
    /// After an error the session is over.
    pub async fn next(&mut self) -> Result<Bytes, SocketError> {
        loop {
            let patience = match self.pinged {
                Pinged::No => SOCKET_PING_AFTER,
                Pinged::Yes => SOCKET_SILENCE_MAX,
            };
            let message = match timeout_at(self.heard + patience, self.socket.next()).await {
                Ok(Some(message)) => message.map_err(of_library)?,
                Ok(None) => return Err(SocketError::Closed { code: None, problem: None }),
                Err(_) if self.pinged == Pinged::Yes => return Err(SocketError::Silent),
                Err(_) => {
                    self.pinged = Pinged::Yes;
                    self.transmit(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            self.heard = Instant::now();
            self.pinged = Pinged::No;
            match message {
                Message::Text(text) => return Ok(text.into()),
                Message::Binary(bytes) => return Ok(bytes),
                Message::Close(frame) => return Err(closed(frame.as_ref())),
                // The library answers pings by itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Ends the session in good order.
    pub async fn close(mut self) {
        // Whoever does not listen any more finds the connection closed.
        drop(timeout(SOCKET_OPEN_DEADLINE, self.socket.close(None)).await);
    }

    async fn transmit(&mut self, message: Message) -> Result<(), SocketError> {
        timeout(SOCKET_SEND_DEADLINE, self.socket.send(message))
            .await
            .map_err(|_elapsed| SocketError::TimedOut)?
            .map_err(of_library)
    }
}

impl fmt::Debug for PeerSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSocket").finish_non_exhaustive()
    }
}

/// Names the scheme by which the connector knows the URL.
fn as_http(uri: &str) -> Result<String, SocketError> {
    match uri.split_once("://") {
        Some(("wss", rest)) => Ok(format!("https://{rest}")),
        Some(("ws", rest)) => Ok(format!("http://{rest}")),
        _ => Err(SocketError::Scheme),
    }
}

fn of_library(error: tungstenite::Error) -> SocketError {
    match error {
        tungstenite::Error::Http(response) => {
            SocketError::Refused { status: response.status().as_u16() }
        }
        tungstenite::Error::Capacity(_) | tungstenite::Error::WriteBufferFull(_) => {
            SocketError::TooLarge
        }
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            SocketError::Closed { code: None, problem: None }
        }
        tungstenite::Error::Url(_) | tungstenite::Error::HttpFormat(_) => SocketError::Url,
        _ => SocketError::Broken,
    }
}

/// Reads a close frame; of its reason only what is a problem code, so that it can be logged.
fn closed(frame: Option<&CloseFrame>) -> SocketError {
    let problem = frame.map(|frame| frame.reason.as_str().to_owned());
    SocketError::Closed {
        code: frame.map(|frame| frame.code.into()),
        problem: problem.filter(|code| is_problem_code(code)),
    }
}

#[cfg(test)]
mod tests;
