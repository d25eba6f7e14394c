//! A scripted home: real sockets, no behaviour of its own. The test plays what the home says, and sees what it hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use comity_core::api::{
    AgentInfo, ClientFrame, Delivery, Disposition, DispositionAnswer, Problem, SendAnswer,
    SendRequest, ServerFrame, Trace, TraceState,
};
use comity_sdk::{Agent, Body};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{ARIA, BRUNO};

/// What the home answers beside its socket.
#[derive(Default)]
struct Script {
    /// Answers every call with this, when set.
    refusal: Option<Problem>,
    traces: HashMap<String, Trace>,
}

/// A scripted home, which stops with the test.
pub(crate) struct Home {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    sockets: mpsc::UnboundedReceiver<Socket>,
    refused: mpsc::UnboundedReceiver<()>,
}

impl Home {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let (opened, sockets) = mpsc::unbounded_channel();
        let (turned_away, refused) = mpsc::unbounded_channel();
        let shared = script.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, shared.clone(), opened.clone(), turned_away.clone()));
            }
        });
        Self { url, script, sockets, refused }
    }

    /// Connects Aria.
    pub(crate) async fn agent(&mut self) -> (Agent, Socket) {
        let agent = Agent::connect(&self.url, "token").await.unwrap();
        (agent, self.socket().await)
    }

    /// Waits for the next socket of the agent.
    pub(crate) async fn socket(&mut self) -> Socket {
        self.sockets.recv().await.unwrap()
    }

    /// From now on refuses every call and socket, or none.
    pub(crate) fn refuse(&self, problem: Option<Problem>) {
        self.script.lock().unwrap().refusal = problem;
    }

    /// Waits until a call was refused.
    pub(crate) async fn refused(&mut self) {
        self.refused.recv().await.unwrap();
    }

    /// Sets what is known about a message.
    pub(crate) fn trace(&self, id: &str, to: &str, states: Vec<TraceState>) {
        let trace = Trace {
            id: id.to_owned(),
            from: ARIA.to_owned(),
            to: to.to_owned(),
            thid: id.to_owned(),
            via: None,
            states,
            working: None,
        };
        self.script.lock().unwrap().traces.insert(id.to_owned(), trace);
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Mutex<Script>>,
    opened: mpsc::UnboundedSender<Socket>,
    turned_away: mpsc::UnboundedSender<()>,
) {
    const SOCKET: &[u8] = b"GET /v1/socket";
    let mut beginning = [0; SOCKET.len()];
    loop {
        match stream.peek(&mut beginning).await {
            Ok(0) | Err(_) => return,
            Ok(length) if length < SOCKET.len() => tokio::task::yield_now().await,
            Ok(_) => break,
        }
    }
    if beginning == SOCKET && script.lock().unwrap().refusal.is_none() {
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        opened.send(Socket(socket)).ok();
        return;
    }

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.to_lowercase().contains("authorization: bearer token\r\n"), "{head}");
    let (status, content) = {
        let script = script.lock().unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let known =
            path.strip_prefix("/v1/messages/").map(|path| path.split_once("/trace").unwrap().0);
        match (&script.refusal, known) {
            (Some(problem), _) => {
                turned_away.send(()).ok();
                (problem.status, serde_json::to_string(problem).unwrap())
            }
            (None, None) => (200, serde_json::to_string(&aria()).unwrap()),
            (None, Some(id)) => match script.traces.get(id) {
                Some(trace) => (200, serde_json::to_string(trace).unwrap()),
                None => (404, serde_json::to_string(&problem(404, "unknown")).unwrap()),
            },
        }
    };
    let answer = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn aria() -> AgentInfo {
    AgentInfo {
        name: "aria".to_owned(),
        did: ARIA.to_owned(),
        handle: "aria@a.example".to_owned(),
        signing_key: format!("{ARIA}#key-1"),
        version_id: None,
        token: None,
    }
}

/// The home's end of an agent's socket. Dropping it cuts the connection.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn receive(&mut self) -> ClientFrame {
        loop {
            match self.0.next().await.expect("the agent still speaks").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("the agent closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Waits for a send, and leaves it unanswered.
    pub(crate) async fn receive_send(&mut self) -> (u64, SendRequest) {
        match self.receive().await {
            ClientFrame::Send { r#ref, message } => (r#ref, message),
            ClientFrame::Settle { disposition, .. } => panic!("not a send: {disposition:?}"),
        }
    }

    /// Waits for a send, and answers that it is durable.
    pub(crate) async fn take_send(&mut self) -> SendRequest {
        let (r#ref, message) = self.receive_send().await;
        self.answer_send(r#ref, &message).await;
        message
    }

    pub(crate) async fn answer_send(&mut self, r#ref: u64, message: &SendRequest) {
        let id = message.id.clone().unwrap();
        let thid = message.thid.clone().unwrap_or_else(|| id.clone());
        let answer = SendAnswer { id, thid, state: "queued".to_owned() };
        self.send(&ServerFrame::Sent { r#ref, answer }).await;
    }

    /// Waits for a settlement, and leaves it unanswered.
    pub(crate) async fn receive_settlement(&mut self) -> (u64, Disposition) {
        match self.receive().await {
            ClientFrame::Settle { r#ref, disposition } => (r#ref, disposition),
            ClientFrame::Send { message, .. } => panic!("not a settlement: {message:?}"),
        }
    }

    /// Waits for a settlement, and answers that it is done.
    pub(crate) async fn take_settlement(&mut self) -> Disposition {
        let (r#ref, disposition) = self.receive_settlement().await;
        self.answer_settlement(r#ref).await;
        disposition
    }

    pub(crate) async fn answer_settlement(&mut self, r#ref: u64) {
        let answer = DispositionAnswer { settled: 1 };
        self.send(&ServerFrame::Settled { r#ref, answer }).await;
    }

    /// Waits for exactly this acknowledgement.
    pub(crate) async fn take_ack(&mut self, delivery: u64) {
        assert_eq!(self.take_settlement().await, Disposition::Ack { deliveries: vec![delivery] });
    }

    /// Waits for the refusal of a delivery; returns its code and reason.
    pub(crate) async fn take_refusal(&mut self, expected: u64) -> (String, String) {
        match self.take_settlement().await {
            Disposition::Refuse { delivery, code, reason } if delivery == expected => {
                (code.unwrap(), reason)
            }
            other => panic!("not a refusal of {expected}: {other:?}"),
        }
    }

    pub(crate) async fn push(&mut self, delivery: &Delivery) {
        self.send(&ServerFrame::Message(Box::new(delivery.clone()))).await;
    }

    pub(crate) async fn tell(&mut self, id: &str, state: TraceState) {
        self.send(&ServerFrame::State { id: id.to_owned(), state }).await;
    }

    pub(crate) async fn send(&mut self, frame: &ServerFrame) {
        self.0.send(Message::text(serde_json::to_string(frame).unwrap())).await.unwrap();
    }

    pub(crate) async fn close(mut self, code: u16) {
        let close = CloseFrame { code: code.into(), reason: "test".into() };
        self.0.close(Some(close)).await.unwrap();
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Waits for the agent's own close; returns its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        match self.0.next().await.unwrap().unwrap() {
            Message::Close(Some(close)) => close.code.into(),
            other => panic!("not a close: {other:?}"),
        }
    }
}

/// A message of Bruno's, in a thread of its own.
pub(crate) fn delivery<B: Body>(number: u64, body: &B) -> Delivery {
    let Value::Object(body) = serde_json::to_value(body).unwrap() else { panic!("an object") };
    Delivery {
        delivery: number,
        id: format!("message-{number}"),
        from: BRUNO.to_owned(),
        to: ARIA.to_owned(),
        type_: B::TYPE.to_owned(),
        thid: format!("message-{number}"),
        pthid: None,
        verified: "signature".to_owned(),
        admitted: "allow-list".to_owned(),
        level: "message".to_owned(),
        received_at: "2026-09-21T14:13:20Z".to_owned(),
        expires_at: "2026-09-28T14:13:20Z".to_owned(),
        redelivered: 0,
        body,
        attachments: Vec::new(),
    }
}

/// A problem report of Bruno's about a thread.
pub(crate) fn report(number: u64, thread: &str, code: &str) -> Delivery {
    let mut report = delivery(number, &crate::question(""));
    report.type_ = "https://didcomm.org/report-problem/2.0/problem-report".to_owned();
    report.pthid = Some(thread.to_owned());
    report.body =
        serde_json::from_value(serde_json::json!({"code": code, "comment": "No"})).unwrap();
    report
}

pub(crate) fn rung(state: &str) -> TraceState {
    TraceState {
        state: state.to_owned(),
        at: "2026-09-21T14:13:20Z".to_owned(),
        by: BRUNO.to_owned(),
        log_index: None,
        pending: false,
        code: None,
        reason: None,
    }
}

pub(crate) fn problem(status: u16, code: &str) -> Problem {
    Problem { status, code: code.to_owned(), title: "Title".to_owned(), hint: "Hint".to_owned() }
}
