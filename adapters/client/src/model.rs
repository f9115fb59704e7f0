//! What an application shows.

use doubletick_core::change::{self, Change};
use doubletick_core::content::{Body as Bytes, TRIMMED};
use doubletick_core::frame::{CloseReason, Presence};
use doubletick_core::id::{ConversationId, MessageId, Phone, Seq, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::time::{Millis, Timestamp};

use crate::storage::{Address, Contact, Place};

/// The kind of a body that is text in UTF-8 (`BODY_KIND_TEXT` in `proto/`).
pub(crate) const KIND_TEXT: u32 = 0;

/// A message of a conversation's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it stands. Places order the messages of one conversation; one that waits stands at the end until it has its position.
    pub place: Place,
    /// Its name, given by its sender.
    pub id: MessageId,
    /// Whether this user wrote it, on this device or on another.
    pub own: bool,
    /// Who wrote it, in a group, if it was not this user.
    pub from: Option<UserId>,
    /// The number that the sending device has in its account; 0 for this one.
    pub device: u16,
    /// When the server accepted it, by the server's clock; until then, when it was written, by this device's.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
    /// How far it has got.
    pub state: State,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A text.
    Text(String),
    /// The group has changed: the sender has changed it.
    Change(Change),
    /// Something that this version cannot show. It is kept.
    Unknown {
        /// What it is, by a number that a later version knows.
        kind: u32,
        /// How much of it there is.
        bytes: usize,
    },
    /// It carries nothing for this device.
    Nothing,
    /// The server did not keep it until this device asked for it.
    Trimmed,
    /// What was stored of it does not read.
    Damaged,
}

impl Body {
    pub(crate) fn read(kind: u32, bytes: Option<Vec<u8>>) -> Self {
        let Some(bytes) = bytes else { return Self::Nothing };
        let unknown = Self::Unknown { kind, bytes: bytes.len() };
        match kind {
            KIND_TEXT => String::from_utf8(bytes).map_or(unknown, Self::Text),
            change::KIND => match Change::of_body(&Bytes { kind, bytes: bytes.into() }) {
                Ok(Some(change)) => Self::Change(change),
                Ok(None) | Err(change::NotAChange) => unknown,
            },
            TRIMMED => Self::Trimmed,
            _ => unknown,
        }
    }

    /// The text, or a note in brackets that stands in its place.
    pub fn display(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Change(change) => format!("[{}]", happened(change)).into(),
            Self::Unknown { kind, bytes } => format!("[a message of kind {kind}, {bytes} bytes, which this version cannot show]").into(),
            Self::Nothing => "[a message that is not for this device]".into(),
            Self::Trimmed => "[a message that the server does not keep any more]".into(),
            Self::Damaged => "[a message that cannot be read any more]".into(),
        }
    }
}

/// What has become of a group, without the names of those whom it is about.
fn happened(change: &Change) -> String {
    match change {
        Change::Created { name, .. } => format!("created the group {name}"),
        Change::Added { users } if users.len() == 1 => "added a member".into(),
        Change::Added { users } => format!("added {} members", users.len()),
        Change::Removed { .. } => "removed a member".into(),
        Change::Left => "left".into(),
        Change::RoleSet { admin: true, .. } => "made a member an admin".into(),
        Change::RoleSet { admin: false, .. } => "made an admin a member".into(),
        Change::Renamed { name } => format!("named the group {name}"),
        Change::AvatarSet { .. } => "changed the group's picture".into(),
        Change::SettingsSet { .. } => "changed the group's settings".into(),
    }
}

/// How far a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Somebody else wrote it.
    Received,
    /// It is stored here, and the server has not accepted it.
    Waiting,
    /// The server has it: the first tick.
    Sent,
    /// A device of the other side has it: the second tick. In a group, a device of every other member.
    Delivered,
    /// It was shown to the other side; in a group, to every other member.
    Read,
    /// The server will never take it.
    Failed {
        /// Why: a reject number of `docs/protocol.md`.
        code: u32,
    },
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Which one.
    pub conversation: ConversationId,
    /// With whom.
    pub with: Party,
    /// The last message.
    pub last: Option<Message>,
    /// Messages of others that were not shown. The changes of a group do not count.
    pub unread: u64,
}

/// With whom a conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// Somebody.
    Person(Person),
    /// A group.
    Group(Group),
}

impl Party {
    /// What the conversation is called.
    pub fn display(&self) -> String {
        match self {
            Self::Person(person) => person.display(),
            Self::Group(group) => group.display(),
        }
    }
}

/// A group, as far as this device has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is called, once that is known.
    pub name: Option<String>,
    /// Whether the user is a member.
    pub member: bool,
}

impl Group {
    /// The name, or a word in its place.
    pub fn display(&self) -> String {
        self.name.clone().unwrap_or_else(|| "a group".into())
    }
}

/// A member of a group, as the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// Whether they are an admin.
    pub admin: bool,
    /// Everything up to here is on a device of theirs.
    pub delivered: Seq,
    /// Everything up to here was shown to them.
    pub read: Seq,
}

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub user: UserId,
    /// Its number, once the server has told it.
    pub phone: Option<Phone>,
    /// What the user of this device calls them.
    pub name: Option<String>,
    /// Whether they are on the user's contact list.
    pub contact: Contact,
    /// Whether the user has blocked them, as far as this device knows.
    pub blocked: bool,
}

impl Person {
    pub(crate) fn new(user: UserId, address: Address) -> Self {
        let Address { phone, name, contact, blocked } = address;
        Self { user, phone, name, contact, blocked }
    }

    /// The name, else the number, else the id.
    pub fn display(&self) -> String {
        self.name.clone().or_else(|| self.phone.as_ref().map(ToString::to_string)).unwrap_or_else(|| self.user.to_string())
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Into a conversation.
    Conversation(ConversationId),
    /// To whoever has this number.
    Phone(Phone),
}

impl From<ConversationId> for To {
    fn from(conversation: ConversationId) -> Self {
        Self::Conversation(conversation)
    }
}

impl From<Phone> for To {
    fn from(phone: Phone) -> Self {
        Self::Phone(phone)
    }
}

/// Something happened that an application may want to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message stands in a conversation: somebody else's, or one that this user wrote, here or on another device.
    Message(
        /// Which conversation.
        ConversationId,
        /// The message.
        Message,
    ),
    /// The server has accepted a message that was written here.
    Accepted {
        /// In which conversation.
        conversation: ConversationId,
        /// Which message.
        id: MessageId,
        /// Its position.
        seq: Seq,
    },
    /// The server will never take a message that was written here.
    Failed {
        /// In which conversation.
        conversation: ConversationId,
        /// Which message.
        id: MessageId,
        /// Why.
        reject: Reject,
    },
    /// The ticks of a conversation have changed.
    Receipt {
        /// Which conversation.
        conversation: ConversationId,
        /// Everything up to here is on a device of the other side; in a group, on one of every other member.
        delivered: Seq,
        /// Everything up to here was shown to them.
        read: Seq,
    },
    /// The user was shown more of a conversation.
    Shown(
        /// Which one.
        ConversationId,
    ),
    /// Something has become known of somebody, such as their number.
    Person(
        /// Whom.
        UserId,
    ),
    /// A group has another name, or the user is a member of it no more, or again.
    Group(
        /// Which one.
        ConversationId,
    ),
    /// The other side is typing, or has stopped.
    Typing {
        /// In which conversation.
        conversation: ConversationId,
        /// In a group, who.
        by: Option<UserId>,
        /// Whether they are typing.
        active: bool,
    },
    /// What is to be seen of somebody who is watched.
    Presence {
        /// Whom.
        user: UserId,
        /// What there is to be seen.
        presence: Presence,
    },
    /// The connection has changed.
    Status(
        /// What it is.
        Status,
    ),
    /// Sending is held up for the moment; it goes on by itself.
    HeldUp(
        /// Why.
        Reject,
    ),
    /// The server has refused something that was not asked for by a call.
    Refused(
        /// Why.
        Reject,
    ),
    /// The reader of the events was too slow, and this many are lost: look again at everything that is shown.
    Missed(
        /// How many.
        u64,
    ),
}

/// Where the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is being made.
    Connecting,
    /// The session is open.
    Online,
    /// It will be made again.
    Waiting {
        /// After this time.
        retry: Millis,
        /// Why there is none: a sentence without its full stop.
        why: String,
    },
    /// The client has stopped for good.
    Stopped(
        /// Why.
        Stop,
    ),
}

/// Why a client has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The server has ended the session for good.
    Server(
        /// Why.
        CloseReason,
    ),
    /// The profile can no longer be written. What was not stored was not acknowledged: it comes again at the next start.
    Storage(
        /// What went wrong.
        String,
    ),
    /// The application has closed it.
    Closed,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(CloseReason::Replaced) => f.write_str("another client uses this profile's device, so this one has stopped"),
            Self::Server(CloseReason::DeviceRemoved) => f.write_str("this device was removed from its account; register it again"),
            Self::Server(CloseReason::BadToken) => f.write_str("the server does not know this device; register it again"),
            Self::Server(reason) => write!(f, "the server has ended the session ({reason:?})"),
            Self::Storage(error) => f.write_str(error),
            Self::Closed => f.write_str("the client is closed"),
        }
    }
}
