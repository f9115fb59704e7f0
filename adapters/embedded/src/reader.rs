//! A data directory for whoever must not change it.
//!
//! Every file is opened for reading only, so not even a bug could write one. What the logs hold beyond the tree stays in memory, above it; and
//! where redb was interrupted and repairs itself as it is opened, it does so in memory too ([`Shelter`]).

use std::fmt;
use std::fs::File;
use std::path::Path;

use doubletick_store::readable::{ReadError, Readable, Reading};

use crate::OpenError;
use crate::files::{Frozen, TREE};
use crate::log::recover;
use crate::options::Options;
use crate::shelter::Shelter;
use crate::tree::{Tree, is_unfinished};
use crate::view::{Published, View};

/// A data directory, open to be read. No server can open it meanwhile; several readers can.
pub struct Reader {
    view: View,
    /// Locked.
    _lock: File,
}

impl Reader {
    /// Opens a data directory that no server uses.
    ///
    /// # Errors
    /// See [`OpenError`]. A directory that is not there is not made.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let Frozen { lock, tree, logs } = Frozen::open(directory)?;
        let failed = |source| OpenError::File { name: TREE, source };
        let unfinished = is_unfinished(&*tree).map_err(failed)?;
        let tree = Shelter::new(tree);
        tree.retire().map_err(failed)?;
        if unfinished {
            redb::StorageBackend::set_len(&tree, 0).map_err(failed)?;
        }
        let (_, state) = Tree::open_sheltered(tree, Options::default().tree_cache)?;
        let found = recover(&[&*logs[0], &*logs[1]], state.batch)?;
        let mut view = View::new(state);
        for (key, value) in found.rows {
            view.recent.put(key, value, found.batch);
        }
        view.published = found.batch;
        Ok(Self { view, _lock: lock })
    }
}

impl Readable for Reader {
    fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError> {
        let mut snapshot = Published { view: &self.view, failed: None };
        reading.run(&mut snapshot).map_err(|_| {
            let reason =
                snapshot.failed.map_or("a reading misses something though nothing was missing".to_owned(), |error| error.to_string());
            ReadError::Broken(reason)
        })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the rows: they are what people wrote to each other.
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
