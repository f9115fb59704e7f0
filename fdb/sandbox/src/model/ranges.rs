//! Sets of keys, kept as disjoint ranges.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// The keys from the first to just before the second.
pub type Range = (Bytes, Bytes);

/// A set of keys. Ranges that overlap or touch are merged as they are inserted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// From each range's beginning to its end. Disjoint, not touching, none empty.
    ends: BTreeMap<Bytes, Bytes>,
}

/// Ranges as they come in: in any order, perhaps overlapping, perhaps more than once. Much cheaper to add to than a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted(Vec<Range>);

impl Noted {
    /// Adds the keys from `begin` to just before `end`; nothing if that is none.
    pub fn insert(&mut self, begin: Bytes, end: Bytes) {
        if begin < end {
            self.0.push((begin, end));
        }
    }

    /// Adds one key.
    pub fn insert_key(&mut self, key: &Bytes) {
        self.insert(key.clone(), key_after(key));
    }

    /// All that came in, as it came in.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set of the keys.
    pub fn merged(&self) -> Ranges {
        let mut ranges = Ranges::default();
        self.0.iter().for_each(|(begin, end)| ranges.insert(begin.clone(), end.clone()));
        ranges
    }
}

/// The first key after a key.
pub fn key_after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The last entry up to a key, that of the key itself included.
pub(super) fn last_up_to<'a, T>(entries: &'a BTreeMap<Bytes, T>, key: &[u8]) -> Option<(&'a Bytes, &'a T)> {
    entries.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()
}

impl Ranges {
    /// Adds the keys from `begin` to just before `end`; nothing if that is none.
    pub fn insert(&mut self, begin: Bytes, end: Bytes) {
        if begin >= end {
            return;
        }
        let (mut begin, mut end) = (begin, end);
        if let Some((before, its_end)) = last_up_to(&self.ends, &begin)
            && *its_end >= begin
        {
            if *its_end >= end {
                return;
            }
            begin = before.clone();
        }
        while let Some((next, its_end)) = self.ends.range::<[u8], _>((Bound::Included(&*begin), Bound::Included(&*end))).next() {
            let (next, its_end) = (next.clone(), its_end.clone());
            self.ends.remove(&next);
            end = end.max(its_end);
        }
        self.ends.insert(begin, end);
    }

    /// Adds one key.
    pub fn insert_key(&mut self, key: &Bytes) {
        self.insert(key.clone(), key_after(key));
    }

    /// Takes the keys from `begin` to just before `end` out.
    pub fn remove(&mut self, begin: &Bytes, end: &Bytes) {
        while let Some((from, to)) = self.first_in(begin, end) {
            self.ends.remove(&from);
            if from < *begin {
                self.ends.insert(from, begin.clone());
            }
            if to > *end {
                self.ends.insert(end.clone(), to);
            }
        }
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.covering(key).is_some()
    }

    /// The range that a key is in.
    pub fn covering(&self, key: &[u8]) -> Option<(&Bytes, &Bytes)> {
        last_up_to(&self.ends, key).filter(|(_, end)| &***end > key)
    }

    /// The first range that has a key in common with `begin..end`, whole.
    pub fn first_in(&self, begin: &[u8], end: &[u8]) -> Option<Range> {
        if begin >= end {
            return None;
        }
        let found = self.covering(begin).or_else(|| self.ends.range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end))).next());
        found.map(|(from, to)| (from.clone(), to.clone()))
    }

    /// All ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.ends.iter()
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    #[test]
    fn a_set_of_ranges_is_the_set_of_its_keys() {
        // Every sequence of three insertions and removals over five keys, against a set of keys.
        let steps: Vec<(bool, u8, u8)> =
            [true, false].iter().flat_map(|add| (0..5).flat_map(move |b| (b..=5).map(move |e| (*add, b, e)))).collect();
        for first in &steps {
            for second in &steps {
                for third in &steps {
                    let (mut ranges, mut keys) = (Ranges::default(), BTreeSet::new());
                    for (add, begin, end) in [first, second, third] {
                        if *add {
                            ranges.insert(key(*begin), key(*end));
                            keys.extend(*begin..*end);
                        } else {
                            ranges.remove(&key(*begin), &key(*end));
                            keys.retain(|k| !(*begin..*end).contains(k));
                        }
                    }
                    let held: BTreeSet<u8> = (0..6).filter(|k| ranges.contains(&[*k])).collect();
                    assert_eq!(held, keys, "{first:?} {second:?} {third:?}");
                    let runs: Vec<_> = ranges.iter().collect();
                    assert!(runs.iter().all(|(b, e)| b < e) && runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "{runs:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_range_that_meets_another_is_found_whole() {
        let mut ranges = Ranges::default();
        ranges.insert(key(2), key(4));
        ranges.insert(key(6), key(9));
        assert_eq!(ranges.first_in(&[3], &[7]), Some((key(2), key(4))));
        assert_eq!(ranges.first_in(&[4], &[7]), Some((key(6), key(9))));
        assert_eq!(ranges.first_in(&[4], &[6]), None);
        assert_eq!(ranges.first_in(&[3], &[3]), None);
    }
}
