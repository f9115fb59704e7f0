//! Sessions: where a device is connected, and the wake-ups of its gateway.

use super::message::dirty_page;
use super::{Decision, devices_of, sessions_of};
use crate::command::{self, Reply, SeenWake, Wake};
use crate::event::Event;
use crate::id::{DeviceId, Digest, GatewayId, SessionEpoch, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Device, Row, Session, StoredWake, Topic};
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// Commits the session and reads the dirty set in one transaction: a sender that marks the device dirty either comes before, and the mark
/// is read here; or comes after, and finds the session and wakes its gateway.
pub(super) fn open(view: &mut View, now: Timestamp, device: DeviceId, secret: Digest, session: Session) -> Result<Decision, Stop> {
    let (account, state, place) = (rows::account(device.user), rows::device(device), rows::session(device));
    view.need(&[account.key, state.key, place.key])?;
    let account = view.get(&account)?.ok_or(Reject::BadToken)?;
    let state = view.get(&state)?.ok_or(Reject::BadToken)?;
    let linked = devices_of(device.user, &account).any(|linked| linked == device);
    let expires = token_expiry(&state, now, secret).filter(|_| linked).ok_or(Reject::BadToken)?;
    let before = view.find(&place)?;
    let dirty = dirty_page(view, device, None)?;
    let answer = Reply::Opened { epoch: session.epoch, expires, dirty };
    if before == Some(session) {
        return Ok(Decision::reply(answer));
    }
    let connected = sessions_of(view, device.user, &account)?;
    let mut events =
        vec![Event::SessionOpened { device, gateway: session.gateway, epoch: session.epoch, run: session.run, replaces: before }];
    if connected.is_empty() {
        events.push(Event::PresenceChanged { user: device.user, online: true });
    }
    Ok(Decision::of(events, answer))
}

/// When the token that was shown runs out; `None` if it is not accepted at all. One that has run out may still open a session for a while,
/// in which it can do nothing but renew itself.
fn token_expiry(state: &Device, now: Timestamp, secret: Digest) -> Option<Timestamp> {
    if state.secret == secret {
        return (now < state.expires + limits::TOKEN_GRACE).then_some(state.expires);
    }
    let (previous, until) = state.previous?;
    (previous == secret && now < until).then_some(until)
}

pub(super) fn end(view: &mut View, device: DeviceId, gateway: GatewayId, epoch: SessionEpoch, heard: Timestamp) -> Result<Decision, Stop> {
    let mut events = vec![Event::Heard { user: device.user, at: heard }];
    let session = view.find(&rows::session(device))?;
    if session.is_some_and(|session| session.gateway == gateway && session.epoch == epoch) {
        events.extend(end_session(view, device, gateway)?);
    }
    Ok(Decision::of(events, Reply::Done))
}

/// The events that end a device's present session, whoever ends it.
pub(super) fn end_session(view: &mut View, device: DeviceId, gateway: GatewayId) -> Result<Vec<Event>, Stop> {
    let mut events = vec![Event::SessionEnded { device, gateway }];
    let others = match view.find(&rows::account(device.user))? {
        Some(account) => sessions_of(view, device.user, &account)?.into_iter().any(|(other, _)| other != device),
        None => false,
    };
    if !others {
        events.push(Event::PresenceChanged { user: device.user, online: false });
    }
    Ok(events)
}

pub(super) fn heard(users: &[(UserId, Timestamp)]) -> Result<Decision, Stop> {
    let events = users.iter().map(|(user, at)| Event::Heard { user: *user, at: *at }).collect();
    Ok(Decision::of(events, Reply::Done))
}

/// A wake-up is cleared only when the gateway hands it in as seen, and only if it still says what was seen: an answer that is lost loses none.
pub(super) fn take_wakes(view: &mut View, gateway: GatewayId, seen: &[SeenWake]) -> Result<Decision, Stop> {
    let limit = limits::PAGE_WAKES + seen.len() as u32;
    let stored = view.scan_stored(&rows::wakes(gateway, limit))?;
    let more = stored.len() as u32 == limit;
    let (mut wakes, mut fresh, mut done) = (vec![], vec![], vec![]);
    for (key, value) in stored {
        let wake = SeenWake { key, stamp: command::stamp(&value) };
        // Both are in the order of their keys; a gateway's list is short.
        if seen.binary_search(&wake).is_ok() {
            done.push(key);
            continue;
        }
        let read = rows::wake_of(&key)
            .zip(StoredWake::decode(&value).ok())
            .and_then(|((device, topic), stored)| Some((device, read_wake(topic, stored)?)));
        match read {
            Some(read) => wakes.push(read),
            None => view.report(key),
        }
        fresh.push(wake);
    }
    let events = if done.is_empty() { vec![] } else { vec![Event::WakesTaken { keys: done }] };
    Ok(Decision::of(events, Reply::Wakes { wakes, seen: fresh, more }))
}

fn read_wake(topic: Topic, stored: StoredWake) -> Option<Wake> {
    Some(match (topic, stored) {
        (Topic::Dirty(conversation), StoredWake::Dirty(upto, entry)) => {
            Wake::Dirty { conversation, upto, entry: entry.map(|entry| entry.at(upto)) }
        }
        (Topic::Receipt(conversation), StoredWake::Receipt(delivered, read)) => Wake::Receipt { conversation, delivered, read },
        (Topic::Typing(conversation), StoredWake::Typing(active)) => Wake::Typing { conversation, active },
        (Topic::Presence(user), StoredWake::Presence(presence)) => Wake::Presence { user, presence: presence.into() },
        (Topic::Replaced, StoredWake::Replaced(epoch, by_same_run)) => Wake::Replaced { epoch, by_same_run },
        (Topic::Removed, StoredWake::Removed) => Wake::Removed,
        (
            Topic::Dirty(_) | Topic::Receipt(_) | Topic::Typing(_) | Topic::Presence(_) | Topic::Replaced | Topic::Removed,
            StoredWake::Dirty(..)
            | StoredWake::Receipt(..)
            | StoredWake::Typing(_)
            | StoredWake::Presence(_)
            | StoredWake::Replaced(..)
            | StoredWake::Removed,
        ) => return None,
    })
}
