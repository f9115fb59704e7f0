//! The database itself: every row in several versions, snapshots at a version, serializable commits.
//!
//! Pure and deterministic: time comes in as microseconds with every call, and one version passes with each, as in FoundationDB. A
//! transaction reads at its read version. Its commit is refused if a key that it read was written after that version. Versions are kept
//! for a window of five seconds; reads and commits at an older one are too old.

mod mutation;
mod ranges;
mod written;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

pub use mutation::{Atomic, Mutation, stamp, stamp_position, versionstamp};
pub use ranges::{Noted, Range, Ranges, key_after};

use written::Written;

/// How many versions a snapshot can be read for: five seconds of them.
pub const WINDOW: i64 = 5_000_000;

/// A point in the order of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i64);

impl Version {
    /// Before every commit.
    pub const ZERO: Self = Self(0);
}

/// All rows, in all versions of the window.
#[derive(Debug, Default)]
pub struct Model {
    rows: BTreeMap<Bytes, Row>,
    written: Written,
    /// The greatest version that was handed out, to a reader or a commit.
    version: Version,
    /// What each commit of the window changed, in their order: after the window, what it replaced is forgotten.
    replaced: VecDeque<(Version, Vec<Bytes>)>,
}

/// The versions of one row, the latest last. `None` from where there is no such row.
#[derive(Debug, Default)]
struct Row(Vec<(Version, Option<Bytes>)>);

/// What a transaction asks to have committed.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The version that it read at, if it read.
    pub read_version: Option<Version>,
    /// The keys that must not have been written since.
    pub reads: Noted,
    /// The keys that count as written, apart from those of stamped keys, which are known once the version is.
    pub writes: Noted,
    /// The changes, in their order.
    pub mutations: Vec<Mutation>,
}

/// A transaction is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where in the order of commits.
    pub version: Version,
    /// The keys of the rows that it may have changed, each once.
    pub changed: Vec<Bytes>,
}

/// Why a transaction is not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its read version is older than the window.
    TooOld,
    /// These of the keys that it read were written since.
    Conflict(Ranges),
}

/// Why nothing can be read at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is older than the window.
    TooOld,
    /// It has not been handed out yet.
    Future,
}

impl Model {
    /// The version that a transaction reads at which begins at `now`: it sees every commit before it.
    pub fn read_version(&mut self, now: u64) -> Version {
        self.version = self.version.max(version_of(now));
        self.version
    }

    /// Whether there is a snapshot at a version.
    pub fn readable(&self, version: Version, now: u64) -> Result<(), Unreadable> {
        if version > self.version.max(version_of(now)) {
            return Err(Unreadable::Future);
        }
        if version < oldest(now) { Err(Unreadable::TooOld) } else { Ok(()) }
    }

    /// The value of a row at a version.
    pub fn get(&self, version: Version, key: &[u8]) -> Option<&Bytes> {
        self.rows.get(key).and_then(|row| row.at(version))
    }

    /// The rows at a version with keys between two bounds, in the order of their keys.
    pub fn range(&self, version: Version, from: Bound<&[u8]>, to: Bound<&[u8]>) -> impl DoubleEndedIterator<Item = (&Bytes, &Bytes)> {
        self.rows.range::<[u8], _>((from, to)).filter_map(move |(key, row)| Some((key, row.at(version)?)))
    }

    /// The value of a row after all commits.
    pub fn latest(&self, key: &[u8]) -> Option<&Bytes> {
        self.rows.get(key).and_then(|row| row.0.last()).and_then(|(_, value)| value.as_ref())
    }

    /// The greatest version that was handed out, to a reader or a commit.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many rows there are, those counted that are only there for older snapshots.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Commits a transaction, if nothing that it read was written since.
    pub fn commit(&mut self, now: u64, commit: &Commit) -> Result<Committed, Refused> {
        self.forget(now);
        if let Some(read_version) = commit.read_version.filter(|_| !commit.reads.is_empty()) {
            if read_version < oldest(now) {
                return Err(Refused::TooOld);
            }
            let mut conflicts = Ranges::default();
            for (begin, end) in commit.reads.iter() {
                self.written.since(begin, end, read_version).for_each(|(begin, end)| conflicts.insert(begin, end));
            }
            if !conflicts.is_empty() {
                return Err(Refused::Conflict(conflicts));
            }
        }
        // Later than every version that a reader has, so that no snapshot changes.
        let version = Version(self.version.0 + 1).max(version_of(now));
        self.version = version;
        for (begin, end) in commit.writes.iter() {
            self.written.note(begin, end, version);
        }
        let mut changed = Vec::new();
        for mutation in &commit.mutations {
            self.apply(version, mutation, &mut changed);
        }
        self.replaced.push_back((version, changed.clone()));
        Ok(Committed { version, changed })
    }

    fn apply(&mut self, version: Version, mutation: &Mutation, changed: &mut Vec<Bytes>) {
        match mutation {
            Mutation::Set(key, value) => self.put(version, key.clone(), Some(value.clone()), changed),
            Mutation::Clear(begin, end) => {
                let there = self.range(Version(i64::MAX), Bound::Included(begin), Bound::Excluded(end));
                let keys: Vec<Bytes> = there.map(|(key, _)| key.clone()).collect();
                keys.into_iter().for_each(|key| self.put(version, key, None, changed));
            }
            Mutation::Atomic(op, key, operand) => {
                let value = op.apply(self.latest(key), operand);
                self.put(version, key.clone(), value, changed);
            }
            Mutation::StampedKey(template, value) => {
                let key = stamp(template, versionstamp(version));
                self.written.note(&key, &key_after(&key), version);
                self.put(version, key, Some(value.clone()), changed);
            }
            Mutation::StampedValue(key, template) => {
                self.put(version, key.clone(), Some(stamp(template, versionstamp(version))), changed);
            }
        }
    }

    fn put(&mut self, version: Version, key: Bytes, value: Option<Bytes>, changed: &mut Vec<Bytes>) {
        let row = self.rows.entry(key.clone()).or_default();
        match row.0.last_mut() {
            Some((at, held)) if *at == version => *held = value,
            _ => {
                row.0.push((version, value));
                changed.push(key);
            }
        }
    }

    /// Forgets what no snapshot of the window can see.
    fn forget(&mut self, now: u64) {
        let oldest = oldest(now);
        while self.replaced.front().is_some_and(|(version, _)| *version < oldest) {
            let (version, keys) = self.replaced.pop_front().expect("it has a front");
            for key in keys {
                let Some(row) = self.rows.get_mut(&key) else { continue };
                row.0.drain(..row.0.iter().rposition(|(at, _)| *at <= version).unwrap_or(0));
                if matches!(&row.0[..], [(_, None)]) {
                    self.rows.remove(&key);
                }
            }
        }
        self.written.sweep(oldest);
    }
}

impl Row {
    fn at(&self, version: Version) -> Option<&Bytes> {
        self.0.iter().rev().find(|(at, _)| *at <= version).and_then(|(_, value)| value.as_ref())
    }
}

fn version_of(now: u64) -> Version {
    Version(i64::try_from(now).expect("three hundred thousand years"))
}

/// The oldest version that can be read.
fn oldest(now: u64) -> Version {
    Version(version_of(now).0 - WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    /// A transaction that reads these keys and sets those.
    fn transaction(read_version: Version, reads: &[&[u8]], sets: &[(&[u8], &[u8])]) -> Commit {
        let mut commit = Commit { read_version: Some(read_version), ..Commit::default() };
        reads.iter().for_each(|key| commit.reads.insert_key(&bytes(key)));
        for (key, value) in sets {
            commit.writes.insert_key(&bytes(key));
            commit.mutations.push(Mutation::Set(bytes(key), bytes(value)));
        }
        commit
    }

    fn clear(begin: &[u8], end: &[u8]) -> Commit {
        let mut commit = Commit { mutations: vec![Mutation::Clear(bytes(begin), bytes(end))], ..Commit::default() };
        commit.writes.insert(bytes(begin), bytes(end));
        commit
    }

    #[test]
    fn a_snapshot_keeps_showing_what_was_there_when_it_began() {
        let mut model = Model::default();
        model.commit(1, &transaction(Version(0), &[], &[(b"a", b"1"), (b"b", b"2")])).unwrap();
        let before = model.read_version(1);
        model.commit(1, &transaction(before, &[], &[(b"a", b"9"), (b"c", b"3")])).unwrap();
        model.commit(1, &clear(b"b", b"c")).unwrap();
        let all = |version| {
            let rows = model.range(version, Bound::Unbounded, Bound::Unbounded);
            rows.flat_map(|(key, value)| [&key[..], &value[..]].concat()).collect::<Vec<u8>>()
        };
        assert_eq!(all(before), b"a1b2");
        assert_eq!(all(model.version()), b"a9c3");
        assert_eq!(model.get(before, b"a"), Some(&bytes(b"1")));
    }

    #[test]
    fn what_was_read_and_then_written_conflicts_even_where_there_is_no_row() {
        let mut model = Model::default();
        let version = model.read_version(10);
        model.commit(20, &clear(b"m", b"n")).unwrap();
        assert_eq!(
            model.commit(30, &transaction(version, &[b"m1"], &[(b"x", b"1")])),
            Err(Refused::Conflict([(bytes(b"m1"), bytes(b"m1\0"))].into_iter().fold(Ranges::default(), |mut ranges, (begin, end)| {
                ranges.insert(begin, end);
                ranges
            })))
        );
        assert!(model.commit(30, &transaction(version, &[b"n"], &[(b"x", b"1")])).is_ok(), "the end does not belong to it");
        let later = model.read_version(30);
        assert!(model.commit(40, &transaction(later, &[b"m1", b"x"], &[(b"x", b"2")])).is_ok());
    }

    #[test]
    fn a_snapshot_older_than_the_window_is_too_old() {
        let mut model = Model::default();
        let version = model.read_version(10);
        let (within, beyond) = (10 + WINDOW as u64, 11 + WINDOW as u64);
        assert_eq!(model.readable(version, within), Ok(()));
        assert_eq!(model.readable(version, beyond), Err(Unreadable::TooOld));
        assert_eq!(model.readable(Version(12), 11), Err(Unreadable::Future));
        assert!(model.commit(within, &transaction(version, &[b"a"], &[(b"a", b"1")])).is_ok());
        assert_eq!(model.commit(beyond, &transaction(version, &[b"b"], &[(b"b", b"1")])), Err(Refused::TooOld));
        assert!(model.commit(beyond, &transaction(version, &[], &[(b"b", b"1")])).is_ok(), "what read nothing cannot be too old");
    }

    #[test]
    fn versions_beyond_the_window_and_cleared_rows_are_forgotten() {
        let mut model = Model::default();
        for n in 0..100_u64 {
            model.commit(n, &transaction(Version(0), &[], &[(b"a", b"1"), (b"b", b"2")])).unwrap();
        }
        model.commit(200, &clear(b"a", b"b")).unwrap();
        let seen = model.read_version(300);
        let later = 400 + WINDOW as u64;
        model.commit(later, &transaction(Version(0), &[], &[(b"c", b"3")])).unwrap();
        assert_eq!(model.rows(), 2);
        assert_eq!(model.rows[&b"b"[..]].0.len(), 1);
        assert_eq!(model.get(seen, b"b"), Some(&bytes(b"2")), "the last value within the window stays");
    }

    #[test]
    fn stamps_grow_with_the_commits_and_are_written_where_the_template_says() {
        let mut model = Model::default();
        let template = [b"k/".as_slice(), &[0; 10], &2_i32.to_le_bytes()].concat();
        let stamped = || Commit { mutations: vec![Mutation::StampedKey(bytes(&template), bytes(b"v"))], ..Commit::default() };
        let first = model.commit(5, &stamped()).unwrap();
        let second = model.commit(5, &stamped()).unwrap();
        let keys: Vec<_> = model.range(second.version, Bound::Unbounded, Bound::Unbounded).map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, [first.version, second.version].map(|v| bytes(&[&b"k/"[..], &versionstamp(v)].concat())));
        let mut reader = transaction(first.version, &[], &[(b"x", b"1")]);
        reader.reads.insert(bytes(b"k/"), bytes(b"k0"));
        assert!(matches!(model.commit(6, &reader), Err(Refused::Conflict(_))), "a stamped key conflicts with its readers");
    }
}
