//! The quick lane: transactions that need not wait for anybody's sync.
//!
//! One that says [`Lane::Quick`](doubletick_core::store::Lane) is run on its caller's thread against the published state, and committed
//! there and then if it writes no durable row, and no ephemeral row that a transaction of the running batch has read. If not, it goes
//! to the committer like any other.
//!
//! # Why that is serializable, in real time
//!
//! Let B be the batch that runs, or whose sync runs, while a transaction Q commits here. Nobody of B is published or answered yet.
//! The order "Q, then B" is a serial one:
//!
//! - Q sees nothing of B: it reads the published state, whose rows B changes in versions of its own ([`Layer`](crate::layers::Layer)) or
//!   not at all ([`Pending`](crate::view::Pending)).
//! - B sees all of Q or depends on nothing of it: what a transaction of B read before Q committed is not what Q writes, by the check; what
//!   one reads afterwards, it reads from the state with Q's writes in it. The check and the commit hold the lock that B's readers hold
//!   from their first read until their reads are noted, so there is no moment in between.
//! - Where both write a row, B's write is applied to Q's when B is published, as in that order. It reads nothing, so it has not
//!   gone stale: what B wants with ephemeral rows is kept as it was wanted, not as what it came to.
//!
//! Quick transactions among themselves are in the order of the lock: one that writes commits only if the published state is that
//! which it has read (the epoch says so), or is run again under the lock.
//!
//! The order respects real time: batches are published in turn before anybody is answered, so whatever was answered before Q was submitted
//! is in the state that Q reads; and whoever of B is answered only after Q may come after Q.
//!
//! An answer from here is durable: it depends on published rows, and those are in the log and synced, or ephemeral. A batch whose sync
//! failed stays the running batch until its fate is known, and its reads stay noted.

use std::sync::atomic::Ordering;

use doubletick_core::store::{Commit, Missing, Transaction, Write};
use doubletick_store::limits::check_writes;

use crate::shared::Shared;
use crate::view::{Published, View};

/// What became of an attempt.
pub(crate) enum Quick<A> {
    /// Committed, with this answer.
    Done(A),
    /// It is for the committer: it writes what it may not here, or the tree cannot be read, which the committer sees to.
    NotHere,
}

impl Shared {
    /// Tries a transaction in the quick lane.
    pub(crate) fn quick<T: Transaction>(&self, transaction: &T) -> Quick<T::Answer> {
        let view = self.read();
        let epoch = view.epoch;
        let Some(mut commit) = self.run_published(transaction, &view) else { return Quick::NotHere };
        drop(view);
        if commit.writes.is_empty() {
            return Quick::Done(commit.answer);
        }
        if !all_ephemeral(&commit.writes) {
            return Quick::NotHere;
        }
        let mut view = self.write();
        if view.epoch != epoch {
            match self.run_published(transaction, &view) {
                Some(again) => commit = again,
                None => return Quick::NotHere,
            }
        }
        if !all_ephemeral(&commit.writes) || view.has_touched(commit.writes.iter().map(Write::key)) {
            return Quick::NotHere;
        }
        for write in &commit.writes {
            view.write_ephemeral(write);
        }
        view.epoch += 1;
        drop(view);
        self.bells.ring(commit.writes.iter().map(Write::key));
        Quick::Done(commit.answer)
    }

    fn run_published<T: Transaction>(&self, transaction: &T, view: &View) -> Option<Commit<T::Answer>> {
        let mut snapshot = Published { view, failed: None };
        match transaction.run(&mut snapshot) {
            Ok(commit) => {
                check_writes(&commit.writes);
                Some(commit)
            }
            Err(Missing(reads)) => {
                let error = snapshot.failed.unwrap_or_else(|| panic!("nothing was missing, but a transaction misses {reads:?}"));
                tracing::error!(%error, "the tree cannot be read");
                self.tree_fails.store(true, Ordering::Release);
                None
            }
        }
    }
}

fn all_ephemeral(writes: &[Write]) -> bool {
    writes.iter().all(|write| write.key().is_ephemeral())
}
