//! A file that holds all rows about some conversations, to be looked at elsewhere.
//!
//! ```text
//! file    = "doubletick-export" SP format SP version-of-the-program SP ("original" | "anonymised") LF  record*  end
//! record  = 1  length of key u8  key  length of value u32  value            a row
//!         | 2                                                               the rows of one conversation end here
//! end     = 0  number of rows u64  blake3 of every byte before these 32
//! ```
//!
//! Numbers are little-endian. The rows of a conversation are those that [`rows_of`](crate::conversation::rows_of) hands over, in an order that
//! [`doubletick_core::verify::Proof`] takes; keys and values are the store's. What such a file holds of one store does not depend on when or
//! where it was made.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use doubletick_core::store::Key;

use crate::conversation::Row;

/// The format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// The first word of every such file.
const NAME: &str = "doubletick-export";
/// The most bytes of the first line.
const FIRST_LINE: u64 = 200;
/// The most bytes of a value that any store takes.
const MAX_VALUE: usize = doubletick_store::limits::MAX_VALUE;

const END: u8 = 0;
const ROW: u8 = 1;
const CONVERSATION_ENDS: u8 = 2;

/// Why a file is none that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The system says so.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It does not begin as one does.
    #[error("{}: it is no export of a store", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another version has made it.
    #[error("{}: made by version {made_by}, in format {format}, and this program knows format {FORMAT}: read it with version {made_by}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The program's version.
        made_by: String,
        /// The format.
        format: String,
    },
    /// It ends too early.
    #[error("{}: torn: it ends at byte {at}, after {rows} rows, in the middle: copy it again", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// Its length.
        at: u64,
        /// Rows that are whole.
        rows: u64,
    },
    /// It is not what was written.
    #[error("{}: damaged at byte {at}: {what}: copy it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where that shows.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Writes such a file. It is whole only once [`Writer::finish`] has returned.
#[derive(Debug)]
pub struct Writer {
    out: BufWriter<File>,
    hash: blake3::Hasher,
    rows: u64,
    path: PathBuf,
}

impl Writer {
    /// Makes the file; one that is there already is left alone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path, anonymised: bool) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Io { path: path.to_owned(), source };
        let file = File::create_new(path).map_err(failed)?;
        let mut writer = Self { out: BufWriter::new(file), hash: blake3::Hasher::new(), rows: 0, path: path.to_owned() };
        let kind = if anonymised { "anonymised" } else { "original" };
        writer.write(format!("{NAME} {FORMAT} {} {kind}\n", env!("CARGO_PKG_VERSION")).as_bytes())?;
        Ok(writer)
    }

    /// One more row of the conversation at hand.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn row(&mut self, key: &Key, value: &[u8]) -> Result<(), ExportError> {
        self.rows += 1;
        let name = key.as_bytes();
        let mut head = Vec::with_capacity(name.len() + 6);
        head.extend_from_slice(&[ROW, name.len() as u8]);
        head.extend_from_slice(name);
        head.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.write(&head)?;
        self.write(value)
    }

    /// The rows of the conversation at hand are all written.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn end_conversation(&mut self) -> Result<(), ExportError> {
        self.write(&[CONVERSATION_ENDS])
    }

    /// Makes the file whole, and durable.
    ///
    /// # Errors
    /// If that fails.
    pub fn finish(mut self) -> Result<(), ExportError> {
        let rows = self.rows.to_le_bytes();
        self.write(&[END])?;
        self.write(&rows)?;
        let hash = self.hash.finalize();
        let Self { mut out, path, .. } = self;
        let written = out.write_all(hash.as_bytes()).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
        written.map_err(|source| ExportError::Io { path, source })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.hash.update(bytes);
        self.out.write_all(bytes).map_err(|source| ExportError::Io { path: self.path.clone(), source })
    }
}

/// Such a file, which is whole: all of it was read once.
#[derive(Clone, Debug)]
pub struct Export {
    path: PathBuf,
    /// The version of the program that made it.
    pub made_by: String,
    /// Whether it says nothing of real people.
    pub anonymised: bool,
    /// How many rows are in it.
    pub rows: u64,
}

/// What comes next in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A row of the conversation at hand.
    Row(Row),
    /// There are no more of it.
    ConversationEnds,
}

/// Whether a file begins as an export does; the rest of it may be anything.
pub fn looks_like_one(path: &Path) -> bool {
    let mut start = [0; NAME.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *NAME.as_bytes()
}

impl Export {
    /// Opens a file, and reads all of it once to see that it is whole.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let mut walk = Walk::begin(path)?;
        while walk.next()?.is_some() {}
        let Walk { made_by, anonymised, rows, .. } = walk;
        Ok(Self { path: path.to_owned(), made_by, anonymised, rows })
    }

    /// Hands over what is in it, in its order.
    ///
    /// # Errors
    /// Those of `take`, and what is wrong with the file, if it was changed since it was opened.
    pub fn each<E: From<ExportError>>(&self, mut take: impl FnMut(Item) -> Result<(), E>) -> Result<(), E> {
        let mut walk = Walk::begin(&self.path)?;
        while let Some(item) = walk.next()? {
            take(item)?;
        }
        Ok(())
    }
}

/// A file as it is read.
struct Walk {
    file: BufReader<File>,
    hash: blake3::Hasher,
    at: u64,
    rows: u64,
    path: PathBuf,
    made_by: String,
    anonymised: bool,
}

impl Walk {
    fn begin(path: &Path) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Io { path: path.to_owned(), source };
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        let mut line = Vec::new();
        (&mut file).take(FIRST_LINE).read_until(b'\n', &mut line).map_err(failed)?;
        let not_ours = || ExportError::NotOurs { path: path.to_owned() };
        let text = str::from_utf8(&line).ok().and_then(|text| text.strip_suffix('\n')).ok_or_else(not_ours)?;
        let mut words = text.split(' ');
        let (name, format, made_by) = (words.next(), words.next(), words.next());
        let (Some(NAME), Some(format), Some(made_by)) = (name, format, made_by) else { return Err(not_ours()) };
        if format != FORMAT.to_string() {
            return Err(ExportError::Version { path: path.to_owned(), made_by: made_by.to_owned(), format: format.to_owned() });
        }
        let anonymised = match (words.next(), words.next()) {
            (Some("original"), None) => false,
            (Some("anonymised"), None) => true,
            _ => return Err(not_ours()),
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&line);
        Ok(Self { file, hash, at: line.len() as u64, rows: 0, path: path.to_owned(), made_by: made_by.to_owned(), anonymised })
    }

    fn next(&mut self) -> Result<Option<Item>, ExportError> {
        let [kind] = self.array()?;
        match kind {
            ROW => self.row().map(|row| Some(Item::Row(row))),
            CONVERSATION_ENDS => Ok(Some(Item::ConversationEnds)),
            END => self.end().map(|()| None),
            _ => Err(self.damaged("no record begins so")),
        }
    }

    fn row(&mut self) -> Result<Row, ExportError> {
        let [length] = self.array()?;
        let length = usize::from(length);
        if length > Key::MAX_LEN {
            return Err(self.damaged("no key is so long"));
        }
        let mut name = [0; Key::MAX_LEN];
        self.bytes(&mut name[..length])?;
        let size = u32::from_le_bytes(self.array()?) as usize;
        if size > MAX_VALUE {
            return Err(self.damaged("no value is so long"));
        }
        let mut value = vec![0; size];
        self.bytes(&mut value)?;
        self.rows += 1;
        Ok((Key::new(&name[..length]), value))
    }

    fn end(&mut self) -> Result<(), ExportError> {
        if u64::from_le_bytes(self.array()?) != self.rows {
            return Err(self.damaged("it holds another number of rows than it says"));
        }
        let hash = self.hash.finalize();
        if self.array::<32>()? != *hash.as_bytes() {
            return Err(self.damaged("its bytes are not those that were written"));
        }
        match self.file.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("there is something after its end")),
            Err(source) => Err(ExportError::Io { path: self.path.clone(), source }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ExportError> {
        let mut bytes = [0; N];
        self.bytes(&mut bytes).map(|()| bytes)
    }

    fn bytes(&mut self, into: &mut [u8]) -> Result<(), ExportError> {
        self.file.read_exact(into).map_err(|source| {
            if source.kind() != io::ErrorKind::UnexpectedEof {
                return ExportError::Io { path: self.path.clone(), source };
            }
            let at = self.file.get_ref().metadata().map_or(self.at, |file| file.len());
            ExportError::Torn { path: self.path.clone(), at, rows: self.rows }
        })?;
        self.at += into.len() as u64;
        self.hash.update(into);
        Ok(())
    }

    fn damaged(&self, what: &'static str) -> ExportError {
        ExportError::Damaged { path: self.path.clone(), at: self.at, what }
    }
}
