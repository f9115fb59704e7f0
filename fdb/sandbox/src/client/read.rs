//! What a transaction reads.

use std::sync::Arc;

use bytes::Bytes;

use super::cluster::Inner;
use super::future::{Future, Value};
use super::special;
use super::transaction::{State, Transaction};
use super::view::{Selector, View};
use crate::error::Error;
use crate::faults::Fault;
use crate::limits::{self, METADATA_VERSION};
use crate::model::{Unreadable, key_after};

/// How much of a range is wanted in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it, as fast as may be.
    WantAll,
    /// More with each iteration.
    Iterator,
    /// Just what the limits say.
    Exact,
    /// A few rows.
    Small,
    /// Some rows.
    Medium,
    /// Many rows.
    Large,
    /// As many rows as one answer holds.
    Serial,
}

impl Mode {
    /// The mode with a code.
    pub fn from_code(code: i32) -> Option<Self> {
        let modes = [Self::WantAll, Self::Iterator, Self::Exact, Self::Small, Self::Medium, Self::Large, Self::Serial];
        usize::try_from(code.checked_add(2)?).ok().and_then(|n| modes.get(n)).copied()
    }
}

/// How much of a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    rows: usize,
    bytes: usize,
}

/// The bytes of an answer in [`Mode::Iterator`], by iteration.
const PROGRESSION: [usize; 10] = [4_096, 6_144, 9_216, 13_824, 20_736, 31_104, 46_656, 69_984, 80_000, 120_000];

/// What a row weighs beside its bytes.
const ROW_BYTES: usize = 8;

impl Limits {
    /// The limits of one answer. Zero rows or bytes are as many as there are.
    ///
    /// # Errors
    /// [`Error::RANGE_LIMITS_INVALID`], [`Error::EXACT_MODE_WITHOUT_LIMITS`], or [`Error::CLIENT_INVALID_OPERATION`] for an iteration below
    /// one.
    pub fn new(rows: i32, bytes: i32, mode: Mode, iteration: i32) -> Result<Self, Error> {
        let amount = |n: i32| usize::try_from(n).map(|n| if n == 0 { usize::MAX } else { n }).map_err(|_| Error::RANGE_LIMITS_INVALID);
        let (rows, bytes) = (amount(rows)?, amount(bytes)?);
        let of_mode = match mode {
            Mode::Exact if (rows, bytes) == (usize::MAX, usize::MAX) => return Err(Error::EXACT_MODE_WITHOUT_LIMITS),
            Mode::Exact => usize::MAX,
            Mode::Small => 256,
            Mode::Medium => 1_000,
            Mode::Large => 4_096,
            Mode::Serial | Mode::WantAll => 120_000,
            Mode::Iterator => match usize::try_from(iteration) {
                Ok(n @ 1..) => PROGRESSION[n.min(PROGRESSION.len()) - 1],
                _ => return Err(Error::CLIENT_INVALID_OPERATION),
            },
        };
        Ok(Self { rows, bytes: bytes.min(of_mode) })
    }
}

/// What the cluster might tell any reader.
const FAULTS: [Fault; 5] = [Fault::TooOld, Fault::FutureVersion, Fault::Behind, Fault::VersionChangedLost, Fault::TimedOutLost];

impl Transaction {
    /// The version that the transaction reads at.
    pub fn read_version(&self) -> Arc<Future> {
        let mut state = self.lock();
        if let Some(error) = state.mistake.or(state.failed) {
            return self.refuse(error);
        }
        let mut cluster = self.database.cluster.lock();
        let version = *state.read_version.get_or_insert_with(|| cluster.model.read_version(self.database.cluster.now()));
        drop((cluster, state));
        self.answer(Ok(Value::Number(version.0)))
    }

    /// The value of a row. A snapshot read conflicts with nobody.
    pub fn get(&self, key: &[u8], snapshot: bool) -> Arc<Future> {
        self.ask(|state| {
            if key.starts_with(limits::SPECIAL) {
                return special::get(self, state, key);
            }
            state.usable()?;
            if key >= state.read_end() && key != METADATA_VERSION {
                return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
            }
            if key.len() > limits::of_key(key) {
                return Ok(Value::Row(None));
            }
            let value = self.look(state, snapshot, |view| view.get(key))?;
            if !snapshot {
                state.read(&Bytes::copy_from_slice(key), &key_after(key));
            }
            Ok(Value::Row(value))
        })
    }

    /// The key that a selector leads to.
    pub fn get_key(&self, selector: &Selector, snapshot: bool) -> Arc<Future> {
        self.ask(|state| {
            state.usable()?;
            if selector.key > state.read_end() {
                return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
            }
            let found = self.look(state, snapshot, |view| view.resolve(selector))?;
            if !snapshot {
                match selector.offset {
                    1.. => state.read(&selector.start(), &key_after(&found.key)),
                    _ => state.read(&found.key, &selector.start()),
                }
            }
            Ok(Value::Key(found.key))
        })
    }

    /// The rows from where one selector leads to just before where the other does.
    pub fn get_range(&self, begin: &Selector, end: &Selector, limits: Limits, snapshot: bool, reverse: bool) -> Arc<Future> {
        self.ask(|state| {
            if special::is_range(&begin.key, &end.key) {
                return special::range(self, state, &begin.start(), &end.start(), limits.rows, reverse);
            }
            state.usable()?;
            if begin.key > state.read_end() || end.key > state.read_end() {
                return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
            }
            let read = self.look(state, snapshot, |view| read_range(view, begin, end, limits, reverse))?;
            if !snapshot {
                read.conflicts.iter().for_each(|(begin, end)| state.read(begin, end));
            }
            Ok(Value::Rows(read.rows, read.more))
        })
    }

    /// A future that fires once a row no longer holds what it holds now. It counts from the commit on, and outlives the transaction.
    pub fn watch(&self, key: &[u8]) -> Arc<Future> {
        let mut state = self.lock();
        let result = (|| {
            state.usable()?;
            if !state.options.read_your_writes {
                return Err(Error::WATCHES_DISABLED);
            }
            if key >= state.read_end() && key != METADATA_VERSION {
                return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
            }
            if key.len() > limits::of_key(key) {
                return Err(Error::KEY_TOO_LARGE);
            }
            let value = self.look(&mut state, false, |view| view.get(key))?;
            let key = Bytes::copy_from_slice(key);
            state.read(&key, &key_after(&key));
            Ok((key, value))
        })();
        match result {
            Err(error) => self.refuse(error),
            Ok((key, value)) => {
                let future = Future::new(self.database.network());
                state.watches.push((key, value, Arc::clone(&future)));
                future
            }
        }
    }

    /// The addresses of the machines that store a key.
    pub fn addresses_for_key(&self, key: &[u8]) -> Arc<Future> {
        self.ask(|state| {
            state.usable()?;
            if key >= limits::SPECIAL {
                return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
            }
            let address = std::ffi::CString::new(self.database.cluster.address()).map_err(|_| Error::CLIENT_INVALID_OPERATION)?;
            Ok(Value::Addresses(vec![address]))
        })
    }

    /// About how many bytes there are in a range: here exactly those of its rows as they are.
    pub fn estimated_size(&self, begin: &[u8], end: &[u8]) -> Arc<Future> {
        self.ask(|state| {
            let rows = self.sizes(state, begin, end)?;
            Ok(Value::Number(rows.iter().map(|(_, size)| *size as i64).sum()))
        })
    }

    /// Keys that split a range into parts of about this many bytes, its beginning and its end among them.
    pub fn split_points(&self, begin: &[u8], end: &[u8], chunk: i64) -> Arc<Future> {
        self.ask(|state| {
            let chunk = usize::try_from(chunk).ok().filter(|chunk| *chunk > 0).ok_or(Error::CLIENT_INVALID_OPERATION)?;
            let (mut points, mut size) = (vec![Bytes::copy_from_slice(begin)], 0);
            for (key, bytes) in self.sizes(state, begin, end)? {
                if size >= chunk {
                    points.push(key);
                    size = 0;
                }
                size += bytes;
            }
            points.push(Bytes::copy_from_slice(end));
            Ok(Value::Keys(points))
        })
    }

    fn sizes(&self, state: &mut State, begin: &[u8], end: &[u8]) -> Result<Vec<(Bytes, usize)>, Error> {
        state.usable()?;
        if begin > end {
            return Err(Error::INVERTED_RANGE);
        }
        if end > state.read_end() {
            return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
        }
        self.look(state, true, |view| {
            let rows = view.model.range(view.version, std::ops::Bound::Included(begin), std::ops::Bound::Excluded(end));
            Ok(rows.map(|(key, value)| (key.clone(), key.len() + value.len())).collect())
        })
    }

    /// Computes an answer while the transaction is locked, and delivers it as the cluster would.
    fn ask(&self, read: impl FnOnce(&mut State) -> Result<Value, Error>) -> Arc<Future> {
        let mut state = self.lock();
        let result = read(&mut state);
        let future = Future::new(self.database.network());
        state.wait_for(&future);
        drop(state);
        self.deliver(&future, result);
        future
    }

    /// Reads what the transaction sees.
    fn look<T>(&self, state: &mut State, snapshot: bool, read: impl FnOnce(&View<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut cluster = self.database.cluster.lock();
        let now = self.database.cluster.now();
        let Inner { model, chance, .. } = &mut *cluster;
        let version = *state.read_version.get_or_insert_with(|| model.read_version(now));
        if let Some(error) = chance.first(&FAULTS).and_then(Fault::error) {
            if error == Error::TRANSACTION_TIMED_OUT {
                state.fail(error);
            }
            return Err(error);
        }
        model.readable(version, now).map_err(|unreadable| match unreadable {
            Unreadable::TooOld => Error::TRANSACTION_TOO_OLD,
            Unreadable::Future => Error::FUTURE_VERSION,
        })?;
        let own = state.options.read_your_writes && (!snapshot || state.options.snapshot_read_your_writes > 0);
        let overlay = own.then_some(&state.overlay);
        read(&View { model, version, overlay, bypass_unreadable: state.options.bypass_unreadable, end: state.read_end() })
    }
}

/// The rows of a range, and what reading them depended on.
struct RangeRead {
    rows: Vec<(Bytes, Bytes)>,
    more: bool,
    conflicts: Vec<(Bytes, Bytes)>,
}

fn read_range(view: &View<'_>, begin: &Selector, end: &Selector, limits: Limits, reverse: bool) -> Result<RangeRead, Error> {
    let mut conflicts = Vec::new();
    let (first, last) = (bound(view, begin, &mut conflicts)?, bound(view, end, &mut conflicts)?);
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    let (mut from, mut to) = (first.clone(), last.clone());
    let mut more = false;
    while let Some((key, value)) = if reverse { view.previous(&from, &to)? } else { view.next(&from, &to)? } {
        if reverse {
            to = key.clone();
        } else {
            from = key_after(&key);
        }
        bytes += key.len() + value.len() + ROW_BYTES;
        rows.push((key, value));
        // A read that met a limit does not know whether there is more, and has not looked.
        if rows.len() >= limits.rows || bytes >= limits.bytes {
            more = true;
            break;
        }
    }
    conflicts.push(if reverse && more { (to, last) } else { (first, if more { from } else { last }) });
    Ok(RangeRead { rows, more, conflicts })
}

/// Where a range begins or ends, and what that depended on.
///
/// A selector for the first key from a bound on gives the bound itself: there is no key between the two.
fn bound(view: &View<'_>, selector: &Selector, conflicts: &mut Vec<(Bytes, Bytes)>) -> Result<Bytes, Error> {
    let start = selector.start().min(Bytes::copy_from_slice(view.end));
    if selector.offset == 1 {
        return Ok(start);
    }
    let key = view.resolve(selector)?.key;
    conflicts.push(if selector.offset > 1 { (start, key_after(&key)) } else { (key.clone(), start) });
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_mode() {
        let bytes = |mode, iteration| Limits::new(0, 0, mode, iteration).map(|limits| limits.bytes);
        assert_eq!(bytes(Mode::Exact, 0), Err(Error::EXACT_MODE_WITHOUT_LIMITS));
        assert_eq!(bytes(Mode::Iterator, 0), Err(Error::CLIENT_INVALID_OPERATION));
        assert_eq!(
            (1..13).map(|n| bytes(Mode::Iterator, n).unwrap()).collect::<Vec<_>>()[7..],
            [69_984, 80_000, 120_000, 120_000, 120_000]
        );
        assert_eq!(
            [Mode::Small, Mode::Medium, Mode::Large, Mode::Serial].map(|mode| bytes(mode, 0).unwrap()),
            [256, 1_000, 4_096, 120_000]
        );
        assert_eq!(Limits::new(-1, 0, Mode::WantAll, 0), Err(Error::RANGE_LIMITS_INVALID));
        assert_eq!(Limits::new(5, 100, Mode::Large, 0), Ok(Limits { rows: 5, bytes: 100 }));
        assert_eq!((-2..6).map(Mode::from_code).filter(Option::is_some).count(), 7);
    }
}
