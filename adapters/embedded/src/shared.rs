//! What the handles, the committer and the thread that writes the tree share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doubletick_store::bells::Bells;

use crate::files::{Files, TREE};
use crate::options::Options;
use crate::tree::{Tree, TreeError};
use crate::view::View;

#[derive(Debug)]
pub(crate) struct Shared {
    view: RwLock<View>,
    pub(crate) bells: Bells,
    /// Set while nothing new can become durable: durable transactions are refused before they wait in the queue.
    pub(crate) refuses: AtomicBool,
    /// Set when a read of the tree failed: it must be opened anew.
    pub(crate) tree_fails: AtomicBool,
    pub(crate) files: Box<dyn Files>,
    pub(crate) options: Options,
}

impl Shared {
    pub(crate) fn new(view: View, files: Box<dyn Files>, options: Options) -> Self {
        Self {
            view: RwLock::new(view),
            bells: Bells::default(),
            refuses: AtomicBool::new(false),
            tree_fails: AtomicBool::new(false),
            files,
            options,
        }
    }

    // A transaction that panics while the view is locked has changed nothing yet, so a poisoned lock is as good as any.

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the layer that waits for it into the tree. `tree` is the database as it was left last time, if that was well; without it,
    /// the database is opened anew. Returns it as it is left.
    ///
    /// Whatever fails, the published state stays what it is, only the place where its rows are may change.
    pub(crate) fn fold(&self, tree: Option<Tree>) -> Result<Tree, TreeError> {
        let tree = match tree {
            Some(tree) => tree,
            None => {
                self.read().tree.retire().map_err(redb::StorageError::from)?;
                let (tree, state) = Tree::open(self.files.open(TREE).map_err(redb::StorageError::from)?, self.options.tree_cache)?;
                // It may already hold what is to be folded, which then hides it. It never holds less than the state it replaces.
                let old = std::mem::replace(&mut self.write().tree, Arc::new(state));
                drop(old);
                self.tree_fails.store(false, Ordering::Release);
                tree
            }
        };
        let (folding, batch) = {
            let view = self.read();
            (Arc::clone(&view.folding), view.folding_batch)
        };
        if folding.is_empty() {
            return Ok(tree);
        }
        let state = tree.write(folding.iter(), batch)?;
        let mut view = self.write();
        let old = (std::mem::replace(&mut view.tree, Arc::new(state)), std::mem::take(&mut view.folding));
        drop(view);
        // Outside the lock: to free a layer takes a while.
        drop((old, folding));
        Ok(tree)
    }
}
