//! What a transaction sees: one version of the database with its own writes over it, and where key selectors lead in it.

use std::ops::Bound;

use bytes::Bytes;

use super::overlay::{Overlay, Seen};
use crate::error::Error;
use crate::model::{Model, Version, key_after};

/// A key, given by its place relative to another: `offset` 1 is the first key from there on, 0 the last one before, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The key to start from.
    pub key: Bytes,
    /// Whether to start behind the key, where there is one.
    pub or_equal: bool,
    /// How many keys forward.
    pub offset: i32,
}

impl Selector {
    /// The first key that is not before this one.
    pub fn first_at(key: Bytes) -> Self {
        Self { key, or_equal: false, offset: 1 }
    }

    /// The key to start from, with nothing to say about where there is one.
    pub(super) fn start(&self) -> Bytes {
        if self.or_equal { key_after(&self.key) } else { self.key.clone() }
    }
}

/// Where a selector leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The key; the empty one before all, or the end of what may be read behind all.
    pub(super) key: Bytes,
    /// Whether the selector led before the first key.
    pub(super) before_all: bool,
    /// Whether the selector led behind the last key.
    pub(super) behind_all: bool,
}

/// One version of the database, with a transaction's writes over it.
pub(super) struct View<'a> {
    pub(super) model: &'a Model,
    pub(super) version: Version,
    /// The writes, if this read is to see them.
    pub(super) overlay: Option<&'a Overlay>,
    /// Whether keys that depend on a versionstamp are read as they were before.
    pub(super) bypass_unreadable: bool,
    /// The keys that may be read end here.
    pub(super) end: &'a [u8],
}

impl View<'_> {
    /// The value of a row.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let held = self.model.get(self.version, key);
        let Some(overlay) = self.overlay else { return Ok(held.cloned()) };
        match overlay.see(key) {
            Seen::Unreadable if !self.bypass_unreadable => Err(Error::ACCESSED_UNREADABLE),
            Seen::Known(value) => Ok(value),
            Seen::Unwritten | Seen::Pending | Seen::Unreadable => Ok(overlay.over(key, held)),
        }
    }

    /// The first row from `from` on, before `to`.
    pub(super) fn next(&self, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error> {
        let Some(overlay) = self.overlay.filter(|overlay| !overlay.is_empty()) else {
            return Ok(self.held_next(from, to).map(|(key, value)| (key.clone(), value.clone())));
        };
        let mut at = Bytes::copy_from_slice(from);
        loop {
            let held = self.held_next(&at, to);
            let written = overlay.next(&at, to);
            let key = held.map(|(key, _)| key).into_iter().chain(written).min().cloned();
            let seen_to = key.as_ref().map_or_else(|| Bytes::copy_from_slice(to), |key| key_after(key));
            self.readable(overlay, &at, &seen_to)?;
            let Some(key) = key else { return Ok(None) };
            if let Some(value) = overlay.over(&key, value_at(&key, held)) {
                return Ok(Some((key, value)));
            }
            at = key_after(&key);
        }
    }

    /// The last row before `to`, from `from` on.
    pub(super) fn previous(&self, from: &[u8], to: &[u8]) -> Result<Option<(Bytes, Bytes)>, Error> {
        let Some(overlay) = self.overlay.filter(|overlay| !overlay.is_empty()) else {
            return Ok(self.held_previous(from, to).map(|(key, value)| (key.clone(), value.clone())));
        };
        let mut at = Bytes::copy_from_slice(to);
        loop {
            let held = self.held_previous(from, &at);
            let written = overlay.previous(from, &at);
            let key = held.map(|(key, _)| key).into_iter().chain(written).max().cloned();
            self.readable(overlay, key.as_deref().unwrap_or(from), &at)?;
            let Some(key) = key else { return Ok(None) };
            if let Some(value) = overlay.over(&key, value_at(&key, held)) {
                return Ok(Some((key, value)));
            }
            at = key;
        }
    }

    /// Where a selector leads.
    pub(super) fn resolve(&self, selector: &Selector) -> Result<Resolved, Error> {
        let mut at = selector.start();
        if selector.offset > 0 {
            for n in 0..selector.offset {
                let from = if n == 0 { at } else { key_after(&at) };
                match self.next(&from, self.end)? {
                    Some((key, _)) => at = key,
                    None => return Ok(Resolved { key: Bytes::copy_from_slice(self.end), before_all: false, behind_all: true }),
                }
            }
        } else {
            for _ in selector.offset..=0 {
                match self.previous(b"", &at)? {
                    Some((key, _)) => at = key,
                    None => return Ok(Resolved { key: Bytes::new(), before_all: true, behind_all: false }),
                }
            }
        }
        Ok(Resolved { key: at, before_all: false, behind_all: false })
    }

    /// The first row of the database from `from` on that the transaction has not cleared.
    fn held_next(&self, from: &[u8], to: &[u8]) -> Option<(&Bytes, &Bytes)> {
        let mut from = from;
        while from < to {
            let (key, value) = self.model.range(self.version, Bound::Included(from), Bound::Excluded(to)).next()?;
            match self.overlay.and_then(|overlay| overlay.cleared_around(key)) {
                Some((_, end)) => from = end,
                None => return Some((key, value)),
            }
        }
        None
    }

    fn held_previous(&self, from: &[u8], to: &[u8]) -> Option<(&Bytes, &Bytes)> {
        let mut to = to;
        while from < to {
            let (key, value) = self.model.range(self.version, Bound::Included(from), Bound::Excluded(to)).next_back()?;
            match self.overlay.and_then(|overlay| overlay.cleared_around(key)) {
                Some((begin, _)) => to = begin,
                None => return Some((key, value)),
            }
        }
        None
    }

    fn readable(&self, overlay: &Overlay, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let unreadable = !self.bypass_unreadable && overlay.unreadable_in(from, to);
        if unreadable { Err(Error::ACCESSED_UNREADABLE) } else { Ok(()) }
    }
}

/// What the database holds at a key, if the row that was found is the one of the key.
fn value_at<'a>(key: &Bytes, held: Option<(&Bytes, &'a Bytes)>) -> Option<&'a Bytes> {
    held.filter(|(found, _)| *found == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Atomic, Commit, Mutation};
    use std::collections::BTreeMap;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    /// A database with the even keys below ten, and a transaction that has cleared 3 to 6 and written 5 and 7, and nothing else there.
    fn world() -> (Model, Overlay, Version) {
        let mut model = Model::default();
        let mutations = (0..10).step_by(2).map(|n| Mutation::Set(key(n), key(n))).collect();
        let version = model.commit(1, &Commit { mutations, ..Commit::default() }).unwrap().version;
        let mut overlay = Overlay::default();
        overlay.clear(&key(3), &key(7));
        overlay.set(key(5), key(50));
        overlay.atomic(key(7), Atomic::Add, key(1));
        overlay.atomic(key(8), Atomic::CompareAndClear, key(8));
        (model, overlay, version)
    }

    #[test]
    fn steps_and_selectors_agree_with_a_plain_map() {
        let (model, overlay, version) = world();
        let view = View { model: &model, version, overlay: Some(&overlay), bypass_unreadable: false, end: b"\xff" };
        let rows: BTreeMap<u8, u8> = [(0, 0), (2, 2), (5, 50), (7, 1)].into();
        for from in 0..12 {
            assert_eq!(view.get(&[from]).unwrap(), rows.get(&from).map(|value| key(*value)));
            for to in from..12 {
                let next = rows.range(from..to).next().map(|(k, v)| (key(*k), key(*v)));
                assert_eq!(view.next(&[from], &[to]).unwrap(), next, "next {from} {to}");
                let previous = rows.range(from..to).next_back().map(|(k, v)| (key(*k), key(*v)));
                assert_eq!(view.previous(&[from], &[to]).unwrap(), previous, "previous {from} {to}");
            }
            for or_equal in [false, true] {
                for offset in -4..6 {
                    let before = rows.keys().filter(|k| **k < from || or_equal && **k == from).count() as i32;
                    let place = before + offset - 1;
                    let expected = match usize::try_from(place) {
                        Err(_) => Bytes::new(),
                        Ok(place) => rows.keys().nth(place).map_or(Bytes::from_static(b"\xff"), |k| key(*k)),
                    };
                    let found = view.resolve(&Selector { key: key(from), or_equal, offset }).unwrap();
                    assert_eq!(found.key, expected, "{from} {or_equal} {offset}");
                    assert_eq!((found.before_all, found.behind_all), (place < 0, place >= 4));
                }
            }
        }
    }

    #[test]
    fn only_what_depends_on_the_database_conflicts() {
        let (_, overlay, _) = world();
        let parts = overlay.dependent(&key(0), &key(9));
        assert_eq!(parts, [(key(0), key(3)), (key(7), key(9))], "neither what was cleared nor what was set");
    }

    #[test]
    fn what_depends_on_a_stamp_cannot_be_read_until_it_is_cleared() {
        let (model, mut overlay, version) = world();
        overlay.stamped(key(1), key(2));
        fn view<'a>(model: &'a Model, version: Version, overlay: Option<&'a Overlay>, bypass_unreadable: bool) -> View<'a> {
            View { model, version, overlay, bypass_unreadable, end: b"\xff" }
        }
        assert_eq!(view(&model, version, Some(&overlay), false).get(&[1]), Err(Error::ACCESSED_UNREADABLE));
        assert_eq!(view(&model, version, Some(&overlay), false).next(&[1], &[9]), Err(Error::ACCESSED_UNREADABLE));
        assert_eq!(view(&model, version, Some(&overlay), false).previous(&[0], &[2]), Err(Error::ACCESSED_UNREADABLE));
        assert_eq!(
            view(&model, version, Some(&overlay), false).next(&[0], &[9]),
            Ok(Some((key(0), key(0)))),
            "nothing further was looked at"
        );
        assert_eq!(view(&model, version, Some(&overlay), true).get(&[1]), Ok(None));
        assert_eq!(view(&model, version, None, false).get(&[1]), Ok(None));
        overlay.clear(&key(1), &key(2));
        assert_eq!(view(&model, version, Some(&overlay), false).get(&[1]), Ok(None));
    }
}
