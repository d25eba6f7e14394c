//! Replaces the keys of an agent or of the node itself, and lets former keys go when their time is over (ADR 0022).
//!
//! New keys come first in the document, so that others use them from now on. Former keys stay in it
//! for as long as a message can be under way: what was signed or sealed with them before the
//! rotation still verifies. Former agreement keys stay in the keystore for as long again, since
//! until then somebody may seal to them. One commit switches all of it.

use std::sync::Arc;

use comity_didcomm::did::webvh::{self, History, Settings};
use comity_didcomm::limits::{WEBVH_CLOCK_SKEW_SECS, WEBVH_ENTRIES_MAX, WEBVH_LOG_BYTES_MAX};
use comity_didcomm::{DidDocument, DidUrl, SigningKey, UnixTime, VerificationMethod};
use comity_store::Batch;
use comity_store::records::agents::{self, AgentRecord, LeavingKey, Published};

use super::{agent_identity, node_identity, parse_document};
use crate::home::Home;
use crate::identities::Identity;
use crate::keystore::{Keys, RetiredKey};
use crate::limits::{
    KEY_LEAVES_AFTER_S, KEY_RETIRED_FOR_S, KEYS_LEAVING_MAX, KEYS_TICK, LOG_RESERVE_BYTES,
    LOG_RESERVE_VERSIONS,
};
use crate::problem::{ApiCode, ApiError};
use crate::relay;

/// Whose keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of the agent of this name.
    Agent(String),
    /// The node's own.
    Node,
}

/// Why keys are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Others may have them: they leave the document at once, and authcrypt to them is refused.
    Compromised,
    /// It is time.
    Routine,
}

/// Replaces an identity's keys.
pub(crate) async fn rotate(
    home: &Home,
    whose: &Whose,
    reason: Reason,
) -> Result<Arc<Identity>, ApiError> {
    let _one_at_a_time = home.identities.changing.lock().await;
    let stored = Stored::read(home, whose).await?;
    if stored.record.published().did.method() == "peer" {
        let hint = match whose {
            Whose::Agent(_) => {
                "Its keys are its DID: add another agent, and tell those who write to this one"
            }
            Whose::Node => "Its keys are its DID: a node with a public URL has one that can change",
        };
        return Err(ApiError::of(ApiCode::CannotRotate, hint));
    }
    let former = stored.log.clone();
    let rotated = stored.rotated(reason, Keys::generate(), home.now()).ok_or_else(no_room)?;
    rotated.commit(home, former.as_deref(), reason).await
}

impl Reason {
    /// Returns the word in statements.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Routine => "routine",
        }
    }
}

/// Lets former keys go whose time is over, for as long as the node runs.
pub(crate) async fn tidy(home: Arc<Home>) {
    loop {
        let now = home.now();
        let agents = home.identities.agents().into_iter();
        let agents = agents.map(|agent| (Whose::Agent(agent.name.clone()), agent));
        let node = home.identities.by_did(&home.did).map(|node| (Whose::Node, node));
        for (whose, identity) in node.into_iter().chain(agents) {
            if identity.next_leaving.is_some_and(|until| until <= now)
                && let Err(error) = tidy_one(&home, &whose).await
            {
                // It is tried again with the next tick.
                tracing::error!(did = %identity.did, error = %error.0.title, "former keys could not be let go");
            }
        }
        tokio::time::sleep(KEYS_TICK).await;
    }
}

async fn tidy_one(home: &Home, whose: &Whose) -> Result<(), ApiError> {
    let _one_at_a_time = home.identities.changing.lock().await;
    let stored = Stored::read(home, whose).await?;
    let former = stored.log.clone();
    let tidied = stored.tidied(home.now()).commit(home, former.as_deref(), Reason::Routine).await;
    let Err(error) = tidied else { return Ok(()) };
    if error.0.code != ApiCode::LogFull.as_str() {
        return Err(error);
    }
    // Nobody has the former signing keys any more, so that they stay in the document harms nobody.
    let kept = Stored::read(home, whose).await?.forgotten(home.now());
    let did = &kept.stored.document.id;
    tracing::warn!(%did, "the log of a DID is full: former keys stay in its document");
    kept.commit(home, former.as_deref(), Reason::Routine).await.map(drop)
}

/// What the store holds about an identity and its keys.
struct Stored {
    record: Record,
    document: DidDocument,
    keys: Keys,
    log: Option<String>,
}

/// The record of an identity.
enum Record {
    Agent(AgentRecord),
    Node(Published),
}

impl Record {
    const fn published(&self) -> &Published {
        match self {
            Self::Agent(agent) => &agent.published,
            Self::Node(node) => node,
        }
    }

    const fn published_mut(&mut self) -> &mut Published {
        match self {
            Self::Agent(agent) => &mut agent.published,
            Self::Node(node) => node,
        }
    }
}

/// What is to be stored instead.
struct Changed {
    stored: Stored,
    /// Whether others can see a difference.
    document_changed: bool,
}

impl Stored {
    async fn read(home: &Home, whose: &Whose) -> Result<Self, ApiError> {
        let store = home.store.as_ref();
        let unreadable =
            || ApiError::new(ApiCode::Fault, "The identity cannot be read", "See the node's log");
        let record = match whose {
            Whose::Agent(name) => Record::Agent(
                agents::agent(store, name)
                    .await?
                    .ok_or_else(|| ApiError::of(ApiCode::NoSuchAgent, "See comity agent list"))?,
            ),
            Whose::Node => Record::Node(agents::node(store).await?.ok_or_else(unreadable)?),
        };
        let Published { did, document, .. } = record.published();
        let sealed = agents::sealed_keys(store, did).await?.ok_or_else(unreadable)?;
        let keys = home.keystore.unseal(did, &sealed).map_err(|_| unreadable())?;
        let log = agents::log(store, did).await?;
        let mut document = parse_document(document, did).map_err(|_| unreadable())?;
        if matches!(&record, Record::Node(node) if node.did.method() == "web") {
            // One that was made by an earlier version has none.
            relay::add_socket_endpoint(&mut document, &home.public_url);
        }
        Ok(Self { record, document, keys, log })
    }

    /// Puts fresh keys in the place of the present ones. Nothing if there is no room for more.
    fn rotated(mut self, reason: Reason, fresh: Keys, now: UnixTime) -> Option<Changed> {
        let record = self.record.published_mut();
        let number = record.next_key;
        record.next_key = number.checked_add(2)?;
        let former: Vec<DidUrl> = self
            .document
            .authentication
            .iter()
            .chain(&self.document.key_agreement)
            .cloned()
            .collect();
        let agreement_kid = self.document.agreement_keys().next()?.0.clone();
        let retired_number = agreement_kid.fragment()?.strip_prefix("key-")?.parse().ok()?;
        if KEYS_LEAVING_MAX <= self.keys.retired.len() {
            if reason == Reason::Routine {
                return None;
            }
            // It cannot wait. The oldest has opened what was sealed to it, for all but a few days.
            self.keys.retired.remove(0);
        }

        let until = now.saturating_add(KEY_LEAVES_AFTER_S);
        for kid in former {
            if record.leaving.iter().all(|leaving| leaving.kid != kid) {
                record.leaving.push(LeavingKey { kid, until });
            }
        }
        if reason == Reason::Compromised {
            record.leaving.clear();
        }
        if KEYS_LEAVING_MAX < record.leaving.len() {
            return None;
        }
        let until = now.saturating_add(KEY_RETIRED_FOR_S);
        let key = std::mem::replace(&mut self.keys.agreement, fresh.agreement);
        self.keys.retired.push(RetiredKey {
            number: retired_number,
            until,
            key,
            is_compromised: false,
        });
        if reason == Reason::Compromised {
            // Who has the present keys has the whole keystore, for all we know.
            self.keys.retired.iter_mut().for_each(|retired| retired.is_compromised = true);
        }
        self.keys.signing = fresh.signing;

        let did = &record.did;
        let signing = (did.url(&format!("key-{number}")), self.keys.signing.public());
        let agreement = (did.url(&format!("key-{}", number + 1)), self.keys.agreement.public());
        let mut first = self.document.clone();
        first.verification_method.splice(
            0..0,
            [&signing, &agreement].map(|(kid, key)| VerificationMethod::new(kid.clone(), *key)),
        );
        first.authentication.insert(0, signing.0);
        first.key_agreement.insert(0, agreement.0);
        self.document = first;
        Some(self.tidied(now))
    }

    /// Takes out of the document what is neither present nor leaving, and out of the keystore what
    /// was kept long enough.
    fn tidied(mut self, now: UnixTime) -> Changed {
        let record = self.record.published_mut();
        record.leaving.retain(|leaving| now < leaving.until);
        self.keys.retired.retain(|retired| now < retired.until);
        let present = [self.document.authentication.first(), self.document.key_agreement.first()];
        let mut stays: Vec<DidUrl> = present.into_iter().flatten().cloned().collect();
        stays.extend(record.leaving.iter().map(|leaving| leaving.kid.clone()));
        let document = &mut self.document;
        document.verification_method.retain(|method| stays.contains(&method.id));
        document.authentication.retain(|kid| stays.contains(kid));
        document.key_agreement.retain(|kid| stays.contains(kid));
        let document_changed = record.document != self.document.to_json();
        Changed { stored: self, document_changed }
    }

    /// Forgets what [`Stored::tidied`] does, and leaves the document as it is.
    fn forgotten(mut self, now: UnixTime) -> Changed {
        self.record.published_mut().leaving.retain(|leaving| now < leaving.until);
        self.keys.retired.retain(|retired| now < retired.until);
        Changed { stored: self, document_changed: false }
    }
}

impl Changed {
    /// Writes the next version, if the DID has versions, and switches to it with one commit.
    async fn commit(
        self,
        home: &Home,
        log: Option<&str>,
        reason: Reason,
    ) -> Result<Arc<Identity>, ApiError> {
        let Self { stored: Stored { mut record, document, mut keys, .. }, document_changed } = self;
        let did = document.id.clone();
        record.published_mut().document = document.to_json();
        let log = match log {
            Some(log) if document_changed => {
                Some(with_version(log, &document, &mut keys, reason, home.now())?)
            }
            log => log.map(str::to_owned),
        };
        let mut batch = Batch::new();
        let sealed = home.keystore.seal(&did, &keys);
        match &record {
            Record::Agent(agent) => agents::replace(&mut batch, agent, &sealed),
            Record::Node(node) => agents::put_node(&mut batch, node, &sealed),
        }
        if let Some(log) = &log {
            agents::put_log(&mut batch, &did, log);
        }
        if document_changed {
            home.record_keys(&mut batch, &document, reason.as_str());
        }
        home.store.commit(batch).await.map_err(|error| {
            tracing::error!(%error, "new keys could not be stored");
            ApiError::of(ApiCode::Store, "Repeat it when the node's disk is well again")
        })?;
        let version = log.as_ref().map(|log| log.lines().count());
        let identity = match record {
            Record::Agent(agent) => agent_identity(agent, (document, keys, log)),
            Record::Node(node) => node_identity(&node, (document, keys, log)),
        };
        let identity = identity.ok_or_else(fault)?;
        tracing::info!(%did, kid = %identity.signing_kid(), version, "keys have changed");
        let identity = home.identities.insert(identity);
        home.record_node().await?;
        Ok(identity)
    }
}

/// Appends a version to a log, signed with the key that the last one committed to.
fn with_version(
    log: &str,
    document: &DidDocument,
    keys: &mut Keys,
    reason: Reason,
    now: UnixTime,
) -> Result<String, ApiError> {
    let history = History::verify(&document.id, log.as_bytes(), None, UnixTime(u64::MAX))
        .map_err(|_| fault())?;
    let time = now.max(history.next_time());
    if now.saturating_add(WEBVH_CLOCK_SKEW_SECS) < time {
        let hint = "The clock of this machine stands before the last change: set it right";
        return Err(ApiError::new(ApiCode::Fault, "The log cannot go back in time", hint));
    }
    let signer = keys.next_update.take().ok_or_else(fault)?;
    let next = SigningKey::generate(&mut rand::rng());
    let settings = Settings { next_keys: &[next.public()], ..Settings::default() };
    let line = webvh::update(&history, document, &signer, &settings, time).map_err(|error| {
        tracing::error!(%error, "a version could not be written");
        fault()
    })?;
    keys.next_update = Some(next);
    let (bytes_kept, versions_kept) = match reason {
        Reason::Compromised => (0, 0),
        Reason::Routine => (LOG_RESERVE_BYTES, LOG_RESERVE_VERSIONS),
    };
    let is_full = WEBVH_LOG_BYTES_MAX < log.len() + line.len() + bytes_kept
        || WEBVH_ENTRIES_MAX <= history.version_ids().count() + versions_kept;
    if is_full {
        return Err(log_full(reason));
    }
    Ok(format!("{log}{line}"))
}

fn no_room() -> ApiError {
    let hint = "Wait: former keys leave the document after 31 days, and the keystore after 62";
    ApiError::of(ApiCode::TooManyKeys, hint)
}

fn log_full(reason: Reason) -> ApiError {
    let hint = match reason {
        Reason::Compromised => "Take another DID, and tell those who write to this one",
        Reason::Routine => {
            "What is left is for --compromised. Take another DID in time, and tell those who write \
             to this one"
        }
    };
    ApiError::of(ApiCode::LogFull, hint)
}

fn fault() -> ApiError {
    ApiError::new(ApiCode::Fault, "The keys cannot be changed", "See the node's log")
}

#[cfg(test)]
mod tests;
