//! Receipts in groups: by the gateway that heard of the first acknowledgement, a little later, and by another if that one has died over it.
//!
//! Whatever comes in between is part of the same sum, so a sender hears at most once in [`limits::SUM_AFTER`] of a group, however many members
//! acknowledge.

use super::Gateway;
use super::dispatch::{Lane, Origin};
use super::fan_out::stuck;
use super::timers::Timer;
use crate::command::{Command, Reply};
use crate::id::{ConversationId, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::Reached;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

/// The groups whose members' receipts this gateway sums up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Each with the mark under which the sum has begun; zero before.
    under_way: BTreeMap<ConversationId, Telling>,
    /// As they were last seen in the store, and whether they are being looked at.
    seen: BTreeMap<ConversationId, u64>,
    looking: bool,
}

/// A sum on its way to the senders.
#[derive(Clone, Debug, Default)]
struct Telling {
    mark: u64,
    reached: Reached,
    /// Who is still to be told.
    tell: Vec<UserId>,
}

impl Sums {
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Gateway {
    /// The receipts of a group's members are to be summed up, unless that is under way.
    pub(super) fn sum_later(&mut self, conversation: ConversationId) {
        if let Entry::Vacant(free) = self.sums.under_way.entry(conversation) {
            free.insert(Telling::default());
            self.timers.insert((self.now + limits::SUM_AFTER, Timer::Sum(conversation)));
        }
    }

    pub(super) fn begin_sum(&mut self, conversation: ConversationId) {
        self.enqueue(Lane::FanOut, Origin::Sum(conversation), Command::BeginSum { conversation });
    }

    pub(super) fn summed(&mut self, conversation: ConversationId, reply: Result<Reply, Reject>) {
        let Some(telling) = self.sums.under_way.get_mut(&conversation) else { return };
        match reply {
            Ok(Reply::SumBegun { mark }) => {
                telling.mark = mark;
                self.enqueue(Lane::FanOut, Origin::Sum(conversation), Command::Sum { conversation });
            }
            Ok(Reply::Summed { reached, tell }) => {
                (telling.reached, telling.tell) = (reached, tell);
                self.tell_sum(conversation);
            }
            Ok(Reply::SumEnded { .. }) if !telling.tell.is_empty() => self.tell_sum(conversation),
            Ok(Reply::SumEnded { again }) => {
                self.sums.under_way.remove(&conversation);
                if again {
                    self.sum_later(conversation);
                }
            }
            // It stands in the store as due, and is found there.
            Ok(_) | Err(_) => drop(self.sums.under_way.remove(&conversation)),
        }
    }

    fn tell_sum(&mut self, conversation: ConversationId) {
        let Some(telling) = self.sums.under_way.get_mut(&conversation) else { return };
        let rest = telling.tell.split_off(telling.tell.len().min(limits::SUM_SENDERS));
        let tell = core::mem::replace(&mut telling.tell, rest);
        let last = telling.tell.is_empty().then_some(telling.mark);
        let command = Command::EndSum { conversation, reached: telling.reached, tell, last };
        self.enqueue(Lane::FanOut, Origin::Sum(conversation), command);
    }

    /// Looks for sums that nobody makes.
    pub(super) fn look_for_sums(&mut self) {
        if !core::mem::replace(&mut self.sums.looking, true) {
            self.enqueue(Lane::Read, Origin::Sums, Command::ReadSums);
        }
    }

    /// As with the marking of devices: what has not moved since the last look has lost its gateway, and falls to one of those that live.
    pub(super) fn sums_read(&mut self, reply: Result<Reply, Reject>) {
        self.sums.looking = false;
        let Ok(Reply::Sums(jobs)) = reply else { return };
        for conversation in stuck(&mut self.sums.seen, jobs) {
            if self.falls_to_this(&crate::rows::sum_due(conversation).key) {
                self.sum_later(conversation);
            }
        }
    }
}
