//! What is committed, row by row, for the oracles that watch the store. Keys are told apart by their first bytes, because most of them are of
//! no interest; a test holds those bytes against the row table.

use super::{Oracle, Oracles};
use crate::store::Store;
use doubletick_core::id::{DeviceId, UserId};
use doubletick_core::rows::{self, Account, Place, Row, StoredPresence, StoredWake, Topic};
use doubletick_core::store::{Key, counter};
use doubletick_core::time::Timestamp;

/// Rows of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InConversation,
    LastSeen,
    OfDevice,
    Device,
    WakeOfPresence,
}

fn kind(key: &Key) -> Option<Kind> {
    let bytes = key.as_bytes();
    match (bytes.first()?, bytes.len()) {
        // Receipts and log entries; heads are shorter, index rows longer.
        (0x10, 27) => Some(Kind::InConversation),
        (0x20, 10) if bytes[9] == 4 => Some(Kind::LastSeen),
        (0x30, 29) => Some(Kind::OfDevice),
        (0x30, 12) => Some(Kind::Device),
        (0x81, 29) if bytes[20] == 4 => Some(Kind::WakeOfPresence),
        _ => None,
    }
}

impl Oracles {
    /// Writes are there from now on.
    pub(crate) fn committed(&mut self, store: &Store, now: u64) {
        // Entries first: a batch may acknowledge what it has sent.
        for key in store.last_written() {
            if kind(&key) == Some(Kind::InConversation)
                && let Some(Place::Log(conversation, seq)) = Place::of(&key)
                && let Some(value) = store.latest(&key)
            {
                self.logged(conversation, seq, &key, value, now);
            }
        }
        for key in store.last_written() {
            let Some(kind) = kind(&key) else { continue };
            match (kind, Place::of(&key), store.latest(&key)) {
                (Kind::InConversation, Some(Place::Receipt(conversation, user)), Some(value)) => {
                    self.receipt_moved(conversation, user, value);
                }
                (Kind::OfDevice, Some(Place::Cursor(device, conversation)), Some(value)) => {
                    self.cursor_moved(device, conversation, value);
                }
                (Kind::Device, Some(Place::Device(device)), None) => {
                    if let Some(nth) = self.nth_of(device) {
                        self.devices[nth as usize].removed_at = Some(now);
                    }
                }
                (Kind::LastSeen, Some(Place::LastSeen(user)), Some(value)) => {
                    let at = counter(value).unwrap_or(u64::MAX);
                    self.true_last_seen(user, Timestamp::from_millis(at), "the store holds");
                }
                (Kind::WakeOfPresence, Some(Place::Wake(_, device, Topic::Presence(user))), Some(value)) => {
                    self.presence_told(user, device, value, store);
                }
                _ => {}
            }
        }
        // Last, because a mark is judged by the cursor that was committed with it.
        for key in store.last_written() {
            if kind(&key) == Some(Kind::OfDevice)
                && store.latest(&key).is_none()
                && let Some(Place::Dirty(device, conversation)) = Place::of(&key)
            {
                self.mark_cleared(device, conversation);
            }
        }
    }

    /// Watchers are told what the sessions in the store say, in the transaction by which they come to say it. One that has ceased to watch
    /// in the same transaction may have been told what was true before.
    fn presence_told(&mut self, user: UserId, watcher: DeviceId, value: &[u8], store: &Store) {
        let Ok(StoredWake::Presence(presence)) = StoredWake::decode(value) else { return };
        let online = match presence {
            StoredPresence::Hidden => return,
            StoredPresence::Online => true,
            StoredPresence::Offline(last_seen) => {
                if let Some(last_seen) = last_seen {
                    self.true_last_seen(user, last_seen, "watchers are told");
                }
                false
            }
        };
        if store.latest(&rows::watcher(user, watcher).key).is_none() {
            return;
        }
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
    use doubletick_core::id::{ConversationId, GatewayId, MessageId, Seq, SessionEpoch};

    #[test]
    fn exactly_the_rows_of_interest_are_told_apart_from_the_others() {
        let (user, other, gateway) = (UserId(7), UserId(0x0404_0404_0404_0404), GatewayId(9));
        let device = DeviceId { user, serial: 0x0404 };
        let chat = ConversationId::direct(user, other).unwrap();
        let wake = |topic| rows::wake(gateway, device, topic).key;
        for (expected, key) in [
            (Some(Kind::InConversation), rows::log(chat, Seq(1)).key),
            (Some(Kind::InConversation), rows::receipt(chat, user).key),
            (None, rows::head(chat).key),
            (None, rows::index(chat, user, MessageId([4; 16])).key),
            (Some(Kind::LastSeen), rows::last_seen(other).key),
            (None, rows::account(other).key),
            (None, rows::chat(user, chat).key),
            (Some(Kind::OfDevice), rows::dirty(device, chat).key),
            (Some(Kind::OfDevice), rows::cursor(device, chat).key),
            (Some(Kind::Device), rows::device(device).key),
            (Some(Kind::WakeOfPresence), wake(Topic::Presence(user))),
            (None, wake(Topic::Dirty(chat))),
            (None, wake(Topic::Replaced(SessionEpoch(0x0404_0404_0404_0404)))),
            (None, wake(Topic::Removed)),
            (None, rows::session_of(gateway, device).key),
        ] {
            assert_eq!(kind(&key), expected, "{key:?}");
        }
    }
}
