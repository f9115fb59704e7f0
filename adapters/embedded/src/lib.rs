//! The durable store of Doubletick for one machine.
//!
//! ```text
//! execute ─ quick lane ──────────────────────────────────── answer        reads, ephemeral writes
//!    └───── queue ─ committer: run … run · log · sync ┬ publish ─ bells, answers
//!                                                     └ log full: fold into the tree (redb), beside the rest
//! ```
//!
//! A B-tree writes whole pages, and a message's rows lie far apart, so a batch that went straight into it would write twenty times what it
//! holds. Therefore a batch is made durable by appending its rows to a log, in one write and one sync, and stays in memory; when the log is
//! full, all its rows go into the tree in one commit, in the order of their keys, and the other log is used. A row that was written
//! a hundred times meanwhile is written to the tree once. Reading order of the modules:
//!
//! - [`files`]: the data directory: lock, version, files;
//! - `log`: how a batch lies on the disk, and what is found after a crash;
//! - `tree`, `shelter`: redb, and what keeps it readable when its file fails;
//! - `layers`, `view`: the rows in memory, and how they and the tree make one state;
//! - `committer`, `folding`: batches, and logs into the tree;
//! - `quick`: the quick lane, and why it is serializable;
//! - `reader`: a data directory for whoever must not change it.
//!
//! # What is promised
//!
//! What [`doubletick_store`] says of every store. Beyond that:
//!
//! - **Durable** means: written and synced (`fdatasync`), also what the answer of a transaction that only reads was computed from.
//!   After kill -9, or a power loss that keeps, loses or tears what was not synced, the store opens with every answered
//!   transaction, and each other one whole or not at all.
//! - **Ephemeral rows** are in memory, and gone when the process ends.
//! - **A failing disk** stops durable transactions and nothing else. A batch whose write or sync fails is in doubt: its callers hear
//!   [`Failure::Unknown`], others [`Failure::Unavailable`], and it is written and synced again until that succeeds; then it is published
//!   and the store goes on by itself. It is never read back to find out, because after a failed sync the system's cache may show
//!   what the disk does not have. The quick lane goes on: it reads the published state, and commits ephemeral rows. A tree that
//!   cannot be written does not even stop durable transactions until a log is full twice over; it is opened anew and tried again.
//! - **Damage** that a power loss cannot explain is an error when the store is opened, never silence.
//! - **One process** at a time.
//! - **Bells** ring after every commit that writes the key; none is lost.
//! - **Bounded**: the queue, a batch, the logs and with them the rows in memory, the cache of the tree ([`Options`]).

use std::future::{Future, ready};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use doubletick_core::store::{Failure, Key, Lane, Transaction};
use doubletick_store::Store;
use doubletick_store::bells::Bell;
use tokio::sync::mpsc;

pub use committer::Committer;
pub use error::{LogError, OpenError, TreeError};
pub use options::Options;
pub use reader::Reader;

use files::{Directory, Files, LOGS, TREE};
use job::{Job, Submitted};
use log::{Log, recover};
use quick::Quick;
use shared::Shared;
use tree::{Tree, is_unfinished};
use view::View;

mod committer;
mod error;
pub mod files;
mod folding;
mod job;
mod layers;
mod log;
mod options;
mod quick;
mod reader;
mod shared;
mod shelter;
mod tree;
mod view;

/// The store. A handle: clones are the same store.
///
/// Dropping the last handle waits until what is in the queue is committed.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Box<dyn Job>>,
    // After the sender: the thread ends when all senders are gone.
    thread: Arc<Thread>,
}

impl Embedded {
    /// Opens the data directory, or makes one.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_files(Directory::open(directory.as_ref())?, options)
    }

    /// Opens the store in these files; for tests, on a simulated disk.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_files(files: impl Files, options: Options) -> Result<Self, OpenError> {
        let (mut store, committer) = Self::prepare(Box::new(files), options, true)?;
        let thread =
            std::thread::Builder::new().name("doubletick-commit".into()).spawn(move || committer.run()).map_err(OpenError::Thread)?;
        store.thread = Arc::new(Thread(Some(thread)));
        Ok(store)
    }

    /// Opens the store in these files without any thread: what is submitted waits for [`Committer::turn`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn by_hand(files: impl Files, options: Options) -> Result<(Self, Committer), OpenError> {
        Self::prepare(Box::new(files), options, false)
    }

    fn prepare(files: Box<dyn Files>, options: Options, threads: bool) -> Result<(Self, Committer), OpenError> {
        let open = |name| files.open(name).map_err(|source| OpenError::File { name, source });
        let (file, logs) = (open(TREE)?, [open(LOGS[0])?, open(LOGS[1])?]);
        let failed = |source| OpenError::File { name: TREE, source };
        // Nothing was ever written to a log, so nothing is lost by beginning again.
        if logs.iter().all(|log| log.len().is_ok_and(|len| len == 0)) && is_unfinished(&*file).map_err(failed)? {
            file.set_len(0).map_err(failed)?;
        }
        let (tree, mut state) = Tree::open(file, options.tree_cache)?;
        let found = recover(&[&*logs[0], &*logs[1]], state.batch)?;
        if found.batches > 0 {
            tracing::info!(batches = found.batches, rows = found.rows.len(), "putting what the logs hold into the tree");
            // Before the logs are used again.
            state = tree.write(found.rows.iter().map(|(key, value)| (key, value.as_deref())), found.batch)?;
        }
        let (sender, receiver) = mpsc::channel(options.queue);
        let shared = Arc::new(Shared::new(View::new(state), files, options));
        let committer = Committer::new(Arc::clone(&shared), receiver, logs.map(Log::new), tree, threads);
        Ok((Self { shared, queue: sender, thread: Arc::default() }, committer))
    }
}

impl Store for Embedded {
    type Bell = Bell;

    fn execute<T: Transaction>(&self, transaction: T) -> impl Future<Output = Result<T::Answer, Failure>> + Send + 'static + use<T> {
        let store = self.clone();
        async move {
            if transaction.lane() == Lane::Quick
                && let Quick::Done(answer) = store.shared.quick(&transaction)
            {
                return Ok(answer);
            }
            if store.shared.refuses.load(Ordering::Acquire) {
                return Err(Failure::Unavailable);
            }
            let (job, reply) = Submitted::channel(transaction);
            store.queue.send(job).await.map_err(|_| Failure::Unavailable)?;
            // A committer that ends with jobs in hand has panicked: nobody knows how far it got.
            let answer = reply.await.map_err(|_| Failure::Unknown)??;
            answer.map_err(|panic| resume_unwind(panic))
        }
    }

    fn watch(&self, key: &Key) -> impl Future<Output = Bell> + Send + 'static + use<> {
        ready(self.shared.bells.arm(key))
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the rows: they are what people wrote to each other.
        f.debug_struct("Embedded").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

/// The committer's thread, if it has one; waited for when dropped.
#[derive(Default)]
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        // A transaction that holds a handle may be dropped by the committer itself.
        if let Some(thread) = self.0.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It has told its panic to the log and to those who waited.
            let _ = thread.join();
        }
    }
}
