//! The trimming of what need not be kept: by one gateway of those that live, one conversation after the other, again and again.

use super::dispatch::{Lane, Origin};
use super::{Gateway, Retention};
use crate::command::{Command, Reply};
use crate::id::{ConversationId, Seq};
use crate::reject::Reject;
use crate::rows;
use crate::store::Key;
use crate::time::Timestamp;
use alloc::collections::VecDeque;

/// A walk over all conversations.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Conversations in which there may be something to trim.
    found: VecDeque<ConversationId>,
    /// The last one that was looked at.
    last: Option<ConversationId>,
    /// Up to where all devices that were asked about have the conversation whose turn it is.
    least: Seq,
}

impl Gateway {
    /// Begins a walk, if it is time for one and no other gateway does it.
    pub(super) fn look_for_untrimmed(&mut self) {
        let due = self.config.retention != Retention::Forever && self.now >= self.walk_due && self.walk.is_none();
        if due && self.falls_to_this(&rows::conversations(None, 1).from) {
            self.walk = Some(Walk { found: VecDeque::new(), last: None, least: Seq::START });
            self.walk_on();
        }
    }

    /// The next conversation, or the next look for some.
    fn walk_on(&mut self) {
        let Some(walk) = &mut self.walk else { return };
        walk.least = Seq(u64::MAX);
        match (walk.found.front().copied(), self.config.retention) {
            (Some(conversation), Retention::UntilDelivered) => self.ask_delivered(conversation, None),
            (Some(conversation), _) => self.trim(conversation),
            (None, _) => {
                let command = Command::FindUntrimmed { after: walk.last };
                self.enqueue(Lane::Retention, Origin::Untrimmed, command);
            }
        }
    }

    fn ask_delivered(&mut self, conversation: ConversationId, after: Option<Key>) {
        let command = Command::AskDelivered { conversation, after };
        self.enqueue(Lane::Retention, Origin::Delivered(conversation), command);
    }

    fn trim(&mut self, conversation: ConversationId) {
        let Some(Walk { least: upto, .. }) = self.walk else { return };
        let before = match self.config.retention {
            Retention::Forever => return,
            Retention::UntilDelivered => Timestamp::from_millis(u64::MAX),
            Retention::For(length) => Timestamp::from_millis(self.now.millis().saturating_sub(length.0)),
        };
        self.enqueue(Lane::Retention, Origin::Trim(conversation), Command::Trim { conversation, upto, before });
    }

    pub(super) fn untrimmed_found(&mut self, reply: Result<Reply, Reject>) {
        let Some(walk) = &mut self.walk else { return };
        let Ok(Reply::Untrimmed { conversations, last: Some(last) }) = reply else {
            // All were looked at.
            self.walk = None;
            self.walk_due = self.now + self.config.retention_walk;
            return;
        };
        walk.found = conversations.into();
        walk.last = Some(last);
        self.walk_on();
    }

    pub(super) fn delivered_told(&mut self, conversation: ConversationId, reply: Result<Reply, Reject>) {
        let Some(walk) = &mut self.walk else { return };
        // What is damaged is passed over: the next walk comes by again.
        let Ok(Reply::Delivered { upto, after }) = reply else { return self.passed_by() };
        walk.least = walk.least.min(upto);
        match after {
            Some(_) if walk.least > Seq::START => self.ask_delivered(conversation, after),
            _ if walk.least == Seq::START => self.passed_by(),
            _ => self.trim(conversation),
        }
    }

    pub(super) fn trimmed(&mut self, conversation: ConversationId, reply: &Result<Reply, Reject>) {
        if *reply == Ok(Reply::Trimmed { more: true }) { self.trim(conversation) } else { self.passed_by() }
    }

    /// Nothing is left to be trimmed in the conversation whose turn it is.
    fn passed_by(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.found.pop_front();
            self.walk_on();
        }
    }
}
