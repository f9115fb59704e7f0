//! What must hold at every moment of a storm, and what must hold once it is over.

use super::{START, Storm};
use crate::disk::Shown;
use doubletick_core::frame::Presence;
use doubletick_core::id::{ConversationId, MessageId, Seq, UserId};
use doubletick_core::rows::{self, Counter, Cursor, Head, LogEntry, Receipt, Row, Topic};
use doubletick_core::time::Timestamp;
use doubletick_core::verify;
use std::collections::{BTreeMap, BTreeSet};

impl Storm {
    pub(crate) fn chats(&self) -> Vec<ConversationId> {
        let users = || (0..self.users).map(|user| UserId(100 + user as u64));
        users().flat_map(|one| users().filter_map(move |other| ConversationId::direct(one, other).filter(|_| one < other))).collect()
    }

    fn row<R: Row>(&self, at: &rows::At<R>) -> Option<R> {
        self.rows.0.get(&at.key).map(|bytes| R::decode(bytes).unwrap())
    }

    fn head(&self, chat: ConversationId) -> Seq {
        self.row(&rows::head(chat)).map_or(Seq::START, |head: Head| head.seq)
    }

    pub(crate) fn heads(&self) -> BTreeMap<ConversationId, Seq> {
        self.chats().into_iter().map(|chat| (chat, self.head(chat))).collect()
    }

    /// RECEIPT_TRUTH: whatever the store says of a device or a user, a device has stored.
    pub(crate) fn check_rows(&self) {
        let chats = self.chats();
        for phone in &self.phones {
            for (chat, stored) in &phone.disk.chats {
                let Some(Cursor { upto }) = self.row(&rows::cursor(phone.device, *chat)) else { continue };
                assert!(phone.came_at.is_some() || stored.cursor >= Some(upto), "{} has not stored {upto} of {chat}", phone.device);
            }
        }
        for chat in chats {
            let head = self.head(chat);
            for user in chat.pair().unwrap().users() {
                let Some(Receipt { delivered, read }) = self.row(&rows::receipt(chat, user)) else { continue };
                let stored = self.of(user).filter_map(|phone| phone.disk.chats.get(&chat)?.cursor).max().unwrap_or_default();
                let shown = self.of(user).filter_map(|phone| phone.seen.get(&chat).copied()).max().unwrap_or_default();
                assert!(delivered <= stored, "{user} has stored {stored} of {chat}, and {delivered} is called delivered");
                assert!(read <= shown, "{user} was shown {shown} of {chat}, and {read} is called read");
                assert!(read <= delivered && delivered <= head);
                let peer = chat.peer(user).unwrap();
                for phone in self.of(peer) {
                    let Some(ticks) = phone.disk.chats.get(&chat) else { continue };
                    assert!(ticks.peer_delivered <= delivered && ticks.peer_read <= read, "{} shows ticks that are not true", phone.device);
                }
            }
        }
    }

    fn of(&self, user: UserId) -> impl Iterator<Item = &super::Handset> {
        self.phones.iter().filter(move |phone| phone.device.user == user)
    }

    /// CONVERGENCE: every promise is kept once nothing has gone wrong for a while.
    pub(crate) fn check_end(&self) {
        let report = verify::verify(self.rows.0.iter().map(|(key, value)| (*key, value.clone())));
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        for (place, phone) in self.phones.iter().enumerate() {
            assert_eq!(phone.stopped, None, "phone {place}");
            assert!(phone.machine.is_online(), "phone {place} is online");
            assert_eq!(phone.machine.outbox_len(), 0, "phone {place} has sent everything");
            assert!(phone.disk.outbox.is_empty() && phone.disk.failed.is_empty());
        }
        for chat in self.chats() {
            self.check_chat(chat);
        }
        self.check_ephemeral();
    }

    fn check_chat(&self, chat: ConversationId) {
        let head = self.head(chat);
        let log: Vec<LogEntry> = (1..=head.0).map(|seq| self.row(&rows::log(chat, Seq(seq))).unwrap()).collect();
        let place: BTreeMap<(UserId, MessageId), Seq> =
            log.iter().zip(1..).map(|(entry, seq)| ((entry.sender.user, entry.id), Seq(seq))).collect();
        let written: BTreeSet<MessageId> =
            self.phones.iter().flat_map(|phone| &phone.wrote).filter(|(of, _)| *of == chat).map(|(_, id)| *id).collect();
        let in_log: BTreeSet<MessageId> = log.iter().map(|entry| entry.id).collect();
        assert_eq!(written, in_log, "what was written and stored is in the log of {chat}, and nothing else");
        for user in chat.pair().unwrap().users() {
            let peer = chat.peer(user).unwrap();
            let last = |of: UserId| log.iter().rposition(|entry| entry.sender.user == of).map_or(Seq::START, |place| Seq(place as u64 + 1));
            let receipt: Receipt = self.row(&rows::receipt(chat, peer)).unwrap_or_default();
            assert!(receipt.delivered >= last(user), "{peer} has everything of {chat}");
            let read = self.of(peer).filter_map(|phone| Some(phone.disk.chats.get(&chat)?.read)).max().unwrap_or_default();
            assert!(receipt.read >= read, "the server knows what {peer} has read of {chat}: {read}, not {}", receipt.read);
            for phone in self.of(user) {
                let device = phone.device;
                let wrote: Vec<Seq> = phone.wrote.iter().filter(|(of, _)| *of == chat).map(|(_, id)| place[&(user, *id)]).collect();
                assert!(wrote.is_sorted(), "{device} wrote in another order: {wrote:?}");
                let shown: Vec<&Shown> = phone.disk.shown.iter().filter(|shown| shown.conversation == chat).collect();
                for it in &shown {
                    let sender = if it.own { user } else { peer };
                    assert_eq!(place.get(&(sender, it.id)), Some(&it.seq), "{device} shows {} elsewhere", it.text);
                }
                let seqs: BTreeSet<Seq> = shown.iter().map(|shown| shown.seq).collect();
                assert_eq!(seqs.len(), shown.len(), "{device} shows each once");
                let from = phone.came_at.as_ref().and_then(|heads| heads.get(&chat)).copied().unwrap_or_default();
                let missing: Vec<Seq> = (from.0 + 1..=head.0).map(Seq).filter(|seq| !seqs.contains(seq)).collect();
                assert!(missing.is_empty(), "{device} lacks {missing:?} of {chat}");
                let ticks = phone.disk.chats.get(&chat).copied();
                let (delivered, read) = ticks.map_or_else(Default::default, |ticks| (ticks.peer_delivered, ticks.peer_read));
                let own = shown.iter().filter(|shown| shown.own).map(|shown| shown.seq).max().unwrap_or_default();
                assert_eq!(delivered.min(own), own, "{device} shows that {chat} was delivered");
                assert_eq!(read.min(own), receipt.read.min(own), "{device} shows what was read of {chat}");
            }
        }
        for (id, seq) in self.phones.iter().flat_map(|phone| &phone.accepted).filter(|(id, _)| in_log.contains(id)) {
            assert_eq!(log[seq.0 as usize - 1].id, *id, "what was accepted stands where its sender was told");
        }
    }

    /// What lives and dies with a process is gone with it: nothing gathers.
    fn check_ephemeral(&self) {
        for phone in &self.phones {
            let device = phone.device;
            let session = self.row(&rows::session(device)).expect("an open session has its row");
            let server = self.servers.iter().find(|server| server.machine.id() == session.gateway).expect("at a living gateway");
            assert!(server.machine.sessions() > 0);
            for chat in self.chats() {
                if let Some(Counter(upto)) = self.row(&rows::dirty(device, chat)) {
                    panic!("{device} is still marked as behind in {chat}: {upto}");
                }
            }
            for user in &phone.watches {
                assert_eq!(phone.presence.get(user), Some(&Presence::Online), "{device} watches {user}");
            }
        }
        let open: usize = self.servers.iter().map(|server| server.machine.sessions()).sum();
        assert_eq!(open, self.phones.len(), "one session for each device");
        for server in &self.servers {
            assert_eq!(server.machine.connections(), server.machine.sessions());
        }
        for key in self.rows.0.keys().filter(|key| key.is_ephemeral()) {
            let wake = rows::wake_of(key).filter(|(_, topic)| !matches!(topic, Topic::Typing(_)));
            assert_eq!(wake, None, "a wake-up that nobody takes");
        }
    }

    /// Everybody in `gone` was last heard at that time; whoever watches them knows.
    pub(crate) fn check_gone(&self, gone: &[usize], heard: Timestamp) {
        let ahead = self.servers.iter().map(|server| server.ahead).max().unwrap_or_default();
        let left = |user: UserId| self.of(user).any(|phone| !phone.off);
        for (place, phone) in self.phones.iter().enumerate().filter(|(_, phone)| !phone.off) {
            for user in &phone.watches {
                match phone.presence.get(user) {
                    Some(Presence::Online) => assert!(left(*user), "phone {place} still shows {user} online: {gone:?} are gone"),
                    Some(Presence::Offline { last_seen: Some(at) }) => {
                        assert!(!left(*user), "phone {place} shows {user} offline");
                        let latest = heard.millis() + ahead;
                        assert!(at.millis() <= latest, "{user} was last seen {:?}, after {:?}", at.since(START), heard.since(START));
                    }
                    other => panic!("phone {place} shows {other:?} of {user}"),
                }
            }
        }
    }
}
