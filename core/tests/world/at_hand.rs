//! Rows in memory.

use doubletick_core::store::{self, Key, LentRows, NotFetched, Scan, Snapshot, Write};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Rows in memory.
pub(crate) type Rows = BTreeMap<Key, Vec<u8>>;

/// Writes what a transaction wants written.
pub(crate) fn write(rows: &mut Rows, writes: &[Write]) {
    for write in writes {
        match store::merge(rows.get(write.key()).map(Vec::as_slice), write) {
            Some(value) => rows.insert(*write.key(), value),
            None => rows.remove(write.key()),
        };
    }
}

/// A snapshot of rows that are all at hand.
pub(crate) struct AtHand<'a>(pub(crate) &'a Rows);

impl Snapshot for AtHand<'_> {
    fn has(&self, _: &Key) -> bool {
        true
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        Ok(self.0.get(key).map(Cow::from))
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        let rows = self.0.range(scan.from..scan.to).map(|(key, value)| (*key, value.into()));
        let limit = scan.limit as usize;
        Ok(if scan.reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
    }
}
