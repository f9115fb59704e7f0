//! Sessions: who may open one, and how they end.

use doubletick_core::frame::{ClientFrame, CloseReason, RequestId, ServerFrame, Target};
use doubletick_core::id::Secret;
use doubletick_core::time::Millis;
use doubletick_wire::Token;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::world::{self, between, connect, hello, message_id, open, register, start, text};

#[test]
fn of_two_connections_of_one_device_the_newer_stays() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut older = open(server.addr(), token).await;
        let mut newer = open(server.addr(), token).await;
        assert_eq!(older.closed().await, CloseReason::Replaced);
        newer.say(ClientFrame::Ping).await;
        newer.expect(|frame| matches!(frame, ServerFrame::Pong).then_some(())).await;
    });
}

#[test]
fn a_wrong_secret_is_sent_away_for_good() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = connect(server.addr()).await;
        device.say(hello(Token { secret: Secret([7; 32]), ..token }, 1)).await;
        assert_eq!(device.closed().await, CloseReason::BadToken);
    });
}

#[test]
fn whoever_does_not_greet_in_time_is_sent_away() {
    world::run(async {
        let mut config = world::config();
        config.gateway.handshake = Millis(50);
        let server = start(config).await;
        let mut device = connect(server.addr()).await;
        assert_eq!(device.closed().await, CloseReason::HandshakeTimeout);
    });
}

#[test]
fn a_client_that_says_goodbye_hears_the_answer() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = open(server.addr(), token).await;
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        device.ws.send(Message::Close(Some(close.clone()))).await.unwrap();
        assert_eq!(device.ws.next().await.unwrap().unwrap(), Message::Close(Some(close)));
        assert!(device.ws.next().await.is_none());
    });
}

#[test]
fn pings_of_websocket_are_answered() {
    world::run(async {
        let server = start(world::config()).await;
        let mut device = connect(server.addr()).await;
        device.ws.send(Message::Ping("here".into())).await.unwrap();
        assert_eq!(device.ws.next().await.unwrap().unwrap(), Message::Pong("here".into()));
    });
}

#[test]
fn a_device_that_does_not_read_is_cut_off_and_misses_nothing_when_it_comes_back() {
    world::run(async {
        let mut config = world::config();
        config.gateway.ack_timeout = Millis::seconds(3600);
        config.gateway.requests = 4096;
        config.gateway.unflushed = 256 * 1024;
        let server = start(config).await;
        let (anna, ben) = (register(server.addr(), "+4915100000001").await, register(server.addr(), "+4915100000002").await);
        let to = Target::Id(between(anna.device, ben.device));
        let mut sender = open(server.addr(), anna).await;
        let mut reader = open(server.addr(), ben).await;
        for n in 1..=8 {
            let content = text(&"x".repeat(60_000));
            sender.say(ClientFrame::Send { request: RequestId(n.into()), attempt: 0, to, id: message_id(n), content, roster: 0 }).await;
            sender.expect(|frame| matches!(frame, ServerFrame::Accepted { request, .. } if request.0 == u32::from(n)).then_some(())).await;
        }
        // Answers of 60 kB each that are asked for and never read fill every buffer on the way.
        let mut asked = 0;
        while asked < 2_000 {
            let fetch = ClientFrame::Fetch { request: RequestId(asked), of: to, after: doubletick_core::id::Seq(7) };
            let mut bytes = Vec::new();
            doubletick_wire::encode_client(&fetch, &mut bytes);
            if reader.ws.send(Message::Binary(bytes.into())).await.is_err() {
                break;
            }
            asked += 1;
        }
        // It is cut off: reading on comes to an end, with the goodbye or with an error if that did not fit any more.
        let mut last = None;
        while let Some(Ok(message)) = reader.ws.next().await {
            if let Message::Close(Some(close)) = message {
                last = Some(u16::from(close.code));
            }
        }
        assert!(last.is_none_or(|code| code == CloseReason::SlowReader.code()), "{last:?}");
        drop(reader);

        let mut reader = open(server.addr(), ben).await;
        let mut seen = 0;
        while seen < 8 {
            seen += reader
                .expect(|frame| match frame {
                    ServerFrame::Deliver { entries, .. } => Some(entries.len()),
                    _ => None,
                })
                .await;
        }
        assert_eq!(seen, 8);
    });
}
