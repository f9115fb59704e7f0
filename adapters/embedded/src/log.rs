//! The two logs: where a batch is durable first.
//!
//! ```text
//! log     = record record record … and whatever an earlier use of the file left behind
//! record  = block block block …              one per batch, numbers rising by one
//! block   = magic u32 · index in record u32 · batch u64 · 4080 bytes of body        4096 bytes
//! body    = length u32 · blake3 of (batch, rows) 32 bytes · rows · zeros
//! rows    = (kind u8 · length of key u8 · key · if it is set: length of value u32 · value)*
//! ```
//!
//! Numbers are little-endian. A record is written and synced before the next one is begun, so a power loss can damage the last one only,
//! which nobody was told of. Records start on blocks of their own: writing one never touches a sector of another. And each block
//! starts with what this module put there, so that no value, whatever its bytes, can be taken for a record.
//!
//! The files are used in turn, over and over, and not emptied: a record is followed by one with the next number, or it is the last.

use std::collections::BTreeMap;
use std::io;

use doubletick_core::store::Key;
use redb::StorageBackend;

/// The unit in which a log is written.
pub(crate) const BLOCK: usize = 4096;

const MAGIC: u32 = u32::from_le_bytes(*b"dtl1");
const HEAD: usize = 16;
const BODY: usize = BLOCK - HEAD;
/// In the body, before the rows: their length and the hash.
const PREFIX: usize = 4 + blake3::OUT_LEN;

/// A file grows by this much at a time, so that its length seldom changes.
const GROWTH: u64 = 4 << 20;

const CLEARED: u8 = 0;
const SET: u8 = 1;

/// The rows of one batch on their way to the log.
#[derive(Debug)]
pub(crate) struct Record {
    /// The body, without the blocks' heads.
    body: Vec<u8>,
    /// The blocks, once [`Record::seal`] has made them.
    blocks: Vec<u8>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self { body: vec![0; PREFIX], blocks: Vec::new() }
    }

    /// Empties it, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.body.truncate(PREFIX);
        self.blocks.clear();
    }

    /// Adds what a row holds, `None` for a row that is gone.
    pub(crate) fn push(&mut self, key: &Key, value: Option<&[u8]>) {
        let name = key.as_bytes();
        self.body.push(if value.is_some() { SET } else { CLEARED });
        self.body.push(name.len() as u8);
        self.body.extend_from_slice(name);
        if let Some(value) = value {
            self.body.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.body.extend_from_slice(value);
        }
    }

    /// The bytes of rows so far.
    pub(crate) fn len(&self) -> usize {
        self.body.len() - PREFIX
    }

    /// Makes the blocks of the record with this number.
    pub(crate) fn seal(&mut self, batch: u64) {
        let length = (self.len() as u32).to_le_bytes();
        let hash = hash(batch, &self.body[PREFIX..]);
        self.body[..4].copy_from_slice(&length);
        self.body[4..PREFIX].copy_from_slice(hash.as_bytes());
        self.blocks.clear();
        self.blocks.reserve(self.body.len().div_ceil(BODY) * BLOCK);
        for (index, piece) in self.body.chunks(BODY).enumerate() {
            self.blocks.extend_from_slice(&MAGIC.to_le_bytes());
            self.blocks.extend_from_slice(&(index as u32).to_le_bytes());
            self.blocks.extend_from_slice(&batch.to_le_bytes());
            self.blocks.extend_from_slice(piece);
        }
        self.blocks.resize(self.blocks.len().next_multiple_of(BLOCK), 0);
    }
}

fn hash(batch: u64, rows: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&batch.to_le_bytes());
    hasher.update(rows);
    hasher.finalize()
}

/// One of the two files, and how far it is filled.
#[derive(Debug)]
pub(crate) struct Log {
    file: Box<dyn StorageBackend>,
    end: u64,
}

impl Log {
    /// The file, to be written from its start.
    pub(crate) fn new(file: Box<dyn StorageBackend>) -> Self {
        Self { file, end: 0 }
    }

    /// How many bytes of records are in it.
    pub(crate) fn len(&self) -> u64 {
        self.end
    }

    /// Begins anew: nothing in it is needed any more.
    pub(crate) fn restart(&mut self) {
        self.end = 0;
    }

    /// Makes the record durable, or fails and leaves open whether it is; then the same record is to be appended again until it
    /// succeeds.
    ///
    /// A failed sync may leave the system's cache with pages that it believes to be on the disk and that are not. All that was
    /// written since the last good sync is this record, and it is written anew each time, so a sync that succeeds covers all of it.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let end = self.end + record.blocks.len() as u64;
        if end > self.file.len()? {
            self.file.set_len(end.next_multiple_of(GROWTH))?;
        }
        self.file.write(self.end, &record.blocks)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }
}

/// Rows that were found in the logs and are to be put into the tree.
pub(crate) type Rows = BTreeMap<Key, Option<Vec<u8>>>;

/// What [`recover`] found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What the batches after the tree's last one left in each row that they wrote.
    pub(crate) rows: Rows,
    /// The last batch.
    pub(crate) batch: u64,
    /// How many batches there were after the tree's last one.
    pub(crate) batches: u64,
}

/// Why the logs cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("a log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Batches that were acknowledged are damaged or missing.
    #[error("the logs are damaged: batch {missing} cannot be read, but batch {found} is there, so it once was")]
    Damaged {
        /// The first batch that is not there.
        missing: u64,
        /// A later one, of which there is at least a part.
        found: u64,
    },
}

/// Reads what the logs hold after the batch that the tree ends with.
///
/// The last batch may be damaged: power was lost before its sync, and nobody was told of it. If one is damaged and there is any block of a
/// later one, then it had been synced, and was damaged afterwards: opening would lose what was acknowledged, and fails.
pub(crate) fn recover(files: &[&dyn StorageBackend], tree: u64) -> Result<Recovered, LogError> {
    let mut records = BTreeMap::new();
    let mut last_block = 0;
    for file in files {
        let mut bytes = vec![0; file.len()? as usize];
        file.read(0, &mut bytes)?;
        let blocks: Vec<_> = bytes.chunks_exact(BLOCK).map(Block::new).collect();
        last_block = blocks.iter().flatten().map(|block| block.batch).chain([last_block]).max().unwrap_or(0);
        let mut rest = blocks.as_slice();
        let mut before = None;
        while let Some((batch, body, count)) = first_record(rest) {
            if before.is_some_and(|before| batch != before + 1) {
                break;
            }
            if batch > tree {
                records.insert(batch, body);
            }
            before = Some(batch);
            rest = &rest[count..];
        }
    }
    let mut found = Recovered { batch: tree, ..Recovered::default() };
    for (batch, body) in records {
        if batch != found.batch + 1 {
            break;
        }
        replay(&body[PREFIX..], &mut found.rows);
        found.batch = batch;
        found.batches += 1;
    }
    if last_block > found.batch + 1 {
        return Err(LogError::Damaged { missing: found.batch + 1, found: last_block });
    }
    Ok(found)
}

/// A block of some record, of whatever age.
#[derive(Clone, Copy)]
struct Block<'a> {
    index: u32,
    batch: u64,
    body: &'a [u8],
}

impl<'a> Block<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (batch, body) = rest.split_first_chunk()?;
        let block = Self { index: u32::from_le_bytes(*index), batch: u64::from_le_bytes(*batch), body };
        (u32::from_le_bytes(*magic) == MAGIC).then_some(block)
    }
}

/// The record that begins here, if it is whole: its number, its body up to the end of the rows, and how many blocks it has.
fn first_record(blocks: &[Option<Block<'_>>]) -> Option<(u64, Vec<u8>, usize)> {
    let first = (*blocks.first()?)?;
    let length = u32::from_le_bytes(*first.body.first_chunk()?) as usize;
    let count = (PREFIX + length).div_ceil(BODY);
    // Checked against what is there before anything is allocated.
    let own = blocks.get(..count)?;
    let mut body = Vec::with_capacity(count * BODY);
    for (index, block) in own.iter().enumerate() {
        let block = block.as_ref().filter(|block| block.batch == first.batch && block.index as usize == index)?;
        body.extend_from_slice(block.body);
    }
    body.truncate(PREFIX + length);
    let whole = hash(first.batch, &body[PREFIX..]).as_bytes() == &body[4..PREFIX];
    whole.then_some((first.batch, body, count))
}

fn replay(mut rows: &[u8], into: &mut Rows) {
    while !rows.is_empty() {
        let (key, value) = next_row(&mut rows).expect("the hash says that these are the rows that were written");
        into.insert(key, value);
    }
}

fn next_row(rows: &mut &[u8]) -> Option<(Key, Option<Vec<u8>>)> {
    let [kind, length] = *rows.split_off(..2)?.first_chunk()?;
    let key = Key::new(rows.split_off(..usize::from(length))?);
    if kind == CLEARED {
        return Some((key, None));
    }
    let length = u32::from_le_bytes(*rows.split_off(..4)?.first_chunk()?) as usize;
    Some((key, Some(rows.split_off(..length)?.to_vec())))
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name.as_bytes())
    }

    fn record(batch: u64, value_len: usize) -> Record {
        let mut record = Record::new();
        record.push(&key("a"), Some(&batch.to_le_bytes()));
        record.push(&key("long"), Some(&vec![batch as u8; value_len]));
        record.push(&key("gone"), None);
        record.seal(batch);
        record
    }

    fn log(batches: std::ops::RangeInclusive<u64>) -> Log {
        let mut log = Log::new(Box::new(InMemoryBackend::new()));
        for batch in batches {
            log.append(&record(batch, 10_000)).expect("memory takes it");
        }
        log
    }

    fn open(logs: &[&Log], tree: u64) -> Result<Recovered, LogError> {
        let files: Vec<_> = logs.iter().map(|log| &*log.file).collect();
        recover(&files, tree)
    }

    #[test]
    fn what_was_appended_is_found_after_what_the_tree_has() {
        let (a, b) = (log(1..=3), log(4..=5));
        let found = open(&[&a, &b], 2).expect("they are whole");
        assert_eq!((found.batch, found.batches), (5, 3));
        assert_eq!(found.rows[&key("a")], Some(5_u64.to_le_bytes().to_vec()));
        assert_eq!(found.rows[&key("long")], Some(vec![5; 10_000]));
        assert_eq!(found.rows[&key("gone")], None);
        let nothing = open(&[&a, &b], 5).expect("they are whole");
        assert_eq!((nothing.batch, nothing.batches), (5, 0));
    }

    #[test]
    fn a_log_used_again_ends_where_its_numbers_stop_rising() {
        let mut a = log(1..=3);
        a.restart();
        a.append(&record(4, 10_000)).expect("memory takes it");
        let found = open(&[&a], 3).expect("it is whole");
        assert_eq!((found.batch, found.batches), (4, 1));
    }

    #[test]
    fn the_last_record_may_be_damaged_and_no_other() {
        let size = record(1, 10_000).blocks.len() as u64;
        let last = log(1..=3);
        last.file.write(3 * size - BLOCK as u64 + 20, b"damage").expect("memory takes it");
        assert_eq!(open(&[&last], 0).expect("it may").batch, 2);

        for other in [log(1..=3), log(1..=2)] {
            other.file.write(size + 20, b"damage").expect("memory takes it");
            let next = log(3..=4);
            let error = open(&[&other, &next], 0).expect_err("the second batch is lost");
            assert!(matches!(error, LogError::Damaged { missing: 2, found: 4 }), "{error}");
        }
    }

    #[test]
    fn a_value_that_looks_like_a_record_is_not_one() {
        let forged = record(2, 10);
        let mut a = Log::new(Box::new(InMemoryBackend::new()));
        let mut carrier = Record::new();
        // Long enough that every place in a block is the start of a forged record.
        let value: Vec<u8> = (0..10).flat_map(|shift| [vec![0; 408 * shift], forged.blocks.clone()].concat()).collect();
        carrier.push(&key("k"), Some(&value));
        carrier.seal(1);
        a.append(&carrier).expect("memory takes it");
        let found = open(&[&a], 0).expect("it is whole");
        assert_eq!((found.batch, found.rows.len()), (1, 1));
    }

    #[test]
    fn no_length_in_a_damaged_block_makes_room_be_taken() {
        let a = log(1..=1);
        a.file.write(HEAD as u64, &u32::MAX.to_le_bytes()).expect("memory takes it");
        assert_eq!(open(&[&a], 0).expect("it is the last").batch, 0);
    }
}
