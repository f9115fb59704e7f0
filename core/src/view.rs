//! What a transaction sees: a snapshot of the store with the writes of the commands before it laid over.

use crate::reject::Reject;
use crate::rows::{At, Counter, Row};
use crate::store::{self, Key, Missing, Read, Scan, Snapshot, Write};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Typed rows, read from a snapshot and overlaid with this transaction's own writes.
pub struct View<'a> {
    snapshot: &'a mut dyn Snapshot,
    /// The rows as the commands so far leave them. A maximum or a sum keeps what it does to the stored row, which it never read.
    written: BTreeMap<Key, Vec<Write>>,
    missing: BTreeSet<Read>,
    damaged: Vec<Key>,
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
        Self { snapshot, written: BTreeMap::new(), missing: BTreeSet::new(), damaged: Vec::new() }
    }

    /// Asks for several rows at once, so that a store that must fetch them does so in one round.
    pub fn need(&mut self, keys: &[Key]) -> Result<(), Stop> {
        let mut complete = Ok(());
        for key in keys {
            if self.bytes(key).is_err() {
                complete = Err(Stop::Missing);
            }
        }
        complete
    }

    /// The value of a row. One that does not decode is reported and stops the command with [`Reject::Damaged`].
    pub fn get<R: Row>(&mut self, at: &At<R>) -> Result<Option<R>, Stop> {
        let Some(bytes) = self.bytes(&at.key)? else { return Ok(None) };
        match R::decode(&bytes) {
            Ok(row) => Ok(Some(row)),
            Err(_) => {
                self.report(at.key);
                Err(Reject::Damaged.into())
            }
        }
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
        let Some(bytes) = self.bytes(&at.key)? else { return Ok(false) };
        if R::decode(&bytes).is_err() {
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
        let rows = self.scan_bytes(scan)?;
        Ok(rows
            .into_iter()
            .map(|(key, bytes)| {
                let row = R::decode(&bytes).ok();
                if row.is_none() {
                    self.report(key);
                }
                (key, row)
            })
            .collect())
    }

    /// The rows of a run of keys as they are stored.
    pub fn scan_stored(&mut self, scan: &Scan) -> Result<Vec<(Key, Vec<u8>)>, Stop> {
        self.scan_bytes(scan)
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

    /// The counter is more by one from now on, and whoever watches it is told.
    pub fn ring(&mut self, at: &At<Counter>) {
        // Once a transaction is enough: nobody can look in between.
        if !self.written.contains_key(&at.key) {
            self.write(Write::Add(at.key, 1));
        }
    }

    /// What was written, and which rows were damaged; or what must be fetched before anything can be said.
    pub fn finish(self) -> Result<(Vec<Write>, Vec<Key>), Missing> {
        if !self.missing.is_empty() {
            return Err(Missing(self.missing.into_iter().collect()));
        }
        Ok((self.written.into_values().flatten().collect(), self.damaged))
    }

    fn write(&mut self, write: Write) {
        let earlier = self.written.entry(*write.key()).or_default();
        match (&write, earlier.last_mut()) {
            (Write::Set(..) | Write::Clear(_), _) => earlier.clear(),
            (Write::Max(_, least), Some(Write::Max(_, held))) => {
                *held = (*held).max(*least);
                return;
            }
            (Write::Add(_, more), Some(Write::Add(_, held))) => {
                *held = held.wrapping_add(*more);
                return;
            }
            (Write::Max(..) | Write::Add(..), _) => {}
        }
        earlier.push(write);
    }

    fn bytes(&mut self, key: &Key) -> Result<Option<Vec<u8>>, Stop> {
        let written = self.written.get(key).map_or(&[][..], Vec::as_slice);
        let (mut value, rest) = match written {
            [Write::Set(_, value), rest @ ..] => (Some(value.clone()), rest),
            [Write::Clear(_), rest @ ..] => (None, rest),
            [..] => match self.snapshot.get(key) {
                Ok(value) => (value, written),
                Err(store::NotFetched) => {
                    self.missing.insert(Read::Row(*key));
                    return Err(Stop::Missing);
                }
            },
        };
        for write in rest {
            value = store::merge(value.as_deref(), write);
        }
        Ok(value)
    }

    fn scan_bytes(&mut self, scan: &Scan) -> Result<Vec<(Key, Vec<u8>)>, Stop> {
        let own: Vec<Key> = self.written.range(scan.from..scan.to).map(|(key, _)| *key).collect();
        // Rows that this transaction cleared may stand among the first `limit`, so as many more are asked for.
        let wide = Scan { limit: scan.limit + own.len() as u32, ..*scan };
        let Ok(stored) = self.snapshot.scan(&wide) else {
            self.missing.insert(Read::Rows(wide));
            return Err(Stop::Missing);
        };
        if own.is_empty() {
            return Ok(stored);
        }
        let full = stored.len() as u32 == wide.limit;
        let last = stored.last().map(|(key, _)| *key);
        let mut rows: BTreeMap<Key, Vec<u8>> = stored.into_iter().collect();
        for key in own {
            // Beyond a full page nothing is known of the rows in between.
            let beyond = full && last.is_some_and(|last| if scan.reverse { key < last } else { key > last });
            if beyond {
                continue;
            }
            match self.bytes(&key)? {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        let limit = scan.limit as usize;
        Ok(if scan.reverse { rows.into_iter().rev().take(limit).collect() } else { rows.into_iter().take(limit).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A store that has everything at hand.
    struct Rows(BTreeMap<Key, Vec<u8>>);

    impl Snapshot for Rows {
        fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, store::NotFetched> {
            Ok(self.0.get(key).cloned())
        }

        fn scan(&mut self, scan: &Scan) -> Result<Vec<(Key, Vec<u8>)>, store::NotFetched> {
            let rows = self.0.range(scan.from..scan.to).map(|(key, value)| (*key, value.clone()));
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
                prop_assert_eq!(view.bytes(&key(k)).unwrap(), after.0.get(&key(k)).cloned());
            }
            let scan = Scan { from: key(from.min(to)), to: key(from.max(to)), limit, reverse };
            prop_assert_eq!(view.scan_bytes(&scan).unwrap(), after.scan(&scan).unwrap());
        }
    }
}
