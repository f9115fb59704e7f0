//! Stored values: last year's bytes open, and no bytes at all make the reader panic.
//!
//! `golden/` holds one file for each kind of row, in hexadecimal, as it was first written. They are never edited: a value that is
//! written otherwise is a new schema, with a file of its own beside these.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

#[path = "world/cases.rs"]
mod world;

use doubletick_core::change::Settings;
use doubletick_core::content::{Body, Entry};
use doubletick_core::frame::Privacy;
use doubletick_core::id::{ConversationId, DeviceId, Digest, GatewayId, GroupId, MessageId, Phone, Seq, SessionEpoch, UserId};
use doubletick_core::rows::*;
use doubletick_core::store::Key;
use doubletick_core::time::Timestamp;
use proptest::prelude::*;
use std::fmt::Debug;
use std::path::PathBuf;

const AT: Timestamp = Timestamp::from_millis(0x0123_4567_89ab);
const DEVICE: DeviceId = DeviceId { user: UserId(0x0102_0304_0506_0708), serial: 0x0a0b };

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn id() -> MessageId {
    MessageId(*b"a message's name")
}

fn body(text: &str) -> StoredBody {
    StoredBody { kind: 7, bytes: text.as_bytes().into() }
}

fn log_entry(content: StoredContent) -> LogEntry {
    LogEntry { sender: DEVICE, id: id(), at: AT, chain: digest(1), tally: Tally([2, 3]), content }
}

/// What is done with each of the examples.
trait Check {
    fn row<R: Row + PartialEq + Debug>(&mut self, name: &str, row: &R);
}

/// At least one example of each kind of row, and of each form that it takes.
fn examples(check: &mut impl Check) {
    let head = Head { seq: Seq(5), chain: digest(1), at: AT, tally: Tally([2, 3]), last_of: [Seq(4), Seq(5)], device_epochs: [6, 7] };
    check.row("head", &head);
    check.row("log_shared", &log_entry(StoredContent::Shared(body("hello"))));
    check.row("log_empty", &log_entry(StoredContent::Shared(body(""))));
    let each = vec![(DEVICE, body("for one")), (DeviceId { serial: 1, ..DEVICE }, body("for another"))];
    check.row("log_per_device", &log_entry(StoredContent::PerDevice(each)));
    check.row("index", &Index { seq: Seq(5), at: AT, digest: digest(2) });
    check.row("receipt", &Receipt { delivered: Seq(5), read: Seq(4) });
    for (name, privacy) in [("everyone", Privacy::Everyone), ("contacts", Privacy::Contacts), ("nobody", Privacy::Nobody)] {
        let devices = vec![
            LinkedDevice { serial: 1, epoch: 1, name: "phone".into() },
            LinkedDevice { serial: 3, epoch: 3, name: "a tablet in the kitchen".into() },
        ];
        let account = Account { phone: "+4915112345678".into(), devices, next_serial: 4, device_epoch: 3, privacy };
        check.row(&format!("account_{name}"), &account);
    }
    check.row("chat", &ChatRow { since: AT });
    check.row("listed", &Listed { since: AT });
    let settings = Settings { admins_add: true, admins_edit: false, admins_post: true, limit: 20 };
    check.row("group", &Group { name: "a group".into(), avatar: b"a picture".into(), settings, members: 3, admins: 1, epoch: 9 });
    check.row("group_bare", &Group { name: "g".into(), avatar: vec![], settings: Settings::default(), members: 1, admins: 1, epoch: 1 });
    check.row("member", &Member { admin: true, joined: Seq(5), since: AT });
    let span = |joined, left| Span { joined: Seq(joined), left: Seq(left), device_epoch: 3 };
    check.row("past_member", &PastMember { spans: vec![span(1, 4), span(9, 12)] });
    check.row("fan_out", &FanOut { upto: Seq(5), after: DEVICE.user });
    let lowest = |all, others| Lowest { all: Seq(all), behind: DEVICE.user, others: Seq(others) };
    check.row("reached", &Reached { delivered: lowest(5, 9), read: lowest(2, 7) });
    check.row("device", &Device { secret: digest(3), expires: AT, previous: None });
    check.row("device_renewed", &Device { secret: digest(3), expires: AT, previous: Some((digest(4), AT)) });
    check.row("cursor", &Cursor { upto: Seq(5) });
    check.row("phone", &PhoneRow { user: DEVICE.user });
    check.row("verification", &Verification { code: Some(digest(5)), expires: AT, wrong: 1, window: AT, asked: 2 });
    check.row("verification_used", &Verification { code: None, expires: AT, wrong: 1, window: AT, asked: 2 });
    check.row("session", &Session { gateway: GatewayId(8), epoch: SessionEpoch(9), run: 10 });
    check.row("session_of", &SessionOf { epoch: SessionEpoch(9) });
    check.row("lease", &Lease { renewals: 11, lost: false });
    check.row("lease_lost", &Lease { renewals: 11, lost: true });
    check.row("watcher", &Watcher { gateway: GatewayId(8) });
    check.row("counter", &Counter(12));
    let entry = StoredEntry::of(&log_entry(StoredContent::Shared(body("hello"))), DEVICE);
    for (name, wake) in [
        ("dirty", StoredWake::Dirty(Seq(5), entry)),
        ("dirty_large", StoredWake::Dirty(Seq(5), None)),
        ("receipt", StoredWake::Receipt(Seq(5), Seq(4))),
        ("typing", StoredWake::Typing(true)),
        ("hidden", StoredWake::Presence(StoredPresence::Hidden)),
        ("online", StoredWake::Presence(StoredPresence::Online)),
        ("offline", StoredWake::Presence(StoredPresence::Offline(Some(AT)))),
        ("replaced", StoredWake::Replaced(SessionEpoch(9), true)),
        ("removed", StoredWake::Removed),
    ] {
        check.row(&format!("wake_{name}"), &wake);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a golden file. A file that does not exist yet is written if `GOLDEN=new` is in the environment.
fn golden(name: &str, today: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("GOLDEN").as_deref() == Ok("new") && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{today}\n")).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim_end().to_owned()
}

struct Golden(usize);

impl Check for Golden {
    fn row<R: Row + PartialEq + Debug>(&mut self, name: &str, row: &R) {
        let text = golden(&format!("rows/{name}.hex"), &hex(&row.encode()));
        let bytes: Vec<u8> = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        assert_eq!(R::decode(&bytes).as_ref(), Ok(row), "{name}: what was written then is not read");
        assert_eq!(hex(&row.encode()), text, "{name}: it is written otherwise than then");
        self.0 += 1;
    }
}

#[test]
fn every_kind_of_row_is_written_and_read_as_ever() {
    let mut check = Golden(0);
    examples(&mut check);
    let files = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rows")).unwrap().count();
    assert_eq!(check.0, files, "a golden file without an example");
}

#[test]
fn every_layout_of_a_key_is_written_as_ever() {
    let conversation = ConversationId::direct(UserId(2), UserId(1)).unwrap();
    let (user, gateway) = (UserId(3), GatewayId(8));
    let number = Phone::parse("+4915112345678").unwrap();
    let topics = [
        Topic::Dirty(conversation),
        Topic::Receipt(conversation),
        Topic::Typing(conversation),
        Topic::Presence(user),
        Topic::Replaced(SessionEpoch(9)),
        Topic::Removed,
    ];
    let mut keys: Vec<Key> = vec![
        head(conversation).key,
        receipt(conversation, user).key,
        log(conversation, Seq(5)).key,
        index(conversation, user, id()).key,
        account(user).key,
        chat(user, conversation).key,
        contact(user, UserId(4)).key,
        block(user, UserId(4)).key,
        last_seen(user).key,
        device(DEVICE).key,
        dirty(DEVICE, conversation).key,
        cursor(DEVICE, conversation).key,
        phone(&number).key,
        verification(&number).key,
        session(DEVICE).key,
        bell(gateway).key,
        session_of(gateway, DEVICE).key,
        lease(gateway).key,
        watcher(user, DEVICE).key,
    ];
    keys.extend(topics.map(|topic| wake(gateway, DEVICE, topic).key));
    let lines: Vec<String> = keys.iter().map(|key| hex(key.as_bytes())).collect();
    assert_eq!(golden("keys.hex", &lines.join("\n")), lines.join("\n"));
}

#[test]
fn every_layout_of_a_key_of_a_group_is_written_as_ever() {
    let conversation = ConversationId::Group(GroupId(*b"a group's number"));
    let user = UserId(3);
    let keys = [
        head(conversation).key,
        log(conversation, Seq(5)).key,
        index(conversation, user, id()).key,
        group(conversation).key,
        member(conversation, user).key,
        past_member(conversation, user).key,
        sent(conversation, user).key,
        fan_out_due(conversation).key,
        fan_out(conversation).key,
        chat(user, conversation).key,
        group_count(user).key,
        cursor(DEVICE, conversation).key,
        trimmed(conversation).key,
    ];
    let lines: Vec<String> = keys.iter().map(|key| hex(key.as_bytes())).collect();
    assert_eq!(golden("keys_of_groups.hex", &lines.join("\n")), lines.join("\n"));
}

/// Reads some bytes as every kind of row; which kinds take them.
fn decode_all(bytes: &[u8]) -> Vec<bool> {
    fn taken<R: Row>(bytes: &[u8]) -> bool {
        R::decode(bytes).is_ok()
    }
    let readers: [fn(&[u8]) -> bool; 22] = [
        taken::<Head>,
        taken::<LogEntry>,
        taken::<Index>,
        taken::<Receipt>,
        taken::<Account>,
        taken::<ChatRow>,
        taken::<Listed>,
        taken::<Device>,
        taken::<Cursor>,
        taken::<PhoneRow>,
        taken::<Verification>,
        taken::<Session>,
        taken::<SessionOf>,
        taken::<StoredWake>,
        taken::<Lease>,
        taken::<Watcher>,
        taken::<Group>,
        taken::<Member>,
        taken::<PastMember>,
        taken::<FanOut>,
        taken::<Reached>,
        taken::<Counter>,
    ];
    readers.iter().map(|read| read(bytes)).collect()
}

struct Damaged;

impl Check for Damaged {
    fn row<R: Row + PartialEq + Debug>(&mut self, name: &str, row: &R) {
        let bytes = row.encode();
        // A counter is eight bytes whatever they are, and has no envelope.
        if name == "counter" {
            return;
        }
        assert_eq!(decode_all(&bytes).iter().filter(|taken| **taken).count(), 1, "{name}: exactly its own kind takes it");
        for len in 0..bytes.len() {
            drop(decode_all(&bytes[..len]));
        }
        assert_eq!(R::decode(&bytes[..2]), Err(Damage::Truncated));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = R::decode(&flipped);
            match bit / 8 {
                0 | 1 => assert_eq!(read, Err(Damage::Schema(u16::from_le_bytes([flipped[0], flipped[1]])))),
                2 => assert_eq!(read, Err(Damage::Kind(flipped[2]))),
                _ => drop(read),
            }
        }
    }
}

#[test]
fn a_value_of_another_kind_or_schema_or_cut_short_or_with_a_bit_flipped_is_refused_or_read_and_never_a_panic() {
    examples(&mut Damaged);
}

proptest! {
    #![proptest_config(world::cases(256))]

    #[test]
    fn arbitrary_bytes_are_never_a_panic(kind in 0_u8..24, mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode_all(&bytes));
        bytes.splice(0..0, [1, 0, kind]);
        drop(decode_all(&bytes));
    }
}

#[test]
fn an_entry_reads_the_same_from_the_log_and_from_a_wake_up() {
    let entry = log_entry(StoredContent::PerDevice(vec![(DEVICE, body("for one"))]));
    for (device, expected) in [(DEVICE, Some("for one")), (DeviceId { serial: 1, ..DEVICE }, None)] {
        let body = expected.map(|text| Body { kind: 7, bytes: text.as_bytes().into() });
        let expected = Entry { seq: Seq(5), sender: DEVICE, id: id(), at: AT, body };
        assert_eq!(StoredEntry::of(&entry, device).unwrap().at(Seq(5)), expected);
        assert_eq!(LogEntry::read_for(&entry.encode(), Seq(5), device).unwrap(), expected);
    }
}
