//! Acknowledgements and what they tell the other side.

use super::{Decision, group, peer_in};
use crate::command::Reply;
use crate::event::Event;
use crate::id::{ConversationId, DeviceId, Seq, Side, UserId};
use crate::reject::Reject;
use crate::rows::{self, Counter, Head, Receipt};
use crate::store::Key;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn acknowledge(
    view: &mut View,
    device: DeviceId,
    conversation: ConversationId,
    delivered: Seq,
    read: Seq,
) -> Result<Decision, Stop> {
    let user = device.user;
    if !conversation.may_include(user) {
        return Err(Reject::NotMember.into());
    }
    let (head, cursor, receipt) = (rows::head(conversation), rows::cursor(device, conversation), rows::receipt(conversation, user));
    // Of a direct conversation, the account of the other side is asked for in the same round: its devices may have to be told.
    let (dirty, account) = (rows::dirty(device, conversation), rows::account(conversation.peer(user).unwrap_or(user)));
    // Of a group, whether it is marked already as one whose receipts have moved.
    let mark = conversation.pair().is_none().then(|| rows::sum_due(conversation).key);
    let keys = [head.key, cursor.key, receipt.key, dirty.key, account.key].into_iter().chain(mark);
    view.need(&keys.collect::<Vec<Key>>())?;

    let head = view.get(&head)?.unwrap_or(Head::EMPTY);
    let end = match conversation {
        ConversationId::Direct(_) => head.seq,
        ConversationId::Group(_) => {
            let account = view.get(&account)?.ok_or(Reject::DeviceRemoved)?;
            group::seen(view, conversation, device, &account, &head)?.end()
        }
    };
    if delivered > end {
        return Err(Reject::BeyondHead { head: end }.into());
    }
    // Neither a damaged cursor nor a damaged mark holds the queue up: both are written anew from what the device says that it has.
    let had = view.find(&cursor)?.map_or(Seq::START, |cursor| cursor.upto);
    let has = if planted!(CursorGoesBack if delivered < had) { delivered } else { had.max(delivered) };
    mark!(AcknowledgementOfLess if delivered < had);
    let caught_up = view.exists(&dirty)? && view.find(&dirty)?.map_or(has == end, |Counter(upto)| has.0 >= upto);
    let caught_up = caught_up || planted!(QueueClearedByAnyAck if view.exists(&dirty)?);

    let mut events = vec![];
    if has != had || caught_up {
        events.push(Event::CursorMoved { device, conversation, upto: has, caught_up });
    }
    // A damaged receipt is left alone: what it said is not known, and it must never go back.
    let before = match view.get(&receipt) {
        Ok(before) => before.unwrap_or_default(),
        Err(Stop::Reject(_)) => return Ok(Decision::of(events, Reply::Done)),
        Err(Stop::Missing) => return Err(Stop::Missing),
    };
    let mut after = Receipt { delivered: before.delivered.max(has), read: before.read.max(read.min(has)) };
    mark!(AnotherDeviceIsAhead if has < before.delivered);
    if planted!(DeliveredGoesBack if has < before.delivered) {
        after.delivered = has;
    }
    if after != before {
        // The other side's ticks change only if a message of theirs stands between the old watermark and the new one.
        let other = conversation.pair().and_then(|pair| pair.side(user)).map(Side::other);
        let last = other.map_or(Seq::START, |other| head.last_of[other as usize]);
        let tell = (after.delivered > before.delivered && last > before.delivered) || (after.read > before.read && last > before.read);
        let tell = tell && !planted!(ReadIsNotTold if after.delivered == before.delivered);
        events.push(Event::ReceiptMoved { user, conversation, receipt: after, tell });
    }
    let (marked, sum) = if after != before && mark.is_some() { group::reached::due(view, conversation)? } else { (None, false) };
    events.extend(marked);
    Ok(Decision::of(events, if sum { Reply::SumDue } else { Reply::Done }))
}

pub(super) fn ask(view: &mut View, user: UserId, conversations: &[ConversationId]) -> Result<Decision, Stop> {
    let (mut wanted, mut groups) = (Vec::with_capacity(conversations.len()), vec![]);
    for conversation in conversations {
        if conversation.pair().is_none() {
            groups.push(*conversation);
            continue;
        }
        let peer = peer_in(*conversation, user)?;
        wanted.push((*conversation, rows::receipt(*conversation, if planted!(OwnReceiptAsked) { user } else { peer })));
    }
    let of_groups = groups.iter().flat_map(|group| [rows::member(*group, user).key, rows::reached(*group).key]);
    let keys: Vec<Key> = wanted.iter().map(|(_, at)| at.key).chain(of_groups).collect();
    view.need(&keys)?;
    let mut receipts = vec![];
    for (conversation, at) in wanted {
        if let Some(receipt) = view.find(&at)? {
            receipts.push((conversation, receipt.delivered, receipt.read));
        }
    }
    for group in groups {
        // Whoever has left since hears nothing, and the rest of what they ask for is answered.
        let others = match group::reached::of_others(view, group, user) {
            Err(Stop::Reject(_)) => continue,
            others => others?,
        };
        receipts.extend(others.map(|others| (group, others.delivered, others.read)));
    }
    Ok(Decision::reply(Reply::Receipts(receipts)))
}
