//! One frame of every kind, and of every shape in which a kind comes.

use doubletick_core::change::{Change, Settings};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::*;
use doubletick_core::id::*;
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};

pub(crate) const ALICE: UserId = UserId(0x1111_2222_3333_4444);
pub(crate) const BOB: UserId = UserId(0xaaaa_bbbb_cccc_dddd);
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(crate) const TEXT: &[u8; 32] = b"thirty-two bytes of text no less";

pub(crate) fn chat() -> ConversationId {
    ConversationId::direct(ALICE, BOB).unwrap()
}

pub(crate) fn group() -> ConversationId {
    ConversationId::Group(GroupId(*b"a group's number"))
}

/// A group of three.
pub(crate) fn created() -> Change {
    let settings = Settings { admins_add: true, admins_edit: false, admins_post: false, limit: 20 };
    Change::Created { name: "friends".into(), members: vec![BOB, UserId(7)], settings }
}

pub(crate) fn message(n: u8) -> MessageId {
    MessageId::new(NOW, [n; 10])
}

pub(crate) fn delivery(seq: u64, from: Sender, body: Option<Body>) -> Delivery {
    Delivery { seq: Seq(seq), from, id: message(seq as u8), at: NOW, body }
}

pub(crate) fn text(bytes: &[u8]) -> Body {
    Body { kind: 0, bytes: bytes.into() }
}

/// The names are those of the golden files; before the first full stop stands the kind.
pub(crate) fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let request = RequestId(1000);
    let handle = Target::Handle(Handle(5));
    let send = |to, attempt, content| ClientFrame::Send { request, attempt, to, id: message(1), content, roster: 0 };
    let in_group = |to, content, roster| ClientFrame::Send { request, attempt: 0, to, id: message(2), content, roster };
    let per_device = Parts::PerDevice(vec![
        (DeviceId { user: ALICE, serial: 2 }, Body { kind: 1024, bytes: (*b"one").into() }),
        (DeviceId { user: BOB, serial: 65535 }, Body { kind: u32::MAX, bytes: (*b"").into() }),
    ]);
    vec![
        ("hello", ClientFrame::Hello { device: DeviceId { user: ALICE, serial: 1 }, secret: Secret([7; 32]), run: 0x5eed }),
        ("send.handle", send(handle, 0, Content::shared(0, *TEXT).unwrap())),
        ("send.id", send(Target::Id(chat()), 3, Content::shared(9, *b"").unwrap())),
        ("send.per_device", send(handle, 0, Content::new(per_device).unwrap())),
        ("send.group", in_group(Target::Id(group()), Content::shared(0, *TEXT).unwrap(), 7)),
        ("send.change", in_group(handle, created().content(), 0)),
        ("ack", ClientFrame::Ack { request: None, of: handle, delivered: Seq(1000), read: Seq::START }),
        ("ack.read", ClientFrame::Ack { request: None, of: Target::Id(chat()), delivered: Seq(u64::MAX), read: Seq(990) }),
        ("ack.request", ClientFrame::Ack { request: Some(RequestId(0)), of: handle, delivered: Seq(1000), read: Seq(990) }),
        ("fetch", ClientFrame::Fetch { request, of: handle, after: Seq(900) }),
        ("ask_receipts", ClientFrame::AskReceipts { of: vec![chat(), ConversationId::direct(UserId(0), ALICE).unwrap()] }),
        ("typing", ClientFrame::Typing { to: handle, active: true }),
        ("typing.stopped", ClientFrame::Typing { to: Target::Handle(Handle(0)), active: false }),
        ("watch", ClientFrame::Watch { user: BOB }),
        ("unwatch", ClientFrame::Unwatch { user: BOB }),
        ("find_users", ClientFrame::FindUsers { request, phones: vec![phone("+15550100"), phone("+4915112345678")] }),
        ("ask_user", ClientFrame::AskUser { request, user: BOB }),
        ("ask_roster", ClientFrame::AskRoster { request, of: handle, after: None }),
        ("ask_roster.after", ClientFrame::AskRoster { request, of: Target::Id(group()), after: Some(BOB) }),
        ("list_chats", ClientFrame::ListChats { request, after: None }),
        ("list_chats.after", ClientFrame::ListChats { request, after: Some(chat()) }),
        ("set_listed", ClientFrame::SetListed { request, list: UserList::Contacts, user: BOB, listed: true }),
        ("set_listed.off", ClientFrame::SetListed { request, list: UserList::Blocked, user: BOB, listed: false }),
        ("set_privacy.everyone", ClientFrame::SetPrivacy { request, privacy: Privacy::Everyone }),
        ("set_privacy.contacts", ClientFrame::SetPrivacy { request, privacy: Privacy::Contacts }),
        ("set_privacy.nobody", ClientFrame::SetPrivacy { request, privacy: Privacy::Nobody }),
        ("renew", ClientFrame::Renew { request, secret: Secret([8; 32]) }),
        ("remove_device", ClientFrame::RemoveDevice { request, serial: 3 }),
        ("ping", ClientFrame::Ping),
    ]
}

/// As [`client_frames`].
pub(crate) fn server_frames() -> Vec<(&'static str, ServerFrame)> {
    let request = RequestId(1000);
    let handle = Target::Handle(Handle(5));
    let bind = Target::Bind(Handle(5), chat());
    let bob = |serial| DeviceId { user: BOB, serial };
    let run = vec![
        delivery(1000, Sender::Peer(1), Some(text(TEXT))),
        delivery(1001, Sender::Own(2), Some(Body { kind: 1024, bytes: (*b"").into() })),
        delivery(1002, Sender::Peer(3), None),
    ];
    let in_group = vec![delivery(1, Sender::Member(bob(1)), Some(text(TEXT))), delivery(2, Sender::Member(bob(65535)), None)];
    let nothing = (Seq::START, Seq::START);
    let member = |user, phone, admin, devices| RosterEntry { user, phone, admin, devices, delivered: nothing.0, read: nothing.1 };
    let members = vec![member(ALICE, None, true, vec![1]), member(BOB, None, false, vec![2, 300])];
    let known = vec![member(ALICE, Some(phone("+15550100")), true, vec![1])];
    let reached = known.iter().map(|known| RosterEntry { delivered: Seq(1000), read: Seq(7), ..known.clone() }).collect();
    let damaged = Delivery { seq: Seq(1000), from: Sender::Own(0), id: MessageId([0; 16]), at: Timestamp::default(), body: None };
    let card = UserCard { user: BOB, phone: phone("+15550100"), devices: vec![1, 2, 300] };
    let row = Chat { conversation: chat(), head: Seq(1000), at: NOW, unread: 12 };
    let presence = |presence| ServerFrame::Presence { user: BOB, presence };
    vec![
        ("welcome", ServerFrame::Welcome { now: NOW, token_expires: NOW + Millis::days(30), window: 64 }),
        ("accepted", ServerFrame::Accepted { request, of: None, seq: Seq(1000), at: NOW }),
        ("accepted.bind", ServerFrame::Accepted { request, of: Some(bind), seq: Seq(1), at: NOW }),
        ("refused", ServerFrame::Refused { request: Some(request), reject: Reject::NotMember }),
        ("refused.detail", ServerFrame::Refused { request: None, reject: Reject::TooMany { retry_after: Millis(1500) } }),
        ("deliver", ServerFrame::Deliver { of: handle, entries: run[..1].to_vec() }),
        ("deliver.run", ServerFrame::Deliver { of: bind, entries: run.clone() }),
        ("deliver.group", ServerFrame::Deliver { of: Target::Bind(Handle(6), group()), entries: in_group }),
        ("page", ServerFrame::Page { request, entries: run, head: Seq(2000) }),
        ("page.empty", ServerFrame::Page { request, entries: vec![], head: Seq(900) }),
        ("page.damaged", ServerFrame::Page { request, entries: vec![damaged], head: Seq(1000) }),
        ("receipt", ServerFrame::Receipt { of: handle, delivered: Seq(1000), read: Seq(990) }),
        ("typing", ServerFrame::Typing { of: Target::Id(chat()), by: None, active: true }),
        ("typing.group", ServerFrame::Typing { of: Target::Id(group()), by: Some(BOB), active: true }),
        ("presence.hidden", presence(Presence::Hidden)),
        ("presence.online", presence(Presence::Online)),
        ("presence.offline", presence(Presence::Offline { last_seen: Some(NOW) })),
        ("presence.never", presence(Presence::Offline { last_seen: None })),
        ("users", ServerFrame::Users { request, users: vec![card] }),
        ("chats", ServerFrame::Chats { request, chats: vec![row], more: true }),
        ("roster", ServerFrame::Roster { request, name: "friends".into(), epoch: 7, members, more: true }),
        ("roster.reached", ServerFrame::Roster { request, name: "friends".into(), epoch: 7, members: reached, more: false }),
        ("roster.phone", ServerFrame::Roster { request, name: "friends".into(), epoch: 7, members: known, more: false }),
        ("done", ServerFrame::Done { request, expires: Timestamp::default() }),
        ("done.renewed", ServerFrame::Done { request, expires: NOW }),
        ("pong", ServerFrame::Pong),
        ("goodbye", ServerFrame::Goodbye { reason: CloseReason::Restarting, retry_after: Millis(2500) }),
    ]
}

pub(crate) fn phone(text: &str) -> Phone {
    Phone::parse(text).unwrap()
}
