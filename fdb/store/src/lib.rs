//! The store on a FoundationDB cluster: any number of processes share it.
//!
//! A transaction fetches what it reads in rounds, all reads of a round at once and all rounds from one state; then its writes are committed, and
//! FoundationDB refuses them if anything that was read has changed. In reading order:
//!
//! - [`Network`], the client library and its thread, once in a process;
//! - [`Fdb`], one database, or a part of one that begins with a prefix;
//! - `run`, one transaction, and `fate`, what every error of FoundationDB means for it;
//! - [`Bell`], watches;
//! - `schema`, the stamp that keeps an older program from newer rows.

mod bell;
mod fate;
mod network;
mod run;
mod schema;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doubletick_core::store::{Failure, Key, Transaction};
use doubletick_core::time::Millis;
use doubletick_store::Store;
use doubletick_store::readable::ReadOnly;
use foundationdb::options::DatabaseOption;
use foundationdb::{Database, FdbError};

pub use bell::Bell;
pub use network::{Network, NetworkError};
pub use schema::SCHEMA;

/// Which database, which part of it, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The cluster file, which says where the cluster is.
    pub cluster_file: PathBuf,
    /// What the keys of all rows begin with; others may use the rest of the database. At most [`Options::MAX_PREFIX`] bytes.
    pub prefix: String,
    /// How long a transaction may take, its repetitions included.
    pub timeout: Millis,
}

impl Options {
    /// The most bytes of a prefix: keys stay short.
    pub const MAX_PREFIX: usize = 64;

    /// A database of its own, in the cluster that a file names.
    pub fn new(cluster_file: impl Into<PathBuf>) -> Self {
        Self { cluster_file: cluster_file.into(), prefix: "doubletick".into(), timeout: Millis::seconds(5) }
    }
}

/// Why a database cannot be used. Each says in one line what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file, or it cannot be read.
    #[error("the cluster file {}: {reason}. It is the file fdb.cluster that every machine of the cluster has, most often in /etc/foundationdb", path.display())]
    ClusterFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The prefix does not fit.
    #[error("the prefix {prefix:?} has {} bytes, and must have from 1 to {}", prefix.len(), Options::MAX_PREFIX)]
    Prefix {
        /// What was asked for.
        prefix: String,
    },
    /// Nobody answered.
    #[error("the cluster that {} names does not answer ({reason}): is it running, and can this machine reach it? `fdbcli -C FILE --exec status` tells", path.display())]
    Unreachable {
        /// The cluster file.
        path: PathBuf,
        /// What the client library says.
        reason: String,
    },
    /// A newer program has been here.
    #[error(
        "the rows under {prefix:?} are of schema {found}, and this program knows schemas up to {SCHEMA}: run the newer program, or choose another prefix"
    )]
    Newer {
        /// The prefix.
        prefix: String,
        /// The schema that the rows are of.
        found: u64,
    },
    /// Nobody has been here.
    #[error("there is nothing under {prefix:?}: no server has used this prefix on this cluster")]
    Nothing {
        /// The prefix.
        prefix: String,
    },
    /// What stands in the stamp's place is none.
    #[error("what stands under {prefix:?} was not written by Doubletick: choose another prefix")]
    Foreign {
        /// The prefix.
        prefix: String,
    },
}

/// The store on a cluster. Clones are the same store.
#[derive(Clone)]
pub struct Fdb {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    /// What the keys of rows begin with.
    rows: Vec<u8>,
    counts: Counters,
}

/// What a store has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that were answered.
    pub answered: u64,
    /// Times that a transaction was run from the start: more than the answers by what was repeated.
    pub attempts: u64,
    /// Rounds of reads.
    pub rounds: u64,
    /// Rows and runs of rows that were read.
    pub reads: u64,
    /// Rows that were written.
    pub writes: u64,
    /// Commits of which nobody knows whether they happened.
    pub unknown: u64,
}

#[derive(Default)]
struct Counters {
    answered: AtomicU64,
    attempts: AtomicU64,
    rounds: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    unknown: AtomicU64,
}

impl Fdb {
    /// Opens a database, and puts its schema's stamp there if there is none.
    ///
    /// # Errors
    /// See [`OpenError`]. A cluster that does not answer is waited for as long as a transaction may take.
    pub async fn open(_network: &Network, options: Options) -> Result<Self, OpenError> {
        Self::begin_with(options, true).await
    }

    /// Opens a database to read it, and changes nothing in it.
    ///
    /// # Errors
    /// See [`OpenError`]. One without a stamp is refused: there is nothing in it.
    pub async fn open_read_only(_network: &Network, options: Options) -> Result<ReadOnly<Self>, OpenError> {
        Self::begin_with(options, false).await.map(ReadOnly::new)
    }

    async fn begin_with(options: Options, may_stamp: bool) -> Result<Self, OpenError> {
        let Options { cluster_file, prefix, timeout } = options;
        if prefix.is_empty() || prefix.len() > Options::MAX_PREFIX {
            return Err(OpenError::Prefix { prefix });
        }
        let database = open_database(&cluster_file)?;
        limit(&database, timeout).expect("the options are among those of every version that is loaded");
        let shared = Shared { database, rows: schema::rows(&prefix), counts: Counters::default() };
        let store = Self { shared: Arc::new(shared) };
        schema::check(&store, &cluster_file, &prefix, may_stamp).await?;
        Ok(store)
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let Counters { answered, attempts, rounds, reads, writes, unknown } = &self.shared.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            answered: read(answered),
            attempts: read(attempts),
            rounds: read(rounds),
            reads: read(reads),
            writes: read(writes),
            unknown: read(unknown),
        }
    }

    /// A transaction of FoundationDB's.
    fn begin(&self) -> Result<foundationdb::Transaction, FdbError> {
        self.shared.database.create_trx()
    }

    /// The name of a row in the database.
    fn name(&self, key: &Key) -> Vec<u8> {
        [&self.shared.rows, key.as_bytes()].concat()
    }
}

/// The longest wait before a transaction is run again, in milliseconds.
const MAX_RETRY_DELAY: i32 = 500;

/// What holds for every transaction.
fn limit(database: &Database, timeout: Millis) -> Result<(), FdbError> {
    let timeout = i32::try_from(timeout.0).unwrap_or(i32::MAX);
    database.set_option(DatabaseOption::TransactionTimeout(timeout))?;
    database.set_option(DatabaseOption::TransactionMaxRetryDelay(MAX_RETRY_DELAY))?;
    // Twice what the limits allow, since FoundationDB also counts what was read.
    database.set_option(DatabaseOption::TransactionSizeLimit(2 * doubletick_store::limits::MAX_WRITTEN as i32))
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    let wrong = |reason: String| OpenError::ClusterFile { path: path.to_path_buf(), reason };
    // The library would only say that there is none once a transaction has waited for it.
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let looks_right = line.is_some_and(|line| line.split_once('@').is_some_and(|(name, _)| name.contains(':')));
    if !looks_right {
        return Err(wrong("there is no line `description:id@address:port` in it".into()));
    }
    let name = path.to_str().ok_or_else(|| wrong("its path is no text".into()))?;
    Database::from_path(name).map_err(|error| wrong(error.message().to_owned()))
}

impl Store for Fdb {
    type Bell = Bell;

    fn execute<T: Transaction>(&self, transaction: T) -> impl Future<Output = Result<T::Answer, Failure>> + Send + 'static + use<T> {
        run::run(self.clone(), transaction)
    }

    fn watch(&self, key: &Key) -> impl Future<Output = Bell> + Send + 'static + use<> {
        bell::arm(self.clone(), self.name(key))
    }
}

impl std::fmt::Debug for Fdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fdb").field("rows", &String::from_utf8_lossy(&self.shared.rows)).finish_non_exhaustive()
    }
}
