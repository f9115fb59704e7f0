//! How a server stops.

use std::net::SocketAddr;

use std::time::{Duration, Instant};

use doubletick_core::frame::{ClientFrame, CloseReason, Presence, Privacy, RequestId, ServerFrame, Target};
use doubletick_core::gateway::Drain;
use doubletick_core::id::Secret;
use doubletick_core::time::Millis;
use doubletick_server::{Config, Server, StartError, Stop, seam};
use doubletick_store::memory::{Fault, Memory};
use doubletick_wire::Token;
use futures_util::StreamExt;

use crate::world::{self, TcpDevice, between, get, message_id, open, register, start, text};

#[test]
fn a_server_that_stops_sends_its_clients_away_with_the_code_for_it() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = open(server.addr(), token).await;
        let stopping = tokio::spawn(server.stop());
        assert_eq!(device.closed().await, CloseReason::Restarting);
        drop(device);
        stopping.await.unwrap();
    });
}

#[test]
fn a_server_that_stops_is_not_ready_and_takes_nothing_new() {
    world::run(async {
        let store = Memory::new();
        let stop = Stop { deadline: Millis::seconds(60), ..Stop::ALONE };
        let config = Config { linger: Millis::seconds(60), stop, ..world::config() };
        let server = Server::start(config, store).await.unwrap();
        let addr = server.addr();
        let token = register(addr, "+4915100000001").await;
        let mut device = open(addr, token).await;
        let stopping = tokio::spawn(server.stop());
        assert_eq!(device.closed().await, CloseReason::Restarting);
        // While this one lingers, the server goes on saying that it stops.
        assert_eq!(get(addr, "/ready").await.status, 503);
        assert_eq!(get(addr, "/live").await.status, 200);
        assert_eq!(get(addr, "/v1/ws").await.status, 503);
        assert_eq!(world::post(addr, "/v1/register", r#"{"phone":"+4915100000002"}"#).await.status, 503);
        drop(device);
        stopping.await.unwrap();
    });
}

#[test]
fn a_server_among_others_is_not_ready_at_once_and_goes_on_until_the_others_have_its_clients() {
    world::run(async {
        let store = Memory::new();
        let drain = Drain { over: Millis(600), spread: Millis(1), handover: Millis::seconds(20) };
        let stop = Stop { notice: Millis(600), drain, deadline: Millis::seconds(60) };
        let server = Server::start(Config { shards: 1, stop, ..world::config() }, store.clone()).await.unwrap();
        let other = Server::start(world::config(), store).await.unwrap();
        let addr = server.addr();
        let mut tokens = vec![];
        for phone in ["+4915100000001", "+4915100000002", "+4915100000003"] {
            tokens.push(register(addr, phone).await);
        }
        let mut first = open(addr, tokens[0]).await;
        let mut watcher = open(addr, tokens[1]).await;
        first.say(ClientFrame::SetPrivacy { request: RequestId(1), privacy: Privacy::Everyone }).await;
        first.expect(|frame| matches!(frame, ServerFrame::Done { .. }).then_some(())).await;
        let began = Instant::now();
        let stopping = tokio::spawn(server.stop());
        while get(addr, "/ready").await.status == 200 {}
        let mut late = open(addr, tokens[2]).await;
        assert!(began.elapsed() < Duration::from_millis(600), "it is not ready, and takes whoever comes all the same");

        assert_eq!(first.closed().await, CloseReason::Restarting);
        assert!(began.elapsed() >= Duration::from_millis(600));
        assert_eq!(watcher.closed().await, CloseReason::Restarting);
        assert!(began.elapsed() >= Duration::from_millis(800), "one after the other");
        let mut watcher = open(other.addr(), tokens[1]).await;
        watcher.say(ClientFrame::Watch { user: tokens[0].device.user }).await;
        assert_eq!(shown(&mut watcher).await, Presence::Online, "the first is between two servers, and nobody sees that");
        assert_eq!(late.closed().await, CloseReason::Restarting);
        let late = open(other.addr(), tokens[2]).await;
        let first = open(other.addr(), tokens[0]).await;
        stopping.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "it is gone as soon as the others have them all");
        drop(first);
        assert!(matches!(shown(&mut watcher).await, Presence::Offline { .. }), "and this is the first that is heard of it");
        drop((late, watcher));
        other.stop().await;
    });
}

async fn shown(device: &mut TcpDevice) -> Presence {
    device
        .expect(|frame| match frame {
            ServerFrame::Presence { presence, .. } => Some(*presence),
            _ => None,
        })
        .await
}

#[test]
fn a_store_that_does_not_answer_does_not_keep_a_server_from_stopping() {
    world::run(async {
        let store = Memory::new();
        let stop = Stop { deadline: Millis(100), ..Stop::ALONE };
        let server = Server::start(Config { stop, ..world::config() }, store.clone()).await.unwrap();
        let token = register(server.addr(), "+4915100000001").await;
        let device = open(server.addr(), token).await;
        store.fail_next(1_000_000, Fault::Unavailable);
        server.stop().await;
        drop(device);
    });
}

#[test]
fn a_killed_server_breaks_off_and_the_next_one_on_its_store_has_everything() {
    world::run(async {
        let store = Memory::new();
        let server = Server::start(world::config(), store.clone()).await.unwrap();
        let (anna, ben) = (register(server.addr(), "+4915100000001").await, register(server.addr(), "+4915100000002").await);
        let to = Target::Id(between(anna.device, ben.device));
        let mut device = open(server.addr(), anna).await;
        device.say(ClientFrame::Send { request: RequestId(1), attempt: 0, to, id: message_id(1), content: text("kept"), roster: 0 }).await;
        device.expect(|frame| matches!(frame, ServerFrame::Accepted { .. }).then_some(())).await;
        server.kill().await;
        while let Some(Ok(message)) = device.ws.next().await {
            assert!(!message.is_close(), "a crash says nothing");
        }

        store.forget_ephemeral();
        let server = Server::start(world::config(), store).await.unwrap();
        let mut device = open(server.addr(), ben).await;
        let id = device
            .expect(|frame| match frame {
                ServerFrame::Deliver { entries, .. } => Some(entries[0].id),
                _ => None,
            })
            .await;
        assert_eq!(id, message_id(1));
    });
}

#[test]
fn a_killed_server_waits_for_nobody() {
    world::run(async {
        let hour = Millis::seconds(3600);
        let server = start(Config { linger: hour, handshake: hour, ..world::config() }).await;
        // One that has not said what it wants, one that has not greeted, and one that does not read its goodbye.
        let silent = seam::connect(server.addr()).await.unwrap();
        let upgraded = world::connect(server.addr()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut refused = world::connect(server.addr()).await;
        refused.say(world::hello(Token { secret: Secret([7; 32]), ..token }, 1)).await;
        server.kill().await;
        drop((silent, upgraded, refused));
    });
}

#[test]
fn an_address_that_is_taken_is_told() {
    world::run(async {
        let server = start(world::config()).await;
        let config = Config { listen: server.addr(), ..world::config() };
        let error = Server::start(config, Memory::new()).await.unwrap_err();
        assert!(error.to_string().contains("is in use by another program"), "{error}");
        let nowhere = Config { listen: SocketAddr::from(([192, 0, 2, 1], 1)), ..world::config() };
        assert!(matches!(Server::start(nowhere, Memory::new()).await, Err(StartError::Listen { .. })));
    });
}
