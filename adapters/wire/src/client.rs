//! Frames from a device to its gateway.

use crate::error::{Problem, WireError};
use crate::generated as pb;
use crate::generated::client_frame::Frame;
use crate::parts::{self, at_most, conversation, conversation_name, device, fixed, phone, serial, target_fields, user};
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::frame::{ClientFrame, Privacy, RequestId, Target, UserList};
use doubletick_core::id::{DeviceId, MessageId, Secret, Seq, UserId};
use doubletick_core::limits;

/// Writes a frame after what the buffer holds.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    parts::append(&pb::ClientFrame { frame: Some(write(frame)) }, out);
}

/// Reads a frame.
///
/// What it allocates is bounded by the length of `bytes`, never by a length that they claim, and that length is bounded first; the
/// reader of the socket must have bounded it before it filled its buffer.
///
/// # Errors
/// The first field that is wrong. See [`WireError::refusal`] for how to go on.
pub fn decode_client(bytes: &[u8]) -> Result<ClientFrame, WireError> {
    let frame = parts::frame::<pb::ClientFrame>(bytes)?.frame.ok_or(WireError::new("frame", Problem::UnknownKind))?;
    let request = request_of(&frame);
    read(frame).map_err(|error| error.of_request(request))
}

fn write(frame: &ClientFrame) -> Frame {
    match frame {
        ClientFrame::Hello { device, secret, run } => {
            Frame::Hello(pb::Hello { user: Some(device.user.0), serial: device.serial.into(), secret: secret.0.to_vec(), run: *run })
        }
        ClientFrame::Send { request, attempt, to, id, content, roster } => {
            Frame::Send(pb::Send { request: request.0, attempt: *attempt, roster: *roster, ..write_send(*to, *id, content) })
        }
        ClientFrame::Ack { request, of, delivered, read } => {
            let (handle, conversation) = target_fields(*of);
            Frame::Ack(pb::Ack { handle, conversation, delivered: delivered.0, read: read.0, request: request.map(|it| it.0) })
        }
        ClientFrame::Fetch { request, of, after } => {
            let (handle, conversation) = target_fields(*of);
            Frame::Fetch(pb::Fetch { request: request.0, handle, conversation, after: after.0 })
        }
        ClientFrame::AskReceipts { of } => {
            Frame::AskReceipts(pb::AskReceipts { conversations: of.iter().copied().map(conversation_name).collect() })
        }
        ClientFrame::Typing { to, active } => {
            let (handle, conversation) = target_fields(*to);
            Frame::Typing(pb::ClientTyping { handle, conversation, active: *active })
        }
        ClientFrame::Watch { user } => Frame::Watch(pb::Watch { user: Some(user.0) }),
        ClientFrame::Unwatch { user } => Frame::Unwatch(pb::Unwatch { user: Some(user.0) }),
        ClientFrame::FindUsers { request, phones } => {
            Frame::FindUsers(pb::FindUsers { request: request.0, phones: phones.iter().map(|phone| phone.as_str().into()).collect() })
        }
        ClientFrame::AskUser { request, user } => Frame::AskUser(pb::AskUser { request: request.0, user: Some(user.0) }),
        ClientFrame::AskRoster { request, of, after } => {
            let (handle, conversation) = target_fields(*of);
            Frame::AskRoster(pb::AskRoster { request: request.0, handle, conversation, after: after.map(|user| user.0) })
        }
        ClientFrame::ListChats { request, after } => {
            Frame::ListChats(pb::ListChats { request: request.0, after: after.map(conversation_name) })
        }
        ClientFrame::SetListed { request, list, user, listed } => {
            Frame::SetListed(pb::SetListed { request: request.0, list: write_list(*list).into(), user: Some(user.0), listed: *listed })
        }
        ClientFrame::SetPrivacy { request, privacy } => {
            Frame::SetPrivacy(pb::SetPrivacy { request: request.0, privacy: write_privacy(*privacy).into() })
        }
        ClientFrame::Renew { request, secret } => Frame::Renew(pb::Renew { request: request.0, secret: secret.0.to_vec() }),
        ClientFrame::RemoveDevice { request, serial } => {
            Frame::RemoveDevice(pb::RemoveDevice { request: request.0, serial: (*serial).into() })
        }
        ClientFrame::Ping => Frame::Ping(pb::Ping {}),
    }
}

fn read(frame: Frame) -> Result<ClientFrame, WireError> {
    Ok(match frame {
        Frame::Hello(it) => {
            let (device, secret) = (device(it.user, it.serial)?, Secret(fixed(&it.secret, "secret")?));
            // Clients that left it out would all look like one run, and throw each other out for ever.
            let run = if it.run == 0 { return Err(WireError::new("run", Problem::Missing)) } else { it.run };
            ClientFrame::Hello { device, secret, run }
        }
        Frame::Send(it) => read_send(it)?,
        Frame::Ack(it) => ClientFrame::Ack {
            request: it.request.map(RequestId),
            of: target(it.handle, it.conversation)?,
            delivered: Seq(it.delivered),
            read: Seq(it.read),
        },
        Frame::Fetch(it) => {
            ClientFrame::Fetch { request: RequestId(it.request), of: target(it.handle, it.conversation)?, after: Seq(it.after) }
        }
        Frame::AskReceipts(it) => {
            let conversations = at_most(limits::BATCH_ITEMS, it.conversations, "conversations")?;
            ClientFrame::AskReceipts { of: conversations.into_iter().map(conversation).collect::<Result<_, _>>()? }
        }
        Frame::Typing(it) => ClientFrame::Typing { to: target(it.handle, it.conversation)?, active: it.active },
        Frame::Watch(it) => ClientFrame::Watch { user: user(it.user)? },
        Frame::Unwatch(it) => ClientFrame::Unwatch { user: user(it.user)? },
        Frame::FindUsers(it) => {
            let phones = at_most(limits::BATCH_ITEMS, it.phones, "phones")?;
            let phones = phones.iter().map(|text| phone(text)).collect::<Result<_, _>>()?;
            ClientFrame::FindUsers { request: RequestId(it.request), phones }
        }
        Frame::AskUser(it) => ClientFrame::AskUser { request: RequestId(it.request), user: user(it.user)? },
        Frame::AskRoster(it) => {
            ClientFrame::AskRoster { request: RequestId(it.request), of: target(it.handle, it.conversation)?, after: it.after.map(UserId) }
        }
        Frame::ListChats(it) => ClientFrame::ListChats { request: RequestId(it.request), after: it.after.map(conversation).transpose()? },
        Frame::SetListed(it) => {
            let list = read_list(it.list)?;
            ClientFrame::SetListed { request: RequestId(it.request), list, user: user(it.user)?, listed: it.listed }
        }
        Frame::SetPrivacy(it) => ClientFrame::SetPrivacy { request: RequestId(it.request), privacy: read_privacy(it.privacy)? },
        Frame::Renew(it) => ClientFrame::Renew { request: RequestId(it.request), secret: Secret(fixed(&it.secret, "secret")?) },
        Frame::RemoveDevice(it) => ClientFrame::RemoveDevice { request: RequestId(it.request), serial: serial(it.serial, "serial")? },
        Frame::Ping(pb::Ping {}) => ClientFrame::Ping,
    })
}

/// The number by which a refusal names the frame.
fn request_of(frame: &Frame) -> Option<RequestId> {
    match frame {
        Frame::Send(it) => Some(RequestId(it.request)),
        Frame::Ack(it) => it.request.map(RequestId),
        Frame::Fetch(it) => Some(RequestId(it.request)),
        Frame::FindUsers(it) => Some(RequestId(it.request)),
        Frame::AskUser(it) => Some(RequestId(it.request)),
        Frame::AskRoster(it) => Some(RequestId(it.request)),
        Frame::ListChats(it) => Some(RequestId(it.request)),
        Frame::SetListed(it) => Some(RequestId(it.request)),
        Frame::SetPrivacy(it) => Some(RequestId(it.request)),
        Frame::Renew(it) => Some(RequestId(it.request)),
        Frame::RemoveDevice(it) => Some(RequestId(it.request)),
        Frame::Hello(_) | Frame::AskReceipts(_) | Frame::Typing(_) | Frame::Watch(_) | Frame::Unwatch(_) | Frame::Ping(_) => None,
    }
}

/// What a message is, but for the numbers of the request.
fn write_send(to: Target, id: MessageId, content: &Content) -> pb::Send {
    let (handle, conversation) = target_fields(to);
    let (kind, body, bodies) = match content.parts() {
        Parts::Shared(body) => (body.kind, Some(body.bytes.to_vec()), Vec::new()),
        Parts::PerDevice(bodies) => (
            0,
            None,
            bodies
                .iter()
                .map(|(device, body)| pb::DeviceBody {
                    user: Some(device.user.0),
                    serial: device.serial.into(),
                    kind: body.kind,
                    body: body.bytes.to_vec(),
                })
                .collect(),
        ),
    };
    pb::Send { handle, conversation, id: id.0.to_vec(), kind, body, bodies, ..pb::Send::default() }
}

fn read_send(it: pb::Send) -> Result<ClientFrame, WireError> {
    let to = target(it.handle, it.conversation)?;
    let id = MessageId(fixed(&it.id, "id")?);
    let parts = match it.body {
        Some(_) if !it.bodies.is_empty() => return Err(WireError::new("bodies", Problem::Forbidden)),
        Some(bytes) => Parts::Shared(Body { kind: it.kind, bytes: bytes.into() }),
        None if it.bodies.is_empty() => return Err(WireError::new("body", Problem::Missing)),
        None => Parts::PerDevice(it.bodies.into_iter().map(device_body).collect::<Result<_, _>>()?),
    };
    let content = Content::new(parts).map_err(|error| WireError::new("body", Problem::Content(error)))?;
    Ok(ClientFrame::Send { request: RequestId(it.request), attempt: it.attempt, to, id, content, roster: it.roster })
}

fn device_body(it: pb::DeviceBody) -> Result<(DeviceId, Body), WireError> {
    Ok((device(it.user, it.serial)?, Body { kind: it.kind, bytes: it.body.into() }))
}

/// A conversation as a device names it: giving out handles is the gateway's part.
fn target(handle: Option<u32>, conversation: Option<pb::Conversation>) -> Result<Target, WireError> {
    match parts::required_target(handle, conversation)? {
        Target::Bind(..) => Err(WireError::new("handle", Problem::Forbidden)),
        target @ (Target::Handle(_) | Target::Id(_)) => Ok(target),
    }
}

fn write_list(list: UserList) -> pb::UserList {
    match list {
        UserList::Contacts => pb::UserList::Contacts,
        UserList::Blocked => pb::UserList::Blocked,
    }
}

fn read_list(number: i32) -> Result<UserList, WireError> {
    match pb::UserList::try_from(number) {
        Ok(pb::UserList::Contacts) => Ok(UserList::Contacts),
        Ok(pb::UserList::Blocked) => Ok(UserList::Blocked),
        Ok(pb::UserList::Unspecified) => Err(WireError::new("list", Problem::Missing)),
        Err(_) => Err(WireError::new("list", Problem::UnknownNumber)),
    }
}

fn write_privacy(privacy: Privacy) -> pb::Privacy {
    match privacy {
        Privacy::Everyone => pb::Privacy::Everyone,
        Privacy::Contacts => pb::Privacy::Contacts,
        Privacy::Nobody => pb::Privacy::Nobody,
    }
}

fn read_privacy(number: i32) -> Result<Privacy, WireError> {
    match pb::Privacy::try_from(number) {
        Ok(pb::Privacy::Everyone) => Ok(Privacy::Everyone),
        Ok(pb::Privacy::Contacts) => Ok(Privacy::Contacts),
        Ok(pb::Privacy::Nobody) => Ok(Privacy::Nobody),
        Ok(pb::Privacy::Unspecified) => Err(WireError::new("privacy", Problem::Missing)),
        Err(_) => Err(WireError::new("privacy", Problem::UnknownNumber)),
    }
}
