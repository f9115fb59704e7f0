//! The head of a connection's first request (RFC 9112 §2), read before it is known what follows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes of a head at the most.
const HEAD_BYTES: usize = 8 * 1024;

/// Header fields at the most.
const FIELDS: usize = 64;

/// What of a head matters here.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    /// Whether the version is 1.1.
    pub(crate) http_1_1: bool,
    /// Names in lower case. Values that are not text are left out.
    fields: Vec<(String, String)>,
    /// Everything that was read, the head first.
    pub(crate) read: Vec<u8>,
    /// Where the head ends in it.
    pub(crate) len: usize,
}

/// Why there is no head.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// The peer has gone, or has sent nothing.
    Gone,
    /// It is longer, or has more fields, than the limit.
    TooLarge,
    /// It is no HTTP.
    Malformed,
}

impl Head {
    /// Reads a head, and perhaps some of what follows it.
    pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Self, NoHead> {
        let mut read = Vec::with_capacity(1024);
        loop {
            let searched = read.len();
            let mut room = (&mut *stream).take((HEAD_BYTES - searched) as u64);
            if room.read_buf(&mut read).await.map_err(|_| NoHead::Gone)? == 0 {
                return Err(if searched == HEAD_BYTES { NoHead::TooLarge } else { NoHead::Gone });
            }
            // Parsed only when it is whole, so that a head that comes in drops is not parsed for each of them.
            let from = searched.saturating_sub(3);
            if read[from..].windows(4).any(|window| window == b"\r\n\r\n") {
                return Self::parse(read);
            }
        }
    }

    fn parse(read: Vec<u8>) -> Result<Self, NoHead> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let len = match request.parse(&read) {
            Ok(httparse::Status::Complete(len)) => len,
            Err(httparse::Error::TooManyHeaders) => return Err(NoHead::TooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(NoHead::Malformed),
        };
        let path = request.path.unwrap_or_default();
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.split_once('?').map_or(path, |(path, _)| path).to_owned(),
            http_1_1: request.version == Some(1),
            fields: request
                .headers
                .iter()
                .filter_map(|field| Some((field.name.to_ascii_lowercase(), std::str::from_utf8(field.value).ok()?.trim().to_owned())))
                .collect(),
            len,
            read: Vec::new(),
        };
        Ok(Self { read, ..head })
    }

    /// The values of a field whose name is given in lower case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.fields.iter().filter(move |field| field.0 == name).map(|field| field.1.as_str())
    }

    /// Whether one of a field's comma-separated items is this, in whatever case.
    pub(crate) fn lists(&self, name: &str, item: &str) -> bool {
        self.values(name).flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
    }
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(crate) struct Replayed<S> {
    read: Bytes,
    stream: S,
}

impl<S> Replayed<S> {
    pub(crate) fn new(read: Vec<u8>, stream: S) -> Self {
        Self { read: read.into(), stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.has_remaining() {
            let count = self.read.remaining().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
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

    fn head(bytes: &[u8]) -> Result<Head, NoHead> {
        let mut stream = bytes;
        let mut head = std::pin::pin!(Head::read(&mut stream));
        match head.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(head) => head,
            Poll::Pending => unreachable!("bytes at hand are always ready"),
        }
    }

    #[test]
    fn a_head_and_what_follows_it_are_told_apart() {
        let head = head(b"GET /v1/ws?x=1 HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\n\r\nrest").unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), head.http_1_1), ("GET", "/v1/ws", true));
        assert!(head.lists("connection", "upgrade") && !head.lists("connection", "close"));
        assert_eq!(&head.read[head.len..], b"rest");
    }

    #[test]
    fn what_is_no_head_is_told_by_what_is_wrong_with_it() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(FIELDS + 1));
        assert!(matches!(head(long.as_bytes()), Err(NoHead::TooLarge)));
        assert!(matches!(head(many.as_bytes()), Err(NoHead::TooLarge)));
        assert!(matches!(head(b"\x16\x03\x01 not HTTP\r\n\r\n"), Err(NoHead::Malformed)));
        assert!(matches!(head(b"GET / HT"), Err(NoHead::Gone)));
        assert!(matches!(head(b""), Err(NoHead::Gone)));
    }
}
