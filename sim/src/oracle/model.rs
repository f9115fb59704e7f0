//! The reference model: each conversation as a plain list, and what each device must end up with. As naive as can be.
//!
//! A list grows when a row of its log is first committed. Whatever else is said of a message (to its sender, to its receivers, by other rows)
//! is held against its place in the list; and in the end each living device shows exactly the part of each list that is for it.

use super::{Oracle, Oracles};
use doubletick_core::id::{ConversationId, DeviceId, Seq, UserId};
use doubletick_core::rows::LogEntry;
use doubletick_core::store::Key;
use std::collections::BTreeMap;

/// Every conversation.
#[derive(Clone, Default)]
pub(crate) struct Model {
    logs: BTreeMap<ConversationId, Vec<Placed>>,
}

/// A message that stands in a conversation. Its position follows from its place in the list.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// Which of the messages that were written.
    message: u32,
    sender: DeviceId,
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

    /// How many messages after a position, up to another, one of these wrote.
    pub(super) fn between(&self, conversation: ConversationId, after: Seq, upto: Seq, wrote: impl Fn(DeviceId) -> bool) -> u64 {
        let until = self.log(conversation).iter().take(upto.0 as usize);
        until.skip(after.0 as usize).filter(|placed| wrote(placed.sender)).count() as u64
    }

    /// The last position, up to one, of a message that one of these wrote.
    pub(super) fn last_where(&self, conversation: ConversationId, upto: Seq, wrote: impl Fn(DeviceId) -> bool) -> Seq {
        self.last_with(conversation, upto, |placed| wrote(placed.sender))
    }

    fn last_with(&self, conversation: ConversationId, upto: Seq, is: impl Fn(&Placed) -> bool) -> Seq {
        let log = self.log(conversation);
        let within = log.len().min(usize::try_from(upto.0).unwrap_or(usize::MAX));
        log[..within].iter().rposition(is).map_or(Seq::START, |place| Seq(place as u64 + 1))
    }

    /// From a position on past those that one device wrote itself.
    pub(super) fn past_those_of(&self, conversation: ConversationId, from: Seq, device: Option<DeviceId>) -> Seq {
        let own = self.log(conversation).iter().skip(from.0 as usize).take_while(|placed| Some(placed.sender) == device);
        Seq(from.0 + own.count() as u64)
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
        let Some(message) = self.by_id.get(&id).copied() else {
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
        self.model.logs.entry(conversation).or_default().push(Placed { message, sender, at: now });
        self.place(message, seq);
    }

    /// NO_LOSS: what a living device shows of a conversation, against its part of the list. Says what is missing.
    pub(crate) fn lacks(&mut self, device: u32, conversation: ConversationId) -> Option<String> {
        let watched = &self.devices[device as usize];
        let (id, linked_at) = (watched.id?, watched.linked_at);
        if !conversation.may_include(id.user) {
            return None;
        }
        let head = self.model.head(conversation);
        // A device that was there from the start has everything; one that came later has at least what was committed since.
        let must = self.model.first_after(conversation, linked_at);
        let shows = |seq: Seq| self.model.message_at(conversation, seq).is_some_and(|message| watched.entries.get(&message) == Some(&seq));
        let missing = (must.0..=head.0).map(Seq).find(|seq| !shows(*seq));
        let compared = (head.0 + 1).saturating_sub(must.0);
        self.counts[Oracle::NoLoss as usize] += compared;
        missing.map(|seq| format!("device {device} does not show {seq} of {conversation}, of which {must} to {head} are for it"))
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
        self.has.get(&(user, conversation)).copied().unwrap_or_default() >= last_of_others
    }
}
