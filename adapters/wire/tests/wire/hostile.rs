//! What a peer may send that is no frame, and what it hears.

use crate::frames::message;
use doubletick_core::content::ContentError;
use doubletick_core::frame::{ClientFrame, CloseReason, RequestId, ServerFrame};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_wire::{Problem, WireError, decode_client, decode_server, encode_client};
use std::slice;

/// Bytes of a field whose content follows it.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number << 3 | 2));
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn number(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field << 3)), varint(value)].concat()
}

fn fixed(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field << 3 | 1)), value.to_le_bytes().to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn refused(bytes: &[u8]) -> WireError {
    decode_client(bytes).expect_err("these bytes are no frame")
}

fn assert_malformed(bytes: &[u8]) {
    let error = refused(bytes);
    assert!(matches!(error.problem(), Problem::Malformed(_)), "{error}");
    assert_eq!((error.close_reason(), error.refusal()), (CloseReason::Protocol, None));
}

const SEND: u32 = 1;
const ACK: u32 = 2;
const FIND_USERS: u32 = 18;

#[test]
fn bytes_that_are_no_protobuf_break_the_protocol() {
    let a_varint_of_eleven_bytes = [&[0x18], [0xff; 10].as_slice(), &[0x01]].concat();
    for content in [
        [0x18, 0x80].as_slice(),
        // The tenth byte of a varint may hold one bit.
        &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        &a_varint_of_eleven_bytes,
        // A group that nothing ends, and an end that nothing began.
        &[0x0b],
        &[0x0c],
        // Field number zero, and wire type seven.
        &[0x00, 0x00],
        &[0x1f],
        // `delivered` as bytes.
        &[0x1a, 0x01, 0x00],
    ] {
        assert_malformed(&field(ACK, content));
    }
    let not_utf8 = field(FIND_USERS, &field(2, &[b'+', 0xff, 0xfe]));
    assert_malformed(&not_utf8);
}

#[test]
fn a_length_beyond_the_frame_breaks_the_protocol_and_allocates_nothing() {
    for claimed in [2, 4 << 30, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let length = varint(claimed);
        assert_malformed(&[varint(u64::from(SEND << 3 | 2)), length.clone(), vec![0]].concat());
        assert_malformed(&field(SEND, &[varint(4 << 3 | 2), length, vec![0]].concat()));
    }
}

#[test]
fn a_deep_nest_of_unknown_groups_ends_at_a_bound() {
    assert_malformed(&[0x0b].repeat(limits::FRAME_BYTES));
}

#[test]
fn a_frame_longer_than_the_limit_is_not_looked_at() {
    let garbage = vec![0xff; limits::FRAME_BYTES + 1];
    assert_eq!(refused(&garbage).problem(), &Problem::TooLong);
    assert_eq!(refused(&garbage).close_reason(), CloseReason::TooLarge);
    assert_malformed(&garbage[1..]);
}

#[test]
fn a_kind_that_is_unknown_or_absent_breaks_the_protocol() {
    for bytes in [vec![], field(100, b""), field(15, b"abc"), number(99, 7)] {
        let error = refused(&bytes);
        assert_eq!((error.field(), error.problem()), ("frame", &Problem::UnknownKind));
        assert_eq!((error.close_reason(), error.refusal()), (CloseReason::Protocol, None));
        assert_eq!(decode_server(&bytes).as_ref().map_err(WireError::problem), Err(&Problem::UnknownKind));
    }
}

#[test]
fn fields_that_this_version_does_not_know_are_passed_over() {
    for (name, frame) in crate::frames::client_frames() {
        let mut bytes = vec![];
        encode_client(&frame, &mut bytes);
        bytes.extend([field(200, b"later"), number(201, 1), fixed(202, 1)].concat());
        assert_eq!(decode_client(&bytes), Ok(frame), "{name}");
    }
    let ack = field(ACK, &[number(1, 5), number(3, 9), field(77, b"later")].concat());
    assert!(matches!(decode_client(&ack), Ok(ClientFrame::Ack { .. })));
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let conversation = [fixed(1, 1), fixed(2, 2)].concat();
    let send = |parts: &[Vec<u8>]| field(SEND, &[&[number(2, 5)], parts].concat().concat());
    let id = field(4, &[7; 16]);
    let hello = |serial, secret| field(7, &[fixed(1, 1), number(2, serial), field(3, secret)].concat());
    for (bytes, name, problem) in [
        (send(&[]), "id", Problem::Missing),
        (send(&[field(4, &[7; 15])]), "id", Problem::Length),
        (send(&[field(4, &[7; 17])]), "id", Problem::Length),
        (send(slice::from_ref(&id)), "body", Problem::Missing),
        (send(&[id.clone(), field(6, b"a"), field(7, b"")]), "bodies", Problem::Forbidden),
        (send(&[id.clone(), field(7, b"")]), "user", Problem::Missing),
        (send(&[id.clone(), field(7, &fixed(1, 1))]), "serial", Problem::Missing),
        (send(&[field(3, &conversation), id, field(6, b"a")]), "handle", Problem::Forbidden),
        (hello(0, &[7; 32]), "serial", Problem::Missing),
        (hello(65536, &[7; 32]), "serial", Problem::Range),
        (hello(1, b""), "secret", Problem::Missing),
        (hello(1, &[7; 31]), "secret", Problem::Length),
        (hello(1, &[7; 32]), "run", Problem::Missing),
        (field(7, &number(2, 1)), "user", Problem::Missing),
        (field(ACK, b""), "conversation", Problem::Missing),
        (field(ACK, &field(2, &fixed(1, 1))), "high", Problem::Missing),
        (field(ACK, &field(2, &fixed(2, 1))), "low", Problem::Missing),
        (field(16, b""), "user", Problem::Missing),
        (field(21, &fixed(3, 1)), "list", Problem::Missing),
        (field(21, &[number(2, 3), fixed(3, 1)].concat()), "list", Problem::UnknownNumber),
        (field(22, b""), "privacy", Problem::Missing),
        (field(22, &number(2, 4)), "privacy", Problem::UnknownNumber),
        (field(24, &number(2, 1 << 16)), "serial", Problem::Range),
    ] {
        let error = refused(&bytes);
        assert_eq!((error.field(), error.problem()), (name, &problem));
        assert_eq!((error.close_reason(), error.refusal()), (CloseReason::Protocol, None));
    }
}

#[test]
fn more_items_than_the_limit_are_too_many() {
    let conversations = |count| field(6, &field(1, &[fixed(1, 1), fixed(2, 2)].concat()).repeat(count));
    let phones = |count| field(FIND_USERS, &field(2, b"+15550100").repeat(count));
    for (fits, over, name) in [
        (conversations(limits::BATCH_ITEMS), conversations(limits::BATCH_ITEMS + 1), "conversations"),
        (phones(limits::BATCH_ITEMS), phones(limits::BATCH_ITEMS + 1), "phones"),
    ] {
        assert!(decode_client(&fits).is_ok());
        let error = refused(&over);
        assert_eq!((error.field(), error.problem()), (name, &Problem::TooMany));
        assert_eq!((error.close_reason(), error.refusal()), (CloseReason::TooLarge, None));
    }
}

#[test]
fn a_content_beyond_the_limits_is_refused_by_its_request() {
    let send = |parts: Vec<u8>| field(SEND, &[number(1, 77), number(2, 5), field(4, &message(1).0), parts].concat());
    let body_for = |serial: u64| field(7, &[fixed(1, 1), number(2, serial), field(4, b"x")].concat());
    let each = |count: u64| (1..=count).flat_map(body_for).collect::<Vec<_>>();
    let most = limits::BODIES_PER_MESSAGE as u64;
    assert!(decode_client(&send(field(6, &vec![0; limits::CONTENT_BYTES]))).is_ok());
    assert!(decode_client(&send(each(most))).is_ok());
    for (bytes, problem, reason) in [
        (send(field(6, &vec![0; limits::CONTENT_BYTES + 1])), ContentError::TooLarge, CloseReason::TooLarge),
        (send(each(most + 1)), ContentError::Bodies, CloseReason::TooLarge),
        (send([body_for(1), body_for(1)].concat()), ContentError::Repeated, CloseReason::Protocol),
    ] {
        let error = refused(&bytes);
        assert_eq!(error.problem(), &Problem::Content(problem));
        assert_eq!(error.refusal(), Some((Some(RequestId(77)), Reject::BadContent)));
        assert_eq!(error.close_reason(), reason);
    }
}

#[test]
fn a_conversation_with_oneself_and_a_false_phone_number_are_refused_as_nonsense() {
    for (low, high) in [(7, 7), (8, 7)] {
        let name = [fixed(1, low), fixed(2, high)].concat();
        let error = refused(&field(ACK, &[field(2, &name), number(3, 1)].concat()));
        assert_eq!(error.refusal(), Some((None, Reject::Nonsense)));
        let error = refused(&field(ACK, &[field(2, &name), number(5, 6)].concat()));
        assert_eq!(error.refusal(), Some((Some(RequestId(6)), Reject::Nonsense)));
        let error = refused(&field(5, &[number(1, 3), field(3, &name)].concat()));
        assert_eq!(error.refusal(), Some((Some(RequestId(3)), Reject::Nonsense)));
    }
    let error = refused(&field(FIND_USERS, &[number(1, 4), field(2, b"0151 12345678")].concat()));
    assert_eq!((error.field(), error.refusal()), ("phone", Some((Some(RequestId(4)), Reject::Nonsense))));
}

#[test]
fn a_false_server_frame_is_recognised() {
    const DELIVER: u32 = 2;
    let entry = [number(3, 1), field(5, &[7; 16])].concat();
    let deliver = |parts: &[Vec<u8>]| field(DELIVER, &[&[number(1, 5)], parts].concat().concat());
    let run = |more: usize| deliver(&[number(2, 1), entry.clone(), field(10, &entry).repeat(more)]);
    let devices = |parts: Vec<u8>| field(17, &field(2, &[fixed(1, 1), field(2, b"+15550100"), parts].concat()));
    assert!(matches!(decode_server(&run(63)), Ok(ServerFrame::Deliver { .. })));
    assert!(decode_server(&devices(number(3, 1).repeat(8))).is_ok());
    for (bytes, name, problem) in [
        (run(64), "entries", Problem::TooMany),
        (deliver(slice::from_ref(&entry)), "seq", Problem::Missing),
        (deliver(&[number(2, u64::MAX), entry.clone(), field(10, &entry)]), "seq", Problem::Range),
        (deliver(&[number(2, 1), field(5, &[7; 16])]), "sender", Problem::Missing),
        (deliver(&[number(2, 1), number(4, 65536), field(5, &[7; 16])]), "own", Problem::Range),
        (field(DELIVER, &[number(2, 1), entry.clone()].concat()), "conversation", Problem::Missing),
        (field(16, &field(3, &entry)), "seq", Problem::Missing),
        (field(1, b""), "seq", Problem::Missing),
        (field(6, b""), "code", Problem::UnknownNumber),
        (field(6, &number(2, 1000)), "code", Problem::UnknownNumber),
        (field(7, &fixed(1, 1)), "state", Problem::Missing),
        (field(7, &[fixed(1, 1), number(2, 9)].concat()), "state", Problem::UnknownNumber),
        (devices(number(3, 1).repeat(9)), "devices", Problem::TooMany),
        (devices(number(3, 0)), "devices", Problem::Missing),
        (field(18, &field(2, b"")), "conversation", Problem::Missing),
        (field(18, &field(2, b"").repeat(129)), "chats", Problem::TooMany),
        (field(20, &number(1, 4000 + 65536)), "reason", Problem::UnknownNumber),
    ] {
        let error = decode_server(&bytes).expect_err(name);
        assert_eq!((error.field(), error.problem()), (name, &problem));
    }
}

#[test]
fn an_error_says_which_field_is_wrong_and_how() {
    let alone = field(ACK, &field(2, &[fixed(1, 7), fixed(2, 7)].concat()));
    assert_eq!(refused(&alone).to_string(), "conversation: not two different users, the lower first");
    let truncated = refused(&field(ACK, &[0x18, 0x80])).to_string();
    assert!(truncated.starts_with("frame: ") && truncated.contains("Ack.delivered"), "{truncated}");
}
