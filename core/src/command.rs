//! What may be asked of the store's machine, and what it answers.
//!
//! A command asks; it may be refused ([`Reject`](crate::reject::Reject)), and it is safe to run again: a retry finds the traces of its
//! first run and hears the same answer.

use crate::change::Change;
use crate::content::{Content, Entry};
use crate::frame::{Chat, Presence, Privacy, RosterEntry, UserCard, UserList};
use crate::id::{ConversationId, DeviceId, Digest, GatewayId, MessageId, Phone, Seq, SessionEpoch, UserId};
use crate::rows::Reached;
use crate::store::{Key, Lane};
use crate::time::Timestamp;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// A request to the store's machine. What needs random bytes carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A verification code was made for a phone number and is about to be sent to it.
    RequestCode {
        /// Whose.
        phone: Phone,
        /// The code's digest; see [`code_digest`].
        code: Digest,
    },
    /// Links a device to the account of a phone number, and makes the account if there is none. Answer: [`Reply::Registered`].
    Register {
        /// The number that the code was sent to.
        phone: Phone,
        /// The digest of the code that came back.
        code: Digest,
        /// The digest of the device's secret. It also tells a retry from another device.
        secret: Digest,
        /// The id that the account gets if there is none yet.
        new_user: UserId,
        /// A name by which the owner knows the device; at most [`crate::limits::NAME_BYTES`].
        name: String,
    },
    /// A device has connected. Answer: [`Reply::Opened`].
    OpenSession {
        /// Which device.
        device: DeviceId,
        /// The digest of the secret that it showed.
        secret: Digest,
        /// To which gateway.
        gateway: GatewayId,
        /// The connection's number at that gateway: it tells this session from every other there.
        epoch: SessionEpoch,
        /// Which run of the client program it is; see [`ClientFrame::Hello`](crate::frame::ClientFrame::Hello).
        run: u64,
    },
    /// What a device wants in its session. Refused for the moment if that is its session no more: whatever an older one still does, such as to
    /// run again a command of which nobody knew whether it was carried out, must not undo what the device has done since.
    InSession {
        /// Which device.
        device: DeviceId,
        /// At which gateway.
        gateway: GatewayId,
        /// Which of the device's sessions.
        epoch: SessionEpoch,
        /// What it wants. Answer: that of this command.
        command: Box<Command>,
    },
    /// A device's connection has ended. Changes nothing if a newer session has taken its place.
    EndSession {
        /// Which device.
        device: DeviceId,
        /// At which gateway.
        gateway: GatewayId,
        /// Which of the device's sessions.
        epoch: SessionEpoch,
        /// When the device was last heard.
        heard: Timestamp,
    },
    /// These users' devices were heard.
    Heard {
        /// Each with the time.
        users: Vec<(UserId, Timestamp)>,
    },
    /// A message. Answer: [`Reply::Sent`].
    Send {
        /// The sending device.
        from: DeviceId,
        /// Where to.
        conversation: ConversationId,
        /// Its name, the same for every retry.
        id: MessageId,
        /// What it carries. Into a group, also what is to be changed of it; see [`crate::change`].
        content: Content,
        /// The roster epoch that a message into a group was made for; zero in a direct conversation.
        roster: u64,
    },
    /// A page of the members of a group. Answer: [`Reply::Roster`].
    AskRoster {
        /// Who asks.
        user: UserId,
        /// Of which group.
        conversation: ConversationId,
        /// The last member of the previous page.
        after: Option<UserId>,
    },
    /// Marks some devices of a large group as behind. Answer: [`Reply::FannedOut`].
    FanOut {
        /// Which group.
        conversation: ConversationId,
    },
    /// Groups whose devices are to be marked. Answer: [`Reply::FanOuts`].
    ReadFanOuts,
    /// The sum of the receipts of a group's members begins. Answer: [`Reply::SumBegun`], or [`Reply::SumEnded`] if none is due.
    BeginSum {
        /// Of which group.
        conversation: ConversationId,
    },
    /// The receipts of a group's members, summed up. Answer: [`Reply::Summed`].
    Sum {
        /// Of which group.
        conversation: ConversationId,
    },
    /// Some senders are told of the sum. Answer: [`Reply::SumEnded`].
    EndSum {
        /// Of which group.
        conversation: ConversationId,
        /// The sum.
        reached: Reached,
        /// Whom to tell.
        tell: Vec<UserId>,
        /// If these are the last, the mark under which it has begun.
        last: Option<u64>,
    },
    /// Groups whose members' receipts are to be summed up. Answer: [`Reply::Sums`].
    ReadSums,
    /// The next conversations in which there may be something to trim. Answer: [`Reply::Untrimmed`].
    FindUntrimmed {
        /// The conversation after which to look.
        after: Option<ConversationId>,
    },
    /// Up to where all devices have a conversation that they are to have. Answer: [`Reply::Delivered`].
    AskDelivered {
        /// Which conversation.
        conversation: ConversationId,
        /// Of a group: the row after which to go on.
        after: Option<Key>,
    },
    /// The server need not keep contents any more: some of those that it still keeps are trimmed. Answer: [`Reply::Trimmed`].
    Trim {
        /// Of which conversation.
        conversation: ConversationId,
        /// Up to this position.
        upto: Seq,
        /// Only what was accepted before.
        before: Timestamp,
    },
    /// A device has stored everything up to `delivered`; its user was shown everything up to `read`. Answer: [`Reply::Done`] or
    /// [`Reply::SumDue`].
    Acknowledge {
        /// Which device.
        device: DeviceId,
        /// Of which conversation.
        conversation: ConversationId,
        /// By the device's word; refused beyond the head.
        delivered: Seq,
        /// Clamped to what the device has.
        read: Seq,
    },
    /// A page of a conversation's log. Answer: [`Reply::Page`].
    ReadLog {
        /// For which device.
        device: DeviceId,
        /// Of which conversation.
        conversation: ConversationId,
        /// The position before the first entry wanted; `None` for the device's cursor.
        after: Option<Seq>,
    },
    /// A page of a device's dirty set. Answer: [`Reply::Dirty`].
    ReadDirty {
        /// Whose.
        device: DeviceId,
        /// The last conversation of the previous page.
        after: Option<ConversationId>,
    },
    /// How far the other side of each conversation has got. Answer: [`Reply::Receipts`].
    AskReceipts {
        /// Who asks.
        user: UserId,
        /// Conversations of the asker's.
        conversations: Vec<ConversationId>,
    },
    /// The user is typing, or has stopped. Leaves no trace but the wake-ups. Answer: [`Reply::Done`].
    Typing {
        /// The device on which the user types.
        from: DeviceId,
        /// In which conversation.
        conversation: ConversationId,
        /// Whether they are typing.
        active: bool,
    },
    /// A session wants to be told of a user's coming and going. Answer: [`Reply::Presence`].
    Watch {
        /// The session's device.
        device: DeviceId,
        /// The session's gateway.
        gateway: GatewayId,
        /// Whom it watches.
        user: UserId,
    },
    /// The end of [`Command::Watch`]. Answer: [`Reply::Done`].
    Unwatch {
        /// The session's device.
        device: DeviceId,
        /// The session's gateway.
        gateway: GatewayId,
        /// Whom it watched.
        user: UserId,
    },
    /// Which phone numbers have accounts. Answer: [`Reply::Users`].
    FindUsers {
        /// The numbers.
        phones: Vec<Phone>,
    },
    /// Who is behind an id. Answer: [`Reply::Users`].
    AskUser {
        /// The id.
        user: UserId,
    },
    /// A page of a user's conversations. Answer: [`Reply::Chats`].
    ListChats {
        /// Whose.
        user: UserId,
        /// The last conversation of the previous page.
        after: Option<ConversationId>,
    },
    /// Puts a user on a list of another's, or takes them off. Answer: [`Reply::Done`].
    SetListed {
        /// Whose list.
        owner: UserId,
        /// Which list.
        list: UserList,
        /// Whom.
        user: UserId,
        /// On, or off.
        listed: bool,
    },
    /// Who may see a user's presence. Answer: [`Reply::Done`].
    SetPrivacy {
        /// Whose presence.
        user: UserId,
        /// From now on.
        privacy: Privacy,
    },
    /// Exchanges a device's token. The old one stays good until the new one has opened a session. Answer: [`Reply::Renewed`].
    Renew {
        /// Which device.
        device: DeviceId,
        /// The digest of the new secret.
        secret: Digest,
    },
    /// Removes a device from its account; its session is closed. Answer: [`Reply::Done`].
    RemoveDevice {
        /// Which one.
        device: DeviceId,
    },
    /// Reads the wake-ups that have gathered for a gateway, and clears those that it has seen to. Answer: [`Reply::Wakes`].
    TakeWakes {
        /// Which gateway.
        gateway: GatewayId,
        /// Wake-ups of earlier answers. One that has changed since is answered again, not cleared, so that none is lost with an answer.
        seen: Vec<SeenWake>,
    },
    /// A gateway begins, and gets its lease. Answer: [`Reply::Done`].
    Begin {
        /// Which gateway.
        gateway: GatewayId,
    },
    /// A gateway is alive. Answer: [`Reply::Lease`].
    RenewLease {
        /// Which gateway.
        gateway: GatewayId,
    },
    /// Which gateways there are. Answer: [`Reply::Leases`].
    ReadLeases,
    /// Ends the lease of a gateway that has not renewed it, and the sessions under it, some at a time. Answer: [`Reply::Reaped`].
    ///
    /// Whether a gateway is dead is judged by how long the judge saw no renewal, so the clocks of two gateways are never compared.
    Reap {
        /// Which gateway.
        gateway: GatewayId,
        /// Its last renewal, as seen by the judge. Nothing happens if there was another since.
        renewals: u64,
    },
}

/// About what the rows take that make somebody a member of a group.
const MEMBER_ROWS_BYTES: usize = 256;

/// A wake-up that was answered before: its row and a stamp of what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenWake {
    /// The row.
    pub key: Key,
    /// Of its value; see [`stamp`].
    pub stamp: u64,
}

/// What tells one value of a wake-up from another: two have the same stamp once in 2^64 times. Every wake-up is stamped twice, so this is
/// fast and no proof against values that are made to look alike: whoever made such messages would only have their own come late.
pub fn stamp(value: &[u8]) -> u64 {
    const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];
    // The two halves of a product, folded: every bit of either factor reaches every bit of it.
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let (chunks, rest) = value.as_chunks::<16>();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let all = chunks.iter().chain([&last]).map(|chunk| u128::from_le_bytes(*chunk));
    let state = all.fold(KEYS[0] ^ value.len() as u64, |state, chunk| fold(chunk as u64 ^ KEYS[1], (chunk >> 64) as u64 ^ state));
    fold(state ^ KEYS[0], KEYS[2])
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out, now or by an earlier try.
    Done,
    /// The device belongs to the account.
    Registered {
        /// The device's name from now on.
        device: DeviceId,
        /// When its token runs out.
        expires: Timestamp,
    },
    /// The session is open.
    Opened {
        /// The session's number.
        epoch: SessionEpoch,
        /// When the token runs out.
        expires: Timestamp,
        /// The first page of what the device has not acknowledged.
        dirty: DirtyPage,
    },
    /// A later run of the client program has a session: this one has had its turn.
    Outrun,
    /// The message stands in the log.
    Sent {
        /// Its position.
        seq: Seq,
        /// When it was accepted.
        at: Timestamp,
        /// The sending device's cursor in that conversation.
        cursor: Seq,
        /// The group is large: [`Command::FanOut`] has to be carried out for the members to hear of it.
        fan_out: bool,
    },
    /// See [`Command::AskRoster`].
    Roster {
        /// What the group is called.
        name: String,
        /// Its roster epoch.
        epoch: u64,
        /// In the order of user ids.
        members: Vec<RosterEntry>,
        /// Whether there are more.
        more: bool,
    },
    /// See [`Command::FanOut`].
    FannedOut {
        /// Whether there are more devices to be marked.
        more: bool,
    },
    /// See [`Command::ReadFanOuts`]: each group with a stamp that changes whenever its job moves on.
    FanOuts(Vec<(ConversationId, u64)>),
    /// As [`Reply::Done`], and the receipts of the group's members are to be summed up, which nobody else is to do.
    SumDue,
    /// See [`Command::BeginSum`].
    SumBegun {
        /// Under which mark.
        mark: u64,
    },
    /// See [`Command::Sum`].
    Summed {
        /// How far all have got.
        reached: Reached,
        /// The members of whose messages that says more than before.
        tell: Vec<UserId>,
    },
    /// See [`Command::EndSum`].
    SumEnded {
        /// Whether more was acknowledged meanwhile.
        again: bool,
    },
    /// See [`Command::ReadSums`]: each group with a stamp that changes whenever its sum moves on.
    Sums(Vec<(ConversationId, u64)>),
    /// See [`Command::FindUntrimmed`].
    Untrimmed {
        /// Conversations that are longer than what is trimmed of them.
        conversations: Vec<ConversationId>,
        /// The last one that was looked at; `None` if there was none.
        last: Option<ConversationId>,
    },
    /// See [`Command::AskDelivered`].
    Delivered {
        /// All devices of the users that were looked at have everything up to here.
        upto: Seq,
        /// Of a group: the row after which to go on, if there is more.
        after: Option<Key>,
    },
    /// See [`Command::Trim`].
    Trimmed {
        /// Whether there is more to be trimmed.
        more: bool,
    },
    /// See [`Command::ReadLog`].
    Page {
        /// Of which conversation.
        conversation: ConversationId,
        /// The position before the first entry.
        after: Seq,
        /// Contiguous.
        entries: Vec<Entry>,
        /// The last position of the conversation.
        head: Seq,
    },
    /// See [`Command::ReadDirty`].
    Dirty(DirtyPage),
    /// See [`Command::AskReceipts`]: conversation, delivered, read.
    Receipts(Vec<(ConversationId, Seq, Seq)>),
    /// See [`Command::Watch`].
    Presence(Presence),
    /// See [`Command::FindUsers`].
    Users(Vec<UserCard>),
    /// See [`Command::ListChats`].
    Chats {
        /// In the order of conversation ids.
        chats: Vec<Chat>,
        /// Whether there are more.
        more: bool,
    },
    /// See [`Command::Renew`].
    Renewed {
        /// When the new token runs out.
        expires: Timestamp,
    },
    /// See [`Command::TakeWakes`].
    Wakes {
        /// What they say, each with the device that it is for.
        wakes: Vec<(DeviceId, Wake)>,
        /// What to hand in as seen once they are seen to.
        seen: Vec<SeenWake>,
        /// Whether there are more.
        more: bool,
    },
    /// See [`Command::RenewLease`].
    Lease {
        /// False when the lease is gone: another gateway has ended this one's sessions.
        held: bool,
    },
    /// See [`Command::ReadLeases`]: each gateway with the number of its renewals.
    Leases(Vec<(GatewayId, u64)>),
    /// See [`Command::Reap`].
    Reaped {
        /// Whether there is more to reap.
        more: bool,
    },
}

/// Conversations that are ahead of a device, each with the position up to which they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtyPage {
    /// In the order of conversation ids.
    pub conversations: Vec<(ConversationId, Seq)>,
    /// Whether there are more after the last of these.
    pub more: bool,
}

/// Something that a gateway should look at or pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A conversation is ahead of the device.
    Dirty {
        /// Which one.
        conversation: ConversationId,
        /// At least up to here.
        upto: Seq,
        /// The entry at that position, where it is small enough to ride along.
        entry: Option<Entry>,
    },
    /// The other side of a conversation has got further.
    Receipt {
        /// Which conversation.
        conversation: ConversationId,
        /// Their watermark.
        delivered: Seq,
        /// Their watermark.
        read: Seq,
    },
    /// The other side of a conversation is typing, or has stopped.
    Typing {
        /// Which conversation.
        conversation: ConversationId,
        /// In a group, who.
        by: Option<UserId>,
        /// Whether they are typing.
        active: bool,
    },
    /// A watched user has come or gone.
    Presence {
        /// Who.
        user: UserId,
        /// What this watcher may see.
        presence: Presence,
    },
    /// A newer session of the device has taken the place of one at this gateway.
    Replaced {
        /// The number of the one that has ended.
        epoch: SessionEpoch,
        /// Whether the newer one is of the same run of the client program, as when a connection was given up and was late to arrive.
        by_same_run: bool,
    },
    /// The device was removed from its account.
    Removed,
}

impl Command {
    /// What kind of command it is, for those who count: its own name, or that of the command that it carries.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestCode { .. } => "RequestCode",
            Self::Register { .. } => "Register",
            Self::OpenSession { .. } => "OpenSession",
            Self::InSession { command, .. } => command.name(),
            Self::EndSession { .. } => "EndSession",
            Self::Heard { .. } => "Heard",
            Self::Send { .. } => "Send",
            Self::Acknowledge { .. } => "Acknowledge",
            Self::ReadLog { .. } => "ReadLog",
            Self::ReadDirty { .. } => "ReadDirty",
            Self::AskReceipts { .. } => "AskReceipts",
            Self::Typing { .. } => "Typing",
            Self::Watch { .. } => "Watch",
            Self::Unwatch { .. } => "Unwatch",
            Self::FindUsers { .. } => "FindUsers",
            Self::AskUser { .. } => "AskUser",
            Self::ListChats { .. } => "ListChats",
            Self::SetListed { .. } => "SetListed",
            Self::SetPrivacy { .. } => "SetPrivacy",
            Self::Renew { .. } => "Renew",
            Self::RemoveDevice { .. } => "RemoveDevice",
            Self::TakeWakes { .. } => "TakeWakes",
            Self::Begin { .. } => "Begin",
            Self::RenewLease { .. } => "RenewLease",
            Self::ReadLeases { .. } => "ReadLeases",
            Self::Reap { .. } => "Reap",
            Self::AskRoster { .. } => "AskRoster",
            Self::FanOut { .. } => "FanOut",
            Self::ReadFanOuts => "ReadFanOuts",
            Self::BeginSum { .. } => "BeginSum",
            Self::Sum { .. } => "Sum",
            Self::EndSum { .. } => "EndSum",
            Self::ReadSums => "ReadSums",
            Self::FindUntrimmed { .. } => "FindUntrimmed",
            Self::AskDelivered { .. } => "AskDelivered",
            Self::Trim { .. } => "Trim",
        }
    }

    /// The device whose message it takes in.
    pub(crate) fn sender(&self) -> Option<DeviceId> {
        if let Self::InSession { command, .. } = self {
            command.sender()
        } else if let Self::Send { from, .. } = self {
            Some(*from)
        } else {
            None
        }
    }

    /// Whether it most likely writes no durable row.
    pub fn lane(&self) -> Lane {
        match self {
            Self::InSession { command, .. } => command.lane(),
            Self::RequestCode { .. }
            | Self::Register { .. }
            | Self::EndSession { .. }
            | Self::Heard { .. }
            | Self::Send { .. }
            | Self::FanOut { .. }
            | Self::BeginSum { .. }
            | Self::EndSum { .. }
            | Self::Trim { .. }
            | Self::Acknowledge { .. }
            | Self::SetListed { .. }
            | Self::SetPrivacy { .. }
            | Self::Renew { .. }
            | Self::RemoveDevice { .. } => Lane::Durable,
            Self::OpenSession { .. }
            | Self::ReadLog { .. }
            | Self::ReadDirty { .. }
            | Self::AskReceipts { .. }
            | Self::Typing { .. }
            | Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::FindUsers { .. }
            | Self::AskUser { .. }
            | Self::AskRoster { .. }
            | Self::ListChats { .. }
            | Self::TakeWakes { .. }
            | Self::Begin { .. }
            | Self::RenewLease { .. }
            | Self::ReadLeases
            | Self::ReadFanOuts
            | Self::Sum { .. }
            | Self::ReadSums
            | Self::FindUntrimmed { .. }
            | Self::AskDelivered { .. }
            | Self::Reap { .. } => Lane::Quick,
        }
    }

    /// Bytes of content that it carries.
    pub fn size(&self) -> usize {
        if let Self::Send { content, .. } = self {
            // Rows are written for everybody whom a change adds.
            let added = Change::of(content).ok().flatten().map_or(0, |change| change.added().len());
            content.size() + added * MEMBER_ROWS_BYTES
        } else if let Self::InSession { command, .. } = self {
            command.size()
        } else {
            0
        }
    }
}

/// What the store keeps of a verification code.
pub fn code_digest(phone: &Phone, code: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("doubletick 2026 verification code");
    hasher.update(phone.as_str().as_bytes()).update(&[0]).update(code.trim().as_bytes());
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn values_that_differ_in_a_bit_or_in_zeros_at_their_ends_have_different_stamps() {
        let value: Vec<u8> = (0..100).collect();
        let cut = (0..=value.len()).map(|len| value[..len].to_vec());
        let zeros = (0..100).map(|len| vec![0; len]).skip(2);
        let flipped = (0..8 * value.len()).map(|bit| {
            let mut value = value.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            value
        });
        let values: BTreeSet<Vec<u8>> = cut.chain(zeros).chain(flipped).collect();
        let stamps: BTreeSet<u64> = values.iter().map(|value| stamp(value)).collect();
        assert_eq!(stamps.len(), values.len());
        assert!(values.len() > 900);
    }
}
