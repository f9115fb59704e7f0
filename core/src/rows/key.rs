//! The keys: one order-preserving encoding. Ids are big-endian, so that the order of the bytes is the order of the values.

use super::envelope::Row;
use super::{
    Account, ChatRow, Counter, Cursor, Device, FanOut, Group, Head, Index, Lease, Listed, LogEntry, Member, PastMember, PhoneRow, Reached,
    Receipt, Session, SessionOf, StoredWake, Verification, Watcher,
};
use crate::frame::UserList;
use crate::id::{ConversationId, DeviceId, GatewayId, GroupId, MessageId, Phone, Seq, SessionEpoch, UserId};
use crate::store::{Key, Scan};
use core::marker::PhantomData;

/// The place of a row: a key that knows what its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<R> {
    /// The key.
    pub key: Key,
    row: PhantomData<R>,
}

/// What a wake-up is about. One device has at most one wake-up for each topic at a time: a later one takes the place of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A conversation is ahead.
    Dirty(ConversationId),
    /// The other side of a conversation has got further.
    Receipt(ConversationId),
    /// The other side of a conversation is typing.
    Typing(ConversationId),
    /// Somebody in a group is typing.
    TypingIn(ConversationId, UserId),
    /// A watched user's coming and going.
    Presence(UserId),
    /// The end of a session by a newer one. Each session is a topic of its own: of two that have ended, both must be closed.
    Replaced(SessionEpoch),
    /// The end of the device.
    Removed,
}

// The first byte of every key. Those from `Key::EPHEMERAL` on are ephemeral.
pub(super) const CONVERSATION: u8 = 0x10;
pub(super) const USER: u8 = 0x20;
pub(super) const DEVICE: u8 = 0x30;
pub(super) const PHONE: u8 = 0x40;
pub(super) const JOB: u8 = 0x50;
pub(super) const SESSION: u8 = 0x80;
pub(super) const GATEWAY: u8 = 0x81;
pub(super) const LEASE: u8 = 0x82;
pub(super) const WATCHED: u8 = 0x83;

// What kind of row it is, after the id under which it stands.
pub(super) const HEAD: u8 = 0;
pub(super) const RECEIPT: u8 = 1;
pub(super) const LOG: u8 = 2;
pub(super) const INDEX: u8 = 3;
pub(super) const GROUP: u8 = 4;
pub(super) const MEMBER: u8 = 5;
pub(super) const PAST_MEMBER: u8 = 6;
pub(super) const SENT: u8 = 7;
pub(super) const REACHED: u8 = 8;
pub(super) const TRIMMED: u8 = 9;
pub(super) const ACCOUNT: u8 = 0;
pub(super) const CHAT: u8 = 1;
pub(super) const CONTACT: u8 = 2;
pub(super) const BLOCK: u8 = 3;
pub(super) const LAST_SEEN: u8 = 4;
pub(super) const GROUP_COUNT: u8 = 5;
pub(super) const TOKEN: u8 = 0;
pub(super) const DIRTY: u8 = 1;
pub(super) const CURSOR: u8 = 2;
pub(super) const OWNER: u8 = 0;
pub(super) const CODE: u8 = 1;
pub(super) const DUE: u8 = 0;
pub(super) const PROGRESS: u8 = 1;
pub(super) const SUM: u8 = 2;
pub(super) const BELL: u8 = 0;
pub(super) const SESSION_OF: u8 = 1;
pub(super) const WAKE: u8 = 2;

// The first byte of a conversation's name within a key.
const IS_DIRECT: u8 = 1;
const IS_GROUP: u8 = 2;

/// The end of a conversation's log.
pub fn head(conversation: ConversationId) -> At<Head> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(HEAD))
}

/// All conversations' rows from one key on, at most `limit`.
pub fn conversations(from: Option<Key>, limit: u32) -> Scan {
    Scan { from: from.unwrap_or(Bytes::of(CONVERSATION).key()), to: Bytes::of(CONVERSATION + 1).key(), limit, reverse: false }
}

/// The conversation among whose rows a key stands, whether or not it is a key of the row table.
pub fn conversation_of(key: &Key) -> Option<ConversationId> {
    Reader(key.as_bytes()).expect(CONVERSATION)?.conversation()
}

/// The first key after all rows of a conversation.
pub fn conversation_end(conversation: ConversationId) -> Key {
    Bytes::of(CONVERSATION).conversation(conversation).byte(u8::MAX).key()
}

/// The rows of a conversation beside its log and index: those before the log, and those after the index.
pub fn beside_log(conversation: ConversationId, limit: u32) -> [Scan; 2] {
    let of = Bytes::of(CONVERSATION).conversation(conversation);
    let before = Scan { from: of.key(), to: of.byte(LOG).key(), limit, reverse: false };
    let after = Scan { from: of.byte(INDEX + 1).key(), to: conversation_end(conversation), limit, reverse: false };
    [before, after]
}

/// A conversation's log from one key on, at most `limit` rows.
pub fn log_rows(conversation: ConversationId, from: Option<Key>, limit: u32) -> Scan {
    let of = Bytes::of(CONVERSATION).conversation(conversation);
    Scan { from: from.unwrap_or(of.byte(LOG).key()), to: of.byte(LOG + 1).key(), limit, reverse: false }
}

/// A conversation's index from one key on, at most `limit` rows.
pub fn index_rows(conversation: ConversationId, from: Option<Key>, limit: u32) -> Scan {
    let of = Bytes::of(CONVERSATION).conversation(conversation);
    Scan { from: from.unwrap_or(of.byte(INDEX).key()), to: of.byte(INDEX + 1).key(), limit, reverse: false }
}

/// The rows of users, devices and phone numbers from one key on, at most `limit`.
pub fn people(from: Option<Key>, limit: u32) -> Scan {
    Scan { from: from.unwrap_or(Bytes::of(USER).key()), to: Key::new(&[Key::EPHEMERAL]), limit, reverse: false }
}

/// How far a user has got in a conversation.
pub fn receipt(conversation: ConversationId, user: UserId) -> At<Receipt> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(RECEIPT).user(user))
}

/// One entry of a conversation's log.
pub fn log(conversation: ConversationId, seq: Seq) -> At<LogEntry> {
    at(log_prefix(conversation).u64(seq.0))
}

/// The entries after a position, at most `limit`.
pub fn log_page(conversation: ConversationId, after: Seq, limit: u32) -> Scan {
    let from = log_prefix(conversation).u64(after.0.saturating_add(1)).key();
    let to = Bytes::of(CONVERSATION).conversation(conversation).byte(LOG + 1).key();
    Scan { from, to, limit, reverse: false }
}

/// The position of a key of [`log_page`].
pub fn log_of(key: &Key) -> Option<Seq> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(CONVERSATION)?.conversation()?;
    bytes.expect(LOG)?.u64().map(Seq)
}

/// Where a message stands.
pub fn index(conversation: ConversationId, sender: UserId, id: MessageId) -> At<Index> {
    let id = if planted!(DedupByTime) { MessageId((u128::from_be_bytes(id.0) >> 80).to_be_bytes()) } else { id };
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(INDEX).user(sender).bytes(&id.0))
}

/// A group.
pub fn group(conversation: ConversationId) -> At<Group> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(GROUP))
}

/// A member of a group.
pub fn member(conversation: ConversationId, user: UserId) -> At<Member> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(MEMBER).user(user))
}

/// The members of a group after one, at most `limit`.
pub fn members(conversation: ConversationId, after: Option<UserId>, limit: u32) -> Scan {
    let prefix = Bytes::of(CONVERSATION).conversation(conversation);
    let from = match after {
        Some(after) => prefix.byte(MEMBER).user(after).byte(0),
        None => prefix.byte(MEMBER),
    };
    Scan { from: from.key(), to: prefix.byte(MEMBER + 1).key(), limit, reverse: false }
}

/// The user of a key of [`members`].
pub fn member_of(key: &Key) -> Option<UserId> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(CONVERSATION)?.conversation()?;
    bytes.expect(MEMBER)?.user()
}

/// When somebody was a member of a group before.
pub fn past_member(conversation: ConversationId, user: UserId) -> At<PastMember> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(PAST_MEMBER).user(user))
}

/// The last position of a group at which a message of a user's stands.
pub fn sent(conversation: ConversationId, user: UserId) -> At<Counter> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(SENT).user(user))
}

/// How far the members of a group have got, all together.
pub fn reached(conversation: ConversationId) -> At<Reached> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(REACHED))
}

/// That the receipts of a group's members are to be summed up, or are being summed up.
pub fn sum_due(conversation: ConversationId) -> At<Counter> {
    at(Bytes::of(JOB).byte(SUM).conversation(conversation))
}

/// Groups whose members' receipts are to be summed up, after one, at most `limit`.
pub fn sums_due(after: Option<ConversationId>, limit: u32) -> Scan {
    Scan { from: after_conversation(Bytes::of(JOB).byte(SUM), after), to: Bytes::of(JOB).byte(SUM + 1).key(), limit, reverse: false }
}

/// The group of a key of [`sums_due`].
pub fn sum_due_of(key: &Key) -> Option<ConversationId> {
    Reader(key.as_bytes()).expect(JOB)?.expect(SUM)?.conversation()
}

/// Up to where contents are not kept any more, but for those of changes.
pub fn trimmed(conversation: ConversationId) -> At<Counter> {
    at(Bytes::of(CONVERSATION).conversation(conversation).byte(TRIMMED))
}

/// The members of a group, present and then past, from one key on, at most `limit`.
pub fn all_members(conversation: ConversationId, from: Option<Key>, limit: u32) -> Scan {
    let of = Bytes::of(CONVERSATION).conversation(conversation);
    Scan { from: from.unwrap_or(of.byte(MEMBER).key()), to: of.byte(PAST_MEMBER + 1).key(), limit, reverse: false }
}

/// Up to where the devices of a large group are to be marked.
pub fn fan_out_due(conversation: ConversationId) -> At<Counter> {
    at(Bytes::of(JOB).byte(DUE).conversation(conversation))
}

/// Groups with devices to be marked, after one, at most `limit`.
pub fn fan_outs(after: Option<ConversationId>, limit: u32) -> Scan {
    Scan { from: after_conversation(Bytes::of(JOB).byte(DUE), after), to: Bytes::of(JOB).byte(DUE + 1).key(), limit, reverse: false }
}

/// The group of a key of [`fan_outs`].
pub fn fan_out_of(key: &Key) -> Option<ConversationId> {
    Reader(key.as_bytes()).expect(JOB)?.expect(DUE)?.conversation()
}

/// How far the marking of a group's devices has got.
pub fn fan_out(conversation: ConversationId) -> At<FanOut> {
    at(Bytes::of(JOB).byte(PROGRESS).conversation(conversation))
}

/// A user's account.
pub fn account(user: UserId) -> At<Account> {
    at(Bytes::of(USER).user(user).byte(ACCOUNT))
}

/// A conversation on a user's list.
pub fn chat(user: UserId, conversation: ConversationId) -> At<ChatRow> {
    at(Bytes::of(USER).user(user).byte(CHAT).conversation(conversation))
}

/// A user's conversations after one.
pub fn chats(user: UserId, after: Option<ConversationId>, limit: u32) -> Scan {
    let prefix = Bytes::of(USER).user(user).byte(CHAT);
    Scan { from: after_conversation(prefix, after), to: Bytes::of(USER).user(user).byte(CHAT + 1).key(), limit, reverse: false }
}

/// A user's groups: those among their conversations.
pub fn groups(user: UserId) -> Scan {
    let prefix = Bytes::of(USER).user(user).byte(CHAT);
    let (from, to) = (prefix.byte(IS_GROUP).key(), prefix.byte(IS_GROUP + 1).key());
    Scan { from, to, limit: crate::limits::GROUPS_PER_USER, reverse: false }
}

/// The conversation of a key of [`chats`] and [`groups`].
pub fn chat_of(key: &Key) -> Option<ConversationId> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(USER)?.user()?;
    bytes.expect(CHAT)?.conversation()
}

/// A user on another's contact list.
pub fn contact(owner: UserId, user: UserId) -> At<Listed> {
    at(Bytes::of(USER).user(owner).byte(CONTACT).user(user))
}

/// A user on another's block list.
pub fn block(owner: UserId, user: UserId) -> At<Listed> {
    at(Bytes::of(USER).user(owner).byte(BLOCK).user(user))
}

/// All users on one of a user's lists.
pub fn listed(owner: UserId, list: UserList) -> Scan {
    let kind = match list {
        UserList::Contacts => CONTACT,
        UserList::Blocked => BLOCK,
    };
    let prefix = Bytes::of(USER).user(owner);
    Scan { from: prefix.byte(kind).key(), to: prefix.byte(kind + 1).key(), limit: crate::limits::CONTACTS_PER_USER, reverse: false }
}

/// When a device of a user was last heard.
pub fn last_seen(user: UserId) -> At<Counter> {
    at(Bytes::of(USER).user(user).byte(LAST_SEEN))
}

/// How many groups a user is in.
pub fn group_count(user: UserId) -> At<Counter> {
    at(Bytes::of(USER).user(user).byte(GROUP_COUNT))
}

/// How a device proves who it is.
pub fn device(device: DeviceId) -> At<Device> {
    at(Bytes::of(DEVICE).device(device).byte(TOKEN))
}

/// Up to where a conversation is ahead of a device.
pub fn dirty(device: DeviceId, conversation: ConversationId) -> At<Counter> {
    at(Bytes::of(DEVICE).device(device).byte(DIRTY).conversation(conversation))
}

/// A device's dirty set after a conversation.
pub fn dirty_set(device: DeviceId, after: Option<ConversationId>, limit: u32) -> Scan {
    let prefix = Bytes::of(DEVICE).device(device);
    Scan { from: after_conversation(prefix.byte(DIRTY), after), to: prefix.byte(DIRTY + 1).key(), limit, reverse: false }
}

/// The conversation of a key of [`dirty_set`].
pub fn dirty_of(key: &Key) -> Option<ConversationId> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(DEVICE)?.device()?;
    bytes.expect(DIRTY)?.conversation()
}

/// A device's position in a conversation.
pub fn cursor(device: DeviceId, conversation: ConversationId) -> At<Cursor> {
    at(Bytes::of(DEVICE).device(device).byte(CURSOR).conversation(conversation))
}

/// Whose a phone number is.
pub fn phone(phone: &Phone) -> At<PhoneRow> {
    at(Bytes::of(PHONE).bytes(phone.as_str().as_bytes()).byte(OWNER))
}

/// The verification of a phone number.
pub fn verification(phone: &Phone) -> At<Verification> {
    at(Bytes::of(PHONE).bytes(phone.as_str().as_bytes()).byte(CODE))
}

/// Where a device is connected.
pub fn session(device: DeviceId) -> At<Session> {
    at(Bytes::of(SESSION).device(device))
}

/// A session in its gateway's list.
pub fn session_of(gateway: GatewayId, device: DeviceId) -> At<SessionOf> {
    at(Bytes::of(GATEWAY).u64(gateway.0).byte(SESSION_OF).device(device))
}

/// The sessions of a gateway, at most `limit`.
pub fn sessions_of(gateway: GatewayId, limit: u32) -> Scan {
    let prefix = Bytes::of(GATEWAY).u64(gateway.0);
    Scan { from: prefix.byte(SESSION_OF).key(), to: prefix.byte(SESSION_OF + 1).key(), limit, reverse: false }
}

/// The device of a key of [`sessions_of`].
pub fn device_of_session(key: &Key) -> Option<DeviceId> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(GATEWAY)?.u64()?;
    bytes.expect(SESSION_OF)?.device()
}

/// A wake-up.
pub fn wake(gateway: GatewayId, device: DeviceId, topic: Topic) -> At<StoredWake> {
    let prefix = Bytes::of(GATEWAY).u64(gateway.0).byte(WAKE).device(device);
    at(match topic {
        Topic::Dirty(conversation) => prefix.byte(1).conversation(conversation),
        Topic::Receipt(conversation) => prefix.byte(2).conversation(conversation),
        Topic::Typing(conversation) => prefix.byte(3).conversation(conversation),
        Topic::Presence(user) => prefix.byte(4).user(user),
        Topic::Replaced(epoch) => prefix.byte(5).u64(epoch.0),
        Topic::Removed => prefix.byte(6),
        Topic::TypingIn(conversation, user) => prefix.byte(7).conversation(conversation).user(user),
    })
}

/// The wake-ups of a gateway, at most `limit`.
pub fn wakes(gateway: GatewayId, limit: u32) -> Scan {
    let prefix = Bytes::of(GATEWAY).u64(gateway.0);
    Scan { from: prefix.byte(WAKE).key(), to: prefix.byte(WAKE + 1).key(), limit, reverse: false }
}

/// The device and topic of a key of [`wakes`].
pub fn wake_of(key: &Key) -> Option<(DeviceId, Topic)> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(GATEWAY)?.u64()?;
    let device = bytes.expect(WAKE)?.device()?;
    let topic = bytes.topic()?;
    Some((device, topic))
}

/// A gateway's bell.
pub fn bell(gateway: GatewayId) -> At<Counter> {
    at(Bytes::of(GATEWAY).u64(gateway.0).byte(BELL))
}

/// A gateway's lease.
pub fn lease(gateway: GatewayId) -> At<Lease> {
    at(Bytes::of(LEASE).u64(gateway.0))
}

/// All leases.
pub fn leases() -> Scan {
    Scan { from: Bytes::of(LEASE).key(), to: Bytes::of(LEASE + 1).key(), limit: crate::limits::GATEWAYS, reverse: false }
}

/// The gateway of a key of [`leases`].
pub fn lease_of(key: &Key) -> Option<GatewayId> {
    Reader(key.as_bytes()).expect(LEASE)?.u64().map(GatewayId)
}

/// A session that watches a user.
pub fn watcher(user: UserId, device: DeviceId) -> At<Watcher> {
    at(Bytes::of(WATCHED).user(user).device(device))
}

/// The sessions that watch a user.
pub fn watchers(user: UserId) -> Scan {
    let to = user.0.checked_add(1).map_or(Bytes::of(WATCHED + 1), |next| Bytes::of(WATCHED).u64(next)).key();
    Scan { from: Bytes::of(WATCHED).user(user).key(), to, limit: crate::limits::WATCHERS_PER_USER, reverse: false }
}

/// The watching device of a key of [`watchers`].
pub fn watcher_of(key: &Key) -> Option<DeviceId> {
    let mut bytes = Reader(key.as_bytes());
    bytes.expect(WATCHED)?.user()?;
    bytes.device()
}

fn at<R: Row>(bytes: Bytes) -> At<R> {
    At { key: bytes.key(), row: PhantomData }
}

fn log_prefix(conversation: ConversationId) -> Bytes {
    Bytes::of(CONVERSATION).conversation(conversation).byte(LOG)
}

/// The first key after that of a conversation; the first of all for none. No conversation's bytes are another's with more behind them.
fn after_conversation(prefix: Bytes, after: Option<ConversationId>) -> Key {
    match after {
        Some(conversation) => prefix.conversation(conversation).byte(0).key(),
        None => prefix.key(),
    }
}

/// Key bytes as they are put together.
#[derive(Clone, Copy)]
struct Bytes {
    bytes: [u8; Key::MAX_LEN],
    len: usize,
}

impl Bytes {
    fn of(first: u8) -> Self {
        Self { bytes: [0; Key::MAX_LEN], len: 0 }.byte(first)
    }

    fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }

    fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn user(self, user: UserId) -> Self {
        self.u64(user.0)
    }

    fn device(self, device: DeviceId) -> Self {
        self.user(device.user).bytes(&device.serial.to_be_bytes())
    }

    fn conversation(self, conversation: ConversationId) -> Self {
        match conversation {
            ConversationId::Direct(pair) => {
                let [low, high] = pair.users();
                self.byte(IS_DIRECT).user(low).user(high)
            }
            ConversationId::Group(GroupId(id)) => self.byte(IS_GROUP).bytes(&id),
        }
    }

    fn bytes(mut self, more: &[u8]) -> Self {
        self.bytes[self.len..self.len + more.len()].copy_from_slice(more);
        self.len += more.len();
        self
    }

    fn key(self) -> Key {
        Key::new(&self.bytes[..self.len])
    }
}

/// Key bytes as they are taken apart.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn expect(&mut self, byte: u8) -> Option<&mut Self> {
        (self.byte()? == byte).then_some(self)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn user(&mut self) -> Option<UserId> {
        self.u64().map(UserId)
    }

    pub(super) fn device(&mut self) -> Option<DeviceId> {
        Some(DeviceId { user: self.user()?, serial: self.array().map(u16::from_be_bytes)? })
    }

    pub(super) fn conversation(&mut self) -> Option<ConversationId> {
        match self.byte()? {
            IS_DIRECT => ConversationId::direct(self.user()?, self.user()?),
            IS_GROUP => Some(ConversationId::Group(GroupId(self.array()?))),
            _ => None,
        }
    }

    pub(super) fn topic(&mut self) -> Option<Topic> {
        Some(match self.byte()? {
            1 => Topic::Dirty(self.conversation()?),
            2 => Topic::Receipt(self.conversation()?),
            3 => Topic::Typing(self.conversation()?),
            4 => Topic::Presence(self.user()?),
            5 => Topic::Replaced(SessionEpoch(self.u64()?)),
            6 => Topic::Removed,
            7 => Topic::TypingIn(self.conversation()?, self.user()?),
            _ => return None,
        })
    }
}
