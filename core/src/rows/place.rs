//! What a key says, read back from its bytes: for reports of damage, for proofs, and for whoever walks over a whole store.

use super::key::{self, Reader, Topic};
use crate::id::{ConversationId, DeviceId, GatewayId, MessageId, Phone, Seq, UserId};
use crate::store::Key;
use core::fmt;

/// The row that a key names. Every key of the row table is exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// See [`super::head`].
    Head(ConversationId),
    /// See [`super::receipt`].
    Receipt(ConversationId, UserId),
    /// See [`super::log`].
    Log(ConversationId, Seq),
    /// See [`super::index`].
    Index(ConversationId, UserId, MessageId),
    /// See [`super::group`].
    Group(ConversationId),
    /// See [`super::member`].
    Member(ConversationId, UserId),
    /// See [`super::past_member`].
    PastMember(ConversationId, UserId),
    /// See [`super::sent`].
    Sent(ConversationId, UserId),
    /// See [`super::trimmed`].
    Trimmed(ConversationId),
    /// See [`super::fan_out_due`].
    FanOutDue(ConversationId),
    /// See [`super::fan_out`].
    FanOut(ConversationId),
    /// See [`super::reached`].
    Reached(ConversationId),
    /// See [`super::sum_due`].
    SumDue(ConversationId),
    /// See [`super::account`].
    Account(UserId),
    /// See [`super::chat`].
    Chat(UserId, ConversationId),
    /// See [`super::contact`].
    Contact(UserId, UserId),
    /// See [`super::block`].
    Block(UserId, UserId),
    /// See [`super::last_seen`].
    LastSeen(UserId),
    /// See [`super::group_count`].
    GroupCount(UserId),
    /// See [`super::device`].
    Device(DeviceId),
    /// See [`super::dirty`].
    Dirty(DeviceId, ConversationId),
    /// See [`super::cursor`].
    Cursor(DeviceId, ConversationId),
    /// See [`super::phone`].
    Phone(Phone),
    /// See [`super::verification`].
    Verification(Phone),
    /// See [`super::session`].
    Session(DeviceId),
    /// See [`super::bell`].
    Bell(GatewayId),
    /// See [`super::session_of`].
    SessionOf(GatewayId, DeviceId),
    /// See [`super::wake`].
    Wake(GatewayId, DeviceId, Topic),
    /// See [`super::lease`].
    Lease(GatewayId),
    /// See [`super::watcher`].
    Watcher(UserId, DeviceId),
}

impl Place {
    /// Reads a key; `None` for bytes that no layout of the row table writes.
    pub fn of(key: &Key) -> Option<Self> {
        let mut bytes = Reader(key.as_bytes());
        let place = match bytes.byte()? {
            key::CONVERSATION => in_conversation(&mut bytes)?,
            key::USER => of_user(&mut bytes)?,
            key::DEVICE => of_device(&mut bytes)?,
            key::JOB => job(&mut bytes)?,
            key::PHONE => return of_phone(bytes.0),
            key::SESSION => Self::Session(bytes.device()?),
            key::GATEWAY => of_gateway(&mut bytes)?,
            key::LEASE => Self::Lease(GatewayId(bytes.u64()?)),
            key::WATCHED => Self::Watcher(bytes.user()?, bytes.device()?),
            _ => return None,
        };
        bytes.0.is_empty().then_some(place)
    }

    /// What the row is, in a word or two.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Head(_) => "head",
            Self::Receipt(..) => "receipt",
            Self::Log(..) => "log",
            Self::Index(..) => "index",
            Self::Group(_) => "group",
            Self::Member(..) => "member",
            Self::PastMember(..) => "past member",
            Self::Sent(..) => "sent",
            Self::Trimmed(_) => "trimmed",
            Self::FanOutDue(_) => "fan-out due",
            Self::FanOut(_) => "fan-out",
            Self::Reached(_) => "reached",
            Self::SumDue(_) => "sum due",
            Self::GroupCount(_) => "group count",
            Self::Account(_) => "account",
            Self::Chat(..) => "chat",
            Self::Contact(..) => "contact",
            Self::Block(..) => "block",
            Self::LastSeen(_) => "last seen",
            Self::Device(_) => "device",
            Self::Dirty(..) => "dirty",
            Self::Cursor(..) => "cursor",
            Self::Phone(_) => "phone",
            Self::Verification(_) => "verification",
            Self::Session(_) => "session",
            Self::Bell(_) => "bell",
            Self::SessionOf(..) => "session of",
            Self::Wake(..) => "wake",
            Self::Lease(_) => "lease",
            Self::Watcher(..) => "watcher",
        }
    }

    /// The conversation whose row it is, or about which a device's row speaks.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Head(conversation)
            | Self::Receipt(conversation, _)
            | Self::Log(conversation, _)
            | Self::Index(conversation, ..)
            | Self::Group(conversation)
            | Self::Member(conversation, _)
            | Self::PastMember(conversation, _)
            | Self::Sent(conversation, _)
            | Self::Trimmed(conversation)
            | Self::FanOutDue(conversation)
            | Self::FanOut(conversation)
            | Self::Reached(conversation)
            | Self::SumDue(conversation)
            | Self::Chat(_, conversation)
            | Self::Dirty(_, conversation)
            | Self::Cursor(_, conversation) => Some(*conversation),
            Self::Account(_)
            | Self::Contact(..)
            | Self::Block(..)
            | Self::LastSeen(_)
            | Self::GroupCount(_)
            | Self::Device(_)
            | Self::Phone(_)
            | Self::Verification(_)
            | Self::Session(_)
            | Self::Bell(_)
            | Self::SessionOf(..)
            | Self::Wake(..)
            | Self::Lease(_)
            | Self::Watcher(..) => None,
        }
    }
}

fn in_conversation(bytes: &mut Reader) -> Option<Place> {
    let conversation = bytes.conversation()?;
    Some(match bytes.byte()? {
        key::HEAD => Place::Head(conversation),
        key::RECEIPT => Place::Receipt(conversation, bytes.user()?),
        key::LOG => Place::Log(conversation, Seq(bytes.u64()?)),
        key::INDEX => Place::Index(conversation, bytes.user()?, MessageId(bytes.array()?)),
        key::GROUP => Place::Group(conversation),
        key::MEMBER => Place::Member(conversation, bytes.user()?),
        key::PAST_MEMBER => Place::PastMember(conversation, bytes.user()?),
        key::SENT => Place::Sent(conversation, bytes.user()?),
        key::REACHED => Place::Reached(conversation),
        key::TRIMMED => Place::Trimmed(conversation),
        _ => return None,
    })
}

fn job(bytes: &mut Reader) -> Option<Place> {
    Some(match bytes.byte()? {
        key::DUE => Place::FanOutDue(bytes.conversation()?),
        key::PROGRESS => Place::FanOut(bytes.conversation()?),
        key::SUM => Place::SumDue(bytes.conversation()?),
        _ => return None,
    })
}

fn of_user(bytes: &mut Reader) -> Option<Place> {
    let user = bytes.user()?;
    Some(match bytes.byte()? {
        key::ACCOUNT => Place::Account(user),
        key::CHAT => Place::Chat(user, bytes.conversation()?),
        key::CONTACT => Place::Contact(user, bytes.user()?),
        key::BLOCK => Place::Block(user, bytes.user()?),
        key::LAST_SEEN => Place::LastSeen(user),
        key::GROUP_COUNT => Place::GroupCount(user),
        _ => return None,
    })
}

fn of_device(bytes: &mut Reader) -> Option<Place> {
    let device = bytes.device()?;
    Some(match bytes.byte()? {
        key::TOKEN => Place::Device(device),
        key::DIRTY => Place::Dirty(device, bytes.conversation()?),
        key::CURSOR => Place::Cursor(device, bytes.conversation()?),
        _ => return None,
    })
}

fn of_phone(bytes: &[u8]) -> Option<Place> {
    let (kind, number) = bytes.split_last()?;
    let number = core::str::from_utf8(number).ok()?;
    // Only the spelling that a phone number is stored in names its row.
    let phone = Phone::parse(number).filter(|phone| phone.as_str() == number)?;
    match *kind {
        key::OWNER => Some(Place::Phone(phone)),
        key::CODE => Some(Place::Verification(phone)),
        _ => None,
    }
}

fn of_gateway(bytes: &mut Reader) -> Option<Place> {
    let gateway = GatewayId(bytes.u64()?);
    Some(match bytes.byte()? {
        key::BELL => Place::Bell(gateway),
        key::SESSION_OF => Place::SessionOf(gateway, bytes.device()?),
        key::WAKE => Place::Wake(gateway, bytes.device()?, bytes.topic()?),
        _ => return None,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(conversation) => write!(f, "head of {conversation}"),
            Self::Receipt(conversation, user) => write!(f, "receipt of {user} in {conversation}"),
            Self::Log(conversation, seq) => write!(f, "position {seq} of {conversation}"),
            Self::Index(conversation, sender, id) => write!(f, "index of message {id} by {sender} in {conversation}"),
            Self::Group(conversation) => write!(f, "{conversation}"),
            Self::Member(conversation, user) => write!(f, "member {user} of {conversation}"),
            Self::PastMember(conversation, user) => write!(f, "past membership of {user} in {conversation}"),
            Self::Sent(conversation, user) => write!(f, "last own message of {user} in {conversation}"),
            Self::Trimmed(conversation) => write!(f, "end of what is trimmed in {conversation}"),
            Self::FanOutDue(conversation) => write!(f, "fan-out due in {conversation}"),
            Self::FanOut(conversation) => write!(f, "progress of the fan-out in {conversation}"),
            Self::Reached(conversation) => write!(f, "how far the members of {conversation} have got"),
            Self::SumDue(conversation) => write!(f, "sum of receipts due in {conversation}"),
            Self::Account(user) => write!(f, "account of {user}"),
            Self::Chat(user, conversation) => write!(f, "chat {conversation} of {user}"),
            Self::Contact(owner, user) => write!(f, "contact {user} of {owner}"),
            Self::Block(owner, user) => write!(f, "block of {user} by {owner}"),
            Self::GroupCount(user) => write!(f, "number of groups of {user}"),
            Self::LastSeen(user) => write!(f, "last seen of {user}"),
            Self::Device(device) => write!(f, "token of {device}"),
            Self::Dirty(device, conversation) => write!(f, "dirty mark of {device} in {conversation}"),
            Self::Cursor(device, conversation) => write!(f, "cursor of {device} in {conversation}"),
            Self::Phone(phone) => write!(f, "owner of {phone}"),
            Self::Verification(phone) => write!(f, "verification of {phone}"),
            Self::Session(device) => write!(f, "session of {device}"),
            Self::Bell(gateway) => write!(f, "bell of gateway {gateway}"),
            Self::SessionOf(gateway, device) => write!(f, "session of {device} at gateway {gateway}"),
            Self::Wake(gateway, device, topic) => write!(f, "wake-up of {device} at gateway {gateway} about {topic:?}"),
            Self::Lease(gateway) => write!(f, "lease of gateway {gateway}"),
            Self::Watcher(user, device) => write!(f, "watcher {device} of {user}"),
        }
    }
}
