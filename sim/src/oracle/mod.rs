//! The oracles: what always holds, seen from outside.
//!
//! They see what people wrote, what their devices were told, stored and showed, and what the store holds; they share no rule with the
//! code that decides. Each counts its comparisons.

/// The invariants that are watched. The names are those of `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oracle {
    /// A message whose acceptance was told to its sender reaches every device entitled to it.
    NoLoss,
    /// Until a device acknowledges a position it will be sent it again; until a gateway was told of a wake-up it will be told again.
    AtLeastOnce,
    /// A client shows each message exactly once.
    VisibleOnce,
    /// Every device sees a conversation in the same order, without gaps.
    TotalOrder,
    /// Messages that one device sent into a conversation stand in the order sent.
    SenderOrder,
    /// A message has one position for ever.
    Dedup,
    /// Only the two users' devices ever get a message, and in a group those of its members, of their times as members; nobody gets one from whom
    /// they have blocked, and presences are shown to those who may see them.
    Visibility,
    /// Watermarks are true, and never go back.
    ReceiptTruth,
    /// Unread equals a recount of the log.
    Unread,
    /// Never online for more than 90 s after the device was last heard; last seen is when it was heard; whoever watches is told.
    Presence,
    /// Every chain verifies; rows rebuilt from the log equal the rows stored.
    LogProof,
    /// No queue, buffer or session grows past its limit.
    Bounded,
    /// Once faults stop, everything reaches its final state within a bounded time.
    Convergence,
    /// A group has an admin, the right one succeeds the last, and only who may do something does it; its rows say what its log says, and an
    /// entry is for the devices of its roster.
    GroupRules,
}

impl Oracle {
    /// Every oracle, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::NoLoss,
        Self::AtLeastOnce,
        Self::VisibleOnce,
        Self::TotalOrder,
        Self::SenderOrder,
        Self::Dedup,
        Self::Visibility,
        Self::ReceiptTruth,
        Self::Unread,
        Self::Presence,
        Self::LogProof,
        Self::Bounded,
        Self::Convergence,
        Self::GroupRules,
    ];

    /// The name by which documents and reports know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLoss => "NO_LOSS",
            Self::AtLeastOnce => "AT_LEAST_ONCE",
            Self::VisibleOnce => "VISIBLE_ONCE",
            Self::TotalOrder => "TOTAL_ORDER",
            Self::SenderOrder => "SENDER_ORDER",
            Self::Dedup => "DEDUP",
            Self::Visibility => "VISIBILITY",
            Self::ReceiptTruth => "RECEIPT_TRUTH",
            Self::Unread => "UNREAD",
            Self::Presence => "PRESENCE",
            Self::LogProof => "LOG_PROOF",
            Self::Bounded => "BOUNDED",
            Self::Convergence => "CONVERGENCE",
            Self::GroupRules => "GROUP_RULES",
        }
    }
}

mod access;
mod again;
mod drain;
mod flow;
mod group_rules;
mod groups;
mod messages;
mod model;
mod news;
mod presence;
mod rebuilt;
mod receipts;
mod rows;
mod settled;
mod unread;
mod wakes;
mod watching;

use access::Access;
use again::Session;
use doubletick_core::content::Content;
use doubletick_core::gateway::ConnId;
use doubletick_core::id::{ConversationId, DeviceId, GatewayId, MessageId, Seq, SessionEpoch, UserId};
use doubletick_core::reject::Reject;
use doubletick_core::time::Timestamp;
use doubletick_core::verify::Proved;
use drain::Stop;
pub(crate) use flow::Flow;
use group_rules::Changes;
use groups::Group;
use model::Model;
use news::News;
use presence::{Heard, Seen};
use rebuilt::Rebuilt;
use std::collections::{BTreeMap, BTreeSet};
use wakes::Told;
use watching::Watching;

/// What was seen from outside, and what was compared.
#[derive(Clone, Default)]
pub(crate) struct Oracles {
    /// Comparisons, by [`Oracle`].
    pub(crate) counts: [u64; Oracle::ALL.len()],
    broken: Option<(Oracle, String)>,
    /// The account of each user, once there is one.
    users: Vec<Option<UserId>>,
    devices: Vec<Watched>,
    messages: Vec<Message>,
    by_id: BTreeMap<MessageId, u32>,
    /// Every conversation as it must be.
    pub(crate) model: Model,
    /// The part of the logs that was proved already.
    pub(crate) proved: Proved,
    /// Rows rebuilt from what has happened, in the runs that do so.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// The positions of what one device sent into one conversation, by the order of writing.
    sent: BTreeMap<(u32, ConversationId), BTreeMap<u32, Seq>>,
    /// What some device of a user has durably stored of a conversation, contiguously.
    has: BTreeMap<(UserId, ConversationId), Seq>,
    /// What a user was shown of a conversation.
    shown: BTreeMap<(UserId, ConversationId), Seq>,
    /// The watermarks that the store held last: delivered, read.
    stored_receipts: BTreeMap<(ConversationId, UserId), (Seq, Seq)>,
    /// The cursors that the store held last.
    cursors: BTreeMap<(DeviceId, ConversationId), Seq>,
    /// Users whose devices break the protocol: their word about themselves is not judged.
    liars: BTreeSet<UserId>,
    nths: BTreeMap<DeviceId, u32>,
    /// Blocks that were ever asked for.
    blocks: BTreeSet<(UserId, UserId)>,
    heard: BTreeMap<UserId, Heard>,
    seen: BTreeMap<(u32, UserId), Seen>,
    /// Gateways that are stopping in order, and those whom they have sent away.
    stops: BTreeMap<u32, Stop>,
    /// Every group as its log adds up to it.
    groups: BTreeMap<ConversationId, Group>,
    /// When each device was linked, in the world's time.
    linked: BTreeMap<DeviceId, u64>,
    /// For which roster epochs the messages were made that the transaction at hand takes into groups.
    rosters: BTreeMap<(ConversationId, MessageId), u64>,
    /// Up to where jobs are to mark the devices of large groups.
    due: BTreeMap<ConversationId, Seq>,
    changes: Changes,
    parted: BTreeMap<(u32, ConnId), Timestamp>,
    /// Sessions of which their gateways were told that others have taken their place.
    replaced: BTreeSet<(GatewayId, SessionEpoch)>,
    access: Access,
    watching: Watching,
    told: Told,
    news: News,
}

/// A device as it is seen from outside.
#[derive(Clone)]
struct Watched {
    user: u32,
    id: Option<DeviceId>,
    linked_at: u64,
    /// Its user wants it removed from the account.
    removed: bool,
    /// When it was, in the world's time.
    removed_at: Option<u64>,
    /// As whom it has greeted, if not as itself.
    poses_as: Option<DeviceId>,
    /// Somebody else has greeted with its name and token.
    robbed: bool,
    /// Where it has put each message.
    entries: BTreeMap<u32, Seq>,
    /// Up to where it has each conversation on its disk.
    stored: BTreeMap<ConversationId, Seq>,
    /// Up to where it has ever told a gateway so.
    acknowledged: BTreeMap<ConversationId, Seq>,
    session: Session,
}

/// A message as it was written.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) conversation: ConversationId,
    pub(crate) device: u32,
    sender: DeviceId,
    pub(crate) id: MessageId,
    content: Content,
    /// The how-manieth of its device in its conversation.
    order: u32,
    /// It was stored in the outbox.
    pub(crate) durable: bool,
    /// Its position, once anybody was told.
    seq: Option<Seq>,
    /// Its acceptance was told to its sender.
    pub(crate) told: bool,
    pub(crate) refused: Option<Reject>,
    /// Why it was refused for ever, whether its sender heard of that or not. Sent again when it may be taken, it stands where it then comes
    /// to stand: it is not held to its turn.
    turned_away: Vec<Reject>,
    /// Nobody wrote it: another entry has brought it about.
    follows: bool,
}

impl Watched {
    fn new(user: u32) -> Self {
        Self {
            user,
            id: None,
            linked_at: u64::MAX,
            removed: false,
            removed_at: None,
            poses_as: None,
            robbed: false,
            entries: BTreeMap::new(),
            stored: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            session: Session::default(),
        }
    }
}

impl Oracles {
    /// Compares: says what is wrong if it is not right.
    pub(crate) fn compare(&mut self, oracle: Oracle, right: bool, detail: impl FnOnce() -> String) {
        self.counts[oracle as usize] += 1;
        if !right && self.broken.is_none() {
            self.broken = Some((oracle, detail()));
        }
    }

    /// What was found to be wrong.
    pub(crate) fn broken(&mut self) -> Option<(Oracle, String)> {
        self.broken.take()
    }

    /// There is another device of somebody's.
    pub(crate) fn device_of(&mut self, user: u32) {
        self.users.resize(self.users.len().max(user as usize + 1), None);
        self.devices.push(Watched::new(user));
    }

    pub(crate) fn users(&self) -> &[Option<UserId>] {
        &self.users
    }

    /// A device was told its name.
    pub(crate) fn linked(&mut self, device: u32, id: DeviceId, now: u64, lies: bool) {
        if lies {
            self.liars.insert(id.user);
        }
        let it = &mut self.devices[device as usize];
        (it.id, it.linked_at) = (Some(id), now);
        self.nths.insert(id, device);
        let account = &mut self.users[it.user as usize];
        let known = account.get_or_insert(id.user);
        let right = *known == id.user;
        self.compare(Oracle::Visibility, right, || format!("{id} was linked to another account than its user's other devices"));
        let same = self.devices.iter().filter(|other| other.id == Some(id)).count();
        self.compare(Oracle::Visibility, same == 1, || format!("two devices are called {id}"));
    }

    /// The linked devices of both people, or of a group's members.
    pub(crate) fn devices_of(&self, conversation: ConversationId) -> Vec<DeviceId> {
        let takes_part = |user| self.groups.get(&conversation).map_or(conversation.may_include(user), |group| group.is_member(user));
        self.devices.iter().filter_map(|device| device.id).filter(|id| takes_part(id.user)).collect()
    }

    /// A hostile device greets with the name and token of another, or as itself.
    pub(crate) fn poses_as(&mut self, device: u32, victim: Option<DeviceId>) {
        self.devices[device as usize].poses_as = victim;
        if let Some(victim) = victim.and_then(|victim| self.nth_of(victim)) {
            self.devices[victim as usize].robbed = true;
        }
    }

    /// Somebody wants a device to be removed from their account.
    pub(crate) fn removing(&mut self, device: DeviceId) {
        if let Some(nth) = self.nth_of(device) {
            self.devices[nth as usize].removed = true;
        }
    }

    /// Whether a device is to be removed, or was.
    pub(crate) fn is_removed(&self, device: u32) -> bool {
        self.devices[device as usize].removed
    }

    /// Whether somebody else has greeted as this device.
    pub(crate) fn is_robbed(&self, device: u32) -> bool {
        self.devices[device as usize].robbed
    }

    /// A device is told something about a conversation.
    pub(crate) fn told_of(&mut self, device: u32, conversation: ConversationId) {
        let id = self.devices[device as usize].id;
        let takes_part = id.is_some_and(|id| self.took_part(conversation, id.user));
        self.compare(Oracle::Visibility, takes_part, || {
            format!("device {device} was told of {conversation}, in which its user takes no part")
        });
    }

    pub(crate) fn blocks(&mut self, owner: UserId, user: UserId) {
        self.blocks.insert((owner, user));
    }

    fn nth_of(&self, device: DeviceId) -> Option<u32> {
        self.nths.get(&device).copied()
    }

    fn user_of(&self, device: u32) -> Option<UserId> {
        self.devices[device as usize].id.map(|id| id.user)
    }
}

/// When a clock said something.
type Local = Timestamp;
