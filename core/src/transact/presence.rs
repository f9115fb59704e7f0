//! Presence: who may see it, who watches it, and who is typing.

use super::{Decision, blocked, group, sessions_of};
use crate::command::Reply;
use crate::event::Event;
use crate::frame::{Presence, Privacy};
use crate::id::{ConversationId, DeviceId, GatewayId, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Counter, Watcher};
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn typing(view: &mut View, from: DeviceId, conversation: ConversationId, active: bool) -> Result<Decision, Stop> {
    let Some(pair) = conversation.pair() else { return group::typing(view, from, conversation, active) };
    let peer = pair.peer(from.user).ok_or(Reject::NotMember)?;
    if blocked(view, from.user, peer)? {
        // Nobody is told, and the sender does not learn of it by a sign as small as this.
        return Ok(Decision::reply(Reply::Done));
    }
    Ok(Decision::of(vec![Event::Typing { user: from.user, conversation, active }], Reply::Done))
}

pub(super) fn watch(view: &mut View, device: DeviceId, gateway: GatewayId, user: UserId) -> Result<Decision, Stop> {
    let presence = presence_of(view, user, device.user)?;
    let (place, session) = (rows::watcher(user, device), rows::session(device));
    view.need(&[place.key, session.key])?;
    let held = view.find(&place)?;
    // A session that was replaced and does not know it yet must not take the place of the one that follows it.
    let elsewhere = view.find(&session)?.is_none_or(|session| session.gateway != gateway);
    mark!(WatchesFromElsewhere if elsewhere);
    if held == Some(Watcher { gateway }) || elsewhere {
        return Ok(Decision::reply(Reply::Presence(presence)));
    }
    // Whoever has a place on the list keeps it at another gateway.
    let mut events = if held.is_some() { vec![] } else { make_room(view, user)? };
    events.push(Event::WatchChanged { user, device, gateway: Some(gateway) });
    Ok(Decision::of(events, Reply::Presence(presence)))
}

/// If the list of a user's watchers is full, those whose session is gone are taken off it.
fn make_room(view: &mut View, user: UserId) -> Result<Vec<Event>, Stop> {
    let watching = view.scan::<Watcher>(&rows::watchers(user))?;
    if (watching.len() as u32) < limits::WATCHERS_PER_USER {
        return Ok(vec![]);
    }
    let watching: Vec<_> = watching.into_iter().filter_map(|(key, watcher)| Some((rows::watcher_of(&key)?, watcher))).collect();
    let keys: Vec<_> = watching.iter().map(|(device, _)| rows::session(*device).key).collect();
    view.need(&keys)?;
    let mut events = vec![];
    for (device, watcher) in watching {
        let at = view.find(&rows::session(device))?.map(|session| Watcher { gateway: session.gateway });
        if at.is_none() || at != watcher {
            events.push(Event::WatchChanged { user, device, gateway: None });
        }
    }
    if events.is_empty() { Err(Reject::ListFull.into()) } else { Ok(events) }
}

/// Changes nothing if the device has connected elsewhere meanwhile and watches the user from there.
pub(super) fn unwatch(view: &mut View, device: DeviceId, gateway: GatewayId, user: UserId) -> Result<Decision, Stop> {
    let held = view.find(&rows::watcher(user, device))?;
    let watches = held == Some(Watcher { gateway }) || planted!(UnwatchedFromElsewhere if held.is_some());
    let events = if watches { vec![Event::WatchChanged { user, device, gateway: None }] } else { vec![] };
    Ok(Decision::of(events, Reply::Done))
}

/// What `asker` may see of a user's presence.
fn presence_of(view: &mut View, user: UserId, asker: UserId) -> Result<Presence, Stop> {
    let account = view.get(&rows::account(user))?.ok_or(Reject::UnknownUser)?;
    if !may_see(view, user, account.privacy, asker)? && !planted!(AnyoneMayAsk) {
        return Ok(Presence::Hidden);
    }
    if !sessions_of(view, user, &account)?.is_empty() {
        return Ok(Presence::Online);
    }
    offline(view, user)
}

pub(super) fn offline(view: &mut View, user: UserId) -> Result<Presence, Stop> {
    let last_seen = view.find(&rows::last_seen(user))?.map(|Counter(at)| Timestamp::from_millis(at));
    Ok(Presence::Offline { last_seen })
}

pub(super) fn may_see(view: &mut View, owner: UserId, privacy: Privacy, asker: UserId) -> Result<bool, Stop> {
    if owner == asker {
        return Ok(true);
    }
    if blocked(view, owner, asker)? && !planted!(PresenceDespiteBlock) {
        return Ok(false);
    }
    match privacy {
        Privacy::Contacts if planted!(ContactsTheWrongWayRound) => view.exists(&rows::contact(asker, owner)),
        Privacy::Everyone => Ok(true),
        Privacy::Contacts => view.exists(&rows::contact(owner, asker)),
        Privacy::Nobody => Ok(false),
    }
}
