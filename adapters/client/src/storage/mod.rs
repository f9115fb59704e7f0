//! What a device keeps on disk: who it is, what it is to send, what it has read and written.
//!
//! One redb file in the profile's directory. A batch of records is one transaction, durable by fsync when it returns; a crash leaves
//! each batch in full or not at all. One process has a profile open at a time. Readers see the last committed state and keep nobody
//! waiting.

mod apply;
mod read;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use apply::{Applied, Change, Job, UserChange};
pub(crate) use read::Address;
pub(crate) use rows::Author;
pub use rows::{Contact, Place};

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use doubletick_core::id::{Phone, Secret};
use doubletick_wire::Token;
use prost::Message as _;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend};

use rows::{AccountRow, RegisteringRow, SCHEMA};

/// The file in a profile's directory.
const FILE: &str = "profile.redb";

/// Memory for pages that were read, in bytes.
const CACHE: usize = 8 * 1024 * 1024;

/// A profile on disk.
#[derive(Debug)]
pub(crate) struct Storage {
    db: Database,
}

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredAccount {
    pub(crate) token: Token,
    pub(crate) phone: Phone,
    pub(crate) server: String,
}

/// Why a profile could not be opened, read or written.
#[derive(Debug)]
pub enum StorageError {
    /// Another process has it open.
    InUse(
        /// Its directory.
        PathBuf,
    ),
    /// It was written by a later version of this program.
    Newer {
        /// The version of its tables.
        found: u64,
    },
    /// A row of this table does not read.
    Damaged(
        /// The table.
        &'static str,
    ),
    /// The directory cannot be made.
    Directory {
        /// Which one.
        directory: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The disk, or the file on it, does not do what it must. The profile must be opened anew.
    Failed(
        /// What the database says.
        redb::Error,
    ),
}

impl Storage {
    /// Opens the profile in a directory, which is made if it is not there.
    pub(crate) fn open(directory: &Path) -> Result<Self, StorageError> {
        make_private(directory).map_err(|error| StorageError::Directory { directory: directory.to_owned(), error })?;
        let file = open_private(&directory.join(FILE)).map_err(|error| StorageError::Failed(error.into()))?;
        let db = match Database::builder().set_cache_size(CACHE).create_with_backend(FileBackend::new(file)?) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(StorageError::InUse(directory.to_owned())),
            opened => opened?,
        };
        Self::with(db)
    }

    /// Opens the profile on something that takes the place of a file.
    pub(crate) fn on(backend: impl StorageBackend) -> Result<Self, StorageError> {
        Self::with(Database::builder().set_cache_size(CACHE).create_with_backend(backend)?)
    }

    fn with(db: Database) -> Result<Self, StorageError> {
        let txn = db.begin_write()?;
        {
            let mut meta = txn.open_table(rows::META)?;
            let found = meta.get("schema")?.map(|row| row.value().try_into().map(u64::from_be_bytes));
            match found {
                Some(Ok(SCHEMA)) => {}
                Some(Ok(found)) => return Err(StorageError::Newer { found }),
                Some(Err(_)) => return Err(StorageError::Damaged("meta")),
                None => drop(meta.insert("schema", SCHEMA.to_be_bytes().as_slice())?),
            }
            txn.open_table(rows::OUTBOX)?;
            txn.open_table(rows::CHATS)?;
            txn.open_table(rows::HISTORY)?;
            txn.open_table(rows::INDEX)?;
            txn.open_table(rows::GROUP_INDEX)?;
            txn.open_table(rows::USERS)?;
            txn.open_table(rows::PHONES)?;
        }
        txn.commit()?;
        Ok(Self { db })
    }

    /// Who the device is; `None` if it was never registered.
    pub(crate) fn account(&self) -> Result<Option<StoredAccount>, StorageError> {
        let Some(row) = self.meta::<AccountRow>("account")? else { return Ok(None) };
        let account =
            || Some(StoredAccount { token: Token::parse(&row.token).ok()?, phone: Phone::parse(&row.phone)?, server: row.server.clone() });
        account().map(Some).ok_or(StorageError::Damaged("meta"))
    }

    /// The device is registered: all of its rows are about this account from now on.
    pub(crate) fn set_account(&self, account: &StoredAccount) -> Result<(), StorageError> {
        let row = AccountRow { token: account.token.to_text(), phone: account.phone.as_str().to_owned(), server: account.server.clone() };
        let txn = self.db.begin_write()?;
        {
            let mut meta = txn.open_table(rows::META)?;
            meta.insert("account", row.encode_to_vec().as_slice())?;
            meta.remove("registering")?;
        }
        Ok(txn.commit()?)
    }

    /// The phone and the secret of a registration that was begun.
    pub(crate) fn registering(&self) -> Result<Option<(Phone, Secret)>, StorageError> {
        let Some(row) = self.meta::<RegisteringRow>("registering")? else { return Ok(None) };
        let registering = || Some((Phone::parse(&row.phone)?, Secret(row.secret.as_slice().try_into().ok()?)));
        registering().map(Some).ok_or(StorageError::Damaged("meta"))
    }

    /// Notes that a registration was begun.
    pub(crate) fn set_registering(&self, phone: &Phone, secret: Secret) -> Result<(), StorageError> {
        let row = RegisteringRow { phone: phone.as_str().to_owned(), secret: secret.0.to_vec() };
        let txn = self.db.begin_write()?;
        txn.open_table(rows::META)?.insert("registering", row.encode_to_vec().as_slice())?;
        Ok(txn.commit()?)
    }

    fn meta<M: prost::Message + Default>(&self, name: &str) -> Result<Option<M>, StorageError> {
        let meta = self.db.begin_read()?.open_table(rows::META)?;
        let row = meta.get(name)?.map(|row| M::decode(row.value()));
        row.transpose().map_err(|_| StorageError::Damaged("meta"))
    }
}

/// Makes a directory that only its owner can look into.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Opens a file that only its owner can read, because it holds a token.
fn open_private(file: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(directory) => write!(f, "the profile {} is in use by another process", directory.display()),
            Self::Newer { found } => {
                write!(
                    f,
                    "the profile was written by a later version of this program (its tables have version {found}, this one knows {SCHEMA})"
                )
            }
            Self::Damaged(table) => write!(f, "the profile is damaged: a row of the table {table} does not read"),
            Self::Directory { directory, error } => write!(f, "the profile directory {} cannot be made: {error}", directory.display()),
            Self::Failed(error) => write!(f, "the profile cannot be read or written: {error}"),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory { error, .. } => Some(error),
            Self::Failed(error) => Some(error),
            Self::InUse(_) | Self::Newer { .. } | Self::Damaged(_) => None,
        }
    }
}

macro_rules! failed {
    ($($error:ty),*) => {$(
        impl From<$error> for StorageError {
            fn from(error: $error) -> Self {
                Self::Failed(error.into())
            }
        }
    )*};
}

failed!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
