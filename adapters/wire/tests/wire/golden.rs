//! The bytes of every kind of frame stay what they were: the files under `golden/` are never edited, only added to.

use doubletick_core::frame::{ClientFrame, ServerFrame};
use doubletick_wire::{decode_client, decode_server, encode_client, encode_server};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

#[test]
fn every_client_frame_has_the_bytes_that_it_always_had() {
    let frames = crate::frames::client_frames();
    for (name, frame) in &frames {
        let mut bytes = vec![];
        encode_client(frame, &mut bytes);
        let golden = golden("client", name, &bytes);
        assert_eq!(hex(&bytes), hex(&golden), "{name}");
        assert_eq!(decode_client(&golden).as_ref(), Ok(frame), "{name}");
    }
    let kinds: BTreeSet<_> = frames.iter().map(|(name, frame)| (kind(name), client_kind(frame))).collect();
    assert_eq!(kinds.len(), CLIENT_KINDS);
    assert!(kinds.iter().all(|(file, kind)| file == kind), "{kinds:?}");
    assert_eq!(files("client"), frames.iter().map(|(name, _)| format!("{name}.hex")).collect());
}

#[test]
fn every_server_frame_has_the_bytes_that_it_always_had() {
    let frames = crate::frames::server_frames();
    for (name, frame) in &frames {
        let mut bytes = vec![];
        encode_server(frame, &mut bytes);
        let golden = golden("server", name, &bytes);
        assert_eq!(hex(&bytes), hex(&golden), "{name}");
        assert_eq!(decode_server(&golden).as_ref(), Ok(frame), "{name}");
    }
    let kinds: BTreeSet<_> = frames.iter().map(|(name, frame)| (kind(name), server_kind(frame))).collect();
    assert_eq!(kinds.len(), SERVER_KINDS);
    assert!(kinds.iter().all(|(file, kind)| file == kind), "{kinds:?}");
    assert_eq!(files("server"), frames.iter().map(|(name, _)| format!("{name}.hex")).collect());
}

const CLIENT_KINDS: usize = 17;

/// A new kind of frame stops this from compiling: then it needs a number above and a golden file.
fn client_kind(frame: &ClientFrame) -> &'static str {
    match frame {
        ClientFrame::Hello { .. } => "hello",
        ClientFrame::Send { .. } => "send",
        ClientFrame::Ack { .. } => "ack",
        ClientFrame::Fetch { .. } => "fetch",
        ClientFrame::AskReceipts { .. } => "ask_receipts",
        ClientFrame::Typing { .. } => "typing",
        ClientFrame::Watch { .. } => "watch",
        ClientFrame::Unwatch { .. } => "unwatch",
        ClientFrame::FindUsers { .. } => "find_users",
        ClientFrame::AskUser { .. } => "ask_user",
        ClientFrame::ListChats { .. } => "list_chats",
        ClientFrame::AskRoster { .. } => "ask_roster",
        ClientFrame::SetListed { .. } => "set_listed",
        ClientFrame::SetPrivacy { .. } => "set_privacy",
        ClientFrame::Renew { .. } => "renew",
        ClientFrame::RemoveDevice { .. } => "remove_device",
        ClientFrame::Ping => "ping",
    }
}

const SERVER_KINDS: usize = 14;

/// As [`client_kind`].
fn server_kind(frame: &ServerFrame) -> &'static str {
    match frame {
        ServerFrame::Welcome { .. } => "welcome",
        ServerFrame::Accepted { .. } => "accepted",
        ServerFrame::Refused { .. } => "refused",
        ServerFrame::Deliver { .. } => "deliver",
        ServerFrame::Page { .. } => "page",
        ServerFrame::Receipt { .. } => "receipt",
        ServerFrame::Typing { .. } => "typing",
        ServerFrame::Presence { .. } => "presence",
        ServerFrame::Users { .. } => "users",
        ServerFrame::Chats { .. } => "chats",
        ServerFrame::Roster { .. } => "roster",
        ServerFrame::Done { .. } => "done",
        ServerFrame::Pong => "pong",
        ServerFrame::Goodbye { .. } => "goodbye",
    }
}

fn kind(name: &'static str) -> &'static str {
    name.split('.').next().unwrap()
}

fn directory(side: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(side)
}

fn files(side: &str) -> BTreeSet<String> {
    fs::read_dir(directory(side)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// The bytes in a golden file. With `NEW_GOLDEN` in the environment a missing file is written; one that is there never is.
fn golden(side: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = directory(side).join(format!("{name}.hex"));
    if env::var_os("NEW_GOLDEN").is_some() && !path.exists() {
        fs::write(&path, hex(bytes)).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Sixteen bytes a line, so that a difference is easy to see.
fn hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ") + "\n";
    bytes.chunks(16).map(line).collect()
}
