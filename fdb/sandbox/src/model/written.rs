//! When each key was last written: what a commit's reads are held against.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::ranges::last_up_to;
use super::{Range, Version};

/// For each key the version of the last commit whose write conflict ranges had it in.
///
/// A step function: each entry holds from its key up to the next one. Ranges count, not rows, so a write to a key where there is no row
/// conflicts too, as it does in FoundationDB's resolvers.
#[derive(Debug)]
pub(super) struct Written {
    steps: BTreeMap<Bytes, Version>,
    /// Beyond this many steps those that are too old to matter are merged.
    sweep_at: usize,
}

const SWEEP_AT_LEAST: usize = 1024;

impl Default for Written {
    fn default() -> Self {
        Self { steps: BTreeMap::from([(Bytes::new(), Version::ZERO)]), sweep_at: SWEEP_AT_LEAST }
    }
}

impl Written {
    /// Notes that the keys from `begin` to just before `end` were written.
    pub(super) fn note(&mut self, begin: &Bytes, end: &Bytes, version: Version) {
        // Most often it is a key that was written before: then its two steps are there, with nothing in between.
        let mut steps = self.steps.range_mut::<[u8], _>((Bound::Included(&**begin), Bound::Included(&**end)));
        if let (Some((first, at)), Some((second, _))) = (steps.next(), steps.next())
            && (first, second) == (begin, end)
        {
            *at = version;
            return;
        }
        let after = self.at(end);
        while let Some((step, _)) = self.steps.range::<[u8], _>((Bound::Excluded(&**begin), Bound::Excluded(&**end))).next() {
            let step = step.clone();
            self.steps.remove(&step);
        }
        self.steps.insert(begin.clone(), version);
        self.steps.entry(end.clone()).or_insert(after);
    }

    /// The parts of a range that were written after a version.
    pub(super) fn since(&self, begin: &Bytes, end: &Bytes, version: Version) -> impl Iterator<Item = Range> {
        let first = (self.at(begin) > version).then(|| begin.clone());
        let inside = self.steps.range::<[u8], _>((Bound::Excluded(&**begin), Bound::Excluded(&**end)));
        let rest = inside.filter(move |(_, at)| **at > version).map(|(step, _)| step.clone());
        first.into_iter().chain(rest).map(|from| {
            let next = self.steps.range::<[u8], _>((Bound::Excluded(&*from), Bound::Excluded(&**end))).next();
            let to = next.map_or_else(|| end.clone(), |(step, _)| step.clone());
            (from, to)
        })
    }

    fn at(&self, key: &[u8]) -> Version {
        last_up_to(&self.steps, key).map_or(Version::ZERO, |(_, version)| *version)
    }

    /// Merges steps that are too old to conflict with anything, once there are many.
    pub(super) fn sweep(&mut self, oldest: Version) {
        if self.steps.len() < self.sweep_at {
            return;
        }
        let mut before = None;
        self.steps.retain(|_, version| {
            *version = if *version <= oldest { Version::ZERO } else { *version };
            before.replace(*version) != Some(*version)
        });
        self.sweep_at = SWEEP_AT_LEAST.max(self.steps.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Bytes {
        Bytes::copy_from_slice(&(n as u32).to_be_bytes())
    }

    #[test]
    fn the_last_write_of_each_key_is_known_and_sweeping_forgets_only_what_is_old() {
        const KEYS: usize = 3_000;
        let mut written = Written::default();
        let mut last = [Version::ZERO; KEYS];
        let mut draw = 7_usize;
        for version in 1..2_000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let begin = (draw >> 33) % KEYS;
            let end = (begin + 1 + (draw >> 20) % 4).min(KEYS);
            written.note(&key(begin), &key(end), Version(version));
            last[begin..end].fill(Version(version));
            written.sweep(Version(version / 2));
        }
        let since = Version(1_500);
        for from in (0..KEYS - 50).step_by(37) {
            let expected = (from..from + 50).filter(|k| last[*k] > since).map(key).collect::<Vec<_>>();
            let runs: Vec<_> = written.since(&key(from), &key(from + 50), since).collect();
            let found = (from..from + 50).map(key).filter(|k| runs.iter().any(|(b, e)| b <= k && k < e)).collect::<Vec<_>>();
            assert_eq!(found, expected);
        }
        assert!(written.steps.len() < 2 * KEYS, "{}", written.steps.len());
    }
}
