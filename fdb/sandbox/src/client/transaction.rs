//! A transaction, and what it is at any time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Database;
use super::future::{Future, Value};
use super::network::{Network, Timer};
use super::options::{Options, Setting};
use super::overlay::Overlay;
use crate::error::Error;
use crate::limits;
use crate::model::{Mutation, Noted, Ranges, Version};

/// How long a transaction waits at most before it is run again for the first time.
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(10);

/// A transaction: reads, writes, a commit, and the means to be run again.
///
/// What is asked for is done in the order of the calls, which may come from any thread. Mistakes in calls that give nothing back are told
/// by the next one that does, as in FoundationDB.
pub struct Transaction {
    pub(super) database: Arc<Database>,
    state: Mutex<State>,
}

/// What a transaction has done so far.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    /// The options that stay when it is run again: those that the database sets, then its own.
    persistent: Vec<Setting>,
    pub(super) read_version: Option<Version>,
    pub(super) overlay: Overlay,
    pub(super) mutations: Vec<Mutation>,
    /// The keys that must not be written by others until the commit.
    pub(super) reads: Noted,
    /// The keys that count as written.
    pub(super) writes: Noted,
    /// What it writes to keys that stand for something else.
    pub(super) special: Vec<Bytes>,
    /// About how many bytes it commits.
    pub(super) size: i64,
    /// The watches that are set once it is committed: the key, what the row held, and whom to tell.
    pub(super) watches: Vec<(Bytes, Option<Bytes>, Arc<Future>)>,
    /// Those who wait for its versionstamp.
    pub(super) stamps: Vec<Arc<Future>>,
    /// What it was asked for and has not been answered yet.
    outstanding: Vec<Arc<Future>>,
    /// Beyond this many outstanding futures those that are ready are dropped.
    prune_at: usize,
    /// The first mistake of a call that gave nothing back.
    pub(super) mistake: Option<Error>,
    /// Why it is of no more use until it is reset.
    pub(super) failed: Option<Error>,
    pub(super) commit_started: bool,
    pub(super) committed_version: Option<Version>,
    /// What made its commit conflict, if it was asked to tell.
    pub(super) conflicting: Ranges,
    pub(super) retries: u64,
    /// The most that it waits before it is run again.
    pub(super) backoff: Duration,
    began: Instant,
    /// When it times out, and the timer that is set for that.
    pub(super) deadline: Option<Instant>,
    timer: Option<Timer>,
}

const PRUNE_AT_LEAST: usize = 16;

impl Transaction {
    pub(super) fn new(database: &Arc<Database>) -> Arc<Self> {
        let transaction = Arc::new(Self { database: Arc::clone(database), state: Mutex::new(State::new(database)) });
        transaction.arm_timeout(&mut transaction.lock(), None);
        transaction
    }

    /// Sets an option, given by its code. A value that does not fit is told by the next call that gives something back.
    ///
    /// # Errors
    /// [`Error::INVALID_OPTION`] or [`Error::UNSUPPORTED_OPERATION`].
    pub fn set_option(self: &Arc<Self>, code: i32, value: Option<&[u8]>) -> Result<(), Error> {
        Setting::known(code)?;
        let mut state = self.lock();
        let setting = Setting { code, value: value.map(Bytes::copy_from_slice) };
        let before = state.deadline;
        if let Err(mistake) = state.set_option(setting) {
            state.mistake.get_or_insert(mistake);
        }
        self.arm_timeout(&mut state, before);
        Ok(())
    }

    /// The network that its answers come by.
    pub fn network(&self) -> &Arc<Network> {
        self.database.network()
    }

    /// The version that its commit got; `None` before that, and if it only read.
    pub fn committed_version(&self) -> Option<Version> {
        self.lock().committed_version
    }

    /// About how many bytes its commit has.
    pub fn approximate_size(&self) -> Arc<Future> {
        let state = self.lock();
        let size = state.mistake.map_or(Ok(Value::Number(state.size)), Err);
        drop(state);
        self.answer(size)
    }

    /// Makes it as new, its options included. Whoever waits for an answer is told [`Error::TRANSACTION_CANCELLED`].
    pub fn reset(self: &Arc<Self>) {
        let mut state = self.lock();
        state.give_up(Error::TRANSACTION_CANCELLED);
        let timer = state.timer.take();
        *state = State::new(&self.database);
        timer.into_iter().for_each(|timer| self.database.network().call_off(timer));
        self.arm_timeout(&mut state, None);
    }

    /// Makes it useless until it is reset. Whoever waits for an answer is told [`Error::TRANSACTION_CANCELLED`].
    pub fn cancel(&self) {
        self.lock().fail(Error::TRANSACTION_CANCELLED);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A future that fails at once.
    pub(super) fn refuse(&self, error: Error) -> Arc<Future> {
        Future::of(self.database.network(), Err(error))
    }

    /// A future that is answered as the cluster answers: on the network thread, and not before the cluster does.
    pub(super) fn answer(&self, result: Result<Value, Error>) -> Arc<Future> {
        let future = Future::new(self.database.network());
        self.lock().wait_for(&future);
        self.deliver(&future, result);
        future
    }

    pub(super) fn deliver(&self, future: &Arc<Future>, result: Result<Value, Error>) {
        let future = Arc::clone(future);
        self.database.cluster.deliver(Box::new(move || future.complete(result)));
    }

    /// Has the transaction time out when it should, if that is another time than before.
    pub(super) fn arm_timeout(self: &Arc<Self>, state: &mut State, before: Option<Instant>) {
        if state.deadline == before {
            return;
        }
        if let Some(timer) = state.timer.take() {
            self.database.network().call_off(timer);
        }
        let Some(deadline) = state.deadline else { return };
        let transaction = Arc::downgrade(self);
        let time_out = move || {
            let Some(transaction) = transaction.upgrade() else { return };
            let mut state = transaction.lock();
            if state.deadline == Some(deadline) {
                state.fail(Error::TRANSACTION_TIMED_OUT);
            }
        };
        state.timer = Some(self.database.network().post_at(deadline, Box::new(time_out)));
    }
}

impl State {
    fn new(database: &Database) -> Self {
        let mut state = Self {
            options: Options::default(),
            persistent: database.options().defaults,
            read_version: None,
            overlay: Overlay::default(),
            mutations: Vec::new(),
            reads: Noted::default(),
            writes: Noted::default(),
            special: Vec::new(),
            size: 0,
            watches: Vec::new(),
            stamps: Vec::new(),
            outstanding: Vec::new(),
            prune_at: PRUNE_AT_LEAST,
            mistake: None,
            failed: None,
            commit_started: false,
            committed_version: None,
            conflicting: Ranges::default(),
            retries: 0,
            backoff: FIRST_BACKOFF,
            began: Instant::now(),
            deadline: None,
            timer: None,
        };
        state.apply_persistent_options();
        state
    }

    /// Forgets what it did, to be run again. Persistent options, the count of retries, the back-off and the time out stay.
    pub(super) fn begin_again(&mut self) {
        self.give_up(Error::TRANSACTION_CANCELLED);
        self.read_version = None;
        self.overlay = Overlay::default();
        self.mutations = Vec::new();
        self.reads = Noted::default();
        self.writes = Noted::default();
        self.special = Vec::new();
        self.size = 0;
        self.mistake = None;
        self.failed = None;
        self.commit_started = false;
        self.committed_version = None;
        self.conflicting = Ranges::default();
        self.options = Options::default();
        self.apply_persistent_options();
    }

    fn apply_persistent_options(&mut self) {
        for setting in &self.persistent {
            self.options.set(setting).expect("it was checked when it was set");
        }
        self.deadline = self.options.timeout.map(|timeout| self.began + timeout);
    }

    fn set_option(&mut self, setting: Setting) -> Result<(), Error> {
        const READ_YOUR_WRITES_DISABLE: i32 = 51;
        let used = !self.overlay.is_empty() || !self.mutations.is_empty() || self.read_version.is_some();
        if setting.code == READ_YOUR_WRITES_DISABLE && used {
            return Err(Error::CLIENT_INVALID_OPERATION);
        }
        self.options.set(&setting)?;
        self.deadline = self.options.timeout.map(|timeout| self.began + timeout);
        if setting.is_persistent() {
            self.persistent.push(setting);
        }
        Ok(())
    }

    /// Whether something may be asked of it.
    pub(super) fn usable(&mut self) -> Result<(), Error> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        if self.commit_started {
            if self.options.protect_commit {
                self.fail(Error::USED_DURING_COMMIT);
            }
            return Err(Error::USED_DURING_COMMIT);
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// The keys that may be read end here.
    pub(super) fn read_end(&self) -> &'static [u8] {
        if self.options.read_system_keys { limits::SPECIAL } else { limits::SYSTEM }
    }

    /// The keys that may be written end here.
    pub(super) fn write_end(&self) -> &'static [u8] {
        if self.options.write_system_keys { limits::SPECIAL } else { limits::SYSTEM }
    }

    /// Has a future fail with the transaction.
    pub(super) fn wait_for(&mut self, future: &Arc<Future>) {
        if self.outstanding.len() >= self.prune_at {
            self.outstanding.retain(|future| !future.is_ready());
            self.prune_at = PRUNE_AT_LEAST.max(self.outstanding.len() * 2);
        }
        self.outstanding.push(Arc::clone(future));
    }

    /// Makes it useless until it is reset, for the first reason that there is.
    pub(super) fn fail(&mut self, error: Error) {
        if self.failed.is_none() {
            self.failed = Some(error);
            self.give_up(error);
        }
    }

    /// Tells everybody who waits.
    fn give_up(&mut self, error: Error) {
        let watches = std::mem::take(&mut self.watches).into_iter().map(|(_, _, future)| future);
        let waiting = std::mem::take(&mut self.outstanding).into_iter().chain(watches).chain(std::mem::take(&mut self.stamps));
        waiting.for_each(|future| future.fail(error));
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.give_up(Error::TRANSACTION_CANCELLED);
        if let Some(timer) = state.timer.take() {
            self.database.network().call_off(timer);
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("database", &self.database).finish_non_exhaustive()
    }
}
