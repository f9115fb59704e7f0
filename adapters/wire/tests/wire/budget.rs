//! What one message costs on the wire. The figures are exact, so that a single byte more shows.

use crate::frames::{NOW, TEXT, delivery, message, text};
use doubletick_core::content::Content;
use doubletick_core::frame::{ClientFrame, Handle, RequestId, Sender, ServerFrame, Target};
use doubletick_core::id::Seq;
use doubletick_wire::{encode_client, encode_server};

/// From send to delivered tick, framing included, all frames of both sides together.
const PROMISE: usize = 200;

#[test]
fn a_text_of_32_bytes_costs_177_bytes_from_send_to_delivered_tick() {
    let [send, accepted, deliver, ack, receipt] = costs(Seq(990));
    assert_eq!([send, accepted, deliver, ack, receipt], [65, 17, 70, 13, 12]);
    assert!(send + accepted + deliver + ack + receipt <= PROMISE);
}

#[test]
fn a_receipt_that_says_nothing_of_what_was_read_costs_three_bytes_less() {
    assert_eq!(costs(Seq(990))[4] - costs(Seq::START)[4], 3);
}

fn costs(read: Seq) -> [usize; 5] {
    let of = Target::Handle(Handle(5));
    let (request, seq) = (RequestId(1000), Seq(1000));
    let content = Content::shared(0, *TEXT).unwrap();
    let entries = vec![delivery(seq.0, Sender::Peer(1), Some(text(TEXT)))];
    [
        from_client(&ClientFrame::Send { request, attempt: 0, to: of, id: message(1), content, roster: 0 }),
        from_server(&ServerFrame::Accepted { request, of: None, seq, at: NOW }),
        from_server(&ServerFrame::Deliver { of, entries }),
        from_client(&ClientFrame::Ack { request: None, of, delivered: seq, read: Seq::START }),
        from_server(&ServerFrame::Receipt { of, delivered: seq, read }),
    ]
}

fn from_client(frame: &ClientFrame) -> usize {
    let mut bytes = vec![];
    encode_client(frame, &mut bytes);
    header(bytes.len()) + 4 + bytes.len()
}

fn from_server(frame: &ServerFrame) -> usize {
    let mut bytes = vec![];
    encode_server(frame, &mut bytes);
    header(bytes.len()) + bytes.len()
}

/// The header of an unfragmented WebSocket message (RFC 6455 §5.2) without the mask that a client adds.
fn header(payload: usize) -> usize {
    match payload {
        0..=125 => 2,
        126..=65535 => 4,
        _ => 10,
    }
}
