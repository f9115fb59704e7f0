//! From an event to the rows that say so. Total: what has happened cannot be refused, and live traffic and replay share it.

use crate::event::{Event, MessageSent};
use crate::frame::UserList;
use crate::id::{ConversationId, DeviceId, GatewayId, Pair, Seq, Side, UserId};
use crate::rows::{self, ChatRow, Counter, Cursor, Index, Lease, Listed, LogEntry, PhoneRow, Session, SessionOf, Topic, Watcher};
use crate::time::Timestamp;
use crate::view::View;

pub(super) fn project(view: &mut View, event: &Event) {
    match event {
        Event::VerificationMoved { phone, state } => view.set(&rows::verification(phone), state),
        Event::AccountCreated { user, phone } => view.set(&rows::phone(phone), &PhoneRow { user: *user }),
        Event::AccountChanged { user, account } => view.set(&rows::account(*user), account),
        Event::DeviceChanged { device, state } => view.set(&rows::device(*device), state),
        Event::DeviceRemoved { device } => view.clear(rows::device(*device).key),
        Event::ConversationStarted { conversation, at } => {
            for user in conversation.pair().into_iter().flat_map(Pair::users) {
                if planted!(ChatListedOnOneSide if conversation.pair().map(|pair| pair.users()[1]) == Some(user)) {
                    continue;
                }
                view.set(&rows::chat(user, *conversation), &ChatRow { since: *at });
            }
        }
        Event::MessageSent(sent) => message_sent(view, sent),
        Event::GroupChanged { .. }
        | Event::MemberJoined { .. }
        | Event::RoleChanged { .. }
        | Event::MemberGone { .. }
        | Event::PastMemberChanged { .. }
        | Event::MarkedBehind { .. }
        | Event::FanOutDue { .. }
        | Event::FanOutMoved { .. }
        | Event::FanOutDone { .. }
        | Event::SumMarked { .. }
        | Event::ReachedMoved { .. } => of_group(view, event),
        Event::ContentTrimmed { conversation, upto, entries } => content_trimmed(view, *conversation, *upto, entries),
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
        Event::WatchChanged { user, device, gateway } => watch_changed(view, *user, *device, *gateway),
        Event::ListChanged { owner, list, user, since } => list_changed(view, *owner, *list, *user, *since),
        Event::WakesTaken { keys } => keys.iter().for_each(|key| view.clear(*key)),
        Event::LeaseRenewed { gateway, renewals } => {
            view.set(&rows::lease(*gateway), &Lease { renewals: *renewals, lost: false });
        }
        Event::LeaseLost { gateway, renewals } => view.set(&rows::lease(*gateway), &Lease { renewals: *renewals, lost: true }),
        Event::LeaseEnded { gateway } => {
            view.clear(rows::lease(*gateway).key);
            view.clear(rows::bell(*gateway).key);
        }
        Event::PresenceChanged { .. }
        | Event::PrivacyChanged { .. }
        | Event::Typing { .. }
        | Event::TypingIn { .. }
        | Event::ReachedTold { .. } => {}
    }
}

/// What has happened to a group, its members or its job.
#[expect(clippy::wildcard_enum_match_arm, reason = "the caller names the events that come here")]
fn of_group(view: &mut View, event: &Event) {
    match event {
        Event::GroupChanged { conversation, group } => view.set(&rows::group(*conversation), group),
        Event::MemberJoined { conversation, user, member } => {
            view.set(&rows::member(*conversation, *user), member);
            view.set(&rows::chat(*user, *conversation), &ChatRow { since: member.since });
            view.add(&rows::group_count(*user), 1);
        }
        Event::RoleChanged { conversation, user, member } => view.set(&rows::member(*conversation, *user), member),
        Event::MemberGone { conversation, user } => {
            view.clear(rows::member(*conversation, *user).key);
            if !planted!(LeftButStillListed) {
                view.clear(rows::chat(*user, *conversation).key);
            }
            view.add(&rows::group_count(*user), u64::MAX);
        }
        Event::PastMemberChanged { conversation, user, past } => view.set(&rows::past_member(*conversation, *user), past),
        Event::MarkedBehind { conversation, upto, devices, .. } => {
            devices.iter().for_each(|device| view.raise(&rows::dirty(*device, *conversation), upto.0));
        }
        Event::FanOutDue { conversation, upto } => view.raise(&rows::fan_out_due(*conversation), upto.0),
        Event::FanOutMoved { conversation, progress } => view.set(&rows::fan_out(*conversation), progress),
        Event::FanOutDone { conversation, again } => {
            view.clear(rows::fan_out(*conversation).key);
            if !*again {
                view.clear(rows::fan_out_due(*conversation).key);
            }
        }
        Event::SumMarked { conversation, mark: Some(mark) } => view.set(&rows::sum_due(*conversation), &Counter(*mark)),
        Event::SumMarked { conversation, mark: None } => view.clear(rows::sum_due(*conversation).key),
        Event::ReachedMoved { conversation, reached } => view.set(&rows::reached(*conversation), reached),
        other => unreachable!("no event of a group: {other:?}"),
    }
}

fn watch_changed(view: &mut View, user: UserId, device: DeviceId, gateway: Option<GatewayId>) {
    let Some(gateway) = gateway else { return view.clear(rows::watcher(user, device).key) };
    view.set(&rows::watcher(user, device), &Watcher { gateway });
    // What was told to an earlier watch is older than the answer to this one.
    view.clear(rows::wake(gateway, device, Topic::Presence(user)).key);
}

fn list_changed(view: &mut View, owner: UserId, list: UserList, user: UserId, since: Option<Timestamp>) {
    let place = match list {
        UserList::Contacts => rows::contact(owner, user),
        UserList::Blocked => rows::block(owner, user),
    };
    match since {
        Some(since) => view.set(&place, &Listed { since }),
        None => view.clear(place.key),
    }
}

fn content_trimmed(view: &mut View, conversation: ConversationId, upto: Seq, entries: &[(Seq, LogEntry)]) {
    entries.iter().for_each(|(seq, entry)| view.set(&rows::log(conversation, *seq), entry));
    view.raise(&rows::trimmed(conversation), upto.0);
}

fn message_sent(view: &mut View, sent: &MessageSent) {
    let MessageSent { conversation, seq, sender, side, id, at, digest, devices, .. } = sent;
    view.set(&rows::log(*conversation, *seq), &sent.entry());
    view.set(&rows::head(*conversation), &sent.head());
    view.set(&rows::index(*conversation, sender.user, *id), &Index { seq: *seq, at: *at, digest: *digest });
    if conversation.pair().is_none() && *side == Side::Low {
        view.raise(&rows::sent(*conversation, sender.user), seq.0);
    }
    for device in devices {
        view.raise(&rows::dirty(*device, *conversation), seq.0);
    }
}
