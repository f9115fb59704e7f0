//! Rows in memory, on which batches are executed.

#[path = "../world/at_hand.rs"]
mod at_hand;

use at_hand::AtHand;
use doubletick_core::store::{Commit, Transaction};
use doubletick_core::transact::{Batch, Outcome};
use std::sync::Arc;

/// Rows in memory.
#[derive(Clone, Default)]
pub(crate) struct Rows(pub(crate) at_hand::Rows);

impl Rows {
    pub(crate) fn execute(&mut self, batch: &Arc<Batch>) -> Outcome {
        let Commit { writes, answer } = batch.run(&mut AtHand(&self.0)).expect("rows in memory are never missing");
        at_hand::write(&mut self.0, &writes);
        answer
    }
}
