//! What an application deals with: the network, databases, transactions, futures.
//!
//! Reading order: `network` (the thread on which everything arrives), `future` (what arrives), `cluster` (the database behind it, shared by
//! all who open it), `options`, `overlay` and `view` (a transaction's writes, and what it sees), then the transaction itself: `transaction`,
//! `read`, `write`, `commit`, `retry`, and `special` for keys that stand for something else.

mod cluster;
mod commit;
mod future;
mod network;
mod options;
mod overlay;
mod read;
mod retry;
mod special;
mod transaction;
mod view;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use cluster::{Cluster, ClusterFile};
pub use future::{Future, Value};
pub use network::Network;
pub use options::set_network_option;
pub use read::{Limits, Mode};
pub use transaction::Transaction;
pub use view::Selector;
pub use write::ConflictRange;

use crate::error::Error;
use options::DatabaseOptions;

/// The environment variable whose value is the faults of each cluster whose file asks for none.
pub const FAULTS_VARIABLE: &str = "FDB_SANDBOX_FAULTS";

/// A process's client: its network, and the clusters that it has opened.
///
/// A cluster lives as long as the client: who closes a database and opens it again finds what was there.
pub struct Client {
    network: Arc<Network>,
    clusters: Mutex<BTreeMap<String, Arc<Cluster>>>,
}

/// A handle to a database.
pub struct Database {
    cluster: Arc<Cluster>,
    /// The cluster file that it was opened by.
    file: PathBuf,
    /// Tells this handle from others to the same cluster.
    handle: u64,
    options: Mutex<DatabaseOptions>,
}

impl Client {
    /// A client with a network that nobody runs yet.
    #[allow(clippy::new_without_default, reason = "there is one for each process, made on purpose")]
    pub fn new() -> Self {
        Self { network: Network::new(), clusters: Mutex::default() }
    }

    /// Its network.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Opens the database that a cluster file names; without one that of `$FDB_CLUSTER_FILE`, or of the default places.
    ///
    /// # Errors
    /// [`Error::NO_CLUSTER_FILE_FOUND`] if there is no such file, [`Error::CONNECTION_STRING_INVALID`] if it is none.
    pub fn open(&self, file: Option<&Path>) -> Result<Arc<Database>, Error> {
        let named = file.filter(|file| !file.as_os_str().is_empty()).map(Path::to_path_buf);
        let named = named.or_else(|| std::env::var_os("FDB_CLUSTER_FILE").map(PathBuf::from));
        let path = match named {
            Some(path) => path,
            None => ["fdb.cluster", "/etc/foundationdb/fdb.cluster"]
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.exists())
                .ok_or(Error::NO_CLUSTER_FILE_FOUND)?,
        };
        self.open_parsed(&ClusterFile::read(&path)?, path)
    }

    /// Opens the database that the text of a cluster file names.
    ///
    /// # Errors
    /// [`Error::CONNECTION_STRING_INVALID`] if it is none.
    pub fn open_text(&self, text: &str) -> Result<Arc<Database>, Error> {
        self.open_parsed(&ClusterFile::parse(text)?, PathBuf::new())
    }

    fn open_parsed(&self, parsed: &ClusterFile, file: PathBuf) -> Result<Arc<Database>, Error> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = match clusters.get(&parsed.connection) {
            Some(cluster) => Arc::clone(cluster),
            None => {
                let faults = cluster::faults_of(&std::env::var(FAULTS_VARIABLE).unwrap_or_default())?;
                let cluster = Cluster::new(&parsed.connection, &self.network, faults);
                clusters.insert(parsed.connection.clone(), Arc::clone(&cluster));
                cluster
            }
        };
        drop(clusters);
        if let Some(faults) = &parsed.faults {
            cluster.set_faults(faults.clone());
        }
        Ok(Arc::new(Database { handle: cluster.new_handle(), cluster, file, options: Mutex::default() }))
    }
}

impl Database {
    /// The cluster behind it.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The network that its answers come by.
    pub fn network(&self) -> &Arc<Network> {
        self.cluster.network()
    }

    /// A new transaction.
    pub fn transaction(self: &Arc<Self>) -> Arc<Transaction> {
        Transaction::new(self)
    }

    /// Sets an option, given by its code.
    ///
    /// # Errors
    /// [`Error::INVALID_OPTION`], [`Error::INVALID_OPTION_VALUE`] or [`Error::UNSUPPORTED_OPERATION`].
    pub fn set_option(&self, code: i32, value: Option<&[u8]>) -> Result<(), Error> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).set(code, value)
    }

    /// A text in JSON that says how the client is.
    pub fn client_status(&self) -> String {
        special::client_status(self)
    }

    fn options(&self) -> DatabaseOptions {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("cluster", &self.cluster).field("handle", &self.handle).finish_non_exhaustive()
    }
}
