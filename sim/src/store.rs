//! A store with FoundationDB's semantics: every row in several versions, snapshots at a version, serializable commits.
//!
//! A transaction reads at its read version. Its commit is refused when a row or a run of rows that it read was written after that version.
//! [`Write::Max`] and [`Write::Add`] write without reading. A transaction that writes nothing is serialized where its snapshot was.
//! Versions are kept for a window; a snapshot older than that is too old. What goes wrong beyond that is `flight`'s.

use core::ops::Bound;
use doubletick_core::store::{Key, LentRows, NotFetched, Read, Scan, Snapshot, Write, limits, merge};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long versions are kept, in milliseconds: what FoundationDB calls the MVCC window.
pub const WINDOW_MS: u64 = 5_000;

/// A point in the order of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

/// The rows of the store, in all versions of the window.
#[derive(Clone, Debug, Default)]
pub struct Store {
    rows: BTreeMap<Key, Cell>,
    version: Version,
    /// Each write, in the order of commits: after the window, what it replaced is forgotten.
    written: VecDeque<(u64, Version, Key)>,
}

/// The versions of one row.
#[derive(Clone, Debug)]
struct Cell {
    version: Version,
    /// `None` where there is no such row.
    value: Option<Vec<u8>>,
    /// Earlier ones, the latest last.
    older: Vec<(Version, Option<Vec<u8>>)>,
}

/// What a transaction has read: its read conflict ranges.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    keys: Vec<Key>,
    ranges: Vec<(Bound<Key>, Bound<Key>)>,
}

/// The store at one version.
pub struct At<'a> {
    store: &'a Store,
    version: Version,
    reads: &'a mut Reads,
    /// Only what is in here is at hand; everything is if there is none.
    fetched: Option<&'a BTreeSet<Read>>,
}

impl Store {
    /// The version of the last commit: what a transaction that begins reads at.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The state at a version. `fetched` names what earlier rounds have fetched; without it everything is at hand.
    pub fn at<'a>(&'a self, version: Version, reads: &'a mut Reads, fetched: Option<&'a BTreeSet<Read>>) -> At<'a> {
        At { store: self, version, reads, fetched }
    }

    /// The latest value of a row.
    pub fn latest(&self, key: &Key) -> Option<&[u8]> {
        self.rows.get(key).and_then(|cell| cell.value.as_deref())
    }

    /// The value of a row before the last commit.
    pub fn before(&self, key: &Key) -> Option<&[u8]> {
        let cell = self.rows.get(key)?;
        let before = if cell.version == self.version { &cell.older.last()?.1 } else { &cell.value };
        before.as_deref()
    }

    /// Whether the last commit has given a row its value.
    pub fn was_set(&self, key: &Key) -> bool {
        self.rows.get(key).is_some_and(|cell| cell.version == self.version && cell.value.is_some())
    }

    /// The latest values of all rows, in the order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.rows.iter().filter_map(|(key, cell)| Some((*key, cell.value.as_deref()?)))
    }

    /// The latest values of a run of rows, in the order of their keys.
    pub fn rows_in(&self, scan: &Scan) -> impl Iterator<Item = (Key, &[u8])> {
        self.rows.range(scan.from..scan.to).filter_map(|(key, cell)| Some((*key, cell.value.as_deref()?)))
    }

    /// Whether something that was read at a version was written after it.
    pub fn conflicts(&self, reads: &Reads, version: Version) -> bool {
        if version == self.version {
            return false;
        }
        let key_written = |key: &Key| self.rows.get(key).is_some_and(|cell| cell.version > version);
        reads.keys.iter().any(key_written)
            || reads.ranges.iter().any(|range| self.rows.range(*range).any(|(_, cell)| cell.version > version))
    }

    /// Applies the writes of one transaction at a time, in their order.
    ///
    /// # Panics
    /// If they break one of the [`limits`].
    pub fn commit(&mut self, now: u64, writes: Vec<Write>) {
        limits::check_writes(&writes);
        self.forget(now);
        if writes.is_empty() {
            return;
        }
        self.version.0 += 1;
        let version = self.version;
        for write in writes {
            let key = *write.key();
            let cell = self.rows.entry(key).or_insert(Cell { version: Version(0), value: None, older: Vec::new() });
            let value = match write {
                Write::Set(_, value) => Some(value),
                Write::Clear(_) | Write::Max(..) | Write::Add(..) => merge(cell.value.as_deref(), &write),
            };
            if cell.version == version {
                cell.value = value;
                continue;
            }
            let before = core::mem::replace(&mut cell.value, value);
            cell.older.push((cell.version, before));
            cell.version = version;
            self.written.push_back((now, version, key));
        }
    }

    /// The rows that the last commit has written, in the order of its writes.
    pub fn last_written(&self) -> impl Iterator<Item = Key> {
        let from = self.written.partition_point(|(_, version, _)| *version < self.version);
        self.written.range(from..).map(|(.., key)| *key)
    }

    /// Forgets what no snapshot of the window can see.
    fn forget(&mut self, now: u64) {
        // A little more than the window is kept: a snapshot is judged by when it began, which is before it read its version.
        while let Some((at, version, key)) = self.written.front().copied()
            && at + WINDOW_MS + 1_000 < now
        {
            self.written.pop_front();
            let Some(cell) = self.rows.get_mut(&key) else { continue };
            cell.older.retain(|(older, _)| *older >= version);
            if cell.version == version {
                cell.older.clear();
                if cell.value.is_none() {
                    self.rows.remove(&key);
                }
            }
        }
    }
}

impl Cell {
    fn at(&self, version: Version) -> Option<&Vec<u8>> {
        if self.version <= version {
            return self.value.as_ref();
        }
        self.older.iter().rev().find(|(older, _)| *older <= version).and_then(|(_, value)| value.as_ref())
    }
}

impl Reads {
    /// Forgets everything, for another run.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.ranges.clear();
    }
}

impl Snapshot for At<'_> {
    fn has(&self, key: &Key) -> bool {
        self.fetched.is_none_or(|fetched| fetched.contains(&Read::Row(*key)))
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        if !self.has(key) {
            return Err(NotFetched);
        }
        self.reads.keys.push(*key);
        Ok(self.store.rows.get(key).and_then(|cell| cell.at(self.version)).map(Cow::from))
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        if !limits::check_scan(scan) {
            return Ok(Vec::new());
        }
        if self.fetched.is_some_and(|fetched| !fetched.contains(&Read::Rows(*scan))) {
            return Err(NotFetched);
        }
        let version = self.version;
        let range = self.store.rows.range(scan.from..scan.to).filter_map(|(key, cell)| Some((*key, Cow::from(cell.at(version)?))));
        let limit = scan.limit as usize;
        let rows: Vec<_> = if scan.reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() };
        // A scan that met its limit has not looked at what lies beyond its last row.
        let last = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| *key);
        self.reads.ranges.push(match last {
            Some(last) if scan.reverse => (Bound::Included(last), Bound::Excluded(scan.to)),
            Some(last) => (Bound::Included(scan.from), Bound::Included(last)),
            None => (Bound::Included(scan.from), Bound::Excluded(scan.to)),
        });
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::new(&[0x10, n])
    }

    fn set(n: u8, value: u8) -> Write {
        Write::Set(key(n), vec![value])
    }

    fn all(limit: u32, reverse: bool) -> Scan {
        Scan { from: key(0), to: key(99), limit, reverse }
    }

    #[test]
    fn a_snapshot_keeps_showing_what_was_there_when_it_began() {
        let mut store = Store::default();
        store.commit(0, vec![set(1, 1), set(2, 2)]);
        let before = store.version();
        store.commit(1, vec![set(1, 9), Write::Clear(key(2)), set(3, 3)]);
        let mut reads = Reads::default();
        let mut old = store.at(before, &mut reads, None);
        assert_eq!(old.get(&key(1)), Ok(Some(vec![1].into())));
        assert_eq!(old.scan(&all(9, false)), Ok(vec![(key(1), vec![1].into()), (key(2), vec![2].into())]));
        let mut reads = Reads::default();
        assert_eq!(
            store.at(store.version(), &mut reads, None).scan(&all(9, true)),
            Ok(vec![(key(3), vec![3].into()), (key(1), vec![9].into())])
        );
    }

    #[test]
    fn what_was_read_and_then_written_conflicts_and_nothing_else_does() {
        let mut store = Store::default();
        store.commit(0, vec![set(1, 1), set(5, 5)]);
        let version = store.version();
        let read = |store: &Store, scan: Scan, row: u8| {
            let mut reads = Reads::default();
            let mut at = store.at(version, &mut reads, None);
            at.scan(&scan).unwrap();
            at.get(&key(row)).unwrap();
            reads
        };
        let first = read(&store, all(1, false), 1);
        let last = read(&store, all(1, true), 5);
        let whole = read(&store, all(9, false), 1);
        store.commit(1, vec![set(3, 3)]);
        assert!(!store.conflicts(&first, version) && !store.conflicts(&last, version), "beyond the limit nothing was read");
        assert!(store.conflicts(&whole, version), "a row that was not there was read too");
        let absent = read(&store, Scan { from: key(50), to: key(60), limit: 1, reverse: false }, 7);
        assert!(!store.conflicts(&absent, store.version()));
        let now = store.version();
        store.commit(2, vec![Write::Add(key(7), 1)]);
        assert!(store.conflicts(&absent, now), "a sum conflicts with its readers");
    }

    #[test]
    fn a_cleared_row_still_conflicts_and_is_forgotten_after_the_window() {
        let mut store = Store::default();
        store.commit(0, vec![set(1, 1)]);
        let version = store.version();
        let mut reads = Reads::default();
        store.at(version, &mut reads, None).scan(&all(9, false)).unwrap();
        store.commit(1, vec![Write::Clear(key(1))]);
        assert!(store.conflicts(&reads, version));
        store.commit(WINDOW_MS * 3, vec![set(2, 2)]);
        assert_eq!(store.rows.len(), 1);
    }

    #[test]
    fn only_what_was_fetched_is_at_hand() {
        let mut store = Store::default();
        store.commit(0, vec![set(1, 1)]);
        let fetched = BTreeSet::from([Read::Row(key(1))]);
        let mut reads = Reads::default();
        let mut at = store.at(store.version(), &mut reads, Some(&fetched));
        assert_eq!(at.get(&key(1)), Ok(Some(vec![1].into())));
        assert_eq!(at.get(&key(2)), Err(NotFetched));
        assert_eq!(at.scan(&all(9, false)), Err(NotFetched));
    }
}
