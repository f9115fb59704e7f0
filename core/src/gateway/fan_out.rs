//! The marking of large groups' devices: by the gateway that has accepted the message, and by another if that one has died over it.

use super::Gateway;
use super::dispatch::{Lane, Origin};
use crate::command::{Command, Reply};
use crate::id::{ConversationId, GatewayId};
use crate::reject::Reject;
use crate::store::Key;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

impl Gateway {
    /// The devices of a group are to be marked. What is under way already serves this message too, if it has not ended before that was sent.
    pub(super) fn fan_out(&mut self, conversation: ConversationId) {
        match self.fanning.get_mut(&conversation) {
            Some(again) => *again = true,
            None => {
                self.fanning.insert(conversation, false);
                self.enqueue(Lane::FanOut, Origin::FanOut(conversation), Command::FanOut { conversation });
            }
        }
    }

    pub(super) fn fanned_out(&mut self, conversation: ConversationId, reply: &Result<Reply, Reject>) {
        let again = self.fanning.remove(&conversation).unwrap_or(false);
        if again || *reply == Ok(Reply::FannedOut { more: true }) {
            self.fan_out(conversation);
        }
    }

    /// Looks for jobs that nobody does.
    pub(super) fn look_for_fan_outs(&mut self) {
        if !core::mem::replace(&mut self.looking, true) {
            self.enqueue(Lane::Read, Origin::FanOuts, Command::ReadFanOuts);
        }
    }

    /// A job that has not moved since the last look has lost its gateway. It falls to one of those that live, each group to another, so that
    /// they do not all do the same; if two do, it is only work done twice.
    pub(super) fn fan_outs_read(&mut self, reply: Result<Reply, Reject>) {
        self.looking = false;
        let Ok(Reply::FanOuts(jobs)) = reply else { return };
        for conversation in stuck(&mut self.jobs, jobs) {
            if self.falls_to_this(&crate::rows::fan_out_due(conversation).key) && !planted!(JobDiesWithItsGateway) {
                mark!(FanOutIsTakenOver);
                self.fan_out(conversation);
            }
        }
    }

    /// Whether some work, named by a key, falls to this gateway among those whose leases are known.
    pub(super) fn falls_to_this(&self, place: &Key) -> bool {
        let rank = |gateway: GatewayId| {
            let mut bytes = place.as_bytes().to_vec();
            bytes.extend(gateway.0.to_le_bytes());
            (crate::command::stamp(&bytes), gateway)
        };
        self.leases.keys().all(|other| rank(self.id) < rank(*other))
    }
}

/// The jobs that have not moved since the last look, as their stamps say.
pub(super) fn stuck(seen: &mut BTreeMap<ConversationId, u64>, mut jobs: Vec<(ConversationId, u64)>) -> Vec<ConversationId> {
    let before = core::mem::replace(seen, jobs.iter().copied().collect());
    jobs.retain(|(conversation, stamp)| before.get(conversation) == Some(stamp));
    jobs.into_iter().map(|(conversation, _)| conversation).collect()
}
