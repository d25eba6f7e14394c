//! The accept loop (ADR 0013, threat T33): HTTP/1.1 with a deadline for everything that
//! a peer may take its time with, and a cap on everything that it may have many of.
//!
//! The service behind it is anybody's, for instance an axum router; it reads bodies through
//! [`read_body`](crate::read_body), which has the deadline that a loop below HTTP cannot have.
//! TLS towards clients is the reverse proxy's. WebSocket upgrades work; an upgraded connection
//! counts against the caps until it is closed, and ends by its handler and not by the drain.
//!
//! After a request with `Transfer-Encoding` the connection is closed, as RFC 9112 section 6.1
//! demands where a `Content-Length` came along with it. hyper reads such a body by its chunks
//! alone, so no bytes of it are ever taken for a second request (request smuggling).

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;

use self::{
    census::Census,
    head::{Head, HeadTimer, Overrun},
    socket::Socket,
};
use crate::limits::{ACCEPT_BACKOFF, ListenLimits};

mod census;
mod counters;
mod head;
mod socket;

pub use self::counters::{ListenCounters, ListenFigures};

/// The address a request came from, as an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// Whether what a connection brought last was welcome, as an extension of its requests. The service
/// says so, and may let others wait for connections that brought nothing welcome yet.
#[derive(Clone, Debug, Default)]
pub struct Welcome(Arc<AtomicBool>);

impl Welcome {
    /// Returns what was said last; not, at first.
    #[must_use]
    pub fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says it about what has come now.
    pub fn set(&self, welcome: bool) {
        self.0.store(welcome, Ordering::Relaxed);
    }
}

/// Accepts connections: a TCP listener, or what a simulator has in its place.
pub trait Accept: Send {
    /// The connections it accepts.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next connection; giving up the wait loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // It fails only for a connection that is already gone, which reading will find out.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(kind = %error.kind(), "TCP_NODELAY was not set");
        }
        Ok((stream, peer))
    }
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How many connections had to be cut off because the drain deadline had come.
    pub cut_off: usize,
}

/// Accepts and serves connections until `shutdown` is ready, then lets what is under way finish
/// within the drain deadline.
///
/// ```no_run
/// # mod axum_like {
/// #     use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
/// #     use http::{Request, Response};
/// #     use http_body_util::Empty;
/// #     #[derive(Clone)]
/// #     pub struct Router;
/// #     impl tower_service::Service<Request<hyper::body::Incoming>> for Router {
/// #         type Response = Response<Empty<bytes::Bytes>>;
/// #         type Error = Infallible;
/// #         type Future = Ready<Result<Self::Response, Infallible>>;
/// #         fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
/// #         fn call(&mut self, _: Request<hyper::body::Incoming>) -> Self::Future { ready(Ok(Response::default())) }
/// #     }
/// # }
/// # async fn example(router: axum_like::Router) -> std::io::Result<()> {
/// use std::sync::Arc;
/// use comity_net::{ListenCounters, ListenLimits, serve};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:7700").await?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let counters = Arc::new(ListenCounters::default());
/// let shutdown = async { drop(stopped.await) };
/// let drained = serve(listener, router, ListenLimits::default(), counters, shutdown).await;
/// # drop(stop);
/// # Ok(())
/// # }
/// ```
pub async fn serve<A, S, B>(
    mut listener: A,
    service: S,
    limits: ListenLimits,
    counters: Arc<ListenCounters>,
    shutdown: impl Future<Output = ()> + Send,
) -> Drained
where
    A: Accept,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let census = Arc::new(Census::new(&limits, Arc::clone(&counters)));
    let limits = Arc::new(limits);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut pause = ACCEPT_BACKOFF.0;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = tasks.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = ACCEPT_BACKOFF.0;
                let Some(seat) = census.admit(peer.ip()) else { continue };
                let head = Arc::new(Head::new(&limits));
                let socket = Socket::new(stream, seat, Arc::clone(&head), limits.write_stall);
                tasks.spawn(serve_connection(
                    socket,
                    PeerAddr(peer),
                    service.clone(),
                    head,
                    Arc::clone(&limits),
                    Arc::clone(&counters),
                    stopped.clone(),
                ));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: asking again at once would spin.
                counters.count_accept_error();
                tracing::warn!(kind = %error.kind(), ?pause, "accepting connections failed");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(ACCEPT_BACKOFF.1);
            }
        }
    }
    // Closing the listener first lets a successor bind while this one drains.
    drop(listener);
    stop.send_replace(true);
    drain(tasks, limits.drain_deadline).await
}

async fn serve_connection<IO, S, B>(
    socket: Socket<IO>,
    peer: PeerAddr,
    service: S,
    head: Arc<Head>,
    limits: Arc<ListenLimits>,
    counters: Arc<ListenCounters>,
    mut stopped: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let service = TowerToHyperService::new(service);
    let welcome = Welcome::default();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(welcome.clone());
        let answered = service.call(request);
        async move {
            let mut response = answered.await?;
            if chunked && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, S::Error>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer::new(Arc::clone(&head)))
        // The real deadline is the timer's, which tells silence between requests from slowness
        // within one; hyper only has to ask for it.
        .header_read_timeout(limits.idle_deadline)
        .max_header_size(limits.header_bytes_max)
        .max_headers(limits.headers_max)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if ended.is_err() {
        match head.overrun() {
            Some(Overrun::Header) => counters.count_header_timeout(),
            Some(Overrun::Idle) => counters.count_idle_close(),
            None => {}
        }
    }
}

async fn drain(mut tasks: JoinSet<()>, deadline: Duration) -> Drained {
    let finish = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if timeout(deadline, finish).await.is_ok() {
        return Drained { cut_off: 0 };
    }
    let cut_off = tasks.len();
    tasks.shutdown().await;
    Drained { cut_off }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a request handler panicked; its connection was closed");
    }
}

/// Tells whether an error of `accept` is about a peer that left before it was served.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
