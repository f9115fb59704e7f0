//! A proof that goes on from an earlier one, so that whoever proves a store often does not read its whole logs each time.

use super::messages::Messages;
use super::{Head, Log, Names, Proof, Report, group};
use crate::id::{ConversationId, DeviceId, Seq};
use crate::store::Key;
use alloc::collections::BTreeMap;

/// What proofs have shown of the logs of direct conversations, for as long as the entries that they have read stand as they did. Groups are
/// proved from their beginning each time.
#[derive(Clone, Default)]
pub struct Proved(BTreeMap<ConversationId, Shown>);

/// A log up to some position.
#[derive(Clone)]
struct Shown {
    fold: Head,
    last: Option<(Seq, DeviceId)>,
    last_of_another: Seq,
    messages: Messages,
    trimmed: Option<Seq>,
}

/// Proves the rows of a store as [`super::verify`] does, but for the entries of logs that an earlier proof has read: those count for what
/// they said then, and are not among [`Report::entries`]. Whatever else there is about a conversation is held against them all.
///
/// # Panics
/// If the rows come in another order than that of their keys.
pub fn verify_again<V: AsRef<[u8]>>(proved: &mut Proved, rows: impl IntoIterator<Item = (Key, V)>) -> Report {
    let earlier = core::mem::take(proved);
    let mut proof = Proof { whole: true, earlier, shown: Some(Proved::default()), ..Proof::default() };
    proof.rows(rows);
    proof.close();
    *proved = proof.shown.take().unwrap_or_default();
    proof.finish()
}

impl Proved {
    /// An entry of this log was written anew: it is to be read from its beginning.
    pub fn forget(&mut self, conversation: ConversationId) {
        self.0.remove(&conversation);
    }

    /// The log as it was read so far.
    pub(super) fn take(&mut self, conversation: ConversationId) -> Option<Log> {
        let Shown { fold, last, last_of_another, mut messages, trimmed } = self.0.remove(&conversation)?;
        messages.expect_index();
        Some(Log { proved: fold.seq, fold, last, last_of_another, messages, trimmed, ..Log::new(conversation, Names::default()) })
    }

    /// Keeps a log that was read to its end, unless it is a group's; gives back the group.
    pub(super) fn keep(&mut self, log: Log) -> Option<group::Fold> {
        let Log { conversation, fold, last, last_of_another, messages, trimmed, group, .. } = log;
        if group.is_none() {
            self.0.insert(conversation, Shown { fold, last, last_of_another, messages, trimmed });
        }
        group
    }
}
