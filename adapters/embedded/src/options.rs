//! What can be set.

use std::time::Duration;

/// How the store uses memory and batches. The default suits a server with some hundred MB to spare.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The most transactions that wait for the committer; more callers wait to be let in.
    pub queue: usize,
    /// The most transactions that share one sync.
    pub batch_transactions: usize,
    /// When the durable rows that a batch writes are this many bytes, the batch is full; one transaction may exceed it.
    pub batch_bytes: usize,
    /// A batch begins no sooner than this after the one before it, unless it is full. So under load more transactions share the work of
    /// a batch, and after a quiet moment the first one waits for nothing.
    pub batch_interval: Duration,
    /// When a log has this many bytes its rows are put into the tree, and the other log is used. There may be twice as many before
    /// durable transactions have to wait. The rows are in memory until they are in the tree, so this is about a third of the memory that
    /// they take.
    pub log_bytes: u64,
    /// The most bytes of the tree that are kept in memory.
    pub tree_cache: usize,
    /// How long to wait after a failure of the disk before it is tried again.
    pub retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 1024,
            batch_transactions: 512,
            batch_bytes: 2 << 20,
            batch_interval: Duration::from_millis(1),
            log_bytes: 64 << 20,
            tree_cache: 256 << 20,
            retry: Duration::from_millis(250),
        }
    }
}
