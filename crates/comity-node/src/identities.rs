//! Who lives here: the agents and the home itself, with their documents and keys, in memory. How
//! keys change is in `node/identity/rotate.rs`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use comity_core::outbound::SenderKeys;
use comity_core::record::digest_text;
use comity_core::trust::{Recipient, subject};
use comity_didcomm::did::webvh::History;
use comity_didcomm::{AgreementCache, AgreementKey, Did, DidDocument, DidUrl, UnixTime};
use comity_net::LocalDocuments;

use crate::keystore::Keys;
use crate::limits::AGREEMENTS_CACHED_MAX;

/// An identity of this home.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) did: Did,
    pub(crate) document: Arc<DidDocument>,
    pub(crate) token_digest: String,
    /// The log of a did:webvh.
    pub(crate) log: Option<PublishedLog>,
    /// When a key leaves the document or the keystore next.
    pub(crate) next_leaving: Option<UnixTime>,
    keys: Keys,
    signing_kid: DidUrl,
    agreement_kid: DidUrl,
    role: Recipient,
}

/// The log of a did:webvh, as it is published and as it was verified.
#[derive(Clone)]
pub(crate) struct PublishedLog {
    pub(crate) text: Arc<str>,
    pub(crate) history: Arc<History>,
}

impl Identity {
    /// Joins an identity's parts; nothing if the document lists no key of one kind.
    pub(crate) fn new(
        name: String,
        document: DidDocument,
        keys: Keys,
        token_digest: String,
        role: Recipient,
    ) -> Option<Self> {
        let signing_kid = document.signing_keys().next()?.0.clone();
        let agreement_kid = document.agreement_keys().next()?.0.clone();
        Some(Self {
            name,
            did: document.id.clone(),
            document: Arc::new(document),
            token_digest,
            log: None,
            next_leaving: keys.retired.iter().map(|retired| retired.until).min(),
            keys,
            signing_kid,
            agreement_kid,
            role,
        })
    }

    /// Returns the id of the key with which it signs.
    pub(crate) const fn signing_kid(&self) -> &DidUrl {
        &self.signing_kid
    }

    /// Returns the agreement key of this id, the present one or a former one, for messages of that
    /// age.
    fn agreement_key(&self, kid: &DidUrl, age: Age) -> Option<AgreementKey> {
        let fragment = kid.fragment()?;
        if self.agreement_kid.fragment() == Some(fragment) {
            return Some(self.keys.agreement.clone());
        }
        let is_named = |number: u32| fragment == format!("key-{number}");
        let retired = self.keys.retired.iter().find(|retired| is_named(retired.number))?;
        let key = retired.key.clone();
        let is_doubtful = retired.is_compromised && age == Age::Arriving;
        Some(if is_doubtful { key.compromised() } else { key })
    }

    /// Returns the keys with which it speaks.
    pub(crate) fn sender_keys(&self) -> SenderKeys {
        SenderKeys {
            signing: (self.signing_kid.clone(), self.keys.signing.clone()),
            agreement: (self.agreement_kid.clone(), self.keys.agreement.clone()),
        }
    }
}

/// Says whether a message is judged for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It was accepted before, with keys that were good then.
    Accepted,
    /// It may have been made by whoever stole a key.
    Arriving,
}

/// All identities of this home.
#[derive(Default)]
pub(crate) struct Identities {
    by: RwLock<Indexes>,
    /// Held while an agent's keys change, from reading its record to inserting it anew.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// What their keys agreed on with those of regular peers, if that may be remembered.
    agreements: Option<Arc<AgreementCache>>,
}

#[derive(Default)]
struct Indexes {
    did: HashMap<Did, Arc<Identity>>,
    name: HashMap<String, Arc<Identity>>,
    token: HashMap<String, Arc<Identity>>,
}

impl Identities {
    /// Creates a home of nobody, whose keys will remember what they agree on.
    pub(crate) fn with_agreement_cache() -> Self {
        let agreements = Some(Arc::new(AgreementCache::new(AGREEMENTS_CACHED_MAX)));
        Self { agreements, ..Self::default() }
    }

    pub(crate) fn insert(&self, mut identity: Identity) -> Arc<Identity> {
        if let Some(cache) = &self.agreements {
            identity.keys.remember_agreements(cache);
        }
        let identity = Arc::new(identity);
        let mut by = self.by.write().unwrap_or_else(PoisonError::into_inner);
        let before = by.did.insert(subject(&identity.did), Arc::clone(&identity));
        if let (Some(_), Some(cache)) = (before, &self.agreements) {
            // Its keys have changed: what a former one agreed on should not outlive it.
            cache.clear();
        }
        if identity.role == Recipient::Agent {
            by.name.insert(identity.name.clone(), Arc::clone(&identity));
            by.token.insert(identity.token_digest.clone(), Arc::clone(&identity));
        }
        drop(by);
        identity
    }

    /// Finds an identity by its DID, in whichever form.
    pub(crate) fn by_did(&self, did: &Did) -> Option<Arc<Identity>> {
        self.read(|by| by.did.get(&subject(did)).cloned())
    }

    /// Finds an agent by its name.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Identity>> {
        self.read(|by| by.name.get(name).cloned())
    }

    /// Finds an agent by the digest of its token. Tokens are 256 random bits, so looking up their
    /// digest tells nothing by its time.
    pub(crate) fn by_token(&self, token: &str) -> Option<Arc<Identity>> {
        let digest = digest_text(token.as_bytes());
        self.read(|by| by.token.get(&digest).cloned())
    }

    /// Returns what an identity is to this home; nothing if it does not live here.
    pub(crate) fn role(&self, did: &Did) -> Option<Recipient> {
        self.by_did(did).map(|identity| identity.role)
    }

    /// Returns all agents, by name.
    pub(crate) fn agents(&self) -> Vec<Arc<Identity>> {
        let mut agents = self.read(|by| by.name.values().cloned().collect::<Vec<_>>());
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents
    }

    pub(crate) fn count(&self) -> usize {
        self.read(|by| by.name.len())
    }

    /// Picks those of the keys that are ours.
    pub(crate) fn agreement_keys(&self, kids: &[DidUrl], age: Age) -> Vec<(DidUrl, AgreementKey)> {
        kids.iter()
            .filter_map(|kid| {
                let identity = self.by_did(kid.did())?;
                let key = identity.agreement_key(kid, age)?;
                Some((kid.clone(), key))
            })
            .collect()
    }

    fn read<T>(&self, look: impl FnOnce(&Indexes) -> T) -> T {
        look(&self.by.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LocalDocuments for Identities {
    fn document(&self, did: &Did) -> Option<Arc<DidDocument>> {
        let identity = self.by_did(did)?;
        // A did:peer:4 has two forms with a document each; the other one is derived from the DID
        // itself.
        (identity.did == *did).then(|| Arc::clone(&identity.document))
    }

    fn history(&self, did: &Did) -> Option<Arc<History>> {
        let identity = self.by_did(did)?;
        identity.log.as_ref().map(|log| Arc::clone(&log.history))
    }
}

#[cfg(test)]
mod tests {
    use comity_didcomm::{
        Message, OpenPolicy, Protection, PublicKey, VerificationMethod, open, seal,
    };

    use super::*;

    fn identity(name: &str) -> Identity {
        let keys = Keys::generate();
        let did: Did = format!("did:web:a.example:{name}").parse().unwrap();
        let mut document = DidDocument::new(did.clone());
        let add = |document: &mut DidDocument, fragment: &str, key: PublicKey| {
            document.add_key(VerificationMethod::new(did.url(fragment), key))
        };
        let signing = add(&mut document, "key-1", keys.signing.public());
        document.authentication.push(signing);
        let agreement = add(&mut document, "key-2", keys.agreement.public());
        document.key_agreement.push(agreement);
        Identity::new(name.to_owned(), document, keys, name.to_owned(), Recipient::Agent).unwrap()
    }

    /// Sends a repudiable message from one identity of the home to another.
    fn write(home: &Identities, from: &Identity, to: &Identity) {
        let (kid, key) = &from.sender_keys().agreement;
        let message =
            Message::new("m-1".parse().unwrap(), "https://a.example/x/1.0/y".parse().unwrap())
                .with_from(from.did.clone())
                .with_to([to.did.clone()]);
        let recipients = [(to.agreement_kid.clone(), to.keys.agreement.public())];
        let protection = Protection::Deniable { kid, key };
        let sealed = seal(&message, protection, &recipients, &mut rand::rng()).unwrap();
        let opened = open(
            sealed.envelope.as_bytes(),
            &OpenPolicy::default(),
            UnixTime(0),
            &|kid| Some(home.agreement_keys(std::slice::from_ref(kid), Age::Arriving).pop()?.1),
            &|did| home.document(did),
        );
        assert_eq!(opened.unwrap().sender().unwrap().did(), &from.did);
    }

    #[test]
    fn agreements_are_remembered_until_a_key_changes() {
        let home = Identities::with_agreement_cache();
        let cache = home.agreements.clone().unwrap();
        let (aria, bruno) = (home.insert(identity("aria")), home.insert(identity("bruno")));
        for _ in 0..2 {
            write(&home, &aria, &bruno);
            assert_eq!(cache.len(), 2, "once as sender and once as recipient");
        }
        let aria = home.insert(identity("aria"));
        assert!(cache.is_empty());
        write(&home, &aria, &bruno);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn nothing_is_remembered_unless_it_may_be() {
        let home = Identities::default();
        let (aria, bruno) = (home.insert(identity("aria")), home.insert(identity("bruno")));
        write(&home, &aria, &bruno);
        assert!(home.agreements.is_none());
    }
}
