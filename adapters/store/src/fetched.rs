//! The snapshot of a store that must fetch, and its rounds.
//!
//! Such a store runs a transaction against what it has fetched so far, at first nothing. A run that ends with [`Missing`] names the reads
//! of the next round; the store fetches them, all at once and all from one state, puts them in, and runs the transaction again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use doubletick_core::store::{Commit, Key, LentRows, Missing, NotFetched, Read, Scan, Snapshot, Transaction};

use crate::limits::check_scan;

/// What was fetched for one transaction so far.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    rows: BTreeMap<Key, Option<Vec<u8>>>,
    scans: BTreeMap<Scan, Vec<(Key, Vec<u8>)>>,
    rounds: u32,
}

impl Fetched {
    /// Runs the transaction once. What it found missing comes back sorted, each read once; it is to be put in before the next run.
    ///
    /// # Panics
    /// If the transaction calls for another round although all it names was fetched: it would do so for ever.
    pub fn run<T: Transaction>(&mut self, transaction: &T) -> Result<Commit<T::Answer>, Vec<Read>> {
        transaction.run(self).map_err(|Missing(mut reads)| {
            reads.sort_unstable();
            reads.dedup();
            reads.retain(|read| !self.has(read));
            assert!(!reads.is_empty(), "a transaction that calls for a round and names nothing new, after {} rounds", self.rounds);
            self.rounds += 1;
            reads
        })
    }

    /// Puts in one row.
    pub fn put_row(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.rows.insert(key, value);
    }

    /// Puts in the rows of a scan, in the order that it asks for.
    pub fn put_scan(&mut self, scan: Scan, rows: Vec<(Key, Vec<u8>)>) {
        self.scans.insert(scan, rows);
    }

    /// How many rounds of reads were called for.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Everything that was fetched: what a commit depends on.
    pub fn reads(&self) -> impl Iterator<Item = Read> + '_ {
        self.rows.keys().copied().map(Read::Row).chain(self.scans.keys().copied().map(Read::Rows))
    }

    fn has(&self, read: &Read) -> bool {
        match read {
            Read::Row(key) => self.rows.contains_key(key),
            Read::Rows(scan) => self.scans.contains_key(scan),
        }
    }
}

impl Snapshot for Fetched {
    fn has(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        self.rows.get(key).map(|value| value.as_deref().map(Cow::from)).ok_or(NotFetched)
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        if !check_scan(scan) {
            return Ok(Vec::new());
        }
        let rows = self.scans.get(scan).ok_or(NotFetched)?;
        Ok(rows.iter().map(|(key, value)| (*key, value.into())).collect())
    }
}
