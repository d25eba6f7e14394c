//! Makes and loads the identities of a home: its own, and its agents'.

mod rotate;

use std::sync::Arc;

use comity_core::api::{AddAgent, DidMethod};
use comity_core::record::digest_text;
use comity_core::trust::{Recipient, subject};
use comity_didcomm::did::webvh::{self, History, Settings};
use comity_didcomm::{
    Did, DidDocument, DidError, Endpoint, PublicKey, Service, SigningKey, UnixTime,
    VerificationMethod, did, resolve_self_contained,
};
use comity_store::records::agents::{self, AgentRecord, NodeRecord};
use comity_store::{Batch, CommitError, Store};
use serde_json::{Map, json};

pub(crate) use self::rotate::{Reason, rotate, tidy};
use super::StartError;
use super::data_dir::random_token;
use crate::home::Home;
use crate::identities::{Identities, Identity, PublishedLog};
use crate::keystore::{Keys, Keystore};
use crate::limits::{AGENTS_MAX, LOG_TTL_S};
use crate::problem::{ApiCode, ApiError};
use crate::relay;

/// Adds an agent, and returns it with its token.
pub(crate) async fn add_agent(
    home: &Home,
    request: &AddAgent,
) -> Result<(Arc<Identity>, String), ApiError> {
    let name = &request.name;
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_valid = (1..=64).contains(&name.len())
        && name.bytes().all(is_plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if !is_valid {
        let hint =
            "Use 1 to 64 characters of a-z, 0-9, -, _ and ., beginning with a letter or digit";
        return Err(ApiError::of(ApiCode::BadName, hint));
    }
    if AGENTS_MAX <= home.identities.count() {
        let hint = "Run another node for more";
        return Err(ApiError::of(ApiCode::TooManyAgents, hint));
    }
    // A home behind a relay has no address of its own, so that nothing could be looked up there.
    let method = match request.did {
        DidMethod::Web if home.via.is_some() => DidMethod::Peer,
        method => method,
    };
    if method != DidMethod::Peer && home.public_url.is_empty() {
        let hint = "Start the node with --public-url or --dev, or add the agent with --did peer";
        return Err(ApiError::of(ApiCode::NoPublicUrl, hint));
    }
    let bad =
        |_| ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log");
    let mut keys = Keys::generate();
    let mut log = None;
    let document = match method {
        DidMethod::Web => {
            let did = web_did(&home.public_url, &["agents", name]).map_err(bad)?;
            document_for(did, &keys, &home.public_url, Some(&home.did))
        }
        DidMethod::Webvh => {
            let (document, line) = webvh_document(home, name, &mut keys)?;
            log = Some(line);
            document
        }
        DidMethod::Peer => {
            let endpoint = home.endpoint();
            peer_document(&keys, endpoint.as_deref(), Some(&home.did)).map_err(bad)?
        }
    };
    let token = random_token();
    let record = AgentRecord {
        name: name.clone(),
        did: document.id.clone(),
        document: document.to_json(),
        token_digest: digest_text(token.as_bytes()),
        added_at: home.now(),
        next_key: 3,
        leaving: Vec::new(),
    };
    let sealed = home.keystore.seal(&record.did, &keys);
    let mut batch = Batch::new();
    agents::add(&mut batch, &record, &sealed);
    if let Some(log) = &log {
        agents::put_log(&mut batch, &record.did, log);
    }
    match home.store.commit(batch).await {
        Ok(_) => {}
        Err(CommitError::Conflict(_)) => {
            return Err(ApiError::of(ApiCode::NameTaken, "See comity agent list"));
        }
        Err(CommitError::Fault(fault)) => return Err(fault.into()),
    }
    let identity = agent_identity(record, document, keys, log).ok_or_else(|| {
        ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log")
    })?;
    let identity = home.identities.insert(identity);
    if let Some(via) = &home.via {
        via.register(&identity.did).await;
    }
    Ok((identity, token))
}

/// Joins an agent's parts; nothing if they do not fit together.
fn agent_identity(
    record: AgentRecord,
    document: DidDocument,
    keys: Keys,
    log: Option<String>,
) -> Option<Identity> {
    let log = match log {
        Some(text) => {
            // Our own log is not judged by today's clock, which may stand wrong.
            let history = History::verify(&record.did, text.as_bytes(), None, UnixTime(u64::MAX));
            Some(PublishedLog { text: text.into(), history: Arc::new(history.ok()?) })
        }
        None => None,
    };
    let leaving = record.leaving.iter().map(|leaving| leaving.until).min();
    let mut identity =
        Identity::new(record.name, document, keys, record.token_digest, Recipient::Agent)?;
    identity.next_leaving = [identity.next_leaving, leaving].into_iter().flatten().min();
    identity.log = log;
    Some(identity)
}

/// Reads the node's own identity, or makes it at the first start.
pub(super) async fn load_node(
    (store, keystore): (&dyn Store, &Keystore),
    identities: &Identities,
    public_url: &str,
    endpoint: Option<&str>,
) -> Result<Did, StartError> {
    let given = match public_url {
        "" => None,
        url => Some(web_did(url, &[]).map_err(|_| StartError::BadIdentity)?),
    };
    let (mut document, keys) = match agents::node(store).await? {
        Some(record) => {
            if let Some(given) = given.filter(|given| *given != record.did) {
                return Err(StartError::Identity { stored: record.did, given });
            }
            let keys = load_keys(store, keystore, &record.did).await?;
            (parse_document(&record.document, &record.did)?, keys)
        }
        None => {
            let keys = Keys::generate();
            let document = match given {
                Some(did) => document_for(did, &keys, public_url, None),
                None => {
                    peer_document(&keys, endpoint, None).map_err(|_| StartError::BadIdentity)?
                }
            };
            let record = NodeRecord { did: document.id.clone(), document: document.to_json() };
            let mut batch = Batch::new();
            agents::put_node(&mut batch, &record, &keystore.seal(&record.did, &keys));
            store.commit(batch).await.map_err(|error| match error {
                CommitError::Fault(fault) => StartError::Store(fault),
                CommitError::Conflict(_) => StartError::BadIdentity,
            })?;
            (document, keys)
        }
    };
    relay::add_socket_endpoint(&mut document, public_url);
    let did = document.id.clone();
    let node = Identity::new(String::new(), document, keys, String::new(), Recipient::Home);
    identities.insert(node.ok_or(StartError::BadIdentity)?);
    Ok(did)
}

/// Reads the agents.
pub(super) async fn load_agents(
    store: &dyn Store,
    keystore: &Keystore,
    identities: &Identities,
) -> Result<(), StartError> {
    for record in agents::all(store, AGENTS_MAX).await? {
        let keys = load_keys(store, keystore, &record.did).await?;
        let document = parse_document(&record.document, &record.did)?;
        let log = agents::log(store, &record.did).await?;
        let identity = agent_identity(record, document, keys, log);
        identities.insert(identity.ok_or(StartError::BadIdentity)?);
    }
    Ok(())
}

async fn load_keys(store: &dyn Store, keystore: &Keystore, did: &Did) -> Result<Keys, StartError> {
    let sealed = agents::sealed_keys(store, did).await?.ok_or(StartError::BadIdentity)?;
    Ok(keystore.unseal(did, &sealed)?)
}

fn parse_document(document: &serde_json::Value, did: &Did) -> Result<DidDocument, StartError> {
    DidDocument::parse(document.to_string().as_bytes(), did).map_err(|_| StartError::BadIdentity)
}

/// Builds the document of an identity of this home. Its controller is the home, which speaks for it
/// in receipts.
fn document_for(did: Did, keys: &Keys, public_url: &str, controller: Option<&Did>) -> DidDocument {
    let signing = VerificationMethod::new(did.url("key-1"), keys.signing.public());
    let agreement = VerificationMethod::new(did.url("key-2"), keys.agreement.public());
    let mut document = DidDocument::new(did);
    let signing = document.add_key(signing);
    let agreement = document.add_key(agreement);
    document.authentication.push(signing);
    document.key_agreement.push(agreement);
    document.controller.extend(controller.cloned());
    if !public_url.is_empty() {
        let endpoint = Endpoint::new(format!("{public_url}/didcomm"));
        let id = document.id.url("didcomm");
        document.service.push(Service::didcomm(&id, &endpoint));
    }
    document
}

/// Makes a did:webvh that commits to the key of its next version, and returns its document and the
/// first line of its log.
fn webvh_document(
    home: &Home,
    name: &str,
    keys: &mut Keys,
) -> Result<(DidDocument, String), ApiError> {
    let no_name = |_| {
        let hint = "A did:webvh needs a host name, not an address: start the node with another \
            --public-url, or add the agent with --did web";
        ApiError::of(ApiCode::NoPublicUrl, hint)
    };
    let (host, port) = authority(&home.public_url).map_err(no_name)?;
    let draft = webvh::draft_did(host, port, &["agents", name]).map_err(no_name)?;
    let document = document_for(draft, keys, &home.public_url, Some(&home.did));
    let (first, next) =
        (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let settings =
        Settings { next_keys: &[next.public()], ttl_secs: Some(LOG_TTL_S), ..Settings::default() };
    let written = webvh::create(&document, &first, &settings, home.now());
    let (line, history) = written.map_err(|error| {
        tracing::error!(%error, "a DID log could not be begun");
        ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log")
    })?;
    keys.next_update = Some(next);
    let did = history.did().clone();
    Ok((document_for(did, keys, &home.public_url, Some(&home.did)), line))
}

/// Makes a did:peer:4 and returns its document: what [`document_for`] says, with relative ids and
/// without `id`.
pub(crate) fn peer_document(
    keys: &Keys,
    endpoint: Option<&str>,
    controller: Option<&Did>,
) -> Result<DidDocument, DidError> {
    let method = |id: &str, key: PublicKey| json!({ "id": id, "type": "Multikey", "publicKeyMultibase": key.to_multibase() });
    let mut input = Map::new();
    if let Some(controller) = controller {
        // Its short form: the document is part of a DID that every message carries.
        input.insert("controller".to_owned(), json!(subject(controller)));
    }
    let methods =
        [method("#key-1", keys.signing.public()), method("#key-2", keys.agreement.public())];
    input.insert("verificationMethod".to_owned(), json!(methods));
    input.insert("authentication".to_owned(), json!(["#key-1"]));
    input.insert("keyAgreement".to_owned(), json!(["#key-2"]));
    if let Some(uri) = endpoint {
        let endpoint = json!({ "uri": uri, "accept": ["didcomm/v2"] });
        let service =
            json!({ "id": "#didcomm", "type": Service::DIDCOMM, "serviceEndpoint": endpoint });
        input.insert("service".to_owned(), json!([service]));
    }
    let peer = did::peer::create_4_from(&input)?;
    resolve_self_contained(&peer.long)?.ok_or(DidError::Method)
}

/// Returns the did:web of a node, or of somebody at it, by the node's URL.
pub(crate) fn web_did(public_url: &str, path: &[&str]) -> Result<Did, DidError> {
    let (host, port) = authority(public_url)?;
    did::web::did_for(host, port, path)
}

fn authority(public_url: &str) -> Result<(&str, Option<u16>), DidError> {
    let authority = public_url.split_once("://").map_or(public_url, |(_, authority)| authority);
    match authority.rsplit_once(':') {
        Some((host, port)) => Ok((host, Some(port.parse().map_err(|_| DidError::Method)?))),
        None => Ok((authority, None)),
    }
}
