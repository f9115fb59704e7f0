//! What the coming and going of a user's devices means to the groups that the user is in: each has another roster epoch.

use crate::event::Event;
use crate::id::{ConversationId, DeviceId, Seq, UserId};
use crate::rows::{self, Head};
use crate::store::Key;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// A device is linked. In each group it gets what is sent from here on, and before that only what no device of its user has: a watermark of
/// what is delivered could otherwise not move past those without a lie.
pub(crate) fn linked(view: &mut View, device: DeviceId) -> Result<Vec<Event>, Stop> {
    let groups = groups_of(view, device.user)?;
    let mut keys: Vec<Key> = groups.iter().map(|group| rows::group(*group).key).collect();
    let of_user =
        |group: &ConversationId| [rows::head(*group).key, rows::receipt(*group, device.user).key, rows::member(*group, device.user).key];
    keys.extend(groups.iter().flat_map(of_user));
    view.need(&keys)?;
    let mut events = raise_epochs(view, &groups)?;
    for conversation in groups {
        let head = view.find(&rows::head(conversation))?.unwrap_or(Head::EMPTY);
        let delivered = view.find(&rows::receipt(conversation, device.user))?.unwrap_or_default().delivered;
        let Some(member) = view.find(&rows::member(conversation, device.user))? else { continue };
        let upto = delivered.max(Seq(member.joined.0.saturating_sub(1))).min(head.seq);
        events.push(Event::CursorMoved { device, conversation, upto, caught_up: false });
        if upto < head.seq {
            mark!(NewcomerIsBehindInAGroup);
            events.push(Event::MarkedBehind { conversation, upto: head.seq, devices: vec![device], entry: None });
        }
    }
    Ok(events)
}

/// A device of this user's is linked no more.
pub(crate) fn unlinked(view: &mut View, user: UserId) -> Result<Vec<Event>, Stop> {
    let groups = groups_of(view, user)?;
    view.need(&groups.iter().map(|group| rows::group(*group).key).collect::<Vec<Key>>())?;
    raise_epochs(view, &groups)
}

fn groups_of(view: &mut View, user: UserId) -> Result<Vec<ConversationId>, Stop> {
    let groups = view.scan_stored(&rows::groups(user), |key, _| rows::chat_of(&key))?;
    Ok(groups.into_iter().flatten().collect())
}

fn raise_epochs(view: &mut View, groups: &[ConversationId]) -> Result<Vec<Event>, Stop> {
    let mut events = vec![];
    for conversation in groups.iter().copied() {
        if let Some(mut group) = view.find(&rows::group(conversation))? {
            group.epoch += u64::from(!planted!(EpochIsOfMembersOnly));
            events.push(Event::GroupChanged { conversation, group });
        }
    }
    Ok(events)
}
