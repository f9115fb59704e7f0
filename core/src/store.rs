//! What core asks of a store, and what every store promises.
//!
//! A [`Transaction`] is a pure function from the rows it reads to the rows it writes and an answer. A store runs it against a
//! [`Snapshot`] and commits what it wants written atomically and serializably; or it runs it again, as often as it must, because a pure
//! function may be run any number of times. A snapshot that has a row in memory answers at once; one that must fetch says [`NotFetched`],
//! collects what was asked, and runs the function again with more at hand. So there is no `async` in core, one code path serves every
//! store, and a store's own conflict detection sees exactly what was read.
//!
//! The promises, checked for each store by one conformance suite:
//!
//! - all reads of one run see one state of the store;
//! - committed transactions are serializable: the outcome is that of some order, one after the other, that respects real time;
//! - an answer is given only for writes that are durable, except for keys in the ephemeral space ([`Key::is_ephemeral`]), which live and
//!   die with the process that keeps them on a single machine;
//! - [`Write::Max`] and [`Write::Add`] are atomic and read nothing, so they conflict with readers only;
//! - a watch on a key may ring late, early, twice, or never: it is a hint.

pub mod limits;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

/// The name of a row: at most [`Key::MAX_LEN`] bytes, ordered bytewise. Kept in place, so that copying one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    // The name, zeros, and in the last place its length. The order of all of it is that of the names: zeros come first, and of two names that
    // differ in zeros at their ends only, the shorter does.
    bytes: [u8; Self::MAX_LEN + 1],
}

impl Key {
    /// The most bytes a key has.
    pub const MAX_LEN: usize = 47;

    /// The first byte from which on keys are ephemeral.
    pub const EPHEMERAL: u8 = 0x80;

    /// The key with these bytes.
    ///
    /// # Panics
    /// If there are more than [`Key::MAX_LEN`]: the row table is made so that none are.
    pub fn new(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= Self::MAX_LEN, "a key of {} bytes", bytes.len());
        let mut key = Self { bytes: [0; Self::MAX_LEN + 1] };
        key.bytes[..bytes.len()].copy_from_slice(bytes);
        key.bytes[Self::MAX_LEN] = bytes.len() as u8;
        key
    }

    /// The bytes as the store orders them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.bytes[Self::MAX_LEN])]
    }

    /// The first key after this one.
    #[must_use]
    pub fn after(mut self) -> Self {
        let length = usize::from(self.bytes[Self::MAX_LEN]);
        if length < Self::MAX_LEN {
            self.bytes[Self::MAX_LEN] += 1;
            return self;
        }
        // No longer key begins with it, so the next one is greater in its last byte that can be.
        let kept = self.bytes[..length].iter().rposition(|byte| *byte < u8::MAX).map_or(0, |last| last + 1);
        self.bytes[kept..length].fill(0);
        if let Some(last) = kept.checked_sub(1) {
            self.bytes[last] += 1;
        }
        self.bytes[Self::MAX_LEN] = kept as u8;
        self
    }

    /// Whether the row says something about a running process (sessions, leases, wake-ups, bells, watchers), so that a store on a
    /// single machine may keep it in memory.
    #[inline]
    pub fn is_ephemeral(&self) -> bool {
        self.bytes[0] >= Self::EPHEMERAL
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // Eight bytes at a time: this is the innermost loop of every store that keeps rows in a tree.
        let (mine, _) = self.bytes.as_chunks::<8>();
        let (theirs, _) = other.bytes.as_chunks::<8>();
        for (mine, theirs) in mine.iter().zip(theirs) {
            let (mine, theirs) = (u64::from_be_bytes(*mine), u64::from_be_bytes(*theirs));
            if mine != theirs {
                return mine.cmp(&theirs);
            }
        }
        Ordering::Equal
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A run of keys: `from` inclusive to `to` exclusive, at most `limit` rows, in the order of the keys or against it.
///
/// A scan does not cross from durable into ephemeral keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scan {
    /// The first key that belongs to it.
    pub from: Key,
    /// The first key after it.
    pub to: Key,
    /// The most rows to return; at least 1.
    pub limit: u32,
    /// Whether the rows nearest to `to` come first.
    pub reverse: bool,
}

/// Something that a transaction must know and the snapshot did not have at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// One row.
    Row(Key),
    /// A run of rows.
    Rows(Scan),
}

/// The snapshot did not have it at hand. It is fetched, and the transaction runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFetched;

/// Rows as a snapshot lends them.
pub type LentRows<'a> = Vec<(Key, Cow<'a, [u8]>)>;

/// One state of the store, as one run of a transaction sees it. A store that has values in memory lends them; nothing is copied to be read.
pub trait Snapshot {
    /// Whether the value of a row is at hand. Says nothing of what it is, so it is no read.
    fn has(&self, key: &Key) -> bool;

    /// The value of a row, `None` where there is none.
    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched>;

    /// The rows of a run of keys.
    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched>;

    /// The next part of the transaction begins, such as a command of a batch. For those who count what each of them costs.
    fn turn(&mut self, _nth: usize) {}

    /// A row is to be written, perhaps not for the last time. Likewise.
    fn writing(&mut self, _write: &Write) {}
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The row has this value from now on.
    Set(Key, Vec<u8>),
    /// There is no such row from now on.
    Clear(Key),
    /// The row, eight bytes little-endian, is at least this from now on. Reads nothing, so it never conflicts with another write.
    Max(Key, u64),
    /// The row, eight bytes little-endian, is more by this from now on, wrapping. Reads nothing; rings whoever watches the key.
    Add(Key, u64),
}

impl Write {
    /// The row that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Set(key, _) | Self::Clear(key) | Self::Max(key, _) | Self::Add(key, _) => key,
        }
    }
}

/// The value of a row that [`Write::Max`] or [`Write::Add`] made; `None` for bytes that neither could have written.
pub fn counter(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}

/// What a row holds after a write on what it held before. A [`Write::Max`] or [`Write::Add`] on what is no counter takes the first eight
/// bytes of it for one, with zeros where there are fewer: that is what FoundationDB does, and every store does the same.
pub fn merge(before: Option<&[u8]>, write: &Write) -> Option<Vec<u8>> {
    let mut held = [0; 8];
    for (byte, found) in held.iter_mut().zip(before.unwrap_or_default()) {
        *byte = *found;
    }
    let held = u64::from_le_bytes(held);
    match write {
        Write::Set(_, value) => Some(value.clone()),
        Write::Clear(_) => None,
        Write::Max(_, least) => Some(held.max(*least).to_le_bytes().to_vec()),
        Write::Add(_, more) => Some(held.wrapping_add(*more).to_le_bytes().to_vec()),
    }
}

/// What a transaction wants: its writes, in order (a later one on the same row prevails), and its answer if they are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<A> {
    /// The changes.
    pub writes: Vec<Write>,
    /// What the caller hears once they are durable.
    pub answer: A,
}

/// A run ended early: these reads are to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Read>);

/// Where a store with one writer should try a transaction first. A hint: every transaction is correct in either lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// It writes durable rows.
    Durable,
    /// It most likely only reads, or writes ephemeral rows only, and need not wait for anybody's sync.
    Quick,
}

/// A pure function over the store.
pub trait Transaction: Send + 'static {
    /// What the caller hears.
    type Answer: Send + 'static;

    /// Computes the writes and the answer from what the snapshot holds. Same snapshot, same result, however often it is called.
    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<Self::Answer>, Missing>;

    /// Where a store with one writer should try it first.
    fn lane(&self) -> Lane {
        Lane::Durable
    }
}

/// Why a transaction has no answer. The three call for the same care: every transaction must be safe to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was written; run it again (conflict, snapshot too old).
    Retry,
    /// It may or may not have been committed, and may yet be: run it again, and it will find its own traces.
    Unknown,
    /// The store refuses work (disk full, failing sync, cluster unreachable). Nothing of this transaction was reported as done.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_bytes_are() {
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"a\0\0", b"ab", b"b"];
        for a in keys {
            for b in keys {
                assert_eq!(Key::new(a).cmp(&Key::new(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn between_a_key_and_the_one_after_it_there_is_none() {
        let longest = [7; Key::MAX_LEN];
        let mut full = longest;
        full[Key::MAX_LEN - 2..].fill(u8::MAX);
        let mut carried = longest.to_vec();
        carried.truncate(Key::MAX_LEN - 2);
        carried[Key::MAX_LEN - 3] = 8;
        let mut last = longest;
        last[Key::MAX_LEN - 1] = 8;
        for (key, after) in [(&b"a"[..], &b"a\0"[..]), (b"", b"\0"), (&longest, &last), (&full, &carried)] {
            assert_eq!(Key::new(key).after(), Key::new(after));
        }
    }

    #[test]
    fn a_maximum_never_goes_back_and_of_what_is_no_counter_eight_bytes_count() {
        let key = Key::new(b"k");
        let ten = 10_u64.to_le_bytes();
        assert_eq!(merge(Some(&ten), &Write::Max(key, 3)), Some(ten.to_vec()));
        assert_eq!(merge(Some(&ten), &Write::Add(key, 3)), Some(13_u64.to_le_bytes().to_vec()));
        assert_eq!(merge(Some(&[200, 1]), &Write::Add(key, 3)), Some(459_u64.to_le_bytes().to_vec()));
        assert_eq!(merge(Some(b"more than eight"), &Write::Max(key, 3)), Some(b"more tha".to_vec()));
        assert_eq!(merge(None, &Write::Clear(key)), None);
    }
}
