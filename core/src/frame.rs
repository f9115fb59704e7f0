//! What devices and gateways say to each other, as values. Adapters turn them into bytes; `proto/` describes those.

use crate::content::{Body, Content};
use crate::id::{ConversationId, DeviceId, MessageId, Phone, Secret, Seq, UserId};
use crate::reject::Reject;
use crate::time::{Millis, Timestamp};
use alloc::string::String;
use alloc::vec::Vec;

/// A client's number for a request, counted within a session; the reply repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// A short name for a conversation within one session. The gateway gives them out, and never gives one to another conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub u32);

/// How a frame names a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// By the handle that the gateway gave out earlier in this session.
    Handle(Handle),
    /// In full.
    Id(ConversationId),
    /// In full, with the handle that stands for it from now on. Only gateways say this.
    Bind(Handle, ConversationId),
}

/// Who may see a user's presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Privacy {
    /// Everyone.
    Everyone,
    /// The users on the owner's contact list.
    #[default]
    Contacts,
    /// Nobody.
    Nobody,
}

/// A user's presence, as far as the asker may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The asker may not see it.
    Hidden,
    /// A device of the user is connected.
    Online,
    /// No device is connected.
    Offline {
        /// When a device of the user was last heard; `None` if none ever was.
        last_seen: Option<Timestamp>,
    },
}

/// From a device to its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first frame of a connection.
    Hello {
        /// Who is there.
        device: DeviceId,
        /// The proof.
        secret: Secret,
        /// Which run of the client program it is, not 0: later runs have greater numbers, also across crashes. A run never takes the place of a
        /// later one. Of two connections of one run, the gateway that closes the older one does not say [`CloseReason::Replaced`], because there
        /// is no other client that has taken its place.
        run: u64,
    },
    /// A message.
    Send {
        /// The reply is [`ServerFrame::Accepted`] or [`ServerFrame::Refused`].
        request: RequestId,
        /// How often this session was told to send again; see [`Reject::Superseded`].
        attempt: u32,
        /// Where to.
        to: Target,
        /// Its name, the same for every retry.
        id: MessageId,
        /// What it carries. Into a group, also what is to be changed of it; see [`crate::change`].
        content: Content,
        /// The roster epoch that a message into a group was made for; zero for a change, and in a direct conversation.
        roster: u64,
    },
    /// The device has stored everything up to `delivered`, and its user was shown everything up to `read`.
    Ack {
        /// The reply is [`ServerFrame::Done`] if there is a number, and nothing if there is none. Of several that wait, the last is
        /// answered for all: positions only grow.
        request: Option<RequestId>,
        /// In which conversation.
        of: Target,
        /// The device's contiguous position.
        delivered: Seq,
        /// The position up to which the user was shown the conversation; [`Seq::START`] says nothing.
        read: Seq,
    },
    /// Entries after a position. The reply is [`ServerFrame::Page`].
    Fetch {
        /// Repeated by the reply.
        request: RequestId,
        /// Of which conversation.
        of: Target,
        /// The position before the first entry wanted.
        after: Seq,
    },
    /// How far the other side has got; in a group, all others. The replies are one [`ServerFrame::Receipt`] for each conversation that has moved at all.
    AskReceipts {
        /// At most [`crate::limits::BATCH_ITEMS`].
        of: Vec<ConversationId>,
    },
    /// The user is typing, or has stopped. Never stored; no reply. In a group of more than [`crate::limits::SYNCHRONOUS_FAN_OUT`] members nobody is
    /// told.
    Typing {
        /// In which conversation.
        to: Target,
        /// Whether the user is typing.
        active: bool,
    },
    /// Tell this session of the user's coming and going. The reply is [`ServerFrame::Presence`].
    Watch {
        /// Whom to watch.
        user: UserId,
    },
    /// The end of [`ClientFrame::Watch`]. No reply.
    Unwatch {
        /// Whom not to watch any more.
        user: UserId,
    },
    /// Which of these phone numbers have accounts. The reply is [`ServerFrame::Users`].
    FindUsers {
        /// Repeated by the reply.
        request: RequestId,
        /// At most [`crate::limits::BATCH_ITEMS`].
        phones: Vec<Phone>,
    },
    /// Who is behind a user id. The reply is [`ServerFrame::Users`] with one or no user.
    AskUser {
        /// Repeated by the reply.
        request: RequestId,
        /// The id.
        user: UserId,
    },
    /// A page of the members of a group. The reply is [`ServerFrame::Roster`].
    AskRoster {
        /// Repeated by the reply.
        request: RequestId,
        /// Of which group.
        of: Target,
        /// The last member of the previous page, `None` for the first page.
        after: Option<UserId>,
    },
    /// The conversations of this user. The reply is [`ServerFrame::Chats`].
    ListChats {
        /// Repeated by the reply.
        request: RequestId,
        /// The last conversation of the previous page, `None` for the first page.
        after: Option<ConversationId>,
    },
    /// Puts a user on a list of this user's, or takes them off. The reply is [`ServerFrame::Done`].
    SetListed {
        /// Repeated by the reply.
        request: RequestId,
        /// Which list.
        list: UserList,
        /// Whom.
        user: UserId,
        /// On, or off.
        listed: bool,
    },
    /// Who may see this user's presence. The reply is [`ServerFrame::Done`].
    SetPrivacy {
        /// Repeated by the reply.
        request: RequestId,
        /// From now on.
        privacy: Privacy,
    },
    /// Exchanges the session's token for a new one. The reply is [`ServerFrame::Done`].
    Renew {
        /// Repeated by the reply.
        request: RequestId,
        /// Made by the client, so that a retry is the same request.
        secret: Secret,
    },
    /// Removes a device from this user's account. The reply is [`ServerFrame::Done`].
    RemoveDevice {
        /// Repeated by the reply.
        request: RequestId,
        /// The device's number within the account.
        serial: u16,
    },
    /// The device is there. The reply is [`ServerFrame::Pong`].
    Ping,
}

/// A list of users that a user keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserList {
    /// Those who may see the owner's presence under [`Privacy::Contacts`].
    Contacts,
    /// Those whose messages, typing and presence the owner wants to have nothing to do with.
    Blocked,
}

/// From a gateway to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to [`ClientFrame::Hello`]: the session is open.
    Welcome {
        /// The server's clock.
        now: Timestamp,
        /// When the token runs out.
        token_expires: Timestamp,
        /// Messages that the session may have sent without having heard of them.
        window: u32,
    },
    /// The message has a position and is durable: the first tick.
    Accepted {
        /// Of [`ClientFrame::Send`].
        request: RequestId,
        /// The conversation, bound to a handle if it had none.
        of: Option<Target>,
        /// The message's position for ever.
        seq: Seq,
        /// When the server first accepted it.
        at: Timestamp,
    },
    /// The request changed nothing.
    Refused {
        /// Which request; `None` where the frame had no number.
        request: Option<RequestId>,
        /// Why.
        reject: Reject,
    },
    /// Entries of one conversation, contiguous, following those that this session has delivered.
    Deliver {
        /// Which conversation.
        of: Target,
        /// At least one, without gaps.
        entries: Vec<Delivery>,
    },
    /// The answer to [`ClientFrame::Fetch`].
    Page {
        /// Of the request.
        request: RequestId,
        /// Contiguous entries after the position asked for.
        entries: Vec<Delivery>,
        /// The last position of the conversation.
        head: Seq,
    },
    /// How far the other side of a conversation has got; in a group, how far all others have. Watermarks: an older one changes nothing.
    Receipt {
        /// Which conversation.
        of: Target,
        /// Everything up to here is on a device of theirs: the second tick.
        delivered: Seq,
        /// Everything up to here was shown to them.
        read: Seq,
    },
    /// The other side is typing, or has stopped.
    Typing {
        /// Which conversation.
        of: Target,
        /// In a group, who.
        by: Option<UserId>,
        /// Whether they are typing.
        active: bool,
    },
    /// The presence of a user that this session watches.
    Presence {
        /// Whose.
        user: UserId,
        /// What there is to be seen.
        presence: Presence,
    },
    /// The answer to [`ClientFrame::FindUsers`] and [`ClientFrame::AskUser`].
    Users {
        /// Of the request.
        request: RequestId,
        /// Those that have accounts.
        users: Vec<UserCard>,
    },
    /// The answer to [`ClientFrame::AskRoster`].
    Roster {
        /// Of the request.
        request: RequestId,
        /// What the group is called.
        name: String,
        /// The roster epoch. If it differs from that of the page before, the pages are to be asked for from the first on.
        epoch: u64,
        /// In the order of user ids.
        members: Vec<RosterEntry>,
        /// Whether there are more after the last of these.
        more: bool,
    },
    /// The answer to [`ClientFrame::ListChats`].
    Chats {
        /// Of the request.
        request: RequestId,
        /// In the order of conversation ids.
        chats: Vec<Chat>,
        /// Whether there are more after the last of these.
        more: bool,
    },
    /// The request was carried out.
    Done {
        /// Which one.
        request: RequestId,
        /// For [`ClientFrame::Renew`], when the new token runs out; else zero.
        expires: Timestamp,
    },
    /// The answer to [`ClientFrame::Ping`].
    Pong,
    /// The last frame before the gateway closes the connection.
    Goodbye {
        /// Why.
        reason: CloseReason,
        /// How long to wait before connecting again; the gateway has spread it, the client need not.
        retry_after: Millis,
    },
}

/// An entry on its way to one device. Who sent it is said as short as can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it stands.
    pub seq: Seq,
    /// Whose it is.
    pub from: Sender,
    /// The name that the sender gave it.
    pub id: MessageId,
    /// When the server accepted it.
    pub at: Timestamp,
    /// What it carries for this device, if anything.
    pub body: Option<Body>,
}

/// The sending device, seen from a member of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A device of the receiver's own user.
    Own(u16),
    /// A device of the other user of a direct conversation.
    Peer(u16),
    /// A device of somebody else in a group.
    Member(DeviceId),
}

/// An account as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCard {
    /// The user.
    pub user: UserId,
    /// The phone number.
    pub phone: Phone,
    /// The serials of the linked devices.
    pub devices: Vec<u16>,
}

/// A member of a group, as the others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// The user.
    pub user: UserId,
    /// Their phone number; `None` if the server cannot read it.
    pub phone: Option<Phone>,
    /// Whether they are an admin.
    pub admin: bool,
    /// The serials of their linked devices.
    pub devices: Vec<u16>,
    /// Everything up to here is on a device of theirs.
    pub delivered: Seq,
    /// Everything up to here was shown to them.
    pub read: Seq,
}

/// A conversation in the chat list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Which one.
    pub conversation: ConversationId,
    /// Its last position.
    pub head: Seq,
    /// When that was accepted.
    pub at: Timestamp,
    /// Messages of others after what was read.
    pub unread: u64,
}

/// Why a gateway closes a connection. Each has its WebSocket close code, in the range of RFC 6455 §7.4.2 for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// A frame broke the protocol: it could not be read, or came out of turn.
    Protocol,
    /// A frame or message was larger than the limit.
    TooLarge,
    /// The connection did not greet in time.
    HandshakeTimeout,
    /// The token was not accepted: do not connect again with it.
    BadToken,
    /// A newer connection of the same device has taken its place: do not connect again.
    Replaced,
    /// The device was removed from its account: do not connect again.
    DeviceRemoved,
    /// Nothing was heard for [`crate::limits::DEAD_AFTER`].
    Dead,
    /// What was delivered was not acknowledged in time.
    AckTimeout,
    /// The peer does not read what is sent to it.
    SlowReader,
    /// The peer sends more, or asks for more, than its window allows.
    Flood,
    /// The server stops or moves the connection elsewhere: connect again after the delay.
    Restarting,
    /// The gateway has too many connections: connect again after the delay.
    Overloaded,
    /// The gateway cannot reach its store, or has lost its lease: connect again after the delay.
    Unavailable,
}

impl CloseReason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 13] = [
        Self::Protocol,
        Self::TooLarge,
        Self::HandshakeTimeout,
        Self::BadToken,
        Self::Replaced,
        Self::DeviceRemoved,
        Self::Dead,
        Self::AckTimeout,
        Self::SlowReader,
        Self::Flood,
        Self::Restarting,
        Self::Overloaded,
        Self::Unavailable,
    ];

    /// The WebSocket close code; stable.
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol => 4000,
            Self::TooLarge => 4001,
            Self::HandshakeTimeout => 4002,
            Self::BadToken => 4003,
            Self::Replaced => 4004,
            Self::DeviceRemoved => 4005,
            Self::Dead => 4006,
            Self::AckTimeout => 4007,
            Self::SlowReader => 4008,
            Self::Flood => 4009,
            Self::Restarting => 4010,
            Self::Overloaded => 4011,
            Self::Unavailable => 4012,
        }
    }

    /// Reads a close code; `None` for one that this version does not know.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Whether a client must not connect again by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::BadToken | Self::Replaced | Self::DeviceRemoved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_is_read_back_as_the_reason_that_it_was() {
        for reason in CloseReason::ALL {
            assert_eq!(CloseReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(CloseReason::from_code(1000), None);
    }
}
