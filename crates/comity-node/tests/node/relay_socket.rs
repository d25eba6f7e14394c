//! The relay over a WebSocket: answers on the socket that asked, live delivery, reconnects, and
//! what closes it.

use comity_core::protocol::pickup::{Pickup, Status, Version, Waiting};
use comity_didcomm::{Message, ReturnRoute};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::relay_client::{Client, forward, id, open_relay, post};
use crate::support::Stand;

struct Socket<'a> {
    client: &'a Client,
    stand: &'a Stand,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl<'a> Socket<'a> {
    async fn connect(client: &'a Client, stand: &'a Stand) -> Self {
        let url = stand.node.ready().url.replacen("http", "ws", 1) + "/didcomm";
        let (stream, _) = connect_async(url).await.unwrap();
        Self { client, stand, stream }
    }

    async fn send(&mut self, message: Message) {
        let envelope = self.client.seal(self.stand, message).await;
        let text = String::from_utf8(envelope).unwrap();
        self.stream.send(Frame::Text(text.into())).await.unwrap();
    }

    async fn receive(&mut self) -> Message {
        loop {
            match self.stream.next().await.unwrap().unwrap() {
                Frame::Text(text) => return self.client.open(self.stand, text.as_bytes()).await,
                Frame::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn ask(&mut self, pickup: Pickup) -> Pickup {
        self.send(pickup.into_message(Version::V4, id())).await;
        Pickup::parse(&self.receive().await).unwrap().1
    }

    async fn status(&mut self) -> Status {
        match self.ask(Pickup::StatusRequest { recipient_did: None }).await {
            Pickup::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn go_live(&mut self) {
        match self.ask(Pickup::LiveDeliveryChange { live_delivery: true }).await {
            Pickup::Status(status) => assert!(status.live_delivery),
            other => panic!("{other:?}"),
        }
    }

    async fn delivered(&mut self) -> Vec<Waiting> {
        match Pickup::parse(&self.receive().await).unwrap() {
            (Version::V4, Pickup::Delivery { messages, .. }) => messages,
            other => panic!("{other:?}"),
        }
    }

    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.stream.next().await.unwrap().unwrap() {
                Frame::Close(Some(frame)) => {
                    return (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Frame::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_messages_come_as_deliveries_and_stay_queued_until_they_are_acknowledged() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    assert_eq!(post(&stand, &bruno, "before").await.0, 202);
    let mut socket = Socket::connect(&bruno, &stand).await;
    assert!(!socket.status().await.live_delivery, "off at first");
    socket.go_live().await;
    for text in ["one", "two"] {
        assert_eq!(post(&stand, &bruno, text).await.0, 202);
        let messages = socket.delivered().await;
        // What waited before is asked for.
        let texts: Vec<_> = messages.iter().map(|one| bruno.read(one)).collect();
        assert_eq!(texts, [text]);
        assert_eq!(stand.status().await.relay.unwrap().live, 1);
    }
    assert_eq!(socket.status().await.message_count, 3, "nothing was acknowledged");
    drop(socket);

    let mut socket = Socket::connect(&bruno, &stand).await;
    let status = socket.status().await;
    assert_eq!((status.message_count, status.live_delivery), (3, false), "off after a reconnect");
    let request = Pickup::DeliveryRequest { recipient_did: None, limit: 10 };
    let Pickup::Delivery { messages, .. } = socket.ask(request).await else { panic!("three wait") };
    let texts: Vec<_> = messages.iter().map(|one| bruno.read(one)).collect();
    assert_eq!(texts, ["before", "one", "two"]);
    let ids = messages.into_iter().map(|one| one.id).collect();
    let received = Pickup::MessagesReceived { ids };
    socket.send(received.into_message(Version::V4, id())).await;
    assert_eq!(socket.status().await.message_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_socket_of_a_did_gets_what_comes() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    let mut old = Socket::connect(&bruno, &stand).await;
    old.go_live().await;
    let mut new = Socket::connect(&bruno, &stand).await;
    new.go_live().await;
    assert_eq!(post(&stand, &bruno, "hello").await.0, 202);
    assert_eq!(bruno.read(&new.delivered().await[0]), "hello");
    assert!(!old.status().await.live_delivery);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_delivery_needs_a_socket_and_a_fresh_request() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    let live = || Pickup::LiveDeliveryChange { live_delivery: true };
    let over_http = live().into_message(Version::V3, id());
    assert_eq!(bruno.problem(&stand, over_http).await, "e.m.live-mode-not-supported");

    // Somebody recorded Bruno's request, and plays it on a socket of its own.
    let recorded = bruno.seal(&stand, live().into_message(Version::V4, id())).await;
    let text = String::from_utf8(recorded).unwrap();
    let mut socket = Socket::connect(&bruno, &stand).await;
    socket.stream.send(Frame::Text(text.clone().into())).await.unwrap();
    let Ok((_, Pickup::Status(status))) = Pickup::parse(&socket.receive().await) else { panic!() };
    assert!(status.live_delivery);
    let mut thief = Socket::connect(&bruno, &stand).await;
    thief.stream.send(Frame::Text(text.into())).await.unwrap();
    let Ok((_, Pickup::Status(status))) = Pickup::parse(&thief.receive().await) else { panic!() };
    assert!(!status.live_delivery, "a replay changes nothing");
    assert_eq!(post(&stand, &bruno, "hello").await.0, 202);
    assert_eq!(bruno.read(&socket.delivered().await[0]), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_route_holds_for_its_did_as_long_as_the_socket() {
    let stand = open_relay().await;
    let bruno = Client::new();
    bruno.register(&stand).await;
    let mut socket = Socket::connect(&bruno, &stand).await;
    socket.status().await;
    let mut request = Pickup::StatusRequest { recipient_did: None }.into_message(Version::V3, id());
    request.return_route = Some(ReturnRoute::None);
    socket.send(request).await;
    let answer = socket.receive().await;
    assert!(matches!(Pickup::parse(&answer), Ok((Version::V3, Pickup::Status(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_is_turned_away_closes_the_socket_with_its_code() {
    let stand = open_relay().await;
    let bruno = Client::new();
    let unregistered = forward(&stand, bruno.did.as_str(), bruno.letter("hello")).await;
    for (envelope, code) in [
        (b"{}".to_vec(), "e.m.msg.malformed"),
        (unregistered, "e.m.req.not-registered"),
        (bruno.letter("for others"), "e.m.xfer.unknown-recipient"),
    ] {
        let mut socket = Socket::connect(&bruno, &stand).await;
        socket.stream.send(Frame::Binary(envelope.into())).await.unwrap();
        assert_eq!(socket.closed().await, (1008, code.to_owned()));
    }
    // A forward that is taken is not answered, and the socket stays.
    bruno.register(&stand).await;
    let mut socket = Socket::connect(&bruno, &stand).await;
    let envelope = forward(&stand, bruno.did.as_str(), bruno.letter("hello")).await;
    socket.stream.send(Frame::Binary(envelope.into())).await.unwrap();
    assert_eq!(socket.status().await.message_count, 1);
}
