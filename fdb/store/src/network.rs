//! The client library and the thread that it does its work in.

#![allow(unsafe_code, reason = "the library's network is started once, and must be stopped before the process ends")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use foundationdb::api::{FdbApiBuilder, NetworkAutoStop};

/// The client library, loaded, and its thread. There is one in a process, from which all databases are opened; it is kept until they are
/// done with, and ends with this.
pub struct Network {
    _stops: NetworkAutoStop,
    version: String,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// There is no client library.
    #[error(transparent)]
    Library(#[from] doubletick_fdb_loader::Error),
    /// It was started before in this process.
    #[error("FoundationDB's network can be started once in a process")]
    Twice,
    /// The library does not start.
    #[error("FoundationDB's client library does not start: {0}")]
    Start(String),
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Network {
    /// Loads the client library from a file, or from where the system has it, and starts it.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn start(library: Option<&Path>) -> Result<Self, NetworkError> {
        let loaded = doubletick_fdb_loader::load(library)?;
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(NetworkError::Twice);
        }
        let failed = |error: foundationdb::FdbError| NetworkError::Start(error.message().to_owned());
        let network = FdbApiBuilder::default().build().map_err(failed)?;
        // SAFETY: whoever holds what this returns keeps it until its databases are gone, and drops it before the process ends; one that
        // ends without doing so ends while nothing of the library is used any more.
        let stops = unsafe { network.boot() }.map_err(failed)?;
        Ok(Self { _stops: stops, version: loaded.version().to_owned() })
    }

    /// What the library says of its version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("version", &self.version).finish_non_exhaustive()
    }
}
