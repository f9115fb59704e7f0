//! A store in memory, for tests: no threads, no files, nothing kept. It fails on demand.
//!
//! [`Memory::new`] answers every read at once and runs transactions one after the other. [`Memory::with_rounds`] does what a store over
//! a network does: it fetches in rounds from one state, lets others go on in between, and runs a transaction again when something that
//! it had read was changed before it could commit.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use doubletick_core::store::{Commit, Failure, Key, LentRows, NotFetched, Read, Scan, Snapshot, Transaction, Write, merge};

use crate::Store;
use crate::bells::{Bell, Bells};
use crate::fetched::Fetched;
use crate::limits::{check_scan, check_writes};

/// How often [`Memory::with_rounds`] runs a transaction that others keep getting ahead of, before it says [`Failure::Retry`].
const ATTEMPTS: u32 = 64;

/// The rows of a store, or of a state of one.
pub type Rows = BTreeMap<Key, Vec<u8>>;

/// The store in memory. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Mutex<State>>,
    bells: Bells,
    fetches: bool,
}

/// What a test makes go wrong ([`Memory::fail_next`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`Failure::Retry`]: nothing is written.
    Retry,
    /// [`Failure::Unknown`], and the transaction is committed.
    UnknownCommitted,
    /// [`Failure::Unknown`], and nothing is written.
    UnknownNotCommitted,
    /// [`Failure::Unavailable`]: nothing is written.
    Unavailable,
}

/// What a store in memory has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions committed, those without writes included.
    pub commits: u64,
    /// Times that a transaction's function was called.
    pub runs: u64,
    /// Rounds of fetching; none in a store that has everything at hand.
    pub rounds: u64,
    /// Commits refused because something read had been changed; the transaction was run again.
    pub conflicts: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Shared with the transactions that read it while others commit.
    rows: Arc<Rows>,
    /// The commit that last changed a row, also one that is gone.
    changed: BTreeMap<Key, u64>,
    /// The number of the last commit that wrote anything.
    version: u64,
    faults: VecDeque<Fault>,
    loses_bells: bool,
    counts: Counts,
}

impl Memory {
    /// An empty store that has every row at hand.
    #[expect(clippy::new_without_default, reason = "the two constructors stand side by side")]
    pub fn new() -> Self {
        Self { shared: Arc::default(), bells: Bells::default(), fetches: false }
    }

    /// An empty store that fetches what a transaction reads, in rounds, and commits optimistically.
    pub fn with_rounds() -> Self {
        Self { fetches: true, ..Self::new() }
    }

    /// Makes the next `times` transactions fail in this way; after those that were asked for earlier.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.lock().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Whether commits ring no bells from here on.
    pub fn lose_bells(&self, lose: bool) {
        self.lock().loses_bells = lose;
    }

    /// Rings the bells of a key without any change.
    pub fn ring(&self, key: &Key) {
        self.bells.ring([key]);
    }

    /// All rows as they are.
    pub fn rows(&self) -> Rows {
        Rows::clone(&self.lock().rows)
    }

    /// Forgets the ephemeral rows, as the end of the process would.
    pub fn forget_ephemeral(&self) {
        let mut state = self.lock();
        let gone: Vec<_> = state.rows.range(Key::new(&[Key::EPHEMERAL])..).map(|(key, _)| Write::Clear(*key)).collect();
        state.commit(&gone);
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A transaction that panics has changed nothing yet.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits unless something read was changed after `version`; then gives the writes back.
    fn commit(&self, reads: impl Iterator<Item = Read>, version: u64, writes: &[Write]) -> bool {
        check_writes(writes);
        let mut state = self.lock();
        // What only reads has seen one state, and comes where that state was.
        if !writes.is_empty() && state.changed_since(reads, version) {
            state.counts.conflicts += 1;
            return false;
        }
        state.commit(writes);
        let loses_bells = state.loses_bells;
        drop(state);
        if !loses_bells {
            self.bells.ring(writes.iter().map(Write::key));
        }
        true
    }

    /// Runs the transaction under the lock, so that nothing gets in between.
    fn run_at_once<T: Transaction>(&self, transaction: &T, commits: bool) -> T::Answer {
        let mut state = self.lock();
        state.counts.runs += 1;
        let Ok(Commit { writes, answer }) = transaction.run(&mut Direct(&state.rows)) else {
            panic!("a transaction that misses something though nothing was missing")
        };
        check_writes(&writes);
        if commits {
            state.commit(&writes);
            let loses_bells = state.loses_bells;
            drop(state);
            if !loses_bells {
                self.bells.ring(writes.iter().map(Write::key));
            }
        }
        answer
    }

    /// Runs the transaction in rounds, again from a new state whenever others got ahead.
    async fn run_in_rounds<T: Transaction>(&self, transaction: T, commits: bool) -> Result<T::Answer, Failure> {
        for _ in 0..ATTEMPTS {
            let (rows, version) = {
                let state = self.lock();
                (Arc::clone(&state.rows), state.version)
            };
            let mut fetched = Fetched::default();
            let Commit { writes, answer } = loop {
                self.lock().counts.runs += 1;
                match fetched.run(&transaction) {
                    Ok(commit) => break commit,
                    Err(reads) => {
                        self.lock().counts.rounds += 1;
                        OtherTasks::default().await;
                        for read in reads {
                            match read {
                                Read::Row(key) => fetched.put_row(key, rows.get(&key).cloned()),
                                Read::Rows(scan) => {
                                    let rows = rows_of(&rows, &scan).into_iter().map(|(key, value)| (key, value.into_owned()));
                                    fetched.put_scan(scan, rows.collect());
                                }
                            }
                        }
                    }
                }
            };
            if !commits || self.commit(fetched.reads(), version, &writes) {
                return Ok(answer);
            }
        }
        Err(Failure::Retry)
    }
}

impl Store for Memory {
    type Bell = Bell;

    fn execute<T: Transaction>(&self, transaction: T) -> impl Future<Output = Result<T::Answer, Failure>> + Send + 'static + use<T> {
        let store = self.clone();
        async move {
            let fault = store.lock().faults.pop_front();
            match fault {
                Some(Fault::Retry) => return Err(Failure::Retry),
                Some(Fault::Unavailable) => return Err(Failure::Unavailable),
                Some(Fault::UnknownCommitted | Fault::UnknownNotCommitted) | None => {}
            }
            let commits = fault != Some(Fault::UnknownNotCommitted);
            let answer = match store.fetches {
                true => store.run_in_rounds(transaction, commits).await?,
                false => store.run_at_once(&transaction, commits),
            };
            fault.map_or(Ok(answer), |_| Err(Failure::Unknown))
        }
    }

    fn watch(&self, key: &Key) -> impl Future<Output = Bell> + Send + 'static + use<> {
        ready(self.bells.arm(key))
    }
}

impl State {
    fn commit(&mut self, writes: &[Write]) {
        self.counts.commits += 1;
        if writes.is_empty() {
            return;
        }
        self.version += 1;
        let rows = Arc::make_mut(&mut self.rows);
        for write in writes {
            let key = *write.key();
            match merge(rows.get(&key).map(Vec::as_slice), write) {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
            self.changed.insert(key, self.version);
        }
    }

    fn changed_since(&self, mut reads: impl Iterator<Item = Read>, version: u64) -> bool {
        reads.any(|read| match read {
            Read::Row(key) => self.changed.get(&key).is_some_and(|at| *at > version),
            Read::Rows(scan) => self.changed.range(scan.from..scan.to).any(|(_, at)| *at > version),
        })
    }
}

/// A snapshot with everything at hand.
struct Direct<'a>(&'a Rows);

impl Snapshot for Direct<'_> {
    fn has(&self, _: &Key) -> bool {
        true
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        Ok(self.0.get(key).map(Cow::from))
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        Ok(if check_scan(scan) { rows_of(self.0, scan) } else { Vec::new() })
    }
}

fn rows_of<'a>(rows: &'a Rows, scan: &Scan) -> LentRows<'a> {
    let range = rows.range(scan.from..scan.to).map(|(key, value)| (*key, value.into()));
    let limit = scan.limit as usize;
    if scan.reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() }
}

/// Lets every other task that is ready run once.
#[derive(Default)]
struct OtherTasks {
    went: bool,
}

impl Future for OtherTasks {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.went, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
