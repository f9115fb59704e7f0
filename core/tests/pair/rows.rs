//! Rows in memory.

use doubletick_core::store::{self, Commit, Key, LentRows, NotFetched, Scan, Snapshot, Transaction};
use doubletick_core::transact::{Batch, Outcome};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows in memory.
#[derive(Clone, Default)]
pub(crate) struct Rows(pub(crate) BTreeMap<Key, Vec<u8>>);

impl Snapshot for Rows {
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

impl Rows {
    pub(crate) fn execute(&mut self, batch: &Arc<Batch>) -> Outcome {
        let Commit { writes, answer } = batch.run(self).expect("rows in memory are never missing");
        for write in writes {
            match store::merge(self.0.get(write.key()).map(Vec::as_slice), &write) {
                Some(value) => self.0.insert(*write.key(), value),
                None => self.0.remove(write.key()),
            };
        }
        answer
    }
}
