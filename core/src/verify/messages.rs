//! The messages of a log, held against its index.

use super::Fault;
use crate::id::{MessageId, Seq, UserId};
use crate::rows::Index;
use alloc::collections::BTreeMap;

/// Of how many messages of a log a proof keeps the names, about a hundred bytes each, until the index has named them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Of as many. Of a log that has more, what its entries say of their messages is added up, and what its index says is taken away: if
    /// nothing remains they agree, and if something does, it does not say where ([`Fault::IndexDisagrees`]).
    UpTo(usize),
    /// Of those that fall into one of several shares, of about the same size; the others are passed over. All shares together show what can be
    /// seen with all names.
    Share {
        /// Which one, from 0 on.
        nth: u64,
        /// Of how many.
        of: u64,
    },
}

impl Default for Names {
    /// Of all.
    fn default() -> Self {
        Self::UpTo(usize::MAX)
    }
}

/// The messages of a log, and which of them its index has named.
#[derive(Clone)]
pub(super) struct Messages {
    names: Names,
    kept: BTreeMap<(UserId, MessageId), Message>,
    /// There were more than are kept by name: all of them are in the sum.
    summed: bool,
    sum: u128,
}

/// What the index row of a message must be, and whether that has come in.
#[derive(Clone)]
struct Message {
    index: Index,
    indexed: bool,
}

/// What remains of a log and its index.
pub(super) enum Rest {
    /// A message that the index has not named.
    Message(UserId, MessageId),
    /// Something that has no name.
    Sum,
}

impl Messages {
    pub(super) fn new(names: Names) -> Self {
        Self { names, kept: BTreeMap::new(), summed: false, sum: 0 }
    }

    /// A message of the log. If it stands there already: where.
    pub(super) fn logged(&mut self, sender: UserId, id: MessageId, index: Index) -> Option<Seq> {
        match self.names {
            Names::UpTo(_) if self.summed => {
                self.sum = self.sum.wrapping_add(number(sender, id, &index));
                None
            }
            Names::Share { nth, of } if !falls_into(sender, id, nth, of) => None,
            Names::UpTo(_) | Names::Share { .. } => {
                let first = self.kept.insert((sender, id), Message { index, indexed: false });
                self.perhaps_sum();
                first.map(|first| first.index.seq)
            }
        }
    }

    /// A message of the index.
    pub(super) fn indexed(&mut self, sender: UserId, id: MessageId, index: &Index) -> Result<(), Fault> {
        match self.names {
            Names::UpTo(_) if self.summed => {
                self.sum = self.sum.wrapping_sub(number(sender, id, index));
                Ok(())
            }
            Names::Share { nth, of } if !falls_into(sender, id, nth, of) => Ok(()),
            Names::UpTo(_) | Names::Share { .. } => match self.kept.get_mut(&(sender, id)) {
                Some(message) if message.index == *index => {
                    message.indexed = true;
                    Ok(())
                }
                Some(_) => Err(Fault::IndexDiffers),
                None => Err(Fault::IndexedNowhere),
            },
        }
    }

    /// What remains once all of both has come in.
    pub(super) fn rest(&self) -> Option<Rest> {
        let message = self.kept.iter().find(|(_, message)| !message.indexed);
        let message = message.map(|((sender, id), _)| Rest::Message(*sender, *id));
        message.or_else(|| (self.sum != 0).then_some(Rest::Sum))
    }

    /// The index is to be read again.
    pub(super) fn expect_index(&mut self) {
        self.kept.values_mut().for_each(|message| message.indexed = false);
    }

    /// If there are too many to keep them by name, they go into the sum.
    fn perhaps_sum(&mut self) {
        if let Names::UpTo(most) = self.names
            && self.kept.len() > most
        {
            self.summed = true;
            let kept = core::mem::take(&mut self.kept);
            self.sum = kept.iter().fold(0, |sum, ((sender, id), message)| sum.wrapping_add(number(*sender, *id, &message.index)));
        }
    }
}

/// What a message and its place count for in a sum. Two sums that are the same are so by chance once in 2¹²⁸ times.
fn number(sender: UserId, id: MessageId, index: &Index) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&sender.0.to_le_bytes()).update(&id.0);
    hasher.update(&index.seq.0.to_le_bytes()).update(&index.at.millis().to_le_bytes()).update(&index.digest.0);
    let mut first = [0; 16];
    hasher.finalize_xof().fill(&mut first);
    u128::from_le_bytes(first)
}

fn falls_into(sender: UserId, id: MessageId, nth: u64, of: u64) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&sender.0.to_le_bytes()).update(&id.0);
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first) % of.max(1) == nth
}
