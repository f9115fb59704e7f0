//! Which part of a group's log a device may see: the times for which its user was a member, each from the position at which it began to the
//! position at which it ended.

use crate::id::{ConversationId, DeviceId, Seq};
use crate::reject::Reject;
use crate::rows::{self, Account, Head};
use crate::view::{Stop, View};
use alloc::vec::Vec;

/// What a device may see of a group's log. There is something that it may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Runs of positions, first and last, in their order.
    spans: Vec<(Seq, Seq)>,
}

/// What a device may see, of an account that was read.
pub(crate) fn seen(view: &mut View, conversation: ConversationId, device: DeviceId, account: &Account, head: &Head) -> Result<Seen, Stop> {
    let (member, past) = (rows::member(conversation, device.user), rows::past_member(conversation, device.user));
    view.need(&[member.key, past.key])?;
    let linked_at = account.devices.iter().find(|linked| linked.serial == device.serial).map_or(u32::MAX, |linked| linked.epoch);
    let past = view.find(&past)?.unwrap_or_default();
    // A device that was linked after its user had left has nothing to do with that time.
    let past = past
        .spans
        .into_iter()
        .filter(|span| linked_at <= span.device_epoch)
        .map(|span| (span.joined, if planted!(WhoLeftReadsOn) { head.seq } else { span.left }));
    let mut spans: Vec<(Seq, Seq)> = past.collect();
    if let Some(member) = view.get(&member)? {
        let joined = spans.first().filter(|_| planted!(SeenSinceTheFirstTime)).map_or(member.joined, |first| first.0);
        spans.push((joined, head.seq));
    }
    if spans.is_empty() { Err(Reject::NotMember.into()) } else { Ok(Seen { spans }) }
}

impl Seen {
    /// Everything up to a position.
    pub(crate) fn all(head: Seq) -> Self {
        Self { spans: Vec::from([(Seq::START.next(), head)]) }
    }

    /// The last position that it sees.
    pub(crate) fn end(&self) -> Seq {
        self.spans.last().map_or(Seq::START, |last| last.1)
    }

    /// The position before the first that it sees.
    pub(crate) fn start(&self) -> Seq {
        self.spans.first().map_or(Seq::START, |first| before(first.0))
    }

    /// The run of positions after one: the position before the first of it, and the last. Where there is none, both are the position asked
    /// for, or the end.
    pub(crate) fn after(&self, after: Seq) -> (Seq, Seq) {
        let next = self.spans.iter().find(|(_, last)| *last > after);
        mark!(PagePassesOver if next.is_some_and(|(first, _)| *first > after.next()));
        next.map_or((after, after), |(first, last)| (after.max(before(*first)), *last))
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_two_memberships_is_passed_over() {
        let seen = Seen { spans: vec![(Seq(3), Seq(5)), (Seq(9), Seq(12))] };
        assert_eq!((seen.start(), seen.end()), (Seq(2), Seq(12)));
        for (after, run) in
            [(0, (2, 5)), (2, (2, 5)), (4, (4, 5)), (5, (8, 12)), (7, (8, 12)), (8, (8, 12)), (11, (11, 12)), (12, (12, 12))]
        {
            assert_eq!(seen.after(Seq(after)), (Seq(run.0), Seq(run.1)), "after {after}");
        }
    }
}
