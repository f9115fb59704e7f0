//! From an event to the rows that say so. Total: what has happened cannot be refused, and live traffic and replay share it.

use crate::event::{Event, MessageSent};
use crate::frame::UserList;
use crate::rows::{self, ChatRow, Cursor, Head, Index, Lease, Listed, LogEntry, PhoneRow, Session, SessionOf, Topic, Watcher};
use crate::view::View;

pub(super) fn project(view: &mut View, event: &Event) {
    match event {
        Event::VerificationMoved { phone, state } => view.set(&rows::verification(phone), state),
        Event::AccountCreated { user, phone } => view.set(&rows::phone(phone), &PhoneRow { user: *user }),
        Event::AccountChanged { user, account } => view.set(&rows::account(*user), account),
        Event::DeviceChanged { device, state } => view.set(&rows::device(*device), state),
        Event::DeviceRemoved { device } => view.clear(rows::device(*device).key),
        Event::ConversationStarted { conversation, at } => {
            for user in conversation
                .pair()
                .users()
                .into_iter()
                .filter(|user| !planted!(ChatListedOnOneSide if *user == conversation.pair().users()[1]))
            {
                view.set(&rows::chat(user, *conversation), &ChatRow { since: *at });
            }
        }
        Event::MessageSent(sent) => message_sent(view, sent),
        Event::CursorMoved { device, conversation, upto, caught_up } => {
            view.set(&rows::cursor(*device, *conversation), &Cursor { upto: *upto });
            if *caught_up {
                view.clear(rows::dirty(*device, *conversation).key);
            }
        }
        Event::ReceiptMoved { user, conversation, receipt, .. } => view.set(&rows::receipt(*conversation, *user), receipt),
        Event::SessionOpened { device, gateway, epoch, run, replaces } => {
            if let Some(older) = replaces {
                view.clear(rows::session_of(older.gateway, *device).key);
            }
            view.set(&rows::session(*device), &Session { gateway: *gateway, epoch: *epoch, run: *run });
            view.set(&rows::session_of(*gateway, *device), &SessionOf { epoch: *epoch });
        }
        Event::SessionEnded { device, gateway } => {
            view.clear(rows::session_of(*gateway, *device).key);
            view.clear(rows::session(*device).key);
        }
        Event::SessionUnlisted { device, gateway } => view.clear(rows::session_of(*gateway, *device).key),
        Event::Heard { user, at } => view.raise(&rows::last_seen(*user), at.millis()),
        Event::WatchChanged { user, device, gateway } => match gateway {
            Some(gateway) => {
                view.set(&rows::watcher(*user, *device), &Watcher { gateway: *gateway });
                // What was told to an earlier watch is older than the answer to this one.
                view.clear(rows::wake(*gateway, *device, Topic::Presence(*user)).key);
            }
            None => view.clear(rows::watcher(*user, *device).key),
        },
        Event::ListChanged { owner, list, user, since } => {
            let place = match list {
                UserList::Contacts => rows::contact(*owner, *user),
                UserList::Blocked => rows::block(*owner, *user),
            };
            match since {
                Some(since) => view.set(&place, &Listed { since: *since }),
                None => view.clear(place.key),
            }
        }
        Event::WakesTaken { keys } => keys.iter().for_each(|key| view.clear(*key)),
        Event::LeaseRenewed { gateway, renewals } => {
            view.set(&rows::lease(*gateway), &Lease { renewals: *renewals, lost: false });
        }
        Event::LeaseLost { gateway, renewals } => view.set(&rows::lease(*gateway), &Lease { renewals: *renewals, lost: true }),
        Event::LeaseEnded { gateway } => {
            view.clear(rows::lease(*gateway).key);
            view.clear(rows::bell(*gateway).key);
        }
        Event::PresenceChanged { .. } | Event::PrivacyChanged { .. } | Event::Typing { .. } => {}
    }
}

fn message_sent(view: &mut View, sent: &MessageSent) {
    let MessageSent { conversation, seq, sender, side, id, at, chain, tally, content, digest, before, device_epochs, devices } = sent;
    let entry = LogEntry { sender: *sender, id: *id, at: *at, chain: *chain, tally: *tally, content: content.into() };
    let mut last_of = before.last_of;
    last_of[*side as usize] = *seq;
    view.set(&rows::log(*conversation, *seq), &entry);
    view.set(
        &rows::head(*conversation),
        &Head { seq: *seq, chain: *chain, at: *at, tally: *tally, last_of, device_epochs: *device_epochs },
    );
    view.set(&rows::index(*conversation, sender.user, *id), &Index { seq: *seq, at: *at, digest: *digest });
    for device in devices {
        view.raise(&rows::dirty(*device, *conversation), seq.0);
    }
}
