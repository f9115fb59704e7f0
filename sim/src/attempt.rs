//! One run of a transaction against the store, from its read version to its commit, and nothing of what may go wrong on the way: that is
//! `flight`'s.

use crate::store::{Reads, Store, Version, WINDOW_MS};
use doubletick_core::store::{Commit, Missing, Read, Transaction};
use std::collections::BTreeSet;

/// A transaction on its way.
#[derive(Clone, Debug)]
pub struct Attempt<A> {
    begun: u64,
    version: Version,
    /// What was fetched; `None` if everything is at hand.
    fetched: Option<BTreeSet<Read>>,
    reads: Reads,
    commit: Option<Commit<A>>,
}

/// What came of a run of its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It can be committed.
    Ready,
    /// It has named what it must know, and runs again with that at hand.
    Fetches,
    /// Its snapshot is gone.
    TooOld,
}

impl<A> Attempt<A> {
    /// Nothing is read yet. It fetches what it reads in rounds, or has everything at hand. `reads` is where it notes that: new, or of an
    /// earlier one, which spares room for the same again.
    pub fn new(reads: Reads, in_rounds: bool) -> Self {
        Self { begun: 0, version: Version::default(), fetched: in_rounds.then(BTreeSet::new), reads, commit: None }
    }

    /// Where it has noted what it read, for another.
    pub fn into_reads(self) -> Reads {
        self.reads
    }

    /// It gets its read version.
    pub fn begin(&mut self, store: &Store, now: u64) {
        self.begun = now;
        self.version = store.version();
    }

    /// Runs the function once.
    ///
    /// # Panics
    /// If the function does, or if it names nothing new: it would do so for ever.
    pub fn run<T: Transaction<Answer = A>>(&mut self, transaction: &T, store: &Store, now: u64) -> Ran {
        if self.is_too_old(now) {
            return Ran::TooOld;
        }
        self.reads.clear();
        match transaction.run(&mut store.at(self.version, &mut self.reads, self.fetched.as_ref())) {
            Ok(commit) => {
                self.commit = Some(commit);
                Ran::Ready
            }
            Err(Missing(reads)) => {
                let fetched = self.fetched.get_or_insert_default();
                let before = fetched.len();
                fetched.extend(reads);
                assert!(fetched.len() > before, "a round of fetching that names nothing new");
                Ran::Fetches
            }
        }
    }

    /// What it has read is older than what the store keeps, and it can be neither read on nor committed.
    pub fn is_too_old(&self, now: u64) -> bool {
        now > self.begun + WINDOW_MS
    }

    /// Whether it wants anything written. What only reads is serialized where its snapshot was.
    pub fn writes(&self) -> bool {
        self.commit.as_ref().is_some_and(|commit| !commit.writes.is_empty())
    }

    /// Whether something that it has read was changed since.
    pub fn conflicts(&self, store: &Store) -> bool {
        store.conflicts(&self.reads, self.version)
    }

    /// The version that it has read.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Takes out what it wants, to be committed; `None` before it is ready.
    pub fn take(&mut self) -> Option<Commit<A>> {
        self.commit.take()
    }
}
