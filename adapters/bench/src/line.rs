//! One connection, and the client machine that speaks over it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use bytes::Bytes;
use doubletick_core::client::{Client, Input, Notice, Output, Record, SaveId, Stored};
use doubletick_core::id::Secret;
use doubletick_core::time::Timestamp;
use doubletick_wire::{SUBPROTOCOL, Token, decode_server, encode_client};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::counting::Counting;

pub(crate) type Socket = WebSocketStream<Counting<TcpStream>>;

/// See the [module's documentation](self).
pub(crate) struct Line {
    server: SocketAddr,
    index: u32,
    /// What goes over all connections of the run.
    bytes: Arc<AtomicU64>,
    machine: Client,
    socket: Option<Socket>,
    wants_connection: bool,
    /// Connections that were lost.
    pub(crate) lost: u64,
}

/// Who keeps what a machine wants stored, and hears what it has to say. The memory of this process is every device's storage.
pub(crate) trait Keeper {
    /// Says whether an entry is new.
    fn record(&mut self, record: Record) -> bool;

    /// # Errors
    /// If the run cannot go on.
    fn noticed(&mut self, notice: &Notice) -> Result<()>;
}

impl Line {
    pub(crate) fn new(server: SocketAddr, index: u32, bytes: Arc<AtomicU64>, token: &Token) -> Self {
        let stored = Stored { device: token.device, secret: token.secret, starts: 0, outbox: vec![], chats: vec![] };
        let machine = Client::new(stored, u64::from(index) + 1, now());
        Self { server, index, bytes, machine, socket: None, wants_connection: false, lost: 0 }
    }

    pub(crate) fn is_online(&self) -> bool {
        self.machine.is_online()
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle_input(now(), input);
    }

    /// What is due by the clock; and with `hurry` a connection at once, if there is none.
    pub(crate) fn tick(&mut self, hurry: bool) {
        if hurry && self.socket.is_none() {
            self.input(Input::Hurry);
        }
        if self.machine.poll_timeout().is_some_and(|due| due <= now()) {
            self.machine.handle_timeout(now());
        }
    }

    /// Waits for the next thing that comes, and takes it in.
    ///
    /// # Errors
    /// If it is no frame.
    pub(crate) async fn came(&mut self) -> Result<()> {
        let message = match &mut self.socket {
            Some(socket) => socket.next().await,
            None => std::future::pending().await,
        };
        self.take_in(message)
    }

    fn take_in(&mut self, message: Option<Result<Message, Error>>) -> Result<()> {
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let frame = decode_server(&bytes).map_err(|error| anyhow::anyhow!("the server sent no frame: {error}"))?;
                self.input(Input::Frame(frame));
            }
            Some(Ok(Message::Close(_))) | Some(Err(_)) | None => {
                self.socket = None;
                self.lost += 1;
                self.input(Input::Disconnected { reason: None });
            }
            Some(Ok(_)) => {}
        }
        Ok(())
    }

    /// Does what the machine wants done, with one flush for all frames.
    ///
    /// # Errors
    /// See [`Keeper::noticed`].
    pub(crate) async fn drain(&mut self, keeper: &mut impl Keeper) -> Result<()> {
        loop {
            self.drain_once(keeper).await?;
            if !std::mem::take(&mut self.wants_connection) {
                return Ok(());
            }
            self.connect().await;
        }
    }

    async fn drain_once(&mut self, keeper: &mut impl Keeper) -> Result<()> {
        let mut saved: Option<SaveId> = None;
        let mut new_after_all = vec![];
        let mut fed = false;
        loop {
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::Connect => self.wants_connection = true,
                    Output::Disconnect => self.socket = None,
                    Output::Frame(frame) => {
                        let mut bytes = Vec::with_capacity(128);
                        encode_client(&frame, &mut bytes);
                        if let Some(socket) = &mut self.socket {
                            fed |= socket.feed(Message::Binary(Bytes::from(bytes))).await.is_ok();
                        }
                    }
                    Output::Save(save, record) => {
                        let again = matches!(record, Record::Received { again: true, .. });
                        if keeper.record(record) && again {
                            new_after_all.push(save);
                        }
                        saved = Some(save);
                    }
                    Output::Notice(notice) => keeper.noticed(&notice)?,
                }
            }
            match saved.take() {
                Some(upto) => self.input(Input::Saved { upto, new_after_all: std::mem::take(&mut new_after_all) }),
                None => break,
            }
        }
        if fed && let Some(socket) = &mut self.socket {
            // An error shows at the next read.
            let _ = socket.flush().await;
        }
        Ok(())
    }

    async fn connect(&mut self) {
        let input = match open(self.server, self.index, Arc::clone(&self.bytes)).await {
            Ok(socket) => {
                self.socket = Some(socket);
                let mut fresh = [0x5a; 32];
                fresh[..4].copy_from_slice(&self.index.to_le_bytes());
                Input::Connected { fresh: Secret(fresh) }
            }
            Err(_) => Input::Disconnected { reason: None },
        };
        self.input(input);
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("milliseconds since 1970 fit"))
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
