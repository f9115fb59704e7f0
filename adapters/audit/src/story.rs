//! What the log of a conversation tells, and how everybody stands: made of its rows as they come.

use std::collections::BTreeMap;

use doubletick_core::change::Change;
use doubletick_core::id::{ConversationId, DeviceId, Digest, MessageId, Seq, UserId};
use doubletick_core::rows::{Account, Counter, Cursor, Head, LogEntry, Member, Place, Receipt, Row as _, StoredContent};
use doubletick_core::store::Key;
use doubletick_core::time::Timestamp;

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its position.
    pub seq: Seq,
    /// When it was accepted.
    pub at: Timestamp,
    /// Who sent it.
    pub sender: DeviceId,
    /// Its name.
    pub id: MessageId,
    /// Its bodies: one for all devices, or one for each of some. Each with its kind and its length.
    pub bodies: Vec<(Option<DeviceId>, u32, usize)>,
    /// In a group: what it changes, if it is no message. `None` also for a change that cannot be read.
    pub change: Option<Change>,
    /// Its link in the chain.
    pub chain: Digest,
}

/// How somebody stands in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How far they have got.
    pub receipt: Receipt,
    /// In a group: the position at which they became a member; `None` if they are none any more.
    pub joined: Option<Seq>,
    /// Messages of others after what was shown to them, counted in the log. In a group, who writes has read what stands before, and who joins
    /// has nothing to read of what stands before that; changes are no messages.
    pub unread: u64,
}

/// How a device stands in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Up to where it has acknowledged.
    pub acknowledged: Seq,
    /// Up to where something is marked as waiting for it.
    pub marked: Option<Seq>,
}

/// A conversation as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// Which one it is, once a row has come.
    pub conversation: Option<ConversationId>,
    /// Its head, if that decodes.
    pub head: Option<Head>,
    /// Its people.
    pub people: BTreeMap<UserId, Standing>,
    /// Their devices.
    pub devices: BTreeMap<DeviceId, Reached>,
    /// Positions of the messages that one of them has sent, as runs of one after the other: what unread is counted by when receipts come
    /// after the log.
    sent: Vec<(UserId, Seq, Seq)>,
}

impl Story {
    /// The next row. Returns the event, if it is one; a value that is damaged is left to the proof.
    pub fn row(&mut self, key: &Key, value: &[u8]) -> Option<Event> {
        let place = Place::of(key)?;
        if let Some(conversation) = place.conversation().filter(|_| self.conversation.is_none()) {
            self.conversation = Some(conversation);
            self.people.extend(conversation.pair().into_iter().flat_map(|pair| pair.users()).map(|user| (user, Standing::default())));
        }
        match place {
            Place::Log(_, seq) => return self.event(seq, LogEntry::decode(value).ok()?),
            Place::Head(_) => self.head = Head::decode(value).ok(),
            Place::Receipt(_, user) => self.people.entry(user).or_default().receipt = Receipt::decode(value).ok()?,
            // Somebody who is no member any more may have a receipt too.
            Place::Member(_, user) => {
                let joined = Member::decode(value).ok()?.joined;
                self.people.entry(user).or_default().joined = Some(joined);
            }
            Place::Account(user) => {
                let linked = Account::decode(value).ok()?.devices.into_iter();
                self.devices.extend(linked.map(|device| (DeviceId { user, serial: device.serial }, Reached::default())));
            }
            Place::Dirty(device, _) => self.devices.entry(device).or_default().marked = Some(Seq(Counter::decode(value).ok()?.0)),
            Place::Cursor(device, _) => self.devices.entry(device).or_default().acknowledged = Cursor::decode(value).ok()?.upto,
            Place::Index(..)
            | Place::Group(_)
            | Place::PastMember(..)
            | Place::Sent(..)
            | Place::Trimmed(_)
            | Place::FanOutDue(_)
            | Place::FanOut(_)
            | Place::Reached(_)
            | Place::SumDue(_)
            | Place::GroupCount(_)
            | Place::Chat(..)
            | Place::Contact(..)
            | Place::Block(..)
            | Place::LastSeen(_)
            | Place::Device(_)
            | Place::Phone(_)
            | Place::Verification(_)
            | Place::Session(_)
            | Place::Bell(_)
            | Place::SessionOf(..)
            | Place::Wake(..)
            | Place::Lease(_)
            | Place::Watcher(..) => {}
        }
        None
    }

    fn event(&mut self, seq: Seq, entry: LogEntry) -> Option<Event> {
        let LogEntry { sender, id, at, chain, tally: _, content } = entry;
        let is_group = self.conversation.is_some_and(|conversation| conversation.pair().is_none());
        let change = match &content {
            StoredContent::Shared(body) if is_group => Change::of_body(&body.clone().into()),
            StoredContent::Shared(_) | StoredContent::PerDevice(_) => Ok(None),
        };
        if change == Ok(None) {
            match self.sent.last_mut() {
                Some((user, _, last)) if *user == sender.user && last.next() == seq => *last = seq,
                _ => self.sent.push((sender.user, seq, seq)),
            }
        }
        let bodies = match content {
            StoredContent::Shared(body) => vec![(None, body.kind, body.bytes.len())],
            StoredContent::PerDevice(bodies) => bodies.into_iter().map(|(to, body)| (Some(to), body.kind, body.bytes.len())).collect(),
        };
        Some(Event { seq, at, sender, id, bodies, change: change.ok().flatten(), chain })
    }

    /// All rows have come: counts what is unread.
    pub fn end(&mut self) {
        let is_group = self.conversation.is_some_and(|conversation| conversation.pair().is_none());
        for (user, standing) in &mut self.people {
            let mut read = standing.receipt.read;
            if is_group {
                let own = self.sent.iter().filter(|(sender, ..)| sender == user).map(|(.., last)| *last).max();
                let joined = standing.joined.map(|joined| Seq(joined.0.saturating_sub(1)));
                read = [own, joined].into_iter().flatten().fold(read, Seq::max);
            }
            let others = self.sent.iter().filter(|(sender, ..)| sender != user);
            standing.unread = others.map(|(_, first, last)| last.0.saturating_sub(read.0.max(first.0.saturating_sub(1)))).sum();
        }
    }
}
