//! A DIDComm mediator that is not ours: what the specifications ask of one and no more, with its
//! queue in memory. It remembers what it was told, and can break its connections.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use comity_core::protocol::coordinate_mediation::{
    Action, Mediation, UpdateResult, Updated, Version,
};
use comity_core::protocol::pickup::{self, Pickup, Status, Waiting};
use comity_core::trust::subject;
use comity_didcomm::problem::{ProblemCode, ProblemReport};
use comity_didcomm::routing::Forward;
use comity_didcomm::{
    AgreementKey, Curve, Did, DidDocument, Endpoint, Message, MessageId, OpenPolicy, Protection,
    SigningKey, UnixTime, did, open, resolve_self_contained, seal,
};
use http::{StatusCode, header};
use rand::rng;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// A running mediator.
#[derive(Clone)]
pub(crate) struct Mediator {
    pub(crate) did: Did,
    document: Arc<DidDocument>,
    agreement: AgreementKey,
    books: Arc<Mutex<Books>>,
    /// What the host of a did:web gives, and how often it gave it.
    published: Arc<(String, AtomicU32)>,
    /// Changes when the sessions that are open are to be cut.
    cut: watch::Sender<u32>,
}

#[derive(Default)]
struct Books {
    granted: HashSet<Did>,
    recipients: HashSet<Did>,
    queue: Vec<(String, Vec<u8>)>,
    held: u64,
    sessions: u64,
    not_understood: u64,
    live: Option<mpsc::UnboundedSender<Vec<u8>>>,
    registrant: Option<Did>,
}

impl Mediator {
    pub(crate) async fn new() -> Self {
        Self::listen(|_, long| long).await
    }

    /// Starts one whose DID is a did:web. The first document that it gives out names a WebSocket
    /// address where nobody listens.
    pub(crate) async fn moved() -> Self {
        let web = |address: SocketAddr, _| {
            format!("did:web:localhost%3A{}", address.port()).parse().unwrap()
        };
        Self::listen(web).await
    }

    async fn listen(name: impl FnOnce(SocketAddr, Did) -> Did) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints =
            ["ws", "http"].map(|scheme| Endpoint::new(format!("{scheme}://{address}/didcomm")));
        let signing = SigningKey::generate(&mut rng());
        let agreement = AgreementKey::generate(&mut rng());
        let keys = [signing.public(), agreement.public()];
        let long = did::peer::create_4(&keys, &endpoints).unwrap().long;
        let document = resolve_self_contained(&long).unwrap().unwrap();
        let did = name(address, long.clone());
        let published = document.to_json().to_string();
        let published = published.replace(long.as_str(), did.as_str());
        let document = Arc::new(DidDocument::parse(published.as_bytes(), &did).unwrap());
        let published = Arc::new((published, AtomicU32::new(0)));
        let (books, cut) = (Arc::default(), watch::Sender::new(0));
        let mediator = Self { did, document, agreement, books, published, cut };
        let app = axum::Router::new()
            .route("/didcomm", post(receive).get(upgrade))
            .route("/.well-known/did.json", get(publish))
            .with_state(mediator.clone());
        let limits = comity_net::ListenLimits::default();
        let served =
            comity_net::serve(listener, app, limits, Arc::default(), std::future::pending());
        tokio::spawn(served);
        mediator
    }

    pub(crate) fn waiting(&self) -> usize {
        self.books.lock().unwrap().queue.len()
    }

    /// Counts the messages that were held, all in all.
    pub(crate) fn held(&self) -> u64 {
        self.books.lock().unwrap().held
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.books.lock().unwrap().sessions
    }

    /// Counts the messages of protocols that it does not know.
    pub(crate) fn not_understood(&self) -> u64 {
        self.books.lock().unwrap().not_understood
    }

    /// Cuts the sessions that are open, without a word.
    pub(crate) fn cut_off(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }

    /// Opens what came, and answers it: a message to the sender, or the status of a forward.
    fn serve(&self, envelope: &[u8], session: Option<&mpsc::UnboundedSender<Vec<u8>>>) -> Served {
        let own = self.document.agreement_keys().next().unwrap().0.clone();
        let keys = |kid: &_| (*kid == own).then(|| self.agreement.clone());
        let documents = |did: &Did| resolve_self_contained(did).unwrap().map(Arc::new);
        let opened = open(envelope, &OpenPolicy::default(), now(), &keys, &documents).unwrap();
        let message = &opened.message;
        if Forward::is_forward(message) {
            return Served::Forward(self.hold(Forward::from_message(message).unwrap()));
        }
        let sender = opened.sender().unwrap().did().clone();
        let id = MessageId::random(&mut rng());
        let reply = match (Mediation::parse(message), Pickup::parse(message)) {
            (Ok((_, mediation)), _) => {
                self.mediate(&sender, mediation).into_message(Version::V3, id)
            }
            (_, Ok((_, pickup))) => {
                self.pick_up(&pickup, session).into_message(pickup::Version::V3, id)
            }
            _ => {
                self.books.lock().unwrap().not_understood += 1;
                let code = ProblemCode::parse("e.m.msg.unsupported").unwrap();
                let report = ProblemReport::new(code, "It is not understood");
                let about = vec![message.id.as_str().to_owned()];
                let report = report.into_message(id, message.thread_id(), about);
                return Served::Reply(self.seal(report, &sender));
            }
        };
        self.books.lock().unwrap().registrant = Some(sender.clone());
        Served::Reply(self.seal(reply.with_thid(message.thread_id()), &sender))
    }

    fn hold(&self, forward: Forward) -> StatusCode {
        let mut books = self.books.lock().unwrap();
        if !books.recipients.contains(&subject(forward.next.did())) {
            return StatusCode::NOT_FOUND;
        }
        for payload in forward.payloads {
            books.held += 1;
            let id = format!("m-{}", books.held);
            books.queue.push((id.clone(), payload.clone()));
            if let (Some(live), Some(registrant)) = (&books.live, &books.registrant) {
                let messages = vec![Waiting { id, envelope: payload, class: None }];
                let delivery = Pickup::Delivery { recipient_did: None, messages };
                let id = MessageId::random(&mut rng());
                let delivery = delivery.into_message(pickup::Version::V3, id);
                // A session that has just ended learns of it at the next one.
                drop(live.send(self.seal(delivery, registrant)));
            }
        }
        StatusCode::ACCEPTED
    }

    fn mediate(&self, sender: &Did, mediation: Mediation) -> Mediation {
        let mut books = self.books.lock().unwrap();
        match mediation {
            Mediation::Request => {
                books.granted.insert(subject(sender));
                Mediation::Grant { routing_did: vec![self.did.clone()] }
            }
            Mediation::Update(updates) => {
                assert!(books.granted.contains(&subject(sender)));
                let updated = updates.into_iter().map(|update| {
                    assert_eq!(update.action, Action::Add);
                    assert!(update.proof.is_some(), "each identity agrees");
                    let is_new = books.recipients.insert(subject(&update.recipient_did));
                    let result =
                        if is_new { UpdateResult::Success } else { UpdateResult::NoChange };
                    let (recipient_did, action) = (update.recipient_did, update.action);
                    Updated { recipient_did, action, result, code: None }
                });
                Mediation::Updated(updated.collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn pick_up(&self, pickup: &Pickup, session: Option<&mpsc::UnboundedSender<Vec<u8>>>) -> Pickup {
        let mut books = self.books.lock().unwrap();
        match pickup {
            Pickup::DeliveryRequest { limit, .. } if !books.queue.is_empty() => {
                let count = usize::try_from(*limit).unwrap();
                let waiting = books.queue.iter().take(count).cloned();
                let messages =
                    waiting.map(|(id, envelope)| Waiting { id, envelope, class: None }).collect();
                return Pickup::Delivery { recipient_did: None, messages };
            }
            Pickup::MessagesReceived { ids } => books.queue.retain(|(id, _)| !ids.contains(id)),
            Pickup::LiveDeliveryChange { live_delivery: true } => books.live = session.cloned(),
            _ => {}
        }
        let message_count = books.queue.len() as u64;
        let live_delivery = books.live.is_some();
        Pickup::Status(Status { message_count, live_delivery, ..Status::default() })
    }

    fn seal(&self, message: Message, to: &Did) -> Vec<u8> {
        let document = resolve_self_contained(to).unwrap().unwrap();
        let recipients = document.choose_recipients(&[Curve::X25519]);
        let message = message.with_from(self.did.clone()).with_to([to.clone()]);
        let kid = self.document.agreement_keys().next().unwrap().0.clone();
        let protection = Protection::Deniable { kid: &kid, key: &self.agreement };
        let sealed = seal(&message, protection, &recipients, &mut rng()).unwrap();
        sealed.envelope.into_bytes()
    }
}

enum Served {
    Forward(StatusCode),
    Reply(Vec<u8>),
}

async fn publish(State(mediator): State<Mediator>) -> Response {
    let (document, given) = &*mediator.published;
    let text = match given.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let address = mediator.document.didcomm_endpoints()[0].uri.clone();
            document.replace(&address, "ws://127.0.0.1:1/didcomm")
        }
        _ => document.clone(),
    };
    ([(header::CONTENT_TYPE, "application/did+json")], text).into_response()
}

async fn receive(State(mediator): State<Mediator>, envelope: Bytes) -> Response {
    match mediator.serve(&envelope, None) {
        Served::Forward(status) => status.into_response(),
        Served::Reply(reply) => {
            let media_type = [(header::CONTENT_TYPE, "application/didcomm-encrypted+json")];
            (media_type, reply).into_response()
        }
    }
}

async fn upgrade(State(mediator): State<Mediator>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| session(mediator, socket))
}

async fn session(mediator: Mediator, mut socket: WebSocket) {
    mediator.books.lock().unwrap().sessions += 1;
    let mut cut = mediator.cut.subscribe();
    let (sink, mut replies) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Text(text))) => {
                    if let Served::Reply(reply) = mediator.serve(text.as_bytes(), Some(&sink)) {
                        sink.send(reply).unwrap();
                    }
                }
                Some(Ok(_)) => {}
                _ => break,
            },
            Some(reply) = replies.recv() => {
                drop(socket.send(Frame::binary(reply)).await);
            }
            _ = cut.changed() => break,
        }
    }
    // Live delivery is over with the connection.
    let mut books = mediator.books.lock().unwrap();
    if books.live.as_ref().is_some_and(|live| live.same_channel(&sink)) {
        books.live = None;
    }
}

fn now() -> UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixTime(now.as_secs())
}
