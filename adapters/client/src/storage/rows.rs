//! The rows of a profile, and their bytes.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | a name | `schema`: the version of all of this; `account`: [`AccountRow`]; `registering`: [`RegisteringRow`]; `written`: how many messages were ever written |
//! | `outbox` | number in the order of writing | [`OutgoingRow`], which the server has not accepted |
//! | `chats` | conversation | [`ChatRow`] |
//! | `history` | conversation, [`Place`] | [`MessageRow`] |
//! | `index` | conversation, own or not, message id | the message's [`Place`], but for those of others in a group |
//! | `group_index` | group, sender, message id | the message's [`Place`], if it is not this user's |
//! | `users` | user id | [`UserRow`] |
//! | `phones` | phone number | user id |
//!
//! Numbers in keys are big-endian, so that the order of the keys is the order of what they stand for. Values are Protobuf: a later
//! version adds fields, and an older one passes over them. What it could not pass over raises [`SCHEMA`].

use doubletick_core::client::StoredChat;
use doubletick_core::content::{Body, Content, Parts};
use doubletick_core::id::{ConversationId, DeviceId, GroupId, MessageId, Seq, UserId};
use redb::TableDefinition;

/// The version of the tables.
pub(super) const SCHEMA: u64 = 1;

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
pub(super) const CHATS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("chats");
pub(super) const HISTORY: TableDefinition<'_, &[u8; 36], &[u8]> = TableDefinition::new("history");
pub(super) const INDEX: TableDefinition<'_, &[u8; 33], &[u8; 20]> = TableDefinition::new("index");
pub(super) const GROUP_INDEX: TableDefinition<'_, &[u8; 40], &[u8; 20]> = TableDefinition::new("group_index");
pub(super) const USERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("users");
pub(super) const PHONES: TableDefinition<'_, &str, u64> = TableDefinition::new("phones");

/// Where a message stands in the history of its conversation. The order of places is the order in which messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which log the position counts in: one more each time the server turned out to have another one than before.
    pub(super) log: u32,
    /// The position; for a message that never got one, the one before it.
    pub(super) seq: u64,
    /// Zero for a message at its own position; else tells apart those that stand after the same one.
    pub(super) tie: u64,
}

impl Place {
    pub(super) const FIRST: Self = Self { log: 0, seq: 0, tie: 0 };
    pub(super) const LAST: Self = Self { log: u32::MAX, seq: u64::MAX, tie: u64::MAX };

    /// That of a position. For tests of what shows messages.
    pub fn at(seq: Seq) -> Self {
        Self { log: 0, seq: seq.0, tie: 0 }
    }

    /// At the end, after everything that has a position, in the order of the numbers. For tests of what shows messages.
    pub fn waiting(number: u64) -> Self {
        Self { log: u32::MAX, seq: u64::MAX, tie: number }
    }

    pub(super) fn is_waiting(self) -> bool {
        self.log == u32::MAX
    }

    /// The position, if the message has one.
    pub fn seq(self) -> Option<Seq> {
        (!self.is_waiting() && self.tie == 0).then_some(Seq(self.seq))
    }

    pub(super) fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.log.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.seq.to_be_bytes());
        bytes[12..].copy_from_slice(&self.tie.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 20]) -> Self {
        let (log, rest) = bytes.split_first_chunk::<4>().expect("20 bytes are at least 4");
        let (seq, tie) = rest.split_first_chunk::<8>().expect("16 bytes are at least 8");
        let tie = tie.try_into().expect("8 bytes are left");
        Self { log: u32::from_be_bytes(*log), seq: u64::from_be_bytes(*seq), tie: u64::from_be_bytes(tie) }
    }
}

/// Of a direct conversation, its two users, the lower first; of a group, the two halves of its name, the second first: as the name of a group
/// is well formed, that one is the greater.
pub(super) fn chat_key(conversation: ConversationId) -> [u8; 16] {
    let mut key = [0; 16];
    match conversation {
        ConversationId::Direct(pair) => {
            let [low, high] = pair.users();
            key[..8].copy_from_slice(&low.0.to_be_bytes());
            key[8..].copy_from_slice(&high.0.to_be_bytes());
        }
        ConversationId::Group(GroupId(id)) => {
            key[..8].copy_from_slice(&id[8..]);
            key[8..].copy_from_slice(&id[..8]);
        }
    }
    key
}

/// `None` for bytes that name no conversation.
pub(super) fn conversation(key: &[u8]) -> Option<ConversationId> {
    let (first, second) = key.split_first_chunk::<8>()?;
    let second: &[u8; 8] = second.try_into().ok()?;
    let (low, high) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    if low < high {
        return ConversationId::direct(UserId(low), UserId(high));
    }
    let mut id = [0; 16];
    id[..8].copy_from_slice(second);
    id[8..].copy_from_slice(first);
    Some(GroupId(id)).filter(|group| group.is_well_formed()).map(ConversationId::Group)
}

pub(super) fn history_key(conversation: ConversationId, place: Place) -> [u8; 36] {
    let mut key = [0; 36];
    key[..16].copy_from_slice(&chat_key(conversation));
    key[16..].copy_from_slice(&place.to_bytes());
    key
}

pub(super) fn place_of(history_key: &[u8; 36]) -> Place {
    Place::from_bytes(history_key[16..].try_into().expect("36 bytes less 16 are 20"))
}

pub(super) fn index_key(conversation: ConversationId, own: bool, id: MessageId) -> [u8; 33] {
    let mut key = [0; 33];
    key[..16].copy_from_slice(&chat_key(conversation));
    key[16] = u8::from(own);
    key[17..].copy_from_slice(&id.0);
    key
}

/// Two people of a group may give their messages one name, so the sender's stands before it.
pub(super) fn group_index_key(group: ConversationId, sender: UserId, id: MessageId) -> [u8; 40] {
    let mut key = [0; 40];
    key[..16].copy_from_slice(&chat_key(group));
    key[16..24].copy_from_slice(&sender.0.to_be_bytes());
    key[24..].copy_from_slice(&id.0);
    key
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// This user, on one device or another.
    Own,
    /// The other user of a direct conversation.
    Peer,
    /// Somebody else in a group.
    Member(UserId),
}

/// Who this device is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AccountRow {
    /// As text.
    #[prost(string, tag = "1")]
    pub(super) token: String,
    #[prost(string, tag = "2")]
    pub(super) phone: String,
    #[prost(string, tag = "3")]
    pub(super) server: String,
}

/// A registration that was begun: with the same secret, verifying it again is the same request.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RegisteringRow {
    #[prost(string, tag = "1")]
    pub(super) phone: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) secret: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OutgoingRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) conversation: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) id: Vec<u8>,
    /// One body for all devices has no user and no serial.
    #[prost(message, repeated, tag = "3")]
    pub(super) bodies: Vec<BodyRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BodyRow {
    #[prost(fixed64, tag = "1")]
    pub(super) user: u64,
    #[prost(uint32, tag = "2")]
    pub(super) serial: u32,
    #[prost(uint32, tag = "3")]
    pub(super) kind: u32,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChatRow {
    #[prost(uint64, optional, tag = "1")]
    pub(super) cursor: Option<u64>,
    #[prost(uint64, tag = "2")]
    pub(super) own_last: u64,
    #[prost(uint64, tag = "3")]
    pub(super) read: u64,
    #[prost(uint64, tag = "4")]
    pub(super) read_told: u64,
    #[prost(uint64, tag = "5")]
    pub(super) peer_delivered: u64,
    #[prost(uint64, tag = "6")]
    pub(super) peer_read: u64,
    /// See [`Place::log`].
    #[prost(uint32, tag = "7")]
    pub(super) log: u32,
    /// Messages of the other side after `read`.
    #[prost(uint64, tag = "8")]
    pub(super) unread: u64,
    /// Of a group: what it is called, if that is known.
    #[prost(string, tag = "9")]
    pub(super) name: String,
    /// Of a group: this user is no member of it.
    #[prost(bool, tag = "10")]
    pub(super) gone: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub(super) own: bool,
    /// The sending device's number in its account.
    #[prost(uint32, tag = "3")]
    pub(super) serial: u32,
    /// When the server accepted it; until then, when it was written.
    #[prost(uint64, tag = "4")]
    pub(super) at: u64,
    #[prost(uint32, tag = "5")]
    pub(super) kind: u32,
    /// `None` if it carries nothing for this device.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) body: Option<Vec<u8>>,
    /// The number of the reject with which the server refused it for good.
    #[prost(uint32, optional, tag = "7")]
    pub(super) failed: Option<u32>,
    /// In a group, the sender, if it is not this user.
    #[prost(fixed64, tag = "8")]
    pub(super) sender: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UserRow {
    #[prost(string, tag = "1")]
    pub(super) phone: String,
    /// What the user of this device calls them.
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(enumeration = "Contact", tag = "3")]
    pub(super) contact: i32,
    #[prost(bool, tag = "4")]
    pub(super) blocked: bool,
}

/// Whether somebody is on the user's contact list, as far as this device knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Contact {
    /// Nobody has asked for it.
    Unknown = 0,
    /// They are to be added, which the server has not confirmed.
    Wanted = 1,
    /// They are on it.
    Listed = 2,
    /// The user took them off.
    Removed = 3,
}

impl OutgoingRow {
    pub(super) fn new(outgoing: &doubletick_core::client::Outgoing) -> Self {
        let row =
            |user: u64, serial: u16, body: &Body| BodyRow { user, serial: serial.into(), kind: body.kind, bytes: body.bytes.to_vec() };
        let bodies = match outgoing.content.parts() {
            Parts::Shared(body) => vec![row(0, 0, body)],
            Parts::PerDevice(bodies) => bodies.iter().map(|(device, body)| row(device.user.0, device.serial, body)).collect(),
        };
        Self { conversation: chat_key(outgoing.conversation).to_vec(), id: outgoing.id.0.to_vec(), bodies }
    }

    /// `None` if the row is not one that [`Self::new`] makes.
    pub(super) fn outgoing(self) -> Option<doubletick_core::client::Outgoing> {
        let conversation = conversation(&self.conversation)?;
        let id = message_id(&self.id)?;
        let mut bodies = Vec::with_capacity(self.bodies.len());
        for body in self.bodies {
            let device = DeviceId { user: UserId(body.user), serial: u16::try_from(body.serial).ok()? };
            bodies.push((device, Body { kind: body.kind, bytes: body.bytes.into() }));
        }
        let parts = match bodies.as_slice() {
            [(device, body)] if device.serial == 0 => Parts::Shared(body.clone()),
            _ => Parts::PerDevice(bodies),
        };
        Some(doubletick_core::client::Outgoing { conversation, id, content: Content::new(parts).ok()? })
    }
}

impl ChatRow {
    pub(super) fn stored(&self, conversation: ConversationId) -> StoredChat {
        StoredChat {
            conversation,
            cursor: self.cursor.map(Seq),
            own_last: Seq(self.own_last),
            read: Seq(self.read),
            read_told: Seq(self.read_told),
            peer_delivered: Seq(self.peer_delivered),
            peer_read: Seq(self.peer_read),
        }
    }
}

pub(super) fn message_id(bytes: &[u8]) -> Option<MessageId> {
    bytes.try_into().ok().map(MessageId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn the_order_of_the_keys_is_the_order_of_the_places() {
        let places = [
            Place::FIRST,
            Place { log: 0, seq: 1, tie: 0 },
            Place { log: 0, seq: 1, tie: 7 },
            Place { log: 0, seq: 256, tie: 0 },
            Place { log: 1, seq: 1, tie: 0 },
            Place::waiting(1),
            Place::waiting(256),
            Place::LAST,
        ];
        assert!(places.is_sorted());
        assert!(places.map(Place::to_bytes).is_sorted());
        assert!(places.iter().all(|place| Place::from_bytes(&place.to_bytes()) == *place));
    }

    #[test]
    fn the_stored_bytes_are_those_that_profiles_already_hold() {
        let conversation = ConversationId::direct(UserId(2), UserId(1)).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let body = BodyRow { user: 5, serial: 6, kind: 7, bytes: vec![8] };
        let group = ConversationId::Group(GroupId([1, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]));
        let rows: [(&str, Vec<u8>, &str); 10] = [
            ("place", Place { log: 1, seq: 2, tie: 3 }.to_bytes().into(), "0000000100000000000000020000000000000003"),
            ("chat key", chat_key(conversation).into(), "00000000000000010000000000000002"),
            (
                "index key",
                index_key(conversation, true, MessageId([9; 16])).into(),
                "000000000000000100000000000000020109090909090909090909090909090909",
            ),
            ("account", AccountRow { token: "t".into(), phone: "p".into(), server: "s".into() }.encode_to_vec(), "0a01741201701a0173"),
            ("registering", RegisteringRow { phone: "p".into(), secret: vec![1] }.encode_to_vec(), "0a0170120101"),
            (
                "outgoing",
                OutgoingRow { conversation: vec![1], id: vec![2], bodies: vec![body] }.encode_to_vec(),
                "0a01011201021a100905000000000000001006180722 0108",
            ),
            (
                "chat",
                ChatRow {
                    cursor: Some(1),
                    own_last: 2,
                    read: 3,
                    read_told: 4,
                    peer_delivered: 5,
                    peer_read: 6,
                    log: 7,
                    unread: 8,
                    name: "g".into(),
                    gone: true,
                }
                .encode_to_vec(),
                "08011002180320042805300638074008 4a0167 5001",
            ),
            (
                "group index key",
                group_index_key(group, UserId(5), MessageId([9; 16])).into(),
                "80000000000000000100000000007000000000000000000509090909090909090909090909090909",
            ),
            (
                "message",
                MessageRow { id: vec![1], own: true, serial: 2, at: 3, kind: 4, body: Some(vec![5]), failed: Some(6), sender: 0 }
                    .encode_to_vec(),
                "0a0101100118022003280432010538 06",
            ),
            (
                "user",
                UserRow { phone: "p".into(), name: "n".into(), contact: Contact::Listed.into(), blocked: true }.encode_to_vec(),
                "0a017012016e18022001",
            ),
        ];
        for (name, bytes, golden) in rows {
            assert_eq!(hex(&bytes), golden.replace(' ', ""), "{name}");
        }
    }
}
