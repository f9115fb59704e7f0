//! Stores for whoever must not change them: proofs, statistics, copies.
//!
//! What is handed out as [`Readable`] has no way to write, and a [`Reading`] has nowhere to say that it would like to. Callers are tools with
//! threads of their own, so a read blocks.

use std::borrow::Cow;
use std::thread;
use std::time::Duration;

use doubletick_core::store::{Commit, Failure, Key, Lane, Missing, NotFetched, Read, Scan, Snapshot, Transaction};

use crate::Store;
use crate::waiting::block_on;

/// A pure function over one state of a store.
pub trait Reading: Clone + Send + 'static {
    /// What it finds.
    type Answer: Send + 'static;

    /// Computes the answer from what the snapshot holds. May be called several times; the same snapshot gives the same answer.
    ///
    /// # Errors
    /// What the snapshot does not have at hand.
    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Self::Answer, Missing>;
}

/// A store that can be read and not be written.
pub trait Readable: Sync {
    /// Runs the function against one state of the store.
    ///
    /// # Errors
    /// Why there is no answer.
    fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError>;
}

/// Why a store could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store did not answer, although it was asked several times.
    #[error("the store does not answer: is the cluster up, and can this machine reach it?")]
    Away,
    /// The files do not hold what they should.
    #[error("the files cannot be read: {0}")]
    Broken(String),
}

/// What one run of a [`Reading`] reads, and what of it the snapshot did not have at hand. The rest of a stage goes on with nothing in its
/// place, so that all of a stage is fetched at once; [`Stage::end`] ends it.
pub struct Stage<'a> {
    snapshot: &'a mut dyn Snapshot,
    missing: Vec<Read>,
}

impl<'a> Stage<'a> {
    /// Reads from the snapshot.
    pub fn new(snapshot: &'a mut dyn Snapshot) -> Self {
        Self { snapshot, missing: Vec::new() }
    }

    /// A row, if it is there and at hand.
    pub fn row(&mut self, key: &Key) -> Option<Vec<u8>> {
        match self.snapshot.get(key) {
            Ok(value) => value.map(Cow::into_owned),
            Err(NotFetched) => {
                self.missing.push(Read::Row(*key));
                None
            }
        }
    }

    /// The rows of a run of keys, if they are at hand.
    pub fn rows(&mut self, scan: &Scan) -> Vec<(Key, Vec<u8>)> {
        match self.snapshot.scan(scan) {
            Ok(rows) => rows.into_iter().map(|(key, value)| (key, value.into_owned())).collect(),
            Err(NotFetched) => {
                self.missing.push(Read::Rows(*scan));
                Vec::new()
            }
        }
    }

    /// Whether all that was read so far was at hand.
    ///
    /// # Errors
    /// What was not.
    pub fn end(&mut self) -> Result<(), Missing> {
        if self.missing.is_empty() { Ok(()) } else { Err(Missing(std::mem::take(&mut self.missing))) }
    }
}

/// Any store, but only to be read.
pub struct ReadOnly<S>(S);

/// How often a store that has no answer is asked, and how long is waited in between, longer each time.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);

impl<S: Store> ReadOnly<S> {
    /// Takes away what writes.
    pub fn new(store: S) -> Self {
        Self(store)
    }
}

impl<S: Store> Readable for ReadOnly<S> {
    fn read<R: Reading>(&self, reading: R) -> Result<R::Answer, ReadError> {
        for attempt in 0..TRIES {
            match block_on(self.0.execute(WritesNothing(reading.clone()))) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Retry | Failure::Unknown | Failure::Unavailable) => thread::sleep(PAUSE * 2_u32.pow(attempt)),
            }
        }
        Err(ReadError::Away)
    }
}

struct WritesNothing<R>(R);

impl<R: Reading> Transaction for WritesNothing<R> {
    type Answer = R::Answer;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<R::Answer>, Missing> {
        self.0.run(snapshot).map(|answer| Commit { writes: Vec::new(), answer })
    }

    fn lane(&self) -> Lane {
        Lane::Quick
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[derive(Clone)]
    struct Put(Key);

    impl Transaction for Put {
        type Answer = ();

        fn run(&self, _: &mut dyn Snapshot) -> Result<Commit<()>, Missing> {
            Ok(Commit { writes: vec![doubletick_core::store::Write::Set(self.0, b"value".to_vec())], answer: () })
        }
    }

    /// Whether there are two rows, one found after the other.
    #[derive(Clone)]
    struct Both(Key, Key);

    impl Reading for Both {
        type Answer = (bool, usize);

        fn run(&self, snapshot: &mut dyn Snapshot) -> Result<(bool, usize), Missing> {
            let mut stage = Stage::new(snapshot);
            let first = stage.row(&self.0).is_some();
            stage.end()?;
            let scan = Scan { from: self.1, to: self.1.after(), limit: 9, reverse: false };
            let second = stage.rows(&scan).len();
            stage.end()?;
            Ok((first, second))
        }
    }

    #[test]
    fn a_reading_sees_what_is_there() {
        let store = Memory::new();
        let (a, b) = (Key::new(b"a"), Key::new(b"b"));
        block_on(store.execute(Put(a))).expect("memory takes it");
        let store = ReadOnly::new(store);
        assert_eq!(store.read(Both(a, b)), Ok((true, 0)));
        assert_eq!(store.read(Both(b, a)), Ok((false, 1)));
    }
}
