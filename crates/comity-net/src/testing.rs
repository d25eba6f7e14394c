//! What the tests of this crate share: a network in memory, with names, addresses and HTTP servers
//! behind them, that notes every lookup and every connection. With paused time it makes deadlines
//! testable without waiting.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::duplex;

use crate::{
    AddressPolicy, BoxFuture, Dial, Duplex, Fetcher, Lookup, PeerConnector, SafeConnector, Trust,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a peer does with a request.
pub(crate) type Handler =
    Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

pub(crate) struct FakeNet {
    names: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    pub(crate) lookups: Mutex<Vec<String>>,
    pub(crate) dialed: Mutex<Vec<SocketAddr>>,
    unreachable: Mutex<Vec<IpAddr>>,
    silent: Mutex<Vec<IpAddr>>,
    handler: Handler,
}

impl FakeNet {
    /// Makes a network in which every address answers like this.
    pub(crate) fn new<F, R>(handler: F) -> Arc<Self>
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let net = Arc::new(Self {
            names: Mutex::default(),
            lookups: Mutex::default(),
            dialed: Mutex::default(),
            unreachable: Mutex::default(),
            silent: Mutex::default(),
            handler: Arc::new(move |request| Box::pin(handler(request))),
        });
        net.name("localhost", &["127.0.0.1"]);
        net
    }

    /// Adds an answer to the lookups of a name; the last answer is repeated.
    pub(crate) fn name(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.names.lock().unwrap().entry(host.into()).or_default().push_back(addresses);
    }

    pub(crate) fn refuse(&self, address: &str) {
        self.unreachable.lock().unwrap().push(address.parse().unwrap());
    }

    /// Lets connections to an address hang.
    pub(crate) fn hang(&self, address: &str) {
        self.silent.lock().unwrap().push(address.parse().unwrap());
    }

    pub(crate) fn safe(self: &Arc<Self>, policy: AddressPolicy) -> SafeConnector {
        let lookup = Arc::<Self>::clone(self);
        SafeConnector::with_network(policy, lookup, Arc::<Self>::clone(self))
    }

    pub(crate) fn connector(self: &Arc<Self>, policy: AddressPolicy) -> PeerConnector {
        PeerConnector::new(self.safe(policy), Trust::Native)
    }

    pub(crate) fn fetcher(self: &Arc<Self>) -> Fetcher {
        Fetcher::new(self.connector(AddressPolicy::Development))
    }

    pub(crate) fn dials(&self) -> usize {
        self.dialed.lock().unwrap().len()
    }
}

impl Lookup for FakeNet {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.lookups.lock().unwrap().push(host.to_owned());
        let mut names = self.names.lock().unwrap();
        let answer = names.get_mut(host).and_then(|answers| {
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        });
        let found = answer
            .map(|addresses| addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            .ok_or_else(|| io::Error::other("no such name"));
        Box::pin(async move { found })
    }
}

impl Dial for FakeNet {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Duplex>>> {
        self.dialed.lock().unwrap().push(address);
        if self.silent.lock().unwrap().contains(&address.ip()) {
            return Box::pin(std::future::pending());
        }
        if self.unreachable.lock().unwrap().contains(&address.ip()) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        let (ours, theirs) = duplex(64 * 1024);
        let handler = Arc::clone(&self.handler);
        let service = service_fn(move |request| {
            let answered = handler(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let server = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        tokio::spawn(async move { drop(server.await) });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Duplex>) })
    }
}

/// A whole answer.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("content-type", content_type).body(body).unwrap()
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Response<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// A tower service from a function, as a node's router would be one.
#[derive(Clone)]
pub(crate) struct Router(pub(crate) Handler);

impl Router {
    pub(crate) fn new<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(handler(request))))
    }
}

impl tower_service::Service<Request<Incoming>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answered = (self.0)(request);
        Box::pin(async move { Ok(answered.await) })
    }
}
