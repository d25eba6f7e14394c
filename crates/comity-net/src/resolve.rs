//! From a DID to its document (ADR 0010, threats T22, T23, T24).
//!
//! The node's own agents are asked for first; did:key, did:jwk and did:peer say everything
//! themselves; did:web and did:webvh are fetched. Documents are kept for five minutes and failures for half a
//! minute, under exactly the DID that was asked for, and only from where the method says that the
//! document is: nothing that came in a message gets here. A thousand tasks that ask for the same
//! DID cause one fetch. It does not judge a document, beyond its `id` being the DID.

mod webvh;
mod weight;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comity_didcomm::{
    Did, DidDocument, UnixTime,
    did::{
        self,
        webvh::{History, Select, WebvhError},
    },
};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult},
};
use thiserror::Error;
use tokio::time::Instant;

pub use self::webvh::Version;
use self::webvh::{Head, Verifiers, WallClock};
use self::weight::ByBytes;
use crate::{
    fetch::{FetchError, Fetcher},
    limits::{
        DOCUMENT_CACHE_BYTES_MAX, DOCUMENT_CACHE_ENTRIES, DOCUMENT_CACHE_PARTS, DOCUMENT_TTL,
        FAILURE_TTL, HEADS_MAX, LONG_FORMS_BYTES_MAX, LONG_FORMS_ENTRIES, REFRESH_AGE_MIN,
        REFRESH_INTERVAL,
    },
};

const ACCEPT: &str = "application/did+json, application/did+ld+json, application/json;q=0.9";

/// The documents that need no resolving because they are the node's own.
pub trait LocalDocuments: Send + Sync + 'static {
    /// Returns the document of a DID that is hosted here.
    fn document(&self, did: &Did) -> Option<Arc<DidDocument>>;

    /// Returns the history of a did:webvh that is hosted here.
    fn history(&self, _did: &Did) -> Option<Arc<History>> {
        None
    }
}

/// Hosts nothing: for tools that only look others up.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLocalDocuments;

impl LocalDocuments for NoLocalDocuments {
    fn document(&self, _did: &Did) -> Option<Arc<DidDocument>> {
        None
    }
}

/// A document, and where and when it was had.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The document; its `id` is the DID that was asked for.
    pub document: Arc<DidDocument>,
    /// When it was had from its source, by the monotonic clock.
    pub fetched_at: Instant,
    /// Where it came from.
    pub source: Source,
    /// All versions, where the method keeps them.
    pub history: Option<Arc<History>>,
}

/// Where a document came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The host that the DID names.
    Fetched,
    /// This node.
    Local,
    /// The DID itself.
    SelfContained,
}

/// Why a DID has no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The DID has ended.
    #[error("the DID was deactivated")]
    Deactivated,
    /// The document could not be fetched.
    #[error("the DID document could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// What the host has is not a document of this DID.
    #[error("what the host has is not a document of this DID")]
    InvalidDocument,
    /// What the host has is not a log of this DID that can be believed.
    #[error("the log of the DID is not valid: {0}")]
    InvalidLog(WebvhError),
    /// The DID is malformed by the rules of its method.
    #[error("the DID is malformed by the rules of its method")]
    Malformed,
    /// The DID has moved, and has another name now.
    #[error("the DID has moved to another name")]
    Moved,
    /// The DID has no such version, or its method keeps none.
    #[error("the DID has no such version")]
    NoSuchVersion,
    /// The log is not a continuation of the one that was seen before.
    #[error("the log of the DID was rewritten since it was seen last")]
    Rewritten,
    /// A did:peer:4 short form whose long form has not been seen.
    #[error("the DID is a short form whose long form is not known here")]
    UnknownShortForm,
    /// The DID's method is not one that this node knows.
    #[error("the DID's method is not supported")]
    UnsupportedMethod,
}

impl ResolveError {
    /// Returns the problem code that a peer may be told; it says nothing of what was found, for
    /// that would make the node a probe of the network it stands in.
    pub fn code(&self) -> &'static str {
        "e.p.did.unresolvable"
    }

    /// Tells whether resolving may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_transient())
    }
}

/// Resolves DIDs, and remembers.
pub struct Resolver {
    fetcher: Arc<Fetcher>,
    local: Arc<dyn LocalDocuments>,
    known: Cache<Did, Known, ByBytes>,
    long_forms: Cache<Did, Did, ByBytes>,
    /// The last versions that were seen; they outlast the documents.
    heads: Cache<Did, Head>,
    verifiers: Verifiers,
    clock: WallClock,
}

/// What was last found out about a DID.
#[derive(Clone)]
struct Known {
    outcome: Result<Arc<Resolved>, ResolveError>,
    checked_at: Instant,
    /// When it was last looked for on demand, before its time was over.
    refreshed_at: Option<Instant>,
    /// `None`: for ever, since the DID itself says it.
    until: Option<Instant>,
    /// The memory it takes.
    bytes: usize,
}

/// What a method said about a DID.
struct Found {
    document: Arc<DidDocument>,
    history: Option<Arc<History>>,
    /// `None`: for ever, since the DID itself says it.
    ttl: Option<Duration>,
    bytes: usize,
}

/// How far a remembered outcome is good enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    WithinTtl,
    WithinRefreshInterval,
}

impl Resolver {
    /// Makes a resolver that asks `local` first and fetches with `fetcher`.
    pub fn new(fetcher: Arc<Fetcher>, local: Arc<dyn LocalDocuments>) -> Self {
        Self {
            fetcher,
            local,
            known: documents_cache(),
            long_forms: Cache::with_weighter(LONG_FORMS_ENTRIES, LONG_FORMS_BYTES_MAX, ByBytes),
            heads: Cache::new(HEADS_MAX),
            verifiers: Verifiers::default(),
            clock: Arc::new(|| {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                UnixTime(since.map_or(0, |since| since.as_secs()))
            }),
        }
    }

    /// Takes the time of day, which the times in DID logs are held against, from elsewhere.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Remembers a did:peer:4 long form, so that its short form can be resolved from now on.
    ///
    /// Resolving a long form does this too. The memory is bounded and forgets what is not used;
    /// whoever must be reachable for long keeps the long form and says it again.
    ///
    /// # Errors
    /// [`ResolveError::Malformed`] for everything that is not a long form with a correct hash.
    pub fn remember(&self, long: &Did) -> Result<Did, ResolveError> {
        let short = did::peer::long_to_short(long).ok_or(ResolveError::Malformed)?;
        self.long_forms.insert(short.clone(), long.clone());
        Ok(short)
    }

    /// Resolves a DID; what is remembered is good enough until its time is over.
    ///
    /// # Errors
    /// [`ResolveError`] says why there is no document; failures are remembered for a while too.
    pub async fn resolve(&self, did: &Did) -> Result<Arc<Resolved>, ResolveError> {
        self.answer(did, Demand::WithinTtl).await?.usable_as(did)
    }

    /// Resolves a DID anew, as after a signature that did not verify: at most once a minute per
    /// DID, unless the document is a second old at most, and the remembered document stays in use
    /// when its host cannot be reached.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_fresh(&self, did: &Did) -> Result<Arc<Resolved>, ResolveError> {
        self.answer(did, Demand::WithinRefreshInterval).await?.usable_as(did)
    }

    async fn answer(&self, did: &Did, demand: Demand) -> Result<Arc<Resolved>, ResolveError> {
        if let Some(document) = self.local.document(did) {
            let (fetched_at, history) = (Instant::now(), self.local.history(did));
            let source = Source::Local;
            return Ok(Arc::new(Resolved { document, fetched_at, source, history }));
        }
        if let Some(known) = self.known.get(did)
            && known.suffices(demand)
        {
            return known.outcome;
        }
        // One task gets the guard and finds out; the others wait here for what it inserts, and
        // one of them takes over should it be cancelled.
        let entry = self.known.entry_async(did, |_did, known| {
            if known.suffices(demand) {
                EntryAction::Retain(known.outcome.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        });
        let (guard, prior) = match entry.await {
            EntryResult::Retained(outcome) => return outcome,
            EntryResult::Vacant(guard) => (guard, None),
            EntryResult::Replaced(guard, prior) => (guard, Some(prior)),
            // Never, without a time limit and without `EntryAction::Remove`.
            EntryResult::Removed(..) | EntryResult::Timeout => return Err(FetchError::Busy.into()),
        };
        let mut found = self.find_out(did).await;
        let prior_refresh = prior.as_ref().and_then(|prior| prior.refreshed_at);
        let refreshed_at = match demand {
            Demand::WithinTtl => prior_refresh,
            Demand::WithinRefreshInterval => prior.as_ref().map(|_| found.checked_at),
        };
        // An unreachable host must not take away a document that is good for a while yet, or bad
        // signatures in somebody's name would be enough to silence them.
        if found.outcome.as_ref().is_err_and(|error| error.is_transient())
            && let Some(prior) = prior
            && prior.outcome.is_ok()
            && prior.suffices(Demand::WithinTtl)
        {
            found = Known { checked_at: found.checked_at, ..prior };
        }
        found.refreshed_at = refreshed_at;
        let outcome = found.outcome.clone();
        // A short form can become known at any moment, so that it is not is never remembered.
        if !matches!(outcome, Err(ResolveError::UnknownShortForm)) {
            // It fails only when the entry was pushed out meanwhile, which loses nothing.
            drop(guard.insert(found));
        }
        outcome
    }

    async fn find_out(&self, did: &Did) -> Known {
        let found = match self.read_from_did(did) {
            Ok(Some(document)) => Ok(Found {
                bytes: weight::of(&document),
                document: Arc::new(document),
                history: None,
                ttl: None,
            }),
            Ok(None) if did.method() == "web" => self.fetch(did).await,
            Ok(None) if did.method() == "webvh" => self.fetch_webvh(did).await,
            Ok(None) => Err(ResolveError::UnsupportedMethod),
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let (outcome, until, bytes) = match found {
            Ok(Found { document, history, ttl, bytes }) => {
                let source = ttl.map_or(Source::SelfContained, |_| Source::Fetched);
                let resolved = Resolved { document, fetched_at: now, source, history };
                (Ok(Arc::new(resolved)), ttl.map(|ttl| now + ttl), bytes)
            }
            // That we are busy says nothing about the DID.
            Err(error @ ResolveError::Fetch(FetchError::Busy)) => (Err(error), Some(now), 0),
            Err(error) => (Err(error), Some(now + FAILURE_TTL), 0),
        };
        Known { outcome, checked_at: now, refreshed_at: None, until, bytes }
    }

    fn read_from_did(&self, did: &Did) -> Result<Option<DidDocument>, ResolveError> {
        let document =
            did::resolve_self_contained(did).map_err(|_error| ResolveError::Malformed)?;
        if did.method() != "peer" {
            return Ok(document);
        }
        if document.is_none() {
            let long = self.long_forms.get(did).ok_or(ResolveError::UnknownShortForm)?;
            return did::peer::resolve_short(&long)
                .map(Some)
                .map_err(|_error| ResolveError::Malformed);
        }
        if let Some(short) = did::peer::long_to_short(did) {
            self.long_forms.insert(short, did.clone());
        }
        Ok(document)
    }

    async fn fetch(&self, did: &Did) -> Result<Found, ResolveError> {
        let location = did::web::document_url(did).map_err(|_error| ResolveError::Malformed)?;
        let scheme = self.fetcher.policy().scheme_for(&location.host);
        let bytes = self.fetcher.get(&location.url(scheme), ACCEPT).await?;
        // The parser refuses a document whose `id` is another DID (threat T23).
        let document =
            DidDocument::parse(&bytes, did).map_err(|_error| ResolveError::InvalidDocument)?;
        Ok(Found {
            bytes: weight::of(&document),
            document: Arc::new(document),
            history: None,
            ttl: Some(DOCUMENT_TTL),
        })
    }

    async fn fetch_webvh(&self, did: &Did) -> Result<Found, ResolveError> {
        let (history, bytes) = self.fetch_history(did).await?;
        let latest = history.at(&Select::Latest).map_err(ResolveError::InvalidLog)?;
        Ok(Found {
            // A history keeps little but the texts of its log.
            bytes: weight::of(&latest.document) + 2 * bytes,
            document: Arc::new(latest.document),
            ttl: Some(webvh::ttl(&history)),
            history: Some(history),
        })
    }
}

/// Makes the cache of documents. What weighs more than one of its parts is not kept at all, and would
/// be fetched for each message: on a machine of many cores, by whose number there would be parts
/// otherwise, that is every did:webvh of some length.
fn documents_cache() -> Cache<Did, Known, ByBytes> {
    let options = OptionsBuilder::new()
        .shards(DOCUMENT_CACHE_PARTS)
        .estimated_items_capacity(DOCUMENT_CACHE_ENTRIES)
        .weight_capacity(DOCUMENT_CACHE_BYTES_MAX)
        .build();
    #[expect(clippy::expect_used, reason = "fails only when one of the two bounds is not given")]
    let options = options.expect("both bounds are given");
    Cache::with_options(
        options,
        ByBytes,
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("fetcher", &self.fetcher)
            .field("known", &self.known.len())
            .field("long_forms", &self.long_forms.len())
            .finish_non_exhaustive()
    }
}

impl Known {
    fn suffices(&self, demand: Demand) -> bool {
        let now = Instant::now();
        let Some(until) = self.until else { return true };
        match demand {
            Demand::WithinTtl => now < until,
            Demand::WithinRefreshInterval => {
                let is_fresh = now < self.checked_at + REFRESH_AGE_MIN;
                let was_refreshed = self.refreshed_at.is_some_and(|at| now < at + REFRESH_INTERVAL);
                now < until && (is_fresh || was_refreshed || self.outcome.is_err())
            }
        }
    }
}

#[cfg(test)]
mod tests;
