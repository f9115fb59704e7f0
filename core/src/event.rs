//! What has happened. An event cannot be refused; [`crate::transact`] turns it into rows, and says what must be done about it.

use crate::content::Content;
use crate::frame::UserList;
use crate::id::{ConversationId, DeviceId, Digest, GatewayId, MessageId, Phone, Seq, SessionEpoch, Side, UserId};
use crate::rows::{Account, Device, FanOut, Group, Head, LogEntry, Member, PastMember, Reached, Receipt, Session, Tally, Verification};
use crate::store::Key;
use crate::time::Timestamp;
use alloc::vec::Vec;

/// Something that has happened. A batch's events stand in the order of its commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A phone number's verification moved on: a code was made, guessed wrongly, or used. Says nothing about the account.
    VerificationMoved {
        /// Whose.
        phone: Phone,
        /// As it is from now on.
        state: Verification,
    },
    /// There is an account for this phone number from now on. Once for each user.
    AccountCreated {
        /// The new user.
        user: UserId,
        /// Theirs from now on.
        phone: Phone,
    },
    /// An account is like this from now on: a device was linked or removed, a setting changed.
    AccountChanged {
        /// Whose.
        user: UserId,
        /// As it is from now on.
        account: Account,
    },
    /// Others may see a user's presence from now on who could not before, or the other way round.
    PrivacyChanged {
        /// Whose.
        user: UserId,
    },
    /// A device proves itself like this from now on: it was linked, or has exchanged its token.
    DeviceChanged {
        /// Which one.
        device: DeviceId,
        /// As it is from now on.
        state: Device,
    },
    /// A device belongs to no account from now on.
    DeviceRemoved {
        /// Which one.
        device: DeviceId,
    },
    /// A device has a conversation in its chat list from now on, for each of its two people. Once for each conversation.
    ConversationStarted {
        /// Which one.
        conversation: ConversationId,
        /// When.
        at: Timestamp,
    },
    /// A message, or a change of a group, stands in the log. Once for each position.
    MessageSent(MessageSent),
    /// A group is like this from now on.
    GroupChanged {
        /// Which one.
        conversation: ConversationId,
        /// As it is from now on.
        group: Group,
    },
    /// A user is a member of a group from now on, and has it in their chat list.
    MemberJoined {
        /// Of which group.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// As they are from now on.
        member: Member,
    },
    /// A member of a group has another role from now on.
    RoleChanged {
        /// Of which group.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// As they are from now on.
        member: Member,
    },
    /// A user is no member of a group any more, and does not have it in their chat list. What they may still fetch of it is told by
    /// [`Event::PastMemberChanged`].
    MemberGone {
        /// Of which group.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// These are the times for which a user was a member of a group before.
    PastMemberChanged {
        /// Of which group.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// From now on.
        past: PastMember,
    },
    /// A conversation is ahead of these devices.
    MarkedBehind {
        /// Which one.
        conversation: ConversationId,
        /// At least up to here.
        upto: Seq,
        /// Which devices.
        devices: Vec<DeviceId>,
        /// The entry at that position, where they are told of it together with the mark.
        entry: Option<LogEntry>,
    },
    /// The devices of a large group are to be marked as behind.
    FanOutDue {
        /// Of which group.
        conversation: ConversationId,
        /// At least up to here.
        upto: Seq,
    },
    /// Some of the devices of a large group are marked.
    FanOutMoved {
        /// Of which group.
        conversation: ConversationId,
        /// Which.
        progress: FanOut,
    },
    /// All devices of a large group are marked.
    FanOutDone {
        /// Of which group.
        conversation: ConversationId,
        /// Whether something was sent meanwhile, so that it all begins again.
        again: bool,
    },
    /// The receipts of a group's members are to be summed up from now on, or are being summed up, or need not be.
    SumMarked {
        /// Of which group.
        conversation: ConversationId,
        /// Odd while it waits, even while a gateway is at it; `None` for no more.
        mark: Option<u64>,
    },
    /// These devices of senders are told how far the others of their group have got. Leaves no row.
    ReachedTold {
        /// In which group.
        conversation: ConversationId,
        /// How far all members have got.
        reached: Reached,
        /// Whom.
        devices: Vec<DeviceId>,
    },
    /// The members of a group have got so far, all together.
    ReachedMoved {
        /// Of which group.
        conversation: ConversationId,
        /// So far.
        reached: Reached,
    },
    /// The contents of these entries are not kept any more, nor is any before them that may be trimmed.
    ContentTrimmed {
        /// Of which conversation.
        conversation: ConversationId,
        /// Up to here, nothing is left to be trimmed.
        upto: Seq,
        /// What is left of each entry, with its position.
        entries: Vec<(Seq, LogEntry)>,
    },
    /// A device has everything in a conversation up to here, or needs nothing before it. Only ever moves forwards.
    CursorMoved {
        /// Which device.
        device: DeviceId,
        /// In which conversation.
        conversation: ConversationId,
        /// The device's position.
        upto: Seq,
        /// Whether nothing is left that the device does not have.
        caught_up: bool,
    },
    /// A user has got further in a conversation.
    ReceiptMoved {
        /// Which user.
        user: UserId,
        /// In which conversation.
        conversation: ConversationId,
        /// As far as this.
        receipt: Receipt,
        /// Whether the other side's ticks change by it.
        tell: bool,
    },
    /// A device is connected.
    SessionOpened {
        /// Which device.
        device: DeviceId,
        /// To which gateway.
        gateway: GatewayId,
        /// Which of the gateway's connections.
        epoch: SessionEpoch,
        /// Which run of the client program.
        run: u64,
        /// The session that it takes the place of.
        replaces: Option<Session>,
    },
    /// A device is not connected any more.
    SessionEnded {
        /// Which device.
        device: DeviceId,
        /// At which gateway it was.
        gateway: GatewayId,
    },
    /// A gateway's list named a session that is not the device's present one, and names it no more.
    SessionUnlisted {
        /// Which device.
        device: DeviceId,
        /// Whose list.
        gateway: GatewayId,
    },
    /// A user has come online or gone offline. Not written when one of several devices comes or goes.
    PresenceChanged {
        /// Who.
        user: UserId,
        /// Online, or offline.
        online: bool,
    },
    /// A device of a user was heard. Written about once a minute for each connected user.
    Heard {
        /// Who.
        user: UserId,
        /// When.
        at: Timestamp,
    },
    /// A user is typing, or has stopped. Leaves no row.
    Typing {
        /// Who.
        user: UserId,
        /// In which conversation.
        conversation: ConversationId,
        /// Whether they are typing.
        active: bool,
    },
    /// A member of a group is typing, or has stopped. Leaves no row.
    TypingIn {
        /// In which group.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether they are typing.
        active: bool,
        /// The devices that are told, as far as they are connected.
        devices: Vec<DeviceId>,
    },
    /// A session watches a user's presence, or watches it no more.
    WatchChanged {
        /// Who is watched.
        user: UserId,
        /// By which device.
        device: DeviceId,
        /// At which gateway; `None` for no more.
        gateway: Option<GatewayId>,
    },
    /// A user stands on another's list, or stands there no more.
    ListChanged {
        /// Whose list.
        owner: UserId,
        /// Which.
        list: UserList,
        /// Who.
        user: UserId,
        /// Since when; `None` for no more.
        since: Option<Timestamp>,
    },
    /// A gateway has taken these wake-ups, and answers for them.
    WakesTaken {
        /// Their rows.
        keys: Vec<Key>,
    },
    /// A gateway is alive.
    LeaseRenewed {
        /// Which gateway.
        gateway: GatewayId,
        /// How often it has renewed its lease.
        renewals: u64,
    },
    /// A gateway has not renewed its lease in time, and will not any more: its sessions are being ended, some at a time.
    LeaseLost {
        /// Which gateway.
        gateway: GatewayId,
        /// How often it had renewed its lease.
        renewals: u64,
    },
    /// A gateway's lease has ended, and every session under it.
    LeaseEnded {
        /// Which gateway.
        gateway: GatewayId,
    },
}

/// A message stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSent {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Its position.
    pub seq: Seq,
    /// The sending device.
    pub sender: DeviceId,
    /// The side of the sender. In a group: [`Side::Low`] for a message, [`Side::High`] for a change.
    pub side: Side,
    /// The sender's name for it.
    pub id: MessageId,
    /// When it was accepted. Not before the entry that precedes it.
    pub at: Timestamp,
    /// The chain's link.
    pub chain: Digest,
    /// Messages of each side up to and with this one. In a group: messages, changes.
    pub tally: Tally,
    /// What it carries.
    pub content: Content,
    /// The content's digest.
    pub digest: Digest,
    /// The head before it.
    pub before: Head,
    /// The device epochs of both accounts: low, high. In a group: zero.
    pub device_epochs: [u32; 2],
    /// The devices that are marked as behind: all of both users but the sending one, and that one too where it is new and lacks more. In a
    /// large group: those of who has just ceased to be a member.
    pub devices: Vec<DeviceId>,
}

impl MessageSent {
    /// The end of the log from now on.
    pub fn head(&self) -> Head {
        let mut last_of = self.before.last_of;
        last_of[self.side as usize] = self.seq;
        Head { seq: self.seq, chain: self.chain, at: self.at, tally: self.tally, last_of, device_epochs: self.device_epochs }
    }

    /// The entry of the log.
    pub fn entry(&self) -> LogEntry {
        let Self { sender, id, at, chain, tally, .. } = *self;
        LogEntry { sender, id, at, chain, tally, content: (&self.content).into() }
    }
}
