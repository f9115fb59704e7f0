//! From an event to the wake-ups that it calls for: rows of the same transaction, so that a crash loses none.

use super::{presence, sessions_of};
use crate::event::{Event, MessageSent};
use crate::frame::{Presence, UserList};
use crate::id::{ConversationId, DeviceId, Seq, UserId};
use crate::rows::{self, LogEntry, Reached, Receipt, Session, StoredContent, StoredEntry, StoredWake, Topic, Watcher};
use crate::store::Key;
use crate::view::{Stop, View};
use alloc::vec::Vec;

pub(super) fn react(view: &mut View, event: &Event) -> Result<(), Stop> {
    match event {
        Event::MessageSent(sent) => message_sent(view, sent),
        Event::MarkedBehind { conversation, upto, devices, entry } => tell_devices(view, *conversation, *upto, entry.as_ref(), devices),
        Event::ReceiptMoved { user, conversation, receipt, tell: true } => {
            let told = StoredWake::Receipt(receipt.delivered, receipt.read);
            wake_peer(view, *user, *conversation, Topic::Receipt(*conversation), &told)
        }
        Event::TypingIn { conversation, user, active, devices } => tell_typing(view, *conversation, *user, *active, devices),
        Event::ReachedTold { conversation, reached, devices } => tell_senders(view, *conversation, reached, devices),
        Event::Typing { user, conversation, active } => {
            wake_peer(view, *user, *conversation, Topic::Typing(*conversation), &StoredWake::Typing(*active))
        }
        Event::SessionOpened { device, run, replaces: Some(older), .. } => {
            wake(
                view,
                *device,
                older,
                Topic::Replaced(older.epoch),
                &StoredWake::Replaced(older.epoch, older.run == *run && !planted!(ReplacedByItself)),
            );
            Ok(())
        }
        Event::DeviceRemoved { device } => {
            if let Some(session) = view.find(&rows::session(*device))? {
                wake(view, *device, &session, Topic::Removed, &StoredWake::Removed);
            }
            Ok(())
        }
        Event::PresenceChanged { online, .. } if planted!(OfflineIsNotTold if !*online) => Ok(()),
        Event::PresenceChanged { user, online } => tell_watchers(view, *user, Occasion::Presence(*online)),
        Event::PrivacyChanged { .. } | Event::ListChanged { .. } if planted!(HidingIsNotTold) => Ok(()),
        Event::PrivacyChanged { user } => tell_watchers(view, *user, Occasion::Visibility(None)),
        Event::ListChanged { owner, list, user, .. } => {
            tell_watchers(view, *owner, Occasion::Visibility(Some(*user)))?;
            // A block hides both from each other.
            if *list == UserList::Blocked { tell_watchers(view, *user, Occasion::Visibility(Some(*owner))) } else { Ok(()) }
        }
        Event::SessionOpened { replaces: None, .. }
        | Event::ReceiptMoved { tell: false, .. }
        | Event::VerificationMoved { .. }
        | Event::AccountCreated { .. }
        | Event::AccountChanged { .. }
        | Event::DeviceChanged { .. }
        | Event::ConversationStarted { .. }
        | Event::GroupChanged { .. }
        | Event::MemberJoined { .. }
        | Event::RoleChanged { .. }
        | Event::MemberGone { .. }
        | Event::PastMemberChanged { .. }
        | Event::FanOutDue { .. }
        | Event::ContentTrimmed { .. }
        | Event::FanOutMoved { .. }
        | Event::FanOutDone { .. }
        | Event::SumMarked { .. }
        | Event::ReachedMoved { .. }
        | Event::CursorMoved { .. }
        | Event::SessionEnded { .. }
        | Event::SessionUnlisted { .. }
        | Event::Heard { .. }
        | Event::WatchChanged { .. }
        | Event::WakesTaken { .. }
        | Event::LeaseRenewed { .. }
        | Event::LeaseLost { .. }
        | Event::LeaseEnded { .. } => Ok(()),
    }
}

fn message_sent(view: &mut View, sent: &MessageSent) -> Result<(), Stop> {
    let entry = if sent.devices.is_empty() { None } else { Some(sent.entry()) };
    tell_devices(view, sent.conversation, sent.seq, entry.as_ref(), &sent.devices)
}

/// Wakes the devices that are connected, among those that a conversation is ahead of.
fn tell_devices(
    view: &mut View,
    conversation: ConversationId,
    upto: Seq,
    entry: Option<&LogEntry>,
    devices: &[DeviceId],
) -> Result<(), Stop> {
    let keys: Vec<Key> = devices.iter().map(|device| rows::session(*device).key).collect();
    view.need(&keys)?;
    // What all devices share is put into words once.
    let shared = entry.is_none_or(|entry| matches!(entry.content, StoredContent::Shared(_)));
    let mut told: Option<StoredWake> = None;
    for device in devices {
        if let Some(session) = view.find(&rows::session(*device))? {
            let before = told.take().filter(|_| shared);
            let words = || StoredWake::Dirty(upto, entry.and_then(|entry| StoredEntry::of(entry, *device)));
            let told = told.insert(before.unwrap_or_else(words));
            wake(view, *device, &session, Topic::Dirty(conversation), told);
            if planted!(QueuedOnlyIfOffline) {
                view.clear(rows::dirty(*device, conversation).key);
            }
        }
    }
    Ok(())
}

/// Tells the others of a group that somebody is typing.
fn tell_typing(view: &mut View, conversation: ConversationId, user: UserId, active: bool, devices: &[DeviceId]) -> Result<(), Stop> {
    view.need(&devices.iter().map(|device| rows::session(*device).key).collect::<Vec<Key>>())?;
    for device in devices {
        if let Some(session) = view.find(&rows::session(*device))? {
            wake(view, *device, &session, Topic::TypingIn(conversation, user), &StoredWake::Typing(active));
        }
    }
    Ok(())
}

/// Tells senders how far the others of their group have got.
fn tell_senders(view: &mut View, conversation: ConversationId, reached: &Reached, devices: &[DeviceId]) -> Result<(), Stop> {
    view.need(&devices.iter().map(|device| rows::session(*device).key).collect::<Vec<Key>>())?;
    for device in devices {
        let Receipt { delivered, read } = reached.of_others(device.user);
        if let Some(session) = view.find(&rows::session(*device))? {
            wake(view, *device, &session, Topic::Receipt(conversation), &StoredWake::Receipt(delivered, read));
        }
    }
    Ok(())
}

fn wake_peer(view: &mut View, user: UserId, conversation: ConversationId, topic: Topic, told: &StoredWake) -> Result<(), Stop> {
    let Some(peer) = conversation.peer(user) else { return Ok(()) };
    let Some(account) = view.find(&rows::account(peer))? else { return Ok(()) };
    for (device, session) in sessions_of(view, peer, &account)? {
        wake(view, device, &session, topic, told);
    }
    Ok(())
}

/// Why the watchers of a user are told something.
#[derive(Clone, Copy)]
enum Occasion {
    /// The user has come online, or gone offline: those who may see it are told.
    Presence(bool),
    /// Who may see the user has changed, for one watching user or for all: whoever may not see it any more is told that it is hidden.
    Visibility(Option<UserId>),
}

/// Tells those who watch a user. Those whose session is gone are taken off the list on this occasion.
fn tell_watchers(view: &mut View, user: UserId, occasion: Occasion) -> Result<(), Stop> {
    let owner = view.need(&[rows::account(user).key, rows::last_seen(user).key]);
    let mut watchers: Vec<(DeviceId, Option<Watcher>)> =
        view.scan::<Watcher>(&rows::watchers(user))?.into_iter().filter_map(|(key, row)| Some((rows::watcher_of(&key)?, row))).collect();
    if let Occasion::Visibility(Some(only)) = occasion {
        watchers.retain(|(device, _)| device.user == only);
    }
    if watchers.is_empty() {
        return Ok(());
    }
    owner?;
    let Some(account) = view.find(&rows::account(user))? else { return Ok(()) };
    // Asked for at once, for all watchers together: what may_see and the rest of the loop read.
    let keys: Vec<Key> = watchers
        .iter()
        .flat_map(|(device, _)| {
            let asker = device.user;
            [rows::session(*device).key, rows::block(user, asker).key, rows::block(asker, user).key, rows::contact(user, asker).key]
        })
        .collect();
    view.need(&keys)?;
    let (online, says_hidden) = match occasion {
        Occasion::Presence(online) => (online, false),
        Occasion::Visibility(_) => (!sessions_of(view, user, &account)?.is_empty(), true),
    };
    let presence = if online { Presence::Online } else { presence::offline(view, user)? };
    for (device, watcher) in watchers {
        let session = view.find(&rows::session(device))?.filter(|session| watcher == Some(Watcher { gateway: session.gateway }));
        let Some(session) = session else {
            mark!(WatcherIsGone);
            view.clear(rows::watcher(user, device).key);
            continue;
        };
        let seen = presence::may_see(view, user, account.privacy, device.user)?;
        mark!(HiddenFromWatcher if !seen);
        if seen || says_hidden {
            let told = if seen { presence } else { Presence::Hidden };
            wake(view, device, &session, Topic::Presence(user), &StoredWake::Presence(told.into()));
        }
    }
    Ok(())
}

fn wake(view: &mut View, device: DeviceId, session: &Session, topic: Topic, told: &StoredWake) {
    view.set(&rows::wake(session.gateway, device, topic), told);
    view.ring(&rows::bell(session.gateway));
}
