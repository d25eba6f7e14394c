//! Every way in, for every relation, level and template, over real sockets: one expected table, and
//! nothing in a mailbox or on an agent's socket that the table does not put there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::routing::{get, post};
use comity_core::api::{AgentInfo, GrantInfo, Problem, Relation, ServerFrame};
use comity_core::protocol::attached_tokens::TokenKind;
use comity_core::receipt::State;
use comity_core::trust::{
    Challenge, Direction, Entry, EntryKind, Level, PolicySettings, Solving, Template, Whom, subject,
};
use comity_didcomm::routing::{Forward, Next};
use comity_didcomm::{
    AgreementKey, ContentEncryption, Did, DidDocument, Endpoint, Message, MessageId, Protection,
    SigningKey, did, from_prior, resolve_self_contained, seal,
};
use comity_node::config::AgentSettings;
use comity_store::records::{MessageKey, mailbox, relations};
use comity_store::{Batch, MemoryStore};
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode};
use rand::rng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::relay_client::{keys, now, open_relay, relay_did, sealed};
use crate::support::{Stand, token};

/// What is expected, by relation and level. A cell holds the end for all ways in, or first the common
/// one and then the ways that end otherwise.
const EXPECTED: &str = "
                               | guarded                    | closed                    | open                       | priced
stranger: introduced           | request                    | closed                    | mailbox                    | work, neighbour request, relay request
stranger: message              | request                    | closed                    | mailbox                    | work, neighbour request, relay request
stranger: task                 | request                    | closed                    | request                    | work, neighbour request, relay request
pending: introduced            | pending, successor request | closed                    | mailbox                    | pending, successor work
pending: message               | pending, successor request | closed                    | mailbox                    | pending, successor work
pending: task                  | pending, successor request | closed                    | pending, successor request | pending, successor work
introduced allowed: introduced | mailbox                    | mailbox                   | mailbox                    | mailbox
introduced allowed: message    | level                      | level                     | level                      | level
introduced allowed: task       | level                      | level                     | level                      | level
message allowed: introduced    | mailbox                    | mailbox                   | mailbox                    | mailbox
message allowed: message       | mailbox                    | mailbox                   | mailbox                    | mailbox
message allowed: task          | level                      | level                     | level                      | level
task allowed: introduced       | mailbox                    | mailbox                   | mailbox                    | mailbox
task allowed: message          | mailbox                    | mailbox                   | mailbox                    | mailbox
task allowed: task             | mailbox                    | mailbox                   | mailbox                    | mailbox
denied: introduced             | denied                     | denied                    | denied                     | denied
denied: message                | denied                     | denied                    | denied                     | denied
denied: task                   | denied                     | denied                    | denied                     | denied
revoked: introduced            | revoked                    | revoked                   | revoked                    | revoked
revoked: message               | revoked                    | revoked                   | revoked                    | revoked
revoked: task                  | revoked                    | revoked                   | revoked                    | revoked
expired: introduced            | revoked                    | revoked                   | revoked                    | revoked
expired: message               | revoked                    | revoked                   | revoked                    | revoked
expired: task                  | revoked                    | revoked                   | revoked                    | revoked
host allowed: introduced       | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
host allowed: message          | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
host allowed: task             | request                    | closed                    | request                    | work, neighbour request, relay request
host denied: introduced        | denied                     | denied                    | denied                     | denied
host denied: message           | denied                     | denied                    | denied                     | denied
host denied: task              | denied                     | denied                    | denied                     | denied
own thread: introduced         | mailbox                    | mailbox                   | mailbox                    | mailbox
own thread: message            | mailbox                    | mailbox                   | mailbox                    | mailbox
own thread: task               | request                    | closed                    | request                    | work, neighbour request, relay request
introduced granted: introduced | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
introduced granted: message    | level, successor request   | level, successor closed   | mailbox                    | level, successor work
introduced granted: task       | level, successor request   | level, successor closed   | level, successor request   | level, successor work
message granted: introduced    | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
message granted: message       | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
message granted: task          | level, successor request   | level, successor closed   | level, successor request   | level, successor work
task granted: introduced       | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
task granted: message          | mailbox, successor request | mailbox, successor closed | mailbox                    | mailbox, successor work
task granted: task             | mailbox, successor request | mailbox, successor closed | mailbox, successor request | mailbox, successor work
";

/// How a message comes to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// An agent of the same home sends it by the agents' API.
    Neighbour,
    /// It is posted to the public listener.
    Post,
    /// It is posted to a relay, and the home picks it up there.
    Relay,
    /// It comes on a WebSocket of the public listener.
    Socket,
    /// It is posted by somebody who was another before: the relation is to the prior DID.
    Successor,
}

const WAYS: [Way; 5] = [Way::Post, Way::Socket, Way::Relay, Way::Neighbour, Way::Successor];

/// What was between the sender and the agent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tie {
    Allowed(Level),
    Denied,
    Expired,
    /// A grant of the agent's, which the sender shows.
    Granted(Level),
    HostAllowed,
    HostDenied,
    OwnThread,
    Pending,
    Revoked,
    Stranger,
}

const TIES: [Tie; 14] = [
    Tie::Stranger,
    Tie::Pending,
    Tie::Allowed(Level::Introduced),
    Tie::Allowed(Level::Message),
    Tie::Allowed(Level::Task),
    Tie::Denied,
    Tie::Revoked,
    Tie::Expired,
    Tie::HostAllowed,
    Tie::HostDenied,
    Tie::OwnThread,
    Tie::Granted(Level::Introduced),
    Tie::Granted(Level::Message),
    Tie::Granted(Level::Task),
];

/// Protocols by the level that they need: the operator's setting, the default, and what is built in.
const TYPES: [(Level, &str); 3] = [
    (Level::Introduced, "https://example.org/greeting/1.0/hello"),
    (Level::Message, "https://example.org/question/1.0/ask"),
    (Level::Task, "https://comity.dev/protocols/task/1.0/request"),
];

/// The rules of the agents. `priced` is `guarded` at a price; the others cost nothing.
const RULES: [&str; 4] = ["guarded", "closed", "open", "priced"];

const BITS: u8 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_ends_as_the_one_table_says() {
    let relay = open_relay().await;
    let via = relay_did(&relay).to_string();
    let reached = home(None).await;
    let behind = home(Some(via)).await;
    let web = Web::start().await;
    let mut lanes = Vec::new();
    for way in WAYS {
        let home = if way == Way::Relay { &behind } else { &reached };
        for rule in RULES {
            lanes.push(Lane::new(way, rule, home, &relay, &web).await);
        }
    }
    // The lanes share nothing but the homes, so they go side by side.
    let walked = join_all(lanes.iter_mut().map(Lane::walk)).await;
    let actual = table(&walked.concat());
    assert_eq!(actual, EXPECTED.strip_prefix('\n').unwrap(), "\n{actual}");
    for lane in &lanes {
        lane.socket_shows_what_is_held().await;
    }
}

/// Starts a home whose agents have the rules that their names begin with.
async fn home(via: Option<String>) -> Stand {
    let settings = |rule: &str| {
        let template = match rule {
            "closed" => Some(Template::Closed),
            "open" => Some(Template::Open),
            _ => None,
        };
        let work_bits = (rule == "priced").then_some(BITS);
        AgentSettings { policy: PolicySettings { template, work_bits, ..Default::default() } }
    };
    let of_each = WAYS
        .iter()
        .flat_map(|way| RULES.iter().map(move |rule| (agent_name(rule, *way), settings(rule))));
    let of_each: BTreeMap<_, _> = of_each.collect();
    Stand::with(Arc::new(MemoryStore::new()), |config| {
        config.agents = of_each;
        config.via = via;
        let greeting = "https://example.org/greeting/1.0".parse().unwrap();
        config.policy.levels.insert(greeting, Level::Introduced);
    })
    .await
}

fn agent_name(rule: &str, way: Way) -> String {
    format!("{rule}-{way:?}").to_lowercase()
}

/// How a message ended: in the mailbox, as a request, or with the last word of a code.
type End = String;
/// Tie, level and rule, by their number.
type Place = (usize, usize, usize);
type Cells = BTreeMap<Place, BTreeMap<Way, End>>;

/// Writes the table as it is expected.
fn table(ends: &[(Way, Place, End)]) -> String {
    let mut cells = Cells::new();
    for (way, place, end) in ends {
        cells.entry(*place).or_default().insert(*way, end.clone());
    }
    let line = |first: &str, cells: [String; 4]| {
        let mut line = format!("{first:<31}");
        for (cell, width) in cells.iter().zip([27, 26, 27, 0]) {
            let _ = write!(line, "| {cell:<width$}");
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line("", RULES.map(ToOwned::to_owned));
    for (tie, name) in TIES.iter().map(Tie::name).enumerate() {
        for (level, (needed, _)) in TYPES.iter().enumerate() {
            let ends = [0, 1, 2, 3].map(|rule| cell(&cells[&(tie, level, rule)]));
            text += &line(&format!("{name}: {needed}"), ends);
        }
    }
    text
}

/// Writes the end that most ways have, and then the others.
fn cell(ends: &BTreeMap<Way, End>) -> String {
    let count = |end: &End| ends.values().filter(|other| *other == end).count();
    let common = ends.values().max_by_key(|end| count(end)).unwrap();
    let others = ends.iter().filter(|(_, end)| *end != common);
    let others: Vec<_> = others.map(|(way, end)| format!("{way:?} {end}").to_lowercase()).collect();
    [&[common.clone()][..], &others[..]].concat().join(", ")
}

impl Tie {
    fn name(&self) -> String {
        match self {
            Self::Allowed(level) => format!("{level} allowed"),
            Self::Granted(level) => format!("{level} granted"),
            Self::HostAllowed => "host allowed".to_owned(),
            Self::HostDenied => "host denied".to_owned(),
            Self::OwnThread => "own thread".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn is_about_host(self) -> bool {
        matches!(self, Self::HostAllowed | Self::HostDenied)
    }
}

/// Somebody with keys of its own.
#[derive(Clone)]
struct Peer {
    did: Did,
    document: DidDocument,
    signing: SigningKey,
}

/// A web server for documents of did:web, which takes whatever is posted to it.
struct Web {
    port: u16,
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Web {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let documents = Arc::<Mutex<BTreeMap<String, Value>>>::default();
        let find = |Shared(known): Shared<Arc<Mutex<BTreeMap<String, Value>>>>,
                    Path(name): Path<String>| async move {
            axum::Json(known.lock().unwrap().get(&name).cloned())
        };
        let app = axum::Router::new()
            .route("/{name}/did.json", get(find))
            .route("/in", post(|| async { StatusCode::ACCEPTED }))
            .with_state(Arc::clone(&documents));
        let limits = comity_net::ListenLimits::default();
        tokio::spawn(comity_net::serve(
            listener,
            app,
            limits,
            Arc::default(),
            std::future::pending(),
        ));
        Self { port, documents }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes somebody of nowhere, who can be written to.
    fn peer(&self) -> Peer {
        let endpoint = Endpoint::new(format!("http://{}/in", self.host()));
        let (signing, agreement) =
            (SigningKey::generate(&mut rng()), AgreementKey::generate(&mut rng()));
        let keys = [signing.public(), agreement.public()];
        let did = did::peer::create_4(&keys, &[endpoint]).unwrap().long;
        let document = resolve_self_contained(&did).unwrap().unwrap();
        Peer { did, document, signing }
    }

    /// Makes somebody at this host, with the keys of one who was of nowhere.
    fn agent_of_host(&self, name: &str) -> Peer {
        let peer = self.peer();
        let did = did::web::did_for("127.0.0.1", Some(self.port), &[name]).unwrap();
        let text = peer.document.to_json().to_string();
        let text = text.replace(peer.did.as_str(), did.as_str());
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("alsoKnownAs");
        let document = DidDocument::parse(value.to_string().as_bytes(), &did).unwrap();
        self.documents.lock().unwrap().insert(name.to_owned(), value);
        Peer { did, document, signing: peer.signing }
    }
}

impl Peer {
    fn kid(&self) -> &comity_didcomm::DidUrl {
        self.document.signing_keys().next().unwrap().0
    }

    fn seal(&self, message: &Message, to: &DidDocument) -> Vec<u8> {
        let enc = ContentEncryption::A256CbcHs512;
        let protection = Protection::Accountable { kid: self.kid(), key: &self.signing, enc };
        seal(message, protection, &keys(to), &mut rng()).unwrap().envelope.into_bytes()
    }
}

/// Who sends in one cell.
struct Party {
    /// Whom the relation is to.
    known: Did,
    /// Who sends.
    sender: Sender,
}

enum Sender {
    Agent(AgentInfo),
    Peer(Box<Peer>, Option<Box<Peer>>),
}

impl Sender {
    fn did(&self) -> Did {
        match self {
            Self::Agent(agent) => agent.did.parse().unwrap(),
            Self::Peer(peer, _) => peer.did.clone(),
        }
    }
}

/// One way to one agent: its cells follow one another, so that each can be told from the others.
struct Lane<'a> {
    way: Way,
    rule: usize,
    home: &'a Stand,
    relay: &'a Stand,
    web: &'a Web,
    agent: AgentInfo,
    document: DidDocument,
    /// What the mailbox has to hold, in order.
    held: Vec<String>,
    /// Who has to wait for the operator.
    waiting: BTreeSet<String>,
    /// The grant that is shown with the next message.
    shown: Vec<String>,
}

impl<'a> Lane<'a> {
    async fn new(way: Way, rule: &str, home: &'a Stand, relay: &'a Stand, web: &'a Web) -> Self {
        let agent = home.add_agent(&agent_name(rule, way)).await;
        let document = home.document(&agent.did.parse().unwrap()).await;
        let rule = RULES.iter().position(|known| *known == rule).unwrap();
        let (held, waiting) = (Vec::new(), BTreeSet::new());
        let shown = Vec::new();
        Self { way, rule, home, relay, web, agent, document, held, waiting, shown }
    }

    async fn walk(&mut self) -> Vec<(Way, Place, End)> {
        let mut ends = Vec::new();
        for (tie_number, tie) in TIES.into_iter().enumerate() {
            for (level, (_, type_)) in TYPES.into_iter().enumerate() {
                let id = format!("{tie_number}-{level}-{}", agent_name(RULES[self.rule], self.way));
                let end = self.cell(tie, type_, &id).await;
                ends.push((self.way, (tie_number, level, self.rule), end));
            }
        }
        ends
    }

    async fn cell(&mut self, tie: Tie, type_: &str, id: &str) -> End {
        let party = self.party(tie, id).await;
        let thid = self.tie(tie, &party, type_, id).await;
        let end = self.deliver(&party.sender, type_, id, thid.as_deref()).await;
        if tie.is_about_host() {
            let whom = Whom::Host(host(&party.known));
            let mut batch = Batch::new();
            relations::remove(&mut batch, &self.did(), Direction::In, &whom);
            self.home.store().commit(batch).await.unwrap();
        }
        end
    }

    fn did(&self) -> Did {
        self.agent.did.parse().unwrap()
    }

    async fn party(&self, tie: Tie, id: &str) -> Party {
        let peer = || match tie.is_about_host() {
            true => self.web.agent_of_host(id),
            false => self.web.peer(),
        };
        let sender = match self.way {
            Way::Neighbour => Sender::Agent(self.home.add_agent(&format!("n-{id}")).await),
            Way::Successor => Sender::Peer(Box::new(self.web.peer()), Some(Box::new(peer()))),
            Way::Post | Way::Relay | Way::Socket => Sender::Peer(Box::new(peer()), None),
        };
        let known = match &sender {
            Sender::Peer(_, Some(prior)) => prior.did.clone(),
            other => other.did(),
        };
        Party { known, sender }
    }

    /// Brings about what is between the two; returns the thread to write in.
    async fn tie(&mut self, tie: Tie, party: &Party, type_: &str, id: &str) -> Option<String> {
        let entry = |kind| Entry::new(Whom::Did(subject(&party.known)), kind, now());
        let of_host = |kind| Entry::new(Whom::Host(host(&party.known)), kind, now());
        let entry = match tie {
            Tie::Stranger => return None,
            Tie::Pending => {
                let first = format!("first-{id}");
                let prior = match &party.sender {
                    Sender::Peer(_, Some(prior)) => Some(Sender::Peer(prior.clone(), None)),
                    _ => None,
                };
                self.deliver(prior.as_ref().unwrap_or(&party.sender), type_, &first, None).await;
                return None;
            }
            Tie::OwnThread => {
                let (thid, to) = (format!("own-{id}"), party.known.as_str());
                let question = json!({ "id": thid, "to": to, "type": TYPES[1].1, "body": {} });
                self.home.send(&self.agent, question).await;
                return Some(thid);
            }
            Tie::Granted(level) => {
                self.grant(level, party).await;
                return None;
            }
            Tie::Allowed(level) => Entry { level, ..entry(EntryKind::Allow) },
            Tie::Denied => entry(EntryKind::Deny),
            Tie::Revoked => entry(EntryKind::Revoke),
            Tie::Expired => Entry { until: Some(now()), ..entry(EntryKind::Allow) },
            Tie::HostAllowed => of_host(EntryKind::Allow),
            Tie::HostDenied => of_host(EntryKind::Deny),
        };
        let mut batch = Batch::new();
        relations::put(&mut batch, &self.did(), &entry);
        self.home.store().commit(batch).await.unwrap();
        None
    }

    /// Gives a grant, which a home shows by itself, and a peer by hand.
    async fn grant(&mut self, level: Level, party: &Party) {
        let path = format!("/admin/agents/{}/grants", self.agent.name);
        let wish = json!({ "who": party.known, "level": level.as_str(), "unsent": true });
        let given: GrantInfo = self.home.admin(Method::POST, &path, wish).await;
        match &party.sender {
            Sender::Agent(agent) => {
                let path = format!("/admin/agents/{}/grants/add", agent.name);
                let chain = json!({ "chain": given.chain.join("\n") });
                let _held: GrantInfo = self.home.admin(Method::POST, &path, chain).await;
            }
            Sender::Peer(..) => self.shown = given.chain,
        }
    }

    /// Sends a message its way and says how it ended, after a look at all that the agent and its
    /// operator can see.
    async fn deliver(&mut self, from: &Sender, type_: &str, id: &str, thid: Option<&str>) -> End {
        let refused = match from {
            Sender::Agent(agent) => {
                let mut draft = json!({
                    "id": id, "to": self.agent.did, "type": type_, "body": {}
                });
                if let Some(thid) = thid {
                    draft["thid"] = thid.into();
                }
                self.home.send(agent, draft).await;
                None
            }
            Sender::Peer(peer, prior) => {
                let mut message =
                    Message::new(MessageId::parse(id).unwrap(), type_.parse().unwrap())
                        .with_from(peer.did.clone())
                        .with_to([self.did()]);
                message.thid = thid.map(ToOwned::to_owned);
                let tokens = std::mem::take(&mut self.shown);
                message.attachments =
                    tokens.iter().map(|token| TokenKind::Grant.attach(token)).collect();
                message.from_prior = prior
                    .as_ref()
                    .map(|prior| from_prior(prior.kid(), &prior.signing, Some(&peer.did), now()));
                let envelope = peer.seal(&message, &self.document);
                self.bring(&envelope, &from.did(), id).await
            }
        };
        let end = match refused {
            Some(code) => code,
            None => self.recorded(&from.did(), id).await,
        };
        let end = end.rsplit('.').next().unwrap().to_owned();
        match end.as_str() {
            "mailbox" => self.held.push(id.to_owned()),
            "request" => {
                self.waiting.insert(from.did().to_string());
            }
            _ => {}
        }
        self.look(&end, id).await;
        end
    }

    /// Brings an envelope its way; returns the code with which it was turned away, if it was.
    async fn bring(&self, envelope: &[u8], sender: &Did, id: &str) -> Option<String> {
        // On a socket nobody can pay, which the message before the second one may have to.
        let is_posted = self.way == Way::Socket && id.starts_with("first-");
        match self.way {
            Way::Neighbour => unreachable!("its home seals its messages"),
            _ if is_posted || matches!(self.way, Way::Post | Way::Successor) => {
                let (status, body) = self.home.exchange(envelope).await;
                self.turned_away(status, &body, (envelope, id)).await
            }
            Way::Relay => {
                let forward = Forward::new(Next::Did(self.did()), envelope.to_vec());
                let forward = sealed(self.relay, forward).await;
                assert_eq!(self.relay.post(&forward).await.0, 202);
                None
            }
            _ => {
                let url = self.home.node.ready().url.replacen("http", "ws", 1) + "/didcomm";
                let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
                let text = String::from_utf8(envelope.to_vec()).unwrap();
                socket.send(Frame::Text(text.into())).await.unwrap();
                let closed = async {
                    loop {
                        match socket.next().await.unwrap().unwrap() {
                            Frame::Close(Some(frame)) => return frame.reason.as_str().to_owned(),
                            Frame::Ping(_) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                };
                // Nothing is said on a socket about what was taken.
                tokio::select! {
                    code = closed => Some(code),
                    _ = self.recorded(sender, id) => None,
                }
            }
        }
    }

    /// Says why an answer is none of success; what costs something is paid for where the first message
    /// only prepares the second.
    async fn turned_away(
        &self,
        status: StatusCode,
        body: &[u8],
        (envelope, id): (&[u8], &str),
    ) -> Option<String> {
        if status == 202 {
            return None;
        }
        let problem: Problem = serde_json::from_slice(body).unwrap();
        if status != 402 || !id.starts_with("first-") {
            return Some(problem.code);
        }
        let answer: Value = serde_json::from_slice(body).unwrap();
        let challenge: Challenge = serde_json::from_value(answer["work"].clone()).unwrap();
        assert_eq!(challenge.bits, BITS);
        let mut solving = Solving::new(&challenge.challenge, challenge.bits);
        let work = std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap();
        assert_eq!(self.home.exchange_for(envelope, Some(&work)).await.0, 202);
        None
    }

    /// Waits until the home has a record of a message, and says what it says.
    async fn recorded(&self, sender: &Did, id: &str) -> End {
        let key = MessageKey::received(&self.did(), sender, id);
        let store = self.home.store();
        let known = async || mailbox::known(store.as_ref(), key).await.unwrap();
        self.home.until("there is a record", async || known().await.is_some()).await;
        let (known, _) = known().await.unwrap();
        match (known.rung.state, known.rung.pending) {
            (State::Refused, _) => known.rung.code.unwrap(),
            (State::Accepted, true) => "request".to_owned(),
            (State::Accepted, false) => "mailbox".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that the agent can fetch what it was let have, and the operator sees who waits, and
    /// neither sees anything else.
    async fn look(&self, end: &str, id: &str) {
        let path = "/v1/messages?peek=true&limit=64";
        let token = token(&self.agent);
        let (_, answer) = self.home.call(Method::GET, path, token, &Value::Null).await;
        let messages = answer["messages"].as_array().unwrap();
        let ids: Vec<_> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
        assert_eq!(ids, self.held, "{id}: {end}");
        let path = format!("/admin/agents/{}/requests", self.agent.name);
        let waiting: Vec<Relation> = self.home.admin(Method::GET, &path, Value::Null).await;
        let waiting: BTreeSet<_> = waiting.iter().map(|one| shown(&one.did)).collect();
        let expected: BTreeSet<_> = self.waiting.iter().map(|did| shown(did)).collect();
        assert_eq!(waiting, expected, "{id}: {end}");
    }

    /// Asserts that the agent's socket brings what it was let have, up to a message that is sent now.
    async fn socket_shows_what_is_held(&self) {
        let friend = self.web.peer();
        let mut batch = Batch::new();
        let entry = Entry::new(Whom::Did(subject(&friend.did)), EntryKind::Allow, now());
        relations::put(&mut batch, &self.did(), &entry);
        self.home.store().commit(batch).await.unwrap();
        let message = Message::new("last".parse().unwrap(), TYPES[1].1.parse().unwrap())
            .with_from(friend.did.clone())
            .with_to([self.did()]);
        let letter = friend.seal(&message, &self.document);
        if self.way == Way::Relay {
            let forward = Forward::new(Next::Did(self.did()), letter);
            assert_eq!(self.relay.post(&sealed(self.relay, forward).await).await.0, 202);
        } else {
            assert_eq!(self.home.post(&letter).await.0, 202);
        }
        let url = format!("{}/v1/socket", self.home.node.ready().local).replacen("http", "ws", 1);
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", token(&self.agent)).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let mut socket = tokio_tungstenite::connect_async(request).await.unwrap().0;
        let mut ids = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(30), async {
            while ids.last().is_none_or(|id| id != "last") {
                let Frame::Text(frame) = socket.next().await.unwrap().unwrap() else { continue };
                if let Ok(ServerFrame::Message(delivery)) = serde_json::from_str(&frame) {
                    ids.push(delivery.id);
                }
            }
        });
        reading.await.expect("the last message comes");
        assert_eq!(ids.pop().as_deref(), Some("last"));
        assert_eq!(ids, self.held, "{}", self.agent.name);
    }
}

/// A DID as the operator is shown it.
fn shown(did: &str) -> String {
    subject(&did.parse().unwrap()).to_string()
}

/// The host of a did:web, with its port.
fn host(did: &Did) -> String {
    let host = did.method_specific_id().split(':').next().unwrap();
    host.replace("%3A", ":")
}
