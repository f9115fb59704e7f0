//! Presence: who may see it, who watches it, and who is typing.

use super::{Decision, blocked, peer_in, sessions_of};
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

pub(super) fn typing(view: &mut View, from: DeviceId, conversation: ConversationId, active: bool) -> Result<Decision, Stop> {
    let peer = peer_in(conversation, from.user)?;
    if blocked(view, from.user, peer)? {
        // Nobody is told, and the sender does not learn of it by a sign as small as this.
        return Ok(Decision::reply(Reply::Done));
    }
    Ok(Decision::of(vec![Event::Typing { user: from.user, conversation, active }], Reply::Done))
}

pub(super) fn watch(view: &mut View, device: DeviceId, gateway: GatewayId, user: UserId) -> Result<Decision, Stop> {
    let presence = presence_of(view, user, device.user)?;
    let place = rows::watcher(user, device);
    if view.find(&place)? == Some(Watcher { gateway }) {
        return Ok(Decision::reply(Reply::Presence(presence)));
    }
    let watching = view.scan::<Watcher>(&rows::watchers(user))?;
    if watching.len() as u32 >= limits::WATCHERS_PER_USER {
        return Err(Reject::ListFull.into());
    }
    let event = Event::WatchChanged { user, device, gateway: Some(gateway) };
    Ok(Decision::of(vec![event], Reply::Presence(presence)))
}

pub(super) fn unwatch(device: DeviceId, user: UserId) -> Result<Decision, Stop> {
    Ok(Decision::of(vec![Event::WatchChanged { user, device, gateway: None }], Reply::Done))
}

/// What `asker` may see of a user's presence.
fn presence_of(view: &mut View, user: UserId, asker: UserId) -> Result<Presence, Stop> {
    let account = view.get(&rows::account(user))?.ok_or(Reject::UnknownUser)?;
    if !may_see(view, user, account.privacy, asker)? {
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
    if blocked(view, owner, asker)? {
        return Ok(false);
    }
    match privacy {
        Privacy::Everyone => Ok(true),
        Privacy::Contacts => view.exists(&rows::contact(owner, asker)),
        Privacy::Nobody => Ok(false),
    }
}
