//! What a transaction has written so far, laid over what it reads.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::model::{Atomic, Range, Ranges, key_after};

/// The uncommitted writes of one transaction, as its own reads see them.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// The rows that were written. They stand before `cleared`.
    rows: BTreeMap<Bytes, Written>,
    /// The keys that were cleared.
    cleared: Ranges,
    /// The keys whose value or presence depends on the commit's versionstamp.
    unreadable: Ranges,
}

/// What a transaction has made of one row.
#[derive(Clone, Debug)]
enum Written {
    /// It holds this, whatever the database holds; `None` where it is no more.
    Known(Option<Bytes>),
    /// It holds what these operations, in their order, make of what the database holds.
    Pending(Vec<(Atomic, Bytes)>),
}

/// What the overlay says about one key.
pub(super) enum Seen {
    /// Nothing: the database is to be asked.
    Unwritten,
    /// The row holds this.
    Known(Option<Bytes>),
    /// It depends on a versionstamp that is not known yet.
    Unreadable,
    /// It depends on what the database holds.
    Pending,
}

impl Overlay {
    /// Notes that a row was set.
    pub(super) fn set(&mut self, key: Bytes, value: Bytes) {
        self.rows.insert(key, Written::Known(Some(value)));
    }

    /// Notes that rows were cleared.
    pub(super) fn clear(&mut self, begin: &Bytes, end: &Bytes) {
        if begin >= end {
            return;
        }
        let inside = self.rows.range::<[u8], _>((Bound::Included(&**begin), Bound::Excluded(&**end)));
        let inside: Vec<Bytes> = inside.map(|(key, _)| key.clone()).collect();
        inside.iter().for_each(|key| drop(self.rows.remove(key)));
        self.unreadable.remove(begin, end);
        self.cleared.insert(begin.clone(), end.clone());
    }

    /// Notes an atomic operation.
    pub(super) fn atomic(&mut self, key: Bytes, op: Atomic, operand: Bytes) {
        match self.rows.get_mut(&key) {
            Some(Written::Known(value)) => *value = op.apply(value.as_ref(), &operand),
            Some(Written::Pending(operations)) => operations.push((op, operand)),
            None if self.cleared.contains(&key) => drop(self.rows.insert(key, Written::Known(op.apply(None, &operand)))),
            None => drop(self.rows.insert(key, Written::Pending(vec![(op, operand)]))),
        }
    }

    /// Notes that keys depend on the commit's versionstamp.
    pub(super) fn stamped(&mut self, begin: Bytes, end: Bytes) {
        self.unreadable.insert(begin, end);
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.cleared.is_empty() && self.unreadable.is_empty()
    }

    /// What it says about a key.
    pub(super) fn see(&self, key: &[u8]) -> Seen {
        if self.unreadable.contains(key) {
            return Seen::Unreadable;
        }
        match self.rows.get(key) {
            Some(Written::Known(value)) => Seen::Known(value.clone()),
            Some(Written::Pending(_)) => Seen::Pending,
            None if self.cleared.contains(key) => Seen::Known(None),
            None => Seen::Unwritten,
        }
    }

    /// What a row holds, given what the database holds.
    pub(super) fn over(&self, key: &[u8], held: Option<&Bytes>) -> Option<Bytes> {
        match self.rows.get(key) {
            Some(Written::Known(value)) => value.clone(),
            Some(Written::Pending(operations)) => {
                operations.iter().fold(held.cloned(), |value, (op, operand)| op.apply(value.as_ref(), operand))
            }
            None if self.cleared.contains(key) => None,
            None => held.cloned(),
        }
    }

    /// The first key from `from` on that was written.
    pub(super) fn next(&self, from: &[u8], to: &[u8]) -> Option<&Bytes> {
        (from < to).then(|| self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).next()).flatten().map(|(key, _)| key)
    }

    /// The last key before `to` that was written.
    pub(super) fn previous(&self, from: &[u8], to: &[u8]) -> Option<&Bytes> {
        let mut inside = (from < to).then(|| self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))))?;
        inside.next_back().map(|(key, _)| key)
    }

    /// The run of cleared keys around a key.
    pub(super) fn cleared_around(&self, key: &[u8]) -> Option<(&Bytes, &Bytes)> {
        self.cleared.covering(key)
    }

    /// Whether any key of a range depends on the commit's versionstamp.
    pub(super) fn unreadable_in(&self, begin: &[u8], end: &[u8]) -> bool {
        self.unreadable.first_in(begin, end).is_some()
    }

    /// The parts of a range that do depend on what the database holds: reading the others conflicts with nobody.
    pub(super) fn dependent(&self, begin: &Bytes, end: &Bytes) -> Vec<Range> {
        let mut parts = Ranges::default();
        parts.insert(begin.clone(), end.clone());
        for (from, to) in self.cleared.iter() {
            parts.remove(from, to);
        }
        let inside = (begin < end).then(|| self.rows.range::<[u8], _>((Bound::Included(&**begin), Bound::Excluded(&**end))));
        for (key, _) in inside.into_iter().flatten().filter(|(_, written)| matches!(written, Written::Known(_))) {
            parts.remove(key, &key_after(key));
        }
        parts.iter().map(|(from, to)| (from.clone(), to.clone())).collect()
    }
}
