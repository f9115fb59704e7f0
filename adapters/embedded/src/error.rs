//! Why a data directory cannot be opened.

use std::io;
use std::path::PathBuf;

pub use crate::log::LogError;
pub use crate::tree::TreeError;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or used.
    #[error("the data directory {} {what}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What about it.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the data directory {} is in use by {}", path.display(), owner.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, if it is known.
        owner: Option<u32>,
    },
    /// It is being checked or copied.
    #[error("the data directory {} is being read (a check, or a copy): try again when that is done", path.display())]
    BeingRead {
        /// The directory.
        path: PathBuf,
    },
    /// It was written by a program of another version.
    #[error("the data directory {} has format {found}, this program knows format {known}: use a program of the version that wrote it", path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// It does not say that it is one of ours.
    #[error("{} is missing or does not name a format: this is no data directory of Doubletick, or a damaged one", path.display())]
    NotOurs {
        /// The version stamp.
        path: PathBuf,
    },
    /// A file cannot be opened.
    #[error("the file {name} cannot be opened: {source}")]
    File {
        /// Its name.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The tree cannot be opened.
    #[error("the tree cannot be used: {0}")]
    Tree(#[from] TreeError),
    /// The logs cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system gives no thread.
    #[error("no thread for the committer: {0}")]
    Thread(io::Error),
}
