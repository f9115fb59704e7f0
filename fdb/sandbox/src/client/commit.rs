//! How a transaction is committed, and what follows.

use std::sync::{Arc, Weak};

use super::cluster::Cluster;
use super::future::{Future, Value};
use super::special;
use super::transaction::{State, Transaction};
use crate::error::Error;
use crate::faults::Fault;
use crate::model::{Commit, Ranges, Refused, Version, versionstamp};

/// What can befall a commit.
const FAULTS: [Fault; 7] = [
    Fault::TooOld,
    Fault::UnknownCommitted,
    Fault::UnknownLost,
    Fault::VersionChangedCommitted,
    Fault::VersionChangedLost,
    Fault::TimedOutCommitted,
    Fault::TimedOutLost,
];

/// What became of a commit.
enum Outcome {
    /// It is committed at this version; at none if it only read.
    Committed(Option<Version>),
    /// Its client is told this.
    Failed(Error),
    /// Others have written these keys since it read them.
    Conflict(Ranges),
}

/// A commit on its way to the cluster.
struct Request {
    commit: Commit,
    /// Whether there is anything to be written.
    writes: bool,
    /// Whether it has changed the faults: then it is answered whatever they are.
    control: bool,
    fault: Option<Fault>,
}

/// Those who wait for a commit, and the transaction, if it is still there then.
struct Waiting {
    transaction: Weak<Transaction>,
    future: Arc<Future>,
}

impl Transaction {
    /// Commits it. Its watches are set, and its versionstamp known, once it is.
    pub fn commit(self: &Arc<Self>) -> Arc<Future> {
        let mut state = self.lock();
        if let Err(error) = state.usable() {
            return self.refuse(error);
        }
        state.commit_started = true;
        if let Err(error) = self.check(&state) {
            return self.refuse(error);
        }
        let future = Future::new(self.database.network());
        state.wait_for(&future);
        let request = self.request(&mut state);
        drop(state);
        self.send(request, Waiting { transaction: Arc::downgrade(self), future: Arc::clone(&future) });
        future
    }

    /// The versionstamp that the commit will get. To be asked for before the commit, and ready after it.
    pub fn versionstamp(&self) -> Arc<Future> {
        let mut state = self.lock();
        if let Err(error) = state.usable() {
            return self.refuse(error);
        }
        let future = Future::new(self.database.network());
        state.stamps.push(Arc::clone(&future));
        future
    }

    /// Has writes to special keys take effect, and refuses a commit that is too large.
    fn check(&self, state: &State) -> Result<(), Error> {
        state.special.iter().try_for_each(|settings| special::apply(&self.database, settings))?;
        if state.size > state.options.size_limit { Err(Error::TRANSACTION_TOO_LARGE) } else { Ok(()) }
    }

    fn request(&self, state: &mut State) -> Request {
        let commit = Commit {
            read_version: state.read_version,
            reads: std::mem::take(&mut state.reads),
            writes: std::mem::take(&mut state.writes),
            mutations: std::mem::take(&mut state.mutations),
        };
        let writes = !commit.mutations.is_empty() || !commit.writes.is_empty();
        let mut cluster = self.database.cluster.lock();
        let chance = &mut cluster.chance;
        // Nobody can be refused for what others wrote who has read nothing.
        let conflict = (!commit.reads.is_empty() && chance.happens(Fault::Conflict)).then_some(Fault::Conflict);
        let fault = if writes { conflict.or_else(|| chance.first(&FAULTS)) } else { None };
        Request { commit, writes, control: !state.special.is_empty(), fault }
    }

    /// Has the cluster judge it: at once, or as late as a fault makes it.
    fn send(&self, request: Request, waiting: Waiting) {
        let cluster = Arc::clone(&self.database.cluster);
        let mut inner = cluster.lock();
        if request.control && !request.writes {
            drop(inner);
            cluster.network().post(Box::new(move || waiting.finish(Outcome::Committed(None))));
        } else if inner.chance.faults().unreachable() {
            drop(inner);
            let later = Arc::clone(&cluster);
            // It has not left the client, so it never does once nobody waits for it.
            let send = move || {
                if !waiting.future.is_ready() {
                    waiting.deliver(&later, request.judge(&later));
                }
            };
            cluster.deliver(Box::new(send));
        } else if request.writes && inner.chance.happens(Fault::StallCommit) {
            let delay = inner.chance.delay(Fault::StallCommit);
            drop(inner);
            let network = Arc::clone(cluster.network());
            network.post_after(delay, Box::new(move || waiting.deliver(&cluster, request.judge(&cluster))));
        } else {
            drop(inner);
            waiting.deliver(&cluster, request.judge(&cluster));
        }
    }
}

impl Request {
    fn judge(&self, cluster: &Cluster) -> Outcome {
        if !self.writes {
            return Outcome::Committed(None);
        }
        let told = self.fault.and_then(Fault::error);
        if let Some(error) = told.filter(|_| !self.fault.is_some_and(Fault::commits)) {
            return Outcome::Failed(error);
        }
        match (cluster.commit(&self.commit), told) {
            (Ok(_), Some(error)) => Outcome::Failed(error),
            (Ok(committed), None) => Outcome::Committed(Some(committed.version)),
            (Err(Refused::TooOld), _) => Outcome::Failed(Error::TRANSACTION_TOO_OLD),
            (Err(Refused::Conflict(keys)), _) => Outcome::Conflict(keys),
        }
    }
}

impl Waiting {
    fn deliver(self, cluster: &Cluster, outcome: Outcome) {
        cluster.deliver(Box::new(move || self.finish(outcome)));
    }

    /// Tells all who wait. On the network thread.
    fn finish(self, outcome: Outcome) {
        let (error, version) = match &outcome {
            Outcome::Committed(version) => (None, *version),
            Outcome::Failed(error) => (Some(*error), None),
            Outcome::Conflict(_) => (Some(Error::NOT_COMMITTED), None),
        };
        let Some(transaction) = self.transaction.upgrade() else { return };
        let mut state = transaction.lock();
        // It was cancelled, reset, or has timed out, and who waited has been told.
        if self.future.is_ready() {
            return;
        }
        let (watches, stamps) = (std::mem::take(&mut state.watches), std::mem::take(&mut state.stamps));
        if let Outcome::Conflict(keys) = outcome
            && state.options.report_conflicting_keys
        {
            state.conflicting = keys;
        }
        state.committed_version = version;
        if error == Some(Error::TRANSACTION_TIMED_OUT) {
            state.fail(Error::TRANSACTION_TIMED_OUT);
        }
        drop(state);
        let database = &transaction.database;
        for (key, value, watch) in watches {
            let set = error.map_or(Ok(()), Err);
            let most = database.options().max_watches;
            let set = set.and_then(|()| database.cluster.watch(&key, value, &watch, database.handle, most));
            set.unwrap_or_else(|error| watch.fail(error));
        }
        let stamp = version.map(|version| Value::Key(versionstamp(version).to_vec().into()));
        let stamp = error.map_or(stamp.ok_or(Error::NO_COMMIT_VERSION), Err);
        stamps.into_iter().for_each(|future| future.complete(stamp.clone()));
        self.future.complete(error.map_or(Ok(Value::Done), Err));
    }
}
