//! LOG_PROOF: proves the rows of a whole store against each other, without the rules that wrote them.
//!
//! A log is the truth; every other row about a conversation must follow from it. So the log is read once, in order, and everything that
//! can be rebuilt from it (head, index, tallies, chain) is rebuilt and compared with what is stored; what cannot be rebuilt (receipts,
//! cursors, dirty marks) is held against its bounds, and against what every linked device is owed. The tallies are recounted at every
//! entry, so the difference of any two of them, which is what unread counts are, equals a recount as well.

mod alone;
mod group;
mod messages;
mod proved;

pub use alone::{Around, verify_alone};
pub use messages::Names;
pub use proved::{Proved, verify_again};

use messages::{Messages, Rest};

use crate::chain;
use crate::content::ContentError;
use crate::id::{ConversationId, DeviceId, Pair, Seq, Side, UserId};
use crate::rows::{self, Account, ChatRow, Counter, Cursor, Damage, Head, Index, LogEntry, Place, Receipt, Row, Tally};
use crate::store::Key;
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

/// What a walk over a store has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Conversations that were seen.
    pub conversations: u64,
    /// Log entries that were read.
    pub entries: u64,
    /// The first thing that is wrong in each conversation, and every row outside of conversations that does not decode.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The row that shows it, or that is missing.
    pub key: Key,
    /// The conversation that it is about, if any.
    pub conversation: Option<ConversationId>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// How a row contradicts the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no value of the kind that the key promises.
    Damaged(Damage),
    /// The key is none of the row table's.
    UnknownKey,
    /// The log lacks positions before this entry.
    Gap {
        /// The first position that is missing.
        missing: Seq,
    },
    /// The sender takes no part in the conversation.
    Stranger {
        /// Who sent it.
        sender: UserId,
    },
    /// The stored content is none that could have been sent.
    Content(ContentError),
    /// The entry is earlier than the one before it.
    TimeWentBack {
        /// When the entry before it was accepted.
        before: Timestamp,
        /// When it was accepted itself.
        at: Timestamp,
    },
    /// The entry's messages of each side are not those of the log up to there.
    Tally {
        /// A recount of the log.
        counted: Tally,
        /// What is stored.
        stored: Tally,
    },
    /// The entry's link does not follow from what it says and from the link before it: one of the two was changed.
    Chain,
    /// The content of an entry is not kept any more, and trimming has not got there.
    Trimmed {
        /// Where trimming has got to.
        upto: Seq,
    },
    /// The same sender used the same message id at an earlier position.
    Repeated {
        /// Where.
        first: Seq,
    },
    /// The head is not what the log adds up to.
    HeadDiffers,
    /// There is a log and no head.
    NoHead,
    /// A message stands in the log and not in the index.
    NotIndexed,
    /// The index names a message that is not in the log.
    IndexedNowhere,
    /// The index says something else of a message than the log.
    IndexDiffers,
    /// The index and the log do not name the same messages; of which that is so could not be seen.
    IndexDisagrees,
    /// More is read than delivered.
    ReadPastDelivered {
        /// The receipt.
        receipt: Receipt,
    },
    /// A position that the conversation has not reached.
    PastHead {
        /// The position.
        position: Seq,
        /// The last one that there is.
        head: Seq,
    },
    /// A row about a conversation belongs to somebody who takes no part in it.
    NotMember,
    /// The conversation is missing on the list of one of its two people.
    NotListed,
    /// The conversation is on a list and has no log.
    EmptyConversation,
    /// A linked device has not acknowledged a message that is for it, and nothing marks that.
    NotMarked {
        /// As far as the device has acknowledged.
        cursor: Seq,
        /// The last message that is for it.
        owed: Seq,
    },
    /// A body says that it is a change of the group, and cannot be read.
    NotAChange,
    /// The group's rules did not let the sender do that.
    NotAllowed {
        /// Who did it.
        sender: UserId,
    },
    /// The group has members and no admin.
    Headless,
    /// The group has more members than it may.
    TooManyMembers,
    /// More is said to be on a device of every member's, or shown to them, than is true of this one.
    NotReached {
        /// Of whom it is not true.
        user: UserId,
    },
    /// What the log adds up to is something else.
    GroupDiffers,
    /// The log tells of a group, or of a member, and there is no such row.
    NoGroup,
    /// A count is not what the rows that it counts add up to.
    Miscounted {
        /// A recount.
        counted: u64,
        /// What is stored.
        stored: u64,
    },
    /// The head knows of more devices than were ever linked.
    DeviceEpoch {
        /// The head's.
        head: u32,
        /// The account's.
        account: u32,
    },
}

impl Fault {
    /// Of which kind it is, in a word or two: what reports count by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged value",
            Self::UnknownKey => "unknown key",
            Self::Gap { .. } => "gap in a log",
            Self::Stranger { .. } => "stranger's message",
            Self::Content(_) => "impossible content",
            Self::TimeWentBack { .. } => "time went back",
            Self::Tally { .. } => "wrong tally",
            Self::Chain => "broken chain",
            Self::Trimmed { .. } => "lost content",
            Self::Repeated { .. } => "repeated message",
            Self::HeadDiffers => "wrong head",
            Self::NoHead => "missing head",
            Self::NotIndexed => "missing index",
            Self::IndexedNowhere => "index of nothing",
            Self::IndexDiffers | Self::IndexDisagrees => "wrong index",
            Self::ReadPastDelivered { .. } => "read past delivered",
            Self::PastHead { .. } => "position past the head",
            Self::NotMember => "row of a stranger",
            Self::NotListed => "missing chat",
            Self::EmptyConversation => "chat of nothing",
            Self::NotMarked { .. } => "missing mark",
            Self::NotAChange => "unreadable change",
            Self::NotAllowed { .. } => "forbidden entry",
            Self::Headless => "group without an admin",
            Self::TooManyMembers => "too many members",
            Self::NotReached { .. } => "receipt for all that is none",
            Self::GroupDiffers => "wrong row of a group",
            Self::NoGroup => "missing group",
            Self::Miscounted { .. } => "wrong count",
            Self::DeviceEpoch { .. } => "wrong device epoch",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damage) => write!(f, "{damage}"),
            Self::UnknownKey => f.write_str("not a key of the row table"),
            Self::Gap { missing } => write!(f, "position {missing} before it is missing"),
            Self::Stranger { sender } => write!(f, "sent by {sender}, who takes no part in the conversation"),
            Self::Content(ContentError::TooLarge) => f.write_str("its content is larger than one may be"),
            Self::Content(ContentError::Bodies) => f.write_str("its content has no bodies, or too many"),
            Self::Content(ContentError::Trimmed) => f.write_str("it says that its content is not kept, and not what it was"),
            Self::Content(ContentError::Repeated) => f.write_str("its content has two bodies for one device"),
            Self::TimeWentBack { before, at } => write!(f, "accepted at {at}, after an entry that was accepted at {before}"),
            Self::Tally { counted, stored } => write!(f, "counts {:?} messages of the two sides, the log has {:?}", stored.0, counted.0),
            Self::Chain => f.write_str("its link does not follow from what it says and from the link before it"),
            Self::Trimmed { upto } => write!(f, "its content is not kept, and contents are trimmed up to {upto} only"),
            Self::Repeated { first } => write!(f, "the same message stands at position {first}"),
            Self::HeadDiffers => f.write_str("is not what the log adds up to"),
            Self::NoHead => f.write_str("missing, and there is a log"),
            Self::NotIndexed => f.write_str("missing, and the message stands in the log"),
            Self::IndexedNowhere => f.write_str("names a message that is not in the log"),
            Self::IndexDiffers => f.write_str("says something else of the message than the log"),
            Self::IndexDisagrees => f.write_str("its log and its index do not name the same messages"),
            Self::ReadPastDelivered { receipt } => write!(f, "read up to {}, delivered only up to {}", receipt.read, receipt.delivered),
            Self::PastHead { position, head } => write!(f, "names position {position}, the log ends at {head}"),
            Self::NotMember => f.write_str("belongs to somebody who takes no part in the conversation"),
            Self::NotListed => f.write_str("missing, and there is a conversation"),
            Self::EmptyConversation => f.write_str("names a conversation in which nothing was said"),
            Self::NotMarked { cursor, owed } => {
                write!(f, "missing or too low: the device has acknowledged up to {cursor}, and position {owed} is for it")
            }
            Self::NotAChange => f.write_str("says that it is a change of the group, and cannot be read"),
            Self::NotAllowed { sender } => write!(f, "sent by {sender}, whom the group's rules did not let do that"),
            Self::Headless => f.write_str("leaves the group without an admin"),
            Self::TooManyMembers => f.write_str("makes the group have more members than it may"),
            Self::NotReached { user } => write!(f, "says more of all members than is true of {user}"),
            Self::GroupDiffers => f.write_str("is not what the group's log adds up to"),
            Self::NoGroup => f.write_str("missing, and the log tells of it"),
            Self::Miscounted { counted, stored } => write!(f, "says {stored}, a recount says {counted}"),
            Self::DeviceEpoch { head, account } => write!(f, "the head knows of device epoch {head}, the account is at {account}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Place::of(&self.key) {
            Some(place) => write!(f, "{place}: {}", self.fault),
            None => write!(f, "key {:?}: {}", self.key, self.fault),
        }
    }
}

impl core::error::Error for Problem {}

/// Proves the rows of a store. They must come in the order of their keys, as every store scans them; ephemeral ones may be left out.
///
/// Keeps in memory: one conversation's index at a time, a summary of each conversation, every account, cursor and dirty mark; no content.
///
/// # Panics
/// If the rows come in another order.
pub fn verify<V: AsRef<[u8]>>(rows: impl IntoIterator<Item = (Key, V)>) -> Report {
    let mut proof = Proof { whole: true, ..Proof::default() };
    proof.rows(rows);
    proof.finish()
}

/// The proof of some conversations, each with what the rows of its people and jobs say of it, as they come in. In how many groups somebody is can
/// only be seen in a whole store: that is left to [`verify`], and whoever proves a store in parts.
///
/// The rows of a conversation come one after the other: its log in the order of positions, its index after its log and its head, and what else
/// there is of a group after that. The rows of people and jobs come after those of all conversations.
#[derive(Default)]
pub struct Proof {
    /// Whether all rows of a store come in.
    whole: bool,
    names: Names,
    report: Report,
    /// Of which something wrong is known already.
    spoilt: BTreeSet<ConversationId>,
    /// The conversation whose rows are coming in.
    open: Option<Log>,
    closed: BTreeMap<ConversationId, Summary>,
    accounts: BTreeMap<UserId, Account>,
    listed: BTreeSet<(UserId, ConversationId)>,
    cursors: BTreeMap<(DeviceId, ConversationId), Seq>,
    marks: BTreeMap<(DeviceId, ConversationId), Seq>,
    /// Groups whose devices are still to be marked, up to where.
    due: BTreeMap<ConversationId, Seq>,
    group_counts: BTreeMap<UserId, u64>,
    /// What an earlier proof has shown, and what this one has, if anybody wants to go on from that.
    earlier: Proved,
    shown: Option<Proved>,
}

/// What is kept of a conversation once its log was read.
struct Summary {
    head: Head,
    /// The last entry and its sender, and the last one by any other device: what each device is owed at most.
    last: Option<(Seq, DeviceId)>,
    last_of_another: Seq,
    /// Of a group.
    group: Option<group::Fold>,
}

impl Summary {
    /// The last message that is for a device: not its own.
    fn owed(&self, device: DeviceId) -> Seq {
        match self.last {
            Some((seq, sender)) if sender != device => seq,
            Some(_) => self.last_of_another,
            None => Seq::START,
        }
    }
}

/// A log as it is read, and what it adds up to so far.
struct Log {
    conversation: ConversationId,
    /// Up to here an earlier proof has shown it.
    proved: Seq,
    stored: Option<Head>,
    /// The fold of the entries so far, but for the device epochs, of which a log says nothing.
    fold: Head,
    last: Option<(Seq, DeviceId)>,
    last_of_another: Seq,
    messages: Messages,
    /// The last entry whose content is not kept, and whether trimming is known to have got there.
    trimmed: Option<Seq>,
    trimming: bool,
    /// Of a group.
    group: Option<group::Fold>,
    /// Of a group, how far each user has got.
    receipts: BTreeMap<UserId, Receipt>,
    /// Members whose rows have come in, and whether the group's own has.
    members: u64,
    described: bool,
}

impl Proof {
    /// One that keeps the names of so many messages.
    pub fn naming(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    fn rows<V: AsRef<[u8]>>(&mut self, rows: impl IntoIterator<Item = (Key, V)>) {
        let mut last = None;
        for (key, value) in rows {
            assert!(last < Some(key), "rows come in the order of their keys: {key:?} after {last:?}");
            last = Some(key);
            self.row(key, value.as_ref());
        }
    }

    /// The next row.
    pub fn row(&mut self, key: Key, value: &[u8]) {
        let Some(place) = Place::of(&key) else {
            return self.problem(key, None, Fault::UnknownKey);
        };
        let conversation = place.conversation();
        if self.open.as_ref().is_some_and(|open| rows::conversation_of(&key) != Some(open.conversation)) {
            self.close();
        }
        if let Err(fault) = self.place(place, value) {
            self.problem(key, conversation, fault);
        }
    }

    fn place(&mut self, place: Place, value: &[u8]) -> Result<(), Fault> {
        match place {
            Place::Head(conversation) => {
                let head = decode::<Head>(value)?;
                self.log(conversation).stored = Some(head);
            }
            Place::Receipt(conversation, user) => {
                let receipt = decode::<Receipt>(value)?;
                if !conversation.may_include(user) {
                    return Err(Fault::NotMember);
                }
                self.log(conversation).receipt(user, receipt)?;
            }
            Place::Log(conversation, seq) => self.of_log(conversation, seq, value)?,
            Place::Index(conversation, sender, id) => {
                let index = decode::<Index>(value)?;
                self.check_head();
                self.log(conversation).messages.indexed(sender, id, &index)?;
            }
            Place::Group(_) | Place::Member(..) | Place::PastMember(..) | Place::Sent(..) | Place::Reached(_) | Place::Trimmed(_) => {
                self.after_log(place, value)?;
            }
            Place::FanOutDue(conversation) | Place::FanOut(conversation) => self.of_job(&place, conversation, value)?,
            Place::SumDue(_) => drop(decode::<Counter>(value)?),
            Place::GroupCount(user) => {
                let Counter(count) = decode(value)?;
                self.group_counts.insert(user, count);
            }
            Place::Account(user) => {
                self.accounts.insert(user, decode(value)?);
            }
            Place::Chat(user, conversation) => self.of_list(user, conversation, value)?,
            Place::Dirty(device, conversation) => {
                let Counter(upto) = decode(value)?;
                self.member(conversation, device.user)?;
                self.within(conversation, Seq(upto))?;
                self.marks.insert((device, conversation), Seq(upto));
            }
            Place::Cursor(device, conversation) => {
                let cursor = decode::<Cursor>(value)?;
                self.member(conversation, device.user)?;
                self.within(conversation, cursor.upto)?;
                self.cursors.insert((device, conversation), cursor.upto);
            }
            Place::Contact(..)
            | Place::Block(..)
            | Place::LastSeen(_)
            | Place::Bell(_)
            | Place::Device(_)
            | Place::Phone(_)
            | Place::Verification(_)
            | Place::Session(_)
            | Place::SessionOf(..)
            | Place::Wake(..)
            | Place::Lease(_)
            | Place::Watcher(..) => verify_alone(&place, value, Around::default())?,
        }
        Ok(())
    }

    /// An entry of a log.
    fn of_log(&mut self, conversation: ConversationId, seq: Seq, value: &[u8]) -> Result<(), Fault> {
        if seq <= self.log(conversation).proved {
            return Ok(());
        }
        self.report.entries += 1;
        if self.spoilt.contains(&conversation) {
            return Ok(());
        }
        let entry = decode::<LogEntry>(value);
        self.log(conversation).entry(seq, entry?)
    }

    /// A conversation on a user's list.
    fn of_list(&mut self, user: UserId, conversation: ConversationId, value: &[u8]) -> Result<(), Fault> {
        decode::<ChatRow>(value)?;
        if !conversation.may_include(user) {
            return Err(Fault::NotMember);
        }
        let summary = self.summary(conversation).ok_or(Fault::EmptyConversation)?;
        if summary.group.as_ref().is_some_and(|group| group.joined(user).is_none()) {
            return Err(Fault::NotMember);
        }
        self.listed.insert((user, conversation));
        Ok(())
    }

    /// A row about the marking of a large group's devices.
    fn of_job(&mut self, place: &Place, conversation: ConversationId, value: &[u8]) -> Result<(), Fault> {
        if matches!(place, Place::FanOut(_)) {
            return self.within(conversation, decode::<crate::rows::FanOut>(value)?.upto);
        }
        let Counter(upto) = decode(value)?;
        self.within(conversation, Seq(upto))?;
        self.due.insert(conversation, Seq(upto));
        Ok(())
    }

    /// A row about a conversation that comes after its log: about a group or its members, or about what is kept.
    fn after_log(&mut self, place: Place, value: &[u8]) -> Result<(), Fault> {
        self.check_head();
        let Some(conversation) = place.conversation() else { return Ok(()) };
        if self.spoilt.contains(&conversation) {
            return Ok(());
        }
        let log = self.log(conversation);
        if let Place::Trimmed(_) = place {
            let Counter(upto) = decode(value)?;
            return log.trimming_reached(Seq(upto));
        }
        let fold = log.group.as_ref().ok_or(Fault::UnknownKey)?;
        if let Place::Member(_, user) = place {
            log.members += 1;
            fold.check_member(user, &decode(value)?)
        } else if let Place::PastMember(_, user) = place {
            fold.check_past(user, &decode(value)?)
        } else if let Place::Reached(_) = place {
            fold.check_reached(&decode(value)?, &log.receipts)
        } else if let Place::Sent(_, user) = place {
            fold.check_sent(user, decode(value)?)
        } else {
            log.described = true;
            fold.check(&decode(value)?)
        }
    }

    /// Whether somebody takes part in a conversation, or ever did.
    fn member(&self, conversation: ConversationId, user: UserId) -> Result<(), Fault> {
        let ever = |summary: &Summary| summary.group.as_ref().is_none_or(|group| group.ever(user));
        if conversation.may_include(user) && self.summary(conversation).is_none_or(ever) { Ok(()) } else { Err(Fault::NotMember) }
    }

    /// The conversation whose rows are coming in.
    fn log(&mut self, conversation: ConversationId) -> &mut Log {
        let names = self.names;
        self.open.get_or_insert_with(|| self.earlier.take(conversation).unwrap_or_else(|| Log::new(conversation, names)))
    }

    fn summary(&self, conversation: ConversationId) -> Option<&Summary> {
        self.closed.get(&conversation)
    }

    fn within(&self, conversation: ConversationId, position: Seq) -> Result<(), Fault> {
        let head = self.summary(conversation).map_or(Seq::START, |summary| summary.head.seq);
        if position > head { Err(Fault::PastHead { position, head }) } else { Ok(()) }
    }

    /// The log's entries have all come in, of which index rows tell; the head must be what they add up to.
    fn check_head(&mut self) {
        let Some(log) = self.open.as_ref() else { return };
        let fault = match log.stored {
            None => Fault::NoHead,
            // Of the devices a log says nothing.
            Some(head) if head != (Head { device_epochs: head.device_epochs, ..log.fold }) => Fault::HeadDiffers,
            Some(_) => return,
        };
        let conversation = log.conversation;
        self.problem(crate::rows::head(conversation).key, Some(conversation), fault);
    }

    /// A conversation's rows have all come in.
    fn close(&mut self) {
        self.check_head();
        let Some(log) = self.open.take() else { return };
        self.report.conversations += 1;
        if let Some(seq) = log.trimmed.filter(|_| !log.trimming) {
            self.problem(crate::rows::log(log.conversation, seq).key, Some(log.conversation), Fault::Trimmed { upto: Seq::START });
        }
        match log.messages.rest() {
            Some(Rest::Message(sender, id)) => {
                let key = crate::rows::index(log.conversation, sender, id).key;
                self.problem(key, Some(log.conversation), Fault::NotIndexed);
            }
            Some(Rest::Sum) => self.problem(crate::rows::head(log.conversation).key, Some(log.conversation), Fault::IndexDisagrees),
            None => {}
        }
        if let Some(fold) = &log.group {
            let key = crate::rows::group(log.conversation).key;
            if !fold.is_whole() {
                self.problem(key, Some(log.conversation), Fault::Headless);
            }
            if !log.described || log.members < fold.members().count() as u64 {
                self.problem(key, Some(log.conversation), Fault::NoGroup);
            }
        }
        let (conversation, head) = (log.conversation, log.stored.unwrap_or(log.fold));
        let (last, last_of_another) = (log.last, log.last_of_another);
        let group = match &mut self.shown {
            Some(shown) if !self.spoilt.contains(&conversation) => shown.keep(log),
            _ => log.group,
        };
        self.closed.insert(conversation, Summary { head, last, last_of_another, group });
    }

    /// All rows have come in.
    pub fn finish(mut self) -> Report {
        self.close();
        for (conversation, summary) in core::mem::take(&mut self.closed) {
            let checked = match conversation {
                ConversationId::Direct(pair) => self.check_people(conversation, pair, &summary),
                ConversationId::Group(_) => self.check_members(conversation, &summary),
            };
            if let Err((key, fault)) = checked {
                self.problem(key, Some(conversation), fault);
            }
        }
        if self.whole {
            self.check_counts();
        }
        self.report
    }

    /// Everybody is in as many groups as is counted for them.
    fn check_counts(&mut self) {
        let mut counted: BTreeMap<UserId, u64> = BTreeMap::new();
        for (user, _) in self.listed.iter().filter(|(_, conversation)| conversation.pair().is_none()) {
            *counted.entry(*user).or_default() += 1;
        }
        for (user, stored) in core::mem::take(&mut self.group_counts) {
            let counted = counted.remove(&user).unwrap_or_default();
            if counted != stored {
                self.problem(crate::rows::group_count(user).key, None, Fault::Miscounted { counted, stored });
            }
        }
        if let Some((user, counted)) = counted.pop_first() {
            self.problem(crate::rows::group_count(user).key, None, Fault::Miscounted { counted, stored: 0 });
        }
    }

    /// All members of a group have it on their lists, and every device of theirs has what is for it, or is marked, or a job will mark it.
    fn check_members(&self, conversation: ConversationId, summary: &Summary) -> Result<(), (Key, Fault)> {
        let due = self.due.get(&conversation).copied().unwrap_or_default();
        for user in summary.group.iter().flat_map(group::Fold::members) {
            if !self.listed.contains(&(user, conversation)) {
                return Err((crate::rows::chat(user, conversation).key, Fault::NotListed));
            }
            let Some(account) = self.accounts.get(&user) else { continue };
            for device in account.devices.iter().map(|device| DeviceId { user, serial: device.serial }) {
                self.check_owed(conversation, device, summary.owed(device), due)?;
            }
        }
        Ok(())
    }

    fn check_owed(&self, conversation: ConversationId, device: DeviceId, owed: Seq, due: Seq) -> Result<(), (Key, Fault)> {
        let cursor = self.cursors.get(&(device, conversation)).copied().unwrap_or_default();
        let mark = self.marks.get(&(device, conversation)).copied().unwrap_or_default();
        if owed > cursor && owed > mark && owed > due {
            return Err((crate::rows::dirty(device, conversation).key, Fault::NotMarked { cursor, owed }));
        }
        Ok(())
    }

    /// Both people have the conversation on their lists, and every device of theirs has what is for it, or is marked.
    fn check_people(&self, conversation: ConversationId, pair: Pair, summary: &Summary) -> Result<(), (Key, Fault)> {
        for side in [Side::Low, Side::High] {
            let user = pair.user(side);
            if !self.listed.contains(&(user, conversation)) {
                return Err((crate::rows::chat(user, conversation).key, Fault::NotListed));
            }
            let Some(account) = self.accounts.get(&user) else { continue };
            let known = summary.head.device_epochs[side as usize];
            if known > account.device_epoch {
                let fault = Fault::DeviceEpoch { head: known, account: account.device_epoch };
                return Err((crate::rows::head(conversation).key, fault));
            }
            // A device that was linked after the last message is owed nothing yet.
            for device in account.devices.iter().filter(|device| device.epoch <= known) {
                let device = DeviceId { user, serial: device.serial };
                self.check_owed(conversation, device, summary.owed(device), Seq::START)?;
            }
        }
        Ok(())
    }

    fn problem(&mut self, key: Key, conversation: Option<ConversationId>, fault: Fault) {
        if conversation.is_none_or(|conversation| self.spoilt.insert(conversation)) {
            self.report.problems.push(Problem { key, conversation, fault });
        }
    }
}

impl Log {
    fn new(conversation: ConversationId, names: Names) -> Self {
        let group = conversation.pair().is_none().then(group::Fold::default);
        Self {
            conversation,
            proved: Seq::START,
            stored: None,
            fold: Head::EMPTY,
            last: None,
            last_of_another: Seq::START,
            messages: Messages::new(names),
            trimmed: None,
            trimming: false,
            group,
            receipts: BTreeMap::new(),
            members: 0,
            described: false,
        }
    }

    fn receipt(&mut self, user: UserId, receipt: Receipt) -> Result<(), Fault> {
        if self.group.is_some() {
            self.receipts.insert(user, receipt);
        }
        if receipt.read > receipt.delivered {
            return Err(Fault::ReadPastDelivered { receipt });
        }
        // A lost head is told of by itself.
        if let Some(Head { seq: head, .. }) = self.stored
            && receipt.delivered > head
        {
            return Err(Fault::PastHead { position: receipt.delivered, head });
        }
        Ok(())
    }

    /// Contents need not be kept up to here.
    fn trimming_reached(&mut self, upto: Seq) -> Result<(), Fault> {
        if upto > self.fold.seq {
            return Err(Fault::PastHead { position: upto, head: self.fold.seq });
        }
        self.trimming = true;
        match self.trimmed {
            Some(seq) if seq > upto => Err(Fault::Trimmed { upto }),
            _ => Ok(()),
        }
    }

    fn entry(&mut self, seq: Seq, entry: LogEntry) -> Result<(), Fault> {
        let before = self.fold;
        let LogEntry { sender, id, at, chain, tally, content } = entry;
        if seq != before.seq.next() {
            return Err(Fault::Gap { missing: before.seq.next() });
        }
        let side = match (self.conversation, &mut self.group) {
            (ConversationId::Direct(pair), _) => pair.side(sender.user).ok_or(Fault::Stranger { sender: sender.user })?,
            (ConversationId::Group(_), Some(group)) => {
                if group.entry(seq, sender.user, &content)? {
                    Side::High
                } else {
                    Side::Low
                }
            }
            (ConversationId::Group(_), None) => unreachable!("a group's log is folded as one"),
        };
        if at < before.at {
            return Err(Fault::TimeWentBack { before: before.at, at });
        }
        let counted = before.tally.with(side);
        if tally != counted {
            return Err(Fault::Tally { counted, stored: tally });
        }
        let trimmed = content.is_trimmed();
        let digest = content.digest().map_err(Fault::Content)?;
        if chain != chain::link(&before.chain, seq, sender, id, at, &digest) {
            return Err(Fault::Chain);
        }
        if let Some(first) = self.messages.logged(sender.user, id, Index { seq, at, digest }) {
            return Err(Fault::Repeated { first });
        }
        if trimmed {
            self.trimmed = Some(seq);
        }
        let mut last_of = before.last_of;
        last_of[side as usize] = seq;
        self.fold = Head { seq, chain, at, tally, last_of, device_epochs: before.device_epochs };
        if let Some((earlier, other)) = self.last
            && other != sender
        {
            self.last_of_another = earlier;
        }
        self.last = Some((seq, sender));
        Ok(())
    }
}

fn decode<R: Row>(value: &[u8]) -> Result<R, Fault> {
    R::decode(value).map_err(Fault::Damaged)
}
