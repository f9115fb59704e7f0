//! The WebSocket: one task between it and the driver, for each connection.

use doubletick_core::frame::{ClientFrame, CloseReason, ServerFrame};
use doubletick_core::limits;
use doubletick_core::time::Millis;
use doubletick_wire::{SUBPROTOCOL, decode_server, encode_client};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::seam::{self, Task};
use crate::server::{Bytes, PATIENCE, Server};

/// Frames that wait for the driver. While there are as many, nothing is read from the socket.
const INBOX: usize = 64;

/// Batches of frames that wait for the socket; the driver keeps the rest.
const OUTBOX: usize = 1;

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Closed to say goodbye.
    pub(crate) frames: mpsc::Sender<Vec<ClientFrame>>,
    pub(crate) events: mpsc::Receiver<LinkEvent>,
    task: Task<()>,
}

/// What comes from a connection.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Frame(ServerFrame),
    /// It is the last thing that comes.
    Closed {
        reason: Option<CloseReason>,
        why: String,
    },
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct NoLink {
    /// A sentence without its full stop.
    pub(crate) why: String,
    /// The server takes nobody for the moment, and said when to come back.
    pub(crate) retry_after: Option<Millis>,
}

impl From<String> for NoLink {
    fn from(why: String) -> Self {
        Self { why, retry_after: None }
    }
}

/// Makes a connection and its WebSocket.
///
/// # Errors
/// Why there is none.
pub(crate) async fn connect(server: Server) -> Result<Link, NoLink> {
    let stream = server.connect().await?;
    let url = format!("ws://{}/v1/ws", server.authority());
    let opened = seam::within(PATIENCE, open(url, stream)).await;
    opened.unwrap_or_else(|| Err(format!("the server at {} does not answer", server.authority()).into()))
}

async fn open<S: Bytes + 'static>(url: String, stream: S) -> Result<Link, NoLink> {
    let failed = |error: &dyn std::fmt::Display| format!("the server does not speak {SUBPROTOCOL}: {error}");
    let mut request = url.into_client_request().map_err(|error| failed(&error))?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits::FRAME_BYTES))
        .max_frame_size(Some(limits::FRAME_BYTES))
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * limits::FRAME_BYTES);
    // The answer's sub-protocol is compared with the one that was offered.
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (ws, _) = opened.map_err(|error| {
        if let Error::Http(answer) = &error
            && answer.status() == StatusCode::SERVICE_UNAVAILABLE
        {
            let told = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
            let retry_after = told.map(|seconds| Millis::seconds(seconds.into()));
            NoLink { why: "the server takes no connection for the moment".to_owned(), retry_after }
        } else {
            failed(&error).into()
        }
    })?;
    let (frames, outgoing) = mpsc::channel(OUTBOX);
    let (incoming, events) = mpsc::channel(INBOX);
    Ok(Link { frames, events, task: seam::spawn(run(ws, outgoing, incoming)) })
}

async fn run<S: Bytes>(ws: WebSocketStream<S>, outgoing: mpsc::Receiver<Vec<ClientFrame>>, incoming: mpsc::Sender<LinkEvent>) {
    let (sink, stream) = ws.split();
    // Reading goes on while a write waits: the server may want to be read before it reads.
    let closed = tokio::select! {
        biased;
        closed = read(stream, &incoming) => closed,
        closed = write(sink, outgoing) => closed,
    };
    // If nobody takes it, nobody wants it.
    let _nobody = incoming.send(closed).await;
}

async fn read<S: Bytes>(mut stream: SplitStream<WebSocketStream<S>>, incoming: &mpsc::Sender<LinkEvent>) -> LinkEvent {
    let closed = |reason, why: &dyn std::fmt::Display| LinkEvent::Closed { reason, why: format!("the connection is lost: {why}") };
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => match decode_server(&bytes) {
                Ok(frame) => {
                    if incoming.send(LinkEvent::Frame(frame)).await.is_err() {
                        return closed(None, &"nobody listens");
                    }
                }
                Err(error) => return closed(None, &format_args!("the server sent a frame that cannot be read ({error})")),
            },
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.and_then(|frame| CloseReason::from_code(frame.code.into()));
                return closed(reason, &"the server has closed it");
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return closed(None, &"the server sent text"),
            Some(Err(error)) => return closed(None, &error),
            None => return closed(None, &"it has ended"),
        }
    }
}

/// Ends when the driver closes the way to it, and says goodbye then.
async fn write<S: Bytes>(mut sink: SplitSink<WebSocketStream<S>, Message>, mut outgoing: mpsc::Receiver<Vec<ClientFrame>>) -> LinkEvent {
    let closed = |why: &dyn std::fmt::Display| LinkEvent::Closed { reason: None, why: format!("the connection is lost: {why}") };
    while let Some(frames) = outgoing.recv().await {
        for frame in frames {
            let mut bytes = Vec::new();
            encode_client(&frame, &mut bytes);
            if let Err(error) = sink.feed(Message::Binary(bytes.into())).await {
                return closed(&error);
            }
        }
        if let Err(error) = sink.flush().await {
            return closed(&error);
        }
    }
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // The connection ends either way.
    drop(sink.send(Message::Close(Some(goodbye))).await);
    closed(&"this side has closed it")
}

impl Link {
    /// Says goodbye, if the server takes it in time, and is gone.
    pub(crate) async fn close(self) {
        let Self { frames, events, task } = self;
        drop(frames);
        drop(events);
        let abort = task.abort_handle();
        if seam::within(doubletick_core::time::Millis::seconds(1), task).await.is_none() {
            abort.abort();
        }
    }
}
