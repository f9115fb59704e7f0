//! Rows in memory, and how layers of rows make one state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use doubletick_core::store::{Key, LentRows, Scan};

/// What a layer says about a row: a value, or that there is none. A row that it says nothing about is as the layer below has it.
pub(crate) type Told = Option<Vec<u8>>;

/// The same, lent by the layer where it can be.
pub(crate) type Lent<'a> = Option<Cow<'a, [u8]>>;

/// Lends what a layer says.
pub(crate) fn lend(told: &Told) -> Lent<'_> {
    told.as_deref().map(Cow::from)
}

/// The rows that were written since the tree was, with what the running batch writes beside what is published.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    rows: BTreeMap<Key, Versions>,
}

/// At most two versions: at most one batch is not published.
#[derive(Debug)]
struct Versions {
    before: Option<Told>,
    last: Told,
    /// The batch that wrote `last`.
    batch: u64,
}

impl Versions {
    fn at(&self, batch: u64) -> Option<&Told> {
        if self.batch <= batch { Some(&self.last) } else { self.before.as_ref() }
    }
}

impl Layer {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What it says about a row once the batch with this number is published.
    pub(crate) fn get(&self, key: &Key, batch: u64) -> Option<&Told> {
        self.rows.get(key)?.at(batch)
    }

    /// The same for a run of keys, in the order that the scan asks for.
    pub(crate) fn scan(&self, scan: &Scan, batch: u64) -> impl Iterator<Item = (Key, &Told)> + use<'_> {
        let rows = self.rows.range(scan.from..scan.to).filter_map(move |(key, row)| Some((*key, row.at(batch)?)));
        directed(rows, scan.reverse)
    }

    /// Notes what `batch` writes; all earlier batches are published.
    pub(crate) fn put(&mut self, key: Key, value: Told, batch: u64) {
        match self.rows.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Versions { before: None, last: value, batch });
            }
            Entry::Occupied(mut entry) => {
                let row = entry.get_mut();
                let last = std::mem::replace(&mut row.last, value);
                if std::mem::replace(&mut row.batch, batch) < batch {
                    row.before = Some(last);
                }
            }
        }
    }

    /// What it says about every row, once all batches are published.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, Option<&[u8]>)> {
        self.rows.iter().map(|(key, row)| (key, row.last.as_deref()))
    }
}

/// The rows of a run of keys, forwards or backwards.
pub(crate) fn directed<'a, T: 'a>(rows: impl DoubleEndedIterator<Item = T> + 'a, reverse: bool) -> impl Iterator<Item = T> + 'a {
    // One of the two is empty.
    let (mut forwards, mut backwards) = if reverse { (None, Some(rows.rev())) } else { (Some(rows), None) };
    std::iter::from_fn(move || forwards.as_mut().map_or_else(|| backwards.as_mut().and_then(Iterator::next), Iterator::next))
}

/// One layer's part of a scan: in the scan's order, and fallible because the lowest layer is read from a disk.
pub(crate) type Part<'a, E> = Box<dyn Iterator<Item = Result<(Key, Lent<'a>), E>> + 'a>;

/// Merges layers, the topmost first, into the rows that a reader sees.
pub(crate) fn merge_parts<'a, E>(parts: Vec<Part<'a, E>>, scan: &Scan) -> Result<LentRows<'a>, E> {
    let mut heads = Vec::with_capacity(parts.len());
    for mut part in parts {
        heads.push((part.next().transpose()?, part));
    }
    let mut rows = Vec::new();
    while rows.len() < scan.limit as usize {
        let keys = heads.iter().filter_map(|(head, _)| head.as_ref().map(|(key, _)| *key));
        let Some(nearest) = (if scan.reverse { keys.max() } else { keys.min() }) else { break };
        let mut told = None;
        for (head, part) in &mut heads {
            if let Some((_, value)) = head.take_if(|(key, _)| *key == nearest) {
                *head = part.next().transpose()?;
                // What a layer above has said stands.
                told.get_or_insert(value);
            }
        }
        rows.extend(told.flatten().map(|value| (nearest, value)));
    }
    Ok(rows)
}

/// The rows of a map from a scan's first key to its last.
pub(crate) fn range<'a, V>(map: &'a BTreeMap<Key, V>, scan: &Scan) -> impl Iterator<Item = (Key, &'a V)> + use<'a, V> {
    let bounds = (Bound::Included(scan.from), Bound::Excluded(scan.to));
    directed(map.range(bounds).map(|(key, value)| (*key, value)), scan.reverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name.as_bytes())
    }

    fn scan(limit: u32, reverse: bool) -> Scan {
        Scan { from: key("a"), to: key("z"), limit, reverse }
    }

    fn told(value: &str) -> Told {
        Some(value.as_bytes().to_vec())
    }

    #[test]
    fn what_a_batch_writes_is_seen_once_it_is_published() {
        let mut layer = Layer::default();
        layer.put(key("k"), told("one"), 1);
        layer.put(key("k"), told("two"), 2);
        layer.put(key("k"), told("three"), 2);
        layer.put(key("new"), None, 2);
        assert_eq!(layer.get(&key("k"), 1), Some(&told("one")));
        assert_eq!(layer.get(&key("k"), 2), Some(&told("three")));
        assert_eq!(layer.get(&key("new"), 1), None);
        assert_eq!(layer.get(&key("new"), 2), Some(&None));
        assert_eq!(layer.scan(&scan(9, false), 1).count(), 1);
    }

    #[test]
    fn an_upper_layer_hides_and_removes_rows_of_a_lower_one_in_both_directions() {
        let upper = [(key("b"), None), (key("c"), told("upper"))];
        let lower = [(key("a"), told("lower")), (key("b"), told("lower")), (key("c"), told("lower")), (key("d"), told("lower"))];
        fn part(rows: &[(Key, Told)], reverse: bool) -> Part<'_, ()> {
            Box::new(directed(rows.iter().map(|(key, told)| Ok((*key, lend(told)))), reverse))
        }
        for (limit, reverse, expected) in [(9, false, "a c d"), (9, true, "d c a"), (2, false, "a c"), (2, true, "d c")] {
            let rows = merge_parts(vec![part(&upper, reverse), part(&lower, reverse)], &scan(limit, reverse)).expect("nothing fails");
            let names: Vec<_> = rows.iter().map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect();
            assert_eq!(names.join(" "), expected);
        }
    }
}
