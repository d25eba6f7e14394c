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
use comity_store::records::agents::{self, AgentRecord, Published};
use comity_store::{Batch, CommitError, Store};
use serde_json::{Map, json};

pub(crate) use self::rotate::{Reason, Whose, rotate, tidy};
use super::StartError;
use super::data_dir::random_token;
use crate::config::NodeDid;
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
    let method = method(home, request.did)?;
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
            let place = (home.public_url.as_str(), &["agents", name.as_str()][..]);
            let document =
                |did, keys: &Keys| document_for(did, keys, &home.public_url, Some(&home.did));
            let (document, line) = begin_log(place, &mut keys, document, home.now())?;
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
        published: Published::new(document.id.clone(), document.to_json()),
        token_digest: digest_text(token.as_bytes()),
        added_at: home.now(),
    };
    let sealed = home.keystore.seal(&document.id, &keys);
    let mut batch = Batch::new();
    agents::add(&mut batch, &record, &sealed);
    if let Some(log) = &log {
        agents::put_log(&mut batch, &document.id, log);
    }
    let used = Arc::new(document.clone());
    home.record_document(&mut batch, &document.id, &used).await?;
    home.record_policy(&mut batch, &document.id, name).await?;
    match home.store.commit(batch).await {
        Ok(_) => home.document_recorded(&document.id, &used),
        Err(CommitError::Conflict(_)) => {
            return Err(ApiError::of(ApiCode::NameTaken, "See comity agent list"));
        }
        Err(CommitError::Fault(fault)) => return Err(fault.into()),
    }
    let identity = agent_identity(record, (document, keys, log)).ok_or_else(|| {
        ApiError::new(ApiCode::Fault, "The identity cannot be made", "See the node's log")
    })?;
    let identity = home.identities.insert(identity);
    home.record_node_of(&identity.did).await?;
    if let Some(via) = &home.via {
        via.register(&identity.did).await;
    }
    Ok((identity, token))
}

/// Chooses the method of a new agent's DID: the wish, or that of the node's own DID.
fn method(home: &Home, wish: Option<DidMethod>) -> Result<DidMethod, ApiError> {
    let method = match (wish, home.did.method()) {
        (Some(wish), _) => wish,
        (None, _) if home.via.is_some() => DidMethod::Peer,
        (None, "webvh") => DidMethod::Webvh,
        (None, _) => DidMethod::Web,
    };
    let hint = if method == DidMethod::Peer || !home.public_url.is_empty() {
        return Ok(method);
    } else if home.via.is_some() {
        "A home behind a relay has no address to look a DID up at: leave --did out, or give peer"
    } else {
        "Start the node with --public-url or --dev, or add the agent with --did peer"
    };
    Err(ApiError::of(ApiCode::NoPublicUrl, hint))
}

/// What belongs to an identity beside its record: its document, its keys and, for a did:webvh, its
/// log.
type Parts = (DidDocument, Keys, Option<String>);

/// Joins an agent's parts; nothing if they do not fit together.
fn agent_identity(record: AgentRecord, parts: Parts) -> Option<Identity> {
    identity(record.name, record.token_digest, &record.published, parts, Recipient::Agent)
}

/// Joins the node's own parts; nothing if they do not fit together.
fn node_identity(record: &Published, parts: Parts) -> Option<Identity> {
    identity(String::new(), String::new(), record, parts, Recipient::Home)
}

fn identity(
    name: String,
    token_digest: String,
    record: &Published,
    (document, keys, log): Parts,
    role: Recipient,
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
    let mut identity = Identity::new(name, document, keys, token_digest, role)?;
    identity.next_leaving = [identity.next_leaving, leaving].into_iter().flatten().min();
    identity.log = log;
    Some(identity)
}

/// What the settings say about the node's own identity.
pub(super) struct Wanted<'a> {
    /// Under which peers reach the node; empty when they cannot.
    pub(super) public_url: &'a str,
    /// Where they write to it instead, if it is behind a relay.
    pub(super) endpoint: Option<&'a str>,
    /// Which DID it is to have.
    pub(super) did: Option<NodeDid>,
}

/// Reads the node's own identity, or makes it at the first start.
pub(super) async fn load_node(
    (store, keystore): (&dyn Store, &Keystore),
    identities: &Identities,
    wanted: &Wanted<'_>,
    now: UnixTime,
) -> Result<Did, StartError> {
    let (record, parts) = match agents::node(store).await? {
        Some(record) => {
            stays(&record.did, wanted)?;
            let keys = load_keys(store, keystore, &record.did).await?;
            let mut document = parse_document(&record.document, &record.did)?;
            if record.did.method() == "web" {
                // One that was made by an earlier version has none.
                relay::add_socket_endpoint(&mut document, wanted.public_url);
            }
            let log = agents::log(store, &record.did).await?;
            (record, (document, keys, log))
        }
        None => {
            let parts = new_node(wanted, now)?;
            let (document, keys, log) = &parts;
            let record = Published::new(document.id.clone(), document.to_json());
            let mut batch = Batch::new();
            agents::put_node(&mut batch, &record, &keystore.seal(&record.did, keys));
            if let Some(log) = log {
                agents::put_log(&mut batch, &record.did, log);
            }
            store.commit(batch).await.map_err(|error| match error {
                CommitError::Fault(fault) => StartError::Store(fault),
                CommitError::Conflict(_) => StartError::BadIdentity,
            })?;
            (record, parts)
        }
    };
    let node = node_identity(&record, parts).ok_or(StartError::BadIdentity)?;
    identities.insert(node);
    Ok(record.did)
}

/// Checks that the settings still name the DID that the node has.
fn stays(stored: &Did, wanted: &Wanted<'_>) -> Result<(), StartError> {
    let did = match wanted.did {
        None if wanted.public_url.is_empty() => return Ok(()),
        None if stored.method() == "webvh" => NodeDid::Webvh,
        did => did.unwrap_or_default(),
    };
    let given = given(did, wanted.public_url)?;
    if stored.method() == given.method() && place(stored) == place(&given) {
        return Ok(());
    }
    Err(StartError::Identity { stored: stored.clone(), given })
}

/// Returns the DID that the settings give the node: a draft, if it is to be a did:webvh.
fn given(did: NodeDid, public_url: &str) -> Result<Did, StartError> {
    let given = match did {
        _ if public_url.is_empty() => Err(DidError::Method),
        NodeDid::Web => web_did(public_url, &[]),
        NodeDid::Webvh => {
            authority(public_url).and_then(|(host, port)| webvh::draft_did(host, port, &[]))
        }
    };
    given.map_err(|_| StartError::NodeDid(did))
}

/// Makes the node's own identity.
fn new_node(wanted: &Wanted<'_>, now: UnixTime) -> Result<Parts, StartError> {
    let mut keys = Keys::generate();
    let document = |did, keys: &Keys| {
        let mut document = document_for(did, keys, wanted.public_url, None);
        relay::add_socket_endpoint(&mut document, wanted.public_url);
        document
    };
    let (document, log) = match wanted.did {
        None if wanted.public_url.is_empty() => {
            let document = peer_document(&keys, wanted.endpoint, None);
            (document.map_err(|_| StartError::BadIdentity)?, None)
        }
        None | Some(NodeDid::Web) => {
            (document(given(NodeDid::Web, wanted.public_url)?, &keys), None)
        }
        Some(NodeDid::Webvh) => {
            let begun = begin_log((wanted.public_url, &[]), &mut keys, document, now);
            let (document, line) = begun.map_err(|error| match error {
                BeginError::NoName => StartError::NodeDid(NodeDid::Webvh),
                BeginError::Unwritten => StartError::BadIdentity,
            })?;
            (document, Some(line))
        }
    };
    Ok((document, keys, log))
}

/// Returns what a did:web or did:webvh says of where it is; nothing for others.
pub(crate) fn place(did: &Did) -> Option<&str> {
    match did.method() {
        "web" => Some(did.method_specific_id()),
        "webvh" => did.method_specific_id().split_once(':').map(|(_scid, place)| place),
        _ => None,
    }
}

/// Reads the agents.
pub(super) async fn load_agents(
    store: &dyn Store,
    keystore: &Keystore,
    identities: &Identities,
) -> Result<(), StartError> {
    for record in agents::all(store, AGENTS_MAX).await? {
        let Published { did, document, .. } = &record.published;
        let keys = load_keys(store, keystore, did).await?;
        let document = parse_document(document, did)?;
        let log = agents::log(store, did).await?;
        let identity = agent_identity(record, (document, keys, log));
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

/// Why a log is not begun.
enum BeginError {
    /// The node has no host name by which it could be found.
    NoName,
    /// It could not be written.
    Unwritten,
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::NoName => {
                let hint = "A did:webvh needs a host name, not an address: start the node with \
                    another --public-url, or add the agent with --did web";
                Self::of(ApiCode::NoPublicUrl, hint)
            }
            BeginError::Unwritten => {
                Self::new(ApiCode::Fault, "The identity cannot be made", "See the node's log")
            }
        }
    }
}

/// Makes a did:webvh that commits to the key of its next version, and returns its document and the
/// first line of its log.
fn begin_log(
    (public_url, path): (&str, &[&str]),
    keys: &mut Keys,
    document: impl Fn(Did, &Keys) -> DidDocument,
    now: UnixTime,
) -> Result<(DidDocument, String), BeginError> {
    let (host, port) = authority(public_url).map_err(|_| BeginError::NoName)?;
    let draft = webvh::draft_did(host, port, path).map_err(|_| BeginError::NoName)?;
    let (first, next) =
        (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
    let settings =
        Settings { next_keys: &[next.public()], ttl_secs: Some(LOG_TTL_S), ..Settings::default() };
    let written = webvh::create(&document(draft, keys), &first, &settings, now);
    let (line, history) = written.map_err(|error| {
        tracing::error!(%error, "a DID log could not be begun");
        BeginError::Unwritten
    })?;
    keys.next_update = Some(next);
    Ok((document(history.did().clone(), keys), line))
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
