//! The opening handshake of a WebSocket (RFC 6455 §4.2), by hand: the stream stays what it is, so an idle connection costs no more than
//! its own few buffers.

use std::borrow::Cow;
use std::fmt::Write as _;

use doubletick_core::time::Millis;
use doubletick_wire::SUBPROTOCOL;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::head::Head;

/// Where devices connect.
pub(crate) const PATH: &str = "/v1/ws";

/// Why a request is no opening handshake: the answer to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: &'static str,
    fields: Cow<'static, str>,
    text: &'static str,
}

/// How long a client is to stay away when it is not known when there will be room.
pub(crate) const A_MOMENT: Millis = Millis::seconds(5);

/// The server takes no connection for the moment.
pub(crate) fn busy(retry_after: Millis) -> Refusal {
    Refusal {
        status: "503 Service Unavailable",
        fields: format!("Retry-After: {}\r\n", retry_after.0.div_ceil(1000)).into(),
        text: "The server takes no more connections for the moment.",
    }
}

/// The head of the first request did not come in time.
pub(crate) const LATE: Refusal =
    Refusal { status: "408 Request Timeout", fields: Cow::Borrowed(""), text: "The request did not come in time." };

/// The head of the first request is too long.
pub(crate) const LONG: Refusal = Refusal {
    status: "431 Request Header Fields Too Large",
    fields: Cow::Borrowed(""),
    text: "The head of the request is larger than 8 KiB, or has more than 64 fields.",
};

/// The first bytes are no HTTP.
pub(crate) const NOT_HTTP: Refusal = Refusal { status: "400 Bad Request", fields: Cow::Borrowed(""), text: "This is no HTTP/1.1 request." };

/// The answer to an opening handshake.
pub(crate) fn accept(head: &Head) -> Result<Vec<u8>, Refusal> {
    let refused = |status, fields: &'static str, text| Err(Refusal { status, fields: fields.into(), text });
    if head.method != "GET" {
        return refused("405 Method Not Allowed", "Allow: GET\r\n", "A WebSocket is opened with GET.");
    }
    if !head.http_1_1 || !head.lists("connection", "upgrade") || !head.lists("upgrade", "websocket") {
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        return refused("426 Upgrade Required", fields, "This address speaks WebSocket (RFC 6455).");
    }
    if !head.lists("sec-websocket-version", "13") {
        return refused("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n", "The version of WebSocket is 13.");
    }
    let mut keys = head.values("sec-websocket-key");
    // The key is 16 bytes in base64; nothing else about it matters, as it is only hashed.
    let (Some(key), None) = (keys.next().filter(|key| key.len() == 24), keys.next()) else {
        return refused("400 Bad Request", "", "There must be one Sec-WebSocket-Key of 24 characters.");
    };
    if !head.lists("sec-websocket-protocol", SUBPROTOCOL) {
        return refused("400 Bad Request", "", "The sub-protocol doubletick.v1 must be offered (Sec-WebSocket-Protocol).");
    }
    let mut answer = String::from("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    let key = derive_accept_key(key.as_bytes());
    write!(answer, "Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n").expect("a string takes everything");
    Ok(answer.into_bytes())
}

impl Refusal {
    /// The whole answer, after which the connection is closed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self { status, fields, text } = self;
        let close = if fields.starts_with("Connection:") { "" } else { "Connection: close\r\n" };
        format!("HTTP/1.1 {status}\r\n{fields}{close}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}\n", text.len() + 1)
            .into_bytes()
    }
}
