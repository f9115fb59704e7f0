//! A connection: one task between a WebSocket and a shard.
//!
//! It reads frames for the shard, and stops reading while the shard's queue is full. It writes what is in its outbox, all that has
//! gathered in one piece, and reports what was flushed. It waits for nothing without a limit: what ends an unresponsive peer while the
//! connection is open is the gateway, and after that the linger time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use doubletick_core::frame::{CloseReason, ServerFrame};
use doubletick_core::gateway::{ConnId, Input};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::time::Millis;
use doubletick_wire::decode_client;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::error::TrySendError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::outbox::{Batch, End, Outbox};
use crate::seam;
use crate::shard::{Event, Inbox};

/// Bytes that are read from a socket at a time; the part of an idle connection's memory that is chosen here.
const READ_BUFFER: usize = 2 * 1024;

/// Bytes that gather before they are written; a flush comes after the last frame in any case.
const WRITE_BUFFER: usize = 16 * 1024;

/// Bytes that a peer may send before its first frame is complete: a greeting is far smaller.
const GREETING_BYTES: usize = 1024;

/// Bytes that a peer may send from one complete frame to the next: the largest frame, and as much again for pings and the headers of
/// fragments. Without it, fragments of no bytes could go on for ever.
const BYTES_PER_FRAME: usize = 2 * limits::FRAME_BYTES;

/// Bytes that are read and thrown away after the goodbye, so that closing does not reset the connection before the peer has read it.
const DISCARDED: usize = 256 * 1024;

/// One device's connection. See the [module's documentation](self).
pub(crate) struct Connection<S> {
    id: ConnId,
    ws: WebSocketStream<Metered<S>>,
    outbox: Arc<Outbox>,
    inbox: Inbox,
    limits: Limits,
    /// What is being written.
    batch: Batch,
    /// Whether anything was written that is not flushed.
    unflushed: bool,
    /// The cost of what is not flushed.
    cost: u32,
    /// The cost of what was flushed and not reported.
    unreported: u32,
    /// What arrived cannot be understood, so nothing more is read.
    deaf: bool,
}

/// What a connection takes from the server's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long it stays open after the goodbye.
    pub(crate) linger: Millis,
    /// The most that its outbox may hold.
    pub(crate) unflushed: u32,
}

/// What happens next to a connection.
enum Step {
    /// Something for the shard to hear.
    Report(Input),
    /// It ends by the will of this side.
    Ended(End),
    /// The peer has gone, or is going.
    PeerGone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over a stream whose handshake is over. `read` was read from it already.
    pub(crate) async fn new(id: ConnId, stream: S, read: Vec<u8>, inbox: Inbox, limits: Limits) -> Self {
        let stream = Metered { stream, left: GREETING_BYTES };
        Self {
            id,
            ws: WebSocketStream::from_partially_read(stream, read, Role::Server, Some(websocket_config())).await,
            outbox: Arc::default(),
            inbox,
            limits,
            batch: Batch::default(),
            unflushed: false,
            cost: 0,
            unreported: 0,
            deaf: false,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self: Box<Self>) {
        if self.inbox.send(Event::Opened(self.id, self.outbox.clone())).await.is_err() {
            return;
        }
        match self.exchange().await {
            Step::Ended(End::Close(reason)) => self.part(reason).await,
            Step::Ended(End::Abandoned) | Step::Report(_) => {}
            Step::PeerGone => {
                // An error means that the shard is gone, and then nobody wants to know.
                let _gone = self.inbox.send(Event::Input(Input::Closed(self.id))).await;
                self.answer_goodbye().await;
            }
        }
    }

    /// Carries frames in both directions.
    async fn exchange(&mut self) -> Step {
        loop {
            let input = match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Report(input) => input,
                end @ (Step::Ended(_) | Step::PeerGone) => return end,
            };
            match self.inbox.try_send(Event::Input(input)) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return Step::Ended(End::Abandoned),
                Err(TrySendError::Full(event)) => {
                    let inbox = self.inbox.clone();
                    // Nothing is read meanwhile, and that is what slows the peer down; writing goes on.
                    tokio::select! {
                        biased;
                        sent = inbox.send(event) => if sent.is_err() {
                            return Step::Ended(End::Abandoned);
                        },
                        step = poll_fn(|cx| self.poll_write(cx)) => return step,
                    }
                }
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(step) = self.poll_write(cx) {
            return Poll::Ready(step);
        }
        // Reported late, so that not every frame that goes out brings an input that comes in. It is a small part of the limit.
        if self.unreported > self.limits.unflushed / 8 {
            let flushed = std::mem::take(&mut self.unreported);
            return Poll::Ready(Step::Report(Input::Flushed(self.id, flushed)));
        }
        if self.deaf {
            return Poll::Pending;
        }
        self.poll_read(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let message = ready!(Pin::new(&mut self.ws).poll_next(cx));
            let broken = match message {
                Some(Ok(Message::Binary(bytes))) => {
                    self.ws.get_mut().left = BYTES_PER_FRAME;
                    match decode_client(&bytes) {
                        Ok(frame) => return Poll::Ready(Step::Report(Input::Frame(self.id, frame))),
                        Err(error) => {
                            tracing::debug!(conn = self.id.0, %error, "a frame that cannot be carried out");
                            match error.refusal() {
                                Some((request, reject)) if self.outbox.len() < self.limits.unflushed as usize => {
                                    self.refuse(request, reject);
                                    continue;
                                }
                                Some(_) => CloseReason::Flood,
                                None => error.close_reason(),
                            }
                        }
                    }
                }
                // Pings were answered by the one who read them. Neither is a frame of the protocol.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Text(_) | Message::Frame(_))) => CloseReason::Protocol,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Step::PeerGone),
                Some(Err(error)) => match self.broken_by(&error) {
                    Some(reason) => reason,
                    None => return Poll::Ready(Step::PeerGone),
                },
            };
            self.deaf = true;
            return Poll::Ready(Step::Report(Input::Broken(self.id, broken)));
        }
    }

    fn refuse(&self, request: Option<doubletick_core::frame::RequestId>, reject: Reject) {
        self.outbox.push(&ServerFrame::Refused { request, reject }, 0);
    }

    /// Why an error of the reader ends the connection; `None` if the peer has gone.
    fn broken_by(&self, error: &Error) -> Option<CloseReason> {
        tracing::debug!(conn = self.id.0, %error, "reading failed");
        match error {
            Error::Io(_) if self.ws.get_ref().left == 0 => Some(CloseReason::TooLarge),
            Error::Capacity(CapacityError::MessageTooLong { .. } | CapacityError::TooManyHeaders) => Some(CloseReason::TooLarge),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
            | Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed => None,
            Error::Protocol(_)
            | Error::Utf8(_)
            | Error::AttackAttempt
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Some(CloseReason::Protocol),
        }
    }

    /// Writes what there is. Ready only when the connection is to end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        // First, so that the task is woken by what is put in from here on, and an end is seen while the peer does not read.
        if let Poll::Ready(end) = self.outbox.poll_end(cx) {
            return Poll::Ready(Step::Ended(end));
        }
        match self.poll_flush_all(cx) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(conn = self.id.0, %error, "writing failed");
                Poll::Ready(Step::PeerGone)
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Writes and flushes everything that is in the outbox.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            while let Some(bytes) = self.poll_next_frame(cx)? {
                Pin::new(&mut self.ws).start_send(Message::Binary(bytes))?;
                self.unflushed = true;
            }
            if self.batch.has_more() {
                return Poll::Pending;
            }
            match self.outbox.take() {
                Some(batch) => {
                    self.cost = self.cost.saturating_add(batch.cost());
                    self.batch = batch;
                }
                None if self.unflushed => {
                    ready!(Pin::new(&mut self.ws).poll_flush(cx))?;
                    self.unflushed = false;
                    self.batch = Batch::default();
                    self.unreported = self.unreported.saturating_add(std::mem::take(&mut self.cost));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// The next frame to be written, if the socket takes one.
    fn poll_next_frame(&mut self, cx: &mut Context<'_>) -> Result<Option<Bytes>, Error> {
        if !self.batch.has_more() {
            return Ok(None);
        }
        match Pin::new(&mut self.ws).poll_ready(cx)? {
            Poll::Ready(()) => Ok(self.batch.next()),
            Poll::Pending => Ok(None),
        }
    }

    /// Says what is left to say, the goodbye last, and closes; all of it within the linger time.
    async fn part(&mut self, reason: CloseReason) {
        let (id, linger) = (self.id, self.limits.linger);
        // On the heap, so that a connection has no room for it while it is open.
        let parting = Box::pin(seam::within(linger, self.say_goodbye(reason)));
        if parting.await.is_none() {
            tracing::debug!(conn = id.0, ?reason, "the peer did not take its goodbye");
        }
    }

    /// An error means that the peer has gone before it was told to.
    async fn say_goodbye(&mut self, reason: CloseReason) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush_all(cx)).await?;
        let ws = &mut self.ws;
        let close = CloseFrame { code: CloseCode::from(reason.code()), reason: reason_text(reason).into() };
        poll_fn(|cx| Pin::new(&mut *ws).poll_ready(cx)).await?;
        Pin::new(&mut *ws).start_send(Message::Close(Some(close)))?;
        poll_fn(|cx| Pin::new(&mut *ws).poll_flush(cx)).await?;
        let stream = &mut ws.get_mut().stream;
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
        Ok(discard_all(stream).await?)
    }

    /// If the peer has said goodbye, the answer is waiting to be written; if it has vanished, this fails at once.
    async fn answer_goodbye(&mut self) {
        let linger = self.limits.linger;
        let _answered = Box::pin(seam::within(linger, poll_fn(|cx| Pin::new(&mut self.ws).poll_flush(cx)))).await;
    }
}

/// Reads until the peer closes, for some bytes: closing with something unread would reset the connection, and the peer might never read
/// what it was sent last.
///
/// # Errors
/// If the peer has more to say, or has gone.
pub(crate) async fn discard_all<S: AsyncRead + Unpin>(stream: S) -> io::Result<()> {
    let mut stream = Metered { stream, left: DISCARDED };
    poll_fn(|cx| discard(Pin::new(&mut stream), cx)).await
}

fn discard<S: AsyncRead + Unpin>(mut stream: Pin<&mut Metered<S>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut bytes = [0; 1024];
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(stream.as_mut().poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
    }
}

fn reason_text(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Protocol => "protocol broken",
        CloseReason::TooLarge => "too large",
        CloseReason::HandshakeTimeout => "no greeting in time",
        CloseReason::BadToken => "token not accepted",
        CloseReason::Replaced => "replaced by a newer connection",
        CloseReason::DeviceRemoved => "device removed",
        CloseReason::Dead => "not heard",
        CloseReason::AckTimeout => "not acknowledged",
        CloseReason::SlowReader => "does not read",
        CloseReason::Flood => "too much at once",
        CloseReason::Restarting => "restarting",
        CloseReason::Overloaded => "overloaded",
        CloseReason::Unavailable => "unavailable",
    }
}

fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // Never reached: once a write finds no room, the next frame waits for the flush.
        .max_write_buffer_size(WRITE_BUFFER + 4 * limits::FRAME_BYTES)
        .max_message_size(Some(limits::FRAME_BYTES))
        .max_frame_size(Some(limits::FRAME_BYTES))
}

/// A stream from which only so much is read.
pub(crate) struct Metered<S> {
    stream: S,
    /// Bytes that may still be read.
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("more bytes than a frame may take")));
        }
        let room = buffer.remaining().min(self.left);
        let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut limited))?;
        let count = limited.filled().len();
        buffer.advance(count);
        self.left -= count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_takes_little_beside_its_buffers() {
        type Plain = Connection<seam::TcpStream>;
        let connection = size_of::<Plain>();
        let task = size_of_future(Plain::run);
        assert!(connection <= 512 && task <= 928, "{connection} and {task} bytes");
    }
}
