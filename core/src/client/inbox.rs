//! Messages on their way in, and the positions that both sides tell each other.

use super::link::Link;
use super::{Answer, Client, Notice, Pending, Record, SaveId, Saving};
use crate::frame::{ClientFrame, Delivery, RequestId, Sender};
use crate::id::{ConversationId, Seq};
use crate::limits;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

impl Client {
    pub(super) fn delivered(&mut self, conversation: ConversationId, entries: Vec<Delivery>) {
        for delivery in entries {
            let seq = delivery.seq;
            let chat = self.chat(conversation);
            // The first position of a conversation that a device hears of may be any: it is where the device came in.
            let received = *chat.received.get_or_insert(Seq(seq.0.saturating_sub(1)));
            if seq > received.next() && !planted!(LiveOvertakesBacklog) {
                // A position is missing. What comes after it is not taken, so that the cursor never means less than it says.
                return self.fetch(conversation, received);
            }
            mark!(EntryComesAgain if seq <= received);
            let again = seq <= received && !planted!(ShownBeforeDedup);
            chat.received = Some(received.max(seq));
            let own = matches!(delivery.from, Sender::Own(_));
            if own {
                chat.stored.own_last = chat.stored.own_last.max(seq);
            }
            let save = self.save(Record::Received { conversation, delivery, again });
            self.saving.push_back(Saving { save, conversation, seq, own: false });
            if planted!(AcknowledgedBeforeSync) {
                let of = self.name(conversation);
                of.into_iter().for_each(|of| self.send(ClientFrame::Ack { request: None, of, delivered: seq, read: Seq::START }));
            }
            if own {
                self.ask_receipts_of(conversation);
            }
        }
    }

    fn fetch(&mut self, conversation: ConversationId, after: Seq) {
        if self.chat(conversation).fetching {
            return;
        }
        let (Some(of), Some(request)) = (self.name(conversation), self.request(Pending::Fetch(conversation))) else { return };
        self.chat(conversation).fetching = true;
        self.ask_in_turn(ClientFrame::Fetch { request, of, after });
    }

    pub(super) fn paged(&mut self, request: RequestId, entries: Vec<Delivery>, head: Seq) {
        match self.take_pending(request) {
            Some(Pending::Ask(tag)) => self.notice(Notice::Answered(tag, Answer::Page(entries, head))),
            Some(Pending::Fetch(conversation)) => {
                let more = entries.last().is_some_and(|last| last.seq < head);
                let chat = self.chat(conversation);
                chat.fetching = false;
                // The page is the answer to what follows: where it begins later, what stands between is not for this device.
                let before = entries.first().map(|first| Seq(first.seq.0.saturating_sub(1)));
                chat.received = chat.received.max(before);
                self.delivered(conversation, entries);
                if let Some(received) = self.chat(conversation).received.filter(|_| more) {
                    self.fetch(conversation, received);
                }
            }
            Some(Pending::Send(..) | Pending::Read(..) | Pending::Renew(_)) | None => {}
        }
    }

    /// A message of this device's own stands at a position. Says whether that is the next one for the device.
    pub(super) fn own_position(&mut self, conversation: ConversationId, seq: Seq) -> bool {
        let chat = self.chat(conversation);
        chat.stored.own_last = chat.stored.own_last.max(seq);
        // Where nothing was heard of a conversation yet, what stands before this position may be on its way: only the first of all is known
        // to have nothing before it.
        let next = seq == chat.received.unwrap_or(Seq::START).next();
        mark!(OwnMessageIsNotNext if !next);
        if next {
            chat.received = Some(seq);
        }
        next
    }

    pub(super) fn saved(&mut self, upto: SaveId, new_after_all: &[SaveId]) {
        self.self_saved(upto);
        self.outbox_saved(upto);
        let mut received = BTreeSet::new();
        while let Some(Saving { save, conversation, seq, own }) = self.saving.pop_front_if(|saving| saving.save <= upto) {
            let other_log = new_after_all.binary_search(&save).is_ok();
            // The server's log is not the one that this device has seen (it was restored): its positions count from here on.
            let last = || self.saving.iter().rev().find(|saving| saving.conversation == conversation).map_or(seq, |last| last.seq);
            let last = if other_log { Some(last()) } else { None };
            let chat = self.chat(conversation);
            if last.is_some() {
                chat.stored.cursor = Some(seq);
                chat.received = last;
            } else {
                chat.stored.cursor = chat.stored.cursor.max(Some(seq));
            }
            chat.own_untold |= own;
            if !own {
                received.insert(conversation);
            }
        }
        // Also what came again: the server does not know that it is here.
        received.into_iter().for_each(|conversation| self.acknowledge(conversation));
    }

    fn acknowledge(&mut self, conversation: ConversationId) {
        let Some(of) = self.name(conversation) else { return };
        let chat = self.chat(conversation);
        let Some(delivered) = chat.stored.cursor else { return };
        chat.own_untold = false;
        self.send(ClientFrame::Ack { request: None, of, delivered, read: Seq::START });
    }

    pub(super) fn show(&mut self, conversation: ConversationId, upto: Seq) {
        let chat = self.chat(conversation);
        let upto = upto.min(chat.stored.cursor.unwrap_or(Seq::START));
        if upto > chat.stored.read {
            chat.stored.read = upto;
            self.save(Record::Read { conversation, upto });
            self.tell_read(conversation);
        }
    }

    /// Tells the server how far the user has read, and asks it to say that it has heard.
    fn tell_read(&mut self, conversation: ConversationId) {
        let chat = self.chat(conversation);
        let read = chat.stored.read;
        let Some(delivered) = chat.stored.cursor else { return };
        // One that is under way is answered together with this one.
        let before = chat.telling.take();
        if let (Link::Open(session), Some(before)) = (&mut self.link, before) {
            session.pending.remove(&before);
        }
        let (Some(of), Some(request)) = (self.name(conversation), self.request(Pending::Read(conversation, read))) else { return };
        let chat = self.chat(conversation);
        (chat.own_untold, chat.telling) = (false, Some(request));
        self.send(ClientFrame::Ack { request: Some(request), of, delivered, read });
    }

    pub(super) fn read_told(&mut self, conversation: ConversationId, upto: Seq) {
        let chat = self.chat(conversation);
        chat.telling = None;
        if upto > chat.stored.read_told {
            chat.stored.read_told = upto;
            self.save(Record::ReadTold { conversation, upto });
        }
    }

    /// After a new connection: what the server may not have heard in the one before.
    pub(super) fn tell_again(&mut self) {
        let untold: Vec<ConversationId> = self
            .chats
            .values()
            .filter(|chat| chat.stored.read > chat.stored.read_told && !planted!(ReadToldOnlyOnce))
            .map(|chat| chat.stored.conversation)
            .take(limits::HANDLES_PER_SESSION / 2)
            .collect();
        for conversation in untold {
            self.tell_read(conversation);
        }
    }

    /// Tells the server that own messages are on this device, where nothing else has told it: else they would come back one day.
    pub(super) fn tell_own(&mut self) {
        let untold: Vec<ConversationId> =
            self.chats.values().filter(|chat| chat.own_untold).map(|chat| chat.stored.conversation).take(limits::BATCH_ITEMS).collect();
        for conversation in untold {
            self.acknowledge(conversation);
        }
    }

    pub(super) fn receipt(&mut self, conversation: ConversationId, delivered: Seq, read: Seq) {
        let stored = &mut self.chat(conversation).stored;
        mark!(ReceiptIsOlder if delivered < stored.peer_delivered || read < stored.peer_read);
        let goes_back = planted!(TicksGoBack if delivered < stored.peer_delivered || read < stored.peer_read);
        let (delivered, read) =
            if goes_back { (delivered, read) } else { (stored.peer_delivered.max(delivered), stored.peer_read.max(read)) };
        if (delivered, read) != (stored.peer_delivered, stored.peer_read) {
            (stored.peer_delivered, stored.peer_read) = (delivered, read);
            self.save(Record::Receipt { conversation, delivered, read });
        }
    }
}
