//! What a device has stored and shows.

use doubletick_core::client::{Outgoing, Record, StoredChat};
use doubletick_core::content::Parts;
use doubletick_core::frame::{Delivery, Sender};
use doubletick_core::id::{ConversationId, MessageId, Seq};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) starts: u32,
    pub(crate) chats: BTreeMap<ConversationId, StoredChat>,
    pub(crate) outbox: Vec<Outgoing>,
    /// What is shown: conversation, position, sender, id, text.
    pub(crate) shown: Vec<Shown>,
    pub(crate) failed: Vec<MessageId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: Seq,
    pub(crate) own: bool,
    pub(crate) id: MessageId,
    pub(crate) text: String,
}

impl Disk {
    fn chat(&mut self, conversation: ConversationId) -> &mut StoredChat {
        self.chats.entry(conversation).or_insert_with(|| StoredChat::new(conversation))
    }

    /// A cursor means "everything up to here", and nothing else. Whoever came in late has everything from there on.
    pub(crate) fn check(&self, came_late: bool) {
        for (conversation, chat) in &self.chats {
            let positions: BTreeSet<u64> =
                self.shown.iter().filter(|shown| shown.conversation == *conversation).map(|shown| shown.seq.0).collect();
            let up_to = chat.cursor.map_or(0, |cursor| cursor.0);
            let from = if came_late { positions.first().copied().unwrap_or(up_to + 1) } else { 1 };
            let missing: Vec<u64> = (from..=up_to).filter(|seq| !positions.contains(seq)).collect();
            assert!(missing.is_empty(), "the cursor says {up_to}, and {missing:?} are missing");
        }
    }

    /// Applies a record; says whether an entry that came again was new after all.
    pub(crate) fn apply(&mut self, record: Record) -> bool {
        match record {
            Record::Written(outgoing) => self.outbox.push(outgoing),
            Record::Accepted { conversation, id, seq, next, .. } => {
                let place = self.outbox.iter().position(|outgoing| outgoing.id == id).expect("only what was written is accepted");
                let outgoing = self.outbox.remove(place);
                let text = match outgoing.content.parts() {
                    Parts::Shared(body) => String::from_utf8(body.bytes.to_vec()).unwrap(),
                    Parts::PerDevice(_) => String::new(),
                };
                self.show(Shown { conversation, seq, own: true, id, text });
                let chat = self.chat(conversation);
                chat.own_last = chat.own_last.max(seq);
                if next {
                    chat.cursor = chat.cursor.max(Some(seq));
                }
            }
            Record::Failed { id, .. } => {
                self.outbox.retain(|outgoing| outgoing.id != id);
                self.failed.push(id);
            }
            Record::Received { conversation, delivery, again } => {
                let Delivery { seq, from, id, body, .. } = delivery;
                let chat = self.chat(conversation);
                chat.cursor = chat.cursor.max(Some(seq));
                let own = matches!(from, Sender::Own(_));
                if own {
                    chat.own_last = chat.own_last.max(seq);
                }
                let text = body.map(|body| String::from_utf8(body.bytes.to_vec()).unwrap()).unwrap_or_default();
                let new = self.show(Shown { conversation, seq, own, id, text });
                if again && new {
                    self.chat(conversation).cursor = Some(seq);
                }
                return again && new;
            }
            Record::Read { conversation, upto } => self.chat(conversation).read = upto,
            Record::ReadTold { conversation, upto } => self.chat(conversation).read_told = upto,
            Record::Receipt { conversation, delivered, read } => {
                let chat = self.chat(conversation);
                (chat.peer_delivered, chat.peer_read) = (delivered, read);
            }
            Record::Token(_) => {}
            Record::Started(starts) => self.starts = starts,
        }
        false
    }

    fn show(&mut self, shown: Shown) -> bool {
        let new = !self.shown.iter().any(|other| (other.conversation, other.own, other.id) == (shown.conversation, shown.own, shown.id));
        if new {
            self.shown.push(shown);
        }
        new
    }
}
