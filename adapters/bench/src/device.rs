//! One device: a connection, the client machine, and the books of what was sent and what came.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use doubletick_core::client::{Client, Input, Outgoing, Output, Record, SaveId, Stored};
use doubletick_core::content::Content;
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, MessageId, Secret, UserId};
use doubletick_core::time::Timestamp;
use doubletick_wire::{SUBPROTOCOL, Token, decode_server, encode_client};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::counting::Counting;

/// Bytes of a body that say when it was meant to be sent, and the how-manieth of its sender it is.
pub(crate) const STAMP: usize = 16;

/// What all devices of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) server: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) body: usize,
    /// The time between two messages of one device; `None` sends as answers come back.
    pub(crate) interval: Option<Duration>,
    pub(crate) in_flight: u32,
    /// Whether devices connect again at once, so that a server that was killed is under load again.
    pub(crate) hurry: bool,
    /// Whether messages are written.
    pub(crate) sending: AtomicBool,
    /// Whether what arrives counts.
    pub(crate) measuring: AtomicBool,
    /// Whether devices go home.
    pub(crate) over: AtomicBool,
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) online: AtomicU64,
    /// Totals of all devices, for progress and for the end.
    pub(crate) sent: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) ticked: AtomicU64,
    /// Up to which position each device has stored its conversation.
    pub(crate) stored: Vec<AtomicU64>,
}

/// A device's books.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) user: UserId,
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    /// Messages of the other side, each exactly once and in order.
    pub(crate) received: u64,
    /// Messages that came again, and were recognised.
    pub(crate) again: u64,
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
    /// Connections lost.
    pub(crate) lost_connections: u64,
    /// From when a message was meant to be sent to the receiver's frame, and to the sender's answer; in microseconds.
    pub(crate) delivery: Histogram<u64>,
    pub(crate) answer: Histogram<u64>,
}

type Socket = WebSocketStream<Counting<TcpStream>>;

pub(crate) struct Device {
    run: Arc<Run>,
    index: u32,
    machine: Client,
    conversation: ConversationId,
    socket: Option<Socket>,
    wants_connection: bool,
    /// When each message that is not accepted was meant to be sent.
    unanswered: VecDeque<(MessageId, Instant)>,
    /// The other side's watermark, and the positions of own messages beyond it.
    delivered: u64,
    unticked: VecDeque<u64>,
    /// Whether it has begun to write.
    begun: bool,
    next_send: Instant,
    books: Books,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("milliseconds since 1970 fit"))
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound")
}

impl Device {
    pub(crate) fn new(run: Arc<Run>, index: u32, token: &Token, peer: UserId) -> Result<Self> {
        let stored = Stored { device: token.device, secret: token.secret, starts: 0, outbox: vec![], chats: vec![] };
        let conversation = ConversationId::direct(token.device.user, peer).context("two different users")?;
        let machine = Client::new(stored, u64::from(index) + 1, now());
        let books = Books {
            user: token.device.user,
            sent: 0,
            accepted: 0,
            received: 0,
            again: 0,
            wrong: vec![],
            lost_connections: 0,
            delivery: histogram(),
            answer: histogram(),
        };
        let next_send = Instant::now();
        let (unanswered, unticked) = (VecDeque::new(), VecDeque::new());
        Ok(Self {
            run,
            index,
            machine,
            conversation,
            socket: None,
            wants_connection: false,
            unanswered,
            delivered: 0,
            unticked,
            begun: false,
            next_send,
            books,
        })
    }

    /// Lives until the run is over.
    pub(crate) async fn live(mut self) -> Result<Books> {
        let mut tick = tokio::time::interval(Duration::from_millis(if self.run.hurry { 50 } else { 250 }));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.run.over.load(Ordering::Relaxed) {
            self.write_messages();
            self.drain().await?;
            let writing = self.machine.is_online() && self.run.sending.load(Ordering::Relaxed);
            let due = self.run.interval.filter(|_| writing).map(|_| self.next_send);
            let message = async {
                match &mut self.socket {
                    Some(socket) => socket.next().await,
                    None => std::future::pending().await,
                }
            };
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = message => self.came(message)?,
                () = sleep => {}
                _ = tick.tick() => {
                    if self.run.hurry && self.socket.is_none() {
                        self.machine.handle_input(now(), Input::Hurry);
                    }
                    if self.machine.poll_timeout().is_some_and(|due| due <= now()) {
                        self.machine.handle_timeout(now());
                    }
                }
            }
        }
        Ok(self.books)
    }

    fn came(&mut self, message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Result<()> {
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let frame = decode_server(&bytes).map_err(|error| anyhow::anyhow!("the server sent no frame: {error}"))?;
                self.machine.handle_input(now(), Input::Frame(frame));
            }
            Some(Ok(Message::Close(_))) | Some(Err(_)) | None => {
                self.socket = None;
                self.books.lost_connections += 1;
                self.machine.handle_input(now(), Input::Disconnected { reason: None });
            }
            Some(Ok(_)) => {}
        }
        Ok(())
    }

    /// Writes what is due.
    fn write_messages(&mut self) {
        if !self.run.sending.load(Ordering::Relaxed) || !self.machine.is_online() {
            return;
        }
        match self.run.interval {
            Some(interval) => {
                let now = Instant::now();
                if !std::mem::replace(&mut self.begun, true) {
                    // Devices do not write in step: each begins somewhere within the first interval.
                    self.next_send = now + interval.mul_f64(f64::from(self.index.wrapping_mul(2_654_435_769) >> 8) / f64::from(1 << 24));
                }
                while self.next_send <= now {
                    self.write(self.next_send);
                    self.next_send += interval;
                }
            }
            None => {
                while self.unanswered.len() < self.run.in_flight as usize {
                    self.write(Instant::now());
                }
            }
        }
    }

    fn write(&mut self, meant: Instant) {
        self.books.sent += 1;
        self.run.sent.fetch_add(1, Ordering::Relaxed);
        let since = u64::try_from(meant.saturating_duration_since(self.run.started).as_nanos()).expect("a run is shorter than centuries");
        let mut body = vec![b'.'; self.run.body];
        body[..8].copy_from_slice(&since.to_le_bytes());
        body[8..STAMP].copy_from_slice(&self.books.sent.to_le_bytes());
        let mut random = [0; 10];
        random[..4].copy_from_slice(&self.index.to_le_bytes());
        random[4..].copy_from_slice(&self.books.sent.to_le_bytes()[..6]);
        let id = MessageId::new(now(), random);
        self.unanswered.push_back((id, meant));
        let content = Content::shared(0, body).expect("the size was checked");
        self.machine.handle_input(now(), Input::Compose(Outgoing { conversation: self.conversation, id, content }));
    }

    /// Does what the machine wants done, with one flush for all frames.
    async fn drain(&mut self) -> Result<()> {
        let mut saved: Option<SaveId> = None;
        let mut new_after_all = vec![];
        let mut fed = false;
        loop {
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::Connect => self.wants_connection = true,
                    Output::Disconnect => self.socket = None,
                    Output::Frame(frame) => {
                        let mut bytes = Vec::with_capacity(64 + self.run.body);
                        encode_client(&frame, &mut bytes);
                        if let Some(socket) = &mut self.socket {
                            fed |= socket.feed(Message::Binary(Bytes::from(bytes))).await.is_ok();
                        }
                    }
                    Output::Save(save, record) => {
                        let again = matches!(record, Record::Received { again: true, .. });
                        if self.record(record) && again {
                            new_after_all.push(save);
                        }
                        saved = Some(save);
                    }
                    Output::Notice(notice) => self.noticed(&notice)?,
                }
            }
            // The memory of this process is this device's storage.
            match saved.take() {
                Some(upto) => self.machine.handle_input(now(), Input::Saved { upto, new_after_all: std::mem::take(&mut new_after_all) }),
                None => break,
            }
        }
        if fed && let Some(socket) = &mut self.socket {
            // An error shows at the next read.
            let _ = socket.flush().await;
        }
        if std::mem::take(&mut self.wants_connection) {
            self.connect().await;
            Box::pin(self.drain()).await?;
        }
        Ok(())
    }

    fn noticed(&mut self, notice: &doubletick_core::client::Notice) -> Result<()> {
        use doubletick_core::client::Notice;
        match notice {
            Notice::Online(true) => {
                self.run.online.fetch_add(1, Ordering::Relaxed);
                self.next_send = self.next_send.max(Instant::now());
            }
            Notice::Online(false) => {
                self.run.online.fetch_sub(1, Ordering::Relaxed);
            }
            Notice::Stopped(reason) => bail!("the server has closed device {} for good: {reason:?}", self.index),
            Notice::HeldUp(reject) => self.wrong(format!("sending was held up: {reject:?}")),
            Notice::Refused(reject) => self.wrong(format!("a request was refused: {reject:?}")),
            Notice::Waiting(_) | Notice::Typing { .. } | Notice::Presence { .. } | Notice::Answered(..) => {}
        }
        Ok(())
    }

    /// Keeps the books of what is stored. Says whether a message is new.
    fn record(&mut self, record: Record) -> bool {
        match record {
            Record::Accepted { id, seq, next, .. } => {
                if next {
                    self.stored(seq.0);
                }
                self.accepted(id, seq.0);
            }
            Record::Received { delivery, .. } => {
                self.stored(delivery.seq.0);
                return matches!(delivery.from, Sender::Peer(_)) && self.received(&delivery);
            }
            Record::Receipt { delivered, .. } => self.ticked(delivered.0),
            Record::Failed { reject, .. } => self.wrong(format!("a message was refused for good: {reject:?}")),
            Record::Written(_) | Record::Read { .. } | Record::ReadTold { .. } | Record::Token(_) | Record::Started(_) => {}
        }
        false
    }

    fn stored(&self, seq: u64) {
        self.run.stored[self.index as usize].fetch_max(seq, Ordering::Relaxed);
    }

    fn accepted(&mut self, id: MessageId, seq: u64) {
        self.books.accepted += 1;
        self.run.accepted.fetch_add(1, Ordering::Relaxed);
        if seq <= self.delivered {
            // The receiver was faster than the answer.
            self.run.ticked.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unticked.push_back(seq);
        }
        match self.unanswered.pop_front() {
            Some((expected, meant)) if expected == id => {
                if self.run.measuring.load(Ordering::Relaxed) {
                    self.books.answer.saturating_record(micros(meant.elapsed()));
                }
            }
            _ => self.wrong("an answer came out of order".to_owned()),
        }
    }

    /// A message of the other side is here. It is new if it is the next; if it is not one that was here before, something is wrong.
    fn received(&mut self, delivery: &Delivery) -> bool {
        let body = delivery.body.as_ref().map(|body| &*body.bytes).unwrap_or_default();
        let (Some(since), Some(count)) = (number(body, 0), number(body, 8)) else {
            self.wrong(format!("position {} came without its content", delivery.seq));
            return false;
        };
        if count <= self.books.received {
            self.books.again += 1;
            return false;
        }
        if count > self.books.received + 1 {
            self.wrong(format!("message {count} came after message {}", self.books.received));
        }
        self.books.received = count;
        self.run.received.fetch_add(1, Ordering::Relaxed);
        if self.run.measuring.load(Ordering::Relaxed) {
            let elapsed = self.run.started.elapsed().saturating_sub(Duration::from_nanos(since));
            self.books.delivery.saturating_record(micros(elapsed));
        }
        true
    }

    /// The second tick, which must be true.
    fn ticked(&mut self, delivered: u64) {
        let stored = self.run.stored[(self.index ^ 1) as usize].load(Ordering::Relaxed);
        if delivered > stored {
            self.wrong(format!("a tick says that {delivered} is delivered, and the other device has stored up to {stored}"));
        }
        if delivered < self.delivered {
            self.wrong(format!("a tick went back from {} to {delivered}", self.delivered));
        }
        self.delivered = delivered;
        while self.unticked.pop_front_if(|seq| *seq <= delivered).is_some() {
            self.run.ticked.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wrong(&mut self, what: String) {
        self.books.wrong.push(format!("device {}: {what}", self.index));
    }

    async fn connect(&mut self) {
        let input = match open(self.run.server, self.index, Arc::clone(&self.run.bytes)).await {
            Ok(socket) => {
                self.socket = Some(socket);
                let mut fresh = [0x5a; 32];
                fresh[..4].copy_from_slice(&self.index.to_le_bytes());
                Input::Connected { fresh: Secret(fresh) }
            }
            Err(_) => Input::Disconnected { reason: None },
        };
        self.machine.handle_input(now(), input);
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn number(body: &[u8], at: usize) -> Option<u64> {
    body.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Opens a WebSocket. To a loopback server the connections come from several addresses, because one address has too few ports.
pub(crate) async fn open(server: SocketAddr, index: u32, bytes: Arc<AtomicU64>) -> Result<Socket> {
    let stream = connect_from(server, index).await?;
    stream.set_nodelay(true)?;
    let stream = Counting::new(stream, Arc::new(AtomicU64::new(0)));
    let mut request = format!("ws://{server}/v1/ws").into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse()?);
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
    let (socket, response) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    ensure!(
        response.headers().get("Sec-WebSocket-Protocol").is_some_and(|chosen| chosen == SUBPROTOCOL),
        "the server speaks another protocol"
    );
    let mut socket = socket;
    socket.get_mut().recount(bytes);
    Ok(socket)
}

pub(crate) async fn connect_from(server: SocketAddr, index: u32) -> Result<TcpStream> {
    if let SocketAddr::V4(address) = server
        && address.ip().is_loopback()
    {
        let socket = TcpSocket::new_v4()?;
        let host = 2 + index / 10_000;
        let from = Ipv4Addr::new(127, 0, u8::try_from(host / 250)?, u8::try_from(host % 250 + 1)?);
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        return Ok(socket.connect(server).await?);
    }
    Ok(TcpStream::connect(server).await?)
}
