//! How far the members of a group have got, all together: what the sender of a message is told in the place of a thousand receipts.
//!
//! Each acknowledgement moves its own member's receipt, and marks the group as one to be summed up. A gateway does that a little later, so that
//! all acknowledgements of that time are one sum, and one frame to whoever has written. It takes three transactions, so that the second,
//! which reads all members, writes nothing and runs into no conflict with those who go on acknowledging: the mark is noted as being seen to,
//! the receipts are read, and the senders are told. What is acknowledged in between marks the group anew. Any gateway may do any of it at
//! any time, and twice: watermarks only grow.

use super::{devices_of_users, members_of_page};
use crate::command::Reply;
use crate::event::Event;
use crate::id::{ConversationId, Seq, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Counter, Lowest, Member, Reached, Receipt};
use crate::store::Key;
use crate::transact::Decision;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// A group is to be summed up, because a member has got further or is one no more. The mark is odd while that waits for a gateway to begin,
/// and even while one is at it. Says also whether somebody must be found to do it.
pub(crate) fn due(view: &mut View, conversation: ConversationId) -> Result<(Option<Event>, bool), Stop> {
    let before = view.find(&rows::sum_due(conversation))?.map(|Counter(mark)| mark);
    let wanted = match before {
        Some(mark) if mark % 2 == 1 => return Ok((None, false)),
        Some(mark) => mark + 1,
        None => 1,
    };
    Ok((Some(Event::SumMarked { conversation, mark: Some(wanted) }), before.is_none()))
}

/// A gateway begins: what is acknowledged from here on marks the group anew.
pub(crate) fn begin(view: &mut View, conversation: ConversationId) -> Result<Decision, Stop> {
    let Some(Counter(mark)) = view.find(&rows::sum_due(conversation))? else {
        return Ok(Decision::reply(Reply::SumEnded { again: false }));
    };
    // Each beginning has a mark of its own, also where another was given up, so that only the last one can clear it.
    let mark = mark + 1 + (mark + 1) % 2;
    Ok(Decision::of(vec![Event::SumMarked { conversation, mark: Some(mark) }], Reply::SumBegun { mark }))
}

/// How far all members have got, and which of them are to be told because a message of theirs has got further by it.
pub(crate) fn sum(view: &mut View, conversation: ConversationId) -> Result<Decision, Stop> {
    let before = rows::reached(conversation);
    let members = members_of_page(view, conversation, None, limits::GROUP_MEMBERS);
    view.need(&[before.key])?;
    let members = members?;
    let before = view.find(&before)?.unwrap_or_default();
    view.need(&members.iter().map(|(user, _)| rows::receipt(conversation, *user).key).collect::<Vec<Key>>())?;
    let (mut delivered, mut read) = (Lowest::default(), Lowest::default());
    for (nth, (user, member)) in members.iter().enumerate() {
        let receipt = standing(view, conversation, *user, *member)?;
        delivered = lower(delivered, *user, receipt.delivered, nth);
        read = lower(read, *user, receipt.read, nth);
    }
    // Of nobody else it cannot be said how far they have got, and what was told before stands.
    let reached = if members.len() < 2 { before } else { Reached { delivered, read }.beyond(before) };
    let mut tell = vec![];
    if reached != before {
        view.need(&members.iter().map(|(user, _)| rows::sent(conversation, *user).key).collect::<Vec<Key>>())?;
        for (user, _) in members {
            let sent = view.find(&rows::sent(conversation, user))?.map_or(Seq::START, |Counter(sent)| Seq(sent));
            let (was, is) = (before.of_others(user), reached.of_others(user));
            let further = (is.delivered > was.delivered && sent > was.delivered) || (is.read > was.read && sent > was.read);
            if further {
                tell.push(user);
            }
        }
    }
    Ok(Decision::reply(Reply::Summed { reached, tell }))
}

/// How far a member has got: nothing from before they joined is missing to them.
pub(crate) fn standing(view: &mut View, conversation: ConversationId, user: UserId, member: Option<Member>) -> Result<Receipt, Stop> {
    let Receipt { delivered, read } = view.find(&rows::receipt(conversation, user))?.unwrap_or_default();
    let before = member.map_or(Seq::START, |member| Seq(member.joined.0.saturating_sub(1)));
    Ok(Receipt { delivered: delivered.max(before), read: read.max(before) })
}

/// With one member more, the `nth` from 0 on.
fn lower(so_far: Lowest, user: UserId, upto: Seq, nth: usize) -> Lowest {
    let Lowest { all, behind, others } = so_far;
    match nth {
        0 => Lowest { all: upto, behind: user, others: Seq(u64::MAX) },
        _ if upto < all => Lowest { all: upto, behind: user, others: all },
        _ => Lowest { all, behind, others: others.min(upto) },
    }
}

/// Tells some senders how far the others have got; with the last of them that is noted, and the sum that began under a mark is done unless
/// more was acknowledged.
pub(crate) fn end(
    view: &mut View,
    conversation: ConversationId,
    reached: Reached,
    tell: &[UserId],
    last: Option<u64>,
) -> Result<Decision, Stop> {
    let (before, due) = (rows::reached(conversation), rows::sum_due(conversation));
    view.need(&[before.key, due.key])?;
    let devices = devices_of_users(view, tell)?;
    let mut events = vec![];
    if !tell.is_empty() {
        events.push(Event::ReachedTold { conversation, reached, devices });
    }
    let Some(begun) = last else {
        return Ok(Decision::of(events, Reply::SumEnded { again: false }));
    };
    let before = view.find(&before)?.unwrap_or_default();
    // Another gateway may have done the same, later.
    let reached = reached.beyond(before);
    if reached != before {
        events.push(Event::ReachedMoved { conversation, reached });
    }
    let mark = view.find(&due)?.map(|Counter(mark)| mark);
    let again = mark.is_some_and(|mark| mark % 2 == 1);
    if mark == Some(begun) {
        events.push(Event::SumMarked { conversation, mark: None });
    }
    Ok(Decision::of(events, Reply::SumEnded { again }))
}

/// Groups that are to be summed up, each with a stamp that changes whenever somebody is at it.
pub(crate) fn waiting(view: &mut View) -> Result<Decision, Stop> {
    let jobs = view.scan::<Counter>(&rows::sums_due(None, limits::PAGE_CONVERSATIONS))?;
    let stamp = |mark: Option<Counter>| mark.map_or(0, |Counter(mark)| mark);
    Ok(Decision::reply(Reply::Sums(jobs.into_iter().filter_map(|(key, mark)| Some((rows::sum_due_of(&key)?, stamp(mark)))).collect())))
}

/// How far the others of a group have got, as far as was summed up. Only members are told.
pub(crate) fn of_others(view: &mut View, conversation: ConversationId, user: UserId) -> Result<Option<Receipt>, Stop> {
    let (member, reached) = (rows::member(conversation, user), rows::reached(conversation));
    view.need(&[member.key, reached.key])?;
    if !view.exists(&member)? {
        return Err(Reject::NotMember.into());
    }
    Ok(view.find(&reached)?.map(|reached| reached.of_others(user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_of_the_slowest_of_the_others() {
        let lowest = [(1, 7), (2, 4), (3, 9), (4, 4)]
            .into_iter()
            .enumerate()
            .fold(Lowest::default(), |so_far, (nth, (user, upto))| lower(so_far, UserId(user), Seq(upto), nth));
        assert_eq!(lowest, Lowest { all: Seq(4), behind: UserId(2), others: Seq(4) });
        let lowest = [(1, 7), (2, 4), (3, 9)]
            .into_iter()
            .enumerate()
            .fold(Lowest::default(), |so_far, (nth, (user, upto))| lower(so_far, UserId(user), Seq(upto), nth));
        assert_eq!([1, 2, 3].map(|user| lowest.of_others(UserId(user)).0), [4, 7, 4]);
    }
}
