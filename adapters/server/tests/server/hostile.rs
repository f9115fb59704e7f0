//! What a hostile or broken peer may send. Each gets its close code, and the server goes on.

use doubletick_core::frame::{ClientFrame, CloseReason, RequestId, ServerFrame};
use doubletick_core::limits::FRAME_BYTES;
use doubletick_core::reject::Reject;
use doubletick_core::time::Millis;
use doubletick_server::{Running, seam};
use doubletick_wire::decode_server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{self, http, open, register, start};

const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: doubletick.v1\r\n\r\n";

/// The header of a masked frame with a mask of zeros, which leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(long).expect("tests send short frames").to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// What the server says to these bytes on a fresh WebSocket: the goodbye and the close code must agree.
async fn answer_to(server: &Running, bytes: &[u8]) -> CloseReason {
    let mut stream = seam::connect(server.addr()).await.unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    // The server may close before it has read everything.
    let _sent = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the goodbye arrives before the end");
    goodbye(&answer)
}

fn goodbye(mut answer: &[u8]) -> CloseReason {
    let mut reason = None;
    while let [first, len, rest @ ..] = answer {
        let (payload, rest) = rest.split_at(usize::from(*len));
        match first {
            0x82 => {
                if let ServerFrame::Goodbye { reason: said, .. } = decode_server(payload).unwrap() {
                    reason = Some(said);
                }
            }
            0x88 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                assert_eq!(Some(code), reason.map(CloseReason::code), "both say the same");
                return reason.unwrap();
            }
            0x8a => {}
            other => panic!("a frame that starts with {other:#x}"),
        }
        answer = rest;
    }
    panic!("no close frame");
}

#[test]
fn frames_that_break_the_protocol_get_their_close_code() {
    world::run(async {
        let server = start(world::config()).await;
        let declared = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
        let cases: [(&str, Vec<u8>, CloseReason); 16] = [
            ("a frame that declares 4 GB", declared(1 << 32), CloseReason::TooLarge),
            ("a length with its top bit set", declared(u64::MAX), CloseReason::TooLarge),
            ("a length just over the limit", declared(FRAME_BYTES as u64 + 1), CloseReason::TooLarge),
            ("much before the greeting", frame(0x82, &[0x0a; 2_000]), CloseReason::TooLarge),
            ("endless fragments of one byte", [frame(0x02, b"x"), frame(0x00, b"x").repeat(1_000)].concat(), CloseReason::TooLarge),
            ("endless fragments of no bytes", [frame(0x02, b""), frame(0x00, b"").repeat(1_000)].concat(), CloseReason::TooLarge),
            ("endless pings", frame(0x89, b"").repeat(1_000), CloseReason::TooLarge),
            ("text", frame(0x81, b"hello"), CloseReason::Protocol),
            ("text that is no UTF-8", frame(0x81, &[0xff, 0xfe]), CloseReason::Protocol),
            ("a frame without a mask", vec![0x82, 0x01, 0x00], CloseReason::Protocol),
            ("a reserved bit", frame(0xc2, b"x"), CloseReason::Protocol),
            ("an unknown kind of WebSocket frame", frame(0x83, b"x"), CloseReason::Protocol),
            ("a continuation of nothing", frame(0x80, b"x"), CloseReason::Protocol),
            ("an empty frame", frame(0x82, b""), CloseReason::Protocol),
            ("a truncated varint", frame(0x82, &[0x0a, 0xff]), CloseReason::Protocol),
            ("an unknown kind of frame", frame(0x82, &[0xfa, 0x3f, 0x00]), CloseReason::Protocol),
        ];
        for (what, bytes, reason) in cases {
            assert_eq!(answer_to(&server, &bytes).await, reason, "{what}");
        }
        assert_eq!(world::get(server.addr(), "/ready").await.status, 200);
    });
}

#[test]
fn fragments_without_end_are_cut_off_in_an_open_session_too() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = open(server.addr(), token).await;
        let fragments = [frame(0x02, b""), frame(0x00, b"").repeat(40_000)].concat();
        let _sent = device.ws.get_mut().write_all(&fragments).await;
        assert_eq!(device.closed().await, CloseReason::TooLarge);
    });
}

#[test]
fn a_message_in_fragments_is_a_message() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = open(server.addr(), token).await;
        let mut ping = Vec::new();
        doubletick_wire::encode_client(&ClientFrame::Ping, &mut ping);
        let (first, rest) = ping.split_at(1);
        device.ws.get_mut().write_all(&[frame(0x02, first), frame(0x80, rest)].concat()).await.unwrap();
        device.expect(|frame| matches!(frame, ServerFrame::Pong).then_some(())).await;
    });
}

#[test]
fn a_frame_whose_words_make_no_sense_is_refused_and_the_session_goes_on() {
    world::run(async {
        let server = start(world::config()).await;
        let token = register(server.addr(), "+4915100000001").await;
        let mut device = open(server.addr(), token).await;
        // FindUsers with request 7 and the phone number "x", as `proto/` writes it.
        let find = [0x92, 0x01, 5, 0x08, 7, 0x12, 1, b'x'];
        device.ws.get_mut().write_all(&frame(0x82, &find)).await.unwrap();
        let refused = ServerFrame::Refused { request: Some(RequestId(7)), reject: Reject::Nonsense };
        device.expect(|frame| (*frame == refused).then_some(())).await;
        device.say(ClientFrame::Ping).await;
        device.expect(|frame| matches!(frame, ServerFrame::Pong).then_some(())).await;
    });
}

#[test]
fn whoever_sends_no_request_in_time_hears_so() {
    world::run(async {
        let mut config = world::config();
        config.handshake = Millis(50);
        let server = start(config).await;
        for half in ["", "GET / HTTP/1.1\r\nHost: te"] {
            assert_eq!(http(seam::connect(server.addr()).await.unwrap(), half).await.status, 408);
        }
    });
}

#[test]
fn requests_that_are_no_opening_handshake_hear_what_is_missing() {
    world::run(async {
        let server = start(world::config()).await;
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9_000));
        for (request, status, says) in [
            (UPGRADE.replace("doubletick.v1", "chat"), 400, "doubletick.v1"),
            (UPGRADE.replace("Version: 13", "Version: 12"), 426, "13"),
            (UPGRADE.replace("Upgrade: websocket\r\n", ""), 426, "WebSocket"),
            (UPGRADE.replace("GET", "POST"), 405, "GET"),
            (UPGRADE.replace("dGhl", ""), 400, "Sec-WebSocket-Key"),
            (long, 431, "8 KiB"),
            ("\x16\x03\x01\r\n\r\n".into(), 400, "HTTP/1.1"),
        ] {
            let answer = http(seam::connect(server.addr()).await.unwrap(), &request).await;
            assert_eq!(answer.status, status, "{request}");
            assert!(answer.body.contains(says), "{}", answer.body);
        }
    });
}

#[test]
fn frames_that_follow_the_handshake_at_once_are_read() {
    world::run(async {
        let server = start(world::config()).await;
        let mut stream = seam::connect(server.addr()).await.unwrap();
        stream.write_all(&[UPGRADE.as_bytes(), &frame(0x89, b"early"), &frame(0x81, b"text")].concat()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer[head..head + 7], *b"\x8a\x05early");
        assert_eq!(goodbye(&answer[head..]), CloseReason::Protocol);
    });
}
