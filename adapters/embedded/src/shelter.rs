//! What stands between redb and its file, so that a failing disk stops writing but not reading.
//!
//! After one failed write or sync redb refuses everything, reads of pages that it has not cached included. But the state that readers
//! look at is untouched: redb writes only to pages that no such state uses. So from the first failure on a [`Shelter`] keeps what redb
//! writes in memory, and lets it believe that all is well. Whoever commits asks for trouble afterwards, and if there was any, does not
//! publish what was committed, and replaces the database by one opened anew. Nothing reaches the file after the failure, so it looks
//! as after a crash at that moment, which redb recovers from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// A file that takes writes for ever, but from the first failure on only seemingly. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Shelter(Arc<Sheltered>);

#[derive(Debug)]
struct Sheltered {
    file: Box<dyn StorageBackend>,
    /// The first failure. Set once, and looked at without a lock.
    trouble: OnceLock<String>,
    /// Empty until there is trouble.
    kept: Mutex<Kept>,
}

/// What was written since the failure. Bounded by what redb writes until the end of the running commit.
#[derive(Debug, Default)]
struct Kept {
    len: u64,
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Shelter {
    pub(crate) fn new(file: Box<dyn StorageBackend>) -> Self {
        Self(Arc::new(Sheltered { file, trouble: OnceLock::new(), kept: Mutex::default() }))
    }

    /// The first failure, if there was one: nothing has reached the file since.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.0.trouble.get().map(String::as_str)
    }

    /// Lets nothing reach the file from here on: somebody else is going to write it.
    pub(crate) fn retire(&self) -> io::Result<()> {
        if self.trouble().is_none() {
            self.0.part(|| "it was given up".to_owned())?;
        }
        Ok(())
    }
}

impl Sheltered {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, why: impl FnOnce() -> String) -> io::Result<()> {
        // Before the trouble is told, so that whoever sees it sees the length too.
        self.kept().len = self.file.len()?;
        self.trouble.get_or_init(why);
        Ok(())
    }

    /// Whether the file took it; if it fails, or has failed before, what redb wants is to be kept.
    fn took(&self, what: &str, attempt: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        if self.trouble.get().is_some() {
            return Ok(false);
        }
        let Err(error) = attempt() else { return Ok(true) };
        self.part(|| format!("{what}: {error}"))?;
        Ok(false)
    }

    /// One block as the file has it, with zeros where it has nothing.
    fn block(&self, index: u64) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        let start = index * BLOCK as u64;
        let there = self.file.len()?.saturating_sub(start).min(BLOCK as u64) as usize;
        if there > 0 {
            self.file.read(start, &mut block[..there])?;
        }
        Ok(block)
    }
}

impl StorageBackend for Shelter {
    fn len(&self) -> io::Result<u64> {
        if self.0.trouble.get().is_none() {
            return self.0.file.len();
        }
        Ok(self.0.kept().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.trouble.get().is_none() {
            return self.0.file.read(offset, out);
        }
        let kept = self.0.kept();
        for (at, piece) in pieces(offset, out.len()) {
            match kept.blocks.get(&at.index) {
                Some(block) => out[piece].copy_from_slice(&block[at.within]),
                None => out[piece].copy_from_slice(&self.0.block(at.index)?[at.within]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.0.took("the file cannot change its length", || self.0.file.set_len(len))? {
            let mut kept = self.0.kept();
            // What is cut off reads as zeros if the file grows again. Lengths are whole blocks, as all pages of redb are.
            for index in len.div_ceil(BLOCK as u64)..kept.len.div_ceil(BLOCK as u64) {
                kept.blocks.insert(index, Box::new([0; BLOCK]));
            }
            kept.len = len;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.took("the file cannot be synced", || self.0.file.sync_data()).map(drop)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.0.took("the file cannot be written", || self.0.file.write(offset, data))? {
            let mut kept = self.0.kept();
            for (at, piece) in pieces(offset, data.len()) {
                let block = match kept.blocks.entry(at.index) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(Box::new(self.0.block(at.index)?)),
                };
                block[at.within].copy_from_slice(&data[piece]);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }
}

struct At {
    index: u64,
    within: std::ops::Range<usize>,
}

/// The blocks that a run of bytes lies in, each with where in the run it is.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (At, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let position = offset + done as u64;
        let begin = (position % BLOCK as u64) as usize;
        let size = (BLOCK - begin).min(len - done);
        let piece = done..done + size;
        done += size;
        Some((At { index: position / BLOCK as u64, within: begin..begin + size }, piece))
    })
}
