//! The reference model: each conversation as a plain list, and what each device must end up with. As naive as can be.
//!
//! A list grows when a row of its log is first committed. Whatever else is said of a message (to its sender, to its receivers, by other rows)
//! is held against its place in the list; and in the end each living device shows exactly the part of each list that is for it.

use super::{Message, Oracle, Oracles};
use doubletick_core::change::KIND;
use doubletick_core::content::{Content, Parts};
use doubletick_core::id::{ConversationId, DeviceId, Seq, UserId};
use doubletick_core::rows::{LogEntry, Row, StoredContent};
use doubletick_core::store::Key;
use std::collections::BTreeMap;

/// Every conversation.
#[derive(Clone, Default)]
pub(crate) struct Model {
    logs: BTreeMap<ConversationId, Vec<Placed>>,
}

/// A message that stands in a conversation. Its position follows from its place in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Which of the messages that were written.
    message: u32,
    pub(super) sender: DeviceId,
    /// It changes a group.
    pub(super) change: bool,
    /// When it was committed, in the world's time.
    at: u64,
}

impl Model {
    fn log(&self, conversation: ConversationId) -> &[Placed] {
        self.logs.get(&conversation).map_or(&[], Vec::as_slice)
    }

    /// Which message stands at a position.
    pub(super) fn message_at(&self, conversation: ConversationId, seq: Seq) -> Option<u32> {
        let place = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.log(conversation).get(place).map(|placed| placed.message)
    }

    /// When a position was committed, in the world's time.
    pub(super) fn committed_at(&self, conversation: ConversationId, seq: Seq) -> Option<u64> {
        let place = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.log(conversation).get(place).map(|placed| placed.at)
    }

    /// The last position.
    pub(crate) fn head(&self, conversation: ConversationId) -> Seq {
        Seq(self.log(conversation).len() as u64)
    }

    /// How many messages like these stand after a position, up to another.
    pub(super) fn between(&self, conversation: ConversationId, after: Seq, upto: Seq, is: impl Fn(&Placed) -> bool) -> u64 {
        let until = self.log(conversation).iter().take(upto.0 as usize);
        until.skip(after.0 as usize).filter(|placed| is(placed)).count() as u64
    }

    /// The last position, up to one, of a message that one of these wrote.
    pub(super) fn last_where(&self, conversation: ConversationId, upto: Seq, wrote: impl Fn(DeviceId) -> bool) -> Seq {
        self.last_with(conversation, upto, |placed| wrote(placed.sender))
    }

    /// The last position, up to one, of a message like these.
    pub(super) fn last_with(&self, conversation: ConversationId, upto: Seq, is: impl Fn(&Placed) -> bool) -> Seq {
        let log = self.log(conversation);
        let within = log.len().min(usize::try_from(upto.0).unwrap_or(usize::MAX));
        log[..within].iter().rposition(is).map_or(Seq::START, |place| Seq(place as u64 + 1))
    }

    /// Which device has written what stands at a position.
    pub(super) fn sender_at(&self, conversation: ConversationId, seq: Seq) -> Option<DeviceId> {
        let place = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.log(conversation).get(place).map(|placed| placed.sender)
    }

    /// The first position that was committed after a time; the one after the last if there is none. Of what was committed in the same
    /// millisecond it is not known here whether it came before.
    pub(crate) fn first_after(&self, conversation: ConversationId, at: u64) -> Seq {
        let log = self.log(conversation);
        Seq(log.partition_point(|placed| placed.at <= at) as u64 + 1)
    }

    /// Every conversation with a message in it.
    pub(crate) fn conversations(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.logs.keys().copied()
    }
}

impl Oracles {
    /// A row of a log was committed.
    pub(super) fn logged(&mut self, conversation: ConversationId, seq: Seq, key: &Key, value: &[u8], now: u64) {
        let Ok((sender, id)) = LogEntry::read_name(value) else {
            return self.compare(Oracle::LogProof, false, || format!("the row {key:?} does not decode"));
        };
        let Some(message) = self.by_id.get(&id).copied().or_else(|| self.brought_about(conversation, sender, value)) else {
            return self.compare(Oracle::Visibility, false, || format!("{id} stands at {seq} of {conversation}; nobody wrote it"));
        };
        let written = &self.messages[message as usize];
        let same = written.conversation == conversation && written.sender == sender;
        self.compare(Oracle::Visibility, same, || format!("{id} stands at {seq} of {conversation}, and was not written there"));
        let head = self.model.head(conversation);
        if seq <= head {
            let before = self.model.message_at(conversation, seq);
            return self.compare(Oracle::TotalOrder, before == Some(message), || {
                format!("{seq} of {conversation} was written again, with another message")
            });
        }
        self.compare(Oracle::TotalOrder, seq == head.next(), || format!("{seq} of {conversation} was committed after {head}"));
        let group = conversation.pair().is_none();
        let content = &self.messages[message as usize].content;
        let change = group && matches!(content.parts(), Parts::Shared(body) if body.kind == KIND);
        let content = group.then(|| content.clone());
        self.model.logs.entry(conversation).or_default().push(Placed { message, sender, change, at: now });
        self.place(message, seq);
        if let Some(content) = content {
            self.group_entry(conversation, seq, sender, id, &content, now);
        }
    }

    /// An entry that nobody wrote: the one that names an heir where the last admin has left.
    fn brought_about(&mut self, conversation: ConversationId, sender: DeviceId, value: &[u8]) -> Option<u32> {
        self.groups.get(&conversation).filter(|group| group.headless == Some(sender))?;
        let LogEntry { id, content: StoredContent::Shared(body), .. } = LogEntry::decode(value).ok()? else { return None };
        let content = Content::shared(body.kind, body.bytes).ok()?;
        let nth = self.messages.len() as u32;
        self.by_id.insert(id, nth);
        self.messages.push(Message {
            conversation,
            device: self.nth_of(sender)?,
            sender,
            id,
            content,
            order: 0,
            durable: false,
            seq: None,
            told: false,
            refused: None,
            turned_away: Vec::new(),
            follows: true,
        });
        Some(nth)
    }

    /// NO_LOSS: what a living device shows of a conversation, against its part of the list. Says what is missing.
    pub(crate) fn lacks(&mut self, device: u32, conversation: ConversationId) -> Option<String> {
        let watched = &self.devices[device as usize];
        let (id, linked_at) = (watched.id?, watched.linked_at);
        // A device that was there from the start has everything; one that came later has at least what was committed since.
        let must = self.model.first_after(conversation, linked_at);
        let shows = |seq: Seq| self.model.message_at(conversation, seq).is_some_and(|message| watched.entries.get(&message) == Some(&seq));
        let mut compared = 0;
        let mut missing = None;
        for (first, last) in self.times_of(conversation, id.user) {
            let first = first.max(must);
            compared += (last.0 + 1).saturating_sub(first.0);
            let lacks = (first.0..=last.0).map(Seq).find(|seq| !shows(*seq));
            missing = missing.or(lacks.map(|seq| (seq, first, last)));
        }
        self.counts[Oracle::NoLoss as usize] += compared;
        missing.map(|(seq, first, last)| {
            format!("device {device} does not show {seq} of {conversation}, of which {first} to {last} are for it")
        })
    }

    /// The last message of its own user's that a device shows, up to a position: that is where ticks stand.
    pub(crate) fn last_own_shown(&self, device: u32, conversation: ConversationId, upto: Seq) -> Seq {
        let watched = &self.devices[device as usize];
        let shows = |message: u32| watched.entries.contains_key(&message);
        let own = |placed: &Placed| watched.id.is_some_and(|id| id.user == placed.sender.user) && shows(placed.message);
        self.model.last_with(conversation, upto, own)
    }

    /// Whether everything that a user's devices could have of a conversation up to a position is on one of them. A newcomer needs nothing of it.
    pub(super) fn covered(&self, user: UserId, conversation: ConversationId, upto: Seq) -> bool {
        let last_of_others = self.model.last_where(conversation, upto, |sender| sender.user != user);
        // A newcomer has nothing to do with its user's earlier times as a member.
        let before = self.joined_at(conversation, user, upto).map_or(Seq::START, |joined| Seq(joined.0 - 1));
        let has = self.has.get(&(user, conversation)).copied().unwrap_or_default();
        let nothing = conversation.pair().is_none() && self.joined_at(conversation, user, upto).is_none();
        nothing || has.max(before) >= last_of_others
    }
}
