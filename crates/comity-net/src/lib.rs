//! Everything of Comity that talks to peers: safe fetching, DID and name resolution, and the
//! transports that carry envelopes in and out.
//!
//! *Goals*: no socket to an address that the operator's policy does not admit; a bound and a
//! deadline for everything that a peer can make large or slow; errors that carry no peer's bytes.
//! The network is an input: [`Lookup`], [`Dial`] and [`Accept`] can be a simulator's.
//!
//! *Non-goals*: what envelopes say, who may send them, what is stored. It knows neither the
//! protocol (`comity-core`) nor the store, and decides nothing about trust.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use comity_didcomm::Did;
//! use comity_net::{
//!     AddressPolicy, Fetcher, Handle, NoLocalDocuments, PeerConnector, Resolver, SafeConnector,
//!     Trust, resolve_handle,
//! };
//!
//! let connector = PeerConnector::new(SafeConnector::new(AddressPolicy::Public), Trust::Native);
//! let fetcher = Arc::new(Fetcher::new(connector));
//! let did = resolve_handle(&fetcher, &Handle::parse("bruno@org-b.example")?).await?;
//! let resolver = Resolver::new(fetcher, Arc::new(NoLocalDocuments));
//! let resolved = resolver.resolve(&did).await?;
//! println!("{} has {} services", did, resolved.document.service.len());
//! # Ok(())
//! # }
//! ```
//!
//! | threat | stopped by |
//! |---|---|
//! | T22 requests forged through us (SSRF) | `address.rs`, `connect.rs`, `client.rs`, `fetch.rs`, `transport/websocket.rs` |
//! | T32 the same by a webhook | `transport/webhook.rs` |
//! | T23 a document of somebody else | `resolve.rs`: `id` equals the DID |
//! | T24 cache poisoning, staleness, stampede | `resolve.rs` |
//! | T33 slow, silent and many connections | `transport/listen.rs`, `body.rs` |
//! | request smuggling | `transport/listen.rs` |
//!
//! There are no features.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod address;
mod body;
mod client;
mod connect;
mod fetch;
mod gate;
pub mod limits;
mod resolve;
mod tls;
mod transport;
mod webfinger;

pub use crate::{
    address::AddressPolicy,
    body::{BodyError, read_body},
    connect::{
        BoxFuture, ConnectError, Dial, Duplex, Lookup, PeerStream, SafeConnector, SystemDial,
        SystemLookup,
    },
    fetch::{FetchError, Fetcher},
    limits::{ListenLimits, LoopbackPeers},
    resolve::{
        LocalDocuments, NoLocalDocuments, ResolveError, Resolved, Resolver, Source, Version,
    },
    tls::{PeerConnector, Trust},
    transport::{
        MediaType,
        http::{Answer, DeliverError, Delivered, Deliverer, Demand, Unreachable},
        listen::{Accept, Drained, ListenCounters, ListenFigures, PeerAddr, Welcome, serve},
        webhook::{WebhookAnswer, WebhookPoster},
        websocket::{PeerSocket, SocketDialer, SocketError},
    },
    webfinger::{
        Handle, JRD_MEDIA_TYPE, ParseHandleError, REL_DID, ResolveHandleError, jrd, resolve_handle,
    },
};

#[cfg(test)]
mod testing;
