//! What is committed, row by row, for the oracles that watch the store. Keys are told apart by their first bytes, because most of them are of
//! no interest; a test holds those bytes against the row table.

use super::watching::Touched;
use super::{Oracle, Oracles};
use crate::store::Store;
use doubletick_core::id::{DeviceId, UserId};
use doubletick_core::rows::{self, Account, Place, Row, StoredPresence, StoredWake, Topic};
use doubletick_core::store::{Key, counter};
use doubletick_core::time::Timestamp;
use doubletick_core::transact::{Batch, Outcome};

/// Rows of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InConversation,
    /// Of an account, a session, a lease or a watch.
    Place,
    Group,
    OfList,
    Job,
    LastSeen,
    OfDevice,
    Device,
    Wake,
}

fn kind(key: &Key) -> Option<Kind> {
    let bytes = key.as_bytes();
    match (bytes.first()?, bytes.len()) {
        // Receipts, log entries and members; heads are shorter, index rows longer.
        (0x10, 27) => Some(Kind::InConversation),
        (0x10, 19) if bytes[18] == 4 => Some(Kind::Group),
        (0x20, 27) if bytes[9] == 1 && bytes[10] == 2 => Some(Kind::OfList),
        (0x20, 10) if bytes[9] == 4 => Some(Kind::LastSeen),
        (0x20, 10) if bytes[9] == 0 => Some(Kind::Place),
        (0x80 | 0x82 | 0x83, _) => Some(Kind::Place),
        (0x30, 29) => Some(Kind::OfDevice),
        (0x30, 12) => Some(Kind::Device),
        (0x50, 19) if bytes[1] == 0 => Some(Kind::Job),
        (0x81, _) if bytes.get(9) == Some(&2) => Some(Kind::Wake),
        _ => None,
    }
}

impl Oracles {
    /// What a transaction has written is there from now on.
    pub(crate) fn committed(&mut self, batch: &Batch, answer: &Outcome, store: &Store, now: u64) {
        let saw = self.decided(batch, answer, store.version());
        let mut touched = Touched::default();
        let written = store.last_written().filter_map(|key| Some((key, kind(&key)?, Place::of(&key)?)));
        let written: Vec<(Key, Kind, Place)> = written.collect();
        // Entries first: a batch may acknowledge what it has sent.
        for (key, _, place) in &written {
            let Place::Log(conversation, seq) = *place else { continue };
            if seq <= self.model.head(conversation) {
                self.proved.forget(conversation);
            }
            if let Some(value) = store.latest(key) {
                self.logged(conversation, seq, key, value, now);
            }
        }
        for (key, kind, place) in &written {
            if matches!(place, Place::Log(..)) {
                continue;
            }
            match (*kind, place, store.latest(key)) {
                (Kind::InConversation, Place::Receipt(conversation, user), Some(value)) => {
                    self.receipt_moved(*conversation, *user, value);
                }
                (Kind::OfDevice, Place::Cursor(device, conversation), Some(value)) => {
                    self.cursor_moved(*device, *conversation, value);
                }
                (Kind::InConversation, Place::Member(conversation, user), _) | (Kind::OfList, Place::Chat(user, conversation), _) => {
                    self.group_row(*conversation, Some(*user));
                }
                (Kind::Group, Place::Group(conversation), _) => self.group_row(*conversation, None),
                (Kind::OfDevice, Place::Dirty(device, conversation), Some(value)) if conversation.pair().is_none() => {
                    self.marked(*device, *conversation, value);
                }
                (Kind::Job, Place::FanOutDue(conversation), value) => self.job_moved(store, *conversation, value),
                (Kind::Device, Place::Device(device), Some(_)) => self.device_row(*device, true, now),
                (Kind::Device, Place::Device(device), None) => {
                    self.device_row(*device, false, now);
                    if let Some(nth) = self.nth_of(*device) {
                        self.devices[nth as usize].removed_at = Some(now);
                    }
                }
                (Kind::LastSeen, Place::LastSeen(user), Some(value)) => {
                    let at = counter(value).unwrap_or(u64::MAX);
                    self.true_last_seen(*user, Timestamp::from_millis(at), "the store holds");
                }
                (Kind::Place, place, value) => self.place_moved(place, value, batch, &mut touched),
                (Kind::Wake, Place::Wake(gateway, device, topic), None) => {
                    self.wake_cleared(key, (*gateway, *device, *topic), batch, store);
                }
                (Kind::Wake, Place::Wake(gateway, device, Topic::Presence(user)), Some(value)) => {
                    self.watch_woken((*gateway, *device, *user), store.version());
                    self.presence_told(*user, *device, value, store);
                }
                (Kind::Wake, Place::Wake(gateway, device, Topic::Replaced(epoch)), Some(_)) => {
                    self.session_replaced(*gateway, *device, *epoch);
                }
                _ => {}
            }
        }
        self.watchers_told(store, &saw, &touched);
        self.judge_groups(store);
        // Last, because a mark is judged by the cursor that was committed with it.
        for (key, _, place) in &written {
            if let Place::Dirty(device, conversation) = place
                && store.latest(key).is_none()
            {
                self.mark_cleared(*device, *conversation);
            }
        }
    }

    /// Watchers are told what the sessions in the store say, in the transaction by which they come to say it. One that has ceased to watch
    /// in the same transaction may have been told what was true before.
    fn presence_told(&mut self, user: UserId, watcher: DeviceId, value: &[u8], store: &Store) {
        let Ok(StoredWake::Presence(presence)) = StoredWake::decode(value) else { return };
        if let StoredPresence::Offline(Some(last_seen)) = presence {
            self.true_last_seen(user, last_seen, "watchers are told");
        }
        if store.latest(&rows::watcher(user, watcher).key).is_none() {
            return;
        }
        self.rightly_shown(user, watcher.user, presence.into(), "a wake-up tells");
        let online = match presence {
            StoredPresence::Hidden => return,
            StoredPresence::Online => true,
            StoredPresence::Offline(_) => false,
        };
        // A device that was removed may be connected for a moment longer, and that moment belongs to neither.
        let session = |device: DeviceId| store.latest(&rows::session(device).key).is_some();
        if self.devices.iter().filter(|device| device.removed).filter_map(|device| device.id).any(|id| id.user == user && session(id)) {
            return;
        }
        let there = self.is_connected(user, store);
        self.compare(Oracle::Presence, online == there, || {
            format!("watchers are told that {user} is online: {online}; that there is a session: {there}")
        });
    }

    /// Whether the store has a session of a user's, by a device that still belongs to them.
    pub(crate) fn is_connected(&self, user: UserId, store: &Store) -> bool {
        let account = store.latest(&rows::account(user).key).and_then(|value| Account::decode(value).ok());
        let serials = account.iter().flat_map(|account| &account.devices).map(|linked| linked.serial);
        serials.map(|serial| DeviceId { user, serial }).any(|device| store.latest(&rows::session(device).key).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doubletick_core::id::{ConversationId, GatewayId, GroupId, MessageId, Seq, SessionEpoch};

    #[test]
    fn exactly_the_rows_of_interest_are_told_apart_from_the_others() {
        let (user, other, gateway) = (UserId(7), UserId(0x0404_0404_0404_0404), GatewayId(9));
        let device = DeviceId { user, serial: 0x0404 };
        let chat = ConversationId::direct(user, other).unwrap();
        let group = ConversationId::Group(GroupId([4; 16]));
        let wake = |topic| rows::wake(gateway, device, topic).key;
        for (expected, key) in [
            (Some(Kind::InConversation), rows::log(chat, Seq(1)).key),
            (Some(Kind::InConversation), rows::receipt(chat, user).key),
            (None, rows::head(chat).key),
            (None, rows::index(chat, user, MessageId([4; 16])).key),
            (Some(Kind::LastSeen), rows::last_seen(other).key),
            (Some(Kind::Place), rows::account(other).key),
            (Some(Kind::Place), rows::session(device).key),
            (Some(Kind::Place), rows::watcher(other, device).key),
            (Some(Kind::Place), rows::lease(gateway).key),
            (None, rows::bell(gateway).key),
            (None, rows::contact(user, other).key),
            (None, rows::block(user, other).key),
            (None, rows::chat(user, chat).key),
            (Some(Kind::OfList), rows::chat(user, group).key),
            (Some(Kind::Group), rows::group(group).key),
            (Some(Kind::InConversation), rows::member(group, user).key),
            (Some(Kind::Job), rows::fan_out_due(group).key),
            (None, rows::fan_out(group).key),
            (None, rows::group_count(other).key),
            (Some(Kind::OfDevice), rows::dirty(device, chat).key),
            (Some(Kind::OfDevice), rows::cursor(device, chat).key),
            (Some(Kind::Device), rows::device(device).key),
            (Some(Kind::Wake), wake(Topic::Presence(user))),
            (Some(Kind::Wake), wake(Topic::Dirty(chat))),
            (Some(Kind::Wake), wake(Topic::Replaced(SessionEpoch(0x0404_0404_0404_0404)))),
            (Some(Kind::Wake), wake(Topic::Removed)),
            (None, rows::session_of(gateway, device).key),
        ] {
            assert_eq!(kind(&key), expected, "{key:?}");
        }
    }
}
