//! A cluster: one database, its watches and its faults, shared by all who open it by the same connection string.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::future::{Future, Value};
use super::network::{Job, Network};
use crate::error::Error;
use crate::faults::{Chance, Fault, Faults};
use crate::model::{Commit, Committed, Model, Refused, WINDOW};

/// What a cluster file says.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterFile {
    /// `description:id@address,address…`, which names the cluster.
    pub connection: String,
    /// The faults that its line `# sandbox: …` asks for, if it has one. To every other client of FoundationDB that line is a comment.
    pub faults: Option<Faults>,
}

impl ClusterFile {
    /// What the text of a cluster file says.
    ///
    /// # Errors
    /// [`Error::CONNECTION_STRING_INVALID`] if it is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut connection, mut faults) = (None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(settings) = comment.trim_start().strip_prefix("sandbox:") {
                    faults = Some(faults_of(settings)?);
                }
            } else if connection.replace(line).is_some() {
                return Err(Error::CONNECTION_STRING_INVALID);
            }
        }
        let connection = connection.filter(|connection| is_connection_string(connection)).ok_or(Error::CONNECTION_STRING_INVALID)?;
        Ok(Self { connection: connection.to_owned(), faults })
    }

    /// Reads a cluster file.
    ///
    /// # Errors
    /// [`Error::NO_CLUSTER_FILE_FOUND`] if there is none, [`Error::CONNECTION_STRING_INVALID`] if it says nothing of use.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&std::fs::read_to_string(path).map_err(|_| Error::NO_CLUSTER_FILE_FOUND)?)
    }
}

/// The text of the file.
impl fmt::Display for ClusterFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(faults) = &self.faults {
            writeln!(f, "# sandbox: {faults}")?;
        }
        writeln!(f, "{}", self.connection)
    }
}

/// The faults that a text asks for. What is wrong with it goes to standard error, since no code of FoundationDB says it.
pub(super) fn faults_of(settings: &str) -> Result<Faults, Error> {
    Faults::parse(settings).map_err(|malformed| {
        eprintln!("FoundationDB sandbox: faults {settings:?}: {malformed}");
        Error::CONNECTION_STRING_INVALID
    })
}

fn is_connection_string(text: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let address = |text: &str| text.trim_end_matches(":tls").rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let Some((name, addresses)) = text.split_once('@') else { return false };
    name.split_once(':').is_some_and(|(description, id)| word(description) && word(id)) && addresses.split(',').all(address)
}

/// A database in memory, as a cluster would serve it.
pub struct Cluster {
    connection: String,
    network: Arc<Network>,
    began: Instant,
    inner: Mutex<Inner>,
}

/// What the cluster's lock guards.
pub(super) struct Inner {
    pub(super) model: Model,
    pub(super) chance: Chance,
    watches: BTreeMap<Bytes, Vec<Watch>>,
    /// Beyond this many watches those that nobody waits for are dropped.
    prune_at: usize,
    /// What waits for the cluster to be reachable.
    parked: Vec<Job>,
    handles: u64,
}

/// A watch that waits for a row to change.
struct Watch {
    /// What the row held when the watch was set.
    value: Option<Bytes>,
    future: Arc<Future>,
    /// The database handle that it counts for.
    handle: u64,
}

const PRUNE_AT_LEAST: usize = 64;

impl Cluster {
    pub(super) fn new(connection: &str, network: &Arc<Network>, faults: Faults) -> Arc<Self> {
        let (mut model, mut chance) = (Model::default(), Chance::default());
        chance.set(faults);
        // One shard, for those who ask where keys are stored.
        let shard = crate::model::Mutation::Set(Bytes::from_static(b"\xff/keyServers/"), Bytes::from_static(b"sandbox"));
        model.commit(WINDOW.unsigned_abs(), &Commit { mutations: vec![shard], ..Commit::default() }).expect("it reads nothing");
        let inner = Inner { model, chance, watches: BTreeMap::new(), prune_at: PRUNE_AT_LEAST, parked: Vec::new(), handles: 0 };
        Arc::new(Self { connection: connection.to_owned(), network: Arc::clone(network), began: Instant::now(), inner: Mutex::new(inner) })
    }

    /// Its connection string.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The address of its first coordinator.
    pub(super) fn address(&self) -> &str {
        let addresses = self.connection.split_once('@').map_or("", |(_, addresses)| addresses);
        addresses.split(',').next().unwrap_or_default()
    }

    /// The network that its answers come by.
    pub(super) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Changes what goes wrong from now on. A cluster that becomes reachable answers everything that waits.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.lock();
        let parked = if faults.unreachable() { Vec::new() } else { std::mem::take(&mut inner.parked) };
        inner.chance.set(faults);
        drop(inner);
        parked.into_iter().for_each(|job| self.network.post(job));
    }

    /// The settings of its faults.
    pub fn faults(&self) -> Faults {
        self.lock().chance.faults().clone()
    }

    /// How often each kind of fault has happened, and how many watches are set, as words `name=count`.
    pub fn counts(&self) -> String {
        let inner = self.lock();
        let watches = inner.watches.values().flatten().filter(|watch| !watch.future.is_ready()).count();
        format!("{} watches={watches} rows={}", inner.chance.counts(), inner.model.rows())
    }

    /// Microseconds, the clock of the cluster's versions. It begins late enough that the first versions are too old.
    pub(super) fn now(&self) -> u64 {
        2 * WINDOW.unsigned_abs() + u64::try_from(self.began.elapsed().as_micros()).expect("half a million years")
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new database handle.
    pub(super) fn new_handle(&self) -> u64 {
        let mut inner = self.lock();
        inner.handles += 1;
        inner.handles
    }

    /// Has something run on the network thread when an answer of the cluster would arrive.
    pub(super) fn deliver(&self, job: Job) {
        let mut inner = self.lock();
        if inner.chance.faults().unreachable() {
            inner.parked.push(job);
            return;
        }
        let mut delay = inner.chance.faults().latency();
        if inner.chance.happens(Fault::StallAnswer) {
            delay += inner.chance.delay(Fault::StallAnswer);
        }
        drop(inner);
        self.network.post_after(delay, job);
    }

    /// Commits a transaction, and fires the watches of what it changed.
    pub(super) fn commit(&self, commit: &Commit) -> Result<Committed, Refused> {
        let mut inner = self.lock();
        let committed = inner.model.commit(self.now(), commit)?;
        if !inner.watches.is_empty() {
            for key in &committed.changed {
                self.notice(&mut inner, key);
            }
        }
        Ok(committed)
    }

    fn notice(&self, inner: &mut Inner, key: &Bytes) {
        let Some(mut watches) = inner.watches.remove(key) else { return };
        watches.retain(|watch| !watch.future.is_ready());
        let (changed, same): (Vec<_>, Vec<_>) = watches.into_iter().partition(|watch| watch.value.as_ref() != inner.model.latest(key));
        if !same.is_empty() {
            inner.watches.insert(key.clone(), same);
        }
        changed.into_iter().for_each(|watch| self.fire(inner, &watch.future, Fault::WatchLate));
    }

    /// Sets a watch on a row that held a value. Fires at once if it holds something else by now.
    pub(super) fn watch(&self, key: &Bytes, value: Option<Bytes>, future: &Arc<Future>, handle: u64, most: usize) -> Result<(), Error> {
        let mut inner = self.lock();
        if inner.model.latest(key) != value.as_ref() {
            self.fire(&mut inner, future, Fault::WatchLate);
            return Ok(());
        }
        let waiting = |watch: &&Watch| watch.handle == handle && !watch.future.is_ready();
        let set: usize = inner.watches.values().map(Vec::len).sum();
        if set >= inner.prune_at {
            inner.prune();
        }
        if set >= most && inner.watches.values().flatten().filter(waiting).count() >= most {
            return Err(Error::TOO_MANY_WATCHES);
        }
        for fault in [Fault::WatchSpurious, Fault::WatchFailed] {
            if inner.chance.happens(fault) {
                self.fire(&mut inner, future, fault);
            }
        }
        inner.watches.entry(key.clone()).or_default().push(Watch { value, future: Arc::clone(future), handle });
        Ok(())
    }

    /// Has a watch fire, or fail, soon or as late as a fault makes it.
    fn fire(&self, inner: &mut Inner, future: &Arc<Future>, fault: Fault) {
        let mut delay = inner.chance.faults().latency();
        if fault != Fault::WatchLate || inner.chance.happens(fault) {
            delay += inner.chance.delay(Fault::WatchLate);
        }
        let future = Arc::clone(future);
        let result = fault.error().map_or(Ok(Value::Done), Err);
        self.network.post_after(delay, Box::new(move || future.complete(result)));
    }
}

impl Inner {
    /// Drops the watches that nobody waits for.
    fn prune(&mut self) {
        self.watches.retain(|_, watches| {
            watches.retain(|watch| !watch.future.is_ready());
            !watches.is_empty()
        });
        self.prune_at = PRUNE_AT_LEAST.max(2 * self.watches.values().map(Vec::len).sum::<usize>());
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_file_names_a_cluster_and_may_ask_for_faults() {
        let file = ClusterFile::parse("# made by hand\n# sandbox: seed=3 conflict=0.5\nlocal:abc@127.0.0.1:4500,[::1]:4501:tls\n").unwrap();
        assert_eq!(file.connection, "local:abc@127.0.0.1:4500,[::1]:4501:tls");
        assert_eq!(file.faults, Faults::parse("seed=3 conflict=0.5").ok());
        assert_eq!(ClusterFile::parse(&file.to_string()), Ok(file), "what is written is read alike");
        assert_eq!(ClusterFile::parse("a:b@h:1").unwrap().faults, None);
    }

    #[test]
    fn what_is_no_cluster_file_is_refused() {
        for bad in [
            "",
            "# a:b@h:1",
            "a@h:1",
            "a:b@",
            "a:b@h",
            "a:b@h:x",
            ":b@h:1",
            "a:@h:1",
            "a:b@h:1\nc:d@h:1",
            "a b:c@h:1",
            "#sandbox: x\na:b@h:1",
        ] {
            assert_eq!(ClusterFile::parse(bad), Err(Error::CONNECTION_STRING_INVALID), "{bad:?}");
        }
        assert_eq!(ClusterFile::read(Path::new("/nonexistent/fdb.cluster")), Err(Error::NO_CLUSTER_FILE_FOUND));
    }
}
