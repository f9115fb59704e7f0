//! LOG_PROOF: the durable rows, rebuilt from what has happened, against those that are stored.

use super::{Oracle, Oracles};
use crate::store::Store;
use doubletick_core::event::Event;
use doubletick_core::store::{Key, merge};
use doubletick_core::transact::replay;
use std::collections::BTreeMap;

/// Durable rows as events make them.
#[derive(Clone, Default)]
pub(crate) struct Rebuilt(BTreeMap<Key, Vec<u8>>);

impl Oracles {
    /// A transaction is committed, and this has happened by it.
    pub(crate) fn happened(&mut self, events: &[Event]) {
        let Some(Rebuilt(rows)) = &mut self.rebuilt else { return };
        for write in replay(events) {
            let key = *write.key();
            if key.is_ephemeral() {
                continue;
            }
            match merge(rows.get(&key).map(Vec::as_slice), &write) {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
    }

    /// Compares every durable row, in the runs in which rows are rebuilt.
    pub(crate) fn compare_rebuilt(&mut self, store: &Store) {
        let Some(Rebuilt(rows)) = self.rebuilt.take() else { return };
        let stored = store.rows().filter(|(key, _)| !key.is_ephemeral());
        let mut built = rows.iter();
        let differs = stored.map(Some).chain([None]).find_map(|stored| {
            let built = built.next();
            let same = built.map(|(key, value)| (*key, value.as_slice())) == stored;
            (!same).then(|| (built.map(|(key, _)| *key), stored.map(|(key, _)| key)))
        });
        self.counts[Oracle::LogProof as usize] += rows.len() as u64;
        self.compare(Oracle::LogProof, differs.is_none(), || {
            format!("the rows that follow from what has happened are not those that are stored: first rebuilt, stored: {differs:?}")
        });
        self.rebuilt = Some(Rebuilt(rows));
    }
}
