//! The tree: redb, which holds every durable row that is no longer only in the logs.
//!
//! One table for all rows, and one entry that says which batch it ends with; both change in one commit. A commit saves what redb
//! needs to open quickly after a crash, and flips to the new state in a second sync: there are few of them, each for many batches.

use std::sync::Arc;

use doubletick_core::store::{Key, Scan};
use redb::{Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition};

use crate::shelter::Shelter;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const PROGRESS: TableDefinition<'_, &str, u64> = TableDefinition::new("progress");
const LAST_BATCH: &str = "last batch";

/// What goes wrong in the tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// redb says so.
    #[error(transparent)]
    Redb(Box<redb::Error>),
    /// The file failed while redb wrote to it.
    #[error("{0}")]
    File(String),
    /// A bug: redb or we panicked.
    #[error("panicked while writing the tree")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for TreeError {
    fn from(error: E) -> Self {
        Self::Redb(Box::new(error.into()))
    }
}

/// Whether redb was interrupted while it made the database: it writes the first bytes last, and then does not take the file for its own.
pub(crate) fn is_unfinished(file: &dyn StorageBackend) -> std::io::Result<bool> {
    let mut start = [0; 9];
    let length = (start.len() as u64).min(file.len()?) as usize;
    file.read(0, &mut start[..length])?;
    Ok(length > 0 && start == [0; 9])
}

/// The database, open. Once its file had trouble nothing can be written through it; its states stay readable.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    database: Arc<Database>,
    shelter: Shelter,
}

impl Tree {
    /// Opens the database in the file, or makes one if the file is empty.
    pub(crate) fn open(file: Box<dyn StorageBackend>, cache: usize) -> Result<(Self, TreeState), TreeError> {
        let (tree, state) = Self::open_sheltered(Shelter::new(file), cache)?;
        tree.check()?;
        Ok((tree, state))
    }

    /// The same for a file that may be given up already, so that what is written stays in memory.
    pub(crate) fn open_sheltered(shelter: Shelter, cache: usize) -> Result<(Self, TreeState), TreeError> {
        let database = redb::Builder::new().set_cache_size(cache).create_with_backend(shelter.clone())?;
        let tree = Self { database: Arc::new(database), shelter };
        let state = match tree.state() {
            Err(TreeError::Redb(error)) if matches!(*error, redb::Error::TableDoesNotExist(_)) => {
                tree.commit([], 0)?;
                tree.state()?
            }
            state => state?,
        };
        Ok((tree, state))
    }

    /// Commits rows (`None` for one that is gone) and the batch that they end with.
    pub(crate) fn write<'a>(
        &self,
        rows: impl IntoIterator<Item = (&'a Key, Option<&'a [u8]>)>,
        batch: u64,
    ) -> Result<TreeState, TreeError> {
        self.check()?;
        self.commit(rows, batch)?;
        // With trouble, redb only believes that it has committed.
        self.check()?;
        self.state()
    }

    fn commit<'a>(&self, rows: impl IntoIterator<Item = (&'a Key, Option<&'a [u8]>)>, batch: u64) -> Result<(), TreeError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in rows {
                match value {
                    Some(value) => table.insert(key.as_bytes(), value)?,
                    None => table.remove(key.as_bytes())?,
                };
            }
            transaction.open_table(PROGRESS)?.insert(LAST_BATCH, batch)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn check(&self) -> Result<(), TreeError> {
        self.shelter.trouble().map_or(Ok(()), |trouble| Err(TreeError::File(trouble.to_owned())))
    }

    fn state(&self) -> Result<TreeState, TreeError> {
        let transaction = self.database.begin_read()?;
        let batch = transaction.open_table(PROGRESS)?.get(LAST_BATCH)?.map_or(0, |batch| batch.value());
        Ok(TreeState { rows: transaction.open_table(ROWS)?, batch, tree: self.clone() })
    }
}

/// One state of the tree, which stays as it is.
#[derive(Debug)]
pub(crate) struct TreeState {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// The batch that it ends with.
    pub(crate) batch: u64,
    /// Without it the file would be closed.
    tree: Tree,
}

impl TreeState {
    /// Lets the database that this is a state of write nothing any more, so that the file can be opened anew. The state stays readable.
    pub(crate) fn retire(&self) -> std::io::Result<()> {
        self.tree.shelter.retire()
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, TreeError> {
        Ok(self.rows.get(key.as_bytes())?.map(|value| value.value().to_vec()))
    }

    /// The rows of a run of keys in the order that the scan asks for; not limited.
    pub(crate) fn scan(&self, scan: &Scan) -> Result<impl Iterator<Item = Result<(Key, Vec<u8>), TreeError>> + use<>, TreeError> {
        let mut range = self.rows.range::<&[u8]>(scan.from.as_bytes()..scan.to.as_bytes())?;
        let reverse = scan.reverse;
        Ok(std::iter::from_fn(move || {
            let row = if reverse { range.next_back() } else { range.next() };
            row.map(|row| {
                let (key, value) = row?;
                Ok((Key::new(key.value()), value.value().to_vec()))
            })
        }))
    }
}
