//! From the log and the wake-ups to the devices.

use super::dispatch::{Lane, Origin};
use super::session::{PendingAck, Phase};
use super::{ConnId, Gateway, MAX_PAGES, PAGE_COST};
use crate::command::{Command, DirtyPage, Reply, SeenWake, Wake};
use crate::content::Entry;
use crate::frame::{CloseReason, Delivery, Sender, ServerFrame};
use crate::id::{ConversationId, DeviceId, Seq};
use crate::reject::Reject;
use crate::rows::{self, Topic};
use crate::store::Key;
use alloc::vec;
use alloc::vec::Vec;

/// An entry as its receiver is told of it.
pub(super) fn delivery(conversation: ConversationId, entry: Entry, to: DeviceId) -> Delivery {
    let Entry { seq, sender, id, at, body } = entry;
    let from = if sender.user == to.user { Sender::Own(sender.serial) } else { other(conversation, sender) };
    Delivery { seq, from, id, at, body }
}

fn other(conversation: ConversationId, sender: DeviceId) -> Sender {
    if conversation.pair().is_some() { Sender::Peer(sender.serial) } else { Sender::Member(sender) }
}

impl Gateway {
    pub(super) fn read_dirty(&mut self, conn: ConnId, after: Option<ConversationId>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.reread = self.now + self.config.reread;
        session.rereading += 1;
        let device = session.device;
        self.enqueue(Lane::Read, Origin::Dirty(conn), Command::ReadDirty { device, after });
    }

    pub(super) fn dirty_read(&mut self, conn: ConnId, page: DirtyPage) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.more_dirty = page.conversations.last().map(|(conversation, _)| *conversation).filter(|_| page.more);
        for (conversation, upto) in page.conversations {
            self.behind(conn, conversation, upto);
            self.marked_late(conn, conversation, upto);
        }
        self.pump(conn);
    }

    /// The conversation is ahead of the session's device.
    fn behind(&mut self, conn: ConnId, conversation: ConversationId, upto: Seq) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(chat) = session.chat(conversation) else { return };
        chat.upto = chat.upto.max(upto);
        if chat.is_behind() && !chat.reading && !chat.queued {
            chat.queued = true;
            session.backlog.push_back(conversation);
        }
    }

    /// A job marks the devices of a large group long after the message, also those that have acknowledged it meanwhile: only another
    /// acknowledgement clears that mark.
    fn marked_late(&mut self, conn: ConnId, conversation: ConversationId, upto: Seq) {
        let Some(chat) = self.sessions.get(&conn).and_then(|session| session.chats.get(&conversation)) else { return };
        if conversation.pair().is_none() && upto <= chat.acknowledged && !planted!(LateMarkStays) {
            mark!(MarkedAfterAcknowledging);
            let ack = PendingAck { delivered: chat.acknowledged, read: Seq::START, request: None };
            self.acknowledge_later(conn, conversation, ack);
        }
    }

    /// Reads on for a session, as far as its window and its connection allow.
    pub(super) fn pump(&mut self, conn: ConnId) {
        let config = self.config;
        let mut reads = vec![];
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let device = session.device;
        while session.owed < config.deliveries
            && session.unflushed + session.reading * PAGE_COST < config.unflushed / 2
            && session.reading < MAX_PAGES
            && let Some(conversation) = session.backlog.pop_front()
        {
            let chat = session.chats.get_mut(&conversation).expect("a chat in the backlog is kept");
            chat.queued = false;
            if chat.is_behind() {
                chat.reading = true;
                session.reading += 1;
                reads.push(Command::ReadLog { device, conversation, after: chat.sent });
            }
        }
        let done = session.backlog.is_empty() && session.reading == 0;
        let more = if done { session.more_dirty.take() } else { None };
        let missed = done && more.is_none() && core::mem::take(&mut session.missed);
        for command in reads {
            if let Command::ReadLog { conversation, .. } = command {
                self.enqueue(Lane::Read, Origin::Page(conn, conversation), command);
            }
        }
        if more.is_some() || missed {
            self.read_dirty(conn, more);
        }
    }

    pub(super) fn page_read(&mut self, conn: ConnId, conversation: ConversationId, reply: Result<Reply, Reject>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.reading -= 1;
        let chat = session.chats.get_mut(&conversation).expect("a chat whose page is being read is kept");
        chat.reading = false;
        match reply {
            Ok(Reply::Page { after, entries, head, .. }) => {
                // The page begins at the device's cursor if nothing was sent before; in between nothing can have been. It begins later where
                // what stands between is not for the device.
                chat.sent = chat.sent.max(Some(after));
                if entries.is_empty() {
                    // The mark in the dirty set has nothing behind it (the log ends before it): it is cleared by acknowledging what is there.
                    chat.upto = head;
                    // Only the device can say that it has what was sent to it.
                    if chat.owed == 0 {
                        let delivered = after.min(head);
                        // A mark that is made later needs no other page to be cleared.
                        chat.acknowledged = chat.acknowledged.max(delivered);
                        let ack = PendingAck { delivered, read: Seq::START, request: None };
                        self.acknowledge_later(conn, conversation, ack);
                    }
                } else {
                    chat.upto = chat.upto.max(head);
                    self.deliver(conn, conversation, entries);
                }
            }
            Err(Reject::BeyondHead { head }) => {
                // The server was restored from a backup that is older than what this session has seen.
                chat.upto = head;
                chat.sent = None;
                self.tell(conn, ServerFrame::Refused { request: None, reject: Reject::BeyondHead { head } });
            }
            Err(Reject::DeviceRemoved) => return self.close(conn, CloseReason::DeviceRemoved),
            // A damaged row is reported, and the rest of the queue flows.
            Ok(_) | Err(_) => chat.upto = chat.sent.unwrap_or(Seq::START),
        }
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.forget_if_idle(conversation);
        if let Some(upto) = session.chats.get(&conversation).filter(|chat| chat.is_behind() && chat.upto > Seq::START).map(|chat| chat.upto)
        {
            self.behind(conn, conversation, upto);
        }
        self.pump(conn);
    }

    /// Sends contiguous entries that follow what was sent.
    fn deliver(&mut self, conn: ConnId, conversation: ConversationId, entries: Vec<Entry>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let of = session.name(conversation);
        let chat = session.chats.get_mut(&conversation).expect("a chat that is delivered is kept");
        let first = entries.first().map(|entry| entry.seq);
        assert_eq!(first, chat.sent.map(Seq::next), "what is delivered follows what was sent: {conversation}");
        chat.sent = entries.last().map(|entry| entry.seq);
        chat.delivered = chat.sent.unwrap_or(Seq::START);
        chat.upto = chat.upto.max(chat.delivered);
        let count = entries.len() as u32;
        chat.owed += count;
        if session.owed == 0 {
            session.owed_since = now;
        }
        session.owed += count;
        let device = session.device;
        let entries = entries.into_iter().map(|entry| delivery(conversation, entry, device)).collect();
        if planted!(AcknowledgedAtSend) {
            let delivered = chat.delivered;
            self.acknowledge_later(conn, conversation, PendingAck { delivered, read: Seq::START, request: None });
        }
        self.tell(conn, ServerFrame::Deliver { of, entries });
        self.arm(conn, now + self.config.ack_timeout);
    }

    pub(super) fn flushed(&mut self, conn: ConnId, bytes: u32) {
        let half = self.config.unflushed / 2;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let before = session.unflushed;
        session.unflushed = before.saturating_sub(bytes);
        if before >= half && session.unflushed < half {
            self.pump(conn);
        }
    }

    pub(super) fn take_wakes(&mut self) {
        if self.taking {
            self.rung = true;
            return;
        }
        self.taking = true;
        self.takes += 1;
        let seen = self.seen.clone();
        self.enqueue(Lane::Wake, Origin::Wakes, Command::TakeWakes { gateway: self.id, seen });
    }

    /// A device was told something else than by a wake-up that was seen to. The wake-up may say the same again after that, and must not be
    /// cleared as seen then, so it is not handed in. What is being handed in already: see [`Self::doubt_answers`].
    pub(super) fn reconsider(&mut self, key: Key) {
        if !self.taking {
            self.seen.retain(|seen| seen.key != key);
        }
    }

    /// A user was asked about while a wake-up about them was handed in: news after the answer, if they say what the wake-up said, may have been
    /// cleared with it. So it is asked again, once the answer is there.
    fn doubt_answers(&mut self, handed_in: &[SeenWake]) {
        for (device, topic) in handed_in.iter().filter_map(|seen| rows::wake_of(&seen.key)) {
            let Topic::Presence(user) = topic else { continue };
            let Some(conn) = self.open.get(&device).copied() else { continue };
            let Some(session) = self.sessions.get_mut(&conn) else { continue };
            let Some(watched) = session.watches.iter_mut().find(|watched| watched.user == user) else { continue };
            watched.stale = watched.asked.is_some();
            let answered = !watched.stale && watched.during == Some(self.takes);
            mark!(AnsweredWhileNewsWereCleared if answered);
            if answered {
                self.watch_again(conn, user);
            }
        }
    }

    pub(super) fn wakes_taken(&mut self, reply: Result<Reply, Reject>) {
        self.taking = false;
        let handed_in = core::mem::take(&mut self.seen);
        let Ok(Reply::Wakes { wakes, seen, more }) = reply else {
            self.doubt_answers(&handed_in);
            self.seen = handed_in;
            return;
        };
        self.seen = seen;
        for (device, wake) in wakes {
            self.woken(device, wake);
        }
        self.doubt_answers(&handed_in);
        if more || core::mem::take(&mut self.rung) {
            self.take_wakes();
        }
    }

    fn woken(&mut self, device: DeviceId, wake: Wake) {
        if let Wake::Replaced { epoch, by_same_run } = wake {
            self.handed_over(ConnId(epoch.0));
            // Between two connections of one run of a client there is no other client that has taken its place.
            let reason = if by_same_run { CloseReason::Restarting } else { CloseReason::Replaced };
            return self.close(ConnId(epoch.0), reason);
        }
        let opening: Vec<ConnId> = self.opening.range((device, ConnId(0))..=(device, ConnId(u64::MAX))).map(|(_, conn)| *conn).collect();
        for conn in opening {
            if wake == Wake::Removed {
                self.close(conn, CloseReason::DeviceRemoved);
            } else if let Some(session) = self.sessions.get_mut(&conn) {
                session.phase = Phase::Opening { woken: true };
            }
        }
        let Some(conn) = self.open.get(&device).copied() else { return };
        match wake {
            Wake::Dirty { conversation, upto, entry } => self.dirtied(conn, conversation, upto, entry),
            Wake::Receipt { conversation, delivered, read } => self.tell_receipt(conn, conversation, delivered, read),
            Wake::Typing { conversation, by, active } => {
                if let Some(session) = self.sessions.get_mut(&conn) {
                    let of = session.name(conversation);
                    self.tell(conn, ServerFrame::Typing { of, by, active });
                }
            }
            Wake::Presence { user, presence } => {
                let Some(session) = self.sessions.get_mut(&conn) else { return };
                let Some(watched) = session.watches.iter_mut().find(|watched| watched.user == user) else { return };
                watched.stale = watched.asked.is_some();
                if !watched.stale && watched.during == Some(self.takes) {
                    return self.watch_again(conn, user);
                }
                self.tell(conn, ServerFrame::Presence { user, presence });
            }
            Wake::Removed => self.close(conn, CloseReason::DeviceRemoved),
            Wake::Replaced { .. } => unreachable!("handled above"),
        }
    }

    /// Passes a live entry on at once if it is the very next one for the session; else the log is read from where the session is.
    fn dirtied(&mut self, conn: ConnId, conversation: ConversationId, upto: Seq, entry: Option<Entry>) {
        let config = self.config;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let room = session.owed < config.deliveries && session.unflushed < config.unflushed / 2;
        let next =
            session.chats.get(&conversation).is_some_and(|chat| chat.sent.map(Seq::next) == Some(upto) && !chat.reading && !chat.queued);
        mark!(LiveEntryIsNotNext if entry.is_some() && !next);
        mark!(LiveEntryFindsNoRoom if next && !room);
        match entry {
            Some(entry) if planted!(LiveOvertakesBacklog if !next) => {
                let (of, device) = (session.name(conversation), session.device);
                self.tell(conn, ServerFrame::Deliver { of, entries: vec![delivery(conversation, entry, device)] });
            }
            Some(entry) if next && room => self.deliver(conn, conversation, vec![entry]),
            _ => {
                self.behind(conn, conversation, upto);
                self.pump(conn);
            }
        }
    }
}
