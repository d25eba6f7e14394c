//! Becoming a home behind a relay: which relay the setting names, and asking it once for its
//! service. A home's DID says where peers write to it, so this comes before the home has one; the
//! relay is asked by a *registrant*, an identity without an address that serves for nothing else.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::trust::{Recipient, subject};
use comity_core::via::{NotGranted, Parties, granted, request};
use comity_didcomm::invitation::{InvitationError, Invited};
use comity_didcomm::{
    Curve, Did, DidDocument, Message, MessageId, OpenError, OpenPolicy, Opened, Protection,
    SealError, UnixTime, did, open, resolve_self_contained, seal,
};
use comity_net::{DeliverError, Deliverer, Fetcher, MediaType, ResolveError, Resolver};
use comity_store::records::via::{self, ViaRecord};
use comity_store::records::{agents, documents};
use comity_store::{Batch, CommitError, Store, StoreFault};
use thiserror::Error;

use super::Via;
use crate::config::Config;
use crate::identities::Identity;
use crate::keystore::{Keys, Keystore};
use crate::node::{StartError, peer_document, place, web_did};

/// Why a home cannot be behind the relay that it is told to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViaError {
    /// The relay did not answer, or refused the request.
    #[error("the relay was not reached: {0}")]
    Delivery(#[from] DeliverError),
    /// The home has had an identity from before.
    #[error("this data directory has an identity that says nothing of a relay")]
    HasIdentity,
    /// The node is to be a relay itself.
    #[error("a home behind a relay cannot be a relay: nobody reaches it")]
    IsRelay,
    /// The relay's document has no address that can be posted to.
    #[error("the document of {0} names no http address")]
    NoEndpoint(Did),
    /// The relay did not grant its service.
    #[error("{reason}; it was asked by {registrant}")]
    NotGranted {
        /// Why.
        reason: NotGranted,
        /// The identity by which it was asked, for its allow-list.
        registrant: Did,
    },
    /// The home is behind another relay.
    #[error("this data directory belongs to a home behind {stored}, and the setting says {given}")]
    OtherRelay {
        /// The relay that it is behind.
        stored: Did,
        /// The relay that was named.
        given: Did,
    },
    /// The relay's document cannot be had.
    #[error("the document of {0} cannot be had: {1}")]
    Resolve(Did, ResolveError),
    /// The setting names no relay.
    #[error("the setting via names no relay: {0}")]
    Setting(&'static str),
    /// The relay's answer, or our request, is not sound.
    #[error("the relay's answer cannot be understood")]
    Unsound,
}

impl ViaError {
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Delivery(_) | Self::Resolve(..) => {
                "Check that the relay runs and that this machine reaches it; http and loopback addresses need --dev"
            }
            Self::HasIdentity => {
                "A DID cannot move: start a home with --via in a new directory, and tell your correspondents its DIDs"
            }
            Self::IsRelay => "Start it without --relay, or start a relay in another directory",
            Self::NoEndpoint(_) | Self::Unsound => {
                "Name a DIDComm mediator: a node that runs with --relay"
            }
            Self::NotGranted { .. } => {
                "Ask the relay's operator for an invitation (comity invite --relay there), and give it with --via; or to put the DID above on the relay's list"
            }
            Self::OtherRelay { .. } => {
                "Name the former relay, or start anew in another directory: a DID cannot move"
            }
            Self::Setting(_) => "Give a DID, the https URL of a node, or an invitation",
        }
    }
}

/// What the setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    relay: Did,
    /// Whether it is named by its address: then it is what the host says it is.
    by_address: bool,
    /// Id of the invitation, if it is one.
    invitation: Option<String>,
}

/// Whether this is, or is to be, a home behind a relay.
pub(crate) async fn is_wanted(config: &Config, store: &dyn Store) -> Result<bool, StoreFault> {
    let granted = via::get(store).await?.is_some_and(|record| record.routing.is_some());
    Ok(config.via.is_some() || granted)
}

/// Makes the home one behind a relay, or finds that it is one already. Once a relay has granted its
/// service it is not asked again, so that the home starts while the relay is away, and the setting
/// may be left out.
pub(crate) async fn enrol(
    setting: Option<&str>,
    (store, keystore): (&dyn Store, &Keystore),
    (resolver, fetcher, deliverer): (&Resolver, &Fetcher, &Deliverer),
    now: UnixTime,
) -> Result<Option<Via>, StartError> {
    let named = setting.map(read_setting).transpose()?;
    let mut record = via::get(store).await?;
    if let (Some(record), Some(named)) = (&record, &named) {
        let is_same = record.relay.same_subject(&named.relay)
            || named.by_address && place(&record.relay) == place(&named.relay);
        if !is_same && record.routing.is_some() {
            let (stored, given) = (record.relay.clone(), named.relay.clone());
            return Err(ViaError::OtherRelay { stored, given }.into());
        }
    }
    let granted = record.as_ref().is_some_and(|record| record.routing.is_some());
    let Some(mut named) = named.filter(|_| !granted) else {
        let Some(record) = record else { return Ok(None) };
        let registrant = load(store, keystore, &record.registrant).await?;
        return Ok(of_record(record, registrant));
    };
    if agents::node(store).await?.is_some() {
        return Err(ViaError::HasIdentity.into());
    }
    if named.by_address {
        named.relay = at_address(named.relay, resolver, fetcher).await;
    }
    let registrant = match &record {
        Some(record) => load(store, keystore, &record.registrant).await?,
        None => {
            let keys = Keys::generate();
            let document = peer_document(&keys, None, None).map_err(|_| StartError::BadIdentity)?;
            let made = ViaRecord {
                relay: named.relay.clone(),
                registrant: document.id.clone(),
                routing: None,
                has_rules: false,
            };
            let mut batch = Batch::new();
            via::put_with_keys(&mut batch, &made, &keystore.seal(&made.registrant, &keys));
            commit(store, batch).await?;
            record = Some(made);
            identity(document, keys)?
        }
    };
    let Some(record) = record else { return Ok(None) };
    let (routing, document) = ask(&named, &registrant, (resolver, deliverer), now).await?;
    let record = ViaRecord { relay: named.relay, routing: Some(routing), ..record };
    let mut batch = Batch::new();
    via::put(&mut batch, &record);
    // From now on the home also starts while the relay is away.
    documents::put_last(&mut batch, &document);
    commit(store, batch).await?;
    Ok(of_record(record, registrant))
}

/// Finds out which DID a node has that is named by its address: a did:web, or the did:webvh whose log
/// it has in that place. Whoever names an address takes the host's word for it either way.
async fn at_address(web: Did, resolver: &Resolver, fetcher: &Fetcher) -> Did {
    if resolver.resolve(&web).await.is_ok() {
        return web;
    }
    let Ok(location) = did::web::document_url(&web) else { return web };
    let url = format!("{}l", location.url(fetcher.policy().scheme_for(&location.host)));
    let Ok(log) = fetcher.get_log(&url).await else { return web };
    webvh_of(&log).filter(|did| place(did) == place(&web)).unwrap_or(web)
}

/// Reads which DID a log says that it is of. Whether it is its log is seen when it is resolved.
fn webvh_of(log: &[u8]) -> Option<Did> {
    let last = log.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty())?;
    let entry: serde_json::Value = serde_json::from_slice(last).ok()?;
    let did: Did = entry.pointer("/state/id")?.as_str()?.parse().ok()?;
    did::webvh::log_url(&did).is_ok().then_some(did)
}

/// Asks the relay for its service, and returns the DID that it is to be named by, with its own
/// document.
async fn ask(
    named: &Named,
    registrant: &Identity,
    (resolver, deliverer): (&Resolver, &Deliverer),
    now: UnixTime,
) -> Result<(Did, Arc<DidDocument>), ViaError> {
    let resolved = resolver.resolve(&named.relay).await;
    let document =
        resolved.map_err(|error| ViaError::Resolve(named.relay.clone(), error))?.document.clone();
    let is_http = |uri: &str| uri.starts_with("https://") || uri.starts_with("http://");
    let endpoint = document.didcomm_endpoints().into_iter().find(|endpoint| is_http(&endpoint.uri));
    let uri = endpoint.ok_or_else(|| ViaError::NoEndpoint(named.relay.clone()))?.uri;
    let id = MessageId::random(&mut rand::rng());
    let pthid = named.invitation.as_deref();
    let message = request(id, &named.relay, &registrant.did, pthid, now);
    let envelope = seal_for(&message, registrant, &document).map_err(|_| ViaError::Unsound)?;
    let delivered = deliverer.post(&uri, Bytes::from(envelope), MediaType::Encrypted, None).await?;
    let answer = delivered.answer.ok_or(ViaError::Unsound)?;
    let opened = open_from(&answer.envelope, registrant, &document, now);
    let granted = granted(&opened.map_err(|_| ViaError::Unsound)?, &named.relay);
    let dids = granted.map_err(|reason| {
        let registrant = subject(&registrant.did);
        ViaError::NotGranted { reason, registrant }
    })?;
    let routing = dids.into_iter().next().ok_or(ViaError::Unsound)?;
    Ok((routing, document))
}

/// Seals a message of the registrant to the relay. Nobody else is to judge what is said here, so it
/// is not signed.
pub(super) fn seal_for(
    message: &Message,
    registrant: &Identity,
    relay: &DidDocument,
) -> Result<String, SealError> {
    let (kid, key) = registrant.sender_keys().agreement;
    let keys = relay.choose_recipients(&[Curve::X25519]);
    let protection = Protection::Deniable { kid: &kid, key: &key };
    Ok(seal(message, protection, &keys, &mut rand::rng())?.envelope)
}

/// Opens what the relay says to the registrant. Another's document is not even looked for.
pub(super) fn open_from(
    envelope: &[u8],
    registrant: &Identity,
    relay: &Arc<DidDocument>,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let (own, key) = registrant.sender_keys().agreement;
    open(
        envelope,
        &OpenPolicy::default(),
        now,
        &|kid| {
            (kid.fragment() == own.fragment() && kid.did().same_subject(own.did()))
                .then(|| key.clone())
        },
        &|did| relay.id.same_subject(did).then(|| Arc::clone(relay)),
    )
}

fn read_setting(text: &str) -> Result<Named, ViaError> {
    if text.starts_with("did:") {
        let relay = text.parse().map_err(|_| ViaError::Setting("it is not a valid DID"))?;
        return Ok(Named { relay, by_address: false, invitation: None });
    }
    match Invited::from_url(text) {
        Ok(Invited::Here(invitation)) => {
            let invitation_id = invitation.id.as_str().to_owned();
            let invitation_id = Some(invitation_id);
            let relay = invitation.from;
            return Ok(Named { relay, by_address: false, invitation: invitation_id });
        }
        Ok(_) => return Err(ViaError::Setting("a shortened invitation has to be opened first")),
        // Not an invitation, perhaps an address.
        Err(InvitationError::Url) => {}
        Err(_) => return Err(ViaError::Setting("the invitation cannot be read")),
    }
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url {
        return Err(ViaError::Setting("it is neither a DID, nor a URL, nor an invitation"));
    }
    let relay = web_did(text.trim_end_matches('/'), &[]);
    let relay = relay.map_err(|_| ViaError::Setting("it is not the URL of a node"))?;
    Ok(Named { relay, by_address: true, invitation: None })
}

fn of_record(record: ViaRecord, registrant: Identity) -> Option<Via> {
    let ViaRecord { relay, routing, has_rules, .. } = record;
    let parties = Parties { relay, registrant: registrant.did.clone(), routing: routing? };
    let via = Via::new(parties, registrant);
    via.set(|state| state.has_rules = has_rules);
    Some(via)
}

async fn load(
    store: &dyn Store,
    keystore: &Keystore,
    registrant: &Did,
) -> Result<Identity, StartError> {
    let sealed = agents::sealed_keys(store, registrant).await?.ok_or(StartError::BadIdentity)?;
    let keys = keystore.unseal(registrant, &sealed)?;
    let document = resolve_self_contained(registrant).ok().flatten();
    identity(document.ok_or(StartError::BadIdentity)?, keys)
}

fn identity(document: DidDocument, keys: Keys) -> Result<Identity, StartError> {
    let identity = Identity::new(String::new(), document, keys, String::new(), Recipient::Home);
    identity.ok_or(StartError::BadIdentity)
}

async fn commit(store: &dyn Store, batch: Batch) -> Result<(), StartError> {
    match store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Fault(fault)) => Err(StartError::Store(fault)),
        Err(CommitError::Conflict(_)) => Err(StartError::BadIdentity),
    }
}

#[cfg(test)]
mod tests {
    use comity_didcomm::invitation::Invitation;

    use super::*;

    #[test]
    fn a_relay_is_named_by_its_did_its_address_or_an_invitation() {
        let relay: Did = "did:web:relay.example".parse().unwrap();
        let named = |by_address: bool, invitation: Option<&str>| Named {
            relay: relay.clone(),
            by_address,
            invitation: invitation.map(str::to_owned),
        };
        assert_eq!(read_setting("did:web:relay.example").unwrap(), named(false, None));
        assert_eq!(read_setting("https://relay.example/").unwrap(), named(true, None));
        let invitation = Invitation::new(MessageId::parse("i-1").unwrap(), relay.clone());
        let url = invitation.to_url("https://elsewhere.example").unwrap();
        assert_eq!(read_setting(&url).unwrap(), named(false, Some("i-1")));
        let port = read_setting("http://localhost:7700").unwrap().relay;
        assert_eq!(port.as_str(), "did:web:localhost%3A7700");
        for bad in ["", "relay.example", "did:", "ftp://relay.example", "https://a.example?_oob=x"]
        {
            assert!(matches!(read_setting(bad), Err(ViaError::Setting(_))), "{bad}");
        }
    }
}
