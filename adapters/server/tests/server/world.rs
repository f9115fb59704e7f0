//! A server for a test, and a device that speaks to it by hand.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doubletick_core::content::Content;
use doubletick_core::frame::{ClientFrame, CloseReason, ServerFrame};
use doubletick_core::id::{ConversationId, DeviceId, MessageId};
use doubletick_core::time::{Millis, Timestamp};
use doubletick_server::{Config, Running, Server, seam};
use doubletick_store::memory::Memory;
use doubletick_wire::{SUBPROTOCOL, Token, decode_server, encode_client};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// The code of every verification.
pub(crate) const CODE: &str = "000000";

/// Runs a test; one that hangs fails.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test came to its end") });
}

/// Limits and times as tests like them.
pub(crate) fn config() -> Config {
    let mut config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), shards: 2, ..Config::default() };
    config.registration.insecure_fixed_code = Some(CODE.into());
    config.stop.drain.spread = Millis(100);
    config.linger = Millis(300);
    config
}

pub(crate) async fn start(config: Config) -> Running {
    Server::start(config, Memory::new()).await.expect("it starts")
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON, not {:?}", self.body))
    }

    pub(crate) fn code(&self) -> u64 {
        self.json()["code"].as_u64().expect("an error has its number")
    }
}

/// Sends bytes as they are and reads the answer to its end.
pub(crate) async fn http(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a head has a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.into() }
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
    http(seam::connect(addr).await.unwrap(), &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
}

pub(crate) async fn post(addr: SocketAddr, path: &str, body: &str) -> Answer {
    let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    http(seam::connect(addr).await.unwrap(), &request).await
}

/// Registers a number and returns the device's token.
pub(crate) async fn register(addr: SocketAddr, phone: &str) -> Token {
    assert_eq!(post(addr, "/v1/register", &format!(r#"{{"phone":"{phone}"}}"#)).await.status, 202);
    let verified = post(addr, "/v1/verify", &format!(r#"{{"phone":"{phone}","code":"{CODE}","name":"test"}}"#)).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    Token::parse(verified.json()["token"].as_str().unwrap()).unwrap()
}

/// A device's connection.
pub(crate) struct Device<IO> {
    pub(crate) ws: WebSocketStream<IO>,
    /// Frames that came while another was waited for.
    early: VecDeque<ServerFrame>,
}

pub(crate) type TcpDevice = Device<seam::TcpStream>;

/// A connection that has not greeted.
pub(crate) async fn connect(addr: SocketAddr) -> TcpDevice {
    upgrade(seam::connect(addr).await.unwrap()).await
}

/// Makes a WebSocket of a stream.
pub(crate) async fn upgrade<IO: AsyncRead + AsyncWrite + Unpin>(stream: IO) -> Device<IO> {
    let mut request = "ws://test/v1/ws".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
    let (ws, response) = client_async(request, stream).await.expect("it is a WebSocket");
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], SUBPROTOCOL);
    Device { ws, early: VecDeque::new() }
}

/// A connection with an open session.
pub(crate) async fn open(addr: SocketAddr, token: Token) -> TcpDevice {
    let mut device = connect(addr).await;
    device.greet(token).await;
    device
}

pub(crate) fn hello(token: Token, run: u64) -> ClientFrame {
    ClientFrame::Hello { device: token.device, secret: token.secret, run }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Device<IO> {
    pub(crate) async fn say(&mut self, frame: ClientFrame) {
        let mut bytes = Vec::new();
        encode_client(&frame, &mut bytes);
        self.ws.send(Message::Binary(bytes.into())).await.expect("the connection is open");
    }

    /// Opens the session, each time as a later run of the program.
    pub(crate) async fn greet(&mut self, token: Token) {
        static RUNS: AtomicU64 = AtomicU64::new(1);
        self.say(hello(token, RUNS.fetch_add(1, Ordering::Relaxed))).await;
        self.expect(|frame| matches!(frame, ServerFrame::Welcome { .. }).then_some(())).await;
    }

    /// The first frame that is wanted; the others are kept for later.
    pub(crate) async fn expect<T>(&mut self, wanted: impl Fn(&ServerFrame) -> Option<T>) -> T {
        if let Some(place) = self.early.iter().position(|frame| wanted(frame).is_some()) {
            return self.early.remove(place).and_then(|frame| wanted(&frame)).expect("it was there");
        }
        loop {
            match self.ws.next().await.expect("the connection is open").expect("the connection works") {
                Message::Binary(bytes) => {
                    let frame = decode_server(&bytes).expect("the server speaks the protocol");
                    match wanted(&frame) {
                        Some(found) => return found,
                        None => self.early.push_back(frame),
                    }
                }
                other => panic!("a frame, not {other:?}; before it came {:?}", self.early),
            }
        }
    }

    /// Reads to the end: the goodbye and the close code say the same.
    pub(crate) async fn closed(&mut self) -> CloseReason {
        let mut goodbye = None;
        while let Some(message) = self.ws.next().await {
            match message.expect("the goodbye is read before the connection is gone") {
                Message::Binary(bytes) => {
                    if let ServerFrame::Goodbye { reason, .. } = decode_server(&bytes).unwrap() {
                        goodbye = Some(reason);
                    }
                }
                Message::Close(close) => {
                    let code = u16::from(close.expect("the close frame has a code").code);
                    assert_eq!(Some(code), goodbye.map(CloseReason::code), "both say the same");
                    return goodbye.unwrap();
                }
                other => panic!("a goodbye, not {other:?}"),
            }
        }
        panic!("the connection ended without a close frame");
    }
}

/// A conversation of two devices' users.
pub(crate) fn between(one: DeviceId, other: DeviceId) -> ConversationId {
    ConversationId::direct(one.user, other.user).expect("two users")
}

pub(crate) fn message_id(n: u8) -> MessageId {
    MessageId::new(Timestamp::from_millis(1_700_000_000_000), [n; 10])
}

pub(crate) fn text(text: &str) -> Content {
    Content::shared(1, text.as_bytes()).expect("a text fits")
}
