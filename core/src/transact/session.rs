//! Sessions: where a device is connected, and the wake-ups of its gateway.

use super::message::dirty_page;
use super::{Decision, devices_of, sessions_of};
use crate::command::{self, Reply, SeenWake, Wake};
use crate::event::Event;
use crate::id::{DeviceId, Digest, GatewayId, SessionEpoch, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Device, Row, Session, StoredWake, Topic};
use crate::store::Key;
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

/// Commits the session and reads the dirty set in one transaction: a sender that marks the device dirty either comes before, and the mark
/// is read here; or comes after, and finds the session and wakes its gateway.
pub(super) fn open(view: &mut View, now: Timestamp, device: DeviceId, secret: Digest, session: Session) -> Result<Decision, Stop> {
    let (account, state, place) = (rows::account(device.user), rows::device(device), rows::session(device));
    let lease = rows::lease(session.gateway);
    view.need(&[account.key, state.key, place.key, lease.key])?;
    let account = view.get(&account)?.ok_or(Reject::BadToken)?;
    let state = view.get(&state)?.ok_or(Reject::BadToken)?;
    let linked = devices_of(device.user, &account).any(|linked| linked == device);
    let expires = token_expiry(&state, now, secret).filter(|_| linked).ok_or(Reject::BadToken)?;
    let before = view.find(&place)?;
    let dirty = dirty_page(view, device, None)?;
    if planted!(QueueClearedAtLogin if !dirty.conversations.is_empty()) {
        dirty.conversations.iter().for_each(|(conversation, _)| view.clear(rows::dirty(device, *conversation).key));
    }
    let answer = Reply::Opened { epoch: session.epoch, expires, dirty };
    if before == Some(session) {
        mark!(OpeningIsKnown);
        return Ok(Decision::reply(answer));
    }
    // The greeting of an app that was killed and started again meanwhile, or a copy of it that was not started as often.
    if before.is_some_and(|before| before.run > session.run) && !planted!(OlderRunTakesOver) {
        mark!(EarlierRunIsTurnedAway);
        return Ok(Decision::reply(Reply::Outrun));
    }
    // A session of a gateway without a lease would never be ended if that gateway is dead.
    if view.find(&lease)?.is_none_or(|lease| lease.lost) && !planted!(OpenedWithoutLease) {
        mark!(OpeningWithoutLease);
        return Err(Reject::Unavailable.into());
    }
    // A retry that was late to run: the gateway's numbers only rise, so what is there is newer.
    if before.is_some_and(|before| before.gateway == session.gateway && before.epoch > session.epoch) && !planted!(LateOpeningTakesOver) {
        return Err(Reject::OutOfTurn.into());
    }
    mark!(ReplacedAtAnotherGateway if before.is_some_and(|before| before.gateway != session.gateway));
    let connected = sessions_of(view, device.user, &account)?;
    let mut events =
        vec![Event::SessionOpened { device, gateway: session.gateway, epoch: session.epoch, run: session.run, replaces: before }];
    if state.secret == secret && state.previous.is_some() {
        // The device has its new token.
        mark!(OldTokenIsDropped);
        events.push(Event::DeviceChanged { device, state: Device { previous: None, ..state } });
    }
    if connected.is_empty() {
        events.push(Event::PresenceChanged { user: device.user, online: true });
    }
    Ok(Decision::of(events, answer))
}

/// Whether this is a device's session.
pub(super) fn is_present(view: &mut View, device: DeviceId, gateway: GatewayId, epoch: SessionEpoch) -> Result<bool, Stop> {
    let session = view.find(&rows::session(device))?;
    Ok(session.is_some_and(|session| session.gateway == gateway && session.epoch == epoch))
}

/// When the token that was shown runs out; `None` if it is not accepted at all. One that has run out may still open a session for a while,
/// in which it can do nothing but renew itself.
fn token_expiry(state: &Device, now: Timestamp, secret: Digest) -> Option<Timestamp> {
    if state.secret == secret {
        return (now < state.expires + limits::TOKEN_GRACE).then_some(state.expires);
    }
    let (previous, expired) = state.previous?;
    (previous == secret && now < expired + limits::TOKEN_GRACE).then_some(expired)
}

pub(super) fn end(view: &mut View, device: DeviceId, gateway: GatewayId, epoch: SessionEpoch, heard: Timestamp) -> Result<Decision, Stop> {
    let mut events = vec![];
    let session = view.find(&rows::session(device))?;
    mark!(LateEndEndsNothing if session.is_some_and(|session| (session.gateway, session.epoch) != (gateway, epoch)));
    // A connection that never became a session may be anybody's: it says nothing about the user.
    let any_connection =
        planted!(EndOfTheWrongConnection if session.is_some_and(|session| session.gateway == gateway && session.epoch != epoch));
    let any_gateway = planted!(EndAtTheWrongGateway if session.is_some_and(|session| session.epoch == epoch && session.gateway != gateway));
    if session.is_some_and(|session| session.gateway == gateway && session.epoch == epoch) || any_connection || any_gateway {
        events.push(Event::Heard { user: device.user, at: heard });
        events.extend(end_sessions(view, &[device], gateway)?);
    }
    Ok(Decision::of(events, Reply::Done))
}

/// The events that end the present sessions of devices at one gateway, whoever ends them. A user goes offline with the last of theirs.
pub(super) fn end_sessions(view: &mut View, ending: &[DeviceId], gateway: GatewayId) -> Result<Vec<Event>, Stop> {
    let mut accounts = BTreeMap::new();
    for device in ending {
        accounts.insert(device.user, view.find(&rows::account(device.user))?);
    }
    let keys: Vec<Key> = accounts
        .iter()
        .flat_map(|(user, account)| account.iter().flat_map(|account| devices_of(*user, account)))
        .map(|device| rows::session(device).key)
        .collect();
    view.need(&keys)?;
    let mut events = vec![];
    for device in ending {
        events.push(Event::SessionEnded { device: *device, gateway });
    }
    for (user, account) in accounts {
        let connected = match account {
            Some(account) => sessions_of(view, user, &account)?,
            None => vec![],
        };
        let last = connected.iter().all(|(device, _)| ending.contains(device));
        mark!(UserHasAnotherSession if !last);
        if last || planted!(OfflineWithTheFirstDevice) {
            events.push(Event::PresenceChanged { user, online: false });
        }
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
    let seen: BTreeSet<&SeenWake> = seen.iter().collect();
    let stored = view.scan_stored(&rows::wakes(gateway, limit), |key, value| {
        let wake = SeenWake { key, stamp: command::stamp(value) };
        mark!(WakeChangedSinceSeen if seen.iter().any(|seen| seen.key == key && seen.stamp != wake.stamp));
        let seen_otherwise = planted!(WakeClearedAlthoughChanged if seen.iter().any(|seen| seen.key == key && seen.stamp != wake.stamp));
        if seen.contains(&wake) || seen_otherwise {
            return Err(key);
        }
        let read = rows::wake_of(&key).zip(StoredWake::decode(value).ok());
        Ok((wake, read.and_then(|((device, topic), stored)| Some((device, read_wake(topic, stored)?)))))
    })?;
    let more = stored.len() as u32 == limit;
    let (mut wakes, mut fresh, mut done) = (vec![], vec![], vec![]);
    for taken in stored {
        let (wake, read) = match taken {
            Ok(taken) => taken,
            Err(key) => {
                done.push(key);
                continue;
            }
        };
        let key = wake.key;
        if planted!(WakesClearedAsRead) {
            done.push(key);
        }
        match read {
            // A sign of typing may be lost with the answer; but the same sign a moment later must not be taken for this one.
            Some((_, Wake::Typing { .. })) => done.push(key),
            Some(_) => fresh.push(wake),
            None => {
                view.report(key);
                fresh.push(wake);
            }
        }
        wakes.extend(read);
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
        (Topic::Typing(conversation), StoredWake::Typing(active)) => Wake::Typing { conversation, by: None, active },
        (Topic::TypingIn(conversation, user), StoredWake::Typing(active)) => Wake::Typing { conversation, by: Some(user), active },
        (Topic::Presence(user), StoredWake::Presence(presence)) => Wake::Presence { user, presence: presence.into() },
        (Topic::Replaced(_), StoredWake::Replaced(epoch, by_same_run)) => Wake::Replaced { epoch, by_same_run },
        (Topic::Removed, StoredWake::Removed) => Wake::Removed,
        (
            Topic::Dirty(_)
            | Topic::Receipt(_)
            | Topic::Typing(_)
            | Topic::TypingIn(..)
            | Topic::Presence(_)
            | Topic::Replaced(_)
            | Topic::Removed,
            StoredWake::Dirty(..)
            | StoredWake::Receipt(..)
            | StoredWake::Typing(_)
            | StoredWake::Presence(_)
            | StoredWake::Replaced(..)
            | StoredWake::Removed,
        ) => return None,
    })
}
