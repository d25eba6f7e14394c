//! did:webvh: fetches the log and, where it has witnesses, their approvals; answers for versions;
//! and holds hosts to what they showed before (ADR 0021).
//!
//! What a log is, and whether it is good, is decided by `comity_didcomm::did::webvh`.

use std::{sync::Arc, time::Duration};

use comity_didcomm::{
    Did, DidDocument, DidUrl, UnixTime,
    did::webvh::{self, History, Log, Metadata, Select, WebvhError},
    limits::WEBVH_WITNESS_BYTES_MAX,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{ResolveError, Resolved, Resolver};
use crate::{
    fetch::FetchError,
    limits::{DOCUMENT_TTL, LOG_TTL_MIN, LOGS_ADMITTED_MAX, LOGS_VERIFIED_AT_ONCE},
};

/// A version of a document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Version {
    /// The document.
    pub document: Arc<DidDocument>,
    /// What is known about the version; nothing for DIDs without a history.
    pub metadata: Option<Metadata>,
}

/// The last version of a log that was seen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    number: usize,
    version_id: Box<str>,
}

impl Resolver {
    /// Resolves the version of a document that a DID URL names with `versionId`, `versionTime` or
    /// `versionNumber`; without them the present one. Earlier versions of a did:webvh are there
    /// also when it has ended: that is what its signatures are checked with.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); [`ResolveError::NoSuchVersion`] when there is none, and for
    /// every version of a DID whose method keeps no history.
    pub async fn resolve_at(&self, url: &DidUrl) -> Result<Version, ResolveError> {
        let did = url.did();
        let select = Select::from_url(url).map_err(|_error| ResolveError::NoSuchVersion)?;
        if did.method() != "webvh" {
            if select != Select::Latest {
                return Err(ResolveError::NoSuchVersion);
            }
            let document = Arc::clone(&self.resolve(did).await?.document);
            return Ok(Version { document, metadata: None });
        }
        let history = match self.local.history(did) {
            Some(history) => history,
            None => {
                let resolved = self.answer(did, super::Demand::WithinTtl).await?;
                Arc::clone(resolved.history.as_ref().ok_or(ResolveError::NoSuchVersion)?)
            }
        };
        let found = history.at(&select).map_err(|error| match error {
            WebvhError::NotFound => ResolveError::NoSuchVersion,
            error => ResolveError::InvalidLog(error),
        })?;
        if found.document.id != *did {
            return Err(ResolveError::Moved);
        }
        if select == Select::Latest && found.metadata.deactivated {
            return Err(ResolveError::Deactivated);
        }
        Ok(Version { document: Arc::new(found.document), metadata: Some(found.metadata) })
    }

    /// Tells whether the last version of a log that was seen is known, so that an older one is
    /// refused.
    pub fn is_held(&self, did: &Did) -> bool {
        self.heads.get(did).is_some()
    }

    /// Holds a log to the version that was seen last, by its `versionId`, as from before a restart.
    /// What was seen since then is more, and stays.
    pub fn hold_to(&self, did: &Did, version_id: &str) {
        let number = version_id.split_once('-').and_then(|(number, _)| number.parse().ok());
        if let Some(number) = number
            && !self.is_held(did)
        {
            self.heads.insert(did.clone(), Head { number, version_id: version_id.into() });
        }
    }

    /// Fetches and verifies a log. Returns it with the bytes that it takes.
    pub(super) async fn fetch_history(
        &self,
        did: &Did,
    ) -> Result<(Arc<History>, usize), ResolveError> {
        let log_at = webvh::log_url(did).map_err(|_error| ResolveError::Malformed)?;
        let witness_at = webvh::witness_url(did).map_err(|_error| ResolveError::Malformed)?;
        let scheme = self.fetcher.policy().scheme_for(&log_at.host);
        let log = self.fetcher.get_log(&log_at.url(scheme)).await?;
        let mut bytes = log.len();
        let now = (self.clock)();
        let of = did.clone();
        let log = self.verifiers.run(move || Log::verify(&of, &log, now)).await?;
        let approvals = if log.is_witnessed() {
            let url = witness_at.url(scheme);
            let accept = "application/json";
            let file = self.fetcher.get_up_to(&url, accept, WEBVH_WITNESS_BYTES_MAX).await?;
            bytes += file.len();
            Some(file)
        } else {
            None
        };
        let history = self.verifiers.run(move || log.approve(approvals.as_deref())).await?;
        self.hold_to_what_was_seen(did, &history)?;
        Ok((Arc::new(history), bytes))
    }

    /// Refuses a log that became shorter or tells another story than before: whoever stole the
    /// host and a former key could undo a rotation with it.
    fn hold_to_what_was_seen(&self, did: &Did, history: &History) -> Result<(), ResolveError> {
        let number = history.version_ids().count();
        if let Some(head) = self.heads.get(did) {
            let same = history.version_ids().nth(head.number.saturating_sub(1));
            if same != Some(&*head.version_id) {
                tracing::warn!(%did, seen = head.number, shown = number, "a DID log was rewritten");
                return Err(ResolveError::Rewritten);
            }
        }
        let version_id = history.latest_version_id().into();
        self.heads.insert(did.clone(), Head { number, version_id });
        Ok(())
    }
}

impl Resolved {
    /// Lets through what may be used now: a document of just this DID, which has not ended.
    pub(super) fn usable_as(self: Arc<Self>, did: &Did) -> Result<Arc<Self>, ResolveError> {
        let Some(history) = &self.history else { return Ok(self) };
        if history.did() != did {
            return Err(ResolveError::Moved);
        }
        if history.parameters().deactivated {
            return Err(ResolveError::Deactivated);
        }
        Ok(self)
    }
}

/// How long a log is used before it is fetched again: as long as its controller says, within
/// bounds of ours.
pub(super) fn ttl(history: &History) -> Duration {
    let asked = Duration::from_secs(history.parameters().ttl_secs.into());
    asked.clamp(LOG_TTL_MIN, DOCUMENT_TTL)
}

/// Tells the time of day.
pub(super) type WallClock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Verifies logs beside the reactor, a few at a time: the one with the most proofs takes a third of a
/// second, and whoever names many such DIDs in messages may take neither all cores nor the threads
/// that others need.
pub(super) struct Verifiers {
    /// Logs that are verified or wait for it.
    admitted: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Default for Verifiers {
    fn default() -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(LOGS_ADMITTED_MAX)),
            at_once: Arc::new(Semaphore::new(LOGS_VERIFIED_AT_ONCE)),
        }
    }
}

impl Verifiers {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, WebvhError> + Send + 'static,
    ) -> Result<T, ResolveError> {
        let busy = || ResolveError::from(FetchError::Busy);
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_full| busy())?;
        let turn = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_closed| busy())?;
        // The thread holds its turn: it works on when nobody waits for it any more.
        let done = spawn_blocking(move || {
            let _held = (admitted, turn);
            work()
        });
        match done.await {
            Ok(result) => result.map_err(ResolveError::InvalidLog),
            // Only when the runtime stops.
            Err(_cancelled) => Err(busy()),
        }
    }
}

#[cfg(test)]
mod tests;
