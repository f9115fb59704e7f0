//! What a transaction sees: a snapshot of the store with the writes of the commands before it laid over.

use crate::reject::Reject;
use crate::rows::{At, Counter, Row};
use crate::store::{self, Key, Missing, Read, Scan, Snapshot, Write};
use alloc::borrow::Cow;
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Typed rows, read from a snapshot and overlaid with this transaction's own writes.
pub struct View<'a> {
    snapshot: &'a mut dyn Snapshot,
    /// What becomes of each row by the commands so far, in the order in which they came to it.
    changes: Vec<Change>,
    /// Which of the changes is of which row.
    written: BTreeMap<Key, usize>,
    missing: BTreeSet<Read>,
    damaged: Vec<Key>,
}

/// What becomes of one row: whatever it was, if it is set or cleared; else what a maximum or a sum makes of the stored value, which was
/// never read.
struct Change {
    first: Write,
    /// Further maxima and sums, where those of one row are mixed.
    more: Vec<Write>,
}

impl Change {
    fn then(&mut self, write: Write) {
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        match (last, &write) {
            (_, Write::Set(..) | Write::Clear(_)) => *self = Self { first: write, more: Vec::new() },
            (Write::Max(_, held), Write::Max(_, least)) => *held = (*held).max(*least),
            (Write::Add(_, held), Write::Add(_, more)) => *held = held.wrapping_add(*more),
            (Write::Set(_, value), _) => self.first = made(write.key(), store::merge(Some(value), &write)),
            (Write::Clear(_), _) => self.first = made(write.key(), store::merge(None, &write)),
            (Write::Max(..) | Write::Add(..), _) => self.more.push(write),
        }
    }

    /// What the row holds after it.
    fn on<'v>(&'v self, stored: Option<Cow<'v, [u8]>>) -> Option<Cow<'v, [u8]>> {
        match &self.first {
            Write::Set(_, value) => Some(Cow::Borrowed(value)),
            Write::Clear(_) => None,
            Write::Max(..) | Write::Add(..) => {
                let merged = |value: Option<Cow<'v, [u8]>>, write: &Write| store::merge(value.as_deref(), write).map(Cow::Owned);
                self.more.iter().fold(merged(stored, &self.first), merged)
            }
        }
    }

    /// Whether what is stored makes no difference.
    fn is_all(&self) -> bool {
        matches!(self.first, Write::Set(..) | Write::Clear(_))
    }
}

fn made(key: &Key, value: Option<Vec<u8>>) -> Write {
    value.map_or(Write::Clear(*key), |value| Write::Set(*key, value))
}

/// Why a command goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A row must be fetched first; the view has noted which.
    Missing,
    /// The command is refused.
    Reject(Reject),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl<'a> View<'a> {
    /// A view in which nothing was written yet.
    pub fn new(snapshot: &'a mut dyn Snapshot) -> Self {
        Self { snapshot, changes: Vec::new(), written: BTreeMap::new(), missing: BTreeSet::new(), damaged: Vec::new() }
    }

    /// The next part of the transaction begins.
    pub fn turn(&mut self, nth: usize) {
        self.snapshot.turn(nth);
    }

    /// Asks for several rows at once, so that a store that must fetch them does so in one round.
    pub fn need(&mut self, keys: &[Key]) -> Result<(), Stop> {
        let mut complete = Ok(());
        for key in keys {
            if !self.snapshot.has(key) && !self.change_of(key).is_some_and(Change::is_all) {
                self.missing.insert(Read::Row(*key));
                complete = Err(Stop::Missing);
            }
        }
        complete
    }

    /// The value of a row. One that does not decode is reported and stops the command with [`Reject::Damaged`].
    pub fn get<R: Row>(&mut self, at: &At<R>) -> Result<Option<R>, Stop> {
        let Some(row) = self.bytes(&at.key)?.map(|bytes| R::decode(&bytes)) else { return Ok(None) };
        row.map(Some).map_err(|_| {
            self.report(at.key);
            Reject::Damaged.into()
        })
    }

    /// The value of a row, where the others must not suffer for one that does not decode: it is reported, and counts as absent.
    pub fn find<R: Row>(&mut self, at: &At<R>) -> Result<Option<R>, Stop> {
        match self.get(at) {
            Err(Stop::Reject(_)) => Ok(None),
            found => found,
        }
    }

    /// Whether there is such a row. One that does not decode is reported, and is there all the same.
    pub fn exists<R: Row>(&mut self, at: &At<R>) -> Result<bool, Stop> {
        let Some(sound) = self.bytes(&at.key)?.map(|bytes| R::decode(&bytes).is_ok()) else { return Ok(false) };
        if !sound {
            self.report(at.key);
        }
        Ok(true)
    }

    /// The value of a counter, `None` where nothing was ever counted.
    pub fn counter(&mut self, at: &At<Counter>) -> Result<Option<u64>, Stop> {
        Ok(self.get(at)?.map(|Counter(value)| value))
    }

    /// The rows of a run of keys. Where one does not decode, it is reported and `None` stands in its place.
    pub fn scan<R: Row>(&mut self, scan: &Scan) -> Result<Vec<(Key, Option<R>)>, Stop> {
        let rows = self.scan_bytes(scan, |key, bytes| (key, R::decode(bytes).ok()))?;
        rows.iter().filter(|(_, row)| row.is_none()).for_each(|(key, _)| self.report(*key));
        Ok(rows)
    }

    /// The rows of a run of keys as they are stored, each passed through `read`.
    pub fn scan_stored<T>(&mut self, scan: &Scan, read: impl FnMut(Key, &[u8]) -> T) -> Result<Vec<T>, Stop> {
        self.scan_bytes(scan, read)
    }

    /// Notes a row that does not decode, to be reported.
    pub fn report(&mut self, key: Key) {
        if !self.damaged.contains(&key) {
            self.damaged.push(key);
        }
    }

    /// The row has this value from now on.
    pub fn set<R: Row>(&mut self, at: &At<R>, row: &R) {
        self.write(Write::Set(at.key, row.encode()));
    }

    /// There is no such row from now on.
    pub fn clear(&mut self, key: Key) {
        self.write(Write::Clear(key));
    }

    /// The counter is at least this from now on.
    pub fn raise(&mut self, at: &At<Counter>, least: u64) {
        self.write(Write::Max(at.key, least));
    }

    /// The counter is more by so much from now on, wrapping; for less, by the two's complement.
    pub fn add(&mut self, at: &At<Counter>, more: u64) {
        self.write(Write::Add(at.key, more));
    }

    /// The counter is more by one from now on, and whoever watches it is told.
    pub fn ring(&mut self, at: &At<Counter>) {
        // Once a transaction is enough: nobody can look in between.
        if !self.written.contains_key(&at.key) {
            self.write(Write::Add(at.key, 1));
        }
    }

    /// What was written, in the order of the keys, and which rows were damaged; or what must be fetched before anything can be said.
    pub fn finish(self) -> Result<(Vec<Write>, Vec<Key>), Missing> {
        if !self.missing.is_empty() {
            return Err(Missing(self.missing.into_iter().collect()));
        }
        let mut changes: Vec<Option<Change>> = self.changes.into_iter().map(Some).collect();
        let mut writes = Vec::with_capacity(changes.len());
        for Change { first, more } in self.written.into_values().filter_map(|place| changes[place].take()) {
            writes.push(first);
            writes.extend(more);
        }
        Ok((writes, self.damaged))
    }

    fn change_of(&self, key: &Key) -> Option<&Change> {
        self.written.get(key).map(|place| &self.changes[*place])
    }

    fn write(&mut self, write: Write) {
        self.snapshot.writing(&write);
        match self.written.entry(*write.key()) {
            Entry::Occupied(place) => self.changes[*place.get()].then(write),
            Entry::Vacant(place) => {
                place.insert(self.changes.len());
                self.changes.push(Change { first: write, more: Vec::new() });
            }
        }
    }

    fn bytes(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, Stop> {
        let change = self.written.get(key).map(|place| &self.changes[*place]);
        if let Some(change) = change.filter(|change| change.is_all()) {
            return Ok(change.on(None));
        }
        let Ok(stored) = self.snapshot.get(key) else {
            self.missing.insert(Read::Row(*key));
            return Err(Stop::Missing);
        };
        Ok(match change {
            Some(change) => change.on(stored),
            None => stored,
        })
    }

    fn scan_bytes<T>(&mut self, scan: &Scan, mut read: impl FnMut(Key, &[u8]) -> T) -> Result<Vec<T>, Stop> {
        let own: Vec<(Key, usize)> = self.written.range(scan.from..scan.to).map(|(key, place)| (*key, *place)).collect();
        // Rows that this transaction cleared may stand among the first `limit`, so as many more are asked for.
        let wide = Scan { limit: scan.limit + own.len() as u32, ..*scan };
        let Ok(stored) = self.snapshot.scan(&wide) else {
            self.missing.insert(Read::Rows(wide));
            return Err(Stop::Missing);
        };
        if own.is_empty() {
            return Ok(stored.into_iter().map(|(key, value)| read(key, &value)).collect());
        }
        // Beyond a full page nothing is known of the rows in between.
        let last = stored.last().filter(|_| stored.len() as u32 == wide.limit).map(|(key, _)| *key);
        let mut rows: BTreeMap<Key, Cow<'_, [u8]>> = stored.into_iter().collect();
        for (key, place) in own {
            if last.is_some_and(|last| if scan.reverse { key < last } else { key > last }) {
                continue;
            }
            let before = rows.remove(&key);
            if let Some(value) = self.changes[place].on(before) {
                rows.insert(key, value);
            }
        }
        let limit = scan.limit as usize;
        let read = |(key, value): (Key, Cow<'_, [u8]>)| read(key, &value);
        Ok(if scan.reverse {
            rows.into_iter().rev().take(limit).map(read).collect()
        } else {
            rows.into_iter().take(limit).map(read).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A store that has everything at hand.
    struct Rows(BTreeMap<Key, Vec<u8>>);

    impl Snapshot for Rows {
        fn has(&self, _: &Key) -> bool {
            true
        }

        fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, store::NotFetched> {
            Ok(self.0.get(key).map(Cow::from))
        }

        fn scan(&mut self, scan: &Scan) -> Result<store::LentRows<'_>, store::NotFetched> {
            let rows = self.0.range(scan.from..scan.to).map(|(key, value)| (*key, value.into()));
            let limit = scan.limit as usize;
            Ok(if scan.reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
        }
    }

    fn key(n: u8) -> Key {
        Key::new(&[0x10, n])
    }

    proptest! {
        #[test]
        fn a_view_shows_what_the_store_would_after_the_writes(
            stored in proptest::collection::btree_map(0_u8..12, any::<u64>(), 0..12),
            writes in proptest::collection::vec((0_u8..12, 0_u8..4, any::<u64>()), 0..12),
            from in 0_u8..12, to in 0_u8..12, limit in 1_u32..8, reverse: bool,
        ) {
            let stored: BTreeMap<Key, Vec<u8>> = stored.into_iter().map(|(k, v)| (key(k), v.to_le_bytes().to_vec())).collect();
            let mut after = Rows(stored.clone());
            let mut before = Rows(stored);
            let mut view = View::new(&mut before);
            for (k, kind, value) in writes {
                let write = match kind {
                    0 => Write::Set(key(k), value.to_le_bytes().to_vec()),
                    1 => Write::Clear(key(k)),
                    2 => Write::Max(key(k), value),
                    _ => Write::Add(key(k), value),
                };
                match store::merge(after.0.get(&key(k)).map(Vec::as_slice), &write) {
                    Some(value) => after.0.insert(key(k), value),
                    None => after.0.remove(&key(k)),
                };
                view.write(write);
            }
            for k in 0..12 {
                let seen = view.bytes(&key(k)).unwrap().map(Cow::into_owned);
                prop_assert_eq!(seen, after.0.get(&key(k)).cloned());
            }
            let scan = Scan { from: key(from.min(to)), to: key(from.max(to)), limit, reverse };
            let seen = view.scan_bytes(&scan, |key, value| (key, value.to_vec())).unwrap();
            let there: Vec<_> = after.scan(&scan).unwrap().into_iter().map(|(key, value)| (key, value.into_owned())).collect();
            prop_assert_eq!(seen, there);
        }
    }
}
