//! Frames from a gateway to a device.

use crate::error::{Problem, WireError};
use crate::generated as pb;
use crate::generated::deliver::Sender as FirstSender;
use crate::generated::entry::Sender as EntrySender;
use crate::generated::presence::State;
use crate::generated::server_frame::Frame;
use crate::parts::{self, at_most, conversation, conversation_name, required_target, serial, target, target_fields, user};
use doubletick_core::frame::{Chat, CloseReason, Delivery, Presence, RequestId, RosterEntry, ServerFrame, Target, UserCard};
use doubletick_core::id::{Seq, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};

/// Writes a frame after what the buffer holds.
///
/// # Panics
/// If the entries of [`ServerFrame::Deliver`] or [`ServerFrame::Page`] have a gap, or the former has none.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    parts::append(&pb::ServerFrame { frame: Some(write(frame)) }, out);
}

/// Reads a frame.
///
/// What it allocates is bounded by the length of `bytes`, never by a length that they claim, and that length is bounded first; the
/// reader of the socket must have bounded it before it filled its buffer.
///
/// # Errors
/// The first field that is wrong.
pub fn decode_server(bytes: &[u8]) -> Result<ServerFrame, WireError> {
    read(parts::frame::<pb::ServerFrame>(bytes)?.frame.ok_or(WireError::new("frame", Problem::UnknownKind))?)
}

fn write(frame: &ServerFrame) -> Frame {
    match frame {
        ServerFrame::Welcome { now, token_expires, window } => {
            Frame::Welcome(pb::Welcome { now: now.millis(), token_expires: token_expires.millis(), window: *window })
        }
        ServerFrame::Accepted { request, of, seq, at } => {
            let (handle, conversation) = of.map_or((None, None), target_fields);
            Frame::Accepted(pb::Accepted { request: request.0, seq: seq.0, at: at.millis(), handle, conversation })
        }
        ServerFrame::Refused { request, reject } => {
            Frame::Refused(pb::Refused { request: request.map(|request| request.0), code: reject.code(), detail: reject.detail() })
        }
        ServerFrame::Deliver { of, entries } => Frame::Deliver(write_deliver(*of, entries)),
        ServerFrame::Page { request, entries, head } => {
            let (seq, entries) = parts::entries(entries);
            Frame::Page(pb::Page { request: request.0, seq, entries, head: head.0 })
        }
        ServerFrame::Receipt { of, delivered, read } => {
            let (handle, conversation) = target_fields(*of);
            Frame::Receipt(pb::Receipt { handle, conversation, delivered: delivered.0, read: read.0 })
        }
        ServerFrame::Typing { of, by, active } => {
            let (handle, conversation) = target_fields(*of);
            Frame::Typing(pb::ServerTyping { handle, conversation, active: *active, by: by.map(|user| user.0) })
        }
        ServerFrame::Presence { user, presence } => {
            let (state, last_seen) = write_presence(*presence);
            Frame::Presence(pb::Presence { user: Some(user.0), state: state.into(), last_seen })
        }
        ServerFrame::Users { request, users } => {
            Frame::Users(pb::Users { request: request.0, users: users.iter().map(write_card).collect() })
        }
        ServerFrame::Chats { request, chats, more } => {
            Frame::Chats(pb::Chats { request: request.0, chats: chats.iter().map(write_chat).collect(), more: *more })
        }
        ServerFrame::Roster { request, name, epoch, members, more } => Frame::Roster(pb::Roster {
            request: request.0,
            name: name.clone(),
            epoch: *epoch,
            members: members.iter().map(write_member).collect(),
            more: *more,
        }),
        ServerFrame::Done { request, expires } => Frame::Done(pb::Done { request: request.0, expires: expires.millis() }),
        ServerFrame::Pong => Frame::Pong(pb::Pong {}),
        ServerFrame::Goodbye { reason, retry_after } => {
            Frame::Goodbye(pb::Goodbye { reason: reason.code().into(), retry_after: retry_after.0 })
        }
    }
}

fn read(frame: Frame) -> Result<ServerFrame, WireError> {
    Ok(match frame {
        Frame::Welcome(it) => ServerFrame::Welcome {
            now: Timestamp::from_millis(it.now),
            token_expires: Timestamp::from_millis(it.token_expires),
            window: it.window,
        },
        Frame::Accepted(it) => ServerFrame::Accepted {
            request: RequestId(it.request),
            of: target(it.handle, it.conversation)?,
            seq: position(it.seq)?,
            at: Timestamp::from_millis(it.at),
        },
        Frame::Refused(it) => ServerFrame::Refused {
            request: it.request.map(RequestId),
            reject: Reject::from_code(it.code, it.detail).ok_or(WireError::new("code", Problem::UnknownNumber))?,
        },
        Frame::Deliver(it) => read_deliver(it)?,
        Frame::Page(it) => {
            let entries = parts::deliveries(it.seq, it.entries)?;
            ServerFrame::Page { request: RequestId(it.request), entries, head: Seq(it.head) }
        }
        Frame::Receipt(it) => {
            let of = required_target(it.handle, it.conversation)?;
            ServerFrame::Receipt { of, delivered: Seq(it.delivered), read: Seq(it.read) }
        }
        Frame::Typing(it) => {
            let of = required_target(it.handle, it.conversation)?;
            ServerFrame::Typing { of, by: it.by.map(UserId), active: it.active }
        }
        Frame::Presence(it) => ServerFrame::Presence { user: user(it.user)?, presence: read_presence(it.state, it.last_seen)? },
        Frame::Users(it) => {
            let users = at_most(limits::BATCH_ITEMS, it.users, "users")?;
            ServerFrame::Users { request: RequestId(it.request), users: users.into_iter().map(read_card).collect::<Result<_, _>>()? }
        }
        Frame::Chats(it) => {
            let chats = at_most(limits::PAGE_CONVERSATIONS as usize, it.chats, "chats")?;
            let chats = chats.into_iter().map(read_chat).collect::<Result<_, _>>()?;
            ServerFrame::Chats { request: RequestId(it.request), chats, more: it.more }
        }
        Frame::Roster(it) => {
            let members = at_most(limits::PAGE_MEMBERS as usize, it.members, "members")?;
            let members = members.into_iter().map(read_member).collect::<Result<_, _>>()?;
            ServerFrame::Roster { request: RequestId(it.request), name: it.name, epoch: it.epoch, members, more: it.more }
        }
        Frame::Done(it) => ServerFrame::Done { request: RequestId(it.request), expires: Timestamp::from_millis(it.expires) },
        Frame::Pong(pb::Pong {}) => ServerFrame::Pong,
        Frame::Goodbye(it) => ServerFrame::Goodbye { reason: read_reason(it.reason)?, retry_after: Millis(it.retry_after) },
    })
}

fn write_deliver(of: Target, deliveries: &[Delivery]) -> pb::Deliver {
    let (handle, conversation) = target_fields(of);
    let (seq, entries) = parts::entries(deliveries);
    let mut more = entries;
    assert!(!more.is_empty(), "a delivery has at least one entry");
    let pb::Entry { sender, id, at, kind, body } = more.remove(0);
    let sender = sender.map(|sender| match sender {
        EntrySender::Peer(serial) => FirstSender::Peer(serial),
        EntrySender::Own(serial) => FirstSender::Own(serial),
        EntrySender::Member(device) => FirstSender::Member(device),
    });
    pb::Deliver { handle, seq, sender, id, at, kind, body, conversation, more }
}

fn read_deliver(it: pb::Deliver) -> Result<ServerFrame, WireError> {
    let of = required_target(it.handle, it.conversation)?;
    let sender = it.sender.map(|sender| match sender {
        FirstSender::Peer(serial) => EntrySender::Peer(serial),
        FirstSender::Own(serial) => EntrySender::Own(serial),
        FirstSender::Member(device) => EntrySender::Member(device),
    });
    let mut entries = it.more;
    entries.insert(0, pb::Entry { sender, id: it.id, at: it.at, kind: it.kind, body: it.body });
    Ok(ServerFrame::Deliver { of, entries: parts::deliveries(it.seq, entries)? })
}

fn position(seq: u64) -> Result<Seq, WireError> {
    if seq == 0 { Err(WireError::new("seq", Problem::Missing)) } else { Ok(Seq(seq)) }
}

fn write_presence(presence: Presence) -> (State, Option<u64>) {
    match presence {
        Presence::Hidden => (State::Hidden, None),
        Presence::Online => (State::Online, None),
        Presence::Offline { last_seen } => (State::Offline, last_seen.map(Timestamp::millis)),
    }
}

fn read_presence(state: i32, last_seen: Option<u64>) -> Result<Presence, WireError> {
    match State::try_from(state) {
        Ok(State::Hidden) => Ok(Presence::Hidden),
        Ok(State::Online) => Ok(Presence::Online),
        Ok(State::Offline) => Ok(Presence::Offline { last_seen: last_seen.map(Timestamp::from_millis) }),
        Ok(State::Unspecified) => Err(WireError::new("state", Problem::Missing)),
        Err(_) => Err(WireError::new("state", Problem::UnknownNumber)),
    }
}

fn write_card(card: &UserCard) -> pb::UserCard {
    pb::UserCard {
        user: Some(card.user.0),
        phone: card.phone.as_str().into(),
        devices: card.devices.iter().copied().map(u32::from).collect(),
    }
}

fn read_card(it: pb::UserCard) -> Result<UserCard, WireError> {
    Ok(UserCard { devices: read_devices(it.devices)?, user: user(it.user)?, phone: parts::phone(&it.phone)? })
}

fn read_devices(numbers: Vec<u32>) -> Result<Vec<u16>, WireError> {
    let devices = at_most(limits::DEVICES_PER_USER, numbers, "devices")?;
    devices.into_iter().map(|number| serial(number, "devices")).collect()
}

fn write_member(member: &RosterEntry) -> pb::RosterEntry {
    let devices = member.devices.iter().copied().map(u32::from).collect();
    let phone = member.phone.as_ref().map(|phone| phone.as_str().into()).unwrap_or_default();
    pb::RosterEntry { user: Some(member.user.0), admin: member.admin, devices, phone, delivered: member.delivered.0, read: member.read.0 }
}

fn read_member(it: pb::RosterEntry) -> Result<RosterEntry, WireError> {
    let phone = if it.phone.is_empty() { None } else { Some(parts::phone(&it.phone)?) };
    let (delivered, read) = (Seq(it.delivered), Seq(it.read));
    Ok(RosterEntry { user: user(it.user)?, phone, admin: it.admin, devices: read_devices(it.devices)?, delivered, read })
}

fn write_chat(chat: &Chat) -> pb::Chat {
    let conversation = Some(conversation_name(chat.conversation));
    pb::Chat { conversation, head: chat.head.0, at: chat.at.millis(), unread: chat.unread }
}

fn read_chat(it: pb::Chat) -> Result<Chat, WireError> {
    let name = it.conversation.ok_or(WireError::new("conversation", Problem::Missing))?;
    Ok(Chat { conversation: conversation(name)?, head: Seq(it.head), at: Timestamp::from_millis(it.at), unread: it.unread })
}

fn read_reason(code: u32) -> Result<CloseReason, WireError> {
    let reason = u16::try_from(code).ok().and_then(CloseReason::from_code);
    reason.ok_or(WireError::new("reason", Problem::UnknownNumber))
}
