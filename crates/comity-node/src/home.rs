//! What all parts of a running node share.

use std::sync::Arc;

use comity_core::Context;
use comity_core::inbound::Commit;
use comity_core::outbound::Queued;
use comity_core::trust::WorkSecret;
use comity_didcomm::{Did, DidDocument, UnixTime};
use comity_net::{Deliverer, Fetcher, ResolveError, Resolved, Resolver, SocketDialer};
use comity_store::records::MessageKey;
use comity_store::records::mailbox::Capacity;
use comity_store::records::notices::Debts;
use comity_store::records::{documents, outbox};
use comity_store::{Batch, CommitError, Conflict, LocalWake, Store, StoreFault};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::Mailboxes;
use crate::events::News;
use crate::identities::Identities;
use crate::keystore::Keystore;
use crate::ledger::Ledger;
use crate::limits::OPENED_BYTES_MAX;
use crate::notices::Notices;
use crate::operator::Told;
use crate::policies::Policies;
use crate::relay::Lives;
use crate::transmit::Transmitter;
use crate::via::Via;
use crate::vouches::Vouches;
use crate::webhook::Webhook;

/// A home: its identity, its memory, and its ways to others.
pub(crate) struct Home {
    pub(crate) config: Config,
    /// Under which peers reach the public listener; empty when they cannot.
    pub(crate) public_url: String,
    pub(crate) did: Did,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) wake: LocalWake,
    pub(crate) keystore: Keystore,
    pub(crate) ledger: Ledger,
    /// By which this run of the node knows its own challenges: after a restart, what was being
    /// solved is to be solved anew.
    pub(crate) secret: WorkSecret,
    pub(crate) identities: Arc<Identities>,
    pub(crate) admission: Admission,
    pub(crate) resolver: Resolver,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) deliverer: Deliverer,
    pub(crate) dialer: SocketDialer,
    /// The relay that keeps this home's messages, if peers reach it through one.
    pub(crate) via: Option<Arc<Via>>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) transmitter: Transmitter,
    pub(crate) notices: Notices,
    /// Wakes those who wait for events.
    pub(crate) news: News,
    /// How it stands with telling the operator's agent.
    pub(crate) told: Told,
    /// Where events are posted to, if anywhere.
    pub(crate) webhook: Option<Arc<Webhook>>,
    pub(crate) relay: Lives,
    /// The vouches that were shown here.
    pub(crate) vouches: Vouches,
    /// The rules of each agent, made once from the settings.
    pub(crate) policies: Policies,
    /// Digests of DID documents that are in the store.
    pub(crate) documents: Cache<String, ()>,
    /// Documents that are in the store as the last of their DIDs.
    pub(crate) last_documents: Cache<Did, Arc<DidDocument>>,
    /// Messages that were just opened, so that handing them over opens none again.
    pub(crate) opened: Cache<MessageKey, Arc<Commit>, ByEnvelope>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Committed {
    /// Nothing of it happened: the store is in another state than it demands.
    Conflict(Conflict),
    /// All of it happened.
    Durable,
}

/// Weighs an opened message by what it takes: the text as it came and as it was opened, and the
/// message that was read from it.
#[derive(Clone)]
pub(crate) struct ByEnvelope;

impl Weighter<MessageKey, Arc<Commit>> for ByEnvelope {
    fn weight(&self, _message: &MessageKey, commit: &Arc<Commit>) -> u64 {
        (2 * commit.envelope().len() + commit.message().memory_bytes()) as u64
    }
}

impl Home {
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Resolves a DID, as [`Resolver::resolve`]; a log is held to what was seen of it before the
    /// last restart.
    pub(crate) async fn resolve(&self, did: &Did) -> Result<Arc<Resolved>, ResolveError> {
        if did.method() == "webvh" && !self.resolver.is_held(did) {
            match documents::head(self.store.as_ref(), did).await {
                Ok(Some(version_id)) => self.resolver.hold_to(did, &version_id),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%did, %error, "the last version of a log was not read")
                }
            }
        }
        self.resolver.resolve(did).await
    }

    /// Commits a batch, and in it the receipts that it owes and a message of the home's own; both
    /// are on their way as soon as they are durable.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        mut batch: Batch,
        debts: Debts,
        notice: Option<Arc<Queued>>,
    ) -> Result<Committed, StoreFault> {
        let peers = debts.put(&mut batch);
        if let Some(notice) = &notice {
            outbox::enqueue(&mut batch, notice, self.recording_of(notice));
        }
        match self.store.commit(batch).await {
            Ok(_) => {
                self.notices.wake(&peers);
                if let Some(notice) = notice {
                    self.transmitter.wake(self, notice.outgoing());
                }
                Ok(Committed::Durable)
            }
            Err(CommitError::Conflict(conflict)) => Ok(Committed::Conflict(conflict)),
            Err(CommitError::Fault(fault)) => Err(fault),
        }
    }

    /// Commits a batch with a report on it. A full outbox costs the report, not what it reports on.
    pub(crate) async fn commit_and_report(
        self: &Arc<Self>,
        batch: Batch,
        debts: Debts,
        report: Option<Arc<Queued>>,
    ) -> Result<Committed, StoreFault> {
        if report.is_some() {
            let committed = self.commit(batch.clone(), debts.clone(), report).await?;
            if !matches!(committed, Committed::Conflict(Conflict::Bound { .. })) {
                return Ok(committed);
            }
            tracing::warn!("the outbox is full: a report is dropped");
        }
        self.commit(batch, debts, None).await
    }

    /// Returns what stands as the endpoint in the documents of this home's identities: its own
    /// address, or the DID of its relay; nothing when peers cannot reach it.
    pub(crate) fn endpoint(&self) -> Option<String> {
        endpoint(&self.public_url, self.via.as_deref())
    }

    /// Returns how many messages an agent's mailbox holds.
    pub(crate) const fn capacity(&self) -> Capacity {
        Capacity { messages_max: self.config.mailbox_messages_max }
    }

    /// Returns what a message's path has to know of this home.
    pub(crate) fn context(&self) -> Context {
        let (home, secret) = (self.did.clone(), self.secret.clone());
        Context { home, now: self.now(), salt: rand::random(), secret }
    }
}

/// Returns an identity's endpoint, by where its home is reached.
pub(crate) fn endpoint(public_url: &str, via: Option<&Via>) -> Option<String> {
    match via {
        Some(via) => Some(via.parties.routing.to_string()),
        None if public_url.is_empty() => None,
        None => Some(format!("{public_url}/didcomm")),
    }
}

pub(crate) fn opened_cache() -> Cache<MessageKey, Arc<Commit>, ByEnvelope> {
    Cache::with_weighter(4_096, OPENED_BYTES_MAX, ByEnvelope)
}
