//! What a run came to.

use crate::fault::Ledger;
use crate::oracle::Oracle;
use crate::scenario::Scenario;
use doubletick_core::id::Digest;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// The end of the chain over every step: what happened, and what came of it.
    pub hash: Digest,
    /// The chain at some steps, so that the first step at which two runs part is found quickly.
    pub checkpoints: Vec<(u64, Digest)>,
    /// Events that were handled.
    pub steps: u64,
    /// How long it took in the world's own time.
    pub virtual_ms: u64,
    /// What became of the faults.
    pub ledger: Ledger,
    /// How often each oracle compared something, by [`Oracle`].
    pub oracles: [u64; Oracle::ALL.len()],
    /// What was done: the counts that tell whether anything was.
    pub work: Work,
    /// Whether anything was wrong.
    pub verdict: Verdict,
}

/// How much was done in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Messages that were written.
    pub written: u64,
    /// Messages whose acceptance was told.
    pub accepted: u64,
    /// Entries that devices have stored.
    pub stored: u64,
    /// Transactions that were committed.
    pub commits: u64,
    /// Commits that the store refused because of a real conflict.
    pub conflicts: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Groups that somebody set out to make.
    pub groups: u64,
}

/// Whether anything was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was.
    Clean,
    /// Something was.
    Failed(Failure),
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of which kind.
    pub kind: FailureKind,
    /// The name of the invariant that is broken.
    pub oracle: &'static str,
    /// At which step it was noticed.
    pub step: u64,
    /// What was compared, and how it differs.
    pub detail: String,
    /// The last steps before.
    pub last_steps: Vec<String>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// Something happened that must never happen.
    Safety,
    /// Something did not happen that must in the end.
    Liveness,
    /// The core panicked.
    Crash,
    /// Nothing was delivered: the run says nothing.
    Inert,
}

/// Runs one seed of a scenario from beginning to end. The same arguments give the same result on every machine.
pub fn run(scenario: &Scenario, seed: u64) -> Run {
    crate::world::run(scenario, seed)
}
