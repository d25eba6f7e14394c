//! Opens connections to peers, and only to addresses that the policy admits (threat T22).
//!
//! A name is looked up once; every address of the answer is checked; the socket is then opened to
//! one of the addresses that were checked, so a second lookup that answers otherwise (DNS
//! rebinding) is never made. One denied address among the answers denies the host: no honest name
//! mixes them. It knows nothing of HTTP; TLS comes on top, in `tls.rs`.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tower_service::Service;

use crate::{
    address::AddressPolicy,
    limits::{
        CONNECT_ATTEMPT_DEADLINE, CONNECT_ATTEMPTS_MAX, CONNECT_DEADLINE, LOOKUP_ADDRESSES_MAX,
    },
};

/// A boxed future, as traits that are used as objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Finds the addresses of a host name.
pub trait Lookup: Send + Sync + 'static {
    /// Looks the name up, once.
    fn lookup<'a>(&'a self, host: &'a str, port: u16)
    -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Opens a byte stream to an address that has been checked.
pub trait Dial: Send + Sync + 'static {
    /// Opens the stream; its deadline is the caller's.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>>;
}

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Looks names up as the operating system does.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Opens TCP connections with `TCP_NODELAY` set.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDial;

impl Dial for SystemDial {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// Why no connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host has an address that the policy does not admit.
    #[error("the host's address is not one that this node connects to")]
    AddressDenied,
    /// The name has no address, or too many.
    #[error("the host name could not be looked up")]
    Lookup,
    /// No certificate authority is known, so no https peer can be believed.
    #[error(
        "no certificate authorities were found on this system; install its CA certificates or set SSL_CERT_FILE"
    )]
    NoTrustRoots,
    /// Nobody answered at any of the addresses.
    #[error("no connection could be opened")]
    Refused,
    /// The URL has a scheme that the policy does not admit.
    #[error("the URL's scheme is not admitted")]
    Scheme,
    /// It took too long.
    #[error("the connection was not made in time")]
    TimedOut,
    /// The peer's certificate or its TLS was not accepted.
    #[error("the TLS handshake failed")]
    Tls,
    /// The URL names no host.
    #[error("the URL has no host")]
    Url,
}

/// Connects to checked addresses only.
#[derive(Clone)]
pub struct SafeConnector {
    policy: AddressPolicy,
    lookup: Arc<dyn Lookup>,
    dial: Arc<dyn Dial>,
}

impl SafeConnector {
    /// Makes a connector over the operating system's names and sockets.
    pub fn new(policy: AddressPolicy) -> Self {
        Self::with_network(policy, Arc::new(SystemLookup), Arc::new(SystemDial))
    }

    /// Makes a connector over another network, for instance a simulated one.
    pub fn with_network(
        policy: AddressPolicy,
        lookup: Arc<dyn Lookup>,
        dial: Arc<dyn Dial>,
    ) -> Self {
        Self { policy, lookup, dial }
    }

    /// Returns the policy that addresses are checked by.
    pub fn policy(&self) -> AddressPolicy {
        self.policy
    }

    async fn connect(&self, uri: &Uri) -> Result<PeerStream, ConnectError> {
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(ConnectError::Url)?;
        let port = match (uri.port_u16(), uri.scheme_str()) {
            (Some(port), _) => port,
            (None, Some("http")) => 80,
            (None, _) => 443,
        };
        let checked = self.checked_addresses(host, port).await?;
        for address in checked.into_iter().take(CONNECT_ATTEMPTS_MAX) {
            match timeout(CONNECT_ATTEMPT_DEADLINE, self.dial.dial(address)).await {
                Ok(Ok(stream)) => return Ok(PeerStream(TokioIo::new(stream))),
                Ok(Err(error)) => tracing::debug!(%address, kind = %error.kind(), "no connection"),
                Err(_) => tracing::debug!(%address, "no connection in time"),
            }
        }
        Err(ConnectError::Refused)
    }

    async fn checked_addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let addresses = match bare.parse::<IpAddr>() {
            Ok(literal) => vec![SocketAddr::new(literal, port)],
            Err(_) => {
                self.lookup.lookup(host, port).await.map_err(|_error| ConnectError::Lookup)?
            }
        };
        if addresses.is_empty() || LOOKUP_ADDRESSES_MAX < addresses.len() {
            return Err(ConnectError::Lookup);
        }
        let admitted = |address: &SocketAddr| self.policy.admits(address.ip(), address.port());
        if !addresses.iter().all(admitted) {
            return Err(ConnectError::AddressDenied);
        }
        Ok(addresses)
    }
}

impl Service<Uri> for SafeConnector {
    type Response = PeerStream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<PeerStream, ConnectError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            timeout(CONNECT_DEADLINE, connector.connect(&uri))
                .await
                .unwrap_or(Err(ConnectError::TimedOut))
        })
    }
}

impl fmt::Debug for SafeConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafeConnector").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A connection to a peer, as hyper wants it.
pub struct PeerStream(TokioIo<Box<dyn Duplex>>);

impl Connection for PeerStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
