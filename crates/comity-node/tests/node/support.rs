//! A node on free ports, clients of its two listeners, and a DIDComm peer that knows nothing of
//! Comity.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use comity_core::api::{
    AgentInfo, CheckResult, Delivery, EventInfo, Events, Problem, SendAnswer, SignedReceipt,
    SignedReceipts, Status, Trace,
};
use comity_core::trust::PolicySettings;
use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidDocument, DidUrl, Endpoint, Message, MessageId,
    OpenPolicy, Protection, Service, SigningKey, UnixTime, VerificationMethod, did, from_prior,
    open, resolve_self_contained, seal,
};
use comity_node::{Config, Node};
use comity_store::{MemoryStore, Store, StoreFault};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::rng;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A running node and a client.
pub(crate) struct Stand {
    pub(crate) node: Node,
    admin: String,
    client: Client<HttpConnector, Full<Bytes>>,
    stopped: Stopped,
}

/// What a node leaves behind.
pub(crate) struct Stopped {
    pub(crate) config: Config,
    store: Arc<dyn Store>,
    _data: tempfile::TempDir,
}

/// However a test ends, the log of each node has to hold.
impl Drop for Stopped {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let store = Arc::clone(&self.store);
        let (tell, told) = std::sync::mpsc::channel();
        // A thread of its own: this one may be a runtime's.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let checked =
                runtime.block_on(comity_store::records::log::check::check(store.as_ref()));
            drop(tell.send(checked));
        });
        // A store that fails as planned may not be readable; what is read has to hold.
        let checked = told.recv().unwrap();
        assert!(!matches!(checked, Err(StoreFault::Corrupt(_))), "{checked:?}");
    }
}

impl Stopped {
    pub(crate) async fn start(self) -> Stand {
        let node = Node::start_on(self.config.clone(), Arc::clone(&self.store)).await.unwrap();
        let admin = std::fs::read_to_string(self.config.data.join("admin.token")).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Stand { node, admin, client, stopped: self }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
        Self::with(store, |_| {}).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, set: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        // A stranger's price is the subject of `work.rs` alone.
        let mut config = Config {
            listen: any,
            local: any,
            dev: true,
            policy: PolicySettings { work_bits: Some(0), ..PolicySettings::default() },
            ..Config::in_directory(data.path())
        };
        set(&mut config);
        Stopped { config, store, _data: data }.start().await
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.stopped.store()
    }

    /// Stops the node; it can be started again on what it leaves behind.
    ///
    /// Its public listener comes back where it was: the address is part of its DID.
    pub(crate) async fn stop(mut self) -> Stopped {
        if let Some(("http", address)) = self.node.ready().url.split_once("://") {
            let port = address.rsplit(':').next().unwrap().parse().unwrap();
            self.stopped.config.listen.set_port(port);
        }
        self.node.stop().await;
        self.stopped
    }

    /// Stops the node and starts it again.
    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Looks again and again until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let looking = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), looking).await;
        assert!(found.is_ok(), "it should have come about that {what}");
    }

    pub(crate) async fn call_admin(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer) = self.call(Method::POST, path, &self.admin, body).await;
        (status.as_u16(), answer)
    }

    /// Gets something from the public listener: status, media type and body.
    pub(crate) async fn get_public(&self, path: &str) -> (u16, String, Vec<u8>) {
        let uri = format!("{}{path}", self.node.ready().url);
        let answer = self.client.get(uri.parse().unwrap()).await.unwrap();
        let media_type = answer.headers().get(header::CONTENT_TYPE).cloned();
        let media_type = media_type.map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, media_type.unwrap_or_default(), body.to_vec())
    }

    /// Gets something from the public listener with a header `Authorization`.
    pub(crate) async fn get_public_with(&self, path: &str, token: &str) -> (u16, Vec<u8>) {
        let uri = format!("{}{path}", self.node.ready().url);
        let request = Request::get(uri).header(header::AUTHORIZATION, token);
        let answer = self.client.request(request.body(Full::default()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// Posts text to the public listener: status, media type and body.
    pub(crate) async fn post_public(&self, path: &str, body: String) -> (u16, String, String) {
        let uri = format!("{}{path}", self.node.ready().url);
        let request = Request::post(uri).body(Full::from(body)).unwrap();
        let answer = self.client.request(request).await.unwrap();
        let media_type = answer.headers().get(header::CONTENT_TYPE).cloned();
        let media_type = media_type.map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, media_type.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// Gets something from the admin API, whatever it answers.
    pub(crate) async fn get_admin(&self, path: &str) -> (u16, Value) {
        let (status, answer) = self.call(Method::GET, path, &self.admin, &Value::Null).await;
        (status.as_u16(), answer)
    }

    /// Returns the data directory.
    pub(crate) fn data(&self) -> &std::path::Path {
        &self.stopped.config.data
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.admin
    }

    pub(crate) async fn add_agent(&self, name: &str) -> AgentInfo {
        self.admin(Method::POST, "/admin/agents", json!({ "name": name })).await
    }

    pub(crate) async fn admin<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> T {
        let (status, answer) = self.call(method, path, &self.admin, &body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        serde_json::from_value(answer).unwrap()
    }

    /// Calls the local listener.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let body = if method == Method::GET { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.node.ready().local))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn send(&self, agent: &AgentInfo, message: Value) -> SendAnswer {
        let (status, answer) =
            self.call(Method::POST, "/v1/messages", token(agent), &message).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    /// Waits for messages and takes them, without settling them.
    pub(crate) async fn receive(&self, agent: &AgentInfo, count: usize) -> Vec<Delivery> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let path = "/v1/messages?wait_s=20";
            let (status, answer) = self.call(Method::GET, path, token(agent), &Value::Null).await;
            assert_eq!(status, 200, "{answer}");
            let more: Vec<Delivery> = serde_json::from_value(answer["messages"].clone()).unwrap();
            assert!(!more.is_empty(), "a message should have come");
            messages.extend(more);
        }
        messages
    }

    /// Whether nothing waits for an agent.
    pub(crate) async fn receive_none(&self, agent: &AgentInfo) -> bool {
        let path = "/v1/messages?wait_s=0";
        let (status, answer) = self.call(Method::GET, path, token(agent), &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        answer["messages"].as_array().unwrap().is_empty()
    }

    pub(crate) async fn settle(&self, agent: &AgentInfo, disposition: Value) -> u64 {
        let (status, answer) =
            self.call(Method::POST, "/v1/settle", token(agent), &disposition).await;
        assert_eq!(status, 200, "{answer}");
        answer["settled"].as_u64().unwrap()
    }

    /// Waits until a message has reached a state or its end, and returns its states.
    pub(crate) async fn states(&self, agent: &AgentInfo, id: &str, wait: &str) -> Vec<String> {
        let path = format!("/v1/messages/{id}/trace?wait={wait}&timeout_s=20");
        let (status, answer) = self.call(Method::GET, &path, token(agent), &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        let trace: Trace = serde_json::from_value(answer).unwrap();
        trace.states.into_iter().map(|rung| rung.state).collect()
    }

    /// Gets what peers signed about a message.
    pub(crate) async fn receipts(&self, agent: &AgentInfo, id: &str) -> Vec<SignedReceipt> {
        let path = format!("/v1/messages/{id}/receipts");
        let (_, answer) = self.call(Method::GET, &path, token(agent), &Value::Null).await;
        serde_json::from_value::<SignedReceipts>(answer).unwrap().receipts
    }

    pub(crate) async fn status(&self) -> Status {
        self.admin(Method::GET, "/admin/status", Value::Null).await
    }

    /// Lists what happened after a place, waiting for the first if there is nothing.
    pub(crate) async fn events(&self, after: u64) -> Events {
        let path = format!("/admin/events?after={after}&wait_s=20");
        self.admin(Method::GET, &path, Value::Null).await
    }

    /// Lists so many events from the beginning, waiting until they have happened.
    pub(crate) async fn first_events(&self, count: usize) -> Vec<EventInfo> {
        let mut events: Vec<EventInfo> = Vec::new();
        while events.len() < count {
            let after = events.last().map_or(0, |last| last.seq);
            events.extend(self.events(after).await.events);
        }
        events
    }

    /// Finds one of the checks of `comity doctor`.
    pub(crate) async fn check(&self, name: &str) -> CheckResult {
        let checks: Vec<CheckResult> = self.admin(Method::GET, "/admin/checks", Value::Null).await;
        checks.into_iter().find(|check| check.name == name).expect("it is checked")
    }

    pub(crate) async fn allow(&self, agent: &AgentInfo, who: &str) {
        let path = format!("/admin/agents/{}/allow", agent.name);
        let _relation: Value = self.admin(Method::POST, &path, json!({ "who": who })).await;
    }

    /// Posts an envelope to the public listener; returns the status and the code of a problem.
    pub(crate) async fn post(&self, envelope: &[u8]) -> (StatusCode, Option<String>) {
        let (status, body) = self.exchange(envelope).await;
        (status, serde_json::from_slice::<Problem>(&body).ok().map(|problem| problem.code))
    }

    /// Posts an envelope to the public listener; returns the status and the body.
    pub(crate) async fn exchange(&self, envelope: &[u8]) -> (StatusCode, Bytes) {
        self.exchange_for(envelope, None).await
    }

    /// Posts an envelope with what there is to show of work; returns the status and the body.
    pub(crate) async fn exchange_for(
        &self,
        envelope: &[u8],
        work: Option<&str>,
    ) -> (StatusCode, Bytes) {
        let request = Request::post(format!("{}/didcomm", self.node.ready().url))
            .header(header::CONTENT_TYPE, "application/didcomm-encrypted+json");
        let request = match work {
            Some(work) => request.header("Comity-Work", work),
            None => request,
        };
        let request = request.body(Full::new(Bytes::copy_from_slice(envelope))).unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Gets the document of a DID as the node sees it.
    pub(crate) async fn document(&self, did: &Did) -> DidDocument {
        let path = format!("/admin/resolve?who={}", did.as_str().replace('%', "%25"));
        let resolved: Value = self.admin(Method::GET, &path, Value::Null).await;
        DidDocument::parse(resolved["document"].to_string().as_bytes(), did).unwrap()
    }
}

pub(crate) fn token(agent: &AgentInfo) -> &str {
    agent.token.as_deref().unwrap()
}

/// A peer with a did:peer, an endpoint, and no idea of Comity.
pub(crate) struct Foreigner {
    pub(crate) did: Did,
    document: DidDocument,
    signing: SigningKey,
    agreement: AgreementKey,
    posts: mpsc::Receiver<Vec<u8>>,
    /// The document at its own address, if it has a did:web.
    served: Served,
}

type Served = Arc<Mutex<Option<String>>>;

impl Foreigner {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/in", listener.local_addr().unwrap());
        Self::on(listener, &[Endpoint::new(uri)])
    }

    /// Makes one that is reached as these say, and is told of everything that the listener gets.
    pub(crate) fn on(listener: TcpListener, endpoints: &[Endpoint]) -> Self {
        let (signing, agreement) =
            (SigningKey::generate(&mut rng()), AgreementKey::generate(&mut rng()));
        let keys = [signing.public(), agreement.public()];
        let did = did::peer::create_4(&keys, endpoints).unwrap().long;
        let document = resolve_self_contained(&did).unwrap().unwrap();
        let (sink, posts) = mpsc::channel(64);
        let served = Served::default();
        let shown = Arc::clone(&served);
        let app = axum::Router::new().fallback(move |method: Method, body: Bytes| {
            let (sink, shown) = (sink.clone(), shown.lock().unwrap().clone());
            async move {
                let json = [(header::CONTENT_TYPE, "application/json")];
                if let Some(document) = shown.filter(|_| method == Method::GET) {
                    return (StatusCode::OK, json, document);
                }
                sink.send(body.to_vec()).await.unwrap();
                (StatusCode::ACCEPTED, json, String::new())
            }
        });
        let limits = comity_net::ListenLimits::default();
        tokio::spawn(comity_net::serve(
            listener,
            app,
            limits,
            Arc::default(),
            std::future::pending(),
        ));
        Self { did, document, signing, agreement, posts, served }
    }

    /// Makes one with a did:web, whose document is at its own address.
    pub(crate) async fn web() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut peer = Self::on(listener, &[]);
        peer.did = did::web::did_for("127.0.0.1", Some(port), &["peer"]).unwrap();
        peer.change_keys(1);
        peer
    }

    /// Puts a document with other keys at the address of a did:web.
    pub(crate) fn change_keys(&mut self, number: u8) {
        self.signing = SigningKey::generate(&mut rng());
        self.agreement = AgreementKey::generate(&mut rng());
        let mut document = DidDocument::new(self.did.clone());
        let keys = [("sign", self.signing.public()), ("agree", self.agreement.public())];
        let [sign, agree] = keys.map(|(name, key)| {
            let kid = self.did.url(&format!("{name}-{number}"));
            document.add_key(VerificationMethod::new(kid, key))
        });
        document.authentication.push(sign);
        document.key_agreement.push(agree);
        let authority = self.authority();
        let endpoint = Endpoint::new(format!("http://{authority}/in"));
        document.service.push(Service::didcomm(&self.did.url("didcomm"), &endpoint));
        *self.served.lock().unwrap() = Some(document.to_json().to_string());
        self.document = document;
    }

    /// Returns host and port of a did:web.
    pub(crate) fn authority(&self) -> String {
        let location = did::web::document_url(&self.did).unwrap();
        format!("{}:{}", location.host, location.port.unwrap())
    }

    /// Signs that it has another DID now.
    pub(crate) fn succeeded_by(&self, successor: &Did) -> String {
        let kid = self.document.signing_keys().next().unwrap().0;
        from_prior(kid, &self.signing, Some(successor), UnixTime(1_800_000_000))
    }

    /// Returns the key with which it signs.
    pub(crate) fn signing(&self) -> (&DidUrl, &SigningKey) {
        (self.document.signing_keys().next().unwrap().0, &self.signing)
    }

    pub(crate) fn message(&self, id: &str, type_: &str, to: &AgentInfo) -> Message {
        let mut message = Message::new(MessageId::parse(id).unwrap(), type_.parse().unwrap());
        message.from = Some(self.did.clone());
        message.to = vec![to.did.parse().unwrap()];
        message
    }

    /// Signs and seals a message for an agent of a node.
    pub(crate) async fn seal(&self, stand: &Stand, message: &Message) -> Vec<u8> {
        let kid = self.document.signing_keys().next().unwrap().0.clone();
        let enc = ContentEncryption::A256Gcm;
        let protection = Protection::Accountable { kid: &kid, key: &self.signing, enc };
        self.seal_with(stand, message, protection).await
    }

    /// Seals a message so that nobody can be shown who wrote it.
    pub(crate) async fn seal_deniable(&self, stand: &Stand, message: &Message) -> Vec<u8> {
        let kid = self.document.agreement_keys().next().unwrap().0.clone();
        let protection = Protection::Deniable { kid: &kid, key: &self.agreement };
        self.seal_with(stand, message, protection).await
    }

    async fn seal_with(
        &self,
        stand: &Stand,
        message: &Message,
        protection: Protection<'_>,
    ) -> Vec<u8> {
        let to = message.to.first().unwrap();
        let path = format!("/admin/resolve?who={}", to.as_str().replace('%', "%25"));
        let resolved: Value = stand.admin(Method::GET, &path, Value::Null).await;
        let document = resolved["document"].to_string();
        let document = DidDocument::parse(document.as_bytes(), to).unwrap();
        let recipients: Vec<_> =
            document.agreement_keys().map(|(kid, key)| (kid.clone(), *key)).collect();
        let sealed = seal(message, protection, &recipients, &mut rng()).unwrap();
        sealed.envelope.into_bytes()
    }

    /// Waits for a message, and opens it with every check.
    pub(crate) async fn receive(&mut self, stand: &Stand) -> Message {
        let envelope = self.posts.recv().await.unwrap();
        let kid = self.document.agreement_keys().next().unwrap().0.clone();
        let keys = |asked: &_| (*asked == kid).then(|| self.agreement.clone());
        // The only senders here are the node and its agents; their documents are fetched
        // beforehand.
        let agents: Vec<AgentInfo> = stand.admin(Method::GET, "/admin/agents", Value::Null).await;
        let mut documents = Vec::new();
        for did in agents.into_iter().map(|agent| agent.did).chain([stand.node.ready().did.clone()])
        {
            let path = format!("/admin/resolve?who={}", did.replace('%', "%25"));
            let resolved: Value = stand.admin(Method::GET, &path, Value::Null).await;
            let text = resolved["document"].to_string();
            documents.push(Arc::new(
                DidDocument::parse(text.as_bytes(), &did.parse().unwrap()).unwrap(),
            ));
        }
        let known = |did: &Did| documents.iter().find(|document| document.id == *did).cloned();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = UnixTime(now.as_secs());
        open(&envelope, &OpenPolicy::default(), now, &keys, &known).unwrap().message
    }

    /// Counts what has come and was not received.
    pub(crate) fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.posts.try_recv().ok()).count()
    }

    /// Whether nothing has come that was not received.
    pub(crate) fn has_nothing(&mut self) -> bool {
        self.posts.try_recv().is_err()
    }
}
