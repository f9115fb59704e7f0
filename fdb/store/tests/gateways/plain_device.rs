//! Devices that are light enough for thousands of them: a connection, one conversation, and no disk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use doubletick_core::command::{Command, code_digest};
use doubletick_core::content::Content;
use doubletick_core::frame::{ClientFrame, Presence, Privacy, RequestId, Sender, ServerFrame, Target};
use doubletick_core::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::Batch;
use doubletick_fdb::Fdb;
use doubletick_store::Store;
use doubletick_wire::{SUBPROTOCOL, decode_server, encode_client};
use futures_util::{SinkExt, StreamExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Registers users 1 to `count`, each with one device, and without the way through HTTP.
pub(crate) async fn register(store: &Fdb, count: u32) {
    let users: Vec<u32> = (1..=count).collect();
    for some in users.chunks(40) {
        let commands = some.iter().flat_map(|user| {
            let phone = Phone::parse(&format!("+49151{user:07}")).unwrap();
            let (code, new_user) = (code_digest(&phone, "1"), UserId(u64::from(*user)));
            [
                Command::RequestCode { phone: phone.clone(), code },
                Command::Register { phone, code, secret: secret(*user).digest(), new_user, name: String::new() },
                Command::SetPrivacy { user: new_user, privacy: Privacy::Everyone },
            ]
        });
        let outcome = store.execute(Arc::new(Batch { now: now(), commands: commands.collect() })).await.unwrap();
        assert!(outcome.replies.iter().all(Result::is_ok));
    }
}

fn secret(user: u32) -> Secret {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&user.to_be_bytes());
    Secret(bytes)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

/// What is known of a device from outside, while it runs.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Since when it has a session.
    pub(crate) online: Option<Instant>,
    /// Up to where it has its conversation, without a gap.
    pub(crate) has: u64,
    /// Messages of the other side.
    pub(crate) received: u64,
    /// Accepted messages of its own.
    pub(crate) accepted: u64,
    /// Whom it was shown as offline, and when first.
    pub(crate) offline: BTreeMap<u64, Instant>,
}

/// What devices are told by the test.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// Each device that may write writes a message.
    pub(crate) write: bool,
    /// They go home.
    pub(crate) over: bool,
}

pub(crate) struct Plain {
    pub(crate) user: u32,
    /// With whom it talks.
    pub(crate) peer: u32,
    /// The servers, the one that it goes to first in front.
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) writes: bool,
    /// It never comes back once its connection is lost.
    pub(crate) stays_away: bool,
    /// Whom it watches.
    pub(crate) watches: Vec<u32>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) orders: watch::Receiver<Orders>,
}

type Socket = WebSocketStream<TcpStream>;

impl Plain {
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        for attempt in 0_u32.. {
            let server = self.servers[attempt as usize % self.servers.len()];
            if let Some(socket) = self.connect(server).await {
                failures = 0;
                self.talk(socket, attempt).await;
            }
            self.seen.lock().unwrap().online = None;
            if self.orders.borrow().over || self.stays_away {
                return;
            }
            // As the client's machine does it: half of a growing length and at random up to as much again.
            let length = 500_u64 << failures.min(6);
            let drawn = u64::from(self.user.wrapping_mul(0x9e37_79b9).wrapping_add(attempt.wrapping_mul(0x85eb_ca6b)) >> 8);
            tokio::time::sleep(Duration::from_millis(length / 2 + drawn % (length / 2))).await;
            failures += 1;
        }
    }

    async fn connect(&self, server: SocketAddr) -> Option<Socket> {
        let socket = TcpSocket::new_v4().unwrap();
        // Many addresses, since one has no more than some ten thousand ports.
        socket.bind(SocketAddr::from(([127, 0, 2, (self.user % 200) as u8 + 1], 0))).ok()?;
        let stream = socket.connect(server).await.ok()?;
        let mut request = format!("ws://{server}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
        client_async(request, stream).await.ok().map(|(socket, _)| socket)
    }

    /// Uses a connection until that is gone, or all is over.
    async fn talk(&mut self, mut socket: Socket, run: u32) {
        let device = DeviceId { user: UserId(u64::from(self.user)), serial: 1 };
        let mut wrote = false;
        if say(&mut socket, ClientFrame::Hello { device, secret: secret(self.user), run: u64::from(run) + 1 }).await.is_none() {
            return;
        }
        loop {
            let orders = *self.orders.borrow_and_update();
            let online = self.seen.lock().unwrap().online.is_some();
            let said = if orders.over {
                return;
            } else if orders.write && online && self.writes && !std::mem::replace(&mut wrote, true) {
                say(&mut socket, self.message()).await
            } else {
                tokio::select! {
                    biased;
                    // An error means that the test is over.
                    changed = self.orders.changed() => if changed.is_ok() { Some(()) } else { None },
                    message = socket.next() => match message {
                        Some(Ok(Message::Binary(bytes))) => self.heard(&mut socket, decode_server(&bytes).unwrap()).await,
                        Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                        Some(Ok(_)) => Some(()),
                    },
                    () = tokio::time::sleep(Duration::from_secs(30)) => say(&mut socket, ClientFrame::Ping).await,
                }
            };
            if said.is_none() {
                return;
            }
        }
    }

    fn chat(&self) -> ConversationId {
        ConversationId::direct(UserId(u64::from(self.user)), UserId(u64::from(self.peer))).unwrap()
    }

    fn message(&self) -> ClientFrame {
        let mut id = [0; 10];
        id[..4].copy_from_slice(&self.user.to_be_bytes());
        let id = MessageId::new(Timestamp::from_millis(1_700_000_000_000), id);
        let content = Content::shared(1, *b"hello").unwrap();
        ClientFrame::Send { request: RequestId(1), attempt: 0, to: Target::Id(self.chat()), id, content, roster: 0 }
    }

    async fn heard(&mut self, socket: &mut Socket, frame: ServerFrame) -> Option<()> {
        match frame {
            ServerFrame::Welcome { .. } => {
                self.seen.lock().unwrap().online = Some(Instant::now());
                for user in self.watches.clone() {
                    say(socket, ClientFrame::Watch { user: UserId(u64::from(user)) }).await?;
                }
            }
            // Own messages are positions too, and are not sent back.
            ServerFrame::Accepted { seq, .. } => {
                let mut seen = self.seen.lock().unwrap();
                seen.accepted += 1;
                if seq.0 == seen.has + 1 {
                    seen.has = seq.0;
                }
            }
            ServerFrame::Deliver { entries, .. } => {
                let delivered = {
                    let mut seen = self.seen.lock().unwrap();
                    for entry in entries {
                        assert!(entry.seq.0 <= seen.has + 1, "{} has {} and is sent {}", self.user, seen.has, entry.seq);
                        if entry.seq.0 > seen.has {
                            seen.received += u64::from(matches!(entry.from, Sender::Peer(_)));
                            seen.has = entry.seq.0;
                        }
                    }
                    Seq(seen.has)
                };
                let of = Target::Id(self.chat());
                say(socket, ClientFrame::Ack { request: None, of, delivered, read: Seq::START }).await?;
            }
            ServerFrame::Presence { user, presence: Presence::Offline { .. } } => {
                self.seen.lock().unwrap().offline.entry(user.0).or_insert_with(Instant::now);
            }
            _ => {}
        }
        Some(())
    }
}

async fn say(socket: &mut Socket, frame: ClientFrame) -> Option<()> {
    let mut bytes = Vec::new();
    encode_client(&frame, &mut bytes);
    socket.send(Message::Binary(bytes.into())).await.ok()
}
